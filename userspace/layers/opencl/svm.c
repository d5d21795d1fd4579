// SPDX-License-Identifier: LGPL-2.1-or-later OR MIT
/* Shared virtual memory: pointers that a program allocates and frees, now or in a queue. */
#include <stdlib.h>
#include <string.h>

#include "opencl/opencl.h"

static void *CL_API_CALL svm_alloc(cl_context context, cl_svm_mem_flags flags, size_t size,
				   cl_uint alignment)
{
	bool programs = layer_enter();
	void *at = opencl_next.clSVMAlloc(context, flags, size, alignment);

	layer_leave();
	if (at && programs)
		layer_alloc(SPACE_SVM, opencl_handle(at), opencl_device_of(context), size,
			    opencl_handle(context), 0);
	return at;
}

static void CL_API_CALL svm_free(cl_context context, void *at)
{
	struct layer_free what = { .reported = false };

	if (layer_enter())
		layer_free_begin(&what, SPACE_SVM, opencl_handle(at));
	if (!what.withheld)
		opencl_next.clSVMFree(context, at);
	layer_leave();
}

struct svm_callback {
	void(CL_CALLBACK *call)(cl_command_queue, cl_uint, void **, void *);
	void *data;
};

static void CL_CALLBACK on_free(cl_command_queue queue, cl_uint nr, void **pointers, void *block)
{
	struct svm_callback callback = *(struct svm_callback *)block;
	unsigned int depth = layer_callback_begin();

	free(block);
	callback.call(queue, nr, pointers, callback.data);
	layer_callback_end(depth);
}

/*
 * With a callback nothing is freed by this: the program's function does that, and is seen
 * when it does. It may have run before the call returns.
 */
static cl_int CL_API_CALL enqueue_with_callback(cl_command_queue queue, cl_uint nr, void **pointers,
						void(CL_CALLBACK *call)(cl_command_queue, cl_uint,
									void **, void *),
						void *data, cl_uint nr_wait, const cl_event *wait,
						cl_event *event)
{
	struct svm_callback *callback = malloc(sizeof(*callback));
	cl_int err;

	if (callback)
		*callback = (struct svm_callback){ .call = call, .data = data };
	layer_enter();
	err = opencl_next.clEnqueueSVMFree(queue, nr, pointers, callback ? on_free : call,
					   callback ? (void *)callback : data, nr_wait, wait,
					   event);
	layer_leave();
	if (err)
		free(callback);
	return err;
}

/* Takes the bad ones out where they must not reach the runtime. Returns how many are left. */
static cl_uint begin_frees(struct layer_free *frees, void **passed, void **pointers, cl_uint nr)
{
	cl_uint left = 0, i;

	for (i = 0; i < nr; i++) {
		layer_free_begin(&frees[i], SPACE_SVM, opencl_handle(pointers[i]));
		if (!frees[i].withheld)
			passed[left++] = pointers[i];
	}
	return left;
}

static cl_int CL_API_CALL enqueue_svm_free(cl_command_queue queue, cl_uint nr, void **pointers,
					   void(CL_CALLBACK *call)(cl_command_queue, cl_uint,
								   void **, void *),
					   void *data, cl_uint nr_wait, const cl_event *wait,
					   cl_event *event)
{
	struct layer_free *frees = NULL;
	void **passed = NULL;
	cl_uint i, left = nr;
	cl_int err;

	if (call)
		return enqueue_with_callback(queue, nr, pointers, call, data, nr_wait, wait, event);
	if (layer_enter() && nr && pointers) {
		frees = calloc(nr, sizeof(*frees));
		passed = calloc(nr, sizeof(*passed));
		if (frees && passed)
			left = begin_frees(frees, passed, pointers, nr);
	}
	/* An empty list is an error: a program whose every free was withheld gets none. */
	if (left || !nr)
		err = opencl_next.clEnqueueSVMFree(queue, left, frees && passed ? passed : pointers,
						   NULL, data, nr_wait, wait, event);
	else
		err = opencl_next.clEnqueueMarkerWithWaitList(queue, nr_wait, wait, event);
	layer_leave();
	for (i = 0; frees && passed && err && i < nr; i++)
		layer_free_end(&frees[i], false);
	free(frees);
	free(passed);
	return err;
}

void opencl_wrap_svm(struct _cl_icd_dispatch *table)
{
	if (table->clSVMAlloc)
		table->clSVMAlloc = svm_alloc;
	if (table->clSVMFree)
		table->clSVMFree = svm_free;
	if (table->clEnqueueSVMFree)
		table->clEnqueueSVMFree = enqueue_svm_free;
}
