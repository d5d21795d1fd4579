// SPDX-License-Identifier: GPL-2.0
/* Names of devices and of their spaces */
#include "bt.h"

FIXTURE(label) {
	int fd;
	__u64 device;
	struct bufftrack_stat stat;
};

FIXTURE_SETUP(label)
{
	self->fd = bt_open();
	ASSERT_LE(0, self->fd);
	self->device = bt_device();
	ASSERT_EQ(0, chmod(BT_NODE, 0666));
}

FIXTURE_TEARDOWN(label)
{
	chmod(BT_NODE, 0600);
	close(self->fd);
}

/* @space < 0: the device's label. @length 0: as a string */
static int set(int fd, __u64 device, int space, const char *text,
	       size_t length)
{
	struct bufftrack_label label = {
		.device = device,
		.space = space < 0 ? 0 : space,
		.flags = space < 0 ? 0 : BUFFTRACK_LABEL_SPACE,
	};

	memcpy(label.label, text, length ?: strlen(text));
	return bt_ioctl(fd, BUFFTRACK_IOC_LABEL, &label);
}

#define EXPECT_DEVICE_NAME(want) do {					\
	EXPECT_EQ(0, bt_stat(self->fd, BUFFTRACK_STAT_DEVICE,		\
			     self->device, 0, &self->stat));		\
	EXPECT_STREQ(want, self->stat.name);				\
} while (0)

#define EXPECT_SPACE_NAME(space, want) do {				\
	EXPECT_EQ(0, bt_stat(self->fd, BUFFTRACK_STAT_SPACE,		\
			     self->device, space, &self->stat));	\
	EXPECT_STREQ(want, self->stat.name);				\
} while (0)

TEST_F(label, of_a_device)
{
	ASSERT_EQ(0, set(self->fd, self->device, -1, "wormhole-0", 0));
	EXPECT_DEVICE_NAME("wormhole-0");
	ASSERT_EQ(0, set(self->fd, self->device, -1, "n150", 0));
	EXPECT_DEVICE_NAME("n150");
	ASSERT_EQ(0, set(self->fd, self->device, -1, "", 0));
	EXPECT_DEVICE_NAME("");
}

TEST_F(label, of_spaces)
{
	ASSERT_EQ(0, set(self->fd, self->device, 0, "DRAM", 0));
	ASSERT_EQ(0, set(self->fd, self->device, 1, "L1", 0));
	EXPECT_SPACE_NAME(0, "DRAM");
	EXPECT_SPACE_NAME(1, "L1");
	EXPECT_DEVICE_NAME("");
	ASSERT_EQ(0, set(self->fd, self->device, -1, "n150", 0));
	EXPECT_SPACE_NAME(0, "DRAM");
	ASSERT_EQ(0, set(self->fd, self->device, 0, "", 0));
	EXPECT_SPACE_NAME(0, "");
	EXPECT_SPACE_NAME(1, "L1");
}

TEST_F(label, of_one_device_only)
{
	__u64 other = bt_device();

	ASSERT_EQ(0, set(self->fd, other, -1, "other", 0));
	ASSERT_EQ(0, set(self->fd, self->device, -1, "", 0));
	EXPECT_DEVICE_NAME("");
}

TEST_F(label, as_long_as_there_is_room)
{
	char longest[BUFFTRACK_NAME_LEN];

	memset(longest, 'x', sizeof(longest));
	EXPECT_EQ(-EINVAL, set(self->fd, self->device, -1, longest,
			       sizeof(longest)));
	longest[sizeof(longest) - 1] = '\0';
	ASSERT_EQ(0, set(self->fd, self->device, -1, longest, 0));
	EXPECT_DEVICE_NAME(longest);
}

/* It has to fit into key=value, and into JSON, as it is. */
TEST_F(label, of_which_characters)
{
	char text[4] = "a b";
	int c;

	for (c = 1; c < 256; c++) {
		bool good = c > ' ' && c < 0x7f && !strchr("\"'=", c);

		text[1] = c;
		/* Whether a backquote or a backslash quotes is not said. */
		if (c == '`' || c == '\\')
			continue;
		EXPECT_EQ(good ? 0 : -EINVAL,
			  set(self->fd, self->device, -1, text, 0))
			TH_LOG("character 0x%02x", c);
	}
}

TEST_F(label, that_is_wrong_changes_nothing)
{
	ASSERT_EQ(0, set(self->fd, self->device, -1, "good", 0));
	EXPECT_EQ(-EINVAL, set(self->fd, self->device, -1, "not good", 0));
	EXPECT_DEVICE_NAME("good");
	/* Nor does it bring a device into being. */
	self->device = bt_device();
	EXPECT_EQ(-EINVAL, set(self->fd, self->device, -1, "not good", 0));
	EXPECT_EQ(-ENOENT, bt_stat(self->fd, BUFFTRACK_STAT_DEVICE,
				   self->device, 0, &self->stat));
}

TEST_F(label, of_another_user)
{
	struct bt_pipe up, down;
	pid_t pid;

	ASSERT_EQ(0, bt_pipe(&up));
	ASSERT_EQ(0, bt_pipe(&down));
	pid = bt_fork();
	if (!pid) {
		int fd;

		ASSERT_EQ(0, bt_become(BT_UID));
		fd = bt_open();
		ASSERT_LE(0, fd);
		EXPECT_EQ(0, set(fd, self->device, -1, "mine", 0));
		EXPECT_EQ(0, set(fd, self->device, 3, "mine-too", 0));
		bt_send(&up, 0);
		bt_receive(&down);
		_exit(0);
	}
	bt_receive(&up);
	EXPECT_DEVICE_NAME("mine");
	EXPECT_SPACE_NAME(3, "mine-too");

	IN_A_CHILD {
		int fd;

		ASSERT_EQ(0, bt_become(BT_UID + 1));
		fd = bt_open();
		ASSERT_LE(0, fd);
		/* Each user has labels of its own. */
		EXPECT_EQ(0, set(fd, self->device, -1, "yours", 0));
		EXPECT_EQ(0, set(fd, self->device, 3, "yours-too", 0));
	}
	/* Who may see all, and has set none, sees the first. */
	EXPECT_DEVICE_NAME("mine");
	EXPECT_SPACE_NAME(3, "mine-too");
	EXPECT_EQ(0, set(self->fd, self->device, -1, "roots", 0));
	EXPECT_DEVICE_NAME("roots");
	EXPECT_SPACE_NAME(3, "mine-too");
	bt_send(&down, 0);
	EXPECT_EQ(0, bt_reap(pid));
}

/* A PRIVATE client's is its user's, and stays when the client goes. */
TEST_F(label, of_a_private_client)
{
	struct bufftrack_op op = { .device = self->device, .size = 1 };
	int fd = bt_open_as(BUFFTRACK_CLIENT_PRIVATE);

	ASSERT_LE(0, fd);
	ASSERT_EQ(0, bt_alloc(self->fd, &op));
	ASSERT_EQ(0, set(fd, self->device, -1, "ours", 0));
	EXPECT_DEVICE_NAME("ours");
	close(fd);
	EXPECT_DEVICE_NAME("ours");
}

TEST_F(label, lasts_with_the_device)
{
	struct bufftrack_op op = { .device = self->device, .size = 1 };
	int rc, fd = bt_open();

	ASSERT_LE(0, fd);
	ASSERT_EQ(0, set(fd, self->device, -1, "kept", 0));
	/* A buffer keeps it, and so does a freed-buffer record. */
	ASSERT_EQ(0, bt_alloc(fd, &op));
	close(fd);
	EXPECT_DEVICE_NAME("kept");

	/* Without a client, a buffer and a freed-buffer record there is no device. */
	self->device = bt_device();
	fd = bt_open();
	ASSERT_LE(0, fd);
	ASSERT_EQ(0, set(fd, self->device, -1, "lost", 0));
	EXPECT_DEVICE_NAME("lost");
	close(fd);
	rc = bt_stat(self->fd, BUFFTRACK_STAT_DEVICE, self->device, 0,
		     &self->stat);
	if (!rc)
		EXPECT_STREQ("", self->stat.name);
	EXPECT_TRUE(rc == 0 || rc == -ENOENT);
}

TEST_HARNESS_MAIN
