/* SPDX-License-Identifier: MIT */
/* Guest memory for KVM: one slot for each stretch of RAM or ROM in the flattened memory map. Everything else - devices, holes,
 * stretches that are no whole pages - comes back as an MMIO exit and is looked up on the bus. Documentation/virt/kvm/api.rst 4.35.
 *
 * The map may change at any time, in a device's callback on any thread: slots are brought up to date by whichever vCPU comes to
 * KVM_RUN first, with all others outside. So a CPU that changes the map sees the change with its next instruction.
 * RAM with a dirty log (RAM_WATCH_LOG) is logged by KVM too, and what KVM has seen is added when the log is read. Decoded code
 * (RAM_WATCH_CODE) is not watched here: a CPU that leaves KVM forgets what it had decoded. */
#include "cpu/kvm_private.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/ioctl.h>

#include "mem/dirty.h"

static void kick_all(struct kvm_vm *vm)
{
	atomic_store(&vm->stale, true);
	for (unsigned i = 0; i < KVM_CPUS_MAX; i++)
		if (vm->vcpu[i])
			kvm_vm_kick(vm->vcpu[i]);
}

static void remapped(void *opaque)
{
	struct kvm_vm *vm = opaque;

	pthread_mutex_lock(&vm->lock);
	kick_all(vm);
	pthread_mutex_unlock(&vm->lock);
}

static bool is_logged(const struct kvm_vm *vm, const struct ram *ram)
{
	for (unsigned i = 0; i < KVM_RAMS_MAX && vm->logged[i]; i++)
		if (vm->logged[i] == ram)
			return true;
	return false;
}

static bool any_logged(const struct ram *ram, u64 page, u64 pages)
{
	for (u64 i = 0; i < pages; i++)
		if (__atomic_load_n(&ram->watch[page + i], __ATOMIC_RELAXED) & RAM_WATCH_LOG)
			return true;
	return false;
}

/* Pages came under watch: if it is for a log, their block is logged from now on. */
static void protect(void *opaque, u8 *hva, u64 len)
{
	struct kvm_vm *vm = opaque;
	struct ram *ram = ram_find(hva);

	if (!ram || !any_logged(ram, (u64)(hva - ram->hva) >> PAGE_SHIFT, len >> PAGE_SHIFT))
		return;
	pthread_mutex_lock(&vm->lock);
	if (!is_logged(vm, ram))
		for (unsigned i = 0; i < KVM_RAMS_MAX; i++)
			if (!vm->logged[i]) {
				vm->logged[i] = ram;
				kick_all(vm);
				break;
			}
	pthread_mutex_unlock(&vm->lock);
}

static void take_log(struct kvm_vm *vm, unsigned index)
{
	const struct kvm_slot *slot = &vm->slot[index];
	u64 pages = slot->size >> PAGE_SHIFT;
	u64 *bits = err_alloc((pages + 63) / 64 * 8);
	struct kvm_dirty_log log = {.slot = index, .dirty_bitmap = bits};

	if (ioctl(vm->fd, KVM_GET_DIRTY_LOG, &log) == 0)
		for (u64 i = 0; i < pages; i++) {
			u8 *hva = slot->hva + (i << PAGE_SHIFT), *watch = slot->ram->watch + ((hva - slot->ram->hva) >> PAGE_SHIFT);
			if ((bits[i / 64] >> i % 64 & 1) && (__atomic_load_n(watch, __ATOMIC_RELAXED) & RAM_WATCH_LOG))
				dirty_write(vm->bus, hva, watch, PAGE_SIZE);
		}
	free(bits);
}

static void log_sync(void *opaque, struct ram *ram)
{
	struct kvm_vm *vm = opaque;

	pthread_mutex_lock(&vm->lock);
	for (unsigned i = 0; i < vm->slots; i++)
		if (vm->slot[i].size && vm->slot[i].ram == ram && (vm->slot[i].flags & KVM_MEM_LOG_DIRTY_PAGES))
			take_log(vm, i);
	pthread_mutex_unlock(&vm->lock);
}

void kvm_mem_init(struct kvm_vm *vm)
{
	vm->listener = (struct bus_listener){.remapped = remapped, .protect = protect, .log_sync = log_sync, .opaque = vm};
	atomic_store(&vm->stale, true);
	bus_listen(vm->bus, &vm->listener);
}

void kvm_mem_free(struct kvm_vm *vm)
{
	bus_unlisten(vm->bus, &vm->listener);
	free(vm->slot);
}

/* ---- slots ---- */

struct wanted {
	struct kvm_slot slot;
	bool there;
};

/* A range of the map as a slot: whole pages of it that have memory behind them. False: there are none. */
static bool slot_of(const struct kvm_vm *vm, const struct map_range *range, struct kvm_slot *slot)
{
	const struct region *region = range->region;
	struct ram *ram = region->ram;

	if (!ram || range->offset >= ram->size || region->ram_offset >= ram->size - range->offset)
		return false;
	u64 at = region->ram_offset + range->offset, gpa = range->first, len = range->last - range->first + 1;
	len = MIN(len, ram->size - at);
	u64 skip = -gpa & PAGE_OFFSET;
	if (skip >= len || ((at + skip) & PAGE_OFFSET))
		return false;
	bool rom = region->readonly || ram->rom;
	if (rom && !vm->readonly)
		return false;
	*slot = (struct kvm_slot){
		.gpa = gpa + skip, .size = (len - skip) & ~(u64)PAGE_OFFSET, .hva = ram->hva + at + skip, .ram = ram,
		.flags = (rom ? KVM_MEM_READONLY : 0) | (!rom && is_logged(vm, ram) ? KVM_MEM_LOG_DIRTY_PAGES : 0)};
	return slot->size != 0;
}

static bool same(const struct kvm_slot *a, const struct kvm_slot *b)
{
	return a->gpa == b->gpa && a->size == b->size && a->hva == b->hva && a->flags == b->flags;
}

static bool set(struct kvm_vm *vm, unsigned index)
{
	const struct kvm_slot *s = &vm->slot[index];
	struct kvm_userspace_memory_region region = {.slot = index, .flags = s->size ? s->flags : 0, .guest_phys_addr = s->gpa,
	                                             .memory_size = s->size, .userspace_addr = (uintptr_t)s->hva};

	return ioctl(vm->fd, KVM_SET_USER_MEMORY_REGION, &region) == 0;
}

static struct wanted *collect(struct kvm_vm *vm, unsigned *count)
{
	pthread_mutex_lock(&vm->bus->map_lock);
	const struct map *map = &vm->bus->mem;
	struct wanted *wanted = err_alloc((map->count + 1) * sizeof *wanted);
	*count = 0;
	for (u32 i = 0; i < map->count; i++)
		*count += slot_of(vm, &map->ranges[i], &wanted[*count].slot);
	pthread_mutex_unlock(&vm->bus->map_lock);
	return wanted;
}

static unsigned free_slot(struct kvm_vm *vm)
{
	unsigned i = 0;

	while (i < vm->slots && vm->slot[i].size)
		i++;
	if (i == vm->slots && i < vm->slots_max) {
		vm->slot = err_realloc(vm->slot, ++vm->slots * sizeof *vm->slot);
		vm->slot[i] = (struct kvm_slot){0};
	}
	return i;
}

bool kvm_mem_update(struct kvm_vm *vm)
{
	unsigned count;
	bool ok = true;

	pthread_mutex_lock(&vm->lock);
	atomic_store(&vm->stale, false);
	struct wanted *wanted = collect(vm, &count);
	for (unsigned i = 0; i < vm->slots; i++) {
		bool keep = !vm->slot[i].size;
		for (unsigned w = 0; w < count && !keep; w++)
			if (same(&vm->slot[i], &wanted[w].slot))
				keep = wanted[w].there = true;
		if (keep)
			continue;
		if (vm->slot[i].flags & KVM_MEM_LOG_DIRTY_PAGES)
			take_log(vm, i);
		vm->slot[i].size = 0;
		ok = set(vm, i) && ok;
	}
	for (unsigned w = 0; w < count && ok; w++) {
		if (wanted[w].there)
			continue;
		unsigned i = free_slot(vm);
		ok = i < vm->slots_max;
		if (ok) {
			vm->slot[i] = wanted[w].slot;
			ok = set(vm, i);
		}
		if (!ok && i < vm->slots)
			vm->slot[i].size = 0;
	}
	free(wanted);
	pthread_mutex_unlock(&vm->lock);
	return ok;
}
