// SPDX-License-Identifier: GPL-2.0
/*
 * run without root: the user's own bad verdicts, and counts by STAT. Which of them are the
 * command's is told by when the process began: forks are root's to see.
 */
#include <sys/ioctl.h>
#include <unistd.h>

#include "abi/device.h"
#include "cmd/run/run.h"
#include "event/event.h"
#include "source/trace.h"
#include "util/util.h"

static void read_counts(struct bufftrack_stat *stat)
{
	int fd = device_try_open();

	*stat = (struct bufftrack_stat){ .scope = BUFFTRACK_STAT_ALL };
	if (fd < 0)
		return;
	if (ioctl(fd, BUFFTRACK_IOC_STAT, stat))
		*stat = (struct bufftrack_stat){ .scope = BUFFTRACK_STAT_ALL };
	close(fd);
}

/* Before the command is started. */
void run_own_begin(struct run *run)
{
	if (!trace_is_own(run->live.trace))
		return;
	complain("not root: the bad frees and leaks of your programs that begin from now on;\n"
		 "  with sudo each alloc and free too, of the command and its children alone");
	run->own_since = monotonic_ns();
	read_counts(&run->own_before);
}

/* When it has ended: what all of the user's programs have reported meanwhile. */
void run_own_end(struct run *run)
{
	struct bufftrack_stat after;

	if (!run->own_since)
		return;
	read_counts(&after);
	run->allocs = after.allocs - run->own_before.allocs;
	run->frees = after.frees - run->own_before.frees;
	run->nr_clients = run->allocs || run->frees || run->failing;
}

/* Whether its process began after the command was started. */
bool run_own_is_ours(const struct run *run, const struct event *event)
{
	return event->by.start >= run->own_since;
}
