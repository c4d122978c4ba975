/* SPDX-License-Identifier: MIT */
/* qcow2: compressed clusters. An entry names the byte where the data begins and how many sectors of 512 bytes it touches; the
 * data ends somewhere in the last of them. zlib: a raw deflate stream (RFC 1951) with a window of 4 KiB; zstd: one frame
 * (RFC 8878). They are read, and written by paisano-img convert; a guest that writes one gets a plain cluster. */
#include <errno.h>
#include <stdlib.h>
#include <zlib.h>
#include <zstd.h>

#include "hw/disk/image_qcow2.h"

#define WINDOW (-12) /* bits; negative: no zlib header */

void image_qcow2_packed(const struct qcow2 *q, u64 entry, u64 *offset, u32 *bytes)
{
	unsigned bits = 62 - (q->cluster_bits - 8);
	u32 sectors = (u32)((entry >> bits & (BIT(q->cluster_bits - 8) - 1)) + 1);

	*offset = entry & (BIT(bits) - 1) & (BIT(QCOW2_OFFSET_BITS) - 1);
	*bytes = sectors * 512 - (u32)(*offset & 511);
}

/* ---- the two methods; all of `to` must come out ---- */
static bool inflate_all(const u8 *from, size_t n, u8 *to, size_t room)
{
	z_stream z = {.next_in = (u8 *)from, .avail_in = (uInt)n, .next_out = to, .avail_out = (uInt)room};
	int result;

	if (inflateInit2(&z, -15) != Z_OK) /* whatever window it was made with */
		return false;
	result = inflate(&z, Z_FINISH);
	inflateEnd(&z);
	/* Z_BUF_ERROR: the stream goes on for its end mark, or its last bytes are padding */
	return (result == Z_STREAM_END || result == Z_BUF_ERROR) && z.avail_out == 0;
}

static bool unzstd_all(const u8 *from, size_t n, u8 *to, size_t room)
{
	ZSTD_DStream *stream = ZSTD_createDStream();
	ZSTD_inBuffer in = {from, n, 0};
	ZSTD_outBuffer out = {to, room, 0};
	size_t result = 1;

	while (stream && out.pos < room && result) {
		size_t in_was = in.pos, out_was = out.pos;
		result = ZSTD_decompressStream(stream, &out, &in);
		if (ZSTD_isError(result) || (in.pos == in_was && out.pos == out_was))
			break;
	}
	ZSTD_freeDStream(stream);
	return out.pos == room;
}

static size_t deflate_all(const u8 *from, size_t n, u8 *to, size_t room)
{
	z_stream z = {.next_in = (u8 *)from, .avail_in = (uInt)n, .next_out = to, .avail_out = (uInt)room};
	int result;

	if (deflateInit2(&z, Z_DEFAULT_COMPRESSION, Z_DEFLATED, WINDOW, 9, Z_DEFAULT_STRATEGY) != Z_OK)
		return 0;
	result = deflate(&z, Z_FINISH);
	deflateEnd(&z);
	return result == Z_STREAM_END ? room - z.avail_out : 0;
}

static size_t zstd_all(const u8 *from, size_t n, u8 *to, size_t room)
{
	size_t size = ZSTD_compress(to, room, from, n, ZSTD_CLEVEL_DEFAULT);

	return ZSTD_isError(size) ? 0 : size;
}

/* ---- reading ---- */
static int unpack(struct qcow2 *q, u64 entry, u8 *to)
{
	u64 offset;
	u32 bytes;
	bool good;
	u8 *raw;
	int error;

	image_qcow2_packed(q, entry, &offset, &bytes);
	raw = err_alloc(bytes);
	error = image_file_read(q->image.fd, offset, raw, bytes);
	if (!error) {
		good = q->compression ? unzstd_all(raw, bytes, to, q->cluster_size) : inflate_all(raw, bytes, to, q->cluster_size);
		if (!good)
			error = image_report(&q->image, EIO, "damaged compressed data at %llx", (unsigned long long)offset);
	}
	free(raw);
	return error;
}

int image_qcow2_unpack(struct qcow2 *q, u64 entry, u32 from, struct pieces *to, u32 len)
{
	int error = 0;

	pthread_mutex_lock(&q->unpack_mutex);
	if (!q->unpacked)
		q->unpacked = err_alloc(q->cluster_size);
	if (q->unpacked_entry != entry) {
		q->unpacked_entry = 0;
		error = unpack(q, entry, q->unpacked);
		if (!error)
			q->unpacked_entry = entry;
	}
	if (!error)
		pieces_put(to, q->unpacked + from, len);
	pthread_mutex_unlock(&q->unpack_mutex);
	return error;
}

/* ---- writing ---- */
static int put_packed(struct qcow2 *q, u64 guest, const u8 *packed, u32 bytes)
{
	unsigned bits = 62 - (q->cluster_bits - 8), index;
	struct qcow2_table *table;
	u64 offset, old, sectors;
	int error;

	if (q->corrupt)
		return EIO;
	error = image_qcow2_lookup(q, guest, &table, &index);
	if (!error)
		error = image_qcow2_l2_for_write(q, guest, &table);
	if (!error)
		error = image_qcow2_alloc_bytes(q, bytes, &offset);
	if (error)
		return error;
	if (offset + bytes > BIT(bits))
		error = EFBIG;
	else
		error = image_file_write(q->image.fd, offset, packed, bytes);
	if (error) {
		u64 first = offset >> q->cluster_bits, last = (offset + bytes - 1) >> q->cluster_bits;
		image_qcow2_unalloc(q, first, last - first + 1);
		q->compressed_at = 0;
		return error;
	}
	q->host_end = MAX(q->host_end, offset + bytes);
	/* the entry may have been unpacked before, when its bytes were others */
	pthread_mutex_lock(&q->unpack_mutex);
	q->unpacked_entry = 0;
	pthread_mutex_unlock(&q->unpack_mutex);
	sectors = ((offset + bytes - 1) >> 9) - (offset >> 9);
	old = qcow2_get64(table->data + index * 8);
	image_qcow2_set_entry(q, table, index, offset | sectors << bits | QCOW2_COMPRESSED);
	image_qcow2_free_entry(q, old, false);
	return 0;
}

int image_qcow2_write_compressed(struct image *image, u64 offset, const u8 *buf, size_t len)
{
	struct qcow2 *q = (struct qcow2 *)image;
	u8 *whole = err_alloc(q->cluster_size), *packed = err_alloc(q->cluster_size);
	const struct iovec v = {(void *)buf, len};
	size_t bytes;
	int error;

	memcpy(whole, buf, MIN(len, (size_t)q->cluster_size));
	bytes = q->compression ? zstd_all(whole, q->cluster_size, packed, q->cluster_size - 1)
	                       : deflate_all(whole, q->cluster_size, packed, q->cluster_size - 1);
	if (bytes) {
		pthread_mutex_lock(&q->mutex);
		error = put_packed(q, offset >> q->cluster_bits, packed, (u32)bytes);
		pthread_mutex_unlock(&q->mutex);
	} else {
		error = image_qcow2_write(image, offset, &(struct pieces){&v, 0}, len);
	}
	free(packed);
	free(whole);
	return error;
}
