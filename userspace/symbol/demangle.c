// SPDX-License-Identifier: GPL-2.0
/*
 * libiberty demangles the names of C++, of Rust (both of its schemes) and of D. It is
 * linked in, so that no C++ runtime has to be there. Its headers and util.h do not go
 * together: both have an ARRAY_SIZE.
 */
#include <libiberty/demangle.h>

#include "symbol/demangle.h"

/* demangle - the name without parameters; for free(). NULL where it is not mangled */
char *demangle(const char *name)
{
	return cplus_demangle(name, DMGL_AUTO);
}
