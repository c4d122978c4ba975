/* SPDX-License-Identifier: MIT */
/* UMIP: SGDT, SIDT, SLDT, STR and SMSW in ring 3. SDM vol. 3A 2.5 (CR4), vol. 2 under each name. */
#include "test.inc"

test:
	mov $scratch, %ebx
	USER 0x3002, sgdt (%ebx)       //! #UD
	SAVEM scratch + 2              //! = gdt
	USER 0x3002, sidt (%ebx)       //! #UD
	SAVEM scratch                  //! & 0xffff = 0x1ff
	SAVEM scratch + 2              //! = idt
	USER 0x3002, str %eax          //! #UD
	SAVE %eax                      //! = TSS
	USER 0x3002, smsw %ecx         //! #UD
	SAVE %ecx                      //! & 0xffdf = 0x11
	mov %cr4, %eax
	bts $11, %eax
	mov %eax, %cr4
	movl $0, scratch + 2
	USER 0x3002, sgdt (%ebx)       //! #GP(0)
	USER 0x3002, sidt (%ebx)       //! #GP(0)
	USER 0x3002, sldt %ax          //! #GP(0)
	USER 0x3002, sldt (%ebx)       //! #GP(0)
	USER 0x3002, str %ax           //! #GP(0)
	USER 0x3002, smsw %eax         //! #GP(0)
	USER 0x3002, smsw (%ebx)       //! #GP(0)
	SAVEM scratch + 2              //! = 0
	sgdt scratch
	SAVEM scratch + 2              //! = gdt
	smsw %eax
	str %eax
	sldt %eax

	ENTER_LONG long_test
	.code64
long_test:
	USER64 0x3002, sgdt scratch    //! #GP(0)
	USER64 0x3002, smsw %rax       //! #GP(0)
	USER64 0x3002, str %rax        //! #GP(0)
	sidt scratch
	mov scratch + 2, %rax
	SAVE %rax                      //! = idt64
	str %rax
	SAVE %rax                      //! = TSS64
	mov $-1, %rax
	smsw %ax
	SAVE %rax                      //! & 0xffffffffffffffdf = 0xffffffffffff0011
	smsw %rax
	SAVE %rax                      //! & 0xffffffdf = 0x80010011
	END
