/* SPDX-License-Identifier: MIT */
/* The inside of the KVM engine, shared by its files. */
#ifndef CPU_KVM_PRIVATE_H
#define CPU_KVM_PRIVATE_H

#include <linux/kvm.h>
#include <pthread.h>

#include "cpu/kvm.h"

#define KVM_CPUS_MAX 256
#define KVM_RAMS_MAX 16
#define KVM_CPUID_MAX 256

/* A stretch of guest memory that KVM maps by itself. size 0: the slot is free. */
struct kvm_slot {
	u64 gpa, size;
	u8 *hva;
	u32 flags;
	struct ram *ram;
};

struct kvm_msr_row;

/* One virtual machine, for all CPUs of a bus. */
struct kvm_vm {
	struct kvm_vm *next;
	struct bus *bus;
	int device, fd;
	size_t run_size;
	bool xsave, xcrs, sregs2, readonly, msr_filter, scaling, paging32, v86, tsc_moves;
	struct kvm_cpuid2 *supported;
	/* MSRs whose value is KVM's: indices of the table in kvm_msr.c that this KVM knows */
	const struct kvm_msr_row *msr[160];
	unsigned msrs;
	/* Read-locked inside KVM_RUN; written by the vCPU thread that brings the slots up to date. */
	pthread_rwlock_t running;
	_Atomic bool stale; /* the memory map has changed since */
	struct kvm_slot *slot;
	unsigned slots, slots_max;
	struct ram *logged[KVM_RAMS_MAX]; /* have a dirty log */
	struct bus_listener listener;
	pthread_mutex_t lock; /* guards vcpu[], logged[] and the slot table's readers; innermost */
	struct kvm_vcpu *vcpu[KVM_CPUS_MAX];
	unsigned users;
};

struct kvm_vcpu {
	struct kvm_vm *vm;
	struct cpu *cpu;
	int fd;
	struct kvm_run *run;
	bool loaded;      /* the state in KVM is the valid one */
	bool incomplete;  /* an access that left KVM_RUN is finished by the next KVM_RUN */
	bool tsc_set;     /* the TSC was written once */
	bool ready;       /* an interrupt can be injected now */
	bool held;        /* a vector was acknowledged and not injected */
	bool gave_up;     /* on an instruction that it could not emulate, which raises nothing by that */
	u8 held_vector;
	u64 version;      /* of the state in struct cpu that KVM has as well */
	u64 decoded, filled; /* statistics of when the caches were last empty */
	pthread_mutex_t kick_lock;
	pthread_t thread;
	bool inside;      /* thread is in the engine; under kick_lock */
	char why[128];    /* it cannot go on */
	u64 exits[64];
};

/* ---- kvm_probe.c ---- */
int kvm_open(void);
/* Keep the device open, for a time when it cannot be opened any more. */
void kvm_hold(void);
int kvm_check(int fd, int cap);
/* On the heap; NULL: KVM does not say. */
struct kvm_cpuid2 *kvm_supported_cpuid(int fd);

/* ---- kvm_vm.c ---- */
/* The machine of the CPU's bus, made for the first CPU that asks. */
struct kvm_vm *kvm_vm_join(struct cpu *cpu, struct err *err);
void kvm_vm_part(struct kvm_vm *vm, struct cpu *cpu);
bool kvm_vm_cpuid(struct kvm_vcpu *vcpu, struct err *err);
void kvm_vm_kick(struct kvm_vcpu *vcpu);

/* ---- kvm_mem.c ---- */
void kvm_mem_init(struct kvm_vm *vm);
void kvm_mem_free(struct kvm_vm *vm);
/* Bring the slots up to date; no CPU is in KVM_RUN. False: KVM refuses one. */
bool kvm_mem_update(struct kvm_vm *vm);

/* ---- kvm_state.c, kvm_fpu.c, kvm_msr.c ---- */
/* The whole state into KVM, and out of it. False: KVM refuses it, vcpu->why says what. */
bool kvm_state_push(struct kvm_vcpu *vcpu);
bool kvm_state_pull(struct kvm_vcpu *vcpu);
bool kvm_fpu_push(struct kvm_vcpu *vcpu);
bool kvm_fpu_pull(struct kvm_vcpu *vcpu);
bool kvm_msr_push(struct kvm_vcpu *vcpu);
bool kvm_msr_pull(struct kvm_vcpu *vcpu);
/* Which of the MSRs this KVM knows; all others are sent to msr.c. */
void kvm_msr_setup(struct kvm_vm *vm, int vcpu);
bool kvm_msr_filter(struct kvm_vm *vm, struct err *err);

/* "KVM refuses the segment registers: Invalid argument"; false. */
bool kvm_state_refused(struct kvm_vcpu *vcpu, const char *what);

#endif
