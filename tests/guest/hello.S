/* SPDX-License-Identifier: MIT */
/* A multiboot 1 kernel: says what it was given on the first serial port and leaves through isa-debug-exit with 33. */
	.code32
	.text
	.align 4
	.set FLAGS, 3
	.long 0x1badb002, FLAGS, -(0x1badb002 + FLAGS)
	.globl _start
_start:
	lea stack_top, %esp
	cmp $0x2badb002, %eax
	jne fail
	mov %ebx, %ebp
	mov $hello, %esi
	call print
	mov 16(%ebp), %esi /* command line */
	call print
	mov $newline, %esi
	call print
	cmpl $1, 20(%ebp)  /* one module: print it */
	jne fail
	mov 24(%ebp), %eax
	mov (%eax), %esi
	mov 4(%eax), %edi
1:	cmp %edi, %esi
	jae 2f
	lodsb
	call put
	jmp 1b
2:	mov $33, %eax
	mov $0x501, %edx
	out %eax, %dx
fail:	mov $1, %eax
	mov $0x501, %edx
	out %eax, %dx
	hlt
	jmp fail

#include "uart.inc"

hello:	.asciz "hello from multiboot: "
newline: .asciz "\n"
	.bss
	.skip 4096
stack_top:
