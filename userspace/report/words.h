/* SPDX-License-Identifier: GPL-2.0 */
#ifndef BUFFTRACK_WORDS_H
#define BUFFTRACK_WORDS_H

#include <stdbool.h>
#include <stddef.h>

#include "event/event.h"
#include "util/util.h"

struct report_style;
struct stack;

/* Room for a function and its place. */
#define REPORT_WHERE_TEXT 384

/* Room for the name of a device or a space. */
#define REPORT_NAME_TEXT (BUFFTRACK_NAME_LEN + SHORT_TEXT)

bool report_is_probable(const struct event *event);
bool report_history_lost(const struct event *event);
const char *report_last_part(const char *path);
const char *report_device_name(const struct report_style *style, uint64_t device,
			       char text[REPORT_NAME_TEXT]);
const char *report_space_name(const struct report_style *style, uint64_t device, uint32_t space,
			      char text[REPORT_NAME_TEXT]);
const char *report_device(const struct report_style *style, const struct event *event,
			  char text[REPORT_NAME_TEXT]);
const char *report_space(const struct report_style *style, const struct event *event,
			 char text[REPORT_NAME_TEXT]);
const char *report_name(const struct event *event, char between, char text[sizeof(event->name)]);
const struct stack *report_stack_of(const struct report_style *style, const struct who *who);
const struct who *report_culprit(const struct event *event);
const char *report_place(const struct stack *stack, char text[REPORT_WHERE_TEXT]);
const char *report_where(const struct report_style *style, const struct event *event,
			 char text[REPORT_WHERE_TEXT]);
void report_why(const struct event *event, char *text, size_t room);
const char *report_consequence(const struct event *event);
const char *report_offence(const struct event *event);

#endif
