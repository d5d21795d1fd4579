// SPDX-License-Identifier: LGPL-2.1-or-later OR MIT
//
// libbufftrack for C++11 and later: a client, and a buffer that its owner keeps.
//
//	bt::Client client("my-runtime");
//
//	bt::Buffer buffer(client, device, address, size);  // after it was obtained
//	...
//	bt::Answer answer = buffer.free();                 // before it goes back
//	if (!driver_free(address))
//		buffer.undo(answer);                              // nothing was freed
//
// Nothing here throws, and nothing takes memory but Client. A Buffer that is destroyed
// without free() reports its free then: put it where it is destroyed before the address goes
// back. It keeps its token, which is what makes a verdict certain: keep the Buffer in the
// object that owns the address.
#ifndef BUFFTRACK_HPP
#define BUFFTRACK_HPP

#include <bufftrack.h>

namespace bt
{

// What the kernel says of one report.
class Answer
{
      public:
	Answer() noexcept
		: answer_()
	{
	}

	// Neither a bad verdict nor an error
	bool ok() const noexcept
	{
		return answer_.verdict == BUFFTRACK_OK && !answer_.error;
	}
	bool certain() const noexcept
	{
		return !(answer_.info & BUFFTRACK_INFO_PROBABLE);
	}
	uint32_t verdict() const noexcept
	{
		return answer_.verdict;
	}
	const char *name() const noexcept
	{
		return bufftrack_verdict_name(answer_.verdict);
	}
	uint32_t info() const noexcept
	{
		return answer_.info;
	}
	uint32_t refs() const noexcept
	{
		return answer_.refs;
	}
	uint64_t generation() const noexcept
	{
		return answer_.generation;
	}
	int error() const noexcept
	{
		return answer_.error;
	}
	bufftrack_answer *raw() noexcept
	{
		return &answer_;
	}

      private:
	bufftrack_answer answer_;
};

// A client of the kernel's, or none where the module is not there: then all calls do nothing.
class Client
{
      public:
	explicit Client(const char *name, unsigned int flags = 0) noexcept
		: bt_(bufftrack_open(name, flags))
	{
	}
	Client(Client &&other) noexcept
		: bt_(other.bt_)
	{
		other.bt_ = nullptr;
	}
	Client &operator=(Client &&other) noexcept
	{
		if (this != &other) {
			bufftrack_close(bt_);
			bt_ = other.bt_;
			other.bt_ = nullptr;
		}
		return *this;
	}
	Client(const Client &) = delete;
	Client &operator=(const Client &) = delete;
	~Client() noexcept
	{
		bufftrack_close(bt_);
	}

	explicit operator bool() const noexcept
	{
		return bt_ != nullptr;
	}
	struct bufftrack *get() const noexcept
	{
		return bt_;
	}

	// A device is over, or what has the tag on it: a context.
	int64_t reset(uint64_t device) noexcept
	{
		return bufftrack_reset(bt_, device, 0, 0);
	}
	int64_t reset(uint64_t device, uint64_t tag) noexcept
	{
		return bufftrack_reset(bt_, device, tag, BUFFTRACK_RESET_TAG);
	}
	int64_t reset_all() noexcept
	{
		return bufftrack_reset(bt_, 0, 0, BUFFTRACK_RESET_ALL);
	}

	int label_device(uint64_t device, const char *label) noexcept
	{
		return bufftrack_label_device(bt_, device, label);
	}
	int label_space(uint64_t device, uint32_t space, const char *label) noexcept
	{
		return bufftrack_label_space(bt_, device, space, label);
	}
	int label_tag(uint64_t device, uint64_t tag, const char *label) noexcept
	{
		return bufftrack_label_tag(bt_, device, tag, label);
	}

      private:
	struct bufftrack *bt_;
};

// One reference to a buffer, reported from its construction to free() or its destruction.
// The client must outlive it.
class Buffer
{
      public:
	Buffer() noexcept
		: bt_(nullptr)
		, buffer_()
		, held_(false)
	{
	}
	Buffer(const Client &client, uint64_t device, uint64_t address, uint64_t size,
	       uint32_t space = 0, uint32_t flags = BUFFTRACK_F_EXCLUSIVE,
	       uint64_t tag = 0) noexcept
		: bt_(client.get())
		, buffer_()
		, held_(true)
	{
		buffer_.device = device;
		buffer_.buffer = address;
		buffer_.size = size;
		buffer_.space = space;
		buffer_.flags = flags;
		buffer_.tag = tag;
		bufftrack_alloc(bt_, &buffer_, answer_.raw());
	}
	Buffer(Buffer &&other) noexcept
		: bt_(other.bt_)
		, buffer_(other.buffer_)
		, answer_(other.answer_)
		, held_(other.held_)
	{
		other.held_ = false;
	}
	Buffer &operator=(Buffer &&other) noexcept
	{
		if (this != &other) {
			if (held_)
				free();
			bt_ = other.bt_;
			buffer_ = other.buffer_;
			answer_ = other.answer_;
			held_ = other.held_;
			other.held_ = false;
		}
		return *this;
	}
	Buffer(const Buffer &) = delete;
	Buffer &operator=(const Buffer &) = delete;
	~Buffer() noexcept
	{
		if (held_)
			free();
	}

	// Another reference to the same life, which has a Buffer of its own
	Buffer retain() const noexcept
	{
		Buffer more;

		more.bt_ = bt_;
		more.buffer_ = buffer_;
		bufftrack_retain(bt_, &buffer_, more.answer_.raw());
		more.held_ = more.answer_.ok();
		return more;
	}

	// Reports the free, each time that it is called: twice is a double free.
	Answer free() noexcept
	{
		Answer answer;

		bufftrack_free(bt_, &buffer_, answer.raw());
		held_ = false;
		return answer;
	}

	// The driver says that nothing was freed: takes back the free that answered so.
	int undo(Answer &freed) noexcept
	{
		int error = bufftrack_undo(bt_, &buffer_, freed.raw());

		held_ = !error;
		return error;
	}

	// It is not for this object to free: somebody else reports that, or a reset.
	void release() noexcept
	{
		held_ = false;
	}

	// What was said of its allocation, or of retain()
	const Answer &answer() const noexcept
	{
		return answer_;
	}
	uint64_t token() const noexcept
	{
		return buffer_.token;
	}
	uint64_t address() const noexcept
	{
		return buffer_.buffer;
	}
	bool held() const noexcept
	{
		return held_;
	}

      private:
	struct bufftrack *bt_;
	bufftrack_buffer buffer_;
	Answer answer_;
	bool held_;
};

} // namespace bt

#endif // BUFFTRACK_HPP
