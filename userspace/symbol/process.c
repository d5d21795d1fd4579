// SPDX-License-Identifier: GPL-2.0
/*
 * What a process that still lives can say of its frames: files of its own mount namespace,
 * files that have no name any more, and the kernel's own code in it.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/bufftrack.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "symbol/debugfile.h"
#include "symbol/process.h"
#include "util/util.h"

/* When a process began, ns of CLOCK_MONOTONIC; UINT64_MAX where it is not there. */
static uint64_t started_at(pid_t pid)
{
	uint64_t ticks = 0, now = monotonic_ns(), slept, at;
	struct timespec since_boot;
	char path[32], text[1024], *end;
	FILE *file;

	snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
	file = fopen(path, "re");
	if (!file)
		return UINT64_MAX;
	/* Its name stands in parentheses, and may have any character. */
	end = fgets(text, sizeof(text), file) ? strrchr(text, ')') : NULL;
	fclose(file);
	if (!end || sscanf(end + 1,
			   " %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %*u %*u %*d %*d %*d %*d "
			   "%*d %*d %" SCNu64,
			   &ticks) != 1)
		return UINT64_MAX;
	clock_gettime(CLOCK_BOOTTIME, &since_boot);
	/* What the machine has slept is in the one clock and not in the other. */
	slept = (uint64_t)since_boot.tv_sec * NSEC_PER_SEC + (uint64_t)since_boot.tv_nsec - now;
	at = ticks * (NSEC_PER_SEC / (uint64_t)sysconf(_SC_CLK_TCK));
	return at > slept ? at - slept : 0;
}

/**
 * process_lives - whether the process that did something is still there
 * @pid: its number
 * @time: when it did that: who has its number and began later is another one
 */
bool process_lives(pid_t pid, uint64_t time)
{
	return pid > 0 && started_at(pid) <= time;
}

/* process_is_apart - whether its paths may be other files than the same ones here */
bool process_is_apart(pid_t pid)
{
	char path[64];
	struct stat its, ours;

	snprintf(path, sizeof(path), "/proc/%d/ns/mnt", (int)pid);
	if (stat(path, &its) || stat("/proc/self/ns/mnt", &ours))
		return false;
	if (its.st_ino != ours.st_ino)
		return true;
	snprintf(path, sizeof(path), "/proc/%d/root", (int)pid);
	return stat(path, &its) == 0 && stat("/", &ours) == 0 &&
	       (its.st_ino != ours.st_ino || its.st_dev != ours.st_dev);
}

/* The first mapping that has the address, or, where @name is not NULL, whose path has that. */
static bool find_mapping(pid_t pid, uint64_t address, const char *name, struct mapping *mapping)
{
	char path[32], line[sizeof(mapping->path) + 128];
	bool found = false;
	FILE *file;
	int at;

	snprintf(path, sizeof(path), "/proc/%d/maps", (int)pid);
	file = fopen(path, "re");
	while (file && !found && fgets(line, sizeof(line), file)) {
		at = 0;
		if (sscanf(line, "%" SCNx64 "-%" SCNx64 " %*s %" SCNx64 " %*s %*s %n",
			   &mapping->start, &mapping->end, &mapping->offset, &at) < 3 ||
		    !at)
			continue;
		line[strcspn(line, "\n")] = '\0';
		snprintf(mapping->path, sizeof(mapping->path), "%s", line + at);
		found = name ? strstr(mapping->path, name) != NULL
			     : mapping->start <= address && address < mapping->end;
	}
	if (file)
		fclose(file);
	return found;
}

/* process_find_mapping - what is mapped at an address now */
bool process_find_mapping(pid_t pid, uint64_t address, struct mapping *mapping)
{
	return find_mapping(pid, address, NULL, mapping);
}

/* process_find_file - a mapping whose path has @name */
bool process_find_file(pid_t pid, const char *name, struct mapping *mapping)
{
	return find_mapping(pid, 0, name, mapping);
}

/* process_open_file - the file of a frame, in the mount namespace of the process */
int process_open_file(pid_t pid, const struct bufftrack_frame *frame)
{
	char path[BUFFTRACK_PATH_LEN + 32];

	if (frame->path[0] != '/')
		return -1;
	snprintf(path, sizeof(path), "/proc/%d/root%.*s", (int)pid, BUFFTRACK_PATH_LEN,
		 frame->path);
	return open_file(path);
}

/*
 * The path of a frame is cut at its front where it is long. The file may have been deleted
 * since the frame was recorded.
 */
static bool is_path_of(const char *path, const struct bufftrack_frame *frame)
{
	static const char deleted[] = " (deleted)";
	size_t len = strlen(path), has = strnlen(frame->path, BUFFTRACK_PATH_LEN);

	if (len == has + sizeof(deleted) - 1 && strcmp(path + has, deleted) == 0)
		len = has;
	return has && len >= has && memcmp(path + len - has, frame->path, has) == 0 &&
	       (len == has || has == BUFFTRACK_PATH_LEN - 1);
}

/**
 * process_open_mapped - the file of a frame, as the process has it mapped
 * @pid: the process
 * @frame: the frame
 *
 * Such a file may have been deleted or replaced, or be a memfd. Only root may open it so.
 */
int process_open_mapped(pid_t pid, const struct bufftrack_frame *frame)
{
	struct mapping mapping;
	char path[96];

	if (!process_find_mapping(pid, frame->address - 1, &mapping) ||
	    !is_path_of(mapping.path, frame) ||
	    frame->address - mapping.start + mapping.offset != frame->offset)
		return -1;
	snprintf(path, sizeof(path), "/proc/%d/map_files/%" PRIx64 "-%" PRIx64, (int)pid,
		 mapping.start, mapping.end);
	return open_file(path);
}

/**
 * process_open_vdso - the kernel's code in every process, as a file
 * @mapping: where a process has it
 *
 * Returns -1 where it is another one than this process has, as in one of 32 bits.
 */
int process_open_vdso(const struct mapping *mapping)
{
	const void *vdso = (const void *)getauxval(AT_SYSINFO_EHDR);
	struct mapping ours;
	size_t size = mapping->end - mapping->start;
	int fd;

	if (!vdso || !process_find_mapping(getpid(), (uintptr_t)vdso, &ours) ||
	    ours.end - ours.start != size || mapping->end <= UINT32_MAX)
		return -1;
	fd = memfd_create("vdso", MFD_CLOEXEC);
	if (fd >= 0 && write(fd, vdso, size) != (ssize_t)size) {
		close(fd);
		fd = -1;
	}
	return fd;
}
