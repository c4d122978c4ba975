/* SPDX-License-Identifier: MIT */
/* Single random instructions. Opcodes as in SDM vol. 2 appendix A, in tables. Not among them: approximations and transcendental x87
 * functions, which every engine leaves to the interpreter. */
#include "tests/diff/diff.h"

enum {
	RM = 1 << 0,    /* has a ModRM byte */
	MEM = 1 << 1,   /* memory only */
	REG = 1 << 2,   /* register only */
	I8 = 1 << 3, IZ = 1 << 4, IV = 1 << 5, /* immediate: a byte; 2 or 4 bytes; up to 8 */
	BYTE = 1 << 6,  /* operands of 8 bits */
	WR = 1 << 7,    /* reg is a destination */
	WM = 1 << 8,    /* r/m is one */
	RP = 1 << 9,    /* the opcode's low bits are a destination */
	LK = 1 << 10,   /* LOCK is possible */
	N64 = 1 << 11, O64 = 1 << 12,
	N16 = 1 << 13,  /* not with 16-bit operands */
	FIX = 1 << 14,  /* no choice of the operands' size */
	VEC = 1 << 15,  /* vector or x87 registers */
	STACK = 1 << 16, /* moves the stack pointer */
	SEL = 1 << 17,  /* reg is a segment register */
};
#define ANY 0xff

struct row {
	u8 prefix, map, op, digit;
	u32 flags;
};

#define ALU(n) \
	{0, 0, n * 8, ANY, RM | BYTE | WM | LK}, {0, 0, n * 8 + 1, ANY, RM | WM | LK}, {0, 0, n * 8 + 2, ANY, RM | BYTE | WR}, \
	{0, 0, n * 8 + 3, ANY, RM | WR}, {0, 0, n * 8 + 4, ANY, I8 | BYTE}, {0, 0, n * 8 + 5, ANY, IZ}, \
	{0, 0, 0x80, n, RM | BYTE | WM | I8 | LK}, {0, 0, 0x81, n, RM | WM | IZ | LK}, {0, 0, 0x83, n, RM | WM | I8 | LK}
#define SHIFTS(n) \
	{0, 0, 0xc0, n, RM | BYTE | WM | I8}, {0, 0, 0xc1, n, RM | WM | I8}, {0, 0, 0xd0, n, RM | BYTE | WM}, \
	{0, 0, 0xd1, n, RM | WM}, {0, 0, 0xd2, n, RM | BYTE | WM}, {0, 0, 0xd3, n, RM | WM}

static const struct row integer[] = {
	ALU(0), ALU(1), ALU(2), ALU(3), ALU(4), ALU(5), ALU(6), ALU(7),
	SHIFTS(0), SHIFTS(1), SHIFTS(2), SHIFTS(3),
	SHIFTS(4), SHIFTS(5), SHIFTS(7),
	{0, 0, 0xfe, 0, RM | BYTE | WM | LK}, {0, 0, 0xff, 0, RM | WM | LK}, {0, 0, 0xfe, 1, RM | BYTE | WM | LK},
	{0, 0, 0xff, 1, RM | WM | LK}, {0, 0, 0x40, ANY, RP | N64}, {0, 0, 0x48, ANY, RP | N64},
	{0, 0, 0xf6, 2, RM | BYTE | WM | LK}, {0, 0, 0xf7, 2, RM | WM | LK}, {0, 0, 0xf6, 3, RM | BYTE | WM | LK},
	{0, 0, 0xf7, 3, RM | WM | LK}, {0, 0, 0xf6, 0, RM | BYTE | I8}, {0, 0, 0xf7, 0, RM | IZ},
	{0, 0, 0x84, ANY, RM | BYTE}, {0, 0, 0x85, ANY, RM}, {0, 0, 0xa8, ANY, BYTE | I8}, {0, 0, 0xa9, ANY, IZ},
	{0, 0, 0xf6, 4, RM | BYTE}, {0, 0, 0xf7, 4, RM}, {0, 0, 0xf6, 5, RM | BYTE},
	{0, 0, 0xf7, 5, RM},
	{0, 1, 0xaf, ANY, RM | WR}, {0, 0, 0x69, ANY, RM | WR | IZ}, {0, 0, 0x6b, ANY, RM | WR | I8},
	{0, 0, 0xf6, 6, RM | BYTE}, {0, 0, 0xf7, 6, RM}, {0, 0, 0xf7, 7, RM},
	{0, 1, 0xa4, ANY, RM | WM | I8}, {0, 1, 0xa5, ANY, RM | WM},
	{0, 1, 0xac, ANY, RM | WM | I8}, {0, 1, 0xad, ANY, RM | WM},
	{0, 1, 0xa3, ANY, RM | REG}, {0, 1, 0xab, ANY, RM | WM}, {0, 1, 0xb3, ANY, RM | REG | WM},
	{0, 1, 0xbb, ANY, RM | REG | WM}, {0, 1, 0xba, 4, RM | I8}, {0, 1, 0xba, 5, RM | WM | I8 | LK},
	{0, 1, 0xba, 6, RM | WM | I8 | LK}, {0, 1, 0xba, 7, RM | WM | I8 | LK},
	{0, 1, 0xbc, ANY, RM | WR}, {0, 1, 0xbd, ANY, RM | WR},
	{0, 0, 0x88, ANY, RM | BYTE | WM}, {0, 0, 0x89, ANY, RM | WM}, {0, 0, 0x8a, ANY, RM | BYTE | WR},
	{0, 0, 0x8b, ANY, RM | WR},
	{0, 0, 0x88, ANY, RM | BYTE | MEM | WM}, {0, 0, 0x89, ANY, RM | MEM | WM},
	{0, 0, 0x8a, ANY, RM | BYTE | MEM | WR},
	{0, 0, 0x8b, ANY, RM | MEM | WR}, {0, 0, 0x89, ANY, RM | MEM | WM}, {0, 0, 0x8b, ANY, RM | MEM | WR},
	{0, 0, 0xc6, 0, RM | BYTE | WM | I8}, {0, 0, 0xc7, 0, RM | WM | IZ}, {0, 0, 0xb0, ANY, RP | BYTE | I8},
	{0, 0, 0xb8, ANY, RP | IV},
	{0, 1, 0xb6, ANY, RM | BYTE | WR}, {0, 1, 0xb7, ANY, RM | WR}, {0, 1, 0xbe, ANY, RM | BYTE | WR},
	{0, 1, 0xbf, ANY, RM | WR},
	{0, 0, 0x63, ANY, RM | WR | O64 | N16}, {0, 0, 0x8d, ANY, RM | MEM | WR}, {0, 0, 0x8d, ANY, RM | MEM | WR},
	{0, 0, 0x86, ANY, RM | BYTE | WR | WM | LK}, {0, 0, 0x87, ANY, RM | WR | WM | LK}, {0, 0, 0x90, ANY, RP},
	{0, 1, 0xc0, ANY, RM | BYTE | WR | WM | LK}, {0, 1, 0xc1, ANY, RM | WR | WM | LK},
	{0, 1, 0xb0, ANY, RM | BYTE | WM | LK},
	{0, 1, 0xb1, ANY, RM | WM | LK}, {0, 1, 0xc7, 1, RM | MEM | LK}, {0, 1, 0xc8, ANY, RP},
	{0, 1, 0x90, ANY, RM | BYTE | WM}, {0, 1, 0x94, ANY, RM | BYTE | WM}, {0, 1, 0x9f, ANY, RM | BYTE | WM},
	{0, 1, 0x42, ANY, RM | WR}, {0, 1, 0x44, ANY, RM | WR}, {0, 1, 0x48, ANY, RM | WR}, {0, 1, 0x4a, ANY, RM | WR},
	{0, 1, 0x4f, ANY, RM | WR},
	{0, 0, 0x98, ANY, 0}, {0, 0, 0x99, ANY, 0}, {0, 0, 0x9e, ANY, FIX}, {0, 0, 0x9f, ANY, FIX},
	{0, 0, 0xf5, ANY, FIX}, {0, 0, 0xf8, ANY, FIX}, {0, 0, 0xf9, ANY, FIX}, {0, 0, 0xd7, ANY, FIX},
	{0, 0, 0x50, ANY, RP | STACK}, {0, 0, 0x58, ANY, RP | STACK}, {0, 0, 0x50, ANY, RP | STACK},
	{0, 0, 0x58, ANY, RP | STACK},
	{0, 0, 0x68, ANY, IZ | STACK}, {0, 0, 0x6a, ANY, I8 | STACK}, {0, 0, 0xff, 6, RM | STACK},
	{0, 0, 0x8f, 0, RM | WM | STACK},
	{0, 0, 0x9c, ANY, STACK}, {0, 0, 0x60, ANY, N64 | STACK},
	{0, 0, 0x27, ANY, N64 | FIX}, {0, 0, 0x2f, ANY, N64 | FIX}, {0, 0, 0x37, ANY, N64 | FIX},
	{0, 0, 0x3f, ANY, N64 | FIX}, {0, 0, 0xd4, ANY, N64 | FIX | I8},
	{0, 0, 0xd5, ANY, N64 | FIX | I8},
	{0, 0, 0x63, ANY, RM | WM | FIX | N64}, {0, 0, 0xd6, ANY, N64 | FIX}, {0, 0, 0x8c, ANY, RM | WM | SEL},
	{0xf3, 1, 0xb8, ANY, RM | WR}, {0, 1, 0xc3, ANY, RM | MEM | N16}, {0xf2, 2, 0xf1, ANY, RM | WR},
	{0xf2, 2, 0xf0, ANY, RM | BYTE | WR | N16},
	{0, 2, 0xf0, ANY, RM | MEM | WR}, {0, 2, 0xf1, ANY, RM | MEM | WM}, {0, 1, 0x1f, 0, RM}, {0, 0, 0x90, ANY, FIX},
	{0, 1, 0xa2, ANY, FIX}, {0, 1, 0x31, ANY, FIX},
};

/* Vector instructions: prefixes they exist with (bit 0 none: MMX for integers; 1: 66; 2: F3; 3: F2). */
static const struct {
	u8 map, op, prefixes;
	u16 flags;
} vector[] = {
	{1, 0x10, 15, 0}, {1, 0x11, 15, 0}, {1, 0x12, 3, MEM}, {1, 0x13, 3, MEM}, {1, 0x14, 3, 0}, {1, 0x15, 3, 0},
	{1, 0x16, 3, MEM},
	{1, 0x17, 3, MEM}, {1, 0x28, 3, 0}, {1, 0x29, 3, 0}, {1, 0x2a, 14, 0}, {1, 0x2b, 3, MEM}, {1, 0x2c, 12, WR},
	{1, 0x2d, 12, WR},
	{1, 0x2e, 3, 0}, {1, 0x2f, 3, 0}, {1, 0x50, 3, REG | WR}, {1, 0x51, 15, 0}, {1, 0x54, 3, 0}, {1, 0x55, 3, 0},
	{1, 0x56, 3, 0},
	{1, 0x57, 3, 0}, {1, 0x58, 15, 0}, {1, 0x59, 15, 0}, {1, 0x5a, 15, 0}, {1, 0x5b, 7, 0}, {1, 0x5c, 15, 0},
	{1, 0x5d, 15, 0},
	{1, 0x5e, 15, 0}, {1, 0x5f, 15, 0}, {1, 0x60, 3, 0}, {1, 0x61, 3, 0}, {1, 0x63, 3, 0}, {1, 0x64, 3, 0},
	{1, 0x66, 3, 0},
	{1, 0x68, 3, 0}, {1, 0x6b, 3, 0}, {1, 0x6c, 2, 0}, {1, 0x6e, 3, 0}, {1, 0x6f, 7, 0}, {1, 0x70, 15, I8},
	{1, 0x74, 3, 0},
	{1, 0x75, 3, 0}, {1, 0x76, 3, 0}, {1, 0x7c, 10, 0}, {1, 0x7e, 3, WM}, {1, 0x7e, 4, 0}, {1, 0x7f, 7, 0},
	{1, 0xc2, 15, I8},
	{1, 0xc4, 3, I8}, {1, 0xc5, 3, I8 | REG | WR}, {1, 0xc6, 3, I8}, {1, 0xd0, 10, 0}, {1, 0xd1, 3, 0},
	{1, 0xd3, 3, 0}, {1, 0xd4, 3, 0},
	{1, 0xd5, 3, 0}, {1, 0xd6, 2, 0}, {1, 0xd7, 3, REG | WR}, {1, 0xdb, 3, 0}, {1, 0xe0, 3, 0}, {1, 0xe4, 3, 0},
	{1, 0xe6, 14, 0},
	{1, 0xe7, 3, MEM}, {1, 0xef, 3, 0}, {1, 0xf2, 3, 0}, {1, 0xf4, 3, 0}, {1, 0xf5, 3, 0}, {1, 0xf6, 3, 0},
	{1, 0xfa, 3, 0}, {1, 0xfe, 3, 0},
	{2, 0x00, 3, 0}, {2, 0x01, 3, 0}, {2, 0x04, 3, 0}, {2, 0x08, 3, 0}, {2, 0x1c, 3, 0}, {2, 0x17, 2, 0},
	{2, 0x20, 2, 0}, {2, 0x30, 2, 0},
	{2, 0x38, 2, 0}, {2, 0x40, 2, 0}, {3, 0x0f, 3, I8}, {3, 0x0b, 2, I8}, {3, 0x16, 2, I8 | WM}, {3, 0x22, 2, I8},
	{1, 0x77, 1, FIX},
};

enum { PLAIN_PREFIX, WITH_66, WITH_F3, WITH_F2 };
static const u8 prefix_of[] = {0, 0x66, 0xf3, 0xf2};

void code_byte(struct code *c, u8 v)
{
	*c->at++ = v;
}

void code_value(struct code *c, u64 v, unsigned bytes)
{
	while (bytes--) {
		code_byte(c, v);
		v >>= 8;
	}
}

u32 code_offset(const struct code *c, const u8 *at)
{
	u32 off = at - c->p->image - AT_CODE;

	return c->mode->bits == 16 ? off : off + AT_CODE;
}

u64 code_linear_at(const struct code *c, u32 offset, u32 segment)
{
	return c->p->high + segment + offset;
}

/* ---- operands ---- */

static const u8 free_registers[] = {RAX, RCX, RDX, R8, R9, R10, R11, RAX, RCX, RDX, R12, R13};
static const u8 pointers[] = {RBX, RSI, RDI, RBP, R14, R15};

static unsigned destination(struct code *c)
{
	bool wide = c->mode->bits == 64;

	if (chance_percent(c->r, 4))
		return pointers[chance_below(c->r, wide ? 6 : 4)];
	return free_registers[chance_below(c->r, wide ? 12 : 3)];
}

static unsigned source(struct code *c)
{
	return chance_below(c->r, c->mode->bits == 64 ? 16 : 8);
}

static u64 immediate(struct code *c)
{
	static const u64 edges[] = {
		0, 1, 2, 0x7f, 0x80, 0xff, 0x7fff, 0x8000, 0xffff, 0x7fffffff, 0x80000000, 0xffffffff, ~0ull, 31, 63, 64,
	};

	switch (chance_below(c->r, 3)) {
	case 0: return edges[chance_below(c->r, ARRAY_LEN(edges))];
	case 1: return (i64)chance_below(c->r, 64) - 16;
	default: return chance_next(c->r);
	}
}

struct encoding {
	u8 rex, modrm, sib;
	bool has_sib, relative;
	u8 disp_bytes, imm_bytes;
	i64 disp;      /* relative: a linear address */
	u64 imm;
	bool address;  /* 67 */
};

static i32 small_disp(struct code *c, bool aligned)
{
	i32 d = chance_percent(c->r, 90) ? (i32)chance_below(c->r, 160) - 64 : (i32)chance_below(c->r, 9000) - 4500;

	return aligned ? d & ~15 : d;
}

static void memory16(struct code *c, struct encoding *e, bool aligned)
{
	unsigned rm = chance_percent(c->r, 70) ? 4 + chance_below(c->r, 4) : chance_below(c->r, 8);

	e->disp = small_disp(c, aligned);
	e->disp_bytes = e->disp == (i8)e->disp ? chance_below(c->r, 3) : 2;
	if (rm == 6 && !e->disp_bytes)
		e->disp_bytes = 1;
	e->modrm |= e->disp_bytes << 6 | rm;
}

static void memory32(struct code *c, struct encoding *e, bool aligned)
{
	bool wide = c->mode->bits == 64;
	unsigned base = pointers[chance_below(c->r, wide ? 6 : 4)];

	if (wide && chance_percent(c->r, 6)) {
		e->relative = true;
		e->modrm |= 5;
		e->disp_bytes = 4;
		e->disp = c->p->high + AT_DATA + chance_below(c->r, SEGMENT - 64);
		return;
	}
	e->disp = small_disp(c, aligned);
	e->disp_bytes = e->disp == (i8)e->disp ? (u8[]){0, 1, 1, 4}[chance_below(c->r, 4)] : 4;
	if (!e->disp_bytes && (base & 7) == RBP)
		e->disp_bytes = 1;
	unsigned mod = e->disp_bytes == 4 ? 2 : e->disp_bytes;
	if ((base & 7) == RSP || chance_percent(c->r, 20)) {
		unsigned index = chance_percent(c->r, 60) ? RSP : wide ? R9 : RDX; /* RSP: none */
		e->has_sib = true;
		e->sib = (chance_below(c->r, 4) << 6) | (index & 7) << 3 | (base & 7);
		e->rex |= (index & 8 ? 2 : 0) | (base & 8 ? 1 : 0);
		e->modrm |= mod << 6 | 4;
	} else {
		e->rex |= base & 8 ? 1 : 0;
		e->modrm |= mod << 6 | (base & 7);
	}
}

static void memory(struct code *c, struct encoding *e, bool aligned)
{
	/* the other address size only where it leads to the same places */
	e->address = c->mode->bits != 32 && chance_percent(c->r, 8);
	if (c->mode->bits == 16 && !e->address)
		memory16(c, e, aligned);
	else
		memory32(c, e, aligned);
	if (e->relative)
		e->address = false;
}

static void finish(struct code *c, const struct row *row, struct encoding *e, bool small, bool lock)
{
	if (e->address)
		code_byte(c, 0x67);
	if (c->mode->bits != 16 && (row->flags & RM) && e->modrm < 0xc0 && chance_percent(c->r, 3))
		code_byte(c, (u8[]){0x26, 0x36, 0x64, 0x65}[chance_below(c->r, c->mode->bits == 64 ? 4 : 3)]);
	else if (c->mode->bits == 16 && (row->flags & RM) && e->modrm < 0xc0 && chance_percent(c->r, 6))
		code_byte(c, (u8[]){0x26, 0x36, 0x3e}[chance_below(c->r, 3)]);
	if (small)
		code_byte(c, 0x66);
	if (row->prefix)
		code_byte(c, row->prefix);
	if (lock)
		code_byte(c, 0xf0);
	if (e->rex)
		code_byte(c, 0x40 | e->rex);
	if (row->map)
		code_byte(c, 0x0f);
	if (row->map >= 2)
		code_byte(c, row->map == 2 ? 0x38 : 0x3a);
	code_byte(c, row->op);
	if (row->flags & RM)
		code_byte(c, e->modrm);
	if (e->has_sib)
		code_byte(c, e->sib);
	if (e->relative)
		e->disp -= code_linear_at(c, c->at + 4 + e->imm_bytes - c->p->image, 0);
	code_value(c, e->disp, e->disp_bytes);
	code_value(c, e->imm, e->imm_bytes);
}

/* ---- instructions ---- */

/* Both in one: registers below the operand size of the mode; some of them with a REX prefix. */
static void emit_row(struct code *c, const struct row *row)
{
	struct encoding e = {0};
	u32 f = row->flags;
	unsigned bits = c->mode->bits, vec = f & VEC;
	struct row actual = *row;
	/* operand size: 0 the mode's own, 1 the other (66), 2 REX.W */
	unsigned size = f & (FIX | BYTE | VEC) ? 0 : chance_below(c->r, 10);

	size = size < 5 ? 0 : size < 7 ? 1 : bits == 64 ? 2 : 0;
	if ((f & N16) && size == (bits == 16 ? 0 : 1))
		size = bits == 16 ? 1 : 0;
	if ((row->prefix == 0xf2 || row->map == 2) && size == 1 && bits != 16)
		size = 0;
	unsigned width = size == 2 ? 8 : (bits == 16) == (size == 0) ? 2 : 4;
	if (size == 2 || (vec && bits == 64 && chance_percent(c->r, 15)))
		e.rex |= 8;
	if (f & RP) {
		unsigned r = destination(c);
		if (f & BYTE)
			r = r < 4 ? r | (chance_percent(c->r, 30) ? 4 : 0) : r;
		if ((f & BYTE) && r >= 4 && r < 8 && (e.rex || r == 7))
			r = 0;
		actual.op |= r & 7;
		e.rex |= r & 8 ? 1 : 0;
	}
	if (f & RM) {
		unsigned reg = row->digit != ANY ? row->digit : f & SEL ? chance_below(c->r, 6) : f & WR && !(f & BYTE && !row->map) ?
		               destination(c) : f & WR ? free_registers[chance_below(c->r, bits == 64 ? 12 : 3)] : source(c);
		if (vec && row->digit == ANY && !(f & WR))
			reg = chance_below(c->r, bits == 64 && row->prefix ? 16 : 8);
		e.rex |= reg & 8 ? 4 : 0;
		e.modrm = (reg & 7) << 3;
		bool in_memory = f & MEM || (!(f & REG) && chance_percent(c->r, 45));
		if (in_memory) {
			memory(c, &e, vec && chance_percent(c->r, 95));
		} else {
			unsigned rm = f & WM ? destination(c) : source(c);
			if (vec && !(f & WM))
				rm = source(c);
			if ((f & BYTE) && (f & WM) && rm >= 4 && rm < 8)
				rm &= 3;
			e.rex |= rm & 8 ? 1 : 0;
			e.modrm |= 0xc0 | (rm & 7);
		}
	}
	if (f & I8)
		e.imm_bytes = 1;
	if (f & IZ)
		e.imm_bytes = MIN(width, 4u);
	if (f & IV)
		e.imm_bytes = width;
	e.imm = immediate(c);
	if (vec && row->op == 0xc2)
		e.imm &= 7;
	bool lock = (f & LK) && e.modrm < 0xc0 && chance_percent(c->r, row->digit == 7 || row->op == 0x38 || row->op == 0x39 ? 1 : 12);
	finish(c, &actual, &e, size == 1, lock);
	if ((f & I8) && (f & RP))
		c->patch[c->patches++ % ARRAY_LEN(c->patch)] = c->at - 1 - c->p->image;
	if (f & IV)
		c->patch[c->patches++ % ARRAY_LEN(c->patch)] = c->at - e.imm_bytes - c->p->image;
}

static void random_vector(struct code *c)
{
	unsigned i = chance_below(c->r, ARRAY_LEN(vector)), prefix = chance_below(c->r, 4);

	while (!(vector[i].prefixes >> prefix & 1))
		prefix = (prefix + 1) & 3;
	u32 f = vector[i].flags;
	struct row row = {prefix_of[prefix], vector[i].map, vector[i].op, ANY, RM | VEC | (f & (MEM | REG | I8 | WR | WM))};
	if (f & FIX) /* EMMS */
		row.flags = FIX;
	emit_row(c, &row);
}

static bool x87_excluded(u8 op, u8 modrm)
{
	static const u8 transcendental[] = {0xf0, 0xf1, 0xf2, 0xf3, 0xf9, 0xfb, 0xfe, 0xff};

	for (unsigned i = 0; op == 0xd9 && i < ARRAY_LEN(transcendental); i++)
		if (modrm == transcendental[i])
			return true;
	return false;
}

static void random_x87(struct code *c)
{
	struct row row = {0, 0, 0xd8 + chance_below(c->r, 8), 0, RM | FIX};
	struct encoding e = {0};

	e.modrm = chance_below(c->r, 8) << 3;
	if (chance_percent(c->r, 55)) {
		memory(c, &e, chance_percent(c->r, 50));
	} else {
		do
			e.modrm = 0xc0 | chance_next(c->r);
		while (x87_excluded(row.op, e.modrm));
	}
	finish(c, &row, &e, false, false);
}

void code_random(struct code *c)
{
	unsigned kind = chance_below(c->r, 100);

	if (kind < 12) {
		random_vector(c);
		return;
	}
	if (kind < 18) {
		random_x87(c);
		return;
	}
	const struct row *row;
	do
		row = &integer[chance_below(c->r, ARRAY_LEN(integer))];
	while ((row->flags & N64 && c->mode->bits == 64) || (row->flags & O64 && c->mode->bits != 64) ||
	       (row->flags & STACK && c->flat_stack));
	emit_row(c, row);
}

/* ---- what programs are built with ---- */

void code_load(struct code *c, unsigned reg, u64 value)
{
	if (c->mode->bits == 64)
		code_byte(c, 0x48 | (reg & 8 ? 1 : 0));
	if (c->mode->bits == 16)
		code_byte(c, 0x66);
	code_byte(c, 0xb8 | (reg & 7));
	if (reg != RSP)
		c->patch[c->patches++ % ARRAY_LEN(c->patch)] = c->at - c->p->image;
	code_value(c, value, c->mode->bits == 64 ? 8 : 4);
}

void code_pointer(struct code *c)
{
	unsigned reg = pointers[chance_below(c->r, c->mode->bits == 64 ? 6 : 4)], kind = chance_below(c->r, 40);
	u32 page = chance_below(c->r, 16), off;

	if (kind < 36) /* a page that any access may go to, and mostly the next one too */
		while (c->mode->paging && page >= PAGE_ABSENT && page <= PAGE_SUPERVISOR)
			page = chance_below(c->r, 16);
	off = page * PAGE_SIZE + (kind >= 32 && kind < 37 ? PAGE_SIZE - chance_below(c->r, 24) : chance_below(c->r, PAGE_SIZE));
	if (chance_percent(c->r, 60))
		off &= ~15;
	off &= SEGMENT - 1;
	if (c->mode->bits == 64 && kind == 39)
		code_load(c, reg, 0x7ffffffffff8 + chance_below(c->r, 16));
	else if (c->mode->bits == 16)
		code_load(c, reg, off);
	else
		code_load(c, reg, code_linear_at(c, off, AT_DATA));
}

void code_absolute(struct code *c, unsigned reg, u32 data, unsigned behind)
{
	code_byte(c, reg << 3 | (c->mode->bits == 16 ? 6 : 5));
	if (c->mode->bits == 16)
		code_value(c, data, 2);
	else if (c->mode->bits == 32)
		code_value(c, c->p->high + AT_DATA + data, 4);
	else
		code_value(c, AT_DATA + data - (c->at + 4 + behind - c->p->image), 4);
}

void code_patch(struct code *c, u32 offset, u8 value, bool alias)
{
	u32 linear = (alias ? AT_ALIAS : AT_CODE) + offset;

	if (c->mode->bits == 16)
		code_byte(c, 0x65);
	code_byte(c, 0xc6);
	code_byte(c, c->mode->bits == 16 ? 6 : 5);
	if (c->mode->bits == 16)
		code_value(c, offset, 2);
	else if (c->mode->bits == 32)
		code_value(c, c->p->high + linear, 4);
	else
		code_value(c, linear - (c->at + 5 - c->p->image), 4);
	code_byte(c, value);
}
