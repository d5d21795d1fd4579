/* SPDX-License-Identifier: GPL-2.0 */
#ifndef BUFFTRACK_TOP_H
#define BUFFTRACK_TOP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "abi/counters.h"

enum top_key {
	TOP_BYTES,
	TOP_PEAK,
	TOP_LIVE,
	TOP_ALLOCS,
	TOP_FREES,
	TOP_BAD,
	TOP_NAME,
	TOP_ID,
	TOP_NR_KEYS
};

#define TOP_TEXT 64

/**
 * struct top_query - what is to be shown, and in which order
 * @pid: with @by_pid: this process only
 * @device: with @by_device: this device only
 * @process_text: processes only in whose names this is; "" for all
 * @device_text: devices only in whose id or label this is; "" for all
 */
struct top_query {
	enum top_key sort;
	bool reverse;
	bool by_pid;
	bool by_device;
	uint32_t pid;
	uint64_t device;
	char process_text[TOP_TEXT];
	char device_text[TOP_TEXT];
	uint64_t interval_ns;
};

/**
 * struct top_row - a process, a device, or a space of it
 * @sum: its counters; of a process with several clients, their sums
 * @who: what it is called, as UTF-8
 * @name: of a process: the name of its first client that has one
 * @allocs: a second; with @frees known where the row's rows say so
 * @nr_clients: of a process
 * @spaces: of a device: the index of its first one
 * @nr_spaces: of a device
 */
struct top_row {
	struct bufftrack_stat sum;
	char who[128];
	char name[BUFFTRACK_NAME_LEN];
	double allocs;
	double frees;
	uint64_t new_allocs;
	uint64_t new_frees;
	size_t nr_clients;
	size_t spaces;
	size_t nr_spaces;
};

/**
 * struct top_rows - what two readings of the counters come to
 * @elapsed_ns: between them; 0 where there is one only, and no rate is known
 * @all_processes: how many there are, those that are not wanted included
 * @all_devices: likewise
 */
struct top_rows {
	uint64_t elapsed_ns;
	struct top_row all;
	struct top_row *processes;
	struct top_row *devices;
	struct top_row *spaces;
	size_t nr_processes;
	size_t nr_devices;
	size_t nr_spaces;
	size_t all_processes;
	size_t all_devices;
};

/* rows.c */
void top_rows_make(struct top_rows *rows, const struct top_query *query, const struct counters *now,
		   const struct counters *before, uint64_t elapsed_ns);
void top_rows_free(struct top_rows *rows);
const char *top_key_name(enum top_key key);
bool top_key_find(const char *name, enum top_key *key);

/* text.c */
#define TOP_LINE 512

/**
 * struct top_layout - where the columns of a table stand
 * @who: how wide the first one is
 * @at: where each other one begins; 0 where there is no room for it
 */
struct top_layout {
	int width;
	int who;
	int at[TOP_NR_KEYS];
};

#define TOP_CELL 7 /* columns that a number takes */

void top_lay_out(struct top_layout *layout, int width);
void top_fit(char line[TOP_LINE], const char *text, int width);
void top_heading(char line[TOP_LINE], const struct top_layout *layout, const char *who);
void top_row_line(char line[TOP_LINE], const struct top_layout *layout, const struct top_row *row,
		  bool rates);
void top_title(char line[TOP_LINE], const struct top_query *query, const struct top_rows *rows,
	       int width);
void top_totals(char line[TOP_LINE], const struct top_rows *rows, int width);
void top_verdicts(char line[TOP_LINE], const struct top_rows *rows, int width);

/**
 * struct top - the command as it runs
 * @now: the latest reading, where @reading
 * @before: the one before it, where @was_reading
 * @waiting: why there is none
 */
struct top {
	struct top_query query;
	struct top_rows rows;
	struct counters now;
	struct counters before;
	uint64_t now_ns;
	uint64_t before_ns;
	uint64_t module;
	bool reading;
	bool was_reading;
	char waiting[TOP_LINE];
	uint64_t iterations; /* 0 for no end */
	bool batch;
	bool json;
};

#define TOP_MIN_INTERVAL (NSEC_PER_SEC / 10)
#define TOP_MAX_INTERVAL (3600 * NSEC_PER_SEC)

/* top.c */
void top_read(struct top *top);
void top_remake(struct top *top);

/* screen.c */
int top_screen(struct top *top);

#endif
