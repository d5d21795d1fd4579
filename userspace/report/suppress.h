/* SPDX-License-Identifier: GPL-2.0 */
#ifndef BUFFTRACK_SUPPRESS_H
#define BUFFTRACK_SUPPRESS_H

#include <stdbool.h>
#include <stdint.h>

struct event;
struct json_object;
struct report_style;
struct suppressions;

struct suppressions *suppressions_read(const char *path);
void suppressions_free(struct suppressions *suppressions);
bool suppressions_match(struct suppressions *suppressions, const struct report_style *style,
			const struct event *event);
void suppressions_print(const struct suppressions *suppressions);
void suppressions_json(const struct suppressions *suppressions, struct json_object *object);
void suppression_generate(const struct report_style *style, const struct event *event);

#endif
