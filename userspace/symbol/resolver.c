// SPDX-License-Identifier: GPL-2.0
/*
 * The symbols of files that anybody may have made, and may change while they are
 * read: a child of ours looks for them. A file that is cut short, or that libdw was
 * not made for, ends the child, not us; one that takes too long is not waited for.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/bufftrack.h>
#include <linux/mount.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "symbol/resolver.h"
#include "util/signals.h"
#include "symbol/symbols.h"
#include "util/util.h"

/* Where a file has taken too long the next ones have half the time, down to this. */
#define LEAST_MS 1000
/* How long all are waited for, and how often to look, once a signal wants us to end. */
#define STOP_MS 5000
#define LOOK_MS 200
/* What a child that is still itself can tell. */
#define MAX_SYMBOLS 4096
#define MAX_TEXT (1 << 20)
/* Files that are not read any more; beyond that, all are tried again. */
#define MAX_REFUSED 256

/* A file that a child has not come to its end with. */
struct refused {
	struct bufftrack_frame frame;
	enum unresolved why;
};

struct resolver {
	pid_t child; /* 0 where there is none */
	int fd; /* to it and from it */
	int ms;
	uint64_t stop; /* when all are given up; UINT64_MAX where no signal has come */
	struct refused *refused;
	size_t nr_refused;
};

/*
 * What the child answers: this, then the symbols, each with its two texts. A file may
 * have made it another's: nothing of it is believed.
 */
struct answer {
	unsigned int why; /* enum unresolved */
	size_t nr;
};

struct answer_symbol {
	size_t function_len, file_len; /* with the NUL; 0 for none */
	unsigned int line;
	unsigned int inlined;
};

/* ---- the child ------------------------------------------------------------------ */

static size_t text_len(const char *text)
{
	return text ? strlen(text) + 1 : 0;
}

static void send_answer(FILE *to, const struct symbol_list *list)
{
	struct answer answer = { .why = list->why, .nr = list->nr };
	const struct symbol *symbol;

	fwrite(&answer, sizeof(answer), 1, to);
	for (symbol = list->symbols; symbol < list->symbols + list->nr; symbol++) {
		struct answer_symbol head = {
			.function_len = text_len(symbol->function),
			.file_len = text_len(symbol->file),
			.line = symbol->line,
			.inlined = symbol->inlined,
		};

		fwrite(&head, sizeof(head), 1, to);
		if (head.function_len)
			fwrite(symbol->function, 1, head.function_len, to);
		if (head.file_len)
			fwrite(symbol->file, 1, head.file_len, to);
	}
	fflush(to);
}

/*
 * libdw opens what DWARF names, whatever it is, and opening a device can do things.
 * What is mounted later comes here, too. Who is not root may not, and need not.
 */
static void forbid_devices(void)
{
	struct mount_attr attributes = {
		.attr_set = MOUNT_ATTR_NODEV,
		.propagation = MS_SLAVE,
	};

	/* Before 2.36 glibc has no function for it. */
	if (unshare(CLONE_NEWNS) == 0)
		syscall(SYS_mount_setattr, AT_FDCWD, "/", AT_RECURSIVE, &attributes,
			sizeof(attributes));
}

static void __attribute__((noreturn)) run_child(int fd)
{
	const struct rlimit no_core = { 0 };
	struct bufftrack_frame frame;
	struct symbol_list list;
	struct symbols *symbols;
	FILE *to;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	setrlimit(RLIMIT_CORE, &no_core);
	/* The device among others: who has it open keeps the module in use. */
	dup2(fd, STDIN_FILENO);
	dup2(STDERR_FILENO, STDOUT_FILENO);
	close_range(STDERR_FILENO + 1, ~0U, 0);
	forbid_devices();
	to = fdopen(STDIN_FILENO, "w");
	if (!to)
		_exit(EXIT_FAILURE);
	symbols = symbols_new();
	while (recv(STDIN_FILENO, &frame, sizeof(frame), MSG_WAITALL) == sizeof(frame)) {
		symbols_find(symbols, &frame, &list);
		send_answer(to, &list);
		symbols_clear(&list);
	}
	_exit(EXIT_SUCCESS);
}

/* ---- the parent ------------------------------------------------------------------ */

/**
 * resolver_new - begin to look for symbols
 * @ms: how long one frame may take
 */
struct resolver *resolver_new(int ms)
{
	struct resolver *resolver = xrealloc(NULL, 1, sizeof(*resolver));

	*resolver = (struct resolver){ .ms = ms, .stop = UINT64_MAX };
	return resolver;
}

static bool start_child(struct resolver *resolver)
{
	int ends[2];

	if (resolver->child)
		return true;
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends))
		return false;
	/* What is not printed yet is ours to print. */
	fflush(stdout);
	resolver->child = fork();
	if (resolver->child == 0)
		run_child(ends[1]);
	close(ends[1]);
	resolver->fd = ends[0];
	if (resolver->child > 0)
		return true;
	resolver->child = 0;
	close(ends[0]);
	return false;
}

static void end_child(struct resolver *resolver)
{
	if (!resolver->child)
		return;
	close(resolver->fd);
	kill(resolver->child, SIGKILL);
	while (waitpid(resolver->child, NULL, 0) < 0 && errno == EINTR)
		;
	resolver->child = 0;
}

void resolver_free(struct resolver *resolver)
{
	end_child(resolver);
	free(resolver->refused);
	free(resolver);
}

static bool is_over(struct resolver *resolver, uint64_t until)
{
	uint64_t now = monotonic_ns();

	signals_let_in();
	if (resolver->stop == UINT64_MAX && signals_stopped())
		resolver->stop = now + STOP_MS * 1000000ULL;
	return now >= until || now >= resolver->stop;
}

static bool receive(struct resolver *resolver, void *to, size_t len, uint64_t until)
{
	struct pollfd answer = { .fd = resolver->fd, .events = POLLIN };
	ssize_t got;

	while (len) {
		if (is_over(resolver, until))
			return false;
		if (poll(&answer, 1, LOOK_MS) <= 0)
			continue;
		got = recv(resolver->fd, to, len, MSG_DONTWAIT);
		if (got == 0 || (got < 0 && errno != EINTR && errno != EAGAIN))
			return false;
		if (got > 0) {
			to = (char *)to + got;
			len -= (size_t)got;
		}
	}
	return true;
}

static bool receive_text(struct resolver *resolver, char **text, size_t len, uint64_t until)
{
	if (!len)
		return true;
	if (len > MAX_TEXT)
		return false;
	*text = xrealloc(NULL, len, 1);
	(*text)[0] = '\0';
	if (!receive(resolver, *text, len, until) || (*text)[len - 1] != '\0')
		return false;
	copy_text(*text, len, *text, len);
	return true;
}

static bool receive_symbols(struct resolver *resolver, struct symbol_list *list, size_t nr,
			    uint64_t until)
{
	struct answer_symbol head;
	struct symbol *symbol;

	if (nr < 1 || nr > MAX_SYMBOLS)
		return false;
	list->symbols = xrealloc(NULL, nr, sizeof(*list->symbols));
	while (list->nr < nr) {
		if (!receive(resolver, &head, sizeof(head), until))
			return false;
		symbol = &list->symbols[list->nr++];
		*symbol = (struct symbol){ .line = head.line, .inlined = head.inlined != 0 };
		if (!receive_text(resolver, &symbol->function, head.function_len, until) ||
		    !receive_text(resolver, &symbol->file, head.file_len, until))
			return false;
	}
	return true;
}

static bool ask(struct resolver *resolver, const struct bufftrack_frame *frame,
		struct symbol_list *list, uint64_t until)
{
	struct answer answer;

	if (send(resolver->fd, frame, sizeof(*frame), MSG_NOSIGNAL) != sizeof(*frame) ||
	    !receive(resolver, &answer, sizeof(answer), until) || answer.why >= NR_UNRESOLVED ||
	    !receive_symbols(resolver, list, answer.nr, until))
		return false;
	list->why = answer.why;
	return true;
}

static enum unresolved why_refused(const struct resolver *resolver,
				   const struct bufftrack_frame *frame)
{
	const struct refused *refused = resolver->refused;
	size_t i;

	for (i = 0; i < resolver->nr_refused; i++, refused++)
		if (strncmp(refused->frame.path, frame->path, sizeof(frame->path)) == 0 &&
		    memcmp(refused->frame.build_id, frame->build_id, sizeof(frame->build_id)) == 0)
			return refused->why;
	return RESOLVED;
}

static enum unresolved refuse(struct resolver *resolver, const struct bufftrack_frame *frame,
			      bool slow)
{
	struct refused refused = {
		.frame = *frame,
		.why = slow ? TOO_SLOW : DAMAGED,
	};

	if (slow && resolver->ms > LEAST_MS)
		resolver->ms = resolver->ms / 2 > LEAST_MS ? resolver->ms / 2 : LEAST_MS;
	if (resolver->nr_refused == MAX_REFUSED)
		resolver->nr_refused = 0;
	resolver->refused =
		xrealloc(resolver->refused, resolver->nr_refused + 1, sizeof(*resolver->refused));
	resolver->refused[resolver->nr_refused++] = refused;
	return refused.why;
}

/* What is known of a frame of which nothing is. */
static void know_nothing(struct symbol_list *list, enum unresolved why)
{
	symbols_clear(list);
	list->symbols = xrealloc(NULL, 1, sizeof(*list->symbols));
	list->symbols[0] = (struct symbol){ 0 };
	list->nr = 1;
	list->why = why;
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
	enum unresolved why = why_refused(resolver, frame);
	uint64_t until;

	*list = (struct symbol_list){ 0 };
	if (monotonic_ns() >= resolver->stop)
		why = STOPPED;
	if (!why && !start_child(resolver))
		why = NO_PROCESS;
	if (why) {
		know_nothing(list, why);
		return;
	}
	until = monotonic_ns() + (uint64_t)resolver->ms * 1000000;
	if (ask(resolver, frame, list, until))
		return;
	if (monotonic_ns() >= resolver->stop)
		know_nothing(list, STOPPED);
	else
		know_nothing(list, refuse(resolver, frame, monotonic_ns() >= until));
	end_child(resolver);
}
