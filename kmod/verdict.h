/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Verdicts: name, errno, and what each is said of.
 */
#ifndef BUFFTRACK_VERDICT_H
#define BUFFTRACK_VERDICT_H

#include <linux/types.h>

#include <linux/bufftrack.h>

const char *bufftrack_verdict_name(u32 verdict);
int bufftrack_verdict_errno(u32 verdict);
bool bufftrack_verdict_is_of_free(u32 verdict);

#endif /* BUFFTRACK_VERDICT_H */
