// SPDX-License-Identifier: GPL-2.0
/*
 * What changes under an unwinder's feet: libraries that are replaced, code that is made at run
 * time, stacks without a proper end. Usage: hazards PLUG OTHER-PLUG. Output: TAP.
 */
#include <dlfcn.h>
#include <errno.h>
#include <link.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <ucontext.h>
#include <unistd.h>

#include "compare.h"

#define BARRIER() __asm__ volatile("" ::: "memory")
#define PAGE 4096UL
#define ROUNDS 50

extern void __register_frame(void *eh_frame);
extern void __deregister_frame(void *eh_frame);

static unsigned int number, failed;

static void tell(bool good, const char *name)
{
	printf("%s %u - %s\n", good ? "ok" : "not ok", ++number, name);
	fflush(stdout);
	failed += !good;
}

static void need(bool there, const char *what)
{
	if (there)
		return;
	printf("Bail out! %s: %s\n", what, strerror(errno));
	exit(99);
}

static void compare(unsigned int depth, uint64_t seed)
{
	(void)depth;
	(void)seed;
	unwind_compare();
	BARRIER();
}

/* ---- libraries ------------------------------------------------------------ */

typedef void call_fn(void (*function)(unsigned int, uint64_t), unsigned int depth, uint64_t seed);

/* Returns where its function lay. The library is always opened by the same name. */
static uintptr_t call_library(const char *from, const char *name)
{
	void *handle;
	call_fn *call;
	unsigned int i;

	unlink(name);
	need(!link(from, name), from);
	handle = dlopen(name, RTLD_NOW | RTLD_LOCAL);
	need(handle, name);
	call = (call_fn *)dlsym(handle, "plug_call");
	need(call, "plug_call");
	for (i = 0; i < 3; i++)
		call(compare, 1, 1);
	need(!dlclose(handle), "dlclose");
	return (uintptr_t)call;
}

/* Both at one address, each unwound by its own rules */
static void test_replaced(char **plugs)
{
	unsigned int i, at_one_place = 0;
	uintptr_t first, second;
	uint64_t before = unwind_by_own_rules();
	char name[4096];

	snprintf(name, sizeof(name), "%s.now.so", plugs[0]);
	for (i = 0; i < ROUNDS; i++) {
		first = call_library(plugs[0], name);
		second = call_library(plugs[1], name);
		at_one_place += first == second;
	}
	unlink(name);
	tell(at_one_place > 0, "a library is loaded where another one was");
	tell(!unwind_different(), "its frames are told by its own rules");
	/* Some are left to libgcc, while dlopen() or so is looked up for the first time. */
	tell(unwind_by_own_rules() - before > 5 * ROUNDS, "and by rules");
}

/* ---- code made at run time ------------------------------------------------ */

/* "sub $size, %rsp; call *%rdi; add $size, %rsp; ret" */
static void make_code(unsigned char *code, uint32_t size)
{
	static const unsigned char text[] = {
		0x48, 0x81, 0xec, 0, 0, 0, 0, 0xff, 0xd7, 0x48, 0x81, 0xc4, 0, 0, 0, 0, 0xc3,
	};

	memcpy(code, text, sizeof(text));
	memcpy(code + 3, &size, sizeof(size));
	memcpy(code + 12, &size, sizeof(size));
}

/* Its unwind table: the CFA is rsp + 8, and rsp + 8 + size from the seventh byte on. */
static size_t make_table(unsigned char *table, const void *code, uint32_t size)
{
	static const unsigned char cie[] = {
		20, 0,	  0,  0, 0,    0,    0, 0, 1,	 'z', 'R', 0,
		1,  0x78, 16, 1, 0x00, 0x0c, 7, 8, 0x90, 1,   0,   0,
	};
	unsigned char *at = table;
	uint32_t length = 4 + 8 + 8 + 1 + 1 + 3, back;
	uint64_t address = (uintptr_t)code, bytes = 17;

	memcpy(at, cie, sizeof(cie));
	at += sizeof(cie);
	length = (length + 7) & ~7U;
	memset(at, 0, 4 + length + 4);
	memcpy(at, &length, 4);
	back = at + 4 - table;
	memcpy(at + 4, &back, 4);
	memcpy(at + 8, &address, 8);
	memcpy(at + 16, &bytes, 8);
	at[24] = 0; /* no augmentation data */
	at[25] = 0x40 | 7; /* advance_loc */
	at[26] = 0x0e; /* def_cfa_offset */
	size += 8;
	at[27] = 0x80 | (size & 0x7f);
	at[28] = size >> 7;
	return at + 4 + length + 4 - table;
}

static void call_made(unsigned char *code, uint32_t size)
{
	unsigned char table[128] __attribute__((aligned(8)));
	void (*made)(void (*function)(void));

	need(!mprotect(code, PAGE, PROT_READ | PROT_WRITE), "mprotect");
	make_code(code, size);
	need(!mprotect(code, PAGE, PROT_READ | PROT_EXEC), "mprotect");
	make_table(table, code, size);
	__register_frame(table);
	memcpy(&made, &code, sizeof(made));
	made(unwind_compare);
	BARRIER();
	__deregister_frame(table);
	/* Without its table the stack ends there, by both. */
	made(unwind_compare);
	BARRIER();
}

static void test_made(void)
{
	unsigned char *code =
		mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	unsigned int i;

	need(code != MAP_FAILED, "mmap");
	for (i = 0; i < ROUNDS; i++)
		call_made(code, 120 + 16 * (i % 50));
	munmap(code, PAGE);
	tell(!unwind_different(), "code of __register_frame(), changed in its place");
}

/* ---- stacks --------------------------------------------------------------- */

static uint64_t frames[64];
static unsigned int nr_frames;

static ucontext_t back, context;
static uint64_t foot;

static void on_context(void)
{
	nr_frames = unwind_only(frames, 64);
	BARRIER();
}

/* The last frame of such a stack resolves to the function that it is the first byte of. */
static void test_foot(void)
{
	static uint64_t stack[4096];

	getcontext(&context);
	context.uc_stack.ss_sp = stack;
	context.uc_stack.ss_size = sizeof(stack);
	context.uc_link = &back;
	makecontext(&context, on_context, 0);
	foot = *(uint64_t *)context.uc_mcontext.gregs[REG_RSP];
	swapcontext(&back, &context);
	tell(nr_frames == 2 && frames[1] == foot + 1, "the foot of a makecontext() stack");
}

static void handler(int sig)
{
	(void)sig;
	nr_frames = unwind_only(frames, 64);
	BARRIER();
}

/* The handler's return address is the first byte of the trampoline, which nothing called. */
static void test_trampoline(void)
{
	unsigned char code[9];

	signal(SIGUSR1, handler);
	raise(SIGUSR1);
	need(nr_frames > 3, "frames of a signal handler");
	memcpy(code, (const void *)(frames[1] - 1), sizeof(code));
	tell(!memcmp(code, "\x48\xc7\xc0\x0f\0\0\0\x0f\x05", 9), "a signal's trampoline");
}

/* Calls what %rbx points to, and has no caller. */
void fiber_entry(void);
__asm__(".text\n"
	".type fiber_entry, @function\n"
	"fiber_entry:\n"
	".cfi_startproc\n"
	"sub $16, %rsp\n"
	".cfi_adjust_cfa_offset 16\n"
	"call *%rbx\n"
	"ud2\n"
	".cfi_endproc\n"
	".size fiber_entry, . - fiber_entry\n");

/* Runs @function on a stack that begins at @top. */
static __attribute__((noinline, noreturn)) void run_on(void *top, void (*function)(void))
{
	__asm__ volatile("mov %0, %%rsp\n\t"
			 "mov %1, %%rbx\n\t"
			 "xor %%ebp, %%ebp\n\t"
			 "jmp fiber_entry"
			 :
			 : "r"(top), "r"(function)
			 : "rbx", "memory");
	__builtin_unreachable();
}

static ucontext_t home;

/* 11 frames, the caller's, and that of fiber_entry() */
static __attribute__((noinline)) void deeper(unsigned int depth)
{
	if (depth)
		deeper(depth - 1);
	else
		nr_frames = unwind_only(frames, 64);
	BARRIER();
}

static void endless_fiber(void)
{
	unsigned int i;

	/* Often enough for whatever is kept of a stack */
	for (i = 0; i < 20; i++)
		deeper(10);
	setcontext(&home);
}

/* A handler that interrupts such a fiber goes through libgcc. */
static void interrupted_fiber(void)
{
	raise(SIGUSR1);
	setcontext(&home);
}

static void run_fiber(char *top, void (*function)(void))
{
	volatile bool been = false;

	getcontext(&home);
	if (!been) {
		been = true;
		run_on(top, function);
	}
}

static void test_fibers(void)
{
	char *stack =
		mmap(NULL, 65 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	static const struct {
		const char *name;
		unsigned int below; /* what is mapped above the stack's top */
		uint64_t word; /* that lies there */
	} ends[] = {
		{ "a fiber whose stack ends where its memory ends", 0, 0 },
		{ "a fiber whose stack ends by zero", 64, 0 },
		{ "a fiber whose stack ends by a number that is no address", 64, 0x123456789 },
		{ "a fiber whose stack ends by an address that none can have", 64, 1ULL << 62 },
	};
	unsigned int i;
	char *top;

	need(stack != MAP_FAILED, "mmap");
	need(!mprotect(stack + 64 * PAGE, PAGE, PROT_NONE), "mprotect");
	for (i = 0; i < sizeof(ends) / sizeof(*ends); i++) {
		top = stack + 64 * PAGE - ends[i].below;
		if (ends[i].below)
			*(uint64_t *)top = ends[i].word;
		nr_frames = 0;
		run_fiber(top, endless_fiber);
		tell(nr_frames == 13, ends[i].name);
		nr_frames = 0;
		run_fiber(top, interrupted_fiber);
		tell(nr_frames >= 5 && nr_frames < 10, "interrupted by a signal");
	}
	munmap(stack, 65 * PAGE);
}

/* ---- processes ------------------------------------------------------------ */

static void *thread(void *data)
{
	pid_t pid;
	int status;
	unsigned int i;

	(void)data;
	for (i = 0; i < 20; i++)
		compare(0, 0);
	/* In the child this is the main thread, and its stack is none of the main thread's. */
	pid = fork();
	if (!pid) {
		for (i = 0; i < 20; i++)
			compare(0, 0);
		_exit(unwind_different() != 0);
	}
	need(pid > 0 && waitpid(pid, &status, 0) == pid, "fork");
	return (void *)(uintptr_t)status;
}

static void test_fork(void)
{
	pthread_t id;
	void *status;

	need(!pthread_create(&id, NULL, thread, NULL), "pthread_create");
	pthread_join(id, &status);
	tell(!status, "in the child of a thread's fork()");
}

/* The stack grows below what was known of it. */
static __attribute__((noinline)) void grow(unsigned int depth)
{
	volatile char room[PAGE * 16];

	room[0] = 1;
	unwind_compare();
	if (depth)
		grow(depth - 1);
	room[1] = room[0];
	BARRIER();
}

int main(int argc, char **argv)
{
	if (argc != 3)
		return 2;
	grow(80);
	tell(!unwind_different(), "a stack that grows by 5 MiB");
	test_replaced(argv + 1);
	test_made();
	test_foot();
	test_trampoline();
	test_fork();
	test_fibers();
	tell(!unwind_different(), "no frame differs from libgcc's");
	printf("1..%u\n", number);
	return failed != 0;
}
