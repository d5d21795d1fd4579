// SPDX-License-Identifier: GPL-2.0
/* top: two readings of the counters become rows, filtered and in order. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cmd/top/top.h"
#include "util/util.h"

static const char *const key_names[TOP_NR_KEYS] = {
	[TOP_BYTES] = "bytes", [TOP_PEAK] = "peak", [TOP_LIVE] = "live", [TOP_ALLOCS] = "allocs",
	[TOP_FREES] = "frees", [TOP_BAD] = "bad",   [TOP_NAME] = "name", [TOP_ID] = "id",
};

const char *top_key_name(enum top_key key)
{
	return key_names[key];
}

bool top_key_find(const char *name, enum top_key *key)
{
	size_t i;

	for (i = 0; i < TOP_NR_KEYS; i++) {
		if (strcmp(name, key_names[i]))
			continue;
		*key = (enum top_key)i;
		return true;
	}
	return false;
}

/* ---- rates ---------------------------------------------------------------- */

static bool same_thing(const struct bufftrack_stat *a, const struct bufftrack_stat *b)
{
	return a->device == b->device && a->space == b->space && a->client == b->client;
}

/*
 * What @stat was before, NULL where it was not there. The search goes on
 * where the one for the stat before it ended, at *@at: mostly the next one.
 */
static const struct bufftrack_stat *find_before(const struct bufftrack_stat *table, size_t nr,
						const struct bufftrack_stat *stat, size_t *at)
{
	size_t i, j;

	for (i = 0; i < nr; i++) {
		j = (*at + i) % nr;
		if (!same_thing(&table[j], stat))
			continue;
		*at = j + 1;
		return &table[j];
	}
	return NULL;
}

/* A device can be forgotten, and begin anew. */
static uint64_t grown(uint64_t now, uint64_t before)
{
	return now >= before ? now - before : now;
}

static void add_new(struct top_row *row, const struct bufftrack_stat *stat,
		    const struct bufftrack_stat *before)
{
	row->new_allocs += before ? grown(stat->allocs, before->allocs) : stat->allocs;
	row->new_frees += before ? grown(stat->frees, before->frees) : stat->frees;
}

static void set_rates(struct top_row *row, uint64_t elapsed_ns)
{
	if (!elapsed_ns)
		return;
	row->allocs = (double)row->new_allocs * 1e9 / (double)elapsed_ns;
	row->frees = (double)row->new_frees * 1e9 / (double)elapsed_ns;
}

/* ---- rows ----------------------------------------------------------------- */

static struct top_row *add_row(struct top_row **rows, size_t *nr)
{
	struct top_row *row;

	*rows = xrealloc(*rows, *nr + 1, sizeof(**rows));
	row = &(*rows)[(*nr)++];
	*row = (struct top_row){ 0 };
	return row;
}

static void add_counters(struct bufftrack_stat *to, const struct bufftrack_stat *from)
{
	size_t i;

	to->live += from->live;
	to->bytes += from->bytes;
	to->peak_bytes += from->peak_bytes;
	to->allocs += from->allocs;
	to->frees += from->frees;
	to->history += from->history;
	to->evicted += from->evicted;
	to->certain += from->certain;
	for (i = 0; i < ARRAY_SIZE(to->verdicts); i++)
		to->verdicts[i] += from->verdicts[i];
}

/* The clients, so that those of one process stand together. */
static int compare_clients(const void *first, const void *second, void *arg)
{
	const struct bufftrack_stat *clients = arg;
	size_t a = *(const size_t *)first, b = *(const size_t *)second;
	int order = compare_numbers(clients[a].pid, clients[b].pid);

	return order ? order : compare_numbers(a, b);
}

/* Of another pid namespace nothing is known but that they are there: pid 0. */
static bool same_process(const struct top_row *row, const struct bufftrack_stat *client)
{
	return row && client->pid && row->sum.pid == client->pid;
}

static void name_process(struct top_row *row)
{
	char comm[BUFFTRACK_COMM_LEN], more[32] = "";
	const char *name = row->name;

	copy_text(comm, sizeof(comm), row->sum.comm, sizeof(row->sum.comm));
	if (strcmp(name, comm) == 0)
		name = "";
	if (row->nr_clients > 1)
		snprintf(more, sizeof(more), *name ? " +%zu" : "%zu clients",
			 *name ? row->nr_clients - 1 : row->nr_clients);
	snprintf(row->who, sizeof(row->who), "%7u %s", row->sum.pid, comm);
	if (*name || *more)
		snprintf(row->who + strlen(row->who), sizeof(row->who) - strlen(row->who),
			 " (%s%s)", name, more);
}

static bool wanted_process(const struct top_query *query, const struct top_row *row)
{
	if (query->by_pid && row->sum.pid != query->pid)
		return false;
	return strcasestr(row->who, query->process_text);
}

static void make_processes(struct top_rows *rows, const struct top_query *query,
			   const struct counters *now, const struct counters *before)
{
	size_t *order = xrealloc(NULL, now->nr_clients + 1, sizeof(*order));
	const struct bufftrack_stat *client, *was;
	struct top_row *row = NULL;
	size_t i, at = 0, kept = 0;

	for (i = 0; i < now->nr_clients; i++)
		order[i] = i;
	qsort_r(order, now->nr_clients, sizeof(*order), compare_clients, now->clients);
	for (i = 0; i < now->nr_clients; i++) {
		client = &now->clients[order[i]];
		was = before ? find_before(before->clients, before->nr_clients, client, &at) : NULL;
		if (!same_process(row, client)) {
			row = add_row(&rows->processes, &rows->nr_processes);
			row->sum.pid = client->pid;
			row->sum.uid = client->uid;
			memcpy(row->sum.comm, client->comm, sizeof(row->sum.comm));
		}
		if (!row->name[0])
			counters_name(client, row->name);
		row->nr_clients++;
		add_counters(&row->sum, client);
		add_new(row, client, was);
	}
	free(order);

	rows->all_processes = rows->nr_processes;
	for (i = 0; i < rows->nr_processes; i++) {
		row = &rows->processes[i];
		set_rates(row, rows->elapsed_ns);
		name_process(row);
		if (wanted_process(query, row))
			rows->processes[kept++] = *row;
	}
	rows->nr_processes = kept;
}

static void name_device(struct top_row *row)
{
	char label[BUFFTRACK_NAME_LEN], id[SHORT_TEXT];

	counters_name(&row->sum, label);
	if (row->sum.scope == BUFFTRACK_STAT_DEVICE)
		snprintf(row->who, sizeof(row->who), "%s%s%s", format_id(id, row->sum.device),
			 *label ? " " : "", label);
	else
		snprintf(row->who, sizeof(row->who), "  %u%s%s", row->sum.space, *label ? " " : "",
			 label);
}

static bool wanted_device(const struct top_query *query, const struct bufftrack_stat *device)
{
	struct top_row row = { .sum = *device };

	if (query->by_device && device->device != query->device)
		return false;
	name_device(&row);
	return strcasestr(row.who, query->device_text);
}

static void fill_row(struct top_row *row, const struct bufftrack_stat *stat,
		     const struct bufftrack_stat *before, uint64_t elapsed_ns)
{
	row->sum = *stat;
	name_device(row);
	add_new(row, stat, before);
	set_rates(row, elapsed_ns);
}

static void make_devices(struct top_rows *rows, const struct top_query *query,
			 const struct counters *now, const struct counters *before)
{
	static const struct counters none;
	const struct bufftrack_stat *device, *space;
	size_t i, j = 0, at = 0, at_space = 0;
	struct top_row *row;

	if (!before)
		before = &none;
	rows->all_devices = now->nr_devices;
	for (i = 0; i < now->nr_devices; i++) {
		device = &now->devices[i];
		row = NULL;
		if (wanted_device(query, device)) {
			row = add_row(&rows->devices, &rows->nr_devices);
			row->spaces = rows->nr_spaces;
			fill_row(row, device,
				 find_before(before->devices, before->nr_devices, device, &at),
				 rows->elapsed_ns);
		}
		for (; j < now->nr_spaces && now->spaces[j].device == device->device; j++) {
			if (!row)
				continue;
			space = &now->spaces[j];
			fill_row(add_row(&rows->spaces, &rows->nr_spaces), space,
				 find_before(before->spaces, before->nr_spaces, space, &at_space),
				 rows->elapsed_ns);
			row->nr_spaces++;
		}
	}
}

/* ---- order ---------------------------------------------------------------- */

static int compare_rates(double a, double b)
{
	return a < b ? -1 : a > b;
}

/* The largest first, names and ids from the first on. */
static int compare_by(enum top_key key, const struct top_row *a, const struct top_row *b)
{
	switch (key) {
	case TOP_BYTES:
		return compare_numbers(b->sum.bytes, a->sum.bytes);
	case TOP_PEAK:
		return compare_numbers(b->sum.peak_bytes, a->sum.peak_bytes);
	case TOP_LIVE:
		return compare_numbers(b->sum.live, a->sum.live);
	case TOP_ALLOCS:
		return compare_rates(b->allocs, a->allocs);
	case TOP_FREES:
		return compare_rates(b->frees, a->frees);
	case TOP_BAD:
		return compare_numbers(counters_bad_frees(&b->sum), counters_bad_frees(&a->sum));
	case TOP_NAME:
		return a->sum.pid ? strcasecmp(a->who + 8, b->who + 8) : strcasecmp(a->who, b->who);
	default:
		return 0;
	}
}

/* Equal ones in the order of their ids, so that rows do not change places. */
static int compare_rows(const void *first, const void *second, void *arg)
{
	const struct top_row *a = first, *b = second;
	const struct top_query *query = arg;
	int order = compare_by(query->sort, a, b);

	if (!order)
		order = compare_numbers(a->sum.pid, b->sum.pid);
	if (!order)
		order = compare_numbers(a->sum.device, b->sum.device);
	if (!order)
		order = compare_numbers(a->sum.space, b->sum.space);
	return query->reverse ? -order : order;
}

static void sort_rows(struct top_row *rows, size_t nr, struct top_query *query)
{
	if (nr)
		qsort_r(rows, nr, sizeof(*rows), compare_rows, query);
}

/**
 * top_rows_make() - the rows of a reading
 * @rows: filled in; to be freed by top_rows_free()
 * @query: what is wanted
 * @now: the reading
 * @before: an earlier one, NULL where there is none
 * @elapsed_ns: between them
 */
void top_rows_make(struct top_rows *rows, const struct top_query *query, const struct counters *now,
		   const struct counters *before, uint64_t elapsed_ns)
{
	struct top_query order = *query;
	size_t i;

	*rows = (struct top_rows){ .elapsed_ns = before ? elapsed_ns : 0 };
	rows->all.sum = now->all;
	add_new(&rows->all, &now->all, before ? &before->all : NULL);
	set_rates(&rows->all, rows->elapsed_ns);
	make_processes(rows, query, now, before);
	make_devices(rows, query, now, before);
	sort_rows(rows->processes, rows->nr_processes, &order);
	sort_rows(rows->devices, rows->nr_devices, &order);
	for (i = 0; i < rows->nr_devices; i++)
		sort_rows(rows->spaces + rows->devices[i].spaces, rows->devices[i].nr_spaces,
			  &order);
}

void top_rows_free(struct top_rows *rows)
{
	free(rows->processes);
	free(rows->devices);
	free(rows->spaces);
	*rows = (struct top_rows){ 0 };
}
