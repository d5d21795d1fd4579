/* SPDX-License-Identifier: LGPL-2.1-or-later OR MIT */
/* What the files of the Vulkan layer know of each other. */
#ifndef BUFFTRACK_LAYER_VULKAN_H
#define BUFFTRACK_LAYER_VULKAN_H

#include <vulkan/vulkan.h>
#include <vulkan/vk_layer.h>

#include "common/layer.h"

enum {
	SPACE_MEMORY = 1, /* VkDeviceMemory */
	SPACE_BUFFER = 2, /* VkBuffer */
	SPACE_IMAGE = 3, /* VkImage */
};

/* The functions below this layer, of one instance or one device, that it wraps or needs. */
#define VULKAN_INSTANCE_FUNCTIONS(F)   \
	F(DestroyInstance)             \
	F(EnumeratePhysicalDevices)    \
	F(GetPhysicalDeviceProperties) \
	F(GetPhysicalDeviceProperties2)

#define VULKAN_DEVICE_FUNCTIONS(F) \
	F(DestroyDevice)           \
	F(AllocateMemory)          \
	F(FreeMemory)              \
	F(CreateBuffer)            \
	F(DestroyBuffer)           \
	F(CreateImage)             \
	F(DestroyImage)

#define VULKAN_MEMBER(name) PFN_vk##name name;

struct vulkan_instance {
	VkInstance handle;
	PFN_vkGetInstanceProcAddr get;
	VULKAN_INSTANCE_FUNCTIONS(VULKAN_MEMBER)
};

struct vulkan_device {
	PFN_vkGetDeviceProcAddr get;
	uint64_t id; /* the same in every process */
	VULKAN_DEVICE_FUNCTIONS(VULKAN_MEMBER)
};

/*
 * Instances and devices, by the loader's pointer that each object begins with, which all
 * objects of one device share. Nothing is locked; what is gone leaves its place.
 */
#define VULKAN_OBJECTS 256
void *vulkan_find(const void *object);
bool vulkan_keep(const void *object, void *data);
void *vulkan_forget(const void *object);

/* Which device it is. */
uint64_t vulkan_identify(const struct vulkan_instance *instance, VkPhysicalDevice device);

/* The function of this layer for the name, or NULL. */
PFN_vkVoidFunction vulkan_memory_function(const char *name);

#endif /* BUFFTRACK_LAYER_VULKAN_H */
