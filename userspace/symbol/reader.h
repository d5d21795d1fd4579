/* SPDX-License-Identifier: GPL-2.0 */
#ifndef BUFFTRACK_READER_H
#define BUFFTRACK_READER_H

#include <stdbool.h>
#include <sys/types.h>

/* The descriptors of a request, at most */
#define READER_FILES 2

bool reader_start(uid_t user, const char *debug_path, pid_t *child, int *fd);
bool send_files(int socket, const void *data, size_t len, const int *fds, size_t nr);
ssize_t receive_files(int socket, void *data, size_t len, int flags, int fds[READER_FILES]);

#endif
