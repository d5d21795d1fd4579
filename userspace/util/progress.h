/* SPDX-License-Identifier: GPL-2.0 */
#ifndef BUFFTRACK_PROGRESS_H
#define BUFFTRACK_PROGRESS_H

#include <stdbool.h>
#include <stdint.h>

/**
 * struct progress - how far something long is
 * @what: it
 * @told_at: when that was last shown; 0: never
 * @shown: it stands on the terminal
 */
struct progress {
	const char *what;
	uint64_t told_at;
	bool shown;
};

void progress_show(struct progress *progress, uint64_t events);
void progress_clear(struct progress *progress);

#endif
