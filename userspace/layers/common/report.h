/* SPDX-License-Identifier: LGPL-2.1-or-later OR MIT */
/* What the files of common/ know of each other. */
#ifndef BUFFTRACK_LAYER_REPORT_H
#define BUFFTRACK_LAYER_REPORT_H

#include "common/layer.h"

extern struct bufftrack *layer_bt; /* NULL where nothing is reported */
extern bool layer_protects; /* bad frees are not passed to the runtime */

#endif /* BUFFTRACK_LAYER_REPORT_H */
