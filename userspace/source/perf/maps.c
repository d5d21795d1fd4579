// SPDX-License-Identifier: GPL-2.0
/* What processes have mapped, for the frames of call chains. */
#include <search.h>
#include <stdio.h>
#include <stdlib.h>

#include "source/perf/perf.h"
#include "util/util.h"

#define MISC_COMM_EXEC (1 << 13)
#define MISC_MMAP_BUILD_ID (1 << 14)
#define MISC_BUILD_ID_SIZE (1 << 15)

/* A path, once however many processes have mapped the file. */
struct path {
	size_t refs;
	char text[];
};

/* A file that a process has mapped. */
struct map {
	uint64_t start;
	uint64_t len;
	uint64_t offset;
	struct path *path;
	uint8_t build_id[BUFFTRACK_BUILD_ID_LEN];
	uint32_t build_id_len;
};

/* What one process has mapped, or several: a child shares its parent's until it differs. */
struct maps {
	size_t refs;
	size_t nr;
	struct map map[];
};

struct process {
	uint32_t pid;
	uint32_t threads; /* that were seen to begin, less those that ended */
	struct maps *maps; /* NULL: none */
};

/* ---- build ids --------------------------------------------------------------- */

static int compare_build_ids(const void *first, const void *second)
{
	const struct build_id *a = first, *b = second;

	return strcmp(a->path, b->path);
}

static uint32_t build_id_len(uint32_t len)
{
	return len < BUFFTRACK_BUILD_ID_LEN ? len : BUFFTRACK_BUILD_ID_LEN;
}

static char *copy_path(struct span span)
{
	size_t len = strnlen((const char *)span.at, span.left);
	char *path = xrealloc(NULL, len + 1, 1);

	memcpy(path, span.at, len);
	path[len] = '\0';
	return path;
}

/* Takes a record of a file's build id; one that is damaged is left out. */
void build_ids_add(struct build_ids *ids, const struct perf_event_header *header, struct span body)
{
	struct build_id *build_id;
	uint8_t id[24];

	take32(&body); /* the pid */
	if (!take_copy(&body, id, sizeof(id)))
		return;
	ids->id = xrealloc(ids->id, ids->nr + 1, sizeof(*ids->id));
	build_id = &ids->id[ids->nr++];
	build_id->len = build_id_len(header->misc & MISC_BUILD_ID_SIZE ? id[20] : sizeof(id));
	memcpy(build_id->id, id, sizeof(build_id->id));
	build_id->path = copy_path(body);
	ids->sorted = false;
}

void build_ids_free(struct build_ids *ids)
{
	while (ids->nr)
		free(ids->id[--ids->nr].path);
	free(ids->id);
}

static void find_build_id(struct build_ids *ids, struct map *map)
{
	struct build_id wanted = { .path = map->path->text }, *found;

	if (map->build_id_len || !ids->nr)
		return;
	if (!ids->sorted)
		qsort(ids->id, ids->nr, sizeof(*ids->id), compare_build_ids);
	ids->sorted = true;
	found = bsearch(&wanted, ids->id, ids->nr, sizeof(wanted), compare_build_ids);
	if (!found)
		return;
	map->build_id_len = found->len;
	memcpy(map->build_id, found->id, sizeof(map->build_id));
}

/* ---- processes ----------------------------------------------------------------- */

static int compare_processes(const void *first, const void *second)
{
	const struct process *a = first, *b = second;

	return compare_numbers(a->pid, b->pid);
}

static struct process *find_process(struct perf_data *perf, uint32_t pid)
{
	const struct process wanted = { .pid = pid };
	struct process **found = tfind(&wanted, &perf->processes, compare_processes);

	return found ? *found : NULL;
}

static struct process *make_process(struct perf_data *perf, uint32_t pid)
{
	struct process *process = find_process(perf, pid);

	if (process)
		return process;
	process = xrealloc(NULL, 1, sizeof(*process));
	*process = (struct process){ .pid = pid };
	if (!tsearch(process, &perf->processes, compare_processes)) {
		complain("out of memory");
		exit(EXIT_FAILURE);
	}
	return process;
}

static void put_path(struct path *path)
{
	if (!--path->refs)
		free(path);
}

static void drop_maps(struct process *process)
{
	struct maps *maps = process->maps;

	process->maps = NULL;
	if (!maps || --maps->refs)
		return;
	while (maps->nr)
		put_path(maps->map[--maps->nr].path);
	free(maps);
}

static void free_process(void *node)
{
	drop_maps(node);
	free(node);
}

static void forget_process(struct perf_data *perf, struct process *process)
{
	tdelete(process, &perf->processes, compare_processes);
	free_process(process);
}

void maps_free(struct perf_data *perf)
{
	tdestroy(perf->processes, free_process);
	perf->processes = NULL;
}

/* Gives a process that shares its list one of its own. */
static void unshare_maps(struct process *process)
{
	struct maps *old = process->maps, *maps;
	size_t size, i;

	if (!old || old->refs == 1)
		return;
	size = sizeof(*old) + old->nr * sizeof(old->map[0]);
	maps = xrealloc(NULL, 1, size);
	memcpy(maps, old, size);
	maps->refs = 1;
	for (i = 0; i < maps->nr; i++)
		maps->map[i].path->refs++;
	old->refs--;
	process->maps = maps;
}

/* What is mapped over has no use any more. */
static void drop_covered(struct maps *maps, const struct map *map)
{
	size_t i, nr = 0;

	for (i = 0; i < maps->nr; i++) {
		if (maps->map[i].start >= map->start &&
		    maps->map[i].start - map->start <= map->len &&
		    maps->map[i].len <= map->len - (maps->map[i].start - map->start))
			put_path(maps->map[i].path);
		else
			maps->map[nr++] = maps->map[i];
	}
	maps->nr = nr;
}

static void insert_map(struct process *process, const struct map *map)
{
	struct maps *maps;
	size_t nr;

	unshare_maps(process);
	maps = process->maps;
	if (maps)
		drop_covered(maps, map);
	nr = maps ? maps->nr : 0;
	maps = xrealloc(maps, 1, sizeof(*maps) + (nr + 1) * sizeof(*map));
	maps->refs = 1;
	maps->nr = nr + 1;
	maps->map[nr] = *map;
	process->maps = maps;
}

static struct path *new_path(struct span span)
{
	size_t len = strnlen((const char *)span.at, span.left);
	struct path *path = xrealloc(NULL, 1, sizeof(*path) + len + 1);

	path->refs = 1;
	memcpy(path->text, span.at, len);
	path->text[len] = '\0';
	return path;
}

/* Takes a record of a file that was mapped. */
void maps_add(struct perf_data *perf, const struct perf_event_header *header, struct span body)
{
	uint32_t pid = take32(&body);
	struct map map = { 0 };
	uint8_t id[24];

	take32(&body); /* the tid */
	map.start = take64(&body);
	map.len = take64(&body);
	map.offset = take64(&body);
	if (header->type == PERF_RECORD_MMAP2) {
		take_copy(&body, id, sizeof(id));
		if (header->misc & MISC_MMAP_BUILD_ID) {
			map.build_id_len = build_id_len(id[0]);
			memcpy(map.build_id, id + 4, sizeof(map.build_id));
		}
		take64(&body); /* prot and flags */
	}
	/* Memory without a file is named //anon, [stack] and so on. */
	if (!body.left || body.at[0] != '/' || (body.left > 1 && body.at[1] == '/'))
		return;
	map.path = new_path(body);
	find_build_id(&perf->build_ids, &map);
	insert_map(make_process(perf, pid), &map);
}

/* A child begins with what its parent has mapped; a thread has it already. */
void maps_fork(struct perf_data *perf, struct span body)
{
	uint32_t pid = take32(&body), parent_pid = take32(&body);
	struct process *process, *parent;

	process = find_process(perf, pid);
	if (pid == parent_pid) {
		if (process)
			process->threads++;
		return;
	}
	if (process)
		forget_process(perf, process);
	parent = find_process(perf, parent_pid);
	if (!parent || !parent->maps)
		return;
	process = make_process(perf, pid);
	process->maps = parent->maps;
	process->maps->refs++;
}

/* The last thread of a process to end takes its maps along. */
void maps_exit(struct perf_data *perf, struct span body)
{
	struct process *process = find_process(perf, take32(&body));

	if (!process)
		return;
	if (process->threads)
		process->threads--;
	else
		forget_process(perf, process);
}

/* Another program begins with nothing. */
void maps_exec(struct perf_data *perf, uint32_t pid)
{
	struct process *process = find_process(perf, pid);

	if (process)
		forget_process(perf, process);
}

/* ---- call chains --------------------------------------------------------------- */

static void add_frame(const struct process *process, struct recorded *recorded, uint64_t address)
{
	struct bufftrack_frame *frame = &recorded->frames[recorded->nr_frames++];
	const struct map *map;
	size_t i;

	*frame = (struct bufftrack_frame){ .address = address };
	for (i = process && process->maps ? process->maps->nr : 0; i-- > 0;) {
		map = &process->maps->map[i];
		if (address < map->start || address - map->start >= map->len)
			continue;
		frame->offset = address - map->start + map->offset;
		frame->build_id_len = map->build_id_len;
		memcpy(frame->build_id, map->build_id, sizeof(frame->build_id));
		if (strlen(map->path->text) < sizeof(frame->path))
			strcpy((char *)frame->path, map->path->text);
		return;
	}
}

/* The part of the chain that is in user space, which a marker precedes. */
void maps_read_chain(struct perf_data *perf, const struct sample *sample)
{
	const struct process *process = find_process(perf, sample->pid);
	struct recorded *recorded = &perf->recorded;
	struct span chain = sample->chain;
	bool user = false;
	uint64_t address;

	while (chain.left && recorded->nr_frames < RECORDED_FRAMES) {
		address = take64(&chain);
		if (address == CONTEXT_USER_DEFERRED)
			recorded->chain = RECORDED_CHAIN_DEFERRED;
		if (address >= (uint64_t)PERF_CONTEXT_MAX)
			user = address == (uint64_t)PERF_CONTEXT_USER;
		else if (user)
			add_frame(process, recorded, address);
	}
}
