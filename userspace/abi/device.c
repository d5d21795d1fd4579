// SPDX-License-Identifier: GPL-2.0
/* The device node: opening it, and what to do where that fails. */
#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "abi/device.h"
#include "util/util.h"

bool module_loaded(void)
{
	return access(MODULE_SYSFS, F_OK) == 0;
}

/* Opens the device and says nothing where it cannot. */
int device_try_open(void)
{
	return open(DEVICE_PATH, O_RDWR | O_CLOEXEC);
}

/* Opens the device; where it cannot, says what to do next. Returns -1 then. */
int device_open(void)
{
	int fd = device_try_open();

	if (fd >= 0)
		return fd;
	if (!module_loaded()) {
		complain("the module is not loaded: run 'sudo bufftrack load'");
		return -1;
	}
	switch (errno) {
	case EACCES:
	case EPERM:
		complain("no permission for " DEVICE_PATH ": use sudo, or join its group\n"
			 "  (sudo usermod -aG bufftrack $USER, then log in again)");
		break;
	case ENOENT:
	case ENXIO:
	case ENODEV:
		complain("the module is loaded, but there is no " DEVICE_PATH
			 ": is devtmpfs mounted on /dev?");
		break;
	case EMFILE:
	case ENFILE:
		complain("too many open files: raise the limit (ulimit -n)");
		break;
	default:
		complain("cannot open " DEVICE_PATH ": %s", strerror(errno));
	}
	return -1;
}

/*
 * One step of a walk over the devices, spaces or clients: @stat holds the scope,
 * for SPACE the device, and the cursor, 0 at first. Returns 1 with the next one,
 * 0 at the end, -1 with errno set.
 */
int device_stat_next(int fd, struct bufftrack_stat *stat)
{
	struct bufftrack_stat next = {
		.scope = stat->scope,
		.flags = BUFFTRACK_STAT_NEXT,
		.cursor = stat->cursor,
	};

	if (stat->scope == BUFFTRACK_STAT_SPACE)
		next.device = stat->device;
	if (ioctl(fd, BUFFTRACK_IOC_STAT, &next))
		return errno == ENOENT ? 0 : -1;
	*stat = next;
	return 1;
}
