// SPDX-License-Identifier: GPL-2.0
/* diff: which bad verdicts and leaks are new, which are gone, and which have grown. */
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>

#include "cmd/command.h"
#include "cmd/diff/diff.h"
#include "report/site.h"
#include "util/json.h"
#include "util/options.h"
#include "util/util.h"

#define DEFAULT_ERROR_EXITCODE 3

enum change { SAME, NEW, GONE, GREW, SHRANK, NR_CHANGES };

static const char *const change_names[] = {
	[SAME] = "same", [NEW] = "new", [GONE] = "gone", [GREW] = "grew", [SHRANK] = "shrank",
};

struct diff {
	bool json;
	struct sites good;
	struct sites new;
	uint64_t counts[NR_CHANGES]; /* of sites */
};

static enum change change_of(const struct site *before, const struct site *after)
{
	if (!before)
		return NEW;
	if (!after)
		return GONE;
	if (after->nr > before->nr)
		return GREW;
	return after->nr < before->nr ? SHRANK : SAME;
}

static void print_change(const struct diff *diff, enum change change, const struct site *before,
			 const struct site *after)
{
	static const struct site nothing;
	struct json_object *object;
	const char *name = before ? before->name : after->name;

	before = before ? before : &nothing;
	after = after ? after : &nothing;
	if (!diff->json) {
		printf("%-6s %8" PRIu64 " -> %-8" PRIu64 " %s\n", change_names[change], before->nr,
		       after->nr, name);
		return;
	}
	object = json_object_new_object();
	json_add_text(object, "change", change_names[change]);
	json_add_text(object, "site", name);
	json_add_number(object, "before", before->nr);
	json_add_number(object, "after", after->nr);
	json_add_number(object, "bytes_before", before->bytes);
	json_add_number(object, "bytes_after", after->bytes);
	json_print(object);
}

/* Takes in a change; tells it where it is one of those that are asked for. */
static void take(struct diff *diff, enum change wanted, const struct site *before,
		 const struct site *after)
{
	enum change change = change_of(before, after);

	if (change != wanted)
		return;
	diff->counts[change]++;
	if (change != SAME)
		print_change(diff, change, before, after);
}

static void compare(struct diff *diff)
{
	static const enum change order[] = { NEW, GREW, SHRANK, GONE, SAME };
	size_t i, k;

	for (i = 0; i < ARRAY_SIZE(order); i++) {
		for (k = 0; order[i] != GONE && k < diff->new.nr; k++)
			take(diff, order[i], sites_find(&diff->good, diff->new.table[k]->name),
			     diff->new.table[k]);
		for (k = 0; order[i] == GONE && k < diff->good.nr; k++)
			take(diff, GONE, diff->good.table[k],
			     sites_find(&diff->new, diff->good.table[k]->name));
	}
}

static void print_summary(const struct diff *diff)
{
	struct json_object *object;
	int i;

	if (!diff->json) {
		printf("sites: %" PRIu64 " new, %" PRIu64 " grew, %" PRIu64 " shrank, %" PRIu64
		       " gone, %" PRIu64 " the same\n",
		       diff->counts[NEW], diff->counts[GREW], diff->counts[SHRANK],
		       diff->counts[GONE], diff->counts[SAME]);
		return;
	}
	object = json_object_new_object();
	json_add_text(object, "event", "summary");
	for (i = 0; i < NR_CHANGES; i++)
		json_add_number(object, change_names[i], diff->counts[i]);
	json_print(object);
}

static int run_diff(struct diff *diff, char **paths, int error_exitcode)
{
	int ret = EXIT_ERROR;

	if (diff_read(&diff->good, paths[0]) && diff_read(&diff->new, paths[1])) {
		sites_sort(&diff->good);
		sites_sort(&diff->new);
		compare(diff);
		print_summary(diff);
		ret = diff->counts[NEW] || diff->counts[GREW] ? error_exitcode : EXIT_OK;
	}
	sites_free(&diff->good);
	sites_free(&diff->new);
	return ret;
}

static int diff_main(int argc, char **argv)
{
	uint64_t error_exitcode = DEFAULT_ERROR_EXITCODE;
	struct diff diff = { 0 };
	const struct option_spec options[] = {
		OPTION_NUMBER('e', "error-exitcode", &error_exitcode, .max = 255,
			      .range = "at most 255"),
		OPTION_FLAG('j', "json", &diff.json),
	};
	int ret = command_options(&cmd_diff, argc, argv, options, ARRAY_SIZE(options));

	if (ret != COMMAND_GO_ON)
		return ret;
	if (argc - optind != 2) {
		complain("which two files? (the good one, and the new one)");
		return command_misused(&cmd_diff);
	}
	return run_diff(&diff, argv + optind, (int)error_exitcode);
}

const struct command cmd_diff = {
	.name = "diff",
	.help = "compare the bad frees and leaks of two runs",
	.usage = "Usage: bufftrack diff [OPTION...] GOOD NEW\n"
		 "Compares two runs by the sites of their bad verdicts and leaks: which are new,\n"
		 "which are gone, and which have more reports than before. GOOD and NEW are what\n"
		 "'bufftrack run', 'watch' or 'report' printed, as text or as JSON, or recordings\n"
		 "of trace-cmd or perf. The line of a source file does not matter.\n"
		 "Exits with 3 where a site is new or has grown.\n"
		 "\n"
		 "Options:\n"
		 "  -e, --error-exitcode N  what to exit with there (3)\n"
		 "  -h, --help              this text\n"
		 "  -j, --json              one JSON object a line, the summary last\n"
		 "\n"
		 "Example:\n"
		 "  bufftrack diff good.jsonl run.jsonl\n",
	.run = diff_main,
};
