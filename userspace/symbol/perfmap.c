// SPDX-License-Identifier: GPL-2.0
/*
 * Code that was made while the program ran: node, the JVM and others write what they have
 * made to /tmp/perf-PID.map, a line each of an address, a size and a name.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "symbol/debugfile.h"
#include "symbol/name.h"
#include "symbol/perfmap.h"
#include "symbol/range.h"
#include "util/util.h"

/* Anybody may have written it: of a bigger one nothing is read. */
#define MAX_SIZE (256LL << 20)
#define MAX_LINE 4096

/* The map of one process, as it was when it was read. */
struct perfmap {
	pid_t pid;
	struct stat read;
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
static int open_map(pid_t pid)
{
	struct stat process, stat;
	char path[64];
	int fd;

	snprintf(path, sizeof(path), "/proc/%d", (int)pid);
	if (lstat(path, &process))
		return -1;
	snprintf(path, sizeof(path), "/proc/%d/root/tmp/perf-%d.map", (int)pid, own_pid(pid));
	fd = open_file(path);
	if (fd >= 0 && (fstat(fd, &stat) || stat.st_size > MAX_SIZE ||
			(stat.st_uid && stat.st_uid != process.st_uid))) {
		close(fd);
		return -1;
	}
	return fd;
}

static void add_line(struct perfmap *map, char *line)
{
	uint64_t start, size;
	int at = 0;

	line[strcspn(line, "\n")] = '\0';
	if (sscanf(line, "%" SCNx64 " %" SCNx64 " %n", &start, &size, &at) < 2 || !at ||
	    !line[at] || size > UINT64_MAX - start)
		return;
	if ((map->nr & (map->nr - 1)) == 0)
		map->names = xrealloc(map->names, map->nr ? 2 * map->nr : 1, sizeof(*map->names));
	map->names[map->nr] = printable(line + at);
	ranges_add(&map->ranges, start, start + size, map->nr++);
}

static void read_map(struct perfmap *map, pid_t pid)
{
	struct stat now = { 0 };
	char line[MAX_LINE];
	int fd = open_map(pid);
	FILE *file;

	if (fd >= 0)
		fstat(fd, &now);
	if (map->pid == pid && now.st_ino == map->read.st_ino && now.st_size == map->read.st_size &&
	    now.st_mtim.tv_sec == map->read.st_mtim.tv_sec &&
	    now.st_mtim.tv_nsec == map->read.st_mtim.tv_nsec) {
		if (fd >= 0)
			close(fd);
		return;
	}
	forget(map);
	map->pid = pid;
	map->read = now;
	file = fd < 0 ? NULL : fdopen(fd, "r");
	while (file && fgets(line, sizeof(line), file))
		add_line(map, line);
	if (file)
		fclose(file);
	ranges_sort(&map->ranges);
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
