// SPDX-License-Identifier: GPL-2.0
/*
 * For the matrix: what the tool's symbols say of the places on its standard input, each a
 * line of a path, a build id ("-" for none) and an offset. It answers with a line of the
 * offset and the reason, and then a line for each function: name, file, line.
 */
#include <linux/bufftrack.h>
#include <stdio.h>
#include <string.h>

#include "symbol/resolver.h"
#include "symbol/symbols.h"

static void read_build_id(struct bufftrack_frame *frame, const char *id)
{
	unsigned int byte;

	while (frame->build_id_len < sizeof(frame->build_id) &&
	       sscanf(id + 2 * frame->build_id_len, "%2x", &byte) == 1)
		frame->build_id[frame->build_id_len++] = (unsigned char)byte;
}

static const char *text(const char *known)
{
	return known ? known : "??";
}

int main(void)
{
	struct resolver *resolver = resolver_new(RESOLVER_MS);
	struct bufftrack_frame frame;
	unsigned long long offset;
	struct symbol_list list;
	char path[256], id[80];
	const char *why;
	size_t i;

	while (scanf("%255s %79s %llx", path, id, &offset) == 3) {
		frame = (struct bufftrack_frame){ .offset = offset, .address = offset };
		memcpy(frame.path, path, strlen(path) + 1);
		read_build_id(&frame, id);
		resolver_find(resolver, &frame, &list);
		why = symbols_why(list.why);
		printf("%llx\t%s\n", offset, why ? why : "");
		for (i = 0; i < list.nr; i++)
			printf("\t%s\t%s\t%u\n", text(list.symbols[i].function),
			       text(list.symbols[i].file), list.symbols[i].line);
		symbols_clear(&list);
	}
	resolver_free(resolver);
	return 0;
}
