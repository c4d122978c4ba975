/* SPDX-License-Identifier: MIT */
/* qcow2: is every cluster counted as often as it is referred to? All references are counted anew, from the header, the L1 and L2
 * tables of the disk and of the snapshots inside, the refcount structure itself and the bitmaps; then the counts are compared.
 *   leak        counted too high: room is lost
 *   corruption  counted too low, an impossible entry, a COPIED mark that is wrong: writing could do damage
 * Repair: counts are put right in place; if the refcount structure cannot be used, a new one is written behind the file's end.
 * Impossible entries stay as they are: only their owner can say what is lost.
 * Nobody else uses the image meanwhile. Works on the file, not on the caches.
 *
 * The file may be made to keep us busy. So tables that share clusters are not read twice, holes are not read at all, and a signal
 * that asks for the program's end stops the check between two clusters: what was not repaired is still marked as dirty. */
#define _GNU_SOURCE /* SEEK_DATA */
#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdlib.h>
#include <unistd.h>

#include "hw/disk/image_qcow2.h"

#define CHUNK 4096u               /* counters that are allocated together */
#define MAX_CHUNKS (1u << 17)     /* 2 GiB of counters */
#define MAX_CLUSTERS BIT(32)      /* 256 TiB of clusters of 64 KiB */
#define MAX_REPORTS 1000000u      /* lines */

struct count {
	struct qcow2 *q;
	struct image_check *result;
	u32 **chunks;
	u64 clusters, chunk_count, made; /* clusters: of the file */
	u64 *seen;                       /* bits: L2 tables of the L1 table that is being walked */
	u64 tabled;                      /* clusters of L1 tables of snapshots and of bitmaps' tables */
	u64 lines, last_host;
	bool rebuild;                    /* the refcount structure is of no use */
	bool tangled;                    /* the tables together are larger than the file */
};

__attribute__((format(printf, 2, 3))) static void say(struct count *c, const char *fmt, ...)
{
	va_list ap;

	if (!c->result->report || c->lines++ > MAX_REPORTS)
		return;
	va_start(ap, fmt);
	vfprintf(c->result->report, fmt, ap);
	va_end(ap);
	fputc('\n', c->result->report);
}

/* ---- counters ---- */
static u32 *counter(struct count *c, u64 cluster, bool make)
{
	u64 chunk = cluster / CHUNK;

	if (chunk >= c->chunk_count)
		return NULL;
	if (!c->chunks[chunk]) {
		if (!make || c->made >= MAX_CHUNKS)
			return NULL;
		c->chunks[chunk] = err_alloc(CHUNK * sizeof **c->chunks);
		c->made++;
	}
	return &c->chunks[chunk][cluster % CHUNK];
}

static u64 counted(struct count *c, u64 cluster)
{
	const u32 *n = counter(c, cluster, false);

	return n ? *n : 0;
}

/* false: behind the end of the file. */
static bool refer(struct count *c, u64 offset, u64 bytes, const char *what)
{
	u64 bits = c->q->cluster_bits, first = offset >> bits, last;

	if (!bytes)
		return true;
	last = (offset + bytes - 1) >> bits;
	if (offset + bytes < offset || last >= c->clusters) {
		say(c, "ERROR: %s at %#" PRIx64 " lies behind the end of the file", what, offset);
		c->result->corruptions++;
		return false;
	}
	for (u64 i = first; i <= last; i++) {
		u32 *n = counter(c, i, true);
		if (!n)
			c->result->errors++;
		else if (*n < UINT32_MAX)
			++*n;
	}
	return true;
}

static int stopped(void)
{
	char who[64];

	return err_end_signal(who, sizeof who) ? ECANCELED : 0;
}

/* A table that somebody else's cluster is part of is not read: its entries would be counted twice, or are none. All tables
 * together fit into the file, unless it was made to keep us busy: then there is no point in going on. */
static int new_table(struct count *c, u64 offset, u64 bytes, bool *is_new)
{
	u64 bits = c->q->cluster_bits, end = bytes ? MIN((offset + bytes - 1) >> bits, c->clusters - 1) + 1 : 0;

	*is_new = true;
	for (u64 i = offset >> bits; i < end && *is_new; i++) {
		if (c->tabled++ >= c->clusters) {
			c->tangled = true;
			return EUCLEAN;
		}
		*is_new = !counted(c, i);
	}
	return stopped();
}

/* ---- references ---- */
static void refer_entry(struct count *c, u64 entry, bool active)
{
	struct qcow2 *q = c->q;
	enum qcow2_kind kind = image_qcow2_kind(q, entry);
	u64 offset = entry & QCOW2_OFFSET;
	u32 bytes;

	switch (kind) {
	case QCOW2_PACKED:
		image_qcow2_packed(q, entry, &offset, &bytes);
		if (entry & QCOW2_COPIED) {
			say(c, "ERROR: compressed cluster at %#" PRIx64 " is marked as writable", offset);
			c->result->corruptions++;
		}
		refer(c, offset & ~511ull, bytes + (offset & 511), "compressed data");
		if (active)
			c->result->compressed++, c->result->allocated++, c->result->fragmented++;
		break;
	case QCOW2_NORMAL:
	case QCOW2_ZERO_ALLOC:
		if (!qcow2_aligned(q, offset)) {
			say(c, "ERROR: data at the impossible offset %#" PRIx64, offset);
			c->result->corruptions++;
			break;
		}
		refer(c, offset, q->cluster_size, "data");
		if (active) {
			c->result->allocated++;
			if (c->last_host && offset != c->last_host + q->cluster_size)
				c->result->fragmented++;
			c->last_host = offset;
		}
		break;
	default:
		break;
	}
}

/* Each L2 table once in an L1 table, so that no file can keep us busy for longer than what it really holds asks. */
static bool first_time(struct count *c, u64 cluster)
{
	u64 bit = BIT(cluster % 64);

	if (cluster >= c->clusters || c->seen[cluster / 64] & bit)
		return false;
	c->seen[cluster / 64] |= bit;
	return true;
}

static void forget_seen(struct count *c, const u64 *l1, u32 size)
{
	for (u32 i = 0; i < size; i++) {
		u64 cluster = (l1[i] & QCOW2_OFFSET) >> c->q->cluster_bits;
		if (cluster < c->clusters)
			c->seen[cluster / 64] &= ~BIT(cluster % 64);
	}
}

/* What is a hole in the file costs no reading: sparse files can be of any size. */
static bool is_hole(const struct qcow2 *q, u64 offset)
{
	off_t data = lseek(q->image.fd, (off_t)offset, SEEK_DATA);

	return data >= 0 ? (u64)data >= offset + q->cluster_size : errno == ENXIO;
}

static int walk_l1(struct count *c, const u64 *l1, u32 size, bool active)
{
	struct qcow2 *q = c->q;
	u8 *table = err_alloc(q->cluster_size);
	int error = 0;

	for (u32 i = 0; i < size && !error; i++) {
		u64 offset = l1[i] & QCOW2_OFFSET;
		if (!offset)
			continue;
		if (!qcow2_aligned(q, offset)) {
			say(c, "ERROR: L2 table at the impossible offset %#" PRIx64, offset);
			c->result->corruptions++;
			continue;
		}
		if (!refer(c, offset, q->cluster_size, "L2 table"))
			continue;
		if (!first_time(c, offset >> q->cluster_bits)) {
			say(c, "ERROR: L2 table at %#" PRIx64 " is used twice", offset);
			c->result->corruptions++;
			c->result->errors++; /* nothing that we could put right */
			continue;
		}
		error = stopped();
		if (error || is_hole(q, offset))
			continue;
		error = image_file_read(q->image.fd, offset, table, q->cluster_size);
		for (u64 k = 0; k < BIT(q->l2_bits) && !error; k++)
			refer_entry(c, qcow2_get64(table + k * 8), active);
	}
	forget_seen(c, l1, size);
	free(table);
	return error;
}

static int walk_snapshots(struct count *c)
{
	struct qcow2 *q = c->q;
	int error = 0;

	if (q->snapshot_count)
		refer(c, q->snapshots_offset, q->snapshot_bytes, "snapshot table");
	for (u32 i = 0; i < q->snapshot_count && !error; i++) {
		const struct qcow2_snapshot *s = &q->snapshots[i];
		bool is_new;
		u64 *l1;

		error = new_table(c, s->l1_offset, s->l1_size * 8ull, &is_new);
		if (error)
			break;
		if (!is_new) {
			say(c, "ERROR: L1 table of snapshot %u at %#" PRIx64 " is used otherwise", i, s->l1_offset);
			c->result->corruptions++;
			c->result->errors++;
			continue;
		}
		refer(c, s->l1_offset, s->l1_size * 8ull, "L1 table of a snapshot");
		l1 = err_alloc(s->l1_size * 8ull);
		error = image_file_read(q->image.fd, s->l1_offset, l1, s->l1_size * 8ull);
		for (u32 k = 0; k < s->l1_size; k++)
			l1[k] = __builtin_bswap64(l1[k]);
		if (!error)
			error = walk_l1(c, l1, s->l1_size, false);
		free(l1);
	}
	return error;
}

/* One bitmap of the directory: its table and its data. */
static int walk_bitmap(struct count *c, u64 offset, u32 entries)
{
	struct qcow2 *q = c->q;
	const u64 end = offset + entries * 8ull;
	bool is_new;
	int error = new_table(c, offset, entries * 8ull, &is_new);
	u8 *table;

	if (error)
		return error;
	if (!is_new) {
		say(c, "ERROR: bitmap table at %#" PRIx64 " is used otherwise", offset);
		c->result->corruptions++;
		c->result->errors++;
		return 0;
	}
	if (!refer(c, offset, entries * 8ull, "bitmap table"))
		return 0;
	table = err_alloc(q->cluster_size);
	for (u64 at = offset; at < end && !error; at += q->cluster_size) {
		const u32 len = (u32)MIN(end - at, (u64)q->cluster_size);

		error = stopped();
		if (error || is_hole(q, at))
			continue;
		error = image_file_read(q->image.fd, at, table, len);
		for (u32 i = 0; i < len && !error; i += 8)
			if (qcow2_get64(table + i) & QCOW2_OFFSET)
				refer(c, qcow2_get64(table + i) & QCOW2_OFFSET, q->cluster_size, "bitmap");
	}
	free(table);
	return error;
}

static int walk_directory(struct count *c, u64 offset, u64 size)
{
	u8 *directory = err_alloc(size);
	int error = image_file_read(c->q->image.fd, offset, directory, size);

	for (u64 done = 0; done + 24 <= size && !error;) {
		const u8 *entry = directory + done;

		error = walk_bitmap(c, qcow2_get64(entry), qcow2_get32(entry + 8));
		done += (24ull + (u64)(entry[18] << 8 | entry[19]) + qcow2_get32(entry + 20) + 7) & ~7ull;
	}
	free(directory);
	return error;
}

static int walk_bitmaps(struct count *c)
{
	struct qcow2 *q = c->q;
	u32 at = image_qcow2_extensions_start(q), type, len;
	const u8 *data;

	if (q->version < 3 || !(q->autoclear & QCOW2_BITMAPS))
		return 0;
	while (image_qcow2_next_extension(q, &at, image_qcow2_extensions_end(q), &type, &data, &len)) {
		u64 size, offset;

		if (type != QCOW2_EXT_BITMAPS || len < 24)
			continue;
		size = qcow2_get64(data + 8);
		offset = qcow2_get64(data + 16);
		if (size > 64u << 20 || !refer(c, offset, size, "bitmap directory"))
			return 0;
		return walk_directory(c, offset, size); /* there is only one */
	}
	return 0;
}

/* The refcount structure: is it sound enough to be put right in place? */
static void walk_blocks(struct count *c)
{
	struct qcow2 *q = c->q;

	if (!q->reftable) {
		say(c, "ERROR: the refcount table is of no use");
		c->result->corruptions++;
		c->rebuild = true;
		return;
	}
	for (u64 i = 0; i < q->reftable_clusters; i++)
		if (counted(c, (q->reftable_offset >> q->cluster_bits) + i)) {
			say(c, "ERROR: the refcount table is used otherwise");
			c->result->corruptions++;
			c->rebuild = true;
			return;
		}
	for (u64 i = 0; i < q->reftable_size; i++) {
		u64 offset = q->reftable[i] & QCOW2_REFTABLE_OFFSET, cluster = offset >> q->cluster_bits;
		bool table = cluster - (q->reftable_offset >> q->cluster_bits) < q->reftable_clusters;
		if (!offset)
			continue;
		if (!qcow2_aligned(q, offset) || cluster >= c->clusters || counted(c, cluster) || table) {
			say(c, "ERROR: refcount block %" PRIu64 " at the impossible offset %#" PRIx64, i, offset);
			c->result->corruptions++;
			c->rebuild = true;
			continue;
		}
		refer(c, offset, q->cluster_size, "refcount block");
	}
	refer(c, q->reftable_offset, (u64)q->reftable_clusters << q->cluster_bits, "refcount table");
}

static void forget_counts(struct count *c)
{
	for (u64 i = 0; i < c->chunk_count; i++) {
		free(c->chunks[i]);
		c->chunks[i] = NULL;
	}
	c->made = 0;
}

static int count_all(struct count *c)
{
	struct qcow2 *q = c->q;
	int error;

	c->tabled = 0;
	refer(c, 0, q->cluster_size, "header");
	refer(c, q->l1_offset, q->l1_size * 8ull, "L1 table");
	error = walk_l1(c, q->l1, q->l1_size, true);
	if (!error)
		error = walk_snapshots(c);
	return error ? error : walk_bitmaps(c);
}

/* ---- comparing ---- */
static u64 max_count(const struct qcow2 *q)
{
	return q->refcount_order == 6 ? ~0ull : BIT(1u << q->refcount_order) - 1;
}

/* One count against its references; true if it is to be changed. */
static bool compare(struct count *c, u64 cluster, u64 refcount)
{
	struct image_check *r = c->result;
	u64 references = counted(c, cluster);
	bool leak = refcount > references, fix = leak ? r->fix_leaks || r->fix_all : r->fix_all;

	if (refcount == references || cluster >= c->clusters) /* what is not there cannot be lost */
		return false;
	if (references > max_count(c->q)) {
		r->errors++;
		fix = false;
	}
	say(c, "%s cluster %" PRIu64 " refcount=%" PRIu64 " reference=%" PRIu64, fix ? "Repairing" : leak ? "Leaked" : "ERROR", cluster,
	    refcount, references);
	if (leak) {
		r->leaks++;
		r->leaks_fixed += fix;
	} else {
		r->corruptions++;
		r->corruptions_fixed += fix;
	}
	return fix;
}

static int compare_range(struct count *c, u64 range, u8 *block)
{
	struct qcow2 *q = c->q;
	u64 offset = range < q->reftable_size ? q->reftable[range] & QCOW2_REFTABLE_OFFSET : 0, n = BIT(q->block_bits);
	bool change = false;
	int error = 0;

	if (offset)
		error = image_file_read(q->image.fd, offset, block, q->cluster_size);
	for (u64 i = 0; i < n && !error; i++) {
		u64 cluster = range * n + i, count = offset ? image_qcow2_block_get(block, i, q->refcount_order) : 0;
		if (!offset && counted(c, cluster))
			c->rebuild = true;
		if (offset && compare(c, cluster, count)) {
			image_qcow2_block_put(block, i, q->refcount_order, counted(c, cluster));
			change = true;
		} else if (!offset && counted(c, cluster)) {
			compare(c, cluster, 0);
		}
	}
	return change && !error ? image_file_write(q->image.fd, offset, block, q->cluster_size) : error;
}

static bool range_used(struct count *c, u64 range)
{
	u64 end = MIN((range + 1) << c->q->block_bits, c->clusters);

	for (u64 i = range << c->q->block_bits; i < end; i++) {
		if (!c->chunks[i / CHUNK])
			i |= CHUNK - 1; /* none in all of it */
		else if (c->chunks[i / CHUNK][i % CHUNK])
			return true;
	}
	return false;
}

static int compare_all(struct count *c)
{
	struct qcow2 *q = c->q;
	u64 ranges = MAX(q->reftable_size, (c->clusters >> q->block_bits) + 1);
	u8 *block = err_alloc(q->cluster_size);
	int error = 0;

	for (u64 i = 0; i < ranges && !error && !(error = stopped()); i++)
		if ((i < q->reftable_size && q->reftable[i] & QCOW2_REFTABLE_OFFSET) || range_used(c, i))
			error = compare_range(c, i, block);
	free(block);
	return error;
}

/* ---- a new refcount structure behind everything else ---- */
struct rebuilt {
	u64 first, blocks, table, ranges; /* clusters; ranges: entries of the table that matter */
};

static bool in_new(const struct rebuilt *n, u64 cluster)
{
	return cluster >= n->first && cluster < n->first + n->blocks + n->table;
}

static bool range_wanted(struct count *c, const struct rebuilt *n, u64 range)
{
	u64 bits = c->q->block_bits;

	return range_used(c, range) || (range >= n->first >> bits && range <= (n->first + n->blocks + n->table - 1) >> bits);
}

static struct rebuilt plan_rebuilt(struct count *c)
{
	struct qcow2 *q = c->q;
	struct rebuilt n = {.first = c->clusters, .blocks = 1, .table = 1};

	for (;;) {
		u64 blocks = 0, table;
		n.ranges = ((n.first + n.blocks + n.table - 1) >> q->block_bits) + 1;
		for (u64 i = 0; i < n.ranges; i++)
			blocks += range_wanted(c, &n, i);
		table = qcow2_clusters(q, n.ranges * 8);
		if (blocks <= n.blocks && table <= n.table)
			return n;
		n.blocks = MAX(blocks, n.blocks);
		n.table = MAX(table, n.table);
	}
}

static int rebuild(struct count *c)
{
	struct qcow2 *q = c->q;
	struct rebuilt n = plan_rebuilt(c);
	u64 at = n.first;
	u8 *block, *table;
	int error = 0;

	if (n.table << q->cluster_bits > QCOW2_MAX_REFTABLE)
		return EFBIG;
	block = err_alloc(q->cluster_size);
	table = err_alloc(n.table << q->cluster_bits);
	for (u64 i = 0; i < n.ranges && !error; i++) {
		if (!range_wanted(c, &n, i))
			continue;
		memset(block, 0, q->cluster_size);
		for (u64 k = 0; k < BIT(q->block_bits); k++) {
			u64 cluster = (i << q->block_bits) + k, count = in_new(&n, cluster) ? 1 : counted(c, cluster);
			if (count > max_count(q))
				c->result->errors++;
			image_qcow2_block_put(block, k, q->refcount_order, MIN(count, max_count(q)));
		}
		qcow2_put64(table + i * 8, at << q->cluster_bits);
		error = image_file_write(q->image.fd, at++ << q->cluster_bits, block, q->cluster_size);
	}
	/* unused blocks of the plan are counted; they are leaks at worst */
	if (!error)
		error = image_file_write(q->image.fd, (n.first + n.blocks) << q->cluster_bits, table, n.table << q->cluster_bits);
	if (!error)
		error = image_sync(&q->image);
	if (!error)
		error = image_qcow2_put_reftable(q, (n.first + n.blocks) << q->cluster_bits, (u32)n.table);
	free(block);
	free(table);
	return error;
}

/* ---- COPIED marks of the active tables ---- */
static bool mark_wrong(struct count *c, u64 *entry, const char *what)
{
	u64 offset = *entry & QCOW2_OFFSET;
	bool fix = c->result->fix_all, single = counted(c, offset >> c->q->cluster_bits) == 1;

	if (!qcow2_aligned(c->q, offset) || !!(*entry & QCOW2_COPIED) == single)
		return false;
	say(c, "%s %s at %#" PRIx64 ": copied mark is wrong", fix ? "Repairing" : "ERROR", what, offset);
	c->result->corruptions++;
	c->result->corruptions_fixed += fix;
	*entry ^= QCOW2_COPIED;
	return fix;
}

static int check_l2_marks(struct count *c, u64 offset, u8 *table)
{
	struct qcow2 *q = c->q;
	bool change = false;
	int error = stopped();

	if (error || is_hole(q, offset))
		return error;
	error = image_file_read(q->image.fd, offset, table, q->cluster_size);
	for (u64 k = 0; k < BIT(q->l2_bits) && !error; k++) {
		u64 entry = qcow2_get64(table + k * 8);
		enum qcow2_kind kind = image_qcow2_kind(q, entry);
		if ((kind == QCOW2_NORMAL || kind == QCOW2_ZERO_ALLOC) && mark_wrong(c, &entry, "data")) {
			qcow2_put64(table + k * 8, entry);
			change = true;
		} else if (kind == QCOW2_PACKED && entry & QCOW2_COPIED && c->result->fix_all) { /* counted as found before */
			qcow2_put64(table + k * 8, entry & ~QCOW2_COPIED);
			c->result->corruptions_fixed++;
			change = true;
		}
	}
	return change && !error ? image_file_write(q->image.fd, offset, table, q->cluster_size) : error;
}

static int check_marks(struct count *c)
{
	struct qcow2 *q = c->q;
	u8 *table = err_alloc(q->cluster_size), raw[8];
	int error = 0;

	for (u32 i = 0; i < q->l1_size && !error; i++) {
		u64 offset = q->l1[i] & QCOW2_OFFSET;
		if (!offset || !qcow2_aligned(q, offset) || !first_time(c, offset >> q->cluster_bits))
			continue;
		if (mark_wrong(c, &q->l1[i], "L2 table")) {
			qcow2_put64(raw, q->l1[i]);
			error = image_file_write(q->image.fd, q->l1_offset + i * 8ull, raw, 8);
		}
		if (!error)
			error = check_l2_marks(c, offset, table);
	}
	free(table);
	return error;
}

/* ---- all of it ---- */
static void find_end(struct count *c)
{
	u64 last = 0;

	for (u64 chunk = c->chunk_count; chunk-- > 0 && !last;)
		for (u64 k = CHUNK; c->chunks[chunk] && k-- > 0 && !last;)
			if (c->chunks[chunk][k])
				last = chunk * CHUNK + k + 1;
	c->result->end = last << c->q->cluster_bits;
}

static int run(struct count *c)
{
	struct qcow2 *q = c->q;
	struct image_check *r = c->result;
	u64 was;
	int error = count_all(c);

	if (error)
		return error;
	walk_blocks(c);
	if (!c->rebuild)
		error = compare_all(c);
	if (c->rebuild && r->fix_all && !error) {
		struct image_check scratch = {0};
		/* without the old structure */
		forget_counts(c);
		c->result = &scratch;
		error = count_all(c);
		c->result = r;
		was = r->errors;
		if (!error)
			error = rebuild(c);
		if (!error && r->errors == was) {
			say(c, "Repairing: the refcount structure was written anew");
			r->corruptions_fixed = r->corruptions - scratch.corruptions;
			r->leaks_fixed = r->leaks;
		}
	}
	if (!error)
		error = check_marks(c);
	find_end(c);
	if (!error && (r->fix_all || r->fix_leaks))
		error = image_sync(&q->image);
	return error;
}

bool image_qcow2_check(struct image *image, struct image_check *r, struct err *err)
{
	struct qcow2 *q = (struct qcow2 *)image;
	struct count c = {.q = q, .result = r};
	bool device, fix = r->fix_all || r->fix_leaks;
	int error;

	if (!image_file_size(image->fd, &image->host_size, &device))
		return err_set(err, EXIT_FILE, "cannot get the size of %s: %s", image->file, strerror(errno));
	c.clusters = qcow2_clusters(q, image->host_size);
	if (c.clusters > MAX_CLUSTERS)
		return err_set(err, EXIT_FILE, "%s is too large to be checked", image->file);
	c.chunk_count = c.clusters / CHUNK + 1;
	c.chunks = err_alloc(c.chunk_count * sizeof *c.chunks);
	c.seen = err_alloc((c.clusters / 64 + 1) * 8);
	r->clusters = qcow2_clusters(q, image->size);
	error = run(&c);
	forget_counts(&c);
	free(c.chunks);
	free(c.seen);
	if (error)
		return err_set(err, EXIT_FILE, "cannot check %s: %s", image->file, c.tangled ? "its tables overlap" : strerror(error));
	if (!fix)
		return true;
	image_qcow2_cache_forget(&q->l2);
	image_qcow2_cache_forget(&q->blocks);
	if (!image_file_size(image->fd, &image->host_size, &device))
		return err_set(err, EXIT_FILE, "cannot get the size of %s: %s", image->file, strerror(errno));
	if (!image_qcow2_load_reftable(q, err))
		return false;
	q->host_end = image->host_size;
	if (!r->errors && r->corruptions == r->corruptions_fixed && q->incompatible & (QCOW2_DIRTY | QCOW2_CORRUPT) &&
	    image_qcow2_put_features(q, q->incompatible & ~(u64)(QCOW2_DIRTY | QCOW2_CORRUPT), q->compatible, q->autoclear))
		return err_set(err, EXIT_FILE, "cannot write %s", image->file);
	return true;
}
