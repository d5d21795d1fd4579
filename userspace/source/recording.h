/* SPDX-License-Identifier: GPL-2.0 */
#ifndef BUFFTRACK_RECORDING_H
#define BUFFTRACK_RECORDING_H

#include <stdbool.h>
#include <stddef.h>
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
 * enum recorded_how - whether an event was recorded
 * @RECORDED_COUNTED: as a member of a group that samples its leader alone
 */
enum recorded_how {
	RECORDED_NOT,
	RECORDED_COUNTED,
	RECORDED,
};

/**
 * enum recorded_chain - why a call chain has no frames of user space
 * @RECORDED_CHAIN_NONE: none was asked for, or it has some
 * @RECORDED_CHAIN_DWARF: a copy of the stack was recorded, which is not unwound here
 * @RECORDED_CHAIN_DEFERRED: the kernel has recorded it later, by itself
 */
enum recorded_chain {
	RECORDED_CHAIN_NONE,
	RECORDED_CHAIN_DWARF,
	RECORDED_CHAIN_DEFERRED,
};

/**
 * struct recorded - one event of a recording
 * @event: what it says; @event.by.time is of the recording's clock
 * @lost: events of bufftrack that were lost until then
 * @chain: &enum recorded_chain
 * @nr_frames: of the offender's call chain in user space, innermost first
 */
struct recorded {
	struct event event;
	uint64_t lost;
	uint32_t chain;
	uint32_t nr_frames;
	struct bufftrack_frame frames[RECORDED_FRAMES];
};

/**
 * struct recording_facts - what is known of a recording after it was read
 * @clock: of the times of its events
 * @allocs: how allocs that counted were recorded: &enum recorded_how; so are @frees
 * @lost: events of bufftrack that were lost
 * @lost_shared: events that were lost, some of them others' events perhaps
 * @lost_more: and others, of which it is not known how many
 * @foreign: records that bear the number of one of bufftrack's events, and are none
 * @unknown: records with a number that no format in the file has
 * @repeated: events that were recorded twice; each was told once
 * @error: why it could not be read to its end; empty where it could
 */
struct recording_facts {
	enum recording_clock clock;
	enum recorded_how allocs;
	enum recorded_how frees;
	bool lost_more;
	uint64_t lost;
	uint64_t lost_shared;
	uint64_t foreign;
	uint64_t unknown;
	uint64_t repeated;
	char error[512];
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

struct recording *recording_open(char *const *paths, size_t nr);
bool recording_next(struct recording *recording, struct recorded *recorded);
void recording_close(struct recording *recording, struct recording_facts *facts);
const char *recording_no_balance(const struct recording_facts *facts);

void recording_fail(struct recording_facts *facts, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

#endif
