/* SPDX-License-Identifier: MIT */
/* Extended state components: which there are, where they lie in a save area. SDM vol. 1 ch. 13. */
#ifndef CPU_XSAVE_H
#define CPU_XSAVE_H

#include "cpu/cpu.h"

/* Bits of XCR0, IA32_XSS, XSTATE_BV. */
#define XSAVE_X87 BIT(0)
#define XSAVE_SSE BIT(1)
#define XSAVE_AVX BIT(2)
#define XSAVE_LEGACY 512u /* bytes of the FXSAVE area */
#define XSAVE_HEADER 64u

/* What XCR0 (user) and IA32_XSS (supervisor) may hold on this CPU. */
u64 xsave_supported(const struct cpu *cpu);
u64 xsave_supported_xss(const struct cpu *cpu);
/* XINUSE: components that are not in their initial state. */
u64 xsave_in_use(const struct cpu *cpu);
/* Size and standard-format offset of component i >= 2; both 0 if there is none. aligned: starts on 64 bytes when compacted. */
struct xsave_place {
	u32 size, offset;
	bool aligned;
};
struct xsave_place xsave_component(const struct cpu *cpu, unsigned i);
/* Bytes of an area that holds these components (legacy region and header included). */
u32 xsave_size(const struct cpu *cpu, u64 components, bool compacted);

#endif
