// SPDX-License-Identifier: GPL-2.0
/*
 * bufftrack: the module's parameters, its device node, its beginning and end.
 */
#define pr_fmt(fmt) "bufftrack: " fmt

#include <linux/fs.h>
#include <linux/miscdevice.h>
#include <linux/module.h>
#include <linux/moduleparam.h>

#include "bufftrack.h"

/* ---- parameters ----------------------------------------------------------- */

unsigned int bufftrack_max_buffers = 1U << 22;
unsigned int bufftrack_max_devices = 1024;
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
module_param_cb(history, &count_ops, &bufftrack_history, 0644);
MODULE_PARM_DESC(history, "Tombstones kept, per device and user (65536)");
module_param_cb(max_stacks, &count_ops, &bufftrack_max_stacks, 0644);
MODULE_PARM_DESC(max_stacks, "Distinct stacks kept, per user (16384)");
module_param_cb(log_limit, &count_ops, &bufftrack_log_limit, 0644);
MODULE_PARM_DESC(log_limit, "Kernel log lines for the bad frees of a key (5)");
module_param_cb(on_error, &on_error_ops, NULL, 0644);
MODULE_PARM_DESC(on_error, "At a bad verdict: report, sigtrap (to the caller) or panic");

/* ---- the device node ------------------------------------------------------ */

static int bt_open(struct inode *inode, struct file *file)
{
	struct bt_client *client = bufftrack_client_open();

	if (IS_ERR(client))
		return PTR_ERR(client);
	file->private_data = client;
	return nonseekable_open(inode, file);
}

static int bt_release(struct inode *inode, struct file *file)
{
	bufftrack_client_close(file->private_data);
	return 0;
}

static const struct file_operations bt_fops = {
	.owner = THIS_MODULE,
	.open = bt_open,
	.release = bt_release,
	.unlocked_ioctl = bufftrack_ioctl,
	.compat_ioctl = compat_ptr_ioctl,
};

static struct miscdevice bt_misc = {
	.minor = MISC_DYNAMIC_MINOR,
	.name = "bufftrack",
	.fops = &bt_fops,
	.mode = 0660,
};

/* ---- init and exit -------------------------------------------------------- */

struct workqueue_struct *bufftrack_wq;

static int __init bt_init(void)
{
	int err;

	bufftrack_wq = alloc_workqueue("bufftrack", WQ_UNBOUND, 0);
	if (!bufftrack_wq)
		return -ENOMEM;
	err = bufftrack_records_init();
	if (err)
		goto wq;
	err = bufftrack_stacks_init();
	if (err)
		goto records;
	err = bufftrack_devices_init();
	if (err)
		goto stacks;
	err = bufftrack_history_init();
	if (err)
		goto devices;
	/* From here on it is in use. */
	err = misc_register(&bt_misc);
	if (err)
		goto history;
	return 0;

history:
	bufftrack_history_exit();
devices:
	bufftrack_devices_exit();
stacks:
	bufftrack_stacks_exit();
records:
	bufftrack_records_exit();
wq:
	destroy_workqueue(bufftrack_wq);
	return err;
}

/* Open files hold the module, so no client is left, and none can come. */
static void __exit bt_exit(void)
{
	misc_deregister(&bt_misc);
	bufftrack_clients_exit();
	bufftrack_history_exit();
	bufftrack_devices_exit();
	bufftrack_stacks_exit();
	bufftrack_records_exit();
	destroy_workqueue(bufftrack_wq);
}

module_init(bt_init);
module_exit(bt_exit);

MODULE_DESCRIPTION("Registry of accelerator buffers: who freed which one twice");
MODULE_AUTHOR("The bufftrack developers");
MODULE_LICENSE("GPL");
