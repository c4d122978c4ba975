/* SPDX-License-Identifier: MIT */
/* Long mode: entry, canonical addresses, page-fault codes, NX, IST, SYSCALL and SYSRET, compatibility mode, SMEP and SMAP. */
#include "test.inc"

test:
	ENTER_LONG long_test
	.code64
long_test:
	mov $0x123456789abcdef0, %rax
	mov %rax, result
	mov $0x8000000000000000, %rbx
	FAULT64 mov (%rbx), %rax  /* not canonical */  //! #GP(0)
	mov %rbx, %rbp
	FAULT64 mov (%rbp), %rax  /* the stack segment */  //! #SS(0)
	mov $0x40000000, %ebx
	FAULT64 mov (%rbx), %eax  //! #PF(0) 0x40000000
	FAULT64 mov %eax, (%rbx)  //! #PF(2)
	/* scratch: read-only, then supervisor, then no-execute */
	andb $~2, pt + (SCRATCH_PAGE * 8)
	mov %cr3, %rax
	mov %rax, %cr3
	mov $scratch, %ebx
	FAULT64 movl $1, (%rbx)  /* WP is set */  //! #PF(3) scratch
	mov %cr0, %rax
	btr $16, %rax
	mov %rax, %cr0
	movl $0x11, (%rbx)                  /* WP clear: allowed */
	bts $16, %rax
	mov %rax, %cr0
	mov pt + (SCRATCH_PAGE * 8), %rax
	mov %rax, result + 8                /* accessed and dirty */
	btsq $63, pt + (SCRATCH_PAGE * 8)
	invlpg (%rbx)
	FAULT64 call *%rbx  //! #PF(0x11)
	btsq $51, pt + (SCRATCH_PAGE * 8)   /* beyond the physical address width: reserved */
	invlpg (%rbx)
	FAULT64 mov (%rbx), %eax  //! #PF(9)
	movq $scratch + 7, pt + (SCRATCH_PAGE * 8)
	invlpg (%rbx)

	/* SYSCALL from ring 3 and back */
	mov $0xc0000081, %ecx
	xor %eax, %eax
	mov $USER_CODE32 << 16 | CODE64, %edx /* SYSRET: CS is that plus 16, SS that plus 8 */
	wrmsr
	mov $0xc0000082, %ecx
	mov $on_syscall, %eax
	xor %edx, %edx
	wrmsr
	mov $0xc0000084, %ecx
	mov $0x200, %eax
	wrmsr
	pushq $USER_DATA
	pushq $scratch + 0x800
	pushq $0x3202
	pushq $USER_CODE64
	pushq $user
	iretq
user:	mov %cs, %eax
	mov %eax, result + 16
	syscall
after:	mov %cs, %eax
	mov %eax, result + 32
	cli                                 /* IOPL 3: allowed */
	FAULT64 hlt  /* in ring 3 */  //! #GP(0)
	/* the handler left us in ring 0 */
	mov %cs, %eax
	mov %eax, result + 40

	/* IST */
	movb $1, idt64 + 6 * 16 + 4
	FAULT64 ud2  /* on the stack of IST1 */  //! #UD
	mov handler_rsp, %rax
	mov %rax, result + 48
	movb $0, idt64 + 6 * 16 + 4

	/* SMEP, SMAP */
	mov %cr4, %rax
	bts $20, %rax
	bts $21, %rax
	mov $pt, %ebx
	/* every page but scratch becomes supervisor's */
	xor %ecx, %ecx
1:	andb $~4, (%rbx, %rcx, 8)
	inc %ecx
	cmp $512, %ecx
	jb 1b
	orb $4, pt + (SCRATCH_PAGE * 8)
	mov %cr3, %rcx
	mov %rcx, %cr3
	mov %rax, %cr4
	mov $scratch, %ebx
	FAULT64 mov (%rbx), %eax  /* SMAP */  //! #PF(1)
	stac
	mov (%rbx), %eax
	movb $0xc3, (%rbx)
	clac
	FAULT64 call *%rbx  /* SMEP */  //! #PF(0x11)
	mov %rsp, result + 56
	END

on_syscall:
	mov %rcx, result + 24
	mov %r11, %rdx
	mov %cs, %edx
	mov %edx, result + 64
	sysretq


//! reg mode = 64
//! reg cpl = 0
//! mem64 result = 0x123456789abcdef0
//! mem64 result+8 = scratch+0x65
//! mem32 result+16 = 0x3b
//! mem64 result+24 = after
//! mem32 result+32 = 0x3b
//! mem32 result+40 = 0x20
//! mem64 result+48 = ist1_top-72
//! mem32 result+64 = 0x20
