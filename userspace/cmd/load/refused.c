// SPDX-License-Identifier: GPL-2.0
/* load: what to do where the kernel refuses the module. */
#include <errno.h>
#include <libkmod.h>
#include <linux/capability.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "abi/device.h"
#include "cmd/load/load.h"
#include "util/util.h"

/* The kernel release that the module was built for, empty where not known. */
static void built_for(struct kmod_module *module, char *release, size_t room)
{
	struct kmod_list *info = load_module_info(module), *entry;
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
void load_explain_build(const char *wrong)
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
		load_explain_build(wrong);
	} else {
		load_explain_build(
			"this kernel takes the file for no module (see 'dmesg'); build it");
	}
}

/* EPERM has many reasons, each with a way out of its own. */
static void explain_forbidden(void)
{
	if (geteuid())
		complain("only root can load a module: run 'sudo bufftrack load'");
	else if (prctl(PR_CAPBSET_READ, CAP_SYS_MODULE, 0, 0, 0) == 0)
		complain("CAP_SYS_MODULE missing (in a container?): load the module on the\n"
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

void load_explain_refusal(struct kmod_module *module, bool installed, const char *parameters,
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
		load_explain_build(
			"this kernel lacks a symbol that the module needs (see 'dmesg');\n"
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
