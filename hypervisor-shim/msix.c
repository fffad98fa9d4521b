/* SPDX-License-Identifier: MIT OR GPL-2.0 */
#include "hypervisor-shim/msix.h"

#include <errno.h>
#include <poll.h>
#include <stddef.h>
#include <string.h>
#include <sys/uio.h>
#include <linux/pci_regs.h>

#include "common/log.h"
#include "hypervisor-shim/pci.h"
#include "hypervisor-shim/vm.h"

static struct log_limit unroutable;

bool msix_drain(int fd)
{
	uint64_t count;
	struct iovec to = {&count, sizeof(count)};

	/* A back-end shares the flags of the open file; this one is the call's own. */
	return preadv2(fd, &to, 1, -1, RWF_NOWAIT) == sizeof(count);
}

static bool is_signalled(int fd)
{
	struct pollfd poller = {.fd = fd, .events = POLLIN};

	return poll(&poller, 1, 0) == 1 && (poller.revents & POLLIN);
}

static uint64_t message_address(const struct msix_vector *vector)
{
	return (uint64_t)vector->address_high << 32 | vector->address_low;
}

static bool should_be_open(const struct msix *msix, const struct msix_vector *vector)
{
	return msix->enabled && !msix->function_masked &&
	       !(vector->control & PCI_MSIX_ENTRY_CTRL_MASKBIT);
}

static void send_message(const struct msix *msix, const struct msix_vector *vector)
{
	int result = vm_msi_send(message_address(vector), vector->data);

	if (result < 0)
		log_peer(&unroutable, "%s: no interrupt by message 0x%llx data 0x%x: %s",
			 msix->pci->name, (unsigned long long)message_address(vector), vector->data,
			 strerror(-result));
}

static void detach(struct msix *msix, struct msix_source *source)
{
	if (!source->attached)
		return;
	vm_irqfd(msix->vector[source->vector].gsi, source->fd, false);
	source->attached = false;
}

/* True if an event was waiting. On failure the source stays detached and keeps its events. */
static bool attach(struct msix *msix, struct msix_source *source)
{
	int result;

	if (source->attached)
		return false;
	result = vm_irqfd(msix->vector[source->vector].gsi, source->fd, true);
	if (result < 0) {
		log_peer(&unroutable, "%s: cannot attach an interrupt to vector %u: %s",
			 msix->pci->name, source->vector, strerror(-result));
		return false;
	}
	source->attached = true;
	return msix_drain(source->fd);
}

/*
 * Makes KVM's route say what the table says. Called for open vectors only: a mask, three writes and
 * an unmask are one change.
 */
static int set_route(struct msix *msix, struct msix_vector *vector)
{
	uint64_t address = message_address(vector);
	int result;

	if (vector->gsi < 0)
		return 0;
	if (vector->routed && vector->route_address == address &&
	    vector->route_data == vector->data)
		return 0;
	result = vm_msi_route_set(vector->gsi, address, vector->data);
	vector->routed = result == 0;
	vector->route_address = address;
	vector->route_data = vector->data;
	if (result < 0)
		log_peer(&unroutable, "%s: no route for message 0x%llx data 0x%x: %s",
			 msix->pci->name, (unsigned long long)address, vector->data,
			 strerror(-result));
	return result;
}

static void detach_vector(struct msix *msix, uint16_t index)
{
	struct msix_source *source;

	for (source = msix->vector[index].sources; source; source = source->next)
		detach(msix, source);
}

/* From its vector, so that it has none. */
static void unlink_source(struct msix *msix, struct msix_source *source)
{
	struct msix_source **link;

	detach(msix, source);
	if (source->vector == MSIX_NO_VECTOR)
		return;
	for (link = &msix->vector[source->vector].sources; *link != source;)
		link = &(*link)->next;
	*link = source->next;
	source->vector = MSIX_NO_VECTOR;
}

/* Brings KVM to the state that the table and the capability ask for. */
static void update_vector(struct msix *msix, uint16_t index)
{
	struct msix_vector *vector = &msix->vector[index];
	struct msix_source *source;
	bool send = false;

	vector->open = should_be_open(msix, vector);
	if (!vector->open || set_route(msix, vector) < 0) {
		detach_vector(msix, index);
		return;
	}
	for (source = vector->sources; source; source = source->next)
		if (attach(msix, source))
			send = true;
	if (vector->latched || send)
		send_message(msix, vector);
	vector->latched = false;
}

uint16_t msix_assign(struct msix *msix, struct msix_source *source, uint16_t index)
{
	struct msix_vector *vector;

	if (source->vector == index)
		return index;
	unlink_source(msix, source);
	if (index >= msix->vectors)
		return MSIX_NO_VECTOR;
	vector = &msix->vector[index];
	if (vector->gsi < 0)
		vector->gsi = vm_msi_route_new();
	if (vector->gsi < 0) {
		log_peer(&unroutable, "%s: KVM has no interrupt route left for vector %u: %s",
			 msix->pci->name, index, strerror(-vector->gsi));
		return MSIX_NO_VECTOR;
	}
	source->vector = index;
	source->next = vector->sources;
	vector->sources = source;
	update_vector(msix, index);
	return index;
}

void msix_signal(struct msix *msix, uint16_t index)
{
	if (index >= msix->vectors)
		return;
	if (msix->vector[index].open)
		send_message(msix, &msix->vector[index]);
	else
		msix->vector[index].latched = true;
}

static bool is_pending(const struct msix *msix, uint16_t index)
{
	const struct msix_source *source;

	if (msix->vector[index].latched)
		return true;
	for (source = msix->vector[index].sources; source; source = source->next)
		if (!source->attached && is_signalled(source->fd))
			return true;
	return false;
}

static uint64_t pending_bits(const struct msix *msix, unsigned int first)
{
	uint64_t bits = 0;
	unsigned int i;

	for (i = 0; i < 64 && first + i < msix->vectors; i++)
		if (is_pending(msix, first + i))
			bits |= 1ULL << i;
	return bits;
}

/* Of an offset in the BAR; one below the table wraps to one that is far behind it. */
static uint64_t in_table(const struct msix *msix, uint64_t offset)
{
	return offset - msix->table_offset;
}

/* The four dwords of a table entry; NULL outside the table. */
static uint32_t *table_dword(struct msix *msix, uint64_t offset)
{
	struct msix_vector *vector;

	offset = in_table(msix, offset);
	if (offset >= (uint64_t)msix->vectors * PCI_MSIX_ENTRY_SIZE)
		return NULL;
	vector = &msix->vector[offset / PCI_MSIX_ENTRY_SIZE];
	switch (offset % PCI_MSIX_ENTRY_SIZE & ~3ULL) {
	case PCI_MSIX_ENTRY_LOWER_ADDR:
		return &vector->address_low;
	case PCI_MSIX_ENTRY_UPPER_ADDR:
		return &vector->address_high;
	case PCI_MSIX_ENTRY_DATA:
		return &vector->data;
	default:
		return &vector->control;
	}
}

static uint32_t read_dword(struct msix *msix, uint64_t offset)
{
	const uint32_t *dword = table_dword(msix, offset);
	uint64_t bits;

	if (dword)
		return *dword;
	if (offset < msix->pba_offset || offset >= msix->pba_offset + MSIX_VECTORS_MAX / 8)
		return 0;
	bits = pending_bits(msix, (offset - msix->pba_offset) / 8 * 64);
	return offset & 4 ? bits >> 32 : bits;
}

static void write_dword(struct msix *msix, uint64_t offset, uint32_t value)
{
	uint32_t *dword = table_dword(msix, offset);

	if (!dword)
		return; /* the pending bits are read-only, the rest is nothing */
	offset = in_table(msix, offset);
	switch (offset % PCI_MSIX_ENTRY_SIZE) {
	case PCI_MSIX_ENTRY_LOWER_ADDR:
		value &= ~3U;
		break;
	case PCI_MSIX_ENTRY_VECTOR_CTRL:
		value &= PCI_MSIX_ENTRY_CTRL_MASKBIT;
		break;
	}
	if (*dword == value)
		return;
	*dword = value;
	update_vector(msix, offset / PCI_MSIX_ENTRY_SIZE);
}

/* Dwords and quadwords are what the specification allows; others read as part of a dword. */
void msix_bar_read(struct msix *msix, uint64_t offset, void *data, unsigned int size)
{
	uint32_t dwords[2];

	dwords[0] = read_dword(msix, offset & ~3ULL);
	dwords[1] = size == 8 ? read_dword(msix, offset + 4) : 0;
	memcpy(data, (uint8_t *)dwords + (offset & 3), size);
}

void msix_bar_write(struct msix *msix, uint64_t offset, const void *data, unsigned int size)
{
	uint32_t dword;

	for (; size >= 4; size -= 4, offset += 4) {
		memcpy(&dword, data, sizeof(dword));
		write_dword(msix, offset, dword);
		data = (const uint8_t *)data + 4;
	}
}

bool msix_config_written(struct msix *msix)
{
	uint16_t flags = msix->pci->config[msix->capability + PCI_MSIX_FLAGS] |
			 msix->pci->config[msix->capability + PCI_MSIX_FLAGS + 1] << 8;
	bool enabled = flags & PCI_MSIX_FLAGS_ENABLE;
	bool masked = flags & PCI_MSIX_FLAGS_MASKALL;
	bool switched = enabled != msix->enabled;
	uint16_t i;

	if (!switched && masked == msix->function_masked)
		return false;
	msix->enabled = enabled;
	msix->function_masked = masked;
	for (i = 0; i < msix->vectors; i++)
		update_vector(msix, i);
	return switched;
}

void msix_reset(struct msix *msix)
{
	unsigned int i;

	for (i = 0; i < msix->vectors; i++)
		while (msix->vector[i].sources)
			unlink_source(msix, msix->vector[i].sources);
	msix->enabled = false;
	msix->function_masked = false;
	msix->pci->config[msix->capability + PCI_MSIX_FLAGS + 1] &=
		~((PCI_MSIX_FLAGS_ENABLE | PCI_MSIX_FLAGS_MASKALL) >> 8);
	for (i = 0; i < msix->vectors; i++) {
		struct msix_vector *vector = &msix->vector[i];

		vector->address_low = vector->address_high = vector->data = 0;
		vector->control = PCI_MSIX_ENTRY_CTRL_MASKBIT;
		vector->latched = vector->open = false;
	}
}

void msix_add_source(struct msix *msix, struct msix_source *source, int fd)
{
	source->fd = fd;
	source->vector = MSIX_NO_VECTOR;
	source->attached = false;
}

void msix_init_at(struct msix *msix, struct pci_device *pci, int bar, uint32_t table_offset,
		  uint32_t pba_offset, uint16_t vectors)
{
	uint32_t table = table_offset | (uint32_t)bar, pba = pba_offset | (uint32_t)bar;
	uint16_t i;

	memset(msix, 0, sizeof(*msix));
	msix->pci = pci;
	msix->vectors = vectors;
	msix->table_offset = table_offset;
	msix->pba_offset = pba_offset;
	for (i = 0; i < MSIX_VECTORS_MAX; i++)
		msix->vector[i].gsi = -1;
	msix->capability = pci_add_capability(pci, PCI_CAP_ID_MSIX, PCI_CAP_MSIX_SIZEOF);
	pci->config[msix->capability + PCI_MSIX_FLAGS] = vectors - 1;
	pci->config[msix->capability + PCI_MSIX_FLAGS + 1] = (vectors - 1) >> 8;
	pci->writable[msix->capability + PCI_MSIX_FLAGS + 1] =
		(PCI_MSIX_FLAGS_ENABLE | PCI_MSIX_FLAGS_MASKALL) >> 8;
	memcpy(pci->config + msix->capability + PCI_MSIX_TABLE, &table, sizeof(table));
	memcpy(pci->config + msix->capability + PCI_MSIX_PBA, &pba, sizeof(pba));
	msix_reset(msix);
}

void msix_init(struct msix *msix, struct pci_device *pci, int bar, uint16_t vectors)
{
	pci_declare_bar(pci, bar, MSIX_BAR_SIZE, false, false);
	msix_init_at(msix, pci, bar, 0, MSIX_PBA_OFFSET, vectors);
}

void msix_close(struct msix *msix)
{
	uint16_t i;

	if (!msix->pci)
		return; /* never initialised */
	msix_reset(msix);
	for (i = 0; i < msix->vectors; i++) {
		if (msix->vector[i].gsi >= 0)
			vm_msi_route_free(msix->vector[i].gsi);
		msix->vector[i].gsi = -1;
		msix->vector[i].routed = false;
	}
}
