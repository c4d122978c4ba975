/* SPDX-License-Identifier: MIT */
/* What a file is, by its first and last bytes. Everything that decides by looking asks here: `paisano FILE`, a drive without a
 * format, paisano-img, and the guard that keeps a guest from changing the answer for its own disk. */
#ifndef BASE_MAGIC_H
#define BASE_MAGIC_H

#include <stddef.h>

#include "base/types.h"

#define MAGIC_HEAD (64u << 10) /* bytes: no mark of any kind lies behind them, but for those at the end of a file */
#define MAGIC_TAIL 512u

enum magic_kind {
	MAGIC_UNKNOWN,
	MAGIC_IMAGE,  /* a disk in a format of its own, or at least what the format's programs take for one */
	MAGIC_KERNEL,
	MAGIC_CDROM, MAGIC_FLOPPY, MAGIC_DISK, /* as they are, byte for byte */
	MAGIC_PACKED, /* nothing to start, but there may be something in it */
};

struct magic {
	enum magic_kind kind;
	const char *name;    /* for the user: "ISO 9660 CD-ROM image" */
	const char *format;  /* of an image: "qcow2", "vmdk" */
	const char *instead; /* what to do with what cannot be used as it is: "unpack it first: gunzip"; NULL: it can */
};

struct magic_file {
	u8 head[MAGIC_HEAD], tail[MAGIC_TAIL];
	size_t head_len, tail_len; /* bytes of them that are there */
	u64 size;
	bool is_block;             /* a block device */
};

/* 0 or an errno. */
int magic_read(int fd, struct magic_file *file);
/* Never NULL. */
const struct magic *magic_of(const struct magic_file *file);
/* An image format by its name, known or supported; NULL: nobody has heard of it. */
const struct magic *magic_format(const char *format);

/* The marks of kernels, for who loads them. */
bool magic_is_linux(const u8 *data, size_t size);
const u8 *magic_multiboot(const u8 *data, size_t size); /* the header; NULL: there is none */

#endif
