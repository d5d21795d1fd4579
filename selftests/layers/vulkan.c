// SPDX-License-Identifier: GPL-2.0
/* Vulkan programs for the layer, on whatever driver there is. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <vulkan/vulkan.h>

#define NOINLINE __attribute__((noinline, noclone))

static VkInstance instance;
static VkDevice device;

static void need(int is_so, const char *what)
{
	if (is_so)
		return;
	fprintf(stderr, "vulkan: %s failed\n", what);
	exit(9);
}

static void set_up(void)
{
	VkApplicationInfo app = { .sType = VK_STRUCTURE_TYPE_APPLICATION_INFO,
				  .apiVersion = VK_API_VERSION_1_1 };
	VkInstanceCreateInfo info = { .sType = VK_STRUCTURE_TYPE_INSTANCE_CREATE_INFO,
				      .pApplicationInfo = &app };
	float priority = 1;
	VkDeviceQueueCreateInfo queue = { .sType = VK_STRUCTURE_TYPE_DEVICE_QUEUE_CREATE_INFO,
					  .queueCount = 1,
					  .pQueuePriorities = &priority };
	VkDeviceCreateInfo create = { .sType = VK_STRUCTURE_TYPE_DEVICE_CREATE_INFO,
				      .queueCreateInfoCount = 1,
				      .pQueueCreateInfos = &queue };
	VkPhysicalDevice physical;
	uint32_t nr = 1;

	need(vkCreateInstance(&info, NULL, &instance) == VK_SUCCESS, "vkCreateInstance");
	need(vkEnumeratePhysicalDevices(instance, &nr, &physical) >= 0 && nr, "finding a device");
	need(vkCreateDevice(physical, &create, NULL, &device) == VK_SUCCESS, "vkCreateDevice");
}

NOINLINE static VkDeviceMemory make(void)
{
	VkMemoryAllocateInfo info = { .sType = VK_STRUCTURE_TYPE_MEMORY_ALLOCATE_INFO,
				      .allocationSize = 4096 };
	VkDeviceMemory memory;
	VkResult result = vkAllocateMemory(device, &info, NULL, &memory); /* at make */

	need(result == VK_SUCCESS, "vkAllocateMemory");
	return memory;
}

NOINLINE static void drop(VkDeviceMemory memory)
{
	vkFreeMemory(device, memory, NULL); /* at drop */
	fflush(stdout);
}

/* The driver might not survive what follows: what is told is told before. */
NOINLINE static void drop_again(VkDeviceMemory memory)
{
	vkFreeMemory(device, memory, NULL); /* at drop_again */
	fflush(stdout);
}

int main(int argc, char **argv)
{
	const char *name = argc == 2 ? argv[1] : "";
	VkDeviceMemory memory;
	unsigned int i;

	set_up();
	if (!strcmp(name, "twice")) {
		memory = make();
		drop(memory);
		drop_again(memory);
	} else if (!strcmp(name, "reuse")) {
		for (i = 0; i < 1000; i++)
			drop(make());
		drop(VK_NULL_HANDLE);
		vkDestroyDevice(device, NULL);
		vkDestroyInstance(instance, NULL);
	} else {
		return 2;
	}
	return 0;
}
