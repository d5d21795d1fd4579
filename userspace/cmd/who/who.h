/* SPDX-License-Identifier: GPL-2.0 */
/* What the files of who share: who.c, print.c. */
#ifndef BUFFTRACK_WHO_H
#define BUFFTRACK_WHO_H

#include <stdbool.h>
#include <stdint.h>
#include <linux/bufftrack.h>

#include "abi/around.h"
#include "report/report.h"

/**
 * struct who_query - an address that is asked after, and what is known of it
 * @filter: on which devices, in which spaces
 * @limit: so many ended allocations are told; 0: all
 * @now: when it was looked
 * @fd: the open device
 */
struct who_query {
	struct bufftrack_list filter;
	struct around around;
	struct report_style style;
	uint64_t limit;
	uint64_t now;
	int fd;
	bool json;
};

/* print.c */
void who_print_text(struct who_query *who);
void who_print_json(struct who_query *who);

#endif
