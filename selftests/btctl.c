// SPDX-License-Identifier: GPL-2.0
/* Calls for the shell tests, done by one client in the order given. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <sys/mman.h>
#include <unistd.h>

#include <linux/bufftrack.h>

#define BATCH 1024

static const char usage[] =
	"Usage: btctl COMMAND...\n"
	"  alloc DEVICE SPACE BUFFER SIZE [exclusive|view|tag=TAG]\n"
	"  free DEVICE SPACE BUFFER [token=TOKEN]\n"
	"  fill DEVICE SIZE   new buffers until the kernel says no; then ends\n"
	"  bury DEVICE COUNT  buffers that are allocated and freed\n"
	"  burst DEVICE COUNT a buffer that is freed so many times too often\n"
	"  churn DEVICE COUNT  clients, each with a double free\n"
	"  visit DEVICE COUNT  clients, each with a free of what is not there\n"
	"  users DEVICE COUNT  so many users, each with one of these\n"
	"  history DEVICE     its freed-buffer records, and how many were evicted\n"
	"  name NAME          names the client\n"
	"  label DEVICE NAME  names the device\n"
	"  private            makes the client PRIVATE\n"
	"  reset DEVICE       ends every allocation on it\n"
	"  wait               says \"ready\", and waits for the end of its input\n";

static const char *const verdicts[] = {
	"ok",
	"double_free",
	"stale_free",
	"foreign_free",
	"free_after_exit",
	"free_after_reset",
	"unknown_free",
	"missed_free",
	"size_mismatch",
	"dangling",
};

static int fd;
static char **args;

static void die(const char *what)
{
	fprintf(stderr, "btctl: %s: %s\n", what, strerror(errno));
	exit(1);
}

static const char *word(void)
{
	if (!*args) {
		fputs(usage, stderr);
		exit(2);
	}
	return *args++;
}

static uint64_t number(void)
{
	return strtoull(word(), NULL, 0);
}

/* The next word, where it is that one. */
static int word_is(const char *wanted)
{
	if (!*args || strcmp(*args, wanted))
		return 0;
	args++;
	return 1;
}

static void op(unsigned long cmd)
{
	struct bufftrack_op op = { 0 };

	op.device = number();
	op.space = number();
	op.buffer = number();
	if (cmd == BUFFTRACK_IOC_ALLOC) {
		op.size = number();
		if (word_is("exclusive"))
			op.flags = BUFFTRACK_F_EXCLUSIVE;
		else if (word_is("view"))
			op.flags = BUFFTRACK_F_VIEW;
		else if (*args && !strncmp(*args, "tag=", 4))
			op.tag = strtoull(*args++ + 4, NULL, 0);
	} else if (*args && !strncmp(*args, "token=", 6)) {
		op.token = strtoull(*args++ + 6, NULL, 0);
	}
	if (ioctl(fd, cmd, &op))
		die("op");
	printf("%s refs=%u generation=%" PRIu64 "%s%s\n",
	       op.verdict < BUFFTRACK_LEAK ? verdicts[op.verdict] : "?", op.refs,
	       (uint64_t)op.generation, op.info & BUFFTRACK_INFO_PROBABLE ? " probable" : "",
	       op.info & BUFFTRACK_INFO_HISTORY_LOST ? " history_lost" : "");
}

/*
 * Returns how many there are, and in @error the one at which that ended; with
 * @entry where it was an entry's, not the call's.
 */
static uint64_t fill_up(uint64_t device, uint64_t size, int *error, int *entry)
{
	static struct bufftrack_op ops[BATCH];
	uint64_t done = 0;
	unsigned int i;

	for (;;) {
		struct bufftrack_batch batch = {
			.entries = (uintptr_t)ops,
			.nr = BATCH,
			.entry_size = sizeof(ops[0]),
		};

		for (i = 0; i < BATCH; i++)
			ops[i] = (struct bufftrack_op){
				.op = BUFFTRACK_OP_ALLOC,
				.device = device,
				.buffer = done + i,
				.size = size,
			};
		if (ioctl(fd, BUFFTRACK_IOC_BATCH, &batch)) {
			*error = errno;
			*entry = 0;
			return done;
		}
		for (i = 0; i < BATCH && !ops[i].error; i++)
			done++;
		if (i < BATCH) {
			*error = -ops[i].error;
			*entry = 1;
			return done;
		}
	}
}

/*
 * In a memory cgroup that is full a page of the program's own could not be had
 * either: all are there before, and nothing is said before the client is gone.
 */
static void fill(uint64_t device, uint64_t size)
{
	int error, entry;
	uint64_t count;

	if (mlockall(MCL_CURRENT | MCL_FUTURE))
		die("mlockall");
	count = fill_up(device, size, &error, &entry);
	close(fd);
	sleep(1);
	printf("%" PRIu64 " %s %d\n", count, entry ? "entry" : "batch", error);
	exit(0);
}

static void bury(uint64_t device, uint64_t count)
{
	static struct bufftrack_op ops[BATCH];
	struct bufftrack_batch batch;
	unsigned int i;

	while (count) {
		for (i = 0; i < BATCH && count; i += 2, count--) {
			ops[i] = (struct bufftrack_op){
				.op = BUFFTRACK_OP_ALLOC,
				.device = device,
				.buffer = count,
				.size = 1,
			};
			ops[i + 1] = ops[i];
			ops[i + 1].op = BUFFTRACK_OP_FREE;
		}
		batch = (struct bufftrack_batch){
			.entries = (uintptr_t)ops,
			.nr = i,
			.entry_size = sizeof(ops[0]),
		};
		if (ioctl(fd, BUFFTRACK_IOC_BATCH, &batch) || batch.bad)
			die("bury");
	}
}

/* As fast as it goes: in batches, with stacks of a single frame. */
static void burst(uint64_t device, uint64_t count)
{
	static struct bufftrack_op ops[BATCH];
	__u64 first = (uintptr_t)bury + 1, again = (uintptr_t)burst + 1;
	struct bufftrack_batch batch = {
		.entries = (uintptr_t)ops,
		.entry_size = sizeof(ops[0]),
	};
	struct bufftrack_op op = {
		.device = device,
		.buffer = 0x1000,
		.size = 4096,
		.stack = (uintptr_t)&first,
		.stack_depth = 1,
	};
	uint64_t done;
	__u32 i;

	if (ioctl(fd, BUFFTRACK_IOC_ALLOC, &op) || ioctl(fd, BUFFTRACK_IOC_FREE, &op))
		die("burst");
	for (done = 0; done < count; done += batch.done) {
		batch.nr = count - done < BATCH ? count - done : BATCH;
		for (i = 0; i < batch.nr; i++)
			ops[i] = (struct bufftrack_op){
				.op = BUFFTRACK_OP_FREE,
				.device = device,
				.buffer = 0x1000,
				.stack = (uintptr_t)&again,
				.stack_depth = 1,
			};
		if (ioctl(fd, BUFFTRACK_IOC_BATCH, &batch) || batch.bad != batch.nr)
			die("burst");
	}
}

static void churn(uint64_t device, uint64_t count)
{
	struct bufftrack_op op = { .device = device, .buffer = count, .size = 1 };

	while (count--) {
		close(fd);
		fd = open("/dev/bufftrack", O_RDWR | O_CLOEXEC);
		if (fd < 0 || ioctl(fd, BUFFTRACK_IOC_ALLOC, &op))
			die("churn");
		op.flags = 0;
		op.size = 0;
		if (ioctl(fd, BUFFTRACK_IOC_FREE, &op) || ioctl(fd, BUFFTRACK_IOC_FREE, &op))
			die("churn");
		if (op.verdict != BUFFTRACK_DOUBLE_FREE) {
			fprintf(stderr, "btctl: churn: no double free\n");
			exit(1);
		}
		op.size = 1;
	}
}

static void visit(uint64_t device, uint64_t count)
{
	struct bufftrack_op op = { .device = device, .buffer = 1 };

	while (count--) {
		close(fd);
		fd = open("/dev/bufftrack", O_RDWR | O_CLOEXEC);
		if (fd < 0 || ioctl(fd, BUFFTRACK_IOC_FREE, &op))
			die("visit");
		if (op.verdict != BUFFTRACK_UNKNOWN_FREE) {
			fprintf(stderr, "btctl: visit: no unknown free\n");
			exit(1);
		}
	}
}

/* Whose ids begin at 32000 */
static void users(uint64_t device, uint64_t count)
{
	int status = 0;
	uint64_t i;

	for (i = 0; i < count && !status; i++) {
		if (fork() == 0) {
			if (setuid((uid_t)(32000 + i)))
				die("users");
			visit(device, 1);
			_exit(0);
		}
		if (wait(&status) < 0)
			die("users");
	}
	if (status)
		exit(1);
}

static void history(uint64_t device)
{
	struct bufftrack_stat stat = {
		.scope = BUFFTRACK_STAT_DEVICE,
		.device = device,
	};

	if (ioctl(fd, BUFFTRACK_IOC_STAT, &stat))
		die("STAT");
	printf("%" PRIu64 " %" PRIu64 "\n", (uint64_t)stat.history, (uint64_t)stat.evicted);
}

static void name(const char *text)
{
	struct bufftrack_client client = { .mask = BUFFTRACK_CLIENT_NAME };

	strncpy(client.name, text, sizeof(client.name) - 1);
	if (ioctl(fd, BUFFTRACK_IOC_CLIENT, &client))
		die("CLIENT");
}

static void make_private(void)
{
	struct bufftrack_client client = {
		.mask = BUFFTRACK_CLIENT_PRIVATE,
		.flags = BUFFTRACK_CLIENT_PRIVATE,
	};

	if (ioctl(fd, BUFFTRACK_IOC_CLIENT, &client))
		die("CLIENT");
}

static void label(uint64_t device, const char *text)
{
	struct bufftrack_label label = { .device = device };

	strncpy(label.label, text, sizeof(label.label) - 1);
	if (ioctl(fd, BUFFTRACK_IOC_LABEL, &label))
		die("LABEL");
}

static void reset(uint64_t device)
{
	struct bufftrack_reset reset = { .device = device };

	if (ioctl(fd, BUFFTRACK_IOC_RESET, &reset))
		die("RESET");
}

/* Of the words that take a device and a number */
static int do_many(const char *command)
{
	static const struct {
		const char *name;
		void (*run)(uint64_t device, uint64_t count);
	} words[] = {
		{ "fill", fill },   { "bury", bury },	{ "burst", burst },
		{ "churn", churn }, { "visit", visit }, { "users", users },
	};
	uint64_t device;
	size_t i;

	for (i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
		if (strcmp(command, words[i].name))
			continue;
		device = number();
		words[i].run(device, number());
		return 1;
	}
	return 0;
}

int main(int argc, char **argv)
{
	const char *command;

	if (argc < 2) {
		fputs(usage, stderr);
		return 2;
	}
	args = argv + 1;
	fd = open("/dev/bufftrack", O_RDWR | O_CLOEXEC);
	if (fd < 0)
		die("/dev/bufftrack");
	setvbuf(stdout, NULL, _IOLBF, 0);
	while (*args) {
		command = word();
		if (do_many(command))
			continue;
		if (!strcmp(command, "alloc")) {
			op(BUFFTRACK_IOC_ALLOC);
		} else if (!strcmp(command, "free")) {
			op(BUFFTRACK_IOC_FREE);
		} else if (!strcmp(command, "history")) {
			history(number());
		} else if (!strcmp(command, "name")) {
			name(word());
		} else if (!strcmp(command, "label")) {
			uint64_t device = number();

			label(device, word());
		} else if (!strcmp(command, "private")) {
			make_private();
		} else if (!strcmp(command, "reset")) {
			reset(number());
		} else if (!strcmp(command, "wait")) {
			puts("ready");
			while (getchar() != EOF)
				;
		} else {
			fputs(usage, stderr);
			return 2;
		}
	}
	return 0;
}
