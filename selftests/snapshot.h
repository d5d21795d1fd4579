/* SPDX-License-Identifier: GPL-2.0 */
/* All that a caller can see of a device and of a client, to compare with later. */
#ifndef SNAPSHOT_H
#define SNAPSHOT_H

#include "bt.h"

#define SNAPSHOT_LIVES	128

/* One STAT; rc is its errno, and the rest is 0 where it failed. */
struct snapshot_stat {
	int rc;
	struct bufftrack_stat stat;
};

struct snapshot {
	struct snapshot_stat all;
	struct snapshot_stat device;
	struct snapshot_stat space;
	struct snapshot_stat client;
	unsigned int nr;
	struct bufftrack_life lives[SNAPSHOT_LIVES];
};

static inline void snapshot_stat(int fd, __u32 scope, __u64 id, __u32 space,
				 struct snapshot_stat *to)
{
	to->rc = bt_stat(fd, scope, id, space, &to->stat);
	if (to->rc)
		memset(&to->stat, 0, sizeof(to->stat));
}

static inline int snapshot_life(const struct bufftrack_life *life, void *data)
{
	struct snapshot *snapshot = data;

	if (snapshot->nr == SNAPSHOT_LIVES)
		return -ENOSPC;
	snapshot->lives[snapshot->nr++] = *life;
	return 0;
}

/* As @fd sees it: @device, its @space, and the client @id (0: @fd's own). */
static inline int snapshot_take(int fd, __u64 device, __u32 space, __u64 id,
				struct snapshot *to)
{
	struct bufftrack_list filter = {
		.flags = BUFFTRACK_LIST_DEAD | BUFFTRACK_LIST_DEVICE,
		.device = device,
	};

	memset(to, 0, sizeof(*to));
	snapshot_stat(fd, BUFFTRACK_STAT_ALL, 0, 0, &to->all);
	snapshot_stat(fd, BUFFTRACK_STAT_DEVICE, device, 0, &to->device);
	snapshot_stat(fd, BUFFTRACK_STAT_SPACE, device, space, &to->space);
	snapshot_stat(fd, BUFFTRACK_STAT_CLIENT, id, 0, &to->client);
	return bt_walk(fd, filter, 32, snapshot_life, to);
}

static inline void snapshot_stat_diff(struct bt_words *words, const char *name,
				      const struct snapshot_stat *before,
				      const struct snapshot_stat *after)
{
	const struct bufftrack_stat *want = &before->stat, *seen = &after->stat;
	struct bt_words here = { .used = 0 };
	struct bufftrack_stat empty;
	unsigned int i;

	/*
	 * A device or a space that a failed call brought into being may be there,
	 * empty, until its client goes.
	 */
	if (before->rc == -ENOENT && !after->rc) {
		empty = *seen;
		empty.scope = 0;
		empty.device = 0;
		empty.space = 0;
		empty.clients = 0;
		for (i = 0; i < sizeof(empty); i++)
			if (((const char *)&empty)[i])
				bt_say(&here, "[byte %u]", i);
	} else {
		if (before->rc != after->rc)
			bt_say(&here, "[errno %d, not %d]", after->rc, before->rc);
		BT_DIFFER(&here, want, seen, live);
		BT_DIFFER(&here, want, seen, bytes);
		BT_DIFFER(&here, want, seen, peak_bytes);
		BT_DIFFER(&here, want, seen, allocs);
		BT_DIFFER(&here, want, seen, frees);
		BT_DIFFER(&here, want, seen, history);
		BT_DIFFER(&here, want, seen, evicted);
		BT_DIFFER(&here, want, seen, client_flags);
		for (i = 0; i < 16; i++)
			if (want->verdicts[i] != seen->verdicts[i])
				bt_say(&here, "[verdicts[%u] %llu, not %llu]", i,
				       (unsigned long long)seen->verdicts[i],
				       (unsigned long long)want->verdicts[i]);
		if (memcmp(want->name, seen->name, sizeof(want->name)))
			bt_say(&here, "[name '%.32s', not '%.32s']", seen->name,
			       want->name);
		/* A device may have got the client whose call failed. */
		if (want->clients != seen->clients &&
		    want->scope != BUFFTRACK_STAT_DEVICE)
			bt_say(&here, "[clients %llu, not %llu]",
			       (unsigned long long)seen->clients,
			       (unsigned long long)want->clients);
	}
	if (here.used)
		bt_say(words, "%s: %s ", name, here.text);
}

/* What changed, in words: "" where nothing did. */
static inline const char *snapshot_diff(const struct snapshot *before,
					const struct snapshot *after)
{
	static struct bt_words words;
	unsigned int i;

	words = (struct bt_words) { .used = 0 };
	snapshot_stat_diff(&words, "all", &before->all, &after->all);
	snapshot_stat_diff(&words, "device", &before->device, &after->device);
	snapshot_stat_diff(&words, "space", &before->space, &after->space);
	snapshot_stat_diff(&words, "client", &before->client, &after->client);
	if (before->nr != after->nr)
		bt_say(&words, "[%u lives, not %u]", after->nr, before->nr);
	/* The order of LIST stays while the module is loaded. */
	for (i = 0; i < before->nr && i < after->nr; i++)
		if (memcmp(&before->lives[i], &after->lives[i],
			   sizeof(before->lives[i])))
			bt_say(&words, "[allocation of 0x%llx]",
			       (unsigned long long)before->lives[i].buffer);
	return words.text;
}

#endif /* SNAPSHOT_H */
