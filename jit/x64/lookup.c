/* SPDX-License-Identifier: MIT */
/* What the stubs of private.h call when a look-up in translated code has missed. Nothing here touches a vector register: they may
 * hold the guest's. */
#include "cpu/access.h"
#include "jit/x64/x64.h"

/* ThreadSanitizer sees what other threads do to TLB entries, which is meant: those paths are the interpreter's there. */
#ifdef __SANITIZE_THREAD__
#define WITHOUT true
#else
#define WITHOUT false
#endif

bool lookup_refill(struct cpu *cpu, u64 linear, u32 how)
{
	if (WITHOUT)
		return false;
	((struct jit *)cpu->jit.state)->refills++;
	return access_refill(cpu, linear, how & 0xff, how >> 8);
}

bool lookup_window(struct cpu *cpu, u64 linear, u32 how)
{
	unsigned span = how & WINDOW_SPAN, slot = how / WINDOW_SLOT;
	bool write = how & WINDOW_WRITE;
	struct tlb_entry *e = tlb_slot(cpu->tlb, linear);
	struct jit_window *w = &cpu->jit.window[slot];

	if (WITHOUT)
		return false;
	((struct jit *)cpu->jit.state)->opened++;
	if ((linear & PAGE_OFFSET) > PAGE_SIZE - span)
		return false;
	if (linear - (write ? tlb_load(&e->write) : e->read) >= PAGE_SIZE) {
		if (!access_refill(cpu, linear, 1, write))
			return false;
		e = tlb_slot(cpu->tlb, linear);
	}
	if (!(how & WINDOW_KEEP)) {
		w->local = tlb_load(&e->host) - (linear & ~(u64)PAGE_OFFSET);
		return true;
	}
	tlb_keep_window(cpu, slot, linear, e);
	return !(write ? tlb_load(&w->none[1]) : w->none[0]);
}

bool lookup_access_flag(struct cpu *cpu, u64 unused, u32 on)
{
	(void)unused;
	cpu->rflags = (cpu->rflags & ~(u64)FLAG_AC) | (on ? FLAG_AC : 0);
	mode_flags_changed(cpu);
	return true;
}
