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

struct symbols *symbols_new(void);
void symbols_free(struct symbols *symbols);
void symbols_find(struct symbols *symbols, const struct bufftrack_frame *frame,
		  struct symbol_list *list);
struct symbol *symbols_add(struct symbol_list *list);
void symbols_clear(struct symbol_list *list);
const char *symbols_why(enum unresolved why);

#endif
