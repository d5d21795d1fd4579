/* SPDX-License-Identifier: GPL-2.0 */
#ifndef BUFFTRACK_PERF_DATA_H
#define BUFFTRACK_PERF_DATA_H

#include <stdbool.h>

struct recording_facts;
struct recording_sink;

#define PERF_DATA_MAGIC "PERFILE2"

void perf_data_read(int fd, const struct recording_sink *sink, struct recording_facts *facts);

#endif
