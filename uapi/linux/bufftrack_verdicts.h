/* SPDX-License-Identifier: (GPL-2.0 WITH Linux-syscall-note) OR MIT */
/*
 * The verdicts once: what each is called, for the kernel, the tool, the library and
 * the tests. Not installed: the ABI is bufftrack.h.
 *
 * BUFFTRACK_VERDICTS(X) gives X(NAME, name, words, errno, on) for each verdict: its name
 * in the ABI, in events and output, and in words; the errno that a STRICT client gets
 * (0: none); and what it is said of: OK, FREE, ALLOC, BOTH or EXIT.
 *
 * The selftests have tables of their own: they are to find a fault in this one.
 */
#ifndef BUFFTRACK_VERDICTS_H
#define BUFFTRACK_VERDICTS_H

#define BUFFTRACK_VERDICTS(X) \
	X(OK, ok, "ok", 0, OK) \
	X(DOUBLE_FREE, double_free, "double free", EALREADY, FREE) \
	X(STALE_FREE, stale_free, "stale free", ESTALE, FREE) \
	X(FOREIGN_FREE, foreign_free, "foreign free", EPERM, FREE) \
	X(FREE_AFTER_EXIT, free_after_exit, "free after exit", EOWNERDEAD, FREE) \
	X(FREE_AFTER_RESET, free_after_reset, "free after reset", ECONNRESET, FREE) \
	X(UNKNOWN_FREE, unknown_free, "unknown free", ENOENT, FREE) \
	X(MISSED_FREE, missed_free, "missed free", EEXIST, ALLOC) \
	X(SIZE_MISMATCH, size_mismatch, "size mismatch", EMSGSIZE, BOTH) \
	X(DANGLING, dangling, "dangling", ENOLINK, ALLOC) \
	X(LEAK, leak, "leak", 0, EXIT) \
	X(HELD_FREE, held_free, "held free", EBUSY, FREE)

#endif /* BUFFTRACK_VERDICTS_H */
