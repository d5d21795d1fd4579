/* SPDX-License-Identifier: GPL-2.0 */
#ifndef BUFFTRACK_SANDBOX_H
#define BUFFTRACK_SANDBOX_H

#include <stdbool.h>
#include <sys/types.h>

uid_t sandbox_user(uid_t owner);
bool sandbox_enter(uid_t user);

#endif
