/* SPDX-License-Identifier: GPL-2.0 */
#ifndef BUFFTRACK_DIFF_H
#define BUFFTRACK_DIFF_H

#include <stdbool.h>

struct sites;

bool diff_read(struct sites *sites, char *path);

#endif
