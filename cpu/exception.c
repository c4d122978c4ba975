/* SPDX-License-Identifier: MIT */
/* Raising faults, delivering events through the IDT, double and triple faults. SDM vol. 3A ch. 6 (6.12 and 6.14: handlers;
 * 6.15 table 6-5: double faults), 17.3.1.1 (RF), vol. 2 INT n (every check in its order), ch. 20 (real and V86 mode).
 *
 * Delivery computes and checks everything first and commits last, so a fault in its middle leaves the state as it was. The only
 * exception is a task gate: what fails after the switch is a fault of the new task.
 *
 * Not implemented: the machine-check exception's own rules, virtualization exceptions, shadow stacks. */
#include "cpu/exception.h"

#include <inttypes.h>
#include <stdio.h>

#include "base/err.h"
#include "cpu/access.h"
#include "cpu/control.h"
#include "cpu/flags.h"
#include "cpu/mode.h"
#include "cpu/quiet.h"
#include "cpu/segment.h"
#include "cpu/task.h"
#include "cpu/transfer.h"
#include "cpu/watch.h"

#define DEBUGCTL_CLEARED 0x43 /* LBR, BTF, TR: by #DB */

/* ---- raising ---- */

static _Noreturn void raise_fault(struct cpu *cpu, struct cpu_fault fault)
{
	if (cpu->cur)
		cpu->rip = insn_rip(cpu, cpu->cur);
	fault.rip = cpu->rip;
	cpu->fault = fault;
	if (unlikely(!cpu->fault_env))
		bug("vector %u is raised outside of an engine", fault.vector);
	longjmp(*cpu->fault_env, 1);
}

void exception_raise(struct cpu *cpu, unsigned vector)
{
	raise_fault(cpu, (struct cpu_fault){.vector = vector});
}

void exception_code(struct cpu *cpu, unsigned vector, u32 code)
{
	raise_fault(cpu, (struct cpu_fault){.vector = vector, .has_code = true, .code = code});
}

/* DR6 tells the conditions of the last debug exception: B0 to B3 are no longer those of the one before. BD, BS and BT stay until
 * software clears them (SDM 3B 18.2.3). */
static void debug_status(struct cpu *cpu, u64 conditions)
{
	cpu->dr[6] = (cpu->dr[6] & ~DR6_HITS) | (conditions & DR6_WRITABLE);
}

void exception_debug(struct cpu *cpu, u64 condition)
{
	debug_status(cpu, condition);
	exception_raise(cpu, EXC_DB);
}

void exception_wait(struct cpu *cpu)
{
	raise_fault(cpu, (struct cpu_fault){.waits = true});
}

void exception_page_fault(struct cpu *cpu, u64 linear, u32 code)
{
	raise_fault(cpu, (struct cpu_fault){.vector = EXC_PF, .has_code = true, .code = code, .cr2 = linear});
}

/* ---- delivering ---- */

struct event {
	u8 vector;
	u8 kind; /* enum event_kind */
	bool has_code;
	u32 code;
	u32 ext;    /* EXT bit of nested error codes */
	u64 rflags; /* as pushed */
};

static void deliver_real(struct cpu *cpu, const struct event *e)
{
	struct transfer_stack stack = transfer_stack_now(cpu);
	struct transfer_frame frame = {.size = 2};

	if (e->vector * 4 + 3 > cpu->idtr.limit)
		exception_gp(cpu, e->vector * 8 | 2 | e->ext);
	u32 target = sys_read(cpu, cpu->idtr.base + e->vector * 4, 4);
	transfer_add(&frame, e->rflags);
	transfer_add(&frame, cpu->seg[SEG_CS].selector);
	transfer_add(&frame, cpu->rip);
	transfer_check_room(cpu, &stack, &frame, 0);
	transfer_push(cpu, &stack, &frame);

	transfer_set_stack(cpu, &stack);
	flags_set(cpu, flags_get(cpu) & ~(u64)(FLAG_IF | FLAG_TF | FLAG_AC | FLAG_RF));
	segment_load_real(cpu, SEG_CS, target >> 16);
	cpu->rip = target & 0xffff;
	mode_update(cpu);
}

/* What is pushed below the return address of the interrupted program; the flags and the rest follow in all modes. */
static void add_old_stack(struct cpu *cpu, struct transfer_frame *frame, bool v86)
{
	static const u8 data[] = {SEG_GS, SEG_FS, SEG_DS, SEG_ES};

	for (unsigned i = 0; v86 && i < ARRAY_LEN(data); i++)
		transfer_add(frame, cpu->seg[data[i]].selector);
	transfer_add(frame, cpu->seg[SEG_SS].selector);
	transfer_add(frame, cpu->gpr[RSP]);
}

/* An interrupt or trap gate. */
static void deliver_gate(struct cpu *cpu, const struct event *e, unsigned type, u64 gate, u64 gate_high)
{
	bool v86 = mode_v86(cpu), wide = cpu->long_mode;
	u16 selector = gate >> 16;
	u64 rip = (gate & 0xffff) | (gate >> 32 & 0xffff0000) | gate_high << 32;
	unsigned ist = wide ? gate >> 32 & 7 : 0;
	struct descriptor cs;
	unsigned cpl = transfer_check_gate(cpu, selector, e->ext, false, &cs);

	if (v86 && cpl)
		exception_gp(cpu, (selector & SELECTOR_CODE) | e->ext);
	bool inner = cpl != cpu->cpl;
	struct transfer_stack stack;
	if (inner || ist)
		stack = transfer_stack_inner(cpu, cpl, ist, e->ext);
	else
		stack = transfer_stack_now(cpu);
	if (wide) {
		stack.width = 8;
		stack.sp &= ~15ull;
	}

	struct transfer_frame frame = {.size = wide ? 8 : type & 8 ? 4 : 2};
	if (inner || wide)
		add_old_stack(cpu, &frame, v86);
	transfer_add(&frame, e->rflags);
	transfer_add(&frame, cpu->seg[SEG_CS].selector);
	transfer_add(&frame, cpu->rip);
	if (e->has_code)
		transfer_add(&frame, e->code);
	transfer_check_room(cpu, &stack, &frame, (inner ? stack.seg.selector & SELECTOR_CODE : 0) | e->ext);
	if (frame.size == 2)
		rip &= 0xffff;
	transfer_check_rip(cpu, &cs, rip, e->ext);
	transfer_touch(cpu, &stack, &cs);
	transfer_push(cpu, &stack, &frame);

	transfer_set_stack(cpu, &stack);
	bool interrupt = !(type & 1);
	flags_set(cpu, flags_get(cpu) & ~(u64)(FLAG_TF | FLAG_NT | FLAG_RF | FLAG_VM | (interrupt ? FLAG_IF : 0)));
	for (unsigned i = 0; v86 && i < SEG_COUNT; i++)
		if (i != SEG_CS && i != SEG_SS)
			segment_load_null(cpu, i, 0);
	transfer_enter(cpu, selector, &cs, cpl, rip);
}

static bool gate_type_valid(const struct cpu *cpu, unsigned type)
{
	const u32 legacy = 1u << SYS_TASK_GATE | 1u << SYS_INT16 | 1u << SYS_TRAP16 | 1u << SYS_INT | 1u << SYS_TRAP;
	const u32 wide = 1u << SYS_INT | 1u << SYS_TRAP;

	return (cpu->long_mode ? wide : legacy) >> type & 1;
}

static void deliver_protected(struct cpu *cpu, const struct event *e)
{
	u32 size = cpu->long_mode ? 16 : 8, code = e->vector * 8 | 2 | e->ext;
	u64 linear = cpu->idtr.base + e->vector * size;

	if (e->vector * size + size - 1 > cpu->idtr.limit)
		exception_gp(cpu, code);
	u64 gate = sys_read(cpu, linear, 8), high = cpu->long_mode ? sys_read(cpu, linear + 8, 8) : 0;
	u32 attr = gate >> 40 & 0xff;
	unsigned type = segment_system_type(attr);
	if (!gate_type_valid(cpu, type))
		exception_gp(cpu, code);
	if (e->kind == EVENT_SOFT && segment_dpl(attr) < cpu->cpl)
		exception_gp(cpu, code);
	if (!(attr & SEG_P))
		exception_code(cpu, EXC_NP, code);
	if (type == SYS_TASK_GATE) {
		struct task_switch how = {
			.how = TASK_CALL, .rip = cpu->rip, .rflags = e->rflags, .ext = e->ext, .has_code = e->has_code, .code = e->code,
		};
		task_enter_gate(cpu, gate >> 16, &how);
	} else {
		deliver_gate(cpu, e, type, gate, high);
	}
}

static void log_event(struct cpu *cpu, const struct event *e)
{
	static const char *const kinds[] = {
		[EVENT_EXTERNAL] = "external", [EVENT_FAULT] = "exception", [EVENT_SOFT] = "software", [EVENT_ICEBP] = "int1",
	};

	fprintf(cpu->log.file,
	        "int v=%02x e=%04x %s cpl=%u IP=%04x:%016" PRIx64 " SP=%04x:%016" PRIx64 " FL=%08" PRIx64 " CR2=%016" PRIx64 "\n",
	        e->vector, e->code, kinds[e->kind], cpu->cpl, cpu->seg[SEG_CS].selector, cpu->rip, cpu->seg[SEG_SS].selector,
	        cpu->gpr[RSP], e->rflags, cpu->cr2);
}

static void deliver(struct cpu *cpu, const struct event *e)
{
	if (unlikely(cpu->log.interrupts && cpu->log.file))
		log_event(cpu, e);
	if (mode_protected(cpu))
		deliver_protected(cpu, e);
	else
		deliver_real(cpu, e);
	watch_seen(cpu, WATCH_VECTOR, e->vector);
	if (e->vector == EXC_DB && e->kind == EVENT_ICEBP) { /* one #DB also for what MOV SS has put off */
		debug_status(cpu, cpu->pending_db);
		cpu->pending_db = 0;
	}
	if (e->vector == EXC_DB && e->kind != EVENT_SOFT) { /* SDM 3B 18.2.4, 18.4.4: the handler has its hands free */
		cpu->dr[7] &= ~DR7_GD;
		cpu->debugctl &= ~(u64)DEBUGCTL_CLEARED;
	}
}

void exception_deliver(struct cpu *cpu, unsigned vector, enum event_kind kind, bool has_code, u32 code)
{
	struct event e = {
		.vector = vector, .kind = kind, .has_code = has_code, .code = code, .ext = kind != EVENT_SOFT, .rflags = flags_get(cpu),
	};

	deliver(cpu, &e);
}

/* ---- when delivery fails ---- */

enum fault_class { CLASS_BENIGN, CLASS_CONTRIBUTORY, CLASS_PAGE_FAULT, CLASS_DOUBLE };

static enum fault_class fault_class(const struct event *e)
{
	if (e->kind != EVENT_FAULT)
		return CLASS_BENIGN;
	switch (e->vector) {
	case EXC_DE: case EXC_TS: case EXC_NP: case EXC_SS: case EXC_GP: return CLASS_CONTRIBUTORY;
	case EXC_PF: return CLASS_PAGE_FAULT;
	case EXC_DF: return CLASS_DOUBLE;
	default: return CLASS_BENIGN;
	}
}

/* RF as pushed: set by faults, so that the instruction is not stopped twice by its breakpoint. Those breakpoints themselves
 * leave it to their handler; the general-detect fault does not. */
static bool fault_sets_rf(const struct cpu *cpu, unsigned vector)
{
	if (vector == EXC_DB)
		return (cpu->dr[6] & DR6_BD) && !(cpu->dr[6] & 0xf);
	return vector != EXC_DF && vector != EXC_MC;
}

static struct event event_of_fault(struct cpu *cpu, const struct cpu_fault *fault)
{
	struct event e = {
		.vector = fault->vector, .kind = EVENT_FAULT, .has_code = fault->has_code, .code = fault->code, .ext = 1,
		.rflags = flags_get(cpu),
	};

	if (fault_sets_rf(cpu, fault->vector))
		e.rflags |= FLAG_RF;
	if (fault->vector == EXC_PF)
		cpu->cr2 = fault->cr2;
	return e;
}

static void chain_add(struct cpu *cpu, const struct cpu_fault *fault)
{
	if (cpu->chain_len == FAULT_CHAIN) {
		memmove(cpu->chain, cpu->chain + 1, sizeof cpu->chain - sizeof cpu->chain[0]);
		cpu->chain_len--;
	}
	cpu->chain[cpu->chain_len++] = *fault;
}

/* False: the delivery itself faulted, cpu->fault tells how. */
static bool attempt(struct cpu *cpu, const struct event *e)
{
	jmp_buf env, *const outer = cpu->fault_env;
	const bool nested = cpu->delivering;

	cpu->cur = NULL;
	cpu->delivering = true;
	cpu->fault_env = &env;
	bool done = !setjmp(env);
	if (done)
		deliver(cpu, e);
	cpu->fault_env = outer;
	cpu->delivering = nested;
	return done;
}

static bool triple_fault(struct cpu *cpu)
{
	if (cpu->log.interrupts && cpu->log.file)
		fprintf(cpu->log.file, "triple fault\n");
	cpu->activity = CPU_SHUTDOWN;
	if (cpu->host.triple_fault) {
		bool inside = quiet_leave(cpu);
		cpu->host.triple_fault(cpu->host.opaque, cpu);
		quiet_enter(cpu, inside);
	}
	return false;
}

/* A handler that faults on its own entry with a benign exception would keep a real CPU busy for ever; here the engine gets the
 * word again, and the guest's loop goes on through it. */
#define BENIGN_MAX 16

/* Deliver, and what comes of it. */
static bool run(struct cpu *cpu, struct event e)
{
	cpu->dr6_hits = 0;
	for (unsigned rounds = 0; !attempt(cpu, &e); rounds++) {
		struct event next = event_of_fault(cpu, &cpu->fault);
		enum fault_class first = fault_class(&e), second = fault_class(&next);

		chain_add(cpu, &cpu->fault);
		if (second == CLASS_BENIGN && rounds >= BENIGN_MAX)
			return true;
		bool serious = second != CLASS_BENIGN;
		if (first == CLASS_DOUBLE && serious)
			return triple_fault(cpu);
		if ((first == CLASS_CONTRIBUTORY && second == CLASS_CONTRIBUTORY) || (first == CLASS_PAGE_FAULT && serious)) {
			struct cpu_fault fault = {.vector = EXC_DF, .has_code = true, .rip = cpu->rip};
			chain_add(cpu, &fault);
			next = event_of_fault(cpu, &fault);
		}
		e = next;
	}
	return true;
}

/* Data breakpoints that the delivery itself hit are traps before the handler's first instruction. Once: a #DB handler whose
 * stack is watched would never be reached. */
static bool run_with_traps(struct cpu *cpu, struct event e)
{
	if (!run(cpu, e))
		return false;
	if (likely(!cpu->dr6_hits))
		return true;
	debug_status(cpu, cpu->dr6_hits);
	bool running = run(cpu, (struct event){.vector = EXC_DB, .kind = EVENT_FAULT, .ext = 1, .rflags = flags_get(cpu)});
	cpu->dr6_hits = 0;
	return running;
}

/* The instruction is as if it had not begun; a breakpoint at it has been taken. */
static bool wait_again(struct cpu *cpu)
{
	cpu->rflags |= FLAG_RF;
	mode_flags_changed(cpu);
	return true;
}

bool exception_dispatch(struct cpu *cpu)
{
	cpu->cur = NULL;
	cpu->link_from = NULL;
	if (unlikely(cpu->fault.waits))
		return wait_again(cpu);
	cpu->pending_db = 0; /* what MOV SS has put off is lost when the instruction behind it faults */
	cpu->chain_len = 0;
	chain_add(cpu, &cpu->fault);
	return run_with_traps(cpu, event_of_fault(cpu, &cpu->fault));
}

bool exception_interrupt(struct cpu *cpu, unsigned vector, enum event_kind kind)
{
	cpu->cur = NULL;
	cpu->link_from = NULL;
	cpu->chain_len = 0;
	return run_with_traps(cpu, (struct event){.vector = vector, .kind = kind, .ext = kind != EVENT_SOFT, .rflags = flags_get(cpu)});
}

void exception_traps(struct cpu *cpu)
{
	debug_status(cpu, cpu->pending_db);
	cpu->pending_db = 0;
	cpu->shadow = SHADOW_NONE;
	cpu->activity = CPU_RUNNING;
	exception_interrupt(cpu, EXC_DB, EVENT_FAULT);
	mode_flags_changed(cpu);
}

void exception_breakpoint(struct cpu *cpu, u64 conditions)
{
	debug_status(cpu, conditions);
	cpu->fault = (struct cpu_fault){.vector = EXC_DB, .rip = cpu->rip};
	exception_dispatch(cpu);
}
