/* SPDX-License-Identifier: MIT */
/* Disk images, synchronously: what disk.c runs on worker threads and paisano-img and the tests call as they stand. Knows no loop
 * and no machine. A format is a struct image_driver in the table of image.c; an image may stand on a backing image of any format.
 *
 * Reads, writes, zeroing, discards and flushes may come from several threads at once; everything else has the image to itself.
 * They return 0 or an errno. What a file contains is never trusted: an impossible value gives EIO and one line, nothing worse. */
#ifndef HW_DISK_IMAGE_H
#define HW_DISK_IMAGE_H

#include <pthread.h>
#include <stdio.h>

#include "base/err.h"
#include "base/types.h"
#include "hw/disk/pieces.h"

struct image;

enum image_flags {
	IMAGE_READ_ONLY = 1,
	IMAGE_TRY_READ_ONLY = 2, /* read-only instead of refused when the file cannot be written */
	IMAGE_NO_LOCK = 4,       /* do not mind who else has it open (paisano-img -U) */
	IMAGE_NO_BACKING = 8,    /* leave the backing file closed: what it holds reads as zeros */
	IMAGE_INSPECT = 16,      /* for check and info: open dirty and corrupt images as they are, repair nothing */
	IMAGE_NO_REPAIR = 64,    /* refuse to write to a dirty image, whose repair may take long */
	IMAGE_GUARD = 32,        /* a raw one is guarded as if its format had been guessed */
};

#define IMAGE_DEPTH 64 /* the longest chain */
#define IMAGE_NAME 1024 /* the longest file name inside an image, with its NUL */

/* What is where: len bytes from the asked offset on are of one kind. */
struct image_extent {
	u64 len;
	bool allocated; /* in this image, not in its backing file */
	bool zero;      /* reads as zeros without a look at any data */
	bool compressed;
	u64 host;       /* the data's place in the file; only if allocated, not zero and not compressed */
};

struct image_info {
	u32 cluster_size;  /* 0: the format has none */
	u64 disk_bytes;    /* what the file occupies on the host */
	char backing_name[IMAGE_NAME], backing_format[16]; /* as the image has them; empty: none */
	unsigned version, refcount_bits;
	bool lazy_refcounts, dirty, corrupt;
	const char *compression;
	unsigned snapshots, bitmaps; /* inside the image; bitmaps that are up to date */
};

struct image_check {
	u64 corruptions, leaks, errors;            /* found */
	u64 corruptions_fixed, leaks_fixed;
	u64 clusters, allocated, fragmented, compressed; /* of the virtual disk */
	u64 end;          /* where the file's data ends */
	FILE *report;     /* one line for each find; may be NULL */
	bool fix_leaks, fix_all;
};

struct image_create {
	const char *file, *format;
	u64 size;
	const char *backing_file, *backing_format; /* NULL: none */
	u32 cluster_size;                          /* 0: the default; so for the others */
	unsigned refcount_bits, version;
	bool lazy_refcounts, zstd;
	enum { IMAGE_PREALLOC_OFF, IMAGE_PREALLOC_METADATA, IMAGE_PREALLOC_FALLOC, IMAGE_PREALLOC_FULL } preallocation;
	int fd; /* make it in this open file instead (a temporary one); -1: by name */
};

struct image_driver {
	const char *name;
	size_t struct_size; /* of the driver's struct, which begins with a struct image */
	bool (*open)(struct image *image, unsigned flags, struct err *err);
	bool (*creatable)(const struct image_create *options, struct err *err); /* before anything is overwritten; may be NULL */
	bool (*create)(const struct image_create *options, int fd, struct err *err);
	void (*close)(struct image *image);
	int (*read)(struct image *image, u64 offset, struct pieces *to, size_t len);
	int (*write)(struct image *image, u64 offset, struct pieces *from, size_t len);
	int (*zero)(struct image *image, u64 offset, u64 len);
	int (*discard)(struct image *image, u64 offset, u64 len);
	int (*flush)(struct image *image);
	int (*map)(struct image *image, u64 offset, u64 len, struct image_extent *extent);
	bool (*resize)(struct image *image, u64 size, struct err *err);
	void (*info)(struct image *image, struct image_info *info);
	/* May be NULL: the format knows no such thing. */
	bool (*check)(struct image *image, struct image_check *check, struct err *err);
	int (*write_compressed)(struct image *image, u64 offset, const u8 *buf, size_t len); /* one cluster */
	bool (*set_backing)(struct image *image, const char *file, const char *format, struct err *err);
	int (*empty)(struct image *image); /* forget all data: everything reads from the backing file (commit) */
};

struct image {
	const struct image_driver *driver;
	char *file;       /* as it was named */
	int fd;
	u64 size;         /* of the virtual disk, bytes */
	u64 host_size;    /* of the file when opened; a block device's size */
	bool read_only, device;
	bool guessed;     /* raw because it looked like nothing else: its guest must not make it look like something else */
	pthread_mutex_t guard; /* of a guessed one: who changes its first bytes looks at them and writes alone */
	bool temporary;   /* nothing of it outlives us: never synchronised */
	bool reported[2]; /* one line for each kind of trouble: see image_report */
	char *backing_file, *backing_format; /* as the image has them; NULL: none */
	struct image *backing;
};

/* format NULL: looked at; what is known but not supported is refused. NULL: err has a line. */
struct image *image_open(const char *file, const char *format, unsigned flags, struct err *err);
/* A temporary overlay in $TMPDIR, without a name, above an image that it takes over (also when it fails). */
struct image *image_open_snapshot(struct image *base, struct err *err);
/* Flushes; what cannot be written any more is reported. Closes the backing chain too. NULL is fine. */
void image_close(struct image *image);
/* What cannot be made is refused before a file of that name is overwritten; one that fails later is removed. */
bool image_create(const struct image_create *options, struct err *err);

/* Any alignment; beyond the end EIO, on a read-only image EROFS. */
int image_read(struct image *image, u64 offset, void *buf, size_t len);
int image_write(struct image *image, u64 offset, const void *buf, size_t len);
int image_read_pieces(struct image *image, u64 offset, struct pieces *to, size_t len); /* they move on, not on errors */
int image_write_pieces(struct image *image, u64 offset, struct pieces *from, size_t len);
int image_zero(struct image *image, u64 offset, u64 len);
int image_discard(struct image *image, u64 offset, u64 len); /* a hint; what it drops reads as zeros or as before */
int image_flush(struct image *image);

/* One kind of extent from offset on, within len; false in `zero` and `allocated`: look in the backing image. */
int image_map(struct image *image, u64 offset, u64 len, struct image_extent *extent);
/* The same through the whole chain: *owner is the image that holds it, NULL when nobody does (zeros). */
int image_map_chain(struct image *image, u64 offset, u64 len, struct image_extent *extent, struct image **owner);
bool image_resize(struct image *image, u64 size, struct err *err);
void image_get_info(struct image *image, struct image_info *info);
const struct image_driver *image_driver(const char *format); /* NULL: no such format */
/* The name of a backing file as its overlay has it, made usable from here. The caller frees it. */
char *image_resolve(const char *overlay, const char *backing);
/* The file that an image stands on, by a look at its first bytes; NULL: on none, or it cannot be read. The caller frees it. */
char *image_backing_of(const char *file);
/* Open the backing image that `image` names (read-only), unless it is open. */
bool image_open_backing(struct image *image, unsigned flags, struct err *err);

/* ---- for drivers ---- */
extern const struct image_driver image_raw, image_qcow2;

/* The first trouble of each kind (corruption, other) is one line to the user. Returns error. */
int image_report(struct image *image, int error, const char *fmt, ...) __attribute__((format(printf, 3, 4)));

/* image_file.c: whole transfers, short ones and signals taken care of. Reading behind the end gives zeros. */
int image_file_read(int fd, u64 offset, void *buf, size_t len);
int image_file_write(int fd, u64 offset, const void *buf, size_t len);
int image_file_read_pieces(int fd, u64 offset, struct pieces *to, size_t len);
int image_file_write_pieces(int fd, u64 offset, struct pieces *from, size_t len);
int image_file_zero(int fd, u64 offset, u64 len);  /* allocated or not: the host decides */
int image_file_punch(int fd, u64 offset, u64 len); /* gives the room back where the host can; zeros or as before */
int image_file_sync(int fd);
int image_sync(const struct image *image); /* image_file_sync, unless it is temporary */
bool image_file_size(int fd, u64 *size, bool *device);
/* Opens and locks; *read_only is what came out. -1: err has a line. */
int image_file_open(const char *file, unsigned flags, bool *read_only, struct err *err);
bool image_file_lock(int fd, bool write, const char *file, struct err *err);
/* Creates or overwrites, locked against others before anything of it is lost. */
int image_file_create(const char *file, struct err *err);
/* Of what was created under that name and did not become whole: a regular file is removed, as long as it is still that one. */
void image_file_remove(const char *file, int fd);
int image_file_temporary(struct err *err);

#endif
