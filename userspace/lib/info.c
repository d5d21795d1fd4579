// SPDX-License-Identifier: LGPL-2.1-or-later OR MIT
/* What is asked of the kernel beside the reports: limits, names, the end of a context. */
#include <errno.h>
#include <string.h>

#include "lib.h"

/* A caller built for another version has another idea of the struct's size. */
EXPORT int bufftrack_get_info(struct bufftrack *bt, struct bufftrack_info *info, size_t size)
{
	struct bufftrack_info ours = { 0 };
	int fd = bt ? bufftrack_own_fd(bt) : -1;
	int err = fd < 0 ? 0 : bufftrack_ioctl(fd, BUFFTRACK_IOC_INFO, &ours);

	memset(info, 0, size);
	if (!err)
		memcpy(info, &ours, size < sizeof(ours) ? size : sizeof(ours));
	return err;
}

static int label(struct bufftrack *bt, struct bufftrack_label *arg, const char *text)
{
	size_t len = text ? strlen(text) : 0;
	int fd = bt ? bufftrack_own_fd(bt) : -1;
	int err;

	if (fd < 0)
		return 0;
	if (!(bt->features & BUFFTRACK_FEATURE_LABEL))
		return -EOPNOTSUPP;
	if (len >= sizeof(arg->label))
		return -EINVAL;
	if (len)
		memcpy(arg->label, text, len);
	err = bufftrack_ioctl(fd, BUFFTRACK_IOC_LABEL, arg);
	if (err && bt->debug)
		bufftrack_say("label \"%s\": %s", arg->label, strerror(-err));
	return err;
}

EXPORT int bufftrack_label_device(struct bufftrack *bt, uint64_t device, const char *text)
{
	struct bufftrack_label arg = { .device = device };

	return label(bt, &arg, text);
}

EXPORT int bufftrack_label_space(struct bufftrack *bt, uint64_t device, uint32_t space,
				 const char *text)
{
	struct bufftrack_label arg = {
		.device = device,
		.space = space,
		.flags = BUFFTRACK_LABEL_SPACE,
	};

	return label(bt, &arg, text);
}

/* A kernel without names of tags is asked for none: that of the device would be set. */
EXPORT int bufftrack_label_tag(struct bufftrack *bt, uint64_t device, uint64_t tag,
			       const char *text)
{
	struct bufftrack_label arg = {
		.device = device,
		.tag = tag,
		.flags = BUFFTRACK_LABEL_TAG,
	};

	if (bt && !(bt->features & BUFFTRACK_FEATURE_RESET_CLIENT))
		return -EOPNOTSUPP;
	return label(bt, &arg, text);
}

EXPORT int64_t bufftrack_reset(struct bufftrack *bt, uint64_t device, uint64_t tag,
			       unsigned int flags)
{
	struct bufftrack_reset arg = {
		.device = device,
		.tag = tag,
		.flags = flags | BUFFTRACK_RESET_CLIENT,
	};
	int fd = bt ? bufftrack_own_fd(bt) : -1;
	int err;

	if (flags & ~(BUFFTRACK_RESET_TAG | BUFFTRACK_RESET_ALL))
		return -EINVAL;
	if (fd < 0)
		return 0;
	if (!(bt->features & BUFFTRACK_FEATURE_RESET_CLIENT))
		return -EOPNOTSUPP;
	err = bufftrack_ioctl(fd, BUFFTRACK_IOC_RESET, &arg);
	if (err && bt->debug)
		bufftrack_say("reset of the client's buffers on device 0x%llx: %s",
			      (unsigned long long)device, strerror(-err));
	return err ? err : (int64_t)arg.holds;
}
