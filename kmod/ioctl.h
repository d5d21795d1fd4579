/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The commands of the device node.
 */
#ifndef BUFFTRACK_IOCTL_H
#define BUFFTRACK_IOCTL_H

struct file;

long bufftrack_ioctl(struct file *file, unsigned int cmd, unsigned long arg);

#endif /* BUFFTRACK_IOCTL_H */
