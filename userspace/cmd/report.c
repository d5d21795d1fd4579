// SPDX-License-Identifier: GPL-2.0
/* report: what trace-cmd or perf has recorded, as reports and as a balance. */
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

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
#include "report/suppress.h"
#include "symbol/stack.h"
#include "util/numbers.h"
#include "util/options.h"
#include "util/progress.h"
#include "util/signals.h"
#include "util/util.h"

/* How many events are taken between two looks at the clock and at signals. */
#define LOOK_EVERY 1024

struct report {
	struct report_style style;
	char *const *paths;
	size_t nr_paths;
	const char *name; /* of all of them, for messages */
	const char *perfetto_path;
	const char *symfs;
	const char *debug_path;
	struct event_filter filter;
	bool json;
	bool summary_only;
	struct recording_facts facts;
	struct ledger *ledger;
	uint64_t events;
	bool translate; /* from the recording's clock to CLOCK_MONOTONIC */
	uint64_t lost_told;
	uint64_t error_exitcode; /* 0: bad verdicts are no failure */
	uint64_t failing; /* verdicts that are */
	bool gen_suppressions;
	struct suppressions *suppressions; /* NULL for none */
	struct numbers clients; /* that were recorded from their first call on */
	uint64_t looked_at;
	struct progress progress;
	bool stopped; /* by Ctrl-C */
};

/* Whether to take another event: Ctrl-C ends the reading, and what was read is told. */
static bool goes_on(struct report *report, bool first)
{
	if (report->looked_at++ % LOOK_EVERY == 0) {
		report->stopped |= signals_stopped();
		if (first)
			progress_show(&report->progress, report->looked_at);
	}
	return !report->stopped;
}

/* Why there are none cannot be seen: what the module has written goes when it goes. */
static void explain_no_events(const struct report *report)
{
	complain("%s has no events of bufftrack. Either they were not recorded:\n"
		 "  'trace-cmd record -e bufftrack', or 'perf record -a -e \"bufftrack:*\"';\n"
		 "  or the module was unloaded before trace-cmd had ended: the kernel then erases\n"
		 "  its events, and they have no format any more. Unload it after the recording",
		 report->name);
	if (report->facts.unknown)
		complain("%" PRIu64 " record%s of events without a format", report->facts.unknown,
			 plural(report->facts.unknown));
}

/* Whether what is reported is known the second time through only. */
static bool decides_later(const struct report *report)
{
	return report->suppressions || report->filter.since || report->filter.until;
}

/* Takes an event that is reported, and is not suppressed, for the exit status. */
static void count_failing(struct report *report, const struct event *event)
{
	if (event->kind == EVENT_BAD)
		report->failing += verdict_is_failure(
			event->verdict, event->info, numbers_have(&report->clients, event->client));
}

/* The first time through: what it all comes to, and what its clock is. */
static bool take_stock(struct report *report)
{
	struct recording *recording = recording_open(report->paths, report->nr_paths);
	struct recorded recorded;

	if (!recording)
		return false;
	report->ledger = ledger_new();
	while (goes_on(report, true) && recording_next(recording, &recorded)) {
		ledger_take(report->ledger, &recorded.event);
		report->events++;
		if (recorded.event.kind == EVENT_CLIENT_OPEN)
			numbers_add(&report->clients, recorded.event.client);
		if (!decides_later(report) && event_wanted(&report->filter, &recorded.event))
			count_failing(report, &recorded.event);
	}
	report->stopped |= signals_stopped();
	progress_clear(&report->progress);
	recording_close(recording, &report->facts);
	if (report->events || (report->facts.allocs && !report->facts.error[0]))
		return true;
	if (report->facts.error[0])
		complain("cannot read %s: %s", report->name, report->facts.error);
	else
		explain_no_events(report);
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
	if (lost <= report->lost_told)
		return;
	if (!report->json)
		printf("BUFFTRACK: %" PRIu64 " event%s lost, %" PRIu64 " in all\n",
		       lost - report->lost_told, plural(lost - report->lost_told), lost);
	report->lost_told = lost;
}

static const struct stack dwarf_stack = {
	.why = "no stack: recorded by --call-graph dwarf, which 'perf script' unwinds",
};
static const struct stack deferred_stack = {
	.why = "no stack: the kernel recorded it later, by itself: see 'perf script'",
};

static void tell_event(struct report *report, struct recorded *recorded)
{
	struct event *event = &recorded->event;

	if (recorded->nr_frames)
		event->by.stack =
			stacks_resolve(report->style.stacks, recorded->frames, recorded->nr_frames);
	else if (recorded->chain == RECORDED_CHAIN_DWARF)
		event->by.stack = &dwarf_stack;
	else if (recorded->chain == RECORDED_CHAIN_DEFERRED)
		event->by.stack = &deferred_stack;
	if (suppressions_match(report->suppressions, &report->style, event))
		return;
	if (decides_later(report))
		count_failing(report, event);
	if (report->summary_only)
		return;
	tell_lost(report, recorded->lost);
	if (report->json)
		report_json(&report->style, event, recorded->lost);
	else
		report_text(&report->style, event, recorded->lost);
	if (report->gen_suppressions && (event->kind == EVENT_BAD || event->kind == EVENT_LEAK))
		suppression_generate(&report->style, event);
}

/* The second time through: each event. */
static bool tell_events(struct report *report, struct perfetto *perfetto)
{
	struct recording *recording = recording_open(report->paths, report->nr_paths);
	struct ledger *ledger = ledger_new();
	struct recording_facts facts;
	struct recorded recorded;
	int64_t offset;

	if (!recording) {
		ledger_free(ledger);
		return false;
	}
	while (!ferror(stdout) && goes_on(report, false) && recording_next(recording, &recorded)) {
		if (report->translate &&
		    clock_offset(ledger_clock(report->ledger), recorded.event.by.time, &offset))
			recorded.event.by.time -= (uint64_t)offset;
		if (perfetto) {
			ledger_take(ledger, &recorded.event);
			perfetto_add(perfetto, &recorded.event, ledger);
		}
		if ((!report->summary_only || decides_later(report)) &&
		    event_wanted(&report->filter, &recorded.event))
			tell_event(report, &recorded);
	}
	report->stopped |= signals_stopped();
	recording_close(recording, &facts);
	ledger_free(ledger);
	return true;
}

/* A line of what a reader of the summary has to know, of @nr things if there are any. */
static void print_caveat(uint64_t nr, const char *one, const char *what)
{
	if (nr)
		printf("%" PRIu64 " %s%s %s\n", nr, one, plural(nr), what);
}

static void print_caveats(const struct report *report, uint64_t before)
{
	const struct recording_facts *facts = &report->facts;
	const char *no_balance = recording_no_balance(facts);

	if (no_balance)
		printf("no balance: %s\n", no_balance);
	if (!report->events)
		printf("no event of bufftrack: nothing was reported while it was recorded, or the\n"
		       "    module was unloaded meanwhile, and the kernel has erased its events\n");
	if (facts->lost_more)
		printf("events were lost, it is not known how many: the counts are too low\n");
	else
		print_caveat(facts->lost, "event", "lost: the counts are too low by as many");
	print_caveat(facts->lost_shared, "event",
		     "lost, of bufftrack or of others that were recorded:\n"
		     "    the counts may be too low by as many");
	print_caveat(facts->foreign, "record",
		     "not read: the number is that of an event of bufftrack, but\n"
		     "    another module has written it before the modules were loaded anew");
	print_caveat(facts->unknown, "record",
		     "not read: the file has no format for them. Their module was\n"
		     "    unloaded meanwhile; they may be bufftrack's");
	print_caveat(facts->repeated, "event", "recorded twice, and counted once");
	if (!no_balance)
		print_caveat(before, "reference",
			     "from before the recording: balanced, but not among\n"
			     "    the allocs");
}

static void print_summary(const struct report *report, const struct balance *balance,
			  uint64_t before)
{
	bool known = !recording_no_balance(&report->facts);

	if (!report->summary_only)
		putchar('\n');
	if (known)
		balance_print(balance, "calls, refused ones too");
	else
		balance_print_verdicts(balance, BUFFTRACK_OK + 1);
	print_caveats(report, before);
	suppressions_print(report->suppressions);
	if (known)
		balance_print_worst(balance);
}

static void print_summary_json(const struct report *report, const struct balance *balance,
			       uint64_t before)
{
	struct json_object *object = json_object_new_object();
	const char *no_balance = recording_no_balance(&report->facts);
	bool known = !no_balance;

	json_add_text(object, "event", "summary");
	balance_json(balance, object, known);
	json_add(object, "before", known ? json_object_new_uint64(before) : NULL);
	json_add_number(object, "events", report->events);
	json_add_number(object, "lost", report->facts.lost);
	json_add_bool(object, "lost_more", report->facts.lost_more);
	json_add_number(object, "lost_shared", report->facts.lost_shared);
	json_add_number(object, "foreign", report->facts.foreign);
	json_add_number(object, "unknown", report->facts.unknown);
	json_add_number(object, "repeated", report->facts.repeated);
	json_add_text(object, "no_balance", no_balance);
	json_add_text(object, "damaged", report->facts.error);
	suppressions_json(report->suppressions, object);
	json_print(object);
}

static bool same_file(const char *a, const char *b)
{
	struct stat first, second;

	return stat(a, &first) == 0 && stat(b, &second) == 0 && first.st_dev == second.st_dev &&
	       first.st_ino == second.st_ino;
}

static struct perfetto *create_perfetto(const struct report *report)
{
	size_t i;

	for (i = 0; i < report->nr_paths; i++) {
		if (!same_file(report->paths[i], report->perfetto_path))
			continue;
		complain("%s is the recording itself: give --perfetto another file",
			 report->perfetto_path);
		return NULL;
	}
	return perfetto_create(report->perfetto_path);
}

static bool tell_all(struct report *report)
{
	struct perfetto *perfetto = NULL;
	bool done = true;

	if (report->perfetto_path) {
		perfetto = create_perfetto(report);
		if (!perfetto)
			return false;
	}
	if (perfetto || !report->summary_only || decides_later(report))
		done = tell_events(report, perfetto);
	if (perfetto)
		done &= perfetto_close(perfetto);
	return done;
}

/* Whether all that is in the recording was told; what is not is said. */
static bool is_complete(const struct report *report)
{
	const struct recording_facts *facts = &report->facts;

	if (report->stopped)
		complain("interrupted: the report covers the first %" PRIu64 " events",
			 report->events);
	else if (facts->error[0])
		complain("%s could not be read to its end: %s\n"
			 "  the report covers the events before that",
			 report->name, facts->error);
	else if (facts->foreign || facts->unknown)
		complain("report incomplete: %" PRIu64 " records of %s could not be read.\n"
			 "  Load and unload modules before and after a recording, not inside it",
			 facts->foreign + facts->unknown, report->name);
	return !report->stopped && !facts->error[0] && !facts->foreign && !facts->unknown;
}

/* From now on Ctrl-C ends a wait, and not the tool; a reader that goes away does. */
static void catch_signals(void)
{
	sigset_t let_in;

	signals_catch(&let_in);
	signal(SIGPIPE, SIG_DFL);
	sigprocmask(SIG_SETMASK, &let_in, NULL);
}

static int run_report(struct report *report)
{
	struct balance *balance;
	uint64_t before;
	bool done;

	catch_signals();
	if (!take_stock(report))
		return EXIT_ERROR;
	if (!report->summary_only || report->perfetto_path || decides_later(report))
		find_clock(report);
	report->style.labels = labels_of_recording();
	report->style.stacks = stacks_of_recording();
	stacks_look_in(report->style.stacks, report->symfs, report->debug_path);
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
	if (!is_complete(report))
		return EXIT_ERROR;
	return report->failing ? (int)report->error_exitcode : EXIT_OK;
}

static int report_main(int argc, char **argv)
{
	struct report report = { 0 };
	const char *suppressions = NULL;
	const struct option_spec options[] = {
		OPTION_FLAG('a', "all", &report.filter.all),
		OPTION_NUMBER(0, "client", &report.filter.client,
			      .given = &report.filter.by_client),
		OPTION_TEXT(0, "debuginfo-path", &report.debug_path),
		OPTION_NUMBER('d', "device", &report.filter.device,
			      .given = &report.filter.by_device),
		OPTION_NUMBER('e', "error-exitcode", &report.error_exitcode, .max = 255,
			      .range = "at most 255"),
		OPTION_FLAG(0, "gen-suppressions", &report.gen_suppressions),
		OPTION_FLAG('j', "json", &report.json),
		OPTION_TEXT('P', "perfetto", &report.perfetto_path),
		OPTION_NUMBER('p', "pid", &report.filter.pid, .given = &report.filter.by_pid),
		OPTION_DURATION(0, "since", &report.filter.since),
		OPTION_NUMBER(0, "space", &report.filter.space, .given = &report.filter.by_space),
		OPTION_FLAG('s', "summary", &report.summary_only),
		OPTION_TEXT(0, "suppressions", &suppressions),
		OPTION_TEXT(0, "symfs", &report.symfs),
		OPTION_NUMBER(0, "tag", &report.filter.tag, .given = &report.filter.by_tag),
		OPTION_DURATION(0, "until", &report.filter.until, .min = 1, .range = "above 0"),
	};
	int ret = command_options(&cmd_report, argc, argv, options, ARRAY_SIZE(options));

	if (ret != COMMAND_GO_ON)
		return ret;
	if (optind == argc) {
		complain("which recording? (a trace.dat or a perf.data)");
		return command_misused(&cmd_report);
	}
	if (report.json && report.gen_suppressions) {
		complain("--json and --gen-suppressions exclude each other");
		return command_misused(&cmd_report);
	}
	report.paths = argv + optind;
	report.nr_paths = (size_t)(argc - optind);
	report.name = report.nr_paths == 1 ? argv[optind] : "these recordings";
	report.progress.what = report.name;
	if (suppressions)
		report.suppressions = suppressions_read(suppressions);
	if (suppressions && !report.suppressions)
		return EXIT_ERROR;
	ret = run_report(&report);
	suppressions_free(report.suppressions);
	free(report.clients.values);
	if (report.ledger)
		ledger_free(report.ledger);
	return ret;
}

const struct command cmd_report = {
	.name = "report",
	.help = "report what trace-cmd or perf has recorded",
	.usage = "Usage: bufftrack report [OPTION...] FILE...\n"
		 "Prints, of a trace.dat of trace-cmd or a perf.data of perf, the reports that\n"
		 "'bufftrack watch' would have printed, and then the balance of all buffers.\n"
		 "Needs neither the module nor root.\n"
		 "\n"
		 "Options:\n"
		 "  -a, --all           every event: each alloc, free, open, close, reset\n"
		 "      --client ID     reports of one client only; the balance is of all\n"
		 "      --debuginfo-path DIRS  more directories with debug files, looked into\n"
		 "                      before /usr/lib/debug; colons between them\n"
		 "  -d, --device ID     reports of one device only; the balance is of all\n"
		 "  -e, --error-exitcode N\n"
		 "                      what a bad free that is reported exits with (0)\n"
		 "      --gen-suppressions\n"
		 "                      print a suppression beneath each report\n"
		 "  -h, --help          this text\n"
		 "  -j, --json          one JSON object a line; the last one is the balance\n"
		 "  -P, --perfetto OUT  write a trace for https://ui.perfetto.dev: live bytes\n"
		 "                      over time, and a mark for each bad event\n"
		 "  -p, --pid PID       reports of what process PID caused; the balance is of all\n"
		 "      --since SECONDS\n"
		 "                      reports of that time and later: as the reports have it\n"
		 "      --space N       reports of one memory space only\n"
		 "  -s, --summary       the balance only\n"
		 "      --suppressions FILE\n"
		 "                      bad verdicts that are known, and not to be reported\n"
		 "      --symfs DIR     look for files with symbols below this root\n"
		 "      --tag TAG       reports of one tag only\n"
		 "      --until SECONDS\n"
		 "                      reports of that time and earlier\n"
		 "\n"
		 "Examples:\n"
		 "  sudo trace-cmd record -C mono -e bufftrack ./test\n"
		 "  bufftrack report trace.dat\n"
		 "  sudo perf record -a -g --buildid-mmap -k mono -e 'bufftrack:*' ./test\n"
		 "  sudo bufftrack report --json perf.data | jq -s 'last | .worst'\n"
		 "  bufftrack report --summary --perfetto out.json trace.dat\n",
	.run = report_main,
};
