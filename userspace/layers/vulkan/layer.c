// SPDX-License-Identifier: LGPL-2.1-or-later OR MIT
/*
 * The Vulkan layer: how the loader finds it, and how it finds what is below it. The library
 * is never unloaded (-z nodelete): loaders unload a layer with the last instance, and what
 * it has seen would be forgotten.
 */
#include <stdlib.h>
#include <string.h>

#include "vulkan/vulkan.h"

static const char *const spaces[LAYER_SPACES] = {
	[SPACE_MEMORY] = "memory",
	[SPACE_BUFFER] = "buffer",
	[SPACE_IMAGE] = "image",
};

/* The loader's link to the next layer, in the list behind a create call's info. */
#define FIND_LINK(type, structure, info)                                    \
	static type *find_##structure(const void *next)                     \
	{                                                                   \
		type *link = (type *)next;                                  \
                                                                            \
		while (link && !(link->sType == VK_STRUCTURE_TYPE_##info && \
				 link->function == VK_LAYER_LINK_INFO))     \
			link = (type *)link->pNext;                         \
		return link;                                                \
	}

FIND_LINK(VkLayerInstanceCreateInfo, instance_link, LOADER_INSTANCE_CREATE_INFO)
FIND_LINK(VkLayerDeviceCreateInfo, device_link, LOADER_DEVICE_CREATE_INFO)

static void fill_instance(struct vulkan_instance *instance)
{
#define LOOK_UP(name) instance->name = (PFN_vk##name)instance->get(instance->handle, "vk" #name);
	VULKAN_INSTANCE_FUNCTIONS(LOOK_UP)
#undef LOOK_UP
	/* An instance of 1.0 has it under its extension's name, if at all. */
	if (!instance->GetPhysicalDeviceProperties2)
		instance->GetPhysicalDeviceProperties2 =
			(PFN_vkGetPhysicalDeviceProperties2)instance->get(
				instance->handle, "vkGetPhysicalDeviceProperties2KHR");
}

static VKAPI_ATTR VkResult VKAPI_CALL create_instance(const VkInstanceCreateInfo *info,
						      const VkAllocationCallbacks *memory,
						      VkInstance *made)
{
	VkLayerInstanceCreateInfo *link = find_instance_link(info->pNext);
	struct vulkan_instance *instance;
	PFN_vkGetInstanceProcAddr get;
	PFN_vkCreateInstance create;
	VkResult result;

	if (!link)
		return VK_ERROR_INITIALIZATION_FAILED;
	get = link->u.pLayerInfo->pfnNextGetInstanceProcAddr;
	create = (PFN_vkCreateInstance)get(NULL, "vkCreateInstance");
	if (!create)
		return VK_ERROR_INITIALIZATION_FAILED;
	link->u.pLayerInfo = link->u.pLayerInfo->pNext;
	instance = calloc(1, sizeof(*instance));
	if (!instance)
		return VK_ERROR_OUT_OF_HOST_MEMORY;
	result = create(info, memory, made);
	if (result != VK_SUCCESS) {
		free(instance);
		return result;
	}
	layer_open("vulkan-layer", spaces);
	instance->handle = *made;
	instance->get = get;
	fill_instance(instance);
	if (vulkan_keep(*made, instance))
		return VK_SUCCESS;
	instance->DestroyInstance(*made, memory);
	free(instance);
	return VK_ERROR_OUT_OF_HOST_MEMORY;
}

static VKAPI_ATTR void VKAPI_CALL destroy_instance(VkInstance handle,
						   const VkAllocationCallbacks *memory)
{
	struct vulkan_instance *instance = handle ? vulkan_forget(handle) : NULL;

	if (instance)
		instance->DestroyInstance(handle, memory);
	free(instance);
}

/*
 * A physical device begins with its instance's pointer. The functions of the device below
 * are asked for by name, as its own layers and the driver have them.
 */
static VKAPI_ATTR VkResult VKAPI_CALL create_device(VkPhysicalDevice physical,
						    const VkDeviceCreateInfo *info,
						    const VkAllocationCallbacks *memory,
						    VkDevice *made)
{
	VkLayerDeviceCreateInfo *link = find_device_link(info->pNext);
	struct vulkan_instance *instance = vulkan_find(physical);
	struct vulkan_device *device;
	PFN_vkGetInstanceProcAddr get;
	PFN_vkCreateDevice create;
	VkResult result;

	if (!link || !instance)
		return VK_ERROR_INITIALIZATION_FAILED;
	get = link->u.pLayerInfo->pfnNextGetInstanceProcAddr;
	create = (PFN_vkCreateDevice)get(instance->handle, "vkCreateDevice");
	device = calloc(1, sizeof(*device));
	if (!create || !device) {
		free(device);
		return VK_ERROR_INITIALIZATION_FAILED;
	}
	device->get = link->u.pLayerInfo->pfnNextGetDeviceProcAddr;
	link->u.pLayerInfo = link->u.pLayerInfo->pNext;
	result = create(physical, info, memory, made);
	if (result != VK_SUCCESS) {
		free(device);
		return result;
	}
#define LOOK_UP(name) device->name = (PFN_vk##name)device->get(*made, "vk" #name);
	VULKAN_DEVICE_FUNCTIONS(LOOK_UP)
#undef LOOK_UP
	device->id = vulkan_identify(instance, physical);
	if (vulkan_keep(*made, device))
		return VK_SUCCESS;
	device->DestroyDevice(*made, memory);
	free(device);
	return VK_ERROR_OUT_OF_HOST_MEMORY;
}

/* What the program has left on it goes with it. */
static VKAPI_ATTR void VKAPI_CALL destroy_device(VkDevice handle,
						 const VkAllocationCallbacks *memory)
{
	struct vulkan_device *device = handle ? vulkan_forget(handle) : NULL;

	if (!device)
		return;
	layer_reset(device->id, (uintptr_t)handle, BUFFTRACK_RESET_TAG);
	device->DestroyDevice(handle, memory);
	free(device);
}

static PFN_vkVoidFunction own_function(const char *name);

static VKAPI_ATTR PFN_vkVoidFunction VKAPI_CALL get_device_function(VkDevice handle,
								    const char *name)
{
	PFN_vkVoidFunction own = own_function(name);
	const struct vulkan_device *device;

	if (own)
		return own;
	device = handle ? vulkan_find(handle) : NULL;
	return device ? device->get(handle, name) : NULL;
}

static VKAPI_ATTR PFN_vkVoidFunction VKAPI_CALL get_instance_function(VkInstance handle,
								      const char *name)
{
	PFN_vkVoidFunction own = own_function(name);
	const struct vulkan_instance *instance;

	if (own)
		return own;
	instance = handle ? vulkan_find(handle) : NULL;
	return instance ? instance->get(handle, name) : NULL;
}

static PFN_vkVoidFunction own_function(const char *name)
{
	static const struct {
		const char *name;
		PFN_vkVoidFunction function;
	} functions[] = {
		{ "vkCreateInstance", (PFN_vkVoidFunction)create_instance },
		{ "vkDestroyInstance", (PFN_vkVoidFunction)destroy_instance },
		{ "vkCreateDevice", (PFN_vkVoidFunction)create_device },
		{ "vkDestroyDevice", (PFN_vkVoidFunction)destroy_device },
		{ "vkGetDeviceProcAddr", (PFN_vkVoidFunction)get_device_function },
		{ "vkGetInstanceProcAddr", (PFN_vkVoidFunction)get_instance_function },
	};
	unsigned int i;

	for (i = 0; i < sizeof(functions) / sizeof(functions[0]); i++)
		if (!strcmp(name, functions[i].name))
			return functions[i].function;
	return vulkan_memory_function(name);
}

LAYER_EXPORT VKAPI_ATTR VkResult VKAPI_CALL
vkNegotiateLoaderLayerInterfaceVersion(VkNegotiateLayerInterface *negotiate)
{
	if (negotiate->loaderLayerInterfaceVersion < 2)
		return VK_ERROR_INITIALIZATION_FAILED;
	negotiate->loaderLayerInterfaceVersion = 2;
	negotiate->pfnGetInstanceProcAddr = get_instance_function;
	negotiate->pfnGetDeviceProcAddr = get_device_function;
	negotiate->pfnGetPhysicalDeviceProcAddr = NULL;
	return VK_SUCCESS;
}
