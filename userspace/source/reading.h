/* SPDX-License-Identifier: GPL-2.0 */
/* The process that reads a recording, and what it sends; of recording.c alone. */
#ifndef BUFFTRACK_READING_H
#define BUFFTRACK_READING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <sys/types.h>

#include "source/recording.h"

typedef void reader_fn(const int *fds, size_t nr, const struct recording_sink *sink,
		       struct recording_facts *facts);

/* What follows: the rest of the message's header; an event, and frames; facts; nothing. */
enum message_kind {
	MESSAGE_EVENT = 1,
	MESSAGE_FACTS,
	MESSAGE_END,
};

/**
 * struct message - what each message begins with
 * @kind: &enum message_kind
 * @event_len: how much of a struct event is sent: not what a verdict has alone, where
 *	it is none
 */
struct message {
	uint32_t kind;
	uint32_t event_len;
	uint32_t chain;
	uint32_t nr_frames;
	uint64_t lost;
};

pid_t reading_start(const int *fds, size_t nr, reader_fn *read_files, FILE **events);
bool reading_receive(FILE *from, struct message *message, struct recorded *recorded,
		     struct recording_facts *facts);

#endif
