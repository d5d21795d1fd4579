/* SPDX-License-Identifier: (GPL-2.0 WITH Linux-syscall-note) OR MIT */
/*
 * The verdicts once: what each is called, for the kernel, the tool, the library and
 * the tests. Not installed: the ABI is bufftrack.h.
 *
 * BUFFTRACK_VERDICTS(X) gives X(NAME, name, errno, on) for each verdict, in the order of
 * enum bufftrack_verdict: its name in the ABI, in events and output; the errno that a
 * STRICT client gets (0: none); and what it is said of: OK, FREE, ALLOC, BOTH or EXIT.
 */
#ifndef BUFFTRACK_VERDICTS_H
#define BUFFTRACK_VERDICTS_H

#define BUFFTRACK_VERDICTS(X)						\
	X(OK,			ok,			0,		OK)	\
	X(DOUBLE_FREE,		double_free,		EALREADY,	FREE)	\
	X(STALE_FREE,		stale_free,		ESTALE,		FREE)	\
	X(FOREIGN_FREE,		foreign_free,		EPERM,		FREE)	\
	X(FREE_AFTER_EXIT,	free_after_exit,	EOWNERDEAD,	FREE)	\
	X(FREE_AFTER_RESET,	free_after_reset,	ECONNRESET,	FREE)	\
	X(UNKNOWN_FREE,		unknown_free,		ENOENT,		FREE)	\
	X(MISSED_FREE,		missed_free,		EEXIST,		ALLOC)	\
	X(SIZE_MISMATCH,	size_mismatch,		EMSGSIZE,	BOTH)	\
	X(DANGLING_VIEW,	dangling_view,		ENOLINK,	ALLOC)	\
	X(LEAK,			leak,			0,		EXIT)

#endif /* BUFFTRACK_VERDICTS_H */
