/* SPDX-License-Identifier: MIT */
/* Handlers of all exceptions and interrupts in the guest, for 64-bit, 32-bit and real mode: data of the test, copied to
 * AT_HANDLERS. Each logs what happened and moves the program on to its next unit; vectors 0x40 to 0x47 are only logged, vector
 * 0x3f ends the program. The numbers are those of diff.h. */
#define VARS 0x4000
#define COUNT VARS
#define SYSCALLS VARS + 4
#define START VARS + 8
#define STACK VARS + 16
#define MASK VARS + 24
#define HOME_CS VARS + 28
#define LOG 0x4800
#define PORT 0xf4

	.section .rodata
	.globl handlers_begin, handlers_end, handler64, handler32, handler16, handler_syscall
	.balign 16
handlers_begin:

	.code64
handler64:
	v = 0
	.rept 80
	.balign 16
	.if v != 8 && v != 10 && v != 11 && v != 12 && v != 13 && v != 14 && v != 17
	push $0
	.endif
	push $v
	jmp common64
	v = v + 1
	.endr
common64:
	push %rax
	push %rcx
	mov COUNT, %eax
	incl COUNT
	and $31, %eax
	shl $5, %eax
	mov 16(%rsp), %rcx	/* vector */
	mov %rcx, LOG(%rax)
	mov 24(%rsp), %rcx	/* error code */
	mov %rcx, LOG + 8(%rax)
	mov 32(%rsp), %rcx	/* RIP */
	mov %rcx, LOG + 16(%rax)
	mov %cr2, %rcx
	mov %rcx, LOG + 24(%rax)
	cmpb $0x48, 16(%rsp)
	jae 1f
	cmpb $0x3f, 16(%rsp)
	ja 2f
	jne 1f
	out %al, $PORT
1:	mov 32(%rsp), %rax
	sub START, %rax
	or $255, %rax
	inc %rax
	and MASK, %eax
	add START, %rax
	mov %rax, 32(%rsp)
	movzwl HOME_CS, %eax
	mov %rax, 40(%rsp)
	andl $0xfffabeff, 48(%rsp)	/* AC, NT, TF, RF */
	cmpb $8, 16(%rsp)
	jne 2f
	mov STACK, %rax
	mov %rax, 56(%rsp)
2:	pop %rcx
	pop %rax
	add $16, %rsp
	iretq
handler_syscall:
	incl SYSCALLS
	sysretq

	.code32
	.balign 16
handler32:
	v = 0
	.rept 80
	.balign 16
	.if v != 8 && v != 10 && v != 11 && v != 12 && v != 13 && v != 14 && v != 17
	push $0
	.endif
	push $v
	jmp common32
	v = v + 1
	.endr
common32:
	push %eax
	push %ecx
	push %ds
	mov $0x10, %eax
	mov %eax, %ds
	mov COUNT, %eax
	incl COUNT
	and $31, %eax
	shl $5, %eax
	mov 12(%esp), %ecx
	mov %ecx, LOG(%eax)
	mov 16(%esp), %ecx
	mov %ecx, LOG + 8(%eax)
	mov 20(%esp), %ecx
	mov %ecx, LOG + 16(%eax)
	mov 24(%esp), %ecx
	mov %ecx, LOG + 20(%eax)
	mov %cr2, %ecx
	mov %ecx, LOG + 24(%eax)
	cmpb $0x48, 12(%esp)
	jae 1f
	cmpb $0x3f, 12(%esp)
	ja 2f
	jne 1f
	out %al, $PORT
1:	mov 20(%esp), %eax
	sub START, %eax
	or $255, %eax
	inc %eax
	and MASK, %eax
	add START, %eax
	mov %eax, 20(%esp)
	movzwl HOME_CS, %eax
	mov %eax, 24(%esp)
	andl $0xfffabeff, 28(%esp)
2:	pop %ds
	pop %ecx
	pop %eax
	add $8, %esp
	iret

	.code16
	.balign 16
handler16:
	v = 0
	.rept 80
	.balign 16
	pushw $v
	jmp common16
	v = v + 1
	.endr
common16:
	push %ax
	push %bx
	push %ds
	push %bp
	mov %sp, %bp
	xor %ax, %ax
	mov %ax, %ds
	mov COUNT, %bx
	incw COUNT
	and $31, %bx
	shl $5, %bx
	mov 8(%bp), %ax		/* vector */
	mov %ax, LOG(%bx)
	mov 10(%bp), %ax	/* IP */
	mov %ax, LOG + 16(%bx)
	mov 12(%bp), %ax
	mov %ax, LOG + 20(%bx)
	cmpb $0x48, 8(%bp)
	jae 1f
	cmpb $0x3f, 8(%bp)
	ja 2f
	jne 1f
	out %al, $PORT
1:	mov 10(%bp), %ax
	sub START, %ax
	or $255, %ax
	inc %ax
	and MASK, %ax
	add START, %ax
	mov %ax, 10(%bp)
	mov HOME_CS, %ax
	mov %ax, 12(%bp)
	andw $0xbeff, 14(%bp)
2:	pop %bp
	pop %ds
	pop %bx
	pop %ax
	add $2, %sp
	iret
handlers_end:
	.section .note.GNU-stack, "", @progbits
