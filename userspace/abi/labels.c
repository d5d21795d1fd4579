// SPDX-License-Identifier: GPL-2.0
/*
 * The names of devices and spaces. The kernel keeps them, a report wants them;
 * the events do not carry them.
 */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "abi/device.h"
#include "abi/labels.h"
#include "util/util.h"

/* How often, at most, the names are read again. */
#define READ_AGAIN_NS NSEC_PER_SEC

struct label {
	uint64_t device;
	uint32_t space;
	bool of_space;
	char name[BUFFTRACK_NAME_LEN];
};

struct labels {
	struct label *table;
	size_t nr;
	uint64_t read_at; /* 0 where never */
	bool of_recording; /* the module that is loaded now may have other ones */
};

struct labels *labels_new(void)
{
	struct labels *labels = xrealloc(NULL, 1, sizeof(*labels));

	*labels = (struct labels){ 0 };
	return labels;
}

/* Those of a recording, which has none. */
struct labels *labels_of_recording(void)
{
	struct labels *labels = labels_new();

	labels->of_recording = true;
	return labels;
}

void labels_free(struct labels *labels)
{
	free(labels->table);
	free(labels);
}

/* Those of another module, which is gone: the next one's have to be read. */
void labels_forget(struct labels *labels)
{
	labels->nr = 0;
	labels->read_at = 0;
}

static struct label *find_label(const struct labels *labels, uint64_t device, const uint32_t *space)
{
	struct label *label;

	for (label = labels->table; label < labels->table + labels->nr; label++) {
		if (label->device != device || label->of_space != !!space)
			continue;
		if (!space || label->space == *space)
			return label;
	}
	return NULL;
}

static void add_label(struct labels *labels, const struct bufftrack_stat *stat)
{
	bool of_space = stat->scope == BUFFTRACK_STAT_SPACE;
	struct label *label = find_label(labels, stat->device, of_space ? &stat->space : NULL);

	if (!label) {
		if (!stat->name[0])
			return;
		labels->table = xrealloc(labels->table, labels->nr + 1, sizeof(*labels->table));
		label = &labels->table[labels->nr++];
		label->device = stat->device;
		label->space = stat->space;
		label->of_space = of_space;
	}
	copy_text(label->name, sizeof(label->name), stat->name, sizeof(stat->name));
}

/* Reads all names through the open device @fd; those of what is gone are kept. */
void labels_read(struct labels *labels, int fd)
{
	struct bufftrack_stat device = { .scope = BUFFTRACK_STAT_DEVICE };
	struct bufftrack_stat space;

	labels->read_at = monotonic_ns();
	while (device_stat_next(fd, &device) > 0) {
		add_label(labels, &device);
		space = (struct bufftrack_stat){
			.scope = BUFFTRACK_STAT_SPACE,
			.device = device.device,
		};
		while (device_stat_next(fd, &space) > 0)
			add_label(labels, &space);
	}
}

/*
 * A name may have been given since. The device is open for that moment only, as who
 * holds it open keeps the module from being unloaded.
 */
static const char *look_up(struct labels *labels, uint64_t device, const uint32_t *space)
{
	const struct label *label;
	int fd = -1;

	if (!labels->of_recording &&
	    (!labels->read_at || monotonic_ns() - labels->read_at >= READ_AGAIN_NS)) {
		labels->read_at = monotonic_ns();
		fd = device_try_open();
	}
	if (fd >= 0) {
		labels_read(labels, fd);
		close(fd);
	}
	label = find_label(labels, device, space);
	return label && label->name[0] ? label->name : NULL;
}

/* The name of a device, NULL where it has none: until the next look. */
const char *labels_device(struct labels *labels, uint64_t device)
{
	return look_up(labels, device, NULL);
}

/* The name of a space of a device, NULL where it has none. */
const char *labels_space(struct labels *labels, uint64_t device, uint32_t space)
{
	return look_up(labels, device, &space);
}
