/* SPDX-License-Identifier: MIT */
/* Segments: limits by byte and by page, expand-down, accessed bits, what may be loaded into which register, LDT, and the
 * instructions that ask: LAR, LSL, VERR, VERW, ARPL. SDM vol. 3A 3.4, 3.5, 5.2 to 5.7 and 5.10; vol. 2 under each name. */
#include "test.inc"

	.set SEG, FREE
	.set XONLY, FREE + 8
	.set CONF, FREE + 16
	.set RDONLY, FREE + 24
	.set LDT, FREE + 32
	.set IN_LDT, 4
	.set CALL_GATE, FREE + 40

	.macro SEGMENT attr, limit /* bytes 5 and 6 (upper half), base 0x180000 */
	movl $(\limit & 0xffff), free
	movl $(0x18 | (\attr << 8 & 0xf0ff00) | (\limit & 0xf0000)), free + 4
	mov $SEG, %eax
	mov %eax, %fs
	.endm
	.macro ASK insn:vararg /* ZF and what is in EDX */
	mov $-1, %edx
	\insn
	sete %al
	movzbl %al, %eax
	SAVE %eax
	SAVE %edx
	.endm

test:
	movl $0x0000ffff, free + 8
	movl $0x00cf9800, free + 12    /* execute-only */
	movl $0x0000ffff, free + 16
	movl $0x00cf9e00, free + 20    /* conforming, readable */
	movl $0x0000ffff, free + 24
	movl $0x00cf9000, free + 28    /* read-only data */
	movl $0x0000000f, free + 32
	mov $ldt, %eax
	mov %ax, free + 34
	shr $16, %eax
	or $0x8200, %eax
	mov %eax, free + 36
	GATE free+40, CODE32, test, 0xec

	/* the last byte, and what sticks out */
	movl $0x44332211, scratch + 0xfd
	SEGMENT 0x4093, 0xff
	mov %fs:0xfc, %eax
	movb %fs:0xff, %al
	FAULT movb %fs:0x100, %al      //! #GP(0)
	FAULT movw %fs:0xff, %ax       //! #GP(0)
	FAULT movl %eax, %fs:0xfd      //! #GP(0)
	FAULT movl %fs:-1, %eax        //! #GP(0)
	SEGMENT 0xc093, 0              /* by page: 0xfff is the last */
	movb %fs:0xfff, %al
	FAULT movw %fs:0xfff, %ax      //! #GP(0)
	/* expand-down: everything above the limit */
	SEGMENT 0x4097, 0xff
	movb %fs:0x100, %al
	movb %fs:0x12345, %al
	FAULT movb %fs:0xff, %al       //! #GP(0)
	FAULT movl %fs:0xfd, %eax      //! #GP(0)
	FAULT movl %fs:-2, %eax        //! #GP(0)
	SEGMENT 0x0097, 0xff           /* 16-bit: up to 0xffff */
	movw %fs:0xfffe, %ax
	FAULT movw %fs:0xffff, %ax     //! #GP(0)
	FAULT movb %fs:0x10000, %al    //! #GP(0)
	/* rights; the stack segment raises #SS */
	mov $RDONLY, %eax
	mov %eax, %fs
	mov %fs:scratch, %eax
	FAULT movb %al, %fs:scratch    //! #GP(0)
	FAULT addb $0, %fs:scratch     //! #GP(0)
	mov $CONF, %eax
	mov %eax, %fs
	mov %fs:scratch, %eax
	FAULT movb %al, %fs:scratch    //! #GP(0)
	ljmp $XONLY, $1f
1:	FAULT mov %cs:scratch, %eax    //! #GP(0)
	SEGMENT 0x4093, 0xff
	mov %eax, %ss
	mov $0x100, %esp
	push %eax
	mov $2, %esp
	mov $1f, %ebx
	movb $0x85, idt + 12 * 8 + 5   /* by a task: this stack is of no use */
	movw $TSS_B, idt + 12 * 8 + 2
	movl $ss_task, tss_b + 32
	movl $2, tss_b + 36
	movl $stack0_top, tss_b + 56
	movl $DATA, tss_b + 72
	movl $CODE32, tss_b + 76
	movl $DATA, tss_b + 80
	movl $DATA, tss_b + 84
	push %eax                      /* wraps to 0xfffffffe, beyond the limit */
1:	mov $3f, %ebx
2:	mov %ss:0xfd, %eax
3:	mov $5f, %ebx
	mov $0x80, %ebp
4:	mov 0x80(%ebp), %eax
5:	SAVE %esp                      /* not moved by the push that failed */ //! = 2
	mov $DATA, %eax
	mov %eax, %ss
	lea stack_top, %esp
	//! mem32 ss_faults = 3
	clts

	/* accessed bits are set by loads */
	//! mem8 free+29 = 0x91
	//! mem8 free+21 = 0x9f
	//! mem8 free+13 = 0x99
	movb $0x92, free + 5
	mov $SEG, %eax
	lar %ax, %edx
	SAVEM free + 4                 /* LAR does not */ //! & 0xff00 = 0x9200
	mov %eax, %fs
	SAVEM free + 4                 //! & 0xff00 = 0x9300

	/* what may be loaded where */
	mov $XONLY, %eax
	FAULT mov %eax, %ds            //! #GP(XONLY)
	mov $TSS, %eax
	FAULT mov %eax, %es            //! #GP(TSS)
	mov $DATA + 3, %eax
	FAULT mov %eax, %gs            /* RPL > DPL */ //! #GP(DATA)
	mov $CONF + 3, %eax
	mov %eax, %gs                  /* whatever RPL is */
	mov $RDONLY, %eax
	FAULT mov %eax, %ss            //! #GP(RDONLY)
	mov $CODE32, %eax
	FAULT mov %eax, %ss            //! #GP(CODE32)
	mov $USER_DATA - 3, %eax
	FAULT mov %eax, %ss            //! #GP(0x30)
	mov $DATA + 1, %eax
	FAULT mov %eax, %ss            //! #GP(DATA)
	xor %eax, %eax
	FAULT mov %eax, %ss            //! #GP(0)
	mov %eax, %es                  /* null, in four ways */
	FAULT mov %es:scratch, %al     //! #GP(0)
	mov $3, %eax
	mov %eax, %es
	FAULT movb %al, %es:scratch    //! #GP(0)
	pushl $DATA + 1
	FAULT pop %ss                  //! #GP(DATA)
	movl $XONLY, pointer + 4
	FAULT les pointer, %ecx        //! #GP(XONLY)
	movl $DATA, pointer + 4
	les pointer, %ecx
	SAVE %ecx                      //! = 0x12345678

	/* LDT */
	mov $IN_LDT, %eax
	FAULT mov %eax, %es            /* there is none */ //! #GP(IN_LDT)
	mov $LDT, %eax
	lldt %ax
	sldt %ecx
	SAVE %ecx                      //! = LDT
	mov $IN_LDT, %eax
	mov %eax, %es
	mov %es:0, %cl
	mov $IN_LDT + 8, %eax
	FAULT mov %eax, %es            //! #NP(IN_LDT+8)
	mov $IN_LDT + 16, %eax
	FAULT mov %eax, %es            //! #GP(IN_LDT+16)
	FAULT lldt %ax                 /* only from the GDT */ //! #GP(IN_LDT+16)
	movb $2, free + 37
	mov $LDT, %eax
	FAULT lldt %ax                 //! #NP(LDT)
	xor %eax, %eax
	lldt %ax
	mov $IN_LDT, %eax
	FAULT mov %eax, %es            //! #GP(IN_LDT)

	/* asking */
	mov $CODE32, %ecx
	ASK lar %cx, %edx              //! = 1
	//! & 0xf0ff00 = 0xcf9b00
	mov $CALL_GATE, %ecx
	ASK lar %cx, %edx              //! = 1
	//! & 0xff00 = 0xec00
	ASK lsl %cx, %edx              /* gates have no limit */ //! = 0
	//! = 0xffffffff
	mov $TSS, %ecx
	ASK lsl %cx, %edx              //! = 1
	//! = 103
	ASK verr %cx                   //! = 0
	//! = 0xffffffff
	mov $DATA, %ecx
	ASK lsl %cx, %edx              //! = 1
	//! = 0xffffffff
	ASK lar %cx, %dx               //! = 1
	//! = 0xffff9300
	ASK verw %cx                   //! = 1
	//! = 0xffffffff
	mov $DATA + 3, %ecx
	ASK verr %cx                   //! = 0
	//! = 0xffffffff
	ASK lar %cx, %edx              //! = 0
	//! = 0xffffffff
	mov $CONF + 3, %ecx
	ASK verr %cx                   //! = 1
	//! = 0xffffffff
	ASK verw %cx                   //! = 0
	//! = 0xffffffff
	mov $XONLY, %ecx
	ASK verr %cx                   //! = 0
	//! = 0xffffffff
	xor %ecx, %ecx
	ASK lar %cx, %edx              //! = 0
	//! = 0xffffffff
	mov $0x1000, %ecx
	ASK lsl %cx, %edx              //! = 0
	//! = 0xffffffff
	mov $3, %ecx
	mov $0x10, %edi
	ASK arpl %cx, %di              //! = 1
	//! = 0xffffffff
	SAVE %edi                      //! = 0x13
	mov $1, %ecx
	ASK arpl %cx, %di              //! = 0
	//! = 0xffffffff
	END

ss_task: incl ss_faults
	pop ss_code
	mov tss + 52, %eax             /* EBX: where to go on */
	mov %eax, tss + 32
	iret
	jmp ss_task

	.data
ss_faults: .long 0
ss_code: .long 0
pointer: .long 0x12345678, 0
	.align 8
ldt:	.quad 0x00cf93000000ffff
	.quad 0x00cf13000000ffff
