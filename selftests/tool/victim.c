// SPDX-License-Identifier: GPL-2.0
/*
 * A program with a double free in it, for the tests of what is told of one. It
 * says where it does what: WHAT FUNCTION LINE. Built with -g -O1.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <unistd.h>
#include <unwind.h>

#include <linux/bufftrack.h>

#define DEVICE 0x51
#define SPACE 1
#define BUFFER 0x296ccc80
#define SIZE 8192
#define DEPTH 32

#define noinline __attribute__((noinline))
#define HERE(what) printf("%s %s %d\n", what, __func__, __LINE__)
/* Says where the call stands: on this line. */
#define AT(what, call)      \
	do {                \
		HERE(what); \
		call;       \
	} while (0)

static const char usage[] = "Usage: victim COMMAND...\n"
			    "  double       allocates, frees, and frees again, each in a function\n"
			    "  leak         allocates, and leaves it at that\n"
			    "  unknown      frees what was never allocated\n"
			    "  child        does the rest in a child, and waits for it\n"
			    "  cat          copies its input to its output\n"
			    "  exit STATUS\n"
			    "  kill SIGNAL  kills itself\n"
			    "  sleep        says \"ready\", waits for SIGUSR1, and exits with 9\n";

static int fd = -1;
static volatile sig_atomic_t signalled;

struct backtrace {
	__u64 frames[DEPTH];
	unsigned int nr;
	unsigned int skip;
};

static _Unwind_Reason_Code add_frame(struct _Unwind_Context *context, void *arg)
{
	struct backtrace *trace = arg;

	if (trace->skip) {
		trace->skip--;
		return _URC_NO_REASON;
	}
	if (trace->nr == DEPTH || !_Unwind_GetIP(context))
		return _URC_END_OF_STACK;
	trace->frames[trace->nr++] = _Unwind_GetIP(context);
	return _URC_NO_REASON;
}

static void die(void)
{
	fprintf(stderr, "victim: %s\n", strerror(errno));
	exit(1);
}

/* As a runtime's library does. */
static void open_device(void)
{
	struct bufftrack_client client = {
		.mask = BUFFTRACK_CLIENT_TRAP,
		.flags = BUFFTRACK_CLIENT_TRAP,
	};

	fd = open("/dev/bufftrack", O_RDWR | O_CLOEXEC);
	if (fd < 0)
		die();
	if (getenv("BUFFTRACK_TRAP") && ioctl(fd, BUFFTRACK_IOC_CLIENT, &client))
		die();
}

static noinline void report(unsigned long cmd, __u64 buffer)
{
	struct backtrace trace = { .skip = 1 };
	struct bufftrack_op op = {
		.device = DEVICE,
		.space = SPACE,
		.buffer = buffer,
		.size = cmd == BUFFTRACK_IOC_ALLOC ? SIZE : 0,
	};

	_Unwind_Backtrace(add_frame, &trace);
	op.stack = (uintptr_t)trace.frames;
	op.stack_depth = trace.nr;
	if (fd < 0)
		open_device();
	if (ioctl(fd, cmd, &op))
		die();
}

static noinline void make_buffer(void)
{
	AT("alloc", report(BUFFTRACK_IOC_ALLOC, BUFFER));
	HERE("alloc-after");
}

/* Inlined, and told of as if it were not. */
static inline __attribute__((always_inline)) void drop_reference(void)
{
	AT("free", report(BUFFTRACK_IOC_FREE, BUFFER));
	HERE("free-after");
}

static noinline void close_buffer(void)
{
	AT("free-caller", drop_reference());
	HERE("free-caller-after");
}

static noinline void finalize_old_reference(void)
{
	AT("offence", report(BUFFTRACK_IOC_FREE, BUFFER));
	HERE("offence-after");
}

static noinline void collect_garbage(void)
{
	AT("offence-caller", finalize_old_reference());
	HERE("offence-caller-after");
}

static void on_signal(int signal)
{
	(void)signal;
	signalled = 1;
}

static void sleep_until_signalled(void)
{
	struct sigaction action = { .sa_handler = on_signal };

	sigaction(SIGUSR1, &action, NULL);
	puts("ready");
	fflush(stdout);
	while (!signalled)
		usleep(10000);
	exit(9);
}

static void in_child(void)
{
	int status;
	pid_t pid;

	fflush(stdout);
	pid = fork();
	if (pid < 0)
		exit(1);
	if (!pid)
		return;
	waitpid(pid, &status, 0);
	exit(WIFEXITED(status) ? WEXITSTATUS(status) : 1);
}

static void copy_input(void)
{
	int c;

	while ((c = getchar()) != EOF)
		putchar(c);
}

int main(int argc, char **argv)
{
	int i;

	if (argc < 2) {
		fputs(usage, stderr);
		return 2;
	}
	for (i = 1; i < argc; i++) {
		if (!strcmp(argv[i], "double")) {
			make_buffer();
			close_buffer();
			collect_garbage();
		} else if (!strcmp(argv[i], "leak")) {
			make_buffer();
		} else if (!strcmp(argv[i], "unknown")) {
			report(BUFFTRACK_IOC_FREE, BUFFER + 1);
		} else if (!strcmp(argv[i], "child")) {
			in_child();
		} else if (!strcmp(argv[i], "cat")) {
			copy_input();
		} else if (!strcmp(argv[i], "sleep")) {
			sleep_until_signalled();
		} else if (!strcmp(argv[i], "exit") && i + 1 < argc) {
			return atoi(argv[i + 1]);
		} else if (!strcmp(argv[i], "kill") && i + 1 < argc) {
			raise(atoi(argv[i + 1]));
		} else {
			fputs(usage, stderr);
			return 2;
		}
	}
	return 0;
}
