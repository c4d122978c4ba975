/* SPDX-License-Identifier: MIT */
/* What the stubs of private.h call when a look-up in translated code has missed. Nothing here touches a vector register: they may
 * hold the guest's. */
#include "cpu/access.h"
#include "jit/x64/x64.h"

bool lookup_refill(struct cpu *cpu, u64 linear, u32 how)
{
#ifdef __SANITIZE_THREAD__ /* its run-time library may use vector registers */
	return false;
#endif
	return access_refill(cpu, linear, how & 0xff, how >> 8);
}

/* A window that is kept outlives the translation: another thread that puts its page under watch either finds it here, or had taken
 * the TLB's write entry away before, which is looked at last. */
static void keep(struct cpu *cpu, unsigned slot, u64 linear, u64 delta, const struct tlb_entry *e)
{
	struct jit_window *w = &cpu->jit.window[slot];

	tlb_store(&w->none[1], ~0ull);
	tlb_store(&w->tag, linear & ~(u64)PAGE_OFFSET);
	tlb_store(&w->delta, delta);
	w->none[0] = linear - e->read < PAGE_SIZE ? 0 : ~0ull;
	cpu->jit.windows |= BIT(slot);
	if (linear - tlb_load(&e->write) >= PAGE_SIZE)
		return;
	tlb_store(&w->none[1], 0);
	atomic_thread_fence(memory_order_seq_cst);
	if (linear - tlb_load(&e->write) >= PAGE_SIZE)
		tlb_store(&w->none[1], ~0ull);
}

bool lookup_window(struct cpu *cpu, u64 linear, u32 how)
{
	unsigned span = how & WINDOW_SPAN, slot = how / WINDOW_SLOT;
	bool write = how & WINDOW_WRITE;
	struct tlb_entry *e = tlb_slot(cpu->tlb, linear);
	struct jit_window *w = &cpu->jit.window[slot];

#ifdef __SANITIZE_THREAD__
	return false;
#endif
	if ((linear & PAGE_OFFSET) > PAGE_SIZE - span)
		return false;
	if (linear - (write ? tlb_load(&e->write) : e->read) >= PAGE_SIZE) {
		if (!access_refill(cpu, linear, 1, write))
			return false;
		e = tlb_slot(cpu->tlb, linear);
	}
	u64 delta = tlb_load(&e->host) - (linear & ~(u64)PAGE_OFFSET);
	if (!(how & WINDOW_KEEP)) {
		w->local = delta;
		return true;
	}
	keep(cpu, slot, linear, delta, e);
	return !(write ? tlb_load(&w->none[1]) : w->none[0]);
}
