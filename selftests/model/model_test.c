// SPDX-License-Identifier: GPL-2.0
/*
 * Random sequences of all commands, done by the kernel and by the model beside
 * it, and every answer compared. A sequence that differs is made as short as it
 * goes and printed.
 *
 * Each sequence has devices and clients of its own, and leaves nothing behind.
 */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <inttypes.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "model.h"

#define NODE "/dev/bufftrack"
#define PARAMETERS "/sys/module/bufftrack/parameters/"

#define KSFT_PASS 0
#define KSFT_FAIL 1
#define KSFT_SKIP 4

#define CLIENTS 4
#define OBSERVER CLIENTS /* a client that only looks */
#define SLOTS (CLIENTS + 1)
#define DEVICES 3
#define NOWHERE DEVICES /* a device that is never made */
#define SPACES 2
#define BUFFERS 6
#define TAGS 3
#define LIVES 1024
#define BATCH 64
#define POISON 0xa5
#define FULL_RUN 200000 /* steps after which all must have occurred */

#define NO_LIMIT (1U << 22)

static const uint64_t sizes[] = { 4096, 8192, 1ULL << 36, 0, 1 };
static const uint64_t histories[] = { 65536, 65536, 8, 8, 3, 1, 0 };

/* Return addresses where nothing is mapped. */
static uint64_t stack_frames[MODEL_STACKS][8];
static const unsigned int stack_depths[MODEL_STACKS] = { 1, 3, 8, 8 };

static const char *const verdict_words[] = {
	[BUFFTRACK_OK] = "OK",
	[BUFFTRACK_DOUBLE_FREE] = "DOUBLE_FREE",
	[BUFFTRACK_STALE_FREE] = "STALE_FREE",
	[BUFFTRACK_FOREIGN_FREE] = "FOREIGN_FREE",
	[BUFFTRACK_FREE_AFTER_EXIT] = "FREE_AFTER_EXIT",
	[BUFFTRACK_FREE_AFTER_RESET] = "FREE_AFTER_RESET",
	[BUFFTRACK_UNKNOWN_FREE] = "UNKNOWN_FREE",
	[BUFFTRACK_MISSED_FREE] = "MISSED_FREE",
	[BUFFTRACK_SIZE_MISMATCH] = "SIZE_MISMATCH",
	[BUFFTRACK_DANGLING] = "DANGLING",
	[BUFFTRACK_LEAK] = "LEAK",
	[BUFFTRACK_HELD_FREE] = "HELD_FREE",
};

static const char *const info_words[] = {
	"probable",    "history-lost", "not-recorded", "forked",
	"consequence", "undone",       "views-left",   "closing",
};

static const char *const flag_words[] = {
	"EXCLUSIVE", "SHARED", "VIEW", "RETAIN", "SAME", "PERSISTENT", "LAST",
};

static const char *const token_words[NR_TOKEN_KINDS] = {
	[TOKEN_NONE] = "none",
	[TOKEN_LAST] = "last",
	[TOKEN_PREV] = "previous",
	[TOKEN_OLDER] = "older",
	[TOKEN_FIRST] = "first",
	[TOKEN_BLOCK] = "block",
	[TOKEN_BEFORE] = "earlier-block",
	[TOKEN_NEXT] = "next",
	[TOKEN_RECENT] = "recent",
	[TOKEN_ANY] = "any",
};

static const char *const step_words[NR_STEP_KINDS] = {
	[STEP_ALLOC] = "ALLOC",	      [STEP_FREE] = "FREE",   [STEP_UNDO] = "UNDO",
	[STEP_CHURN] = "CHURN",	      [STEP_RESET] = "RESET", [STEP_LABEL] = "LABEL",
	[STEP_CLIENT] = "CLIENT",     [STEP_CLOSE] = "close", [STEP_STAT] = "STAT",
	[STEP_LIST] = "LIST",	      [STEP_INFO] = "INFO",   [STEP_CHECK] = "check everything",
	[STEP_BAD_CALL] = "bad call",
};

/* What an UNDO did */
enum {
	UNDO_NOTHING,
	UNDO_REVIVED,
	UNDO_REF,
	UNDO_DEAD,
	UNDO_ENOENT,
	UNDO_ESTALE,
	UNDO_IN_BATCH,
	UNDO_KINDS
};

static const char *const undo_words[UNDO_KINDS] = {
	[UNDO_NOTHING] = "of what counted nothing",
	[UNDO_REVIVED] = "that makes live",
	[UNDO_REF] = "of a reference",
	[UNDO_DEAD] = "after a reset",
	[UNDO_ENOENT] = "with nothing to take back",
	[UNDO_ESTALE] = "of an older allocation",
	[UNDO_IN_BATCH] = "in a BATCH",
};

/* What a full run must have seen. */
struct coverage {
	uint64_t verdicts[2][BUFFTRACK_NR_VERDICTS][4]; /* by alloc, info */
	uint64_t strict[BUFFTRACK_NR_VERDICTS];
	uint64_t infos[BUFFTRACK_NR_VERDICTS][ARRAY_SIZE(info_words)];
	uint64_t alloc_flags[128];
	uint64_t free_flags[128];
	uint64_t undos[UNDO_KINDS];
	uint64_t reset_flags[16];
	uint64_t batch_errors;
	uint64_t batches;
	uint64_t client_flags[128]; /* after a CLIENT */
	uint64_t list_flags[32];
	uint64_t stats[4][2];
	uint64_t label_flags[2];
	uint64_t commands[16];
	uint64_t errors[160];
	uint64_t tokens[NR_TOKEN_KINDS];
	uint64_t stacks[MODEL_STACKS];
	bool stack_feature;
	uint64_t traps;
	uint64_t judged;
	uint64_t steps;
	uint64_t sequences;
	uint64_t leaks;
};

/* Where the answers come from: the kernel, or a second model in its place. */
struct target {
	bool fake;
	int fds[SLOTS];
	struct model model;
	struct model_client *clients[SLOTS];
	uint64_t last_block; /* the fake's */
	uint64_t last_client;
	uint64_t next_block; /* no generation and no id comes again */
	uint64_t seen_client;
};

/* A FREE as it was answered, for UNDO */
struct freed {
	uint64_t client;
	struct bufftrack_op op;
};

struct run {
	struct target *target;
	struct coverage *coverage; /* may be NULL */
	const struct sequence *seq;
	FILE *log; /* may be NULL */
	struct model m;
	struct model_client *clients[SLOTS];
	struct model_client *closing;
	uint64_t devices[DEVICES + 1];
	uint64_t recent[8];
	unsigned int nr_recent;
	struct freed freed[16]; /* the latest */
	unsigned int nr_freed;
	uint64_t traps; /* seen so far */
	uint64_t started;
	uint64_t leaks; /* counted before */
	uint64_t others; /* what the peaks of those who were here before may add up to */
	unsigned int random; /* for page sizes; the sequence's own */
	bool failed;
	char text[1024];
};

static volatile sig_atomic_t traps_seen;
static uint64_t device_salt;
static bool parameters_writable;

/* ---- small things -------------------------------------------------------- */

static uint64_t mix(uint64_t x)
{
	x += 0x9e3779b97f4a7c15ULL;
	x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9ULL;
	x = (x ^ (x >> 27)) * 0x94d049bb133111ebULL;
	return x ^ (x >> 31);
}

struct dice {
	uint64_t state;
};

static unsigned int roll(struct dice *dice, unsigned int sides)
{
	dice->state++;
	return (mix(dice->state) >> 32) % sides;
}

static bool percent(struct dice *dice, unsigned int chance)
{
	return roll(dice, 100) < chance;
}

static uint64_t now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1000000000ULL + ts.tv_nsec;
}

static const char *verdict_word(uint32_t verdict)
{
	return verdict < ARRAY_SIZE(verdict_words) ? verdict_words[verdict] : "?";
}

static void __attribute__((format(printf, 2, 3))) fail(struct run *r, const char *format, ...)
{
	va_list args;

	/* The first difference is the one that matters. */
	if (r->failed)
		return;
	r->failed = true;
	va_start(args, format);
	vsnprintf(r->text, sizeof(r->text), format, args);
	va_end(args);
}

static void __attribute__((format(printf, 2, 3))) say(struct run *r, const char *format, ...)
{
	va_list args;

	if (!r->log)
		return;
	va_start(args, format);
	vfprintf(r->log, format, args);
	va_end(args);
}

static bool same(struct run *r, const char *of, const char *what, uint64_t want, uint64_t seen)
{
	if (want == seen)
		return true;
	fail(r, "%s %s: expected %" PRIu64 " (0x%" PRIx64 "), seen %" PRIu64 " (0x%" PRIx64 ")", of,
	     what, want, want, seen, seen);
	return false;
}

#define SAME(r, of, want, seen, field) same(r, of, #field, (want)->field, (seen)->field)

static bool same_text(struct run *r, const char *of, const char *what, const char *want,
		      const char *seen, size_t size)
{
	if (!memcmp(want, seen, size))
		return true;
	fail(r, "%s %s: expected \"%.*s\", seen \"%.*s\"", of, what, (int)size, want, (int)size,
	     seen);
	return false;
}

/* ---- module parameters --------------------------------------------------- */

struct parameter {
	const char *name;
	uint64_t value;
	uint64_t old;
	bool known;
};

static struct parameter parameters[] = {
	{ .name = "history" },
	{ .name = "max_buffers" },
	{ .name = "log_limit" },
	{ .name = "max_devices" },
};

enum { HISTORY, MAX_BUFFERS, LOG_LIMIT, MAX_DEVICES };

static bool parameter_file(const char *name, const char *mode, uint64_t *value)
{
	char path[128];
	bool done;
	FILE *f;

	snprintf(path, sizeof(path), PARAMETERS "%s", name);
	f = fopen(path, mode);
	if (!f)
		return false;
	if (mode[0] == 'r')
		done = fscanf(f, "%" SCNu64, value) == 1;
	else
		done = fprintf(f, "%" PRIu64 "\n", *value) > 0;
	return !fclose(f) && done;
}

static bool parameter_set(unsigned int which, uint64_t value)
{
	struct parameter *p = &parameters[which];

	if (!p->known)
		return false;
	if (p->value == value)
		return true;
	if (!parameter_file(p->name, "w", &value))
		return false;
	p->value = value;
	return true;
}

static void parameters_restore(void)
{
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(parameters); i++)
		parameter_set(i, parameters[i].old);
}

static void parameters_read(void)
{
	struct parameter *p;
	unsigned int i;

	parameters_writable = true;
	for (i = 0; i < ARRAY_SIZE(parameters); i++) {
		p = &parameters[i];
		p->known = parameter_file(p->name, "r", &p->old) &&
			   parameter_file(p->name, "w", &p->old);
		p->value = p->old;
		parameters_writable &= p->known;
	}
	atexit(parameters_restore);
}

/* ---- the target ---------------------------------------------------------- */

static int target_open(struct target *t, unsigned int slot)
{
	if (t->fake) {
		t->clients[slot] = model_open(&t->model, ++t->last_client);
		return 0;
	}
	t->fds[slot] = open(NODE, O_RDWR | O_CLOEXEC);
	return t->fds[slot] < 0 ? -errno : 0;
}

static void target_close(struct target *t, unsigned int slot)
{
	if (t->fake) {
		model_close(&t->model, t->clients[slot]);
		t->clients[slot] = NULL;
	} else {
		close(t->fds[slot]);
		t->fds[slot] = -1;
	}
}

static int target_ioctl(struct target *t, unsigned int slot, unsigned long cmd, void *arg)
{
	if (t->fake)
		return model_ioctl(&t->model, t->clients[slot], cmd, arg, NULL);
	return ioctl(t->fds[slot], cmd, arg) < 0 ? -errno : 0;
}

static uint64_t target_traps(const struct target *t)
{
	return t->fake ? t->model.traps : (uint64_t)traps_seen;
}

static void on_trap(int signal)
{
	(void)signal;
	traps_seen++;
}

/* ---- calls, by both ------------------------------------------------------ */

/*
 * @arg is the target's, @mine a copy of it for the model. Returns the target's
 * answer; where it is not the model's, the run has failed.
 */
static int both(struct run *r, unsigned int slot, const char *what, unsigned long cmd, void *arg,
		void *mine)
{
	uint64_t traps;
	int seen, want;

	seen = target_ioctl(r->target, slot, cmd, arg);
	want = model_ioctl(&r->m, r->clients[slot], cmd, mine, arg);
	if (want != seen)
		fail(r, "%s: expected %s, seen %s", what, want ? strerror(-want) : "success",
		     seen ? strerror(-seen) : "success");
	traps = target_traps(r->target) - r->traps;
	r->traps += traps;
	if (r->m.traps != traps)
		fail(r, "%s: expected %" PRIu64 " SIGTRAP, seen %" PRIu64, what, r->m.traps, traps);
	if (r->coverage) {
		r->coverage->traps += traps;
		if (_IOC_NR(cmd) - 0x20 < ARRAY_SIZE(r->coverage->commands))
			r->coverage->commands[_IOC_NR(cmd) - 0x20]++;
		if (-seen < (int)ARRAY_SIZE(r->coverage->errors))
			r->coverage->errors[-seen]++;
	}
	r->m.traps = 0;
	return seen;
}

static bool ours(const struct run *r, uint64_t device)
{
	unsigned int i;

	for (i = 0; i < DEVICES; i++) {
		if (r->devices[i] == device)
			return true;
	}
	return false;
}

static bool client_open(struct run *r, unsigned int slot)
{
	struct bufftrack_client client = { .mask = 0 };
	int rc;

	if (r->clients[slot])
		return true;
	rc = target_open(r->target, slot);
	if (!rc)
		rc = target_ioctl(r->target, slot, BUFFTRACK_IOC_CLIENT, &client);
	if (rc) {
		fail(r, "open: %s", strerror(-rc));
		return false;
	}
	r->clients[slot] = model_open(&r->m, client.id);
	same(r, "CLIENT", "flags", 0, client.flags);
	if (client.id <= r->target->seen_client)
		fail(r, "CLIENT id: expected more than %" PRIu64 ", seen %" PRIu64,
		     r->target->seen_client, (uint64_t)client.id);
	r->target->seen_client = client.id;
	return !r->failed;
}

/*
 * A device that nothing uses any more goes, but not at once: RESET tells when,
 * and changes nothing where there are no allocations.
 */
static void wait_until_gone(struct run *r, unsigned int device)
{
	struct bufftrack_reset reset;
	uint64_t until = now() + 5000000000ULL;
	int rc;

	do {
		reset = (struct bufftrack_reset){
			.device = r->devices[device],
		};
		rc = target_ioctl(r->target, OBSERVER, BUFFTRACK_IOC_RESET, &reset);
	} while (!rc && now() < until);
	if (rc != -ENODEV)
		fail(r, "device %u: expected to go with its last client, after 5 s RESET says %s",
		     device, rc ? strerror(-rc) : "success");
}

static void client_close(struct run *r, unsigned int slot)
{
	bool there[DEVICES];
	unsigned int i;

	for (i = 0; i < DEVICES; i++)
		there[i] = model_device(&r->m, r->devices[i]);
	target_close(r->target, slot);
	r->closing = r->clients[slot];
	r->clients[slot] = NULL;
	model_close(&r->m, r->closing);
	r->closing = NULL;
	for (i = 0; i < DEVICES && r->clients[OBSERVER]; i++) {
		if (there[i] && !model_device(&r->m, r->devices[i]))
			wait_until_gone(r, i);
	}
}

/* ---- LIST ---------------------------------------------------------------- */

/* Those on our devices; how many, or a negative errno */
static int fetch(struct run *r, unsigned int slot, const struct bufftrack_list *filter,
		 unsigned int page, unsigned int entry_size, struct bufftrack_life *lives)
{
	struct bufftrack_list list = *filter;
	static char room[256 * 1024];
	const struct bufftrack_life *life;
	unsigned int i, nr = 0;
	int rc;

	if ((size_t)page * entry_size > sizeof(room))
		page = sizeof(room) / entry_size;
	for (;;) {
		list.entries = (uintptr_t)room;
		list.nr = page;
		list.entry_size = entry_size;
		memset(room, POISON, (size_t)page * entry_size);
		rc = target_ioctl(r->target, slot, BUFFTRACK_IOC_LIST, &list);
		if (rc)
			return rc;
		if (!list.nr)
			return nr;
		same(r, "LIST", "entry_size", sizeof(*life), list.entry_size);
		if (list.nr > page)
			fail(r, "LIST nr: room %u, seen %u", page, list.nr);
		for (i = 0; i < list.nr && !r->failed; i++) {
			life = (void *)(room + (size_t)i * entry_size);
			if (!ours(r, life->device))
				continue;
			if (nr == LIVES)
				fail(r, "LIST: does not end");
			else
				lives[nr++] = *life;
		}
		if (r->failed)
			return nr;
	}
}

static int by_generation(const void *a, const void *b)
{
	const struct bufftrack_life *x = a, *y = b;

	return x->generation < y->generation ? -1 : x->generation > y->generation;
}

/* The kernel's number of each of our stacks, as far as one LIST has told. */
struct stack_ids {
	uint32_t ids[MODEL_STACKS];
};

/* An event as the model dates it, and as the kernel does */
struct moment {
	uint64_t call;
	uint64_t time;
};

static int by_call(const void *a, const void *b)
{
	const struct moment *x = a, *y = b;

	if (x->call != y->call)
		return x->call < y->call ? -1 : 1;
	return x->time < y->time ? -1 : x->time > y->time;
}

/* In seconds since the start, to 10 ms; 0 where it cannot be read */
static uint64_t process_started(void)
{
	static char stat[1024];
	uint64_t ticks = 0;
	unsigned int field;
	FILE *f = fopen("/proc/self/stat", "r");
	char *at;

	if (!f)
		return 0;
	stat[fread(stat, 1, sizeof(stat) - 1, f)] = 0;
	fclose(f);
	at = strrchr(stat, ')');
	for (field = 2; at && field < 22; field++)
		at = strchr(at + 1, ' ');
	if (at)
		ticks = strtoull(at, NULL, 10);
	return ticks * (1000000000ULL / sysconf(_SC_CLK_TCK));
}

/* This process's start time and cgroup are the same in each event. */
static void compare_process(struct run *r, const char *of, const struct bufftrack_event *seen)
{
	static uint64_t start, cgroup;
	uint64_t about;

	if (r->target->fake)
		return;
	if (!start) {
		about = process_started();
		if (about &&
		    (seen->start_time < about - 10000000 || seen->start_time > about + 20000000))
			fail(r, "%s start_time %" PRIu64 ": expected about %" PRIu64, of,
			     (uint64_t)seen->start_time, about);
		start = seen->start_time;
		cgroup = seen->cgroup;
	}
	same(r, of, "start_time", start, seen->start_time);
	same(r, of, "cgroup", cgroup, seen->cgroup);
}

static void compare_event(struct run *r, const char *of, const struct bufftrack_event *want,
			  const struct bufftrack_event *seen, struct stack_ids *ids,
			  struct moment *moment)
{
	uint32_t *id;

	SAME(r, of, want, seen, pid);
	SAME(r, of, want, seen, tid);
	SAME(r, of, want, seen, uid);
	SAME(r, of, want, seen, client);
	SAME(r, of, want, seen, exited);
	SAME(r, of, want, seen, reserved);
	if (want->time)
		compare_process(r, of, seen);
	same_text(r, of, "comm", want->comm, seen->comm, sizeof(want->comm));
	same(r, of, "time is known", !!want->time, !!seen->time);
	same(r, of, "has a stack", !!want->stack_id, !!seen->stack_id);
	moment->call = want->time;
	moment->time = seen->time;
	if (!want->stack_id)
		return;
	id = &ids->ids[want->stack_id - 1];
	if (!*id)
		*id = seen->stack_id;
	same(r, of, "stack_id, as elsewhere", *id, seen->stack_id);
}

static void compare_life(struct run *r, const struct bufftrack_life *want,
			 const struct bufftrack_life *seen, struct stack_ids *ids,
			 struct moment *moments)
{
	char of[128];

	snprintf(of, sizeof(of),
		 "LIST 0x%" PRIx64 " space %u buffer %" PRIu64 " generation %" PRIu64,
		 (uint64_t)want->device, want->space, (uint64_t)want->buffer,
		 (uint64_t)want->generation);
	SAME(r, of, want, seen, device);
	SAME(r, of, want, seen, space);
	SAME(r, of, want, seen, buffer);
	SAME(r, of, want, seen, state);
	SAME(r, of, want, seen, size);
	SAME(r, of, want, seen, tag);
	SAME(r, of, want, seen, client);
	SAME(r, of, want, seen, refs);
	SAME(r, of, want, seen, views);
	SAME(r, of, want, seen, flags);
	SAME(r, of, want, seen, reserved);
	SAME(r, of, want, seen, lives);
	SAME(r, of, want, seen, frees);
	SAME(r, of, want, seen, refused);
	SAME(r, of, want, seen, prev_state);
	SAME(r, of, want, seen, prev_generation);
	compare_event(r, "LIST alloc", &want->alloc, &seen->alloc, ids, &moments[0]);
	compare_event(r, "LIST end", &want->end, &seen->end, ids, &moments[1]);
	compare_event(r, "LIST prev_alloc", &want->prev_alloc, &seen->prev_alloc, ids, &moments[2]);
	compare_event(r, "LIST prev_end", &want->prev_end, &seen->prev_end, ids, &moments[3]);
}

/* Events of later calls have no earlier times. */
static void compare_moments(struct run *r, struct moment *moments, unsigned int nr)
{
	uint64_t end = now();
	unsigned int i;

	if (r->target->fake)
		return;
	qsort(moments, nr, sizeof(*moments), by_call);
	for (i = 0; i < nr; i++) {
		if (!moments[i].call)
			continue;
		if (moments[i].time < r->started || moments[i].time > end)
			fail(r, "LIST time %" PRIu64 ": expected between %" PRIu64 " and %" PRIu64,
			     moments[i].time, r->started, end);
		if (i && moments[i].call != moments[i - 1].call &&
		    moments[i].time < moments[i - 1].time)
			fail(r, "LIST times: expected %" PRIu64 " not after %" PRIu64,
			     moments[i - 1].time, moments[i].time);
	}
}

static void compare_stacks(struct run *r, unsigned int slot, const struct stack_ids *ids)
{
	struct bufftrack_frame frames[16];
	struct bufftrack_stack stack;
	unsigned int i, j;
	int rc;

	for (i = 0; i < MODEL_STACKS; i++) {
		if (!ids->ids[i])
			continue;
		memset(frames, POISON, sizeof(frames));
		stack = (struct bufftrack_stack){
			.frames = (uintptr_t)frames,
			.nr = ARRAY_SIZE(frames),
			.frame_size = sizeof(frames[0]),
			.stack_id = ids->ids[i],
		};
		rc = target_ioctl(r->target, slot, BUFFTRACK_IOC_STACK, &stack);
		if (r->coverage)
			r->coverage->stacks[i]++;
		if (rc) {
			fail(r, "STACK: %s", strerror(-rc));
			return;
		}
		same(r, "STACK", "nr", stack_depths[i], stack.nr);
		for (j = 0; j < stack_depths[i]; j++) {
			same(r, "STACK", "address", stack_frames[i][j], frames[j].address);
			same(r, "STACK", "offset", 0, frames[j].offset);
			same(r, "STACK", "path[0]", 0, frames[j].path[0]);
		}
	}
}

static void list_compare(struct run *r, unsigned int slot, const struct bufftrack_list *filter,
			 unsigned int page, unsigned int entry_size, bool stacks)
{
	static struct bufftrack_life want[LIVES], seen[LIVES];
	static struct moment moments[LIVES * 4];
	struct stack_ids ids = {};
	unsigned int i, j, nr;
	int got;

	got = fetch(r, slot, filter, page, entry_size, seen);
	if (got < 0)
		fail(r, "LIST: %s", strerror(-got));
	if (r->coverage) {
		r->coverage->commands[8]++;
		r->coverage->list_flags[filter->flags]++;
	}
	if (r->failed)
		return;
	nr = model_lives(&r->m, filter, want, LIVES);
	qsort(want, nr, sizeof(*want), by_generation);
	qsort(seen, got, sizeof(*seen), by_generation);
	for (i = 0; i < nr && i < (unsigned int)got; i++) {
		if (want[i].generation != seen[i].generation)
			break;
	}
	if (i < nr && (i == (unsigned int)got || want[i].generation < seen[i].generation))
		fail(r,
		     "LIST flags 0x%x: expected generation %" PRIu64 " space %u buffer %" PRIu64
		     " state %u, not listed (%u expected, %d seen)",
		     filter->flags, (uint64_t)want[i].generation, want[i].space,
		     (uint64_t)want[i].buffer, want[i].state, nr, got);
	else if (i < nr || i < (unsigned int)got)
		fail(r,
		     "LIST flags 0x%x: seen generation %" PRIu64 " space %u buffer %" PRIu64
		     " state %u, %s (%u expected, %d seen)",
		     filter->flags, (uint64_t)seen[i].generation, seen[i].space,
		     (uint64_t)seen[i].buffer, seen[i].state,
		     i && seen[i].generation == seen[i - 1].generation ? "listed twice"
								       : "not expected",
		     nr, got);
	for (j = 0; j < i && !r->failed; j++)
		compare_life(r, &want[j], &seen[j], &ids, &moments[j * 4]);
	if (r->failed)
		return;
	compare_moments(r, moments, i * 4);
	if (stacks)
		compare_stacks(r, slot, &ids);
}

/*
 * The same of a PRIVATE client that has closed, whose records are all gone: the
 * spaces have counted them. Where they are gone too, it does not matter.
 */
static unsigned int resolve_closed(struct run *r, struct model_record *const *among,
				   unsigned int nr)
{
	struct model_space *space;
	struct bufftrack_stat st;
	unsigned int i;

	for (i = 0; i < nr; i++) {
		space = among[i]->space;
		st = (struct bufftrack_stat){
			.scope = BUFFTRACK_STAT_SPACE,
			.device = space->device->id,
			.space = space->id,
		};
		if (!target_ioctl(r->target, OBSERVER, BUFFTRACK_IOC_STAT, &st) &&
		    st.evicted > space->counts.evicted)
			return i;
	}
	return 0;
}

/* The model asks which of several that ended together is no longer there. */
static unsigned int resolve(void *arg, struct model_record *const *among, unsigned int nr)
{
	static struct bufftrack_life seen[LIVES];
	struct run *r = arg;
	struct bufftrack_list filter = {
		.flags = BUFFTRACK_LIST_DEAD | BUFFTRACK_LIST_DEVICE,
		.device = among[0]->space->device->id,
	};
	unsigned int i;
	int got, j;

	if (among[0]->owner && among[0]->owner == r->closing)
		return resolve_closed(r, among, nr);
	got = fetch(r, OBSERVER, &filter, 64, sizeof(seen[0]), seen);
	for (i = 0; i < nr; i++) {
		for (j = 0; j < got; j++) {
			if (seen[j].generation == among[i]->last.generation)
				break;
		}
		if (j >= got)
			return i;
	}
	return 0;
}

/* ---- STAT ---------------------------------------------------------------- */

static void compare_stat(struct run *r, const char *of, const struct bufftrack_stat *want,
			 const struct bufftrack_stat *seen)
{
	char name[64];
	unsigned int i;

	SAME(r, of, want, seen, device);
	SAME(r, of, want, seen, client);
	SAME(r, of, want, seen, space);
	SAME(r, of, want, seen, pid);
	SAME(r, of, want, seen, uid);
	SAME(r, of, want, seen, client_flags);
	same_text(r, of, "name", want->name, seen->name, sizeof(want->name));
	same_text(r, of, "comm", want->comm, seen->comm, sizeof(want->comm));
	SAME(r, of, want, seen, live);
	SAME(r, of, want, seen, bytes);
	/* That of all is a sum over users: those of earlier programs are not the model's. */
	if (seen->scope != BUFFTRACK_STAT_ALL || seen->peak_bytes < want->peak_bytes ||
	    seen->peak_bytes - want->peak_bytes > r->others)
		SAME(r, of, want, seen, peak_bytes);
	SAME(r, of, want, seen, allocs);
	SAME(r, of, want, seen, frees);
	SAME(r, of, want, seen, history);
	SAME(r, of, want, seen, evicted);
	SAME(r, of, want, seen, clients);
	SAME(r, of, want, seen, undos);
	for (i = 0; i < BUFFTRACK_MAX_VERDICTS; i++) {
		if (want->verdicts[i] == seen->verdicts[i])
			continue;
		snprintf(name, sizeof(name), "verdicts[%s]", verdict_word(i));
		same(r, of, name, want->verdicts[i], seen->verdicts[i]);
	}
	for (i = 0; i < ARRAY_SIZE(seen->reserved); i++)
		same(r, of, "reserved", 0, seen->reserved[i]);
}

/* The outputs are poisoned: all of them must be written. */
static struct bufftrack_stat stat_request(unsigned int scope, unsigned int flags)
{
	struct bufftrack_stat st;

	memset(&st, POISON, sizeof(st));
	st.scope = scope;
	st.flags = flags;
	st.cursor = 0;
	st.device = 0;
	st.client = 0;
	st.space = 0;
	memset(st.reserved, 0, sizeof(st.reserved));
	return st;
}

static const char *scope_word(unsigned int scope)
{
	static const char *const words[] = {
		"STAT all",
		"STAT device",
		"STAT space",
		"STAT client",
	};

	return words[scope];
}

static void stat_compare(struct run *r, unsigned int slot, unsigned int scope, uint64_t device,
			 uint32_t space, uint64_t client)
{
	struct bufftrack_stat st = stat_request(scope, 0), mine;

	if (scope == BUFFTRACK_STAT_DEVICE || scope == BUFFTRACK_STAT_SPACE)
		st.device = device;
	if (scope == BUFFTRACK_STAT_SPACE)
		st.space = space;
	if (scope == BUFFTRACK_STAT_CLIENT)
		st.client = client;
	if (r->coverage)
		r->coverage->stats[scope][0]++;
	mine = st;
	if (!both(r, slot, scope_word(scope), BUFFTRACK_IOC_STAT, &st, &mine) && !r->failed)
		compare_stat(r, scope_word(scope), &mine, &st);
}

/* Whether one of a walk is of this sequence. */
static bool walk_ours(const struct run *r, const struct bufftrack_stat *st)
{
	unsigned int i;

	if (st->scope != BUFFTRACK_STAT_CLIENT)
		return ours(r, st->device);
	for (i = 0; i < SLOTS; i++) {
		if (r->clients[i] && r->clients[i]->id == st->client)
			return true;
	}
	return false;
}

static void stat_walk(struct run *r, unsigned int slot, unsigned int scope, uint64_t device)
{
	struct bufftrack_stat st = stat_request(scope, BUFFTRACK_STAT_NEXT);
	struct bufftrack_stat mine = st;
	char of[64];
	int want, seen;

	snprintf(of, sizeof(of), "%s next", scope_word(scope));
	if (r->coverage)
		r->coverage->stats[scope][1]++;
	do {
		uint64_t cursor = st.cursor;

		do {
			st = stat_request(scope, BUFFTRACK_STAT_NEXT);
			st.cursor = cursor;
			if (scope == BUFFTRACK_STAT_SPACE)
				st.device = device;
			seen = target_ioctl(r->target, slot, BUFFTRACK_IOC_STAT, &st);
			cursor = st.cursor;
		} while (!seen && !walk_ours(r, &st));

		cursor = mine.cursor;
		mine = stat_request(scope, BUFFTRACK_STAT_NEXT);
		mine.cursor = cursor;
		if (scope == BUFFTRACK_STAT_SPACE)
			mine.device = device;
		want = model_ioctl(&r->m, r->clients[slot], BUFFTRACK_IOC_STAT, &mine, NULL);
		if (want != seen)
			fail(r, "%s: expected %s, seen %s", of, want ? strerror(-want) : "one more",
			     seen ? strerror(-seen) : "one more");
		else if (!want)
			compare_stat(r, of, &mine, &st);
	} while (!want && !r->failed);
}

/* ---- everything at once -------------------------------------------------- */

static void check_all(struct run *r, bool walks)
{
	struct bufftrack_list filter = {
		.flags = BUFFTRACK_LIST_DEAD | BUFFTRACK_LIST_DEVICE,
	};
	unsigned int i, space;

	stat_compare(r, OBSERVER, BUFFTRACK_STAT_ALL, 0, 0, 0);
	for (i = 0; i < DEVICES && !r->failed; i++) {
		stat_compare(r, OBSERVER, BUFFTRACK_STAT_DEVICE, r->devices[i], 0, 0);
		for (space = 0; space < SPACES; space++)
			stat_compare(r, OBSERVER, BUFFTRACK_STAT_SPACE, r->devices[i], space, 0);
		filter.device = r->devices[i];
		if (!r->failed)
			list_compare(r, OBSERVER, &filter, 1 + (r->random += 7) % 40,
				     sizeof(struct bufftrack_life), walks);
		if (walks)
			stat_walk(r, OBSERVER, BUFFTRACK_STAT_SPACE, r->devices[i]);
	}
	for (i = 0; i < SLOTS && !r->failed; i++) {
		if (r->clients[i])
			stat_compare(r, OBSERVER, BUFFTRACK_STAT_CLIENT, 0, 0, r->clients[i]->id);
	}
	if (walks && !r->failed)
		stat_walk(r, OBSERVER, BUFFTRACK_STAT_CLIENT, 0);
}

/* ---- ALLOC and FREE ------------------------------------------------------ */

static uint64_t token_of(const struct run *r, const struct step *step)
{
	const struct model_record *rec;
	uint64_t last;

	rec = model_record(&r->m, r->clients[step->client], r->devices[step->device], step->space,
			   step->buffer);
	if (!rec)
		return step->token == TOKEN_NONE ? 0
		       : step->token == TOKEN_ANY || !r->nr_recent
			       ? mix(step->arg) | 1
			       : r->recent[step->arg % ARRAY_SIZE(r->recent) % r->nr_recent];
	last = rec->last.generation;
	switch (step->token) {
	case TOKEN_LAST:
		return last;
	case TOKEN_PREV:
		return rec->prev.generation;
	case TOKEN_OLDER:
		last = last % MODEL_BLOCK;
		return rec->last.generation - (last ? step->arg % last : 0);
	case TOKEN_FIRST:
		return rec->first;
	case TOKEN_BLOCK:
		return last - last % MODEL_BLOCK;
	case TOKEN_BEFORE:
		last -= last % MODEL_BLOCK;
		if (last < MODEL_BLOCK)
			return 0;
		return last - MODEL_BLOCK * (step->arg % 4 % (last / MODEL_BLOCK)) - 1 -
		       step->arg / 4 % (MODEL_BLOCK - 1);
	case TOKEN_NEXT:
		return last + 1 + (step->arg % 4 ? 0 : step->arg % 3000);
	case TOKEN_RECENT:
		if (!r->nr_recent)
			return 0;
		return r->recent[step->arg % ARRAY_SIZE(r->recent) % r->nr_recent];
	case TOKEN_ANY:
		return mix(step->arg);
	default:
		return 0;
	}
}

/* What a step asks for; outputs poisoned */
static struct bufftrack_op op_of(struct run *r, const struct step *step, bool in_batch)
{
	struct bufftrack_op op;
	bool alloc = step->kind == STEP_ALLOC;

	memset(&op, POISON, sizeof(op));
	op.device = r->devices[step->device];
	op.buffer = step->buffer;
	op.size = alloc || step->size ? sizes[(step->size - !alloc) % ARRAY_SIZE(sizes)] : 0;
	op.tag = alloc ? step->arg % TAGS : 0;
	op.token = 0;
	if (!alloc || step->flags & (BUFFTRACK_F_VIEW | BUFFTRACK_F_RETAIN))
		op.token = token_of(r, step);
	op.stack = 0;
	op.stack_depth = 0;
	if (step->stack && (r->m.info.features & BUFFTRACK_FEATURE_STACK)) {
		op.stack = (uintptr_t)stack_frames[step->stack - 1];
		op.stack_depth = stack_depths[step->stack - 1];
	}
	op.space = step->space;
	op.op = 0;
	if (in_batch)
		op.op = alloc ? BUFFTRACK_OP_ALLOC : BUFFTRACK_OP_FREE;
	op.flags = step->flags;
	op.stack_id = 0;
	op.reserved = 0;

	switch (step->wrong) {
	case 1:
		op.flags |= 1U << (7 + step->arg % 25);
		break;
	case 2:
		if (alloc)
			op.token = 1;
		else
			op.tag = 1;
		break;
	case 3:
		op.op = in_batch ? step->arg % 2 * 4 : 1 + step->arg % 4;
		break;
	case 4:
		op.reserved = 1;
		break;
	case 5:
		op.stack = (uintptr_t)stack_frames;
		op.stack_depth = r->m.info.max_stack_depth + 1;
		break;
	default:
		break;
	}
	if (r->coverage && !alloc)
		r->coverage->tokens[step->token]++;
	return op;
}

static void op_recent(struct run *r, const struct bufftrack_op *op)
{
	if (op->generation)
		r->recent[r->nr_recent++ % ARRAY_SIZE(r->recent)] = op->generation;
}

static void op_freed(struct run *r, unsigned int slot, const struct bufftrack_op *op)
{
	struct freed *freed = &r->freed[r->nr_freed++ % ARRAY_SIZE(r->freed)];

	freed->client = r->clients[slot]->id;
	freed->op = *op;
}

/* Mostly one of the client's latest FREEs, as it was answered */
static struct bufftrack_op undo_of(struct run *r, const struct step *step, bool in_batch)
{
	unsigned int have = r->nr_freed < ARRAY_SIZE(r->freed) ? r->nr_freed : ARRAY_SIZE(r->freed);
	unsigned int skip = step->arg / 8 % 8 ? 0 : step->arg / 64 % 4;
	bool own = step->arg % 8;
	const struct freed *freed;
	struct bufftrack_op op = {
		.device = r->devices[step->device],
		.buffer = step->buffer,
	};
	unsigned int i;

	for (i = 1; i <= have; i++) {
		freed = &r->freed[(r->nr_freed - i) % ARRAY_SIZE(r->freed)];
		if (own && freed->client != r->clients[step->client]->id)
			continue;
		op = freed->op;
		if (!skip--)
			break;
	}
	op.op = in_batch ? BUFFTRACK_OP_UNDO : 0;
	switch (step->wrong) {
	case 1:
		op.verdict = op.verdict ? BUFFTRACK_OK : BUFFTRACK_HELD_FREE;
		break;
	case 2:
		op.generation += step->arg / 64 % 3 - 1;
		break;
	case 3:
		op.tag = 1;
		break;
	case 4:
		op.reserved = 1;
		break;
	case 5:
		op.flags |= 1U << step->arg / 64 % 32;
		break;
	default:
		break;
	}
	return op;
}

static void undo_covered(struct run *r, const struct bufftrack_op *before,
			 const struct bufftrack_op *op, int rc, bool in_batch)
{
	struct coverage *c = r->coverage;
	unsigned int kind;

	if (!c)
		return;
	if (rc == -ENOENT)
		kind = UNDO_ENOENT;
	else if (rc == -ESTALE)
		kind = UNDO_ESTALE;
	else if (rc)
		return;
	else if (before->verdict != BUFFTRACK_OK && before->verdict != BUFFTRACK_SIZE_MISMATCH &&
		 before->verdict != BUFFTRACK_HELD_FREE)
		kind = UNDO_NOTHING;
	else if (!op->refs)
		kind = UNDO_DEAD;
	else
		kind = op->refs == 1 ? UNDO_REVIVED : UNDO_REF;
	c->undos[kind]++;
	c->undos[UNDO_IN_BATCH] += in_batch;
}

static void op_covered(struct run *r, unsigned int slot, const struct bufftrack_op *op, bool alloc)
{
	struct coverage *c = r->coverage;
	unsigned int i;

	if (!c)
		return;
	c->judged++;
	c->verdicts[alloc][op->verdict][op->info & 3]++;
	for (i = 0; i < ARRAY_SIZE(info_words); i++)
		c->infos[op->verdict][i] += op->info >> i & 1;
	if (r->clients[slot]->flags & BUFFTRACK_CLIENT_STRICT)
		c->strict[op->verdict]++;
	(alloc ? c->alloc_flags : c->free_flags)[op->flags & 127]++;
}

static void compare_op(struct run *r, const char *of, const struct bufftrack_op *want,
		       const struct bufftrack_op *seen)
{
	if (want->verdict != seen->verdict)
		fail(r, "%s verdict: expected %s, seen %s", of, verdict_word(want->verdict),
		     verdict_word(seen->verdict));
	SAME(r, of, want, seen, info);
	SAME(r, of, want, seen, refs);
	SAME(r, of, want, seen, generation);
	SAME(r, of, want, seen, error);
	SAME(r, of, want, seen, reserved);
	same(r, of, "stack_id is there", !!want->stack_id, !!seen->stack_id);
	/* What the caller gave is as it was. */
	if (memcmp(want, seen, offsetof(struct bufftrack_op, generation)))
		fail(r, "%s: an input was changed", of);
}

static void op_said(struct run *r, const struct bufftrack_op *op, int rc)
{
	unsigned int i;

	if (op->token)
		say(r, " = %" PRIu64, (uint64_t)op->token);
	say(r, " -> %s", verdict_word(op->verdict));
	for (i = 0; i < ARRAY_SIZE(info_words); i++)
		say(r, "%s%s", op->info >> i & 1 ? " " : "",
		    op->info >> i & 1 ? info_words[i] : "");
	say(r, " generation %" PRIu64 " refs %u", (uint64_t)op->generation, op->refs);
	if (rc)
		say(r, " (%s)", strerror(-rc));
}

static void do_op(struct run *r, const struct step *step)
{
	bool alloc = step->kind == STEP_ALLOC;
	struct bufftrack_op op = op_of(r, step, false);
	struct bufftrack_op mine = op;
	int rc;

	rc = both(r, step->client, step_words[step->kind],
		  alloc ? BUFFTRACK_IOC_ALLOC : BUFFTRACK_IOC_FREE, &op, &mine);
	if (!r->m.judged) {
		say(r, " -> %s", rc ? strerror(-rc) : "success");
		return;
	}
	op_said(r, &op, rc);
	if (r->failed)
		return;
	compare_op(r, step_words[step->kind], &mine, &op);
	if (r->failed)
		return;
	op_recent(r, &op);
	op_covered(r, step->client, &op, alloc);
	if (!alloc)
		op_freed(r, step->client, &op);
}

static void do_undo(struct run *r, const struct step *step)
{
	struct bufftrack_op op = undo_of(r, step, false);
	struct bufftrack_op before = op, mine = op;
	int rc;

	say(r, " of %s buffer %" PRIu64 " space %u flags 0x%x generation %" PRIu64,
	    verdict_word(op.verdict), (uint64_t)op.buffer, op.space, op.flags,
	    (uint64_t)op.generation);
	rc = both(r, step->client, "UNDO", BUFFTRACK_IOC_UNDO, &op, &mine);
	if (rc || r->failed) {
		say(r, " -> %s", strerror(-rc));
	} else {
		op_said(r, &op, rc);
		compare_op(r, "UNDO", &mine, &op);
	}
	if (!r->failed)
		undo_covered(r, &before, &op, rc, false);
}

static void say_step(struct run *r, unsigned int at);

/* The entries are not looked at before the call: @ops is for the kernel. */
static void batch_compare(struct run *r, unsigned int slot, void *ops, unsigned int nr,
			  unsigned int entry_size)
{
	static char copy[2 * BUFFTRACK_OP_FREE * 4096 * 128], given[sizeof(copy)];
	struct bufftrack_batch batch = {
		.entries = (uintptr_t)ops,
		.nr = nr,
		.entry_size = entry_size,
		.done = ~0U,
		.bad = ~0U,
	};
	struct bufftrack_batch mine = batch;
	unsigned int i;
	int rc;

	memcpy(copy, ops, (size_t)nr * entry_size);
	memcpy(given, ops, (size_t)nr * entry_size);
	mine.entries = (uintptr_t)copy;
	rc = both(r, slot, "BATCH", BUFFTRACK_IOC_BATCH, &batch, &mine);
	say(r, "      client %u: BATCH of %u -> %s done %u bad %u\n", slot, nr,
	    rc ? strerror(-rc) : "success", batch.done, batch.bad);
	for (i = 0; i < nr; i++) {
		struct bufftrack_op *want, *seen;
		char of[64];

		want = (void *)(copy + (size_t)i * entry_size);
		seen = (void *)((char *)ops + (size_t)i * entry_size);
		say(r, "        [%u] %s", i,
		    seen->op == BUFFTRACK_OP_ALLOC  ? "ALLOC"
		    : seen->op == BUFFTRACK_OP_UNDO ? "UNDO"
						    : "FREE");
		op_said(r, seen, seen->error);
		say(r, "\n");
		if (r->failed)
			continue;
		snprintf(of, sizeof(of), "BATCH [%u]", i);
		compare_op(r, of, want, seen);
		if (r->failed)
			continue;
		if (seen->op == BUFFTRACK_OP_UNDO) {
			undo_covered(r, (void *)(given + (size_t)i * entry_size), seen, seen->error,
				     true);
			continue;
		}
		op_recent(r, seen);
		if (seen->error && seen->verdict == BUFFTRACK_OK) {
			if (r->coverage)
				r->coverage->batch_errors++;
			continue;
		}
		op_covered(r, slot, seen, seen->op == BUFFTRACK_OP_ALLOC);
		if (seen->op == BUFFTRACK_OP_FREE)
			op_freed(r, slot, seen);
	}
	SAME(r, "BATCH", &mine, &batch, done);
	SAME(r, "BATCH", &mine, &batch, bad);
	if (r->coverage)
		r->coverage->batches++;
}

/* Steps from @at on go together; returns how many. */
static unsigned int do_batch(struct run *r, unsigned int at)
{
	static uint64_t room[BATCH * (sizeof(struct bufftrack_op) + 64) / 8];
	const struct step *steps = r->seq->steps;
	unsigned int slot = steps[at].client;
	unsigned int entry_size, nr, i;

	for (nr = 0; at + nr < r->seq->nr && nr < BATCH; nr++) {
		if (steps[at + nr].batch != steps[at].batch || steps[at + nr].kind > STEP_UNDO)
			break;
	}
	entry_size = sizeof(struct bufftrack_op) + steps[at].arg % 3 * 8;
	memset(room, 0, sizeof(room));
	for (i = 0; i < nr; i++) {
		struct step step = steps[at + i];
		struct bufftrack_op op;

		step.client = slot;
		op = step.kind == STEP_UNDO ? undo_of(r, &step, true) : op_of(r, &step, true);
		memcpy((char *)room + (size_t)i * entry_size, &op, sizeof(op));
		if (i)
			say_step(r, at + i);
		say(r, " (in the batch)\n");
	}
	batch_compare(r, slot, room, nr, entry_size);
	return nr;
}

/* Many allocations of one key, to use up its generations. */
static void do_churn(struct run *r, const struct step *step)
{
	bool missed = step->flags & BUFFTRACK_F_EXCLUSIVE;
	static struct bufftrack_op ops[512];
	unsigned int left = step->arg % 1400 + 1;
	unsigned int i, nr;

	/* Which freed-buffer record goes must not depend on what is later in a batch. */
	if (model_ambiguous(&r->m))
		return;
	while (left && !r->failed) {
		nr = left < 256 ? left : 256;
		left -= nr;
		memset(ops, 0, sizeof(ops));
		for (i = 0; i < 2 * nr; i++) {
			ops[i].device = r->devices[step->device];
			ops[i].space = step->space;
			ops[i].buffer = step->buffer;
			ops[i].op = BUFFTRACK_OP_ALLOC;
			ops[i].flags = missed ? BUFFTRACK_F_EXCLUSIVE : 0;
			if (!missed && i % 2)
				ops[i].op = BUFFTRACK_OP_FREE;
		}
		batch_compare(r, step->client, ops, 2 * nr, sizeof(ops[0]));
	}
}

/* ---- other steps --------------------------------------------------------- */

static void do_client(struct run *r, const struct step *step)
{
	struct bufftrack_client client = {
		.mask = step->flags & 127,
		.flags = step->flags >> 8 & step->flags & 126,
		.id = ~0ULL,
	};
	struct bufftrack_client mine;
	int rc;

	if (client.mask & BUFFTRACK_CLIENT_NAME)
		snprintf(client.name, sizeof(client.name), "runtime-%u", step->arg % 100000);
	switch (step->wrong) {
	case 1:
		client.mask |= 1U << (7 + step->arg % 25);
		break;
	case 2:
		client.flags |= BUFFTRACK_CLIENT_NAME;
		break;
	case 3:
		client.mask |= BUFFTRACK_CLIENT_NAME;
		memset(client.name, 'x', sizeof(client.name));
		break;
	default:
		break;
	}
	mine = client;
	rc = both(r, step->client, "CLIENT", BUFFTRACK_IOC_CLIENT, &client, &mine);
	say(r, " -> %s flags 0x%x", rc ? strerror(-rc) : "success", client.flags);
	if (rc || r->failed)
		return;
	SAME(r, "CLIENT", &mine, &client, flags);
	SAME(r, "CLIENT", &mine, &client, id);
	same_text(r, "CLIENT", "name", mine.name, client.name, sizeof(mine.name));
	if (r->coverage)
		r->coverage->client_flags[client.flags & 127]++;
}

static void do_label(struct run *r, const struct step *step)
{
	static const char *const good[] = {
		"DRAM",
		"L1",
		"!#$%&()*+,-./:;<>?@[]^_`{|}~",
		"0123456789012345678901234567890",
	};
	static const char *const bad[] = {
		"a b", "a=b", "a\\b", "\"", "'", "\x7f", "\n", "\xc3\xa9",
	};
	struct bufftrack_label label = {
		.device = r->devices[step->device],
		.flags = step->flags & BUFFTRACK_LABEL_SPACE,
	};
	struct bufftrack_label mine;
	int rc;

	if (label.flags & BUFFTRACK_LABEL_SPACE)
		label.space = step->space;
	if (step->arg % 4)
		snprintf(label.label, sizeof(label.label), "%s",
			 good[step->arg / 4 % ARRAY_SIZE(good)]);
	switch (step->wrong) {
	case 1:
		label.flags |= 8U << step->arg % 29;
		break;
	case 2:
		label.flags = 0;
		label.space = 1 + step->space;
		break;
	case 3:
		snprintf(label.label, sizeof(label.label), "%s", bad[step->arg % ARRAY_SIZE(bad)]);
		break;
	case 4:
		memset(label.label, 'x', sizeof(label.label));
		break;
	default:
		break;
	}
	mine = label;
	rc = both(r, step->client, "LABEL", BUFFTRACK_IOC_LABEL, &label, &mine);
	say(r, " \"%.32s\" -> %s", label.label, rc ? strerror(-rc) : "success");
	if (r->coverage && !rc)
		r->coverage->label_flags[label.flags]++;
}

static void do_reset(struct run *r, const struct step *step)
{
	struct bufftrack_reset reset = {
		.flags = step->flags & 15,
		.lives = ~0ULL,
		.holds = ~0ULL,
	};
	struct bufftrack_reset mine;
	int rc;

	if (!(reset.flags & BUFFTRACK_RESET_ALL))
		reset.device = r->devices[step->device];
	if (reset.flags & BUFFTRACK_RESET_SPACE)
		reset.space = step->space;
	if (reset.flags & BUFFTRACK_RESET_TAG)
		reset.tag = step->arg % TAGS;
	switch (step->wrong) {
	case 1:
		reset.flags |= 16U << step->arg % 28;
		break;
	case 2:
		reset.space = 1;
		break;
	case 3:
		reset.tag = 1;
		break;
	case 4:
		reset.device = r->devices[step->device];
		break;
	default:
		break;
	}
	mine = reset;
	rc = both(r, step->client, "RESET", BUFFTRACK_IOC_RESET, &reset, &mine);
	say(r, " -> %s lives %" PRIu64 " holds %" PRIu64, rc ? strerror(-rc) : "success",
	    (uint64_t)reset.lives, (uint64_t)reset.holds);
	if (rc || r->failed)
		return;
	SAME(r, "RESET", &mine, &reset, lives);
	SAME(r, "RESET", &mine, &reset, holds);
	if (r->coverage)
		r->coverage->reset_flags[reset.flags]++;
}

static void do_info(struct run *r, const struct step *step)
{
	struct bufftrack_info info, mine;

	memset(&info, POISON, sizeof(info));
	info.flags = step->wrong == 1;
	info.reserved = step->wrong == 2;
	mine = info;
	if (both(r, step->client, "INFO", BUFFTRACK_IOC_INFO, &info, &mine) || r->failed)
		return;
	SAME(r, "INFO", &mine, &info, flags);
	SAME(r, "INFO", &mine, &info, reserved);
	SAME(r, "INFO", &mine, &info, features);
	SAME(r, "INFO", &mine, &info, max_buffers);
	SAME(r, "INFO", &mine, &info, max_devices);
	SAME(r, "INFO", &mine, &info, history);
	SAME(r, "INFO", &mine, &info, max_stacks);
	SAME(r, "INFO", &mine, &info, max_batch);
	SAME(r, "INFO", &mine, &info, max_stack_depth);
	SAME(r, "INFO", &mine, &info, max_spaces);
	SAME(r, "INFO", &mine, &info, log_limit);
	SAME(r, "INFO", &mine, &info, evicted);
	SAME(r, "INFO", &mine, &info, stacks_lost);
	SAME(r, "INFO", &mine, &info, failed);
	SAME(r, "INFO", &mine, &info, max_clients);
	SAME(r, "INFO", &mine, &info, max_events);
	if (info.logs_suppressed < mine.logs_suppressed)
		fail(r, "INFO logs_suppressed: less than it was");
}

static void do_stat(struct run *r, const struct step *step)
{
	unsigned int scope = step->flags % 4;
	struct model_client *of = r->clients[step->buffer % SLOTS];
	uint64_t client = of ? of->id : 0;

	if (step->buffer % SLOTS == step->client)
		client = 0; /* one's own */
	if (scope && step->flags & 4)
		stat_walk(r, step->client, scope, r->devices[step->device]);
	else
		stat_compare(r, step->client, scope, r->devices[step->device], step->space, client);
}

static void do_list(struct run *r, const struct step *step)
{
	struct model_client *of = r->clients[step->buffer % SLOTS];
	struct bufftrack_list filter = { .flags = step->flags % 32 };

	if (filter.flags & BUFFTRACK_LIST_DEVICE)
		filter.device = r->devices[step->device];
	if (filter.flags & BUFFTRACK_LIST_SPACE)
		filter.space = step->space;
	if (filter.flags & BUFFTRACK_LIST_CLIENT)
		filter.client = of ? of->id : r->m.clients->id;
	if (filter.flags & BUFFTRACK_LIST_PID)
		filter.pid = step->arg % 8 ? r->m.pid : 1;
	list_compare(r, step->client, &filter, 1 + step->arg / 8 % 100,
		     sizeof(struct bufftrack_life) + step->arg % 3 * 8, true);
}

static void bad_stat(struct run *r, const struct step *step)
{
	struct bufftrack_stat st = stat_request(step->arg / 64 % 4, 0);
	struct bufftrack_stat mine;

	switch (step->arg % 4) {
	case 0:
		st.scope = 4 + step->arg / 64 % 100;
		break;
	case 1:
		st.flags = 2U << step->arg / 64 % 31;
		break;
	case 2:
		st.reserved[step->arg / 64 % ARRAY_SIZE(st.reserved)] = 1;
		break;
	default:
		st.cursor = 1;
		break;
	}
	mine = st;
	both(r, step->client, "STAT", BUFFTRACK_IOC_STAT, &st, &mine);
}

static void bad_list(struct run *r, const struct step *step)
{
	static struct bufftrack_life lives[1];
	struct bufftrack_list list = {
		.entries = (uintptr_t)lives,
		.nr = 1,
		.entry_size = sizeof(lives[0]),
	};
	struct bufftrack_list mine;

	switch (step->arg % 9) {
	case 0:
		list.nr = 0;
		break;
	case 1:
		list.entry_size -= 8;
		break;
	case 2:
		list.entry_size += 4;
		break;
	case 3:
		list.entry_size = 4096 + 8;
		break;
	case 4:
		list.flags = 256U << step->arg / 64 % 24;
		break;
	case 5:
		list.reserved = 1;
		break;
	case 6:
		list.space = 1;
		break;
	case 7:
		list.client = 1;
		break;
	default:
		list.pid = 1;
		break;
	}
	mine = list;
	both(r, step->client, "LIST", BUFFTRACK_IOC_LIST, &list, &mine);
}

static void bad_batch(struct run *r, const struct step *step)
{
	struct bufftrack_op op = { .op = BUFFTRACK_OP_ALLOC };
	struct bufftrack_batch batch = {
		.entries = (uintptr_t)&op,
		.nr = 1,
		.entry_size = sizeof(op),
	};
	struct bufftrack_batch mine;

	op.device = r->devices[step->device];
	switch (step->arg % 7) {
	case 0:
		batch.nr = 0;
		break;
	case 1:
		batch.nr = r->m.info.max_batch + 1;
		break;
	case 2:
		batch.entry_size -= 8;
		break;
	case 3:
		batch.entry_size += 4;
		break;
	case 4:
		batch.entry_size = 4096 + 8;
		break;
	case 5:
		batch.flags = 1U << step->arg / 64 % 32;
		break;
	default:
		batch.reserved = 1;
		break;
	}
	mine = batch;
	both(r, step->client, "BATCH", BUFFTRACK_IOC_BATCH, &batch, &mine);
}

static void bad_stack(struct run *r, const struct step *step)
{
	struct bufftrack_frame frame;
	struct bufftrack_stack stack = {
		.frames = (uintptr_t)&frame,
		.nr = 1,
		.frame_size = sizeof(frame),
		.stack_id = ~0U,
		.flags = step->arg & 1,
	};
	struct bufftrack_stack mine = stack;

	both(r, step->client, "STACK", BUFFTRACK_IOC_STACK, &stack, &mine);
}

static void do_bad_call(struct run *r, const struct step *step)
{
	switch (step->flags % 5) {
	case 0:
		bad_stat(r, step);
		break;
	case 1:
		bad_list(r, step);
		break;
	case 2:
		bad_batch(r, step);
		break;
	case 3:
		bad_stack(r, step);
		break;
	default:
		both(r, step->client, "no command",
		     _IOWR(BUFFTRACK_IOC_MAGIC, 0x2d + step->arg % 100, struct bufftrack_op), NULL,
		     NULL);
		break;
	}
}

/* ---- steps as words ------------------------------------------------------ */

static void say_step(struct run *r, unsigned int at)
{
	const struct step *step = &r->seq->steps[at];
	unsigned int i;

	if (!r->log)
		return;
	say(r, "%4u  client %u: %s", at, step->client, step_words[step->kind]);
	switch (step->kind) {
	case STEP_ALLOC:
	case STEP_FREE:
	case STEP_CHURN:
		say(r, " device %u space %u buffer %u", step->device, step->space, step->buffer);
		if (step->kind == STEP_ALLOC || step->size)
			say(r, " size %" PRIu64,
			    sizes[(step->size - (step->kind == STEP_FREE)) % ARRAY_SIZE(sizes)]);
		for (i = 0; i < ARRAY_SIZE(flag_words); i++) {
			if (step->flags >> i & 1)
				say(r, " %s", flag_words[i]);
		}
		if (step->stack)
			say(r, " stack %u", step->stack);
		if (step->kind == STEP_CHURN)
			say(r, " times %u", step->arg % 1400 + 1);
		if (step->wrong)
			say(r, " wrong %u arg %u", step->wrong, step->arg);
		if (step->kind != STEP_CHURN && step->token)
			say(r, " token %s", token_words[step->token]);
		break;
	case STEP_CLIENT:
		say(r, " mask 0x%x flags 0x%x wrong %u", step->flags & 127,
		    step->flags >> 8 & step->flags & 126, step->wrong);
		break;
	case STEP_UNDO:
		if (step->wrong)
			say(r, " wrong %u arg %u", step->wrong, step->arg);
		break;
	case STEP_RESET:
		say(r, " flags 0x%x space %u tag %u", step->flags & 15, step->space,
		    step->arg % TAGS);
		/* fallthrough */
	case STEP_LABEL:
		say(r, " device %u", step->device);
		if (step->kind == STEP_LABEL && (step->flags & 1))
			say(r, " space %u", step->space);
		if (step->wrong)
			say(r, " wrong %u", step->wrong);
		break;
	case STEP_STAT:
		say(r, " scope %u%s device %u space %u client %u", step->flags % 4,
		    step->flags & 4 ? " next" : "", step->device, step->space,
		    step->buffer % SLOTS);
		break;
	case STEP_LIST:
		say(r, " flags 0x%x device %u space %u client %u", step->flags % 32, step->device,
		    step->space, step->buffer % SLOTS);
		break;
	case STEP_BAD_CALL:
		say(r, " %u arg %u", step->flags % 5, step->arg);
		break;
	default:
		break;
	}
}

/* Returns how many steps were done. */
static unsigned int do_step(struct run *r, unsigned int at)
{
	const struct step *step = &r->seq->steps[at];
	unsigned int done = 1;

	say_step(r, at);
	if (step->kind != STEP_CLOSE && !client_open(r, step->client))
		return done;
	switch (step->kind) {
	case STEP_ALLOC:
	case STEP_FREE:
	case STEP_UNDO:
		if (step->batch && !model_ambiguous(&r->m))
			done = do_batch(r, at);
		else if (step->kind == STEP_UNDO)
			do_undo(r, step);
		else
			do_op(r, step);
		break;
	case STEP_CHURN:
		do_churn(r, step);
		break;
	case STEP_RESET:
		do_reset(r, step);
		break;
	case STEP_LABEL:
		do_label(r, step);
		break;
	case STEP_CLIENT:
		do_client(r, step);
		break;
	case STEP_CLOSE:
		if (r->clients[step->client])
			client_close(r, step->client);
		break;
	case STEP_STAT:
		do_stat(r, step);
		break;
	case STEP_LIST:
		do_list(r, step);
		break;
	case STEP_INFO:
		do_info(r, step);
		break;
	case STEP_CHECK:
		check_all(r, step->arg % 4 == 0);
		break;
	default:
		do_bad_call(r, step);
		break;
	}
	say(r, "\n");
	return done;
}

/* ---- a sequence ---------------------------------------------------------- */

/* A device id that was never used, and of which no history was lost */
static uint64_t device_new(struct target *t, unsigned int slot)
{
	unsigned int tries;
	uint64_t id = 0;

	for (tries = 0; tries < 200; tries++) {
		struct bufftrack_op op = { .op = 0 };

		id = mix(device_salt++);
		op.device = id;
		target_ioctl(t, slot, BUFFTRACK_IOC_FREE, &op);
		if (!(op.info & BUFFTRACK_INFO_HISTORY_LOST))
			break;
	}
	return id;
}

static void target_prepare(struct target *t, const struct run *r)
{
	struct model *f = &t->model;

	if (!t->fake)
		return;
	model_init(f);
	f->next_block = t->last_block;
	f->history = r->seq->history;
	f->max_buffers = r->seq->max_buffers;
	f->info.features = ~0ULL;
	f->info.history = r->seq->history;
	f->info.max_buffers = r->seq->max_buffers;
	f->info.max_batch = 4096;
	f->info.max_stack_depth = 64;
	memcpy(f->stacks, r->m.stacks, sizeof(f->stacks));
	memcpy(f->depths, r->m.depths, sizeof(f->depths));
	f->pid = r->m.pid;
	f->tid = r->m.tid;
	f->uid = r->m.uid;
	memcpy(f->comm, r->m.comm, sizeof(f->comm));
}

static void run_prepare(struct run *r)
{
	struct model *m = &r->m;
	unsigned int i;
	FILE *f;

	model_init(m);
	m->wrong = r->seq->wrong;
	m->history = r->seq->history;
	m->max_buffers = r->seq->max_buffers;
	/* What a wrong model made of the numbers is no matter for the next. */
	m->next_block = r->target->fake ? r->target->last_block : r->target->next_block;
	m->pid = getpid();
	m->tid = syscall(SYS_gettid);
	m->uid = getuid();
	f = fopen("/proc/self/comm", "r");
	if (f) {
		if (fread(m->comm, 1, sizeof(m->comm) - 1, f))
			m->comm[strcspn(m->comm, "\n")] = 0;
		fclose(f);
	}
	for (i = 0; i < MODEL_STACKS; i++) {
		m->stacks[i] = stack_frames[i];
		m->depths[i] = stack_depths[i];
	}
	m->choose = resolve;
	m->choose_arg = r;
	target_prepare(r->target, r);
}

/* What was counted before the sequence began */
static void run_baseline(struct run *r)
{
	struct model *m = &r->m;
	struct bufftrack_stat st = stat_request(BUFFTRACK_STAT_ALL, 0);
	unsigned int i;
	int rc;

	rc = target_ioctl(r->target, OBSERVER, BUFFTRACK_IOC_STAT, &st);
	if (!rc)
		rc = target_ioctl(r->target, OBSERVER, BUFFTRACK_IOC_INFO, &m->info);
	if (rc) {
		fail(r, "STAT or INFO: %s", strerror(-rc));
		return;
	}
	m->clients_before = st.clients - 1;
	m->history_before = st.history;
	m->all.live = st.live;
	m->all.bytes = st.bytes;
	m->all.peak = st.peak_bytes;
	/* None, where the module was loaded for this, or has forgotten everything since. */
	r->others = st.history || st.live ? st.peak_bytes : 0;
	m->all.allocs = st.allocs;
	m->all.frees = st.frees;
	m->all.evicted = st.evicted;
	m->all.undos = st.undos;
	r->leaks = st.verdicts[BUFFTRACK_LEAK];
	for (i = 0; i < BUFFTRACK_NR_VERDICTS; i++)
		m->all.verdicts[i] = st.verdicts[i];
	same(r, "INFO", "history", m->history, m->info.history);
	same(r, "INFO", "max_buffers", m->max_buffers, m->info.max_buffers);
	if (!m->info.max_batch || m->info.max_batch < 512)
		fail(r, "INFO max_batch: expected 512 at least, seen %u", m->info.max_batch);
}

static void run_begin(struct run *r)
{
	struct target *t = r->target;
	unsigned int i;
	int rc;

	if (!t->fake && parameters_writable) {
		parameter_set(HISTORY, r->seq->history);
		parameter_set(MAX_BUFFERS, r->seq->max_buffers);
		parameter_set(LOG_LIMIT, r->seq->log_limit);
	}
	run_prepare(r);
	r->started = now();
	rc = target_open(t, OBSERVER);
	if (rc) {
		fail(r, "open: %s", strerror(-rc));
		return;
	}
	for (i = 0; i < DEVICES + 1; i++)
		r->devices[i] = device_new(t, OBSERVER);
	target_close(t, OBSERVER);
	r->traps = target_traps(t);
	if (client_open(r, OBSERVER))
		run_baseline(r);
}

/* One more allocation on each device, with history off: all freed-buffer records go. */
static void run_forget(struct run *r)
{
	struct step step = { .client = 0 };
	unsigned int i;

	if (r->target->fake)
		r->target->model.history = 0;
	else if (!parameter_set(HISTORY, 0))
		return;
	r->m.history = 0;
	r->m.info.history = 0;
	if (r->target->fake)
		r->target->model.info.history = 0;
	if (!r->target->fake && !parameter_set(MAX_BUFFERS, NO_LIMIT))
		return;
	r->m.max_buffers = NO_LIMIT;
	r->m.info.max_buffers = NO_LIMIT;
	r->target->model.max_buffers = NO_LIMIT;
	r->target->model.info.max_buffers = NO_LIMIT;

	if (!client_open(r, 0))
		return;
	for (i = 0; i < DEVICES && !r->failed; i++) {
		step.device = i;
		step.buffer = BUFFERS;
		step.kind = STEP_ALLOC;
		do_op(r, &step);
		say(r, "\n");
		step.kind = STEP_FREE;
		do_op(r, &step);
		say(r, "\n");
	}
	if (!r->failed)
		check_all(r, true);
	if (!r->failed)
		client_close(r, 0);
}

static void run_end(struct run *r)
{
	unsigned int i;

	if (!r->failed)
		check_all(r, true);
	for (i = 0; i < CLIENTS && !r->failed; i++) {
		if (r->clients[i])
			client_close(r, i);
	}
	if (!r->failed)
		check_all(r, false);
	if (!r->failed)
		run_forget(r);
	if (!r->failed) {
		stat_walk(r, OBSERVER, BUFFTRACK_STAT_DEVICE, 0);
		check_all(r, true);
	}
}

/* After a failure nothing is certain: take away what can be. */
static void run_clear(struct run *r)
{
	struct target *t = r->target;
	unsigned int i;

	for (i = 0; i < SLOTS; i++) {
		if (!r->clients[i])
			continue;
		target_close(t, i);
		r->clients[i] = NULL;
	}
	if (t->fake || !r->failed || !parameter_set(HISTORY, 0) ||
	    !parameter_set(MAX_BUFFERS, NO_LIMIT) || target_open(t, OBSERVER))
		return;
	for (i = 0; i < DEVICES; i++) {
		struct bufftrack_op op = {
			.device = r->devices[i],
			.buffer = BUFFERS,
		};

		target_ioctl(t, OBSERVER, BUFFTRACK_IOC_ALLOC, &op);
		op.token = 0;
		target_ioctl(t, OBSERVER, BUFFTRACK_IOC_FREE, &op);
	}
	target_close(t, OBSERVER);
}

struct trial {
	struct target *target;
	struct coverage *coverage;
};

/* Whether the kernel and the model differed. */
static bool sequence_fails(const struct sequence *seq, FILE *log, struct mismatch *mismatch,
			   void *arg)
{
	struct trial *trial = arg;
	static struct run r;
	unsigned int at = 0, done;

	memset(&r, 0, sizeof(r));
	r.target = trial->target;
	r.coverage = trial->coverage;
	r.seq = seq;
	r.log = log;
	run_begin(&r);
	while (at < seq->nr && !r.failed) {
		done = do_step(&r, at);
		at += done;
	}
	mismatch->step = at ? at - 1 : 0;
	if (!r.failed) {
		at = seq->nr;
		say(&r, "      at the end: check everything, close all, forget all\n");
		run_end(&r);
	}
	if (r.coverage) {
		r.coverage->stack_feature = r.m.info.features & BUFFTRACK_FEATURE_STACK;
		r.coverage->steps += at;
		r.coverage->sequences++;
		r.coverage->leaks += r.m.all.verdicts[BUFFTRACK_LEAK] - r.leaks;
	}
	r.target->next_block = r.m.next_block;
	run_clear(&r);
	r.m.choose = NULL;
	model_destroy(&r.m);
	if (r.target->fake) {
		r.target->last_block = r.target->model.next_block;
		model_destroy(&r.target->model);
	}
	memcpy(mismatch->text, r.text, sizeof(mismatch->text));
	return r.failed;
}

/* ---- what is rolled ------------------------------------------------------ */

/* In percent, or in parts of the sum */
struct profile {
	unsigned int weights[NR_STEP_KINDS];
	unsigned int clients, devices, spaces, buffers;
	unsigned int exclusive, shared, view, token, size, wrong, stack, batch;
	unsigned int private, strict, trap, require_token, partial;
	unsigned int retain, same, persistent, last;
};

static struct profile profile_roll(struct dice *d)
{
	struct profile p = {
		.weights = {
			[STEP_ALLOC] = 400 + roll(d, 400),
			[STEP_FREE] = 400 + roll(d, 400),
			[STEP_UNDO] = roll(d, 3) ? roll(d, 200) : 0,
			[STEP_CHURN] = 0,
			[STEP_RESET] = roll(d, 16),
			[STEP_LABEL] = roll(d, 8),
			[STEP_CLIENT] = 2 + roll(d, 12),
			[STEP_CLOSE] = roll(d, 30),
			[STEP_STAT] = 2 + roll(d, 12),
			[STEP_LIST] = 2 + roll(d, 12),
			[STEP_INFO] = 1 + roll(d, 4),
			[STEP_CHECK] = 1 + roll(d, 10),
			[STEP_BAD_CALL] = roll(d, 8),
		},
		.clients = 1 + roll(d, CLIENTS),
		.devices = 1 + roll(d, DEVICES),
		.spaces = 1 + roll(d, SPACES),
		.buffers = 1 + roll(d, BUFFERS),
		.exclusive = roll(d, 3) ? roll(d, 20) : 0,
		.shared = roll(d, 2) ? roll(d, 60) : 0,
		.view = roll(d, 2) ? roll(d, 30) : 0,
		.token = roll(d, 4) ? roll(d, 100) : 0,
		.size = roll(d, 20),
		.wrong = roll(d, 3),
		.stack = roll(d, 2) ? roll(d, 30) : 0,
		.batch = roll(d, 2) ? roll(d, 8) : 0,
		.private = roll(d, 2) ? roll(d, 60) : 0,
		.strict = roll(d, 2) ? roll(d, 100) : 0,
		.trap = roll(d, 4) ? 0 : roll(d, 60),
		.require_token = roll(d, 4) ? 0 : roll(d, 40),
		.partial = roll(d, 3) ? 0 : roll(d, 40),
		.retain = roll(d, 2) ? roll(d, 30) : 0,
		.same = roll(d, 2) ? roll(d, 30) : 0,
		.persistent = roll(d, 2) ? roll(d, 30) : 0,
		.last = roll(d, 2) ? roll(d, 40) : 0,
	};

	if (!roll(d, 12))
		p.weights[STEP_CHURN] = 1 + roll(d, 3);
	return p;
}

static unsigned int kind_roll(const struct profile *p, struct dice *d)
{
	unsigned int sum = 0, i, at;

	for (i = 0; i < NR_STEP_KINDS; i++)
		sum += p->weights[i];
	at = roll(d, sum);
	for (i = 0; at >= p->weights[i]; i++)
		at -= p->weights[i];
	return i;
}

static void client_flags_roll(const struct profile *p, struct dice *d, struct step *step)
{
	unsigned int flags = 0;

	if (percent(d, p->private))
		flags |= BUFFTRACK_CLIENT_PRIVATE;
	if (percent(d, p->strict))
		flags |= BUFFTRACK_CLIENT_STRICT;
	if (percent(d, p->trap))
		flags |= BUFFTRACK_CLIENT_TRAP;
	if (percent(d, p->require_token))
		flags |= BUFFTRACK_CLIENT_REQUIRE_TOKEN;
	if (percent(d, p->partial))
		flags |= roll(d, 2) ? BUFFTRACK_CLIENT_PARTIAL : BUFFTRACK_CLIENT_FORKED;
	/* Together they are rare by themselves. */
	if (!roll(d, 8))
		flags |= roll(d, 8) << 1;
	/* The mask: all that is set, and some of what is to be cleared */
	step->flags = flags << 8 | flags | (roll(d, 32) & 29);
	/* What cannot be cleared is tried, too. */
	if (!roll(d, 4))
		step->flags |= roll(d, 8) << 4 &
			       (BUFFTRACK_CLIENT_PARTIAL | BUFFTRACK_CLIENT_FORKED);
	if (!roll(d, 8))
		step->flags |= BUFFTRACK_CLIENT_PRIVATE;
}

static void op_roll(const struct profile *p, struct dice *d, struct step *step)
{
	static const uint8_t likely[] = {
		TOKEN_LAST,  TOKEN_LAST,  TOKEN_LAST,	TOKEN_PREV, TOKEN_PREV,	  TOKEN_OLDER,
		TOKEN_FIRST, TOKEN_BLOCK, TOKEN_BEFORE, TOKEN_NEXT, TOKEN_RECENT, TOKEN_ANY,
	};

	if (percent(d, p->stack))
		step->stack = 1 + roll(d, MODEL_STACKS);
	if (percent(d, p->wrong))
		step->wrong = 1 + roll(d, 5);
	if (step->kind == STEP_UNDO)
		return;
	if (percent(d, p->view))
		step->flags |= BUFFTRACK_F_VIEW;
	if (step->kind == STEP_FREE) {
		if (percent(d, p->last) && (!step->flags || !roll(d, 50)))
			step->flags |= BUFFTRACK_F_LAST;
		if (percent(d, 20))
			step->size = 1 + roll(d, 100 > p->size * 5 ? 2 : 5);
		if (percent(d, p->token))
			step->token = likely[roll(d, ARRAY_SIZE(likely))];
		if (roll(d, 200) == 0)
			step->flags |= 1U << roll(d, 6);
		if (roll(d, 300) == 0)
			step->device = NOWHERE;
		return;
	}
	if (percent(d, p->size))
		step->size = roll(d, ARRAY_SIZE(sizes));
	if (percent(d, p->token) || !roll(d, 50))
		step->token = roll(d, 4) ? TOKEN_LAST : likely[roll(d, ARRAY_SIZE(likely))];
	if (step->flags && roll(d, 100))
		return;
	if (percent(d, p->exclusive))
		step->flags |= BUFFTRACK_F_EXCLUSIVE;
	else if (percent(d, p->retain))
		step->flags |= BUFFTRACK_F_RETAIN;
	else if (percent(d, p->same))
		step->flags |= BUFFTRACK_F_SAME;
	if (!roll(d, 300))
		step->flags |= 1U << (roll(d, 2) * 3 + roll(d, 2));
	if (percent(d, p->shared))
		step->flags |= BUFFTRACK_F_SHARED;
	if (percent(d, p->persistent))
		step->flags |= BUFFTRACK_F_PERSISTENT;
	/* A token with what takes none is refused. */
	if (!(step->flags & (BUFFTRACK_F_VIEW | BUFFTRACK_F_RETAIN)))
		step->token = TOKEN_NONE;
}

static void step_roll(const struct profile *p, struct dice *d, struct step *step)
{
	*step = (struct step){
		.kind = kind_roll(p, d),
		.client = roll(d, p->clients),
		.device = roll(d, p->devices),
		.space = roll(d, p->spaces),
		.buffer = roll(d, p->buffers),
		.arg = roll(d, 1U << 30),
	};
	switch (step->kind) {
	case STEP_ALLOC:
	case STEP_FREE:
	case STEP_UNDO:
		op_roll(p, d, step);
		break;
	case STEP_CHURN:
		step->flags = roll(d, 3) ? 0 : BUFFTRACK_F_EXCLUSIVE;
		break;
	case STEP_CLIENT:
		client_flags_roll(p, d, step);
		step->wrong = roll(d, 10) ? 0 : 1 + roll(d, 3);
		break;
	case STEP_LABEL:
		step->flags = roll(d, 2);
		step->wrong = roll(d, 3) ? 0 : 1 + roll(d, 4);
		break;
	case STEP_RESET:
		if (!roll(d, 4))
			step->device = NOWHERE;
		if (roll(d, 3))
			step->flags |= BUFFTRACK_RESET_CLIENT |
				       (roll(d, 2) ? BUFFTRACK_RESET_TAG : 0) |
				       (roll(d, 3) ? 0 : BUFFTRACK_RESET_ALL);
		if (!(step->flags & BUFFTRACK_RESET_ALL) && !roll(d, 3))
			step->flags |= BUFFTRACK_RESET_SPACE;
		if (!roll(d, 10))
			step->flags = roll(d, 16);
		step->wrong = roll(d, 6) ? 0 : 1 + roll(d, 4);
		break;
	case STEP_INFO:
		step->wrong = roll(d, 4) ? 0 : 1 + roll(d, 2);
		break;
	default:
		step->flags = roll(d, 1U << 16);
		step->buffer = roll(d, SLOTS);
		if (!roll(d, 10) && step->kind == STEP_STAT)
			step->device = NOWHERE;
		break;
	}
}

static void sequence_roll(struct sequence *seq, uint64_t seed, unsigned int length)
{
	struct dice dice = { .state = mix(seed) }, *d = &dice;
	struct profile p = profile_roll(d);
	unsigned int i, batch = 0, left = 0;

	seq->nr = length ? length : 50 + roll(d, 1951);
	seq->history = histories[roll(d, ARRAY_SIZE(histories))];
	seq->max_buffers = roll(d, 5) ? NO_LIMIT : 1 + roll(d, 8);
	seq->log_limit = roll(d, 50) ? 0 : 1 + roll(d, 5);
	for (i = 0; i < seq->nr; i++) {
		struct step *step = &seq->steps[i];

		step_roll(&p, d, step);
		if (i < p.clients || (i && step[-1].kind == STEP_CLOSE && roll(d, 2))) {
			step->kind = STEP_CLIENT;
			step->client = i < p.clients ? i : step[-1].client;
			step->wrong = 0;
			client_flags_roll(&p, d, step);
		}
		if (!left && percent(d, p.batch)) {
			left = 1 + roll(d, 40);
			batch = batch % 255 + 1;
		}
		if (left) {
			left--;
			if (step->kind <= STEP_UNDO)
				step->batch = batch;
			else
				left = 0;
		}
	}
}

/* ---- coverage ------------------------------------------------------------ */

static unsigned int missing;
static bool tell_missing;

static void __attribute__((format(printf, 2, 3))) must(uint64_t count, const char *format, ...)
{
	va_list args;

	if (count)
		return;
	missing++;
	if (!tell_missing)
		return;
	printf("# never occurred: ");
	va_start(args, format);
	vprintf(format, args);
	va_end(args);
	printf("\n");
}

static void must_verdicts(const struct coverage *c)
{
	const unsigned int P = BUFFTRACK_INFO_PROBABLE;
	const unsigned int PL = P | BUFFTRACK_INFO_HISTORY_LOST;
	const struct {
		unsigned int alloc, verdict, info;
	} all[] = {
		{ 1, BUFFTRACK_OK, 0 },
		{ 1, BUFFTRACK_MISSED_FREE, P },
		{ 1, BUFFTRACK_SIZE_MISMATCH, 0 },
		{ 1, BUFFTRACK_SIZE_MISMATCH, P },
		{ 1, BUFFTRACK_DANGLING, 0 },
		{ 1, BUFFTRACK_DANGLING, P },
		{ 1, BUFFTRACK_DANGLING, PL },
		{ 0, BUFFTRACK_OK, 0 },
		{ 0, BUFFTRACK_OK, P },
		{ 0, BUFFTRACK_HELD_FREE, 0 },
		{ 0, BUFFTRACK_HELD_FREE, P },
		{ 0, BUFFTRACK_DOUBLE_FREE, 0 },
		{ 0, BUFFTRACK_DOUBLE_FREE, P },
		{ 0, BUFFTRACK_DOUBLE_FREE, PL },
		{ 0, BUFFTRACK_STALE_FREE, 0 },
		{ 0, BUFFTRACK_STALE_FREE, P },
		{ 0, BUFFTRACK_STALE_FREE, PL },
		{ 0, BUFFTRACK_FOREIGN_FREE, 0 },
		{ 0, BUFFTRACK_FOREIGN_FREE, P },
		{ 0, BUFFTRACK_FREE_AFTER_EXIT, 0 },
		{ 0, BUFFTRACK_FREE_AFTER_EXIT, P },
		{ 0, BUFFTRACK_FREE_AFTER_RESET, 0 },
		{ 0, BUFFTRACK_FREE_AFTER_RESET, P },
		{ 0, BUFFTRACK_UNKNOWN_FREE, 0 },
		{ 0, BUFFTRACK_UNKNOWN_FREE, PL },
		{ 0, BUFFTRACK_SIZE_MISMATCH, 0 },
		{ 0, BUFFTRACK_SIZE_MISMATCH, P },
	};
	static const struct {
		unsigned int verdict, bit;
	} infos[] = {
		{ BUFFTRACK_OK, 2 },
		{ BUFFTRACK_OK, 3 },
		{ BUFFTRACK_OK, 4 },
		{ BUFFTRACK_OK, 5 },
		{ BUFFTRACK_OK, 6 },
		{ BUFFTRACK_DOUBLE_FREE, 2 },
		{ BUFFTRACK_DOUBLE_FREE, 3 },
		{ BUFFTRACK_DOUBLE_FREE, 4 },
		{ BUFFTRACK_DOUBLE_FREE, 5 },
		{ BUFFTRACK_DOUBLE_FREE, 6 },
		{ BUFFTRACK_STALE_FREE, 2 },
		{ BUFFTRACK_STALE_FREE, 3 },
		{ BUFFTRACK_STALE_FREE, 4 },
		{ BUFFTRACK_FOREIGN_FREE, 2 },
		{ BUFFTRACK_FOREIGN_FREE, 3 },
		{ BUFFTRACK_FOREIGN_FREE, 4 },
		{ BUFFTRACK_FOREIGN_FREE, 5 },
		{ BUFFTRACK_FREE_AFTER_EXIT, 2 },
		{ BUFFTRACK_FREE_AFTER_EXIT, 5 },
		{ BUFFTRACK_FREE_AFTER_EXIT, 6 },
		{ BUFFTRACK_FREE_AFTER_RESET, 2 },
		{ BUFFTRACK_FREE_AFTER_RESET, 5 },
		{ BUFFTRACK_FREE_AFTER_RESET, 6 },
		{ BUFFTRACK_UNKNOWN_FREE, 2 },
		{ BUFFTRACK_UNKNOWN_FREE, 3 },
		{ BUFFTRACK_MISSED_FREE, 2 },
		{ BUFFTRACK_MISSED_FREE, 3 },
		{ BUFFTRACK_SIZE_MISMATCH, 2 },
		{ BUFFTRACK_SIZE_MISMATCH, 5 },
		{ BUFFTRACK_DANGLING, 2 },
		{ BUFFTRACK_DANGLING, 3 },
		{ BUFFTRACK_DANGLING, 6 },
		{ BUFFTRACK_HELD_FREE, 2 },
		{ BUFFTRACK_HELD_FREE, 3 },
		{ BUFFTRACK_HELD_FREE, 5 },
		{ BUFFTRACK_HELD_FREE, 6 },
	};
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(all); i++) {
		uint64_t n = c->verdicts[all[i].alloc][all[i].verdict][all[i].info];

		printf("# %-5s %-16s info %u: %" PRIu64 "\n", all[i].alloc ? "ALLOC" : "FREE",
		       verdict_word(all[i].verdict), all[i].info, n);
		must(n, "%s %s info %u", all[i].alloc ? "ALLOC" : "FREE",
		     verdict_word(all[i].verdict), all[i].info);
	}
	for (i = 0; i < ARRAY_SIZE(infos); i++)
		must(c->infos[infos[i].verdict][infos[i].bit], "%s %s",
		     verdict_word(infos[i].verdict), info_words[infos[i].bit]);
	for (i = 0; i < UNDO_KINDS; i++) {
		printf("# UNDO %s: %" PRIu64 "\n", undo_words[i], c->undos[i]);
		must(c->undos[i], "UNDO %s", undo_words[i]);
	}
	printf("# leaks: %" PRIu64 ", SIGTRAPs: %" PRIu64 ", batches: %" PRIu64 ", judged: %" PRIu64
	       "\n",
	       c->leaks, c->traps, c->batches, c->judged);
	for (i = BUFFTRACK_DOUBLE_FREE; i < BUFFTRACK_LEAK; i++)
		must(c->strict[i], "%s of a STRICT client", verdict_word(i));
	must(c->strict[BUFFTRACK_HELD_FREE], "HELD_FREE of a STRICT client");
	must(c->leaks, "LEAK");
	must(c->traps, "SIGTRAP");
}

static void must_all(const struct coverage *c)
{
	static const int errors[] = {
		EINVAL, ENOTTY, ENOENT,	    ENODEV,	EBUSY,	ENOSPC,	  EALREADY,
		ESTALE, EPERM,	EOWNERDEAD, ECONNRESET, EEXIST, EMSGSIZE, ENOLINK,
	};
	static const unsigned int alloc_flags[] = {
		0, 1, 2, 3, 4, 8, 10, 16, 18, 32, 33, 34, 35, 40, 42, 48, 50,
	};
	static const unsigned int reset_flags[] = { 0, 1, 2, 3, 5, 7, 9, 13 };
	unsigned int i;

	must_verdicts(c);
	for (i = 0; i < 11; i++)
		must(c->commands[i], "command 0x%x", 0x20 + i);
	for (i = 0; i < MODEL_STACKS; i++)
		must(c->stacks[i] || !c->stack_feature, "stack %u", i + 1);
	for (i = 0; i < ARRAY_SIZE(alloc_flags); i++)
		must(c->alloc_flags[alloc_flags[i]], "ALLOC flags 0x%x", alloc_flags[i]);
	must(c->free_flags[0], "FREE flags 0");
	must(c->free_flags[BUFFTRACK_F_VIEW], "FREE VIEW");
	must(c->free_flags[BUFFTRACK_F_LAST], "FREE LAST");
	must(c->batch_errors, "an error in a BATCH");
	for (i = 0; i < 16; i += 2)
		must(c->client_flags[i], "CLIENT flags 0x%x", i);
	for (i = 16; i < 128; i *= 2)
		must(c->client_flags[i], "CLIENT flags 0x%x", i);
	for (i = 0; i < ARRAY_SIZE(reset_flags); i++)
		must(c->reset_flags[reset_flags[i]], "RESET flags 0x%x", reset_flags[i]);
	for (i = 0; i < 32; i++)
		must(c->list_flags[i], "LIST flags 0x%x", i);
	for (i = 0; i < 4; i++) {
		must(c->stats[i][0], "STAT scope %u", i);
		if (i)
			must(c->stats[i][1], "STAT scope %u NEXT", i);
	}
	must(c->label_flags[0], "LABEL of a device");
	must(c->label_flags[1], "LABEL of a space");
	for (i = 0; i < NR_TOKEN_KINDS; i++)
		must(c->tokens[i], "token %s", token_words[i]);
	for (i = 0; i < ARRAY_SIZE(errors); i++)
		must(c->errors[errors[i]], "%s", strerror(errors[i]));
}

/* ---- main ---------------------------------------------------------------- */

struct options {
	uint64_t seed;
	uint64_t steps;
	uint64_t sequences;
	uint64_t first;
	unsigned int length;
	bool fake;
	bool mutate;
	bool verbose;
	enum model_break wrong;
};

static struct step all_steps[65536];

static void print_failure(struct sequence *seq, struct trial *trial, uint64_t seed, uint64_t number,
			  const struct mismatch *first)
{
	struct mismatch last = *first;
	unsigned int runs;

	printf("# seed %" PRIu64 ", sequence %" PRIu64 " of %u steps differs at step %u:\n# %s\n",
	       seed, number, seq->nr, first->step, first->text);
	fflush(stdout);
	runs = sequence_shrink(seq, 5000, sequence_fails, trial, first);
	printf("# shrunk to %u steps in %u runs; history %" PRIu64 " max_buffers %" PRIu64 "\n",
	       seq->nr, runs, seq->history, seq->max_buffers);
	if (sequence_fails(seq, stdout, &last, trial))
		printf("# %s\n", last.text);
	else
		printf("# now it does not differ: the first difference was %s\n", first->text);
}

static bool run_random(const struct options *o, struct coverage *coverage)
{
	static struct target target;
	struct trial trial = { .target = &target, .coverage = coverage };
	struct sequence seq = { .steps = all_steps, .wrong = o->wrong };
	uint64_t number, steps = 0, began = now();
	struct mismatch mismatch;

	target.fake = o->fake;
	for (number = o->first; o->sequences ? number < o->first + o->sequences : steps < o->steps;
	     number++) {
		sequence_roll(&seq, o->seed ^ mix(number), o->length);
		if (!o->fake && !parameters_writable) {
			seq.history = parameters[HISTORY].known ? parameters[HISTORY].value : 65536;
			seq.max_buffers = parameters[MAX_BUFFERS].known
						  ? parameters[MAX_BUFFERS].value
						  : NO_LIMIT;
		}
		if (sequence_fails(&seq, o->verbose ? stdout : NULL, &mismatch, &trial)) {
			trial.coverage = NULL;
			print_failure(&seq, &trial, o->seed, number, &mismatch);
			return false;
		}
		steps += seq.nr;
	}
	printf("# %" PRIu64 " sequences, %" PRIu64 " steps in %" PRIu64 " ms\n", number - o->first,
	       steps, (now() - began) / 1000000);
	return true;
}

/*
 * Against a second model in the kernel's place, a model that is wrong in any
 * one rule must be found out.
 */
static bool run_mutants(const struct options *o)
{
	static struct target target;
	struct trial trial = { .target = &target };
	struct sequence seq = { .steps = all_steps };
	struct mismatch mismatch;
	unsigned int wrong, found, tries;
	bool pass = true;

	target.fake = true;
	for (wrong = 0; wrong < MODEL_NR_BREAKS; wrong++) {
		seq.wrong = wrong;
		found = 0;
		for (tries = 1; tries <= 400 && !found; tries++) {
			sequence_roll(&seq, o->seed ^ mix(tries), 0);
			found = sequence_fails(&seq, NULL, &mismatch, &trial);
			if (!wrong && tries == 40)
				break;
		}
		if (!wrong && found)
			printf("# two equal models differ: %s\n", mismatch.text);
		if (wrong && !found)
			printf("# not found out: %s\n", model_break_words[wrong]);
		if (o->verbose && found) {
			sequence_shrink(&seq, 500, sequence_fails, &trial, &mismatch);
			printf("# %s: found in sequence %u, shrunk to %u: %s\n",
			       model_break_words[wrong], tries - 1, seq.nr, mismatch.text);
		}
		pass &= wrong ? found : !found;
	}
	return pass;
}

static void usage(FILE *f)
{
	fprintf(f, "Usage: model_test [OPTION...]\n"
		   "Random sequences of all commands, compared with a model. Nothing else may\n"
		   "use the device meanwhile.\n"
		   "\n"
		   "  --seed N        what the dice begin with (SEED, else the time)\n"
		   "  --ops N         steps in all (BUFFTRACK_MODEL_OPS, else 1000000)\n"
		   "  --sequences N   sequences, instead of --ops\n"
		   "  --first N       begin with this sequence\n"
		   "  --length N      steps in each (50 to 2000)\n"
		   "  --self          a second model instead of the kernel\n"
		   "  --mutate        only: is each wrong rule found out?\n"
		   "  --verbose       print every step\n"
		   "\n"
		   "BT_MODEL_BREAK=N makes the model wrong in rule N.\n");
}

static int options_read(struct options *o, int argc, char **argv)
{
	static const struct option longs[] = { { "seed", required_argument, NULL, 's' },
					       { "ops", required_argument, NULL, 'o' },
					       { "sequences", required_argument, NULL, 'n' },
					       { "first", required_argument, NULL, 'f' },
					       { "length", required_argument, NULL, 'l' },
					       { "self", no_argument, NULL, 'S' },
					       { "mutate", no_argument, NULL, 'm' },
					       { "verbose", no_argument, NULL, 'v' },
					       { "help", no_argument, NULL, 'h' },
					       {} };
	const char *env = getenv("SEED");
	int c;

	o->seed = env && *env ? strtoull(env, NULL, 0) : (uint64_t)time(NULL);
	env = getenv("BUFFTRACK_MODEL_OPS");
	o->steps = env && *env ? strtoull(env, NULL, 0) : 1000000;
	env = getenv("BT_MODEL_BREAK");
	if (env)
		o->wrong = strtoul(env, NULL, 0) % MODEL_NR_BREAKS;
	while ((c = getopt_long(argc, argv, "hv", longs, NULL)) != -1) {
		switch (c) {
		case 's':
			o->seed = strtoull(optarg, NULL, 0);
			break;
		case 'o':
			o->steps = strtoull(optarg, NULL, 0);
			break;
		case 'n':
			o->sequences = strtoull(optarg, NULL, 0);
			break;
		case 'f':
			o->first = strtoull(optarg, NULL, 0);
			break;
		case 'l':
			o->length = strtoul(optarg, NULL, 0);
			if (o->length > ARRAY_SIZE(all_steps))
				o->length = ARRAY_SIZE(all_steps);
			break;
		case 'S':
			o->fake = true;
			break;
		case 'm':
			o->mutate = true;
			break;
		case 'v':
			o->verbose = true;
			break;
		case 'h':
			usage(stdout);
			exit(KSFT_PASS);
		default:
			usage(stderr);
			return -1;
		}
	}
	return 0;
}

static bool device_ready(const struct options *o)
{
	int fd;

	if (o->fake || o->mutate)
		return true;
	fd = open(NODE, O_RDWR | O_CLOEXEC);
	if (fd < 0) {
		printf("1..0 # SKIP cannot open %s: %s (load the module, be root)\n", NODE,
		       strerror(errno));
		return false;
	}
	close(fd);
	parameters_read();
	if (!parameters_writable)
		printf("# parameters are not to be changed: no eviction, no limits\n");
	parameter_set(MAX_DEVICES, 1U << 20);
	return true;
}

int main(int argc, char **argv)
{
	static struct coverage coverage;
	struct options o = {};
	bool pass = true, ok;
	unsigned int i, j;

	if (options_read(&o, argc, argv))
		return KSFT_FAIL;
	for (i = 0; i < MODEL_STACKS; i++) {
		for (j = 0; j < stack_depths[i]; j++)
			stack_frames[i][j] =
				0x1000 + (i == 3 ? 2 : i) * 0x100 + j * 8 + (i == 3 && j == 7);
	}
	signal(SIGTRAP, on_trap);
	setvbuf(stdout, NULL, _IOLBF, 0);
	device_salt = mix(o.seed ^ now());

	printf("TAP version 13\n");
	if (!device_ready(&o))
		return KSFT_SKIP;
	printf("1..3\n# seed %" PRIu64 "\n", o.seed);

	if (o.mutate) {
		printf("ok 1 # SKIP --mutate\nok 2 # SKIP --mutate\n");
	} else {
		ok = run_random(&o, &coverage);
		pass &= ok;
		printf("%s 1 - the kernel does as the model\n", ok ? "ok" : "not ok");
		tell_missing = ok && (o.verbose || coverage.steps >= FULL_RUN);
		must_all(&coverage);
		if (ok && coverage.steps >= FULL_RUN && (o.fake || parameters_writable)) {
			pass &= !missing;
			printf("%s 2 - every verdict, flag and command occurred\n",
			       missing ? "not ok" : "ok");
		} else {
			printf("ok 2 # SKIP not a full run\n");
		}
	}
	ok = run_mutants(&o);
	pass &= ok;
	printf("%s 3 - a model with a wrong rule is found out\n", ok ? "ok" : "not ok");
	return pass ? KSFT_PASS : KSFT_FAIL;
}
