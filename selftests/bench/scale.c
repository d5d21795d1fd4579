// SPDX-License-Identifier: GPL-2.0
/*
 * One worker and two, on a machine of two CPUs: how much more do two get done? By
 * the wall clock, whose figures say nothing by themselves where the machine is
 * emulated: printed are ratios to one worker. Each way is tried in turn, several
 * times, and its best time counts, since others use the host too.
 */
#include <fcntl.h>
#include <json-c/json.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "bench.h"
#include "client.h"
#include "socket.h"

#define WORKERS 2
#define KEYS 64
#define WINDOW_NS 300000000

enum peer {
	SPIN, /* no kernel at all: what this host has to give */
	REFUSED, /* an ioctl that /dev/null does not know */
	SINGLE,
	BATCHES,
	SOCKET,
};

static const struct way {
	const char *name;
	enum peer peer;
	unsigned int workers;
	bool processes;
	bool devices; /* one each */
} ways[] = {
	{ "spin_one", SPIN, 1 },
	{ "spin_threads", SPIN, 2, false, false },
	{ "ioctl_one", REFUSED, 1 },
	{ "ioctl_threads", REFUSED, 2, false, false },
	{ "ioctl_processes", REFUSED, 2, true, false },
	{ "single_one", SINGLE, 1 },
	{ "single_threads_one_device", SINGLE, 2, false, false },
	{ "single_threads_two_devices", SINGLE, 2, false, true },
	{ "single_processes_one_device", SINGLE, 2, true, false },
	{ "single_processes_two_devices", SINGLE, 2, true, true },
	{ "batch64_one", BATCHES, 1 },
	{ "batch64_threads_one_device", BATCHES, 2, false, false },
	{ "batch64_threads_two_devices", BATCHES, 2, false, true },
	{ "batch64_processes_one_device", BATCHES, 2, true, false },
	{ "batch64_processes_two_devices", BATCHES, 2, true, true },
	{ "socket_one", SOCKET, 1 },
	{ "socket_threads_one_device", SOCKET, 2, false, false },
	{ "socket_threads_two_devices", SOCKET, 2, false, true },
	{ "socket_processes_one_device", SOCKET, 2, true, false },
	{ "socket_processes_two_devices", SOCKET, 2, true, true },
};

#define NR_WAYS (sizeof(ways) / sizeof(ways[0]))

struct worker {
	const struct way *way;
	const struct daemon *daemon;
	unsigned int number;
	int fd;
	pthread_t thread;
	pid_t pid;
};

struct progress {
	uint64_t done;
} __attribute__((aligned(128)));

struct shared {
	unsigned int ready;
	unsigned int stop;
	struct progress of[WORKERS];
};

/* Between the processes, too */
static struct shared *shared;

static uint64_t device_of(const struct worker *worker)
{
	return worker->way->devices ? 4 + worker->number : 4;
}

static void single(const struct worker *worker, struct bufftrack_op *ops)
{
	unsigned int i;

	for (i = 0; i < KEYS; i++) {
		to_alloc(&ops[i]);
		call(worker->fd, BUFFTRACK_IOC_ALLOC, &ops[i], BUFFTRACK_OK);
	}
	for (i = 0; i < KEYS; i++) {
		to_free(&ops[i]);
		call(worker->fd, BUFFTRACK_IOC_FREE, &ops[i], BUFFTRACK_OK);
	}
}

static void work(const struct worker *worker)
{
	uint64_t *done = &shared->of[worker->number].done;
	uint64_t device = device_of(worker), first = worker->number * KEYS;
	struct bufftrack_op ops[KEYS];
	unsigned int i;

	for (i = 0; i < KEYS; i++)
		ops[i] = key(device, first + i);
	__atomic_fetch_add(&shared->ready, 1, __ATOMIC_SEQ_CST);
	while (!__atomic_load_n(&shared->stop, __ATOMIC_RELAXED)) {
		switch (worker->way->peer) {
		case SPIN:
			for (i = 0; i < KEYS * 1000; i++)
				__asm__ volatile("");
			break;
		case REFUSED:
			for (i = 0; i < KEYS * 2; i++)
				ioctl(worker->fd, BUFFTRACK_IOC_ALLOC, ops);
			break;
		case SINGLE:
			single(worker, ops);
			break;
		case BATCHES:
			fill(worker->fd, device, first, KEYS);
			drain(worker->fd, device, first, KEYS);
			break;
		case SOCKET:
			daemon_pairs(worker->daemon, worker->fd, device, first, KEYS);
			break;
		}
		__atomic_store_n(done, *done + KEYS, __ATOMIC_RELAXED);
	}
}

static void *work_in_thread(void *arg)
{
	work(arg);
	return NULL;
}

static int connect_to(const struct worker *worker)
{
	switch (worker->way->peer) {
	case SPIN:
	case REFUSED:
		return open("/dev/null", O_RDWR | O_CLOEXEC);
	case SOCKET:
		return daemon_connect(worker->daemon);
	default:
		return open_client();
	}
}

/* Threads of one process share its client; a connection cannot be shared. */
static void start(struct worker *worker, const struct worker *first)
{
	if (worker != first && !worker->way->processes && worker->way->peer != SOCKET)
		worker->fd = first->fd;
	else
		worker->fd = connect_to(worker);
	if (!worker->way->processes) {
		if (pthread_create(&worker->thread, NULL, work_in_thread, worker))
			die("pthread_create");
		return;
	}
	worker->pid = fork();
	if (worker->pid < 0)
		die("fork");
	if (!worker->pid) {
		work(worker);
		_exit(0);
	}
}

static void finish(struct worker *worker, const struct worker *first)
{
	int status;

	if (!worker->way->processes)
		pthread_join(worker->thread, NULL);
	else if (waitpid(worker->pid, &status, 0) != worker->pid || status)
		die("a worker");
	if (worker == first || worker->fd != first->fd)
		close(worker->fd);
}

static uint64_t done_by_all(void)
{
	unsigned int i;
	uint64_t done = 0;

	for (i = 0; i < WORKERS; i++)
		done += __atomic_load_n(&shared->of[i].done, __ATOMIC_RELAXED);
	return done;
}

/* Pairs a second */
static double try(const struct way *way, const struct daemon *daemon)
{
	const struct timespec window = { .tv_nsec = WINDOW_NS }, moment = { .tv_nsec = 20000000 };
	struct worker workers[WORKERS];
	uint64_t from, to, before, after;
	unsigned int i;

	memset(shared, 0, sizeof(*shared));
	for (i = 0; i < way->workers; i++) {
		workers[i] = (struct worker){ .way = way, .daemon = daemon, .number = i };
		start(&workers[i], &workers[0]);
	}
	while (__atomic_load_n(&shared->ready, __ATOMIC_SEQ_CST) < way->workers)
		nanosleep(&moment, NULL);
	nanosleep(&moment, NULL);
	from = now();
	before = done_by_all();
	nanosleep(&window, NULL);
	after = done_by_all();
	to = now();
	__atomic_store_n(&shared->stop, 1, __ATOMIC_RELAXED);
	/* The last first: the others may use the first one's file. */
	for (i = way->workers; i--;)
		finish(&workers[i], &workers[0]);
	return (double)(after - before) * 1e9 / (to - from);
}

static void print(const struct way *way, double best, double one)
{
	struct json_object *object = json_object_new_object();
	char number[32];

	snprintf(number, sizeof(number), "%.2f", best / one);
	json_object_object_add(object, "name", json_object_new_string(way->name));
	json_object_object_add(object, "vs_one", json_object_new_double_s(best / one, number));
	puts(json_object_to_json_string_ext(object, JSON_C_TO_STRING_PLAIN));
	json_object_put(object);
}

int main(int argc, char **argv)
{
	unsigned int rounds = argc == 2 ? strtoul(argv[1], NULL, 0) : 0;
	double best[NR_WAYS] = { 0 }, one = 0, pairs;
	struct daemon daemon;
	unsigned int i;

	if (!rounds) {
		fprintf(stderr, "Usage: bench-scale ROUNDS\n"
				"Prints throughput, as a ratio to one worker's, as JSON.\n");
		return 2;
	}
	if (sysconf(_SC_NPROCESSORS_ONLN) < WORKERS) {
		fprintf(stderr, "bench-scale: needs %d CPUs\n", WORKERS);
		return 1;
	}
	shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1,
		      0);
	if (shared == MAP_FAILED)
		die("mmap");
	daemon_start(&daemon, false, false);
	while (rounds--) {
		for (i = 0; i < NR_WAYS; i++) {
			pairs = try(&ways[i], &daemon);
			if (pairs > best[i])
				best[i] = pairs;
		}
	}
	for (i = 0; i < NR_WAYS; i++) {
		if (ways[i].workers == 1)
			one = best[i];
		print(&ways[i], best[i], one);
	}
	daemon_stop(&daemon);
	return 0;
}
