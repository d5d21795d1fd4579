/* SPDX-License-Identifier: GPL-2.0 */
#ifndef BUFFTRACK_HOLDERS_H
#define BUFFTRACK_HOLDERS_H

#include <stdint.h>
#include <linux/bufftrack.h>

/**
 * struct holders - who holds a life
 * @table: those that the caller may see, the oldest first
 * @nr: how many these are
 * @others: the references that other users hold
 * @error: why this is not known: an errno; else 0
 */
struct holders {
	struct bufftrack_holder *table;
	uint32_t nr;
	uint32_t others;
	int error;
};

void holders_read(struct holders *holders, int fd, const struct bufftrack_life *life);
void holders_free(struct holders *holders);

#endif
