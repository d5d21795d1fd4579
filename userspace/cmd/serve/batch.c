// SPDX-License-Identifier: GPL-2.0
/* From messages to calls of the module, many at once. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>

#include "abi/device.h"
#include "cmd/serve/index.h"
#include "cmd/serve/serve.h"
#include "ledger/balance.h"
#include "util/util.h"

#define MAX_NAMED 64

/* The module's client with the name of its peer: "python3[4242]" */
static void open_client(struct serve *serve, struct tracked *client,
			const struct connection *connection)
{
	struct bufftrack_client name = { .mask = BUFFTRACK_CLIENT_NAME };

	client->fd = device_try_open();
	if (client->fd < 0) {
		if (!serve->error)
			complain("cannot open another client of the module: %s%s", strerror(errno),
				 errno == EMFILE ? "\n  (raise the limit of open files: ulimit -n)"
						 : "");
		serve->error = serve->error ? serve->error : errno;
		return;
	}
	serve->nr_clients++;
	snprintf(name.name, sizeof(name.name), "%s[%d]", connection->peer, client->pid);
	/* A name that the module does not take is no reason to report nothing. */
	ioctl(client->fd, BUFFTRACK_IOC_CLIENT, &name);
}

static const struct tracked *client_of(struct serve *serve, struct connection *connection,
				       int32_t pid)
{
	struct tracked *client;
	unsigned int i;

	for (i = 0; i < connection->nr_clients; i++)
		if (connection->clients[i].pid == pid)
			return &connection->clients[i];
	/* The batch points to them. */
	batch_submit(serve);
	connection->clients = xrealloc(connection->clients, connection->nr_clients + 1,
				       sizeof(*connection->clients));
	client = &connection->clients[connection->nr_clients++];
	*client = (struct tracked){ .pid = pid };
	open_client(serve, client, connection);
	return client;
}

/* Reports say "L1" then, and not "space 1". Devices come and go: of many the first are named. */
static void name_space(struct serve *serve, const struct tracked *client, int32_t device,
		       uint8_t space)
{
	struct bufftrack_label label = {
		.device = (uint32_t)device,
		.space = space,
		.flags = BUFFTRACK_LABEL_SPACE,
	};
	size_t i;

	if (space >= NR_BUFFER_TYPES || serve->nr_named == MAX_NAMED)
		return;
	for (i = serve->nr_named; i-- > 0;)
		if (serve->named[i].device == device && serve->named[i].space == space)
			return;
	serve->named = xrealloc(serve->named, serve->nr_named + 1, sizeof(*serve->named));
	serve->named[serve->nr_named++] = (struct named_space){ device, space };
	snprintf(label.label, sizeof(label.label), "%s", buffer_type_name(space));
	/* A name is a help, no more. */
	ioctl(client->fd, BUFFTRACK_IOC_LABEL, &label);
}

static void count_call(struct serve *serve, struct call *call, const struct bufftrack_op *op)
{
	struct balance_key wanted = {
		.device = op->device,
		.buffer = op->buffer,
		.space = op->space,
	};

	if (!serve->balance)
		return;
	call->key = balance_key(serve->balance, &wanted);
	balance_call(serve->balance, call->key, op->op == BUFFTRACK_OP_ALLOC);
}

/* An ALLOC or FREE of a connection: its turn is behind all that came before it. */
void batch_add(struct serve *serve, struct connection *connection, const struct message *message)
{
	const struct tracked *client = client_of(serve, connection, message->pid);
	struct batch *batch = &serve->batch;
	struct index_found found;
	struct bufftrack_op *op;
	struct call *call;

	if (batch->nr == BATCH_CALLS || batch->client != client)
		batch_submit(serve);
	batch->client = client;
	batch->peer = connection->peer;
	op = &batch->ops[batch->nr];
	call = &batch->calls[batch->nr++];
	*call = (struct call){ .size = message->size };
	*op = (struct bufftrack_op){
		.device = (uint32_t)message->device,
		.buffer = message->buffer,
	};
	if (message->type == MESSAGE_ALLOC) {
		op->op = BUFFTRACK_OP_ALLOC;
		op->size = message->size;
		op->space = message->buffer_type;
		name_space(serve, client, message->device, message->buffer_type);
		index_alloc(serve->index, message->device, message->buffer, message->buffer_type,
			    message->size);
	} else {
		found = index_take(serve->index, message->device, message->buffer);
		op->op = BUFFTRACK_OP_FREE;
		op->space = found.space;
		call->size = found.size;
		call->ambiguous = found.ambiguous;
	}
	count_call(serve, call, op);
}

static void answered(struct serve *serve, const struct bufftrack_op *op, const struct call *call)
{
	const struct batch *batch = &serve->batch;

	if (op->error) {
		serve->failed++;
		if (!serve->error)
			complain("a call could not be recorded: %s%s", strerror(-op->error),
				 op->error == -ENOSPC
					 ? "\n  (raise the parameter max_buffers or max_devices)"
					 : "");
		serve->error = serve->error ? serve->error : -op->error;
		return;
	}
	if (serve->log)
		verdict_log(serve, op, call, batch->client->pid);
	if (op->verdict != BUFFTRACK_OK)
		verdict_tell(serve, op, call, batch->client->pid, batch->peer);
	if (!call->key)
		return;
	balance_verdict(serve->balance, op->verdict, 1);
	if (op->verdict < BUFFTRACK_MISSED_FREE && op->verdict != BUFFTRACK_OK)
		return;
	call->key->live = op->op == BUFFTRACK_OP_ALLOC || op->refs;
	if (!call->key->live)
		balance_released(serve->balance);
}

/* Everything that waits, to the module; what it says of each. */
void batch_submit(struct serve *serve)
{
	struct batch *batch = &serve->batch;
	unsigned int first = 0;

	while (batch->client && batch->client->fd >= 0 && first < batch->nr) {
		struct bufftrack_batch call = {
			.entries = (uintptr_t)&batch->ops[first],
			.nr = batch->nr - first,
			.entry_size = sizeof(batch->ops[0]),
		};
		int error = ioctl(batch->client->fd, BUFFTRACK_IOC_BATCH, &call) ? errno : 0;
		unsigned int end = first + call.done;

		for (; first < end; first++)
			answered(serve, &batch->ops[first], &batch->calls[first]);
		if (error && error != EINTR) {
			serve->error = serve->error ? serve->error : error;
			break;
		}
	}
	serve->failed += batch->nr - first;
	batch->nr = 0;
	batch->client = NULL;
}
