/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What the allocation server and its clients say to each other: messages of 112 bytes on a
 * Unix stream socket, packed, little-endian.
 *
 *	 0  u8  type, 3 bytes of padding		40  u64 bytes allocated: DRAM
 *	 4  i32 device					48  u64 ... L1
 *	 8  u64 size					56  u64 ... L1_SMALL
 *	16  u8  buffer type, 3 bytes of padding		64  u64 ... TRACE
 *	20  i32 pid					72  u64 total DRAM of the device
 *	24  u64 buffer					80  u64 total L1
 *	32  u64 timestamp				88  u32 x 6: see struct device_info
 *
 * A client sends ALLOC and FREE and waits for no answer; a FREE has no buffer type, size or
 * timestamp. A monitor sends QUERY and DEVICE_INFO, each answered by one message, and DUMP,
 * for which the server prints what is still allocated.
 */
#ifndef BUFFTRACK_SERVE_PROTOCOL_H
#define BUFFTRACK_SERVE_PROTOCOL_H

#include <stdint.h>

#define MESSAGE_SIZE 112

enum message_type {
	MESSAGE_ALLOC = 1,
	MESSAGE_FREE = 2,
	MESSAGE_QUERY = 3,
	MESSAGE_RESPONSE = 4,
	MESSAGE_DUMP = 5,
	MESSAGE_DEVICE_INFO = 6,
	MESSAGE_DEVICE_INFO_RESPONSE = 7,
};

/* The buffer types, which are the spaces too. */
enum buffer_type {
	BUFFER_DRAM,
	BUFFER_L1,
	BUFFER_SYSTEM_MEMORY,
	BUFFER_L1_SMALL,
	BUFFER_TRACE,
	NR_BUFFER_TYPES,
};

/**
 * struct device_info - what a monitor asks of a device
 * @total_dram: bytes
 * @total_l1: bytes
 * @arch: 0 unknown, 1 Grayskull, 2 Wormhole_B0, 3 Blackhole, 4 Quasar
 * @dram_channels: how many
 * @dram_channel_size: bytes
 * @l1_core_size: bytes
 * @available: 1 where there is such a device
 * @nr_devices: how many there are; only where device -1 was asked for
 */
struct device_info {
	uint64_t total_dram;
	uint64_t total_l1;
	uint32_t arch;
	uint32_t dram_channels;
	uint32_t dram_channel_size;
	uint32_t l1_core_size;
	uint32_t available;
	uint32_t nr_devices;
};

/**
 * struct message - one message, in this machine's byte order
 * @type: &enum message_type, or anything else: the peer's word
 * @buffer_type: &enum buffer_type, likewise
 * @allocated: by buffer type, SYSTEM_MEMORY's left out of the message
 */
struct message {
	uint8_t type;
	uint8_t buffer_type;
	int32_t device;
	int32_t pid;
	uint64_t size;
	uint64_t buffer;
	uint64_t timestamp;
	uint64_t allocated[NR_BUFFER_TYPES];
	struct device_info info;
};

void message_decode(struct message *message, const uint8_t from[MESSAGE_SIZE]);
void message_encode(const struct message *message, uint8_t to[MESSAGE_SIZE]);
const char *buffer_type_name(unsigned int type);

#endif
