/* SPDX-License-Identifier: GPL-2.0 */
/*
 * UNDO: a FREE is taken back.
 */
#ifndef BUFFTRACK_UNDO_H
#define BUFFTRACK_UNDO_H

#include <linux/bufftrack.h>

struct bt_caller;

int bufftrack_undo(struct bt_caller *caller, struct bufftrack_op *op);

#endif /* BUFFTRACK_UNDO_H */
