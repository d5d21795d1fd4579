// SPDX-License-Identifier: GPL-2.0
/*
 * What a runtime's own pair costs, on the cheapest of devices: PoCL, whose buffers
 * are the process's memory. It allocates none before a buffer is used, or else with
 * ALLOC_HOST_PTR at once.
 */
#define CL_TARGET_OPENCL_VERSION 120
#include <CL/cl.h>
#include <string.h>

#include "bench.h"

#define KEYS 64
#define ROUNDS 200
#define SIZE 8192

bool measure_opencl(const struct row *row, struct sample *sample)
{
	cl_platform_id platform;
	cl_mem_flags flags = CL_MEM_READ_WRITE;
	unsigned int round, i;
	cl_device_id device;
	cl_context context;
	cl_mem mem[KEYS];
	cl_int err;

	if (row->flags & ROW_HOST)
		flags |= CL_MEM_ALLOC_HOST_PTR;
	err = clGetPlatformIDs(1, &platform, NULL);
	if (!err)
		err = clGetDeviceIDs(platform, CL_DEVICE_TYPE_ALL, 1, &device, NULL);
	if (err)
		return cannot(sample, "PoCL did not start: OpenCL error %d", err);
	context = clCreateContext(NULL, 1, &device, NULL, NULL, &err);
	if (!context)
		return cannot(sample, "PoCL gave no context: OpenCL error %d", err);
	for (round = 0; round <= ROUNDS; round++) {
		if (round == 1)
			begin(sample);
		for (i = 0; i < KEYS; i++) {
			mem[i] = clCreateBuffer(context, flags, SIZE, NULL, &err);
			if (!mem[i])
				return cannot(sample, "clCreateBuffer: OpenCL error %d", err);
		}
		for (i = 0; i < KEYS; i++)
			clReleaseMemObject(mem[i]);
	}
	end(sample, KEYS * ROUNDS * 2);
	clReleaseContext(context);
	return true;
}
