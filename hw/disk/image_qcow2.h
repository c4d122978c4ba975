/* SPDX-License-Identifier: MIT */
/* What the files of the qcow2 driver share. The format: QEMU's docs/interop/qcow2.txt, versions 2 and 3.
 *
 *   image_qcow2.c           header, open, create, close, header updates, resize, backing file
 *   image_qcow2_cache.c     cached metadata tables and the order in which they reach the file; the set of metadata clusters
 *   image_qcow2_refs.c      refcounts, allocation, freeing
 *   image_qcow2_map.c       guest offset -> cluster: reading, writing, zeroing, discarding
 *   image_qcow2_compress.c  compressed clusters
 *   image_qcow2_check.c     counting all references, comparing, repairing
 *
 * Everything below runs under q->mutex. What keeps the file whole when we are killed between any two writes:
 *   - a count is raised in the file before a reference to its cluster is written (refcount block, then L2, then L1);
 *   - data is written before the L2 entry that shows it;
 *   - a cluster is freed (and so reused) only when the entry that named it is gone from the file, and when no transfer that
 *     found the old entry is still under way (q->epoch).
 * So what a crash leaves behind are clusters counted too high, never too low. */
#ifndef HW_DISK_IMAGE_QCOW2_H
#define HW_DISK_IMAGE_QCOW2_H

#include <pthread.h>

#include "hw/disk/image.h"

#define QCOW2_MAGIC 0x514649fbu
#define QCOW2_OFFSET 0x00fffffffffffe00ull /* of L1 and L2 entries */
#define QCOW2_REFTABLE_OFFSET 0xfffffffffffffe00ull
#define QCOW2_COPIED BIT(63)
#define QCOW2_COMPRESSED BIT(62)
#define QCOW2_ZERO BIT(0)
#define QCOW2_OFFSET_BITS 56

#define QCOW2_MAX_L1 (32u << 20)        /* bytes, the limits of QEMU */
#define QCOW2_MAX_REFTABLE (8u << 20)
#define QCOW2_MAX_SNAPSHOTS 65536u
#define QCOW2_MAX_SNAPSHOT_TABLE (64u << 20)

enum qcow2_incompatible { QCOW2_DIRTY = 1, QCOW2_CORRUPT = 2, QCOW2_DATA_FILE = 4, QCOW2_COMPRESSION = 8, QCOW2_EXTENDED_L2 = 16 };
enum qcow2_compatible { QCOW2_LAZY = 1 };
enum qcow2_autoclear { QCOW2_BITMAPS = 1 };
#define QCOW2_EXT_BITMAPS 0x23852875u /* header extension */
enum qcow2_header { /* offsets */
	QH_MAGIC = 0, QH_VERSION = 4, QH_BACKING_OFFSET = 8, QH_BACKING_SIZE = 16, QH_CLUSTER_BITS = 20, QH_SIZE = 24, QH_CRYPT = 32,
	QH_L1_SIZE = 36, QH_L1_OFFSET = 40, QH_REFTABLE_OFFSET = 48, QH_REFTABLE_CLUSTERS = 56, QH_SNAPSHOTS = 60,
	QH_SNAPSHOTS_OFFSET = 64, QH_V2_LENGTH = 72, QH_INCOMPATIBLE = 72, QH_COMPATIBLE = 80, QH_AUTOCLEAR = 88,
	QH_REFCOUNT_ORDER = 96, QH_LENGTH = 100, QH_V3_LENGTH = 104, QH_COMPRESSION_TYPE = 104, QH_FULL_LENGTH = 112,
};

/* A table in memory, big-endian as in the file. */
struct qcow2_table {
	u64 offset;     /* 0: the slot is empty */
	u64 used;       /* when, for eviction */
	u32 from, to;   /* dirty bytes; from == to: clean */
	u8 *data;       /* a cluster */
};
struct qcow2_cache {
	struct qcow2_table *slots;
	unsigned set_bits, dirty;
	u64 tick;
};

struct qcow2_free { /* to be freed when the file no longer refers to it */
	u64 cluster;
	bool punch;
};

struct qcow2_snapshot {
	u64 l1_offset;
	u32 l1_size;
};

struct qcow2 {
	struct image image;
	pthread_mutex_t mutex;
	pthread_cond_t changed; /* inflight or committing */
	unsigned version, cluster_bits, l2_bits, refcount_order, block_bits;
	u32 cluster_size;
	u64 incompatible, compatible, autoclear;
	u8 compression;          /* 0 zlib, 1 zstd */
	u8 *head;                /* the first cluster as it is in the file */
	u64 l1_offset, reftable_offset, snapshots_offset;
	u32 l1_size, reftable_clusters, snapshot_count;
	u64 snapshot_bytes;
	struct qcow2_snapshot *snapshots;
	u64 *l1, *reftable;      /* this machine's byte order */
	u64 reftable_size;       /* entries */
	u32 l1_from, l1_to, reftable_from, reftable_to; /* dirty entries */
	struct qcow2_cache l2, blocks;
	u64 hint;                /* no cluster below is free */
	u64 host_end;            /* nothing was ever written from here on: reads as zeros */
	u64 compressed_at;       /* where the next compressed cluster may begin; 0: in a new cluster */
	u64 *meta;               /* hash set of clusters that hold metadata, + 1; 0: empty */
	u64 meta_count, meta_bits;
	struct qcow2_free *freed;
	size_t freed_count, freed_room;
	unsigned epoch, inflight[2];
	bool committing, corrupt, dropping;
	/* the last compressed cluster that was unpacked, under its own lock */
	pthread_mutex_t unpack_mutex;
	u64 unpacked_entry;
	u8 *unpacked;
};

static inline u32 qcow2_get32(const u8 *p)
{
	return __builtin_bswap32(load32(p));
}
static inline u64 qcow2_get64(const u8 *p)
{
	return __builtin_bswap64(load64(p));
}
static inline void qcow2_put32(u8 *p, u32 v)
{
	store32(p, __builtin_bswap32(v));
}
static inline void qcow2_put64(u8 *p, u64 v)
{
	store64(p, __builtin_bswap64(v));
}
static inline u64 qcow2_clusters(const struct qcow2 *q, u64 bytes)
{
	return (bytes >> q->cluster_bits) + !!(bytes & (q->cluster_size - 1));
}
static inline bool qcow2_aligned(const struct qcow2 *q, u64 offset)
{
	return !(offset & (q->cluster_size - 1));
}

/* image_qcow2.c */
int image_qcow2_corrupt(struct qcow2 *q, const char *fmt, ...) __attribute__((format(printf, 2, 3))); /* returns EIO */
int image_qcow2_put_features(struct qcow2 *q, u64 incompatible, u64 compatible, u64 autoclear);
/* Point the header at a table, in one write. */
int image_qcow2_put_l1(struct qcow2 *q, u64 offset, u32 size, u64 disk_size);
int image_qcow2_put_reftable(struct qcow2 *q, u64 offset, u32 clusters);
bool image_qcow2_load_reftable(struct qcow2 *q, struct err *err);
u32 image_qcow2_extensions_start(const struct qcow2 *q);
u32 image_qcow2_extensions_end(const struct qcow2 *q);
bool image_qcow2_next_extension(const struct qcow2 *q, u32 *at, u32 end, u32 *type, const u8 **data, u32 *len);

/* image_qcow2_cache.c */
void image_qcow2_cache_init(struct qcow2 *q, struct qcow2_cache *cache, u64 tables);
void image_qcow2_cache_free(struct qcow2_cache *cache);
void image_qcow2_cache_forget(struct qcow2_cache *cache); /* everything, dirty or not */
void image_qcow2_cache_drop(struct qcow2 *q, struct qcow2_cache *cache, u64 offset);
/* The table at offset; good until the next call for the same cache. NULL: *error. */
struct qcow2_table *image_qcow2_table(struct qcow2 *q, struct qcow2_cache *cache, u64 offset, int *error);
/* A slot for a table that is new in the file; its data is left to the caller, who writes all of it. */
struct qcow2_table *image_qcow2_table_new(struct qcow2 *q, struct qcow2_cache *cache, u64 offset, int *error);
void image_qcow2_touch(struct qcow2_cache *cache, struct qcow2_table *table, u32 from, u32 to);
int image_qcow2_write_blocks(struct qcow2 *q); /* refcounts into the file, and down to the medium */
/* All metadata into the file, in order, then what was freed. Lets go of the mutex in between. */
int image_qcow2_commit(struct qcow2 *q);
bool image_qcow2_meta_add(struct qcow2 *q, u64 cluster); /* false: is in it */
void image_qcow2_meta_remove(struct qcow2 *q, u64 cluster);
bool image_qcow2_meta_has(const struct qcow2 *q, u64 cluster);

/* image_qcow2_refs.c */
u64 image_qcow2_block_get(const u8 *block, u64 index, unsigned order);
void image_qcow2_block_put(u8 *block, u64 index, unsigned order, u64 count);
int image_qcow2_refcount(struct qcow2 *q, u64 cluster, u64 *count);
int image_qcow2_refcount_add(struct qcow2 *q, u64 cluster, int delta, u64 *now);
/* 1..want clusters in a row. */
int image_qcow2_alloc(struct qcow2 *q, u64 want, u64 *cluster, u64 *got);
int image_qcow2_alloc_exact(struct qcow2 *q, u64 want, u64 *cluster);
int image_qcow2_alloc_bytes(struct qcow2 *q, u32 bytes, u64 *offset);
/* What alloc gave and nothing refers to yet. */
void image_qcow2_unalloc(struct qcow2 *q, u64 cluster, u64 n);
void image_qcow2_free_later(struct qcow2 *q, u64 cluster, u64 n, bool punch);
void image_qcow2_free_entry(struct qcow2 *q, u64 entry, bool punch); /* what an L2 entry names */
int image_qcow2_apply_frees(struct qcow2 *q, const struct qcow2_free *list, size_t count);

/* image_qcow2_map.c */
enum qcow2_kind { QCOW2_UNALLOCATED, QCOW2_ZERO_PLAIN, QCOW2_ZERO_ALLOC, QCOW2_NORMAL, QCOW2_PACKED };
enum qcow2_kind image_qcow2_kind(const struct qcow2 *q, u64 entry);
int image_qcow2_l2_for_write(struct qcow2 *q, u64 guest, struct qcow2_table **table);
void image_qcow2_set_entry(struct qcow2 *q, struct qcow2_table *table, unsigned index, u64 entry);
int image_qcow2_lookup(struct qcow2 *q, u64 guest, struct qcow2_table **table, unsigned *index);
int image_qcow2_read(struct image *image, u64 offset, struct pieces *to, size_t len);
int image_qcow2_write(struct image *image, u64 offset, struct pieces *from, size_t len);
int image_qcow2_zero(struct image *image, u64 offset, u64 len);
int image_qcow2_discard(struct image *image, u64 offset, u64 len);
int image_qcow2_flush(struct image *image);
int image_qcow2_map(struct image *image, u64 offset, u64 len, struct image_extent *extent);
int image_qcow2_empty(struct image *image);
int image_qcow2_preallocate(struct qcow2 *q, u64 from, u64 to);

/* image_qcow2_compress.c */
/* Where a compressed entry's bytes are. */
void image_qcow2_packed(const struct qcow2 *q, u64 entry, u64 *offset, u32 *bytes);
int image_qcow2_unpack(struct qcow2 *q, u64 entry, u32 from, struct pieces *to, u32 len); /* without the mutex, too */
int image_qcow2_write_compressed(struct image *image, u64 offset, const u8 *buf, size_t len);

/* image_qcow2_check.c */
bool image_qcow2_check(struct image *image, struct image_check *check, struct err *err);

#endif
