/* SPDX-License-Identifier: GPL-2.0 */
/*
 * FREE, judged and carried out.
 */
#ifndef BUFFTRACK_FREE_H
#define BUFFTRACK_FREE_H

#include <linux/bufftrack.h>

struct bt_caller;

int bufftrack_free(struct bt_caller *caller, struct bufftrack_op *op);

#endif /* BUFFTRACK_FREE_H */
