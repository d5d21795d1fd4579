// SPDX-License-Identifier: GPL-2.0
/* How many events were lost: what the kernel counts of each ring, and what it does not. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "source/trace_private.h"

/* A counter of a CPU's stats; @name as it stands there */
static uint64_t counter(const char *stats, const char *name)
{
	const char *at = strstr(stats, name);

	return at ? strtoull(at + strlen(name), NULL, 10) : 0;
}

/*
 * Events that the ring passed over without a word: as its reader comes to the end of
 * the page that is being written, the kernel looks at the page's size first, and then
 * whether the writer has left it (__rb_get_reader_page() in kernel/trace/ring_buffer.c,
 * 6.1 to 7.2); what was written in between is dropped with the page. Such events count as
 * @entries for good. An event that can be read counts as one for a moment before it can.
 */
static void pass_over(struct trace *trace, struct cpu *cpu, uint64_t entries)
{
	const struct timespec commit = { .tv_nsec = COMMIT_NS };

	/* The ring was reset. */
	if (entries < cpu->passed_over)
		cpu->passed_over = 0;
	if (entries == cpu->passed_over || cpu->record.data)
		return;
	trace_fill(trace, cpu);
	if (cpu->record.data)
		return;
	nanosleep(&commit, NULL);
	trace_fill(trace, cpu);
	if (cpu->record.data)
		return;
	trace->lost += entries - cpu->passed_over;
	cpu->passed_over = entries;
}

static void count_lost(struct trace *trace, struct cpu *cpu)
{
	char path[64], *stats;
	uint64_t lost;

	snprintf(path, sizeof(path), "per_cpu/cpu%u/stats", cpu->nr);
	stats = tracefs_instance_file_read(trace->instance, path, NULL);
	if (!stats)
		return;
	lost = counter(stats, "\noverrun: ") + counter(stats, "\ncommit overrun: ") +
	       counter(stats, "\ndropped events: ");
	/* The counters begin anew when the module is unloaded. */
	trace->lost += lost < cpu->lost ? lost : lost - cpu->lost;
	cpu->lost = lost;
	pass_over(trace, cpu, counter(stats, "entries: "));
	free(stats);
}

/*
 * trace_count_lost - how many events were lost, until now: because they were not read in time,
 * but for the few that the kernel passes over
 */
uint64_t trace_count_lost(struct trace *trace)
{
	struct cpu *cpu;

	if (trace->own)
		return own_lost(trace->own);
	if (!trace->missed)
		return trace->lost;
	trace->missed = false;
	for (cpu = trace->cpus; cpu < trace->cpus + trace->nr_cpus; cpu++)
		count_lost(trace, cpu);
	return trace->lost;
}
