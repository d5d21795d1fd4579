/* SPDX-License-Identifier: GPL-2.0 */
/*
 * ALLOC, judged and carried out.
 */
#ifndef BUFFTRACK_ALLOC_H
#define BUFFTRACK_ALLOC_H

#include <linux/bufftrack.h>

struct bt_caller;

int bufftrack_alloc(struct bt_caller *caller, struct bufftrack_op *op);

#endif /* BUFFTRACK_ALLOC_H */
