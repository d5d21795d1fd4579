/* SPDX-License-Identifier: GPL-2.0 */
#ifndef BUFFTRACK_DECODE_H
#define BUFFTRACK_DECODE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct event;
struct event_formats;
struct tep_event;
struct tep_handle;

/**
 * enum decoded - what a record turned out to be
 * @DECODED: an event of bufftrack
 * @DECODED_OTHER: an event of another system
 * @DECODED_UNKNOWN: no format has the record's number
 * @DECODED_FOREIGN: the format with the record's number is bufftrack's, but this
 *	record was not written by that format
 */
enum decoded {
	DECODED,
	DECODED_OTHER,
	DECODED_UNKNOWN,
	DECODED_FOREIGN,
};

struct event_formats *event_formats_new(bool forks);
void event_formats_free(struct event_formats *formats);
void event_formats_add(struct event_formats *formats, struct tep_event *event);
void event_formats_add_all(struct event_formats *formats, struct tep_handle *tep);
void event_formats_add_other(struct event_formats *formats, uint16_t number);
int event_formats_find(const struct event_formats *formats, const char *name);
bool event_formats_are_ours(const struct event_formats *formats, uint16_t number);
bool event_formats_have_others(const struct event_formats *formats);
bool event_same_record(const struct event_formats *formats, const void *a, const void *b,
		       size_t size);
enum decoded event_kind_of_record(const struct event_formats *formats, const void *data,
				  size_t size);
enum decoded event_decode(const struct event_formats *formats, const void *data, size_t size,
			  uint64_t time, struct event *event);

#endif
