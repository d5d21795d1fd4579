// SPDX-License-Identifier: GPL-2.0
/* Names that processes chose, as a terminal is given them. */
#include <stdio.h>
#include <string.h>

#include "util/util.h"

static const struct {
	const char *name, *from, *to;
	size_t room; /* 0 for enough */
} cases[] = {
	{ .name = "ASCII is kept", .from = "a b~", .to = "a b~" },
	{ .name = "so are letters of any language",
	  .from = "\u00e9\u4e2d\U0001f600",
	  .to = "\u00e9\u4e2d\U0001f600" },
	{ .name = "control characters of ASCII", .from = "a\033[1m\a\n\177b", .to = "a?[1m???b" },
	{ .name = "C1 control characters: CSI, OSC",
	  .from = "a\xc2\x9b 1m\xc2\x9d",
	  .to = "a? 1m?" },
	{ .name = "the first and the last of them", .from = "\xc2\x80\xc2\x9f", .to = "??" },
	{ .name = "what comes after them is kept",
	  .from = "\xc2\xa0\xc2\xbf",
	  .to = "\xc2\xa0\xc2\xbf" },
	{ .name = "as single bytes", .from = "\x9bm", .to = "?m" },
	{ .name = "overlong", .from = "\xc1\x9b\xe0\x82\x9b", .to = "?????" },
	{ .name = "cut short", .from = "a\xc2", .to = "a?" },
	{ .name = "no character is cut", .from = "ab\u00e9", .to = "ab", .room = 4 },
};

int main(void)
{
	unsigned int failed = 0;
	char text[64];
	size_t room, i;
	bool good;

	printf("1..%zu\n", ARRAY_SIZE(cases));
	for (i = 0; i < ARRAY_SIZE(cases); i++) {
		room = sizeof(text);
		if (cases[i].room)
			room = cases[i].room;
		copy_text(text, room, cases[i].from, strlen(cases[i].from));
		good = strcmp(text, cases[i].to) == 0;
		printf("%sok %zu - %s\n", good ? "" : "not ", i + 1, cases[i].name);
		if (good)
			continue;
		failed++;
		printf("# wanted '%s', seen '%s'\n", cases[i].to, text);
	}
	return failed ? 1 : 0;
}
