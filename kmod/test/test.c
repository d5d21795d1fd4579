// SPDX-License-Identifier: GPL-2.0
/*
 * What the KUnit suites have in common: clients, calls as ioctl.c makes them, and an
 * end after which nothing may be left.
 */
#include <linux/cred.h>
#include <linux/err.h>

#include "../alloc.h"
#include "../caller.h"
#include "../close.h"
#include "../free.h"
#include "../history.h"
#include "../param.h"
#include "../ring.h"
#include "../stat.h"
#include "../walk.h"
#include "test.h"

/* Not an address, nor a number that a selftest takes. */
#define BT_TEST_DEVICE 0x6b756e6974000000ULL

static atomic64_t bt_test_devices = ATOMIC64_INIT(0);

/* bufftrack_test_open - as an open of the node does it */
struct bt_client *bufftrack_test_open(void)
{
	struct bt_client *client = bufftrack_client_open();
	int err;

	if (IS_ERR(client))
		return client;
	err = bufftrack_ring_join(client);
	if (!err)
		return client;
	bufftrack_client_remove(client);
	return ERR_PTR(err);
}

int bufftrack_test_init(struct kunit *test)
{
	struct bt_test *t = kunit_kzalloc(test, sizeof(*t), GFP_KERNEL);

	KUNIT_ASSERT_NOT_NULL(test, t);
	test->priv = t;
	t->device = BT_TEST_DEVICE + atomic64_inc_return(&bt_test_devices);
	t->client = bufftrack_test_open();
	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, t->client);
	t->other = bufftrack_test_open();
	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, t->other);
	return 0;
}

/* bufftrack_test_close - as the file's release does it; NULL is allowed */
void bufftrack_test_close(struct bt_client **client)
{
	if (!IS_ERR_OR_NULL(*client))
		bufftrack_client_close(*client);
	*client = NULL;
}

/*
 * bufftrack_test_settle - wait for what is freed later. A work may queue another one:
 * a share's puts its parent, a record's its share.
 */
void bufftrack_test_settle(void)
{
	int i;

	for (i = 0; i < 3; i++) {
		rcu_barrier();
		flush_workqueue(bufftrack_wq);
	}
}

/* The clients close, tombstones are forgotten: then the device has to be gone. */
void bufftrack_test_exit(struct kunit *test)
{
	struct bt_test *t = test->priv;
	struct bt_share *share = NULL;
	struct bt_device *device;
	unsigned long serial;

	if (!t)
		return;
	bufftrack_test_close(&t->client);
	bufftrack_test_close(&t->other);
	device = bufftrack_device_get(t->device);
	if (device) {
		while ((share = bufftrack_share_next(device, share)))
			bufftrack_history_forget(share);
		bufftrack_device_put(device);
	}
	bufftrack_test_settle();
	KUNIT_EXPECT_FALSE(test, bufftrack_device_serial(t->device, &serial));
}

struct parameter {
	unsigned int *at;
	unsigned int was;
};

static void parameter_restore(void *data)
{
	struct parameter *parameter = data;

	WRITE_ONCE(*parameter->at, parameter->was);
}

/* bufftrack_test_set - a module parameter, for this test */
void bufftrack_test_set(struct kunit *test, unsigned int *parameter, unsigned int value)
{
	struct parameter *old = kunit_kzalloc(test, sizeof(*old), GFP_KERNEL);

	KUNIT_ASSERT_NOT_NULL(test, old);
	old->at = parameter;
	old->was = *parameter;
	KUNIT_ASSERT_EQ(test, kunit_add_action(test, parameter_restore, old), 0);
	WRITE_ONCE(*parameter, value);
}

/* bufftrack_test_open_as - a client of another user, who may see all the same */
struct bt_client *bufftrack_test_open_as(struct kunit *test, uid_t uid)
{
	struct cred *cred = prepare_creds();
	struct bt_client *client;
	const struct cred *old;

	KUNIT_ASSERT_NOT_NULL(test, cred);
	cred->euid = make_kuid(&init_user_ns, uid);
	old = override_creds(cred);
	client = bufftrack_test_open();
	revert_creds(old);
	put_cred(cred);
	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, client);
	return client;
}

/* bufftrack_test_share - of the test's device; the client's attach pins it */
struct bt_share *bufftrack_test_share(struct kunit *test, struct bt_client *client)
{
	const struct bt_test *t = test->priv;
	struct bt_attach *attach = bufftrack_attach_make(client, t->device);

	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, attach);
	return attach->share;
}

/*
 * bufftrack_test_record - the key's record in the client's table, or NULL. Nobody
 * else is there who could evict it.
 */
struct bt_record *bufftrack_test_record(struct kunit *test, struct bt_client *client, u64 buffer)
{
	struct bt_table *table = bufftrack_test_share(test, client)->table;
	struct bt_pos pos = {};
	struct bt_record *rec;

	do {
		rcu_read_lock();
		rec = bufftrack_table_next(table, &pos);
		rcu_read_unlock();
	} while (rec && (IS_ERR(rec) || rec->buffer != buffer));
	return rec;
}

/**
 * bufftrack_test_call() - one ALLOC or FREE
 * @test: the test
 * @client: who calls
 * @kind: BUFFTRACK_OP_ALLOC or BUFFTRACK_OP_FREE
 * @buffer: the key, on the test's device
 * @op: the rest; an ALLOC's size is 64 where it has none
 *
 * Return: the answer; its error is what bufftrack_alloc() or _free() returned.
 */
struct bufftrack_op bufftrack_test_call(struct kunit *test, struct bt_client *client, u32 kind,
					u64 buffer, struct bufftrack_op op)
{
	const struct bt_test *t = test->priv;
	struct bt_caller caller;

	op.device = op.device ?: t->device;
	op.buffer = buffer;
	KUNIT_ASSERT_EQ(test, bufftrack_caller_init(&caller, client), 0);
	if (kind == BUFFTRACK_OP_ALLOC) {
		op.size = op.size ?: 64;
		op.error = bufftrack_alloc(&caller, &op);
	} else {
		op.error = bufftrack_free(&caller, &op);
	}
	bufftrack_caller_exit(&caller);
	return op;
}

/* bufftrack_test_stat - the counters of one client, by STAT */
struct bufftrack_stat bufftrack_test_stat(struct kunit *test, struct bt_client *client)
{
	struct bufftrack_stat stat = { .scope = BUFFTRACK_STAT_CLIENT };

	KUNIT_ASSERT_EQ(test, bufftrack_stat(client, &stat), 0);
	return stat;
}
