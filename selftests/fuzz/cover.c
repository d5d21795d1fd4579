// SPDX-License-Identifier: GPL-2.0
/*
 * Coverage by KCOV. The kernel writes each place that an instrumented object
 * passes on behalf of the task. Places are counted from the module's beginning,
 * so that they are the same wherever it was loaded.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>

#include <linux/kcov.h>

#include "fuzz.h"

#define KCOV_NODE "/sys/kernel/debug/kcov"
#define AREA_WORDS (64U << 10)

/* The kernel's unsigned long: it has 64 bits. The first says how many follow. */
struct area {
	int fd;
	uint64_t *words;
};

static struct area areas[COVER_TASKS];
static uint64_t text_begin, text_end;
static bool guided;

unsigned int edges_count(const struct edges *edges)
{
	unsigned int i, n = 0;

	for (i = 0; i < EDGE_WORDS; i++)
		n += __builtin_popcountll(edges->words[i]);
	return n;
}

unsigned int edges_new(const struct edges *edges, const struct edges *known)
{
	unsigned int i, n = 0;

	for (i = 0; i < EDGE_WORDS; i++)
		n += __builtin_popcountll(edges->words[i] & ~known->words[i]);
	return n;
}

bool edges_within(const struct edges *edges, const struct edges *all)
{
	return !edges_new(edges, all);
}

void edges_add(struct edges *to, const struct edges *edges)
{
	unsigned int i;

	for (i = 0; i < EDGE_WORDS; i++)
		to->words[i] |= edges->words[i];
}

void edges_without(struct edges *edges, const struct edges *known)
{
	unsigned int i;

	for (i = 0; i < EDGE_WORDS; i++)
		edges->words[i] &= ~known->words[i];
}

void edges_both(struct edges *edges, const struct edges *other)
{
	unsigned int i;

	for (i = 0; i < EDGE_WORDS; i++)
		edges->words[i] &= other->words[i];
}

static void find_module(void)
{
	FILE *modules = fopen("/proc/modules", "re");
	unsigned long long begin, size;
	char line[512], name[64];

	while (modules && fgets(line, sizeof(line), modules)) {
		if (sscanf(line, "%63s %llu %*s %*s %*s %llx", name, &size, &begin) == 3 &&
		    !strcmp(name, "bufftrack")) {
			text_begin = begin;
			text_end = begin + size;
		}
	}
	if (modules)
		fclose(modules);
}

static bool area_init(struct area *area)
{
	area->fd = open(KCOV_NODE, O_RDWR | O_CLOEXEC);
	if (area->fd < 0 || ioctl(area->fd, KCOV_INIT_TRACE, AREA_WORDS))
		return false;
	area->words = mmap(NULL, AREA_WORDS * sizeof(uint64_t), PROT_READ | PROT_WRITE, MAP_SHARED,
			   area->fd, 0);
	return area->words != MAP_FAILED;
}

/* True where the kernel can tell; whether the module asked for it is seen later. */
bool cover_init(void)
{
	int i;

	find_module();
	if (!text_begin)
		return false;
	for (i = 0; i < COVER_TASKS; i++) {
		if (!area_init(&areas[i]))
			return false;
	}
	guided = true;
	return true;
}

/* From here on the calling thread writes to that area, until it ends. */
void cover_attach(enum cover_task task)
{
	if (guided && ioctl(areas[task].fd, KCOV_ENABLE, KCOV_TRACE_PC))
		die("KCOV_ENABLE: %s", strerror(errno));
}

void cover_begin(enum cover_task task)
{
	if (guided)
		__atomic_store_n(&areas[task].words[0], 0, __ATOMIC_RELAXED);
}

/* Adds what was passed since cover_begin(), as edges of a command of that kind. */
void cover_end(enum cover_task task, enum kind kind, struct edges *edges)
{
	uint64_t n, i, pc, prev = kind, edge;

	if (!guided)
		return;
	n = __atomic_load_n(&areas[task].words[0], __ATOMIC_RELAXED);
	if (n >= AREA_WORDS)
		n = AREA_WORDS - 1;
	for (i = 1; i <= n; i++) {
		pc = areas[task].words[i];
		if (pc < text_begin || pc >= text_end)
			continue;
		pc -= text_begin;
		edge = (prev * 0x9e3779b97f4a7c15ULL ^ pc) * 0xbf58476d1ce4e5b9ULL;
		edge >>= 64 - EDGE_BITS;
		edges->words[edge / 64] |= 1ULL << edge % 64;
		prev = pc + NR_KINDS;
	}
}
