// SPDX-License-Identifier: GPL-2.0
#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "util/util.h"

/* A message for the person at the terminal: with the tool's name, on stderr. */
void complain(const char *format, ...)
{
	char *message;
	va_list args;
	int len;

	va_start(args, format);
	len = vasprintf(&message, format, args);
	va_end(args);
	/* What was printed before it stands before it. */
	fflush(stdout);
	/* In one piece, since others may write there, too. */
	fprintf(stderr, "bufftrack: %s\n", len < 0 ? format : message);
	if (len >= 0)
		free(message);
}

/* Memory for @nr elements of @size bytes; a tool that has none gives up. */
void *xrealloc(void *memory, size_t nr, size_t size)
{
	memory = reallocarray(memory, nr, size);
	if (!memory) {
		complain("out of memory");
		exit(EXIT_FAILURE);
	}
	return memory;
}

/* For sorting: negative, 0 or positive. */
int compare_numbers(uint64_t a, uint64_t b)
{
	return a < b ? -1 : a > b;
}

/* An unsigned number, decimal or 0x hexadecimal, and nothing else. */
bool parse_number(const char *text, uint64_t *value)
{
	int base = 10;
	char *end;

	if (text[0] == '0' && (text[1] == 'x' || text[1] == 'X')) {
		text += 2;
		base = 16;
	}
	/* strtoull() would take blanks and signs as well. */
	if (!isxdigit((unsigned char)*text))
		return false;
	errno = 0;
	*value = strtoull(text, &end, base);
	return !errno && end != text && !*end;
}

/* A duration such as 10s, 1.5h or 200ms; a plain number is in seconds. */
bool parse_duration(const char *text, uint64_t *ns)
{
	static const struct {
		const char *name;
		double ns;
	} units[] = {
		{ "", 1e9 },  { "ns", 1 },   { "us", 1e3 },   { "ms", 1e6 },
		{ "s", 1e9 }, { "m", 60e9 }, { "h", 3600e9 }, { "d", 86400e9 },
	};
	double value;
	char *end;
	size_t i;

	if (!isdigit((unsigned char)*text) && *text != '.')
		return false;
	if (text[strspn(text, "0123456789.")] == 'x')
		return false;
	value = strtod(text, &end);
	if (end == text)
		return false;
	for (i = 0; i < ARRAY_SIZE(units); i++) {
		if (strcmp(end, units[i].name))
			continue;
		value *= units[i].ns;
		if (value >= (double)INT64_MAX)
			return false;
		*ns = (uint64_t)value;
		return true;
	}
	return false;
}

/* Bytes in at most seven columns: exact where that has room. */
const char *format_size(char text[SHORT_TEXT], uint64_t bytes)
{
	static const char units[] = "KMGTPE";
	double value = (double)bytes;
	int unit = -1;

	if (bytes < 1000000) {
		snprintf(text, SHORT_TEXT, "%" PRIu64, bytes);
		return text;
	}
	while (value >= 1023.95) {
		value /= 1024;
		unit++;
	}
	snprintf(text, SHORT_TEXT, "%.1f%c", value, units[unit]);
	return text;
}

/* A span of time with its unit, such as "314 ms" or "4.4 s". */
const char *format_duration(char text[SHORT_TEXT], uint64_t ns)
{
	static const struct {
		const char *name;
		uint64_t from;
		double ns;
		int decimals;
	} units[] = {
		{ "d", 172800 * NSEC_PER_SEC, 86400e9, 1 },
		{ "h", 7200 * NSEC_PER_SEC, 3600e9, 1 },
		{ "min", 120 * NSEC_PER_SEC, 60e9, 1 },
		{ "s", 100 * NSEC_PER_SEC, 1e9, 0 },
		{ "s", NSEC_PER_SEC, 1e9, 1 },
		{ "ms", 10000000, 1e6, 0 },
		{ "ms", 1000000, 1e6, 1 },
		{ "us", 1000, 1e3, 0 },
		{ "ns", 0, 1, 0 },
	};
	size_t i = 0;

	while (ns < units[i].from)
		i++;
	snprintf(text, SHORT_TEXT, "%.*f %s", units[i].decimals, (double)ns / units[i].ns,
		 units[i].name);
	return text;
}

/* A device's id: an index in decimal, a hardware id or a hash in hexadecimal. */
const char *format_id(char text[SHORT_TEXT], uint64_t id)
{
	snprintf(text, SHORT_TEXT, id < 65536 ? "%" PRIu64 : "0x%" PRIx64, id);
	return text;
}

/* How many bytes the UTF-8 character at @text has; 0 where it is none. */
static size_t utf8_len(const unsigned char *text, size_t len)
{
	size_t need, i;

	if (text[0] < 0x80)
		return 1;
	if (text[0] >= 0xc2 && text[0] <= 0xdf)
		need = 2;
	else if (text[0] >= 0xe0 && text[0] <= 0xef)
		need = 3;
	else if (text[0] >= 0xf0 && text[0] <= 0xf4)
		need = 4;
	else
		return 0;
	if (need > len)
		return 0;
	for (i = 1; i < need; i++)
		if ((text[i] & 0xc0) != 0x80)
			return 0;
	/* Overlong forms, surrogates, and what is beyond Unicode. */
	if ((text[0] == 0xe0 && text[1] < 0xa0) || (text[0] == 0xed && text[1] > 0x9f) ||
	    (text[0] == 0xf0 && text[1] < 0x90) || (text[0] == 0xf4 && text[1] > 0x8f))
		return 0;
	return need;
}

/* Whether a terminal obeys the character: those of ASCII, and U+0080 to U+009F. */
static bool is_control(const char *text, size_t len)
{
	if (len == 1)
		return iscntrl((unsigned char)text[0]);
	return len == 2 && (unsigned char)text[0] == 0xc2 && (unsigned char)text[1] < 0xa0;
}

/*
 * Copies a name that a process chose, of at most @len bytes and perhaps without
 * NUL: what a terminal or a reader of JSON would choke on becomes '?'. @to may be @from.
 */
void copy_text(char *to, size_t room, const char *from, size_t len)
{
	size_t at = 0, n = 0, step;

	len = strnlen(from, len);
	while (at < len) {
		step = utf8_len((const unsigned char *)from + at, len - at);
		if (n + (step ? step : 1) >= room)
			break;
		if (step == 0 || is_control(from + at, step)) {
			to[n++] = '?';
			at += step ? step : 1;
			continue;
		}
		memmove(to + n, from + at, step);
		n += step;
		at += step;
	}
	to[n] = '\0';
}

/* The ending of a noun of which there are @nr. */
const char *plural(uint64_t nr)
{
	return nr == 1 ? "" : "s";
}

uint64_t monotonic_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * NSEC_PER_SEC + (uint64_t)now.tv_nsec;
}
