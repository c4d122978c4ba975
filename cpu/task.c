/* SPDX-License-Identifier: MIT */
/* Hardware task switches between 32-bit and 16-bit TSSs. SDM vol. 3A 7.2 (structures), 7.3 (the steps and table 7-1: what is
 * checked), 7.4 (back link, NT, busy bits).
 *
 * Two halves: task_switch() can still fault in the old task, up to where all of both TSSs was found accessible. From load_new()
 * on the new task is the current one, and what is wrong with its segments is its own fault.
 * Where the manual leaves the order of checks to the CPU: LDTR, CS, SS, then the data segments. */
#include "cpu/task.h"

#include "cpu/access.h"
#include "cpu/control.h"
#include "cpu/exception.h"
#include "cpu/flags.h"
#include "cpu/mode.h"

#define DR7_LOCAL 0x155ull /* L0-L3 and LE: cleared by every task switch */
#define FLAGS_LOADED 0x3f7fd5ull

/* Where things lie in a TSS; offsets of 0 are absent. Registers and selectors come in the encoding's order. */
struct layout {
	u8 size;     /* of a register's slot, 2 or 4 */
	u8 min;      /* least limit */
	u8 cr3, ip, flags, gpr, seg, segs, ldt, trap;
};
static const struct layout layouts[2] = {
	{.size = 2, .min = 0x2b, .ip = 14, .flags = 16, .gpr = 18, .seg = 34, .segs = 4, .ldt = 42},
	{.size = 4, .min = 0x67, .cr3 = 28, .ip = 32, .flags = 36, .gpr = 40, .seg = 72, .segs = 6, .ldt = 96, .trap = 100},
};

/* What is read from the new TSS; each once, CR3 before the rest. */
struct image {
	u32 cr3, ip, flags, gpr[8];
	u16 seg[SEG_COUNT], ldt;
	bool trap;
};

static const struct layout *layout_of(u32 attr)
{
	return &layouts[attr >> 3 & 1];
}

static u32 selector_code(u16 selector, u32 ext)
{
	return (selector & SELECTOR_CODE) | ext;
}

/* ---- the old task ---- */

static void save_old(struct cpu *cpu, const struct layout *l, const struct task_switch *how)
{
	u64 base = cpu->tr.base, flags = how->rflags;

	if (how->how == TASK_RETURN)
		flags &= ~(u64)FLAG_NT;
	sys_write(cpu, base + l->ip, how->rip & mask_bytes(l->size), l->size);
	sys_write(cpu, base + l->flags, flags & mask_bytes(l->size), l->size);
	for (unsigned i = 0; i < 8; i++)
		sys_write(cpu, base + l->gpr + i * l->size, cpu->gpr[i] & mask_bytes(l->size), l->size);
	for (unsigned i = 0; i < l->segs; i++)
		sys_write(cpu, base + l->seg + i * l->size, cpu->seg[i].selector, 2);
}

/* The old TSS's descriptor, if there is one: a CPU that never executed LTR has a TSS at 0 without. */
static bool old_descriptor(struct cpu *cpu, struct descriptor *old)
{
	return !segment_null(cpu->tr.selector) && segment_descriptor(cpu, cpu->tr.selector & ~SELECTOR_TI, false, old);
}

/* ---- the new task ---- */

static void read_new(struct cpu *cpu, u64 base, const struct layout *l, struct image *new)
{
	new->ip = sys_read(cpu, base + l->ip, l->size);
	new->flags = sys_read(cpu, base + l->flags, l->size);
	for (unsigned i = 0; i < 8; i++)
		new->gpr[i] = sys_read(cpu, base + l->gpr + i * l->size, l->size) | (l->size == 2 ? 0xffff0000 : 0);
	for (unsigned i = 0; i < l->segs; i++)
		new->seg[i] = sys_read(cpu, base + l->seg + i * l->size, 2);
	new->ldt = sys_read(cpu, base + l->ldt, 2);
	new->trap = l->trap && (sys_read(cpu, base + l->trap, 1) & 1);
}

/* Would a task switch be able to load this CR3? */
static bool cr3_loads(struct cpu *cpu, u32 cr3)
{
	u64 keep[4];

	if (!(cpu->cr0 & CR0_PG) || !(cpu->cr4 & CR4_PAE))
		return true;
	memcpy(keep, cpu->pdpte, sizeof keep);
	bool loads = paging_load_pdptes(cpu, cr3);
	memcpy(cpu->pdpte, keep, sizeof keep);
	return loads;
}

static void load_ldt(struct cpu *cpu, u16 selector, u32 ext)
{
	struct descriptor d;

	cpu->ldtr = (struct seg){.selector = selector, .attr = SEG_UNUSABLE};
	if (segment_null(selector))
		return;
	if ((selector & SELECTOR_TI) || !segment_descriptor(cpu, selector, false, &d) ||
	    segment_system_type(d.attr) != SYS_LDT || !(d.attr & SEG_P))
		exception_code(cpu, EXC_TS, selector_code(selector, ext));
	segment_from_descriptor(&cpu->ldtr, selector, &d);
}

static void load_cs(struct cpu *cpu, u16 selector, u32 ext)
{
	struct descriptor d;
	u32 code = selector_code(selector, ext);
	unsigned rpl = selector & SELECTOR_RPL;

	if (segment_null(selector) || !segment_descriptor(cpu, selector, false, &d) || !segment_is_code(d.attr))
		exception_code(cpu, EXC_TS, code);
	if (segment_is_conforming(d.attr) ? segment_dpl(d.attr) > rpl : segment_dpl(d.attr) != rpl)
		exception_code(cpu, EXC_TS, code);
	if (!(d.attr & SEG_P))
		exception_code(cpu, EXC_NP, code);
	segment_set_accessed(cpu, &d);
	segment_from_descriptor(&cpu->seg[SEG_CS], selector, &d);
	mode_update(cpu);
}

static void load_ss(struct cpu *cpu, u16 selector, u32 ext)
{
	struct descriptor d;

	if (segment_null(selector))
		exception_code(cpu, EXC_TS, selector_code(selector, ext));
	segment_stack_descriptor(cpu, selector, cpu->cpl, EXC_TS, ext, &d);
	segment_set_accessed(cpu, &d);
	segment_from_descriptor(&cpu->seg[SEG_SS], selector, &d);
}

static void load_segments(struct cpu *cpu, const struct image *new, u32 ext)
{
	static const u8 data[] = {SEG_DS, SEG_ES, SEG_FS, SEG_GS};
	struct descriptor d;

	load_cs(cpu, new->seg[SEG_CS], ext);
	load_ss(cpu, new->seg[SEG_SS], ext);
	for (unsigned i = 0; i < ARRAY_LEN(data); i++) {
		u16 selector = new->seg[data[i]];
		if (segment_null(selector))
			continue;
		segment_data_descriptor(cpu, selector, EXC_TS, ext, &d);
		segment_set_accessed(cpu, &d);
		segment_from_descriptor(&cpu->seg[data[i]], selector, &d);
	}
}

/* Registers and flags first, with segments that are not usable yet; then segment by segment. A fault in between finds a
 * consistent CPU: what is not marked flat yet is merely checked more carefully. */
static void load_new(struct cpu *cpu, const struct image *new, const struct task_switch *how)
{
	u64 flags = (new->flags & FLAGS_LOADED) | FLAG_1;

	if (how->how == TASK_CALL)
		flags |= FLAG_NT;
	for (unsigned i = 0; i < 8; i++)
		cpu->gpr[i] = new->gpr[i];
	cpu->rip = new->ip;
	flags_set(cpu, flags);
	cpu->cr0 |= CR0_TS;
	cpu->dr[7] &= ~DR7_LOCAL;
	cpu->cpl = flags & FLAG_VM ? 3 : new->seg[SEG_CS] & SELECTOR_RPL;
	for (unsigned i = 0; i < SEG_COUNT; i++)
		segment_load_null(cpu, i, new->seg[i]);
	mode_update(cpu);
	load_ldt(cpu, new->ldt, how->ext);
	if (flags & FLAG_VM)
		for (unsigned i = 0; i < SEG_COUNT; i++)
			segment_load_real(cpu, i, new->seg[i]);
	else
		load_segments(cpu, new, how->ext);
	mode_update(cpu);
}

/* ---- the switch ---- */

static void push_code(struct cpu *cpu, const struct task_switch *how, unsigned size)
{
	u64 offset = (cpu->gpr[RSP] - size) & mask_bytes(mode_stack_size(cpu));

	if (!segment_holds(&cpu->seg[SEG_SS], offset, size))
		exception_code(cpu, EXC_SS, how->ext);
	stack_push(cpu, how->code, size);
}

void task_switch(struct cpu *cpu, u16 selector, struct descriptor *tss, const struct task_switch *how)
{
	const struct layout *from = layout_of(cpu->tr.attr), *to = layout_of(tss->attr);
	struct descriptor old;
	struct image new = {0};

	if (tss->limit < to->min)
		exception_code(cpu, EXC_TS, selector_code(selector, how->ext));
	if (cpu->tr.limit < from->min)
		exception_code(cpu, EXC_TS, selector_code(cpu->tr.selector, how->ext));
	bool release = how->how != TASK_CALL && old_descriptor(cpu, &old);
	sys_check(cpu, cpu->tr.base + from->ip, from->min + 1 - from->ip, true);
	sys_check(cpu, tss->base, to->min + 1, false);
	if (how->how == TASK_CALL)
		sys_check(cpu, tss->base, 2, true);
	if (release)
		sys_check(cpu, old.linear + 5, 1, true);
	if (how->how != TASK_RETURN)
		sys_check(cpu, tss->linear + 5, 1, true);
	if (to->cr3)
		new.cr3 = sys_read(cpu, tss->base + to->cr3, 4);
	if (to->cr3 && !cr3_loads(cpu, new.cr3))
		exception_gp(cpu, how->ext);
	/* another CPU may be about to switch to the same task */
	if (how->how != TASK_RETURN && !segment_set_busy(cpu, tss, true))
		exception_gp(cpu, selector_code(selector, how->ext));

	save_old(cpu, from, how);
	if (release)
		segment_set_busy(cpu, &old, false);
	if (how->how == TASK_CALL)
		sys_write(cpu, tss->base, cpu->tr.selector, 2);
	read_new(cpu, tss->base, to, &new);
	if (how->how == TASK_RETURN)
		tss->attr |= SYS_TSS ^ SYS_TSS_BUSY; /* its bit stays set in memory, unless the task returns to itself */
	segment_from_descriptor(&cpu->tr, selector, tss);
	cpu->cur = NULL; /* faults are those of the new task from here on */
	cpu->step = false; /* a single step is one of the new task's instructions, by its own TF */
	/* PDPTEs that were good may be so no longer */
	if (to->cr3 && (cpu->cr0 & CR0_PG) && !control_set_cr3(cpu, new.cr3))
		exception_gp(cpu, how->ext);
	load_new(cpu, &new, how);

	if (how->has_code)
		push_code(cpu, how, to->size);
	if (cpu->rip > cpu->seg[SEG_CS].limit)
		exception_gp(cpu, how->ext);
	/* Not at once, though it comes before the new task's first instruction: the handler may be such a task as well, for ever. */
	if (new.trap) {
		cpu->pending_db |= DR6_BT;
		mode_flags_changed(cpu);
	}
}

void task_enter_gate(struct cpu *cpu, u16 selector, const struct task_switch *how)
{
	u32 code = selector_code(selector, how->ext);
	struct descriptor tss;

	if (segment_null(selector) || (selector & SELECTOR_TI) || !segment_descriptor(cpu, selector, false, &tss))
		exception_gp(cpu, code);
	unsigned type = segment_system_type(tss.attr);
	if (type != SYS_TSS16 && type != SYS_TSS)
		exception_gp(cpu, code);
	if (!(tss.attr & SEG_P))
		exception_code(cpu, EXC_NP, code);
	task_switch(cpu, selector, &tss, how);
}

void task_return(struct cpu *cpu, u64 rip)
{
	struct task_switch how = {.how = TASK_RETURN, .rip = rip, .rflags = flags_get(cpu)};
	u16 selector = sys_read(cpu, cpu->tr.base, 2);
	struct descriptor tss;

	if (segment_null(selector) || (selector & SELECTOR_TI) || !segment_descriptor(cpu, selector, false, &tss))
		exception_code(cpu, EXC_TS, selector_code(selector, 0));
	unsigned type = segment_system_type(tss.attr);
	if (type != SYS_TSS16_BUSY && type != SYS_TSS_BUSY)
		exception_code(cpu, EXC_TS, selector_code(selector, 0));
	if (!(tss.attr & SEG_P))
		exception_code(cpu, EXC_NP, selector_code(selector, 0));
	task_switch(cpu, selector, &tss, &how);
}
