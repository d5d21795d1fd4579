// SPDX-License-Identifier: LGPL-2.1-or-later OR MIT
/* The client of a layer, its process, and the names of devices. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "common/report.h"

struct bufftrack *layer_bt;
bool layer_protects;
__thread unsigned int layer_depth;

/* In memory that a forked child finds empty: 1 in the process that opened the client. */
static unsigned int *original;
static const char *const *space_names;
static uint64_t first_device; /* atomic */

static unsigned int *wiped_page(void)
{
	void *page = mmap(NULL, sizeof(unsigned int), PROT_READ | PROT_WRITE,
			  MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (page == MAP_FAILED)
		return NULL;
	madvise(page, sizeof(unsigned int), MADV_WIPEONFORK);
	return page;
}

bool layer_open(const char *name, const char *const *spaces)
{
	const char *protect = secure_getenv("BUFFTRACK_PROTECT");
	int saved = errno;

	if (layer_bt)
		return true;
	original = wiped_page();
	if (!original)
		return false;
	*original = 1;
	space_names = spaces;
	layer_protects = protect && !strcmp(protect, "1");
	layer_bt = bufftrack_open(name, BUFFTRACK_CLIENT_PRIVATE);
	errno = saved;
	return layer_bt != NULL;
}

bool layer_is_forked(void)
{
	return !original || !*original;
}

/* FNV-1a */
uint64_t layer_hash(const void *data, size_t size, uint64_t before)
{
	const unsigned char *bytes = data;
	uint64_t hash = before ? before : 0xcbf29ce484222325ULL;
	size_t i;

	for (i = 0; i < size; i++)
		hash = (hash ^ bytes[i]) * 0x100000001b3ULL;
	return hash;
}

static void make_label(char *label, const char *name)
{
	unsigned int i;

	for (i = 0; i < BUFFTRACK_NAME_LEN - 1 && name[i]; i++)
		label[i] = name[i] <= ' ' || name[i] > '~' || strchr("\"'=\\", name[i]) ? '-'
											: name[i];
	label[i] = '\0';
}

void layer_label_device(uint64_t device, const char *name)
{
	char label[BUFFTRACK_NAME_LEN];
	uint64_t none = 0;
	uint32_t space;

	__atomic_compare_exchange_n(&first_device, &none, device, false, __ATOMIC_RELAXED,
				    __ATOMIC_RELAXED);
	make_label(label, name);
	bufftrack_label_device(layer_bt, device, label);
	for (space = 0; space < LAYER_SPACES; space++)
		if (space_names[space])
			bufftrack_label_space(layer_bt, device, space, space_names[space]);
}

void layer_label_tag(uint64_t device, uint64_t tag, const char *name)
{
	char label[BUFFTRACK_NAME_LEN];

	make_label(label, name);
	bufftrack_label_tag(layer_bt, device, tag, label);
}

uint64_t layer_first_device(void)
{
	return __atomic_load_n(&first_device, __ATOMIC_RELAXED);
}
