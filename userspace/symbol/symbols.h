/* SPDX-License-Identifier: GPL-2.0 */
#ifndef BUFFTRACK_SYMBOLS_H
#define BUFFTRACK_SYMBOLS_H

#include <stdbool.h>
#include <stddef.h>

struct bufftrack_frame;
struct symbols;

/**
 * struct symbol - where one frame of a stack was in the source
 * @function: its name, demangled and without parameters; NULL where not known
 * @file: the source file; NULL where not known
 * @line: its line; 0 where not known
 * @inlined: the function was inlined into the next one's
 * @has_linkage_name: the name tells the function's scope too
 */
struct symbol {
	char *function;
	char *file;
	unsigned int line;
	bool inlined;
	bool has_linkage_name;
};

/**
 * enum unresolved - what could not be found out of a return address, and why
 * @RESOLVED: nothing: all is known
 */
enum unresolved {
	RESOLVED,
	NO_FILE,
	LONG_PATH,
	NOT_THERE,
	NOT_THERE_EITHER,
	REMOVED,
	MADE_CODE,
	DELETED,
	IN_MEMORY,
	UNREADABLE,
	LIBDW_FAILED,
	NO_ELF,
	OTHER_BUILD,
	NO_CODE,
	NO_SYMBOLS,
	NO_SECTIONS,
	NO_FUNCTION,
	NO_DEBUG_INFO,
	NOT_COVERED,
	NO_LINE,
	NO_SPLIT_FILE,
	NO_COMMON_FILE,
	UNKNOWN_COMPRESSION,
	BAD_DEBUG_INFO,
	TOO_SLOW,
	DAMAGED,
	NO_PROCESS,
	STOPPED,
	NR_UNRESOLVED
};

/**
 * struct symbol_list - what one return address stands for
 * @symbols: innermost first: functions that were inlined, then the one that was
 *	called; at least one
 * @nr: how many
 * @why: what could not be found out
 */
struct symbol_list {
	struct symbol *symbols;
	size_t nr;
	enum unresolved why;
};

/**
 * struct symbol_files - what symbols_find() may read, and what it lacks
 * @file: the mapped file, which it closes; -1 for none
 * @debug: that with its debug information, which it closes; -1 for none
 * @needs_file: set where it knows nothing without @file
 * @wants_debug: set where it found no debug information; once for each file
 */
struct symbol_files {
	int file;
	int debug;
	bool needs_file;
	bool wants_debug;
};

struct symbols *symbols_new(const char *debug_path);
void symbols_free(struct symbols *symbols);
void symbols_find(struct symbols *symbols, const struct bufftrack_frame *frame,
		  struct symbol_files *files, struct symbol_list *list);
struct symbol *symbols_add(struct symbol_list *list);
void symbols_clear(struct symbol_list *list);
const char *symbols_why(enum unresolved why);

#endif
