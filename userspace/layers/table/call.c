// SPDX-License-Identifier: LGPL-2.1-or-later OR MIT
/*
 * A call of a function of the table's: a piece of code for each, made at run time, that tells
 * of the call before and after it, and passes on what it was given, in registers and on the
 * stack, as it was.
 */
#include <string.h>
#include <sys/mman.h>

#include "table/table.h"

static uint64_t value_of(const struct table_value *value, const struct table_call *call)
{
	switch (value->from) {
	case TABLE_NUMBER:
		return value->number;
	case TABLE_RETURN:
		return call->result;
	case TABLE_ARG:
		return call->args[value->arg];
	case TABLE_AT_ARG:
		return call->args[value->arg] ? *(const uint64_t *)(uintptr_t)call->args[value->arg]
					      : 0;
	case TABLE_PRODUCT:
		return call->args[value->arg] * call->args[value->second];
	default:
		return 0;
	}
}

static bool succeeded(const struct table_rule *rule, uint64_t result)
{
	switch (rule->success) {
	case TABLE_EQUAL:
		/* Most functions return an int, whose upper half is anything. */
		return (uint32_t)result == (uint32_t)rule->result;
	case TABLE_NOT_EQUAL:
		return result;
	default:
		return true;
	}
}

/* Returns what to call; 0 where the call is withheld. */
__attribute__((used, visibility("hidden"))) uint64_t table_before(struct table_call *call)
{
	struct table_rule *rule = call->rule;

	call->free.reported = false;
	call->free.withheld = false;
	call->counted = false;
	call->programs = layer_enter();
	if (call->programs && rule->kind == TABLE_FREE)
		layer_free_begin(&call->free, rule->space, value_of(&rule->pointer, call));
	if (call->programs && rule->kind == TABLE_RETAIN)
		call->counted = layer_retain(rule->space, value_of(&rule->pointer, call));
	if (call->programs && rule->kind == TABLE_END)
		layer_reset(value_of(&rule->device, call), value_of(&rule->tag, call),
			    rule->tag.from != TABLE_NONE ? BUFFTRACK_RESET_TAG : 0);
	if (!call->free.withheld)
		return __atomic_load_n(&rule->real, __ATOMIC_ACQUIRE);
	call->result = rule->success == TABLE_EQUAL ? rule->result : 1;
	return 0;
}

__attribute__((used, visibility("hidden"))) void table_after(struct table_call *call)
{
	const struct table_rule *rule = call->rule;
	bool good = succeeded(rule, call->result);

	layer_leave();
	if (!call->programs)
		return;
	switch (rule->kind) {
	case TABLE_ALLOC:
	case TABLE_VIEW:
		if (good)
			layer_alloc(rule->space, value_of(&rule->pointer, call),
				    value_of(&rule->device, call), value_of(&rule->size, call),
				    value_of(&rule->tag, call), value_of(&rule->parent, call));
		break;
	case TABLE_FREE:
		if (!call->free.withheld)
			layer_free_end(&call->free, good);
		break;
	case TABLE_RETAIN:
		if (call->counted && !good)
			layer_unretain(rule->space, value_of(&rule->pointer, call));
		break;
	case TABLE_END:
		break;
	}
}

#if defined(__x86_64__) && defined(__LP64__)
_Static_assert(offsetof(struct table_call, result) == 48 &&
		       offsetof(struct table_call, rule) == 56 && sizeof(struct table_call) <= 384,
	       "the code below has it so");

/*
 * r11: the rule. The frame: 512 bytes for struct table_call, then the vector registers; then
 * sixteen words of the caller's stack once more, for what has more arguments than registers.
 */
__asm__(".text\n"
	".p2align 4\n"
	".type table_common, @function\n"
	"table_common:\n"
	".cfi_startproc\n"
	"push %rbp\n"
	".cfi_def_cfa_offset 16\n"
	".cfi_offset %rbp, -16\n"
	"mov %rsp, %rbp\n"
	".cfi_def_cfa_register %rbp\n"
	"sub $784, %rsp\n"
	"and $-16, %rsp\n"
	"sub $16, %rsp\n"
	"mov %rdi, 128(%rsp)\n"
	"mov %rsi, 136(%rsp)\n"
	"mov %rdx, 144(%rsp)\n"
	"mov %rcx, 152(%rsp)\n"
	"mov %r8, 160(%rsp)\n"
	"mov %r9, 168(%rsp)\n"
	"mov %r11, 184(%rsp)\n"
	"mov %rax, 640(%rsp)\n"
	"movups %xmm0, 512(%rsp)\n"
	"movups %xmm1, 528(%rsp)\n"
	"movups %xmm2, 544(%rsp)\n"
	"movups %xmm3, 560(%rsp)\n"
	"movups %xmm4, 576(%rsp)\n"
	"movups %xmm5, 592(%rsp)\n"
	"movups %xmm6, 608(%rsp)\n"
	"movups %xmm7, 624(%rsp)\n"
	"lea 128(%rsp), %rdi\n"
	"call table_before\n"
	"test %rax, %rax\n"
	"jz 1f\n"
	"mov %rax, %r11\n"
	"lea 16(%rbp), %rsi\n"
	"mov %rsp, %rdi\n"
	"mov $16, %ecx\n"
	"rep movsq\n"
	"mov 128(%rsp), %rdi\n"
	"mov 136(%rsp), %rsi\n"
	"mov 144(%rsp), %rdx\n"
	"mov 152(%rsp), %rcx\n"
	"mov 160(%rsp), %r8\n"
	"mov 168(%rsp), %r9\n"
	"mov 640(%rsp), %rax\n"
	"movups 512(%rsp), %xmm0\n"
	"movups 528(%rsp), %xmm1\n"
	"movups 544(%rsp), %xmm2\n"
	"movups 560(%rsp), %xmm3\n"
	"movups 576(%rsp), %xmm4\n"
	"movups 592(%rsp), %xmm5\n"
	"movups 608(%rsp), %xmm6\n"
	"movups 624(%rsp), %xmm7\n"
	"call *%r11\n"
	"mov %rax, 176(%rsp)\n"
	"mov %rdx, 648(%rsp)\n"
	"movups %xmm0, 512(%rsp)\n"
	"movups %xmm1, 528(%rsp)\n"
	"1:\n"
	"lea 128(%rsp), %rdi\n"
	"call table_after\n"
	"mov 176(%rsp), %rax\n"
	"mov 648(%rsp), %rdx\n"
	"movups 512(%rsp), %xmm0\n"
	"movups 528(%rsp), %xmm1\n"
	"leave\n"
	".cfi_def_cfa %rsp, 8\n"
	"ret\n"
	".cfi_endproc\n"
	".size table_common, . - table_common\n");

extern const char table_common[] __attribute__((visibility("hidden")));

/* movabs $rule, %r11; movabs $table_common, %r10; jmp *%r10 */
void *table_make_trampoline(struct table_rule *rule)
{
	static unsigned char *page = MAP_FAILED;
	static size_t used = 4096;
	const uint64_t address = (uintptr_t)rule, common = (uintptr_t)table_common;
	unsigned char *code;

	if (used + 32 > 4096) {
		page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		used = 0;
	}
	if (page == MAP_FAILED || mprotect(page, 4096, PROT_READ | PROT_WRITE))
		return NULL;
	code = page + used;
	used += 32;
	memcpy(code, "\x49\xbb", 2);
	memcpy(code + 2, &address, sizeof(address));
	memcpy(code + 10, "\x49\xba", 2);
	memcpy(code + 12, &common, sizeof(common));
	memcpy(code + 20, "\x41\xff\xe2", 3);
	if (mprotect(page, 4096, PROT_READ | PROT_EXEC))
		return NULL;
	return code;
}
#else
void *table_make_trampoline(struct table_rule *rule)
{
	(void)rule;
	return NULL;
}
#endif
