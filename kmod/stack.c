// SPDX-License-Identifier: GPL-2.0
/*
 * Stacks: the return addresses that callers pass, each distinct stack once.
 *
 * A stack belongs to an address space and a user: the same addresses in another
 * process are another stack. When it is new, each frame's mapped file and the offset in
 * it are kept, so that it can be read when the process is gone. Actors refer to
 * stacks, and records to actors: a stack goes with the last life that tells of
 * it.
 *
 * What it cannot know: a process that unmaps a library and maps another one at
 * its place still has the old stack at the same addresses.
 */
#include <linux/elf.h>
#include <linux/file.h>
#include <linux/fs.h>
#include <linux/mm.h>
#include <linux/random.h>
#include <linux/rhashtable.h>
#include <linux/sched/mm.h>
#include <linux/siphash.h>
#include <linux/slab.h>
#include <linux/uaccess.h>

#include "bufftrack.h"

/* Bytes of notes that are looked through for a build id. */
#define BT_MAX_NOTES 4096

/* Actors of a stack, the latest ones, among which one is looked for. */
#define BT_ACTORS_SEEN 32

/* Which file; another one in the same place differs in something. */
struct mapped_key {
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
	struct mapped_key key;
	u32 build_id_len;
	u8 build_id[BUFFTRACK_BUILD_ID_LEN];
	struct rcu_head rcu;
	char path[];
};

struct bt_frame {
	u64 address;
	u64 offset;
	union {
		struct file *file; /* while it is being made */
		struct bt_mapped *mapped; /* NULL where no file is mapped */
	};
};

struct bt_stack {
	refcount_t refs; /* of actors, and of calls under way */
	u32 id;
	u32 depth;
	u64 hash;
	kuid_t uid; /* of who passed it, and may read it */
	struct mm_struct *mm; /* pinned, so that no other has its address */
	struct bt_user *user;
	struct rhash_head node;
	spinlock_t lock; /* of the list of actors */
	struct list_head actors;
	struct work_struct free_work;
	struct rcu_head rcu;
	struct bt_frame frames[];
};

struct stack_key {
	u64 hash;
	const struct mm_struct *mm;
	kuid_t uid;
	u32 depth;
	const u64 *addresses;
};

/*
 * Readers of both hold RCU, and take a reference unless the last one has gone; who
 * drops the last takes the stack out of both, and frees it by way of a work and RCU.
 */
static struct rhashtable bt_stacks;
static DEFINE_XARRAY_FLAGS(bt_stacks_id, XA_FLAGS_ALLOC1 | XA_FLAGS_ACCOUNT);
static u32 bt_stacks_last;
static siphash_key_t bt_stack_secret;
static struct rhashtable bt_mapped_files;
static DEFINE_MUTEX(bt_mapped_lock);
static DEFINE_SPINLOCK(bt_offending_lock);

atomic64_t bufftrack_stacks_lost = ATOMIC64_INIT(0);

/* ---- the table ------------------------------------------------------------ */

static inline u32 stack_key_hashfn(const void *data, u32 len, u32 seed)
{
	return ((const struct stack_key *)data)->hash ^ seed;
}

static inline u32 stack_hashfn(const void *data, u32 len, u32 seed)
{
	return ((const struct bt_stack *)data)->hash ^ seed;
}

static inline int stack_cmpfn(struct rhashtable_compare_arg *arg, const void *obj)
{
	const struct stack_key *key = arg->key;
	const struct bt_stack *stack = obj;
	u32 i;

	if (stack->hash != key->hash || stack->mm != key->mm || !uid_eq(stack->uid, key->uid) ||
	    stack->depth != key->depth)
		return 1;
	for (i = 0; i < key->depth; i++)
		if (stack->frames[i].address != key->addresses[i])
			return 1;
	return 0;
}

static const struct rhashtable_params bt_stack_params = {
	.head_offset = offsetof(struct bt_stack, node),
	.key_len = sizeof(struct stack_key),
	.hashfn = stack_key_hashfn,
	.obj_hashfn = stack_hashfn,
	.obj_cmpfn = stack_cmpfn,
	.automatic_shrinking = true,
};

static inline u32 mapped_key_hashfn(const void *data, u32 len, u32 seed)
{
	return ((const struct mapped_key *)data)->hash ^ seed;
}

static inline u32 mapped_hashfn(const void *data, u32 len, u32 seed)
{
	return ((const struct bt_mapped *)data)->key.hash ^ seed;
}

static inline int mapped_cmpfn(struct rhashtable_compare_arg *arg, const void *obj)
{
	const struct mapped_key *a = arg->key;
	const struct mapped_key *b = &((const struct bt_mapped *)obj)->key;

	return a->hash != b->hash || a->ino != b->ino || a->dev != b->dev ||
	       a->i_generation != b->i_generation || a->size != b->size || strcmp(a->path, b->path);
}

static const struct rhashtable_params bt_mapped_params = {
	.head_offset = offsetof(struct bt_mapped, node),
	.key_len = sizeof(struct mapped_key),
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

static void mapped_key_init(struct mapped_key *key, const struct inode *inode, const char *path)
{
	*key = (struct mapped_key){
		.ino = inode->i_ino,
		.size = i_size_read(inode),
		.dev = inode->i_sb->s_dev,
		.i_generation = inode->i_generation,
		.path = path,
	};
	key->hash = siphash_4u64(key->ino, key->size, (u64)key->dev << 32 | key->i_generation,
				 siphash(path, strlen(path), &bt_stack_secret), &bt_stack_secret);
}

/* A reference to the one that is there, or NULL. */
static struct bt_mapped *mapped_find(const struct mapped_key *key)
{
	struct bt_mapped *mapped;

	lockdep_assert_held(&bt_mapped_lock);
	mapped = rhashtable_lookup_fast(&bt_mapped_files, key, bt_mapped_params);
	if (mapped)
		mapped->refs++;
	return mapped;
}

static void mapped_put(struct bt_mapped *mapped)
{
	if (!mapped)
		return;
	mutex_lock(&bt_mapped_lock);
	if (--mapped->refs)
		mapped = NULL;
	else
		rhashtable_remove_fast(&bt_mapped_files, &mapped->node, bt_mapped_params);
	mutex_unlock(&bt_mapped_lock);
	/* Lookups have the mutex, but a resize of the table passes by under RCU. */
	if (mapped)
		kfree_rcu(mapped, rcu);
}

/* With a reference; its path and build id are read here, without the lock. */
static struct bt_mapped *mapped_new(const struct mapped_key *key, struct file *file)
{
	size_t size = strlen(key->path) + 1;
	struct bt_mapped *mapped;

	mapped = kzalloc(struct_size(mapped, path, size), BT_GFP);
	if (!mapped)
		return NULL;
	mapped->refs = 1;
	mapped->key = *key;
	mapped->key.path = memcpy(mapped->path, key->path, size);
	if (S_ISREG(file_inode(file)->i_mode) && file->f_mode & FMODE_READ)
		read_build_id(mapped, file);
	return mapped;
}

/* A reference, or NULL for want of memory: the frame has its address then. */
static struct bt_mapped *mapped_get(struct file *file, char *buf)
{
	struct bt_mapped *mapped, *fresh;
	struct mapped_key key;
	char *path;
	size_t len;

	path = d_path(&file->f_path, buf, PATH_MAX);
	if (IS_ERR(path))
		path = "";
	/* Of a long path the end tells more. */
	len = strlen(path);
	if (len >= BUFFTRACK_PATH_LEN)
		path += len - (BUFFTRACK_PATH_LEN - 1);
	mapped_key_init(&key, file_inode(file), path);

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

/*
 * Which file is mapped where. The files are read only after the lock is gone: a
 * file system may take its time.
 */
static int find_files(struct bt_stack *stack)
{
	struct vm_area_struct *vma;
	struct bt_frame *frame;

	if (mmap_read_lock_killable(stack->mm))
		return -EINTR;
	for (frame = stack->frames; frame < stack->frames + stack->depth; frame++) {
		vma = find_vma(stack->mm, frame->address);
		/* On a 32-bit kernel an address may be beyond what find_vma() takes. */
		if (!vma || frame->address < vma->vm_start || frame->address >= vma->vm_end ||
		    !vma->vm_file)
			continue;
		frame->offset = frame->address - vma->vm_start + ((u64)vma->vm_pgoff << PAGE_SHIFT);
		frame->file = get_file(vma->vm_file);
	}
	mmap_read_unlock(stack->mm);
	return 0;
}

static int resolve(struct bt_stack *stack)
{
	struct bt_frame *frame;
	struct file *file;
	char *buf;
	int err;

	buf = kmalloc(PATH_MAX, BT_GFP);
	if (!buf)
		return -ENOMEM;
	err = find_files(stack);
	for (frame = stack->frames; !err && frame < stack->frames + stack->depth; frame++) {
		file = frame->file;
		if (!file)
			continue;
		frame->mapped = mapped_get(file, buf);
		fput(file);
	}
	kfree(buf);
	return err;
}

/* ---- stacks --------------------------------------------------------------- */

static void stack_free(struct bt_stack *stack)
{
	u32 i;

	for (i = 0; i < stack->depth; i++)
		mapped_put(stack->frames[i].mapped);
	mmdrop(stack->mm);
	atomic_dec(&stack->user->stacks);
	bufftrack_user_put(stack->user);
	kfree_rcu(stack, rcu);
}

static void stack_free_work(struct work_struct *work)
{
	stack_free(container_of(work, struct bt_stack, free_work));
}

/* bufftrack_stack_put - drop a reference; from any task, locks held */
void bufftrack_stack_put(struct bt_stack *stack)
{
	if (!refcount_dec_and_test(&stack->refs))
		return;
	/* stack_intern() may have done so. */
	rhashtable_remove_fast(&bt_stacks, &stack->node, bt_stack_params);
	xa_erase(&bt_stacks_id, stack->id);
	queue_work(bufftrack_wq, &stack->free_work);
}

/* Of all that a user may have they are a part, so that new ones come to their place. */
static u32 offending_slots(void)
{
	return min_t(u32, READ_ONCE(bufftrack_max_stacks) / 4, BT_OFFENDING);
}

/* Drops those in the slots from @from on. */
static void offending_drop(struct bt_user *user, u32 from)
{
	struct bt_stack *stack;

	for (; from < BT_OFFENDING; from++) {
		spin_lock(&bt_offending_lock);
		stack = user->offending[from];
		user->offending[from] = NULL;
		spin_unlock(&bt_offending_lock);
		if (stack)
			bufftrack_stack_put(stack);
	}
}

/**
 * bufftrack_stack_offending() - keep the stack of a bad call
 * @stack: of which the caller has a reference
 *
 * A refused call changes nothing, so that no record tells of its stack; who reads
 * of it in an event asks for it after the call is over.
 */
void bufftrack_stack_offending(struct bt_stack *stack)
{
	struct bt_user *user = stack->user;
	u32 slots = offending_slots(), i;

	if (!slots)
		return;
	spin_lock(&bt_offending_lock);
	for (i = 0; i < BT_OFFENDING; i++)
		if (user->offending[i] == stack)
			break;
	if (i == BT_OFFENDING) {
		refcount_inc(&stack->refs);
		i = user->offending_next++ % slots;
		swap(stack, user->offending[i]);
	} else {
		stack = NULL;
	}
	spin_unlock(&bt_offending_lock);
	if (stack)
		bufftrack_stack_put(stack);
}

/* bufftrack_stacks_forget - drop the stacks of a user's bad calls: at the end, with no calls */
void bufftrack_stacks_forget(struct bt_user *user)
{
	offending_drop(user, 0);
}

u32 bufftrack_stack_id(const struct bt_stack *stack)
{
	return stack ? stack->id : 0;
}

static struct bt_stack *stack_new(struct bt_user *user, const struct stack_key *key)
{
	struct bt_stack *stack;
	int err;
	u32 i;

	/* Of two at once for the last place both may be refused, never both let in. */
	if ((unsigned int)atomic_inc_return(&user->stacks) > READ_ONCE(bufftrack_max_stacks)) {
		/* The limit may have become lower: then theirs has. */
		offending_drop(user, offending_slots());
		err = -ENOSPC;
		goto dec;
	}
	err = -ENOMEM;
	stack = kzalloc(struct_size(stack, frames, key->depth), BT_GFP);
	if (!stack)
		goto dec;
	refcount_set(&stack->refs, 1);
	stack->depth = key->depth;
	stack->hash = key->hash;
	stack->uid = key->uid;
	for (i = 0; i < key->depth; i++)
		stack->frames[i].address = key->addresses[i];
	stack->mm = current->mm;
	err = resolve(stack);
	if (err)
		goto free;
	mmgrab(stack->mm);
	refcount_inc(&user->refs);
	stack->user = user;
	spin_lock_init(&stack->lock);
	INIT_LIST_HEAD(&stack->actors);
	INIT_WORK(&stack->free_work, stack_free_work);
	return stack;
free:
	kfree(stack);
dec:
	atomic_dec(&user->stacks);
	return ERR_PTR(err);
}

/* The stack of these addresses in the current address space, made if need be. */
static noinline_for_stack struct bt_stack *stack_intern(struct bt_user *user,
							const struct stack_key *key)
{
	struct bt_stack *stack, *fresh = NULL;
	int err;

	for (;;) {
		rcu_read_lock();
		stack = rhashtable_lookup(&bt_stacks, key, bt_stack_params);
		if (stack && !refcount_inc_not_zero(&stack->refs)) {
			/* Its last user may be kept from removing it: done for him. */
			rhashtable_remove_fast(&bt_stacks, &stack->node, bt_stack_params);
			stack = NULL;
		}
		rcu_read_unlock();
		if (stack)
			break;

		if (!fresh) {
			fresh = stack_new(user, key);
			if (IS_ERR(fresh))
				return fresh;
			err = xa_alloc_cyclic(&bt_stacks_id, &fresh->id, NULL, xa_limit_32b,
					      &bt_stacks_last, BT_GFP);
			if (err < 0) {
				stack_free(fresh);
				return ERR_PTR(err);
			}
		}
		err = rhashtable_lookup_insert_key(&bt_stacks, key, &fresh->node, bt_stack_params);
		if (!err) {
			/* Its place is there: storing it needs no memory. */
			xa_store(&bt_stacks_id, fresh->id, fresh, GFP_NOWAIT);
			return fresh;
		}
		if (err != -EEXIST) {
			stack = ERR_PTR(err);
			break;
		}
	}
	if (fresh) {
		xa_erase(&bt_stacks_id, fresh->id);
		stack_free(fresh);
	}
	return stack;
}

/**
 * bufftrack_stack_get() - the stack that a call passed
 * @client: the caller's
 * @addresses: the caller's array of return addresses, innermost first
 * @depth: of which there are so many, 1 to BT_MAX_STACK
 *
 * A stack that cannot be kept, for want of memory or beyond the user's limit,
 * does not fail the call that it came with.
 *
 * Return: a reference; NULL where it is lost; -EFAULT or -EINTR. May sleep.
 */
struct bt_stack *bufftrack_stack_get(struct bt_client *client, const u64 __user *addresses,
				     u32 depth)
{
	u64 buf[BT_MAX_STACK];
	struct stack_key key = {
		.mm = current->mm,
		.uid = current_euid(),
		.depth = depth,
		.addresses = buf,
	};
	struct bt_stack *stack;

	if (copy_from_user(buf, addresses, depth * sizeof(*buf)))
		return ERR_PTR(-EFAULT);
	/* Address spaces lie in slabs, so that those of the same addresses differ in few bits. */
	key.hash = siphash_3u64(siphash(buf, depth * sizeof(*buf), &bt_stack_secret),
				(unsigned long)key.mm, __kuid_val(key.uid), &bt_stack_secret);

	stack = stack_intern(client->user, &key);
	if (IS_ERR(stack) && PTR_ERR(stack) != -EINTR)
		return NULL;
	return stack;
}

/**
 * bufftrack_stack_actor() - a task with a stack
 * @base: the task's actor without one
 * @stack: the stack, whose reference is taken over
 *
 * Return: a reference to an actor of both, or NULL for want of memory: the one that is
 * there, or another where there are so many that looking for it costs more.
 */
struct bt_actor *bufftrack_stack_actor(const struct bt_actor *base, struct bt_stack *stack)
{
	struct bt_actor *actor, *fresh = NULL;
	unsigned int seen;

again:
	seen = 0;
	spin_lock(&stack->lock);
	list_for_each_entry(actor, &stack->actors, node) {
		if (seen++ == BT_ACTORS_SEEN)
			break;
		/* One without references is here until bufftrack_stack_forget() has the lock. */
		if (actor->tid == base->tid && uid_eq(actor->uid, base->uid) &&
		    !memcmp(actor->comm, base->comm, sizeof(base->comm)) &&
		    refcount_inc_not_zero(&actor->refs))
			goto found;
	}
	if (!fresh) {
		spin_unlock(&stack->lock);
		fresh = kmalloc(sizeof(*fresh), BT_GFP);
		if (!fresh) {
			bufftrack_stack_put(stack);
			return NULL;
		}
		goto again;
	}
	/* From here on the actor has the reference to the stack, and never changes. */
	actor = fresh;
	refcount_set(&actor->refs, 1);
	actor->uid = base->uid;
	actor->pid = get_pid(base->pid);
	actor->tid = get_pid(base->tid);
	memcpy(actor->comm, base->comm, sizeof(actor->comm));
	actor->stack = stack;
	list_add(&actor->node, &stack->actors);
	spin_unlock(&stack->lock);
	return actor;
found:
	spin_unlock(&stack->lock);
	kfree(fresh);
	bufftrack_stack_put(stack);
	return actor;
}

/* bufftrack_stack_forget - an actor without references leaves its stack */
void bufftrack_stack_forget(struct bt_actor *actor)
{
	struct bt_stack *stack = actor->stack;

	spin_lock(&stack->lock);
	list_del(&actor->node);
	spin_unlock(&stack->lock);
	bufftrack_stack_put(stack);
}

/* ---- STACK ---------------------------------------------------------------- */

static void fill_frame(struct bufftrack_frame *to, const struct bt_frame *from)
{
	const struct bt_mapped *mapped = from->mapped;

	*to = (struct bufftrack_frame){
		.address = from->address,
		.offset = from->offset,
	};
	if (!mapped)
		return;
	memcpy(to->build_id, mapped->build_id, mapped->build_id_len);
	to->build_id_len = mapped->build_id_len;
	strscpy(to->path, mapped->path, sizeof(to->path));
}

/**
 * bufftrack_stack() - answer a STACK whose inputs ioctl.c has checked
 * @arg: in and out
 *
 * Return: 0; or -ENOENT, -ENOMEM, -EFAULT. May sleep.
 */
int bufftrack_stack(struct bufftrack_stack *arg)
{
	u32 nr, i, len = min_t(u32, arg->frame_size, sizeof(struct bufftrack_frame));
	struct bufftrack_frame *frame;
	struct bt_stack *stack;
	u64 to = arg->frames;
	int err = 0;

	/* xa_store() in stack_intern() publishes it complete, its frames included. */
	rcu_read_lock();
	stack = xa_load(&bt_stacks_id, arg->stack_id);
	if (stack && !refcount_inc_not_zero(&stack->refs))
		stack = NULL;
	rcu_read_unlock();
	if (!stack)
		return -ENOENT;
	if (!bufftrack_may_see(stack->uid)) {
		err = -ENOENT;
		goto put;
	}
	frame = kmalloc(sizeof(*frame), BT_GFP);
	if (!frame) {
		err = -ENOMEM;
		goto put;
	}
	nr = min(arg->nr, stack->depth);
	arg->nr = stack->depth;
	for (i = 0; i < nr && !err; i++, to += arg->frame_size) {
		fill_frame(frame, &stack->frames[i]);
		if (copy_to_user(u64_to_user_ptr(to), frame, len) ||
		    clear_user(u64_to_user_ptr(to + len), arg->frame_size - len))
			err = -EFAULT;
	}
	kfree(frame);
put:
	bufftrack_stack_put(stack);
	return err;
}

/* ---- init ----------------------------------------------------------------- */

int __init bufftrack_stacks_init(void)
{
	int err;

	get_random_bytes(&bt_stack_secret, sizeof(bt_stack_secret));
	err = rhashtable_init(&bt_mapped_files, &bt_mapped_params);
	if (err)
		return err;
	err = rhashtable_init(&bt_stacks, &bt_stack_params);
	if (err)
		rhashtable_destroy(&bt_mapped_files);
	return err;
}

/* Records are gone, and the works that free stacks are done. */
void bufftrack_stacks_exit(void)
{
	WARN_ON(!xa_empty(&bt_stacks_id));
	rhashtable_destroy(&bt_stacks);
	WARN_ON(atomic_read(&bt_mapped_files.nelems));
	rhashtable_destroy(&bt_mapped_files);
	xa_destroy(&bt_stacks_id);
}
