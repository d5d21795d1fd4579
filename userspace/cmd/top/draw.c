// SPDX-License-Identifier: GPL-2.0
/* top on a terminal: the lines, drawn by ncurses. */
#include <stdio.h>
#include <ncurses.h>

#include "cmd/top/screen.h"
#include "util/util.h"

static const char *const prompts[] = {
	[PROMPT_TEXT] = "processes named (empty: all): ",
	[PROMPT_PID] = "process id (empty: all): ",
	[PROMPT_DEVICE] = "device, id or label (empty: all): ",
	[PROMPT_INTERVAL] = "refresh every (1s, 500ms, 2m): ",
};

static const char *const help_lines[] = {
	"bufftrack top: what is allocated, by process and by device",
	"",
	"  s, < >       sort by the next, the previous, the next column",
	"  B P L A F D  sort by bytes, peak, live, allocs/s, frees/s, bad frees",
	"  N I          sort by name, by id",
	"  r            the other way round",
	"  Tab          both tables, processes, devices",
	"  Up Down      scroll; also PgUp, PgDn, Home, End",
	"  /            only processes whose name has a text in it",
	"  p  d         only one process; only one device, by id or label",
	"  x            show all again",
	"  + -          refresh more often, less often;  i: ask how often",
	"  Space        refresh now",
	"  ?  h         this text",
	"  q            quit",
	"",
	"  LIVE     buffers allocated     BYTES, PEAK  now, and the most",
	"  BADFREE  frees that were refused: double, stale, foreign, unknown,",
	"           after exit, after reset",
};

static void draw_line(int y, const char *text, attr_t attributes)
{
	char line[TOP_LINE];

	/* The last cell of the screen would scroll some terminals. */
	top_fit(line, text, y == LINES - 1 ? COLS - 1 : COLS);
	attrset(attributes);
	mvaddstr(y, 0, line);
	attrset(A_NORMAL);
}

static void mark_sorted(const struct screen *screen, int y, const struct top_layout *layout)
{
	int at = layout->at[screen->top->query.sort];

	if (at)
		mvchgat(y, at, TOP_CELL, A_REVERSE | A_BOLD, screen->colour ? COLOUR_SORT : 0,
			NULL);
}

static void draw_heading(const struct screen *screen, int y, const struct top_layout *layout,
			 const char *who, int first, int shown, size_t nr)
{
	char text[TOP_LINE], line[TOP_LINE];

	if ((size_t)shown < nr)
		snprintf(text, sizeof(text), "%s %d-%d/%zu", who, first + 1, first + shown, nr);
	else
		snprintf(text, sizeof(text), "%s", who);
	top_heading(line, layout, text);
	attrset(A_REVERSE);
	mvhline(y, 0, ' ' | A_REVERSE, COLS);
	draw_line(y, line, A_REVERSE);
	mark_sorted(screen, y, layout);
}

static void draw_row(const struct screen *screen, int y, const struct top_layout *layout,
		     const struct top_row *row)
{
	char line[TOP_LINE];

	top_row_line(line, layout, row, screen->top->rows.elapsed_ns);
	draw_line(y, line, row->sum.scope == BUFFTRACK_STAT_DEVICE ? A_BOLD : A_NORMAL);
	if (layout->at[TOP_BAD] && counters_bad_frees(&row->sum))
		mvchgat(y, layout->at[TOP_BAD], TOP_CELL, A_BOLD, screen->colour ? COLOUR_BAD : 0,
			NULL);
}

/* Devices and spaces, as they stand one under another. */
static const struct top_row *device_line(const struct top_rows *rows, size_t line)
{
	const struct top_row *device;
	size_t i;

	for (i = 0; i < rows->nr_devices; i++) {
		device = &rows->devices[i];
		if (line == 0)
			return device;
		line--;
		if (line < device->nr_spaces)
			return &rows->spaces[device->spaces + line];
		line -= device->nr_spaces;
	}
	return NULL;
}

static int clamp(int value, int least, int most)
{
	if (value > most)
		value = most;
	return value < least ? least : value;
}

/* One table in @room lines from @y on, with its heading. */
static void draw_table(struct screen *screen, const struct top_layout *layout, bool devices, int y,
		       int room, bool scrolls)
{
	const struct top_rows *rows = &screen->top->rows;
	size_t nr = devices ? rows->nr_devices + rows->nr_spaces : rows->nr_processes;
	int lines = room - 1, first = 0, shown, i;

	if (room < 1)
		return;
	if (scrolls) {
		screen->first = clamp(screen->first, 0, (int)nr - lines);
		screen->page = lines > 1 ? lines : 1;
		first = screen->first;
	}
	shown = clamp((int)nr - first, 0, lines);
	draw_heading(screen, y, layout, devices ? "DEVICE, SPACE" : "    PID PROCESS", first, shown,
		     nr);
	for (i = 0; i < shown; i++)
		draw_row(screen, y + 1 + i, layout,
			 devices ? device_line(rows, (size_t)(first + i))
				 : &rows->processes[first + i]);
}

static void draw_tables(struct screen *screen, int y, int room)
{
	const struct top_rows *rows = &screen->top->rows;
	struct top_layout layout;
	int processes, devices;

	top_lay_out(&layout, COLS);
	/* Two tables of two rows each, and a blank line. */
	if (screen->view != VIEW_BOTH || room < 7) {
		draw_table(screen, &layout, screen->view == VIEW_DEVICES, y, room, true);
		return;
	}
	room--;
	processes = clamp((int)rows->nr_processes + 1, 2, room);
	devices = clamp((int)(rows->nr_devices + rows->nr_spaces) + 1, 3, room);
	/* Where not all has room, each may have what the other leaves of its half. */
	if (processes + devices > room) {
		devices = clamp(room - processes, room / 2, devices);
		processes = room - devices;
	}
	draw_table(screen, &layout, false, y, processes, true);
	draw_table(screen, &layout, true, y + processes + 1, devices, false);
}

static void draw_bottom(const struct screen *screen)
{
	char line[TOP_LINE];

	if (screen->prompt) {
		snprintf(line, sizeof(line), "%s%s_", prompts[screen->prompt], screen->answer);
		draw_line(LINES - 1, line, A_BOLD);
		return;
	}
	if (screen->message[0])
		draw_line(LINES - 1, screen->message, A_BOLD);
	else
		draw_line(LINES - 1,
			  "q quit  ? help  s sort  r reverse  Tab tables  / name  p pid  d device"
			  "  + -",
			  A_DIM);
}

static void draw_help(struct screen *screen)
{
	int room = LINES - 1, i;

	screen->help_first = clamp(screen->help_first, 0, (int)ARRAY_SIZE(help_lines) - room);
	for (i = 0; i < room && i + screen->help_first < (int)ARRAY_SIZE(help_lines); i++)
		draw_line(i, help_lines[i + screen->help_first], i ? A_NORMAL : A_BOLD);
	draw_line(LINES - 1, "any other key goes back", A_DIM);
}

/* What stands above the tables; returns how many lines that is. */
static int draw_top(const struct screen *screen)
{
	const struct top *top = screen->top;
	int room = LINES >= 14 ? 4 : LINES >= 9 ? 2 : LINES >= 5 ? 1 : 0;
	char line[TOP_LINE];

	if (!room)
		return 0;
	if (room == 1) {
		top_totals(line, &top->rows, COLS);
		draw_line(0, line, A_NORMAL);
		return 1;
	}
	top_title(line, &top->query, &top->rows, COLS);
	draw_line(0, line, A_BOLD);
	top_totals(line, &top->rows, COLS);
	draw_line(1, line, A_NORMAL);
	if (room == 2)
		return 2;
	top_verdicts(line, &top->rows, COLS);
	draw_line(2, line, counters_bad_frees(&top->rows.all.sum) ? A_BOLD : A_NORMAL);
	if (screen->colour && counters_bad_frees(&top->rows.all.sum))
		mvchgat(2, 0, -1, A_BOLD, COLOUR_BAD, NULL);
	return 4;
}

void screen_draw(struct screen *screen)
{
	int y;

	erase();
	if (screen->help) {
		draw_help(screen);
	} else {
		if (screen->top->reading) {
			y = draw_top(screen);
			draw_tables(screen, y, LINES - 1 - y);
		} else {
			draw_line(0, screen->top->waiting, A_BOLD);
		}
		draw_bottom(screen);
	}
	refresh();
}
