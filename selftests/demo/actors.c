// SPDX-License-Identifier: GPL-2.0
/*
 * The actors of the demo: small runtimes that make the mistakes of real ones.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/bufftrack.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#define DEVICE 4
#define DRAM 0
#define L1 1

static int open_client(const char *name)
{
	struct bufftrack_client client = { .mask = BUFFTRACK_CLIENT_NAME };
	int fd;

	prctl(PR_SET_NAME, name);
	fd = open("/dev/bufftrack", O_RDWR | O_CLOEXEC);
	if (fd < 0) {
		fprintf(stderr, "actors: /dev/bufftrack: %s\n", strerror(errno));
		exit(1);
	}
	strncpy(client.name, name, sizeof(client.name) - 1);
	if (ioctl(fd, BUFFTRACK_IOC_CLIENT, &client)) {
		perror("actors: CLIENT");
		exit(1);
	}
	return fd;
}

static void report(int fd, unsigned long cmd, struct bufftrack_op *op)
{
	if (ioctl(fd, cmd, op)) {
		perror(cmd == BUFFTRACK_IOC_ALLOC ? "actors: ALLOC" : "actors: FREE");
		exit(1);
	}
}

static __u64 alloc(int fd, __u64 buffer, __u64 size)
{
	struct bufftrack_op op = {
		.device = DEVICE,
		.space = L1,
		.buffer = buffer,
		.size = size,
	};

	report(fd, BUFFTRACK_IOC_ALLOC, &op);
	return op.generation;
}

static void release(int fd, __u64 buffer, __u64 token)
{
	struct bufftrack_op op = {
		.device = DEVICE,
		.space = L1,
		.buffer = buffer,
		.token = token,
	};

	report(fd, BUFFTRACK_IOC_FREE, &op);
}

/* A byte through a pipe: the next one's turn. */
static void turn_give(const int *turn)
{
	if (write(turn[1], "", 1) != 1)
		exit(1);
}

static void turn_wait(const int *turn)
{
	char c;

	if (read(turn[0], &c, 1) != 1)
		exit(1);
}

static int child_status(pid_t pid)
{
	int status;

	if (waitpid(pid, &status, 0) != pid)
		return -1;
	return status;
}

/* One frees, with its old token, what the other allocated at that address. */
static int stale(const char *seconds)
{
	const __u64 buffer = 0x296ccc80;
	int to_new[2], to_old[2];
	pid_t pid;
	__u64 token;
	int fd;

	if (pipe(to_new) || pipe(to_old))
		return 1;
	pid = fork();
	if (!pid) {
		fd = open_client("trainer");
		turn_wait(to_new);
		alloc(fd, buffer, 8192);
		turn_give(to_old);
		turn_wait(to_new);
		/* Its buffer is still there, for who wants to list it. */
		sleep(atoi(seconds));
		release(fd, buffer, 0);
		_exit(0);
	}
	fd = open_client("profiler");
	token = alloc(fd, buffer, 8192);
	release(fd, buffer, token);
	turn_give(to_new);
	turn_wait(to_old);
	release(fd, buffer, token);
	turn_give(to_new);
	return child_status(pid) != 0;
}

/* One is killed with buffers held; another frees one of them too late. */
static int killed(void)
{
	int ready[2];
	pid_t pid;
	int fd, i;

	if (pipe(ready))
		return 1;
	pid = fork();
	if (!pid) {
		fd = open_client("worker");
		for (i = 0; i < 3; i++)
			alloc(fd, 0x10000 + i * 0x1000, 4096);
		turn_give(ready);
		pause();
		_exit(1);
	}
	fd = open_client("scheduler");
	turn_wait(ready);
	kill(pid, SIGKILL);
	if (!WIFSIGNALED(child_status(pid)))
		return 1;
	release(fd, 0x11000, 0);
	return 0;
}

/* One frees twice, for whoever is looking. */
static int twice(void)
{
	int fd = open_client("python");

	alloc(fd, 0x5000, 4096);
	release(fd, 0x5000, 0);
	release(fd, 0x5000, 0);
	return 0;
}

static void label(int fd, __u64 device, int space, const char *text)
{
	struct bufftrack_label label = {
		.device = device,
		.space = space < 0 ? 0 : (__u32)space,
		.flags = space < 0 ? 0 : BUFFTRACK_LABEL_SPACE,
	};

	strncpy(label.label, text, sizeof(label.label) - 1);
	if (ioctl(fd, BUFFTRACK_IOC_LABEL, &label)) {
		perror("actors: LABEL");
		exit(1);
	}
}

/* What one of the busy runtimes does. */
struct worker {
	const char *name;
	__u64 device;
	__u64 first; /* address */
	__u64 kept; /* buffers in DRAM, all the time */
	__u64 size;
	unsigned int pause_us;
	unsigned int late_frees; /* one too many, of the first ones */
};

static void work(const struct worker *worker)
{
	struct bufftrack_op op = { .device = worker->device, .space = DRAM, .size = worker->size };
	int fd = open_client(worker->name);
	unsigned int turn;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	label(fd, worker->device, -1, worker->device ? "wormhole-1" : "wormhole-0");
	label(fd, worker->device, L1, "L1");
	label(fd, worker->device, DRAM, "DRAM");
	for (turn = 0; turn < worker->kept; turn++) {
		op.buffer = worker->first + turn * worker->size;
		report(fd, BUFFTRACK_IOC_ALLOC, &op);
	}
	for (turn = 0;; turn++) {
		op = (struct bufftrack_op){
			.device = worker->device,
			.space = L1,
			.buffer = worker->first + turn % 64 * 0x1000,
			.size = 4096,
		};
		report(fd, BUFFTRACK_IOC_ALLOC, &op);
		op.size = 0;
		report(fd, BUFFTRACK_IOC_FREE, &op);
		if (turn < worker->late_frees)
			report(fd, BUFFTRACK_IOC_FREE, &op);
		usleep(worker->pause_us);
	}
}

/* Several at work, for who wants to look at it. */
static int busy(const char *seconds)
{
	static const struct worker workers[] = {
		{ "trainer", 0, 0x10000000, 24, 8 << 20, 1500, 0 },
		{ "inference", 1, 0x10000000, 48, 2 << 20, 3000, 2 },
		{ "profiler", 1, 0x20000000, 3, 96 << 10, 20000, 1 },
		{ "tokenizer", 0, 0x20000000, 6, 512 << 10, 60000, 0 },
	};
	const size_t nr = sizeof(workers) / sizeof(workers[0]);
	pid_t pids[sizeof(workers) / sizeof(workers[0])];
	size_t i;

	for (i = 0; i < nr; i++) {
		pids[i] = fork();
		if (!pids[i])
			work(&workers[i]);
	}
	sleep(atoi(seconds));
	for (i = 0; i < nr; i++) {
		kill(pids[i], SIGTERM);
		child_status(pids[i]);
	}
	return 0;
}

int main(int argc, char **argv)
{
	if (argc == 3 && !strcmp(argv[1], "stale"))
		return stale(argv[2]);
	if (argc == 3 && !strcmp(argv[1], "busy"))
		return busy(argv[2]);
	if (argc == 2 && !strcmp(argv[1], "killed"))
		return killed();
	if (argc == 2 && !strcmp(argv[1], "twice"))
		return twice();
	fprintf(stderr, "usage: actors stale SECONDS | killed | twice | busy SECONDS\n");
	return 2;
}
