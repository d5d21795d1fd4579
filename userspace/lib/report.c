// SPDX-License-Identifier: LGPL-2.1-or-later OR MIT
/* The reports: allocs and frees, one by one or many at once. */
#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <linux/bufftrack_verdicts.h>
#include <string.h>

#include "lib.h"
#include "unwind/unwind.h"

/* Entries that go to the kernel at once; they lie on the caller's stack. */
#define CHUNK 64U
/* The same on a signal's own stack, which may be small */
#define SMALL_CHUNK 8U

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

static void fill(struct bufftrack_op *op, uint32_t kind, const struct bufftrack_buffer *buffer)
{
	*op = (struct bufftrack_op){
		.device = buffer->device,
		.buffer = buffer->buffer,
		.size = buffer->size,
		.space = buffer->space,
	};
	if (kind == BUFFTRACK_OP_ALLOC) {
		op->tag = buffer->tag;
		op->flags = buffer->flags;
	} else {
		op->token = buffer->token;
		op->flags = buffer->flags & BUFFTRACK_F_VIEW;
	}
}

static void say_bad(const struct bufftrack_op *op, uint32_t kind, int err)
{
	bufftrack_say("%s of buffer 0x%llx on device %llu, space %u: %s",
		      kind == BUFFTRACK_OP_ALLOC ? "alloc" : "free", (unsigned long long)op->buffer,
		      (unsigned long long)op->device, op->space,
		      op->verdict != BUFFTRACK_OK ? bufftrack_verdict_name(op->verdict)
						  : strerror(-err));
}

static void give(struct bufftrack_answer *answer, const struct bufftrack_op *op, int err)
{
	answer->generation = op->generation;
	answer->refs = op->refs;
	answer->verdict = op->verdict;
	answer->info = op->info;
	answer->error = err;
}

static int run(const struct bufftrack *bt, struct bufftrack_op *op, uint32_t kind)
{
	int err = bufftrack_ioctl(
		bt->fd, kind == BUFFTRACK_OP_ALLOC ? BUFFTRACK_IOC_ALLOC : BUFFTRACK_IOC_FREE, op);

	if (__builtin_expect(bt->debug, 0) && (err || op->verdict != BUFFTRACK_OK))
		say_bad(op, kind, err);
	return err;
}

static unsigned int depth_of(const struct bufftrack *bt)
{
	return __atomic_load_n(&bt->depth, __ATOMIC_RELAXED);
}

/* Apart, so that a report without a stack has no room for one to step over. */
static __attribute__((noinline)) int
run_with_stack(const struct bufftrack *bt, struct bufftrack_op *op, uint32_t kind, const void *here)
{
	uint64_t frames[BUFFTRACK_DEPTH];

	op->stack_depth = bufftrack_unwind(frames, depth_of(bt), here);
	if (op->stack_depth)
		op->stack = (uintptr_t)frames;
	return run(bt, op, kind);
}

static int report(const struct bufftrack *bt, struct bufftrack_op *op, uint32_t kind,
		  struct bufftrack_answer *answer, const void *here)
{
	int err;

	if (__builtin_expect(depth_of(bt) != 0, 0))
		err = run_with_stack(bt, op, kind, here);
	else
		err = run(bt, op, kind);
	if (answer)
		give(answer, op, err);
	return err;
}

/* What is said where nothing was asked of the kernel. */
static int refuse(struct bufftrack_answer *answer, int err)
{
	if (answer)
		*answer = (struct bufftrack_answer){ .error = err };
	return err;
}

static __attribute__((noinline)) int report_alloc(const struct bufftrack *bt,
						  struct bufftrack_buffer *buffer,
						  struct bufftrack_answer *answer, const void *here)
{
	struct bufftrack_op op;
	int err;

	if (!bt)
		return refuse(answer, 0);
	if (!buffer)
		return refuse(answer, -EINVAL);
	fill(&op, BUFFTRACK_OP_ALLOC, buffer);
	err = report(bt, &op, BUFFTRACK_OP_ALLOC, answer, here);
	buffer->token = op.generation;
	return err;
}

static __attribute__((noinline)) int report_free(const struct bufftrack *bt,
						 const struct bufftrack_buffer *buffer,
						 struct bufftrack_answer *answer, const void *here)
{
	struct bufftrack_op op;

	if (!bt)
		return refuse(answer, 0);
	if (!buffer)
		return refuse(answer, -EINVAL);
	fill(&op, BUFFTRACK_OP_FREE, buffer);
	return report(bt, &op, BUFFTRACK_OP_FREE, answer, here);
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

EXPORT int bufftrack_free(struct bufftrack *bt, const struct bufftrack_buffer *buffer,
			  struct bufftrack_answer *answer)
{
	int err = report_free(bt, buffer, answer, BUFFTRACK_HERE());

	BUFFTRACK_NO_TAIL_CALL();
	return err;
}

/* ---- many at once --------------------------------------------------------- */

static bool is_good(const struct bufftrack_entry *entry)
{
	return entry->buffer && (entry->op == BUFFTRACK_OP_ALLOC || entry->op == BUFFTRACK_OP_FREE);
}

static void give_entry(struct bufftrack_entry *entry, const struct bufftrack_op *op, int err)
{
	give(&entry->answer, op, err);
	if (entry->op == BUFFTRACK_OP_ALLOC)
		entry->buffer->token = op->generation;
}

/*
 * Whether an alloc among the first @nr entries is to write the token that a free
 * of @buffer is to read.
 */
static bool writes_token(const struct bufftrack_entry *entries, unsigned int nr,
			 const struct bufftrack_buffer *buffer)
{
	unsigned int i;

	for (i = 0; i < nr; i++)
		if (entries[i].op == BUFFTRACK_OP_ALLOC && entries[i].buffer == buffer)
			return true;
	return false;
}

/* Room for a chunk's operations, and for each one's place among the entries */
struct room {
	struct bufftrack_op *ops;
	unsigned char *place;
	unsigned int nr;
};

/*
 * One chunk: the first *@nr entries, or fewer where a free needs the token of an
 * alloc among them; *@nr says how many. Returns 0, or the negative errno that
 * ended it.
 */
static int submit_chunk(const struct bufftrack *bt, struct bufftrack_entry *entries,
			unsigned int *nr, const uint64_t *frames, unsigned int depth,
			const struct room *room)
{
	struct bufftrack_op *ops = room->ops;
	struct bufftrack_batch batch = {
		.entries = (uintptr_t)ops,
		.entry_size = sizeof(ops[0]),
	};
	bool allocs = false;
	unsigned int i;
	int err;

	for (i = 0; i < *nr; i++) {
		if (!is_good(&entries[i])) {
			refuse(&entries[i].answer, -EINVAL);
			continue;
		}
		if (entries[i].op == BUFFTRACK_OP_ALLOC)
			allocs = true;
		else if (allocs && writes_token(entries, i, entries[i].buffer))
			break;
		fill(&ops[batch.nr], entries[i].op, entries[i].buffer);
		ops[batch.nr].op = entries[i].op;
		ops[batch.nr].stack = (uintptr_t)frames;
		ops[batch.nr].stack_depth = depth;
		room->place[batch.nr++] = i;
	}
	*nr = i;
	if (!batch.nr)
		return 0;
	err = bufftrack_ioctl(bt->fd, BUFFTRACK_IOC_BATCH, &batch);
	for (i = 0; i < batch.nr; i++) {
		bool done = i < batch.done;

		give_entry(&entries[room->place[i]], &ops[i], done ? ops[i].error : err);
		if (__builtin_expect(bt->debug, 0) && done &&
		    (ops[i].error || ops[i].verdict != BUFFTRACK_OK))
			say_bad(&ops[i], ops[i].op, ops[i].error);
	}
	if (__builtin_expect(bt->debug, 0) && err)
		bufftrack_say("batch of %u: %s", batch.nr, strerror(-err));
	return err;
}

static void submit_single(const struct bufftrack *bt, struct bufftrack_entry *entry,
			  const uint64_t *frames, unsigned int depth)
{
	struct bufftrack_op op;

	if (!is_good(entry)) {
		refuse(&entry->answer, -EINVAL);
		return;
	}
	fill(&op, entry->op, entry->buffer);
	op.stack = (uintptr_t)frames;
	op.stack_depth = depth;
	give_entry(entry, &op, run(bt, &op, entry->op));
}

static bool is_bad(const struct bufftrack_entry *entry)
{
	return entry->answer.verdict != BUFFTRACK_OK || entry->answer.error;
}

static int submit_in(const struct bufftrack *bt, struct bufftrack_entry *entries, size_t nr,
		     const uint64_t *frames, unsigned int depth, const struct room *room)
{
	unsigned int chunk = bt->max_batch < room->nr ? bt->max_batch : room->nr;
	unsigned int step, i;
	int bad = 0, err = 0;

	if (!(bt->features & BUFFTRACK_FEATURE_BATCH))
		chunk = 0;
	for (; nr && !err; entries += step, nr -= step) {
		step = 1;
		if (chunk) {
			step = nr < chunk ? nr : chunk;
			err = submit_chunk(bt, entries, &step, frames, depth, room);
		} else {
			submit_single(bt, entries, frames, depth);
		}
		for (i = 0; i < step; i++)
			if (is_bad(&entries[i]) && bad < INT_MAX)
				bad++;
	}
	for (; nr; entries++, nr--)
		refuse(&entries->answer, err);
	return err ? err : bad;
}

static __attribute__((noinline)) int submit_large(const struct bufftrack *bt,
						  struct bufftrack_entry *entries, size_t nr,
						  const uint64_t *frames, unsigned int depth)
{
	struct bufftrack_op ops[CHUNK];
	unsigned char place[CHUNK];
	const struct room room = { ops, place, CHUNK };

	return submit_in(bt, entries, nr, frames, depth, &room);
}

static __attribute__((noinline)) int submit_small(const struct bufftrack *bt,
						  struct bufftrack_entry *entries, size_t nr,
						  const uint64_t *frames, unsigned int depth)
{
	struct bufftrack_op ops[SMALL_CHUNK];
	unsigned char place[SMALL_CHUNK];
	const struct room room = { ops, place, SMALL_CHUNK };

	return submit_in(bt, entries, nr, frames, depth, &room);
}

static bool on_signal_stack(void)
{
	stack_t stack;

	return !sigaltstack(NULL, &stack) && stack.ss_flags & SS_ONSTACK;
}

static int submit(const struct bufftrack *bt, struct bufftrack_entry *entries, size_t nr,
		  const uint64_t *frames, unsigned int depth)
{
	if (nr <= SMALL_CHUNK || on_signal_stack())
		return submit_small(bt, entries, nr, frames, depth);
	return submit_large(bt, entries, nr, frames, depth);
}

static __attribute__((noinline)) int submit_with_stack(const struct bufftrack *bt,
						       struct bufftrack_entry *entries, size_t nr,
						       const void *here)
{
	uint64_t frames[BUFFTRACK_DEPTH];
	unsigned int depth = bufftrack_unwind(frames, depth_of(bt), here);

	return submit(bt, entries, nr, depth ? frames : NULL, depth);
}

static __attribute__((noinline)) int
report_all(const struct bufftrack *bt, struct bufftrack_entry *entries, size_t nr, const void *here)
{
	size_t i;

	if (!bt) {
		for (i = 0; i < nr; i++)
			refuse(&entries[i].answer, 0);
		return 0;
	}
	if (__builtin_expect(depth_of(bt) != 0, 0))
		return submit_with_stack(bt, entries, nr, here);
	return submit(bt, entries, nr, NULL, 0);
}

EXPORT int bufftrack_submit(struct bufftrack *bt, struct bufftrack_entry *entries, size_t nr)
{
	int bad = report_all(bt, entries, nr, BUFFTRACK_HERE());

	BUFFTRACK_NO_TAIL_CALL();
	return bad;
}
