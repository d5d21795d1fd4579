/* SPDX-License-Identifier: GPL-2.0 */
#ifndef BUFFTRACK_JITDUMP_H
#define BUFFTRACK_JITDUMP_H

#include <stdint.h>
#include <stdio.h>

typedef void (*jitdump_code_fn)(void *data, uint64_t address, uint64_t size, const char *name);
typedef void (*jitdump_move_fn)(void *data, uint64_t from, uint64_t to, uint64_t size);

void jitdump_read(FILE *file, jitdump_code_fn code, jitdump_move_fn move, void *data);

#endif
