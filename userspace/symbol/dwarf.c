// SPDX-License-Identifier: GPL-2.0
/*
 * From an address to its line and its functions, by the DWARF of one file.
 *
 * libdwfl's own look-ups rest on .debug_aranges, which clang, Go and lld's link-time
 * optimisation do not write, and take a unit to reach to the next one that has any. Here
 * a unit has an address only where the unit's own ranges say so.
 */
#include <dwarf.h>
#include <elfutils/libdwelf.h>
#include <stdlib.h>
#include <string.h>

#include "symbol/dwarf.h"
#include "symbol/function.h"
#include "symbol/name.h"
#include "util/util.h"

struct unit {
	Dwarf_CU *cu;
	Dwarf_Die die;
	Dwarf_Die split; /* what another file has of it; once it was looked for */
	bool looked_for;
	bool is_skeleton;
	bool is_split; /* @split was found */
	struct functions functions;
};

struct units {
	struct unit *units;
	size_t nr;
	size_t room;
	struct ranges ranges; /* an owner is an index of @units */
	Dwarf *dwarf;
	Dwarf_Addr first_code;
	bool damaged; /* libdw did not come to the end of them */
};

static void add_unit(struct units *units, Dwarf_CU *cu, Dwarf_Die *die, bool is_skeleton)
{
	size_t before = units->ranges.nr;
	Dwarf_Die child;

	ranges_add_die(&units->ranges, die, units->first_code, units->nr);
	/* A unit need not tell its ranges: its functions' are as good. */
	if (units->ranges.nr == before && !dwarf_hasattr(die, DW_AT_ranges) &&
	    !dwarf_hasattr(die, DW_AT_low_pc) && dwarf_child(die, &child) == 0) {
		do {
			if (dwarf_tag(&child) == DW_TAG_subprogram)
				ranges_add_die(&units->ranges, &child, units->first_code,
					       units->nr);
		} while (dwarf_siblingof(&child, &child) == 0);
	}
	if (units->ranges.nr == before)
		return;
	if (units->nr == units->room) {
		units->room = units->room ? 2 * units->room : 64;
		units->units = xrealloc(units->units, units->room, sizeof(*units->units));
	}
	units->units[units->nr++] =
		(struct unit){ .cu = cu, .die = *die, .is_skeleton = is_skeleton };
}

/**
 * units_new - the units of a file, sorted by address
 * @dwarf: the file's
 * @first_code: its lowest address of code
 */
struct units *units_new(Dwarf *dwarf, Dwarf_Addr first_code)
{
	struct units *units = xrealloc(NULL, 1, sizeof(*units));
	Dwarf_CU *cu = NULL;
	uint8_t type;
	Dwarf_Die die;
	int status;

	*units = (struct units){ .dwarf = dwarf, .first_code = first_code };
	while ((status = dwarf_get_units(dwarf, cu, &cu, NULL, &type, &die, NULL)) == 0)
		if (type == DW_UT_compile || type == DW_UT_skeleton)
			add_unit(units, cu, &die, type == DW_UT_skeleton);
	units->damaged = status < 0;
	ranges_sort(&units->ranges);
	return units;
}

void units_free(struct units *units)
{
	size_t i;

	if (!units)
		return;
	for (i = 0; i < units->nr; i++)
		functions_free(&units->units[i].functions);
	ranges_free(&units->ranges);
	free(units->units);
	free(units);
}

/* The entry that has the unit's functions. */
static Dwarf_Die *entry_of(struct unit *unit)
{
	if (unit->is_skeleton && !unit->looked_for) {
		unit->looked_for = true;
		unit->is_split = dwarf_cu_info(unit->cu, NULL, NULL, NULL, &unit->split, NULL, NULL,
					       NULL) == 0 &&
				 unit->split.cu != NULL;
	}
	return unit->is_split ? &unit->split : &unit->die;
}

/* Returns false where the unit has no line for the address. */
static bool set_line(struct unit *unit, Dwarf_Addr address, struct symbol *symbol)
{
	Dwarf_Line *line = dwarf_getsrc_die(&unit->die, address);
	const char *file;
	int number;

	if (!line || dwarf_lineno(line, &number) || number <= 0)
		return false;
	file = dwarf_linesrc(line, NULL, NULL);
	if (!file)
		return false;
	symbol->file = printable(file);
	symbol->line = (unsigned int)number;
	return true;
}

/* Whether the file says that it shares a part with others, and that was not found. */
static bool lacks_common_file(struct units *units)
{
	const char *name;
	const void *id;

	return !dwarf_getalt(units->dwarf) &&
	       dwelf_dwarf_gnu_debugaltlink(units->dwarf, &name, &id) > 0;
}

static enum unresolved find_in(struct units *units, struct unit *unit, Dwarf_Addr address,
			       struct symbol_list *list)
{
	bool has_lines = set_line(unit, address, &list->symbols[0]);
	size_t i;

	if (unit->is_skeleton && !unit->is_split)
		return NO_SPLIT_FILE;
	for (i = 0; i < list->nr; i++) {
		if (list->nr > 1 && !list->symbols[i].function && lacks_common_file(units))
			return NO_COMMON_FILE;
		has_lines = has_lines && list->symbols[i].line;
	}
	return has_lines ? RESOLVED : NO_LINE;
}

/**
 * units_find - what is at an address
 * @units: those of its file
 * @address: in the file
 * @list: one symbol; becomes what is there
 *
 * Returns what could not be found out.
 */
enum unresolved units_find(struct units *units, Dwarf_Addr address, struct symbol_list *list)
{
	const struct range *range = ranges_find(&units->ranges, address), *at;
	struct unit *unit;

	for (at = range; at; at = ranges_next(&units->ranges, at, address)) {
		unit = &units->units[at->owner];
		if (functions_find(&unit->functions, entry_of(unit), units->first_code, address,
				   list))
			return find_in(units, unit, address, list);
	}
	/* Code of an assembler's has lines, and perhaps no function. */
	if (range)
		return find_in(units, &units->units[range->owner], address, list);
	return units->damaged ? BAD_DEBUG_INFO : NOT_COVERED;
}
