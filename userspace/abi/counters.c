// SPDX-License-Identifier: GPL-2.0
/* The module's counters: all, by device and space, and by client. */
#include <stdlib.h>
#include <sys/ioctl.h>

#include "abi/counters.h"
#include "abi/device.h"
#include "event/names.h"
#include "util/json.h"
#include "util/util.h"

static void append(struct bufftrack_stat **table, size_t *nr, const struct bufftrack_stat *stat)
{
	*table = xrealloc(*table, *nr + 1, sizeof(**table));
	(*table)[(*nr)++] = *stat;
}

static bool read_devices(struct counters *counters, int fd)
{
	struct bufftrack_stat device = { .scope = BUFFTRACK_STAT_DEVICE };
	struct bufftrack_stat space;
	int more, more_spaces;

	while ((more = device_stat_next(fd, &device)) > 0) {
		append(&counters->devices, &counters->nr_devices, &device);
		space = (struct bufftrack_stat){
			.scope = BUFFTRACK_STAT_SPACE,
			.device = device.device,
		};
		while ((more_spaces = device_stat_next(fd, &space)) > 0)
			append(&counters->spaces, &counters->nr_spaces, &space);
		if (more_spaces < 0)
			return false;
	}
	return more == 0;
}

/* All clients but ourselves. */
static bool read_clients(struct counters *counters, int fd)
{
	struct bufftrack_stat client = { .scope = BUFFTRACK_STAT_CLIENT };
	struct bufftrack_client self = { 0 };
	int more;

	if (ioctl(fd, BUFFTRACK_IOC_CLIENT, &self))
		return false;
	while ((more = device_stat_next(fd, &client)) > 0)
		if (client.client != self.id)
			append(&counters->clients, &counters->nr_clients, &client);
	return more == 0;
}

/* Reads them through the open device @fd; returns false with errno set. */
bool counters_read(struct counters *counters, int fd)
{
	*counters = (struct counters){ .all.scope = BUFFTRACK_STAT_ALL };
	return ioctl(fd, BUFFTRACK_IOC_INFO, &counters->info) == 0 &&
	       ioctl(fd, BUFFTRACK_IOC_STAT, &counters->all) == 0 && read_devices(counters, fd) &&
	       read_clients(counters, fd);
}

void counters_free(struct counters *counters)
{
	free(counters->devices);
	free(counters->spaces);
	free(counters->clients);
	*counters = (struct counters){ 0 };
}

/* All verdicts but OK. */
uint64_t counters_bad(const struct bufftrack_stat *stat)
{
	uint64_t sum = 0;
	size_t i;

	for (i = BUFFTRACK_OK + 1; i < ARRAY_SIZE(stat->verdicts); i++)
		sum += stat->verdicts[i];
	return sum;
}

/* Whether it is a FREE's that was refused. */
bool counters_is_bad_free(unsigned int verdict)
{
	return verdict >= BUFFTRACK_DOUBLE_FREE && verdict <= BUFFTRACK_UNKNOWN_FREE;
}

uint64_t counters_bad_frees(const struct bufftrack_stat *stat)
{
	uint64_t sum = 0;
	unsigned int i;

	for (i = 0; i < BUFFTRACK_NR_VERDICTS; i++)
		if (counters_is_bad_free(i))
			sum += stat->verdicts[i];
	return sum;
}

/* A client's name, a device's or a space's label. */
void counters_name(const struct bufftrack_stat *stat, char text[BUFFTRACK_NAME_LEN])
{
	copy_text(text, BUFFTRACK_NAME_LEN, stat->name, sizeof(stat->name));
}

void counters_add_json(struct json_object *object, const struct bufftrack_stat *stat)
{
	unsigned int i;

	json_add_number(object, "live", stat->live);
	json_add_number(object, "bytes", stat->bytes);
	json_add_number(object, "peak_bytes", stat->peak_bytes);
	json_add_number(object, "allocs", stat->allocs);
	json_add_number(object, "frees", stat->frees);
	json_add_number(object, "history", stat->history);
	json_add_number(object, "evicted", stat->evicted);
	json_add_number(object, "certain", stat->certain);
	for (i = 0; i < BUFFTRACK_NR_VERDICTS; i++)
		json_add_number(object, verdict_name(i), stat->verdicts[i]);
}

struct json_object *counters_space_json(const struct bufftrack_stat *stat)
{
	struct json_object *object = json_object_new_object();
	char label[BUFFTRACK_NAME_LEN];

	counters_name(stat, label);
	json_add_number(object, "space", stat->space);
	json_add_text(object, "space_label", label);
	counters_add_json(object, stat);
	return object;
}

/* Without its spaces. */
struct json_object *counters_device_json(const struct bufftrack_stat *stat)
{
	struct json_object *object = json_object_new_object();
	char label[BUFFTRACK_NAME_LEN];

	counters_name(stat, label);
	json_add_id(object, "device", stat->device);
	json_add_text(object, "device_label", label);
	counters_add_json(object, stat);
	json_add_number(object, "open_clients", stat->clients);
	return object;
}
