// SPDX-License-Identifier: GPL-2.0
/*
 * A client of the allocation server in C, as a runtime has it: a packed struct, sent as it
 * is, and no answer waited for. Usage: serve_client SOCKET DEVICE BUFFER
 * Allocates, frees, and frees once more.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

struct __attribute__((packed)) message {
	uint8_t type;
	uint8_t pad1[3];
	int32_t device;
	uint64_t size;
	uint8_t buffer_type;
	uint8_t pad2[3];
	int32_t pid;
	uint64_t buffer;
	uint64_t timestamp;
	uint64_t allocated[4];
	uint64_t totals[2];
	uint32_t info[6];
};

_Static_assert(sizeof(struct message) == 112, "as long as the server's");

static void tell(int fd, const struct message *message)
{
	if (send(fd, message, sizeof(*message), MSG_NOSIGNAL) != sizeof(*message)) {
		perror("send");
		exit(1);
	}
}

int main(int argc, char *argv[])
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	struct message message = { .type = 1, .size = 8192, .buffer_type = 1 };
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);

	if (argc != 4)
		return 2;
	strncpy(address.sun_path, argv[1], sizeof(address.sun_path) - 1);
	if (connect(fd, (struct sockaddr *)&address, sizeof(address))) {
		perror(argv[1]);
		return 1;
	}
	message.device = atoi(argv[2]);
	message.buffer = strtoull(argv[3], NULL, 0);
	message.pid = getpid();
	message.timestamp = (uint64_t)time(NULL);
	tell(fd, &message);
	message = (struct message){
		.type = 2, .device = message.device, .pid = message.pid, .buffer = message.buffer
	};
	tell(fd, &message);
	tell(fd, &message);
	/* Asked, and waited for: what was sent is done when this ends. */
	message.type = 3;
	tell(fd, &message);
	return recv(fd, &message, sizeof(message), MSG_WAITALL) != sizeof(message);
}
