/* SPDX-License-Identifier: GPL-2.0 */
#ifndef BUFFTRACK_RECORDING_H
#define BUFFTRACK_RECORDING_H

#include <stdbool.h>
#include <stdint.h>

#include "event/event.h"

/* Frames of a call chain that are kept; the outer ones are left out. */
#define RECORDED_FRAMES 64

enum recording_clock {
	RECORDING_CLOCK_UNKNOWN, /* in ns, of which begin is not known */
	RECORDING_CLOCK_MONOTONIC,
	RECORDING_CLOCK_OTHER, /* not in ns */
};

/**
 * struct recorded - one event of a recording
 * @event: what it says; @event.by.time is of the recording's clock
 * @lost: events that were lost until then
 * @nr_frames: of the offender's call chain in user space, innermost first
 */
struct recorded {
	struct event event;
	uint64_t lost;
	uint32_t nr_frames;
	struct bufftrack_frame frames[RECORDED_FRAMES];
};

/**
 * struct recording_facts - what is known of a recording after it was read
 * @clock: of the times of its events
 * @has_uses: allocs and frees that counted were recorded, not bad ones alone
 * @lost: events that were lost
 * @lost_more: and others, of which it is not known how many
 * @error: why it could not be read to its end; empty where it could
 */
struct recording_facts {
	enum recording_clock clock;
	bool has_uses;
	bool lost_more;
	uint64_t lost;
	char error[256];
};

/**
 * struct recording_sink - where the reader of a file puts its events
 * @take: takes one; returns false where there shall be no more
 */
struct recording_sink {
	bool (*take)(void *data, const struct recorded *recorded);
	void *data;
};

struct recording;

struct recording *recording_open(const char *path);
bool recording_next(struct recording *recording, struct recorded *recorded);
void recording_close(struct recording *recording, struct recording_facts *facts);

void recording_fail(struct recording_facts *facts, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

#endif
