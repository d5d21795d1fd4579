/* SPDX-License-Identifier: GPL-2.0 */
#ifndef BUFFTRACK_SIGNALS_H
#define BUFFTRACK_SIGNALS_H

#include <signal.h>
#include <stdbool.h>

void signals_catch(sigset_t *while_waiting);
bool signals_stopped(void);
void signals_pass_on(const sigset_t *blocked);
void signals_let_in(void);
void signals_stop(void);
bool signals_pending(void);

#endif
