/* SPDX-License-Identifier: MIT */
/* Guest RAM and ROM blocks.
 *
 * A block is reserved whole and committed by touch, and so are its watch bytes and dirty bits: a guest of a terabyte
 * costs what it uses. Large blocks start on a huge-page boundary and ask for huge pages.
 *
 * Invariant: all blocks are in one list, the catalogue of host memory that is guest memory (ram_find). */
#define _GNU_SOURCE /* memfd_create, MADV_HUGEPAGE */
#include "mem/ram.h"

#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/hostfile.h"

#define HUGE_PAGE (2ull << 20)
#define HUGE_MIN (16 * HUGE_PAGE) /* smaller blocks are not worth a huge page's rounding */
#define MINCORE_CHUNK (1ull << 30)

static struct ram *blocks;
static pthread_mutex_t blocks_lock = PTHREAD_MUTEX_INITIALIZER;

static void *reserve(u64 size, int fd)
{
	int flags = MAP_NORESERVE | (fd >= 0 ? MAP_SHARED : MAP_PRIVATE | MAP_ANONYMOUS);

	if ((size_t)size != size || size > (u64)PTRDIFF_MAX) {
		errno = ENOMEM;
		return MAP_FAILED;
	}
	return mmap(NULL, (size_t)size, PROT_READ | PROT_WRITE, flags, fd, 0);
}

/* On a huge-page boundary: reserve more, map over the aligned part, give back both ends. */
static void *reserve_aligned(u64 size, int fd)
{
	u64 room = size + HUGE_PAGE;
	u8 *all, *at;

	if (room < size)
		return reserve(size, fd); /* fails, with the reason */
	all = mmap(NULL, (size_t)room, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (all == MAP_FAILED)
		return MAP_FAILED;
	at = (u8 *)(((uintptr_t)all + HUGE_PAGE - 1) & ~(uintptr_t)(HUGE_PAGE - 1));
	if (mmap(at, (size_t)size, PROT_READ | PROT_WRITE,
	         MAP_FIXED | MAP_NORESERVE | (fd >= 0 ? MAP_SHARED : MAP_PRIVATE | MAP_ANONYMOUS), fd, 0) == MAP_FAILED) {
		int saved_errno = errno;

		munmap(all, (size_t)room);
		errno = saved_errno;
		return MAP_FAILED;
	}
	if (at > all)
		munmap(all, (size_t)(at - all));
	if (at + size < all + room)
		munmap(at + size, (size_t)(all + room - (at + size)));
	return at;
}

static void size_text(char *text, size_t n, u64 bytes)
{
	static const char units[][4] = {"B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
	unsigned u = 0;

	while (u + 1 < ARRAY_LEN(units) && bytes >= 1024 && bytes % 1024 == 0) {
		bytes /= 1024;
		u++;
	}
	snprintf(text, n, "%" PRIu64 " %s", bytes, units[u]);
}

static bool allocate(struct ram *ram, bool shared)
{
	u64 pages = ram->size >> PAGE_SHIFT;

	if (shared) {
		if (ram->size > (u64)INT64_MAX) {
			errno = EFBIG;
			return false;
		}
		ram->fd = memfd_create(ram->name, MFD_CLOEXEC);
		if (ram->fd < 0 || ftruncate(ram->fd, (off_t)ram->size) < 0)
			return false;
	}
	ram->hva = ram->size >= HUGE_MIN ? reserve_aligned(ram->size, ram->fd) : reserve(ram->size, ram->fd);
	if (ram->hva == MAP_FAILED)
		return false;
	ram->watch = reserve(pages, -1);
	if (ram->watch == MAP_FAILED)
		return false;
	ram->dirty = reserve((pages + 63) / 64 * 8, -1);
	if (ram->dirty == MAP_FAILED)
		return false;
	ram->holders = reserve(pages, -1);
	if (ram->holders == MAP_FAILED)
		return false;
	madvise(ram->hva, (size_t)ram->size, MADV_DONTDUMP); /* what a guest has in memory is not for a core file */
	if (ram->size >= HUGE_MIN)
		madvise(ram->hva, (size_t)ram->size, MADV_HUGEPAGE); /* a wish */
	return true;
}

static void release(struct ram *ram)
{
	u64 pages = ram->size >> PAGE_SHIFT;

	if (ram->hva != MAP_FAILED)
		munmap(ram->hva, (size_t)ram->size);
	if (ram->watch != MAP_FAILED)
		munmap(ram->watch, (size_t)pages);
	if (ram->dirty != MAP_FAILED)
		munmap(ram->dirty, (size_t)((pages + 63) / 64 * 8));
	if (ram->holders != MAP_FAILED)
		munmap(ram->holders, (size_t)pages);
	if (ram->fd >= 0)
		close(ram->fd);
	free(ram);
}

struct ram *ram_new(const char *name, u64 size, bool rom, bool shared, struct err *err)
{
	struct ram *ram;
	char text[32];

	if (!size || size > ~0ull - PAGE_OFFSET) {
		err_set(err, EXIT_USAGE, "%s: no memory block can have %" PRIu64 " bytes", name, size);
		return NULL;
	}
	ram = err_alloc(sizeof *ram);
	ram->name = name;
	ram->size = (size + PAGE_OFFSET) & ~(u64)PAGE_OFFSET;
	ram->rom = rom;
	ram->fd = -1;
	ram->hva = ram->watch = ram->holders = MAP_FAILED;
	ram->dirty = MAP_FAILED;
	if (!allocate(ram, shared)) {
		size_text(text, sizeof text, ram->size);
		err_set(err, EXIT_HOST, "%s: the host gives no %s of memory: %s", name, text, strerror(errno));
		release(ram);
		return NULL;
	}
	pthread_mutex_lock(&blocks_lock);
	ram->next = blocks;
	blocks = ram;
	pthread_mutex_unlock(&blocks_lock);
	return ram;
}

void ram_free(struct ram *ram)
{
	if (!ram)
		return;
	pthread_mutex_lock(&blocks_lock);
	for (struct ram **at = &blocks; *at; at = &(*at)->next)
		if (*at == ram) {
			*at = ram->next;
			break;
		}
	pthread_mutex_unlock(&blocks_lock);
	release(ram);
}

struct ram *ram_find(const u8 *hva)
{
	struct ram *ram;

	pthread_mutex_lock(&blocks_lock);
	for (ram = blocks; ram; ram = ram->next)
		if ((u64)(hva - ram->hva) < ram->size)
			break;
	pthread_mutex_unlock(&blocks_lock);
	return ram;
}

u64 ram_committed(const struct ram *ram)
{
	u64 bytes = 0;
	struct stat st;
	u8 *present;

	if (ram->fd >= 0)
		return hostfile_stat(ram->fd, &st) == 0 ? (u64)st.st_blocks * 512 : 0;
	present = err_alloc(MINCORE_CHUNK >> PAGE_SHIFT);
	for (u64 at = 0; at < ram->size; at += MINCORE_CHUNK) {
		u64 len = MIN(ram->size - at, MINCORE_CHUNK);

		if (mincore(ram->hva + at, (size_t)len, present) < 0)
			continue;
		for (u64 i = 0; i < len >> PAGE_SHIFT; i++)
			bytes += present[i] & 1 ? PAGE_SIZE : 0;
	}
	free(present);
	return bytes;
}
