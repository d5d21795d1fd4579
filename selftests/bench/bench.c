// SPDX-License-Identifier: GPL-2.0
/*
 * Measures the rows that are named, and prints each as one object of JSON. Where
 * an instruction takes a nanosecond (selftests/vm/run --icount), a clock counts
 * instructions, of the kernel and of every process.
 */
#include <json-c/json.h>
#include <stdio.h>
#include <string.h>

#include "bench.h"

static const struct row rows[] = {
	{ "null_ioctl", measure_null },
	{ "alloc_reuse", measure_single },
	{ "free_reuse", measure_single, ROW_FREE },
	{ "alloc_fresh", measure_single, ROW_FRESH },
	{ "free_fresh", measure_single, ROW_FRESH | ROW_FREE },
	{ "alloc_evict", measure_single, ROW_FRESH | ROW_EVICT },
	{ "free_evict", measure_single, ROW_FRESH | ROW_EVICT | ROW_FREE },
	{ "batch64_reuse", measure_batch },
	{ "batch64_fresh", measure_batch, ROW_FRESH },
	{ "batch64_evict", measure_batch, ROW_FRESH | ROW_EVICT },
	{ "alloc_reuse_4m", measure_single, ROW_FULL },
	{ "free_reuse_4m", measure_single, ROW_FULL | ROW_FREE },
	{ "batch64_reuse_4m", measure_batch, ROW_FULL },
	{ "double_free", measure_double_free },
	{ "double_free_traced", measure_double_free, ROW_TRACED },
	{ "exit_hold", measure_exit },
	{ "exit_evict", measure_exit, ROW_EVICT },
	{ "lib_alloc_free", measure_library },
	{ "lib_alloc_free_stack16", measure_library, ROW_STACK },
	{ "unwind_bufftrack16", measure_unwind },
	{ "unwind_libunwind16", measure_unwind, ROW_LIBUNWIND },
	{ "unwind_libgcc16", measure_unwind, ROW_LIBGCC },
	{ "unwind_backtrace16", measure_unwind, ROW_BACKTRACE },
	{ "socket_server", measure_socket },
	{ "socket_server_logged", measure_socket, ROW_LOGGED },
	{ "socket_server_answered", measure_socket, ROW_ANSWERED },
	{ "bpf_uprobe", measure_uprobe },
	{ "user_events", measure_user_events },
	{ "pocl_create_release", measure_opencl },
	{ "pocl_create_release_host", measure_opencl, ROW_HOST },
};

#define NR_ROWS (sizeof(rows) / sizeof(rows[0]))

static void usage(void)
{
	printf("Usage: bench --list\n"
	       "       bench ROW...\n"
	       "Measures each ROW and prints it as JSON: insn_per_op is what one ALLOC or one\n"
	       "FREE takes (exit_hold: one hold; unwind_*: one stack), in nanoseconds of the clock. That is in\n"
	       "instructions with selftests/vm/run --icount, which selftests/bench/run uses.\n");
}

static void print(const struct row *row, const struct sample *sample, bool measured)
{
	struct json_object *object = json_object_new_object();
	char number[32];
	double cost;

	json_object_object_add(object, "name", json_object_new_string(row->name));
	if (measured) {
		cost = (double)sample->spent / sample->ops;
		snprintf(number, sizeof(number), "%.1f", cost);
		json_object_object_add(object, "insn_per_op",
				       json_object_new_double_s(cost, number));
	} else {
		json_object_object_add(object, "insn_per_op", NULL);
		json_object_object_add(object, "why", json_object_new_string(sample->why));
	}
	puts(json_object_to_json_string_ext(object, JSON_C_TO_STRING_PLAIN));
	fflush(stdout);
	json_object_put(object);
}

static int measure(const char *name)
{
	struct sample sample;
	unsigned int i;

	for (i = 0; i < NR_ROWS; i++) {
		if (strcmp(rows[i].name, name))
			continue;
		memset(&sample, 0, sizeof(sample));
		print(&rows[i], &sample, rows[i].measure(&rows[i], &sample));
		return 0;
	}
	fprintf(stderr, "bench: no row %s (see --list)\n", name);
	return 2;
}

int main(int argc, char **argv)
{
	unsigned int row;
	int i, err;

	if (argc < 2 || !strcmp(argv[1], "--help")) {
		usage();
		return argc < 2 ? 2 : 0;
	}
	if (!strcmp(argv[1], "--list")) {
		for (row = 0; row < NR_ROWS; row++)
			puts(rows[row].name);
		return 0;
	}
	for (i = 1; i < argc; i++) {
		err = measure(argv[i]);
		if (err)
			return err;
	}
	return 0;
}
