/* SPDX-License-Identifier: GPL-2.0 */
#ifndef BUFFTRACK_LOCATE_H
#define BUFFTRACK_LOCATE_H

struct bufftrack_frame;
struct stat;

/**
 * struct locate_paths - where to look for files
 * @symfs: what every path begins with; empty for nothing
 * @debug_path: directories with debug files, with colons between them
 */
struct locate_paths {
	char *symfs;
	char *debug_path;
};

/* The places in which a frame's file may be, the likeliest first */
enum locate_place {
	LOCATE_PATH,
	LOCATE_UNDELETED, /* what the kernel names " (deleted)" may be there again */
	LOCATE_DIRECTORIES, /* of debug files */
	LOCATE_PERF, /* perf's cache */
	NR_LOCATE_PLACES
};

void locate_init(struct locate_paths *paths, const char *symfs, const char *debug_path);
void locate_free(struct locate_paths *paths);
int locate_file(const struct locate_paths *paths, const struct bufftrack_frame *frame,
		enum locate_place place);
void locate_stat(const struct locate_paths *paths, const struct bufftrack_frame *frame,
		 struct stat *there);
int locate_debug(const struct locate_paths *paths, const struct bufftrack_frame *frame);

#endif
