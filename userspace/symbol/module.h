/* SPDX-License-Identifier: GPL-2.0 */
#ifndef BUFFTRACK_MODULE_H
#define BUFFTRACK_MODULE_H

#include <elfutils/libdwfl.h>
#include <linux/bufftrack.h>
#include <sys/stat.h>

#include "symbol/dwarf.h"
#include "symbol/symbols.h"

struct modules;

/**
 * struct module - one file with one build id, as a stack has recorded it
 * @path: of the file
 * @build_id: @build_id_len bytes; 0 where none was recorded
 * @fd: the file, to see that it changes; -1 for none
 * @opened: what it was when it was opened
 * @file: libdwfl's
 * @elf: the file's
 * @bias: from the file's addresses to libdwfl's
 * @why: it cannot be used; RESOLVED where it can
 * @debug_fd: the file with its debug information, of who asks; -1 for none
 * @asked: that was asked for
 * @units: of its DWARF; NULL where there is none, and before it was looked for
 * @units_bias: from the DWARF's addresses to libdwfl's
 * @why_no_units: why there is no DWARF
 * @units_read: it was looked for
 * @unknown_compression: it is in another file, in a form that libelf does not know
 */
struct module {
	char path[BUFFTRACK_PATH_LEN];
	unsigned char build_id[BUFFTRACK_BUILD_ID_LEN];
	size_t build_id_len;
	int fd;
	struct stat opened;
	Dwfl_Callbacks callbacks;
	Dwfl *dwfl;
	Dwfl_Module *file;
	Elf *elf;
	GElf_Addr bias;
	enum unresolved why;
	struct units *units;
	Dwarf_Addr units_bias;
	enum unresolved why_no_units;
	int debug_fd;
	bool units_read;
	bool asked;
	bool unknown_compression;
};

struct modules *modules_new(const char *debug_path);
void modules_free(struct modules *modules);
struct module *modules_find(struct modules *modules, const struct bufftrack_frame *frame,
			    struct symbol_files *files);
bool module_address(const struct module *module, uint64_t offset, GElf_Addr *address);
enum unresolved module_read_units(struct module *module, struct symbol_files *files);
enum unresolved module_why_no_name(const struct module *module);

#endif
