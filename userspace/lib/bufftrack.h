/* SPDX-License-Identifier: LGPL-2.1-or-later OR MIT */
/*
 * libbufftrack: what a runtime calls to report its device buffers to the kernel
 * module bufftrack, which answers each report with a verdict.
 *
 *	struct bufftrack *bt = bufftrack_open("my-runtime", 0);
 *
 *	struct bufftrack_buffer b = { .device = id, .buffer = address, .size = n };
 *	bufftrack_alloc(bt, &b, NULL);	after the address was obtained
 *	...
 *	bufftrack_free(bt, &b, &answer);	before the address is given back
 *	if (driver_free(address) failed, and freed nothing)
 *		bufftrack_undo(bt, &b, &answer);
 *
 * Where the device is absent, the caller not permitted, or BUFFTRACK=off in the
 * environment, bufftrack_open() returns NULL. Every function takes NULL for the
 * handle, and then does nothing and returns 0 (bufftrack_fd(): -1): a runtime needs
 * no other test.
 *
 * Rules for every function:
 *
 * - Errors are returned, as negative errno numbers. errno itself is as it was
 *   before the call, but where bufftrack_open() returns NULL.
 * - Nothing is printed, but to stderr with BUFFTRACK_DEBUG=1; nothing exits,
 *   aborts or throws; no signal handler, atexit or atfork handler is set.
 * - Any thread may call anything with any handle at any time, but for
 *   bufftrack_close() and bufftrack_reopen(). The library has no locks: a child
 *   of fork() can always call it. bufftrack_alloc(), bufftrack_free() and
 *   bufftrack_submit() may also be called by a signal handler. Stacks are
 *   collected without locks and allocations, too, but for those that are left to
 *   libgcc: a signal handler's, those with code that was made at run time, and
 *   all of them on other machines than x86-64. That these are safe in a handler or
 *   a child of fork() needs glibc 2.35 and libgcc of gcc 13, or later; or of gcc 12
 *   where no code is registered with it at run time (__register_frame(): by LLVM's
 *   JIT), which it looks up under a lock.
 * - A child of fork() becomes a client of its own at its first call with a handle,
 *   with the name and the flags of its parent's, which keeps what it holds: a child that
 *   frees its parent's buffers is told so. It has its own file from then on. A handle that
 *   was opened with BUFFTRACK_OPEN_FORK_SHARED stays its parent's client: for programs that
 *   fork to go to the background. exec() closes all. A child of vfork() must call nothing.
 *
 * The environment, read when a handle is opened (not by set-user-ID programs):
 *
 * - BUFFTRACK=off: bufftrack_open() fails with ECANCELED
 * - BUFFTRACK_STACK=N: each report carries the N innermost return addresses
 * - BUFFTRACK_TRAP=1: as if every handle were opened with BUFFTRACK_CLIENT_TRAP
 * - BUFFTRACK_DEBUG=1: say on stderr what failed, and each bad verdict
 */
#ifndef BUFFTRACK_H
#define BUFFTRACK_H

#include <stddef.h>
#include <stdint.h>

#include <linux/bufftrack.h> /* verdicts, flags, features: the kernel's ABI */

#ifdef __cplusplus
extern "C" {
#endif

struct bufftrack;

/**
 * struct bufftrack_buffer - one buffer, as its runtime knows it
 * @device: the device: a number that means the same one in every process
 * @buffer: the buffer's id, in practice its address on the device
 * @size: bytes; a free checks it against the alloc's, 0 checks nothing
 * @tag: opaque, for grouping; kept of the first alloc
 * @token: written by an alloc: the generation, or BUFFTRACK_TOKEN_REFUSED where the alloc
 *	was not recorded; read by a free, a retain, and an alloc or free of a view: the life
 *	that is meant; 0 is none
 * @space: the memory space on the device (DRAM, L1, ...)
 * @flags: BUFFTRACK_F_*: EXCLUSIVE (the address must be free), SAME (one reference of this
 *	client, however often), SHARED (any client of the user may free it), PERSISTENT (meant
 *	to last until exit), VIEW (an alias that owns nothing); for a free LAST (it ends the
 *	life, whatever references are left). A free heeds VIEW and LAST only
 *
 * Set what is not used to 0. A runtime that keeps this struct as long as the
 * buffer passes it to the alloc and, as it is, to the free. The token lives in the object
 * that owns the buffer: one that is looked up by the address proves nothing.
 */
struct bufftrack_buffer {
	uint64_t device;
	uint64_t buffer;
	uint64_t size;
	uint64_t tag;
	uint64_t token;
	uint32_t space;
	uint32_t flags;
};

/**
 * struct bufftrack_answer - what the kernel says of one alloc or free
 * @generation: of the buffer's live life, else of its last; 0 where not known
 * @refs: references that remain
 * @verdict: &enum bufftrack_verdict: BUFFTRACK_OK (0) where all is well
 * @info: BUFFTRACK_INFO_*: without PROBABLE the verdict is certain
 * @error: what the call returned: 0 or a negative errno
 *
 * All 0 with a NULL handle.
 */
struct bufftrack_answer {
	uint64_t generation;
	uint32_t refs;
	uint32_t verdict;
	uint32_t info;
	int32_t error;
};

/**
 * struct bufftrack_entry - one report of bufftrack_submit()
 * @buffer: the buffer; must not be NULL
 * @op: BUFFTRACK_OP_ALLOC, BUFFTRACK_OP_FREE or BUFFTRACK_OP_UNDO
 * @reserved: 0
 * @answer: written; of an UNDO also read: what the free answered
 */
struct bufftrack_entry {
	struct bufftrack_buffer *buffer;
	uint32_t op;
	uint32_t reserved;
	struct bufftrack_answer answer;
};

/* A token that no life has: its alloc was refused, and its free is not reported. */
#define BUFFTRACK_TOKEN_REFUSED (~(uint64_t)0)

/* bufftrack_open(): a child of fork() shares the client, and may free what it holds. */
#define BUFFTRACK_OPEN_FORK_SHARED (1U << 30)

/**
 * bufftrack_open() - become a client
 * @name: the runtime's name, cut after 31 bytes, a control character as '?';
 *	NULL for none
 * @flags: BUFFTRACK_CLIENT_PRIVATE: buffer ids are this process's own.
 *	BUFFTRACK_CLIENT_STRICT: a bad verdict is also an error.
 *	BUFFTRACK_CLIENT_TRAP: a bad verdict also sends SIGTRAP to the thread.
 *	BUFFTRACK_CLIENT_REQUIRE_TOKEN: a free without a token is an error.
 *	BUFFTRACK_CLIENT_PARTIAL: what it frees may have been allocated before it came.
 *	BUFFTRACK_OPEN_FORK_SHARED: children of fork() share the client
 *
 * The file is close-on-exec. The handle is the caller's, who ends it with
 * bufftrack_close(), or leaves that to the kernel when the process ends.
 *
 * Return: a handle; or NULL with errno set, and NULL is a good handle too:
 * ECANCELED with BUFFTRACK=off; ENOENT, ENODEV or ENXIO where the module is not
 * loaded; EACCES or EPERM; EINVAL for an unknown flag; EOPNOTSUPP for one that
 * this kernel has not; EMFILE, ENFILE, ENOMEM.
 */
struct bufftrack *bufftrack_open(const char *name, unsigned int flags);

/**
 * bufftrack_default() - the process's own handle, opened at first use
 *
 * Its client has the program's name and no flags. It belongs to the library and
 * lasts as long as the process; bufftrack_close() leaves it open. Where it could
 * not be opened it is NULL, and a later call tries again: once a second at most, by
 * open(); the other calls make no system call. BUFFTRACK=off is for good. errno is
 * never changed.
 *
 * Return: the handle, or NULL.
 */
struct bufftrack *bufftrack_default(void);

/**
 * bufftrack_close() - end a client
 * @bt: the handle, which is gone after; or NULL
 *
 * Unless a child of fork() still has the file, what the client holds is then
 * reported as leaked. No other thread may use @bt meanwhile.
 */
void bufftrack_close(struct bufftrack *bt);

/**
 * bufftrack_reopen() - a new client for the handle
 * @bt: the handle, which stays valid, also where this fails; or NULL
 *
 * For a child of fork() whose handle is BUFFTRACK_OPEN_FORK_SHARED, and for one that wants
 * its client before its first report. The new client has the name and the flags of the one
 * before, whose buffers it does not hold, and is known to have taken its place. A report of
 * another thread during the call goes to either.
 *
 * Return: 0, or a negative errno of bufftrack_open(); then the client is still
 * the one before. -EBADF where the file was closed behind the library's back, or a child
 * could have no client.
 */
int bufftrack_reopen(struct bufftrack *bt);

/**
 * bufftrack_fd() - the open file, for commands that have no function here
 * @bt: the handle, which keeps owning it
 *
 * In a child of fork() it is the child's own.
 *
 * Return: the file's descriptor, -1 for NULL.
 */
int bufftrack_fd(struct bufftrack *bt);

/**
 * bufftrack_alloc() - report an allocation, or one more reference, or a view
 * @bt: the handle
 * @buffer: what was allocated; its token is written
 * @answer: written; may be NULL
 *
 * To be called after the address was obtained. Where it fails, the buffer is not
 * tracked: its token is then BUFFTRACK_TOKEN_REFUSED, by which bufftrack_free() knows it.
 *
 * Return: 0, whatever the verdict; or a negative errno: ENOSPC where a limit was
 * reached; ENOMEM; EINVAL for flags that do not go together; EOVERFLOW; EBADF;
 * for a STRICT client the verdict's (see linux/bufftrack.h), with the answer
 * written and the call carried out all the same.
 */
int bufftrack_alloc(struct bufftrack *bt, struct bufftrack_buffer *buffer,
		    struct bufftrack_answer *answer);

/**
 * bufftrack_retain() - report one more reference to a live buffer
 * @bt: the handle
 * @buffer: the buffer; with a token, that life of it is meant; @flags are not heeded
 * @answer: written; may be NULL
 *
 * A buffer that is not live, or another life than the token's: BUFFTRACK_DANGLING, and
 * nothing is counted. A reference whose report fails is not to be freed. A kernel without
 * RETAIN counts an alloc without flags.
 *
 * Return: as bufftrack_alloc().
 */
int bufftrack_retain(struct bufftrack *bt, const struct bufftrack_buffer *buffer,
		     struct bufftrack_answer *answer);

/**
 * bufftrack_free() - report a free, of a reference or of a view
 * @bt: the handle
 * @buffer: what is to be freed: device, space, buffer; the token and the size
 *	where they are not 0; VIEW and LAST of the flags. With BUFFTRACK_TOKEN_REFUSED nothing
 *	is reported
 * @answer: written; may be NULL, where there will be no bufftrack_undo()
 *
 * To be called before the address is given back. A free that the kernel could not take
 * makes the client BUFFTRACK_CLIENT_PARTIAL: what it tells of the buffer is not certain then.
 *
 * Return: as bufftrack_alloc().
 */
int bufftrack_free(struct bufftrack *bt, const struct bufftrack_buffer *buffer,
		   struct bufftrack_answer *answer);

/**
 * bufftrack_undo() - take a free's report back: nothing was freed
 * @bt: the handle
 * @buffer: as it was passed to bufftrack_free()
 * @answer: in: what bufftrack_free() answered; out: what is so now
 *
 * For a driver's free that failed and freed nothing (not for an error of an earlier
 * command, which some drivers return from a free). A free whose verdict had counted nothing
 * leaves nothing to take back, and this does nothing.
 *
 * Return: 0; or a negative errno: ENOENT where the buffer's record is gone, ESTALE where it
 * was allocated anew meanwhile, EINVAL for a view, EOPNOTSUPP.
 */
int bufftrack_undo(struct bufftrack *bt, const struct bufftrack_buffer *buffer,
		   struct bufftrack_answer *answer);

/**
 * bufftrack_reset() - a context, a device or the whole runtime is over
 * @bt: the handle
 * @device: the device; 0 with BUFFTRACK_RESET_ALL
 * @tag: with BUFFTRACK_RESET_TAG the tag; else 0
 * @flags: 0: what this client holds on the device. BUFFTRACK_RESET_TAG: of it, what was
 *	allocated with the tag. BUFFTRACK_RESET_ALL: of every device
 *
 * Drops the client's references, without a leak. A free that comes after it is
 * BUFFTRACK_FREE_AFTER_RESET.
 *
 * Return: of how many lives references were dropped; or a negative errno: EINVAL,
 * EOPNOTSUPP.
 */
int64_t bufftrack_reset(struct bufftrack *bt, uint64_t device, uint64_t tag, unsigned int flags);

/**
 * bufftrack_submit() - many reports at once, carried out in their order
 * @bt: the handle
 * @entries: the reports, whose answers are written, and the allocs' tokens
 * @nr: how many, without a limit
 * @entry_size: sizeof(entries[0]), which may grow with the versions
 *
 * One system call for 64 entries, for fewer where one needs the token of an alloc
 * among them, or for one each where the kernel has no BATCH. An entry that is wrong
 * fails by itself and the rest go on. With stacks, all entries have that of this call.
 * Takes 8 KiB of the caller's stack; on a signal's own stack (SA_ONSTACK) 1 KiB, and
 * makes one system call for 8 entries there. Collecting a stack takes some KiB more.
 *
 * Return: how many entries have a bad verdict or an error, 0 where all is well;
 * or a negative errno where it could not go on: the entries that were not
 * carried out have it in their answers.
 */
int bufftrack_submit(struct bufftrack *bt, struct bufftrack_entry *entries, size_t nr,
		     size_t entry_size);

/**
 * bufftrack_label_device() - give a device a name, for reports
 * @bt: the handle
 * @device: the device
 * @label: the name: at most 31 bytes of printable ASCII without blanks, quotes,
 *	'=' and backslashes; NULL or "" takes it away
 *
 * Return: 0, or a negative errno: EINVAL for a bad name, EOPNOTSUPP, ENOSPC,
 * ENOMEM.
 */
int bufftrack_label_device(struct bufftrack *bt, uint64_t device, const char *label);

/**
 * bufftrack_label_space() - give a memory space of a device a name
 * @bt: the handle
 * @device: the device
 * @space: the space
 * @label: as in bufftrack_label_device()
 *
 * Return: as bufftrack_label_device().
 */
int bufftrack_label_space(struct bufftrack *bt, uint64_t device, uint32_t space, const char *label);

/**
 * bufftrack_label_tag() - give what has a tag on a device a name, such as a context's
 * @bt: the handle
 * @device: the device
 * @tag: the tag of the buffers
 * @label: as in bufftrack_label_device()
 *
 * Return: as bufftrack_label_device().
 */
int bufftrack_label_tag(struct bufftrack *bt, uint64_t device, uint64_t tag, const char *label);

/**
 * bufftrack_set_stack_depth() - collect return addresses from now on
 * @bt: the handle
 * @frames: how many, the innermost ones; 0 for none. Cut to what the kernel takes
 *
 * BUFFTRACK_STACK=N in the environment goes before what is asked for here. The
 * first address is that of the call into this library. Code is unwound by its
 * unwind tables, with or without frame pointers; a stack ends early at code that
 * has no tables. Costs some microseconds.
 *
 * Return: the depth in effect; 0 for NULL, or where the kernel keeps no stacks.
 */
unsigned int bufftrack_set_stack_depth(struct bufftrack *bt, unsigned int frames);

/**
 * bufftrack_features() - what this kernel has
 * @bt: the handle
 *
 * Return: BUFFTRACK_FEATURE_* bits, 0 for NULL. Makes no system call.
 */
uint64_t bufftrack_features(const struct bufftrack *bt);

/**
 * bufftrack_get_info() - features, limits and counters of loss
 * @bt: the handle
 * @info: written; all 0 for NULL, and what the library does not know is 0
 * @size: sizeof(*info), which grows with the versions
 *
 * Return: 0, or a negative errno.
 */
int bufftrack_get_info(struct bufftrack *bt, struct bufftrack_info *info, size_t size);

/**
 * bufftrack_verdict_name() - a verdict in words, such as "double free"
 * @verdict: &enum bufftrack_verdict
 *
 * Return: a constant string, "unknown verdict" where there is none such.
 */
const char *bufftrack_verdict_name(uint32_t verdict);

#ifdef __cplusplus
}
#endif

#endif /* BUFFTRACK_H */
