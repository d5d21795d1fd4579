// SPDX-License-Identifier: GPL-2.0
/* run: the command as a child, the signals that are passed on to it, its exit status. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cmd/command.h"
#include "cmd/run/run.h"
#include "util/signals.h"
#include "util/util.h"

/* How many frames a runtime is asked to pass, and whether to trap. */
#define STACK_VARIABLE "BUFFTRACK_STACK"
#define DEFAULT_STACK "32"
#define TRAP_VARIABLE "BUFFTRACK_TRAP"
/* As env(1) and the shells have them. */
#define EXIT_CANNOT_EXECUTE 126
#define EXIT_NOT_FOUND 127
#define EXIT_SIGNAL 128

pid_t run_pid;

static const int passed_on[] = { SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2 };

/* Whether it is not yet known that it has. */
static bool command_is_over(void)
{
	siginfo_t ended = { 0 };

	return waitid(P_PID, (id_t)run_pid, &ended, WEXITED | WNOHANG | WNOWAIT) || ended.si_pid;
}

/*
 * The terminal's signals reach the command by themselves. One that comes when the command
 * is over is meant for the report; but not the terminal's first one, which may have ended
 * the command.
 */
static void pass_on(int signal, siginfo_t *info, void *context)
{
	static volatile sig_atomic_t seen;
	int saved = errno;

	(void)context;
	if (command_is_over()) {
		if (info->si_code != SI_KERNEL || seen)
			signals_stop();
	} else if (info->si_code != SI_KERNEL) {
		kill(run_pid, signal);
	}
	seen = seen || info->si_code == SI_KERNEL;
	errno = saved;
}

static void wake_up(int signal)
{
	(void)signal;
}

/* Signals are let in only between the events. Fills in the mask for that. */
void run_block_signals(sigset_t *inherited)
{
	sigset_t blocked;
	size_t i;

	sigemptyset(&blocked);
	sigaddset(&blocked, SIGCHLD);
	for (i = 0; i < ARRAY_SIZE(passed_on); i++)
		sigaddset(&blocked, passed_on[i]);
	sigprocmask(SIG_BLOCK, &blocked, inherited);
}

/* After the fork: the command has inherited what was there. */
void run_catch_signals(sigset_t *signals)
{
	struct sigaction pass = { .sa_sigaction = pass_on, .sa_flags = SA_SIGINFO };
	struct sigaction old;
	sigset_t passed;
	size_t i;

	sigemptyset(&passed);
	sigdelset(signals, SIGCHLD);
	for (i = 0; i < ARRAY_SIZE(passed_on); i++) {
		sigaction(passed_on[i], NULL, &old);
		if (old.sa_handler == SIG_IGN)
			continue;
		sigaction(passed_on[i], &pass, NULL);
		sigdelset(signals, passed_on[i]);
		sigaddset(&passed, passed_on[i]);
	}
	signals_pass_on(&passed);
	signal(SIGPIPE, SIG_IGN);
}

/* The command has ended: what comes from here on is meant for the report. */
void run_take_signals(void)
{
	sigset_t unused;

	signals_let_in();
	signals_catch(&unused);
}

/* In the child. What goes wrong is written to @failed. */
static void execute(const struct run *run, const sigset_t *mask, const struct sigaction *inherited,
		    int failed)
{
	int error;

	sigaction(SIGCHLD, inherited, NULL);
	setenv(STACK_VARIABLE, DEFAULT_STACK, 0);
	if (run->trap)
		setenv(TRAP_VARIABLE, "1", 1);
	sigprocmask(SIG_SETMASK, mask, NULL);
	execvp(run->command[0], run->command);
	error = errno;
	if (write(failed, &error, sizeof(error)) < 0)
		_exit(EXIT_ERROR);
	_exit(EXIT_NOT_FOUND);
}

/* Starts the command. Returns EXIT_OK, or what to exit with. */
int run_start(const struct run *run, const sigset_t *mask)
{
	struct sigaction child = { .sa_handler = wake_up }, inherited;
	int failed[2], error = 0;
	ssize_t len;

	if (pipe2(failed, O_CLOEXEC)) {
		complain("cannot make a pipe: %s", strerror(errno));
		return EXIT_ERROR;
	}
	/* Where it was ignored nothing would be told, or left, of a child that has ended. */
	sigaction(SIGCHLD, &child, &inherited);
	run_pid = fork();
	if (run_pid == 0)
		execute(run, mask, &inherited, failed[1]);
	close(failed[1]);
	if (run_pid < 0) {
		complain("cannot fork: %s", strerror(errno));
		close(failed[0]);
		return EXIT_ERROR;
	}
	len = read(failed[0], &error, sizeof(error));
	close(failed[0]);
	if (len <= 0)
		return EXIT_OK;
	waitpid(run_pid, NULL, 0);
	complain("cannot run %s: %s", run->command[0], strerror(error));
	return error == ENOENT ? EXIT_NOT_FOUND : EXIT_CANNOT_EXECUTE;
}

bool run_command_ended(struct run *run)
{
	pid_t ended = waitpid(run_pid, &run->wait_status, WNOHANG);

	if (ended >= 0 || errno != ECHILD)
		return ended == run_pid;
	complain("the command's exit status is not known");
	run->wait_status = W_EXITCODE(EXIT_ERROR, 0);
	return true;
}

int run_command_status(const struct run *run)
{
	if (WIFEXITED(run->wait_status))
		return WEXITSTATUS(run->wait_status);
	return EXIT_SIGNAL + WTERMSIG(run->wait_status);
}
