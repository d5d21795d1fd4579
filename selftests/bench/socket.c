// SPDX-License-Identifier: GPL-2.0
/* The same pairs, told to a daemon over a socket. */
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "bench.h"
#include "socket.h"

#define DEVICE 4
#define KEYS 1024
#define ROUNDS 8

_Static_assert(sizeof(struct message) == 112, "as long as the real one's");

static void become_daemon(const struct daemon *daemon, bool logs)
{
	char program[4096];
	char *argv[5] = { "bench-daemon", (char *)daemon->path };
	int argc = 2, null;
	ssize_t len;

	/* It lies beside this program. */
	len = readlink("/proc/self/exe", program, sizeof(program) - 16);
	while (len > 0 && program[len - 1] != '/')
		len--;
	if (len <= 0)
		die("/proc/self/exe");
	sprintf(program + len, "bench-daemon");
	if (logs)
		argv[argc++] = "--log";
	if (daemon->answers)
		argv[argc++] = "--answer";
	null = open("/dev/null", O_RDWR);
	dup2(null, STDOUT_FILENO);
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	execv(program, argv);
	die(program);
}

void daemon_start(struct daemon *daemon, bool logs, bool answers)
{
	daemon->answers = answers;
	snprintf(daemon->path, sizeof(daemon->path), "/tmp/bufftrack-bench-%d", getpid());
	unlink(daemon->path);
	daemon->pid = fork();
	if (daemon->pid < 0)
		die("fork");
	if (!daemon->pid)
		become_daemon(daemon, logs);
}

void daemon_stop(struct daemon *daemon)
{
	kill(daemon->pid, SIGKILL);
	waitpid(daemon->pid, NULL, 0);
	unlink(daemon->path);
}

/* Waits for one that is just starting. */
int daemon_connect(const struct daemon *daemon)
{
	const struct timespec moment = { .tv_nsec = 10000000 };
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	unsigned int i;

	snprintf(address.sun_path, sizeof(address.sun_path), "%s", daemon->path);
	for (i = 0; i < 3000; i++) {
		if (!connect(fd, (struct sockaddr *)&address, sizeof(address)))
			return fd;
		nanosleep(&moment, NULL);
	}
	die(daemon->path);
}

static void tell(int fd, struct message *message, bool answered)
{
	if (send(fd, message, sizeof(*message), MSG_NOSIGNAL) != sizeof(*message))
		die("send");
	if (answered && recv(fd, message, sizeof(*message), MSG_WAITALL) != sizeof(*message))
		die("recv");
}

static void tell_all(const struct daemon *daemon, int fd, struct message *message, uint64_t first,
		     unsigned int nr)
{
	unsigned int i;

	for (i = 0; i < nr; i++) {
		message->buffer = 0x20000000 + (first + i) * 8192;
		tell(fd, message, daemon->answers);
	}
}

/* @nr pairs, of buffers from number @first on. Returns how many it then knows. */
uint64_t daemon_pairs(const struct daemon *daemon, int fd, uint64_t device, uint64_t first,
		      unsigned int nr)
{
	struct message message = { .pid = getpid(), .device = device, .space = 1, .size = 8192 };

	message.type = MESSAGE_ALLOC;
	tell_all(daemon, fd, &message, first, nr);
	message.type = MESSAGE_FREE;
	tell_all(daemon, fd, &message, first, nr);
	/* Answered when all before it was handled. */
	message.type = MESSAGE_QUERY;
	tell(fd, &message, true);
	return message.known;
}

bool measure_socket(const struct row *row, struct sample *sample)
{
	struct daemon daemon;
	unsigned int i;
	int fd;

	daemon_start(&daemon, row->flags & ROW_LOGGED, row->flags & ROW_ANSWERED);
	fd = daemon_connect(&daemon);
	for (i = 0; i <= ROUNDS; i++) {
		if (i == 1)
			begin(sample);
		if (daemon_pairs(&daemon, fd, DEVICE, 0, KEYS))
			return cannot(sample, "the daemon has lost count");
	}
	end(sample, KEYS * ROUNDS * 2);
	close(fd);
	daemon_stop(&daemon);
	return true;
}
