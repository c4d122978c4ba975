/* SPDX-License-Identifier: MIT */
/* x87 control: control and status words, tag word, FLDENV/FNSTENV, FRSTOR/FNSAVE in their four formats, FNINIT, FNCLEX,
 * WAIT. Intel SDM vol. 1 ch. 8.1.7-8.1.10, figures 8-9 to 8-12; vol. 2. */
#include "cpu/forms.h"
#include "cpu/model.h"
#include "cpu/x87_stack.h"

#include <Zydis/Mnemonic.h>
#include <Zydis/SharedTypes.h>

u16 x87_tag_word(const struct cpu *cpu)
{
	u16 tags = 0;

	for (unsigned i = 0; i < 8; i++) {
		struct x80 v = {cpu->x87.r[i].mant, cpu->x87.r[i].se};
		unsigned e = v.se & 0x7fff, tag = 0;
		if (!(cpu->x87.valid >> i & 1))
			tag = 3;
		else if (softfloat_f80_is_zero(v))
			tag = 1;
		else if (e == 0 || e == 0x7fff || !(v.mant >> 63))
			tag = 2;
		tags |= tag << i * 2;
	}
	return tags;
}

void x87_set_tag_word(struct cpu *cpu, u16 tags)
{
	cpu->x87.valid = 0;
	for (unsigned i = 0; i < 8; i++)
		if ((tags >> i * 2 & 3) != 3)
			cpu->x87.valid |= 1 << i;
}

/* ES and B follow the exceptions and masks. */
static void update_summary(struct cpu *cpu)
{
	if (cpu->x87.fsw & ~cpu->x87.fcw & FCW_MASKS)
		cpu->x87.fsw |= FSW_ES | FSW_B;
	else
		cpu->x87.fsw &= ~(FSW_ES | FSW_B);
}

/* An instruction took the pending exception back. before: the status word as it found it. */
static void settled(struct cpu *cpu, u16 before)
{
	if (unlikely(before & ~cpu->x87.fsw & FSW_ES))
		x87_ferr(cpu, false);
}

void x87_load_words(struct cpu *cpu, u16 fcw, u16 fsw)
{
	u16 before = cpu->x87.fsw;

	cpu->x87.fcw = (fcw & FCW_WRITABLE) | FCW_FIXED;
	cpu->x87.fsw = fsw;
	update_summary(cpu);
	settled(cpu, before);
}

void x87_init(struct cpu *cpu)
{
	cpu->x87.fcw = FCW_INIT;
	cpu->x87.fsw = 0;
	cpu->x87.valid = 0;
	cpu->x87.fop = 0;
	cpu->x87.fip = cpu->x87.fdp = 0;
	cpu->x87.fcs = cpu->x87.fds = 0;
}

/* ---- words ---- */

OP(fninit)
{
	u16 before = cpu->x87.fsw;

	x87_check_nowait(cpu);
	x87_init(cpu);
	settled(cpu, before);
}

OP(fnclex)
{
	u16 before = cpu->x87.fsw;

	x87_check_nowait(cpu);
	cpu->x87.fsw &= ~(FCW_MASKS | FSW_SF | FSW_ES | FSW_B);
	settled(cpu, before);
}

/* FENI, FDISI, FSETPM: no effect since the 387. */
OP(fnop_old)
{
	x87_check_nowait(cpu);
}

OP(fldcw)
{
	x87_check(cpu);
	x87_load_words(cpu, mem_read16(cpu, in), cpu->x87.fsw);
}

OP(fnstcw)
{
	x87_check_nowait(cpu);
	mem_write16(cpu, in, cpu->x87.fcw);
}

OP(fnstsw_m16)
{
	x87_check_nowait(cpu);
	mem_write16(cpu, in, cpu->x87.fsw);
}

OP(fnstsw_ax)
{
	x87_check_nowait(cpu);
	set_reg16(cpu, RAX, cpu->x87.fsw);
}

OP(fwait)
{
	if (unlikely((cpu->cr0 & (CR0_MP | CR0_TS)) == (CR0_MP | CR0_TS)))
		exception_raise(cpu, EXC_NM);
	if (unlikely(cpu->x87.fsw & FSW_ES))
		x87_refuse_pending(cpu);
}

/* ---- environment ---- */

static unsigned env_size(const struct insn *in) { return in->osize == 2 ? 14 : 28; }

static void put_env(struct cpu *cpu, const struct insn *in, u8 *p)
{
	const struct x87 *x = &cpu->x87;
	const u16 words[3] = {x->fcw, x->fsw, x87_tag_word(cpu)};
	bool real = mode_real_or_v86(cpu);
	/* real-address formats hold linear addresses */
	u32 ip = real ? x->fip + ((u32)x->fcs << 4) : x->fip, dp = real ? x->fdp + ((u32)x->fds << 4) : x->fdp;

	if (in->osize == 2) {
		for (unsigned i = 0; i < 3; i++)
			store16(p + i * 2, words[i]);
		store16(p + 6, ip);
		store16(p + 8, real ? (ip >> 16 & 15) << 12 | (x->fop & 0x7ff) : x->fcs);
		store16(p + 10, dp);
		store16(p + 12, real ? (dp >> 16 & 15) << 12 : x->fds);
		return;
	}
	for (unsigned i = 0; i < 3; i++)
		store32(p + i * 4, 0xffff0000 | words[i]);
	if (real) {
		store32(p + 12, 0xffff0000 | (ip & 0xffff));
		store32(p + 16, ip >> 16 << 12 | (x->fop & 0x7ff));
		store32(p + 20, 0xffff0000 | (dp & 0xffff));
		store32(p + 24, dp >> 16 << 12);
	} else {
		store32(p + 12, ip);
		store32(p + 16, x->fcs | (u32)(x->fop & 0x7ff) << 16);
		store32(p + 20, dp);
		store32(p + 24, 0xffff0000 | x->fds);
	}
}

static void load_env(struct cpu *cpu, const struct insn *in, const u8 *p)
{
	struct x87 *x = &cpu->x87;
	unsigned step = in->osize == 2 ? 2 : 4;
	bool real = mode_real_or_v86(cpu);

	x87_load_words(cpu, load16(p), load16(p + step));
	x87_set_tag_word(cpu, load16(p + 2 * step));
	bool selectors = cpu->flavour == FLAVOUR_AMD && !real; /* Intel's are deprecated */
	x->fcs = selectors ? load16(p + 4 * step) : 0;
	x->fds = selectors ? load16(p + 6 * step) : 0;
	x->fop = 0;
	if (in->osize == 2) {
		x->fip = load16(p + 6);
		x->fdp = load16(p + 10);
		if (real) {
			x->fip |= (u32)(load16(p + 8) >> 12) << 16;
			x->fop = load16(p + 8) & 0x7ff;
			x->fdp |= (u32)(load16(p + 12) >> 12) << 16;
		}
	} else if (real) {
		x->fip = load16(p + 12) | (load32(p + 16) >> 12 & 0xffff) << 16;
		x->fop = load16(p + 16) & 0x7ff;
		x->fdp = load16(p + 20) | (load32(p + 24) >> 12 & 0xffff) << 16;
	} else {
		x->fip = load32(p + 12);
		x->fop = load16(p + 18) & 0x7ff;
		x->fdp = load32(p + 20);
	}
}

/* Many accesses in a row: a page fault of an early one comes before the limit check of a later one. */
static void read_image(struct cpu *cpu, const struct insn *in, u8 *image, unsigned len)
{
	unsigned step = in->osize == 2 ? 2 : 4;

	for (unsigned n = step; n < len && in->ea != EA_LONG; n += step)
		access_check(cpu, ea_linear(cpu, in, n, false), n, false, in->seg);
	access_read_bytes(cpu, ea_linear(cpu, in, len, false), image, len, in->seg);
}

OP(fnstenv)
{
	u8 image[28];

	x87_check_nowait(cpu);
	put_env(cpu, in, image);
	access_write_bytes(cpu, ea_linear(cpu, in, env_size(in), true), image, env_size(in), in->seg);
	cpu->x87.fcw |= FCW_MASKS;
	update_summary(cpu);
}

OP(fldenv)
{
	u8 image[28];

	x87_check(cpu);
	read_image(cpu, in, image, env_size(in));
	load_env(cpu, in, image);
}

OP(fnsave)
{
	u8 image[108];
	unsigned size = env_size(in);

	x87_check_nowait(cpu);
	put_env(cpu, in, image);
	for (unsigned i = 0; i < 8; i++, size += 10) {
		store64(image + size, x87_st(cpu, i).mant);
		store16(image + size + 8, x87_st(cpu, i).se);
	}
	access_write_bytes(cpu, ea_linear(cpu, in, size, true), image, size, in->seg);
	x87_init(cpu);
}

OP(frstor)
{
	u8 image[108];
	unsigned at = env_size(in);

	x87_check(cpu);
	read_image(cpu, in, image, at + 80);
	load_env(cpu, in, image);
	for (unsigned i = 0; i < 8; i++, at += 10)
		cpu->x87.r[(x87_top(cpu) + i) & 7] = (struct f80){.mant = load64(image + at), .se = load16(image + at + 8)};
}

static const struct form table[] = {
	{ZYDIS_MNEMONIC_FNINIT, {O_NONE}, 0, FEAT_FPU, fninit},
	{ZYDIS_MNEMONIC_FNCLEX, {O_NONE}, 0, FEAT_FPU, fnclex},
	{ZYDIS_MNEMONIC_FENI8087_NOP, {O_NONE}, 0, FEAT_FPU, fnop_old},
	{ZYDIS_MNEMONIC_FDISI8087_NOP, {O_NONE}, 0, FEAT_FPU, fnop_old},
	{ZYDIS_MNEMONIC_FSETPM287_NOP, {O_NONE}, 0, FEAT_FPU, fnop_old},
	{ZYDIS_MNEMONIC_FLDCW, {O_M16}, 0, FEAT_FPU, fldcw},
	{ZYDIS_MNEMONIC_FNSTCW, {O_M16}, 0, FEAT_FPU, fnstcw},
	{ZYDIS_MNEMONIC_FNSTSW, {O_M16}, 0, FEAT_FPU, fnstsw_m16},
	{ZYDIS_MNEMONIC_FNSTSW, {O_AX}, 0, FEAT_FPU, fnstsw_ax},
	{ZYDIS_MNEMONIC_FWAIT, {O_NONE}, 0, FEAT_ALWAYS, fwait},
	{ZYDIS_MNEMONIC_FNSTENV, {O_M}, 0, FEAT_FPU, fnstenv},
	{ZYDIS_MNEMONIC_FLDENV, {O_M}, 0, FEAT_FPU, fldenv},
	{ZYDIS_MNEMONIC_FNSAVE, {O_M}, 0, FEAT_FPU, fnsave},
	{ZYDIS_MNEMONIC_FRSTOR, {O_M}, 0, FEAT_FPU, frstor},
};
const struct form_table x87_env_forms = {table, ARRAY_LEN(table)};
