// SPDX-License-Identifier: GPL-2.0
/* Which events are to be told, and which verdicts make a command fail. */
#include "event/event.h"
#include "event/filter.h"

bool event_wanted(const struct event_filter *filter, const struct event *event)
{
	if (event_is_ordinary(event->name) && !filter->all)
		return false;
	if (filter->by_pid && event->by.pid != filter->pid)
		return false;
	if (filter->by_client && event->client != filter->client)
		return false;
	if (event->by.time < filter->since || (filter->until && event->by.time > filter->until))
		return false;
	if ((filter->by_space || filter->by_tag) && !event_has_key(event))
		return false;
	if (filter->by_space && event->space != filter->space)
		return false;
	if (filter->by_tag && event->tag != filter->tag)
		return false;
	if (!filter->by_device)
		return true;
	return (event_has_key(event) || event->kind == EVENT_RESET) &&
	       event->device == filter->device;
}

/**
 * verdict_is_failure - whether a bad verdict counts where a command is to fail by it
 * @verdict: the verdict
 * @info: its BUFFTRACK_INFO_*
 * @client_known: its client was seen from its first call on
 *
 * All do but leaks, and unknown frees that may be of a buffer from before the tracking: those
 * of a client that was there before, and those of a device of which records were evicted.
 */
bool verdict_is_failure(uint32_t verdict, uint32_t info, bool client_known)
{
	const uint32_t doubts = BUFFTRACK_INFO_HISTORY_LOST | BUFFTRACK_INFO_PROBABLE;

	if (verdict == BUFFTRACK_UNKNOWN_FREE)
		return client_known && !(info & doubts);
	return verdict != BUFFTRACK_OK && verdict != BUFFTRACK_LEAK;
}
