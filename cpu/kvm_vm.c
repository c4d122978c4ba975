/* SPDX-License-Identifier: MIT */
/* The virtual machine and its CPUs in KVM. Documentation/virt/kvm/api.rst. */
#include "cpu/kvm_private.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#define KICK_SIGNAL (SIGRTMIN + 4)

/* ---- CPUID as the guest sees it ---- */

static void add(struct kvm_cpuid2 *c, const struct cpu *cpu, u32 leaf, u32 subleaf, bool indexed)
{
	struct cpuid_regs r = model_cpuid(cpu, leaf, subleaf);

	if (c->nent == KVM_CPUID_MAX)
		return;
	/* Intel's says so in 64-bit mode only; KVM has one answer for all modes */
	if (leaf == 0x80000001 && cpu_has(cpu, FEAT_SYSCALL))
		r.edx |= 1u << 11;
	c->entries[c->nent++] = (struct kvm_cpuid_entry2){.function = leaf, .index = subleaf, .eax = r.eax, .ebx = r.ebx, .ecx = r.ecx,
	                                                  .edx = r.edx, .flags = indexed ? KVM_CPUID_FLAG_SIGNIFCANT_INDEX : 0};
}

static void add_range(struct kvm_cpuid2 *c, const struct cpu *cpu, u32 first, u32 last)
{
	for (u32 leaf = first; leaf <= last && leaf - first < 0x40; leaf++) {
		unsigned subleaves = leaf == 4 ? 6 : leaf == 7 ? 3 : leaf == 0xb ? 3 : leaf == 0xd ? 20 : 0;
		for (u32 s = 0; s < subleaves; s++)
			add(c, cpu, leaf, s, true);
		if (!subleaves)
			add(c, cpu, leaf, 0, false);
	}
}

bool kvm_vm_cpuid(struct kvm_vcpu *vcpu, struct err *err)
{
	struct cpu *cpu = vcpu->cpu;
	struct kvm_cpuid2 *c = err_alloc(sizeof *c + KVM_CPUID_MAX * sizeof c->entries[0]);

	add_range(c, cpu, 0, cpu->model->level);
	if (cpu_has(cpu, FEAT_HYPERVISOR))
		add_range(c, cpu, 0x40000000, 0x40000010);
	if (cpu_has(cpu, FEAT_HYPERVISOR) && cpu_has(cpu, FEAT_KVM))
		add_range(c, cpu, 0x40000100, 0x40000101);
	add_range(c, cpu, 0x80000000, cpu->model->xlevel);
	bool ok = ioctl(vcpu->fd, KVM_SET_CPUID2, c) == 0;
	free(c);
	return ok || err_set(err, EXIT_ACCEL, "KVM refuses this CPU model: %m");
}

/* ---- machines ---- */

static struct kvm_vm *machines; /* the catalogue, by bus */
static pthread_mutex_t machines_lock = PTHREAD_MUTEX_INITIALIZER;

static void ignore(int sig)
{
	(void)sig;
}

static void free_vm(struct kvm_vm *vm)
{
	if (vm->fd >= 0)
		close(vm->fd);
	if (vm->device >= 0)
		close(vm->device);
	free(vm->supported);
	pthread_rwlock_destroy(&vm->running);
	pthread_mutex_destroy(&vm->lock);
	free(vm);
}

/* KVM needs three pages that it uses in real mode where the CPU has none by itself; they lie where firmware ROMs end. */
static bool place_helpers(struct kvm_vm *vm)
{
	u64 identity = 0xfeffc000;
	bool has_identity = kvm_check(vm->device, KVM_CAP_SET_IDENTITY_MAP_ADDR) > 0;

	return (!has_identity || ioctl(vm->fd, KVM_SET_IDENTITY_MAP_ADDR, &identity) == 0) &&
	       (kvm_check(vm->device, KVM_CAP_SET_TSS_ADDR) <= 0 || ioctl(vm->fd, KVM_SET_TSS_ADDR, identity + PAGE_SIZE) == 0);
}

static struct kvm_vm *new_vm(struct bus *bus, struct err *err)
{
	struct kvm_vm *vm = err_alloc(sizeof *vm);
	struct kvm_report report;
	struct sigaction action = {.sa_handler = ignore};
	char text[300];

	kvm_probe(&report);
	vm->bus = bus;
	vm->device = vm->fd = -1;
	pthread_rwlock_init(&vm->running, NULL);
	pthread_mutex_init(&vm->lock, NULL);
	if (report.found != KVM_THERE) {
		kvm_explain(&report, text, sizeof text);
		err_set(err, EXIT_ACCEL, "no KVM: %s", text);
		goto bad;
	}
	vm->device = kvm_open();
	if (vm->device >= 0)
		vm->fd = ioctl(vm->device, KVM_CREATE_VM, 0);
	if (vm->fd < 0 || !place_helpers(vm)) {
		err_set(err, EXIT_ACCEL, "no KVM: no machine can be made: %m");
		goto bad;
	}
	/* what it cannot emulate is another engine's to run, in user code as well: no #UD then (Linux 5.19) */
	struct kvm_enable_cap give_up = {.cap = KVM_CAP_EXIT_ON_EMULATION_FAILURE, .args[0] = 1};
	if (kvm_check(vm->device, give_up.cap) > 0)
		ioctl(vm->fd, KVM_ENABLE_CAP, &give_up);
	vm->supported = kvm_supported_cpuid(vm->device);
	if (!vm->supported) {
		err_set(err, EXIT_ACCEL, "KVM does not say what CPU it has: %m");
		goto bad;
	}
	vm->xsave = report.xsave;
	vm->scaling = report.tsc_scaling;
	vm->msr_filter = report.msr_filter;
	vm->paging32 = report.paging32;
	vm->v86 = report.v86;
	vm->tsc_moves = report.tsc_moves;
	vm->xcrs = kvm_check(vm->device, KVM_CAP_XCRS) > 0;
	vm->sregs2 = kvm_check(vm->device, KVM_CAP_SREGS2) > 0;
	vm->readonly = kvm_check(vm->device, KVM_CAP_READONLY_MEM) > 0;
	vm->run_size = ioctl(vm->device, KVM_GET_VCPU_MMAP_SIZE, 0);
	int slots = kvm_check(vm->device, KVM_CAP_NR_MEMSLOTS);
	vm->slots_max = slots > 0 ? slots : 32;
	if (!kvm_msr_filter(vm, err))
		goto bad;
	sigaction(KICK_SIGNAL, &action, NULL);
	kvm_mem_init(vm);
	return vm;
bad:
	free_vm(vm);
	return NULL;
}

/* A guest's TSC runs at cpu->tsc_hz under every engine. */
static bool set_tsc_rate(struct kvm_vm *vm, struct kvm_vcpu *vcpu, struct err *err)
{
	int khz = ioctl(vcpu->fd, KVM_GET_TSC_KHZ, 0);

	if (khz <= 0 || (u64)khz == vcpu->cpu->tsc_hz / 1000)
		return true;
	if (vm->scaling && ioctl(vcpu->fd, KVM_SET_TSC_KHZ, vcpu->cpu->tsc_hz / 1000) == 0)
		return true;
	return err_set(err, EXIT_ACCEL, "the guest's TSC runs at %llu kHz, and this host's KVM can only do %d kHz; start the machine "
	               "with kvm in -accel", (unsigned long long)vcpu->cpu->tsc_hz / 1000, khz);
}

static bool make_vcpu(struct kvm_vm *vm, struct cpu *cpu, struct err *err)
{
	struct kvm_vcpu *vcpu = err_alloc(sizeof *vcpu);

	vcpu->vm = vm;
	vcpu->cpu = cpu;
	vcpu->filled = vcpu->decoded = ~0ull;
	pthread_mutex_init(&vcpu->kick_lock, NULL);
	vcpu->run = MAP_FAILED;
	vcpu->fd = ioctl(vm->fd, KVM_CREATE_VCPU, (long)cpu->index);
	if (vcpu->fd >= 0)
		vcpu->run = mmap(NULL, vm->run_size, PROT_READ | PROT_WRITE, MAP_SHARED, vcpu->fd, 0);
	cpu->kvm = vcpu;
	if (vcpu->run == MAP_FAILED)
		return err_set(err, EXIT_ACCEL, "KVM: no CPU can be made: %m");
	if (!kvm_vm_cpuid(vcpu, err) || !set_tsc_rate(vm, vcpu, err))
		return false;
	if (!vm->msrs)
		kvm_msr_setup(vm, vcpu->fd);
	return true;
}

struct kvm_vm *kvm_vm_join(struct cpu *cpu, struct err *err)
{
	pthread_mutex_lock(&machines_lock);
	struct kvm_vm *vm = machines;
	while (vm && vm->bus != cpu->bus)
		vm = vm->next;
	if (!vm && (vm = new_vm(cpu->bus, err))) {
		vm->next = machines;
		machines = vm;
	}
	if (vm)
		vm->users++;
	pthread_mutex_unlock(&machines_lock);
	if (!vm)
		return NULL;
	bool ok = cpu->index < KVM_CPUS_MAX ? make_vcpu(vm, cpu, err)
	                                    : err_set(err, EXIT_ACCEL, "KVM: more than %d CPUs", KVM_CPUS_MAX);
	if (ok) {
		pthread_mutex_lock(&vm->lock);
		vm->vcpu[cpu->index] = cpu->kvm;
		pthread_mutex_unlock(&vm->lock);
		return vm;
	}
	kvm_vm_part(vm, cpu);
	return NULL;
}

void kvm_vm_part(struct kvm_vm *vm, struct cpu *cpu)
{
	struct kvm_vcpu *vcpu = cpu->kvm;

	if (cpu->index < KVM_CPUS_MAX) {
		pthread_mutex_lock(&vm->lock);
		if (vm->vcpu[cpu->index] == vcpu)
			vm->vcpu[cpu->index] = NULL;
		pthread_mutex_unlock(&vm->lock);
	}
	if (vcpu) {
		if (vcpu->run != MAP_FAILED)
			munmap(vcpu->run, vm->run_size);
		if (vcpu->fd >= 0)
			close(vcpu->fd);
		pthread_mutex_destroy(&vcpu->kick_lock);
		free(vcpu);
	}
	cpu->kvm = NULL;
	pthread_mutex_lock(&machines_lock);
	if (--vm->users == 0) {
		for (struct kvm_vm **at = &machines; *at; at = &(*at)->next)
			if (*at == vm) {
				*at = vm->next;
				break;
			}
		kvm_mem_free(vm);
		free_vm(vm);
	}
	pthread_mutex_unlock(&machines_lock);
}

/* Out of KVM_RUN, or not into it: the flag is for a thread on its way in, the signal for one that is there. */
void kvm_vm_kick(struct kvm_vcpu *vcpu)
{
	__atomic_store_n(&vcpu->run->immediate_exit, 1, __ATOMIC_SEQ_CST);
	pthread_mutex_lock(&vcpu->kick_lock);
	if (vcpu->inside && !pthread_equal(vcpu->thread, pthread_self()))
		pthread_kill(vcpu->thread, KICK_SIGNAL);
	pthread_mutex_unlock(&vcpu->kick_lock);
}
