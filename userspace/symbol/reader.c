// SPDX-License-Identifier: GPL-2.0
/*
 * The child that reads files. A file that is cut short, or that libdw was not made for,
 * ends the child, not the tool; and the child has no rights that were worth taking it
 * over for.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "symbol/protocol.h"
#include "symbol/reader.h"
#include "symbol/sandbox.h"
#include "symbol/symbols.h"
#include "util/util.h"

/* send_files - sends @len bytes, and descriptors with them */
bool send_files(int socket, const void *data, size_t len, const int *fds, size_t nr)
{
	union {
		struct cmsghdr header;
		char room[CMSG_SPACE(READER_FILES * sizeof(int))];
	} control = { 0 };
	struct iovec part = { .iov_base = (void *)(uintptr_t)data, .iov_len = len };
	struct msghdr message = { .msg_iov = &part, .msg_iovlen = 1 };

	if (nr) {
		message.msg_control = &control;
		message.msg_controllen = CMSG_SPACE(nr * sizeof(int));
		control.header = (struct cmsghdr){
			.cmsg_len = CMSG_LEN(nr * sizeof(int)),
			.cmsg_level = SOL_SOCKET,
			.cmsg_type = SCM_RIGHTS,
		};
		memcpy(CMSG_DATA(&control.header), fds, nr * sizeof(int));
	}
	return sendmsg(socket, &message, MSG_NOSIGNAL) == (ssize_t)len;
}

/* receive_files - @len bytes, and the descriptors that came with them; -1 for none */
ssize_t receive_files(int socket, void *data, size_t len, int flags, int fds[READER_FILES])
{
	union {
		struct cmsghdr header;
		char room[CMSG_SPACE(READER_FILES * sizeof(int))];
	} control = { 0 };
	struct iovec part = { .iov_base = data, .iov_len = len };
	struct msghdr message = {
		.msg_iov = &part,
		.msg_iovlen = 1,
		.msg_control = &control,
		.msg_controllen = sizeof(control),
	};
	struct cmsghdr *header;
	ssize_t got;
	size_t i;

	for (i = 0; i < READER_FILES; i++)
		fds[i] = -1;
	got = recvmsg(socket, &message, flags | MSG_CMSG_CLOEXEC);
	header = got < 0 ? NULL : CMSG_FIRSTHDR(&message);
	if (header && header->cmsg_level == SOL_SOCKET && header->cmsg_type == SCM_RIGHTS)
		memcpy(fds, CMSG_DATA(header), header->cmsg_len - CMSG_LEN(0));
	return got;
}

static uint32_t text_len(const char *text)
{
	return text ? (uint32_t)strlen(text) + 1 : 0;
}

static void send_answer(FILE *to, const struct symbol_list *list, uint32_t wants)
{
	struct answer answer = {
		.why = list->why,
		.wants = wants,
		.nr = (uint32_t)list->nr,
	};
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

static void answer_request(struct symbols *symbols, const struct request *request,
			   const int fds[READER_FILES], FILE *to)
{
	struct symbol_files files = { .file = -1, .debug = -1 };
	struct symbol_list list;
	int at = 0;

	if (request->files & REQUEST_FILE)
		files.file = fds[at++];
	if (request->files & REQUEST_DEBUG)
		files.debug = fds[at++];
	symbols_find(symbols, &request->frame, &files, &list);
	send_answer(to, &list,
		    (files.needs_file ? ANSWER_NEEDS_FILE : 0) |
			    (files.wants_debug ? ANSWER_WANTS_DEBUG : 0));
	symbols_clear(&list);
}

static void __attribute__((noreturn)) run_reader(int fd, uid_t user, const char *debug_path)
{
	struct symbols *symbols;
	int fds[READER_FILES];
	struct request request;
	FILE *to;

	/* The device among others: who has it open keeps the module in use. */
	dup2(fd, STDIN_FILENO);
	dup2(STDERR_FILENO, STDOUT_FILENO);
	close_range(STDERR_FILENO + 1, ~0U, 0);
	/* It has no network; the resolver asks the servers. */
	unsetenv("DEBUGINFOD_URLS");
	symbols = symbols_new(debug_path);
	to = fdopen(STDIN_FILENO, "w");
	if (!to || !sandbox_enter(user))
		_exit(EXIT_FAILURE);
	while (receive_files(STDIN_FILENO, &request, sizeof(request), MSG_WAITALL, fds) ==
	       sizeof(request))
		answer_request(symbols, &request, fds, to);
	_exit(EXIT_SUCCESS);
}

/**
 * reader_start - starts a process that reads files
 * @user: from sandbox_user()
 * @debug_path: directories with debug files, with colons between them
 * @child: its number, for the caller to end
 * @fd: to it and from it
 */
bool reader_start(uid_t user, const char *debug_path, pid_t *child, int *fd)
{
	int ends[2];

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends))
		return false;
	/* What is not printed yet is the parent's to print. */
	fflush(stdout);
	*child = fork();
	if (*child == 0)
		run_reader(ends[1], user, debug_path);
	close(ends[1]);
	*fd = ends[0];
	if (*child > 0)
		return true;
	close(ends[0]);
	return false;
}
