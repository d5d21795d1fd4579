/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The module's parameters, its fixed limits, and its workqueue.
 */
#ifndef BUFFTRACK_PARAM_H
#define BUFFTRACK_PARAM_H

#include <linux/gfp.h>
#include <linux/types.h>

#include <linux/bufftrack.h>

#define BT_MAX_BATCH 4096U
#define BT_MAX_ENTRY 4096U /* bytes of one entry of an array */
#define BT_MAX_SPACES 256U
#define BT_MAX_TAGS 1024U /* with a name, of a user on a device */
#define BT_MAX_STACK 64U
#define BT_MAX_HOLDERS 1024U /* of a life: searched under the shard's lock */
#define BT_MAX_FOREIGN 32U /* of them, for each account but that of the life's own user */

/* For allocations on a caller's behalf: charged, and fail before an OOM kill. */
#define BT_GFP (GFP_KERNEL_ACCOUNT | __GFP_RETRY_MAYFAIL | __GFP_NOWARN)

/* The same per cpu, where RETRY_MAYFAIL is not passed on to the pages of a new chunk. */
#define BT_GFP_PERCPU (GFP_KERNEL_ACCOUNT | __GFP_NORETRY | __GFP_NOWARN)

/* The same, under a spinlock. */
#define BT_GFP_LOCKED (GFP_NOWAIT | __GFP_ACCOUNT | __GFP_NOWARN)

enum bt_on_error { BT_REPORT, BT_SIGTRAP, BT_PANIC };

struct workqueue_struct;

extern unsigned int bufftrack_max_buffers;
extern unsigned int bufftrack_max_devices;
extern unsigned int bufftrack_max_clients;
extern unsigned int bufftrack_history;
extern unsigned int bufftrack_max_stacks;
extern unsigned int bufftrack_log_limit;
extern unsigned int bufftrack_on_error;
extern struct workqueue_struct *bufftrack_wq;

int bufftrack_wq_init(void);
void bufftrack_wq_exit(void);

#endif /* BUFFTRACK_PARAM_H */
