// SPDX-License-Identifier: GPL-2.0
/*
 * Where the file of a frame may be: at its path; and where its build id is known, in the
 * directories of debug files and in perf's cache. What is found here is only opened, with
 * the user's own rights; who reads it checks its build id.
 */
#include <linux/bufftrack.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "symbol/debugfile.h"
#include "symbol/locate.h"
#include "util/util.h"

#define SYSTEM_DEBUG "/usr/lib/debug"

static char *join(const char *a, const char *b, const char *c)
{
	char *text;

	if (asprintf(&text, "%s%s%s", a, b, c) < 0)
		abort();
	return text;
}

/**
 * locate_init - where to look
 * @paths: to be filled
 * @symfs: the root of the files' paths; NULL for the one there is
 * @debug_path: more directories with debug files, looked into first; NULL for none
 */
void locate_init(struct locate_paths *paths, const char *symfs, const char *debug_path)
{
	bool more = debug_path && *debug_path;

	paths->symfs = join(symfs ? symfs : "", "", "");
	paths->debug_path = join(more ? debug_path : "", more ? ":" : "", SYSTEM_DEBUG);
}

void locate_free(struct locate_paths *paths)
{
	free(paths->symfs);
	free(paths->debug_path);
}

/* Its first byte, a slash, and the others, as in directories of build ids */
static void print_build_id(char text[2 * BUFFTRACK_BUILD_ID_LEN + 2],
			   const struct bufftrack_frame *frame)
{
	uint32_t i;

	for (i = 0; i < frame->build_id_len && i < BUFFTRACK_BUILD_ID_LEN; i++)
		text += sprintf(text, "%02x%s", frame->build_id[i], i ? "" : "/");
}

/* DIRECTORY/.build-id/12/3456ENDING, in each directory of @list */
static int open_by_build_id(const char *list, const struct bufftrack_frame *frame,
			    const char *ending)
{
	char id[2 * BUFFTRACK_BUILD_ID_LEN + 2], *path;
	size_t len;
	int fd = -1;

	if (!frame->build_id_len)
		return -1;
	print_build_id(id, frame);
	for (; fd < 0 && *list; list += len + (list[len] == ':')) {
		len = strcspn(list, ":");
		if (!len || asprintf(&path, "%.*s/.build-id/%s%s", (int)len, list, id, ending) < 0)
			continue;
		fd = open_file(path);
		free(path);
	}
	return fd;
}

/* perf has a directory for each build id, or the file itself. */
static int open_of_perf(const struct bufftrack_frame *frame, const char *name)
{
	const char *home = getenv("HOME");
	char *directory;
	int fd;

	if (!home || home[0] != '/')
		return -1;
	directory = join(home, "/.debug", "");
	fd = open_by_build_id(directory, frame, name);
	if (fd < 0 && strcmp(name, "/elf") == 0)
		fd = open_by_build_id(directory, frame, "");
	free(directory);
	return fd;
}

static int open_at(const struct locate_paths *paths, const char *file)
{
	char *path = join(paths->symfs, file, "");
	int fd = open_file(path);

	free(path);
	return fd;
}

static int open_undeleted(const struct locate_paths *paths, const struct bufftrack_frame *frame)
{
	static const char deleted[] = " (deleted)";
	char path[BUFFTRACK_PATH_LEN + 1] = "";
	size_t len = strnlen(frame->path, BUFFTRACK_PATH_LEN);

	if (!frame->build_id_len || len < sizeof(deleted) ||
	    memcmp(frame->path + len + 1 - sizeof(deleted), deleted, sizeof(deleted) - 1))
		return -1;
	memcpy(path, frame->path, len + 1 - sizeof(deleted));
	return open_at(paths, path);
}

/**
 * locate_file - opens the file of a frame, if it is there
 * @paths: where to look
 * @frame: the frame
 * @place: in which of the places
 *
 * Returns -1 where no file is there.
 */
int locate_file(const struct locate_paths *paths, const struct bufftrack_frame *frame,
		enum locate_place place)
{
	char path[BUFFTRACK_PATH_LEN + 1] = "";

	if (frame->path[0] != '/' && place < LOCATE_DIRECTORIES)
		return -1;
	switch (place) {
	case LOCATE_PATH:
		memcpy(path, frame->path, strnlen(frame->path, BUFFTRACK_PATH_LEN));
		return open_at(paths, path);
	case LOCATE_UNDELETED:
		return open_undeleted(paths, frame);
	case LOCATE_DIRECTORIES:
		return open_by_build_id(paths->debug_path, frame, "");
	default:
		return open_of_perf(frame, "/elf");
	}
}

/* locate_stat - what is at the path of a frame; all 0 for nothing */
void locate_stat(const struct locate_paths *paths, const struct bufftrack_frame *frame,
		 struct stat *there)
{
	char path[BUFFTRACK_PATH_LEN + 1] = "", *whole;

	memcpy(path, frame->path, strnlen(frame->path, BUFFTRACK_PATH_LEN));
	whole = join(paths->symfs, path, "");
	if (stat(whole, there))
		*there = (struct stat){ 0 };
	free(whole);
}

/* Beside the file, under the name that is usual: readers look for others themselves. */
static int open_beside(const struct locate_paths *paths, const struct bufftrack_frame *frame)
{
	char path[BUFFTRACK_PATH_LEN + 1] = "", beside[BUFFTRACK_PATH_LEN + 32];
	char *name;
	int fd;

	memcpy(path, frame->path, strnlen(frame->path, BUFFTRACK_PATH_LEN));
	name = path[0] == '/' ? strrchr(path, '/') + 1 : NULL;
	if (!name)
		return -1;
	snprintf(beside, sizeof(beside), "%s.debug", path);
	fd = open_at(paths, beside);
	if (fd >= 0)
		return fd;
	snprintf(beside, sizeof(beside), "%.*s.debug/%s.debug", (int)(name - path), path, name);
	return open_at(paths, beside);
}

/**
 * locate_debug - opens a file with a frame's debug information
 * @paths: where to look
 * @frame: the frame
 *
 * A reader that is nobody may not read each that the user may. Returns -1 for none.
 */
int locate_debug(const struct locate_paths *paths, const struct bufftrack_frame *frame)
{
	int fd = open_beside(paths, frame);

	if (fd < 0)
		fd = open_by_build_id(paths->debug_path, frame, ".debug");
	return fd < 0 ? open_of_perf(frame, "/debug") : fd;
}
