/* SPDX-License-Identifier: GPL-2.0 */
#ifndef BUFFTRACK_LABELS_H
#define BUFFTRACK_LABELS_H

#include <stdint.h>

struct labels;

struct labels *labels_new(void);
struct labels *labels_of_recording(void);
void labels_free(struct labels *labels);
void labels_forget(struct labels *labels);
void labels_read(struct labels *labels, int fd);
const char *labels_device(struct labels *labels, uint64_t device);
const char *labels_space(struct labels *labels, uint64_t device, uint32_t space);

#endif
