/* SPDX-License-Identifier: MIT */
/* Files of each kind, made here, and what is said of them. */
#include "frontend/look.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/unit/unit.h"

static char path[64];

/* A sparse file of `size` bytes with up to three pieces in it. */
struct piece {
	u32 offset, len;
	const char *data;
};

static void make(u64 size, const struct piece *pieces, unsigned count)
{
	snprintf(path, sizeof path, "/tmp/paisano-look-%ld", (long)getpid());
	int fd = open(path, O_CREAT | O_TRUNC | O_WRONLY, 0600);

	assert_true(fd >= 0);
	assert_int_equal(ftruncate(fd, (off_t)size), 0);
	for (unsigned i = 0; i < count && pieces[i].len; i++)
		assert_int_equal(pwrite(fd, pieces[i].data, pieces[i].len, pieces[i].offset), pieces[i].len);
	close(fd);
}

static const struct piece boot_signature = {510, 2, "\x55\xaa"};
#define PARTITION {446, 16, "\x80\1\1\0\x83\xfe\xff\xff\0\x08\0\0\0\x10\0\0"}
#define MULTIBOOT {0x800, 12, "\x02\xb0\xad\x1b\0\0\0\0\xfe\x4f\x52\xe4"}

static void good(void **state)
{
	static const struct {
		u64 size;
		struct piece piece[3];
		bool signature;
		enum look_kind kind;
	} cases[] = {
		{64 << 20, {PARTITION}, true, LOOK_DISK},
		{64 << 20, {PARTITION, MULTIBOOT}, true, LOOK_DISK}, /* a boot loader's code holds that header */
		{64 << 20, {{0}}, true, LOOK_DISK},
		{512, {{0}}, true, LOOK_DISK},
		{100000, {MULTIBOOT}, true, LOOK_DISK}, /* so may the kernel behind a boot sector */
		{196616, {{0, 8, "QFI\373\0\0\0\3"}}, false, LOOK_DISK},
		{196616, {{0, 8, "QFI\373\0\0\0\2"}}, false, LOOK_DISK},
		{700 << 20, {{0x8000, 7, "\1CD001\1"}}, false, LOOK_CDROM},
		{700 << 20, {{0x8000, 7, "\1CD001\1"}, PARTITION}, true, LOOK_CDROM}, /* isohybrid */
		{1474560, {{0}}, true, LOOK_FLOPPY},
		{1474560, {{0}}, false, LOOK_FLOPPY}, /* blank: the firmware says that it does not boot */
		{368640, {{0}}, false, LOOK_FLOPPY},
		{2949120, {PARTITION}, true, LOOK_FLOPPY},
		{5 << 20, {{0x202, 4, "HdrS"}}, true, LOOK_KERNEL},
		{100000, {MULTIBOOT}, false, LOOK_KERNEL},
		{100000, {{0, 4, "\177ELF"}}, false, LOOK_KERNEL},
	};

	(void)state;
	for (unsigned i = 0; i < ARRAY_LEN(cases); i++) {
		struct look look = {0};
		struct err err = {0};
		struct piece all[4] = {cases[i].piece[0], cases[i].piece[1], cases[i].piece[2]};
		unsigned n = 0;
		while (all[n].len)
			n++;
		if (cases[i].signature)
			all[n++] = boot_signature;
		make(cases[i].size, all, n);
		if (!look_at(path, &look, &err))
			fail_msg("case %u: %s", i, err.text);
		if (look.kind != cases[i].kind)
			fail_msg("case %u: a %s", i, look.name);
	}
	unlink(path);
}

static void refused(void **state)
{
	static const struct {
		u64 size;
		struct piece piece;
		const char *words;
	} cases[] = {
		{0, {0}, "empty"},
		{1, {0}, "nothing that boots"},
		{300000, {0}, "nothing that boots"},
		{300000, {0, 3, "xyz"}, "nothing that boots"},
		{300000, {0, 4, "KDMV"}, "VMDK"},
		{300000, {0x40, 4, "\x7f\x10\xda\xbe"}, "VDI"},
		{300000, {0, 8, "vhdxfile"}, "VHDX"},
		{300000, {0, 8, "conectix"}, "VHD"},
		{300000, {0, 22, "# Disk DescriptorFile\n"}, "VMDK"},
		{300000, {0, 4, "QED\0"}, "QED"},
		{300000, {0, 16, "WithoutFreeSpace"}, "Parallels"},
		{300000, {0, 6, "LUKS\xba\xbe"}, "cryptsetup"},
		{300000, {0, 22, "Bochs Virtual HD Image"}, "Bochs"},
		{300000, {0, 31, "#!/bin/sh\n#V2.0 Format\nmodprobe cloop"}, "cloop"},
		{300000, {300000 - 512, 12, "koly\0\0\0\4\0\0\2\0"}, "DMG"},
		{65 << 20, MULTIBOOT, "nothing that boots"}, /* what is left of a boot loader on a disk without an MBR */
		{300000, {0, 3, "\x1f\x8b\x08"}, "gunzip"},
		{300000, {0, 6, "\3757zXZ"}, "unxz"},
		{300000, {0, 4, "\x28\xb5\x2f\xfd"}, "unzstd"},
		{300000, {0, 8, "QFI\373\0\0\0\1"}, "version 1"},
		{300000, {0, 10, "#!/bin/sh\n"}, "script"},
	};

	(void)state;
	for (unsigned i = 0; i < ARRAY_LEN(cases); i++) {
		struct look look = {0};
		struct err err = {0};
		make(cases[i].size, &cases[i].piece, 1);
		assert_false(look_at(path, &look, &err));
		assert_int_equal(err.code, EXIT_FILE);
		if (!strstr(err.text, cases[i].words))
			fail_msg("case %u: %s", i, err.text);
	}
	unlink(path);
}

static void no_file(void **state)
{
	struct look look;
	struct err err = {0};

	(void)state;
	assert_false(look_at("/nonexistent/file", &look, &err));
	assert_int_equal(err.code, EXIT_FILE);
	assert_false(look_at("/tmp", &look, &err));
	assert_non_null(strstr(err.text, "regular"));
	make(0, NULL, 0);
	unlink(path);
	assert_int_equal(mkfifo(path, 0600), 0);
	assert_false(look_at(path, &look, &err));
	unlink(path);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(good), cmocka_unit_test(refused), cmocka_unit_test(no_file)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
