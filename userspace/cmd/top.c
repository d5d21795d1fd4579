// SPDX-License-Identifier: GPL-2.0
/* top: what is allocated, by process and by device, again and again. */
#include <errno.h>
#include <inttypes.h>
#include <locale.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cmd/command.h"
#include "abi/device.h"
#include "util/json.h"
#include "util/signals.h"
#include "cmd/top/top.h"
#include "util/options.h"
#include "util/util.h"

#define BATCH_COLUMNS 80

/* ---- reading -------------------------------------------------------------- */

/* Which loading of the module it is; 0 where it is not loaded. */
static uint64_t module_instance(void)
{
	struct stat stat_buf;

	return stat(MODULE_SYSFS, &stat_buf) ? 0 : stat_buf.st_ino;
}

/* Puts the latest reading aside, and takes a new one: @fd or the reason why not. */
static void take_reading(struct top *top, int fd)
{
	int error = errno;
	uint64_t instance = module_instance();

	counters_free(&top->before);
	top->before = top->now;
	top->before_ns = top->now_ns;
	top->was_reading = top->reading && instance == top->module;
	top->module = instance;

	top->now_ns = monotonic_ns();
	top->reading = fd >= 0 && counters_read(&top->now, fd);
	if (top->reading)
		return;
	if (!instance)
		snprintf(top->waiting, sizeof(top->waiting), "waiting: the module is not loaded");
	else
		snprintf(top->waiting, sizeof(top->waiting),
			 "waiting: cannot read " DEVICE_PATH ": %s",
			 strerror(fd < 0 ? error : errno));
	if (fd < 0)
		top->now = (struct counters){ 0 };
	else
		counters_free(&top->now);
}

/*
 * The device is open for that moment only, as who holds it open keeps the module
 * from being unloaded.
 */
void top_read(struct top *top)
{
	int fd = device_try_open();

	take_reading(top, fd);
	if (fd >= 0)
		close(fd);
	top_remake(top);
}

/* The rows anew, of the same readings: something else is wanted of them. */
void top_remake(struct top *top)
{
	top_rows_free(&top->rows);
	if (top->reading)
		top_rows_make(&top->rows, &top->query, &top->now,
			      top->was_reading ? &top->before : NULL, top->now_ns - top->before_ns);
}

/* ---- JSON ----------------------------------------------------------------- */

static void add_rates(struct json_object *object, const struct top_row *row, bool known)
{
	json_add_number(object, "bad_frees", counters_bad_frees(&row->sum));
	json_add(object, "allocs_per_second", known ? json_object_new_double(row->allocs) : NULL);
	json_add(object, "frees_per_second", known ? json_object_new_double(row->frees) : NULL);
}

static struct json_object *process_json(const struct top_row *row, bool rates)
{
	struct json_object *object = json_object_new_object();
	char comm[BUFFTRACK_COMM_LEN];

	copy_text(comm, sizeof(comm), row->sum.comm, sizeof(row->sum.comm));
	json_add_number(object, "pid", row->sum.pid);
	json_add_text(object, "comm", comm);
	json_add_text(object, "name", row->name);
	json_add_number(object, "uid", row->sum.uid);
	json_add_number(object, "open_clients", row->nr_clients);
	counters_add_json(object, &row->sum);
	add_rates(object, row, rates);
	return object;
}

static struct json_object *device_json(const struct top_rows *rows, const struct top_row *row)
{
	struct json_object *object = counters_device_json(&row->sum);
	struct json_object *spaces = json_object_new_array();
	const struct top_row *space = rows->spaces + row->spaces;
	struct json_object *inner;
	size_t i;

	add_rates(object, row, rows->elapsed_ns);
	for (i = 0; i < row->nr_spaces; i++, space++) {
		inner = counters_space_json(&space->sum);
		add_rates(inner, space, rows->elapsed_ns);
		json_object_array_add(spaces, inner);
	}
	json_add(object, "spaces", spaces);
	return object;
}

static void add_rows(struct json_object *object, const struct top_rows *rows)
{
	struct json_object *processes = json_object_new_array();
	struct json_object *devices = json_object_new_array();
	size_t i;

	if (rows->elapsed_ns)
		json_add_time(object, "interval", rows->elapsed_ns);
	else
		json_add(object, "interval", NULL);
	counters_add_json(object, &rows->all.sum);
	add_rates(object, &rows->all, rows->elapsed_ns);
	for (i = 0; i < rows->nr_processes; i++)
		json_object_array_add(processes,
				      process_json(&rows->processes[i], rows->elapsed_ns));
	json_add(object, "processes", processes);
	for (i = 0; i < rows->nr_devices; i++)
		json_object_array_add(devices, device_json(rows, &rows->devices[i]));
	json_add(object, "devices", devices);
}

static void print_json(const struct top *top)
{
	struct json_object *object = json_object_new_object();

	json_add_time(object, "time", top->now_ns);
	json_add_bool(object, "loaded", top->module);
	if (top->reading)
		add_rows(object, &top->rows);
	json_print(object);
}

/* ---- text ----------------------------------------------------------------- */

static void print_rows(const struct top_rows *rows, const struct top_layout *layout)
{
	const struct top_row *device;
	char line[TOP_LINE];
	size_t i, j;

	top_heading(line, layout, "    PID PROCESS");
	puts(line);
	for (i = 0; i < rows->nr_processes; i++) {
		top_row_line(line, layout, &rows->processes[i], rows->elapsed_ns);
		puts(line);
	}
	top_heading(line, layout, "DEVICE, SPACE");
	printf("\n%s\n", line);
	for (i = 0; i < rows->nr_devices; i++) {
		device = &rows->devices[i];
		top_row_line(line, layout, device, rows->elapsed_ns);
		puts(line);
		for (j = 0; j < device->nr_spaces; j++) {
			top_row_line(line, layout, &rows->spaces[device->spaces + j],
				     rows->elapsed_ns);
			puts(line);
		}
	}
}

static void print_text(const struct top *top)
{
	struct top_layout layout;
	char line[TOP_LINE];

	if (!top->reading) {
		puts(top->waiting);
		return;
	}
	top_lay_out(&layout, BATCH_COLUMNS);
	top_title(line, &top->query, &top->rows, BATCH_COLUMNS);
	puts(line);
	top_totals(line, &top->rows, BATCH_COLUMNS);
	puts(line);
	top_verdicts(line, &top->rows, BATCH_COLUMNS);
	printf("%s\n\n", line);
	print_rows(&top->rows, &layout);
}

/* ---- the command ---------------------------------------------------------- */

/* Waits for the time, a signal, or that the reader of the output goes away. */
static bool wait_until(uint64_t until, const sigset_t *signals)
{
	struct pollfd output = { .fd = STDOUT_FILENO };
	uint64_t now = monotonic_ns();
	uint64_t left = now < until ? until - now : 0;
	struct timespec timeout = {
		.tv_sec = (time_t)(left / NSEC_PER_SEC),
		.tv_nsec = (long)(left % NSEC_PER_SEC),
	};

	return ppoll(&output, 1, &timeout, signals) <= 0;
}

static int run_batch(struct top *top)
{
	uint64_t done = 0;
	sigset_t signals;

	signals_catch(&signals);
	while (!signals_stopped()) {
		top_read(top);
		if (done++ && !top->json)
			putchar('\n');
		if (top->json)
			print_json(top);
		else
			print_text(top);
		if (fflush(stdout)) {
			if (errno == EPIPE) {
				clearerr(stdout);
				return EXIT_OK;
			}
			complain("cannot write the output: %s", strerror(errno));
			clearerr(stdout);
			return EXIT_ERROR;
		}
		if (done == top->iterations)
			break;
		if (!wait_until(top->now_ns + top->query.interval_ns, &signals))
			break;
	}
	return EXIT_OK;
}

static int run_top(struct top *top)
{
	int ret;
	int fd;

	if (!top->batch && (!isatty(STDIN_FILENO) || !isatty(STDOUT_FILENO))) {
		complain("not a terminal: use --batch or --json");
		return EXIT_ERROR;
	}
	/* Later it is waited for; what is wrong now is said. */
	fd = device_open();
	if (fd < 0)
		return EXIT_ERROR;
	close(fd);
	ret = top->batch ? run_batch(top) : top_screen(top);
	counters_free(&top->now);
	counters_free(&top->before);
	top_rows_free(&top->rows);
	return ret;
}

static int top_main(int argc, char **argv)
{
	struct top top = { .query.interval_ns = NSEC_PER_SEC };
	struct top_query *query = &top.query;
	const char *sort = NULL;
	uint64_t pid = 0;
	const struct option_spec options[] = {
		OPTION_FLAG('b', "batch", &top.batch),
		OPTION_NUMBER('d', "device", &query->device, .given = &query->by_device),
		OPTION_DURATION('i', "interval", &query->interval_ns, .min = TOP_MIN_INTERVAL,
				.max = TOP_MAX_INTERVAL, .range = "from 100ms to 1h"),
		OPTION_FLAG('j', "json", &top.json),
		OPTION_NUMBER('n', "iterations", &top.iterations),
		OPTION_NUMBER('p', "pid", &pid, .given = &query->by_pid, .max = INT32_MAX),
		OPTION_FLAG('r', "reverse", &query->reverse),
		OPTION_TEXT('s', "sort", &sort),
	};
	int ret;

	/* How wide a character is; numbers stay as they are in C. */
	setlocale(LC_CTYPE, "");
	ret = command_options_only(&cmd_top, argc, argv, options, ARRAY_SIZE(options));
	if (ret != COMMAND_GO_ON)
		return ret;
	if (sort && !top_key_find(sort, &query->sort)) {
		complain("cannot sort by %s (see 'bufftrack top --help')", sort);
		return EXIT_USAGE;
	}
	query->pid = (uint32_t)pid;
	top.batch |= top.json;
	return run_top(&top);
}

const struct command cmd_top = {
	.name = "top",
	.help = "show what is allocated, refreshed",
	.usage = "Usage: bufftrack top [OPTION...]\n"
		 "Shows live and peak bytes, live buffers, allocs and frees a second, and bad\n"
		 "frees, by process and by device and space, refreshed until q. The key ? lists\n"
		 "the others. Without root: of the caller's own user.\n"
		 "\n"
		 "Options:\n"
		 "  -b, --batch              plain text, for files and pipes\n"
		 "  -d, --device ID          one device only\n"
		 "  -h, --help               this text\n"
		 "  -i, --interval DURATION  refreshed that often (1s; 100ms to 1h)\n"
		 "  -j, --json               one JSON object a refresh, on a line\n"
		 "  -n, --iterations N       end after N refreshes; 0: never\n"
		 "  -p, --pid PID            one process only\n"
		 "  -r, --reverse            the other way round\n"
		 "  -s, --sort KEY           by bytes, peak, live, allocs, frees (a second), bad\n"
		 "                           (frees), name or id\n"
		 "\n"
		 "Examples:\n"
		 "  bufftrack top\n"
		 "  bufftrack top --sort allocs --interval 5s\n"
		 "  bufftrack top --batch --iterations 2\n"
		 "  bufftrack top --json -n 2 | tail -n 1 | jq .allocs_per_second\n",
	.run = top_main,
};
