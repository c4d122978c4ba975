/* SPDX-License-Identifier: MIT */
/* The KVM engine: KVM_RUN, what it comes back with, and how events get in. Documentation/virt/kvm/api.rst 5 (struct kvm_run).
 *
 * Interrupt controllers, devices and most MSRs are ours, as under every engine: nothing of a guest's state lives in KVM while the
 * CPU stands still. What KVM cannot do - system management mode, a closed A20 gate, a debugger's single instructions, a delayed
 * debug trap - the interpreter does in between. When KVM cannot go on at all the engine stops with ENGINE_UNABLE, the state is that
 * before the instruction, and another engine takes over.
 *
 * A CPU in KVM_RUN counts as inside (quiet.h): whoever waits for it kicks it out.
 * Not implemented: counting of instructions (budgets are the interpreter's); FERR# of a pending x87 exception with CR0.NE = 0, of
 * which KVM does not tell; in-kernel interrupt controllers. */
#include "cpu/kvm_private.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/ioctl.h>

#include "cpu/access.h"
#include "cpu/code.h"
#include "cpu/control.h"
#include "cpu/exception.h"
#include "cpu/flags.h"
#include "cpu/interp.h"
#include "cpu/mode.h"
#include "cpu/msr.h"
#include "cpu/quiet.h"

#define INTERP_CHUNK 1000 /* instructions at most before KVM is tried again */
#define EVENTS (CPU_REQ_INIT | CPU_REQ_SIPI | CPU_REQ_SMI)

/* ---- exits ---- */

/* False: the engine cannot go on; vcpu->why says so. */
typedef bool exit_fn(struct kvm_vcpu *vcpu, enum engine_stop *stop);

/* The port of VMware's calls, whose arguments and answers are in registers; KVM itself sets RAX when the IN is finished. */
enum { REGISTER_PORT = 0x5658 };

static u32 register_call(struct kvm_vcpu *vcpu, unsigned size)
{
	struct cpu *cpu = vcpu->cpu;
	struct kvm_regs regs;

	if (ioctl(vcpu->fd, KVM_GET_REGS, &regs))
		return ~0u;
	__u64 *const there[] = {[RAX] = &regs.rax, [RCX] = &regs.rcx, [RDX] = &regs.rdx, [RBX] = &regs.rbx, [RSP] = NULL, [RBP] = NULL,
	                        [RSI] = &regs.rsi, [RDI] = &regs.rdi};
	for (unsigned i = 0; i < ARRAY_LEN(there); i++)
		if (there[i])
			cpu->gpr[i] = *there[i];
	u32 value = bus_in(cpu->bus, REGISTER_PORT, size);
	for (unsigned i = 0; i < ARRAY_LEN(there); i++)
		if (there[i])
			*there[i] = cpu->gpr[i];
	ioctl(vcpu->fd, KVM_SET_REGS, &regs);
	return value;
}

static bool exit_io(struct kvm_vcpu *vcpu, enum engine_stop *stop)
{
	struct kvm_run *run = vcpu->run;
	u8 *data = (u8 *)run + run->io.data_offset;
	unsigned size = run->io.size;
	bool inside = quiet_leave(vcpu->cpu);

	(void)stop;
	for (u32 i = 0; i < run->io.count; i++, data += size) {
		u32 value = 0;
		if (run->io.direction == KVM_EXIT_IO_OUT) {
			memcpy(&value, data, size);
			bus_out(vcpu->cpu->bus, run->io.port, value, size);
		} else {
			value = run->io.port == REGISTER_PORT && run->io.count == 1 ? register_call(vcpu, size) :
			                                                              bus_in(vcpu->cpu->bus, run->io.port, size);
			memcpy(data, &value, size);
		}
	}
	quiet_enter(vcpu->cpu, inside);
	vcpu->incomplete = true;
	return true;
}

static bool exit_mmio(struct kvm_vcpu *vcpu, enum engine_stop *stop)
{
	struct kvm_run *run = vcpu->run;
	u64 gpa = run->mmio.phys_addr & vcpu->cpu->bus->a20_mask, value = 0;

	(void)stop;
	/* lengths of 3, 5, 6, 7 are what is left of an access that crosses a page */
	for (u32 done = 0, size; done < run->mmio.len; done += size) {
		u32 left = run->mmio.len - done;
		size = left >= 8 ? 8 : left >= 4 ? 4 : left >= 2 ? 2 : 1;
		if (run->mmio.is_write) {
			memcpy(&value, run->mmio.data + done, size);
			access_device_write(vcpu->cpu, gpa + done, value & mask_bytes(size), size);
		} else {
			value = access_device_read(vcpu->cpu, gpa + done, size);
			memcpy(run->mmio.data + done, &value, size);
		}
	}
	vcpu->incomplete = true;
	return true;
}

static bool exit_rdmsr(struct kvm_vcpu *vcpu, enum engine_stop *stop)
{
	u64 value = 0;

	(void)stop;
	vcpu->run->msr.error = !msr_read(vcpu->cpu, vcpu->run->msr.index, &value);
	vcpu->run->msr.data = value;
	vcpu->incomplete = true;
	return true;
}

static bool exit_wrmsr(struct kvm_vcpu *vcpu, enum engine_stop *stop)
{
	(void)stop;
	vcpu->run->msr.error = !msr_write(vcpu->cpu, vcpu->run->msr.index, vcpu->run->msr.data);
	vcpu->incomplete = true;
	return true;
}

static bool exit_hlt(struct kvm_vcpu *vcpu, enum engine_stop *stop)
{
	(void)stop;
	vcpu->cpu->activity = CPU_HALTED;
	return true;
}

/* KVM has met a triple fault, and what led to it is lost. */
static bool exit_shutdown(struct kvm_vcpu *vcpu, enum engine_stop *stop)
{
	struct cpu *cpu = vcpu->cpu;

	if (!kvm_state_pull(vcpu))
		return false;
	vcpu->loaded = false;
	cpu->chain_len = 0;
	cpu->activity = CPU_SHUTDOWN;
	if (cpu->host.triple_fault) {
		bool inside = quiet_leave(cpu);
		cpu->host.triple_fault(cpu->host.opaque, cpu);
		quiet_enter(cpu, inside);
	}
	*stop = ENGINE_HALTED;
	return true;
}

static bool exit_internal_error(struct kvm_vcpu *vcpu, enum engine_stop *stop)
{
	const struct kvm_run *run = vcpu->run;
	char bytes[3 * 15 + 1] = "";

	(void)stop;
	if (run->internal.suberror != KVM_INTERNAL_ERROR_EMULATION) {
		snprintf(vcpu->why, sizeof vcpu->why, "KVM reports internal error %u", run->internal.suberror);
		return false;
	}
	vcpu->gave_up = true;
	if (run->emulation_failure.ndata >= 3 && (run->emulation_failure.flags & KVM_INTERNAL_ERROR_EMULATION_FLAG_INSTRUCTION_BYTES))
		for (unsigned i = 0; i < MIN(run->emulation_failure.insn_size, 15u); i++)
			snprintf(bytes + i * 3, sizeof bytes - i * 3, " %02x", run->emulation_failure.insn_bytes[i]);
	snprintf(vcpu->why, sizeof vcpu->why, "KVM cannot emulate an instruction%s%s", *bytes ? ":" : "", bytes);
	return false;
}

static bool exit_fail_entry(struct kvm_vcpu *vcpu, enum engine_stop *stop)
{
	(void)stop;
	snprintf(vcpu->why, sizeof vcpu->why, "the CPU refuses to run the guest (reason %#llx)",
	         (unsigned long long)vcpu->run->fail_entry.hardware_entry_failure_reason);
	return false;
}

/* Nothing to do but to look at what is pending: an interrupt window, a lowered TPR, a signal. */
static bool exit_nothing(struct kvm_vcpu *vcpu, enum engine_stop *stop)
{
	(void)vcpu, (void)stop;
	return true;
}

static const struct {
	const char *name;
	exit_fn *fn;
} exits[] = {
	[KVM_EXIT_UNKNOWN] = {"unknown", NULL},
	[KVM_EXIT_IO] = {"port", exit_io},
	[KVM_EXIT_HLT] = {"halt", exit_hlt},
	[KVM_EXIT_MMIO] = {"memory", exit_mmio},
	[KVM_EXIT_IRQ_WINDOW_OPEN] = {"interrupt window", exit_nothing},
	[KVM_EXIT_SHUTDOWN] = {"shutdown", exit_shutdown},
	[KVM_EXIT_FAIL_ENTRY] = {"entry failure", exit_fail_entry},
	[KVM_EXIT_INTR] = {"kick", exit_nothing},
	[KVM_EXIT_SET_TPR] = {"TPR", exit_nothing},
	[KVM_EXIT_INTERNAL_ERROR] = {"internal error", exit_internal_error},
	[KVM_EXIT_X86_RDMSR] = {"MSR read", exit_rdmsr},
	[KVM_EXIT_X86_WRMSR] = {"MSR write", exit_wrmsr},
};

static bool handle(struct kvm_vcpu *vcpu, enum engine_stop *stop)
{
	u32 reason = vcpu->run->exit_reason;

	vcpu->exits[MIN(reason, ARRAY_LEN(vcpu->exits) - 1)]++;
	if (reason < ARRAY_LEN(exits) && exits[reason].fn)
		return exits[reason].fn(vcpu, stop);
	snprintf(vcpu->why, sizeof vcpu->why, "KVM stops for reason %u", reason);
	return false;
}

/* ---- into KVM and out of it ---- */

/* What the guest changed that is not in its registers. */
static void take_controllers(struct kvm_vcpu *vcpu, u64 cr8, u64 base)
{
	struct cpu *cpu = vcpu->cpu;

	if (vcpu->run->cr8 != cr8 && cpu->intc.set_cr8)
		control_set_cr8(cpu, vcpu->run->cr8);
	if (vcpu->run->apic_base != base && cpu->intc.set_base)
		msr_write(cpu, MSR_APIC_BASE, vcpu->run->apic_base);
}

/* One KVM_RUN. False: it failed. *left: there is an exit to handle. */
static bool run_once(struct kvm_vcpu *vcpu, bool finishing, bool *left)
{
	struct kvm_run *run = vcpu->run;
	struct kvm_vm *vm = vcpu->vm;
	u64 cr8 = run->cr8, base = run->apic_base;

	pthread_rwlock_rdlock(&vm->running);
	*left = false;
	if (!finishing && atomic_load(&vm->stale)) {
		pthread_rwlock_unlock(&vm->running);
		return true;
	}
	int result = ioctl(vcpu->fd, KVM_RUN, 0), error = result < 0 ? errno : 0;
	pthread_rwlock_unlock(&vm->running);
	if (error && error != EINTR && error != EAGAIN) {
		errno = error;
		return kvm_state_refused(vcpu, "to run");
	}
	*left = !error;
	vcpu->incomplete = false;
	vcpu->ready = run->ready_for_interrupt_injection;
	take_controllers(vcpu, cr8, base);
	return true;
}

/* Finish the access that is under way, without running on. It may take several turns (a string instruction, a wide store). */
static bool finish(struct kvm_vcpu *vcpu)
{
	enum engine_stop ignored;
	bool left;

	while (vcpu->incomplete) {
		vcpu->run->immediate_exit = 1;
		if (!run_once(vcpu, true, &left) || (left && !handle(vcpu, &ignored)))
			return false;
	}
	return true;
}

/* The state back to struct cpu. */
static bool unload(struct kvm_vcpu *vcpu)
{
	if (!vcpu->loaded)
		return true;
	if (!finish(vcpu) || !kvm_state_pull(vcpu))
		return false;
	vcpu->version = vcpu->cpu->version;
	return true;
}

static bool load(struct kvm_vcpu *vcpu)
{
	const struct cpu *cpu = vcpu->cpu;
	const char *lacks = !vcpu->vm->paging32 && (cpu->cr0 & CR0_PG) && !(cpu->efer & EFER_LMA) ? "paging outside of 64-bit mode" :
	                    !vcpu->vm->v86 && mode_v86(cpu)                                       ? "virtual 8086 mode" :
	                                                                                            NULL;
	if (vcpu->loaded)
		return true;
	if (!lacks)
		return kvm_state_push(vcpu);
	snprintf(vcpu->why, sizeof vcpu->why, "this host's KVM has no %s", lacks);
	return false;
}

/* Others must be outside: they have been kicked, and come here too. */
static bool renew_memory(struct kvm_vcpu *vcpu)
{
	bool ok = true;

	if (likely(!atomic_load(&vcpu->vm->stale)))
		return true;
	bool inside = quiet_leave(vcpu->cpu);
	pthread_rwlock_wrlock(&vcpu->vm->running);
	if (atomic_load(&vcpu->vm->stale))
		ok = kvm_mem_update(vcpu->vm);
	pthread_rwlock_unlock(&vcpu->vm->running);
	quiet_enter(vcpu->cpu, inside);
	return ok || kvm_state_refused(vcpu, "the guest's memory");
}

/* ---- events ---- */

static bool inject(struct kvm_vcpu *vcpu)
{
	struct cpu *cpu = vcpu->cpu;
	u32 request = atomic_load(&cpu->request);

	if (request & CPU_REQ_NMI) {
		cpu_unrequest(cpu, CPU_REQ_NMI);
		if (ioctl(vcpu->fd, KVM_NMI))
			return kvm_state_refused(vcpu, "an NMI");
	}
	if ((request & CPU_REQ_INTR) && vcpu->ready && !vcpu->held && cpu->intc.acknowledge) {
		bool inside = quiet_lock(cpu);
		int vector = cpu->intc.acknowledge(cpu->intc.opaque);
		quiet_unlock(cpu, inside);
		vcpu->held = vector >= 0;
		vcpu->held_vector = vector;
		cpu->statistics[STAT_INTERRUPTS] += vcpu->held;
	}
	if (vcpu->held && vcpu->ready) {
		struct kvm_interrupt interrupt = {.irq = vcpu->held_vector};
		if (ioctl(vcpu->fd, KVM_INTERRUPT, &interrupt) == 0)
			vcpu->held = false;
		else if (errno != EEXIST)
			return kvm_state_refused(vcpu, "an interrupt");
		vcpu->ready = false;
	}
	vcpu->run->request_interrupt_window = vcpu->held || (atomic_load(&cpu->request) & CPU_REQ_INTR);
	vcpu->run->cr8 = cpu->intc.get_cr8 ? control_cr8(cpu) : 0;
	return true;
}

/* Requests that do not touch the guest's registers. */
static void serve(struct cpu *cpu, u32 request)
{
	cpu_unrequest(cpu, request & (CPU_REQ_PASS | CPU_REQ_CODE | CPU_REQ_FLUSH));
	if (request & CPU_REQ_PASS)
		quiet_point(cpu);
	if (request & CPU_REQ_CODE)
		code_take_writes(cpu);
	if (request & CPU_REQ_FLUSH)
		tlb_flush_all(cpu);
}

/* The kick is set. The state is taken out of KVM for requests that change it. False: leave with *stop, or because KVM failed. */
static bool attend(struct kvm_vcpu *vcpu, enum engine_stop *stop)
{
	struct cpu *cpu = vcpu->cpu;

	atomic_store(&cpu->kick, 0);
	u32 request = atomic_load(&cpu->request);
	bool slight = !(request & (CPU_REQ_STOP | EVENTS));
	if (slight && vcpu->loaded && cpu->activity == CPU_RUNNING) {
		serve(cpu, request);
		return true;
	}
	if (!unload(vcpu))
		return false;
	if (slight && vcpu->loaded && cpu->activity == CPU_HALTED) {
		serve(cpu, request);
		*stop = ENGINE_HALTED;
		if (!engine_wakes(cpu))
			return false;
		cpu->activity = CPU_RUNNING; /* KVM delivers what wakes it */
		return true;
	}
	if (!(request & CPU_REQ_STOP))
		vcpu->loaded = false;
	return interp_attend(cpu, stop);
}

/* What KVM does not do. */
static bool unfit(const struct cpu *cpu)
{
	return cpu->in_smm || cpu->bus->a20_mask != ~0ull || cpu->pending_db || cpu->debugger || cpu->log.in_asm;
}

static bool interpret(struct kvm_vcpu *vcpu, enum engine_stop *stop)
{
	if (!unload(vcpu))
		return false;
	vcpu->loaded = false;
	*stop = interp_engine.run(vcpu->cpu, vcpu->cpu->pending_db ? 1 : INTERP_CHUNK);
	return *stop == ENGINE_BUDGET;
}

/* ---- the loop ---- */

static void occupy(struct kvm_vcpu *vcpu, bool inside)
{
	pthread_mutex_lock(&vcpu->kick_lock);
	vcpu->thread = pthread_self();
	vcpu->inside = inside;
	pthread_mutex_unlock(&vcpu->kick_lock);
}

static bool turn(struct kvm_vcpu *vcpu, enum engine_stop *stop)
{
	struct cpu *cpu = vcpu->cpu;
	bool left;

	__atomic_store_n(&vcpu->run->immediate_exit, 0, __ATOMIC_SEQ_CST);
	if (unlikely(atomic_load(&cpu->kick)) && !attend(vcpu, stop))
		return false;
	if (unlikely(cpu->activity != CPU_RUNNING)) {
		atomic_store(&cpu->kick, 1);
		return true;
	}
	if (unlikely(unfit(cpu)))
		return interpret(vcpu, stop);
	if (!renew_memory(vcpu) || !load(vcpu) || !inject(vcpu) || !run_once(vcpu, false, &left))
		return false;
	*stop = ENGINE_STOPPED;
	if (left && !handle(vcpu, stop))
		return false;
	return *stop != ENGINE_HALTED;
}

static enum engine_stop run(struct cpu *cpu, u64 budget)
{
	struct kvm_vcpu *vcpu = cpu->kvm;
	enum engine_stop stop;

	if (budget || !vcpu)
		return interp_engine.run(cpu, budget);
	if (vcpu->version != cpu->version) /* changed from outside */
		vcpu->loaded = false;
	vcpu->why[0] = 0;
	occupy(vcpu, true);
	do
		stop = ENGINE_UNABLE;
	while (turn(vcpu, &stop));
	if (*vcpu->why && stop != ENGINE_HALTED)
		stop = ENGINE_UNABLE;
	if (vcpu->loaded && !unload(vcpu))
		stop = ENGINE_UNABLE;
	occupy(vcpu, false);
	flags_sync(cpu);
	vcpu->version = cpu->version;
	cpu->unable = vcpu->why;
	return stop;
}

/* ---- the engine ---- */

static void release(struct cpu *cpu)
{
	if (cpu->kvm)
		kvm_vm_part(cpu->kvm->vm, cpu);
}

static void interrupt(struct cpu *cpu)
{
	kvm_vm_kick(cpu->kvm);
}

static bool prepare(struct cpu *cpu, struct err *err)
{
	if (clock_counts(cpu->clock))
		return err_set(err, EXIT_ACCEL, "KVM does not count instructions: not with -icount");
	if (!cpu->kvm) {
		if (!kvm_vm_join(cpu, err))
			return false;
		cpu->kvm_free = release;
	}
	cpu->kvm->loaded = false;
	cpu->interrupt = interrupt;
	return true;
}

/* The other engine finds nothing that was decoded or translated before. */
static void leave(struct cpu *cpu)
{
	cpu->interrupt = NULL;
	if (cpu->kvm)
		cpu->kvm->loaded = false;
	tlb_flush_all(cpu);
	code_flush(cpu);
}

static void print(const struct cpu *cpu, FILE *to)
{
	if (!cpu->kvm)
		return;
	for (unsigned i = 0; i < ARRAY_LEN(exits); i++)
		if (cpu->kvm->exits[i])
			fprintf(to, "KVM exits, %-17s %llu\n", exits[i].name ? exits[i].name : "?", (unsigned long long)cpu->kvm->exits[i]);
}

static void reserve(struct cpu *cpu)
{
	(void)cpu;
	kvm_hold();
}

const struct engine kvm_engine = {
	.name = "kvm",
	.desc = "the host's CPU through /dev/kvm",
	.native = true,
	.reserve = reserve,
	.run = run,
	.prepare = prepare,
	.leave = leave,
	.print = print,
};
