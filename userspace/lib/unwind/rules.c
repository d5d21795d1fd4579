// SPDX-License-Identifier: LGPL-2.1-or-later OR MIT
/*
 * The rules by return address: a cache of the process, and how it stays true.
 *
 * A program may close a library and load another one at its place. The rules of the first
 * would then lead astray, and nothing tells of it without taking the loader's lock. So each
 * rule has its library's number. Once in each stack the library of each number is looked at:
 * it must lie where it lay, and have the same build id. Rules of a library without a build id
 * are never kept. What is never unloaded has number 0, and is not looked at: the program, libc,
 * and this library.
 *
 * The cache is plain memory of the library (.bss): its pages exist once they are used.
 */
#include <elf.h>
#include <gnu/libc-version.h>
#include <string.h>
#include <sys/auxv.h>
#include <ucontext.h>

#include "unwind.h"

#if BUFFTRACK_RULES

#define MAX_LIBRARIES 256

/* Of glibc 2.35. With an older one this is NULL, and everything is left to libgcc. */
extern __typeof__(_dl_find_object) _dl_find_object __attribute__((weak));

struct rule_entry bufftrack_rules[1U << RULE_CACHE_BITS];

enum { LIBRARY_FREE, LIBRARY_BEING_WRITTEN, LIBRARY_READY };

/* Written once, then constant */
struct library {
	int state; /* LIBRARY_*, atomic */
	uintptr_t start;
	uintptr_t end;
	const void *eh_frame;
	const void *id; /* where its build id lies */
	uint64_t words[2]; /* of the build id */
};

static struct library libraries[MAX_LIBRARIES]; /* number 0 is not used */

static bool find_object(uintptr_t address, struct dl_find_object *object)
{
	return _dl_find_object && !_dl_find_object((void *)address, object);
}

/* ---- libraries ------------------------------------------------------------ */

/* Whether both addresses lie in one library. */
static bool is_in(const struct dl_find_object *object, const void *address)
{
	return address >= object->dlfo_map_start && address < object->dlfo_map_end;
}

/* Rules of the program, of libc and of this library outlive every library that comes and goes. */
static bool is_never_unloaded(const struct dl_find_object *object)
{
	return is_in(object, (const void *)getauxval(AT_PHDR)) ||
	       is_in(object, gnu_get_libc_version()) || is_in(object, bufftrack_rules);
}

/* The address that the library's first page was linked for */
static Elf64_Addr first_address(const Elf64_Phdr *phdr, unsigned int nr)
{
	for (; nr; nr--, phdr++)
		if (phdr->p_type == PT_LOAD)
			return phdr->p_vaddr & -BUFFTRACK_PAGE;
	return 0;
}

/* 16 bytes or more of a build id among the notes from @at to @end */
static const void *find_note(const char *at, const char *end)
{
	const Elf64_Nhdr *note;

	while ((size_t)(end - at) >= sizeof(*note)) {
		note = (const Elf64_Nhdr *)at;
		at += sizeof(*note);
		if (note->n_namesz > BUFFTRACK_PAGE || note->n_descsz > BUFFTRACK_PAGE)
			return NULL;
		if (note->n_type == NT_GNU_BUILD_ID && note->n_namesz == 4 &&
		    note->n_descsz >= 16 && end - at >= 4 + 16)
			return at + 4;
		at += ((note->n_namesz + 3) & -4U) + ((note->n_descsz + 3) & -4U);
		if (at > end)
			return NULL;
	}
	return NULL;
}

/*
 * Where the build id lies. Only in the first page of the library, which is there whichever
 * library it is: it is read again when another one may have come to its place.
 */
static const void *find_build_id(const struct dl_find_object *object)
{
	const Elf64_Ehdr *ehdr = object->dlfo_map_start;
	const char *page = object->dlfo_map_start;
	const Elf64_Phdr *phdr;
	const void *id = NULL;
	Elf64_Addr base;
	unsigned int i;
	uint64_t at;

	if ((uintptr_t)page % BUFFTRACK_PAGE || memcmp(ehdr->e_ident, ELFMAG, SELFMAG) ||
	    ehdr->e_phentsize != sizeof(*phdr) || ehdr->e_phoff > BUFFTRACK_PAGE ||
	    ehdr->e_phoff % 8 || ehdr->e_phoff + ehdr->e_phnum * sizeof(*phdr) > BUFFTRACK_PAGE)
		return NULL;
	phdr = (const Elf64_Phdr *)(page + ehdr->e_phoff);
	base = first_address(phdr, ehdr->e_phnum);
	for (i = 0; i < ehdr->e_phnum && !id; i++, phdr++) {
		at = phdr->p_vaddr - base;
		if (phdr->p_type == PT_NOTE && at % 4 == 0 && at < BUFFTRACK_PAGE &&
		    phdr->p_memsz <= BUFFTRACK_PAGE - at)
			id = find_note(page + at, page + at + phdr->p_memsz);
	}
	return id;
}

static bool is_library(const struct library *library, const struct dl_find_object *object)
{
	uint64_t words[2];

	if (library->start != (uintptr_t)object->dlfo_map_start ||
	    library->end != (uintptr_t)object->dlfo_map_end ||
	    library->eh_frame != object->dlfo_eh_frame)
		return false;
	memcpy(words, library->id, sizeof(words));
	return words[0] == library->words[0] && words[1] == library->words[1];
}

/* The library's number, given to it if need be; -1 where it has none. */
static int number_of(const struct dl_find_object *object)
{
	struct library *library;
	const void *id;
	int i, state;

	if (is_never_unloaded(object))
		return 0;
	id = find_build_id(object);
	for (i = 1; id && i < MAX_LIBRARIES; i++) {
		library = &libraries[i];
		state = __atomic_load_n(&library->state, __ATOMIC_ACQUIRE);
		if (state == LIBRARY_READY && is_library(library, object))
			return i;
		/* A handler that interrupts this just goes without this number. */
		if (state != LIBRARY_FREE ||
		    !__atomic_compare_exchange_n(&library->state, &state, LIBRARY_BEING_WRITTEN,
						 false, __ATOMIC_ACQUIRE, __ATOMIC_RELAXED))
			continue;
		library->start = (uintptr_t)object->dlfo_map_start;
		library->end = (uintptr_t)object->dlfo_map_end;
		library->eh_frame = object->dlfo_eh_frame;
		library->id = id;
		memcpy(library->words, id, sizeof(library->words));
		__atomic_store_n(&library->state, LIBRARY_READY, __ATOMIC_RELEASE);
		return i;
	}
	return -1;
}

bool bufftrack_rule_holds(uintptr_t address, uint64_t rule)
{
	unsigned int number = (rule & RULE_LIBRARY) >> RULE_LIBRARY_SHIFT;
	struct dl_find_object object;

	return find_object(address - 1, &object) && is_library(&libraries[number], &object);
}

/* ---- special places ------------------------------------------------------- */

static void never_called(void)
{
}

/*
 * Where a function of makecontext() returns to: the first byte of a function of libc that
 * nothing calls, and that has no name for other programs. It is found on such a stack.
 */
static uintptr_t makecontext_foot(void)
{
	static uintptr_t foot; /* atomic: whoever comes first finds the same */
	uintptr_t address = __atomic_load_n(&foot, __ATOMIC_RELAXED);
	uint64_t stack[64];
	ucontext_t context;

	if (address)
		return address;
	memset(&context, 0, sizeof(context));
	memset(stack, 0, sizeof(stack));
	context.uc_stack.ss_sp = stack;
	context.uc_stack.ss_size = sizeof(stack);
	makecontext(&context, never_called, 0);
	memcpy(&address, (void *)context.uc_mcontext.gregs[REG_RSP], sizeof(address));
	__atomic_store_n(&foot, address, __ATOMIC_RELAXED);
	return address;
}

/* "mov $__NR_rt_sigreturn, %rax; syscall": a trampoline, which libgcc knows by that */
static bool returns_from_signal(uintptr_t address)
{
	static const unsigned char code[] = { 0x48, 0xc7, 0xc0, 0x0f, 0, 0, 0, 0x0f, 0x05 };

	return bufftrack_readable(address, sizeof(code)) &&
	       !memcmp((const void *)address, code, sizeof(code));
}

/* ---- rules ---------------------------------------------------------------- */

static uint64_t read_rule(const struct dl_find_object *object, uintptr_t address, uintptr_t pc)
{
	/* A static program has its tables registered with libgcc instead. */
	uint64_t rule = RULE_OTHER;

	if (object->dlfo_eh_frame)
		rule = bufftrack_eh_frame_rule(object->dlfo_eh_frame, pc);
	if (address == makecontext_foot())
		return RULE_END | RULE_FIRST_BYTE;
	if (rule == RULE_NO_TABLE && returns_from_signal(address))
		return RULE_OTHER | RULE_FIRST_BYTE;
	return rule;
}

uint64_t bufftrack_rule_find(uintptr_t address)
{
	struct rule_entry *entry = bufftrack_rule_entry(address);
	struct dl_find_object object;
	uint64_t rule;
	int number;

	/* The call is before the address that it returns to. */
	if (!find_object(address - 1, &object))
		return RULE_UNKNOWN;
	rule = read_rule(&object, address, address - 1);
	number = number_of(&object);
	if (number < 0)
		return rule;
	rule |= (uint64_t)number << RULE_LIBRARY_SHIFT;
	__atomic_store_n(&entry->rule, rule, __ATOMIC_RELEASE);
	__atomic_store_n(&entry->check, address ^ rule * RULE_CACHE_FACTOR, __ATOMIC_RELEASE);
	return rule;
}

uint64_t bufftrack_rule_interrupted(uintptr_t address)
{
	struct dl_find_object object;

	if (!find_object(address, &object))
		return RULE_UNKNOWN;
	return object.dlfo_eh_frame ? bufftrack_eh_frame_rule(object.dlfo_eh_frame, address)
				    : RULE_NO_TABLE;
}

#endif /* BUFFTRACK_RULES */
