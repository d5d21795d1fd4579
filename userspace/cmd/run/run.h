/* SPDX-License-Identifier: GPL-2.0 */
/* What the files of run share: run.c, child.c, account.c, summary.c. */
#ifndef BUFFTRACK_RUN_H
#define BUFFTRACK_RUN_H

#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <linux/bufftrack.h>

#include "cmd/live.h"
#include "ledger/lives.h"
#include "util/numbers.h"

struct event;

/* What a space was called while the command had clients there. */
struct place {
	char device_label[BUFFTRACK_NAME_LEN];
	char space_label[BUFFTRACK_NAME_LEN];
};

enum leak_check {
	LEAK_CHECK_NO,
	LEAK_CHECK_SUMMARY,
	LEAK_CHECK_FULL,
};

struct run {
	struct live live;
	char **command;
	const char *output; /* NULL for stderr */
	unsigned int leak_check; /* enum leak_check */
	bool trap;
	bool unknown;
	uint64_t error_exitcode;

	struct numbers tasks; /* that descend from the command */
	struct numbers clients; /* that these have opened */
	struct lives lives; /* that the command has begun */
	struct place *places; /* of each of their spaces */
	size_t nr_places;
	uint64_t allocs;
	uint64_t frees;
	uint64_t verdicts[BUFFTRACK_NR_VERDICTS + 1]; /* the last: not known */
	uint64_t leaked_bytes;
	bool unloaded; /* the module, meanwhile */
	bool given_up; /* its events could not be had again */
	int wait_status;
};

/* The command; 0 before it was started. Signal handlers look at it, too. */
extern pid_t run_pid;

/* child.c */
void run_block_signals(sigset_t *inherited);
void run_catch_signals(sigset_t *signals);
void run_take_signals(void);
int run_start(const struct run *run, const sigset_t *mask);
bool run_command_ended(struct run *run);
int run_command_status(const struct run *run);

/* account.c */
bool run_is_ours(const struct run *run, const struct event *event);
void run_account(struct run *run, const struct event *event, bool ours);
void run_forget_module(struct run *run);
uint64_t run_failing(const struct run *run);

/* summary.c */
void run_summary_json(const struct run *run, uint64_t lost);
void run_summary_text(const struct run *run, uint64_t lost);

#endif
