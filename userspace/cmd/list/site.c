// SPDX-License-Identifier: GPL-2.0
/* list: how much was allocated from where, by the innermost frame or by the whole stack. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "cmd/list/list.h"
#include "report/words.h"
#include "symbol/stack.h"
#include "util/json.h"
#include "util/util.h"

/* Room for a folded stack; what is further in than that is left out. */
#define FOLDED_TEXT 16384

/* A frame's name, in which no ; is to be, nor a blank. */
static void add_folded(char *text, size_t *used, const struct stack_frame *frame)
{
	size_t at = *used;
	int len;

	if (frame->symbol)
		len = snprintf(text + at, FOLDED_TEXT - at, "%s%s", at ? ";" : "", frame->symbol);
	else if (frame->module)
		len = snprintf(text + at, FOLDED_TEXT - at, "%s%s+0x%" PRIx64, at ? ";" : "",
			       report_last_part(frame->module), frame->offset);
	else
		len = snprintf(text + at, FOLDED_TEXT - at, "%s0x%" PRIx64, at ? ";" : "",
			       frame->address);
	*used += (size_t)len;
	if (*used >= FOLDED_TEXT)
		*used = FOLDED_TEXT - 1;
	for (at += at > 0; at < *used; at++)
		if (text[at] == ';' || text[at] == ' ')
			text[at] = '_';
}

/* The frames from the outermost on, as flame graphs take them. */
static void fold(const struct stack *stack, char text[FOLDED_TEXT])
{
	size_t used = 0, i;

	snprintf(text, FOLDED_TEXT, "no-stack");
	for (i = stack->nr; i-- > 0;)
		add_folded(text, &used, &stack->frames[i]);
}

/* Adds an allocation to the site that it came from. */
void list_take_site(struct list *list, const struct bufftrack_life *life)
{
	const struct stack *stack =
		stacks_get(list->stacks, life->alloc.stack_id, life->alloc.pid, life->alloc.time);
	char text[FOLDED_TEXT];

	if (list->folded)
		fold(stack, text);
	else
		report_place(stack, text);
	sites_add(&list->sites, text, 1, life->size);
}

static void print_site_json(const struct site *site)
{
	struct json_object *object = json_object_new_object();

	json_add_text(object, "site", site->name);
	json_add_number(object, "buffers", site->nr);
	json_add_number(object, "bytes", site->bytes);
	json_print(object);
}

/* The sites, those with the most bytes first. */
void list_print_sites(struct list *list)
{
	const struct site *site;
	char size[SHORT_TEXT];
	size_t i;

	sites_sort(&list->sites);
	if (!list->json && !list->folded)
		printf("  BYTES  BUFFERS SITE\n");
	for (i = 0; i < list->sites.nr && (!list->limit || i < list->limit); i++) {
		site = list->sites.table[i];
		if (list->json)
			print_site_json(site);
		else if (list->folded)
			printf("%s %" PRIu64 "\n", site->name, site->bytes);
		else
			printf("%7s %8" PRIu64 " %s\n", format_size(size, site->bytes), site->nr,
			       site->name);
	}
}
