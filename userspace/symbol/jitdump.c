// SPDX-License-Identifier: GPL-2.0
/*
 * The form in which perf takes what a program has compiled while it ran (jitdump): after a
 * header, records of code that was made, and of such that was moved. It is written in the
 * byte order of the machine.
 */
#include <stdbool.h>
#include <string.h>

#include "symbol/jitdump.h"

#define MAGIC 0x4a695444
#define CODE_LOAD 0
#define CODE_MOVE 1
/* Of a longer name the end is cut off. */
#define MAX_NAME 1024

struct header {
	uint32_t magic;
	uint32_t version;
	uint32_t size;
	uint32_t machine;
	uint32_t reserved;
	uint32_t pid;
	uint64_t time;
	uint64_t flags;
};

struct record {
	uint32_t id;
	uint32_t size; /* with this */
	uint64_t time;
};

/* The name follows, and then the code. */
struct code_load {
	uint32_t pid;
	uint32_t tid;
	uint64_t vma;
	uint64_t address;
	uint64_t size;
	uint64_t index;
};

struct code_move {
	uint32_t pid;
	uint32_t tid;
	uint64_t vma;
	uint64_t from;
	uint64_t to;
	uint64_t size;
	uint64_t index;
};

static bool read_load(FILE *file, uint32_t room, jitdump_code_fn code, void *data)
{
	struct code_load load;
	char name[MAX_NAME];
	size_t len;

	if (room < sizeof(load) || fread(&load, sizeof(load), 1, file) != 1)
		return false;
	room -= (uint32_t)sizeof(load);
	len = fread(name, 1, room < sizeof(name) - 1 ? room : sizeof(name) - 1, file);
	name[len] = '\0';
	if (name[0] && load.size <= UINT64_MAX - load.address)
		code(data, load.address, load.size, name);
	return true;
}

static bool read_move(FILE *file, uint32_t room, jitdump_move_fn move, void *data)
{
	struct code_move moved;

	if (room < sizeof(moved) || fread(&moved, sizeof(moved), 1, file) != 1)
		return false;
	if (moved.size <= UINT64_MAX - moved.to)
		move(data, moved.from, moved.to, moved.size);
	return true;
}

/**
 * jitdump_read - what a file says of code, in its order
 * @file: the file; anybody may have written it
 * @code: is told of code that was made
 * @move: is told of code that was moved
 * @data: for both
 */
void jitdump_read(FILE *file, jitdump_code_fn code, jitdump_move_fn move, void *data)
{
	struct header header;
	struct record record;
	long at;

	if (fread(&header, sizeof(header), 1, file) != 1 || header.magic != MAGIC ||
	    header.size < sizeof(header) || fseek(file, header.size, SEEK_SET))
		return;
	while ((at = ftell(file)) >= 0 && fread(&record, sizeof(record), 1, file) == 1) {
		uint32_t room = record.size - (uint32_t)sizeof(record);

		if (record.size < sizeof(record) ||
		    (record.id == CODE_LOAD && !read_load(file, room, code, data)) ||
		    (record.id == CODE_MOVE && !read_move(file, room, move, data)) ||
		    fseek(file, at + (long)record.size, SEEK_SET))
			return;
	}
}
