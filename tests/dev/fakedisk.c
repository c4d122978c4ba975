/* SPDX-License-Identifier: MIT */
/* The disk of the device tests; see fakedisk.h. */
#include "tests/dev/fakedisk.h"

#include <errno.h>
#include <stdlib.h>

#include "hw/disk/pieces.h"

void __wrap_drive_submit(struct drive *drive, struct loop *loop, struct disk_request *request);
u64 __wrap_disk_size(const struct disk *disk);
bool __wrap_disk_read_only(const struct disk *disk);
void __wrap_disk_drain(struct disk *disk);

struct disk *fakedisk_new(u64 size)
{
	struct disk *disk = err_alloc(sizeof *disk);

	disk->size = size;
	return disk;
}

void fakedisk_free(struct disk *disk)
{
	for (unsigned i = 0; i < disk->written_count; i++)
		free(disk->written[i].data);
	free(disk);
}

/* Eight bytes that tell their place. */
static u8 pattern(u64 at)
{
	return (at / 8 * 0x9e3779b97f4a7c15ull) >> (at % 8 * 8);
}

void fakedisk_peek(const struct disk *disk, u64 offset, void *buf, u64 len)
{
	u8 *to = buf;

	for (u64 i = 0; i < len; i++)
		to[i] = pattern(offset + i);
	for (unsigned w = 0; w < disk->written_count; w++) {
		u64 start = MAX(offset, disk->written[w].offset), end = MIN(offset + len, disk->written[w].offset + disk->written[w].len);

		if (start < end)
			memcpy(to + (start - offset), disk->written[w].data + (start - disk->written[w].offset), end - start);
	}
}

static void keep(struct disk *disk, const struct disk_request *r)
{
	const struct iovec whole = {r->buf, r->len};
	struct pieces from = {r->pieces ? r->pieces : &whole, 0};

	if (disk->written_count == ARRAY_LEN(disk->written)) /* enough for every test; a fuzzer may lose old ones */
		free(disk->written[--disk->written_count].data);
	disk->written[disk->written_count].offset = r->offset;
	disk->written[disk->written_count].len = r->len;
	disk->written[disk->written_count].data = err_alloc(r->len);
	pieces_get(&from, disk->written[disk->written_count++].data, r->len);
}

static void read_out(const struct disk *disk, const struct disk_request *r)
{
	const struct iovec whole = {r->buf, r->len};
	struct pieces to = {r->pieces ? r->pieces : &whole, 0};
	u8 *data = err_alloc(r->len);

	fakedisk_peek(disk, r->offset, data, r->len);
	pieces_put(&to, data, r->len);
	free(data);
}

static int carry_out(struct disk *disk, struct disk_request *r)
{
	if (disk->fail)
		return disk->fail;
	if (r->offset > disk->size || r->len > disk->size - r->offset)
		return EIO;
	if (disk->fail_at && disk->fail_at - r->offset < r->len)
		return EIO;
	if (r->op != DISK_READ && r->op != DISK_FLUSH && disk->read_only)
		return EROFS;
	disk->longest = MAX(disk->longest, r->len);
	switch (r->op) {
	case DISK_READ:
		disk->reads++;
		disk->direct += r->pieces != NULL;
		read_out(disk, r);
		break;
	case DISK_WRITE:
		disk->writes++;
		keep(disk, r);
		break;
	case DISK_FLUSH:
		disk->flushes++;
		break;
	default:
		disk->discards++;
		disk->last_discard = r->offset;
		disk->last_discard_len = r->len;
		break;
	}
	return 0;
}

bool fakedisk_step(struct disk *disk)
{
	struct disk_request *r = disk->first;

	if (!r)
		return false;
	disk->first = r->next;
	r->error = carry_out(disk, r);
	r->done(r);
	return true;
}

void fakedisk_run(struct disk *disk)
{
	while (fakedisk_step(disk))
		;
}

/* ---- what a device calls ---- */
void __wrap_drive_submit(struct drive *drive, struct loop *loop, struct disk_request *request)
{
	struct disk_request **tail = &drive->disk->first;

	(void)loop;
	while (*tail)
		tail = &(*tail)->next;
	request->next = NULL;
	*tail = request;
}
u64 __wrap_disk_size(const struct disk *disk) { return disk->size; }
bool __wrap_disk_read_only(const struct disk *disk) { return disk->read_only; }
void __wrap_disk_drain(struct disk *disk) { fakedisk_run(disk); }

bool fakedisk_copied;
bool __wrap_clock_counts(const struct clock *clock);
bool __wrap_clock_counts(const struct clock *clock)
{
	(void)clock;
	return fakedisk_copied;
}
