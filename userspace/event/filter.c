// SPDX-License-Identifier: GPL-2.0
/* Which events are to be told. */
#include "event/event.h"
#include "event/filter.h"

bool event_wanted(const struct event_filter *filter, const struct event *event)
{
	if (event_is_ordinary(event->name) && !filter->all)
		return false;
	if (filter->by_pid && event->by.pid != filter->pid)
		return false;
	if (!filter->by_device)
		return true;
	return (event_has_key(event) || event->kind == EVENT_RESET) &&
	       event->device == filter->device;
}
