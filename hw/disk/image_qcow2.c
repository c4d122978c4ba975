/* SPDX-License-Identifier: MIT */
/* qcow2 images, QEMU's docs/interop/qcow2.txt, versions 2 and 3: the header, opening, creating, resizing.
 * Not implemented, and refused by name: encryption, an external data file, extended L2 entries. Internal snapshots are kept
 * intact but neither made nor loaded. Bitmaps are kept until the image is written to; then they are marked as out of date.
 * Lazy refcounts are accepted as permission, not used: counts are always right after a flush. */
#define _GNU_SOURCE /* posix_fallocate */
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "hw/disk/image_qcow2.h"

#define EXT_END 0u
#define EXT_BACKING_FORMAT 0xe2792acau
#define EXT_FEATURE_NAMES 0x6803f857u
#define DEFAULT_CLUSTER 65536u
#define MAX_METADATA BIT(24) /* clusters; three times what the largest tables take */
#define MAX_SIZE ((u64)INT64_MAX & ~511ull)

static struct qcow2 *self(struct image *image)
{
	return (struct qcow2 *)image;
}

/* ---- the header in the file ---- */
static int put_head(struct qcow2 *q, u32 from, u32 len)
{
	return image_file_write(q->image.fd, from, q->head + from, len);
}

int image_qcow2_put_features(struct qcow2 *q, u64 incompatible, u64 compatible, u64 autoclear)
{
	int error;

	if (q->version < 3)
		return 0;
	qcow2_put64(q->head + QH_INCOMPATIBLE, incompatible);
	qcow2_put64(q->head + QH_COMPATIBLE, compatible);
	qcow2_put64(q->head + QH_AUTOCLEAR, autoclear);
	error = put_head(q, QH_INCOMPATIBLE, 24);
	if (error)
		return error;
	q->incompatible = incompatible;
	q->compatible = compatible;
	q->autoclear = autoclear;
	return image_sync(&q->image);
}

int image_qcow2_put_l1(struct qcow2 *q, u64 offset, u32 size, u64 disk_size)
{
	int error;

	qcow2_put64(q->head + QH_SIZE, disk_size);
	qcow2_put32(q->head + QH_CRYPT, 0);
	qcow2_put32(q->head + QH_L1_SIZE, size);
	qcow2_put64(q->head + QH_L1_OFFSET, offset);
	error = put_head(q, QH_SIZE, QH_REFTABLE_OFFSET - QH_SIZE);
	return error ? error : image_sync(&q->image);
}

int image_qcow2_put_reftable(struct qcow2 *q, u64 offset, u32 clusters)
{
	int error;

	qcow2_put64(q->head + QH_REFTABLE_OFFSET, offset);
	qcow2_put32(q->head + QH_REFTABLE_CLUSTERS, clusters);
	error = put_head(q, QH_REFTABLE_OFFSET, 12);
	if (!error)
		error = image_sync(&q->image);
	if (!error) {
		q->reftable_offset = offset;
		q->reftable_clusters = clusters;
	}
	return error;
}

int image_qcow2_corrupt(struct qcow2 *q, const char *fmt, ...)
{
	char text[256];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof text, fmt, ap);
	va_end(ap);
	image_report(&q->image, EIO, "the image is corrupt: %s", text);
	if (!q->corrupt && !q->image.read_only)
		image_qcow2_put_features(q, q->incompatible | QCOW2_CORRUPT, q->compatible, q->autoclear);
	q->corrupt = true;
	return EIO;
}

/* ---- opening: what the header says ---- */
static bool probe(const u8 *head, size_t len)
{
	return len >= 8 && qcow2_get32(head) == QCOW2_MAGIC;
}

static bool bad(struct qcow2 *q, struct err *err, const char *what)
{
	return err_set(err, EXIT_FILE, "%s is damaged: %s", q->image.file, what);
}

static bool refuse(struct qcow2 *q, struct err *err, const char *what)
{
	return err_set(err, EXIT_FILE, "%s uses %s, which is not supported; convert it: qemu-img convert -O qcow2", q->image.file,
	               what);
}

/* A table must begin in the file, on a cluster, and end no more than the rest of a cluster behind it. */
static bool table_fits(const struct qcow2 *q, u64 offset, u64 bytes)
{
	u64 end = qcow2_clusters(q, q->image.host_size) << q->cluster_bits;

	return qcow2_aligned(q, offset) && offset && offset < end && bytes <= end - offset;
}

/* The next header extension at *at, before end; false at the end or where nothing whole follows. */
bool image_qcow2_next_extension(const struct qcow2 *q, u32 *at, u32 end, u32 *type, const u8 **data, u32 *len)
{
	if (*at > end || end - *at < 8)
		return false;
	*type = qcow2_get32(q->head + *at);
	*len = qcow2_get32(q->head + *at + 4);
	if (*type == EXT_END || *len > end - *at - 8)
		return false;
	*data = q->head + *at + 8;
	*at += 8 + (u32)MIN(((u64)*len + 7) & ~7ull, (u64)(end - *at - 8));
	return true;
}

u32 image_qcow2_extensions_start(const struct qcow2 *q)
{
	return q->version >= 3 ? qcow2_get32(q->head + QH_LENGTH) : QH_V2_LENGTH;
}

u32 image_qcow2_extensions_end(const struct qcow2 *q)
{
	u64 backing = qcow2_get64(q->head + QH_BACKING_OFFSET);

	return backing && backing < q->cluster_size ? (u32)backing : q->cluster_size;
}

static bool refuse_feature(struct qcow2 *q, unsigned bit, struct err *err)
{
	u32 at = image_qcow2_extensions_start(q), end = image_qcow2_extensions_end(q), type, len;
	const u8 *data;
	char text[80];

	snprintf(text, sizeof text, "unknown feature %u", bit);
	while (image_qcow2_next_extension(q, &at, end, &type, &data, &len))
		for (u32 i = 0; type == EXT_FEATURE_NAMES && i + 48 <= len; i += 48)
			if (data[i] == 0 && data[i + 1] == bit)
				snprintf(text, sizeof text, "the unknown feature '%.46s'", (const char *)data + i + 2);
	return refuse(q, err, text);
}

static bool read_features(struct qcow2 *q, struct err *err)
{
	u32 length;
	u64 unknown;

	q->refcount_order = 4;
	if (q->version == 2)
		return true;
	length = qcow2_get32(q->head + QH_LENGTH);
	if (length < QH_V3_LENGTH || length > q->cluster_size || length % 8)
		return bad(q, err, "impossible header length");
	q->incompatible = qcow2_get64(q->head + QH_INCOMPATIBLE);
	q->compatible = qcow2_get64(q->head + QH_COMPATIBLE);
	q->autoclear = qcow2_get64(q->head + QH_AUTOCLEAR);
	q->refcount_order = qcow2_get32(q->head + QH_REFCOUNT_ORDER);
	if (q->refcount_order > 6)
		return bad(q, err, "impossible refcount width");
	if (q->incompatible & QCOW2_DATA_FILE)
		return refuse(q, err, "an external data file");
	if (q->incompatible & QCOW2_EXTENDED_L2)
		return refuse(q, err, "extended L2 entries");
	unknown = q->incompatible & ~(u64)(QCOW2_DIRTY | QCOW2_CORRUPT | QCOW2_COMPRESSION);
	if (unknown)
		return refuse_feature(q, (unsigned)__builtin_ctzll(unknown), err);
	if (length > QH_COMPRESSION_TYPE)
		q->compression = q->head[QH_COMPRESSION_TYPE];
	if (!q->compression != !(q->incompatible & QCOW2_COMPRESSION))
		return bad(q, err, "the compression type contradicts the feature bits");
	if (q->compression > 1)
		return refuse(q, err, "an unknown compression");
	return true;
}

static bool read_backing_name(struct qcow2 *q, struct err *err)
{
	u64 offset = qcow2_get64(q->head + QH_BACKING_OFFSET);
	u32 len = qcow2_get32(q->head + QH_BACKING_SIZE), at = image_qcow2_extensions_start(q), type, n;
	const u8 *data;

	if (!offset || !len)
		return true;
	if (len >= IMAGE_NAME || offset > q->cluster_size || len > q->cluster_size - offset || memchr(q->head + offset, 0, len))
		return bad(q, err, "impossible backing file name");
	q->image.backing_file = err_alloc(len + 1);
	memcpy(q->image.backing_file, q->head + offset, len);
	while (image_qcow2_next_extension(q, &at, image_qcow2_extensions_end(q), &type, &data, &n))
		if (type == EXT_BACKING_FORMAT && !q->image.backing_format) {
			if (n > 15)
				return bad(q, err, "impossible backing format");
			q->image.backing_format = err_alloc(n + 1);
			memcpy(q->image.backing_format, data, n);
		}
	return true;
}

static bool read_head(struct qcow2 *q, struct err *err)
{
	struct image *image = &q->image;
	u8 start[QH_V2_LENGTH];

	if (image_file_read(image->fd, 0, start, sizeof start))
		return err_set(err, EXIT_FILE, "cannot read %s", image->file);
	if (!probe(start, sizeof start))
		return err_set(err, EXIT_FILE, "%s is no qcow2 image", image->file);
	q->version = qcow2_get32(start + QH_VERSION);
	if (q->version != 2 && q->version != 3)
		return err_set(err, EXIT_FILE, "%s is of the unknown qcow version %u", image->file, q->version);
	q->cluster_bits = qcow2_get32(start + QH_CLUSTER_BITS);
	if (q->cluster_bits < 9 || q->cluster_bits > 21)
		return bad(q, err, "impossible cluster size");
	q->cluster_size = 1u << q->cluster_bits;
	q->l2_bits = q->cluster_bits - 3;
	q->head = err_alloc(q->cluster_size);
	if (image_file_read(image->fd, 0, q->head, q->cluster_size))
		return err_set(err, EXIT_FILE, "cannot read %s", image->file);
	if (qcow2_get32(q->head + QH_CRYPT))
		return refuse(q, err, "encryption");
	if (!read_features(q, err) || !read_backing_name(q, err))
		return false;
	q->block_bits = q->cluster_bits + 3 - q->refcount_order;
	image->size = qcow2_get64(q->head + QH_SIZE);
	q->l1_size = qcow2_get32(q->head + QH_L1_SIZE);
	q->l1_offset = qcow2_get64(q->head + QH_L1_OFFSET);
	q->reftable_offset = qcow2_get64(q->head + QH_REFTABLE_OFFSET);
	q->reftable_clusters = qcow2_get32(q->head + QH_REFTABLE_CLUSTERS);
	q->snapshot_count = qcow2_get32(q->head + QH_SNAPSHOTS);
	q->snapshots_offset = qcow2_get64(q->head + QH_SNAPSHOTS_OFFSET);
	return true;
}

/* ---- opening: the tables ---- */
static u64 l1_entries_for(const struct qcow2 *q, u64 size)
{
	u64 per = (u64)q->cluster_size << q->l2_bits;

	return size / per + !!(size % per);
}

static int load_entries(struct qcow2 *q, u64 offset, u64 n, u64 **entries)
{
	int error;

	*entries = err_alloc(MAX(n, (u64)1) * 8);
	error = n ? image_file_read(q->image.fd, offset, *entries, n * 8) : 0;
	for (u64 i = 0; i < n; i++)
		(*entries)[i] = __builtin_bswap64((*entries)[i]);
	return error;
}

static bool load_l1(struct qcow2 *q, struct err *err)
{
	if (q->image.size > MAX_SIZE || l1_entries_for(q, q->image.size) > QCOW2_MAX_L1 / 8)
		return bad(q, err, "impossible disk size");
	if (q->l1_size > QCOW2_MAX_L1 / 8 || q->l1_size < l1_entries_for(q, q->image.size))
		return bad(q, err, "impossible L1 table size");
	if (q->l1_size && !table_fits(q, q->l1_offset, q->l1_size * 8ull))
		return bad(q, err, "impossible L1 table offset");
	return load_entries(q, q->l1_offset, q->l1_size, &q->l1) == 0 || err_set(err, EXIT_FILE, "cannot read %s", q->image.file);
}

bool image_qcow2_load_reftable(struct qcow2 *q, struct err *err)
{
	u64 bytes = (u64)q->reftable_clusters << q->cluster_bits;

	if (!bytes || bytes > QCOW2_MAX_REFTABLE)
		return bad(q, err, "impossible refcount table size");
	if (!table_fits(q, q->reftable_offset, bytes))
		return bad(q, err, "impossible refcount table offset");
	free(q->reftable);
	q->reftable = NULL;
	q->reftable_size = bytes / 8;
	q->reftable_from = q->reftable_to = 0;
	return load_entries(q, q->reftable_offset, q->reftable_size, &q->reftable) == 0 ||
	       err_set(err, EXIT_FILE, "cannot read %s", q->image.file);
}

/* Snapshots of the disk inside the image: only where their L1 tables are. */
static bool load_snapshots(struct qcow2 *q, struct err *err)
{
	u64 at = q->snapshots_offset;

	if (!q->snapshot_count)
		return true;
	if (q->snapshot_count > QCOW2_MAX_SNAPSHOTS || !qcow2_aligned(q, at) || !at || at > q->image.host_size)
		return bad(q, err, "impossible snapshot table");
	q->snapshots = err_alloc(q->snapshot_count * sizeof *q->snapshots);
	for (u32 i = 0; i < q->snapshot_count; i++) {
		u8 entry[40];
		u64 extra, names;

		if (at > q->image.host_size || at - q->snapshots_offset > QCOW2_MAX_SNAPSHOT_TABLE)
			return bad(q, err, "impossible snapshot table");
		if (image_file_read(q->image.fd, at, entry, sizeof entry))
			return err_set(err, EXIT_FILE, "cannot read %s", q->image.file);
		q->snapshots[i] = (struct qcow2_snapshot){qcow2_get64(entry), qcow2_get32(entry + 8)};
		extra = qcow2_get32(entry + 36);
		names = (u64)(entry[12] << 8 | entry[13]) + (u64)(entry[14] << 8 | entry[15]);
		if (extra > 4096 || q->snapshots[i].l1_size > QCOW2_MAX_L1 / 8 ||
		    (q->snapshots[i].l1_size && !table_fits(q, q->snapshots[i].l1_offset, q->snapshots[i].l1_size * 8ull)))
			return bad(q, err, "impossible snapshot");
		at = (at + sizeof entry + extra + names + 7) & ~7ull;
	}
	q->snapshot_bytes = at - q->snapshots_offset;
	return true;
}

static bool add_range(struct qcow2 *q, u64 offset, u64 bytes)
{
	u64 first = offset >> q->cluster_bits, n = qcow2_clusters(q, bytes);
	bool alone = n < MAX_METADATA && q->meta_count + n < MAX_METADATA;

	for (u64 i = 0; i < n && alone; i++)
		alone = image_qcow2_meta_add(q, first + i);
	return alone;
}

/* Who may never be given away or written as data. Two uses of one cluster end it here. */
static bool collect_metadata(struct qcow2 *q, struct err *err)
{
	bool alone = add_range(q, 0, 1) && add_range(q, q->l1_offset, q->l1_size * 8ull) &&
	             add_range(q, q->reftable_offset, (u64)q->reftable_clusters << q->cluster_bits) &&
	             (!q->snapshot_count || add_range(q, q->snapshots_offset, q->snapshot_bytes));

	for (u32 i = 0; i < q->snapshot_count && alone; i++)
		alone = add_range(q, q->snapshots[i].l1_offset, q->snapshots[i].l1_size * 8ull);
	for (u64 i = 0; i < q->reftable_size && alone; i++) {
		u64 offset = q->reftable[i] & QCOW2_REFTABLE_OFFSET;
		if (offset && (!qcow2_aligned(q, offset) || offset >> QCOW2_OFFSET_BITS || !add_range(q, offset, 1)))
			alone = false;
	}
	for (u64 i = 0; i < q->l1_size && alone; i++) {
		u64 offset = q->l1[i] & QCOW2_OFFSET;
		if (offset && (!qcow2_aligned(q, offset) || (!add_range(q, offset, 1) && q->l1[i] & QCOW2_COPIED)))
			alone = false;
	}
	return alone || bad(q, err, "its tables overlap; it can be opened read-only, or repaired with paisano-img check -r all");
}

/* Persistent bitmaps that are up to date: dirty bits for backup programs, which are not kept up to date here. */
static unsigned bitmaps(const struct qcow2 *q)
{
	u32 at = image_qcow2_extensions_start(q), end = image_qcow2_extensions_end(q), type, len;
	unsigned count = 0;
	const u8 *data;

	while (q->autoclear & QCOW2_BITMAPS && image_qcow2_next_extension(q, &at, end, &type, &data, &len))
		if (type == QCOW2_EXT_BITMAPS && len >= 4)
			count = qcow2_get32(data);
	return count;
}

static bool repair_dirty(struct qcow2 *q, struct err *err)
{
	struct image_check check = {.fix_all = true, .fix_leaks = true};

	if (!image_qcow2_check(&q->image, &check, err))
		return err_prefix(err, "repairing");
	if (check.errors || check.corruptions > check.corruptions_fixed)
		return bad(q, err, "it was not closed properly and cannot be repaired");
	return true;
}

static bool prepare_writing(struct qcow2 *q, unsigned flags, struct err *err)
{
	if (flags & IMAGE_INSPECT)
		return true;
	if (q->incompatible & QCOW2_CORRUPT)
		return err_set(err, EXIT_FILE, "%s is marked as corrupt; it can be opened read-only, or repaired with "
		               "paisano-img check -r all", q->image.file);
	if (q->incompatible & QCOW2_DIRTY && flags & IMAGE_NO_REPAIR)
		return err_set(err, EXIT_FILE, "%s was not closed properly; repair it with paisano-img check -r all", q->image.file);
	if (q->incompatible & QCOW2_DIRTY && !repair_dirty(q, err))
		return false;
	if (!collect_metadata(q, err))
		return false;
	if (bitmaps(q))
		err_note("%s: its persistent bitmaps (%u) are given up, as it is opened for writing", q->image.file, bitmaps(q));
	if (q->autoclear && image_qcow2_put_features(q, q->incompatible, q->compatible, 0))
		return err_set(err, EXIT_FILE, "cannot write %s", q->image.file);
	return true;
}

static void release(struct qcow2 *q)
{
	image_qcow2_cache_free(&q->l2);
	image_qcow2_cache_free(&q->blocks);
	free(q->head);
	free(q->l1);
	free(q->reftable);
	free(q->snapshots);
	free(q->meta);
	free(q->freed);
	free(q->unpacked);
	pthread_cond_destroy(&q->changed);
	pthread_mutex_destroy(&q->unpack_mutex);
	pthread_mutex_destroy(&q->mutex);
}

static bool qcow2_open(struct image *image, unsigned flags, struct err *err)
{
	struct qcow2 *q = self(image);
	/* a damaged refcount table does not stop who only reads */
	bool need_counts = !image->read_only && !(flags & IMAGE_INSPECT);

	pthread_mutex_init(&q->mutex, NULL);
	pthread_mutex_init(&q->unpack_mutex, NULL);
	pthread_cond_init(&q->changed, NULL);
	q->host_end = image->host_size;
	if (!read_head(q, err) || !load_l1(q, err) || !load_snapshots(q, err) ||
	    (!image_qcow2_load_reftable(q, err) && need_counts)) {
		release(q);
		return false;
	}
	if (!q->reftable)
		q->reftable_size = 0;
	image_qcow2_cache_init(q, &q->l2, q->l1_size);
	image_qcow2_cache_init(q, &q->blocks, q->reftable_size);
	if (!image->read_only && !prepare_writing(q, flags, err)) {
		release(q);
		return false;
	}
	return true;
}

static void qcow2_close(struct image *image)
{
	struct qcow2 *q = self(image);
	int error = 0;

	if (!image->read_only && !q->corrupt && !q->dropping) {
		pthread_mutex_lock(&q->mutex);
		error = image_qcow2_commit(q);
		if (!error) /* the counts that the first one lowered */
			error = image_qcow2_commit(q);
		pthread_mutex_unlock(&q->mutex);
	}
	if (error)
		image_report(image, EIO, "closing failed, what was not flushed is lost: %s", strerror(error));
	release(q);
}

/* ---- resizing ---- */
static int grow_l1(struct qcow2 *q, u64 entries, u64 size)
{
	u64 bytes = entries * 8, cluster, old = q->l1_offset, old_size = q->l1_size, *l1;
	u8 *raw;
	int error = image_qcow2_alloc_exact(q, qcow2_clusters(q, bytes), &cluster);

	if (error)
		return error;
	error = image_qcow2_commit(q); /* the old table complete, the new one's clusters counted */
	l1 = err_alloc(bytes);
	raw = err_alloc(qcow2_clusters(q, bytes) << q->cluster_bits);
	memcpy(l1, q->l1, old_size * 8);
	for (u64 i = 0; i < old_size; i++)
		qcow2_put64(raw + i * 8, l1[i]);
	if (!error)
		error = image_file_write(q->image.fd, cluster << q->cluster_bits, raw, qcow2_clusters(q, bytes) << q->cluster_bits);
	if (!error)
		error = image_sync(&q->image);
	if (!error)
		error = image_qcow2_put_l1(q, cluster << q->cluster_bits, (u32)entries, size);
	free(raw);
	if (error) {
		free(l1);
		return error;
	}
	q->host_end = MAX(q->host_end, (cluster + qcow2_clusters(q, bytes)) << q->cluster_bits);
	free(q->l1);
	q->l1 = l1;
	q->l1_offset = cluster << q->cluster_bits;
	q->l1_size = (u32)entries;
	for (u64 i = 0; i < qcow2_clusters(q, bytes); i++)
		image_qcow2_meta_add(q, cluster + i);
	if (old_size)
		image_qcow2_free_later(q, old >> q->cluster_bits, qcow2_clusters(q, old_size * 8), false);
	return 0;
}

static bool qcow2_resize(struct image *image, u64 size, struct err *err)
{
	struct qcow2 *q = self(image);
	u64 old = image->size, entries = l1_entries_for(q, size), end;
	int error = 0;

	if (size > MAX_SIZE || entries > QCOW2_MAX_L1 / 8)
		return err_set(err, EXIT_USAGE, "%s: too large for clusters of %u bytes", image->file, q->cluster_size);
	if (q->snapshot_count && (size < old || q->version < 3))
		return err_set(err, EXIT_USAGE, "%s has internal snapshots and cannot be %s", image->file,
		               size < old ? "made smaller" : "resized (version 2)");
	if (size < old) {
		u64 from = qcow2_clusters(q, size) << q->cluster_bits;
		error = from < old ? image_qcow2_discard(image, from, old - from) : 0;
	}
	pthread_mutex_lock(&q->mutex);
	if (!error)
		error = entries > q->l1_size ? grow_l1(q, entries, size) : image_qcow2_put_l1(q, q->l1_offset, q->l1_size, size);
	pthread_mutex_unlock(&q->mutex);
	if (error)
		return err_set(err, EXIT_FILE, "cannot resize %s: %s", image->file, strerror(error));
	image->size = size;
	/* what comes into sight is zeros: the rest of the last cluster, and the backing file's longer end */
	end = MIN(size, qcow2_clusters(q, old) << q->cluster_bits);
	if (image->backing)
		end = MAX(end, MIN(size, image->backing->size));
	if (end > old)
		error = image_qcow2_zero(image, old, end - old);
	if (!error)
		error = image_qcow2_flush(image);
	return !error || err_set(err, EXIT_FILE, "cannot resize %s: %s", image->file, strerror(error));
}

/* ---- the rest ---- */
static void qcow2_info(struct image *image, struct image_info *info)
{
	struct qcow2 *q = self(image);

	info->cluster_size = q->cluster_size;
	info->version = q->version;
	info->refcount_bits = 1u << q->refcount_order;
	info->lazy_refcounts = q->compatible & QCOW2_LAZY;
	info->dirty = q->incompatible & QCOW2_DIRTY;
	info->corrupt = q->incompatible & QCOW2_CORRUPT;
	info->compression = q->compression ? "zstd" : "zlib";
	info->snapshots = q->snapshot_count;
	info->bitmaps = bitmaps(q);
}

/* A header cluster: fields as in `head`, its extensions but the backing format, the new format, the name. */
static bool build_head(const struct qcow2 *q, u8 *to, const char *file, const char *format)
{
	u32 start = image_qcow2_extensions_start(q), at = start, out = start, type, len, room = q->cluster_size;
	const u8 *data;

	memcpy(to, q->head, start);
	while (image_qcow2_next_extension(q, &at, image_qcow2_extensions_end(q), &type, &data, &len)) {
		u32 padded = (len + 7) & ~7u;
		if (type == EXT_BACKING_FORMAT)
			continue;
		if (room - out < 16 + padded)
			return false;
		qcow2_put32(to + out, type);
		qcow2_put32(to + out + 4, len);
		memcpy(to + out + 8, data, len);
		out += 8 + padded;
	}
	if (file && format) {
		len = (u32)strlen(format);
		if (room - out < 16 + ((len + 7) & ~7u))
			return false;
		qcow2_put32(to + out, EXT_BACKING_FORMAT);
		qcow2_put32(to + out + 4, len);
		memcpy(to + out + 8, format, len);
		out += 8 + ((len + 7) & ~7u);
	}
	if (room - out < 8)
		return false;
	out += 8; /* EXT_END */
	len = file ? (u32)strlen(file) : 0;
	if (len >= IMAGE_NAME || room - out < len)
		return false;
	if (file)
		memcpy(to + out, file, len);
	qcow2_put64(to + QH_BACKING_OFFSET, file ? out : 0);
	qcow2_put32(to + QH_BACKING_SIZE, len);
	return true;
}

static bool qcow2_set_backing(struct image *image, const char *file, const char *format, struct err *err)
{
	struct qcow2 *q = self(image);
	u8 *head = err_alloc(q->cluster_size), *old = q->head;
	int error;

	if (!build_head(q, head, file, format)) {
		free(head);
		return err_set(err, EXIT_USAGE, "%s: the backing file's name is too long for the header", image->file);
	}
	q->head = head;
	error = put_head(q, 0, q->cluster_size);
	if (!error)
		error = image_sync(image);
	if (error) {
		q->head = old;
		free(head);
		return err_set(err, EXIT_FILE, "cannot write %s: %s", image->file, strerror(error));
	}
	free(old);
	free(image->backing_file);
	free(image->backing_format);
	image->backing_file = file ? err_strdup(file) : NULL;
	image->backing_format = file && format ? err_strdup(format) : NULL;
	return true;
}

/* ---- creating ---- */
struct layout {
	u64 reftable, blocks, l1, total; /* clusters: header, reftable, blocks, l1 */
};

static bool plan(const struct qcow2 *q, struct layout *layout)
{
	u64 blocks = 1, reftable = 1, l1 = qcow2_clusters(q, MAX(l1_entries_for(q, q->image.size), (u64)1) * 8);

	for (;;) {
		u64 total = 1 + reftable + blocks + l1, want = (total + BIT(q->block_bits) - 1) >> q->block_bits;
		u64 table = qcow2_clusters(q, want * 8);
		if (want <= blocks && table <= reftable) {
			*layout = (struct layout){reftable, blocks, l1, total};
			return reftable << q->cluster_bits <= QCOW2_MAX_REFTABLE;
		}
		blocks = MAX(want, blocks);
		reftable = MAX(table, reftable);
	}
}

static bool check_options(const struct image_create *o, struct err *err)
{
	u32 size = o->cluster_size;
	unsigned bits = o->refcount_bits, version = o->version ? o->version : 3;

	if (size && (size < 512 || size > 2u << 20 || size & (size - 1)))
		return err_set(err, EXIT_USAGE, "Cluster size must be a power of two between 512 and 2048k");
	if (bits && (bits > 64 || bits & (bits - 1)))
		return err_set(err, EXIT_USAGE, "Refcount width must be a power of two and may not exceed 64 bits");
	if (version == 2 && bits && bits != 16)
		return err_set(err, EXIT_USAGE, "Different refcount widths than 16 bits require compatibility level 1.1 or above "
		               "(use version=v3 or greater)");
	if (version == 2 && (o->lazy_refcounts || o->zstd))
		return err_set(err, EXIT_USAGE, "%s only supported with compatibility level 1.1 and above (use version=v3 or greater)",
		               o->lazy_refcounts ? "Lazy refcounts" : "Non-zlib compression type");
	if (o->preallocation && o->backing_file)
		return err_set(err, EXIT_USAGE, "Backing file and preallocation cannot be used at the same time");
	if (o->size > MAX_SIZE)
		return err_set(err, EXIT_USAGE, "Image size must be less than 8 EiB");
	return true;
}

static int write_first(struct qcow2 *q, const struct layout *l, int fd)
{
	u64 bits = q->cluster_bits, left = l->total;
	u8 *cluster = err_alloc(q->cluster_size), *table = err_alloc(l->reftable << bits);
	int error = image_file_write(fd, 0, q->head, q->cluster_size);

	for (u64 i = 0; i < l->blocks && !error; i++) {
		memset(cluster, 0, q->cluster_size);
		for (u64 k = 0; k < BIT(q->block_bits) && left; k++, left--)
			image_qcow2_block_put(cluster, k, q->refcount_order, 1);
		qcow2_put64(table + i * 8, (1 + l->reftable + i) << bits);
		error = image_file_write(fd, (1 + l->reftable + i) << bits, cluster, q->cluster_size);
	}
	if (!error)
		error = image_file_write(fd, 1ull << bits, table, l->reftable << bits);
	memset(cluster, 0, q->cluster_size);
	for (u64 i = 0; i < l->l1 && !error; i++)
		error = image_file_write(fd, (l->total - l->l1 + i) << bits, cluster, q->cluster_size);
	free(table);
	free(cluster);
	return error;
}

static void first_head(struct qcow2 *q, const struct image_create *o, const struct layout *l)
{
	u8 *h = q->head;

	qcow2_put32(h + QH_MAGIC, QCOW2_MAGIC);
	qcow2_put32(h + QH_VERSION, q->version);
	qcow2_put32(h + QH_CLUSTER_BITS, q->cluster_bits);
	qcow2_put64(h + QH_SIZE, q->image.size);
	qcow2_put32(h + QH_L1_SIZE, (u32)MAX(l1_entries_for(q, q->image.size), (u64)1));
	qcow2_put64(h + QH_L1_OFFSET, (l->total - l->l1) << q->cluster_bits);
	qcow2_put64(h + QH_REFTABLE_OFFSET, q->cluster_size);
	qcow2_put32(h + QH_REFTABLE_CLUSTERS, (u32)l->reftable);
	if (q->version < 3)
		return;
	qcow2_put64(h + QH_INCOMPATIBLE, o->zstd ? QCOW2_COMPRESSION : 0);
	qcow2_put64(h + QH_COMPATIBLE, o->lazy_refcounts ? QCOW2_LAZY : 0);
	qcow2_put32(h + QH_REFCOUNT_ORDER, q->refcount_order);
	qcow2_put32(h + QH_LENGTH, QH_FULL_LENGTH);
	h[QH_COMPRESSION_TYPE] = o->zstd;
}

/* Room for all the data, through the front door. */
static bool preallocate(const struct image_create *o, int fd, struct err *err)
{
	struct qcow2 *q = err_alloc(sizeof *q);
	bool good;
	int error;

	q->image = (struct image){.driver = &image_qcow2, .file = (char *)o->file, .fd = fd};
	good = image_file_size(fd, &q->image.host_size, &q->image.device) && qcow2_open(&q->image, IMAGE_NO_BACKING, err);
	if (good) {
		u64 start = q->image.host_size, end;
		bool device;
		error = image_qcow2_preallocate(q, 0, q->image.size);
		if (!error && image_file_size(fd, &end, &device) && end > start && o->preallocation >= IMAGE_PREALLOC_FALLOC)
			error = posix_fallocate(fd, (off_t)start, (off_t)(end - start));
		if (error)
			q->dropping = true;
		qcow2_close(&q->image);
		good = !error || err_set(err, EXIT_FILE, "cannot create %s: %s", o->file, strerror(error));
	}
	free(q->image.backing_file);
	free(q->image.backing_format);
	free(q);
	return good;
}

/* What the new image is to be, without its header; false: there can be no such one. */
static bool design(const struct image_create *o, struct qcow2 *q, struct layout *layout, struct err *err)
{
	u32 cluster = o->cluster_size ? o->cluster_size : DEFAULT_CLUSTER;
	unsigned refcount_bits = o->refcount_bits ? o->refcount_bits : 16;

	if (!check_options(o, err))
		return false;
	*q = (struct qcow2){.version = o->version ? o->version : 3, .cluster_size = cluster};
	q->image.size = o->size;
	q->cluster_bits = (unsigned)__builtin_ctz(cluster);
	q->l2_bits = q->cluster_bits - 3;
	q->refcount_order = (unsigned)__builtin_ctz(refcount_bits);
	q->block_bits = q->cluster_bits + 3 - q->refcount_order;
	if (l1_entries_for(q, o->size) > QCOW2_MAX_L1 / 8 || !plan(q, layout))
		return err_set(err, EXIT_USAGE, "The image size is too large for clusters of %u bytes", cluster);
	return true;
}

/* The first cluster; NULL: the names do not go into it. */
static u8 *whole_head(struct qcow2 *q, const struct image_create *o, const struct layout *layout, struct err *err)
{
	u8 *head = err_alloc(q->cluster_size);

	q->head = err_alloc(q->cluster_size);
	first_head(q, o, layout);
	if (!build_head(q, head, o->backing_file, o->backing_format)) {
		err_set(err, EXIT_USAGE, "the backing file's name is too long for clusters of %u bytes", q->cluster_size);
		free(head);
		head = NULL;
	}
	free(q->head);
	q->head = NULL;
	return head;
}

static bool qcow2_creatable(const struct image_create *o, struct err *err)
{
	struct layout layout;
	struct qcow2 q;
	u8 *head = design(o, &q, &layout, err) ? whole_head(&q, o, &layout, err) : NULL;
	bool good = head;

	free(head);
	return good;
}

static bool qcow2_create(const struct image_create *o, int fd, struct err *err)
{
	struct layout layout;
	struct qcow2 q;
	int error;

	if (!design(o, &q, &layout, err))
		return false;
	q.head = whole_head(&q, o, &layout, err);
	if (!q.head)
		return false;
	error = write_first(&q, &layout, fd);
	free(q.head);
	if (error)
		return err_set(err, EXIT_FILE, "cannot create %s: %s", o->file, strerror(error));
	return o->preallocation == IMAGE_PREALLOC_OFF || preallocate(o, fd, err);
}

const struct image_driver image_qcow2 = {
	.name = "qcow2",
	.struct_size = sizeof(struct qcow2),
	.open = qcow2_open,
	.creatable = qcow2_creatable,
	.create = qcow2_create,
	.close = qcow2_close,
	.read = image_qcow2_read,
	.write = image_qcow2_write,
	.zero = image_qcow2_zero,
	.discard = image_qcow2_discard,
	.flush = image_qcow2_flush,
	.map = image_qcow2_map,
	.resize = qcow2_resize,
	.info = qcow2_info,
	.check = image_qcow2_check,
	.write_compressed = image_qcow2_write_compressed,
	.set_backing = qcow2_set_backing,
	.empty = image_qcow2_empty,
};
