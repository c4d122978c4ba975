/* SPDX-License-Identifier: MIT */
/* The guest's x87 registers in the host's, and back: XSAVE with only the x87 component, so that no vector register and no MXCSR
 * is touched (SDM vol. 1 ch. 13.7). Of the image only the registers and the status, tag and control words are the guest's: the
 * instruction pointer is kept by translated code, and as long as every exception is masked the opcode and the data pointer stay
 * what they were. */
#include "jit/x64/x64.h"

#include <stdlib.h>

#include "cpu/x87.h"
#include "jit/x64/hostcpu.h"

struct fpu_image {
	u16 fcw, fsw;
	u8 valid, reserved;
	u16 fop;
	u64 fip, fdp;
	u32 mxcsr, mxcsr_mask;
	struct f80 st[8]; /* from the top */
	u8 rest[512 - 160];
	u64 present, compacted, header[6];
} __attribute__((aligned(64)));

bool fpu_load(struct cpu *cpu)
{
	const struct x87 *x = &cpu->x87;
	struct fpu_image *image = ((struct jit *)cpu->jit.state)->fpu;
	unsigned top = x87_top(cpu);

	/* an unmasked exception is the interpreter's, as are the faults */
	if (cpu->x87_fault || (x->fsw & FSW_ES) || (~x->fcw & FCW_MASKS))
		return false;
	image->fcw = x->fcw;
	image->fsw = x->fsw;
	image->valid = x->valid;
	image->present = 1;
	for (unsigned i = 0; i < 8; i++) {
		image->st[i].mant = x->r[(top + i) & 7].mant;
		image->st[i].se = x->r[(top + i) & 7].se;
	}
	__asm__ volatile("xrstor64 %0" : : "m"(*image), "a"(1), "d"(0) : "memory");
	cpu->jit.x87 = 1;
	return true;
}

void fpu_store(struct cpu *cpu)
{
	struct x87 *x = &cpu->x87;
	struct fpu_image *image = ((struct jit *)cpu->jit.state)->fpu;

	__asm__ volatile("xsave64 %0" : "+m"(*image) : "a"(1), "d"(0) : "memory");
	x->fcw = image->fcw;
	x->fsw = image->fsw;
	x->valid = image->valid;
	for (unsigned i = 0; i < 8; i++) {
		x->r[(x87_top(cpu) + i) & 7].mant = image->st[i].mant;
		x->r[(x87_top(cpu) + i) & 7].se = image->st[i].se;
	}
	cpu->jit.x87 = 0;
	/* C expects an empty register stack */
	__asm__ volatile("fninit" : : : "memory");
}

struct fpu_image *fpu_new(void)
{
	struct fpu_image *image = NULL;

	if (hostcpu_has(HOST_OSXSAVE))
		image = aligned_alloc(_Alignof(struct fpu_image), sizeof *image);
	if (image)
		*image = (struct fpu_image){0};
	return image;
}
