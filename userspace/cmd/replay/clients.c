// SPDX-License-Identifier: GPL-2.0
/* replay: each client of the log is one of ours, an open file. */
#include <inttypes.h>
#include <search.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "abi/device.h"
#include "cmd/replay/replay.h"
#include "ledger/balance.h"
#include "util/util.h"

static int compare_clients(const void *first, const void *second)
{
	const struct client *a = first, *b = second;

	return compare_numbers(a->id, b->id);
}

/* It has to be known before the first call; later it fails, and is as everybody's. */
void replay_make_private(const struct replay *replay, struct client *client)
{
	struct bufftrack_client arg = {
		.mask = BUFFTRACK_CLIENT_PRIVATE,
		.flags = BUFFTRACK_CLIENT_PRIVATE,
	};

	if (client->is_private || !(replay->features & BUFFTRACK_FEATURE_PRIVATE))
		return;
	client->is_private = ioctl(client->fd, BUFFTRACK_IOC_CLIENT, &arg) == 0;
}

/* Each client of the log is one of ours: an open file. NULL where it cannot. */
struct client *replay_client(struct replay *replay, uint64_t id)
{
	struct client wanted = { .id = id, .fd = -1 };
	struct bufftrack_client name = { .mask = BUFFTRACK_CLIENT_NAME };
	struct client *client;

	client = replay_find_or_add(&replay->clients, &wanted, sizeof(wanted), compare_clients);
	if (client->fd >= 0)
		return client;
	client->fd = device_open();
	if (client->fd < 0)
		return NULL;
	replay->nr_clients++;
	snprintf(name.name, sizeof(name.name), "replay-%" PRIu64, id);
	ioctl(client->fd, BUFFTRACK_IOC_CLIENT, &name);
	client->number = name.id;
	client->is_private = false;
	return client;
}

/* A client of the log goes away: what it holds leaks. */
bool replay_close_client(struct replay *replay, uint64_t id)
{
	struct bufftrack_stat stat = { .scope = BUFFTRACK_STAT_CLIENT };
	struct client wanted = { .id = id }, **found, *client;

	found = tfind(&wanted, &replay->clients, compare_clients);
	if (!found || (*found)->fd < 0)
		return true;
	client = *found;
	if (ioctl(client->fd, BUFFTRACK_IOC_STAT, &stat) == 0)
		balance_verdict(replay->balance, BUFFTRACK_LEAK, stat.live);
	close(client->fd);
	client->fd = -1;
	replay->closed_any = true;
	return true;
}

void replay_free_client(void *node)
{
	struct client *client = node;

	if (client->fd >= 0)
		close(client->fd);
	free(client);
}
