// SPDX-License-Identifier: LGPL-2.1-or-later OR MIT
/*
 * Finds a function's entry in a library's unwind tables: .eh_frame, by way of the sorted table
 * in .eh_frame_hdr. Both are described in the Linux Standard Base.
 */
#include "cfi.h"

#if BUFFTRACK_RULES

#define ENC_UDATA4 0x03
#define ENC_DATAREL_SDATA4 0x3b

/* An entry of .eh_frame: its length first. Returns the offset of its content. */
static struct reader read_entry(const uint8_t *at)
{
	struct reader reader = { .at = at, .end = at + 12 };
	uint64_t length = read_bytes(&reader, 4);

	if (length == 0xffffffff)
		length = read_bytes(&reader, 8);
	reader.end = reader.at + length;
	reader.bad = !length;
	return reader;
}

static int32_t table_word(const uint8_t *table, size_t i)
{
	int32_t word;

	memcpy(&word, table + i * sizeof(word), sizeof(word));
	return word;
}

/*
 * The entry of the function that @pc may be in: the last that begins at or before it.
 * NULL where there is none; *unsorted where the library has no table to look it up in.
 */
static const uint8_t *find_entry(const uint8_t *hdr, uintptr_t pc, bool *unsorted)
{
	struct reader reader = { .at = hdr + 4, .end = hdr + 20 };
	int64_t wanted = (int64_t)(pc - (uintptr_t)hdr);
	size_t low = 0, high, middle;
	const uint8_t *table;

	*unsorted = hdr[0] != 1 || hdr[2] != ENC_UDATA4 || hdr[3] != ENC_DATAREL_SDATA4;
	if (*unsorted)
		return NULL;
	read_encoded(&reader, hdr[1]); /* the section's address */
	high = read_bytes(&reader, 4);
	*unsorted = reader.bad;
	table = reader.at;
	while (low < high) {
		middle = low + (high - low) / 2;
		if (table_word(table, 2 * middle) <= wanted)
			low = middle + 1;
		else
			high = middle;
	}
	return low ? hdr + table_word(table, 2 * (low - 1) + 1) : NULL;
}

/* The data that the letters after 'z' stand for. Returns false for an unknown letter. */
static bool read_augmentation(struct cie *cie, const char *letters, struct reader data)
{
	uint8_t encoding;

	for (; *letters; letters++) {
		switch (*letters) {
		case 'R':
			cie->encoding = read_bytes(&data, 1);
			break;
		case 'L':
			read_bytes(&data, 1);
			break;
		case 'P': /* where it leads to does not matter here, how long it is does */
			encoding = read_bytes(&data, 1);
			read_encoded(&data, (encoding & 0x70) == 0x50 ? 0xff : encoding & 0x0f);
			break;
		case 'S':
			cie->signal = true;
			break;
		default:
			return false;
		}
	}
	return !data.bad;
}

/* Returns false where it says what is not known here. */
static bool read_cie(const uint8_t *at, struct cie *cie)
{
	struct reader reader = read_entry(at);
	const char *augmentation;
	uint64_t version, size;
	struct reader data;

	*cie = (struct cie){ .encoding = ENC_ABSOLUTE };
	if (read_bytes(&reader, 4) != 0)
		return false;
	version = read_bytes(&reader, 1);
	augmentation = (const char *)reader.at;
	skip(&reader, strnlen(augmentation, reader.end - reader.at) + 1);
	cie->code_align = read_uleb(&reader);
	cie->data_align = read_sleb(&reader);
	if ((version == 1 ? read_bytes(&reader, 1) : read_uleb(&reader)) != REG_RA ||
	    (version != 1 && version != 3) || reader.bad)
		return false;
	cie->augmented = *augmentation == 'z';
	if (cie->augmented) {
		size = read_uleb(&reader);
		data = reader;
		skip(&reader, size);
		if (!read_augmentation(cie, augmentation + 1, data))
			return false;
	} else if (*augmentation) {
		return false;
	}
	cie->instructions = reader;
	return !reader.bad;
}

uint64_t bufftrack_eh_frame_rule(const void *eh_frame_hdr, uintptr_t pc)
{
	uintptr_t begin, size;
	struct reader reader;
	const uint8_t *entry;
	struct cie cie;
	bool unsorted;
	uint32_t back;

	entry = find_entry(eh_frame_hdr, pc, &unsorted);
	if (!entry)
		return unsorted ? RULE_OTHER : RULE_NO_TABLE;
	reader = read_entry(entry);
	entry = reader.at;
	back = read_bytes(&reader, 4);
	if (reader.bad || !back || !read_cie(entry - back, &cie))
		return RULE_OTHER;
	begin = read_encoded(&reader, cie.encoding);
	size = read_encoded(&reader, cie.encoding & 0x0f);
	if (reader.bad)
		return RULE_OTHER;
	if (pc < begin || pc - begin >= size)
		return RULE_NO_TABLE;
	if (cie.signal)
		return RULE_OTHER | RULE_FIRST_BYTE;
	if (cie.augmented)
		skip(&reader, read_uleb(&reader));
	return bufftrack_cfi_rule(&cie, begin, reader, pc);
}

#endif /* BUFFTRACK_RULES */
