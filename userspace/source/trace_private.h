/* SPDX-License-Identifier: GPL-2.0 */
/* What the files of a trace share: instance.c, ring.c, loss.c, reload.c. */
#ifndef BUFFTRACK_TRACE_PRIVATE_H
#define BUFFTRACK_TRACE_PRIVATE_H

#include <kbuffer.h>
#include <poll.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <tracefs.h>

#include "source/own.h"
#include "source/trace.h"

/* What a CPU may take from the time stamp of a record to its being readable. */
#define COMMIT_NS 1000000ULL

#define NOT_ENABLED                                    \
	"cannot enable the events of the module: %s\n" \
	"  (see dmesg, and whether /sys/kernel/security/lockdown lets nobody trace)"

struct event_formats;
/* Memory for events that were taken out of the rings early, of all CPUs together */
#define MAX_PULLED (16U << 20)

/* A page that trace_pull() has read. */
struct pulled {
	struct pulled *next;
	char page[];
};

struct cpu {
	unsigned int nr;
	struct pulled *pulled; /* the oldest one */
	struct pulled **pulled_end; /* where the next one goes; NULL where none was pulled */
	int fd;
	void *page;
	struct kbuffer *buffer;
	struct tep_record record; /* the oldest one; .data is NULL for none */
	uint64_t empty_at; /* when its ring was last found empty */
	uint64_t lost; /* as its ring counts them, when looked at last */
	uint64_t passed_over; /* see pass_over() */
};

/* @own: what there is instead, where tracing is root's: all else is 0 then */
struct trace {
	struct own *own;
	struct tracefs_instance *instance;
	struct tep_handle *tep;
	struct event_formats *formats;
	struct cpu *cpus;
	struct pollfd *polled; /* one a CPU, the uevents, the output */
	size_t nr_cpus;
	size_t page_size;
	size_t nr_pulled;
	size_t nr_owed; /* of them, those that were pulled while nothing could be told */
	int uevents;
	bool all;
	bool forks;
	bool live;
	bool held_back;
	bool refresh_now;
	bool missed; /* events were lost since they were counted */
	struct cpu *current;
	unsigned int failures;
	uint64_t refreshed_at;
	uint64_t lost;
};

/* ring.c */
void trace_fill(struct trace *trace, struct cpu *cpu);
void trace_free_pulled(struct trace *trace, struct cpu *cpu);

/* reload.c */
int trace_open_uevents(void);
void trace_read_uevents(struct trace *trace);
bool trace_start(struct trace *trace);

#endif
