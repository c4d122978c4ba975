/* SPDX-License-Identifier: MIT */
/* paisano-img convert and compare: whole contents from one image to another, or beside another. */
#include <errno.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "base/magic.h"
#include "tools/img/img.h"

struct convert {
	const struct img_args *args;
	struct image *from, *to;
	bool fresh;  /* what we do not write reads as zeros */
	u32 step;    /* what is written or left out as a whole */
	u8 *buf, *below;
};

/* One piece, whose content is in c->buf. */
static int put(struct convert *c, u64 offset, size_t len)
{
	bool zero = img_is_zero(c->buf, len);
	int error;

	if (c->to->backing) { /* only what differs */
		error = img_read(c->to->backing, offset, c->below, len);
		if (error || memcmp(c->buf, c->below, len) == 0)
			return error;
	}
	if (zero && c->fresh && !c->to->backing)
		return 0;
	if (zero)
		return image_zero(c->to, offset, len);
	if (c->args->compress)
		return c->to->driver->write_compressed(c->to, offset, c->buf, len);
	return image_write(c->to, offset, c->buf, len);
}

static int put_pieces(struct convert *c, u64 offset, size_t len)
{
	u8 *all = c->buf;
	int error = 0;

	for (size_t n; len && !error; offset += n, c->buf += n, len -= n) {
		bool zero;
		n = MIN((size_t)c->step, len);
		zero = img_is_zero(c->buf, n);
		/* in one go what is all data or all zeros */
		while (!c->args->compress && !c->to->backing && n < len &&
		       img_is_zero(c->buf + n, MIN((size_t)c->step, len - n)) == zero)
			n += MIN((size_t)c->step, len - n);
		error = put(c, offset, n);
	}
	c->buf = all;
	return error;
}

static int copy(struct convert *c)
{
	u64 size = c->from->size, n;
	int error = 0;

	for (u64 at = 0; at < size && !error; at += n) {
		struct image_extent e = {0};
		struct image *owner;

		img_progress(c->args, at, size);
		error = img_stopped() ? ECANCELED : image_map_chain(c->from, at, size - at, &e, &owner);
		if (error)
			break;
		if (e.zero && c->fresh && !c->to->backing && (e.len >= c->step || at + e.len == size)) {
			n = at + e.len == size ? e.len : e.len / c->step * c->step; /* whole steps, as compression needs them */
			continue;
		}
		n = MIN(MAX(e.len, (u64)c->step), (u64)IMG_CHUNK); /* never across the end of a piece of the target */
		n = at + n < size ? n / c->step * c->step : size - at;
		n = MIN(n, size - at);
		error = image_read(c->from, at, c->buf, (size_t)n);
		if (!error)
			error = put_pieces(c, at, (size_t)n);
	}
	return error ? error : image_flush(c->to);
}

static bool same_file(const char *a, const char *b)
{
	struct stat x, y;

	return !stat(a, &x) && !stat(b, &y) && x.st_dev == y.st_dev && x.st_ino == y.st_ino;
}

static bool make_target(const struct img_args *args, const struct image *from, struct err *err)
{
	struct image_create create = {.file = args->files[1], .format = args->out_format ? args->out_format : "raw", .fd = -1};

	create.size = from->size;
	if (!img_options(args, &create, err))
		return false;
	if (args->compress && strcmp(create.format, "qcow2") != 0)
		return err_set(err, EXIT_USAGE, "Compression not supported for this file format");
	if (create.size < from->size)
		return err_set(err, EXIT_USAGE, "the target would be smaller than the source");
	if (create.backing_file && !create.backing_format) {
		char *file = image_resolve(create.file, create.backing_file);
		struct image *below = image_open(file, NULL, IMAGE_READ_ONLY, err);
		free(file);
		if (!below)
			return false;
		create.backing_format = below->driver->name;
		image_close(below);
	}
	return image_create(&create, err);
}

/* A raw disk is not told from what its guest wrote at its start. */
static void note_look(const struct image *to)
{
	struct magic_file *contents = err_alloc(sizeof *contents);

	if (!strcmp(to->driver->name, "raw") && !magic_read(to->fd, contents) && magic_of(contents)->kind == MAGIC_IMAGE)
		err_note("%s looks like a %s now: say that it is raw wherever it is used", to->file, magic_of(contents)->name);
	free(contents);
}

static void note_left_out(const struct convert *c)
{
	struct image_info info;

	image_get_info(c->from, &info);
	if (info.snapshots || info.bitmaps)
		err_note("%s: only the disk as it is now was copied, not its internal snapshots (%u) and bitmaps (%u)", c->from->file,
		         info.snapshots, info.bitmaps);
}

int img_convert(const struct img_args *args, struct err *err)
{
	struct convert c = {.args = args};
	struct image_info info;
	int error = 0, code = IMG_ERROR;
	bool made = false;

	c.from = img_open(args, args->files[0], args->format, IMAGE_READ_ONLY, err);
	if (!c.from)
		return IMG_ERROR;
	if (!args->no_create && same_file(args->files[0], args->files[1])) {
		err_set(err, EXIT_USAGE, "%s cannot be converted into itself", args->files[0]);
		goto out;
	}
	img_catch_signals();
	if (!args->no_create && !(made = make_target(args, c.from, err)))
		goto out;
	c.to = image_open(args->files[1], args->out_format ? args->out_format : "raw", 0, err);
	if (!c.to)
		goto out;
	if (c.to->size < c.from->size) {
		err_set(err, EXIT_FILE, "%s is smaller than %s", args->files[1], args->files[0]);
		goto out;
	}
	image_get_info(c.to, &info);
	c.fresh = !args->no_create && !c.to->device;
	c.step = info.cluster_size ? info.cluster_size : 4096;
	c.buf = err_alloc(IMG_CHUNK);
	c.below = err_alloc(IMG_CHUNK);
	error = copy(&c);
	if (error)
		img_failed(err, "cannot convert", error);
	else
		img_progress_end(args);
	code = error ? IMG_ERROR : IMG_OK;
	if (!error && !args->quiet) {
		note_look(c.to);
		note_left_out(&c);
	}
out:
	if (c.to && made && code != IMG_OK) /* half of a disk helps nobody */
		image_file_remove(c.to->file, c.to->fd);
	free(c.buf);
	free(c.below);
	image_close(c.to);
	image_close(c.from);
	return code;
}

/* ---- compare ---- */
static int compare(const struct img_args *args, struct image *a, struct image *b, u64 *where, bool *differ)
{
	u64 size = MAX(a->size, b->size);
	u8 *x = err_alloc(IMG_CHUNK), *y = err_alloc(IMG_CHUNK);
	int error = 0;

	*differ = false;
	for (u64 at = 0, n; at < size && !error && !*differ; at += n) {
		n = MIN(size - at, (u64)IMG_CHUNK);
		img_progress(args, at, size);
		error = img_read(a, at, x, (size_t)n);
		if (!error)
			error = img_read(b, at, y, (size_t)n);
		for (u64 i = 0; !error && memcmp(x, y, (size_t)n) != 0 && i < n; i++)
			if (x[i] != y[i]) {
				*where = at + i;
				*differ = true;
				break;
			}
	}
	free(x);
	free(y);
	return error;
}

int img_compare(const struct img_args *args, struct err *err)
{
	struct image *a = img_open(args, args->files[0], args->format, IMAGE_READ_ONLY, err), *b = NULL;
	int error = 0, code = 2;
	bool differ = false;
	u64 where = 0;

	if (a)
		b = img_open(args, args->files[1], args->backing_format, IMAGE_READ_ONLY, err);
	if (!b)
		goto out;
	if (args->strict && a->size != b->size) {
		printf("Strict mode: Image size mismatch!\n");
		code = 1;
		goto out;
	}
	error = compare(args, a, b, &where, &differ);
	if (error) {
		img_failed(err, "cannot compare", error);
		goto out;
	}
	code = differ;
	if (!args->quiet && differ)
		printf("Content mismatch at offset %llu!\n", (unsigned long long)where);
	else if (!args->quiet)
		printf("%sImages are identical.\n", a->size != b->size ? "Warning: Image size mismatch!\n" : "");
out:
	image_close(a);
	image_close(b);
	return code;
}
