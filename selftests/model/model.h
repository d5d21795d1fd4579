/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The rules, once more and plainly: a model of /dev/bufftrack for one process,
 * which a random test runs beside the kernel and compares with it.
 *
 * The model is given what a caller gives to the kernel, and fills in what it
 * should get back. It cannot know two things, and learns them from the kernel's
 * answer, within what the rules allow: which block of generations a new record
 * gets, and which of the allocations that one call ended (a RESET, a close) counts as
 * the older.
 */
#ifndef MODEL_H
#define MODEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <linux/bufftrack.h>

#ifndef ARRAY_SIZE
#define ARRAY_SIZE(array) (sizeof(array) / sizeof((array)[0]))
#endif

/* ---- the model (model.c) ------------------------------------------------- */

#define MODEL_BLOCK 1024ULL /* generations that a record gets at once */
#define MODEL_HOLDERS 8 /* clients that may be open at once */
#define MODEL_STACKS 4

/* What a model may get wrong on purpose, to prove that a comparison would tell */
#define MODEL_BREAKS(X)                                                        \
	X(NONE, "nothing")                                                     \
	X(VIEW_REFS, "a VIEW counts a reference")                              \
	X(VIEW_BELOW_ZERO, "the FREE of a view ignores its token")             \
	X(VIEW_DANGLING, "a VIEW of what is not live is OK")                   \
	X(EXCLUSIVE, "EXCLUSIVE takes a further reference")                    \
	X(MISSED_STATE, "a MISSED_FREE leaves no previous allocation")         \
	X(MISSED_DEAD, "a dead allocation that was missed is a double free")   \
	X(SIZE_FIRST, "the allocation takes the later size")                   \
	X(SIZE_ALLOC, "an ALLOC of another size is OK")                        \
	X(SIZE_FREE, "a FREE of another size is OK")                           \
	X(TAG_FIRST, "the allocation takes the later tag")                     \
	X(FLAGS_FIRST, "the allocation takes the later flags")                 \
	X(SHARED_OWN, "of a SHARED buffer the oldest reference goes first")    \
	X(SHARED_OLDEST, "of a SHARED buffer the newest reference goes first") \
	X(SHARED_ALL, "any allocation can be dropped by any client")           \
	X(FOREIGN, "a foreign free is a double free")                          \
	X(DROPPED, "a second free of one's own is foreign")                    \
	X(DOUBLE_DROPS, "a double free takes another's reference")             \
	X(STALE, "a stale free ends the newer allocation")                     \
	X(STALE_PREV, "a token of the previous allocation is an older one")    \
	X(TOKEN_OLDER, "a token of an older allocation is unknown")            \
	X(TOKEN_NEVER, "a token of another key is an older one")               \
	X(TOKEN_REBASED, "a token of an earlier block is unknown")             \
	X(EXIT, "an allocation ends by exit as by a free")                     \
	X(EXIT_HELD, "an exit ends what others own, too")                      \
	X(RESET_STATE, "an allocation ends by reset as by a free")             \
	X(RESET_PRIVATE, "RESET leaves PRIVATE lives")                         \
	X(REFUSED, "a refused free is not counted")                            \
	X(PROBABLE_LIVES, "a key of two lives is certain")                     \
	X(PROBABLE_LOST, "lost history is certain")                            \
	X(LOST, "an eviction loses no history")                                \
	X(LOST_TOKEN, "an older allocation's token says nothing of history")   \
	X(EVICT_NEWEST, "the newest freed record goes first")                  \
	X(EVICT_LATE, "one freed record more is kept")                         \
	X(EVICT_COUNT, "an eviction is not counted")                           \
	X(REVIVE, "a key's new allocation has a new record")                   \
	X(PRIVATE_KEYS, "PRIVATE clients share their keys")                    \
	X(PRIVATE_GONE, "a PRIVATE client's records stay")                     \
	X(LIMIT, "max_buffers is one more")                                    \
	X(LIMIT_EXCLUSIVE, "EXCLUSIVE meets the limit on its own key")         \
	X(STRICT, "STRICT changes nothing")                                    \
	X(TRAP, "TRAP changes nothing")                                        \
	X(PEAK, "the peak follows the bytes down")                             \
	X(BYTES_CLIENT, "a client's bytes count every reference")              \
	X(LEAK_COUNT, "a leak counts every reference")                         \
	X(FREES, "an allocation that was missed counts as a free")             \
	X(LABEL, "a label stays when set to nothing")                          \
	X(DEVICE_GONE, "a device stays when nothing uses it")                  \
	X(CLIENT_BUSY, "PRIVATE may be set at any time")                       \
	X(BATCH_BAD, "BATCH does not count an error as bad")                   \
	X(GENERATION, "a new allocation keeps the generation")                 \
	X(HOLDER, "LIST names the newest holder")                              \
	X(VIEWS, "a new allocation keeps the views")                           \
	X(STACKS, "an allocation's end has no stack")                          \
	X(LIST_CLIENT, "LIST by client knows whoever once held")               \
	X(FAILED, "a refused ALLOC is not counted")                            \
	X(RETAIN, "a RETAIN of what is not live begins an allocation")         \
	X(RETAIN_TOKEN, "a RETAIN ignores its token")                          \
	X(VIEW_TOKEN, "a VIEW ignores its token")                              \
	X(SAME, "SAME adds a reference each time")                             \
	X(SAME_FIRST, "SAME never adds a reference")                           \
	X(PERSISTENT, "what is PERSISTENT leaks")                              \
	X(PERSISTENT_LATER, "a later PERSISTENT counts, too")                  \
	X(SHARED_DROPPED, "of a SHARED buffer who dropped his own drops on")   \
	X(LAST, "LAST drops one reference")                                    \
	X(LAST_ALONE, "LAST of the only reference leaves some")                \
	X(LAST_WITHOUT, "LAST needs no hold")                                  \
	X(LAST_LEFT, "LAST drops all references")                              \
	X(LAST_PLACE, "what LAST left has no place in its client's limit")     \
	X(LAST_BYTES, "what LAST left counts in its client's bytes")           \
	X(LAST_FREES, "LAST does not count as a free of the key")              \
	X(LAST_AGAIN, "what LAST ended is as freed when allocated anew")       \
	X(LAST_STATE, "LAST ends as the last free does")                       \
	X(LAST_EVICT, "what LAST left can be evicted")                         \
	X(LAST_LEAK, "what LAST left leaks")                                   \
	X(LAST_RESET, "RESET leaves what LAST left")                           \
	X(UNDO, "UNDO of a last free does nothing")                            \
	X(UNDO_REF, "UNDO of a reference does nothing")                        \
	X(UNDO_BAD, "UNDO of a refused free takes back")                       \
	X(UNDO_LAST, "UNDO of a LAST leaves the end")                          \
	X(UNDO_HELD, "UNDO of a LAST is anybody's")                            \
	X(UNDO_STALE, "UNDO of an older allocation is ENOENT")                 \
	X(UNDO_ANOTHERS, "an end is anybody's to UNDO")                        \
	X(UNDO_EXIT, "UNDO takes back an exit")                                \
	X(UNDO_RESET, "UNDO ignores a reset since")                            \
	X(UNDO_CONTEXT, "UNDO ignores a RESET CLIENT since")                   \
	X(UNDO_COUNT, "an UNDO is not counted")                                \
	X(UNDO_FREES, "an UNDO leaves the frees of the key")                   \
	X(UNDO_LIMIT, "UNDO meets the limit")                                  \
	X(UNDO_VIEW, "UNDO takes the FREE of a VIEW")                          \
	X(UNDONE, "UNDONE is not told")                                        \
	X(UNDONE_STAYS, "UNDONE is told of the next allocation")               \
	X(CONSEQUENCE, "CONSEQUENCE is not told")                              \
	X(NOT_RECORDED, "a refused call is not remembered")                    \
	X(NOT_RECORDED_BAD, "a bad verdict counts as a refused call")          \
	X(PARTIAL, "PARTIAL is not told")                                      \
	X(FORKED, "FORKED is not told")                                        \
	X(VIEWS_LEFT, "VIEWS_LEFT is not told")                                \
	X(PROBABLE_MISSED, "MISSED_FREE may be certain")                       \
	X(PROBABLE_UNDONE, "what was undone is certain")                       \
	X(PROBABLE_CONSEQUENCE, "a consequence is certain")                    \
	X(PROBABLE_RECORDED, "what may not be recorded is certain")            \
	X(PROBABLE_TOKEN, "with a token what may not be recorded is probable") \
	X(PROBABLE_BLOCK, "an older token of the key's block is probable")     \
	X(PROBABLE_DEAD, "an older token of what is dead is certain")          \
	X(REQUIRE_TOKEN, "REQUIRE_TOKEN changes nothing")                      \
	X(CLIENT_STAYS, "PARTIAL and FORKED can be cleared")                   \
	X(CONTEXT, "a RESET CLIENT ends as a RESET does")                      \
	X(CONTEXT_OTHERS, "a RESET CLIENT ends what others hold")              \
	X(CONTEXT_HAD, "who reset his holds never had them")                   \
	X(CONTEXT_TAG, "a RESET CLIENT ignores its tag")                       \
	X(CONTEXT_SPACE, "a RESET CLIENT ignores its space")                   \
	X(CONTEXT_ALL, "a RESET CLIENT ALL is of one device")                  \
	X(CONTEXT_HOLDS, "a RESET CLIENT counts references")                   \
	X(RESET_SPACE, "a RESET ignores its space")                            \
	X(EVENT_CLIENT, "an end is the allocating client's")

#define X(name, words) MODEL_BREAK_##name,
enum model_break { MODEL_BREAKS(X) MODEL_NR_BREAKS };
#undef X

struct model_counts {
	uint64_t live;
	uint64_t bytes;
	uint64_t peak;
	uint64_t allocs;
	uint64_t frees;
	uint64_t evicted;
	uint64_t undos;
	uint64_t verdicts[BUFFTRACK_NR_VERDICTS];
};

struct model_when {
	uint64_t call; /* 0: not known */
	uint64_t client; /* its id */
	unsigned int stack; /* 0: none */
};

struct model_life {
	uint64_t generation;
	uint64_t size;
	uint64_t tag;
	uint32_t flags;
	uint32_t state;
	uint32_t refs;
	uint32_t views;
	bool undone;
	bool held_reset; /* a reset took what a FREE LAST had left */
	struct model_when alloc;
	struct model_when end;
};

struct model_hold {
	struct model_client *client;
	uint32_t count;
	bool lent; /* who has no hold took one of its references */
};

struct model_record {
	struct model_record *next;
	struct model_space *space;
	struct model_client *owner; /* of a PRIVATE key, else NULL */
	uint64_t buffer;
	uint64_t first; /* its first allocation's generation */
	uint32_t lives;
	uint32_t frees;
	uint32_t refused;
	bool rebased;
	bool held; /* a FREE LAST has ended it with references left */
	uint64_t tombed; /* since which call it may be evicted */
	struct model_life last; /* the live one, else the last one */
	struct model_life prev;
	unsigned int nr_holds;
	struct model_hold holds[MODEL_HOLDERS]; /* by the first reference */
};

struct model_reset {
	uint64_t call;
	uint64_t tag;
	uint32_t flags;
	uint32_t space;
};

/* The latest ones of a device, or of a client on a device */
struct model_resets {
	unsigned int nr; /* all there were */
	struct model_reset latest[4];
};

struct model_space {
	struct model_space *next; /* in the order of their numbers */
	struct model_device *device;
	uint32_t id;
	char label[BUFFTRACK_NAME_LEN];
	struct model_counts counts;
};

struct model_device {
	struct model_device *next; /* in the order of coming into being */
	uint64_t id;
	uint64_t serial;
	char label[BUFFTRACK_NAME_LEN];
	struct model_counts counts;
	struct model_resets resets;
	struct model_space *spaces;
};

struct model_client {
	struct model_client *next; /* likewise */
	uint64_t id;
	uint32_t flags;
	bool used;
	bool unrecorded; /* an ALLOC or FREE was refused */
	char name[BUFFTRACK_NAME_LEN];
	struct model_counts counts;
	unsigned int nr_devices;
	uint64_t devices[8]; /* that it used */
	struct model_resets resets[8]; /* by device */
};

/* Whose history was lost: it outlasts the device. */
struct model_lost {
	struct model_lost *next;
	uint64_t device;
	uint64_t owner; /* client id, 0: the public keys */
};

struct model {
	/* What its user sets. */
	enum model_break wrong;
	uint64_t next_block; /* the lowest block not yet given */
	uint64_t history;
	uint64_t max_buffers;
	struct bufftrack_info info; /* the kernel's at the start, then kept */
	uint64_t clients_before;
	uint64_t history_before;
	struct model_counts all; /* likewise */
	uint32_t pid;
	uint32_t tid;
	uint32_t uid;
	char comm[BUFFTRACK_COMM_LEN];
	const uint64_t *stacks[MODEL_STACKS];
	unsigned int depths[MODEL_STACKS];
	/*
	 * Which of @nr allocations that ended in one call was evicted: an index. NULL:
	 * the last.
	 */
	unsigned int (*choose)(void *arg, struct model_record *const *among, unsigned int nr);
	void *choose_arg;

	/* What it keeps. */
	uint64_t call;
	uint64_t serial;
	uint64_t traps; /* SIGTRAPs sent */
	bool judged; /* the last ALLOC or FREE had a verdict */
	struct model_client *clients;
	struct model_device *devices;
	struct model_record *records;
	struct model_lost *lost;
};

extern const char *const model_break_words[MODEL_NR_BREAKS];

void model_init(struct model *m);
void model_destroy(struct model *m);
struct model_client *model_open(struct model *m, uint64_t id);
void model_close(struct model *m, struct model_client *client);
int model_ioctl(struct model *m, struct model_client *client, unsigned long cmd, void *arg,
		const void *seen);
unsigned int model_lives(struct model *m, const struct bufftrack_list *filter,
			 struct bufftrack_life *lives, unsigned int room);
bool model_ambiguous(const struct model *m);
void model_lose(struct model *m, uint64_t device, uint64_t owner);
bool model_is_lost(const struct model *m, uint64_t device, uint64_t owner);
struct model_device *model_device(const struct model *m, uint64_t id);
struct model_record *model_record(const struct model *m, const struct model_client *client,
				  uint64_t device, uint32_t space, uint64_t buffer);
int model_verdict_errno(uint32_t verdict);

/* ---- sequences (model_test.c) -------------------------------------------- */

enum step_kind {
	STEP_ALLOC,
	STEP_FREE,
	STEP_UNDO,
	STEP_CHURN, /* many allocations of one key */
	STEP_RESET,
	STEP_LABEL,
	STEP_CLIENT,
	STEP_CLOSE,
	STEP_STAT,
	STEP_LIST,
	STEP_INFO,
	STEP_CHECK, /* everything */
	STEP_BAD_CALL, /* what is refused with an errno */
	NR_STEP_KINDS
};

/* Which generation an op names. */
enum token_kind {
	TOKEN_NONE,
	TOKEN_LAST,
	TOKEN_PREV,
	TOKEN_OLDER, /* the same block, any below */
	TOKEN_FIRST,
	TOKEN_BLOCK, /* the same block's unused number */
	TOKEN_BEFORE, /* in an earlier block */
	TOKEN_NEXT, /* not yet given */
	TOKEN_RECENT, /* one that some ALLOC returned */
	TOKEN_ANY,
	NR_TOKEN_KINDS
};

/* One step, in terms that keep their sense when other steps are taken away. */
struct step {
	uint8_t kind;
	uint8_t client;
	uint8_t device;
	uint8_t space;
	uint8_t buffer;
	uint8_t size;
	uint8_t token;
	uint8_t stack; /* 0: none */
	uint8_t wrong; /* what to spoil; 0: nothing */
	uint8_t batch; /* neighbours of one number go together */
	uint32_t flags;
	uint32_t arg;
};

struct sequence {
	struct step *steps;
	unsigned int nr;
	uint64_t history; /* module parameters */
	uint64_t max_buffers;
	uint64_t log_limit;
	enum model_break wrong;
};

/* Where and why model and kernel differed. */
struct mismatch {
	unsigned int step;
	char text[1024];
};

typedef bool (*sequence_fn)(const struct sequence *seq, FILE *log, struct mismatch *mismatch,
			    void *arg);

/* ---- shrinking (model_shrink.c) ------------------------------------------ */

unsigned int sequence_shrink(struct sequence *seq, unsigned int max_runs, sequence_fn fails,
			     void *arg, const struct mismatch *first);

#endif /* MODEL_H */
