/* SPDX-License-Identifier: MIT */
/* struct cpu to and from KVM: registers, segments, control and debug registers, XCR0, pending events, the TSC.
 *
 * What KVM may hold between two instructions and struct cpu has no place for is brought to an end here: an interrupt or exception
 * that was taken and not delivered is delivered by exception.c. One of a software interrupt is dropped: RIP still stands at the
 * instruction, which comes again.
 *
 * Where KVM cannot set a guest's TSC (in software), the guest sees the host's, under other engines too from then on.
 * Known differences of a state that went through KVM: FCS and FDS are 0 (kvm_fpu.c); unusable segments have base, limit and type as
 * the host's CPU leaves them; a present segment is marked accessed. */
#include "cpu/kvm_private.h"

#include <errno.h>
#include <sys/ioctl.h>

#include "cpu/access.h"
#include "cpu/code.h"
#include "cpu/control.h"
#include "cpu/exception.h"
#include "cpu/flags.h"
#include "cpu/mode.h"
#include "cpu/quiet.h"

/* TSCs of several CPUs may differ by what it takes to read them: a smaller difference is no difference. */
#define TSC_SLACK_NS 100000ull

bool kvm_state_refused(struct kvm_vcpu *vcpu, const char *what)
{
	snprintf(vcpu->why, sizeof vcpu->why, "KVM refuses %s: %s", what, strerror(errno));
	return false;
}

/* ---- segments ---- */

static struct kvm_segment segment_out(const struct seg *s)
{
	return (struct kvm_segment){
		.base = s->base, .limit = s->limit, .selector = s->selector, .type = s->attr & SEG_TYPE,
		.present = (s->attr & SEG_P) && !(s->attr & SEG_UNUSABLE), .dpl = s->attr >> SEG_DPL_SHIFT & 3, .db = !!(s->attr & SEG_DB),
		.s = !!(s->attr & SEG_S), .l = !!(s->attr & SEG_L), .avl = !!(s->attr & SEG_AVL), .unusable = !!(s->attr & SEG_UNUSABLE),
		/* VM entry checks that the limit is one that G could have given */
		.g = s->limit > 0xfffff || ((s->attr & SEG_G) && (s->limit & 0xfff) == 0xfff),
	};
}

static void segment_in(struct seg *to, const struct kvm_segment *s)
{
	struct seg now = {.base = s->base, .limit = s->limit, .selector = s->selector,
	                  .attr = s->type | s->s << 4 | s->dpl << SEG_DPL_SHIFT | s->present << 7 | s->avl << 12 | s->l << 13 |
	                          (u32)s->db << 14 | (u32)s->g << 15};

	if (s->unusable || !s->present) /* nothing of it counts but the privilege level of SS */
		now = (struct seg){.selector = s->selector, .base = s->base, .attr = SEG_UNUSABLE | s->dpl << SEG_DPL_SHIFT};
	if ((to->attr & SEG_UNUSABLE) && (now.attr & SEG_UNUSABLE) && to->selector == now.selector && to->base == now.base &&
	    !((to->attr ^ now.attr) & SEG_DPL))
		return;
	*to = now;
}

/* In KVM's order. */
#define SEGMENTS(X) X(cs, seg[SEG_CS]) X(ds, seg[SEG_DS]) X(es, seg[SEG_ES]) X(fs, seg[SEG_FS]) X(gs, seg[SEG_GS]) \
	X(ss, seg[SEG_SS]) X(tr, tr) X(ldt, ldtr)

static u64 apic_base(struct cpu *cpu)
{
	u64 base = 0xfee00000 | BIT(11) | (cpu->index ? 0 : BIT(8));

	if (cpu->intc.get_base) {
		bool inside = quiet_lock(cpu);
		base = cpu->intc.get_base(cpu->intc.opaque);
		quiet_unlock(cpu, inside);
	}
	return base;
}

static u64 cr8(struct cpu *cpu)
{
	return cpu->intc.get_cr8 ? control_cr8(cpu) : 0;
}

static bool push_sregs(struct kvm_vcpu *vcpu)
{
	struct cpu *cpu = vcpu->cpu;
	struct kvm_sregs2 s2 = {0};
	struct kvm_sregs s = {0};

#define OUT(theirs, ours) s.theirs = segment_out(&cpu->ours);
	SEGMENTS(OUT)
#undef OUT
	s.gdt = (struct kvm_dtable){.base = cpu->gdtr.base, .limit = cpu->gdtr.limit};
	s.idt = (struct kvm_dtable){.base = cpu->idtr.base, .limit = cpu->idtr.limit};
	s.cr0 = cpu->cr0;
	s.cr2 = cpu->cr2;
	s.cr3 = cpu->cr3;
	s.cr4 = cpu->cr4;
	s.efer = cpu->efer;
	s.cr8 = vcpu->run->cr8 = cr8(cpu);
	s.apic_base = vcpu->run->apic_base = apic_base(cpu);
	if (!vcpu->vm->sregs2)
		return ioctl(vcpu->fd, KVM_SET_SREGS, &s) == 0 || kvm_state_refused(vcpu, "the system registers");
	memcpy(&s2, &s, offsetof(struct kvm_sregs, interrupt_bitmap));
	if ((cpu->cr0 & CR0_PG) && (cpu->cr4 & CR4_PAE) && !(cpu->efer & EFER_LMA)) {
		s2.flags = KVM_SREGS2_FLAGS_PDPTRS_VALID;
		memcpy(s2.pdptrs, cpu->pdpte, sizeof s2.pdptrs);
	}
	return ioctl(vcpu->fd, KVM_SET_SREGS2, &s2) == 0 || kvm_state_refused(vcpu, "the system registers");
}

static bool pull_sregs(struct kvm_vcpu *vcpu)
{
	struct cpu *cpu = vcpu->cpu;
	struct kvm_sregs2 s2 = {0};
	struct kvm_sregs s = {0};

	if (vcpu->vm->sregs2 ? ioctl(vcpu->fd, KVM_GET_SREGS2, &s2) : ioctl(vcpu->fd, KVM_GET_SREGS, &s))
		return kvm_state_refused(vcpu, "to give the system registers");
	if (vcpu->vm->sregs2)
		memcpy(&s, &s2, offsetof(struct kvm_sregs, interrupt_bitmap));
#define IN(theirs, ours) segment_in(&cpu->ours, &s.theirs);
	SEGMENTS(IN)
#undef IN
	cpu->gdtr = (struct table_reg){.base = s.gdt.base, .limit = s.gdt.limit};
	cpu->idtr = (struct table_reg){.base = s.idt.base, .limit = s.idt.limit};
	cpu->cr0 = s.cr0;
	cpu->cr2 = s.cr2;
	cpu->cr3 = s.cr3;
	cpu->cr4 = s.cr4;
	cpu->efer = s.efer;
	cpu->cpl = !(cpu->cr0 & CR0_PE) ? 0 : s.ss.dpl;
	if ((cpu->cr0 & CR0_PG) && (cpu->cr4 & CR4_PAE) && !(cpu->efer & EFER_LMA)) {
		if (s2.flags & KVM_SREGS2_FLAGS_PDPTRS_VALID)
			memcpy(cpu->pdpte, s2.pdptrs, sizeof s2.pdptrs);
		else
			paging_load_pdptes(cpu, cpu->cr3);
	}
	return true;
}

/* ---- general and debug registers, XCR0 ---- */

#define GPRS(X) X(rax, RAX) X(rbx, RBX) X(rcx, RCX) X(rdx, RDX) X(rsi, RSI) X(rdi, RDI) X(rsp, RSP) X(rbp, RBP) X(r8, R8) \
	X(r9, R9) X(r10, R10) X(r11, R11) X(r12, R12) X(r13, R13) X(r14, R14) X(r15, R15)

static bool push_regs(struct kvm_vcpu *vcpu)
{
	struct cpu *cpu = vcpu->cpu;
	struct kvm_regs r = {.rip = cpu->rip, .rflags = flags_get(cpu)};

#define OUT(theirs, ours) r.theirs = cpu->gpr[ours];
	GPRS(OUT)
#undef OUT
	return ioctl(vcpu->fd, KVM_SET_REGS, &r) == 0 || kvm_state_refused(vcpu, "the registers");
}

static bool pull_regs(struct kvm_vcpu *vcpu)
{
	struct cpu *cpu = vcpu->cpu;
	struct kvm_regs r;

	if (ioctl(vcpu->fd, KVM_GET_REGS, &r))
		return kvm_state_refused(vcpu, "to give the registers");
#define IN(theirs, ours) cpu->gpr[ours] = r.theirs;
	GPRS(IN)
#undef IN
	cpu->rip = r.rip;
	flags_set(cpu, r.rflags | FLAG_1);
	return true;
}

static bool push_debugregs(struct kvm_vcpu *vcpu)
{
	const u64 *dr = vcpu->cpu->dr;
	struct kvm_debugregs d = {.db = {dr[0], dr[1], dr[2], dr[3]}, .dr6 = dr[6], .dr7 = dr[7]};

	return ioctl(vcpu->fd, KVM_SET_DEBUGREGS, &d) == 0 || kvm_state_refused(vcpu, "the debug registers");
}

static bool pull_debugregs(struct kvm_vcpu *vcpu)
{
	struct kvm_debugregs d;
	u64 *dr = vcpu->cpu->dr;

	if (ioctl(vcpu->fd, KVM_GET_DEBUGREGS, &d))
		return kvm_state_refused(vcpu, "to give the debug registers");
	memcpy(dr, d.db, sizeof d.db);
	dr[6] = d.dr6 | DR6_FIXED;
	dr[7] = d.dr7 | DR7_FIXED;
	return true;
}

static bool uses_xcr0(const struct kvm_vcpu *vcpu)
{
	return vcpu->vm->xcrs && cpu_has(vcpu->cpu, FEAT_XSAVE);
}

static bool push_xcr0(struct kvm_vcpu *vcpu)
{
	struct kvm_xcrs x = {.nr_xcrs = 1, .xcrs[0] = {.xcr = 0, .value = vcpu->cpu->xcr0}};

	return !uses_xcr0(vcpu) || ioctl(vcpu->fd, KVM_SET_XCRS, &x) == 0 || kvm_state_refused(vcpu, "XCR0");
}

static bool pull_xcr0(struct kvm_vcpu *vcpu)
{
	struct kvm_xcrs x = {0};

	if (!uses_xcr0(vcpu))
		return true;
	if (ioctl(vcpu->fd, KVM_GET_XCRS, &x))
		return kvm_state_refused(vcpu, "to give XCR0");
	for (u32 i = 0; i < x.nr_xcrs && i < KVM_MAX_XCRS; i++)
		if (x.xcrs[i].xcr == 0)
			vcpu->cpu->xcr0 = x.xcrs[i].value;
	return true;
}

/* ---- events ---- */

static bool push_events(struct kvm_vcpu *vcpu)
{
	static const u8 shadows[] = {[SHADOW_STI] = KVM_X86_SHADOW_INT_STI, [SHADOW_MOV_SS] = KVM_X86_SHADOW_INT_MOV_SS};
	struct cpu *cpu = vcpu->cpu;
	struct kvm_vcpu_events e = {.flags = KVM_VCPUEVENT_VALID_NMI_PENDING | KVM_VCPUEVENT_VALID_SHADOW};
	struct kvm_mp_state mp = {.mp_state = KVM_MP_STATE_RUNNABLE};

	e.nmi.masked = cpu->nmi_blocked != 0;
	e.interrupt.shadow = shadows[cpu->shadow];
	if (ioctl(vcpu->fd, KVM_SET_VCPU_EVENTS, &e))
		return kvm_state_refused(vcpu, "the pending events");
	vcpu->ready = (flags_get(cpu) & FLAG_IF) && !cpu->shadow;
	return ioctl(vcpu->fd, KVM_SET_MP_STATE, &mp) == 0 || kvm_state_refused(vcpu, "to run");
}

/* What cannot be told by flags and requests; delivered when all registers are here. */
struct undelivered {
	bool there, external, has_code;
	u8 vector;
	u32 code;
};

static bool pull_events(struct kvm_vcpu *vcpu, struct undelivered *u)
{
	struct cpu *cpu = vcpu->cpu;
	struct kvm_vcpu_events e;

	if (ioctl(vcpu->fd, KVM_GET_VCPU_EVENTS, &e))
		return kvm_state_refused(vcpu, "to give the pending events");
	cpu->shadow = e.interrupt.shadow & KVM_X86_SHADOW_INT_MOV_SS ? SHADOW_MOV_SS :
	              e.interrupt.shadow & KVM_X86_SHADOW_INT_STI    ? SHADOW_STI :
	                                                               SHADOW_NONE;
	cpu->nmi_blocked = e.nmi.masked;
	if (e.nmi.injected) /* taken, and the handler not reached: it comes again */
		cpu->nmi_blocked = false;
	if (e.nmi.pending || e.nmi.injected)
		cpu_request(cpu, CPU_REQ_NMI);
	bool soft_exception = e.exception.nr == EXC_BP || e.exception.nr == EXC_OF;
	/* an instruction that KVM gives up on has a #UD queued with it, unless it was asked not to (kvm_vm.c) */
	bool given_up = vcpu->gave_up && e.exception.nr == EXC_UD;
	vcpu->gave_up = false;
	*u = (struct undelivered){0};
	if (e.exception.injected && !soft_exception && !given_up)
		*u = (struct undelivered){true, false, e.exception.has_error_code, e.exception.nr, e.exception.error_code};
	else if (e.interrupt.injected && !e.interrupt.soft)
		*u = (struct undelivered){true, true, false, e.interrupt.nr, 0};
	else if (vcpu->held)
		*u = (struct undelivered){true, true, false, vcpu->held_vector, 0};
	vcpu->held = false;
	return true;
}

static void deliver(struct cpu *cpu, const struct undelivered *u)
{
	if (!u->there)
		return;
	cpu->shadow = SHADOW_NONE;
	if (u->external) {
		exception_interrupt(cpu, u->vector, EVENT_EXTERNAL);
		return;
	}
	cpu->fault = (struct cpu_fault){
		.vector = u->vector, .has_code = u->has_code, .code = u->code, .rip = cpu->rip, .cr2 = cpu->cr2,
	};
	cpu->cur = NULL;
	exception_dispatch(cpu);
}

/* ---- time ---- */

static bool get_tsc(struct kvm_vcpu *vcpu, u64 *tsc)
{
	struct {
		struct kvm_msrs head;
		struct kvm_msr_entry entry;
	} m = {.head.nmsrs = 1, .entry.index = 0x10};

	if (ioctl(vcpu->fd, KVM_GET_MSRS, &m) != 1)
		return false;
	*tsc = m.entry.data;
	return true;
}

static bool differs(const struct cpu *cpu, u64 a, u64 b)
{
	u64 slack = (u64)((u128)TSC_SLACK_NS * cpu->tsc_hz / NS_PER_S);

	return a - b + slack > 2 * slack;
}

static bool push_tsc(struct kvm_vcpu *vcpu)
{
	u64 now, there;

	if (!vcpu->vm->tsc_moves || (vcpu->tsc_set && get_tsc(vcpu, &there) && !differs(vcpu->cpu, there, cpu_tsc(vcpu->cpu))))
		return true;
	now = cpu_tsc(vcpu->cpu);
	struct {
		struct kvm_msrs head;
		struct kvm_msr_entry entry;
	} m = {.head.nmsrs = 1, .entry = {.index = 0x10, .data = now}};
	if (ioctl(vcpu->fd, KVM_SET_MSRS, &m) != 1)
		return kvm_state_refused(vcpu, "the TSC");
	vcpu->tsc_set = true;
	return true;
}

/* The guest may have written it, and the host's TSC and clock drift apart. It never goes back. */
static bool pull_tsc(struct kvm_vcpu *vcpu)
{
	struct cpu *cpu = vcpu->cpu;
	u64 there;

	if (!get_tsc(vcpu, &there))
		return kvm_state_refused(vcpu, "to give the TSC");
	u64 here = cpu_tsc(cpu);
	if (differs(cpu, there, here) || (cpu->count == 1 && (i64)(there - here) > 0))
		cpu->tsc_offset += there - here;
	return true;
}

/* ---- all of it ---- */

bool kvm_state_push(struct kvm_vcpu *vcpu)
{
	/* MSRs after the segments, whose EFER they need; TSC_ADJUST and the TSC move each other */
	bool ok = push_sregs(vcpu) && push_regs(vcpu) && push_xcr0(vcpu) && kvm_fpu_push(vcpu) && push_debugregs(vcpu) &&
	          push_tsc(vcpu) && kvm_msr_push(vcpu) && push_events(vcpu);

	vcpu->loaded = ok;
	vcpu->incomplete = false;
	return ok;
}

bool kvm_state_pull(struct kvm_vcpu *vcpu)
{
	struct cpu *cpu = vcpu->cpu;
	struct undelivered undelivered = {0};

	if (!(pull_sregs(vcpu) && pull_regs(vcpu) && pull_xcr0(vcpu) && kvm_fpu_pull(vcpu) && pull_debugregs(vcpu) && pull_tsc(vcpu) &&
	      kvm_msr_pull(vcpu) && pull_events(vcpu, &undelivered)))
		return false;
	cpu->cur = NULL;
	cpu->block = NULL;
	cpu->link_from = NULL;
	cpu->pending_db = cpu->dr6_hits = 0;
	mode_update(cpu);
	/* what was cached of memory and page tables is void; nothing was cached since if the counters say so */
	if (cpu->statistics[STAT_TLB_FILL] != vcpu->filled)
		tlb_flush_all(cpu);
	if (cpu->statistics[STAT_DECODED] != vcpu->decoded)
		code_flush(cpu);
	deliver(cpu, &undelivered);
	vcpu->filled = cpu->statistics[STAT_TLB_FILL];
	vcpu->decoded = cpu->statistics[STAT_DECODED];
	if (undelivered.there) {
		vcpu->loaded = false;
		tlb_flush_all(cpu);
	}
	return true;
}
