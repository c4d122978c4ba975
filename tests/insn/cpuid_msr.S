/* SPDX-License-Identifier: MIT */
/* CPUID's fixed points, and what RDMSR, WRMSR, RDTSC, RDPMC and MOV CR refuse. SDM vol. 2 under each name, vol. 3A 2.5, 2.8, 11.11,
 * 11.12 (MTRR and PAT types), vol. 4. */
#include "test.inc"

	.macro WRITE index, high, low
	mov $\index, %ecx
	mov $\low, %eax
	mov $\high, %edx
	FAULT wrmsr
	.endm
	.macro CR4BIT bit
	mov %cr4, %eax
	bts $\bit, %eax
	FAULT mov %eax, %cr4
	.endm

test:
	/* CPUID: ring 3 may, leaves beyond the last are like the last, bits that follow CR4 */
	mov $0, %eax
	USER 0x3002, cpuid             //! #UD
	SAVE %ebx                      //! = 0x756e6547
	SAVE %edx                      //! = 0x49656e69
	SAVE %ecx                      //! = 0x6c65746e
	mov $0x80000000, %eax
	cpuid
	cmp $0x80000008, %eax
	setae %al
	movzbl %al, %eax
	SAVE %eax                      //! = 1
	mov $1, %eax
	cpuid
	SAVE %ecx                      //! & 0x8000000 = 0
	/* FPU, DE, PSE, TSC, MSR, PAE, MCE, CX8, SEP, PGE, CMOV, PSE-36, CLFLUSH, MMX, FXSR, SSE, SSE2 */
	SAVE %edx                      //! & 0x0788a97d = 0x0788a97d
	mov %cr4, %eax
	bts $18, %eax
	mov %eax, %cr4
	mov $1, %eax
	cpuid
	SAVE %ecx                      /* OSXSAVE */ //! & 0x8000000 = 0x8000000
	mov $7, %eax
	mov $50, %ecx
	cpuid
	SAVE %ebx                      /* no such subleaf */ //! = 0
	/* EFLAGS.ID */
	pushfl
	xorl $0x200000, (%esp)
	popfl
	pushfl
	pop %eax
	SAVE %eax                      //! & 0x200000 = 0x200000

	/* MSRs */
	mov $0xdeadbeef, %ecx
	FAULT rdmsr                    //! #GP(0)
	FAULT wrmsr                    //! #GP(0)
	mov $0x10, %ecx
	USER 0x3002, rdmsr             //! #GP(0)
	USER 0x3002, wrmsr             //! #GP(0)
	WRITE 0xc0000080, 0, 2         /* EFER: reserved */ //! #GP(0)
	WRITE 0xc0000080, 1, 0         //! #GP(0)
	WRITE 0x277, 0x00070406, 0x00070402 /* PAT: type 2 */ //! #GP(0)
	WRITE 0x277, 0x00070406, 0x000704f8 //! #GP(0)
	mov $0x277, %ecx
	rdmsr
	SAVE %eax                      //! = 0x00070406
	SAVE %edx                      //! = 0x00070406
	WRITE 0x2ff, 0, 0x802          /* MTRR default type 2 */ //! #GP(0)
	WRITE 0x200, 0, 0x80000003     //! #GP(0)
	WRITE 0xfe, 0, 0               /* read-only */ //! #GP(0)
	mov $0x10, %ecx                /* TSC: what is written counts on */
	mov $0x12345678, %edx
	xor %eax, %eax
	wrmsr
	rdtsc
	SAVE %edx                      //! = 0x12345678
	mov $0x174, %ecx
	mov $0x10, %eax
	xor %edx, %edx
	wrmsr
	rdmsr
	SAVE %eax                      //! = 0x10

	/* TSD and PCE */
	USER 0x3002, rdtsc             //! #UD
	USER 0x3002, rdtscp            //! #UD
	USER 0x3002, rdpmc             //! #GP(0)
	mov %cr4, %eax
	or $4, %al
	mov %eax, %cr4
	rdtsc
	USER 0x3002, rdtsc             //! #GP(0)
	USER 0x3002, rdtscp            //! #GP(0)

	/* control registers */
	CR4BIT 12                      /* LA57 */ //! #GP(0)
	CR4BIT 13                      /* VMXE */ //! #GP(0)
	CR4BIT 15                      //! #GP(0)
	CR4BIT 22                      /* PKE */ //! #GP(0)
	CR4BIT 31                      //! #GP(0)
	CR4BIT 17                      /* PCIDE outside long mode */ //! #GP(0)
	mov %cr0, %edx
	mov %edx, %eax
	bts $29, %eax
	FAULT mov %eax, %cr0           /* NW without CD */ //! #GP(0)
	mov %edx, %eax
	bts $31, %eax
	btr $0, %eax
	FAULT mov %eax, %cr0           /* PG without PE */ //! #GP(0)
	mov %edx, %eax
	or $0x1f00ffc0, %eax
	mov %eax, %cr0                 /* reserved bits do not stick; ET is fixed */
	mov %cr0, %eax
	xor %edx, %eax
	SAVE %eax                      //! = 0
	mov $0, %eax
	lmsw %ax                       /* cannot clear PE */
	mov %cr0, %eax
	SAVE %eax                      //! & 1 = 1
	USER 0x3002, mov %cr0, %eax    //! #GP(0)
	USER 0x3002, mov %eax, %cr3    //! #GP(0)
	USER 0x3002, lmsw %ax          //! #GP(0)
	USER 0x3002, clts              //! #GP(0)
	USER 0x3002, invd              //! #GP(0)
	USER 0x3002, wbinvd            //! #GP(0)
	USER 0x3002, invlpg (%eax)     //! #GP(0)
	USER 0x3002, lgdt scratch      //! #GP(0)
	USER 0x3002, lldt scratch      //! #GP(0)
	USER 0x3002, ltr scratch       //! #GP(0)
	USER 0x3002, mov %dr7, %eax    //! #GP(0)

	ENTER_LONG long_test
	.code64
	.macro WRITE64 index, high, low
	mov $\index, %ecx
	mov $\low, %eax
	mov $\high, %edx
	FAULT64 wrmsr
	.endm
long_test:
	WRITE64 0xc0000082, 0x8000, 0  /* LSTAR: not canonical */ //! #GP(0)
	WRITE64 0xc0000100, 0x8000, 0  /* FS base */ //! #GP(0)
	WRITE64 0xc0000102, 0xffff0000, 0 //! #GP(0)
	WRITE64 0xc0000084, 1, 0       //! #GP(0)
	WRITE64 0xc0000080, 0, 0xc01   /* LME cannot go while paging is on */ //! #GP(0)
	mov %cr0, %rax
	bts $32, %rax
	FAULT64 mov %rax, %cr0         //! #GP(0)
	mov %cr4, %rax
	bts $32, %rax
	FAULT64 mov %rax, %cr4         //! #GP(0)
	mov %cr4, %rax
	btr $5, %rax
	FAULT64 mov %rax, %cr4         /* PAE is what long mode stands on */ //! #GP(0)
	mov %cr0, %rax
	btr $31, %rax
	FAULT64 mov %rax, %cr0         /* not from 64-bit code */ //! #GP(0)
	mov $0x100000400, %rax
	FAULT64 mov %rax, %dr7         //! #GP(0)
	FAULT64 mov %rax, %dr6         //! #GP(0)
	mov $16, %eax
	FAULT64 mov %rax, %cr8         //! #GP(0)
	USER64 0x3002, mov %cr8, %rax  //! #GP(0)
	USER64 0x3002, swapgs          //! #GP(0)
	mov $0xc0000102, %ecx
	mov $0x1234, %eax
	xor %edx, %edx
	wrmsr
	swapgs
	mov $0xc0000101, %ecx
	rdmsr
	SAVE %rax                      //! = 0x1234
	mov $0x80000008, %eax
	cpuid
	SAVE %rax                      //! & 0xffff = 0x3028
	END
