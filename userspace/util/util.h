/* SPDX-License-Identifier: GPL-2.0 */
#ifndef BUFFTRACK_UTIL_H
#define BUFFTRACK_UTIL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define ARRAY_SIZE(array) (sizeof(array) / sizeof((array)[0]))
#define NSEC_PER_SEC 1000000000ULL

/* Room for what format_size(), format_time() and format_device() write. */
#define SHORT_TEXT 24

void complain(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* libiberty, which is linked in, has another function of this name. */
#define xrealloc bufftrack_xrealloc
void *xrealloc(void *memory, size_t nr, size_t size);

int compare_numbers(uint64_t a, uint64_t b);

bool parse_number(const char *text, uint64_t *value);
bool parse_duration(const char *text, uint64_t *ns);

const char *format_size(char text[SHORT_TEXT], uint64_t bytes);
const char *format_duration(char text[SHORT_TEXT], uint64_t ns);
const char *format_id(char text[SHORT_TEXT], uint64_t id);

void copy_text(char *to, size_t room, const char *from, size_t len);

const char *plural(uint64_t nr);

uint64_t monotonic_ns(void);

#endif
