// SPDX-License-Identifier: GPL-2.0
/* top on a terminal: ncurses draws the lines and reads the keys. */
#include <stdio.h>
#include <ncurses.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cmd/command.h"
#include "report/report.h"
#include "util/signals.h"
#include "cmd/top/top.h"
#include "util/util.h"

#define ESCAPE 27
#define DELETE 127
#define CTRL(letter) ((letter) - '@')

enum view { VIEW_BOTH, VIEW_PROCESSES, VIEW_DEVICES, NR_VIEWS };

enum prompt { PROMPT_NONE, PROMPT_TEXT, PROMPT_PID, PROMPT_DEVICE, PROMPT_INTERVAL };

static const char *const prompts[] = {
	[PROMPT_TEXT] = "processes named (empty: all): ",
	[PROMPT_PID] = "process id (empty: all): ",
	[PROMPT_DEVICE] = "device, id or label (empty: all): ",
	[PROMPT_INTERVAL] = "refresh every (1s, 500ms, 2m): ",
};

enum colour {
	COLOUR_BAD = 1,
	COLOUR_SORT,
};

struct screen {
	struct top *top;
	enum view view;
	enum prompt prompt;
	char answer[TOP_TEXT];
	char message[TOP_LINE]; /* until the next key */
	bool help;
	bool colour;
	bool quit;
	int first; /* the row that the upper table begins with */
	int page;
	int help_first;
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
	"  LIVE     buffers held          BYTES, PEAK  now, and the most",
	"  BADFREE  frees that were refused: double, stale, foreign, unknown,",
	"           after exit, after reset",
};

/* ---- drawing -------------------------------------------------------------- */

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

static void draw(struct screen *screen)
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

/* ---- keys ----------------------------------------------------------------- */

static void show_all(struct top_query *query)
{
	query->by_pid = false;
	query->by_device = false;
	query->process_text[0] = '\0';
	query->device_text[0] = '\0';
}

static void set_interval(struct screen *screen, uint64_t ns)
{
	if (ns < TOP_MIN_INTERVAL)
		ns = TOP_MIN_INTERVAL;
	screen->top->query.interval_ns = ns > TOP_MAX_INTERVAL ? TOP_MAX_INTERVAL : ns;
}

/* Takes the answer to a prompt; says so where it makes no sense. */
static void take_answer(struct screen *screen)
{
	struct top_query *query = &screen->top->query;
	const char *answer = screen->answer;
	uint64_t number;

	switch (screen->prompt) {
	case PROMPT_TEXT:
		snprintf(query->process_text, sizeof(query->process_text), "%s", answer);
		break;
	case PROMPT_PID:
		query->by_pid = parse_number(answer, &number) && number <= INT32_MAX;
		query->pid = query->by_pid ? (uint32_t)number : 0;
		if (*answer && !query->by_pid)
			snprintf(screen->message, sizeof(screen->message), "not a process id: %s",
				 answer);
		break;
	case PROMPT_DEVICE:
		query->by_device = parse_number(answer, &query->device);
		snprintf(query->device_text, sizeof(query->device_text), "%s",
			 query->by_device ? "" : answer);
		break;
	case PROMPT_INTERVAL:
		if (parse_duration(answer, &number) && number)
			set_interval(screen, number);
		else if (*answer)
			snprintf(screen->message, sizeof(screen->message), "not a duration: %s",
				 answer);
		break;
	case PROMPT_NONE:
		break;
	}
	screen->prompt = PROMPT_NONE;
}

static void erase_character(char *text)
{
	size_t len = strlen(text);

	while (len && (text[len - 1] & 0xc0) == 0x80)
		len--;
	text[len ? len - 1 : 0] = '\0';
}

static void edit_answer(struct screen *screen, int key)
{
	size_t len = strlen(screen->answer);

	switch (key) {
	case '\n':
	case '\r':
	case KEY_ENTER:
		take_answer(screen);
		break;
	case ESCAPE:
		screen->prompt = PROMPT_NONE;
		break;
	case KEY_BACKSPACE:
	case DELETE:
	case CTRL('H'):
		erase_character(screen->answer);
		break;
	case CTRL('U'):
		screen->answer[0] = '\0';
		break;
	default:
		if (key >= ' ' && key < 256 && len + 1 < sizeof(screen->answer)) {
			screen->answer[len] = (char)key;
			screen->answer[len + 1] = '\0';
		}
	}
}

static void ask(struct screen *screen, enum prompt prompt)
{
	screen->prompt = prompt;
	screen->answer[0] = '\0';
}

static void sort_by(struct screen *screen, int key)
{
	screen->top->query.sort = (enum top_key)((key + TOP_NR_KEYS) % TOP_NR_KEYS);
	screen->first = 0;
}

static bool sort_letter(struct screen *screen, int key)
{
	static const char letters[TOP_NR_KEYS] = {
		[TOP_BYTES] = 'B', [TOP_PEAK] = 'P', [TOP_LIVE] = 'L', [TOP_ALLOCS] = 'A',
		[TOP_FREES] = 'F', [TOP_BAD] = 'D',  [TOP_NAME] = 'N', [TOP_ID] = 'I',
	};
	int i;

	for (i = 0; i < TOP_NR_KEYS; i++) {
		if (letters[i] != key)
			continue;
		sort_by(screen, i);
		return true;
	}
	return false;
}

/* A line beyond the last one; what is drawn next is the last one's page. */
#define END (INT32_MAX / 2)

static bool scrolled(int *first, int page, int key)
{
	switch (key) {
	case KEY_UP:
		*first -= 1;
		break;
	case KEY_DOWN:
		*first += 1;
		break;
	case KEY_PPAGE:
		*first -= page;
		break;
	case KEY_NPAGE:
		*first += page;
		break;
	case KEY_HOME:
		*first = 0;
		break;
	case KEY_END:
		*first = END;
		break;
	default:
		return false;
	}
	if (*first < 0)
		*first = 0;
	if (*first > END)
		*first = END;
	return true;
}

/* Returns true where the counters are to be read now. */
static bool take_command(struct screen *screen, int key)
{
	struct top_query *query = &screen->top->query;

	if (sort_letter(screen, key) || scrolled(&screen->first, screen->page, key))
		return false;
	switch (key) {
	case 'q':
		screen->quit = true;
		break;
	case '?':
	case 'h':
		screen->help = true;
		screen->help_first = 0;
		break;
	case 's':
	case '>':
		sort_by(screen, (int)query->sort + 1);
		break;
	case '<':
		sort_by(screen, (int)query->sort - 1);
		break;
	case 'r':
		query->reverse = !query->reverse;
		break;
	case '\t':
		screen->view = (screen->view + 1) % NR_VIEWS;
		screen->first = 0;
		break;
	case '/':
		ask(screen, PROMPT_TEXT);
		break;
	case 'p':
		ask(screen, PROMPT_PID);
		break;
	case 'd':
		ask(screen, PROMPT_DEVICE);
		break;
	case 'i':
		ask(screen, PROMPT_INTERVAL);
		break;
	case 'x':
		show_all(query);
		break;
	case '+':
		set_interval(screen, query->interval_ns / 2);
		break;
	case '-':
		set_interval(screen, query->interval_ns * 2);
		break;
	case ' ':
		return true;
	}
	return false;
}

/* Returns true where the counters are to be read now. */
static bool take_key(struct screen *screen, int key)
{
	if (key == KEY_RESIZE)
		return false;
	screen->message[0] = '\0';
	if (screen->prompt) {
		edit_answer(screen, key);
		return false;
	}
	if (screen->help) {
		if (!scrolled(&screen->help_first, LINES - 2, key))
			screen->help = false;
		return false;
	}
	return take_command(screen, key);
}

/* ---- the loop ------------------------------------------------------------- */

static void wait_for_key(uint64_t until, const sigset_t *signals, bool *hung_up)
{
	struct pollfd input = { .fd = STDIN_FILENO, .events = POLLIN };
	uint64_t now = monotonic_ns();
	uint64_t left = now < until ? until - now : 0;
	struct timespec timeout = {
		.tv_sec = (time_t)(left / NSEC_PER_SEC),
		.tv_nsec = (long)(left % NSEC_PER_SEC),
	};

	/* A terminal that is gone can be read, too: its end. */
	if (ppoll(&input, 1, &timeout, signals) > 0 &&
	    input.revents & (POLLHUP | POLLERR | POLLNVAL))
		*hung_up = true;
}

static void run_screen(struct screen *screen, const sigset_t *signals)
{
	struct top *top = screen->top;
	uint64_t left = top->iterations, read_at;
	bool hung_up = false, again;
	int key;

	while (!signals_stopped() && !screen->quit && !hung_up) {
		top_read(top);
		read_at = monotonic_ns();
		again = false;
		do {
			draw(screen);
			wait_for_key(read_at + top->query.interval_ns, signals, &hung_up);
			while (!screen->quit && (key = getch()) != ERR)
				again |= take_key(screen, key);
			top_remake(top);
		} while (!again && !screen->quit && !hung_up && !signals_stopped() &&
			 monotonic_ns() < read_at + top->query.interval_ns);
		if (left && !--left)
			break;
	}
}

static void start_colours(struct screen *screen)
{
	if (!report_wants_colour(stdout) || !has_colors() || start_color() == ERR)
		return;
	screen->colour = true;
	use_default_colors();
	init_pair(COLOUR_BAD, COLOR_RED, -1);
	init_pair(COLOUR_SORT, COLOR_CYAN, -1);
}

/* Shows it on the terminal until it is told to end. Returns an exit code. */
int top_screen(struct top *top)
{
	struct screen screen = { .top = top, .page = 1 };
	sigset_t signals, resize;
	SCREEN *terminal;

	signals_catch(&signals);
	/* It is seen where keys are read, and must not come just before the wait. */
	sigemptyset(&resize);
	sigaddset(&resize, SIGWINCH);
	sigprocmask(SIG_BLOCK, &resize, NULL);
	sigdelset(&signals, SIGWINCH);

	set_escdelay(50);
	terminal = newterm(NULL, stdout, stdin);
	if (!terminal) {
		complain("this terminal is not known (TERM=%s): use --batch, or set TERM",
			 getenv("TERM") ? getenv("TERM") : "");
		return EXIT_ERROR;
	}
	cbreak();
	noecho();
	nonl();
	keypad(stdscr, TRUE);
	nodelay(stdscr, TRUE);
	curs_set(0);
	start_colours(&screen);
	run_screen(&screen, &signals);
	endwin();
	delscreen(terminal);
	return EXIT_OK;
}
