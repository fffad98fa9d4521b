// SPDX-License-Identifier: MIT OR GPL-2.0
/*
 * The serial port as the data sheet of the 16550A has it, but infinitely fast: what is written is
 * on its way at once, so the transmitter is empty again and says so by interrupt, and a stock
 * driver moves 16 bytes an interrupt and never polls. Only when the console cannot take more,
 * bytes wait in the FIFO and the transmitter is busy; a guest then waits for us like for any slow
 * line.
 *
 * COM1's interrupt is an edge at the I/O APIC, and the line follows the cause: it falls when the
 * cause is served and rises with the next, so none is lost.
 */
#include <linux/serial_reg.h>
#include <pthread.h>
#include <string.h>

#include "hypervisor-shim/bus.h"
#include "hypervisor-shim/console.h"
#include "hypervisor-shim/irq.h"
#include "hypervisor-shim/serial.h"
#include "hypervisor-shim/vm.h"

#define FIFO_SIZE    16
#define DIVISOR_9600 12
#define LSR_ERRORS   (UART_LSR_OE | UART_LSR_PE | UART_LSR_FE | UART_LSR_BI)
#define IER_WRITABLE 0x0f
#define MCR_WRITABLE 0x1f
#define IIR_FIFO_ON  0xc0

struct fifo {
	uint8_t bytes[FIFO_SIZE];
	unsigned int first, count;
};

static struct {
	pthread_mutex_t lock; /* may take the console's inside, not the other way round */
	uint8_t ier, lcr, mcr, fcr, scratch, errors;
	uint16_t divisor;
	bool transmitter_event; /* "the transmitter became empty", until it is told or overtaken */
	bool line;
	struct fifo rx, tx;
} serial = {.lock = PTHREAD_MUTEX_INITIALIZER};

static bool fifo_put(struct fifo *fifo, uint8_t byte, unsigned int room)
{
	if (fifo->count >= room)
		return false;
	fifo->bytes[(fifo->first + fifo->count++) % FIFO_SIZE] = byte;
	return true;
}

static uint8_t fifo_take(struct fifo *fifo)
{
	uint8_t byte = fifo->bytes[fifo->first];

	fifo->first = (fifo->first + 1) % FIFO_SIZE;
	fifo->count--;
	return byte;
}

/* All below runs with the lock held, down to the port handlers. */

static unsigned int rx_room(void)
{
	return serial.fcr & UART_FCR_ENABLE_FIFO ? FIFO_SIZE : 1;
}

static unsigned int rx_trigger(void)
{
	static const uint8_t levels[] = {1, 4, 8, 14};

	return serial.fcr & UART_FCR_ENABLE_FIFO ? levels[serial.fcr >> 6] : 1;
}

/* The highest cause that waits, in the data sheet's order. */
static uint8_t cause(void)
{
	if (serial.ier & UART_IER_RLSI && serial.errors)
		return UART_IIR_RLSI;
	if (serial.ier & UART_IER_RDI && serial.rx.count)
		/* Below its trigger level the FIFO would time out soon: it does so now. */
		return serial.rx.count >= rx_trigger() ? UART_IIR_RDI : UART_IIR_RX_TIMEOUT;
	if (serial.ier & UART_IER_THRI && serial.transmitter_event)
		return UART_IIR_THRI;
	return UART_IIR_NO_INT;
}

static void update_line(void)
{
	/* OUT2 is what connects the port to the interrupt controller in a PC. */
	bool line = cause() != UART_IIR_NO_INT && serial.mcr & UART_MCR_OUT2;

	if (line == serial.line)
		return;
	serial.line = line;
	vm_irq_line(IRQ_COM1, line);
}

static void flush_tx(void)
{
	while (serial.tx.count) {
		if (!console_put(serial.tx.bytes[serial.tx.first]))
			return;
		fifo_take(&serial.tx);
	}
	serial.transmitter_event = true;
}

static void receive(uint8_t byte)
{
	if (!fifo_put(&serial.rx, byte, rx_room()))
		serial.errors |= UART_LSR_OE;
}

static void transmit(uint8_t byte)
{
	/*
	 * Writing serves the transmitter's interrupt: the line falls, and rises when it is empty
	 * again.
	 */
	serial.transmitter_event = false;
	update_line();
	if (serial.mcr & UART_MCR_LOOP) {
		receive(byte);
		serial.transmitter_event = true;
	} else {
		/*
		 * Full only if the guest ignores that the transmitter is busy: then it loses
		 * bytes.
		 */
		fifo_put(&serial.tx, byte, FIFO_SIZE);
		flush_tx();
	}
}

static uint8_t line_status(void)
{
	uint8_t status = serial.errors;

	serial.errors = 0;
	if (serial.rx.count)
		status |= UART_LSR_DR;
	if (!serial.tx.count)
		status |= UART_LSR_THRE | UART_LSR_TEMT;
	return status;
}

/* In loop-back the modem control outputs are its inputs. */
static uint8_t modem_status(void)
{
	uint8_t status = 0;

	if (!(serial.mcr & UART_MCR_LOOP))
		return UART_MSR_DCD | UART_MSR_DSR | UART_MSR_CTS;
	if (serial.mcr & UART_MCR_RTS)
		status |= UART_MSR_CTS;
	if (serial.mcr & UART_MCR_DTR)
		status |= UART_MSR_DSR;
	if (serial.mcr & UART_MCR_OUT1)
		status |= UART_MSR_RI;
	if (serial.mcr & UART_MCR_OUT2)
		status |= UART_MSR_DCD;
	return status;
}

static uint8_t interrupt_identity(void)
{
	uint8_t value = cause();

	if (value == UART_IIR_THRI)
		serial.transmitter_event = false; /* it is told */
	if (serial.fcr & UART_FCR_ENABLE_FIFO)
		value |= IIR_FIFO_ON;
	return value;
}

static uint8_t received(void)
{
	uint8_t byte;

	if (!serial.rx.count)
		return 0;
	byte = fifo_take(&serial.rx);
	console_input_room();
	return byte;
}

static void write_interrupt_enable(uint8_t value)
{
	bool transmitter_wanted = value & ~serial.ier & UART_IER_THRI;

	serial.ier = value & IER_WRITABLE;
	if (transmitter_wanted && !serial.tx.count)
		serial.transmitter_event = true;
}

static void write_fifo_control(uint8_t value)
{
	bool switched = (value ^ serial.fcr) & UART_FCR_ENABLE_FIFO;

	if (switched || value & UART_FCR_CLEAR_RCVR) {
		serial.rx.count = 0;
		console_input_room();
	}
	if (switched || value & UART_FCR_CLEAR_XMIT) {
		serial.tx.count = 0;
		serial.transmitter_event = true;
	}
	serial.fcr = value & (UART_FCR_ENABLE_FIFO | UART_FCR_TRIGGER_MASK);
}

static uint8_t read_register(unsigned int number)
{
	bool divisor = serial.lcr & UART_LCR_DLAB;

	switch (number) {
	case UART_RX:
		return divisor ? (uint8_t)serial.divisor : received();
	case UART_IER:
		return divisor ? (uint8_t)(serial.divisor >> 8) : serial.ier;
	case UART_IIR:
		return interrupt_identity();
	case UART_LCR:
		return serial.lcr;
	case UART_MCR:
		return serial.mcr;
	case UART_LSR:
		return line_status();
	case UART_MSR:
		return modem_status();
	default:
		return serial.scratch;
	}
}

static void write_register(unsigned int number, uint8_t value)
{
	bool divisor = serial.lcr & UART_LCR_DLAB;

	switch (number) {
	case UART_TX:
		if (divisor)
			serial.divisor = (serial.divisor & 0xff00) | value;
		else
			transmit(value);
		break;
	case UART_IER:
		if (divisor)
			serial.divisor = (uint16_t)((serial.divisor & 0xff) | value << 8);
		else
			write_interrupt_enable(value);
		break;
	case UART_FCR:
		write_fifo_control(value);
		break;
	case UART_LCR:
		serial.lcr = value;
		break;
	case UART_MCR:
		serial.mcr = value & MCR_WRITABLE;
		break;
	case UART_SCR:
		serial.scratch = value;
		break;
	}
}

static void port_read(uint16_t port, void *data, unsigned int size)
{
	memset(data, 0xff, size);
	pthread_mutex_lock(&serial.lock);
	*(uint8_t *)data = read_register(port - SERIAL_PORT);
	update_line();
	pthread_mutex_unlock(&serial.lock);
}

static void port_write(uint16_t port, const void *data, unsigned int size)
{
	pthread_mutex_lock(&serial.lock);
	write_register(port - SERIAL_PORT, *(const uint8_t *)data);
	update_line();
	pthread_mutex_unlock(&serial.lock);
}

bool serial_receive(uint8_t byte)
{
	bool room;

	pthread_mutex_lock(&serial.lock);
	room = serial.rx.count < rx_room();
	if (room)
		receive(byte);
	update_line();
	pthread_mutex_unlock(&serial.lock);
	return room;
}

void serial_receive_break(void)
{
	pthread_mutex_lock(&serial.lock);
	/* A break is received as a zero byte with the error. */
	if (fifo_put(&serial.rx, 0, rx_room()))
		serial.errors |= UART_LSR_BI;
	update_line();
	pthread_mutex_unlock(&serial.lock);
}

void serial_output_room(void)
{
	pthread_mutex_lock(&serial.lock);
	if (serial.tx.count)
		flush_tx();
	update_line();
	pthread_mutex_unlock(&serial.lock);
}

void serial_reset(void)
{
	pthread_mutex_lock(&serial.lock);
	serial.ier = 0;
	serial.lcr = 0;
	serial.mcr = 0;
	serial.fcr = 0;
	serial.scratch = 0;
	serial.errors = 0;
	serial.divisor = DIVISOR_9600;
	serial.transmitter_event = false;
	serial.rx.count = 0;
	serial.tx.count = 0;
	update_line();
	pthread_mutex_unlock(&serial.lock);
	console_input_room();
}

static const struct port_range range = {"COM1", SERIAL_PORT, SERIAL_PORTS, port_read, port_write};

int serial_open(void)
{
	serial_reset();
	return bus_add_ports(&range);
}
