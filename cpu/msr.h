/* SPDX-License-Identifier: MIT */
/* Model-specific registers, for RDMSR and WRMSR, debuggers, loaders and other engines. */
#ifndef CPU_MSR_H
#define CPU_MSR_H

#include "cpu/cpu.h"

#define MSR_TSC 0x10
#define MSR_APIC_BASE 0x1b
#define MSR_MTRR_CAP 0xfe
#define MSR_PAT 0x277
#define MSR_MTRR_DEF_TYPE 0x2ff
#define MSR_TSC_DEADLINE 0x6e0
#define MSR_EFER 0xc0000080
#define MSR_STAR 0xc0000081
#define MSR_LSTAR 0xc0000082
#define MSR_FMASK 0xc0000084
#define MSR_FS_BASE 0xc0000100
#define MSR_GS_BASE 0xc0000101
#define MSR_KERNEL_GS_BASE 0xc0000102

/* False where RDMSR or WRMSR raise #GP(0): no such register on this CPU, read- or write-only, reserved bits. */
bool msr_read(struct cpu *cpu, u32 index, u64 *value);
bool msr_write(struct cpu *cpu, u32 index, u64 value);
/* "IA32_EFER", or NULL. */
const char *msr_name(const struct cpu *cpu, u32 index);
/* The MSRs of this CPU in ascending order: start with index 0, *next is where to go on; false at the end. Ranges that belong to
 * the interrupt controller are left out. */
bool msr_next(const struct cpu *cpu, u64 from, u32 *index);

#endif
