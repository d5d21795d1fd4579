// SPDX-License-Identifier: GPL-2.0
/*
 * The children of a resolver: who reads which files, what they are asked, and how long they
 * are waited for. What they answer is checked number by number.
 */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "symbol/fetch.h"
#include "symbol/protocol.h"
#include "symbol/resolver_private.h"
#include "symbol/sandbox.h"
#include "util/signals.h"
#include "util/util.h"

/* How long all are waited for, and how often to look, once a signal wants us to end. */
#define STOP_MS 5000
#define LOOK_MS 200
/* How often what else there is to do is done, while a child is waited for. */
#define WAITING_MS 20
/* What a child that is still itself can tell. */
#define MAX_SYMBOLS 4096
#define MAX_TEXT (1 << 20)
void reader_end(struct reader *reader)
{
	if (!reader->child)
		return;
	close(reader->fd);
	kill(reader->child, SIGKILL);
	while (waitpid(reader->child, NULL, 0) < 0 && errno == EINTR)
		;
	*reader = (struct reader){ 0 };
}

/* reader_of - the child of that number; NULL where it has ended */
struct reader *reader_of(struct resolver *resolver, uint64_t number)
{
	size_t i;

	for (i = 0; number && i < NR_READERS; i++)
		if (resolver->readers[i].number == number)
			return &resolver->readers[i];
	return NULL;
}

/* reader_for - a child that may read the file; NULL where none can be started */
struct reader *reader_for(struct resolver *resolver, int file)
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
	reader_end(oldest);
	if (!reader_start(user, resolver->paths.debug_path, &oldest->child, &oldest->fd)) {
		oldest->child = 0;
		return NULL;
	}
	oldest->user = user;
	oldest->number = ++resolver->nr_started;
	return oldest;
}

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

/* ask - asks once, with the descriptors that are not -1. */
enum asked ask(struct resolver *resolver, struct reader *reader,
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

/* ask_servers - a file by the frame's build id; -1 for none */
int ask_servers(struct resolver *resolver, const struct bufftrack_frame *frame, bool debug,
		uint64_t until)
{
	pid_t child;
	int fd;

	if (!frame->build_id_len || frame->build_id_len > sizeof(frame->build_id) ||
	    !fetch_is_set_up() || !fetch_start(frame, debug, &child, &fd))
		return -1;
	return fetch_end(child, fd, wait_for(resolver, fd, until));
}
