// SPDX-License-Identifier: GPL-2.0
/*
 * Stacks of every shape that a compiler makes: shapes SAMPLES. Functions of many kinds call
 * each other at random; the innermost has its stack unwound by the library and by libgcc.
 * Built by each compiler at each level, with and without frame pointers.
 */
#include <csetjmp>
#include <csignal>
#include <cstdarg>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <memory>
#include <stdexcept>
#include <sys/mman.h>
#include <thread>
#include <ucontext.h>
#include <vector>

#include "compare.h"
#include "plug.h"

#define STACK 65536

static void go(unsigned int depth, uint64_t seed);

static uint64_t next(uint64_t seed)
{
	seed ^= seed << 13;
	seed ^= seed >> 7;
	return seed ^ seed << 17;
}

static thread_local volatile uint64_t sink;

static void plain(unsigned int depth, uint64_t seed)
{
	go(depth, seed);
	sink = seed;
}

static void large(unsigned int depth, uint64_t seed)
{
	volatile char room[5000];

	room[seed % sizeof(room)] = 1;
	go(depth, seed);
	sink = room[seed % sizeof(room)];
}

static void allocating(unsigned int depth, uint64_t seed)
{
	volatile char *room = (volatile char *)__builtin_alloca(seed % 2000 + 1);

	room[0] = 1;
	go(depth, seed);
	sink = room[0];
}

static void realigned(unsigned int depth, uint64_t seed)
{
	alignas(64) volatile char aligned[64];
	volatile char *room = (volatile char *)__builtin_alloca(seed % 300 + 1);

	aligned[seed % 64] = room[0] = 1;
	go(depth, seed);
	sink = aligned[seed % 64] + room[0];
}

static void only_realigned(unsigned int depth, uint64_t seed)
{
	alignas(32) volatile uint64_t aligned[8];

	aligned[seed % 8] = seed;
	go(depth, seed);
	sink = aligned[seed % 8];
}

/* More live values than there are registers that a call keeps */
static void busy(unsigned int depth, uint64_t seed)
{
	uint64_t a = next(seed), b = next(a), c = next(b), d = next(c), e = next(d), f = next(e);
	uint64_t g = next(f), h = next(g);

	go(depth, seed);
	sink = a + b * c + d * e + f * g + h;
}

static void tail(unsigned int depth, uint64_t seed)
{
	return go(depth, seed);
}

static uint64_t sum(unsigned int nr, ...)
{
	va_list args;
	uint64_t total = 0, seed;
	unsigned int depth;

	va_start(args, nr);
	depth = va_arg(args, unsigned int);
	seed = va_arg(args, uint64_t);
	for (; nr > 2; nr--)
		total += (uint64_t)va_arg(args, double);
	va_end(args);
	go(depth, seed);
	return total;
}

static void variadic(unsigned int depth, uint64_t seed)
{
	sink = sum(5, depth, seed, 1.0, 2.0, 3.0);
}

struct pack {
	uint64_t words[40];
};

static pack by_value(pack pack, unsigned int depth, uint64_t seed)
{
	go(depth, seed);
	pack.words[seed % 40]++;
	return pack;
}

static void packed(unsigned int depth, uint64_t seed)
{
	pack pack{};

	pack = by_value(pack, depth, seed);
	sink = pack.words[seed % 40];
}

static void function(unsigned int depth, uint64_t seed)
{
	std::function<void(unsigned int)> call = [seed](unsigned int depth) {
		go(depth, seed);
		sink = depth;
	};
	call(depth);
	sink = seed;
}

struct base {
	virtual ~base() = default;
	virtual void call(unsigned int depth, uint64_t seed) = 0;
};

struct derived_shape : base {
	uint64_t seed = 0;

	void call(unsigned int depth, uint64_t seed) override
	{
		this->seed = seed;
		go(depth, seed);
		sink = this->seed;
	}
};

static void virtually(unsigned int depth, uint64_t seed)
{
	std::unique_ptr<base> object(new derived_shape);

	object->call(depth, seed);
	sink = seed;
}

static thread_local unsigned int compared_depth;
static thread_local uint64_t compared_seed;

static int compare_two(const void *a, const void *b)
{
	uint64_t seed = compared_seed;

	if (seed) {
		compared_seed = 0;
		go(compared_depth, seed);
	}
	return *(const int *)a - *(const int *)b;
}

static void sorting(unsigned int depth, uint64_t seed)
{
	int numbers[] = { 3, 1, 2 };

	compared_depth = depth;
	compared_seed = seed;
	qsort(numbers, 3, sizeof(*numbers), compare_two);
	sink = numbers[0];
}

struct guard {
	unsigned int depth;
	uint64_t seed;

	~guard()
	{
		go(depth, seed);
	}
};

static void thrower(unsigned int depth, uint64_t seed)
{
	guard guard{ depth / 2, next(seed) };

	if (seed % 3)
		throw std::runtime_error("expected");
	sink = seed;
}

static void catching(unsigned int depth, uint64_t seed)
{
	try {
		thrower(depth, seed);
	} catch (const std::exception &) {
		go(depth / 2, next(next(seed)));
	}
	sink = seed;
}

static thread_local jmp_buf place;

/* Nothing follows the call: the return address is the next function's first byte. */
[[noreturn]] static __attribute__((noinline)) void never_back(unsigned int depth, uint64_t seed)
{
	jmp_buf mine;

	*mine = *place; // cppcheck-suppress uninitvar
	go(depth, seed);
	longjmp(mine, 1);
}

[[noreturn]] static __attribute__((noinline)) void leave(unsigned int depth, uint64_t seed)
{
	never_back(depth, seed);
}

static __attribute__((noinline)) void jumping(unsigned int depth, uint64_t seed)
{
	jmp_buf before;

	*before = *place; // cppcheck-suppress uninitvar
	if (!setjmp(place))
		leave(depth, seed);
	*place = *before;
	sink = 1;
}

static void through_library(unsigned int depth, uint64_t seed)
{
	plug_call(go, depth, seed);
	sink = seed;
}

/* ---- other stacks --------------------------------------------------------- */

struct fiber {
	ucontext_t context;
	ucontext_t back;
	unsigned int depth;
	uint64_t seed;
};

static void fiber_main(unsigned int high, unsigned int low)
{
	fiber *fiber = (struct fiber *)((uintptr_t)high << 32 | low);

	go(fiber->depth, fiber->seed);
}

static void on_fiber(unsigned int depth, uint64_t seed)
{
	fiber fiber{};
	void *stack = mmap(nullptr, STACK, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (stack == MAP_FAILED)
		abort();
	fiber.depth = depth;
	fiber.seed = seed;
	getcontext(&fiber.context);
	fiber.context.uc_stack.ss_sp = stack;
	fiber.context.uc_stack.ss_size = STACK;
	fiber.context.uc_link = &fiber.back;
	makecontext(&fiber.context, (void (*)())fiber_main, 2,
		    (unsigned int)((uintptr_t)&fiber >> 32), (unsigned int)(uintptr_t)&fiber);
	swapcontext(&fiber.back, &fiber.context);
	munmap(stack, STACK);
	sink = seed;
}

static thread_local unsigned int signal_depth;
static thread_local uint64_t signal_seed;

static void handler(int)
{
	go(signal_depth, signal_seed);
	sink = 1;
}

static void interrupted(unsigned int depth, uint64_t seed)
{
	signal_depth = depth;
	signal_seed = seed;
	raise(seed % 2 ? SIGUSR1 : SIGUSR2);
	sink = seed;
}

/* ---- all together --------------------------------------------------------- */

typedef void kind(unsigned int depth, uint64_t seed);

static kind *const kinds[] = {
	plain, large, allocating, realigned, only_realigned, busy, tail, variadic, packed,
	function, virtually, sorting, catching, jumping, through_library,
};

static __attribute__((noinline)) void go(unsigned int depth, uint64_t seed)
{
	uint64_t choice = next(seed);

	if (!depth)
		unwind_compare();
	/* What is on another stack is rarer: it costs more. */
	else if (choice % 256 == 0)
		interrupted(depth - 1, choice);
	else if (choice % 64 == 1)
		on_fiber(depth - 1, choice);
	else
		kinds[choice / 256 % (sizeof(kinds) / sizeof(*kinds))](depth - 1, choice);
	sink = seed;
}

static void work(uint64_t samples, uint64_t seed)
{
	char *alternative = new char[STACK];
	stack_t stack{};

	stack.ss_sp = alternative;
	stack.ss_size = STACK;
	if (sigaltstack(&stack, nullptr))
		abort();
	while (samples--) {
		seed = next(seed);
		go(seed % 12, seed);
	}
	stack.ss_flags = SS_DISABLE;
	sigaltstack(&stack, nullptr);
	delete[] alternative;
}

int main(int argc, char **argv)
{
	uint64_t samples = argc > 1 ? strtoull(argv[1], nullptr, 10) : 100000;
	std::vector<std::thread> threads;
	struct sigaction action{};
	unsigned int i;

	action.sa_handler = handler;
	action.sa_flags = SA_NODEFER;
	sigaction(SIGUSR1, &action, nullptr);
	action.sa_flags |= SA_ONSTACK;
	sigaction(SIGUSR2, &action, nullptr);
	work(samples / 2, 88172645463325252ULL);
	/* Many short ones, so that stacks and thread data are used again */
	for (i = 0; i < 20; i++) {
		threads.emplace_back(work, samples / 40, 1234567 + i * 7919);
		if (i % 2) {
			threads.front().join();
			threads.erase(threads.begin());
		}
	}
	for (auto &thread : threads)
		thread.join();
	return unwind_different() != 0;
}
