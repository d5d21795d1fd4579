// SPDX-License-Identifier: GPL-2.0
/* The load of the module, with one allocation failing after another. */
#include <sys/syscall.h>
#include <sys/utsname.h>

#include "fail.h"

/* Some hundred loads, of a module that may be built to count */
#undef TEST_TIMEOUT_DEFAULT
#define TEST_TIMEOUT_DEFAULT 1200

#define SIZE		4096
#define LOAD_MOST	100000	/* no load has as many allocations */
#define KMEMLEAK	DEBUGFS "kmemleak"

static int load(int module, const char *parameters)
{
	return syscall(SYS_finit_module, module, parameters, 0) ? -errno : 0;
}

static int unload(void)
{
	return syscall(SYS_delete_module, "bufftrack", O_NONBLOCK) ? -errno : 0;
}

static bool is_there(void)
{
	return !access("/sys/module/bufftrack", F_OK) || !access(BT_NODE, F_OK);
}

/*
 * The kernel's own part comes first, and is not tested: its tracing warns of a failure.
 * A wrong parameter is found out after that, so this tells where it ends: before the
 * module's sysfs entries, of which a few are left out, too, since it varies.
 */
static unsigned int before_init(int module)
{
	unsigned int left, most = 0;
	int i;

	for (i = 0; i < 3; i++) {
		fail_arm(LOAD_MOST);
		if (load(module, "history=many") != -EINVAL)
			return LOAD_MOST;
		left = fail_left();
		if (LOAD_MOST - left > most)
			most = LOAD_MOST - left;
	}
	return most + 10;
}

/*
 * Slab's sysfs_slab_add() forgets the name of a kobject that it could not add. That is
 * the kernel's; all else that leaked is ours, and is left for who looks at the end.
 */
static int others_leaks(char *text, size_t size)
{
	char *at, *next;
	size_t len;
	FILE *file;
	int nr = 0;

	/* kmemleak believes its second look, at what is 5 s old. */
	if (bt_write(KMEMLEAK, "scan"))
		return 0;
	sleep(6);
	if (bt_write(KMEMLEAK, "scan"))
		return -EIO;
	file = fopen(KMEMLEAK, "r");
	if (!file)
		return -EIO;
	len = fread(text, 1, size - 1, file);
	fclose(file);
	text[len] = '\0';
	for (at = strstr(text, "unreferenced object"); at; at = next) {
		next = strstr(at + 1, "unreferenced object");
		if (next)
			next[-1] = '\0';
		if (!strstr(at, "sysfs_slab_add")) {
			fprintf(stderr, "%s\n", at);
			return -EUCLEAN;
		}
		nr++;
	}
	return bt_write(KMEMLEAK, "clear") ?: nr;
}

/* Faults in a row that were tolerated, before some are stepped over */
#define MANY	12

TEST(each_allocation_of_a_load)
{
	static char text[1 << 22];
	const char *dir = getenv("BUFFTRACK_MODULE_DIR");
	unsigned int nth, first, step = 1, met = 0, failed = 0, tolerated = 0;
	struct bufftrack_op op;
	struct utsname name;
	bool injected = true;
	char path[4096];
	int module, rc, fd;

	if (!dir)
		SKIP(return, "no BUFFTRACK_MODULE_DIR to load the module from");
	ASSERT_EQ(0, fail_open());
	uname(&name);
	snprintf(path, sizeof(path), "%s/%s/bufftrack.ko", dir, name.release);
	module = open(path, O_RDONLY | O_CLOEXEC);
	ASSERT_LE(0, module)
		TH_LOG("%s: %s", path, strerror(errno));

	ASSERT_EQ(0, unload());
	nth = before_init(module);
	for (first = nth; injected; nth += step) {
		ASSERT_GT(LOAD_MOST, nth);
		fail_arm(nth);
		rc = load(module, "");
		injected = fail_disarm();
		met += injected;
		if (rc) {
			failed++;
			EXPECT_TRUE(injected);
			EXPECT_TRUE(rc == -ENOMEM || rc == -EFAULT)
				TH_LOG("fault %u: %s", nth, strerror(-rc));
			ASSERT_FALSE(is_there())
				TH_LOG("left after fault %u", nth);
			/* Back to the first one that was stepped over */
			if (step > 1)
				nth -= step;
			step = 1;
			tolerated = 0;
			continue;
		}
		/* What the kernel can do without, it did without: it has to work. */
		fd = bt_open();
		EXPECT_LE(0, fd)
			TH_LOG("fault %u: %s", nth, strerror(errno));
		EXPECT_EQ(0, bt_call(fd, BUFFTRACK_IOC_ALLOC, SIZE, bt_device(), 1, &op));
		close(fd);
		ASSERT_EQ(0, unload());
		/* Such are a slab's sysfs files, by the hundred: not each of them. */
		if (++tolerated >= MANY)
			step = 8;
	}
	TH_LOG("from %u on: %u faults, %u of them failed the load", first, met, failed);
	EXPECT_LE(10, failed);
	ASSERT_EQ(0, load(module, ""));
	close(module);
	EXPECT_LE(0, others_leaks(text, sizeof(text)));
}

int main(int argc, char **argv)
{
	fail_or_skip();
	return test_harness_run(argc, argv);
}
