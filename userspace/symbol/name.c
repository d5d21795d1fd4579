// SPDX-License-Identifier: GPL-2.0
/*
 * Names as the source has them.
 */
#include <stdlib.h>
#include <string.h>

#include "symbol/demangle.h"
#include "symbol/name.h"
#include "util/util.h"

/* A longer name is shown as the linker has it: demangled it may take any memory. */
#define MAX_MANGLED 8192

/* is_mangled - whether source_name() might make another one of it */
bool is_mangled(const char *name)
{
	return strncmp(name, "_Z", 2) == 0 || strncmp(name, "_R", 2) == 0 ||
	       strncmp(name, "_D", 2) == 0 || strncmp(name, "__Z", 3) == 0;
}

/* printable - a copy without what a terminal cannot show: a file can say anything */
char *printable(const char *text)
{
	size_t len = strlen(text) + 1;
	char *copy = xrealloc(NULL, len, 1);

	copy_text(copy, len, text, len);
	return copy;
}

/**
 * source_name - the name as the source has it, in memory of its own
 * @name: as the linker has it
 *
 * Without parameters: a report has to fit on lines, and a line of the source tells
 * overloaded functions apart.
 */
char *source_name(const char *name)
{
	char *demangled = NULL, *copy;

	if (is_mangled(name) && strnlen(name, MAX_MANGLED) < MAX_MANGLED)
		demangled = demangle(name);
	copy = printable(demangled ? demangled : name);
	free(demangled);
	return copy;
}
