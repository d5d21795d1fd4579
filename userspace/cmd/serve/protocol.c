// SPDX-License-Identifier: GPL-2.0
/* The messages of the allocation server's protocol, to and from bytes. */
#include <endian.h>
#include <string.h>

#include "cmd/serve/protocol.h"

static uint32_t get32(const uint8_t *from)
{
	uint32_t value;

	memcpy(&value, from, sizeof(value));
	return le32toh(value);
}

static uint64_t get64(const uint8_t *from)
{
	uint64_t value;

	memcpy(&value, from, sizeof(value));
	return le64toh(value);
}

static void put32(uint8_t *to, uint32_t value)
{
	value = htole32(value);
	memcpy(to, &value, sizeof(value));
}

static void put64(uint8_t *to, uint64_t value)
{
	value = htole64(value);
	memcpy(to, &value, sizeof(value));
}

/* Of a client's message: what an answer would hold is not looked at. */
void message_decode(struct message *message, const uint8_t from[MESSAGE_SIZE])
{
	memset(message, 0, sizeof(*message));
	message->type = from[0];
	message->device = (int32_t)get32(from + 4);
	message->size = get64(from + 8);
	message->buffer_type = from[16];
	message->pid = (int32_t)get32(from + 20);
	message->buffer = get64(from + 24);
	message->timestamp = get64(from + 32);
}

void message_encode(const struct message *message, uint8_t to[MESSAGE_SIZE])
{
	const struct device_info *info = &message->info;

	memset(to, 0, MESSAGE_SIZE);
	to[0] = message->type;
	put32(to + 4, (uint32_t)message->device);
	put64(to + 8, message->size);
	to[16] = message->buffer_type;
	put32(to + 20, (uint32_t)message->pid);
	put64(to + 24, message->buffer);
	put64(to + 32, message->timestamp);
	put64(to + 40, message->allocated[BUFFER_DRAM]);
	put64(to + 48, message->allocated[BUFFER_L1]);
	put64(to + 56, message->allocated[BUFFER_L1_SMALL]);
	put64(to + 64, message->allocated[BUFFER_TRACE]);
	put64(to + 72, info->total_dram);
	put64(to + 80, info->total_l1);
	put32(to + 88, info->arch);
	put32(to + 92, info->dram_channels);
	put32(to + 96, info->dram_channel_size);
	put32(to + 100, info->l1_core_size);
	put32(to + 104, info->available);
	put32(to + 108, info->nr_devices);
}

/* As the original's log has it. */
const char *buffer_type_name(unsigned int type)
{
	static const char *const names[NR_BUFFER_TYPES] = {
		[BUFFER_DRAM] = "DRAM",
		[BUFFER_L1] = "L1",
		[BUFFER_SYSTEM_MEMORY] = "SYSTEM_MEMORY",
		[BUFFER_L1_SMALL] = "L1_SMALL",
		[BUFFER_TRACE] = "TRACE",
	};

	return type < NR_BUFFER_TYPES ? names[type] : "UNKNOWN";
}
