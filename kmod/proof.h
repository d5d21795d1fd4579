/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Which life a call meant, and what of a bad verdict is proven.
 */
#ifndef BUFFTRACK_PROOF_H
#define BUFFTRACK_PROOF_H

#include "event.h"

enum bt_named bufftrack_life_named(const struct bt_table *table, const struct bt_record *rec,
				   u64 token);
bool bufftrack_someone_closing(struct bt_record *rec);
u32 bufftrack_proof(const struct bt_caller *caller, const struct bt_table *table,
		    struct bt_record *rec, enum bt_named named, const struct bufftrack_op *op);
u32 bufftrack_proof_nowhere(const struct bt_client *client, u64 device);
u32 bufftrack_proof_leak(const struct bt_client *client, const struct bt_record *rec);

#endif /* BUFFTRACK_PROOF_H */
