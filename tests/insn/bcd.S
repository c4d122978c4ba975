/* SPDX-License-Identifier: MIT */
/* Decimal adjustments, with the flags that the manual leaves undefined as each flavour has them: cases that overflow by sign and
 * cases that do not. SDM vol. 2. */
#include "test.inc"

	.macro ADJUST value, flags, insn:vararg
	push $\flags
	mov $\value, %eax
	popf
	\insn
	pushf
	pop %ebx
	.endm

test:
	ADJUST 0x7a, 0x2, aaa
	SAVE %eax                      //! = 0x100
	SAVE %ebx                      //! intel: & 0x8d5 = 0x55
	                               //! amd: & 0x8d5 = 0x11
	ADJUST 0x7fff, 0x2, aaa
	SAVE %eax                      //! = 0x8105
	SAVE %ebx                      //! intel: & 0x8d5 = 0x15
	                               //! amd: & 0x8d5 = 0x895
	ADJUST 0x800a, 0x2, aas
	SAVE %eax                      //! = 0x7f04
	SAVE %ebx                      //! intel: & 0x8d5 = 0x11
	                               //! amd: & 0x8d5 = 0x811
	ADJUST 0x7a, 0x2, daa
	SAVE %eax                      //! = 0x80
	SAVE %ebx                      //! intel: & 0x8d5 = 0x90
	                               //! amd: & 0x8d5 = 0x890
	ADJUST 0x85, 0x12, das
	SAVE %eax                      //! = 0x7f
	SAVE %ebx                      //! intel: & 0x8d5 = 0x10
	                               //! amd: & 0x8d5 = 0x810
	ADJUST 0x4d, 0x2, aam
	SAVE %eax                      //! = 0x707
	SAVE %ebx                      //! & 0xc4 = 0
	ADJUST 0x707, 0x2, aad
	SAVE %eax                      //! = 0x4d
	END
