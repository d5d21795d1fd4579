/* SPDX-License-Identifier: GPL-2.0 */
#ifndef BUFFTRACK_DEVICE_H
#define BUFFTRACK_DEVICE_H

#include <stdbool.h>
#include <linux/bufftrack.h>

#define DEVICE_PATH "/dev/bufftrack"
#define MODULE_NAME "bufftrack"
#define MODULE_SYSFS "/sys/module/" MODULE_NAME

bool module_loaded(void);
int device_try_open(void);
int device_open(void);
int device_stat_next(int fd, struct bufftrack_stat *stat);

#endif
