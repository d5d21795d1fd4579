/* SPDX-License-Identifier: GPL-2.0 */
#ifndef BUFFTRACK_LEDGER_H
#define BUFFTRACK_LEDGER_H

#include <stdbool.h>
#include <stdint.h>

struct balance;
struct clock;
struct event;
struct ledger;
struct lives_space;

struct ledger *ledger_new(void);
void ledger_free(struct ledger *ledger);
void ledger_take(struct ledger *ledger, const struct event *event);
const struct lives_space *ledger_changed(struct ledger *ledger);
const struct clock *ledger_clock(const struct ledger *ledger);
struct balance *ledger_close(struct ledger *ledger, uint64_t *before);

#endif
