/* SPDX-License-Identifier: GPL-2.0 */
#ifndef BUFFTRACK_SERVE_LISTENER_H
#define BUFFTRACK_SERVE_LISTENER_H

#include <stdbool.h>
#include <sys/types.h>

/* Where the allocation server listened, and its clients look. */
#define SERVE_SOCKET "/tmp/tt_allocation_server.sock"

/**
 * struct listener - the socket that clients connect to
 * @path: where it lies; NULL where systemd made it, who takes it away, too
 * @device, @inode: that file, so that no other's is taken away
 */
struct listener {
	int fd;
	const char *path;
	dev_t device;
	ino_t inode;
};

bool listener_open(struct listener *listener, const char *path, mode_t mode);
void listener_close(struct listener *listener);

#endif
