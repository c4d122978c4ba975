/* SPDX-License-Identifier: MIT */
/* The magic numbers: see magic.h. Of kernels: the Linux/x86 boot protocol (HdrS), Multiboot 0.6.96, ELF; of media: ECMA-119
 * (volume descriptors), the MBR as every PC firmware reads it; of disk images: their formats' specifications.
 *
 * The order of the tables matters. Image formats come first: what has a format's header is that format for all who look. A CD
 * image may begin with a partition table (isohybrid); a boot loader behind an MBR or a boot sector may hold a multiboot header;
 * a bzImage ends its first sector as a boot sector does. */
#define _GNU_SOURCE
#include "base/magic.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/hostfile.h"

/* ---- reading ---- */
static int read_all(int fd, u64 offset, u8 *to, size_t len, size_t *got)
{
	for (*got = 0; *got < len;) {
		ssize_t n = pread(fd, to + *got, len - *got, (off_t)(offset + *got));

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return errno;
		if (!n)
			break;
		*got += (size_t)n;
	}
	return 0;
}

int magic_read(int fd, struct magic_file *file)
{
	off_t end = lseek(fd, 0, SEEK_END);
	struct stat st;
	size_t got;
	int error;

	if (end < 0 || hostfile_stat(fd, &st) < 0)
		return errno;
	file->size = (u64)end;
	file->is_block = S_ISBLK(st.st_mode);
	error = read_all(fd, 0, file->head, sizeof file->head, &file->head_len);
	file->tail_len = 0;
	/* a device has no trailer, and its last sectors need not be legible (a CD that was burnt track by track) */
	if (!error && file->size >= MAGIC_TAIL && !file->is_block &&
	    read_all(fd, file->size - MAGIC_TAIL, file->tail, MAGIC_TAIL, &got) == 0)
		file->tail_len = got;
	return error;
}

/* ---- marks that are more than a string at a place ---- */
static bool has(const struct magic_file *f, size_t offset, const char *mark, size_t len)
{
	return offset + len <= f->head_len && !memcmp(f->head + offset, mark, len);
}

static bool has_boot_signature(const struct magic_file *f)
{
	return has(f, 510, "\x55\xaa", 2);
}

bool magic_is_linux(const u8 *data, size_t size)
{
	return size >= 0x206 && load16(data + 0x1fe) == 0xaa55 && !memcmp(data + 0x202, "HdrS", 4);
}

static bool is_linux(const struct magic_file *f)
{
	return magic_is_linux(f->head, f->head_len);
}

const u8 *magic_multiboot(const u8 *data, size_t size)
{
	enum { MARK = 0x1badb002, SEARCH = 8192 };

	for (size_t at = 0; at + 12 <= MIN(size, (size_t)SEARCH); at += 4)
		if (load32(data + at) == MARK && load32(data + at) + load32(data + at + 4) + load32(data + at + 8) == 0)
			return data + at;
	return NULL;
}

/* No kernel is as large as a disk, whose first track may be left with a boot loader that holds this header. */
static bool is_multiboot(const struct magic_file *f)
{
	return f->size <= 32u << 20 && magic_multiboot(f->head, f->head_len);
}

static bool is_floppy(const struct magic_file *f)
{
	static const u16 kilobytes[] = {160, 180, 320, 360, 640, 720, 800, 1200, 1440, 1680, 1722, 2880};

	for (unsigned i = 0; i < ARRAY_LEN(kilobytes); i++)
		if (f->size == kilobytes[i] * 1024ull)
			return !f->is_block;
	return false;
}

/* Four entries of which at least one is in use, and nothing in them that no partitioner writes. */
static bool is_partitioned(const struct magic_file *f)
{
	bool used = false;

	for (unsigned i = 0; has_boot_signature(f) && i < 4; i++) {
		const u8 *entry = f->head + 446 + i * 16;

		if (entry[0] & 0x7f)
			return false;
		used |= entry[4] && load32(entry + 12);
	}
	return used;
}

/* A VHD of fixed size is the bare disk and a footer (Virtual Hard Disk Image Format Specification 1.0): cookie, size, type 2. */
static bool is_fixed_vhd(const struct magic_file *f)
{
	return f->tail_len == MAGIC_TAIL && !memcmp(f->tail, "conectix", 8) &&
	       __builtin_bswap64(load64(f->tail + 48)) == f->size - MAGIC_TAIL && __builtin_bswap32(load32(f->tail + 60)) == 2;
}

/* The trailer of Apple's disk images: version 4, of 512 bytes. */
static bool is_dmg(const struct magic_file *f)
{
	return f->tail_len == MAGIC_TAIL && !memcmp(f->tail, "koly\0\0\0\4\0\0\2\0", 12);
}

/* ---- the tables ---- */
#define CONVERT(format) "convert it: qemu-img convert -f " format " -O qcow2"
#define UNPACK(program) "unpack it first: " program

static const struct entry {
	struct magic magic;
	bool (*is)(const struct magic_file *f); /* or, if NULL: */
	u16 offset, len;
	const char *mark;
} entries[] = {
	{{MAGIC_IMAGE, "qcow image of version 1", "qcow", CONVERT("qcow")}, NULL, 0, 8, "QFI\373\0\0\0\1"},
	{{MAGIC_IMAGE, "qcow2 disk image", "qcow2", NULL}, NULL, 0, 4, "QFI\373"},
	{{MAGIC_IMAGE, "VMDK disk image", "vmdk", CONVERT("vmdk")}, NULL, 0, 4, "KDMV"},
	{{MAGIC_IMAGE, "VMDK disk image", "vmdk", CONVERT("vmdk")}, NULL, 0, 4, "COWD"},
	{{MAGIC_IMAGE, "VMDK descriptor", "vmdk", CONVERT("vmdk")}, NULL, 0, 21, "# Disk DescriptorFile"},
	{{MAGIC_IMAGE, "VDI disk image", "vdi", CONVERT("vdi")}, NULL, 0x40, 4, "\x7f\x10\xda\xbe"},
	{{MAGIC_IMAGE, "VHDX disk image", "vhdx", CONVERT("vhdx")}, NULL, 0, 8, "vhdxfile"},
	{{MAGIC_IMAGE, "VHD disk image", "vpc", CONVERT("vpc")}, NULL, 0, 8, "conectix"},
	{{MAGIC_IMAGE, "VHD disk image", "vpc", CONVERT("vpc")}, is_fixed_vhd, 0, 0, NULL},
	{{MAGIC_IMAGE, "QED disk image", "qed", CONVERT("qed")}, NULL, 0, 4, "QED\0"},
	{{MAGIC_IMAGE, "Parallels disk image", "parallels", CONVERT("parallels")}, NULL, 0, 16, "WithoutFreeSpace"},
	{{MAGIC_IMAGE, "Parallels disk image", "parallels", CONVERT("parallels")}, NULL, 0, 16, "WithouFreSpacExt"},
	{{MAGIC_IMAGE, "LUKS volume", "luks", "open it with cryptsetup, and give /dev/mapper/NAME"}, NULL, 0, 6, "LUKS\xba\xbe"},
	{{MAGIC_IMAGE, "Bochs disk image", "bochs", CONVERT("bochs")}, NULL, 0, 22, "Bochs Virtual HD Image"},
	{{MAGIC_IMAGE, "cloop image", "cloop", CONVERT("cloop")}, NULL, 0, 31, "#!/bin/sh\n#V2.0 Format\nmodprobe"},
	{{MAGIC_IMAGE, "DMG disk image", "dmg", CONVERT("dmg")}, is_dmg, 0, 0, NULL},
	{{MAGIC_KERNEL, "Linux kernel", NULL, NULL}, is_linux, 0, 0, NULL},
	{{MAGIC_KERNEL, "kernel in an ELF file", NULL, NULL}, NULL, 0, 4, "\177ELF"},
	{{MAGIC_CDROM, "ISO 9660 CD-ROM image", NULL, NULL}, NULL, 0x8001, 5, "CD001"},
	{{MAGIC_FLOPPY, "floppy image", NULL, NULL}, is_floppy, 0, 0, NULL},
	{{MAGIC_DISK, "disk image", NULL, NULL}, is_partitioned, 0, 0, NULL},
	{{MAGIC_DISK, "disk image without a partition table", NULL, NULL}, has_boot_signature, 0, 0, NULL},
	{{MAGIC_KERNEL, "multiboot kernel", NULL, NULL}, is_multiboot, 0, 0, NULL},
	{{MAGIC_PACKED, "file compressed with gzip", NULL, UNPACK("gunzip")}, NULL, 0, 2, "\x1f\x8b"},
	{{MAGIC_PACKED, "file compressed with xz", NULL, UNPACK("unxz")}, NULL, 0, 6, "\3757zXZ"},
	{{MAGIC_PACKED, "file compressed with bzip2", NULL, UNPACK("bunzip2")}, NULL, 0, 3, "BZh"},
	{{MAGIC_PACKED, "file compressed with zstd", NULL, UNPACK("unzstd")}, NULL, 0, 4, "\x28\xb5\x2f\xfd"},
	{{MAGIC_PACKED, "ZIP archive", NULL, UNPACK("unzip")}, NULL, 0, 4, "PK\3\4"},
	{{MAGIC_PACKED, "script", NULL, "give what it would boot"}, NULL, 0, 2, "#!"},
};

const struct magic *magic_of(const struct magic_file *file)
{
	static const struct magic unknown = {MAGIC_UNKNOWN, "file of unknown contents", NULL, NULL};

	for (const struct entry *e = entries; e < entries + ARRAY_LEN(entries); e++)
		if (e->is ? e->is(file) : has(file, e->offset, e->mark, e->len))
			return &e->magic;
	return &unknown;
}

const struct magic *magic_format(const char *format)
{
	for (const struct entry *e = entries; e < entries + ARRAY_LEN(entries); e++)
		if (e->magic.format && !strcmp(e->magic.format, format))
			return &e->magic;
	return NULL;
}
