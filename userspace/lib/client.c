// SPDX-License-Identifier: LGPL-2.1-or-later OR MIT
/* Handles: opening the device, and what is asked of a client but its reports. */
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "lib.h"
#include "unwind/unwind.h"

#define DEVICE "/dev/bufftrack"

#define CLIENT_FLAGS                                                                  \
	(BUFFTRACK_CLIENT_PRIVATE | BUFFTRACK_CLIENT_STRICT | BUFFTRACK_CLIENT_TRAP | \
	 BUFFTRACK_CLIENT_REQUIRE_TOKEN | BUFFTRACK_CLIENT_PARTIAL)

/* Milliseconds after which bufftrack_default() tries again where there was nothing to open */
#define DEFAULT_AGAIN 1000
#define NEVER UINT64_MAX

static struct bufftrack *the_default; /* atomic */
static uint64_t default_due; /* when to try again; 0: it was never tried; atomic */

/* Returns 0 or a negative errno, and leaves errno as it was. */
int bufftrack_ioctl(int fd, unsigned long command, void *arg)
{
	int saved = errno, err;

	if (!ioctl(fd, command, arg))
		return 0;
	err = -errno;
	errno = saved;
	return err;
}

/* One line on stderr, by one write(): no lock, no buffer. */
void bufftrack_say(const char *format, ...)
{
	char line[256] = "libbufftrack: ";
	size_t used = strlen(line);
	int saved = errno, more;
	ssize_t written;
	va_list args;

	va_start(args, format);
	more = vsnprintf(line + used, sizeof(line) - used - 1, format, args);
	va_end(args);
	if (more > 0) {
		used = strlen(line);
		line[used++] = '\n';
		/* Where that fails, there is nobody to tell. */
		written = write(STDERR_FILENO, line, used);
		(void)written;
	}
	errno = saved;
}

static bool asked_for(const char *variable, const char *value)
{
	const char *text = secure_getenv(variable);

	return text && !strcmp(text, value);
}

/* Returns the descriptor or a negative errno. May change errno. */
static int open_device(void)
{
	int fd = open(DEVICE, O_RDWR | O_CLOEXEC);
	int higher;

	if (fd < 0)
		return -errno;
	/* A host that closed its stdio must not print into the device. */
	if (fd <= STDERR_FILENO) {
		higher = fcntl(fd, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
		if (higher < 0)
			higher = -errno;
		close(fd);
		fd = higher;
	}
	return fd;
}

static unsigned int min_uint(unsigned int a, unsigned int b)
{
	return a < b ? a : b;
}

static void read_environment(struct bufftrack *bt)
{
	const char *frames = secure_getenv("BUFFTRACK_STACK");
	unsigned long value;
	char *end;

	if (!frames || *frames < '0' || *frames > '9')
		return;
	value = strtoul(frames, &end, 10);
	if (*end)
		return;
	bt->depth = value > bt->max_depth ? bt->max_depth : value;
	bt->depth_fixed = true;
}

/* A program may be called anything; the kernel takes no control characters. */
static void take_name(char *to, const char *name)
{
	unsigned int i;

	for (i = 0; i < BUFFTRACK_NAME_LEN - 1 && name[i]; i++)
		to[i] = (unsigned char)name[i] < ' ' || name[i] == '\x7f' ? '?' : name[i];
}

static bool has_features_for(uint64_t features, unsigned int flags)
{
	static const struct {
		unsigned int flag;
		uint64_t feature;
	} needs[] = {
		{ BUFFTRACK_CLIENT_PRIVATE, BUFFTRACK_FEATURE_PRIVATE },
		{ BUFFTRACK_CLIENT_STRICT, BUFFTRACK_FEATURE_STRICT },
		{ BUFFTRACK_CLIENT_TRAP, BUFFTRACK_FEATURE_TRAP },
		{ BUFFTRACK_CLIENT_REQUIRE_TOKEN, BUFFTRACK_FEATURE_REQUIRE_TOKEN },
		{ BUFFTRACK_CLIENT_PARTIAL, BUFFTRACK_FEATURE_PARTIAL },
	};
	unsigned int i;

	for (i = 0; i < sizeof(needs) / sizeof(needs[0]); i++)
		if (flags & needs[i].flag && !(features & needs[i].feature))
			return false;
	return true;
}

/* Tells the kernel who an open file is. Returns 0 or a negative errno. */
static int introduce(const struct bufftrack *bt, int fd, unsigned int more, uint64_t *id)
{
	struct bufftrack_client client = {
		.mask = bt->flags | more,
		.flags = bt->flags | more,
	};
	int err;

	if (bt->named) {
		client.mask |= BUFFTRACK_CLIENT_NAME;
		memcpy(client.name, bt->name, sizeof(client.name));
	}
	err = bufftrack_ioctl(fd, BUFFTRACK_IOC_CLIENT, &client);
	if (!err)
		*id = client.id;
	return err;
}

/* Sets up an open file. Returns 0 or a negative errno. */
static int set_up(struct bufftrack *bt)
{
	struct bufftrack_info info = { .flags = 0 };
	int err;

	err = bufftrack_ioctl(bt->fd, BUFFTRACK_IOC_INFO, &info);
	if (err)
		return err;
	bt->features = info.features;
	if (!has_features_for(info.features, bt->flags))
		return -EOPNOTSUPP;
	err = introduce(bt, bt->fd, 0, &bt->id);
	if (err)
		return err;
	bt->max_batch = info.max_batch;
	if (info.features & BUFFTRACK_FEATURE_STACK) {
		bt->max_depth = min_uint(info.max_stack_depth, BUFFTRACK_DEPTH);
		bufftrack_unwind_init();
	}
	read_environment(bt);
	return 0;
}

/*
 * The place of the handle's own file: in a page that the kernel fills with zeros in a child
 * of fork(), so that the child knows by it, at its first call, that the file is its parent's.
 * Where the kernel has no such pages, and where the caller wants it so, a child shares the
 * client.
 */
static void choose_place(struct bufftrack *bt, bool shared)
{
	void *page = MAP_FAILED;

	if (!shared)
		page = mmap(NULL, sizeof(*bt->own), PROT_READ | PROT_WRITE,
			    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (page != MAP_FAILED && madvise(page, sizeof(*bt->own), MADV_WIPEONFORK)) {
		munmap(page, sizeof(*bt->own));
		page = MAP_FAILED;
	}
	bt->own = page == MAP_FAILED ? &bt->shared : page;
	*bt->own = bt->fd + 1;
}

/* Returns 0 or a negative errno. May change errno. */
static int open_client(struct bufftrack **opened, const char *name, unsigned int flags)
{
	struct bufftrack *bt;
	int err;

	if (flags & ~(CLIENT_FLAGS | BUFFTRACK_OPEN_FORK_SHARED))
		return -EINVAL;
	if (asked_for("BUFFTRACK", "off"))
		return -ECANCELED;
	if (asked_for("BUFFTRACK_TRAP", "1"))
		flags |= BUFFTRACK_CLIENT_TRAP;
	bt = calloc(1, sizeof(*bt));
	if (!bt)
		return -ENOMEM;
	bt->debug = asked_for("BUFFTRACK_DEBUG", "1");
	bt->flags = flags & CLIENT_FLAGS;
	bt->named = name != NULL;
	if (name)
		take_name(bt->name, name);
	bt->fd = open_device();
	err = bt->fd < 0 ? bt->fd : set_up(bt);
	if (err) {
		if (bt->fd >= 0)
			close(bt->fd);
		free(bt);
		return err;
	}
	choose_place(bt, flags & BUFFTRACK_OPEN_FORK_SHARED);
	*opened = bt;
	return 0;
}

static void say_not_open(int err)
{
	if (asked_for("BUFFTRACK_DEBUG", "1"))
		bufftrack_say("nothing is reported: " DEVICE ": %s", strerror(-err));
}

EXPORT struct bufftrack *bufftrack_open(const char *name, unsigned int flags)
{
	struct bufftrack *bt = NULL;
	int saved = errno;
	int err = open_client(&bt, name, flags);

	if (err)
		say_not_open(err);
	errno = err ? -err : saved;
	return bt;
}

/*
 * Whether bufftrack_default() is to try once more: at once where it never did, then once a
 * second. The coarse clock is read without a system call.
 */
static bool is_due(uint64_t *now)
{
	uint64_t due = __atomic_load_n(&default_due, __ATOMIC_RELAXED);
	struct timespec time;

	if (due == NEVER)
		return false;
	clock_gettime(CLOCK_MONOTONIC_COARSE, &time);
	*now = (uint64_t)time.tv_sec * 1000 + time.tv_nsec / 1000000;
	if (!due)
		return true;
	return *now >= due &&
	       __atomic_compare_exchange_n(&default_due, &due, *now + DEFAULT_AGAIN, false,
					   __ATOMIC_RELAXED, __ATOMIC_RELAXED);
}

static struct bufftrack *open_default(uint64_t now)
{
	struct bufftrack *mine = NULL, *bt = NULL;
	int err = open_client(&mine, program_invocation_short_name, 0);

	if (err) {
		/* Said once, however often it is tried again. */
		if (!__atomic_exchange_n(&default_due,
					 err == -ECANCELED ? NEVER : now + DEFAULT_AGAIN,
					 __ATOMIC_RELAXED))
			say_not_open(err);
		return __atomic_load_n(&the_default, __ATOMIC_ACQUIRE);
	}
	if (__atomic_compare_exchange_n(&the_default, &bt, mine, false, __ATOMIC_ACQ_REL,
					__ATOMIC_ACQUIRE))
		return mine;
	bufftrack_close(mine);
	return bt;
}

/*
 * No pthread_once(): nothing here may wait for a thread that is not there, in
 * the child of a fork(). Of two threads that come first, one closes its own.
 */
EXPORT struct bufftrack *bufftrack_default(void)
{
	struct bufftrack *bt = __atomic_load_n(&the_default, __ATOMIC_ACQUIRE);
	int saved = errno;
	uint64_t now;

	if (__builtin_expect(bt != NULL, 1))
		return bt;
	if (is_due(&now))
		bt = open_default(now);
	errno = saved;
	return bt;
}

/* Whether the descriptor is still the client's: hosts close what they do not know. */
static bool is_client(int fd, uint64_t id)
{
	struct bufftrack_client client = { .mask = 0 };

	return !bufftrack_ioctl(fd, BUFFTRACK_IOC_CLIENT, &client) && client.id == id;
}

/* The file that the handle has, which in a child of fork() may be its parent's. */
static int any_fd(const struct bufftrack *bt)
{
	int word = __atomic_load_n(bt->own, __ATOMIC_ACQUIRE);

	return word > 0 ? word - 1 : bt->fd;
}

EXPORT void bufftrack_close(struct bufftrack *bt)
{
	int saved = errno;

	if (!bt || bt == __atomic_load_n(&the_default, __ATOMIC_ACQUIRE))
		return;
	if (is_client(any_fd(bt), bt->id))
		close(any_fd(bt));
	if (bt->own != &bt->shared)
		munmap(bt->own, sizeof(*bt->own));
	free(bt);
	errno = saved;
}

/* ---- in a child of fork() --------------------------------------------------- */

static int open_again(const struct bufftrack *bt, uint64_t *id)
{
	unsigned int more = bt->features & BUFFTRACK_FEATURE_PARTIAL ? BUFFTRACK_CLIENT_FORKED : 0;
	int fd = open_device();
	int err;

	if (fd < 0)
		return fd;
	err = introduce(bt, fd, more, id);
	if (!err)
		return fd;
	close(fd);
	return err;
}

/*
 * A child's first call. Threads of the child, or a signal handler of the thread that is in
 * here, may come at the same time: each opens a client, the first one's is the handle's, and
 * the others close theirs. So nobody waits, and nobody finds half a client. A child that can
 * have none reports nothing: what it frees is its parent's to tell of.
 */
HIDDEN __attribute__((noinline, cold)) int bufftrack_take_place(struct bufftrack *bt)
{
	int word = __atomic_load_n(bt->own, __ATOMIC_ACQUIRE);
	int saved = errno, parents = bt->fd, fd;
	uint64_t id = 0, parents_id = bt->id;

	if (word)
		return word == NO_CLIENT ? -1 : word - 1;
	fd = open_again(bt, &id);
	if (__atomic_compare_exchange_n(bt->own, &word, fd < 0 ? NO_CLIENT : fd + 1, false,
					__ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE)) {
		if (fd < 0 && bt->debug)
			bufftrack_say("nothing is reported of this child: " DEVICE ": %s",
				      strerror(-fd));
		/* The parent's end is to be seen when the parent ends. */
		if (is_client(parents, parents_id))
			close(parents);
		bt->fd = fd < 0 ? -1 : fd;
		bt->id = id;
	} else {
		if (fd >= 0)
			close(fd);
		fd = word == NO_CLIENT ? -1 : word - 1;
	}
	errno = saved;
	return fd < 0 ? -1 : fd;
}

/* Returns 0 or a negative errno. May change errno. */
static int reopen(struct bufftrack *bt)
{
	bool taken = __atomic_load_n(bt->own, __ATOMIC_ACQUIRE) != 0;
	int own = bufftrack_own_fd(bt), err = 0, fd;
	uint64_t id = 0;

	if (own < 0 || !is_client(own, bt->id))
		return -EBADF;
	if (!taken)
		return 0;
	fd = open_again(bt, &id);
	if (fd < 0)
		return fd;
	/* In one step: another thread never sees the number unused. */
	if (dup3(fd, own, O_CLOEXEC) < 0)
		err = -errno;
	close(fd);
	if (!err)
		bt->id = id;
	return err;
}

EXPORT int bufftrack_reopen(struct bufftrack *bt)
{
	int saved = errno;
	int err = bt ? reopen(bt) : 0;

	if (err && bt->debug)
		bufftrack_say("reopen: %s", strerror(-err));
	errno = saved;
	return err;
}

EXPORT int bufftrack_fd(struct bufftrack *bt)
{
	return bt ? bufftrack_own_fd(bt) : -1;
}

EXPORT uint64_t bufftrack_features(const struct bufftrack *bt)
{
	return bt ? bt->features : 0;
}

EXPORT unsigned int bufftrack_set_stack_depth(struct bufftrack *bt, unsigned int frames)
{
	if (!bt)
		return 0;
	if (bt->depth_fixed)
		return bt->depth;
	frames = min_uint(frames, bt->max_depth);
	__atomic_store_n(&bt->depth, frames, __ATOMIC_RELAXED);
	return frames;
}
