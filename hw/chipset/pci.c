/* SPDX-License-Identifier: MIT */
/* The PCI bus: configuration space, base address registers, INTx. PCI Local Bus Specification 3.0, ch. 6.
 * Not implemented: other buses than 0 (bridges), BIST, capabilities (their owner lays them out in config[]).
 *
 * A BAR is mapped while its enable bit of the command register is set and its address makes sense. Address 0 does not, nor one
 * that ends at the top of its space: that is where a BAR lies while its size is being asked for.
 * Invariants: config[] is the truth; regions, and INTx as the chipset sees it, follow it. */
#include "hw/chipset/pci.h"

#include <stdlib.h>

enum config {
	VENDOR = 0x00, DEVICE_ID = 0x02, COMMAND = 0x04, STATUS = 0x06, REVISION = 0x08, CACHE_LINE = 0x0c, LATENCY = 0x0d, BAR = 0x10,
	SUBVENDOR = 0x2c, SUBDEVICE = 0x2e, ROM = 0x30, INTERRUPT_LINE = 0x3c, INTERRUPT_PIN = 0x3d
};
enum command {
	COMMAND_IO = 1 << 0, COMMAND_MEMORY = 1 << 1, COMMAND_MASTER = 1 << 2, COMMAND_INTX_OFF = 1 << 10,
	COMMAND_WRITABLE = 0x0547,
	STATUS_INTX = 1 << 3, /* low byte */
	STATUS_W1C_HIGH = 0xf9,
};

struct pci_bus {
	struct machine *machine;
	struct pci_function *functions; /* by devfn */
	void (*route)(void *opaque, unsigned n, bool level);
	void *route_opaque;
};

TRACE_EVENT(ev_read, "pci.read");
TRACE_EVENT(ev_write, "pci.write");
TRACE_EVENT(ev_map, "pci.map");
TRACE_EVENT(ev_no_master, "pci.no-master");

const struct field pci_fields[] = {
	FIELD_ARRAY(struct pci_state, config, "configuration space"),
	FIELD_END,
};

/* ---- the bus ---- */
struct pci_bus *pci_new(struct machine *machine)
{
	struct pci_bus *bus = err_alloc(sizeof *bus);

	bus->machine = machine;
	return bus;
}

void pci_free(struct pci_bus *bus)
{
	while (bus->functions)
		pci_remove(bus->functions);
	free(bus);
}

void pci_route(struct pci_bus *bus, void (*set)(void *opaque, unsigned n, bool level), void *opaque)
{
	bus->route = set;
	bus->route_opaque = opaque;
}

struct pci_function *pci_first(struct pci_bus *bus)
{
	return bus->functions;
}

static struct pci_function *find(const struct pci_bus *bus, unsigned devfn)
{
	struct pci_function *f = bus->functions;

	while (f && f->devfn != devfn)
		f = f->next;
	return f;
}

/* ---- base address registers ---- */
static unsigned bar_offset(unsigned n)
{
	return n == 6 ? ROM : BAR + n * 4;
}

/* Where a BAR wants to be; false while it is not decoded. */
static bool bar_address(const struct pci_function *f, unsigned n, u64 *address)
{
	const struct pci_bar *bar = &f->bar[n];
	const u8 *config = f->state->config;
	u16 command = load16(config + COMMAND);
	u64 value = load32(config + bar_offset(n)), last, limit = bar->io ? 0xffff : bar->wide ? BIT(52) - 1 : 0xffffffff;

	if (!(command & (bar->io ? COMMAND_IO : COMMAND_MEMORY)) || (n == 6 && !(value & 1)))
		return false;
	if (bar->wide)
		value |= (u64)load32(config + bar_offset(n) + 4) << 32;
	*address = value & ~(bar->region.size - 1);
	last = *address + bar->region.size - 1;
	return *address && last > *address && last < limit;
}

static void remap(struct pci_function *f)
{
	struct bus *bus = f->bus->machine->bus;

	bus_begin(bus);
	for (unsigned n = 0; n < PCI_BARS; n++) {
		struct region *r = &f->bar[n].region;
		u64 address;

		if (!r->size)
			continue;
		if (!bar_address(f, n, &address)) {
			if (r->mapped)
				bus_unmap(bus, r);
		} else if (!r->mapped || r->start != address) {
			TRACE(ev_map, "%s bar %u at %llx", f->device->id, n, (unsigned long long)address);
			if (f->bar[n].io)
				bus_map_io(bus, r, address);
			else
				bus_map(bus, r, address, MAP_PCI);
		}
	}
	bus_end(bus);
}

/* Which bits of the BARs can be written, and the fixed ones below them. */
static void lay_out_bars(struct pci_function *f)
{
	for (unsigned n = 0; n < PCI_BARS; n++) {
		const struct pci_bar *bar = &f->bar[n];
		unsigned at = bar_offset(n);
		u8 *low = &f->state->config[at];
		u64 mask = ~(bar->region.size - 1);

		if (!bar->region.size)
			continue;
		if (n == 6)
			mask |= 1;
		store32(f->wmask + at, mask);
		*low &= mask;
		if (n != 6)
			*low |= bar->io ? 1 : (bar->prefetch ? 8 : 0) | (bar->wide ? 4 : 0);
		if (bar->wide)
			store32(f->wmask + at + 4, mask >> 32);
	}
}

/* ---- functions ---- */
void pci_ids(struct pci_function *f, u16 vendor, u16 device, u32 class_rev, u16 subvendor, u16 subdevice, u8 interrupt_pin)
{
	u8 *config = f->state->config;

	store16(config + VENDOR, vendor);
	store16(config + DEVICE_ID, device);
	store32(config + REVISION, class_rev);
	store16(config + SUBVENDOR, subvendor);
	store16(config + SUBDEVICE, subdevice);
	config[INTERRUPT_PIN] = interrupt_pin;
}

bool pci_add(struct pci_bus *bus, struct pci_function *f, int devfn, struct err *err)
{
	struct pci_function **at = &bus->functions;

	for (int slot = 0; devfn < 0 && slot < 32; slot++)
		if (!find(bus, slot << 3))
			devfn = slot << 3;
	if (devfn < 0 || devfn > 255)
		return err_set(err, EXIT_USAGE, "no PCI slot is free");
	if (find(bus, devfn))
		return err_set(err, EXIT_USAGE, "PCI slot %x.%x is taken by %s", devfn >> 3, devfn & 7, find(bus, devfn)->device->id);
	f->bus = bus;
	f->devfn = devfn;
	f->intx = false;
	store16(f->wmask + COMMAND, COMMAND_WRITABLE);
	f->w1cmask[STATUS + 1] = STATUS_W1C_HIGH;
	f->wmask[CACHE_LINE] = f->wmask[LATENCY] = f->wmask[INTERRUPT_LINE] = 0xff;
	lay_out_bars(f);
	while (*at && (*at)->devfn < devfn)
		at = &(*at)->next;
	f->next = *at;
	*at = f;
	return true;
}

void pci_remove(struct pci_function *f)
{
	struct pci_bus *bus = f->bus;

	if (!bus)
		return; /* the bus went first */
	pci_irq(f, false);
	for (unsigned n = 0; n < PCI_BARS; n++)
		if (f->bar[n].region.mapped)
			bus_unmap(bus->machine->bus, &f->bar[n].region);
	for (struct pci_function **at = &bus->functions; *at; at = &(*at)->next)
		if (*at == f) {
			*at = f->next;
			break;
		}
	f->bus = NULL;
}

/* ---- interrupts ---- */
static bool asserts(const struct pci_function *f)
{
	return f->intx && !(load16(f->state->config + COMMAND) & COMMAND_INTX_OFF);
}

/* The functions of a slot share its pins. */
static void drive(struct pci_function *f)
{
	unsigned pin = f->state->config[INTERRUPT_PIN];
	bool level = false;

	if (!pin || pin > 4 || !f->bus->route)
		return;
	for (const struct pci_function *g = f->bus->functions; g; g = g->next)
		if (g->devfn >> 3 == f->devfn >> 3 && g->state->config[INTERRUPT_PIN] == pin)
			level |= asserts(g);
	f->bus->route(f->bus->route_opaque, (f->devfn >> 3) << 2 | (pin - 1), level);
}

void pci_irq(struct pci_function *f, bool level)
{
	u8 *status = &f->state->config[STATUS];

	if (!f->bus)
		return;
	f->intx = level;
	*status = level ? *status | STATUS_INTX : *status & ~STATUS_INTX;
	drive(f);
}

/* ---- reset and load ---- */
void pci_reset(struct pci_function *f)
{
	u8 *config = f->state->config;

	for (unsigned i = 0; i < sizeof f->state->config; i++) {
		bool bar = (i >= BAR && i < BAR + 6 * 4) || (i >= ROM && i < ROM + 4);

		if (bar || i == COMMAND || i == COMMAND + 1 || i == INTERRUPT_LINE || i == CACHE_LINE || i == LATENCY)
			config[i] &= ~f->wmask[i];
		config[i] &= ~f->w1cmask[i];
	}
	remap(f);
	pci_irq(f, false);
}

void pci_loaded(struct pci_function *f)
{
	lay_out_bars(f);
	f->intx = f->state->config[STATUS] & STATUS_INTX;
	remap(f);
	drive(f);
}

/* ---- configuration access ---- */
static struct pci_function *target(struct pci_bus *bus, u32 addr)
{
	return addr >> 16 & 0xff ? NULL : find(bus, addr >> 8 & 0xff);
}

u32 pci_config_read(struct pci_bus *bus, u32 addr, unsigned size)
{
	const struct pci_function *f = target(bus, addr);
	u32 value = 0;

	if (!f || (addr & 0xff) + size > sizeof f->state->config)
		return mask_bytes(size);
	for (unsigned i = 0; i < size; i++)
		value |= (u32)f->state->config[(addr & 0xff) + i] << (8 * i);
	TRACE(ev_read, "%s %02x size %u value %x", f->device->id, addr & 0xff, size, value);
	return value;
}

void pci_config_write(struct pci_bus *bus, u32 addr, u32 value, unsigned size)
{
	struct pci_function *f = target(bus, addr);
	unsigned at = addr & 0xff, end = at + size;

	if (!f || end > sizeof f->state->config)
		return;
	TRACE(ev_write, "%s %02x size %u value %x", f->device->id, at, size, value);
	for (unsigned i = 0; i < size; i++) {
		u8 *byte = &f->state->config[at + i], v = value >> (8 * i);

		*byte = ((*byte & ~f->wmask[at + i]) | (v & f->wmask[at + i])) & ~(v & f->w1cmask[at + i]);
	}
	if (at < STATUS && end > COMMAND) {
		remap(f);
		drive(f);
	} else if (at < INTERRUPT_LINE && end > BAR) {
		remap(f);
	}
	if (f->config_written)
		f->config_written(f, at, size);
}

/* ---- bus mastering ---- */
static bool masters(const struct pci_function *f)
{
	if (f->bus && load16(f->state->config + COMMAND) & COMMAND_MASTER)
		return true;
	TRACE(ev_no_master, "%s", f->device->id);
	return false;
}

bool pci_dma_read(struct pci_function *f, u64 gpa, void *buf, u64 len)
{
	if (masters(f))
		return bus_dma_read(f->bus->machine->bus, gpa, buf, len);
	memset(buf, 0xff, len);
	return false;
}

bool pci_dma_write(struct pci_function *f, u64 gpa, const void *buf, u64 len)
{
	return masters(f) && bus_dma_write(f->bus->machine->bus, gpa, buf, len);
}

bool pci_dma_map(struct pci_function *f, u64 gpa, u64 len, bool write, struct bus_piece *piece)
{
	return masters(f) && bus_dma_map(f->bus->machine->bus, gpa, len, write, piece);
}
