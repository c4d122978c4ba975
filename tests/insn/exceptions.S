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
	FAULT div %ecx                      /* 0: #DE */
	mov $0x80000000, %eax
	cdq
	mov $-1, %ecx
	FAULT idiv %ecx                     /* 1: #DE: overflow */
	FAULT .byte 0xf1                    /* 2: INT1: #DB */
	FAULT int3                          /* 3: #BP */
	mov $0x7fffffff, %eax
	inc %eax
	FAULT into                          /* 4: #OF */
	mov $10, %eax
	FAULT bound %eax, bounds            /* 5: #BR */
	FAULT ud2                           /* 6: #UD */
	FAULT .byte 0xf0, 0x89, 0xc0        /* 7: LOCK MOV: #UD */
	mov %cr0, %eax
	or $8, %eax
	mov %eax, %cr0
	FAULT fld1                          /* 8: #NM by TS */
	FAULT movaps %xmm0, %xmm1           /* 9: #NM */
	clts
	mov $FREE, %eax
	FAULT mov %eax, %ds                 /* 10: #GP(FREE): a null descriptor is no data segment */
	movl $0x0000ffff, free
	movl $0x00cf1300, free + 4          /* data, not present */
	FAULT mov %eax, %ds                 /* 11: #NP(FREE) */
	FAULT mov %eax, %ss                 /* 12: #SS(FREE) */
	mov $0x1000, %eax
	FAULT mov %eax, %ds                 /* 13: #GP(0x1000): beyond the GDT */
	FAULT mov %eax, %cs                 /* 14: #UD */
	FAULT int $0x40                     /* 15: #GP(0x40*8+2): beyond the IDT */
	movl $0x00c09200, free + 4
	movl $0x00000010, free              /* data, limit 0x10fff */
	mov $FREE, %eax
	mov %eax, %es
	FAULT mov %es:0x11000, %eax         /* 16: #GP(0): beyond the limit */
	FAULT movl $0, %cs:scratch          /* 17: #GP(0): code is not written */
	xor %eax, %eax
	mov %eax, %gs
	FAULT mov %gs:0, %eax               /* 18: #GP(0): null selector */
	mov $0x80000000, %eax
	FAULT mov %eax, %cr0                /* 19: #GP(0): PG without PE */
	fninit
	fldcw cw_unmasked
	fld1
	fldz
	fdivrp
	FAULT fwait                         /* 20: #MF */
	fninit
	ldmxcsr mxcsr_unmasked
	movss one, %xmm0
	movss zero, %xmm1
	FAULT divss %xmm1, %xmm0            /* 21: #XM */
	ldmxcsr mxcsr_default
	FAULT movaps misaligned + 1, %xmm0  /* 22: #GP(0) */
	FAULT ltr null                      /* 23: #GP(0) */
	mov $DATA, %eax
	FAULT lldt %ax                      /* 24: #GP(DATA): not an LDT */
	FAULT ltr %ax                       /* 25: #GP(DATA): not a TSS */
	mov $0xffff, %ecx
	FAULT rdmsr                         /* 26: #GP(0): no such MSR */
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
//! mem32 logged = 27
//! mem32 log+0 = 0
//! mem32 log+16 = 0
//! mem32 log+32 = 1
//! mem32 log+48 = 3
//! mem32 log+64 = 4
//! mem32 log+80 = 5
//! mem32 log+96 = 6
//! mem32 log+112 = 6
//! mem32 log+128 = 7
//! mem32 log+144 = 7
//! mem32 log+160 = 13
//! mem32 log+164 = 0x70
//! mem32 log+176 = 11
//! mem32 log+180 = 0x70
//! mem32 log+192 = 12
//! mem32 log+196 = 0x70
//! mem32 log+208 = 13
//! mem32 log+212 = 0x1000
//! mem32 log+224 = 6
//! mem32 log+240 = 13
//! mem32 log+244 = 0x202
//! mem32 log+256 = 13
//! mem32 log+260 = 0
//! mem32 log+272 = 13
//! mem32 log+276 = 0
//! mem32 log+288 = 13
//! mem32 log+292 = 0
//! mem32 log+304 = 13
//! mem32 log+308 = 0
//! mem32 log+320 = 16
//! mem32 log+336 = 19
//! mem32 log+352 = 13
//! mem32 log+356 = 0
//! mem32 log+368 = 13
//! mem32 log+372 = 0
//! mem32 log+384 = 13
//! mem32 log+388 = 0x18
//! mem32 log+400 = 13
//! mem32 log+404 = 0x18
//! mem32 log+416 = 13
//! mem32 log+420 = 0
