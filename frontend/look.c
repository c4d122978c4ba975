/* SPDX-License-Identifier: MIT */
/* What a file is: see look.h. The Linux/x86 boot protocol (HdrS), ECMA-119 (volume descriptors), the MBR as every PC firmware
 * reads it, Multiboot, ELF, the qcow2 header; and the magic numbers of what has to be converted first.
 *
 * The order matters: a CD image may begin with a partition table (isohybrid), the code behind a boot loader's MBR may hold a
 * multiboot header, and a bzImage ends its first sector as a boot sector does. */
#define _GNU_SOURCE
#include "frontend/look.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "bios/boot.h"

#define HEAD_SIZE (64u << 10)

struct contents {
	u8 head[HEAD_SIZE];
	size_t len;    /* bytes of head that the file has */
	u64 size;
	bool is_block; /* a block device */
};

static bool has(const struct contents *c, size_t offset, const char *magic, size_t len)
{
	return offset + len <= c->len && !memcmp(c->head + offset, magic, len);
}

static bool is_qcow2(const struct contents *c)
{
	return has(c, 0, "QFI\373\0\0\0\2", 8) || has(c, 0, "QFI\373\0\0\0\3", 8);
}

static bool is_linux(const struct contents *c)
{
	return has(c, 0x202, "HdrS", 4) && has(c, 0x1fe, "\x55\xaa", 2);
}

static bool is_iso(const struct contents *c)
{
	return has(c, 0x8001, "CD001", 5);
}

static bool is_elf(const struct contents *c)
{
	return has(c, 0, "\177ELF", 4);
}

static bool is_floppy(const struct contents *c)
{
	static const u16 kilobytes[] = {160, 180, 320, 360, 640, 720, 800, 1200, 1440, 1680, 1722, 2880};

	for (unsigned i = 0; i < ARRAY_LEN(kilobytes); i++)
		if (c->size == kilobytes[i] * 1024ull)
			return !c->is_block;
	return false;
}

static bool has_boot_signature(const struct contents *c)
{
	return has(c, 510, "\x55\xaa", 2);
}

/* Four entries of which at least one is in use, and nothing in them that no partitioner writes. */
static bool is_partitioned(const struct contents *c)
{
	bool used = false;

	for (unsigned i = 0; has_boot_signature(c) && i < 4; i++) {
		const u8 *entry = c->head + 446 + i * 16;
		if (entry[0] & 0x7f)
			return false;
		used |= entry[4] && load32(entry + 12);
	}
	return used;
}

static bool is_multiboot(const struct contents *c)
{
	return boot_kind(c->head, c->len) == BOOT_MULTIBOOT;
}

static const struct {
	bool (*is)(const struct contents *c);
	struct look look;
} kinds[] = {
	{is_qcow2, {LOOK_DISK, "qcow2", "qcow2 disk image"}},
	{is_linux, {LOOK_KERNEL, NULL, "Linux kernel"}},
	{is_iso, {LOOK_CDROM, "raw", "ISO 9660 CD-ROM image"}},
	{is_elf, {LOOK_KERNEL, NULL, "ELF kernel"}},
	{is_floppy, {LOOK_FLOPPY, "raw", "floppy image"}},
	{is_partitioned, {LOOK_DISK, "raw", "disk image"}},
	{is_multiboot, {LOOK_KERNEL, NULL, "multiboot kernel"}},
	{has_boot_signature, {LOOK_DISK, "raw", "disk image without a partition table"}},
};

/* Known, and of no use as they are. */
static const struct {
	u16 offset, len;
	const char *magic, *what, *instead;
} others[] = {
	{0, 4, "QFI\373", "a qcow image of version 1", "convert it: qemu-img convert -O qcow2"},
	{0, 4, "KDMV", "a VMDK disk image", "convert it: qemu-img convert -O qcow2"},
	{0, 21, "# Disk DescriptorFile", "a VMDK descriptor", "convert it: qemu-img convert -O qcow2"},
	{0x40, 4, "\x7f\x10\xda\xbe", "a VDI disk image", "convert it: qemu-img convert -O qcow2"},
	{0, 8, "vhdxfile", "a VHDX disk image", "convert it: qemu-img convert -O qcow2"},
	{0, 8, "conectix", "a VHD disk image", "convert it: qemu-img convert -O qcow2"},
	{0, 2, "\x1f\x8b", "compressed with gzip", "unpack it first: gunzip"},
	{0, 6, "\3757zXZ", "compressed with xz", "unpack it first: unxz"},
	{0, 3, "BZh", "compressed with bzip2", "unpack it first: bunzip2"},
	{0, 4, "\x28\xb5\x2f\xfd", "compressed with zstd", "unpack it first: unzstd"},
	{0, 4, "PK\3\4", "a ZIP archive", "unpack it first: unzip"},
	{0, 2, "#!", "a script", "give what it would boot"},
};

static bool read_head(const char *path, struct contents *c, struct err *err)
{
	struct stat st;
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK); /* a pipe must not hold us up */

	if (fd < 0)
		return err_set(err, EXIT_FILE, "%s: %s", path, strerror(errno));
	if (fstat(fd, &st) || (!S_ISREG(st.st_mode) && !S_ISBLK(st.st_mode))) {
		close(fd);
		return err_set(err, EXIT_FILE, "%s: not a regular file or block device", path);
	}
	c->is_block = S_ISBLK(st.st_mode);
	off_t end = lseek(fd, 0, SEEK_END);
	c->size = end > 0 ? (u64)end : 0;
	for (ssize_t n = 1; n > 0 && c->len < HEAD_SIZE;) {
		n = pread(fd, c->head + c->len, HEAD_SIZE - c->len, (off_t)c->len);
		if (n < 0 && errno != EINTR) {
			err_set(err, EXIT_FILE, "%s: %s", path, strerror(errno));
			close(fd);
			return false;
		}
		c->len += n > 0 ? (size_t)n : 0;
		n = n < 0 ? 1 : n;
	}
	close(fd);
	return true;
}

bool look_at(const char *path, struct look *look, struct err *err)
{
	struct contents *c = err_alloc(sizeof *c);
	bool found = false;

	if (!read_head(path, c, err)) {
		free(c);
		return false;
	}
	for (unsigned i = 0; !found && i < ARRAY_LEN(kinds); i++)
		if (kinds[i].is(c)) {
			*look = kinds[i].look;
			found = true;
		}
	if (!found)
		err_set(err, EXIT_FILE,
		        c->len ? "%s: nothing that boots: not a disk, CD or floppy image, not a Linux, multiboot or PVH kernel"
		               : "%s: the file is empty",
		        path);
	for (unsigned i = 0; !found && i < ARRAY_LEN(others); i++)
		if (has(c, others[i].offset, others[i].magic, others[i].len)) {
			err_set(err, EXIT_FILE, "%s: this is %s; %s", path, others[i].what, others[i].instead);
			break;
		}
	free(c);
	return found;
}
