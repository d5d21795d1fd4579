// SPDX-License-Identifier: LGPL-2.1-or-later OR MIT
/* What the layers report: allocations, references, frees, mappings, ends of contexts. */
#include "common/report.h"

static struct bufftrack_buffer key(uint32_t space, uint64_t handle,
				   const struct layer_handle *known)
{
	return (struct bufftrack_buffer){
		.device = known ? known->device : layer_first_device(),
		.buffer = handle,
		.space = space,
	};
}

static void report_view(uint32_t space, uint64_t parent, bool begins)
{
	struct layer_handle *known = layer_find(space, parent);
	struct bufftrack_buffer buffer = key(space, parent, known);

	buffer.flags = BUFFTRACK_F_VIEW;
	if (begins)
		bufftrack_alloc(layer_bt, &buffer, NULL);
	else
		bufftrack_free(layer_bt, &buffer, NULL);
}

void layer_alloc(uint32_t space, uint64_t handle, uint64_t device, uint64_t size, uint64_t tag,
		 uint64_t parent)
{
	struct layer_handle *known;
	struct bufftrack_buffer buffer = {
		.device = device,
		.buffer = handle,
		.size = size,
		.tag = tag,
		.space = space,
		.flags = BUFFTRACK_F_EXCLUSIVE,
	};

	if (!layer_bt || !handle)
		return;
	known = layer_remember(space, handle);
	if (known) {
		known->device = device;
		known->parent = parent;
		known->size = size;
		known->tag = tag;
		__atomic_store_n(&known->maps, 0, __ATOMIC_RELAXED);
	}
	if (parent)
		report_view(space, parent, true);
	bufftrack_alloc(layer_bt, &buffer, NULL);
}

/*
 * In a forked child, what it did not allocate itself is its copy of what its parent did: the
 * child's exit handlers release that, rightly, and nobody is accused of it.
 */
static bool is_inherited(const struct layer_handle *known)
{
	return !known && layer_is_forked();
}

bool layer_retain(uint32_t space, uint64_t handle)
{
	struct bufftrack_answer answer;
	struct layer_handle *known;
	struct bufftrack_buffer buffer;

	if (!layer_bt || !handle)
		return false;
	known = layer_find(space, handle);
	if (is_inherited(known))
		return false;
	buffer = key(space, handle, known);
	buffer.size = known ? known->size : 0;
	return !bufftrack_retain(layer_bt, &buffer, &answer) && answer.verdict == BUFFTRACK_OK;
}

void layer_unretain(uint32_t space, uint64_t handle)
{
	struct bufftrack_buffer buffer = key(space, handle, layer_find(space, handle));

	bufftrack_free(layer_bt, &buffer, NULL);
}

/* A free that is counted in spite of its verdict has to reach the runtime. */
static bool is_refused(const struct bufftrack_answer *answer)
{
	return answer->verdict != BUFFTRACK_OK && answer->verdict != BUFFTRACK_SIZE_MISMATCH &&
	       answer->verdict != BUFFTRACK_HELD_FREE;
}

/*
 * The last reference of the program's goes. That of a sub-buffer is the end of a view. Of
 * a buffer that is mapped, the mapping will not be ended any more, and some runtimes keep its
 * memory for good. All before the runtime's call: after it the handle may be another's.
 */
static void ends(struct layer_free *what, struct layer_handle *known)
{
	what->parent = known->parent;
	if (what->parent)
		report_view(what->buffer.space, what->parent, false);
	if (!__atomic_load_n(&known->maps, __ATOMIC_RELAXED))
		return;
	what->mapped = what->buffer;
	what->mapped.space = LAYER_SPACE_MAPPED;
	what->mapped.flags = BUFFTRACK_F_LAST;
	what->was_mapped = !bufftrack_free(layer_bt, &what->mapped, &what->mapped_answer);
}

void layer_free_begin(struct layer_free *what, uint32_t space, uint64_t handle)
{
	struct layer_handle *known;

	what->parent = 0;
	what->reported = false;
	what->was_mapped = false;
	what->withheld = false;
	if (!layer_bt || !handle)
		return;
	known = layer_find(space, handle);
	if (is_inherited(known))
		return;
	what->buffer = key(space, handle, known);
	what->reported = !bufftrack_free(layer_bt, &what->buffer, &what->answer);
	if (!what->reported)
		return;
	what->withheld = layer_protects && is_refused(&what->answer);
	if (known && what->answer.verdict == BUFFTRACK_OK && !what->answer.refs)
		ends(what, known);
}

void layer_free_end(struct layer_free *what, bool freed)
{
	if (freed || !what->reported)
		return;
	bufftrack_undo(layer_bt, &what->buffer, &what->answer);
	if (what->was_mapped)
		bufftrack_undo(layer_bt, &what->mapped, &what->mapped_answer);
	if (what->parent)
		report_view(what->buffer.space, what->parent, true);
}

/*
 * A mapping is a reference to a life in a space of its own, whose key is the buffer's. One
 * more reference is the buffer's: a buffer that is released while it is mapped ends that
 * life with references left, which is told as such, by the sites of the release and of the
 * first mapping.
 */
void layer_map(uint32_t space, uint64_t handle)
{
	struct layer_handle *known = layer_find(space, handle);
	struct bufftrack_buffer buffer = key(LAYER_SPACE_MAPPED, handle, known);

	if (!layer_bt || !known)
		return;
	buffer.size = known->size;
	/* What is left mapped at the end is the buffer's leak, which is told of it. */
	buffer.flags = BUFFTRACK_F_PERSISTENT;
	if (!__atomic_fetch_add(&known->maps, 1, __ATOMIC_RELAXED))
		bufftrack_alloc(layer_bt, &buffer, NULL);
	bufftrack_alloc(layer_bt, &buffer, NULL);
}

void layer_unmap(uint32_t space, uint64_t handle)
{
	struct layer_handle *known = layer_find(space, handle);
	struct bufftrack_buffer buffer = key(LAYER_SPACE_MAPPED, handle, known);

	if (!layer_bt || !known || !__atomic_load_n(&known->maps, __ATOMIC_RELAXED))
		return;
	bufftrack_free(layer_bt, &buffer, NULL);
	if (__atomic_fetch_sub(&known->maps, 1, __ATOMIC_RELAXED) == 1)
		bufftrack_free(layer_bt, &buffer, NULL);
}

void layer_reset(uint64_t device, uint64_t tag, unsigned int flags)
{
	if (layer_bt)
		bufftrack_reset(layer_bt, device, tag, flags);
}
