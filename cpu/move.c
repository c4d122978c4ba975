/* SPDX-License-Identifier: MIT */
/* Moves of data that set no flags: MOV, MOVZX, MOVSX, MOVSXD, CMOVcc, XCHG, LEA, BSWAP, MOVBE, XLAT, MOVNTI, the sign extensions
 * of the accumulator, LAHF and SAHF, and what does nothing (NOP in all lengths, PAUSE, prefetches). SDM vol. 2; AMD APM vol. 3.
 *
 * Not implemented: MOVDIRI and MOVDIR64B (not in the supported set). Moves of segment, control and debug registers are
 * elsewhere. BSWAP of 16 bits, undefined, clears the register's low half as CPUs do. */
#include <Zydis/Mnemonic.h>
#include <Zydis/SharedTypes.h>

#include "cpu/fastop.h"
#include "cpu/flags.h"
#include "cpu/forms.h"
#include "cpu/mode.h"
#include "cpu/model.h"
#include "cpu/quiet.h"
#include "cpu/segment.h"

/* ---- MOV ---- */

OP_FAST(mov_r8_r8) { set_reg8(cpu, in->r[0], *reg8(cpu, in->r[1])); }
OP_FAST(mov_r16_r16) { set_reg16(cpu, in->r[0], *reg16(cpu, in->r[1])); }
OP_FAST(mov_r32_r32) { set_reg32(cpu, in->r[0], reg32(cpu, in->r[1])); }
OP_FAST(mov_r64_r64) { set_reg64(cpu, in->r[0], reg64(cpu, in->r[1])); }
OP_FAST(mov_r8_i) { set_reg8(cpu, in->r[0], in->imm); }
OP_FAST(mov_r16_i) { set_reg16(cpu, in->r[0], in->imm); }
OP_FAST(mov_r32_i) { set_reg32(cpu, in->r[0], in->imm); }
OP_FAST(mov_r64_i) { set_reg64(cpu, in->r[0], in->imm); }
OP_READ(mov_r8_m8, 8) { set_reg8(cpu, in->r[0], m); }
OP_READ(mov_r16_m16, 16) { set_reg16(cpu, in->r[0], m); }
OP_READ(mov_r32_m32, 32) { set_reg32(cpu, in->r[0], m); }
OP_READ(mov_r64_m64, 64) { set_reg64(cpu, in->r[0], m); }
OP_WRITE(mov_m8_r8, 8) { return *reg8(cpu, in->r[1]); }
OP_WRITE(mov_m16_r16, 16) { return *reg16(cpu, in->r[1]); }
OP_WRITE(mov_m32_r32, 32) { return reg32(cpu, in->r[1]); }
OP_WRITE(mov_m64_r64, 64) { return reg64(cpu, in->r[1]); }
OP_WRITE(mov_m8_i, 8) { return in->imm; }
OP_WRITE(mov_m16_i, 16) { return in->imm; }
OP_WRITE(mov_m32_i, 32) { return in->imm; }
OP_WRITE(mov_m64_i, 64) { return in->imm; }

/* ---- extension ---- */

OP_FAST(movzx_r16_r8) { set_reg16(cpu, in->r[0], *reg8(cpu, in->r[1])); }
OP_FAST(movzx_r32_r8) { set_reg64(cpu, in->r[0], *reg8(cpu, in->r[1])); }
OP_FAST(movzx_r32_r16) { set_reg64(cpu, in->r[0], *reg16(cpu, in->r[1])); }
OP_READ(movzx_r16_m8, 8) { set_reg16(cpu, in->r[0], m); }
OP_READ(movzx_r32_m8, 8) { set_reg64(cpu, in->r[0], m); }
OP_READ(movzx_r32_m16, 16) { set_reg64(cpu, in->r[0], m); }
OP_FAST(movsx_r16_r8) { set_reg16(cpu, in->r[0], (i8)*reg8(cpu, in->r[1])); }
OP_FAST(movsx_r32_r8) { set_reg32(cpu, in->r[0], (i8)*reg8(cpu, in->r[1])); }
OP_FAST(movsx_r64_r8) { set_reg64(cpu, in->r[0], (i8)*reg8(cpu, in->r[1])); }
OP_FAST(movsx_r32_r16) { set_reg32(cpu, in->r[0], (i16)*reg16(cpu, in->r[1])); }
OP_FAST(movsx_r64_r16) { set_reg64(cpu, in->r[0], (i16)*reg16(cpu, in->r[1])); }
OP_FAST(movsxd_r64_r32) { set_reg64(cpu, in->r[0], (i32)reg32(cpu, in->r[1])); }
/* AMD's CPUs read what they do without the operand-size prefix. */
OP(movsxd_r16_m)
{
	set_reg16(cpu, in->r[0], model_is_amd(cpu->model) ? mem_read32(cpu, in) : mem_read16(cpu, in));
}
OP_READ(movsx_r16_m8, 8) { set_reg16(cpu, in->r[0], (i8)m); }
OP_READ(movsx_r32_m8, 8) { set_reg32(cpu, in->r[0], (i8)m); }
OP_READ(movsx_r64_m8, 8) { set_reg64(cpu, in->r[0], (i8)m); }
OP_READ(movsx_r32_m16, 16) { set_reg32(cpu, in->r[0], (i16)m); }
OP_READ(movsx_r64_m16, 16) { set_reg64(cpu, in->r[0], (i16)m); }
OP_READ(movsxd_r64_m32, 32) { set_reg64(cpu, in->r[0], (i32)m); }

OP_FAST(cbw) { set_reg16(cpu, RAX, (i8)cpu->gpr[RAX]); }
OP_FAST(cwde) { set_reg32(cpu, RAX, (i16)cpu->gpr[RAX]); }
OP_FAST(cdqe) { set_reg64(cpu, RAX, (i32)cpu->gpr[RAX]); }
OP_FAST(cwd) { set_reg16(cpu, RDX, (i16)cpu->gpr[RAX] < 0 ? 0xffff : 0); }
OP_FAST(cdq) { set_reg32(cpu, RDX, (i32)cpu->gpr[RAX] >> 31); }
OP_FAST(cqo) { set_reg64(cpu, RDX, (i64)cpu->gpr[RAX] >> 63); }

/* ---- CMOVcc: the source is always read, and 32 bits always clear the upper half ---- */

#define CMOV(cc)                                                                                                       \
	OP_FAST(cmov_r16_##cc)                                                                                             \
	{                                                                                                                  \
		if (flags_test(cpu, CC_##cc))                                                                                  \
			set_reg16(cpu, in->r[0], *reg16(cpu, in->r[1]));                                                           \
	}                                                                                                                  \
	OP_FAST(cmov_r32_##cc) { set_reg32(cpu, in->r[0], reg32(cpu, in->r[flags_test(cpu, CC_##cc)])); }                  \
	OP_FAST(cmov_r64_##cc) { set_reg64(cpu, in->r[0], reg64(cpu, in->r[flags_test(cpu, CC_##cc)])); }                  \
	OP_READ(cmov_m16_##cc, 16)                                                                                         \
	{                                                                                                                  \
		if (flags_test(cpu, CC_##cc))                                                                                  \
			set_reg16(cpu, in->r[0], m);                                                                               \
	}                                                                                                                  \
	OP_READ(cmov_m32_##cc, 32) { set_reg32(cpu, in->r[0], flags_test(cpu, CC_##cc) ? m : reg32(cpu, in->r[0])); }      \
	OP_READ(cmov_m64_##cc, 64) { set_reg64(cpu, in->r[0], flags_test(cpu, CC_##cc) ? m : reg64(cpu, in->r[0])); }
CMOV(O) CMOV(NO) CMOV(B) CMOV(AE) CMOV(E) CMOV(NE) CMOV(BE) CMOV(A)
CMOV(S) CMOV(NS) CMOV(P) CMOV(NP) CMOV(L) CMOV(GE) CMOV(LE) CMOV(G)

/* ---- XCHG: with memory always locked ---- */

OP_FAST(xchg_r8_r8)
{
	u8 v = *reg8(cpu, in->r[0]);
	set_reg8(cpu, in->r[0], *reg8(cpu, in->r[1]));
	set_reg8(cpu, in->r[1], v);
}
OP_FAST(xchg_r16_r16)
{
	u16 v = *reg16(cpu, in->r[0]);
	set_reg16(cpu, in->r[0], *reg16(cpu, in->r[1]));
	set_reg16(cpu, in->r[1], v);
}
OP_FAST(xchg_r32_r32)
{
	u32 v = reg32(cpu, in->r[0]);
	set_reg32(cpu, in->r[0], reg32(cpu, in->r[1]));
	set_reg32(cpu, in->r[1], v);
}
OP_FAST(xchg_r64_r64)
{
	u64 v = reg64(cpu, in->r[0]);
	set_reg64(cpu, in->r[0], reg64(cpu, in->r[1]));
	set_reg64(cpu, in->r[1], v);
}

#define XCHG_MEM(bits, value)                                                                                          \
	static noinline const struct insn *xchg_m##bits##_slow(struct cpu *cpu, const struct insn *in)                    \
	{                                                                                                                  \
		u64 la;                                                                                                        \
		u##bits old;                                                                                                   \
		cpu->cur = in;                                                                                                 \
		do                                                                                                             \
			old = mem_rmw##bits(cpu, in, &la);                                                                         \
		while (!mem_cas##bits(cpu, in, la, old, value));                                                               \
		set_reg##bits(cpu, in->r[1], old);                                                                             \
		INSN_NEXT(cpu, in);                                                                                            \
	}                                                                                                                  \
	static const struct insn *xchg_m##bits(struct cpu *cpu, const struct insn *in)                                    \
	{                                                                                                                  \
		u8 *p;                                                                                                         \
		if (unlikely(!fastop_find(cpu, in, false, bits / 8, true, &p) || ((uintptr_t)p & (bits / 8 - 1))))             \
			return xchg_m##bits##_slow(cpu, in);                                                                       \
		set_reg##bits(cpu, in->r[1], __atomic_exchange_n((u##bits *)p, value, __ATOMIC_SEQ_CST));                      \
		INSN_NEXT(cpu, in);                                                                                            \
	}
XCHG_MEM(8, *reg8(cpu, in->r[1]))
XCHG_MEM(16, *reg16(cpu, in->r[1]))
XCHG_MEM(32, reg32(cpu, in->r[1]))
XCHG_MEM(64, reg64(cpu, in->r[1]))

/* ---- LEA ---- */

static always_inline u64 sum_full(struct cpu *cpu, const struct insn *in)
{
	return cpu->gpr[in->base] + (cpu->gpr[in->index] << in->scale) + (u64)in->disp;
}
OP_FAST(lea_r64_b) { set_reg64(cpu, in->r[0], cpu->gpr[in->base] + (u64)in->disp); }
OP_FAST(lea_r32_b) { set_reg32(cpu, in->r[0], cpu->gpr[in->base] + (u64)in->disp); }
OP_FAST(lea_r64) { set_reg64(cpu, in->r[0], likely(in->asize == 8) ? sum_full(cpu, in) : (u32)sum_full(cpu, in)); }
OP_FAST(lea_r32) { set_reg32(cpu, in->r[0], unlikely(in->asize == 2) ? (u16)sum_full(cpu, in) : sum_full(cpu, in)); }
OP_FAST(lea_r16) { set_reg16(cpu, in->r[0], sum_full(cpu, in)); }

/* ---- byte order ---- */

OP_FAST(bswap_r16) { set_reg16(cpu, in->r[0], 0); }
OP_FAST(bswap_r32) { set_reg32(cpu, in->r[0], __builtin_bswap32(reg32(cpu, in->r[0]))); }
OP_FAST(bswap_r64) { set_reg64(cpu, in->r[0], __builtin_bswap64(reg64(cpu, in->r[0]))); }
OP_READ(movbe_r16_m16, 16) { set_reg16(cpu, in->r[0], __builtin_bswap16(m)); }
OP_READ(movbe_r32_m32, 32) { set_reg32(cpu, in->r[0], __builtin_bswap32(m)); }
OP_READ(movbe_r64_m64, 64) { set_reg64(cpu, in->r[0], __builtin_bswap64(m)); }
OP_WRITE(movbe_m16_r16, 16) { return __builtin_bswap16(*reg16(cpu, in->r[1])); }
OP_WRITE(movbe_m32_r32, 32) { return __builtin_bswap32(reg32(cpu, in->r[1])); }
OP_WRITE(movbe_m64_r64, 64) { return __builtin_bswap64(reg64(cpu, in->r[1])); }

/* ---- the rest ---- */

OP(xlat)
{
	u64 offset = (cpu->gpr[RBX] + (cpu->gpr[RAX] & 0xff)) & mask_bytes(in->asize), la;

	if (cpu->code_mode == CODE64)
		la = in->seg >= SEG_FS ? cpu->seg[in->seg].base + offset : offset;
	else
		la = segment_linear(cpu, in->seg, offset, 1, false);
	set_reg8(cpu, RAX * 8, lin_read8(cpu, la, in->seg));
}

#define AH 1 /* byte offset into gpr[] */
static void check_lahf(struct cpu *cpu)
{
	if (mode_64(cpu) && !cpu_has(cpu, FEAT_LAHF_LM))
		exception_ud(cpu);
}
OP(lahf)
{
	check_lahf(cpu);
	set_reg8(cpu, AH, flags_get(cpu) | FLAG_1);
}
OP(sahf)
{
	const u32 mask = FLAG_SF | FLAG_ZF | FLAG_AF | FLAG_PF | FLAG_CF;

	check_lahf(cpu);
	flags_change(cpu, mask, *reg8(cpu, AH));
}

OP_FAST(nop) {}
OP(pause)
{
	quiet_pause(cpu);
}

#define ROWS_CMOV(zydis, cc)                                                                                           \
	{ZYDIS_MNEMONIC_##zydis, {O_R32, O_R32}, 0, FEAT_CMOV, cmov_r32_##cc},                                             \
	{ZYDIS_MNEMONIC_##zydis, {O_R64, O_R64}, 0, FEAT_CMOV, cmov_r64_##cc},                                             \
	{ZYDIS_MNEMONIC_##zydis, {O_R16, O_R16}, 0, FEAT_CMOV, cmov_r16_##cc},                                             \
	ROW_R_M(zydis, 32, FEAT_CMOV, cmov_m32_##cc),                                                                      \
	ROW_R_M(zydis, 64, FEAT_CMOV, cmov_m64_##cc),                                                                      \
	ROW_R_M(zydis, 16, FEAT_CMOV, cmov_m16_##cc)
/* A wider destination, a narrower source. */
#define ROWS_EXTEND(mnemonic, to, from, reg, mem)                                                                      \
	{ZYDIS_MNEMONIC_##mnemonic, {O_R##to, O_R##from}, 0, 0, reg},                                                      \
	{ZYDIS_MNEMONIC_##mnemonic, {O_R##to, O_B##from}, 0, 0, mem##_b},                                                  \
	{ZYDIS_MNEMONIC_##mnemonic, {O_R##to, O_M##from}, 0, 0, mem}
#define M(name) ZYDIS_MNEMONIC_##name
static const struct form table[] = {
	{M(MOV), {O_R8, O_R8}, 0, 0, mov_r8_r8},
	{M(MOV), {O_R16, O_R16}, 0, 0, mov_r16_r16},
	{M(MOV), {O_R32, O_R32}, 0, 0, mov_r32_r32},
	{M(MOV), {O_R64, O_R64}, 0, 0, mov_r64_r64},
	{M(MOV), {O_R8, O_I}, 0, 0, mov_r8_i},
	{M(MOV), {O_R16, O_I}, 0, 0, mov_r16_i},
	{M(MOV), {O_R32, O_I}, 0, 0, mov_r32_i},
	{M(MOV), {O_R64, O_I}, 0, 0, mov_r64_i},
	ROW_R_M(MOV, 8, 0, mov_r8_m8),
	ROW_R_M(MOV, 16, 0, mov_r16_m16),
	ROW_R_M(MOV, 32, 0, mov_r32_m32),
	ROW_R_M(MOV, 64, 0, mov_r64_m64),
	ROW_M_X(MOV, 8, O_R8, 0, mov_m8_r8),
	ROW_M_X(MOV, 16, O_R16, 0, mov_m16_r16),
	ROW_M_X(MOV, 32, O_R32, 0, mov_m32_r32),
	ROW_M_X(MOV, 64, O_R64, 0, mov_m64_r64),
	ROW_M_X(MOV, 8, O_I, 0, mov_m8_i),
	ROW_M_X(MOV, 16, O_I, 0, mov_m16_i),
	ROW_M_X(MOV, 32, O_I, 0, mov_m32_i),
	ROW_M_X(MOV, 64, O_I, 0, mov_m64_i),
	ROWS_EXTEND(MOVZX, 16, 8, movzx_r16_r8, movzx_r16_m8),
	ROWS_EXTEND(MOVZX, 32, 8, movzx_r32_r8, movzx_r32_m8),
	ROWS_EXTEND(MOVZX, 64, 8, movzx_r32_r8, movzx_r32_m8),
	ROWS_EXTEND(MOVZX, 16, 16, mov_r16_r16, mov_r16_m16),
	ROWS_EXTEND(MOVZX, 32, 16, movzx_r32_r16, movzx_r32_m16),
	ROWS_EXTEND(MOVZX, 64, 16, movzx_r32_r16, movzx_r32_m16),
	ROWS_EXTEND(MOVSX, 16, 8, movsx_r16_r8, movsx_r16_m8),
	ROWS_EXTEND(MOVSX, 32, 8, movsx_r32_r8, movsx_r32_m8),
	ROWS_EXTEND(MOVSX, 64, 8, movsx_r64_r8, movsx_r64_m8),
	ROWS_EXTEND(MOVSX, 16, 16, mov_r16_r16, mov_r16_m16),
	ROWS_EXTEND(MOVSX, 32, 16, movsx_r32_r16, movsx_r32_m16),
	ROWS_EXTEND(MOVSX, 64, 16, movsx_r64_r16, movsx_r64_m16),
	{M(MOVSXD), {O_R16, O_R16}, 0, 0, mov_r16_r16},
	{M(MOVSXD), {O_R16, O_R32}, 0, 0, mov_r16_r16},
	{M(MOVSXD), {O_R16, O_M}, 0, 0, movsxd_r16_m},
	ROWS_EXTEND(MOVSXD, 32, 32, mov_r32_r32, mov_r32_m32),
	ROWS_EXTEND(MOVSXD, 64, 32, movsxd_r64_r32, movsxd_r64_m32),
	{M(CBW), {0}, 0, 0, cbw},
	{M(CWDE), {0}, 0, 0, cwde},
	{M(CDQE), {0}, 0, 0, cdqe},
	{M(CWD), {0}, 0, 0, cwd},
	{M(CDQ), {0}, 0, 0, cdq},
	{M(CQO), {0}, 0, 0, cqo},
	ROWS_CMOV(CMOVO, O), ROWS_CMOV(CMOVNO, NO), ROWS_CMOV(CMOVB, B), ROWS_CMOV(CMOVNB, AE), ROWS_CMOV(CMOVZ, E),
	ROWS_CMOV(CMOVNZ, NE), ROWS_CMOV(CMOVBE, BE), ROWS_CMOV(CMOVNBE, A), ROWS_CMOV(CMOVS, S), ROWS_CMOV(CMOVNS, NS),
	ROWS_CMOV(CMOVP, P), ROWS_CMOV(CMOVNP, NP), ROWS_CMOV(CMOVL, L), ROWS_CMOV(CMOVNL, GE), ROWS_CMOV(CMOVLE, LE),
	ROWS_CMOV(CMOVNLE, G),
	{M(XCHG), {O_R8, O_R8}, 0, 0, xchg_r8_r8},
	{M(XCHG), {O_R16, O_R16}, 0, 0, xchg_r16_r16},
	{M(XCHG), {O_R32, O_R32}, 0, 0, xchg_r32_r32},
	{M(XCHG), {O_R64, O_R64}, 0, 0, xchg_r64_r64},
	{M(XCHG), {O_M8, O_R8}, 0, 0, xchg_m8},
	{M(XCHG), {O_M16, O_R16}, 0, 0, xchg_m16},
	{M(XCHG), {O_M32, O_R32}, 0, 0, xchg_m32},
	{M(XCHG), {O_M64, O_R64}, 0, 0, xchg_m64},
	{M(LEA), {O_R64, O_B}, 0, 0, lea_r64_b},
	{M(LEA), {O_R32, O_B}, 0, 0, lea_r32_b},
	{M(LEA), {O_R64, O_M}, 0, 0, lea_r64},
	{M(LEA), {O_R32, O_M}, 0, 0, lea_r32},
	{M(LEA), {O_R16, O_M}, 0, 0, lea_r16},
	{M(BSWAP), {O_R16}, 0, 0, bswap_r16},
	{M(BSWAP), {O_R32}, 0, 0, bswap_r32},
	{M(BSWAP), {O_R64}, 0, 0, bswap_r64},
	ROW_R_M(MOVBE, 16, FEAT_MOVBE, movbe_r16_m16),
	ROW_R_M(MOVBE, 32, FEAT_MOVBE, movbe_r32_m32),
	ROW_R_M(MOVBE, 64, FEAT_MOVBE, movbe_r64_m64),
	ROW_M_X(MOVBE, 16, O_R16, FEAT_MOVBE, movbe_m16_r16),
	ROW_M_X(MOVBE, 32, O_R32, FEAT_MOVBE, movbe_m32_r32),
	ROW_M_X(MOVBE, 64, O_R64, FEAT_MOVBE, movbe_m64_r64),
	ROW_M_X(MOVNTI, 32, O_R32, FEAT_SSE2, mov_m32_r32),
	ROW_M_X(MOVNTI, 64, O_R64, FEAT_SSE2, mov_m64_r64),
	{M(XLAT), {0}, 0, 0, xlat},
	{M(LAHF), {0}, 0, 0, lahf},
	{M(SAHF), {0}, 0, 0, sahf},
	{M(NOP), {0}, 0, 0, nop},
	{M(NOP), {O_ANY}, 0, 0, nop},
	{M(NOP), {O_ANY, O_ANY}, 0, 0, nop},
	{M(PAUSE), {0}, 0, 0, pause},
	{M(ENDBR32), {0}, 0, 0, nop},
	{M(ENDBR64), {0}, 0, 0, nop},
	{M(PREFETCH), {O_ANY}, 0, 0, nop},
	{M(PREFETCHNTA), {O_ANY}, 0, 0, nop},
	{M(PREFETCHT0), {O_ANY}, 0, 0, nop},
	{M(PREFETCHT1), {O_ANY}, 0, 0, nop},
	{M(PREFETCHT2), {O_ANY}, 0, 0, nop},
	{M(PREFETCHW), {O_ANY}, 0, 0, nop},
	{M(PREFETCHWT1), {O_ANY}, 0, 0, nop},
};
const struct form_table move_forms = {table, ARRAY_LEN(table)};
