/* SPDX-License-Identifier: GPL-2.0 */
#ifndef BUFFTRACK_LEDGER_H
#define BUFFTRACK_LEDGER_H

#include <stdbool.h>
#include <stdint.h>

struct balance;
struct event;
struct ledger;

/**
 * struct ledger_space - what lives in a space of a device
 * @changed: since it was last asked for
 */
struct ledger_space {
	uint64_t device;
	uint32_t space;
	bool changed;
	uint64_t live;
	uint64_t bytes;
};

struct ledger *ledger_new(void);
void ledger_free(struct ledger *ledger);
void ledger_take(struct ledger *ledger, const struct event *event);
const struct ledger_space *ledger_changed(struct ledger *ledger);
bool ledger_clock(const struct ledger *ledger, uint64_t time, int64_t *offset);
struct balance *ledger_close(struct ledger *ledger, uint64_t *before);

#endif
