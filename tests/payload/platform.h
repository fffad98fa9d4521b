/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/*
 * What guests of a few instructions do with the platform device (abi/platform.h), as macros of the
 * assembler; in 32-bit code and in 64-bit code. One program includes this once.
 */
/*
 * The platform device is in slot 1. A call's block is at 0x200000 (>> 6: 0x8000), its struct at
 * 0x201000. hypercall: the second argument is that struct's address; call: a number. Both jump to 8f
 * when the answer is not 0.
 */
__asm__(".macro pci_write offset, value\n"
	"	mov $0xcf8, %edx\n"
	"	mov $0x80000800 + \\offset, %eax\n"
	"	out %eax, %dx\n"
	"	mov $0xcfc, %edx\n"
	"	mov $\\value, %eax\n"
	"	out %eax, %dx\n"
	".endm\n"
	".macro call_shim number, op, argument\n"
	"	movl $\\number, 0x200000\n"
	"	movl $64, 0x200004\n"
	"	movl $\\op, 0x200008\n"
	"	movl $\\argument, 0x200010\n"
	"	movl $-38, 0x200030\n"
	"	mov $0x7076, %edx\n"
	"	mov $0x8000, %eax\n"
	"	out %eax, %dx\n"
	"	cmpl $0, 0x200030\n"
	"	jne 8f\n"
	".endm\n"
	".macro hypercall number, op\n"
	"	call_shim \\number, \\op, 0x201000\n"
	".endm\n"
	".macro put_digit from\n"
	"	mov \\from, %eax\n"
	"	add $'0', %al\n"
	"	mov $0x3f8, %edx\n"
	"	out %al, %dx\n"
	".endm\n"
	/* BAR 0 in EDI; BARs 2 and 4 where a guest without paging reaches them. */
	".macro find_platform\n"
	"	mov $0xcf8, %edx\n"
	"	mov $0x80000810, %eax\n"
	"	out %eax, %dx\n"
	"	mov $0xcfc, %edx\n"
	"	in %dx, %eax\n"
	"	and $~0xf, %eax\n"
	"	mov %eax, %edi\n"
	"	pci_write 0x04, 0\n"
	"	pci_write 0x18, 0xd0000000\n"
	"	pci_write 0x1c, 0\n"
	"	pci_write 0x20, 0xd4000000\n"
	"	pci_write 0x24, 0\n"
	"	pci_write 0x04, 6\n"
	"	cmpl $0x74696b70, (%edi)\n"
	"	jne 8f\n"
	".endm\n");
