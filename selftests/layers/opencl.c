// SPDX-License-Identifier: GPL-2.0
/*
 * OpenCL programs for the layer: what is wrong with the first ones is to be told, with both
 * places; of the others nothing is. What is to be seen stands in opencl.sh.
 *
 *	opencl NAME
 */
#define CL_TARGET_OPENCL_VERSION 300
#include <CL/cl.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define SIZE 8192
#define NOINLINE __attribute__((noinline, noclone))

static cl_device_id device;
static cl_context context;
static cl_command_queue queue;

static void need(bool is_so, const char *what)
{
	if (is_so)
		return;
	fprintf(stderr, "opencl: %s failed\n", what);
	exit(9);
}

static void set_up(void)
{
	cl_platform_id platform;
	cl_int err;

	need(!clGetPlatformIDs(1, &platform, NULL), "clGetPlatformIDs");
	need(!clGetDeviceIDs(platform, CL_DEVICE_TYPE_ALL, 1, &device, NULL), "clGetDeviceIDs");
	context = clCreateContext(NULL, 1, &device, NULL, NULL, &err);
	need(context, "clCreateContext");
	queue = clCreateCommandQueueWithProperties(context, device, NULL, &err);
	need(queue, "clCreateCommandQueue");
}

NOINLINE static cl_mem make(void)
{
	cl_mem mem = clCreateBuffer(context, CL_MEM_READ_WRITE, SIZE, NULL, NULL); /* at make */

	need(mem, "clCreateBuffer");
	return mem;
}

NOINLINE static void drop(cl_mem mem)
{
	clReleaseMemObject(mem); /* at drop */
	fflush(stdout);
}

NOINLINE static void drop_again(cl_mem mem)
{
	clReleaseMemObject(mem); /* at drop_again */
	fflush(stdout);
}

static void drop_unused(cl_mem mem)
{
	clReleaseMemObject(mem);
}

NOINLINE static cl_mem make_sub(cl_mem parent)
{
	cl_buffer_region region = { 0, 128 };
	cl_mem sub = clCreateSubBuffer(parent, 0, CL_BUFFER_CREATE_TYPE_REGION, /* at make_sub */
				       &region, NULL);

	need(sub, "clCreateSubBuffer");
	return sub;
}

/* ---- wrong -------------------------------------------------------------------- */

static void twice(void)
{
	cl_mem mem = make();

	drop(mem);
	drop_again(mem);
}

static void *drop_in_thread(void *data)
{
	drop(data);
	return NULL;
}

/* Another thread's old handle frees what has its value now. */
static void stale(void)
{
	cl_mem old = NULL, reused = NULL;
	pthread_t thread;
	unsigned int i;

	for (i = 0; i < 64 && (!reused || reused != old); i++) {
		old = make();
		drop(old);
		reused = make();
		if (reused != old)
			drop_unused(reused);
	}
	need(reused == old, "getting a handle again");
	pthread_create(&thread, NULL, drop_in_thread, old);
	pthread_join(thread, NULL);
	drop_again(reused);
}

static void in_child(void)
{
	int status;
	pid_t pid = fork();

	if (!pid) {
		twice();
		_exit(0);
	}
	waitpid(pid, &status, 0);
}

static void sub_twice(void)
{
	cl_mem parent = make(), sub = make_sub(parent);

	drop(parent);
	drop(sub);
	drop_again(sub);
}

NOINLINE static void *map(cl_mem mem)
{
	return clEnqueueMapBuffer(queue, mem, CL_TRUE, CL_MAP_WRITE, 0, SIZE, 0, /* at map */
				  NULL, NULL, NULL);
}

static void mapped(void)
{
	cl_mem mem = make();

	need(map(mem), "clEnqueueMapBuffer");
	drop(mem);
}

NOINLINE static void *svm_made(void)
{
	void *at = clSVMAlloc(context, CL_MEM_READ_WRITE, SIZE, 0); /* at svm_made */

	need(at, "clSVMAlloc");
	return at;
}

static void svm_twice(void)
{
	void *at = svm_made();

	clSVMFree(context, at);
	clSVMFree(context, at); /* at svm_twice */
}

static void retain_stale(void)
{
	cl_mem mem = make();

	drop(mem);
	clRetainMemObject(mem); /* at retain_stale */
}

/* ---- right -------------------------------------------------------------------- */

static void reuse(void)
{
	unsigned int i;

	for (i = 0; i < 1000; i++)
		drop(make());
}

static void references(void)
{
	cl_mem mem = make();

	need(!clRetainMemObject(mem), "clRetainMemObject");
	drop(mem);
	drop(mem);
	/* NULL and what fails are nothing. */
	need(clReleaseMemObject(NULL), "failing");
	need(!clCreateBuffer(context, CL_MEM_READ_WRITE, 0, NULL, NULL), "failing");
	need(clRetainMemObject(NULL), "failing");
}

static void family(void)
{
	cl_image_format format = { CL_RGBA, CL_UNSIGNED_INT8 };
	cl_image_desc desc = { .image_type = CL_MEM_OBJECT_IMAGE1D_BUFFER, .image_width = 64 };
	cl_mem parent = make(), sub = make_sub(parent), image;

	desc.mem_object = parent;
	image = clCreateImage(context, CL_MEM_READ_WRITE, &format, &desc, NULL, NULL);
	drop(parent);
	if (image)
		drop(image);
	drop(sub);
}

static cl_mem inner;

static void CL_CALLBACK release_inner(cl_mem mem, void *data)
{
	(void)mem;
	(void)data;
	drop(inner);
}

/* A release within a release, and it is the program's. */
static void callback(void)
{
	cl_mem mem = make();

	inner = make();
	need(!clSetMemObjectDestructorCallback(mem, release_inner, NULL), "callback");
	drop(mem);
}

static cl_mem inherited;

static void release_inherited(void)
{
	drop(inherited);
}

/* A child's exit handlers release what it has a copy of; so does its parent. */
static void child_exit(void)
{
	int status;
	pid_t pid;

	inherited = make();
	atexit(release_inherited);
	pid = fork();
	if (!pid) {
		drop(make());
		exit(0);
	}
	waitpid(pid, &status, 0);
}

static void map_unmap(void)
{
	cl_mem mem = make();
	void *at = map(mem), *second = map(mem);

	need(at && second, "clEnqueueMapBuffer");
	need(!clEnqueueUnmapMemObject(queue, mem, at, 0, NULL, NULL), "unmap");
	need(!clEnqueueUnmapMemObject(queue, mem, second, 0, NULL, NULL), "unmap");
	clFinish(queue);
	drop(mem);
}

static void CL_CALLBACK free_queued(cl_command_queue from, cl_uint nr, void **pointers, void *data)
{
	cl_uint i;

	(void)from;
	(void)data;
	for (i = 0; i < nr; i++)
		clSVMFree(context, pointers[i]);
}

static void svm(void)
{
	void *at[2] = { clSVMAlloc(context, CL_MEM_READ_WRITE, SIZE, 0),
			clSVMAlloc(context, CL_MEM_READ_WRITE, SIZE, 0) };
	void *more[1] = { clSVMAlloc(context, CL_MEM_READ_WRITE, SIZE, 0) };

	clSVMFree(context, NULL);
	need(!clEnqueueSVMFree(queue, 2, at, free_queued, NULL, 0, NULL, NULL), "queued free");
	need(!clEnqueueSVMFree(queue, 1, more, NULL, NULL, 0, NULL, NULL), "queued free");
	clFinish(queue);
}

static void *churn(void *data)
{
	unsigned int i;

	(void)data;
	for (i = 0; i < 500; i++)
		drop(make());
	return NULL;
}

static void threads(void)
{
	pthread_t thread[4];
	unsigned int i;

	for (i = 0; i < 4; i++)
		pthread_create(&thread[i], NULL, churn, NULL);
	for (i = 0; i < 4; i++)
		pthread_join(thread[i], NULL);
}

/* Nothing is lost where a program ends like this. */
static void sudden(void)
{
	drop(make());
	_exit(0);
}

/* The context first: each buffer keeps it. */
static void context_first(void)
{
	cl_mem mem = make();

	clReleaseCommandQueue(queue);
	clReleaseContext(context);
	drop(mem);
	_exit(0);
}

/* For who looks at what is loaded */
static void stay(void)
{
	sleep(1);
}

static const struct {
	const char *name;
	void (*run)(void);
} programs[] = {
	{ "twice", twice },
	{ "stale", stale },
	{ "in_child", in_child },
	{ "sub_twice", sub_twice },
	{ "mapped", mapped },
	{ "svm_twice", svm_twice },
	{ "retain_stale", retain_stale },
	{ "wait", stay },
	{ "reuse", reuse },
	{ "references", references },
	{ "family", family },
	{ "callback", callback },
	{ "child_exit", child_exit },
	{ "map_unmap", map_unmap },
	{ "svm", svm },
	{ "threads", threads },
	{ "sudden", sudden },
	{ "context_first", context_first },
};

int main(int argc, char **argv)
{
	unsigned int i;

	for (i = 0; i < sizeof(programs) / sizeof(programs[0]); i++)
		if (argc == 2 && !strcmp(argv[1], programs[i].name)) {
			set_up();
			programs[i].run();
			return 0;
		}
	fprintf(stderr, "usage: opencl NAME\n");
	return 2;
}
