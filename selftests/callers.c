// SPDX-License-Identifier: GPL-2.0
/* Many tasks and one client: fork, dup, threads, and files sent by socket. */
#include <pthread.h>
#include <sched.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>

#include "bt.h"

#define SIZE	16

FIXTURE(callers) {
	int fd;				/* looks on */
	__u64 device;
	struct bufftrack_op op;
	struct bufftrack_stat stat;
	struct bufftrack_life life;
};

FIXTURE_SETUP(callers)
{
	self->fd = bt_open();
	ASSERT_LE(0, self->fd);
	self->device = bt_device();
}

FIXTURE_TEARDOWN(callers)
{
	close(self->fd);
}

#define ALLOC(fd, buffer) \
	bt_call(fd, BUFFTRACK_IOC_ALLOC, SIZE, self->device, buffer, &self->op)
#define FREE(fd, buffer) \
	bt_call(fd, BUFFTRACK_IOC_FREE, SIZE, self->device, buffer, &self->op)
#define LIVE() ({							\
	ASSERT_EQ(0, bt_stat(self->fd, BUFFTRACK_STAT_DEVICE,		\
			     self->device, 0, &self->stat));		\
	self->stat.live;						\
})

/* A child has the parent's client, and is named where it was the one. */
TEST_F(callers, fork)
{
	int fd = bt_open();
	pid_t pid;

	ASSERT_LE(0, fd);
	prctl(PR_SET_NAME, "the-parent");
	ASSERT_EQ(0, ALLOC(fd, 1));
	ASSERT_EQ(0, ALLOC(fd, 2));
	pid = bt_fork();
	if (!pid) {
		prctl(PR_SET_NAME, "the-child");
		EXPECT_EQ(0, FREE(fd, 1));
		EXPECT_EQ(0, ALLOC(fd, 3));
		_exit(0);
	}
	EXPECT_EQ(0, bt_reap(pid));
	ASSERT_EQ(0, bt_life(self->fd, self->device, 0, 1, &self->life));
	EXPECT_EQ(BUFFTRACK_STATE_FREED, self->life.state);
	EXPECT_EQ(getpid(), (pid_t)self->life.alloc.pid);
	EXPECT_STREQ("the-parent", self->life.alloc.comm);
	EXPECT_EQ(0, self->life.alloc.exited);
	EXPECT_EQ(pid, (pid_t)self->life.end.pid);
	EXPECT_STREQ("the-child", self->life.end.comm);
	EXPECT_EQ(1, self->life.end.exited);
	/* The child's going is not the client's. */
	EXPECT_EQ(2, LIVE());
	EXPECT_EQ(0, self->stat.verdicts[BUFFTRACK_LEAK]);
	EXPECT_EQ(0, FREE(fd, 2));
	EXPECT_EQ(0, FREE(fd, 3));
	EXPECT_EQ(-BUFFTRACK_DOUBLE_FREE, FREE(fd, 1));
	close(fd);
}

TEST_F(callers, last_reference_in_another_process)
{
	struct bt_pipe down;
	int fd = bt_open();
	pid_t pid;

	ASSERT_LE(0, fd);
	ASSERT_EQ(0, bt_pipe(&down));
	prctl(PR_SET_NAME, "the-opener");
	ASSERT_EQ(0, ALLOC(fd, 1));
	pid = bt_fork();
	if (!pid) {
		bt_receive(&down);
		_exit(0);
	}
	close(fd);
	EXPECT_EQ(1, LIVE());
	bt_send(&down, 0);
	EXPECT_EQ(0, bt_reap(pid));
	EXPECT_EQ(0, LIVE());
	EXPECT_EQ(1, self->stat.verdicts[BUFFTRACK_LEAK]);
	/* It ended by the client's end: that is named by its opener. */
	ASSERT_EQ(0, bt_life(self->fd, self->device, 0, 1, &self->life));
	EXPECT_EQ(BUFFTRACK_STATE_EXITED, self->life.state);
	EXPECT_EQ(getpid(), (pid_t)self->life.end.pid);
	EXPECT_EQ(0, self->life.end.exited);
}

TEST_F(callers, dup)
{
	int fd = bt_open(), copy = dup(fd);

	ASSERT_LE(0, copy);
	ASSERT_EQ(0, ALLOC(fd, 1));
	ASSERT_EQ(0, ALLOC(copy, 1));
	EXPECT_EQ(2, self->op.refs);
	close(fd);
	EXPECT_EQ(1, LIVE());
	EXPECT_EQ(0, FREE(copy, 1));
	EXPECT_EQ(1, self->op.refs);
	close(copy);
	EXPECT_EQ(0, LIVE());
	EXPECT_EQ(1, self->stat.verdicts[BUFFTRACK_LEAK]);
}

TEST_F(callers, exec_closes)
{
	pid_t pid = bt_fork();

	if (!pid) {
		int fd = bt_open();

		EXPECT_EQ(0, ALLOC(fd, 1));
		/* This very program, which lists its tests and ends. */
		if (!freopen("/dev/null", "w", stderr))
			_exit(101);
		execl("/proc/self/exe", "callers", "-l", NULL);
		_exit(100);
	}
	EXPECT_EQ(KSFT_SKIP, bt_reap(pid));
	EXPECT_EQ(0, LIVE());
	EXPECT_EQ(1, self->stat.verdicts[BUFFTRACK_LEAK]);
}

static int send_fd(int socket, int fd)
{
	char room[CMSG_SPACE(sizeof(int))] = { 0 }, byte = 0;
	struct iovec iov = { .iov_base = &byte, .iov_len = 1 };
	struct msghdr msg = {
		.msg_iov = &iov, .msg_iovlen = 1,
		.msg_control = room, .msg_controllen = sizeof(room),
	};
	struct cmsghdr *cmsg = CMSG_FIRSTHDR(&msg);

	cmsg->cmsg_level = SOL_SOCKET;
	cmsg->cmsg_type = SCM_RIGHTS;
	cmsg->cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(cmsg), &fd, sizeof(fd));
	return sendmsg(socket, &msg, 0) == 1 ? 0 : -errno;
}

static int receive_fd(int socket)
{
	char room[CMSG_SPACE(sizeof(int))] = { 0 }, byte;
	struct iovec iov = { .iov_base = &byte, .iov_len = 1 };
	struct msghdr msg = {
		.msg_iov = &iov, .msg_iovlen = 1,
		.msg_control = room, .msg_controllen = sizeof(room),
	};
	struct cmsghdr *cmsg;
	int fd;

	if (recvmsg(socket, &msg, 0) != 1)
		return -errno;
	cmsg = CMSG_FIRSTHDR(&msg);
	if (!cmsg)
		return -EBADF;
	memcpy(&fd, CMSG_DATA(cmsg), sizeof(fd));
	return fd;
}

/* A file that is under way in a socket is open. */
TEST_F(callers, sent_by_socket)
{
	int fd = bt_open(), pair[2], got;
	pid_t pid;

	ASSERT_LE(0, fd);
	ASSERT_EQ(0, socketpair(AF_UNIX, SOCK_STREAM, 0, pair));
	ASSERT_EQ(0, ALLOC(fd, 1));
	ASSERT_EQ(0, send_fd(pair[0], fd));
	close(fd);
	EXPECT_EQ(1, LIVE());
	pid = bt_fork();
	if (!pid) {
		got = receive_fd(pair[1]);
		ASSERT_LE(0, got);
		EXPECT_EQ(0, FREE(got, 1));
		EXPECT_EQ(0, ALLOC(got, 2));
		_exit(0);
	}
	EXPECT_EQ(0, bt_reap(pid));
	EXPECT_EQ(0, LIVE());
	EXPECT_EQ(1, self->stat.frees);
	EXPECT_EQ(1, self->stat.verdicts[BUFFTRACK_LEAK]);
	ASSERT_EQ(0, bt_life(self->fd, self->device, 0, 2, &self->life));
	EXPECT_EQ(pid, (pid_t)self->life.alloc.pid);
	close(pair[0]);
	close(pair[1]);
}

TEST_F(callers, lost_in_a_socket)
{
	int fd = bt_open(), pair[2];

	ASSERT_LE(0, fd);
	ASSERT_EQ(0, socketpair(AF_UNIX, SOCK_STREAM, 0, pair));
	ASSERT_EQ(0, ALLOC(fd, 1));
	ASSERT_EQ(0, send_fd(pair[0], fd));
	close(fd);
	close(pair[0]);
	EXPECT_EQ(1, LIVE());
	close(pair[1]);
	EXPECT_EQ(0, LIVE());
}

/* ---- threads ------------------------------------------------------------- */

#define THREADS	4
#define ROUNDS	5000

struct worker {
	pthread_t thread;
	int fd;
	__u64 device;
	unsigned int number;
	unsigned int wrong;
	pid_t tid;
	struct bt_pipe begun;
};

static void *own_keys(void *data)
{
	struct worker *worker = data;
	struct bufftrack_op op;
	unsigned int i;

	worker->tid = syscall(SYS_gettid);
	for (i = 0; i < ROUNDS; i++) {
		__u64 buffer = worker->number * 1000ULL + i % 100;

		if (bt_call(worker->fd, BUFFTRACK_IOC_ALLOC, SIZE,
			    worker->device, buffer, &op) || op.refs != 1)
			worker->wrong++;
		if (bt_call(worker->fd, BUFFTRACK_IOC_FREE, SIZE,
			    worker->device, buffer, &op) || op.refs)
			worker->wrong++;
	}
	return NULL;
}

TEST_F(callers, threads)
{
	struct worker workers[THREADS];
	unsigned int i;

	for (i = 0; i < THREADS; i++) {
		workers[i] = (struct worker) {
			.fd = self->fd, .device = self->device, .number = i,
		};
		ASSERT_EQ(0, pthread_create(&workers[i].thread, NULL, own_keys,
					    &workers[i]));
	}
	for (i = 0; i < THREADS; i++) {
		pthread_join(workers[i].thread, NULL);
		EXPECT_EQ(0, workers[i].wrong);
	}
	EXPECT_STREQ("", bt_stat_diff(self->fd, BUFFTRACK_STAT_CLIENT, 0, 0,
				      (struct bufftrack_stat) {
		.allocs = THREADS * ROUNDS, .frees = THREADS * ROUNDS,
		.verdicts = { [BUFFTRACK_OK] = 2 * THREADS * ROUNDS },
		.peak_bytes = ({
			bt_stat(self->fd, BUFFTRACK_STAT_CLIENT, 0, 0,
				&self->stat);
			self->stat.peak_bytes;
		}) }));
	EXPECT_LE(SIZE, self->stat.peak_bytes);
	EXPECT_GE(THREADS * SIZE, self->stat.peak_bytes);
	for (i = 0; i < THREADS; i++) {
		ASSERT_EQ(0, bt_life(self->fd, self->device, 0, i * 1000,
				     &self->life));
		EXPECT_EQ(getpid(), (pid_t)self->life.end.pid);
		EXPECT_EQ(workers[i].tid, (pid_t)self->life.end.tid);
		EXPECT_EQ(ROUNDS / 100, self->life.lives);
	}
}

static void *free_it(void *data)
{
	struct worker *worker = data;
	struct bufftrack_op op;

	worker->tid = gettid();
	/* The client remembers its threads by the lowest bits of their tids. */
	if ((worker->tid ^ getpid()) % 64 == 0)
		worker->wrong = bt_call(worker->fd, BUFFTRACK_IOC_FREE, 0, worker->device, 1, &op);
	return NULL;
}

/* A thread of the same name, and whose tid ends as this one's does, is another. */
TEST_F(callers, threads_that_are_much_alike)
{
	struct worker worker = { .fd = self->fd, .device = self->device };
	struct bufftrack_op op;
	unsigned int i;

	ASSERT_EQ(getpid(), gettid());
	ASSERT_EQ(0, bt_call(self->fd, BUFFTRACK_IOC_ALLOC, SIZE, self->device, 1, &op));
	for (i = 0; i < 10000; i++) {
		ASSERT_EQ(0, pthread_create(&worker.thread, NULL, free_it, &worker));
		pthread_join(worker.thread, NULL);
		if ((worker.tid ^ getpid()) % 64 == 0)
			break;
	}
	ASSERT_GT(10000, i);
	EXPECT_EQ(0, worker.wrong);
	ASSERT_EQ(0, bt_life(self->fd, self->device, 0, 1, &self->life));
	EXPECT_EQ(getpid(), (pid_t)self->life.alloc.tid);
	EXPECT_EQ(getpid(), (pid_t)self->life.end.pid);
	EXPECT_EQ(worker.tid, (pid_t)self->life.end.tid);
}

static void *until_closed(void *data)
{
	struct worker *worker = data;
	struct bufftrack_op op;
	unsigned int i;
	int rc;

	for (i = 0; i < 10000000; i++) {
		rc = bt_call(worker->fd, i & 1 ? BUFFTRACK_IOC_FREE :
						 BUFFTRACK_IOC_ALLOC, SIZE,
			     worker->device,
			     worker->number * 1000ULL + i / 2 % 50, &op);
		if (rc == -EBADF)
			return NULL;
		if (rc)
			worker->wrong++;
	}
	worker->wrong++;
	return NULL;
}

/* close() meets calls that are under way: they end first, then the client. */
TEST_F(callers, close_meets_calls)
{
	struct worker workers[THREADS];
	unsigned int i, round;
	int fd;

	for (round = 0; round < 50; round++) {
		fd = bt_open();
		ASSERT_LE(0, fd);
		for (i = 0; i < THREADS; i++) {
			workers[i] = (struct worker) {
				.fd = fd, .device = self->device, .number = i,
			};
			ASSERT_EQ(0, pthread_create(&workers[i].thread, NULL,
						    until_closed, &workers[i]));
		}
		usleep(2000);
		close(fd);
		for (i = 0; i < THREADS; i++) {
			pthread_join(workers[i].thread, NULL);
			EXPECT_EQ(0, workers[i].wrong);
		}
		ASSERT_EQ(0, LIVE());
	}
	EXPECT_EQ(self->stat.allocs,
		  self->stat.frees + self->stat.verdicts[BUFFTRACK_LEAK]);
	EXPECT_EQ(0, self->stat.bytes);
}

static void *forever(void *data)
{
	struct worker *worker = data;
	struct bufftrack_op op;
	__u64 i;

	for (i = 0;; i++) {
		bt_call(worker->fd, BUFFTRACK_IOC_ALLOC, SIZE, worker->device,
			i % 512, &op);
		bt_call(worker->fd, BUFFTRACK_IOC_FREE, SIZE, worker->device,
			i * 7 % 512, &op);
		if (!i)
			bt_send(&worker->begun, 0);
	}
	return NULL;
}

/* A process that is killed in the midst of it leaves nothing behind. */
TEST_F(callers, killed_at_work)
{
	struct worker worker = { .device = self->device };
	unsigned int round, i;
	pid_t pid;

	for (round = 0; round < 20; round++) {
		ASSERT_EQ(0, bt_pipe(&worker.begun));
		pid = bt_fork();
		if (!pid) {
			worker.fd = bt_open();
			for (i = 0; i < THREADS; i++)
				pthread_create(&worker.thread, NULL, forever,
					       &worker);
			pause();
			_exit(1);
		}
		bt_receive(&worker.begun);
		usleep(20000);
		ASSERT_EQ(0, kill(pid, SIGKILL));
		ASSERT_EQ(128 + SIGKILL, bt_reap(pid));
		close(worker.begun.fd[0]);
		close(worker.begun.fd[1]);
		ASSERT_EQ(0, bt_stat(self->fd, BUFFTRACK_STAT_DEVICE, self->device, 0,
				     &self->stat));
		ASSERT_EQ(0, self->stat.live);
		ASSERT_EQ(0, self->stat.bytes);
	}
	EXPECT_LT(0, self->stat.allocs);
}

/* ---- in a thread's own table of files ------------------------------------ */

static void *with_own_files(void *data)
{
	struct worker *worker = data;
	struct bufftrack_op op;
	int fd;

	if (unshare(CLONE_FILES))
		worker->wrong++;
	fd = bt_open();
	if (fd < 0 || bt_call(fd, BUFFTRACK_IOC_ALLOC, SIZE, worker->device, 1, &op))
		worker->wrong++;
	return NULL;
}

TEST_F(callers, a_threads_exit)
{
	struct worker worker = { .device = self->device };
	unsigned int i;

	ASSERT_EQ(0, pthread_create(&worker.thread, NULL, with_own_files,
				    &worker));
	pthread_join(worker.thread, NULL);
	EXPECT_EQ(0, worker.wrong);
	/* The thread wakes its joiner before its files are gone. */
	for (i = 0; i < 1000 && LIVE(); i++)
		usleep(1000);
	EXPECT_EQ(0, LIVE());
	EXPECT_EQ(1, self->stat.verdicts[BUFFTRACK_LEAK]);
}

TEST_HARNESS_MAIN
