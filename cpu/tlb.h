/* SPDX-License-Identifier: MIT */
/* What is known of linear addresses. SDM vol. 3A 4.10.
 *
 * Three TLBs by privilege: supervisor, user, and supervisor that may touch user pages although CR4.SMAP is set (EFLAGS.AC).
 * An entry never matches for writes while the page is clean, read-only or under watch, and never at all for device memory.
 * Behind them lies a larger one, of all privileges and of several PCIDs, that keeps only what page walks have found. */
#ifndef CPU_TLB_H
#define CPU_TLB_H

#include "cpu/cpu.h"
#include "mem/bus.h"

#define TLB_BITS 11
#define TLB_SIZE (1u << TLB_BITS)

struct tlb_entry {
	u64 read, write; /* linear page address, or tlb_never() */
	u64 host;        /* host address of the page's first byte */
	u64 exec;        /* linear page address if instructions may be fetched */
};
/* TLB_EMPTY never holds anything: it sends every access to the slow path. */
enum tlb_index { TLB_SUPER, TLB_USER, TLB_SUPER_AC, TLB_FILLED, TLB_EMPTY = TLB_FILLED, TLB_COUNT };
struct tlb {
	struct tlb_entry entry[TLB_SIZE];
};

/* A tag that no address using this slot can match: a page that belongs to the neighbouring slot. Addresses that use other slots but
 * are known to be canonical, or to have 32 bits, do not match it either. */
static inline u64 tlb_never(u64 linear)
{
	return ((linear >> PAGE_SHIFT & (TLB_SIZE - 1)) * PAGE_SIZE ^ PAGE_SIZE) | BIT(63);
}

/* Members that other threads look at or change: `host`, and `write`, which they make tlb_never(). */
static always_inline u64 tlb_load(const u64 *member)
{
	return __atomic_load_n(member, __ATOMIC_RELAXED);
}
static always_inline void tlb_store(u64 *member, u64 value)
{
	__atomic_store_n(member, value, __ATOMIC_RELAXED);
}

static always_inline struct tlb_entry *tlb_slot(struct tlb *tlb, u64 linear)
{
	return &tlb->entry[linear >> PAGE_SHIFT & (TLB_SIZE - 1)];
}

enum access_kind { ACCESS_READ, ACCESS_WRITE, ACCESS_EXEC };
/* What a page walk finds. */
struct paging_page {
	u64 gpa;       /* of the address asked for */
	u8 shift;      /* page size: 12, 21, 22, 30 */
	bool read, write, exec; /* allowed for the privilege asked for */
	bool global;
	bool dirty;    /* the dirty bit is set: a write needs no further walk */
};

/* A translator's own entries are good no longer: the TLB they were made from has changed, or another one is used. */
static always_inline void tlb_forget_windows(struct cpu *cpu)
{
	for (; cpu->jit.windows; cpu->jit.windows &= cpu->jit.windows - 1) {
		struct jit_window *w = &cpu->jit.window[__builtin_ctz(cpu->jit.windows)];
		w->none[0] = ~0ull;
		tlb_store(&w->none[1], ~0ull);
	}
}

/* Make one of an entry of the TLB in use. */
void tlb_keep_window(struct cpu *cpu, unsigned slot, u64 linear, const struct tlb_entry *e);

struct tlb *tlb_new(void);
void tlb_free(struct tlb *tlbs);
/* Another privilege: its TLB is in use from now on. */
void tlb_use(struct cpu *cpu, struct tlb *tlb);
/* Host pages came under watch: no write entry may lead to them any more. len: bytes, of whole pages. Any thread. */
void tlb_protect(struct cpu *cpu, u8 *hva, u64 len);

/* What a walk has found, in the larger TLB; false: a walk is needed. Not in the empty TLB's terms. */
bool tlb_recall(struct cpu *cpu, u64 linear, enum access_kind kind, enum tlb_index as, struct paging_page *found);
void tlb_remember(struct cpu *cpu, u64 linear, enum tlb_index as, const struct paging_page *found);
/* What a walk has found, and the memory that lies there, go into the TLB. */
void tlb_enter(struct cpu *cpu, u64 linear, enum tlb_index as, const struct paging_page *found, const struct bus_page *page);

/* The memory behind a physical page, or NULL: a device, or nothing. The A20 mask has been applied. Good until the next call. */
const struct bus_page *tlb_phys(struct cpu *cpu, u64 gpa);
/* As far as it can be told without asking the bus, or false. */
bool tlb_phys_known(struct cpu *cpu, u64 gpa, struct bus_page *page);
static always_inline bool tlb_watched(const struct bus_page *page)
{
	return page->watch && __atomic_load_n(page->watch, __ATOMIC_RELAXED);
}

void tlb_flush_all(struct cpu *cpu);              /* everything, globals too */
void tlb_flush(struct cpu *cpu);                  /* all but global pages, of all PCIDs */
void tlb_flush_page(struct cpu *cpu, u64 linear); /* INVLPG */
void tlb_flush_pcid(struct cpu *cpu, u64 pcid);   /* all but global pages, of one */
/* MOV CR3 while CR4.PCIDE is set; keep: what is known of the new PCID stays. */
void tlb_switch(struct cpu *cpu, u64 from, u64 to, bool keep);

#endif
