// SPDX-License-Identifier: LGPL-2.1-or-later OR MIT
/* The reports, many at once. */
#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <string.h>

#include "op.h"
#include "unwind/unwind.h"

/* Entries that go to the kernel at once; they lie on the caller's stack. */
#define CHUNK 64U
/* The same on a signal's own stack, which may be small */
#define SMALL_CHUNK 8U

/* The caller's entries: of the size that the caller's header knows. */
struct entries {
	char *first;
	size_t size;
};

static struct bufftrack_entry *entry_at(const struct entries *entries, size_t i)
{
	return (struct bufftrack_entry *)(entries->first + i * entries->size);
}

/* Returns 1 where the entry is to go to the kernel; else its answer, 0 or a negative errno. */
static int judge_entry(const struct bufftrack *bt, const struct bufftrack_entry *entry)
{
	if (!entry->buffer || entry->op < BUFFTRACK_OP_ALLOC || entry->op > BUFFTRACK_OP_UNDO)
		return -EINVAL;
	if (entry->op == BUFFTRACK_OP_UNDO && !(bt->features & BUFFTRACK_FEATURE_UNDO))
		return -EOPNOTSUPP;
	if (entry->op == BUFFTRACK_OP_ALLOC)
		return 1;
	if (entry->buffer->token == BUFFTRACK_TOKEN_REFUSED)
		return 0;
	return entry->op == BUFFTRACK_OP_FREE ||
	       bufftrack_is_undoable(entry->buffer, &entry->answer);
}

static void fill_entry(struct bufftrack_op *op, const struct bufftrack_entry *entry,
		       const uint64_t *frames, unsigned int depth)
{
	if (entry->op == BUFFTRACK_OP_UNDO) {
		bufftrack_fill_undo(op, entry->buffer, &entry->answer);
		return;
	}
	bufftrack_fill(op, entry->op, entry->buffer);
	op->stack = (uintptr_t)frames;
	op->stack_depth = depth;
}

static void give_entry(struct bufftrack_entry *entry, const struct bufftrack_op *op, int err)
{
	bufftrack_give(&entry->answer, op, err);
	if (entry->op == BUFFTRACK_OP_ALLOC)
		bufftrack_give_token(entry->buffer, op, err);
}

/*
 * Whether an alloc among the first @nr entries is to write the token that a free
 * of @buffer is to read.
 */
static bool writes_token(const struct entries *entries, unsigned int nr,
			 const struct bufftrack_buffer *buffer)
{
	unsigned int i;

	for (i = 0; i < nr; i++)
		if (entry_at(entries, i)->op == BUFFTRACK_OP_ALLOC &&
		    entry_at(entries, i)->buffer == buffer)
			return true;
	return false;
}

/* Whether the entry needs what one before it in the same chunk is to bring. */
static bool must_wait(const struct entries *entries, unsigned int nr)
{
	const struct bufftrack_entry *entry = entry_at(entries, nr);

	return bufftrack_takes_token(entry->op, entry->buffer->flags) &&
	       writes_token(entries, nr, entry->buffer);
}

static void batch_done(const struct bufftrack *bt, int fd, const struct bufftrack_op *op, bool done)
{
	if (op->op == BUFFTRACK_OP_FREE && (!done || bufftrack_was_refused(op, op->error)))
		bufftrack_free_is_missing(bt, fd);
	if (__builtin_expect(bt->debug, 0) && done && (op->error || op->verdict != BUFFTRACK_OK))
		bufftrack_say_bad(op, op->op, op->error);
}

/* Room for a chunk's operations, and for each one's place among the entries */
struct room {
	struct bufftrack_op *ops;
	unsigned char *place;
	unsigned int nr;
};

/*
 * One chunk: the first *@nr entries, or fewer where one needs the token of an
 * alloc among them; *@nr says how many. Returns 0, or the negative errno that
 * ended it.
 */
static int submit_chunk(const struct bufftrack *bt, int fd, const struct entries *entries,
			unsigned int *nr, const uint64_t *frames, unsigned int depth,
			const struct room *room)
{
	struct bufftrack_op *ops = room->ops;
	struct bufftrack_batch batch = {
		.entries = (uintptr_t)ops,
		.entry_size = sizeof(ops[0]),
	};
	unsigned int i;
	int err;

	for (i = 0; i < *nr; i++) {
		struct bufftrack_entry *entry = entry_at(entries, i);

		err = judge_entry(bt, entry);
		if (err <= 0) {
			bufftrack_refuse(&entry->answer, err);
			continue;
		}
		if (must_wait(entries, i))
			break;
		fill_entry(&ops[batch.nr], entry, frames, depth);
		ops[batch.nr].op = entry->op;
		room->place[batch.nr++] = i;
	}
	*nr = i;
	if (!batch.nr)
		return 0;
	err = bufftrack_ioctl(fd, BUFFTRACK_IOC_BATCH, &batch);
	for (i = 0; i < batch.nr; i++) {
		bool done = i < batch.done;

		batch_done(bt, fd, &ops[i], done);
		give_entry(entry_at(entries, room->place[i]), &ops[i], done ? ops[i].error : err);
	}
	if (__builtin_expect(bt->debug, 0) && err)
		bufftrack_say("batch of %u: %s", batch.nr, strerror(-err));
	return err;
}

static void submit_single(const struct bufftrack *bt, int fd, struct bufftrack_entry *entry,
			  const uint64_t *frames, unsigned int depth)
{
	struct bufftrack_op op;
	int err = judge_entry(bt, entry);

	if (err <= 0) {
		bufftrack_refuse(&entry->answer, err);
		return;
	}
	fill_entry(&op, entry, frames, depth);
	give_entry(entry, &op, bufftrack_run(bt, fd, &op, entry->op));
}

static bool is_bad(const struct bufftrack_entry *entry)
{
	return entry->answer.verdict != BUFFTRACK_OK || entry->answer.error;
}

/* What was not carried out: an alloc's token says so to its free. */
static void refuse_rest(const struct entries *entries, size_t nr, int err)
{
	size_t i;

	for (i = 0; i < nr; i++) {
		struct bufftrack_entry *entry = entry_at(entries, i);

		bufftrack_refuse(&entry->answer, err);
		if (err && entry->op == BUFFTRACK_OP_ALLOC && entry->buffer)
			entry->buffer->token = BUFFTRACK_TOKEN_REFUSED;
	}
}

static bool has_free(const struct entries *entries, size_t nr)
{
	size_t i;

	for (i = 0; i < nr; i++)
		if (entry_at(entries, i)->op == BUFFTRACK_OP_FREE)
			return true;
	return false;
}

static int submit_in(const struct bufftrack *bt, int fd, struct entries entries, size_t nr,
		     const uint64_t *frames, unsigned int depth, const struct room *room)
{
	unsigned int chunk = bt->max_batch < room->nr ? bt->max_batch : room->nr;
	unsigned int step, i;
	int bad = 0, err = 0;

	if (!(bt->features & BUFFTRACK_FEATURE_BATCH))
		chunk = 0;
	for (; nr && !err; entries.first += step * entries.size, nr -= step) {
		step = 1;
		if (chunk) {
			step = nr < chunk ? nr : chunk;
			err = submit_chunk(bt, fd, &entries, &step, frames, depth, room);
		} else {
			submit_single(bt, fd, entry_at(&entries, 0), frames, depth);
		}
		for (i = 0; i < step; i++)
			if (is_bad(entry_at(&entries, i)) && bad < INT_MAX)
				bad++;
	}
	if (err && has_free(&entries, nr))
		bufftrack_free_is_missing(bt, fd);
	refuse_rest(&entries, nr, err);
	return err ? err : bad;
}

static __attribute__((noinline)) int submit_large(const struct bufftrack *bt, int fd,
						  struct entries entries, size_t nr,
						  const uint64_t *frames, unsigned int depth)
{
	struct bufftrack_op ops[CHUNK];
	unsigned char place[CHUNK];
	const struct room room = { ops, place, CHUNK };

	return submit_in(bt, fd, entries, nr, frames, depth, &room);
}

static __attribute__((noinline)) int submit_small(const struct bufftrack *bt, int fd,
						  struct entries entries, size_t nr,
						  const uint64_t *frames, unsigned int depth)
{
	struct bufftrack_op ops[SMALL_CHUNK];
	unsigned char place[SMALL_CHUNK];
	const struct room room = { ops, place, SMALL_CHUNK };

	return submit_in(bt, fd, entries, nr, frames, depth, &room);
}

static bool on_signal_stack(void)
{
	stack_t stack;

	return !sigaltstack(NULL, &stack) && stack.ss_flags & SS_ONSTACK;
}

static int submit(const struct bufftrack *bt, int fd, struct entries entries, size_t nr,
		  const uint64_t *frames, unsigned int depth)
{
	if (nr <= SMALL_CHUNK || on_signal_stack())
		return submit_small(bt, fd, entries, nr, frames, depth);
	return submit_large(bt, fd, entries, nr, frames, depth);
}

static __attribute__((noinline)) int submit_with_stack(const struct bufftrack *bt, int fd,
						       struct entries entries, size_t nr,
						       const void *here)
{
	uint64_t frames[BUFFTRACK_DEPTH];
	unsigned int depth = bufftrack_unwind(frames, bufftrack_depth_of(bt), here);

	return submit(bt, fd, entries, nr, depth ? frames : NULL, depth);
}

static __attribute__((noinline)) int report_all(struct bufftrack *bt,
						struct bufftrack_entry *entries, size_t nr,
						size_t entry_size, const void *here)
{
	struct entries all = { .first = (char *)entries, .size = entry_size };
	int fd;

	if (entry_size < sizeof(*entries) || entry_size % sizeof(uint64_t))
		return bt ? -EINVAL : 0;
	fd = bt ? bufftrack_own_fd(bt) : -1;
	if (fd < 0) {
		refuse_rest(&all, nr, 0);
		return 0;
	}
	if (__builtin_expect(bufftrack_depth_of(bt) != 0, 0))
		return submit_with_stack(bt, fd, all, nr, here);
	return submit(bt, fd, all, nr, NULL, 0);
}

EXPORT int bufftrack_submit(struct bufftrack *bt, struct bufftrack_entry *entries, size_t nr,
			    size_t entry_size)
{
	int bad = report_all(bt, entries, nr, entry_size, BUFFTRACK_HERE());

	BUFFTRACK_NO_TAIL_CALL();
	return bad;
}
