/* SPDX-License-Identifier: MIT */
/* qcow2: from the guest's clusters to the file's, and the transfers.
 *
 * A transfer to or from clusters that are there already runs without the mutex; it is counted in q->inflight so that nothing it
 * may have looked up is given to someone else meanwhile. Whatever changes the mapping runs under the mutex, its data first.
 * A cluster may be written in place only if its entry is marked as the only reference (COPIED); others are written anew. */
#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "hw/disk/image_qcow2.h"

#define FREED_MANY 16384 /* commit of our own accord */

static struct qcow2 *self(struct image *image)
{
	return (struct qcow2 *)image;
}

/* ---- looking up ---- */
enum qcow2_kind image_qcow2_kind(const struct qcow2 *q, u64 entry)
{
	if (entry & QCOW2_COMPRESSED)
		return QCOW2_PACKED;
	if (q->version >= 3 && entry & QCOW2_ZERO)
		return entry & QCOW2_OFFSET ? QCOW2_ZERO_ALLOC : QCOW2_ZERO_PLAIN;
	return entry & QCOW2_OFFSET ? QCOW2_NORMAL : QCOW2_UNALLOCATED;
}

static u64 entry_at(const struct qcow2_table *table, unsigned index)
{
	return table ? qcow2_get64(table->data + index * 8) : 0;
}

static unsigned index_of(const struct qcow2 *q, u64 guest)
{
	return (unsigned)(guest & (BIT(q->l2_bits) - 1));
}

int image_qcow2_lookup(struct qcow2 *q, u64 guest, struct qcow2_table **table, unsigned *index)
{
	u64 i = guest >> q->l2_bits, offset;
	int error;

	*table = NULL;
	*index = index_of(q, guest);
	if (i >= q->l1_size)
		return EIO;
	offset = q->l1[i] & QCOW2_OFFSET;
	if (!offset)
		return 0;
	if (!qcow2_aligned(q, offset))
		return image_qcow2_corrupt(q, "L2 table %llu is at the impossible offset %llx", (unsigned long long)i,
		                           (unsigned long long)offset);
	*table = image_qcow2_table(q, &q->l2, offset, &error);
	return error;
}

static int check_host(struct qcow2 *q, u64 guest, u64 entry)
{
	if (qcow2_aligned(q, entry & QCOW2_OFFSET))
		return 0;
	return image_qcow2_corrupt(q, "the cluster at %llx is mapped to the impossible offset %llx",
	                           (unsigned long long)guest << q->cluster_bits, (unsigned long long)(entry & QCOW2_OFFSET));
}

/* The clusters of a run from this entry on are where data can be. The last one of a file may end early. */
static int check_there(struct qcow2 *q, u64 offset, u64 entry, size_t len)
{
	u64 host = entry & QCOW2_OFFSET, last = host + (((offset & (q->cluster_size - 1)) + len - 1) & ~(u64)(q->cluster_size - 1));
	int error = check_host(q, offset >> q->cluster_bits, entry);

	if (!error && last >= q->host_end)
		error = image_report(&q->image, EIO, "the data at %llx lie behind the end of the file", (unsigned long long)host);
	return error;
}

static unsigned enter(struct qcow2 *q)
{
	unsigned e = q->epoch & 1;

	q->inflight[e]++;
	return e;
}

static void leave(struct qcow2 *q, unsigned e)
{
	pthread_mutex_lock(&q->mutex);
	if (--q->inflight[e] == 0)
		pthread_cond_broadcast(&q->changed);
	pthread_mutex_unlock(&q->mutex);
}

/* ---- reading ---- */
static int read_backing(struct qcow2 *q, u64 offset, struct pieces *to, size_t len)
{
	struct image *below = q->image.backing;
	size_t n = !below || offset >= below->size ? 0 : (size_t)MIN((u64)len, below->size - offset);
	int error = n ? image_read_pieces(below, offset, to, n) : 0;

	if (!error)
		pieces_zero(to, len - n);
	return error;
}

/* Part of one cluster, by its entry. */
static int read_entry(struct qcow2 *q, u64 offset, u64 entry, struct pieces *to, size_t len)
{
	u32 within = (u32)offset & (q->cluster_size - 1);
	int error;

	switch (image_qcow2_kind(q, entry)) {
	case QCOW2_UNALLOCATED:
		return read_backing(q, offset, to, len);
	case QCOW2_NORMAL:
		error = check_host(q, offset >> q->cluster_bits, entry);
		return error ? error : image_file_read_pieces(q->image.fd, (entry & QCOW2_OFFSET) + within, to, len);
	case QCOW2_PACKED:
		return image_qcow2_unpack(q, entry, within, to, (u32)len);
	default:
		pieces_zero(to, len);
		return 0;
	}
}

/* Bytes from offset on, at most len, that one entry's kind and place go on for. */
static size_t run_length(struct qcow2 *q, const struct qcow2_table *table, unsigned index, u64 offset, size_t len, u64 flags)
{
	u64 entry = entry_at(table, index), step = q->cluster_size, run = step - (offset & (step - 1));
	enum qcow2_kind kind = image_qcow2_kind(q, entry);

	for (u64 n = 1; run < len && index + n < BIT(q->l2_bits); n++, run += step) {
		u64 next = entry_at(table, (unsigned)(index + n));
		if (image_qcow2_kind(q, next) != kind || kind == QCOW2_PACKED || (next & flags) != (entry & flags))
			break;
		if (kind == QCOW2_NORMAL && (next & QCOW2_OFFSET) != (entry & QCOW2_OFFSET) + n * step)
			break;
	}
	return (size_t)MIN(run, (u64)len);
}

static int read_run(struct qcow2 *q, u64 offset, struct pieces *to, size_t len, size_t *done)
{
	struct qcow2_table *table;
	unsigned index, e;
	u64 entry = 0;
	int error;

	pthread_mutex_lock(&q->mutex);
	error = image_qcow2_lookup(q, offset >> q->cluster_bits, &table, &index);
	if (error) {
		pthread_mutex_unlock(&q->mutex);
		return error;
	}
	entry = entry_at(table, index);
	*done = run_length(q, table, index, offset, len, 0);
	if (image_qcow2_kind(q, entry) == QCOW2_NORMAL)
		error = check_there(q, offset, entry, *done);
	e = enter(q);
	pthread_mutex_unlock(&q->mutex);
	if (!error)
		error = read_entry(q, offset, entry, to, *done);
	leave(q, e);
	return error;
}

int image_qcow2_read(struct image *image, u64 offset, struct pieces *to, size_t len)
{
	for (size_t n; len; offset += n, len -= n) {
		int error = read_run(self(image), offset, to, len, &n);
		if (error)
			return error;
	}
	return 0;
}

int image_qcow2_map(struct image *image, u64 offset, u64 len, struct image_extent *extent)
{
	struct qcow2 *q = self(image);
	struct qcow2_table *table;
	enum qcow2_kind kind;
	unsigned index;
	u64 entry;
	int error;

	pthread_mutex_lock(&q->mutex);
	error = image_qcow2_lookup(q, offset >> q->cluster_bits, &table, &index);
	entry = error ? 0 : entry_at(table, index);
	kind = image_qcow2_kind(q, entry);
	*extent = (struct image_extent){
		.len = run_length(q, table, index, offset, (size_t)MIN(len, (u64)SIZE_MAX), 0),
		.allocated = kind != QCOW2_UNALLOCATED,
		.zero = kind == QCOW2_ZERO_PLAIN || kind == QCOW2_ZERO_ALLOC || (kind == QCOW2_UNALLOCATED && !image->backing_file),
		.compressed = kind == QCOW2_PACKED,
		.host = kind == QCOW2_NORMAL ? (entry & QCOW2_OFFSET) + (offset & (q->cluster_size - 1)) : 0,
	};
	pthread_mutex_unlock(&q->mutex);
	return error;
}

/* ---- changing the mapping ---- */
static void set_l1(struct qcow2 *q, u64 index, u64 entry)
{
	q->l1[index] = entry;
	if (q->l1_from == q->l1_to) {
		q->l1_from = (u32)index;
		q->l1_to = (u32)index;
	}
	q->l1_from = MIN(q->l1_from, (u32)index);
	q->l1_to = MAX(q->l1_to, (u32)index + 1);
}

void image_qcow2_set_entry(struct qcow2 *q, struct qcow2_table *table, unsigned index, u64 entry)
{
	qcow2_put64(table->data + index * 8, entry);
	image_qcow2_touch(&q->l2, table, index * 8, index * 8 + 8);
}

/* The L2 table of a guest cluster, made or copied if need be, fit to be changed. */
int image_qcow2_l2_for_write(struct qcow2 *q, u64 guest, struct qcow2_table **table)
{
	u64 i = guest >> q->l2_bits, old, cluster, got;
	u8 *data;
	unsigned index;
	int error = image_qcow2_lookup(q, guest, table, &index);

	if (error)
		return error;
	old = q->l1[i];
	if (*table && old & QCOW2_COPIED)
		return 0;
	data = err_alloc(q->cluster_size);
	if (*table)
		memcpy(data, (*table)->data, q->cluster_size);
	error = image_qcow2_alloc(q, 1, &cluster, &got);
	if (!error) {
		/* all of it at once: nothing it names is new, so it may be there before anything else is */
		error = image_file_write(q->image.fd, cluster << q->cluster_bits, data, q->cluster_size);
		if (!error) {
			q->host_end = MAX(q->host_end, (cluster + 1) << q->cluster_bits);
			*table = image_qcow2_table_new(q, &q->l2, cluster << q->cluster_bits, &error);
		}
		if (error)
			image_qcow2_unalloc(q, cluster, 1);
	}
	if (!error) {
		memcpy((*table)->data, data, q->cluster_size);
		image_qcow2_meta_add(q, cluster);
		set_l1(q, i, cluster << q->cluster_bits | QCOW2_COPIED);
		if (old & QCOW2_OFFSET)
			image_qcow2_free_later(q, (old & QCOW2_OFFSET) >> q->cluster_bits, 1, false);
	}
	free(data);
	return error;
}

static int ready_to_change(struct qcow2 *q)
{
	if (q->corrupt)
		return EIO;
	return q->freed_count > FREED_MANY ? image_qcow2_commit(q) : 0;
}

/* ---- writing ---- */
/* Zeros into a new cluster; where nothing was ever written there are some. */
static int fill_zero(struct qcow2 *q, u64 host, size_t len)
{
	u64 from = host, to = host + len;

	if (from >= q->host_end)
		return 0;
	return image_file_zero(q->image.fd, from, MIN(to, q->host_end) - from);
}

/* Old content of [offset, offset + len), all within one cluster, to its new place. */
static int copy_old(struct qcow2 *q, u64 offset, u64 entry, u64 host, size_t len, u8 *buf)
{
	enum qcow2_kind kind = image_qcow2_kind(q, entry);
	struct image *below = q->image.backing;
	int error;

	if (!len)
		return 0;
	if (kind == QCOW2_ZERO_PLAIN || kind == QCOW2_ZERO_ALLOC ||
	    (kind == QCOW2_UNALLOCATED && (!below || offset >= below->size)))
		return fill_zero(q, host, len);
	error = read_entry(q, offset, entry, &(struct pieces){&(struct iovec){buf, len}, 0}, len);
	return error ? error : image_file_write(q->image.fd, host, buf, len);
}

/* New clusters for what lies in [offset, offset + len): the data, and the rest of the first and the last cluster. */
static int fill_new(struct qcow2 *q, u64 host, u64 offset, struct pieces *from, size_t len, u64 first_entry, u64 last_entry)
{
	u32 mask = q->cluster_size - 1, head = (u32)offset & mask, tail = (u32)(0 - (offset + len)) & mask;
	u8 *old = head || tail ? err_alloc(q->cluster_size) : NULL;
	/* first what lies lowest: fill_zero goes by how far the file was written */
	int error = copy_old(q, offset - head, first_entry, host, head, old);

	if (!error)
		error = image_file_write_pieces(q->image.fd, host + head, from, len);
	if (!error)
		error = copy_old(q, offset + len, last_entry, host + head + len, tail, old);
	q->host_end = MAX(q->host_end, host + head + len + tail); /* whatever failed may have written part */
	free(old);
	return error;
}

/* Clusters from index on, at most n, that must be written anew. */
static u64 new_run(const struct qcow2 *q, const struct qcow2_table *table, unsigned index, u64 n)
{
	u64 run = 0;

	while (run < n && index + run < BIT(q->l2_bits)) {
		u64 entry = entry_at(table, (unsigned)(index + run));
		enum qcow2_kind kind = image_qcow2_kind(q, entry);
		if (entry & QCOW2_COPIED && (kind == QCOW2_NORMAL || kind == QCOW2_ZERO_ALLOC))
			break;
		run++;
	}
	return run;
}

/* Under the mutex. A cluster that is reserved and reads as zeros is filled where it is; all others get new places. */
static int write_new(struct qcow2 *q, u64 offset, struct pieces *from, size_t len, size_t *done)
{
	u64 guest = offset >> q->cluster_bits, count = qcow2_clusters(q, (offset & (q->cluster_size - 1)) + len), cluster, first;
	struct qcow2_table *table;
	unsigned index = index_of(q, guest);
	bool reserved;
	int error = image_qcow2_l2_for_write(q, guest, &table);

	if (error)
		return error;
	first = entry_at(table, index);
	reserved = image_qcow2_kind(q, first) == QCOW2_ZERO_ALLOC && first & QCOW2_COPIED;
	if (reserved) {
		error = check_host(q, guest, first);
		cluster = (first & QCOW2_OFFSET) >> q->cluster_bits;
		count = 1;
		if (!error && image_qcow2_meta_has(q, cluster))
			error = image_qcow2_corrupt(q, "data at %llx would overwrite metadata", (unsigned long long)cluster << q->cluster_bits);
		if (!error)
			q->host_end = MAX(q->host_end, (cluster + 1) << q->cluster_bits);
	} else {
		error = image_qcow2_alloc(q, new_run(q, table, index, count), &cluster, &count);
	}
	if (error)
		return error;
	*done = (size_t)MIN((u64)len, (count << q->cluster_bits) - (offset & (q->cluster_size - 1)));
	error = fill_new(q, cluster << q->cluster_bits, offset, from, *done, first, entry_at(table, index + (unsigned)count - 1));
	if (error) {
		if (!reserved)
			image_qcow2_unalloc(q, cluster, count);
		return error;
	}
	for (u64 i = 0; i < count; i++) {
		u64 old = entry_at(table, index + (unsigned)i);
		image_qcow2_set_entry(q, table, index + (unsigned)i, (cluster + i) << q->cluster_bits | QCOW2_COPIED);
		if (!reserved)
			image_qcow2_free_entry(q, old, false);
	}
	return 0;
}

static int write_run(struct qcow2 *q, u64 offset, struct pieces *from, size_t len, size_t *done)
{
	struct qcow2_table *table;
	u64 entry = 0, host;
	unsigned index, e;
	int error;

	pthread_mutex_lock(&q->mutex);
	error = ready_to_change(q);
	if (!error)
		error = image_qcow2_lookup(q, offset >> q->cluster_bits, &table, &index);
	if (error)
		goto out;
	entry = entry_at(table, index);
	if (!(q->l1[offset >> q->cluster_bits >> q->l2_bits] & QCOW2_COPIED) || !(entry & QCOW2_COPIED) ||
	    image_qcow2_kind(q, entry) != QCOW2_NORMAL) {
		error = write_new(q, offset, from, len, done);
		goto out;
	}
	*done = run_length(q, table, index, offset, len, QCOW2_COPIED);
	host = (entry & QCOW2_OFFSET) + (offset & (q->cluster_size - 1));
	error = check_host(q, offset >> q->cluster_bits, entry);
	for (u64 c = host >> q->cluster_bits; !error && c <= (host + *done - 1) >> q->cluster_bits; c++)
		if (image_qcow2_meta_has(q, c))
			error = image_qcow2_corrupt(q, "data at %llx would overwrite metadata", (unsigned long long)c << q->cluster_bits);
	if (error)
		goto out;
	q->host_end = MAX(q->host_end, host + *done);
	e = enter(q);
	pthread_mutex_unlock(&q->mutex);
	error = image_file_write_pieces(q->image.fd, host, from, *done);
	leave(q, e);
	return error;
out:
	pthread_mutex_unlock(&q->mutex);
	return error;
}

int image_qcow2_write(struct image *image, u64 offset, struct pieces *from, size_t len)
{
	for (size_t n = 0; len; offset += n, len -= n) {
		int error = write_run(self(image), offset, from, len, &n);
		if (error)
			return error;
	}
	return 0;
}

int image_qcow2_flush(struct image *image)
{
	struct qcow2 *q = self(image);
	bool only_data;
	int error = 0;

	pthread_mutex_lock(&q->mutex);
	only_data = !q->blocks.dirty && !q->l2.dirty && q->l1_from == q->l1_to && q->reftable_from == q->reftable_to &&
	            !q->freed_count && !q->committing;
	if (!only_data)
		error = image_qcow2_commit(q);
	pthread_mutex_unlock(&q->mutex);
	return only_data ? image_sync(image) : error;
}

/* ---- zeroing and discarding ---- */
static bool reads_zero(const struct qcow2 *q, u64 entry)
{
	enum qcow2_kind kind = image_qcow2_kind(q, entry);

	return kind == QCOW2_ZERO_PLAIN || kind == QCOW2_ZERO_ALLOC || (kind == QCOW2_UNALLOCATED && !q->image.backing_file);
}

/* What an entry becomes when its cluster is to read as zeros; false: it has to be written. */
static bool zero_entry(const struct qcow2 *q, u64 entry, bool discard, u64 *result)
{
	enum qcow2_kind kind = image_qcow2_kind(q, entry);

	if (q->version < 3 && q->image.backing_file)
		return false;
	if (discard || q->version < 3)
		*result = q->image.backing_file ? QCOW2_ZERO : 0;
	else if (reads_zero(q, entry))
		*result = entry;
	else if (kind == QCOW2_NORMAL && entry & QCOW2_COPIED && qcow2_aligned(q, entry & QCOW2_OFFSET))
		*result = entry | QCOW2_ZERO; /* it keeps its room */
	else
		*result = QCOW2_ZERO;
	return true;
}

/* Whole clusters of one L2 table, from `guest` on, at most n; *done of them. false in *simple: must be written. */
static int zero_clusters(struct qcow2 *q, u64 guest, u64 n, bool discard, u64 *done, bool *simple)
{
	struct qcow2_table *table;
	unsigned index;
	u64 entry;
	int error = ready_to_change(q);

	*simple = true;
	if (!error)
		error = image_qcow2_lookup(q, guest, &table, &index);
	if (error)
		return error;
	*done = MIN(n, BIT(q->l2_bits) - index);
	if (!table && !q->image.backing_file) /* zeros as it is */
		return 0;
	*simple = zero_entry(q, 0, discard, &entry);
	if (!*simple)
		return 0;
	error = image_qcow2_l2_for_write(q, guest, &table);
	for (u64 i = 0; i < *done && !error; i++) {
		u64 old = entry_at(table, index + (unsigned)i);
		zero_entry(q, old, discard, &entry);
		if (entry == old)
			continue;
		image_qcow2_set_entry(q, table, index + (unsigned)i, entry);
		if (!(entry & QCOW2_OFFSET))
			image_qcow2_free_entry(q, old, true);
	}
	return error;
}

static int write_zeros(struct image *image, u64 offset, u64 len)
{
	struct qcow2 *q = self(image);
	u8 *zeros = err_alloc(q->cluster_size);
	int error = 0;

	for (u64 n; len && !error; offset += n, len -= n) {
		struct qcow2_table *table;
		unsigned index;
		bool skip;

		n = MIN(len, q->cluster_size - (offset & (q->cluster_size - 1)));
		pthread_mutex_lock(&q->mutex);
		error = image_qcow2_lookup(q, offset >> q->cluster_bits, &table, &index);
		skip = !error && reads_zero(q, entry_at(table, index));
		pthread_mutex_unlock(&q->mutex);
		if (!error && !skip)
			error = image_qcow2_write(image, offset, &(struct pieces){&(struct iovec){zeros, (size_t)n}, 0}, (size_t)n);
	}
	free(zeros);
	return error;
}

static int zero_or_discard(struct image *image, u64 offset, u64 len, bool discard)
{
	struct qcow2 *q = self(image);
	u64 mask = q->cluster_size - 1, end = offset + len, first = qcow2_clusters(q, offset), last = end >> q->cluster_bits, n = 0;
	int error = 0;

	if (end == image->size) /* the last cluster may be cut short */
		last = qcow2_clusters(q, end);
	if (first >= last)
		return discard ? 0 : write_zeros(image, offset, len);
	if (!discard && offset & mask)
		error = write_zeros(image, offset, (first << q->cluster_bits) - offset);
	for (u64 guest = first; guest < last && !error; guest += n) {
		bool simple;
		pthread_mutex_lock(&q->mutex);
		error = zero_clusters(q, guest, last - guest, discard, &n, &simple);
		pthread_mutex_unlock(&q->mutex);
		if (!error && !simple && !discard) {
			u64 from = guest << q->cluster_bits;
			error = write_zeros(image, from, MIN(n << q->cluster_bits, end - from));
		}
	}
	if (!error && !discard && end > last << q->cluster_bits)
		error = write_zeros(image, last << q->cluster_bits, end - (last << q->cluster_bits));
	return error;
}

int image_qcow2_zero(struct image *image, u64 offset, u64 len)
{
	return len ? zero_or_discard(image, offset, len, false) : 0;
}

int image_qcow2_discard(struct image *image, u64 offset, u64 len)
{
	return len ? zero_or_discard(image, offset, len, true) : 0;
}

/* ---- for the image tool ---- */
int image_qcow2_empty(struct image *image)
{
	struct qcow2 *q = self(image);
	int error = 0;

	pthread_mutex_lock(&q->mutex);
	for (u64 i = 0; i < q->l1_size && !error; i++) {
		u64 old = q->l1[i];
		struct qcow2_table *table;
		unsigned index;

		if (!(old & QCOW2_OFFSET))
			continue;
		/* its own copy: the entries lose one reference each, those of a snapshot stay */
		error = image_qcow2_l2_for_write(q, i << q->l2_bits, &table);
		if (!error)
			error = image_qcow2_lookup(q, i << q->l2_bits, &table, &index);
		for (unsigned k = 0; k < BIT(q->l2_bits) && !error; k++)
			image_qcow2_free_entry(q, entry_at(table, k), true);
		if (!error) {
			image_qcow2_free_later(q, (q->l1[i] & QCOW2_OFFSET) >> q->cluster_bits, 1, true);
			set_l1(q, i, 0);
		}
		if (!error && q->freed_count > FREED_MANY)
			error = image_qcow2_commit(q);
	}
	if (!error)
		error = image_qcow2_commit(q);
	pthread_mutex_unlock(&q->mutex);
	return error;
}

/* Room for every cluster, without data. */
int image_qcow2_preallocate(struct qcow2 *q, u64 from, u64 to)
{
	u64 last = qcow2_clusters(q, to), end = 0, n;
	int error = 0;

	for (u64 guest = from >> q->cluster_bits; guest < last && !error; guest += n) {
		struct qcow2_table *table;
		unsigned index = index_of(q, guest);
		u64 cluster;

		n = 1;
		error = image_qcow2_l2_for_write(q, guest, &table);
		if (error || image_qcow2_kind(q, entry_at(table, index)) != QCOW2_UNALLOCATED)
			continue;
		error = image_qcow2_alloc(q, MIN(new_run(q, table, index, last - guest), last - guest), &cluster, &n);
		for (u64 i = 0; i < n && !error; i++)
			image_qcow2_set_entry(q, table, index + (unsigned)i, (cluster + i) << q->cluster_bits | QCOW2_COPIED);
		if (!error)
			end = MAX(end, (cluster + n) << q->cluster_bits);
	}
	if (!error && end > q->host_end && ftruncate(q->image.fd, (off_t)end) < 0)
		error = errno;
	return error;
}
