// SPDX-License-Identifier: LGPL-2.1-or-later OR MIT
/* Instances and devices: what the layer keeps of each, and which device it is. */
#include <string.h>

#include "vulkan/vulkan.h"

static struct {
	uintptr_t key; /* 0: free; atomic */
	void *data;
} objects[VULKAN_OBJECTS];

static uintptr_t key_of(const void *object)
{
	return *(const uintptr_t *)object;
}

bool vulkan_keep(const void *object, void *data)
{
	unsigned int i;

	for (i = 0; i < VULKAN_OBJECTS; i++) {
		uintptr_t none = 0;

		/* Claimed by a number that is nobody's, until what belongs to it is there. */
		if (!__atomic_compare_exchange_n(&objects[i].key, &none, 1, false, __ATOMIC_ACQ_REL,
						 __ATOMIC_RELAXED))
			continue;
		objects[i].data = data;
		__atomic_store_n(&objects[i].key, key_of(object), __ATOMIC_RELEASE);
		return true;
	}
	return false;
}

void *vulkan_find(const void *object)
{
	uintptr_t key = key_of(object);
	unsigned int i;

	for (i = 0; i < VULKAN_OBJECTS; i++)
		if (__atomic_load_n(&objects[i].key, __ATOMIC_ACQUIRE) == key)
			return objects[i].data;
	return NULL;
}

void *vulkan_forget(const void *object)
{
	uintptr_t key = key_of(object);
	unsigned int i;
	void *data;

	for (i = 0; i < VULKAN_OBJECTS; i++) {
		if (__atomic_load_n(&objects[i].key, __ATOMIC_ACQUIRE) != key)
			continue;
		data = objects[i].data;
		__atomic_store_n(&objects[i].key, 0, __ATOMIC_RELEASE);
		return data;
	}
	return NULL;
}

/* By its UUID; where the instance is too old to tell, by make and name. */
uint64_t vulkan_identify(const struct vulkan_instance *instance, VkPhysicalDevice device)
{
	VkPhysicalDeviceIDProperties id = {
		.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_ID_PROPERTIES,
	};
	VkPhysicalDeviceProperties2 properties = {
		.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_PROPERTIES_2,
		.pNext = &id,
	};
	static const uint8_t none[VK_UUID_SIZE];
	uint64_t hash;

	if (instance->GetPhysicalDeviceProperties2)
		instance->GetPhysicalDeviceProperties2(device, &properties);
	else
		instance->GetPhysicalDeviceProperties(device, &properties.properties);
	if (memcmp(id.deviceUUID, none, sizeof(none))) {
		hash = layer_hash(id.deviceUUID, sizeof(id.deviceUUID), 0);
	} else {
		hash = layer_hash(&properties.properties.vendorID, sizeof(uint32_t), 0);
		hash = layer_hash(&properties.properties.deviceID, sizeof(uint32_t), hash);
		hash = layer_hash(properties.properties.deviceName,
				  strlen(properties.properties.deviceName), hash);
	}
	layer_label_device(hash, properties.properties.deviceName);
	return hash;
}
