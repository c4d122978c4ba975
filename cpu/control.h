/* SPDX-License-Identifier: MIT */
/* Control registers, EFER and XCR0: the one place where their rules are kept. Instructions, task switches, debuggers and loaders
 * change them through these. Each returns false, with nothing changed, where the manual says #GP(0). */
#ifndef CPU_CONTROL_H
#define CPU_CONTROL_H

#include "cpu/cpu.h"

#define CR3_NO_FLUSH BIT(63)
#define CR3_PCID 0xfffull

#define DR6_FIXED 0xffff0ff0ull /* bits that read as 1 */
#define DR6_HITS 0xfull /* B0 to B3 */
#define DR6_BD BIT(13)
#define DR6_BS BIT(14)
#define DR6_BT BIT(15)
#define DR6_WRITABLE (DR6_HITS | DR6_BD | DR6_BS | DR6_BT)
#define DR7_FIXED BIT(10)
#define DEBUGCTL_BTF BIT(1)
#define DR7_GD BIT(13)
#define DR7_WRITABLE 0xffff23ffull

bool control_set_cr0(struct cpu *cpu, u64 value);
bool control_set_cr3(struct cpu *cpu, u64 value);
bool control_set_cr4(struct cpu *cpu, u64 value);
bool control_set_cr8(struct cpu *cpu, u64 value);
u64 control_cr8(struct cpu *cpu);
bool control_set_efer(struct cpu *cpu, u64 value);
bool control_set_xcr0(struct cpu *cpu, u64 value);
/* The bits of CR4 and EFER that this CPU's model has. */
u64 control_cr4_bits(const struct cpu *cpu);
u64 control_efer_bits(const struct cpu *cpu);

#endif
