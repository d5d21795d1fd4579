/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Devices: what there is, and when it goes.
 */
#ifndef BUFFTRACK_DEVICE_H
#define BUFFTRACK_DEVICE_H

#include <linux/mutex.h>

#include "record.h"

struct bt_user;

struct bt_device {
	u64 id;
	unsigned long serial;
	refcount_t refs;
	struct rhash_head node;
	struct bt_user *payer; /* for whom it counts; lock */
	struct mutex lock; /* see above: device->lock */
	struct list_head shares; /* lock; readers RCU; see share_insert() */
	struct rcu_head rcu;
	struct bt_table table;
};

int bufftrack_devices_init(void);
void bufftrack_devices_exit(void);
struct bt_device *bufftrack_device_open(u64 id, struct bt_user *user, bool create);
struct bt_device *bufftrack_device_get(u64 id);
bool bufftrack_device_serial(u64 id, unsigned long *serial);
struct bt_device *bufftrack_device_after(unsigned long *serial);
struct bt_device *bufftrack_device_next(unsigned long *serial);
void bufftrack_device_put(struct bt_device *device);
bool bufftrack_device_lost(u64 id);
void bufftrack_device_set_lost(u64 id);

#endif /* BUFFTRACK_DEVICE_H */
