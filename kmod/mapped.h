/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Mapped files, each once: which file lay where a stack's frame points to.
 */
#ifndef BUFFTRACK_MAPPED_H
#define BUFFTRACK_MAPPED_H

#include <linux/refcount.h>
#include <linux/rhashtable-types.h>
#include <linux/types.h>
#include <linux/uidgid.h>

#include <linux/bufftrack.h>

struct file;
struct vm_area_struct;

/* Which file; another one in the same place differs in something. */
struct bt_file_id {
	u64 ino;
	u64 size; /* 0 where the mapping is shared: its file may be written meanwhile */
	u64 mtime; /* the same */
	u64 dev; /* 0: no file */
	u64 i_generation;
};

/*
 * A mapped file, as it was when it was first met: one for each user, since the file
 * system that tells its numbers may be another user's own.
 */
struct bt_mapped_key {
	struct bt_file_id file;
	kuid_t uid;
	u32 hash; /* keyed: whose files they are may choose the rest */
	const char *path;
};

struct bt_mapped {
	struct rhash_head node;
	refcount_t refs; /* from 0 only under bt_mapped_lock */
	struct bt_mapped_key key;
	u64 size;
	u64 time; /* of last modification, ns of CLOCK_REALTIME */
	u32 build_id_len;
	u8 build_id[BUFFTRACK_BUILD_ID_LEN];
	struct rcu_head rcu;
	char path[];
};

static inline bool bt_same_file(const struct bt_file_id *a, const struct bt_file_id *b)
{
	return a->ino == b->ino && a->dev == b->dev && a->i_generation == b->i_generation &&
	       a->size == b->size && a->mtime == b->mtime;
}

int bufftrack_mapped_init(void);
void bufftrack_mapped_exit(void);
struct bt_file_id bufftrack_file_id(const struct vm_area_struct *vma);
u32 bufftrack_file_hash(const struct bt_file_id *file, u64 more, u64 most);
struct bt_mapped *bufftrack_mapped_get(struct file *file, const struct bt_file_id *id, kuid_t uid,
				       char *buf);
void bufftrack_mapped_put(struct bt_mapped *mapped);

#endif /* BUFFTRACK_MAPPED_H */
