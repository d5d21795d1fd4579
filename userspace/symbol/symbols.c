// SPDX-License-Identifier: GPL-2.0
/*
 * From a place in a mapped file to a function, a source file and a line.
 */
#include <linux/bufftrack.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "symbol/module.h"
#include "symbol/name.h"
#include "symbol/symbols.h"
#include "util/util.h"

struct symbols {
	struct modules *modules;
};

/**
 * symbols_new - no files are open yet
 * @debug_path: directories with debug files, with colons between them
 */
struct symbols *symbols_new(const char *debug_path)
{
	struct symbols *symbols = xrealloc(NULL, 1, sizeof(*symbols));

	symbols->modules = modules_new(debug_path);
	return symbols;
}

void symbols_free(struct symbols *symbols)
{
	modules_free(symbols->modules);
	free(symbols);
}

/* symbols_add - one more symbol, of which nothing is known */
struct symbol *symbols_add(struct symbol_list *list)
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

/*
 * The name that the file's symbols have for the code at @address; NULL for none. Where it
 * has to be at the beginning of that code, @at_start.
 */
static const char *symbol_name(const struct module *module, GElf_Addr address, bool at_start)
{
	GElf_Off offset;
	const char *name;
	GElf_Sym symbol;

	name = dwfl_module_addrinfo(module->file, address, &offset, &symbol, NULL, NULL, NULL);
	return name && name[0] && (!at_start || !offset) ? name : NULL;
}

/*
 * The code to which a signal's handler returns. A C library that is stripped has no symbol
 * for it: debuggers know it by its bytes, which set the number of rt_sigreturn().
 */
static bool is_trampoline(const struct module *module, uint64_t offset)
{
	static const unsigned char code[] = { 0x48, 0xc7, 0xc0, 0x0f, 0, 0, 0, 0x0f, 0x05 };
	unsigned char found[sizeof(code)];

	return pread(module->fd, found, sizeof(found), (off_t)offset) == sizeof(found) &&
	       memcmp(found, code, sizeof(code)) == 0;
}

/*
 * DWARF has no linkage name, and so no scope, of what is local to a C++ file.
 *
 * A signal's trampoline and the foot of a fiber's stack are returned to at their first
 * byte, without a call before it: what lies before them is nothing's.
 */
static void name_called(const struct module *module, GElf_Addr address, struct symbol *called)
{
	const char *name = NULL;

	if (!called->function || !called->has_linkage_name)
		name = symbol_name(module, address, false);
	if (!name && !called->function)
		name = symbol_name(module, address + 1, true);
	if (!name || (called->function && !is_mangled(name)))
		return;
	free(called->function);
	called->function = source_name(name);
}

/**
 * symbols_find - what the return address of a frame stands for
 * @symbols: the files that are known
 * @frame: as the kernel tells it; it has a path
 * @files: the frame's file, where this is the first frame in it, or it has changed
 * @list: what it is; for symbols_clear()
 *
 * A call is the instruction before its return address, which may be another
 * line's, or, where the function does not return, another function's.
 */
void symbols_find(struct symbols *symbols, const struct bufftrack_frame *frame,
		  struct symbol_files *files, struct symbol_list *list)
{
	struct module *module;
	GElf_Addr address;

	*list = (struct symbol_list){ 0 };
	symbols_add(list);
	module = modules_find(symbols->modules, frame, files);
	list->why = module ? module->why : UNREADABLE;
	if (list->why)
		return;
	if (!frame->offset || !module_address(module, frame->offset - 1, &address)) {
		list->why = NO_CODE;
		return;
	}
	list->why = module_read_units(module, files);
	if (module->units)
		list->why = units_find(module->units, address - module->units_bias, list);
	name_called(module, address, &list->symbols[list->nr - 1]);
	if (list->symbols[list->nr - 1].function)
		return;
	if (is_trampoline(module, frame->offset))
		list->symbols[0].function = printable("__restore_rt");
	else
		list->why = module_why_no_name(module);
}

/* symbols_why - as a user reads it; NULL where nothing is unresolved */
const char *symbols_why(enum unresolved why)
{
	static const char *const texts[NR_UNRESOLVED] = {
		[NO_FILE] = "no file was mapped there",
		[LONG_PATH] = "the file's path is too long",
		[NOT_THERE] =
			"no file is there: it was removed, or lies in another mount namespace",
		[NOT_THERE_EITHER] = "no file is there, nor in the mount namespace of the process",
		[REMOVED] = "the file is not there any more",
		[MADE_CODE] =
			"code made at run time: the name is from the program's perf map or jitdump",
		[DELETED] = "the file was deleted",
		[IN_MEMORY] = "the code is in memory (memfd), in no file that has a path",
		[UNREADABLE] = "the file cannot be read, or is no regular file",
		[LIBDW_FAILED] = "libdw has failed",
		[NO_ELF] = "it is no ELF file",
		[OTHER_BUILD] = "build ID mismatch: the file has changed since",
		[NO_CODE] = "the file has no code there",
		[NO_SYMBOLS] = "stripped, and no debug file was found",
		[NO_SECTIONS] = "the file has no section headers, and so no symbols",
		[NO_FUNCTION] = "neither a symbol nor debug information covers this place",
		[NO_DEBUG_INFO] = "no debug information",
		[NOT_COVERED] = "the function was compiled without debug information",
		[NO_LINE] = "the compiler gave this place no line",
		[NO_SPLIT_FILE] =
			"its .dwo file was not found or cannot be read: inlined functions are missing",
		[NO_COMMON_FILE] =
			"dwz's common debug file was not found: names of inlined functions are missing",
		[UNKNOWN_COMPRESSION] =
			"libelf cannot read how the debug information is compressed (zstd?)",
		[BAD_DEBUG_INFO] = "the debug information is damaged",
		[TOO_SLOW] = "reading the file took too long",
		[DAMAGED] = "the file has changed meanwhile, or is damaged",
		[NO_PROCESS] = "no process could be started that reads the file",
		[STOPPED] = "a signal came before it was looked up",
	};

	return texts[why];
}
