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
#include <linux/file.h>
#include <linux/fs.h>
#include <linux/mm.h>
#include <linux/random.h>
#include <linux/rhashtable.h>
#include <linux/sched/mm.h>
#include <linux/siphash.h>
#include <linux/slab.h>
#include <linux/uaccess.h>

#include "mapped.h"
#include "param.h"
#include "stack.h"
#include "user.h"

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

/* ---- files ---------------------------------------------------------------- */

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
		frame->mapped = bufftrack_mapped_get(file, buf);
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
		bufftrack_mapped_put(stack->frames[i].mapped);
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

static void offending_drop_all(struct bt_user *user)
{
	offending_drop(user, 0);
}

/* bufftrack_stacks_forget - drop the stacks of bad calls: at the end, with no calls */
void bufftrack_stacks_forget(void)
{
	bufftrack_users_each(offending_drop_all);
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
 * @user: whose stacks it counts among
 * @addresses: the caller's array of return addresses, innermost first
 * @depth: of which there are so many, 1 to BT_MAX_STACK
 *
 * A stack that cannot be kept, for want of memory or beyond the user's limit,
 * does not fail the call that it came with.
 *
 * Return: a reference; NULL where it is lost; -EFAULT or -EINTR. May sleep.
 */
struct bt_stack *bufftrack_stack_get(struct bt_user *user, const u64 __user *addresses, u32 depth)
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

	stack = stack_intern(user, &key);
	if (IS_ERR(stack) && PTR_ERR(stack) != -EINTR)
		return NULL;
	return stack;
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
	to->inode = mapped->key.ino;
	to->file_size = mapped->key.size;
	to->file_time = mapped->time;
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
	err = bufftrack_mapped_init();
	if (err)
		return err;
	err = rhashtable_init(&bt_stacks, &bt_stack_params);
	if (err)
		bufftrack_mapped_exit();
	return err;
}

/* Records are gone, and the works that free stacks are done. */
void bufftrack_stacks_exit(void)
{
	WARN_ON(!xa_empty(&bt_stacks_id));
	rhashtable_destroy(&bt_stacks);
	bufftrack_mapped_exit();
	xa_destroy(&bt_stacks_id);
}
