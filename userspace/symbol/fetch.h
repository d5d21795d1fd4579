/* SPDX-License-Identifier: GPL-2.0 */
#ifndef BUFFTRACK_FETCH_H
#define BUFFTRACK_FETCH_H

#include <stdbool.h>
#include <sys/types.h>

struct bufftrack_frame;

bool fetch_is_set_up(void);
bool fetch_start(const struct bufftrack_frame *frame, bool debug, pid_t *child, int *fd);
int fetch_end(pid_t child, int fd, bool finished);

#endif
