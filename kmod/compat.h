/* SPDX-License-Identifier: GPL-2.0 */
/* What differs between the kernels from 6.1 on, each with the version. */
#ifndef BUFFTRACK_COMPAT_H
#define BUFFTRACK_COMPAT_H

#include <linux/fs.h>
#include <linux/gfp.h>
#include <linux/mm_types.h>
#include <linux/shrinker.h>
#include <linux/slab.h>
#include <linux/version.h>

/* 6.12: moved from asm/. */
#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 12, 0)
#include <asm/unaligned.h>
#else
#include <linux/unaligned.h>
#endif

/* 32-bit arm has none of 64 bits: as two halves, in whatever order. */
#ifdef CONFIG_64BIT
#define bt_unsafe_get_u64(to, from, label) unsafe_get_user(to, from, label)
#else
#define bt_unsafe_get_u64(to, from, label)                                   \
	do {                                                                 \
		const u32 __user *__from = (const u32 __user *)(from);       \
		u32 __half[2], __nr;                                         \
		for (__nr = 0; __nr < 2; __nr++)                             \
			unsafe_get_user(__half[__nr], __from + __nr, label); \
		memcpy(&(to), __half, sizeof(__half));                       \
	} while (0)
#endif

/* 6.7: shrinkers are allocated, and registered apart from that. */
#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 7, 0)
static inline struct shrinker *shrinker_alloc(unsigned int flags, const char *name)
{
	struct shrinker *s = kzalloc(sizeof(*s), GFP_KERNEL);

	if (s) {
		s->flags = flags;
		s->seeks = DEFAULT_SEEKS;
	}
	return s;
}

#define shrinker_register(s, name) register_shrinker(s, name)

static inline void shrinker_free(struct shrinker *s)
{
	unregister_shrinker(s);
	kfree(s);
}
#else
#define shrinker_register(s, name)    \
	({                            \
		shrinker_register(s); \
		0;                    \
	})
#endif

/* 6.6: behind an accessor. */
#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 6, 0)
#define inode_get_mtime(inode) ((inode)->i_mtime)
#endif

/*
 * 6.7: of a file mapped from an overlay vm_file is the layer's own file; until then it
 * had the overlay's path.
 */
#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 7, 0)
#define file_user_path(file) (&(file)->f_path)
#endif

static inline u64 bt_inode_mtime(const struct inode *inode)
{
	struct timespec64 mtime = inode_get_mtime(inode);

	return timespec64_to_ns(&mtime);
}

/*
 * 6.4: an address space counts its changes, as a number or, in later ones, as a seqcount,
 * whose number comes first. 0: not known, or it is being changed.
 */
static inline u32 bt_mm_seq(const struct mm_struct *mm)
{
#if defined(CONFIG_PER_VMA_LOCK) && LINUX_VERSION_CODE >= KERNEL_VERSION(6, 4, 0)
	/* What comes after sees at least what had changed by then. */
	u32 seq = smp_load_acquire((const u32 *)&mm->mm_lock_seq);

	return seq & 1 ? 0 : seq;
#else
	return 0;
#endif
}

/*
 * 7.2: a table can do without a limit to its chains, for which an insert has to wait, or
 * fails. Before that two users together can make one too long, whose own limits are higher.
 * For a table's automatic_shrinking, and what follows it.
 */
#if LINUX_VERSION_CODE < KERNEL_VERSION(7, 2, 0)
#define BT_SHRINKING true
#else
#define BT_SHRINKING true, .insecure_elasticity = true
#endif

/* 6.2: the device is const; 6.4: a class has no owner. */
#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 2, 0)
#define BT_DEVNODE_CONST
#else
#define BT_DEVNODE_CONST const
#endif
#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 4, 0)
#define bt_class_create(name) class_create(THIS_MODULE, name)
#else
#define bt_class_create(name) class_create(name)
#endif

/* 7.0: the flags of a mapping are a struct. For shmem_file_setup(), in tests. */
#if LINUX_VERSION_CODE < KERNEL_VERSION(7, 0, 0)
#define BT_NO_VMA_FLAGS 0
#else
#define BT_NO_VMA_FLAGS ((vma_flags_t){})
#endif

/*
 * CONFIG_INIT_STACK_ALL zeroes every variable on the stack. For those that are
 * large, on the way of each call, and filled before anything of them is read. By
 * compiler, not by kernel: gcc has the attribute since 12.
 */
#if __has_attribute(__uninitialized__)
#define BT_UNINIT __attribute__((__uninitialized__))
#else
#define BT_UNINIT
#endif

#endif /* BUFFTRACK_COMPAT_H */
