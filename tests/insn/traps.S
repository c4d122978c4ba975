/* SPDX-License-Identifier: MIT */
/* Debug exceptions: which come, in which order, at which EIP, with what in DR6 and in the EFLAGS that are pushed. Single steps over
 * HLT, INT n, INTO, POPF, IRET, REP and task switches; the shadow of MOV SS; stale bits of DR6; DEBUGCTL.BTF; the lengths and
 * alignment of breakpoints, I/O breakpoints. SDM vol. 3B ch. 17 (DR6, DR7, RF, TF), vol. 3A 6.8.3 and 6.9 (masking, priorities). */
#include "test.inc"

	.set BS, 0x4ff0 /* DR6, its lower half */
	.set BT, 0x8ff0
	.set BD, 0x2ff0
	.set B, 0x0ff0

/* Forget what was logged; DR6 gets these bits to begin with. */
	.macro BEGIN dr6=0
	movl $0, hits
	movl $\dr6, %eax
	mov %eax, %dr6
	.endm
/* So many #DB so far. */
	.macro COUNT
	mov hits, %eax
	SAVE %eax
	.endm
/* #DB number \n: how far its EIP is from \at, and the lower half of DR6. */
	.macro TRAP n, at
	mov trap + \n * 16, %eax
	sub $\at, %eax
	shl $16, %eax
	mov %eax, %ecx
	movzwl trap + \n * 16 + 4, %eax
	or %ecx, %eax
	SAVE %eax
	.endm
/* RF and TF as they were pushed. */
	.macro TRAP_FLAGS n
	mov trap + \n * 16 + 8, %eax
	and $0x10100, %eax
	SAVE %eax
	.endm
	.macro SET_TF /* the next instruction is the first to be stepped; changes no register */
	pushf
	orl $0x100, (%esp)
	popf
	.endm
	.macro CLEAR_TF /* three steps */
	pushf
	andl $~0x100, (%esp)
	popf
	.endm
	.macro BREAK n, at, dr7 /* execute: 0x402 for n = 0 */
	movl $\at, %eax
	mov %eax, %dr\n
	movl $\dr7, %eax
	mov %eax, %dr7
	.endm
	.macro NO_BREAK
	mov $0x400, %eax
	mov %eax, %dr7
	.endm

test:
	GATE idt+1*8, CODE32, on_db, 0x8e
	GATE idt+3*8, CODE32, on_bp, 0xee
	GATE idt+0x20*8, CODE32, on_interrupt, 0x8e
	GATE idt+0x21*8, CODE32, on_int21, 0xee
	GATE idt+4*8, CODE32, on_overflow, 0xee
	mov $DATA, %ebx

	/* HLT is an instruction like others: the trap comes behind it, and wakes the CPU */
	BEGIN
	SET_TF
	hlt
halt1:	CLEAR_TF
	COUNT                          //! = 4
	TRAP 0, halt1                  //! = BS
	/* with a data breakpoint that MOV SS has met, too */
	BEGIN
	BREAK 1, ss_value, 0x00700408
	mov ss_value, %ss
	hlt
halt2:	NO_BREAK
	COUNT                          //! = 1
	TRAP 0, halt2                  //! = B+2

	/* B0 to B3 are the last exception's; BD, BS and BT stay */
	BEGIN 0xe00f
	SET_TF
	nop
stale1:	CLEAR_TF
	TRAP 0, stale1                 //! = 0xeff0
	BEGIN 0x400a
	BREAK 0, stale2, 0x402
stale2:	nop
	NO_BREAK
	COUNT                          //! = 1
	TRAP 0, stale2                 //! = BS+1
	TRAP_FLAGS 0                   //! = 0
	BEGIN 0xf
	BREAK 2, scratch+8, 0x0d000420
	movl $1, scratch+8
stale3:	NO_BREAK
	TRAP 0, stale3                 //! = B+4
	BEGIN 0x800f
	.byte 0xf1                     /* INT1 */
stale4:	TRAP 0, stale4                 //! = BT
	COUNT                          //! = 1
	BEGIN 0x400f
	mov $0x2400, %eax
	mov %eax, %dr7
stale5:	mov %dr3, %eax
	COUNT                          //! = 1
	TRAP 0, stale5                 /* BD and BS */ //! = 0x6ff0
	TRAP_FLAGS 0                   /* a fault: RF */ //! = 0x10000

	/* an instruction breakpoint is not there behind MOV SS and POP SS; it is behind LSS, STI, MOV DS */
	BEGIN
	BREAK 0, quiet1, 0x402
	mov %ebx, %ss
quiet1:	nop
	COUNT                          //! = 0
	BREAK 0, quiet2, 0x402
	push %ss
	pop %ss
quiet2:	nop
	COUNT                          //! = 0
	BREAK 0, loud1, 0x402
	mov %esp, far_stack
	lss far_stack, %esp
loud1:	nop
	COUNT                          //! = 1
	BREAK 0, loud2, 0x402
	cli
	sti
loud2:	nop
	cli
	COUNT                          //! = 2
	BREAK 0, loud3, 0x402
	mov %ebx, %ss
	nop
loud3:	nop
	COUNT                          //! = 3
	NO_BREAK

	/* no single step over MOV SS; one over STI */
	BEGIN
	SET_TF
	mov %ebx, %ss
	nop
shadow1: sti
shadow2: cli
shadow3: CLEAR_TF
	COUNT                          //! = 6
	TRAP 0, shadow1                //! = BS
	TRAP 1, shadow2                //! = BS
	TRAP 2, shadow3                //! = BS

	/* MOV SS that meets a data breakpoint, and a software interrupt: #DB before the handler's first instruction */
	BEGIN
	BREAK 1, ss_value, 0x00700408
	mov ss_value, %ss
	int $0x21
	COUNT                          //! = 1
	TRAP 0, on_int21               //! = B+2
	BEGIN
	mov ss_value, %ss
	int3
	COUNT                          //! = 1
	TRAP 0, on_bp                  //! = B+2
	/* INT1: one for both. INT 1: two */
	BEGIN
	mov ss_value, %ss
	.byte 0xf1
merged:	COUNT                          //! = 1
	TRAP 0, merged                 //! = B+2
	BEGIN
	mov ss_value, %ss
	int $1
twice:	COUNT                          //! = 2
	TRAP 0, on_db                  //! = B+2
	TRAP 1, twice                  //! = B+2
	/* a fault of that instruction: lost */
	BEGIN
	movl $1f, resume
	mov ss_value, %ss
	ud2                            //! #UD
1:	nop
	COUNT                          //! = 0
	/* not lost with a fault of the instruction that follows */
	movl $1f, resume
	mov ss_value, %ss
	nop
late:	ud2                            //! #UD
1:	COUNT                          //! = 1
	TRAP 0, late                   //! = B+2
	NO_BREAK

	/* INT n, INT3 and INTO are not stepped into; INTO that does not happen is stepped over */
	BEGIN
	SET_TF
	int $0x21
	nop
behind1: int3
	nop
behind2: into
behind3: CLEAR_TF
	COUNT                          //! = 6
	TRAP 0, behind1                //! = BS
	TRAP 1, behind2                //! = BS
	TRAP 2, behind3                //! = BS
	BEGIN
	mov $0x80, %al
	SET_TF
	sub $1, %al                    /* OF */
over1:	into
	nop
over2:	CLEAR_TF
	COUNT                          //! = 5
	TRAP 0, over1                  //! = BS
	TRAP 1, over2                  //! = BS
	/* IRET: the flags that it loads count for what follows, those before for itself */
	BEGIN
	pushl $0x102
	pushl $CODE32
	pushl $iret1
	iret
iret1:	nop
iret2:	pushl $2
	pushl $CODE32
	pushl $iret3
	iret
iret3:	nop
	COUNT                          //! = 5
	TRAP 0, iret2                  //! = BS
	TRAP 4, iret3                  //! = BS
	/* an instruction that faults is not stepped; TF is in the flags pushed */
	BEGIN
	movl $1f, resume
	SET_TF
	ud2                            //! #UD
1:	mov flags_seen, %eax
	and $0x10100, %eax
	SAVE %eax                      //! = 0x10100
	COUNT                          //! = 0
	/* REP: behind each iteration, with RF but behind the last */
	BEGIN
	cld
	mov $scratch, %edi
	mov $3, %ecx
	SET_TF
rep1:	rep stosb
rep2:	CLEAR_TF
	COUNT                          //! = 6
	TRAP 0, rep1                   //! = BS
	TRAP_FLAGS 0                   //! = 0x10100
	TRAP 1, rep1                   //! = BS
	TRAP 2, rep2                   //! = BS
	TRAP_FLAGS 2                   //! = 0x100

	/* branches only */
	BEGIN
	call set_btf
	SET_TF
	nop
	xor %eax, %eax
	jnz 1f
	mov $2, %ecx
	cld
	mov $scratch, %edi
	rep stosb
	jz btf1
1:	nop
btf1:	nop                            /* #DB has cleared BTF */
btf2:	CLEAR_TF
	COUNT                          //! = 5
	TRAP 0, btf1                   //! = BS
	TRAP 1, btf2                   //! = BS
	mov $0x1d9, %ecx
	rdmsr
	SAVE %eax                      //! = 0
	BEGIN
	call set_btf
	SET_TF
	nop
	call btf3                      /* also to the next instruction */
btf3:	CLEAR_TF
	pop %eax
	COUNT                          //! = 4
	TRAP 0, btf3                   //! = BS
	/* breakpoints come with BTF as well */
	BEGIN
	BREAK 2, scratch+8, 0x0d000420
	call set_btf
	SET_TF
	movl $1, scratch+8
btf4:	CLEAR_TF
	NO_BREAK
	TRAP 0, btf4                   //! = B+4

	/* lengths: 1, 2, 4, 8 bytes, aligned whatever the register says */
	BEGIN
	BREAK 0, scratch+11, 0x000f0402 /* 8..11 */
	mov scratch+4, %ecx
	mov scratch+12, %ecx
	mov scratch+7, %cl
	COUNT                          //! = 0
	mov scratch+8, %cl
	mov scratch+5, %ecx
	mov scratch+11, %cx
	COUNT                          //! = 3
	BEGIN
	BREAK 0, scratch+13, 0x000b0402 /* 8..15 */
	mov scratch+4, %ecx
	mov scratch+16, %cl
	COUNT                          //! = 0
	mov scratch+8, %cl
	mov scratch+15, %cx
	COUNT                          //! = 2
	BEGIN
	BREAK 0, scratch+9, 0x00070402 /* 8..9 */
	mov scratch+7, %cl
	mov scratch+10, %cl
	COUNT                          //! = 0
	mov scratch+6, %ecx
	COUNT                          //! = 1
	BEGIN
	BREAK 0, scratch+9, 0x00010402 /* writes of one byte; the local bit, LE and GE do not matter */
	mov scratch+8, %ecx
	COUNT                          //! = 0
	mov %ecx, scratch+8
	COUNT                          //! = 1
	BREAK 0, scratch+9, 0x00010401
	mov %ecx, scratch+8
	BREAK 0, scratch+9, 0x00010701
	mov %ecx, scratch+8
	BREAK 0, scratch+9, 0x00010700
	mov %ecx, scratch+8
	COUNT                          //! = 3
	/* around the end of the address space */
	BEGIN
	movl $0xf000ffff, free
	movl $0xffcf93ff, free + 4
	mov $FREE, %eax
	mov %eax, %fs
	BREAK 0, 0, 0x000f0402
	mov %fs:0xffc, %ecx
	COUNT                          //! = 0
	mov %fs:0xffe, %ecx
	COUNT                          //! = 1
	BEGIN
	BREAK 0, -8, 0x000b0402
	mov -1, %cl
	COUNT                          //! = 1
	TRAP_FLAGS 0                   //! = 0
	/* two at once */
	BEGIN
	movl $scratch+4, %eax
	mov %eax, %dr3
	BREAK 0, scratch, 0xf00f0482
	movl $scratch, %esi
	movl $scratch+4, %edi
	BEGIN
	cmpsl
both:	NO_BREAK
	COUNT                          //! = 1
	TRAP 0, both                   //! = B+9

	/* ports, with CR4.DE */
	BEGIN
	BREAK 0, 0xf5, 0x00060402      /* f4 and f5 */
	in $0xf4, %al
	COUNT                          //! = 0
	mov %cr4, %eax
	or $8, %eax
	mov %eax, %cr4
	in $0xf4, %al
port1:	COUNT                          //! = 1
	TRAP 0, port1                  //! = B+1
	in $0xf3, %al
	in $0xf6, %al
	COUNT                          //! = 1
	out %al, $0xf4
	in $0xf3, %ax
	COUNT                          //! = 3
	mov scratch, %ecx
	BEGIN
	mov $0xf4, %edx
	mov $scratch, %edi
	mov $2, %ecx
port2:	rep insb
port3:	COUNT                          //! = 2
	TRAP 0, port2                  //! = B+1
	TRAP_FLAGS 0                   //! = 0x10000
	TRAP 1, port3                  //! = B+1
	TRAP_FLAGS 1                   //! = 0
	NO_BREAK
	mov %cr4, %eax
	and $~8, %eax
	mov %eax, %cr4

	/* GD behind MOV SS: faults are not put off; then a step, as nothing is put off any more */
	BEGIN
	mov $0x2400, %eax
	mov %eax, %dr7
	xor %ecx, %ecx
	SET_TF
	mov %ebx, %ss
gd1:	mov %ecx, %dr6
gd2:	CLEAR_TF
	COUNT                          //! = 5
	TRAP 0, gd1                    //! = BD
	TRAP_FLAGS 0                   //! = 0x10100
	TRAP 1, gd2                    //! = BS

	/* an interrupt and a step together: the step first, the interrupt when its handler allows it */
	BEGIN
	movl $0, taken
	mov $0x20, %al
	sti
	SET_TF
	out %al, $0xf0
both1:	CLEAR_TF
	cli
	TRAP 0, both1                  //! = BS
	mov taken, %eax
	sub $both1, %eax
	SAVE %eax                      //! = 0
	/* NMI: before the handler's first instruction */
	GATE idt+2*8, CODE32, on_interrupt, 0x8e
	BEGIN
	movl $0, taken
	SET_TF
	out %al, $0xf1
both2:	CLEAR_TF
	TRAP 0, both2                  //! = BS
	mov taken, %eax
	sub $on_db, %eax
	SAVE %eax                      //! = 0

	/* SMI the same way: what it saves is the #DB handler's beginning, and no step is lost */
	movl $0xaa0f, 0x38000          /* RSM */
	BEGIN
	SET_TF
	out %al, $0xf2
both3:	CLEAR_TF
	COUNT                          //! = 4
	TRAP 0, both3                  //! = BS
	mov 0x3ff78, %eax
	sub $on_db, %eax
	SAVE %eax                      //! = 0

	/* SYSENTER leaves TF alone: a trap before the first instruction at its target */
	mov $0x174, %ecx
	mov $CODE32, %eax
	xor %edx, %edx
	wrmsr
	inc %ecx
	mov $stack0_top, %eax
	wrmsr
	inc %ecx
	mov $entered, %eax
	wrmsr
	BEGIN
	movl $1f, resume
	RING3 0x3102, user1
user1:	sysenter
entered: nop
	CLEAR_TF
	COUNT                          //! = 5
	TRAP 0, entered                //! = BS
	FAULT ud2                      //! #UD
1:

	/* a task whose T bit is set: #DB before its first instruction, though an interrupt waits; no step over the switch itself */
	movl $task, tss_b + 32
	movl $0x202, tss_b + 36
	movl $stack0_top, tss_b + 56
	movw $DATA, tss_b + 72
	movw $CODE32, tss_b + 76
	movw $DATA, tss_b + 80
	movw $DATA, tss_b + 84
	movw $1, tss_b + 100
	BEGIN 0xf
	movl $0, taken
	mov $0x20, %al
	out %al, $0xf0
	SET_TF
	ljmp $TSS_B, $0
task:	nop
	cli
	COUNT                          //! = 1
	TRAP 0, task                   //! = BT
	mov taken, %eax
	sub $task, %eax
	SAVE %eax                      //! = 0
	/* TF of the new task: behind its first instruction */
	movl $task2, tss + 32
	movl $0x102, tss + 36
	movl $stack_top, tss + 56
	movw $DATA, tss + 72
	movw $CODE32, tss + 76
	movw $DATA, tss + 80
	movw $DATA, tss + 84
	BEGIN
	ljmp $TSS, $0
task2:	nop
task3:	CLEAR_TF
	COUNT                          //! = 4
	TRAP 0, task3                  //! = BS
	END

set_btf:
	mov $0x1d9, %ecx
	mov $2, %eax
	xor %edx, %edx
	wrmsr
	ret

on_db:	/* EIP, CS, EFLAGS; the breakpoint at the place is passed by RF */
	push %eax
	push %ecx
	mov hits, %ecx
	cmp $16, %ecx
	jae 1f
	shl $4, %ecx
	mov 8(%esp), %eax
	mov %eax, trap(%ecx)
	mov %dr6, %eax
	mov %eax, trap + 4(%ecx)
	mov 16(%esp), %eax
	mov %eax, trap + 8(%ecx)
1:	incl hits
	orl $0x10000, 16(%esp)
	pop %ecx
	pop %eax
	iret
on_interrupt: /* where it was taken first */
	cmpl $0, taken
	jne 1f
	push (%esp)
	pop taken
1:	iret
on_int21: iret
on_bp:	iret
on_overflow: iret

	.data
	.align 4
hits:	.long 0
taken:	.long 0
trap:	.fill 16 * 4, 4, 0
far_stack: .long 0
	.word DATA
ss_value: .word DATA
	.text
