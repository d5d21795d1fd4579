// SPDX-License-Identifier: GPL-2.0
/* Progress, on a terminal, of what takes long: one line, which goes when it is done. */
#include <inttypes.h>
#include <stdio.h>
#include <unistd.h>

#include "util/progress.h"
#include "util/util.h"

#define INTERVAL_NS 500000000ULL

/* To be called often: shows how many events there were, where the last time is a while ago. */
void progress_show(struct progress *progress, uint64_t events)
{
	uint64_t now = monotonic_ns();

	if (!progress->told_at)
		progress->told_at = now;
	if (now - progress->told_at < INTERVAL_NS || !isatty(STDERR_FILENO))
		return;
	fprintf(stderr, "\r%s: %" PRIu64 " events so far", progress->what, events);
	progress->told_at = now;
	progress->shown = true;
}

void progress_clear(struct progress *progress)
{
	if (progress->shown)
		fputs("\r\033[K", stderr);
	progress->shown = false;
}
