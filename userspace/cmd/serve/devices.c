// SPDX-License-Identifier: GPL-2.0
/*
 * What monitors ask of the devices and the module does not know: a file with a line for
 * each device, "ID WORD=NUMBER...", where # begins a comment. Sizes take K, M, G.
 */
#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cmd/serve/serve.h"
#include "util/util.h"

struct device_line {
	int32_t id;
	struct device_info info;
};

struct devices {
	struct device_line *lines;
	unsigned int nr;
};

static const struct {
	const char *word;
	size_t offset;
	bool is_64;
} words[] = {
	{ "dram", offsetof(struct device_info, total_dram), true },
	{ "l1", offsetof(struct device_info, total_l1), true },
	{ "arch", offsetof(struct device_info, arch), false },
	{ "dram_channels", offsetof(struct device_info, dram_channels), false },
	{ "dram_channel_size", offsetof(struct device_info, dram_channel_size), false },
	{ "l1_core_size", offsetof(struct device_info, l1_core_size), false },
};

static bool parse_amount(const char *text, uint64_t *value)
{
	static const char units[] = "KMG";
	char digits[24];
	const char *unit;
	size_t len = strlen(text);
	unsigned int shift = 0;

	unit = len ? strchr(units, text[len - 1]) : NULL;
	if (unit && *unit) {
		shift = 10 * (unsigned int)(unit - units + 1);
		len--;
	}
	if (!len || len >= sizeof(digits))
		return false;
	memcpy(digits, text, len);
	digits[len] = '\0';
	if (!parse_number(digits, value) || *value > UINT64_MAX >> shift)
		return false;
	*value <<= shift;
	return true;
}

static bool set_word(struct device_info *info, char *word)
{
	char *value = strchr(word, '=');
	uint64_t number;
	size_t i;

	if (!value)
		return false;
	*value++ = '\0';
	for (i = 0; i < ARRAY_SIZE(words); i++) {
		char *field = (char *)info + words[i].offset;

		if (strcmp(word, words[i].word))
			continue;
		if (!parse_amount(value, &number) || (!words[i].is_64 && number > UINT32_MAX))
			return false;
		if (words[i].is_64)
			*(uint64_t *)field = number;
		else
			*(uint32_t *)field = (uint32_t)number;
		return true;
	}
	return false;
}

static bool read_line(struct devices *devices, char *text)
{
	char *save = NULL, *word;
	struct device_line line = { .info.available = 1 };
	uint64_t id;

	text[strcspn(text, "#\n")] = '\0';
	word = strtok_r(text, " \t", &save);
	if (!word)
		return true;
	if (!parse_number(word, &id) || id > INT32_MAX)
		return false;
	line.id = (int32_t)id;
	while ((word = strtok_r(NULL, " \t", &save)))
		if (!set_word(&line.info, word))
			return false;
	devices->lines = xrealloc(devices->lines, devices->nr + 1, sizeof(*devices->lines));
	devices->lines[devices->nr++] = line;
	return true;
}

/**
 * devices_read() - read the file
 * @path: NULL: none
 *
 * Return: what it says, for devices_free(); NULL where it is wrong, which has been said.
 */
struct devices *devices_read(const char *path)
{
	struct devices *devices = xrealloc(NULL, 1, sizeof(*devices));
	unsigned int number = 0;
	char *text = NULL;
	size_t room = 0;
	bool good = true;
	FILE *file;

	*devices = (struct devices){ .nr = 0 };
	if (!path)
		return devices;
	file = fopen(path, "re");
	if (!file) {
		complain("cannot open %s: %s", path, strerror(errno));
		devices_free(devices);
		return NULL;
	}
	while (good && getline(&text, &room, file) >= 0) {
		number++;
		good = read_line(devices, text);
	}
	if (!good)
		complain("%s, line %u: want a device's number, then words such as\n"
			 "  dram=12G l1=1440M arch=2 dram_channels=12 dram_channel_size=1G\n"
			 "  l1_core_size=1464K",
			 path, number);
	free(text);
	fclose(file);
	if (good)
		return devices;
	devices_free(devices);
	return NULL;
}

void devices_free(struct devices *devices)
{
	free(devices->lines);
	free(devices);
}

unsigned int devices_nr(const struct devices *devices)
{
	return devices->nr;
}

/* Leaves @info as it is where the file has no such device. */
void devices_find(const struct devices *devices, int32_t id, struct device_info *info)
{
	unsigned int i;

	for (i = 0; i < devices->nr; i++)
		if (devices->lines[i].id == id)
			*info = devices->lines[i].info;
}
