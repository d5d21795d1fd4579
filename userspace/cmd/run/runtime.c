// SPDX-License-Identifier: GPL-2.0
/*
 * run: the layers by which runtimes that know nothing of bufftrack are seen.
 *
 * Each runtime has its own way in: a variable of its loader's. Loaders say nothing where a
 * layer does not load, so it is looked at what came of it: a layer has a client of its own
 * name; a process that has loaded a runtime's library without it is told of.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cmd/run/runtime.h"
#include "util/numbers.h"
#include "util/util.h"

#define DIR_VARIABLE "BUFFTRACK_LAYER_DIR"
/* Beside the tool where it was built, and where it was installed */
#define BUILT "layers"
#define INSTALLED "../lib/bufftrack"
#define TABLE_LAYER "libbufftrack-table.so"
#define LOOK_NS (NSEC_PER_SEC / 10)

static void set_up_opencl(const char *layer, const char *dir);
static void set_up_vulkan(const char *layer, const char *dir);

static const struct runtime {
	const char *name;
	const char *layer; /* file */
	const char *client; /* that the layer opens */
	const char *library; /* a mapped file's name that begins so is the runtime */
	void (*set_up)(const char *layer, const char *dir);
} all[] = {
	{ "opencl", "libbufftrack-opencl.so", "opencl-layer", "libOpenCL.so", set_up_opencl },
	{ "vulkan", "libbufftrack-vulkan.so", "vulkan-layer", "libvulkan.so", set_up_vulkan },
};

/* Puts @first before what the variable has: some loaders pass only the first one on. */
static void put_first(const char *variable, const char *first)
{
	const char *rest = getenv(variable);
	char *value = NULL;

	if (rest && *rest) {
		if (asprintf(&value, "%s:%s", first, rest) < 0)
			return;
		first = value;
	}
	setenv(variable, first, 1);
	free(value);
}

static void set_up_opencl(const char *layer, const char *dir)
{
	(void)dir;
	put_first("OPENCL_LAYERS", layer);
}

/* Where VK_LAYER_PATH is set, loaders heed no other. */
static void set_up_vulkan(const char *layer, const char *dir)
{
	(void)layer;
	if (getenv("VK_LAYER_PATH"))
		put_first("VK_LAYER_PATH", dir);
	put_first("VK_ADD_LAYER_PATH", dir);
	put_first("VK_INSTANCE_LAYERS", "VK_LAYER_BUFFTRACK_memory");
}

static bool is_directory_of(const char *dir, const char *layer)
{
	char path[PATH_MAX];

	return snprintf(path, sizeof(path), "%s/%s", dir, layer) < (int)sizeof(path) &&
	       !access(path, R_OK);
}

/* Where the layers are. False where there are none. */
static bool find_layers(char dir[PATH_MAX])
{
	static const char *const places[] = { BUILT, INSTALLED };
	const char *given = getenv(DIR_VARIABLE);
	char self[PATH_MAX / 2], *slash, path[PATH_MAX];
	ssize_t len;
	size_t i;

	if (given)
		return realpath(given, dir) && is_directory_of(dir, all[0].layer);
	len = readlink("/proc/self/exe", self, sizeof(self) - 1);
	if (len < 0)
		return false;
	self[len] = '\0';
	slash = strrchr(self, '/');
	if (!slash)
		return false;
	*slash = '\0';
	for (i = 0; i < ARRAY_SIZE(places); i++) {
		snprintf(path, sizeof(path), "%s/%s", self, places[i]);
		if (realpath(path, dir) && is_directory_of(dir, all[0].layer))
			return true;
	}
	return false;
}

static bool add_named(struct runtimes *runtimes, const char *name, size_t len)
{
	size_t i;

	for (i = 0; i < ARRAY_SIZE(all); i++)
		if (strlen(all[i].name) == len && !strncmp(all[i].name, name, len)) {
			runtimes->set |= 1U << i;
			return true;
		}
	complain("--runtime: no runtime \"%.*s\": auto, none, or a list of names with commas",
		 (int)len, name);
	return false;
}

bool runtimes_choose(struct runtimes *runtimes)
{
	const char *name = runtimes->wanted ? runtimes->wanted : "auto";
	char dir[PATH_MAX];
	size_t len;

	if (runtimes->interpose && (access(runtimes->interpose, R_OK) || !find_layers(dir))) {
		complain("--interpose %s: %s", runtimes->interpose,
			 access(runtimes->interpose, R_OK)
				 ? strerror(errno)
				 : "the layers are not installed: set " DIR_VARIABLE
				   " to their directory");
		return false;
	}
	if (!strcmp(name, "none"))
		return true;
	if (!strcmp(name, "auto")) {
		if (find_layers(dir))
			runtimes->set = (1U << ARRAY_SIZE(all)) - 1;
		return true;
	}
	for (; *name; name += len + (name[len] == ',')) {
		len = strcspn(name, ",");
		if (!add_named(runtimes, name, len))
			return false;
	}
	if (find_layers(dir))
		return true;
	complain("--runtime: the layers are not installed: set " DIR_VARIABLE
		 " to their directory");
	return false;
}

void runtimes_set_up(const struct runtimes *runtimes)
{
	char dir[PATH_MAX], layer[PATH_MAX + 64];
	size_t i;

	if (runtimes->protect)
		setenv("BUFFTRACK_PROTECT", "1", 1);
	if ((!runtimes->set && !runtimes->interpose) || !find_layers(dir))
		return;
	if (runtimes->interpose) {
		snprintf(layer, sizeof(layer), "%s/" TABLE_LAYER, dir);
		put_first("LD_AUDIT", layer);
		setenv("BUFFTRACK_INTERPOSE", runtimes->interpose, 1);
	}
	for (i = 0; i < ARRAY_SIZE(all); i++) {
		snprintf(layer, sizeof(layer), "%s/%s", dir, all[i].layer);
		if (runtimes->set & 1U << i && !access(layer, R_OK))
			all[i].set_up(layer, dir);
	}
}

void runtimes_note_client(struct runtimes *runtimes, const char *name)
{
	size_t i;

	for (i = 0; i < ARRAY_SIZE(all); i++)
		if (!strcmp(name, all[i].client))
			runtimes->hello |= 1U << i;
}

/* Whether a file of this name is the runtime: in whatever directory and version. */
static bool maps_have(const char *maps, const char *library)
{
	char name[64];

	snprintf(name, sizeof(name), "/%s", library);
	return strstr(maps, name);
}

static void look_at(struct runtimes *runtimes, uint64_t pid)
{
	char path[64], *maps = NULL;
	size_t room = 0, i;
	FILE *file;

	snprintf(path, sizeof(path), "/proc/%llu/maps", (unsigned long long)pid);
	file = fopen(path, "re");
	if (!file)
		return;
	while (getline(&maps, &room, file) > 0)
		for (i = 0; i < ARRAY_SIZE(all); i++)
			if (!(runtimes->loaded & 1U << i) && maps_have(maps, all[i].library))
				runtimes->loaded |= 1U << i;
	free(maps);
	fclose(file);
}

void runtimes_look(struct runtimes *runtimes, const struct numbers *tasks)
{
	uint64_t now = monotonic_ns();
	size_t i;

	if (!runtimes->set || runtimes->loaded == runtimes->set || now < runtimes->next_look)
		return;
	runtimes->next_look = now + LOOK_NS;
	for (i = 0; i < tasks->nr; i++)
		look_at(runtimes, tasks->values[i]);
}

unsigned int runtimes_tell(const struct runtimes *runtimes, bool json)
{
	unsigned int unseen = runtimes->loaded & ~runtimes->hello & runtimes->set, nr = 0;
	size_t i;

	for (i = 0; i < ARRAY_SIZE(all); i++) {
		if (!(unseen & 1U << i))
			continue;
		nr++;
		if (!json)
			printf("    %s was loaded, but its layer was not: its buffers were not seen\n",
			       all[i].library);
	}
	return nr;
}
