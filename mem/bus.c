/* SPDX-License-Identifier: MIT */
/* The bus: dispatch of CPU and DMA access to memory, ROM and devices.
 *
 * Memory is clamped to its range: what lies above another region begins there. A device is not: the access goes whole
 * to the region of its first byte as far as that region reaches, even under a neighbour of higher priority, because
 * hardware decodes the first address (a dword at 0xcf8 is one access although 0xcf9 alone is the reset register).
 *
 * Locks: map_lock is held for lookups only, never over a callback, so a device may change the map in its own callback.
 * A device is looked up again after the machine lock was taken: until then it may have been unmapped.
 *
 * A write to watched memory tells first, then stores, then looks again: the page may have come (back) under watch
 * between the two, by a reader who saw the old bytes. */
#include "mem/bus.h"

#include "base/fence.h"
#include "mem/dirty.h"

#define MEM_LAST (BIT(52) - 1)
#define IO_LAST 0xffff

/* ---- set-up ---- */
void bus_init(struct bus *bus, struct loop *loop)
{
	*bus = (struct bus){.loop = loop, .a20_mask = ~0ull};
	map_init(&bus->mem, MEM_LAST);
	map_init(&bus->io, IO_LAST);
	pthread_mutex_init(&bus->map_lock, NULL);
	pthread_mutex_init(&bus->watch_lock, NULL);
}

void bus_free(struct bus *bus)
{
	map_free(&bus->mem);
	map_free(&bus->io);
	pthread_mutex_destroy(&bus->map_lock);
	pthread_mutex_destroy(&bus->watch_lock);
}

void bus_listen(struct bus *bus, struct bus_listener *listener)
{
	listener->next = bus->listeners;
	/* vCPUs that already run may be walking the list */
	__atomic_store_n(&bus->listeners, listener, __ATOMIC_RELEASE);
}

void bus_unlisten(struct bus *bus, struct bus_listener *listener)
{
	for (struct bus_listener **at = &bus->listeners; *at; at = &(*at)->next)
		if (*at == listener) {
			__atomic_store_n(at, listener->next, __ATOMIC_RELEASE);
			return;
		}
}

static void tell_remapped(struct bus *bus)
{
	for (struct bus_listener *l = __atomic_load_n(&bus->listeners, __ATOMIC_ACQUIRE); l; l = l->next)
		if (l->remapped)
			l->remapped(l->opaque);
}

/* ---- map changes ---- */
void bus_begin(struct bus *bus)
{
	pthread_mutex_lock(&bus->map_lock);
	map_begin(&bus->mem);
	map_begin(&bus->io);
	pthread_mutex_unlock(&bus->map_lock);
}

void bus_end(struct bus *bus)
{
	u64 version;

	pthread_mutex_lock(&bus->map_lock);
	version = bus->mem.version;
	map_end(&bus->mem);
	map_end(&bus->io);
	version -= bus->mem.version;
	pthread_mutex_unlock(&bus->map_lock);
	if (version)
		tell_remapped(bus);
}

/* map NULL: out of both. */
static void change(struct bus *bus, struct map *map, struct region *region, u64 start, int priority)
{
	bus_begin(bus);
	pthread_mutex_lock(&bus->map_lock);
	if (map != &bus->mem)
		map_remove(&bus->mem, region);
	if (map != &bus->io)
		map_remove(&bus->io, region);
	if (map)
		map_add(map, region, start, priority);
	pthread_mutex_unlock(&bus->map_lock);
	bus_end(bus);
}

void bus_map(struct bus *bus, struct region *region, u64 start, int priority)
{
	change(bus, &bus->mem, region, start, priority);
}

void bus_map_io(struct bus *bus, struct region *region, u16 start)
{
	change(bus, &bus->io, region, start, 0);
}

void bus_unmap(struct bus *bus, struct region *region)
{
	change(bus, NULL, region, 0, 0);
}

void bus_set_a20(struct bus *bus, bool open)
{
	u64 mask = open ? ~0ull : ~BIT(20);

	if (bus->a20_mask == mask)
		return;
	__atomic_store_n(&bus->a20_mask, mask, __ATOMIC_RELAXED);
	tell_remapped(bus);
}

/* ---- lookup ---- */
/* What lies at an address: a copy, good without map_lock. */
struct place {
	struct region *region; /* NULL: nothing */
	u64 offset;            /* in the region */
	u64 left;              /* bytes from here to the end of the range or gap; 0 stands for 2^64 */
	u8 *hva;               /* of memory, else NULL */
	u8 *watch;
};

static bool memory_writable(const struct region *region)
{
	return !region->readonly && !region->ram->rom;
}

static struct place look(struct bus *bus, const struct map *map, u64 addr)
{
	struct place place = {0};
	const struct map_range *range;

	pthread_mutex_lock(&bus->map_lock);
	range = map_find_from(map, addr);
	if (!range) {
		place.left = 0 - addr;
	} else if (range->first > addr) {
		place.left = range->first - addr;
	} else {
		struct region *region = range->region;
		const struct ram *ram = region->ram;

		place.region = region;
		place.offset = range->offset + (addr - range->first);
		place.left = range->last - addr + 1;
		if (ram && place.offset < ram->size && region->ram_offset < ram->size - place.offset) {
			u64 at = region->ram_offset + place.offset;

			place.hva = ram->hva + at;
			place.watch = ram->watch + (at >> PAGE_SHIFT);
			place.left = MIN(place.left - 1, ram->size - at - 1) + 1;
		}
	}
	pthread_mutex_unlock(&bus->map_lock);
	return place;
}

bool bus_page(struct bus *bus, u64 gpa, struct bus_page *page)
{
	struct place place = look(bus, &bus->mem, gpa & ~(u64)PAGE_OFFSET);

	if (!place.hva || (place.left && place.left < PAGE_SIZE) || (uintptr_t)place.hva & PAGE_OFFSET)
		return false;
	*page = (struct bus_page){place.hva, place.watch, memory_writable(place.region)};
	return true;
}

bool bus_span(struct bus *bus, u64 gpa, struct bus_span *span)
{
	const struct map_range *range;
	bool found = false;

	pthread_mutex_lock(&bus->map_lock);
	range = map_find(&bus->mem, gpa);
	if (range && range->region->ram) {
		const struct region *region = range->region;
		const struct ram *ram = region->ram;
		u64 skip = -range->first & PAGE_OFFSET; /* to the first whole page */
		u64 at = region->ram_offset + range->offset + skip;
		u64 len = range->last - range->first + 1;
		if (len > skip && at < ram->size && !(at & PAGE_OFFSET)) {
			len = MIN(len - skip, ram->size - at) & ~(u64)PAGE_OFFSET;
			*span = (struct bus_span){range->first + skip, range->first + skip + len - 1, ram->hva + at,
			                          ram->watch + (at >> PAGE_SHIFT), memory_writable(region)};
			found = len && gpa >= span->first && gpa <= span->last;
		}
	}
	pthread_mutex_unlock(&bus->map_lock);
	return found;
}

/* ---- devices ---- */
static bool lock_machine(struct bus *bus)
{
	if (!bus->loop || loop_locked(bus->loop))
		return false;
	loop_lock(bus->loop);
	loop_catch_up(bus->loop);
	return true;
}

static u64 device_read(const struct region *region, u64 offset, unsigned size)
{
	const struct region_ops *ops = region->ops;
	unsigned min = ops->min ? ops->min : 1, max = ops->max ? ops->max : 4;
	u64 value = 0;

	if (!ops->read || (size < min && region->size - offset < min))
		return mask_bytes(size);
	if (size <= max)
		return ops->read(region->opaque, offset, MAX(size, min)) & mask_bytes(size);
	for (unsigned i = 0; i < size; i += max)
		value |= (ops->read(region->opaque, offset + i, max) & mask_bytes(max)) << (i * 8);
	return value;
}

static void device_write(const struct region *region, u64 offset, u64 value, unsigned size)
{
	const struct region_ops *ops = region->ops;
	unsigned min = ops->min ? ops->min : 1, max = ops->max ? ops->max : 4;

	if (!ops->write || (size < min && region->size - offset < min))
		return;
	value &= mask_bytes(size);
	if (size <= max)
		ops->write(region->opaque, offset, value, MAX(size, min));
	for (unsigned i = 0; size > max && i < size; i += max)
		ops->write(region->opaque, offset + i, value >> (i * 8) & mask_bytes(max), max);
}

/* The largest of 1, 2, 4, 8 that is at most n. */
static unsigned power_of_two(u64 n)
{
	return n >= 8 ? 8 : n >= 4 ? 4 : n >= 2 ? 2 : 1;
}

/* How much of `size` bytes one access at this place takes. */
static unsigned piece(const struct place *place, bool device, unsigned size)
{
	u64 left = device ? place->region->size - place->offset : place->left;

	return left && left < size ? power_of_two(left) : size;
}

static bool is_device(const struct place *place, bool write)
{
	if (!place->region || !place->region->ops)
		return false;
	return !place->region->ram || (write && !memory_writable(place->region));
}

/* One piece at the device of a place, looked up before; 0 if it is gone once the lock is ours, else the bytes done. */
static unsigned device_access(struct bus *bus, const struct map *map, u64 addr, struct place *place, u64 *value,
                              unsigned size, bool write)
{
	bool locked = lock_machine(bus);

	if (locked)
		*place = look(bus, map, addr);
	if (!is_device(place, write)) {
		size = 0;
	} else {
		size = power_of_two(piece(place, true, size));
		if (write)
			device_write(place->region, place->offset, *value, size);
		else
			*value = device_read(place->region, place->offset, size);
	}
	if (locked)
		loop_unlock(bus->loop);
	return size;
}

/* ---- memory ---- */
/* Aligned accesses are atomic, as on hardware: other CPUs and devices use the same memory without a lock. */
static u64 load_sized(const u8 *p, unsigned size)
{
	bool aligned = !((uintptr_t)p & (size - 1));

	switch (size) {
	case 1: return __atomic_load_n(p, __ATOMIC_RELAXED);
	case 2: return aligned ? __atomic_load_n((const u16 *)p, __ATOMIC_RELAXED) : load16(p);
	case 4: return aligned ? __atomic_load_n((const u32 *)p, __ATOMIC_RELAXED) : load32(p);
	default: return aligned ? __atomic_load_n((const u64 *)p, __ATOMIC_RELAXED) : load64(p);
	}
}

static void store_sized(u8 *p, u64 value, unsigned size)
{
	if ((uintptr_t)p & (size - 1)) {
		memcpy(p, &value, size);
		return;
	}
	switch (size) {
	case 1: __atomic_store_n(p, (u8)value, __ATOMIC_RELAXED); break;
	case 2: __atomic_store_n((u16 *)p, (u16)value, __ATOMIC_RELAXED); break;
	case 4: __atomic_store_n((u32 *)p, (u32)value, __ATOMIC_RELAXED); break;
	default: __atomic_store_n((u64 *)p, value, __ATOMIC_RELAXED); break;
	}
}

static void memory_write(struct bus *bus, const struct place *place, u64 value, unsigned size)
{
	if (unlikely(__atomic_load_n(place->watch, __ATOMIC_RELAXED)))
		dirty_write(bus, place->hva, place->watch, size);
	store_sized(place->hva, value, size);
	fence_full();
	if (unlikely(__atomic_load_n(place->watch, __ATOMIC_RELAXED)))
		dirty_write(bus, place->hva, place->watch, size);
}

/* One piece at addr: the bytes done. `size` is 1..8. */
static unsigned access_piece(struct bus *bus, const struct map *map, u64 addr, u64 *value, unsigned size, bool write)
{
	struct place place = look(bus, map, addr);
	u64 room;

	if (is_device(&place, write)) {
		unsigned done = device_access(bus, map, addr, &place, value, size, write);

		if (done)
			return done;
	}
	size = power_of_two(piece(&place, false, size));
	if (!place.hva) {
		*value = mask_bytes(size);
		return size;
	}
	room = PAGE_SIZE - ((uintptr_t)place.hva & PAGE_OFFSET);
	if (size > room)
		size = power_of_two(room);
	if (!write)
		*value = load_sized(place.hva, size);
	else if (memory_writable(place.region))
		memory_write(bus, &place, *value, size);
	return size;
}

static u64 read_pieces(struct bus *bus, const struct map *map, u64 addr, unsigned size)
{
	u64 value = 0;

	for (unsigned i = 0; i < size;) {
		u64 part = 0;
		unsigned done = access_piece(bus, map, addr + i, &part, size - i, false);

		value |= part << (i * 8);
		i += done;
	}
	return value;
}

static void write_pieces(struct bus *bus, const struct map *map, u64 addr, u64 value, unsigned size)
{
	for (unsigned i = 0; i < size;) {
		u64 part = value >> (i * 8);

		i += access_piece(bus, map, addr + i, &part, size - i, true);
	}
}

u64 bus_read(struct bus *bus, u64 gpa, unsigned size)
{
	return read_pieces(bus, &bus->mem, gpa, size);
}

void bus_write(struct bus *bus, u64 gpa, u64 value, unsigned size)
{
	write_pieces(bus, &bus->mem, gpa, value, size);
}

u32 bus_in(struct bus *bus, u16 port, unsigned size)
{
	return (u32)read_pieces(bus, &bus->io, port, size);
}

void bus_out(struct bus *bus, u16 port, u32 value, unsigned size)
{
	write_pieces(bus, &bus->io, port, value, size);
}

/* ---- DMA ---- */
/* Bytes that one step of a transfer covers; 0 in `left` of the place stands for 2^64. */
static u64 step(const struct place *place, u64 len)
{
	return place->left && place->left < len ? place->left : len;
}

static u64 cut_to_space(u64 gpa, u64 len)
{
	return gpa && len > 0 - gpa ? 0 - gpa : len;
}

bool bus_dma_read(struct bus *bus, u64 gpa, void *buf, u64 len)
{
	bool all = true;
	u8 *to = buf;
	u64 n, end = len;

	len = cut_to_space(gpa, len);
	memset(to + len, 0xff, end - len);
	all = len == end;
	for (; len; len -= n, gpa += n, to += n) {
		struct place place = look(bus, &bus->mem, gpa);

		n = step(&place, len);
		if (place.hva) {
			memcpy(to, place.hva, n);
		} else {
			memset(to, 0xff, n);
			all = false;
		}
	}
	return all;
}

/* Memory that one range covers was written: page by page for the watch bytes. */
static void wrote(struct bus *bus, u8 *hva, u8 *watch, u64 len)
{
	u64 n;

	fence_full();
	for (; len; len -= n, hva += n, watch++) {
		n = MIN(len, PAGE_SIZE - ((uintptr_t)hva & PAGE_OFFSET));
		if (__atomic_load_n(watch, __ATOMIC_RELAXED))
			dirty_write(bus, hva, watch, (unsigned)n);
	}
}

static bool dma_write(struct bus *bus, u64 gpa, const void *buf, u64 len, bool rom)
{
	const u8 *from = buf;
	bool all = true;
	u64 n, end = len;

	len = cut_to_space(gpa, len);
	all = len == end;
	for (; len; len -= n, gpa += n, from += n) {
		struct place place = look(bus, &bus->mem, gpa);

		n = step(&place, len);
		if (place.hva && (rom || memory_writable(place.region))) {
			memcpy(place.hva, from, n);
			wrote(bus, place.hva, place.watch, n);
		} else {
			all = false;
		}
	}
	return all;
}

bool bus_dma_map(struct bus *bus, u64 gpa, u64 len, bool write, struct bus_piece *piece)
{
	struct place place = look(bus, &bus->mem, gpa);

	if (!place.hva || (write && !memory_writable(place.region)))
		return false;
	*piece = (struct bus_piece){place.hva, place.watch, step(&place, cut_to_space(gpa, len))};
	return true;
}

void bus_dma_wrote(struct bus *bus, const struct bus_piece *piece)
{
	wrote(bus, piece->hva, piece->watch, piece->len);
}

bool bus_dma_write(struct bus *bus, u64 gpa, const void *buf, u64 len)
{
	return dma_write(bus, gpa, buf, len, false);
}

bool bus_load(struct bus *bus, u64 gpa, const void *buf, u64 len)
{
	return dma_write(bus, gpa, buf, len, true);
}
