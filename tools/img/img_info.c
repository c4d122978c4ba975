/* SPDX-License-Identifier: MIT */
/* paisano-img info, map and check: what is in an image, and is it sound. */
#include <inttypes.h>
#include <stdlib.h>
#ifdef IMG_JANSSON
#include <jansson.h>
#endif

#include "tools/img/img.h"

static bool wants_json(const struct img_args *args, struct err *err)
{
	bool json = args->output && strcmp(args->output, "json") == 0;

#ifndef IMG_JANSSON
	if (json)
		err_set(err, EXIT_USAGE, "built without jansson: no --output=json");
#else
	(void)err;
#endif
	return json;
}

#ifdef IMG_JANSSON
static void print_json(json_t *value)
{
	json_dumpf(value, stdout, JSON_INDENT(4) | JSON_PRESERVE_ORDER);
	putchar('\n');
	json_decref(value);
}
#endif

/* ---- info ---- */
static const char *human_size(u64 bytes, char *buf, size_t room)
{
	static const char *const units[] = {"B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
	double value = (double)bytes;
	unsigned unit = 0;

	for (; value >= 1000 && unit + 1 < ARRAY_LEN(units); unit++)
		value /= 1024;
	snprintf(buf, room, "%.3g %s", value, units[unit]);
	return buf;
}

static void info_human(struct image *image, const struct image_info *info)
{
	char size[32], disk[32];

	printf("image: %s\nfile format: %s\nvirtual size: %s (%" PRIu64 " bytes)\ndisk size: %s\n", image->file, image->driver->name,
	       human_size(image->size, size, sizeof size), image->size, human_size(info->disk_bytes, disk, sizeof disk));
	if (info->cluster_size)
		printf("cluster_size: %u\n", info->cluster_size);
	if (info->dirty)
		printf("cleanly shut down: no\n");
	if (*info->backing_name) {
		char *path = image_resolve(image->file, info->backing_name);
		printf("backing file: %s", info->backing_name);
		if (strcmp(path, info->backing_name) != 0)
			printf(" (actual path: %s)", path);
		putchar('\n');
		free(path);
	}
	if (*info->backing_format)
		printf("backing file format: %s\n", info->backing_format);
	if (info->snapshots)
		printf("snapshots: %u\n", info->snapshots);
	if (!info->version)
		return;
	printf("Format specific information:\n    compat: %s\n    compression type: %s\n", info->version == 2 ? "0.10" : "1.1",
	       info->compression);
	if (info->version >= 3)
		printf("    lazy refcounts: %s\n", info->lazy_refcounts ? "true" : "false");
	printf("    refcount bits: %u\n", info->refcount_bits);
	if (info->version >= 3)
		printf("    corrupt: %s\n    extended l2: false\n", info->corrupt ? "true" : "false");
}

#ifdef IMG_JANSSON
static json_t *info_json(struct image *image, const struct image_info *info)
{
	json_t *o = json_object(), *data, *specific;

	json_object_set_new(o, "virtual-size", json_integer((json_int_t)image->size));
	json_object_set_new(o, "filename", json_string(image->file));
	if (info->cluster_size)
		json_object_set_new(o, "cluster-size", json_integer(info->cluster_size));
	json_object_set_new(o, "format", json_string(image->driver->name));
	json_object_set_new(o, "actual-size", json_integer((json_int_t)info->disk_bytes));
	if (*info->backing_name) {
		char *path = image_resolve(image->file, info->backing_name);
		json_object_set_new(o, "backing-filename", json_string(info->backing_name));
		json_object_set_new(o, "full-backing-filename", json_string(path));
		free(path);
	}
	if (*info->backing_format)
		json_object_set_new(o, "backing-filename-format", json_string(info->backing_format));
	json_object_set_new(o, "dirty-flag", json_boolean(info->dirty));
	if (!info->version)
		return o;
	data = json_object();
	json_object_set_new(data, "compat", json_string(info->version == 2 ? "0.10" : "1.1"));
	json_object_set_new(data, "compression-type", json_string(info->compression));
	json_object_set_new(data, "refcount-bits", json_integer(info->refcount_bits));
	if (info->version >= 3) {
		json_object_set_new(data, "lazy-refcounts", json_boolean(info->lazy_refcounts));
		json_object_set_new(data, "corrupt", json_boolean(info->corrupt));
		json_object_set_new(data, "extended-l2", json_false());
	}
	specific = json_object();
	json_object_set_new(specific, "type", json_string(image->driver->name));
	json_object_set_new(specific, "data", data);
	json_object_set_new(o, "format-specific", specific);
	return o;
}
#endif

int img_info(const struct img_args *args, struct err *err)
{
	unsigned flags = IMAGE_READ_ONLY | IMAGE_INSPECT | (args->chain ? 0 : IMAGE_NO_BACKING);
	bool json = wants_json(args, err);
	struct image *image;

	if (*err->text || !(image = img_open(args, args->files[0], args->format, flags, err)))
		return IMG_ERROR;
#ifdef IMG_JANSSON
	json_t *list = json_array();
#endif
	for (struct image *i = image; i; i = i->backing) {
		struct image_info info;
		image_get_info(i, &info);
		if (!json && i != image)
			putchar('\n');
		if (!json)
			info_human(i, &info);
#ifdef IMG_JANSSON
		else
			json_array_append_new(list, info_json(i, &info));
#endif
	}
#ifdef IMG_JANSSON
	if (json && args->chain)
		print_json(list);
	else if (json)
		print_json(json_incref(json_array_get(list, 0)));
	if (!json || !args->chain)
		json_decref(list);
#endif
	image_close(image);
	return IMG_OK;
}

/* ---- map ---- */
struct span {
	u64 start, len, host;
	unsigned depth;
	bool present, zero, compressed, valid;
	struct image *owner;
};

static bool same(const struct span *a, const struct span *b)
{
	return a->valid && a->owner == b->owner && a->present == b->present && a->zero == b->zero && a->compressed == b->compressed &&
	       (a->zero || a->compressed || a->host + a->len == b->host);
}

static void print_span(const struct span *s, bool json, bool first)
{
	if (!s->valid)
		return;
	if (!json) {
		if (s->owner && !s->zero)
			printf("%#-16" PRIx64 "%#-16" PRIx64 "%#-16" PRIx64 "%s\n", s->start, s->len, s->host, s->owner->file);
		return;
	}
	printf("%s{ \"start\": %" PRIu64 ", \"length\": %" PRIu64 ", \"depth\": %u, \"present\": %s, \"zero\": %s, \"data\": %s, "
	       "\"compressed\": %s", first ? "[" : ",\n", s->start, s->len, s->depth, s->present ? "true" : "false",
	       s->zero ? "true" : "false", s->zero ? "false" : "true", s->compressed ? "true" : "false");
	if (!s->zero && !s->compressed)
		printf(", \"offset\": %" PRIu64, s->host);
	printf("}");
}

int img_map(const struct img_args *args, struct err *err)
{
	struct image *image = img_open(args, args->files[0], args->format, IMAGE_READ_ONLY, err), *owner;
	bool json = args->output && strcmp(args->output, "json") == 0, first = true;
	struct span last = {0}, now;
	int error = 0;

	if (!image)
		return IMG_ERROR;
	if (!json)
		printf("%-16s%-16s%-16s%s\n", "Offset", "Length", "Mapped to", "File");
	for (u64 at = 0; at < image->size && !error; at += now.len) {
		struct image_extent e;
		error = image_map_chain(image, at, image->size - at, &e, &owner);
		now = (struct span){.start = at, .len = e.len, .host = e.host, .present = owner, .zero = e.zero,
		                    .compressed = e.compressed, .valid = true, .owner = owner};
		for (struct image *i = image; i != owner && i; i = i->backing)
			now.depth++;
		if (same(&last, &now)) {
			last.len += now.len;
			continue;
		}
		print_span(&last, json, first);
		first = first && !last.valid;
		last = now;
	}
	print_span(&last, json, first);
	if (json)
		printf(last.valid ? "]\n" : "[]\n");
	if (error)
		img_failed(err, image->file, error);
	image_close(image);
	return error ? IMG_ERROR : IMG_OK;
}

/* ---- check ---- */
static void print_check(const struct image_check *c)
{
	if (!c->corruptions && !c->leaks && !c->errors)
		printf("No errors were found on the image.\n");
	if (c->corruptions)
		printf("\n%" PRIu64 " errors were found on the image.\n"
		       "Data may be corrupted, or further writes to the image may corrupt it.\n", c->corruptions);
	if (c->leaks)
		printf("\n%" PRIu64 " leaked clusters were found on the image.\n"
		       "This means waste of disk space, but no harm to data.\n", c->leaks);
	if (c->errors)
		printf("\n%" PRIu64 " internal errors have occurred during the check.\n", c->errors);
	if (c->clusters && c->allocated)
		printf("%" PRIu64 "/%" PRIu64 " = %0.2f%% allocated, %0.2f%% fragmented, %0.2f%% compressed clusters\n", c->allocated,
		       c->clusters, (double)c->allocated * 100 / (double)c->clusters, (double)c->fragmented * 100 / (double)c->allocated,
		       (double)c->compressed * 100 / (double)c->allocated);
	if (c->end)
		printf("Image end offset: %" PRIu64 "\n", c->end);
}

static void print_check_json(struct image *image, const struct image_check *c)
{
#ifdef IMG_JANSSON
	const struct {
		const char *key;
		u64 value;
	} values[] = {
		{"image-end-offset", c->end}, {"total-clusters", c->clusters}, {"check-errors", c->errors}, {"corruptions", c->corruptions},
		{"leaks", c->leaks}, {"corruptions-fixed", c->corruptions_fixed}, {"leaks-fixed", c->leaks_fixed},
		{"allocated-clusters", c->allocated}, {"fragmented-clusters", c->fragmented}, {"compressed-clusters", c->compressed},
	};
	json_t *o = json_object();

	json_object_set_new(o, "filename", json_string(image->file));
	json_object_set_new(o, "format", json_string(image->driver->name));
	for (size_t i = 0; i < ARRAY_LEN(values); i++)
		if (values[i].value || i == 2)
			json_object_set_new(o, values[i].key, json_integer((json_int_t)values[i].value));
	print_json(o);
#else
	(void)image, (void)c;
#endif
}

int img_check(const struct img_args *args, struct err *err)
{
	struct image_check check = {.report = args->quiet ? NULL : stderr}, again = {0};
	bool fix = args->repair, json = wants_json(args, err);
	struct image *image;
	int code = IMG_ERROR;

	if (fix && strcmp(args->repair, "leaks") != 0 && strcmp(args->repair, "all") != 0)
		err_set(err, EXIT_USAGE, "-r expects 'leaks' or 'all', not '%s'", args->repair);
	if (*err->text)
		return IMG_ERROR;
	check.fix_leaks = fix;
	check.fix_all = fix && *args->repair == 'a';
	image = img_open(args, args->files[0], args->format, IMAGE_INSPECT | IMAGE_NO_BACKING | (fix ? 0 : IMAGE_READ_ONLY), err);
	if (!image)
		return IMG_ERROR;
	if (!image->driver->check) {
		err_set(err, EXIT_USAGE, "This image format does not support checks");
		code = IMG_UNSUPPORTED;
		goto out;
	}
	if (!image->driver->check(image, &check, err))
		goto out;
	if (check.corruptions_fixed || check.leaks_fixed) {
		if (!args->quiet && !json)
			printf("The following inconsistencies were found and repaired:\n\n    %" PRIu64 " leaked clusters\n    %" PRIu64
			       " corruptions\n\nDouble checking the fixed image now...\n", check.leaks_fixed, check.corruptions_fixed);
		again.report = check.report;
		if (!image->driver->check(image, &again, err))
			goto out;
		again.leaks_fixed = check.leaks_fixed;
		again.corruptions_fixed = check.corruptions_fixed;
		check = again;
	}
	if (json)
		print_check_json(image, &check);
	else if (!args->quiet)
		print_check(&check);
	code = check.corruptions ? IMG_CORRUPT : check.leaks ? IMG_LEAKS : check.errors ? IMG_ERROR : IMG_OK;
out:
	image_close(image);
	return code;
}
