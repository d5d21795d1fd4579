// SPDX-License-Identifier: GPL-2.0
/*
 * Code that was made while the program ran: node, the JVM and others write what they have
 * made to /tmp/perf-PID.map, a line each of an address, a size and a name; or as a jitdump,
 * which they have mapped.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "symbol/debugfile.h"
#include "symbol/jitdump.h"
#include "symbol/name.h"
#include "symbol/perfmap.h"
#include "symbol/process.h"
#include "symbol/range.h"
#include "util/util.h"

/* Anybody may have written it: of a bigger one nothing is read. */
#define MAX_SIZE (256LL << 20)
#define MAX_LINE 4096

/* The map of one process, as it was when it was read. */
struct perfmap {
	pid_t pid;
	struct stat read;
	struct stat dump_read;
	struct ranges ranges; /* an owner is an index of @names, in the order of the file */
	char **names;
	size_t nr;
};

struct perfmap *perfmap_new(void)
{
	struct perfmap *map = xrealloc(NULL, 1, sizeof(*map));

	*map = (struct perfmap){ 0 };
	return map;
}

static void forget(struct perfmap *map)
{
	size_t i;

	for (i = 0; i < map->nr; i++)
		free(map->names[i]);
	free(map->names);
	ranges_free(&map->ranges);
	*map = (struct perfmap){ 0 };
}

void perfmap_free(struct perfmap *map)
{
	forget(map);
	free(map);
}

/* The number that the process has for itself: the innermost namespace's. */
static int own_pid(pid_t pid)
{
	char path[32], line[256];
	const char *last;
	int own = (int)pid;
	FILE *file;

	snprintf(path, sizeof(path), "/proc/%d/status", (int)pid);
	file = fopen(path, "re");
	while (file && fgets(line, sizeof(line), file))
		if (strncmp(line, "NSpid:", 6) == 0) {
			last = strrchr(line, '\t');
			own = last ? atoi(last + 1) : own;
		}
	if (file)
		fclose(file);
	return own;
}

/* Of the process's user or root: nobody else may name its code. */
static int open_own(pid_t pid, const char *name)
{
	struct stat process, stat;
	char path[4096 + 32];
	int fd;

	snprintf(path, sizeof(path), "/proc/%d", (int)pid);
	if (lstat(path, &process))
		return -1;
	snprintf(path, sizeof(path), "/proc/%d/root%s", (int)pid, name);
	fd = open_file(path);
	if (fd >= 0 && (fstat(fd, &stat) || stat.st_size > MAX_SIZE ||
			(stat.st_uid && stat.st_uid != process.st_uid))) {
		close(fd);
		return -1;
	}
	return fd;
}

static int open_map(pid_t pid)
{
	char name[32];

	snprintf(name, sizeof(name), "/tmp/perf-%d.map", own_pid(pid));
	return open_own(pid, name);
}

/* The process has it mapped, so that perf sees its name: jit-PID.dump, in any directory. */
static int open_dump(pid_t pid)
{
	struct mapping mapping;
	char name[32];
	size_t len, has;

	snprintf(name, sizeof(name), "/jit-%d.dump", own_pid(pid));
	if (!process_find_file(pid, name, &mapping))
		return -1;
	len = strlen(name);
	has = strlen(mapping.path);
	return has >= len && strcmp(mapping.path + has - len, name) == 0
		       ? open_own(pid, mapping.path)
		       : -1;
}

static void add_code(void *data, uint64_t start, uint64_t size, const char *name)
{
	struct perfmap *map = data;

	if ((map->nr & (map->nr - 1)) == 0)
		map->names = xrealloc(map->names, map->nr ? 2 * map->nr : 1, sizeof(*map->names));
	map->names[map->nr] = printable(name);
	ranges_add(&map->ranges, start, start + size, map->nr++);
}

static void add_line(struct perfmap *map, char *line)
{
	uint64_t start, size;
	int at = 0;

	line[strcspn(line, "\n")] = '\0';
	if (sscanf(line, "%" SCNx64 " %" SCNx64 " %n", &start, &size, &at) == 2 && at && line[at] &&
	    size <= UINT64_MAX - start)
		add_code(map, start, size, line + at);
}

/* Code that was moved has the name of what was last made at the old place. */
static void move_code(void *data, uint64_t from, uint64_t to, uint64_t size)
{
	struct perfmap *map = data;
	size_t i;

	for (i = map->ranges.nr; i--;)
		if (map->ranges.ranges[i].low == from) {
			add_code(map, to, size, map->names[map->ranges.ranges[i].owner]);
			return;
		}
}

static bool is_same(const struct stat *a, const struct stat *b)
{
	return a->st_ino == b->st_ino && a->st_size == b->st_size &&
	       a->st_mtim.tv_sec == b->st_mtim.tv_sec && a->st_mtim.tv_nsec == b->st_mtim.tv_nsec;
}

/* As a file to read from, where the descriptor is one. */
static FILE *file_of(int fd, struct stat *stat)
{
	*stat = (struct stat){ 0 };
	if (fd < 0)
		return NULL;
	fstat(fd, stat);
	return fdopen(fd, "r");
}

static void read_map(struct perfmap *map, pid_t pid)
{
	struct stat text_now, dump_now;
	FILE *text = file_of(open_map(pid), &text_now);
	FILE *dump = file_of(open_dump(pid), &dump_now);
	char line[MAX_LINE];

	if (map->pid != pid || !is_same(&text_now, &map->read) ||
	    !is_same(&dump_now, &map->dump_read)) {
		forget(map);
		map->pid = pid;
		map->read = text_now;
		map->dump_read = dump_now;
		while (text && fgets(line, sizeof(line), text))
			add_line(map, line);
		if (dump)
			jitdump_read(dump, add_code, move_code, map);
		ranges_sort(&map->ranges);
	}
	if (text)
		fclose(text);
	if (dump)
		fclose(dump);
}

/**
 * perfmap_find - the name of code that a process has made
 * @map: what was read last
 * @pid: the process
 * @address: of the code
 *
 * Code that takes the place of other code has a later line. Returns NULL for none; else
 * the name is for free().
 */
char *perfmap_find(struct perfmap *map, pid_t pid, uint64_t address)
{
	const struct range *range, *latest = NULL;

	read_map(map, pid);
	for (range = ranges_find(&map->ranges, address); range;
	     range = ranges_next(&map->ranges, range, address))
		if (!latest || range->owner > latest->owner)
			latest = range;
	return latest ? strdup(map->names[latest->owner]) : NULL;
}
