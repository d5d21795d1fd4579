// SPDX-License-Identifier: GPL-2.0
//
// A registry of buffers in user space, of the kind that bufftrack replaces: a
// daemon with a Unix stream socket, a thread for each client, one mutex and one
// hash map, told of allocations by messages that nobody answers.
//
//	bench-daemon SOCKET [--log] [--answer]
//
// With --log it says a line for each message, with --answer it sends each back,
// so that a client could learn the verdict.
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <iostream>
#include <mutex>
#include <string>
#include <thread>
#include <unordered_map>

#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "message.h"

static_assert(sizeof(message) == 112, "as long as the real one's");

namespace
{

struct Key {
	uint64_t device;
	uint64_t buffer;

	bool operator==(const Key &other) const
	{
		return device == other.device && buffer == other.buffer;
	}
};

struct Hash {
	size_t operator()(const Key &key) const
	{
		return std::hash<uint64_t>()(key.buffer) ^ key.device << 1;
	}
};

struct Buffer {
	uint64_t size;
	uint32_t space;
	uint32_t pid;
	uint32_t refs;
};

class Registry
{
      public:
	explicit Registry(bool log) : log_(log)
	{
	}

	void handle(message &m)
	{
		std::lock_guard<std::mutex> lock(mutex_);

		if (m.type == MESSAGE_ALLOC)
			alloc(m);
		else if (m.type == MESSAGE_FREE)
			free(m);
		m.known = buffers_.size();
	}

      private:
	void alloc(message &m)
	{
		Buffer &buffer = buffers_[Key{ m.device, m.buffer }];

		if (!buffer.refs)
			buffer = Buffer{ m.size, m.space, m.pid, 0 };
		m.refs = ++buffer.refs;
		if (log_)
			std::cout << "✓ [PID " << m.pid << "] Allocated " << m.size
				  << " bytes of L1 on device " << m.device
				  << " (buffer_id=" << m.buffer << ")" << std::endl;
	}

	void free(message &m)
	{
		auto found = buffers_.find(Key{ m.device, m.buffer });

		if (found == buffers_.end()) {
			if (log_)
				std::cout << "⚠ [PID " << m.pid
					  << "] Deallocation for unknown buffer " << m.buffer
					  << " on device " << m.device << std::endl;
			return;
		}
		m.refs = --found->second.refs;
		if (log_)
			std::cout << "✗ [PID " << m.pid << "] Freed buffer " << m.buffer
				  << " on device " << m.device << " (" << found->second.size
				  << " bytes, FINAL)" << std::endl;
		if (!m.refs)
			buffers_.erase(found);
	}

	bool log_;
	std::mutex mutex_;
	std::unordered_map<Key, Buffer, Hash> buffers_;
};

void serve(int fd, Registry &registry, bool answer)
{
	message m;

	while (recv(fd, &m, sizeof(m), MSG_WAITALL) == sizeof(m)) {
		registry.handle(m);
		if ((answer || m.type == MESSAGE_QUERY) &&
		    send(fd, &m, sizeof(m), MSG_NOSIGNAL) != sizeof(m))
			break;
	}
	close(fd);
}

} // namespace

int main(int argc, char **argv)
{
	sockaddr_un address = {};
	bool log = false, answer = false;

	for (int i = 2; i < argc; i++) {
		log |= std::string(argv[i]) == "--log";
		answer |= std::string(argv[i]) == "--answer";
	}
	if (argc < 2 || std::strlen(argv[1]) >= sizeof(address.sun_path)) {
		std::cerr << "Usage: bench-daemon SOCKET [--log] [--answer]\n";
		return 2;
	}
	address.sun_family = AF_UNIX;
	std::strcpy(address.sun_path, argv[1]);

	int listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (bind(listener, reinterpret_cast<sockaddr *>(&address), sizeof(address)) ||
	    listen(listener, 16)) {
		std::perror("bench-daemon");
		return 1;
	}

	Registry registry(log);

	for (;;) {
		int fd = accept(listener, nullptr, nullptr);

		if (fd < 0)
			return 1;
		std::thread(serve, fd, std::ref(registry), answer).detach();
	}
}
