// SPDX-License-Identifier: GPL-2.0
/* Lines: the log that the original keeps, and the bad verdicts. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <json-c/json_object.h>

#include "cmd/serve/output.h"
#include "cmd/serve/serve.h"
#include "event/names.h"
#include "util/json.h"

static bool is_certain(const struct bufftrack_op *op, const struct call *call)
{
	return !call->ambiguous && !(op->info & BUFFTRACK_INFO_PROBABLE);
}

/* One line a call, as the original says it, which `bufftrack replay` reads. */
void verdict_log(const struct serve *serve, const struct bufftrack_op *op, const struct call *call,
		 int32_t pid)
{
	char refs[40] = "";

	if (op->op == BUFFTRACK_OP_ALLOC) {
		if (op->refs > 1)
			snprintf(refs, sizeof(refs), ", ref_count=%u", op->refs);
		output_line(serve->output,
			    "✓ [PID %d] Allocated %" PRIu64
			    " bytes of %s on device %d (buffer_id=%" PRIu64 "%s)",
			    pid, call->size, buffer_type_name(op->space), (int32_t)op->device,
			    (uint64_t)op->buffer, refs);
		return;
	}
	if (op->verdict != BUFFTRACK_OK) {
		output_line(serve->output,
			    "⚠ [PID %d] Deallocation for unknown buffer %" PRIu64
			    " on device %d (allocated before tracking started)",
			    pid, (uint64_t)op->buffer, (int32_t)op->device);
		return;
	}
	if (op->refs)
		snprintf(refs, sizeof(refs), "ref_count=%u remaining", op->refs);
	output_line(serve->output,
		    "✗ [PID %d] Freed buffer %" PRIu64 " on device %d (%" PRIu64 " bytes, %s)", pid,
		    (uint64_t)op->buffer, (int32_t)op->device, call->size,
		    refs[0] ? refs : "FINAL");
}

static void tell_json(const struct serve *serve, const struct bufftrack_op *op,
		      const struct call *call, int32_t pid, const char *peer)
{
	struct json_object *object = json_object_new_object();
	struct json_object *offender = json_object_new_object();

	json_add_text(object, "event", verdict_name(op->verdict));
	json_add_id(object, "device", op->device);
	json_add_number(object, "space", op->space);
	json_add_text(object, "space_label", buffer_type_name(op->space));
	json_add_id(object, "buffer", op->buffer);
	json_add_number(object, "size", call->size);
	json_add_number(object, "generation", op->generation);
	json_add_number(object, "refs", op->refs);
	json_add_bool(object, "certain", is_certain(op, call));
	json_add_number(offender, "pid", (uint64_t)pid);
	json_add_text(offender, "comm", peer);
	json_add(object, "offender", offender);
	output_line(serve->output, "%s",
		    json_object_to_json_string_ext(object, JSON_C_TO_STRING_PLAIN));
	json_object_put(object);
}

/* A bad verdict: "double free of buffer 0x2000 (L1) on device 0 by python3[71]: certain" */
void verdict_tell(const struct serve *serve, const struct bufftrack_op *op, const struct call *call,
		  int32_t pid, const char *peer)
{
	char words[32];
	size_t i;

	if (serve->json) {
		tell_json(serve, op, call, pid, peer);
		return;
	}
	snprintf(words, sizeof(words), "%s", verdict_name(op->verdict));
	for (i = 0; words[i]; i++)
		if (words[i] == '_')
			words[i] = ' ';
	output_line(serve->output, "%s of buffer 0x%" PRIx64 " (%s) on device %d by %s[%d]: %s%s",
		    words, (uint64_t)op->buffer, buffer_type_name(op->space), (int32_t)op->device,
		    peer, pid, is_certain(op, call) ? "certain" : "probable",
		    call->ambiguous ? " (the address is allocated in several spaces)" : "");
}
