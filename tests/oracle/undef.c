/* SPDX-License-Identifier: MIT */
/* What the two sides need not agree on, with the reason. Flags: SDM vol. 1 appendix A and the "Flags Affected" of vol. 2, where an
 * entry says undefined. Approximations: SDM vol. 1 8.3.10 (transcendentals), vol. 2 RCPPS and RSQRTPS. Differences between
 * vendors are rows of their own, so that the oracle passes on an Intel and on an AMD host. */
#include "tests/oracle/oracle.h"

#define M(name) ZYDIS_MNEMONIC_##name

/* ---- flags that are always undefined ---- */

static const struct {
	u16 mnemonic;
	u32 flags;
} undefined_flags[] = {
	{M(AND), F_AF}, {M(OR), F_AF}, {M(XOR), F_AF}, {M(TEST), F_AF},
	{M(MUL), F_SF | F_ZF | F_AF | F_PF}, {M(IMUL), F_SF | F_ZF | F_AF | F_PF},
	{M(DIV), F_ARITH}, {M(IDIV), F_ARITH},
	{M(AAA), F_OF | F_SF | F_ZF | F_PF}, {M(AAS), F_OF | F_SF | F_ZF | F_PF},
	{M(DAA), F_OF}, {M(DAS), F_OF}, {M(AAM), F_OF | F_AF | F_CF}, {M(AAD), F_OF | F_AF | F_CF},
	{M(BSF), F_CF | F_OF | F_SF | F_AF | F_PF}, {M(BSR), F_CF | F_OF | F_SF | F_AF | F_PF},
	{M(BT), F_OF | F_SF | F_AF | F_PF}, {M(BTS), F_OF | F_SF | F_AF | F_PF}, {M(BTR), F_OF | F_SF | F_AF | F_PF},
	{M(BTC), F_OF | F_SF | F_AF | F_PF},
};

/* ---- helpers ---- */

static void ignore_gpr(struct tolerance *tol, unsigned gpr, u64 bits)
{
	tol->gpr[gpr & 15] |= bits;
}

static void ignore_memory(struct tolerance *tol, u64 address, unsigned len)
{
	while (len && tol->holes < HOLES) {
		i64 at = oracle_arena(address);
		unsigned n = MIN(len, PAGE - (unsigned)(address % PAGE));
		if (at >= 0 && at < ARENA_WRITABLE) {
			tol->hole[tol->holes].at = at;
			tol->hole[tol->holes++].len = n;
		}
		address += n;
		len -= n;
	}
}

static void ignore_operand(const struct test *t, struct tolerance *tol, unsigned i)
{
	const ZydisDecodedOperand *op = &t->in.op[i];
	unsigned id = reg_id(op->reg.value);

	if (op->type == ZYDIS_OPERAND_TYPE_MEMORY)
		ignore_memory(tol, recipe_address(t, i), op->size / 8);
	else if (op->size == 8 && id >= 4 && id < 8)
		ignore_gpr(tol, id - 4, 0xff00);
	else
		ignore_gpr(tol, op->size == 8 && id >= 8 ? id - 4 : id, mask_bytes(op->size / 8));
}

static unsigned shift_count(const struct test *t, unsigned operand)
{
	const ZydisDecodedOperand *op = &t->in.op[operand];
	u64 v = op->type == ZYDIS_OPERAND_TYPE_IMMEDIATE ? op->imm.value.u : t->s.gpr[R_CX];

	return v & (t->in.op[0].size == 64 ? 63 : 31);
}

/* ---- conditional ones ---- */

static void shifts(const struct test *t, struct tolerance *tol)
{
	unsigned count = shift_count(t, 1), bits = t->in.op[0].size;

	if (count == 0)
		return;
	if (count > 1)
		tol->flags |= F_OF;
	switch (t->in.z.mnemonic) {
	case M(SHL): case M(SHR): case M(SAR):
		tol->flags |= F_AF;
		if (count >= bits && t->in.z.mnemonic != M(SAR))
			tol->flags |= F_CF;
		break;
	default:
		break;
	}
}

static void double_shifts(const struct test *t, struct tolerance *tol)
{
	unsigned count = shift_count(t, 2);

	if (count == 0)
		return;
	tol->flags |= F_AF;
	if (count > 1)
		tol->flags |= F_OF;
	if (count > t->in.op[0].size) { /* result and flags undefined */
		tol->flags |= F_ARITH;
		ignore_operand(t, tol, 0);
	}
}

/* A source of 0 leaves the destination undefined (Intel) or as it was (AMD): both leave its operand-size bits, and differ in the
 * upper half of a 32-bit one. */
static void bit_scan(const struct test *t, const struct outcome *ref, struct tolerance *tol)
{
	if ((ref->s.rflags & F_ZF) && t->in.op[0].size == 32)
		ignore_gpr(tol, reg_id(t->in.op[0].reg.value), ~0ull << 32);
}

/* Values that are the host's own: only that the registers are written in their full width is compared. */
static void host_values(const struct test *t, struct tolerance *tol)
{
	switch (t->in.z.mnemonic) {
	case M(RDTSC): case M(XGETBV):
		ignore_gpr(tol, R_AX, 0xffffffff);
		ignore_gpr(tol, R_DX, 0xffffffff);
		if (t->in.z.mnemonic == M(XGETBV) && (u32)t->s.gpr[R_CX] == 1) {
			tol->skip = true;
			tol->why = "XGETBV with ECX = 1 reports what the host's kernel has in use";
		}
		break;
	case M(RDTSCP):
		ignore_gpr(tol, R_AX, 0xffffffff);
		ignore_gpr(tol, R_DX, 0xffffffff);
		ignore_gpr(tol, R_CX, 0xffffffff);
		break;
	case M(CPUID):
		for (unsigned i = 0; i < 4; i++)
			ignore_gpr(tol, i, 0xffffffff);
		break;
	case M(RDRAND): case M(RDSEED): /* random; and the source may be exhausted: CF = 0 */
		ignore_operand(t, tol, 0);
		tol->flags |= F_CF;
		break;
	default:
		break;
	}
}

/* The last instruction's opcode, code and data pointers: AMD keeps them only while an exception is pending (APM vol. 2 11.4.4),
 * older Intel CPUs keep more of them than ours (SDM vol. 1 8.1.8, CPUID.7.EBX[6] and [13]). MXCSR_MASK tells what MXCSR has. */
static void fpu_images(const struct test *t, enum vendor vendor, struct tolerance *tol)
{
	u64 at = t->in.op[0].type == ZYDIS_OPERAND_TYPE_MEMORY ? recipe_address(t, 0) : 0;
	bool wide = t->in.z.operand_width != 16, pointers = vendor == VENDOR_INTEL;

	tol->pointers = !pointers;
	switch (t->in.z.mnemonic) {
	case M(FNSTENV): case M(FNSAVE):
		if (!pointers)
			ignore_memory(tol, at + (wide ? 12 : 6), wide ? 16 : 8);
		break;
	case M(FXSAVE): case M(FXSAVE64): case M(XSAVE): case M(XSAVE64): case M(XSAVEC): case M(XSAVEC64): case M(XSAVEOPT):
	case M(XSAVEOPT64):
		if (!pointers)
			ignore_memory(tol, at + 6, 18);
		ignore_memory(tol, at + 28, 4);
		break;
	default:
		break;
	}
}

static unsigned exponent(const struct st80 *v)
{
	return v->se & 0x7fff;
}

static bool on_the_edge(const struct test *t, const struct outcome *ref)
{
	const struct fx *fp = &ref->s.fp;
	bool unmasked = ~t->s.fp.fcw & 0x18;

	for (unsigned i = 0; i < 2; i++)
		if (exponent(&fp->st[i]) == 0x7ffe || (unmasked && exponent(&fp->st[i]) <= 1))
			return true;
	return unmasked && (fp->fsw & ~t->s.fp.fsw & 0x18);
}

static void approximations(const struct test *t, const struct outcome *ref, struct tolerance *tol)
{
	switch (t->in.z.mnemonic) {
	case M(FSIN): case M(FCOS): case M(FSINCOS): case M(FPTAN): case M(FPATAN): case M(F2XM1): case M(FYL2X): case M(FYL2XP1):
		/* within one unit in the last place each; whether the result is exact, and which way it was rounded, follows from it */
		tol->st_ulps = 2;
		tol->fsw |= 0x0230;
		if (on_the_edge(t, ref)) {
			tol->skip = true;
			tol->why = "an approximation so near to overflow or underflow that the last place decides";
		}
		break;
	case M(RCPPS): case M(RCPSS):
		tol->rcp = 1;
		break;
	case M(RSQRTPS): case M(RSQRTSS):
		tol->rcp = 2;
		break;
	default:
		break;
	}
}

/* Operands outside the range for which the manual defines a result. */
static void out_of_range(const struct test *t, struct tolerance *tol)
{
	const struct st80 *st = t->s.fp.st;
	bool undefined = false;

	if (t->in.z.mnemonic == M(F2XM1)) /* -1 .. 1 */
		undefined = exponent(&st[0]) > 0x3fff || (exponent(&st[0]) == 0x3fff && st[0].mant != 1ull << 63);
	if (t->in.z.mnemonic == M(FYL2XP1)) /* within 1 - sqrt(2)/2 */
		undefined = exponent(&st[0]) > 0x3ffd || (exponent(&st[0]) == 0x3ffd && st[0].mant > 0x95f619980c4336f7ull);
	if (undefined && exponent(&st[0]) != 0x7fff) {
		tol->skip = true;
		tol->why = "operand outside the range for which the manual defines a result";
	}
}

/* ---- operands of many parts: which byte is touched first is not architectural ---- */

static bool is_image(unsigned m)
{
	switch (m) {
	case M(FNSTENV): case M(FLDENV): case M(FNSAVE): case M(FRSTOR): case M(FXSAVE): case M(FXSAVE64): case M(FXRSTOR):
	case M(FXRSTOR64): case M(XSAVE): case M(XSAVE64): case M(XSAVEC): case M(XSAVEC64): case M(XSAVEOPT): case M(XSAVEOPT64):
	case M(XRSTOR): case M(XRSTOR64):
		return true;
	default:
		return false;
	}
}

static bool mapped(u64 at)
{
	return oracle_arena(at) >= 0;
}

static bool writable(u64 at)
{
	i64 arena = oracle_arena(at);

	return arena >= 0 && arena < ARENA_WRITABLE;
}

/* Where no byte selected by the mask would fault, the others may fault or not (SDM, MASKMOVDQU). */
static bool masks_faults(const struct test *t, u64 at)
{
	const struct fx *fp = &t->s.fp;
	unsigned r = reg_id(t->in.op[1].reg.value);
	bool wide = t->in.z.mnemonic == M(MASKMOVDQU);
	const u8 *mask = wide ? (const u8 *)fp->xmm[r & 15] : (const u8 *)&fp->st[(r - (fp->fsw >> 11)) & 7].mant;

	for (unsigned i = 0; i < (wide ? 16u : 8u); i++)
		if ((mask[i] & 0x80) && !writable(at + i))
			return false;
	return true;
}

static void parts(const struct test *t, const struct outcome *ref, enum vendor vendor, struct tolerance *tol)
{
	unsigned m = t->in.z.mnemonic, size = t->in.z.operand_width / 8;
	bool far_call = m == M(CALL) && t->in.z.meta.branch_type == ZYDIS_BRANCH_TYPE_FAR;
	u64 sp = recipe_stack(t);

	if (is_image(m) && t->in.op[0].type == ZYDIS_OPERAND_TYPE_MEMORY) {
		u64 at = recipe_address(t, 0);
		unsigned len = MAX(t->in.op[0].size / 8u, 576u);
		tol->cr2_at = at;
		tol->cr2_len = len;
		if (t->in.z.address_width == 16 && (u16)(at - recipe_segment(t, 0)) + len > 0x10000) {
			tol->skip = true;
			tol->why = "whether the address wraps at 64 KiB inside an operand of many parts is not architectural";
		}
		/* which components are touched at all depends on the mask and on what is in its initial state */
		if (t->in.op[0].size / 8 > 512 && mapped(at) != mapped(at + 575))
			tol->fault_either = true;
		if (ref->vector == 14)
			ignore_memory(tol, at, len);
	}
	switch (m) {
	case M(POPA): case M(POPAD):
		/* Intel has loaded the registers popped before the fault; the instruction can be restarted all the same */
		tol->cr2_at = sp;
		tol->cr2_len = 8 * size;
		for (unsigned i = 0; i < 8 && ref->vector == 14; i++)
			if (i != R_SP)
				ignore_gpr(tol, i, ~0ull);
		break;
	case M(PUSHA): case M(PUSHAD):
		tol->cr2_at = sp - 8 * size;
		tol->cr2_len = 8 * size;
		break;
	case M(IRET): case M(IRETD): case M(IRETQ):
	case M(RET):
		if (m == M(RET) && t->in.z.meta.branch_type != ZYDIS_BRANCH_TYPE_FAR)
			break;
		tol->cr2_at = sp;
		tol->cr2_len = (m == M(RET) ? 2 : 5) * size;
		if (mapped(sp) != mapped(sp + tol->cr2_len - 1)) {
			tol->skip = true;
			tol->why = "the order and width in which a far return reads its frame are not architectural";
		}
		break;
	case M(MASKMOVQ): case M(MASKMOVDQU): /* the first byte with its mask bit set */
		tol->cr2_at = recipe_address(t, 2);
		tol->cr2_len = m == M(MASKMOVQ) ? 8 : 16;
		tol->fault_either = masks_faults(t, tol->cr2_at);
		break;
	case M(FSTP): case M(FBSTP): /* two stores; the first may be done when the second faults */
		if (ref->vector == 14 && t->in.op[0].size == 80)
			ignore_operand(t, tol, 0);
		break;
	case M(PUSH): case M(POP): /* of a segment register: Intel touches 16 bits of a slot of 32 or 64, others all of it */
		if (vendor != VENDOR_INTEL && t->in.op[0].type == ZYDIS_OPERAND_TYPE_REGISTER &&
		    ZydisRegisterGetClass(t->in.op[0].reg.value) == ZYDIS_REGCLASS_SEGMENT) {
			u64 slot = m == M(PUSH) ? sp - size : sp;
			ignore_memory(tol, slot + 2, size - 2);
			tol->fault_either = mapped(slot) != mapped(slot + size - 1);
		}
		break;
	case M(BOUND): /* the upper bound need not be read when the lower one is violated */
		tol->fault_either = mapped(recipe_address(t, 1)) != mapped(recipe_address(t, 1) + t->in.op[1].size / 8 - 1);
		break;
	case M(LDS): case M(LES): case M(LSS): case M(LGS): /* offset and selector are two reads */
		tol->cr2_at = recipe_address(t, 1);
		tol->cr2_len = t->in.op[1].size / 8;
		tol->fault_order = !mapped(tol->cr2_at) || !mapped(tol->cr2_at + tol->cr2_len - 1);
		break;
	case M(CALL): /* the return address may have been stored, in part, when it faults; a far one is pushed in the new mode */
		if (t->in.mode == M16 && far_call && (ref->vector == 14 || (ref->vector == NO_FAULT && ref->s.sel[S_CS] == SEL_CODE64))) {
			tol->skip = true;
			tol->why = "processors differ in the stack a far call into 64-bit code pushes on: the old or the new";
		}
		if (ref->vector != NO_FAULT) {
			ignore_memory(tol, sp - 16, 16);
			ignore_memory(tol, t->s.gpr[R_SP] - 16, 16);
			ignore_memory(tol, (u32)t->s.gpr[R_SP] - 16, 16);
		}
		tol->fault_either = far_call && ref->vector == 14 && !mapped(sp - 1 - 2 * size);
		break;
	default:
		break;
	}
}

static bool names_mmx(const struct test *t)
{
	for (unsigned i = 0; i < t->in.z.operand_count_visible; i++)
		if (t->in.op[i].type == ZYDIS_OPERAND_TYPE_REGISTER &&
		    ZydisRegisterGetClass(t->in.op[i].reg.value) == ZYDIS_REGCLASS_MMX)
			return true;
	return false;
}

void undef_tolerance(const struct test *t, const struct outcome *ref, enum vendor vendor, struct tolerance *tol)
{
	unsigned m = t->in.z.mnemonic;

	memset(tol, 0, sizeof *tol);
	tol->flags = F_RF;
	parts(t, ref, vendor, tol);
	fpu_images(t, vendor, tol);
	/* Intel has entered MMX state by the time a store or some conversions fault: harmless, and nowhere promised */
	tol->mmx_entered = ref->vector != NO_FAULT && (names_mmx(t) || m == M(CVTPI2PS));
	if (vendor != VENDOR_INTEL && m == M(CVTPI2PS) && t->in.op[1].type == ZYDIS_OPERAND_TYPE_MEMORY)
		tol->mmx_entered = true; /* the manual says it enters MMX state; Intel's CPUs do not with a memory operand */
	if (ref->vector != NO_FAULT)
		goto faults;
	for (unsigned i = 0; i < ARRAY_LEN(undefined_flags); i++)
		if (undefined_flags[i].mnemonic == m)
			tol->flags |= undefined_flags[i].flags;
	switch (m) {
	case M(SHL): case M(SHR): case M(SAR): case M(ROL): case M(ROR): case M(RCL): case M(RCR): shifts(t, tol); break;
	case M(SHLD): case M(SHRD): double_shifts(t, tol); break;
	case M(BSF): case M(BSR): bit_scan(t, ref, tol); break;
	case M(BSWAP):
		if (t->in.op[0].size == 16)
			ignore_operand(t, tol, 0);
		break;
	default: break;
	}
	host_values(t, tol);
	approximations(t, ref, tol);
	out_of_range(t, tol);
faults:
	if (vendor == VENDOR_AMD && t->in.z.meta.branch_type != ZYDIS_BRANCH_TYPE_NONE && ref->vector == 13) {
		/* AMD loads a non-canonical target first and faults there */
		tol->skip = true;
		tol->why = "AMD raises #GP at a non-canonical target, Intel at the branch";
	}
	if (vendor != VENDOR_INTEL && (m == M(DPPS) || m == M(DPPD)))
		tol->any_nan = m == M(DPPS) ? 1 : 2; /* which of several NaNs survives the sums is Intel's order here */
	if (vendor == VENDOR_AMD && t->in.z.meta.isa_ext == ZYDIS_ISA_EXT_X87)
		tol->fsw |= 0x4500; /* C0, C2, C3 where the manual calls them undefined */
}

const char *undef_form(const struct iform *form, enum vendor vendor)
{
	const ZydisDecodedInstruction *z = &form->z;

	if (vendor != VENDOR_AMD || form->mode != M64)
		return NULL;
	if (z->meta.branch_type != ZYDIS_BRANCH_TYPE_NONE && (form->prefixes & P_66))
		return "AMD cuts near branches with an operand-size prefix to 16 bits, Intel ignores the prefix";
	if ((z->mnemonic == M(LSS) || z->mnemonic == M(LGS) || z->meta.branch_type == ZYDIS_BRANCH_TYPE_FAR) &&
	    (form->prefixes & P_REXW) && form->memory)
		return "AMD has no 16:64 far pointers";
	return NULL;
}
