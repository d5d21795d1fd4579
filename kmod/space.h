/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Spaces: the kinds of memory of a device that a share has used, and names.
 */
#ifndef BUFFTRACK_SPACE_H
#define BUFFTRACK_SPACE_H

#include <linux/mutex.h>
#include <linux/xarray.h>

#include "counter.h"

struct bt_share;

struct bt_space {
	struct bt_share *share;
	u32 id;
	char label[BUFFTRACK_NAME_LEN];
	struct bt_stats *stats; /* own_stats, or the parent's space's */
	struct bt_stats own_stats;
};

/* A tag's name, on a share's device. */
struct bt_tag {
	u64 tag;
	char label[BUFFTRACK_NAME_LEN];
};

/* A share's, by their number. */
struct bt_spaces {
	struct bt_share *share;
	struct bt_spaces *parent; /* of whose spaces these count; or NULL */
	struct mutex lock; /* spaces coming */
	struct xarray by_id;
	unsigned int nr;
	struct xarray tags; /* struct bt_tag, by tag_index(); lock */
	unsigned int nr_tags;
};

void bufftrack_spaces_init(struct bt_spaces *spaces, struct bt_share *share,
			   struct bt_spaces *parent);
void bufftrack_spaces_destroy(struct bt_spaces *spaces);
struct bt_space *bufftrack_space_get(struct bt_spaces *spaces, u32 id);
int bufftrack_tag_label(struct bt_spaces *spaces, u64 tag, const char *label);
int bufftrack_tag_label_get(struct bt_spaces *spaces, u64 tag, char *label);
void bufftrack_name_copy(char *to, const char *from);

#endif /* BUFFTRACK_SPACE_H */
