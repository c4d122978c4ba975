/* SPDX-License-Identifier: MIT */
/* qcow2: L2 tables and refcount blocks in memory, and the order in which changes reach the file.
 *
 * A cache is set-associative over the tables' places in the file. A refcount block may be written back at any time: counts go up
 * as soon as a cluster is taken, and down only after the reference is gone from the file. An L2 table may be written back only
 * after the refcount blocks, an L1 entry only after its L2 table. */
#include <errno.h>
#include <stdlib.h>

#include "hw/disk/image_qcow2.h"

#define WAYS 4u
#define CACHE_BYTES (32u << 20)
#define MIN_TABLES 16u

/* ---- caches ---- */
void image_qcow2_cache_init(struct qcow2 *q, struct qcow2_cache *cache, u64 tables)
{
	u64 most = MAX(CACHE_BYTES >> q->cluster_bits, MIN_TABLES);

	tables = MIN(MAX(tables, (u64)MIN_TABLES), most);
	cache->set_bits = 2;
	while ((u64)WAYS << cache->set_bits < tables)
		cache->set_bits++;
	cache->slots = err_alloc(sizeof *cache->slots * (WAYS << cache->set_bits));
}

void image_qcow2_cache_forget(struct qcow2_cache *cache)
{
	for (unsigned i = 0; cache->slots && i < WAYS << cache->set_bits; i++) {
		struct qcow2_table *t = &cache->slots[i];
		t->offset = t->from = t->to = 0;
	}
	cache->dirty = 0;
}

void image_qcow2_cache_free(struct qcow2_cache *cache)
{
	for (unsigned i = 0; cache->slots && i < WAYS << cache->set_bits; i++)
		free(cache->slots[i].data);
	free(cache->slots);
	cache->slots = NULL;
}

static struct qcow2_table *set_of(struct qcow2 *q, struct qcow2_cache *cache, u64 offset)
{
	u64 hash = (offset >> q->cluster_bits) * 0x9e3779b97f4a7c15ull;

	return cache->slots + (hash >> (64 - cache->set_bits)) * WAYS;
}

static void clean(struct qcow2_cache *cache, struct qcow2_table *t)
{
	if (t->from != t->to)
		cache->dirty--;
	t->from = t->to = 0;
}

static int write_back(struct qcow2 *q, struct qcow2_cache *cache, struct qcow2_table *t)
{
	int error = 0;

	if (t->from != t->to)
		error = image_file_write(q->image.fd, t->offset + t->from, t->data + t->from, t->to - t->from);
	if (!error)
		clean(cache, t);
	return error;
}

static int write_all(struct qcow2 *q, struct qcow2_cache *cache)
{
	int error = 0;

	for (unsigned i = 0; cache->dirty && !error && i < WAYS << cache->set_bits; i++)
		error = write_back(q, cache, &cache->slots[i]);
	return error;
}

void image_qcow2_touch(struct qcow2_cache *cache, struct qcow2_table *t, u32 from, u32 to)
{
	if (t->from == t->to) {
		cache->dirty++;
		t->from = from;
		t->to = to;
		return;
	}
	t->from = MIN(t->from, from);
	t->to = MAX(t->to, to);
}

static struct qcow2_table *find(struct qcow2 *q, struct qcow2_cache *cache, u64 offset)
{
	struct qcow2_table *set = set_of(q, cache, offset);

	for (unsigned i = 0; i < WAYS; i++)
		if (set[i].offset == offset) {
			set[i].used = ++cache->tick;
			return &set[i];
		}
	return NULL;
}

void image_qcow2_cache_drop(struct qcow2 *q, struct qcow2_cache *cache, u64 offset)
{
	struct qcow2_table *t = find(q, cache, offset);

	if (t) {
		clean(cache, t);
		t->offset = 0;
	}
}

static struct qcow2_table *take_slot(struct qcow2 *q, struct qcow2_cache *cache, u64 offset, int *error)
{
	struct qcow2_table *set = set_of(q, cache, offset), *victim = set;

	for (unsigned i = 1; i < WAYS; i++)
		if (set[i].used < victim->used)
			victim = &set[i];
	*error = 0;
	if (victim->from != victim->to && cache == &q->l2)
		*error = image_qcow2_write_blocks(q);
	if (!*error)
		*error = write_back(q, cache, victim);
	if (*error)
		return NULL;
	if (!victim->data)
		victim->data = err_alloc(q->cluster_size);
	victim->offset = offset;
	victim->used = ++cache->tick;
	return victim;
}

struct qcow2_table *image_qcow2_table(struct qcow2 *q, struct qcow2_cache *cache, u64 offset, int *error)
{
	struct qcow2_table *t = find(q, cache, offset);

	*error = 0;
	if (t)
		return t;
	t = take_slot(q, cache, offset, error);
	if (!t)
		return NULL;
	*error = image_file_read(q->image.fd, offset, t->data, q->cluster_size);
	if (*error) {
		t->offset = 0;
		return NULL;
	}
	return t;
}

struct qcow2_table *image_qcow2_table_new(struct qcow2 *q, struct qcow2_cache *cache, u64 offset, int *error)
{
	struct qcow2_table *t = find(q, cache, offset);

	*error = 0;
	if (!t)
		return take_slot(q, cache, offset, error);
	clean(cache, t);
	return t;
}

/* ---- order ---- */
static int write_entries(struct qcow2 *q, u64 offset, const u64 *entries, u32 *from, u32 *to)
{
	size_t n = *to - *from;
	u64 *raw = n ? err_alloc(n * 8) : NULL;
	int error = 0;

	for (size_t i = 0; i < n; i++)
		raw[i] = __builtin_bswap64(entries[*from + i]);
	if (n)
		error = image_file_write(q->image.fd, offset + *from * 8ull, raw, n * 8);
	if (!error)
		*from = *to = 0;
	free(raw);
	return error;
}

int image_qcow2_write_blocks(struct qcow2 *q)
{
	int error = write_all(q, &q->blocks);

	if (!error && q->reftable_from != q->reftable_to) {
		error = image_sync(&q->image);
		if (!error)
			error = write_entries(q, q->reftable_offset, q->reftable, &q->reftable_from, &q->reftable_to);
	}
	return error ? error : image_sync(&q->image);
}

static int write_tables(struct qcow2 *q)
{
	int error = 0;

	if (q->blocks.dirty || q->l2.dirty || q->reftable_from != q->reftable_to || q->l1_from != q->l1_to)
		error = image_qcow2_write_blocks(q);
	if (!error)
		error = write_all(q, &q->l2);
	if (!error && q->l1_from != q->l1_to) {
		error = image_sync(&q->image);
		if (!error)
			error = write_entries(q, q->l1_offset, q->l1, &q->l1_from, &q->l1_to);
	}
	return error ? error : image_sync(&q->image);
}

int image_qcow2_commit(struct qcow2 *q)
{
	struct qcow2_free *list;
	size_t count;
	unsigned old;
	int error;

	while (q->committing)
		pthread_cond_wait(&q->changed, &q->mutex);
	if (q->corrupt)
		return EIO;
	error = write_tables(q);
	if (error || !q->freed_count)
		return error;
	list = q->freed;
	count = q->freed_count;
	q->freed = NULL;
	q->freed_count = q->freed_room = 0;
	/* transfers that began before may still use what is to be freed */
	q->committing = true;
	old = q->epoch++ & 1;
	while (q->inflight[old])
		pthread_cond_wait(&q->changed, &q->mutex);
	error = image_qcow2_apply_frees(q, list, count);
	q->committing = false;
	pthread_cond_broadcast(&q->changed);
	free(list);
	return error;
}

/* ---- the set of metadata clusters ---- */
static u64 meta_slot(const struct qcow2 *q, u64 cluster)
{
	return (cluster * 0x9e3779b97f4a7c15ull) >> (64 - q->meta_bits);
}

static void meta_grow(struct qcow2 *q)
{
	u64 *old = q->meta, n = old ? 1ull << q->meta_bits : 0;

	q->meta_bits = old ? q->meta_bits + 1 : 6;
	q->meta = err_alloc(sizeof *q->meta << q->meta_bits);
	q->meta_count = 0;
	for (u64 i = 0; i < n; i++)
		if (old[i])
			image_qcow2_meta_add(q, old[i] - 1);
	free(old);
}

bool image_qcow2_meta_has(const struct qcow2 *q, u64 cluster)
{
	u64 mask = (1ull << q->meta_bits) - 1;

	if (!q->meta)
		return false;
	for (u64 i = meta_slot(q, cluster); q->meta[i]; i = (i + 1) & mask)
		if (q->meta[i] == cluster + 1)
			return true;
	return false;
}

bool image_qcow2_meta_add(struct qcow2 *q, u64 cluster)
{
	u64 i, mask;

	if (image_qcow2_meta_has(q, cluster))
		return false;
	if (!q->meta || q->meta_count >= 1ull << (q->meta_bits - 1))
		meta_grow(q);
	mask = (1ull << q->meta_bits) - 1;
	for (i = meta_slot(q, cluster); q->meta[i];)
		i = (i + 1) & mask;
	q->meta[i] = cluster + 1;
	q->meta_count++;
	return true;
}

/* Linear probing without tombstones: what follows in the run moves up. */
void image_qcow2_meta_remove(struct qcow2 *q, u64 cluster)
{
	u64 mask = (1ull << q->meta_bits) - 1, i;

	if (!image_qcow2_meta_has(q, cluster))
		return;
	for (i = meta_slot(q, cluster); q->meta[i] != cluster + 1;)
		i = (i + 1) & mask;
	q->meta[i] = 0;
	q->meta_count--;
	for (u64 k = (i + 1) & mask; q->meta[k]; k = (k + 1) & mask) {
		u64 value = q->meta[k];
		q->meta[k] = 0;
		q->meta_count--;
		image_qcow2_meta_add(q, value - 1);
	}
}
