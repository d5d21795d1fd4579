// SPDX-License-Identifier: GPL-2.0
/*
 * run: as whom the command runs. Tracing needs root, the command does not: under sudo it
 * is the user who called that, with the environment from which it was called.
 */
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <inttypes.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cmd/command.h"
#include "cmd/run/run.h"
#include "util/util.h"

/* How far above us sudo is looked for: it may have a process of its own for a terminal. */
#define MAX_ANCESTORS 8
#define MAX_ENVIRONMENT (4U << 20)

/* Sets the user and its groups. Returns false where it has none, having said so. */
static bool take_user(struct run_user *user, const struct passwd *entry)
{
	int nr = 64;

	user->uid = entry->pw_uid;
	user->gid = entry->pw_gid;
	user->name = strdup(entry->pw_name);
	user->home = strdup(entry->pw_dir);
	user->shell = strdup(entry->pw_shell);
	user->groups = xrealloc(NULL, (size_t)nr, sizeof(*user->groups));
	while (getgrouplist(user->name, user->gid, user->groups, &nr) < 0)
		user->groups = xrealloc(user->groups, (size_t)nr, sizeof(*user->groups));
	user->nr_groups = (size_t)nr;
	user->changes = true;
	if (user->name && user->home && user->shell)
		return true;
	complain("out of memory");
	return false;
}

/* The whole of a small file of /proc, with a NUL behind it; NULL where it cannot be read. */
static char *read_file(const char *path, size_t *len)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	char *text = NULL;
	ssize_t step = 0;

	*len = 0;
	while (fd >= 0 && *len < MAX_ENVIRONMENT) {
		text = xrealloc(text, *len + 65536 + 1, 1);
		step = read(fd, text + *len, 65536);
		if (step <= 0)
			break;
		*len += (size_t)step;
	}
	if (fd >= 0)
		close(fd);
	if (text)
		text[*len] = '\0';
	return text;
}

/* The parent of a process, and whether that process is sudo; 0 where it is not known. */
static pid_t parent_of(pid_t pid, bool *is_sudo)
{
	char path[64], *text, *end;
	int parent = 0;
	size_t len;

	snprintf(path, sizeof(path), "/proc/%d/stat", pid);
	text = read_file(path, &len);
	if (!text)
		return 0;
	/* PID (COMM) STATE PPID ...: the name may have blanks and parentheses in it. */
	end = strrchr(text, ')');
	*is_sudo = end && strchr(text, '(') && end - strchr(text, '(') == 5 &&
		   !strncmp(end - 4, "sudo", 4);
	if (!end || sscanf(end + 1, " %*c %d", &parent) != 1)
		parent = 0;
	free(text);
	return parent;
}

/* The environment in which sudo was called, as it lies in memory; NULL where not known. */
static char *environment_of_sudo(size_t *len)
{
	char path[64];
	pid_t pid = getppid(), parent;
	bool is_sudo = false;
	int i;

	for (i = 0; i < MAX_ANCESTORS && pid > 1; i++) {
		parent = parent_of(pid, &is_sudo);
		if (is_sudo)
			break;
		pid = parent;
	}
	if (!is_sudo)
		return NULL;
	snprintf(path, sizeof(path), "/proc/%d/environ", pid);
	return read_file(path, len);
}

static bool is_named(const char *entry, const char *name, size_t len)
{
	return !strncmp(entry, name, len) && entry[len] == '=';
}

/* Adds NAME=VALUE, unless a variable of that name is there. */
static void add_variable(struct run_user *user, char *entry)
{
	size_t len = strcspn(entry, "="), i;

	if (!entry[len])
		return;
	for (i = 0; i < user->nr_variables; i++)
		if (is_named(user->environment[i], entry, len))
			return;
	user->environment =
		xrealloc(user->environment, user->nr_variables + 2, sizeof(*user->environment));
	user->environment[user->nr_variables++] = entry;
	user->environment[user->nr_variables] = NULL;
}

static void add_text(struct run_user *user, const char *name, const char *value)
{
	char *entry;

	if (asprintf(&entry, "%s=%s", name, value) >= 0)
		add_variable(user, entry);
}

/*
 * What was set for the tracking comes from our own environment. sudo's is the user's; what
 * only ours has stood on sudo's command line.
 */
static void make_environment(struct run_user *user, bool of_sudo)
{
	char **entry, *text = NULL;
	size_t len = 0, at;

	for (entry = environ; *entry; entry++)
		if (!strncmp(*entry, "BUFFTRACK_", 10) || is_named(*entry, "BUFFTRACK", 9))
			add_variable(user, *entry);
	if (of_sudo)
		text = environment_of_sudo(&len);
	for (at = 0; text && at < len; at += strlen(text + at) + 1)
		add_variable(user, text + at);
	add_text(user, "HOME", user->home);
	add_text(user, "USER", user->name);
	add_text(user, "LOGNAME", user->name);
	add_text(user, "SHELL", user->shell);
	for (entry = environ; *entry; entry++)
		if (strncmp(*entry, "SUDO_", 5))
			add_variable(user, *entry);
}

/**
 * run_find_user - as whom the command is to run
 * @user: is filled in
 * @name: who was asked for; NULL for who called sudo
 *
 * Returns false where that is nobody, having said so.
 */
bool run_find_user(struct run_user *user, const char *name)
{
	const char *caller = getenv("SUDO_UID");
	struct passwd *entry;
	uint64_t uid;
	bool is_caller;

	is_caller = !geteuid() && caller && parse_number(caller, &uid) && uid <= UINT32_MAX;
	if (!name && (!is_caller || !uid))
		return true;
	errno = 0;
	entry = name ? getpwnam(name) : getpwuid((uid_t)uid);
	if (!entry) {
		complain("there is no user %s", name ? name : caller);
		return false;
	}
	if (geteuid() && entry->pw_uid != geteuid()) {
		complain("only root can run a command as %s: use sudo", entry->pw_name);
		return false;
	}
	if (!geteuid() && !take_user(user, entry))
		return false;
	if (user->changes)
		make_environment(user, is_caller && user->uid == uid);
	return true;
}

/* In the child, before the command. Returns false with errno set. */
bool run_become_user(const struct run_user *user)
{
	if (!user->changes)
		return true;
	environ = user->environment;
	return !setgroups(user->nr_groups, user->groups) &&
	       !setresgid(user->gid, user->gid, user->gid) &&
	       !setresuid(user->uid, user->uid, user->uid);
}
