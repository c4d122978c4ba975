/* SPDX-License-Identifier: MIT */
/* Hardware task switches: JMP, CALL, IRET, gates in the GDT and the IDT, back link, NT, busy bits, TS, error codes on the new
 * task's stack, a 16-bit TSS, CR3, the T bit, and what goes wrong before and after the switch. SDM vol. 3A ch. 7. */
#include "test.inc"

	.set TYPE_A, gdt + TSS + 5
	.set TYPE_B, gdt + TSS_B + 5
	.set GATE, FREE
	.set TSS16, FREE + 8
	.set LDT_GONE, FREE + 16
	.set DATA_GONE, FREE + 24
	.set CODE_GONE, FREE + 32
	.set TSS_C, FREE + 40

	.macro TASK_B entry /* a fresh TSS_B */
	movl $\entry, tss_b + 32
	movl $0x40, tss_b + 36         /* ZF */
	movl $stack0_top, tss_b + 56
	movl $DATA, tss_b + 72         /* ES, CS, SS, DS, FS, GS, LDT */
	movl $CODE32, tss_b + 76
	movl $DATA, tss_b + 80
	movl $DATA, tss_b + 84
	movl $0, tss_b + 88
	movl $0, tss_b + 92
	movl $0, tss_b + 96
	movl $0x680000, tss_b + 100
	.endm

test:
	movl $stack0_top, tss_b + 4
	movl $DATA, tss_b + 8
	/* JMP: A is no longer busy, B is; no back link, no NT */
	TASK_B b_jump
	movl $0xb0b, tss_b + 40        /* EAX */
	movl $0x51, tss_b + 64         /* ESI */
	mov $0xa0a, %eax
	mov $0x5a, %esi
	stc
	ljmp $TSS_B, $0xdeadbeef
after_jump:
	SAVE %eax                      //! = 0xa0a
	SAVE %esi                      //! = 0x5a
	sbb %eax, %eax
	SAVE %eax                      //! = 0xffffffff
	SAVEM tss + 32                 //! = after_jump
	SAVEM tss + 36                 //! & 0x4001 = 1
	SAVEM tss + 76                 //! = CODE32
	SAVEM tss_b + 32               //! = b_jump_end
	SAVEM tss_b                    //! = 0
	SAVEM TYPE_A                   //! & 0xff = 0x8b
	SAVEM TYPE_B                   //! & 0xff = 0x89
	jmp call
b_jump:	SAVE %eax                      //! = 0xb0b
	SAVE %esi                      //! = 0x51
	pushf
	pop %eax
	SAVE %eax                      //! = 0x42
	str %eax
	SAVE %eax                      //! = TSS_B
	SAVE %esp                      //! = stack0_top
	SAVEM TYPE_A                   //! & 0xff = 0x89
	SAVEM TYPE_B                   //! & 0xff = 0x8b
	mov %cr0, %eax
	SAVE %eax                      /* TS */ //! & 8 = 8
	clts
	ljmp $TSS, $0
b_jump_end:

	/* CALL and IRET: nested */
call:	TASK_B b_call
	lcall $TSS_B, $0
	SAVEM TYPE_A                   //! & 0xff = 0x8b
	SAVEM TYPE_B                   //! & 0xff = 0x89
	SAVEM tss_b                    //! = TSS
	SAVEM tss_b + 36               //! & 0x4000 = 0
	SAVEM tss_b + 32               //! = b_call_end
	pushf
	pop %eax
	SAVE %eax                      //! & 0x4000 = 0
	jmp gates
b_call:	pushf
	pop %eax
	SAVE %eax                      //! = 0x4042
	SAVEM TYPE_A                   //! & 0xff = 0x8b
	FAULT lcall $TSS_B, $0         /* busy */ //! #GP(TSS_B)
	lea stack0_top, %esp
	pushl $0x4002                  /* the exception cleared NT */
	popf
	iret
b_call_end:

	/* task gates in the GDT and the IDT */
gates:	TASK_B b_gate
	movl $TSS_B << 16, free
	movl $0xe500, free + 4
	movl $TSS_B << 16, idt + 0x20 * 8
	movl $0xe500, idt + 0x20 * 8 + 4
	lcall $GATE, $0
	int $0x20
	movl $TSS_B << 16, idt + 13 * 8
	movl $0x8500, idt + 13 * 8 + 4
	mov $0x1000, %eax
bad:	mov %eax, %ds                  /* #GP in a task of its own: the error code is on its stack */
bad_end:
	SAVE %eax                      //! = 0x1005
	SAVEM tss + 32                 //! = bad_end
	SAVEM tss + 36                 /* RF */ //! & 0x10000 = 0x10000
	GATE idt+13*8, CODE32, stubs32+13*16, 0x8e
	USER 0x3002, int $0x20         /* gates of DPL 3 serve ring 3 */ //! #UD
	jmp errors
b_gate:	iret                           /* GDT */
	iret                           /* INT */
	pop %eax                       /* #GP */
	SAVE %eax                      //! = 0x1000
	SAVE %esp                      //! = stack0_top
	addl $bad_end - bad, tss + 32  /* go on behind it */
	addl $5, tss + 40
	iret
	mov %cs, %eax                  /* INT of ring 3 */
	SAVE %eax                      //! = CODE32
	iret

	/* what is checked in the old task */
errors:	clts
	USER 0x3002, ljmp $TSS_B, $0   //! #GP(TSS_B)
	FAULT ljmp $TSS_B + 3, $0      //! #GP(TSS_B)
	FAULT ljmp $TSS, $0            //! #GP(TSS)
	movb $0x09, TYPE_B
	FAULT ljmp $TSS_B, $0          //! #NP(TSS_B)
	FAULT lcall $GATE, $0          //! #NP(TSS_B)
	movb $0x89, TYPE_B
	movw $102, gdt + TSS_B
	FAULT ljmp $TSS_B, $0          //! #TS(TSS_B)
	FAULT int $0x20                //! #TS(TSS_B)
	movw $103, gdt + TSS_B
	movb $0x65, free + 5
	FAULT lcall $GATE, $0          //! #NP(GATE)
	movl $0xe500, free + 4
	movw $0, free + 2
	FAULT lcall $GATE, $0          //! #GP(0)
	movw $DATA, free + 2
	FAULT lcall $GATE, $0          //! #GP(DATA)
	movw $0x1000, free + 2
	FAULT lcall $GATE, $0          //! #GP(0x1000)
	mov $TSS, %eax
	FAULT ltr %ax                  /* busy */ //! #GP(TSS)
	movl $0, tss                   /* IRET: no back link, not busy, no TSS */
	push $0x4002
	popf
	FAULT iret                     //! #TS(0)
	movl $TSS_B, tss
	push $0x4002
	popf
	FAULT iret                     //! #TS(TSS_B)
	movl $DATA, tss
	push $0x4002
	popf
	FAULT iret                     //! #TS(DATA)

	/* what is checked in the new task is its own fault: a third task notes code and back link and returns to A */
	.macro BAD vector, field, selector
	TASK_B b_jump
	movb $0x89, TYPE_B
	movl $\selector, tss_b + \field
	movl $TSS_C << 16, idt + \vector * 8
	movl $0x8500, idt + \vector * 8 + 4
	ljmp $TSS_B, $0
	movb $0, idt + \vector * 8 + 5 /* no other may come */
	.endm
	movl $0x0000ffff, free + 16
	movl $0x00000200, free + 20    /* an LDT, not present */
	movl $0x0000ffff, free + 24
	movl $0x00cf1300, free + 28    /* data, not present */
	movl $0x0000ffff, free + 32
	movl $0x00cf1b00, free + 36    /* code, not present */
	mov $tss_c, %eax
	movw $103, free + 40
	mov %eax, free + 42
	shr $24, %eax
	movb $0x89, free + 45
	mov %ax, free + 46
	BAD 10, 96, 0x1000             /* LDT */
	BAD 10, 96, LDT_GONE
	BAD 10, 76, 0                  /* CS */
	BAD 10, 76, DATA
	BAD 10, 76, 0x28    /* DPL > RPL */
	BAD 11, 76, CODE_GONE
	BAD 10, 80, 0                  /* SS */
	BAD 10, 80, CODE32
	BAD 10, 80, USER_DATA          /* RPL > CPL */
	BAD 12, 80, DATA_GONE
	BAD 10, 84, 0x1000             /* DS */
	BAD 10, 72, TSS                /* ES */
	BAD 11, 88, DATA_GONE          /* FS */
	movb $0x89, TYPE_B
	GATE idt+10*8, CODE32, stubs32+10*16, 0x8e
	GATE idt+11*8, CODE32, stubs32+11*16, 0x8e
	GATE idt+12*8, CODE32, stubs32+12*16, 0x8e

	/* the T bit: #DB before the first instruction */
	TASK_B b_jump
	movl $0x680001, tss_b + 100
	movl $1f, resume
	ljmp $TSS_B, $0
	jmp 2f
1:	SAVEM eip_seen                 //! = b_jump
	mov %dr6, %eax                 //! #DB
	SAVE %eax                      //! = 0xffff8ff0
	ljmp $TSS, $0
2:
	/* CR3 is the task's */
	movl $pd_b, tss_b + 28
	movl $pd_a, tss + 28           /* never written by a switch */
	mov $pd_a, %eax
	mov %eax, %cr3
	mov %cr4, %eax
	or $0x10, %al
	mov %eax, %cr4
	mov %cr0, %eax
	bts $31, %eax
	mov %eax, %cr0
	movl $0xaaaa, 0x800000
	movl $0xbbbb, 0xc00000
	TASK_B b_paging
	lcall $TSS_B, $0
	SAVEM 0x400000                 //! = 0xaaaa
	mov %cr0, %eax
	btr $31, %eax
	mov %eax, %cr0

	/* a 16-bit TSS: 16-bit registers, no FS, GS and CR3 */
	movl $0x0400002b, free + 8
	movl $0x00008120, free + 12
	movw $task16, tss + 0x400 + 14
	movw $2, tss + 0x400 + 16
	movw $0x1616, tss + 0x400 + 18
	movw $0x7000, tss + 0x400 + 26
	movw $DATA, tss + 0x400 + 34
	movw $CODE32, tss + 0x400 + 36
	movw $DATA, tss + 0x400 + 38
	movw $DATA, tss + 0x400 + 40
	mov $USER_DATA, %eax
	mov %eax, %fs
	lcall $TSS16, $0
	SAVEM tss + 0x400              //! & 0xffff = TSS
	SAVEM tss + 0x40e              //! & 0xffff = task16_end
	mov $0, %eax
	mov %eax, %fs
	END

b_paging: SAVEM 0x400000               //! = 0xbbbb
	iret

c_entry: pop %eax
	stosl
	movzwl tss_c, %eax
	stosl
	ljmp $TSS, $0
	jmp c_entry

	.section .scratch16, "awx", @progbits
task16:	movzwl %ax, %eax
	SAVE %eax                      //! = 0x1616
	mov %fs, %eax
	SAVE %eax                      //! = 0
	iret
task16_end:
	.globl task16_end

	.data
	.align 16
tss_c:	.fill 8, 4, 0
	.long c_entry, 2, 0, 0, 0, 0, ist1_top, 0, 0, codes
	.long DATA, CODE32, DATA, DATA, 0, 0, 0, 0x680000
	.section .tables, "aw"
	.align 4096
pd_a:	.long 0x83, 0x800083, 0x800083, 0xc00083
	.fill 1020, 4, 0
pd_b:	.long 0x83, 0xc00083
	.fill 1022, 4, 0
codes:	.fill 64, 4, 0
//! mem32 codes = 0x1000
//! mem32 codes+4 = TSS_B
//! mem32 codes+8 = LDT_GONE
//! mem32 codes+16 = 0
//! mem32 codes+24 = DATA
//! mem32 codes+32 = 0x28
//! mem32 codes+40 = CODE_GONE
//! mem32 codes+48 = 0
//! mem32 codes+56 = CODE32
//! mem32 codes+64 = 0x30
//! mem32 codes+72 = DATA_GONE
//! mem32 codes+76 = TSS_B
//! mem32 codes+80 = 0x1000
//! mem32 codes+88 = TSS
//! mem32 codes+96 = DATA_GONE
//! mem32 codes+100 = TSS_B
//! mem32 codes+104 = 0
