/* SPDX-License-Identifier: MIT */
/* x87: loads, stores, constants, comparisons, moves within the stack; how exceptions become pending and are delivered.
 * Intel SDM vol. 1 ch. 8, vol. 2.
 *
 * FIP follows every instruction that is not a control one. By flavour: Intel's FOP and FDP follow only those that leave an
 * unmasked exception pending, and FCS and FDS are always 0 (CPUID leaf 7: FDP_EXCPTN_ONLY, and FCS/FDS deprecated). AMD's FOP and
 * FCS follow all, FDP and FDS all with a memory operand. */
#include "cpu/flags.h"
#include "cpu/forms.h"
#include "cpu/journal.h"
#include "cpu/model.h"
#include "cpu/quiet.h"
#include "cpu/x87_stack.h"

#include <Zydis/Mnemonic.h>
#include <Zydis/SharedTypes.h>

/* ---- exceptions ---- */

bool x87_ferr(struct cpu *cpu, bool asserted)
{
	if ((cpu->cr0 & CR0_NE) || !cpu->host.ferr)
		return true;
	journal_device(cpu);
	bool inside = quiet_leave(cpu);
	bool ignne = cpu->host.ferr(cpu->host.opaque, cpu, asserted);
	quiet_enter(cpu, inside);
	return ignne;
}

void x87_refuse_pending(struct cpu *cpu)
{
	if (cpu->cr0 & CR0_NE)
		exception_raise(cpu, EXC_MF);
	/* SDM vol. 1 8.7.2: it freezes until an interrupt comes, whose handler asserts IGNNE# or clears the exception */
	if (!x87_ferr(cpu, true))
		exception_wait(cpu);
}

void x87_refuse(struct cpu *cpu)
{
	if (cpu->x87_fault)
		exception_raise(cpu, EXC_NM);
	x87_refuse_pending(cpu);
}

void x87_mmx_refuse(struct cpu *cpu)
{
	if (cpu->cr0 & CR0_EM)
		exception_ud(cpu);
	x87_refuse(cpu);
}

noinline void x87_pointers_all(struct cpu *cpu, const struct insn *in)
{
	cpu->x87.fop = x87_opcode(in);
	cpu->x87.fcs = cpu->seg[SEG_CS].selector;
	if (in->ea) {
		cpu->x87.fdp = ea_offset(cpu, in);
		cpu->x87.fds = cpu->seg[in->seg].selector;
	}
}

noinline void x87_pending(struct cpu *cpu, const struct insn *in)
{
	cpu->x87.fsw |= FSW_ES | FSW_B;
	if (cpu->flavour != FLAVOUR_AMD) { /* x87_pointers() did more */
		cpu->x87.fop = x87_opcode(in);
		cpu->x87.fcs = cpu->x87.fds = 0;
		if (in->ea)
			cpu->x87.fdp = ea_offset(cpu, in);
	}
	x87_ferr(cpu, true);
}

noinline bool x87_stack_fault(struct cpu *cpu, const struct insn *in, bool overflow)
{
	x87_pointers(cpu, in);
	cpu->x87.fsw = (cpu->x87.fsw & ~FSW_C1) | FSW_IE | FSW_SF | (overflow ? FSW_C1 : 0);
	if (cpu->x87.fcw & FSW_IE)
		return true;
	x87_pending(cpu, in);
	return false;
}

void x87_underflow(struct cpu *cpu, const struct insn *in, unsigned i, unsigned pops)
{
	if (!x87_stack_fault(cpu, in, false))
		return;
	x87_put(cpu, i, softfloat_f80_indefinite());
	while (pops--)
		x87_pop(cpu);
}

/* ---- loads ---- */

static always_inline void push(struct cpu *cpu, const struct insn *in, struct x80 v, const struct softfloat_env *env)
{
	if (unlikely(x87_full(cpu, 7))) {
		if (x87_stack_fault(cpu, in, true))
			x87_push(cpu, softfloat_f80_indefinite());
		return;
	}
	x87_settle(cpu, in, env);
	/* a denormal is loaded even if DE is not masked */
	if (likely(!(softfloat_traps(env) & SOFTFLOAT_IE)))
		x87_push(cpu, v);
}

/* A value from memory of 32 or 64 bits: a signalling NaN is invalid, a denormal is told. */
static always_inline void load_real(struct cpu *cpu, const struct insn *in, struct x80 v, bool denormal)
{
	struct softfloat_env env = x87_env(cpu);

	if (unlikely(softfloat_f80_is_snan(v))) {
		env.flags |= SOFTFLOAT_IE;
		v.mant |= BIT(62);
	}
	if (unlikely(denormal))
		env.flags |= SOFTFLOAT_DE;
	push(cpu, in, v, &env);
}

OP(fld_m32)
{
	bool denormal;

	x87_check(cpu);
	struct x80 v = softfloat_f80_from_f32(mem_read32(cpu, in), &denormal);
	load_real(cpu, in, v, denormal);
}
OP(fld_m64)
{
	bool denormal;

	x87_check(cpu);
	struct x80 v = softfloat_f80_from_f64(mem_read64(cpu, in), &denormal);
	load_real(cpu, in, v, denormal);
}

#define LOAD(name, value)                                                                                              \
	OP(name)                                                                                                           \
	{                                                                                                                  \
		struct softfloat_env env = {0};                                                                                \
		x87_check(cpu);                                                                                                \
		struct x80 v = value;                                                                                          \
		push(cpu, in, v, &env);                                                                                        \
	}
LOAD(fld_m80, x87_read80(cpu, in))
LOAD(fild_m16, softfloat_f80_from_i64((i16)mem_read16(cpu, in)))
LOAD(fild_m32, softfloat_f80_from_i64((i32)mem_read32(cpu, in)))
LOAD(fild_m64, softfloat_f80_from_i64((i64)mem_read64(cpu, in)))

OP(fbld)
{
	struct softfloat_env env = {0};
	u8 bcd[10];

	x87_check(cpu);
	struct x80 v = x87_read80(cpu, in);
	store64(bcd, v.mant);
	store16(bcd + 8, v.se);
	push(cpu, in, softfloat_f80_from_bcd(bcd), &env);
}

OP(fld_st)
{
	struct softfloat_env env = {0};

	x87_check(cpu);
	if (unlikely(!x87_full(cpu, in->r[0]))) {
		if (x87_stack_fault(cpu, in, false))
			x87_push(cpu, softfloat_f80_indefinite());
		return;
	}
	struct x80 v = x87_st(cpu, in->r[0]);
	push(cpu, in, v, &env);
}

/* Constants follow the rounding control: the 64 bits below the value, and in which modes it is the next ones. */
static always_inline void load_constant(struct cpu *cpu, const struct insn *in, u64 mant, u16 se, unsigned nearest)
{
	struct softfloat_env env = {0}, mode = x87_env(cpu);
	enum softfloat_rounding rc = softfloat_rc(&mode);

	x87_check(cpu);
	if (nearest < 2)
		mant += rc == SOFTFLOAT_UP || (rc == SOFTFLOAT_NEAREST && nearest);
	push(cpu, in, (struct x80){.mant = mant, .se = se}, &env);
}
#define EXACT 2
OP(fld1) { load_constant(cpu, in, BIT(63), 0x3fff, EXACT); }
OP(fldz) { load_constant(cpu, in, 0, 0, EXACT); }
OP(fldl2t) { load_constant(cpu, in, 0xd49a784bcd1b8afe, 0x4000, 0); }
OP(fldl2e) { load_constant(cpu, in, 0xb8aa3b295c17f0bb, 0x3fff, 1); }
OP(fldpi) { load_constant(cpu, in, 0xc90fdaa22168c234, 0x4000, 1); }
OP(fldlg2) { load_constant(cpu, in, 0x9a209a84fbcff798, 0x3ffd, 1); }
OP(fldln2) { load_constant(cpu, in, 0xb17217f7d1cf79ab, 0x3ffe, 1); }

/* ---- stores ---- */

/* An unmasked exception stops the store: AMD's CPUs have looked at the destination before. */
static noinline void not_stored(struct cpu *cpu, const struct insn *in, unsigned size)
{
	if (cpu->flavour == FLAVOUR_AMD)
		access_check(cpu, ea_linear(cpu, in, size, true), size, true, in->seg);
}

/* After the value is in memory, or is not to be. */
static always_inline void stored(struct cpu *cpu, const struct insn *in, struct softfloat_env *env, bool pop)
{
	bool done = x87_stores(env, true);

	if (unlikely(!done)) {
		env->flags &= ~SOFTFLOAT_PE; /* of the result that was not stored */
		env->up = 0;
	}
	x87_settle(cpu, in, env);
	if (pop && done)
		x87_pop(cpu);
}

/* An empty ST(0): memory gets the indefinite if that is masked. */
#define STORE(name, bits, value, indefinite, pop)                                                                      \
	OP(name)                                                                                                           \
	{                                                                                                                  \
		x87_check(cpu);                                                                                                \
		struct softfloat_env env = x87_env(cpu);                                                                       \
		if (unlikely(!x87_full(cpu, 0))) {                                                                             \
			if (cpu->x87.fcw & FSW_IE)                                                                                 \
				mem_write##bits(cpu, in, indefinite);                                                                  \
			else                                                                                                       \
				not_stored(cpu, in, bits / 8);                                                                         \
			if (x87_stack_fault(cpu, in, false) && pop)                                                                \
				x87_pop(cpu);                                                                                          \
			return;                                                                                                    \
		}                                                                                                              \
		struct x80 a = x87_st(cpu, 0);                                                                                 \
		u##bits v = value;                                                                                             \
		if (likely(x87_stores(&env, true)))                                                                            \
			mem_write##bits(cpu, in, v);                                                                               \
		else                                                                                                           \
			not_stored(cpu, in, bits / 8);                                                                             \
		stored(cpu, in, &env, pop);                                                                                    \
	}
#define STORE_INT(bits, rc) softfloat_f80_to_int(&env, a, rc, bits)
STORE(fst_m32, 32, softfloat_f80_to_f32(&env, a), 0xffc00000, false)
STORE(fst_m64, 64, softfloat_f80_to_f64(&env, a), 0xfff8ull << 48, false)
STORE(fstp_m32, 32, softfloat_f80_to_f32(&env, a), 0xffc00000, true)
STORE(fstp_m64, 64, softfloat_f80_to_f64(&env, a), 0xfff8ull << 48, true)
STORE(fist_m16, 16, STORE_INT(16, softfloat_rc(&env)), 0x8000, false)
STORE(fist_m32, 32, STORE_INT(32, softfloat_rc(&env)), 0x80000000, false)
STORE(fistp_m16, 16, STORE_INT(16, softfloat_rc(&env)), 0x8000, true)
STORE(fistp_m32, 32, STORE_INT(32, softfloat_rc(&env)), 0x80000000, true)
STORE(fistp_m64, 64, STORE_INT(64, softfloat_rc(&env)), BIT(63), true)
STORE(fisttp_m16, 16, STORE_INT(16, SOFTFLOAT_ZERO), 0x8000, true)
STORE(fisttp_m32, 32, STORE_INT(32, SOFTFLOAT_ZERO), 0x80000000, true)
STORE(fisttp_m64, 64, STORE_INT(64, SOFTFLOAT_ZERO), BIT(63), true)

OP(fstp_m80)
{
	x87_check(cpu);
	bool full = x87_full(cpu, 0);
	if (likely(full) || (cpu->x87.fcw & FSW_IE))
		x87_write80(cpu, in, likely(full) ? x87_st(cpu, 0) : softfloat_f80_indefinite());
	else
		not_stored(cpu, in, 10);
	if (likely(full))
		x87_quiet(cpu, in);
	else if (!x87_stack_fault(cpu, in, false))
		return;
	x87_pop(cpu);
}

OP(fbstp)
{
	u8 bcd[10];

	x87_check(cpu);
	struct softfloat_env env = x87_env(cpu);
	bool full = x87_full(cpu, 0);
	softfloat_f80_to_bcd(&env, full ? x87_st(cpu, 0) : softfloat_f80_indefinite(), bcd);
	if (x87_stores(&env, true))
		x87_write80(cpu, in, (struct x80){.mant = load64(bcd), .se = load16(bcd + 8)});
	else
		not_stored(cpu, in, 10);
	if (full)
		stored(cpu, in, &env, true);
	else if (x87_stack_fault(cpu, in, false))
		x87_pop(cpu);
}

/* FST ST(i): any value goes, as it stands. */
static always_inline void store_st(struct cpu *cpu, const struct insn *in, unsigned pops)
{
	x87_check(cpu);
	if (unlikely(!x87_full(cpu, 0))) {
		x87_underflow(cpu, in, in->r[0], pops);
		return;
	}
	struct x80 v = x87_st(cpu, 0);
	x87_quiet(cpu, in);
	x87_put(cpu, in->r[0], v);
	if (pops)
		x87_pop(cpu);
}
OP(fst_st) { store_st(cpu, in, 0); }
OP(fstp_st) { store_st(cpu, in, 1); }

/* D9 D8+i: as FSTP ST(i), but an empty ST(0) is just popped. */
OP(fstpnce)
{
	x87_check(cpu);
	x87_quiet(cpu, in);
	if (x87_full(cpu, 0))
		x87_put(cpu, in->r[0], x87_st(cpu, 0));
	x87_pop(cpu);
}

/* ---- within the stack ---- */

OP(fxch)
{
	unsigned i = in->r[0];

	x87_check(cpu);
	struct x80 a = x87_st(cpu, 0), b = x87_st(cpu, i);
	if (unlikely(!x87_full(cpu, 0) || !x87_full(cpu, i))) {
		if (!x87_full(cpu, 0))
			a = softfloat_f80_indefinite();
		if (!x87_full(cpu, i))
			b = softfloat_f80_indefinite();
		if (!x87_stack_fault(cpu, in, false))
			return;
	} else {
		x87_quiet(cpu, in);
	}
	x87_put(cpu, i, a);
	x87_put(cpu, 0, b);
}

static always_inline void cmov(struct cpu *cpu, const struct insn *in, enum cc cc)
{
	x87_check(cpu);
	if (unlikely(!x87_full(cpu, 0) || !x87_full(cpu, in->r[1]))) {
		x87_underflow(cpu, in, 0, 0);
		return;
	}
	x87_pointers(cpu, in);
	if (flags_test(cpu, cc))
		x87_put(cpu, 0, x87_st(cpu, in->r[1]));
}
OP(fcmovb) { cmov(cpu, in, CC_B); }
OP(fcmove) { cmov(cpu, in, CC_E); }
OP(fcmovbe) { cmov(cpu, in, CC_BE); }
OP(fcmovu) { cmov(cpu, in, CC_P); }
OP(fcmovnb) { cmov(cpu, in, CC_AE); }
OP(fcmovne) { cmov(cpu, in, CC_NE); }
OP(fcmovnbe) { cmov(cpu, in, CC_A); }
OP(fcmovnu) { cmov(cpu, in, CC_NP); }

static always_inline void turn(struct cpu *cpu, const struct insn *in, int by)
{
	x87_check(cpu);
	x87_quiet(cpu, in);
	x87_set_top(cpu, x87_top(cpu) + by);
}
OP(fincstp) { turn(cpu, in, 1); }
OP(fdecstp) { turn(cpu, in, -1); }

static always_inline void free_st(struct cpu *cpu, const struct insn *in, bool pop)
{
	x87_check(cpu);
	x87_quiet(cpu, in);
	cpu->x87.valid &= ~(1 << ((x87_top(cpu) + in->r[0]) & 7));
	if (pop)
		x87_pop(cpu);
}
OP(ffree) { free_st(cpu, in, false); }
OP(ffreep) { free_st(cpu, in, true); }

OP(fnop)
{
	x87_check(cpu);
	x87_pointers(cpu, in);
}

/* ---- comparisons ---- */

static always_inline u16 order_cc(enum softfloat_order order)
{
	return order == SOFTFLOAT_UNORDERED ? FSW_C0 | FSW_C2 | FSW_C3
	       : order == SOFTFLOAT_LESS    ? FSW_C0
	       : order == SOFTFLOAT_EQUAL   ? FSW_C3
	                                    : 0;
}

/* ST(0) with v; full: v came from memory or a register that is not empty. */
static always_inline void compare(struct cpu *cpu, const struct insn *in, struct x80 v, bool full, bool denormal,
                                  bool signalling, unsigned pops)
{
	struct softfloat_env env = x87_env(cpu);
	enum softfloat_order order = SOFTFLOAT_UNORDERED;
	bool done;

	if (unlikely(!full || !x87_full(cpu, 0))) {
		done = x87_stack_fault(cpu, in, false);
	} else {
		order = softfloat_f80_cmp(&env, x87_st(cpu, 0), v, signalling);
		if (denormal && order != SOFTFLOAT_UNORDERED)
			env.flags |= SOFTFLOAT_DE;
		x87_settle(cpu, in, &env);
		done = x87_stores(&env, false);
	}
	/* the condition code is set even where an unmasked exception keeps the stack as it is */
	cpu->x87.fsw = (cpu->x87.fsw & ~(FSW_C0 | FSW_C2 | FSW_C3)) | order_cc(order);
	while (done && pops--)
		x87_pop(cpu);
}

#define COMPARE_ST(name, i, signalling, pops)                                                                          \
	OP(name)                                                                                                           \
	{                                                                                                                  \
		x87_check(cpu);                                                                                                \
		compare(cpu, in, x87_st(cpu, i), x87_full(cpu, i), false, signalling, pops);                                   \
	}
COMPARE_ST(fcom_st, in->r[0], true, 0)
COMPARE_ST(fcomp_st, in->r[0], true, 1)
COMPARE_ST(fcompp, 1, true, 2)
COMPARE_ST(fucom_st, in->r[0], false, 0)
COMPARE_ST(fucomp_st, in->r[1], false, 1)
COMPARE_ST(fucompp, 1, false, 2)

#define COMPARE_MEM(name, value, pops)                                                                                 \
	OP(name)                                                                                                           \
	{                                                                                                                  \
		bool denormal = false;                                                                                         \
		x87_check(cpu);                                                                                                \
		struct x80 v = value;                                                                                          \
		compare(cpu, in, v, true, denormal, true, pops);                                                               \
	}
COMPARE_MEM(fcom_m32, softfloat_f80_from_f32(mem_read32(cpu, in), &denormal), 0)
COMPARE_MEM(fcom_m64, softfloat_f80_from_f64(mem_read64(cpu, in), &denormal), 0)
COMPARE_MEM(fcomp_m32, softfloat_f80_from_f32(mem_read32(cpu, in), &denormal), 1)
COMPARE_MEM(fcomp_m64, softfloat_f80_from_f64(mem_read64(cpu, in), &denormal), 1)
COMPARE_MEM(ficom_m16, softfloat_f80_from_i64((i16)mem_read16(cpu, in)), 0)
COMPARE_MEM(ficom_m32, softfloat_f80_from_i64((i32)mem_read32(cpu, in)), 0)
COMPARE_MEM(ficomp_m16, softfloat_f80_from_i64((i16)mem_read16(cpu, in)), 1)
COMPARE_MEM(ficomp_m32, softfloat_f80_from_i64((i32)mem_read32(cpu, in)), 1)

OP(ftst)
{
	x87_check(cpu);
	compare(cpu, in, (struct x80){0}, true, false, true, 0);
}

/* C1 keeps its value. */
static always_inline void compare_flags(struct cpu *cpu, const struct insn *in, bool signalling, unsigned pops)
{
	struct softfloat_env env = x87_env(cpu);
	enum softfloat_order order = SOFTFLOAT_UNORDERED;
	u16 c1 = cpu->x87.fsw & FSW_C1;
	bool done;

	x87_check(cpu);
	if (unlikely(!x87_full(cpu, 0) || !x87_full(cpu, in->r[1]))) {
		done = x87_stack_fault(cpu, in, false);
	} else {
		order = softfloat_f80_cmp(&env, x87_st(cpu, 0), x87_st(cpu, in->r[1]), signalling);
		x87_settle(cpu, in, &env);
		cpu->x87.fsw |= c1;
		done = x87_stores(&env, false);
	}
	/* C0, C2, C3 are a byte above CF, PF, ZF */
	flags_set(cpu, (cpu->rflags & ~(u64)FLAGS_ARITH) | order_cc(order) >> 8);
	if (done && pops)
		x87_pop(cpu);
}
OP(fcomi) { compare_flags(cpu, in, true, 0); }
OP(fcomip) { compare_flags(cpu, in, true, 1); }
OP(fucomi) { compare_flags(cpu, in, false, 0); }
OP(fucomip) { compare_flags(cpu, in, false, 1); }

OP(fxam)
{
	u16 class;

	x87_check(cpu);
	struct x80 a = x87_st(cpu, 0);
	if (!x87_full(cpu, 0))
		class = FSW_C3 | FSW_C0;
	else if (softfloat_f80_unsupported(a))
		class = 0;
	else if (softfloat_f80_is_nan(a))
		class = FSW_C0;
	else if ((a.se & 0x7fff) == 0x7fff)
		class = FSW_C2 | FSW_C0;
	else if (softfloat_f80_is_zero(a))
		class = FSW_C3;
	else
		class = softfloat_f80_is_denormal(a) ? FSW_C3 | FSW_C2 : FSW_C2;
	x87_pointers(cpu, in);
	cpu->x87.fsw = (cpu->x87.fsw & ~FSW_CC) | class | (a.se >> 15 ? FSW_C1 : 0);
}

static const struct form table[] = {
	{ZYDIS_MNEMONIC_FLD, {O_M32}, 0, FEAT_FPU, fld_m32},
	{ZYDIS_MNEMONIC_FLD, {O_M64}, 0, FEAT_FPU, fld_m64},
	{ZYDIS_MNEMONIC_FLD, {O_M80}, 0, FEAT_FPU, fld_m80},
	{ZYDIS_MNEMONIC_FLD, {O_ST}, 0, FEAT_FPU, fld_st},
	{ZYDIS_MNEMONIC_FILD, {O_M16}, 0, FEAT_FPU, fild_m16},
	{ZYDIS_MNEMONIC_FILD, {O_M32}, 0, FEAT_FPU, fild_m32},
	{ZYDIS_MNEMONIC_FILD, {O_M64}, 0, FEAT_FPU, fild_m64},
	{ZYDIS_MNEMONIC_FBLD, {O_M80}, 0, FEAT_FPU, fbld},
	{ZYDIS_MNEMONIC_FLD1, {O_NONE}, 0, FEAT_FPU, fld1},
	{ZYDIS_MNEMONIC_FLDZ, {O_NONE}, 0, FEAT_FPU, fldz},
	{ZYDIS_MNEMONIC_FLDL2T, {O_NONE}, 0, FEAT_FPU, fldl2t},
	{ZYDIS_MNEMONIC_FLDL2E, {O_NONE}, 0, FEAT_FPU, fldl2e},
	{ZYDIS_MNEMONIC_FLDPI, {O_NONE}, 0, FEAT_FPU, fldpi},
	{ZYDIS_MNEMONIC_FLDLG2, {O_NONE}, 0, FEAT_FPU, fldlg2},
	{ZYDIS_MNEMONIC_FLDLN2, {O_NONE}, 0, FEAT_FPU, fldln2},
	{ZYDIS_MNEMONIC_FST, {O_M32}, 0, FEAT_FPU, fst_m32},
	{ZYDIS_MNEMONIC_FST, {O_M64}, 0, FEAT_FPU, fst_m64},
	{ZYDIS_MNEMONIC_FST, {O_ST}, 0, FEAT_FPU, fst_st},
	{ZYDIS_MNEMONIC_FSTP, {O_M32}, 0, FEAT_FPU, fstp_m32},
	{ZYDIS_MNEMONIC_FSTP, {O_M64}, 0, FEAT_FPU, fstp_m64},
	{ZYDIS_MNEMONIC_FSTP, {O_M80}, 0, FEAT_FPU, fstp_m80},
	{ZYDIS_MNEMONIC_FSTP, {O_ST}, 0, FEAT_FPU, fstp_st},
	{ZYDIS_MNEMONIC_FSTPNCE, {O_ST}, 0, FEAT_FPU, fstpnce},
	{ZYDIS_MNEMONIC_FIST, {O_M16}, 0, FEAT_FPU, fist_m16},
	{ZYDIS_MNEMONIC_FIST, {O_M32}, 0, FEAT_FPU, fist_m32},
	{ZYDIS_MNEMONIC_FISTP, {O_M16}, 0, FEAT_FPU, fistp_m16},
	{ZYDIS_MNEMONIC_FISTP, {O_M32}, 0, FEAT_FPU, fistp_m32},
	{ZYDIS_MNEMONIC_FISTP, {O_M64}, 0, FEAT_FPU, fistp_m64},
	{ZYDIS_MNEMONIC_FISTTP, {O_M16}, 0, FEAT_SSE3, fisttp_m16},
	{ZYDIS_MNEMONIC_FISTTP, {O_M32}, 0, FEAT_SSE3, fisttp_m32},
	{ZYDIS_MNEMONIC_FISTTP, {O_M64}, 0, FEAT_SSE3, fisttp_m64},
	{ZYDIS_MNEMONIC_FBSTP, {O_M80}, 0, FEAT_FPU, fbstp},
	{ZYDIS_MNEMONIC_FXCH, {O_ST}, 0, FEAT_FPU, fxch},
	{ZYDIS_MNEMONIC_FCMOVB, {O_ST0, O_ST}, 0, FEAT_CMOV, fcmovb},
	{ZYDIS_MNEMONIC_FCMOVE, {O_ST0, O_ST}, 0, FEAT_CMOV, fcmove},
	{ZYDIS_MNEMONIC_FCMOVBE, {O_ST0, O_ST}, 0, FEAT_CMOV, fcmovbe},
	{ZYDIS_MNEMONIC_FCMOVU, {O_ST0, O_ST}, 0, FEAT_CMOV, fcmovu},
	{ZYDIS_MNEMONIC_FCMOVNB, {O_ST0, O_ST}, 0, FEAT_CMOV, fcmovnb},
	{ZYDIS_MNEMONIC_FCMOVNE, {O_ST0, O_ST}, 0, FEAT_CMOV, fcmovne},
	{ZYDIS_MNEMONIC_FCMOVNBE, {O_ST0, O_ST}, 0, FEAT_CMOV, fcmovnbe},
	{ZYDIS_MNEMONIC_FCMOVNU, {O_ST0, O_ST}, 0, FEAT_CMOV, fcmovnu},
	{ZYDIS_MNEMONIC_FINCSTP, {O_NONE}, 0, FEAT_FPU, fincstp},
	{ZYDIS_MNEMONIC_FDECSTP, {O_NONE}, 0, FEAT_FPU, fdecstp},
	{ZYDIS_MNEMONIC_FFREE, {O_ST}, 0, FEAT_FPU, ffree},
	{ZYDIS_MNEMONIC_FFREEP, {O_ST}, 0, FEAT_FPU, ffreep},
	{ZYDIS_MNEMONIC_FNOP, {O_NONE}, 0, FEAT_FPU, fnop},
	{ZYDIS_MNEMONIC_FCOM, {O_M32}, 0, FEAT_FPU, fcom_m32},
	{ZYDIS_MNEMONIC_FCOM, {O_M64}, 0, FEAT_FPU, fcom_m64},
	{ZYDIS_MNEMONIC_FCOM, {O_ST}, 0, FEAT_FPU, fcom_st},
	{ZYDIS_MNEMONIC_FCOMP, {O_M32}, 0, FEAT_FPU, fcomp_m32},
	{ZYDIS_MNEMONIC_FCOMP, {O_M64}, 0, FEAT_FPU, fcomp_m64},
	{ZYDIS_MNEMONIC_FCOMP, {O_ST}, 0, FEAT_FPU, fcomp_st},
	{ZYDIS_MNEMONIC_FCOMPP, {O_NONE}, 0, FEAT_FPU, fcompp},
	{ZYDIS_MNEMONIC_FICOM, {O_M16}, 0, FEAT_FPU, ficom_m16},
	{ZYDIS_MNEMONIC_FICOM, {O_M32}, 0, FEAT_FPU, ficom_m32},
	{ZYDIS_MNEMONIC_FICOMP, {O_M16}, 0, FEAT_FPU, ficomp_m16},
	{ZYDIS_MNEMONIC_FICOMP, {O_M32}, 0, FEAT_FPU, ficomp_m32},
	{ZYDIS_MNEMONIC_FUCOM, {O_ST}, 0, FEAT_FPU, fucom_st},
	{ZYDIS_MNEMONIC_FUCOMP, {O_ST0, O_ST}, 0, FEAT_FPU, fucomp_st},
	{ZYDIS_MNEMONIC_FUCOMPP, {O_NONE}, 0, FEAT_FPU, fucompp},
	{ZYDIS_MNEMONIC_FTST, {O_NONE}, 0, FEAT_FPU, ftst},
	{ZYDIS_MNEMONIC_FCOMI, {O_ST0, O_ST}, 0, FEAT_CMOV, fcomi},
	{ZYDIS_MNEMONIC_FCOMIP, {O_ST0, O_ST}, 0, FEAT_CMOV, fcomip},
	{ZYDIS_MNEMONIC_FUCOMI, {O_ST0, O_ST}, 0, FEAT_CMOV, fucomi},
	{ZYDIS_MNEMONIC_FUCOMIP, {O_ST0, O_ST}, 0, FEAT_CMOV, fucomip},
	{ZYDIS_MNEMONIC_FXAM, {O_NONE}, 0, FEAT_FPU, fxam},
};
const struct form_table x87_forms = {table, ARRAY_LEN(table)};
