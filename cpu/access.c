/* SPDX-License-Identifier: MIT */
/* Memory access off the fast path: misses, page crossings, devices, watched pages, data breakpoints and alignment checks; the
 * stack; implicit supervisor accesses. SDM vol. 3A 6.15 (#AC), 17.2 (breakpoints).
 *
 * Invariant: every store off the fast path looks at the page's watch byte after it (tlb.c says what those on it rely on). */
#include "cpu/access.h"

#include <stdlib.h>

#include "base/err.h"
#include "base/fence.h"
#include "cpu/journal.h"
#include "cpu/quiet.h"
#include "cpu/segment.h"
#include "mem/dirty.h"

/* Within what host_can_cas() grants. */
static bool host_cas(u8 *p, u64 old, u64 value, unsigned size)
{
	u8 old8 = old;
	u16 old16 = old;
	u32 old32 = old;

	switch (size) {
	case 1: return __atomic_compare_exchange_n(p, &old8, (u8)value, false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);
	case 2: return __atomic_compare_exchange_n((u16 *)p, &old16, (u16)value, false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);
	case 4: return __atomic_compare_exchange_n((u32 *)p, &old32, (u32)value, false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);
	default: return __atomic_compare_exchange_n((u64 *)p, &old, value, false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);
	}
}

/* ---- physical pages ---- */

u64 access_phys_read(struct cpu *cpu, u64 gpa, unsigned size)
{
	const struct bus_page *page = tlb_phys(cpu, gpa);

	if (unlikely(!page))
		return bus_read(cpu->bus, gpa, size);
	const u8 *p = page->hva + (gpa & PAGE_OFFSET);
	return size == 8 ? __atomic_load_n((const u64 *)p, __ATOMIC_RELAXED) : __atomic_load_n((const u32 *)p, __ATOMIC_RELAXED);
}

bool access_phys_known(struct cpu *cpu, u64 gpa, u64 *value)
{
	struct bus_page page;

	if (!tlb_phys_known(cpu, gpa, &page))
		return false;
	*value = __atomic_load_n((const u64 *)(page.hva + (gpa & PAGE_OFFSET)), __ATOMIC_RELAXED);
	return true;
}

/* After a store to a page that had no write entry. */
static void stored(struct cpu *cpu, const struct bus_page *page, u8 *hva, unsigned len)
{
	fence_light();
	if (tlb_watched(page))
		dirty_write(cpu->bus, hva, page->watch, len);
}

bool access_phys_cas(struct cpu *cpu, u64 gpa, u64 old, u64 value, unsigned size)
{
	const struct bus_page *page = tlb_phys(cpu, gpa);

	if (!page || !page->writable)
		return true; /* page tables in ROM or in a device: the bits have nowhere to go */
	u8 *p = page->hva + (gpa & PAGE_OFFSET);
	journal_table(cpu);
	bool same = host_cas(p, old, value, size);
	stored(cpu, page, p, size);
	return same;
}

/* ---- devices ---- */

/* Time read by a device is that of the current instruction, not of the end of its block, which is counted already. */
static u64 ahead(const struct cpu *cpu)
{
	return cpu->cur ? cpu->cur->left : 0;
}

static bool local_apic(struct cpu *cpu, u64 gpa)
{
	if (!cpu->intc.get_base || (gpa & ~(u64)PAGE_OFFSET & ~0xffffffull) != 0xfe000000ull)
		return false;
	u64 base = cpu->intc.get_base(cpu->intc.opaque);
	return (base & BIT(11)) && !(base & BIT(10)) && (base & ~(u64)PAGE_OFFSET) == (gpa & ~(u64)PAGE_OFFSET);
}

u64 access_device_read(struct cpu *cpu, u64 gpa, unsigned size)
{
	u64 value, count = ahead(cpu);

	journal_device(cpu);
	cpu->statistics[STAT_MMIO]++;
	cpu->instructions -= count;
	if (local_apic(cpu, gpa)) {
		bool inside = quiet_lock(cpu);
		value = cpu->intc.mmio_read(cpu->intc.opaque, gpa & PAGE_OFFSET & ~3ull) >> (gpa & 3) * 8;
		quiet_unlock(cpu, inside);
		value &= mask_bytes(size);
	} else {
		bool inside = quiet_leave(cpu);
		value = bus_read(cpu->bus, gpa, size);
		quiet_enter(cpu, inside);
	}
	cpu->instructions += count;
	return value;
}

/* The write may have changed what lies where (a flash chip's mode): the next access of this very block must see it. */
static void settle(struct cpu *cpu)
{
	if (unlikely(atomic_load_explicit(&cpu->request, memory_order_relaxed) & CPU_REQ_FLUSH)) {
		cpu_unrequest(cpu, CPU_REQ_FLUSH);
		tlb_flush_all(cpu);
	}
}

static void bus_store(struct cpu *cpu, u64 gpa, u64 value, unsigned size)
{
	journal_device(cpu);
	bool inside = quiet_leave(cpu);

	bus_write(cpu->bus, gpa, value, size);
	quiet_enter(cpu, inside);
	settle(cpu);
}

void access_device_write(struct cpu *cpu, u64 gpa, u64 value, unsigned size)
{
	u64 count = ahead(cpu);

	journal_device(cpu);
	cpu->statistics[STAT_MMIO]++;
	cpu->instructions -= count;
	if (local_apic(cpu, gpa)) {
		if (size == 4 || size == 8) { /* narrower writes to the APIC page are undefined (SDM 10.4.1) */
			bool inside = quiet_lock(cpu);
			cpu->intc.mmio_write(cpu->intc.opaque, gpa & PAGE_OFFSET, value);
			quiet_unlock(cpu, inside);
		}
	} else {
		bus_store(cpu, gpa, value, size);
	}
	cpu->instructions += count;
}

/* ---- translation through the TLB ---- */

/* Where an access of at most a page's rest goes: RAM (hva) or a device (hva NULL, gpa). */
struct place {
	u8 *hva;
	u64 gpa;
	const struct bus_page *page;
};

static void fill(struct cpu *cpu, u64 linear, enum access_kind kind, enum tlb_index as, struct place *place)
{
	struct paging_page walk;

	if (!tlb_recall(cpu, linear, kind, as, &walk)) {
		paging_walk(cpu, linear, kind, as, &walk);
		tlb_remember(cpu, linear, as, &walk);
	}
	place->gpa = walk.gpa & cpu->bus->a20_mask;
	place->page = NULL;
	place->hva = NULL;
	if (!local_apic(cpu, place->gpa))
		place->page = tlb_phys(cpu, place->gpa);
	if (!place->page)
		return;
	place->hva = place->page->hva + (place->gpa & PAGE_OFFSET);
	tlb_enter(cpu, linear, as, &walk, place->page);
}

/* The TLB that current accesses fill, though cpu->tlb may be the empty one. */
static enum tlb_index current_tlb(const struct cpu *cpu)
{
	if (cpu->cpl == 3)
		return TLB_USER;
	return (cpu->cr4 & CR4_SMAP) && (cpu->rflags & FLAG_AC) ? TLB_SUPER_AC : TLB_SUPER;
}

static void find(struct cpu *cpu, u64 linear, bool write, enum tlb_index as, struct place *place)
{
	struct tlb_entry *e = tlb_slot(&cpu->tlbs[as], linear);

	if (linear - (write ? tlb_load(&e->write) : e->read) < PAGE_SIZE) {
		/* a hit in RAM; only a split, watched or misaligned access comes here, or the empty TLB is in use */
		place->hva = (u8 *)(e->host + (linear & PAGE_OFFSET));
		place->page = NULL; /* not under watch */
		place->gpa = 0;
		return;
	}
	fill(cpu, linear, write ? ACCESS_WRITE : ACCESS_READ, as, place);
}

bool access_refill(struct cpu *cpu, u64 linear, unsigned size, bool write)
{
	enum access_kind kind = write ? ACCESS_WRITE : ACCESS_READ;
	enum tlb_index as = current_tlb(cpu);
	struct paging_page walk;
	struct bus_page page;

	if (cpu->tlb != &cpu->tlbs[as] || (linear & PAGE_OFFSET) > PAGE_SIZE - size || !mode_canonical(linear))
		return false;
	if (!tlb_recall(cpu, linear, kind, as, &walk)) {
		if (!paging_known(cpu, linear, kind, as, &walk))
			return false;
		tlb_remember(cpu, linear, as, &walk);
	}
	u64 gpa = walk.gpa & cpu->bus->a20_mask;
	if (gpa >> 24 == 0xfe || !tlb_phys_known(cpu, gpa, &page)) /* there may be the local APIC */
		return false;
	tlb_enter(cpu, linear, as, &walk, &page);
	const struct tlb_entry *e = tlb_slot(cpu->tlb, linear);
	return linear - (write ? e->write : e->read) < PAGE_SIZE;
}

static always_inline u64 load_sized(const struct cpu *cpu, const u8 *p, unsigned size)
{
	return size == 8   ? guest_load64(cpu, p)
	       : size == 4 ? guest_load32(cpu, p)
	       : size == 2 ? guest_load16(cpu, p)
	                   : guest_load8(cpu, p);
}

static always_inline void store_sized(const struct cpu *cpu, u8 *p, u64 value, unsigned size)
{
	if (size == 8)
		guest_store64(cpu, p, value);
	else if (size == 4)
		guest_store32(cpu, p, value);
	else if (size == 2)
		guest_store16(cpu, p, value);
	else
		guest_store8(cpu, p, value);
}

static u64 place_read(struct cpu *cpu, const struct place *place, unsigned size)
{
	if (!place->hva)
		return access_device_read(cpu, place->gpa, size);
	return load_sized(cpu, place->hva, size);
}

static void about_to_store(struct cpu *cpu, const struct place *place, unsigned len)
{
	journal_store(cpu, place->hva, len, place->page ? place->page->watch : NULL);
}

static void place_write(struct cpu *cpu, const struct place *place, u64 value, unsigned size)
{
	if (!place->hva) {
		access_device_write(cpu, place->gpa, value, size);
	} else if (place->page && !place->page->writable) {
		bus_store(cpu, place->gpa, value, size); /* ROM: dropped, or the region's own way */
	} else {
		about_to_store(cpu, place, size);
		store_sized(cpu, place->hva, value, size);
		if (place->page)
			stored(cpu, place->page, place->hva, size);
	}
}

/* ---- checks that the fast path leaves out ---- */

/* Data breakpoints: remember hits, the trap comes after the instruction. */
static void breakpoints(struct cpu *cpu, u64 linear, unsigned size, bool write)
{
	static const u8 length[4] = {1, 2, 8, 4};
	/* addresses wrap at 4 GiB outside 64-bit code, but where an inner stack lies above it */
	const u64 mask = cpu->code_mode == CODE64 || linear >> 32 ? ~0ull : 0xffffffff;

	for (unsigned i = 0; i < 4; i++) {
		u32 type = cpu->dr[7] >> (16 + i * 4) & 3, len = length[cpu->dr[7] >> (18 + i * 4) & 3];
		if (!(cpu->dr[7] >> i * 2 & 3) || !(type == 3 || (type == 1 && write)))
			continue;
		u64 first = cpu->dr[i] & ~(u64)(len - 1);
		if (!(first & ~mask) && (((linear - first) & mask) < len || ((first - linear) & mask) < size))
			cpu->dr6_hits |= BIT(i);
	}
}

static void precheck(struct cpu *cpu, u64 linear, unsigned size, bool write, unsigned seg, bool aligned_unit)
{
	if (cpu->long_mode && cpu->code_mode == CODE64 &&
	    unlikely(!mode_canonical(linear) || !mode_canonical(linear + size - 1)))
		exception_code(cpu, seg == SEG_SS ? EXC_SS : EXC_GP, 0);
	if (aligned_unit && unlikely(linear & (size - 1)) && cpu->cpl == 3 && (cpu->cr0 & CR0_AM) && (cpu->rflags & FLAG_AC))
		exception_code(cpu, EXC_AC, 0);
	if (unlikely(cpu->watchpoints))
		breakpoints(cpu, linear, size, write);
}

/* The first byte of the page behind one at linear: outside 64-bit mode addresses are 32 bits wide and wrap. (Descriptor
 * tables above 4 GiB are read in compatibility mode too.) */
static u64 wrap(const struct cpu *cpu, u64 linear)
{
	return cpu->code_mode == CODE64 || linear != BIT(32) ? linear : 0;
}

static u64 read_as(struct cpu *cpu, u64 linear, unsigned size, enum tlb_index as)
{
	unsigned first = PAGE_SIZE - (linear & PAGE_OFFSET);
	struct place a, b;

	if (likely(first >= size)) {
		find(cpu, linear, false, as, &a);
		return place_read(cpu, &a, size);
	}
	u64 second = wrap(cpu, linear + first);
	find(cpu, linear, false, as, &a);
	find(cpu, second, false, as, &b);
	u64 value = 0;
	for (unsigned i = 0; i < size; i++) {
		struct place *p = i < first ? &a : &b;
		unsigned at = i < first ? i : i - first;
		u8 byte = p->hva ? guest_load8(cpu, p->hva + at) : (u8)access_device_read(cpu, p->gpa + at, 1);
		value |= (u64)byte << i * 8;
	}
	return value;
}

/* What the TLB says is looked up again, so that it is known where the watch bytes are. */
static void find_pages(struct cpu *cpu, u64 linear, enum tlb_index as, struct place place[2], struct bus_page page[2])
{
	u64 at[2] = {linear, wrap(cpu, (linear & ~(u64)PAGE_OFFSET) + PAGE_SIZE)};

	for (unsigned i = 0; i < 2; i++) {
		fill(cpu, at[i], ACCESS_WRITE, as, &place[i]);
		if (!place[i].page)
			continue;
		page[i] = *place[i].page; /* the second look-up may take the first one's place in the cache */
		place[i].page = &page[i];
	}
}

static void write_as(struct cpu *cpu, u64 linear, u64 value, unsigned size, enum tlb_index as)
{
	unsigned first = PAGE_SIZE - (linear & PAGE_OFFSET);
	struct place place[2];
	struct bus_page page[2];

	if (likely(first >= size)) {
		find(cpu, linear, true, as, &place[0]);
		place_write(cpu, &place[0], value, size);
		return;
	}
	/* both pages must be writable before the first byte is stored */
	find_pages(cpu, linear, as, place, page);
	for (unsigned i = 0; i < size; i++) {
		struct place p = place[i >= first];
		unsigned at = i < first ? i : i - first;
		p.gpa += at;
		if (p.hva)
			p.hva += at;
		place_write(cpu, &p, value >> i * 8 & 0xff, 1);
	}
}

/* ---- what the inline functions fall back to ---- */

u64 access_read(struct cpu *cpu, u64 linear, unsigned size, unsigned seg)
{
	precheck(cpu, linear, size, false, seg, true);
	return read_as(cpu, linear, size, current_tlb(cpu));
}

void access_write(struct cpu *cpu, u64 linear, u64 value, unsigned size, unsigned seg)
{
	precheck(cpu, linear, size, true, seg, true);
	write_as(cpu, linear, value, size, current_tlb(cpu));
}

u64 access_rmw_read(struct cpu *cpu, u64 linear, unsigned size, unsigned seg)
{
	access_check(cpu, linear, size, true, seg);
	precheck(cpu, linear, size, true, seg, true);
	return read_as(cpu, linear, size, current_tlb(cpu));
}

static bool is_memory(const struct place *place)
{
	return place->hva && !(place->page && !place->page->writable);
}

/* Does the host compare and exchange these bytes at once, and willingly? x86 does within a cache line; across two it may be set up
 * to punish whoever tries. */
static bool host_can_cas(u64 linear, unsigned size)
{
#if defined(__x86_64__)
	return (linear & 63) + size <= 64;
#else
	return !(linear & (size - 1));
#endif
}

/* What no instruction of the host does: nobody else is executing meanwhile. */
static bool cas_alone(struct cpu *cpu, struct place place[2], unsigned first, u64 old, u64 value, unsigned size)
{
	journal_device(cpu);
	bool inside = quiet_alone_begin(cpu);
	u64 seen = 0;

	for (unsigned i = 0; i < size; i++)
		seen |= (u64)guest_load8(cpu, i < first ? &place[0].hva[i] : &place[1].hva[i - first]) << i * 8;
	bool same = seen == (old & mask_bytes(size));
	for (unsigned i = 0; same && i < size; i++)
		guest_store8(cpu, i < first ? &place[0].hva[i] : &place[1].hva[i - first], value >> i * 8);
	quiet_alone_end(cpu, inside);
	stored(cpu, place[0].page, place[0].hva, MIN(first, size));
	if (first < size)
		stored(cpu, place[1].page, place[1].hva, size - first);
	return same;
}

bool access_cas(struct cpu *cpu, u64 linear, u64 old, u64 value, unsigned size, unsigned seg)
{
	unsigned first = PAGE_SIZE - (linear & PAGE_OFFSET);
	struct place place[2];
	struct bus_page page[2];

	precheck(cpu, linear, size, true, seg, true);
	if (first < size) {
		find_pages(cpu, linear, current_tlb(cpu), place, page);
		if (is_memory(&place[0]) && is_memory(&place[1]))
			return cas_alone(cpu, place, first, old, value, size);
		write_as(cpu, linear, value, size, current_tlb(cpu));
		return true;
	}
	if (!host_can_cas(linear, size)) {
		fill(cpu, linear, ACCESS_WRITE, current_tlb(cpu), &place[0]);
		if (is_memory(&place[0]))
			return cas_alone(cpu, place, first, old, value, size);
	} else {
		find(cpu, linear, true, current_tlb(cpu), &place[0]);
		if (is_memory(&place[0])) {
			about_to_store(cpu, &place[0], size);
			bool same = host_cas(place[0].hva, old, value, size);
			if (place[0].page)
				stored(cpu, place[0].page, place[0].hva, size);
			return same;
		}
	}
	place_write(cpu, &place[0], value, size); /* not memory, so nobody else changes it between */
	return true;
}

/* The compilers would call libatomic for these. */
static bool host_cas128(void *p, struct m128 *old, struct m128 value)
{
	struct m128 *m = p;
	bool same;

#if defined(__x86_64__)
	__asm__ volatile("lock cmpxchg16b %0"
	                 : "+m"(*m), "=@ccz"(same), "+a"(old->q[0]), "+d"(old->q[1])
	                 : "b"(value.q[0]), "c"(value.q[1])
	                 : "memory");
#elif defined(__aarch64__)
	/* A pair is known to have been read at once only when it could be stored back. */
	struct m128 seen;
	u32 failed;
	__asm__ volatile("1:	ldaxp %0, %1, %3\n"
	                 "	cmp %0, %4\n"
	                 "	ccmp %1, %5, #0, eq\n"
	                 "	b.ne 2f\n"
	                 "	stlxp %w2, %6, %7, %3\n"
	                 "	cbnz %w2, 1b\n"
	                 "	b 3f\n"
	                 "2:	stlxp %w2, %0, %1, %3\n"
	                 "	cbnz %w2, 1b\n"
	                 "3:"
	                 : "=&r"(seen.q[0]), "=&r"(seen.q[1]), "=&r"(failed), "+Q"(*m)
	                 : "r"(old->q[0]), "r"(old->q[1]), "r"(value.q[0]), "r"(value.q[1])
	                 : "cc", "memory");
	same = seen.q[0] == old->q[0] && seen.q[1] == old->q[1];
	*old = seen;
#else
#error "16-byte compare and exchange is needed for this host"
#endif
	return same;
}

bool access_cas128(struct cpu *cpu, u64 linear, struct m128 *old, struct m128 value, unsigned seg)
{
	struct place place;

	precheck(cpu, linear, 16, true, seg, false);
	find(cpu, linear, true, current_tlb(cpu), &place);
	if (is_memory(&place)) {
		about_to_store(cpu, &place, 16);
		bool same = host_cas128(place.hva, old, value);
		if (place.page)
			stored(cpu, place.page, place.hva, 16);
		return same;
	}
	/* a device or ROM: nobody else changes it between */
	struct m128 seen = access_read128(cpu, linear, seg);
	bool same = seen.q[0] == old->q[0] && seen.q[1] == old->q[1];
	if (same)
		access_write128(cpu, linear, value, seg);
	*old = seen;
	return same;
}

void access_check(struct cpu *cpu, u64 linear, unsigned len, bool write, unsigned seg)
{
	struct place place;

	if (!len)
		return;
	precheck(cpu, linear, len, write, seg, false);
	find(cpu, linear, write, current_tlb(cpu), &place);
	for (u64 page = (linear & ~(u64)PAGE_OFFSET) + PAGE_SIZE; page - linear < len; page += PAGE_SIZE)
		find(cpu, wrap(cpu, page), write, current_tlb(cpu), &place);
}

void access_read_bytes(struct cpu *cpu, u64 linear, void *buf, unsigned len, unsigned seg)
{
	u8 *to = buf;

	access_check(cpu, linear, len, false, seg);
	while (len) {
		unsigned part = MIN(len, PAGE_SIZE - (u32)(linear & PAGE_OFFSET));
		struct place place;
		find(cpu, linear, false, current_tlb(cpu), &place);
		if (place.hva)
			guest_move(cpu, to, place.hva, part);
		else
			for (unsigned i = 0; i < part; i++)
				to[i] = access_device_read(cpu, place.gpa + i, 1);
		to += part;
		len -= part;
		linear = wrap(cpu, linear + part);
	}
}

void access_write_bytes(struct cpu *cpu, u64 linear, const void *buf, unsigned len, unsigned seg)
{
	const u8 *from = buf;

	access_check(cpu, linear, len, true, seg);
	while (len) {
		unsigned part = MIN(len, PAGE_SIZE - (u32)(linear & PAGE_OFFSET));
		struct place place;
		find(cpu, linear, true, current_tlb(cpu), &place);
		if (is_memory(&place)) {
			about_to_store(cpu, &place, part);
			guest_move(cpu, place.hva, from, part);
			if (place.page)
				stored(cpu, place.page, place.hva, part);
		} else {
			for (unsigned i = 0; i < part; i++)
				bus_store(cpu, place.gpa + i, from[i], 1);
		}
		from += part;
		len -= part;
		linear = wrap(cpu, linear + part);
	}
}

u8 *access_bulk(struct cpu *cpu, u64 linear, bool write, unsigned seg, u8 **watch)
{
	struct place place;

	if (cpu->tlb == &cpu->tlbs[TLB_EMPTY])
		return NULL;
	precheck(cpu, linear, 1, write, seg, false);
	find(cpu, linear, write, current_tlb(cpu), &place);
	if (!place.hva || (write && !is_memory(&place)))
		return NULL;
	*watch = place.page ? place.page->watch : NULL;
	return place.hva;
}

void access_bulk_done(struct cpu *cpu, u8 *hva, unsigned len, u8 *watch)
{
	fence_light();
	if (__atomic_load_n(watch, __ATOMIC_RELAXED))
		dirty_write(cpu->bus, hva, watch, len);
}

struct m128 access_read128(struct cpu *cpu, u64 linear, unsigned seg)
{
	struct m128 v;

	access_read_bytes(cpu, linear, &v, sizeof v, seg);
	return v;
}

void access_write128(struct cpu *cpu, u64 linear, struct m128 v, unsigned seg)
{
	access_write_bytes(cpu, linear, &v, sizeof v, seg);
}

u64 ea_general(struct cpu *cpu, const struct insn *in, u64 sum, unsigned size, bool write)
{
	u64 offset = in->asize == 8 ? sum : in->asize == 4 ? (u32)sum : (u16)sum;

	if (cpu->code_mode == CODE64) /* only FS and GS have a base (SDM 3.4.4); 32-bit addresses wrap before it is added */
		return in->seg >= SEG_FS ? cpu->seg[in->seg].base + offset : offset;
	if (likely((cpu->seg_flat >> in->seg & 1) && offset <= 0xffffffffu - (size - 1)))
		return offset;
	return segment_linear(cpu, in->seg, offset, size, write);
}

u8 *access_fetch(struct cpu *cpu, u64 linear, u64 *gpa)
{
	enum tlb_index as = cpu->cpl == 3 ? TLB_USER : TLB_SUPER;
	struct tlb_entry *e = tlb_slot(&cpu->tlbs[as], linear);
	struct place place;

	if (linear - e->exec < PAGE_SIZE)
		return (u8 *)(e->host + (linear & PAGE_OFFSET));
	if (cpu->code_mode == CODE64 && !mode_canonical(linear))
		exception_gp(cpu, 0);
	fill(cpu, linear, ACCESS_EXEC, as, &place);
	*gpa = place.gpa;
	return place.hva;
}

/* ---- the stack ---- */

static u64 stack_offset(const struct cpu *cpu, u64 offset)
{
	return mode_64(cpu) ? offset : cpu->seg[SEG_SS].attr & SEG_DB ? (u32)offset : (u16)offset;
}

static u64 stack_linear(struct cpu *cpu, u64 offset, unsigned size, bool write)
{
	if (mode_64(cpu))
		return offset;
	return segment_linear(cpu, SEG_SS, offset, size, write);
}

static void stack_write(struct cpu *cpu, u64 linear, u64 value, unsigned size)
{
	if (size == 8)
		lin_write64(cpu, linear, value, SEG_SS);
	else if (size == 4)
		lin_write32(cpu, linear, value, SEG_SS);
	else
		lin_write16(cpu, linear, value, SEG_SS);
}

static u64 stack_read(struct cpu *cpu, u64 linear, unsigned size)
{
	return size == 8   ? lin_read64(cpu, linear, SEG_SS)
	       : size == 4 ? lin_read32(cpu, linear, SEG_SS)
	                   : lin_read16(cpu, linear, SEG_SS);
}

void stack_add(struct cpu *cpu, i64 bytes)
{
	u64 sp = cpu->gpr[RSP] + bytes;

	if (mode_64(cpu))
		cpu->gpr[RSP] = sp;
	else if (cpu->seg[SEG_SS].attr & SEG_DB)
		cpu->gpr[RSP] = (u32)sp;
	else
		set_reg16(cpu, RSP, sp);
}

void stack_push(struct cpu *cpu, u64 value, unsigned size)
{
	u64 offset = stack_offset(cpu, cpu->gpr[RSP] - size);

	stack_write(cpu, stack_linear(cpu, offset, size, true), value, size);
	stack_add(cpu, -(i64)size);
}

u64 stack_peek(struct cpu *cpu, unsigned offset, unsigned size)
{
	return stack_read(cpu, stack_linear(cpu, stack_offset(cpu, cpu->gpr[RSP] + offset), size, false), size);
}

u64 stack_pop(struct cpu *cpu, unsigned size)
{
	u64 value = stack_peek(cpu, 0, size);

	stack_add(cpu, size);
	return value;
}

/* ---- implicit supervisor accesses ---- */

/* The bases of tables are canonical, but a table may reach beyond what is: no such address may get into the TLB. */
static u64 sys_linear(struct cpu *cpu, u64 linear, unsigned len)
{
	if (!cpu->long_mode)
		return (u32)linear;
	if (unlikely(!mode_canonical(linear) || !mode_canonical(linear + len - 1)))
		exception_gp(cpu, 0);
	return linear;
}

u64 sys_read(struct cpu *cpu, u64 linear, unsigned size)
{
	linear = cpu->long_mode ? linear : (u32)linear;
	const struct tlb_entry *e = tlb_slot(&cpu->tlbs[TLB_SUPER], linear);
	if (likely(linear - e->read <= PAGE_SIZE - size))
		return load_sized(cpu, (const u8 *)(e->host + (linear & PAGE_OFFSET)), size);
	return read_as(cpu, sys_linear(cpu, linear, size), size, TLB_SUPER);
}

void sys_write(struct cpu *cpu, u64 linear, u64 value, unsigned size)
{
	write_as(cpu, sys_linear(cpu, linear, size), value, size, TLB_SUPER);
}

bool sys_cas8(struct cpu *cpu, u64 linear, u8 old, u8 value)
{
	struct place place;

	linear = sys_linear(cpu, linear, 1);
	find(cpu, linear, true, TLB_SUPER, &place);
	if (!is_memory(&place)) { /* a table in ROM or in a device */
		place_write(cpu, &place, value, 1);
		return true;
	}
	about_to_store(cpu, &place, 1);
	bool same = host_cas(place.hva, old, value, 1);
	if (place.page)
		stored(cpu, place.page, place.hva, 1);
	return same;
}

static void check_as(struct cpu *cpu, u64 linear, unsigned len, bool write, enum tlb_index as)
{
	struct place place;

	for (u64 at = linear; at - linear < len; at = (at & ~(u64)PAGE_OFFSET) + PAGE_SIZE)
		find(cpu, cpu->long_mode ? at : (u32)at, write, as, &place);
}

void sys_check(struct cpu *cpu, u64 linear, unsigned len, bool write)
{
	check_as(cpu, sys_linear(cpu, linear, len), len, write, TLB_SUPER);
}

/* ---- the stack of an inner level ---- */

static enum tlb_index inner_tlb(const struct cpu *cpu)
{
	return (cpu->cr4 & CR4_SMAP) && (cpu->rflags & FLAG_AC) ? TLB_SUPER_AC : TLB_SUPER;
}

void stack_inner_write(struct cpu *cpu, u64 linear, u64 value, unsigned size)
{
	if (unlikely(cpu->watchpoints))
		breakpoints(cpu, linear, size, true);
	write_as(cpu, linear, value, size, inner_tlb(cpu));
}

void stack_inner_check(struct cpu *cpu, u64 linear, unsigned len)
{
	check_as(cpu, linear, len, true, inner_tlb(cpu));
}
