// SPDX-License-Identifier: GPL-2.0
/* unload: through libkmod, and who has the device open where it is in use. */
#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <libkmod.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <time.h>
#include <tracefs.h>
#include <unistd.h>

#include "abi/device.h"
#include "cmd/command.h"
#include "cmd/listeners.h"
#include "cmd/load/load.h"
#include "util/json.h"
#include "util/options.h"
#include "util/util.h"

/* A tool that looks at the counters has the device open for a moment, too. */
#define REMOVE_TRIES 5
#define PAUSE_NS 50000000L

/* Whether a process has the device open; the scan never waits for a dead mount. */
static bool has_device_open(const char *pid, dev_t device)
{
	char path[sizeof("/proc//fd") + 256];
	struct dirent *entry;
	bool found = false;
	struct statx stx;
	DIR *fds;

	snprintf(path, sizeof(path), "/proc/%s/fd", pid);
	fds = opendir(path);
	if (!fds)
		return false;
	while (!found && (entry = readdir(fds))) {
		if (statx(dirfd(fds), entry->d_name, AT_STATX_DONT_SYNC, STATX_TYPE, &stx))
			continue;
		found = S_ISCHR(stx.stx_mode) &&
			makedev(stx.stx_rdev_major, stx.stx_rdev_minor) == device;
	}
	closedir(fds);
	return found;
}

static void tell_user(const char *pid, struct json_object *users)
{
	struct json_object *user;

	char path[sizeof("/proc//comm") + 256], comm[64] = "", text[64];
	FILE *file;

	snprintf(path, sizeof(path), "/proc/%s/comm", pid);
	file = fopen(path, "re");
	if (file) {
		if (!fgets(comm, sizeof(comm), file))
			*comm = '\0';
		fclose(file);
	}
	copy_text(text, sizeof(text), comm, strcspn(comm, "\n"));
	fprintf(stderr, "  pid %s (%s)\n", pid, text);
	user = json_object_new_object();
	json_add_number(user, "pid", strtoul(pid, NULL, 10));
	json_add_text(user, "comm", text);
	json_object_array_add(users, user);
}

/*
 * Names the processes that have the device open, and adds them to @users. Returns how
 * many there are.
 */
static unsigned int name_users(struct json_object *users)
{
	struct dirent *entry;
	struct stat node;
	unsigned int nr = 0;
	DIR *proc;

	proc = stat(DEVICE_PATH, &node) ? NULL : opendir("/proc");
	while (proc && (entry = readdir(proc))) {
		if (!isdigit((unsigned char)entry->d_name[0]) ||
		    !has_device_open(entry->d_name, node.st_rdev))
			continue;
		if (!nr++)
			complain("the module is in use; end what has " DEVICE_PATH
				 " open, then try again:");
		tell_user(entry->d_name, users);
	}
	if (proc)
		closedir(proc);
	return nr;
}

/* Removes the module, and waits a moment for what is just letting go of it. */
static int remove_module(struct kmod_module *module)
{
	const struct timespec pause = { .tv_nsec = PAUSE_NS };
	int error, tries = REMOVE_TRIES;

	for (;;) {
		error = kmod_module_remove_module(module, KMOD_REMOVE_NOWAIT);
		if ((error != -EAGAIN && error != -EBUSY) || !--tries)
			return error;
		nanosleep(&pause, NULL);
	}
}

static void explain_removal(int error)
{
	switch (error) {
	case EUSERS: /* They have been named. */
		break;
	case EPERM:
		if (geteuid())
			complain("only root can unload a module: run 'sudo bufftrack unload'");
		else
			complain("the kernel lets no module be unloaded here (see 'dmesg')");
		break;
	case EAGAIN:
	case EBUSY:
		complain("the module is in use, though no process seen from here has\n"
			 "  " DEVICE_PATH " open: end what uses its tracepoints (perf,\n"
			 "  bpftrace, a trigger), or what has it open in a container");
		break;
	case ENOENT:
		complain("the module is not loaded: there is nothing to unload");
		break;
	default:
		complain("cannot unload the module: %s (see 'dmesg')", strerror(error));
	}
}

/* Returns 0 or an error, which has been explained. */
static int unload(struct json_object *users)
{
	struct kmod_module *module = NULL;
	struct kmod_ctx *ctx;
	int error;

	if (!module_loaded()) {
		explain_removal(ENOENT);
		return -ENOENT;
	}
	ctx = kmod_new(NULL, NULL);
	error = ctx ? kmod_module_new_from_name(ctx, MODULE_NAME, &module) : -ENOMEM;
	if (!error) {
		kmod_set_log_priority(ctx, -1);
		error = remove_module(module);
	}
	if (error == -EAGAIN || error == -EBUSY) {
		if (name_users(users))
			error = -EUSERS;
		else /* Who had it has perhaps just ended. */
			error = remove_module(module);
	}
	if (error)
		explain_removal(-error);
	if (module)
		kmod_module_unref(module);
	if (ctx)
		kmod_unref(ctx);
	return error;
}

/* Who listens by ftrace; nobody where no module is loaded, or tracefs is not there. */
static unsigned int name_listeners(struct json_object *listeners)
{
	const char *tracing = tracefs_tracing_dir();

	return tracing && module_loaded() ? listeners_name(tracing, listeners) : 0;
}

static int unload_main(int argc, char **argv)
{
	struct json_object *users, *listeners, *object;
	bool json = false, force = false;
	const struct option_spec options[] = {
		OPTION_FLAG('f', "force", &force),
		OPTION_FLAG('j', "json", &json),
	};
	int ret = command_options_only(&cmd_unload, argc, argv, options, ARRAY_SIZE(options));
	int error;

	if (ret != COMMAND_GO_ON)
		return ret;
	users = json_object_new_array();
	listeners = json_object_new_array();
	if (!force && name_listeners(listeners)) {
		fprintf(stderr,
			"  or give --force: the kernel then erases what they have recorded\n");
		error = -EBUSY;
	} else {
		error = unload(users);
	}
	if (json) {
		object = load_outcome(!error);
		json_add(object, "users", json_object_get(users));
		json_add(object, "listeners", json_object_get(listeners));
		json_print(object);
	}
	json_object_put(users);
	json_object_put(listeners);
	return error ? EXIT_ERROR : EXIT_OK;
}

const struct command cmd_unload = {
	.name = "unload",
	.help = "unload it, or say who is using it",
	.usage = "Usage: bufftrack unload [OPTION...]\n"
		 "Unloads the kernel module. All its records go with it. While processes\n"
		 "have " DEVICE_PATH " open it cannot; they are named then. While ftrace has\n"
		 "events of it on, or triggers, it does not: the kernel would erase what was\n"
		 "recorded. How to end each is said.\n"
		 "\n"
		 "Options:\n"
		 "  -f, --force  unload it though ftrace listens\n"
		 "  -h, --help   this text\n"
		 "  -j, --json   what came of it, as one JSON object\n"
		 "\n"
		 "Example:\n"
		 "  sudo bufftrack unload\n",
	.run = unload_main,
};
