// SPDX-License-Identifier: GPL-2.0
/* The parser of logs, against lines as they are printed. */
#include <inttypes.h>
#include <linux/bufftrack.h>
#include <stdio.h>
#include <string.h>

#include "source/replay_parse.h"
#include "util/util.h"

static const struct {
	const char *name;
	const char *text;
	bool ignored;
	struct replay_line line;
} cases[] = {
	{
		.name = "alloc",
		.text = "✓ [PID 71] Allocated 524288 bytes of L1 on device 0 "
			"(buffer_id=25718784)\n",
		.line = { REPLAY_ALLOC, .client = 71, .size = 524288, .buffer = 25718784,
			  .type = "L1" },
	},
	{
		.name = "alloc with references",
		.text = "✓ [PID 71] Allocated 524288 bytes of L1_SMALL on device 3 "
			"(buffer_id=25718784, ref_count=2)\n",
		.line = { REPLAY_ALLOC, .client = 71, .size = 524288, .device = 3,
			  .buffer = 25718784, .type = "L1_SMALL" },
	},
	{
		.name = "free, references remain",
		.text = "✗ [PID 71] Freed buffer 25718784 on device 0 (524288 bytes, "
			"ref_count=1 remaining)\n",
		.line = { REPLAY_FREE, .client = 71, .buffer = 25718784 },
	},
	{
		.name = "last free",
		.text = "✗ [PID 71] Freed buffer 25718784 on device 0 (524288 bytes, FINAL)",
		.line = { REPLAY_FREE, .client = 71, .buffer = 25718784 },
	},
	{
		.name = "free of an unknown buffer",
		.text = "⚠ [PID 71] Deallocation for unknown buffer 25718784 on device 0 "
			"(allocated before tracking started)\n",
		.line = { REPLAY_FREE, .client = 71, .buffer = 25718784 },
	},
	{
		.name = "the sign as an emoji",
		.text = "⚠️  [PID 71] Deallocation for unknown buffer 1 on device 0\n",
		.line = { REPLAY_FREE, .client = 71, .buffer = 1 },
	},
	{
		.name = "short alloc",
		.text = "✓ Allocated buffer 694996096 on device 4  → allocation_status_ = "
			"ALLOCATED\n",
		.line = { REPLAY_ALLOC, .buffer = 694996096, .device = 4 },
	},
	{
		.name = "short free",
		.text = "✗ Freed buffer 694996096 on device 4      → allocation_status_ = "
			"DEALLOCATED\n",
		.line = { REPLAY_FREE, .buffer = 694996096, .device = 4 },
	},
	{
		.name = "short unknown",
		.text = "✗ Unknown buffer 694996096 on device 4    ← Extra free from old "
			"reference!\n",
		.line = { REPLAY_FREE, .buffer = 694996096, .device = 4 },
	},
	{
		.name = "colours and a carriage return",
		.text = "\033[32m✓\033[0m [PID 7] \033[1;33mAllocated\033[0m 8 bytes of "
			"DRAM on device 1 (buffer_id=9)\r\n",
		.line = { REPLAY_ALLOC, .client = 7, .size = 8, .device = 1, .buffer = 9,
			  .type = "DRAM" },
	},
	{
		.name = "a time before it",
		.text = "2025-11-03 12:00:01.123 | ✗ [PID 7] Freed buffer 9 on device 1 (8 "
			"bytes, FINAL)\n",
		.line = { REPLAY_FREE, .client = 7, .device = 1, .buffer = 9 },
	},
	{
		.name = "another line's mark before it",
		.text = "✓ done ✗ [PID 7] Freed buffer 9 on device 1\n",
		.line = { REPLAY_FREE, .client = 7, .device = 1, .buffer = 9 },
	},
	{
		.name = "the largest buffer",
		.text = "✗ Freed buffer 18446744073709551615 on device 0\n",
		.line = { REPLAY_FREE, .buffer = UINT64_MAX },
	},
	{ .name = "empty", .text = "\n", .ignored = true },
	{ .name = "prose", .text = "Freed buffer 9 on device 1\n", .ignored = true },
	{ .name = "a mark only", .text = "✓\n", .ignored = true },
	{ .name = "no number", .text = "✗ Freed buffer x on device 1\n", .ignored = true },
	{ .name = "no device", .text = "✗ Freed buffer 9\n", .ignored = true },
	{ .name = "no buffer",
	  .text = "✓ [PID 1] Allocated 8 bytes of L1 on device 1\n",
	  .ignored = true },
	{ .name = "cut short", .text = "✓ [PID 7", .ignored = true },
	{ .name = "a number too large",
	  .text = "✗ Freed buffer 18446744073709551616 on device 0\n",
	  .ignored = true },
	{ .name = "a word for a number",
	  .text = "✗ Freed buffer 12ab on device 0\n",
	  .ignored = true },
	{
		.name = "JSON alloc",
		.text = "{\"event\":\"alloc\",\"device\":\"0x4\",\"device_label\":null,"
			"\"space\":1,\"space_label\":\"L1\",\"buffer\":\"0x296ccc80\","
			"\"size\":8192,\"generation\":1025,\"token\":0,\"tag\":\"0x7\","
			"\"flags\":[\"shared\"],\"offender\":{\"pid\":42}}\n",
		.line = { REPLAY_ALLOC, .client = 42, .device = 4, .buffer = 0x296ccc80,
			  .size = 8192, .tag = 7, .generation = 1025, .flags = BUFFTRACK_F_SHARED,
			  .space = 1, .has_space = true, .type = "L1" },
	},
	{
		.name = "JSON bad free of a client",
		.text = "{\"event\":\"stale_free\",\"device\":\"0xffffffffffffffff\","
			"\"space\":0,\"buffer\":\"0x10\",\"generation\":1026,"
			"\"token\":1025,\"client\":5,\"offender\":{\"pid\":42}}",
		.line = { REPLAY_FREE, .client = 5, .device = UINT64_MAX, .buffer = 16,
			  .token = 1025, .has_space = true },
	},
	{
		.name = "JSON close",
		.text = "{\"event\":\"client_close\",\"client\":5,\"leaks\":2}",
		.line = { REPLAY_CLOSE, .client = 5 },
	},
	{ .name = "JSON leak",
	  .text = "{\"event\":\"leak\",\"device\":\"0x4\",\"buffer\":\"0x1\"}",
	  .ignored = true },
	{ .name = "JSON missed free",
	  .text = "{\"event\":\"missed_free\",\"device\":\"0x4\",\"buffer\":\"0x1\"}",
	  .ignored = true },
	{ .name = "JSON of others", .text = "{\"a\":1}", .ignored = true },
	{ .name = "JSON broken", .text = "{\"event\":\"alloc\"", .ignored = true },
	{ .name = "JSON event no text",
	  .text = "{\"event\":{},\"device\":\"0x4\",\"buffer\":\"0x1\"}",
	  .ignored = true },
	{ .name = "JSON id no number",
	  .text = "{\"event\":\"free\",\"device\":\"four\",\"buffer\":\"0x1\"}",
	  .ignored = true },
};

static bool same(const struct replay_line *a, const struct replay_line *b)
{
	return a->kind == b->kind && a->client == b->client && a->device == b->device &&
	       a->buffer == b->buffer && a->size == b->size && a->tag == b->tag &&
	       a->generation == b->generation && a->token == b->token && a->flags == b->flags &&
	       a->space == b->space && a->has_space == b->has_space &&
	       strcmp(a->type, b->type) == 0;
}

static void print(const char *what, const struct replay_line *line)
{
	printf("# %s: kind %d client %" PRIu64 " device %" PRIu64 " buffer %" PRIu64
	       " size %" PRIu64 " generation %" PRIu64 " token %" PRIu64
	       " flags %u space %u%s type '%s'\n",
	       what, line->kind, line->client, line->device, line->buffer, line->size,
	       line->generation, line->token, line->flags, line->space,
	       line->has_space ? "" : " (none)", line->type);
}

int main(void)
{
	struct replay_line line;
	unsigned int failed = 0;
	char text[1024];
	bool found, good;
	size_t i;

	printf("1..%zu\n", ARRAY_SIZE(cases));
	for (i = 0; i < ARRAY_SIZE(cases); i++) {
		snprintf(text, sizeof(text), "%s", cases[i].text);
		found = replay_parse(text, &line);
		good = found != cases[i].ignored && (!found || same(&line, &cases[i].line));
		printf("%sok %zu - %s\n", good ? "" : "not ", i + 1, cases[i].name);
		if (good)
			continue;
		failed++;
		print("expected", &cases[i].line);
		if (found)
			print("got", &line);
		else
			printf("# got: ignored\n");
	}
	return failed ? 1 : 0;
}
