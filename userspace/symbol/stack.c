// SPDX-License-Identifier: GPL-2.0
/*
 * The stacks that the kernel keeps, with their symbols. Each is asked for once:
 * a report needs it several times, and the kernel may give it up meanwhile.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "abi/device.h"
#include "symbol/resolver.h"
#include "symbol/stack.h"
#include "symbol/symbols.h"
#include "util/util.h"

/* Stacks that are kept by their number; a newer one takes an older one's place. */
#define NR_SLOTS 4096

struct stacks {
	struct resolver *resolver;
	struct stack slots[NR_SLOTS];
	struct stack none;
	struct stack recorded;
	bool of_recording; /* the module that is loaded now has other ones */
};

struct stacks *stacks_new(void)
{
	struct stacks *stacks = xrealloc(NULL, 1, sizeof(*stacks));
	const char *servers = getenv("DEBUGINFOD_URLS");

	memset(stacks, 0, sizeof(*stacks));
	stacks->resolver = resolver_new(servers && *servers ? RESOLVER_DOWNLOAD_MS : RESOLVER_MS);
	return stacks;
}

/* Those of a recording, of which no module is asked. */
struct stacks *stacks_of_recording(void)
{
	struct stacks *stacks = stacks_new();

	stacks->of_recording = true;
	return stacks;
}

/* stacks_look_in - as resolver_look_in() */
void stacks_look_in(struct stacks *stacks, const char *symfs, const char *debug_path)
{
	resolver_look_in(stacks->resolver, symfs, debug_path);
}

/* stacks_while_waiting - as resolver_while_waiting() */
void stacks_while_waiting(struct stacks *stacks, void (*do_it)(void *data), void *data)
{
	resolver_while_waiting(stacks->resolver, do_it, data);
}

static void clear(struct stack *stack)
{
	struct stack_frame *frame;

	for (frame = stack->frames; frame < stack->frames + stack->nr; frame++) {
		free(frame->module);
		free(frame->symbol);
		free(frame->file);
	}
	free(stack->frames);
	*stack = (struct stack){ 0 };
}

/* Forgets all of them: the module that has numbered them is gone. */
void stacks_forget(struct stacks *stacks)
{
	size_t i;

	for (i = 0; i < NR_SLOTS; i++)
		clear(&stacks->slots[i]);
}

void stacks_free(struct stacks *stacks)
{
	stacks_forget(stacks);
	clear(&stacks->recorded);
	resolver_free(stacks->resolver);
	free(stacks);
}

static char *copy(const char *text)
{
	size_t len = strlen(text) + 1;

	return memcpy(xrealloc(NULL, len, 1), text, len);
}

static void add_frame(struct stack *stack, const struct bufftrack_frame *from,
		      struct symbol *symbol, const char *why)
{
	char module[BUFFTRACK_PATH_LEN];
	struct stack_frame *frame;
	uint32_t i;

	stack->frames = xrealloc(stack->frames, stack->nr + 1, sizeof(*stack->frames));
	frame = &stack->frames[stack->nr++];
	*frame = (struct stack_frame){
		.address = from->address,
		.offset = from->offset,
		.symbol = symbol->function,
		.file = symbol->file,
		.line = symbol->line,
		.inlined = symbol->inlined,
		.why = why,
	};
	/* They are the frame's from now on. */
	symbol->function = NULL;
	symbol->file = NULL;
	if (from->path[0]) {
		copy_text(module, sizeof(module), from->path, sizeof(from->path));
		frame->module = copy(module);
	}
	for (i = 0; i < from->build_id_len && i < BUFFTRACK_BUILD_ID_LEN; i++)
		snprintf(frame->build_id + 2 * i, 3, "%02x", from->build_id[i]);
}

/* FNV-1a */
static void add_to_hash(uint64_t *hash, const void *data, size_t len)
{
	const unsigned char *at;

	for (at = data; at < (const unsigned char *)data + len; at++)
		*hash = (*hash ^ *at) * 0x100000001b3ULL;
}

/* Where a file is mapped differs from process to process. */
static uint64_t hash_frames(const struct bufftrack_frame *frames, uint32_t nr)
{
	uint64_t hash = 0xcbf29ce484222325ULL;
	uint32_t i;

	for (i = 0; i < nr; i++) {
		if (frames[i].path[0])
			add_to_hash(&hash, &frames[i].offset, sizeof(frames[i].offset));
		else
			add_to_hash(&hash, &frames[i].address, sizeof(frames[i].address));
		add_to_hash(&hash, frames[i].path, strnlen(frames[i].path, BUFFTRACK_PATH_LEN));
		add_to_hash(&hash, frames[i].build_id, sizeof(frames[i].build_id));
	}
	return hash;
}

static void resolve(struct stacks *stacks, struct stack *stack,
		    const struct bufftrack_frame *frames, uint32_t nr)
{
	struct symbol_list list;
	uint32_t i;
	size_t j;

	for (i = 0; i < nr; i++) {
		resolver_find(stacks->resolver, &frames[i], &list);
		for (j = 0; j < list.nr; j++)
			add_frame(stack, &frames[i], &list.symbols[j], symbols_why(list.why));
		symbols_clear(&list);
	}
}

static const char *explain(int error)
{
	switch (error) {
	case ENOENT:
		return "no stack: the kernel does not keep it any more";
	case ENOTTY:
	case EINVAL:
		return "no stack: this module cannot tell it";
	default:
		return "no stack: the kernel could not tell it";
	}
}

/* Reads the frames; returns how many, or -1 with errno set. */
static int read_frames(int fd, uint32_t id, struct bufftrack_frame **frames)
{
	struct bufftrack_stack stack = {
		.frame_size = sizeof(**frames),
		.stack_id = id,
	};
	struct bufftrack_info info = { 0 };

	if (ioctl(fd, BUFFTRACK_IOC_INFO, &info))
		return -1;
	stack.nr = info.max_stack_depth;
	*frames = xrealloc(*frames, stack.nr + 1, sizeof(**frames));
	stack.frames = (uintptr_t)*frames;
	if (ioctl(fd, BUFFTRACK_IOC_STACK, &stack))
		return -1;
	return (int)(stack.nr < info.max_stack_depth ? stack.nr : info.max_stack_depth);
}

/*
 * The device is open for that moment only, as who holds it open keeps the module
 * from being unloaded.
 */
static const char *fetch(struct stacks *stacks, struct stack *stack, uint32_t id)
{
	struct bufftrack_frame *frames = NULL;
	const char *why = NULL;
	int fd, nr;

	fd = device_try_open();
	if (fd < 0)
		return "no stack: " DEVICE_PATH " cannot be opened";
	nr = read_frames(fd, id, &frames);
	if (nr < 0)
		why = explain(errno);
	close(fd);
	if (nr >= 0) {
		stack->id = id;
		stack->hash = hash_frames(frames, (uint32_t)nr);
		resolve(stacks, stack, frames, (uint32_t)nr);
	}
	free(frames);
	return why;
}

/**
 * stacks_get - the stack of that number
 * @stacks: all of them
 * @id: its number; 0 where the caller passed none
 * @pid: whose it is; 0 where that is not known
 * @time: when it was given, ns of CLOCK_MONOTONIC
 *
 * What it returns is good until the next call.
 */
const struct stack *stacks_get(struct stacks *stacks, uint32_t id, uint32_t pid, uint64_t time)
{
	struct stack *stack = &stacks->slots[id % NR_SLOTS];

	if (!id) {
		stacks->none.why = "no stack: the caller passed none";
		return &stacks->none;
	}
	if (stacks->of_recording) {
		stacks->none.why = "no stack: only the module that was loaded then has its frames";
		return &stacks->none;
	}
	if (stack->id == id)
		return stack;
	clear(stack);
	resolver_of_process(stacks->resolver, (pid_t)pid, time);
	stacks->none.why = fetch(stacks, stack, id);
	return stacks->none.why ? &stacks->none : stack;
}

/**
 * stacks_resolve - a stack that came with a recording
 * @stacks: all of them
 * @frames: its frames
 * @nr: how many; not 0
 *
 * A file without a build id may be another one by now: it is not looked into. What
 * it returns is good until the next call.
 */
const struct stack *stacks_resolve(struct stacks *stacks, const struct bufftrack_frame *frames,
				   uint32_t nr)
{
	struct symbol unknown = { 0 };
	uint32_t i;

	clear(&stacks->recorded);
	for (i = 0; i < nr; i++) {
		if (frames[i].build_id_len || !frames[i].path[0])
			resolve(stacks, &stacks->recorded, &frames[i], 1);
		else
			add_frame(&stacks->recorded, &frames[i], &unknown,
				  "its build id was not recorded: perf record --buildid-mmap");
	}
	return &stacks->recorded;
}
