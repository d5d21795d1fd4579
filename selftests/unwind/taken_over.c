// SPDX-License-Identifier: GPL-2.0
/*
 * A program that is linked to libunwind before libgcc: whose functions the library takes, and
 * that its stacks are the same there. Exit status: 0 where they are libgcc's.
 */
#include <dlfcn.h>
#include <stdio.h>
#include <string.h>
#define UNW_LOCAL_ONLY
#include <libunwind.h>

/* The file itself: which functions it has found is its own. */
#include "unwind/libgcc.c"

static int is_of(const void *function, const char *library)
{
	Dl_info info;

	if (!dladdr(function, &info))
		return 0;
	if (strstr(info.dli_fname, library))
		return 1;
	printf("it is of %s, and should be of %s\n", info.dli_fname, library);
	return 0;
}

static __attribute__((noinline)) int unwind(void)
{
	uint64_t frames[2][16];
	unsigned int nr, nr_libgcc;

	nr = bufftrack_unwind(frames[0], 16, BUFFTRACK_HERE());
	nr_libgcc = bufftrack_unwind_libgcc(frames[1], 16, BUFFTRACK_HERE());
	BUFFTRACK_NO_TAIL_CALL();
	return nr >= 2 && nr == nr_libgcc && !memcmp(frames[0], frames[1], nr * sizeof(**frames));
}

int main(void)
{
	unw_context_t context;
	unw_cursor_t cursor;

	/* So that libunwind is needed */
	if (unw_getcontext(&context) || unw_init_local(&cursor, &context))
		return 99;
	if (!is_of((void *)_Unwind_Backtrace, "libunwind")) {
		puts("this program is not what the test needs");
		return 99;
	}
	bufftrack_unwind_init();
	return !is_of((void *)functions.backtrace, "libgcc_s") ||
	       !is_of((void *)functions.get_ip, "libgcc_s") ||
	       !is_of((void *)functions.get_cfa, "libgcc_s") ||
	       !is_of((void *)functions.get_register, "libgcc_s") || !unwind();
}
