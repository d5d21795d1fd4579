// SPDX-License-Identifier: GPL-2.0
/* libbufftrack: that it does what its header says, and nothing to its host. */
#include <grp.h>
#include <link.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/syscall.h>

#include "bt.h"
#include <bufftrack.h>

#define SIZE		4096
#define ERRNO		31337		/* no call sets that */
#define BARRIER()	__asm__ volatile("" ::: "memory")

/* ---- what the library asks of the kernel ---------------------------------- */

/* The library's calls come by here: this program's symbol goes before libc's. */
static unsigned int calls[256];
static __u64 hide_features;
static int fail_batch_after = -1;

int ioctl(int fd, unsigned long command, ...)
{
	va_list args;
	void *arg;
	int rc;

	va_start(args, command);
	arg = va_arg(args, void *);
	va_end(args);
	__atomic_fetch_add(&calls[_IOC_NR(command)], 1, __ATOMIC_RELAXED);
	if (command == BUFFTRACK_IOC_BATCH && fail_batch_after >= 0 &&
	    !fail_batch_after--) {
		errno = EINTR;
		return -1;
	}
	rc = syscall(SYS_ioctl, fd, command, arg);
	if (!rc && command == BUFFTRACK_IOC_INFO)
		((struct bufftrack_info *)arg)->features &= ~hide_features;
	return rc;
}

static unsigned int called(unsigned long command)
{
	return calls[_IOC_NR(command)];
}

/* ---- helpers -------------------------------------------------------------- */

#define BUFFER(n)							\
	((struct bufftrack_buffer){ .device = self->device,		\
				    .buffer = (n), .size = SIZE })

/* A call that succeeds, or fails, and leaves errno alone. */
#define QUIETLY(want, call) do {					\
	errno = ERRNO;							\
	EXPECT_EQ(want, call);						\
	EXPECT_EQ(ERRNO, errno);					\
} while (0)

#define SUBMIT(bt, entries, nr)						\
	bufftrack_submit(bt, entries, nr, sizeof(struct bufftrack_entry))
#define VERDICT(v)	EXPECT_EQ(BUFFTRACK_##v, self->answer.verdict)
#define ALLOC(b)	bufftrack_alloc(self->bt, b, &self->answer)
#define FREE(b)		bufftrack_free(self->bt, b, &self->answer)

static unsigned int clients(int fd)
{
	struct bufftrack_stat stat;

	return bt_stat(fd, BUFFTRACK_STAT_ALL, 0, 0, &stat) ? ~0U :
							       stat.clients;
}

/* Everything, with a handle that is NULL */
static void call_all(struct __test_metadata *_metadata)
{
	struct bufftrack_buffer buffer = { .buffer = 1, .token = 7 };
	struct bufftrack_entry entry = {
		.buffer = &buffer, .op = BUFFTRACK_OP_ALLOC,
		.answer = { .verdict = 1, .error = 1 },
	};
	struct bufftrack_answer answer, zero;
	struct bufftrack_info info;

	memset(&zero, 0, sizeof(zero));
	memset(calls, 0, sizeof(calls));
	memset(&answer, BT_POISON, sizeof(answer));
	QUIETLY(0, bufftrack_alloc(NULL, &buffer, &answer));
	EXPECT_EQ(0, memcmp(&answer, &zero, sizeof(zero)));
	memset(&answer, BT_POISON, sizeof(answer));
	QUIETLY(0, bufftrack_free(NULL, &buffer, &answer));
	EXPECT_EQ(0, memcmp(&answer, &zero, sizeof(zero)));
	QUIETLY(0, bufftrack_alloc(NULL, &buffer, NULL));
	QUIETLY(0, bufftrack_free(NULL, &buffer, NULL));
	QUIETLY(0, SUBMIT(NULL, &entry, 1));
	EXPECT_EQ(0, memcmp(&entry.answer, &zero, sizeof(zero)));
	QUIETLY(0, bufftrack_label_device(NULL, 1, "a b c"));
	QUIETLY(0, bufftrack_label_space(NULL, 1, 1, "x"));
	QUIETLY(0, bufftrack_set_stack_depth(NULL, 16));
	QUIETLY(0, bufftrack_features(NULL));
	memset(&info, BT_POISON, sizeof(info));
	QUIETLY(0, bufftrack_get_info(NULL, &info, sizeof(info)));
	EXPECT_EQ(0, info.features);
	EXPECT_EQ(0, info.failed);
	QUIETLY(0, bufftrack_reopen(NULL));
	QUIETLY(-1, bufftrack_fd(NULL));
	errno = ERRNO;
	bufftrack_close(NULL);
	EXPECT_EQ(ERRNO, errno);
	EXPECT_EQ(7, buffer.token);
	EXPECT_EQ(0, called(BUFFTRACK_IOC_ALLOC) + called(BUFFTRACK_IOC_FREE) +
		  called(BUFFTRACK_IOC_BATCH) + called(BUFFTRACK_IOC_INFO));
}

/* ---- without a device ----------------------------------------------------- */

TEST(no_device)
{
	ASSERT_EQ(0, unshare(CLONE_NEWNS));
	ASSERT_EQ(0, mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL));
	ASSERT_EQ(0, mount("none", "/dev", "tmpfs", 0, NULL));
	errno = 0;
	EXPECT_EQ(NULL, bufftrack_open("x", 0));
	EXPECT_EQ(ENOENT, errno);
	QUIETLY(NULL, bufftrack_default());
	call_all(_metadata);
}

/* What comes later is found later, and looked for no more often than once a second. */
TEST(device_that_comes_later)
{
	struct timespec begun, now;
	unsigned int i;

	ASSERT_EQ(0, unshare(CLONE_NEWNS));
	ASSERT_EQ(0, mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL));
	ASSERT_EQ(0, mount("none", "/dev", "tmpfs", 0, NULL));
	QUIETLY(NULL, bufftrack_default());
	ASSERT_EQ(0, umount("/dev"));
	clock_gettime(CLOCK_MONOTONIC, &begun);
	for (i = 0; i < 100; i++)
		QUIETLY(NULL, bufftrack_default());
	clock_gettime(CLOCK_MONOTONIC, &now);
	/* A machine that is this slow has tried again meanwhile. */
	if (now.tv_sec - begun.tv_sec > 0)
		SKIP(return, "100 calls took a second");
	usleep(1200000);
	errno = ERRNO;
	EXPECT_NE(NULL, bufftrack_default());
	EXPECT_EQ(ERRNO, errno);
}

TEST(not_permitted)
{
	ASSERT_EQ(0, bt_become(BT_UID));
	EXPECT_EQ(NULL, bufftrack_open("x", 0));
	EXPECT_EQ(EACCES, errno);
	QUIETLY(NULL, bufftrack_default());
	call_all(_metadata);
}

TEST(off)
{
	int fd = bt_open();
	unsigned int before = clients(fd);

	ASSERT_LE(0, fd);
	setenv("BUFFTRACK", "off", 1);
	EXPECT_EQ(NULL, bufftrack_open("x", 0));
	EXPECT_EQ(ECANCELED, errno);
	QUIETLY(NULL, bufftrack_default());
	/* For good */
	usleep(1200000);
	QUIETLY(NULL, bufftrack_default());
	call_all(_metadata);
	EXPECT_EQ(before, clients(fd));
	/* Only that word */
	setenv("BUFFTRACK", "on", 1);
	EXPECT_NE(NULL, bufftrack_open("x", 0));
}

/* What this kernel has not is refused, not left out. */
TEST(features_that_are_not_there)
{
	hide_features = BUFFTRACK_FEATURE_PRIVATE | BUFFTRACK_FEATURE_STRICT |
			BUFFTRACK_FEATURE_TRAP | BUFFTRACK_FEATURE_LABEL |
			BUFFTRACK_FEATURE_STACK;
	EXPECT_EQ(NULL, bufftrack_open("x", BUFFTRACK_CLIENT_PRIVATE));
	EXPECT_EQ(EOPNOTSUPP, errno);
	EXPECT_EQ(NULL, bufftrack_open("x", BUFFTRACK_CLIENT_STRICT));
	EXPECT_EQ(NULL, bufftrack_open("x", BUFFTRACK_CLIENT_TRAP));
	setenv("BUFFTRACK_STACK", "16", 1);
	{
		struct bufftrack *bt = bufftrack_open("x", 0);
		struct bufftrack_buffer buffer = { .device = bt_device() };

		ASSERT_NE(NULL, bt);
		QUIETLY(-EOPNOTSUPP, bufftrack_label_device(bt, 1, "x"));
		QUIETLY(0, bufftrack_set_stack_depth(bt, 16));
		QUIETLY(0, bufftrack_alloc(bt, &buffer, NULL));
		bufftrack_close(bt);
	}
}

/* ---- opening and closing -------------------------------------------------- */

FIXTURE(lib) {
	struct bufftrack *bt;
	__u64 device;
	int fd;				/* for looking */
	struct bufftrack_answer answer;
};

FIXTURE_SETUP(lib)
{
	self->device = bt_device();
	self->fd = bt_open();
	ASSERT_LE(0, self->fd);
	errno = ERRNO;
	self->bt = bufftrack_open("lib-test", 0);
	ASSERT_NE(NULL, self->bt);
	EXPECT_EQ(ERRNO, errno);
}

FIXTURE_TEARDOWN(lib)
{
	errno = ERRNO;
	bufftrack_close(self->bt);
	EXPECT_EQ(ERRNO, errno);
	close(self->fd);
}

TEST_F(lib, open)
{
	static const char name[] = "a name\nof more than thirty-one bytes";
	struct bufftrack_client client;
	struct {
		struct bufftrack_info info;
		__u64 more;
	} grown;
	struct bufftrack_info info;
	struct bufftrack *bt;

	EXPECT_LT(2, bufftrack_fd(self->bt));
	EXPECT_EQ(FD_CLOEXEC, fcntl(bufftrack_fd(self->bt), F_GETFD));
	EXPECT_EQ(bt_features(self->fd), bufftrack_features(self->bt));
	QUIETLY(0, bufftrack_get_info(self->bt, &info, sizeof(info)));
	EXPECT_EQ(info.features, bufftrack_features(self->bt));
	EXPECT_LT(0, info.max_buffers);
	/* Callers built with an older header, and with a newer one */
	memset(&grown, BT_POISON, sizeof(grown));
	QUIETLY(0, bufftrack_get_info(self->bt, &grown.info, sizeof(info) - 8));
	EXPECT_EQ(0, memcmp(&grown.info, &info, sizeof(info) - 8));
	EXPECT_EQ(BT_POISON, ((unsigned char *)&grown.info)[sizeof(info) - 8]);
	QUIETLY(0, bufftrack_get_info(self->bt, &grown.info, sizeof(grown)));
	EXPECT_EQ(0, memcmp(&grown.info, &info, sizeof(info)));
	EXPECT_EQ(0, grown.more);

	EXPECT_EQ(NULL, bufftrack_open("x", BUFFTRACK_CLIENT_NAME));
	EXPECT_EQ(EINVAL, errno);
	EXPECT_EQ(NULL, bufftrack_open("x", 1U << 31));
	EXPECT_EQ(EINVAL, errno);

	bt = bufftrack_open(name, BUFFTRACK_CLIENT_PRIVATE |
				  BUFFTRACK_CLIENT_STRICT);
	ASSERT_NE(NULL, bt);
	memset(&client, 0, sizeof(client));
	ASSERT_EQ(0, bt_ioctl(bufftrack_fd(bt), BUFFTRACK_IOC_CLIENT, &client));
	EXPECT_EQ(BUFFTRACK_CLIENT_PRIVATE | BUFFTRACK_CLIENT_STRICT,
		  client.flags);
	EXPECT_EQ(BUFFTRACK_NAME_LEN - 1, strlen(client.name));
	EXPECT_STREQ("a name?of more than thirty-one ", client.name);
	bufftrack_close(bt);

	bt = bufftrack_open(NULL, 0);
	ASSERT_NE(NULL, bt);
	bufftrack_close(bt);
}

TEST_F(lib, default_handle)
{
	struct bufftrack_client client = { 0 };
	struct bufftrack *bt;

	errno = ERRNO;
	bt = bufftrack_default();
	EXPECT_EQ(ERRNO, errno);
	ASSERT_NE(NULL, bt);
	EXPECT_TRUE(bufftrack_default() == bt);
	bufftrack_close(bt);
	EXPECT_TRUE(bufftrack_default() == bt);
	ASSERT_EQ(0, bt_ioctl(bufftrack_fd(bt), BUFFTRACK_IOC_CLIENT, &client));
	EXPECT_STREQ(program_invocation_short_name, client.name);
	EXPECT_EQ(0, client.flags);
}

/* A host that has closed its stdio prints to 0, 1 and 2 all the same. */
TEST_F(lib, leaves_stdio_free)
{
	IN_A_CHILD {
		struct bufftrack *bt;

		close(0);
		close(1);
		bt = bufftrack_open("x", 0);
		EXPECT_TRUE(bt && bufftrack_fd(bt) > 2);
		EXPECT_EQ(-1, fcntl(0, F_GETFD));
		EXPECT_EQ(-1, fcntl(1, F_GETFD));
		EXPECT_EQ(FD_CLOEXEC, fcntl(bufftrack_fd(bt), F_GETFD));
	}
}

/* Nor does it close, or replace, what has got its number since. */
TEST_F(lib, file_closed_behind_its_back)
{
	struct bufftrack_buffer buffer = BUFFER(1);
	struct bufftrack *bt = bufftrack_open("x", 0);
	int fd = bufftrack_fd(bt), other = bt_open();

	close(fd);
	QUIETLY(-EBADF, bufftrack_alloc(bt, &buffer, &self->answer));
	EXPECT_EQ(-EBADF, self->answer.error);
	QUIETLY(-EBADF, bufftrack_reopen(bt));
	/* Another client, even */
	ASSERT_EQ(fd, dup2(other, fd));
	QUIETLY(-EBADF, bufftrack_reopen(bt));
	bufftrack_close(bt);
	EXPECT_EQ(bt_client_id(other), bt_client_id(fd));
}

static ssize_t heard(int fd, char *text, size_t size)
{
	struct pollfd wait = { .fd = fd, .events = POLLIN };
	ssize_t n = poll(&wait, 1, 0) > 0 ? read(fd, text, size - 1) : 0;

	text[n > 0 ? n : 0] = '\0';
	return n;
}

TEST_F(lib, prints_only_when_asked)
{
	struct bufftrack_buffer buffer = BUFFER(0x1000);
	char text[1024];
	struct bufftrack *bt;
	int ends[2], saved;

	ASSERT_EQ(0, pipe(ends));
	saved = dup(STDERR_FILENO);
	ASSERT_LE(0, dup2(ends[1], STDERR_FILENO));
	FREE(&buffer);
	bufftrack_label_device(self->bt, self->device, "a b");
	setenv("BUFFTRACK", "off", 1);
	bufftrack_open("x", 0);
	EXPECT_EQ(0, heard(ends[0], text, sizeof(text)));
	setenv("BUFFTRACK_DEBUG", "1", 1);
	bufftrack_open("x", 0);
	EXPECT_LT(0, heard(ends[0], text, sizeof(text)));
	EXPECT_TRUE(strstr(text, "libbufftrack: nothing is reported") == text);
	unsetenv("BUFFTRACK");
	bt = bufftrack_open("x", 0);
	QUIETLY(0, bufftrack_alloc(bt, &buffer, NULL));
	QUIETLY(0, bufftrack_free(bt, &buffer, NULL));
	EXPECT_EQ(0, heard(ends[0], text, sizeof(text)));
	QUIETLY(0, bufftrack_free(bt, &buffer, NULL));
	EXPECT_LT(0, heard(ends[0], text, sizeof(text)));
	EXPECT_NE(NULL, strstr(text, "free of buffer 0x1000"));
	EXPECT_NE(NULL, strstr(text, ": double free\n"));
	bufftrack_close(bt);
	dup2(saved, STDERR_FILENO);
}

/* ---- verdicts ------------------------------------------------------------- */

TEST_F(lib, verdicts)
{
	struct bufftrack_buffer buffer = BUFFER(1), old;

	QUIETLY(0, ALLOC(&buffer));
	VERDICT(OK);
	EXPECT_EQ(1, self->answer.refs);
	EXPECT_NE(0, self->answer.generation);
	EXPECT_EQ(self->answer.generation, buffer.token);
	QUIETLY(0, FREE(&buffer));
	VERDICT(OK);
	EXPECT_EQ(0, self->answer.refs);
	QUIETLY(0, FREE(&buffer));
	VERDICT(DOUBLE_FREE);
	EXPECT_EQ(0, self->answer.info);
	EXPECT_EQ(0, self->answer.error);

	/* The address again: the token tells the old allocation from the new. */
	old = buffer;
	QUIETLY(0, ALLOC(&buffer));
	VERDICT(OK);
	EXPECT_LT(old.token, buffer.token);
	QUIETLY(0, FREE(&old));
	VERDICT(STALE_FREE);
	EXPECT_EQ(1, self->answer.refs);
	QUIETLY(0, FREE(&buffer));
	VERDICT(OK);

	buffer = BUFFER(2);
	QUIETLY(0, FREE(&buffer));
	VERDICT(UNKNOWN_FREE);
	/* Nobody has to look. */
	QUIETLY(0, bufftrack_alloc(self->bt, &buffer, NULL));
	QUIETLY(0, bufftrack_free(self->bt, &buffer, NULL));
	QUIETLY(0, bufftrack_free(self->bt, &buffer, NULL));
}

TEST_F(lib, kinds)
{
	struct bufftrack *other = bufftrack_open("other", 0);
	struct bufftrack_buffer buffer = BUFFER(1), view;

	ASSERT_NE(NULL, other);
	/* Another's, and shared ones */
	ASSERT_EQ(0, ALLOC(&buffer));
	QUIETLY(0, bufftrack_free(other, &buffer, &self->answer));
	VERDICT(FOREIGN_FREE);
	ASSERT_EQ(0, FREE(&buffer));
	VERDICT(OK);
	buffer.flags = BUFFTRACK_F_SHARED;
	ASSERT_EQ(0, ALLOC(&buffer));
	/* The alloc's flags may stand: a free takes what it knows. */
	QUIETLY(0, bufftrack_free(other, &buffer, &self->answer));
	VERDICT(OK);

	/* Exclusive: the address should have been free. */
	buffer.flags = BUFFTRACK_F_EXCLUSIVE;
	ASSERT_EQ(0, ALLOC(&buffer));
	VERDICT(OK);
	QUIETLY(0, ALLOC(&buffer));
	VERDICT(MISSED_FREE);
	ASSERT_EQ(0, FREE(&buffer));
	VERDICT(OK);

	/* Views own nothing. */
	view = BUFFER(2);
	view.flags = BUFFTRACK_F_VIEW;
	QUIETLY(0, ALLOC(&view));
	VERDICT(DANGLING);
	buffer = BUFFER(2);
	buffer.tag = 99;
	ASSERT_EQ(0, ALLOC(&buffer));
	QUIETLY(0, bufftrack_alloc(other, &view, &self->answer));
	VERDICT(OK);
	EXPECT_EQ(1, self->answer.refs);
	EXPECT_STREQ("", bt_life_diff(self->fd, self->device, 0, 2,
		     (struct bufftrack_life){
			.size = SIZE, .tag = 99, .generation = buffer.token,
			.client = bt_client_id(bufftrack_fd(self->bt)),
			.state = BUFFTRACK_STATE_LIVE, .refs = 1, .views = 1,
			.lives = 1, .alloc.pid = getpid() }));
	QUIETLY(0, bufftrack_free(other, &view, &self->answer));
	VERDICT(OK);

	/* A size that is told is checked. */
	buffer.size = SIZE + 1;
	QUIETLY(0, FREE(&buffer));
	VERDICT(SIZE_MISMATCH);

	/* What does not go together */
	buffer.flags = BUFFTRACK_F_VIEW | BUFFTRACK_F_SHARED;
	QUIETLY(-EINVAL, ALLOC(&buffer));
	EXPECT_EQ(-EINVAL, self->answer.error);
	EXPECT_EQ(BUFFTRACK_TOKEN_REFUSED, buffer.token);
	QUIETLY(-EINVAL, bufftrack_alloc(self->bt, NULL, NULL));
	QUIETLY(-EINVAL, bufftrack_free(self->bt, NULL, &self->answer));
	bufftrack_close(other);
}

TEST_F(lib, strict)
{
	struct bufftrack *bt = bufftrack_open("x", BUFFTRACK_CLIENT_STRICT);
	struct bufftrack_buffer buffer = BUFFER(1);
	struct bufftrack_entry entry = {
		.buffer = &buffer, .op = BUFFTRACK_OP_FREE,
	};

	ASSERT_NE(NULL, bt);
	QUIETLY(-ENOENT, bufftrack_free(bt, &buffer, &self->answer));
	VERDICT(UNKNOWN_FREE);
	EXPECT_EQ(-ENOENT, self->answer.error);
	QUIETLY(0, bufftrack_alloc(bt, &buffer, NULL));
	QUIETLY(0, bufftrack_free(bt, &buffer, NULL));
	QUIETLY(-EALREADY, bufftrack_free(bt, &buffer, &self->answer));
	VERDICT(DOUBLE_FREE);
	EXPECT_EQ(buffer.token, self->answer.generation);
	QUIETLY(1, SUBMIT(bt, &entry, 1));
	EXPECT_EQ(-EALREADY, entry.answer.error);
	EXPECT_EQ(BUFFTRACK_DOUBLE_FREE, entry.answer.verdict);
	bufftrack_close(bt);
}

TEST_F(lib, trap_by_environment)
{
	pid_t pid = bt_fork();

	if (!pid) {
		struct bufftrack_buffer buffer = BUFFER(1);

		setenv("BUFFTRACK_TRAP", "1", 1);
		bufftrack_free(bufftrack_open("x", 0), &buffer, NULL);
		_exit(0);
	}
	EXPECT_EQ(128 + SIGTRAP, bt_reap(pid));
}

TEST_F(lib, labels)
{
	const int fd = bufftrack_fd(self->bt);
	struct bufftrack_stat stat;

	QUIETLY(0, bufftrack_label_device(self->bt, self->device, "wormhole"));
	QUIETLY(0, bufftrack_label_space(self->bt, self->device, 3, "L1"));
	ASSERT_EQ(0, bt_stat(fd, BUFFTRACK_STAT_DEVICE, self->device, 0, &stat));
	EXPECT_STREQ("wormhole", stat.name);
	ASSERT_EQ(0, bt_stat(fd, BUFFTRACK_STAT_SPACE, self->device, 3, &stat));
	EXPECT_STREQ("L1", stat.name);
	QUIETLY(0, bufftrack_label_device(self->bt, self->device, NULL));
	ASSERT_EQ(0, bt_stat(fd, BUFFTRACK_STAT_DEVICE, self->device, 0, &stat));
	EXPECT_STREQ("", stat.name);
	QUIETLY(-EINVAL, bufftrack_label_device(self->bt, self->device, "a b"));
	QUIETLY(-EINVAL, bufftrack_label_space(self->bt, self->device, 3,
			 "0123456789012345678901234567890123456789"));
}

TEST(verdict_names)
{
	EXPECT_STREQ("ok", bufftrack_verdict_name(BUFFTRACK_OK));
	EXPECT_STREQ("stale free", bufftrack_verdict_name(BUFFTRACK_STALE_FREE));
	EXPECT_STREQ("leak", bufftrack_verdict_name(BUFFTRACK_LEAK));
	EXPECT_STREQ("held free", bufftrack_verdict_name(BUFFTRACK_NR_VERDICTS - 1));
	EXPECT_STREQ("unknown verdict",
		     bufftrack_verdict_name(BUFFTRACK_NR_VERDICTS));
}

/* ---- many at once --------------------------------------------------------- */

#define MANY	200

FIXTURE(many) {
	struct bufftrack *bt;
	__u64 device;
	int fd;
	struct bufftrack_buffer buffers[MANY];
	struct bufftrack_entry entries[2 * MANY];
};

FIXTURE_VARIANT(many) {
	__u64 hide;
	unsigned int calls;	/* for MANY entries */
	const char *frames;
};

FIXTURE_VARIANT_ADD(many, batch) {
	.hide = 0,
	.calls = 4,
	.frames = "0",
};

FIXTURE_VARIANT_ADD(many, batch_with_stack) {
	.hide = 0,
	.calls = 4,
	.frames = "4",
};

FIXTURE_VARIANT_ADD(many, singles) {
	.hide = BUFFTRACK_FEATURE_BATCH,
	.calls = MANY,
	.frames = "4",
};

FIXTURE_SETUP(many)
{
	unsigned int i;

	self->device = bt_device();
	self->fd = bt_open();
	hide_features = variant->hide;
	setenv("BUFFTRACK_STACK", variant->frames, 1);
	self->bt = bufftrack_open("many", 0);
	ASSERT_NE(NULL, self->bt);
	memset(self->entries, 0, sizeof(self->entries));
	for (i = 0; i < MANY; i++)
		self->buffers[i] = BUFFER(1 + i);
}

FIXTURE_TEARDOWN(many)
{
	bufftrack_close(self->bt);
	close(self->fd);
}

static unsigned int op_calls(void)
{
	return called(BUFFTRACK_IOC_ALLOC) + called(BUFFTRACK_IOC_FREE) +
	       called(BUFFTRACK_IOC_BATCH);
}

static void set(struct bufftrack_entry *entry, __u32 op,
		struct bufftrack_buffer *buffer)
{
	*entry = (struct bufftrack_entry){ .op = op, .buffer = buffer };
	memset(&entry->answer, BT_POISON, sizeof(entry->answer));
}

TEST_F(many, all)
{
	unsigned int i, before;
	__u64 last = 0;

	QUIETLY(0, SUBMIT(self->bt, NULL, 0));
	for (i = 0; i < MANY; i++)
		set(&self->entries[i], BUFFTRACK_OP_ALLOC, &self->buffers[i]);
	before = op_calls();
	QUIETLY(0, SUBMIT(self->bt, self->entries, MANY));
	EXPECT_EQ(variant->calls, op_calls() - before);
	for (i = 0; i < MANY; i++) {
		EXPECT_LT(last, self->buffers[i].token);
		last = self->buffers[i].token;
		EXPECT_EQ(last, self->entries[i].answer.generation);
		EXPECT_EQ(1, self->entries[i].answer.refs);
		EXPECT_EQ(0, self->entries[i].answer.error);
		set(&self->entries[i], BUFFTRACK_OP_FREE, &self->buffers[i]);
	}
	/* Two good ones become bad. */
	self->buffers[3].token = self->buffers[2].token;
	self->buffers[MANY - 1].buffer = 0xdead;
	QUIETLY(2, SUBMIT(self->bt, self->entries, MANY));
	for (i = 0; i < MANY; i++)
		EXPECT_EQ(i == 3 || i == MANY - 1 ? BUFFTRACK_UNKNOWN_FREE :
						    BUFFTRACK_OK,
			  self->entries[i].answer.verdict);
}

/* Tokens pass from entry to entry as they would from call to call. */
TEST_F(many, tokens_within)
{
	struct bufftrack_buffer *b = self->buffers;
	struct bufftrack_entry *e = self->entries;
	unsigned int i, n = 0;

	for (i = 0; i < MANY / 2; i++) {
		set(&e[n++], BUFFTRACK_OP_ALLOC, &b[i % 7]);
		set(&e[n++], BUFFTRACK_OP_FREE, &b[i % 7]);
	}
	QUIETLY(0, SUBMIT(self->bt, e, n));
	set(&e[0], BUFFTRACK_OP_ALLOC, &b[0]);
	set(&e[1], BUFFTRACK_OP_ALLOC, &b[1]);
	set(&e[2], BUFFTRACK_OP_FREE, &b[0]);
	set(&e[3], BUFFTRACK_OP_FREE, &b[0]);
	set(&e[4], BUFFTRACK_OP_ALLOC, &b[0]);
	set(&e[5], BUFFTRACK_OP_FREE, &b[1]);
	set(&e[6], BUFFTRACK_OP_FREE, &b[0]);
	QUIETLY(1, SUBMIT(self->bt, e, 7));
	for (i = 0; i < 7; i++)
		EXPECT_EQ(i == 3 ? BUFFTRACK_DOUBLE_FREE : BUFFTRACK_OK,
			  e[i].answer.verdict);
}

/* What is wrong fails by itself. */
TEST_F(many, wrong_entries)
{
	struct bufftrack_buffer *b = self->buffers;
	struct bufftrack_entry *e = self->entries;
	unsigned int i;

	set(&e[0], 0, &b[0]);
	set(&e[1], BUFFTRACK_OP_ALLOC, NULL);
	set(&e[2], BUFFTRACK_OP_ALLOC, &b[2]);
	b[3].flags = BUFFTRACK_F_VIEW | BUFFTRACK_F_EXCLUSIVE;
	set(&e[3], BUFFTRACK_OP_ALLOC, &b[3]);
	set(&e[4], BUFFTRACK_OP_UNDO + 1, &b[4]);
	set(&e[5], BUFFTRACK_OP_FREE, &b[2]);
	QUIETLY(4, SUBMIT(self->bt, e, 6));
	for (i = 0; i < 6; i++) {
		EXPECT_EQ(i == 2 || i == 5 ? 0 : -EINVAL, e[i].answer.error);
		EXPECT_EQ(BUFFTRACK_OK, e[i].answer.verdict);
	}
	for (i = 0; i < 6; i++)
		set(&e[i], 0, NULL);
	QUIETLY(6, SUBMIT(self->bt, e, 6));
}

/* A call that cannot go on says for each entry whether it was carried out. */
TEST_F(many, cut_short)
{
	unsigned int i;

	/* Without BATCH there is none to fail. */
	if (variant->hide)
		return;
	for (i = 0; i < MANY; i++)
		set(&self->entries[i], BUFFTRACK_OP_ALLOC, &self->buffers[i]);
	fail_batch_after = 1;
	QUIETLY(-EINTR, SUBMIT(self->bt, self->entries, MANY));
	for (i = 0; i < MANY; i++) {
		EXPECT_EQ(i < 64 ? 0 : -EINTR, self->entries[i].answer.error);
		EXPECT_EQ(i >= 64,
			  self->buffers[i].token == BUFFTRACK_TOKEN_REFUSED);
	}
}

/* ---- threads and fork ----------------------------------------------------- */

#define THREADS	4
#define ROUNDS	500

struct worker {
	pthread_t thread;
	struct bufftrack *bt, *seen_default;
	__u64 device;
	unsigned int nr, bad;
	bool *stop;
};

static void *work(void *data)
{
	struct worker *worker = data;
	struct bufftrack_buffer buffer = {
		.device = worker->device, .buffer = worker->nr, .size = SIZE,
	};
	struct bufftrack_answer answer;
	unsigned int i;

	worker->seen_default = bufftrack_default();
	for (i = 0; worker->stop ? !__atomic_load_n(worker->stop,
						    __ATOMIC_RELAXED) :
				   i < ROUNDS; i++) {
		errno = ERRNO;
		if (bufftrack_alloc(worker->bt, &buffer, &answer) ||
		    answer.verdict)
			worker->bad++;
		if (bufftrack_free(worker->bt, &buffer, &answer) ||
		    answer.verdict)
			worker->bad++;
		if (errno != ERRNO)
			worker->bad++;
		bufftrack_set_stack_depth(worker->bt, i % 8);
	}
	return NULL;
}

static int start(FIXTURE_DATA(lib) *self, struct worker *workers, bool *stop)
{
	unsigned int i;

	for (i = 0; i < THREADS; i++) {
		workers[i] = (struct worker){
			.bt = self->bt, .device = self->device,
			.nr = i + 1, .stop = stop,
		};
		if (pthread_create(&workers[i].thread, NULL, work, &workers[i]))
			return -1;
	}
	return 0;
}

TEST_F(lib, threads)
{
	struct worker workers[THREADS];
	unsigned int i, before = clients(self->fd);

	ASSERT_EQ(0, start(self, workers, NULL));
	for (i = 0; i < THREADS; i++) {
		pthread_join(workers[i].thread, NULL);
		EXPECT_EQ(0, workers[i].bad);
		EXPECT_NE(NULL, workers[i].seen_default);
		EXPECT_TRUE(workers[i].seen_default == bufftrack_default());
	}
	/* Of those that were opened at the same time one is left. */
	EXPECT_EQ(before + 1, clients(self->fd));
	EXPECT_STREQ("", bt_stat_diff(self->fd, BUFFTRACK_STAT_SPACE,
		     self->device, 0, (struct bufftrack_stat){
			.peak_bytes = ({
				struct bufftrack_stat stat;

				bt_stat(self->fd, BUFFTRACK_STAT_SPACE,
					self->device, 0, &stat);
				stat.peak_bytes;
			}),
			.allocs = THREADS * ROUNDS, .frees = THREADS * ROUNDS,
			.history = THREADS,
			.verdicts[BUFFTRACK_OK] = 2 * THREADS * ROUNDS }));
}

TEST_F(lib, fork_shares)
{
	struct bufftrack *bt = bufftrack_open("daemon", BUFFTRACK_OPEN_FORK_SHARED);
	struct bufftrack_buffer buffer = BUFFER(1), mine = BUFFER(2);
	__u64 id = bt_client_id(bufftrack_fd(bt));

	ASSERT_EQ(0, bufftrack_alloc(bt, &buffer, NULL));
	IN_A_CHILD {
		EXPECT_EQ(id, bt_client_id(bufftrack_fd(bt)));
		QUIETLY(0, bufftrack_free(bt, &buffer, &self->answer));
		VERDICT(OK);
		QUIETLY(0, bufftrack_alloc(bt, &mine, &self->answer));
	}
	/* The child's exit ended nothing. */
	ASSERT_EQ(0, bufftrack_free(bt, &buffer, &self->answer));
	VERDICT(DOUBLE_FREE);
	EXPECT_TRUE(self->answer.info & BUFFTRACK_INFO_FORKED);
	ASSERT_EQ(0, bufftrack_free(bt, &mine, &self->answer));
	/* The parent did not know of it, but the client holds it. */
	VERDICT(OK);
	bufftrack_close(bt);
}

static __u32 client_flags(int fd)
{
	struct bufftrack_client client = { 0 };

	return bt_ioctl(fd, BUFFTRACK_IOC_CLIENT, &client) ? ~0U : client.flags;
}

TEST_F(lib, fork_has_its_own)
{
	struct bufftrack *bt = bufftrack_open("forks", BUFFTRACK_CLIENT_PRIVATE);
	struct bufftrack_buffer buffer = BUFFER(1), mine = BUFFER(2);
	struct bufftrack_client client = { 0 };
	int fd = bufftrack_fd(self->bt);
	__u64 id = bt_client_id(fd);
	unsigned int before = clients(self->fd);

	ASSERT_NE(NULL, bt);
	ASSERT_EQ(0, ALLOC(&buffer));
	IN_A_CHILD {
		/* Nothing before the first call */
		EXPECT_EQ(before, clients(self->fd));
		QUIETLY(0, FREE(&buffer));
		VERDICT(FOREIGN_FREE);
		EXPECT_TRUE(self->answer.info & BUFFTRACK_INFO_FORKED);
		fd = bufftrack_fd(self->bt);
		ASSERT_EQ(0, bt_ioctl(fd, BUFFTRACK_IOC_CLIENT, &client));
		EXPECT_NE(id, client.id);
		EXPECT_STREQ("lib-test", client.name);
		EXPECT_EQ(BUFFTRACK_CLIENT_FORKED, client.flags);
		EXPECT_EQ(FD_CLOEXEC, fcntl(fd, F_GETFD));
		/* The flags of its parent's; and its own child has its own. */
		EXPECT_EQ(BUFFTRACK_CLIENT_FORKED | BUFFTRACK_CLIENT_PRIVATE,
			  client_flags(bufftrack_fd(bt)));
		id = client.id;
		IN_A_CHILD
			EXPECT_NE(id, bt_client_id(bufftrack_fd(self->bt)));
		EXPECT_EQ(id, bt_client_id(bufftrack_fd(self->bt)));
		QUIETLY(0, ALLOC(&mine));
		VERDICT(OK);
	}
	EXPECT_EQ(id, bt_client_id(bufftrack_fd(self->bt)));
	QUIETLY(0, FREE(&buffer));
	VERDICT(OK);
	QUIETLY(0, FREE(&mine));
	VERDICT(FREE_AFTER_EXIT);
	bufftrack_close(bt);
}

/* The parent's end is seen when it ends, whatever its children do. */
TEST_F(lib, fork_lets_go_of_its_parents)
{
	struct bt_pipe go, done;
	unsigned int before;
	pid_t child;

	ASSERT_EQ(0, bt_pipe(&go));
	ASSERT_EQ(0, bt_pipe(&done));
	before = clients(self->fd);
	child = bt_fork();
	if (!child) {
		bufftrack_fd(self->bt);
		bt_send(&done, 1);
		bt_receive(&go);
		_exit(0);
	}
	bt_receive(&done);
	EXPECT_EQ(before + 1, clients(self->fd));
	bufftrack_close(self->bt);
	EXPECT_EQ(before, clients(self->fd));
	bt_send(&go, 1);
	EXPECT_EQ(0, bt_reap(child));
	self->bt = NULL;
}

static void *first_call(void *bt)
{
	return (void *)(uintptr_t)bt_client_id(bufftrack_fd(bt));
}

/* Of the threads of a child that come at once, one opens what all have. */
TEST_F(lib, fork_then_threads)
{
	unsigned int before = clients(self->fd), round, i;
	pthread_t threads[THREADS];

	for (round = 0; round < 50; round++) {
		IN_A_CHILD {
			void *ids[THREADS];

			for (i = 0; i < THREADS; i++)
				pthread_create(&threads[i], NULL, first_call, self->bt);
			for (i = 0; i < THREADS; i++)
				pthread_join(threads[i], &ids[i]);
			for (i = 0; i < THREADS; i++)
				EXPECT_TRUE(ids[i] && ids[i] == ids[0]);
			EXPECT_EQ(before + 1, clients(self->fd));
		}
	}
}

/* A child that can have no client reports nothing, and not as its parent either. */
TEST_F(lib, fork_without_a_device)
{
	struct bufftrack_buffer buffer = BUFFER(1), mine = BUFFER(2);

	ASSERT_EQ(0, ALLOC(&buffer));
	IN_A_CHILD {
		ASSERT_EQ(0, bt_become(BT_UID));
		QUIETLY(0, FREE(&buffer));
		VERDICT(OK);
		QUIETLY(0, ALLOC(&mine));
		QUIETLY(-1, bufftrack_fd(self->bt));
		QUIETLY(-EBADF, bufftrack_reopen(self->bt));
	}
	QUIETLY(0, FREE(&buffer));
	VERDICT(OK);
	QUIETLY(0, FREE(&mine));
	VERDICT(UNKNOWN_FREE);
}

TEST_F(lib, fork_and_reopen)
{
	struct bufftrack *bt = bufftrack_open("reopened", BUFFTRACK_CLIENT_STRICT |
					      BUFFTRACK_OPEN_FORK_SHARED);
	struct bufftrack_buffer buffer = BUFFER(1), mine = BUFFER(2);
	int fd = bufftrack_fd(bt);
	__u64 id = bt_client_id(fd);

	ASSERT_NE(NULL, bt);
	ASSERT_EQ(0, bufftrack_alloc(bt, &buffer, NULL));
	IN_A_CHILD {
		struct bufftrack_client client = { 0 };

		QUIETLY(0, bufftrack_reopen(bt));
		EXPECT_EQ(fd, bufftrack_fd(bt));
		EXPECT_EQ(FD_CLOEXEC, fcntl(fd, F_GETFD));
		EXPECT_EQ(0, bt_ioctl(fd, BUFFTRACK_IOC_CLIENT, &client));
		EXPECT_NE(id, client.id);
		EXPECT_STREQ("reopened", client.name);
		EXPECT_EQ(BUFFTRACK_CLIENT_STRICT | BUFFTRACK_CLIENT_FORKED, client.flags);
		QUIETLY(-EPERM, bufftrack_free(bt, &buffer, &self->answer));
		VERDICT(FOREIGN_FREE);
		QUIETLY(0, bufftrack_alloc(bt, &mine, NULL));
		bufftrack_close(bt);
		EXPECT_EQ(-1, fcntl(fd, F_GETFD));
	}
	EXPECT_EQ(id, bt_client_id(fd));
	/* What the child's client held went with it. */
	EXPECT_EQ(-EOWNERDEAD, bufftrack_free(bt, &mine, NULL));
	EXPECT_EQ(0, bufftrack_free(bt, &buffer, NULL));
	bufftrack_close(bt);
}

/* Other threads are in the middle of everything, unwinding too. */
TEST_F(lib, fork_from_among_threads)
{
	struct worker workers[THREADS];
	bool stop = false;
	unsigned int i;

	ASSERT_EQ(0, start(self, workers, &stop));
	for (i = 0; i < 40; i++) {
		IN_A_CHILD {
			struct bufftrack_buffer buffer = BUFFER(100);

			alarm(20);
			bufftrack_set_stack_depth(self->bt, 16);
			QUIETLY(0, ALLOC(&buffer));
			QUIETLY(0, FREE(&buffer));
			EXPECT_NE(NULL, bufftrack_default());
			QUIETLY(0, bufftrack_reopen(self->bt));
			bufftrack_close(bufftrack_open("x", 0));
		}
	}
	__atomic_store_n(&stop, true, __ATOMIC_RELAXED);
	for (i = 0; i < THREADS; i++) {
		pthread_join(workers[i].thread, NULL);
		EXPECT_EQ(0, workers[i].bad);
	}
}

/* ---- stacks --------------------------------------------------------------- */

/*
 * Three functions, each in a section of its own, whose ends the linker tells.
 * The middle one leaves no frame pointer to follow.
 */
#define LEVEL(name) extern const char __start_##name[], __stop_##name[]; \
	static __attribute__((noinline, noclone, used, section(#name)))

#define WITHIN(name, address)						\
	EXPECT_TRUE((address) > (uintptr_t)__start_##name &&		\
		    (address) <= (uintptr_t)__stop_##name)

struct call {
	struct bufftrack *bt;
	struct bufftrack_buffer *buffer;
	int op;			/* 0 is a batch */
};

LEVEL(stack_inner) int inner(struct call *call)
{
	struct bufftrack_entry entry = {
		.op = BUFFTRACK_OP_ALLOC, .buffer = call->buffer,
	};
	int rc;

	if (call->op == BUFFTRACK_OP_ALLOC)
		rc = bufftrack_alloc(call->bt, call->buffer, NULL);
	else if (call->op == BUFFTRACK_OP_FREE)
		rc = bufftrack_free(call->bt, call->buffer, NULL);
	else
		rc = SUBMIT(call->bt, &entry, 1);
	BARRIER();
	return rc;
}

LEVEL(stack_middle) int middle(struct call *call)
{
	int rc;

#if defined(__x86_64__) && !defined(__clang__)
	__asm__ volatile("xor %%ebp, %%ebp" ::: "rbp");
#endif
	rc = inner(call);
	BARRIER();
	return rc;
}

LEVEL(stack_outer) int outer(struct call *call)
{
	volatile char room[700];
	int rc;

	room[0] = 1;
	room[699] = 1;
	rc = middle(call);
	BARRIER();
	return rc + room[0] - room[699];
}

LEVEL(stack_handler)
void handler(int signal BT_UNUSED);
LEVEL(stack_raiser)
int raiser(void);

FIXTURE(stacks) {
	struct bufftrack *bt;
	__u64 device;
	int fd;
	struct bufftrack_frame frames[128];
	unsigned int nr;
	char path[BUFFTRACK_PATH_LEN];
};

FIXTURE_VARIANT(stacks) {
	const char *frames;
};

FIXTURE_VARIANT_ADD(stacks, sixteen) {
	.frames = "16",
};

FIXTURE_SETUP(stacks)
{
	ssize_t n;

	self->device = bt_device();
	self->fd = bt_open();
	ASSERT_LE(0, self->fd);
	setenv("BUFFTRACK_STACK", variant->frames, 1);
	self->bt = bufftrack_open("stacks", 0);
	ASSERT_NE(NULL, self->bt);
	if (!(bufftrack_features(self->bt) & BUFFTRACK_FEATURE_STACK))
		SKIP(return, "no BUFFTRACK_FEATURE_STACK");
	n = readlink("/proc/self/exe", self->path, sizeof(self->path) - 1);
	ASSERT_LT(0, n);
	self->path[n] = '\0';
}

FIXTURE_TEARDOWN(stacks)
{
	bufftrack_close(self->bt);
	close(self->fd);
}

/* Reads a stack of @buffer's allocation: of its ALLOC, or of its end. */
static int read_frames(FIXTURE_DATA(stacks) *self, __u64 buffer, bool end)
{
	struct bufftrack_stack stack = {
		.frames = (uintptr_t)self->frames,
		.nr = ARRAY_SIZE(self->frames),
		.frame_size = sizeof(self->frames[0]),
	};
	struct bufftrack_life life;
	int rc = bt_life(self->fd, self->device, 0, buffer, &life);

	if (rc)
		return rc;
	self->nr = 0;
	stack.stack_id = end ? life.end.stack_id : life.alloc.stack_id;
	if (!stack.stack_id)
		return 0;
	rc = bt_ioctl(self->fd, BUFFTRACK_IOC_STACK, &stack);
	if (!rc)
		self->nr = stack.nr;
	return rc;
}

struct place {
	uintptr_t address;
	__u64 offset;
};

static int find_place(struct dl_phdr_info *info, size_t size BT_UNUSED,
		      void *data)
{
	struct place *place = data;
	uintptr_t start;
	int i;

	for (i = 0; i < info->dlpi_phnum; i++) {
		start = info->dlpi_addr + info->dlpi_phdr[i].p_vaddr;
		if (info->dlpi_phdr[i].p_type != PT_LOAD ||
		    place->address < start ||
		    place->address >= start + info->dlpi_phdr[i].p_memsz)
			continue;
		place->offset = place->address - start +
				info->dlpi_phdr[i].p_offset;
		return 1;
	}
	return 0;
}

/* Each frame of this program is told with its file and the place in it. */
static void check_places(FIXTURE_DATA(stacks) *self,
			 struct __test_metadata *_metadata, unsigned int nr)
{
	struct place place;
	unsigned int i;

	for (i = 0; i < nr; i++) {
		place = (struct place){ .address = self->frames[i].address };
		EXPECT_EQ(1, dl_iterate_phdr(find_place, &place));
		EXPECT_EQ(place.offset, self->frames[i].offset);
		EXPECT_STREQ(self->path, self->frames[i].path);
	}
}

TEST_F(stacks, innermost_first)
{
	struct bufftrack_buffer buffers[] = { BUFFER(1), BUFFER(2) };
	struct call call = { .bt = self->bt };
	unsigned int i;

	for (i = 0; i < 4; i++) {
		call.buffer = &buffers[i / 2];
		call.op = i % 2 ? BUFFTRACK_OP_FREE :
			  i ? 0 : BUFFTRACK_OP_ALLOC;
		QUIETLY(0, outer(&call));
		ASSERT_EQ(0, read_frames(self, 1 + i / 2, i % 2));
		/* This function, main() and what starts it come on top. */
		ASSERT_LE(5, self->nr);
		EXPECT_GE(16, self->nr);
		WITHIN(stack_inner, self->frames[0].address);
		WITHIN(stack_middle, self->frames[1].address);
		WITHIN(stack_outer, self->frames[2].address);
		check_places(self, _metadata, 4);
	}
}

TEST_F(stacks, no_deeper_than_asked)
{
	struct bufftrack_buffer buffer = BUFFER(1);
	struct call call = { self->bt, &buffer, BUFFTRACK_OP_ALLOC };
	unsigned int depth;

	for (depth = 0; depth <= 4; depth++) {
		buffer = BUFFER(1 + depth);
		/* What the environment says stands. */
		QUIETLY(16, bufftrack_set_stack_depth(self->bt, depth));
		bufftrack_close(self->bt);
		unsetenv("BUFFTRACK_STACK");
		self->bt = bufftrack_open("x", 0);
		call.bt = self->bt;
		QUIETLY(depth, bufftrack_set_stack_depth(self->bt, depth));
		QUIETLY(0, outer(&call));
		ASSERT_EQ(0, read_frames(self, 1 + depth, false));
		EXPECT_EQ(depth, self->nr);
		if (depth)
			WITHIN(stack_inner, self->frames[0].address);
		bufftrack_close(self->bt);
		setenv("BUFFTRACK_STACK", "16", 1);
		self->bt = bufftrack_open("x", 0);
		call.bt = self->bt;
	}
}

static __attribute__((noinline)) int deep(struct call *call, int depth)
{
	int rc = depth ? deep(call, depth - 1) : inner(call);

	BARRIER();
	return rc;
}

TEST_F(stacks, capped)
{
	struct bufftrack_buffer buffer = BUFFER(1);
	struct bufftrack_info info;
	struct call call;

	ASSERT_EQ(0, bufftrack_get_info(self->bt, &info, sizeof(info)));
	setenv("BUFFTRACK_STACK", "99999999999999999999", 1);
	call = (struct call){ bufftrack_open("x", 0), &buffer,
			      BUFFTRACK_OP_ALLOC };
	EXPECT_EQ(info.max_stack_depth, bufftrack_set_stack_depth(call.bt, 1));
	QUIETLY(0, deep(&call, 400));
	ASSERT_EQ(0, read_frames(self, 1, false));
	EXPECT_EQ(info.max_stack_depth, self->nr);
	bufftrack_close(call.bt);
	/* What is no number is none. */
	setenv("BUFFTRACK_STACK", "-1", 1);
	call.bt = bufftrack_open("x", 0);
	EXPECT_EQ(3, bufftrack_set_stack_depth(call.bt, 3));
	bufftrack_close(call.bt);
}

static struct call handler_call;
static int handler_rc;

static void handler(int signal BT_UNUSED)
{
	handler_rc = inner(&handler_call);
	BARRIER();
}

static int raiser(void)
{
	int rc = raise(SIGUSR1);

	BARRIER();
	return rc;
}

/* Out of a signal handler, into what it interrupted. */
TEST_F(stacks, through_a_signal_handler)
{
	struct bufftrack_buffer buffer = BUFFER(1);
	bool found = false;
	unsigned int i;

	handler_call = (struct call){ self->bt, &buffer, BUFFTRACK_OP_ALLOC };
	ASSERT_TRUE(signal(SIGUSR1, handler) != SIG_ERR);
	ASSERT_EQ(0, raiser());
	EXPECT_EQ(0, handler_rc);
	ASSERT_EQ(0, read_frames(self, 1, false));
	ASSERT_LE(4, self->nr);
	WITHIN(stack_inner, self->frames[0].address);
	WITHIN(stack_handler, self->frames[1].address);
	for (i = 2; i < self->nr && !found; i++)
		found = self->frames[i].address >
				(uintptr_t)__start_stack_raiser &&
			self->frames[i].address <=
				(uintptr_t)__stop_stack_raiser;
	EXPECT_TRUE(found);
}

/* The trampoline that a handler returns to resolves to its name: one is added. */
TEST_F(stacks, of_a_trampoline)
{
#ifdef __x86_64__
	static const unsigned char code[] = {
		0x48, 0xc7, 0xc0, 0x0f, 0, 0, 0, 0x0f, 0x05,	/* rt_sigreturn */
	};
	struct bufftrack_buffer buffer = BUFFER(1);

	handler_call = (struct call){ self->bt, &buffer, BUFFTRACK_OP_ALLOC };
	ASSERT_TRUE(signal(SIGUSR1, handler) != SIG_ERR);
	ASSERT_EQ(0, raiser());
	ASSERT_EQ(0, read_frames(self, 1, false));
	ASSERT_LE(4, self->nr);
	EXPECT_EQ(0, memcmp((void *)(uintptr_t)(self->frames[2].address - 1),
			    code, sizeof(code)));
#else
	SKIP(return, "another machine's trampoline");
#endif
}

#define ENTRIES	64

static struct bufftrack_entry small_entries[ENTRIES];
static struct bufftrack_buffer small_buffers[ENTRIES];

static void submitter(int signal BT_UNUSED)
{
	handler_rc = SUBMIT(handler_call.bt, small_entries, ENTRIES);
	BARRIER();
}

/* As many entries as there may be, with a stack, where there is little room */
TEST_F(stacks, on_a_small_signal_stack)
{
	const size_t page = sysconf(_SC_PAGESIZE);
	size_t size = getauxval(AT_MINSIGSTKSZ) + 6 * 1024;
	struct sigaction action = { .sa_handler = submitter, .sa_flags = SA_ONSTACK };
	stack_t stack;
	unsigned int i;
	char *room;

	size = (size + page - 1) & -page;
	room = mmap(NULL, size + page, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	ASSERT_NE(MAP_FAILED, room);
	ASSERT_EQ(0, mprotect(room + page, size, PROT_READ | PROT_WRITE));
	stack = (stack_t){ .ss_sp = room + page, .ss_size = size };
	ASSERT_EQ(0, sigaltstack(&stack, NULL));
	ASSERT_EQ(0, sigaction(SIGUSR1, &action, NULL));
	for (i = 0; i < ENTRIES; i++) {
		small_buffers[i] = BUFFER(1 + i);
		small_entries[i] = (struct bufftrack_entry){
			.op = BUFFTRACK_OP_ALLOC, .buffer = &small_buffers[i],
		};
	}
	handler_call.bt = self->bt;
	ASSERT_EQ(0, raise(SIGUSR1));
	EXPECT_EQ(0, handler_rc);
	for (i = 0; i < ENTRIES; i += ENTRIES - 1) {
		ASSERT_EQ(0, read_frames(self, 1 + i, false));
		EXPECT_LE(4, self->nr);
	}
}

TEST_HARNESS_MAIN
