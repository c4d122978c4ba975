/* SPDX-License-Identifier: MIT */
/* Shifts and rotates: SHL SHR SAR, ROL ROR RCL RCR, SHLD SHRD. SDM vol. 2.
 *
 * Counts are masked to 5 bits (6 for 64-bit operands); a masked count of 0 changes no flag. What the manual leaves undefined is
 * what Intel's CPUs do: OF is that of a shift by one whatever the count, but for ROL and ROR of a register by an immediate
 * other than 1, which leave it alone; AF is cleared by shifts; a double shift of 16 bits by more than 16 goes on with the
 * destination behind the source. */
#include <Zydis/Mnemonic.h>
#include <Zydis/SharedTypes.h>

#include "cpu/fastop.h"
#include "cpu/flags.h"
#include "cpu/forms.h"

/* OF from the top bit of a value. */
static always_inline u32 of_bit(u64 value, unsigned bits)
{
	return (u32)(value >> (bits - 1) & 1) << 11;
}

static always_inline void flags_rotated(struct cpu *cpu, u32 cf, u32 of)
{
	flags_replace(cpu, FLAG_CF | FLAG_OF, cf | of);
}

/* The operations: c is masked and not 0. */
#define OPERATIONS(bits)                                                                                               \
	static always_inline u##bits do_shl##bits(struct cpu *cpu, u##bits a, unsigned c)                                  \
	{                                                                                                                  \
		u##bits r = (u64)a << c;                                                                                       \
		u32 cf = (bits == 64 ? (u64)a >> (64 - c) : (u64)a << c >> (bits & 63)) & 1;                                   \
		flags_res(cpu, (i##bits)r, cf | of_bit(a ^ (u64)a << 1, bits));                                                \
		return r;                                                                                                      \
	}                                                                                                                  \
	static always_inline u##bits do_shr##bits(struct cpu *cpu, u##bits a, unsigned c)                                  \
	{                                                                                                                  \
		u##bits part = a >> (c - 1), r = part >> 1;                                                                    \
		flags_res(cpu, (i##bits)r, (part & 1) | of_bit(a, bits));                                                      \
		return r;                                                                                                      \
	}                                                                                                                  \
	static always_inline u##bits do_sar##bits(struct cpu *cpu, u##bits a, unsigned c)                                  \
	{                                                                                                                  \
		i64 part = (i64)(i##bits)a >> (c - 1), r = part >> 1;                                                          \
		flags_res(cpu, r, part & 1);                                                                                   \
		return r;                                                                                                      \
	}                                                                                                                  \
	static always_inline u##bits do_rol##bits(struct cpu *cpu, u##bits a, unsigned c)                                  \
	{                                                                                                                  \
		u##bits r = a << (c & (bits - 1)) | a >> (-c & (bits - 1));                                                    \
		flags_rotated(cpu, r & 1, of_bit(a ^ (u64)a << 1, bits));                                                      \
		return r;                                                                                                      \
	}                                                                                                                  \
	static always_inline u##bits do_ror##bits(struct cpu *cpu, u##bits a, unsigned c)                                  \
	{                                                                                                                  \
		u##bits r = a >> (c & (bits - 1)) | a << (-c & (bits - 1));                                                    \
		flags_rotated(cpu, r >> (bits - 1), of_bit(a ^ (u64)a << (bits - 1), bits));                                   \
		return r;                                                                                                      \
	}                                                                                                                  \
	static always_inline u##bits do_roli##bits(struct cpu *cpu, u##bits a, unsigned c)                                 \
	{                                                                                                                  \
		u##bits r = a << (c & (bits - 1)) | a >> (-c & (bits - 1));                                                    \
		if (c == 1)                                                                                                    \
			return do_rol##bits(cpu, a, 1);                                                                            \
		flags_replace(cpu, FLAG_CF, r & 1);                                                                            \
		return r;                                                                                                      \
	}                                                                                                                  \
	static always_inline u##bits do_rori##bits(struct cpu *cpu, u##bits a, unsigned c)                                 \
	{                                                                                                                  \
		u##bits r = a >> (c & (bits - 1)) | a << (-c & (bits - 1));                                                    \
		if (c == 1)                                                                                                    \
			return do_ror##bits(cpu, a, 1);                                                                            \
		flags_replace(cpu, FLAG_CF, r >> (bits - 1));                                                                  \
		return r;                                                                                                      \
	}                                                                                                                  \
	static always_inline u##bits do_rcl##bits(struct cpu *cpu, u##bits a, unsigned c)                                  \
	{                                                                                                                  \
		if (bits < 32 && !(c %= bits + 1))                                                                             \
			return a;                                                                                                  \
		u64 cf = flags_cf(cpu), part = c > 1 ? a >> (bits + 1 - c) : 0;                                                \
		flags_rotated(cpu, a >> (bits - c) & 1, of_bit(a ^ (u64)a << 1, bits));                                        \
		return (u64)a << c | cf << (c - 1) | part;                                                                     \
	}                                                                                                                  \
	static always_inline u##bits do_rcr##bits(struct cpu *cpu, u##bits a, unsigned c)                                  \
	{                                                                                                                  \
		if (bits < 32 && !(c %= bits + 1))                                                                             \
			return a;                                                                                                  \
		u64 cf = flags_cf(cpu), part = c > 1 ? (u64)a << (bits + 1 - c) : 0;                                           \
		flags_rotated(cpu, a >> (c - 1) & 1, of_bit(a ^ cf << (bits - 1), bits));                                      \
		return (u64)a >> c | cf << (bits - c) | part;                                                                  \
	}
#define DOUBLE_OPERATIONS(bits)                                                                                        \
	static always_inline u##bits do_shld##bits(struct cpu *cpu, u##bits a, u##bits b, unsigned c)                      \
	{                                                                                                                  \
		c &= bits == 64 ? 63 : 31;                                                                                     \
		if (!c)                                                                                                        \
			return a;                                                                                                  \
		u##bits part = bits == 16 ? ((u64)a << 32 | (u64)b << 16 | a) << (c - 1) >> 32                                 \
		                          : (u64)a << (c - 1) | (c > 1 ? b >> (bits + 1 - c) : 0);                             \
		u##bits r = bits == 16 ? ((u64)a << 32 | (u64)b << 16 | a) << c >> 32 : (u64)a << c | b >> (bits - c);         \
		flags_res(cpu, (i##bits)r, part >> (bits - 1) | of_bit(a ^ (u64)a << 1, bits));                                \
		return r;                                                                                                      \
	}                                                                                                                  \
	static always_inline u##bits do_shrd##bits(struct cpu *cpu, u##bits a, u##bits b, unsigned c)                      \
	{                                                                                                                  \
		c &= bits == 64 ? 63 : 31;                                                                                     \
		if (!c)                                                                                                        \
			return a;                                                                                                  \
		u##bits part = bits == 16 ? ((u64)a << 32 | (u64)b << 16 | a) >> (c - 1)                                       \
		                          : (u64)a >> (c - 1) | (c > 1 ? (u64)b << (bits + 1 - c) : 0);                        \
		u##bits r = bits == 16 ? ((u64)a << 32 | (u64)b << 16 | a) >> c : (u64)a >> c | (u64)b << (bits - c);          \
		flags_res(cpu, (i##bits)r, (part & 1) | of_bit(a ^ (u64)b << (bits - 1), bits));                               \
		return r;                                                                                                      \
	}

OPERATIONS(8)
OPERATIONS(16)
OPERATIONS(32)
OPERATIONS(64)
DOUBLE_OPERATIONS(16)
DOUBLE_OPERATIONS(32)
DOUBLE_OPERATIONS(64)

#define SHIFT(op, by_imm, bits)                                                                                        \
	static always_inline u##bits op##_i_##bits(struct cpu *cpu, u##bits a, unsigned c)                                 \
	{                                                                                                                  \
		c &= bits == 64 ? 63 : 31;                                                                                     \
		return likely(c) ? do_##by_imm##bits(cpu, a, c) : a;                                                           \
	}                                                                                                                  \
	static always_inline u##bits op##_cl_##bits(struct cpu *cpu, u##bits a, unsigned c)                                \
	{                                                                                                                  \
		c &= bits == 64 ? 63 : 31;                                                                                     \
		return likely(c) ? do_##op##bits(cpu, a, c) : a;                                                               \
	}                                                                                                                  \
	OP_FAST(op##_r##bits##_1) { UPDATE(bits, do_##op##bits(cpu, get##bits(cpu, to), 1)); }                             \
	OP_FAST(op##_r##bits##_i)                                                                                          \
	{                                                                                                                  \
		UPDATE(bits, op##_i_##bits(cpu, get##bits(cpu, to), in->imm));                                                 \
	}                                                                                                                  \
	OP_FAST(op##_r##bits##_cl)                                                                                         \
	{                                                                                                                  \
		UPDATE(bits, op##_cl_##bits(cpu, get##bits(cpu, to), cpu->gpr[RCX]));                                          \
	}                                                                                                                  \
	OP_RMW(op##_m##bits##_i, bits) { return op##_cl_##bits(cpu, m, in->imm); }                                         \
	OP_RMW(op##_m##bits##_cl, bits) { return op##_cl_##bits(cpu, m, cpu->gpr[RCX]); }
#define DOUBLE_SHIFT(op, bits)                                                                                         \
	OP_FAST(op##_r##bits##_i)                                                                                          \
	{                                                                                                                  \
		u##bits r = do_##op##bits(cpu, get##bits(cpu, in->r[0]), get##bits(cpu, in->r[1]), in->imm);                   \
		set_reg##bits(cpu, in->r[0], r);                                                                               \
	}                                                                                                                  \
	OP_FAST(op##_r##bits##_cl)                                                                                         \
	{                                                                                                                  \
		u##bits r = do_##op##bits(cpu, get##bits(cpu, in->r[0]), get##bits(cpu, in->r[1]), cpu->gpr[RCX]);             \
		set_reg##bits(cpu, in->r[0], r);                                                                               \
	}                                                                                                                  \
	OP_RMW(op##_m##bits##_i, bits) { return do_##op##bits(cpu, m, get##bits(cpu, in->r[1]), in->imm); }                \
	OP_RMW(op##_m##bits##_cl, bits) { return do_##op##bits(cpu, m, get##bits(cpu, in->r[1]), cpu->gpr[RCX]); }

#define SHIFT_WIDTHS(op, by_imm) SHIFT(op, by_imm, 8) SHIFT(op, by_imm, 16) SHIFT(op, by_imm, 32) SHIFT(op, by_imm, 64)
SHIFT_WIDTHS(rol, roli)
SHIFT_WIDTHS(ror, rori)
SHIFT_WIDTHS(rcl, rcl)
SHIFT_WIDTHS(rcr, rcr)
SHIFT_WIDTHS(shl, shl)
SHIFT_WIDTHS(shr, shr)
SHIFT_WIDTHS(sar, sar)
DOUBLE_SHIFT(shld, 16)
DOUBLE_SHIFT(shld, 32)
DOUBLE_SHIFT(shld, 64)
DOUBLE_SHIFT(shrd, 16)
DOUBLE_SHIFT(shrd, 32)
DOUBLE_SHIFT(shrd, 64)

/* O_ONE before O_I, which matches the implicit constant too. */
#define ROWS_WIDTH(zydis, op, bits)                                                                                    \
	{ZYDIS_MNEMONIC_##zydis, {O_R##bits, O_ONE}, 0, 0, op##_r##bits##_1},                                              \
	{ZYDIS_MNEMONIC_##zydis, {O_R##bits, O_I}, 0, 0, op##_r##bits##_i},                                                \
	{ZYDIS_MNEMONIC_##zydis, {O_R##bits, O_CL}, 0, 0, op##_r##bits##_cl},                                              \
	ROW_M_X(zydis, bits, O_I, 0, op##_m##bits##_i),                                                                    \
	ROW_M_X(zydis, bits, O_CL, 0, op##_m##bits##_cl)
#define ROWS(zydis, op)                                                                                                \
	ROWS_WIDTH(zydis, op, 8), ROWS_WIDTH(zydis, op, 16), ROWS_WIDTH(zydis, op, 32), ROWS_WIDTH(zydis, op, 64)
#define ROWS_DOUBLE(zydis, op, bits)                                                                                   \
	{ZYDIS_MNEMONIC_##zydis, {O_R##bits, O_R##bits, O_I}, 0, 0, op##_r##bits##_i},                                     \
	{ZYDIS_MNEMONIC_##zydis, {O_R##bits, O_R##bits, O_CL}, 0, 0, op##_r##bits##_cl},                                   \
	{ZYDIS_MNEMONIC_##zydis, {O_M##bits, O_R##bits, O_I}, 0, 0, op##_m##bits##_i},                                     \
	{ZYDIS_MNEMONIC_##zydis, {O_M##bits, O_R##bits, O_CL}, 0, 0, op##_m##bits##_cl}
static const struct form table[] = {
	ROWS(ROL, rol), ROWS(ROR, ror), ROWS(RCL, rcl), ROWS(RCR, rcr), ROWS(SHL, shl), ROWS(SHR, shr), ROWS(SAR, sar),
	ROWS_DOUBLE(SHLD, shld, 16), ROWS_DOUBLE(SHLD, shld, 32), ROWS_DOUBLE(SHLD, shld, 64),
	ROWS_DOUBLE(SHRD, shrd, 16), ROWS_DOUBLE(SHRD, shrd, 32), ROWS_DOUBLE(SHRD, shrd, 64),
};
const struct form_table shift_forms = {table, ARRAY_LEN(table)};
