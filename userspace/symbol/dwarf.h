/* SPDX-License-Identifier: GPL-2.0 */
#ifndef BUFFTRACK_DWARF_H
#define BUFFTRACK_DWARF_H

#include <elfutils/libdw.h>

#include "symbol/symbols.h"

struct units;

struct units *units_new(Dwarf *dwarf, Dwarf_Addr first_code);
void units_free(struct units *units);
enum unresolved units_find(struct units *units, Dwarf_Addr address, struct symbol_list *list);

#endif
