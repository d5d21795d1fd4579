// SPDX-License-Identifier: GPL-2.0
/*
 * Regions: what is mapped where in a process, for the frames of its stacks. They pin neither
 * the address space nor the file.
 */
#include <linux/mm.h>
#include <linux/pid.h>
#include <linux/rhashtable.h>
#include <linux/slab.h>

#include "param.h"
#include "region.h"
#include "user.h"

static struct rhashtable bt_regions;
static DEFINE_MUTEX(bt_regions_lock);

/* ---- the table ------------------------------------------------------------ */

static inline u32 region_key_hashfn(const void *data, u32 len, u32 seed)
{
	const struct bt_region_key *key = data;

	return bufftrack_file_hash(&key->file, (unsigned long)key->process.pid ^ key->offset,
				   key->start) ^
	       seed;
}

static inline u32 region_hashfn(const void *data, u32 len, u32 seed)
{
	return ((const struct bt_region *)data)->hash ^ seed;
}

static inline int region_cmpfn(struct rhashtable_compare_arg *arg, const void *obj)
{
	const struct bt_region_key *a = arg->key;
	const struct bt_region_key *b = &((const struct bt_region *)obj)->key;

	return a->start != b->start || a->offset != b->offset || a->account != b->account ||
	       !bt_same_process(&a->process, &b->process) || !bt_same_file(&a->file, &b->file);
}

static const struct rhashtable_params bt_region_params = {
	.head_offset = offsetof(struct bt_region, node),
	.key_len = sizeof(struct bt_region_key),
	.hashfn = region_key_hashfn,
	.obj_hashfn = region_hashfn,
	.obj_cmpfn = region_cmpfn,
	.automatic_shrinking = true,
};

/* ---- regions -------------------------------------------------------------- */

static u64 offset_in_file(const struct vm_area_struct *vma, u64 address)
{
	return address - vma->vm_start + ((u64)vma->vm_pgoff << PAGE_SHIFT);
}

/**
 * bufftrack_region_at() - the region that an address lies in
 * @key: where it begins, and what is there; the rest of it stays as it is
 * @vma: the mapping there, with its address space locked; NULL where there is none
 * @address: the address
 */
void bufftrack_region_at(struct bt_region_key *key, const struct vm_area_struct *vma, u64 address)
{
	u64 offset = address;

	key->offset = 0;
	key->file = (struct bt_file_id){};
	if (vma && vma->vm_file) {
		offset = offset_in_file(vma, address);
		key->offset = offset & ~(u64)U32_MAX;
		key->file = bufftrack_file_id(vma);
	}
	key->start = address - lower_32_bits(offset);
}

static struct bt_region *region_find(const struct bt_region_key *key)
{
	struct bt_region *region;

	lockdep_assert_held(&bt_regions_lock);
	region = rhashtable_lookup_fast(&bt_regions, key, bt_region_params);
	if (region)
		refcount_inc(&region->refs);
	return region;
}

static void region_free(struct bt_region *region)
{
	bufftrack_mapped_put(region->mapped);
	put_pid(region->key.process.pid);
	bufftrack_user_put(region->key.account);
	kfree_rcu(region, rcu);
}

/* bufftrack_region_put - drop a reference; may sleep */
void bufftrack_region_put(struct bt_region *region)
{
	if (!refcount_dec_and_mutex_lock(&region->refs, &bt_regions_lock))
		return;
	rhashtable_remove_fast(&bt_regions, &region->node, bt_region_params);
	mutex_unlock(&bt_regions_lock);
	region_free(region);
}

/**
 * bufftrack_region_get() - a region, made where not there
 * @key: which one
 * @file: the file that is mapped there, or NULL
 * @buf: PATH_MAX bytes to work in
 *
 * Return: a reference, or NULL for want of memory. May sleep.
 */
struct bt_region *bufftrack_region_get(const struct bt_region_key *key, struct file *file,
				       char *buf)
{
	struct bt_region *region, *fresh;
	int err;

	mutex_lock(&bt_regions_lock);
	region = region_find(key);
	mutex_unlock(&bt_regions_lock);
	if (region)
		return region;

	fresh = kzalloc(sizeof(*fresh), BT_GFP);
	if (!fresh)
		return NULL;
	refcount_set(&fresh->refs, 1);
	fresh->key = *key;
	fresh->hash = region_key_hashfn(key, 0, 0);
	get_pid(fresh->key.process.pid);
	refcount_inc(&fresh->key.account->refs);
	if (file)
		fresh->mapped = bufftrack_mapped_get(file, &key->file, key->process.uid, buf);

	err = 0;
	mutex_lock(&bt_regions_lock);
	region = region_find(key);
	if (!region)
		err = rhashtable_insert_fast(&bt_regions, &fresh->node, bt_region_params);
	mutex_unlock(&bt_regions_lock);
	if (!region && !err)
		return fresh;
	region_free(fresh);
	return region;
}

int __init bufftrack_regions_init(void)
{
	int err = bufftrack_mapped_init();

	if (err)
		return err;
	err = rhashtable_init(&bt_regions, &bt_region_params);
	if (err)
		bufftrack_mapped_exit();
	return err;
}

void bufftrack_regions_exit(void)
{
	WARN_ON(atomic_read(&bt_regions.nelems));
	rhashtable_destroy(&bt_regions);
	bufftrack_mapped_exit();
}
