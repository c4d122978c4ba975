/* SPDX-License-Identifier: MIT */
/* Port input and output: IN, OUT, INS, OUTS. SDM vol. 2; vol. 1 ch. 19 (privilege, the TSS's permission bitmap); vol. 3A 18.2.4
 * (I/O breakpoints).
 *
 * A repeated string runs in batches: as many elements as lie on one page of plain memory under one hold of the machine lock,
 * or fewer if somebody waits for it: what a device does at one access may take long, and hundreds of them are one batch.
 * After every element the registers could be the architectural ones: a fault or an interrupt finds them exact. */
#include <Zydis/Mnemonic.h>
#include <Zydis/SharedTypes.h>

#include "cpu/access.h"
#include "cpu/exception.h"
#include "cpu/forms.h"
#include "cpu/mode.h"
#include "cpu/quiet.h"
#include "cpu/segment.h"
#include "cpu/watch.h"

#define BATCH_MAX 512 /* elements under one hold of the lock */
#define POLITE 16 /* elements between looks whether somebody waits for the lock: handing it over costs more than a few */
#define SHARE 65536 /* elements to do before anything else is looked at, and the instruction is counted again */
#define TSS_IO_BASE 102 /* where a TSS tells the offset of its I/O bitmap */

/* ---- permission ---- */

static void check_bitmap(struct cpu *cpu, u16 port, unsigned size)
{
	unsigned type = cpu->tr.attr & SEG_TYPE;

	if (!(cpu->tr.attr & SEG_P) || (type != 9 && type != 11) || cpu->tr.limit < TSS_IO_BASE + 1)
		exception_gp(cpu, 0);
	u32 at = (u32)sys_read(cpu, cpu->tr.base + TSS_IO_BASE, 2) + port / 8;
	if (at + 1 > cpu->tr.limit) /* two bytes are always read */
		exception_gp(cpu, 0);
	u32 bits = sys_read(cpu, cpu->tr.base + at, 2);
	if (bits >> port % 8 & ((1u << size) - 1))
		exception_gp(cpu, 0);
}

static void check_port(struct cpu *cpu, u16 port, unsigned size)
{
	if (mode_protected(cpu) && (mode_v86(cpu) || cpu->cpl > mode_iopl(cpu)))
		check_bitmap(cpu, port, size);
}

/* ---- the ports ---- */

/* I/O breakpoints are traps: noted now, raised after the instruction or the element. */
static void breakpoints(struct cpu *cpu, u16 port, unsigned size)
{
	static const u8 length[4] = {1, 2, 8, 4};

	if (likely(!cpu->watchpoints) || !(cpu->cr4 & CR4_DE))
		return;
	for (unsigned i = 0; i < 4; i++) {
		u32 len = length[cpu->dr[7] >> (18 + i * 4) & 3];
		if (!(cpu->dr[7] >> i * 2 & 3) || (cpu->dr[7] >> (16 + i * 4) & 3) != 2)
			continue;
		u64 first = cpu->dr[i] & ~(u64)(len - 1);
		if (port < first + len && first < port + size)
			cpu->dr6_hits |= BIT(i);
	}
}

/* Devices see the time of this instruction, though its block is counted already. */
static u32 port_in(struct cpu *cpu, const struct insn *in, u16 port, unsigned size)
{
	u64 ahead = in->left;

	cpu->instructions -= ahead;
	bool inside = quiet_leave(cpu);
	u32 value = bus_in(cpu->bus, port, size);
	quiet_enter(cpu, inside);
	cpu->instructions += ahead;
	breakpoints(cpu, port, size);
	watch_seen(cpu, WATCH_PORT, port);
	return value;
}

static void port_out(struct cpu *cpu, const struct insn *in, u16 port, u32 value, unsigned size)
{
	u64 ahead = in->left;

	cpu->instructions -= ahead;
	bool inside = quiet_leave(cpu);
	bus_out(cpu->bus, port, value, size);
	quiet_enter(cpu, inside);
	cpu->instructions += ahead;
	breakpoints(cpu, port, size);
	watch_seen(cpu, WATCH_PORT, port);
}

static void in_port(struct cpu *cpu, const struct insn *in, u16 port)
{
	check_port(cpu, port, in->osize);
	u32 value = port_in(cpu, in, port, in->osize);
	if (in->osize == 1)
		set_reg8(cpu, RAX * 8, value);
	else if (in->osize == 2)
		set_reg16(cpu, RAX, value);
	else
		set_reg32(cpu, RAX, value);
	cpu->rip = insn_next_rip(cpu, in);
}

static void out_port(struct cpu *cpu, const struct insn *in, u16 port)
{
	u64 next = insn_next_rip(cpu, in);

	check_port(cpu, port, in->osize);
	port_out(cpu, in, port, cpu->gpr[RAX] & mask_bytes(in->osize), in->osize);
	cpu->rip = next;
}

OP_END(in_imm)
{
	in_port(cpu, in, in->imm & 0xff);
}

OP_END(in_dx)
{
	in_port(cpu, in, *reg16(cpu, RDX));
}

OP_END(out_imm)
{
	out_port(cpu, in, in->imm & 0xff);
}

OP_END(out_dx)
{
	out_port(cpu, in, *reg16(cpu, RDX));
}

/* ---- strings ---- */

static void set_by_asize(struct cpu *cpu, const struct insn *in, enum gpr reg, u64 value)
{
	if (in->asize == 8)
		set_reg64(cpu, reg, value);
	else if (in->asize == 4)
		set_reg32(cpu, reg, value);
	else
		set_reg16(cpu, reg, value);
}

static u64 linear_of(struct cpu *cpu, unsigned seg, u64 offset, unsigned size, bool write)
{
	if (cpu->code_mode == CODE64)
		return seg >= SEG_FS ? cpu->seg[seg].base + offset : offset;
	return segment_linear(cpu, seg, offset, size, write);
}

/* How many elements from here lie ahead on the same page without a wrap of the offset or the segment's end. */
static u64 batch(struct cpu *cpu, const struct insn *in, unsigned seg, u64 offset, u64 linear, u64 count)
{
	u64 bytes = PAGE_SIZE - (linear & PAGE_OFFSET);

	if (cpu->rflags & FLAG_DF)
		return 0;
	if (in->asize < 8)
		bytes = MIN(bytes, mask_bytes(in->asize) + 1 - offset);
	if (cpu->code_mode != CODE64) {
		const struct seg *s = &cpu->seg[seg];
		if (!(s->attr & SEG_CODE) && (s->attr & SEG_DC)) /* expand down: no end ahead that matters to be quick */
			return 0;
		bytes = MIN(bytes, (u64)s->limit + 1 - offset); /* the first element was checked: offset <= limit */
	}
	return MIN(MIN(bytes / in->osize, count), BATCH_MAX);
}

/* Should a repeated string stop between elements, to go on later from the registers? */
static bool interrupted(const struct cpu *cpu)
{
	return atomic_load_explicit(&cpu->kick, memory_order_relaxed) || (cpu->rflags & FLAG_TF) || cpu->dr6_hits || cpu->debugger;
}

/* A machine without devices may have no loop, and then no lock. */
static void lock(struct cpu *cpu)
{
	if (cpu->bus->loop) {
		bool inside = quiet_leave(cpu);
		loop_lock(cpu->bus->loop);
		quiet_enter(cpu, inside);
	}
}

static void unlock(struct cpu *cpu)
{
	if (cpu->bus->loop)
		loop_unlock(cpu->bus->loop);
}

/* Does a batch end after `done` of its elements, so that another thread gets the lock? */
static bool wanted(const struct cpu *cpu, u64 done)
{
	return done % POLITE == 0 && cpu->bus->loop && loop_wanted(cpu->bus->loop);
}

static u64 load_element(const struct cpu *cpu, const u8 *p, unsigned size)
{
	return size == 1 ? guest_load8(cpu, p) : size == 2 ? guest_load16(cpu, p) : guest_load32(cpu, p);
}

static void store_element(const struct cpu *cpu, u8 *p, u64 value, unsigned size)
{
	if (size == 1)
		guest_store8(cpu, p, value);
	else if (size == 2)
		guest_store16(cpu, p, value);
	else
		guest_store32(cpu, p, value);
}

static bool misaligned(const struct cpu *cpu, u64 linear, unsigned size)
{
	return (linear & (size - 1)) && cpu->cpl == 3 && (cpu->cr0 & CR0_AM) && (cpu->rflags & FLAG_AC);
}

/* One element, or a batch; returns how many were done. */
static u64 ins_some(struct cpu *cpu, const struct insn *in, u16 port, u64 offset, u64 count)
{
	unsigned size = in->osize;
	u64 linear = linear_of(cpu, SEG_ES, offset, size, true), n = batch(cpu, in, SEG_ES, offset, linear, count), done = 0;

	if (n > 1 && access_fast(cpu, linear, size, true)) {
		lock(cpu);
		do {
			u32 value = port_in(cpu, in, port, size);
			/* again: the device, or another CPU meanwhile, may have put the page under watch */
			u8 *p = access_fast(cpu, linear + done * size, size, true);
			if (unlikely(!p)) {
				unlock(cpu);
				access_write(cpu, linear + done * size, value, size, SEG_ES);
				return done + 1;
			}
			store_element(cpu, p, value, size);
		} while (++done < n && !interrupted(cpu) && !wanted(cpu, done));
		unlock(cpu);
		return done;
	}
	/* The port is read only when nothing can fault any more. */
	if (misaligned(cpu, linear, size))
		exception_code(cpu, EXC_AC, 0);
	access_check(cpu, linear, size, true, SEG_ES);
	access_write(cpu, linear, port_in(cpu, in, port, size), size, SEG_ES);
	return 1;
}

static u64 outs_some(struct cpu *cpu, const struct insn *in, u16 port, u64 offset, u64 count)
{
	unsigned size = in->osize;
	u64 linear = linear_of(cpu, in->seg, offset, size, false), n = batch(cpu, in, in->seg, offset, linear, count), done = 0;
	const u8 *p = n > 1 ? access_fast(cpu, linear, size, false) : NULL;

	if (p) {
		lock(cpu);
		do
			port_out(cpu, in, port, load_element(cpu, p + done * size, size), size);
		while (++done < n && !interrupted(cpu) && !wanted(cpu, done));
		unlock(cpu);
		return done;
	}
	port_out(cpu, in, port, access_read(cpu, linear, size, in->seg), size);
	return 1;
}

static always_inline void string_io(struct cpu *cpu, const struct insn *in, enum gpr pointer, bool input)
{
	bool rep = in->prefix & (INSN_REP | INSN_REPNE);
	u64 mask = mask_bytes(in->asize), count = rep ? cpu->gpr[RCX] & mask : 1;
	u64 next = insn_next_rip(cpu, in), self = insn_rip(cpu, in);
	u16 port = *reg16(cpu, RDX);
	i64 step = cpu->rflags & FLAG_DF ? -(i64)in->osize : in->osize;
	u64 share = SHARE;

	cpu->rip = next;
	check_port(cpu, port, in->osize); /* even when nothing will be moved */
	if (!count)
		return;
	for (;;) {
		u64 offset = cpu->gpr[pointer] & mask;
		u64 most = MIN(count, share), done = input ? ins_some(cpu, in, port, offset, most) : outs_some(cpu, in, port, offset, most);
		set_by_asize(cpu, in, pointer, offset + done * step);
		count -= done;
		if (rep)
			set_by_asize(cpu, in, RCX, count);
		if (!count)
			return;
		share -= done;
		if (!share || interrupted(cpu))
			break;
	}
	/* RF: a code breakpoint here was taken before the first element (SDM vol. 3A 18.3.1.1). */
	cpu->rip = self;
	cpu->rflags |= FLAG_RF;
	mode_flags_changed(cpu);
}

OP_END(ins)
{
	string_io(cpu, in, RDI, true);
}

OP_END(outs)
{
	string_io(cpu, in, RSI, false);
}

#define M(name) ZYDIS_MNEMONIC_##name
static const struct form table[] = {
	{M(IN), {O_AL, O_I}, FORM_END, 0, in_imm},
	{M(IN), {O_AX, O_I}, FORM_END, 0, in_imm},
	{M(IN), {O_EAX, O_I}, FORM_END, 0, in_imm},
	{M(IN), {O_AL, O_DX}, FORM_END, 0, in_dx},
	{M(IN), {O_AX, O_DX}, FORM_END, 0, in_dx},
	{M(IN), {O_EAX, O_DX}, FORM_END, 0, in_dx},
	{M(OUT), {O_I, O_AL}, FORM_END, 0, out_imm},
	{M(OUT), {O_I, O_AX}, FORM_END, 0, out_imm},
	{M(OUT), {O_I, O_EAX}, FORM_END, 0, out_imm},
	{M(OUT), {O_DX, O_AL}, FORM_END, 0, out_dx},
	{M(OUT), {O_DX, O_AX}, FORM_END, 0, out_dx},
	{M(OUT), {O_DX, O_EAX}, FORM_END, 0, out_dx},
	{M(INSB), {0}, FORM_END | FORM_REP, 0, ins},
	{M(INSW), {0}, FORM_END | FORM_REP, 0, ins},
	{M(INSD), {0}, FORM_END | FORM_REP, 0, ins},
	{M(OUTSB), {0}, FORM_END | FORM_REP, 0, outs},
	{M(OUTSW), {0}, FORM_END | FORM_REP, 0, outs},
	{M(OUTSD), {0}, FORM_END | FORM_REP, 0, outs},
};
const struct form_table io_forms = {table, ARRAY_LEN(table)};
