// SPDX-License-Identifier: GPL-2.0
/*
 * The functions of one unit of DWARF: which one an address lies in, and which others
 * were inlined there.
 *
 * libdw's dwarf_getscopes() is not used: it finds nothing where an inlined function was
 * declared in another unit, as with link-time optimisation, in Rust, and in split units.
 */
#include <dwarf.h>
#include <stdlib.h>
#include <string.h>

#include "symbol/function.h"
#include "symbol/name.h"
#include "util/util.h"

/* Entries within entries; a damaged file may have any number. */
#define MAX_DEPTH 200
/* Functions that are inlined into one another at one place. */
#define MAX_INLINED 500

/**
 * ranges_add_die - the code of an entry
 * @ranges: where to
 * @die: a unit or a function
 * @first_code: the file's lowest address of code
 * @owner: for ranges_add()
 *
 * A function that the linker has dropped stays in the DWARF, with an address near 0.
 */
void ranges_add_die(struct ranges *ranges, Dwarf_Die *die, Dwarf_Addr first_code, size_t owner)
{
	Dwarf_Addr base, low, high;
	ptrdiff_t at = 0;

	while ((at = dwarf_ranges(die, at, &base, &low, &high)) > 0)
		if (low >= first_code)
			ranges_add(ranges, low, high, owner);
}

static void add_function(struct functions *functions, Dwarf_Die *die, Dwarf_Addr first_code)
{
	size_t before = functions->ranges.nr;

	ranges_add_die(&functions->ranges, die, first_code, functions->nr);
	/* One that is only declared, or that is inlined everywhere, has no code. */
	if (functions->ranges.nr == before)
		return;
	if ((functions->nr & (functions->nr - 1)) == 0)
		functions->dies = xrealloc(functions->dies, functions->nr ? 2 * functions->nr : 1,
					   sizeof(*functions->dies));
	functions->dies[functions->nr++] = *die;
}

/* Whether functions may lie in an entry of this kind. */
static bool holds_functions(int tag, bool nested)
{
	switch (tag) {
	case DW_TAG_namespace:
	case DW_TAG_module:
		return true;
	case DW_TAG_class_type:
	case DW_TAG_structure_type:
	case DW_TAG_union_type:
	case DW_TAG_interface_type:
	case DW_TAG_enumeration_type:
	case DW_TAG_variant_part:
	case DW_TAG_variant:
	case DW_TAG_subprogram:
	case DW_TAG_inlined_subroutine:
	case DW_TAG_lexical_block:
	case DW_TAG_try_block:
	case DW_TAG_catch_block:
	case DW_TAG_with_stmt:
		return nested;
	default:
		return false;
	}
}

static void read_functions(struct functions *functions, Dwarf_Die *parent, Dwarf_Addr first_code,
			   bool nested, int depth)
{
	Dwarf_Die die;
	int tag;

	if (depth > MAX_DEPTH || dwarf_child(parent, &die))
		return;
	do {
		tag = dwarf_tag(&die);
		if (tag == DW_TAG_subprogram)
			add_function(functions, &die, first_code);
		if (holds_functions(tag, nested))
			read_functions(functions, &die, first_code, nested, depth + 1);
	} while (dwarf_siblingof(&die, &die) == 0);
}

void functions_free(struct functions *functions)
{
	free(functions->dies);
	ranges_free(&functions->ranges);
	*functions = (struct functions){ 0 };
}

/*
 * Most functions are outer entries of their unit, which are read fast. Those of Rust's
 * types, nested ones of Ada and C, and some others are not.
 */
static Dwarf_Die *find_function(struct functions *functions, Dwarf_Die *unit, Dwarf_Addr first_code,
				Dwarf_Addr address)
{
	const struct range *range;

	if (!functions->read) {
		read_functions(functions, unit, first_code, false, 0);
		ranges_sort(&functions->ranges);
		functions->read = true;
	}
	range = ranges_find(&functions->ranges, address);
	if (!range && !functions->nested_read) {
		functions_free(functions);
		read_functions(functions, unit, first_code, true, 0);
		ranges_sort(&functions->ranges);
		functions->read = true;
		functions->nested_read = true;
		range = ranges_find(&functions->ranges, address);
	}
	return range ? &functions->dies[range->owner] : NULL;
}

static bool is_scope(int tag)
{
	return tag == DW_TAG_inlined_subroutine || tag == DW_TAG_lexical_block ||
	       tag == DW_TAG_try_block || tag == DW_TAG_catch_block || tag == DW_TAG_with_stmt;
}

/* Into @inner: the entry within @outer that has the address; false where none has it. */
static bool enter_scope(Dwarf_Die *outer, Dwarf_Addr address, Dwarf_Die *inner)
{
	Dwarf_Die die;

	if (dwarf_child(outer, &die))
		return false;
	do {
		if (is_scope(dwarf_tag(&die)) && dwarf_haspc(&die, address) > 0) {
			*inner = die;
			return true;
		}
	} while (dwarf_siblingof(&die, &die) == 0);
	return false;
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
static void set_call_site(struct symbol *symbol, Dwarf_Die *inlined, Dwarf_Die *unit)
{
	unsigned int index = attribute_number(inlined, DW_AT_call_file);
	Dwarf_Files *files;
	const char *file;
	size_t nr;

	symbol->line = attribute_number(inlined, DW_AT_call_line);
	if (!symbol->line || dwarf_getsrcfiles(unit, &files, &nr) || index >= nr)
		return;
	file = dwarf_filesrc(files, index, NULL, NULL);
	if (file)
		symbol->file = printable(file);
}

static void set_name(struct symbol *symbol, Dwarf_Die *die)
{
	static const unsigned int attributes[] = { DW_AT_linkage_name, DW_AT_MIPS_linkage_name };
	Dwarf_Attribute attribute;
	const char *name = NULL;
	size_t i;

	for (i = 0; i < ARRAY_SIZE(attributes) && !name; i++)
		name = dwarf_formstring(dwarf_attr_integrate(die, attributes[i], &attribute));
	symbol->has_linkage_name = name != NULL;
	if (!name)
		name = dwarf_diename(die);
	if (name)
		symbol->function = source_name(name);
}

/**
 * functions_find - the function at an address, and those that were inlined there
 * @functions: of the unit; empty at first
 * @unit: its entry
 * @first_code: the file's lowest address of code
 * @address: in the unit
 * @list: the functions, innermost first; the first one's line is not set
 *
 * Returns false, with @list as it was, where the unit has no function there.
 */
bool functions_find(struct functions *functions, Dwarf_Die *unit, Dwarf_Addr first_code,
		    Dwarf_Addr address, struct symbol_list *list)
{
	Dwarf_Die chain[MAX_INLINED], *function, scope;
	struct symbol *symbol;
	size_t nr = 0;
	int depth;

	function = find_function(functions, unit, first_code, address);
	if (!function)
		return false;
	scope = *function;
	chain[nr++] = scope;
	for (depth = 0; depth < MAX_DEPTH && nr < MAX_INLINED; depth++) {
		if (!enter_scope(&scope, address, &scope))
			break;
		if (dwarf_tag(&scope) == DW_TAG_inlined_subroutine)
			chain[nr++] = scope;
	}
	symbol = &list->symbols[0];
	while (nr--) {
		set_name(symbol, &chain[nr]);
		if (!nr)
			break;
		symbol->inlined = true;
		symbol = symbols_add(list);
		set_call_site(symbol, &chain[nr], unit);
	}
	return true;
}
