// SPDX-License-Identifier: GPL-2.0
/* Whose call a stack is of, beneath what only hands it on to the kernel. */
#include <stddef.h>
#include <string.h>

#include "symbol/stack.h"
#include "util/util.h"

/* What a call goes through on its way: begins of the names of files, and of functions. */
static const char *const files[] = { "libc.so", "libc-", "ld-linux", "libpthread", "libbufftrack" };
static const char *const functions[] = { "ioctl", "__ioctl", "___ioctl", "syscall" };
#define LIBRARY_PREFIX "bufftrack_"

static bool begins_with(const char *text, const char *begin)
{
	return strncmp(text, begin, strlen(begin)) == 0;
}

static bool hands_on(const struct stack_frame *frame)
{
	const char *file = frame->module ? strrchr(frame->module, '/') : NULL;
	size_t i;

	for (i = 0; file && i < ARRAY_SIZE(files); i++)
		if (begins_with(file + 1, files[i]))
			return true;
	if (!frame->symbol)
		return false;
	/* In a program that is linked statically they have no file of their own. */
	for (i = 0; i < ARRAY_SIZE(functions); i++)
		if (strcmp(frame->symbol, functions[i]) == 0)
			return true;
	return begins_with(frame->symbol, LIBRARY_PREFIX);
}

/**
 * stack_caller - the frame of who has reported an alloc or a free
 * @stack: as libbufftrack has collected it, or perf, which begins it with ioctl()
 *
 * The innermost frame where all of them hand the call on; NULL where there is none.
 */
const struct stack_frame *stack_caller(const struct stack *stack)
{
	size_t i;

	for (i = 0; i < stack->nr; i++)
		if (!hands_on(&stack->frames[i]))
			return &stack->frames[i];
	return stack->nr ? stack->frames : NULL;
}
