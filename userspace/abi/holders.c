// SPDX-License-Identifier: GPL-2.0
/* Who holds a buffer. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>

#include "abi/holders.h"
#include "util/util.h"

#define ROOM_AT_FIRST 32

/* How many there are, of which as many as there is room for have been written. */
static int ask(int fd, const struct bufftrack_life *life, struct holders *holders, uint32_t room)
{
	struct bufftrack_holders query = {
		.entries = (uintptr_t)holders->table,
		.nr = room,
		.entry_size = sizeof(*holders->table),
		.device = life->device,
		.buffer = life->buffer,
		.space = life->space,
		.generation = life->generation,
	};

	if (ioctl(fd, BUFFTRACK_IOC_HOLDERS, &query))
		return -1;
	holders->nr = query.nr;
	holders->others = query.others;
	return 0;
}

/* The keys of a PRIVATE client are told to nobody else: who it is, its life says. */
static void one_holder(struct holders *holders, int fd, const struct bufftrack_life *life)
{
	struct bufftrack_stat stat = {
		.scope = BUFFTRACK_STAT_CLIENT,
		.client = life->client,
	};

	if (!life->client || ioctl(fd, BUFFTRACK_IOC_STAT, &stat)) {
		holders->error = life->client ? errno : ENOENT;
		return;
	}
	holders->table = xrealloc(NULL, 1, sizeof(*holders->table));
	holders->table[0] = (struct bufftrack_holder){
		.client = life->client,
		.count = life->refs,
		.pid = stat.pid,
		.uid = stat.uid,
	};
	memcpy(holders->table[0].name, stat.name, sizeof(stat.name));
	memcpy(holders->table[0].comm, stat.comm, sizeof(stat.comm));
	holders->nr = 1;
}

/* Asks who holds a life, as it is now: it may have ended meanwhile. */
void holders_read(struct holders *holders, int fd, const struct bufftrack_life *life)
{
	uint32_t room = ROOM_AT_FIRST;

	*holders = (struct holders){ 0 };
	if (life->state != BUFFTRACK_STATE_LIVE)
		return;
	if (life->flags & BUFFTRACK_LIFE_PRIVATE) {
		one_holder(holders, fd, life);
		return;
	}
	for (;;) {
		holders->table = xrealloc(holders->table, room, sizeof(*holders->table));
		memset(holders->table, 0, room * sizeof(*holders->table));
		if (ask(fd, life, holders, room)) {
			holders->error = errno;
			holders->nr = 0;
			return;
		}
		if (holders->nr <= room)
			return;
		room = holders->nr;
	}
}

void holders_free(struct holders *holders)
{
	free(holders->table);
}
