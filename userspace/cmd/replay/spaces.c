// SPDX-License-Identifier: GPL-2.0
/* replay: in which space of a device a line's buffer lies. */
#include <search.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>

#include "cmd/replay/replay.h"
#include "util/util.h"

/* The spaces that the server's names mean; others follow as they appear. */
#define SPACE_OF_UNTYPED 0

/* Where a buffer was last allocated, for the lines that do not say. */
struct place {
	uint64_t device;
	uint64_t buffer;
	uint32_t space;
};

static int compare_places(const void *first, const void *second)
{
	const struct place *a = first, *b = second;
	int order = compare_numbers(a->buffer, b->buffer);

	return order ? order : compare_numbers(a->device, b->device);
}

static uint32_t space_of_type(struct replay *replay, const char *type)
{
	static const char *const fixed[] = { "DRAM", "L1", "SYSTEM_MEMORY", "L1_SMALL", "TRACE" };
	uint32_t i;

	for (i = 0; i < ARRAY_SIZE(fixed); i++)
		if (strcmp(type, fixed[i]) == 0)
			return i;
	for (i = 0; i < replay->nr_types; i++)
		if (strcmp(type, replay->types[i].name) == 0)
			return replay->types[i].space;
	replay->types = xrealloc(replay->types, replay->nr_types + 1, sizeof(*replay->types));
	memcpy(replay->types[i].name, type, REPLAY_TYPE_LEN);
	replay->types[i].space = (uint32_t)ARRAY_SIZE(fixed) + i;
	replay->nr_types++;
	return replay->types[i].space;
}

/* Names a space as the log does, unless it has a name. */
static void label_space(struct replay *replay, uint64_t device, uint32_t space, const char *type)
{
	struct bufftrack_stat stat = {
		.scope = BUFFTRACK_STAT_SPACE,
		.device = device,
		.space = space,
	};
	struct bufftrack_label label = {
		.device = device,
		.space = space,
		.flags = BUFFTRACK_LABEL_SPACE,
	};
	size_t i;

	if (!*type || !(replay->features & BUFFTRACK_FEATURE_LABEL))
		return;
	for (i = replay->nr_labelled; i-- > 0;)
		if (replay->labelled[i].device == device && replay->labelled[i].space == space)
			return;
	replay->labelled =
		xrealloc(replay->labelled, replay->nr_labelled + 1, sizeof(*replay->labelled));
	replay->labelled[replay->nr_labelled].device = device;
	replay->labelled[replay->nr_labelled++].space = space;

	if (ioctl(replay->fd, BUFFTRACK_IOC_STAT, &stat) == 0 && stat.name[0])
		return;
	snprintf(label.label, sizeof(label.label), "%s", type);
	/* A name is a help, no more. */
	ioctl(replay->fd, BUFFTRACK_IOC_LABEL, &label);
}

/* The space of a line, which an ALLOC settles for later lines of the buffer. */
uint32_t replay_space(struct replay *replay, const struct replay_line *line)
{
	struct place wanted = {
		.device = line->device,
		.buffer = line->buffer,
		.space = SPACE_OF_UNTYPED,
	};
	struct place **found, *place;
	uint32_t space;

	if (!line->has_space && !*line->type) {
		found = tfind(&wanted, &replay->places, compare_places);
		return found ? (*found)->space : SPACE_OF_UNTYPED;
	}
	space = line->has_space ? line->space : space_of_type(replay, line->type);
	label_space(replay, line->device, space, line->type);
	if (line->kind == REPLAY_ALLOC) {
		place = replay_find_or_add(&replay->places, &wanted, sizeof(wanted),
					   compare_places);
		place->space = space;
	}
	return space;
}
