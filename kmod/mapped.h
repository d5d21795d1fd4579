/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Mapped files, each once: which file lay where a stack's frame points to.
 */
#ifndef BUFFTRACK_MAPPED_H
#define BUFFTRACK_MAPPED_H

#include <linux/rhashtable-types.h>
#include <linux/types.h>

#include <linux/bufftrack.h>

struct file;

/* Which file; another one in the same place differs in something. */
struct bt_mapped_key {
	u64 ino;
	u64 size;
	dev_t dev;
	u32 i_generation;
	u32 hash; /* keyed: whose files they are may choose the rest */
	const char *path;
};

/* A mapped file, as it was when it was first met. */
struct bt_mapped {
	struct rhash_head node;
	unsigned int refs; /* bt_mapped_lock */
	struct bt_mapped_key key;
	u64 time; /* of last modification, ns of CLOCK_REALTIME */
	u32 build_id_len;
	u8 build_id[BUFFTRACK_BUILD_ID_LEN];
	struct rcu_head rcu;
	char path[];
};

int bufftrack_mapped_init(void);
void bufftrack_mapped_exit(void);
struct bt_mapped *bufftrack_mapped_get(struct file *file, char *buf);
void bufftrack_mapped_put(struct bt_mapped *mapped);

#endif /* BUFFTRACK_MAPPED_H */
