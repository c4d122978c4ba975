/* SPDX-License-Identifier: MIT */
/* Plain work of 32-bit code without paging, of a kind that every engine must do alike, a KVM in software included. Its whole end
 * state is compared between engines. */
#include "test.inc"

test:
	fninit
	mov %cr4, %eax
	or $0x600, %eax /* OSFXSR, OSXMMEXCPT */
	mov %eax, %cr4
	mov $1, %eax
	mov $list, %edi
	mov $64, %ecx
1:	imul $1103515245, %eax, %eax
	add $12345, %eax
	stosl
	loop 1b
	mov $list, %esi
	mov $list + 300, %edi
	mov $64, %ecx
	rep movsl
	xor %edx, %edx
	mov $64, %ecx
2:	xor list + 296(, %ecx, 4), %edx
	rol $3, %edx
	loop 2b
	mov %edx, result
	mov $list, %esi
	mov $list + 300, %edi
	mov $256, %ecx
	repe cmpsb
	setz result + 4                     //! mem8 result+4 = 1
	mov $0x12345678, %eax
	xor %edx, %edx
	mov $1001, %ecx
	div %ecx
	mov %eax, result + 8                //! mem32 result+8 = 305114
	mov %edx, result + 12               //! mem32 result+12 = 782
	mov $0x99, %al
	add $0x27, %al
	daa
	mov %al, result + 16                //! mem8 result+16 = 0x26
	pusha
	popa
	push $0x246
	popf
	pushf
	pop %ebx
	mov %ebx, result + 20               //! mem32 result+20 = 0x246
	cli
	enter $16, $2
	leave
	bound %ecx, limits
	lock xadd %ecx, result + 24
	movdqu list, %xmm0
	pmullw list + 16, %xmm0
	movdqu %xmm0, result + 32
	fldl2e
	fscale
	fstpl result + 48
	movl $0x7000, 0x6000
	movw $0x1234, %fs:0x6004
	lcall $CODE32, $3f
	jmp 4f
3:	incl result + 56                    //! mem32 result+56 = 1
	lret
4:	xor %eax, %eax
	in $0x80, %al
	mov %eax, result + 60               //! mem32 result+60 = 0xff
	sgdt result + 64
	smsw %eax
	mov %eax, result + 72
	mov $list + 8, %ebx
	mov $3, %al
	xlat
	xor %ebp, %ebp                      //! reg rbp = 0
	END

	.data
	.align 16
list:	.skip 1024
limits:	.long 0, 5000
