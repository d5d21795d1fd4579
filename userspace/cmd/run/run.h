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
#include "cmd/run/runtime.h"
#include "ledger/lives.h"
#include "util/numbers.h"

struct event;
struct suppressions;

/* What a space was called while the command had clients there. */
struct place {
	char device_label[BUFFTRACK_NAME_LEN];
	char space_label[BUFFTRACK_NAME_LEN];
};

/* run's own failures exit as those of env(1) and timeout(1) do. */
enum {
	EXIT_RUN_FAILED = 125,
	EXIT_CANNOT_EXECUTE = 126,
	EXIT_NOT_FOUND = 127,
	EXIT_SIGNAL = 128,
};

/**
 * struct run_user - as whom the command runs
 * @changes: it is another than we are
 * @environment: of the command; ends with NULL
 */
struct run_user {
	bool changes;
	uid_t uid;
	gid_t gid;
	gid_t *groups;
	size_t nr_groups;
	char *name;
	char *home;
	char *shell;
	char **environment;
	size_t nr_variables;
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
	bool no_unknown;
	bool allow_loss;
	bool require_client;
	bool gen_suppressions;
	struct suppressions *suppressions; /* NULL for none */
	uint64_t error_exitcode;
	struct run_user user;
	int no_access; /* why the command may not open the device; 0 where it may */
	struct runtimes runtimes;

	struct numbers tasks; /* that descend from the command */
	struct numbers clients; /* that these have opened */
	struct lives lives; /* that the command has begun */
	struct place *places; /* of each of their spaces */
	size_t nr_places;
	uint64_t allocs;
	uint64_t frees;
	uint64_t verdicts[BUFFTRACK_NR_VERDICTS + 1]; /* the last: not known */
	uint64_t failing; /* verdicts that make the exit status */
	uint64_t ignored_unknown; /* unknown frees that do not */
	uint64_t nr_clients; /* that the command has opened */
	uint64_t leaked_bytes;
	bool unloaded; /* the module, meanwhile */
	bool given_up; /* its events could not be had again */
	int wait_status;
	uint64_t own_since; /* without root: from when on a process is the command's; else 0 */
	struct bufftrack_stat own_before; /* the user's counts then */
};

/* The command; 0 before it was started. Signal handlers look at it, too. */
extern pid_t run_pid;

/* child.c */
void run_block_signals(sigset_t *inherited);
void run_catch_signals(sigset_t *signals);
void run_take_signals(void);
int run_start(struct run *run, const sigset_t *mask);
bool run_command_ended(struct run *run);
int run_command_status(const struct run *run);

/* account.c */
bool run_is_ours(const struct run *run, const struct event *event);
void run_account(struct run *run, const struct event *event, bool ours, bool suppressed);
void run_forget_module(struct run *run);

/* own.c: without root */
void run_own_begin(struct run *run);
void run_own_end(struct run *run);
bool run_own_is_ours(const struct run *run, const struct event *event);

/* user.c */
bool run_find_user(struct run_user *user, const char *name);
bool run_become_user(const struct run_user *user);

/* summary.c */
int run_exit_status(const struct run *run, uint64_t lost);
void run_summary_json(const struct run *run, uint64_t lost);
void run_summary_text(const struct run *run, uint64_t lost);

#endif
