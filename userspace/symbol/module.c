// SPDX-License-Identifier: GPL-2.0
/*
 * The files that stacks name, by elfutils' libdwfl. They are kept open until they change,
 * or others have their names.
 */
#include <elfutils/libdwelf.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "symbol/debugfile.h"
#include "symbol/module.h"
#include "util/util.h"

/* Files that are open at once; beyond that, all are closed first. */
#define MAX_MODULES 256

struct modules {
	char *debug_path; /* libdwfl's; it looks only where root or the user says */
	struct module *modules[MAX_MODULES];
	size_t nr;
};

struct modules *modules_new(const char *debug_path)
{
	struct modules *modules = xrealloc(NULL, 1, sizeof(*modules));

	modules->nr = 0;
	modules->debug_path = strdup(debug_path);
	return modules;
}

static void close_module(struct module *module)
{
	units_free(module->units);
	module->units = NULL;
	module->units_read = false;
	module->unknown_compression = false;
	if (module->dwfl)
		dwfl_end(module->dwfl);
	module->dwfl = NULL;
	if (module->fd >= 0)
		close(module->fd);
	module->fd = -1;
	if (module->debug_fd >= 0)
		close(module->debug_fd);
	module->debug_fd = -1;
	module->opened = (struct stat){ 0 };
}

static void close_modules(struct modules *modules)
{
	while (modules->nr) {
		close_module(modules->modules[--modules->nr]);
		free(modules->modules[modules->nr]);
	}
}

void modules_free(struct modules *modules)
{
	close_modules(modules);
	free(modules->debug_path);
	free(modules);
}

/* Whether the file is still the one that was mapped; else why that is not known. */
static enum unresolved check_build_id(const struct module *module)
{
	const void *id;
	ssize_t len;

	if (!module->build_id_len)
		return RESOLVED;
	len = dwelf_elf_gnu_build_id(module->elf, &id);
	if (len <= 0 || (size_t)len < module->build_id_len ||
	    memcmp(id, module->build_id, module->build_id_len))
		return OTHER_BUILD;
	return RESOLVED;
}

/* Takes @fd over; @debug_fd too. */
static enum unresolved open_module(struct modules *modules, struct module *module, int fd,
				   int debug_fd)
{
	const Dwfl_Callbacks callbacks = {
		.find_elf = dwfl_build_id_find_elf,
		.find_debuginfo = find_debug_file,
		.debuginfo_path = &modules->debug_path,
		.section_address = dwfl_offline_section_address,
	};
	void **data;

	module->callbacks = callbacks;
	module->debug_fd = debug_fd;
	/* Where this fails, it counts as not changed. */
	module->fd = fcntl(fd, F_DUPFD_CLOEXEC, 0);
	fstat(fd, &module->opened);
	module->dwfl = dwfl_begin(&module->callbacks);
	if (!module->dwfl) {
		close(fd);
		return LIBDW_FAILED;
	}
	dwfl_report_begin(module->dwfl);
	/* Which takes the descriptor over where it succeeds. */
	module->file = dwfl_report_offline(module->dwfl, module->path, module->path, fd);
	dwfl_report_end(module->dwfl, NULL, NULL);
	if (!module->file) {
		close(fd);
		return NO_ELF;
	}
	dwfl_module_info(module->file, &data, NULL, NULL, NULL, NULL, NULL, NULL);
	*data = module;
	module->elf = dwfl_module_getelf(module->file, &module->bias);
	if (!module->elf)
		return NO_ELF;
	return check_build_id(module);
}

static bool is_same(const struct stat *now, const struct stat *then)
{
	return now->st_dev == then->st_dev && now->st_ino == then->st_ino &&
	       now->st_size == then->st_size && now->st_mtim.tv_sec == then->st_mtim.tv_sec &&
	       now->st_mtim.tv_nsec == then->st_mtim.tv_nsec;
}

/*
 * Whether it was written to: what libdw has read of it, and maps, is no file's then; or
 * whether @file is another one. But one that has the build id is the one that was meant,
 * whatever has its name by now.
 */
static bool has_changed(const struct module *module, int file)
{
	struct stat now;

	if (module->fd < 0 || fstat(module->fd, &now) || !is_same(&now, &module->opened))
		return true;
	if (module->build_id_len && module->why == RESOLVED)
		return false;
	return file < 0 || fstat(file, &now) || !is_same(&now, &module->opened);
}

static bool is_of(const struct module *module, const struct bufftrack_frame *frame, size_t len)
{
	return module->build_id_len == len && memcmp(module->build_id, frame->build_id, len) == 0 &&
	       strncmp(module->path, frame->path, sizeof(module->path)) == 0;
}

static struct module *find_or_add(struct modules *modules, const struct bufftrack_frame *frame)
{
	size_t len = frame->build_id_len, i;
	struct module *module;

	if (len > sizeof(frame->build_id))
		len = sizeof(frame->build_id);
	for (i = 0; i < modules->nr; i++)
		if (is_of(modules->modules[i], frame, len))
			return modules->modules[i];
	if (modules->nr == MAX_MODULES)
		close_modules(modules);
	module = xrealloc(NULL, 1, sizeof(*module));
	modules->modules[modules->nr++] = module;
	*module = (struct module){ .build_id_len = len, .fd = -1, .debug_fd = -1 };
	memcpy(module->path, frame->path, sizeof(module->path));
	module->path[sizeof(module->path) - 1] = '\0';
	memcpy(module->build_id, frame->build_id, len);
	return module;
}

/**
 * modules_find - the file of a frame, as it is now
 * @modules: those that are open
 * @frame: the frame
 * @files: its file, and perhaps another; they are taken over
 *
 * Returns NULL, with @files->needs_file set, where the file is to be given.
 */
struct module *modules_find(struct modules *modules, const struct bufftrack_frame *frame,
			    struct symbol_files *files)
{
	struct module *module = find_or_add(modules, frame);

	if (!has_changed(module, files->file) && files->debug < 0) {
		if (files->file >= 0)
			close(files->file);
		return module;
	}
	if (files->file < 0) {
		if (files->debug >= 0)
			close(files->debug);
		files->needs_file = true;
		return NULL;
	}
	module->asked = files->debug >= 0;
	close_module(module);
	module->why = open_module(modules, module, files->file, files->debug);
	return module;
}

/**
 * module_address - where the segment that holds a place of the file is loaded
 * @module: the file
 * @offset: the place
 * @address: where to; libdwfl's address
 *
 * Returns false where no code was loaded from there.
 */
bool module_address(const struct module *module, uint64_t offset, GElf_Addr *address)
{
	GElf_Phdr segment;
	size_t nr, i;

	if (elf_getphdrnum(module->elf, &nr))
		return false;
	for (i = 0; i < nr; i++) {
		if (!gelf_getphdr(module->elf, (int)i, &segment) || segment.p_type != PT_LOAD ||
		    !(segment.p_flags & PF_X))
			continue;
		if (offset < segment.p_offset || offset - segment.p_offset >= segment.p_filesz)
			continue;
		*address = offset - segment.p_offset + segment.p_vaddr + module->bias;
		return true;
	}
	return false;
}

/* The lowest address at which there can be code: behind the header, where that is loaded. */
static GElf_Addr first_code(const struct module *module)
{
	GElf_Addr first = UINT64_MAX, at;
	GElf_Phdr segment;
	GElf_Ehdr header;
	size_t nr, i;

	if (elf_getphdrnum(module->elf, &nr) || !gelf_getehdr(module->elf, &header))
		return 0;
	for (i = 0; i < nr; i++) {
		if (!gelf_getphdr(module->elf, (int)i, &segment) || segment.p_type != PT_LOAD ||
		    !(segment.p_flags & PF_X))
			continue;
		at = segment.p_vaddr + (segment.p_offset ? 0 : header.e_ehsize);
		if (at < first)
			first = at;
	}
	return first == UINT64_MAX ? 0 : first;
}

/**
 * module_read_units - looks for the file's DWARF; returns why there is none
 * @module: the file
 * @files: the debug file is wished for here where it was not found
 */
enum unresolved module_read_units(struct module *module, struct symbol_files *files)
{
	Dwarf *dwarf;

	if (module->units_read)
		return module->why_no_units;
	module->units_read = true;
	dwarf = dwfl_module_getdwarf(module->file, &module->units_bias);
	module->why_no_units = RESOLVED;
	if (dwarf)
		module->units =
			units_new(dwarf, first_code(module) + module->bias - module->units_bias);
	else if (module->unknown_compression || is_compressed_unknown(module->elf))
		module->why_no_units = UNKNOWN_COMPRESSION;
	else
		module->why_no_units = NO_DEBUG_INFO;
	if (module->why_no_units == NO_DEBUG_INFO && module->build_id_len && !module->asked) {
		module->asked = true;
		files->wants_debug = true;
	}
	return module->why_no_units;
}

/* module_why_no_name - why no function is known at a place of the file's code */
enum unresolved module_why_no_name(const struct module *module)
{
	Elf_Scn *section = NULL;
	GElf_Shdr header;
	size_t nr;

	if (module->units)
		return NO_FUNCTION;
	if (elf_getshdrnum(module->elf, &nr) == 0 && !nr)
		return NO_SECTIONS;
	while ((section = elf_nextscn(module->elf, section)))
		if (gelf_getshdr(section, &header) && header.sh_type == SHT_SYMTAB)
			return NO_FUNCTION;
	return module->why_no_units == UNKNOWN_COMPRESSION ? UNKNOWN_COMPRESSION : NO_SYMBOLS;
}
