// SPDX-License-Identifier: GPL-2.0
/* top: lines of text, no wider than the screen. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <wchar.h>

#include "event/names.h"
#include "cmd/top/top.h"
#include "util/util.h"

/* What is left out first, where the screen is narrow, stands last. */
static const enum top_key by_importance[] = {
	TOP_BYTES, TOP_BAD, TOP_LIVE, TOP_PEAK, TOP_ALLOCS, TOP_FREES,
};

static const struct {
	enum top_key key;
	const char *title;
	int width;
} columns[] = {
	{ TOP_LIVE, "LIVE", TOP_CELL },	   { TOP_BYTES, "BYTES", TOP_CELL },
	{ TOP_PEAK, "PEAK", TOP_CELL },	   { TOP_ALLOCS, "ALLOC/S", TOP_CELL },
	{ TOP_FREES, "FREE/S", TOP_CELL }, { TOP_BAD, "BADFREE", TOP_CELL },
};

#define MIN_WHO 11

void top_lay_out(struct top_layout *layout, int width)
{
	bool shown[TOP_NR_KEYS] = { false };
	int left, at;
	size_t i;

	if (width >= TOP_LINE / 4)
		width = TOP_LINE / 4;
	*layout = (struct top_layout){ .width = width };
	left = width - MIN_WHO;
	for (i = 0; i < ARRAY_SIZE(by_importance) && left >= TOP_CELL + 1; i++) {
		shown[by_importance[i]] = true;
		left -= TOP_CELL + 1;
	}
	layout->who = left + MIN_WHO;
	at = layout->who + 1;
	for (i = 0; i < ARRAY_SIZE(columns); i++) {
		if (!shown[columns[i].key])
			continue;
		layout->at[columns[i].key] = at;
		at += columns[i].width + 1;
	}
}

/* How many bytes of the text take at most @width columns, and how many those are. */
static size_t fitting(const char *text, int width, int *taken)
{
	mbstate_t state = { 0 };
	size_t at = 0, len;
	wchar_t wide;
	int takes;

	*taken = 0;
	while (text[at]) {
		len = mbrtowc(&wide, text + at, strlen(text + at), &state);
		takes = len == 0 || len > 4 ? -1 : wcwidth(wide);
		if (takes < 0) {
			/* Not of this locale: UTF-8 it is. */
			state = (mbstate_t){ 0 };
			len = 1;
			takes = (text[at] & 0xc0) != 0x80;
		}
		if (*taken + takes > width)
			break;
		*taken += takes;
		at += len;
	}
	return at;
}

/* The text, cut where the line is full. */
void top_fit(char line[TOP_LINE], const char *text, int width)
{
	int taken;
	size_t len = fitting(text, width < 0 ? 0 : width, &taken);

	snprintf(line, TOP_LINE, "%.*s", (int)len, text);
}

/* The text, cut or filled up to so many columns. */
static int put_cell(char *line, int at, const char *text, int width)
{
	int taken;
	size_t len = fitting(text, width, &taken);

	return at + snprintf(line + at, (size_t)(TOP_LINE - at), "%.*s%*s", (int)len, text,
			     width - taken, "");
}

void top_heading(char line[TOP_LINE], const struct top_layout *layout, const char *who)
{
	int at = put_cell(line, 0, who, layout->who);
	size_t i;

	for (i = 0; i < ARRAY_SIZE(columns); i++)
		if (layout->at[columns[i].key])
			at += snprintf(line + at, (size_t)(TOP_LINE - at), " %*s", columns[i].width,
				       columns[i].title);
}

static const char *format_count(char text[SHORT_TEXT], uint64_t count)
{
	static const char units[] = "kMGTPE";
	double value = (double)count;
	int unit = -1;

	if (count < 10000000) {
		snprintf(text, SHORT_TEXT, "%" PRIu64, count);
		return text;
	}
	while (value >= 999.95) {
		value /= 1000;
		unit++;
	}
	snprintf(text, SHORT_TEXT, "%.1f%c", value, units[unit]);
	return text;
}

static const char *format_rate(char text[SHORT_TEXT], double rate, bool known)
{
	if (!known)
		return "-";
	if (rate > 0 && rate < 9.95) {
		snprintf(text, SHORT_TEXT, "%.1f", rate);
		return text;
	}
	return format_count(text, (uint64_t)(rate + 0.5));
}

static const char *format_cell(char text[SHORT_TEXT], enum top_key key, const struct top_row *row,
			       bool rates)
{
	switch (key) {
	case TOP_LIVE:
		return format_count(text, row->sum.live);
	case TOP_BYTES:
		return format_size(text, row->sum.bytes);
	case TOP_PEAK:
		return format_size(text, row->sum.peak_bytes);
	case TOP_ALLOCS:
		return format_rate(text, row->allocs, rates);
	case TOP_FREES:
		return format_rate(text, row->frees, rates);
	default:
		return format_count(text, counters_bad_frees(&row->sum));
	}
}

void top_row_line(char line[TOP_LINE], const struct top_layout *layout, const struct top_row *row,
		  bool rates)
{
	int at = put_cell(line, 0, row->who, layout->who);
	char text[SHORT_TEXT];
	size_t i;

	for (i = 0; i < ARRAY_SIZE(columns); i++)
		if (layout->at[columns[i].key])
			at += snprintf(line + at, (size_t)(TOP_LINE - at), " %*s", columns[i].width,
				       format_cell(text, columns[i].key, row, rates));
}

static int add_filters(char *text, int at, const struct top_query *query)
{
	char id[SHORT_TEXT];

	if (query->by_pid)
		at += snprintf(text + at, (size_t)(TOP_LINE - at), "; pid %u", query->pid);
	if (*query->process_text)
		at += snprintf(text + at, (size_t)(TOP_LINE - at), "; with \"%s\"",
			       query->process_text);
	if (query->by_device)
		at += snprintf(text + at, (size_t)(TOP_LINE - at), "; device %s",
			       format_id(id, query->device));
	if (*query->device_text)
		at += snprintf(text + at, (size_t)(TOP_LINE - at), "; device \"%s\"",
			       query->device_text);
	return at;
}

void top_title(char line[TOP_LINE], const struct top_query *query, const struct top_rows *rows,
	       int width)
{
	char text[TOP_LINE], interval[SHORT_TEXT];
	int at;

	at = snprintf(text, sizeof(text), "bufftrack top: %zu process%s, %zu device%s",
		      rows->all_processes, rows->all_processes == 1 ? "" : "es", rows->all_devices,
		      plural(rows->all_devices));
	at = add_filters(text, at, query);
	snprintf(text + at, sizeof(text) - (size_t)at, "; by %s%s; every %s",
		 top_key_name(query->sort), query->reverse ? " reversed" : "",
		 format_duration(interval, query->interval_ns));
	top_fit(line, text, width);
}

void top_totals(char line[TOP_LINE], const struct top_rows *rows, int width)
{
	char live[SHORT_TEXT], bytes[SHORT_TEXT], peak[SHORT_TEXT];
	char allocs[SHORT_TEXT], frees[SHORT_TEXT], text[TOP_LINE];
	const struct top_row *all = &rows->all;

	snprintf(text, sizeof(text), "all: %s live, %s bytes, peak %s; %s allocs/s, %s frees/s",
		 format_count(live, all->sum.live), format_size(bytes, all->sum.bytes),
		 format_size(peak, all->sum.peak_bytes),
		 format_rate(allocs, all->allocs, rows->elapsed_ns),
		 format_rate(frees, all->frees, rows->elapsed_ns));
	top_fit(line, text, width);
}

static int add_verdicts(char *text, int at, const struct bufftrack_stat *stat, bool bad_frees)
{
	unsigned int i;

	for (i = BUFFTRACK_OK + 1; i < BUFFTRACK_NR_VERDICTS; i++)
		if (stat->verdicts[i] && counters_is_bad_free(i) == bad_frees)
			at += snprintf(text + at, (size_t)(TOP_LINE - at), " %s=%" PRIu64,
				       verdict_name(i), (uint64_t)stat->verdicts[i]);
	return at;
}

void top_verdicts(char line[TOP_LINE], const struct top_rows *rows, int width)
{
	const struct bufftrack_stat *stat = &rows->all.sum;
	uint64_t bad_frees = counters_bad_frees(stat);
	char text[TOP_LINE];
	int at;

	at = snprintf(text, sizeof(text), "%" PRIu64 " bad free%s%s", bad_frees, plural(bad_frees),
		      bad_frees ? ":" : "");
	at = add_verdicts(text, at, stat, true);
	if (counters_bad(stat) != bad_frees) {
		at += snprintf(text + at, sizeof(text) - (size_t)at, "; also");
		add_verdicts(text, at, stat, false);
	}
	top_fit(line, text, width);
}
