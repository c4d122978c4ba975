/* SPDX-License-Identifier: MIT */
/* KVM from outside: is it there and complete, what keeps a user from it, what can it give a guest.
 * Documentation/virt/kvm/api.rst. */
#include "cpu/kvm_private.h"

#include <cpuid.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

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

static const char *device = "/dev/kvm";

void kvm_set_device(const char *path)
{
	device = path ? path : "/dev/kvm";
}

int kvm_check(int fd, int cap)
{
	return ioctl(fd, KVM_CHECK_EXTENSION, cap);
}

static int held = -1;

void kvm_hold(void)
{
	if (held < 0)
		held = open(device, O_RDWR | O_CLOEXEC);
}

int kvm_open(void)
{
	return held < 0 ? open(device, O_RDWR | O_CLOEXEC) : fcntl(held, F_DUPFD_CLOEXEC, 0);
}

static bool open_device(int *fd, struct kvm_report *r)
{
	*fd = kvm_open();
	if (*fd >= 0)
		return true;
	r->error = errno;
	r->found = errno == EACCES || errno == EPERM ? KVM_NO_PERMISSION : errno == EBUSY ? KVM_BUSY : KVM_NO_DEVICE;
	return false;
}

static bool complete(int fd, struct kvm_report *r)
{
	r->api = ioctl(fd, KVM_GET_API_VERSION, 0);
	if (r->api < 0) {
		r->error = ENOTTY;
		r->found = KVM_NO_DEVICE;
		return false;
	}
	if (r->api != KVM_API_VERSION) {
		r->found = KVM_INCOMPLETE;
		snprintf(r->missing, sizeof r->missing, "version %d of its interface (it has %d)", KVM_API_VERSION, r->api);
		return false;
	}
	for (unsigned i = 0; i < ARRAY_LEN(needed); i++)
		if (kvm_check(fd, needed[i].cap) <= 0) {
			size_t at = strlen(r->missing);
			snprintf(r->missing + at, sizeof r->missing - at, "%s%s", at ? ", " : "", needed[i].name);
			r->found = KVM_INCOMPLETE;
		}
	return r->found == KVM_THERE;
}

/* What a KVM in software may lack without saying so: a state goes in and comes out otherwise. */
static void try_states(int vcpu, struct kvm_report *r)
{
	struct {
		struct kvm_msrs head;
		struct kvm_msr_entry entry;
	} tsc = {.head.nmsrs = 1, .entry = {.index = 0x10, .data = BIT(60)}};
	struct kvm_sregs s;
	struct kvm_regs regs = {.rip = 0x1000, .rflags = FLAG_1 | FLAG_VM};

	if (ioctl(vcpu, KVM_GET_SREGS, &s))
		return;
	s.cr0 = CR0_PE | CR0_ET | CR0_NE | CR0_PG;
	s.cr3 = s.cr4 = s.efer = 0;
	r->paging32 = ioctl(vcpu, KVM_SET_SREGS, &s) == 0 && ioctl(vcpu, KVM_GET_SREGS, &s) == 0 && (s.cr0 & CR0_PG);
	r->v86 = ioctl(vcpu, KVM_SET_REGS, &regs) == 0 && ioctl(vcpu, KVM_GET_REGS, &regs) == 0 && (regs.rflags & FLAG_VM);
	r->tsc_moves = ioctl(vcpu, KVM_SET_MSRS, &tsc) == 1 && ioctl(vcpu, KVM_GET_MSRS, &tsc) == 1 && tsc.entry.data >= BIT(60);
}

static bool set_cpuid(int vcpu, u32 features)
{
	struct kvm_cpuid2 *c = err_alloc(sizeof *c + 2 * sizeof c->entries[0]);

	c->nent = 2;
	c->entries[0] = (struct kvm_cpuid_entry2){.function = 0, .eax = 1};
	c->entries[1] = (struct kvm_cpuid_entry2){.function = 1, .ecx = features};
	bool ok = ioctl(vcpu, KVM_SET_CPUID2, c) == 0;
	free(c);
	return ok;
}

/* Does a guest see the CPUID that was set? It is asked, in real mode. */
static void try_cpuid(int fd, int vm, int vcpu, struct kvm_report *r)
{
	enum { PAGE = 4096, FROM_STATE = BIT(27) | BIT(3) /* OSXSAVE is CR4's, MONITOR IA32_MISC_ENABLE's */ };
	static const u8 code[] = {0x66, 0xb8, 1, 0, 0, 0, 0x0f, 0xa2, 0xf4}; /* mov $1, %eax; cpuid; hlt */
	const u32 features = (u32)BIT(31);
	const int run_size = ioctl(fd, KVM_GET_VCPU_MMAP_SIZE, 0);
	void *memory = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	void *run = run_size > 0 ? mmap(NULL, run_size, PROT_READ | PROT_WRITE, MAP_SHARED, vcpu, 0) : MAP_FAILED;
	struct kvm_userspace_memory_region slot = {.memory_size = PAGE, .userspace_addr = (uintptr_t)memory};
	struct kvm_regs regs = {.rflags = FLAG_1};
	struct kvm_sregs s;

	if (memory != MAP_FAILED && run != MAP_FAILED && ioctl(vcpu, KVM_GET_SREGS, &s) == 0) {
		memcpy(memory, code, sizeof code);
		s.cs.selector = 0;
		s.cs.base = 0;
		if (ioctl(vm, KVM_SET_USER_MEMORY_REGION, &slot) == 0 && set_cpuid(vcpu, features) &&
		    ioctl(vcpu, KVM_SET_SREGS, &s) == 0 && ioctl(vcpu, KVM_SET_REGS, &regs) == 0 && ioctl(vcpu, KVM_RUN, 0) == 0 &&
		    ioctl(vcpu, KVM_GET_REGS, &regs) == 0 && regs.rip == sizeof code)
			r->own_cpuid = (regs.rcx & ~(u64)FROM_STATE) != features;
	}
	if (run != MAP_FAILED)
		munmap(run, run_size);
	if (memory != MAP_FAILED)
		munmap(memory, PAGE);
}

/* A machine with a CPU, as a proof. */
static bool try_machine(int fd, struct kvm_report *r)
{
	int vm = ioctl(fd, KVM_CREATE_VM, 0), vcpu = vm < 0 ? -1 : ioctl(vm, KVM_CREATE_VCPU, 0);

	r->error = errno;
	if (vcpu >= 0) {
		int khz = ioctl(vcpu, KVM_GET_TSC_KHZ, 0);
		r->tsc_hz = khz > 0 ? khz * 1000ull : 0;
		try_cpuid(fd, vm, vcpu, r);
		try_states(vcpu, r);
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

	*r = (struct kvm_report){.device = device, .found = KVM_THERE, .hardware = virtualises()};
	if (!open_device(&fd, r))
		return;
	if (complete(fd, r) && try_machine(fd, r)) {
		r->tsc_scaling = kvm_check(fd, KVM_CAP_TSC_CONTROL) > 0;
		r->smm = kvm_check(fd, KVM_CAP_X86_SMM) > 0;
		r->xsave = kvm_check(fd, KVM_CAP_XSAVE) > 0;
		r->msr_filter = kvm_check(fd, KVM_CAP_X86_MSR_FILTER) > 0 && kvm_check(fd, KVM_CAP_X86_USER_SPACE_MSR) > 0;
		r->max_cpus = MAX(kvm_check(fd, KVM_CAP_MAX_VCPUS), 1);
	}
	close(fd);
}

/* ---- what is the matter, and what mends it ---- */

static bool here(const char *path)
{
	return access(path, F_OK) == 0;
}

bool kvm_in_container(void)
{
	return here("/.dockerenv") || here("/run/.containerenv") || here("/run/systemd/container");
}

/* The host is a guest itself. */
static bool nested(void)
{
	u32 a, b, c, d;

	return __get_cpuid(1, &a, &b, &c, &d) && (c & BIT(31));
}

static bool intel(void)
{
	u32 a, b, c, d;

	return __get_cpuid(0, &a, &b, &c, &d) && b == 0x756e6547;
}

static void explain_absent(const struct kvm_report *r, char *text, size_t size)
{
	if (r->error == ENOTTY)
		snprintf(text, size, "%s is not KVM's", r->device);
	else if (kvm_in_container())
		snprintf(text, size, "%s: %s; start the container with --device=/dev/kvm", r->device, strerror(r->error));
	else if (r->hardware)
		snprintf(text, size, "%s: %s; 'sudo modprobe kvm_%s' loads it", r->device, strerror(r->error), intel() ? "intel" : "amd");
	else if (nested())
		snprintf(text, size, "%s: %s, and this host is a virtual machine whose CPU shows no %s: it takes nested virtualisation "
		         "switched on in the host around it", r->device, strerror(r->error), intel() ? "VMX" : "SVM");
	else
		snprintf(text, size, "%s: %s, and the CPU shows no %s: switch it on in the firmware's setup", r->device, strerror(r->error),
		         intel() ? "VT-x" : "SVM");
}

static void explain_permission(const struct kvm_report *r, char *text, size_t size)
{
	struct stat st;
	const struct group *group = stat(r->device, &st) == 0 ? getgrgid(st.st_gid) : NULL;

	if (group && st.st_gid && (st.st_mode & 0060) == 0060)
		snprintf(text, size, "%s: %s; 'sudo usermod -aG %s $USER' and a new login give it", r->device, strerror(r->error),
		         group->gr_name);
	else
		snprintf(text, size, "%s: %s; 'sudo setfacl -m u:$USER:rw %s' gives it", r->device, strerror(r->error), r->device);
}

void kvm_explain(const struct kvm_report *r, char *text, size_t size)
{
	switch (r->found) {
	case KVM_THERE:
		snprintf(text, size, "KVM is there");
		break;
	case KVM_NO_DEVICE:
		explain_absent(r, text, size);
		break;
	case KVM_NO_PERMISSION:
		explain_permission(r, text, size);
		break;
	case KVM_BUSY:
		snprintf(text, size, "%s: no machine can be made: %s; another hypervisor may have the CPU ('lsmod | grep -e vbox -e vmmon' "
		         "shows two)", r->device, strerror(r->error));
		break;
	case KVM_INCOMPLETE:
		snprintf(text, size, "%s lacks %s; a newer kernel has it ('uname -r' shows yours)", r->device, r->missing);
		break;
	}
}

/* ---- what a guest can be given ---- */

struct kvm_cpuid2 *kvm_supported_cpuid(int fd)
{
	struct kvm_cpuid2 *c = err_alloc(sizeof *c + KVM_CPUID_MAX * sizeof c->entries[0]);

	c->nent = KVM_CPUID_MAX;
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
	case FEAT_X2APIC: case FEAT_INVTSC: case FEAT_KVM:
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
	int fd = kvm_open();
	struct kvm_cpuid2 *c = fd < 0 ? NULL : kvm_supported_cpuid(fd);
	bool filter = fd >= 0 && kvm_check(fd, KVM_CAP_X86_MSR_FILTER) > 0;
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

void kvm_host_model(struct cpu_model *model, char *text, size_t size)
{
	int fd = kvm_open();
	struct kvm_cpuid2 *c = fd < 0 ? NULL : kvm_supported_cpuid(fd);
	u32 a, b, cx, d, word[13] = {0};

	*text = 0;
	for (unsigned f = 1; f < FEAT_COUNT && c; f++)
		if (model_features[f].status == FEATURE_ABSENT && has(c, &model_features[f])) {
			model->features[f / 64] |= BIT(f % 64);
			size_t at = strlen(text);
			snprintf(text + at, size - at, "%s%s", at ? " " : "", model_features[f].name);
		}
	free(c);
	if (fd >= 0)
		close(fd);
	if (__get_cpuid(0, &a, &b, &cx, &d)) {
		memcpy(model->vendor, (u32[]){b, d, cx}, 12);
		model->vendor[12] = 0;
	}
	if (__get_cpuid(1, &a, &b, &cx, &d)) {
		model->stepping = a & 15;
		model->model = (a >> 4 & 15) | (a >> 12 & 0xf0);
		model->family = (a >> 8 & 15) == 15 ? 15 + (a >> 20 & 0xff) : a >> 8 & 15;
	}
	bool branded = true;
	for (unsigned i = 0; i < 3; i++)
		branded = __get_cpuid(0x80000002 + i, &word[i * 4], &word[i * 4 + 1], &word[i * 4 + 2], &word[i * 4 + 3]) && branded;
	if (branded)
		memcpy(model->brand, word, sizeof model->brand);
}
