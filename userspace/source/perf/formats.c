// SPDX-License-Identifier: GPL-2.0
/* The formats of the events, which perf.data holds in the manner of trace.dat. */
#include <event-parse.h>
#include <regex.h>
#include <stdlib.h>

#include "event/decode.h"
#include "event/event.h"
#include "source/perf/perf.h"
#include "util/util.h"

/* A format as the kernel writes it, up to how it is printed. */
#define DECLARATION "[A-Za-z_][A-Za-z0-9_ *]*[ *][A-Za-z_][A-Za-z0-9_]*(\\[[0-9]+\\])?"
#define FIELD "\tfield:" DECLARATION ";\toffset:[0-9]{1,5};\tsize:[0-9]{1,5};\tsigned:[01];\n"
#define FORMAT                                                                    \
	"^name: [A-Za-z_][A-Za-z0-9_]*\nID: [0-9]{1,5}\nformat:\n(" FIELD "|\n)+" \
	"print fmt: \"\"\n$"

/* The library crashes on what is damaged: it is given nothing else than that. */
static bool is_format(const char *text)
{
	regex_t format;
	bool done;

	if (regcomp(&format, FORMAT, REG_EXTENDED | REG_NOSUB))
		return false;
	done = regexec(&format, text, 0, NULL, 0) == 0;
	regfree(&format);
	return done;
}

/* How an event is printed is of no interest: the library is given the fields alone. */
static bool parse_format(struct perf_data *perf, const uint8_t *text, uint64_t len)
{
	static const char print[] = "\nprint fmt:", nothing[] = "\nprint fmt: \"\"\n";
	const uint8_t *end = memmem(text, len, print, sizeof(print) - 1);
	char *fields;
	bool done;

	if (!end)
		return false;
	len = (uint64_t)(end - text);
	fields = xrealloc(NULL, len + sizeof(nothing), 1);
	memcpy(fields, text, len);
	memcpy(fields + len, nothing, sizeof(nothing));
	done = is_format(fields) &&
	       !tep_parse_event(perf->tep, fields, (unsigned long)(len + sizeof(nothing) - 1),
				EVENT_SYSTEM);
	free(fields);
	return done;
}

/* Of another system's event the number alone, so that it is not taken for an unknown one. */
static void learn_number(struct perf_data *perf, const uint8_t *text, uint64_t len)
{
	static const char id[] = "\nID: ";
	const uint8_t *at = memmem(text, len, id, sizeof(id) - 1);
	const uint8_t *end = text + len;
	unsigned int number = 0;

	if (!at)
		return;
	for (at += sizeof(id) - 1; at < end && *at >= '0' && *at <= '9'; at++) {
		number = 10 * number + (*at - '0');
		if (number > UINT16_MAX)
			return;
	}
	event_formats_add_other(perf->formats, (uint16_t)number);
}

/* Formats that are counted by 64 bits each, of a system or of ftrace itself. */
static bool read_formats(struct perf_data *perf, struct span *span, bool ours)
{
	uint32_t nr = take32(span);
	const uint8_t *text;
	uint64_t len;

	for (; nr && span->left; nr--) {
		len = take64(span);
		text = take(span, len);
		if (!text)
			return false;
		if (!ours)
			learn_number(perf, text, len);
		else if (!parse_format(perf, text, len))
			return false;
	}
	return !nr;
}

/* A string with its NUL; NULL where that is missing. */
static const char *take_text(struct span *span)
{
	const uint8_t *end = span->left ? memchr(span->at, '\0', span->left) : NULL;

	return end ? (const char *)take(span, (uint64_t)(end - span->at) + 1) : NULL;
}

static bool take_header_file(struct span *span, const char *name)
{
	const char *found = take_text(span);

	return found && strcmp(found, name) == 0 && take(span, take64(span));
}

/* Reads the section of the formats, of which nothing is believed. */
bool perf_read_formats(struct perf_data *perf, struct span span)
{
	const uint8_t *magic = take(&span, 10), *order;
	const char *version = take_text(&span), *system;
	uint32_t nr;

	if (!magic || memcmp(magic, "\x17\x08\x44tracing", 10) || !version)
		return false;
	order = take(&span, 2);
	if (!order || order[0] != tep_is_bigendian() || (order[1] != 4 && order[1] != 8))
		return false;
	tep_set_long_size(perf->tep, order[1]);
	take32(&span); /* the size of a page */
	if (!take_header_file(&span, "header_page") || !take_header_file(&span, "header_event") ||
	    !read_formats(perf, &span, false))
		return false;
	for (nr = take32(&span); nr && span.left; nr--) {
		system = take_text(&span);
		if (!system || !read_formats(perf, &span, strcmp(system, EVENT_SYSTEM) == 0))
			return false;
	}
	if (nr)
		return false;
	event_formats_add_all(perf->formats, perf->tep);
	perf->has_formats = true;
	return true;
}
