// SPDX-License-Identifier: GPL-2.0
/* Whose call a stack is of. */
#include <stdio.h>
#include <string.h>

#include "symbol/stack.h"
#include "util/util.h"

static unsigned int nr_tests, failed;

static void check(bool good, const char *name)
{
	printf("%sok %u - %s\n", good ? "" : "not ", ++nr_tests, name);
	failed += !good;
}

static bool is_caller(struct stack_frame *frames, size_t nr, const char *symbol)
{
	const struct stack stack = { .frames = frames, .nr = nr };
	const struct stack_frame *found = stack_caller(&stack);

	return found ? strcmp(found->symbol, symbol) == 0 : !symbol;
}

int main(void)
{
	struct stack_frame shared[] = {
		{ .module = "/lib/x86_64-linux-gnu/libc.so.6", .symbol = "__GI___ioctl" },
		{ .module = "/usr/local/lib/libbufftrack.so.0", .symbol = "free_one" },
		{ .module = "/opt/libtt_metal.so", .symbol = "Buffer::deallocate" },
		{ .module = "/opt/test", .symbol = "main" },
	};
	struct stack_frame linked[] = {
		{ .module = "/opt/test", .symbol = "ioctl" },
		{ .module = "/opt/test", .symbol = "bufftrack_free" },
		{ .module = "/opt/test", .symbol = "release" },
	};

	check(is_caller(shared, ARRAY_SIZE(shared), "Buffer::deallocate"),
	      "beneath libc and libbufftrack");
	check(is_caller(linked, ARRAY_SIZE(linked), "release"), "in a static program");
	check(is_caller(shared + 2, 2, "Buffer::deallocate"), "the innermost, where it is one");
	check(is_caller(shared, 2, "__GI___ioctl"), "nobody: the innermost");
	check(is_caller(shared, 0, NULL), "no frames");
	printf("1..%u\n", nr_tests);
	return failed ? 1 : 0;
}
