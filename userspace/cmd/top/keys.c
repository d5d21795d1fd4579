// SPDX-License-Identifier: GPL-2.0
/* top on a terminal: what the keys do. */
#include <stdio.h>
#include <ncurses.h>
#include <string.h>

#include "cmd/top/screen.h"
#include "util/util.h"

#define ESCAPE 27
#define DELETE 127
#define CTRL(letter) ((letter) - '@')

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
bool screen_take_key(struct screen *screen, int key)
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
