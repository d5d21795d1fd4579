/* SPDX-License-Identifier: GPL-2.0 */
#ifndef BUFFTRACK_PROCESS_H
#define BUFFTRACK_PROCESS_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct bufftrack_frame;

/**
 * struct mapping - a line of /proc/PID/maps
 * @start: its first address
 * @end: the one behind its last
 * @offset: where that begins in the file
 * @path: the file, or a name in brackets; empty for neither
 */
struct mapping {
	uint64_t start;
	uint64_t end;
	uint64_t offset;
	char path[4096];
};

bool process_lives(pid_t pid, uint64_t time);
bool process_is_apart(pid_t pid);
bool process_find_mapping(pid_t pid, uint64_t address, struct mapping *mapping);
bool process_find_file(pid_t pid, const char *name, struct mapping *mapping);
int process_open_file(pid_t pid, const struct bufftrack_frame *frame);
int process_open_mapped(pid_t pid, const struct bufftrack_frame *frame);
int process_open_vdso(const struct mapping *mapping);

#endif
