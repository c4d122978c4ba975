/* SPDX-License-Identifier: MIT */
/* What the image tests share: a folder of their own, images made in one line, content made of random runs, qemu-img's opinion. */
#ifndef TESTS_DISK_IMAGES_H
#define TESTS_DISK_IMAGES_H

#include "tests/unit/unit.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "hw/disk/image.h"

static char images_dir[64];

static inline int images_setup(void **state)
{
	(void)state;
	snprintf(images_dir, sizeof images_dir, "%s/paisano-image-%d", access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp", getpid());
	return mkdir(images_dir, 0700) < 0 || chdir(images_dir) < 0 ? -1 : 0;
}

static inline int images_teardown(void **state)
{
	char command[96];

	(void)state;
	snprintf(command, sizeof command, "rm -rf '%s'", images_dir);
	return chdir("/") < 0 ? -1 : system(command);
}

static inline struct image *images_open(const char *file, unsigned flags)
{
	struct err err = {0};
	struct image *image = image_open(file, NULL, flags, &err);

	if (!image)
		fail_msg("%s", err.text);
	return image;
}

static inline void images_create(struct image_create options)
{
	struct err err = {0};

	options.fd = -1;
	options.format = options.format ? options.format : "qcow2";
	if (!image_create(&options, &err))
		fail_msg("%s", err.text);
}

static inline void images_refused(const char *file, unsigned flags, const char *why)
{
	struct err err = {0};
	struct image *image = image_open(file, NULL, flags, &err);

	if (image || !strstr(err.text, why))
		fail_msg("%s: '%s' does not say '%s'", file, image ? "(opened)" : err.text, why);
}

/* Our own check: nothing found. */
static inline void images_check(const char *file, bool leaks_allowed)
{
	struct image_check check = {.report = stderr};
	struct image *image = images_open(file, IMAGE_READ_ONLY | IMAGE_INSPECT | IMAGE_NO_BACKING);
	struct err err = {0};

	if (leaks_allowed)
		check.report = NULL;
	assert_true(image->driver->check(image, &check, &err));
	image_close(image);
	assert_int_equal(check.corruptions, 0);
	assert_int_equal(check.errors, 0);
	if (!leaks_allowed)
		assert_int_equal(check.leaks, 0);
}

/* qemu-img's exit code, or `good` where there is none. */
static inline int images_qemu(const char *arguments, int good)
{
	static int have = -1;
	char command[512];
	int status;

	if (have < 0)
		have = system("command -v qemu-img >/dev/null 2>&1") == 0;
	if (!have)
		return good;
	snprintf(command, sizeof command, "qemu-img %s >/dev/null 2>&1", arguments);
	status = system(command);
	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static inline void images_fill(u8 *buf, size_t len, u64 *random)
{
	u64 kind = unit_random(random) % 4;

	for (size_t i = 0; i < len; i++)
		buf[i] = kind == 0 ? 0 : kind == 1 ? (u8)(i >> 6) : (u8)unit_random(random);
}

#endif
