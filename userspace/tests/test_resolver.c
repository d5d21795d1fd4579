// SPDX-License-Identifier: GPL-2.0
/*
 * What the files that a stack names can do to who reads them. They are copies of this
 * program, in which a function's place is known. A test that hangs ends all.
 */
#include <fcntl.h>
#include <link.h>
#include <linux/bufftrack.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "symbol/resolver.h"
#include "util/signals.h"
#include "symbol/symbols.h"
#include "util/util.h"

#define SECONDS 60
/* How long a frame may take, where that is what is tested. */
#define SHORT_MS 8000

static const char gone[] = "cannot be read";
static const char stripped[] = "no debug file was found";

static unsigned int tests, failed;
static char dir[] = "/tmp/test_resolver.XXXXXX";
static struct bufftrack_frame frame;
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

/* Its own place, as a return address, and the build id of the file that has it. */
static int find_place(struct dl_phdr_info *info, size_t size, void *data)
{
	uint64_t address = (uintptr_t)find_place - info->dlpi_addr;
	const Elf64_Phdr *segment;
	const Elf64_Nhdr *note;

	(void)size;
	(void)data;
	for (segment = info->dlpi_phdr; segment < info->dlpi_phdr + info->dlpi_phnum; segment++) {
		note = (const void *)(info->dlpi_addr + segment->p_vaddr);
		if (segment->p_type == PT_LOAD && address - segment->p_vaddr < segment->p_filesz)
			frame.offset = address - segment->p_vaddr + segment->p_offset + 1;
		if (segment->p_type != PT_NOTE || note->n_type != NT_GNU_BUILD_ID ||
		    note->n_descsz > sizeof(frame.build_id))
			continue;
		frame.build_id_len = note->n_descsz;
		memcpy(frame.build_id, (const char *)(note + 1) + note->n_namesz, note->n_descsz);
	}
	/* The first one is the program itself. */
	return 1;
}

/* Looks for it in the file of that name. Returns whether it is found, or why not. */
static bool finds(const char *name, const char *why_not)
{
	struct symbol_list list;
	const char *why;
	bool good;

	snprintf(frame.path, sizeof(frame.path), "%s/%s", dir, name);
	alarm(SECONDS);
	resolver_find(resolver, &frame, &list);
	alarm(0);
	why = symbols_why(list.why);
	if (why_not)
		good = why && strstr(why, why_not);
	else
		good = list.symbols[0].function &&
		       strcmp(list.symbols[0].function, "find_place") == 0;
	if (!good)
		printf("# %s: %s\n", list.symbols[0].function, why);
	symbols_clear(&list);
	return good;
}

/* A process that ends when somebody opens the FIFO to read it. */
static pid_t await_reader(const char *path)
{
	pid_t child;

	fflush(stdout);
	child = fork();
	if (child == 0) {
		alarm(SECONDS);
		_exit(open(path, O_WRONLY) < 0);
	}
	usleep(200000);
	return child;
}

static bool still_waits(pid_t child)
{
	bool waits;

	usleep(200000);
	waits = waitpid(child, NULL, WNOHANG) == 0;
	if (waits) {
		kill(child, SIGKILL);
		waitpid(child, NULL, 0);
	}
	return waits;
}

static void test_debug_files(void)
{
	pid_t child;

	shell("objcopy --only-keep-debug exe apart.debug && objcopy --strip-all exe apart &&"
	      "objcopy --add-gnu-debuglink=apart.debug apart && mkdir below below/.debug other fifo &&"
	      "cp apart below && cp apart.debug below/.debug && cp apart other && cp apart fifo &&"
	      "objcopy -R .note.gnu.build-id apart.debug other/apart.debug && mkfifo fifo/apart.debug");
	check("a debug file beside it", finds("apart", NULL));
	check("a debug file in .debug", finds("below/apart", NULL));
	check("one of another build is none", finds("other/apart", stripped));
	child = await_reader("fifo/apart.debug");
	check("nor is a FIFO", finds("fifo/apart", stripped));
	check("which is not opened", still_waits(child));
}

static void test_no_file(void)
{
	pid_t child;

	shell("mkfifo nothing && ln -s nothing link && echo >text");
	child = await_reader("nothing");
	check("a FIFO is no file", finds("nothing", gone));
	check("nor is a link to it", finds("link", gone));
	check("it is not opened", still_waits(child));
	check("a text", finds("text", "no ELF file"));
}

static void test_changes(void)
{
	shell("cp exe changing && cp exe removed");
	check("a file that is to change", finds("changing", NULL));
	check("a file that is to go", finds("removed", NULL));
	shell(": >changing && rm removed");
	check("it is cut to nothing", finds("changing", "no ELF file"));
	check("it is gone, and was read before", finds("removed", NULL));
	shell("head -c 8192 exe >changing");
	check("it is there in part", finds("changing", ""));
	shell("cp exe changing");
	check("it is whole again", finds("changing", NULL));
	shell("objcopy -R .note.gnu.build-id exe new && cat new >changing");
	check("another one is written over it", finds("changing", "build ID mismatch"));
}

/* The only one there is. */
static pid_t child_of_resolver(void)
{
	FILE *children;
	char path[64];
	int pid = 0;

	snprintf(path, sizeof(path), "/proc/self/task/%d/children", getpid());
	children = fopen(path, "r");
	if (!children || fscanf(children, "%d", &pid) != 1 || pid <= 0)
		shell("false # /proc does not tell the child");
	fclose(children);
	return pid;
}

static bool can_mount(void)
{
	pid_t child = fork();
	int status;

	if (child == 0)
		_exit(unshare(CLONE_NEWNS) != 0);
	return waitpid(child, &status, 0) == child && status == 0;
}

static void test_child(void)
{
	char command[128];

	shell("cp exe deadly && cp exe endless && cp exe good");
	check("a file", finds("good", NULL));
	kill(child_of_resolver(), SIGKILL);
	check("one that ends who reads it", finds("deadly", "changed meanwhile, or is damaged"));
	check("is not read again", finds("deadly", "changed meanwhile, or is damaged"));
	check("others are", finds("good", NULL));

	snprintf(command, sizeof(command), "! grep -v nodev /proc/%d/mounts", child_of_resolver());
	if (can_mount())
		check("no device can be opened", system(command) == 0);
	else
		check("no device can be opened # SKIP not root", true);

	resolver_free(resolver);
	resolver = resolver_new(SHORT_MS);
	check("another one looks", finds("good", NULL));
	kill(child_of_resolver(), SIGSTOP);
	check("one that takes too long", finds("endless", "took too long"));
	check("is not read again", finds("endless", "took too long"));
	check("others are", finds("good", NULL));
}

/* Last: a signal that has come stays. */
static void test_signal(void)
{
	sigset_t while_waiting;
	uint64_t begin;

	resolver_free(resolver);
	resolver = resolver_new(RESOLVER_MS);
	shell("cp exe late");
	check("before a signal", finds("good", NULL));
	signals_catch(&while_waiting);
	raise(SIGTERM);
	check("after it", finds("good", NULL));
	kill(child_of_resolver(), SIGSTOP);
	begin = monotonic_ns();
	check("one that takes too long then", finds("late", "a signal came"));
	check("is given up", monotonic_ns() - begin < RESOLVER_MS * 1000000ULL / 2);
	check("and all others with it", finds("good", "a signal came"));
}

int main(void)
{
	char command[128];

	dl_iterate_phdr(find_place, NULL);
	if (!frame.build_id_len || !mkdtemp(dir)) {
		printf("Bail out! no build id, or no directory\n");
		return 1;
	}
	snprintf(command, sizeof(command), "cp /proc/%d/exe %s/exe", getpid(), dir);
	shell(command);
	if (chdir(dir))
		return 1;
	unsetenv("DEBUGINFOD_URLS");
	resolver = resolver_new(RESOLVER_MS);
	check("a function", finds("exe", NULL));
	test_debug_files();
	test_no_file();
	test_changes();
	test_child();
	test_signal();
	resolver_free(resolver);
	printf("1..%u\n", tests);
	snprintf(command, sizeof(command), "rm -r %s", dir);
	shell(command);
	return failed ? 1 : 0;
}
