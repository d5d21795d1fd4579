// SPDX-License-Identifier: GPL-2.0
/* load and unload: through libkmod, and what to do where the kernel refuses. */
#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <libkmod.h>
#include <linux/capability.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/utsname.h>
#include <time.h>
#include <unistd.h>

#include "cmd/command.h"
#include "abi/device.h"
#include "util/json.h"
#include "util/util.h"

/* A tool that looks at the counters has the device open for a moment, too. */
#define REMOVE_TRIES 5
#define PAUSE_NS 50000000L

static const struct option options[] = {
	{ "help", no_argument, NULL, 'h' },
	{ "json", no_argument, NULL, 'j' },
	{ 0 },
};

/* What came of it, as JSON: @changed is whether this call did it. */
static struct json_object *outcome(bool changed)
{
	struct json_object *object = json_object_new_object();

	json_add_bool(object, "loaded", module_loaded());
	json_add_bool(object, "changed", changed);
	return object;
}

/* Whether an argument names a file, not a parameter. */
static bool is_module_file(const char *arg)
{
	const char *name = strrchr(arg, '/');

	name = name ? name + 1 : arg;
	return strstr(name, ".ko") && !strchr(name, '=');
}

/* Whether an argument is name=value. */
static bool is_parameter(const char *arg)
{
	size_t len = 0;

	while (isalnum((unsigned char)arg[len]) || arg[len] == '_' || arg[len] == '-')
		len++;
	return len && arg[len] == '=';
}

static struct kmod_list *module_info(struct kmod_module *module)
{
	struct kmod_list *info = NULL;

	return kmod_module_get_info(module, &info) < 0 ? NULL : info;
}

/* Whether @parm, a module's "name:description", is of the parameter @name. */
static bool same_parameter(const char *parm, const char *name, size_t len)
{
	size_t i;

	for (i = 0; i < len; i++)
		if (parm[i] != (name[i] == '-' ? '_' : name[i]))
			return false;
	return parm[len] == ':';
}

/*
 * The kernel ignores a parameter that it does not know, with a line in its log.
 * Who mistypes one wants to hear of it.
 */
static bool check_parameter(struct kmod_module *module, const char *arg)
{
	struct kmod_list *info = module_info(module), *entry;
	char known[512] = "";
	size_t len = strcspn(arg, "="), used = 0;
	const char *parm;
	bool found = !info;

	kmod_list_foreach(entry, info)
	{
		if (strcmp(kmod_module_info_get_key(entry), "parm"))
			continue;
		parm = kmod_module_info_get_value(entry);
		if (same_parameter(parm, arg, len))
			found = true;
		if (used < sizeof(known))
			used += (size_t)snprintf(known + used, sizeof(known) - used, " %.*s",
						 (int)strcspn(parm, ":"), parm);
	}
	kmod_module_info_free_list(info);
	if (!found)
		complain("unknown parameter: %.*s\n  the module has:%s", (int)len, arg, known);
	return found;
}

/* The kernel release that the module was built for, empty where not known. */
static void built_for(struct kmod_module *module, char *release, size_t room)
{
	struct kmod_list *info = module_info(module), *entry;
	const char *vermagic;

	*release = '\0';
	kmod_list_foreach(entry, info)
	{
		if (strcmp(kmod_module_info_get_key(entry), "vermagic"))
			continue;
		vermagic = kmod_module_info_get_value(entry);
		snprintf(release, room, "%.*s", (int)strcspn(vermagic, " "), vermagic);
	}
	kmod_module_info_free_list(info);
}

/* Whether @text stands in a small file: one of /proc or /sys, or none. */
static bool file_has(const char *path, const char *text)
{
	char line[128] = "";
	FILE *file = fopen(path, "re");
	bool found = file && fgets(line, sizeof(line), file) && strstr(line, text);

	if (file)
		fclose(file);
	return found;
}

/* What is wrong with the module, and how to come by one for this kernel. */
static void explain_build(const char *wrong)
{
	char headers[sizeof("/lib/modules//build/Makefile") + 128], install[256] = "";
	struct utsname kernel;

	uname(&kernel);
	snprintf(headers, sizeof(headers), "/lib/modules/%s/build/Makefile", kernel.release);
	if (access(headers, F_OK))
		snprintf(install, sizeof(install),
			 "  its headers are missing: apt-get install linux-headers-%s\n",
			 kernel.release);
	complain("%s:\n%s"
		 "  'make KVER=%s', then load it by its path, or 'make install';\n"
		 "  or let DKMS build it: 'make dkms', or Debian's package bufftrack-dkms",
		 wrong, install, kernel.release);
}

/* Whether the module was built for another kernel than the one that runs. */
static bool is_of_another_kernel(struct kmod_module *module, char *release, size_t room)
{
	struct utsname kernel;

	uname(&kernel);
	built_for(module, release, room);
	return *release && strcmp(release, kernel.release);
}

static void explain_wrong_kernel(struct kmod_module *module)
{
	char release[128], wrong[224];

	if (is_of_another_kernel(module, release, sizeof(release))) {
		snprintf(wrong, sizeof(wrong),
			 "the module was built for another kernel, %s;\n"
			 "  build it for this one",
			 release);
		explain_build(wrong);
	} else {
		explain_build("this kernel takes the file for no module (see 'dmesg'); build it");
	}
}

/* EPERM has many reasons, each with a way out of its own. */
static void explain_forbidden(void)
{
	if (geteuid())
		complain("only root can load a module: run 'sudo bufftrack load'");
	else if (prctl(PR_CAPBSET_READ, CAP_SYS_MODULE, 0, 0, 0) == 0)
		complain("this root may load no module, in a container perhaps: load it on the\n"
			 "  host, and give the container " DEVICE_PATH);
	else if (file_has("/proc/sys/kernel/modules_disabled", "1"))
		complain("this kernel takes no module until it is booted again, since\n"
			 "  /proc/sys/kernel/modules_disabled is 1: load it before that is set");
	else if (file_has("/sys/kernel/security/lockdown", "[integrity]") ||
		 file_has("/sys/kernel/security/lockdown", "[confidentiality]"))
		complain("this kernel is locked down: sign the module with a key that this\n"
			 "  machine trusts (mokutil --import), or turn Secure Boot off");
	else
		complain("the kernel lets no module be loaded here: locked down by Secure Boot,\n"
			 "  or in a container (see 'dmesg'): load it on the host");
}

/* The kernel says EINVAL of a parameter's value, of a symbol's version, of an empty file. */
static void explain_invalid(struct kmod_module *module, bool installed, const char *parameters)
{
	char release[128];

	if (*parameters)
		complain("the module refused a parameter's value (see 'dmesg'): %s\n"
			 "  'man 4 bufftrack' has the range of each",
			 parameters);
	else if (installed && !is_of_another_kernel(module, release, sizeof(release)))
		complain(
			"the module was refused (see 'dmesg'): an option or a command for it\n"
			"  may stand in /etc/modprobe.d ('modprobe --showconfig | grep bufftrack')");
	else
		explain_wrong_kernel(module);
}

static void explain_refusal(struct kmod_module *module, bool installed, const char *parameters,
			    int error)
{
	switch (error) {
	case EPERM:
	case EACCES:
		explain_forbidden();
		break;
	case ENOEXEC:
		explain_wrong_kernel(module);
		break;
	case EKEYREJECTED:
	case ENOKEY:
		complain("the kernel wants modules signed: sign it with a key that this\n"
			 "  machine trusts (mokutil --import), or turn Secure Boot off");
		break;
	case ENOENT:
		explain_build("this kernel lacks a symbol that the module needs (see 'dmesg');\n"
			      "  build it");
		break;
	case EINVAL:
	case ERANGE:
		explain_invalid(module, installed, parameters);
		break;
	default:
		complain("cannot load the module: %s (see 'dmesg')", strerror(error));
	}
}

/* The module in $BUFFTRACK_MODULE_DIR for the running kernel, NULL if none. */
static char *file_in_module_dir(void)
{
	const char *dir = getenv("BUFFTRACK_MODULE_DIR");
	struct utsname kernel;
	char *path;

	if (!dir || !*dir)
		return NULL;
	uname(&kernel);
	if (asprintf(&path, "%s/%s/" MODULE_NAME ".ko", dir, kernel.release) < 0)
		return NULL;
	if (access(path, F_OK) == 0)
		return path;
	free(path);
	return NULL;
}

static struct kmod_module *module_from_file(struct kmod_ctx *ctx, const char *path)
{
	struct kmod_module *module;
	int error;

	if (access(path, R_OK)) {
		complain("cannot read %s: %s", path, strerror(errno));
		return NULL;
	}
	error = kmod_module_new_from_path(ctx, path, &module);
	if (error == 0)
		return module;
	complain("cannot use %s: %s", path, strerror(-error));
	return NULL;
}

static struct kmod_module *module_installed(struct kmod_ctx *ctx)
{
	struct kmod_module *module = NULL;
	struct kmod_list *found = NULL;
	const char *path;
	char wrong[160];
	struct utsname kernel;

	if (kmod_module_new_from_lookup(ctx, MODULE_NAME, &found) == 0 && found)
		module = kmod_module_get_module(found);
	kmod_module_unref_list(found);
	path = module ? kmod_module_get_path(module) : NULL;
	if (path && access(path, F_OK) == 0)
		return module;

	if (path) {
		complain("%s is gone:\n  run 'sudo depmod', then see what is left", path);
	} else {
		uname(&kernel);
		snprintf(wrong, sizeof(wrong), "no module is installed for kernel %s; build it",
			 kernel.release);
		explain_build(wrong);
	}
	if (module)
		kmod_module_unref(module);
	return NULL;
}

/*
 * The module to load: the one given, that of $BUFFTRACK_MODULE_DIR, or the one
 * that is installed, for which modprobe's configuration holds.
 */
static struct kmod_module *find_module(struct kmod_ctx *ctx, const char *given, bool *installed)
{
	struct kmod_module *module;
	char *path;

	*installed = false;
	if (given)
		return module_from_file(ctx, given);
	path = file_in_module_dir();
	if (!path) {
		*installed = true;
		return module_installed(ctx);
	}
	module = module_from_file(ctx, path);
	free(path);
	return module;
}

/* @changed is whether it was not loaded before, and @path where it came from. */
static int load_module(struct kmod_ctx *ctx, const char *file, int nr, char **parameters,
		       bool *changed, char **path)
{
	struct kmod_module *module;
	char *joined = NULL;
	bool installed;
	size_t len = 0;
	FILE *stream;
	int i, error;

	module = find_module(ctx, file, &installed);
	if (!module)
		return EXIT_ERROR;
	stream = open_memstream(&joined, &len);
	if (!stream)
		goto nomem;
	for (i = 0; i < nr; i++) {
		if (!check_parameter(module, parameters[i])) {
			fclose(stream);
			free(joined);
			kmod_module_unref(module);
			return EXIT_ERROR;
		}
		fprintf(stream, "%s%s", i ? " " : "", parameters[i]);
	}
	if (fclose(stream))
		goto nomem;

	if (installed)
		error = kmod_module_probe_insert_module(module, 0, joined, NULL, NULL, NULL);
	else
		error = kmod_module_insert_module(module, 0, joined);
	*changed = !error;
	if (error && error != -EEXIST)
		explain_refusal(module, installed, joined, -error);
	else if (!error && kmod_module_get_path(module))
		*path = strdup(kmod_module_get_path(module));
	free(joined);
	kmod_module_unref(module);
	if (error && error != -EEXIST)
		return EXIT_ERROR;
	if (access(DEVICE_PATH, F_OK))
		complain("loaded, but there is no " DEVICE_PATH ": is devtmpfs mounted on /dev?");
	return EXIT_OK;
nomem:
	complain("out of memory");
	free(joined);
	kmod_module_unref(module);
	return EXIT_ERROR;
}

static int run_load(const char *file, int nr, char **parameters, bool json)
{
	struct json_object *object;
	bool changed = false;
	struct kmod_ctx *ctx;
	char *path = NULL;
	int ret = EXIT_OK;

	if (module_loaded()) {
		complain("already loaded%s",
			 nr ? "; change its parameters in " MODULE_SYSFS "/parameters" : "");
	} else {
		ctx = kmod_new(NULL, NULL);
		if (!ctx) {
			complain("cannot use libkmod: %s", strerror(errno));
			return EXIT_ERROR;
		}
		/* What libkmod would say is said here, with what to do. */
		kmod_set_log_priority(ctx, -1);
		ret = load_module(ctx, file, nr, parameters, &changed, &path);
		kmod_unref(ctx);
	}
	if (json) {
		object = outcome(changed);
		if (path)
			copy_text(path, strlen(path) + 1, path, strlen(path));
		json_add_text(object, "file", path);
		json_print(object);
	}
	free(path);
	return ret;
}

static int load_main(int argc, char **argv)
{
	const char *file = NULL;
	bool json = false;
	int option, i;

	while ((option = getopt_long(argc, argv, "hj", options, NULL)) != -1) {
		switch (option) {
		case 'h':
			return command_help(&cmd_load);
		case 'j':
			json = true;
			break;
		default:
			return command_misused(&cmd_load);
		}
	}
	if (optind < argc && is_module_file(argv[optind]))
		file = argv[optind++];
	for (i = optind; i < argc; i++) {
		if (is_parameter(argv[i]))
			continue;
		complain("not a module file (.ko) nor name=value: %s", argv[i]);
		return command_misused(&cmd_load);
	}
	return run_load(file, argc - optind, argv + optind, json);
}

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

static int unload_main(int argc, char **argv)
{
	struct json_object *users, *object;
	bool json = false;
	int option, error;

	while ((option = getopt_long(argc, argv, "hj", options, NULL)) != -1) {
		switch (option) {
		case 'h':
			return command_help(&cmd_unload);
		case 'j':
			json = true;
			break;
		default:
			return command_misused(&cmd_unload);
		}
	}
	if (optind < argc) {
		complain("unload takes no argument: %s", argv[optind]);
		return command_misused(&cmd_unload);
	}

	users = json_object_new_array();
	error = unload(users);
	if (json) {
		object = outcome(!error);
		json_add(object, "users", json_object_get(users));
		json_print(object);
	}
	json_object_put(users);
	return error ? EXIT_ERROR : EXIT_OK;
}

const struct command cmd_load = {
	.name = "load",
	.help = "load the kernel module",
	.usage = "Usage: bufftrack load [OPTION...] [MODULE.ko] [NAME=VALUE...]\n"
		 "Loads the kernel module. Without a file: the one in\n"
		 "$BUFFTRACK_MODULE_DIR/$(uname -r), else the installed one, as modprobe\n"
		 "would. That it is loaded already is no error.\n"
		 "\n"
		 "Parameters: those of the module, which 'man 4 bufftrack' describes,\n"
		 "and 'bufftrack status' and 'modinfo bufftrack' list.\n"
		 "\n"
		 "Options:\n"
		 "  -h, --help  this text\n"
		 "  -j, --json  what came of it, as one JSON object\n"
		 "\n"
		 "Examples:\n"
		 "  sudo bufftrack load\n"
		 "  sudo bufftrack load build/$(uname -r)/bufftrack.ko log_limit=20\n",
	.run = load_main,
};

const struct command cmd_unload = {
	.name = "unload",
	.help = "unload it, or say who is using it",
	.usage = "Usage: bufftrack unload [OPTION...]\n"
		 "Unloads the kernel module. All its records go with it. While processes\n"
		 "have " DEVICE_PATH " open it cannot; they are named then.\n"
		 "\n"
		 "Options:\n"
		 "  -h, --help  this text\n"
		 "  -j, --json  what came of it, as one JSON object\n"
		 "\n"
		 "Example:\n"
		 "  sudo bufftrack unload\n",
	.run = unload_main,
};
