/* SPDX-License-Identifier: MIT */
/* The way into translated code and out of it: emitted once, at the start of the code cache. */
#include <stddef.h>

#include "cpu/access.h"
#include "cpu/flags.h"
#include "jit/x64/x64.h"

const u8 x64_home[16] = {
	[RAX] = H_R13, [RCX] = H_RCX, [RDX] = H_RDX, [RBX] = H_RBX, [RSP] = H_R12, [RBP] = H_RBP, [RSI] = H_RSI, [RDI] = H_RDI,
	[R8] = H_R8, [R9] = H_R9, [R10] = H_R10, [R11] = H_R11, [R12] = NO_HOME, [R13] = NO_HOME, [R14] = NO_HOME, [R15] = NO_HOME,
};

static const u8 callee_saved[] = {H_RBX, H_RBP, H_R12, H_R13, H_R14, H_R15};

static void push_pop(struct emit *e, u8 opcode, unsigned reg)
{
	if (reg & 8)
		emit_byte(e, 0x41);
	emit_byte(e, opcode | (reg & 7));
}

static void guest_registers(struct emit *e, bool load)
{
	for (unsigned g = 0; g < 16; g++)
		if (x64_home[g] != NO_HOME)
			emit_op(e, OP_W, MAP_1, load ? 0x8b : 0x89, x64_home[g], CPU_AT(offsetof(struct cpu, gpr) + g * 8));
}

static void vector_registers(struct emit *e, bool load)
{
	for (unsigned i = 0; i < 16; i++) /* movups */
		emit_op(e, 0, MAP_0F, load ? 0x10 : 0x11, i, CPU_AT(offsetof(struct cpu, v) + i * sizeof(union vreg)));
}

static void byte_set(struct emit *e, size_t offset, u8 value)
{
	emit_op(e, 0, MAP_1, 0xc6, 0, CPU_AT(offset));
	emit_byte(e, value);
}

static void byte_test(struct emit *e, size_t offset)
{
	emit_op(e, 0, MAP_1, 0x80, 7, CPU_AT(offset));
	emit_byte(e, 0);
}

static void mxcsr(struct emit *e, bool load, size_t offset)
{
	emit_op(e, 0, MAP_0F, 0xae, load ? 2 : 3, CPU_AT(offset));
}

/* If the host's vector registers are the guest's: put them into memory. */
static void vectors_out(struct emit *e)
{
	byte_test(e, offsetof(struct cpu, jit.vectors));
	u8 *none = emit_jcc(e, CC_E);
	vector_registers(e, false);
	mxcsr(e, false, offsetof(struct cpu, mxcsr));
	byte_set(e, offsetof(struct cpu, jit.vectors), 0);
	/* raised flags do not matter to C, how it computes does */
	emit_op(e, 0, MAP_1, 0x8b, S0, CPU(mxcsr));
	emit_alu_imm(e, false, 4, rm_reg(S0), ~0x3f);
	emit_alu_imm(e, false, 7, rm_reg(S0), 0x1f80);
	u8 *same = emit_jcc(e, CC_E);
	mxcsr(e, true, offsetof(struct cpu, jit.host_mxcsr));
	emit_here(e, same);
	emit_here(e, none);
}

static void saved_flags(struct emit *e, bool load)
{
	if (load)
		emit_op(e, 0, MAP_0F, 0xb7, H_RAX, CPU(jit.flags)); /* movzx eax, word */
	else
		emit_op(e, OP_66, MAP_1, 0x89, H_RAX, CPU(jit.flags));
}

static void build_enter(struct jit *jit, struct emit *e)
{
	jit->stubs.enter = e->p;
	for (unsigned i = 0; i < ARRAY_LEN(callee_saved); i++)
		push_pop(e, 0x50, callee_saved[i]);
	emit_op(e, OP_W, MAP_1, 0x83, 5, rm_reg(H_RSP)); /* sub rsp, 8: aligned for calls */
	emit_byte(e, 8);
	emit_mov(e, S0, H_RSI);
	saved_flags(e, true);
	guest_registers(e, true);
	emit_op(e, 0, MAP_1, 0xff, 4, rm_reg(S0));
}

/* RAX is the result. */
static void epilogue(struct emit *e)
{
	emit_op(e, OP_W, MAP_1, 0x83, 0, rm_reg(H_RSP));
	emit_byte(e, 8);
	for (unsigned i = ARRAY_LEN(callee_saved); i-- > 0;)
		push_pop(e, 0x58, callee_saved[i]);
	emit_byte(e, 0xc3);
}

static void build_leave(struct jit *jit, struct emit *e)
{
	/* S1 = the exit that wants to be bound, S0 = page offset */
	jit->stubs.leave_link = e->p;
	u8 *link = emit_jmp(e);
	jit->stubs.leave_off = e->p;
	emit_op(e, 0, MAP_1, 0x33, S1, rm_reg(S1));
	emit_here(e, link);
	emit_op(e, OP_W, MAP_1, 0x03, S0, CPU_AT(offsetof(struct cpu, gpr) + GPR_PAGE * 8));
	emit_store(e, CPU(rip), S0);
	u8 *rest = emit_jmp(e);
	jit->stubs.leave = e->p;
	emit_op(e, 0, MAP_1, 0x33, S1, rm_reg(S1));
	emit_here(e, rest);
	saved_flags(e, false);
	guest_registers(e, false);
	vectors_out(e);
	byte_test(e, offsetof(struct cpu, jit.x87));
	u8 *none = emit_jcc(e, CC_E);
	emit_load(e, H_RDI, CPU(jit.self));
	emit_imm64(e, H_RAX, (u64)(uintptr_t)fpu_store);
	emit_op(e, 0, MAP_1, 0xff, 2, rm_reg(H_RAX));
	emit_here(e, none);
	emit_mov(e, H_RAX, S1);
	epilogue(e);
}

/* S1: where S0's RIP may be found among the targets. S0 may be the key as well: the bits that differ do not count. */
static void target_slot(struct emit *e, unsigned to, unsigned rip)
{
	_Static_assert(sizeof(struct jit_target) == 32, "scaled below");
	emit_mov32(e, to, rip);
	emit_op(e, 0, MAP_1, 0xc1, 5, rm_reg(to));
	emit_byte(e, TARGET_BITS);
	emit_op(e, 0, MAP_1, 0x33, to, rm_reg(rip));
	emit_alu_imm(e, false, 4, rm_reg(to), (1 << TARGET_BITS) - 1);
	emit_op(e, 0, MAP_1, 0xc1, 4, rm_reg(to));
	emit_byte(e, 5);
	emit_op(e, OP_W, MAP_1, 0x03, to, CPU(jit.targets));
}

#define PAGE_GPR CPU_AT(offsetof(struct cpu, gpr) + GPR_PAGE * 8)

static void look_up(struct emit *e, const u8 *miss)
{
	if (!jit_options.dispatch) {
		emit_op(e, OP_W, MAP_1, 0x33, S0, CPU(jit.space));
		emit_jmp_to(e, miss);
		return;
	}
	target_slot(e, S1, S0);
	emit_op(e, OP_W, MAP_1, 0x33, S0, CPU(jit.space));
	emit_op(e, 0, MAP_1, 0x83, 7, CPU(kick));
	emit_byte(e, 0);
	emit_jcc_to(e, CC_NE, miss);
	emit_op(e, OP_W, MAP_1, 0x3b, S0, rm_base(S1, offsetof(struct jit_target, key)));
	emit_jcc_to(e, CC_NE, miss);
	emit_load(e, S0, rm_base(S1, offsetof(struct jit_target, page)));
	emit_store(e, PAGE_GPR, S0);
	emit_op(e, 0, MAP_1, 0xff, 4, rm_base(S1, offsetof(struct jit_target, entry)));
}

void stubs_dispatch(struct jit *jit, struct emit *e)
{
	look_up(e, jit->stubs.dispatch);
}

void stubs_dispatch_legacy(struct jit *jit, struct emit *e)
{
	look_up(e, jit->stubs.dispatch_legacy);
}

static void build_dispatch_legacy(struct jit *jit, struct emit *e)
{
	jit->stubs.dispatch_legacy = e->p;
	emit_op(e, OP_W, MAP_1, 0x33, S0, CPU(jit.space));
	emit_store(e, CPU(rip), S0);
	emit_jmp_to(e, jit->stubs.leave);
	jit->stubs.look_up_legacy = e->p;
	emit_mov32(e, S0, S0);
	stubs_dispatch_legacy(jit, e);
}

/* What was not among the targets is looked for as the interpreter does it, and put there. */
static void build_dispatch(struct jit *jit, struct emit *e)
{
	const i32 table = offsetof(struct code_jump, entry[CODE64]);
	u8 *miss[4];
	unsigned n = 0;

	_Static_assert(CODE64 * sizeof(struct jump_entry) << JUMP_BITS < 1u << 30, "a displacement");
	_Static_assert(sizeof(struct jump_entry) == 32, "scaled below");
	jit->stubs.dispatch = e->p;
	emit_op(e, OP_W, MAP_1, 0x33, S0, CPU(jit.space));
	emit_store(e, CPU(rip), S0);
	emit_op(e, 0, MAP_1, 0x83, 7, CPU(kick));
	emit_byte(e, 0);
	miss[n++] = jit_options.dispatch ? emit_jcc(e, CC_NE) : emit_jmp(e);
	/* SDM 4.10.2.3: what a fetch needs is in the TLB; the block is then found by its host address */
	emit_mov32(e, S1, S0);
	emit_op(e, 0, MAP_1, 0xc1, 5, rm_reg(S1));
	emit_byte(e, PAGE_SHIFT - 5);
	emit_alu_imm(e, false, 4, rm_reg(S1), (TLB_SIZE - 1) << 5);
	emit_op(e, OP_W, MAP_1, 0x03, S1, CPU(fetch_tlb));
	emit_op(e, OP_W, MAP_1, 0x2b, S0, rm_base(S1, offsetof(struct tlb_entry, exec)));
	emit_alu_imm(e, true, 7, rm_reg(S0), PAGE_SIZE);
	miss[n++] = emit_jcc(e, CC_AE);
	emit_op(e, OP_W, MAP_1, 0x03, S0, rm_base(S1, offsetof(struct tlb_entry, host)));
	emit_load(e, S1, rm_base(S1, offsetof(struct tlb_entry, exec)));
	emit_store(e, PAGE_GPR, S1);
	/* code_hash() */
	emit_mov(e, S1, S0);
	emit_op(e, OP_W, MAP_1, 0xc1, 5, rm_reg(S1));
	emit_byte(e, JUMP_BITS);
	emit_op(e, 0, MAP_1, 0x33, S1, rm_reg(S0));
	emit_alu_imm(e, false, 4, rm_reg(S1), (1 << JUMP_BITS) - 1);
	emit_op(e, 0, MAP_1, 0xc1, 4, rm_reg(S1));
	emit_byte(e, 5);
	emit_op(e, OP_W, MAP_1, 0x03, S1, CPU(code));
	emit_op(e, OP_W, MAP_1, 0x3b, S0, rm_base(S1, table + offsetof(struct jump_entry, hva)));
	miss[n++] = emit_jcc(e, CC_NE);
	emit_load(e, S1, rm_base(S1, table + offsetof(struct jump_entry, entry)));
	emit_op(e, OP_W, MAP_1, 0x85, S1, rm_reg(S1));
	miss[n++] = emit_jcc(e, CC_E);
	emit_store(e, CPU(jit.tmp), H_RCX);
	emit_load(e, H_RCX, CPU(rip));
	target_slot(e, S0, H_RCX);
	emit_op(e, OP_W, MAP_1, 0x33, H_RCX, CPU(jit.space));
	emit_store(e, rm_base(S0, offsetof(struct jit_target, key)), H_RCX);
	emit_store(e, rm_base(S0, offsetof(struct jit_target, entry)), S1);
	emit_load(e, H_RCX, PAGE_GPR);
	emit_store(e, rm_base(S0, offsetof(struct jit_target, page)), H_RCX);
	/* note the page: see tlb_flush_page() */
	emit_op(e, 0, MAP_1, 0xc1, 5, rm_reg(H_RCX));
	emit_byte(e, PAGE_SHIFT);
	emit_alu_imm(e, false, 4, rm_reg(H_RCX), EXECUTED_MASK);
	emit_op(e, OP_W, MAP_0F, 0xab, H_RCX, CPU(jit.executed)); /* bts */
	emit_load(e, H_RCX, CPU(jit.tmp));
	emit_op(e, 0, MAP_1, 0xff, 4, rm_reg(S1));
	for (unsigned i = 0; i < n; i++)
		emit_patch(e, miss[i], jit->stubs.leave);
}

static const u8 caller_saved[] = {H_RAX, H_RCX, H_RDX, H_RSI, H_RDI, H_R8, H_R9, H_R10, H_R11}; /* of those that hold something */

/* C that is called with the guest's vector registers in the host's touches none: it is compiled so. But a sanitizer's run-time
 * library does, which sets and copies memory by them. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SANITIZED 1
#elif defined(__has_feature)
#define SANITIZED (__has_feature(address_sanitizer) || __has_feature(thread_sanitizer))
#else
#define SANITIZED 0
#endif

/* On the stack. Keeps the flags. */
static void vectors_aside(struct emit *e, bool back)
{
	if (!SANITIZED)
		return;
	if (!back)
		emit_lea(e, true, H_RSP, H_RSP, 0xff, 0, -256);
	for (unsigned i = 0; i < 16; i++) /* movups */
		emit_op(e, 0, MAP_0F, back ? 0x10 : 0x11, i, rm_base(H_RSP, i * 16));
	if (back)
		emit_lea(e, true, H_RSP, H_RSP, 0xff, 0, 256);
}

/* A call of C that keeps all that translated code holds in registers. ZF: it returned false. */
static void call_keeping(struct emit *e, void *fn)
{
	for (unsigned i = 0; i < ARRAY_LEN(caller_saved); i++) /* an odd number: the stack stays aligned */
		push_pop(e, 0x50, caller_saved[i]);
	vectors_aside(e, false);
	emit_load(e, H_RDI, CPU(jit.self));
	emit_mov(e, H_RSI, S0);
	emit_mov32(e, H_RDX, S1);
	emit_imm64(e, H_RAX, (u64)(uintptr_t)fn);
	emit_op(e, 0, MAP_1, 0xff, 2, rm_reg(H_RAX));
	emit_op(e, 0, MAP_1, 0x84, H_RAX, rm_reg(H_RAX));
	vectors_aside(e, true);
	for (unsigned i = ARRAY_LEN(caller_saved); i-- > 0;)
		push_pop(e, 0x58, caller_saved[i]);
	emit_byte(e, 0xc3);
}

static void build_calls(struct jit *jit, struct emit *e)
{
	jit->stubs.refill = e->p;
	call_keeping(e, lookup_refill);
	jit->stubs.window = e->p;
	call_keeping(e, lookup_window);
	jit->stubs.access_flag = e->p;
	call_keeping(e, lookup_access_flag);
	jit->stubs.load_x87 = e->p;
	call_keeping(e, fpu_load);
}

enum after { AFTER_BLOCK, AFTER_LEAVE, AFTER_ELSEWHERE };

/* The instruction has ended its block: may translated code go on at RIP by itself? */
static bool goes_on(const struct cpu *cpu, const struct jit *jit)
{
	return cpu->code_mode == CODE64 && !(cpu->careful | cpu->shadow | cpu->log.in_asm) && cpu->activity == CPU_RUNNING &&
	       !jit->full;
}

static const struct insn *op_single_end(struct cpu *cpu, const struct insn *in)
{
	cpu->rip = insn_rip(cpu, in);
	return NULL;
}

const struct insn *stubs_alone(struct jit *jit, const struct single *single)
{
	jit->alone.insn = single->insn;
	jit->alone.end.exec = op_single_end;
	jit->alone.end.off = single->insn.off + single->insn.len;
	return &jit->alone.insn;
}

/* The interpreter's turn, for one instruction. But for AFTER_BLOCK RIP is set. */
static enum after one(struct cpu *cpu, struct single *single)
{
	struct jit *jit = cpu->jit.state;

	cpu->rflags = (cpu->rflags & ~(u64)FLAGS_ARITH) | (cpu->jit.flags >> 8 & FLAGS_ARITH & 0xff) |
	              ((cpu->jit.flags & 1) ? FLAG_OF : 0);
	cpu->cc_op = CC_FLAGS;
	bool x87 = single->x87 && cpu->jit.x87;
	if (x87)
		fpu_store(cpu);
	u32 left = single->insn.left;
	cpu->block = jit->scratch;
	if (!jit->counting)
		cpu->instructions += left;
	jit->interpreted[single->rewritten][single->insn.mnemonic]++;
	const struct insn *in = single->insn.exec(cpu, stubs_alone(jit, single));
#ifndef INSN_THREADED
	if (in)
		in->exec(cpu, in);
#else
	(void)in;
#endif
	cpu->cur = NULL;
	u64 flags = flags_get(cpu);
	cpu->jit.flags = (flags & 0xff) << 8 | ((flags & FLAG_OF) ? 1 : 0);
	bool leave = single->ends || cpu->jit.leave;
	if (!jit->counting || leave)
		cpu->instructions -= left - 1;
	if (leave && cpu->jit.x87)
		fpu_store(cpu);
	if (!leave && x87)
		fpu_load(cpu);
	if (!leave)
		return AFTER_BLOCK;
	if (cpu->jit.leave || !goes_on(cpu, jit))
		return AFTER_LEAVE;
	cache_space(cpu);
	return AFTER_ELSEWHERE;
}

static void build_one(struct jit *jit, struct emit *e)
{
	jit->stubs.load_vectors = e->p;
	/* not while SSE faults, nor with unmasked exceptions, which are the interpreter's */
	byte_test(e, offsetof(struct cpu, sse_fault));
	u8 *no1 = emit_jcc(e, CC_NE);
	emit_op(e, 0, MAP_1, 0x8b, S1, CPU(mxcsr));
	emit_op(e, 0, MAP_1, 0xf7, 2, rm_reg(S1)); /* not */
	emit_op(e, 0, MAP_1, 0xf7, 0, rm_reg(S1)); /* test */
	emit_u32(e, 0x1f80);
	u8 *no2 = emit_jcc(e, CC_NE);
	vector_registers(e, true);
	mxcsr(e, true, offsetof(struct cpu, mxcsr));
	byte_set(e, offsetof(struct cpu, jit.vectors), 1);
	emit_here(e, no1);
	emit_here(e, no2);
	byte_test(e, offsetof(struct cpu, jit.vectors));
	emit_byte(e, 0xc3);

	jit->stubs.one = e->p;
	saved_flags(e, false);
	guest_registers(e, false);
	emit_op(e, 0, MAP_1, 0x8a, H_RAX, CPU(jit.vectors));
	emit_op(e, 0, MAP_1, 0x88, H_RAX, CPU(jit.vectors_kept));
	vectors_out(e);
	emit_mov(e, H_RSI, S1);
	emit_op(e, OP_W, MAP_1, 0x83, 5, rm_reg(H_RSP));
	emit_byte(e, 8);
	emit_load(e, H_RDI, CPU(jit.self));
	emit_imm64(e, H_RAX, (u64)(uintptr_t)one);
	emit_op(e, 0, MAP_1, 0xff, 2, rm_reg(H_RAX));
	emit_op(e, OP_W, MAP_1, 0x83, 0, rm_reg(H_RSP));
	emit_byte(e, 8);
	emit_byte(e, 0x3c); /* cmp al, imm8 */
	emit_byte(e, AFTER_LEAVE);
	u8 *leave = emit_jcc(e, CC_E);
	u8 *elsewhere = emit_jcc(e, CC_A);
	guest_registers(e, true);
	byte_test(e, offsetof(struct cpu, jit.vectors_kept));
	u8 *none = emit_jcc(e, CC_E);
	emit_call(e, jit->stubs.load_vectors);
	emit_here(e, none);
	saved_flags(e, true);
	emit_byte(e, 0xc3);
	emit_here(e, leave);
	emit_op(e, OP_W, MAP_1, 0x83, 0, rm_reg(H_RSP)); /* no return */
	emit_byte(e, 8);
	emit_op(e, 0, MAP_1, 0x33, H_RAX, rm_reg(H_RAX));
	epilogue(e);
	emit_here(e, elsewhere);
	emit_op(e, OP_W, MAP_1, 0x83, 0, rm_reg(H_RSP));
	emit_byte(e, 8);
	guest_registers(e, true);
	saved_flags(e, true);
	emit_load(e, S0, CPU(rip));
	emit_jmp_to(e, jit->stubs.look_up);
}

void stubs_build(struct jit *jit)
{
	struct emit *e = &jit->emit;

	build_enter(jit, e);
	build_leave(jit, e);
	build_calls(jit, e);
	build_dispatch(jit, e);
	build_dispatch_legacy(jit, e);
	jit->stubs.look_up = e->p;
	stubs_dispatch(jit, e);
	build_one(jit, e);
	jit->stubs.end = e->p;
}
