/* SPDX-License-Identifier: GPL-2.0 */
#ifndef BUFFTRACK_LOAD_H
#define BUFFTRACK_LOAD_H

#include <stdbool.h>

struct json_object;
struct kmod_ctx;
struct kmod_list;
struct kmod_module;

struct json_object *load_outcome(bool changed);
struct kmod_list *load_module_info(struct kmod_module *module);
struct kmod_module *load_find_module(struct kmod_ctx *ctx, const char *given, bool *installed);
void load_explain_build(const char *wrong);
void load_explain_refusal(struct kmod_module *module, bool installed, const char *parameters,
			  int error);

#endif
