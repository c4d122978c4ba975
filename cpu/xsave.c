/* SPDX-License-Identifier: MIT */
/* State images: FXSAVE, FXRSTOR, XSAVE, XSAVEOPT, XSAVEC, XSAVES, XRSTOR, XRSTORS. SDM vol. 1 10.5 and ch. 13; vol. 2.
 *
 * x87 and SSE live in the legacy region; every further component is one row of a table. XINUSE is exact: a component counts as
 * in use when it differs from its initial state, so that all engines save the same bytes.
 * Not implemented: the modified optimisation (it is allowed never to apply). No supervisor component exists yet. */
#include "cpu/xsave.h"

#include <Zydis/Mnemonic.h>
#include <Zydis/SharedTypes.h>

#include "cpu/access.h"
#include "cpu/exception.h"
#include "cpu/forms.h"
#include "cpu/mode.h"
#include "cpu/model.h"
#include "cpu/x87.h"

#define MXCSR_INIT 0x1f80u
#define MXCSR_MASK 0xffffu
#define XCOMP_COMPACT BIT(63)
#define IMAGE_MAX 2816u /* up to and including AVX-512 and PKRU */

/* Where things lie in the legacy region. */
enum { AT_FCW = 0, AT_FSW = 2, AT_TAGS = 4, AT_FOP = 6, AT_FIP = 8, AT_FDP = 16, AT_MXCSR = 24, AT_ST = 32, AT_XMM = 160 };

static unsigned xmm_count(const struct cpu *cpu)
{
	return mode_64(cpu) ? 16 : 8;
}

/* ---- components from bit 2 on ---- */

static bool avx_in_use(const struct cpu *cpu)
{
	u64 any = 0;

	for (unsigned i = 0; i < xmm_count(cpu); i++)
		any |= cpu->v[i].q[2] | cpu->v[i].q[3];
	return any;
}

static void avx_save(const struct cpu *cpu, u8 *to)
{
	for (unsigned i = 0; i < 16; i++)
		memcpy(to + i * 16, &cpu->v[i].q[2], 16);
}

/* from NULL: the initial state. */
static void avx_load(struct cpu *cpu, const u8 *from)
{
	for (unsigned i = 0; i < xmm_count(cpu); i++)
		if (from)
			memcpy(&cpu->v[i].q[2], from + i * 16, 16);
		else
			cpu->v[i].q[2] = cpu->v[i].q[3] = 0;
}

static const struct component {
	u8 bit, feature;
	bool supervisor, aligned;
	u32 size, offset; /* of the standard format */
	bool (*in_use)(const struct cpu *cpu);
	void (*save)(const struct cpu *cpu, u8 *to);
	void (*load)(struct cpu *cpu, const u8 *from);
} components[] = {
	{2, FEAT_AVX, false, false, 256, 576, avx_in_use, avx_save, avx_load},
};

static u64 supported(const struct cpu *cpu, bool supervisor)
{
	u64 bits = supervisor ? 0 : XSAVE_X87 | (cpu_has(cpu, FEAT_SSE) ? XSAVE_SSE : 0);

	for (unsigned i = 0; i < ARRAY_LEN(components); i++)
		if (components[i].supervisor == supervisor && cpu_has(cpu, components[i].feature))
			bits |= BIT(components[i].bit);
	return bits;
}

u64 xsave_supported(const struct cpu *cpu)
{
	return cpu_has(cpu, FEAT_XSAVE) ? supported(cpu, false) : XSAVE_X87;
}

u64 xsave_supported_xss(const struct cpu *cpu)
{
	return cpu_has(cpu, FEAT_XSAVES) ? supported(cpu, true) : 0;
}

struct xsave_place xsave_component(const struct cpu *cpu, unsigned bit)
{
	for (unsigned i = 0; i < ARRAY_LEN(components); i++)
		if (components[i].bit == bit && cpu_has(cpu, components[i].feature))
			return (struct xsave_place){components[i].size, components[i].supervisor ? 0 : components[i].offset,
			                            components[i].aligned};
	return (struct xsave_place){0};
}

/* Offset of a component in the compacted image of a set of components. Components are in ascending order. */
static u32 compact_offset(u64 set, const struct component *which)
{
	u32 at = XSAVE_LEGACY + XSAVE_HEADER;

	for (const struct component *c = components; c <= which; c++) {
		if (!(set >> c->bit & 1))
			continue;
		if (c->aligned)
			at = (at + 63) & ~63u;
		if (c == which)
			return at;
		at += c->size;
	}
	return at;
}

u32 xsave_size(const struct cpu *cpu, u64 set, bool compacted)
{
	u32 size = XSAVE_LEGACY + XSAVE_HEADER;

	(void)cpu;
	for (unsigned i = 0; i < ARRAY_LEN(components); i++)
		if (set >> components[i].bit & 1)
			size = MAX(size, (compacted ? compact_offset(set, &components[i]) : components[i].offset) + components[i].size);
	return size;
}

/* ---- what is in use ---- */

static bool x87_in_use(const struct cpu *cpu)
{
	const struct x87 *x = &cpu->x87;
	u64 any = (x->fcw ^ FCW_INIT) | x->fsw | x->valid;

	if (cpu->flavour != FLAVOUR_AMD) /* whose CPUs do not save them without a pending exception */
		any |= x->fop | x->fip | x->fdp | x->fcs | x->fds;

	for (unsigned i = 0; i < 8; i++)
		any |= x->r[i].mant | x->r[i].se;
	return any;
}

static bool sse_in_use(const struct cpu *cpu)
{
	u64 any = 0;

	for (unsigned i = 0; i < xmm_count(cpu); i++)
		any |= cpu->v[i].q[0] | cpu->v[i].q[1];
	return any;
}

u64 xsave_in_use(const struct cpu *cpu)
{
	u64 bits = (x87_in_use(cpu) ? XSAVE_X87 : 0) | (sse_in_use(cpu) ? XSAVE_SSE : 0);

	for (unsigned i = 0; i < ARRAY_LEN(components); i++)
		if (components[i].in_use(cpu))
			bits |= BIT(components[i].bit);
	return bits;
}

/* ---- the area in memory: directly if it lies on one page of plain memory ---- */

struct area {
	struct cpu *cpu;
	const struct insn *in;
	u64 linear;
	u8 *host; /* or NULL */
};

static struct area area_at(struct cpu *cpu, const struct insn *in, u64 linear, u32 size, bool write)
{
	struct area a = {cpu, in, linear, access_fast(cpu, linear, size, write)};

	if (!a.host)
		access_check(cpu, linear, size, write, in->seg);
	return a;
}

static void put(const struct area *a, u32 at, const void *data, u32 size)
{
	if (a->host)
		guest_move(a->cpu, a->host + at, data, size);
	else
		access_write_bytes(a->cpu, a->linear + at, data, size, a->in->seg);
}

static void get(const struct area *a, u32 at, void *data, u32 size)
{
	if (a->host)
		guest_move(a->cpu, data, a->host + at, size);
	else
		access_read_bytes(a->cpu, a->linear + at, data, size, a->in->seg);
}

/* ---- the legacy region ---- */

static void put_x87(const struct area *a)
{
	const struct cpu *cpu = a->cpu;
	const struct x87 *x = &cpu->x87;
	u8 head[AT_MXCSR], st[128] = {0};
	bool wide = a->in->osize == 8;

	store16(head + AT_FCW, x->fcw);
	store16(head + AT_FSW, x->fsw);
	store16(head + AT_TAGS, x->valid);
	memset(head + AT_FOP, 0, AT_MXCSR - AT_FOP);
	if (cpu->flavour != FLAVOUR_AMD || (x->fsw & FSW_ES)) { /* AMD's save them with a pending exception only */
		store16(head + AT_FOP, x->fop);
		store64(head + AT_FIP, wide ? x->fip : (u32)x->fip | (u64)x->fcs << 32);
		store64(head + AT_FDP, wide ? x->fdp : (u32)x->fdp | (u64)x->fds << 32);
	}
	for (unsigned i = 0; i < 8; i++) {
		const struct f80 *r = &x->r[(x87_top(cpu) + i) & 7];
		store64(st + i * 16, r->mant);
		store16(st + i * 16 + 8, r->se);
	}
	put(a, 0, head, sizeof head);
	put(a, AT_ST, st, sizeof st);
}

/* Hardware keeps no more of a pointer than an address has: AMD's CPUs that are the model of its flavour have 57 bits. */
static u64 canonical(const struct cpu *cpu, u64 pointer)
{
	unsigned rest = cpu->flavour == FLAVOUR_AMD ? 7 : 16;

	return (i64)(pointer << rest) >> rest;
}

static void load_x87(struct cpu *cpu, const u8 *image, bool wide)
{
	struct x87 *x = &cpu->x87;

	x87_load_words(cpu, load16(image + AT_FCW), load16(image + AT_FSW));
	x->valid = image[AT_TAGS];
	x->fop = load16(image + AT_FOP) & 0x7ff;
	x->fip = wide ? canonical(cpu, load64(image + AT_FIP)) : load32(image + AT_FIP);
	x->fdp = wide ? canonical(cpu, load64(image + AT_FDP)) : load32(image + AT_FDP);
	x->fcs = wide ? 0 : load16(image + AT_FIP + 4);
	x->fds = wide ? 0 : load16(image + AT_FDP + 4);
	for (unsigned i = 0; i < 8; i++)
		x->r[(x87_top(cpu) + i) & 7] = (struct f80){
			.mant = load64(image + AT_ST + i * 16),
			.se = load16(image + AT_ST + i * 16 + 8),
		};
}

static void reset_x87(struct cpu *cpu)
{
	memset(&cpu->x87, 0, sizeof cpu->x87);
	cpu->x87.fcw = FCW_INIT;
}

static void put_mxcsr(const struct area *a)
{
	u32 words[2] = {a->cpu->mxcsr, MXCSR_MASK};

	put(a, AT_MXCSR, words, sizeof words);
}

static void put_xmm(const struct area *a)
{
	u8 image[256];
	unsigned count = xmm_count(a->cpu);

	for (unsigned i = 0; i < count; i++)
		memcpy(image + i * 16, a->cpu->v[i].q, 16);
	put(a, AT_XMM, image, count * 16);
}

/* from NULL: zeros. */
static void load_xmm(struct cpu *cpu, const u8 *from)
{
	for (unsigned i = 0; i < xmm_count(cpu); i++)
		if (from)
			memcpy(cpu->v[i].q, from + i * 16, 16);
		else
			cpu->v[i].q[0] = cpu->v[i].q[1] = 0;
}

/* ---- FXSAVE, FXRSTOR ---- */

/* #GP for a misaligned area; one at a non-canonical address on the stack is #SS first (but not the area of AMD's XSAVE family). */
static _Noreturn void misaligned(struct cpu *cpu, const struct insn *in, u64 linear)
{
	exception_code(cpu, in->seg == SEG_SS && mode_64(cpu) && !mode_canonical(linear) ? EXC_SS : EXC_GP, 0);
}

static u64 fx_address(struct cpu *cpu, const struct insn *in, bool write)
{
	if (cpu->x87_fault)
		exception_raise(cpu, EXC_NM);
	u64 linear = ea_linear(cpu, in, XSAVE_LEGACY, write);
	if (linear & 15)
		misaligned(cpu, in, linear);
	return linear;
}

/* AMD's fast variant leaves the XMM registers out for the kernel. */
static bool fx_has_xmm(const struct cpu *cpu)
{
	return (cpu->cr4 & CR4_OSFXSR) && !((cpu->efer & EFER_FFXSR) && mode_64(cpu) && cpu->cpl == 0);
}

OP(fxsave)
{
	struct area a = area_at(cpu, in, fx_address(cpu, in, true), XSAVE_LEGACY, true);

	put_x87(&a);
	if (cpu->cr4 & CR4_OSFXSR)
		put_mxcsr(&a);
	if (fx_has_xmm(cpu))
		put_xmm(&a);
}

OP(fxrstor)
{
	struct area a = area_at(cpu, in, fx_address(cpu, in, false), XSAVE_LEGACY, false);
	u8 image[XSAVE_LEGACY];

	get(&a, 0, image, sizeof image);
	u32 mxcsr = load32(image + AT_MXCSR);
	if ((cpu->cr4 & CR4_OSFXSR) && (mxcsr & ~MXCSR_MASK))
		exception_gp(cpu, 0);
	load_x87(cpu, image, in->osize == 8);
	if (cpu->cr4 & CR4_OSFXSR)
		cpu->mxcsr = mxcsr;
	if (fx_has_xmm(cpu))
		load_xmm(cpu, image + AT_XMM);
}

/* ---- the XSAVE family ---- */

enum save_kind { SAVE_PLAIN, SAVE_OPT, SAVE_COMPACT };

static u64 requested(struct cpu *cpu, bool supervisor)
{
	if (!(cpu->cr4 & CR4_OSXSAVE))
		exception_ud(cpu);
	if (supervisor && cpu->cpl)
		exception_gp(cpu, 0);
	if (cpu->cr0 & CR0_TS)
		exception_raise(cpu, EXC_NM);
	return (cpu->xcr0 | (supervisor ? cpu->xss : 0)) & ((u64)reg32(cpu, RDX) << 32 | reg32(cpu, RAX));
}

static u64 xsave_address(struct cpu *cpu, const struct insn *in, u32 size, bool write)
{
	u64 linear = ea_linear(cpu, in, size, write);

	if ((linear & 63) && cpu->flavour == FLAVOUR_AMD)
		exception_gp(cpu, 0);
	if (linear & 63)
		misaligned(cpu, in, linear);
	return linear;
}

static void save(struct cpu *cpu, const struct insn *in, u64 set, enum save_kind kind)
{
	bool compact = kind == SAVE_COMPACT;
	u32 size = xsave_size(cpu, set, compact);
	struct area a = area_at(cpu, in, xsave_address(cpu, in, size, true), size, true);
	u64 used = set & xsave_in_use(cpu), header[2] = {used, set | XCOMP_COMPACT};

	if (compact && (set & XSAVE_SSE) && cpu->mxcsr != MXCSR_INIT)
		header[0] = used |= XSAVE_SSE;
	if (!compact) {
		get(&a, XSAVE_LEGACY, header, 8);
		header[0] = (header[0] & ~set) | used;
	}
	u64 write = kind == SAVE_PLAIN ? set : used;
	if (write & XSAVE_X87)
		put_x87(&a);
	if (compact ? write & XSAVE_SSE : set & (XSAVE_SSE | XSAVE_AVX))
		put_mxcsr(&a);
	if (write & XSAVE_SSE)
		put_xmm(&a);
	for (unsigned i = 0; i < ARRAY_LEN(components); i++) {
		const struct component *c = &components[i];
		u8 image[IMAGE_MAX];
		if (!(write >> c->bit & 1))
			continue;
		c->save(cpu, image);
		put(&a, compact ? compact_offset(set, c) : c->offset, image, c->size);
	}
	put(&a, XSAVE_LEGACY, header, compact ? 16 : 8);
}

OP(xsave)
{
	save(cpu, in, requested(cpu, false), SAVE_PLAIN);
}

OP(xsaveopt)
{
	save(cpu, in, requested(cpu, false), SAVE_OPT);
}

OP(xsavec)
{
	save(cpu, in, requested(cpu, false), SAVE_COMPACT);
}

OP(xsaves)
{
	save(cpu, in, requested(cpu, true), SAVE_COMPACT);
}

/* The header's rules; allowed: XCR0, with IA32_XSS for XRSTORS. */
static bool header_valid(const struct cpu *cpu, const u64 header[8], u64 allowed, bool supervisor)
{
	u64 present = header[0], layout = header[1];

	if (!(layout & XCOMP_COMPACT))
		return !supervisor && !(present & ~allowed) && !layout && !header[2];
	if (!cpu_has(cpu, FEAT_XSAVEC))
		return false;
	for (unsigned i = 2; i < 8; i++)
		if (header[i])
			return false;
	layout &= ~XCOMP_COMPACT;
	return !(layout & ~allowed) && !(present & ~layout);
}

static void restore(struct cpu *cpu, const struct insn *in, u64 set, bool supervisor)
{
	u64 header[8], linear = xsave_address(cpu, in, XSAVE_LEGACY + XSAVE_HEADER, false);
	struct area a = area_at(cpu, in, linear, XSAVE_LEGACY + XSAVE_HEADER, false);
	u8 image[IMAGE_MAX];

	get(&a, XSAVE_LEGACY, header, sizeof header);
	if (!header_valid(cpu, header, cpu->xcr0 | (supervisor ? cpu->xss : 0), supervisor))
		exception_gp(cpu, 0);
	bool compact = header[1] & XCOMP_COMPACT;
	u64 layout = header[1] & ~XCOMP_COMPACT, load = set & header[0];
	u32 size = xsave_size(cpu, compact ? layout : load, compact);
	linear = xsave_address(cpu, in, size, false);
	a = area_at(cpu, in, linear, size, false);
	get(&a, 0, image, size);
	u32 mxcsr = cpu->mxcsr;
	if (compact ? load & XSAVE_SSE : set & (XSAVE_SSE | XSAVE_AVX))
		mxcsr = load32(image + AT_MXCSR);
	else if (compact && (set & XSAVE_SSE))
		mxcsr = MXCSR_INIT;
	if (mxcsr & ~MXCSR_MASK)
		exception_gp(cpu, 0);

	/* nothing faults from here on */
	cpu->mxcsr = mxcsr;
	if (load & XSAVE_X87)
		load_x87(cpu, image, in->osize == 8);
	else if (set & XSAVE_X87)
		reset_x87(cpu);
	if (set & XSAVE_SSE)
		load_xmm(cpu, load & XSAVE_SSE ? image + AT_XMM : NULL);
	for (unsigned i = 0; i < ARRAY_LEN(components); i++) {
		const struct component *c = &components[i];
		if (set >> c->bit & 1)
			c->load(cpu, load >> c->bit & 1 ? image + (compact ? compact_offset(layout, c) : c->offset) : NULL);
	}
}

OP(xrstor)
{
	restore(cpu, in, requested(cpu, false), false);
}

OP(xrstors)
{
	restore(cpu, in, requested(cpu, true), true);
}

#define M(name) ZYDIS_MNEMONIC_##name
#define BOTH(name, feature, fn) {M(name), {O_M}, 0, feature, fn}, {M(name##64), {O_M}, 0, feature, fn}
static const struct form table[] = {
	BOTH(FXSAVE, FEAT_FXSR, fxsave),
	BOTH(FXRSTOR, FEAT_FXSR, fxrstor),
	BOTH(XSAVE, FEAT_XSAVE, xsave),
	BOTH(XSAVEOPT, FEAT_XSAVEOPT, xsaveopt),
	BOTH(XSAVEC, FEAT_XSAVEC, xsavec),
	BOTH(XSAVES, FEAT_XSAVES, xsaves),
	BOTH(XRSTOR, FEAT_XSAVE, xrstor),
	BOTH(XRSTORS, FEAT_XSAVES, xrstors),
};
const struct form_table xsave_forms = {table, ARRAY_LEN(table)};
