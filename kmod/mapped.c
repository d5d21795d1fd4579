// SPDX-License-Identifier: GPL-2.0
/*
 * Mapped files, each once: path and build id, for the frames of stacks.
 */
#include <linux/elf.h>
#include <linux/file.h>
#include <linux/fs.h>
#include <linux/mm.h>
#include <linux/random.h>
#include <linux/rhashtable.h>
#include <linux/siphash.h>
#include <linux/slab.h>

#include "compat.h"
#include "mapped.h"
#include "param.h"

/* Bytes of notes that are looked through for a build id. */
#define BT_MAX_NOTES 4096

static struct rhashtable bt_mapped_files;
static siphash_key_t bt_mapped_secret;
static DEFINE_MUTEX(bt_mapped_lock);

/* ---- the table ------------------------------------------------------------ */

static inline u32 mapped_key_hashfn(const void *data, u32 len, u32 seed)
{
	return ((const struct bt_mapped_key *)data)->hash ^ seed;
}

static inline u32 mapped_hashfn(const void *data, u32 len, u32 seed)
{
	return ((const struct bt_mapped *)data)->key.hash ^ seed;
}

static inline int mapped_cmpfn(struct rhashtable_compare_arg *arg, const void *obj)
{
	const struct bt_mapped_key *a = arg->key;
	const struct bt_mapped_key *b = &((const struct bt_mapped *)obj)->key;

	return a->hash != b->hash || !uid_eq(a->uid, b->uid) || !bt_same_file(&a->file, &b->file) ||
	       strcmp(a->path, b->path);
}

static const struct rhashtable_params bt_mapped_params = {
	.head_offset = offsetof(struct bt_mapped, node),
	.key_len = sizeof(struct bt_mapped_key),
	.hashfn = mapped_key_hashfn,
	.obj_hashfn = mapped_hashfn,
	.obj_cmpfn = mapped_cmpfn,
	.automatic_shrinking = true,
};

/* ---- mapped files --------------------------------------------------------- */

static bool read_exactly(struct file *file, void *to, size_t len, loff_t at)
{
	return kernel_read(file, to, len, &at) == len;
}

/* The build id in a file's notes, into @mapped; both are of any content. */
static bool find_note(struct bt_mapped *mapped, const char *notes, size_t len)
{
	const struct elf32_note *note;
	size_t name, desc, at = 0;

	while (len - at >= sizeof(*note)) {
		note = (const struct elf32_note *)(notes + at);
		at += sizeof(*note);
		name = at;
		if (note->n_namesz > len - at)
			return false;
		at += ALIGN(note->n_namesz, 4);
		desc = at;
		if (at > len || note->n_descsz > len - at)
			return false;
		at += ALIGN(note->n_descsz, 4);
		if (note->n_type == 3 /* NT_GNU_BUILD_ID */ && note->n_namesz == 4 &&
		    !memcmp(notes + name, "GNU", 4) && note->n_descsz &&
		    note->n_descsz <= BUFFTRACK_BUILD_ID_LEN) {
			memcpy(mapped->build_id, notes + desc, note->n_descsz);
			mapped->build_id_len = note->n_descsz;
			return true;
		}
		if (at > len)
			return false;
	}
	return false;
}

/* A 64-bit ELF file's; of others the path must do. */
static void read_build_id(struct bt_mapped *mapped, struct file *file)
{
	struct elf64_phdr phdr;
	struct elf64_hdr ehdr;
	char *notes;
	u32 i, len;

	if (!read_exactly(file, &ehdr, sizeof(ehdr), 0) || memcmp(ehdr.e_ident, ELFMAG, SELFMAG) ||
	    ehdr.e_ident[EI_CLASS] != ELFCLASS64 || ehdr.e_phentsize != sizeof(phdr))
		return;
	notes = kmalloc(BT_MAX_NOTES, BT_GFP);
	if (!notes)
		return;
	for (i = 0; i < min_t(u32, ehdr.e_phnum, 64); i++) {
		if (!read_exactly(file, &phdr, sizeof(phdr), ehdr.e_phoff + i * sizeof(phdr)))
			break;
		if (phdr.p_type != PT_NOTE)
			continue;
		len = min_t(u64, phdr.p_filesz, BT_MAX_NOTES);
		if (read_exactly(file, notes, len, phdr.p_offset) && find_note(mapped, notes, len))
			break;
	}
	kfree(notes);
}

/* bufftrack_file_id - of the file of a mapping, whose address space is locked */
struct bt_file_id bufftrack_file_id(const struct vm_area_struct *vma)
{
	const struct inode *inode = file_inode(vma->vm_file);
	struct bt_file_id id = {
		.ino = inode->i_ino,
		.dev = inode->i_sb->s_dev,
		.i_generation = inode->i_generation,
	};

	/* A library is replaced in place, too; who maps it to write to it is no library. */
	if (!(vma->vm_flags & VM_SHARED)) {
		id.size = i_size_read(inode);
		id.mtime = bt_inode_mtime(inode);
	}
	return id;
}

/* bufftrack_file_hash - keyed, of a file and what else is to tell */
u32 bufftrack_file_hash(const struct bt_file_id *file, u64 more, u64 most)
{
	return siphash_4u64(file->ino ^ file->size, file->dev << 32 ^ file->i_generation,
			    file->mtime ^ more, most, &bt_mapped_secret);
}

/* A reference to the one that is there, or NULL. */
static struct bt_mapped *mapped_find(const struct bt_mapped_key *key)
{
	struct bt_mapped *mapped;

	lockdep_assert_held(&bt_mapped_lock);
	mapped = rhashtable_lookup_fast(&bt_mapped_files, key, bt_mapped_params);
	if (mapped)
		refcount_inc(&mapped->refs);
	return mapped;
}

/* bufftrack_mapped_put - drop a reference; NULL is allowed; may sleep */
void bufftrack_mapped_put(struct bt_mapped *mapped)
{
	if (!mapped || !refcount_dec_and_mutex_lock(&mapped->refs, &bt_mapped_lock))
		return;
	rhashtable_remove_fast(&bt_mapped_files, &mapped->node, bt_mapped_params);
	mutex_unlock(&bt_mapped_lock);
	/* Lookups have the mutex, but a resize of the table passes by under RCU. */
	kfree_rcu(mapped, rcu);
}

/* With a reference; its path and build id are read here, without the lock. */
static struct bt_mapped *mapped_new(const struct bt_mapped_key *key, struct file *file)
{
	size_t size = strlen(key->path) + 1;
	struct bt_mapped *mapped;

	mapped = kzalloc(struct_size(mapped, path, size), BT_GFP);
	if (!mapped)
		return NULL;
	refcount_set(&mapped->refs, 1);
	mapped->key = *key;
	mapped->size = i_size_read(file_inode(file));
	mapped->time = bt_inode_mtime(file_inode(file));
	mapped->key.path = memcpy(mapped->path, key->path, size);
	if (S_ISREG(file_inode(file)->i_mode) && file->f_mode & FMODE_READ)
		read_build_id(mapped, file);
	return mapped;
}

/**
 * bufftrack_mapped_get() - the file that a frame lies in
 * @file: the file
 * @id: which one it is
 * @uid: whose stack it is
 * @buf: PATH_MAX bytes to work in
 *
 * Return: a reference, or NULL for want of memory: the frame has its address then.
 */
struct bt_mapped *bufftrack_mapped_get(struct file *file, const struct bt_file_id *id, kuid_t uid,
				       char *buf)
{
	struct bt_mapped_key key = { .file = *id, .uid = uid };
	struct bt_mapped *mapped, *fresh;
	char *path;
	size_t len;

	/* As /proc/PID/maps has it: of an overlay's file that is not the layer's own path. */
	path = d_path(file_user_path(file), buf, PATH_MAX);
	if (IS_ERR(path))
		path = "";
	/* Of a long path the end tells more. */
	len = strlen(path);
	if (len >= BUFFTRACK_PATH_LEN)
		path += len - (BUFFTRACK_PATH_LEN - 1);
	key.path = path;
	key.hash = bufftrack_file_hash(id, __kuid_val(uid),
				       siphash(path, strlen(path), &bt_mapped_secret));

	mutex_lock(&bt_mapped_lock);
	mapped = mapped_find(&key);
	mutex_unlock(&bt_mapped_lock);
	if (mapped)
		return mapped;

	fresh = mapped_new(&key, file);
	if (!fresh)
		return NULL;
	mutex_lock(&bt_mapped_lock);
	mapped = mapped_find(&key);
	if (!mapped && !rhashtable_insert_fast(&bt_mapped_files, &fresh->node, bt_mapped_params)) {
		mapped = fresh;
		fresh = NULL;
	}
	mutex_unlock(&bt_mapped_lock);
	kfree(fresh);
	return mapped;
}

int __init bufftrack_mapped_init(void)
{
	get_random_bytes(&bt_mapped_secret, sizeof(bt_mapped_secret));
	return rhashtable_init(&bt_mapped_files, &bt_mapped_params);
}

void bufftrack_mapped_exit(void)
{
	WARN_ON(atomic_read(&bt_mapped_files.nelems));
	rhashtable_destroy(&bt_mapped_files);
}
