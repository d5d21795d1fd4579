// SPDX-License-Identifier: GPL-2.0
/*
 * What a process that still lives says of its frames: code that it has made, the kernel's
 * code in it, files of its own mount namespace, and such as have no name any more.
 */
#include <dlfcn.h>
#include <fcntl.h>
#include <link.h>
#include <linux/bufftrack.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "symbol/resolver.h"
#include "symbol/symbols.h"
#include "util/util.h"

#define SECONDS 60

static unsigned int tests, failed;
static char dir[] = "/tmp/test_process.XXXXXX";
static struct resolver *resolver;

static void check(const char *name, bool good)
{
	tests++;
	printf("%sok %u - %s\n", good ? "" : "not ", tests, name);
	failed += !good;
}

static void shell(const char *command)
{
	if (system(command) == 0)
		return;
	printf("Bail out! %s\n", command);
	exit(EXIT_FAILURE);
}

/* Whether the frame has this function, and this reason; NULL for none */
static bool finds(const struct bufftrack_frame *frame, const char *function, const char *reason)
{
	struct symbol_list list;
	const char *why, *name;
	bool good;

	alarm(SECONDS);
	resolver_find(resolver, frame, &list);
	alarm(0);
	why = symbols_why(list.why);
	name = list.symbols[0].function;
	good = (function ? name && strstr(name, function) : !name) &&
	       (!reason || (why && strstr(why, reason)));
	if (!good)
		printf("# %s: %s\n", name, why);
	symbols_clear(&list);
	return good;
}

/* A child that has prepared itself, and waits to be ended. */
static pid_t start_child(void (*prepare)(void))
{
	int ready[2];
	pid_t child;
	char byte;

	if (pipe(ready))
		exit(EXIT_FAILURE);
	fflush(stdout);
	child = fork();
	if (child == 0) {
		prepare();
		if (write(ready[1], "", 1) == 1)
			for (;;)
				pause();
		_exit(EXIT_FAILURE);
	}
	if (read(ready[0], &byte, 1) != 1)
		exit(EXIT_FAILURE);
	close(ready[0]);
	close(ready[1]);
	resolver_of_process(resolver, child, monotonic_ns());
	return child;
}

static void end_child(pid_t child)
{
	kill(child, SIGKILL);
	waitpid(child, NULL, 0);
}

static void nothing(void)
{
}

static void test_perf_map(void)
{
	struct bufftrack_frame frame = { .address = 0x7f0000001011 };
	uint64_t before = monotonic_ns();
	char path[64], command[256];
	pid_t child;

	usleep(50000);
	child = start_child(nothing);
	check("code of no file", finds(&frame, NULL, "no file was mapped"));
	snprintf(path, sizeof(path), "/tmp/perf-%d.map", (int)child);
	snprintf(command, sizeof(command),
		 "printf '7f0000001000 20 old code\\nnonsense\\n7f0000000f00 200 JS:~new /a.js\\n"
		 "7f0000001018 10 beside\\n7f0000001011 8 its next\\n' >%s",
		 path);
	shell(command);
	check("is in the map: the latest line", finds(&frame, "JS:~new /a.js", "made at run time"));
	frame.address++;
	check("its last byte's neighbour", finds(&frame, "its next", "made at run time"));
	frame.address = 0x7f0000001800;
	check("what is not in the map", finds(&frame, NULL, "no file was mapped"));
	frame.address = 0x7f0000001011;
	resolver_of_process(resolver, child, before);
	check("not that of who has the number now", finds(&frame, NULL, "no file was mapped"));
	resolver_of_process(resolver, child, monotonic_ns());
	if (geteuid() == 0) {
		if (chown(path, 4321, 4321))
			exit(EXIT_FAILURE);
		check("nor one that another user wrote", finds(&frame, NULL, "no file was mapped"));
	}
	unlink(path);
	end_child(child);
}

/* A jitdump of code at 0x1000, at 0x2000 in its place later, and at its own end. */
static void map_dump(void)
{
	static const uint32_t header[10] = { 0x4a695444, 1, 40 };
	struct {
		uint32_t id, size;
		uint64_t time;
		uint32_t pid, tid;
		uint64_t vma, address, code_size, index;
		char name[8];
	} load = { .size = sizeof(load), .address = 0x1000, .code_size = 16, .name = "made" };
	struct {
		uint32_t id, size;
		uint64_t time;
		uint32_t pid, tid;
		uint64_t vma, from, to, code_size, index;
	} move = { 1, sizeof(move), 0, 0, 0, 0, 0x1000, 0x2000, 16, 0 };
	char name[32];
	FILE *file;

	snprintf(name, sizeof(name), "jit-%d.dump", getpid());
	file = fopen(name, "w+");
	if (!file || fwrite(header, sizeof(header), 1, file) != 1 ||
	    fwrite(&load, sizeof(load), 1, file) != 1 || fwrite(&move, sizeof(move), 1, file) != 1)
		_exit(EXIT_FAILURE);
	strcpy(load.name, "again");
	fwrite(&load, sizeof(load), 1, file);
	load.size = UINT32_MAX;
	load.address = 0x3000;
	fwrite(&load, sizeof(load), 1, file);
	if (fflush(file) ||
	    mmap(NULL, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE, fileno(file), 0) == MAP_FAILED)
		_exit(EXIT_FAILURE);
}

static void test_jitdump(void)
{
	pid_t child = start_child(map_dump);
	struct bufftrack_frame frame = { .address = 0x1005 };

	check("code of a jitdump, the latest there", finds(&frame, "again", "made at run time"));
	frame.address = 0x2005;
	check("code that was moved before", finds(&frame, "made", "made at run time"));
	frame.address = 0x4005;
	check("none that it does not have", finds(&frame, NULL, "no file was mapped"));
	end_child(child);
}

static void test_vdso(void)
{
	void *vdso = dlopen("linux-vdso.so.1", RTLD_NOW | RTLD_NOLOAD);
	void *function = vdso ? dlsym(vdso, "__vdso_gettimeofday") : NULL;
	struct bufftrack_frame frame = { .address = (uintptr_t)function + 2 };
	pid_t child;

	if (!function) {
		check("the kernel's code in a process # SKIP no vdso", true);
		return;
	}
	child = start_child(nothing);
	check("the kernel's code in a process", finds(&frame, "gettimeofday", NULL));
	end_child(child);
	resolver_of_process(resolver, child, monotonic_ns());
	check("not of one that is gone", finds(&frame, NULL, "no file was mapped"));
}

static struct bufftrack_frame place;

/* Its own place, as a return address. */
static int find_place(struct dl_phdr_info *info, size_t size, void *data)
{
	uint64_t address = (uintptr_t)find_place - info->dlpi_addr;
	const ElfW(Phdr) * segment;

	(void)size;
	(void)data;
	for (segment = info->dlpi_phdr; segment < info->dlpi_phdr + info->dlpi_phnum; segment++)
		if (segment->p_type == PT_LOAD && address - segment->p_vaddr < segment->p_filesz)
			place.offset = address - segment->p_vaddr + segment->p_offset + 1;
	return 1;
}

static void enter_namespace(void)
{
	if (unshare(CLONE_NEWNS) || mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) ||
	    mount("none", "apart", "tmpfs", 0, NULL))
		_exit(EXIT_FAILURE);
	shell("cp exe apart/exe && cp exe apart/same");
}

static void test_namespace(void)
{
	pid_t child;

	shell("mkdir apart && echo >apart/same");
	child = start_child(enter_namespace);
	snprintf(place.path, sizeof(place.path), "%s/apart/exe", dir);
	check("a file of another mount namespace", finds(&place, "find_place", NULL));
	snprintf(place.path, sizeof(place.path), "%s/apart/same", dir);
	check("not another one of that path here", finds(&place, "find_place", NULL));
	snprintf(place.path, sizeof(place.path), "%s/apart/none", dir);
	check("one that is in neither", finds(&place, NULL, "nor in the mount namespace"));
	end_child(child);
	resolver_of_process(resolver, child, monotonic_ns());
	snprintf(place.path, sizeof(place.path), "%s/apart/exe", dir);
	check("one of a process that is gone", finds(&place, NULL, "another mount namespace"));
}

static uint64_t *mapped_at;

static void map_memory(void)
{
	int from = open("exe", O_RDONLY), to = memfd_create("made", 0);
	char buffer[4096];
	ssize_t got;

	while ((got = read(from, buffer, sizeof(buffer))) > 0)
		if (write(to, buffer, (size_t)got) != got)
			_exit(EXIT_FAILURE);
	*mapped_at = (uintptr_t)mmap(NULL, (size_t)lseek(to, 0, SEEK_END), PROT_READ | PROT_EXEC,
				     MAP_PRIVATE, to, 0);
}

static void test_memory(void)
{
	pid_t child;

	mapped_at = mmap(NULL, sizeof(*mapped_at), PROT_READ | PROT_WRITE,
			 MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	child = start_child(map_memory);
	strcpy(place.path, "/memfd:made (deleted)");
	place.address = *mapped_at + place.offset;
	check("a file that has no name", finds(&place, "find_place", NULL));
	place.address += 4096;
	check("not from another place of it", finds(&place, NULL, "memfd"));
	end_child(child);
	resolver_of_process(resolver, child, monotonic_ns());
	check("one of a process that is gone", finds(&place, NULL, "memfd"));
}

static void map_file(void)
{
	int fd = open("old", O_RDONLY);

	*mapped_at = (uintptr_t)mmap(NULL, (size_t)lseek(fd, 0, SEEK_END), PROT_READ | PROT_EXEC,
				     MAP_PRIVATE, fd, 0);
}

static void test_replaced(void)
{
	pid_t child;

	shell("cp exe old && cp exe new && objcopy --strip-all exe new");
	child = start_child(map_file);
	snprintf(place.path, sizeof(place.path), "%s/old", dir);
	place.address = *mapped_at + place.offset;
	check("a file without build ID", finds(&place, "find_place", NULL));
	shell("mv new old");
	check("which another has replaced", finds(&place, "find_place", NULL));
	end_child(child);
}

int main(void)
{
	char command[128];

	dl_iterate_phdr(find_place, NULL);
	if (!mkdtemp(dir) || chmod(dir, 0755)) {
		printf("Bail out! no directory\n");
		return 1;
	}
	snprintf(command, sizeof(command), "cp /proc/%d/exe %s/exe", getpid(), dir);
	shell(command);
	if (chdir(dir))
		return 1;
	unsetenv("DEBUGINFOD_URLS");
	resolver = resolver_new(RESOLVER_MS);
	test_perf_map();
	test_jitdump();
	test_vdso();
	if (geteuid() == 0) {
		test_namespace();
		test_memory();
		test_replaced();
	} else {
		check("files of other mount namespaces # SKIP not root", true);
	}
	resolver_free(resolver);
	printf("1..%u\n", tests);
	snprintf(command, sizeof(command), "rm -r %s", dir);
	shell(command);
	return failed ? 1 : 0;
}
