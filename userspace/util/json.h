/* SPDX-License-Identifier: GPL-2.0 */
#ifndef BUFFTRACK_JSON_H
#define BUFFTRACK_JSON_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <json-c/json_object.h>

void json_add(struct json_object *object, const char *key, struct json_object *value);
void json_add_bool(struct json_object *object, const char *key, bool value);
void json_add_number(struct json_object *object, const char *key, uint64_t value);
void json_add_id(struct json_object *object, const char *key, uint64_t value);
void json_add_time(struct json_object *object, const char *key, uint64_t ns);
void json_add_text(struct json_object *object, const char *key, const char *text);
void json_print(struct json_object *object);

#endif
