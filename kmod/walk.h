/* SPDX-License-Identifier: GPL-2.0 */
/*
 * A walk over a table that can stop anywhere and go on later, holding nothing.
 */
#ifndef BUFFTRACK_WALK_H
#define BUFFTRACK_WALK_H

#include <linux/types.h>

struct bt_record;
struct bt_table;

/* Where a walk over a table is: after this key, in the order of walk.c. */
struct bt_pos {
	u64 buffer;
	u32 space_id;
	u32 floor;
	bool started;
};

struct bt_record *bufftrack_table_next(struct bt_table *table, struct bt_pos *pos);

#endif /* BUFFTRACK_WALK_H */
