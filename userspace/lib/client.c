// SPDX-License-Identifier: LGPL-2.1-or-later OR MIT
/* Handles: opening the device, and what is asked of a client but its reports. */
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

#include "lib.h"
#include "unwind/unwind.h"

#define DEVICE "/dev/bufftrack"

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

/* Sets up an open file. Returns 0 or a negative errno. May change errno. */
static int set_up(struct bufftrack *bt, const char *name, unsigned int flags)
{
	struct bufftrack_client client = { .mask = flags, .flags = flags };
	struct bufftrack_info info = { .flags = 0 };
	int err;

	err = bufftrack_ioctl(bt->fd, BUFFTRACK_IOC_INFO, &info);
	if (err)
		return err;
	bt->features = info.features;
	if ((flags & BUFFTRACK_CLIENT_PRIVATE && !(info.features & BUFFTRACK_FEATURE_PRIVATE)) ||
	    (flags & BUFFTRACK_CLIENT_STRICT && !(info.features & BUFFTRACK_FEATURE_STRICT)) ||
	    (flags & BUFFTRACK_CLIENT_TRAP && !(info.features & BUFFTRACK_FEATURE_TRAP)))
		return -EOPNOTSUPP;

	if (name) {
		client.mask |= BUFFTRACK_CLIENT_NAME;
		take_name(client.name, name);
	}
	err = bufftrack_ioctl(bt->fd, BUFFTRACK_IOC_CLIENT, &client);
	if (err)
		return err;
	bt->id = client.id;
	bt->max_batch = info.max_batch;
	if (info.features & BUFFTRACK_FEATURE_STACK) {
		bt->max_depth = min_uint(info.max_stack_depth, BUFFTRACK_DEPTH);
		bufftrack_unwind_init();
	}
	read_environment(bt);
	return 0;
}

/* Returns 0 or a negative errno. May change errno. */
static int open_client(struct bufftrack **opened, const char *name, unsigned int flags)
{
	struct bufftrack *bt;
	int err;

	if (flags & ~(BUFFTRACK_CLIENT_PRIVATE | BUFFTRACK_CLIENT_STRICT | BUFFTRACK_CLIENT_TRAP))
		return -EINVAL;
	if (asked_for("BUFFTRACK", "off"))
		return -ECANCELED;
	if (asked_for("BUFFTRACK_TRAP", "1"))
		flags |= BUFFTRACK_CLIENT_TRAP;
	bt = calloc(1, sizeof(*bt));
	if (!bt)
		return -ENOMEM;
	bt->debug = asked_for("BUFFTRACK_DEBUG", "1");
	bt->fd = open_device();
	err = bt->fd < 0 ? bt->fd : set_up(bt, name, flags);
	if (err) {
		if (bt->fd >= 0)
			close(bt->fd);
		free(bt);
		return err;
	}
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
static bool describe(const struct bufftrack *bt, struct bufftrack_client *client)
{
	memset(client, 0, sizeof(*client));
	return !bufftrack_ioctl(bt->fd, BUFFTRACK_IOC_CLIENT, client) && client->id == bt->id;
}

EXPORT void bufftrack_close(struct bufftrack *bt)
{
	struct bufftrack_client client;
	int saved = errno;

	if (!bt || bt == __atomic_load_n(&the_default, __ATOMIC_ACQUIRE))
		return;
	if (describe(bt, &client))
		close(bt->fd);
	free(bt);
	errno = saved;
}

/* Returns 0 or a negative errno. May change errno. */
static int reopen(struct bufftrack *bt)
{
	const unsigned int flags = BUFFTRACK_CLIENT_PRIVATE | BUFFTRACK_CLIENT_STRICT |
				   BUFFTRACK_CLIENT_TRAP;
	struct bufftrack_client client;
	int fd, err;

	if (!describe(bt, &client))
		return -EBADF;
	fd = open_device();
	if (fd < 0)
		return fd;
	client.flags &= flags;
	client.mask = client.flags | BUFFTRACK_CLIENT_NAME;
	err = bufftrack_ioctl(fd, BUFFTRACK_IOC_CLIENT, &client);
	/* In one step: another thread never sees the number unused. */
	if (!err && dup3(fd, bt->fd, O_CLOEXEC) < 0)
		err = -errno;
	close(fd);
	if (!err)
		bt->id = client.id;
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

EXPORT int bufftrack_fd(const struct bufftrack *bt)
{
	return bt ? bt->fd : -1;
}

EXPORT uint64_t bufftrack_features(const struct bufftrack *bt)
{
	return bt ? bt->features : 0;
}

/* A caller built for another version has another idea of the struct's size. */
EXPORT int bufftrack_get_info(struct bufftrack *bt, struct bufftrack_info *info, size_t size)
{
	struct bufftrack_info ours = { 0 };
	int err = bt ? bufftrack_ioctl(bt->fd, BUFFTRACK_IOC_INFO, &ours) : 0;

	memset(info, 0, size);
	if (!err)
		memcpy(info, &ours, size < sizeof(ours) ? size : sizeof(ours));
	return err;
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

static int label(struct bufftrack *bt, struct bufftrack_label *arg, const char *text)
{
	size_t len = text ? strlen(text) : 0;
	int err;

	if (!bt)
		return 0;
	if (!(bt->features & BUFFTRACK_FEATURE_LABEL))
		return -EOPNOTSUPP;
	if (len >= sizeof(arg->label))
		return -EINVAL;
	if (len)
		memcpy(arg->label, text, len);
	err = bufftrack_ioctl(bt->fd, BUFFTRACK_IOC_LABEL, arg);
	if (err && bt->debug)
		bufftrack_say("label \"%s\": %s", arg->label, strerror(-err));
	return err;
}

EXPORT int bufftrack_label_device(struct bufftrack *bt, uint64_t device, const char *text)
{
	struct bufftrack_label arg = { .device = device };

	return label(bt, &arg, text);
}

EXPORT int bufftrack_label_space(struct bufftrack *bt, uint64_t device, uint32_t space,
				 const char *text)
{
	struct bufftrack_label arg = {
		.device = device,
		.space = space,
		.flags = BUFFTRACK_LABEL_SPACE,
	};

	return label(bt, &arg, text);
}
