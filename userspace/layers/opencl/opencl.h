/* SPDX-License-Identifier: LGPL-2.1-or-later OR MIT */
/* What the files of the OpenCL layer know of each other. */
#ifndef BUFFTRACK_LAYER_OPENCL_H
#define BUFFTRACK_LAYER_OPENCL_H

#define CL_TARGET_OPENCL_VERSION 300
#include <CL/cl.h>
#include <CL/cl_ext.h>
#include <CL/cl_gl.h>
#include <CL/cl_icd.h>
#include <CL/cl_layer.h>

#include "common/layer.h"

enum {
	SPACE_MEM = 1, /* cl_mem: buffers, images, pipes have one namespace of handles */
	SPACE_SVM = 2, /* pointers */
	SPACE_CONTEXT = 3, /* contexts: remembered for their device, never reported */
};

extern struct _cl_icd_dispatch opencl_next; /* what the layer calls */

static inline uint64_t opencl_handle(const void *handle)
{
	return (uintptr_t)handle;
}

/* The device that a context's memory is said to be on. */
uint64_t opencl_device_of(cl_context context);
/* Looks at a new context's devices. */
void opencl_new_context(cl_context context);

/* Put into the table: each wraps the functions of the program's that it is given. */
void opencl_wrap_callbacks(struct _cl_icd_dispatch *table);
void opencl_wrap_memory(struct _cl_icd_dispatch *table);
void opencl_wrap_svm(struct _cl_icd_dispatch *table);

#endif /* BUFFTRACK_LAYER_OPENCL_H */
