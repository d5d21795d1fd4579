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
 * @by_client: only those of client @client
 * @by_space: only those of buffers in space @space
 * @by_tag: only those of buffers with tag @tag
 * @since: only those that are not earlier, in ns
 * @until: only those that are not later, in ns; 0 for no end
 */
struct event_filter {
	bool all;
	bool by_pid;
	bool by_device;
	bool by_client;
	bool by_space;
	bool by_tag;
	uint64_t pid;
	uint64_t device;
	uint64_t client;
	uint64_t space;
	uint64_t tag;
	uint64_t since;
	uint64_t until;
};

bool verdict_is_failure(uint32_t verdict, uint32_t info, bool client_known);
bool event_wanted(const struct event_filter *filter, const struct event *event);

#endif
