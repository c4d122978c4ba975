/* SPDX-License-Identifier: MIT */
/* What the two sides need not agree on, with the reason. That is not what the manuals call undefined: flags, bits of registers and
 * the x87's pointers are compared with what the flavour gives (cpu/model.h). It is what is not a function of the state that an
 * instruction starts in (time, randomness, the host's CPUID), what approximations are allowed (SDM vol. 1 8.3.10; vol. 2 RCPPS and
 * RSQRTPS), and in which order an operand of many parts is touched when one of them faults: nobody promises it, steppings differ,
 * and the instruction can be restarted either way. Each row says of which vendor it was seen. */
#include "tests/oracle/oracle.h"

#define M(name) ZYDIS_MNEMONIC_##name

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

/* What FXSAVE and its relatives store about the CPU. MXCSR_MASK: AMD has bit 17, misaligned operands, which our models do not
 * offer. The last instruction's opcode, code and data pointers: Intel's CPUs before CPUID.7.EBX[6] and [13] keep others than the
 * flavour does (SDM vol. 1 8.1.8); those of AMD leave by FNSTENV, in 32 bits, but where a signal has ended the test. */
static void fpu_images(const struct test *t, const struct outcome *ref, enum vendor vendor, struct tolerance *tol)
{
	u64 at = t->in.op[0].type == ZYDIS_OPERAND_TYPE_MEMORY ? recipe_address(t, 0) : 0;
	const struct fx *fp = &ref->s.fp;
	bool wide = t->in.z.operand_width != 16;

	if (vendor == VENDOR_INTEL)
		tol->pointer_bits = ~0ull;
	else if (vendor == VENDOR_AMD && (fp->fop || fp->fip || fp->fdp || (t->in.z.mnemonic == M(FNINIT) && ref->vector == NO_FAULT)))
		tol->pointer_bits = 0xffffffff;
	switch (t->in.z.mnemonic) {
	case M(FNSTENV): case M(FNSAVE):
		if (vendor == VENDOR_ANY)
			ignore_memory(tol, at + (wide ? 12 : 6), wide ? 16 : 8);
		break;
	case M(FXSAVE): case M(FXSAVE64): case M(XSAVE): case M(XSAVE64): case M(XSAVEC): case M(XSAVEC64): case M(XSAVEOPT):
	case M(XSAVEOPT64):
		if (vendor == VENDOR_ANY)
			ignore_memory(tol, at + 6, 18);
		if (vendor != VENDOR_INTEL)
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

static void approximations(const struct test *t, const struct outcome *ref, enum vendor vendor, struct tolerance *tol)
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
		tol->rcp = vendor == VENDOR_AMD ? 0 : 1; /* Intel's tables differ from one generation to the next */
		break;
	case M(RSQRTPS): case M(RSQRTSS):
		tol->rcp = vendor == VENDOR_AMD ? 0 : 2;
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

#define MEMORY_FAULTS (1u << 12 | 1u << 13 | 1u << 14)

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

/* Where both of CMPS's operands fault, either may come first; an AMD CPU does not do it the same way twice. */
static void two_operands(const struct test *t, const struct outcome *ref, struct tolerance *tol)
{
	static struct test last;

	last.in = t->in;
	last.s = ref->s; /* of the iteration that faults */
	for (unsigned i = 0, n = 0; i < last.in.z.operand_count && n < 2; i++)
		if (last.in.op[i].type == ZYDIS_OPERAND_TYPE_MEMORY) {
			tol->cr2_at[n] = recipe_address(&last, i);
			tol->cr2_len[n++] = last.in.op[i].size / 8;
		}
	tol->alike = MEMORY_FAULTS;
}

static void parts(const struct test *t, const struct outcome *ref, enum vendor vendor, struct tolerance *tol)
{
	unsigned m = t->in.z.mnemonic, size = t->in.z.operand_width / 8;
	bool far_call = m == M(CALL) && t->in.z.meta.branch_type == ZYDIS_BRANCH_TYPE_FAR;
	u64 sp = recipe_stack(t);

	if (is_image(m) && t->in.op[0].type == ZYDIS_OPERAND_TYPE_MEMORY) {
		u64 at = recipe_address(t, 0);
		unsigned len = MAX(t->in.op[0].size / 8u, 576u);
		tol->cr2_at[0] = at;
		tol->cr2_len[0] = len;
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
	case M(CMPSB): case M(CMPSW): case M(CMPSD): case M(CMPSQ):
		if (ref->vector != NO_FAULT && t->in.z.meta.isa_ext != ZYDIS_ISA_EXT_SSE2)
			two_operands(t, ref, tol);
		break;
	case M(VERW): /* AMD's CPUs accept it, as by oversight */
		tol->skip = vendor == VENDOR_AMD && t->in.illegal && t->in.op[0].type == ZYDIS_OPERAND_TYPE_MEMORY;
		tol->why = "LOCK before VERW";
		break;
	case M(SYSEXIT): /* in ring 3: #GP on a Zen 4, #UD on a Zen 5 */
		if (vendor == VENDOR_AMD)
			tol->alike = 1u << 6 | 1u << 13;
		break;
	case M(POPA): case M(POPAD):
		/* Intel has loaded the registers popped before the fault; the instruction can be restarted all the same */
		tol->cr2_at[0] = sp;
		tol->cr2_len[0] = 8 * size;
		for (unsigned i = 0; i < 8 && ref->vector == 14; i++)
			if (i != R_SP)
				ignore_gpr(tol, i, ~0ull);
		break;
	case M(PUSHA): case M(PUSHAD):
		if (vendor != VENDOR_AMD) {
			tol->cr2_at[0] = sp - 8 * size;
			tol->cr2_len[0] = 8 * size;
		}
		break;
	case M(IRET): case M(IRETD): case M(IRETQ):
	case M(RET):
		if (m == M(RET) && t->in.z.meta.branch_type != ZYDIS_BRANCH_TYPE_FAR)
			break;
		tol->cr2_at[0] = sp;
		tol->cr2_len[0] = (m == M(RET) ? 2 : 5) * size;
		if (mapped(sp) != mapped(sp + tol->cr2_len[0] - 1)) {
			tol->skip = true;
			tol->why = "the order and width in which a far return reads its frame are not architectural";
		}
		break;
	case M(MASKMOVQ): case M(MASKMOVDQU): /* the first byte with its mask bit set */
		tol->cr2_at[0] = recipe_address(t, 2);
		tol->cr2_len[0] = m == M(MASKMOVQ) ? 8 : 16;
		tol->fault_either = masks_faults(t, tol->cr2_at[0]);
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
		if (vendor != VENDOR_AMD)
			tol->fault_either = mapped(recipe_address(t, 1)) != mapped(recipe_address(t, 1) + t->in.op[1].size / 8 - 1);
		break;
	case M(LDS): case M(LES): case M(LSS): case M(LGS): /* offset and selector are two reads */
		if (vendor == VENDOR_AMD)
			break;
		tol->cr2_at[0] = recipe_address(t, 1);
		tol->cr2_len[0] = t->in.op[1].size / 8;
		if (!mapped(tol->cr2_at[0]) || !mapped(tol->cr2_at[0] + tol->cr2_len[0] - 1))
			tol->alike = MEMORY_FAULTS;
		break;
	case M(CALL): /* the return address may have been stored, in part, when it faults; a far one is pushed in the new mode */
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
	memset(tol, 0, sizeof *tol);
	if (ref->vector == NO_FAULT)
		tol->flags = F_RF; /* of the trap that ended the test */
	parts(t, ref, vendor, tol);
	fpu_images(t, ref, vendor, tol);
	/* Intel has entered MMX state by the time a store or some conversions fault: harmless, and nowhere promised */
	tol->mmx_entered = ref->vector != NO_FAULT && (names_mmx(t) || t->in.z.mnemonic == M(CVTPI2PS));
	if (ref->vector != NO_FAULT)
		return;
	host_values(t, tol);
	approximations(t, ref, vendor, tol);
	out_of_range(t, tol);
}
