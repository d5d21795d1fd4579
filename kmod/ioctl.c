// SPDX-License-Identifier: GPL-2.0
/*
 * The commands but ALLOC, FREE and BATCH, and which one it is: copies and checks their
 * arguments, and decides nothing.
 */
#include <linux/capability.h>
#include <linux/ctype.h>
#include <linux/fs.h>
#include <linux/ktime.h>
#include <linux/nospec.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>
#include <linux/uaccess.h>

#include "caller.h"
#include "close.h"
#include "compat.h"
#include "holders.h"
#include "ioctl.h"
#include "list.h"
#include "op.h"
#include "param.h"
#include "ring.h"
#include "stack.h"
#include "stat.h"

#define BT_FEATURES                                                                        \
	(BUFFTRACK_FEATURE_CORE | BUFFTRACK_FEATURE_BATCH | BUFFTRACK_FEATURE_LABEL |      \
	 BUFFTRACK_FEATURE_RESET | BUFFTRACK_FEATURE_STACK | BUFFTRACK_FEATURE_EXCLUSIVE | \
	 BUFFTRACK_FEATURE_SHARED | BUFFTRACK_FEATURE_VIEW | BUFFTRACK_FEATURE_PRIVATE |   \
	 BUFFTRACK_FEATURE_STRICT | BUFFTRACK_FEATURE_TRAP | BUFFTRACK_FEATURE_RETAIN |    \
	 BUFFTRACK_FEATURE_LAST | BUFFTRACK_FEATURE_PERSISTENT | BUFFTRACK_FEATURE_UNDO |  \
	 BUFFTRACK_FEATURE_RESET_CLIENT | BUFFTRACK_FEATURE_REQUIRE_TOKEN |                \
	 BUFFTRACK_FEATURE_PARTIAL | BUFFTRACK_FEATURE_HOLDERS | BUFFTRACK_FEATURE_EVENTS)

#define BT_CLIENT_FLAGS                                                               \
	(BUFFTRACK_CLIENT_PRIVATE | BUFFTRACK_CLIENT_STRICT | BUFFTRACK_CLIENT_TRAP | \
	 BUFFTRACK_CLIENT_REQUIRE_TOKEN | BUFFTRACK_CLIENT_PARTIAL | BUFFTRACK_CLIENT_FORKED)

#define BT_RESET_FLAGS \
	(BUFFTRACK_RESET_CLIENT | BUFFTRACK_RESET_SPACE | BUFFTRACK_RESET_TAG | BUFFTRACK_RESET_ALL)

#define BT_LIST_FLAGS                                                                              \
	(BUFFTRACK_LIST_DEAD | BUFFTRACK_LIST_DEVICE | BUFFTRACK_LIST_SPACE |                      \
	 BUFFTRACK_LIST_CLIENT | BUFFTRACK_LIST_PID | BUFFTRACK_LIST_TAG | BUFFTRACK_LIST_BUFFER | \
	 BUFFTRACK_LIST_GENERATION)

#define BT_MAX_ENTRY 4096U

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
		.max_events = BT_RING_EVENTS,
	};
	bufftrack_stat_info(info);
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

static bool label_inputs_ok(const struct bufftrack_label *arg)
{
	const u32 of = BUFFTRACK_LABEL_SPACE | BUFFTRACK_LABEL_TAG;

	if (arg->flags & ~(of | BUFFTRACK_LABEL_GET) || (arg->flags & of) == of)
		return false;
	return (!arg->space || arg->flags & BUFFTRACK_LABEL_SPACE) &&
	       (!arg->tag || arg->flags & BUFFTRACK_LABEL_TAG);
}

/* What is read brings nothing into being. */
static int do_label_get(struct bt_client *client, struct bufftrack_label *arg)
{
	struct bt_attach *attach = bufftrack_attach_make_known(client, arg->device);

	if (IS_ERR(attach))
		return PTR_ERR(attach);
	if (!attach)
		return -ENOENT;
	memset(arg->label, 0, sizeof(arg->label));
	return bufftrack_label(attach->share, arg);
}

static int do_label(struct bt_client *client, void *buf)
{
	struct bufftrack_label *arg = buf;
	struct bt_attach *attach;
	size_t len;

	if (!label_inputs_ok(arg))
		return -EINVAL;
	if (!(arg->flags & BUFFTRACK_LABEL_GET) && !label_ok(arg->label))
		return -EINVAL;
	/* What is refused changes nothing: PRIVATE can still be set. */
	WRITE_ONCE(client->used, true);
	if (arg->flags & BUFFTRACK_LABEL_GET)
		return do_label_get(client, arg);
	len = strlen(arg->label);
	memset(arg->label + len, 0, sizeof(arg->label) - len);

	attach = bufftrack_attach_make(client, arg->device);
	if (IS_ERR(attach))
		return PTR_ERR(attach);
	return bufftrack_label(attach->share, arg);
}

static bool reset_ok(const struct bufftrack_reset *arg)
{
	const u32 of_client = BUFFTRACK_RESET_TAG | BUFFTRACK_RESET_ALL;
	u32 flags = arg->flags;

	if (flags & ~BT_RESET_FLAGS || (flags & of_client && !(flags & BUFFTRACK_RESET_CLIENT)))
		return false;
	if (flags & BUFFTRACK_RESET_ALL && (flags & BUFFTRACK_RESET_SPACE || arg->device))
		return false;
	return (!arg->space || flags & BUFFTRACK_RESET_SPACE) &&
	       (!arg->tag || flags & BUFFTRACK_RESET_TAG);
}

static int do_reset(struct bt_client *client, void *buf)
{
	struct bufftrack_reset *arg = buf;
	struct bt_caller caller;
	int err;

	if (!reset_ok(arg))
		return -EINVAL;
	if (!(arg->flags & BUFFTRACK_RESET_CLIENT) && !capable(CAP_SYS_ADMIN))
		return -EPERM;
	arg->lives = 0;
	arg->holds = 0;
	err = bufftrack_caller_init(&caller, client);
	if (err)
		return err;
	if (arg->flags & BUFFTRACK_RESET_CLIENT)
		bufftrack_reset_client(&caller, arg);
	else
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

/* An array of entries: from one to the next at least as much as the first version had. */
static bool entries_ok(u32 entry_size, size_t first)
{
	return entry_size >= first && entry_size <= BT_MAX_ENTRY && !(entry_size % 8);
}

/* An input that goes with a flag is 0 without it. */
static bool list_inputs_ok(const struct bufftrack_list *arg)
{
	const struct {
		u64 value;
		u32 flag;
	} inputs[] = {
		{ arg->space, BUFFTRACK_LIST_SPACE },
		{ arg->device, BUFFTRACK_LIST_DEVICE },
		{ arg->client, BUFFTRACK_LIST_CLIENT },
		{ arg->pid, BUFFTRACK_LIST_PID },
		{ arg->tag, BUFFTRACK_LIST_TAG },
		{ arg->buffer, BUFFTRACK_LIST_BUFFER },
		{ arg->generation, BUFFTRACK_LIST_GENERATION },
	};
	size_t i;

	for (i = 0; i < ARRAY_SIZE(inputs); i++)
		if (inputs[i].value && !(arg->flags & inputs[i].flag))
			return false;
	return true;
}

static int do_list(struct bt_client *client, void *buf)
{
	struct bufftrack_list *arg = buf;

	if (arg->flags & ~BT_LIST_FLAGS || arg->reserved || !arg->nr ||
	    !entries_ok(arg->entry_size, sizeof(struct bufftrack_life)) || !list_inputs_ok(arg))
		return -EINVAL;
	return bufftrack_list(arg);
}

static int do_holders(struct bt_client *client, void *buf)
{
	struct bufftrack_holders *arg = buf;

	if (arg->flags || !entries_ok(arg->entry_size, sizeof(struct bufftrack_holder)))
		return -EINVAL;
	return bufftrack_holders(client, arg);
}

static int do_events(struct bt_client *client, void *buf)
{
	struct bufftrack_events *arg = buf;
	bool end = arg->flags & BUFFTRACK_EVENTS_END;

	if (arg->flags & ~BUFFTRACK_EVENTS_END || arg->reserved)
		return -EINVAL;
	if (end ? arg->nr || arg->entry_size
		: !arg->nr || !entries_ok(arg->entry_size, sizeof(struct bufftrack_bad)))
		return -EINVAL;
	return bufftrack_events(client, arg);
}

static int do_stack(struct bt_client *client, void *buf)
{
	struct bufftrack_stack *arg = buf;

	if (arg->flags)
		return -EINVAL;
	if (!entries_ok(arg->frame_size, sizeof(struct bufftrack_frame)))
		return -EINVAL;
	return bufftrack_stack(arg);
}

/* ---- dispatch ------------------------------------------------------------- */

/**
 * struct bt_command - one command
 * @run: carries it out; its inputs come in and its outputs go out in @buf
 * @size: the struct's size in this kernel
 * @min: its size in the command's first version
 * @answers: whether the struct is written with this error, too; NULL: never
 */
struct bt_command {
	int (*run)(struct bt_client *client, void *buf);
	unsigned int size;
	unsigned int min;
	bool (*answers)(int err, const void *buf);
};

/* A STRICT client's errno comes with its verdict. */
static bool verdict_answers(int err, const void *buf)
{
	return ((const struct bufftrack_op *)buf)->verdict != BUFFTRACK_OK;
}

/* How far it came. */
static bool batch_answers(int err, const void *buf)
{
	return err == -EFAULT || err == -EINTR;
}

#define FIRST _IOC_NR(BUFFTRACK_IOC_INFO)
#define COMMAND(cmd, fn, type, last, ...)                                                    \
	[_IOC_NR(cmd) - FIRST] = {                                                           \
		.run = fn, .size = sizeof(type), .min = offsetofend(type, last), __VA_ARGS__ \
	}

/* The last field named is that of the first version, whatever comes after. */
static const struct bt_command commands[] = {
	COMMAND(BUFFTRACK_IOC_INFO, do_info, struct bufftrack_info, max_events),
	COMMAND(BUFFTRACK_IOC_CLIENT, do_client, struct bufftrack_client, id),
	COMMAND(BUFFTRACK_IOC_ALLOC, bufftrack_op_alloc, struct bufftrack_op, reserved,
		.answers = verdict_answers),
	COMMAND(BUFFTRACK_IOC_FREE, bufftrack_op_free, struct bufftrack_op, reserved,
		.answers = verdict_answers),
	COMMAND(BUFFTRACK_IOC_BATCH, bufftrack_op_batch, struct bufftrack_batch, reserved,
		.answers = batch_answers),
	COMMAND(BUFFTRACK_IOC_LABEL, do_label, struct bufftrack_label, tag),
	COMMAND(BUFFTRACK_IOC_RESET, do_reset, struct bufftrack_reset, holds),
	COMMAND(BUFFTRACK_IOC_STAT, do_stat, struct bufftrack_stat, reserved),
	COMMAND(BUFFTRACK_IOC_LIST, do_list, struct bufftrack_list, generation),
	COMMAND(BUFFTRACK_IOC_STACK, do_stack, struct bufftrack_stack, flags),
	COMMAND(BUFFTRACK_IOC_HOLDERS, do_holders, struct bufftrack_holders, others),
	COMMAND(BUFFTRACK_IOC_EVENTS, do_events, struct bufftrack_events, lost),
	COMMAND(BUFFTRACK_IOC_UNDO, bufftrack_op_undo, struct bufftrack_op, reserved),
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
	struct bufftrack_holders holders;
	struct bufftrack_events events;
};

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
	/* As get_op() in op.c: who cannot be answered changes nothing. */
	if (copy_to_user(user, &any, min(size, command->size)))
		return -EFAULT;

	err = command->run(client, &any);
	if (err && !(command->answers && command->answers(err, &any)))
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
		return bufftrack_op_ioctl(file->private_data, user, BUFFTRACK_OP_ALLOC);
	if (likely(cmd == BUFFTRACK_IOC_FREE))
		return bufftrack_op_ioctl(file->private_data, user, BUFFTRACK_OP_FREE);
	return any_ioctl(file->private_data, cmd, user);
}
