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
#include <linux/bufftrack.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "symbol/fetch.h"
#include "symbol/locate.h"
#include "symbol/protocol.h"
#include "symbol/reader.h"
#include "symbol/resolver.h"
#include "symbol/sandbox.h"
#include "symbol/symbols.h"
#include "util/signals.h"
#include "util/util.h"

/* Where a file has taken too long the next ones have half the time, down to this. */
#define LEAST_MS 1000
/* How long all are waited for, and how often to look, once a signal wants us to end. */
#define STOP_MS 5000
#define LOOK_MS 200
/* How often what else there is to do is done, while a child is waited for. */
#define WAITING_MS 20
/* What a child that is still itself can tell. */
#define MAX_SYMBOLS 4096
#define MAX_TEXT (1 << 20)
/* Files of which something is remembered; beyond that, all is forgotten. */
#define MAX_KNOWN 512
/* A file that was nowhere is not looked for again before this. */
#define MISSING_MS 5000
/* Children at a time: each is another user. */
#define NR_READERS 4

struct reader {
	pid_t child; /* 0 where there is none */
	int fd; /* to it and from it */
	uid_t user;
	uint64_t number; /* another for each child that there was; 0 for none */
	uint64_t used;
};

/* What is known of a file. */
struct known {
	struct bufftrack_frame frame; /* any one of those in it */
	uint64_t reader; /* the number of that which has it open */
	enum unresolved why; /* no child has come to its end with it; or it is missing */
	uint64_t missing_until;
	struct stat there; /* what was at the path then */
};

struct resolver {
	struct locate_paths paths;
	struct reader readers[NR_READERS];
	uint64_t nr_started;
	uint64_t nr_asked;
	int ms;
	uint64_t stop; /* when all are given up; UINT64_MAX where no signal has come */
	struct known *known;
	size_t nr_known;
	void (*while_waiting)(void *data);
	void *waiting_data;
};

enum asked {
	ASK_FAILED, /* the child has ended, or was too slow */
	ASK_NEEDS_FILE,
	ASK_WANTS_DEBUG, /* but has answered */
	ASK_DONE,
};

/**
 * resolver_new - begin to look for symbols
 * @ms: how long one frame may take
 */
struct resolver *resolver_new(int ms)
{
	struct resolver *resolver = xrealloc(NULL, 1, sizeof(*resolver));

	*resolver = (struct resolver){ .ms = ms, .stop = UINT64_MAX };
	resolver->known = xrealloc(NULL, MAX_KNOWN, sizeof(*resolver->known));
	locate_init(&resolver->paths, NULL, NULL);
	return resolver;
}

static void end_reader(struct reader *reader)
{
	if (!reader->child)
		return;
	close(reader->fd);
	kill(reader->child, SIGKILL);
	while (waitpid(reader->child, NULL, 0) < 0 && errno == EINTR)
		;
	*reader = (struct reader){ 0 };
}

void resolver_free(struct resolver *resolver)
{
	size_t i;

	for (i = 0; i < NR_READERS; i++)
		end_reader(&resolver->readers[i]);
	locate_free(&resolver->paths);
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

/* ---- what a child says -------------------------------------------------------- */

static bool is_over(struct resolver *resolver, uint64_t until)
{
	uint64_t now = monotonic_ns();

	signals_let_in();
	if (resolver->stop == UINT64_MAX && signals_stopped())
		resolver->stop = now + STOP_MS * 1000000ULL;
	return now >= until || now >= resolver->stop;
}

static bool wait_for(struct resolver *resolver, int fd, uint64_t until)
{
	struct pollfd answer = { .fd = fd, .events = POLLIN };

	while (poll(&answer, 1, resolver->while_waiting ? WAITING_MS : LOOK_MS) <= 0) {
		if (resolver->while_waiting)
			resolver->while_waiting(resolver->waiting_data);
		if (is_over(resolver, until))
			return false;
	}
	return true;
}

static bool receive(struct resolver *resolver, int fd, void *to, size_t len, uint64_t until)
{
	ssize_t got;

	while (len) {
		if (is_over(resolver, until) || !wait_for(resolver, fd, until))
			return false;
		got = recv(fd, to, len, MSG_DONTWAIT);
		if (got == 0 || (got < 0 && errno != EINTR && errno != EAGAIN))
			return false;
		if (got > 0) {
			to = (char *)to + got;
			len -= (size_t)got;
		}
	}
	return true;
}

static bool receive_text(struct resolver *resolver, int fd, char **text, size_t len, uint64_t until)
{
	if (!len)
		return true;
	if (len > MAX_TEXT)
		return false;
	*text = xrealloc(NULL, len, 1);
	(*text)[0] = '\0';
	if (!receive(resolver, fd, *text, len, until) || (*text)[len - 1] != '\0')
		return false;
	copy_text(*text, len, *text, len);
	return true;
}

static bool receive_symbols(struct resolver *resolver, int fd, struct symbol_list *list, size_t nr,
			    uint64_t until)
{
	struct answer_symbol head;
	struct symbol *symbol;

	if (nr < 1 || nr > MAX_SYMBOLS)
		return false;
	list->symbols = xrealloc(NULL, nr, sizeof(*list->symbols));
	while (list->nr < nr) {
		if (!receive(resolver, fd, &head, sizeof(head), until))
			return false;
		symbol = &list->symbols[list->nr++];
		*symbol = (struct symbol){ .line = head.line, .inlined = head.inlined != 0 };
		if (!receive_text(resolver, fd, &symbol->function, head.function_len, until) ||
		    !receive_text(resolver, fd, &symbol->file, head.file_len, until))
			return false;
	}
	return true;
}

/* Asks once, with the descriptors that are not -1. */
static enum asked ask(struct resolver *resolver, struct reader *reader,
		      const struct bufftrack_frame *frame, const int files[READER_FILES],
		      struct symbol_list *list, uint64_t until)
{
	struct request request = { .frame = *frame };
	struct answer answer;
	int fds[READER_FILES];
	size_t nr = 0;

	if (files[0] >= 0) {
		request.files |= REQUEST_FILE;
		fds[nr++] = files[0];
	}
	if (files[1] >= 0) {
		request.files |= REQUEST_DEBUG;
		fds[nr++] = files[1];
	}
	reader->used = ++resolver->nr_asked;
	symbols_clear(list);
	if (!send_files(reader->fd, &request, sizeof(request), fds, nr) ||
	    !receive(resolver, reader->fd, &answer, sizeof(answer), until) ||
	    answer.why >= NR_UNRESOLVED ||
	    !receive_symbols(resolver, reader->fd, list, answer.nr, until))
		return ASK_FAILED;
	list->why = answer.why;
	if (answer.wants & ANSWER_NEEDS_FILE)
		return ASK_NEEDS_FILE;
	return answer.wants & ANSWER_WANTS_DEBUG ? ASK_WANTS_DEBUG : ASK_DONE;
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

static struct reader *reader_of(struct resolver *resolver, uint64_t number)
{
	size_t i;

	for (i = 0; number && i < NR_READERS; i++)
		if (resolver->readers[i].number == number)
			return &resolver->readers[i];
	return NULL;
}

/* A child that may read the file. */
static struct reader *reader_for(struct resolver *resolver, int file)
{
	struct reader *reader, *oldest = resolver->readers;
	struct stat stat;
	uid_t user;

	if (fstat(file, &stat))
		return NULL;
	user = sandbox_user(stat.st_uid);
	for (reader = resolver->readers; reader < resolver->readers + NR_READERS; reader++) {
		if (reader->child && reader->user == user)
			return reader;
		if (reader->used < oldest->used)
			oldest = reader;
	}
	end_reader(oldest);
	if (!reader_start(user, resolver->paths.debug_path, &oldest->child, &oldest->fd)) {
		oldest->child = 0;
		return NULL;
	}
	oldest->user = user;
	oldest->number = ++resolver->nr_started;
	return oldest;
}

static int fetch(struct resolver *resolver, const struct bufftrack_frame *frame, bool debug,
		 uint64_t until)
{
	pid_t child;
	int fd;

	if (!frame->build_id_len || frame->build_id_len > sizeof(frame->build_id) ||
	    !fetch_is_set_up() || !fetch_start(frame, debug, &child, &fd))
		return -1;
	return fetch_end(child, fd, wait_for(resolver, fd, until));
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
			files[1] = fetch(resolver, frame, true, until);
		asked = ASK_DONE;
	}
	if (files[1] >= 0) {
		asked = ask(resolver, reader, frame, files, list, until);
		close(files[1]);
	}
	if (asked == ASK_FAILED)
		end_reader(reader);
	return asked;
}

static enum unresolved why_not_there(const struct bufftrack_frame *frame, int error)
{
	static const char deleted[] = " (deleted)";
	size_t len = strnlen(frame->path, sizeof(frame->path));

	if (frame->path[0] != '/')
		return LONG_PATH;
	if (strncmp(frame->path, "/memfd:", strlen("/memfd:")) == 0)
		return IN_MEMORY;
	if (len >= sizeof(deleted) && strcmp(frame->path + len + 1 - sizeof(deleted), deleted) == 0)
		return DELETED;
	return error == ENOENT || error == ENOTDIR ? NOT_THERE : UNREADABLE;
}

/* Whether the file may be in another place. */
static bool look_further(const struct symbol_list *list, const struct bufftrack_frame *frame)
{
	return frame->build_id_len && (list->why == OTHER_BUILD || list->why == NO_ELF);
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
	int place, file;

	for (place = 0; place <= NR_LOCATE_PLACES; place++) {
		if (place < NR_LOCATE_PLACES)
			file = locate_file(&resolver->paths, frame, (enum locate_place)place);
		else
			file = fetch(resolver, frame, false, until);
		if (file < 0) {
			if (!why)
				why = why_not_there(frame, errno);
			continue;
		}
		asked = ask_with(resolver, known, frame, file, list, until);
		close(file);
		if (asked != ASK_DONE || !look_further(list, frame))
			return asked;
		if (place == LOCATE_PATH)
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
	if (!known->missing_until || monotonic_ns() >= known->missing_until)
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
			end_reader(reader);
	}
	if (asked == ASK_NEEDS_FILE)
		asked = look_for(resolver, known, frame, list, until);
	if (asked == ASK_NEEDS_FILE) {
		known->why = list->why;
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
	if (!frame->path[0]) {
		know_nothing(list, NO_FILE);
		return;
	}
	if (monotonic_ns() >= resolver->stop) {
		know_nothing(list, STOPPED);
		return;
	}
	known = know(resolver, frame);
	if (is_missing(resolver, known))
		know_nothing(list, known->why);
	else
		find_in(resolver, known, frame, list);
}
