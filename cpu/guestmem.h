/* SPDX-License-Identifier: MIT */
/* Loads from and stores to guest memory, which other CPUs and devices use at the same time: in the order that x86 promises (SDM 3A
 * 8.2.2: loads among loads, stores among stores, stores behind earlier loads), and never in parts when aligned.
 *
 * On x86 hosts that is what plain accesses do. Elsewhere fences see to it while there are several CPUs. The thread sanitizer is
 * kept out: races of the guest are not ours. */
#ifndef CPU_GUESTMEM_H
#define CPU_GUESTMEM_H

#include "cpu/cpu.h"

#ifdef __SANITIZE_THREAD__
#define GUESTMEM_FN static noinline __attribute__((unused, no_sanitize("thread")))
#else
#define GUESTMEM_FN static always_inline
#endif

/* After a load, before a store. */
GUESTMEM_FN void guest_order_load(const struct cpu *cpu)
{
#if defined(__aarch64__)
	if (cpu->count > 1)
		__asm__ volatile("dmb ishld" ::: "memory");
#else
	(void)cpu;
#endif
}
GUESTMEM_FN void guest_order_store(const struct cpu *cpu)
{
#if defined(__aarch64__)
	if (cpu->count > 1)
		__asm__ volatile("dmb ishst" ::: "memory");
#else
	(void)cpu;
#endif
}
/* Around a locked operation, which orders everything. */
GUESTMEM_FN void guest_order_all(const struct cpu *cpu)
{
#if defined(__aarch64__)
	if (cpu->count > 1)
		__asm__ volatile("dmb ish" ::: "memory");
#else
	(void)cpu;
#endif
}

#define GUEST_LOAD_STORE(bits)                                                                                         \
	GUESTMEM_FN u##bits guest_load##bits(const struct cpu *cpu, const void *p)                                        \
	{                                                                                                                  \
		u##bits v;                                                                                                     \
		__builtin_memcpy(&v, p, sizeof v);                                                                             \
		guest_order_load(cpu);                                                                                         \
		return v;                                                                                                      \
	}                                                                                                                  \
	GUESTMEM_FN void guest_store##bits(const struct cpu *cpu, void *p, u##bits v)                                     \
	{                                                                                                                  \
		guest_order_store(cpu);                                                                                        \
		__builtin_memcpy(p, &v, sizeof v);                                                                             \
	}
GUEST_LOAD_STORE(8)
GUEST_LOAD_STORE(16)
GUEST_LOAD_STORE(32)
GUEST_LOAD_STORE(64)
#undef GUEST_LOAD_STORE

/* More at once: no order within. */
GUESTMEM_FN void guest_move(const struct cpu *cpu, void *to, const void *from, size_t len)
{
	guest_order_store(cpu);
#ifdef __SANITIZE_THREAD__ /* which looks into the C library's functions */
	volatile u8 *t = to;
	const volatile u8 *f = from;
	bool up = (uintptr_t)to <= (uintptr_t)from;
	for (size_t i = 0; i < len; i++)
		t[up ? i : len - 1 - i] = f[up ? i : len - 1 - i];
#else
	memmove(to, from, len);
#endif
	guest_order_load(cpu);
}
GUESTMEM_FN void guest_copy16(const struct cpu *cpu, void *to, const void *from)
{
	guest_order_store(cpu);
#ifdef __SANITIZE_THREAD__
	guest_move(cpu, to, from, 16);
#else
	memcpy(to, from, 16);
#endif
	guest_order_load(cpu);
}
GUESTMEM_FN void guest_fill(const struct cpu *cpu, void *to, u8 value, size_t len)
{
	guest_order_store(cpu);
#ifdef __SANITIZE_THREAD__
	for (volatile u8 *t = to; len--;)
		*t++ = value;
#else
	memset(to, value, len);
#endif
}

#endif
