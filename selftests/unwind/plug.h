/* SPDX-License-Identifier: GPL-2.0 */
#ifndef PLUG_H
#define PLUG_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Calls back from another library. */
void plug_call(void (*function)(unsigned int depth, uint64_t seed), unsigned int depth,
	       uint64_t seed);

#ifdef __cplusplus
}
#endif
#endif /* PLUG_H */
