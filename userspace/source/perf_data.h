/* SPDX-License-Identifier: GPL-2.0 */
#ifndef BUFFTRACK_PERF_DATA_H
#define BUFFTRACK_PERF_DATA_H

#include <stddef.h>

struct recording_facts;
struct recording_sink;

#define PERF_DATA_MAGIC "PERFILE2"
#define PERF_DATA_MAGIC_SWAPPED "2ELIFREP"
#define PERF_DATA_MAGIC_OLD "PERFFILE"

void perf_data_read(const int *fds, size_t nr, const struct recording_sink *sink,
		    struct recording_facts *facts);

#endif
