/* SPDX-License-Identifier: GPL-2.0 */
/*
 * STAT, and the counters of INFO.
 */
#ifndef BUFFTRACK_STAT_H
#define BUFFTRACK_STAT_H

#include <linux/bufftrack.h>

struct bt_client;

int bufftrack_stat(struct bt_client *client, struct bufftrack_stat *stat);
void bufftrack_stat_info(struct bufftrack_info *info);

#endif /* BUFFTRACK_STAT_H */
