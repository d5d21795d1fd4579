// SPDX-License-Identifier: GPL-2.0
/*
 * What a buffer, a tombstone, a client and a stack take of the kernel's memory, seen
 * from outside: everything that the kernel says it has in slabs (large tables too),
 * in vmalloc and in per-cpu memory, before and after.
 */
#include <fcntl.h>
#include <json-c/json.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "bench.h"
#include "client.h"

#define DEVICE 4
#define CLIENTS 1000
#define STACKS 10000
#define FRAMES 16
#define ELSEWHERE (1ULL << 32)

struct memory {
	long slab;
	long vmalloc;
	long percpu;
	long free;
};

static long kernel_uses(const struct memory *memory)
{
	return memory->slab + memory->vmalloc + memory->percpu;
}

static void write_to(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY);

	if (fd < 0 || write(fd, text, strlen(text)) < 0)
		die(path);
	close(fd);
}

static struct memory read_memory(void)
{
	struct memory memory = { .slab = 0 };
	FILE *file;
	char line[128];
	long kb;

	/* What the CPUs have counted each for itself is added up. */
	write_to("/proc/sys/vm/stat_refresh", "1");
	file = fopen("/proc/meminfo", "r");
	if (!file)
		die("/proc/meminfo");
	while (fgets(line, sizeof(line), file)) {
		if (sscanf(line, "Slab: %ld", &kb) == 1)
			memory.slab = kb * 1024;
		else if (sscanf(line, "VmallocUsed: %ld", &kb) == 1)
			memory.vmalloc = kb * 1024;
		else if (sscanf(line, "Percpu: %ld", &kb) == 1)
			memory.percpu = kb * 1024;
		else if (sscanf(line, "MemFree: %ld", &kb) == 1)
			memory.free = kb * 1024;
	}
	fclose(file);
	return memory;
}

/* Once grace periods are over and tables have their size: what does not change. */
static struct memory settled(void)
{
	const struct timespec moment = { .tv_nsec = 500000000 };
	struct memory memory, before;
	unsigned int i, same = 0;

	memory = read_memory();
	for (i = 0; i < 120 && same < 4; i++) {
		before = memory;
		nanosleep(&moment, NULL);
		memory = read_memory();
		same = labs(kernel_uses(&memory) - kernel_uses(&before)) < 8192 ? same + 1 : 0;
	}
	return memory;
}

static void print(const char *what, unsigned long n, const struct memory *from,
		  const struct memory *to)
{
	const struct {
		const char *name;
		long bytes;
	} parts[] = {
		{ "bytes", kernel_uses(to) - kernel_uses(from) },
		{ "slab", to->slab - from->slab },
		{ "vmalloc", to->vmalloc - from->vmalloc },
		{ "percpu", to->percpu - from->percpu },
		{ "not_free", from->free - to->free },
	};
	struct json_object *object = json_object_new_object();
	double each;
	char number[32];
	unsigned int i;

	json_object_object_add(object, "what", json_object_new_string(what));
	json_object_object_add(object, "n", json_object_new_int64(n));
	for (i = 0; i < sizeof(parts) / sizeof(parts[0]); i++) {
		each = (double)parts[i].bytes / n;
		snprintf(number, sizeof(number), "%.1f", each);
		json_object_object_add(object, parts[i].name,
				       json_object_new_double_s(each, number));
	}
	puts(json_object_to_json_string_ext(object, JSON_C_TO_STRING_PLAIN));
	fflush(stdout);
	json_object_put(object);
}

static void buffers(unsigned long n)
{
	struct memory before, live, dead;
	int fd = open_client();

	/* The device and what it has for itself */
	fill(fd, DEVICE, ELSEWHERE, 1);
	before = settled();
	fill(fd, DEVICE, 0, n);
	live = settled();
	print("live", n, &before, &live);
	drain(fd, DEVICE, 0, n);
	dead = settled();
	print("tombstone", n, &before, &dead);
	close(fd);
}

/* @used: each has reported one pair. */
static void clients(const char *what, const char *path, bool used)
{
	struct memory before, after;
	static int fds[CLIENTS];
	struct bufftrack_op op;
	unsigned int i;

	before = settled();
	for (i = 0; i < CLIENTS; i++) {
		fds[i] = open(path, O_RDWR | O_CLOEXEC);
		if (fds[i] < 0)
			die(path);
		if (!used)
			continue;
		op = key(DEVICE, 0);
		call(fds[i], BUFFTRACK_IOC_ALLOC, &op, BUFFTRACK_OK);
		to_free(&op);
		call(fds[i], BUFFTRACK_IOC_FREE, &op, BUFFTRACK_OK);
	}
	after = settled();
	print(what, CLIENTS, &before, &after);
	for (i = 0; i < CLIENTS; i++)
		close(fds[i]);
}

static void all_clients(void)
{
	struct rlimit limit = { .rlim_cur = 4096, .rlim_max = 4096 };
	int fd = open_client();

	if (setrlimit(RLIMIT_NOFILE, &limit) || dup2(fd, 4000) < 0)
		die("4000 files");
	fill(fd, DEVICE, 0, 1);
	drain(fd, DEVICE, 0, 1);
	clients("file", "/dev/null", false);
	clients("client", "/dev/bufftrack", false);
	clients("client_used", "/dev/bufftrack", true);
	close(fd);
}

/* The same keys live again, the second time each with a stack of its own. */
static void stacks(void)
{
	__u64 frames[FRAMES], code = (uintptr_t)qsort;
	struct memory without, with;
	struct bufftrack_op op;
	int fd = open_client();
	unsigned int i, j;

	fill(fd, DEVICE, 0, STACKS);
	drain(fd, DEVICE, 0, STACKS);
	fill(fd, DEVICE, 0, STACKS);
	without = settled();
	drain(fd, DEVICE, 0, STACKS);
	for (i = 0; i < STACKS; i++) {
		op = key(DEVICE, i);
		for (j = 0; j < FRAMES; j++)
			frames[j] = code + 16 * j + (j ? 0 : i);
		op.stack = (uintptr_t)frames;
		op.stack_depth = FRAMES;
		call(fd, BUFFTRACK_IOC_ALLOC, &op, BUFFTRACK_OK);
	}
	with = settled();
	print("stack16", STACKS, &without, &with);
	close(fd);
}

int main(int argc, char **argv)
{
	char *end;
	unsigned long n = argc == 2 ? strtoul(argv[1], &end, 0) : 0;

	if (n && !*end) {
		buffers(n);
	} else if (argc == 2 && !strcmp(argv[1], "clients")) {
		all_clients();
	} else if (argc == 2 && !strcmp(argv[1], "stacks")) {
		stacks();
	} else {
		fprintf(stderr,
			"Usage: bench-memory NUMBER-OF-BUFFERS|clients|stacks\n"
			"Prints bytes each, as JSON. The module is to be fresh, its history long.\n");
		return 2;
	}
	return 0;
}
