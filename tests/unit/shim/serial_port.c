// SPDX-License-Identifier: MIT OR GPL-2.0
/*
 * The serial port as the 8250 driver of Linux probes and uses it, register by register; the console
 * behind it is faked, so that it can be full.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <linux/serial_reg.h>
#include <string.h>

#include "hypervisor-shim/bus.h"
#include "hypervisor-shim/console.h"
#include "hypervisor-shim/irq.h"
#include "hypervisor-shim/serial.h"
#include "hypervisor-shim/vm.h"

static struct {
	char output[4096];
	unsigned int length, room, rises, told_room;
	int level;
} line;

/* In place of console.c, irq.c and vm.c. */
bool console_put(uint8_t byte)
{
	if (!line.room)
		return false;
	line.room--;
	line.output[line.length++] = (char)byte;
	return true;
}

void console_input_room(void)
{
	line.told_room++;
}

int vm_irq_line(unsigned int gsi, int level)
{
	assert_int_equal(gsi, IRQ_COM1);
	assert_int_not_equal(level, line.level); /* only edges */
	line.level = level;
	line.rises += (unsigned int)level;
	return 0;
}

uint64_t vm_pci64_start(void)
{
	return 0;
}

uint64_t vm_pci64_size(void)
{
	return 0;
}

static uint8_t in(unsigned int number)
{
	uint8_t value;

	bus_port_read((uint16_t)(SERIAL_PORT + number), &value, 1);
	return value;
}

static void out(unsigned int number, uint8_t value)
{
	bus_port_write((uint16_t)(SERIAL_PORT + number), &value, 1);
}

static int setup(void **state)
{
	bus_close();
	serial_open(); /* lowers the line */
	memset(&line, 0, sizeof(line));
	line.room = sizeof(line.output) - 1;
	return 0;
}

/* What autoconfig() of the driver tries, to tell a 16550A from others. */
static void is_a_16550a(void **state)
{
	out(UART_IER, 0);
	assert_int_equal(in(UART_IER), 0);
	out(UART_IER, 0x0f);
	assert_int_equal(in(UART_IER), 0x0f);
	out(UART_IER, 0xff);
	assert_int_equal(in(UART_IER)&0xf0, 0);
	out(UART_IER, 0);
	/* The loop-back test: outputs of the modem control become its inputs. */
	out(UART_MCR, UART_MCR_LOOP | UART_MCR_OUT2 | UART_MCR_RTS);
	assert_int_equal(in(UART_MSR)&0xf0, UART_MSR_DCD | UART_MSR_CTS);
	out(UART_MCR, 0);
	out(UART_FCR, UART_FCR_ENABLE_FIFO);
	assert_int_equal(in(UART_IIR) >> 6, 3);
	out(UART_FCR, 0);
	assert_int_equal(in(UART_IIR) >> 6, 0);
	out(UART_SCR, 0x5a);
	assert_int_equal(in(UART_SCR), 0x5a);
	out(UART_LCR, UART_LCR_DLAB);
	out(UART_DLL, 1);
	out(UART_DLM, 2);
	assert_int_equal(in(UART_DLL), 1);
	assert_int_equal(in(UART_DLM), 2);
	out(UART_LCR, UART_LCR_WLEN8);
	assert_int_equal(in(UART_LCR), UART_LCR_WLEN8);
	assert_int_equal(line.length, 0);
}

static void polled_output(void **state)
{
	for (const char *p = "hello"; *p; p++) {
		assert_int_equal(in(UART_LSR), UART_LSR_THRE | UART_LSR_TEMT);
		out(UART_TX, (uint8_t)*p);
	}
	assert_string_equal(line.output, "hello");
	assert_int_equal(line.rises, 0);
}

/* serial8250_THRE_test(): enabling the interrupt with an empty transmitter raises it, each time. */
static void transmitter_interrupts(void **state)
{
	out(UART_MCR, UART_MCR_OUT2);
	out(UART_IER, UART_IER_THRI);
	assert_int_equal(in(UART_IIR)&0x0f, UART_IIR_THRI);
	assert_int_equal(in(UART_IIR)&0x0f, UART_IIR_NO_INT); /* reading has told it */
	out(UART_IER, 0);
	out(UART_IER, UART_IER_THRI);
	assert_int_equal(line.level, 1);
	/* A FIFO full, and one interrupt behind it. */
	out(UART_FCR, UART_FCR_ENABLE_FIFO);
	in(UART_IIR);
	assert_int_equal(line.level, 0);
	line.rises = 0;
	out(UART_TX, 'x');
	assert_int_equal(line.level, 1);
	assert_int_equal(line.rises, 1);
	assert_int_equal(in(UART_IIR)&0x0f, UART_IIR_THRI);
	assert_int_equal(line.level, 0);
}

/* Without OUT2 the port is not connected to the interrupt controller. */
static void interrupts_need_out2(void **state)
{
	out(UART_IER, UART_IER_THRI);
	assert_int_equal(line.level, 0);
	out(UART_MCR, UART_MCR_OUT2);
	assert_int_equal(line.level, 1);
	out(UART_MCR, 0);
	assert_int_equal(line.level, 0);
}

static void a_full_console_holds_the_guest_back(void **state)
{
	out(UART_MCR, UART_MCR_OUT2);
	out(UART_FCR, UART_FCR_ENABLE_FIFO);
	out(UART_IER, UART_IER_THRI);
	in(UART_IIR);
	line.room = 3;
	for (char c = 'a'; c < 'a' + 16; c++)
		out(UART_TX, (uint8_t)c);
	assert_int_equal(in(UART_LSR)&UART_LSR_THRE, 0);
	assert_int_equal(line.level, 0);
	line.room = 5;
	serial_output_room();
	assert_int_equal(in(UART_LSR)&UART_LSR_THRE, 0);
	line.room = 100;
	serial_output_room();
	assert_int_equal(in(UART_LSR)&UART_LSR_THRE, UART_LSR_THRE);
	assert_int_equal(line.level, 1);
	assert_string_equal(line.output, "abcdefghijklmnop");
}

static void input(void **state)
{
	out(UART_MCR, UART_MCR_OUT2);
	out(UART_FCR, UART_FCR_ENABLE_FIFO | UART_FCR_TRIGGER_8);
	out(UART_IER, UART_IER_RDI);
	assert_true(serial_receive('a'));
	assert_int_equal(line.level, 1);
	assert_int_equal(in(UART_IIR)&0x0f, UART_IIR_RX_TIMEOUT); /* below the trigger level */
	for (int i = 1; i < 16; i++)
		assert_true(serial_receive((uint8_t)('a' + i)));
	assert_int_equal(in(UART_IIR)&0x0f, UART_IIR_RDI);
	assert_false(serial_receive('z')); /* full: the console keeps it */
	line.told_room = 0;
	for (int i = 0; i < 16; i++) {
		assert_true(in(UART_LSR)&UART_LSR_DR);
		assert_int_equal(in(UART_RX), 'a' + i);
	}
	assert_true(line.told_room > 0);
	assert_int_equal(in(UART_LSR) & (UART_LSR_DR | UART_LSR_OE), 0);
	assert_int_equal(line.level, 0);
	assert_int_equal(in(UART_RX), 0);
}

/* Without FIFO there is room for one byte. */
static void input_without_fifo(void **state)
{
	assert_true(serial_receive('a'));
	assert_false(serial_receive('b'));
	assert_int_equal(in(UART_RX), 'a');
	assert_true(serial_receive('b'));
	/* Switching the FIFO on clears it. */
	out(UART_FCR, UART_FCR_ENABLE_FIFO);
	assert_int_equal(in(UART_LSR)&UART_LSR_DR, 0);
}

static void breaks_and_loops(void **state)
{
	out(UART_FCR, UART_FCR_ENABLE_FIFO);
	out(UART_MCR, UART_MCR_OUT2);
	out(UART_IER, UART_IER_RLSI);
	serial_receive_break();
	assert_int_equal(line.level, 1);
	assert_int_equal(in(UART_IIR)&0x0f, UART_IIR_RLSI);
	assert_true(in(UART_LSR)&UART_LSR_BI);
	assert_int_equal(in(UART_LSR)&UART_LSR_BI, 0); /* told once */
	assert_int_equal(in(UART_RX), 0);
	out(UART_MCR, UART_MCR_LOOP);
	out(UART_TX, 'l');
	assert_int_equal(in(UART_RX), 'l');
	assert_int_equal(line.length, 0);
	/* A FIFO that runs over in the loop says so. */
	for (int i = 0; i < 17; i++)
		out(UART_TX, 'l');
	assert_true(in(UART_LSR)&UART_LSR_OE);
}

static void resets(void **state)
{
	out(UART_MCR, UART_MCR_OUT2);
	out(UART_IER, UART_IER_THRI);
	out(UART_LCR, 3);
	assert_int_equal(line.level, 1);
	serial_reset();
	assert_int_equal(line.level, 0);
	assert_int_equal(in(UART_IER), 0);
	assert_int_equal(in(UART_LCR), 0);
	assert_int_equal(in(UART_LSR), UART_LSR_THRE | UART_LSR_TEMT);
}

#define TEST(name) cmocka_unit_test_setup(name, setup)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(is_a_16550a),
		TEST(polled_output),
		TEST(transmitter_interrupts),
		TEST(interrupts_need_out2),
		TEST(a_full_console_holds_the_guest_back),
		TEST(input),
		TEST(input_without_fifo),
		TEST(breaks_and_loops),
		TEST(resets),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
