/* SPDX-License-Identifier: LGPL-2.1-or-later OR MIT */
/* Call frame instructions, and how to read what they are made of. */
#ifndef BUFFTRACK_CFI_H
#define BUFFTRACK_CFI_H

#include <string.h>

#include "unwind.h"

#if BUFFTRACK_RULES

/* DWARF's number of the return address */
#define REG_RA 16

/* How an address is encoded: the format in the low half, what it counts from in the high one. */
#define ENC_ABSOLUTE 0x00
#define ENC_PCREL 0x10

/* What is beyond the end reads as 0, and is remembered as bad. */
struct reader {
	const uint8_t *at;
	const uint8_t *end;
	bool bad;
};

/* A common information entry, which many functions' entries share */
struct cie {
	struct reader instructions;
	uint64_t code_align;
	int64_t data_align;
	uint8_t encoding;
	bool augmented; /* functions' entries hold sized augmentation data */
	bool signal;
};

/* cfi.c: the rule at @pc in the function that begins at @begin and has @instructions */
HIDDEN uint64_t bufftrack_cfi_rule(const struct cie *cie, uintptr_t begin,
				   struct reader instructions, uintptr_t pc);

static inline uint64_t read_bytes(struct reader *reader, unsigned int size)
{
	uint64_t value = 0;

	if (size > (size_t)(reader->end - reader->at)) {
		reader->bad = true;
		reader->at = reader->end;
		return 0;
	}
	memcpy(&value, reader->at, size); /* little-endian, as x86 is */
	reader->at += size;
	return value;
}

static inline uint64_t read_uleb(struct reader *reader)
{
	unsigned int shift = 0;
	uint64_t value = 0;
	uint8_t byte;

	do {
		byte = read_bytes(reader, 1);
		if (shift < 64)
			value |= (uint64_t)(byte & 0x7f) << shift;
		shift += 7;
	} while (byte & 0x80);
	return value;
}

static inline int64_t read_sleb(struct reader *reader)
{
	unsigned int shift = 0;
	uint64_t value = 0;
	uint8_t byte;

	do {
		byte = read_bytes(reader, 1);
		if (shift < 64)
			value |= (uint64_t)(byte & 0x7f) << shift;
		shift += 7;
	} while (byte & 0x80);
	if (shift < 64 && byte & 0x40)
		value |= ~0ULL << shift;
	return value;
}

static inline void skip(struct reader *reader, uint64_t size)
{
	if (size > (uint64_t)(reader->end - reader->at)) {
		reader->bad = true;
		size = reader->end - reader->at;
	}
	reader->at += size;
}

/* The formats by their low three bits; bit 3 says signed. */
static inline uint64_t read_encoded(struct reader *reader, uint8_t encoding)
{
	uintptr_t base = (uintptr_t)reader->at;
	uint64_t value;

	switch (encoding & 0x0f) {
	case 0x00:
	case 0x04:
	case 0x0c:
		value = read_bytes(reader, 8);
		break;
	case 0x02:
		value = read_bytes(reader, 2);
		break;
	case 0x03:
		value = read_bytes(reader, 4);
		break;
	case 0x0a:
		value = (int64_t)(int16_t)read_bytes(reader, 2);
		break;
	case 0x0b:
		value = (int64_t)(int32_t)read_bytes(reader, 4);
		break;
	default:
		reader->bad = true;
		return 0;
	}
	if ((encoding & 0xf0) == ENC_PCREL)
		value += base;
	else if ((encoding & 0xf0) != ENC_ABSOLUTE)
		reader->bad = true;
	return value;
}

#endif /* BUFFTRACK_RULES */
#endif /* BUFFTRACK_CFI_H */
