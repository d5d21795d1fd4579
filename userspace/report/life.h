/* SPDX-License-Identifier: GPL-2.0 */
#ifndef BUFFTRACK_REPORT_LIFE_H
#define BUFFTRACK_REPORT_LIFE_H

#include <stdint.h>
#include <linux/bufftrack.h>

struct json_object;
struct report_style;

void report_party(const struct report_style *style, const char *label,
		  const struct bufftrack_event *event, uint64_t now);
struct json_object *report_party_json(const struct report_style *style,
				      const struct bufftrack_event *event);
void report_add_life_json(const struct report_style *style, struct json_object *object,
			  const struct bufftrack_life *life, uint64_t now);

#endif
