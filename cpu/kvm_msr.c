/* SPDX-License-Identifier: MIT */
/* MSRs under KVM. Those whose value the host's CPU works with (system calls, segment bases, memory types, time) are KVM's while
 * the guest runs there; one table pairs them with struct cpu. All others - they only hold a value or describe the machine - are
 * kept out of KVM by a filter, come back as exits, and mean what msr.c says, as under every engine. Where KVM has no filter, it
 * answers for those itself and only what it does not know comes back. */
#include "cpu/kvm_private.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/ioctl.h>

#include "cpu/msr.h"

struct kvm_msr_row {
	u32 first, count;
	u32 offset;  /* in struct cpu */
	u8 feature;  /* of the model */
	bool in_sregs; /* carried by the segment state: here for the filter only */
};

#define ROW(first, count, member, feature) {first, count, offsetof(struct cpu, member), feature, false}
static const struct kvm_msr_row rows[] = {
	{MSR_EFER, 1, 0, 0, true},
	{MSR_FS_BASE, 2, 0, FEAT_LM, true},
	{MSR_APIC_BASE, 1, 0, FEAT_APIC, true},
	{MSR_TSC, 1, 0, FEAT_TSC, true},
	ROW(MSR_STAR, 1, star, FEAT_SYSCALL),
	ROW(MSR_LSTAR, 1, lstar, FEAT_LM),
	ROW(0xc0000083, 1, cstar, FEAT_LM),
	ROW(MSR_FMASK, 1, fmask, FEAT_SYSCALL),
	ROW(MSR_KERNEL_GS_BASE, 1, kernel_gs_base, FEAT_LM),
	ROW(0xc0000103, 1, tsc_aux, FEAT_RDTSCP),
	ROW(0x174, 1, sysenter_cs, FEAT_SEP),
	ROW(0x175, 1, sysenter_esp, FEAT_SEP),
	ROW(0x176, 1, sysenter_eip, FEAT_SEP),
	ROW(0x3b, 1, tsc_adjust, FEAT_TSC_ADJUST),
	ROW(MSR_PAT, 1, pat, FEAT_PAT),
	ROW(0xda0, 1, xss, FEAT_XSAVES),
};

/* ---- both ways ---- */

struct batch {
	struct kvm_msrs head;
	struct kvm_msr_entry entry[160];
};

static u64 *member(struct cpu *cpu, const struct kvm_msr_row *row)
{
	return (u64 *)((char *)cpu + row->offset);
}

bool kvm_msr_push(struct kvm_vcpu *vcpu)
{
	struct batch batch = {0};
	struct cpu *cpu = vcpu->cpu;

	for (unsigned i = 0; i < vcpu->vm->msrs; i++) {
		const struct kvm_msr_row *row = vcpu->vm->msr[i];
		if (cpu_has(cpu, row->feature))
			batch.entry[batch.head.nmsrs++] = (struct kvm_msr_entry){.index = row->first, .data = *member(cpu, row)};
	}
	int done = ioctl(vcpu->fd, KVM_SET_MSRS, &batch);
	if (done == (int)batch.head.nmsrs)
		return true;
	char what[48];
	if (done >= 0)
		errno = EINVAL;
	snprintf(what, sizeof what, "MSR %#x", done < 0 ? 0 : batch.entry[done].index);
	return kvm_state_refused(vcpu, what);
}

bool kvm_msr_pull(struct kvm_vcpu *vcpu)
{
	struct batch batch = {0};
	struct cpu *cpu = vcpu->cpu;
	u64 *to[ARRAY_LEN(batch.entry)];

	for (unsigned i = 0; i < vcpu->vm->msrs; i++) {
		const struct kvm_msr_row *row = vcpu->vm->msr[i];
		if (!cpu_has(cpu, row->feature))
			continue;
		to[batch.head.nmsrs] = member(cpu, row);
		batch.entry[batch.head.nmsrs++].index = row->first;
	}
	if (ioctl(vcpu->fd, KVM_GET_MSRS, &batch) != (int)batch.head.nmsrs)
		return kvm_state_refused(vcpu, "to give the MSRs");
	for (unsigned i = 0; i < batch.head.nmsrs; i++)
		*to[i] = batch.entry[i].data;
	return true;
}

/* ---- which ---- */

void kvm_msr_setup(struct kvm_vm *vm, int vcpu)
{
	for (unsigned i = 0; i < ARRAY_LEN(rows); i++) {
		struct batch batch = {.head.nmsrs = 1, .entry[0].index = rows[i].first};
		/* what can be read but not written, not even with what was read, is not there */
		if (!rows[i].in_sregs && ioctl(vcpu, KVM_GET_MSRS, &batch) == 1 && ioctl(vcpu, KVM_SET_MSRS, &batch) == 1)
			vm->msr[vm->msrs++] = &rows[i];
	}
}

/* The three ranges in which MSRs lie: everything is denied but what the table has. */
bool kvm_msr_filter(struct kvm_vm *vm, struct err *err)
{
	static const u32 bases[] = {0, 0xc0000000, 0xc0010000};
	enum { MSRS = 0x2000 };
	u8 bits[ARRAY_LEN(bases)][MSRS / 8] = {0};
	struct kvm_msr_filter filter = {.flags = KVM_MSR_FILTER_DEFAULT_DENY};
	struct kvm_enable_cap cap = {.cap = KVM_CAP_X86_USER_SPACE_MSR,
	                             .args[0] = KVM_MSR_EXIT_REASON_UNKNOWN | KVM_MSR_EXIT_REASON_FILTER};

	if (!vm->msr_filter)
		return true;
	if (ioctl(vm->fd, KVM_ENABLE_CAP, &cap))
		return err_set(err, EXIT_ACCEL, "KVM does not hand MSRs over: %m");
	for (unsigned i = 0; i < ARRAY_LEN(bases); i++) {
		for (unsigned r = 0; r < ARRAY_LEN(rows); r++)
			for (u32 n = 0; n < rows[r].count; n++)
				if (rows[r].first + n - bases[i] < MSRS)
					bits[i][(rows[r].first + n - bases[i]) / 8] |= 1 << (rows[r].first + n - bases[i]) % 8;
		filter.ranges[i] = (struct kvm_msr_filter_range){
			.flags = KVM_MSR_FILTER_READ | KVM_MSR_FILTER_WRITE, .nmsrs = MSRS, .base = bases[i], .bitmap = bits[i]};
	}
	if (ioctl(vm->fd, KVM_X86_SET_MSR_FILTER, &filter))
		return err_set(err, EXIT_ACCEL, "KVM takes no filter of MSRs: %m");
	return true;
}
