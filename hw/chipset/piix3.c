/* SPDX-License-Identifier: MIT */
/* The PCI-to-ISA bridge of the PIIX3 (8086:7000): routing of PCI interrupts to ISA ones, and the reset control register.
 * Intel 82371FB/82371SB datasheet (290550-002): 2.2 (configuration), 2.5.4 (reset control).
 * The interrupt controllers, timers, DMA and port 92h that share its silicon are devices of their own here.
 * Not implemented: X-bus chip selects, APIC chip select, SMI sources (storage), MIRQ.
 *
 * Pin p (0..3) of slot s is wired to PIRQ (s + p - 1) mod 4, as on QEMU's pc.
 * Output pins "irq0".."irq15": the ISA interrupts, levels. Only those that a route register may name ever move.
 * Invariants: lines[] holds who drives each PIRQ; `driven` is what the output pins show. */
#include "hw/chipset/pci.h"

enum { PIRQ_ROUTE = 0x60, ROUTE_OFF = 1 << 7, RESET_CPU = 1 << 2, RESET_HARD = 1 << 1 };
#define ISA_LEGAL 0xdef8u /* 3-7, 9-12, 14, 15 */

struct piix3_state {
	struct pci_state pci;
	u32 lines[4]; /* of each PIRQ, one bit per slot */
	u16 driven;
	u8 reset_control;
	u8 pad;
};

struct piix3 {
	struct device device;
	struct piix3_state state;
	struct pci_function function;
	struct region reset;
};

TRACE_EVENT(ev_route, "piix3.route");
TRACE_EVENT(ev_reset, "piix3.reset");

/* ---- PCI interrupts ---- */
static void update(struct piix3 *p)
{
	const u8 *route = p->state.pci.config + PIRQ_ROUTE;
	u16 want = 0, changed;

	for (unsigned i = 0; i < 4; i++)
		if (p->state.lines[i] && !(route[i] & ROUTE_OFF))
			want |= BIT(route[i] & 0xf) & ISA_LEGAL;
	changed = want ^ p->state.driven;
	p->state.driven = want;
	for (unsigned i = 0; i < 16; i++)
		if (changed & BIT(i))
			irq_set(&p->device.out[i], want & BIT(i));
}

static void route_intx(void *opaque, unsigned n, bool level)
{
	struct piix3 *p = opaque;
	unsigned slot = n >> 2 & 31;
	u32 *lines = &p->state.lines[(slot + (n & 3) + 3) & 3];

	*lines = level ? *lines | BIT(slot) : *lines & ~BIT(slot);
	update(p);
}

static void config_written(struct pci_function *f, u8 offset, unsigned size)
{
	struct piix3 *p = container_of(f, struct piix3, function);

	if (offset >= PIRQ_ROUTE + 4 || offset + size <= PIRQ_ROUTE)
		return;
	TRACE(ev_route, "%08x", load32(p->state.pci.config + PIRQ_ROUTE));
	update(p);
}

/* ---- reset control, port cf9h ---- */
static u64 reset_read(void *opaque, u64 offset, unsigned size)
{
	(void)offset, (void)size;
	return ((struct piix3 *)opaque)->state.reset_control;
}

static void reset_write(void *opaque, u64 offset, u64 value, unsigned size)
{
	struct piix3 *p = opaque;
	const struct machine_ops *ops = &p->device.machine->ops;
	bool rises = value & RESET_CPU && !(p->state.reset_control & RESET_CPU);

	(void)offset, (void)size;
	p->state.reset_control = value & (RESET_HARD | RESET_CPU);
	if (!rises)
		return;
	TRACE(ev_reset, "%02x", (unsigned)value);
	if (ops->request)
		ops->request(ops->opaque, MACHINE_RESET, 0);
}
static const struct region_ops reset_ops = {.read = reset_read, .write = reset_write, .max = 1};

/* ---- the device ---- */
static bool piix3_init(struct device *device, struct err *err)
{
	struct piix3 *p = (struct piix3 *)device;

	if (!device->machine->pci)
		return err_set(err, EXIT_BUG, "there is no PCI bus yet");
	p->function = (struct pci_function){.device = device, .state = &p->state.pci, .config_written = config_written};
	pci_ids(&p->function, 0x8086, 0x7000, 0x06010000, 0x1af4, 0x1100, 0);
	p->state.pci.config[0x0e] = 0x80; /* more functions follow */
	memset(p->function.wmask + 0x40, 0xff, 0xc0);
	for (unsigned i = 0; i < 4; i++)
		p->function.wmask[PIRQ_ROUTE + i] = 0x8f;
	if (!pci_add(device->machine->pci, &p->function, 1 << 3, err))
		return false;
	pci_route(device->machine->pci, route_intx, p);
	/* the host bridge has mapped cf8h-cffh before, so this byte comes to lie above */
	p->reset = (struct region){.name = "piix3.reset", .size = 1, .ops = &reset_ops, .opaque = p};
	bus_map_io(device->machine->bus, &p->reset, 0xcf9);
	return true;
}

static void piix3_reset(struct device *device)
{
	struct piix3 *p = (struct piix3 *)device;
	static const struct { u8 at, value; } defaults[] = {
		{0x04, 0x07}, {0x07, 0x02}, {0x4c, 0x4d}, {0x4e, 0x03}, {0x60, 0x80}, {0x61, 0x80}, {0x62, 0x80}, {0x63, 0x80},
		{0x69, 0x02}, {0x70, 0x80}, {0x76, 0x0c}, {0x77, 0x0c}, {0x78, 0x02}, {0xa0, 0x08}, {0xa8, 0x0f},
	};

	pci_reset(&p->function);
	memset(p->state.pci.config + 0x40, 0, 0xc0);
	for (unsigned i = 0; i < ARRAY_LEN(defaults); i++)
		p->state.pci.config[defaults[i].at] = defaults[i].value;
	p->state.reset_control = 0;
	update(p);
}

static void piix3_loaded(struct device *device)
{
	struct piix3 *p = (struct piix3 *)device;

	p->state.reset_control &= RESET_HARD | RESET_CPU;
	for (unsigned i = 0; i < 4; i++)
		p->state.pci.config[PIRQ_ROUTE + i] &= 0x8f;
	pci_loaded(&p->function);
	p->state.driven &= ISA_LEGAL;
	for (unsigned i = 0; i < 16; i++)
		if (ISA_LEGAL & BIT(i))
			irq_set(&p->device.out[i], p->state.driven & BIT(i));
	update(p);
}

static void piix3_destroy(struct device *device)
{
	struct piix3 *p = (struct piix3 *)device;

	if (p->function.bus)
		pci_route(p->function.bus, NULL, NULL);
	pci_remove(&p->function);
	bus_unmap(device->machine->bus, &p->reset);
}

static const struct field piix3_fields[] = {
	FIELD_SUB(struct piix3_state, pci, pci_fields, "PCI function"),
	FIELD_ARRAY(struct piix3_state, lines, "slots that drive PIRQA-D"),
	FIELD(struct piix3_state, driven, "output pins"),
	FIELD(struct piix3_state, reset_control, "port cf9h"),
	FIELD(struct piix3_state, pad, ""),
	FIELD_END,
};
static const char *const piix3_pins[] = {"irq0", "irq1", "irq2", "irq3", "irq4", "irq5", "irq6", "irq7", "irq8", "irq9",
                                         "irq10", "irq11", "irq12", "irq13", "irq14", "irq15", NULL};

DEVICE(piix3) = {
	.name = "piix3",
	.desc = "82371SB PCI-to-ISA bridge",
	.size = sizeof(struct piix3),
	.state_offset = offsetof(struct piix3, state),
	.state_size = sizeof(struct piix3_state),
	.fields = piix3_fields,
	.pins = piix3_pins,
	.init = piix3_init,
	.reset = piix3_reset,
	.loaded = piix3_loaded,
	.destroy = piix3_destroy,
};
