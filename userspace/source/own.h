/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The user's own bad verdicts, from the device: what a member of the group sees who is not
 * root. There are no allocs and frees among them, and nothing of other users.
 */
#ifndef BUFFTRACK_OWN_H
#define BUFFTRACK_OWN_H

#include <signal.h>
#include <stdbool.h>
#include <stdint.h>

struct event;
struct own;

struct own *own_open(void);
void own_close(struct own *own);
bool own_wait(struct own *own, int timeout_ms, const sigset_t *signals, int output);
bool own_next(struct own *own, struct event *event);
uint64_t own_lost(const struct own *own);

#endif
