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
	bool counts; /* a reference was taken or dropped */
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
	case BUFFTRACK_HELD_FREE:
		return EBUSY;
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

static void count_bytes(struct model *m, struct model_counts *counts, int sign, uint64_t size)
{
	counts->bytes += sign * (int64_t)size;
	if (counts->bytes > counts->peak || broken(m, MODEL_BREAK_PEAK))
		counts->peak = counts->bytes;
}

static void count_live(struct model *m, struct model_counts *counts, int sign, uint64_t size)
{
	counts->live += sign;
	count_bytes(m, counts, sign, size);
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

/*
 * A hold comes to have a count, or none: what a LAST left keeps its place in its client's
 * limit, and counts no bytes.
 */
static void hold_count(struct model *m, struct model_record *rec, struct model_hold *hold, int sign)
{
	if (!rec->held || !broken(m, MODEL_BREAK_LAST_PLACE))
		hold->client->counts.live += sign;
	if (!rec->held || broken(m, MODEL_BREAK_LAST_BYTES))
		count_bytes(m, &hold->client->counts, sign, rec->last.size);
}

static void hold_drop(struct model *m, struct model_record *rec, struct model_hold *hold)
{
	hold->count--;
	rec->last.refs--;
	if (!hold->count)
		hold_count(m, rec, hold, -1);
}

/* ---- freed-buffer records ------------------------------------------------ */

/* What a LAST left is kept for as long as it may be freed. */
static bool is_tombstone(const struct model *m, const struct model_record *rec)
{
	return !is_live(rec) && (!rec->held || broken(m, MODEL_BREAK_LAST_EVICT));
}

static unsigned int pool_tombstones(const struct model *m, const struct model_record *of)
{
	const struct model_record *rec;
	unsigned int nr = 0;

	for (rec = m->records; rec; rec = rec->next)
		nr += is_tombstone(m, rec) && same_pool(rec, of);
	return nr;
}

static struct model_record *pool_oldest(struct model *m, const struct model_record *of)
{
	bool newest = broken(m, MODEL_BREAK_EVICT_NEWEST);
	struct model_record *among[256] = { NULL };
	struct model_record *rec;
	unsigned int nr = 0;

	for (rec = m->records; rec; rec = rec->next) {
		if (!is_tombstone(m, rec) || !same_pool(rec, of))
			continue;
		if (nr &&
		    (newest ? rec->tombed < among[0]->tombed : rec->tombed > among[0]->tombed))
			continue;
		if (nr && rec->tombed != among[0]->tombed)
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
		if (is_tombstone(m, rec) && rec->tombed == m->call &&
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
		if (!is_tombstone(m, a))
			continue;
		for (b = a->next; b; b = b->next) {
			if (is_tombstone(m, b) && same_pool(a, b) && a->tombed == b->tombed)
				return true;
		}
	}
	return false;
}

/* ---- allocations --------------------------------------------------------- */

/* The holds of what has ended, or of what a LAST left, go. */
static void holds_end(struct model *m, struct model_record *rec)
{
	unsigned int i;

	for (i = 0; i < rec->nr_holds; i++) {
		if (rec->holds[i].count)
			hold_count(m, rec, &rec->holds[i], -1);
	}
	rec->nr_holds = 0;
	rec->held = false;
	rec->last.refs = 0;
	rec->tombed = m->call;
}

/* A buffer comes to be live, or ends. */
static void count_life(struct model *m, struct model_record *rec, int sign)
{
	struct model_space *space = rec->space;
	struct scopes s = scopes_of(m, space->device, space, NULL);
	unsigned int i;

	for (i = 0; i < s.nr; i++)
		count_live(m, s.counts[i], sign, rec->last.size);
}

static void life_end(struct model *m, struct model_record *rec, uint32_t state, uint64_t client,
		     unsigned int stack)
{
	holds_end(m, rec);
	count_life(m, rec, -1);

	if (state == BUFFTRACK_STATE_FREED ||
	    (state == BUFFTRACK_STATE_MISSED && broken(m, MODEL_BREAK_FREES)))
		rec->frees++;
	if ((state == BUFFTRACK_STATE_EXITED && broken(m, MODEL_BREAK_EXIT)) ||
	    (state == BUFFTRACK_STATE_RESET && broken(m, MODEL_BREAK_RESET_STATE)))
		state = BUFFTRACK_STATE_FREED;
	if (state == BUFFTRACK_STATE_CONTEXT && broken(m, MODEL_BREAK_CONTEXT))
		state = BUFFTRACK_STATE_RESET;
	if (broken(m, MODEL_BREAK_EVENT_CLIENT))
		client = rec->last.alloc.client;
	rec->last.state = state;
	rec->last.end.call = m->call;
	rec->last.end.client = client;
	rec->last.end.stack = broken(m, MODEL_BREAK_STACKS) ? 0 : stack;
}

/* A FREE LAST: the caller's reference is gone, others are left. */
static void life_last(struct model *m, struct model_record *rec, uint64_t client,
		      unsigned int stack)
{
	unsigned int i;

	if (broken(m, MODEL_BREAK_LAST_LEFT)) {
		life_end(m, rec, BUFFTRACK_STATE_LAST, client, stack);
		rec->frees++;
		return;
	}
	for (i = 0; i < rec->nr_holds; i++) {
		if (rec->holds[i].count && broken(m, MODEL_BREAK_LAST_PLACE))
			rec->holds[i].client->counts.live--;
		if (rec->holds[i].count && !broken(m, MODEL_BREAK_LAST_BYTES))
			count_bytes(m, &rec->holds[i].client->counts, -1, rec->last.size);
	}
	count_life(m, rec, -1);
	rec->frees += !broken(m, MODEL_BREAK_LAST_FREES);
	rec->held = true;
	rec->tombed = m->call;
	rec->last.state = broken(m, MODEL_BREAK_LAST_STATE) ? BUFFTRACK_STATE_FREED
							    : BUFFTRACK_STATE_LAST;
	rec->last.end.call = m->call;
	rec->last.end.client = client;
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

	if (rec && broken(m, MODEL_BREAK_REVIVE)) {
		if (rec->held)
			holds_end(m, rec);
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

	if (rec->held)
		holds_end(m, rec);
	if (rec->last.state != BUFFTRACK_STATE_MISSED || !broken(m, MODEL_BREAK_MISSED_STATE))
		rec->prev = rec->last;
	if (rec->prev.state == BUFFTRACK_STATE_LAST && broken(m, MODEL_BREAK_LAST_AGAIN))
		rec->prev.state = BUFFTRACK_STATE_FREED;
	rec->last = (struct model_life){
		.generation = generation_next(call),
		.size = op->size,
		.tag = op->tag,
		.flags = op->flags &
			 (BUFFTRACK_F_EXCLUSIVE | BUFFTRACK_F_SHARED | BUFFTRACK_F_PERSISTENT),
		.state = BUFFTRACK_STATE_LIVE,
		.undone = broken(m, MODEL_BREAK_UNDONE_STAYS) && rec->prev.undone,
		.views = broken(m, MODEL_BREAK_VIEWS) ? rec->prev.views : 0,
		.alloc = { .call = m->call, .client = call->client->id, .stack = stack_of(m, op) },
	};
	rec->lives++;
	if (!rec->first)
		rec->first = rec->last.generation;

	count_life(m, rec, 1);
	hold_take(m, rec, call->client);
	call->counts = true;
}

/* ---- what is meant, and what is proven ----------------------------------- */

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

/* Of what an earlier bad verdict has left over */
static bool is_consequence(const struct model_record *rec, enum named named)
{
	if (named == NAMED_LAST)
		return rec->held || rec->last.held_reset;
	return named == NAMED_PREV && (rec->prev.state == BUFFTRACK_STATE_MISSED ||
				       rec->prev.state == BUFFTRACK_STATE_LAST);
}

/* Whether a token proves it, or that the key had one allocation only. */
static bool is_proven(const struct call *call, enum named named)
{
	const struct model_record *rec = call->rec;
	const struct model *m = call->m;
	uint64_t token = call->op->token;
	bool lost = call->lost && !broken(m, MODEL_BREAK_PROBABLE_LOST);

	if (!rec)
		return !lost;
	if (!token)
		return !lost && (rec->lives <= 1 || broken(m, MODEL_BREAK_PROBABLE_LIVES));
	if (named != NAMED_OLDER)
		return true;
	if (!is_live(rec) && !broken(m, MODEL_BREAK_PROBABLE_DEAD))
		return false;
	return token / MODEL_BLOCK == rec->last.generation / MODEL_BLOCK &&
	       !broken(m, MODEL_BREAK_PROBABLE_BLOCK);
}

/* What is to be said beside a verdict */
static uint32_t proof(const struct call *call, enum named named, uint32_t verdict)
{
	const struct model_client *client = call->client;
	const struct model_record *rec = call->rec;
	const struct model *m = call->m;
	bool of_alloc = verdict == BUFFTRACK_MISSED_FREE || verdict == BUFFTRACK_DANGLING;
	uint32_t info = 0, makes = 0, without = 0;
	bool token = call->op->token && rec && !broken(m, MODEL_BREAK_PROBABLE_TOKEN);

	if (client->unrecorded ||
	    (client->flags & BUFFTRACK_CLIENT_PARTIAL && !broken(m, MODEL_BREAK_PARTIAL)))
		info |= BUFFTRACK_INFO_NOT_RECORDED;
	if (client->flags & BUFFTRACK_CLIENT_FORKED && !broken(m, MODEL_BREAK_FORKED))
		info |= BUFFTRACK_INFO_FORKED;
	if (call->lost && (!rec || named == NAMED_OLDER) && !broken(m, MODEL_BREAK_LOST_TOKEN))
		info |= BUFFTRACK_INFO_HISTORY_LOST;
	if (rec && !of_alloc && is_consequence(rec, named) && !broken(m, MODEL_BREAK_CONSEQUENCE))
		info |= BUFFTRACK_INFO_CONSEQUENCE;
	if (rec && named == NAMED_LAST && rec->last.undone && !broken(m, MODEL_BREAK_UNDONE))
		info |= BUFFTRACK_INFO_UNDONE;
	if (rec && named == NAMED_LAST && rec->last.views && !is_live(rec) &&
	    !broken(m, MODEL_BREAK_VIEWS_LEFT))
		info |= BUFFTRACK_INFO_VIEWS_LEFT;

	if (!broken(m, MODEL_BREAK_PROBABLE_UNDONE))
		makes |= BUFFTRACK_INFO_UNDONE;
	if (!broken(m, MODEL_BREAK_PROBABLE_CONSEQUENCE))
		makes |= BUFFTRACK_INFO_CONSEQUENCE;
	if (!broken(m, MODEL_BREAK_PROBABLE_RECORDED))
		without |= BUFFTRACK_INFO_NOT_RECORDED | BUFFTRACK_INFO_FORKED;
	if (verdict == BUFFTRACK_MISSED_FREE && broken(m, MODEL_BREAK_PROBABLE_MISSED))
		return info;
	if (!is_proven(call, named) || info & makes || (!token && info & without) ||
	    verdict == BUFFTRACK_MISSED_FREE)
		info |= BUFFTRACK_INFO_PROBABLE;
	return info;
}

/* ---- ALLOC --------------------------------------------------------------- */

/* Of what must be live, and, with a token, be that allocation */
static bool is_dangling(const struct call *call)
{
	const struct bufftrack_op *op = call->op;
	const struct model *m = call->m;
	bool view = op->flags & BUFFTRACK_F_VIEW;

	if (!view && !(op->flags & BUFFTRACK_F_RETAIN))
		return false;
	if (!is_live(call->rec))
		return view || !broken(m, MODEL_BREAK_RETAIN);
	if (broken(m, view ? MODEL_BREAK_VIEW_TOKEN : MODEL_BREAK_RETAIN_TOKEN))
		return false;
	return op->token && op->token != call->rec->last.generation;
}

static int alloc_dangling(struct call *call)
{
	enum named named = call->rec ? named_life(call) : NAMED_NEVER;

	if ((call->op->flags & BUFFTRACK_F_VIEW) && broken(call->m, MODEL_BREAK_VIEW_DANGLING))
		return BUFFTRACK_OK;
	call->op->info = proof(call, named, BUFFTRACK_DANGLING);
	return BUFFTRACK_DANGLING;
}

static int alloc_view(struct call *call)
{
	struct model_record *rec = call->rec;

	rec->last.views++;
	if (broken(call->m, MODEL_BREAK_VIEW_REFS))
		rec->last.refs++;
	return BUFFTRACK_OK;
}

static int alloc_missed(struct call *call)
{
	struct model_record *rec = call->rec;
	uint32_t info = 0;

	if (rec->last.undone && !broken(call->m, MODEL_BREAK_UNDONE))
		info |= BUFFTRACK_INFO_UNDONE;
	if (rec->last.views && !broken(call->m, MODEL_BREAK_VIEWS_LEFT))
		info |= BUFFTRACK_INFO_VIEWS_LEFT;
	life_end(call->m, rec, BUFFTRACK_STATE_MISSED, call->client->id,
		 stack_of(call->m, call->op));
	life_begin(call);
	call->op->info = info | proof(call, NAMED_PREV, BUFFTRACK_MISSED_FREE);
	return BUFFTRACK_MISSED_FREE;
}

/* A further reference; but SAME has one a client. */
static int alloc_more(struct call *call, const struct model_hold *hold)
{
	struct bufftrack_op *op = call->op;
	struct model_record *rec = call->rec;
	struct model *m = call->m;
	bool same = op->flags & BUFFTRACK_F_SAME && !broken(m, MODEL_BREAK_SAME);

	if (!same || !(broken(m, MODEL_BREAK_SAME_FIRST) || (hold && hold->count))) {
		hold_take(m, rec, call->client);
		call->counts = true;
	}
	if (broken(m, MODEL_BREAK_TAG_FIRST))
		rec->last.tag = op->tag;
	if (broken(m, MODEL_BREAK_FLAGS_FIRST))
		rec->last.flags = op->flags;
	if (broken(m, MODEL_BREAK_PERSISTENT_LATER))
		rec->last.flags |= op->flags & BUFFTRACK_F_PERSISTENT;
	if (op->size == rec->last.size)
		return BUFFTRACK_OK;
	op->info = proof(call, NAMED_LAST, BUFFTRACK_SIZE_MISMATCH);
	if (broken(m, MODEL_BREAK_SIZE_FIRST))
		rec->last.size = op->size;
	return broken(m, MODEL_BREAK_SIZE_ALLOC) ? BUFFTRACK_OK : BUFFTRACK_SIZE_MISMATCH;
}

/* A verdict, or a negative errno */
static int alloc(struct call *call)
{
	struct bufftrack_op *op = call->op;
	struct model_record *rec = call->rec;
	struct model *m = call->m;
	struct model_hold *hold;
	bool exclusive;

	if (is_dangling(call))
		return alloc_dangling(call);
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
	return exclusive ? alloc_missed(call) : alloc_more(call, hold);
}

/* ---- FREE ---------------------------------------------------------------- */

static uint32_t verdict_of_end(const struct model *m, uint32_t state)
{
	switch (state) {
	case BUFFTRACK_STATE_EXITED:
		return BUFFTRACK_FREE_AFTER_EXIT;
	case BUFFTRACK_STATE_RESET:
	case BUFFTRACK_STATE_CONTEXT:
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

/* Whether a LAST ends what has references left. */
static bool is_last(const struct call *call, const struct model_hold *hold)
{
	const struct model_record *rec = call->rec;
	const struct model *m = call->m;

	if (!(call->op->flags & BUFFTRACK_F_LAST) || !is_live(rec) || broken(m, MODEL_BREAK_LAST))
		return false;
	if (hold->client != call->client && !broken(m, MODEL_BREAK_LAST_WITHOUT))
		return false;
	return rec->last.refs > 1 || broken(m, MODEL_BREAK_LAST_ALONE);
}

static uint32_t free_drop(struct call *call, struct model_hold *hold)
{
	struct bufftrack_op *op = call->op;
	struct model_record *rec = call->rec;
	struct model *m = call->m;
	bool last = is_last(call, hold);
	uint32_t verdict = BUFFTRACK_OK;

	if (last)
		verdict = BUFFTRACK_HELD_FREE;
	else if (op->size && op->size != rec->last.size && !broken(m, MODEL_BREAK_SIZE_FREE))
		verdict = BUFFTRACK_SIZE_MISMATCH;
	if (verdict != BUFFTRACK_OK || rec->held)
		op->info = proof(call, NAMED_LAST, verdict);

	call->counts = true;
	hold->lent |= hold->client != call->client;
	hold_drop(m, rec, hold);
	if (last) {
		if (rec->last.views && !broken(m, MODEL_BREAK_VIEWS_LEFT))
			op->info |= BUFFTRACK_INFO_VIEWS_LEFT;
		life_last(m, rec, call->client->id, stack_of(m, op));
	} else if (!rec->last.refs && rec->held) {
		holds_end(m, rec);
	} else if (!rec->last.refs) {
		life_end(m, rec, BUFFTRACK_STATE_FREED, call->client->id, stack_of(m, op));
	}
	return verdict;
}

/* Of what is live, or what a LAST left */
static uint32_t free_held(struct call *call)
{
	struct model_record *rec = call->rec;
	struct model *m = call->m;
	struct model_hold *own = hold_find(rec, call->client);
	struct model_hold *oldest = hold_oldest(m, rec, MODEL_BREAK_SHARED_OLDEST);
	bool shared = rec->last.flags & BUFFTRACK_F_SHARED;

	if (own && own->count) {
		if (shared && broken(m, MODEL_BREAK_SHARED_OWN))
			own = oldest;
		return free_drop(call, own);
	}
	if (own && shared && broken(m, MODEL_BREAK_SHARED_DROPPED))
		return free_drop(call, oldest);
	if (!own && (shared || broken(m, MODEL_BREAK_SHARED_ALL)))
		return free_drop(call, oldest);
	if (own && oldest && broken(m, MODEL_BREAK_DOUBLE_DROPS))
		hold_drop(m, rec, oldest);
	if (own)
		return broken(m, MODEL_BREAK_DROPPED) ? BUFFTRACK_FOREIGN_FREE
						      : BUFFTRACK_DOUBLE_FREE;
	return broken(m, MODEL_BREAK_FOREIGN) ? BUFFTRACK_DOUBLE_FREE : BUFFTRACK_FOREIGN_FREE;
}

static uint32_t free_live(struct call *call, enum named named)
{
	struct model *m = call->m;

	if (named == NAMED_LAST)
		return free_held(call);
	if (broken(m, MODEL_BREAK_STALE))
		life_end(m, call->rec, BUFFTRACK_STATE_FREED, call->client->id, 0);
	return BUFFTRACK_STALE_FREE;
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
	enum named named = NAMED_NEVER;
	struct model *m = call->m;
	uint32_t verdict = BUFFTRACK_UNKNOWN_FREE;

	if (op->flags & BUFFTRACK_F_VIEW)
		return free_view(call);

	if (rec)
		named = named_life(call);
	if (named != NAMED_NEVER) {
		if (is_live(rec))
			verdict = free_live(call, named);
		else if (rec->held && named == NAMED_LAST)
			verdict = free_held(call);
		else
			verdict = free_dead(call, named);
	}
	if (call->counts)
		return verdict;

	op->info = proof(call, named, verdict);
	if (rec)
		rec->refused += !broken(m, MODEL_BREAK_REFUSED);
	return verdict;
}

/* ---- UNDO ---------------------------------------------------------------- */

static bool had_counted(const struct model *m, const struct bufftrack_op *op)
{
	return op->verdict == BUFFTRACK_OK || op->verdict == BUFFTRACK_SIZE_MISMATCH ||
	       op->verdict == BUFFTRACK_HELD_FREE || broken(m, MODEL_BREAK_UNDO_BAD);
}

static bool reset_meant(const struct model_reset *reset, const struct model_record *rec)
{
	if ((reset->flags & BUFFTRACK_RESET_SPACE) && rec->space->id != reset->space)
		return false;
	return !(reset->flags & BUFFTRACK_RESET_TAG) || rec->last.tag == reset->tag;
}

static void reset_note(struct model_resets *resets, const struct model_reset *reset)
{
	resets->latest[resets->nr++ % 4] = *reset;
}

/* Whether the allocation would have ended in one that came after a call; or -ENOENT */
static int reset_since(const struct model_resets *resets, const struct model_record *rec,
		       uint64_t call)
{
	unsigned int i, after = 0;

	for (i = 0; i < resets->nr && i < 4; i++) {
		if (resets->latest[i].call <= call)
			continue;
		after++;
		if (reset_meant(&resets->latest[i], rec))
			return 1;
	}
	return after == 4 && resets->nr > 4 ? -ENOENT : 0;
}

static struct model_resets *client_resets(struct model_client *client, uint64_t device)
{
	unsigned int i;

	for (i = 0; i < client->nr_devices; i++) {
		if (client->devices[i] == device)
			return &client->resets[i];
	}
	return NULL;
}

static void hold_regain(struct model *m, struct model_record *rec, struct model_hold *hold)
{
	rec->last.refs++;
	if (!hold->count++)
		hold_count(m, rec, hold, 1);
}

/* What a LAST ended is live again, with its holds. */
static void life_unlast(struct model *m, struct model_record *rec)
{
	unsigned int i;

	rec->held = false;
	rec->last.state = BUFFTRACK_STATE_LIVE;
	rec->last.end = (struct model_when){ .call = 0 };
	rec->frees -= !broken(m, MODEL_BREAK_UNDO_FREES);
	for (i = 0; i < rec->nr_holds; i++) {
		if (rec->holds[i].count)
			count_bytes(m, &rec->holds[i].client->counts, 1, rec->last.size);
	}
	count_life(m, rec, 1);
}

/* Of what is live, or what a LAST left */
static int undo_held(struct model *m, struct model_client *client, struct model_record *rec,
		     const struct bufftrack_op *op)
{
	struct model_hold *hold = hold_find(rec, client);
	bool lent = !hold;
	unsigned int i;

	/* Of those whose reference somebody else dropped, the youngest lost it last. */
	for (i = 0; !hold && rec->last.flags & BUFFTRACK_F_SHARED && i < rec->nr_holds; i++) {
		if (rec->holds[rec->nr_holds - 1 - i].lent)
			hold = &rec->holds[rec->nr_holds - 1 - i];
	}
	if (!hold)
		return -ENOENT;
	if (rec->held && op->verdict == BUFFTRACK_HELD_FREE) {
		if (rec->last.end.client != client->id && !broken(m, MODEL_BREAK_UNDO_HELD))
			return -ENOENT;
		if (!broken(m, MODEL_BREAK_UNDO_LAST))
			life_unlast(m, rec);
	}
	hold->lent &= !lent;
	if (!broken(m, MODEL_BREAK_UNDO_REF))
		hold_regain(m, rec, hold);
	return 0;
}

/* The last reference that a LAST had left is left again. */
static int undo_leftover(struct model *m, struct model_client *client, struct model_record *rec,
			 const struct bufftrack_op *op)
{
	if (!(op->info & BUFFTRACK_INFO_CONSEQUENCE))
		return -ENOENT;
	rec->held = true;
	rec->holds[rec->nr_holds++] = (struct model_hold){ .client = client };
	hold_regain(m, rec, &rec->holds[0]);
	return 0;
}

/* An end is undone by whose FREE it was; a reset since is the end then. */
static int undo_dead(struct model *m, struct model_client *client, struct model_record *rec,
		     const struct bufftrack_op *op)
{
	uint64_t ended = rec->last.end.call;
	bool anyones = broken(m, MODEL_BREAK_UNDO_ANOTHERS);
	int own, all;

	switch (rec->last.state) {
	case BUFFTRACK_STATE_RESET:
	case BUFFTRACK_STATE_CONTEXT:
		return 0;
	case BUFFTRACK_STATE_LAST:
		if (op->verdict != BUFFTRACK_HELD_FREE)
			return undo_leftover(m, client, rec, op);
		break;
	case BUFFTRACK_STATE_FREED:
		break;
	default:
		if (!broken(m, MODEL_BREAK_UNDO_EXIT))
			return -ENOENT;
		anyones = true;
		break;
	}
	if (rec->last.end.client != client->id && !anyones)
		return -ENOENT;
	all = reset_since(&rec->space->device->resets, rec, ended);
	own = reset_since(client_resets(client, rec->space->device->id), rec, ended);
	if (broken(m, MODEL_BREAK_UNDO_RESET))
		all = 0;
	if (broken(m, MODEL_BREAK_UNDO_CONTEXT))
		own = 0;
	if (all <= 0 && own <= 0 && (all || own))
		return -ENOENT;
	if (broken(m, MODEL_BREAK_UNDO))
		return 0;
	if (broken(m, MODEL_BREAK_UNDO_LIMIT) && client->counts.live >= m->max_buffers)
		return -ENOSPC;
	rec->frees -= rec->frees && !broken(m, MODEL_BREAK_UNDO_FREES);
	if (all > 0) {
		rec->last.state = BUFFTRACK_STATE_RESET;
		return 0;
	}
	if (own > 0) {
		rec->last.state = BUFFTRACK_STATE_CONTEXT;
		return 0;
	}
	rec->last.state = BUFFTRACK_STATE_LIVE;
	rec->last.end = (struct model_when){ .call = 0 };
	count_life(m, rec, 1);
	hold_take(m, rec, client);
	return 0;
}

static int undo_judge(struct model *m, struct model_client *client, struct bufftrack_op *op)
{
	struct model_device *device = model_device(m, op->device);
	struct model_record *rec;
	struct scopes s;
	unsigned int i;
	int rc;

	if (!device || !client_uses(client, op->device) || !op->generation)
		return -ENOENT;
	rec = model_record(m, client, op->device, op->space, op->buffer);
	if (!rec || op->generation > rec->last.generation)
		return -ENOENT;
	if (op->generation < rec->last.generation)
		return broken(m, MODEL_BREAK_UNDO_STALE) ? -ENOENT : -ESTALE;
	rc = is_live(rec) || rec->held ? undo_held(m, client, rec, op)
				       : undo_dead(m, client, rec, op);
	if (rc)
		return rc;

	rec->last.undone = true;
	s = scopes_of(m, device, rec->space, client);
	for (i = 0; i < s.nr; i++)
		s.counts[i]->undos += !broken(m, MODEL_BREAK_UNDO_COUNT);
	op->generation = rec->last.generation;
	op->refs = rec->last.refs;
	return 0;
}

/* A FREE's own struct, as it was answered */
static int undo(struct model *m, struct model_client *client, struct bufftrack_op *op)
{
	__u32 known = BUFFTRACK_F_LAST;
	int rc = 0;

	m->call++;
	if (broken(m, MODEL_BREAK_UNDO_VIEW))
		known |= BUFFTRACK_F_VIEW;
	if (op->reserved || op->tag || (op->flags & ~known))
		return -EINVAL;
	if (had_counted(m, op))
		rc = undo_judge(m, client, op);
	else
		op->refs = 0;
	if (rc)
		return rc;
	m->judged = true;
	op->verdict = BUFFTRACK_OK;
	op->info = 0;
	op->error = 0;
	op->stack_id = 0;
	return 0;
}

/* ---- one ALLOC or FREE --------------------------------------------------- */

static bool alloc_valid(const struct bufftrack_op *op)
{
	const __u32 known = BUFFTRACK_F_EXCLUSIVE | BUFFTRACK_F_SHARED | BUFFTRACK_F_VIEW |
			    BUFFTRACK_F_RETAIN | BUFFTRACK_F_SAME | BUFFTRACK_F_PERSISTENT;
	const __u32 with_token = BUFFTRACK_F_VIEW | BUFFTRACK_F_RETAIN;
	unsigned int kinds = !!(op->flags & BUFFTRACK_F_EXCLUSIVE) +
			     !!(op->flags & BUFFTRACK_F_RETAIN) + !!(op->flags & BUFFTRACK_F_SAME);

	if ((op->flags & ~known) || kinds > 1)
		return false;
	if ((op->flags & BUFFTRACK_F_VIEW) && op->flags != BUFFTRACK_F_VIEW)
		return false;
	return !op->token || (op->flags & with_token);
}

static bool free_valid(const struct model *m, const struct model_client *client,
		       const struct bufftrack_op *op)
{
	if (op->tag ||
	    (op->flags && op->flags != BUFFTRACK_F_VIEW && op->flags != BUFFTRACK_F_LAST))
		return false;
	return op->token || !(client->flags & BUFFTRACK_CLIENT_REQUIRE_TOKEN) ||
	       broken(m, MODEL_BREAK_REQUIRE_TOKEN);
}

static bool op_valid(const struct call *call, bool alloc)
{
	const struct bufftrack_op *op = call->op;
	const struct model *m = call->m;

	if (op->reserved)
		return false;
	if (op->stack_depth > m->info.max_stack_depth &&
	    (m->info.features & BUFFTRACK_FEATURE_STACK))
		return false;
	return alloc ? alloc_valid(op) : free_valid(m, call->client, op);
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
	if (!op_valid(call, alloc_it))
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
	op->stack_id = stack_of(m, op);
	/* To look whether it is live, the client comes to the device. */
	if (call->device && (op->flags & (BUFFTRACK_F_RETAIN | BUFFTRACK_F_VIEW)))
		client_use(call->client, op->device);
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
		if (!call->counts)
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
	op->stack_id = 0;
	verdict = op_judge(&call, alloc_it);
	if (verdict < 0) {
		client->unrecorded |= !broken(m, MODEL_BREAK_NOT_RECORDED);
		return verdict;
	}
	*bad = verdict != BUFFTRACK_OK;
	client->unrecorded |= *bad && broken(m, MODEL_BREAK_NOT_RECORDED_BAD);
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

	if (op->op) {
		client->unrecorded |= !broken(m, MODEL_BREAK_NOT_RECORDED);
		return -EINVAL;
	}
	rc = op_one(m, client, op, alloc_it, seen, &bad);
	trap(m, client, bad);
	return rc;
}

static int undo_alone(struct model *m, struct model_client *client, struct bufftrack_op *op)
{
	return op->op ? -EINVAL : undo(m, client, op);
}

static void op_clear(struct bufftrack_op *op)
{
	op->generation = 0;
	op->refs = 0;
	op->verdict = 0;
	op->info = 0;
	op->stack_id = 0;
}

static int batch(struct model *m, struct model_client *client, struct bufftrack_batch *b,
		 const struct bufftrack_batch *seen)
{
	bool any = false;
	unsigned int i;

	if (!b->nr || b->nr > m->info.max_batch || b->flags || b->reserved ||
	    b->entry_size < sizeof(struct bufftrack_op) || b->entry_size > 4096 ||
	    b->entry_size % 8) {
		client->unrecorded |= b->nr && !broken(m, MODEL_BREAK_NOT_RECORDED);
		return -EINVAL;
	}

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
		} else if (op->op == BUFFTRACK_OP_UNDO) {
			rc = undo(m, client, op);
			if (rc)
				op_clear(op);
		} else {
			op_clear(op);
			client->unrecorded |= !broken(m, MODEL_BREAK_NOT_RECORDED);
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

/* A client that goes drops its hold: of what is live that is a LEAK, but for PERSISTENT. */
static void leak(struct model *m, struct model_record *rec, struct model_hold *hold)
{
	struct model_space *space = rec->space;
	struct scopes s = scopes_of(m, space->device, space, NULL);
	bool told = !(rec->last.flags & BUFFTRACK_F_PERSISTENT) ||
		    broken(m, MODEL_BREAK_PERSISTENT);
	uint64_t id = hold->client->id;
	unsigned int i;

	if (rec->held)
		told &= broken(m, MODEL_BREAK_LAST_LEAK);
	for (i = 0; i < s.nr && told; i++)
		s.counts[i]->verdicts[BUFFTRACK_LEAK] +=
			broken(m, MODEL_BREAK_LEAK_COUNT) ? hold->count : 1;
	while (hold->count)
		hold_drop(m, rec, hold);
	if (rec->held && !rec->last.refs)
		holds_end(m, rec);
	else if (!rec->held && (!rec->last.refs || broken(m, MODEL_BREAK_EXIT_HELD)))
		life_end(m, rec, BUFFTRACK_STATE_EXITED, id, 0);
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
		hold = hold_find(rec, client);
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
			    BUFFTRACK_CLIENT_STRICT | BUFFTRACK_CLIENT_TRAP |
			    BUFFTRACK_CLIENT_REQUIRE_TOKEN | BUFFTRACK_CLIENT_PARTIAL |
			    BUFFTRACK_CLIENT_FORKED;
	__u32 stay = BUFFTRACK_CLIENT_PRIVATE;
	__u32 mask = arg->mask & ~BUFFTRACK_CLIENT_NAME;

	if ((arg->mask & ~known) || (arg->flags & ~known) || (arg->flags & BUFFTRACK_CLIENT_NAME))
		return -EINVAL;
	if ((arg->mask & BUFFTRACK_CLIENT_NAME) && !memchr(arg->name, 0, sizeof(arg->name)))
		return -EINVAL;
	if (!broken(m, MODEL_BREAK_CLIENT_STAYS))
		stay |= BUFFTRACK_CLIENT_PARTIAL | BUFFTRACK_CLIENT_FORKED;
	if (client->flags & mask & ~arg->flags & stay)
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

	if ((arg->flags & ~BUFFTRACK_LABEL_SPACE) || arg->tag || (arg->space && !of_space) ||
	    !label_valid(arg))
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

/* What a LAST had left goes in a reset. */
static void held_reset(struct model *m, struct model_client *client, struct model_record *rec,
		       uint32_t state)
{
	holds_end(m, rec);
	rec->last.state = state;
	rec->last.end = (struct model_when){ .call = m->call, .client = client->id };
	rec->last.held_reset = true;
}

static void reset_all(struct model *m, struct model_client *client, struct model_device *device,
		      struct bufftrack_reset *arg)
{
	const struct model_reset reset = {
		.call = m->call,
		.flags = broken(m, MODEL_BREAK_RESET_SPACE) ? 0 : arg->flags,
		.space = arg->space,
	};
	struct model_record *rec;

	reset_note(&device->resets, &reset);
	for (rec = m->records; rec; rec = rec->next) {
		if (rec->space->device != device || !reset_meant(&reset, rec))
			continue;
		if (rec->owner && broken(m, MODEL_BREAK_RESET_PRIVATE))
			continue;
		if (rec->held && !broken(m, MODEL_BREAK_LAST_RESET))
			held_reset(m, client, rec, BUFFTRACK_STATE_RESET);
		if (!is_live(rec))
			continue;
		life_end(m, rec, BUFFTRACK_STATE_RESET, client->id, 0);
		arg->lives++;
	}
}

/* Of what the caller holds on one device */
static void reset_own(struct model *m, struct model_client *client, uint64_t device,
		      struct bufftrack_reset *arg)
{
	struct model_reset reset = {
		.call = m->call,
		.flags = arg->flags,
		.space = arg->space,
		.tag = arg->tag,
	};
	struct model_record *rec;
	struct model_hold *hold;

	if (broken(m, MODEL_BREAK_CONTEXT_TAG))
		reset.flags &= ~BUFFTRACK_RESET_TAG;
	if (broken(m, MODEL_BREAK_CONTEXT_SPACE))
		reset.flags &= ~BUFFTRACK_RESET_SPACE;
	reset_note(client_resets(client, device), &reset);
	for (rec = m->records; rec; rec = rec->next) {
		hold = hold_find(rec, client);
		if (rec->space->device->id != device || !hold || !hold->count ||
		    !reset_meant(&reset, rec))
			continue;
		arg->holds += broken(m, MODEL_BREAK_CONTEXT_HOLDS) ? hold->count : 1;
		while (hold->count)
			hold_drop(m, rec, hold);
		if (broken(m, MODEL_BREAK_CONTEXT_HAD))
			hold_remove(rec, client);
		if (rec->last.refs && !broken(m, MODEL_BREAK_CONTEXT_OTHERS))
			continue;
		if (rec->held) {
			held_reset(m, client, rec, BUFFTRACK_STATE_CONTEXT);
			continue;
		}
		life_end(m, rec, BUFFTRACK_STATE_CONTEXT, client->id, 0);
		arg->lives++;
	}
}

static bool reset_valid(const struct bufftrack_reset *arg)
{
	const __u32 known = BUFFTRACK_RESET_CLIENT | BUFFTRACK_RESET_SPACE | BUFFTRACK_RESET_TAG |
			    BUFFTRACK_RESET_ALL;
	bool all = arg->flags & BUFFTRACK_RESET_ALL;
	bool tag = arg->flags & BUFFTRACK_RESET_TAG;
	bool space = arg->flags & BUFFTRACK_RESET_SPACE;

	if ((arg->flags & ~known) || ((all || tag) && !(arg->flags & BUFFTRACK_RESET_CLIENT)))
		return false;
	if (all && (space || arg->device))
		return false;
	return (space || !arg->space) && (tag || !arg->tag);
}

static int reset(struct model *m, struct model_client *client, struct bufftrack_reset *arg)
{
	struct model_device *device = model_device(m, arg->device);
	unsigned int i;

	if (!reset_valid(arg))
		return -EINVAL;
	if (!device && !(arg->flags & BUFFTRACK_RESET_CLIENT))
		return -ENODEV;

	m->call++;
	arg->lives = 0;
	arg->holds = 0;
	if (!(arg->flags & BUFFTRACK_RESET_CLIENT))
		reset_all(m, client, device, arg);
	for (i = 0; i < client->nr_devices && (arg->flags & BUFFTRACK_RESET_CLIENT); i++) {
		if (client->devices[i] != arg->device && !(arg->flags & BUFFTRACK_RESET_ALL))
			continue;
		reset_own(m, client, client->devices[i], arg);
		if (broken(m, MODEL_BREAK_CONTEXT_ALL))
			break;
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
	st->undos = counts->undos;
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
	unsigned int i;
	int rc;

	if (st->flags & ~BUFFTRACK_STAT_NEXT)
		return -EINVAL;
	if (st->cursor && !(st->flags & BUFFTRACK_STAT_NEXT))
		return -EINVAL;
	for (i = 0; i < ARRAY_SIZE(st->reserved); i++) {
		if (st->reserved[i])
			return -EINVAL;
	}
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
	event.client = when->client;
	event.pid = m->pid;
	event.tid = m->tid;
	event.uid = m->uid;
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
	/* What has ended is held by nobody, whatever a LAST left. */
	if (!is_live(rec))
		return false;
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
	uint32_t flags = rec->last.flags;

	if (rec->owner)
		flags |= BUFFTRACK_LIFE_PRIVATE;
	if (rec->last.undone)
		flags |= BUFFTRACK_LIFE_UNDONE;
	if (rec->last.views && !is_live(rec))
		flags |= BUFFTRACK_LIFE_VIEWS_LEFT;
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
		.flags = flags,
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
		return reset(m, client, arg);
	case BUFFTRACK_IOC_UNDO:
		return undo_alone(m, client, arg);
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
