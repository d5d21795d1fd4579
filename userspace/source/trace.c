// SPDX-License-Identifier: GPL-2.0
/*
 * The events, out of a trace instance of our own, in the order of time.
 *
 * Each CPU has a ring of its own, and what a CPU has recorded is in order. The
 * oldest record at the head of any ring is the next one, once no ring that was
 * found empty can still bring forth an older one: that is, once each of them was
 * found empty after that record was made.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <kbuffer.h>
#include <linux/netlink.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <tracefs.h>
#include <unistd.h>

#include "abi/device.h"
#include "event/event.h"
#include "source/trace.h"
#include "util/util.h"

#define INSTANCE_PREFIX "bufftrack-"
#define MISC_SYSFS "/sys/class/misc/" MODULE_NAME

/* What a CPU may take from the time stamp of a record to its being readable. */
#define COMMIT_NS 1000000ULL
/* How soon to look again where a record is held back for that reason. */
#define HELD_BACK_MS 2
/* How often to look whether the module is still there, uevents or not. */
#define REFRESH_NS NSEC_PER_SEC
/* How often enabling the events may fail, in a row, with the module there. */
#define MAX_FAILURES 10

#define NOT_ENABLED                                    \
	"cannot enable the events of the module: %s\n" \
	"  (see dmesg, and whether /sys/kernel/security/lockdown lets nobody trace)"

struct cpu {
	unsigned int nr;
	int fd;
	void *page;
	struct kbuffer *buffer;
	struct tep_record record; /* the oldest one; .data is NULL for none */
	uint64_t empty_at; /* when its ring was last found empty */
	uint64_t lost; /* as its ring counts them, when looked at last */
	uint64_t passed_over; /* see pass_over() */
};

struct trace {
	struct tracefs_instance *instance;
	struct tep_handle *tep;
	struct cpu *cpus;
	struct pollfd *polled; /* one a CPU, the uevents, the output */
	size_t nr_cpus;
	size_t page_size;
	int uevents;
	bool all;
	bool forks;
	bool live;
	bool held_back;
	bool refresh_now;
	bool missed; /* events were lost since they were counted */
	struct cpu *current;
	unsigned int failures;
	uint64_t refreshed_at;
	uint64_t lost;
};

/* Says why there is no tracing directory to use. Returns false then. */
static bool tracing_usable(void)
{
	const char *dir = tracefs_tracing_dir();
	char *path;
	bool writable;

	if (!dir) {
		if (geteuid())
			complain("tracing needs root: run it with sudo");
		else
			complain("tracefs is not mounted: run\n"
				 "  mount -t tracefs nodev /sys/kernel/tracing");
		return false;
	}
	if (asprintf(&path, "%s/instances", dir) < 0) {
		complain("out of memory");
		return false;
	}
	writable = access(path, W_OK) == 0;
	if (writable) {
		free(path);
		return true;
	}
	if (errno == EACCES || (errno == EPERM && geteuid()))
		complain("no permission for %s: run it with sudo", path);
	else if (errno == ENOENT)
		complain("there is no %s: this kernel cannot trace", path);
	else
		complain("cannot use %s: %s", path, strerror(errno));
	free(path);
	return false;
}

static void remove_instance(const char *name)
{
	struct tracefs_instance *instance = tracefs_instance_alloc(NULL, name);

	if (!instance)
		return;
	/* One that is being read is busy, and stays. */
	tracefs_instance_destroy(instance);
	tracefs_instance_free(instance);
}

/* Removes an instance that a watcher which was killed has left behind. */
static int remove_if_stale(const char *name, void *unused)
{
	pid_t pid;

	(void)unused;
	if (sscanf(name, INSTANCE_PREFIX "%d", &pid) != 1 || pid <= 0)
		return 0;
	if (pid == getpid() || (kill(pid, 0) && errno == ESRCH))
		remove_instance(name);
	return 0;
}

static bool instance_write(struct trace *trace, const char *file, const char *value)
{
	if (tracefs_instance_file_write(trace->instance, file, value) >= 0)
		return true;
	complain("cannot set %s to %s in the trace instance: %s", file, value, strerror(errno));
	return false;
}

/* One that is there already is of who has our pid in another pid namespace. */
static bool make_instance(struct trace *trace)
{
	char name[64];
	int n;

	snprintf(name, sizeof(name), INSTANCE_PREFIX "%d", getpid());
	for (n = 1; (trace->instance = tracefs_instance_create(name)); n++) {
		if (tracefs_instance_is_new(trace->instance))
			return true;
		tracefs_instance_free(trace->instance);
		snprintf(name, sizeof(name), INSTANCE_PREFIX "%d-%d", getpid(), n);
	}
	complain("cannot create the trace instance %s: %s\n"
		 "  (each takes memory for each CPU: see --buffer-size, and what is in\n"
		 "  %s/instances)",
		 name, strerror(errno), tracefs_tracing_dir());
	return false;
}

static bool create_instance(struct trace *trace, uint64_t buffer_kb)
{
	char size[32];

	if (!make_instance(trace))
		return false;
	snprintf(size, sizeof(size), "%" PRIu64, buffer_kb);
	if (!instance_write(trace, "trace_clock", "mono") ||
	    !instance_write(trace, "buffer_size_kb", size))
		return false;
	/* Wake us at the first event, not when the ring is half full. */
	if (!instance_write(trace, "buffer_percent", "0"))
		return false;
	/* The events carry the names of tasks; no need to record each switch. */
	tracefs_option_disable(trace->instance, TRACEFS_OPTION_RECORD_CMD);
	return true;
}

static bool open_cpu(struct trace *trace, unsigned int nr)
{
	struct cpu *cpu;
	char path[64];
	int fd;

	snprintf(path, sizeof(path), "per_cpu/cpu%u/trace_pipe_raw", nr);
	fd = tracefs_instance_file_open(trace->instance, path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	if (fd < 0) {
		complain("cannot read %s of the trace instance: %s", path, strerror(errno));
		return false;
	}
	trace->cpus = xrealloc(trace->cpus, trace->nr_cpus + 1, sizeof(*trace->cpus));
	cpu = &trace->cpus[trace->nr_cpus++];
	*cpu = (struct cpu){ .nr = nr, .fd = fd };
	cpu->page = xrealloc(NULL, 1, trace->page_size);
	return true;
}

static bool open_cpus(struct trace *trace)
{
	char *path = tracefs_instance_get_file(trace->instance, "per_cpu");
	DIR *dir = path ? opendir(path) : NULL;
	struct dirent *entry;
	bool done = dir;
	unsigned int nr;

	tracefs_put_tracing_file(path);
	while (done && (entry = readdir(dir)))
		if (sscanf(entry->d_name, "cpu%u", &nr) == 1)
			done = open_cpu(trace, nr);
	if (dir)
		closedir(dir);
	else
		complain("cannot read the trace instance: %s", strerror(errno));
	return done;
}

/* The kernel's notices of modules and devices that come and go. */
static int open_uevents(void)
{
	struct sockaddr_nl address = { .nl_family = AF_NETLINK, .nl_groups = 1 };
	int fd = socket(AF_NETLINK, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK,
			NETLINK_KOBJECT_UEVENT);

	if (fd >= 0 && bind(fd, (struct sockaddr *)&address, sizeof(address))) {
		close(fd);
		fd = -1;
	}
	return fd;
}

static void prepare_poll(struct trace *trace)
{
	size_t i;

	trace->polled = xrealloc(NULL, trace->nr_cpus + 2, sizeof(*trace->polled));
	for (i = 0; i < trace->nr_cpus; i++)
		trace->polled[i] = (struct pollfd){ trace->cpus[i].fd, POLLIN, 0 };
	trace->polled[i] = (struct pollfd){ trace->uevents, POLLIN, 0 };
}

static bool read_header_page(struct trace *trace)
{
	int size = 0;
	char *text = tracefs_instance_file_read(NULL, "events/header_page", &size);
	bool done;

	done = text && !tep_parse_header_page(trace->tep, text, (unsigned long)size, sizeof(long));
	free(text);
	return done;
}

static bool read_format(struct trace *trace, const char *system, const char *name)
{
	int size = 0;
	char *text = tracefs_event_file_read(NULL, system, name, "format", &size);
	bool done;

	done = text && !tep_parse_event(trace->tep, text, (unsigned long)size, system);
	free(text);
	return done;
}

/*
 * The formats of the events, which may differ after the module was replaced.
 * tracefs_local_events_system() would read all symbols of the kernel besides.
 */
static bool read_formats(struct trace *trace, char **names)
{
	enum kbuffer_long_size long_size;
	bool done;
	size_t i;

	if (trace->tep)
		tep_free(trace->tep);
	trace->tep = tep_alloc();
	done = trace->tep && read_header_page(trace);
	for (i = 0; done && names[i]; i++)
		done = read_format(trace, EVENT_SYSTEM, names[i]);
	if (done && trace->forks)
		done = read_format(trace, EVENT_FORK_SYSTEM, EVENT_FORK_NAME);
	if (!done)
		return false;

	long_size = tep_get_header_page_size(trace->tep) == 4 ? KBUFFER_LSIZE_4 : KBUFFER_LSIZE_8;
	for (i = 0; done && i < trace->nr_cpus; i++) {
		if (!trace->cpus[i].buffer)
			trace->cpus[i].buffer =
				kbuffer_alloc(long_size, KBUFFER_ENDIAN_SAME_AS_HOST);
		done = trace->cpus[i].buffer;
	}
	return done;
}

/* Begins to record the events of the module that is loaded now. */
static bool start(struct trace *trace)
{
	char **names = tracefs_system_events(NULL, EVENT_SYSTEM);
	bool done = names && read_formats(trace, names);
	size_t i;

	for (i = 0; done && names[i]; i++)
		if (trace->all || !event_is_ordinary(names[i]))
			done = !tracefs_event_enable(trace->instance, EVENT_SYSTEM, names[i]);
	if (done && trace->forks)
		done = !tracefs_event_enable(trace->instance, EVENT_FORK_SYSTEM, EVENT_FORK_NAME);
	tracefs_list_free(names);
	trace->live = done;
	return done;
}

/**
 * trace_create - record the events of the module, in a trace instance
 * @all: every event, not those of bad verdicts and leaks only
 * @forks: the scheduler's forks, too
 * @buffer_kb: the size of the ring, a CPU
 *
 * Enabled events do not keep the module from being unloaded. Returns NULL where
 * it cannot, having said why.
 */
struct trace *trace_create(bool all, bool forks, uint64_t buffer_kb)
{
	struct trace *trace;

	/* The libraries would complain of what they cannot print. */
	tracefs_set_loglevel(TEP_LOG_NONE);
	tep_set_loglevel(TEP_LOG_NONE);
	if (!tracing_usable())
		return NULL;
	if (!module_loaded()) {
		complain("the module is not loaded: run 'sudo bufftrack load'");
		return NULL;
	}
	tracefs_instances_walk(remove_if_stale, NULL);

	trace = xrealloc(NULL, 1, sizeof(*trace));
	*trace = (struct trace){
		.all = all,
		.forks = forks,
		.uevents = open_uevents(),
		.page_size = (size_t)sysconf(_SC_PAGESIZE),
		.refreshed_at = monotonic_ns(),
	};
	if (create_instance(trace, buffer_kb) && open_cpus(trace)) {
		if (start(trace)) {
			prepare_poll(trace);
			return trace;
		}
		complain(NOT_ENABLED, strerror(errno));
	}
	trace_destroy(trace);
	return NULL;
}

/**
 * trace_stop - record nothing more
 * @trace: the trace
 *
 * What is in the rings then comes to an end, whatever others do, and so can be
 * taken whole: only of a ring that was found empty is it known what it passed over.
 */
void trace_stop(struct trace *trace)
{
	tracefs_trace_off(trace->instance);
}

void trace_destroy(struct trace *trace)
{
	size_t i;

	for (i = 0; i < trace->nr_cpus; i++) {
		close(trace->cpus[i].fd);
		kbuffer_free(trace->cpus[i].buffer);
		free(trace->cpus[i].page);
	}
	if (trace->uevents >= 0)
		close(trace->uevents);
	if (trace->instance) {
		if (tracefs_instance_destroy(trace->instance))
			complain("cannot remove the trace instance %s: %s",
				 tracefs_instance_get_name(trace->instance), strerror(errno));
		tracefs_instance_free(trace->instance);
	}
	if (trace->tep)
		tep_free(trace->tep);
	free(trace->polled);
	free(trace->cpus);
	free(trace);
}

/* Takes the notices that have come, and keeps in mind whether one was of us. */
static void read_uevents(struct trace *trace)
{
	char message[4096];
	ssize_t len;

	for (;;) {
		len = recv(trace->uevents, message, sizeof(message) - 1, 0);
		if (len < 0)
			break;
		/* It begins with ACTION@/PATH. */
		message[len] = '\0';
		if (strstr(message, "/" MODULE_NAME))
			trace->refresh_now = true;
	}
	/* Some were dropped. */
	if (errno == ENOBUFS)
		trace->refresh_now = true;
}

/**
 * trace_wait - wait for events, or for the module to come or go
 * @trace: the trace
 * @timeout_ms: how long at most
 * @signals: the mask while waiting
 * @output: a file that is written to, whose reader may go away
 *
 * Returns false where that reader has gone away.
 */
bool trace_wait(struct trace *trace, int timeout_ms, const sigset_t *signals, int output)
{
	struct pollfd *uevents = &trace->polled[trace->nr_cpus];
	struct timespec timeout;
	size_t i;

	trace->polled[trace->nr_cpus + 1] = (struct pollfd){ output, 0, 0 };
	if (trace->held_back && timeout_ms > HELD_BACK_MS)
		timeout_ms = HELD_BACK_MS;
	timeout.tv_sec = timeout_ms / 1000;
	timeout.tv_nsec = (long)(timeout_ms % 1000) * 1000000;
	if (ppoll(trace->polled, trace->nr_cpus + 2, &timeout, signals) <= 0)
		return true;

	/* A CPU that was never there cannot be waited for. */
	for (i = 0; i < trace->nr_cpus; i++)
		if (trace->polled[i].revents & (POLLERR | POLLNVAL))
			trace->polled[i].fd = -1;
	if (uevents->revents)
		read_uevents(trace);
	return !(trace->polled[trace->nr_cpus + 1].revents & (POLLERR | POLLHUP));
}

/* Takes the next record of the page that is there. */
static bool take_record(struct cpu *cpu, void *data, unsigned long long time)
{
	cpu->record = (struct tep_record){
		.ts = time,
		.cpu = (int)cpu->nr,
		.data = data,
		.size = data ? kbuffer_event_size(cpu->buffer) : 0,
	};
	return data;
}

/* Reads pages until one has a record, or the ring is empty. */
static void fill(struct trace *trace, struct cpu *cpu)
{
	unsigned long long time = 0;
	void *data;

	do {
		cpu->empty_at = monotonic_ns();
		if (read(cpu->fd, cpu->page, trace->page_size) <= 0)
			return;
		if (kbuffer_load_subbuffer(cpu->buffer, cpu->page))
			return;
		if (kbuffer_missed_events(cpu->buffer))
			trace->missed = true;
		data = kbuffer_read_event(cpu->buffer, &time);
	} while (!take_record(cpu, data, time));
}

/* The CPU with the oldest record, if none of the others can have an older one. */
static struct cpu *oldest(struct trace *trace, bool flush)
{
	struct cpu *found = NULL, *cpu;
	uint64_t horizon = UINT64_MAX;

	for (cpu = trace->cpus; cpu < trace->cpus + trace->nr_cpus; cpu++) {
		if (!cpu->record.data) {
			if (cpu->empty_at < horizon)
				horizon = cpu->empty_at;
		} else if (!found || cpu->record.ts < found->record.ts) {
			found = cpu;
		}
	}
	trace->held_back = found;
	if (!found || flush || found->record.ts + COMMIT_NS <= horizon)
		return found;
	return NULL;
}

/**
 * trace_next - the next event
 * @trace: the trace
 * @flush: hold nothing back for the sake of order: nothing more will come
 * @event: what it says
 *
 * Returns false where there is none yet.
 */
bool trace_next(struct trace *trace, bool flush, struct event *event)
{
	unsigned long long time = 0;
	struct tep_event *format;
	struct cpu *cpu;
	void *data;
	size_t i;

	do {
		if (trace->current) {
			cpu = trace->current;
			trace->current = NULL;
			data = kbuffer_next_event(cpu->buffer, &time);
			if (!take_record(cpu, data, time))
				fill(trace, cpu);
		}
		cpu = flush ? NULL : oldest(trace, false);
		if (!cpu) {
			for (i = 0; i < trace->nr_cpus; i++)
				if (!trace->cpus[i].record.data)
					fill(trace, &trace->cpus[i]);
			cpu = oldest(trace, flush);
		}
		if (!cpu) {
			/* The last ones to be lost have no page after them that says so. */
			if (flush)
				trace->missed = true;
			return false;
		}
		trace->current = cpu;
		format = tep_find_event_by_record(trace->tep, &cpu->record);
	} while (!format);

	event_decode(event, format, &cpu->record);
	return true;
}

/* Whether the module's events are there, and being recorded by us. */
static bool events_enabled(struct trace *trace)
{
	char *state =
		tracefs_instance_file_read(trace->instance, "events/" EVENT_SYSTEM "/enable", NULL);
	bool enabled = state && state[0] != '0';

	free(state);
	return enabled;
}

/**
 * trace_refresh - follow the module as it is unloaded and loaded again
 * @trace: the trace
 *
 * To be called after each wait. After TRACE_GONE the caller takes, with flush,
 * the events that were read; the kernel has dropped those that were not.
 */
enum trace_change trace_refresh(struct trace *trace)
{
	uint64_t now = monotonic_ns();

	if (!trace->refresh_now && now - trace->refreshed_at < REFRESH_NS)
		return TRACE_SAME;
	trace->refresh_now = false;
	trace->refreshed_at = now;
	trace->missed = true;

	if (trace->live) {
		if (events_enabled(trace))
			return TRACE_SAME;
		trace->live = false;
		trace->refresh_now = true;
		return TRACE_GONE;
	}
	/* The device comes into being after all the events have. */
	if (access(MISC_SYSFS, F_OK))
		return TRACE_SAME;
	if (start(trace)) {
		trace->failures = 0;
		return TRACE_BACK;
	}
	/* It may have been unloaded again meanwhile. */
	if (++trace->failures < MAX_FAILURES)
		return TRACE_SAME;
	complain(NOT_ENABLED, strerror(errno));
	return TRACE_FAILED;
}

/* A counter of a CPU's stats; @name as it stands there */
static uint64_t counter(const char *stats, const char *name)
{
	const char *at = strstr(stats, name);

	return at ? strtoull(at + strlen(name), NULL, 10) : 0;
}

/*
 * Events that the ring passed over without a word: as its reader comes to the end of
 * the page that is being written, the kernel looks at the page's size first, and then
 * whether the writer has left it (__rb_get_reader_page() in kernel/trace/ring_buffer.c,
 * 6.1 to 7.2); what was written in between is dropped with the page. Such events count as
 * @entries for good. An event that can be read counts as one for a moment before it can.
 */
static void pass_over(struct trace *trace, struct cpu *cpu, uint64_t entries)
{
	const struct timespec commit = { .tv_nsec = COMMIT_NS };

	/* The ring was reset. */
	if (entries < cpu->passed_over)
		cpu->passed_over = 0;
	if (entries == cpu->passed_over || cpu->record.data)
		return;
	fill(trace, cpu);
	if (cpu->record.data)
		return;
	nanosleep(&commit, NULL);
	fill(trace, cpu);
	if (cpu->record.data)
		return;
	trace->lost += entries - cpu->passed_over;
	cpu->passed_over = entries;
}

static void count_lost(struct trace *trace, struct cpu *cpu)
{
	char path[64], *stats;
	uint64_t lost;

	snprintf(path, sizeof(path), "per_cpu/cpu%u/stats", cpu->nr);
	stats = tracefs_instance_file_read(trace->instance, path, NULL);
	if (!stats)
		return;
	lost = counter(stats, "\noverrun: ") + counter(stats, "\ncommit overrun: ") +
	       counter(stats, "\ndropped events: ");
	/* The counters begin anew when the module is unloaded. */
	trace->lost += lost < cpu->lost ? lost : lost - cpu->lost;
	cpu->lost = lost;
	pass_over(trace, cpu, counter(stats, "entries: "));
	free(stats);
}

/*
 * trace_lost - how many events were lost, until now: because they were not read in time,
 * but for the few that the kernel passes over
 */
uint64_t trace_lost(struct trace *trace)
{
	struct cpu *cpu;

	if (!trace->missed)
		return trace->lost;
	trace->missed = false;
	for (cpu = trace->cpus; cpu < trace->cpus + trace->nr_cpus; cpu++)
		count_lost(trace, cpu);
	return trace->lost;
}
