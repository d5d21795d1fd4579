// SPDX-License-Identifier: GPL-2.0
/*
 * Files by build id from the servers that DEBUGINFOD_URLS names. A child of its own asks
 * them, with the user's rights and cache, since it can take minutes; it opens the file,
 * and does not read it.
 */
#include <dlfcn.h>
#include <errno.h>
#include <linux/bufftrack.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "symbol/fetch.h"
#include "symbol/reader.h"

struct debuginfod_client;
typedef struct debuginfod_client *(*begin_fn)(void);
typedef int (*find_fn)(struct debuginfod_client *client, const unsigned char *id, int len,
		       char **path);

/* fetch_is_set_up - whether the user has named servers */
bool fetch_is_set_up(void)
{
	const char *servers = getenv("DEBUGINFOD_URLS");

	return servers && *servers;
}

/* The library is taken when it is needed: few users have servers. */
static int find(const struct bufftrack_frame *frame, bool debug)
{
	void *library = dlopen("libdebuginfod.so.1", RTLD_NOW | RTLD_LOCAL);
	struct debuginfod_client *client;
	begin_fn begin;
	find_fn get;

	if (!library)
		return -1;
	begin = (begin_fn)dlsym(library, "debuginfod_begin");
	get = (find_fn)dlsym(library,
			     debug ? "debuginfod_find_debuginfo" : "debuginfod_find_executable");
	client = begin && get ? begin() : NULL;
	return client ? get(client, frame->build_id, (int)frame->build_id_len, NULL) : -1;
}

/**
 * fetch_start - begins to look for the file of a frame
 * @frame: it has a build id
 * @debug: the file with its debug information is meant
 * @child: who looks
 * @fd: becomes readable when that has come to its end
 */
bool fetch_start(const struct bufftrack_frame *frame, bool debug, pid_t *child, int *fd)
{
	int ends[2], found;

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends))
		return false;
	fflush(stdout);
	*child = fork();
	if (*child == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		dup2(ends[1], STDIN_FILENO);
		dup2(STDERR_FILENO, STDOUT_FILENO);
		close_range(STDERR_FILENO + 1, ~0U, 0);
		found = find(frame, debug);
		send_files(STDIN_FILENO, "", 1, &found, found >= 0);
		_exit(EXIT_SUCCESS);
	}
	close(ends[1]);
	*fd = ends[0];
	if (*child > 0)
		return true;
	close(ends[0]);
	return false;
}

/* fetch_end - the file that was found; -1 for none, or where it was not @finished */
int fetch_end(pid_t child, int fd, bool finished)
{
	int fds[READER_FILES] = { -1, -1 };
	char byte;

	if (finished)
		receive_files(fd, &byte, 1, MSG_DONTWAIT, fds);
	else
		kill(child, SIGKILL);
	close(fd);
	while (waitpid(child, NULL, 0) < 0 && errno == EINTR)
		;
	return fds[0];
}
