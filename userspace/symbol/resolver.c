// SPDX-License-Identifier: GPL-2.0
/*
 * The symbols of files that anybody may have made, and may change while they are read:
 * children look for them. A file that is cut short, or that libdw was not made for, ends a
 * child, not the tool; one that takes too long is not waited for.
 *
 * Where root is the user each child is the owner of the files that it reads, or nobody;
 * the files themselves are opened here, and handed over.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "symbol/process.h"
#include "symbol/resolver_private.h"
#include "util/util.h"

/* Where a file has taken too long the next ones have half the time, down to this. */
#define LEAST_MS 1000
/* Files of which something is remembered; beyond that, all is forgotten. */
#define MAX_KNOWN 512
/* A file that was nowhere is not looked for again before this. */
#define MISSING_MS 5000
/**
 * resolver_new - begin to look for symbols
 * @ms: how long one frame may take
 */
struct resolver *resolver_new(int ms)
{
	struct resolver *resolver = xrealloc(NULL, 1, sizeof(*resolver));

	*resolver = (struct resolver){ .ms = ms, .stop = UINT64_MAX };
	resolver->known = xrealloc(NULL, MAX_KNOWN, sizeof(*resolver->known));
	resolver->perfmap = perfmap_new();
	locate_init(&resolver->paths, NULL, NULL);
	return resolver;
}

void resolver_free(struct resolver *resolver)
{
	size_t i;

	for (i = 0; i < NR_READERS; i++)
		reader_end(&resolver->readers[i]);
	locate_free(&resolver->paths);
	perfmap_free(resolver->perfmap);
	free(resolver->known);
	free(resolver);
}

/**
 * resolver_look_in - where to look for files, before the first is looked for
 * @resolver: from resolver_new()
 * @symfs: the root of the files' paths; NULL for the one there is
 * @debug_path: more directories with debug files, with colons between them; NULL for none
 */
void resolver_look_in(struct resolver *resolver, const char *symfs, const char *debug_path)
{
	locate_free(&resolver->paths);
	locate_init(&resolver->paths, symfs, debug_path);
}

/* resolver_while_waiting - what to do now and then while resolver_find() waits */
void resolver_while_waiting(struct resolver *resolver, void (*do_it)(void *data), void *data)
{
	resolver->while_waiting = do_it;
	resolver->waiting_data = data;
}

/**
 * resolver_of_process - whose frames the next ones are
 * @resolver: from resolver_new()
 * @pid: the process; 0 where that is not known
 * @time: when it did what the frames are of, ns of CLOCK_MONOTONIC
 */
void resolver_of_process(struct resolver *resolver, pid_t pid, uint64_t time)
{
	resolver->pid = process_lives(pid, time) ? pid : 0;
}

/* ---- files ---------------------------------------------------------------------- */

static struct known *know(struct resolver *resolver, const struct bufftrack_frame *frame)
{
	struct known *known;

	for (known = resolver->known; known < resolver->known + resolver->nr_known; known++)
		if (strncmp(known->frame.path, frame->path, sizeof(frame->path)) == 0 &&
		    known->frame.build_id_len == frame->build_id_len &&
		    memcmp(known->frame.build_id, frame->build_id, sizeof(frame->build_id)) == 0)
			return known;
	if (resolver->nr_known == MAX_KNOWN)
		resolver->nr_known = 0;
	known = &resolver->known[resolver->nr_known++];
	*known = (struct known){ .frame = *frame };
	return known;
}

static enum unresolved refuse(struct resolver *resolver, struct known *known, bool slow)
{
	if (slow && resolver->ms > LEAST_MS)
		resolver->ms = resolver->ms / 2 > LEAST_MS ? resolver->ms / 2 : LEAST_MS;
	known->missing_until = UINT64_MAX;
	known->why = slow ? TOO_SLOW : DAMAGED;
	return known->why;
}

/* Asks with the file, and once more where its debug information is elsewhere. */
static enum asked ask_with(struct resolver *resolver, struct known *known,
			   const struct bufftrack_frame *frame, int file, struct symbol_list *list,
			   uint64_t until)
{
	struct reader *reader = reader_for(resolver, file);
	int files[READER_FILES] = { file, -1 };
	enum asked asked;

	if (!reader) {
		list->why = NO_PROCESS;
		return ASK_FAILED;
	}
	known->reader = reader->number;
	asked = ask(resolver, reader, frame, files, list, until);
	if (asked == ASK_WANTS_DEBUG) {
		files[1] = locate_debug(&resolver->paths, frame);
		if (files[1] < 0)
			files[1] = ask_servers(resolver, frame, true, until);
		asked = ASK_DONE;
	}
	if (files[1] >= 0) {
		asked = ask(resolver, reader, frame, files, list, until);
		close(files[1]);
	}
	if (asked == ASK_FAILED)
		reader_end(reader);
	return asked;
}

static enum unresolved why_not_there(const struct resolver *resolver,
				     const struct bufftrack_frame *frame, int error)
{
	static const char deleted[] = " (deleted)";
	size_t len = strnlen(frame->path, sizeof(frame->path));

	if (frame->path[0] != '/')
		return LONG_PATH;
	if (strncmp(frame->path, "/memfd:", strlen("/memfd:")) == 0)
		return IN_MEMORY;
	if (len >= sizeof(deleted) && strcmp(frame->path + len + 1 - sizeof(deleted), deleted) == 0)
		return DELETED;
	if (error != ENOENT && error != ENOTDIR)
		return UNREADABLE;
	if (!resolver->pid)
		return NOT_THERE;
	return process_is_apart(resolver->pid) ? NOT_THERE_EITHER : REMOVED;
}

/* Whether the file may be in another place. */
static bool look_further(const struct symbol_list *list, const struct bufftrack_frame *frame)
{
	return frame->build_id_len && (list->why == OTHER_BUILD || list->why == NO_ELF);
}

/* Where a file is looked for, the likeliest place first */
enum step {
	STEP_MAPPED_FIRST, /* without a build ID the path may be another file's by now */
	STEP_NAMESPACE, /* of a process that has one of its own */
	STEP_PLACES,
	STEP_MAPPED_LAST = STEP_PLACES + NR_LOCATE_PLACES,
	STEP_SERVERS,
	NR_STEPS
};

static int take_step(struct resolver *resolver, const struct bufftrack_frame *frame,
		     unsigned int step, uint64_t until)
{
	bool apart = resolver->pid && process_is_apart(resolver->pid);

	errno = ENOENT;
	switch (step) {
	case STEP_NAMESPACE:
		return apart ? process_open_file(resolver->pid, frame) : -1;
	case STEP_MAPPED_FIRST:
	case STEP_MAPPED_LAST:
		if (!resolver->pid || !frame->build_id_len != (step == STEP_MAPPED_FIRST))
			return -1;
		return process_open_mapped(resolver->pid, frame);
	case STEP_SERVERS:
		return ask_servers(resolver, frame, false, until);
	default:
		/* Here another file may have that path. */
		if (apart && !frame->build_id_len)
			return -1;
		return locate_file(&resolver->paths, frame, step - STEP_PLACES);
	}
}

/*
 * Looks for the file in all places. Returns ASK_NEEDS_FILE, with the reason in @list, where
 * it is in none.
 */
static enum asked look_for(struct resolver *resolver, struct known *known,
			   const struct bufftrack_frame *frame, struct symbol_list *list,
			   uint64_t until)
{
	enum unresolved why = RESOLVED;
	enum asked asked;
	unsigned int step;
	int file;

	for (step = 0; step < NR_STEPS; step++) {
		file = take_step(resolver, frame, step, until);
		if (file < 0) {
			if (!why && step == STEP_PLACES)
				why = why_not_there(resolver, frame, errno);
			continue;
		}
		asked = ask_with(resolver, known, frame, file, list, until);
		close(file);
		if (asked != ASK_DONE || !look_further(list, frame))
			return asked;
		if (step == STEP_PLACES)
			why = list->why;
	}
	list->why = why;
	return ASK_NEEDS_FILE;
}

/* What is known of a frame of which nothing is. */
static void know_nothing(struct symbol_list *list, enum unresolved why)
{
	symbols_clear(list);
	symbols_add(list);
	list->why = why;
}

/* Whether the file need not be looked for again. */
static bool is_missing(const struct resolver *resolver, const struct known *known)
{
	struct stat there;

	if (known->missing_until == UINT64_MAX)
		return true;
	if (known->missing_for != resolver->pid || !known->missing_until ||
	    monotonic_ns() >= known->missing_until)
		return false;
	locate_stat(&resolver->paths, &known->frame, &there);
	return there.st_ino == known->there.st_ino && there.st_size == known->there.st_size &&
	       there.st_mtim.tv_sec == known->there.st_mtim.tv_sec &&
	       there.st_mtim.tv_nsec == known->there.st_mtim.tv_nsec;
}

static void find_in(struct resolver *resolver, struct known *known,
		    const struct bufftrack_frame *frame, struct symbol_list *list)
{
	uint64_t until = monotonic_ns() + (uint64_t)resolver->ms * 1000000;
	struct reader *reader = frame->build_id_len ? reader_of(resolver, known->reader) : NULL;
	const int none[READER_FILES] = { -1, -1 };
	enum asked asked = ASK_NEEDS_FILE;

	if (reader) {
		asked = ask(resolver, reader, frame, none, list, until);
		if (asked == ASK_FAILED)
			reader_end(reader);
	}
	if (asked == ASK_NEEDS_FILE)
		asked = look_for(resolver, known, frame, list, until);
	if (asked == ASK_NEEDS_FILE) {
		known->why = list->why;
		known->missing_for = resolver->pid;
		locate_stat(&resolver->paths, frame, &known->there);
		known->missing_until = monotonic_ns() + MISSING_MS * 1000000ULL;
		know_nothing(list, known->why);
	}
	if (asked != ASK_FAILED)
		return;
	if (list->why == NO_PROCESS)
		know_nothing(list, NO_PROCESS);
	else if (monotonic_ns() >= resolver->stop)
		know_nothing(list, STOPPED);
	else
		know_nothing(list, refuse(resolver, known, monotonic_ns() >= until));
}

/* The kernel's own code, and such as was made at run time: no file was mapped. */
static void find_mapped(struct resolver *resolver, const struct bufftrack_frame *frame,
			struct symbol_list *list)
{
	struct bufftrack_frame vdso = { .address = frame->address, .path = "[vdso]" };
	uint64_t until = monotonic_ns() + (uint64_t)resolver->ms * 1000000;
	struct mapping mapping;
	int file = -1;

	if (resolver->pid && process_find_mapping(resolver->pid, frame->address - 1, &mapping) &&
	    strcmp(mapping.path, vdso.path) == 0)
		file = process_open_vdso(&mapping);
	if (file < 0) {
		know_nothing(list, NO_FILE);
		return;
	}
	vdso.offset = frame->address - mapping.start;
	if (ask_with(resolver, know(resolver, &vdso), &vdso, file, list, until) == ASK_FAILED)
		know_nothing(list, NO_FILE);
	close(file);
}

/* What a process has made at run time may be in a file, too, as a memfd is. */
static void name_made_code(struct resolver *resolver, const struct bufftrack_frame *frame,
			   struct symbol_list *list)
{
	if (!resolver->pid || list->symbols[0].function)
		return;
	list->symbols[0].function =
		perfmap_find(resolver->perfmap, resolver->pid, frame->address - 1);
	if (list->symbols[0].function)
		list->why = MADE_CODE;
}

/**
 * resolver_find - what the return address of a frame stands for
 * @resolver: from resolver_new()
 * @frame: as the kernel tells it
 * @list: what it is; for symbols_clear()
 */
void resolver_find(struct resolver *resolver, const struct bufftrack_frame *frame,
		   struct symbol_list *list)
{
	struct known *known;

	*list = (struct symbol_list){ 0 };
	if (monotonic_ns() >= resolver->stop) {
		know_nothing(list, STOPPED);
		return;
	}
	if (!frame->path[0]) {
		find_mapped(resolver, frame, list);
	} else {
		known = know(resolver, frame);
		if (is_missing(resolver, known))
			know_nothing(list, known->why);
		else
			find_in(resolver, known, frame, list);
	}
	name_made_code(resolver, frame, list);
}
