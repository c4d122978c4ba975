/* SPDX-License-Identifier: MIT */
/* Encoding of host instructions: see emit.h. */
#include "jit/x64/emit.h"

#include <string.h>

void emit_byte(struct emit *e, u8 byte)
{
	if (e->p < e->end)
		*e->p++ = byte;
	else
		e->full = true;
}

void emit_u32(struct emit *e, u32 value)
{
	for (unsigned i = 0; i < 4; i++)
		emit_byte(e, value >> i * 8);
}

void emit_u64(struct emit *e, u64 value)
{
	for (unsigned i = 0; i < 8; i++)
		emit_byte(e, value >> i * 8);
}

static bool small(i32 v)
{
	return v == (i8)v;
}

static void rm_bytes(struct emit *e, unsigned reg, struct rm rm)
{
	unsigned r = (reg & 7) << 3;

	switch (rm.kind) {
	case RM_REG:
		emit_byte(e, 0xc0 | r | (rm.reg & 7));
		break;
	case RM_GS: /* no base, no index, 32-bit displacement */
		emit_byte(e, 0x04 | r);
		emit_byte(e, 0x25);
		emit_u32(e, rm.disp);
		break;
	case RM_BASE: case RM_INDEXED: {
		bool none = rm.disp == 0 && (rm.reg & 7) != 5, sib = rm.kind == RM_INDEXED || (rm.reg & 7) == 4;
		emit_byte(e, (none ? 0 : small(rm.disp) ? 0x40 : 0x80) | r | (sib ? 4 : rm.reg & 7));
		if (sib)
			emit_byte(e, (rm.kind == RM_INDEXED ? rm.index & 7 : 4) << 3 | (rm.reg & 7));
		if (!none) {
			if (small(rm.disp))
				emit_byte(e, rm.disp);
			else
				emit_u32(e, rm.disp);
		}
		break;
	}
	}
}

static void prefixes(struct emit *e, unsigned flags, enum op_map map, u8 opcode, bool r, bool x, bool b, bool byte)
{
	u8 rex = ((flags & OP_W) ? 8 : 0) | r << 2 | x << 1 | b;

	if (flags & OP_LOCK)
		emit_byte(e, 0xf0);
	if (flags & OP_66)
		emit_byte(e, 0x66);
	if (flags & OP_F2)
		emit_byte(e, 0xf2);
	if (flags & OP_F3)
		emit_byte(e, 0xf3);
	if (rex || byte)
		emit_byte(e, 0x40 | rex);
	if (map != MAP_1)
		emit_byte(e, 0x0f);
	if (map == MAP_0F38)
		emit_byte(e, 0x38);
	if (map == MAP_0F3A)
		emit_byte(e, 0x3a);
	emit_byte(e, opcode);
}

void emit_op(struct emit *e, unsigned flags, enum op_map map, u8 opcode, unsigned reg, struct rm rm)
{
	bool byte = ((flags & OP_BYTE_REG) && reg >= 4 && reg < 8) ||
	            ((flags & OP_BYTE_RM) && rm.kind == RM_REG && rm.reg >= 4 && rm.reg < 8);

	if (rm.kind == RM_GS)
		emit_byte(e, 0x65);
	prefixes(e, flags, map, opcode, reg >> 3 & 1, rm.kind == RM_INDEXED && (rm.index & 8),
	         rm.kind != RM_GS && (rm.reg >> 3 & 1), byte);
	rm_bytes(e, reg, rm);
}

void emit_lea(struct emit *e, bool wide, unsigned reg, unsigned base, unsigned index, unsigned scale, i32 disp)
{
	if (base != 0xff && index == 0xff) {
		emit_op(e, wide ? OP_W : 0, MAP_1, 0x8d, reg, rm_base(base, disp));
		return;
	}
	bool b = base != 0xff && (base & 8), x = index != 0xff && (index & 8);
	prefixes(e, wide ? OP_W : 0, MAP_1, 0x8d, reg >> 3 & 1, x, b, false);
	unsigned mod = base == 0xff ? 0 : disp == 0 && (base & 7) != 5 ? 0 : small(disp) ? 0x40 : 0x80;
	emit_byte(e, mod | (reg & 7) << 3 | 4);
	emit_byte(e, scale << 6 | (index == 0xff ? 4 : index & 7) << 3 | (base == 0xff ? 5 : base & 7));
	if (base == 0xff || mod == 0x80)
		emit_u32(e, disp);
	else if (mod == 0x40)
		emit_byte(e, disp);
}

void emit_mov(struct emit *e, unsigned to, unsigned from)
{
	emit_op(e, OP_W, MAP_1, 0x8b, to, rm_reg(from));
}

void emit_mov32(struct emit *e, unsigned to, unsigned from)
{
	emit_op(e, 0, MAP_1, 0x8b, to, rm_reg(from));
}

void emit_rorx(struct emit *e, unsigned to, unsigned from, unsigned count)
{
	emit_byte(e, 0xc4);
	emit_byte(e, (~to >> 3 & 1) << 7 | 0x40 | (~from >> 3 & 1) << 5 | MAP_0F3A);
	emit_byte(e, 0xfb); /* W, no third operand, F2 */
	emit_byte(e, 0xf0);
	emit_byte(e, 0xc0 | (to & 7) << 3 | (from & 7));
	emit_byte(e, count);
}

void emit_load(struct emit *e, unsigned reg, struct rm from)
{
	emit_op(e, OP_W, MAP_1, 0x8b, reg, from);
}

void emit_store(struct emit *e, struct rm to, unsigned reg)
{
	emit_op(e, OP_W, MAP_1, 0x89, reg, to);
}

void emit_imm64(struct emit *e, unsigned reg, u64 value)
{
	emit_byte(e, 0x48 | reg >> 3);
	emit_byte(e, 0xb8 | (reg & 7));
	emit_u64(e, value);
}

void emit_imm32(struct emit *e, unsigned reg, u32 value)
{
	if (reg & 8)
		emit_byte(e, 0x41);
	emit_byte(e, 0xb8 | (reg & 7));
	emit_u32(e, value);
}

void emit_alu_imm(struct emit *e, bool wide, unsigned ext, struct rm rm, i32 imm)
{
	emit_op(e, wide ? OP_W : 0, MAP_1, small(imm) ? 0x83 : 0x81, ext, rm);
	if (small(imm))
		emit_byte(e, imm);
	else
		emit_u32(e, imm);
}

u8 *emit_jmp(struct emit *e)
{
	emit_byte(e, 0xe9);
	emit_u32(e, 0);
	return e->p - 4;
}

u8 *emit_jcc(struct emit *e, unsigned cc)
{
	emit_byte(e, 0x0f);
	emit_byte(e, 0x80 | cc);
	emit_u32(e, 0);
	return e->p - 4;
}

void emit_patch(struct emit *e, u8 *at, const u8 *target)
{
	i32 rel = target - (at + 4);

	if (!e->full)
		memcpy(at, &rel, 4);
}

void emit_here(struct emit *e, u8 *at)
{
	emit_patch(e, at, e->p);
}

void emit_jmp_to(struct emit *e, const u8 *target)
{
	emit_patch(e, emit_jmp(e), target);
}

void emit_jcc_to(struct emit *e, unsigned cc, const u8 *target)
{
	emit_patch(e, emit_jcc(e, cc), target);
}

void emit_call(struct emit *e, const u8 *target)
{
	emit_byte(e, 0xe8);
	emit_u32(e, 0);
	emit_patch(e, e->p - 4, target);
}
