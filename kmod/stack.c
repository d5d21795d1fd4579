// SPDX-License-Identifier: GPL-2.0
/*
 * Stacks: the return addresses that callers pass, each distinct stack once.
 *
 * A stack belongs to one program of one process, and to a user: the same addresses in
 * another process are another stack. When it is new, the mapped file of each frame and
 * the offset in it are kept, so that it can be read when the process is gone. Each call
 * that passes a known stack looks whether the same files are mapped there still: where a
 * library was unmapped and another one mapped in its place, it is another stack.
 *
 * Actors name a stack by its serial, and records have references to actors: a stack goes
 * with the last actor that names it. Where an account has as many as it may, its oldest
 * stack gives way to the new one; actors then name a stack that is not there any more.
 *
 * Nothing here pins an address space or a file.
 */
#include <linux/cred.h>
#include <linux/file.h>
#include <linux/mm.h>
#include <linux/random.h>
#include <linux/rhashtable.h>
#include <linux/sched/mm.h>
#include <linux/sched/signal.h>
#include <linux/siphash.h>
#include <linux/slab.h>
#include <linux/uaccess.h>
#include <linux/workqueue.h>

#include "compat.h"
#include "param.h"
#include "region.h"
#include "stack.h"
#include "user.h"

/* Stacks that are passed over, in a look for the oldest one, because they are in use. */
#define BT_PASSED_OVER 16

/* Regions whose mappings are looked up once for all frames in them; a power of 2 */
#define BT_MET 4

/* Bytes of a stack of 16 frames in four files: as most are. */
#define BT_STACK_SIZE 176

struct stack_key {
	struct bt_process process;
	u32 hash;
	u32 depth;
	const u64 *addresses;
};

/*
 * Readers of both hold RCU, and take a reference unless the last one has gone. Who drops
 * the last one, or evicts it, takes the stack out of both. A stack whose files are not
 * mapped any more is in bt_stacks_id only.
 */
static struct rhashtable bt_stacks;
static DEFINE_XARRAY_FLAGS(bt_stacks_id, XA_FLAGS_ALLOC1 | XA_FLAGS_ACCOUNT);
static u32 bt_stacks_last; /* the lock of bt_stacks_id */
static u32 bt_stacks_round; /* the same */
static hsiphash_key_t bt_stack_secret;
static struct kmem_cache *bt_stack_cache;

/* Those that nobody has a reference to, for a work to free. */
static LLIST_HEAD(bt_stacks_dead);
static void stacks_free_work(struct work_struct *work);
static DECLARE_WORK(bt_stacks_work, stacks_free_work);

atomic64_t bufftrack_stacks_lost = ATOMIC64_INIT(0);

/* ---- the tables ----------------------------------------------------------- */

static u32 *stack_deltas(const struct bt_stack *stack)
{
	return (u32 *)&stack->regions[stack->nr_regions];
}

static u8 *stack_places(const struct bt_stack *stack)
{
	return (u8 *)(stack_deltas(stack) + stack->depth);
}

static size_t stack_size(u32 depth, u32 nr_regions)
{
	return offsetof(struct bt_stack, regions) + nr_regions * sizeof(struct bt_region *) +
	       depth * (sizeof(u32) + sizeof(u8));
}

static inline u32 stack_key_hashfn(const void *data, u32 len, u32 seed)
{
	return ((const struct stack_key *)data)->hash ^ seed;
}

static inline u32 stack_hashfn(const void *data, u32 len, u32 seed)
{
	return ((const struct bt_stack *)data)->hash ^ seed;
}

static inline int stack_cmpfn(struct rhashtable_compare_arg *arg, const void *obj)
{
	const struct stack_key *key = arg->key;
	const struct bt_stack *stack = obj;
	const u32 *delta = stack_deltas(stack);
	const u8 *place = stack_places(stack);
	u32 i;

	if (stack->hash != key->hash || stack->depth != key->depth ||
	    !bt_same_process(&stack->regions[0]->key.process, &key->process))
		return 1;
	for (i = 0; i < key->depth; i++)
		if (stack->regions[place[i]]->key.start + delta[i] != key->addresses[i])
			return 1;
	return 0;
}

static const struct rhashtable_params bt_stack_params = {
	.head_offset = offsetof(struct bt_stack, node),
	.key_len = sizeof(struct stack_key),
	.hashfn = stack_key_hashfn,
	.obj_hashfn = stack_hashfn,
	.obj_cmpfn = stack_cmpfn,
	.automatic_shrinking = true,
};

/* ---- what is mapped where ------------------------------------------------- */

/* A stack while it is being made. */
struct draft {
	u32 nr_regions;
	u32 delta[BT_MAX_STACK];
	u8 place[BT_MAX_STACK];
	struct {
		struct bt_region_key key;
		struct file *file; /* with a reference; or NULL */
		struct bt_region *region; /* the same */
	} regions[];
};

/* What is mapped at an address, or NULL. On a 32-bit kernel it may be too high for one. */
static struct vm_area_struct *vma_at(struct mm_struct *mm, u64 address)
{
	struct vm_area_struct *vma = find_vma(mm, address);

	return vma && address >= vma->vm_start && address < vma->vm_end ? vma : NULL;
}

/* Which of the draft's regions an address is in; a new one where there is none yet. */
static u8 draft_place(struct draft *draft, const struct bt_region_key *key, struct file *file)
{
	const struct bt_region_key *have;
	u32 i;

	for (i = 0; i < draft->nr_regions; i++) {
		have = &draft->regions[i].key;
		if (have->start == key->start && have->offset == key->offset &&
		    bt_same_file(&have->file, &key->file))
			return i;
	}
	draft->regions[i].key = *key;
	draft->regions[i].file = file ? get_file(file) : NULL;
	draft->regions[i].region = NULL;
	draft->nr_regions++;
	return i;
}

/*
 * Which file is mapped where. The files are read only after the lock is gone: a
 * file system may take its time.
 */
static int draft_fill(struct draft *draft, const struct stack_key *stack, struct bt_user *account)
{
	struct bt_region_key key = { .process = stack->process, .account = account };
	struct mm_struct *mm = current->mm;
	struct vm_area_struct *vma;
	u32 i;

	if (mmap_read_lock_killable(mm))
		return -EINTR;
	for (i = 0; i < stack->depth; i++) {
		vma = vma_at(mm, stack->addresses[i]);
		bufftrack_region_at(&key, vma, stack->addresses[i]);
		draft->place[i] = draft_place(draft, &key, vma ? vma->vm_file : NULL);
		draft->delta[i] = stack->addresses[i] - key.start;
	}
	mmap_read_unlock(mm);
	return 0;
}

/* Drops what the draft has references to. */
static void draft_drop(struct draft *draft)
{
	u32 i;

	for (i = 0; i < draft->nr_regions; i++) {
		if (draft->regions[i].file)
			fput(draft->regions[i].file);
		if (draft->regions[i].region)
			bufftrack_region_put(draft->regions[i].region);
	}
}

static bool region_is_at(const struct bt_region *region, const struct vm_area_struct *vma,
			 u64 address)
{
	struct bt_region_key key;

	bufftrack_region_at(&key, vma, address);
	return region->key.start == key.start && region->key.offset == key.offset &&
	       bt_same_file(&region->key.file, &key.file);
}

/*
 * Whether the files of the stack are mapped where they were: 1 or 0; or -EINTR. Where the
 * kernel counts the changes of an address space, there is nothing to look at mostly.
 */
static int stack_holds(struct bt_stack *stack, const struct stack_key *key)
{
	struct vm_area_struct *met[BT_MET] = {}, *vma;
	const u8 *place = stack_places(stack);
	struct mm_struct *mm = current->mm;
	u32 seq = bt_mm_seq(mm), i;
	u64 start = 0, size = 0; /* of the latest mapping */
	u8 latest = 0; /* which region it is in */

	/* What was mapped before this look is seen by it: the mapping's end is a release. */
	if (seq && READ_ONCE(stack->mm_seq) == seq)
		return 1;
	if (mmap_read_lock_killable(mm))
		return -EINTR;
	for (i = 0; i < key->depth; i++) {
		if (place[i] == latest && key->addresses[i] - start < size)
			continue;
		vma = met[place[i] % BT_MET];
		if (!vma || place[i] >= BT_MET || key->addresses[i] < vma->vm_start ||
		    key->addresses[i] >= vma->vm_end) {
			vma = vma_at(mm, key->addresses[i]);
			if (!region_is_at(stack->regions[place[i]], vma, key->addresses[i]))
				break;
			if (place[i] < BT_MET)
				met[place[i]] = vma;
		}
		latest = place[i];
		start = vma ? vma->vm_start : 0;
		size = vma ? vma->vm_end - vma->vm_start : 0;
	}
	/* With the lock held nobody changes it. */
	seq = bt_mm_seq(mm);
	mmap_read_unlock(mm);
	if (i < key->depth)
		return 0;
	WRITE_ONCE(stack->mm_seq, seq);
	return 1;
}

/* ---- stacks: how long ----------------------------------------------------- */

static struct bt_user *stack_account(const struct bt_stack *stack)
{
	return stack->regions[0]->key.account;
}

static void stack_free_rcu(struct rcu_head *rcu)
{
	struct bt_stack *stack = container_of(rcu, struct bt_stack, rcu);

	if (stack_size(stack->depth, stack->nr_regions) <= BT_STACK_SIZE)
		kmem_cache_free(bt_stack_cache, stack);
	else
		kfree(stack);
}

/*
 * One that is in no list. May sleep. Who finds it in a table under RCU compares it with
 * what he looks for: its regions are there until then.
 */
static void stack_free(struct bt_stack *stack)
{
	u32 i;

	for (i = 0; i < stack->nr_regions; i++)
		bufftrack_region_put(stack->regions[i]);
	call_rcu(&stack->rcu, stack_free_rcu);
}

static void stacks_free_work(struct work_struct *work)
{
	struct llist_node *dead = llist_del_all(&bt_stacks_dead);
	struct bt_stack *stack;

	while (dead) {
		stack = llist_entry(dead, struct bt_stack, dead);
		dead = dead->next;
		stack_free(stack);
		cond_resched();
	}
}

/* Nobody finds it any more. Any of it may have been done. */
static void stack_unlist(struct bt_stack *stack)
{
	struct bt_user *account = stack_account(stack);

	rhashtable_remove_fast(&bt_stacks, &stack->node, bt_stack_params);
	spin_lock(&account->stacks_lock);
	if (!list_empty(&stack->kept)) {
		list_del_init(&stack->kept);
		atomic_dec(&account->stacks);
		xa_erase(&bt_stacks_id, bufftrack_stack_id(stack->serial));
	}
	spin_unlock(&account->stacks_lock);
}

/* bufftrack_stack_put - drop a reference; from any task, locks held */
void bufftrack_stack_put(struct bt_stack *stack)
{
	if (!refcount_dec_and_test(&stack->refs))
		return;
	stack_unlist(stack);
	if (llist_add(&stack->dead, &bt_stacks_dead))
		queue_work(bufftrack_wq, &bt_stacks_work);
}

/* The stack of a serial, with RCU held; or NULL where it is not there any more. */
static struct bt_stack *stack_of(u64 serial)
{
	struct bt_stack *stack = xa_load(&bt_stacks_id, bufftrack_stack_id(serial));

	return stack && stack->serial == serial ? stack : NULL;
}

/* ---- stacks of bad calls -------------------------------------------------- */

/* Of all that an account may have they are a part, so that new ones come to their place. */
static u32 offending_slots(void)
{
	return min_t(u32, READ_ONCE(bufftrack_max_stacks) / 4, BT_OFFENDING);
}

static bool is_offending(const struct bt_user *account, const struct bt_stack *stack)
{
	u32 i;

	lockdep_assert_held(&account->stacks_lock);
	for (i = 0; i < BT_OFFENDING; i++)
		if (account->offending[i] == stack)
			return true;
	return false;
}

static void offending_drop(struct bt_user *account)
{
	struct bt_stack *stack;
	u32 i;

	for (i = 0; i < BT_OFFENDING; i++) {
		spin_lock(&account->stacks_lock);
		stack = account->offending[i];
		account->offending[i] = NULL;
		spin_unlock(&account->stacks_lock);
		if (stack)
			bufftrack_stack_put(stack);
	}
}

/**
 * bufftrack_stack_offending() - keep the stack of a bad call
 * @serial: of an actor that the caller has a reference to
 *
 * A refused call changes nothing, so that no record tells of its stack; who reads
 * of it in an event asks for it after the call is over.
 */
void bufftrack_stack_offending(u64 serial)
{
	u32 slots = offending_slots(), i;
	struct bt_user *account;
	struct bt_stack *stack;

	rcu_read_lock();
	stack = stack_of(serial);
	if (stack && !refcount_inc_not_zero(&stack->refs))
		stack = NULL;
	rcu_read_unlock();
	if (!stack)
		return;
	account = stack_account(stack);
	spin_lock(&account->stacks_lock);
	/* One that was evicted meanwhile is not kept. */
	if (slots && !list_empty(&stack->kept) && !is_offending(account, stack)) {
		i = account->offending_next++ % slots;
		swap(stack, account->offending[i]);
	}
	spin_unlock(&account->stacks_lock);
	if (stack)
		bufftrack_stack_put(stack);
}

/* bufftrack_stacks_forget - drop the stacks of bad calls: at the end, with no calls */
void bufftrack_stacks_forget(void)
{
	bufftrack_users_each(offending_drop);
}

/* ---- stacks: how many ----------------------------------------------------- */

/*
 * The account's oldest stack, with a reference, and in its list no more; or NULL. Those
 * that were passed again are passed over, once, and those of the latest bad calls.
 */
static struct bt_stack *take_oldest(struct bt_user *account)
{
	struct bt_stack *stack;
	unsigned int passed;

	lockdep_assert_held(&account->stacks_lock);
	for (passed = 0; passed < 2 * BT_PASSED_OVER; passed++) {
		stack = list_first_entry_or_null(&account->kept, struct bt_stack, kept);
		if (!stack)
			return NULL;
		/* Of one without references somebody else is about to do the rest. */
		if ((passed >= BT_PASSED_OVER ||
		     !(READ_ONCE(stack->used) || is_offending(account, stack))) &&
		    refcount_inc_not_zero(&stack->refs))
			return stack;
		WRITE_ONCE(stack->used, false);
		list_move_tail(&stack->kept, &account->kept);
	}
	return NULL;
}

/*
 * Nobody finds it any more. Returns the references of its actors, who name it still, and
 * of the bad calls: they are the caller's now.
 */
static u32 stack_evict(struct bt_user *account, struct bt_stack *stack)
{
	u32 refs, i;

	lockdep_assert_held(&account->stacks_lock);
	/* Before it leaves: an actor that does not find it has left its reference to this. */
	spin_lock(&stack->lock);
	stack->evicted = true;
	refs = stack->nr_actors;
	spin_unlock(&stack->lock);
	for (i = 0; i < BT_OFFENDING; i++)
		if (account->offending[i] == stack) {
			account->offending[i] = NULL;
			refs++;
		}
	list_del_init(&stack->kept);
	atomic_dec(&account->stacks);
	xa_erase(&bt_stacks_id, bufftrack_stack_id(stack->serial));
	return refs;
}

/* Make room for one: the oldest goes. False where there is none. May sleep. */
static bool evict_oldest(struct bt_user *account)
{
	struct bt_stack *stack;
	u32 refs = 0;

	spin_lock(&account->stacks_lock);
	stack = take_oldest(account);
	if (stack)
		refs = stack_evict(account, stack);
	spin_unlock(&account->stacks_lock);
	if (!stack)
		return false;
	if (refs)
		atomic64_inc(&bufftrack_stacks_lost);
	/* A call under way may have it still. */
	rhashtable_remove_fast(&bt_stacks, &stack->node, bt_stack_params);
	/* With our own one: not by way of the work, which many at once would outrun. */
	if (refcount_sub_and_test(refs + 1, &stack->refs))
		stack_free(stack);
	return true;
}

/*
 * A place among the account's stacks. Where the limit has become lower more than one go:
 * what is new is not what is lost.
 */
static bool take_place(struct bt_user *account)
{
	u32 max;

	for (;;) {
		max = READ_ONCE(bufftrack_max_stacks);
		if (max && bt_charge(&account->stacks, max))
			return true;
		if (!evict_oldest(account) || fatal_signal_pending(current))
			return false;
		cond_resched();
	}
}

/* ---- stacks: their coming ------------------------------------------------- */

/* Takes over what the draft has of regions. Nobody sees it yet. */
static struct bt_stack *stack_make(struct draft *draft, const struct stack_key *key)
{
	size_t size = stack_size(key->depth, draft->nr_regions);
	struct bt_stack *stack;
	u32 i;

	if (size <= BT_STACK_SIZE)
		stack = kmem_cache_alloc(bt_stack_cache, BT_GFP);
	else
		stack = kmalloc(size, BT_GFP);
	if (!stack)
		return NULL;
	*stack = (struct bt_stack){
		.hash = key->hash,
		.depth = key->depth,
		.nr_regions = draft->nr_regions,
	};
	refcount_set(&stack->refs, 1);
	spin_lock_init(&stack->lock);
	INIT_HLIST_HEAD(&stack->actors);
	INIT_LIST_HEAD(&stack->kept);
	for (i = 0; i < draft->nr_regions; i++) {
		stack->regions[i] = draft->regions[i].region;
		draft->regions[i].region = NULL;
	}
	memcpy(stack_deltas(stack), draft->delta, key->depth * sizeof(*draft->delta));
	memcpy(stack_places(stack), draft->place, key->depth);
	return stack;
}

static struct bt_stack *stack_new(struct bt_user *account, const struct stack_key *key)
{
	struct bt_stack *stack = NULL;
	struct draft *draft;
	char *path;
	int err = -ENOMEM;
	u32 i;

	draft = kmalloc(struct_size(draft, regions, key->depth), BT_GFP);
	path = kmalloc(PATH_MAX, BT_GFP);
	if (!draft || !path)
		goto free;
	draft->nr_regions = 0;
	err = draft_fill(draft, key, account);
	for (i = 0; !err && i < draft->nr_regions; i++) {
		draft->regions[i].region =
			bufftrack_region_get(&draft->regions[i].key, draft->regions[i].file, path);
		if (!draft->regions[i].region)
			err = -ENOMEM;
	}
	if (!err)
		stack = stack_make(draft, key);
	draft_drop(draft);
free:
	kfree(path);
	kfree(draft);
	return stack ?: ERR_PTR(err ?: -ENOMEM);
}

/* An id for it, under which nobody finds it yet. */
static int stack_number(struct bt_stack *stack)
{
	u32 id;
	int err;

	xa_lock(&bt_stacks_id);
	err = __xa_alloc_cyclic(&bt_stacks_id, &id, NULL, xa_limit_32b, &bt_stacks_last, BT_GFP);
	if (err >= 0) {
		bt_stacks_round += err;
		stack->serial = (u64)bt_stacks_round << 32 | id;
	}
	xa_unlock(&bt_stacks_id);
	return min(err, 0);
}

/* It can be found, and counts. */
static void stack_list(struct bt_user *account, struct bt_stack *stack)
{
	spin_lock(&account->stacks_lock);
	list_add_tail(&stack->kept, &account->kept);
	/* Its place is there: storing it needs no memory. */
	xa_store(&bt_stacks_id, bufftrack_stack_id(stack->serial), stack, GFP_NOWAIT);
	spin_unlock(&account->stacks_lock);
}

/*
 * A new stack, in the table; NULL where another task was faster, and it is there by now;
 * or an errno.
 */
static noinline_for_stack struct bt_stack *stack_add(struct bt_user *account,
						     const struct stack_key *key)
{
	struct bt_stack *stack;
	int err = -ENOSPC;

	if (!take_place(account))
		return ERR_PTR(err);
	stack = stack_new(account, key);
	if (IS_ERR(stack)) {
		err = PTR_ERR(stack);
		goto dec;
	}
	err = stack_number(stack);
	if (err)
		goto free;
	/* First by its number, since those who find it by its key may look for that. */
	stack_list(account, stack);
	err = rhashtable_lookup_insert_key(&bt_stacks, key, &stack->node, bt_stack_params);
	if (!err)
		return stack;
	bufftrack_stack_put(stack);
	return err == -EEXIST ? NULL : ERR_PTR(err);
free:
	stack_free(stack);
dec:
	atomic_dec(&account->stacks);
	return ERR_PTR(err);
}

/* A reference to the one that is in the table, or NULL. */
static struct bt_stack *stack_find(const struct stack_key *key)
{
	struct bt_stack *stack;

	rcu_read_lock();
	stack = rhashtable_lookup(&bt_stacks, key, bt_stack_params);
	if (stack && !refcount_inc_not_zero(&stack->refs)) {
		/* Its last user may be kept from removing it: done for him. */
		rhashtable_remove_fast(&bt_stacks, &stack->node, bt_stack_params);
		stack = NULL;
	}
	rcu_read_unlock();
	return stack;
}

/* The stack of these addresses in the current address space, made if need be. */
static struct bt_stack *stack_intern(struct bt_user *account, const struct stack_key *key)
{
	struct bt_stack *stack;
	int holds;

	for (;;) {
		stack = stack_find(key);
		if (!stack) {
			stack = stack_add(account, key);
			if (stack)
				return stack;
			continue;
		}
		holds = stack_holds(stack, key);
		if (holds > 0) {
			if (!READ_ONCE(stack->used))
				WRITE_ONCE(stack->used, true);
			return stack;
		}
		/* The lives that it was told of have it still. */
		if (!holds)
			rhashtable_remove_fast(&bt_stacks, &stack->node, bt_stack_params);
		bufftrack_stack_put(stack);
		if (holds < 0)
			return ERR_PTR(holds);
	}
}

/**
 * bufftrack_stack_get() - the stack that a call passed
 * @user: for whose account it counts
 * @addresses: the caller's array of return addresses, innermost first
 * @depth: of which there are so many, 1 to BT_MAX_STACK
 *
 * A stack that cannot be kept, for want of memory or beyond the limit, does not fail the
 * call that it came with.
 *
 * Return: a reference; NULL where it is lost; -EFAULT or -EINTR. May sleep.
 */
struct bt_stack *bufftrack_stack_get(struct bt_user *user, const u64 __user *addresses, u32 depth)
{
	u64 buf[BT_MAX_STACK + 2];
	struct stack_key key = {
		.process = {
			.pid = task_tgid(current),
			.exec_id = current->self_exec_id,
			.uid = current_euid(),
		},
		.depth = depth,
		.addresses = buf,
	};
	struct bt_stack *stack;

	if (copy_from_user(buf, addresses, depth * sizeof(*buf)))
		return ERR_PTR(-EFAULT);
	/*
	 * Whose it is comes behind the addresses: one pass. It finds the place in the table
	 * only, where all is compared, and nobody is told the hash: the short kind will do.
	 */
	buf[depth] = (unsigned long)key.process.pid;
	buf[depth + 1] = key.process.exec_id << 32 ^ __kuid_val(key.process.uid);
	key.hash = hsiphash(buf, (depth + 2) * sizeof(*buf), &bt_stack_secret);

	stack = stack_intern(user->account, &key);
	if (IS_ERR(stack) && PTR_ERR(stack) != -EINTR)
		return NULL;
	return stack;
}

/* ---- their actors --------------------------------------------------------- */

/*
 * bufftrack_stack_join - an actor comes to name the stack, whose lock is held, and takes the
 * caller's reference over. Not to one that is evicted.
 */
void bufftrack_stack_join(struct bt_stack *stack, struct hlist_node *node)
{
	lockdep_assert_held(&stack->lock);
	stack->nr_actors++;
	hlist_add_head(node, &stack->actors);
}

/* bufftrack_stack_leave - an actor goes. Where its stack was evicted, it left it before. */
void bufftrack_stack_leave(u64 serial, struct hlist_node *node)
{
	struct bt_stack *stack;
	bool left = false;

	/* Unless it is evicted it is there: the actor has a reference. */
	rcu_read_lock();
	stack = stack_of(serial);
	if (stack) {
		spin_lock(&stack->lock);
		left = !stack->evicted;
		if (left) {
			hlist_del(node);
			stack->nr_actors--;
		}
		spin_unlock(&stack->lock);
	}
	if (left)
		bufftrack_stack_put(stack);
	rcu_read_unlock();
}

/* ---- STACK ---------------------------------------------------------------- */

static void fill_frame(struct bufftrack_frame *to, const struct bt_stack *stack, u32 nr,
		       bool addresses)
{
	const struct bt_region *region = stack->regions[stack_places(stack)[nr]];
	const struct bt_mapped *mapped = region->mapped;
	u32 delta = stack_deltas(stack)[nr];

	*to = (struct bufftrack_frame){};
	if (addresses)
		to->address = region->key.start + delta;
	if (region->key.file.dev)
		to->offset = region->key.offset + delta;
	if (!mapped)
		return;
	memcpy(to->build_id, mapped->build_id, mapped->build_id_len);
	to->build_id_len = mapped->build_id_len;
	to->inode = mapped->key.file.ino;
	to->file_size = mapped->size;
	to->file_time = mapped->time;
	strscpy(to->path, mapped->path, sizeof(to->path));
}

/* Where things lie in a process is for those who could look into it. */
static bool may_see_addresses(const struct bt_stack *stack)
{
	const struct bt_process *process = &stack->regions[0]->key.process;

	return bufftrack_may_see_all() || bufftrack_may_trace(process->pid, process->exec_id);
}

/* A reference to what STACK asks for, or NULL. */
static struct bt_stack *stack_of_id(u32 id)
{
	struct bt_stack *stack;

	/* xa_store() in stack_list() publishes it complete, its frames included. */
	rcu_read_lock();
	stack = xa_load(&bt_stacks_id, id);
	if (stack && !refcount_inc_not_zero(&stack->refs))
		stack = NULL;
	rcu_read_unlock();
	return stack;
}

/**
 * bufftrack_stack() - answer a STACK whose inputs ioctl.c has checked
 * @arg: in and out
 *
 * Return: 0; or -ENOENT, -ENOMEM, -EFAULT. May sleep.
 */
int bufftrack_stack(struct bufftrack_stack *arg)
{
	u32 nr, i, len = min_t(u32, arg->frame_size, sizeof(struct bufftrack_frame));
	struct bt_stack *stack = stack_of_id(arg->stack_id);
	struct bufftrack_frame *frame;
	u64 to = arg->frames;
	bool addresses;
	int err = 0;

	if (!stack)
		return -ENOENT;
	if (!bufftrack_may_see(stack->regions[0]->key.process.uid)) {
		err = -ENOENT;
		goto put;
	}
	addresses = may_see_addresses(stack);
	frame = kmalloc(sizeof(*frame), BT_GFP);
	if (!frame) {
		err = -ENOMEM;
		goto put;
	}
	nr = min_t(u32, arg->nr, stack->depth);
	arg->nr = stack->depth;
	for (i = 0; i < nr && !err; i++, to += arg->frame_size) {
		fill_frame(frame, stack, i, addresses);
		if (copy_to_user(u64_to_user_ptr(to), frame, len) ||
		    clear_user(u64_to_user_ptr(to + len), arg->frame_size - len))
			err = -EFAULT;
	}
	kfree(frame);
put:
	bufftrack_stack_put(stack);
	return err;
}

/* ---- init ----------------------------------------------------------------- */

int __init bufftrack_stacks_init(void)
{
	int err = -ENOMEM;

	get_random_bytes(&bt_stack_secret, sizeof(bt_stack_secret));
	bt_stack_cache = kmem_cache_create("bt_stack", BT_STACK_SIZE, 0, SLAB_ACCOUNT, NULL);
	if (!bt_stack_cache)
		return err;
	err = bufftrack_regions_init();
	if (err)
		goto cache;
	err = rhashtable_init(&bt_stacks, &bt_stack_params);
	if (!err)
		return 0;
	bufftrack_regions_exit();
cache:
	kmem_cache_destroy(bt_stack_cache);
	return err;
}

/* Records are gone, and the work that frees stacks is done. */
void bufftrack_stacks_exit(void)
{
	WARN_ON(!xa_empty(&bt_stacks_id));
	rhashtable_destroy(&bt_stacks);
	bufftrack_regions_exit();
	xa_destroy(&bt_stacks_id);
	/* Stacks come back by RCU. */
	rcu_barrier();
	kmem_cache_destroy(bt_stack_cache);
}
