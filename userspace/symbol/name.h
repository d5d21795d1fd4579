/* SPDX-License-Identifier: GPL-2.0 */
#ifndef BUFFTRACK_NAME_H
#define BUFFTRACK_NAME_H

#include <stdbool.h>

bool is_mangled(const char *name);
char *source_name(const char *name);
char *printable(const char *text);

#endif
