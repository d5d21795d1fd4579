/* SPDX-License-Identifier: LGPL-2.1-or-later OR MIT */
/*
 * libbufftrack, loaded where it is there: include this in place of <bufftrack.h>, write the
 * same calls, and link with nothing (but libdl before glibc 2.34). Where the library is
 * absent, bufftrack_open() returns NULL with errno ENOPKG, with which every other function
 * does nothing and returns 0, as without the kernel module.
 *
 * Each file that includes it looks the library up by itself, once, at its first call. That
 * first call is not for a signal handler.
 */
#ifndef BUFFTRACK_DL_H
#define BUFFTRACK_DL_H

#include <bufftrack.h>
#include <dlfcn.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define BUFFTRACK_DL_LIBRARY "libbufftrack.so.0"

#ifdef __cplusplus
extern "C" {
#endif

/* Not all are called by every file. */
#define BUFFTRACK_DL __attribute__((unused)) static

#define BUFFTRACK_DL_EACH(F)                                                                      \
	F(open, struct bufftrack *, (const char *, unsigned int))                                 \
	F(default, struct bufftrack *, (void))                                                    \
	F(close, void, (struct bufftrack *))                                                      \
	F(reopen, int, (struct bufftrack *))                                                      \
	F(fd, int, (struct bufftrack *))                                                          \
	F(alloc, int, (struct bufftrack *, struct bufftrack_buffer *, struct bufftrack_answer *)) \
	F(retain, int,                                                                            \
	  (struct bufftrack *, const struct bufftrack_buffer *, struct bufftrack_answer *))       \
	F(free, int,                                                                              \
	  (struct bufftrack *, const struct bufftrack_buffer *, struct bufftrack_answer *))       \
	F(undo, int,                                                                              \
	  (struct bufftrack *, const struct bufftrack_buffer *, struct bufftrack_answer *))       \
	F(reset, int64_t, (struct bufftrack *, uint64_t, uint64_t, unsigned int))                 \
	F(submit, int, (struct bufftrack *, struct bufftrack_entry *, size_t, size_t))            \
	F(label_device, int, (struct bufftrack *, uint64_t, const char *))                        \
	F(label_space, int, (struct bufftrack *, uint64_t, uint32_t, const char *))               \
	F(label_tag, int, (struct bufftrack *, uint64_t, uint64_t, const char *))                 \
	F(set_stack_depth, unsigned int, (struct bufftrack *, unsigned int))                      \
	F(features, uint64_t, (const struct bufftrack *))                                         \
	F(get_info, int, (struct bufftrack *, struct bufftrack_info *, size_t))                   \
	F(verdict_name, const char *, (uint32_t))

#define BUFFTRACK_DL_MEMBER(name, type, arguments) type(*p_##name) arguments;
struct bufftrack_dl {
	BUFFTRACK_DL_EACH(BUFFTRACK_DL_MEMBER)
	int usable;
};
#undef BUFFTRACK_DL_MEMBER

/* A library that lacks a function is too old, and counts as absent. */
#define BUFFTRACK_DL_LOOK_UP(name, type, arguments)     \
	symbol = dlsym(library, "bufftrack_" #name);    \
	memcpy(&dl->p_##name, &symbol, sizeof(symbol)); \
	dl->usable &= symbol != NULL;

BUFFTRACK_DL void bufftrack_dl_load(struct bufftrack_dl *dl)
{
	void *library = dlopen(BUFFTRACK_DL_LIBRARY, RTLD_NOW | RTLD_LOCAL);
	void *symbol;

	dl->usable = library != NULL;
	if (!library)
		return;
	BUFFTRACK_DL_EACH(BUFFTRACK_DL_LOOK_UP)
	if (!dl->usable)
		dlclose(library);
}
#undef BUFFTRACK_DL_LOOK_UP

/* Of two threads that come first, one gives up its table. NULL: the library is not there. */
BUFFTRACK_DL const struct bufftrack_dl *bufftrack_dl_get(void)
{
	static struct bufftrack_dl *loaded;
	struct bufftrack_dl *dl = __atomic_load_n(&loaded, __ATOMIC_ACQUIRE);
	struct bufftrack_dl *mine;
	int saved = errno;

	if (!dl) {
		mine = (struct bufftrack_dl *)calloc(1, sizeof(*mine));
		if (!mine)
			return NULL;
		bufftrack_dl_load(mine);
		if (__atomic_compare_exchange_n(&loaded, &dl, mine, 0, __ATOMIC_ACQ_REL,
						__ATOMIC_ACQUIRE))
			dl = mine;
		else
			free(mine);
		errno = saved;
	}
	return dl->usable ? dl : NULL;
}

BUFFTRACK_DL struct bufftrack *bufftrack_dl_open(const char *name, unsigned int flags)
{
	const struct bufftrack_dl *dl = bufftrack_dl_get();

	if (dl)
		return dl->p_open(name, flags);
	errno = ENOPKG;
	return NULL;
}

BUFFTRACK_DL struct bufftrack *bufftrack_dl_default(void)
{
	const struct bufftrack_dl *dl = bufftrack_dl_get();

	return dl ? dl->p_default() : NULL;
}

/*
 * A handle that is not NULL came from the library: it is there. The calls are the last thing
 * that these do, inlined into their callers: no frame of theirs is in a stack.
 */
#define BUFFTRACK_DL_INLINE __attribute__((unused, always_inline)) static __inline__
#define BUFFTRACK_DL_CALL(name, type, declared, passed, otherwise)              \
	BUFFTRACK_DL_INLINE type bufftrack_dl_##name declared                   \
	{                                                                       \
		const struct bufftrack_dl *dl = bt ? bufftrack_dl_get() : NULL; \
                                                                                \
		return dl ? dl->p_##name passed : otherwise;                    \
	}

BUFFTRACK_DL_INLINE void bufftrack_dl_close(struct bufftrack *bt)
{
	const struct bufftrack_dl *dl = bt ? bufftrack_dl_get() : NULL;

	if (dl)
		dl->p_close(bt);
}

BUFFTRACK_DL_INLINE int bufftrack_dl_nothing(struct bufftrack_answer *answer)
{
	if (answer)
		memset(answer, 0, sizeof(*answer));
	return 0;
}

BUFFTRACK_DL_INLINE int bufftrack_dl_no_info(struct bufftrack_info *info, size_t size)
{
	memset(info, 0, size);
	return 0;
}

BUFFTRACK_DL_INLINE int bufftrack_dl_no_entries(struct bufftrack_entry *entries, size_t nr,
						size_t entry_size)
{
	size_t i;

	for (i = 0; i < nr; i++)
		bufftrack_dl_nothing(
			&((struct bufftrack_entry *)((char *)entries + i * entry_size))->answer);
	return 0;
}

BUFFTRACK_DL_CALL(reopen, int, (struct bufftrack * bt), (bt), 0)
BUFFTRACK_DL_CALL(fd, int, (struct bufftrack * bt), (bt), -1)
BUFFTRACK_DL_CALL(alloc, int,
		  (struct bufftrack * bt, struct bufftrack_buffer *buffer,
		   struct bufftrack_answer *answer),
		  (bt, buffer, answer), bufftrack_dl_nothing(answer))
BUFFTRACK_DL_CALL(retain, int,
		  (struct bufftrack * bt, const struct bufftrack_buffer *buffer,
		   struct bufftrack_answer *answer),
		  (bt, buffer, answer), bufftrack_dl_nothing(answer))
BUFFTRACK_DL_CALL(free, int,
		  (struct bufftrack * bt, const struct bufftrack_buffer *buffer,
		   struct bufftrack_answer *answer),
		  (bt, buffer, answer), bufftrack_dl_nothing(answer))
BUFFTRACK_DL_CALL(undo, int,
		  (struct bufftrack * bt, const struct bufftrack_buffer *buffer,
		   struct bufftrack_answer *answer),
		  (bt, buffer, answer), bufftrack_dl_nothing(answer))
BUFFTRACK_DL_CALL(reset, int64_t,
		  (struct bufftrack * bt, uint64_t device, uint64_t tag, unsigned int flags),
		  (bt, device, tag, flags), 0)
BUFFTRACK_DL_CALL(submit, int,
		  (struct bufftrack * bt, struct bufftrack_entry *entries, size_t nr,
		   size_t entry_size),
		  (bt, entries, nr, entry_size), bufftrack_dl_no_entries(entries, nr, entry_size))
BUFFTRACK_DL_CALL(label_device, int, (struct bufftrack * bt, uint64_t device, const char *label),
		  (bt, device, label), 0)
BUFFTRACK_DL_CALL(label_space, int,
		  (struct bufftrack * bt, uint64_t device, uint32_t space, const char *label),
		  (bt, device, space, label), 0)
BUFFTRACK_DL_CALL(label_tag, int,
		  (struct bufftrack * bt, uint64_t device, uint64_t tag, const char *label),
		  (bt, device, tag, label), 0)
BUFFTRACK_DL_CALL(set_stack_depth, unsigned int, (struct bufftrack * bt, unsigned int frames),
		  (bt, frames), 0)
BUFFTRACK_DL_CALL(features, uint64_t, (const struct bufftrack *bt), (bt), 0)
BUFFTRACK_DL_CALL(get_info, int, (struct bufftrack * bt, struct bufftrack_info *info, size_t size),
		  (bt, info, size), bufftrack_dl_no_info(info, size))

BUFFTRACK_DL_INLINE const char *bufftrack_dl_verdict_name(uint32_t verdict)
{
	const struct bufftrack_dl *dl = bufftrack_dl_get();

	return dl ? dl->p_verdict_name(verdict) : "unknown verdict";
}

#define bufftrack_open bufftrack_dl_open
#define bufftrack_default bufftrack_dl_default
#define bufftrack_close bufftrack_dl_close
#define bufftrack_reopen bufftrack_dl_reopen
#define bufftrack_fd bufftrack_dl_fd
#define bufftrack_alloc bufftrack_dl_alloc
#define bufftrack_retain bufftrack_dl_retain
#define bufftrack_free bufftrack_dl_free
#define bufftrack_undo bufftrack_dl_undo
#define bufftrack_reset(...) bufftrack_dl_reset(__VA_ARGS__)
#define bufftrack_submit bufftrack_dl_submit
#define bufftrack_label_device bufftrack_dl_label_device
#define bufftrack_label_space bufftrack_dl_label_space
#define bufftrack_label_tag bufftrack_dl_label_tag
#define bufftrack_set_stack_depth bufftrack_dl_set_stack_depth
#define bufftrack_features bufftrack_dl_features
#define bufftrack_get_info bufftrack_dl_get_info
#define bufftrack_verdict_name bufftrack_dl_verdict_name

#ifdef __cplusplus
}
#endif

#endif /* BUFFTRACK_DL_H */
