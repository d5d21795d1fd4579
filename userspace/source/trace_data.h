/* SPDX-License-Identifier: GPL-2.0 */
#ifndef BUFFTRACK_TRACE_DATA_H
#define BUFFTRACK_TRACE_DATA_H

#include <stddef.h>

struct recording_facts;
struct recording_sink;

#define TRACE_DATA_MAGIC "\x17\x08\x44tracing"

void trace_data_read(const int *fds, size_t nr, const struct recording_sink *sink,
		     struct recording_facts *facts);

#endif
