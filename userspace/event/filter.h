/* SPDX-License-Identifier: GPL-2.0 */
#ifndef BUFFTRACK_FILTER_H
#define BUFFTRACK_FILTER_H

#include <stdbool.h>
#include <stdint.h>

struct event;

/**
 * struct event_filter - which events are to be told
 * @all: also those that are no mistake
 * @by_pid: only those that process @pid caused
 * @by_device: only those of device @device
 */
struct event_filter {
	bool all;
	bool by_pid;
	bool by_device;
	uint64_t pid;
	uint64_t device;
};

bool verdict_is_failure(uint32_t verdict, uint32_t info, bool client_known);
bool event_wanted(const struct event_filter *filter, const struct event *event);

#endif
