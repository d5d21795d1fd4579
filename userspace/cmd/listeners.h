/* SPDX-License-Identifier: GPL-2.0 */
#ifndef BUFFTRACK_LISTENERS_H
#define BUFFTRACK_LISTENERS_H

struct json_object;

unsigned int listeners_name(const char *tracing, struct json_object *array);

#endif
