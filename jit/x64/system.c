/* SPDX-License-Identifier: MIT */
/* Instructions of the system that are executed so often that they are worth rewriting: what every entry into a kernel, and every
 * lock within it, runs through. All at privilege level 0 only, but for PUSHF; else the interpreter decides. */
#include "cpu/flags.h"
#include "jit/x64/x64.h"

#define M(name) ZYDIS_MNEMONIC_##name
#define IF_BIT 9

static void privileged(struct context *c)
{
	flags_clobber(c);
	emit_op(c->e, 0, MAP_1, 0x80, 7, CPU(cpl));
	emit_byte(c->e, 0);
	memory_slow_if(c, CC_NE);
}

static bool cli(struct context *c)
{
	privileged(c);
	emit_op(c->e, OP_W, MAP_0F, 0xba, 6, CPU(rflags)); /* btr */
	emit_byte(c->e, IF_BIT);
	c->keep = true;
	return true;
}

/* SDM vol. 2B, STI: the instruction behind it still runs uninterrupted. Here it does if it belongs to this translation, which asks
 * for interrupts at its entry only; unless something is waiting already, which the interpreter sees to. */
static bool sti(struct context *c)
{
	if (!c->more || c->jit->counting)
		return false;
	privileged(c);
	emit_op(c->e, 0, MAP_1, 0x83, 7, CPU(request));
	emit_byte(c->e, 0);
	memory_slow_if(c, CC_NE);
	emit_op(c->e, OP_W, MAP_0F, 0xba, 5, CPU(rflags)); /* bts */
	emit_byte(c->e, IF_BIT);
	c->keep = true;
	return true;
}

/* Another TLB may be used from now on. */
static bool access_flag(struct context *c, bool on)
{
	privileged(c);
	emit_imm32(c->e, S1, on);
	emit_call(c->e, c->jit->stubs.access_flag);
	memory_slow_if(c, CC_E);
	window_close(c);
	return true;
}

static bool swapgs(struct context *c)
{
	struct rm base = CPU_AT(offsetof(struct cpu, seg) + SEG_GS * sizeof(struct seg) + offsetof(struct seg, base));

	privileged(c);
	emit_load(c->e, S0, base);
	emit_load(c->e, S1, CPU(kernel_gs_base));
	emit_store(c->e, CPU(kernel_gs_base), S0);
	emit_store(c->e, base, S1);
	return true;
}

/* The arithmetic flags are in RAX: AH as LAHF leaves it, AL = OF. */
static bool pushf(struct context *c)
{
	struct emit *e = c->e;

	if (c->z.operand_width != 64)
		return false;
	flags_clobber(c);
	emit_load(e, S0, CPU(rflags));
	emit_alu_imm(e, false, 4, rm_reg(S0), ~(i32)(FLAGS_ARITH | FLAG_VM | FLAG_RF));
	emit_mov32(e, S1, H_RAX);
	emit_op(e, 0, MAP_1, 0xc1, 5, rm_reg(S1)); /* shr */
	emit_byte(e, 8);
	emit_alu_imm(e, false, 4, rm_reg(S1), FLAGS_ARITH & 0xff);
	emit_op(e, 0, MAP_1, 0x0b, S0, rm_reg(S1));
	emit_op(e, OP_BYTE_RM, MAP_0F, 0xb6, S1, rm_reg(H_RAX)); /* movzx */
	emit_op(e, 0, MAP_1, 0xc1, 4, rm_reg(S1)); /* shl */
	emit_byte(e, __builtin_ctz(FLAG_OF));
	emit_op(e, 0, MAP_1, 0x0b, S0, rm_reg(S1));
	emit_store(e, CPU(jit.tmp), S0);
	c->held = NO_HOME;
	memory_stack(c, RSP, -8, true);
	emit_load(e, S1, CPU(jit.tmp));
	emit_store(e, c->at, S1);
	emit_lea(e, true, x64_home[RSP], x64_home[RSP], 0xff, 0, -8);
	return true;
}

/* Selectors: 0 in all other bits of the register, if they are written at all. */
static bool store_selector(struct context *c)
{
	unsigned seg = ZydisRegisterGetId(c->op[1].reg.value), g = ZydisRegisterGetId(c->op[0].reg.value);
	struct rm selector = CPU_AT(offsetof(struct cpu, seg) + seg * sizeof(struct seg) + offsetof(struct seg, selector));

	if (c->op[1].type != ZYDIS_OPERAND_TYPE_REGISTER || ZydisRegisterGetClass(c->op[1].reg.value) != ZYDIS_REGCLASS_SEGMENT ||
	    c->op[0].type != ZYDIS_OPERAND_TYPE_REGISTER || x64_home[g] == NO_HOME)
		return false;
	if (c->z.operand_width == 16)
		emit_op(c->e, OP_66, MAP_1, 0x8b, x64_home[g], selector);
	else
		emit_op(c->e, 0, MAP_0F, 0xb7, x64_home[g], selector);
	c->keep = true;
	return true;
}

/* RDFSBASE, RDGSBASE, WRFSBASE, WRGSBASE. */
static bool segment_base(struct context *c, unsigned seg, bool write)
{
	struct emit *e = c->e;
	struct rm base = CPU_AT(offsetof(struct cpu, seg) + seg * sizeof(struct seg) + offsetof(struct seg, base));
	struct rm g = x64_gpr(ZydisRegisterGetId(c->op[0].reg.value));

	if (c->z.operand_width != 64)
		return false;
	flags_clobber(c);
	emit_op(e, 0, MAP_1, 0xf7, 0, CPU(cr4)); /* test */
	emit_u32(e, CR4_FSGSBASE);
	memory_slow_if(c, CC_E);
	emit_load(e, S0, write ? g : base);
	if (write) { /* canonical? */
		emit_mov(e, S1, S0);
		emit_op(e, OP_W, MAP_1, 0xc1, 4, rm_reg(S1)); /* shl */
		emit_byte(e, 16);
		emit_op(e, OP_W, MAP_1, 0xc1, 7, rm_reg(S1)); /* sar */
		emit_byte(e, 16);
		emit_op(e, OP_W, MAP_1, 0x3b, S1, rm_reg(S0));
		memory_slow_if(c, CC_NE);
	}
	emit_store(e, write ? base : g, S0);
	c->keep = !write;
	return true;
}

bool system_goes_on(const struct jit *jit, unsigned mnemonic)
{
	return jit_options.system && (mnemonic == M(CLI) || (mnemonic == M(STI) && !jit->counting));
}

bool system_rewrite(struct context *c)
{
	if (!jit_options.system)
		return false;
	switch (c->z.mnemonic) {
	case M(CLI): return cli(c);
	case M(STI): return sti(c);
	case M(CLAC): return access_flag(c, false);
	case M(STAC): return access_flag(c, true);
	case M(SWAPGS): return swapgs(c);
	case M(PUSHFQ): return pushf(c);
	case M(MOV): return store_selector(c);
	case M(RDFSBASE): return segment_base(c, SEG_FS, false);
	case M(RDGSBASE): return segment_base(c, SEG_GS, false);
	case M(WRFSBASE): return segment_base(c, SEG_FS, true);
	case M(WRGSBASE): return segment_base(c, SEG_GS, true);
	default: return false;
	}
}
