// SPDX-License-Identifier: GPL-2.0
/* run: the command as a child, the signals that are passed on to it, its exit status. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "abi/device.h"
#include "cmd/command.h"
#include "cmd/run/run.h"
#include "util/signals.h"
#include "util/util.h"

/* How many frames a runtime is asked to pass, and whether to trap. */
#define STACK_VARIABLE "BUFFTRACK_STACK"
#define DEFAULT_STACK "32"
#define TRAP_VARIABLE "BUFFTRACK_TRAP"

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

/* What the child tells of itself before it is the command. */
struct from_child {
	enum {
		NO_ACCESS, /* it may not open the device; the command runs all the same */
		NOT_THE_USER, /* it could not become that user */
		NOT_EXECUTED,
	} what;
	int error;
};

static void tell_parent(int fd, int what)
{
	const struct from_child message = { .what = what, .error = errno };

	if (write(fd, &message, sizeof(message)) < 0)
		_exit(EXIT_RUN_FAILED);
}

/* In the child. What goes wrong is written to @to_parent. */
static void execute(const struct run *run, const sigset_t *mask, const struct sigaction *inherited,
		    int to_parent)
{
	sigaction(SIGCHLD, inherited, NULL);
	if (!run_become_user(&run->user)) {
		tell_parent(to_parent, NOT_THE_USER);
		_exit(EXIT_RUN_FAILED);
	}
	if (access(DEVICE_PATH, R_OK | W_OK))
		tell_parent(to_parent, NO_ACCESS);
	setenv(STACK_VARIABLE, DEFAULT_STACK, 0);
	if (run->trap)
		setenv(TRAP_VARIABLE, "1", 1);
	runtimes_set_up(&run->runtimes);
	sigprocmask(SIG_SETMASK, mask, NULL);
	execvp(run->command[0], run->command);
	tell_parent(to_parent, NOT_EXECUTED);
	_exit(EXIT_NOT_FOUND);
}

/* Takes what the child tells, until it is the command. Returns EXIT_OK, or an exit code. */
static int listen_to_child(struct run *run, int fd)
{
	struct from_child message;
	int ret = EXIT_OK;

	while (read(fd, &message, sizeof(message)) == sizeof(message)) {
		switch (message.what) {
		case NO_ACCESS:
			run->no_access = message.error;
			break;
		case NOT_THE_USER:
			complain("cannot become user %s: %s", run->user.name,
				 strerror(message.error));
			ret = EXIT_RUN_FAILED;
			break;
		case NOT_EXECUTED:
			complain("cannot run %s: %s", run->command[0], strerror(message.error));
			ret = message.error == ENOENT ? EXIT_NOT_FOUND : EXIT_CANNOT_EXECUTE;
			break;
		}
	}
	return ret;
}

/* Starts the command. Returns EXIT_OK, or what to exit with. */
int run_start(struct run *run, const sigset_t *mask)
{
	struct sigaction child = { .sa_handler = wake_up }, inherited;
	int pipe_fds[2], ret;

	if (pipe2(pipe_fds, O_CLOEXEC)) {
		complain("cannot make a pipe: %s", strerror(errno));
		return EXIT_RUN_FAILED;
	}
	/* Where it was ignored nothing would be told, or left, of a child that has ended. */
	sigaction(SIGCHLD, &child, &inherited);
	run_pid = fork();
	if (run_pid == 0)
		execute(run, mask, &inherited, pipe_fds[1]);
	close(pipe_fds[1]);
	if (run_pid < 0) {
		complain("cannot fork: %s", strerror(errno));
		close(pipe_fds[0]);
		return EXIT_RUN_FAILED;
	}
	ret = listen_to_child(run, pipe_fds[0]);
	close(pipe_fds[0]);
	if (ret != EXIT_OK)
		waitpid(run_pid, NULL, 0);
	return ret;
}

bool run_command_ended(struct run *run)
{
	pid_t ended = waitpid(run_pid, &run->wait_status, WNOHANG);

	if (ended >= 0 || errno != ECHILD)
		return ended == run_pid;
	complain("the command's exit status is not known");
	run->wait_status = W_EXITCODE(EXIT_RUN_FAILED, 0);
	return true;
}

int run_command_status(const struct run *run)
{
	if (WIFEXITED(run->wait_status))
		return WEXITSTATUS(run->wait_status);
	return EXIT_SIGNAL + WTERMSIG(run->wait_status);
}
