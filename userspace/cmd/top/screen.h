/* SPDX-License-Identifier: GPL-2.0 */
/* What the files of the screen share: screen.c, draw.c, keys.c. */
#ifndef BUFFTRACK_SCREEN_H
#define BUFFTRACK_SCREEN_H

#include <stdbool.h>

#include "cmd/top/top.h"

enum view { VIEW_BOTH, VIEW_PROCESSES, VIEW_DEVICES, NR_VIEWS };

enum prompt { PROMPT_NONE, PROMPT_TEXT, PROMPT_PID, PROMPT_DEVICE, PROMPT_INTERVAL };

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

void screen_draw(struct screen *screen);
bool screen_take_key(struct screen *screen, int key);

#endif
