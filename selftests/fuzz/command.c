// SPDX-License-Identifier: GPL-2.0
/*
 * One call: its struct, made of the command's bytes, and what its answer must
 * be, whatever was asked. The last three bytes say, of every call, where the
 * struct lies, how long it is, and what in it is garbage.
 */
#include <errno.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "fuzz.h"

enum { P_WHERE = 7, P_SIZE = 8, P_GARBAGE = 9 };

#define GUARD 0xc3
#define GUARD_LEN 16
#define POISON 0xa5
#define OP_SIZE sizeof(struct bufftrack_op)
#define LIFE_SIZE sizeof(struct bufftrack_life)
#define FRAME_SIZE sizeof(struct bufftrack_frame)
/* Room for the return addresses of one entry of a BATCH; so many have their own. */
#define STACK_LEN (65 * sizeof(uint64_t))
#define STACK_SLOTS 8

bool command_verbose;

struct call {
	struct task *task;
	const struct command *c;
	unsigned int at; /* its number in the program */
	int fd;
};

/* ---- the call itself ----------------------------------------------------- */

/* The struct's length that the command carries. */
static size_t odd_size(uint8_t byte, size_t size)
{
	if (byte < 208)
		return size;
	switch ((byte - 208) % 8) {
	case 0:
		return size - 8;
	case 1:
		return 1;
	case 2:
		return 0;
	case 3:
		return size - 4;
	case 4:
		return size + 1;
	case 5:
		return _IOC_SIZEMASK;
	default:
		return size + 8;
	}
}

/* Something else in one word of it; mostly nothing. */
static void add_garbage(const struct command *c, uint8_t *arg, size_t size)
{
	static const uint32_t values[] = { 1, ~0U, 0x80000000U, 0x00010000U };
	uint32_t word;
	size_t at;

	if (c->p[P_GARBAGE] < 224)
		return;
	at = (c->p[P_GARBAGE] - 224) * size / 32 & ~(size_t)3;
	memcpy(&word, &arg[at], sizeof(word));
	word ^= values[c->p[6] % ARRAY_SIZE(values)];
	memcpy(&arg[at], &word, sizeof(word));
}

/*
 * @arg is how it was meant, and then the answer, where there can be one. Returns 0
 * or a negative errno.
 */
static int call_ioctl(const struct call *call, unsigned long cmd, void *arg)
{
	const size_t own = _IOC_SIZE(cmd);
	const struct arena *arena = &call->task->arena;
	const struct command *c = call->c;
	enum place where = place_of(c->p[P_WHERE]);
	size_t size = odd_size(c->p[P_SIZE], own), i;
	uint8_t image[_IOC_SIZEMASK + 1] = {};
	uint8_t *user;
	int rc;

	add_garbage(c, arg, own);
	memcpy(image, arg, own);
	if (size == own + 8 && c->p[P_SIZE] & 8)
		image[size - 1] = 1;
	user = place_in(arena, &arena->single, where, size);
	if (where == PLACE_VALID)
		memset(user + size, GUARD, GUARD_LEN);
	place_fill(arena, &arena->single, where, image, size);

	rc = ioctl(call->fd, _IOC(_IOC_READ | _IOC_WRITE, BUFFTRACK_IOC_MAGIC, _IOC_NR(cmd), size),
		   user);
	rc = rc < 0 ? -errno : 0;
	if (command_verbose)
		fprintf(stderr, "  %s(%d, %zu bytes, place %d): %s\n", kind_names[c->kind],
			call->fd, size, where, rc ? strerror(-rc) : "0");

	if (where <= PLACE_ODD)
		memcpy(arg, user, size < own ? size : own);
	if (where == PLACE_VALID) {
		for (i = 0; i < GUARD_LEN; i++) {
			if (user[size + i] != GUARD)
				run_failed("%s wrote %zu bytes beyond its struct",
					   kind_names[c->kind], i + 1);
		}
	}
	return rc;
}

/* Whether the answer is there to be looked at. */
static bool answered(const struct call *call, int rc)
{
	return !rc && place_of(call->c->p[P_WHERE]) <= PLACE_ODD;
}

/* ---- keys ---------------------------------------------------------------- */

static uint64_t device_of(const struct task *task, uint8_t byte)
{
	return task->run->devices + (byte < 250 ? byte % RUN_DEVICES : RUN_DEVICES);
}

static uint64_t buffer_of(uint8_t byte)
{
	return byte < 240 ? byte % 8 : ~0ULL << (byte - 240);
}

static uint32_t space_of(uint8_t byte)
{
	return byte < 224 ? byte % 3 : 0xffffffffU - (byte - 224);
}

/* The low bits of a byte, or one bit that may mean nothing. */
static uint32_t flags_of(uint8_t byte, uint32_t known)
{
	return byte < 224 ? byte & known : 1U << (byte - 224);
}

/* ---- ALLOC, FREE, BATCH -------------------------------------------------- */

static uint64_t size_of(uint8_t byte)
{
	static const uint64_t sizes[] = { 64, 4096, 1, 0, 1ULL << 32, ~0ULL, 1ULL << 63, 100 };

	return sizes[byte % ARRAY_SIZE(sizes)];
}

/* An address of each sort of mapping. */
static uint64_t address_of(const struct task *task, unsigned int n)
{
	static int data;

	switch (n % 8) {
	case 0:
		return (uintptr_t)address_of + n;
	case 1:
		return (uintptr_t)memcpy + n;
	case 2:
		return getauxval(AT_SYSINFO_EHDR) + n;
	case 3:
		return (uintptr_t)&data;
	case 4:
		return (uintptr_t)&n;
	case 5:
		return (uintptr_t)task->arena.hole;
	case 6:
		return (uintptr_t)task->arena.ro;
	default:
		return 0xffffffff81000000ULL + n;
	}
}

static void add_stack(const struct task *task, struct bufftrack_op *op, uint8_t byte,
		      unsigned int slot)
{
	static const unsigned int depths[] = { 1, 2, 3, 8, 16, 64, 65, 0 };
	uint64_t addresses[STACK_LEN / sizeof(uint64_t)];
	const struct arena *arena = &task->arena;
	unsigned int kind = byte >> 4, i;
	struct room room = arena->stack;
	enum place where = PLACE_VALID;

	if (!(byte & 1))
		return;
	if (kind >= 12)
		where = PLACE_END + (kind - 12) * 2 + slot % 2;
	op->stack_depth = depths[byte >> 1 & 7];
	for (i = 0; i < op->stack_depth; i++)
		addresses[i] = address_of(task, kind + i);
	if (where == PLACE_VALID) {
		room.at += slot % STACK_SLOTS * STACK_LEN;
		room.len -= slot % STACK_SLOTS * STACK_LEN;
	}
	op->stack =
		(uintptr_t)place_in(arena, &room, where, op->stack_depth * sizeof(addresses[0]));
	place_fill(arena, &room, where, addresses, op->stack_depth * sizeof(addresses[0]));
}

/* The token of an earlier command's answer, exact or not. */
static uint64_t token_of(const struct task *task, unsigned int at, uint8_t byte)
{
	unsigned int back = byte % PROGRAM_MAX;
	uint64_t token;

	if (!byte || byte >= 240)
		return byte & 1 ? ~0ULL << byte % 64 : 0;
	token = back <= at ? atomic_load(&task->run->tokens[at - back]) : 0;
	if (byte >= 216)
		return token + 1;
	if (byte >= 192)
		return token - 1;
	if (byte >= 168)
		return token + 1024;
	return token;
}

/* @slot is the entry's number in a BATCH. */
static void make_op(const struct task *task, unsigned int at, unsigned int slot,
		    struct bufftrack_op *op)
{
	const struct command *c = &task->run->program->commands[at];

	*op = (struct bufftrack_op){
		.device = device_of(task, c->p[0]),
		.buffer = buffer_of(c->p[1]),
		.space = space_of(c->p[2]),
		.flags = flags_of(c->p[4], 127),
	};
	if (c->kind == KIND_alloc) {
		op->size = size_of(c->p[3]);
		op->tag = c->p[6];
	} else {
		op->size = c->p[3] ? size_of(c->p[3]) : 0;
		/* Flags that a FREE does not have are a rare mistake. */
		if (c->p[4] < 128)
			op->flags = c->p[4] & 1	  ? BUFFTRACK_F_VIEW
				    : c->p[4] & 2 ? BUFFTRACK_F_LAST
						  : 0;
		op->token = token_of(task, at, c->p[6]);
	}
	add_stack(task, op, c->p[5], slot);
	memset(&op->generation, POISON,
	       offsetof(struct bufftrack_op, reserved) - offsetof(struct bufftrack_op, generation));
	/* As an earlier FREE might have been answered. */
	if (c->kind == KIND_undo) {
		op->generation = token_of(task, at, c->p[6]);
		op->verdict = c->p[3] & 128 ? c->p[3] : BUFFTRACK_OK;
	}
}

static void look_at_op(const struct call *call, const struct bufftrack_op *op, unsigned int at)
{
	if (op->verdict >= BUFFTRACK_NR_VERDICTS || op->verdict == BUFFTRACK_LEAK)
		run_failed("%s: verdict %u", kind_names[call->c->kind], op->verdict);
	if (op->info >= BUFFTRACK_INFO_CLOSING << 1)
		run_failed("%s: info 0x%x", kind_names[call->c->kind], op->info);
	/* No program takes that many: it is a count that went below zero. */
	if (op->refs > 1U << 30)
		run_failed("%s: %u references", kind_names[call->c->kind], op->refs);
	if (call->task->run->program->commands[at].kind == KIND_alloc)
		atomic_store(&call->task->run->tokens[at], op->generation);
}

static void do_op(const struct call *call)
{
	unsigned long cmd = call->c->kind == KIND_alloc	 ? BUFFTRACK_IOC_ALLOC
			    : call->c->kind == KIND_free ? BUFFTRACK_IOC_FREE
							 : BUFFTRACK_IOC_UNDO;
	struct bufftrack_op op;
	int rc;

	make_op(call->task, call->at, call->at, &op);
	rc = call_ioctl(call, cmd, &op);
	if (answered(call, rc))
		look_at_op(call, &op, call->at);
}

/* How many of the commands behind a BATCH are its entries. */
unsigned int command_entries(const struct command *c)
{
	return 1 + c->p[3] % 8;
}

static void make_entries(const struct call *call, enum place where, struct bufftrack_batch *batch)
{
	const struct program *program = call->task->run->program;
	const struct arena *arena = &call->task->arena;
	unsigned int n = command_entries(call->c), at, i;
	uint8_t *entries = arena->scratch;
	size_t stride = batch->entry_size, room;
	struct bufftrack_op op;

	room = (size_t)batch->nr * stride;
	if (room > arena->array.len)
		room = arena->array.len;
	memset(entries, 0, room);
	for (i = 0; i < batch->nr && (i + 1) * stride <= room; i++) {
		at = call->at + 1 + i % n;
		if (at >= program->nr)
			break;
		make_op(call->task, at, i, &op);
		if (program->commands[at].kind == KIND_alloc)
			op.op = BUFFTRACK_OP_ALLOC;
		else if (program->commands[at].kind == KIND_free)
			op.op = BUFFTRACK_OP_FREE;
		else if (program->commands[at].kind == KIND_undo)
			op.op = BUFFTRACK_OP_UNDO;
		if (call->c->p[2] & 1)
			op.buffer += i / n * 8;
		if (call->c->p[2] & 2)
			op.space += i / n;
		memcpy(&entries[i * stride], &op, stride < OP_SIZE ? stride : OP_SIZE);
		if (call->c->p[2] & 4 && stride > OP_SIZE)
			entries[i * stride + OP_SIZE] = 1;
	}
	place_fill(arena, &arena->array, where, entries, room);
	batch->entries = (uintptr_t)place_in(arena, &arena->array, where, room);
}

static void do_batch(const struct call *call)
{
	static const unsigned int strides[] = { OP_SIZE,     OP_SIZE + 8, 128, 4096,
						OP_SIZE - 8, 4104,	  100, 0 };
	static const unsigned int counts[] = { 0, 1, 0, 33, 64, 96, 4097, 40 };
	const struct command *c = call->c;
	enum place where = place_of(c->p[4]);
	struct bufftrack_batch batch = {
		.nr = c->p[0] & 7 ? counts[c->p[0] & 7] : command_entries(c),
		.entry_size = strides[c->p[1] & 7],
	};
	const struct bufftrack_op *op;
	unsigned int nr, i;
	int rc;

	if (c->p[0] >= 250)
		batch.nr = 4096;
	nr = batch.nr;
	make_entries(call, where, &batch);
	rc = call_ioctl(call, BUFFTRACK_IOC_BATCH, &batch);
	if (!answered(call, rc) || c->p[P_GARBAGE] >= 224)
		return;
	if (batch.done != nr || batch.bad > batch.done)
		run_failed("BATCH: %u done, %u bad of %u", batch.done, batch.bad, nr);
	if (where > PLACE_ODD)
		return;
	for (i = 0; i < nr && i < command_entries(c); i++) {
		op = (void *)(uintptr_t)(batch.entries + (uint64_t)i * batch.entry_size);
		if (call->at + 1 + i < call->task->run->program->nr && !op->error)
			look_at_op(call, op, call->at + 1 + i);
	}
}

/* ---- the rest ------------------------------------------------------------ */

static void do_info(const struct call *call)
{
	struct bufftrack_info info = {};
	int rc;

	rc = call_ioctl(call, BUFFTRACK_IOC_INFO, &info);
	if (answered(call, rc) && !(info.features & BUFFTRACK_FEATURE_CORE))
		run_failed("INFO: features 0x%llx", (unsigned long long)info.features);
}

static void do_client(const struct call *call)
{
	const struct command *c = call->c;
	struct bufftrack_client client = {
		.mask = flags_of(c->p[0], 15),
		.flags = flags_of(c->p[1], 14),
	};
	int rc;

	if (c->p[2] < 200)
		snprintf(client.name, sizeof(client.name), "fuzz-%u", c->p[2]);
	else
		memset(client.name, c->p[2], sizeof(client.name));
	rc = call_ioctl(call, BUFFTRACK_IOC_CLIENT, &client);
	if (!answered(call, rc))
		return;
	if (!client.id)
		run_failed("CLIENT: id 0");
	atomic_store(&call->task->run->clients[c->fd], client.id);
}

static void do_label(const struct call *call)
{
	static const char *const labels[] = { "",    "dram",	    "a blank", "\"q\"",
					      "a=b", "back\\slash", "\x01",    "l\xc3\xa4nge" };
	const struct command *c = call->c;
	struct bufftrack_label label = {
		.device = device_of(call->task, c->p[0]),
		.space = c->p[2] & 3 ? space_of(c->p[1]) : 0,
		.flags = flags_of(c->p[2], BUFFTRACK_LABEL_SPACE),
	};

	if (c->p[3] < 200)
		snprintf(label.label, sizeof(label.label), "%s", labels[c->p[3] & 7]);
	else
		memset(label.label, 'x', sizeof(label.label));
	call_ioctl(call, BUFFTRACK_IOC_LABEL, &label);
}

static void do_reset(const struct call *call)
{
	struct bufftrack_reset reset = { .device = device_of(call->task, call->c->p[0]) };

	call_ioctl(call, BUFFTRACK_IOC_RESET, &reset);
}

static void do_stat(const struct call *call)
{
	const struct command *c = call->c;
	struct run *run = call->task->run;
	struct bufftrack_stat stat = {
		.scope = c->p[0] < 240 ? c->p[0] % 4 : c->p[0],
		.flags = flags_of(c->p[1], BUFFTRACK_STAT_NEXT),
	};
	bool next = stat.flags, all = c->p[6] >= 200;
	const char *wrong;
	int rc;

	if (all || (stat.scope == BUFFTRACK_STAT_DEVICE && !next) ||
	    stat.scope == BUFFTRACK_STAT_SPACE)
		stat.device = device_of(call->task, c->p[2]);
	if (all || (stat.scope == BUFFTRACK_STAT_SPACE && !next))
		stat.space = space_of(c->p[4]);
	if (all || (stat.scope == BUFFTRACK_STAT_CLIENT && !next))
		stat.client = c->p[3] >= 200 ? c->p[3]
			      : c->p[3]	     ? atomic_load(&run->clients[c->p[3] % PROGRAM_FDS])
					     : 0;
	if (all || next)
		stat.cursor = c->p[5] & 1     ? atomic_load(&run->stat_cursor)
			      : c->p[5] > 128 ? ~0ULL << c->p[5] % 64
					      : 0;
	rc = call_ioctl(call, BUFFTRACK_IOC_STAT, &stat);
	if (!answered(call, rc))
		return;
	atomic_store(&run->stat_cursor, stat.cursor);
	wrong = run_counters(&stat);
	if (!call->task->racing && wrong)
		run_failed("STAT of scope %u: %s is below zero", stat.scope, wrong);
}

static void look_at_life(struct run *run, const struct bufftrack_life *life, unsigned int nr)
{
	bool live = life->state == BUFFTRACK_STATE_LIVE;

	if (!life->state || life->state > BUFFTRACK_STATE_CONTEXT || life->reserved)
		run_failed("LIST: state %u", life->state);
	/* What a FREE LAST left may still be freed. */
	if (life->refs > 1U << 30 || life->views > 1U << 30 ||
	    (live != !!life->refs && life->state != BUFFTRACK_STATE_LAST))
		run_failed("LIST: state %u, %u references, %u views", life->state, life->refs,
			   life->views);
	if (life->alloc.stack_id)
		atomic_store(&run->stacks[nr % RUN_STACKS], life->alloc.stack_id);
	if (life->end.stack_id)
		atomic_store(&run->stacks[(nr + 1) % RUN_STACKS], life->end.stack_id);
}

/* A walk of a few pages. */
static void do_list(const struct call *call)
{
	static const unsigned int strides[] = { LIFE_SIZE,     LIFE_SIZE + 8, 4096, LIFE_SIZE,
						LIFE_SIZE - 8, 4104,	      100,  0 };
	static const unsigned int counts[] = { 64, 1, 2, 0, 4096, 3, 1000, ~0U };
	const struct arena *arena = &call->task->arena;
	const struct command *c = call->c;
	struct run *run = call->task->run;
	enum place where = place_of(c->p[1]);
	unsigned int pages = c->p[6] & 1 ? 16 : 1, i;
	uint32_t flags = flags_of(c->p[0], 31);
	struct bufftrack_list list = { .flags = flags };
	const struct bufftrack_life *life;
	int rc;

	if (flags & BUFFTRACK_LIST_DEVICE || c->p[4] & 0x80)
		list.device = device_of(call->task, c->p[4] & 0x7f);
	if (flags & BUFFTRACK_LIST_SPACE || c->p[4] & 0x40)
		list.space = space_of(c->p[4] >> 2 & 3);
	if (flags & BUFFTRACK_LIST_CLIENT)
		list.client = atomic_load(&run->clients[c->p[4] >> 4 & 3]);
	if (flags & BUFFTRACK_LIST_PID)
		list.pid = c->p[4] & 0x20 ? 1 : getpid();
	for (i = 0; i < 4 && c->p[5]; i++)
		list.cursor[i] = c->p[5] & 1 ? atomic_load(&run->list_cursor[i])
					     : ~0ULL >> (c->p[5] * (i + 1) % 64);
	while (pages--) {
		list.nr = counts[c->p[2] & 7];
		list.entry_size = strides[c->p[3] & 7];
		list.entries = (uintptr_t)place_in(arena, &arena->array, where,
						   (size_t)list.nr * list.entry_size);
		if (where == PLACE_VALID)
			memset(arena->array.at, POISON, 2 * 4096);
		rc = call_ioctl(call, BUFFTRACK_IOC_LIST, &list);
		if (!answered(call, rc) || !list.nr || c->p[P_GARBAGE] >= 224)
			return;
		for (i = 0; i < 4; i++)
			atomic_store(&run->list_cursor[i], list.cursor[i]);
		if (list.nr > counts[c->p[2] & 7] || list.entry_size > strides[c->p[3] & 7])
			run_failed("LIST: %u lives of %u bytes", list.nr, list.entry_size);
		if (where > PLACE_ODD)
			return;
		for (i = 0; i < list.nr; i++) {
			life = (void *)(uintptr_t)(list.entries +
						   (uint64_t)i * strides[c->p[3] & 7]);
			look_at_life(run, life, i);
		}
		/* What is not said to be an entry stays as it was. */
		life = (void *)(uintptr_t)(list.entries + (uint64_t)i * strides[c->p[3] & 7]);
		if (where == PLACE_VALID && (uint8_t *)(life + 1) < arena->array.at + 2 * 4096 &&
		    life->device != 0x0101010101010101ULL * POISON)
			run_failed("LIST wrote beyond its %u lives", list.nr);
	}
}

static void do_stack(const struct call *call)
{
	static const unsigned int strides[] = { FRAME_SIZE,	FRAME_SIZE + 8, 4096, FRAME_SIZE,
						FRAME_SIZE - 8, 4104,		300,  0 };
	static const unsigned int counts[] = { 64, 1, 0, 2, 65, 1000, 3, ~0U };
	const struct arena *arena = &call->task->arena;
	const struct command *c = call->c;
	struct bufftrack_stack stack = {
		.nr = counts[c->p[2] & 7],
		.frame_size = strides[c->p[3] & 7],
		.stack_id = c->p[0] < 200
				    ? atomic_load(&call->task->run->stacks[c->p[0] % RUN_STACKS])
				    : c->p[0],
	};
	int rc;

	stack.frames = (uintptr_t)place_in(arena, &arena->array, place_of(c->p[1]),
					   (size_t)stack.nr * stack.frame_size);
	rc = call_ioctl(call, BUFFTRACK_IOC_STACK, &stack);
	if (answered(call, rc) && (!stack.nr || stack.nr > 64) && c->p[P_GARBAGE] < 224)
		run_failed("STACK: %u frames", stack.nr);
}

static void do_holders(const struct call *call)
{
	static const unsigned int strides[] = { sizeof(struct bufftrack_holder), 4096, 88, 0 };
	static const unsigned int counts[] = { 8, 0, 1, ~0U };
	const struct arena *arena = &call->task->arena;
	const struct command *c = call->c;
	struct bufftrack_holders holders = {
		.nr = counts[c->p[4] & 3],
		.entry_size = strides[c->p[4] >> 2 & 3],
		.device = device_of(call->task, c->p[0]),
		.buffer = buffer_of(c->p[1]),
		.space = space_of(c->p[2]),
		.generation = token_of(call->task, call->at, c->p[6]),
	};
	int rc;

	holders.entries = (uintptr_t)place_in(arena, &arena->array, place_of(c->p[5]),
					      (size_t)(holders.nr & 1023) * 128);
	rc = call_ioctl(call, BUFFTRACK_IOC_HOLDERS, &holders);
	if (answered(call, rc) && c->p[P_GARBAGE] < 224 &&
	    (holders.nr > 1024 || holders.others > holders.refs))
		run_failed("HOLDERS: %u, %u of others, of %u references", holders.nr,
			   holders.others, holders.refs);
}

static void do_events(const struct call *call)
{
	static const unsigned int strides[] = { sizeof(struct bufftrack_bad), 4096, 600, 0 };
	static const unsigned int counts[] = { 4, 0, 1, 1100 };
	const struct arena *arena = &call->task->arena;
	const struct command *c = call->c;
	struct bufftrack_events events = {
		.nr = counts[c->p[0] & 3],
		.entry_size = strides[c->p[0] >> 2 & 3],
		.flags = c->p[1] & 1,
		.cursor = c->p[2] ? ~0ULL >> c->p[2] % 64 : 0,
	};
	unsigned int room = events.nr;
	int rc;

	events.entries = (uintptr_t)place_in(arena, &arena->array, place_of(c->p[3]),
					     (size_t)room * events.entry_size);
	rc = call_ioctl(call, BUFFTRACK_IOC_EVENTS, &events);
	if (answered(call, rc) && c->p[P_GARBAGE] < 224 && events.nr > room)
		run_failed("EVENTS: %u of %u", events.nr, room);
}

/* A number that may be no command. */
static void do_raw(const struct call *call)
{
	const struct command *c = call->c;
	const struct arena *arena = &call->task->arena;
	unsigned int nr = c->p[0] < 200 ? 0x20 + c->p[0] % 16 : c->p[0];
	unsigned int type = c->p[2] < 128 ? BUFFTRACK_IOC_MAGIC : c->p[2];
	unsigned int dir = c->p[1] & 3;
	size_t size = c->p[3] << 6 | c->p[4];
	void *user = place_in(arena, &arena->single, place_of(c->p[P_WHERE]), size);

	ioctl(call->fd, _IOC(dir, type, nr, size & _IOC_SIZEMASK), user);
}

/* Command @at of the program that the task runs: one of those that call. */
void command_ioctl(struct task *task, unsigned int at)
{
	static void (*const calls[NR_KINDS])(const struct call *call) = {
		[KIND_info] = do_info,	     [KIND_client] = do_client, [KIND_alloc] = do_op,
		[KIND_free] = do_op,	     [KIND_batch] = do_batch,	[KIND_label] = do_label,
		[KIND_reset] = do_reset,     [KIND_stat] = do_stat,	[KIND_list] = do_list,
		[KIND_stack] = do_stack,     [KIND_raw] = do_raw,	[KIND_undo] = do_op,
		[KIND_holders] = do_holders, [KIND_events] = do_events,
	};
	const struct command *c = &task->run->program->commands[at];
	struct call call = {
		.task = task,
		.c = c,
		.at = at,
		.fd = atomic_load(&task->run->fds[c->fd]),
	};

	if (call.fd >= 0 && calls[c->kind])
		calls[c->kind](&call);
}
