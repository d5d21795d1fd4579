/* SPDX-License-Identifier: GPL-2.0 */
/* Files as perf makes them, for the tests of their reader. */
#ifndef BUFFTRACK_PERF_FILE_H
#define BUFFTRACK_PERF_FILE_H

#include <stddef.h>
#include <stdint.h>

#define ROOM 16384
#define ALLOC_TYPE 1001
#define DOUBLE_TYPE 1002
#define COMPRESSED 81
#define COUNTED (1U << 0) /* the second attribute is a member of a group with :S */
#define SAME_EVENT (1U << 1) /* both attributes are of the first one's event */

struct file {
	uint8_t bytes[ROOM];
	size_t len;
	size_t formats; /* where they begin */
	size_t formats_end;
};

typedef void records_fn(struct file *file);

void set64(struct file *file, size_t at, uint64_t value);
void put_sample(struct file *file, uint64_t id, uint16_t type, uint64_t time, uint64_t buffer);
records_fn put_records, put_compressed_records, put_compressed2_records, put_foreign, put_twice,
	put_rounds;
void make_file(struct file *file, records_fn *put_them, unsigned int how);
void make_pipe(struct file *file);

#endif
