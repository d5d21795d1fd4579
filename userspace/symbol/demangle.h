/* SPDX-License-Identifier: GPL-2.0 */
#ifndef BUFFTRACK_DEMANGLE_H
#define BUFFTRACK_DEMANGLE_H

char *demangle(const char *name);

#endif
