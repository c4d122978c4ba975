/* SPDX-License-Identifier: MIT */
/* A random program: its tables in memory, and units of code with the things that make translators stumble: branches in all
 * directions, loops, calls, indirect jumps through a table, string instructions, changes of segments and of page tables, stores
 * into code that has run or is about to. A program never ends by itself unless its counter of units runs out; a fault goes on at
 * the next unit (handlers.S). */
#include "tests/diff/diff.h"

#include "cpu/flags.h"

#define TABLE 0xf000u      /* in the code segment: offsets of units and of functions */
#define TABLE_SIZE 64u
#define COUNTER 0x80u      /* in the data: units until the end, then the counters of loops */
#define CONSTANTS 0x100u   /* MXCSR and x87 control words */
#define FX_AREA 0x200u
/* Where segments with a base begin: to be at offsets that wrap at 4 GiB, below a limit, or above one in data that expand down. */
#define BASE_WRAPS 0xfffa3010u
#define BASE_LIMITED 0x5008u
#define BASE_DOWN 0x3000u
#define EPILOGUE 20u       /* bytes of the longest one */

/* ---- memory ---- */

static u64 descriptor(u32 base, u32 limit, u32 attr)
{
	if (limit > 0xfffff) {
		limit >>= 12;
		attr |= SEG_G;
	}
	return (limit & 0xffff) | (u64)(base & 0xffffff) << 16 | (u64)(attr & 0xff) << 40 | (u64)(limit >> 16 & 0xf) << 48 |
	       (u64)(attr >> 12 & 0xf) << 52 | (u64)(base >> 24) << 56;
}

static void descriptors(struct program *p)
{
	const u32 code = SEG_P | SEG_S | SEG_CODE | SEG_RW | SEG_ACCESSED, data = SEG_P | SEG_S | SEG_RW | SEG_ACCESSED, user = SEG_DPL;
	const u32 tss = p->mode->paging == PAGING_LONG ? 103 : 0x2100;
	const u32 base = -(u32)p->high, down = base == BASE_DOWN ? SEG_DC : 0;
	const u32 limit = base == BASE_LIMITED ? RAM_SIZE - 1 - base : ~0u, low = down ? SEGMENT - BASE_DOWN - 1 : limit;
	const struct {
		u16 selector;
		u32 base, limit, attr;
	} table[] = {
		{SEL_CODE64, 0, ~0u, code | SEG_L}, {SEL_DATA, 0, ~0u, data | SEG_DB}, {SEL_CODE32, 0, ~0u, code | SEG_DB},
		{SEL_CODE16, AT_CODE, 0xffff, code}, {SEL_DATA16, AT_DATA, 0xffff, data}, {SEL_STACK16, AT_STACK, 0xffff, data},
		{SEL_USER32, 0, ~0u, code | SEG_DB | user}, {SEL_USER_DATA, 0, ~0u, data | SEG_DB | user},
		{SEL_USER64, 0, ~0u, code | SEG_L | user}, {SEL_USER16, AT_CODE, 0xffff, code | user},
		{SEL_USER_DATA16, AT_DATA, 0xffff, data | user}, {SEL_USER_STACK16, AT_STACK, 0xffff, data | user},
		{SEL_TSS, AT_TSS, tss, SEG_P | 11}, {SEL_CODE_ALIAS, AT_CODE, 0xffff, data | user},
		{SEL_SMALL, AT_DATA, 0x57ff, data | SEG_DB | user}, {SEL_READ_ONLY, AT_DATA, 0xffff, (data & ~SEG_RW) | user},
		{SEL_ABSENT, AT_DATA, 0xffff, (data & ~SEG_P) | user}, {SEL_DOWN, AT_DATA, 0x3fff, data | SEG_DC | SEG_DB | user},
		{SEL_BASED_CODE, base, limit, code | SEG_DB}, {SEL_BASED_DATA, base, low, data | down | SEG_DB},
		{SEL_BASED_USER, base, limit, code | SEG_DB | user}, {SEL_BASED_USER_DATA, base, low, data | down | SEG_DB | user},
	};

	for (unsigned i = 0; i < ARRAY_LEN(table); i++)
		store64(p->image + AT_GDT + (table[i].selector & ~7), descriptor(table[i].base, table[i].limit, table[i].attr));
}

static bool open_to_user(unsigned v)
{
	return v == 3 || v == 4 || v >= 0x3f;
}

static void gates(struct program *p)
{
	bool wide = p->mode->paging == PAGING_LONG;

	for (unsigned v = 0; v < 80; v++) {
		u64 dpl = open_to_user(v) ? 3 : 0;
		u64 to = AT_HANDLERS + (wide ? handler64 : p->mode->real ? handler16 : handler32) - handlers_begin + v * 16;
		if (p->mode->real) {
			store32(p->image + v * 4, to);
			continue;
		}
		u64 gate = (to & 0xffff) | (u64)(wide ? SEL_CODE64 : SEL_CODE32) << 16 | (0x8e00 | dpl << 13) << 32;
		if (wide && v == 8)
			gate |= 1ull << 32; /* a stack of its own */
		store64(p->image + AT_IDT + v * (wide ? 16 : 8), gate);
	}
	memcpy(p->image + AT_HANDLERS, handlers_begin, handlers_end - handlers_begin);
	if (wide) {
		store64(p->image + AT_TSS + 4, AT_KSTACK);
		store64(p->image + AT_TSS + 0x24, AT_IST);
		store16(p->image + AT_TSS + 0x66, 104);
	} else {
		store32(p->image + AT_TSS + 4, AT_KSTACK);
		store16(p->image + AT_TSS + 8, SEL_DATA);
		store16(p->image + AT_TSS + 0x66, 0x2000); /* no port for the user */
	}
}

enum { P = 1, W = 2, U = 4, A = 0x20, D = 0x40 };

/* What the page at a linear address of the low MiB is. */
static u64 page_entry(const struct program *p, u32 linear, struct chance *r)
{
	bool user = p->mode->cpl == 3;
	u64 bits = P | W | (chance_percent(r, 50) ? A | D : 0), at = linear;

	if (linear >= AT_CODE)
		bits |= user ? U : 0;
	if (linear >= AT_DATA && linear < AT_DATA + SEGMENT) {
		unsigned page = (linear - AT_DATA) >> PAGE_SHIFT;
		if (page == PAGE_ABSENT)
			return 0;
		if (page == PAGE_READ_ONLY)
			bits &= ~W;
		if (page == PAGE_SUPERVISOR)
			bits &= ~U;
		if (page == PAGE_ALIAS)
			at = AT_DATA;
	}
	if (linear >= AT_ALIAS && linear < AT_ALIAS + SEGMENT)
		at = linear - AT_ALIAS + AT_CODE;
	else if (linear >= AT_STACK + SEGMENT)
		return 0;
	if (p->mode->paging >= PAGING_PAE && !(linear >= AT_CODE && linear < AT_CODE + SEGMENT) &&
	    !(linear >= AT_ALIAS && linear < AT_ALIAS + SEGMENT) && linear >= AT_DATA)
		bits |= BIT(63); /* no code there */
	return at | bits;
}

static void page_tables(struct program *p, struct chance *r)
{
	if (p->mode->paging == PAGING_NONE)
		return;
	store64(p->image + AT_PML4, AT_PDPT | P | W | U);
	store64(p->image + AT_PML4 + (p->high >> 39 & 511) * 8, AT_PDPT | P | W | U);
	store64(p->image + AT_PDPT, AT_PD | P | W | U);
	store64(p->image + AT_PD, AT_PT | P | W | U);
	store64(p->image + AT_PDPT_PAE, AT_PD | P);
	store32(p->image + AT_PD32, AT_PT32 | P | W | U);
	for (u32 at = 0; at < RAM_SIZE; at += PAGE_SIZE) {
		u64 e = page_entry(p, at, r);
		store64(p->image + AT_PT + (at >> PAGE_SHIFT) * 8, e);
		store32(p->image + AT_PT32 + (at >> PAGE_SHIFT) * 4, e);
	}
}

static void data(struct program *p, struct chance *r, u32 units)
{
	static const u32 mxcsr[] = {0x1f80, 0x1f80, 0x3f80, 0x5f80, 0x7f80, 0x9fc0, 0x1f80, 0x1e80};
	static const u16 fcw[] = {0x37f, 0x37f, 0x27f, 0x07f, 0xf7f, 0x37f, 0x33f, 0x37b};

	for (u32 i = 0; i < SEGMENT; i += 8) {
		u64 v = chance_next(r);
		/* numbers of moderate size too, so that arithmetic on them is not all overflow */
		if (i % 64 == 8)
			v = 0x3ff0000000000000 + (v >> 12);
		else if (i % 64 == 24)
			v = 0x3f8000003f800000 + (v & 0x000fffff000fffff);
		store64(p->image + AT_DATA + i, v);
		store64(p->image + AT_STACK + i, chance_next(r));
	}
	for (unsigned i = 0; i < 8; i++) {
		store32(p->image + AT_DATA + CONSTANTS + i * 4, mxcsr[i]);
		store16(p->image + AT_DATA + CONSTANTS + 64 + i * 2, fcw[i]);
	}
	store32(p->image + AT_DATA + COUNTER, units);
}

/* ---- units ---- */

static unsigned entry_size(const struct code *c)
{
	return c->mode->bits / 8;
}

static u32 unit_offset(const struct code *c, unsigned unit)
{
	return c->p->start + unit * UNIT;
}

/* JMP or CALL to an offset of the code segment. */
static void transfer(struct code *c, bool call, u32 to)
{
	unsigned bytes = c->mode->bits == 16 ? 2 : 4;

	code_byte(c, call ? 0xe8 : 0xe9);
	code_value(c, to - (code_offset(c, c->at) + bytes), bytes);
}

/* An operand in the code segment, with the ModRM byte's reg field. */
static void in_code(struct code *c, unsigned reg, u32 place)
{
	code_byte(c, reg << 3 | (c->mode->bits == 16 ? 6 : 5));
	if (c->mode->bits == 16)
		code_value(c, place, 2);
	else if (c->mode->bits == 32)
		code_value(c, c->p->high + AT_CODE + place, 4);
	else
		code_value(c, AT_CODE + place - (c->at + 4 - c->p->image), 4);
}

/* JMP or CALL through the table, directly or by a register. */
static void through_table(struct code *c, bool call)
{
	u32 place = TABLE + (chance_below(c->r, TABLE_SIZE) + (call ? TABLE_SIZE : 0)) * entry_size(c);
	unsigned digit = call ? 2 : 4;
	bool by_register = chance_percent(c->r, 50);

	if (c->mode->bits == 16)
		code_byte(c, 0x2e);
	if (by_register && c->mode->bits == 64)
		code_byte(c, 0x48);
	code_byte(c, by_register ? 0x8b : 0xff);
	in_code(c, by_register ? RDX : digit, place);
	if (by_register)
		code_byte(c, 0xff), code_byte(c, 0xc0 | digit << 3 | RDX);
}

static void item_branch(struct code *c)
{
	unsigned kind = chance_below(c->r, 20);
	u8 *displacement;

	if (kind < 2 && c->mode->bits == 64) { /* JRCXZ */
		code_byte(c, 0xe3);
		displacement = c->at++;
	} else if (kind < 4) {
		code_byte(c, 0xeb);
		displacement = c->at++;
	} else {
		code_byte(c, 0x70 | chance_below(c->r, 16));
		displacement = c->at++;
	}
	for (unsigned n = chance_below(c->r, 4); n--;)
		code_random(c);
	*displacement = c->at - displacement - 1;
}

/* A loop whose counter is in memory, where the body is not likely to find it. */
static void item_loop(struct code *c)
{
	u32 place = COUNTER + 8 + chance_below(c->r, 8) * 4;
	unsigned count = chance_percent(c->r, 10) ? chance_below(c->r, 400) + 1 : chance_below(c->r, 12) + 1;
	bool small = c->mode->bits == 16;

	if (chance_percent(c->r, 20)) { /* LOOP: the body has to leave CX alone */
		code_load(c, RCX, count);
		u8 *top = c->at;
		code_byte(c, chance_below(c->r, 8) * 8 + 3);
		code_absolute(c, chance_percent(c->r, 50) ? RAX : RDX, chance_below(c->r, 0x3000), 0);
		code_byte(c, 0xe2);
		code_byte(c, top - c->at - 1);
		return;
	}
	code_byte(c, 0xc7);
	code_absolute(c, 0, place, small ? 2 : 4);
	code_value(c, count, small ? 2 : 4);
	u8 *top = c->at;
	bool flat = c->flat_stack;
	c->flat_stack = true;
	for (unsigned n = 1 + chance_below(c->r, 4); n--;)
		if (chance_percent(c->r, 15))
			item_branch(c);
		else
			code_random(c);
	c->flat_stack = flat;
	code_byte(c, 0xff);
	code_absolute(c, 1, place, 0);
	if (c->at + 2 - top < 120) {
		code_byte(c, 0x75);
		code_byte(c, top - c->at - 1);
	}
}

static void item_string(struct code *c)
{
	static const u8 ops[] = {0xa4, 0xa5, 0xa6, 0xa7, 0xaa, 0xab, 0xac, 0xad, 0xae, 0xaf};
	u8 op = ops[chance_below(c->r, ARRAY_LEN(ops))];

	if (chance_percent(c->r, 15))
		code_byte(c, 0xfd);
	code_pointer(c);
	if (chance_percent(c->r, 75)) {
		code_load(c, RCX, chance_percent(c->r, 80) ? chance_below(c->r, 40) : chance_below(c->r, 3000));
		if (chance_percent(c->r, 10))
			code_byte(c, c->mode->bits == 16 ? 0x67 : 0x26);
		code_byte(c, chance_percent(c->r, 50) ? 0xf3 : 0xf2);
	}
	if (c->mode->bits == 64 && chance_percent(c->r, 40))
		code_byte(c, 0x48);
	else if (chance_percent(c->r, 20) && !(c->at[-1] == 0xf3 || c->at[-1] == 0xf2))
		code_byte(c, 0x66);
	code_byte(c, op);
	if (chance_percent(c->r, 80))
		code_byte(c, 0xfc);
}

/* A store into code, and the code soon after. */
static void item_patch(struct code *c)
{
	bool alias = c->mode->paging && c->mode->bits != 16 && chance_percent(c->r, 30);
	unsigned kind = chance_below(c->r, 5), n = chance_below(c->r, 3), reg = chance_below(c->r, 3);
	u8 value = chance_next(c->r);

	if (kind < 2 && c->patches) { /* what was emitted before; it runs when the unit is come to again */
		u32 place = c->patch[chance_below(c->r, MIN(c->patches, (unsigned)ARRAY_LEN(c->patch)))];
		code_patch(c, place - AT_CODE, value, alias);
		return;
	}
	if (kind == 3 && c->entry_patches) { /* where jumps lead to */
		code_patch(c, c->entry_patch[chance_below(c->r, c->entry_patches)] - AT_CODE, value, alias);
		return;
	}
	u8 *store = c->at, *target;
	code_patch(c, 0, 0, alias);
	while (n--)
		code_random(c);
	if (kind == 2) { /* an instruction becomes another one: INC and DEC of a register */
		code_byte(c, 0xff);
		code_byte(c, 0xc0 | reg);
		target = c->at - 1;
		value = (value & 1 ? 0xc0 : 0xc8) | reg;
	} else {
		code_load(c, reg, chance_next(c->r));
		target = c->at - 1 - (value & 1);
	}
	u8 *behind = c->at;
	c->at = store;
	code_patch(c, target - c->p->image - AT_CODE, value, alias);
	c->at = behind;
}

static u32 table_get(const struct code *c, unsigned i)
{
	const u8 *at = c->p->image + AT_CODE + TABLE + i * entry_size(c);

	return c->mode->bits == 16 ? load16(at) : load32(at);
}

static void table_put(struct code *c, unsigned i, u64 v)
{
	memcpy(c->p->image + AT_CODE + TABLE + i * entry_size(c), &v, entry_size(c));
}

static void item_call(struct code *c)
{
	if (chance_percent(c->r, 50))
		through_table(c, true);
	else
		transfer(c, true, table_get(c, TABLE_SIZE + chance_below(c->r, TABLE_SIZE)) - (u32)c->p->high);
}

/* A function within the unit, with a jump around it. */
static void item_function(struct code *c, u32 *entry)
{
	code_byte(c, 0xeb);
	u8 *displacement = c->at++;
	*entry = code_offset(c, c->at);
	c->flat_stack = true;
	for (unsigned n = 1 + chance_below(c->r, 3); n--;)
		code_random(c);
	c->flat_stack = false;
	code_byte(c, 0xc3);
	*displacement = c->at - displacement - 1;
}

static void item_segment(struct code *c)
{
	static const u16 selectors[] = {SEL_SMALL, SEL_READ_ONLY, SEL_ABSENT, SEL_DOWN, 0, 0x123, SEL_USER_DATA, SEL_USER_DATA16};
	unsigned seg = (u8[]){SEG_ES, SEG_ES, SEG_DS, SEG_FS}[chance_below(c->r, 4)];
	u16 value = selectors[chance_below(c->r, ARRAY_LEN(selectors))];

	if (c->mode->real || c->mode->v86)
		value = (AT_DATA >> 4) + chance_below(c->r, 0x400);
	else if (chance_percent(c->r, 40))
		value = c->mode->ds;
	if (c->mode->bits == 64 && seg == SEG_FS)
		seg = SEG_ES; /* keeps its base */
	if (c->mode->bits == 16) {
		code_byte(c, 0xb8);
		code_value(c, value, 2);
	} else {
		code_byte(c, 0xb8);
		code_value(c, value, 4);
	}
	code_byte(c, 0x8e);
	code_byte(c, 0xc0 | seg << 3);
}

static void item_fpu(struct code *c)
{
	switch (chance_below(c->r, 7)) {
	case 0:
		code_byte(c, 0xdb), code_byte(c, 0xe3); /* FNINIT */
		break;
	case 1:
		code_byte(c, 0xd9);
		code_absolute(c, 5, CONSTANTS + 64 + chance_below(c->r, 8) * 2, 0);
		break;
	case 2: case 3:
		code_byte(c, 0x0f), code_byte(c, 0xae);
		code_absolute(c, 2, CONSTANTS + chance_below(c->r, 8) * 4, 0);
		break;
	case 4: case 5: /* FXSAVE, FXRSTOR */
		code_byte(c, 0x0f), code_byte(c, 0xae);
		code_absolute(c, chance_below(c->r, 2), FX_AREA, 0);
		break;
	default:
		for (unsigned n = 3; n--;) /* FLD double */
			code_byte(c, 0xdd), code_absolute(c, 0, 8 + chance_below(c->r, 256) * 64, 0);
	}
}

static void item_software_interrupt(struct code *c)
{
	switch (chance_below(c->r, 6)) {
	case 0: code_byte(c, 0xcc); break;
	case 1: code_byte(c, c->mode->bits == 64 ? 0xcc : 0xce); break;
	case 2: code_byte(c, 0x0f), code_byte(c, 0x0b); break;
	case 3: code_byte(c, 0xf1); break;
	default: code_byte(c, 0xcd), code_byte(c, 0x40 + chance_below(c->r, 8)); break;
	}
}

static void item_rare(struct code *c)
{
	if (chance_percent(c->r, 40))
		item_software_interrupt(c);
	else
		item_segment(c);
}

/* PUSH of an immediate, as wide as the stack's elements are. */
static void push(struct code *c, u32 v)
{
	code_byte(c, 0x68);
	code_value(c, v, c->mode->bits == 16 ? 2 : 4);
}

static void item_far(struct code *c)
{
	unsigned bytes = c->mode->bits == 16 ? 2 : 4;

	if (c->mode->bits == 64) {
		if (chance_percent(c->r, 60)) {
			code_byte(c, 0x0f), code_byte(c, 0x05); /* SYSCALL */
			return;
		}
		static const u8 head[] = {0x48, 0x89, 0xe0, 0x68}; /* MOV RAX, RSP; PUSH SS */
		for (unsigned i = 0; i < sizeof head; i++)
			code_byte(c, head[i]);
		code_value(c, c->mode->ss, 4);
		code_byte(c, 0x50), code_byte(c, 0x9c); /* PUSH RAX; PUSHF */
		push(c, c->mode->cs);
		static const u8 tail[] = {0x48, 0x8d, 0x05, 3, 0, 0, 0, 0x50, 0x48, 0xcf}; /* LEA RAX, [behind]; PUSH RAX; IRETQ */
		for (unsigned i = 0; i < sizeof tail; i++)
			code_byte(c, tail[i]);
		return;
	}
	switch (chance_below(c->r, 3)) {
	case 0: /* JMP FAR */
		code_byte(c, 0xea);
		code_value(c, c->p->high + code_offset(c, c->at) + bytes + 2, bytes);
		code_value(c, c->mode->cs, 2);
		break;
	case 1: /* RETF */
		code_byte(c, 0x0e);
		push(c, c->p->high + code_offset(c, c->at) + 1 + bytes + 1);
		code_byte(c, 0xcb);
		break;
	default:
		code_byte(c, 0x9c), code_byte(c, 0x0e);
		push(c, c->p->high + code_offset(c, c->at) + 1 + bytes + 1);
		code_byte(c, 0xcf);
	}
}

/* Flags by POPF: direction, alignment check, interrupts on. */
static void item_flags(struct code *c)
{
	push(c, FLAG_IF | (chance_next(c->r) & (FLAGS_ARITH | (chance_percent(c->r, 20) ? FLAG_DF | FLAG_AC : 0))) |
	            (chance_percent(c->r, 3) ? FLAG_TF : 0) | c->p->iopl << 12);
	code_byte(c, 0x9d);
}

static u32 entry_place(const struct code *c, u32 linear)
{
	return c->mode->paging >= PAGING_PAE ? AT_PT + (linear >> PAGE_SHIFT) * 8 : AT_PT32 + (linear >> PAGE_SHIFT) * 4;
}

/* Page tables change: a page of the data comes, goes, or becomes another; then INVLPG or a new CR3, or nothing for a while. */
static void item_paging(struct code *c)
{
	u32 page = 2 + chance_below(c->r, 14), linear = AT_DATA + page * PAGE_SIZE, place = entry_place(c, linear);
	u8 bit = (u8[]){1, 2, 0x20, 0x40}[chance_below(c->r, 4)];

	if (c->mode->bits == 64) {
		code_byte(c, 0x80), code_byte(c, 0x35); /* XOR BYTE [place], bit */
		code_value(c, place - (c->at + 5 - c->p->image), 4);
	} else {
		code_byte(c, 0x80), code_byte(c, 0x35);
		code_value(c, c->p->high + place, 4);
	}
	code_byte(c, bit);
	if (chance_percent(c->r, 60)) {
		code_byte(c, 0x0f), code_byte(c, 0x01);
		code_absolute(c, 7, page * PAGE_SIZE, 0);
	} else {
		code_byte(c, 0x0f), code_byte(c, 0x20), code_byte(c, 0xd8); /* MOV EAX, CR3 and back */
		code_byte(c, 0x0f), code_byte(c, 0x22), code_byte(c, 0xd8);
	}
}

static void item_system(struct code *c)
{
	if (c->mode->cpl == 0 && c->mode->bits != 16 && c->mode->paging && chance_percent(c->r, 50)) {
		item_paging(c);
		return;
	}
	switch (chance_below(c->r, 9)) {
	case 0: code_byte(c, 0xfa); code_random(c); code_byte(c, 0xfb); break; /* CLI ... STI */
	case 1: code_byte(c, 0xfb); break;
	case 2: code_byte(c, 0xe4 | chance_below(c->r, 2)), code_byte(c, 0xf0); break; /* IN */
	case 3: code_byte(c, 0xe6 | chance_below(c->r, 2)), code_byte(c, 0xf1); break; /* OUT */
	case 4: code_byte(c, 0x0f), code_byte(c, 0x20), code_byte(c, 0xc0 | (u8[]){0, 2, 3, 4}[chance_below(c->r, 4)] << 3); break;
	case 5: code_byte(c, 0x0f), code_byte(c, 0x06); break; /* CLTS */
	case 6: /* the shadow of MOV SS */
		code_byte(c, 0x8c), code_byte(c, 0xd0), code_byte(c, 0x8e), code_byte(c, 0xd0);
		break;
	case 7: code_byte(c, 0x0f), code_byte(c, 0x01), code_byte(c, 0xe0); break; /* SMSW EAX */
	default: code_byte(c, 0x0f), code_byte(c, 0x01), code_byte(c, c->mode->bits == 64 ? 0xf8 : 0xd0); break; /* SWAPGS, XGETBV */
	}
}

/* ENTER and LEAVE around something, so that BP comes back. */
static void item_frame(struct code *c)
{
	code_byte(c, 0xc8);
	code_value(c, chance_below(c->r, 64), 2);
	code_byte(c, chance_percent(c->r, 80) ? 0 : chance_below(c->r, 4));
	for (unsigned n = chance_below(c->r, 3); n--;)
		code_random(c);
	code_byte(c, 0xc9);
}

static void good_stack(struct code *c)
{
	u32 off = 0x7000 + chance_below(c->r, 0x2000);

	if (chance_percent(c->r, 85))
		off &= ~15;
	/* SP wraps; not where a handler needs more of the stack than words */
	if (c->mode->bits == 16 && (c->mode->cpl == 3 || c->mode->real) && chance_percent(c->r, 15))
		off = (chance_below(c->r, 12) - 6) * 2 & 0xffff;
	code_load(c, RSP, c->mode->bits == 16 ? off : code_linear_at(c, off, AT_STACK));
}

static void prologue(struct code *c)
{
	if (chance_percent(c->r, 40))
		good_stack(c);
	if (c->mode->bits != 64 && chance_percent(c->r, 40)) { /* DS and ES at home */
		code_byte(c, 0xb8);
		code_value(c, c->mode->ds, c->mode->bits / 8);
		code_byte(c, 0x8e), code_byte(c, 0xc0 | SEG_DS << 3);
		code_byte(c, 0x8e), code_byte(c, 0xc0 | SEG_ES << 3);
	}
	for (unsigned n = 1 + chance_below(c->r, 3); n--;)
		code_pointer(c);
	c->entry_patch[c->entry_patches++] = c->patch[(c->patches - 1) % ARRAY_LEN(c->patch)];
	if (chance_percent(c->r, 30))
		code_byte(c, 0xfc);
	if (chance_percent(c->r, 50)) { /* small numbers where indices are */
		code_byte(c, 0x83), code_byte(c, 0xe0 | RDX), code_byte(c, 0x3f);
		if (c->mode->bits == 64)
			code_byte(c, 0x41), code_byte(c, 0x83), code_byte(c, 0xe0 | (R9 & 7)), code_byte(c, 0x3f);
	}
	/* the program's end: INT 3F when the counter runs out */
	code_byte(c, 0xff);
	code_absolute(c, 1, COUNTER, 0);
	code_byte(c, 0x75), code_byte(c, 2);
	code_byte(c, 0xcd), code_byte(c, 0x3f);
}

/* To the unit that the counter of units selects in the table: so that few programs go round in small circles. */
static void by_counter(struct code *c)
{
	/* AND BX; ADD BX, BX; JMP CS:[BX + TABLE] */
	static const u8 jump16[] = {0x83, 0xe3, TABLE_SIZE - 1, 0x01, 0xdb, 0x2e, 0xff, 0xa7};
	static const u8 jump32[] = {0x83, 0xe0, TABLE_SIZE - 1, 0xff, 0x24, 0x85};             /* AND EAX; JMP [EAX * 4 + TABLE] */
	static const u8 jump64[] = {0x83, 0xe0, TABLE_SIZE - 1, 0xff, 0x24, 0xc2};             /* AND EAX; JMP [RDX + RAX * 8] */

	if (c->mode->bits == 64) {
		code_byte(c, 0x48), code_byte(c, 0x8d);
		in_code(c, RDX, TABLE);
	}
	code_byte(c, 0x8b);
	code_absolute(c, c->mode->bits == 16 ? RBX : RAX, COUNTER, 0);
	const u8 *jump = c->mode->bits == 16 ? jump16 : c->mode->bits == 32 ? jump32 : jump64;
	for (unsigned n = c->mode->bits == 16 ? sizeof jump16 : sizeof jump32; n--;)
		code_byte(c, *jump++);
	if (c->mode->bits != 64)
		code_value(c, c->mode->bits == 16 ? TABLE : c->p->high + AT_CODE + TABLE, c->mode->bits / 8);
}

static void epilogue(struct code *c)
{
	unsigned kind = chance_below(c->r, 10);

	if (kind < 2)
		transfer(c, false, unit_offset(c, chance_below(c->r, UNITS)));
	else if (kind < 7)
		by_counter(c);
	else if (kind < 9)
		through_table(c, false);
	else { /* RET to a unit */
		push(c, c->p->high + unit_offset(c, chance_below(c->r, UNITS)));
		code_byte(c, 0xc3);
	}
}

static void (*const items[])(struct code *c) = {
	item_branch, item_branch, item_branch, item_loop, item_loop, item_string, item_patch, item_patch, item_patch,
	item_patch, item_patch, item_call, item_call,
	item_branch, item_branch, item_loop, item_loop, item_call, item_fpu, item_flags, item_system, item_frame, item_frame,
	code_pointer, code_pointer, code_pointer, item_far, item_rare,
};

static void unit(struct code *c, unsigned n, u32 *function)
{
	u8 *first = c->p->image + AT_CODE + (c->p->start & (SEGMENT - 1)) + n * UNIT;

	c->begin = c->at = first;
	c->end = first + UNIT;
	c->flat_stack = false;
	prologue(c);
	item_function(c, function);
	for (;;) {
		u8 *before = c->at;
		unsigned patches = c->patches;
		if (chance_percent(c->r, 22))
			items[chance_below(c->r, ARRAY_LEN(items))](c);
		else
			code_random(c);
		if (c->at > first + UNIT - EPILOGUE) { /* no room: take it back */
			memset(before, 0xcc, c->at - before);
			c->at = before;
			c->patches = patches;
			break;
		}
	}
	epilogue(c);
}

void program_make(struct program *p, u64 seed, const struct mode *mode, u32 units)
{
	static const u64 highs[] = {0, 0x55ull << 39, 0xffull << 39, 0xffffull << 48 | 0x1ffull << 39};
	static const u32 bases[] = {BASE_WRAPS, BASE_LIMITED, BASE_DOWN};
	struct chance r = {seed * 64 + (mode - modes)};
	struct code c = {.r = &r, .p = p, .mode = mode};

	memset(p, 0, sizeof *p);
	p->seed = seed;
	p->mode = mode;
	p->high = mode->bits == 64 ? highs[chance_below(&r, mode->cpl ? 3 : 4)] :
	          mode->based ? -bases[chance_below(&r, ARRAY_LEN(bases))] : 0;
	u32 bias = chance_below(&r, UNIT);
	p->start = (mode->bits == 16 ? 0 : AT_CODE) + bias;
	p->iopl = mode->v86 ? (chance_percent(&r, 75) ? 3 : 0) : chance_percent(&r, 30) ? 3 : 0;
	if (mode->cpl == 0)
		p->iopl = 0;
	descriptors(p);
	gates(p);
	page_tables(p, &r);
	data(p, &r, units / 2 + chance_below(&r, units));
	memset(p->image + AT_CODE, 0xcc, SEGMENT);
	u32 functions[UNITS];
	for (unsigned i = 0; i < UNITS; i++)
		functions[i] = 0;
	/* functions of earlier units call none of later ones: so no recursion */
	for (unsigned i = 0; i < TABLE_SIZE; i++) {
		table_put(&c, i, p->high + unit_offset(&c, chance_below(&r, UNITS)));
		table_put(&c, TABLE_SIZE + i, p->high + unit_offset(&c, chance_below(&r, UNITS)));
	}
	for (unsigned i = 0; i < UNITS; i++) {
		unit(&c, i, &functions[i]);
		for (unsigned k = 0; k < TABLE_SIZE; k++)
			if (k % UNITS == i)
				table_put(&c, TABLE_SIZE + k, p->high + functions[i]);
	}
	struct vars vars = {
		.start = p->high + p->start, .mask = UNITS * UNIT - 1, .cs = mode->cs,
		.stack = mode->bits == 16 ? 0x8000 : p->high + AT_STACK + 0x8000,
	};
	memcpy(p->image + AT_VARS, &vars, sizeof vars);
}
