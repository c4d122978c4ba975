/* SPDX-License-Identifier: MIT */
/* Debug exceptions in 64-bit code, of the kernel and of its users: single steps over SYSCALL, SYSRET and SYSENTER, which go by the
 * flags that these load, over STI, MOV SS, INT1, CPUID, ports and HLT; breakpoints, DR4, watched MOV SS with INT n. What
 * hypervisors' unit tests look for. SDM vol. 3B ch. 17, vol. 3A 6.8.3, vol. 2 SYSCALL, SYSRET; AMD APM vol. 2 13.1. */
#include "test.inc"

	.set BS, 0x4ff0
	.set BD, 0x2ff0
	.set B, 0x0ff0
	.set UBS, 0x34ff0 /* the same at CPL 3, as TRAP gives it */
	.set UB, 0x30ff0
	.set ROUNDS, 256
	.set KERNEL, FREE /* for SYSCALL and SYSENTER, whose segments the #DB handler's IRET loads from descriptors */

	.macro BEGIN dr6=0
	movl $0, hits
	mov $\dr6, %eax
	mov %rax, %dr6
	.endm
	.macro COUNT
	mov hits, %eax
	SAVE %rax
	.endm
	.macro TRAP n, at /* how far its RIP is from \at; CPL; the lower half of DR6 */
	mov trap + \n * 32, %rax
	sub $\at, %rax
	shl $32, %rax
	mov trap + \n * 32 + 8, %rcx
	shl $16, %rcx
	or %rcx, %rax
	movzwl trap + \n * 32 + 16, %ecx
	or %rcx, %rax
	SAVE %rax
	.endm
	.macro SETMSR64 index, value
	mov $\index, %ecx
	mov $\value, %rax
	mov %rax, %rdx
	shr $32, %rdx
	wrmsr
	.endm
	.macro SET_TF
	pushfq
	orl $0x100, (%rsp)
	popfq
	.endm
	.macro CLEAR_TF /* three steps */
	pushfq
	andl $~0x100, (%rsp)
	popfq
	.endm
/* Call a test in ring 3 with IOPL 3; it comes back by INT 0x30. */
	.macro IN_USER at
	movl $9001f, resume
	RING3_64 0x3002, \at
9001:
	.endm
	.macro BREAK n, at, dr7
	mov $\at, %rax
	mov %rax, %dr\n
	mov $\dr7, %eax
	mov %rax, %dr7
	.endm
	.macro NO_BREAK
	mov $0x400, %eax
	mov %rax, %dr7
	.endm

test:
	ENTER_LONG start
	.code64
start:
	GATE64 idt64+1*16, CODE64, on_db, 0x8e
	GATE64 idt64+3*16, CODE64, on_bp, 0xee
	GATE64 idt64+0x30*16, CODE64, on_back, 0xee
	GATE64 idt64+0x21*16, CODE64, on_int21, 0xee
	GATE64 idt64+0x22*16, CODE64, on_timer, 0x8e

	movl $0x00af9b00, free + 4     /* KERNEL and the three that go with it */
	movl $0x00cf9300, free + 8 + 4
	movl $0xffff, free + 8
	movl $0x00affb00, free + 32 + 4
	movl $0x00cff300, free + 40 + 4
	movl $0xffff, free + 40

	/* DR4 is DR6 unless CR4.DE is set */
	mov $0x4002, %eax
	mov %rax, %dr6
	mov %dr4, %rcx
	SAVE %rcx                      //! = 0xffff4ff2
	mov %cr4, %rax
	or $8, %rax
	mov %rax, %cr4
	FAULT64 mov %dr4, %rax         //! #UD
	FAULT64 mov %dr5, %rax         //! #UD
	mov %cr4, %rax
	and $~8, %rax
	mov %rax, %cr4

	/* in the kernel, then the same for a user */
	BEGIN
	call basic
	COUNT                          //! = 3
	TRAP 0, basic1                 //! = BS
	TRAP 1, basic1+1               //! = BS
	TRAP 2, basic1+2               //! = BS
	BEGIN
	IN_USER basic_user
	COUNT                          //! = 3
	TRAP 0, basic1                 //! = UBS
	TRAP 2, basic1+2               //! = UBS
	BEGIN
	call emulated
	COUNT                          //! = 7
	TRAP 0, emulated1              //! = BS
	TRAP 1, emulated1+1            //! = BS
	TRAP 2, emulated1+4            //! = BS
	TRAP 3, emulated1+6            //! = BS
	TRAP 4, emulated1+11           //! = BS
	TRAP 5, emulated1+12           //! = BS
	TRAP 6, emulated1+13           //! = BS
	BEGIN
	IN_USER emulated_user
	COUNT                          //! = 7
	TRAP 3, emulated1+6            //! = UBS
	TRAP 6, emulated1+13           //! = UBS
	BEGIN
	call sti_blocking
	COUNT                          //! = 4
	TRAP 0, sti1                   //! = BS
	TRAP 1, sti1+6                 //! = BS
	TRAP 2, sti1+7                 //! = BS
	TRAP 3, sti1+8                 //! = BS
	cli
	BEGIN
	IN_USER sti_user
	COUNT                          //! = 4
	TRAP 0, sti1                   //! = UBS
	TRAP 3, sti1+8                 //! = UBS
	BEGIN
	mov $DATA, %edi
	call movss_blocking
	COUNT                          //! = 3
	TRAP 0, movss1                 //! = BS
	TRAP 2, movss1+2               //! = BS
	BEGIN
	IN_USER movss_user
	COUNT                          //! = 3
	TRAP 0, movss1                 //! = UBS
	TRAP 2, movss1+2               //! = UBS
	/* INT1 behind MOV SS and alone: it is not stepped, and leaves no bit in DR6 */
	BEGIN
	mov $DATA, %edi
	call icebp
	COUNT                          //! = 5
	TRAP 0, icebp1                 //! = B
	TRAP 1, icebp1+1               //! = B
	TRAP 2, icebp1+7               //! = BS
	TRAP 4, icebp1+9               //! = BS
	BEGIN
	IN_USER icebp_user
	COUNT                          //! = 5
	TRAP 0, icebp1                 //! = UB
	TRAP 1, icebp1+1               //! = UB
	TRAP 2, icebp1+7               //! = UBS
	/* general detect behind MOV SS */
	BEGIN
	mov $0x2400, %eax
	mov %rax, %dr7
	mov $DATA, %edi
	call general_detect
	COUNT                          //! = 5
	TRAP 0, detect1                //! = BD
	TRAP 1, detect1+3              //! = BS
	TRAP 4, detect1+11             //! = BS
	/* STI; HLT, and what wakes it comes later: the trap behind HLT wakes it first */
	BEGIN
	movl $0, timer
	cli
	SET_TF
	sti
halt1:	hlt
	CLEAR_TF
	cli
	COUNT                          //! = 5
	TRAP 0, halt1                  //! = BS
	TRAP 1, halt1+1                //! = BS
	/* an interrupt that waits when HLT begins */
	BEGIN
	mov $0x22, %al
	out %al, $0xf0
	SET_TF
	sti
halt2:	hlt
	CLEAR_TF
	cli
	COUNT                          //! = 5
	TRAP 0, halt2                  //! = BS
	TRAP 1, halt2+1                //! = BS
	SAVEM64 timer                  //! & 0xffffffff = halt2

	/* breakpoints: only those bits of DR6 that are meant */
	BEGIN
	BREAK 2, bp1, 0x420
bp1:	nop
	COUNT                          //! = 1
	TRAP 0, bp1                    //! = B+4
	BEGIN 0x4002
	BREAK 2, bp2, 0x420
bp2:	nop
	COUNT                          //! = 1
	TRAP 0, bp2                    //! = BS+4
	BEGIN 0x4000
	BREAK 1, scratch, 0x00d0040a
	mov $42, %eax
	mov %eax, scratch
wp1:	COUNT                          //! = 1
	TRAP 0, wp1                    //! = BS+2
	BEGIN
	mov %eax, scratch
wp2:	COUNT                          //! = 1
	TRAP 0, wp2                    //! = B+2
	BEGIN
	.byte 0xf1
wp3:	COUNT                          //! = 1
	TRAP 0, wp3                    //! = B
	/* MOV SS from a watched place; INT1: one exception; INT 1: two; INT3: one of each */
	movl $DATA, scratch
	BREAK 1, scratch, 0x00f0040a
	BEGIN
	mov scratch, %ss
	.byte 0x2e, 0x2e, 0xf1
ss1:	COUNT                          //! = 1
	TRAP 0, ss1                    //! = B+2
	BEGIN
	mov scratch, %ss
	int $1
ss2:	COUNT                          //! = 2
	TRAP 0, on_db                  //! = B+2
	TRAP 1, ss2                    //! = B+2
	BEGIN
	mov scratch, %ss
	int3
ss3:	COUNT                          //! = 1
	TRAP 0, on_bp                  //! = B+2
	/* the same from a user: the kernel's first instruction is interrupted, at CPL 0 */
	movl $USER_DATA, scratch
	BEGIN
	IN_USER ss_user
	COUNT                          //! = 2
	TRAP 0, on_int21               //! = B+2
	TRAP 1, on_back                //! = B+2
	/* and by SYSCALL */
	SETMSR64 0xc0000081, (USER_CODE32<<48)|(KERNEL<<32)
	SETMSR64 0xc0000082, on_syscall
	SETMSR64 0xc0000084, 0x700
	BEGIN
	IN_USER ss_syscall_user
	COUNT                          //! = 1
	TRAP 0, on_syscall             //! = B+2
	NO_BREAK
	/* eight bytes, and above 4 GiB */
	BEGIN
	BREAK 1, scratch+8, 0x0090040a
	mov %rax, scratch
	mov %rax, scratch+16
	COUNT                          //! = 0
	movb $0, scratch+15
	COUNT                          //! = 1
	NO_BREAK
	BEGIN
	mov $0x100180000, %rax         /* must not be taken for 0x180000 */
	mov %rax, %dr1
	mov $0x00f0040a, %eax
	mov %rax, %dr7
	mov scratch, %ecx
	COUNT                          //! = 0
	NO_BREAK

	/* SYSCALL with TF in its mask: the kernel is not stepped; SYSRET that sets TF: #DB before the user's next instruction */
	BEGIN
	IN_USER step_user
	COUNT                          //! = 6
	TRAP 0, step1                  //! = UBS
	TRAP 1, step2                  //! = UBS
	TRAP 2, step3                  //! = UBS
	TRAP 3, step3+1                //! = UBS
	/* TF not in the mask: #DB before the first instruction of the kernel */
	SETMSR64 0xc0000084, 0x200
	BEGIN
	IN_USER step_user
	COUNT                          //! = 8
	TRAP 0, step1                  //! = UBS
	TRAP 1, on_syscall             //! = BS
	TRAP 2, on_syscall2            //! = BS
	TRAP 3, step2                  //! = UBS
	TRAP 4, step3                  //! = UBS
	SETMSR64 0xc0000084, 0x700
	/* SYSRET that sets TF where nobody stepped, again and again: warm code */
	BEGIN
	movl $1f, db_goes_to
again:	mov $landing, %ecx
	mov $0x3102, %r11d
	sysretq
landing: nop
	ud2
1:	cmpl $ROUNDS, hits
	jb again
	movl $0, db_goes_to
	COUNT                          //! = ROUNDS
	TRAP 0, landing                //! = UBS
	TRAP 9, landing                //! = UBS
	TRAP 15, landing               //! = UBS
	/* SYSRET that clears TF: no step any more */
	BEGIN
	movl $9f, resume
	mov $quiet, %ecx
	mov $0x3002, %r11d
	mov $user_stack, %esp
	SET_TF
	sysretq
quiet:	nop
	ud2                            //! #UD
9:	COUNT                          //! = 0

	/* SYSENTER leaves TF alone, SYSEXIT too */
	SETMSR64 0x174, KERNEL
	SETMSR64 0x175, stack0_top
	SETMSR64 0x176, entered
	BEGIN
	movl $9f, resume
	RING3_64 0x3102, user1
user1:	sysenter
entered: mov $left, %edx
	mov $user_stack, %ecx
	sysexitq
left:	nop
left2:	CLEAR_TF
	ud2                            //! #UD
9:	COUNT                          //! = 8
	TRAP 0, entered                //! = BS
	TRAP 1, entered+5              //! = BS
	TRAP 2, entered+10             //! = BS
	TRAP 3, left                   //! = UBS
	TRAP 4, left2                  //! = UBS

	/* branches only: SYSCALL and SYSRET are some */
	SETMSR64 0xc0000084, 0x200
	SETMSR64 0x1d9, 2
	BEGIN
	movl $9f, resume
	RING3_64 0x3102, user2
user2:	nop
	nop
	syscall
	nop
	CLEAR_TF
	ud2                            //! #UD
9:	TRAP 0, on_syscall             //! = BS
	TRAP 1, on_syscall2            //! = BS
	/* IRETQ to TF: behind the first instruction; and from there */
	BEGIN
	mov %rsp, %rcx
	push $DATA
	push %rcx
	push $0x102
	push $CODE64
	push $iret1
	iretq
iret1:	nop
iret2:	CLEAR_TF
	COUNT                          //! = 4
	TRAP 0, iret2                  //! = BS
	END

/* ---- what is stepped, called at both levels ---- */

	.macro FLAGS_TO_TF /* RAX: the flags with it; the next instruction is stepped */
	pushfq
	pop %rax
	or $0x100, %eax
	push %rax
	popfq
	.endm
basic:	FLAGS_TO_TF
	and $~0x100, %rax
basic1:	push %rax
	popfq
	ret
emulated: FLAGS_TO_TF
	and $~0x100, %rax
emulated1: push %rax
	xor %rax, %rax
	cpuid
	mov $0xf5, %edx
	in %dx, %al
	popfq
	ret
sti_blocking: cli
	FLAGS_TO_TF
	sti
sti1:	and $~0x100, %rax
	push %rax
	popfq
	ret
movss_blocking: FLAGS_TO_TF
	mov %edi, %ss
	and $~0x100, %rax
movss1:	push %rax
	popfq
	ret
icebp:	FLAGS_TO_TF
	mov %edi, %ss
	.byte 0xf1
icebp1:	.byte 0xf1
	and $~0x100, %rax
	push %rax
	popfq
	ret
general_detect: xor %ecx, %ecx
	FLAGS_TO_TF
	mov %edi, %ss
detect1: mov %rcx, %dr6
	and $~0x100, %rax
	push %rax
	popfq
	ret

/* ---- in ring 3 ---- */
basic_user: call basic
	int $0x30
emulated_user: call emulated
	int $0x30
sti_user: call sti_blocking
	int $0x30
movss_user: mov $USER_DATA, %edi
	call movss_blocking
	int $0x30
icebp_user: mov $USER_DATA, %edi
	call icebp
	int $0x30
ss_user: mov scratch, %ss
	int $0x21
	mov scratch, %ss
	int $0x30
ss_syscall_user: mov scratch, %ss
	syscall
	int $0x30
step_user: SET_TF
	nop
step1:	syscall
step2:	nop
step3:	CLEAR_TF
	int $0x30

on_syscall: nop
on_syscall2: sysretq

/* ---- handlers ---- */
on_db:	/* RIP, CS, RFLAGS; the breakpoint at the place is passed by RF */
	push %rax
	push %rcx
	mov hits, %ecx
	cmp $16, %ecx
	jae 1f
	shl $5, %ecx
	mov 16(%rsp), %rax
	mov %rax, trap(%rcx)
	mov 24(%rsp), %eax
	and $3, %eax
	mov %rax, trap + 8(%rcx)
	mov %dr6, %rax
	mov %rax, trap + 16(%rcx)
1:	incl hits
	orl $0x10000, 32(%rsp)
	pop %rcx
	pop %rax
	cmpl $0, db_goes_to
	jne 2f
	iretq
2:	lea stack_top, %esp
	mov db_goes_to, %eax
	jmp *%rax
on_bp:	iretq
on_int21: iretq
on_back: cli
	lea stack_top, %esp
	mov resume, %eax
	jmp *%rax
on_timer: push %rax
	mov 8(%rsp), %rax
	mov %rax, timer
	pop %rax
	iretq

	.data
	.align 8
timer:	.quad 0
hits:	.long 0
db_goes_to: .long 0
trap:	.fill 16 * 4, 8, 0
	.text
