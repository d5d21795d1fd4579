// SPDX-License-Identifier: GPL-2.0
/*
 * From a place in a mapped file to a function, a source file and a line, by
 * elfutils' libdw. Files are kept open until they change, or others have their names.
 *
 * Separate debug files are looked for by build id and by .gnu_debuglink, beside the
 * file, in .debug and in /usr/lib/debug; then, only where the user has set
 * DEBUGINFOD_URLS, by debuginfod.
 */
#include <dlfcn.h>
#include <dwarf.h>
#include <elfutils/libdw.h>
#include <elfutils/libdwelf.h>
#include <elfutils/libdwfl.h>
#include <fcntl.h>
#include <gelf.h>
#include <linux/bufftrack.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "symbol/symbols.h"
#include "util/util.h"

/* Files that are open at once; beyond that, all are closed first. */
#define MAX_MODULES 256

/* One file with one build id, as a stack has recorded it. */
struct module {
	char path[BUFFTRACK_PATH_LEN];
	unsigned char build_id[BUFFTRACK_BUILD_ID_LEN];
	size_t build_id_len;
	int fd; /* of ours, to see that it changes; -1 for none */
	struct stat opened; /* what it was then */
	Dwfl *dwfl;
	Dwfl_Module *file;
	GElf_Addr bias; /* from the file's addresses to libdwfl's */
	Elf *elf;
	enum unresolved why; /* it cannot be used; RESOLVED where it can */
};

typedef char *(*demangle_fn)(const char *, char *, size_t *, int *);

struct symbols {
	struct module *modules;
	size_t nr;
	demangle_fn demangle;
};

/*
 * The demangler of the C++ runtime, taken when the tool runs: there is no other
 * one in a library that C can link to and that every host has, and linking to
 * this one would need a C++ compiler. Where it is not there, names stay as the
 * linker has them.
 */
static void find_demangler(struct symbols *symbols)
{
	void *library = dlopen("libstdc++.so.6", RTLD_NOW | RTLD_LOCAL);

	if (library)
		symbols->demangle = (demangle_fn)dlsym(library, "__cxa_demangle");
}

struct symbols *symbols_new(void)
{
	struct symbols *symbols = xrealloc(NULL, 1, sizeof(*symbols));

	*symbols = (struct symbols){ 0 };
	find_demangler(symbols);
	return symbols;
}

static void close_module(struct module *module)
{
	if (module->dwfl)
		dwfl_end(module->dwfl);
	module->dwfl = NULL;
	if (module->fd >= 0)
		close(module->fd);
	module->fd = -1;
	module->opened = (struct stat){ 0 };
}

static void close_modules(struct symbols *symbols)
{
	size_t i;

	for (i = 0; i < symbols->nr; i++)
		close_module(&symbols->modules[i]);
	symbols->nr = 0;
}

/*
 * Opens a regular file: a FIFO of that name would keep us waiting, and a device is
 * not even opened, as that can do things.
 */
static int open_file(const char *path)
{
	int found = open(path, O_PATH | O_CLOEXEC), fd = -1;
	char same[32];
	struct stat stat;

	if (found < 0)
		return -1;
	if (fstat(found, &stat) == 0 && S_ISREG(stat.st_mode)) {
		snprintf(same, sizeof(same), "/proc/self/fd/%d", found);
		fd = open(same, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	}
	close(found);
	return fd;
}

static bool has_build_id(int fd, const unsigned char *wanted, int len)
{
	Elf *elf = elf_begin(fd, ELF_C_READ, NULL);
	const void *id;
	bool same;

	same = elf && dwelf_elf_gnu_build_id(elf, &id) == len &&
	       memcmp(id, wanted, (size_t)len) == 0;
	elf_end(elf);
	return same;
}

/* What .gnu_debuglink names, in the directory of @path or below it. */
static int open_debuglink(Dwfl_Module *module, const char *path, const char *link, char **found)
{
	static const char *const below[] = { "", ".debug/" };
	int directory = (int)(strrchr(path, '/') + 1 - path), len, fd;
	const unsigned char *id;
	GElf_Addr address;
	size_t i;

	len = dwfl_module_build_id(module, &id, &address);
	for (i = 0; len > 0 && i < ARRAY_SIZE(below); i++) {
		if (asprintf(found, "%.*s%s%s", directory, path, below[i], link) < 0)
			break;
		fd = open_file(*found);
		if (fd >= 0 && has_build_id(fd, id, len))
			return fd;
		if (fd >= 0)
			close(fd);
		free(*found);
		*found = NULL;
	}
	return -1;
}

/* libdwfl itself looks only where root has put what is there. */
static char debug_directory[] = "/usr/lib/debug";
static char *libdwfl_path = debug_directory;

static int find_debuginfo(Dwfl_Module *module, void **data, const char *name, Dwarf_Addr base,
			  const char *path, const char *link, GElf_Word crc, char **found)
{
	int fd = -1;

	if (link && strchr(link, '/'))
		link = NULL;
	if (link)
		fd = open_debuglink(module, path, link, found);
	if (fd >= 0)
		return fd;
	return dwfl_standard_find_debuginfo(module, data, name, base, path, link, crc, found);
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

static enum unresolved open_module(struct module *module)
{
	static const Dwfl_Callbacks callbacks = {
		.find_elf = dwfl_build_id_find_elf,
		.find_debuginfo = find_debuginfo,
		.debuginfo_path = &libdwfl_path,
		.section_address = dwfl_offline_section_address,
	};
	int fd;

	if (module->path[0] != '/')
		return LONG_PATH;
	fd = open_file(module->path);
	if (fd < 0)
		return UNREADABLE;
	/* Where this fails, it counts as not changed. */
	module->fd = fcntl(fd, F_DUPFD_CLOEXEC, 0);
	fstat(fd, &module->opened);
	module->dwfl = dwfl_begin(&callbacks);
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
	module->elf = dwfl_module_getelf(module->file, &module->bias);
	if (!module->elf)
		return NO_ELF;
	return check_build_id(module);
}

/*
 * Whether it was written to: what libdw has read of it, and maps, is no file's then; or
 * whether another one has its name. But one that has the build id is the one that was
 * meant, whatever has its name by now.
 */
static bool has_changed(const struct module *module)
{
	const struct stat *opened = &module->opened;
	bool meant = module->build_id_len && module->why == RESOLVED;
	struct stat now;

	if (module->why == LONG_PATH ||
	    (meant ? fstat(module->fd, &now) : stat(module->path, &now)))
		return false;
	return now.st_dev != opened->st_dev || now.st_ino != opened->st_ino ||
	       now.st_size != opened->st_size || now.st_mtim.tv_sec != opened->st_mtim.tv_sec ||
	       now.st_mtim.tv_nsec != opened->st_mtim.tv_nsec;
}

static struct module *add_module(struct symbols *symbols)
{
	if (symbols->nr == MAX_MODULES)
		close_modules(symbols);
	symbols->modules = xrealloc(symbols->modules, symbols->nr + 1, sizeof(*symbols->modules));
	return &symbols->modules[symbols->nr++];
}

static struct module *find_module(struct symbols *symbols, const struct bufftrack_frame *frame)
{
	size_t len = frame->build_id_len;
	struct module *module;

	if (len > sizeof(frame->build_id))
		len = sizeof(frame->build_id);
	for (module = symbols->modules; module < symbols->modules + symbols->nr; module++)
		if (module->build_id_len == len &&
		    memcmp(module->build_id, frame->build_id, len) == 0 &&
		    strncmp(module->path, frame->path, sizeof(module->path)) == 0)
			break;
	if (module < symbols->modules + symbols->nr) {
		if (has_changed(module)) {
			close_module(module);
			module->why = open_module(module);
		}
		return module;
	}

	module = add_module(symbols);
	*module = (struct module){ .build_id_len = len, .fd = -1 };
	memcpy(module->path, frame->path, sizeof(module->path));
	module->path[sizeof(module->path) - 1] = '\0';
	memcpy(module->build_id, frame->build_id, len);
	module->why = open_module(module);
	return module;
}

/* Where the segment that holds @offset of the file is loaded. */
static bool find_address(const struct module *module, uint64_t offset, GElf_Addr *address)
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

/*
 * Cuts the parameters off a C++ name: a report has to fit on lines, and a line of
 * the source tells overloaded functions apart.
 */
static void cut_parameters(char *name)
{
	char *end = strrchr(name, ')');
	int depth = 0;

	for (; end && end > name; end--) {
		if (*end == ')')
			depth++;
		else if (*end == '(' && --depth == 0)
			break;
	}
	/* That of "a::(anonymous namespace)::b" is none. */
	if (end && end > name && end[-1] != ':')
		*end = '\0';
}

/* The name as the source has it, in memory of its own. */
static char *source_name(const struct symbols *symbols, const char *name)
{
	char *demangled = NULL, *copy;
	size_t len;
	int status;

	if (symbols->demangle && strncmp(name, "_Z", 2) == 0)
		demangled = symbols->demangle(name, NULL, NULL, &status);
	if (demangled) {
		cut_parameters(demangled);
		name = demangled;
	}
	len = strlen(name) + 1;
	copy = xrealloc(NULL, len, 1);
	/* An ELF file can say anything; a terminal cannot show it. */
	copy_text(copy, len, name, len);
	free(demangled);
	return copy;
}

static char *source_file(const char *file)
{
	size_t len = strlen(file) + 1;
	char *copy = xrealloc(NULL, len, 1);

	copy_text(copy, len, file, len);
	return copy;
}

static struct symbol *add_symbol(struct symbol_list *list)
{
	list->symbols = xrealloc(list->symbols, list->nr + 1, sizeof(*list->symbols));
	list->symbols[list->nr] = (struct symbol){ 0 };
	return &list->symbols[list->nr++];
}

void symbols_clear(struct symbol_list *list)
{
	size_t i;

	for (i = 0; i < list->nr; i++) {
		free(list->symbols[i].function);
		free(list->symbols[i].file);
	}
	free(list->symbols);
	*list = (struct symbol_list){ 0 };
}

static const char *die_name(Dwarf_Die *die)
{
	static const unsigned int attributes[] = { DW_AT_linkage_name, DW_AT_MIPS_linkage_name };
	Dwarf_Attribute attribute;
	const char *name;
	size_t i;

	for (i = 0; i < ARRAY_SIZE(attributes); i++) {
		name = dwarf_formstring(dwarf_attr_integrate(die, attributes[i], &attribute));
		if (name)
			return name;
	}
	return dwarf_diename(die);
}

static bool is_function(Dwarf_Die *die)
{
	int tag = dwarf_tag(die);

	return tag == DW_TAG_subprogram || tag == DW_TAG_inlined_subroutine ||
	       tag == DW_TAG_entry_point;
}

static unsigned int attribute_number(Dwarf_Die *die, unsigned int name)
{
	Dwarf_Attribute attribute;
	Dwarf_Word value;

	if (!dwarf_attr(die, name, &attribute) || dwarf_formudata(&attribute, &value))
		return 0;
	return (unsigned int)value;
}

/* The file and the line at which an inlined function was called. */
static void set_call_site(struct symbol *symbol, Dwarf_Die *inlined, Dwarf_Die *cu)
{
	unsigned int index = attribute_number(inlined, DW_AT_call_file);
	Dwarf_Files *files;
	const char *file;
	size_t nr;

	symbol->line = attribute_number(inlined, DW_AT_call_line);
	if (dwarf_getsrcfiles(cu, &files, &nr) || index >= nr)
		return;
	file = dwarf_filesrc(files, index, NULL, NULL);
	if (file)
		symbol->file = source_file(file);
}

/* The functions at an address, by the debug information of its unit @cu. */
static void find_functions(const struct symbols *symbols, Dwarf_Die *cu, Dwarf_Addr address,
			   struct symbol_list *list)
{
	struct symbol *symbol = &list->symbols[0];
	Dwarf_Die *inner = NULL, *scopes = NULL, *inlined = NULL;
	int nr, i;

	nr = dwarf_getscopes(cu, address, &inner);
	/* Beyond an inlined function these are where it was declared, those where it is. */
	if (nr > 0)
		nr = dwarf_getscopes_die(&inner[0], &scopes);
	for (i = 0; i < nr; i++) {
		const char *name;

		if (!is_function(&scopes[i]))
			continue;
		if (inlined) {
			symbol->inlined = true;
			symbol = add_symbol(list);
			set_call_site(symbol, inlined, cu);
		}
		name = die_name(&scopes[i]);
		if (name)
			symbol->function = source_name(symbols, name);
		if (dwarf_tag(&scopes[i]) != DW_TAG_inlined_subroutine)
			break;
		inlined = &scopes[i];
	}
	free(scopes);
	free(inner);
}

static void find_line(struct module *module, GElf_Addr address, struct symbol *symbol)
{
	Dwfl_Line *line = dwfl_module_getsrc(module->file, address);
	const char *file;
	int number;

	if (!line)
		return;
	file = dwfl_lineinfo(line, NULL, &number, NULL, NULL, NULL);
	if (!file)
		return;
	symbol->file = source_file(file);
	symbol->line = number > 0 ? (unsigned int)number : 0;
}

/**
 * symbols_find - what the return address of a frame stands for
 * @symbols: the files that are known
 * @frame: as the kernel tells it
 * @list: what it is; for symbols_clear()
 *
 * A call is the instruction before its return address, which may be another
 * line's, or, where the function does not return, another function's.
 */
void symbols_find(struct symbols *symbols, const struct bufftrack_frame *frame,
		  struct symbol_list *list)
{
	struct symbol *called;
	struct module *module;
	GElf_Addr address;
	Dwarf_Addr bias;
	Dwarf_Die *cu;
	const char *name;

	*list = (struct symbol_list){ 0 };
	add_symbol(list);
	if (!frame->path[0]) {
		list->why = NO_FILE;
		return;
	}
	module = find_module(symbols, frame);
	list->why = module->why;
	if (module->why)
		return;
	if (!frame->offset || !find_address(module, frame->offset - 1, &address)) {
		list->why = NO_CODE;
		return;
	}

	cu = dwfl_module_addrdie(module->file, address, &bias);
	find_line(module, address, &list->symbols[0]);
	if (cu)
		find_functions(symbols, cu, address - bias, list);
	/* DWARF has no linkage name, and so no scope, of what is local to a C++ file. */
	called = &list->symbols[list->nr - 1];
	name = dwfl_module_addrname(module->file, address);
	if (name && (!called->function || strncmp(name, "_Z", 2) == 0)) {
		free(called->function);
		called->function = source_name(symbols, name);
	}
	if (!list->symbols[0].function)
		list->why = NO_SYMBOLS;
	else if (!list->symbols[0].line)
		list->why = NO_LINES;
}

/* symbols_why - as a user reads it; NULL where nothing is unresolved */
const char *symbols_why(enum unresolved why)
{
	static const char *const texts[NR_UNRESOLVED] = {
		[NO_FILE] = "no file was mapped there",
		[LONG_PATH] = "the file's path is too long",
		[UNREADABLE] = "the file is not there any more, or cannot be read",
		[LIBDW_FAILED] = "libdw has failed",
		[NO_ELF] = "it is no ELF file",
		[OTHER_BUILD] = "the file has changed since: its build id is another",
		[NO_CODE] = "the file has no code there",
		[NO_SYMBOLS] = "stripped, and no debug file was found",
		[NO_LINES] = "no debug information",
		[TOO_SLOW] = "reading the file took too long",
		[DAMAGED] = "the file has changed meanwhile, or is damaged",
		[NO_PROCESS] = "no process could be started that reads the file",
		[STOPPED] = "a signal came before it was looked up",
	};

	return texts[why];
}
