/* SPDX-License-Identifier: MIT */
/* Multiplication and division: MUL, IMUL in its three shapes, DIV, IDIV. SDM vol. 2.
 *
 * Flags that the manual leaves undefined are what Intel's CPUs leave: multiplication sets SF and PF by the low half and clears
 * ZF and AF; division touches none. */
#include <Zydis/Mnemonic.h>
#include <Zydis/SharedTypes.h>

#include "cpu/fastop.h"
#include "cpu/flags.h"
#include "cpu/forms.h"

#define AH 1 /* byte offset into gpr[] */

/* 256 looks like 0 to SF and PF, but not to ZF. */
static always_inline void flags_product(struct cpu *cpu, i64 low, bool overflow)
{
	flags_res(cpu, low ? low : 256, overflow ? FLAG_CF | FLAG_OF : 0);
}

/* ---- IMUL with a destination of the same width ---- */

static always_inline u16 product16(struct cpu *cpu, i16 a, i16 b)
{
	i32 r = (i32)a * b;
	flags_product(cpu, (i16)r, (i16)r != r);
	return r;
}
static always_inline u32 product32(struct cpu *cpu, i32 a, i32 b)
{
	i64 r = (i64)a * b;
	flags_product(cpu, (i32)r, (i32)r != r);
	return r;
}
static always_inline u64 product64(struct cpu *cpu, i64 a, i64 b)
{
	i64 r;
	bool overflow = __builtin_mul_overflow(a, b, &r);
	flags_product(cpu, r, overflow);
	return r;
}

#define IMUL(bits)                                                                                                     \
	OP_FAST(imul_r##bits##_r)                                                                                          \
	{                                                                                                                  \
		UPDATE(bits, product##bits(cpu, get##bits(cpu, to), get##bits(cpu, in->r[1])));                                \
	}                                                                                                                  \
	OP_FAST(imul_r##bits##_r_i) { UPDATE(bits, product##bits(cpu, get##bits(cpu, in->r[1]), in->imm)); }               \
	OP_READ(imul_r##bits##_m, bits) { UPDATE(bits, product##bits(cpu, get##bits(cpu, to), m)); }                       \
	OP_READ(imul_r##bits##_m_i, bits) { UPDATE(bits, product##bits(cpu, m, in->imm)); }
IMUL(16)
IMUL(32)
IMUL(64)

/* ---- into the double-width accumulator ---- */

static always_inline void do_mul8(struct cpu *cpu, u8 b)
{
	u16 r = (u16)((u8)cpu->gpr[RAX] * b);
	set_reg16(cpu, RAX, r);
	flags_product(cpu, (i8)r, r >> 8);
}
static always_inline void do_mul16(struct cpu *cpu, u16 b)
{
	u32 r = (u32)(u16)cpu->gpr[RAX] * b;
	set_reg16(cpu, RAX, r);
	set_reg16(cpu, RDX, r >> 16);
	flags_product(cpu, (i16)r, r >> 16);
}
static always_inline void do_mul32(struct cpu *cpu, u32 b)
{
	u64 r = (u64)(u32)cpu->gpr[RAX] * b;
	set_reg32(cpu, RAX, r);
	set_reg32(cpu, RDX, r >> 32);
	flags_product(cpu, (i32)r, r >> 32);
}
static always_inline void do_mul64(struct cpu *cpu, u64 b)
{
	u128 r = (u128)cpu->gpr[RAX] * b;
	cpu->gpr[RAX] = r;
	cpu->gpr[RDX] = r >> 64;
	flags_product(cpu, r, r >> 64 != 0);
}
static always_inline void do_imul8(struct cpu *cpu, u8 b)
{
	i16 r = (i16)((i8)cpu->gpr[RAX] * (i8)b);
	set_reg16(cpu, RAX, r);
	flags_product(cpu, (i8)r, (i8)r != r);
}
static always_inline void do_imul16(struct cpu *cpu, u16 b)
{
	i32 r = (i32)(i16)cpu->gpr[RAX] * (i16)b;
	set_reg16(cpu, RAX, r);
	set_reg16(cpu, RDX, r >> 16);
	flags_product(cpu, (i16)r, (i16)r != r);
}
static always_inline void do_imul32(struct cpu *cpu, u32 b)
{
	i64 r = (i64)(i32)cpu->gpr[RAX] * (i32)b;
	set_reg32(cpu, RAX, r);
	set_reg32(cpu, RDX, r >> 32);
	flags_product(cpu, (i32)r, (i32)r != r);
}
static always_inline void do_imul64(struct cpu *cpu, u64 b)
{
	i128 r = (i128)(i64)cpu->gpr[RAX] * (i64)b;
	cpu->gpr[RAX] = r;
	cpu->gpr[RDX] = r >> 64;
	flags_product(cpu, r, (i64)r != r);
}

/* ---- division: #DE if the divisor is 0 or the quotient does not fit ---- */

static always_inline void do_div8(struct cpu *cpu, u8 b)
{
	u16 a = cpu->gpr[RAX];

	if (!b || a / b > 0xff)
		exception_raise(cpu, EXC_DE);
	set_reg8(cpu, RAX * 8, a / b);
	set_reg8(cpu, AH, a % b);
}
static always_inline void do_div16(struct cpu *cpu, u16 b)
{
	u32 a = (u32)*reg16(cpu, RDX) << 16 | *reg16(cpu, RAX);

	if (!b || a / b > 0xffff)
		exception_raise(cpu, EXC_DE);
	set_reg16(cpu, RAX, a / b);
	set_reg16(cpu, RDX, a % b);
}
static always_inline void do_div32(struct cpu *cpu, u32 b)
{
	u64 a = (u64)reg32(cpu, RDX) << 32 | reg32(cpu, RAX);

	if (reg32(cpu, RDX) >= b) /* includes 0 */
		exception_raise(cpu, EXC_DE);
	set_reg32(cpu, RAX, a / b);
	set_reg32(cpu, RDX, a % b);
}
static always_inline void do_div64(struct cpu *cpu, u64 b)
{
	u64 low = cpu->gpr[RAX], high = cpu->gpr[RDX];

	if (high >= b)
		exception_raise(cpu, EXC_DE);
	if (likely(!high)) {
		cpu->gpr[RAX] = low / b;
		cpu->gpr[RDX] = low % b;
		return;
	}
	u128 a = (u128)high << 64 | low;
	cpu->gpr[RAX] = a / b;
	cpu->gpr[RDX] = a % b;
}
static always_inline void do_idiv8(struct cpu *cpu, u8 b)
{
	i32 a = (i16)cpu->gpr[RAX], d = (i8)b;

	if (!d || a / d != (i8)(a / d))
		exception_raise(cpu, EXC_DE);
	set_reg8(cpu, RAX * 8, a / d);
	set_reg8(cpu, AH, a % d);
}
static always_inline void do_idiv16(struct cpu *cpu, u16 b)
{
	i64 a = (i32)((u32)*reg16(cpu, RDX) << 16 | *reg16(cpu, RAX)), d = (i16)b;

	if (!d || a / d != (i16)(a / d))
		exception_raise(cpu, EXC_DE);
	set_reg16(cpu, RAX, a / d);
	set_reg16(cpu, RDX, a % d);
}
static always_inline void do_idiv32(struct cpu *cpu, u32 b)
{
	i64 a = (u64)reg32(cpu, RDX) << 32 | reg32(cpu, RAX), d = (i32)b;

	if (!d || (d == -1 && a == INT64_MIN) || a / d != (i32)(a / d))
		exception_raise(cpu, EXC_DE);
	set_reg32(cpu, RAX, a / d);
	set_reg32(cpu, RDX, a % d);
}
/* The dividend does not fit in 64 bits. */
static noinline void idiv128(struct cpu *cpu, u64 high, u64 low, i64 divisor)
{
	u128 a = (u128)high << 64 | low;
	bool negative = high >> 63, opposite = negative != (divisor < 0);
	u64 b = divisor < 0 ? -(u64)divisor : (u64)divisor;

	if (negative)
		a = -a;
	if (a >> 64 >= b)
		exception_raise(cpu, EXC_DE);
	u64 quotient = a / b, remainder = a % b;
	if (quotient > (opposite ? (u64)INT64_MIN : (u64)INT64_MAX))
		exception_raise(cpu, EXC_DE);
	cpu->gpr[RAX] = opposite ? -quotient : quotient;
	cpu->gpr[RDX] = negative ? -remainder : remainder;
}
static always_inline void do_idiv64(struct cpu *cpu, u64 b)
{
	i64 low = cpu->gpr[RAX], high = cpu->gpr[RDX], d = b;

	if (unlikely(high != low >> 63 || d == -1 || !d)) {
		idiv128(cpu, high, low, d);
		return;
	}
	cpu->gpr[RAX] = low / d;
	cpu->gpr[RDX] = low % d;
}

#define ONE_OPERAND(op)                                                                                                \
	OP(op##_r8) { do_##op##8(cpu, *reg8(cpu, in->r[0])); }                                                             \
	OP(op##_r16) { do_##op##16(cpu, *reg16(cpu, in->r[0])); }                                                          \
	OP(op##_r32) { do_##op##32(cpu, reg32(cpu, in->r[0])); }                                                           \
	OP(op##_r64) { do_##op##64(cpu, reg64(cpu, in->r[0])); }                                                           \
	OP(op##_m8) { do_##op##8(cpu, mem_read8(cpu, in)); }                                                               \
	OP(op##_m16) { do_##op##16(cpu, mem_read16(cpu, in)); }                                                            \
	OP(op##_m32) { do_##op##32(cpu, mem_read32(cpu, in)); }                                                            \
	OP(op##_m64) { do_##op##64(cpu, mem_read64(cpu, in)); }
ONE_OPERAND(mul)
ONE_OPERAND(imul)
ONE_OPERAND(div)
ONE_OPERAND(idiv)

#define ROWS_ONE_WIDTH(zydis, op, bits)                                                                                \
	{ZYDIS_MNEMONIC_##zydis, {O_R##bits}, 0, 0, op##_r##bits}, {ZYDIS_MNEMONIC_##zydis, {O_M##bits}, 0, 0, op##_m##bits}
#define ROWS_ONE(zydis, op)                                                                                            \
	ROWS_ONE_WIDTH(zydis, op, 8), ROWS_ONE_WIDTH(zydis, op, 16), ROWS_ONE_WIDTH(zydis, op, 32),                        \
	ROWS_ONE_WIDTH(zydis, op, 64)
#define ROWS_IMUL(bits)                                                                                                \
	{ZYDIS_MNEMONIC_IMUL, {O_R##bits, O_R##bits}, 0, 0, imul_r##bits##_r},                                             \
	{ZYDIS_MNEMONIC_IMUL, {O_R##bits, O_R##bits, O_I}, 0, 0, imul_r##bits##_r_i},                                      \
	ROW_R_M(IMUL, bits, 0, imul_r##bits##_m),                                                                          \
	{ZYDIS_MNEMONIC_IMUL, {O_R##bits, O_B##bits, O_I}, 0, 0, imul_r##bits##_m_i_b},                                    \
	{ZYDIS_MNEMONIC_IMUL, {O_R##bits, O_M##bits, O_I}, 0, 0, imul_r##bits##_m_i}
static const struct form table[] = {
	ROWS_IMUL(64), ROWS_IMUL(32), ROWS_IMUL(16),
	ROWS_ONE(MUL, mul), ROWS_ONE(IMUL, imul), ROWS_ONE(DIV, div), ROWS_ONE(IDIV, idiv),
};
const struct form_table muldiv_forms = {table, ARRAY_LEN(table)};
