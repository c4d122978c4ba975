/* SPDX-License-Identifier: MIT */
/* Paging: 32-bit with PSE and PSE-36, PAE, 4-level with 2 MiB and 1 GiB pages. SDM vol. 3A ch. 4.
 * Not implemented: 5-level paging, protection keys. */
#include "cpu/access.h"
#include "cpu/model.h"

enum pte { PTE_P = 1, PTE_RW = 2, PTE_US = 4, PTE_A = 0x20, PTE_D = 0x40, PTE_PS = 0x80, PTE_G = 0x100 };
#define PTE_NX BIT(63)
#define PTE_ADDR 0x000ffffffffff000ull

static u64 phys_mask(const struct cpu *cpu)
{
	return (1ull << cpu->model->phys_bits) - 1;
}

/* One step of the walk: where the entry lies, what it says. */
struct step {
	u64 gpa;
	u64 entry;
	unsigned size; /* 4 or 8 bytes */
};

/* Set bits in a paging entry unless another CPU changed it meanwhile: then the walk starts over. */
static bool step_set(struct cpu *cpu, struct step *step, u64 bits)
{
	if ((step->entry & bits) == bits)
		return true;
	u64 want = step->entry | bits;
	if (!access_phys_cas(cpu, step->gpa, step->entry, want, step->size))
		return false;
	step->entry = want;
	return true;
}

/* How a walk ended. */
enum walk_end {
	WALK_DONE,
	WALK_AGAIN,   /* another CPU changed an entry */
	WALK_UNKNOWN, /* only in known mode: something would have to be asked or written */
	WALK_FAULT,   /* 16 bits up: the error code, as far as it comes from the tables */
};
#define WALK_FAULT_CODE(code) (WALK_FAULT | (code) << 16)

static _Noreturn void fault(struct cpu *cpu, u64 linear, enum access_kind kind, enum tlb_index as, u32 code)
{
	if (kind == ACCESS_WRITE)
		code |= PF_W;
	if (as == TLB_USER)
		code |= PF_U;
	/* SDM 4.7: I/D is reported only where fetches can be told apart */
	if (kind == ACCESS_EXEC && ((cpu->cr4 & CR4_SMEP) || ((cpu->cr4 & CR4_PAE) && (cpu->efer & EFER_NXE))))
		code |= PF_I;
	exception_page_fault(cpu, linear, code);
}

/* Rights accumulated on the way down. */
struct rights {
	bool rw, us, nx;
};

static bool allowed(struct cpu *cpu, enum access_kind kind, enum tlb_index as, struct rights r, struct paging_page *page)
{
	bool user = as == TLB_USER;

	if (user) {
		page->read = r.us;
		page->write = r.us && r.rw;
		page->exec = r.us && !r.nx;
	} else {
		bool smap = r.us && (cpu->cr4 & CR4_SMAP) && as != TLB_SUPER_AC;
		page->read = !smap;
		page->write = !smap && (r.rw || !(cpu->cr0 & CR0_WP));
		page->exec = !r.nx && !(r.us && (cpu->cr4 & CR4_SMEP));
	}
	return kind == ACCESS_READ ? page->read : kind == ACCESS_WRITE ? page->write : page->exec;
}

/* Entries of 8 bytes: PAE and 4-level. known: as paging_known(). */
static always_inline u32 walk_long(struct cpu *cpu, u64 linear, enum access_kind kind, enum tlb_index as, bool known,
                                   struct paging_page *page)
{
	struct rights r = {.rw = true, .us = true, .nx = false};
	u64 reserved = PTE_ADDR & ~phys_mask(cpu);
	u64 table = cpu->cr3 & PTE_ADDR & phys_mask(cpu);
	struct step step = {.size = 8};
	int shift = 39;

	if (!(cpu->efer & EFER_NXE))
		reserved |= PTE_NX;
	if (!cpu->long_mode) {
		/* the PDPTEs were checked when CR3 was loaded */
		u64 pdpte = cpu->pdpte[linear >> 30 & 3];
		if (!(pdpte & PTE_P))
			return WALK_FAULT_CODE(0);
		table = pdpte & PTE_ADDR & phys_mask(cpu);
		shift = 21;
		reserved |= 0x7ff0000000000000ull & ~phys_mask(cpu);
	}
	for (;; shift -= 9) {
		step.gpa = (table + (linear >> shift & 511) * 8) & cpu->bus->a20_mask;
		if (known && !access_phys_known(cpu, step.gpa, &step.entry))
			return WALK_UNKNOWN;
		if (!known)
			step.entry = access_phys_read(cpu, step.gpa, 8);
		if (!(step.entry & PTE_P))
			return WALK_FAULT_CODE(0);
		bool leaf = shift == 12 || (shift < 39 && (step.entry & PTE_PS));
		u64 bad = step.entry & reserved;
		if (shift == 39)
			bad |= step.entry & PTE_PS;
		else if (shift == 30 && leaf)
			bad |= cpu_has(cpu, FEAT_PDPE1GB) ? step.entry & 0x3fffe000 : PTE_PS;
		else if (shift == 21 && leaf)
			bad |= step.entry & 0x1fe000;
		if (bad)
			return WALK_FAULT_CODE(PF_P | PF_RSVD);
		r.rw &= (step.entry & PTE_RW) != 0;
		r.us &= (step.entry & PTE_US) != 0;
		r.nx |= (step.entry & PTE_NX) != 0;
		if (leaf)
			break;
		if (known && !(step.entry & PTE_A))
			return WALK_UNKNOWN;
		if (!step_set(cpu, &step, PTE_A))
			return WALK_AGAIN;
		table = step.entry & PTE_ADDR;
	}
	if (!allowed(cpu, kind, as, r, page))
		return WALK_FAULT_CODE(PF_P);
	u64 used = kind == ACCESS_WRITE ? PTE_A | PTE_D : PTE_A;
	if (known && (step.entry & used) != used)
		return WALK_UNKNOWN;
	if (!step_set(cpu, &step, used))
		return WALK_AGAIN;
	u64 offset = (1ull << shift) - 1;
	page->gpa = (step.entry & PTE_ADDR & ~offset) | (linear & offset);
	page->shift = shift;
	page->dirty = step.entry & PTE_D;
	page->global = (step.entry & PTE_G) && (cpu->cr4 & CR4_PGE);
	return WALK_DONE;
}

/* Entries of 4 bytes: 32-bit paging. */
static u32 walk_short(struct cpu *cpu, u64 linear, enum access_kind kind, enum tlb_index as, struct paging_page *page)
{
	struct rights r = {.rw = true, .us = true, .nx = false};
	struct step step = {.size = 4};

	step.gpa = ((cpu->cr3 & 0xfffff000) + (linear >> 22 & 1023) * 4) & cpu->bus->a20_mask;
	step.entry = access_phys_read(cpu, step.gpa, 4);
	if (!(step.entry & PTE_P))
		return WALK_FAULT_CODE(0);
	r.rw &= (step.entry & PTE_RW) != 0;
	r.us &= (step.entry & PTE_US) != 0;
	if ((step.entry & PTE_PS) && (cpu->cr4 & CR4_PSE)) {
		/* PSE-36: bits 13..20 are address bits 32..39 as far as there are any */
		unsigned high = cpu_has(cpu, FEAT_PSE36) ? MIN(cpu->model->phys_bits, 40) - 32 : 0;
		if (step.entry & 0x3fe000 & ~(((1ull << high) - 1) << 13))
			return WALK_FAULT_CODE(PF_P | PF_RSVD);
		page->shift = 22;
		page->gpa = (step.entry & 0xffc00000) | (step.entry >> 13 & ((1ull << high) - 1)) << 32 | (linear & 0x3fffff);
	} else {
		if (!step_set(cpu, &step, PTE_A))
			return WALK_AGAIN;
		step.gpa = ((step.entry & 0xfffff000) + (linear >> 12 & 1023) * 4) & cpu->bus->a20_mask;
		step.entry = access_phys_read(cpu, step.gpa, 4);
		if (!(step.entry & PTE_P))
			return WALK_FAULT_CODE(0);
		r.rw &= (step.entry & PTE_RW) != 0;
		r.us &= (step.entry & PTE_US) != 0;
		page->shift = 12;
		page->gpa = (step.entry & 0xfffff000) | (linear & PAGE_OFFSET);
	}
	if (!allowed(cpu, kind, as, r, page))
		return WALK_FAULT_CODE(PF_P);
	if (!step_set(cpu, &step, kind == ACCESS_WRITE ? PTE_A | PTE_D : PTE_A))
		return WALK_AGAIN;
	page->dirty = step.entry & PTE_D;
	page->global = (step.entry & PTE_G) && (cpu->cr4 & CR4_PGE);
	return WALK_DONE;
}

void paging_walk(struct cpu *cpu, u64 linear, enum access_kind kind, enum tlb_index as, struct paging_page *page)
{
	if (!(cpu->cr0 & CR0_PG)) {
		*page = (struct paging_page){.gpa = linear, .shift = 12, .read = true, .write = true, .exec = true, .dirty = true};
		return;
	}
	for (;;) {
		u32 end = cpu->cr4 & CR4_PAE ? walk_long(cpu, linear, kind, as, false, page) : walk_short(cpu, linear, kind, as, page);
		if (end == WALK_DONE)
			return;
		if (end != WALK_AGAIN)
			fault(cpu, linear, kind, as, end >> 16);
	}
}

bool paging_known(struct cpu *cpu, u64 linear, enum access_kind kind, enum tlb_index as, struct paging_page *page)
{
	return cpu->long_mode && walk_long(cpu, linear, kind, as, true, page) == WALK_DONE;
}

bool paging_probe(struct cpu *cpu, u64 linear, u64 *gpa)
{
	u64 mask = phys_mask(cpu);
	int shift;
	u64 table, entry;

	if (!(cpu->cr0 & CR0_PG)) {
		*gpa = linear;
		return true;
	}
	if (!(cpu->cr4 & CR4_PAE)) {
		entry = bus_read(cpu->bus, (cpu->cr3 & 0xfffff000) + (linear >> 22 & 1023) * 4, 4);
		if (!(entry & PTE_P))
			return false;
		if ((entry & PTE_PS) && (cpu->cr4 & CR4_PSE)) {
			*gpa = (entry & 0xffc00000) | (entry >> 13 & 0xff) << 32 | (linear & 0x3fffff);
			return true;
		}
		entry = bus_read(cpu->bus, (entry & 0xfffff000) + (linear >> 12 & 1023) * 4, 4);
		*gpa = (entry & 0xfffff000) | (linear & PAGE_OFFSET);
		return entry & PTE_P;
	}
	if (cpu->long_mode) {
		if (!mode_canonical(linear))
			return false;
		table = cpu->cr3 & PTE_ADDR & mask;
		shift = 39;
	} else {
		if (!(cpu->pdpte[linear >> 30 & 3] & PTE_P))
			return false;
		table = cpu->pdpte[linear >> 30 & 3] & PTE_ADDR & mask;
		shift = 21;
	}
	for (;; shift -= 9) {
		entry = bus_read(cpu->bus, table + (linear >> shift & 511) * 8, 8);
		if (!(entry & PTE_P))
			return false;
		if (shift == 12 || (shift < 39 && (entry & PTE_PS)))
			break;
		table = entry & PTE_ADDR & mask;
	}
	u64 offset = (1ull << shift) - 1;
	*gpa = (entry & PTE_ADDR & mask & ~offset) | (linear & offset);
	return true;
}

bool paging_load_pdptes(struct cpu *cpu, u64 cr3)
{
	u64 loaded[4];

	for (unsigned i = 0; i < 4; i++) {
		loaded[i] = access_phys_read(cpu, ((cr3 & 0xffffffe0) + i * 8) & cpu->bus->a20_mask, 8);
		/* bits 1-2, 5-8 and those above the address width are reserved in a present one (SDM table 4-8) */
		if ((loaded[i] & PTE_P) && (loaded[i] & (0x1e6 | ~(phys_mask(cpu) | 0xfff))))
			return false;
	}
	memcpy(cpu->pdpte, loaded, sizeof loaded);
	return true;
}
