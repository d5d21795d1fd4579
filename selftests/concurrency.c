// SPDX-License-Identifier: GPL-2.0
/* Many at once on the same keys: whatever the order, the sums are right. */
#include <pthread.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

#include "bt.h"

#define THREADS	4
#define KEYS	8
#define ROUNDS	20000
#define SIZE	16
#define BATCH	1000

FIXTURE(concurrency) {
	int fd;
	__u64 device;
	struct bufftrack_stat stat;
};

FIXTURE_SETUP(concurrency)
{
	struct bufftrack_label label = { .label = "storm" };

	self->fd = bt_open();
	ASSERT_LE(0, self->fd);
	self->device = bt_device();
	/* So that it is there to count, whatever comes first. */
	label.device = self->device;
	ASSERT_EQ(0, bt_ioctl(self->fd, BUFFTRACK_IOC_LABEL, &label));
}

FIXTURE_TEARDOWN(concurrency)
{
	close(self->fd);
}

/* What one thread saw. */
struct worker {
	pthread_t thread;
	int fd;
	__u64 device;
	unsigned int seed;
	__u32 flags;
	unsigned int keys;
	pid_t tid;
	__u64 allocs, frees, errors;
	__u64 verdicts[BUFFTRACK_MAX_VERDICTS];
	__s64 holds[KEYS];
};

static void judge(struct worker *worker, int rc, const struct bufftrack_op *op,
		  bool alloc)
{
	__u32 verdict = op->verdict;

	if (rc || verdict >= BUFFTRACK_NR_VERDICTS || op->error) {
		worker->errors++;
		return;
	}
	worker->verdicts[verdict]++;
	if (alloc && (verdict == BUFFTRACK_OK ||
		      verdict == BUFFTRACK_MISSED_FREE)) {
		worker->allocs++;
		worker->holds[op->buffer]++;
	} else if (!alloc && verdict == BUFFTRACK_OK) {
		worker->frees++;
		worker->holds[op->buffer]--;
	}
}

static unsigned int next(unsigned int *seed)
{
	*seed = *seed * 1103515245 + 12345;
	return *seed >> 16;
}

static void *storm(void *data)
{
	struct worker *worker = data;
	struct bufftrack_op op;
	__u64 token[KEYS] = { 0 };
	unsigned int i, key, what;

	for (i = 0; i < ROUNDS; i++) {
		key = next(&worker->seed) % KEYS;
		what = next(&worker->seed) % 8;
		op = (struct bufftrack_op) {
			.device = worker->device, .buffer = key, .size = SIZE,
			.flags = worker->flags,
		};
		if (what < 4) {
			judge(worker, bt_alloc(worker->fd, &op), &op, true);
			token[key] = op.generation;
			continue;
		}
		op.flags = 0;
		/* Sometimes of an allocation that may be long gone */
		op.token = what == 4 ? token[key] : 0;
		judge(worker, bt_free(worker->fd, &op), &op, false);
	}
	return NULL;
}

static void run(struct __test_metadata *_metadata,
		FIXTURE_DATA(concurrency) *self, struct worker *workers,
		void *(*work)(void *data), bool one_client, __u32 flags)
{
	unsigned int i;

	for (i = 0; i < THREADS; i++) {
		workers[i] = (struct worker) {
			.fd = one_client ? self->fd : bt_open(),
			.device = self->device, .seed = i + 1, .flags = flags,
		};
		ASSERT_LE(0, workers[i].fd);
		ASSERT_EQ(0, pthread_create(&workers[i].thread, NULL, work,
					    &workers[i]));
	}
	for (i = 0; i < THREADS; i++) {
		pthread_join(workers[i].thread, NULL);
		EXPECT_EQ(0, workers[i].errors);
	}
}

/* The device's counters are the sums of what the threads saw. */
static void add_up(struct __test_metadata *_metadata,
		   FIXTURE_DATA(concurrency) *self,
		   const struct worker *workers)
{
	struct worker sum = { 0 };
	unsigned int i, v;

	for (i = 0; i < THREADS; i++) {
		sum.allocs += workers[i].allocs;
		sum.frees += workers[i].frees;
		for (v = 0; v < 16; v++)
			sum.verdicts[v] += workers[i].verdicts[v];
	}
	ASSERT_EQ(0, bt_stat(self->fd, BUFFTRACK_STAT_DEVICE, self->device, 0,
			     &self->stat));
	EXPECT_EQ(sum.allocs, self->stat.allocs);
	EXPECT_EQ(sum.frees, self->stat.frees);
	for (v = 0; v < 16; v++)
		EXPECT_EQ(sum.verdicts[v], self->stat.verdicts[v])
			TH_LOG("verdict %u", v);
	EXPECT_LT(0, sum.verdicts[BUFFTRACK_OK]);
}

TEST_F_TIMEOUT(concurrency, storm_on_one_client, 300)
{
	struct worker workers[THREADS];
	struct bufftrack_life life;
	unsigned int i, key;
	__u64 live = 0;

	run(_metadata, self, workers, storm, true, 0);
	add_up(_metadata, self, workers);
	for (key = 0; key < KEYS; key++) {
		__s64 holds = 0;

		for (i = 0; i < THREADS; i++)
			holds += workers[i].holds[key];
		ASSERT_EQ(0, bt_life(self->fd, self->device, 0, key, &life));
		EXPECT_EQ(holds, life.refs);
		EXPECT_EQ(holds ? BUFFTRACK_STATE_LIVE : BUFFTRACK_STATE_FREED,
			  (int)life.state);
		live += holds > 0;
	}
	EXPECT_EQ(live, self->stat.live);
	EXPECT_EQ(live * SIZE, self->stat.bytes);
	EXPECT_EQ(KEYS - live, self->stat.history);
}

TEST_F_TIMEOUT(concurrency, storm_of_clients, 300)
{
	struct worker workers[THREADS];
	struct bufftrack_life life;
	unsigned int i, key;
	__u64 held = 0;

	run(_metadata, self, workers, storm, false, 0);
	add_up(_metadata, self, workers);
	for (key = 0; key < KEYS; key++) {
		__s64 refs = 0;

		for (i = 0; i < THREADS; i++) {
			/* No one ever drops more than its own. */
			EXPECT_LE(0, workers[i].holds[key]);
			refs += workers[i].holds[key];
			held += workers[i].holds[key] > 0;
		}
		ASSERT_EQ(0, bt_life(self->fd, self->device, 0, key, &life));
		EXPECT_EQ(refs, life.refs);
	}
	for (i = 0; i < THREADS; i++)
		close(workers[i].fd);
	ASSERT_EQ(0, bt_stat(self->fd, BUFFTRACK_STAT_DEVICE, self->device, 0,
			     &self->stat));
	EXPECT_EQ(0, self->stat.live);
	EXPECT_EQ(0, self->stat.bytes);
	EXPECT_EQ(KEYS, self->stat.history);
	EXPECT_EQ(held, self->stat.verdicts[BUFFTRACK_LEAK]);
}

TEST_F_TIMEOUT(concurrency, storm_of_shared, 300)
{
	struct worker workers[THREADS];
	struct bufftrack_life life;
	unsigned int i, key;

	run(_metadata, self, workers, storm, false, BUFFTRACK_F_SHARED);
	add_up(_metadata, self, workers);
	EXPECT_EQ(0, self->stat.verdicts[BUFFTRACK_FOREIGN_FREE]);
	for (key = 0; key < KEYS; key++) {
		__s64 refs = 0;

		for (i = 0; i < THREADS; i++)
			refs += workers[i].holds[key];
		ASSERT_EQ(0, bt_life(self->fd, self->device, 0, key, &life));
		EXPECT_EQ(refs, life.refs);
	}
	for (i = 0; i < THREADS; i++)
		close(workers[i].fd);
}

TEST_F_TIMEOUT(concurrency, storm_of_exclusive, 300)
{
	struct worker workers[THREADS];
	struct bufftrack_life life;
	unsigned int i, key;

	run(_metadata, self, workers, storm, false, BUFFTRACK_F_EXCLUSIVE);
	add_up(_metadata, self, workers);
	EXPECT_LT(0, self->stat.verdicts[BUFFTRACK_MISSED_FREE]);
	for (key = 0; key < KEYS; key++) {
		ASSERT_EQ(0, bt_life(self->fd, self->device, 0, key, &life));
		EXPECT_GE(1, life.refs);
	}
	EXPECT_GE(KEYS, self->stat.live);
	EXPECT_EQ(self->stat.live * SIZE, self->stat.bytes);
	for (i = 0; i < THREADS; i++)
		close(workers[i].fd);
}

/* Two devices, two spaces of each */
#define PLACES	4

struct mover {
	struct worker worker;
	__u64 devices[2];
	__u64 pairs[PLACES];
	__u32 buffer;
};

static void *storm_of_places(void *data)
{
	struct mover *mover = data;
	struct worker *worker = &mover->worker;
	struct bufftrack_op op;
	unsigned int i, place;

	for (i = 0; i < ROUNDS / 8; i++) {
		place = next(&worker->seed) % PLACES;
		op = (struct bufftrack_op) {
			.device = mover->devices[place / 2], .space = place % 2,
			.buffer = mover->buffer, .size = SIZE,
		};
		if (bt_alloc(worker->fd, &op) || op.verdict || op.refs != 1)
			worker->errors++;
		op.token = op.generation;
		if (bt_free(worker->fd, &op) || op.verdict || op.refs)
			worker->errors++;
		mover->pairs[place]++;
	}
	return NULL;
}

/* The sums of the four places are what the threads did. */
static void move_about(struct __test_metadata *_metadata,
		       FIXTURE_DATA(concurrency) *self, __u64 history)
{
	struct mover movers[THREADS];
	__u64 other = bt_device(), pairs, evicted = 0;
	unsigned int i, place;

	for (i = 0; i < THREADS; i++) {
		movers[i] = (struct mover) {
			.worker = { .fd = self->fd, .seed = i + 1 },
			.devices = { self->device, other }, .buffer = i,
		};
		ASSERT_EQ(0, pthread_create(&movers[i].worker.thread, NULL,
					    storm_of_places, &movers[i]));
	}
	for (i = 0; i < THREADS; i++) {
		pthread_join(movers[i].worker.thread, NULL);
		EXPECT_EQ(0, movers[i].worker.errors);
	}
	for (place = 0; place < PLACES; place++) {
		pairs = 0;
		for (i = 0; i < THREADS; i++)
			pairs += movers[i].pairs[place];
		EXPECT_LT(0, pairs);
		ASSERT_EQ(0, bt_stat(self->fd, BUFFTRACK_STAT_SPACE,
				     place / 2 ? other : self->device, place % 2,
				     &self->stat));
		EXPECT_EQ(pairs, self->stat.allocs);
		EXPECT_EQ(pairs, self->stat.frees);
		EXPECT_EQ(0, self->stat.live);
		EXPECT_EQ(0, self->stat.bytes);
		EXPECT_LE(SIZE, self->stat.peak_bytes);
		EXPECT_GE(THREADS * SIZE, self->stat.peak_bytes);
		EXPECT_GE(history, self->stat.history);
		evicted += self->stat.evicted;
	}
	EXPECT_EQ(history < THREADS, evicted > 0);
}

/* What a client remembers of its latest place is changed by each thread for all. */
TEST_F_TIMEOUT(concurrency, storm_in_many_places, 300)
{
	move_about(_metadata, self, THREADS);
}

/* With room for one freed-buffer record a device: each FREE makes one and evicts another. */
TEST_F_TIMEOUT(concurrency, storm_in_many_places_with_little_history, 300)
{
	unsigned long history;

	ASSERT_EQ(0, bt_parameter("history", 1, &history));
	move_about(_metadata, self, 1);
	ASSERT_EQ(0, bt_parameter("history", history, NULL));
}

/* Freed-buffer records are made, evicted and allocated anew, all at once. */
TEST_F_TIMEOUT(concurrency, storm_with_little_history, 300)
{
	struct worker workers[THREADS];
	unsigned long history;
	unsigned int i;

	ASSERT_EQ(0, bt_parameter("history", 2, &history));
	run(_metadata, self, workers, storm, false, 0);
	add_up(_metadata, self, workers);
	EXPECT_GE(2, self->stat.history);
	for (i = 0; i < THREADS; i++)
		close(workers[i].fd);
	ASSERT_EQ(0, bt_parameter("history", history, NULL));
	ASSERT_EQ(0, bt_stat(self->fd, BUFFTRACK_STAT_DEVICE, self->device, 0,
			     &self->stat));
	EXPECT_EQ(0, self->stat.live);
	EXPECT_EQ(0, self->stat.bytes);
	EXPECT_GE(2, self->stat.history);
	EXPECT_LT(0, self->stat.evicted);
}

static void *look_on(void *data)
{
	struct worker *worker = data;
	struct bufftrack_list filter = { .flags = BUFFTRACK_LIST_DEAD };
	struct bufftrack_stat stat;
	unsigned int i;

	for (i = 0; i < 200; i++) {
		if (bt_count(worker->fd, filter) < 0 ||
		    bt_stat(worker->fd, BUFFTRACK_STAT_ALL, 0, 0, &stat))
			worker->errors++;
		if (!(i % 16) && bt_write("/proc/sys/vm/drop_caches", "2"))
			worker->errors++;
	}
	return NULL;
}

/* Readers, and memory pressure, in the midst of it */
TEST_F_TIMEOUT(concurrency, storm_under_eyes, 300)
{
	struct worker workers[THREADS], looker = { .fd = bt_open() };
	unsigned int i;

	ASSERT_LE(0, looker.fd);
	ASSERT_EQ(0, pthread_create(&looker.thread, NULL, look_on, &looker));
	run(_metadata, self, workers, storm, false, 0);
	pthread_join(looker.thread, NULL);
	EXPECT_EQ(0, looker.errors);
	add_up(_metadata, self, workers);
	for (i = 0; i < THREADS; i++)
		close(workers[i].fd);
	close(looker.fd);
}

static void *reset_often(void *data)
{
	struct worker *worker = data;
	unsigned int i;
	__u64 lives;
	int rc;

	for (i = 0; i < 300; i++) {
		rc = bt_reset(worker->fd, worker->device, &lives);
		if (rc && rc != -ENODEV)
			worker->errors++;
		else if (!rc)
			worker->allocs += lives;
		usleep(100);
	}
	return NULL;
}

TEST_F_TIMEOUT(concurrency, storm_with_resets, 300)
{
	struct worker workers[THREADS], resetter = {
		.fd = bt_open(), .device = self->device,
	};
	unsigned int i;

	ASSERT_LE(0, resetter.fd);
	ASSERT_EQ(0, pthread_create(&resetter.thread, NULL, reset_often,
				    &resetter));
	run(_metadata, self, workers, storm, false, 0);
	pthread_join(resetter.thread, NULL);
	EXPECT_EQ(0, resetter.errors);
	add_up(_metadata, self, workers);
	for (i = 0; i < THREADS; i++)
		close(workers[i].fd);
	ASSERT_EQ(0, bt_stat(self->fd, BUFFTRACK_STAT_DEVICE, self->device, 0,
			     &self->stat));
	EXPECT_EQ(0, self->stat.live);
	EXPECT_EQ(0, self->stat.bytes);
	close(resetter.fd);
}

/* With a stack each, by threads that others rename */
static void *storm_with_stacks(void *data)
{
	struct worker *worker = data;
	__u64 stack[] = { 0x1000, 0x2000 };
	struct bufftrack_op op;
	unsigned int i;

	prctl(PR_SET_NAME, "aaaaaaaaaaaaaaa");
	__atomic_store_n(&worker->tid, syscall(SYS_gettid), __ATOMIC_RELEASE);
	for (i = 0; i < ROUNDS / 8; i++) {
		stack[0] = 0x1000 + next(&worker->seed) % 4;
		op = (struct bufftrack_op) {
			.device = worker->device,
			.buffer = next(&worker->seed) % KEYS, .size = SIZE,
		};
		if (next(&worker->seed) % 2) {
			op.stack = (uintptr_t)stack;
			op.stack_depth = 2;
		}
		if (next(&worker->seed) % 2) {
			judge(worker, bt_alloc(worker->fd, &op), &op, true);
		} else {
			op.size = 0;
			judge(worker, bt_free(worker->fd, &op), &op, false);
		}
	}
	return NULL;
}

/*
 * Each call makes an actor of a stack that all threads have in common, and ends one of the
 * same: a record tells of four events, and the stacks are five.
 */
static void *storm_of_actors(void *data)
{
	struct worker *worker = data;
	struct bufftrack_op op;
	unsigned int i;
	__u64 stack;

	for (i = 0; i < ROUNDS / 2; i++) {
		stack = 0x5000 + i % 5;
		op = (struct bufftrack_op) {
			.device = worker->device, .buffer = worker->seed, .size = SIZE,
			.stack = (uintptr_t)&stack, .stack_depth = 1,
		};
		if (i % 2)
			judge(worker, bt_free(worker->fd, &op), &op, false);
		else
			judge(worker, bt_alloc(worker->fd, &op), &op, true);
	}
	return NULL;
}

TEST_F_TIMEOUT(concurrency, storm_on_stacks_in_common, 600)
{
	static struct worker workers[THREADS];

	run(_metadata, self, workers, storm_of_actors, true, 0);
	add_up(_metadata, self, workers);
	EXPECT_EQ(THREADS * ROUNDS / 4, self->stat.allocs);
	EXPECT_EQ(THREADS * ROUNDS / 4, self->stat.frees);
	EXPECT_EQ(0, self->stat.live);
}

static bool stop;

/* Renames the workers, and has the limits changed, until it is told to stop. */
static void *change_often(void *data)
{
	static const char *const names[] = { "aaaaaaaaaaaaaaa", "bbbbbbb" };
	struct worker *worker, *workers = data;
	char path[64];
	unsigned int i;
	pid_t tid;

	for (i = 0; !__atomic_load_n(&stop, __ATOMIC_ACQUIRE); i++) {
		worker = &workers[i % THREADS];
		tid = __atomic_load_n(&worker->tid, __ATOMIC_ACQUIRE);
		snprintf(path, sizeof(path), "/proc/self/task/%d/comm", tid);
		/* It may have ended. */
		if (tid)
			bt_write(path, names[i / THREADS % 2]);
		bt_write(BT_PARAMETERS "log_limit", i % 2 ? "0" : "1");
		bt_write(BT_PARAMETERS "max_stacks", i % 2 ? "3" : "100");
	}
	return NULL;
}

/* Of the names that its threads had, or a mixture of both: a name, in any case */
static bool named(const struct bufftrack_event *event)
{
	size_t len = strnlen(event->comm, sizeof(event->comm));

	return !event->time ||
	       (len && len < sizeof(event->comm) && strspn(event->comm, "ab") == len);
}

TEST_F_TIMEOUT(concurrency, storm_under_changes, 300)
{
	unsigned long log_limit, max_stacks;
	struct worker workers[THREADS];
	struct bufftrack_life life;
	pthread_t changer;
	unsigned int i;

	ASSERT_EQ(0, bt_parameter("log_limit", 0, &log_limit));
	ASSERT_EQ(0, bt_parameter("max_stacks", 100, &max_stacks));
	for (i = 0; i < THREADS; i++) {
		workers[i] = (struct worker) {
			.fd = i % 2 ? self->fd : bt_open(),
			.device = self->device, .seed = i + 1,
		};
		ASSERT_LE(0, workers[i].fd);
	}
	__atomic_store_n(&stop, false, __ATOMIC_RELEASE);
	ASSERT_EQ(0, pthread_create(&changer, NULL, change_often, workers));
	for (i = 0; i < THREADS; i++)
		ASSERT_EQ(0, pthread_create(&workers[i].thread, NULL,
					    storm_with_stacks, &workers[i]));
	for (i = 0; i < THREADS; i++) {
		pthread_join(workers[i].thread, NULL);
		EXPECT_EQ(0, workers[i].errors);
	}
	__atomic_store_n(&stop, true, __ATOMIC_RELEASE);
	pthread_join(changer, NULL);
	add_up(_metadata, self, workers);
	for (i = 0; i < KEYS; i++) {
		ASSERT_EQ(0, bt_life(self->fd, self->device, 0, i, &life));
		EXPECT_TRUE(named(&life.alloc));
		EXPECT_TRUE(named(&life.end));
	}
	for (i = 0; i < THREADS; i += 2)
		close(workers[i].fd);
	ASSERT_EQ(0, bt_parameter("log_limit", log_limit, NULL));
	ASSERT_EQ(0, bt_parameter("max_stacks", max_stacks, NULL));
}

/* Some keys' allocations, each of a size and a tag that belong together */
static void *change_lives(void *data)
{
	struct worker *worker = data;
	struct bufftrack_op ops[64], *op;
	struct bufftrack_batch batch;
	__u64 size = 0, i;

	while (!__atomic_load_n(&stop, __ATOMIC_RELAXED)) {
		memset(ops, 0, sizeof(ops));
		for (i = 0; i < 64; i++) {
			op = &ops[i];
			op->op = i % 2 ? BUFFTRACK_OP_FREE : BUFFTRACK_OP_ALLOC;
			op->device = worker->device;
			op->buffer = i / 2 % worker->keys;
			if (i % 2)
				continue;
			op->size = ++size;
			op->tag = ~size;
		}
		if (bt_batch(worker->fd, ops, 64, &batch) || batch.bad)
			worker->errors++;
		worker->allocs += 32;
	}
	return NULL;
}

/* An answer that mixes two allocations, or is of none */
static int count_torn(const struct bufftrack_life *life, void *data)
{
	struct worker *seen = data;
	bool live = life->state == BUFFTRACK_STATE_LIVE;

	seen->allocs += live;
	seen->frees += !live;
	seen->errors += life->tag != ~life->size || life->refs != live ||
			!life->alloc.time || !life->end.time != live ||
			(!live && life->end.time < life->alloc.time) ||
			life->prev_generation >= life->generation;
	return 0;
}

/* However fast a key changes, LIST shows an allocation as it was at some time. */
TEST_F(concurrency, lives_are_whole)
{
	struct bufftrack_list filter = {
		.flags = BUFFTRACK_LIST_DEAD | BUFFTRACK_LIST_DEVICE,
		.device = self->device,
	};
	struct worker writer = { .fd = bt_open(), .device = self->device, .keys = 1 };
	struct bufftrack_op op = { .device = self->device, .tag = ~0ULL };
	struct worker seen = {};
	unsigned int i;

	ASSERT_LE(0, writer.fd);
	/* From here on the key has one allocation, or had one, and is in each LIST once. */
	ASSERT_EQ(0, bt_alloc(writer.fd, &op));
	op = (struct bufftrack_op) { .device = self->device };
	ASSERT_EQ(0, bt_free(writer.fd, &op));
	stop = false;
	ASSERT_EQ(0, pthread_create(&writer.thread, NULL, change_lives, &writer));
	for (i = 0; i < 3000 || !seen.allocs || !seen.frees; i++)
		ASSERT_EQ(0, bt_walk(self->fd, filter, 1, count_torn, &seen));
	__atomic_store_n(&stop, true, __ATOMIC_RELAXED);
	pthread_join(writer.thread, NULL);
	close(writer.fd);
	TH_LOG("%llu allocations; seen %llu live, %llu dead", writer.allocs, seen.allocs,
	       seen.frees);
	EXPECT_EQ(0, writer.errors);
	EXPECT_EQ(0, seen.errors);
	EXPECT_EQ(i, seen.allocs + seen.frees);
}

/* LIST reads records while they are evicted: it shows whole allocations all the same. */
TEST_F(concurrency, walks_past_the_evicted)
{
	struct bufftrack_list filter = {
		.flags = BUFFTRACK_LIST_DEAD | BUFFTRACK_LIST_DEVICE,
		.device = self->device,
	};
	struct worker writer = { .fd = bt_open(), .device = self->device, .keys = 32 };
	struct worker seen = {};
	unsigned long history;
	unsigned int i;

	ASSERT_LE(0, writer.fd);
	ASSERT_EQ(0, bt_parameter("history", 1, &history));
	stop = false;
	ASSERT_EQ(0, pthread_create(&writer.thread, NULL, change_lives, &writer));
	for (i = 0; i < 3000 || !seen.allocs || !seen.frees; i++)
		ASSERT_EQ(0, bt_walk(self->fd, filter, 8, count_torn, &seen));
	__atomic_store_n(&stop, true, __ATOMIC_RELAXED);
	pthread_join(writer.thread, NULL);
	close(writer.fd);
	ASSERT_EQ(0, bt_parameter("history", history, NULL));
	TH_LOG("%llu allocations; seen %llu live, %llu dead", writer.allocs, seen.allocs,
	       seen.frees);
	EXPECT_EQ(0, writer.errors);
	EXPECT_EQ(0, seen.errors);
}

/* A client with very many references closes, while another goes on. */
TEST_F(concurrency, exit_with_many_holds)
{
	struct bufftrack_op op, *ops = calloc(BATCH, sizeof(*ops));
	/* KASAN makes each last a millisecond: there, selftests/host/check asks for fewer. */
	const char *wanted = getenv("BUFFTRACK_HOLDS");
	__u64 holds = wanted ? strtoull(wanted, NULL, 0) :
		      sizeof(long) == 8 ? 1000000 : 100000;
	struct bufftrack_batch batch;
	struct bt_pipe up;
	unsigned int i, n;
	__u64 mine = 0;
	pid_t pid;

	ASSERT_TRUE(!!ops);
	holds -= holds % BATCH;
	ASSERT_LT(0, holds);
	ASSERT_EQ(0, bt_pipe(&up));
	pid = bt_fork();
	if (!pid) {
		int fd = bt_open();
		__u64 bad = 0;

		for (n = 0; n < holds; n += BATCH) {
			for (i = 0; i < BATCH; i++)
				ops[i] = (struct bufftrack_op) {
					.op = BUFFTRACK_OP_ALLOC,
					.device = self->device,
					.buffer = n + i, .size = SIZE,
				};
			bad += bt_batch(fd, ops, BATCH, &batch) || batch.bad;
		}
		bt_send(&up, bad);
		pause();
		_exit(1);
	}
	EXPECT_EQ(0, bt_receive(&up));
	ASSERT_EQ(0, bt_stat(self->fd, BUFFTRACK_STAT_DEVICE, self->device, 0,
			     &self->stat));
	EXPECT_EQ(holds, self->stat.live);
	ASSERT_EQ(0, kill(pid, SIGKILL));
	do {
		op = (struct bufftrack_op) {
			.device = self->device, .size = SIZE, .space = 1,
			.buffer = mine++ % 100,
		};
		ASSERT_EQ(0, bt_alloc(self->fd, &op));
		ASSERT_EQ(1, op.refs);
		op.size = 0;
		ASSERT_EQ(0, bt_free(self->fd, &op));
		ASSERT_EQ(BUFFTRACK_OK, (int)op.verdict);
		ASSERT_EQ(0, bt_stat(self->fd, BUFFTRACK_STAT_DEVICE,
				     self->device, 0, &self->stat));
	} while (self->stat.live);
	EXPECT_EQ(128 + SIGKILL, bt_reap(pid));
	/* The last allocation ends before the last freed-buffer record too many is evicted. */
	ASSERT_EQ(0, bt_stat(self->fd, BUFFTRACK_STAT_DEVICE, self->device, 0,
			     &self->stat));
	EXPECT_EQ(holds, self->stat.verdicts[BUFFTRACK_LEAK]);
	EXPECT_EQ(holds + mine, self->stat.allocs);
	EXPECT_EQ(mine, self->stat.frees);
	EXPECT_EQ(0, self->stat.bytes);
	EXPECT_GE(65536, self->stat.history);
	EXPECT_LE(holds, self->stat.history + self->stat.evicted);
	free(ops);
}

TEST_HARNESS_MAIN
