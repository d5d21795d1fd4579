// SPDX-License-Identifier: GPL-2.0
/*
 * The same pairs, seen from outside: two functions, a uprobe on each, and a BPF
 * program of the fewest instructions that keep a hash map of what is live. The
 * functions begin with a nop, which the kernel need not step over.
 */
#include <bpf/bpf.h>
#include <errno.h>
#include <linux/bpf.h>
#include <linux/perf_event.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "bench.h"

#define KEYS 1024
#define ROUNDS 8

/* struct pt_regs, as a program that a uprobe runs sees it */
#define REG_DI 112
#define REG_SI 104

#define INSN(c, d, s, o, i) \
	((struct bpf_insn){ .code = (c), .dst_reg = (d), .src_reg = (s), .off = (o), .imm = (i) })
#define LOAD(d, s, o) INSN(BPF_LDX | BPF_DW | BPF_MEM, d, s, o, 0)
#define STORE(d, o, s) INSN(BPF_STX | BPF_DW | BPF_MEM, d, s, o, 0)
#define MOVE(d, s) INSN(BPF_ALU64 | BPF_MOV | BPF_X, d, s, 0, 0)
#define SET(d, i) INSN(BPF_ALU64 | BPF_MOV | BPF_K, d, 0, 0, i)
#define ADD(d, i) INSN(BPF_ALU64 | BPF_ADD | BPF_K, d, 0, 0, i)
#define MAP(d, fd) INSN(BPF_LD | BPF_DW | BPF_IMM, d, BPF_PSEUDO_MAP_FD, 0, fd), INSN(0, 0, 0, 0, 0)
#define CALL(f) INSN(BPF_JMP | BPF_CALL, 0, 0, 0, f)
#define EXIT INSN(BPF_JMP | BPF_EXIT, 0, 0, 0, 0)

__attribute__((noinline, noclone)) void bench_alloc(uint64_t buffer, uint64_t size);
__attribute__((noinline, noclone)) void bench_free(uint64_t buffer);

__attribute__((naked)) void bench_alloc(uint64_t buffer, uint64_t size)
{
	(void)buffer;
	(void)size;
	__asm__ volatile("nop; ret");
}

__attribute__((naked)) void bench_free(uint64_t buffer)
{
	(void)buffer;
	__asm__ volatile("nop; ret");
}

static int load_alloc(int map)
{
	const struct bpf_insn program[] = {
		LOAD(BPF_REG_2, BPF_REG_1, REG_DI),
		STORE(BPF_REG_10, -8, BPF_REG_2),
		LOAD(BPF_REG_3, BPF_REG_1, REG_SI),
		STORE(BPF_REG_10, -16, BPF_REG_3),
		MAP(BPF_REG_1, map),
		MOVE(BPF_REG_2, BPF_REG_10),
		ADD(BPF_REG_2, -8),
		MOVE(BPF_REG_3, BPF_REG_10),
		ADD(BPF_REG_3, -16),
		SET(BPF_REG_4, BPF_ANY),
		CALL(BPF_FUNC_map_update_elem),
		SET(BPF_REG_0, 0),
		EXIT,
	};

	return bpf_prog_load(BPF_PROG_TYPE_KPROBE, "bench_alloc", "GPL", program,
			     sizeof(program) / sizeof(program[0]), NULL);
}

static int load_free(int map)
{
	const struct bpf_insn program[] = {
		LOAD(BPF_REG_2, BPF_REG_1, REG_DI),
		STORE(BPF_REG_10, -8, BPF_REG_2),
		MAP(BPF_REG_1, map),
		MOVE(BPF_REG_2, BPF_REG_10),
		ADD(BPF_REG_2, -8),
		CALL(BPF_FUNC_map_delete_elem),
		SET(BPF_REG_0, 0),
		EXIT,
	};

	return bpf_prog_load(BPF_PROG_TYPE_KPROBE, "bench_free", "GPL", program,
			     sizeof(program) / sizeof(program[0]), NULL);
}

/* Where in its file a function of this program lies. */
static uint64_t offset_in_file(const void *function)
{
	uint64_t address = (uintptr_t)function, from, to, offset, found = 0;
	FILE *maps = fopen("/proc/self/maps", "r");
	char line[4352];

	if (!maps)
		die("/proc/self/maps");
	while (!found && fgets(line, sizeof(line), maps))
		if (sscanf(line, "%lx-%lx %*s %lx", &from, &to, &offset) == 3 && address >= from &&
		    address < to)
			found = address - from + offset;
	fclose(maps);
	return found;
}

static int attach(int program, const void *function)
{
	static const char self[] = "/proc/self/exe";
	struct perf_event_attr attr = {
		.size = sizeof(attr),
		.config1 = (uintptr_t)self,
		.config2 = offset_in_file(function),
	};
	FILE *type = fopen("/sys/bus/event_source/devices/uprobe/type", "r");
	int fd;

	if (!type || fscanf(type, "%u", &attr.type) != 1)
		die("the uprobe event source");
	fclose(type);
	fd = syscall(SYS_perf_event_open, &attr, getpid(), -1, -1, PERF_FLAG_FD_CLOEXEC);
	if (fd < 0)
		die("a uprobe");
	if (ioctl(fd, PERF_EVENT_IOC_SET_BPF, program) || ioctl(fd, PERF_EVENT_IOC_ENABLE, 0))
		die("a uprobe's program");
	return fd;
}

static unsigned int known(int map)
{
	uint64_t key, *last = NULL;
	unsigned int nr = 0;

	for (; !bpf_map_get_next_key(map, last, &key); nr++)
		last = &key;
	return nr;
}

bool measure_uprobe(const struct row *row, struct sample *sample)
{
	unsigned int round, i;
	int map, programs[2], probes[2];

	(void)row;
	map = bpf_map_create(BPF_MAP_TYPE_HASH, "bench", sizeof(uint64_t), sizeof(uint64_t),
			     KEYS * 2, NULL);
	if (map < 0)
		return cannot(sample, "this kernel has no BPF for us: %s", strerror(errno));
	programs[0] = load_alloc(map);
	programs[1] = load_free(map);
	if (programs[0] < 0 || programs[1] < 0)
		die("a BPF program");
	probes[0] = attach(programs[0], bench_alloc);
	probes[1] = attach(programs[1], bench_free);

	for (round = 0; round <= ROUNDS; round++) {
		if (round == 1)
			begin(sample);
		for (i = 0; i < KEYS; i++)
			bench_alloc(0x20000000 + i * 8192, 8192);
		/* In the warm-up, so that what is measured is what is meant */
		if (!round && known(map) != KEYS)
			return cannot(sample, "the uprobes did not run their programs");
		for (i = 0; i < KEYS; i++)
			bench_free(0x20000000 + i * 8192);
	}
	end(sample, KEYS * ROUNDS * 2);
	for (i = 0; i < 2; i++) {
		close(probes[i]);
		close(programs[i]);
	}
	close(map);
	return true;
}
