// SPDX-License-Identifier: GPL-2.0
/* The socket: systemd's, or one of our own where nobody else's lies. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "cmd/serve/listener.h"
#include "util/util.h"

/* The first descriptor that systemd passes (sd_listen_fds(3)). */
#define PASSED_FD 3

static bool is_passed(void)
{
	const char *pid = getenv("LISTEN_PID"), *nr = getenv("LISTEN_FDS");
	uint64_t number;

	return pid && nr && parse_number(pid, &number) && number == (uint64_t)getpid() &&
	       parse_number(nr, &number) && number >= 1;
}

static bool take_passed(struct listener *listener)
{
	int type, listens;
	socklen_t len = sizeof(type);

	listener->fd = PASSED_FD;
	if (getsockopt(PASSED_FD, SOL_SOCKET, SO_TYPE, &type, &len) || type != SOCK_STREAM ||
	    getsockopt(PASSED_FD, SOL_SOCKET, SO_ACCEPTCONN, &listens, &len) || !listens) {
		complain("what systemd passed is no listening stream socket:\n"
			 "  the .socket unit needs ListenStream= and Accept=no");
		return false;
	}
	/* systemd leaves it blocking, and open over an exec. */
	if (fcntl(PASSED_FD, F_SETFL, O_NONBLOCK) || fcntl(PASSED_FD, F_SETFD, FD_CLOEXEC)) {
		complain("cannot use the socket that systemd passed: %s", strerror(errno));
		return false;
	}
	return true;
}

/* Whether somebody answers there. */
static bool is_served(const struct sockaddr_un *address)
{
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	bool served;

	if (fd < 0)
		return false;
	served = !connect(fd, (const struct sockaddr *)address, sizeof(*address)) ||
		 errno == EAGAIN;
	close(fd);
	return served;
}

/* A socket of ours that nobody listens to any more goes; anything else stays. */
static bool clear_place(const struct sockaddr_un *address)
{
	const char *path = address->sun_path;
	struct stat stat;

	if (lstat(path, &stat)) {
		if (errno == ENOENT)
			return true;
		complain("cannot look at %s: %s", path, strerror(errno));
		return false;
	}
	if (stat.st_uid != geteuid()) {
		complain("%s belongs to user %u: it is not touched\n"
			 "  (remove it, or give another path with --socket)",
			 path, stat.st_uid);
		return false;
	}
	if (!S_ISSOCK(stat.st_mode)) {
		complain("%s is no socket: it is not touched\n"
			 "  (remove it, or give another path with --socket)",
			 path);
		return false;
	}
	if (is_served(address)) {
		complain("another server listens on %s already", path);
		return false;
	}
	if (unlink(path)) {
		complain("cannot remove the old %s: %s", path, strerror(errno));
		return false;
	}
	return true;
}

static bool bind_there(struct listener *listener, const struct sockaddr_un *address, mode_t mode)
{
	const char *path = address->sun_path;
	mode_t umask_before;
	struct stat stat;
	int error = 0;

	/* The mode is right from the first moment on. */
	umask_before = umask(~mode & 0777);
	if (bind(listener->fd, (const struct sockaddr *)address, sizeof(*address)))
		error = errno;
	umask(umask_before);
	if (error) {
		complain("cannot make the socket %s: %s", path, strerror(error));
		return false;
	}
	if (listen(listener->fd, SOMAXCONN) || lstat(path, &stat)) {
		complain("cannot listen on %s: %s", path, strerror(errno));
		unlink(path);
		return false;
	}
	listener->device = stat.st_dev;
	listener->inode = stat.st_ino;
	return true;
}

/**
 * listener_open() - listen
 * @path: where, but for a socket that systemd passed; it has to stay
 * @mode: who may connect, as of a file
 *
 * Return: true, or false where the reason has been said.
 */
bool listener_open(struct listener *listener, const char *path, mode_t mode)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };

	*listener = (struct listener){ .fd = -1 };
	if (is_passed())
		return take_passed(listener);
	if (strlen(path) >= sizeof(address.sun_path)) {
		complain("the path of the socket is too long (at most %zu bytes): %s",
			 sizeof(address.sun_path) - 1, path);
		return false;
	}
	strcpy(address.sun_path, path);
	if (!clear_place(&address))
		return false;
	listener->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (listener->fd < 0) {
		complain("cannot make a socket: %s", strerror(errno));
		return false;
	}
	if (!bind_there(listener, &address, mode)) {
		close(listener->fd);
		return false;
	}
	listener->path = path;
	return true;
}

void listener_close(struct listener *listener)
{
	struct stat stat;

	if (listener->fd < 0)
		return;
	if (listener->path && !lstat(listener->path, &stat) && stat.st_dev == listener->device &&
	    stat.st_ino == listener->inode)
		unlink(listener->path);
	close(listener->fd);
	listener->fd = -1;
}
