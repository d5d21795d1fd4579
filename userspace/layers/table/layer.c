// SPDX-License-Identifier: LGPL-2.1-or-later OR MIT
/*
 * Any runtime, by a table of its functions (BUFFTRACK_INTERPOSE names the file): an audit
 * library (LD_AUDIT), which the dynamic loader asks for the address of each symbol that is
 * bound, by dlsym() too. What calls within its own library is not seen, and is not the
 * program's.
 */
#include <link.h>
#include <stdlib.h>
#include <string.h>

#include "table/table.h"

static const char *spaces[LAYER_SPACES] = { NULL, "memory" };
static struct table_rule *rules;

/* All code is made before the program has threads: its pages are not writable after. */
static void prepare(void)
{
	struct table_rule *rule;

	for (rule = rules; rule; rule = rule->next) {
		rule->trampoline = table_make_trampoline(rule);
		if (rule->device.from == TABLE_NUMBER)
			layer_label_device(rule->device.number, "device");
	}
}

LAYER_EXPORT unsigned int la_version(unsigned int version)
{
	const char *path = secure_getenv("BUFFTRACK_INTERPOSE");

	(void)version;
	if (path)
		rules = table_read(path, spaces);
	/* Without a reader of the reports nothing is put in anybody's way. */
	if (rules && !layer_open("table-layer", spaces))
		rules = NULL;
	prepare();
	return LAV_CURRENT;
}

LAYER_EXPORT unsigned int la_objopen(struct link_map *map, Lmid_t namespace, uintptr_t *cookie)
{
	(void)map;
	(void)namespace;
	(void)cookie;
	return rules ? LA_FLG_BINDTO | LA_FLG_BINDFROM : 0;
}

/* One function a rule: where two libraries have one of the name, the first that was bound. */
static uintptr_t stand_in(struct table_rule *rule, uintptr_t real)
{
	uint64_t none = 0;

	__atomic_compare_exchange_n(&rule->real, &none, real, false, __ATOMIC_ACQ_REL,
				    __ATOMIC_ACQUIRE);
	if (none && none != real)
		return real;
	return rule->trampoline ? (uintptr_t)rule->trampoline : real;
}

LAYER_EXPORT uintptr_t la_symbind64(Elf64_Sym *symbol, unsigned int index, uintptr_t *from,
				    uintptr_t *to, unsigned int *flags, const char *name)
{
	struct table_rule *rule = table_find(rules, name);

	(void)index;
	(void)from;
	(void)to;
	(void)flags;
	return rule ? stand_in(rule, symbol->st_value) : symbol->st_value;
}
