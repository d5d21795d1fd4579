/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What the KUnit suites have in common. They are in a build of the module of their
 * own, VARIANT=kunit, and run when that is loaded: selftests/kunit.sh.
 */
#ifndef BUFFTRACK_TEST_H
#define BUFFTRACK_TEST_H

#include <kunit/test.h>

#include "../client.h"

/* A device that nothing else knows, and two clients: test->priv. */
struct bt_test {
	struct bt_client *client;
	struct bt_client *other;
	u64 device;
};

int bufftrack_test_init(struct kunit *test);
void bufftrack_test_exit(struct kunit *test);
struct bt_client *bufftrack_test_open(void);
void bufftrack_test_close(struct bt_client **client);
void bufftrack_test_set(struct kunit *test, unsigned int *parameter, unsigned int value);
void bufftrack_test_settle(void);
struct bt_client *bufftrack_test_open_as(struct kunit *test, uid_t uid);
struct bt_share *bufftrack_test_share(struct kunit *test, struct bt_client *client);
struct bt_record *bufftrack_test_record(struct kunit *test, struct bt_client *client, u64 buffer);
struct bufftrack_op bufftrack_test_call(struct kunit *test, struct bt_client *client, u32 kind,
					u64 buffer, struct bufftrack_op op);
struct bufftrack_stat bufftrack_test_stat(struct kunit *test, struct bt_client *client);

/* One call of a client, with further inputs as designated fields; the answer. */
#define ALLOC(client, buffer, ...)                                    \
	bufftrack_test_call(test, client, BUFFTRACK_OP_ALLOC, buffer, \
			    (struct bufftrack_op){ __VA_ARGS__ })
#define FREE(client, buffer, ...)                                    \
	bufftrack_test_call(test, client, BUFFTRACK_OP_FREE, buffer, \
			    (struct bufftrack_op){ __VA_ARGS__ })

#define EXPECT_ANSWER(answer, _verdict, _refs)                                 \
	do {                                                                   \
		struct bufftrack_op _op = (answer);                            \
		KUNIT_EXPECT_EQ(test, _op.error, 0);                           \
		KUNIT_EXPECT_EQ(test, _op.verdict, (u32)BUFFTRACK_##_verdict); \
		KUNIT_EXPECT_EQ(test, _op.refs, (u32)(_refs));                 \
	} while (0)

#endif /* BUFFTRACK_TEST_H */
