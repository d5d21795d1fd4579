// SPDX-License-Identifier: GPL-2.0
/* The signals that end a command: seen also where it never waits. */
#include <poll.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "util/signals.h"
#include "util/util.h"

static unsigned int tests, failed;

/* A wait in which nothing happens, or that finds something at once. */
static void wait_once(const sigset_t *signals, bool ready)
{
	struct timespec timeout = { 0 };
	struct pollfd output = { .fd = STDOUT_FILENO, .events = ready ? POLLOUT : 0 };

	ppoll(&output, 1, &timeout, signals);
}

/* In a process of its own, as what was caught stays. @before: it is ignored there. */
static bool stops(int signal_sent, bool ready, void (*before)(void))
{
	sigset_t signals;
	int status = 0;

	if (fork()) {
		wait(&status);
		return status;
	}
	/* Whatever runs the tests may have been started by nohup. */
	signal(SIGHUP, SIG_DFL);
	if (before)
		before();
	signals_catch(&signals);
	if (signal_sent)
		raise(signal_sent);
	wait_once(&signals, ready);
	_exit(signals_stopped());
}

static void nohup(void)
{
	signal(SIGHUP, SIG_IGN);
}

/* Kept out when it was started, too. */
static void nohup_blocked(void)
{
	sigset_t hup;

	nohup();
	sigemptyset(&hup);
	sigaddset(&hup, SIGHUP);
	sigprocmask(SIG_BLOCK, &hup, NULL);
}

static void expect(const char *name, bool wanted, bool seen)
{
	tests++;
	printf("%sok %u - %s\n", wanted == seen ? "" : "not ", tests, name);
	fflush(stdout);
	failed += wanted != seen;
}

int main(void)
{
	static const int ending[] = { SIGINT, SIGTERM, SIGHUP, SIGQUIT };
	char name[64];
	size_t i;

	expect("no signal: goes on", false, stops(0, false, NULL));
	for (i = 0; i < ARRAY_SIZE(ending); i++) {
		snprintf(name, sizeof(name), "signal %d while it waits: ends", ending[i]);
		expect(name, true, stops(ending[i], false, NULL));
		snprintf(name, sizeof(name), "signal %d, and it never waits: ends", ending[i]);
		expect(name, true, stops(ending[i], true, NULL));
	}
	expect("nohup: goes on", false, stops(SIGHUP, false, nohup));
	expect("nohup, and it never waits: goes on", false, stops(SIGHUP, true, nohup));
	expect("nohup, blocked: goes on", false, stops(SIGHUP, true, nohup_blocked));
	expect("nohup, another signal: ends", true, stops(SIGTERM, true, nohup));
	printf("1..%u\n", tests);
	return failed != 0;
}
