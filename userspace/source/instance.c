// SPDX-License-Identifier: GPL-2.0
/* The trace instance of our own: made, set, opened, and removed in the end. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "abi/device.h"
#include "event/decode.h"
#include "source/trace_private.h"
#include "util/util.h"

#define INSTANCE_PREFIX "bufftrack-"

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

static void prepare_poll(struct trace *trace)
{
	size_t i;

	trace->polled = xrealloc(NULL, trace->nr_cpus + 2, sizeof(*trace->polled));
	for (i = 0; i < trace->nr_cpus; i++)
		trace->polled[i] = (struct pollfd){ trace->cpus[i].fd, POLLIN, 0 };
	trace->polled[i] = (struct pollfd){ trace->uevents, POLLIN, 0 };
}

/* Not root: what the device tells a user of their own clients. */
static struct trace *create_own(bool all, bool forks)
{
	struct trace *trace;
	struct own *own;

	/* Who asks for forks, too, looks at a command: he does without what is root's. */
	if (all && !forks) {
		complain("allocs, frees and what others do need root: run it with sudo\n"
			 "  (without root: the bad frees and leaks of your own programs)");
		return NULL;
	}
	own = own_open();
	if (!own)
		return NULL;
	trace = xrealloc(NULL, 1, sizeof(*trace));
	*trace = (struct trace){ .own = own, .uevents = -1 };
	return trace;
}

/* Whether there are this user's own bad verdicts alone. */
bool trace_is_own(const struct trace *trace)
{
	return trace->own;
}

/* Who is not root, and has not been let into tracefs. */
static bool is_user(void)
{
	const char *dir = geteuid() ? tracefs_tracing_dir() : NULL;
	char path[256];

	if (!geteuid())
		return false;
	snprintf(path, sizeof(path), "%s/instances", dir ? dir : "/sys/kernel/tracing");
	return access(path, W_OK) != 0;
}

/**
 * trace_create - record the events of the module, in a trace instance
 * @all: every event, not those of bad verdicts and leaks only
 * @forks: the scheduler's forks, too
 * @buffer_kb: the size of the ring, a CPU
 *
 * Enabled events do not keep the module from being unloaded. For who is not root it is the
 * user's own bad verdicts (trace_is_own()). Returns NULL where it cannot, having said why.
 */
struct trace *trace_create(bool all, bool forks, uint64_t buffer_kb)
{
	struct trace *trace;

	/* The libraries would complain of what they cannot print. */
	tracefs_set_loglevel(TEP_LOG_NONE);
	tep_set_loglevel(TEP_LOG_NONE);
	if (is_user())
		return create_own(all, forks);
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
		.uevents = trace_open_uevents(),
		.page_size = (size_t)sysconf(_SC_PAGESIZE),
		.refreshed_at = monotonic_ns(),
	};
	if (create_instance(trace, buffer_kb) && open_cpus(trace)) {
		if (trace_start(trace)) {
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
	if (!trace->own)
		tracefs_trace_off(trace->instance);
}

void trace_destroy(struct trace *trace)
{
	size_t i;

	own_close(trace->own);
	for (i = 0; i < trace->nr_cpus; i++) {
		close(trace->cpus[i].fd);
		kbuffer_free(trace->cpus[i].buffer);
		trace_free_pulled(trace, &trace->cpus[i]);
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
	if (trace->formats)
		event_formats_free(trace->formats);
	if (trace->tep)
		tep_free(trace->tep);
	free(trace->polled);
	free(trace->cpus);
	free(trace);
}
