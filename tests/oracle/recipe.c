/* SPDX-License-Identifier: MIT */
/* Instructions whose operands must fit together before anything interesting happens: dividends and divisors, counts, return
 * frames, descriptors, images of the FPU state. Each recipe adjusts a state drawn at random; which one applies is a table. */
#include "tests/oracle/oracle.h"

/* ---- reading and writing the test's state ---- */

void recipe_put(struct test *t, u64 address, const void *bytes, unsigned len)
{
	const u8 *p = bytes;

	while (len) {
		i64 at = oracle_arena(address);
		unsigned n = MIN(len, PAGE - (unsigned)(address % PAGE));
		if (at >= 0 && at < ARENA_WRITABLE && t->patches < PATCHES && n <= sizeof t->patch[0].bytes) {
			struct patch *patch = &t->patch[t->patches++];
			patch->at = at;
			patch->len = n;
			memcpy(patch->bytes, p, n);
		}
		address += n;
		p += n;
		len -= n;
	}
}

bool recipe_get(const struct test *t, u64 address, void *bytes, unsigned len)
{
	u8 *p = bytes;

	for (unsigned i = 0; i < len; i++) {
		i64 at = oracle_arena(address + i);
		if (at < 0)
			return false;
		p[i] = oracle_background()[at];
		for (unsigned k = 0; k < t->patches; k++)
			if ((u64)at - t->patch[k].at < t->patch[k].len)
				p[i] = t->patch[k].bytes[at - t->patch[k].at];
	}
	return true;
}

static unsigned gpr_byte(ZydisRegister reg)
{
	unsigned id = reg_id(reg);

	if (ZydisRegisterGetClass(reg) != ZYDIS_REGCLASS_GPR8)
		return id * 8;
	return id < 4 ? id * 8 : id < 8 ? (id - 4) * 8 + 1 : (id - 4) * 8;
}

static bool is_gpr(const ZydisDecodedOperand *op)
{
	if (op->type != ZYDIS_OPERAND_TYPE_REGISTER)
		return false;
	switch (ZydisRegisterGetClass(op->reg.value)) {
	case ZYDIS_REGCLASS_GPR8: case ZYDIS_REGCLASS_GPR16: case ZYDIS_REGCLASS_GPR32: case ZYDIS_REGCLASS_GPR64: return true;
	default: return false;
	}
}

/* Is this register part of the address of a memory operand? Then it stays as it was solved. */
static bool in_address(const struct test *t, unsigned gpr)
{
	for (unsigned i = 0; i < t->in.z.operand_count; i++) {
		const ZydisDecodedOperand *op = &t->in.op[i];
		if (op->type != ZYDIS_OPERAND_TYPE_MEMORY)
			continue;
		if (op->mem.base != ZYDIS_REGISTER_NONE && ZydisRegisterGetClass(op->mem.base) != ZYDIS_REGCLASS_IP &&
		    reg_id(op->mem.base) == gpr)
			return true;
		if (op->mem.index != ZYDIS_REGISTER_NONE && reg_id(op->mem.index) == gpr)
			return true;
	}
	return false;
}

static void set_gpr(struct test *t, unsigned gpr, u64 value, unsigned bytes)
{
	if (!in_address(t, gpr))
		memcpy(&t->s.gpr[gpr], &value, bytes);
}

static bool get_operand(const struct test *t, unsigned i, u64 *value)
{
	const ZydisDecodedOperand *op = &t->in.op[i];
	unsigned bytes = MIN(op->size / 8u, 8u);

	*value = 0;
	if (is_gpr(op)) {
		memcpy(value, (const u8 *)t->s.gpr + gpr_byte(op->reg.value), bytes);
		return true;
	}
	if (op->type == ZYDIS_OPERAND_TYPE_MEMORY)
		return recipe_get(t, recipe_address(t, i), value, bytes);
	return false;
}

static void set_operand(struct test *t, unsigned i, u64 value)
{
	const ZydisDecodedOperand *op = &t->in.op[i];
	unsigned bytes = MIN(op->size / 8u, 8u);

	if (is_gpr(op) && !in_address(t, gpr_byte(op->reg.value) / 8))
		memcpy((u8 *)t->s.gpr + gpr_byte(op->reg.value), &value, bytes);
	else if (op->type == ZYDIS_OPERAND_TYPE_MEMORY)
		recipe_put(t, recipe_address(t, i), &value, bytes);
}

static unsigned operand_bytes(const struct test *t, unsigned i)
{
	return t->in.op[i].size / 8;
}

/* Linear address of the top of the stack. */
u64 recipe_stack(const struct test *t)
{
	u64 sp = t->s.gpr[R_SP];

	switch (t->in.mode) {
	case M64: return sp;
	case M32: return (u32)(sp + gen_seg_base(t->s.sel[S_SS]));
	default: return (u32)((u16)sp + gen_seg_base(t->s.sel[S_SS]));
	}
}

/* ---- arithmetic ---- */

/* Mostly quotients that fit. */
static void divide(struct rng *rng, struct test *t)
{
	unsigned bytes = operand_bytes(t, 0);
	bool is_signed = t->in.z.mnemonic == ZYDIS_MNEMONIC_IDIV;
	u64 divisor;

	if (rng_one_in(rng, 5) || !get_operand(t, 0, &divisor))
		return;
	u64 q = value_int(rng, bytes * 8), r = value_int(rng, bytes * 8), mask = mask_bytes(bytes);
	u128 dividend;
	if (is_signed) {
		unsigned shift = 64 - bytes * 8;
		i64 d = (i64)(divisor << shift) >> shift;
		dividend = (u128)((i128)d * ((i64)(q << shift) >> shift) + (d ? (i64)(r & mask) % (d < 0 ? -(i128)d : d) : 0));
	} else {
		dividend = (u128)divisor * q + (divisor ? r % divisor : 0);
	}
	if (bytes == 1) {
		set_gpr(t, R_AX, (u64)dividend, 2);
		return;
	}
	set_gpr(t, R_AX, (u64)dividend & mask, bytes);
	set_gpr(t, R_DX, (u64)(dividend >> bytes * 8) & mask, bytes);
}

static void count_cl(struct rng *rng, struct test *t)
{
	static const u8 counts[] = {0, 1, 2, 7, 8, 9, 15, 16, 17, 31, 32, 33, 63, 64, 65, 0x80, 0xff};
	bool uses_cl = false;

	for (unsigned i = 0; i < t->in.z.operand_count_visible; i++)
		if (t->in.op[i].type == ZYDIS_OPERAND_TYPE_REGISTER && t->in.op[i].reg.value == ZYDIS_REGISTER_CL && i > 0)
			uses_cl = true;
	if (uses_cl && rng_below(rng, 3))
		set_gpr(t, R_CX, counts[rng_below(rng, sizeof counts)], 1);
}

/* A register bit offset reaches beyond the operand: keep it within what is known. */
static void bit_string(struct rng *rng, struct test *t)
{
	unsigned bytes = operand_bytes(t, 0);

	if (t->in.op[0].type != ZYDIS_OPERAND_TYPE_MEMORY || !is_gpr(&t->in.op[1]))
		return;
	i64 off = rng_one_in(rng, 3) ? (i64)rng_below(rng, bytes * 8) : (i64)rng_below(rng, 0x8000) - 0x4000;
	if (rng_one_in(rng, 32))
		off = (i32)rng_next(rng);
	set_operand(t, 1, off);
	/* the address register itself as offset: only what recipe_safe() allows survives */
}

static void compare_exchange(struct rng *rng, struct test *t)
{
	u64 v;

	if (rng_one_in(rng, 2) && get_operand(t, 0, &v))
		set_gpr(t, R_AX, v, operand_bytes(t, 0));
}

static void compare_exchange_wide(struct rng *rng, struct test *t)
{
	unsigned half = operand_bytes(t, 0) / 2;
	u8 value[16];

	memcpy(value, &t->s.gpr[R_AX], half);
	memcpy(value + half, &t->s.gpr[R_DX], half);
	if (rng_one_in(rng, 2))
		value[rng_below(rng, half * 2)] ^= 1 << rng_below(rng, 8);
	recipe_put(t, recipe_address(t, 0), value, half * 2);
}

static void bound(struct rng *rng, struct test *t)
{
	unsigned bytes = operand_bytes(t, 0);
	u64 v;

	if (rng_one_in(rng, 3) || !get_operand(t, 0, &v))
		return;
	u64 pair[2] = {v - rng_below(rng, 3), v + rng_below(rng, 3)};
	u8 m[8];
	memcpy(m, &pair[0], bytes);
	memcpy(m + bytes, &pair[1], bytes);
	recipe_put(t, recipe_address(t, 1), m, bytes * 2);
}

/* ---- strings ---- */

static void string(struct rng *rng, struct test *t)
{
	u64 mask = mask_bytes(t->in.z.address_width / 8);
	u64 count = rng_below(rng, 24);
	u8 run[256];
	bool many = rng_one_in(rng, 12);

	if (t->in.repeats) {
		if (many)
			count = rng_below(rng, 0x1800);
		if (rng_one_in(rng, 200))
			count = rng_next(rng);
		t->s.gpr[R_CX] = (t->s.gpr[R_CX] & ~mask) | (count & mask);
		if (t->in.mode != M64)
			t->s.gpr[R_CX] = (u32)t->s.gpr[R_CX];
	}
	switch (t->in.z.mnemonic) {
	case ZYDIS_MNEMONIC_CMPSB: case ZYDIS_MNEMONIC_CMPSW: case ZYDIS_MNEMONIC_CMPSD: case ZYDIS_MNEMONIC_CMPSQ:
	case ZYDIS_MNEMONIC_SCASB: case ZYDIS_MNEMONIC_SCASW: case ZYDIS_MNEMONIC_SCASD: case ZYDIS_MNEMONIC_SCASQ:
		break;
	default:
		return;
	}
	/* runs of equal elements with a difference somewhere */
	memset(run, rng_next(rng), sizeof run);
	for (unsigned i = 0; i < t->in.z.operand_count; i++)
		if (t->in.op[i].type == ZYDIS_OPERAND_TYPE_MEMORY) {
			if (rng_below(rng, 3))
				run[rng_below(rng, sizeof run)] ^= 1 << rng_below(rng, 8);
			recipe_put(t, recipe_address(t, i) - 128, run, sizeof run);
		}
	if (rng_one_in(rng, 2))
		memset(&t->s.gpr[R_AX], run[0], t->in.z.operand_width / 8);
	if (t->in.mode != M64)
		t->s.gpr[R_AX] = (u32)t->s.gpr[R_AX];
}

static void translate(struct rng *rng, struct test *t)
{
	u64 target = build_target(rng, 1, false, rng_one_in(rng, 8));
	u64 mask = mask_bytes(t->in.z.address_width / 8);
	ZydisRegister seg = ZYDIS_REGISTER_DS;

	for (unsigned i = 0; i < t->in.z.operand_count; i++)
		if (t->in.op[i].type == ZYDIS_OPERAND_TYPE_MEMORY)
			seg = t->in.op[i].mem.segment;
	u64 base = t->in.mode == M64 ? (seg == ZYDIS_REGISTER_GS ? t->s.gs_base : 0)
	                             : gen_seg_base(t->s.sel[reg_id(seg)]);
	u64 rbx = target - base - (t->s.gpr[R_AX] & 0xff);
	t->s.gpr[R_BX] = (t->s.gpr[R_BX] & ~mask) | (rbx & mask);
}

static void loop_count(struct rng *rng, struct test *t)
{
	if (rng_one_in(rng, 2))
		t->s.gpr[R_CX] = (t->s.gpr[R_CX] & (t->in.mode == M64 ? ~0xffffull : 0xffff0000)) | rng_below(rng, 3);
	if (rng_one_in(rng, 2))
		t->s.gpr[R_CX] = rng_below(rng, 3);
}

/* ---- transfers ---- */

static u64 branch_target(struct rng *rng, const struct test *t, unsigned bytes)
{
	u64 to = build_landing(rng);

	if (rng_one_in(rng, 16))
		to = DATA_PAGE + rng_below(rng, PAGE); /* not executable: the fetch faults, the jump does not */
	if (t->in.mode == M64 && bytes == 8 && rng_one_in(rng, 24))
		to |= 1ull << 63;
	if (t->in.mode == M16 || bytes == 2)
		to &= 0xffff;
	return t->in.mode == M16 ? to & 0xffff : to;
}

static const u16 code_selectors[] = {
	SEL_CODE32, SEL_CODE32, SEL_CODE64, SEL_CODE64, SEL_LDT_CODE16, SEL_LDT_CODE16, SEL_DATA, 0, 3, 0x10, 0x20, 0x31,
	SEL_LDT_ABSENT, 0x47, 0xfff8, SEL_LDT_DATA, 0x22,
};

static u64 far_offset(struct rng *rng, u16 selector, unsigned bytes)
{
	u64 to = build_landing(rng);

	if (selector == SEL_LDT_CODE16 || bytes == 2)
		to &= 0xfff;
	if (bytes == 8 && rng_one_in(rng, 24))
		to |= 1ull << 63;
	if (selector == SEL_LDT_CODE16 && rng_one_in(rng, 16))
		to = 0x10000 + rng_below(rng, 256); /* beyond its limit */
	return to;
}

static void branch(struct rng *rng, struct test *t)
{
	if (t->in.z.meta.branch_type == ZYDIS_BRANCH_TYPE_FAR) {
		unsigned bytes = operand_bytes(t, 0) - 2;
		u8 pointer[10];
		if (t->in.op[0].type != ZYDIS_OPERAND_TYPE_MEMORY)
			return;
		u16 selector = build_far_selector(t->in.mode, t->in.z.mnemonic,
		                                  code_selectors[rng_below(rng, ARRAY_LEN(code_selectors))]);
		store64(pointer, far_offset(rng, selector, bytes));
		store16(pointer + bytes, selector);
		recipe_put(t, recipe_address(t, 0), pointer, bytes + 2);
		return;
	}
	if (t->in.op[0].type != ZYDIS_OPERAND_TYPE_IMMEDIATE)
		set_operand(t, 0, branch_target(rng, t, operand_bytes(t, 0)));
}

static unsigned transfer_bytes(const struct test *t)
{
	return t->in.z.operand_width / 8;
}

static void return_near(struct rng *rng, struct test *t)
{
	unsigned bytes = transfer_bytes(t);

	if (t->in.z.meta.branch_type == ZYDIS_BRANCH_TYPE_FAR) {
		u16 selector = code_selectors[rng_below(rng, ARRAY_LEN(code_selectors))];
		u8 frame[16] = {0};
		store64(frame, far_offset(rng, selector, bytes));
		store64(frame + bytes, selector);
		recipe_put(t, recipe_stack(t), frame, bytes * 2);
		return;
	}
	u64 to = branch_target(rng, t, bytes);
	recipe_put(t, recipe_stack(t), &to, bytes);
}

static u64 some_flags(struct rng *rng)
{
	u64 v = (rng_next(rng) & (F_ARITH | F_DF | F_ID)) | 2;

	if (rng_one_in(rng, 2))
		v |= F_IF;
	if (rng_one_in(rng, 8))
		v |= F_TF;
	if (rng_one_in(rng, 8))
		v |= F_AC;
	if (rng_one_in(rng, 8))
		v |= F_NT;
	if (rng_one_in(rng, 8))
		v |= 0x3000; /* IOPL: may not change */
	if (rng_one_in(rng, 16))
		v |= rng_next(rng) & 0xffffffffffc08028ull;
	return v;
}

static void pop_flags(struct rng *rng, struct test *t)
{
	u64 v = some_flags(rng);

	recipe_put(t, recipe_stack(t), &v, transfer_bytes(t));
}

static void interrupt_return(struct rng *rng, struct test *t)
{
	static const u16 stack_selectors[] = {SEL_DATA, SEL_DATA, SEL_DATA, SEL_LDT_DATA, 0, SEL_CODE64, 0x18, SEL_LDT_ABSENT};
	unsigned bytes = transfer_bytes(t);
	u16 selector = code_selectors[rng_below(rng, ARRAY_LEN(code_selectors))];
	u64 flags = some_flags(rng) & ~(u64)(F_TF | F_NT) & 0xffffffff;
	u64 frame[5] = {far_offset(rng, selector, bytes), selector, flags, STACK_PAGE + 0x800, SEL_DATA};
	u8 image[40];

	/* AC is in force for the rest of the frame already; Linux would take that #AC for a split lock and run it again for ever */
	if (recipe_stack(t) & 7)
		frame[2] &= ~(u64)F_AC;
	frame[4] = stack_selectors[rng_below(rng, ARRAY_LEN(stack_selectors))];
	for (unsigned i = 0; i < 5; i++)
		memcpy(image + i * bytes, &frame[i], bytes);
	recipe_put(t, recipe_stack(t), image, bytes * 5);
}

static void leave(struct rng *rng, struct test *t)
{
	u64 at = STACK_PAGE + 0x100 + rng_below(rng, 0x1d00);

	if (rng_one_in(rng, 12))
		at = STACK_PAGE + STACK_SIZE - rng_below(rng, 16);
	if (rng_below(rng, 3))
		at &= ~7ull;
	if (t->in.mode == M64)
		t->s.gpr[R_BP] = at;
	else if (t->in.mode == M32)
		t->s.gpr[R_BP] = (u32)(at - gen_seg_base(t->s.sel[S_SS]));
	else
		t->s.gpr[R_BP] = (t->s.gpr[R_BP] & 0xffff0000) | (u16)(at - gen_seg_base(t->s.sel[S_SS]));
}

/* ---- segments ---- */

static u16 data_selector(struct rng *rng)
{
	static const u16 selectors[] = {
		SEL_DATA, SEL_DATA, 0, 1, 2, 3, SEL_CODE32, SEL_CODE64, SEL_LDT_DATA, SEL_LDT_SMALL, SEL_LDT_RO, SEL_LDT_STACK16,
		SEL_LDT_CODE16, SEL_LDT_ABSENT, 0x08, 0x10, 0x18, 0x40, 0x28, 0x29, 0x2a, 0x63, 0x37, 0xffff, 0xfffc,
	};

	return selectors[rng_below(rng, ARRAY_LEN(selectors))];
}

static void selector_operand(struct rng *rng, struct test *t)
{
	/* MOV Sreg, r/m and r/m, Sreg; LAR, LSL, VERR, VERW, ARPL */
	for (unsigned i = 0; i < t->in.z.operand_count_visible; i++)
		if ((t->in.op[i].actions & ZYDIS_OPERAND_ACTION_MASK_READ) &&
		    (is_gpr(&t->in.op[i]) || t->in.op[i].type == ZYDIS_OPERAND_TYPE_MEMORY))
			set_operand(t, i, (value_int(rng, 64) & ~0xffffull) | data_selector(rng));
}

static void move(struct rng *rng, struct test *t)
{
	if (t->in.op[0].type == ZYDIS_OPERAND_TYPE_REGISTER &&
	    ZydisRegisterGetClass(t->in.op[0].reg.value) == ZYDIS_REGCLASS_SEGMENT)
		selector_operand(rng, t);
}

static void pop(struct rng *rng, struct test *t)
{
	u16 selector = data_selector(rng);

	if (t->in.op[0].type == ZYDIS_OPERAND_TYPE_REGISTER &&
	    ZydisRegisterGetClass(t->in.op[0].reg.value) == ZYDIS_REGCLASS_SEGMENT)
		recipe_put(t, recipe_stack(t), &selector, 2);
}

static void load_far(struct rng *rng, struct test *t)
{
	u16 selector = data_selector(rng);

	recipe_put(t, recipe_address(t, 1) + operand_bytes(t, 1) - 2, &selector, 2);
}

static void gs_base(struct rng *rng, struct test *t)
{
	u64 v = rng_next(rng);

	switch (rng_below(rng, 4)) {
	case 0: v = rng_next(rng) >> 17; break;
	case 1: v = 1ull << 63 | v >> 8; break; /* not canonical */
	case 2: v = GS_BASE; break;
	default: v = ~0ull << 47 | v >> 20; break;
	}
	set_operand(t, 0, v);
}

/* ---- the state of the FPU in memory ---- */

static void control_word(struct rng *rng, struct test *t)
{
	u16 v = rng_one_in(rng, 4) ? rng_next(rng) : (0x40 | (rng_next(rng) & 0xf3f));

	set_operand(t, 0, v);
}

static void mxcsr(struct rng *rng, struct test *t)
{
	u32 v = rng_next(rng) & 0xffff;

	if (rng_one_in(rng, 8))
		v |= 1u << (18 + rng_below(rng, 14)); /* reserved everywhere; bit 17 is AMD's */
	set_operand(t, 0, v);
}

static void environment(struct rng *rng, struct test *t)
{
	u8 image[108] = {0};
	bool wide = t->in.z.operand_width != 16;
	unsigned n = wide ? 4 : 2, len = t->in.op[0].size / 8;

	for (unsigned i = 0; i < sizeof image; i += 8)
		store64(image + MIN(i, sizeof image - 8), rng_next(rng));
	store16(image, 0x40 | (rng_next(rng) & 0xf3f));
	store16(image + n, rng_next(rng));
	store16(image + 2 * n, rng_next(rng));
	for (unsigned i = 7 * n; i + 10 <= sizeof image; i += 10) {
		struct st80 v = value_f80(rng);
		memcpy(image + i, &v, 10);
	}
	recipe_put(t, recipe_address(t, 0), image, MIN(len, (unsigned)sizeof image));
}

static void image_fx(struct rng *rng, u8 *image, bool valid)
{
	struct fx fx;
	u8 *p = (u8 *)&fx;

	for (unsigned i = 0; i < sizeof fx; i += 8)
		store64(p + i, rng_next(rng));
	fx.fcw = 0x40 | (rng_next(rng) & 0xf3f);
	fx.fsw = rng_next(rng) & 0x7f7f;
	if (fx.fsw & ~fx.fcw & 0x3f)
		fx.fsw |= 0x8080;
	fx.fip &= 0x7fffffffffff; /* how many bits are kept depends on the CPU's linear addresses */
	fx.fdp &= 0x7fffffffffff;
	fx.mxcsr = rng_next(rng) & 0xffff;
	if (!valid)
		fx.mxcsr |= 1u << (18 + rng_below(rng, 14));
	for (unsigned i = 0; i < 8; i++)
		fx.st[i] = value_f80(rng);
	memset(fx.rest, 0, sizeof fx.rest);
	memcpy(image, &fx, sizeof fx);
}

static void restore_fx(struct rng *rng, struct test *t)
{
	u8 image[512];

	image_fx(rng, image, rng_below(rng, 6));
	recipe_put(t, recipe_address(t, 0), image, sizeof image);
}

static void xsave(struct rng *rng, struct test *t)
{
	/* only x87 and SSE: what else the host has, the supported set has not */
	t->s.gpr[R_DX] = 0;
	t->s.gpr[R_AX] = rng_below(rng, 4);
}

static void xrstor(struct rng *rng, struct test *t)
{
	u8 image[576] = {0};

	xsave(rng, t);
	image_fx(rng, image, rng_below(rng, 6));
	image[512] = rng_below(rng, 4); /* XSTATE_BV */
	if (rng_one_in(rng, 6)) { /* XCOMP_BV: the compacted format; there a bad MXCSR is found when half is loaded */
		store64(image + 520, 1ull << 63 | rng_below(rng, 4));
		store32(image + 24, rng_next(rng) & 0xffff);
	}
	if (rng_one_in(rng, 16)) /* reserved bits: none that the host might have more of */
		image[rng_one_in(rng, 4) ? 519 : 527 + rng_below(rng, 49)] |= rng_next(rng) & 0x60;
	recipe_put(t, recipe_address(t, 0), image, sizeof image);
}

static void transcendental(struct rng *rng, struct test *t)
{
	struct st80 *st = t->s.fp.st;

	if (rng_one_in(rng, 4))
		return;
	switch (t->in.z.mnemonic) {
	case ZYDIS_MNEMONIC_F2XM1:
		st[0].se = (st[0].se & 0x8000) | (0x3ffe - (rng_one_in(rng, 2) ? rng_below(rng, 3) : rng_below(rng, 70)));
		break;
	case ZYDIS_MNEMONIC_FYL2XP1:
		st[0].se = (st[0].se & 0x8000) | (0x3ffc - (rng_one_in(rng, 2) ? rng_below(rng, 3) : rng_below(rng, 70)));
		break;
	case ZYDIS_MNEMONIC_FYL2X:
		st[0].se &= 0x7fff;
		if (rng_one_in(rng, 2))
			st[0].se = 0x3ffe + rng_below(rng, 3);
		break;
	case ZYDIS_MNEMONIC_FPATAN:
		st[1].se = (st[1].se & 0x8000) | ((st[0].se + 4 - rng_below(rng, 9)) & 0x7fff);
		break;
	default:
		st[0].se = (st[0].se & 0x8000) | (0x3fff + 8 - (rng_one_in(rng, 2) ? rng_below(rng, 12) : rng_below(rng, 80)));
		break;
	}
}

/* ---- strings in vectors ---- */

static void text(struct rng *rng, struct test *t)
{
	u8 a[2][16], letters = 1 + rng_below(rng, 4);
	bool wide = t->in.z.raw.imm[0].value.u & 1;

	for (unsigned s = 0; s < 2; s++)
		for (unsigned i = 0; i < 16; i++) {
			a[s][i] = (rng_one_in(rng, 16) ? 0 : 'a') + (rng_one_in(rng, 12) ? rng_next(rng) : rng_below(rng, letters));
			if (wide && (i & 1) && rng_below(rng, 8))
				a[s][i] = 0;
		}
	if (rng_below(rng, 3) == 0)
		return;
	memcpy(t->s.fp.xmm[reg_id(t->in.op[0].reg.value) & 15], a[0], 16);
	if (t->in.op[1].type == ZYDIS_OPERAND_TYPE_MEMORY)
		recipe_put(t, recipe_address(t, 1), a[1], 16);
	else
		memcpy(t->s.fp.xmm[reg_id(t->in.op[1].reg.value) & 15], a[1], 16);
	if (rng_below(rng, 3)) {
		set_gpr(t, R_AX, rng_below(rng, 40) - 20, 8);
		set_gpr(t, R_DX, rng_below(rng, 40) - 20, 8);
		if (t->in.mode != M64)
			for (unsigned i = 0; i < 8; i++)
				t->s.gpr[i] = (u32)t->s.gpr[i];
	}
}

/* Shift counts in a vector: small ones. */
static void vector_count(struct rng *rng, struct test *t)
{
	u8 count[16] = {0};
	const ZydisDecodedOperand *op = &t->in.op[1];

	if (rng_one_in(rng, 3) || op->type == ZYDIS_OPERAND_TYPE_IMMEDIATE)
		return;
	count[0] = rng_below(rng, 70);
	if (op->type == ZYDIS_OPERAND_TYPE_MEMORY)
		recipe_put(t, recipe_address(t, 1), count, op->size / 8);
	else if (op->size == 128)
		memcpy(t->s.fp.xmm[reg_id(op->reg.value) & 15], count, 16);
	else {
		unsigned top = t->s.fp.fsw >> 11 & 7, i = reg_id(op->reg.value) & 7;
		memcpy(&t->s.fp.st[(i - top) & 7].mant, count, 8);
	}
}

/* ---- the table ---- */

typedef void recipe_fn(struct rng *rng, struct test *t);
#define M(name) ZYDIS_MNEMONIC_##name
static const struct {
	u16 mnemonic;
	recipe_fn *fn;
} recipes[] = {
	{M(DIV), divide}, {M(IDIV), divide},
	{M(ROL), count_cl}, {M(ROR), count_cl}, {M(RCL), count_cl}, {M(RCR), count_cl}, {M(SHL), count_cl}, {M(SHR), count_cl},
	{M(SAR), count_cl}, {M(SHLD), count_cl}, {M(SHRD), count_cl},
	{M(BT), bit_string}, {M(BTS), bit_string}, {M(BTR), bit_string}, {M(BTC), bit_string},
	{M(CMPXCHG), compare_exchange}, {M(CMPXCHG8B), compare_exchange_wide}, {M(CMPXCHG16B), compare_exchange_wide},
	{M(BOUND), bound},
	{M(MOVSB), string}, {M(MOVSW), string}, {M(MOVSQ), string}, {M(STOSB), string}, {M(STOSW), string}, {M(STOSD), string},
	{M(STOSQ), string}, {M(LODSB), string}, {M(LODSW), string}, {M(LODSD), string}, {M(LODSQ), string}, {M(SCASB), string},
	{M(SCASW), string}, {M(SCASD), string}, {M(SCASQ), string}, {M(CMPSB), string}, {M(CMPSW), string}, {M(CMPSQ), string},
	{M(INSB), string}, {M(INSW), string}, {M(INSD), string}, {M(OUTSB), string}, {M(OUTSW), string}, {M(OUTSD), string},
	{M(XLAT), translate},
	{M(LOOP), loop_count}, {M(LOOPE), loop_count}, {M(LOOPNE), loop_count}, {M(JCXZ), loop_count}, {M(JECXZ), loop_count},
	{M(JRCXZ), loop_count},
	{M(JMP), branch}, {M(CALL), branch}, {M(RET), return_near},
	{M(POPF), pop_flags}, {M(POPFD), pop_flags}, {M(POPFQ), pop_flags},
	{M(IRET), interrupt_return}, {M(IRETD), interrupt_return}, {M(IRETQ), interrupt_return},
	{M(LEAVE), leave}, {M(ENTER), leave},
	{M(MOV), move}, {M(POP), pop}, {M(LAR), selector_operand}, {M(LSL), selector_operand}, {M(VERR), selector_operand},
	{M(VERW), selector_operand}, {M(ARPL), selector_operand},
	{M(LES), load_far}, {M(LDS), load_far}, {M(LSS), load_far}, {M(LGS), load_far}, {M(WRGSBASE), gs_base},
	{M(FLDCW), control_word}, {M(LDMXCSR), mxcsr}, {M(FLDENV), environment}, {M(FRSTOR), environment},
	{M(FXRSTOR), restore_fx}, {M(FXRSTOR64), restore_fx},
	{M(XSAVE), xsave}, {M(XSAVE64), xsave}, {M(XSAVEC), xsave}, {M(XSAVEC64), xsave}, {M(XSAVEOPT), xsave},
	{M(XSAVEOPT64), xsave}, {M(XRSTOR), xrstor}, {M(XRSTOR64), xrstor},
	{M(F2XM1), transcendental}, {M(FYL2X), transcendental}, {M(FYL2XP1), transcendental}, {M(FSIN), transcendental},
	{M(FCOS), transcendental}, {M(FSINCOS), transcendental}, {M(FPTAN), transcendental}, {M(FPATAN), transcendental},
	{M(PCMPESTRI), text}, {M(PCMPESTRM), text}, {M(PCMPISTRI), text}, {M(PCMPISTRM), text},
	{M(PSLLW), vector_count}, {M(PSLLD), vector_count}, {M(PSLLQ), vector_count}, {M(PSRLW), vector_count},
	{M(PSRLD), vector_count}, {M(PSRLQ), vector_count}, {M(PSRAW), vector_count}, {M(PSRAD), vector_count},
};

/* MOVSD and CMPSD are strings without operands, or vectors with. */
static bool is_vector(const struct test *t)
{
	return t->in.z.meta.isa_set == ZYDIS_ISA_SET_SSE2;
}

void recipe_apply(struct rng *rng, struct test *t)
{
	unsigned m = t->in.z.mnemonic;

	if ((m == M(MOVSD) || m == M(CMPSD)) && !is_vector(t))
		string(rng, t);
	for (unsigned i = 0; i < ARRAY_LEN(recipes); i++)
		if (recipes[i].mnemonic == m)
			recipes[i].fn(rng, t);
	if (m == M(ENTER) && t->in.mode == M64 && rng_one_in(rng, 2)) /* a frame to copy pointers from */
		t->s.gpr[R_BP] = STACK_PAGE + 0x1000 + rng_below(rng, 0x400) * 2;
}

/* ---- may it run on the host ---- */

/* Where an indirect branch goes, if it gets that far. */
static bool next_rip(const struct test *t, u64 *to)
{
	const ZydisDecodedOperand *op = &t->in.op[0];
	unsigned bytes = operand_bytes(t, 0);

	*to = 0;
	if (t->in.z.mnemonic != M(JMP) && t->in.z.mnemonic != M(CALL))
		return recipe_get(t, recipe_stack(t), to, transfer_bytes(t));
	if (op->type == ZYDIS_OPERAND_TYPE_REGISTER)
		return get_operand(t, 0, to);
	if (op->type != ZYDIS_OPERAND_TYPE_MEMORY)
		return false;
	if (t->in.z.meta.branch_type == ZYDIS_BRANCH_TYPE_FAR)
		bytes -= 2;
	return recipe_get(t, recipe_address(t, 0), to, bytes);
}

/* Nowhere near the instruction or the way back; and in 64-bit mode nowhere that is the host's. Far offsets into the 16-bit segment
 * count from its base. */
static bool safe_target(const struct test *t, u64 to)
{
	u64 off = to & 0xffff;

	if (off - CODE_AT < 64 || off - CODE_TAIL < PAGE - CODE_TAIL)
		return false;
	return t->in.mode != M64 || to < 0x7fff0000 || to >> 56 == 0x80;
}

bool recipe_safe(const struct test *t)
{
	u64 v = 0;

	if (t->in.z.mnemonic == M(BT) || t->in.z.mnemonic == M(BTS) || t->in.z.mnemonic == M(BTR) || t->in.z.mnemonic == M(BTC)) {
		if (t->in.op[0].type != ZYDIS_OPERAND_TYPE_MEMORY || t->in.op[1].type != ZYDIS_OPERAND_TYPE_REGISTER)
			return true;
		get_operand(t, 1, &v);
		i64 bit = operand_bytes(t, 0) == 8 ? (i64)v : operand_bytes(t, 0) == 4 ? (i32)v : (i16)v;
		u64 at = recipe_address(t, 0) + (bit >> 3 & ~(i64)(operand_bytes(t, 0) - 1));
		if (t->in.mode != M64)
			return true;
		if (build_locks(&t->in) && (at & 63) + 8 > 64)
			return false;
		return at < 0x7fff0000 || at >> 56 == 0x80;
	}
	switch (t->in.z.mnemonic) {
	case M(JMP): case M(CALL): case M(RET): case M(IRET): case M(IRETD): case M(IRETQ):
		return !next_rip(t, &v) || safe_target(t, v);
	case M(XSAVE): case M(XSAVE64): case M(XSAVEC): case M(XSAVEC64): case M(XSAVEOPT): case M(XSAVEOPT64):
	case M(XRSTOR): case M(XRSTOR64):
		return (u32)t->s.gpr[R_AX] < 4 && (u32)t->s.gpr[R_DX] == 0;
	default:
		return true;
	}
}
