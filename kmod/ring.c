// SPDX-License-Identifier: GPL-2.0
/*
 * A user's latest bad verdicts, kept while one of his clients is open.
 *
 * The oldest goes first. Entries hold references to the actors, so that who did it can be
 * told in any reader's pid namespace after the task is gone. A ring has no room until the
 * first bad verdict: most users never have one.
 */
#include <linux/cred.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>
#include <linux/uaccess.h>
#include <linux/wait.h>
#include <linux/xarray.h>

#include "compat.h"
#include "param.h"
#include "reader.h"
#include "ring.h"

/* What is kept before there is room: calls that are under way when the first bad one comes. */
#define RING_FEW 4U

struct ring_entry {
	u64 device;
	u64 buffer;
	u64 size;
	u64 requested;
	u64 tag;
	u64 token;
	u64 generation;
	u64 named;
	u64 prev_generation;
	u64 evicted;
	u32 space;
	u32 verdict;
	u32 info;
	u32 flags;
	u32 refs;
	u32 views;
	u32 nth;
	u32 count;
	u32 lives;
	u32 frees;
	u32 reason;
	u32 prev_reason;
	struct bt_when offender;
	struct bt_when end;
	struct bt_when alloc;
	struct bt_when prev_end;
	struct bt_when prev_alloc;
};

/**
 * struct bt_ring - one user's
 * @refs: his open clients; the lock of bt_rings
 * @uid: whose it is
 * @lock: the entries and @next; innermost
 * @next: the sequence number of the next event, from 1 on
 * @entries: @size of them, by sequence number: @few, or %BT_RING_EVENTS once one was needed
 * @size: a power of 2
 * @wait: who waits for the next
 * @few: where the entries are until room for more was needed, or where there was none
 */
struct bt_ring {
	unsigned long refs;
	kuid_t uid;
	spinlock_t lock; /* the entries and @next */
	u64 next;
	struct ring_entry *entries;
	unsigned int size;
	wait_queue_head_t wait;
	struct ring_entry few[RING_FEW];
};

/* By uid. Its nodes are charged to who opens the first client of a user. */
static DEFINE_XARRAY_FLAGS(bt_rings, XA_FLAGS_ACCOUNT);

/* ---- users come and go ---------------------------------------------------- */

/* With a reference more, of the user's there is, or else of @new, which is used up then. */
static struct bt_ring *ring_get(unsigned long uid, struct bt_ring *new)
{
	struct bt_ring *ring;

	xa_lock(&bt_rings);
	ring = xa_load(&bt_rings, uid);
	if (!ring && new && !xa_err(__xa_store(&bt_rings, uid, new, BT_GFP_LOCKED)))
		ring = new;
	if (ring)
		ring->refs++;
	xa_unlock(&bt_rings);
	return ring;
}

/**
 * bufftrack_ring_join() - a client has opened
 * @client: the client, not yet known to anybody else
 *
 * It hears of what comes from now on. May sleep.
 *
 * Return: 0, or -ENOMEM.
 */
int bufftrack_ring_join(struct bt_client *client)
{
	unsigned long uid = __kuid_val(client->user->uid);
	struct bt_ring *ring = ring_get(uid, NULL), *new = NULL;
	int tries = 4;

	/* The place is made without the lock: it may take as long as the caller's cgroup likes. */
	while (!ring && tries-- && !xa_reserve(&bt_rings, uid, BT_GFP)) {
		if (!new)
			new = kzalloc(sizeof(*new), BT_GFP);
		if (!new)
			break;
		spin_lock_init(&new->lock);
		init_waitqueue_head(&new->wait);
		new->uid = client->user->uid;
		new->next = 1;
		new->entries = new->few;
		new->size = RING_FEW;
		ring = ring_get(uid, new);
	}
	if (ring != new)
		kfree(new);
	if (!ring) {
		xa_release(&bt_rings, uid);
		return -ENOMEM;
	}
	client->ring = ring;
	client->events_cursor = READ_ONCE(ring->next);
	return 0;
}

static void entry_put(struct ring_entry *entry)
{
	bufftrack_actor_put(entry->offender.actor);
	bufftrack_actor_put(entry->end.actor);
	bufftrack_actor_put(entry->alloc.actor);
	bufftrack_actor_put(entry->prev_end.actor);
	bufftrack_actor_put(entry->prev_alloc.actor);
}

static void ring_free(struct bt_ring *ring)
{
	unsigned int i;

	for (i = 0; i < ring->size; i++)
		entry_put(&ring->entries[i]);
	if (ring->entries != ring->few)
		kvfree(ring->entries);
	kfree(ring);
}

/**
 * bufftrack_ring_leave() - a client is gone, its last words said
 * @client: the client; without a ring where its open has failed
 */
void bufftrack_ring_leave(struct bt_client *client)
{
	struct bt_ring *ring = client->ring;
	bool last;

	if (!ring)
		return;
	client->ring = NULL;
	xa_lock(&bt_rings);
	last = !--ring->refs;
	if (last)
		__xa_erase(&bt_rings, __kuid_val(ring->uid));
	xa_unlock(&bt_rings);
	if (last)
		ring_free(ring);
}

void bufftrack_rings_exit(void)
{
	WARN_ON(!xa_empty(&bt_rings));
	xa_destroy(&bt_rings);
}

/* ---- what is kept --------------------------------------------------------- */

/**
 * bufftrack_ring_prepare() - there is, or may be, a bad verdict: make room for more
 * @client: whose; no lock is held
 *
 * Without memory the ring keeps only a few. May sleep.
 */
void bufftrack_ring_prepare(struct bt_client *client)
{
	struct bt_ring *ring = client->ring;
	struct ring_entry *entries;
	unsigned int i;

	if (likely(READ_ONCE(ring->size) == BT_RING_EVENTS))
		return;
	entries = kvcalloc(BT_RING_EVENTS, sizeof(*entries), BT_GFP);
	if (!entries)
		return;
	spin_lock(&ring->lock);
	if (ring->size != BT_RING_EVENTS) {
		for (i = 0; i < RING_FEW && ring->next > i + 1; i++)
			entries[(ring->next - 1 - i) % BT_RING_EVENTS] =
				ring->few[(ring->next - 1 - i) % RING_FEW];
		ring->entries = entries;
		WRITE_ONCE(ring->size, BT_RING_EVENTS);
		entries = NULL;
	}
	spin_unlock(&ring->lock);
	kvfree(entries);
}

static struct bt_when when_of(const struct bt_who *who)
{
	struct bt_when when = { .time = who->time, .actor = who->actor };

	if (when.actor)
		refcount_inc(&when.actor->refs);
	return when;
}

static void entry_fill(struct ring_entry *entry, const struct bt_bad *bad, u32 count)
{
	*entry = (struct ring_entry){
		.device = bad->device,
		.buffer = bad->buffer,
		.size = bad->size,
		.requested = bad->requested,
		.tag = bad->tag,
		.token = bad->token,
		.generation = bad->generation,
		.named = bad->life.generation,
		.prev_generation = bad->prev.generation,
		.evicted = bad->evicted,
		.space = bad->space,
		.verdict = bad->verdict,
		.info = bad->info,
		.flags = bad->flags,
		.refs = bad->refs,
		.views = bad->views,
		.nth = bad->nth,
		.count = count,
		.lives = bad->lives,
		.frees = bad->frees,
		.reason = bad->life.state,
		.prev_reason = bad->prev.state,
		.offender = when_of(&bad->by),
		.end = when_of(&bad->life.end),
		.alloc = when_of(&bad->life.alloc),
		.prev_end = when_of(&bad->prev.end),
		.prev_alloc = when_of(&bad->prev.alloc),
	};
}

/**
 * bufftrack_ring_add() - keep a bad verdict
 * @client: the offender's
 * @bad: what is told of it, its actors alive: under the shard's lock
 * @count: of a LEAK the references, else 0
 */
void bufftrack_ring_add(struct bt_client *client, const struct bt_bad *bad, u32 count)
{
	struct bt_ring *ring = client->ring;
	struct ring_entry *entry, old;

	spin_lock(&ring->lock);
	entry = &ring->entries[ring->next % ring->size];
	old = *entry;
	entry_fill(entry, bad, count);
	WRITE_ONCE(ring->next, ring->next + 1);
	spin_unlock(&ring->lock);
	entry_put(&old);
	if (wq_has_sleeper(&ring->wait))
		wake_up_interruptible_poll(&ring->wait, EPOLLIN | EPOLLRDNORM);
}

/* ---- what is read --------------------------------------------------------- */

/* bufftrack_ring_poll - whether there are some behind what this file has read */
__poll_t bufftrack_ring_poll(struct bt_client *client, struct file *file,
			     struct poll_table_struct *wait)
{
	struct bt_ring *ring = client->ring;

	poll_wait(file, &ring->wait, wait);
	return READ_ONCE(ring->next) > READ_ONCE(client->events_cursor) ? EPOLLIN | EPOLLRDNORM : 0;
}

/* An entry and its actors, or false where it is not kept (any more). */
static bool entry_get(struct bt_ring *ring, u64 sequence, struct ring_entry *entry)
{
	const struct bt_when *whens[] = { &entry->offender, &entry->end, &entry->alloc,
					  &entry->prev_end, &entry->prev_alloc };
	unsigned int i;
	bool kept;

	spin_lock(&ring->lock);
	kept = sequence < ring->next && ring->next - sequence <= ring->size;
	if (kept) {
		*entry = ring->entries[sequence % ring->size];
		for (i = 0; i < ARRAY_SIZE(whens); i++)
			if (whens[i]->actor)
				refcount_inc(&whens[i]->actor->refs);
	}
	spin_unlock(&ring->lock);
	return kept;
}

static void entry_tell(const struct bt_reader *reader, struct bufftrack_bad *to,
		       const struct ring_entry *entry, u64 sequence)
{
	*to = (struct bufftrack_bad){
		.sequence = sequence,
		.device = entry->device,
		.buffer = entry->buffer,
		.size = entry->size,
		.requested = entry->requested,
		.tag = entry->tag,
		.token = entry->token,
		.generation = entry->generation,
		.named = entry->named,
		.prev_generation = entry->prev_generation,
		.evicted = entry->evicted,
		.space = entry->space,
		.verdict = entry->verdict,
		.info = entry->info,
		.flags = entry->flags,
		.refs = entry->refs,
		.views = entry->views,
		.nth = entry->nth,
		.count = entry->count,
		.lives = entry->lives,
		.frees = entry->frees,
		.reason = entry->reason,
		.prev_reason = entry->prev_reason,
	};
	bufftrack_reader_event(reader, &to->offender, &entry->offender);
	bufftrack_reader_event(reader, &to->end, &entry->end);
	bufftrack_reader_event(reader, &to->alloc, &entry->alloc);
	bufftrack_reader_event(reader, &to->prev_end, &entry->prev_end);
	bufftrack_reader_event(reader, &to->prev_alloc, &entry->prev_alloc);
	/* Another user's key: the tokens of its lives are not told, nor what holds them. */
	if (entry->alloc.actor && !bt_reader_sees(reader, entry->alloc.actor->uid)) {
		to->generation = 0;
		to->named = 0;
		to->prev_generation = 0;
		to->refs = 0;
		to->tag = 0;
	}
}

/* The oldest that can still be kept, from @cursor on; what lies between is lost. */
static u64 skip_lost(struct bt_ring *ring, u64 cursor, u64 *lost)
{
	u64 next = READ_ONCE(ring->next);
	u32 size = READ_ONCE(ring->size);
	u64 first = next > size ? next - size : 1;

	if (cursor < first) {
		*lost += first - cursor;
		cursor = first;
	}
	return cursor;
}

static int copy_entry(u64 to, u32 entry_size, const struct bufftrack_bad *bad)
{
	size_t len = min_t(size_t, entry_size, sizeof(*bad));

	if (copy_to_user(u64_to_user_ptr(to), bad, len) ||
	    clear_user(u64_to_user_ptr(to + len), entry_size - len))
		return -EFAULT;
	return 0;
}

/**
 * bufftrack_events() - answer an EVENTS whose inputs ioctl.c has checked
 * @client: the file's; the events are those of the user who opened it
 * @arg: in and out
 *
 * Return: 0; or -EINVAL where the cursor is beyond the end, -ENOMEM, -EFAULT, -EINTR. May
 * sleep.
 */
int bufftrack_events(struct bt_client *client, struct bufftrack_events *arg)
{
	struct bt_ring *ring = client->ring;
	u64 cursor = arg->cursor ?: 1;
	u64 next = READ_ONCE(ring->next);
	struct bufftrack_bad *bad;
	struct ring_entry entry;
	struct bt_reader reader;
	u32 done = 0;
	int err = 0;

	if (cursor > next)
		return -EINVAL;
	arg->lost = 0;
	if (arg->flags & BUFFTRACK_EVENTS_END)
		cursor = next;
	bad = kmalloc(sizeof(*bad), BT_GFP);
	if (!bad)
		return -ENOMEM;
	bufftrack_reader_init(&reader, client->user->uid);
	while (!err && done < arg->nr) {
		/* What is lost is told before the entry behind it, in an answer of its own. */
		if (!done)
			cursor = skip_lost(ring, cursor, &arg->lost);
		if (cursor >= READ_ONCE(ring->next))
			break;
		if (!entry_get(ring, cursor, &entry)) {
			if (done)
				break;
			arg->lost++;
			cursor++;
			continue;
		}
		entry_tell(&reader, bad, &entry, cursor);
		entry_put(&entry);
		err = copy_entry(arg->entries + (u64)done * arg->entry_size, arg->entry_size, bad);
		if (err)
			break;
		cursor++;
		done++;
		if (fatal_signal_pending(current))
			err = -EINTR;
		cond_resched();
	}
	kfree(bad);
	if (err)
		return err;
	arg->nr = done;
	arg->cursor = cursor;
	WRITE_ONCE(client->events_cursor, cursor);
	return 0;
}
