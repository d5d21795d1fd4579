/* SPDX-License-Identifier: GPL-2.0 */
/*
 * bufftrack serve: the allocation server's protocol, answered from the kernel module.
 *
 *	listener ----> connection ----> batch ----> /dev/bufftrack
 *	 (socket)	(a peer: its	 (calls of one	 (a client for each peer,
 *			 messages)	  client)	  and for each pid in its messages)
 *
 * One thread reads, in turn from each connection what is there; another writes to standard
 * output (output.h). Nothing waits for a peer or a reader.
 */
#ifndef BUFFTRACK_SERVE_H
#define BUFFTRACK_SERVE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>
#include <linux/bufftrack.h>

#include "cmd/serve/protocol.h"

struct balance;
struct balance_key;
struct devices;
struct index;
struct output;

#define BATCH_CALLS 64
#define PEER_NAME 16

/**
 * struct tracked - a client of the module: a process that reports through a connection
 * @pid: the peer's, or another that its messages name
 * @fd: -1 where the module could not be asked
 */
struct tracked {
	int32_t pid;
	int fd;
};

/**
 * struct call - one ALLOC or FREE on its way
 * @size: the buffer's, of a FREE the one that its ALLOC gave
 * @ambiguous: a FREE of an address that is allocated in several spaces
 */
struct call {
	struct balance_key *key;
	uint64_t size;
	bool ambiguous;
};

/* A memory type of a device, which has its name. */
struct named_space {
	int32_t device;
	uint8_t space;
};

/* Calls of one client, in the order in which they came. */
struct batch {
	const struct tracked *client;
	const char *peer;
	unsigned int nr;
	struct bufftrack_op ops[BATCH_CALLS];
	struct call calls[BATCH_CALLS];
};

/**
 * struct connection - one peer
 * @peer: the name of its process
 * @part: of a message that has not come whole
 * @answers: what it has not taken yet; more are left out
 */
struct connection {
	struct connection *next;
	struct connection **link;
	int fd;
	pid_t pid;
	char peer[PEER_NAME];
	bool complained;
	bool waits_to_write;
	struct tracked *clients;
	unsigned int nr_clients;
	size_t part_len;
	uint8_t part[MESSAGE_SIZE];
	size_t answers_len;
	uint8_t answers[64 * MESSAGE_SIZE];
};

/**
 * struct serve - everything
 * @fd: of the module, for questions; the server's own client reports nothing
 * @balance: of the summary; NULL where none is wanted
 */
struct serve {
	int fd;
	int epoll;
	bool log;
	bool json;
	struct output *output;
	struct index *index;
	struct devices *devices;
	struct balance *balance;
	struct batch batch;
	struct named_space *named; /* the latest last */
	size_t nr_named;
	struct connection *connections;
	uint64_t nr_connections;
	uint64_t nr_clients;
	uint64_t messages;
	uint64_t garbage;
	uint64_t failed;
	uint64_t unanswered;
	int error; /* why the first of those failed */
};

/* connection.c */
void connection_open(struct serve *serve, int fd);
void connection_read(struct serve *serve, struct connection *connection, bool all);
void connection_write(struct serve *serve, struct connection *connection);
void connection_close(struct serve *serve, struct connection *connection);

/* batch.c */
void batch_add(struct serve *serve, struct connection *connection, const struct message *message);
void batch_submit(struct serve *serve);

/* answer.c */
bool answer_query(const struct serve *serve, const struct message *query, struct message *answer);
void answer_dump(const struct serve *serve);

/* devices.c: what a file says of the devices */
struct devices *devices_read(const char *path);
void devices_free(struct devices *devices);
void devices_find(const struct devices *devices, int32_t id, struct device_info *info);
unsigned int devices_nr(const struct devices *devices);

/* verdict.c: lines for the reader */
void verdict_log(const struct serve *serve, const struct bufftrack_op *op, const struct call *call,
		 int32_t pid);
void verdict_tell(const struct serve *serve, const struct bufftrack_op *op, const struct call *call,
		  int32_t pid, const char *peer);

#endif
