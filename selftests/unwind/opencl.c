// SPDX-License-Identifier: GPL-2.0
/* A program of a real runtime: buffers, and a kernel that is compiled and run. */
#define CL_TARGET_OPENCL_VERSION 120
#include <CL/cl.h>
#include <stdio.h>
#include <stdlib.h>

static const char *const source = "__kernel void add(__global int *a, int n)\n"
				  "{ for (int i = 0; i < n; i++) a[get_global_id(0)] += i; }\n";

static void check(cl_int err, const char *what)
{
	if (err == CL_SUCCESS)
		return;
	fprintf(stderr, "%s: %d\n", what, err);
	exit(1);
}

int main(void)
{
	cl_command_queue queue;
	cl_platform_id platform;
	cl_device_id device;
	cl_context context;
	cl_program program;
	size_t size = 1024;
	cl_kernel kernel;
	cl_int err, n, i;
	cl_mem buffer;

	check(clGetPlatformIDs(1, &platform, NULL), "clGetPlatformIDs");
	check(clGetDeviceIDs(platform, CL_DEVICE_TYPE_ALL, 1, &device, NULL), "clGetDeviceIDs");
	context = clCreateContext(NULL, 1, &device, NULL, NULL, &err);
	check(err, "clCreateContext");
	queue = clCreateCommandQueue(context, device, 0, &err);
	check(err, "clCreateCommandQueue");
	program = clCreateProgramWithSource(context, 1, (const char **)&source, NULL, &err);
	check(err, "clCreateProgramWithSource");
	check(clBuildProgram(program, 1, &device, "", NULL, NULL), "clBuildProgram");
	kernel = clCreateKernel(program, "add", &err);
	check(err, "clCreateKernel");
	for (i = 0; i < 300; i++) {
		n = i;
		buffer = clCreateBuffer(context, CL_MEM_READ_WRITE, size * sizeof(n), NULL, &err);
		check(err, "clCreateBuffer");
		check(clSetKernelArg(kernel, 0, sizeof(buffer), &buffer), "clSetKernelArg");
		check(clSetKernelArg(kernel, 1, sizeof(n), &n), "clSetKernelArg");
		check(clEnqueueNDRangeKernel(queue, kernel, 1, NULL, &size, NULL, 0, NULL, NULL),
		      "clEnqueueNDRangeKernel");
		check(clFinish(queue), "clFinish");
		check(clReleaseMemObject(buffer), "clReleaseMemObject");
	}
	clReleaseKernel(kernel);
	clReleaseProgram(program);
	clReleaseCommandQueue(queue);
	clReleaseContext(context);
	return 0;
}
