/* SPDX-License-Identifier: MIT */
/* The host's flavour. Results that the manuals leave undefined are a property of the CPU that executes, and the vendor's string is
 * not: hypervisors show guests another one, and vendors license designs. So instructions are executed whose undefined results
 * differ between the families, and all of them must tell the same. */
#include "cpu/model.h"

#include <pthread.h>

const char *const flavour_names[] = {[FLAVOUR_INTEL] = "intel", [FLAVOUR_AMD] = "amd", NULL};

#ifdef __x86_64__
#define BEFORE (FLAG_SF | FLAG_ZF | FLAG_PF) /* flags before the instruction; AF is clear */

/* The flags that AX is left with by LAHF behind an instruction; RAX and RDX before it are 3 and 0, RCX is 5. */
#define FLAGS_BEHIND(instruction)                                                                                      \
	({                                                                                                                 \
		u64 a_ = 3, d_ = 0, flags_;                                                                                    \
		__asm__ volatile("lea -128(%%rsp), %%rsp\n\tpush %4\n\tpopf\n\t" instruction                                   \
		                 "\n\tpushf\n\tpop %2\n\tlea 128(%%rsp), %%rsp"                                                \
		                 : "+a"(a_), "+d"(d_), "=&r"(flags_)                                                           \
		                 : "c"(5ull), "r"((u64)(BEFORE | FLAG_1))                                                      \
		                 : "cc", "memory");                                                                            \
		flags_ & FLAGS_ARITH;                                                                                          \
	})

static enum cpu_flavour probe(void)
{
	u64 shl = FLAGS_BEHIND("shl $1, %%eax"), mul = FLAGS_BEHIND("mul %%ecx"), div = FLAGS_BEHIND("div %%ecx");

	/* SHL sets AF; MUL leaves SF, ZF, AF and PF alone (Intel: they are of the low half, 15); DIV sets AF and clears the others */
	bool amd = (shl & FLAG_AF) && (mul & ~(u64)(FLAG_CF | FLAG_OF)) == BEFORE && div == FLAG_AF;
	return amd ? FLAVOUR_AMD : FLAVOUR_INTEL;
}
#else
static enum cpu_flavour probe(void)
{
	return FLAVOUR_INTEL;
}
#endif

static enum cpu_flavour host;

static void probe_host(void)
{
	host = probe();
}

enum cpu_flavour flavour_host(void)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;

	pthread_once(&once, probe_host);
	return host;
}
