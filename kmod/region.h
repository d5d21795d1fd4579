/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Regions: what is mapped where in a process, for the frames of its stacks.
 */
#ifndef BUFFTRACK_REGION_H
#define BUFFTRACK_REGION_H

#include <linux/refcount.h>
#include <linux/rhashtable-types.h>
#include <linux/types.h>

#include "mapped.h"

struct bt_user;
struct file;
struct pid;
struct vm_area_struct;

/* Whose a stack is: a program of a process, run by a user. */
struct bt_process {
	struct pid *pid;
	u64 exec_id;
	kuid_t uid;
};

/*
 * Up to 4 GiB of a process's addresses, in which one file is mapped, or none. Its stacks
 * have it in common.
 */
struct bt_region_key {
	struct bt_process process;
	u64 start;
	u64 offset; /* of @start in the file; 0 without one */
	struct bt_file_id file;
	struct bt_user *account;
};

struct bt_region {
	struct rhash_head node;
	refcount_t refs; /* of stacks; from 0 only under bt_regions_lock */
	u32 hash;
	struct bt_region_key key; /* with references to the pid and the account */
	struct bt_mapped *mapped; /* NULL: no file, or no memory for it */
	struct rcu_head rcu;
};

static inline bool bt_same_process(const struct bt_process *a, const struct bt_process *b)
{
	return a->pid == b->pid && a->exec_id == b->exec_id && uid_eq(a->uid, b->uid);
}

int bufftrack_regions_init(void);
void bufftrack_regions_exit(void);
void bufftrack_region_at(struct bt_region_key *key, const struct vm_area_struct *vma, u64 address);
struct bt_region *bufftrack_region_get(const struct bt_region_key *key, struct file *file,
				       char *buf);
void bufftrack_region_put(struct bt_region *region);

#endif /* BUFFTRACK_REGION_H */
