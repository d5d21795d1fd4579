// SPDX-License-Identifier: LGPL-2.1-or-later OR MIT
/* Which device it is: the same number in every process. */
#include <string.h>

#include "opencl/opencl.h"

#define NAME_LEN 256
#define MAX_DEVICES 16

static void text_of(cl_device_id device, cl_device_info what, char *text)
{
	text[0] = '\0';
	opencl_next.clGetDeviceInfo(device, what, NAME_LEN, text, NULL);
	text[NAME_LEN - 1] = '\0';
}

static bool uuid_of(cl_device_id device, unsigned char *uuid)
{
	static const unsigned char none[CL_UUID_SIZE_KHR];

	return !opencl_next.clGetDeviceInfo(device, CL_DEVICE_UUID_KHR, CL_UUID_SIZE_KHR, uuid,
					    NULL) &&
	       memcmp(uuid, none, CL_UUID_SIZE_KHR);
}

/*
 * By its UUID, or its place on the PCI bus. Else by its names: two of the same make are one
 * then, but for their place in the context's list.
 */
static uint64_t identify(cl_device_id device, unsigned int place, const char *name)
{
	cl_device_pci_bus_info_khr bus;
	unsigned char uuid[CL_UUID_SIZE_KHR];
	char vendor[NAME_LEN];
	uint64_t hash;

	if (uuid_of(device, uuid))
		return layer_hash(uuid, sizeof(uuid), 0);
	if (!opencl_next.clGetDeviceInfo(device, CL_DEVICE_PCI_BUS_INFO_KHR, sizeof(bus), &bus,
					 NULL))
		return layer_hash(&bus, sizeof(bus), 0);
	text_of(device, CL_DEVICE_VENDOR, vendor);
	hash = layer_hash(name, strlen(name), 0);
	hash = layer_hash(vendor, strlen(vendor), hash);
	return layer_hash(&place, sizeof(place), hash);
}

/* Memory belongs to a context, and is on whichever of its devices: the first one is named. */
void opencl_new_context(cl_context context)
{
	struct layer_handle *known = layer_remember(SPACE_CONTEXT, opencl_handle(context));
	cl_device_id devices[MAX_DEVICES] = { NULL };
	char name[NAME_LEN];
	size_t size = 0;

	opencl_next.clGetContextInfo(context, CL_CONTEXT_DEVICES, 0, NULL, &size);
	if (size > sizeof(devices) || !known ||
	    opencl_next.clGetContextInfo(context, CL_CONTEXT_DEVICES, size, devices, NULL) ||
	    !devices[0])
		return;
	text_of(devices[0], CL_DEVICE_NAME, name);
	known->device = identify(devices[0], 0, name);
	layer_label_device(known->device, name);
}

uint64_t opencl_device_of(cl_context context)
{
	struct layer_handle *known = layer_find(SPACE_CONTEXT, opencl_handle(context));

	/* A forked child has its parent's contexts. */
	if (!known && context) {
		opencl_new_context(context);
		known = layer_find(SPACE_CONTEXT, opencl_handle(context));
	}
	return known && known->device ? known->device : layer_first_device();
}
