// SPDX-License-Identifier: GPL-2.0
/* A peer: its messages, in whatever pieces they come, and the answers that it asks for. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "cmd/serve/serve.h"
#include "util/util.h"

/* Read at once of one connection, before it is the next one's turn. */
#define READ_BYTES (512 * MESSAGE_SIZE)

/* The name of the peer's process, as the kernel knows it: a message may say anything. */
static void name_peer(struct connection *connection)
{
	struct ucred peer = { .pid = 0 };
	socklen_t len = sizeof(peer);
	char path[32];
	ssize_t n = 0;
	int fd;

	getsockopt(connection->fd, SOL_SOCKET, SO_PEERCRED, &peer, &len);
	connection->pid = peer.pid;
	snprintf(path, sizeof(path), "/proc/%d/comm", peer.pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd >= 0) {
		n = read(fd, connection->peer, sizeof(connection->peer) - 1);
		close(fd);
	}
	connection->peer[n > 0 ? n : 0] = '\0';
	connection->peer[strcspn(connection->peer, "\n")] = '\0';
	if (!connection->peer[0])
		strcpy(connection->peer, "pid");
}

/* Takes the descriptor over. */
void connection_open(struct serve *serve, int fd)
{
	struct connection *connection = xrealloc(NULL, 1, sizeof(*connection));
	struct epoll_event event = { .events = EPOLLIN, .data.ptr = connection };

	memset(connection, 0, sizeof(*connection));
	connection->fd = fd;
	name_peer(connection);
	connection->next = serve->connections;
	connection->link = &serve->connections;
	if (connection->next)
		connection->next->link = &connection->next;
	serve->connections = connection;
	serve->nr_connections++;
	if (epoll_ctl(serve->epoll, EPOLL_CTL_ADD, fd, &event)) {
		complain("cannot watch a connection: %s", strerror(errno));
		connection_close(serve, connection);
	}
}

/* Its clients of the module close: what they hold leaks, and is told by the module. */
void connection_close(struct serve *serve, struct connection *connection)
{
	unsigned int i;

	batch_submit(serve);
	if (connection->part_len)
		complain("%s[%d] went away within a message: %zu bytes are left out",
			 connection->peer, connection->pid, connection->part_len);
	for (i = 0; i < connection->nr_clients; i++)
		if (connection->clients[i].fd >= 0)
			close(connection->clients[i].fd);
	close(connection->fd);
	*connection->link = connection->next;
	if (connection->next)
		connection->next->link = connection->link;
	free(connection->clients);
	free(connection);
}

static void watch_for(struct serve *serve, struct connection *connection, bool writing)
{
	struct epoll_event event = {
		.events = EPOLLIN | (writing ? EPOLLOUT : 0),
		.data.ptr = connection,
	};

	if (connection->waits_to_write == writing)
		return;
	connection->waits_to_write = writing;
	epoll_ctl(serve->epoll, EPOLL_CTL_MOD, connection->fd, &event);
}

/* As much of its answers as the peer takes. */
void connection_write(struct serve *serve, struct connection *connection)
{
	ssize_t n;

	while (connection->answers_len) {
		n = send(connection->fd, connection->answers, connection->answers_len,
			 MSG_NOSIGNAL | MSG_DONTWAIT);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno == EAGAIN)
			break;
		/* Its messages may still be there to read. */
		if (n <= 0)
			n = (ssize_t)connection->answers_len;
		connection->answers_len -= (size_t)n;
		memmove(connection->answers, connection->answers + n, connection->answers_len);
	}
	watch_for(serve, connection, connection->answers_len != 0);
}

/* A peer that takes no answers gets no more of them, and keeps nobody waiting. */
static void answer(struct serve *serve, struct connection *connection, const struct message *query)
{
	struct message message;

	/* What came before the question is in the answer. */
	batch_submit(serve);
	if (connection->answers_len + MESSAGE_SIZE > sizeof(connection->answers)) {
		serve->unanswered++;
		return;
	}
	if (!answer_query(serve, query, &message)) {
		serve->unanswered++;
		return;
	}
	message_encode(&message, connection->answers + connection->answers_len);
	connection->answers_len += MESSAGE_SIZE;
	connection_write(serve, connection);
}

static void take(struct serve *serve, struct connection *connection, const uint8_t *bytes)
{
	struct message message;

	message_decode(&message, bytes);
	serve->messages++;
	switch (message.type) {
	case MESSAGE_ALLOC:
	case MESSAGE_FREE:
		batch_add(serve, connection, &message);
		break;
	case MESSAGE_QUERY:
	case MESSAGE_DEVICE_INFO:
		answer(serve, connection, &message);
		break;
	case MESSAGE_DUMP:
		batch_submit(serve);
		answer_dump(serve);
		break;
	default:
		serve->garbage++;
		if (!connection->complained)
			complain("%s[%d] sends what is no message (type %u): it is left out",
				 connection->peer, connection->pid, message.type);
		connection->complained = true;
	}
}

static void take_all(struct serve *serve, struct connection *connection, const uint8_t *bytes,
		     size_t len)
{
	size_t wanted;

	if (connection->part_len) {
		wanted = MESSAGE_SIZE - connection->part_len;
		if (wanted > len)
			wanted = len;
		memcpy(connection->part + connection->part_len, bytes, wanted);
		connection->part_len += wanted;
		bytes += wanted;
		len -= wanted;
		if (connection->part_len < MESSAGE_SIZE)
			return;
		connection->part_len = 0;
		take(serve, connection, connection->part);
	}
	for (; len >= MESSAGE_SIZE; bytes += MESSAGE_SIZE, len -= MESSAGE_SIZE)
		take(serve, connection, bytes);
	memcpy(connection->part, bytes, len);
	connection->part_len = len;
}

/**
 * connection_read() - what has come
 * @all: all that is there, not only its turn's share
 *
 * A peer that has gone away is closed, and @connection freed, when all is read.
 */
void connection_read(struct serve *serve, struct connection *connection, bool all)
{
	static uint8_t bytes[READ_BYTES];
	ssize_t n;

	do {
		n = recv(connection->fd, bytes, sizeof(bytes), MSG_DONTWAIT);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno == EAGAIN)
			break;
		if (n <= 0) {
			connection_close(serve, connection);
			return;
		}
		take_all(serve, connection, bytes, (size_t)n);
	} while (all);
	batch_submit(serve);
}
