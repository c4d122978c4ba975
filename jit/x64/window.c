/* SPDX-License-Identifier: MIT */
/* Windows: several accesses near one address need one look-up.
 *
 * Within a translation the value of a general register is tracked as an unknown number and a known distance from it: MOV, LEA,
 * additions of constants and the stack's own steps only change the distance. Of accesses at known distances from one number, the
 * first checks the whole range that the others will touch: that it lies in one page, with the rights this access needs. What it
 * finds, host address minus linear address, is kept in struct cpu, and for the others that is all they need: they cannot miss
 * and they do not clobber the flags.
 *
 * A window is good until the interpreter has run something: it may have changed what lies where. After a slow path every window
 * that is still wanted is looked up again. Those of the stack and of registers that a loop moves by small steps are kept from one
 * run to the next, as TLB entries beside the TLB (access.h: tlb_forget_windows()).
 *
 * Where the range does not fit, the translation is left for another one of the rest of the block, which has no windows
 * (BLOCK_PLAIN). */
#include "cpu/flags.h"
#include "jit/x64/x64.h"

#define M(name) ZYDIS_MNEMONIC_##name
#define SPAN_MAX 1024      /* bytes; the wider, the likelier a page's end lies within */
#define DISTANCE_MAX (1 << 20)
#define STEP_MAX 64        /* of a register in a loop, whose window is worth keeping */

/* ---- values of registers ---- */

static void unknown(struct context *c, unsigned g)
{
	c->value[g] = (struct value){++c->values, 0};
}

void window_values_forget(struct context *c)
{
	for (unsigned g = 0; g < 16; g++)
		unknown(c, g);
}

static int whole(const ZydisDecodedOperand *op)
{
	return op->type == ZYDIS_OPERAND_TYPE_REGISTER && ZydisRegisterGetClass(op->reg.value) == ZYDIS_REGCLASS_GPR64
	           ? ZydisRegisterGetId(op->reg.value) : -1;
}

static void assign(struct context *c, unsigned g, struct value from, i64 distance)
{
	i64 off = from.off + distance;

	if (off < -DISTANCE_MAX || off > DISTANCE_MAX)
		unknown(c, g);
	else
		c->value[g] = (struct value){from.id, off};
}

/* An operand in memory whose address is one register and a constant: the register, else -1. */
static int based(const ZydisDecodedInstruction *z, const ZydisDecodedOperand *op)
{
	if (z->address_width != 64 || op->mem.index != ZYDIS_REGISTER_NONE ||
	    ZydisRegisterGetClass(op->mem.base) != ZYDIS_REGCLASS_GPR64 || op->mem.segment == ZYDIS_REGISTER_FS ||
	    op->mem.segment == ZYDIS_REGISTER_GS)
		return -1;
	return ZydisRegisterGetId(op->mem.base);
}

static i64 displacement(const ZydisDecodedOperand *op)
{
	return op->mem.disp.has_displacement ? op->mem.disp.value : 0;
}

/* Instructions whose operands tell all that they do to general registers. */
static bool tells_all(const ZydisDecodedInstruction *z)
{
	switch (z->meta.category) {
	case ZYDIS_CATEGORY_BINARY: case ZYDIS_CATEGORY_BITBYTE: case ZYDIS_CATEGORY_CMOV: case ZYDIS_CATEGORY_COND_BR:
	case ZYDIS_CATEGORY_CONVERT: case ZYDIS_CATEGORY_DATAXFER: case ZYDIS_CATEGORY_LOGICAL: case ZYDIS_CATEGORY_LOGICAL_FP:
	case ZYDIS_CATEGORY_MISC: case ZYDIS_CATEGORY_NOP: case ZYDIS_CATEGORY_POP: case ZYDIS_CATEGORY_PUSH:
	case ZYDIS_CATEGORY_PREFETCH: case ZYDIS_CATEGORY_ROTATE: case ZYDIS_CATEGORY_SEMAPHORE: case ZYDIS_CATEGORY_SETCC:
	case ZYDIS_CATEGORY_SHIFT: case ZYDIS_CATEGORY_SSE: case ZYDIS_CATEGORY_X87_ALU: case ZYDIS_CATEGORY_WIDENOP:
	case ZYDIS_CATEGORY_FLAGOP: case ZYDIS_CATEGORY_AES: case ZYDIS_CATEGORY_SHA: case ZYDIS_CATEGORY_PCLMULQDQ:
	case ZYDIS_CATEGORY_FCMOV:
		return true;
	default:
		return false;
	}
}

/* Those of system.c. */
static bool is_system(ZydisMnemonic m)
{
	return m == M(CLI) || m == M(STI) || m == M(CLAC) || m == M(STAC) || m == M(SWAPGS) || m == M(PUSHFQ) || m == M(WRFSBASE) ||
	       m == M(WRGSBASE);
}

/* What the instruction does to the values. */
void window_values_step(struct context *c, const struct decoded *d)
{
	const ZydisDecodedInstruction *z = &d->z;
	const ZydisDecodedOperand *op = d->op;
	int g, h;

	if (!d->ok || (!tells_all(z) && !is_system(z->mnemonic))) {
		window_values_forget(c);
		return;
	}
	switch (z->mnemonic) {
	case M(PUSH):
		assign(c, RSP, c->value[RSP], -(i64)z->operand_width / 8);
		return;
	case M(POP):
		assign(c, RSP, c->value[RSP], z->operand_width / 8);
		if (op[0].type == ZYDIS_OPERAND_TYPE_REGISTER && (g = whole(&op[0])) >= 0)
			unknown(c, g);
		else
			window_values_forget(c);
		return;
	case M(MOV):
		if ((g = whole(&op[0])) < 0 || (h = whole(&op[1])) < 0)
			break;
		c->value[g] = c->value[h];
		return;
	case M(LEA):
		if ((g = whole(&op[0])) < 0 || (h = based(z, &op[1])) < 0)
			break;
		assign(c, g, c->value[h], displacement(&op[1]));
		return;
	case M(ADD): case M(SUB):
		if ((g = whole(&op[0])) < 0 || op[1].type != ZYDIS_OPERAND_TYPE_IMMEDIATE)
			break;
		assign(c, g, c->value[g], z->mnemonic == M(ADD) ? op[1].imm.value.s : -op[1].imm.value.s);
		return;
	case M(INC): case M(DEC):
		if ((g = whole(&op[0])) < 0)
			break;
		assign(c, g, c->value[g], z->mnemonic == M(INC) ? 1 : -1);
		return;
	case M(CLI): case M(STI): case M(SWAPGS):
		return;
	case M(PUSHFQ):
		assign(c, RSP, c->value[RSP], -8);
		return;
	case M(LEAVE):
		assign(c, RSP, c->value[RBP], 8);
		unknown(c, RBP);
		return;
	default:
		break;
	}
	for (unsigned i = 0; i < z->operand_count; i++) {
		if (op[i].type != ZYDIS_OPERAND_TYPE_REGISTER || !(op[i].actions & ZYDIS_OPERAND_ACTION_MASK_WRITE))
			continue;
		switch (ZydisRegisterGetClass(op[i].reg.value)) {
		case ZYDIS_REGCLASS_GPR8: case ZYDIS_REGCLASS_GPR16: case ZYDIS_REGCLASS_GPR32: case ZYDIS_REGCLASS_GPR64: {
			unsigned id = ZydisRegisterGetId(ZydisRegisterGetLargestEnclosing(ZYDIS_MACHINE_MODE_LONG_64, op[i].reg.value));
			unknown(c, id & 15);
			break;
		}
		default:
			break;
		}
	}
}

/* ---- accesses ---- */

static void note(struct context *c, struct access *a, unsigned g, i64 disp, unsigned size, bool write)
{
	i64 off = c->value[g].off + disp;

	if (off >= -DISTANCE_MAX && off <= DISTANCE_MAX && size && size <= 16)
		*a = (struct access){.id = c->value[g].id, .off = off, .size = size, .write = write};
}

static void note_all(struct context *c, struct access a[2], const struct decoded *d)
{
	const ZydisDecodedInstruction *z = &d->z;
	int g;

	if ((tells_all(z) && z->meta.category != ZYDIS_CATEGORY_PREFETCH && z->meta.category != ZYDIS_CATEGORY_NOP &&
	     z->meta.category != ZYDIS_CATEGORY_WIDENOP) || z->mnemonic == M(CALL) || z->mnemonic == M(JMP))
		for (unsigned k = 0; k < z->operand_count_visible; k++) {
			const ZydisDecodedOperand *op = &d->op[k];
			if (op->type == ZYDIS_OPERAND_TYPE_MEMORY && op->mem.type == ZYDIS_MEMOP_TYPE_MEM && (g = based(z, op)) >= 0)
				note(c, &a[ACCESS_OPERAND_], g, displacement(op), op->size / 8,
				     op->actions & ZYDIS_OPERAND_ACTION_MASK_WRITE);
		}
	switch (z->mnemonic) {
	case M(PUSH): case M(CALL): case M(PUSHFQ): note(c, &a[ACCESS_STACK], RSP, -8, 8, true); break;
	case M(POP): case M(RET): note(c, &a[ACCESS_STACK], RSP, 0, 8, false); break;
	case M(LEAVE): note(c, &a[ACCESS_STACK], RBP, 0, 8, false); break;
	default: break;
	}
}

/* A jump to the beginning: the registers that have come far from where they were then do not count as steady. */
static void look_at_jump(struct context *c, const struct insn *in, unsigned head)
{
	if (in->off + in->len + (i64)in->imm != head)
		return;
	for (unsigned g = 0; g < 16; g++)
		if (c->value[g].id == g + 1u && c->value[g].off >= -STEP_MAX && c->value[g].off <= STEP_MAX)
			c->steady |= BIT(g);
}

unsigned window_plan(struct context *c, unsigned insns, const struct insn *const in[], bool plain)
{
	unsigned n = 0;

	c->values = 0;
	c->steady = BIT(RSP);
	window_values_forget(c);
	for (unsigned i = 0; i < insns; i++) {
		const struct decoded *d = &c->decoded[i];
		struct access *a = c->access[i];

		a[ACCESS_OPERAND_] = a[ACCESS_STACK] = (struct access){0};
		if (!plain && d->ok)
			note_all(c, a, d);
		n += (a[0].size != 0) + (a[1].size != 0);
		if (d->ok && d->z.meta.category == ZYDIS_CATEGORY_COND_BR)
			look_at_jump(c, in[i], in[0]->off);
		window_values_step(c, d);
	}
	c->insns = insns;
	c->values = 0; /* again, in step with what is emitted */
	window_values_forget(c);
	window_close(c);
	c->rechecks = c->opens = c->aligned_id = 0;
	return MIN(n, OPENS_MAX);
}

void window_close(struct context *c)
{
	for (unsigned i = 0; i < 16; i++)
		c->window[i].live = false;
}

/* The range that an access and those from its instruction on will touch. Returns how many they are. */
static unsigned range(const struct context *c, unsigned first, const struct access *with, i32 *lo, i32 *hi)
{
	unsigned n = 0;

	*lo = with->off;
	*hi = with->off + with->size;
	for (unsigned i = first; i < c->insns; i++)
		for (unsigned k = 0; k < 2; k++) {
			const struct access *a = &c->access[i][k];
			i32 l = MIN(*lo, a->off), h = MAX(*hi, a->off + a->size);
			if (!a->size || a->id != with->id || h - l > SPAN_MAX)
				continue;
			*lo = l;
			*hi = h;
			n++;
		}
	return n;
}

static struct window *covering(struct context *c, const struct access *a)
{
	for (unsigned i = 0; i < 16; i++) {
		struct window *w = &c->window[i];
		if (w->live && w->id == a->id && (w->write || !a->write) && a->off >= w->lo && a->off + a->size <= w->hi)
			return w;
	}
	return NULL;
}

#define WINDOW(slot, field) CPU_AT(offsetof(struct cpu, jit.window) + (slot) * sizeof(struct jit_window) + \
                                   offsetof(struct jit_window, field))

/* S0 = a guest register + disp; linear. */
static void address(struct emit *e, unsigned g, i64 disp)
{
	unsigned base = x64_home[g];

	if (base == NO_HOME) {
		emit_load(e, S0, x64_gpr(g));
		base = S0;
	}
	if (disp)
		emit_lea(e, true, S0, base, 0xff, 0, disp);
	else if (base != S0)
		emit_mov(e, S0, base);
}

static u32 wanted(const struct window *w, unsigned slot)
{
	return (w->hi - w->lo) | (w->write ? WINDOW_WRITE : 0) | (w->keep ? WINDOW_KEEP : 0) | slot * WINDOW_SLOT;
}

static void delta(struct emit *e, const struct window *w, unsigned slot)
{
	emit_load(e, S0, w->keep ? WINDOW(slot, delta) : WINDOW(slot, local));
}

static void test_alignment(struct context *c, unsigned boundary)
{
	emit_op(c->e, OP_BYTE_RM, MAP_1, 0xf6, 0, rm_reg(S0));
	emit_byte(c->e, boundary - 1);
	memory_slow_if(c, CC_NE);
}

/* S0: what is added to a linear address of the window. aligned: its first byte has to be. */
static void open(struct context *c, unsigned g, struct window *w, bool aligned)
{
	struct emit *e = c->e;
	unsigned slot = w - c->window;
	i32 span = w->hi - w->lo;

	flags_clobber(c);
	address(e, g, w->lo - c->value[g].off);
	if (aligned)
		test_alignment(c, 16);
	if (w->keep) {
		emit_op(e, OP_W, MAP_1, 0x2b, S0, WINDOW(slot, tag));
		emit_op(e, OP_W, MAP_1, 0x0b, S0, WINDOW(slot, none[w->write]));
		emit_alu_imm(e, true, 7, rm_reg(S0), PAGE_SIZE - span);
	} else {
		memory_find_entry(e);
		memory_compare(e, span, w->write);
	}
	struct slow *s = memory_slow_if(c, CC_A);
	s->open = wanted(w, slot);
	s->plain = flow_plain(c);
	s->reg = g;
	s->disp = w->lo - c->value[g].off;
	if (w->keep) {
		delta(e, w, slot);
	} else {
		emit_load(e, S0, rm_base(S1, offsetof(struct tlb_entry, host)));
		emit_op(e, OP_W, MAP_1, 0x2b, S0,
		        rm_base(S1, w->write ? offsetof(struct tlb_entry, write) : offsetof(struct tlb_entry, read)));
		emit_store(e, WINDOW(slot, local), S0);
		c->held = NO_HOME;
	}
	s->back = e->p;
}

/* Is the block going to write there too? Then it asks for that at once. */
static bool writes(const struct context *c, const struct access *a)
{
	for (unsigned i = c->index; i < c->insns; i++) {
		for (unsigned k = 0; k < 2; k++)
			if (c->access[i][k].size && c->access[i][k].id == a->id && c->access[i][k].write)
				return true;
		if (c->decoded[i].ok && c->decoded[i].z.meta.category == ZYDIS_CATEGORY_COND_BR)
			break;
	}
	return false;
}

/* SSE's aligned operands: what is known of one address is known of all at multiples of 16 from it. */
static void align(struct context *c, const struct access *a, unsigned g, i64 disp, unsigned boundary)
{
	if (c->aligned_id == a->id && !((a->off - c->aligned_off) & (boundary - 1)))
		return;
	flags_clobber(c);
	address(c->e, g, disp);
	test_alignment(c, boundary);
	if (boundary < 16)
		return;
	c->aligned_id = a->id;
	c->aligned_off = a->off;
}

bool window_access(struct context *c, unsigned which, unsigned g, i64 disp, bool write, unsigned boundary)
{
	struct access *a = &c->access[c->index][which];
	struct window *w;

	if (!a->size || a->id != c->value[g].id || a->off != c->value[g].off + disp || (write && !a->write))
		return false;
	w = covering(c, a);
	if (w) {
		if (boundary > 1)
			align(c, a, g, disp, boundary);
		delta(c->e, w, w - c->window);
	} else {
		i32 lo, hi;
		unsigned n = range(c, c->index, a, &lo, &hi);
		bool keep = jit_options.keep && (g == RSP || (a->id <= 16 && (c->steady >> (a->id - 1) & 1)));
		if ((n < 2 && !keep) || c->opens == OPENS_MAX)
			return false;
		bool first = boundary == 16 && !((a->off - lo) & 15) && c->aligned_id != a->id;
		if (first) {
			c->aligned_id = a->id;
			c->aligned_off = a->off;
		} else if (boundary > 1) {
			align(c, a, g, disp, boundary);
		}
		c->opens++;
		w = &c->window[g == RSP ? RSP : keep ? a->id - 1u : g];
		*w = (struct window){.live = true, .keep = keep, .id = a->id, .lo = lo, .hi = hi,
		                     .write = write || g == RSP || writes(c, a)};
		open(c, g, w, first);
	}
	if (x64_home[g] == NO_HOME) {
		c->held = NO_HOME;
		emit_load(c->e, S1, x64_gpr(g));
		emit_lea(c->e, true, S0, S0, S1, 0, disp);
		c->at = rm_base(S0, 0);
	} else {
		c->at = rm_indexed(x64_home[g], S0, disp);
	}
	return true;
}

/* ---- behind a slow path ---- */

void window_note(struct context *c, struct slow *s)
{
	s->first = c->rechecks;
	for (unsigned slot = 0; slot < 16; slot++) {
		struct window *w = &c->window[slot];
		const struct access covered = {.id = w->id, .off = w->lo, .size = w->hi - w->lo};
		i32 lo, hi;
		int g = -1;
		if (!w->live)
			continue;
		for (unsigned i = 0; i < 16 && g < 0; i++)
			if (c->value[i].id == w->id)
				g = i;
		if (g < 0 || c->rechecks == ARRAY_LEN(c->recheck) || !range(c, c->index + 1, &covered, &lo, &hi)) {
			w->live = false;
			continue;
		}
		c->recheck[c->rechecks++] = (struct recheck){wanted(w, slot), g, w->lo - c->value[g].off};
	}
	s->last = c->rechecks;
}

void window_emit_recheck(struct context *c, struct emit *e, const struct slow *s)
{
	const struct insn *in = &c->t->single[s->index].insn;
	u8 *gone[16];
	unsigned n = 0;

	for (unsigned i = s->first; i < s->last; i++) {
		address(e, c->recheck[i].reg, c->recheck[i].disp);
		emit_imm32(e, S1, c->recheck[i].wanted);
		emit_call(e, c->jit->stubs.window);
		gone[n++] = emit_jcc(e, CC_E);
	}
	if (!n)
		return;
	u8 *good = emit_jmp(e);
	while (n)
		emit_here(e, gone[--n]);
	if (c->jit->counting)
		emit_alu_imm(e, true, 5, CPU(instructions), in->left - 1);
	emit_imm32(e, S0, in->off + in->len);
	emit_jmp_to(e, c->jit->stubs.leave_off);
	emit_here(e, good);
}

void window_emit_open(struct context *c, struct emit *e, const struct slow *s)
{
	u32 span = s->open & WINDOW_SPAN;

	address(e, s->reg, s->disp);
	emit_mov32(e, S1, S0);
	emit_alu_imm(e, false, 4, rm_reg(S1), PAGE_OFFSET);
	emit_alu_imm(e, false, 7, rm_reg(S1), PAGE_SIZE - span);
	u8 *crosses = emit_jcc(e, CC_A);
	emit_imm32(e, S1, s->open);
	emit_call(e, c->jit->stubs.window);
	emit_load(e, S1, CPU(tlb)); /* what is held may be any entry */
	unsigned slot = s->open / WINDOW_SLOT;
	emit_load(e, S0, (s->open & WINDOW_KEEP) ? WINDOW(slot, delta) : WINDOW(slot, local));
	emit_jcc_to(e, CC_NE, s->back);
	emit_here(e, crosses);
	x87_emit_fip(c, e, s->fip);
	flow_emit_plain(c, e, s->plain);
}
