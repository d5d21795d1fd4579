/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Every event of the module, from an instance of tracefs of the test's own: read
 * raw, after it is over, and in the order in which the events happened.
 */
#ifndef BT_EVENTS_H
#define BT_EVENTS_H

#include "bt.h"

#define BT_TRACING	"/sys/kernel/tracing/"

/* A bad verdict's event has the verdict as its kind. */
enum {
	BT_EV_ALLOC = BUFFTRACK_NR_VERDICTS,
	BT_EV_FREE,
	BT_EV_OPEN,
	BT_EV_CLOSE,
	BT_EV_RESET,
	BT_EV_KINDS
};

static const char * const bt_ev_names[BT_EV_KINDS] = {
	[BUFFTRACK_DOUBLE_FREE] = "double_free",
	[BUFFTRACK_STALE_FREE] = "stale_free",
	[BUFFTRACK_FOREIGN_FREE] = "foreign_free",
	[BUFFTRACK_FREE_AFTER_EXIT] = "free_after_exit",
	[BUFFTRACK_FREE_AFTER_RESET] = "free_after_reset",
	[BUFFTRACK_UNKNOWN_FREE] = "unknown_free",
	[BUFFTRACK_MISSED_FREE] = "missed_free",
	[BUFFTRACK_SIZE_MISMATCH] = "size_mismatch",
	[BUFFTRACK_DANGLING] = "dangling",
	[BUFFTRACK_LEAK] = "leak",
	[BUFFTRACK_HELD_FREE] = "held_free",
	[BT_EV_ALLOC] = "alloc",
	[BT_EV_FREE] = "free",
	[BT_EV_OPEN] = "client_open",
	[BT_EV_CLOSE] = "client_close",
	[BT_EV_RESET] = "reset",
};

enum {
	BT_FIELD_DEVICE, BT_FIELD_BUFFER, BT_FIELD_GENERATION, BT_FIELD_CLIENT,
	BT_FIELD_NAMED, BT_FIELD_SPACE, BT_FIELD_FLAGS, BT_FIELD_REFS,
	BT_FIELD_COUNT, BT_FIELD_LEAKS, BT_FIELDS
};

static const char * const bt_field_names[BT_FIELDS] = {
	"device", "buffer", "generation", "client", "named", "space", "flags",
	"refs", "count", "leaks",
};

/* What an event has not is 0. */
struct bt_ev {
	__u64 order;
	__u32 kind;
	__u64 field[BT_FIELDS];
};

struct bt_field {
	unsigned int offset, size;
};

struct bt_events {
	char path[64];
	__u16 id[BT_EV_KINDS];
	struct bt_field fields[BT_EV_KINDS][BT_FIELDS];
	struct bt_field commit, data;	/* of a page of the ring buffer */
	struct bt_ev *list;
	size_t nr, room;
	__u64 lost;
};

static inline int bt_events_set(const struct bt_events *ev, const char *name,
				const char *value)
{
	char path[128];

	snprintf(path, sizeof(path), "%s/%s", ev->path, name);
	return bt_write(path, value);
}

/* Where a field lies, in tracefs' own description; all 0 where it is not there. */
static inline struct bt_field bt_field(const char *format, const char *name)
{
	struct bt_field field = { 0 };
	char pattern[64];
	const char *at;

	snprintf(pattern, sizeof(pattern), " %s;\toffset:", name);
	at = strstr(format, pattern);
	if (!at || sscanf(at + strlen(pattern), "%u;\tsize:%u;", &field.offset,
			  &field.size) != 2)
		field.size = 0;
	return field;
}

static inline int bt_events_formats(struct bt_events *ev)
{
	static char format[16384];
	unsigned int kind, i;
	char path[128];
	const char *id;
	int rc;

	rc = bt_read(BT_TRACING "events/header_page", format, sizeof(format));
	if (rc)
		return rc;
	ev->commit = bt_field(format, "commit");
	ev->data = bt_field(format, "data");
	if (!ev->commit.size || !ev->data.size)
		return -EPROTO;
	for (kind = 1; kind < BT_EV_KINDS; kind++) {
		snprintf(path, sizeof(path), BT_TRACING "events/bufftrack/bufftrack_%s/format",
			 bt_ev_names[kind]);
		rc = bt_read(path, format, sizeof(format));
		if (rc)
			return rc;
		id = strstr(format, "ID: ");
		if (!id)
			return -EPROTO;
		ev->id[kind] = strtoul(id + 4, NULL, 10);
		for (i = 0; i < BT_FIELDS; i++)
			ev->fields[kind][i] = bt_field(format, bt_field_names[i]);
	}
	return 0;
}

/*
 * Begins to record, with so much room on each CPU. The clock is a counter, so that
 * no two events have the same time, on whatever CPU.
 */
static inline int bt_events_begin(struct bt_events *ev, unsigned int kb)
{
	char size[16];
	int rc;

	*ev = (struct bt_events) { .nr = 0 };
	snprintf(size, sizeof(size), "%u", kb);
	snprintf(ev->path, sizeof(ev->path), BT_TRACING "instances/bt-%d", getpid());
	if (mkdir(ev->path, 0700))
		return -errno;
	rc = bt_events_formats(ev);
	rc = rc ?: bt_events_set(ev, "trace_clock", "counter");
	rc = rc ?: bt_events_set(ev, "options/overwrite", "0");
	rc = rc ?: bt_events_set(ev, "buffer_size_kb", size);
	return rc ?: bt_events_set(ev, "events/bufftrack/enable", "1");
}

static inline __u64 bt_number(const void *at, unsigned int size)
{
	__u32 word;
	__u64 number;

	if (size == sizeof(number)) {
		memcpy(&number, at, sizeof(number));
		return number;
	}
	if (size != sizeof(word))
		return 0;
	memcpy(&word, at, sizeof(word));
	return word;
}

static inline int bt_events_add(struct bt_events *ev, __u64 order, const char *data)
{
	struct bt_ev *one;
	unsigned int kind = 1, i;
	__u16 id;

	memcpy(&id, data, sizeof(id));
	while (kind < BT_EV_KINDS && ev->id[kind] != id)
		kind++;
	if (kind == BT_EV_KINDS)
		return -EPROTO;
	if (ev->nr == ev->room) {
		ev->room = ev->room * 2 + 4096;
		ev->list = reallocarray(ev->list, ev->room, sizeof(*ev->list));
		if (!ev->list)
			return -ENOMEM;
	}
	one = &ev->list[ev->nr++];
	one->order = order;
	one->kind = kind;
	for (i = 0; i < BT_FIELDS; i++)
		one->field[i] = bt_number(data + ev->fields[kind][i].offset,
					  ev->fields[kind][i].size);
	return 0;
}

/* A page of the ring buffer: include/linux/ring_buffer.h has what it is made of. */
static inline int bt_events_page(struct bt_events *ev, const char *page)
{
	__u64 commit = bt_number(page + ev->commit.offset, ev->commit.size);
	const char *at = page + ev->data.offset, *end;
	__u64 time = bt_number(page, 8);
	unsigned int type;
	__u32 head, more;
	int rc = 0;

	ev->lost += !!(commit & 3U << 30);
	commit &= (1U << 20) - 1;
	if (commit > ev->data.size)
		return -EPROTO;
	for (end = at + commit; !rc && at + 8 <= end;) {
		memcpy(&head, at, sizeof(head));
		memcpy(&more, at + 4, sizeof(more));
		type = head & 31;
		head >>= 5;
		if (type == 29) {		/* padding: to the page's end, or so much */
			if (!head)
				break;
			at += 4 + more;
		} else if (type == 30) {	/* a longer time to the next */
			time += head + ((__u64)more << 27);
			at += 8;
		} else if (type == 31) {	/* the time itself, but its highest bits */
			time = (time & ~0ULL << 59) | (head + ((__u64)more << 27));
			at += 8;
		} else {
			time += head;
			rc = bt_events_add(ev, time, at + (type ? 4 : 8));
			at += 4 + (type ? type * 4 : more);
		}
	}
	return rc;
}

static inline int bt_events_cpu(struct bt_events *ev, unsigned int cpu)
{
	size_t size = ev->data.offset + ev->data.size;
	char path[128], text[512], *page, *at;
	static const char * const losses[] = {
		"\noverrun: ", "commit overrun: ", "dropped events: ",
	};
	unsigned int i;
	ssize_t n;
	int fd, rc = 0;

	snprintf(path, sizeof(path), "%s/per_cpu/cpu%u/stats", ev->path, cpu);
	rc = bt_read(path, text, sizeof(text));
	if (rc)
		return rc;
	for (i = 0; i < ARRAY_SIZE(losses); i++) {
		at = strstr(text, losses[i]);
		if (!at)
			return -EPROTO;
		ev->lost += strtoull(at + strlen(losses[i]), NULL, 10);
	}

	page = malloc(size);
	if (!page)
		return -ENOMEM;
	snprintf(path, sizeof(path), "%s/per_cpu/cpu%u/trace_pipe_raw", ev->path, cpu);
	fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	if (fd < 0)
		rc = -errno;
	while (!rc) {
		n = read(fd, page, size);
		if (n <= 0) {
			rc = n && errno != EAGAIN ? -errno : 0;
			break;
		}
		rc = (size_t)n == size ? bt_events_page(ev, page) : -EPROTO;
	}
	if (fd >= 0)
		close(fd);
	free(page);
	return rc;
}

static inline int bt_ev_compare(const void *a, const void *b)
{
	__u64 x = ((const struct bt_ev *)a)->order, y = ((const struct bt_ev *)b)->order;

	return x < y ? -1 : x > y;
}

/* Ends it: ev->list has them all, but for ev->lost. */
static inline int bt_events_end(struct bt_events *ev)
{
	long cpus = sysconf(_SC_NPROCESSORS_CONF), cpu;
	int rc = bt_events_set(ev, "events/bufftrack/enable", "0");

	for (cpu = 0; !rc && cpu < cpus; cpu++)
		rc = bt_events_cpu(ev, cpu);
	rmdir(ev->path);
	qsort(ev->list, ev->nr, sizeof(*ev->list), bt_ev_compare);
	return rc;
}

#endif /* BT_EVENTS_H */
