/* SPDX-License-Identifier: MIT */
/* System management mode: entry by SMI, RSM, the state save area, relocation of its base. AMD APM vol. 2 ch. 10 (table 10-1), whose
 * layout SeaBIOS, OVMF and Linux know by its revision; for models without long mode the 32-bit layout of the P6 family (SDM
 * vol. 3C 32.4.1). SDM 32.4.2, 32.5 for the state at entry.
 * Not implemented: restart of I/O instructions (the revision says so), SMIs that tell which instruction caused them, dual-monitor
 * treatment, masking of A20M# in SMM.
 *
 * Who sees SMRAM is the chipset's affair: it is told through cpu->host.smm() on every change. With several CPUs the others see it
 * too while one is in SMM.
 * The handler owns the saved state: everything read back is masked to what exists, and what cannot be leads to shutdown.
 * in_smm: bit 0 set in SMM, bit 1: NMIs were blocked already when it was entered. */
#include "cpu/smm.h"

#include "cpu/access.h"
#include "cpu/control.h"
#include "cpu/flags.h"
#include "cpu/mode.h"
#include "cpu/model.h"
#include "cpu/quiet.h"

#define AREA 0xfe00u /* above SMBASE */
#define AREA_SIZE 0x200u
#define ENTRY 0x8000u

enum { IN_SMM = 1, NMI_WAS_BLOCKED = 2 };
enum layout { WIDE, NARROW };
#define REVISION_WIDE 0x20064u /* with a base that can be moved */
#define REVISION_NARROW 0x20000u
enum { REVISION_AT = 0xfc, HALT_WIDE = 0xc9, HALT_NARROW = 0x102 };

/* Where a register lies in either layout, above AREA, and how wide it is there; width 0: it is not. */
struct slot {
	u16 member;
	struct { u16 at; u8 bytes; } in[2];
};
#define SLOT(m, wide, wide_bytes, narrow, narrow_bytes) {offsetof(struct cpu, m), {{wide, wide_bytes}, {narrow, narrow_bytes}}}
static const struct slot slots[] = {
	SLOT(gpr[RAX], 0x1f8, 8, 0x1d0, 4), SLOT(gpr[RCX], 0x1f0, 8, 0x1d4, 4), SLOT(gpr[RDX], 0x1e8, 8, 0x1d8, 4),
	SLOT(gpr[RBX], 0x1e0, 8, 0x1dc, 4), SLOT(gpr[RSP], 0x1d8, 8, 0x1e0, 4), SLOT(gpr[RBP], 0x1d0, 8, 0x1e4, 4),
	SLOT(gpr[RSI], 0x1c8, 8, 0x1e8, 4), SLOT(gpr[RDI], 0x1c0, 8, 0x1ec, 4), SLOT(gpr[R8], 0x1b8, 8, 0, 0),
	SLOT(gpr[R9], 0x1b0, 8, 0, 0),      SLOT(gpr[R10], 0x1a8, 8, 0, 0),     SLOT(gpr[R11], 0x1a0, 8, 0, 0),
	SLOT(gpr[R12], 0x198, 8, 0, 0),     SLOT(gpr[R13], 0x190, 8, 0, 0),     SLOT(gpr[R14], 0x188, 8, 0, 0),
	SLOT(gpr[R15], 0x180, 8, 0, 0),     SLOT(rip, 0x178, 8, 0x1f0, 4),      SLOT(rflags, 0x170, 8, 0x1f4, 4),
	SLOT(dr[6], 0x168, 8, 0x1cc, 4),    SLOT(dr[7], 0x160, 8, 0x1c8, 4),    SLOT(cr0, 0x158, 8, 0x1fc, 4),
	SLOT(cr3, 0x150, 8, 0x1f8, 4),      SLOT(cr4, 0x148, 8, 0x114, 4),      SLOT(efer, 0xd0, 8, 0, 0),
	SLOT(smbase, 0x100, 4, 0xf8, 4),    SLOT(gdtr.base, 0x68, 8, 0x174, 4), SLOT(gdtr.limit, 0x64, 2, 0x170, 2),
	SLOT(idtr.base, 0x88, 8, 0x158, 4), SLOT(idtr.limit, 0x84, 2, 0x154, 2),
};

/* Segment registers: selector, attributes, limit and base, each where the layout has it. */
static const struct segment_slot {
	u16 member;
	struct { u16 selector, attr, limit, base; } in[2];
} segment_slots[] = {
#define SEGMENT(m, wide, selector, rest)                                                                               \
	{offsetof(struct cpu, m), {{wide, (wide) + 2, (wide) + 4, (wide) + 8}, {selector, rest, (rest) + 4, (rest) + 8}}}
	SEGMENT(seg[SEG_ES], 0x00, 0x1a8, 0x184), SEGMENT(seg[SEG_CS], 0x10, 0x1ac, 0x190), SEGMENT(seg[SEG_SS], 0x20, 0x1b0, 0x19c),
	SEGMENT(seg[SEG_DS], 0x30, 0x1b4, 0x12c), SEGMENT(seg[SEG_FS], 0x40, 0x1b8, 0x138), SEGMENT(seg[SEG_GS], 0x50, 0x1bc, 0x144),
	SEGMENT(ldtr, 0x70, 0x1c0, 0x178),        SEGMENT(tr, 0x90, 0x1c4, 0x15c),
};

static enum layout layout_of(const struct cpu *cpu)
{
	return cpu_has(cpu, FEAT_LM) ? WIDE : NARROW;
}

/* ---- the save area ---- */

static void save(struct cpu *cpu, u8 *area)
{
	enum layout l = layout_of(cpu);

	memset(area, 0, AREA_SIZE);
	for (unsigned i = 0; i < ARRAY_LEN(slots); i++)
		memcpy(area + slots[i].in[l].at, (u8 *)cpu + slots[i].member, slots[i].in[l].bytes);
	for (unsigned i = 0; i < ARRAY_LEN(segment_slots); i++) {
		const struct segment_slot *s = &segment_slots[i];
		const struct seg *seg = (struct seg *)((u8 *)cpu + s->member);

		store16(area + s->in[l].selector, seg->selector);
		store16(area + s->in[l].attr, seg->attr);
		store32(area + s->in[l].limit, seg->limit);
		if (l == WIDE)
			store64(area + s->in[l].base, seg->base);
		else
			store32(area + s->in[l].base, seg->base);
	}
	store32(area + REVISION_AT, l == WIDE ? REVISION_WIDE : REVISION_NARROW);
	area[l == WIDE ? HALT_WIDE : HALT_NARROW] = cpu->activity == CPU_HALTED;
}

static void load_segments(struct cpu *cpu, const u8 *area, enum layout l)
{
	for (unsigned i = 0; i < ARRAY_LEN(segment_slots); i++) {
		const struct segment_slot *s = &segment_slots[i];
		struct seg *seg = (struct seg *)((u8 *)cpu + s->member);
		u32 attr = load16(area + s->in[l].attr) & (SEG_TYPE | SEG_S | SEG_DPL | SEG_P | SEG_AVL | SEG_L | SEG_DB | SEG_G);

		*seg = (struct seg){
			.selector = load16(area + s->in[l].selector),
			.attr = attr & SEG_P ? attr : attr | SEG_UNUSABLE,
			.limit = load32(area + s->in[l].limit),
			.base = l == WIDE ? load64(area + s->in[l].base) : load32(area + s->in[l].base),
		};
	}
}

/* Everything but what needs checks goes straight into place. False: there is no such state. */
static bool load(struct cpu *cpu, const u8 *area)
{
	const u64 cr0_bits = CR0_PE | CR0_MP | CR0_EM | CR0_TS | CR0_ET | CR0_NE | CR0_WP | CR0_AM | CR0_NW | CR0_CD | CR0_PG;
	enum layout l = layout_of(cpu);

	cpu->efer = 0;
	for (unsigned i = 0; i < ARRAY_LEN(slots); i++) {
		u8 *member = (u8 *)cpu + slots[i].member;
		unsigned bytes = slots[i].in[l].bytes;

		if (l == NARROW && bytes == 4)
			memset(member, 0, 8);
		memcpy(member, area + slots[i].in[l].at, bytes);
	}
	load_segments(cpu, area, l);
	cpu->dr[6] = (cpu->dr[6] & DR6_WRITABLE) | DR6_FIXED;
	cpu->dr[7] = (cpu->dr[7] & DR7_WRITABLE) | DR7_FIXED;
	cpu->smbase &= 0xffffffff;
	flags_set(cpu, (cpu->rflags & 0x3f7fd7) | FLAG_1);
	cpu->cr0 = (cpu->cr0 & cr0_bits) | CR0_ET;
	if ((cpu->cr0 & CR0_PG && !(cpu->cr0 & CR0_PE)) || (cpu->cr0 & CR0_NW && !(cpu->cr0 & CR0_CD)))
		return false;
	if (cpu->cr4 & ~control_cr4_bits(cpu) || cpu->efer & ~control_efer_bits(cpu))
		return false;
	cpu->efer &= ~EFER_LMA;
	if (cpu->efer & EFER_LME && cpu->cr0 & CR0_PG)
		cpu->efer |= EFER_LMA;
	if (cpu->efer & EFER_LMA && !(cpu->cr4 & CR4_PAE))
		return false;
	if (cpu->cr4 & CR4_PCIDE && !(cpu->efer & EFER_LMA))
		return false;
	cpu->cr3 &= BIT(cpu->model->phys_bits) - 1;
	if (!(cpu->efer & EFER_LMA && cpu->seg[SEG_CS].attr & SEG_L))
		cpu->rip &= 0xffffffff;
	return !(cpu->cr0 & CR0_PG && cpu->cr4 & CR4_PAE && !(cpu->efer & EFER_LMA)) || paging_load_pdptes(cpu, cpu->cr3);
}

/* ---- in and out ---- */

/* What follows from the state. Decoded code stays: it is kept by host page. */
static void derive(struct cpu *cpu)
{
	if (!mode_protected(cpu))
		cpu->cpl = 0;
	else
		cpu->cpl = mode_v86(cpu) ? 3 : cpu->seg[SEG_SS].attr >> SEG_DPL_SHIFT & 3;
	mode_update(cpu);
	tlb_flush_all(cpu);
}

static void set_in_smm(struct cpu *cpu, u8 value)
{
	__atomic_store_n(&cpu->in_smm, value, __ATOMIC_RELAXED); /* other CPUs look when they tell the chipset */
	if (cpu->host.smm) {
		bool inside = quiet_leave(cpu);
		cpu->host.smm(cpu->host.opaque, cpu);
		quiet_enter(cpu, inside);
	}
}

void smm_enter(struct cpu *cpu)
{
	u8 area[AREA_SIZE];

	flags_sync(cpu);
	set_in_smm(cpu, IN_SMM | (cpu->nmi_blocked ? NMI_WAS_BLOCKED : 0));
	save(cpu, area);
	bus_dma_write(cpu->bus, cpu->smbase + AREA, area, sizeof area);
	cpu->activity = CPU_RUNNING;
	cpu->nmi_blocked = true;
	cpu->shadow = SHADOW_NONE;
	cpu->pending_db = 0;
	for (unsigned i = 0; i < SEG_COUNT; i++)
		cpu->seg[i] = (struct seg){.limit = 0xffffffff, .attr = SEG_P | SEG_S | SEG_RW | SEG_ACCESSED | SEG_G};
	cpu->seg[SEG_CS].selector = cpu->smbase >> 4;
	cpu->seg[SEG_CS].base = cpu->smbase;
	cpu->seg[SEG_CS].attr |= SEG_CODE;
	cpu->cr0 &= ~(CR0_PE | CR0_EM | CR0_TS | CR0_PG);
	cpu->cr4 = 0;
	cpu->efer = 0;
	cpu->dr[7] = DR7_FIXED;
	flags_set(cpu, FLAG_1);
	cpu->rip = ENTRY;
	derive(cpu);
}

void smm_leave(struct cpu *cpu)
{
	u8 area[AREA_SIZE], was = cpu->in_smm;

	bus_dma_read(cpu->bus, cpu->smbase + AREA, area, sizeof area);
	bool ok = load(cpu, area);
	cpu->nmi_blocked = was & NMI_WAS_BLOCKED;
	set_in_smm(cpu, 0);
	cpu->shadow = SHADOW_NONE;
	cpu->activity = area[layout_of(cpu) == WIDE ? HALT_WIDE : HALT_NARROW] & 1 ? CPU_HALTED : CPU_RUNNING;
	derive(cpu);
	cpu_request(cpu, 0); /* what was held back may be due */
	if (ok)
		return;
	cpu->activity = CPU_SHUTDOWN;
	cpu->chain_len = 0;
	if (cpu->host.triple_fault)
		cpu->host.triple_fault(cpu->host.opaque, cpu);
}
