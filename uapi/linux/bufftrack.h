/* SPDX-License-Identifier: (GPL-2.0 WITH Linux-syscall-note) OR MIT */
/*
 * bufftrack: who freed which device buffer twice.
 *
 * An accelerator runtime opens /dev/bufftrack and reports every allocation and
 * every free of a device buffer. The kernel keeps the references and answers
 * each report with a verdict; bad ones also go to the tracepoints of the system
 * "bufftrack" and to the kernel log.
 *
 * The order a runtime must keep: report FREE *before* the address goes back to
 * the allocator, and UNDO it where that fails; report ALLOC *after* the address was
 * obtained, and only where it was. Otherwise another thread's ALLOC of the reused
 * address can arrive before the FREE of the old life.
 */
#ifndef _UAPI_LINUX_BUFFTRACK_H
#define _UAPI_LINUX_BUFFTRACK_H

#include <linux/ioctl.h>
#include <linux/types.h>

/**
 * DOC: General rules
 *
 * Every command is an _IOWR() whose number carries the size of its struct.
 * Structs grow at their end only. A caller may pass an older, shorter struct or
 * a newer, longer one whose unknown tail is zero.
 *
 * Errors that any command can return, and that change nothing, but for a BATCH's
 * EFAULT and EINTR (its @done says how far it came):
 *
 * ==========  ===============================================================
 * ENOTTY      not a command of this module (see &struct bufftrack_info.features)
 * EINVAL      struct shorter than its first version; unknown flag; a reserved
 *             field, or an input of another command, not zero
 * E2BIG       the struct is longer than this kernel's and its tail not zero
 * EFAULT      the struct or an array that it points to cannot be read or written
 * ENOMEM      the kernel, or the caller's memory cgroup, has no memory left; or 15 keys
 *             of the user's lie where the key would, as chance does not bring about
 * ENOSPC      a limit was reached (see &struct bufftrack_info), or 1024 clients that
 *             are open hold the life, or have held it: for each account but that of the
 *             life's own user 32
 * EINTR       a fatal signal is pending
 * ==========  ===============================================================
 *
 * Fields that are output only are not read; all of them are written.
 *
 * EFAULT of a struct or an array that cannot be read, or of a struct that cannot
 * be written, comes before anything is changed, in a BATCH by its entry. Memory
 * that another thread takes away during the call is another matter: what the answer
 * would have told is done.
 * A device or a space that a failed call brought into being stays, empty, until
 * its client closes.
 *
 * All times are CLOCK_MONOTONIC in nanoseconds, as the initial time namespace has
 * it. All pids are those of the reader's pid namespace, and 0 where the task has
 * none there.
 */

#define BUFFTRACK_IOC_MAGIC		0xBF

/* Lengths of names, with their terminating NUL. */
#define BUFFTRACK_NAME_LEN		32
#define BUFFTRACK_COMM_LEN		16

/**
 * DOC: Verdicts
 *
 * What the kernel says of one ALLOC or FREE. A verdict never makes the ioctl
 * fail, unless the client is STRICT: then a bad one is returned as the errno
 * below *as well*; the struct is written all the same, and what the call
 * changes is the same with and without STRICT.
 *
 * ================  =====  ============  ======================================
 * verdict           on     STRICT errno  what it changes
 * ================  =====  ============  ======================================
 * OK                both   0             counts
 * DOUBLE_FREE       FREE   EALREADY      nothing
 * STALE_FREE        FREE   ESTALE        nothing: the newer life is not touched
 * FOREIGN_FREE      FREE   EPERM         nothing
 * FREE_AFTER_EXIT   FREE   EOWNERDEAD    nothing
 * FREE_AFTER_RESET  FREE   ECONNRESET    nothing
 * UNKNOWN_FREE      FREE   ENOENT        nothing
 * MISSED_FREE       ALLOC  EEXIST        of the same user: ends the earlier life,
 *                                        starts a new one; of another user's: adds
 *                                        a reference
 * SIZE_MISMATCH     both   EMSGSIZE      counts; the life's first size stays
 * DANGLING          ALLOC  ENOLINK       nothing
 * LEAK              exit   -             drops the holds of the client
 * HELD_FREE         FREE   EBUSY         ends the life; each reference that was left
 *                                        may still be freed, until the key is
 *                                        allocated again
 * ================  =====  ============  ======================================
 *
 * What a verdict reveals of another user: that the key is, or was, in use. The
 * generation and the references of a life are told to a caller who holds it, to
 * the user who allocated it, and to CAP_PERFMON or CAP_SYS_ADMIN; to any other
 * they are 0; but how a FREE's token compares with the live generation shows in its
 * verdict. A PRIVATE client's keys are invisible to all others.
 */

/**
 * enum bufftrack_verdict - what the kernel says of one ALLOC or FREE
 * @BUFFTRACK_OK: the ordinary case
 * @BUFFTRACK_DOUBLE_FREE: the life that the token names, or without a token the
 *	key's last life, has ended by a free and no newer one is live; or this
 *	client has dropped every hold that it had, while others keep the life
 * @BUFFTRACK_STALE_FREE: the token names an older life than the live one, or a
 *	life that a MISSED_FREE ended (then with CONSEQUENCE)
 * @BUFFTRACK_FOREIGN_FREE: the life is live, not SHARED, and this client never
 *	held it
 * @BUFFTRACK_FREE_AFTER_EXIT: the life ended because its holders exited
 * @BUFFTRACK_FREE_AFTER_RESET: the life ended in a reset, of the device or of the
 *	client's own context
 * @BUFFTRACK_UNKNOWN_FREE: there is no record of the key, or the key never had
 *	that token
 * @BUFFTRACK_MISSED_FREE: EXCLUSIVE, and the key was still live
 * @BUFFTRACK_SIZE_MISMATCH: a size that differs from the life's
 * @BUFFTRACK_DANGLING: RETAIN or VIEW, and the key is not live, or not the life that
 *	the token names
 * @BUFFTRACK_LEAK: a client went away with holds of a life that is not PERSISTENT;
 *	only in events and counters
 * @BUFFTRACK_HELD_FREE: LAST, and references are left, the caller's or others'
 * @BUFFTRACK_NR_VERDICTS: how many there are
 */
enum bufftrack_verdict {
	BUFFTRACK_OK			= 0,
	BUFFTRACK_DOUBLE_FREE		= 1,
	BUFFTRACK_STALE_FREE		= 2,
	BUFFTRACK_FOREIGN_FREE		= 3,
	BUFFTRACK_FREE_AFTER_EXIT	= 4,
	BUFFTRACK_FREE_AFTER_RESET	= 5,
	BUFFTRACK_UNKNOWN_FREE		= 6,
	BUFFTRACK_MISSED_FREE		= 7,
	BUFFTRACK_SIZE_MISMATCH		= 8,
	BUFFTRACK_DANGLING		= 9,
	BUFFTRACK_LEAK			= 10,
	BUFFTRACK_HELD_FREE		= 11,
	BUFFTRACK_NR_VERDICTS		= 12
};

/* Room for counts by verdict in this ABI: a verdict's number is always less. */
#define BUFFTRACK_MAX_VERDICTS		32

/*
 * Beside a verdict, in &struct bufftrack_op.info and in the events' "info". A verdict is
 * certain where PROBABLE is not set: then it is what happened, not only what was reported.
 */
#define BUFFTRACK_INFO_PROBABLE		(1U << 0) /* not proven */
#define BUFFTRACK_INFO_HISTORY_LOST	(1U << 1) /* tombstones that might tell were evicted */
/*
 * An ALLOC or FREE of this client was refused (ENOSPC, ENOMEM, EFAULT, EINTR, EINVAL), or
 * the client is PARTIAL: this may be of what was never recorded.
 */
#define BUFFTRACK_INFO_NOT_RECORDED	(1U << 2)
/*
 * The offender, or who ended the life, is another process of the same client than the one
 * that took the hold; or the offender's client took its parent's place at a fork.
 */
#define BUFFTRACK_INFO_FORKED		(1U << 3)
#define BUFFTRACK_INFO_CONSEQUENCE	(1U << 4) /* of an earlier bad verdict on this key */
#define BUFFTRACK_INFO_UNDONE		(1U << 5) /* a free of this life was taken back */
#define BUFFTRACK_INFO_VIEWS_LEFT	(1U << 6) /* the life ended with views outstanding */
/* The other party's client is on its way out, or its process is gone. */
#define BUFFTRACK_INFO_CLOSING		(1U << 7)

/* What a life's record says of it. */
enum bufftrack_state {
	BUFFTRACK_STATE_NONE	= 0,	/* no such life is known */
	BUFFTRACK_STATE_LIVE	= 1,
	BUFFTRACK_STATE_FREED	= 2,	/* ended by its last FREE */
	BUFFTRACK_STATE_EXITED	= 3,	/* ended by its last holder's exit */
	BUFFTRACK_STATE_RESET	= 4,	/* ended by RESET of its device */
	BUFFTRACK_STATE_MISSED	= 5,	/* ended by an EXCLUSIVE ALLOC */
	BUFFTRACK_STATE_LAST	= 6,	/* ended by a FREE LAST with references left */
	BUFFTRACK_STATE_CONTEXT	= 7	/* ended by RESET CLIENT, of its last holder */
};

/* Feature bits: which commands and inputs this kernel has. */
#define BUFFTRACK_FEATURE_CORE		(1ULL << 0) /* INFO CLIENT ALLOC FREE STAT LIST */
#define BUFFTRACK_FEATURE_BATCH		(1ULL << 1)
#define BUFFTRACK_FEATURE_LABEL		(1ULL << 2)
#define BUFFTRACK_FEATURE_RESET		(1ULL << 3)
#define BUFFTRACK_FEATURE_STACK		(1ULL << 4) /* STACK, and stacks in ALLOC and FREE */
#define BUFFTRACK_FEATURE_EXCLUSIVE	(1ULL << 5)
#define BUFFTRACK_FEATURE_SHARED	(1ULL << 6)
#define BUFFTRACK_FEATURE_VIEW		(1ULL << 7)
#define BUFFTRACK_FEATURE_PRIVATE	(1ULL << 8)
#define BUFFTRACK_FEATURE_STRICT	(1ULL << 9)
#define BUFFTRACK_FEATURE_TRAP		(1ULL << 10)
#define BUFFTRACK_FEATURE_RETAIN	(1ULL << 11) /* RETAIN, SAME, a VIEW's token */
#define BUFFTRACK_FEATURE_LAST		(1ULL << 12)
#define BUFFTRACK_FEATURE_PERSISTENT	(1ULL << 13)
#define BUFFTRACK_FEATURE_UNDO		(1ULL << 14)
#define BUFFTRACK_FEATURE_RESET_CLIENT	(1ULL << 15)
#define BUFFTRACK_FEATURE_REQUIRE_TOKEN	(1ULL << 16)
#define BUFFTRACK_FEATURE_PARTIAL	(1ULL << 17) /* PARTIAL and FORKED */
#define BUFFTRACK_FEATURE_HOLDERS	(1ULL << 18)
#define BUFFTRACK_FEATURE_EVENTS	(1ULL << 19) /* EVENTS, and poll() */
#define BUFFTRACK_FEATURE_STACK_ID	(1ULL << 20) /* &struct bufftrack_op.stack_id */

/**
 * struct bufftrack_info - ioctl(BUFFTRACK_IOC_INFO): what this kernel has
 * @flags: in: 0
 * @reserved: in: 0
 * @features: out: BUFFTRACK_FEATURE_* bits
 * @max_buffers: out: live buffers that a client can hold
 * @max_devices: out: devices that can count for one user: brought into being by
 *	him, or by another who has left them to him
 * @history: out: tombstones kept, per device and user
 * @max_stacks: out: distinct stacks kept, per user
 * @max_batch: out: entries in one BATCH
 * @max_stack_depth: out: frames in one stack
 * @max_spaces: out: spaces that one user can bring into being, per device
 * @log_limit: out: kernel log lines per key
 * @evicted: out: loss: tombstones evicted since the module was loaded
 * @stacks_lost: out: loss: stacks not kept, for want of memory or room
 * @logs_suppressed: out: loss: kernel log lines not written
 * @failed: out: loss: ALLOCs refused with ENOSPC or ENOMEM
 * @max_clients: out: clients that one user can have open
 * @max_events: out: bad verdicts kept for EVENTS, per user
 */
struct bufftrack_info {
	__u32 flags;
	__u32 reserved;
	__aligned_u64 features;
	__aligned_u64 max_buffers;
	__aligned_u64 max_devices;
	__aligned_u64 history;
	__aligned_u64 max_stacks;
	__u32 max_batch;
	__u32 max_stack_depth;
	__u32 max_spaces;
	__u32 log_limit;
	__aligned_u64 evicted;
	__aligned_u64 stacks_lost;
	__aligned_u64 logs_suppressed;
	__aligned_u64 failed;
	__aligned_u64 max_clients;
	__aligned_u64 max_events;
};

/* &struct bufftrack_client.mask and .flags */
#define BUFFTRACK_CLIENT_NAME		(1U << 0) /* mask only: set the name */
#define BUFFTRACK_CLIENT_PRIVATE	(1U << 1) /* keys of its own; cannot be undone */
#define BUFFTRACK_CLIENT_STRICT		(1U << 2) /* a bad verdict is an errno */
#define BUFFTRACK_CLIENT_TRAP		(1U << 3) /* a bad verdict is a SIGTRAP */
#define BUFFTRACK_CLIENT_REQUIRE_TOKEN	(1U << 4) /* a FREE without a token is EINVAL */
/* It came late, or could not report a free: what it frees may never have been recorded. */
#define BUFFTRACK_CLIENT_PARTIAL	(1U << 5) /* cannot be undone */
#define BUFFTRACK_CLIENT_FORKED		(1U << 6) /* it took its parent's place; not undone */

/**
 * struct bufftrack_client - ioctl(BUFFTRACK_IOC_CLIENT): describe this client
 * @mask: in: what to change: BUFFTRACK_CLIENT_*; 0 changes nothing
 * @flags: in: the new values of those bits; out: the client's flags
 * @name: in: the runtime's name, NUL-terminated, without control characters, with
 *	NAME in @mask; out: the client's name
 * @id: out: the client's id, never 0, never reused while the module is loaded
 *
 * A client is one open file; fork() and dup() share it.
 *
 * Errors: EINVAL where NAME is in @flags, the name has no NUL or a control
 * character, or PRIVATE, PARTIAL or FORKED would be cleared; EBUSY where PRIVATE is set
 * after the first ALLOC, FREE or LABEL.
 */
struct bufftrack_client {
	__u32 mask;
	__u32 flags;
	char name[BUFFTRACK_NAME_LEN];
	__aligned_u64 id;
};

/* &struct bufftrack_op.op: in a BATCH only, 0 elsewhere */
#define BUFFTRACK_OP_ALLOC		1
#define BUFFTRACK_OP_FREE		2
#define BUFFTRACK_OP_UNDO		3

/*
 * &struct bufftrack_op.flags. EXCLUSIVE, RETAIN and SAME exclude each other; VIEW goes with
 * none of ALLOC's others; of LAST and VIEW a FREE has one.
 */
#define BUFFTRACK_F_EXCLUSIVE		(1U << 0) /* ALLOC: the key must not be live */
#define BUFFTRACK_F_SHARED		(1U << 1) /* ALLOC: any client of the user may drop it */
#define BUFFTRACK_F_VIEW		(1U << 2) /* ALLOC, FREE: an alias that owns nothing */
#define BUFFTRACK_F_RETAIN		(1U << 3) /* ALLOC: the key must be live */
#define BUFFTRACK_F_SAME		(1U << 4) /* ALLOC: one reference a client, however often */
#define BUFFTRACK_F_PERSISTENT		(1U << 5) /* ALLOC: meant to last until exit: no LEAK */
#define BUFFTRACK_F_LAST		(1U << 6) /* FREE: ends the life, whatever is left */

/**
 * struct bufftrack_op - ioctl(BUFFTRACK_IOC_ALLOC), ioctl(BUFFTRACK_IOC_FREE),
 *	ioctl(BUFFTRACK_IOC_UNDO), and one entry of BUFFTRACK_IOC_BATCH
 * @device: in: the device, the same number in every process
 * @buffer: in: the buffer's id, in practice its address
 * @size: in: ALLOC: its size in bytes. FREE: the size to check, 0 for none
 * @tag: in: ALLOC: opaque, for grouping, such as the context that the buffer ends with;
 *	kept from the life's first ALLOC. FREE: 0
 * @token: in: FREE: the generation that ALLOC returned, 0 for none. ALLOC with RETAIN or
 *	VIEW, FREE with VIEW: that of the life that is meant, 0 for any. Other ALLOCs: 0
 * @stack: in: pointer to @stack_depth return addresses, each a __u64, innermost
 *	first; 0 for none
 * @stack_depth: in: at most &struct bufftrack_info.max_stack_depth
 * @space: in: the memory space on the device: what the pointer is, never which function
 *	was called
 * @op: in: BATCH: BUFFTRACK_OP_ALLOC, _FREE or _UNDO. Otherwise 0
 * @flags: in: BUFFTRACK_F_*
 * @generation: out: the generation of the key's live life, else of its last; 0
 *	where there is no record of the key. UNDO: in: as FREE answered
 * @refs: out: references that remain on the live life
 * @verdict: out: &enum bufftrack_verdict. UNDO: in: as FREE answered
 * @info: out: BUFFTRACK_INFO_*
 * @error: out: BATCH: 0, or the negative errno of this entry. Otherwise 0
 * @stack_id: in: with @stack, the id of the same stack as an earlier call of this process
 *	got it, or 0: where the kernel still keeps it, @stack is not read. Out: the id of
 *	the call's stack; 0 where it gave none, or it was not kept
 * @reserved: in: 0
 *
 * The first ALLOC's flags rule a life, but for RETAIN, SAME and VIEW, which are the
 * call's own.
 *
 * ALLOC begins a life where the key is not live, else it adds a reference. EXCLUSIVE: the
 * key must not be live (MISSED_FREE). RETAIN: it must be, and be the life that the token
 * names where one is given (DANGLING: nothing begins). SAME: where this client holds the
 * life already, no reference is added, and @refs is as before.
 *
 * FREE drops one reference of the caller's. LAST ends the life, whatever references are
 * left (HELD_FREE where some are): it needs a hold, and of a life that another user
 * allocated it is a plain FREE.
 *
 * A VIEW neither takes nor needs a hold: its ALLOC counts a view of a live life (else
 * DANGLING), its FREE drops one, and the FREE of a view is never an error: with a token
 * that is not the live life's it changes nothing.
 *
 * Of a SHARED life a FREE drops the caller's own hold where it has one. A client that had
 * one and has dropped it gets DOUBLE_FREE; one of the same user that never had one drops
 * the oldest holder's.
 *
 * UNDO takes a FREE's own struct, as it was answered: the driver says that nothing was
 * freed. Where its verdict had counted nothing, UNDO does nothing. Else the reference is
 * the caller's again, while that life is the key's last; if it had ended, it lives again.
 * UNDO takes no stack and no token: those of the struct are not looked at.
 *
 * Errors: those of every command; EINVAL for flags that do not go together, for a flag of
 * the other command, for a token where none may be, for a FREE without one of a client
 * that is REQUIRE_TOKEN, for an UNDO of a VIEW; EOPNOTSUPP where a stack is given and
 * BUFFTRACK_FEATURE_STACK is off; EOVERFLOW where a count would wrap; UNDO: ENOENT where
 * the life's record was evicted or the caller has nothing to take back, ESTALE where a
 * newer life has begun; with STRICT the verdict's.
 */
struct bufftrack_op {
	__aligned_u64 device;
	__aligned_u64 buffer;
	__aligned_u64 size;
	__aligned_u64 tag;
	__aligned_u64 token;
	__aligned_u64 stack;
	__u32 stack_depth;
	__u32 space;
	__u32 op;
	__u32 flags;
	__aligned_u64 generation;
	__u32 refs;
	__u32 verdict;
	__u32 info;
	__s32 error;
	__u32 stack_id;
	__u32 reserved;
};

/**
 * struct bufftrack_batch - ioctl(BUFFTRACK_IOC_BATCH): many reports in one call
 * @entries: in: pointer to @nr entries of @entry_size bytes, each beginning
 *	with a &struct bufftrack_op
 * @nr: in: how many, 1 to &struct bufftrack_info.max_batch
 * @entry_size: in: bytes from one entry to the next: at least the first
 *	version's sizeof(struct bufftrack_op), a multiple of 8, at most 4096
 * @flags: in: 0
 * @done: out: how many entries were carried out or refused by themselves, from
 *	the first on; the rest were not touched. After EFAULT the answers of the
 *	last of them are missing where their memory cannot be written
 * @bad: out: how many of those have a bad verdict or an error
 * @reserved: in: 0
 *
 * Entries are carried out in their order. An entry that is wrong gets its
 * errno in @error and changes nothing; the rest go on. @done is less than @nr
 * only where the call returns EFAULT or EINTR.
 *
 * Errors: those of every command; EINVAL where @nr or @entry_size is out of
 * range. A STRICT client's verdicts are in each entry's @error, not the call's.
 */
struct bufftrack_batch {
	__aligned_u64 entries;
	__u32 nr;
	__u32 entry_size;
	__u32 flags;
	__u32 done;
	__u32 bad;
	__u32 reserved;
};

#define BUFFTRACK_LABEL_SPACE		(1U << 0) /* the label is the space's */
#define BUFFTRACK_LABEL_TAG		(1U << 1) /* the label is the tag's */
#define BUFFTRACK_LABEL_GET		(1U << 2) /* tell the label; set nothing */

/**
 * struct bufftrack_label - ioctl(BUFFTRACK_IOC_LABEL): name a device, a space or a tag
 * @device: in: the device; it comes into being where it is not yet known
 * @space: in: with SPACE the space, likewise; else 0
 * @flags: in: 0, BUFFTRACK_LABEL_SPACE or BUFFTRACK_LABEL_TAG; with GET or without
 * @label: in: the name, NUL-terminated, printable ASCII without quotes, '=',
 *	backslashes or blanks; empty removes the label. With GET out
 * @tag: in: with TAG the tag, on that device; else 0
 *
 * Labels are each user's own: nobody reads or overwrites another's. A caller
 * with CAP_PERFMON or CAP_SYS_ADMIN who has set none sees that of the user who
 * came to the device last. A label lasts as long as its user has clients, buffers or
 * tombstones on the device.
 *
 * Errors: EINVAL for a bad name; ENOSPC as for ALLOC, and where 1024 tags of a device have
 * one; with GET ENOENT where there is none.
 */
struct bufftrack_label {
	__aligned_u64 device;
	__u32 space;
	__u32 flags;
	char label[BUFFTRACK_NAME_LEN];
	__aligned_u64 tag;
};

/* &struct bufftrack_reset.flags */
#define BUFFTRACK_RESET_CLIENT		(1U << 0) /* the caller's own holds only */
#define BUFFTRACK_RESET_SPACE		(1U << 1) /* of @space only */
#define BUFFTRACK_RESET_TAG		(1U << 2) /* with CLIENT: of lives with @tag only */
#define BUFFTRACK_RESET_ALL		(1U << 3) /* with CLIENT: of every device */

/**
 * struct bufftrack_reset - ioctl(BUFFTRACK_IOC_RESET): a device, or a context, is over
 * @device: in: the device; with ALL 0
 * @flags: in: BUFFTRACK_RESET_*
 * @space: in: with SPACE the space; else 0
 * @tag: in: with TAG the tag; else 0
 * @lives: out: how many lives that ended
 * @holds: out: with CLIENT: of how many lives the caller dropped its references
 *
 * Without CLIENT: ends every life on the device (of the space) that began before the call,
 * of all clients, PRIVATE ones too; one that begins meanwhile may be ended or not.
 *
 * With CLIENT: drops the caller's own holds, and ends the lives of which none is left,
 * reason context. No LEAK is told of them. Anybody may.
 *
 * Errors: EPERM without CAP_SYS_ADMIN, but for CLIENT; ENODEV where the device is not
 * known (with CLIENT that is no error: nothing is held); EINVAL for TAG or ALL without
 * CLIENT, and for ALL with SPACE.
 */
struct bufftrack_reset {
	__aligned_u64 device;
	__u32 flags;
	__u32 space;
	__aligned_u64 tag;
	__aligned_u64 lives;
	__aligned_u64 holds;
};

/* &struct bufftrack_stat.scope */
#define BUFFTRACK_STAT_ALL		0 /* everything the module counted */
#define BUFFTRACK_STAT_DEVICE		1 /* one device */
#define BUFFTRACK_STAT_SPACE		2 /* one space of a device */
#define BUFFTRACK_STAT_CLIENT		3 /* one open client */

#define BUFFTRACK_STAT_NEXT		(1U << 0) /* the first one after @cursor */

/**
 * struct bufftrack_stat - ioctl(BUFFTRACK_IOC_STAT): counters
 * @scope: in: BUFFTRACK_STAT_ALL, _DEVICE, _SPACE or _CLIENT
 * @flags: in: 0 for the one named, or BUFFTRACK_STAT_NEXT to walk over all
 * @cursor: in, out: with NEXT: 0 to begin, then as it was returned; else 0
 * @device: in: DEVICE, SPACE: the device; out with NEXT
 * @client: in: CLIENT: its id, 0 for the caller's own; out with NEXT
 * @space: in: SPACE: the space; out with NEXT
 * @pid: out: CLIENT: the process that opened it
 * @uid: out: CLIENT: its user, in the reader's user namespace
 * @client_flags: out: CLIENT: BUFFTRACK_CLIENT_*
 * @name: out: CLIENT: its name; DEVICE, SPACE: the label; empty where none
 * @comm: out: CLIENT: the name of the task that opened it
 * @live: out: lives that are live (CLIENT: that it holds)
 * @bytes: out: the sum of their sizes (CLIENT: of those it holds)
 * @peak_bytes: out: the highest that @bytes ever was, up to 2^63 - 1
 * @allocs: out: ALLOCs that counted a reference
 * @frees: out: FREEs that dropped one
 * @history: out: tombstones now kept (CLIENT: 0)
 * @evicted: out: tombstones evicted (CLIENT: 0)
 * @clients: out: ALL: open clients; DEVICE: those of them that used it
 * @verdicts: out: one count a verdict, by &enum bufftrack_verdict; LEAK counts
 *	lives
 * @undos: out: frees that an UNDO took back
 * @certain: out: bad frees without BUFFTRACK_INFO_PROBABLE: those that are proven
 * @reserved: in: 0
 *
 * With NEXT and SPACE, @device is an input: the walk is over its spaces. Walks
 * are in the order in which devices and clients came into being; over spaces,
 * in that of their numbers.
 *
 * A caller without CAP_PERFMON or CAP_SYS_ADMIN sees its own user only: the
 * user's clients, the devices and spaces that they used, and of a device that
 * several users share the user's own part. A caller with one of them sees all;
 * there, where several users share, @peak_bytes is the sum of the users' peaks.
 * DEVICE counts verdicts on spaces that never saw an ALLOC, ALL also those on
 * devices that are not known: each can be more than the sum of its parts.
 *
 * Errors: ENOENT where there is none such, or no further one.
 */
struct bufftrack_stat {
	__u32 scope;
	__u32 flags;
	__aligned_u64 cursor;
	__aligned_u64 device;
	__aligned_u64 client;
	__u32 space;
	__u32 pid;
	__u32 uid;
	__u32 client_flags;
	char name[BUFFTRACK_NAME_LEN];
	char comm[BUFFTRACK_COMM_LEN];
	__aligned_u64 live;
	__aligned_u64 bytes;
	__aligned_u64 peak_bytes;
	__aligned_u64 allocs;
	__aligned_u64 frees;
	__aligned_u64 history;
	__aligned_u64 evicted;
	__aligned_u64 clients;
	__aligned_u64 verdicts[BUFFTRACK_MAX_VERDICTS];
	__aligned_u64 undos;
	__aligned_u64 certain;
	__aligned_u64 reserved[6];
};

/**
 * struct bufftrack_event - who did something, when and from where
 * @time: CLOCK_MONOTONIC, ns; 0 where it is not known
 * @start_time: when the process began, CLOCK_MONOTONIC, ns: a pid that another process has
 *	now is told from this one by it
 * @client: its client's id; 0 where that is not the reader's to see
 * @cgroup: the id of the process's cgroup (its directory's inode number)
 * @stack_id: for BUFFTRACK_IOC_STACK; 0 where none was given
 * @pid: the process; 0 where it is not known or not the reader's to see
 * @tid: the thread
 * @uid: the user, in the reader's user namespace
 * @exited: 1 where the process is gone
 * @reserved: 0
 * @comm: the thread's name at that time
 */
struct bufftrack_event {
	__aligned_u64 time;
	__aligned_u64 start_time;
	__aligned_u64 client;
	__aligned_u64 cgroup;
	__u32 stack_id;
	__u32 pid;
	__u32 tid;
	__u32 uid;
	__u32 exited;
	__u32 reserved;
	char comm[BUFFTRACK_COMM_LEN];
};

/*
 * The field "mark" of every tracepoint: by it a reader of a recording tells bufftrack's records
 * from those of another module, to which the kernel gave the same event number later.
 */
#define BUFFTRACK_MARK_VERDICT(verdict)	(0x62740000U | (verdict)) /* enum bufftrack_verdict */
#define BUFFTRACK_MARK_ALLOC		0x62740100U
#define BUFFTRACK_MARK_FREE		0x62740101U
#define BUFFTRACK_MARK_UNDO		0x62740102U
#define BUFFTRACK_MARK_CLIENT_OPEN	0x62740103U
#define BUFFTRACK_MARK_CLIENT_CLOSE	0x62740104U
#define BUFFTRACK_MARK_RESET		0x62740105U

/* &struct bufftrack_life.flags beside BUFFTRACK_F_* of the first ALLOC */
#define BUFFTRACK_LIFE_PRIVATE		(1U << 16) /* the key is of a PRIVATE client */
#define BUFFTRACK_LIFE_UNDONE		(1U << 17) /* a free of it was taken back */
#define BUFFTRACK_LIFE_VIEWS_LEFT	(1U << 18) /* it ended with views outstanding */

/**
 * struct bufftrack_life - one entry of BUFFTRACK_IOC_LIST
 * @device: its key
 * @buffer: its key
 * @size: bytes, of its first ALLOC
 * @tag: of its first ALLOC
 * @generation: its generation
 * @client: the id of its oldest holder; 0 where it has ended, or where that
 *	client is not the caller's to see
 * @space: its key
 * @state: &enum bufftrack_state
 * @refs: references
 * @views: views outstanding
 * @flags: BUFFTRACK_F_* of the first ALLOC, BUFFTRACK_LIFE_*
 * @reserved: 0
 * @lives: lives that this key has had
 * @frees: lives of it that ended by a FREE
 * @refused: bad frees that this key has seen
 * @prev_state: how the life before this one ended; NONE where there was none
 * @prev_generation: the generation of the life before; 0 where there was none, or it
 *	is not the reader's to see
 * @alloc: this life's first ALLOC
 * @end: this life's end
 * @prev_alloc: the first ALLOC of the life before
 * @prev_end: its end
 */
struct bufftrack_life {
	__aligned_u64 device;
	__aligned_u64 buffer;
	__aligned_u64 size;
	__aligned_u64 tag;
	__aligned_u64 generation;
	__aligned_u64 client;
	__u32 space;
	__u32 state;
	__u32 refs;
	__u32 views;
	__u32 flags;
	__u32 reserved;
	__u32 lives;
	__u32 frees;
	__u32 refused;
	__u32 prev_state;
	__aligned_u64 prev_generation;
	struct bufftrack_event alloc;
	struct bufftrack_event end;
	struct bufftrack_event prev_alloc;
	struct bufftrack_event prev_end;
};

/* &struct bufftrack_list.flags */
#define BUFFTRACK_LIST_DEAD		(1U << 0) /* tombstones too */
#define BUFFTRACK_LIST_DEVICE		(1U << 1) /* of @device only */
#define BUFFTRACK_LIST_SPACE		(1U << 2) /* of @space only */
/* Of these two, what the reader may not see is not found. */
#define BUFFTRACK_LIST_CLIENT		(1U << 3) /* held by @client only */
#define BUFFTRACK_LIST_PID		(1U << 4) /* allocated by process @pid only */
#define BUFFTRACK_LIST_TAG		(1U << 5) /* with @tag only */
#define BUFFTRACK_LIST_BUFFER		(1U << 6) /* of @buffer only */
#define BUFFTRACK_LIST_GENERATION	(1U << 7) /* of @generation only */

/**
 * struct bufftrack_list - ioctl(BUFFTRACK_IOC_LIST): the lives, in pages
 * @entries: in: pointer to room for @nr entries of @entry_size bytes
 * @nr: in: room, at least 1; out: entries written
 * @entry_size: in: bytes from one entry to the next, as in BATCH; out: what the
 *	kernel fills of each
 * @flags: in: BUFFTRACK_LIST_*
 * @space: in: with SPACE; else 0
 * @device: in: with DEVICE; else 0
 * @client: in: with CLIENT: its id; else 0
 * @pid: in: with PID, in the caller's pid namespace; else 0
 * @reserved: in: 0
 * @cursor: in, out: all 0 to begin, then as it was returned; opaque
 * @tag: in: with TAG; else 0
 * @buffer: in: with BUFFER; else 0
 * @generation: in: with GENERATION; else 0
 *
 * The walk is over when @nr comes back 0. A life that is there from the first
 * call to the last is listed exactly once; nothing is locked between pages.
 * @nr can come back less than the room and the walk not be over.
 *
 * Who sees what: as in &struct bufftrack_stat: lives allocated by the caller's
 * own user.
 */
struct bufftrack_list {
	__aligned_u64 entries;
	__u32 nr;
	__u32 entry_size;
	__u32 flags;
	__u32 space;
	__aligned_u64 device;
	__aligned_u64 client;
	__u32 pid;
	__u32 reserved;
	__aligned_u64 cursor[4];
	__aligned_u64 tag;
	__aligned_u64 buffer;
	__aligned_u64 generation;
};

/**
 * struct bufftrack_holder - one entry of BUFFTRACK_IOC_HOLDERS
 * @client: the client's id
 * @count: its references; 0 where it has dropped all that it had
 * @pid: the process that opened it
 * @uid: its user, in the reader's user namespace
 * @reserved: 0
 * @name: the client's name
 * @comm: the name of the task that opened it
 */
struct bufftrack_holder {
	__aligned_u64 client;
	__u32 count;
	__u32 pid;
	__u32 uid;
	__u32 reserved;
	char name[BUFFTRACK_NAME_LEN];
	char comm[BUFFTRACK_COMM_LEN];
};

/**
 * struct bufftrack_holders - ioctl(BUFFTRACK_IOC_HOLDERS): who holds a life
 * @entries: in: pointer to room for @nr entries of @entry_size bytes
 * @nr: in: room, 0 to ask for the number only; out: how many there are that the caller
 *	may see, of which no more than the room is written, the oldest first
 * @entry_size: in: bytes from one entry to the next, as in BATCH
 * @device: in: the key
 * @buffer: in: the key
 * @space: in: the key
 * @flags: in: 0
 * @generation: in: the life, 0 for the key's last; out: which it was
 * @refs: out: its references, all told
 * @others: out: those of them that other users hold, as one sum
 *
 * The key is the caller's own where its client is PRIVATE. Who sees what: as in &struct
 * bufftrack_stat.
 *
 * Errors: ENOENT where the key has no record that the caller may see; ESTALE where
 * @generation is not its last life.
 */
struct bufftrack_holders {
	__aligned_u64 entries;
	__u32 nr;
	__u32 entry_size;
	__aligned_u64 device;
	__aligned_u64 buffer;
	__u32 space;
	__u32 flags;
	__aligned_u64 generation;
	__u32 refs;
	__u32 others;
};

/**
 * struct bufftrack_bad - one entry of BUFFTRACK_IOC_EVENTS: a bad verdict
 * @sequence: the event's number, from 1 on, without gaps, of this user
 * @device: the key
 * @buffer: the key
 * @size: bytes, of the life's first ALLOC
 * @requested: the size that the call gave
 * @tag: of the life's first ALLOC
 * @token: the call's
 * @generation: of the key's live life, else of its last
 * @named: the generation of the life that the call meant; 0 where none is known
 * @prev_generation: of the life before that one
 * @evicted: tombstones of this device's that were evicted, all told
 * @space: the key
 * @verdict: &enum bufftrack_verdict
 * @info: BUFFTRACK_INFO_*
 * @flags: the call's BUFFTRACK_F_*, BUFFTRACK_LIFE_PRIVATE
 * @refs: references of the live life
 * @views: views of the life
 * @nth: the how many-th bad free of this key; LEAK: 1
 * @count: LEAK: the references that the client had
 * @lives: lives that this key has had
 * @frees: lives of it that ended by a FREE
 * @reason: how the life that was meant ended: &enum bufftrack_state
 * @prev_reason: how the one before that ended
 * @offender: who made the call; LEAK: who opened the client, at the time of its end
 * @end: the end of the life that was meant; all 0 where it has not ended
 * @alloc: its first ALLOC
 * @prev_end: the end of the life before that one
 * @prev_alloc: its first ALLOC
 */
struct bufftrack_bad {
	__aligned_u64 sequence;
	__aligned_u64 device;
	__aligned_u64 buffer;
	__aligned_u64 size;
	__aligned_u64 requested;
	__aligned_u64 tag;
	__aligned_u64 token;
	__aligned_u64 generation;
	__aligned_u64 named;
	__aligned_u64 prev_generation;
	__aligned_u64 evicted;
	__u32 space;
	__u32 verdict;
	__u32 info;
	__u32 flags;
	__u32 refs;
	__u32 views;
	__u32 nth;
	__u32 count;
	__u32 lives;
	__u32 frees;
	__u32 reason;
	__u32 prev_reason;
	struct bufftrack_event offender;
	struct bufftrack_event end;
	struct bufftrack_event alloc;
	struct bufftrack_event prev_end;
	struct bufftrack_event prev_alloc;
};

/* &struct bufftrack_events.flags */
#define BUFFTRACK_EVENTS_END		(1U << 0) /* no entries: the cursor goes to the end */

/**
 * struct bufftrack_events - ioctl(BUFFTRACK_IOC_EVENTS): the user's bad verdicts
 * @entries: in: pointer to room for @nr entries of @entry_size bytes
 * @nr: in: room, at least 1 (with END 0); out: entries written
 * @entry_size: in: bytes from one entry to the next, as in BATCH; with END 0
 * @flags: in: 0 or BUFFTRACK_EVENTS_END
 * @reserved: in: 0
 * @cursor: in, out: 0 to begin with the oldest that is kept, then as it was returned
 * @lost: out: how many between the cursor and the first entry are not kept any more
 *
 * Those of the user who opened the file, of all its clients, LEAKs too (of one client's end
 * the first @max_events); at least the last &struct bufftrack_info.max_events are kept while
 * the user has a client open. poll() says
 * POLLIN where there are some behind the cursor that this file last returned (from the
 * open on where it returned none). @nr comes back 0 where there is none further.
 *
 * Errors: EINVAL where the cursor is beyond the end.
 */
struct bufftrack_events {
	__aligned_u64 entries;
	__u32 nr;
	__u32 entry_size;
	__u32 flags;
	__u32 reserved;
	__aligned_u64 cursor;
	__aligned_u64 lost;
};

#define BUFFTRACK_BUILD_ID_LEN		20
#define BUFFTRACK_PATH_LEN		256

/**
 * struct bufftrack_frame - one frame of BUFFTRACK_IOC_STACK
 * @address: the return address in the process that reported it; 0 where the caller
 *	may not know it: see &struct bufftrack_stack
 * @offset: the address as an offset in the mapped file; 0 where none is mapped
 * @build_id: of the mapped file, @build_id_len bytes of it
 * @build_id_len: 0 where there is none
 * @inode: the mapped file's inode number
 * @file_size: its size in bytes, when the stack was new
 * @file_time: its time of last modification then, ns of CLOCK_REALTIME
 * @path: the mapped file, cut at its front where too long; empty where none
 */
struct bufftrack_frame {
	__aligned_u64 address;
	__aligned_u64 offset;
	__u8 build_id[BUFFTRACK_BUILD_ID_LEN];
	__u32 build_id_len;
	__aligned_u64 inode;
	__aligned_u64 file_size;
	__aligned_u64 file_time;
	char path[BUFFTRACK_PATH_LEN];
};

/**
 * struct bufftrack_stack - ioctl(BUFFTRACK_IOC_STACK): the frames of a stack
 * @frames: in: pointer to room for @nr frames of @frame_size bytes
 * @nr: in: room; out: the stack's depth, of which no more than the room is
 *	written
 * @frame_size: in: bytes from one frame to the next, as in BATCH
 * @stack_id: in: from an event or a life
 * @flags: in: 0
 *
 * A stack is kept while a life refers to it, or one of the bad verdicts that EVENTS keeps
 * of the user. Where there are max_stacks, the oldest gives way to a new one.
 *
 * Addresses are told to the process that reported the stack, to who may trace it
 * (the rule of PTRACE_MODE_READ_FSCREDS in ptrace(2)) while it runs that program, and
 * with CAP_PERFMON or CAP_SYS_ADMIN in the initial user namespace; to others of the
 * same user files and offsets only.
 *
 * Errors: ENOENT where it is not kept any more, or it is another user's.
 */
struct bufftrack_stack {
	__aligned_u64 frames;
	__u32 nr;
	__u32 frame_size;
	__u32 stack_id;
	__u32 flags;
};

#define BUFFTRACK_IOC_INFO	_IOWR(BUFFTRACK_IOC_MAGIC, 0x20, struct bufftrack_info)
#define BUFFTRACK_IOC_CLIENT	_IOWR(BUFFTRACK_IOC_MAGIC, 0x21, struct bufftrack_client)
#define BUFFTRACK_IOC_ALLOC	_IOWR(BUFFTRACK_IOC_MAGIC, 0x22, struct bufftrack_op)
#define BUFFTRACK_IOC_FREE	_IOWR(BUFFTRACK_IOC_MAGIC, 0x23, struct bufftrack_op)
#define BUFFTRACK_IOC_BATCH	_IOWR(BUFFTRACK_IOC_MAGIC, 0x24, struct bufftrack_batch)
#define BUFFTRACK_IOC_LABEL	_IOWR(BUFFTRACK_IOC_MAGIC, 0x25, struct bufftrack_label)
#define BUFFTRACK_IOC_RESET	_IOWR(BUFFTRACK_IOC_MAGIC, 0x26, struct bufftrack_reset)
#define BUFFTRACK_IOC_STAT	_IOWR(BUFFTRACK_IOC_MAGIC, 0x27, struct bufftrack_stat)
#define BUFFTRACK_IOC_LIST	_IOWR(BUFFTRACK_IOC_MAGIC, 0x28, struct bufftrack_list)
#define BUFFTRACK_IOC_STACK	_IOWR(BUFFTRACK_IOC_MAGIC, 0x29, struct bufftrack_stack)
#define BUFFTRACK_IOC_UNDO	_IOWR(BUFFTRACK_IOC_MAGIC, 0x2a, struct bufftrack_op)
#define BUFFTRACK_IOC_HOLDERS	_IOWR(BUFFTRACK_IOC_MAGIC, 0x2b, struct bufftrack_holders)
#define BUFFTRACK_IOC_EVENTS	_IOWR(BUFFTRACK_IOC_MAGIC, 0x2c, struct bufftrack_events)

#endif /* _UAPI_LINUX_BUFFTRACK_H */
