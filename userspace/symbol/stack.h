/* SPDX-License-Identifier: GPL-2.0 */
#ifndef BUFFTRACK_STACK_H
#define BUFFTRACK_STACK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <linux/bufftrack.h>

struct stacks;

/**
 * struct stack_frame - one function that was being executed
 * @address: its return address
 * @offset: that, in the file @module
 * @module: the path of the mapped file; NULL where none was
 * @build_id: of that file, in hexadecimal; empty where it has none
 * @symbol: the function; NULL where not known
 * @file: the source file; NULL where not known
 * @line: its line; 0 where not known
 * @inlined: the function was inlined into the next frame's
 * @why: what could not be found out, and why; else NULL
 */
struct stack_frame {
	uint64_t address;
	uint64_t offset;
	char *module;
	char build_id[2 * BUFFTRACK_BUILD_ID_LEN + 1];
	char *symbol;
	char *file;
	unsigned int line;
	bool inlined;
	const char *why;
};

/**
 * struct stack - where something was done
 * @id: its number
 * @hash: the same for the same places in the same files, in whatever process
 * @nr: how many frames, those of inlined functions included
 * @frames: innermost first
 * @why: why there are none; else NULL
 */
struct stack {
	uint32_t id;
	uint64_t hash;
	size_t nr;
	struct stack_frame *frames;
	const char *why;
};

struct stacks *stacks_new(void);
struct stacks *stacks_of_recording(void);
void stacks_look_in(struct stacks *stacks, const char *symfs, const char *debug_path);
void stacks_while_waiting(struct stacks *stacks, void (*do_it)(void *data), void *data);
void stacks_free(struct stacks *stacks);
void stacks_forget(struct stacks *stacks);
const struct stack *stacks_get(struct stacks *stacks, uint32_t id, uint32_t pid, uint64_t time);
const struct stack *stacks_resolve(struct stacks *stacks, const struct bufftrack_frame *frames,
				   uint32_t nr);

/* caller.c */
const struct stack_frame *stack_caller(const struct stack *stack);

#endif
