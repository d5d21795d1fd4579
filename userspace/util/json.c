// SPDX-License-Identifier: GPL-2.0
/* What every JSON line of the tool has in common: see DESIGN, "JSON". */
#include <inttypes.h>
#include <stdio.h>

#include "util/json.h"
#include "util/util.h"

/* Adds @value, NULL for null, which then belongs to @object. */
void json_add(struct json_object *object, const char *key, struct json_object *value)
{
	json_object_object_add(object, key, value);
}

void json_add_bool(struct json_object *object, const char *key, bool value)
{
	json_add(object, key, json_object_new_boolean(value));
}

void json_add_number(struct json_object *object, const char *key, uint64_t value)
{
	json_add(object, key, json_object_new_uint64(value));
}

/* A 64-bit id: a string, since many readers keep only 53 bits of a number. */
void json_add_id(struct json_object *object, const char *key, uint64_t value)
{
	char text[SHORT_TEXT];

	snprintf(text, sizeof(text), "0x%" PRIx64, value);
	json_add(object, key, json_object_new_string(text));
}

/* Nanoseconds, as seconds with nine decimals. */
void json_add_time(struct json_object *object, const char *key, uint64_t ns)
{
	char text[32];

	snprintf(text, sizeof(text), "%" PRIu64 ".%09" PRIu64, ns / (uint64_t)NSEC_PER_SEC,
		 ns % (uint64_t)NSEC_PER_SEC);
	json_add(object, key, json_object_new_double_s((double)ns / 1e9, text));
}

/* A string; NULL or an empty one is null. */
void json_add_text(struct json_object *object, const char *key, const char *text)
{
	json_add(object, key, text && *text ? json_object_new_string(text) : NULL);
}

/* Prints the object on a line of its own, and lets go of it. */
void json_print(struct json_object *object)
{
	puts(json_object_to_json_string_ext(object, JSON_C_TO_STRING_PLAIN |
							    JSON_C_TO_STRING_NOSLASHESCAPE));
	json_object_put(object);
}
