/* SPDX-License-Identifier: MIT */
/* Disks of the machine fuzzers: MEMORY bytes, again and again up to the size that the disk says it has. Requests complete when the
 * input says so. Takes the place of hw/disk/disk.c by the linker's --wrap (CMakeLists.txt). */
#include <errno.h>
#include <stdlib.h>

#include "hw/disk/pieces.h"
#include "tests/fuzz/machine.h"

#define MEMORY (128u << 10)
#define CHUNK 4096u

struct disk {
	u64 size;
	bool read_only;
	int fail;
	struct disk_request *first, **last;
	u8 *data;
	bool touched[MEMORY / CHUNK];
};

void __wrap_disk_submit(struct disk *disk, struct disk_request *request);
void __wrap_disk_drain(struct disk *disk);
u64 __wrap_disk_size(const struct disk *disk);
bool __wrap_disk_read_only(const struct disk *disk);
bool __wrap_disk_close(struct disk *disk);
bool __wrap_clock_counts(const struct clock *clock);

static u8 pristine(u32 at)
{
	return at >> 9 ^ at * 7;
}

struct disk *memdisk_new(u64 size, bool read_only)
{
	struct disk *disk = err_alloc(sizeof *disk);

	disk->size = size;
	disk->read_only = read_only;
	disk->last = &disk->first;
	disk->data = err_alloc(MEMORY);
	memset(disk->touched, true, sizeof disk->touched);
	memdisk_restore(disk);
	return disk;
}

void memdisk_free(struct disk *disk)
{
	free(disk->data);
	free(disk);
}

void memdisk_restore(struct disk *disk)
{
	__wrap_disk_drain(disk);
	disk->fail = 0;
	for (u32 i = 0; i < ARRAY_LEN(disk->touched); i++) {
		for (u32 at = i * CHUNK; disk->touched[i] && at < (i + 1) * CHUNK; at++)
			disk->data[at] = pristine(at);
		disk->touched[i] = false;
	}
}

void memdisk_fail(struct disk *disk, int error)
{
	disk->fail = error;
}

static int carry_out(struct disk *disk, struct disk_request *r)
{
	const struct iovec whole = {r->buf, r->len};
	struct pieces memory = {r->pieces ? r->pieces : &whole, 0};

	if (r->op == DISK_FLUSH)
		return disk->fail;
	if (r->offset > disk->size || r->len > disk->size - r->offset)
		return EIO;
	if (r->op != DISK_READ && disk->read_only)
		return EROFS;
	for (u64 done = 0, n; !disk->fail && done < r->len; done += n) {
		u64 at = (r->offset + done) % MEMORY;

		n = MIN(r->len - done, CHUNK - at % CHUNK);
		if (r->op != DISK_READ)
			disk->touched[at / CHUNK] = true;
		if (r->op == DISK_READ)
			pieces_put(&memory, disk->data + at, n);
		else if (r->op == DISK_WRITE)
			pieces_get(&memory, disk->data + at, n);
		else
			memset(disk->data + at, 0, n);
	}
	return disk->fail;
}

void memdisk_step(struct disk *disk, unsigned n)
{
	while (n-- && disk->first) {
		struct disk_request *r = disk->first;

		disk->first = r->next;
		if (!r->next)
			disk->last = &disk->first;
		r->error = carry_out(disk, r);
		r->done(r);
	}
}

/* ---- what devices call ---- */
void __wrap_disk_submit(struct disk *disk, struct disk_request *request)
{
	request->next = NULL;
	*disk->last = request;
	disk->last = &request->next;
}
void __wrap_disk_drain(struct disk *disk)
{
	while (disk->first)
		memdisk_step(disk, 1);
}
u64 __wrap_disk_size(const struct disk *disk) { return disk->size; }
bool __wrap_disk_read_only(const struct disk *disk) { return disk->read_only; }
bool __wrap_disk_close(struct disk *disk) /* they belong to the machine */
{
	__wrap_disk_drain(disk);
	return true;
}
