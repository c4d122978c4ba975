/* SPDX-License-Identifier: MIT */
/* paisano-img resize, rebase and commit: images changed in place, alone or with what is below them. */
#include <errno.h>
#include <limits.h>
#include <stdlib.h>

#include "base/magic.h"
#include "tools/img/img.h"

/* ---- resize ---- */
int img_resize(const struct img_args *args, struct err *err)
{
	const char *text = args->files[1];
	char sign = *text == '+' || *text == '-' ? *text++ : 0;
	struct image *image;
	int code = IMG_ERROR;
	u64 size;

	if (args->preallocation && strcmp(args->preallocation, "off") != 0) {
		err_set(err, EXIT_USAGE, "resize knows no preallocation but 'off'");
		return IMG_ERROR;
	}
	if (!img_size(text, &size, err) || !(image = img_open_to_change(args->files[0], args->format, 0, err)))
		return IMG_ERROR;
	if (sign == '-' && size > image->size) {
		err_set(err, EXIT_USAGE, "New image size must be positive");
		goto out;
	}
	size = sign == '+' ? image->size + size : sign == '-' ? image->size - size : size;
	size = (size + 511) & ~511ull;
	if (size < image->size && !args->shrink) {
		err_set(err, EXIT_USAGE, "Use the --shrink option to perform a shrink operation; what lies behind the new end is lost");
		goto out;
	}
	if (!image_resize(image, size, err))
		goto out;
	if (!args->quiet)
		printf("Image resized.\n");
	code = IMG_OK;
out:
	image_close(image);
	return code;
}

/* What a snapshot inside the image does not hold itself it shows of the backing file. */
static bool snapshots_stand_alone(struct image *image, struct err *err)
{
	struct image_info info;

	image_get_info(image, &info);
	return !info.snapshots || err_set(err, EXIT_USAGE, "%s has internal snapshots (%u), whose contents would change with what is "
	                                  "below them", image->file, info.snapshots);
}

/* ---- rebase ---- */
/* What the overlay shows through itself must stay: write down where the new backing file is different. */
static int keep_content(const struct img_args *args, struct image *image, struct image *below)
{
	u8 *old = err_alloc(IMG_CHUNK), *new = err_alloc(IMG_CHUNK);
	int error = 0;

	for (u64 at = 0, n; at < image->size && !error; at += n) {
		struct image_extent e = {0};

		img_progress(args, at, image->size);
		error = img_stopped() ? ECANCELED : image_map(image, at, image->size - at, &e);
		n = e.len;
		if (error || e.allocated)
			continue;
		n = MIN(n, 65536u - at % 65536u);
		error = img_read(image->backing, at, old, (size_t)n);
		if (!error)
			error = img_read(below, at, new, (size_t)n);
		if (!error && memcmp(old, new, (size_t)n) != 0)
			error = img_is_zero(old, (size_t)n) ? image_zero(image, at, n) : image_write(image, at, old, (size_t)n);
	}
	free(old);
	free(new);
	return error ? error : image_flush(image);
}

int img_rebase(const struct img_args *args, struct err *err)
{
	const char *name = args->backing && *args->backing ? args->backing : NULL, *format = args->backing_format;
	struct image *image, *below = NULL;
	int error, code = IMG_ERROR;

	if (!args->backing) {
		err_set(err, EXIT_USAGE, "rebase needs -b BACKING_FILE; -b '' for none");
		return IMG_ERROR;
	}
	img_catch_signals();
	image = img_open_to_change(args->files[0], args->format, args->unsafe ? IMAGE_NO_BACKING : 0, err);
	if (!image)
		return IMG_ERROR;
	if (!image->driver->set_backing) {
		err_set(err, EXIT_USAGE, "The format of %s has no backing files", image->file);
		goto out;
	}
	if (!args->unsafe && !snapshots_stand_alone(image, err))
		goto out;
	if (name && !args->unsafe) {
		char *file = image_resolve(image->file, name);
		below = image_open(file, format, IMAGE_READ_ONLY, err);
		free(file);
		if (!below)
			goto out;
		format = below->driver->name;
	}
	if (!args->unsafe) {
		error = keep_content(args, image, below);
		if (error) {
			img_failed(err, image->file, error);
			goto out;
		}
		img_progress_end(args);
	}
	if (image->driver->set_backing(image, name, format, err))
		code = IMG_OK;
out:
	image_close(below);
	image_close(image);
	return code;
}

/* ---- commit ---- */
static int push_down(const struct img_args *args, struct image *image)
{
	struct image *below = image->backing;
	u8 *buf = err_alloc(IMG_CHUNK);
	int error = 0;

	for (u64 at = 0, n; at < image->size && !error; at += n) {
		struct image_extent e = {0};

		img_progress(args, at, image->size);
		error = img_stopped() ? ECANCELED : image_map(image, at, image->size - at, &e);
		n = e.len;
		if (error || !e.allocated)
			continue;
		if (e.zero) {
			error = image_zero(below, at, n);
			continue;
		}
		n = MIN(n, (u64)IMG_CHUNK);
		error = image_read(image, at, buf, (size_t)n);
		if (!error)
			error = image_write(below, at, buf, (size_t)n);
	}
	free(buf);
	return error ? error : image_flush(below);
}

/* In the folder of the image or below it, with all links followed. */
static bool is_beside(const char *image, const char *backing)
{
	char *folder = err_strdup(image), *slash = strrchr(folder, '/'), here[PATH_MAX], there[PATH_MAX];
	size_t len;
	bool known;

	if (slash)
		slash[slash == folder] = 0; /* "/" stays */
	known = realpath(slash ? folder : ".", here) && realpath(backing, there);
	free(folder);
	if (!known)
		return false;
	len = strlen(here);
	return !strncmp(here, there, len) && (here[len - 1] == '/' || there[len] == '/');
}

/* A raw image has no mark that says so; but some files are certainly none. */
static bool is_no_disk(const struct image *image)
{
	struct magic_file *contents;
	enum magic_kind kind;

	if (image->driver != &image_raw)
		return false;
	contents = err_alloc(sizeof *contents);
	kind = magic_read(image->fd, contents) ? MAGIC_PACKED : magic_of(contents)->kind;
	free(contents);
	return image->host_size % 512 || kind == MAGIC_PACKED || kind == MAGIC_KERNEL;
}

/* Who wrote the image chose the file that a commit overwrites, and need not be the one who commits it. So a file that is not
 * beside the image, or not a disk, must be named by the user too, who by that has seen which it is. */
static bool may_overwrite(const struct img_args *args, const char *file, const struct image *below, struct err *err)
{
	if (args->backing)
		return true;
	if (!below && !is_beside(args->files[0], file))
		return err_set(err, EXIT_USAGE, "%s would be written into %s, which is not in its folder; if that is meant, name it: -b %s",
		               args->files[0], file, file);
	if (below && is_no_disk(below))
		return err_set(err, EXIT_USAGE, "%s would be written into %s, which does not look like a disk; if that is meant, name it: "
		               "-b %s", args->files[0], file, file);
	return true;
}

int img_commit(const struct img_args *args, struct err *err)
{
	struct image *image = img_open_to_change(args->files[0], args->format, IMAGE_NO_BACKING, err);
	int error, code = IMG_ERROR;
	char *file = NULL;

	if (!image)
		return IMG_ERROR;
	if (!image->backing_file) {
		err_set(err, EXIT_USAGE, "%s has no backing file", image->file);
		goto out;
	}
	if (!snapshots_stand_alone(image, err))
		goto out;
	file = image_resolve(image->file, image->backing_file);
	if (args->backing && strcmp(args->backing, file) != 0 && strcmp(args->backing, image->backing_file) != 0)
		err_set(err, EXIT_USAGE, "only into the direct backing file, %s", image->backing_file);
	else if (may_overwrite(args, file, NULL, err)) /* before it is opened, which may change it */
		image->backing = img_open_to_change(file, image->backing_format, IMAGE_GUARD, err);
	if (!image->backing || !may_overwrite(args, file, image->backing, err))
		goto out;
	if (!args->quiet) {
		printf("Committing into %s\n", file);
		fflush(stdout);
	}
	if (image->backing->size < image->size && !image_resize(image->backing, image->size, err))
		goto out;
	img_catch_signals();
	error = push_down(args, image);
	if (!error && !args->keep)
		error = image->driver->empty(image);
	if (error) {
		img_failed(err, image->file, error);
		goto out;
	}
	img_progress_end(args);
	if (!args->quiet)
		printf("Image committed.\n");
	code = IMG_OK;
out:
	free(file);
	image_close(image);
	return code;
}
