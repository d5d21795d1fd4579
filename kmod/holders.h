/* SPDX-License-Identifier: GPL-2.0 */
/*
 * HOLDERS: who holds a life.
 */
#ifndef BUFFTRACK_HOLDERS_H
#define BUFFTRACK_HOLDERS_H

#include "client.h"

struct bufftrack_holders;

int bufftrack_holders(struct bt_client *client, struct bufftrack_holders *arg);

#endif /* BUFFTRACK_HOLDERS_H */
