// SPDX-License-Identifier: GPL-2.0
/* The signals that end a command which goes on until then. */
#include <stddef.h>

#include "signals.h"
#include "util.h"

static volatile sig_atomic_t stopped;
static sigset_t caught;

static void stop(int signal)
{
	(void)signal;
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
	sigprocmask(SIG_BLOCK, &caught, while_waiting);
	for (i = 0; i < ARRAY_SIZE(ending); i++)
		sigdelset(while_waiting, ending[i]);
}

/* Whether one of them has come while they were kept out. */
bool signals_pending(void)
{
	sigset_t pending;

	sigpending(&pending);
	sigandset(&pending, &pending, &caught);
	return !sigisemptyset(&pending);
}

/* Whether one of them has come. A ppoll() that finds something ready lets none in. */
bool signals_stopped(void)
{
	return stopped || signals_pending();
}
