// SPDX-License-Identifier: LGPL-2.1-or-later OR MIT
//
// The bug that bufftrack was made for, in a runtime of 100 lines: a Buffer that
// can be copied, and an old copy that frees again, after the address was reused.
//
//	BUFFTRACK_STACK=16 ./buffer
//
// cache_weights() keeps a copy of a Buffer that load_model() deallocates. The next
// Buffer gets the same address; then the copy is dropped. Its status still says
// "allocated", so its destructor frees: what it frees is somebody else's.
//
// Three stacks tell it: of the free in drop_cache(), of the free before in
// unload_layer(), and of the allocation in load_layer(). The lines that they name
// are marked "at", for who compares.
#include <cinttypes>
#include <cstdint>
#include <cstdio>
#include <map>
#include <memory>
#include <vector>

#include <bufftrack.h>

// Inlined functions are resolved as well, given the debug information; that these
// have frames, and names, of their own is for who looks at addresses.
#ifdef __clang__
#define FRAME __attribute__((noinline))
#else
#define FRAME __attribute__((noinline, noclone))
#endif

namespace runtime
{

const uint64_t DEVICE = 4;
const uint32_t L1 = 1;

// Hands out addresses, the one that was given back last first.
class Allocator
{
      public:
	uint64_t take(uint64_t size)
	{
		if (returned_.count(size) && !returned_[size].empty()) {
			uint64_t address = returned_[size].back();

			returned_[size].pop_back();
			return address;
		}
		next_ += size;
		return next_ - size;
	}

	void give_back(uint64_t address, uint64_t size)
	{
		returned_[size].push_back(address);
	}

      private:
	std::map<uint64_t, std::vector<uint64_t>> returned_;
	uint64_t next_ = 0x296ccc80;
};

static Allocator allocator;
static struct bufftrack *tracker;
static unsigned int bad_frees;

class Buffer
{
      public:
	FRAME explicit Buffer(uint64_t size)
	{
		allocate(size); // at Buffer
	}

	// The bug: two objects that both believe that they own the address.
	Buffer(const Buffer &other) = default;

	FRAME ~Buffer()
	{
		deallocate(); // at ~Buffer
	}

	FRAME void deallocate()
	{
		if (allocated_)
			mark_as_deallocated(); // at deallocate
	}

	uint64_t address() const
	{
		return key_.buffer;
	}

      private:
	FRAME void allocate(uint64_t size)
	{
		key_.device = DEVICE;
		key_.space = L1;
		key_.size = size;
		key_.buffer = allocator.take(size);
		allocated_ = true;
		// After the address was obtained; the token is written to key_.
		bufftrack_alloc(tracker, &key_, nullptr); // at allocate
	}

	FRAME void mark_as_deallocated()
	{
		struct bufftrack_answer answer;

		allocated_ = false;
		// Before the address is given back.
		bufftrack_free(tracker, &key_, &answer); // at mark_as_deallocated
		if (answer.verdict != BUFFTRACK_OK) {
			std::printf("free of 0x%" PRIx64 ": %s\n", key_.buffer,
				    bufftrack_verdict_name(answer.verdict));
			bad_frees++;
			return;
		}
		allocator.give_back(key_.buffer, key_.size);
	}

	struct bufftrack_buffer key_ = {};
	bool allocated_ = false;
};

} // namespace runtime

using runtime::Buffer;

static std::unique_ptr<Buffer> cached;

FRAME static void cache_weights(const Buffer &weights)
{
	cached.reset(new Buffer(weights)); // an old reference, from here on
}

FRAME static void drop_cache()
{
	cached.reset(); // at drop_cache
}

FRAME static Buffer *load_layer(uint64_t size)
{
	return new Buffer(size); // at load_layer
}

FRAME static void unload_layer(Buffer *layer)
{
	layer->deallocate(); // at unload_layer
	delete layer;
}

FRAME static void load_model()
{
	Buffer *weights = load_layer(8192); // at load_model, the allocation

	cache_weights(*weights);
	unload_layer(weights); // at load_model, the first free
}

FRAME static void run_model()
{
	std::unique_ptr<Buffer> activations(load_layer(8192)); // at run_model, the next owner

	std::printf("activations at 0x%" PRIx64 "\n", activations->address());
	drop_cache(); // at run_model, the bad free
	// activations still owns the address, and frees it once.
}

int main()
{
	runtime::tracker = bufftrack_open("buffer", 0);
	if (!runtime::tracker)
		std::perror("nothing is tracked");
	bufftrack_label_device(runtime::tracker, runtime::DEVICE, "wormhole");
	bufftrack_label_space(runtime::tracker, runtime::DEVICE, runtime::L1, "L1");

	load_model(); // at main, the model
	run_model(); // at main, its run

	std::printf("%u bad frees\n", runtime::bad_frees);
	bufftrack_close(runtime::tracker);
	return 0;
}
