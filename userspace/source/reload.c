// SPDX-License-Identifier: GPL-2.0
/* The module that comes and goes: its events, their formats, and the kernel's notices. */
#include <errno.h>
#include <linux/netlink.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "abi/device.h"
#include "event/decode.h"
#include "event/event.h"
#include "source/trace_private.h"
#include "util/util.h"

#define NODE_SYSFS "/sys/class/" MODULE_NAME "/" MODULE_NAME

/* How often to look whether the module is still there, uevents or not. */
#define REFRESH_NS NSEC_PER_SEC
/* How often enabling the events may fail, in a row, with the module there. */
#define MAX_FAILURES 10

/* The kernel's notices of modules and devices that come and go. */
int trace_open_uevents(void)
{
	struct sockaddr_nl address = { .nl_family = AF_NETLINK, .nl_groups = 1 };
	int fd = socket(AF_NETLINK, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK,
			NETLINK_KOBJECT_UEVENT);

	if (fd >= 0 && bind(fd, (struct sockaddr *)&address, sizeof(address))) {
		close(fd);
		fd = -1;
	}
	return fd;
}

/* Takes the notices that have come, and keeps in mind whether one was of us. */
void trace_read_uevents(struct trace *trace)
{
	char message[4096];
	ssize_t len;

	for (;;) {
		len = recv(trace->uevents, message, sizeof(message) - 1, 0);
		if (len < 0)
			break;
		/* It begins with ACTION@/PATH. */
		message[len] = '\0';
		if (strstr(message, "/" MODULE_NAME))
			trace->refresh_now = true;
	}
	/* Some were dropped. */
	if (errno == ENOBUFS)
		trace->refresh_now = true;
}

static bool read_header_page(struct trace *trace)
{
	int size = 0;
	char *text = tracefs_instance_file_read(NULL, "events/header_page", &size);
	bool done;

	done = text && !tep_parse_header_page(trace->tep, text, (unsigned long)size, sizeof(long));
	free(text);
	return done;
}

static bool read_format(struct trace *trace, const char *system, const char *name)
{
	int size = 0;
	char *text = tracefs_event_file_read(NULL, system, name, "format", &size);
	bool done;

	done = text && !tep_parse_event(trace->tep, text, (unsigned long)size, system);
	free(text);
	return done;
}

/*
 * The formats of the events, which may differ after the module was replaced.
 * tracefs_local_events_system() would read all symbols of the kernel besides.
 */
static bool read_formats(struct trace *trace, char **names)
{
	enum kbuffer_long_size long_size;
	bool done;
	size_t i;

	if (trace->tep)
		tep_free(trace->tep);
	trace->tep = tep_alloc();
	done = trace->tep && read_header_page(trace);
	for (i = 0; done && names[i]; i++)
		done = read_format(trace, EVENT_SYSTEM, names[i]);
	if (done && trace->forks)
		done = read_format(trace, EVENT_FORK_SYSTEM, EVENT_FORK_NAME);
	if (!done)
		return false;
	if (trace->formats)
		event_formats_free(trace->formats);
	trace->formats = event_formats_new(true);
	event_formats_add_all(trace->formats, trace->tep);

	long_size = tep_get_header_page_size(trace->tep) == 4 ? KBUFFER_LSIZE_4 : KBUFFER_LSIZE_8;
	for (i = 0; done && i < trace->nr_cpus; i++) {
		if (!trace->cpus[i].buffer)
			trace->cpus[i].buffer =
				kbuffer_alloc(long_size, KBUFFER_ENDIAN_SAME_AS_HOST);
		done = trace->cpus[i].buffer;
	}
	return done;
}

/* Begins to record the events of the module that is loaded now. */
bool trace_start(struct trace *trace)
{
	char **names = tracefs_system_events(NULL, EVENT_SYSTEM);
	bool done = names && read_formats(trace, names);
	size_t i;

	for (i = 0; done && names[i]; i++)
		if (trace->all || !event_is_ordinary(names[i]))
			done = !tracefs_event_enable(trace->instance, EVENT_SYSTEM, names[i]);
	if (done && trace->forks)
		done = !tracefs_event_enable(trace->instance, EVENT_FORK_SYSTEM, EVENT_FORK_NAME);
	tracefs_list_free(names);
	trace->live = done;
	return done;
}

/* Whether the module's events are there, and being recorded by us. */
static bool events_enabled(struct trace *trace)
{
	char *state =
		tracefs_instance_file_read(trace->instance, "events/" EVENT_SYSTEM "/enable", NULL);
	bool enabled = state && state[0] != '0';

	free(state);
	return enabled;
}

/**
 * trace_refresh - follow the module as it is unloaded and loaded again
 * @trace: the trace
 *
 * To be called after each wait. After TRACE_GONE the caller takes, with flush,
 * the events that were read; the kernel has dropped those that were not.
 */
enum trace_change trace_refresh(struct trace *trace)
{
	uint64_t now = monotonic_ns();

	/* Our file keeps the module loaded. */
	if (trace->own)
		return TRACE_SAME;
	if (!trace->refresh_now && now - trace->refreshed_at < REFRESH_NS)
		return TRACE_SAME;
	trace->refresh_now = false;
	trace->refreshed_at = now;
	trace->missed = true;

	if (trace->live) {
		if (events_enabled(trace))
			return TRACE_SAME;
		trace->live = false;
		trace->refresh_now = true;
		return TRACE_GONE;
	}
	/* The device comes into being after all the events have. */
	if (access(NODE_SYSFS, F_OK))
		return TRACE_SAME;
	if (trace_start(trace)) {
		trace->failures = 0;
		return TRACE_BACK;
	}
	/* It may have been unloaded again meanwhile. */
	if (++trace->failures < MAX_FAILURES)
		return TRACE_SAME;
	complain(NOT_ENABLED, strerror(errno));
	return TRACE_FAILED;
}
