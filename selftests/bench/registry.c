// SPDX-License-Identifier: GPL-2.0
/* The rows of /dev/bufftrack itself, and the ioctl that does nothing. */
#include <fcntl.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <tracefs.h>
#include <unistd.h>

#include "bench.h"
#include "client.h"

#define DEVICE 4
#define KEYS 1024
/* So many that a kernel thread's turn does not show */
#define ROUNDS 300
#define TURN 60
#define FULL 4000000
#define HOLDS 100000
#define EXITS 16
#define FREED_TWICE 16
/* Above all keys that are counted */
#define ELSEWHERE (1ULL << 32)

bool measure_null(const struct row *row, struct sample *sample)
{
	struct bufftrack_op op = key(DEVICE, 0);
	int fd = open("/dev/bufftrack_null", O_RDWR | O_CLOEXEC);
	unsigned int i;

	(void)row;
	if (fd < 0)
		die("/dev/bufftrack_null");
	for (i = 0; i < KEYS; i++)
		ioctl(fd, BUFFTRACK_IOC_ALLOC, &op);
	begin(sample);
	for (i = 0; i < KEYS * ROUNDS; i++)
		ioctl(fd, BUFFTRACK_IOC_ALLOC, &op);
	end(sample, KEYS * ROUNDS);
	close(fd);
	return true;
}

static void prepare(int fd, const struct row *row)
{
	struct bufftrack_info info = { .flags = 0 };
	static int others = -1;

	/* Of another client, who is there until the last row that wants it is done. */
	if (row->flags & ROW_FULL && others < 0) {
		others = open_client();
		fill(others, DEVICE, ELSEWHERE, FULL);
	}
	if (!(row->flags & ROW_EVICT))
		return;
	if (ioctl(fd, BUFFTRACK_IOC_INFO, &info))
		die("INFO");
	fill(fd, DEVICE, ELSEWHERE, info.history);
	drain(fd, DEVICE, ELSEWHERE, info.history);
}

/* New keys go on to another device where this one has no room for more tombstones. */
static __u64 device_of(const struct row *row, unsigned int round)
{
	return row->flags & ROW_EVICT ? DEVICE : DEVICE + round / TURN;
}

static void keys(struct bufftrack_op *ops, unsigned int nr, __u64 device, __u64 first)
{
	unsigned int i;

	for (i = 0; i < nr; i++)
		ops[i] = key(device, first + i);
}

/* One ALLOC, or one FREE, a call. The first round is the warm-up. */
bool measure_single(const struct row *row, struct sample *sample)
{
	struct sample allocs = { .ops = 0 }, frees = { .ops = 0 };
	static struct bufftrack_op ops[KEYS];
	int fd = open_client();
	unsigned int round, i;

	prepare(fd, row);
	keys(ops, KEYS, DEVICE, 0);
	for (round = 0; round <= ROUNDS; round++) {
		if (row->flags & ROW_FRESH)
			keys(ops, KEYS, device_of(row, round), round * KEYS);
		begin(&allocs);
		for (i = 0; i < KEYS; i++) {
			to_alloc(&ops[i]);
			call(fd, BUFFTRACK_IOC_ALLOC, &ops[i], BUFFTRACK_OK);
		}
		end(&allocs, KEYS);
		begin(&frees);
		for (i = 0; i < KEYS; i++) {
			to_free(&ops[i]);
			call(fd, BUFFTRACK_IOC_FREE, &ops[i], BUFFTRACK_OK);
		}
		end(&frees, KEYS);
		if (!round)
			allocs.spent = allocs.ops = frees.spent = frees.ops = 0;
	}
	*sample = row->flags & ROW_FREE ? frees : allocs;
	close(fd);
	return true;
}

/* 32 ALLOCs and 32 FREEs of the same keys in one call. */
bool measure_batch(const struct row *row, struct sample *sample)
{
	enum { HALF = BATCH / 2, CALLS = KEYS / HALF };
	static struct bufftrack_op ops[KEYS * 2];
	unsigned int round, i, j;
	int fd = open_client();

	prepare(fd, row);
	for (round = 0; round <= ROUNDS; round++) {
		if (!round || row->flags & ROW_FRESH) {
			for (i = 0; i < CALLS; i++) {
				for (j = 0; j < HALF; j++) {
					ops[i * BATCH + j] = key(device_of(row, round),
								 round * KEYS + i * HALF + j);
					ops[i * BATCH + j].op = BUFFTRACK_OP_ALLOC;
					ops[i * BATCH + HALF + j] = ops[i * BATCH + j];
					ops[i * BATCH + HALF + j].op = BUFFTRACK_OP_FREE;
				}
			}
		}
		begin(sample);
		for (i = 0; i < CALLS; i++)
			submit(fd, ops + i * BATCH, BATCH);
		end(sample, KEYS * 2);
		if (!round)
			sample->spent = sample->ops = 0;
	}
	close(fd);
	return true;
}

static struct tracefs_instance *listen_to(const char *event)
{
	struct tracefs_instance *instance = tracefs_instance_create("bufftrack-bench");

	if (!instance)
		die("a trace instance");
	if (tracefs_event_enable(instance, "bufftrack", event))
		die(event);
	return instance;
}

/* Of keys with so many bad frees that the log is silent. */
bool measure_double_free(const struct row *row, struct sample *sample)
{
	struct tracefs_instance *instance = NULL;
	struct bufftrack_op ops[FREED_TWICE];
	unsigned int i, round;
	int fd = open_client();

	keys(ops, FREED_TWICE, DEVICE, 0);
	for (i = 0; i < FREED_TWICE; i++) {
		to_alloc(&ops[i]);
		call(fd, BUFFTRACK_IOC_ALLOC, &ops[i], BUFFTRACK_OK);
		to_free(&ops[i]);
		call(fd, BUFFTRACK_IOC_FREE, &ops[i], BUFFTRACK_OK);
	}
	if (row->flags & ROW_TRACED)
		instance = listen_to("bufftrack_double_free");
	for (round = 0; round < KEYS * ROUNDS / FREED_TWICE; round++) {
		if (round == ROUNDS)
			begin(sample);
		for (i = 0; i < FREED_TWICE; i++)
			call(fd, BUFFTRACK_IOC_FREE, &ops[i], BUFFTRACK_DOUBLE_FREE);
	}
	end(sample, (round - ROUNDS) * FREED_TWICE);
	if (instance) {
		tracefs_event_disable(instance, "bufftrack", NULL);
		tracefs_instance_destroy(instance);
		tracefs_instance_free(instance);
	}
	close(fd);
	return true;
}

static void keep_tombstones(const char *number)
{
	int fd = open("/sys/module/bufftrack/parameters/history", O_WRONLY);

	if (fd < 0 || write(fd, number, strlen(number)) < 0)
		die("the parameter history");
	close(fd);
}

/* A client that goes away with HOLDS buffers, again and again. */
bool measure_exit(const struct row *row, struct sample *sample)
{
	/* For what its ALLOCs have left to be done */
	const struct timespec moment = { .tv_nsec = 100000000 };
	unsigned int i;
	int fd;

	if (!(row->flags & ROW_EVICT))
		keep_tombstones("2000000");
	for (i = 0; i <= EXITS; i++) {
		fd = open_client();
		fill(fd, DEVICE, i * HOLDS, HOLDS);
		nanosleep(&moment, NULL);
		begin(sample);
		close(fd);
		end(sample, HOLDS);
		if (!i)
			sample->spent = sample->ops = 0;
	}
	return true;
}
