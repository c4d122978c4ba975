/* SPDX-License-Identifier: MIT */
/* Every trap and interrupt of the hostile program, on a stack of its own (IST): note it and go back to where attempt() was called,
 * by an IRET, which lets NMIs in again. What the interrupted code had is of no interest. */
	.set OWN_SIZE, 0x2000
	.set BACK_RSP, 0
	.set BACK_RIP, 8
	.set TRAPS, 32
	.set VECTOR, 40
	.set INSIDE, 56

	.text
	.globl trap_entries
	.balign 16
trap_entries:
	.set n, 0
	.rept 256
	.balign 16
	pushq $n
	jmp trap
	.set n, n + 1
	.endr

trap:	cmpq $2, (%rsp)
	jne 2f
	push %rdi /* an NMI outside of attempt() was late: go on */
	mov %rsp, %rdi
	and $-OWN_SIZE, %rdi
	cmpq $0, INSIDE(%rdi)
	pop %rdi
	jne 2f
	add $8, %rsp
	iretq
2:	mov %rsp, %rdi
	pop %rax
	dec %rdi
	and $-OWN_SIZE, %rdi /* this CPU's struct own */
	cmpq $0, INSIDE(%rdi)
	je wrecked
	mov %rax, VECTOR(%rdi)
	incq TRAPS(%rdi)
	mov $0x10, %ecx
	mov %ecx, %ds
	mov %ecx, %es
	mov BACK_RSP(%rdi), %rdx
	mov BACK_RIP(%rdi), %rsi
	pushq $0x10
	push %rdx
	pushq $2
	pushq $0x18
	push %rsi
	iretq

/* Outside of attempt() nothing traps, unless the tables, stacks or pages that everything needs are gone: begin anew. */
	.globl wrecked
wrecked:
	lidt nothing(%rip)
	int3
nothing:
	.skip 10

/* void attempt(struct own *me, void (*fn)(struct own *me)) */
	.globl attempt
attempt:
	push %rbx
	push %rbp
	push %r12
	push %r13
	push %r14
	push %r15
	push %rdi
	mov %rsp, BACK_RSP(%rdi)
	lea 1f(%rip), %rax
	mov %rax, BACK_RIP(%rdi)
	movq $1, INSIDE(%rdi)
	call *%rsi
	mov (%rsp), %rdi
1:	cli /* RDI is as trap has it, or as above */
	cld
	movq $0, INSIDE(%rdi)
	call recover
	pop %rdi
	pop %r15
	pop %r14
	pop %r13
	pop %r12
	pop %rbp
	pop %rbx
	ret

/* void to_ring3(struct own *me, u16 cs, u64 rip) */
	.globl to_ring3
to_ring3:
	mov %rdi, %rbx
	pushq $0x43
	pushq $0x2100000
	pushq $0x202
	push %rsi
	push %rdx
	mov $0x43, %ecx
	mov %ecx, %ds
	mov %ecx, %es
	mov $16, %ecx /* registers: into the area, a few bytes apart */
	mov $0x2080000, %eax
	mov $0x2090008, %ebx
	mov $0x20a0010, %edx
	mov $0x20b0001, %esi
	mov $0x20c0003, %edi
	mov $0x20d0000, %ebp
	mov $0x20e0000, %r8d
	mov $0x20f0ff8, %r9d
	mov $0x2110000, %r10d
	mov $-1, %r11
	mov $1, %r12d
	mov $0x21ffff8, %r13d
	mov $0x8000000000000000, %r14
	mov $0x2000000, %r15d
	iretq
	.section .note.GNU-stack, "", @progbits
