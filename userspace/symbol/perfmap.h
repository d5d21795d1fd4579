/* SPDX-License-Identifier: GPL-2.0 */
#ifndef BUFFTRACK_PERFMAP_H
#define BUFFTRACK_PERFMAP_H

#include <stdint.h>
#include <sys/types.h>

struct perfmap;

struct perfmap *perfmap_new(void);
void perfmap_free(struct perfmap *map);
char *perfmap_find(struct perfmap *map, pid_t pid, uint64_t address);

#endif
