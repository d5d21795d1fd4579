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
#include <sys/stat.h>
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
	if (geteuid() == 0) {
		shell("mkdir -m 700 secret && cp apart apart.debug secret");
		/* Its name is the usual one: it is handed to nobody, too. */
		check("a debug file that only root can read",
		      finds("apart", NULL) && finds("secret/apart", NULL));
	}
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

/* One that remembers nothing. */
static void renew(const char *symfs, const char *debug_path)
{
	resolver_free(resolver);
	resolver = resolver_new(RESOLVER_MS);
	resolver_look_in(resolver, symfs, debug_path);
}

/* Where a file may be whose build id is known: "gone" is nowhere. */
static void test_build_id(void)
{
	char id[2 * sizeof(frame.build_id) + 1] = "", command[512];
	uint32_t i;

	for (i = 0; i < frame.build_id_len; i++)
		snprintf(id + 2 * i, 3, "%02x", frame.build_id[i]);
	snprintf(command, sizeof(command),
		 "mkdir -p symbols/.build-id/%.2s home/.debug/.build-id/%.2s/%s &&"
		 "cp exe symbols/.build-id/%.2s/%s && cp exe home/.debug/.build-id/%.2s/%s/elf",
		 id, id, id + 2, id, id + 2, id, id + 2);
	shell(command);
	setenv("HOME", "/nowhere", 1);
	check("a file that is nowhere", finds("gone", "no file is there"));
	check("one that was deleted", finds("gone (deleted)", "was deleted"));
	shell("cp exe again");
	check("and is there again", finds("again (deleted)", NULL));
	renew(NULL, "/nowhere:symbols");
	check("a directory of debug files", finds("gone", NULL));
	renew(NULL, NULL);
	snprintf(command, sizeof(command), "%s/home", dir);
	setenv("HOME", command, 1);
	check("perf's cache", finds("gone", NULL));
	shell("rm -r home symbols");
	renew(NULL, NULL);
	check("neither", finds("gone", "no file is there"));

	snprintf(command, sizeof(command), "mkdir -p root%s && cp exe root%s/within", dir, dir);
	shell(command);
	check("a file below another root", finds("within", "no file is there"));
	snprintf(command, sizeof(command), "%s/root", dir);
	renew(command, NULL);
	check("which is given", finds("within", NULL));
	renew(NULL, NULL);
}

static bool has_status(const char *line)
{
	char command[256];

	snprintf(command, sizeof(command),
		 "for child in $(cat /proc/%d/task/%d/children); do "
		 "grep '^%s$' /proc/$child/status && exit 0; done >/dev/null; exit 1",
		 getpid(), getpid(), line);
	return system(command) == 0;
}

/* Who reads others' files has no rights that are worth having. */
static void test_rights(void)
{
	shell("cp exe good && cp exe owned");
	check("a file", finds("good", NULL));
	check("who reads it may gain no rights", has_status("NoNewPrivs:\t1"));
	check("and do little else", has_status("Seccomp:\t2"));
	check("has none of root's", has_status("CapEff:\t0*") && has_status("CapPrm:\t0*"));
	if (geteuid()) {
		check("root's files are read by nobody # SKIP not root", true);
		return;
	}
	check("root's files are read by nobody", has_status("Uid:\t65534\t65534\t65534\t65534"));
	shell("chown 1234 owned");
	check("a user's file", finds("owned", NULL));
	check("is read by the user", has_status("Uid:\t1234\t1234\t1234\t1234"));
	renew(NULL, NULL);
}

static unsigned int done_meanwhile;

static void count_up(void *data)
{
	(void)data;
	done_meanwhile++;
}

/* A debuginfod that takes two seconds for the file. */
static const char server[] =
	"import http.server, time\n"
	"class Slow(http.server.SimpleHTTPRequestHandler):\n"
	"    def do_GET(self):\n"
	"        there = self.path.endswith('/executable')\n"
	"        time.sleep(2 if there else 0)\n"
	"        self.path = '/exe' if there else '/none'\n"
	"        super().do_GET()\n"
	"server = http.server.HTTPServer(('127.0.0.1', 0), Slow)\n"
	"open('url.new', 'w').write('http://127.0.0.1:%d/' % server.server_port)\n"
	"import os; os.rename('url.new', 'url')\n"
	"server.serve_forever()\n";

static void test_server(void)
{
	char url[64] = "", cache[64];
	FILE *file = fopen("server.py", "w");

	if (!file || fputs(server, file) < 0 || fclose(file))
		exit(EXIT_FAILURE);
	shell("python3 server.py >/dev/null 2>&1 & echo $! >server;"
	      "for i in $(seq 300); do test ! -e url || exit 0; sleep 0.1; done; exit 1");
	file = fopen("url", "r");
	if (!file || !fgets(url, sizeof(url), file) || fclose(file))
		exit(EXIT_FAILURE);
	snprintf(cache, sizeof(cache), "%s/cache", dir);
	setenv("DEBUGINFOD_CACHE_PATH", cache, 1);
	setenv("DEBUGINFOD_URLS", url, 1);
	renew(NULL, NULL);
	resolver_while_waiting(resolver, count_up, NULL);
	check("a file that a slow server has", finds("gone", NULL));
	check("much else is done meanwhile", done_meanwhile > 20);
	unsetenv("DEBUGINFOD_URLS");
	shell("kill $(cat server)");
	renew(NULL, NULL);
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
	/* Where root is who tests, nobody is who reads. */
	if (!frame.build_id_len || !mkdtemp(dir) || chmod(dir, 0755)) {
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
	test_build_id();
	test_rights();
	test_server();
	test_child();
	test_signal();
	resolver_free(resolver);
	printf("1..%u\n", tests);
	snprintf(command, sizeof(command), "rm -r %s", dir);
	shell(command);
	return failed ? 1 : 0;
}
