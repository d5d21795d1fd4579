/* SPDX-License-Identifier: GPL-2.0 */
#ifndef BUFFTRACK_PERFETTO_H
#define BUFFTRACK_PERFETTO_H

#include <stdbool.h>

struct event;
struct ledger;
struct perfetto;

struct perfetto *perfetto_create(const char *path);
void perfetto_add(struct perfetto *perfetto, const struct event *event, struct ledger *ledger);
bool perfetto_close(struct perfetto *perfetto);

#endif
