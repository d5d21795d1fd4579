// SPDX-License-Identifier: LGPL-2.1-or-later OR MIT
/*
 * Executes call frame instructions (DWARF, "Call Frame Information") up to one address, and
 * makes a rule out of the row that they came to. What a rule cannot say becomes RULE_OTHER.
 */
#include "cfi.h"

#if BUFFTRACK_RULES

/* DWARF's numbers of registers */
#define REG_FP 6
#define REG_SP 7

#define OP_DEREF 0x06
#define OP_BREG_FP (0x70 + REG_FP)

/* remember_state may nest, in what compilers write once or twice. */
#define REMEMBERED 8

/* rbp as a frame pointer points to where it was saved, below the return address. */
#define SAVED_BELOW_FP 16

enum how { HOW_SAME, HOW_AT_CFA, HOW_UNDEFINED, HOW_AT_FP, HOW_OTHER };

struct value {
	enum how how;
	int64_t offset;
};

/* What is known of a frame at one instruction */
struct row {
	bool cfa_in_memory; /* at rbp + offset */
	bool other; /* a rule cannot say it */
	uint64_t cfa_register;
	int64_t cfa_offset;
	struct value fp;
	struct value ra;
};

struct machine {
	const struct cie *cie;
	uintptr_t location;
	struct row row;
	struct row initial;
	struct row remembered[REMEMBERED];
	unsigned int depth;
};

/* ---- executing ------------------------------------------------------------ */

static void set_value(struct row *row, uint64_t reg, enum how how, int64_t offset)
{
	struct value value = { how, offset };

	if (reg == REG_FP)
		row->fp = value;
	else if (reg == REG_RA)
		row->ra = value;
	else if (reg == REG_SP && how != HOW_SAME)
		row->other = true; /* the caller's rsp is not the CFA */
}

static void restore_value(struct machine *machine, uint64_t reg)
{
	if (reg == REG_FP)
		machine->row.fp = machine->initial.fp;
	else if (reg == REG_RA)
		machine->row.ra = machine->initial.ra;
}

/* "breg6 n; deref", that is the word at rbp + n: gcc's way with realigned stacks */
static void set_cfa_expression(struct row *row, struct reader *reader)
{
	uint64_t size = read_uleb(reader);
	struct reader expression = { .at = reader->at };
	int64_t offset;

	skip(reader, size);
	expression.end = reader->at;
	row->cfa_in_memory = true;
	if (read_bytes(&expression, 1) != OP_BREG_FP)
		row->other = true;
	offset = read_sleb(&expression);
	if (read_bytes(&expression, 1) != OP_DEREF || expression.bad ||
	    expression.at != expression.end)
		row->other = true;
	row->cfa_offset = offset;
}

/* A register that lies at the address that an expression gives: "breg6 0" is understood. */
static void set_expression(struct row *row, struct reader *reader)
{
	uint64_t reg = read_uleb(reader);
	uint64_t size = read_uleb(reader);
	const uint8_t *at = reader->at;

	skip(reader, size);
	if (!reader->bad && size == 2 && at[0] == OP_BREG_FP && at[1] == 0)
		set_value(row, reg, HOW_AT_FP, 0);
	else
		set_value(row, reg, HOW_OTHER, 0);
}

static void set_cfa(struct row *row, uint64_t reg, int64_t offset)
{
	row->cfa_in_memory = false;
	row->cfa_register = reg;
	row->cfa_offset = offset;
}

static void remember(struct machine *machine)
{
	if (machine->depth == REMEMBERED)
		machine->row.other = true;
	else
		machine->remembered[machine->depth++] = machine->row;
}

static void recall(struct machine *machine)
{
	if (!machine->depth)
		machine->row.other = true;
	else
		machine->row = machine->remembered[--machine->depth];
}

/* DW_CFA_*: those that say something of the CFA */
static bool run_cfa(struct machine *machine, struct reader *reader, uint8_t op)
{
	struct row *row = &machine->row;
	uint64_t reg;

	switch (op) {
	case 0x0c: /* def_cfa */
		reg = read_uleb(reader);
		set_cfa(row, reg, read_uleb(reader));
		return true;
	case 0x12: /* def_cfa_sf */
		reg = read_uleb(reader);
		set_cfa(row, reg, read_sleb(reader) * machine->cie->data_align);
		return true;
	case 0x0d: /* def_cfa_register */
		set_cfa(row, read_uleb(reader), row->cfa_offset);
		return true;
	case 0x0e: /* def_cfa_offset */
		row->cfa_offset = read_uleb(reader);
		return true;
	case 0x13: /* def_cfa_offset_sf */
		row->cfa_offset = read_sleb(reader) * machine->cie->data_align;
		return true;
	case 0x0f: /* def_cfa_expression */
		set_cfa_expression(row, reader);
		return true;
	default:
		return false;
	}
}

/* Those that say where a register was saved */
static bool run_saved(struct machine *machine, struct reader *reader, uint8_t op)
{
	int64_t align = machine->cie->data_align;
	struct row *row = &machine->row;
	uint64_t reg;

	switch (op) {
	case 0x05: /* offset_extended */
		reg = read_uleb(reader);
		set_value(row, reg, HOW_AT_CFA, read_uleb(reader) * align);
		return true;
	case 0x11: /* offset_extended_sf */
		reg = read_uleb(reader);
		set_value(row, reg, HOW_AT_CFA, read_sleb(reader) * align);
		return true;
	case 0x06: /* restore_extended */
		restore_value(machine, read_uleb(reader));
		return true;
	case 0x07: /* undefined */
		set_value(row, read_uleb(reader), HOW_UNDEFINED, 0);
		return true;
	case 0x08: /* same_value */
		set_value(row, read_uleb(reader), HOW_SAME, 0);
		return true;
	case 0x09: /* register */
	case 0x14: /* val_offset */
	case 0x15: /* val_offset_sf */
		set_value(row, read_uleb(reader), HOW_OTHER, 0);
		read_uleb(reader);
		return true;
	case 0x10: /* expression */
		set_expression(row, reader);
		return true;
	case 0x16: /* val_expression */
		set_value(row, read_uleb(reader), HOW_OTHER, 0);
		skip(reader, read_uleb(reader));
		return true;
	default:
		return false;
	}
}

/* The rest. Returns false for what is not known here. */
static bool run_rest(struct machine *machine, struct reader *reader, uint8_t op)
{
	switch (op) {
	case 0x00: /* nop */
		return true;
	case 0x01: /* set_loc */
		machine->location = read_encoded(reader, machine->cie->encoding);
		return true;
	case 0x02: /* advance_loc1, 2, 4 */
	case 0x03:
	case 0x04:
		machine->location += read_bytes(reader, 1U << (op - 2)) * machine->cie->code_align;
		return true;
	case 0x0a: /* remember_state */
		remember(machine);
		return true;
	case 0x0b: /* restore_state */
		recall(machine);
		return true;
	case 0x2e: /* GNU_args_size */
		read_uleb(reader);
		return true;
	default:
		return false;
	}
}

/* The instructions up to @pc. Returns false for what is not known here. */
static bool run(struct machine *machine, struct reader reader, uintptr_t pc)
{
	uint8_t op, low;

	while (reader.at < reader.end && machine->location <= pc) {
		op = read_bytes(&reader, 1);
		low = op & 0x3f;
		if (op >> 6 == 1) /* advance_loc */
			machine->location += low * machine->cie->code_align;
		else if (op >> 6 == 2) /* offset */
			set_value(&machine->row, low, HOW_AT_CFA,
				  read_uleb(&reader) * machine->cie->data_align);
		else if (op >> 6 == 3) /* restore */
			restore_value(machine, low);
		else if (!run_cfa(machine, &reader, op) && !run_saved(machine, &reader, op) &&
			 !run_rest(machine, &reader, op))
			return false;
	}
	return !reader.bad;
}

/* ---- a rule --------------------------------------------------------------- */

static uint64_t rule_of_realigned(const struct row *row)
{
	if (row->fp.how != HOW_AT_FP || row->cfa_offset % 8 ||
	    row->cfa_offset != (int32_t)row->cfa_offset)
		return RULE_OTHER;
	return RULE_REALIGNED | (uint64_t)row->cfa_offset << RULE_OFFSET_SHIFT;
}

static uint64_t rule_of(const struct row *row)
{
	int64_t below = -row->fp.offset, offset = row->cfa_offset;
	uint64_t rule = (uint64_t)offset << RULE_OFFSET_SHIFT;

	if (row->ra.how == HOW_UNDEFINED)
		return RULE_END;
	if (row->other || row->ra.how != HOW_AT_CFA || row->ra.offset != -8)
		return RULE_OTHER;
	if (row->cfa_in_memory)
		return rule_of_realigned(row);
	if (offset < 8 || offset % 8 || offset > INT32_MAX)
		return RULE_OTHER;
	if (row->cfa_register == REG_FP)
		rule |= RULE_FP;
	else if (row->cfa_register != REG_SP)
		return RULE_OTHER;
	if (row->fp.how == HOW_SAME || row->fp.how == HOW_UNDEFINED)
		return rule;
	/* Within the frame, so that nothing below it is read, whatever rbp is. */
	if (row->fp.how != HOW_AT_CFA || below < 16 || below % 8 || below / 8 > UINT16_MAX ||
	    below > (rule & RULE_FP ? SAVED_BELOW_FP : offset))
		return RULE_OTHER;
	return rule | RULE_SAVED | (RULE_SAVED_BIAS - (uint64_t)below / 8) << RULE_SAVED_SHIFT;
}

uint64_t bufftrack_cfi_rule(const struct cie *cie, uintptr_t begin, struct reader instructions,
			    uintptr_t pc)
{
	struct machine machine = { .cie = cie, .location = begin };

	if (!run(&machine, cie->instructions, UINTPTR_MAX))
		return RULE_OTHER;
	machine.initial = machine.row;
	machine.location = begin;
	if (!run(&machine, instructions, pc))
		return RULE_OTHER;
	return rule_of(&machine.row);
}

#endif /* BUFFTRACK_RULES */
