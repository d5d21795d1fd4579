// SPDX-License-Identifier: GPL-2.0
/* watch: reports as they happen. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "cmd/command.h"
#include "cmd/live.h"
#include "event/event.h"
#include "event/filter.h"
#include "source/trace.h"
#include "util/options.h"
#include "util/signals.h"
#include "util/util.h"

#define DEFAULT_BUFFER_KB 1024
/* The longest wait: the module is looked for this often. */
#define TICK_MS 1000

struct watch {
	struct live live;
	struct event_filter filter;
	bool quiet;
	uint64_t count; /* 0 for no end */
	uint64_t timeout_ns; /* 0 for none */
	uint64_t told;
};

static bool wanted(const struct watch *watch, const struct event *event)
{
	/* Our own look at the labels is no news. */
	if (!event_has_key(event) && event->kind != EVENT_RESET &&
	    event->by.pid == (uint32_t)getpid())
		return false;
	return event_wanted(&watch->filter, event);
}

static bool finished(const struct watch *watch)
{
	return watch->count && watch->told >= watch->count;
}

static void tell(struct watch *watch, const struct event *event)
{
	watch->told++;
	if (!watch->live.json)
		live_tell_lost(&watch->live);
	live_tell(&watch->live, event);
}

/* Tells the events that are there. Returns false where they cannot be written. */
static bool tell_events(struct watch *watch, bool flush, uint64_t until)
{
	struct event event;

	while (!finished(watch) && trace_next(watch->live.trace, flush, &event)) {
		if (wanted(watch, &event))
			tell(watch, &event);
		if (ferror(stdout))
			return false;
		/* A flood of events has no end of its own. */
		if (event.by.time > until || (!flush && signals_pending()))
			break;
	}
	live_tell_lost(&watch->live);
	live_tell_due(&watch->live);
	return !fflush(stdout);
}

static void say(const struct watch *watch, const char *what)
{
	if (!watch->quiet)
		complain("%s", what);
}

/* Returns false where the module came back and cannot be watched. */
static bool follow_module(struct watch *watch)
{
	switch (trace_refresh(watch->live.trace)) {
	case TRACE_SAME:
		return true;
	case TRACE_GONE:
		tell_events(watch, true, UINT64_MAX);
		live_forget_module(&watch->live);
		say(watch, "the module was unloaded; waiting for it");
		return true;
	case TRACE_BACK:
		say(watch, "watching");
		return true;
	case TRACE_FAILED:
		break;
	}
	return false;
}

/* How long to wait until the time is up, or the next look for the module. */
static int wait_ms(uint64_t until)
{
	uint64_t now = monotonic_ns();

	if (now >= until)
		return 0;
	if (until - now > TICK_MS * 1000000ULL)
		return TICK_MS;
	return (int)((until - now + 999999) / 1000000);
}

/* What it comes to where the output cannot be written: its reader may be gone. */
static int output_failed(void)
{
	if (errno == EPIPE)
		return EXIT_OK;
	complain("cannot write the output: %s", strerror(errno));
	return EXIT_ERROR;
}

static int watch_events(struct watch *watch, const sigset_t *signals)
{
	uint64_t until = UINT64_MAX;

	if (watch->timeout_ns)
		until = monotonic_ns() + watch->timeout_ns;
	if (trace_is_own(watch->live.trace))
		say(watch, "not root: the bad frees and leaks of your own programs alone");
	say(watch, "watching");
	while (!signals_stopped() && !finished(watch) && monotonic_ns() < until) {
		if (!trace_wait(watch->live.trace, wait_ms(until), signals, STDOUT_FILENO))
			return EXIT_OK;
		if (!tell_events(watch, false, until))
			return output_failed();
		if (!follow_module(watch))
			return EXIT_ERROR;
	}
	trace_stop(watch->live.trace);
	if (!tell_events(watch, true, monotonic_ns()))
		return output_failed();
	live_end_groups(&watch->live);
	return fflush(stdout) ? output_failed() : EXIT_OK;
}

static int run_watch(struct watch *watch)
{
	sigset_t signals;
	int ret;

	signals_catch(&signals);
	if (!live_open(&watch->live, watch->filter.all, false))
		return EXIT_ERROR;
	watch->live.style.colour = report_wants_colour(stdout);
	ret = watch_events(watch, &signals);
	/* What could not be written has been dealt with. */
	clearerr(stdout);
	live_close(&watch->live);
	return ret;
}

static int watch_main(int argc, char **argv)
{
	struct watch watch = { .live.buffer_kb = DEFAULT_BUFFER_KB };
	const struct option_spec options[] = {
		OPTION_FLAG('a', "all", &watch.filter.all),
		OPTION_NUMBER('b', "buffer-size", &watch.live.buffer_kb, .min = 1,
			      .range = "at least 1 (KB a CPU)"),
		OPTION_NUMBER(0, "client", &watch.filter.client, .given = &watch.filter.by_client),
		OPTION_NUMBER('c', "count", &watch.count),
		OPTION_TEXT(0, "debuginfo-path", &watch.live.debug_path),
		OPTION_NUMBER('d', "device", &watch.filter.device,
			      .given = &watch.filter.by_device),
		OPTION_FLAG('G', "no-group", &watch.live.no_group),
		OPTION_FLAG('j', "json", &watch.live.json),
		OPTION_NUMBER('p', "pid", &watch.filter.pid, .given = &watch.filter.by_pid),
		OPTION_FLAG('q', "quiet", &watch.quiet),
		OPTION_NUMBER(0, "space", &watch.filter.space, .given = &watch.filter.by_space),
		OPTION_TEXT(0, "symfs", &watch.live.symfs),
		OPTION_NUMBER(0, "tag", &watch.filter.tag, .given = &watch.filter.by_tag),
		OPTION_DURATION('t', "timeout", &watch.timeout_ns, .min = 1, .range = "above 0"),
	};
	int ret = command_options_only(&cmd_watch, argc, argv, options, ARRAY_SIZE(options));

	return ret == COMMAND_GO_ON ? run_watch(&watch) : ret;
}

const struct command cmd_watch = {
	.name = "watch",
	.help = "report bad frees and leaks as they happen",
	.usage = "Usage: bufftrack watch [OPTION...]\n"
		 "Reports bad verdicts and leaks of all processes as they happen, until it is\n"
		 "interrupted. Says \"watching\" on stderr once it is ready. Without root: those\n"
		 "of the caller's own programs, for a member of the device's group.\n"
		 "\n"
		 "Options:\n"
		 "  -a, --all               every event: each alloc, free, open, close, reset\n"
		 "  -b, --buffer-size KB    room for events not yet read, a CPU (1024)\n"
		 "      --client ID         events of one client only\n"
		 "  -c, --count N           end after N events, whole or in a count; 0: never\n"
		 "      --debuginfo-path DIRS  more directories with debug files, looked into\n"
		 "                          before /usr/lib/debug; colons between them\n"
		 "  -d, --device ID         events of one device only\n"
		 "  -G, --no-group          tell each bad free whole; otherwise those after the\n"
		 "                          fifth from the same two stacks are counted\n"
		 "  -h, --help              this text\n"
		 "  -j, --json              one JSON object a line\n"
		 "  -p, --pid PID           events that process PID caused only\n"
		 "  -q, --quiet             do not say \"watching\"\n"
		 "      --space N           events of one memory space only\n"
		 "      --symfs DIR         look for files with symbols below this root\n"
		 "      --tag TAG           events of one tag only\n"
		 "  -t, --timeout DURATION  end after that time (10s, 5m; seconds if plain)\n"
		 "\n"
		 "Examples:\n"
		 "  sudo bufftrack watch\n"
		 "  sudo bufftrack watch --json --count 1 | jq .offender\n"
		 "  sudo bufftrack watch --all --json >run.jsonl\n",
	.run = watch_main,
};
