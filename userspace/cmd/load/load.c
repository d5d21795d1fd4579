// SPDX-License-Identifier: GPL-2.0
/* load: through libkmod. */
#include <ctype.h>
#include <errno.h>
#include <getopt.h>
#include <libkmod.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "abi/device.h"
#include "cmd/command.h"
#include "cmd/load/load.h"
#include "util/json.h"
#include "util/options.h"
#include "util/util.h"

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
	struct kmod_list *info = load_module_info(module), *entry;
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

/* What came of it, as JSON: @changed is whether this call did it. */
struct json_object *load_outcome(bool changed)
{
	struct json_object *object = json_object_new_object();

	json_add_bool(object, "loaded", module_loaded());
	json_add_bool(object, "changed", changed);
	return object;
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

	module = load_find_module(ctx, file, &installed);
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
		load_explain_refusal(module, installed, joined, -error);
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
		object = load_outcome(changed);
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
	const struct option_spec options[] = {
		OPTION_FLAG('j', "json", &json),
	};
	int ret = command_options(&cmd_load, argc, argv, options, ARRAY_SIZE(options));
	int i;

	if (ret != COMMAND_GO_ON)
		return ret;
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
