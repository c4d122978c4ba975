/* SPDX-License-Identifier: MIT */
/* The KVM engine: guest code runs on the host's CPU through Linux's /dev/kvm. x86-64 Linux hosts only. */
#ifndef CPU_KVM_H
#define CPU_KVM_H

#include "cpu/engine.h"
#include "cpu/model.h"

extern const struct engine kvm_engine;

/* What this host's KVM is. */
enum kvm_found {
	KVM_THERE,
	KVM_NO_DEVICE,     /* no /dev/kvm */
	KVM_NO_PERMISSION, /* it may not be opened */
	KVM_BUSY,          /* something else has the hardware: no virtual machine can be made */
	KVM_INCOMPLETE,    /* what this engine stands on is missing */
};
struct kvm_report {
	const char *device;
	enum kvm_found found;
	int api, error;    /* errno of what failed */
	char missing[160]; /* capabilities, by name */
	u64 tsc_hz;        /* of a guest; 0: not known */
	bool tsc_scaling;  /* any guest frequency is possible */
	bool hardware;     /* the host's CPU has VMX or SVM: KVM is no emulator of its own */
	bool smm, xsave, msr_filter;
	bool paging32, v86, tsc_moves; /* paging without long mode; virtual 8086 mode; a guest's TSC may be set */
	bool own_cpuid;    /* a guest sees other features than the CPUID that was set has */
	unsigned max_cpus;
};
/* Another node than /dev/kvm, for all that follows; kept. NULL: that one. */
void kvm_set_device(const char *path);
void kvm_probe(struct kvm_report *report);
/* One line: what is the matter with it, and the command that mends it. */
void kvm_explain(const struct kvm_report *report, char *text, size_t size);
bool kvm_in_container(void);

/* Features of the model that KVM cannot give a guest here are taken away; their names, separated by blanks, are put into text.
 * change false: only the names. False if there are any. Without KVM nothing changes. */
bool kvm_limit_model(struct cpu_model *model, bool change, char *text, size_t size);
/* -cpu host: what the host's CPU is called, and features that KVM can give and no other engine has; their names in text. */
void kvm_host_model(struct cpu_model *model, char *text, size_t size);

#endif
