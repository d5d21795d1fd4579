/* SPDX-License-Identifier: GPL-2.0 */
/* What the tests have in common: a key, a call, a look at what came of it. */
#ifndef BT_H
#define BT_H

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <inttypes.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <linux/bufftrack.h>
#include <kselftest_harness.h>

/* Emulated, with KASAN, on a machine that has other things to do */
#undef TEST_TIMEOUT_DEFAULT
#define TEST_TIMEOUT_DEFAULT 300

#define BT_NODE		"/dev/bufftrack"
#define BT_PARAMETERS	"/sys/module/bufftrack/parameters/"
#define BT_UNUSED	__attribute__((unused))

/* A uid and a space that nothing else has; a number that no kernel returns. */
#define BT_UID		31001
#define BT_SPACE	5
#define BT_POISON	0xa5

/* ---- calls: 0 or a negative errno ---------------------------------------- */

static inline int bt_open(void)
{
	return open(BT_NODE, O_RDWR | O_CLOEXEC);
}

static inline int bt_ioctl(int fd, unsigned long cmd, void *arg)
{
	return ioctl(fd, cmd, arg) < 0 ? -errno : 0;
}

/* The outputs of @op are poisoned first: a call has to write them all. */
static inline int bt_op(int fd, unsigned long cmd, struct bufftrack_op *op)
{
	memset(&op->generation, BT_POISON,
	       offsetof(struct bufftrack_op, reserved) -
	       offsetof(struct bufftrack_op, generation));
	return bt_ioctl(fd, cmd, op);
}

/* One call without a token; @size is an ALLOC's. An errno, else minus the verdict. */
static inline int bt_call(int fd, unsigned long cmd, __u64 size, __u64 device,
			  __u64 buffer, struct bufftrack_op *op)
{
	*op = (struct bufftrack_op) {
		.device = device, .buffer = buffer,
		.size = cmd == BUFFTRACK_IOC_ALLOC ? size : 0,
	};
	return bt_op(fd, cmd, op) ?: -(int)op->verdict;
}

static inline int bt_alloc(int fd, struct bufftrack_op *op)
{
	return bt_op(fd, BUFFTRACK_IOC_ALLOC, op);
}

static inline int bt_free(int fd, struct bufftrack_op *op)
{
	return bt_op(fd, BUFFTRACK_IOC_FREE, op);
}

static inline int bt_batch(int fd, struct bufftrack_op *ops, unsigned int nr,
			   struct bufftrack_batch *batch)
{
	*batch = (struct bufftrack_batch) {
		.entries = (uintptr_t)ops,
		.nr = nr,
		.entry_size = sizeof(*ops),
		.done = ~0U,
		.bad = ~0U,
	};
	return bt_ioctl(fd, BUFFTRACK_IOC_BATCH, batch);
}

static inline int bt_reset(int fd, __u64 device, __u64 *lives)
{
	struct bufftrack_reset reset = { .device = device, .lives = ~0ULL };
	int rc = bt_ioctl(fd, BUFFTRACK_IOC_RESET, &reset);

	*lives = reset.lives;
	return rc;
}

/* @name may be NULL. @id may be NULL. */
static inline int bt_client(int fd, __u32 mask, __u32 flags, const char *name,
			    __u64 *id)
{
	struct bufftrack_client client = {
		.mask = mask | (name ? BUFFTRACK_CLIENT_NAME : 0),
		.flags = flags,
	};
	int rc;

	if (name)
		strncpy(client.name, name, sizeof(client.name));
	rc = bt_ioctl(fd, BUFFTRACK_IOC_CLIENT, &client);
	if (id)
		*id = client.id;
	return rc;
}

/* A client with @flags, or a negative errno */
static inline int bt_open_as(__u32 flags)
{
	int fd = bt_open();
	int rc = fd < 0 ? -errno : bt_client(fd, flags, flags, NULL, NULL);

	return rc < 0 ? rc : fd;
}

static inline __u64 bt_features(int fd)
{
	struct bufftrack_info info = { .flags = 0 };

	return bt_ioctl(fd, BUFFTRACK_IOC_INFO, &info) ? 0 : info.features;
}

static inline __u64 bt_client_id(int fd)
{
	__u64 id;

	return bt_client(fd, 0, 0, NULL, &id) ? 0 : id;
}

/* Not known to any other test: the module keeps what it once knew. */
static inline __u64 bt_device(void)
{
	static __u32 last;

	return (__u64)getpid() << 32 | ++last;
}

static inline int bt_verdict_errno(__u32 verdict)
{
	static const int errnos[] = {
		[BUFFTRACK_DOUBLE_FREE] = EALREADY,
		[BUFFTRACK_STALE_FREE] = ESTALE,
		[BUFFTRACK_FOREIGN_FREE] = EPERM,
		[BUFFTRACK_FREE_AFTER_EXIT] = EOWNERDEAD,
		[BUFFTRACK_FREE_AFTER_RESET] = ECONNRESET,
		[BUFFTRACK_UNKNOWN_FREE] = ENOENT,
		[BUFFTRACK_MISSED_FREE] = EEXIST,
		[BUFFTRACK_SIZE_MISMATCH] = EMSGSIZE,
		[BUFFTRACK_DANGLING] = ENOLINK,
		[BUFFTRACK_LEAK] = 0,
		[BUFFTRACK_HELD_FREE] = EBUSY,
	};

	return verdict < ARRAY_SIZE(errnos) ? errnos[verdict] : EIO;
}

/* ---- looking: STAT and LIST ---------------------------------------------- */

static inline int bt_stat(int fd, __u32 scope, __u64 id, __u32 space,
			  struct bufftrack_stat *stat)
{
	memset(stat, 0, sizeof(*stat));
	stat->scope = scope;
	if (scope == BUFFTRACK_STAT_CLIENT)
		stat->client = id;
	else
		stat->device = id;
	stat->space = space;
	return bt_ioctl(fd, BUFFTRACK_IOC_STAT, stat);
}

/* Calls @use for each allocation that @filter lets pass, in pages of @page. */
static inline int bt_walk(int fd, struct bufftrack_list filter,
			  unsigned int page,
			  int (*use)(const struct bufftrack_life *life,
				     void *data),
			  void *data)
{
	struct bufftrack_life *lives = calloc(page, sizeof(*lives));
	unsigned int i;
	int rc = -ENOMEM;

	while (lives) {
		filter.entries = (uintptr_t)lives;
		filter.nr = page;
		filter.entry_size = sizeof(*lives);
		rc = bt_ioctl(fd, BUFFTRACK_IOC_LIST, &filter);
		if (rc || !filter.nr)
			break;
		if (filter.nr > page || filter.entry_size != sizeof(*lives)) {
			rc = -EIO;
			break;
		}
		for (i = 0; i < filter.nr; i++) {
			rc = use(&lives[i], data);
			if (rc)
				break;
		}
		if (rc)
			break;
	}
	free(lives);
	return rc;
}

struct bt_search {
	__u32 space;
	__u64 buffer;
	struct bufftrack_life *life;
	unsigned int found;
};

static inline int bt_match(const struct bufftrack_life *life, void *data)
{
	struct bt_search *search = data;

	if (life->space == search->space && life->buffer == search->buffer) {
		search->found++;
		*search->life = *life;
	}
	return 0;
}

/* The one allocation that LIST shows of a key; -ENOENT, or -EEXIST where it is two. */
static inline int bt_life(int fd, __u64 device, __u32 space, __u64 buffer,
			  struct bufftrack_life *life)
{
	struct bufftrack_list filter = {
		.flags = BUFFTRACK_LIST_DEAD | BUFFTRACK_LIST_DEVICE,
		.device = device,
	};
	struct bt_search search = {
		.space = space, .buffer = buffer, .life = life,
	};
	int rc;

	memset(life, 0, sizeof(*life));
	rc = bt_walk(fd, filter, 64, bt_match, &search);
	if (rc)
		return rc;
	return search.found == 1 ? 0 : search.found ? -EEXIST : -ENOENT;
}

static inline int bt_count_one(const struct bufftrack_life *life BT_UNUSED,
			       void *data)
{
	++*(unsigned int *)data;
	return 0;
}

/* How many allocations LIST shows, or a negative errno */
static inline int bt_count(int fd, struct bufftrack_list filter)
{
	unsigned int count = 0;
	int rc = bt_walk(fd, filter, 64, bt_count_one, &count);

	return rc ? rc : (int)count;
}

/*
 * What differs between two structs, in words, for EXPECT_STREQ("", ...): the
 * line that is shown is then the test's own.
 */
struct bt_words {
	char text[512];
	size_t used;
};

static inline void __attribute__((format(printf, 2, 3)))
bt_say(struct bt_words *words, const char *format, ...)
{
	va_list args;
	int n;

	va_start(args, format);
	n = vsnprintf(words->text + words->used,
		      sizeof(words->text) - words->used, format, args);
	va_end(args);
	words->used += n;
	if (words->used >= sizeof(words->text))
		words->used = sizeof(words->text) - 1;
}

#define BT_DIFFER(words, want, seen, field) do {			\
	if ((want)->field != (seen)->field)				\
		bt_say(words, "[" #field " 0x%llx, not 0x%llx]",	\
		       (unsigned long long)(seen)->field,		\
		       (unsigned long long)(want)->field);		\
} while (0)

/* The counters of one device, space or client */
static inline const char *bt_stat_diff(int fd, __u32 scope, __u64 id,
				       __u32 space, struct bufftrack_stat want)
{
	static struct bt_words words;
	struct bufftrack_stat seen;
	int i, rc;

	words = (struct bt_words) { .used = 0 };
	rc = bt_stat(fd, scope, id, space, &seen);
	if (rc) {
		bt_say(&words, "STAT: %s", strerror(-rc));
		return words.text;
	}
	BT_DIFFER(&words, &want, &seen, live);
	BT_DIFFER(&words, &want, &seen, bytes);
	BT_DIFFER(&words, &want, &seen, peak_bytes);
	BT_DIFFER(&words, &want, &seen, allocs);
	BT_DIFFER(&words, &want, &seen, frees);
	BT_DIFFER(&words, &want, &seen, history);
	BT_DIFFER(&words, &want, &seen, evicted);
	for (i = 0; i < 16; i++)
		if (want.verdicts[i] != seen.verdicts[i])
			bt_say(&words, "[verdicts[%d] %llu, not %llu]", i,
			       (unsigned long long)seen.verdicts[i],
			       (unsigned long long)want.verdicts[i]);
	return words.text;
}

static inline void bt_event_diff(struct bt_words *words, const char *name,
				 const struct bufftrack_event *want,
				 const struct bufftrack_event *seen)
{
	if (want->pid != seen->pid)
		bt_say(words, "[%s.pid %u, not %u]", name, seen->pid,
		       want->pid);
	if (want->tid && want->tid != seen->tid)
		bt_say(words, "[%s.tid %u, not %u]", name, seen->tid,
		       want->tid);
	if (want->exited != seen->exited)
		bt_say(words, "[%s.exited %u, not %u]", name, seen->exited,
		       want->exited);
	if (!want->pid != !seen->time)
		bt_say(words, "[%s.time %llu]", name,
		       (unsigned long long)seen->time);
	if (!want->pid && seen->comm[0])
		bt_say(words, "[%s.comm %.16s]", name, seen->comm);
}

/* The key's one entry in LIST. Of events the pid decides; 0 is none. */
static inline const char *bt_life_diff(int fd, __u64 device, __u32 space,
				       __u64 buffer,
				       struct bufftrack_life want)
{
	static struct bt_words words;
	struct bufftrack_life seen;
	int rc;

	words = (struct bt_words) { .used = 0 };
	rc = bt_life(fd, device, space, buffer, &seen);
	if (rc) {
		bt_say(&words, "LIST: %s", strerror(-rc));
		return words.text;
	}
	BT_DIFFER(&words, &want, &seen, size);
	BT_DIFFER(&words, &want, &seen, tag);
	BT_DIFFER(&words, &want, &seen, generation);
	BT_DIFFER(&words, &want, &seen, client);
	BT_DIFFER(&words, &want, &seen, state);
	BT_DIFFER(&words, &want, &seen, refs);
	BT_DIFFER(&words, &want, &seen, views);
	BT_DIFFER(&words, &want, &seen, flags);
	BT_DIFFER(&words, &want, &seen, reserved);
	BT_DIFFER(&words, &want, &seen, lives);
	BT_DIFFER(&words, &want, &seen, frees);
	BT_DIFFER(&words, &want, &seen, refused);
	BT_DIFFER(&words, &want, &seen, prev_state);
	BT_DIFFER(&words, &want, &seen, prev_generation);
	bt_event_diff(&words, "alloc", &want.alloc, &seen.alloc);
	bt_event_diff(&words, "end", &want.end, &seen.end);
	bt_event_diff(&words, "prev_alloc", &want.prev_alloc, &seen.prev_alloc);
	bt_event_diff(&words, "prev_end", &want.prev_end, &seen.prev_end);
	if (seen.end.time && seen.end.time < seen.alloc.time)
		bt_say(&words, "[end before alloc]");
	if (seen.prev_end.time > seen.alloc.time)
		bt_say(&words, "[alloc before prev_end]");
	return words.text;
}

/* ---- files --------------------------------------------------------------- */

static inline int bt_write(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);
	ssize_t n;

	if (fd < 0)
		return -errno;
	n = write(fd, text, strlen(text));
	n = n < 0 ? -errno : 0;
	close(fd);
	return n;
}

static inline int bt_read(const char *path, char *text, size_t size)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	size_t used = 0;
	ssize_t n;

	if (fd < 0)
		return -errno;
	/* A page at a time */
	while ((n = read(fd, text + used, size - 1 - used)) > 0)
		used += n;
	n = n < 0 ? -errno : 0;
	close(fd);
	text[used] = '\0';
	return n;
}

/* A module parameter; @old, where not NULL, gets what it was. */
static inline int bt_parameter(const char *name, unsigned long value,
			       unsigned long *old)
{
	char path[128], text[32];
	int rc = 0;

	snprintf(path, sizeof(path), BT_PARAMETERS "%s", name);
	if (old) {
		rc = bt_read(path, text, sizeof(text));
		*old = rc ? 0 : strtoul(text, NULL, 0);
	}
	snprintf(text, sizeof(text), "%lu", value);
	return rc ? rc : bt_write(path, text);
}

/* ---- processes ----------------------------------------------------------- */

/*
 * Two ends of numbers: a child says how far it is, and what it got. In a
 * TEST_F() a child can use EXPECT_*(); it ends with _exit().
 */
struct bt_pipe {
	int fd[2];
};

static inline int bt_pipe(struct bt_pipe *p)
{
	return pipe2(p->fd, O_CLOEXEC);
}

static inline void bt_send(struct bt_pipe *p, __u64 value)
{
	if (write(p->fd[1], &value, sizeof(value)) != sizeof(value))
		abort();
}

static inline __u64 bt_receive(struct bt_pipe *p)
{
	__u64 value;

	if (read(p->fd[0], &value, sizeof(value)) != sizeof(value))
		abort();
	return value;
}

static inline pid_t bt_fork(void)
{
	fflush(stdout);
	fflush(stderr);
	return fork();
}

/* Returns the exit status, or 128 and the signal. */
static inline int bt_reap(pid_t pid)
{
	int status;

	if (waitpid(pid, &status, 0) != pid)
		return -1;
	return WIFEXITED(status) ? WEXITSTATUS(status) :
				   128 + WTERMSIG(status);
}

/*
 * In a TEST_F(): a child does what follows, and ends with the block. It fails
 * the test where it does not come to that end.
 */
#define IN_A_CHILD							\
	for (pid_t __pid = bt_fork(); __pid >= 0; __pid = ({		\
			if (!__pid)					\
				_exit(0);				\
			EXPECT_EQ(0, bt_reap(__pid));			\
			-1;						\
		}))							\
		if (!__pid)

/* Becomes @uid, and only that: no groups, no capabilities. */
static inline int bt_become(uid_t uid)
{
	if (setgroups(0, NULL) || setresgid(uid, uid, uid) ||
	    setresuid(uid, uid, uid))
		return -errno;
	return 0;
}

static inline __u64 bt_now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1000000000ULL + ts.tv_nsec;
}

#endif /* BT_H */
