/* SPDX-License-Identifier: GPL-2.0 */
#ifndef BUFFTRACK_NAMES_H
#define BUFFTRACK_NAMES_H

#include <linux/bufftrack.h>

/**
 * struct state_words - what a state of a life is called
 * @name: as list has it
 * @reason: as the end of a life, in JSON
 * @letter: as the end of a life, in a history
 * @offence: the part of the task that ended it, in a report
 * @by: the same, in a list
 */
struct state_words {
	const char *name;
	const char *reason;
	char letter;
	const char *offence;
	const char *by;
};

const char *verdict_name(unsigned int verdict);
unsigned int verdict_of_name(const char *name);
const struct state_words *state_words(unsigned int state);

#endif
