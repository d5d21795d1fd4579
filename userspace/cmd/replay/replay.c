// SPDX-License-Identifier: GPL-2.0
/* replay: a recorded log, through the device. */
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <search.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <unistd.h>

#include "abi/device.h"
#include "cmd/command.h"
#include "cmd/replay/replay.h"
#include "ledger/balance.h"
#include "util/json.h"
#include "util/options.h"
#include "util/util.h"

#define PAGE_LIVES 512

/* Where clients have closed, only the kernel knows what still lives. */
static bool read_live(struct replay *replay)
{
	struct bufftrack_list query = { 0 };
	struct bufftrack_life *page;
	struct balance_key **keys, *key, wanted;
	uint32_t i;
	size_t k;

	for (k = balance_keys(replay->balance, &keys); k-- > 0;)
		keys[k]->live = false;
	page = xrealloc(NULL, PAGE_LIVES, sizeof(*page));
	do {
		query.entries = (uintptr_t)page;
		query.nr = PAGE_LIVES;
		query.entry_size = sizeof(*page);
		if (ioctl(replay->fd, BUFFTRACK_IOC_LIST, &query)) {
			complain("cannot list: %s", strerror(errno));
			free(page);
			return false;
		}
		for (i = 0; i < query.nr; i++) {
			wanted = (struct balance_key){
				.device = page[i].device,
				.buffer = page[i].buffer,
				.client = page[i].flags & BUFFTRACK_LIFE_PRIVATE ? page[i].client
										 : 0,
				.space = page[i].space,
			};
			key = balance_find(replay->balance, &wanted);
			if (key)
				key->live = true;
		}
	} while (query.nr);
	free(page);
	return true;
}

static void print_json(const struct replay *replay)
{
	struct json_object *object = json_object_new_object();

	balance_json(replay->balance, object, true);
	json_add_number(object, "clients", replay->nr_clients);
	json_add_number(object, "ignored", replay->ignored);
	json_add_number(object, "failed", replay->failed);
	json_print(object);
}

static void print_text(const struct replay *replay)
{
	balance_print(replay->balance, "lines of the log");
	balance_print_count("clients", replay->nr_clients, "");
	balance_print_count("ignored", replay->ignored, "lines that tell of neither");
	balance_print_worst(replay->balance);
}

/* A log can have more processes than a process may have open files at first. */
static void raise_open_files(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit))
		return;
	limit.rlim_cur = limit.rlim_max;
	setrlimit(RLIMIT_NOFILE, &limit);
}

static bool open_replay(struct replay *replay)
{
	struct bufftrack_info info = { 0 };

	replay->fd = device_open();
	if (replay->fd < 0)
		return false;
	if (ioctl(replay->fd, BUFFTRACK_IOC_INFO, &info)) {
		complain("cannot ask the module what it can do: %s", strerror(errno));
		close(replay->fd);
		return false;
	}
	replay->features = info.features;
	replay->max_batch = info.max_batch ? info.max_batch : BATCH_OPS;
	replay->balance = balance_new();
	raise_open_files();
	return true;
}

static void close_replay(struct replay *replay)
{
	tdestroy(replay->clients, replay_free_client);
	tdestroy(replay->places, free);
	tdestroy(replay->generations, free);
	balance_free(replay->balance);
	free(replay->types);
	free(replay->labelled);
	close(replay->fd);
}

/* What bad verdicts exit with is @error_exitcode. */
static int run_replay(struct replay *replay, FILE *log, bool json, bool quiet, int error_exitcode)
{
	int ret = EXIT_ERROR;

	if (!open_replay(replay))
		return EXIT_ERROR;
	/* The summary is of what there is before the clients close. */
	if (replay_read_log(replay, log) && (!replay->closed_any || read_live(replay))) {
		balance_sum_up(replay->balance);
		if (json && !quiet)
			print_json(replay);
		else if (!quiet)
			print_text(replay);
		ret = EXIT_OK;
	}
	if (ret == EXIT_OK && !balance_calls(replay->balance))
		complain("the log tells of no alloc and no free (%" PRIu64 " lines)",
			 replay->ignored);
	if (replay->failed) {
		complain("%" PRIu64 " lines could not be replayed: %s%s", replay->failed,
			 strerror(replay->error),
			 replay->error == ENOSPC
				 ? "\n  (raise the parameters max_buffers or max_devices)"
				 : "");
		ret = EXIT_ERROR;
	}
	if (ret == EXIT_OK && replay->failing)
		ret = error_exitcode;
	close_replay(replay);
	return ret;
}

static int replay_main(int argc, char **argv)
{
	bool json = false, quiet = false, from_stdin;
	uint64_t error_exitcode = EXIT_OK;
	const struct option_spec options[] = {
		OPTION_NUMBER('e', "error-exitcode", &error_exitcode, .max = 255,
			      .range = "at most 255"),
		OPTION_FLAG('j', "json", &json),
		OPTION_FLAG('q', "quiet", &quiet),
	};
	int ret = command_options(&cmd_replay, argc, argv, options, ARRAY_SIZE(options));
	struct replay *replay;
	FILE *log;

	if (ret != COMMAND_GO_ON)
		return ret;
	if (argc - optind != 1) {
		complain(optind < argc ? "replay takes one log at a time"
				       : "which log? ('-' for standard input)");
		return command_misused(&cmd_replay);
	}

	from_stdin = strcmp(argv[optind], "-") == 0;
	log = from_stdin ? stdin : fopen(argv[optind], "re");
	if (!log) {
		complain("cannot open %s: %s", argv[optind], strerror(errno));
		return EXIT_ERROR;
	}
	replay = xrealloc(NULL, 1, sizeof(*replay));
	memset(replay, 0, sizeof(*replay));
	ret = run_replay(replay, log, json, quiet, (int)error_exitcode);
	free(replay);
	if (!from_stdin)
		fclose(log);
	return ret;
}

const struct command cmd_replay = {
	.name = "replay",
	.help = "feed a recorded log through the device",
	.usage = "Usage: bufftrack replay [OPTION...] FILE\n"
		 "Reports the allocs and frees of a recorded log to the module, and sums up\n"
		 "its verdicts. FILE is a log of the allocation server, or what\n"
		 "'bufftrack watch --all --json' wrote; '-' is standard input. Other lines are\n"
		 "ignored. Each process of the log becomes one client. At the end they close:\n"
		 "what is live then leaks, after the summary was taken.\n"
		 "\n"
		 "The keys are those of the log, in the namespace of the machine: on one whose\n"
		 "devices have these ids too, the verdicts of both mix.\n"
		 "\n"
		 "Options:\n"
		 "  -e, --error-exitcode N  what a bad free exits with (0)\n"
		 "  -h, --help              this text\n"
		 "  -j, --json              the summary as one JSON object\n"
		 "  -q, --quiet             no summary\n"
		 "\n"
		 "Examples:\n"
		 "  bufftrack replay server.log\n"
		 "  zcat server.log.gz | bufftrack replay --json - | jq .over_freed\n",
	.run = replay_main,
};
