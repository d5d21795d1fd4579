/* SPDX-License-Identifier: GPL-2.0 */
#ifndef BUFFTRACK_GROUP_H
#define BUFFTRACK_GROUP_H

#include <stdbool.h>
#include <stdint.h>

struct event;
struct groups;
struct report_style;

/* So many of a group are told whole, the others counted. */
#define GROUP_WHOLE 5
/* How often a count is told while it grows. */
#define GROUP_TELL_NS 1000000000ULL
/* Groups that are known at once; then the one that was quiet the longest goes. */
#define GROUP_MAX 256

struct groups *groups_new(const struct report_style *style);
void groups_free(struct groups *groups);
bool groups_take(struct groups *groups, const struct event *event, uint64_t now);
void groups_tell_due(struct groups *groups, uint64_t now);
void groups_end(struct groups *groups);

#endif
