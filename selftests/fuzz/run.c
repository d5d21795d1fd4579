// SPDX-License-Identifier: GPL-2.0
/*
 * Runs a program: its clients, and who runs its commands. Then all clients are
 * closed, and nothing may be live.
 *
 * A section is the next 1 + p[0] % 8 commands, which a second thread or a child
 * runs at the same time.
 */
#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "fuzz.h"

#define FUZZ_UID 31001
#define SHRINKER "/sys/kernel/debug/shrinker/bufftrack-*/scan"
#define DEVICES_FROM 0xf0220000000ULL

struct parameter {
	const char *name;
	char value[32]; /* as it was */
	bool changed;
};

static struct parameter parameters[] = {
	{ .name = "history" },	  { .name = "max_buffers" }, { .name = "max_devices" },
	{ .name = "max_stacks" }, { .name = "log_limit" },   { .name = "on_error" },
};

/* The fuzzer's own client; STAT and LIST through it, when all others are gone. */
static int watcher;
static int shrinker = -1;
static uint64_t serial;
static struct run run;
static struct task main_task = { .run = &run, .cover = COVER_MAIN };
static struct task child_task = { .run = &run, .cover = COVER_CHILD };
static struct edges *all_edges; /* of each enum cover_task */

/* The second thread waits at the barrier for a section, and there again when done. */
static struct {
	pthread_barrier_t barrier;
	struct task task;
	unsigned int from, to, rounds;
	bool turned; /* it begins in the middle */
} second = { .task = { .run = &run, .cover = COVER_THREAD } };

static void run_section(struct task *task, unsigned int from, unsigned int to);

void run_failed(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	fprintf(stderr, "fuzz: FAILED: ");
	vfprintf(stderr, format, args);
	fprintf(stderr, "; the program was:\n");
	va_end(args);
	program_write(run.program, stderr);
	fflush(stderr);
	_exit(1);
}

static bool write_file(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);
	bool ok = fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text);

	if (fd >= 0)
		close(fd);
	return ok;
}

/* ---- clients -------------------------------------------------------------- */

static void set_fd(struct task *task, unsigned int slot, int fd)
{
	int old = atomic_exchange(&task->run->fds[slot], fd);

	if (old >= 0)
		close(old);
}

static void do_open(struct task *task, const struct command *c)
{
	int fd = open(FUZZ_NODE, O_RDWR | O_CLOEXEC);

	if (fd >= 0)
		set_fd(task, c->fd, fd);
}

static void do_dup(struct task *task, const struct command *c)
{
	int fd = fcntl(atomic_load(&task->run->fds[c->fd]), F_DUPFD_CLOEXEC, 0);

	if (fd >= 0)
		set_fd(task, c->p[0] % PROGRAM_FDS, fd);
}

/* Through a socket, as one process gives it to another; or it gets lost in it. */
static void do_pass(struct task *task, const struct command *c)
{
	char control[CMSG_SPACE(sizeof(int))] = {}, byte = 0;
	struct iovec iov = { .iov_base = &byte, .iov_len = 1 };
	struct msghdr message = {
		.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = control,
		.msg_controllen = sizeof(control),
	};
	struct cmsghdr *cmsg = CMSG_FIRSTHDR(&message);
	int fd = atomic_load(&task->run->fds[c->fd]), pair[2];

	if (fd < 0 || socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair))
		return;
	cmsg->cmsg_level = SOL_SOCKET;
	cmsg->cmsg_type = SCM_RIGHTS;
	cmsg->cmsg_len = CMSG_LEN(sizeof(fd));
	memcpy(CMSG_DATA(cmsg), &fd, sizeof(fd));
	if (sendmsg(pair[0], &message, MSG_NOSIGNAL) == 1) {
		set_fd(task, c->fd, -1);
		if (!(c->p[1] & 1) && recvmsg(pair[1], &message, MSG_CMSG_CLOEXEC) == 1)
			cmsg = CMSG_FIRSTHDR(&message);
		else
			cmsg = NULL;
		if (cmsg) {
			memcpy(&fd, CMSG_DATA(cmsg), sizeof(fd));
			set_fd(task, c->p[0] % PROGRAM_FDS, fd);
		}
	}
	close(pair[0]);
	close(pair[1]);
}

/* ---- who -------------------------------------------------------------------- */

/* Of this thread only: glibc's would change all of them. */
static void become(uid_t uid)
{
	syscall(SYS_setresuid, -1, uid, -1);
}

static void do_user(const struct command *c)
{
	become(c->p[0] % 3 ? FUZZ_UID + c->p[0] % 3 - 1 : 0);
}

/* ---- what root does: parameters, memory pressure -------------------------- */

static void do_parameter(const struct command *c)
{
	static const char *const values[] = { "0", "1", "2", "4", "16", "64", "1000", "1000000" };
	static const char *const on_error[] = { "report", "sigtrap" };
	struct parameter *parameter = &parameters[c->p[0] % ARRAY_SIZE(parameters)];
	char path[128];

	snprintf(path, sizeof(path), FUZZ_PARAMETERS "%s", parameter->name);
	parameter->changed = true;
	if (!strcmp(parameter->name, "on_error"))
		write_file(path, on_error[c->p[1] & 1]);
	else
		write_file(path, values[c->p[1] & 7]);
}

static void restore_parameters(void)
{
	char path[128];
	size_t i;

	for (i = 0; i < ARRAY_SIZE(parameters); i++) {
		if (!parameters[i].changed)
			continue;
		snprintf(path, sizeof(path), FUZZ_PARAMETERS "%s", parameters[i].name);
		if (!write_file(path, parameters[i].value))
			die("cannot write %s", path);
		parameters[i].changed = false;
	}
}

/* What debugfs wants: a memory cgroup, a node, how many objects to give up. */
static void shrink(unsigned long nr)
{
	char text[64];
	int len = snprintf(text, sizeof(text), "0 0 %lu", nr);

	if (shrinker >= 0 && write(shrinker, text, len) != len)
		die("the shrinker cannot be asked: %s", strerror(errno));
}

/* ---- sections ---------------------------------------------------------------- */

static unsigned int section_end(unsigned int at)
{
	unsigned int end = at + 2 + run.program->commands[at].p[0] % 8;

	return end < run.program->nr ? end : run.program->nr;
}

static void *second_main(void *arg)
{
	unsigned int middle, i;

	cover_attach(COVER_THREAD);
	for (;;) {
		pthread_barrier_wait(&second.barrier);
		middle = second.turned ? (second.from + second.to) / 2 : second.from;
		for (i = 0; i < second.rounds; i++) {
			run_section(&second.task, middle, second.to);
			run_section(&second.task, second.from, middle);
		}
		become(0);
		pthread_barrier_wait(&second.barrier);
	}
	return arg;
}

static void do_threads(struct task *task, unsigned int at)
{
	const struct command *c = &run.program->commands[at];
	unsigned int i;

	second.from = at + 1;
	second.to = section_end(at);
	second.turned = c->p[1] & 1;
	second.rounds = 1 + c->p[2] % 8;
	task->racing = true;
	pthread_barrier_wait(&second.barrier);
	for (i = 0; i < second.rounds; i++)
		run_section(task, second.from, second.to);
	pthread_barrier_wait(&second.barrier);
	task->racing = false;
}

static void __attribute__((noreturn)) child(unsigned int at, unsigned int rounds)
{
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	cover_attach(COVER_CHILD);
	while (rounds--)
		run_section(&child_task, at + 1, section_end(at));
	_exit(0);
}

/*
 * By clone(2) itself, for the namespace's sake: the child makes no use of what
 * glibc would have to know. Returns how many commands were the section's.
 */
static unsigned int do_fork(struct task *task, unsigned int at)
{
	const struct command *c = &run.program->commands[at];
	bool parent_too = c->p[1] & 1, fatal = c->p[1] & 2;
	long flags = SIGCHLD | (c->p[1] & 4 ? CLONE_NEWPID : 0);
	unsigned int end = section_end(at);
	pid_t pid;
	int status;

	child_task.racing = parent_too;
	pid = syscall(SYS_clone, flags, NULL, NULL, NULL, NULL);
	if (!pid)
		child(at, fatal ? 1000 : 1 + c->p[2] % 4);
	if (pid < 0)
		return 0;
	task->racing = true;
	if (parent_too)
		run_section(task, at + 1, end);
	if (fatal) {
		usleep(c->p[2] * 100);
		kill(pid, SIGKILL);
	}
	task->racing = false;
	if (waitpid(pid, &status, 0) != pid)
		run_failed("waitpid: %s", strerror(errno));
	if (WIFEXITED(status) && WEXITSTATUS(status))
		_exit(1); /* it has said why */
	if (WIFSIGNALED(status) && (!fatal || WTERMSIG(status) != SIGKILL))
		run_failed("the child died of signal %d", WTERMSIG(status));
	return end - at - 1;
}

/* ---- commands ------------------------------------------------------------------ */

/* Those that any task can run. */
static void run_command(struct task *task, unsigned int at)
{
	const struct command *c = &run.program->commands[at];

	switch (c->kind) {
	case KIND_open:
		do_open(task, c);
		break;
	case KIND_close:
		set_fd(task, c->fd, -1);
		break;
	case KIND_dup:
		do_dup(task, c);
		break;
	case KIND_pass:
		do_pass(task, c);
		break;
	case KIND_user:
		do_user(c);
		break;
	default:
		command_ioctl(task, at);
		break;
	}
}

static unsigned int run_one(struct task *task, unsigned int at)
{
	const struct command *c = &run.program->commands[at];

	cover_begin(task->cover);
	run_command(task, at);
	cover_end(task->cover, c->kind, task->edges);
	return c->kind == KIND_batch ? command_entries(c) : 0;
}

static void run_section(struct task *task, unsigned int from, unsigned int to)
{
	unsigned int at;

	for (at = from; at < to; at++)
		at += run_one(task, at);
}

static void run_commands(struct task *task)
{
	unsigned int at;

	for (at = 0; at < run.program->nr; at++) {
		switch (run.program->commands[at].kind) {
		case KIND_threads:
			do_threads(task, at);
			at = section_end(at) - 1;
			break;
		case KIND_fork:
			at += do_fork(task, at);
			break;
		case KIND_parameter:
			do_parameter(&run.program->commands[at]);
			break;
		case KIND_shrink:
			cover_begin(task->cover);
			shrink(run.program->commands[at].p[0]);
			cover_end(task->cover, KIND_shrink, task->edges);
			break;
		default:
			at += run_one(task, at);
			break;
		}
	}
}

/* ---- afterwards ------------------------------------------------------------------ */

/* The name of a counter that is below zero, else NULL. Bytes may be any number. */
const char *run_counters(const struct bufftrack_stat *stat)
{
	int i;

	if ((int64_t)stat->live < 0)
		return "live";
	if ((int64_t)stat->allocs < 0)
		return "allocs";
	if ((int64_t)stat->frees < 0)
		return "frees";
	if ((int64_t)stat->history < 0)
		return "history";
	if ((int64_t)stat->evicted < 0)
		return "evicted";
	if ((int64_t)stat->clients < 0)
		return "clients";
	for (i = 0; i < 16; i++) {
		if ((int64_t)stat->verdicts[i] < 0)
			return "verdicts";
	}
	return NULL;
}

static int ask(struct bufftrack_stat *stat)
{
	return ioctl(watcher, BUFFTRACK_IOC_STAT, stat) ? -errno : 0;
}

static void nothing_live(const struct bufftrack_stat *stat, const char *what, uint64_t which)
{
	const char *wrong = run_counters(stat);

	if (wrong)
		run_failed("%s %llu: %s is below zero", what, (unsigned long long)which, wrong);
	if (stat->live || stat->bytes)
		run_failed("%s %llu: %llu live, %llu bytes, when all is closed", what,
			   (unsigned long long)which, (unsigned long long)stat->live,
			   (unsigned long long)stat->bytes);
}

static void check_device(uint64_t device)
{
	struct bufftrack_stat stat = { .scope = BUFFTRACK_STAT_DEVICE, .device = device };

	/* Without freed-buffer records it has gone. */
	if (ask(&stat))
		return;
	nothing_live(&stat, "device", device - run.devices);
	if (stat.clients)
		run_failed("device %llu: %llu clients, when all are closed",
			   (unsigned long long)(device - run.devices),
			   (unsigned long long)stat.clients);
	stat = (struct bufftrack_stat){ .scope = BUFFTRACK_STAT_SPACE,
					.flags = BUFFTRACK_STAT_NEXT,
					.device = device };
	while (!ask(&stat))
		nothing_live(&stat, "space", stat.space);
}

static void check_all(void)
{
	struct bufftrack_stat stat = { .scope = BUFFTRACK_STAT_ALL };
	static struct bufftrack_life life;
	struct bufftrack_list list = { .entries = (uintptr_t)&life,
				       .nr = 1,
				       .entry_size = sizeof(life) };
	int i;

	if (ask(&stat))
		run_failed("STAT: %s", strerror(errno));
	nothing_live(&stat, "STAT", 0);
	if (stat.clients != 1)
		run_failed("%llu clients are open", (unsigned long long)stat.clients);
	for (i = 0; i <= RUN_DEVICES; i++)
		check_device(run.devices + i);
	if (ioctl(watcher, BUFFTRACK_IOC_LIST, &list))
		run_failed("LIST: %s", strerror(errno));
	if (list.nr)
		run_failed("LIST shows an allocation, when all is closed");
}

/* ---- a program ------------------------------------------------------------------- */

static void on_trap(int sig)
{
	(void)sig;
}

static void read_parameters(void)
{
	char path[128];
	size_t i;
	FILE *f;

	for (i = 0; i < ARRAY_SIZE(parameters); i++) {
		snprintf(path, sizeof(path), FUZZ_PARAMETERS "%s", parameters[i].name);
		f = fopen(path, "re");
		if (!f || !fgets(parameters[i].value, sizeof(parameters[i].value), f))
			die("cannot read %s: is the module loaded?", path);
		fclose(f);
	}
}

void run_init(void)
{
	struct bufftrack_stat stat = { .scope = BUFFTRACK_STAT_ALL };
	struct sigaction trap = { .sa_handler = on_trap };
	pthread_t thread;
	glob_t found;

	watcher = open(FUZZ_NODE, O_RDWR | O_CLOEXEC);
	if (watcher < 0)
		die(FUZZ_NODE ": %s (as root, with the module loaded)", strerror(errno));
	if (ask(&stat) || stat.clients != 1 || stat.live)
		die("others use " FUZZ_NODE ": nothing could be said of what is left");
	read_parameters();
	if (!glob(SHRINKER, 0, NULL, &found)) {
		shrinker = open(found.gl_pathv[0], O_WRONLY | O_CLOEXEC);
		globfree(&found);
	}
	sigaction(SIGTRAP, &trap, NULL);

	arena_init(&main_task.arena);
	arena_init(&child_task.arena);
	arena_init(&second.task.arena);
	second.task.racing = true;
	/* A child's, too, are read here. */
	all_edges = mmap(NULL, COVER_TASKS * sizeof(*all_edges), PROT_READ | PROT_WRITE,
			 MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (all_edges == MAP_FAILED)
		die("mmap: %s", strerror(errno));
	main_task.edges = &all_edges[COVER_MAIN];
	second.task.edges = &all_edges[COVER_THREAD];
	child_task.edges = &all_edges[COVER_CHILD];
	cover_attach(COVER_MAIN);
	if (pthread_barrier_init(&second.barrier, NULL, 2) ||
	    pthread_create(&thread, NULL, second_main, NULL))
		die("no second thread");
}

/* Runs it; @edges is what it passed in the module. */
void run_program(const struct program *program, struct edges *edges)
{
	int i;

	memset(&run, 0, sizeof(run));
	for (i = 0; i < COVER_TASKS; i++)
		memset(&all_edges[i], 0, sizeof(all_edges[i]));
	run.program = program;
	/* Where freed-buffer records stay, their devices stay, too, and are met again. */
	if (shrinker < 0)
		serial %= 64;
	run.devices = DEVICES_FROM + serial++ * (RUN_DEVICES + 1);
	for (i = 0; i < PROGRAM_FDS; i++)
		atomic_store(&run.fds[i], -1);

	run_commands(&main_task);
	become(0);
	cover_begin(COVER_MAIN);
	for (i = 0; i < PROGRAM_FDS; i++)
		set_fd(&main_task, i, -1);
	cover_end(COVER_MAIN, KIND_close, main_task.edges);
	restore_parameters();
	check_all();
	/* Freed-buffer records are left: the next program must find none. */
	shrink(1UL << 20);

	*edges = all_edges[0];
	for (i = 1; i < COVER_TASKS; i++)
		edges_add(edges, &all_edges[i]);
}
