/* SPDX-License-Identifier: MIT */
/* Memory access by instructions: the TLB's fast path inline, everything else in access.c. All raise faults as the manual says. The
 * fast path has one test, the slow path all the care. */
#ifndef CPU_ACCESS_H
#define CPU_ACCESS_H

#include "cpu/exception.h"
#include "cpu/guestmem.h"
#include "cpu/insn.h"
#include "cpu/mode.h"
#include "cpu/tlb.h"

/* Slow paths (access.c): misses, page crossings, devices, watched pages, breakpoints, alignment checks. */
u64 access_read(struct cpu *cpu, u64 linear, unsigned size, unsigned seg);
void access_write(struct cpu *cpu, u64 linear, u64 value, unsigned size, unsigned seg);
/* Effective address in the general case: wraps by address size, adds the segment base, checks limit and type. */
u64 ea_general(struct cpu *cpu, const struct insn *in, u64 sum, unsigned size, bool write);

/* Host address of [linear, linear+size) if the fast path serves it, else NULL. */
static always_inline void *access_fast(struct cpu *cpu, u64 linear, unsigned size, bool write)
{
	struct tlb_entry *e = tlb_slot(cpu->tlb, linear);
	/* linear + size - 1 lies in the entry's page iff both ends do; one compare covers the crossing */
	u64 off = linear - (write ? tlb_load(&e->write) : e->read);
	if (likely(off <= PAGE_SIZE - size))
		return (void *)(off + e->host);
	return NULL;
}

/* ---- by linear address, at the current privilege; seg (enum seg_index) chooses #SS or #GP for non-canonical ones ---- */
#define ACCESS_LINEAR(bits)                                                                                            \
	static always_inline u##bits lin_read##bits(struct cpu *cpu, u64 linear, unsigned seg)                            \
	{                                                                                                                  \
		void *p = access_fast(cpu, linear, bits / 8, false);                                                           \
		return likely(p != NULL) ? guest_load##bits(cpu, p) : (u##bits)access_read(cpu, linear, bits / 8, seg);                   \
	}                                                                                                                  \
	static always_inline void lin_write##bits(struct cpu *cpu, u64 linear, u##bits v, unsigned seg)                   \
	{                                                                                                                  \
		void *p = access_fast(cpu, linear, bits / 8, true);                                                            \
		if (likely(p != NULL))                                                                                         \
			guest_store##bits(cpu, p, v);                                                                                         \
		else                                                                                                           \
			access_write(cpu, linear, v, bits / 8, seg);                                                               \
	}
ACCESS_LINEAR(8)
ACCESS_LINEAR(16)
ACCESS_LINEAR(32)
ACCESS_LINEAR(64)
#undef ACCESS_LINEAR

/* For translated code, when its own look-up misses in 64-bit code: fill the TLB if that takes no more than a walk of page tables in
 * memory. True: the access hits now. It raises nothing, and neither it nor what it calls touches vector registers. */
bool access_refill(struct cpu *cpu, u64 linear, unsigned size, bool write);

/* Any length up to 4096 (FXSAVE, XSAVE, 128-bit operands). Reads: complete or fault. Writes: all pages are checked before
 * the first byte is stored. */
void access_read_bytes(struct cpu *cpu, u64 linear, void *buf, unsigned len, unsigned seg);
void access_write_bytes(struct cpu *cpu, u64 linear, const void *buf, unsigned len, unsigned seg);
/* Fault now if a write (read) of len bytes there would fault. */
void access_check(struct cpu *cpu, u64 linear, unsigned len, bool write, unsigned seg);

/* What lies at a physical address where there is no plain memory: the local APIC's page, or the bus. 1, 2, 4 or 8 bytes. */
u64 access_device_read(struct cpu *cpu, u64 gpa, unsigned size);
void access_device_write(struct cpu *cpu, u64 gpa, u64 value, unsigned size);

/* For string instructions, where access_fast() gave nothing: the host address of linear, or NULL where there is no plain
 * memory, or every access has to be looked at. Faults as an access does. Writes must follow at once, and when *watch is not NULL
 * be told of: len bytes from hva on, in one page. */
u8 *access_bulk(struct cpu *cpu, u64 linear, bool write, unsigned seg, u8 **watch);
void access_bulk_done(struct cpu *cpu, u8 *hva, unsigned len, u8 *watch);

/* ---- the memory operand of an instruction ---- */
/* The offset only, wrapped to the address size (LEA, bit strings). */
static always_inline u64 ea_offset(struct cpu *cpu, const struct insn *in)
{
	u64 sum = cpu->gpr[in->base] + (cpu->gpr[in->index] << in->scale) + (u64)in->disp;
	return in->asize == 8 ? sum : in->asize == 4 ? (u32)sum : (u16)sum;
}
/* Linear address, segment checks done. */
static always_inline u64 ea_linear(struct cpu *cpu, const struct insn *in, unsigned size, bool write)
{
	u64 sum = cpu->gpr[in->base] + (cpu->gpr[in->index] << in->scale) + (u64)in->disp;
	if (likely(in->ea == EA_LONG))
		return sum;
	return ea_general(cpu, in, sum, size, write);
}

/* mem_read32(cpu, in), mem_write32(cpu, in, v): plain loads and stores.
 * Read-modify-write: u64 la; old = mem_rmw32(cpu, in, &la) proves the page writable, mem_store32(cpu, in, la, new) finishes it.
 * With LOCK (in->prefix & INSN_LOCK, or XCHG) finish instead by mem_cas32(cpu, in, la, old, new) and retry from the read when
 * it returns false. */
#define ACCESS_OPERAND(bits)                                                                                           \
	static always_inline u##bits mem_read##bits(struct cpu *cpu, const struct insn *in)                               \
	{                                                                                                                  \
		return lin_read##bits(cpu, ea_linear(cpu, in, bits / 8, false), in->seg);                                      \
	}                                                                                                                  \
	static always_inline void mem_write##bits(struct cpu *cpu, const struct insn *in, u##bits v)                      \
	{                                                                                                                  \
		lin_write##bits(cpu, ea_linear(cpu, in, bits / 8, true), v, in->seg);                                          \
	}                                                                                                                  \
	static always_inline u##bits mem_rmw##bits(struct cpu *cpu, const struct insn *in, u64 *la)                       \
	{                                                                                                                  \
		*la = ea_linear(cpu, in, bits / 8, true);                                                                      \
		void *p = access_fast(cpu, *la, bits / 8, true);                                                               \
		return likely(p != NULL) ? guest_load##bits(cpu, p) : (u##bits)access_rmw_read(cpu, *la, bits / 8, in->seg);              \
	}                                                                                                                  \
	static always_inline void mem_store##bits(struct cpu *cpu, const struct insn *in, u64 la, u##bits v)              \
	{                                                                                                                  \
		lin_write##bits(cpu, la, v, in->seg);                                                                          \
	}                                                                                                                  \
	static always_inline bool mem_cas##bits(struct cpu *cpu, const struct insn *in, u64 la, u##bits old, u##bits v)   \
	{                                                                                                                  \
		void *p = access_fast(cpu, la, bits / 8, true);                                                                \
		if (likely(p && !((uintptr_t)p & (bits / 8 - 1)))) {                                                           \
			guest_order_all(cpu);                                                                                      \
			bool same = __atomic_compare_exchange_n((u##bits *)p, &old, v, false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST); \
			guest_order_all(cpu);                                                                                      \
			return same;                                                                                               \
		}                                                                                                              \
		return access_cas(cpu, la, old, v, bits / 8, in->seg);                                                         \
	}
/* Read for a later write: faults as a write would. */
u64 access_rmw_read(struct cpu *cpu, u64 linear, unsigned size, unsigned seg);
/* Compare and exchange on the slow path (split, device, watched): as atomic. Only a split one with a part in a device is not. */
bool access_cas(struct cpu *cpu, u64 linear, u64 old, u64 value, unsigned size, unsigned seg);
ACCESS_OPERAND(8)
ACCESS_OPERAND(16)
ACCESS_OPERAND(32)
ACCESS_OPERAND(64)
#undef ACCESS_OPERAND

/* 128-bit operands; aligned: raise #GP(0) off a 16-byte boundary, as SSE does. */
struct m128 {
	u64 q[2];
};
struct m128 access_read128(struct cpu *cpu, u64 linear, unsigned seg);
void access_write128(struct cpu *cpu, u64 linear, struct m128 v, unsigned seg);
/* Compare and exchange of 16 aligned bytes, atomic; *old becomes what was there. */
bool access_cas128(struct cpu *cpu, u64 linear, struct m128 *old, struct m128 value, unsigned seg);
static always_inline struct m128 mem_read128(struct cpu *cpu, const struct insn *in, bool aligned)
{
	u64 la = ea_linear(cpu, in, 16, false);
	if (aligned && unlikely(la & 15))
		exception_gp(cpu, 0);
	void *p = access_fast(cpu, la, 16, false);
	struct m128 v;
	if (unlikely(!p))
		return access_read128(cpu, la, in->seg);
	guest_copy16(cpu, &v, p);
	return v;
}
static always_inline void mem_write128(struct cpu *cpu, const struct insn *in, struct m128 v, bool aligned)
{
	u64 la = ea_linear(cpu, in, 16, true);
	if (aligned && unlikely(la & 15))
		exception_gp(cpu, 0);
	void *p = access_fast(cpu, la, 16, true);
	if (likely(p != NULL))
		guest_copy16(cpu, p, &v);
	else
		access_write128(cpu, la, v, in->seg);
}

/* ---- the stack, at the current stack size; size 2, 4 or 8. The pointer moves only if the access succeeds. ---- */
void stack_push(struct cpu *cpu, u64 value, unsigned size);
u64 stack_pop(struct cpu *cpu, unsigned size);
/* Several at once without moving the pointer: offset in bytes from the present stack pointer. */
u64 stack_peek(struct cpu *cpu, unsigned offset, unsigned size);
void stack_add(struct cpu *cpu, i64 bytes); /* wraps to the stack size */

/* ---- implicit supervisor accesses (descriptor tables, TSS, IDT), whatever CPL is; linear addresses ---- */
u64 sys_read(struct cpu *cpu, u64 linear, unsigned size);
void sys_write(struct cpu *cpu, u64 linear, u64 value, unsigned size);
/* One byte becomes `value` if it is `old` still, at once. */
bool sys_cas8(struct cpu *cpu, u64 linear, u8 old, u8 value);
/* Fault now if an implicit access there would. */
void sys_check(struct cpu *cpu, u64 linear, unsigned len, bool write);
/* The stack of an inner level while CPL is still the outer one (gates, event delivery): what CPL 0 would be allowed. */
void stack_inner_write(struct cpu *cpu, u64 linear, u64 value, unsigned size);
void stack_inner_check(struct cpu *cpu, u64 linear, unsigned len);

/* ---- translation and maintenance (paging.c, access.c) ---- */
/* Linear to physical with the rights of a TLB index's privilege; sets accessed/dirty bits; raises #PF. */
void paging_walk(struct cpu *cpu, u64 linear, enum access_kind kind, enum tlb_index as, struct paging_page *page);
/* In 4-level paging, if nothing has to be asked of the bus, written or raised; else false. */
bool paging_known(struct cpu *cpu, u64 linear, enum access_kind kind, enum tlb_index as, struct paging_page *page);
/* For debuggers: no side effects, no rights checked. False if not mapped. */
bool paging_probe(struct cpu *cpu, u64 linear, u64 *gpa);
/* Physical accesses of the page walk: 4 or 8 bytes, aligned. */
u64 access_phys_read(struct cpu *cpu, u64 gpa, unsigned size);
/* 8 bytes, if it is known without asking the bus what lies there. */
bool access_phys_known(struct cpu *cpu, u64 gpa, u64 *value);
bool access_phys_cas(struct cpu *cpu, u64 gpa, u64 old, u64 value, unsigned size);
/* Load PDPTEs for PAE paging; false: reserved bits set (#GP). */
bool paging_load_pdptes(struct cpu *cpu, u64 cr3);

/* The host address of the instruction bytes at a linear address, or NULL where there is no memory (then *gpa tells where).
 * Raises #PF and #GP. */
u8 *access_fetch(struct cpu *cpu, u64 linear, u64 *gpa);

#endif
