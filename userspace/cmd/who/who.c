// SPDX-License-Identifier: GPL-2.0
/* who: whose buffer lies at an address. */
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "abi/device.h"
#include "abi/labels.h"
#include "cmd/command.h"
#include "cmd/who/who.h"
#include "symbol/stack.h"
#include "util/options.h"
#include "util/util.h"

#define ENDED_TOLD 4

/* Nothing is known there: why that may be. */
static void complain_unknown(const struct who_query *who)
{
	struct bufftrack_stat stat = { .scope = BUFFTRACK_STAT_ALL };
	char evicted[96] = "";

	if (!ioctl(who->fd, BUFFTRACK_IOC_STAT, &stat) && stat.evicted)
		snprintf(evicted, sizeof(evicted),
			 "\n  %" PRIu64 " older record%s evicted: load with a larger history=",
			 (uint64_t)stat.evicted, stat.evicted == 1 ? " was" : "s were");
	complain("no buffer at 0x%" PRIx64 " is on record%s%s%s", who->around.address,
		 who->filter.flags & (BUFFTRACK_LIST_DEVICE | BUFFTRACK_LIST_SPACE)
			 ? " there: try without --device and --space"
			 : "",
		 evicted,
		 geteuid() ? "\n  not root: the buffers of other users are not shown" : "");
}

static int run_who(struct who_query *who)
{
	int ret = EXIT_OK;

	who->fd = device_open();
	if (who->fd < 0)
		return EXIT_ERROR;
	who->style.labels = labels_new();
	who->style.stacks = stacks_new();
	labels_read(who->style.labels, who->fd);
	if (around_read(&who->around, who->fd, &who->filter)) {
		complain("cannot list: %s", strerror(errno));
		ret = EXIT_ERROR;
	} else {
		who->now = monotonic_ns();
		if (who->json)
			who_print_json(who);
		else
			who_print_text(who);
		if (!who->around.nr) {
			complain_unknown(who);
			ret = EXIT_ERROR;
		}
	}
	around_free(&who->around);
	labels_free(who->style.labels);
	stacks_free(who->style.stacks);
	close(who->fd);
	return ret;
}

static int who_main(int argc, char **argv)
{
	struct who_query who = { .limit = ENDED_TOLD };
	struct bufftrack_list *filter = &who.filter;
	bool by_device = false, by_space = false;
	uint64_t device = 0, space = 0;
	const struct option_spec options[] = {
		OPTION_NUMBER('d', "device", &device, .given = &by_device),
		OPTION_FLAG('j', "json", &who.json),
		OPTION_NUMBER('n', "limit", &who.limit),
		OPTION_NUMBER('S', "space", &space, .given = &by_space, .max = UINT32_MAX),
	};
	int ret = command_options(&cmd_who, argc, argv, options, ARRAY_SIZE(options));

	if (ret != COMMAND_GO_ON)
		return ret;
	if (argc - optind != 1) {
		complain("who takes one address");
		return command_misused(&cmd_who);
	}
	if (!parse_number(argv[optind], &who.around.address)) {
		complain("not an address: %s (decimal, or 0x and hexadecimal)", argv[optind]);
		return command_misused(&cmd_who);
	}
	filter->device = device;
	filter->space = (uint32_t)space;
	filter->flags = BUFFTRACK_LIST_DEAD | (by_device ? BUFFTRACK_LIST_DEVICE : 0) |
			(by_space ? BUFFTRACK_LIST_SPACE : 0);
	return run_who(&who);
}

const struct command cmd_who = {
	.name = "who",
	.help = "say whose buffer lies at an address",
	.usage = "Usage: bufftrack who [OPTION...] ADDRESS\n"
		 "Says which buffer lies at an address, or did, on any device: who holds it, who\n"
		 "allocated and freed it and from where, and what lies next to it. The buffers of\n"
		 "the caller's user; root's are those of all.\n"
		 "\n"
		 "Options:\n"
		 "  -d, --device ID  on one device only\n"
		 "  -h, --help       this text\n"
		 "  -j, --json       one JSON object a line, for each buffer\n"
		 "  -n, --limit N    of those that have ended the latest N only (4 if not\n"
		 "                   given); 0: all\n"
		 "  -S, --space N    in one memory space only\n"
		 "\n"
		 "Exit codes: 0 a buffer lies or lay there, 1 none is on record, or it failed,\n"
		 "2 misused.\n"
		 "\n"
		 "Examples:\n"
		 "  bufftrack who 0x2010\n"
		 "  bufftrack who 0x2000 --device 2 --json | jq .holders\n",
	.run = who_main,
};
