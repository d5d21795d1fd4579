/* SPDX-License-Identifier: GPL-2.0 */
#ifndef BUFFTRACK_METRICS_H
#define BUFFTRACK_METRICS_H

struct counters;

void metrics_print(const struct counters *counters);

#endif
