/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/*
 * The guests that are measured: 64-bit code without a kernel, one for each entrance (docs/abi.md).
 *
 *	READY	OUT of a port: the host binds it as a back-end would
 *	ROW	OUT of a row's number
 *	SAMPLE	IN: how often to do it until the next IN; 0: the row is over
 *	IDLE	OUT: from now on the guest does nothing but to answer interrupts, as GUEST_MODE says
 *
 * So the host has the clock, and a sample is the time from one IN to the next. After all rows, each
 * interrupt is answered by a count in memory or by a notification, until one ends it.
 */
#ifndef PVKIT_BENCH_COSTS_GUEST_H
#define PVKIT_BENCH_COSTS_GUEST_H

#include "tests/payload/payload.h"
#include "tests/payload/platform.h"

#define GUEST_PORTS  0x7100 /* here and on; nothing of the shim's is there */
#define GUEST_READY  0
#define GUEST_ROW    4
#define GUEST_SAMPLE 8
#define GUEST_IDLE   12
#define GUEST_NOBODY 0x7200 /* no device is there, and so the shim does nothing */

/* Memory that both see. */
#define GUEST_ANSWERS 0x240000 /* 64 bits: interrupts answered by it */
#define GUEST_MODE    0x240040 /* 32 bits, the host's */
#define MODE_HALT     1 /* HLT between interrupts; else it spins */
#define MODE_NOTIFY   2 /* an answer is a notification; else a count */
#define MODE_END      4

/* Offsets in the BAR of the device in slot 2, which the host makes. */
#define GUEST_KICK 0x40 /* has an ioeventfd */
#define GUEST_SLOW 0x80 /* exits to the shim */

/* Rows; each stands for one way out of the guest. */
#define ROW_LOOP      0 /* nothing but the two instructions around each of the others */
#define ROW_CPUID     1
#define ROW_PIC       2 /* IN from the interrupt controller, which KVM has */
#define ROW_PORT      3 /* OUT to GUEST_NOBODY */
#define ROW_MEMORY    4 /* a write to GUEST_SLOW */
#define ROW_HYPERCALL 5 /* SEND of a port that nobody has bound: the shim looks it up, no more */
#define ROW_NOTIFY    6 /* SEND of the bound port, by the shortest way there is */
#define ROW_KICK      7 /* a write to GUEST_KICK */
#define ROWS          8

#define TEXT_OF(x) #x
#define TEXT(x)	   TEXT_OF(x)

/* Makes a number of the preprocessor's one of the assembler's, by the same name. */
#define KNOWN(name) ".set " #name ", " TEXT(name) "\n"

/* clang-format off */
__asm__(KNOWN(GUEST_PORTS) KNOWN(GUEST_READY) KNOWN(GUEST_ROW) KNOWN(GUEST_SAMPLE) KNOWN(GUEST_IDLE)
	KNOWN(GUEST_NOBODY) KNOWN(GUEST_ANSWERS) KNOWN(GUEST_MODE) KNOWN(MODE_HALT) KNOWN(MODE_NOTIFY)
	KNOWN(MODE_END) KNOWN(GUEST_KICK) KNOWN(GUEST_SLOW) KNOWN(ROW_LOOP) KNOWN(ROW_CPUID) KNOWN(ROW_PIC)
	KNOWN(ROW_PORT) KNOWN(ROW_MEMORY) KNOWN(ROW_HYPERCALL) KNOWN(ROW_NOTIFY) KNOWN(ROW_KICK));

/*
 * What stands between "measure" and "measured" runs as often as SAMPLE says; it leaves EBP and what
 * setup loaded.
 */
__asm__(".macro measure row\n"
	"	mov $\\row, %eax\n"
	"	mov $GUEST_PORTS + GUEST_ROW, %edx\n"
	"	out %eax, %dx\n"
	"6:	mov $GUEST_PORTS + GUEST_SAMPLE, %edx\n"
	"	in %dx, %eax\n"
	"	mov %eax, %ebp\n"
	"	test %eax, %eax\n"
	"	jz 7f\n"
	"5:\n"
	".endm\n"
	".macro measured\n"
	"	dec %ebp\n"
	"	jnz 5b\n"
	"	jmp 6b\n"
	"7:\n"
	".endm\n");

/* Rows that both guests have. */
__asm__(".macro measure_exits\n"
	"	measure ROW_LOOP\n"
	"	measured\n"
	"	measure ROW_CPUID\n"
	"	xor %eax, %eax\n"
	"	cpuid\n"
	"	measured\n"
	"	measure ROW_PIC\n"
	"	in $0x21, %al\n"
	"	measured\n"
	"	measure ROW_PORT\n"
	"	mov $GUEST_NOBODY, %edx\n"
	"	out %eax, %dx\n"
	"	measured\n"
	".endm\n");

/*
 * Kept by both guests: R13 doorbell of the port (0 for Xen's entrance), R14 BAR of the device in slot
 * 2, R15 the local APIC. Structs of SEND: for Xen's entrance, the bound port at 0x202000 and an
 * unbound one at 0x202004. An IDT at 0x230000.
 */
__asm__(".macro gate vector, handler\n"
	"	lea \\handler(%rip), %rax\n"
	"	mov $0x230000 + \\vector * 16, %ecx\n"
	"	mov %ax, (%rcx)\n"
	"	movw $0x10, 2(%rcx)\n" /* the boot protocol's code segment */
	"	movw $0x8e00, 4(%rcx)\n"
	"	shr $16, %rax\n"
	"	mov %ax, 6(%rcx)\n"
	"	shr $16, %rax\n"
	"	mov %eax, 8(%rcx)\n"
	"	movl $0, 12(%rcx)\n"
	"	movw $0xfff, 0x208000\n"
	"	movl $0x230000, 0x208002\n"
	"	movl $0, 0x208006\n"
	"	lidt 0x208000\n"
	"	mov $0x280000, %esp\n"
	"	mov $0xfee00000, %r15d\n"
	"	movl $0x1ff, 0xf0(%r15)\n" /* SPIV */
	".endm\n"
	/* The struct of ALLOC_UNBOUND: any domain may be told as oneself, domain 0 may bind it. */
	".macro alloc_args\n"
	"	movl $0x00007ff0, 0x201000\n"
	".endm\n"
	".macro ready\n"
	"	mov 0x202000, %eax\n"
	"	mov $GUEST_PORTS + GUEST_READY, %edx\n"
	"	out %eax, %dx\n"
	".endm\n"
	/*
	 * Answers until it is told to end. Who handles an interrupt goes on at 3: KVM by software has
	 * no IRET for this mode.
	 */
	".macro idle\n"
	"	mov $GUEST_PORTS + GUEST_IDLE, %edx\n"
	"	out %eax, %dx\n"
	"3:	mov $0x280000, %esp\n"
	"	sti\n"
	"4:	testl $MODE_HALT, GUEST_MODE\n"
	"	jz 5f\n"
	"	hlt\n"
	"	jmp 4b\n"
	"5:	pause\n"
	"	jmp 4b\n"
	".endm\n"
	/* What a handler ends with: EOI, and the answer. It notifies by @notify with these operands. */
	".macro answer notify:vararg\n"
	"	movl $0, 0xb0(%r15)\n" /* EOI */
	"	mov GUEST_MODE, %eax\n"
	"	test $MODE_END, %al\n"
	"	jnz 1f\n"
	"	test $MODE_NOTIFY, %al\n"
	"	jnz 2f\n"
	"	incq GUEST_ANSWERS\n"
	"	jmp 3b\n"
	"2:	\\notify\n"
	"	jmp 3b\n"
	"8:	put_char '!'\n"
	"	hlt\n"
	"1:	power_off\n"
	".endm\n");

/* ---- pvkit's own entrance --------------------------------------------------------------------- */

/* The port is number 2, and so has vector 2. */
PAYLOAD(pvkit_guest, 64,
	"	gate 0x40, pvkit_handler\n"
	"	mov $0xcf8, %edx\n"
	"	mov $0x80001010, %eax\n" /* slot 2, BAR 0 */
	"	out %eax, %dx\n"
	"	mov $0xcfc, %edx\n"
	"	in %dx, %eax\n"
	"	and $~0xf, %eax\n"
	"	mov %eax, %r14d\n"
	"	find_platform\n"
	"	movl $0xfee00000, 0x1020(%edi)\n"
	"	movl $0, 0x1024(%edi)\n"
	"	movl $0x40, 0x1028(%edi)\n"
	"	movl $0, 0x102c(%edi)\n"
	"	pci_write 0x40, 0x80000000\n" /* MSI-X on */
	"	movl $0, 0x10(%edi)\n" /* ACCEPT */
	"	movl $0, 0x14(%edi)\n"
	"	call_shim 55, 0, 4\n" /* SET_VECTORS */
	"	alloc_args\n"
	"	hypercall 32, 6\n" /* ALLOC_UNBOUND */
	"	mov 0x201004, %eax\n"
	"	cmp $2, %eax\n"
	"	jne 8f\n"
	"	mov %eax, 0x202000\n"
	"	alloc_args\n"
	"	hypercall 32, 6\n"
	"	mov 0x201004, %eax\n"
	"	mov %eax, 0x201000\n" /* the struct of SEND */
	"	mov $0xd0000008, %r13d\n" /* doorbell of port 2 */
	"	ready\n"
	"	measure_exits\n"
	"	measure ROW_MEMORY\n"
	"	mov %eax, GUEST_SLOW(%r14)\n"
	"	measured\n"
	"	measure ROW_HYPERCALL\n"
	"	hypercall 32, 4\n" /* SEND of the unbound port */
	"	measured\n"
	"	measure ROW_NOTIFY\n"
	"	mov %eax, (%r13)\n"
	"	measured\n"
	"	measure ROW_KICK\n"
	"	mov %ax, GUEST_KICK(%r14)\n"
	"	measured\n"
	"	idle\n"
	"pvkit_handler:\n"
	"	answer mov %eax, (%r13)\n");

/* ---- Xen's entrance --------------------------------------------------------------------------- */

/* By the page of calls that KVM writes. 8f: the answer is not 0. */
__asm__(".macro xen_call number, op\n"
	"	mov $\\op, %edi\n"
	"	mov $0x201000, %esi\n"
	"	mov $0x210000 + \\number * 32, %eax\n"
	"	call *%rax\n"
	"	test %rax, %rax\n"
	"	jnz 8f\n"
	".endm\n"
	".macro xen_send port\n" /* from 0x202000 + \port, that of SEND's struct */
	"	mov $4, %edi\n"
	"	mov $0x202000 + \\port, %esi\n"
	"	mov $0x210000 + 32 * 32, %eax\n"
	"	call *%rax\n"
	"	test %rax, %rax\n"
	"	jnz 8f\n"
	".endm\n");

/* shared_info is at 0x220000, with the info of vCPU 0 at its begin and pending bits at 0x800. */
PAYLOAD(xen_guest, 64,
	"	gate 0x40, xen_handler\n"
	"	mov $0x40000000, %ecx\n"
	"	mov $0x210000, %eax\n"
	"	xor %edx, %edx\n"
	"	wrmsr\n"
	"	movl $0x7ff0, 0x201000\n"
	"	movl $0, 0x201004\n"
	"	movq $0, 0x201008\n"
	"	movq $0x220, 0x201010\n"
	"	xen_call 12, 7\n" /* MEMORY_OP ADD_TO_PHYSMAP: shared_info */
	"	movl $0, 0x201000\n"
	"	movl $0x40, 0x201004\n"
	"	xen_call 34, 23\n" /* HVM_OP SET_UPCALL_VECTOR */
	"	alloc_args\n"
	"	xen_call 32, 6\n"
	"	mov 0x201004, %eax\n"
	"	mov %eax, 0x202000\n"
	"	alloc_args\n"
	"	xen_call 32, 6\n"
	"	mov 0x201004, %eax\n"
	"	mov %eax, 0x202004\n"
	"	ready\n"
	"	measure_exits\n"
	"	measure ROW_HYPERCALL\n"
	"	xen_send 4\n"
	"	measured\n"
	"	measure ROW_NOTIFY\n"
	"	xen_send 0\n"
	"	measured\n"
	"	idle\n"
	"xen_handler:\n"
	"	movb $0, 0x220000\n"
	"	movq $0, 0x220008\n"
	"	mov 0x202000, %eax\n"
	"	lock btr %rax, 0x220800\n"
	"	answer xen_send 0\n");
/* clang-format on */

#endif
