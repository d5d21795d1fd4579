// SPDX-License-Identifier: LGPL-2.1-or-later OR MIT
/* Memory objects: created, retained, released, mapped. */
#include <string.h>

#include "opencl/opencl.h"

/* Calls the runtime, and reports what the program got by it. */
#define CREATE(context, size, parent, ...)                   \
	do {                                                 \
		bool programs = layer_enter();               \
		cl_mem mem = opencl_next.__VA_ARGS__;        \
                                                             \
		layer_leave();                               \
		if (mem && programs)                         \
			created(mem, context, size, parent); \
		return mem;                                  \
	} while (0)

static void created(cl_mem mem, cl_context context, uint64_t size, cl_mem parent)
{
	layer_alloc(SPACE_MEM, opencl_handle(mem), opencl_device_of(context), size,
		    opencl_handle(context), opencl_handle(parent));
}

static cl_mem CL_API_CALL create_buffer(cl_context context, cl_mem_flags flags, size_t size,
					void *host, cl_int *err)
{
	CREATE(context, size, NULL, clCreateBuffer(context, flags, size, host, err));
}

static cl_mem CL_API_CALL create_buffer_with(cl_context context,
					     const cl_mem_properties *properties,
					     cl_mem_flags flags, size_t size, void *host,
					     cl_int *err)
{
	CREATE(context, size, NULL,
	       clCreateBufferWithProperties(context, properties, flags, size, host, err));
}

/* The parent is live here: it was just read from. */
static cl_mem CL_API_CALL create_sub_buffer(cl_mem parent, cl_mem_flags flags,
					    cl_buffer_create_type type, const void *info,
					    cl_int *err)
{
	const cl_buffer_region *region = info;
	bool programs = layer_enter();
	cl_mem mem = opencl_next.clCreateSubBuffer(parent, flags, type, info, err);
	struct layer_handle *known;

	layer_leave();
	if (mem && programs) {
		known = layer_find(SPACE_MEM, opencl_handle(parent));
		layer_alloc(SPACE_MEM, opencl_handle(mem),
			    known ? known->device : layer_first_device(), region->size,
			    known ? known->tag : 0, opencl_handle(parent));
	}
	return mem;
}

/* What the runtime says that an image takes; at least its elements. */
static uint64_t image_size(cl_mem mem)
{
	size_t size = 0;

	if (opencl_next.clGetMemObjectInfo(mem, CL_MEM_SIZE, sizeof(size), &size, NULL))
		return 0;
	return size;
}

#define CREATE_IMAGE(context, parent, ...)                              \
	do {                                                            \
		bool programs = layer_enter();                          \
		cl_mem mem = opencl_next.__VA_ARGS__;                   \
                                                                        \
		if (mem && programs)                                    \
			created(mem, context, image_size(mem), parent); \
		layer_leave();                                          \
		return mem;                                             \
	} while (0)

static cl_mem CL_API_CALL create_image(cl_context context, cl_mem_flags flags,
				       const cl_image_format *format, const cl_image_desc *desc,
				       void *host, cl_int *err)
{
	CREATE_IMAGE(context, desc->mem_object,
		     clCreateImage(context, flags, format, desc, host, err));
}

static cl_mem CL_API_CALL create_image_with(cl_context context, const cl_mem_properties *properties,
					    cl_mem_flags flags, const cl_image_format *format,
					    const cl_image_desc *desc, void *host, cl_int *err)
{
	CREATE_IMAGE(
		context, desc->mem_object,
		clCreateImageWithProperties(context, properties, flags, format, desc, host, err));
}

static cl_mem CL_API_CALL create_image2d(cl_context context, cl_mem_flags flags,
					 const cl_image_format *format, size_t width, size_t height,
					 size_t row, void *host, cl_int *err)
{
	CREATE_IMAGE(context, NULL,
		     clCreateImage2D(context, flags, format, width, height, row, host, err));
}

static cl_mem CL_API_CALL create_image3d(cl_context context, cl_mem_flags flags,
					 const cl_image_format *format, size_t width, size_t height,
					 size_t depth, size_t row, size_t slice, void *host,
					 cl_int *err)
{
	CREATE_IMAGE(context, NULL,
		     clCreateImage3D(context, flags, format, width, height, depth, row, slice, host,
				     err));
}

static cl_mem CL_API_CALL create_pipe(cl_context context, cl_mem_flags flags, cl_uint packet,
				      cl_uint packets, const cl_pipe_properties *properties,
				      cl_int *err)
{
	CREATE(context, (uint64_t)packet * packets, NULL,
	       clCreatePipe(context, flags, packet, packets, properties, err));
}

static cl_mem CL_API_CALL create_from_gl_buffer(cl_context context, cl_mem_flags flags,
						cl_GLuint buffer, cl_int *err)
{
	CREATE_IMAGE(context, NULL, clCreateFromGLBuffer(context, flags, buffer, err));
}

static cl_mem CL_API_CALL create_from_gl_texture(cl_context context, cl_mem_flags flags,
						 cl_GLenum target, cl_GLint level,
						 cl_GLuint texture, cl_int *err)
{
	CREATE_IMAGE(context, NULL,
		     clCreateFromGLTexture(context, flags, target, level, texture, err));
}

static cl_mem CL_API_CALL create_from_gl_texture2d(cl_context context, cl_mem_flags flags,
						   cl_GLenum target, cl_GLint level,
						   cl_GLuint texture, cl_int *err)
{
	CREATE_IMAGE(context, NULL,
		     clCreateFromGLTexture2D(context, flags, target, level, texture, err));
}

static cl_mem CL_API_CALL create_from_gl_texture3d(cl_context context, cl_mem_flags flags,
						   cl_GLenum target, cl_GLint level,
						   cl_GLuint texture, cl_int *err)
{
	CREATE_IMAGE(context, NULL,
		     clCreateFromGLTexture3D(context, flags, target, level, texture, err));
}

static cl_mem CL_API_CALL create_from_gl_renderbuffer(cl_context context, cl_mem_flags flags,
						      cl_GLuint renderbuffer, cl_int *err)
{
	CREATE_IMAGE(context, NULL, clCreateFromGLRenderbuffer(context, flags, renderbuffer, err));
}

static cl_int CL_API_CALL retain(cl_mem mem)
{
	bool counted = layer_enter() && layer_retain(SPACE_MEM, opencl_handle(mem));
	cl_int err = opencl_next.clRetainMemObject(mem);

	layer_leave();
	if (err && counted)
		layer_unretain(SPACE_MEM, opencl_handle(mem));
	return err;
}

static cl_int CL_API_CALL release(cl_mem mem)
{
	struct layer_free what = { .reported = false };
	cl_int err = CL_SUCCESS;

	if (layer_enter())
		layer_free_begin(&what, SPACE_MEM, opencl_handle(mem));
	if (!what.withheld)
		err = opencl_next.clReleaseMemObject(mem);
	layer_leave();
	layer_free_end(&what, !err);
	return err;
}

static void *CL_API_CALL map_buffer(cl_command_queue queue, cl_mem mem, cl_bool blocking,
				    cl_map_flags flags, size_t offset, size_t size, cl_uint nr,
				    const cl_event *wait, cl_event *event, cl_int *err)
{
	bool programs = layer_enter();
	void *at = opencl_next.clEnqueueMapBuffer(queue, mem, blocking, flags, offset, size, nr,
						  wait, event, err);

	layer_leave();
	if (at && programs)
		layer_map(SPACE_MEM, opencl_handle(mem));
	return at;
}

static void *CL_API_CALL map_image(cl_command_queue queue, cl_mem mem, cl_bool blocking,
				   cl_map_flags flags, const size_t *origin, const size_t *region,
				   size_t *row, size_t *slice, cl_uint nr, const cl_event *wait,
				   cl_event *event, cl_int *err)
{
	bool programs = layer_enter();
	void *at = opencl_next.clEnqueueMapImage(queue, mem, blocking, flags, origin, region, row,
						 slice, nr, wait, event, err);

	layer_leave();
	if (at && programs)
		layer_map(SPACE_MEM, opencl_handle(mem));
	return at;
}

static cl_int CL_API_CALL unmap(cl_command_queue queue, cl_mem mem, void *at, cl_uint nr,
				const cl_event *wait, cl_event *event)
{
	bool programs = layer_enter();
	cl_int err = opencl_next.clEnqueueUnmapMemObject(queue, mem, at, nr, wait, event);

	layer_leave();
	if (!err && programs)
		layer_unmap(SPACE_MEM, opencl_handle(mem));
	return err;
}

/* What the platforms have not is left empty. */
#define WRAP(member, function)                    \
	do {                                      \
		if (table->member)                \
			table->member = function; \
	} while (0)

void opencl_wrap_memory(struct _cl_icd_dispatch *table)
{
	WRAP(clCreateBuffer, create_buffer);
	WRAP(clCreateBufferWithProperties, create_buffer_with);
	WRAP(clCreateSubBuffer, create_sub_buffer);
	WRAP(clCreateImage, create_image);
	WRAP(clCreateImageWithProperties, create_image_with);
	WRAP(clCreateImage2D, create_image2d);
	WRAP(clCreateImage3D, create_image3d);
	WRAP(clCreatePipe, create_pipe);
	WRAP(clCreateFromGLBuffer, create_from_gl_buffer);
	WRAP(clCreateFromGLTexture, create_from_gl_texture);
	WRAP(clCreateFromGLTexture2D, create_from_gl_texture2d);
	WRAP(clCreateFromGLTexture3D, create_from_gl_texture3d);
	WRAP(clCreateFromGLRenderbuffer, create_from_gl_renderbuffer);
	WRAP(clRetainMemObject, retain);
	WRAP(clReleaseMemObject, release);
	WRAP(clEnqueueMapBuffer, map_buffer);
	WRAP(clEnqueueMapImage, map_image);
	WRAP(clEnqueueUnmapMemObject, unmap);
}
