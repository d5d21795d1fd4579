// SPDX-License-Identifier: GPL-2.0
/*
 * The module's parameters, and the workqueue for what must be freed by a task.
 */
#include <linux/module.h>
#include <linux/moduleparam.h>
#include <linux/workqueue.h>

#include "param.h"

unsigned int bufftrack_max_buffers = 1U << 22;
unsigned int bufftrack_max_devices = 1024;
unsigned int bufftrack_max_clients = 1U << 17;
unsigned int bufftrack_history = 1U << 16;
unsigned int bufftrack_max_stacks = 1U << 14;
unsigned int bufftrack_log_limit = 5;
unsigned int bufftrack_on_error = BT_REPORT;

/* Counts are compared as signed numbers, and read at any time. */
static int count_set(const char *val, const struct kernel_param *kp)
{
	unsigned int count;
	int err = kstrtouint(val, 0, &count);

	if (err)
		return err;
	if (count > INT_MAX)
		return -EINVAL;
	WRITE_ONCE(*(unsigned int *)kp->arg, count);
	return 0;
}

static const struct kernel_param_ops count_ops = {
	.set = count_set,
	.get = param_get_uint,
};

static const char *const on_error_names[] = {
	[BT_REPORT] = "report",
	[BT_SIGTRAP] = "sigtrap",
	[BT_PANIC] = "panic",
};

static int on_error_set(const char *val, const struct kernel_param *kp)
{
	int i = sysfs_match_string(on_error_names, val);

	if (i < 0)
		return i;
	WRITE_ONCE(bufftrack_on_error, i);
	return 0;
}

static int on_error_get(char *buffer, const struct kernel_param *kp)
{
	return sysfs_emit(buffer, "%s\n", on_error_names[READ_ONCE(bufftrack_on_error)]);
}

static const struct kernel_param_ops on_error_ops = {
	.set = on_error_set,
	.get = on_error_get,
};

module_param_cb(max_buffers, &count_ops, &bufftrack_max_buffers, 0644);
MODULE_PARM_DESC(max_buffers, "Live buffers that a client can hold (4194304)");
module_param_cb(max_devices, &count_ops, &bufftrack_max_devices, 0644);
MODULE_PARM_DESC(max_devices, "Devices that count for one user (1024)");
module_param_cb(max_clients, &count_ops, &bufftrack_max_clients, 0644);
MODULE_PARM_DESC(max_clients, "Open clients, and tables of PRIVATE ones, of one user (131072)");
module_param_cb(history, &count_ops, &bufftrack_history, 0644);
MODULE_PARM_DESC(history, "Tombstones kept, per device and user (65536)");
module_param_cb(max_stacks, &count_ops, &bufftrack_max_stacks, 0644);
MODULE_PARM_DESC(max_stacks, "Distinct stacks kept, per user (16384)");
module_param_cb(log_limit, &count_ops, &bufftrack_log_limit, 0644);
MODULE_PARM_DESC(log_limit, "Kernel log lines for the bad frees of a key (5)");
module_param_cb(on_error, &on_error_ops, NULL, 0644);
MODULE_PARM_DESC(on_error, "At a bad verdict: report, sigtrap (to the caller) or panic");

/* ---- the workqueue -------------------------------------------------------- */

struct workqueue_struct *bufftrack_wq;

int __init bufftrack_wq_init(void)
{
	bufftrack_wq = alloc_workqueue("bufftrack", WQ_UNBOUND, 0);
	return bufftrack_wq ? 0 : -ENOMEM;
}

void bufftrack_wq_exit(void)
{
	destroy_workqueue(bufftrack_wq);
}
