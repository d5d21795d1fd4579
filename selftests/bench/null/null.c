// SPDX-License-Identifier: GPL-2.0
/* /dev/bufftrack_null: what an ioctl costs that does nothing. */
#include <linux/fs.h>
#include <linux/miscdevice.h>
#include <linux/module.h>

static long null_ioctl(struct file *file, unsigned int cmd, unsigned long arg)
{
	return 0;
}

static const struct file_operations null_fops = {
	.owner = THIS_MODULE,
	.unlocked_ioctl = null_ioctl,
};

static struct miscdevice null_device = {
	.minor = MISC_DYNAMIC_MINOR,
	.name = "bufftrack_null",
	.fops = &null_fops,
};

module_misc_device(null_device);

MODULE_DESCRIPTION("A device whose ioctl does nothing, to compare others with");
MODULE_LICENSE("GPL");
