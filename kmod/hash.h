/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The hash of a key: which bucket, which shard, and the order of LIST.
 */
#ifndef BUFFTRACK_HASH_H
#define BUFFTRACK_HASH_H

#include <linux/bitops.h>
#include <linux/types.h>

extern u64 bufftrack_hash_secret[3];

static inline u64 bt_fold(u64 a, u64 b)
{
#ifdef CONFIG_ARCH_SUPPORTS_INT128
	__uint128_t wide = (__uint128_t)a * b;

	return (u64)wide ^ (u64)(wide >> 64);
#else
	return a * b ^ ror64(a, 29) * (b >> 32 | 1);
#endif
}

/*
 * Two rounds of multiply and fold, as in wyhash (Wang Yi), keyed by a secret
 * that is drawn at load, since callers choose the keys. The seed of the rhashtable
 * is not used, since the order of LIST must outlive a resize. Whoever tries long
 * enough learns from that order which keys collide: bufftrack_record_insert() has
 * a limit for that.
 */
static inline u32 bt_hash(u64 buffer, u32 space_id)
{
	const u64 *secret = bufftrack_hash_secret;
	u64 h = bt_fold(buffer ^ secret[0], space_id ^ secret[1]);

	return bt_fold(h ^ secret[2], secret[1]);
}

/* Buckets are told apart by the hash's low bits, so shards are by the high. */
static inline unsigned int bt_shard_nr(u32 hash)
{
	return hash >> (32 - BT_SHARD_BITS);
}

#endif /* BUFFTRACK_HASH_H */
