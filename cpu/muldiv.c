/* SPDX-License-Identifier: MIT */
/* Multiplication and division: MUL, IMUL in its three shapes, DIV, IDIV. SDM vol. 2.
 *
 * Flags that the manual leaves undefined, by flavour: Intel's multiplication sets SF and PF by the low half and clears ZF and AF,
 * and its division touches none. AMD's multiplication touches CF and OF only, and its division sets AF, clears SF, ZF and PF, and
 * leaves CF and OF alone. The multiplications exist twice, so that decoding picks one; a division is slow enough to ask. */
#include <Zydis/Mnemonic.h>
#include <Zydis/SharedTypes.h>

#include "cpu/fastop.h"
#include "cpu/flags.h"
#include "cpu/forms.h"
#include "cpu/model.h"

#define AH 1 /* byte offset into gpr[] */

/* 256 looks like 0 to SF and PF, but not to ZF. */
static always_inline void flags_product(struct cpu *cpu, i64 low, bool overflow, bool amd)
{
	u32 cf_of = overflow ? FLAG_CF | FLAG_OF : 0;

	if (amd)
		flags_replace(cpu, FLAG_CF | FLAG_OF, cf_of);
	else
		flags_res(cpu, low ? low : 256, cf_of);
}

/* 1 is a result without SF, ZF and PF. */
static always_inline void flags_quotient(struct cpu *cpu)
{
	if (cpu->flavour == FLAVOUR_AMD)
		flags_res(cpu, 1, FLAG_AF | (flags_cf(cpu) ? FLAG_CF : 0) | (flags_of(cpu) ? FLAG_OF : 0));
}

/* ---- IMUL with a destination of the same width ---- */

static always_inline u16 product16(struct cpu *cpu, i16 a, i16 b, bool amd)
{
	i32 r = (i32)a * b;
	flags_product(cpu, (i16)r, (i16)r != r, amd);
	return r;
}
static always_inline u32 product32(struct cpu *cpu, i32 a, i32 b, bool amd)
{
	i64 r = (i64)a * b;
	flags_product(cpu, (i32)r, (i32)r != r, amd);
	return r;
}
static always_inline u64 product64(struct cpu *cpu, i64 a, i64 b, bool amd)
{
	i64 r;
	bool overflow = __builtin_mul_overflow(a, b, &r);
	flags_product(cpu, r, overflow, amd);
	return r;
}

/* f: of which flavour, as a suffix of the names and as a constant. */
#define IS_intel false
#define IS_amd true
#define IMUL(bits, f)                                                                                                  \
	OP_FAST(imul_r##bits##_r##f)                                                                                       \
	{                                                                                                                  \
		UPDATE(bits, product##bits(cpu, get##bits(cpu, to), get##bits(cpu, in->r[1]), IS##f));                         \
	}                                                                                                                  \
	OP_FAST(imul_r##bits##_r_i##f) { UPDATE(bits, product##bits(cpu, get##bits(cpu, in->r[1]), in->imm, IS##f)); }     \
	OP_READ(imul_r##bits##_m##f, bits) { UPDATE(bits, product##bits(cpu, get##bits(cpu, to), m, IS##f)); }             \
	OP_READ(imul_r##bits##_m_i##f, bits) { UPDATE(bits, product##bits(cpu, m, in->imm, IS##f)); }
IMUL(16, _intel)
IMUL(32, _intel)
IMUL(64, _intel)
IMUL(16, _amd)
IMUL(32, _amd)
IMUL(64, _amd)

/* ---- into the double-width accumulator ---- */

static always_inline void do_mul8(struct cpu *cpu, u8 b, bool amd)
{
	u16 r = (u16)((u8)cpu->gpr[RAX] * b);
	set_reg16(cpu, RAX, r);
	flags_product(cpu, (i8)r, r >> 8, amd);
}
static always_inline void do_mul16(struct cpu *cpu, u16 b, bool amd)
{
	u32 r = (u32)(u16)cpu->gpr[RAX] * b;
	set_reg16(cpu, RAX, r);
	set_reg16(cpu, RDX, r >> 16);
	flags_product(cpu, (i16)r, r >> 16, amd);
}
static always_inline void do_mul32(struct cpu *cpu, u32 b, bool amd)
{
	u64 r = (u64)(u32)cpu->gpr[RAX] * b;
	set_reg32(cpu, RAX, r);
	set_reg32(cpu, RDX, r >> 32);
	flags_product(cpu, (i32)r, r >> 32, amd);
}
static always_inline void do_mul64(struct cpu *cpu, u64 b, bool amd)
{
	u128 r = (u128)cpu->gpr[RAX] * b;
	cpu->gpr[RAX] = r;
	cpu->gpr[RDX] = r >> 64;
	flags_product(cpu, r, r >> 64 != 0, amd);
}
static always_inline void do_imul8(struct cpu *cpu, u8 b, bool amd)
{
	i16 r = (i16)((i8)cpu->gpr[RAX] * (i8)b);
	set_reg16(cpu, RAX, r);
	flags_product(cpu, (i8)r, (i8)r != r, amd);
}
static always_inline void do_imul16(struct cpu *cpu, u16 b, bool amd)
{
	i32 r = (i32)(i16)cpu->gpr[RAX] * (i16)b;
	set_reg16(cpu, RAX, r);
	set_reg16(cpu, RDX, r >> 16);
	flags_product(cpu, (i16)r, (i16)r != r, amd);
}
static always_inline void do_imul32(struct cpu *cpu, u32 b, bool amd)
{
	i64 r = (i64)(i32)cpu->gpr[RAX] * (i32)b;
	set_reg32(cpu, RAX, r);
	set_reg32(cpu, RDX, r >> 32);
	flags_product(cpu, (i32)r, (i32)r != r, amd);
}
static always_inline void do_imul64(struct cpu *cpu, u64 b, bool amd)
{
	i128 r = (i128)(i64)cpu->gpr[RAX] * (i64)b;
	cpu->gpr[RAX] = r;
	cpu->gpr[RDX] = r >> 64;
	flags_product(cpu, r, (i64)r != r, amd);
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

#define DIVISION(op, bits)                                                                                             \
	OP(op##_r##bits)                                                                                                   \
	{                                                                                                                  \
		do_##op##bits(cpu, get##bits(cpu, in->r[0]));                                                                  \
		flags_quotient(cpu);                                                                                           \
	}                                                                                                                  \
	OP(op##_m##bits)                                                                                                   \
	{                                                                                                                  \
		do_##op##bits(cpu, mem_read##bits(cpu, in));                                                                   \
		flags_quotient(cpu);                                                                                           \
	}
#define PRODUCT(op, bits, f)                                                                                           \
	OP(op##_r##bits##f) { do_##op##bits(cpu, get##bits(cpu, in->r[0]), IS##f); }                                       \
	OP(op##_m##bits##f) { do_##op##bits(cpu, mem_read##bits(cpu, in), IS##f); }
#define WIDTHS(kind, ...) kind(__VA_ARGS__, 8) kind(__VA_ARGS__, 16) kind(__VA_ARGS__, 32) kind(__VA_ARGS__, 64)
#define PRODUCTS(op, bits) PRODUCT(op, bits, _intel) PRODUCT(op, bits, _amd)
WIDTHS(PRODUCTS, mul)
WIDTHS(PRODUCTS, imul)
WIDTHS(DIVISION, div)
WIDTHS(DIVISION, idiv)

#define ROWS_WIDTHS(kind, ...) kind(__VA_ARGS__, 8), kind(__VA_ARGS__, 16), kind(__VA_ARGS__, 32), kind(__VA_ARGS__, 64)
#define ROWS_DIVISION(zydis, op, bits)                                                                                 \
	{ZYDIS_MNEMONIC_##zydis, {O_R##bits}, 0, 0, op##_r##bits}, {ZYDIS_MNEMONIC_##zydis, {O_M##bits}, 0, 0, op##_m##bits}
#define ROWS_PRODUCT(zydis, op, bits)                                                                                  \
	{ZYDIS_MNEMONIC_##zydis, {O_R##bits}, FORM_INTEL, 0, op##_r##bits##_intel},                                        \
	{ZYDIS_MNEMONIC_##zydis, {O_R##bits}, FORM_AMD, 0, op##_r##bits##_amd},                                            \
	{ZYDIS_MNEMONIC_##zydis, {O_M##bits}, FORM_INTEL, 0, op##_m##bits##_intel},                                        \
	{ZYDIS_MNEMONIC_##zydis, {O_M##bits}, FORM_AMD, 0, op##_m##bits##_amd}
#define ROWS_IMUL_FLAVOUR(bits, flags, f)                                                                              \
	{ZYDIS_MNEMONIC_IMUL, {O_R##bits, O_R##bits}, flags, 0, imul_r##bits##_r##f},                                      \
	{ZYDIS_MNEMONIC_IMUL, {O_R##bits, O_R##bits, O_I}, flags, 0, imul_r##bits##_r_i##f},                               \
	{ZYDIS_MNEMONIC_IMUL, {O_R##bits, O_B##bits}, flags, 0, imul_r##bits##_m##f##_b},                                  \
	{ZYDIS_MNEMONIC_IMUL, {O_R##bits, O_M##bits}, flags, 0, imul_r##bits##_m##f},                                      \
	{ZYDIS_MNEMONIC_IMUL, {O_R##bits, O_B##bits, O_I}, flags, 0, imul_r##bits##_m_i##f##_b},                           \
	{ZYDIS_MNEMONIC_IMUL, {O_R##bits, O_M##bits, O_I}, flags, 0, imul_r##bits##_m_i##f}
#define ROWS_IMUL(bits) ROWS_IMUL_FLAVOUR(bits, FORM_INTEL, _intel), ROWS_IMUL_FLAVOUR(bits, FORM_AMD, _amd)
static const struct form table[] = {
	ROWS_IMUL(64), ROWS_IMUL(32), ROWS_IMUL(16),
	ROWS_WIDTHS(ROWS_PRODUCT, MUL, mul), ROWS_WIDTHS(ROWS_PRODUCT, IMUL, imul),
	ROWS_WIDTHS(ROWS_DIVISION, DIV, div), ROWS_WIDTHS(ROWS_DIVISION, IDIV, idiv),
};
const struct form_table muldiv_forms = {table, ARRAY_LEN(table)};
