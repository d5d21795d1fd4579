// SPDX-License-Identifier: LGPL-2.1-or-later OR MIT
/* Memory, buffers and images: made and destroyed. */
#include <string.h>

#include "vulkan/vulkan.h"

/* Handles that are no pointers are numbers of 64 bits, on all machines. */
static uint64_t tag_of(VkDevice device)
{
	return (uintptr_t)device;
}

/*
 * MAKE: calls the runtime, and reports what came of it. UNMAKE: reports, and calls; NULL is
 * nothing. Destroying cannot fail.
 */
#define MAKE(name, type, info_type, space, size)                                                  \
	static VKAPI_ATTR VkResult VKAPI_CALL make_##name(VkDevice handle, const info_type *info, \
							  const VkAllocationCallbacks *memory,    \
							  type *made)                             \
	{                                                                                         \
		const struct vulkan_device *device = vulkan_find(handle);                         \
		VkResult result = device->name(handle, info, memory, made);                       \
                                                                                                  \
		if (result == VK_SUCCESS)                                                         \
			layer_alloc(space, (uint64_t)*made, device->id, size, tag_of(handle), 0); \
		return result;                                                                    \
	}

#define UNMAKE(name, type, space)                                                            \
	static VKAPI_ATTR void VKAPI_CALL unmake_##name(VkDevice handle, type object,        \
							const VkAllocationCallbacks *memory) \
	{                                                                                    \
		const struct vulkan_device *device = vulkan_find(handle);                    \
		struct layer_free what;                                                      \
                                                                                             \
		layer_free_begin(&what, space, (uint64_t)object);                            \
		if (!what.withheld)                                                          \
			device->name(handle, object, memory);                                \
	}

/* Of an image it is the texels, as if each had four bytes: what it takes is not told yet. */
static uint64_t image_size(const VkImageCreateInfo *info)
{
	return 4ULL * info->extent.width * info->extent.height * info->extent.depth *
	       info->arrayLayers;
}

MAKE(AllocateMemory, VkDeviceMemory, VkMemoryAllocateInfo, SPACE_MEMORY, info->allocationSize)
MAKE(CreateBuffer, VkBuffer, VkBufferCreateInfo, SPACE_BUFFER, info->size)
MAKE(CreateImage, VkImage, VkImageCreateInfo, SPACE_IMAGE, image_size(info))
UNMAKE(FreeMemory, VkDeviceMemory, SPACE_MEMORY)
UNMAKE(DestroyBuffer, VkBuffer, SPACE_BUFFER)
UNMAKE(DestroyImage, VkImage, SPACE_IMAGE)

PFN_vkVoidFunction vulkan_memory_function(const char *name)
{
#define OF(function, ours)                                            \
	{                                                             \
		"vk" #function, (PFN_vkVoidFunction)ours##_##function \
	}
	static const struct {
		const char *name;
		PFN_vkVoidFunction function;
	} functions[] = {
		OF(AllocateMemory, make),  OF(FreeMemory, unmake), OF(CreateBuffer, make),
		OF(DestroyBuffer, unmake), OF(CreateImage, make),  OF(DestroyImage, unmake),
	};
#undef OF
	unsigned int i;

	for (i = 0; i < sizeof(functions) / sizeof(functions[0]); i++)
		if (!strcmp(name, functions[i].name))
			return functions[i].function;
	return NULL;
}
