// SPDX-License-Identifier: GPL-2.0
/* status --prometheus: the counters as Prometheus reads them, by node_exporter's textfiles. */
#include <inttypes.h>
#include <stdio.h>

#include "abi/counters.h"
#include "cmd/metrics.h"
#include "event/names.h"
#include "util/util.h"

static void begin(const char *name, const char *type, const char *help)
{
	printf("# HELP bufftrack_%s %s\n# TYPE bufftrack_%s %s\n", name, help, name, type);
}

/* A label's value: what the format has a meaning for is escaped. */
static void print_escaped(const char *text)
{
	for (; *text; text++) {
		if (*text == '\n') {
			fputs("\\n", stdout);
			continue;
		}
		if (*text == '\\' || *text == '"')
			putchar('\\');
		putchar(*text);
	}
}

/* One metric of the whole machine */
static void print_one(const char *name, const char *type, const char *help, uint64_t value)
{
	begin(name, type, help);
	printf("bufftrack_%s %" PRIu64 "\n", name, value);
}

/* A counter of a space, by where it is in the answer */
struct part_metric {
	const char *name;
	const char *type;
	const char *help;
	size_t offset;
};

#define PART(member) offsetof(struct bufftrack_stat, member)
static const struct part_metric part_metrics[] = {
	{ "live_buffers", "gauge", "Buffers that are allocated.", PART(live) },
	{ "live_bytes", "gauge", "Bytes of the buffers that are allocated.", PART(bytes) },
	{ "peak_bytes", "gauge", "The highest that the live bytes were since the device came.",
	  PART(peak_bytes) },
	{ "allocs_total", "counter", "Allocs that counted a reference.", PART(allocs) },
	{ "frees_total", "counter", "Frees that dropped a reference.", PART(frees) },
};

static uint64_t value_at(const struct bufftrack_stat *stat, size_t offset)
{
	return *(const uint64_t *)((const char *)stat + offset);
}

static void print_part(const char *name, const struct bufftrack_stat *space, uint64_t value)
{
	printf("bufftrack_%s{device=\"0x%" PRIx64 "\",space=\"%" PRIu32 "\"} %" PRIu64 "\n", name,
	       (uint64_t)space->device, space->space, value);
}

static void print_parts(const struct counters *counters)
{
	const struct part_metric *metric;
	size_t i, j;

	for (i = 0; i < ARRAY_SIZE(part_metrics); i++) {
		metric = &part_metrics[i];
		begin(metric->name, metric->type, metric->help);
		for (j = 0; j < counters->nr_spaces; j++)
			print_part(metric->name, &counters->spaces[j],
				   value_at(&counters->spaces[j], metric->offset));
	}
}

/* The names of devices, apart: a device that is named later keeps its series. */
static void print_names(const struct counters *counters)
{
	char label[BUFFTRACK_NAME_LEN];
	size_t i;

	begin("device_info", "gauge", "The label of a device; always 1.");
	for (i = 0; i < counters->nr_devices; i++) {
		counters_name(&counters->devices[i], label);
		printf("bufftrack_device_info{device=\"0x%" PRIx64 "\",label=\"",
		       (uint64_t)counters->devices[i].device);
		print_escaped(label);
		puts("\"} 1");
	}
}

/* Of the machine, since a device's go with it: a sum must not fall. */
static void print_verdicts(const struct bufftrack_stat *all)
{
	unsigned int i;

	begin("verdicts_total", "counter", "Verdicts on allocs, frees and exits; ok is none.");
	for (i = BUFFTRACK_OK + 1; i < BUFFTRACK_NR_VERDICTS; i++)
		printf("bufftrack_verdicts_total{verdict=\"%s\"} %" PRIu64 "\n", verdict_name(i),
		       (uint64_t)all->verdicts[i]);
	print_one("certain_bad_frees_total", "counter", "Bad frees that are proven.", all->certain);
}

/**
 * metrics_print - print the counters in Prometheus's text format
 * @counters: what was read; NULL where the module is not loaded
 *
 * Clients have no series of their own: there is no bound to how many of them come and go.
 */
void metrics_print(const struct counters *counters)
{
	print_one("loaded", "gauge", "Whether the kernel module is loaded.", !!counters);
	if (!counters)
		return;
	print_one("clients", "gauge", "Clients that are open, but the one who asks.",
		  counters->nr_clients);
	print_verdicts(&counters->all);
	print_one("history_evicted_total", "counter", "Records of freed buffers given up.",
		  counters->info.evicted);
	print_one("stacks_lost_total", "counter", "Stacks that were not kept.",
		  counters->info.stacks_lost);
	print_one("logs_suppressed_total", "counter", "Lines of bad frees not logged.",
		  counters->info.logs_suppressed);
	print_one("refused_allocs_total", "counter", "Allocs refused since a limit was reached.",
		  counters->info.failed);
	print_names(counters);
	print_parts(counters);
}
