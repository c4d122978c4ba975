/* SPDX-License-Identifier: MIT */
/* paisano-img: what its commands share. Spelling, output and exit codes are those of qemu-img(1). */
#ifndef TOOLS_IMG_IMG_H
#define TOOLS_IMG_IMG_H

#include <stdio.h>

#include "base/err.h"
#include "hw/disk/image.h"

#define IMG_CHUNK (2u << 20) /* moved at once */

enum img_exit { IMG_OK = 0, IMG_ERROR = 1, IMG_CORRUPT = 2, IMG_LEAKS = 3, IMG_UNSUPPORTED = 63 };

struct img_args {
	const char *format, *out_format, *backing, *backing_format, *repair, *output, *preallocation;
	bool compress, progress, quiet, no_create, unsafe, shrink, keep, share, list, chain, strict;
	const char *options[16]; /* -o, in order */
	unsigned option_count;
	char **files;
	int count;
};

/* one command each: main.c has the table */
int img_create(const struct img_args *args, struct err *err);
int img_info(const struct img_args *args, struct err *err);
int img_map(const struct img_args *args, struct err *err);
int img_convert(const struct img_args *args, struct err *err);
int img_compare(const struct img_args *args, struct err *err);
int img_check(const struct img_args *args, struct err *err);
int img_resize(const struct img_args *args, struct err *err);
int img_rebase(const struct img_args *args, struct err *err);
int img_commit(const struct img_args *args, struct err *err);

/* "10G" in bytes; the suffixes are powers of 1024. */
bool img_size(const char *text, u64 *size, struct err *err);
/* The options of -o into what image_create() takes. */
bool img_options(const struct img_args *args, struct image_create *create, struct err *err);
/* The line that create and convert print. */
void img_formatting(const struct image_create *create);
struct image *img_open(const struct img_args *args, const char *file, const char *format, unsigned flags, struct err *err);
/* For a command that changes what is in an image: refused if it has persistent bitmaps, which are not carried on. */
struct image *img_open_to_change(const char *file, const char *format, unsigned flags, struct err *err);
/* Signals that end a command end it as an error would, with what it made removed; true from then on. */
void img_catch_signals(void);
bool img_stopped(void);
void img_progress(const struct img_args *args, u64 done, u64 total);
/* "(12.34/100%)" is followed by a line end. */
void img_progress_end(const struct img_args *args);
/* error ECANCELED: a signal has come. */
bool img_failed(struct err *err, const char *file, int error);
bool img_is_zero(const u8 *buf, size_t len);
/* Through the backing chain; behind the end zeros. */
int img_read(struct image *image, u64 offset, u8 *buf, size_t len);

#endif
