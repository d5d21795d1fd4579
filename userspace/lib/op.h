/* SPDX-License-Identifier: LGPL-2.1-or-later OR MIT */
/* What one report (op.c) and many at once (submit.c) have in common. */
#ifndef BUFFTRACK_LIB_OP_H
#define BUFFTRACK_LIB_OP_H

#include "lib.h"

/* Whether a token goes with a report: an alloc that begins a life has none yet. */
static inline bool bufftrack_takes_token(uint32_t kind, uint32_t flags)
{
	return kind == BUFFTRACK_OP_FREE || flags & (BUFFTRACK_F_VIEW | BUFFTRACK_F_RETAIN);
}

/* A report that failed was not carried out, unless its error is a STRICT client's verdict. */
static inline bool bufftrack_was_refused(const struct bufftrack_op *op, int err)
{
	return err && op->verdict == BUFFTRACK_OK;
}

static inline unsigned int bufftrack_depth_of(const struct bufftrack *bt)
{
	return __atomic_load_n(&bt->depth, __ATOMIC_RELAXED);
}

/* A free that was not carried out has nothing to be taken back. */
static inline bool bufftrack_is_undoable(const struct bufftrack_buffer *buffer,
					 const struct bufftrack_answer *answer)
{
	return buffer->token != BUFFTRACK_TOKEN_REFUSED &&
	       (!answer->error || answer->verdict != BUFFTRACK_OK);
}

HIDDEN void bufftrack_fill(struct bufftrack_op *op, uint32_t kind,
			   const struct bufftrack_buffer *buffer);
HIDDEN void bufftrack_fill_undo(struct bufftrack_op *op, const struct bufftrack_buffer *buffer,
				const struct bufftrack_answer *answer);
HIDDEN int bufftrack_run(const struct bufftrack *bt, int fd, struct bufftrack_op *op,
			 uint32_t kind);
HIDDEN void bufftrack_say_bad(const struct bufftrack_op *op, uint32_t kind, int err);
HIDDEN void bufftrack_give(struct bufftrack_answer *answer, const struct bufftrack_op *op, int err);
HIDDEN void bufftrack_give_token(struct bufftrack_buffer *buffer, const struct bufftrack_op *op,
				 int err);
HIDDEN int bufftrack_refuse(struct bufftrack_answer *answer, int err);
HIDDEN void bufftrack_free_is_missing(const struct bufftrack *bt, int fd);

#endif /* BUFFTRACK_LIB_OP_H */
