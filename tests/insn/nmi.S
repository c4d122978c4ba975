/* SPDX-License-Identifier: MIT */
/* NMIs: taken whatever IF is, blocked from their delivery until the next IRET - also one that returns from an exception inside the
 * handler -, one more is kept; the shadow of MOV SS. Port 0xf1 of the test device makes one (run.c). SDM vol. 3A 6.7. */
#include "test.inc"

test:
	GATE idt+2*8, CODE32, on_nmi, 0x8e
	GATE idt+0x20*8, CODE32, on_soft, 0x8e
	/* with IF clear, behind the instruction that asks */
	out %al, $0xf1
at1:	SAVEM count                    //! = 1
	SAVEM last_eip                 //! = at1
	/* two more inside the handler: one is kept until it returns, and comes at once */
	movl $2, nested
	out %al, $0xf1
at2:	SAVEM count                    //! = 3
	SAVEM last_eip                 //! = at2
	SAVEM deepest                  //! = 1
	/* an IRET of anything inside the handler ends the blocking */
	movl $1, soft
	out %al, $0xf1
	SAVEM deepest                  //! = 2
	SAVEM count                    //! = 5
	SAVEM soft_eip                 //! = at_soft
	/* MOV SS holds it off */
	mov $DATA, %ebx
	mov $0xf1, %edx
	mov %ebx, %ss
	out %al, %dx
at3:	nop
	SAVEM last_eip                 //! = at3
	/* if it cannot be delivered the exception's handler runs with NMIs blocked */
	movb $0x0e, idt + 2 * 8 + 5
	movl $1f, resume
	out %al, $0xf1                 //! #NP(0x13)
1:	movb $0x8e, idt + 2 * 8 + 5
	movl $0, count
	out %al, $0xf1
	nop
	SAVEM count                    /* still blocked */ //! = 0
	push $2
	push $CODE32
	push $after_iret
	iret
after_iret:
	SAVEM count                    //! = 1
	SAVEM last_eip                 //! = after_iret
	END

on_nmi:	push %eax
	incl count
	incl depth
	mov depth, %eax
	cmp deepest, %eax
	jb 1f
	mov %eax, deepest
1:	mov 4(%esp), %eax
	mov %eax, last_eip
	cmpl $2, depth
	jne 5f
	mov %eax, soft_eip
5:
	cmpl $0, nested
	je 3f
	mov nested, %eax
	movl $0, nested
2:	out %al, $0xf1
	dec %eax
	jnz 2b
3:	cmpl $0, soft
	je 4f
	movl $0, soft
	out %al, $0xf1
	int $0x20
at_soft:
	nop
4:	decl depth
	pop %eax
	iret
on_soft: iret

	.data
count:	.long 0
depth:	.long 0
deepest: .long 0
nested:	.long 0
soft:	.long 0
last_eip: .long 0
soft_eip: .long 0
	.text
