/* SPDX-License-Identifier: MIT */
/* Preloaded: opening the file that FAKE_KVM names fails with errno FAKE_OPEN, or making a machine with errno FAKE_CREATE; and from
 * the FAKE_RUN-th time on that a CPU shall run, KVM reports an internal error without having run it. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/kvm.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>

int open(const char *path, int flags, ...);
int open64(const char *path, int flags, ...);
int ioctl(int fd, unsigned long request, ...);

static int number(const char *name)
{
	const char *text = getenv(name);

	return text ? atoi(text) : 0;
}

static int open_as(const char *symbol, const char *path, int flags, mode_t mode)
{
	int (*real)(const char *, int, ...) = (int (*)(const char *, int, ...))dlsym(RTLD_NEXT, symbol);
	const char *fake = getenv("FAKE_KVM");

	if (fake && !strcmp(path, fake) && number("FAKE_OPEN")) {
		errno = number("FAKE_OPEN");
		return -1;
	}
	return real(path, flags, mode);
}

#define OPEN(name)                                                   \
	int name(const char *path, int flags, ...)                       \
	{                                                                \
		va_list args;                                                \
		va_start(args, flags);                                       \
		mode_t mode = flags & O_CREAT ? va_arg(args, mode_t) : 0;    \
		va_end(args);                                                \
		return open_as(#name, path, flags, mode);                    \
	}
OPEN(open)
OPEN(open64)

int ioctl(int fd, unsigned long request, ...)
{
	static _Atomic int runs;
	int (*real)(int, unsigned long, void *) = (int (*)(int, unsigned long, void *))dlsym(RTLD_NEXT, "ioctl");
	va_list args;

	va_start(args, request);
	void *argument = va_arg(args, void *);
	va_end(args);
	if (request == KVM_RUN && number("FAKE_RUN") && ++runs >= number("FAKE_RUN")) {
		struct kvm_run *run = mmap(NULL, sizeof *run, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
		if (run == MAP_FAILED)
			return -1;
		run->exit_reason = KVM_EXIT_INTERNAL_ERROR;
		run->internal.suberror = KVM_INTERNAL_ERROR_EMULATION;
		run->internal.ndata = 0;
		munmap(run, sizeof *run);
		return 0;
	}
	if (number("FAKE_CREATE")) { /* a KVM that answers, and has no machine to give */
		switch (request) {
		case KVM_GET_API_VERSION: return KVM_API_VERSION;
		case KVM_CHECK_EXTENSION: return 1;
		case KVM_CREATE_VM: errno = number("FAKE_CREATE"); return -1;
		default: break;
		}
	}
	return real(fd, request, argument);
}
