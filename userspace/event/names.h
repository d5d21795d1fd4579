/* SPDX-License-Identifier: GPL-2.0 */
#ifndef BUFFTRACK_NAMES_H
#define BUFFTRACK_NAMES_H

#include <stdint.h>
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

/**
 * struct info_word - one of BUFFTRACK_INFO_*
 * @word: as JSON has it
 * @note: what a report says of it; NULL where the report says it elsewhere
 */
struct info_word {
	uint32_t bit;
	const char *word;
	const char *note;
};

const struct info_word *info_words(void);
const char *verdict_name(unsigned int verdict);
unsigned int verdict_of_name(const char *name);
const struct state_words *state_words(unsigned int state);

#endif
