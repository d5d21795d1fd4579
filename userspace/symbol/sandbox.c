// SPDX-License-Identifier: GPL-2.0
/*
 * What a process gives up before it reads files that anybody may have made: root's
 * rights, devices, memory beyond the machine's, and all system calls but those for
 * reading files and answering.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/mount.h>
#include <grp.h>
#include <sched.h>
#include <seccomp.h>
#include <signal.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "symbol/sandbox.h"
#include "util/util.h"

/* The kernel's, for a user that is not known in a user namespace; Debian's nobody */
#define NOBODY 65534
#define LEAST_MEMORY (2ULL << 30)

/**
 * sandbox_user - as whom to read a file
 * @owner: whose file it is
 *
 * Only root can be another one than itself.
 */
uid_t sandbox_user(uid_t owner)
{
	if (geteuid())
		return geteuid();
	return owner ? owner : NOBODY;
}

/*
 * libdw opens what DWARF names, whatever it is, and opening a device can do things.
 * What is mounted later comes here, too. Who is not root may not, and need not.
 */
static void forbid_devices(void)
{
	struct mount_attr attributes = {
		.attr_set = MOUNT_ATTR_NODEV,
		.propagation = MS_SLAVE,
	};

	/* Before 2.36 glibc has no function for it. */
	if (unshare(CLONE_NEWNS) == 0)
		syscall(SYS_mount_setattr, AT_FDCWD, "/", AT_RECURSIVE, &attributes,
			sizeof(attributes));
}

static void limit_memory(void)
{
	struct rlimit limit = { 0 };
	int fd;

	setrlimit(RLIMIT_CORE, &limit);
#ifndef __SANITIZE_ADDRESS__
	limit.rlim_cur = (rlim_t)sysconf(_SC_PHYS_PAGES) * (rlim_t)sysconf(_SC_PAGESIZE);
	if (limit.rlim_cur < LEAST_MEMORY)
		limit.rlim_cur = LEAST_MEMORY;
	limit.rlim_max = limit.rlim_cur;
	setrlimit(RLIMIT_DATA, &limit);
#endif
	/* Where memory is short nevertheless, this process is the one to go. */
	fd = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);
	if (fd >= 0) {
		if (write(fd, "1000", 4) < 0)
			errno = 0;
		close(fd);
	}
}

static bool drop_capabilities(void)
{
	struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct none[_LINUX_CAPABILITY_U32S_3] = { 0 };

	return syscall(SYS_capset, &header, none) == 0;
}

static bool become(uid_t user)
{
	if (geteuid())
		return true;
	setgroups(0, NULL);
	/* In a user namespace that knows no other user, root is nobody outside. */
	if (setresgid(user, user, user) && setresgid(NOBODY, NOBODY, NOBODY) && errno != EINVAL)
		return false;
	if (setresuid(user, user, user) && (errno != EINVAL || !drop_capabilities()))
		return false;
	return drop_capabilities();
}

static bool allow_reading(scmp_filter_ctx filter)
{
	const uint64_t writes = O_WRONLY | O_RDWR | O_CREAT | O_TRUNC | O_APPEND;

	return seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(openat), 1,
				SCMP_A2(SCMP_CMP_MASKED_EQ, writes, 0)) == 0 &&
	       seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(open), 1,
				SCMP_A1(SCMP_CMP_MASKED_EQ, writes, 0)) == 0;
}

static const int allowed[] = {
	SCMP_SYS(read),
	SCMP_SYS(pread64),
	SCMP_SYS(readv),
	SCMP_SYS(write),
	SCMP_SYS(writev),
	SCMP_SYS(close),
	SCMP_SYS(lseek),
	SCMP_SYS(fstat),
	SCMP_SYS(stat),
	SCMP_SYS(lstat),
	SCMP_SYS(newfstatat),
	SCMP_SYS(statx),
	SCMP_SYS(access),
	SCMP_SYS(faccessat),
	SCMP_SYS(faccessat2),
	SCMP_SYS(readlink),
	SCMP_SYS(readlinkat),
	SCMP_SYS(getcwd),
	SCMP_SYS(getdents64),
	SCMP_SYS(fcntl),
	SCMP_SYS(dup),
	SCMP_SYS(brk),
	SCMP_SYS(mmap),
	SCMP_SYS(munmap),
	SCMP_SYS(mprotect),
	SCMP_SYS(mremap),
	SCMP_SYS(madvise),
	SCMP_SYS(recvfrom),
	SCMP_SYS(recvmsg),
	SCMP_SYS(sendto),
	SCMP_SYS(sendmsg),
	SCMP_SYS(futex),
	SCMP_SYS(getrandom),
	SCMP_SYS(sysinfo),
	SCMP_SYS(getpid),
	SCMP_SYS(gettid),
	SCMP_SYS(getuid),
	SCMP_SYS(geteuid),
	SCMP_SYS(getgid),
	SCMP_SYS(getegid),
	SCMP_SYS(clock_gettime),
	SCMP_SYS(rt_sigaction),
	SCMP_SYS(rt_sigprocmask),
	SCMP_SYS(rt_sigreturn),
	SCMP_SYS(sigaltstack),
	SCMP_SYS(sched_yield),
	SCMP_SYS(tgkill),
	SCMP_SYS(restart_syscall),
	SCMP_SYS(exit),
	SCMP_SYS(exit_group),
};

/* Calls that are not listed fail with EPERM: a library's next version may try some. */
static bool filter_calls(void)
{
	scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ERRNO(EPERM));
	bool done = filter && allow_reading(filter);
	size_t i;

	for (i = 0; done && i < ARRAY_SIZE(allowed); i++)
		done = seccomp_rule_add(filter, SCMP_ACT_ALLOW, allowed[i], 0) == 0;
	done = done && seccomp_load(filter) == 0;
	seccomp_release(filter);
	return done;
}

/**
 * sandbox_enter - gives up what reading files does not need
 * @user: from sandbox_user()
 *
 * Returns false where root's rights could not be given up: then no file may be read. A
 * kernel without seccomp has only the rest.
 */
bool sandbox_enter(uid_t user)
{
	forbid_devices();
	limit_memory();
	if (!become(user))
		return false;
	/* Which a change of the user has taken back */
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
		return false;
	if (!filter_calls())
		errno = 0;
	return true;
}
