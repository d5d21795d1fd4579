/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The ends that nobody reported: a client's exit, a device's and a context's reset.
 */
#ifndef BUFFTRACK_CLOSE_H
#define BUFFTRACK_CLOSE_H

#include <linux/types.h>

#include <linux/bufftrack.h>

struct bt_attach;
struct bt_caller;
struct bt_client;
struct bt_record;
struct bt_resets;

void bufftrack_client_close(struct bt_client *client);
void bufftrack_life_exit(struct bt_record *rec, unsigned int nr);
void bufftrack_attach_close(struct bt_attach *attach);
int bufftrack_reset(struct bt_caller *caller, struct bufftrack_reset *arg);
int bufftrack_reset_since(const struct bt_resets *resets, const struct bt_record *rec, u64 time);
void bufftrack_reset_client(struct bt_caller *caller, struct bufftrack_reset *arg);

#endif /* BUFFTRACK_CLOSE_H */
