// SPDX-License-Identifier: GPL-2.0
/* What a monitor asks for, from the module's counters. */
#include <inttypes.h>
#include <string.h>
#include <sys/ioctl.h>

#include "abi/device.h"
#include "cmd/serve/output.h"
#include "cmd/serve/serve.h"
#include "util/util.h"

static uint64_t bytes_of(const struct serve *serve, int32_t device, uint32_t space)
{
	struct bufftrack_stat stat = {
		.scope = BUFFTRACK_STAT_SPACE,
		.device = (uint32_t)device,
		.space = space,
	};

	return ioctl(serve->fd, BUFFTRACK_IOC_STAT, &stat) ? 0 : stat.bytes;
}

static bool module_knows(const struct serve *serve, int32_t device)
{
	struct bufftrack_stat stat = {
		.scope = BUFFTRACK_STAT_DEVICE,
		.device = (uint32_t)device,
	};

	return !ioctl(serve->fd, BUFFTRACK_IOC_STAT, &stat);
}

static uint32_t count_devices(const struct serve *serve)
{
	struct bufftrack_stat stat = { .scope = BUFFTRACK_STAT_DEVICE };
	uint32_t nr = devices_nr(serve->devices);

	if (nr)
		return nr;
	while (device_stat_next(serve->fd, &stat) > 0)
		nr++;
	return nr;
}

static void describe_device(const struct serve *serve, int32_t device, struct device_info *info)
{
	if (device == -1) {
		info->nr_devices = count_devices(serve);
		info->available = info->nr_devices > 0;
		return;
	}
	devices_find(serve->devices, device, info);
	if (!devices_nr(serve->devices))
		info->available = module_knows(serve, device);
}

/* The answer to a QUERY or a DEVICE_INFO; false where there is none. */
bool answer_query(const struct serve *serve, const struct message *query, struct message *answer)
{
	unsigned int type;

	memset(answer, 0, sizeof(*answer));
	answer->device = query->device;
	switch (query->type) {
	case MESSAGE_QUERY:
		answer->type = MESSAGE_RESPONSE;
		for (type = 0; type < NR_BUFFER_TYPES; type++)
			answer->allocated[type] = bytes_of(serve, query->device, type);
		return true;
	case MESSAGE_DEVICE_INFO:
		answer->type = MESSAGE_DEVICE_INFO_RESPONSE;
		describe_device(serve, query->device, &answer->info);
		return true;
	}
	return false;
}

static void dump_device(const struct serve *serve, uint64_t device)
{
	struct bufftrack_stat stat = { .scope = BUFFTRACK_STAT_SPACE, .device = device };

	output_line(serve->output, "Device %" PRIu64 ":", device);
	while (device_stat_next(serve->fd, &stat) > 0)
		if (stat.live)
			output_line(serve->output, "  %s: %llu buffers, %llu bytes",
				    buffer_type_name(stat.space), (unsigned long long)stat.live,
				    (unsigned long long)stat.bytes);
}

/* What is still allocated, to the server's own output, as the original does it. */
void answer_dump(const struct serve *serve)
{
	struct bufftrack_stat stat = { .scope = BUFFTRACK_STAT_DEVICE }, all = { .scope = 0 };

	if (ioctl(serve->fd, BUFFTRACK_IOC_STAT, &all))
		return;
	output_line(serve->output, "REMAINING ALLOCATED BUFFERS: %llu",
		    (unsigned long long)all.live);
	while (device_stat_next(serve->fd, &stat) > 0)
		if (stat.live)
			dump_device(serve, stat.device);
}
