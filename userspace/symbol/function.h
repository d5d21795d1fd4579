/* SPDX-License-Identifier: GPL-2.0 */
#ifndef BUFFTRACK_FUNCTION_H
#define BUFFTRACK_FUNCTION_H

#include <dwarf.h>
#include <elfutils/libdw.h>
#include <stdbool.h>

#include "symbol/range.h"
#include "symbol/symbols.h"

/**
 * struct functions - those of one unit that have code
 * @dies: their entries
 * @nr: how many
 * @ranges: their code; an owner is an index of @dies
 * @read: the unit's outer entries were read
 * @nested_read: those within functions and types were read too
 */
struct functions {
	Dwarf_Die *dies;
	size_t nr;
	struct ranges ranges;
	bool read;
	bool nested_read;
};

bool functions_find(struct functions *functions, Dwarf_Die *unit, Dwarf_Addr first_code,
		    Dwarf_Addr address, struct symbol_list *list);
void functions_free(struct functions *functions);
void ranges_add_die(struct ranges *ranges, Dwarf_Die *die, Dwarf_Addr first_code, size_t owner);

#endif
