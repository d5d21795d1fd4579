/* SPDX-License-Identifier: GPL-2.0 */
#ifndef BUFFTRACK_PROTOCOL_H
#define BUFFTRACK_PROTOCOL_H

#include <linux/bufftrack.h>
#include <stdint.h>

/*
 * What the resolver asks a reader of files, and what that answers. A file may have made
 * the reader another's: the resolver believes nothing of an answer, and checks each
 * number.
 */

/* The request's descriptors, in this order */
#define REQUEST_FILE 1 /* the mapped file */
#define REQUEST_DEBUG 2 /* the file that has its debug information */

struct request {
	struct bufftrack_frame frame;
	uint32_t files; /* REQUEST_FILE | REQUEST_DEBUG */
	uint32_t reserved;
};

/* What the reader lacks; the request can be made again, with that. */
#define ANSWER_NEEDS_FILE 1
#define ANSWER_WANTS_DEBUG 2

/* The symbols follow, each with its two texts. */
struct answer {
	uint32_t why; /* enum unresolved */
	uint32_t wants;
	uint32_t nr;
	uint32_t reserved;
};

struct answer_symbol {
	uint32_t function_len, file_len; /* with the NUL; 0 for none */
	uint32_t line;
	uint32_t inlined;
};

#endif
