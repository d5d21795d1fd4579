/* SPDX-License-Identifier: LGPL-2.1-or-later OR MIT */
/*
 * What the layers of all runtimes share: a client, what is remembered of each handle, and how
 * a free is reported, refused and taken back.
 *
 * No lock is held over a call of the runtime. Nothing here prints, aborts, or waits.
 */
#ifndef BUFFTRACK_LAYER_H
#define BUFFTRACK_LAYER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <bufftrack.h>

#define LAYER_EXPORT __attribute__((visibility("default")))
#define LAYER_LIKELY(x) __builtin_expect(!!(x), 1)

/* Kinds of handles, each a namespace of the runtime's: they are the spaces of the reports. */
#define LAYER_SPACES 8
/* The space of what the program has mapped: see layer_map(). */
#define LAYER_SPACE_MAPPED (LAYER_SPACES - 1)

/* ---- the client ------------------------------------------------------------ */

/*
 * Opens the layer's client, once. Returns whether there is anybody to report to: where not,
 * the layer stays out of the runtime's way.
 */
bool layer_open(const char *name, const char *const *spaces);

/* Whether this process was forked from the one that loaded the layer. */
bool layer_is_forked(void);

/* A number that names the same device in every process, from its UUID or its like. */
uint64_t layer_hash(const void *data, size_t size, uint64_t before);
/* Names a device and its spaces for the reports; characters that no label has become '-'. */
void layer_label_device(uint64_t device, const char *name);
/* Where a handle is not known: the device that came first. */
uint64_t layer_first_device(void);

/* ---- calls within calls ------------------------------------------------------ */

/* How deep this thread is in the runtime's calls: what these call is not the program's. */
extern __thread unsigned int layer_depth
	__attribute__((tls_model("initial-exec"), visibility("hidden")));

/* Whether the program itself makes this call. To be paired with layer_leave(). */
static inline bool layer_enter(void)
{
	return !layer_depth++;
}

static inline void layer_leave(void)
{
	layer_depth--;
}

/* Around a function of the program's that the runtime calls. */
static inline unsigned int layer_callback_begin(void)
{
	unsigned int depth = layer_depth;

	layer_depth = 0;
	return depth;
}

static inline void layer_callback_end(unsigned int depth)
{
	layer_depth = depth;
}

/* ---- handles ------------------------------------------------------------------ */

/*
 * What is remembered of a handle, from its first allocation to the process's end: a stale
 * free of it is to be reported on the device that it was on. A forked child remembers
 * nothing.
 */
struct layer_handle {
	uint64_t handle; /* 0: the slot is empty; atomic */
	uint64_t device;
	uint64_t parent; /* a sub-buffer's: the handle that it is a view of; 0 for none */
	uint64_t size;
	uint64_t tag;
	uint32_t maps; /* mappings that were not unmapped; atomic */
	uint32_t spare;
};

/* Finds the handle, or NULL. */
struct layer_handle *layer_find(uint32_t space, uint64_t handle);
/* Finds it, or makes one; NULL where there is no room. */
struct layer_handle *layer_remember(uint32_t space, uint64_t handle);

/* ---- reports ------------------------------------------------------------------ */

/* A free between its report and its outcome. */
struct layer_free {
	struct bufftrack_buffer buffer;
	struct bufftrack_answer answer;
	uint64_t parent; /* of the view that ended with it, or 0 */
	struct bufftrack_buffer mapped; /* its mappings, where it was mapped */
	struct bufftrack_answer mapped_answer;
	bool reported;
	bool was_mapped;
	bool withheld; /* it is bad, and must not reach the runtime (run --protect) */
};

/* A new allocation. @parent: the handle, of the same space, that it is a view of, or 0. */
void layer_alloc(uint32_t space, uint64_t handle, uint64_t device, uint64_t size, uint64_t tag,
		 uint64_t parent);
/*
 * Before the runtime's retain, which may not survive a handle that is stale: one more
 * reference of the program's. Whether it counts; then, where the runtime refuses, it is to be
 * taken back by layer_unretain().
 */
bool layer_retain(uint32_t space, uint64_t handle);
void layer_unretain(uint32_t space, uint64_t handle);
/* Before the runtime's free. */
void layer_free_begin(struct layer_free *what, uint32_t space, uint64_t handle);
/* After it: @freed is false where it said that nothing was freed. */
void layer_free_end(struct layer_free *what, bool freed);
/* The program has mapped the buffer, or unmapped it. */
void layer_map(uint32_t space, uint64_t handle);
void layer_unmap(uint32_t space, uint64_t handle);
/* A context, a device or all is over: as bufftrack_reset() has it. */
void layer_reset(uint64_t device, uint64_t tag, unsigned int flags);
/* Another thing of the program's names the tag, or the tag's context. */
void layer_label_tag(uint64_t device, uint64_t tag, const char *name);

#endif /* BUFFTRACK_LAYER_H */
