// SPDX-License-Identifier: GPL-2.0
/*
 * The commands: copies and checks their arguments, and decides nothing.
 */
#include <linux/capability.h>
#include <linux/ctype.h>
#include <linux/fs.h>
#include <linux/ktime.h>
#include <linux/nospec.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>
#include <linux/uaccess.h>

#include "bufftrack.h"
#include "compat.h"

#define BT_FEATURES                                                                        \
	(BUFFTRACK_FEATURE_CORE | BUFFTRACK_FEATURE_BATCH | BUFFTRACK_FEATURE_LABEL |      \
	 BUFFTRACK_FEATURE_RESET | BUFFTRACK_FEATURE_STACK | BUFFTRACK_FEATURE_EXCLUSIVE | \
	 BUFFTRACK_FEATURE_SHARED | BUFFTRACK_FEATURE_VIEW | BUFFTRACK_FEATURE_PRIVATE |   \
	 BUFFTRACK_FEATURE_STRICT | BUFFTRACK_FEATURE_TRAP)

#define BT_CLIENT_FLAGS (BUFFTRACK_CLIENT_PRIVATE | BUFFTRACK_CLIENT_STRICT | BUFFTRACK_CLIENT_TRAP)

#define BT_LIST_FLAGS                                                         \
	(BUFFTRACK_LIST_DEAD | BUFFTRACK_LIST_DEVICE | BUFFTRACK_LIST_SPACE | \
	 BUFFTRACK_LIST_CLIENT | BUFFTRACK_LIST_PID)

/* Entries of a BATCH in the kernel at a time: on the stack. */
#define BT_BATCH_CHUNK 8U
#define BT_MAX_ENTRY 4096U

/* Entries after which a BATCH lets others run, and looks whether it is to die. */
#define BT_BATCH_QUANTUM 32U

static int do_info(struct bt_client *client, void *buf)
{
	struct bufftrack_info *info = buf;

	if (info->flags || info->reserved)
		return -EINVAL;
	*info = (struct bufftrack_info){
		.features = BT_FEATURES,
		.max_buffers = READ_ONCE(bufftrack_max_buffers),
		.max_devices = READ_ONCE(bufftrack_max_devices),
		.history = READ_ONCE(bufftrack_history),
		.max_stacks = READ_ONCE(bufftrack_max_stacks),
		.max_stack_depth = BT_MAX_STACK,
		.max_batch = BT_MAX_BATCH,
		.max_spaces = BT_MAX_SPACES,
		.log_limit = READ_ONCE(bufftrack_log_limit),
	};
	bufftrack_stats_info(info);
	return 0;
}

/* In any language, but no line of its own in what a tracepoint prints. */
static bool name_ok(const char *name)
{
	size_t i, len = strnlen(name, BUFFTRACK_NAME_LEN);

	for (i = 0; i < len; i++)
		if (iscntrl(name[i]))
			return false;
	return len < BUFFTRACK_NAME_LEN;
}

static int do_client(struct bt_client *client, void *buf)
{
	struct bufftrack_client *arg = buf;

	if (arg->mask & ~(BT_CLIENT_FLAGS | BUFFTRACK_CLIENT_NAME) || arg->flags & ~BT_CLIENT_FLAGS)
		return -EINVAL;
	if (arg->mask & BUFFTRACK_CLIENT_NAME && !name_ok(arg->name))
		return -EINVAL;
	return bufftrack_client_set(client, arg);
}

/* ---- ALLOC, FREE, BATCH --------------------------------------------------- */

/*
 * The caller with the stack that it passed; without, where there is no memory or
 * room for it: then the stack is lost, and the call goes on.
 */
static int take_stack(struct bt_caller *caller, const struct bufftrack_op *op,
		      struct bt_caller *with)
{
	struct bt_actor *actor = NULL;
	struct bt_stack *stack;

	if (!op->stack || !op->stack_depth || op->stack_depth > BT_MAX_STACK)
		return -EINVAL;
	/* To read it may take as long as its owner likes: see get_entries(). */
	bufftrack_tally_flush(caller);
	stack = bufftrack_stack_get(caller->client, u64_to_user_ptr(op->stack), op->stack_depth);
	if (IS_ERR(stack))
		return PTR_ERR(stack);
	if (stack)
		actor = bufftrack_stack_actor(caller->actor, stack);
	if (!actor) {
		atomic64_inc(&bufftrack_stacks_lost);
		actor = caller->actor;
		refcount_inc(&actor->refs);
	}
	caller->now = ktime_get_ns();
	with->client = caller->client;
	with->actor = actor;
	with->refs = 1;
	with->now = caller->now;
	with->tally.space = NULL;
	with->nr_spare = 0;
	return 0;
}

static __always_inline int judge(struct bt_caller *caller, struct bufftrack_op *op, u32 kind)
{
	return kind == BUFFTRACK_OP_ALLOC ? bufftrack_alloc(caller, op)
					  : bufftrack_free(caller, op);
}

static int check_alloc(const struct bufftrack_op *op)
{
	if (unlikely(op->token))
		return -EINVAL;
	if (unlikely(op->flags & ~(BUFFTRACK_F_EXCLUSIVE | BUFFTRACK_F_SHARED | BUFFTRACK_F_VIEW)))
		return -EINVAL;
	if (unlikely(op->flags & BUFFTRACK_F_VIEW && op->flags != BUFFTRACK_F_VIEW))
		return -EINVAL;
	return 0;
}

static int check_free(const struct bufftrack_op *op)
{
	return unlikely(op->tag || op->flags & ~BUFFTRACK_F_VIEW) ? -EINVAL : 0;
}

/* With a stack: its actor is the call's own. */
static noinline int judge_at(struct bt_caller *caller, struct bufftrack_op *op, u32 kind)
{
	struct bt_caller with BT_UNINIT;
	int err;

	err = take_stack(caller, op, &with);
	if (err)
		return err;
	err = judge(&with, op, kind);
	if (unlikely(op->verdict != BUFFTRACK_OK) && with.actor->stack)
		bufftrack_stack_offending(with.actor->stack);
	bufftrack_caller_exit(&with);
	/* It may have waited: what comes next in a batch is not before it. */
	caller->now = with.now;
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
}

/* 0, the errno of a call that changed nothing, or a STRICT client's verdict. */
static __always_inline int run_op(struct bt_caller *caller, struct bufftrack_op *op, u32 kind)
{
	int err;

	err = kind == BUFFTRACK_OP_ALLOC ? check_alloc(op) : check_free(op);
	if (unlikely(err))
		return err;
	if (unlikely(op->stack || op->stack_depth))
		err = judge_at(caller, op, kind);
	else
		err = judge(caller, op, kind);
	if (unlikely(op->verdict != BUFFTRACK_OK) && !err &&
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
		return -EINVAL;
	err = bufftrack_caller_init(&caller, client);
	if (unlikely(err)) {
		if (kind == BUFFTRACK_OP_ALLOC)
			atomic64_inc(&bufftrack_failed);
		return err;
	}
	err = run_op(&caller, op, kind);
	bufftrack_caller_exit(&caller);
	return err;
}

static int do_alloc(struct bt_client *client, void *buf)
{
	return do_op(client, buf, BUFFTRACK_OP_ALLOC);
}

static int do_free(struct bt_client *client, void *buf)
{
	return do_op(client, buf, BUFFTRACK_OP_FREE);
}

/* Whether it was a bad one. */
static __always_inline bool run_entry(struct bt_caller *caller, struct bufftrack_op *op)
{
	int err = -EINVAL;

	clear_answer(op);
	if (op->op == BUFFTRACK_OP_ALLOC)
		err = run_op(caller, op, BUFFTRACK_OP_ALLOC);
	else if (likely(op->op == BUFFTRACK_OP_FREE))
		err = run_op(caller, op, BUFFTRACK_OP_FREE);
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
		bufftrack_tally_flush(caller);
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
	bufftrack_tally_flush(caller);
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
	bufftrack_tally_flush(caller);
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
		return -EFAULT;
	return 0;
}

static int do_batch(struct bt_client *client, void *buf)
{
	struct bufftrack_batch *batch = buf;
	bool strided = batch->entry_size != sizeof(struct bufftrack_op);
	unsigned int done, quantum = 0;
	struct bt_caller caller;
	u64 at;
	int err;

	if (batch->flags || batch->reserved)
		return -EINVAL;
	if (!batch->nr || batch->nr > BT_MAX_BATCH)
		return -EINVAL;
	if (batch->entry_size < sizeof(struct bufftrack_op) || batch->entry_size > BT_MAX_ENTRY ||
	    batch->entry_size % 8)
		return -EINVAL;
	batch->done = 0;
	batch->bad = 0;

	err = bufftrack_caller_init(&caller, client);
	if (err)
		return err;
	while (!err && batch->done < batch->nr) {
		done = batch->done;
		at = batch->entries + (u64)done * batch->entry_size;
		err = strided ? batch_strided(&caller, batch, at) : batch_chunk(&caller, batch, at);
		quantum += batch->done - done;
		if (quantum < BT_BATCH_QUANTUM)
			continue;
		quantum = 0;
		bufftrack_tally_flush(&caller);
		cond_resched();
		caller.now = ktime_get_ns();
		if (!err && batch->done < batch->nr && fatal_signal_pending(current))
			err = -EINTR;
	}
	bufftrack_caller_exit(&caller);
	return err;
}

/* ---- the rest ------------------------------------------------------------- */

/* Labels stand in key=value output: nothing that could be taken for more. */
static bool label_ok(const char *label)
{
	size_t i, len = strnlen(label, BUFFTRACK_NAME_LEN);

	if (len == BUFFTRACK_NAME_LEN)
		return false;
	for (i = 0; i < len; i++)
		if (!isascii(label[i]) || !isgraph(label[i]) || strchr("\"'=\\", label[i]))
			return false;
	return true;
}

static int do_label(struct bt_client *client, void *buf)
{
	struct bufftrack_label *arg = buf;
	struct bt_attach *attach;
	size_t len;

	if (arg->flags & ~BUFFTRACK_LABEL_SPACE || !label_ok(arg->label))
		return -EINVAL;
	if (arg->space && !(arg->flags & BUFFTRACK_LABEL_SPACE))
		return -EINVAL;
	len = strlen(arg->label);
	memset(arg->label + len, 0, sizeof(arg->label) - len);

	WRITE_ONCE(client->used, true);
	attach = bufftrack_attach(client, arg->device, true);
	if (IS_ERR(attach))
		return PTR_ERR(attach);
	return bufftrack_label(attach->share, arg);
}

static int do_reset(struct bt_client *client, void *buf)
{
	struct bufftrack_reset *arg = buf;
	struct bt_caller caller;
	int err;

	if (arg->flags || arg->reserved)
		return -EINVAL;
	if (!capable(CAP_SYS_ADMIN))
		return -EPERM;
	arg->lives = 0;
	err = bufftrack_caller_init(&caller, client);
	if (err)
		return err;
	err = bufftrack_reset(&caller, arg);
	bufftrack_caller_exit(&caller);
	return err;
}

static int do_stat(struct bt_client *client, void *buf)
{
	struct bufftrack_stat *arg = buf;
	bool next = arg->flags & BUFFTRACK_STAT_NEXT;
	bool device = false, space = false, id = false;

	if (arg->scope > BUFFTRACK_STAT_CLIENT || arg->flags & ~BUFFTRACK_STAT_NEXT ||
	    memchr_inv(arg->reserved, 0, sizeof(arg->reserved)))
		return -EINVAL;
	switch (arg->scope) {
	case BUFFTRACK_STAT_ALL:
		if (next)
			return -EINVAL;
		break;
	case BUFFTRACK_STAT_DEVICE:
		device = !next;
		break;
	case BUFFTRACK_STAT_SPACE:
		device = true;
		space = !next;
		break;
	case BUFFTRACK_STAT_CLIENT:
		id = !next;
		break;
	}
	/* What this scope does not take must be 0, but for a walk's last answer. */
	if (!next && ((!device && arg->device) || (!space && arg->space) || (!id && arg->client) ||
		      arg->cursor))
		return -EINVAL;

	*arg = (struct bufftrack_stat){
		.scope = arg->scope,
		.flags = arg->flags,
		.cursor = arg->cursor,
		.device = device ? arg->device : 0,
		.space = space ? arg->space : 0,
		.client = id ? arg->client : 0,
	};
	return bufftrack_stat(client, arg);
}

static int do_list(struct bt_client *client, void *buf)
{
	struct bufftrack_list *arg = buf;

	if (arg->flags & ~BT_LIST_FLAGS || arg->reserved || !arg->nr)
		return -EINVAL;
	if (arg->entry_size < sizeof(struct bufftrack_life) || arg->entry_size > BT_MAX_ENTRY ||
	    arg->entry_size % 8)
		return -EINVAL;
	if ((arg->space && !(arg->flags & BUFFTRACK_LIST_SPACE)) ||
	    (arg->device && !(arg->flags & BUFFTRACK_LIST_DEVICE)) ||
	    (arg->client && !(arg->flags & BUFFTRACK_LIST_CLIENT)) ||
	    (arg->pid && !(arg->flags & BUFFTRACK_LIST_PID)))
		return -EINVAL;
	return bufftrack_list(arg);
}

static int do_stack(struct bt_client *client, void *buf)
{
	struct bufftrack_stack *arg = buf;

	if (arg->flags)
		return -EINVAL;
	if (arg->frame_size < sizeof(struct bufftrack_frame) || arg->frame_size > BT_MAX_ENTRY ||
	    arg->frame_size % 8)
		return -EINVAL;
	return bufftrack_stack(arg);
}

/* ---- dispatch ------------------------------------------------------------- */

/**
 * struct bt_command - one command
 * @run: carries it out; its inputs come in and its outputs go out in @buf
 * @size: the struct's size in this kernel
 * @min: its size in the command's first version
 */
struct bt_command {
	int (*run)(struct bt_client *client, void *buf);
	unsigned int size;
	unsigned int min;
};

#define FIRST _IOC_NR(BUFFTRACK_IOC_INFO)
#define COMMAND(cmd, fn, type, last)            \
	[_IOC_NR(cmd) - FIRST] = {              \
		.run = fn,                      \
		.size = sizeof(type),           \
		.min = offsetofend(type, last), \
	}

/* The last field named is that of the first version, whatever comes after. */
static const struct bt_command commands[] = {
	COMMAND(BUFFTRACK_IOC_INFO, do_info, struct bufftrack_info, failed),
	COMMAND(BUFFTRACK_IOC_CLIENT, do_client, struct bufftrack_client, id),
	COMMAND(BUFFTRACK_IOC_ALLOC, do_alloc, struct bufftrack_op, error),
	COMMAND(BUFFTRACK_IOC_FREE, do_free, struct bufftrack_op, error),
	COMMAND(BUFFTRACK_IOC_BATCH, do_batch, struct bufftrack_batch, reserved),
	COMMAND(BUFFTRACK_IOC_LABEL, do_label, struct bufftrack_label, label),
	COMMAND(BUFFTRACK_IOC_RESET, do_reset, struct bufftrack_reset, lives),
	COMMAND(BUFFTRACK_IOC_STAT, do_stat, struct bufftrack_stat, reserved),
	COMMAND(BUFFTRACK_IOC_LIST, do_list, struct bufftrack_list, cursor),
	COMMAND(BUFFTRACK_IOC_STACK, do_stack, struct bufftrack_stack, flags),
};

union bt_any {
	struct bufftrack_info info;
	struct bufftrack_client client;
	struct bufftrack_op op;
	struct bufftrack_batch batch;
	struct bufftrack_label label;
	struct bufftrack_reset reset;
	struct bufftrack_stat stat;
	struct bufftrack_list list;
	struct bufftrack_stack stack;
};

/*
 * The struct of an ALLOC or a FREE. Where no answer can be written nothing is to be
 * changed, so that is tried here: both ends of it are written as they were.
 */
static __always_inline int get_op(struct bufftrack_op *op, struct bufftrack_op __user *user)
{
	if (!user_access_begin(user, sizeof(*user)))
		return -EFAULT;
	unsafe_get_user(op->device, &user->device, fault);
	unsafe_get_user(op->buffer, &user->buffer, fault);
	unsafe_get_user(op->size, &user->size, fault);
	unsafe_get_user(op->tag, &user->tag, fault);
	unsafe_get_user(op->token, &user->token, fault);
	unsafe_get_user(op->stack, &user->stack, fault);
	unsafe_get_user(op->stack_depth, &user->stack_depth, fault);
	unsafe_get_user(op->space, &user->space, fault);
	unsafe_get_user(op->op, &user->op, fault);
	unsafe_get_user(op->flags, &user->flags, fault);
	unsafe_get_user(op->generation, &user->generation, fault);
	unsafe_get_user(op->error, &user->error, fault);
	unsafe_put_user(op->generation, &user->generation, fault);
	unsafe_put_user(op->error, &user->error, fault);
	user_access_end();
	return 0;
fault:
	user_access_end();
	return -EFAULT;
}

/*
 * An ALLOC or a FREE of this kernel's own size, as nearly all are: no more is
 * copied than it takes.
 */
static __always_inline long op_ioctl(struct bt_client *client, struct bufftrack_op __user *user,
				     u32 kind)
{
	struct bufftrack_op op BT_UNINIT;
	int err;

	if (get_op(&op, user))
		return -EFAULT;
	err = do_op(client, &op, kind);
	if (unlikely(err) && op.verdict == BUFFTRACK_OK)
		return err;
	return put_answers(user, &op, 1) ?: err;
}

/* Errors after which the struct is written: it says what was done or judged. */
static bool answers(const struct bt_command *command, int err, const union bt_any *any)
{
	if (command->run == do_alloc || command->run == do_free)
		return any->op.verdict != BUFFTRACK_OK;
	return command->run == do_batch && (err == -EFAULT || err == -EINTR);
}

/* noinline: the union is zeroed where the kernel zeroes its stack. */
static noinline long any_ioctl(struct bt_client *client, unsigned int cmd, void __user *user)
{
	const struct bt_command *command;
	unsigned int nr = _IOC_NR(cmd) - FIRST;
	unsigned int size = _IOC_SIZE(cmd);
	union bt_any any;
	int err;

	if (_IOC_TYPE(cmd) != BUFFTRACK_IOC_MAGIC || _IOC_DIR(cmd) != (_IOC_READ | _IOC_WRITE) ||
	    nr >= ARRAY_SIZE(commands))
		return -ENOTTY;
	command = &commands[array_index_nospec(nr, ARRAY_SIZE(commands))];
	if (!command->run)
		return -ENOTTY;
	if (size < command->min)
		return -EINVAL;
	err = copy_struct_from_user(&any, command->size, user, size);
	if (err)
		return err;
	/* As in get_op(). */
	if (copy_to_user(user, &any, min(size, command->size)))
		return -EFAULT;

	err = command->run(client, &any);
	if (err && !answers(command, err, &any))
		return err;
	if (copy_to_user(user, &any, min(size, command->size)))
		return -EFAULT;
	return err;
}

/**
 * bufftrack_ioctl() - the node's only operation, for 64- and 32-bit callers
 * @file: the open file, whose private data is the client
 * @cmd: one of BUFFTRACK_IOC_*, whatever size of struct it carries
 * @arg: the user's struct
 *
 * Return: 0 or an errno, as the uapi header has them.
 */
long bufftrack_ioctl(struct file *file, unsigned int cmd, unsigned long arg)
{
	void __user *user = (void __user *)arg;

	if (likely(cmd == BUFFTRACK_IOC_ALLOC))
		return op_ioctl(file->private_data, user, BUFFTRACK_OP_ALLOC);
	if (likely(cmd == BUFFTRACK_IOC_FREE))
		return op_ioctl(file->private_data, user, BUFFTRACK_OP_FREE);
	return any_ioctl(file->private_data, cmd, user);
}
