// SPDX-License-Identifier: GPL-2.0
/* report: what trace-cmd or perf has recorded, as reports and as a balance. */
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "ledger/balance.h"
#include "ledger/clock.h"
#include "cmd/command.h"
#include "event/event.h"
#include "event/filter.h"
#include "util/json.h"
#include "abi/labels.h"
#include "ledger/ledger.h"
#include "report/perfetto.h"
#include "source/recording.h"
#include "report/report.h"
#include "symbol/stack.h"
#include "util/options.h"
#include "util/util.h"

struct report {
	struct report_style style;
	const char *path;
	const char *perfetto_path;
	struct event_filter filter;
	bool json;
	bool summary_only;
	struct recording_facts facts;
	struct ledger *ledger;
	uint64_t events;
	bool translate; /* from the recording's clock to CLOCK_MONOTONIC */
	uint64_t lost_told;
};

/* The first time through: what it all comes to, and what its clock is. */
static bool take_stock(struct report *report)
{
	struct recording *recording = recording_open(report->path);
	struct recorded recorded;

	if (!recording)
		return false;
	report->ledger = ledger_new();
	while (recording_next(recording, &recorded)) {
		ledger_take(report->ledger, &recorded.event);
		report->events++;
	}
	recording_close(recording, &report->facts);
	if (report->events || (report->facts.has_uses && !report->facts.error[0]))
		return true;
	if (report->facts.error[0])
		complain("cannot read %s: %s", report->path, report->facts.error);
	else
		complain("%s has no events of bufftrack: record with\n"
			 "  'trace-cmd record -e bufftrack', or with\n"
			 "  'perf record -a -e \"bufftrack:*\"'",
			 report->path);
	return false;
}

static void find_clock(struct report *report)
{
	int64_t offset;

	if (report->facts.clock == RECORDING_CLOCK_MONOTONIC)
		return;
	report->translate = report->facts.clock == RECORDING_CLOCK_UNKNOWN &&
			    clock_offset(ledger_clock(report->ledger), 0, &offset);
	if (report->translate)
		return;
	report->style.own_clock = true;
	complain(
		"its clock is not CLOCK_MONOTONIC, and nothing in it says how far they are apart:\n"
		"  how much earlier something was is not known (record with trace-cmd -C mono,\n"
		"  or perf -k mono)");
}

static void tell_lost(struct report *report, uint64_t lost)
{
	if (lost == report->lost_told)
		return;
	if (!report->json)
		printf("BUFFTRACK: %" PRIu64 " event%s lost, %" PRIu64 " in all\n",
		       lost - report->lost_told, plural(lost - report->lost_told), lost);
	report->lost_told = lost;
}

static void tell_event(struct report *report, struct recorded *recorded)
{
	struct event *event = &recorded->event;

	tell_lost(report, recorded->lost);
	if (recorded->nr_frames)
		event->by.stack =
			stacks_resolve(report->style.stacks, recorded->frames, recorded->nr_frames);
	if (report->json)
		report_json(&report->style, event, recorded->lost);
	else
		report_text(&report->style, event, recorded->lost);
}

/* The second time through: each event. */
static bool tell_events(struct report *report, struct perfetto *perfetto)
{
	struct recording *recording = recording_open(report->path);
	struct ledger *ledger = ledger_new();
	struct recording_facts facts;
	struct recorded recorded;
	int64_t offset;

	if (!recording) {
		ledger_free(ledger);
		return false;
	}
	while (!ferror(stdout) && recording_next(recording, &recorded)) {
		if (report->translate &&
		    clock_offset(ledger_clock(report->ledger), recorded.event.by.time, &offset))
			recorded.event.by.time -= (uint64_t)offset;
		if (perfetto) {
			ledger_take(ledger, &recorded.event);
			perfetto_add(perfetto, &recorded.event, ledger);
		}
		if (!report->summary_only && event_wanted(&report->filter, &recorded.event))
			tell_event(report, &recorded);
	}
	recording_close(recording, &facts);
	ledger_free(ledger);
	return true;
}

/* What a reader of the summary has to know. */
static void print_caveats(const struct report *report, uint64_t before)
{
	if (!report->facts.has_uses)
		printf("no balance: only bad events were recorded, no allocs and frees\n");
	if (report->facts.lost_more)
		printf("events were lost, it is not known how many: the counts are too low\n");
	else if (report->facts.lost)
		printf("%" PRIu64 " event%s lost: the counts are too low by as many\n",
		       report->facts.lost, plural(report->facts.lost));
	if (before && report->facts.has_uses)
		printf("%" PRIu64
		       " reference%s from before the recording: balanced, but not among\n"
		       "    the allocs\n",
		       before, plural(before));
}

static void print_summary(const struct report *report, const struct balance *balance,
			  uint64_t before)
{
	if (!report->summary_only)
		putchar('\n');
	if (report->facts.has_uses)
		balance_print(balance, "calls, refused ones too");
	else
		balance_print_verdicts(balance, BUFFTRACK_OK + 1);
	print_caveats(report, before);
	if (report->facts.has_uses)
		balance_print_worst(balance);
}

static void print_summary_json(const struct report *report, const struct balance *balance,
			       uint64_t before)
{
	struct json_object *object = json_object_new_object();
	bool known = report->facts.has_uses;

	json_add_text(object, "event", "summary");
	balance_json(balance, object, known);
	json_add(object, "before", known ? json_object_new_uint64(before) : NULL);
	json_add_number(object, "events", report->events);
	json_add_number(object, "lost", report->facts.lost);
	json_add_bool(object, "lost_more", report->facts.lost_more);
	json_add_text(object, "no_balance",
		      known ? NULL : "only bad events were recorded, no allocs and frees");
	json_add_text(object, "damaged", report->facts.error);
	json_print(object);
}

static bool same_file(const char *a, const char *b)
{
	struct stat first, second;

	return stat(a, &first) == 0 && stat(b, &second) == 0 && first.st_dev == second.st_dev &&
	       first.st_ino == second.st_ino;
}

static bool tell_all(struct report *report)
{
	struct perfetto *perfetto = NULL;
	bool done = true;

	if (report->perfetto_path) {
		if (same_file(report->path, report->perfetto_path)) {
			complain("%s is the recording itself: give --perfetto another file",
				 report->perfetto_path);
			return false;
		}
		perfetto = perfetto_create(report->perfetto_path);
		if (!perfetto)
			return false;
	}
	if (perfetto || !report->summary_only)
		done = tell_events(report, perfetto);
	if (perfetto)
		done &= perfetto_close(perfetto);
	return done;
}

static int run_report(struct report *report)
{
	struct balance *balance;
	uint64_t before;
	bool done;

	if (!take_stock(report))
		return EXIT_ERROR;
	if (!report->summary_only || report->perfetto_path)
		find_clock(report);
	report->style.labels = labels_of_recording();
	report->style.stacks = stacks_of_recording();
	report->style.colour = report_wants_colour(stdout);
	done = tell_all(report);
	labels_free(report->style.labels);
	stacks_free(report->style.stacks);
	if (!done)
		return EXIT_ERROR;

	if (!report->summary_only)
		tell_lost(report, report->facts.lost);
	balance = ledger_close(report->ledger, &before);
	if (report->json)
		print_summary_json(report, balance, before);
	else
		print_summary(report, balance, before);
	if (!report->facts.error[0])
		return EXIT_OK;
	complain("%s could not be read to its end: %s\n"
		 "  the report covers the events before that",
		 report->path, report->facts.error);
	return EXIT_ERROR;
}

static int report_main(int argc, char **argv)
{
	struct report report = { 0 };
	const struct option_spec options[] = {
		OPTION_FLAG('a', "all", &report.filter.all),
		OPTION_NUMBER('d', "device", &report.filter.device,
			      .given = &report.filter.by_device),
		OPTION_FLAG('j', "json", &report.json),
		OPTION_TEXT('P', "perfetto", &report.perfetto_path),
		OPTION_NUMBER('p', "pid", &report.filter.pid, .given = &report.filter.by_pid),
		OPTION_FLAG('s', "summary", &report.summary_only),
	};
	int ret = command_options(&cmd_report, argc, argv, options, ARRAY_SIZE(options));

	if (ret != COMMAND_GO_ON)
		return ret;
	if (argc - optind != 1) {
		complain(optind < argc ? "report takes one recording at a time"
				       : "which recording? (a trace.dat or a perf.data)");
		return command_misused(&cmd_report);
	}
	report.path = argv[optind];
	ret = run_report(&report);
	if (report.ledger)
		ledger_free(report.ledger);
	return ret;
}

const struct command cmd_report = {
	.name = "report",
	.help = "report what trace-cmd or perf has recorded",
	.usage = "Usage: bufftrack report [OPTION...] FILE\n"
		 "Prints, of a trace.dat of trace-cmd or a perf.data of perf, the reports that\n"
		 "'bufftrack watch' would have printed, and then the balance of all buffers.\n"
		 "Needs neither the module nor root.\n"
		 "\n"
		 "Options:\n"
		 "  -a, --all           every event: each alloc, free, open, close, reset\n"
		 "  -d, --device ID     reports of one device only; the balance is of all\n"
		 "  -h, --help          this text\n"
		 "  -j, --json          one JSON object a line; the last one is the balance\n"
		 "  -P, --perfetto OUT  write a trace for https://ui.perfetto.dev: live bytes\n"
		 "                      over time, and a mark for each bad event\n"
		 "  -p, --pid PID       reports of what process PID caused; the balance is of all\n"
		 "  -s, --summary       the balance only\n"
		 "\n"
		 "Examples:\n"
		 "  sudo trace-cmd record -C mono -e bufftrack ./test\n"
		 "  bufftrack report trace.dat\n"
		 "  sudo perf record -a -g --buildid-mmap -k mono -e 'bufftrack:*' ./test\n"
		 "  sudo bufftrack report --json perf.data | jq -s 'last | .worst'\n"
		 "  bufftrack report --summary --perfetto out.json trace.dat\n",
	.run = report_main,
};
