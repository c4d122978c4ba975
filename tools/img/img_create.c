/* SPDX-License-Identifier: MIT */
/* paisano-img create, and the options that create and convert share. */
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "tools/img/img.h"

bool img_size(const char *text, u64 *size, struct err *err)
{
	static const char suffixes[] = "BKMGTPE";
	const char *suffix;
	char *end;
	double value;
	u64 whole;

	errno = 0;
	whole = strtoull(text, &end, 10);
	value = (double)whole;
	if (*end == '.')
		value = strtod(text, &end);
	suffix = *end ? strchr(suffixes, *end >= 'a' ? *end - 32 : *end) : suffixes;
	if (end == text || !suffix || (*end && end[1]) || *text == '-' || errno ||
	    ldexp(value, (int)(suffix - suffixes) * 10) > (double)INT64_MAX)
		return err_set(err, EXIT_USAGE, "Invalid image size '%s'; give bytes, or k, M, G, T, P or E after the number", text);
	*size = value == (double)whole ? whole << (suffix - suffixes) * 10 : (u64)ldexp(value, (int)(suffix - suffixes) * 10);
	return true;
}

static bool on_off(const char *value, bool *flag, struct err *err)
{
	if (strcmp(value, "on") != 0 && strcmp(value, "off") != 0)
		return err_set(err, EXIT_USAGE, "'%s' is neither on nor off", value);
	*flag = value[1] == 'n';
	return true;
}

static bool one_of(const char *value, const char *const *names, unsigned count, unsigned *index, struct err *err)
{
	for (*index = 0; *index < count; ++*index)
		if (strcmp(value, names[*index]) == 0)
			return true;
	return err_set(err, EXIT_USAGE, "unknown value '%s'", value);
}

static bool set_option(struct image_create *c, const char *key, const char *value, struct err *err)
{
	static const char *const compat[] = {"0.10", "1.1", "v2", "v3"}, *const prealloc[] = {"off", "metadata", "falloc", "full"};
	static const char *const compression[] = {"zlib", "zstd"};
	bool flag = false;
	unsigned i;
	u64 n;

	if (strcmp(key, "preallocation") == 0) {
		if (!one_of(value, prealloc, ARRAY_LEN(prealloc), &i, err))
			return false;
		c->preallocation = i;
		return true;
	}
	if (strcmp(key, "size") == 0)
		return img_size(value, &c->size, err);
	if (strcmp(c->format, "qcow2") != 0)
		return err_set(err, EXIT_USAGE, "Invalid parameter '%s' for format %s", key, c->format);
	if (strcmp(key, "cluster_size") == 0) {
		if (!img_size(value, &n, err))
			return false;
		c->cluster_size = n && n <= UINT32_MAX ? (u32)n : 1; /* 1: refused with the right words */
	} else if (strcmp(key, "refcount_bits") == 0) {
		if (!img_size(value, &n, err))
			return false;
		c->refcount_bits = n && n <= 64 ? (unsigned)n : 65;
	} else if (strcmp(key, "lazy_refcounts") == 0) {
		return on_off(value, &c->lazy_refcounts, err);
	} else if (strcmp(key, "compat") == 0) {
		if (!one_of(value, compat, ARRAY_LEN(compat), &i, err))
			return false;
		c->version = 2 + i % 2;
	} else if (strcmp(key, "compression_type") == 0) {
		if (!one_of(value, compression, ARRAY_LEN(compression), &i, err))
			return false;
		c->zstd = i;
	} else if (strcmp(key, "backing_file") == 0) {
		c->backing_file = err_strdup(value);
	} else if (strcmp(key, "backing_fmt") == 0) {
		c->backing_format = err_strdup(value);
	} else if (strcmp(key, "extended_l2") == 0) {
		if (!on_off(value, &flag, err))
			return false;
		return !flag || err_set(err, EXIT_USAGE, "extended_l2 is not supported");
	} else {
		return err_set(err, EXIT_USAGE, "Invalid parameter '%s'", key);
	}
	return true;
}

/* One -o: key=value,... ; two commas are one in a value. */
static bool set_options(struct image_create *c, const char *text, struct err *err)
{
	char *copy = err_alloc(strlen(text) + 1), *out, *value;
	bool good = true;

	while (good && *text) {
		out = copy;
		while (*text && (*text != ',' || text[1] == ',')) {
			text += *text == ',';
			*out++ = *text++;
		}
		*out = '\0';
		text += *text == ',';
		value = strchr(copy, '=');
		if (value)
			*value++ = '\0';
		if (!value && strcmp(copy, "lazy_refcounts") != 0)
			good = err_set(err, EXIT_USAGE, "Parameter '%s' is missing a value", copy);
		else
			good = set_option(c, copy, value ? value : "on", err) ||
			       (strchr(err->text, ':') ? false : err_prefix(err, "%s", copy));
	}
	free(copy);
	return good;
}

bool img_options(const struct img_args *args, struct image_create *create, struct err *err)
{
	if (!image_driver(create->format))
		return err_set(err, EXIT_USAGE, "Unknown file format '%s'", create->format);
	create->backing_file = args->backing;
	create->backing_format = args->backing_format;
	for (unsigned i = 0; i < args->option_count; i++)
		if (!set_options(create, args->options[i], err))
			return false;
	if (create->backing_file && strcmp(create->format, "qcow2") != 0)
		return err_set(err, EXIT_USAGE, "Backing file not supported for file format '%s'", create->format);
	return true;
}

void img_formatting(const struct image_create *c)
{
	static const char *const prealloc[] = {"off", "metadata", "falloc", "full"};

	printf("Formatting '%s', fmt=%s", c->file, c->format);
	if (strcmp(c->format, "qcow2") == 0)
		printf(" cluster_size=%u extended_l2=off", c->cluster_size ? c->cluster_size : 65536);
	if (c->preallocation)
		printf(" preallocation=%s", prealloc[c->preallocation]);
	if (strcmp(c->format, "qcow2") == 0)
		printf(" compression_type=%s", c->zstd ? "zstd" : "zlib");
	printf(" size=%llu", (unsigned long long)c->size);
	if (c->backing_file)
		printf(" backing_file=%s backing_fmt=%s", c->backing_file, c->backing_format ? c->backing_format : "raw");
	if (strcmp(c->format, "qcow2") == 0)
		printf(" lazy_refcounts=%s refcount_bits=%u", c->lazy_refcounts ? "on" : "off", c->refcount_bits ? c->refcount_bits : 16);
	putchar('\n');
}

/* Would the new image stand on itself, or higher than can be opened? */
static bool fits_on(const struct image *below, const char *file, struct err *err)
{
	struct stat st, there;
	unsigned depth = 1;
	bool exists = !stat(file, &there);

	for (const struct image *i = below; i; i = i->backing, depth++)
		if (exists && !fstat(i->fd, &st) && st.st_dev == there.st_dev && st.st_ino == there.st_ino)
			return err_set(err, EXIT_USAGE, "%s would be its own backing file", file);
	return depth <= IMAGE_DEPTH || err_set(err, EXIT_USAGE, "more than %d images on top of each other", IMAGE_DEPTH);
}

/* The backing file must be there; its format is looked at now, and never again once a guest could have written it. */
static bool look_at_backing(struct image_create *c, bool need_size, struct err *err)
{
	char *file = image_resolve(c->file, c->backing_file);
	struct image *below = image_open(file, c->backing_format, IMAGE_READ_ONLY, err);

	free(file);
	if (!below)
		return err_prefix(err, "%s", c->file);
	if (!c->backing_format)
		c->backing_format = below->driver->name;
	if (need_size)
		c->size = below->size;
	bool good = fits_on(below, c->file, err);
	image_close(below);
	return good;
}

int img_create(const struct img_args *args, struct err *err)
{
	struct image_create c = {.file = args->files[0], .format = args->format ? args->format : "raw", .fd = -1};

	c.size = ~0ull;
	if (!img_options(args, &c, err) || (args->count == 2 && !img_size(args->files[1], &c.size, err)))
		return IMG_ERROR;
	if (c.backing_file && !*c.backing_file)
		c.backing_file = NULL;
	if (c.backing_file && !args->unsafe && !look_at_backing(&c, c.size == ~0ull, err))
		return IMG_ERROR;
	if (c.size == ~0ull) {
		err_set(err, EXIT_USAGE, "Image creation needs a size parameter");
		return IMG_ERROR;
	}
	c.size = (c.size + 511) & ~511ull;
	if (!args->quiet)
		img_formatting(&c);
	return image_create(&c, err) ? IMG_OK : IMG_ERROR;
}
