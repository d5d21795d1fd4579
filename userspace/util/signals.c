// SPDX-License-Identifier: GPL-2.0
/* The signals that end a command which goes on until then. */
#include <stddef.h>

#include "util/signals.h"
#include "util/util.h"

static volatile sig_atomic_t stopped;
static sigset_t caught;
static bool passed_on; /* those that are caught: they stop nobody */

static void stop(int signal)
{
	(void)signal;
	stopped = 1;
}

/* As if one of them had come; for a handler. */
void signals_stop(void)
{
	stopped = 1;
}

/*
 * The signals that end it are let in only while it waits, so that none is missed
 * and what has to be put back is put back in every case. Fills in the mask for that.
 */
void signals_catch(sigset_t *while_waiting)
{
	static const int ending[] = { SIGINT, SIGTERM, SIGHUP, SIGQUIT };
	struct sigaction action = { .sa_handler = stop };
	struct sigaction inherited;
	size_t i;

	sigemptyset(&caught);
	for (i = 0; i < ARRAY_SIZE(ending); i++) {
		/* nohup(1) is heeded; a script's & has SIGINT ignored, too. */
		sigaction(ending[i], NULL, &inherited);
		if (ending[i] == SIGHUP && inherited.sa_handler == SIG_IGN)
			continue;
		sigaction(ending[i], &action, NULL);
		sigaddset(&caught, ending[i]);
	}
	signal(SIGPIPE, SIG_IGN);
	passed_on = false;
	sigprocmask(SIG_BLOCK, &caught, while_waiting);
	for (i = 0; i < ARRAY_SIZE(ending); i++)
		sigdelset(while_waiting, ending[i]);
}

/* Instead, for who has blocked them, and has a handler that passes them on. */
void signals_pass_on(const sigset_t *blocked)
{
	caught = *blocked;
	passed_on = true;
}

/* Those that have come: a wait that finds something at once, or that is long, lets none in. */
void signals_let_in(void)
{
	sigprocmask(SIG_UNBLOCK, &caught, NULL);
	sigprocmask(SIG_BLOCK, &caught, NULL);
}

/* Whether one of them has come while they were kept out. */
bool signals_pending(void)
{
	sigset_t pending;

	if (passed_on)
		return false;
	sigpending(&pending);
	sigandset(&pending, &pending, &caught);
	return !sigisemptyset(&pending);
}

/* Whether one of them has come. A ppoll() that finds something ready lets none in. */
bool signals_stopped(void)
{
	return stopped || signals_pending();
}
