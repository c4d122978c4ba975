/* SPDX-License-Identifier: MIT */
/* Every exception that protected mode code can raise, with its error code. SDM vol. 3A ch. 6. */
#include "test.inc"

test:
	mov %cr0, %eax
	or $0x20, %eax /* NE: x87 errors are #MF */
	mov %eax, %cr0
	mov %cr4, %eax
	or $0x600, %eax
	mov %eax, %cr4

	xor %edx, %edx
	xor %ecx, %ecx
	mov $5, %eax
	FAULT div %ecx  //! #DE
	mov $0x80000000, %eax
	cdq
	mov $-1, %ecx
	FAULT idiv %ecx  /* overflow */  //! #DE
	FAULT .byte 0xf1  /* INT1 */  //! #DB
	FAULT int3  //! #BP
	mov $0x7fffffff, %eax
	inc %eax
	FAULT into  //! #OF
	mov $10, %eax
	FAULT bound %eax, bounds  //! #BR
	FAULT ud2  //! #UD
	FAULT .byte 0xf0, 0x89, 0xc0  /* LOCK MOV */  //! #UD
	mov %cr0, %eax
	or $8, %eax
	mov %eax, %cr0
	FAULT fld1  /* TS */  //! #NM
	FAULT movaps %xmm0, %xmm1  //! #NM
	clts
	mov $FREE, %eax
	FAULT mov %eax, %ds  /* a null descriptor is no data segment */  //! #GP(FREE)
	movl $0x0000ffff, free
	movl $0x00cf1300, free + 4          /* data, not present */
	FAULT mov %eax, %ds  //! #NP(FREE)
	FAULT mov %eax, %ss  //! #SS(FREE)
	mov $0x1000, %eax
	FAULT mov %eax, %ds  /* beyond the GDT */  //! #GP(0x1000)
	FAULT mov %eax, %cs  //! #UD
	FAULT int $0x40  /* beyond the IDT */  //! #GP(0x202)
	movl $0x00c09200, free + 4
	movl $0x00000010, free              /* data, limit 0x10fff */
	mov $FREE, %eax
	mov %eax, %es
	FAULT mov %es:0x11000, %eax  /* beyond the limit */  //! #GP(0)
	FAULT movl $0, %cs:scratch  /* code is not written */  //! #GP(0)
	xor %eax, %eax
	mov %eax, %gs
	FAULT mov %gs:0, %eax  /* null selector */  //! #GP(0)
	mov $0x80000000, %eax
	FAULT mov %eax, %cr0  /* PG without PE */  //! #GP(0)
	fninit
	fldcw cw_unmasked
	fld1
	fldz
	fdivrp
	FAULT fwait  //! #MF
	fninit
	ldmxcsr mxcsr_unmasked
	movss one, %xmm0
	movss zero, %xmm1
	FAULT divss %xmm1, %xmm0  //! #XM
	ldmxcsr mxcsr_default
	FAULT movaps misaligned + 1, %xmm0  //! #GP(0)
	FAULT ltr null  //! #GP(0)
	mov $DATA, %eax
	FAULT lldt %ax  /* not an LDT */  //! #GP(0x18)
	FAULT ltr %ax  /* not a TSS */  //! #GP(0x18)
	mov $0xffff, %ecx
	FAULT rdmsr  /* no such MSR */  //! #GP(0)
	END

	.data
	.align 16
bounds:	.long 0, 9
cw_unmasked: .word 0x037b
	.align 4
mxcsr_unmasked: .long 0x1d80
mxcsr_default: .long 0x1f80
one:	.float 1.0
zero:	.float 0.0
null:	.word 0
	.align 16
misaligned: .skip 32

//! reg mode = 32
