// SPDX-License-Identifier: GPL-2.0
/* load: which module file is to be loaded. */
#include <errno.h>
#include <libkmod.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "abi/device.h"
#include "cmd/load/load.h"
#include "util/util.h"

/* What the module's file says of itself; NULL where that cannot be read. */
struct kmod_list *load_module_info(struct kmod_module *module)
{
	struct kmod_list *info = NULL;

	return kmod_module_get_info(module, &info) < 0 ? NULL : info;
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
		load_explain_build(wrong);
	}
	if (module)
		kmod_module_unref(module);
	return NULL;
}

/*
 * The module to load: the one given, that of $BUFFTRACK_MODULE_DIR, or the one
 * that is installed, for which modprobe's configuration holds.
 */
struct kmod_module *load_find_module(struct kmod_ctx *ctx, const char *given, bool *installed)
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
