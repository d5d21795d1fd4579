/* SPDX-License-Identifier: GPL-2.0 */
#ifndef BUFFTRACK_RESOLVER_H
#define BUFFTRACK_RESOLVER_H

#include <stdint.h>
#include <sys/types.h>

struct bufftrack_frame;
struct resolver;
struct symbol_list;

/* How long one frame may take; and where a server may have to be asked for its file. */
#define RESOLVER_MS 30000
#define RESOLVER_DOWNLOAD_MS 120000

struct resolver *resolver_new(int ms);
void resolver_free(struct resolver *resolver);
void resolver_look_in(struct resolver *resolver, const char *symfs, const char *debug_path);
void resolver_while_waiting(struct resolver *resolver, void (*do_it)(void *data), void *data);
void resolver_of_process(struct resolver *resolver, pid_t pid, uint64_t time);
void resolver_find(struct resolver *resolver, const struct bufftrack_frame *frame,
		   struct symbol_list *list);

#endif
