// SPDX-License-Identifier: LGPL-2.1-or-later OR MIT
/*
 * The smallest use of libbufftrack: a buffer is allocated, freed, and freed again.
 *
 *	gcc simple.c $(pkg-config --cflags --libs libbufftrack)
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <bufftrack.h>

#define DEVICE 4
#define L1 1

static int say(const char *what, int err, const struct bufftrack_answer *answer)
{
	if (err) {
		fprintf(stderr, "%s: %s\n", what, strerror(-err));
		return 1;
	}
	printf("%s: %s, %u references left\n", what, bufftrack_verdict_name(answer->verdict),
	       answer->refs);
	return 0;
}

int main(void)
{
	struct bufftrack_buffer buffer = {
		.device = DEVICE,
		.space = L1,
		.buffer = 0x18870000,
		.size = 8192,
	};
	struct bufftrack_answer answer;
	struct bufftrack *bt;
	int err;

	bt = bufftrack_open("simple", 0);
	if (!bt)
		fprintf(stderr, "nothing is tracked: %s\n", strerror(errno));

	/* With or without a handle, from here on it is the same. */
	err = bufftrack_alloc(bt, &buffer, &answer);
	if (say("alloc", err, &answer))
		return 1;
	err = bufftrack_free(bt, &buffer, &answer);
	if (say("free", err, &answer))
		return 1;
	err = bufftrack_free(bt, &buffer, &answer);
	if (say("free again", err, &answer))
		return 1;

	bufftrack_close(bt);
	return 0;
}
