/* SPDX-License-Identifier: MIT */
/* KVM from outside: is it there and complete, what can a guest be given, the machine and its CPUs.
 * Documentation/virt/kvm/api.rst. */
#include "cpu/kvm_private.h"

#include <cpuid.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#define DEVICE "/dev/kvm"
#define CPUID_MAX 256
#define KICK_SIGNAL (SIGRTMIN + 4)

/* What the engine stands on; all of it has been in Linux since 4.13. */
static const struct {
	int cap;
	const char *name;
} needed[] = {
	{KVM_CAP_USER_MEMORY, "user memory"},       {KVM_CAP_DESTROY_MEMORY_REGION_WORKS, "removal of memory"},
	{KVM_CAP_EXT_CPUID, "CPUID"},               {KVM_CAP_VCPU_EVENTS, "pending events"},
	{KVM_CAP_DEBUGREGS, "debug registers"},     {KVM_CAP_IMMEDIATE_EXIT, "immediate exit"},
	{KVM_CAP_MP_STATE, "activity state"},
};

/* ---- is it there? ---- */

static int check(int fd, int cap)
{
	return ioctl(fd, KVM_CHECK_EXTENSION, cap);
}

static bool open_device(int *fd, struct kvm_report *r)
{
	*fd = open(DEVICE, O_RDWR | O_CLOEXEC);
	if (*fd >= 0)
		return true;
	r->error = errno;
	r->found = errno == EACCES || errno == EPERM ? KVM_NO_PERMISSION : errno == EBUSY ? KVM_BUSY : KVM_NO_DEVICE;
	return false;
}

static bool complete(int fd, struct kvm_report *r)
{
	r->api = ioctl(fd, KVM_GET_API_VERSION, 0);
	if (r->api != KVM_API_VERSION) {
		r->found = KVM_INCOMPLETE;
		snprintf(r->missing, sizeof r->missing, "its version is %d, not %d", r->api, KVM_API_VERSION);
		return false;
	}
	for (unsigned i = 0; i < ARRAY_LEN(needed); i++)
		if (check(fd, needed[i].cap) <= 0) {
			size_t at = strlen(r->missing);
			snprintf(r->missing + at, sizeof r->missing - at, "%s%s", at ? ", " : "", needed[i].name);
			r->found = KVM_INCOMPLETE;
		}
	return r->found == KVM_THERE;
}

/* A machine with a CPU, as a proof. */
static bool try_machine(int fd, struct kvm_report *r)
{
	int vm = ioctl(fd, KVM_CREATE_VM, 0), vcpu = vm < 0 ? -1 : ioctl(vm, KVM_CREATE_VCPU, 0);

	r->error = errno;
	if (vcpu >= 0) {
		int khz = ioctl(vcpu, KVM_GET_TSC_KHZ, 0);
		r->tsc_hz = khz > 0 ? khz * 1000ull : 0;
		close(vcpu);
	}
	if (vm >= 0)
		close(vm);
	if (vcpu < 0)
		r->found = r->error == EBUSY || r->error == EMFILE || r->error == ENOMEM ? KVM_BUSY : KVM_INCOMPLETE;
	if (r->found == KVM_INCOMPLETE)
		snprintf(r->missing, sizeof r->missing, "no machine can be made: %s", strerror(r->error));
	return vcpu >= 0;
}

static bool virtualises(void)
{
	u32 a, b, c, d;

	return (__get_cpuid(1, &a, &b, &c, &d) && (c & BIT(5))) || (__get_cpuid(0x80000001, &a, &b, &c, &d) && (c & BIT(2)));
}

void kvm_probe(struct kvm_report *r)
{
	int fd;

	*r = (struct kvm_report){.found = KVM_THERE, .hardware = virtualises()};
	if (!open_device(&fd, r))
		return;
	if (complete(fd, r) && try_machine(fd, r)) {
		r->tsc_scaling = check(fd, KVM_CAP_TSC_CONTROL) > 0;
		r->smm = check(fd, KVM_CAP_X86_SMM) > 0;
		r->xsave = check(fd, KVM_CAP_XSAVE) > 0;
		r->msr_filter = check(fd, KVM_CAP_X86_MSR_FILTER) > 0 && check(fd, KVM_CAP_X86_USER_SPACE_MSR) > 0;
		r->max_cpus = MAX(check(fd, KVM_CAP_MAX_VCPUS), 1);
	}
	close(fd);
}

void kvm_explain(const struct kvm_report *r, char *text, size_t size)
{
	switch (r->found) {
	case KVM_THERE:
		snprintf(text, size, "KVM is there");
		break;
	case KVM_NO_DEVICE:
		snprintf(text, size, "no KVM: %s: %s; 'sudo modprobe kvm_intel' or 'sudo modprobe kvm_amd' loads it, if the firmware has "
		         "virtualisation switched on", DEVICE, strerror(r->error));
		break;
	case KVM_NO_PERMISSION:
		snprintf(text, size, "no KVM: %s: %s; 'sudo usermod -aG kvm $USER' and a new login give it", DEVICE, strerror(r->error));
		break;
	case KVM_BUSY:
		snprintf(text, size, "no KVM: no machine can be made: %s; another hypervisor may have the CPU "
		         "('lsmod | grep -e vbox -e vmmon' shows two)", strerror(r->error));
		break;
	case KVM_INCOMPLETE:
		snprintf(text, size, "no KVM: it lacks %s; a newer kernel has it ('uname -r' shows yours)", r->missing);
		break;
	}
}

/* ---- what a guest can be given ---- */

static struct kvm_cpuid2 *supported_cpuid(int fd)
{
	struct kvm_cpuid2 *c = err_alloc(sizeof *c + CPUID_MAX * sizeof c->entries[0]);

	c->nent = CPUID_MAX;
	if (ioctl(fd, KVM_GET_SUPPORTED_CPUID, c) == 0)
		return c;
	free(c);
	return NULL;
}

/* Features that our own devices or msr.c give, whatever KVM has. */
static bool ours(unsigned feature, bool msr_filter)
{
	switch (feature) {
	case FEAT_APIC: case FEAT_HYPERVISOR: case FEAT_HT: case FEAT_SS: case FEAT_ARAT: case FEAT_MTRR: case FEAT_MCE: case FEAT_MCA:
	case FEAT_X2APIC: case FEAT_INVTSC:
		return true;
	case FEAT_TSC_DEADLINE: case FEAT_ARCH_CAPABILITIES: case FEAT_SPEC_CTRL: case FEAT_STIBP: case FEAT_BHI_CTRL:
		return msr_filter;
	default:
		return false;
	}
}

static bool has(const struct kvm_cpuid2 *c, const struct cpu_feature_info *info)
{
	for (u32 i = 0; i < c->nent; i++) {
		const struct kvm_cpuid_entry2 *e = &c->entries[i];
		const u32 reg[] = {[REG_EAX] = e->eax, [REG_EBX] = e->ebx, [REG_ECX] = e->ecx, [REG_EDX] = e->edx};
		if (e->function == info->leaf && e->index == info->subleaf)
			return reg[info->reg] >> info->bit & 1;
	}
	return false;
}

/* Without XSAVE there is none of its kin. */
static bool orphan(const struct cpu_model *model, unsigned feature)
{
	static const u8 kin[] = {FEAT_XSAVEOPT, FEAT_XSAVEC, FEAT_XGETBV1, FEAT_XSAVES, FEAT_AVX, FEAT_AVX2, FEAT_FMA, FEAT_F16C};

	return memchr(kin, (int)feature, sizeof kin) && !model_has(model, FEAT_XSAVE);
}

bool kvm_limit_model(struct cpu_model *model, bool change, char *text, size_t size)
{
	int fd = open(DEVICE, O_RDWR | O_CLOEXEC);
	struct kvm_cpuid2 *c = fd < 0 ? NULL : supported_cpuid(fd);
	bool filter = fd >= 0 && check(fd, KVM_CAP_X86_MSR_FILTER) > 0;
	struct cpu_model limited = *model;

	*text = 0;
	for (unsigned pass = 0; pass < 2 && c; pass++)
		for (unsigned f = 1; f < FEAT_COUNT; f++) {
			bool gone = pass == 0 ? !ours(f, filter) && !has(c, &model_features[f]) : orphan(&limited, f);
			if (!model_has(&limited, f) || !gone)
				continue;
			limited.features[f / 64] &= ~BIT(f % 64);
			size_t at = strlen(text);
			snprintf(text + at, size - at, "%s%s", at ? " " : "", model_features[f].name);
		}
	free(c);
	if (fd >= 0)
		close(fd);
	if (change)
		*model = limited;
	return !*text;
}

/* ---- CPUID as the guest sees it ---- */

static void add(struct kvm_cpuid2 *c, const struct cpu *cpu, u32 leaf, u32 subleaf, bool indexed)
{
	struct cpuid_regs r = model_cpuid(cpu, leaf, subleaf);

	if (c->nent == CPUID_MAX)
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
	struct kvm_cpuid2 *c = err_alloc(sizeof *c + CPUID_MAX * sizeof c->entries[0]);

	add_range(c, cpu, 0, cpu->model->level);
	if (cpu_has(cpu, FEAT_HYPERVISOR))
		add_range(c, cpu, 0x40000000, 0x40000010);
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

	return (check(vm->device, KVM_CAP_SET_IDENTITY_MAP_ADDR) <= 0 || ioctl(vm->fd, KVM_SET_IDENTITY_MAP_ADDR, &identity) == 0) &&
	       (check(vm->device, KVM_CAP_SET_TSS_ADDR) <= 0 || ioctl(vm->fd, KVM_SET_TSS_ADDR, identity + PAGE_SIZE) == 0);
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
		err_set(err, EXIT_ACCEL, "%s", text);
		goto bad;
	}
	vm->device = open(DEVICE, O_RDWR | O_CLOEXEC);
	if (vm->device >= 0)
		vm->fd = ioctl(vm->device, KVM_CREATE_VM, 0);
	if (vm->fd < 0 || !place_helpers(vm)) {
		err_set(err, EXIT_ACCEL, "no KVM: no machine can be made: %m");
		goto bad;
	}
	vm->supported = supported_cpuid(vm->device);
	if (!vm->supported) {
		err_set(err, EXIT_ACCEL, "KVM does not say what CPU it has: %m");
		goto bad;
	}
	vm->xsave = report.xsave;
	vm->scaling = report.tsc_scaling;
	vm->msr_filter = report.msr_filter;
	vm->xcrs = check(vm->device, KVM_CAP_XCRS) > 0;
	vm->sregs2 = check(vm->device, KVM_CAP_SREGS2) > 0;
	vm->readonly = check(vm->device, KVM_CAP_READONLY_MEM) > 0;
	vm->run_size = ioctl(vm->device, KVM_GET_VCPU_MMAP_SIZE, 0);
	int slots = check(vm->device, KVM_CAP_NR_MEMSLOTS);
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
