// SPDX-License-Identifier: GPL-2.0
/* top on a terminal: the loop, which draws and waits for a key or the time. */
#include <stdio.h>
#include <ncurses.h>
#include <poll.h>
#include <stdlib.h>
#include <unistd.h>

#include "cmd/command.h"
#include "cmd/top/screen.h"
#include "report/report.h"
#include "util/signals.h"
#include "util/util.h"

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
			screen_draw(screen);
			wait_for_key(read_at + top->query.interval_ns, signals, &hung_up);
			while (!screen->quit && (key = getch()) != ERR)
				again |= screen_take_key(screen, key);
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
