// SPDX-License-Identifier: GPL-2.0
/* Who listens to the module's events, in a tracefs that is made here. */
#include <json-c/json.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cmd/listeners.h"

static unsigned int nr_tests, failed;
static char top[] = "/tmp/bufftrack-listeners-XXXXXX";

static void check(bool good, const char *name)
{
	printf("%sok %u - %s\n", good ? "" : "not ", ++nr_tests, name);
	failed += !good;
}

/* Writes a file of that tree, and makes the directories on its way. */
static void put(const char *name, const char *text)
{
	char path[PATH_MAX], *slash;
	FILE *file;

	snprintf(path, sizeof(path), "%s/%s", top, name);
	for (slash = strchr(path + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
		*slash = '\0';
		mkdir(path, 0700);
		*slash = '/';
	}
	file = fopen(path, "w");
	if (!file || fputs(text, file) < 0 || fclose(file)) {
		perror(path);
		exit(1);
	}
}

static const char *text_of(struct json_object *array, size_t at, const char *key)
{
	struct json_object *value = NULL;

	json_object_object_get_ex(json_object_array_get_idx(array, at), key, &value);
	return value ? json_object_get_string(value) : "";
}

/* One tree: @listeners are found in it, and the first is ended by that. */
static void test(const char *name, unsigned int listeners, const char *end, const char *file)
{
	struct json_object *array = json_object_new_array();
	unsigned int found = listeners_name(top, array);
	bool good = found == listeners;

	if (good && found)
		good = strcmp(text_of(array, 0, "end"), end) == 0 &&
		       strstr(text_of(array, 0, "file"), file);
	check(good, name);
	json_object_put(array);
}

int main(void)
{
	const char *none = "# Available triggers:\n# traceon traceoff hist\n";

	if (!mkdtemp(top) || !freopen("/dev/null", "w", stderr))
		return 1;
	put("events/bufftrack/enable", "0\n");
	put("events/bufftrack/bufftrack_alloc/enable", "0\n");
	put("events/bufftrack/bufftrack_alloc/trigger", none);
	put("events/sched/enable", "1\n");
	test("nobody", 0, "", "");
	put("events/bufftrack/bufftrack_alloc/trigger",
	    "hist:keys=size.log2:vals=hitcount:sort=hitcount:size=2048 [active]\n");
	test("a trigger, and how it is ended", 1,
	     "!hist:keys=size.log2:vals=hitcount:sort=hitcount:size=2048",
	     "events/bufftrack/bufftrack_alloc/trigger");
	put("events/bufftrack/bufftrack_alloc/trigger", none);
	put("instances/mine/events/bufftrack/bufftrack_free/enable", "1\n");
	put("instances/mine/events/bufftrack/bufftrack_free/trigger", none);
	test("an event that is on in an instance", 1, "0",
	     "instances/mine/events/bufftrack/enable");
	put("instances/mine/events/bufftrack/bufftrack_free/enable", "0*\n");
	put("instances/bufftrack-7/events/bufftrack/bufftrack_free/enable", "1\n");
	test("an instance of watch follows the module", 0, "", "");
	put("events/bufftrack/bufftrack_alloc/enable", "1*\n");
	test("an event that is on in ftrace's own buffer", 1, "0", "events/bufftrack/enable");
	printf("1..%u\n", nr_tests);
	return failed ? 1 : 0;
}
