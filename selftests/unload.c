// SPDX-License-Identifier: GPL-2.0
/*
 * Unloading, while the tracepoints are read, traced by perf and by bpftrace, and
 * while others open the node: nothing of the module may be left behind.
 *
 * BUFFTRACK_CYCLES says how often. The module is loaded when it begins and ends.
 */
#include <dirent.h>
#include <pthread.h>
#include <sys/syscall.h>
#include <sys/utsname.h>

#include "bt.h"

#define CYCLES	100
#define LONG	3600	/* seconds: a thousand cycles, on a busy machine */
#define TRACING	"/sys/kernel/tracing/"
#define SHRINKERS "/sys/kernel/debug/shrinker"
#define DEVICE	1
#define SIZE	64

static unsigned long cycles(void)
{
	const char *value = getenv("BUFFTRACK_CYCLES");

	return value ? strtoul(value, NULL, 0) : CYCLES;
}

static int unload(void)
{
	return syscall(SYS_delete_module, "bufftrack", O_NONBLOCK) ? -errno : 0;
}

static int load(int module)
{
	return syscall(SYS_finit_module, module, "", 0) ? -errno : 0;
}

/* The module's file, as selftests/host/guest loads it */
static int open_module(char *path, size_t size)
{
	const char *dir = getenv("BUFFTRACK_MODULE_DIR");
	struct utsname uts;

	if (uname(&uts))
		return -errno;
	snprintf(path, size, "%s/%s/bufftrack.ko", dir ?: "", uts.release);
	return open(path, O_RDONLY | O_CLOEXEC);
}

/* ---- what there is of a module -------------------------------------------- */

static bool there(const char *path)
{
	return !access(path, F_OK);
}

/* Whether a line of the file has a word that begins so */
static bool has_word(const char *path, const char *start)
{
	static char line[4096];
	FILE *file = fopen(path, "re");
	bool found = false;
	char *at;

	while (file && !found && fgets(line, sizeof(line), file)) {
		at = strstr(line, start);
		found = at && (at == line || strchr(" \t[", at[-1]));
	}
	if (file)
		fclose(file);
	return found;
}

static bool has_entry(const char *path, const char *start)
{
	DIR *dir = opendir(path);
	struct dirent *entry;
	bool found = false;

	while (dir && !found && (entry = readdir(dir)))
		found = !strncmp(entry->d_name, start, strlen(start));
	if (dir)
		closedir(dir);
	return found;
}

enum { NODE, NUMBER, MODULE, EVENTS, SLAB, SHRINKER, WORKQUEUE, PARTS };

static const char * const parts[PARTS] = {
	[NODE] = "the node", [NUMBER] = "the device number", [MODULE] = "the module",
	[EVENTS] = "the tracepoints", [SLAB] = "the slab cache",
	[SHRINKER] = "the shrinker", [WORKQUEUE] = "the workqueue",
};

static bool part(int nr)
{
	switch (nr) {
	case NODE:
		return there(BT_NODE);
	case NUMBER:
		return has_word("/proc/devices", "bufftrack");
	case MODULE:
		return there("/sys/module/bufftrack") ||
		       has_word("/proc/modules", "bufftrack");
	case EVENTS:
		return there(TRACING "events/bufftrack");
	case SLAB:
		return has_word("/proc/slabinfo", "bt_record");
	case SHRINKER:
		return has_entry(SHRINKERS, "bufftrack-");
	default:
		/* Where there is lockdep, and it was used. */
		return has_word("/proc/lockdep", "(wq_completion)bufftrack");
	}
}

static const char *left(void)
{
	static struct bt_words words;
	int i;

	words = (struct bt_words) { .used = 0 };
	for (i = 0; i < PARTS; i++)
		if (part(i))
			bt_say(&words, "[%s is left]", parts[i]);
	return words.text;
}

/* ---- the fixture ---------------------------------------------------------- */

FIXTURE(unload) {
	int module;
	char path[512];
	char instance[64];
};

FIXTURE_SETUP(unload)
{
	self->module = open_module(self->path, sizeof(self->path));
	if (self->module < 0)
		SKIP(return, "no %s: BUFFTRACK_MODULE_DIR is not set", self->path);
	snprintf(self->instance, sizeof(self->instance),
		 TRACING "instances/bt-%d", getpid());
	ASSERT_EQ(0, mkdir(self->instance, 0700));
}

FIXTURE_TEARDOWN(unload)
{
	rmdir(self->instance);
	close(self->module);
}

/* An ALLOC, a FREE, a double one, and a leak */
static int use_file(int fd, __u64 device)
{
	struct bufftrack_op op;
	int rc;

	rc = bt_call(fd, BUFFTRACK_IOC_ALLOC, SIZE, device, 1, &op) ?:
	     bt_call(fd, BUFFTRACK_IOC_FREE, 0, device, 1, &op) ?:
	     bt_call(fd, BUFFTRACK_IOC_FREE, 0, device, 1, &op);
	if (rc != -BUFFTRACK_DOUBLE_FREE)
		return rc ?: -EPROTO;
	return bt_call(fd, BUFFTRACK_IOC_ALLOC, SIZE, device, 2, &op);
}

/* One client, and a PRIVATE one, whose end is a work of the module's workqueue */
static int use_it(void)
{
	int fd = bt_open(), other = bt_open_as(BUFFTRACK_CLIENT_PRIVATE);
	int rc = fd < 0 ? -errno : other < 0 ? other : 0;

	rc = rc ?: use_file(fd, DEVICE) ?: use_file(other, DEVICE);
	close(fd);
	close(other);
	return rc;
}

/* ---- with a reader of the tracepoints ------------------------------------- */

static int listen_to(FIXTURE_DATA(unload) *self)
{
	char path[128];

	snprintf(path, sizeof(path), "%s/events/bufftrack/enable", self->instance);
	return bt_write(path, "1");
}

/* Reads, and waits for more, until it is killed: *seen counts the leaks. */
static void read_events(FIXTURE_DATA(unload) *self, __u64 *seen)
{
	char path[128], *line = NULL;
	size_t size = 0;
	FILE *file;

	snprintf(path, sizeof(path), "%s/trace_pipe", self->instance);
	file = fopen(path, "re");
	while (file && getline(&line, &size, file) > 0)
		if (strstr(line, " bufftrack_leak: "))
			__atomic_add_fetch(seen, 1, __ATOMIC_RELAXED);
	_exit(1);
}

static bool wait_for(const __u64 *seen, __u64 wanted)
{
	unsigned int i;

	for (i = 0; i < 30000; i++) {
		if (__atomic_load_n(seen, __ATOMIC_RELAXED) >= wanted)
			return true;
		usleep(1000);
	}
	return false;
}

/*
 * In every other cycle the module goes while the reader has yet to read: what
 * the ring buffer has of it then is tracefs' to drop.
 */
TEST_F_TIMEOUT(unload, with_a_reader, LONG)
{
	unsigned long nr = cycles(), i;
	__u64 *seen = mmap(NULL, sizeof(*seen), PROT_READ | PROT_WRITE,
			   MAP_SHARED | MAP_ANONYMOUS, -1, 0), had, started = bt_now();
	pid_t reader;
	int n;

	ASSERT_NE(MAP_FAILED, (void *)seen);
	ASSERT_EQ(0, use_it());
	for (n = 0; n < PARTS; n++) {
		if (part(n))
			continue;
		TH_LOG("%s is not to be seen on this kernel", parts[n]);
		ASSERT_LE(SLAB, n);
	}
	/* Loaded, as it was before: its cycles begin with the end. */
	reader = bt_fork();
	if (!reader)
		read_events(self, seen);
	ASSERT_EQ(0, unload());
	for (i = 0; i < nr; i++) {
		ASSERT_STREQ("", left())
			TH_LOG("cycle %lu", i);
		ASSERT_EQ(0, load(self->module));
		ASSERT_EQ(0, listen_to(self));
		had = __atomic_load_n(seen, __ATOMIC_RELAXED);
		ASSERT_EQ(0, use_it());
		if (i % 2) {
			ASSERT_TRUE(wait_for(seen, had + 2))
				TH_LOG("cycle %lu: the reader has seen nothing", i);
		}
		ASSERT_EQ(0, unload())
			TH_LOG("cycle %lu", i);
	}
	EXPECT_STREQ("", left());
	EXPECT_FALSE(has_word("/proc/kallsyms", "[bufftrack]"));
	/* This calls every shrinker that is left. */
	EXPECT_EQ(0, bt_write("/proc/sys/vm/drop_caches", "2"));
	ASSERT_EQ(0, kill(reader, SIGKILL));
	EXPECT_EQ(128 + SIGKILL, bt_reap(reader));
	ASSERT_EQ(0, load(self->module));
	EXPECT_TRUE(has_word("/proc/kallsyms", "[bufftrack]"));
	TH_LOG("%lu cycles of %llu us; the reader has seen %llu", nr,
	       (unsigned long long)(bt_now() - started) / 1000 / nr,
	       (unsigned long long)*seen);
	EXPECT_LE(nr / 2 * 2, *seen);
}

/* ---- with a tracer, which pins the module -------------------------------- */

static unsigned int users(void)
{
	char text[32];

	return bt_read("/sys/module/bufftrack/refcnt", text, sizeof(text)) ?
	       0 : strtoul(text, NULL, 10);
}

static bool has_program(const char *name)
{
	char command[128];

	snprintf(command, sizeof(command), "command -v %s >/dev/null", name);
	return !system(command);
}

static bool has_text(const char *path, const char *text)
{
	static char all[65536];

	return !bt_read(path, all, sizeof(all)) && strstr(all, text);
}

/*
 * Ends a tracer. bpftrace 0.17 looks for a Ctrl-C in epoll_wait() only, and goes on after
 * one that came while it was elsewhere: while it waits there, its events open, it gets one
 * more.
 */
static void interrupt(pid_t tracer)
{
	char path[64], where[64];
	siginfo_t info = {};
	unsigned int i;

	snprintf(path, sizeof(path), "/proc/%d/wchan", tracer);
	kill(tracer, SIGINT);
	for (i = 1; i <= 3000 && !info.si_pid; i++) {
		usleep(100000);
		waitid(P_PID, tracer, &info, WEXITED | WNOHANG | WNOWAIT);
		if (!info.si_pid && !(i % 50) && users() &&
		    !bt_read(path, where, sizeof(where)) && strstr(where, "poll"))
			kill(tracer, SIGINT);
	}
	if (!info.si_pid)
		kill(tracer, SIGKILL);
}

/*
 * From the tracer's beginning until its end the module cannot go; then it can, at
 * once. The tracer has written @text by then.
 */
static void trace_by(struct __test_metadata *_metadata, FIXTURE_DATA(unload) *self,
		     const char *command, const char *out, const char *text)
{
	unsigned int i;
	pid_t tracer;
	int status;

	tracer = bt_fork();
	if (!tracer) {
		execl("/bin/sh", "sh", "-c", command, NULL);
		_exit(127);
	}
	for (i = 0; i < 3000 && !users(); i++)
		usleep(100000);
	/* The last of its probes, too */
	sleep(2);
	ASSERT_LT(0, users());
	EXPECT_EQ(-EWOULDBLOCK, unload());
	EXPECT_EQ(0, use_it());
	EXPECT_EQ(-EWOULDBLOCK, unload());
	interrupt(tracer);
	status = bt_reap(tracer);
	EXPECT_TRUE(!status || status == 128 + SIGINT)
		TH_LOG("%s: %d", command, status);
	for (i = 0; i < 50 && users(); i++)
		usleep(100000);
	ASSERT_EQ(0, unload());
	EXPECT_STREQ("", left());
	EXPECT_TRUE(has_text(out, text))
		TH_LOG("no '%s' in %s", text, out);
	ASSERT_EQ(0, load(self->module));
}

TEST_F_TIMEOUT(unload, with_perf, LONG)
{
	unsigned int i;

	if (!has_program("perf"))
		SKIP(return, "no perf");
	for (i = 0; i < 2; i++)
		trace_by(_metadata, self,
			 "exec perf record -q -a -e 'bufftrack:*' -o /tmp/unload.data >/tmp/unload.out 2>&1",
			 "/tmp/unload.data", "PERFILE2");
	unlink("/tmp/unload.data");
	unlink("/tmp/unload.out");
}

TEST_F_TIMEOUT(unload, with_bpftrace, LONG)
{
	if (!has_program("bpftrace"))
		SKIP(return, "no bpftrace");
	trace_by(_metadata, self,
		 "exec bpftrace -e 'tracepoint:bufftrack:bufftrack_leak { @leaks = count(); }' >/tmp/unload.out 2>&1",
		 "/tmp/unload.out", "@leaks: 2");
	unlink("/tmp/unload.out");
}

/* ---- against those who open the node -------------------------------------- */

struct opener {
	pthread_t thread;
	unsigned int nr;
	bool *over;
	__u64 opened, errors;
};

/* Opens the node whenever it is there: then all of it must work. */
static void *open_often(void *data)
{
	struct opener *opener = data;
	struct bufftrack_list filter = { .flags = BUFFTRACK_LIST_DEAD };
	__u64 begun;
	int fd;

	while (!__atomic_load_n(opener->over, __ATOMIC_RELAXED)) {
		begun = bt_now();
		fd = bt_open();
		if (fd < 0) {
			/* It is not there, not any more, or not yet. */
			if (errno != ENOENT && errno != ENODEV && errno != ENXIO)
				opener->errors++;
		} else {
			opener->opened++;
			if (use_file(fd, opener->nr) || bt_count(fd, filter) <= 0 ||
			    !bt_features(fd))
				opener->errors++;
			close(fd);
		}
		/* However slow the kernel is, nobody has it open some of the time. */
		usleep(opener->nr * 100 + (bt_now() - begun) / 1000 * opener->nr);
	}
	return NULL;
}

TEST_F_TIMEOUT(unload, against_open, LONG)
{
	unsigned long nr = 5 + cycles() / 2, i;
	struct opener openers[4];
	__u64 opened = 0, refused = 0;
	bool over = false;
	int rc;

	for (i = 0; i < ARRAY_SIZE(openers); i++) {
		openers[i] = (struct opener) { .over = &over, .nr = i + 1 };
		ASSERT_EQ(0, pthread_create(&openers[i].thread, NULL, open_often,
					    &openers[i]));
	}
	for (i = 0; i < nr; i++) {
		while ((rc = unload())) {
			ASSERT_EQ(-EWOULDBLOCK, rc);
			refused++;
			usleep(200);
		}
		ASSERT_EQ(0, load(self->module));
		usleep(1000);
	}
	__atomic_store_n(&over, true, __ATOMIC_RELAXED);
	for (i = 0; i < ARRAY_SIZE(openers); i++) {
		pthread_join(openers[i].thread, NULL);
		EXPECT_EQ(0, openers[i].errors);
		opened += openers[i].opened;
	}
	TH_LOG("%lu cycles; %llu files were opened, %llu unloads refused", nr,
	       (unsigned long long)opened, (unsigned long long)refused);
	EXPECT_LT(0, opened);
	EXPECT_LT(0, refused);
}

TEST_HARNESS_MAIN
