// SPDX-License-Identifier: GPL-2.0
/*
 * The rules of bufftrack, single-threaded, without regard to speed. Written from
 * the words of the interface, not from the module.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "model.h"

#define X(name, words) [MODEL_BREAK_##name] = words,
const char *const model_break_words[MODEL_NR_BREAKS] = { MODEL_BREAKS(X) };
#undef X

/* One ALLOC or FREE: who asks, what for, and what it is about. */
struct call {
	struct model *m;
	struct model_client *client;
	struct bufftrack_op *op;
	uint64_t seen; /* the generation that the kernel gave */
	bool learn;
	struct model_device *device; /* these are NULL where not known */
	struct model_space *space;
	struct model_record *rec;
	bool lost;
};

static bool broken(const struct model *m, enum model_break what)
{
	return m->wrong == what;
}

static void *make(size_t size)
{
	void *p = calloc(1, size);

	if (!p)
		abort();
	return p;
}

int model_verdict_errno(uint32_t verdict)
{
	switch (verdict) {
	case BUFFTRACK_DOUBLE_FREE:
		return EALREADY;
	case BUFFTRACK_STALE_FREE:
		return ESTALE;
	case BUFFTRACK_FOREIGN_FREE:
		return EPERM;
	case BUFFTRACK_FREE_AFTER_EXIT:
		return EOWNERDEAD;
	case BUFFTRACK_FREE_AFTER_RESET:
		return ECONNRESET;
	case BUFFTRACK_UNKNOWN_FREE:
		return ENOENT;
	case BUFFTRACK_MISSED_FREE:
		return EEXIST;
	case BUFFTRACK_SIZE_MISMATCH:
		return EMSGSIZE;
	case BUFFTRACK_DANGLING:
		return ENOLINK;
	default:
		return 0;
	}
}

/* ---- lost history -------------------------------------------------------- */

bool model_is_lost(const struct model *m, uint64_t device, uint64_t owner)
{
	const struct model_lost *lost;

	for (lost = m->lost; lost; lost = lost->next) {
		if (lost->device == device && lost->owner == owner)
			return true;
	}
	return false;
}

void model_lose(struct model *m, uint64_t device, uint64_t owner)
{
	struct model_lost *lost;

	if (model_is_lost(m, device, owner) || broken(m, MODEL_BREAK_LOST))
		return;
	lost = make(sizeof(*lost));
	lost->device = device;
	lost->owner = owner;
	lost->next = m->lost;
	m->lost = lost;
}

/* ---- devices and spaces -------------------------------------------------- */

struct model_device *model_device(const struct model *m, uint64_t id)
{
	struct model_device *device;

	for (device = m->devices; device; device = device->next) {
		if (device->id == id)
			break;
	}
	return device;
}

static struct model_device *device_make(struct model *m, uint64_t id)
{
	struct model_device *device = model_device(m, id);
	struct model_device **at;

	if (device)
		return device;
	device = make(sizeof(*device));
	device->id = id;
	device->serial = ++m->serial;
	for (at = &m->devices; *at; at = &(*at)->next)
		;
	*at = device;
	return device;
}

static struct model_space *space_find(const struct model_device *device, uint32_t id)
{
	struct model_space *space;

	for (space = device->spaces; space; space = space->next) {
		if (space->id == id)
			break;
	}
	return space;
}

static struct model_space *space_make(struct model_device *device, uint32_t id)
{
	struct model_space *space = space_find(device, id);
	struct model_space **at;

	if (space)
		return space;
	space = make(sizeof(*space));
	space->device = device;
	space->id = id;
	for (at = &device->spaces; *at && (*at)->id < id; at = &(*at)->next)
		;
	space->next = *at;
	*at = space;
	return space;
}

static void device_free(struct model_device *device)
{
	struct model_space *space;

	while ((space = device->spaces)) {
		device->spaces = space->next;
		free(space);
	}
	free(device);
}

static bool client_uses(const struct model_client *client, uint64_t device)
{
	unsigned int i;

	for (i = 0; i < client->nr_devices; i++) {
		if (client->devices[i] == device)
			return true;
	}
	return false;
}

static void client_use(struct model_client *client, uint64_t device)
{
	if (client_uses(client, device))
		return;
	if (client->nr_devices == ARRAY_SIZE(client->devices))
		abort();
	client->devices[client->nr_devices++] = device;
}

static unsigned int device_clients(const struct model *m, uint64_t device)
{
	const struct model_client *client;
	unsigned int nr = 0;

	for (client = m->clients; client; client = client->next)
		nr += client_uses(client, device);
	return nr;
}

static bool device_has_records(const struct model *m, const struct model_device *device)
{
	const struct model_record *rec;

	for (rec = m->records; rec; rec = rec->next) {
		if (rec->space->device == device)
			return true;
	}
	return false;
}

/* A device lasts as long as it has clients, buffers or freed-buffer records. */
static void devices_drop(struct model *m)
{
	struct model_device **at = &m->devices;
	struct model_device *device;

	if (broken(m, MODEL_BREAK_DEVICE_GONE))
		return;
	while ((device = *at)) {
		if (device_clients(m, device->id) || device_has_records(m, device)) {
			at = &device->next;
			continue;
		}
		*at = device->next;
		device_free(device);
	}
}

/* ---- counters ------------------------------------------------------------ */

#define COUNT_SCOPES 4

struct scopes {
	unsigned int nr;
	struct model_counts *counts[COUNT_SCOPES];
};

static struct scopes scopes_of(struct model *m, struct model_device *device,
			       struct model_space *space, struct model_client *client)
{
	struct scopes s = { .nr = 1, .counts = { &m->all } };

	if (device)
		s.counts[s.nr++] = &device->counts;
	if (space)
		s.counts[s.nr++] = &space->counts;
	if (client)
		s.counts[s.nr++] = &client->counts;
	return s;
}

static void count_live(struct model *m, struct model_counts *counts, int sign, uint64_t size)
{
	counts->live += sign;
	counts->bytes += sign * (int64_t)size;
	if (counts->bytes > counts->peak || broken(m, MODEL_BREAK_PEAK))
		counts->peak = counts->bytes;
}

/* ---- records ------------------------------------------------------------- */

struct model_record *model_record(const struct model *m, const struct model_client *client,
				  uint64_t device, uint32_t space, uint64_t buffer)
{
	const struct model_client *owner = NULL;
	struct model_record *rec;

	if ((client->flags & BUFFTRACK_CLIENT_PRIVATE) && !broken(m, MODEL_BREAK_PRIVATE_KEYS))
		owner = client;
	for (rec = m->records; rec; rec = rec->next) {
		if (rec->buffer == buffer && rec->owner == owner && rec->space->id == space &&
		    rec->space->device->id == device)
			break;
	}
	return rec;
}

static void record_free(struct model *m, struct model_record *rec)
{
	struct model_record **at;

	for (at = &m->records; *at != rec; at = &(*at)->next)
		;
	*at = rec->next;
	free(rec);
}

static bool is_live(const struct model_record *rec)
{
	return rec && rec->last.state == BUFFTRACK_STATE_LIVE;
}

static bool same_pool(const struct model_record *a, const struct model_record *b)
{
	return a->space->device == b->space->device && a->owner == b->owner;
}

static struct model_hold *hold_find(struct model_record *rec, const struct model_client *client)
{
	unsigned int i;

	for (i = 0; i < rec->nr_holds; i++) {
		if (rec->holds[i].client == client)
			return &rec->holds[i];
	}
	return NULL;
}

static struct model_hold *hold_oldest(const struct model *m, struct model_record *rec,
				      enum model_break wrong)
{
	struct model_hold *found = NULL;
	unsigned int i;

	for (i = 0; i < rec->nr_holds; i++) {
		if (!rec->holds[i].count)
			continue;
		found = &rec->holds[i];
		if (!broken(m, wrong))
			break;
	}
	return found;
}

static void hold_take(struct model *m, struct model_record *rec, struct model_client *client)
{
	struct model_hold *hold = hold_find(rec, client);

	if (!hold) {
		if (rec->nr_holds == MODEL_HOLDERS)
			abort();
		hold = &rec->holds[rec->nr_holds++];
		*hold = (struct model_hold){ .client = client };
	}
	if (!hold->count)
		count_live(m, &client->counts, 1, rec->last.size);
	else if (broken(m, MODEL_BREAK_BYTES_CLIENT))
		client->counts.bytes += rec->last.size;
	hold->count++;
	rec->last.refs++;
}

static void hold_drop(struct model *m, struct model_record *rec, struct model_hold *hold)
{
	hold->count--;
	rec->last.refs--;
	if (!hold->count)
		count_live(m, &hold->client->counts, -1, rec->last.size);
}

/* ---- freed-buffer records ------------------------------------------------ */

static unsigned int pool_tombstones(const struct model *m, const struct model_record *of)
{
	const struct model_record *rec;
	unsigned int nr = 0;

	for (rec = m->records; rec; rec = rec->next)
		nr += !is_live(rec) && same_pool(rec, of);
	return nr;
}

static struct model_record *pool_oldest(struct model *m, const struct model_record *of)
{
	bool newest = broken(m, MODEL_BREAK_EVICT_NEWEST);
	struct model_record *among[256] = { NULL };
	struct model_record *rec;
	unsigned int nr = 0;

	for (rec = m->records; rec; rec = rec->next) {
		if (is_live(rec) || !same_pool(rec, of))
			continue;
		if (nr && (newest ? rec->last.end.call < among[0]->last.end.call
				  : rec->last.end.call > among[0]->last.end.call))
			continue;
		if (nr && rec->last.end.call != among[0]->last.end.call)
			nr = 0;
		if (nr < ARRAY_SIZE(among))
			among[nr++] = rec;
	}
	if (nr > 1 && m->choose)
		return among[m->choose(m->choose_arg, among, nr)];
	return among[nr - 1];
}

static void evict(struct model *m, struct model_record *rec)
{
	struct model_space *space = rec->space;
	struct scopes s = scopes_of(m, space->device, space, NULL);
	unsigned int i;

	if (!broken(m, MODEL_BREAK_EVICT_COUNT)) {
		for (i = 0; i < s.nr; i++)
			s.counts[i]->evicted++;
	}
	m->info.evicted++;
	model_lose(m, space->device->id, rec->owner ? rec->owner->id : 0);
	record_free(m, rec);
}

/*
 * Where this call ended an allocation, at most m->history freed-buffer records are kept of that
 * pool; the one that ended first goes first.
 */
static void trim(struct model *m)
{
	unsigned int late = broken(m, MODEL_BREAK_EVICT_LATE);
	struct model_record *rec;

again:
	for (rec = m->records; rec; rec = rec->next) {
		if (!is_live(rec) && rec->last.end.call == m->call &&
		    pool_tombstones(m, rec) > m->history + late) {
			evict(m, pool_oldest(m, rec));
			goto again;
		}
	}
	devices_drop(m);
}

/* Whether it may depend on the kernel which freed-buffer record goes next. */
bool model_ambiguous(const struct model *m)
{
	const struct model_record *a, *b;

	for (a = m->records; a; a = a->next) {
		if (is_live(a))
			continue;
		for (b = a->next; b; b = b->next) {
			if (!is_live(b) && same_pool(a, b) && a->last.end.call == b->last.end.call)
				return true;
		}
	}
	return false;
}

/* ---- allocations --------------------------------------------------------- */

static void life_end(struct model *m, struct model_record *rec, uint32_t state, unsigned int stack)
{
	struct model_space *space = rec->space;
	struct scopes s = scopes_of(m, space->device, space, NULL);
	unsigned int i;

	for (i = 0; i < rec->nr_holds; i++) {
		if (rec->holds[i].count)
			count_live(m, &rec->holds[i].client->counts, -1, rec->last.size);
	}
	rec->nr_holds = 0;
	for (i = 0; i < s.nr; i++)
		count_live(m, s.counts[i], -1, rec->last.size);

	if (state == BUFFTRACK_STATE_FREED ||
	    (state == BUFFTRACK_STATE_MISSED && broken(m, MODEL_BREAK_FREES)))
		rec->frees++;
	if ((state == BUFFTRACK_STATE_EXITED && broken(m, MODEL_BREAK_EXIT)) ||
	    (state == BUFFTRACK_STATE_RESET && broken(m, MODEL_BREAK_RESET_STATE)))
		state = BUFFTRACK_STATE_FREED;
	rec->last.state = state;
	rec->last.refs = 0;
	rec->last.end.call = m->call;
	rec->last.end.stack = broken(m, MODEL_BREAK_STACKS) ? 0 : stack;
}

static uint64_t generation_next(struct call *call)
{
	struct model *m = call->m;
	uint64_t last = call->rec->last.generation;
	uint64_t next = m->next_block * MODEL_BLOCK + 1;

	if (last && broken(m, MODEL_BREAK_GENERATION))
		return last;
	if (last && (last + 1) % MODEL_BLOCK)
		return last + 1;
	if (last)
		call->rec->rebased = true;
	/* A block that was never given: which one is the kernel's to say. */
	if (call->learn && call->seen % MODEL_BLOCK == 1 && call->seen > next)
		next = call->seen;
	m->next_block = next / MODEL_BLOCK + 1;
	return next;
}

static unsigned int stack_of(const struct model *m, const struct bufftrack_op *op)
{
	unsigned int i;

	for (i = 0; op->stack && i < MODEL_STACKS; i++) {
		if ((uintptr_t)m->stacks[i] == op->stack)
			return i + 1;
	}
	return 0;
}

static void life_begin(struct call *call)
{
	struct bufftrack_op *op = call->op;
	struct model *m = call->m;
	struct model_record *rec = call->rec;
	struct scopes s;
	unsigned int i;

	if (rec && broken(m, MODEL_BREAK_REVIVE)) {
		record_free(m, rec);
		rec = NULL;
	}
	call->device = device_make(m, op->device);
	call->space = space_make(call->device, op->space);
	if (!rec) {
		rec = make(sizeof(*rec));
		rec->space = call->space;
		rec->buffer = op->buffer;
		if ((call->client->flags & BUFFTRACK_CLIENT_PRIVATE) &&
		    !broken(m, MODEL_BREAK_PRIVATE_KEYS))
			rec->owner = call->client;
		rec->next = m->records;
		m->records = rec;
	}
	call->rec = rec;

	if (rec->last.state != BUFFTRACK_STATE_MISSED || !broken(m, MODEL_BREAK_MISSED_STATE))
		rec->prev = rec->last;
	rec->last = (struct model_life){
		.generation = generation_next(call),
		.size = op->size,
		.tag = op->tag,
		.flags = op->flags,
		.state = BUFFTRACK_STATE_LIVE,
		.views = broken(m, MODEL_BREAK_VIEWS) ? rec->prev.views : 0,
		.alloc = { .call = m->call, .stack = stack_of(m, op) },
	};
	rec->lives++;
	if (!rec->first)
		rec->first = rec->last.generation;

	s = scopes_of(m, call->device, call->space, NULL);
	for (i = 0; i < s.nr; i++)
		count_live(m, s.counts[i], 1, op->size);
	hold_take(m, rec, call->client);
}

/* ---- ALLOC --------------------------------------------------------------- */

static int alloc_view(struct call *call)
{
	struct model_record *rec = call->rec;

	if (!is_live(rec))
		return broken(call->m, MODEL_BREAK_VIEW_DANGLING) ? BUFFTRACK_OK
								  : BUFFTRACK_DANGLING;
	rec->last.views++;
	if (broken(call->m, MODEL_BREAK_VIEW_REFS))
		rec->last.refs++;
	return BUFFTRACK_OK;
}

/* A verdict, or a negative errno */
static int alloc(struct call *call)
{
	struct bufftrack_op *op = call->op;
	struct model_record *rec = call->rec;
	struct model *m = call->m;
	struct model_hold *hold;
	bool exclusive;

	if (op->flags & BUFFTRACK_F_VIEW)
		return alloc_view(call);

	exclusive = (op->flags & BUFFTRACK_F_EXCLUSIVE) && !broken(m, MODEL_BREAK_EXCLUSIVE);
	hold = is_live(rec) ? hold_find(rec, call->client) : NULL;
	if (exclusive && broken(m, MODEL_BREAK_LIMIT_EXCLUSIVE))
		hold = NULL;
	if ((!hold || !hold->count) &&
	    call->client->counts.live >= m->max_buffers + broken(m, MODEL_BREAK_LIMIT)) {
		m->info.failed += !broken(m, MODEL_BREAK_FAILED);
		return -ENOSPC;
	}

	if (!is_live(rec)) {
		life_begin(call);
		return BUFFTRACK_OK;
	}
	if (exclusive) {
		life_end(m, rec, BUFFTRACK_STATE_MISSED, stack_of(m, op));
		life_begin(call);
		return BUFFTRACK_MISSED_FREE;
	}

	hold_take(m, rec, call->client);
	if (broken(m, MODEL_BREAK_TAG_FIRST))
		rec->last.tag = op->tag;
	if (broken(m, MODEL_BREAK_FLAGS_FIRST))
		rec->last.flags = op->flags;
	if (op->size == rec->last.size)
		return BUFFTRACK_OK;
	if (broken(m, MODEL_BREAK_SIZE_FIRST))
		rec->last.size = op->size;
	return broken(m, MODEL_BREAK_SIZE_ALLOC) ? BUFFTRACK_OK : BUFFTRACK_SIZE_MISMATCH;
}

/* ---- FREE ---------------------------------------------------------------- */

enum named { NAMED_LAST, NAMED_PREV, NAMED_OLDER, NAMED_NEVER };

/* Which of the record's allocations the caller means */
static enum named named_life(const struct call *call)
{
	const struct model_record *rec = call->rec;
	uint64_t token = call->op->token;
	uint64_t last = rec->last.generation;

	if (!token || token == last)
		return NAMED_LAST;
	if (rec->prev.state != BUFFTRACK_STATE_NONE && token == rec->prev.generation)
		return broken(call->m, MODEL_BREAK_STALE_PREV) ? NAMED_OLDER : NAMED_PREV;
	/* The first number of a block is nobody's generation. */
	if (token > last || !(token % MODEL_BLOCK))
		return NAMED_NEVER;
	if (broken(call->m, MODEL_BREAK_TOKEN_OLDER))
		return NAMED_NEVER;
	if (token / MODEL_BLOCK == last / MODEL_BLOCK)
		return NAMED_OLDER;
	if (broken(call->m, MODEL_BREAK_TOKEN_REBASED))
		return NAMED_NEVER;
	if (rec->rebased || call->lost || broken(call->m, MODEL_BREAK_TOKEN_NEVER))
		return NAMED_OLDER;
	return NAMED_NEVER;
}

static uint32_t verdict_of_end(const struct model *m, uint32_t state)
{
	switch (state) {
	case BUFFTRACK_STATE_EXITED:
		return BUFFTRACK_FREE_AFTER_EXIT;
	case BUFFTRACK_STATE_RESET:
		return BUFFTRACK_FREE_AFTER_RESET;
	case BUFFTRACK_STATE_MISSED:
		return broken(m, MODEL_BREAK_MISSED_DEAD) ? BUFFTRACK_DOUBLE_FREE
							  : BUFFTRACK_STALE_FREE;
	default:
		return BUFFTRACK_DOUBLE_FREE;
	}
}

static uint32_t free_dead(const struct call *call, enum named named)
{
	switch (named) {
	case NAMED_LAST:
		return verdict_of_end(call->m, call->rec->last.state);
	case NAMED_PREV:
		return verdict_of_end(call->m, call->rec->prev.state);
	default:
		return BUFFTRACK_DOUBLE_FREE;
	}
}

static uint32_t free_drop(struct call *call, struct model_hold *hold)
{
	struct bufftrack_op *op = call->op;
	struct model_record *rec = call->rec;
	uint32_t verdict = BUFFTRACK_OK;

	if (op->size && op->size != rec->last.size && !broken(call->m, MODEL_BREAK_SIZE_FREE))
		verdict = BUFFTRACK_SIZE_MISMATCH;
	hold_drop(call->m, rec, hold);
	if (!rec->last.refs)
		life_end(call->m, rec, BUFFTRACK_STATE_FREED, stack_of(call->m, op));
	return verdict;
}

static uint32_t free_live(struct call *call, enum named named)
{
	struct model_record *rec = call->rec;
	struct model *m = call->m;
	struct model_hold *own = hold_find(rec, call->client);
	struct model_hold *oldest;

	if (named != NAMED_LAST) {
		if (broken(m, MODEL_BREAK_STALE))
			life_end(m, rec, BUFFTRACK_STATE_FREED, 0);
		return BUFFTRACK_STALE_FREE;
	}

	oldest = hold_oldest(m, rec, MODEL_BREAK_SHARED_OLDEST);
	if (own && own->count) {
		if ((rec->last.flags & BUFFTRACK_F_SHARED) && broken(m, MODEL_BREAK_SHARED_OWN))
			own = oldest;
		return free_drop(call, own);
	}
	if ((rec->last.flags & BUFFTRACK_F_SHARED) || broken(m, MODEL_BREAK_SHARED_ALL))
		return free_drop(call, oldest);
	if (own && oldest && broken(m, MODEL_BREAK_DOUBLE_DROPS))
		hold_drop(m, rec, oldest);
	if (own)
		return broken(m, MODEL_BREAK_DROPPED) ? BUFFTRACK_FOREIGN_FREE
						      : BUFFTRACK_DOUBLE_FREE;
	return broken(m, MODEL_BREAK_FOREIGN) ? BUFFTRACK_DOUBLE_FREE : BUFFTRACK_FOREIGN_FREE;
}

static uint32_t free_view(struct call *call)
{
	struct model_record *rec = call->rec;
	uint64_t token = call->op->token;

	if (is_live(rec) && rec->last.views &&
	    (!token || token == rec->last.generation ||
	     broken(call->m, MODEL_BREAK_VIEW_BELOW_ZERO)))
		rec->last.views--;
	return BUFFTRACK_OK;
}

static uint32_t free_one(struct call *call)
{
	struct bufftrack_op *op = call->op;
	struct model_record *rec = call->rec;
	struct model *m = call->m;
	bool certain_lives = broken(m, MODEL_BREAK_PROBABLE_LIVES);
	bool certain_lost = broken(m, MODEL_BREAK_PROBABLE_LOST);
	enum named named;
	uint32_t verdict;

	if (op->flags & BUFFTRACK_F_VIEW)
		return free_view(call);

	if (!rec) {
		if (call->lost)
			op->info = BUFFTRACK_INFO_HISTORY_LOST | BUFFTRACK_INFO_PROBABLE;
		return BUFFTRACK_UNKNOWN_FREE;
	}

	named = named_life(call);
	if (named == NAMED_NEVER)
		verdict = BUFFTRACK_UNKNOWN_FREE;
	else if (is_live(rec))
		verdict = free_live(call, named);
	else
		verdict = free_dead(call, named);
	if (verdict == BUFFTRACK_OK || verdict == BUFFTRACK_SIZE_MISMATCH)
		return verdict;

	rec->refused += !broken(m, MODEL_BREAK_REFUSED);
	if (named == NAMED_OLDER && !broken(m, MODEL_BREAK_LOST_TOKEN))
		op->info |= BUFFTRACK_INFO_HISTORY_LOST;
	if (op->token ? op->info & BUFFTRACK_INFO_HISTORY_LOST
		      : (rec->lives > 1 && !certain_lives) || (call->lost && !certain_lost))
		op->info |= BUFFTRACK_INFO_PROBABLE;
	return verdict;
}

/* ---- one ALLOC or FREE --------------------------------------------------- */

static bool op_valid(const struct model *m, const struct bufftrack_op *op, bool alloc)
{
	const __u32 known = alloc ? BUFFTRACK_F_EXCLUSIVE | BUFFTRACK_F_SHARED | BUFFTRACK_F_VIEW
				  : BUFFTRACK_F_VIEW;

	if (op->flags & ~known)
		return false;
	if ((op->flags & BUFFTRACK_F_VIEW) && op->flags != BUFFTRACK_F_VIEW)
		return false;
	if (op->stack_depth > m->info.max_stack_depth &&
	    (m->info.features & BUFFTRACK_FEATURE_STACK))
		return false;
	return alloc ? !op->token : !op->tag;
}

/* A verdict, or a negative errno */
static int op_judge(struct call *call, bool alloc_it)
{
	struct bufftrack_op *op = call->op;
	struct model *m = call->m;
	struct scopes s;
	int verdict;
	unsigned int i;

	m->call++;
	if (!op_valid(m, op, alloc_it))
		return -EINVAL;
	if (op->stack && !(m->info.features & BUFFTRACK_FEATURE_STACK))
		return -EOPNOTSUPP;

	call->device = model_device(m, op->device);
	if (call->device)
		call->space = space_find(call->device, op->space);
	call->rec = model_record(m, call->client, op->device, op->space, op->buffer);
	call->lost = model_is_lost(m, op->device,
				   call->client->flags & BUFFTRACK_CLIENT_PRIVATE ? call->client->id
										  : 0);
	verdict = alloc_it ? alloc(call) : (int)free_one(call);
	if (verdict < 0)
		return verdict;

	m->judged = true;
	call->client->used = true;
	if (call->device)
		client_use(call->client, op->device);
	s = scopes_of(m, call->device, call->space, call->client);
	for (i = 0; i < s.nr; i++) {
		s.counts[i]->verdicts[verdict]++;
		if ((op->flags & BUFFTRACK_F_VIEW) ||
		    (verdict != BUFFTRACK_OK && verdict != BUFFTRACK_SIZE_MISMATCH &&
		     verdict != BUFFTRACK_MISSED_FREE))
			continue;
		if (alloc_it)
			s.counts[i]->allocs++;
		else
			s.counts[i]->frees++;
	}

	op->verdict = verdict;
	if (call->rec) {
		op->generation = call->rec->last.generation;
		op->refs = call->rec->last.refs;
	}
	trim(m);
	return verdict;
}

/* 0 or a negative errno; @bad is set where the verdict is. */
static int op_one(struct model *m, struct model_client *client, struct bufftrack_op *op,
		  bool alloc_it, const struct bufftrack_op *seen, bool *bad)
{
	struct call call = {
		.m = m,
		.client = client,
		.op = op,
		.seen = seen ? seen->generation : 0,
		.learn = seen,
	};
	int verdict;

	op->generation = 0;
	op->refs = 0;
	op->verdict = 0;
	op->info = 0;
	op->error = 0;
	verdict = op_judge(&call, alloc_it);
	if (verdict < 0)
		return verdict;
	*bad = verdict != BUFFTRACK_OK;
	if ((client->flags & BUFFTRACK_CLIENT_STRICT) && !broken(m, MODEL_BREAK_STRICT))
		return -model_verdict_errno(verdict);
	return 0;
}

static void trap(struct model *m, const struct model_client *client, bool bad)
{
	if (bad && (client->flags & BUFFTRACK_CLIENT_TRAP) && !broken(m, MODEL_BREAK_TRAP))
		m->traps++;
}

static int op_alone(struct model *m, struct model_client *client, struct bufftrack_op *op,
		    bool alloc_it, const struct bufftrack_op *seen)
{
	bool bad = false;
	int rc;

	if (op->op)
		return -EINVAL;
	rc = op_one(m, client, op, alloc_it, seen, &bad);
	trap(m, client, bad);
	return rc;
}

static int batch(struct model *m, struct model_client *client, struct bufftrack_batch *b,
		 const struct bufftrack_batch *seen)
{
	bool any = false;
	unsigned int i;

	if (!b->nr || b->nr > m->info.max_batch || b->flags || b->reserved ||
	    b->entry_size < sizeof(struct bufftrack_op) || b->entry_size > 4096 ||
	    b->entry_size % 8)
		return -EINVAL;

	b->bad = 0;
	for (i = 0; i < b->nr; i++) {
		size_t at = (size_t)i * b->entry_size;
		struct bufftrack_op *op = (void *)(uintptr_t)(b->entries + at);
		const struct bufftrack_op *op_seen = NULL;
		bool bad = false;
		int rc;

		if (seen)
			op_seen = (void *)(uintptr_t)(seen->entries + at);
		if (op->op == BUFFTRACK_OP_ALLOC || op->op == BUFFTRACK_OP_FREE) {
			rc = op_one(m, client, op, op->op == BUFFTRACK_OP_ALLOC, op_seen, &bad);
		} else {
			op->generation = 0;
			op->refs = 0;
			op->verdict = 0;
			op->info = 0;
			rc = -EINVAL;
		}
		op->error = rc;
		any |= bad;
		b->bad += bad || (rc && !broken(m, MODEL_BREAK_BATCH_BAD));
	}
	b->done = b->nr;
	trap(m, client, any);
	return 0;
}

/* ---- clients ------------------------------------------------------------- */

struct model_client *model_open(struct model *m, uint64_t id)
{
	struct model_client *client = make(sizeof(*client));
	struct model_client **at;

	client->id = id;
	for (at = &m->clients; *at; at = &(*at)->next)
		;
	*at = client;
	return client;
}

static void leak(struct model *m, struct model_record *rec, struct model_hold *hold)
{
	struct model_space *space = rec->space;
	struct scopes s = scopes_of(m, space->device, space, NULL);
	unsigned int i;

	for (i = 0; i < s.nr; i++)
		s.counts[i]->verdicts[BUFFTRACK_LEAK] +=
			broken(m, MODEL_BREAK_LEAK_COUNT) ? hold->count : 1;
	while (hold->count)
		hold_drop(m, rec, hold);
	if (!rec->last.refs || broken(m, MODEL_BREAK_EXIT_HELD))
		life_end(m, rec, BUFFTRACK_STATE_EXITED, 0);
}

static void hold_remove(struct model_record *rec, const struct model_client *client)
{
	struct model_hold *hold = hold_find(rec, client);

	if (hold) {
		rec->nr_holds--;
		memmove(hold, hold + 1, (&rec->holds[rec->nr_holds] - hold) * sizeof(*hold));
	}
}

void model_close(struct model *m, struct model_client *client)
{
	struct model_record *rec, *next;
	struct model_client **at;
	struct model_hold *hold;

	m->call++;
	for (rec = m->records; rec; rec = rec->next) {
		hold = is_live(rec) ? hold_find(rec, client) : NULL;
		if (hold && hold->count)
			leak(m, rec, hold);
		hold_remove(rec, client);
	}
	trim(m);
	for (rec = m->records; rec; rec = next) {
		next = rec->next;
		if (rec->owner != client)
			continue;
		if (broken(m, MODEL_BREAK_PRIVATE_GONE))
			rec->owner = NULL;
		else
			record_free(m, rec);
	}
	for (at = &m->clients; *at != client; at = &(*at)->next)
		;
	*at = client->next;
	free(client);
	devices_drop(m);
}

static int client_set(struct model *m, struct model_client *client, struct bufftrack_client *arg)
{
	const __u32 known = BUFFTRACK_CLIENT_NAME | BUFFTRACK_CLIENT_PRIVATE |
			    BUFFTRACK_CLIENT_STRICT | BUFFTRACK_CLIENT_TRAP;
	__u32 mask = arg->mask & ~BUFFTRACK_CLIENT_NAME;

	if ((arg->mask & ~known) || (arg->flags & ~known) || (arg->flags & BUFFTRACK_CLIENT_NAME))
		return -EINVAL;
	if ((arg->mask & BUFFTRACK_CLIENT_NAME) && !memchr(arg->name, 0, sizeof(arg->name)))
		return -EINVAL;
	if (client->flags & mask & ~arg->flags & BUFFTRACK_CLIENT_PRIVATE)
		return -EINVAL;
	if ((arg->flags & mask & ~client->flags & BUFFTRACK_CLIENT_PRIVATE) && client->used &&
	    !broken(m, MODEL_BREAK_CLIENT_BUSY))
		return -EBUSY;

	client->flags = (client->flags & ~mask) | (arg->flags & mask);
	if (arg->mask & BUFFTRACK_CLIENT_NAME) {
		memset(client->name, 0, sizeof(client->name));
		memcpy(client->name, arg->name, strlen(arg->name));
	}
	arg->flags = client->flags;
	memcpy(arg->name, client->name, sizeof(arg->name));
	arg->id = client->id;
	return 0;
}

/* ---- LABEL, RESET, INFO -------------------------------------------------- */

static bool label_valid(const struct bufftrack_label *arg)
{
	const char *p;

	if (!memchr(arg->label, 0, sizeof(arg->label)))
		return false;
	for (p = arg->label; *p; p++) {
		if (*p <= ' ' || *p > '~' || strchr("\"'=\\", *p))
			return false;
	}
	return true;
}

static int label(struct model *m, struct model_client *client, const struct bufftrack_label *arg)
{
	bool of_space = arg->flags & BUFFTRACK_LABEL_SPACE;
	struct model_device *device;
	struct model_space *space;
	char *to;

	if ((arg->flags & ~BUFFTRACK_LABEL_SPACE) || (arg->space && !of_space) || !label_valid(arg))
		return -EINVAL;

	client->used = true;
	device = device_make(m, arg->device);
	client_use(client, arg->device);
	to = device->label;
	if (of_space) {
		space = space_make(device, arg->space);
		to = space->label;
	}
	if (arg->label[0] || !broken(m, MODEL_BREAK_LABEL)) {
		memset(to, 0, BUFFTRACK_NAME_LEN);
		memcpy(to, arg->label, strlen(arg->label));
	}
	return 0;
}

static int reset(struct model *m, struct bufftrack_reset *arg)
{
	struct model_device *device;
	struct model_record *rec;

	if (arg->flags || arg->space || arg->tag)
		return -EINVAL;
	device = model_device(m, arg->device);
	if (!device)
		return -ENODEV;

	m->call++;
	arg->lives = 0;
	for (rec = m->records; rec; rec = rec->next) {
		if (rec->space->device != device || !is_live(rec))
			continue;
		if (rec->owner && broken(m, MODEL_BREAK_RESET_PRIVATE))
			continue;
		life_end(m, rec, BUFFTRACK_STATE_RESET, 0);
		arg->lives++;
	}
	trim(m);
	return 0;
}

static int info(const struct model *m, struct bufftrack_info *arg)
{
	/* NULL comes only with commands that are none. */
	/* cppcheck-suppress ctunullpointer */
	if (arg->flags || arg->reserved)
		return -EINVAL;
	*arg = m->info;
	return 0;
}

/* ---- STAT ---------------------------------------------------------------- */

static void stat_counts(const struct model_counts *counts, struct bufftrack_stat *st)
{
	unsigned int i;

	st->live = counts->live;
	st->bytes = counts->bytes;
	st->peak_bytes = counts->peak;
	st->allocs = counts->allocs;
	st->frees = counts->frees;
	st->evicted = counts->evicted;
	for (i = 0; i < BUFFTRACK_NR_VERDICTS; i++)
		st->verdicts[i] = counts->verdicts[i];
}

static uint64_t stat_history(const struct model *m, const struct model_device *device,
			     const struct model_space *space)
{
	const struct model_record *rec;
	uint64_t nr = 0;

	for (rec = m->records; rec; rec = rec->next) {
		if (is_live(rec) || (space && rec->space != space) ||
		    (device && rec->space->device != device))
			continue;
		nr++;
	}
	return nr;
}

static int stat_device(const struct model *m, struct bufftrack_stat *st)
{
	struct model_device *device;

	for (device = m->devices; device; device = device->next) {
		if (st->flags & BUFFTRACK_STAT_NEXT ? device->serial > st->cursor
						    : device->id == st->device)
			break;
	}
	if (!device)
		return -ENOENT;
	stat_counts(&device->counts, st);
	if (st->flags & BUFFTRACK_STAT_NEXT)
		st->cursor = device->serial;
	st->device = device->id;
	st->history = stat_history(m, device, NULL);
	st->clients = device_clients(m, device->id);
	memcpy(st->name, device->label, sizeof(st->name));
	return 0;
}

static int stat_space(const struct model *m, struct bufftrack_stat *st)
{
	struct model_device *device = model_device(m, st->device);
	struct model_space *space = device ? device->spaces : NULL;

	for (; space; space = space->next) {
		if (st->flags & BUFFTRACK_STAT_NEXT ? space->id >= st->cursor
						    : space->id == st->space)
			break;
	}
	if (!space)
		return -ENOENT;
	stat_counts(&space->counts, st);
	if (st->flags & BUFFTRACK_STAT_NEXT)
		st->cursor = space->id + 1ULL;
	st->space = space->id;
	st->history = stat_history(m, NULL, space);
	memcpy(st->name, space->label, sizeof(st->name));
	return 0;
}

static int stat_client(const struct model *m, const struct model_client *self,
		       struct bufftrack_stat *st)
{
	__u64 id = st->client ? st->client : self->id;
	struct model_client *client;

	for (client = m->clients; client; client = client->next) {
		if (st->flags & BUFFTRACK_STAT_NEXT ? client->id > st->cursor : client->id == id)
			break;
	}
	if (!client)
		return -ENOENT;
	stat_counts(&client->counts, st);
	if (st->flags & BUFFTRACK_STAT_NEXT)
		st->cursor = client->id;
	st->client = client->id;
	st->pid = m->pid;
	st->uid = m->uid;
	st->client_flags = client->flags;
	memcpy(st->name, client->name, sizeof(st->name));
	memcpy(st->comm, m->comm, sizeof(st->comm));
	return 0;
}

static int stat_all(const struct model *m, struct bufftrack_stat *st)
{
	const struct model_client *client;

	stat_counts(&m->all, st);
	st->history = m->history_before + stat_history(m, NULL, NULL);
	st->clients = m->clients_before;
	for (client = m->clients; client; client = client->next)
		st->clients++;
	return 0;
}

static int stat(const struct model *m, const struct model_client *self, struct bufftrack_stat *st)
{
	struct bufftrack_stat out = {
		.scope = st->scope,
		.flags = st->flags,
		.cursor = st->cursor,
		.device = st->device,
		.client = st->client,
		.space = st->space,
	};
	int rc;

	if (st->flags & ~BUFFTRACK_STAT_NEXT)
		return -EINVAL;
	if (st->cursor && !(st->flags & BUFFTRACK_STAT_NEXT))
		return -EINVAL;
	if (st->reserved[0] || st->reserved[1] || st->reserved[2] || st->reserved[3])
		return -EINVAL;
	switch (st->scope) {
	case BUFFTRACK_STAT_ALL:
		rc = stat_all(m, &out);
		break;
	case BUFFTRACK_STAT_DEVICE:
		rc = stat_device(m, &out);
		break;
	case BUFFTRACK_STAT_SPACE:
		rc = stat_space(m, &out);
		break;
	case BUFFTRACK_STAT_CLIENT:
		rc = stat_client(m, self, &out);
		break;
	default:
		return -EINVAL;
	}
	if (!rc)
		*st = out;
	return rc;
}

/* ---- LIST ---------------------------------------------------------------- */

static struct bufftrack_event event_of(const struct model *m, const struct model_when *when)
{
	struct bufftrack_event event = {};

	if (!when->call)
		return event;
	event.time = when->call;
	event.stack_id = when->stack;
	event.pid = m->pid;
	event.tid = m->tid;
	memcpy(event.comm, m->comm, sizeof(event.comm));
	return event;
}

static bool list_wants(const struct model *m, const struct bufftrack_list *f,
		       struct model_record *rec)
{
	struct model_space *space = rec->space;
	unsigned int i;

	if (!is_live(rec) && !(f->flags & BUFFTRACK_LIST_DEAD))
		return false;
	if ((f->flags & BUFFTRACK_LIST_DEVICE) && space->device->id != f->device)
		return false;
	if ((f->flags & BUFFTRACK_LIST_SPACE) && space->id != f->space)
		return false;
	if ((f->flags & BUFFTRACK_LIST_PID) && f->pid != m->pid)
		return false;
	if (!(f->flags & BUFFTRACK_LIST_CLIENT))
		return true;
	for (i = 0; i < rec->nr_holds; i++) {
		if (rec->holds[i].client->id == f->client &&
		    (rec->holds[i].count || broken(m, MODEL_BREAK_LIST_CLIENT)))
			return true;
	}
	return false;
}

static void list_life(const struct model *m, struct model_record *rec, struct bufftrack_life *life)
{
	struct model_hold *oldest = hold_oldest(m, rec, MODEL_BREAK_HOLDER);

	*life = (struct bufftrack_life){
		.device = rec->space->device->id,
		.buffer = rec->buffer,
		.size = rec->last.size,
		.tag = rec->last.tag,
		.generation = rec->last.generation,
		.client = is_live(rec) && oldest ? oldest->client->id : 0,
		.space = rec->space->id,
		.state = rec->last.state,
		.refs = rec->last.refs,
		.views = rec->last.views,
		.flags = rec->last.flags | (rec->owner ? BUFFTRACK_LIFE_PRIVATE : 0),
		.lives = rec->lives,
		.frees = rec->frees,
		.refused = rec->refused,
		.prev_state = rec->prev.state,
		.prev_generation = rec->prev.generation,
		.alloc = event_of(m, &rec->last.alloc),
		.end = event_of(m, &rec->last.end),
		.prev_alloc = event_of(m, &rec->prev.alloc),
		.prev_end = event_of(m, &rec->prev.end),
	};
}

/**
 * model_lives() - all that LIST shows
 * @m: the model
 * @filter: a LIST, of which flags, device, space, client and pid count
 * @lives: where to; times are numbers of calls, stack ids 1 and the stack's
 * @room: how many fit
 *
 * Return: how many there are.
 */
unsigned int model_lives(struct model *m, const struct bufftrack_list *filter,
			 struct bufftrack_life *lives, unsigned int room)
{
	struct model_record *rec;
	unsigned int nr = 0;

	for (rec = m->records; rec; rec = rec->next) {
		if (!list_wants(m, filter, rec))
			continue;
		if (nr < room)
			list_life(m, rec, &lives[nr]);
		nr++;
	}
	return nr;
}

static int list(struct model *m, struct bufftrack_list *arg)
{
	const __u32 known = BUFFTRACK_LIST_DEAD | BUFFTRACK_LIST_DEVICE | BUFFTRACK_LIST_SPACE |
			    BUFFTRACK_LIST_CLIENT | BUFFTRACK_LIST_PID;
	struct bufftrack_life lives[512];
	unsigned int nr, i;

	if (!arg->nr || arg->entry_size < sizeof(struct bufftrack_life) || arg->entry_size > 4096 ||
	    arg->entry_size % 8 || (arg->flags & ~known) || arg->reserved ||
	    (arg->device && !(arg->flags & BUFFTRACK_LIST_DEVICE)) ||
	    (arg->space && !(arg->flags & BUFFTRACK_LIST_SPACE)) ||
	    (arg->client && !(arg->flags & BUFFTRACK_LIST_CLIENT)) ||
	    (arg->pid && !(arg->flags & BUFFTRACK_LIST_PID)))
		return -EINVAL;

	/* Nothing changes between the pages of this one caller. */
	nr = model_lives(m, arg, lives, ARRAY_SIZE(lives));
	if (nr > ARRAY_SIZE(lives))
		abort();
	for (i = 0; i < arg->nr && arg->cursor[0] < nr; i++) {
		void *to = (void *)(uintptr_t)(arg->entries + (size_t)i * arg->entry_size);

		memcpy(to, &lives[arg->cursor[0]++], sizeof(lives[0]));
	}
	arg->nr = i;
	arg->entry_size = sizeof(lives[0]);
	return 0;
}

/* ---- STACK --------------------------------------------------------------- */

static int stack(const struct model *m, struct bufftrack_stack *arg)
{
	struct bufftrack_frame frame;
	unsigned int i, depth;

	if (!(m->info.features & BUFFTRACK_FEATURE_STACK))
		return -ENOTTY;
	if (arg->flags || arg->frame_size < sizeof(frame) || arg->frame_size > 4096 ||
	    arg->frame_size % 8)
		return -EINVAL;
	if (!arg->stack_id || arg->stack_id > MODEL_STACKS)
		return -ENOENT;
	depth = m->depths[arg->stack_id - 1];
	for (i = 0; i < depth && i < arg->nr; i++) {
		void *to = (void *)(uintptr_t)(arg->frames + (size_t)i * arg->frame_size);

		memset(&frame, 0, sizeof(frame));
		frame.address = m->stacks[arg->stack_id - 1][i];
		memcpy(to, &frame, sizeof(frame));
	}
	arg->nr = depth;
	return 0;
}

/* ---- all ----------------------------------------------------------------- */

/**
 * model_ioctl() - what a call should do
 * @m: the model
 * @client: who calls
 * @cmd: BUFFTRACK_IOC_*
 * @arg: the call's struct, filled as the kernel should fill it
 * @seen: the same after the kernel's answer, to learn from; NULL to lead
 *
 * Return: 0 or a negative errno.
 */
int model_ioctl(struct model *m, struct model_client *client, unsigned long cmd, void *arg,
		const void *seen)
{
	m->judged = false;
	switch (cmd) {
	case BUFFTRACK_IOC_INFO:
		return info(m, arg);
	case BUFFTRACK_IOC_CLIENT:
		return client_set(m, client, arg);
	case BUFFTRACK_IOC_ALLOC:
		return op_alone(m, client, arg, true, seen);
	case BUFFTRACK_IOC_FREE:
		return op_alone(m, client, arg, false, seen);
	case BUFFTRACK_IOC_BATCH:
		return batch(m, client, arg, seen);
	case BUFFTRACK_IOC_LABEL:
		return label(m, client, arg);
	case BUFFTRACK_IOC_RESET:
		return reset(m, arg);
	case BUFFTRACK_IOC_STAT:
		return stat(m, client, arg);
	case BUFFTRACK_IOC_LIST:
		return list(m, arg);
	case BUFFTRACK_IOC_STACK:
		return stack(m, arg);
	default:
		return -ENOTTY;
	}
}

void model_init(struct model *m)
{
	memset(m, 0, sizeof(*m));
}

void model_destroy(struct model *m)
{
	struct model_lost *lost;

	while (m->clients)
		model_close(m, m->clients);
	while (m->records)
		record_free(m, m->records);
	while (m->devices) {
		struct model_device *device = m->devices;

		m->devices = device->next;
		device_free(device);
	}
	while ((lost = m->lost)) {
		m->lost = lost->next;
		free(lost);
	}
}
