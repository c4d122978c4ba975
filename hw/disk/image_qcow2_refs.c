/* SPDX-License-Identifier: MIT */
/* qcow2: how often each cluster of the file is referred to, and who gets the free ones.
 *
 * A refcount block covers a range of clusters. Where a range has none, none of its clusters is in use, and the range's first
 * cluster becomes its block: a block made this way counts itself. The table of blocks grows the same way, at the end.
 * Counts of freed clusters go down only when image_qcow2_commit() says so. */
#include <errno.h>
#include <stdlib.h>

#include "hw/disk/image_qcow2.h"

/* ---- counts in a block ---- */
u64 image_qcow2_block_get(const u8 *block, u64 index, unsigned order)
{
	switch (order) {
	case 0:
	case 1:
	case 2: {
		unsigned bits = 1u << order, per_byte = 8 / bits;
		return block[index / per_byte] >> index % per_byte * bits & ((1u << bits) - 1);
	}
	case 3:
		return block[index];
	case 4:
		return __builtin_bswap16(load16(block + index * 2));
	case 5:
		return qcow2_get32(block + index * 4);
	default:
		return qcow2_get64(block + index * 8);
	}
}

void image_qcow2_block_put(u8 *block, u64 index, unsigned order, u64 count)
{
	switch (order) {
	case 0:
	case 1:
	case 2: {
		unsigned bits = 1u << order, per_byte = 8 / bits, shift = index % per_byte * bits, mask = ((1u << bits) - 1) << shift;
		block[index / per_byte] = (u8)((block[index / per_byte] & ~mask) | (count << shift & mask));
		return;
	}
	case 3:
		block[index] = (u8)count;
		return;
	case 4:
		store16(block + index * 2, __builtin_bswap16((u16)count));
		return;
	case 5:
		qcow2_put32(block + index * 4, (u32)count);
		return;
	default:
		qcow2_put64(block + index * 8, count);
	}
}

static u64 max_count(const struct qcow2 *q)
{
	return q->refcount_order == 6 ? ~0ull : BIT(1u << q->refcount_order) - 1;
}

/* The block that holds a cluster's count; *block is NULL without error where there is none. */
static int find_block(struct qcow2 *q, u64 cluster, struct qcow2_table **block, u64 *index)
{
	u64 range = cluster >> q->block_bits, offset;
	int error;

	*block = NULL;
	*index = cluster & (BIT(q->block_bits) - 1);
	if (range >= q->reftable_size)
		return 0;
	offset = q->reftable[range] & QCOW2_REFTABLE_OFFSET;
	if (!offset)
		return 0;
	if (!qcow2_aligned(q, offset) || offset >> QCOW2_OFFSET_BITS)
		return image_qcow2_corrupt(q, "refcount block %llu is at the impossible offset %llx", (unsigned long long)range,
		                           (unsigned long long)offset);
	*block = image_qcow2_table(q, &q->blocks, offset, &error);
	return error;
}

int image_qcow2_refcount(struct qcow2 *q, u64 cluster, u64 *count)
{
	struct qcow2_table *block;
	u64 index;
	int error = find_block(q, cluster, &block, &index);

	*count = block ? image_qcow2_block_get(block->data, index, q->refcount_order) : 0;
	return error;
}

static void put_count(struct qcow2 *q, struct qcow2_table *block, u64 index, u64 count)
{
	u32 from = (u32)((index << q->refcount_order) / 8), to = (u32)((((index + 1) << q->refcount_order) + 7) / 8);

	image_qcow2_block_put(block->data, index, q->refcount_order, count);
	image_qcow2_touch(&q->blocks, block, from, to);
}

int image_qcow2_refcount_add(struct qcow2 *q, u64 cluster, int delta, u64 *now)
{
	struct qcow2_table *block;
	u64 index, count;
	int error = find_block(q, cluster, &block, &index);

	*now = 0;
	if (error)
		return error;
	count = block ? image_qcow2_block_get(block->data, index, q->refcount_order) : 0;
	if (!block || (delta < 0 && !count))
		return image_qcow2_corrupt(q, "cluster %llx is freed but was not in use",
		                           (unsigned long long)cluster << q->cluster_bits);
	if (delta > 0 && count >= max_count(q))
		return ERANGE;
	*now = count + (u64)(i64)delta;
	put_count(q, block, index, *now);
	return 0;
}

/* ---- new ranges ---- */
static u64 blocks_for(const struct qcow2 *q, u64 clusters)
{
	u64 blocks = 1;

	while (blocks << q->block_bits < blocks + clusters)
		blocks++;
	return blocks;
}

static u64 first_unused_range(const struct qcow2 *q)
{
	u64 range = q->reftable_size;

	while (range && !(q->reftable[range - 1] & QCOW2_REFTABLE_OFFSET))
		range--;
	return range;
}

static void touch_reftable(struct qcow2 *q, u64 from, u64 to)
{
	if (q->reftable_from == q->reftable_to) {
		q->reftable_from = (u32)from;
		q->reftable_to = (u32)to;
	}
	q->reftable_from = MIN(q->reftable_from, (u32)from);
	q->reftable_to = MAX(q->reftable_to, (u32)to);
}

/* Write `blocks` refcount blocks for the ranges from `range` on, at that place; they count themselves and `clusters` after them
 * as in use once, and are entered in the table. */
static int make_blocks(struct qcow2 *q, u64 range, u64 blocks, u64 clusters, u64 *reftable)
{
	u64 first = range << q->block_bits, used = blocks + clusters;

	if ((first + used) >> (QCOW2_OFFSET_BITS - q->cluster_bits))
		return EFBIG;
	for (u64 i = 0; i < blocks + clusters; i++)
		if (image_qcow2_meta_has(q, first + i))
			return image_qcow2_corrupt(q, "metadata at %llx is not counted", (unsigned long long)(first + i) << q->cluster_bits);
	for (u64 i = 0; i < blocks; i++) {
		u64 offset = (first + i) << q->cluster_bits;
		struct qcow2_table *block;
		int error;

		block = image_qcow2_table_new(q, &q->blocks, offset, &error);
		if (!block)
			return error;
		memset(block->data, 0, q->cluster_size);
		for (u64 k = 0; k < BIT(q->block_bits) && used; k++, used--)
			image_qcow2_block_put(block->data, k, q->refcount_order, 1);
		error = image_file_write(q->image.fd, offset, block->data, q->cluster_size);
		if (error) {
			block->offset = 0;
			return error;
		}
		q->host_end = MAX(q->host_end, offset + q->cluster_size);
		reftable[range + i] = offset;
		image_qcow2_meta_add(q, first + i);
	}
	return 0;
}

/* Room for at least `more` blocks after those that the new table itself takes. */
static int grow_reftable(struct qcow2 *q, u64 more)
{
	u64 range = first_unused_range(q), clusters = q->reftable_clusters + q->reftable_clusters / 2 + 1;
	u64 blocks, size, offset, *table, old = q->reftable_offset >> q->cluster_bits, old_clusters = q->reftable_clusters;
	u8 *raw;
	int error;

	for (;; clusters++) {
		blocks = blocks_for(q, clusters);
		size = clusters << (q->cluster_bits - 3);
		if (clusters << q->cluster_bits > QCOW2_MAX_REFTABLE)
			return EFBIG;
		if (size >= range + blocks + more)
			break;
	}
	table = err_alloc(size * 8);
	memcpy(table, q->reftable, q->reftable_size * 8);
	error = make_blocks(q, range, blocks, clusters, table);
	if (error) {
		free(table);
		return error;
	}
	offset = ((range << q->block_bits) + blocks) << q->cluster_bits;
	raw = err_alloc(size * 8);
	for (u64 i = 0; i < size; i++)
		qcow2_put64(raw + i * 8, table[i]);
	error = image_file_write(q->image.fd, offset, raw, size * 8);
	free(raw);
	if (!error)
		error = image_sync(&q->image);
	if (!error)
		error = image_qcow2_put_reftable(q, offset, (u32)clusters);
	if (error) {
		free(table);
		return error;
	}
	free(q->reftable);
	q->reftable = table;
	q->reftable_size = size;
	q->reftable_from = q->reftable_to = 0;
	q->host_end = MAX(q->host_end, offset + size * 8);
	for (u64 i = 0; i < clusters; i++)
		image_qcow2_meta_add(q, (offset >> q->cluster_bits) + i);
	image_qcow2_free_later(q, old, old_clusters, false);
	return 0;
}

static int ensure_block(struct qcow2 *q, u64 cluster)
{
	u64 range = cluster >> q->block_bits;
	int error;

	if (range >= q->reftable_size) {
		error = grow_reftable(q, range - q->reftable_size + 1);
		if (error)
			return error;
	}
	if (range < q->reftable_size && q->reftable[range] & QCOW2_REFTABLE_OFFSET)
		return 0;
	if (range == 0) /* the header itself would have to be free */
		return image_qcow2_corrupt(q, "the first refcount block is missing");
	error = make_blocks(q, range, 1, 0, q->reftable);
	if (!error)
		touch_reftable(q, range, range + 1);
	return error;
}

/* ---- allocation ---- */
static int take(struct qcow2 *q, u64 cluster, u64 n)
{
	u64 now;
	int error = 0;

	for (u64 i = 0; i < n && !error; i++) {
		if (image_qcow2_meta_has(q, cluster + i))
			return image_qcow2_corrupt(q, "metadata at %llx is counted as free",
			                           (unsigned long long)(cluster + i) << q->cluster_bits);
		error = image_qcow2_refcount_add(q, cluster + i, 1, &now);
	}
	return error;
}

/* Is no count among the 64 bits 0? Each count's bits are folded into its lowest. */
static bool all_used(u64 word, unsigned order)
{
	static const u64 lowest[] = {~0ull, 0x5555555555555555, 0x1111111111111111, 0x0101010101010101, 0x0001000100010001,
	                             0x0000000100000001, 1};

	for (unsigned bit = 0; bit < order; bit++)
		word |= word >> BIT(bit);
	return (word & lowest[order]) == lowest[order];
}

/* From *cluster on to the next that may be free, or to the end of its block: an image may claim that all of a great many are used,
 * and then they are to be passed quickly. */
static int pass_used(struct qcow2 *q, u64 *cluster)
{
	const u64 end = BIT(q->block_bits), step = 64 >> q->refcount_order;
	struct qcow2_table *block;
	u64 index, begin;
	int error = find_block(q, *cluster, &block, &index);

	if (error || !block || index % step)
		return error;
	for (begin = index; index + step <= end && all_used(load64(block->data + (index << q->refcount_order) / 8), q->refcount_order);)
		index += step;
	*cluster += index - begin;
	return 0;
}

/* The first run of `least`..`most` free clusters. Below the hint is none. */
static int find_run(struct qcow2 *q, u64 least, u64 most, u64 *cluster, u64 *got)
{
	bool hint_holds = true;
	u64 run = 0, c = q->hint;

	for (;;) {
		u64 count = 1, next = c;
		int error = c >> (QCOW2_OFFSET_BITS - q->cluster_bits) ? EFBIG : ensure_block(q, c);
		if (!error && !run)
			error = pass_used(q, &next);
		if (!error && next == c)
			error = image_qcow2_refcount(q, c, &count);
		if (error)
			return error;
		if (!count && ++run < most) {
			c++;
			continue;
		}
		if (run >= least && run) {
			*cluster = count ? c - run : c + 1 - run;
			*got = run;
			if (hint_holds)
				q->hint = *cluster + run;
			return 0;
		}
		if (run)
			hint_holds = false;
		run = 0;
		c = next == c ? c + 1 : next;
		if (hint_holds)
			q->hint = c;
	}
}

int image_qcow2_alloc(struct qcow2 *q, u64 want, u64 *cluster, u64 *got)
{
	int error = q->corrupt ? EIO : find_run(q, 1, want, cluster, got);

	return error ? error : take(q, *cluster, *got);
}

int image_qcow2_alloc_exact(struct qcow2 *q, u64 want, u64 *cluster)
{
	u64 got, blocks, range;
	int error;

	if (q->corrupt)
		return EIO;
	if (want < BIT(q->block_bits) / 2) {
		error = find_run(q, want, want, cluster, &got);
		return error ? error : take(q, *cluster, want);
	}
	blocks = blocks_for(q, want); /* a run that no single range has */
	range = first_unused_range(q);
	if (range + blocks > q->reftable_size) {
		error = grow_reftable(q, blocks);
		if (error)
			return error;
		range = first_unused_range(q);
		if (range + blocks > q->reftable_size)
			return EFBIG;
	}
	error = make_blocks(q, range, blocks, want, q->reftable);
	if (error)
		return error;
	touch_reftable(q, range, range + blocks);
	*cluster = (range << q->block_bits) + blocks;
	return 0;
}

/* Room for compressed data, behind the last one where that is possible. */
int image_qcow2_alloc_bytes(struct qcow2 *q, u32 bytes, u64 *offset)
{
	u64 at = q->compressed_at, mask = q->cluster_size - 1, last, count, cluster, got;
	int error;

	if (at & mask) {
		last = at >> q->cluster_bits;
		error = image_qcow2_refcount(q, last, &count);
		if (error)
			return error;
		if (count && count < max_count(q)) {
			u64 room = q->cluster_size - (at & mask);
			bool next_free = false;
			if (bytes > room) {
				error = ensure_block(q, last + 1);
				if (!error)
					error = image_qcow2_refcount(q, last + 1, &count);
				if (error)
					return error;
				next_free = !count;
			}
			if (bytes <= room || next_free) {
				error = image_qcow2_refcount_add(q, last, 1, &count);
				if (!error && next_free)
					error = take(q, last + 1, 1);
				if (error)
					return error;
				*offset = at;
				q->compressed_at = at + bytes;
				return 0;
			}
		}
	}
	error = image_qcow2_alloc(q, 1, &cluster, &got);
	if (error)
		return error;
	*offset = cluster << q->cluster_bits;
	q->compressed_at = *offset + bytes;
	return 0;
}

/* ---- freeing ---- */
void image_qcow2_unalloc(struct qcow2 *q, u64 cluster, u64 n)
{
	u64 now;

	for (u64 i = 0; i < n; i++)
		if (image_qcow2_refcount_add(q, cluster + i, -1, &now) == 0 && !now)
			q->hint = MIN(q->hint, cluster + i);
}

void image_qcow2_free_later(struct qcow2 *q, u64 cluster, u64 n, bool punch)
{
	if (q->freed_count + n > q->freed_room) {
		q->freed_room = (q->freed_count + n) * 2;
		q->freed = err_realloc(q->freed, q->freed_room * sizeof *q->freed);
	}
	for (u64 i = 0; i < n; i++)
		q->freed[q->freed_count++] = (struct qcow2_free){.cluster = cluster + i, .punch = punch};
}

void image_qcow2_free_entry(struct qcow2 *q, u64 entry, bool punch)
{
	u64 offset, first;
	u32 bytes;

	switch (image_qcow2_kind(q, entry)) {
	case QCOW2_NORMAL:
	case QCOW2_ZERO_ALLOC:
		image_qcow2_free_later(q, (entry & QCOW2_OFFSET) >> q->cluster_bits, 1, punch);
		break;
	case QCOW2_PACKED:
		image_qcow2_packed(q, entry, &offset, &bytes);
		first = (offset & ~511ull) >> q->cluster_bits;
		image_qcow2_free_later(q, first, ((offset + bytes - 1) >> q->cluster_bits) - first + 1, false);
		break;
	default:
		break;
	}
}

int image_qcow2_apply_frees(struct qcow2 *q, const struct qcow2_free *list, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		u64 now, cluster = list[i].cluster;
		int error = image_qcow2_refcount_add(q, cluster, -1, &now);
		if (error)
			return error;
		if (now)
			continue;
		if (q->compressed_at >> q->cluster_bits == cluster)
			q->compressed_at = 0;
		if (image_qcow2_meta_has(q, cluster)) {
			image_qcow2_meta_remove(q, cluster);
			image_qcow2_cache_drop(q, &q->l2, cluster << q->cluster_bits);
		}
		q->hint = MIN(q->hint, cluster);
		if (list[i].punch)
			image_file_punch(q->image.fd, cluster << q->cluster_bits, q->cluster_size);
	}
	return 0;
}
