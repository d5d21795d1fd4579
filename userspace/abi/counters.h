/* SPDX-License-Identifier: GPL-2.0 */
#ifndef BUFFTRACK_COUNTERS_H
#define BUFFTRACK_COUNTERS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <linux/bufftrack.h>

struct json_object;

/**
 * struct counters - what the module counted, as it was read at once
 * @spaces: those of all devices, in the devices' order
 * @clients: all but the reader, in the order in which they came into being
 */
struct counters {
	struct bufftrack_info info;
	struct bufftrack_stat all;
	struct bufftrack_stat *devices;
	struct bufftrack_stat *spaces;
	struct bufftrack_stat *clients;
	size_t nr_devices;
	size_t nr_spaces;
	size_t nr_clients;
};

bool counters_read(struct counters *counters, int fd);
void counters_free(struct counters *counters);

uint64_t counters_bad(const struct bufftrack_stat *stat);
uint64_t counters_bad_frees(const struct bufftrack_stat *stat);
bool counters_is_bad_free(unsigned int verdict);
void counters_name(const struct bufftrack_stat *stat, char text[BUFFTRACK_NAME_LEN]);

void counters_add_json(struct json_object *object, const struct bufftrack_stat *stat);
struct json_object *counters_space_json(const struct bufftrack_stat *stat);
struct json_object *counters_device_json(const struct bufftrack_stat *stat);

#endif
