/* SPDX-License-Identifier: GPL-2.0 */
/* libcompare.so: the library's unwinder beside libgcc's. */
#ifndef COMPARE_H
#define COMPARE_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/*
 * Unwinds the caller's stack by both, and counts where they differ. With UNWIND_REPORT=FILE in
 * the environment a line of counts is appended to it when the process exits.
 */
void unwind_compare(void);

/* What the library has of the caller's stack, without asking libgcc. Returns how many frames. */
unsigned int unwind_only(uint64_t *frames, unsigned int max);

/* How many of the process's stacks the library had by its rules, and how many were different */
uint64_t unwind_by_own_rules(void);
uint64_t unwind_different(void);

#ifdef __cplusplus
}
#endif
#endif /* COMPARE_H */
