// SPDX-License-Identifier: GPL-2.0
/*
 * For which user a device counts, as users come and go.
 */
#include "test.h"

#define GUEST 4711

static void expect_payer(struct kunit *test, const struct bt_client *client)
{
	const struct bt_test *t = test->priv;
	struct bt_device *device = bufftrack_device_get(t->device);

	KUNIT_ASSERT_NOT_NULL(test, device);
	KUNIT_EXPECT_PTR_EQ(test, device->payer, client->user);
	bufftrack_device_put(device);
}

static void leave(struct bt_client **client)
{
	bufftrack_test_close(client);
	bufftrack_test_settle();
}

/* It is for who made it while he has a client there, and then for the next one. */
static void it_passes_on(struct kunit *test)
{
	struct bt_client *first = bufftrack_test_open_as(test, GUEST);
	struct bt_client *second = bufftrack_test_open_as(test, GUEST);
	struct bt_test *t = test->priv;

	bufftrack_test_share(test, first);
	bufftrack_test_share(test, t->client);
	bufftrack_test_share(test, second);
	KUNIT_EXPECT_EQ(test, atomic_read(&first->user->devices), 1);
	leave(&first);
	expect_payer(test, second);
	leave(&t->client);
	expect_payer(test, second);
	bufftrack_test_share(test, t->other);
	first = bufftrack_test_open_as(test, GUEST);
	leave(&second);
	expect_payer(test, t->other);
	KUNIT_EXPECT_EQ(test, atomic_read(&first->user->devices), 0);
	/* Back again, he has it for nothing. */
	bufftrack_test_share(test, first);
	expect_payer(test, t->other);
	leave(&first);
	expect_payer(test, t->other);
}

/* Who made it has left when the next one has found it, but has no share yet. */
static void it_passes_on_to_who_comes(struct kunit *test)
{
	struct bt_client *first = bufftrack_test_open_as(test, GUEST);
	struct bt_client *idle = bufftrack_test_open_as(test, GUEST);
	struct bt_test *t = test->priv;
	struct bt_device *found;

	bufftrack_test_share(test, first);
	found = bufftrack_device_get(t->device);
	KUNIT_ASSERT_NOT_NULL(test, found);
	leave(&first);
	KUNIT_EXPECT_EQ(test, atomic_read(&idle->user->devices), 1);
	bufftrack_test_share(test, t->client);
	bufftrack_device_put(found);
	expect_payer(test, t->client);
	KUNIT_EXPECT_EQ(test, atomic_read(&idle->user->devices), 0);
	bufftrack_test_close(&idle);
}

/* A PRIVATE client's share pays by the public one that it stands on. */
static void private_ones_too(struct kunit *test)
{
	struct bufftrack_client set = {
		.mask = BUFFTRACK_CLIENT_PRIVATE,
		.flags = BUFFTRACK_CLIENT_PRIVATE,
	};
	struct bt_client *guest = bufftrack_test_open_as(test, GUEST);
	struct bt_test *t = test->priv;

	KUNIT_ASSERT_EQ(test, bufftrack_client_set(guest, &set), 0);
	KUNIT_ASSERT_EQ(test, bufftrack_client_set(t->client, &set), 0);
	bufftrack_test_share(test, guest);
	bufftrack_test_share(test, t->client);
	expect_payer(test, guest);
	leave(&guest);
	expect_payer(test, t->client);
}

static struct kunit_case device_cases[] = {
	KUNIT_CASE(it_passes_on),
	KUNIT_CASE(it_passes_on_to_who_comes),
	KUNIT_CASE(private_ones_too),
	{},
};

static struct kunit_suite device_suite = {
	.name = "bufftrack-device",
	.init = bufftrack_test_init,
	.exit = bufftrack_test_exit,
	.test_cases = device_cases,
};

kunit_test_suite(device_suite);
