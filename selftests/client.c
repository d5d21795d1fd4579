// SPDX-License-Identifier: GPL-2.0
/* What a client says of itself, and what follows from it. */
#include <pthread.h>
#include <sys/syscall.h>

#include "bt.h"

#define STRICT	BUFFTRACK_CLIENT_STRICT
#define PRIVATE	BUFFTRACK_CLIENT_PRIVATE
#define TRAP	BUFFTRACK_CLIENT_TRAP

FIXTURE(client) {
	int fd;
	__u64 device;
	struct bufftrack_op op;
	struct bufftrack_client client;
	struct bufftrack_stat stat;
};

FIXTURE_SETUP(client)
{
	self->fd = bt_open();
	ASSERT_LE(0, self->fd);
	self->device = bt_device();
	self->op = (struct bufftrack_op) {
		.device = self->device, .buffer = 1, .size = 1,
	};
}

FIXTURE_TEARDOWN(client)
{
	close(self->fd);
}

#define CLIENT(...) ({							\
	self->client = (struct bufftrack_client) { __VA_ARGS__ };	\
	bt_ioctl(self->fd, BUFFTRACK_IOC_CLIENT, &self->client);	\
})

TEST_F(client, name)
{
	EXPECT_EQ(0, CLIENT(.mask = 0));
	EXPECT_STREQ("", self->client.name);
	EXPECT_EQ(0, CLIENT(.mask = BUFFTRACK_CLIENT_NAME, .name = "tt-metal"));
	EXPECT_STREQ("tt-metal", self->client.name);
	/* Without NAME in the mask it is output only. */
	EXPECT_EQ(0, CLIENT(.mask = 0, .name = "another"));
	EXPECT_STREQ("tt-metal", self->client.name);
	ASSERT_EQ(0, bt_stat(self->fd, BUFFTRACK_STAT_CLIENT, 0, 0,
			     &self->stat));
	EXPECT_STREQ("tt-metal", self->stat.name);
	EXPECT_EQ(0, CLIENT(.mask = BUFFTRACK_CLIENT_NAME));
	EXPECT_STREQ("", self->client.name);
}

/* It is printed as it is, on a line of others' making. */
TEST_F(client, name_of_more_than_a_line)
{
	static const char *const names[] = {
		"a\nb", "\t", "\x1b[31m", "bell\a", "\x7f",
	};
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(names); i++) {
		self->client = (struct bufftrack_client) {
			.mask = BUFFTRACK_CLIENT_NAME,
		};
		strcpy(self->client.name, names[i]);
		EXPECT_EQ(-EINVAL, bt_ioctl(self->fd, BUFFTRACK_IOC_CLIENT,
					    &self->client))
			TH_LOG("name %u", i);
	}
	EXPECT_EQ(0, CLIENT(.mask = BUFFTRACK_CLIENT_NAME, .name = "l\xc3\xa4uft 1"));
	EXPECT_STREQ("l\xc3\xa4uft 1", self->client.name);
	/* What comes after the end is nobody's. */
	EXPECT_EQ(0, CLIENT(.mask = BUFFTRACK_CLIENT_NAME, .name = "a\0\n"));
	EXPECT_STREQ("a", self->client.name);
}

TEST_F(client, name_without_an_end)
{
	self->client = (struct bufftrack_client) {
		.mask = BUFFTRACK_CLIENT_NAME,
	};
	memset(self->client.name, 'x', sizeof(self->client.name));
	EXPECT_EQ(-EINVAL, bt_ioctl(self->fd, BUFFTRACK_IOC_CLIENT,
				    &self->client));
	self->client.name[BUFFTRACK_NAME_LEN - 1] = '\0';
	EXPECT_EQ(0, bt_ioctl(self->fd, BUFFTRACK_IOC_CLIENT, &self->client));
}

TEST_F(client, name_is_no_flag)
{
	EXPECT_EQ(-EINVAL, CLIENT(.mask = BUFFTRACK_CLIENT_NAME,
				  .flags = BUFFTRACK_CLIENT_NAME));
	EXPECT_EQ(-EINVAL, CLIENT(.flags = BUFFTRACK_CLIENT_NAME));
}

TEST_F(client, flags)
{
	EXPECT_EQ(0, CLIENT(.mask = 0));
	EXPECT_EQ(0, self->client.flags);
	EXPECT_EQ(0, CLIENT(.mask = STRICT | TRAP, .flags = STRICT));
	EXPECT_EQ(STRICT, self->client.flags);
	EXPECT_EQ(0, CLIENT(.mask = PRIVATE | TRAP, .flags = PRIVATE | TRAP));
	EXPECT_EQ(STRICT | PRIVATE | TRAP, self->client.flags);
	ASSERT_EQ(0, bt_stat(self->fd, BUFFTRACK_STAT_CLIENT, 0, 0,
			     &self->stat));
	EXPECT_EQ(STRICT | PRIVATE | TRAP, self->stat.client_flags);
	EXPECT_EQ(0, CLIENT(.mask = STRICT | TRAP));
	EXPECT_EQ(PRIVATE, self->client.flags);
}

TEST_F(client, private_for_good)
{
	EXPECT_EQ(0, CLIENT(.mask = PRIVATE));
	EXPECT_EQ(0, CLIENT(.mask = PRIVATE, .flags = PRIVATE));
	EXPECT_EQ(-EINVAL, CLIENT(.mask = PRIVATE));
	EXPECT_EQ(0, CLIENT(.mask = PRIVATE, .flags = PRIVATE));
	EXPECT_EQ(0, bt_alloc(self->fd, &self->op));
	EXPECT_EQ(-EINVAL, CLIENT(.mask = PRIVATE));
	/* It was private before. */
	EXPECT_EQ(0, CLIENT(.mask = PRIVATE | STRICT, .flags = PRIVATE));
	EXPECT_EQ(PRIVATE, self->client.flags);
}

TEST_F(client, private_too_late_after_alloc)
{
	ASSERT_EQ(0, bt_alloc(self->fd, &self->op));
	EXPECT_EQ(-EBUSY, CLIENT(.mask = PRIVATE, .flags = PRIVATE));
	/* Refused as a whole */
	EXPECT_EQ(-EBUSY, CLIENT(.mask = PRIVATE | STRICT,
				 .flags = PRIVATE | STRICT));
	EXPECT_EQ(0, CLIENT(.mask = 0));
	EXPECT_EQ(0, self->client.flags);
	ASSERT_EQ(0, bt_free(self->fd, &self->op));
	EXPECT_EQ(-EBUSY, CLIENT(.mask = PRIVATE, .flags = PRIVATE));
}

TEST_F(client, private_too_late_after_free)
{
	ASSERT_EQ(0, bt_free(self->fd, &self->op));
	EXPECT_EQ(-EBUSY, CLIENT(.mask = PRIVATE, .flags = PRIVATE));
}

TEST_F(client, private_too_late_after_batch)
{
	struct bufftrack_batch batch;

	self->op.op = BUFFTRACK_OP_ALLOC;
	ASSERT_EQ(0, bt_batch(self->fd, &self->op, 1, &batch));
	EXPECT_EQ(-EBUSY, CLIENT(.mask = PRIVATE, .flags = PRIVATE));
}

/* Others were asked, nothing of one's own was said. */
TEST_F(client, private_after_looking)
{
	struct bufftrack_life life;

	ASSERT_EQ(-ENOENT, bt_life(self->fd, self->device, 0, 1, &life));
	ASSERT_EQ(0, bt_stat(self->fd, BUFFTRACK_STAT_ALL, 0, 0, &self->stat));
	EXPECT_EQ(0, CLIENT(.mask = PRIVATE, .flags = PRIVATE));
}

TEST_F(client, strict_on_and_off)
{
	ASSERT_EQ(0, bt_alloc(self->fd, &self->op));
	ASSERT_EQ(0, bt_free(self->fd, &self->op));
	EXPECT_EQ(0, bt_free(self->fd, &self->op));
	ASSERT_EQ(0, CLIENT(.mask = STRICT, .flags = STRICT));
	EXPECT_EQ(-EALREADY, bt_free(self->fd, &self->op));
	EXPECT_EQ(BUFFTRACK_DOUBLE_FREE, self->op.verdict);
	ASSERT_EQ(0, CLIENT(.mask = STRICT));
	EXPECT_EQ(0, bt_free(self->fd, &self->op));
	EXPECT_EQ(BUFFTRACK_DOUBLE_FREE, self->op.verdict);
}

/* Of this client only */
TEST_F(client, strict_is_not_for_others)
{
	int other = bt_open_as(STRICT);

	ASSERT_LE(0, other);
	EXPECT_EQ(0, bt_free(self->fd, &self->op));
	EXPECT_EQ(-ENOENT, bt_free(other, &self->op));
	close(other);
}

static volatile sig_atomic_t traps, trapped_thread;

static void on_trap(int signal BT_UNUSED)
{
	traps++;
	trapped_thread = syscall(SYS_gettid);
}

TEST_F(client, trap)
{
	struct sigaction action = { .sa_handler = on_trap };

	ASSERT_EQ(0, sigaction(SIGTRAP, &action, NULL));
	ASSERT_EQ(0, CLIENT(.mask = TRAP, .flags = TRAP));
	ASSERT_EQ(0, bt_alloc(self->fd, &self->op));
	ASSERT_EQ(0, bt_free(self->fd, &self->op));
	EXPECT_EQ(0, traps);
	EXPECT_EQ(0, bt_free(self->fd, &self->op));
	EXPECT_EQ(BUFFTRACK_DOUBLE_FREE, self->op.verdict);
	EXPECT_EQ(1, traps);
	self->op.buffer = 2;
	EXPECT_EQ(0, bt_free(self->fd, &self->op));
	EXPECT_EQ(2, traps);
	/* Not where nothing was judged */
	self->op.op = 9;
	EXPECT_EQ(-EINVAL, bt_free(self->fd, &self->op));
	EXPECT_EQ(2, traps);
	self->op.op = 0;
	ASSERT_EQ(0, CLIENT(.mask = TRAP | STRICT, .flags = TRAP | STRICT));
	EXPECT_EQ(-ENOENT, bt_free(self->fd, &self->op));
	EXPECT_EQ(3, traps);
	ASSERT_EQ(0, CLIENT(.mask = TRAP | STRICT));
	EXPECT_EQ(0, bt_free(self->fd, &self->op));
	EXPECT_EQ(3, traps);
}

TEST_F(client, trap_in_a_batch)
{
	struct sigaction action = { .sa_handler = on_trap };
	struct bufftrack_batch batch;
	struct bufftrack_op ops[3];
	int i;

	ASSERT_EQ(0, sigaction(SIGTRAP, &action, NULL));
	ASSERT_EQ(0, CLIENT(.mask = TRAP, .flags = TRAP));
	for (i = 0; i < 3; i++) {
		ops[i] = self->op;
		ops[i].op = i ? BUFFTRACK_OP_FREE : BUFFTRACK_OP_ALLOC;
	}
	EXPECT_EQ(0, bt_batch(self->fd, ops, 2, &batch));
	EXPECT_EQ(0, traps);
	EXPECT_EQ(0, bt_batch(self->fd, ops, 3, &batch));
	EXPECT_EQ(3, batch.done);
	EXPECT_EQ(1, traps);
}

static void *free_in_thread(void *data)
{
	FIXTURE_DATA(client) *self = data;

	bt_free(self->fd, &self->op);
	return (void *)syscall(SYS_gettid);
}

/* To the thread that called, so that a debugger stops where it happened. */
TEST_F(client, trap_of_the_calling_thread)
{
	struct sigaction action = { .sa_handler = on_trap };
	pthread_t thread;
	void *tid;

	ASSERT_EQ(0, sigaction(SIGTRAP, &action, NULL));
	ASSERT_EQ(0, CLIENT(.mask = TRAP, .flags = TRAP));
	ASSERT_EQ(0, pthread_create(&thread, NULL, free_in_thread, self));
	ASSERT_EQ(0, pthread_join(thread, &tid));
	EXPECT_EQ(1, traps);
	EXPECT_EQ((long)tid, trapped_thread);
	EXPECT_NE(getpid(), trapped_thread);
}

/* Nobody catches it: the process ends there, and what it held with it. */
TEST_F(client, trap_that_nobody_catches)
{
	pid_t pid = bt_fork();

	if (!pid) {
		int fd = bt_open_as(TRAP);

		self->op.buffer = 3;
		EXPECT_EQ(0, bt_alloc(fd, &self->op));
		self->op.buffer = 4;
		bt_free(fd, &self->op);
		_exit(0);
	}
	EXPECT_EQ(128 + SIGTRAP, bt_reap(pid));
	ASSERT_EQ(0, bt_stat(self->fd, BUFFTRACK_STAT_DEVICE, self->device, 0,
			     &self->stat));
	EXPECT_EQ(0, self->stat.live);
	EXPECT_EQ(1, self->stat.verdicts[BUFFTRACK_LEAK]);
}

/* The module parameter is for all clients. */
TEST_F(client, on_error_sigtrap)
{
	struct sigaction action = { .sa_handler = on_trap };
	char was[32];

	ASSERT_EQ(0, bt_read(BT_PARAMETERS "on_error", was, sizeof(was)));
	EXPECT_STREQ("report\n", was);
	EXPECT_EQ(-EINVAL, bt_write(BT_PARAMETERS "on_error", "nonsense"));
	ASSERT_EQ(0, sigaction(SIGTRAP, &action, NULL));
	ASSERT_EQ(0, bt_write(BT_PARAMETERS "on_error", "sigtrap"));
	EXPECT_EQ(0, bt_free(self->fd, &self->op));
	EXPECT_EQ(1, traps);
	ASSERT_EQ(0, bt_write(BT_PARAMETERS "on_error", "report\n"));
	EXPECT_EQ(0, bt_free(self->fd, &self->op));
	EXPECT_EQ(1, traps);
}

TEST_F(client, ids_are_never_used_again)
{
	__u64 last = bt_client_id(self->fd), id;
	int i, fd;

	ASSERT_NE(0ULL, last);
	for (i = 0; i < 2000; i++) {
		fd = bt_open();
		ASSERT_LE(0, fd);
		id = bt_client_id(fd);
		ASSERT_LT(last, id);
		last = id;
		close(fd);
	}
	EXPECT_EQ(bt_client_id(self->fd), bt_client_id(self->fd));
}

TEST_F(client, one_open_file_is_one_client)
{
	int copy = dup(self->fd), other = bt_open();

	EXPECT_EQ(bt_client_id(self->fd), bt_client_id(copy));
	EXPECT_NE(bt_client_id(self->fd), bt_client_id(other));
	close(copy);
	close(other);
}

TEST_HARNESS_MAIN
