/* SPDX-License-Identifier: MIT */
/* Debug: single steps, instruction and data breakpoints, RF, the MOV SS shadow, DR6, DR7.GD and CR4.DE. SDM vol. 3B ch. 17. */
#include "test.inc"

test:
	mov $own_db, %eax /* a #DB handler of our own that returns */
	mov %ax, idt + 8
	shr $16, %eax
	mov %ax, idt + 8 + 6

	/* TF: a trap after each instruction, beginning with the one behind POPF */
	pushf
	orl $0x100, (%esp)
	popf
	nop
step1:	nop
step2:	pushf
	andl $~0x100, (%esp)
	popf
step_end:
	mov hits, %eax
	mov %eax, result            /* nop, nop, pushf, andl, popf = 5 */
	mov first_eip, %eax
	mov %eax, result + 8
	mov last_dr6, %eax
	mov %eax, result + 16

	/* an instruction breakpoint is a fault before it; RF in the handler's image lets it pass once */
	movl $0, hits
	xor %eax, %eax
	mov %eax, %dr6
	mov $bp_at, %eax
	mov %eax, %dr0
	mov $0x402, %eax            /* G0, execute */
	mov %eax, %dr7
	mov $0, %ebx
bp_at:	inc %ebx
	mov hits, %eax
	mov %eax, result + 24
	mov %ebx, result + 32
	mov first_eip, %eax
	mov %eax, result + 40
	mov last_dr6, %eax
	mov %eax, result + 48
	xor %eax, %eax
	mov %eax, %dr7

	/* a data write breakpoint of four bytes is a trap after the writer; reads do not hit it */
	movl $0, hits
	mov %eax, %dr6
	mov $scratch, %eax
	mov %eax, %dr1
	mov $0x00d00408, %eax
	mov %eax, %dr7
	mov scratch, %ecx
	movb $1, scratch + 4
	mov hits, %eax
	mov %eax, result + 56
	movb $1, scratch + 3
wrote:	nop
	mov hits, %eax
	mov %eax, result + 64
	mov first_eip, %eax
	mov %eax, result + 72
	mov last_dr6, %eax
	mov %eax, result + 80
	xor %eax, %eax
	mov %eax, %dr7

	/* one that MOV SS hits waits for the next instruction, TF or not */
	movl $0, hits
	mov %eax, %dr6
	mov $ss_value, %eax
	mov %eax, %dr1
	mov $0x00700408, %eax
	mov %eax, %dr7
	mov ss_value, %ss
	nop
ss_at:	xor %eax, %eax
	mov %eax, %dr7
	mov hits, %ecx
	mov %ecx, result + 104
	mov first_eip, %ecx
	mov %ecx, result + 112
	mov last_dr6, %ecx
	mov %ecx, result + 120

	/* GD: touching a debug register faults */
	movl $0, hits
	mov %eax, %dr6
	mov $0x2400, %eax
	mov %eax, %dr7
gd_at:	mov %dr0, %ecx              /* the handler sees GD clear and returns here: the second try works */
	mov hits, %eax
	mov %eax, result + 88
	mov last_dr6, %eax
	mov %eax, result + 96
	/* DR4 is DR6 unless CR4.DE is set */
	mov %dr4, %eax
	mov %cr4, %eax
	or $8, %eax
	mov %eax, %cr4
	FAULT mov %dr4, %eax        /* #UD */
	END

own_db:
	push %eax
	mov hits, %eax
	test %eax, %eax
	jnz 1f
	mov 4(%esp), %eax
	mov %eax, first_eip
1:	incl hits
	mov %dr6, %eax
	mov %eax, last_dr6
	orl $0x10000, 12(%esp)      /* RF */
	pop %eax
	iret

	.data
ss_value: .word DATA
	.align 4
hits:	.long 0
first_eip: .long 0
last_dr6: .long 0
	.text

//! mem32 logged = 1
//! mem32 log = 6
//! mem32 result = 5
//! mem32 result+8 = step1
//! mem32 result+16 = 0xffff4ff0
//! mem32 result+24 = 1
//! mem32 result+32 = 1
//! mem32 result+40 = bp_at
//! mem32 result+48 = 0xffff0ff1
//! mem32 result+56 = 0
//! mem32 result+64 = 1
//! mem32 result+72 = wrote
//! mem32 result+80 = 0xffff0ff2
//! mem32 result+88 = 1
//! mem32 result+96 = 0xffff2ff0
//! mem32 result+104 = 1
//! mem32 result+112 = ss_at
//! mem32 result+120 = 0xffff0ff2
