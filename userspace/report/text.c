// SPDX-License-Identifier: GPL-2.0
/* An event as a report for a person. */
#include <inttypes.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "event/event.h"
#include "event/names.h"
#include "report/report.h"
#include "report/words.h"
#include "symbol/stack.h"
#include "util/util.h"

#define COLUMNS 80
#define LABEL_WIDTH 18
#define BAR "=================================================================="

#define RED "\033[1;31m"
#define PLAIN "\033[0m"

bool report_wants_colour(FILE *out)
{
	const char *no_colour = getenv("NO_COLOR"), *terminal = getenv("TERM");

	return isatty(fileno(out)) && !(no_colour && *no_colour) && terminal && *terminal &&
	       strcmp(terminal, "dumb") != 0;
}

/* How many columns a word of UTF-8 takes. */
static size_t columns(const char *word, size_t len)
{
	size_t nr = 0, i;

	for (i = 0; i < len; i++)
		nr += ((unsigned char)word[i] & 0xc0) != 0x80;
	return nr;
}

/* Prints text, broken between words where it would be too wide. */
static void print_wrapped(const char *text)
{
	size_t at = 0, len, blanks;

	while (*text) {
		blanks = strspn(text, " ");
		len = strcspn(text + blanks, " ");
		if (at && at + blanks + columns(text + blanks, len) > COLUMNS) {
			fputs("\n    ", stdout);
			at = 4;
			text += blanks;
			blanks = 0;
		}
		printf("%.*s", (int)(blanks + len), text);
		at += blanks + columns(text + blanks, len);
		text += blanks + len;
	}
	putchar('\n');
}

/* Prints a line, broken between words where it would be too wide. */
void report_line(const char *format, ...)
{
	char text[512];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	print_wrapped(text);
}

static void print_frame(const struct stack *stack, size_t nr)
{
	const struct stack_frame *frame = &stack->frames[nr];
	char text[512];
	size_t used;

	used = (size_t)snprintf(text, sizeof(text), "    #%zu", nr);
	if (frame->symbol)
		used += (size_t)snprintf(text + used, sizeof(text) - used, " %.200s ",
					 frame->symbol);
	if (frame->line)
		used += (size_t)snprintf(text + used, sizeof(text) - used, " %.100s:%u ",
					 report_last_part(frame->file), frame->line);
	if (frame->inlined)
		snprintf(text + used, sizeof(text) - used, " (inlined)");
	else if (frame->module)
		used += (size_t)snprintf(text + used, sizeof(text) - used, " %.100s+0x%" PRIx64,
					 report_last_part(frame->module), frame->offset);
	else
		used += (size_t)snprintf(text + used, sizeof(text) - used, " 0x%" PRIx64,
					 frame->address);
	if (!frame->why || frame->inlined) {
		report_line("%s", text);
	} else if (frame->symbol) {
		report_line("%s  (%s)", text, frame->why);
	} else {
		report_line("%s", text);
		report_line("       (%s%s%s)", frame->why, frame->build_id[0] ? "; build id " : "",
			    frame->build_id);
	}
}

void report_stack(const struct stack *stack)
{
	size_t i;

	for (i = 0; i < stack->nr; i++)
		print_frame(stack, i);
	if (stack->why)
		report_line("    %s", stack->why);
}

/* By which clock the time of an event is, or one inside of it, where they differ. */
static const char *clock_text(const struct report_style *style, bool of_event)
{
	if (!style->own_clock)
		return "";
	return of_event ? " by the recording's clock" : " by CLOCK_MONOTONIC";
}

/* Who did something, when, and from where; relative to the offence at @now. */
static void print_who(const struct report_style *style, const char *label, const struct who *who,
		      uint64_t now)
{
	char thread[32] = "", when[SHORT_TEXT + 48], span[SHORT_TEXT];

	if (!who->exited || who->tid != who->pid)
		snprintf(thread, sizeof(thread), " tid %u", who->tid);
	if (!now || style->own_clock)
		snprintf(when, sizeof(when), "%" PRIu64 ".%06" PRIu64 " s%s",
			 who->time / (uint64_t)NSEC_PER_SEC,
			 who->time % (uint64_t)NSEC_PER_SEC / 1000, clock_text(style, !now));
	else
		snprintf(when, sizeof(when), "%s earlier",
			 format_duration(span, now > who->time ? now - who->time : 0));
	report_line("%-*spid %u (%s%s)%s, %s", LABEL_WIDTH, label, who->pid, who->comm,
		    who->exited ? ", exited" : "", thread, when);
	report_stack(report_stack_of(style, who));
}

static void print_life(const struct report_style *style, const struct life_span *life, uint64_t now)
{
	if (life->freed.time)
		print_who(style, state_words(life->reason)->offence, &life->freed, now);
	if (life->allocated.time)
		print_who(style, "allocated by", &life->allocated, now);
}

/* Appends one life to a history such as "A7 F7 A8". */
void report_add_life(char *text, size_t room, const struct life_span *life)
{
	size_t used = strlen(text);

	if (!life->generation)
		return;
	snprintf(text + used, room - used, " A%" PRIu64, life->generation);
	used = strlen(text);
	if (life->freed.time)
		snprintf(text + used, room - used, " %c%" PRIu64, state_words(life->reason)->letter,
			 life->generation);
}

static void print_key_line(const struct event *event, uint64_t lost)
{
	struct life_span last = { .generation = event->generation };
	uint32_t known = !!event->life.generation + !!event->previous.generation;
	char history[128] = "", refused[32] = "";

	report_add_life(history, sizeof(history), &event->previous);
	report_add_life(history, sizeof(history), &event->life);
	/* The life that was meant may not be the key's last one. */
	if (event->generation > event->life.generation) {
		report_add_life(history, sizeof(history), &last);
		known++;
	}
	if (!event->lives) {
		report_line("this key: no record; lost: %" PRIu64, lost);
		return;
	}
	if (event->verdict < BUFFTRACK_MISSED_FREE)
		snprintf(refused, sizeof(refused), ", %u refused", event->nth);
	report_line("this key: %u alloc%s, %u free%s%s; history%s%s; lost: %" PRIu64, event->lives,
		    plural(event->lives), event->frees, plural(event->frees), refused,
		    event->lives > known ? " ..." : "", history, lost);
}

/* What makes it less than certain, or explains it. */
static void print_notes(const struct event *event)
{
	const struct info_word *word;

	for (word = info_words(); word->word; word++)
		if (event->info & word->bit && word->note)
			report_line("%s", word->note);
}

static void print_report(const struct report_style *style, const struct event *event, uint64_t lost)
{
	char device[REPORT_NAME_TEXT], space[REPORT_NAME_TEXT], name[sizeof(event->name)];
	char reason[256], where[REPORT_WHERE_TEXT];

	report_device(style, event, device);
	report_space(style, event, space);
	report_why(event, reason, sizeof(reason));

	puts(BAR);
	if (style->colour)
		fputs(RED, stdout);
	report_line("BUFFTRACK: %s of buffer 0x%" PRIx64 " (%s, %" PRIu64 " bytes) on device %s",
		    report_name(event, ' ', name), event->buffer, space, event->size, device);
	if (style->colour)
		fputs(PLAIN, stdout);
	report_line("%s: %s; %s", reason, report_is_probable(event) ? "probable" : "certain",
		    report_consequence(event));
	print_notes(event);
	print_who(style, report_offence(event), &event->by, 0);
	/* What ended a life whose free was missed is the offence itself. */
	if (event->verdict == BUFFTRACK_MISSED_FREE)
		print_who(style, "allocated by", &event->life.allocated, event->by.time);
	else
		print_life(style, &event->life, event->by.time);
	if (report_is_probable(event) && event->previous.generation) {
		puts("it may have been meant for the allocation before:");
		print_life(style, &event->previous, event->by.time);
	}
	print_key_line(event, lost);
	printf("SUMMARY: %s %s device %s %s %" PRIu64 "\n", report_name(event, '-', name),
	       report_where(style, event, where), device, space, event->size);
	puts(BAR);
}

/* An event that is no mistake: one line. */
static void print_ordinary(const struct report_style *style, const struct event *event)
{
	char device[REPORT_NAME_TEXT], space[REPORT_NAME_TEXT], key[2 * REPORT_NAME_TEXT + 64] = "";
	const struct who *by = &event->by;

	if (event_has_key(event))
		snprintf(key, sizeof(key),
			 "device %s %s 0x%" PRIx64 " %" PRIu64 " bytes, generation %" PRIu64
			 ", %u ref%s%s, ",
			 report_device(style, event, device), report_space(style, event, space),
			 event->buffer, event->size, event->generation, event->refs,
			 plural(event->refs), event->flags & BUFFTRACK_F_VIEW ? " (view)" : "");
	else if (event->kind == EVENT_RESET)
		snprintf(key, sizeof(key), "device %s, %" PRIu64 " allocation%s ended, ",
			 report_device(style, event, device), event->ended, plural(event->ended));
	else
		snprintf(key, sizeof(key), "client %" PRIu64 ", ", event->client);
	report_line("%" PRIu64 ".%06" PRIu64 " %s %spid %u (%s)", by->time / (uint64_t)NSEC_PER_SEC,
		    by->time % (uint64_t)NSEC_PER_SEC / 1000, event->name, key, by->pid, by->comm);
}

/* Prints one event for a person; @lost events were lost until now. */
void report_text(const struct report_style *style, const struct event *event, uint64_t lost)
{
	if (event->kind == EVENT_BAD || event->kind == EVENT_LEAK)
		print_report(style, event, lost);
	else
		print_ordinary(style, event);
}

/* What bad frees that are the same have in common, for report_group(). */
void report_group_text(const struct report_style *style, const struct event *event,
		       char text[REPORT_GROUP_TEXT])
{
	char device[REPORT_NAME_TEXT], space[REPORT_NAME_TEXT], name[sizeof(event->name)];
	char where[REPORT_WHERE_TEXT];

	report_name(event, ' ', name);
	if (event->by.stack_id)
		snprintf(text, REPORT_GROUP_TEXT, "%s in %s from the same %s", name,
			 report_where(style, event, where),
			 event_other(event)->stack_id ? "two stacks" : "stack");
	else
		snprintf(text, REPORT_GROUP_TEXT, "%s of buffer 0x%" PRIx64 " (%s) on device %s",
			 name, event->buffer, report_space(style, event, space),
			 report_device(style, event, device));
}

/* Prints how many more there were, in one line: for grep. */
void report_group(const char *text, uint64_t more, uint64_t all)
{
	printf("BUFFTRACK: %" PRIu64 " more of %s, %" PRIu64 " in all\n", more, text, all);
}
