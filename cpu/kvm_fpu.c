/* SPDX-License-Identifier: MIT */
/* x87, SSE, AVX and AVX-512 state to and from KVM: the standard form of XSAVE (SDM vol. 1 13.4), or the older FPU structure.
 * KVM's image is that of FXSAVE64: FCS and FDS are not in it and come back as 0. */
#include "cpu/kvm_private.h"

#include <errno.h>
#include <sys/ioctl.h>

#include "cpu/x87.h"
#include "cpu/xsave.h"

enum { AT_FCW = 0, AT_FSW = 2, AT_TAGS = 4, AT_FOP = 6, AT_FIP = 8, AT_FDP = 16, AT_MXCSR = 24, AT_MXCSR_MASK = 28, AT_ST = 32,
       AT_XMM = 160, AT_BV = 512 };
enum { AVX = 2, OPMASK = 5, ZMM_HIGH = 6, HIGH_ZMM = 7 };
#define IMAGE sizeof ((struct kvm_xsave *)0)->region

/* Components from bit 2 on: where KVM's image has them is what CPUID leaf 0DH of the host says. */
static const struct part {
	u8 bit;
	u8 first, count; /* vector registers */
	u8 at, bytes;    /* of each */
} parts[] = {
	{AVX, 0, 16, 16, 16},
	{ZMM_HIGH, 0, 16, 32, 32},
	{HIGH_ZMM, 16, 16, 0, 64},
};

static bool place(const struct kvm_vm *vm, unsigned bit, u32 *offset)
{
	for (u32 i = 0; i < vm->supported->nent; i++) {
		const struct kvm_cpuid_entry2 *e = &vm->supported->entries[i];
		if (e->function == 0xd && e->index == bit && e->eax) {
			*offset = e->ebx;
			return e->ebx + (u64)e->eax <= IMAGE;
		}
	}
	return false;
}

static void put_legacy(const struct cpu *cpu, u8 *image)
{
	const struct x87 *x = &cpu->x87;

	store16(image + AT_FCW, x->fcw);
	store16(image + AT_FSW, x->fsw);
	store16(image + AT_TAGS, x->valid);
	store16(image + AT_FOP, x->fop);
	store64(image + AT_FIP, x->fip);
	store64(image + AT_FDP, x->fdp);
	store32(image + AT_MXCSR, cpu->mxcsr);
	store32(image + AT_MXCSR_MASK, 0xffff);
	for (unsigned i = 0; i < 8; i++) {
		const struct f80 *r = &x->r[(x87_top(cpu) + i) & 7];
		store64(image + AT_ST + i * 16, r->mant);
		store16(image + AT_ST + i * 16 + 8, r->se);
	}
	for (unsigned i = 0; i < 16; i++)
		memcpy(image + AT_XMM + i * 16, cpu->v[i].q, 16);
}

static void get_x87(struct cpu *cpu, const u8 *image)
{
	struct x87 *x = &cpu->x87;

	x->fcw = load16(image + AT_FCW);
	x->fsw = load16(image + AT_FSW);
	x->valid = image[AT_TAGS];
	x->fop = load16(image + AT_FOP) & 0x7ff;
	x->fip = load64(image + AT_FIP);
	x->fdp = load64(image + AT_FDP);
	x->fcs = x->fds = 0;
	for (unsigned i = 0; i < 8; i++)
		x->r[(x87_top(cpu) + i) & 7] = (struct f80){
			.mant = load64(image + AT_ST + i * 16),
			.se = load16(image + AT_ST + i * 16 + 8),
		};
}

/* ---- XSAVE ---- */

static bool push_xsave(struct kvm_vcpu *vcpu)
{
	struct kvm_xsave area = {0};
	u8 *image = (u8 *)area.region;
	struct cpu *cpu = vcpu->cpu;
	u64 present = XSAVE_X87 | XSAVE_SSE;
	u32 offset;

	put_legacy(cpu, image);
	for (unsigned p = 0; p < ARRAY_LEN(parts); p++) {
		u64 any = 0;
		if (!place(vcpu->vm, parts[p].bit, &offset))
			continue;
		for (unsigned i = 0; i < parts[p].count; i++) {
			const u8 *from = cpu->v[parts[p].first + i].b + parts[p].at;
			memcpy(image + offset + i * parts[p].bytes, from, parts[p].bytes);
			for (unsigned b = 0; b < parts[p].bytes; b += 8)
				any |= load64(from + b);
		}
		if (any)
			present |= BIT(parts[p].bit);
	}
	if (place(vcpu->vm, OPMASK, &offset)) {
		u64 any = 0;
		memcpy(image + offset, cpu->k, sizeof cpu->k);
		for (unsigned i = 0; i < 8; i++)
			any |= cpu->k[i];
		if (any)
			present |= BIT(OPMASK);
	}
	store64(image + AT_BV, present);
	return ioctl(vcpu->fd, KVM_SET_XSAVE, &area) == 0 || kvm_state_refused(vcpu, "the vector registers");
}

static bool pull_xsave(struct kvm_vcpu *vcpu)
{
	struct kvm_xsave area;
	u8 *image = (u8 *)area.region;
	struct cpu *cpu = vcpu->cpu;
	u32 offset;

	if (ioctl(vcpu->fd, KVM_GET_XSAVE, &area))
		return kvm_state_refused(vcpu, "to give the vector registers");
	u64 present = load64(image + AT_BV);
	if (present & XSAVE_X87) {
		get_x87(cpu, image);
	} else {
		memset(&cpu->x87, 0, sizeof cpu->x87);
		cpu->x87.fcw = FCW_INIT;
	}
	cpu->mxcsr = load32(image + AT_MXCSR);
	for (unsigned i = 0; i < 16; i++)
		if (present & XSAVE_SSE)
			memcpy(cpu->v[i].q, image + AT_XMM + i * 16, 16);
		else
			memset(cpu->v[i].q, 0, 16);
	for (unsigned p = 0; p < ARRAY_LEN(parts); p++)
		for (unsigned i = 0; i < parts[p].count && place(vcpu->vm, parts[p].bit, &offset); i++) {
			u8 *to = cpu->v[parts[p].first + i].b + parts[p].at;
			if (present >> parts[p].bit & 1)
				memcpy(to, image + offset + i * parts[p].bytes, parts[p].bytes);
			else
				memset(to, 0, parts[p].bytes);
		}
	if (place(vcpu->vm, OPMASK, &offset)) {
		memset(cpu->k, 0, sizeof cpu->k);
		if (present >> OPMASK & 1)
			memcpy(cpu->k, image + offset, sizeof cpu->k);
	}
	return true;
}

/* ---- without XSAVE ---- */

static bool push_fpu(struct kvm_vcpu *vcpu)
{
	struct kvm_fpu fpu = {0};
	u8 image[512] = {0};

	put_legacy(vcpu->cpu, image);
	fpu.fcw = load16(image + AT_FCW);
	fpu.fsw = load16(image + AT_FSW);
	fpu.ftwx = image[AT_TAGS];
	fpu.last_opcode = load16(image + AT_FOP);
	fpu.last_ip = load64(image + AT_FIP);
	fpu.last_dp = load64(image + AT_FDP);
	fpu.mxcsr = load32(image + AT_MXCSR);
	memcpy(fpu.fpr, image + AT_ST, sizeof fpu.fpr);
	memcpy(fpu.xmm, image + AT_XMM, sizeof fpu.xmm);
	return ioctl(vcpu->fd, KVM_SET_FPU, &fpu) == 0 || kvm_state_refused(vcpu, "the FPU's registers");
}

static bool pull_fpu(struct kvm_vcpu *vcpu)
{
	struct kvm_fpu fpu;
	u8 image[512] = {0};

	if (ioctl(vcpu->fd, KVM_GET_FPU, &fpu))
		return kvm_state_refused(vcpu, "to give the FPU's registers");
	store16(image + AT_FCW, fpu.fcw);
	store16(image + AT_FSW, fpu.fsw);
	image[AT_TAGS] = fpu.ftwx;
	store16(image + AT_FOP, fpu.last_opcode);
	store64(image + AT_FIP, fpu.last_ip);
	store64(image + AT_FDP, fpu.last_dp);
	memcpy(image + AT_ST, fpu.fpr, sizeof fpu.fpr);
	get_x87(vcpu->cpu, image);
	vcpu->cpu->mxcsr = fpu.mxcsr;
	for (unsigned i = 0; i < 16; i++)
		memcpy(vcpu->cpu->v[i].q, fpu.xmm[i], 16);
	return true;
}

bool kvm_fpu_push(struct kvm_vcpu *vcpu)
{
	return vcpu->vm->xsave ? push_xsave(vcpu) : push_fpu(vcpu);
}

bool kvm_fpu_pull(struct kvm_vcpu *vcpu)
{
	return vcpu->vm->xsave ? pull_xsave(vcpu) : pull_fpu(vcpu);
}
