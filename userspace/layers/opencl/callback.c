// SPDX-License-Identifier: LGPL-2.1-or-later OR MIT
/*
 * Functions of the program's that the runtime calls: what they call is the program's again,
 * however deep in the runtime they are called. Each is passed on with a block of memory that
 * says what to call. One that is called once frees its block.
 */
#include <stdlib.h>

#include "opencl/opencl.h"

struct callback {
	union {
		void(CL_CALLBACK *context)(const char *, const void *, size_t, void *);
		void(CL_CALLBACK *program)(cl_program, void *);
		void(CL_CALLBACK *event)(cl_event, cl_int, void *);
		void(CL_CALLBACK *mem)(cl_mem, void *);
		void(CL_CALLBACK *context_end)(cl_context, void *);
	} call;
	void *data;
};

static struct callback *new_callback(void *data)
{
	struct callback *callback = malloc(sizeof(*callback));

	if (callback)
		callback->data = data;
	return callback;
}

/* The tail of each that is called once: what is to be called, without the block. */
static struct callback take(void *block)
{
	struct callback callback = *(struct callback *)block;

	free(block);
	return callback;
}

static void CL_CALLBACK on_error(const char *text, const void *info, size_t size, void *block)
{
	const struct callback *callback = block;
	unsigned int depth = layer_callback_begin();

	callback->call.context(text, info, size, callback->data);
	layer_callback_end(depth);
}

static void CL_CALLBACK on_program(cl_program program, void *block)
{
	struct callback callback = take(block);
	unsigned int depth = layer_callback_begin();

	callback.call.program(program, callback.data);
	layer_callback_end(depth);
}

static void CL_CALLBACK on_event(cl_event event, cl_int status, void *block)
{
	struct callback callback = take(block);
	unsigned int depth = layer_callback_begin();

	callback.call.event(event, status, callback.data);
	layer_callback_end(depth);
}

static void CL_CALLBACK on_mem(cl_mem mem, void *block)
{
	struct callback callback = take(block);
	unsigned int depth = layer_callback_begin();

	callback.call.mem(mem, callback.data);
	layer_callback_end(depth);
}

static void CL_CALLBACK on_context_end(cl_context context, void *block)
{
	struct callback callback = take(block);
	unsigned int depth = layer_callback_begin();

	callback.call.context_end(context, callback.data);
	layer_callback_end(depth);
}

/* A context may call it as often as it lives: its block is never freed. */
#define CREATE_CONTEXT(...)                                                     \
	do {                                                                    \
		struct callback *callback = notify ? new_callback(data) : NULL; \
		cl_context context;                                             \
                                                                                \
		if (callback)                                                   \
			callback->call.context = notify;                        \
		layer_enter();                                                  \
		context = opencl_next.__VA_ARGS__;                              \
		layer_leave();                                                  \
		if (context)                                                    \
			opencl_new_context(context);                            \
		else                                                            \
			free(callback);                                         \
		return context;                                                 \
	} while (0)

static cl_context CL_API_CALL create_context(const cl_context_properties *properties, cl_uint nr,
					     const cl_device_id *devices,
					     void(CL_CALLBACK *notify)(const char *, const void *,
								       size_t, void *),
					     void *data, cl_int *err)
{
	CREATE_CONTEXT(clCreateContext(properties, nr, devices, callback ? on_error : notify,
				       callback ? callback : data, err));
}

static cl_context CL_API_CALL
create_context_from_type(const cl_context_properties *properties, cl_device_type type,
			 void(CL_CALLBACK *notify)(const char *, const void *, size_t, void *),
			 void *data, cl_int *err)
{
	CREATE_CONTEXT(clCreateContextFromType(properties, type, callback ? on_error : notify,
					       callback ? callback : data, err));
}

/* Where the runtime refuses, it will not call; nor where there is no memory for a block. */
#define PASS_ON(member, function, on, ...)                                      \
	do {                                                                    \
		struct callback *callback = notify ? new_callback(data) : NULL; \
		cl_int err;                                                     \
                                                                                \
		if (callback)                                                   \
			callback->call.member = notify;                         \
		layer_enter();                                                  \
		err = opencl_next.function(__VA_ARGS__, callback ? on : notify, \
					   callback ? (void *)callback : data); \
		layer_leave();                                                  \
		if (err)                                                        \
			free(callback);                                         \
		return err;                                                     \
	} while (0)

static cl_int CL_API_CALL set_event_callback(cl_event event, cl_int status,
					     void(CL_CALLBACK *notify)(cl_event, cl_int, void *),
					     void *data)
{
	PASS_ON(event, clSetEventCallback, on_event, event, status);
}

static cl_int CL_API_CALL set_destructor(cl_mem mem, void(CL_CALLBACK *notify)(cl_mem, void *),
					 void *data)
{
	PASS_ON(mem, clSetMemObjectDestructorCallback, on_mem, mem);
}

static cl_int CL_API_CALL set_context_destructor(cl_context context,
						 void(CL_CALLBACK *notify)(cl_context, void *),
						 void *data)
{
	PASS_ON(context_end, clSetContextDestructorCallback, on_context_end, context);
}

/*
 * A build may have called before it returned an error, and its block is gone then: of a
 * build with a callback that failed the block is kept, as that cannot be known.
 */
static cl_int CL_API_CALL build_program(cl_program program, cl_uint nr, const cl_device_id *devices,
					const char *options,
					void(CL_CALLBACK *notify)(cl_program, void *), void *data)
{
	struct callback *callback = notify ? new_callback(data) : NULL;
	cl_int err;

	if (callback)
		callback->call.program = notify;
	layer_enter();
	err = opencl_next.clBuildProgram(program, nr, devices, options,
					 callback ? on_program : notify,
					 callback ? (void *)callback : data);
	layer_leave();
	return err;
}

void opencl_wrap_callbacks(struct _cl_icd_dispatch *table)
{
	table->clCreateContext = create_context;
	table->clCreateContextFromType = create_context_from_type;
	table->clSetEventCallback = set_event_callback;
	table->clSetMemObjectDestructorCallback = set_destructor;
	if (table->clSetContextDestructorCallback)
		table->clSetContextDestructorCallback = set_context_destructor;
	table->clBuildProgram = build_program;
}
