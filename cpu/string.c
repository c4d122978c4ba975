/* SPDX-License-Identifier: MIT */
/* String instructions: MOVS STOS LODS SCAS CMPS, with and without REP. SDM vol. 2; vol. 1 7.3.9; vol. 3B 18.3.1.1 (RF). INS
 * and OUTS are with the ports.
 *
 * A repeated string is done in chunks: as many elements as lie on one page of plain memory on both sides, with the loops of the
 * host; or a single one through the slow path (page crossings, devices). After each chunk the registers are
 * the architectural ones, so a fault finds them exact. Between chunks the instruction may stop and go on later from the
 * registers: when something wants attention, when it has had its share, and after each element while single-stepping.
 * The result is that of one element after the other, however source and destination overlap.
 *
 * What depends on the flavour: the flags of Intel's SCAS and CMPS appear when the instruction ends or stops, so a fault finds those
 * from before it; on AMD's CPUs it finds those of the last element that was done. Intel's clear the upper halves of the registers
 * of a REP with 32-bit addresses first, whether or not there is anything to do; AMD's by what they do. Of the operands of CMPS that
 * both fault ES:DI is the first, though a Zen 5 (not a Zen 4) was seen to name the other. */
#include <Zydis/Mnemonic.h>
#include <Zydis/SharedTypes.h>

#include "cpu/access.h"
#include "cpu/flags.h"
#include "cpu/forms.h"
#include "cpu/model.h"
#include "cpu/segment.h"

#define SHARE (16 * PAGE_SIZE) /* bytes to do before interrupts are looked at even if nobody asked */

enum kind { MOVS, STOS, LODS, SCAS, CMPS };

static always_inline u64 element_load(const struct cpu *cpu, const u8 *p, unsigned size)
{
	return size == 1   ? guest_load8(cpu, p)
	       : size == 2 ? guest_load16(cpu, p)
	       : size == 4 ? guest_load32(cpu, p)
	                   : guest_load64(cpu, p);
}

static always_inline void element_store(const struct cpu *cpu, u8 *p, u64 value, unsigned size)
{
	if (size == 1)
		guest_store8(cpu, p, value);
	else if (size == 2)
		guest_store16(cpu, p, value);
	else if (size == 4)
		guest_store32(cpu, p, value);
	else
		guest_store64(cpu, p, value);
}

static always_inline u64 element_read(struct cpu *cpu, u64 linear, unsigned seg, unsigned size)
{
	return size == 1 ? lin_read8(cpu, linear, seg) : size == 2 ? lin_read16(cpu, linear, seg)
	     : size == 4 ? lin_read32(cpu, linear, seg) : lin_read64(cpu, linear, seg);
}

static always_inline void element_write(struct cpu *cpu, u64 linear, u64 value, unsigned size)
{
	if (size == 1)
		lin_write8(cpu, linear, value, SEG_ES);
	else if (size == 2)
		lin_write16(cpu, linear, value, SEG_ES);
	else if (size == 4)
		lin_write32(cpu, linear, value, SEG_ES);
	else
		lin_write64(cpu, linear, value, SEG_ES);
}

/* ---- one side of the operation ---- */

struct side {
	u64 offset; /* in the segment */
	u64 linear;
	u8 *host;   /* NULL: the slow path */
	u8 *watch;  /* NULL, or who to tell of writes: access_bulk() */
};

/* Elements from here on, in the direction of DF, that lie on the same page, in the segment and in the address size. The first
 * is known to lie in the segment. */
static u64 reach(const struct cpu *cpu, const struct insn *in, unsigned seg, const struct side *side, unsigned size, bool down)
{
	u64 page = side->linear & PAGE_OFFSET;

	if (cpu->code_mode == CODE64 && in->asize == 8)
		return down ? page / size + 1 : (PAGE_SIZE - page) / size;
	u64 bytes = mask_bytes(in->asize) - side->offset;
	if (cpu->code_mode != CODE64) {
		const struct seg *s = &cpu->seg[seg];
		if (!(s->attr & SEG_CODE) && (s->attr & SEG_DC)) /* expand down: the limit is the lower end */
			return 1;
		bytes = MIN(bytes, s->limit - side->offset);
	}
	if (down)
		return MIN(page, side->offset) / size + 1;
	return MAX(MIN(PAGE_SIZE - page, bytes + 1) / size, 1u); /* an element may stick out of the address size */
}

/* Elements that can be done at once, as far as this side knows. */
static always_inline u64 side_open(struct cpu *cpu, const struct insn *in, struct side *side, unsigned seg, unsigned size,
                                   bool write)
{
	bool down = cpu->rflags & FLAG_DF;

	if (cpu->code_mode == CODE64)
		side->linear = seg >= SEG_FS ? cpu->seg[seg].base + side->offset : side->offset;
	else
		side->linear = segment_linear(cpu, seg, side->offset, size, write);
	side->host = access_fast(cpu, side->linear, size, write);
	if (unlikely(!side->host)) {
		if ((side->linear & PAGE_OFFSET) > PAGE_SIZE - size)
			return 1;
		if (!write)
			side->host = access_bulk(cpu, side->linear, false, seg, &side->watch);
	}
	return reach(cpu, in, seg, side, size, down);
}

/* The writes are known now: may they go to a page that the fast path does not serve? */
static void side_write(struct cpu *cpu, struct side *side, unsigned size)
{
	if ((side->linear & PAGE_OFFSET) <= PAGE_SIZE - size)
		side->host = access_bulk(cpu, side->linear, true, SEG_ES, &side->watch);
}

static always_inline void set_by_asize(struct cpu *cpu, const struct insn *in, enum gpr reg, u64 value)
{
	if (likely(in->asize == 8))
		set_reg64(cpu, reg, value);
	else if (in->asize == 4)
		set_reg32(cpu, reg, value);
	else
		set_reg16(cpu, reg, value);
}

/* ---- chunks; n > 0 elements, host pointers to the first one ---- */

static always_inline void chunk_move(const struct cpu *cpu, u8 *to, const u8 *from, u64 n, unsigned size, bool down)
{
	u64 bytes = n * size;

	if (!down) {
		if (to <= from || to >= from + bytes) {
			guest_move(cpu, to, from, bytes);
			return;
		}
		/* What was written is read again. */
		unsigned step = (u64)(to - from) >= 8 && bytes % 8 == 0 ? 8 : size;
		for (u64 i = 0; i < bytes; i += step)
			element_store(cpu, to + i, element_load(cpu, from + i, step), step);
		return;
	}
	u64 back = bytes - size;
	if (to >= from || to + size <= from - back) {
		guest_move(cpu, to - back, from - back, bytes);
		return;
	}
	for (u64 i = 0; i < bytes; i += size)
		element_store(cpu, to - i, element_load(cpu, from - i, size), size);
}

static always_inline void chunk_fill(const struct cpu *cpu, u8 *to, u64 value, u64 n, unsigned size, bool down)
{
	if (down)
		to -= (n - 1) * size;
	if (size == 1 || value == (value & 0xff) * (mask_bytes(size) / 0xff)) {
		guest_fill(cpu, to, (u8)value, n * size);
		return;
	}
	for (u64 i = 0; i < n; i++)
		element_store(cpu, to + i * size, value, size);
}

/* Elements compared until the values' equality is `until`, which the last one may have; *a and *b are the last ones. */
static always_inline u64 chunk_compare(const struct cpu *cpu, const u8 *pa, const u8 *pb, u64 *a, u64 *b, u64 n, unsigned size,
                                       bool down, bool until)
{
	i64 step = down ? -(i64)size : size;
	u64 i = 0;

	do {
		if (pa)
			*a = element_load(cpu, pa + (i64)i * step, size);
		*b = element_load(cpu, pb + (i64)i * step, size);
		i++;
	} while ((*a == *b) != until && i < n);
	return i;
}

/* ---- the instruction ---- */

static always_inline i64 extend(u64 value, unsigned size)
{
	return size == 1 ? (i8)value : size == 2 ? (i16)value : size == 4 ? (i32)value : (i64)value;
}

/* Elements have to be done one at a time for those who look on. */
static bool watched_over(const struct cpu *cpu)
{
	return unlikely(cpu->careful) && ((cpu->rflags & FLAG_TF) || cpu->watchpoints || cpu->debugger || cpu->pending_db);
}

static always_inline void string(struct cpu *cpu, const struct insn *in, enum kind kind, unsigned size)
{
	const bool has_source = kind == MOVS || kind == LODS || kind == CMPS, has_destination = kind != LODS;
	const bool compares = kind == SCAS || kind == CMPS, writes = kind == MOVS || kind == STOS;
	bool rep = in->prefix & (INSN_REP | INSN_REPNE), until = in->prefix & INSN_REPNE, down = cpu->rflags & FLAG_DF;
	u64 mask = mask_bytes(in->asize), count = rep ? cpu->gpr[RCX] & mask : 1;
	u64 self = insn_rip(cpu, in), next = insn_next_rip(cpu, in);
	u64 share = watched_over(cpu) ? 1 : SHARE / size;
	u64 a = cpu->gpr[RAX] & mask_bytes(size), b = 0;
	bool done = false, amd = cpu->flavour == FLAVOUR_AMD;

	cpu->rip = next;
	if (rep && in->asize != 8 && !amd) {
		set_by_asize(cpu, in, RCX, cpu->gpr[RCX]);
		if (kind == MOVS)
			set_by_asize(cpu, in, RSI, cpu->gpr[RSI]);
		if (kind == MOVS || kind == STOS)
			set_by_asize(cpu, in, RDI, cpu->gpr[RDI]);
	}
	if (unlikely(!count))
		return;
	while (!done) {
		struct side source = {cpu->gpr[RSI] & mask, 0, NULL, NULL}, destination = {cpu->gpr[RDI] & mask, 0, NULL, NULL};
		u64 n = MIN(count, share), most;
		bool slow = false;
		/* The order in which they would fault: what is read before what is written, ES:DI before DS:SI. */
		if (compares) {
			most = side_open(cpu, in, &destination, SEG_ES, size, false);
			n = MIN(n, most);
			if (unlikely(!destination.host)) {
				b = element_read(cpu, destination.linear, SEG_ES, size);
				slow = true;
			}
		}
		if (has_source) {
			most = side_open(cpu, in, &source, in->seg, size, false);
			n = MIN(n, most);
			if (unlikely(!source.host)) {
				a = element_read(cpu, source.linear, in->seg, size);
				slow = true;
			}
		}
		if (writes) {
			most = side_open(cpu, in, &destination, SEG_ES, size, true);
			n = MIN(n, most);
			if (unlikely(!destination.host) && !slow)
				side_write(cpu, &destination, size);
			slow = slow || !destination.host;
		}
		i64 step = down ? -(i64)size : size;
		if (unlikely(slow)) {
			n = 1;
			if (source.host)
				a = element_load(cpu, source.host, size);
			if (compares && destination.host)
				b = element_load(cpu, destination.host, size);
			if (writes)
				element_write(cpu, destination.linear, a, size);
		} else if (kind == MOVS) {
			chunk_move(cpu, destination.host, source.host, n, size, down);
		} else if (kind == STOS) {
			chunk_fill(cpu, destination.host, a, n, size, down);
		} else if (kind == LODS) {
			a = element_load(cpu, source.host + (i64)(n - 1) * step, size);
		} else {
			n = chunk_compare(cpu, kind == CMPS ? source.host : NULL, destination.host, &a, &b, n, size, down, until);
		}
		if (writes && unlikely(destination.watch))
			access_bulk_done(cpu, destination.host - (down ? (n - 1) * size : 0), n * size, destination.watch);
		if (kind == LODS) {
			if (size == 1)
				set_reg8(cpu, RAX * 8, a);
			else if (size == 2)
				set_reg16(cpu, RAX, a);
			else
				set_reg64(cpu, RAX, a);
		}
		if (has_source)
			set_by_asize(cpu, in, RSI, source.offset + n * step);
		if (has_destination)
			set_by_asize(cpu, in, RDI, destination.offset + n * step);
		count -= n;
		share -= n;
		if (rep)
			set_by_asize(cpu, in, RCX, count);
		done = !count || (compares && (a == b) == until);
		if (compares && unlikely(amd))
			flags_sub(cpu, extend(a, size), extend(b, size), extend(a - b, size));
		if (!share || atomic_load_explicit(&cpu->kick, memory_order_relaxed))
			break;
	}
	if (compares)
		flags_sub(cpu, extend(a, size), extend(b, size), extend(a - b, size));
	if (unlikely(!done)) {
		cpu->rip = self;
		cpu->rflags |= FLAG_RF; /* a code breakpoint here was taken before the first element */
		mode_flags_changed(cpu);
	}
}

#define WIDTHS(op, kind)                                                                                               \
	OP_END(op##b) { string(cpu, in, kind, 1); }                                                                        \
	OP_END(op##w) { string(cpu, in, kind, 2); }                                                                        \
	OP_END(op##d) { string(cpu, in, kind, 4); }                                                                        \
	OP_END(op##q) { string(cpu, in, kind, 8); }
WIDTHS(movs, MOVS)
WIDTHS(stos, STOS)
WIDTHS(lods, LODS)
WIDTHS(scas, SCAS)
WIDTHS(cmps, CMPS)

#define ROWS(zydis, op)                                                                                                \
	{ZYDIS_MNEMONIC_##zydis##B, {0}, FORM_END | FORM_REP, 0, op##b},                                                   \
	{ZYDIS_MNEMONIC_##zydis##W, {0}, FORM_END | FORM_REP, 0, op##w},                                                   \
	{ZYDIS_MNEMONIC_##zydis##D, {0}, FORM_END | FORM_REP, 0, op##d},                                                   \
	{ZYDIS_MNEMONIC_##zydis##Q, {0}, FORM_END | FORM_REP, 0, op##q}
static const struct form table[] = {
	ROWS(MOVS, movs), ROWS(STOS, stos), ROWS(LODS, lods), ROWS(SCAS, scas), ROWS(CMPS, cmps),
};
const struct form_table string_forms = {table, ARRAY_LEN(table)};
