// SPDX-License-Identifier: LGPL-2.1-or-later OR MIT
/* The reports, one by one: allocs, references, frees, and frees that are taken back. */
#include <errno.h>
#include <linux/bufftrack_verdicts.h>
#include <string.h>

#include "op.h"
#include "unwind/unwind.h"

static const char *const verdict_names[] = {
#define ROW(_verdict, _name, _words, _errno, _of) [BUFFTRACK_##_verdict] = _words,
	BUFFTRACK_VERDICTS(ROW)
#undef ROW
};

_Static_assert(sizeof(verdict_names) == BUFFTRACK_NR_VERDICTS * sizeof(char *),
	       "a verdict has no name");

EXPORT const char *bufftrack_verdict_name(uint32_t verdict)
{
	return verdict < BUFFTRACK_NR_VERDICTS ? verdict_names[verdict] : "unknown verdict";
}

void bufftrack_fill(struct bufftrack_op *op, uint32_t kind, const struct bufftrack_buffer *buffer)
{
	*op = (struct bufftrack_op){
		.device = buffer->device,
		.buffer = buffer->buffer,
		.size = buffer->size,
		.space = buffer->space,
		.flags = buffer->flags,
	};
	if (kind == BUFFTRACK_OP_ALLOC)
		op->tag = buffer->tag;
	else
		op->flags &= BUFFTRACK_F_VIEW | BUFFTRACK_F_LAST;
	if (bufftrack_takes_token(kind, op->flags))
		op->token = buffer->token;
}

/* An UNDO is of the free as it was made and answered. */
void bufftrack_fill_undo(struct bufftrack_op *op, const struct bufftrack_buffer *buffer,
			 const struct bufftrack_answer *answer)
{
	bufftrack_fill(op, BUFFTRACK_OP_FREE, buffer);
	op->generation = answer->generation;
	op->refs = answer->refs;
	op->verdict = answer->verdict;
	op->info = answer->info;
}

void bufftrack_say_bad(const struct bufftrack_op *op, uint32_t kind, int err)
{
	static const char *const names[] = {
		[BUFFTRACK_OP_ALLOC] = "alloc",
		[BUFFTRACK_OP_FREE] = "free",
		[BUFFTRACK_OP_UNDO] = "undo",
	};

	bufftrack_say("%s of buffer 0x%llx on device %llu, space %u: %s", names[kind],
		      (unsigned long long)op->buffer, (unsigned long long)op->device, op->space,
		      op->verdict != BUFFTRACK_OK ? bufftrack_verdict_name(op->verdict)
						  : strerror(-err));
}

void bufftrack_give(struct bufftrack_answer *answer, const struct bufftrack_op *op, int err)
{
	answer->generation = op->generation;
	answer->refs = op->refs;
	answer->verdict = op->verdict;
	answer->info = op->info;
	answer->error = err;
}

/*
 * A free that the kernel does not know of: what it would have ended is live in the record,
 * and a later verdict may come of that. The kernel is told so, where it can be.
 */
__attribute__((noinline, cold)) void bufftrack_free_is_missing(const struct bufftrack *bt, int fd)
{
	struct bufftrack_client client = {
		.mask = BUFFTRACK_CLIENT_PARTIAL,
		.flags = BUFFTRACK_CLIENT_PARTIAL,
	};

	if (bt->features & BUFFTRACK_FEATURE_PARTIAL)
		bufftrack_ioctl(fd, BUFFTRACK_IOC_CLIENT, &client);
}

int bufftrack_run(const struct bufftrack *bt, int fd, struct bufftrack_op *op, uint32_t kind)
{
	static const unsigned long commands[] = {
		[BUFFTRACK_OP_ALLOC] = BUFFTRACK_IOC_ALLOC,
		[BUFFTRACK_OP_FREE] = BUFFTRACK_IOC_FREE,
		[BUFFTRACK_OP_UNDO] = BUFFTRACK_IOC_UNDO,
	};
	int err = bufftrack_ioctl(fd, commands[kind], op);

	if (__builtin_expect(err, 0) && kind == BUFFTRACK_OP_FREE && bufftrack_was_refused(op, err))
		bufftrack_free_is_missing(bt, fd);
	if (__builtin_expect(bt->debug, 0) && (err || op->verdict != BUFFTRACK_OK))
		bufftrack_say_bad(op, kind, err);
	return err;
}

/* Apart, so that a report without a stack has no room for one to step over. */
static __attribute__((noinline)) int run_with_stack(const struct bufftrack *bt, int fd,
						    struct bufftrack_op *op, uint32_t kind,
						    const void *here)
{
	uint64_t frames[BUFFTRACK_DEPTH];

	op->stack_depth = bufftrack_unwind(frames, bufftrack_depth_of(bt), here);
	if (op->stack_depth)
		op->stack = (uintptr_t)frames;
	return bufftrack_run(bt, fd, op, kind);
}

static int report(const struct bufftrack *bt, int fd, struct bufftrack_op *op, uint32_t kind,
		  struct bufftrack_answer *answer, const void *here)
{
	int err;

	if (__builtin_expect(bufftrack_depth_of(bt) != 0, 0))
		err = run_with_stack(bt, fd, op, kind, here);
	else
		err = bufftrack_run(bt, fd, op, kind);
	if (answer)
		bufftrack_give(answer, op, err);
	return err;
}

/* What is said where nothing was asked of the kernel. */
int bufftrack_refuse(struct bufftrack_answer *answer, int err)
{
	if (answer)
		*answer = (struct bufftrack_answer){ .error = err };
	return err;
}

/* The free of such a buffer is not reported: there would be nothing to free. */
void bufftrack_give_token(struct bufftrack_buffer *buffer, const struct bufftrack_op *op, int err)
{
	buffer->token = bufftrack_was_refused(op, err) ? BUFFTRACK_TOKEN_REFUSED : op->generation;
}

static __attribute__((noinline)) int report_alloc(struct bufftrack *bt,
						  struct bufftrack_buffer *buffer,
						  struct bufftrack_answer *answer, const void *here)
{
	struct bufftrack_op op;
	int err, fd;

	if (!bt)
		return bufftrack_refuse(answer, 0);
	if (!buffer)
		return bufftrack_refuse(answer, -EINVAL);
	fd = bufftrack_own_fd(bt);
	if (fd < 0)
		return bufftrack_refuse(answer, 0);
	bufftrack_fill(&op, BUFFTRACK_OP_ALLOC, buffer);
	err = report(bt, fd, &op, BUFFTRACK_OP_ALLOC, answer, here);
	bufftrack_give_token(buffer, &op, err);
	return err;
}

/*
 * Not by way of report_alloc(): the token is read here and stays as it is. A kernel that
 * has no RETAIN is told of one more reference, as runtimes did before there was one.
 */
static __attribute__((noinline)) int report_retain(struct bufftrack *bt,
						   const struct bufftrack_buffer *buffer,
						   struct bufftrack_answer *answer,
						   const void *here)
{
	struct bufftrack_op op;
	int fd;

	if (!bt)
		return bufftrack_refuse(answer, 0);
	if (!buffer)
		return bufftrack_refuse(answer, -EINVAL);
	fd = bufftrack_own_fd(bt);
	if (fd < 0 || buffer->token == BUFFTRACK_TOKEN_REFUSED)
		return bufftrack_refuse(answer, 0);
	bufftrack_fill(&op, BUFFTRACK_OP_ALLOC, buffer);
	op.flags = 0;
	if (bt->features & BUFFTRACK_FEATURE_RETAIN) {
		op.flags = BUFFTRACK_F_RETAIN;
		op.token = buffer->token;
	}
	return report(bt, fd, &op, BUFFTRACK_OP_ALLOC, answer, here);
}

static __attribute__((noinline)) int report_free(struct bufftrack *bt,
						 const struct bufftrack_buffer *buffer,
						 struct bufftrack_answer *answer, const void *here)
{
	struct bufftrack_op op;
	int fd;

	if (!bt)
		return bufftrack_refuse(answer, 0);
	if (!buffer)
		return bufftrack_refuse(answer, -EINVAL);
	fd = bufftrack_own_fd(bt);
	if (fd < 0 || buffer->token == BUFFTRACK_TOKEN_REFUSED)
		return bufftrack_refuse(answer, 0);
	bufftrack_fill(&op, BUFFTRACK_OP_FREE, buffer);
	return report(bt, fd, &op, BUFFTRACK_OP_FREE, answer, here);
}

/*
 * What is exported only says where the stack begins, and hands over: it has a frame of the
 * simplest kind, which is still there while the rest runs.
 */
EXPORT int bufftrack_alloc(struct bufftrack *bt, struct bufftrack_buffer *buffer,
			   struct bufftrack_answer *answer)
{
	int err = report_alloc(bt, buffer, answer, BUFFTRACK_HERE());

	BUFFTRACK_NO_TAIL_CALL();
	return err;
}

EXPORT int bufftrack_retain(struct bufftrack *bt, const struct bufftrack_buffer *buffer,
			    struct bufftrack_answer *answer)
{
	int err = report_retain(bt, buffer, answer, BUFFTRACK_HERE());

	BUFFTRACK_NO_TAIL_CALL();
	return err;
}

EXPORT int bufftrack_free(struct bufftrack *bt, const struct bufftrack_buffer *buffer,
			  struct bufftrack_answer *answer)
{
	int err = report_free(bt, buffer, answer, BUFFTRACK_HERE());

	BUFFTRACK_NO_TAIL_CALL();
	return err;
}

EXPORT int bufftrack_undo(struct bufftrack *bt, const struct bufftrack_buffer *buffer,
			  struct bufftrack_answer *answer)
{
	struct bufftrack_op op;
	int err, fd;

	if (!bt)
		return bufftrack_refuse(answer, 0);
	if (!buffer || !answer)
		return bufftrack_refuse(answer, -EINVAL);
	fd = bufftrack_own_fd(bt);
	if (fd < 0 || !bufftrack_is_undoable(buffer, answer))
		return bufftrack_refuse(answer, 0);
	if (!(bt->features & BUFFTRACK_FEATURE_UNDO))
		return bufftrack_refuse(answer, -EOPNOTSUPP);
	bufftrack_fill_undo(&op, buffer, answer);
	err = bufftrack_run(bt, fd, &op, BUFFTRACK_OP_UNDO);
	bufftrack_give(answer, &op, err);
	return err;
}
