// SPDX-License-Identifier: LGPL-2.1-or-later OR MIT
/*
 * The OpenCL layer: how the loader finds it (OPENCL_LAYERS), by ocl-icd's and the Khronos
 * loader's rules. A layer that says that it cannot start is left out by both, and costs
 * nothing: so without the kernel module.
 */
#include <string.h>

#include "opencl/opencl.h"

#define NAME "bufftrack"

struct _cl_icd_dispatch opencl_next;
static struct _cl_icd_dispatch table;

static const char *const spaces[LAYER_SPACES] = {
	[SPACE_MEM] = "mem",
	[SPACE_SVM] = "svm",
	[LAYER_SPACE_MAPPED] = "mapped",
};

static cl_int give(const void *value, size_t size, size_t room, void *to, size_t *size_ret)
{
	if (to && room < size)
		return CL_INVALID_VALUE;
	if (to)
		memcpy(to, value, size);
	if (size_ret)
		*size_ret = size;
	return CL_SUCCESS;
}

LAYER_EXPORT cl_int CL_API_CALL clGetLayerInfo(cl_layer_info name, size_t room, void *value,
					       size_t *size_ret)
{
	const cl_layer_api_version version = CL_LAYER_API_VERSION_100;

	switch (name) {
	case CL_LAYER_API_VERSION:
		return give(&version, sizeof(version), room, value, size_ret);
	case CL_LAYER_NAME:
		return give(NAME, sizeof(NAME), room, value, size_ret);
	default:
		return CL_INVALID_VALUE;
	}
}

/* Of two tables of different ages the shorter one is what both know. */
LAYER_EXPORT cl_int CL_API_CALL clInitLayer(cl_uint nr, const struct _cl_icd_dispatch *target,
					    cl_uint *nr_ret,
					    const struct _cl_icd_dispatch **layer_ret)
{
	const cl_uint known = sizeof(table) / sizeof(void *);

	if (!target || !nr_ret || !layer_ret)
		return CL_INVALID_VALUE;
	if (!layer_open("opencl-layer", spaces))
		return CL_INVALID_OPERATION;
	if (nr > known)
		nr = known;
	memcpy(&opencl_next, target, nr * sizeof(void *));
	table = opencl_next;
	opencl_wrap_callbacks(&table);
	opencl_wrap_memory(&table);
	opencl_wrap_svm(&table);
	*nr_ret = nr;
	*layer_ret = &table;
	return CL_SUCCESS;
}

/* The Khronos loader's later way in; it has no property that this layer heeds. */
LAYER_EXPORT cl_int CL_API_CALL clInitLayerWithProperties(cl_uint nr,
							  const struct _cl_icd_dispatch *target,
							  cl_uint *nr_ret,
							  const struct _cl_icd_dispatch **layer_ret,
							  const void *properties);

cl_int CL_API_CALL clInitLayerWithProperties(cl_uint nr, const struct _cl_icd_dispatch *target,
					     cl_uint *nr_ret,
					     const struct _cl_icd_dispatch **layer_ret,
					     const void *properties)
{
	(void)properties;
	return clInitLayer(nr, target, nr_ret, layer_ret);
}
