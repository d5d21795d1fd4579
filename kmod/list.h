/* SPDX-License-Identifier: GPL-2.0 */
/*
 * LIST: the lives, in pages.
 */
#ifndef BUFFTRACK_LIST_H
#define BUFFTRACK_LIST_H

#include <linux/bufftrack.h>

int bufftrack_list(struct bufftrack_list *arg);

#endif /* BUFFTRACK_LIST_H */
