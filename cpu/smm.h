/* SPDX-License-Identifier: MIT */
/* System management mode. SDM vol. 3C ch. 32; AMD APM vol. 2 ch. 10. */
#ifndef CPU_SMM_H
#define CPU_SMM_H

#include "cpu/cpu.h"

/* Take a system management interrupt, between two instructions. */
void smm_enter(struct cpu *cpu);
/* RSM: back to where the interrupt came, or to shutdown if the saved state is illegal. */
void smm_leave(struct cpu *cpu);

#endif
