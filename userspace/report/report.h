/* SPDX-License-Identifier: GPL-2.0 */
#ifndef BUFFTRACK_REPORT_H
#define BUFFTRACK_REPORT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

struct event;
struct json_object;
struct labels;
struct life_span;
struct stack;
struct stacks;
struct who;

/**
 * struct report_style - how events are told
 * @labels: the names of devices and spaces
 * @stacks: where things were done
 * @colour: for a terminal
 * @own_clock: the times of events are of a clock that is not CLOCK_MONOTONIC
 */
struct report_style {
	struct labels *labels;
	struct stacks *stacks;
	bool colour;
	bool own_clock;
};

/* Room for what report_group_text() writes. */
#define REPORT_GROUP_TEXT 512

bool report_wants_colour(FILE *out);
void report_text(const struct report_style *style, const struct event *event, uint64_t lost);
void report_json(const struct report_style *style, const struct event *event, uint64_t lost);
void report_group_text(const struct report_style *style, const struct event *event,
		       char text[REPORT_GROUP_TEXT]);
void report_group(const char *text, uint64_t more, uint64_t all);
void report_lost_json(uint64_t lost);
void report_line(const char *format, ...) __attribute__((format(printf, 1, 2)));
void report_add_life(char *text, size_t room, const struct life_span *life);
void report_stack(const struct stack *stack);
struct json_object *report_who_json(const struct who *who);
struct json_object *report_stack_json(const struct stack *stack);

#endif
