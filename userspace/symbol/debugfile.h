/* SPDX-License-Identifier: GPL-2.0 */
#ifndef BUFFTRACK_DEBUGFILE_H
#define BUFFTRACK_DEBUGFILE_H

#include <elfutils/libdwfl.h>
#include <stdbool.h>

int open_file(const char *path);
bool is_compressed_unknown(Elf *elf);
int find_debug_file(Dwfl_Module *file, void **data, const char *name, Dwarf_Addr base,
		    const char *path, const char *link, GElf_Word crc, char **found);

#endif
