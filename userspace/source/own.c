// SPDX-License-Identifier: GPL-2.0
/* EVENTS: bad verdicts in pages from a cursor; poll() says when there are more. */
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

#include "abi/device.h"
#include "event/event.h"
#include "event/names.h"
#include "source/own.h"
#include "util/util.h"

#define PAGE_EVENTS 64

/**
 * struct own - the file whose user's events these are
 * @lost: all told, as the module counted them
 * @page: @nr of them are from @at on not yet told
 */
struct own {
	int fd;
	uint64_t cursor;
	uint64_t lost;
	uint32_t nr;
	uint32_t at;
	struct bufftrack_bad page[PAGE_EVENTS];
};

static bool has_events(int fd)
{
	struct bufftrack_info info = { 0 };

	if (!ioctl(fd, BUFFTRACK_IOC_INFO, &info) && info.features & BUFFTRACK_FEATURE_EVENTS)
		return true;
	complain("tracing needs root: run it with sudo\n"
		 "  (the module that is loaded is too old to tell a user of their own events)");
	return false;
}

/* From now on. Returns NULL where there is no such thing, having said why. */
struct own *own_open(void)
{
	struct bufftrack_events end = { .flags = BUFFTRACK_EVENTS_END };
	struct own *own;
	int fd = device_open();

	if (fd < 0)
		return NULL;
	if (!has_events(fd)) {
		close(fd);
		return NULL;
	}
	if (ioctl(fd, BUFFTRACK_IOC_EVENTS, &end)) {
		complain("cannot read the events of this user: %s", strerror(errno));
		close(fd);
		return NULL;
	}
	own = xrealloc(NULL, 1, sizeof(*own));
	*own = (struct own){ .fd = fd, .cursor = end.cursor };
	return own;
}

void own_close(struct own *own)
{
	if (!own)
		return;
	close(own->fd);
	free(own);
}

/*
 * Waits for an event, a signal, the time, or the end of who reads @output (-1 for nobody).
 * Returns false in the last case.
 */
bool own_wait(struct own *own, int timeout_ms, const sigset_t *signals, int output)
{
	struct timespec time = {
		.tv_sec = timeout_ms / 1000,
		.tv_nsec = timeout_ms % 1000 * 1000000L,
	};
	struct pollfd polled[] = {
		{ .fd = own->fd, .events = POLLIN },
		{ .fd = output },
	};

	if (own->at < own->nr)
		return true;
	if (ppoll(polled, ARRAY_SIZE(polled), &time, signals) <= 0)
		return true;
	return !(polled[1].revents & (POLLERR | POLLHUP));
}

static struct who who_of(const struct bufftrack_event *from)
{
	struct who who = {
		.time = from->time,
		.start = from->start_time,
		.client = from->client,
		.uid = from->uid,
		.pid = from->pid,
		.tid = from->tid,
		.stack_id = from->stack_id,
		.exited = from->exited,
	};

	memcpy(who.comm, from->comm, sizeof(who.comm));
	who.comm[sizeof(who.comm) - 1] = '\0';
	return who;
}

static void tell(struct event *event, const struct bufftrack_bad *bad)
{
	*event = (struct event){
		.kind = bad->verdict == BUFFTRACK_LEAK ? EVENT_LEAK : EVENT_BAD,
		.verdict = bad->verdict,
		.device = bad->device,
		.buffer = bad->buffer,
		.size = bad->size,
		.tag = bad->tag,
		.token = bad->token,
		.generation = bad->generation,
		.client = bad->offender.client,
		.requested = bad->requested,
		.evicted = bad->evicted,
		.space = bad->space,
		.flags = bad->flags,
		.refs = bad->refs,
		.views = bad->views,
		.nth = bad->nth,
		.info = bad->info,
		.count = bad->count,
		.lives = bad->lives,
		.frees = bad->frees,
		.uid = bad->offender.uid,
		.by = who_of(&bad->offender),
		.life = {
			.generation = bad->named,
			.allocated = who_of(&bad->alloc),
			.freed = who_of(&bad->end),
			.reason = bad->reason,
		},
		.previous = {
			.generation = bad->prev_generation,
			.allocated = who_of(&bad->prev_alloc),
			.freed = who_of(&bad->prev_end),
			.reason = bad->prev_reason,
		},
	};
	snprintf(event->name, sizeof(event->name), "%s", verdict_name(bad->verdict));
}

static bool read_page(struct own *own)
{
	struct bufftrack_events arg = {
		.entries = (uintptr_t)own->page,
		.nr = PAGE_EVENTS,
		.entry_size = sizeof(own->page[0]),
		.cursor = own->cursor,
	};

	own->at = 0;
	own->nr = 0;
	if (ioctl(own->fd, BUFFTRACK_IOC_EVENTS, &arg))
		return false;
	own->cursor = arg.cursor;
	own->lost += arg.lost;
	own->nr = arg.nr;
	return arg.nr;
}

/* The next one; false where there is none now. */
bool own_next(struct own *own, struct event *event)
{
	if (own->at == own->nr && !read_page(own))
		return false;
	tell(event, &own->page[own->at++]);
	return true;
}

uint64_t own_lost(const struct own *own)
{
	return own->lost;
}
