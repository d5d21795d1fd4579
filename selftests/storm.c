// SPDX-License-Identifier: GPL-2.0
/*
 * Storms: processes that are killed in the midst of it, threads on one key, files
 * that come and go by every way there is; while others read lists, and try to
 * unload the module. Whatever came of it, the counters are the sums of the trace,
 * and the trace is of one piece: each event follows from those before it.
 *
 * BUFFTRACK_STORM says how many processes; SEED what the dice begin with.
 */
#include <pthread.h>
#include <sched.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>

#include "bt.h"
#include "events.h"

#define PROCESSES	1000
#define AT_ONCE		8
#define SHARED_KEYS	16
#define OWN_KEYS	64
#define SIZE		64
#define BATCH		256
#define THREADS		64
#define WANDERERS	8
#define ANCHORS		32

static unsigned long number_of(const char *name, unsigned long otherwise)
{
	const char *value = getenv(name);

	return value ? strtoul(value, NULL, 0) : otherwise;
}

static unsigned int next(unsigned int *seed)
{
	*seed = *seed * 1103515245 + 12345;
	return *seed >> 16;
}

static bool at_end(const bool *over)
{
	return __atomic_load_n(over, __ATOMIC_RELAXED);
}

/* ---- those who look on ---------------------------------------------------- */

struct pest {
	pthread_t thread;
	int fd;
	__u64 device, client;
	bool *over;
	__u64 rounds, errors;
	unsigned int met[ANCHORS];
};

/* The module is in use: it must never go. */
static void *unload_often(void *data)
{
	struct pest *pest = data;

	while (!at_end(pest->over)) {
		if (!syscall(SYS_delete_module, "bufftrack", O_NONBLOCK) ||
		    errno != EWOULDBLOCK)
			pest->errors++;
		pest->rounds++;
		usleep(500);
	}
	return NULL;
}

static int look_at(const struct bufftrack_life *life, void *data)
{
	struct pest *pest = data;
	bool live = life->state == BUFFTRACK_STATE_LIVE;

	if (!life->generation || !life->lives || !life->alloc.time ||
	    live != !!life->refs || live == !!life->end.time ||
	    life->state < BUFFTRACK_STATE_LIVE || life->state > BUFFTRACK_STATE_MISSED)
		pest->errors++;
	if (life->device != pest->device)
		return 0;
	if (life->buffer < ANCHORS && live && life->client == pest->client)
		pest->met[life->buffer]++;
	else
		pest->errors++;
	return 0;
}

/*
 * What is there from the first page to the last is met once, and nothing is torn;
 * of the counters the one that is a difference never comes out negative.
 */
static void *list_often(void *data)
{
	struct pest *pest = data;
	struct bufftrack_list filter = { .flags = BUFFTRACK_LIST_DEAD };
	struct bufftrack_stat stat;
	unsigned int i;

	while (!at_end(pest->over)) {
		if (bt_stat(pest->fd, BUFFTRACK_STAT_ALL, 0, 0, &stat) ||
		    stat.verdicts[BUFFTRACK_OK] > stat.allocs + stat.frees + 1000000)
			pest->errors++;
		memset(pest->met, 0, sizeof(pest->met));
		if (bt_walk(pest->fd, filter, 7 + pest->rounds % 90, look_at, pest))
			pest->errors++;
		for (i = 0; i < ANCHORS; i++)
			pest->errors += pest->met[i] != 1;
		pest->rounds++;
		usleep(1000);
	}
	return NULL;
}

/* ---- the fixture ---------------------------------------------------------- */

FIXTURE(storm) {
	int fd;
	__u64 device;
	unsigned long nr;
	unsigned int seed;
	struct bufftrack_stat before;
	struct bt_events events;
	bool over;
	struct pest unloader, lister[2];
};

/* A key that is known has events of its views, too. */
static int known(int fd, __u64 device, __u64 buffer)
{
	struct bufftrack_op op;

	return bt_call(fd, BUFFTRACK_IOC_ALLOC, SIZE, device, buffer, &op) ?:
	       bt_call(fd, BUFFTRACK_IOC_FREE, 0, device, buffer, &op);
}

FIXTURE_SETUP(storm)
{
	struct bufftrack_op op;
	struct bufftrack_list filter = { .flags = BUFFTRACK_LIST_DEAD };
	__u64 anchor, client;
	unsigned int i;

	self->nr = number_of("BUFFTRACK_STORM", PROCESSES);
	self->seed = number_of("SEED", time(NULL));
	TH_LOG("SEED=%u BUFFTRACK_STORM=%lu", self->seed, self->nr);
	self->fd = bt_open();
	ASSERT_LE(0, self->fd);
	self->device = bt_device();
	anchor = bt_device();
	client = bt_client_id(self->fd);
	/* The log has its own tests: here it would only take time. */
	ASSERT_EQ(0, bt_parameter("log_limit", 0, NULL));
	for (i = 0; i < ANCHORS; i++)
		ASSERT_EQ(0, bt_call(self->fd, BUFFTRACK_IOC_ALLOC, SIZE, anchor, i, &op));
	ASSERT_EQ(ANCHORS, bt_count(self->fd, (struct bufftrack_list) {
			.flags = BUFFTRACK_LIST_DEVICE, .device = anchor }));
	ASSERT_LT(0, bt_count(self->fd, filter));

	ASSERT_EQ(0, bt_events_begin(&self->events, 16384 + 160 * self->nr));
	ASSERT_EQ(0, bt_stat(self->fd, BUFFTRACK_STAT_ALL, 0, 0, &self->before));
	for (i = 0; i < SHARED_KEYS; i++)
		ASSERT_EQ(0, known(self->fd, self->device, i));

	self->unloader = (struct pest) { .over = &self->over };
	ASSERT_EQ(0, pthread_create(&self->unloader.thread, NULL, unload_often,
				    &self->unloader));
	for (i = 0; i < ARRAY_SIZE(self->lister); i++) {
		self->lister[i] = (struct pest) {
			.over = &self->over, .device = anchor, .client = client,
			.fd = self->fd,
		};
		ASSERT_EQ(0, pthread_create(&self->lister[i].thread, NULL, list_often,
					    &self->lister[i]));
	}
}

FIXTURE_TEARDOWN(storm)
{
	free(self->events.list);
	bt_parameter("log_limit", 5, NULL);
	close(self->fd);
}

/* ---- what must come of it ------------------------------------------------- */

/* What the events add up to, for a key, a reference, or a client */
struct sum {
	__u64 a, b;
	bool used, ended;
	__u64 generation;
	__s64 count;
	__u64 holders, calls, leaks;
};

struct sums {
	struct sum *sums;
	size_t mask;
};

static bool sums_init(struct sums *sums, size_t nr)
{
	sums->mask = 1;
	while (sums->mask < 2 * nr)
		sums->mask *= 2;
	sums->sums = calloc(sums->mask--, sizeof(*sums->sums));
	return sums->sums;
}

static struct sum *sum_of(struct sums *sums, __u64 a, __u64 b)
{
	size_t at = (a * 0x9e3779b97f4a7c15ULL ^ b * 0xc2b2ae3d27d4eb4fULL) >> 20;
	struct sum *sum;

	for (;; at++) {
		sum = &sums->sums[at & sums->mask];
		if (sum->used && (sum->a != a || sum->b != b))
			continue;
		sum->used = true;
		sum->a = a;
		sum->b = b;
		return sum;
	}
}

struct account {
	struct sums keys;	/* device, buffer: its generation, references, holders */
	struct sums holds;	/* generation, client: its count */
	struct sums clients;	/* client: its calls and its leaks */
	__u64 events[BT_EV_KINDS];
	__u64 views;
	__u64 held;		/* allocations that closed clients owned */
	__u64 wrong;
	struct bt_words words;	/* what was wrong first */
};

/* The event itself is told, where it does not follow from those before it. */
static void follows(struct account *account, const struct bt_ev *ev, bool right, const char *what)
{
	if (right)
		return;
	if (!account->wrong++)
		bt_say(&account->words,
		       "[%s: %s of buffer %llu, generation %llu, client %llu, refs %llu, count %llu]",
		       what, bt_ev_names[ev->kind],
		       (unsigned long long)ev->field[BT_FIELD_BUFFER],
		       (unsigned long long)ev->field[BT_FIELD_GENERATION],
		       (unsigned long long)ev->field[BT_FIELD_CLIENT],
		       (unsigned long long)ev->field[BT_FIELD_REFS],
		       (unsigned long long)ev->field[BT_FIELD_COUNT]);
}

#define FOLLOWS(right) follows(account, ev, right, #right)

static void add_event(struct account *account, const struct bt_ev *ev)
{
	__u64 generation = ev->field[BT_FIELD_GENERATION], refs = ev->field[BT_FIELD_REFS];
	/* A bad verdict of a view is told as any other. */
	bool view = ev->field[BT_FIELD_FLAGS] & BUFFTRACK_F_VIEW && ev->kind >= BT_EV_ALLOC;
	struct sum *client = sum_of(&account->clients, ev->field[BT_FIELD_CLIENT], 0);
	struct sum *key, *hold;

	account->events[ev->kind] += !view;
	account->views += view;
	if (ev->kind == BT_EV_OPEN || ev->kind == BT_EV_RESET)
		return;
	if (ev->kind == BT_EV_CLOSE) {
		FOLLOWS(ev->field[BT_FIELD_LEAKS] == client->leaks);
		FOLLOWS(!client->ended);
		client->ended = true;
		return;
	}
	FOLLOWS(!client->ended);
	client->calls += ev->kind != BUFFTRACK_LEAK && ev->kind != BUFFTRACK_MISSED_FREE &&
			 ev->kind != BUFFTRACK_SIZE_MISMATCH;
	if (view)
		return;
	key = sum_of(&account->keys, ev->field[BT_FIELD_DEVICE], ev->field[BT_FIELD_BUFFER]);
	hold = sum_of(&account->holds, generation, ev->field[BT_FIELD_CLIENT]);
	switch (ev->kind) {
	case BUFFTRACK_MISSED_FREE:
		/* The ALLOC's own event comes next. */
		FOLLOWS(key->count && key->generation == ev->field[BT_FIELD_NAMED]);
		key->count = 0;
		key->holders = 0;
		break;
	case BUFFTRACK_SIZE_MISMATCH:
		break;
	case BT_EV_ALLOC:
		if (!key->count) {
			FOLLOWS(generation > key->generation);
			key->generation = generation;
		}
		FOLLOWS(generation == key->generation);
		FOLLOWS((__s64)refs == ++key->count);
		key->holders += !hold->count++;
		break;
	case BT_EV_FREE:
		FOLLOWS(generation == key->generation);
		FOLLOWS((__s64)refs == --key->count);
		FOLLOWS(--hold->count >= 0);
		key->holders -= !hold->count;
		break;
	case BUFFTRACK_LEAK:
		FOLLOWS(generation == key->generation);
		FOLLOWS(hold->count && hold->count == (__s64)ev->field[BT_FIELD_COUNT]);
		key->count -= hold->count;
		key->holders--;
		FOLLOWS((__s64)refs == key->count);
		hold->count = 0;
		client->leaks++;
		break;
	default:
		/* Refused: it has changed nothing. */
		if (generation)
			FOLLOWS(generation == key->generation && (__s64)refs == key->count);
		break;
	}
}

static bool add_events(struct account *account, const struct bt_events *events)
{
	size_t i;

	if (!sums_init(&account->keys, events->nr) ||
	    !sums_init(&account->holds, events->nr) ||
	    !sums_init(&account->clients, events->nr))
		return false;
	for (i = 0; i < events->nr; i++)
		add_event(account, &events->list[i]);
	/* What closed clients held, whether a leak told of it or not */
	account->held = account->events[BUFFTRACK_LEAK];
	for (i = 0; i <= account->keys.mask; i++)
		account->held += account->keys.sums[i].holders;
	return true;
}

/* Of clients that closed, how many did so within a batch of so many calls */
static unsigned int cut_short(const struct account *account, unsigned int batch)
{
	unsigned int n = 0;
	size_t i;

	for (i = 0; i <= account->clients.mask; i++) {
		const struct sum *client = &account->clients.sums[i];

		n += client->used && client->ended && client->calls % batch;
	}
	return n;
}

/* The counters, less what they were at the beginning, are the sums of the events. */
static struct bufftrack_stat counted(const struct bufftrack_stat *before,
				     const struct bufftrack_stat *after)
{
	struct bufftrack_stat stat = {
		.allocs = after->allocs - before->allocs,
		.frees = after->frees - before->frees,
		.evicted = after->evicted - before->evicted,
	};
	unsigned int v;

	for (v = 0; v < ARRAY_SIZE(stat.verdicts); v++)
		stat.verdicts[v] = after->verdicts[v] - before->verdicts[v];
	return stat;
}

static struct bufftrack_stat traced(const struct account *account)
{
	const __u64 *events = account->events;
	struct bufftrack_stat stat = {
		.allocs = events[BT_EV_ALLOC],
		.frees = events[BT_EV_FREE],
	};
	unsigned int v;

	for (v = BUFFTRACK_OK + 1; v < BUFFTRACK_NR_VERDICTS; v++)
		stat.verdicts[v] = events[v];
	stat.verdicts[BUFFTRACK_OK] = stat.allocs + stat.frees + account->views -
				      events[BUFFTRACK_MISSED_FREE] -
				      events[BUFFTRACK_SIZE_MISMATCH];
	return stat;
}

static const char *stat_differ(const struct bufftrack_stat *want, const struct bufftrack_stat *seen)
{
	static struct bt_words words;
	unsigned int v;

	words = (struct bt_words) { .used = 0 };
	BT_DIFFER(&words, want, seen, allocs);
	BT_DIFFER(&words, want, seen, frees);
	BT_DIFFER(&words, want, seen, evicted);
	for (v = 0; v < ARRAY_SIZE(want->verdicts); v++)
		if (want->verdicts[v] != seen->verdicts[v])
			bt_say(&words, "[verdict %u: %llu, not %llu]", v,
			       (unsigned long long)seen->verdicts[v],
			       (unsigned long long)want->verdicts[v]);
	return words.text;
}

/* Only this process's own client is left, with its anchors. */
static bool calm(struct bufftrack_stat *stat, int fd)
{
	return !bt_stat(fd, BUFFTRACK_STAT_ALL, 0, 0, stat) &&
	       stat->clients == 1 && stat->live == ANCHORS;
}

/*
 * The storm is over, and its files are closed. A file that was under way in a
 * socket, or of a task that is just going, may close a moment later.
 */
static void settle(struct __test_metadata *_metadata, FIXTURE_DATA(storm) *self,
		   struct account *account)
{
	struct bufftrack_stat stat, want, seen;
	unsigned int i;

	__atomic_store_n(&self->over, true, __ATOMIC_RELAXED);
	pthread_join(self->unloader.thread, NULL);
	EXPECT_EQ(0, self->unloader.errors);
	EXPECT_LT(0, self->unloader.rounds);
	for (i = 0; i < ARRAY_SIZE(self->lister); i++) {
		pthread_join(self->lister[i].thread, NULL);
		EXPECT_EQ(0, self->lister[i].errors);
		EXPECT_LT(0, self->lister[i].rounds);
	}

	for (i = 0; i < 600 && !calm(&stat, self->fd); i++)
		usleep(100000);
	EXPECT_EQ(1, stat.clients);
	EXPECT_EQ(ANCHORS, stat.live);
	EXPECT_EQ(self->before.bytes, stat.bytes);
	/* Nothing is left of the storm's device but freed-buffer records. */
	EXPECT_EQ(0, bt_stat(self->fd, BUFFTRACK_STAT_DEVICE, self->device, 0, &seen));
	EXPECT_EQ(0, seen.live);
	EXPECT_EQ(0, seen.bytes);

	ASSERT_EQ(0, bt_events_end(&self->events));
	ASSERT_EQ(0, self->events.lost)
		TH_LOG("the trace's buffer was too small: events are lost");
	*account = (struct account) { .held = 0 };
	ASSERT_TRUE(add_events(account, &self->events));
	EXPECT_STREQ("", account->words.text)
		TH_LOG("%llu events do not follow", (unsigned long long)account->wrong);
	want = traced(account);
	seen = counted(&self->before, &stat);
	EXPECT_STREQ("", stat_differ(&want, &seen));
	EXPECT_EQ(account->held, account->events[BUFFTRACK_LEAK]);
	EXPECT_EQ(account->held, seen.verdicts[BUFFTRACK_LEAK]);
	EXPECT_EQ(account->events[BT_EV_OPEN], account->events[BT_EV_CLOSE]);
	TH_LOG("%llu unloads refused, %llu lists", (unsigned long long)self->unloader.rounds,
	       (unsigned long long)(self->lister[0].rounds + self->lister[1].rounds));
	TH_LOG("%zu events: %llu clients, %llu allocs, %llu frees, %llu leaks", self->events.nr,
	       (unsigned long long)account->events[BT_EV_OPEN],
	       (unsigned long long)seen.allocs, (unsigned long long)seen.frees,
	       (unsigned long long)seen.verdicts[BUFFTRACK_LEAK]);
}

static void settled(struct account *account)
{
	free(account->keys.sums);
	free(account->holds.sums);
	free(account->clients.sums);
}

/* ---- processes that are killed ------------------------------------------- */

/* Of a child, in memory that it shares: where it is. */
struct progress {
	__u32 begun, ended;
};

static struct bufftrack_op dice(unsigned int *seed, __u64 device, unsigned int slot)
{
	struct bufftrack_op op = { .device = device };
	unsigned int what = next(seed) % 16;

	op.op = what < 10 ? BUFFTRACK_OP_ALLOC : BUFFTRACK_OP_FREE;
	op.buffer = next(seed) % SHARED_KEYS;
	if (what < 5)
		op.buffer = SHARED_KEYS + slot * OWN_KEYS + next(seed) % OWN_KEYS;
	if (what == 5)
		op.flags = BUFFTRACK_F_VIEW;
	else if (what == 6 && !(next(seed) % 4))
		op.flags = BUFFTRACK_F_EXCLUSIVE;
	if (op.op == BUFFTRACK_OP_ALLOC)
		op.size = what == 7 ? SIZE / 2 : SIZE;
	else if (what == 15)
		op.size = SIZE;
	return op;
}

/* Batch after batch, until a timer kills it after so many nanoseconds. */
static void child(FIXTURE_DATA(storm) *self, struct progress *at, unsigned int slot,
		  unsigned int seed, unsigned long ns)
{
	struct sigevent event = { .sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGKILL };
	struct itimerspec when = { .it_value = { .tv_nsec = ns } };
	struct bufftrack_op ops[BATCH];
	struct bufftrack_batch batch;
	int fd = bt_open();
	timer_t timer;
	unsigned int i;

	if (fd < 0 || timer_create(CLOCK_MONOTONIC, &event, &timer) ||
	    timer_settime(timer, 0, &when, NULL))
		_exit(1);
	for (;;) {
		for (i = 0; i < BATCH; i++)
			ops[i] = dice(&seed, self->device, slot);
		__atomic_add_fetch(&at->begun, 1, __ATOMIC_RELAXED);
		if (bt_batch(fd, ops, BATCH, &batch) || batch.done != BATCH)
			_exit(2);
		__atomic_add_fetch(&at->ended, 1, __ATOMIC_RELAXED);
	}
}

/*
 * Each is killed at a random moment of its first few batches, however fast the
 * machine is: where they come to less, they are given more time, and the reverse.
 */
TEST_F(storm, killed_in_batches)
{
	struct progress *at = mmap(NULL, 4096, PROT_READ | PROT_WRITE,
				   MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	unsigned long i, slot, within = 0, batches = 0;
	__u64 range = 2000000; /* nanoseconds; a timer takes less than a second */
	struct account account;
	pid_t pids[AT_ONCE] = { 0 };
	unsigned int cut;

	ASSERT_NE(MAP_FAILED, (void *)at);
	for (i = 0; i < self->nr + AT_ONCE; i++) {
		slot = i % AT_ONCE;
		if (pids[slot]) {
			ASSERT_EQ(128 + SIGKILL, bt_reap(pids[slot]));
			within += at[slot].begun != at[slot].ended;
			batches += at[slot].begun;
			/* A slow machine has not come to any batch. */
			if (!batches)
				range *= 2;
			else if (at[slot].begun < 2)
				range += range / 8;
			else if (at[slot].begun > 3)
				range -= range / 8;
			if (range > 999999999)
				range = 999999999;
			pids[slot] = 0;
		}
		if (i >= self->nr)
			continue;
		at[slot] = (struct progress) { .begun = 0 };
		self->seed++;
		pids[slot] = bt_fork();
		if (!pids[slot])
			child(self, &at[slot], slot, self->seed,
			      1 + (next(&self->seed) * range >> 16));
	}
	settle(_metadata, self, &account);
	cut = cut_short(&account, BATCH);
	TH_LOG("%lu processes, %lu batches: %lu killed within one, %u with a part of it done",
	       self->nr, batches, within, cut);
	EXPECT_LE(self->nr / 4, within);
	EXPECT_LT(0, cut);
	EXPECT_EQ(self->nr, account.events[BT_EV_OPEN]);
	EXPECT_LE(self->nr, account.held);
	settled(&account);
}

/* ---- threads on one key --------------------------------------------------- */

struct worker {
	pthread_t thread;
	int fd;
	__u64 device;
	unsigned int seed, rounds;
	pthread_barrier_t *start;
	__u64 errors;
	struct bufftrack_stat saw;
};

static void *hammer(void *data)
{
	const __u64 stack = 0x5707;
	struct worker *worker = data;
	struct bufftrack_op op;
	__u64 token = 0;
	bool alloc;
	int rc;

	pthread_barrier_wait(worker->start);
	while (worker->rounds--) {
		op = dice(&worker->seed, worker->device, 0);
		op.buffer = 0;
		alloc = op.op == BUFFTRACK_OP_ALLOC;
		op.op = 0;
		if (!alloc && !(next(&worker->seed) % 4))
			op.token = token;
		/* One stack of all threads: each is an actor of it for a while. */
		if (!(next(&worker->seed) % 4)) {
			op.stack = (uintptr_t)&stack;
			op.stack_depth = 1;
		}
		rc = alloc ? bt_alloc(worker->fd, &op) : bt_free(worker->fd, &op);
		if (rc || op.verdict >= BUFFTRACK_LEAK) {
			worker->errors++;
			continue;
		}
		worker->saw.verdicts[op.verdict]++;
		if (op.flags & BUFFTRACK_F_VIEW || (op.verdict != BUFFTRACK_OK &&
						    op.verdict < BUFFTRACK_MISSED_FREE))
			continue;
		if (alloc)
			worker->saw.allocs++;
		else
			worker->saw.frees++;
		token = op.generation;
	}
	return NULL;
}

TEST_F(storm, threads_on_one_key)
{
	static struct worker workers[THREADS];
	struct bufftrack_stat want = { .scope = 0 }, seen, stat;
	struct account account;
	pthread_barrier_t start;
	unsigned int i, v;
	int shared = bt_open();

	ASSERT_LE(0, shared);
	ASSERT_EQ(0, pthread_barrier_init(&start, NULL, THREADS));
	for (i = 0; i < THREADS; i++) {
		workers[i] = (struct worker) {
			.fd = i % 2 ? bt_open() : shared, .device = self->device,
			.seed = self->seed + i, .rounds = 1 + self->nr / 2, .start = &start,
		};
		ASSERT_LE(0, workers[i].fd);
		ASSERT_EQ(0, pthread_create(&workers[i].thread, NULL, hammer, &workers[i]));
	}
	for (i = 0; i < THREADS; i++) {
		pthread_join(workers[i].thread, NULL);
		EXPECT_EQ(0, workers[i].errors);
		want.allocs += workers[i].saw.allocs;
		want.frees += workers[i].saw.frees;
		for (v = 0; v < BUFFTRACK_NR_VERDICTS; v++)
			want.verdicts[v] += workers[i].saw.verdicts[v];
	}
	/* The fixture's own, for each key one of each */
	want.allocs += SHARED_KEYS;
	want.frees += SHARED_KEYS;
	want.verdicts[BUFFTRACK_OK] += 2 * SHARED_KEYS;
	ASSERT_EQ(0, bt_stat(self->fd, BUFFTRACK_STAT_ALL, 0, 0, &stat));
	seen = counted(&self->before, &stat);
	EXPECT_STREQ("", stat_differ(&want, &seen));
	for (i = 0; i < THREADS; i++)
		if (workers[i].fd != shared)
			close(workers[i].fd);
	close(shared);
	settle(_metadata, self, &account);
	EXPECT_EQ(1 + THREADS / 2, account.events[BT_EV_OPEN]);
	EXPECT_EQ(want.allocs, account.events[BT_EV_ALLOC]);
	EXPECT_LT(0, account.events[BUFFTRACK_MISSED_FREE]);
	EXPECT_LT(0, account.events[BUFFTRACK_FOREIGN_FREE]);
	EXPECT_LT(0, account.events[BUFFTRACK_DOUBLE_FREE]);
	settled(&account);
}

/* ---- files that come and go ----------------------------------------------- */

#define FILES 8

struct wanderer {
	int files[FILES];
	unsigned int nr;
	int to, from;
	__u64 device;
	unsigned int seed, slot;
	__u64 passed, forks;		/* it tells how many */
};

static int pass_file(int to, int fd)
{
	union {
		char space[CMSG_SPACE(sizeof(int))];
		struct cmsghdr align;
	} control = { 0 };
	struct iovec iov = { .iov_base = (char *)"", .iov_len = 1 };
	struct msghdr msg = {
		.msg_iov = &iov, .msg_iovlen = 1,
		.msg_control = &control, .msg_controllen = sizeof(control),
	};
	struct cmsghdr *cmsg = CMSG_FIRSTHDR(&msg);

	cmsg->cmsg_level = SOL_SOCKET;
	cmsg->cmsg_type = SCM_RIGHTS;
	cmsg->cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(cmsg), &fd, sizeof(fd));
	return sendmsg(to, &msg, MSG_DONTWAIT | MSG_NOSIGNAL) == 1 ? 0 : -errno;
}

static int take_file(int from)
{
	char byte, control[CMSG_SPACE(sizeof(int))] __attribute__((aligned(8)));
	struct iovec iov = { .iov_base = &byte, .iov_len = 1 };
	struct msghdr msg = {
		.msg_iov = &iov, .msg_iovlen = 1,
		.msg_control = control, .msg_controllen = sizeof(control),
	};
	struct cmsghdr *cmsg;
	int fd;

	if (recvmsg(from, &msg, MSG_DONTWAIT | MSG_CMSG_CLOEXEC) != 1)
		return -errno;
	cmsg = CMSG_FIRSTHDR(&msg);
	if (!cmsg || cmsg->cmsg_type != SCM_RIGHTS)
		return -EPROTO;
	memcpy(&fd, CMSG_DATA(cmsg), sizeof(fd));
	return fd;
}

static void use(struct wanderer *w, unsigned int times)
{
	struct bufftrack_op op;
	bool alloc;

	while (w->nr && times--) {
		op = dice(&w->seed, w->device, w->slot);
		alloc = op.op == BUFFTRACK_OP_ALLOC;
		op.op = 0;
		if (bt_op(w->files[next(&w->seed) % w->nr],
			  alloc ? BUFFTRACK_IOC_ALLOC : BUFFTRACK_IOC_FREE, &op))
			_exit(3);
	}
}

/* A child uses what it has inherited; half of them are killed while they do. */
static void fork_once(struct wanderer *w)
{
	bool killed = next(&w->seed) % 2;
	pid_t pid = fork();

	if (pid < 0)
		_exit(4);
	w->seed++;
	if (!pid) {
		do
			use(w, 10);
		while (killed && w->nr);
		_exit(0);
	}
	if (killed) {
		usleep(next(&w->seed) % 2000);
		kill(pid, SIGKILL);
	}
	if (waitpid(pid, NULL, 0) != pid)
		_exit(5);
	w->forks++;
}

static void wander(struct wanderer *w, unsigned long rounds)
{
	unsigned int at;
	int fd;

	while (rounds--) {
		at = w->nr ? next(&w->seed) % w->nr : 0;
		switch (next(&w->seed) % 8) {
		case 0:
		case 1:
			fd = w->nr < FILES ? bt_open() : -1;
			if (w->nr < FILES && fd < 0)
				_exit(6);
			if (fd >= 0)
				w->files[w->nr++] = fd;
			break;
		case 2:
			fd = w->nr < FILES ? take_file(w->from) : -EAGAIN;
			if (fd < 0 && fd != -EAGAIN)
				_exit(7);
			if (fd >= 0)
				w->files[w->nr++] = fd;
			break;
		case 3:
			/* It stays open here, too, or is under way only. */
			fd = w->nr ? pass_file(w->to, w->files[at]) : -EAGAIN;
			if (fd && fd != -EAGAIN)
				_exit(8);
			if (fd)
				break;
			w->passed++;
			if (next(&w->seed) % 2)
				break;
			/* fallthrough */
		case 4:
			if (w->nr) {
				close(w->files[at]);
				w->files[at] = w->files[--w->nr];
			}
			break;
		case 5:
			fork_once(w);
			break;
		default:
			use(w, 10);
			break;
		}
	}
}

TEST_F(storm, files_that_wander)
{
	int pairs[WANDERERS][2];
	struct bt_pipe up;
	struct account account;
	pid_t pids[WANDERERS];
	__u64 passed = 0, forks = 0;
	unsigned int i;

	ASSERT_EQ(0, bt_pipe(&up));
	for (i = 0; i < WANDERERS; i++)
		ASSERT_EQ(0, socketpair(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0, pairs[i]));
	for (i = 0; i < WANDERERS; i++) {
		pids[i] = bt_fork();
		if (!pids[i]) {
			struct wanderer w = {
				.to = pairs[i][0], .from = pairs[(i + 1) % WANDERERS][1],
				.device = self->device, .slot = i,
				.seed = self->seed + i,
			};

			wander(&w, 10 + self->nr / 4);
			bt_send(&up, w.passed << 32 | w.forks);
			_exit(0);
		}
	}
	for (i = 0; i < WANDERERS; i++) {
		__u64 told;

		EXPECT_EQ(0, bt_reap(pids[i]));
		told = bt_receive(&up);
		passed += told >> 32;
		forks += (__u32)told;
	}
	/* With them go the files that nobody has taken. */
	for (i = 0; i < WANDERERS; i++) {
		close(pairs[i][0]);
		close(pairs[i][1]);
	}
	settle(_metadata, self, &account);
	TH_LOG("%llu files passed, %llu forks", (unsigned long long)passed,
	       (unsigned long long)forks);
	EXPECT_LT(0, passed);
	EXPECT_LT(0, forks);
	settled(&account);
}

TEST_HARNESS_MAIN
