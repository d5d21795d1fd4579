// SPDX-License-Identifier: GPL-2.0
/*
 * ALLOC, FREE and BATCH: copies and checks their arguments, and decides nothing.
 */
#include <linux/kernel.h>
#include <linux/ktime.h>
#include <linux/sched/signal.h>
#include <linux/uaccess.h>

#include "alloc.h"
#include "caller.h"
#include "compat.h"
#include "free.h"
#include "op.h"
#include "param.h"
#include "stack.h"
#include "undo.h"
#include "verdict.h"

/* Entries of a BATCH in the kernel at a time: on the stack. */
#define BT_BATCH_CHUNK 8U

/* Entries after which a BATCH lets others run, and looks whether it is to die. */
#define BT_BATCH_QUANTUM 32U

/*
 * The caller with the stack that it passed; without, where there is no memory or
 * room for it: then the stack is lost, and the call goes on.
 */
static int take_stack(struct bt_caller *caller, const struct bufftrack_op *op,
		      struct bt_caller *at_stack)
{
	struct bt_actor *actor = NULL;
	struct bt_stack *stack;

	if (!op->stack || !op->stack_depth || op->stack_depth > BT_MAX_STACK)
		return -EINVAL;
	/* To read it may take as long as its owner likes: see get_entries(). */
	bt_caller_flush(caller);
	stack = bufftrack_stack_get(caller->client->user, u64_to_user_ptr(op->stack),
				    op->stack_depth);
	if (IS_ERR(stack))
		return PTR_ERR(stack);
	if (stack)
		actor = bufftrack_actor_at(caller->actor, stack);
	if (!actor) {
		atomic64_inc(&bufftrack_stacks_lost);
		actor = caller->actor;
		refcount_inc(&actor->refs);
	}
	caller->now = ktime_get_ns();
	bufftrack_caller_init_actor(at_stack, caller, actor);
	return 0;
}

static __always_inline int carry_out(struct bt_caller *caller, struct bufftrack_op *op, u32 kind)
{
	return kind == BUFFTRACK_OP_ALLOC ? bufftrack_alloc(caller, op)
					  : bufftrack_free(caller, op);
}

#define BT_ALLOC_KINDS (BUFFTRACK_F_EXCLUSIVE | BUFFTRACK_F_RETAIN | BUFFTRACK_F_SAME)
#define BT_ALLOC_FLAGS \
	(BT_ALLOC_KINDS | BUFFTRACK_F_SHARED | BUFFTRACK_F_VIEW | BUFFTRACK_F_PERSISTENT)
#define BT_FREE_FLAGS (BUFFTRACK_F_VIEW | BUFFTRACK_F_LAST)

/* An ALLOC with other flags than EXCLUSIVE and SHARED, or with a token */
static noinline int check_rare_alloc(const struct bufftrack_op *op)
{
	u32 kinds = op->flags & BT_ALLOC_KINDS;

	if (op->flags & ~BT_ALLOC_FLAGS || kinds & (kinds - 1))
		return -EINVAL;
	if (op->flags & BUFFTRACK_F_VIEW && op->flags != BUFFTRACK_F_VIEW)
		return -EINVAL;
	if (op->token && !(op->flags & (BUFFTRACK_F_VIEW | BUFFTRACK_F_RETAIN)))
		return -EINVAL;
	return 0;
}

static __always_inline int check_alloc(const struct bufftrack_op *op)
{
	if (unlikely(op->token || op->flags & ~(BUFFTRACK_F_EXCLUSIVE | BUFFTRACK_F_SHARED)))
		return check_rare_alloc(op);
	return 0;
}

static __always_inline int check_free(const struct bufftrack_op *op, const struct bt_client *client)
{
	if (unlikely(op->tag || op->flags & ~BT_FREE_FLAGS || op->flags == BT_FREE_FLAGS))
		return -EINVAL;
	if (unlikely(!op->token && READ_ONCE(client->flags) & BUFFTRACK_CLIENT_REQUIRE_TOKEN))
		return -EINVAL;
	return 0;
}

/* With a stack: its actor is the call's own. */
static noinline int carry_out_at_stack(struct bt_caller *caller, struct bufftrack_op *op, u32 kind)
{
	struct bt_caller at_stack BT_UNINIT;
	int err;

	err = take_stack(caller, op, &at_stack);
	if (err)
		return err;
	err = carry_out(&at_stack, op, kind);
	if (unlikely(op->verdict != BUFFTRACK_OK) && at_stack.actor->stack)
		bufftrack_stack_offending(at_stack.actor->stack);
	op->stack_id = bufftrack_stack_id(at_stack.actor->stack);
	bufftrack_caller_exit(&at_stack);
	/* It may have waited: what comes next in a batch is not before it. */
	caller->now = at_stack.now;
	return err;
}

/* The fields from generation on are the answer. */
static int put_answers(struct bufftrack_op __user *user, const struct bufftrack_op *ops,
		       unsigned int nr)
{
	const struct bufftrack_op *op = ops;

	if (!user_write_access_begin(user, nr * sizeof(*ops)))
		return -EFAULT;
	for (; op < ops + nr; op++, user++) {
		unsafe_put_user(op->generation, &user->generation, fault);
		unsafe_put_user(op->refs, &user->refs, fault);
		unsafe_put_user(op->verdict, &user->verdict, fault);
		unsafe_put_user(op->info, &user->info, fault);
		unsafe_put_user(op->error, &user->error, fault);
		unsafe_put_user(op->stack_id, &user->stack_id, fault);
	}
	user_write_access_end();
	return 0;
fault:
	user_write_access_end();
	return -EFAULT;
}

static void clear_answer(struct bufftrack_op *op)
{
	op->generation = 0;
	op->refs = 0;
	op->verdict = BUFFTRACK_OK;
	op->info = 0;
	op->error = 0;
	op->stack_id = 0;
}

/*
 * A call that was refused: from now on what the client frees may never have been recorded,
 * and what it allocated may have been freed.
 */
static noinline int refused(struct bt_client *client, int err)
{
	WRITE_ONCE(client->unrecorded, true);
	return err;
}

/* 0, the errno of a call that changed nothing, or a STRICT client's verdict. */
static __always_inline int run_op(struct bt_caller *caller, struct bufftrack_op *op, u32 kind)
{
	int err;

	if (unlikely(op->reserved))
		return refused(caller->client, -EINVAL);
	err = kind == BUFFTRACK_OP_ALLOC ? check_alloc(op) : check_free(op, caller->client);
	if (unlikely(err))
		return refused(caller->client, err);
	if (unlikely(op->stack || op->stack_depth))
		err = carry_out_at_stack(caller, op, kind);
	else
		err = carry_out(caller, op, kind);
	if (unlikely(err))
		return refused(caller->client, err);
	if (unlikely(op->verdict != BUFFTRACK_OK) &&
	    READ_ONCE(caller->client->flags) & BUFFTRACK_CLIENT_STRICT)
		err = bufftrack_verdict_errno(op->verdict);
	return err;
}

static __always_inline int do_op(struct bt_client *client, struct bufftrack_op *op, u32 kind)
{
	struct bt_caller caller BT_UNINIT;
	int err;

	clear_answer(op);
	if (unlikely(op->op))
		return refused(client, -EINVAL);
	err = bufftrack_caller_init(&caller, client);
	if (unlikely(err)) {
		refused(client, err);
		if (kind == BUFFTRACK_OP_ALLOC)
			atomic64_inc(&bufftrack_failed);
		return err;
	}
	err = run_op(&caller, op, kind);
	bufftrack_caller_exit(&caller);
	return err;
}

/* bufftrack_op_alloc - ALLOC, of a struct of any size */
int bufftrack_op_alloc(struct bt_client *client, void *buf)
{
	return do_op(client, buf, BUFFTRACK_OP_ALLOC);
}

/* bufftrack_op_free - FREE, of a struct of any size */
int bufftrack_op_free(struct bt_client *client, void *buf)
{
	return do_op(client, buf, BUFFTRACK_OP_FREE);
}

/* UNDO takes a FREE's own struct, as it was answered. */
static noinline int run_undo(struct bt_caller *caller, struct bufftrack_op *op)
{
	op->error = 0;
	op->stack_id = 0;
	if (op->reserved || op->tag || op->flags & ~BUFFTRACK_F_LAST)
		return -EINVAL;
	return bufftrack_undo(caller, op);
}

/* bufftrack_op_undo - UNDO */
int bufftrack_op_undo(struct bt_client *client, void *buf)
{
	struct bufftrack_op *op = buf;
	struct bt_caller caller;
	int err;

	if (op->op)
		return -EINVAL;
	err = bufftrack_caller_init(&caller, client);
	if (err)
		return err;
	err = run_undo(&caller, op);
	bufftrack_caller_exit(&caller);
	return err;
}

/* Whether it was a bad one. */
static __always_inline bool run_entry(struct bt_caller *caller, struct bufftrack_op *op)
{
	int err;

	if (unlikely(op->op == BUFFTRACK_OP_UNDO)) {
		err = run_undo(caller, op);
		if (err)
			clear_answer(op);
		op->error = err;
		return err;
	}
	clear_answer(op);
	if (op->op == BUFFTRACK_OP_ALLOC)
		err = run_op(caller, op, BUFFTRACK_OP_ALLOC);
	else if (likely(op->op == BUFFTRACK_OP_FREE))
		err = run_op(caller, op, BUFFTRACK_OP_FREE);
	else
		err = refused(caller->client, -EINVAL);
	op->error = err;
	return unlikely(err || op->verdict != BUFFTRACK_OK);
}

/* Entries of another version than this kernel's: one by one. */
static int batch_strided(struct bt_caller *caller, struct bufftrack_batch *batch, u64 at)
{
	void __user *user = u64_to_user_ptr(at);
	struct bufftrack_op op BT_UNINIT;
	int err;

	err = copy_struct_from_user(&op, sizeof(op), user, batch->entry_size);
	caller->now = ktime_get_ns();
	if (err == -EFAULT)
		return err;
	if (err) {
		/* A tail that this kernel does not know: only the answer. */
		if (copy_from_user(&op, user, sizeof(op)))
			return -EFAULT;
		clear_answer(&op);
		op.error = err;
		batch->bad++;
	} else {
		batch->bad += run_entry(caller, &op);
		bt_caller_flush(caller);
	}
	batch->done++;
	return copy_to_user(user, &op, sizeof(op)) ? -EFAULT : 0;
}

/*
 * A page that is not there may take as long as its owner likes (userfaultfd): what
 * was done before that is counted by then, and what comes after it has its own time.
 */
static unsigned int get_entries(struct bt_caller *caller, struct bufftrack_op *ops,
				const struct bufftrack_op __user *user, unsigned int nr)
{
	unsigned int whole = 0;

	if (likely(!copy_from_user_nofault(ops, user, nr * sizeof(*ops))))
		return nr;
	bt_caller_flush(caller);
	/* One by one: of several, arm64 may copy fewer than there are before the fault. */
	while (whole < nr && !copy_from_user(&ops[whole], &user[whole], sizeof(*ops)))
		whole++;
	caller->now = ktime_get_ns();
	return whole;
}

static int answer_entries(struct bt_caller *caller, struct bufftrack_op __user *user,
			  const struct bufftrack_op *ops, unsigned int nr)
{
	int err;

	pagefault_disable();
	err = put_answers(user, ops, nr);
	pagefault_enable();
	if (likely(!err))
		return 0;
	bt_caller_flush(caller);
	err = put_answers(user, ops, nr);
	caller->now = ktime_get_ns();
	return err;
}

static noinline int batch_chunk(struct bt_caller *caller, struct bufftrack_batch *batch, u64 at)
{
	unsigned int nr = min(batch->nr - batch->done, BT_BATCH_CHUNK);
	struct bufftrack_op ops[BT_BATCH_CHUNK] BT_UNINIT;
	struct bufftrack_op __user *user = u64_to_user_ptr(at);
	unsigned int whole, bad = 0, i;

	/* Where it faults, the entries before that are carried out. */
	whole = get_entries(caller, ops, user, nr);
	for (i = 0; i < whole; i++)
		bad += run_entry(caller, &ops[i]);
	batch->done += whole;
	batch->bad += bad;
	if (answer_entries(caller, user, ops, whole) || whole < nr)
		return refused(caller->client, -EFAULT);
	return 0;
}

/* bufftrack_op_batch - BATCH */
int bufftrack_op_batch(struct bt_client *client, void *buf)
{
	struct bufftrack_batch *batch = buf;
	bool strided = batch->entry_size != sizeof(struct bufftrack_op);
	unsigned int done, quantum = 0;
	struct bt_caller caller;
	u64 at;
	int err;

	if (!batch->nr)
		return -EINVAL;
	/* Of one that is refused no entry is recorded. */
	if (batch->flags || batch->reserved || batch->nr > BT_MAX_BATCH)
		return refused(client, -EINVAL);
	if (batch->entry_size < sizeof(struct bufftrack_op) || batch->entry_size > BT_MAX_ENTRY ||
	    batch->entry_size % 8)
		return refused(client, -EINVAL);
	batch->done = 0;
	batch->bad = 0;

	err = bufftrack_caller_init(&caller, client);
	if (err)
		return refused(client, err);
	while (!err && batch->done < batch->nr) {
		done = batch->done;
		at = batch->entries + (u64)done * batch->entry_size;
		err = strided ? batch_strided(&caller, batch, at) : batch_chunk(&caller, batch, at);
		quantum += batch->done - done;
		if (quantum < BT_BATCH_QUANTUM)
			continue;
		quantum = 0;
		bt_caller_flush(&caller);
		cond_resched();
		caller.now = ktime_get_ns();
		if (!err && batch->done < batch->nr && fatal_signal_pending(current))
			err = refused(client, -EINTR);
	}
	bufftrack_caller_exit(&caller);
	return err;
}

/*
 * The struct of an ALLOC or a FREE. Where no answer can be written nothing is to be
 * changed, so that is tried here: both ends of it are written as they were.
 */
static __always_inline int get_op(struct bufftrack_op *op, struct bufftrack_op __user *user)
{
	if (!user_access_begin(user, sizeof(*user)))
		return -EFAULT;
	bt_unsafe_get_u64(op->device, &user->device, fault);
	bt_unsafe_get_u64(op->buffer, &user->buffer, fault);
	bt_unsafe_get_u64(op->size, &user->size, fault);
	bt_unsafe_get_u64(op->tag, &user->tag, fault);
	bt_unsafe_get_u64(op->token, &user->token, fault);
	bt_unsafe_get_u64(op->stack, &user->stack, fault);
	unsafe_get_user(op->stack_depth, &user->stack_depth, fault);
	unsafe_get_user(op->space, &user->space, fault);
	unsafe_get_user(op->op, &user->op, fault);
	unsafe_get_user(op->flags, &user->flags, fault);
	bt_unsafe_get_u64(op->generation, &user->generation, fault);
	unsafe_get_user(op->reserved, &user->reserved, fault);
	unsafe_put_user(op->generation, &user->generation, fault);
	unsafe_put_user(op->reserved, &user->reserved, fault);
	user_access_end();
	return 0;
fault:
	user_access_end();
	return -EFAULT;
}

static __always_inline long op_ioctl(struct bt_client *client, struct bufftrack_op __user *user,
				     u32 kind)
{
	struct bufftrack_op op BT_UNINIT;
	int err;

	if (get_op(&op, user))
		return refused(client, -EFAULT);
	err = do_op(client, &op, kind);
	if (unlikely(err) && op.verdict == BUFFTRACK_OK)
		return err;
	return put_answers(user, &op, 1) ?: err;
}

/**
 * bufftrack_op_ioctl() - an ALLOC or a FREE of this kernel's own size, as nearly all are
 * @client: the caller's
 * @user: the user's struct, of which no more is copied than the call takes
 * @kind: BUFFTRACK_OP_ALLOC or BUFFTRACK_OP_FREE
 *
 * Return: 0 or an errno, as the uapi header has them.
 */
long bufftrack_op_ioctl(struct bt_client *client, struct bufftrack_op __user *user, u32 kind)
{
	if (kind == BUFFTRACK_OP_ALLOC)
		return op_ioctl(client, user, BUFFTRACK_OP_ALLOC);
	return op_ioctl(client, user, BUFFTRACK_OP_FREE);
}
