// SPDX-License-Identifier: GPL-2.0
/*
 * KUnit: the stack store: which stacks are one, how long each is kept, and what is
 * read of the files that are mapped where they point to.
 *
 * The thread of a case gets an address space with its first mapping.
 */
#include <linux/elf.h>
#include <linux/err.h>
#include <linux/file.h>
#include <linux/fs.h>
#include <linux/kthread.h>
#include <linux/mm.h>
#include <linux/mman.h>
#include <linux/shmem_fs.h>
#include <linux/uaccess.h>

#include "../alloc.h"
#include "../caller.h"
#include "../compat.h"
#include "../free.h"
#include "../history.h"
#include "../param.h"
#include "../stack.h"
#include "test.h"

#define DEPTH 4U

static const u64 here[] = { 0x1001, 0x1002, 0x1003, 0x1004 };
static const u64 there[] = { 0x1001, 0x1002, 0x1003, 0x1005 };

/* New user memory with these addresses in it; NULL where there is none. */
static u64 __user *pass(struct kunit *test, const u64 *addresses, u32 depth)
{
	unsigned long at = kunit_vm_mmap(test, NULL, 0, PAGE_SIZE, PROT_READ | PROT_WRITE,
					 MAP_PRIVATE | MAP_ANONYMOUS, 0);

	if (!at || IS_ERR_VALUE(at) ||
	    copy_to_user((void __user *)at, addresses, depth * sizeof(*addresses)))
		return NULL;
	return (u64 __user *)at;
}

static struct bt_stack *get(struct kunit *test, struct bt_client *client, const u64 *addresses,
			    u32 depth)
{
	const u64 __user *user = pass(test, addresses, depth);

	return user ? bufftrack_stack_get(client->user, user, depth) : NULL;
}

static u32 id_of(const struct bt_stack *stack)
{
	return IS_ERR_OR_NULL(stack) ? 0 : bufftrack_stack_id(stack->serial);
}

/* Whether STACK would find it. */
static bool known(u32 id)
{
	struct bufftrack_stack arg = {
		.stack_id = id,
		.frame_size = sizeof(struct bufftrack_frame),
	};

	return !bufftrack_stack(&arg);
}

/* ---- which are one -------------------------------------------------------- */

static void one_is_kept_once(struct kunit *test)
{
	struct bt_test *t = test->priv;
	struct bt_stack *one = get(test, t->client, here, DEPTH);
	struct bt_stack *again = get(test, t->other, here, DEPTH);
	u32 id;

	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, one);
	KUNIT_EXPECT_PTR_EQ(test, one, again);
	id = id_of(one);
	KUNIT_EXPECT_NE(test, id, 0U);
	KUNIT_EXPECT_TRUE(test, known(id));
	bufftrack_stack_put(one);
	KUNIT_EXPECT_TRUE(test, known(id));
	bufftrack_stack_put(again);
	KUNIT_EXPECT_FALSE(test, known(id));
	/* Its id is not given to the next one. */
	one = get(test, t->client, here, DEPTH);
	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, one);
	KUNIT_EXPECT_NE(test, id_of(one), id);
	bufftrack_stack_put(one);
	KUNIT_EXPECT_EQ(test, bufftrack_stack_id(0), 0U);
	KUNIT_EXPECT_FALSE(test, known(0));
}

static void others_are_apart(struct kunit *test)
{
	struct bt_test *t = test->priv;
	struct bt_stack *stacks[] = {
		get(test, t->client, here, DEPTH),     get(test, t->client, there, DEPTH),
		get(test, t->client, here, DEPTH - 1), get(test, t->client, here + 1, DEPTH - 1),
		get(test, t->client, here, 1),
	};
	int i, j;

	for (i = 0; i < ARRAY_SIZE(stacks); i++) {
		KUNIT_ASSERT_NOT_ERR_OR_NULL(test, stacks[i]);
		for (j = 0; j < i; j++) {
			KUNIT_EXPECT_PTR_NE(test, stacks[i], stacks[j]);
			KUNIT_EXPECT_NE(test, id_of(stacks[i]), id_of(stacks[j]));
		}
	}
	for (i = 0; i < ARRAY_SIZE(stacks); i++)
		bufftrack_stack_put(stacks[i]);
}

struct elsewhere {
	struct kunit *test;
	struct bt_client *client;
	struct bt_stack *stack;
	struct completion done;
};

static int get_elsewhere(void *data)
{
	struct elsewhere *e = data;

	e->stack = get(e->test, e->client, here, DEPTH);
	kthread_complete_and_exit(&e->done, 0);
}

/* The same addresses in another address space, even where that is gone by now */
static void address_spaces_are_apart(struct kunit *test)
{
	struct bt_test *t = test->priv;
	struct elsewhere e = { .test = test, .client = t->client };
	struct task_struct *thread;
	struct bt_stack *ours;
	u32 id;

	init_completion(&e.done);
	thread = kthread_run(get_elsewhere, &e, "bufftrack-test");
	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, thread);
	wait_for_completion(&e.done);
	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, e.stack);
	ours = get(test, t->client, here, DEPTH);
	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, ours);
	KUNIT_EXPECT_PTR_NE(test, ours, e.stack);
	id = id_of(e.stack);
	KUNIT_EXPECT_NE(test, id_of(ours), id);
	bufftrack_stack_put(ours);
	KUNIT_EXPECT_TRUE(test, known(id));
	bufftrack_stack_put(e.stack);
	KUNIT_EXPECT_FALSE(test, known(id));
}

static void what_cannot_be_read(struct kunit *test)
{
	struct bt_test *t = test->priv;
	s64 lost = atomic64_read(&bufftrack_stacks_lost);
	int kept = atomic_read(&t->client->user->stacks);
	u64 __user *user = pass(test, here, DEPTH);
	struct bt_stack *stack;

	KUNIT_ASSERT_TRUE(test, !!user);
	stack = bufftrack_stack_get(t->client->user, NULL, DEPTH);
	KUNIT_EXPECT_EQ(test, PTR_ERR(stack), -EFAULT);
	/* Its last address is beyond the page. */
	stack = bufftrack_stack_get(
		t->client->user, user + PAGE_SIZE / sizeof(u64) - BT_MAX_STACK + 1, BT_MAX_STACK);
	KUNIT_EXPECT_EQ(test, PTR_ERR(stack), -EFAULT);
	KUNIT_EXPECT_EQ(test, atomic_read(&t->client->user->stacks), kept);
	KUNIT_EXPECT_EQ(test, atomic64_read(&bufftrack_stacks_lost), lost);
}

/* ---- how long ------------------------------------------------------------- */

/* One stack of one task is one actor, of another name another. */
static void actors_are_shared(struct kunit *test)
{
	struct bt_test *t = test->priv;
	struct bt_actor *base = bufftrack_actor_new(1);
	struct bt_actor *one, *again, *other;
	struct bt_actor renamed;
	u32 id;

	KUNIT_ASSERT_NOT_NULL(test, base);
	one = bufftrack_actor_at(base, get(test, t->client, here, DEPTH));
	again = bufftrack_actor_at(base, get(test, t->client, here, DEPTH));
	KUNIT_ASSERT_NOT_NULL(test, one);
	KUNIT_EXPECT_PTR_EQ(test, one, again);
	KUNIT_EXPECT_EQ(test, refcount_read(&one->refs), 2);
	KUNIT_EXPECT_PTR_EQ(test, one->pid, base->pid);
	KUNIT_EXPECT_EQ(test, base->stack, 0ULL);
	id = bufftrack_stack_id(one->stack);

	renamed = *base;
	strscpy_pad(renamed.comm, "renamed", sizeof(renamed.comm));
	other = bufftrack_actor_at(&renamed, get(test, t->client, here, DEPTH));
	KUNIT_ASSERT_NOT_NULL(test, other);
	KUNIT_EXPECT_PTR_NE(test, one, other);
	KUNIT_EXPECT_EQ(test, one->stack, other->stack);
	KUNIT_EXPECT_STREQ(test, other->comm, "renamed");

	bufftrack_actor_put(one);
	bufftrack_actor_put(other);
	KUNIT_EXPECT_TRUE(test, known(id));
	bufftrack_actor_put(again);
	KUNIT_EXPECT_FALSE(test, known(id));
	bufftrack_actor_put(base);
}

/* Only the latest ones are looked through: the oldest is not met again. */
static void actors_of_many(struct kunit *test)
{
	struct bt_test *t = test->priv;
	struct bt_actor *base = bufftrack_actor_new(1);
	struct bt_actor *actors[40], *again;
	char name[TASK_COMM_LEN];
	unsigned int i;

	KUNIT_ASSERT_NOT_NULL(test, base);
	for (i = 0; i < ARRAY_SIZE(actors); i++) {
		snprintf(name, sizeof(name), "task-%u", i);
		strscpy_pad(base->comm, name, sizeof(base->comm));
		actors[i] = bufftrack_actor_at(base, get(test, t->client, here, DEPTH));
		KUNIT_ASSERT_NOT_NULL(test, actors[i]);
	}
	again = bufftrack_actor_at(base, get(test, t->client, here, DEPTH));
	KUNIT_EXPECT_PTR_EQ(test, again, actors[ARRAY_SIZE(actors) - 1]);
	bufftrack_actor_put(again);

	strscpy_pad(base->comm, "task-0", sizeof(base->comm));
	again = bufftrack_actor_at(base, get(test, t->client, here, DEPTH));
	KUNIT_ASSERT_NOT_NULL(test, again);
	KUNIT_EXPECT_PTR_NE(test, again, actors[0]);
	KUNIT_EXPECT_EQ(test, again->stack, actors[0]->stack);
	bufftrack_actor_put(again);
	for (i = 0; i < ARRAY_SIZE(actors); i++)
		bufftrack_actor_put(actors[i]);
	bufftrack_actor_put(base);
}

/* One call with a stack; its id. */
static u32 call_at(struct kunit *test, u32 kind, const u64 *addresses)
{
	struct bt_test *t = test->priv;
	struct bufftrack_op op = {
		.device = t->device,
		.buffer = 1,
		.size = 64,
	};
	struct bt_stack *stack = get(test, t->client, addresses, DEPTH);
	struct bt_caller caller, with;
	u32 id = id_of(stack);

	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, stack);
	KUNIT_ASSERT_EQ(test, bufftrack_caller_init(&caller, t->client), 0);
	with = caller;
	with.actor = bufftrack_actor_at(caller.actor, stack);
	KUNIT_ASSERT_NOT_NULL(test, with.actor);
	KUNIT_EXPECT_EQ(test,
			kind == BUFFTRACK_OP_ALLOC ? bufftrack_alloc(&with, &op)
						   : bufftrack_free(&with, &op),
			0);
	bufftrack_caller_exit(&with);
	bufftrack_caller_exit(&caller);
	return id;
}

static void kept_by_two_lives(struct kunit *test)
{
	struct bt_test *t = test->priv;
	u32 alloc = call_at(test, BUFFTRACK_OP_ALLOC, here);
	u32 end = call_at(test, BUFFTRACK_OP_FREE, there);

	KUNIT_EXPECT_NE(test, alloc, end);
	KUNIT_EXPECT_TRUE(test, known(alloc) && known(end));
	/* Of the life before they are told, too. */
	ALLOC(t->client, 1);
	FREE(t->client, 1);
	KUNIT_EXPECT_TRUE(test, known(alloc) && known(end));
	ALLOC(t->client, 1);
	KUNIT_EXPECT_FALSE(test, known(alloc));
	KUNIT_EXPECT_FALSE(test, known(end));
}

static void gone_with_the_tombstone(struct kunit *test)
{
	struct bt_test *t = test->priv;
	struct bt_share *share = bufftrack_test_share(test, t->client);
	u32 alloc = call_at(test, BUFFTRACK_OP_ALLOC, here);
	u32 end = call_at(test, BUFFTRACK_OP_FREE, there);

	KUNIT_EXPECT_TRUE(test, known(alloc) && known(end));
	KUNIT_EXPECT_EQ(test, bufftrack_history_evict(share, 1), 1U);
	KUNIT_EXPECT_FALSE(test, known(alloc));
	KUNIT_EXPECT_FALSE(test, known(end));
}

static void no_more_than_the_limit(struct kunit *test)
{
	struct bt_test *t = test->priv;
	struct bt_user *user = t->client->user;
	struct bt_stack *one, *two;
	int kept;

	bufftrack_test_settle();
	kept = atomic_read(&user->stacks);
	bufftrack_test_set(test, &bufftrack_max_stacks, kept + 1);
	one = get(test, t->client, here, DEPTH);
	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, one);
	KUNIT_EXPECT_EQ(test, atomic_read(&user->stacks), kept + 1);
	/* What is kept takes no more room. */
	two = get(test, t->client, here, DEPTH);
	KUNIT_EXPECT_PTR_EQ(test, one, two);
	KUNIT_EXPECT_EQ(test, atomic_read(&user->stacks), kept + 1);
	bufftrack_stack_put(two);
	bufftrack_stack_put(one);
	bufftrack_test_settle();
	KUNIT_EXPECT_EQ(test, atomic_read(&user->stacks), kept);
}

/* With no room left the oldest gives way, whoever has it still. */
static void the_oldest_gives_way(struct kunit *test)
{
	struct bt_test *t = test->priv;
	struct bt_user *user = t->client->user;
	s64 lost = atomic64_read(&bufftrack_stacks_lost);
	struct bt_actor *base = bufftrack_actor_new(1);
	struct bt_actor *old, *late, *again;
	struct bt_stack *stack;

	KUNIT_ASSERT_NOT_NULL(test, base);
	bufftrack_test_settle();
	/* Those that others have kept before would be older. */
	bufftrack_stacks_forget();
	KUNIT_ASSERT_EQ(test, atomic_read(&user->stacks), 0);
	bufftrack_test_set(test, &bufftrack_max_stacks, 1);
	stack = get(test, t->client, here, DEPTH);
	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, stack);
	old = bufftrack_actor_at(base, stack);
	KUNIT_ASSERT_NOT_NULL(test, old);
	KUNIT_EXPECT_TRUE(test, known(bufftrack_stack_id(old->stack)));

	stack = get(test, t->client, there, DEPTH);
	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, stack);
	KUNIT_EXPECT_FALSE(test, known(bufftrack_stack_id(old->stack)));
	KUNIT_EXPECT_TRUE(test, known(id_of(stack)));
	KUNIT_EXPECT_EQ(test, atomic_read(&user->stacks), 1);
	KUNIT_EXPECT_EQ(test, atomic64_read(&bufftrack_stacks_lost), lost + 1);
	/* A call that has it in hand when it goes has an actor all the same. */
	bufftrack_stack_put(get(test, t->client, here, DEPTH));
	late = bufftrack_actor_at(base, stack);
	KUNIT_ASSERT_NOT_NULL(test, late);
	KUNIT_EXPECT_FALSE(test, known(bufftrack_stack_id(late->stack)));

	/* The first one's addresses again: another stack, and another actor. */
	again = bufftrack_actor_at(base, get(test, t->client, here, DEPTH));
	KUNIT_ASSERT_NOT_NULL(test, again);
	KUNIT_EXPECT_PTR_NE(test, again, old);
	KUNIT_EXPECT_NE(test, again->stack, old->stack);
	bufftrack_actor_put(old);
	bufftrack_actor_put(late);
	KUNIT_EXPECT_TRUE(test, known(bufftrack_stack_id(again->stack)));
	bufftrack_actor_put(again);
	KUNIT_EXPECT_EQ(test, atomic_read(&user->stacks), 0);
	bufftrack_actor_put(base);
}

/* Makes a stack the latest offending one; its id. */
static u32 offend(struct kunit *test, u64 address)
{
	struct bt_test *t = test->priv;
	struct bt_stack *stack = get(test, t->client, &address, 1);
	u32 id = id_of(stack);

	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, stack);
	bufftrack_stack_offending(stack->serial);
	bufftrack_stack_put(stack);
	return id;
}

static void the_latest_offending_ones(struct kunit *test)
{
	u32 first, ids[BT_OFFENDING];
	int i, wrong = 0;

	first = offend(test, 0x2000);
	/* Twice the same is one. */
	KUNIT_EXPECT_EQ(test, offend(test, 0x2000), first);
	for (i = 0; i < BT_OFFENDING - 1; i++)
		ids[i] = offend(test, 0x3000 + i);
	KUNIT_EXPECT_TRUE(test, known(first));
	ids[i] = offend(test, 0x3000 + i);
	KUNIT_EXPECT_FALSE(test, known(first));
	for (i = 0; i < BT_OFFENDING; i++)
		wrong += !known(ids[i]);
	KUNIT_EXPECT_EQ(test, wrong, 0);
}

struct racer {
	struct bt_client *client;
	struct mm_struct *mm;
	const u64 __user *user;
	bool one_place;
	int failed;
	struct completion done;
};

/* Mostly it is the last one who lets go, while another is looking it up. */
static int race(void *data)
{
	struct racer *racer = data;
	struct bt_actor *base = bufftrack_actor_new(1), *actor;
	struct bt_stack *stack;
	int i;

	kthread_use_mm(racer->mm);
	for (i = 0; base && i < 1000; i++) {
		stack = bufftrack_stack_get(racer->client->user, racer->user, DEPTH);
		/* Of three that are to have one place one may find it taken. */
		if (racer->one_place && !stack)
			continue;
		if (IS_ERR_OR_NULL(stack) || id_of(stack) == 0) {
			racer->failed++;
			break;
		}
		if (i & 1) {
			actor = bufftrack_actor_at(base, stack);
			racer->failed += !actor;
			bufftrack_actor_put(actor);
		} else {
			bufftrack_stack_put(stack);
		}
	}
	kthread_unuse_mm(racer->mm);
	racer->failed += !base;
	bufftrack_actor_put(base);
	kthread_complete_and_exit(&racer->done, 0);
}

static void race_all(struct kunit *test, bool one_place)
{
	struct bt_test *t = test->priv;
	struct bt_user *user = t->client->user;
	const u64 __user *addresses = pass(test, here, DEPTH);
	struct racer racers[3] = {};
	struct task_struct *thread;
	int i, kept;

	KUNIT_ASSERT_TRUE(test, !!addresses);
	bufftrack_test_settle();
	kept = atomic_read(&user->stacks);
	for (i = 0; i < ARRAY_SIZE(racers); i++) {
		racers[i].client = t->client;
		racers[i].mm = current->mm;
		racers[i].user = addresses;
		racers[i].one_place = one_place;
		init_completion(&racers[i].done);
		thread = kthread_run(race, &racers[i], "bufftrack-race%d", i);
		if (IS_ERR(thread))
			complete(&racers[i].done);
		KUNIT_EXPECT_NOT_ERR_OR_NULL(test, thread);
	}
	for (i = 0; i < ARRAY_SIZE(racers); i++) {
		wait_for_completion(&racers[i].done);
		KUNIT_EXPECT_EQ(test, racers[i].failed, 0);
	}
	bufftrack_test_settle();
	KUNIT_EXPECT_LE(test, atomic_read(&user->stacks), kept);
}

static void got_and_put_at_once(struct kunit *test)
{
	race_all(test, false);
}

/* Each of them is evicted by the next. */
static void evicted_at_once(struct kunit *test)
{
	bufftrack_test_set(test, &bufftrack_max_stacks, 1);
	race_all(test, true);
}

/* ---- mapped files --------------------------------------------------------- */

#define ID_LEN BUFFTRACK_BUILD_ID_LEN
#define IMAGE_SIZE (4 * PAGE_SIZE)

/* A file that has no more of ELF than is looked at. */
struct image {
	struct elf64_hdr ehdr;
	struct elf64_phdr phdr[2];
	u32 notes[64];
};

/* Adds a note; returns where the next one goes. */
static u32 *note(u32 *at, u32 type, const char *name, const void *desc, u32 len)
{
	u32 namesz = strlen(name) + 1;

	*at++ = namesz;
	*at++ = len;
	*at++ = type;
	memcpy(at, name, namesz);
	at += DIV_ROUND_UP(namesz, 4);
	memcpy(at, desc, len);
	return at + DIV_ROUND_UP(len, 4);
}

static const u8 build_id[64] = { 1,  2,	 3,  4,	 5,  6,	 7,  8,	 9,  10, 11,
				 12, 13, 14, 15, 16, 17, 18, 19, 20, 21 };

static void make_image(struct image *image)
{
	memset(image, 0, sizeof(*image));
	memcpy(image->ehdr.e_ident, ELFMAG, SELFMAG);
	image->ehdr.e_ident[EI_CLASS] = ELFCLASS64;
	image->ehdr.e_phoff = offsetof(struct image, phdr);
	image->ehdr.e_phentsize = sizeof(image->phdr[0]);
	image->ehdr.e_phnum = 2;
	image->phdr[0].p_type = PT_LOAD;
	image->phdr[1].p_type = PT_NOTE;
	image->phdr[1].p_offset = offsetof(struct image, notes);
	image->phdr[1].p_filesz = sizeof(image->notes);
	note(image->notes, 3, "GNU", build_id, ID_LEN);
}

static void leave(struct image *image)
{
}

static void shorter_id(struct image *image)
{
	note(image->notes, 3, "GNU", build_id, 8);
}

static void longer_id(struct image *image)
{
	note(image->notes, 3, "GNU", build_id, ID_LEN + 1);
}

static void empty_id(struct image *image)
{
	note(image->notes, 3, "GNU", build_id, 0);
}

static void other_name(struct image *image)
{
	note(image->notes, 3, "GNV", build_id, ID_LEN);
}

static void other_type(struct image *image)
{
	note(image->notes, 1, "GNU", build_id, ID_LEN);
}

static void second_note(struct image *image)
{
	note(note(image->notes, 1, "stapsdt", build_id, 33), 3, "GNU", build_id, ID_LEN);
}

static void second_segment(struct image *image)
{
	image->phdr[0] = image->phdr[1];
	image->phdr[0].p_offset += 40;
}

static void name_beyond_the_end(struct image *image)
{
	image->notes[0] = sizeof(image->notes) - 11;
}

static void name_that_wraps(struct image *image)
{
	image->notes[0] = U32_MAX - 2;
}

static void id_beyond_the_end(struct image *image)
{
	image->phdr[1].p_filesz = 16 + ID_LEN - 1;
}

static void id_to_the_end(struct image *image)
{
	image->phdr[1].p_filesz = 16 + ID_LEN;
}

static void id_that_wraps(struct image *image)
{
	image->notes[1] = U32_MAX - 2;
}

static void half_a_header(struct image *image)
{
	image->phdr[1].p_filesz = 11;
}

/* The padding of the last name ends behind the notes. */
static void padding_beyond_the_end(struct image *image)
{
	note(image->notes, 3, "GNUGNUG", build_id, 0);
	image->notes[0] = 5;
	image->phdr[1].p_filesz = 12 + 5;
}

/* No more is looked at than a page. */
static void notes_without_end(struct image *image)
{
	image->phdr[1].p_filesz = U64_MAX;
}

static void notes_across_the_end(struct image *image)
{
	image->phdr[1].p_offset = IMAGE_SIZE - 16;
}

static void notes_far_behind(struct image *image)
{
	image->phdr[1].p_offset = S64_MAX - 10;
}

static void notes_at_minus_one(struct image *image)
{
	image->phdr[1].p_offset = U64_MAX;
}

static void headers_far_behind(struct image *image)
{
	image->ehdr.e_phoff = S64_MAX - 64;
}

static void headers_of_another_size(struct image *image)
{
	image->ehdr.e_phentsize++;
}

static void no_headers(struct image *image)
{
	image->ehdr.e_phnum = 0;
}

/* The rest of them is behind the end of the file. */
static void many_headers(struct image *image)
{
	image->ehdr.e_phnum = U16_MAX;
	image->phdr[1].p_type = PT_LOAD;
}

static void of_32_bits(struct image *image)
{
	image->ehdr.e_ident[EI_CLASS] = ELFCLASS32;
}

static void no_elf(struct image *image)
{
	image->ehdr.e_ident[0]++;
}

#define IMAGE(fn, _len)                               \
	{                                             \
		.name = #fn, .spoil = fn, .len = _len \
	}

static const struct image_case {
	const char *name;
	void (*spoil)(struct image *image);
	u32 len; /* of the build id that is to be found */
} image_cases[] = {
	IMAGE(leave, ID_LEN),
	IMAGE(shorter_id, 8),
	IMAGE(longer_id, 0),
	IMAGE(empty_id, 0),
	IMAGE(other_name, 0),
	IMAGE(other_type, 0),
	IMAGE(second_note, ID_LEN),
	IMAGE(second_segment, ID_LEN),
	IMAGE(name_beyond_the_end, 0),
	IMAGE(name_that_wraps, 0),
	IMAGE(id_beyond_the_end, 0),
	IMAGE(id_to_the_end, ID_LEN),
	IMAGE(id_that_wraps, 0),
	IMAGE(half_a_header, 0),
	IMAGE(padding_beyond_the_end, 0),
	IMAGE(notes_without_end, ID_LEN),
	IMAGE(notes_across_the_end, 0),
	IMAGE(notes_far_behind, 0),
	IMAGE(notes_at_minus_one, 0),
	IMAGE(headers_far_behind, 0),
	IMAGE(headers_of_another_size, 0),
	IMAGE(no_headers, 0),
	IMAGE(many_headers, 0),
	IMAGE(of_32_bits, 0),
	IMAGE(no_elf, 0),
};

KUNIT_ARRAY_PARAM_DESC(image, image_cases, name);

/* The file with this content, from its page @pgoff on, in this thread's address space */
static unsigned long map_file(struct kunit *test, const char *name, const struct image *image,
			      unsigned long pgoff)
{
	struct file *file = shmem_file_setup(name, IMAGE_SIZE, BT_NO_VMA_FLAGS);
	unsigned long at = 0;
	loff_t pos = 0;

	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, file);
	if (kernel_write(file, image, sizeof(*image), &pos) == sizeof(*image))
		at = kunit_vm_mmap(test, file, 0, 2 * PAGE_SIZE, PROT_READ, MAP_PRIVATE,
				   pgoff * PAGE_SIZE);
	fput(file);
	KUNIT_ASSERT_NE(test, at, 0UL);
	KUNIT_ASSERT_FALSE(test, IS_ERR_VALUE(at));
	return at;
}

/* The frames of a stack, as STACK has them */
static struct bufftrack_frame *frames_of(struct kunit *test, const u64 *addresses, u32 depth)
{
	struct bt_test *t = test->priv;
	struct bt_stack *stack = get(test, t->client, addresses, depth);
	struct bufftrack_stack arg = {
		.nr = depth,
		.frame_size = sizeof(struct bufftrack_frame),
		.stack_id = id_of(stack),
	};
	const size_t len = depth * sizeof(struct bufftrack_frame);
	struct bufftrack_frame *frames = kunit_kzalloc(test, len, GFP_KERNEL);
	unsigned long room = kunit_vm_mmap(test, NULL, 0, PAGE_ALIGN(len), PROT_READ | PROT_WRITE,
					   MAP_PRIVATE | MAP_ANONYMOUS, 0);
	int err;

	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, stack);
	KUNIT_ASSERT_NOT_NULL(test, frames);
	arg.frames = room;
	err = bufftrack_stack(&arg);
	bufftrack_stack_put(stack);
	KUNIT_ASSERT_EQ(test, err, 0);
	KUNIT_ASSERT_EQ(test, arg.nr, depth);
	KUNIT_ASSERT_EQ(test, copy_from_user(frames, (void __user *)room, len), 0UL);
	return frames;
}

static void a_build_id(struct kunit *test)
{
	const struct image_case *want = test->param_value;
	struct image *image = kunit_kzalloc(test, sizeof(*image), GFP_KERNEL);
	struct bufftrack_frame *frame;
	u64 address;

	KUNIT_ASSERT_NOT_NULL(test, image);
	make_image(image);
	want->spoil(image);
	address = map_file(test, "bufftrack-image", image, 0) + 17;
	frame = frames_of(test, &address, 1);
	KUNIT_EXPECT_EQ(test, frame->address, address);
	KUNIT_EXPECT_EQ(test, frame->offset, 17ULL);
	KUNIT_EXPECT_NOT_NULL(test, strstr(frame->path, "bufftrack-image"));
	KUNIT_EXPECT_EQ(test, frame->build_id_len, want->len);
	KUNIT_EXPECT_MEMEQ(test, frame->build_id, build_id, want->len);
	KUNIT_EXPECT_NULL(test, memchr_inv(frame->build_id + want->len, 0, ID_LEN - want->len));
}

static void frames_of_two_files(struct kunit *test)
{
	struct image *image = kunit_kzalloc(test, sizeof(*image), GFP_KERNEL);
	struct bufftrack_frame *frames;
	unsigned long one, two;
	u64 addresses[5];

	KUNIT_ASSERT_NOT_NULL(test, image);
	make_image(image);
	one = map_file(test, "bufftrack-one", image, 0);
	shorter_id(image);
	two = map_file(test, "bufftrack-two", image, 2);
	addresses[0] = one;
	addresses[1] = two + PAGE_SIZE;
	/* Where nothing is mapped, and where no user's address can be */
	addresses[2] = 8;
	addresses[3] = U64_MAX;
	addresses[4] = one + 2 * PAGE_SIZE - 1;
	frames = frames_of(test, addresses, ARRAY_SIZE(addresses));
	KUNIT_EXPECT_EQ(test, frames[0].offset, 0ULL);
	KUNIT_EXPECT_NOT_NULL(test, strstr(frames[0].path, "bufftrack-one"));
	KUNIT_EXPECT_EQ(test, frames[0].build_id_len, (u32)ID_LEN);
	KUNIT_EXPECT_EQ(test, frames[1].offset, 3ULL * PAGE_SIZE);
	KUNIT_EXPECT_NOT_NULL(test, strstr(frames[1].path, "bufftrack-two"));
	KUNIT_EXPECT_EQ(test, frames[1].build_id_len, 8U);
	KUNIT_EXPECT_STREQ(test, frames[2].path, "");
	KUNIT_EXPECT_EQ(test, frames[2].offset, 0ULL);
	KUNIT_EXPECT_STREQ(test, frames[3].path, "");
	KUNIT_EXPECT_EQ(test, frames[3].address, U64_MAX);
	KUNIT_EXPECT_EQ(test, frames[4].offset, 2ULL * PAGE_SIZE - 1);
	KUNIT_EXPECT_STREQ(test, frames[4].path, frames[0].path);
}

/* Of a path that is too long the end is kept. */
static void a_long_path(struct kunit *test)
{
	struct image *image = kunit_kzalloc(test, sizeof(*image), GFP_KERNEL);
	char *name = kunit_kzalloc(test, 2 * BUFFTRACK_PATH_LEN, GFP_KERNEL);
	struct bufftrack_frame *frame;
	u64 address;

	KUNIT_ASSERT_NOT_NULL(test, image);
	KUNIT_ASSERT_NOT_NULL(test, name);
	make_image(image);
	memset(name, 'x', 2 * BUFFTRACK_PATH_LEN - 1);
	memcpy(name + 2 * BUFFTRACK_PATH_LEN - 5, "tail", 4);
	address = map_file(test, name, image, 0);
	frame = frames_of(test, &address, 1);
	KUNIT_EXPECT_EQ(test, strnlen(frame->path, BUFFTRACK_PATH_LEN),
			(size_t)BUFFTRACK_PATH_LEN - 1);
	KUNIT_EXPECT_NOT_NULL(test, strstr(frame->path, "xtail"));
	KUNIT_EXPECT_EQ(test, frame->build_id_len, (u32)ID_LEN);
}

static struct kunit_case stack_cases[] = {
	KUNIT_CASE(one_is_kept_once),
	KUNIT_CASE(others_are_apart),
	KUNIT_CASE(address_spaces_are_apart),
	KUNIT_CASE(what_cannot_be_read),
	KUNIT_CASE(actors_are_shared),
	KUNIT_CASE(actors_of_many),
	KUNIT_CASE(kept_by_two_lives),
	KUNIT_CASE(gone_with_the_tombstone),
	KUNIT_CASE(no_more_than_the_limit),
	KUNIT_CASE(the_oldest_gives_way),
	KUNIT_CASE(the_latest_offending_ones),
	KUNIT_CASE(got_and_put_at_once),
	KUNIT_CASE(evicted_at_once),
	KUNIT_CASE_PARAM(a_build_id, image_gen_params),
	KUNIT_CASE(frames_of_two_files),
	KUNIT_CASE(a_long_path),
	{},
};

static struct kunit_suite stack_suite = {
	.name = "bufftrack-stack",
	.init = bufftrack_test_init,
	.exit = bufftrack_test_exit,
	.test_cases = stack_cases,
};

kunit_test_suite(stack_suite);
