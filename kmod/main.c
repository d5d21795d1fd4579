// SPDX-License-Identifier: GPL-2.0
/*
 * bufftrack: the device node, the module's beginning and end.
 */
#include <linux/cdev.h>
#include <linux/device.h>
#include <linux/fs.h>
#include <linux/module.h>
#include <linux/seq_file.h>
#include <linux/workqueue.h>

#include "client.h"
#include "close.h"
#include "compat.h"
#include "history.h"
#include "ioctl.h"
#include "log.h"
#include "param.h"
#include "ring.h"
#include "stack.h"

/* ---- the device node ------------------------------------------------------ */

static int bt_open(struct inode *inode, struct file *file)
{
	struct bt_client *client = bufftrack_client_open();
	int err;

	if (IS_ERR(client))
		return PTR_ERR(client);
	err = bufftrack_ring_join(client);
	if (err) {
		bufftrack_client_remove(client);
		return err;
	}
	bufftrack_event_open(client);
	file->private_data = client;
	return nonseekable_open(inode, file);
}

static int bt_release(struct inode *inode, struct file *file)
{
	bufftrack_client_close(file->private_data);
	return 0;
}

static __poll_t bt_poll(struct file *file, struct poll_table_struct *wait)
{
	return bufftrack_ring_poll(file->private_data, file, wait);
}

#ifdef CONFIG_PROC_FS
/* Keys as the drivers of GPUs have them: who looks into all of fdinfo finds ours, too. */
static void bt_show_fdinfo(struct seq_file *m, struct file *file)
{
	struct bt_client *client = file->private_data;
	char name[BUFFTRACK_NAME_LEN];

	bufftrack_name_copy(name, client->name);
	seq_printf(m, "bufftrack-client-id:\t%llu\n", client->id);
	seq_printf(m, "bufftrack-client-name:\t%s\n", name);
	seq_printf(m, "bufftrack-live-buffers:\t%u\n", atomic_read(&client->held));
	seq_printf(m, "bufftrack-live-bytes:\t%llu\n", (u64)atomic64_read(&client->stats.bytes));
}
#endif

static const struct file_operations bt_fops = {
	.owner = THIS_MODULE,
	.open = bt_open,
	.release = bt_release,
	.unlocked_ioctl = bufftrack_ioctl,
	.compat_ioctl = compat_ptr_ioctl,
	.poll = bt_poll,
#ifdef CONFIG_PROC_FS
	.show_fdinfo = bt_show_fdinfo,
#endif
};

/*
 * A node of its own, no misc device: those are opened under a mutex that all of them have
 * in common, and an open allocates, which takes long where the caller's cgroup is full.
 */
static dev_t bt_node;
static struct cdev bt_cdev;
static struct class *bt_class;

static char *bt_devnode(BT_DEVNODE_CONST struct device *dev, umode_t *mode)
{
	if (mode)
		*mode = 0660;
	return NULL;
}

static int __init node_init(void)
{
	struct device *device;
	int err;

	err = alloc_chrdev_region(&bt_node, 0, 1, "bufftrack");
	if (err)
		return err;
	bt_class = bt_class_create("bufftrack");
	if (IS_ERR(bt_class)) {
		err = PTR_ERR(bt_class);
		goto region;
	}
	bt_class->devnode = bt_devnode;
	cdev_init(&bt_cdev, &bt_fops);
	bt_cdev.owner = THIS_MODULE;
	err = cdev_add(&bt_cdev, bt_node, 1);
	if (err)
		goto put_class;
	device = device_create(bt_class, NULL, bt_node, NULL, "bufftrack");
	if (!IS_ERR(device))
		return 0;
	err = PTR_ERR(device);
	cdev_del(&bt_cdev);
put_class:
	class_destroy(bt_class);
region:
	unregister_chrdev_region(bt_node, 1);
	return err;
}

static void node_exit(void)
{
	device_destroy(bt_class, bt_node);
	cdev_del(&bt_cdev);
	class_destroy(bt_class);
	unregister_chrdev_region(bt_node, 1);
}

/* ---- init and exit -------------------------------------------------------- */

static int __init bt_init(void)
{
	int err;

	err = bufftrack_wq_init();
	if (err)
		return err;
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
	err = node_init();
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
	bufftrack_wq_exit();
	return err;
}

/* Open files hold the module, so no client is left, and none can come. */
static void __exit bt_exit(void)
{
	node_exit();
	bufftrack_clients_exit();
	bufftrack_rings_exit();
	bufftrack_history_exit();
	/* What is left holds each other: stacks their users, tombstones shares and devices. */
	bufftrack_stacks_forget();
	bufftrack_history_forget_all();
	/* The works of shares put their parents and the devices, those of stacks users. */
	drain_workqueue(bufftrack_wq);
	bufftrack_devices_exit();
	bufftrack_users_exit();
	bufftrack_stacks_exit();
	bufftrack_records_exit();
	bufftrack_wq_exit();
}

module_init(bt_init);
module_exit(bt_exit);

MODULE_DESCRIPTION("Registry of accelerator buffers: who freed which one twice");
MODULE_AUTHOR("The bufftrack developers");
MODULE_LICENSE("GPL");
