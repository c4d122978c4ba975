/* SPDX-License-Identifier: MIT */
/* The host bridge of the 440FX (82441FX PMC, 8086:1237), which makes the PCI bus: configuration mechanism 1 at ports
 * cf8h-cffh, and what of C0000-FFFFF is RAM. 82441FX datasheet (290549-001): 3.1 (ports), 3.2.18 (PAM), 3.2.23 (SMRAM).
 * Not implemented: the DRAM controller's registers are storage; D_CLS, which shows SMRAM to code fetches only, hides it outside
 * SMM.
 *
 * SMRAM (3.2.20) is switched for the bus as a whole, not for each CPU: while any CPU is in system management mode (input pin 0)
 * the RAM behind the VGA window shows. A switch remaps, which flushes the TLBs of all CPUs.
 *
 * A PAM nibble says for its segment whether reads (bit 0) and writes (bit 1) go to RAM; else they go to what lies below: ROM, or
 * nothing, which MAP_HOLE keeps between them and the RAM that the board has mapped from 0 on. For each segment there is one
 * region per mode, so that a change is one step for other CPUs.
 * Invariant: segment.mode says which of its regions is mapped (none for PAM_OFF). */
#include "hw/chipset/pci.h"
#include "mem/dirty.h"

enum { PAM0 = 0x59, SMRAM = 0x72, SMRAM_OPEN = 1 << 6, SMRAM_CLOSED = 1 << 5, SMRAM_LOCKED = 1 << 4, SMRAM_ENABLE = 1 << 3 };
enum { SEGMENTS = 13, HOLE_START = 0xc0000, HOLE_SIZE = 0x40000, SMRAM_START = 0xa0000, SMRAM_SIZE = 0x20000 };
enum pam_mode { PAM_OFF, PAM_READ, PAM_WRITE, PAM_BOTH, PAM_MODES };

struct i440fx_state {
	struct pci_state pci;
	u32 address; /* port cf8h */
	u8 smram;    /* as it was before a write, for the lock */
	u8 smm;      /* a CPU is in system management mode */
	u8 pad[2];
};

struct i440fx {
	struct device device;
	struct i440fx_state state;
	struct pci_function function;
	struct region ports, hole, smram;
	struct segment {
		struct i440fx *host;
		u64 start;
		enum pam_mode mode;
		struct region region[PAM_MODES];
	} segment[SEGMENTS];
};

TRACE_EVENT(ev_pam, "i440fx.pam");
TRACE_EVENT(ev_partial, "i440fx.partial-address");

/* ---- configuration mechanism 1 ---- */
static u64 ports_read(void *opaque, u64 offset, unsigned size)
{
	struct i440fx *i = opaque;

	if (offset < 4)
		return offset == 0 && size == 4 ? i->state.address : mask_bytes(size);
	if (!(i->state.address & BIT(31)))
		return mask_bytes(size);
	return pci_config_read(i->device.machine->pci, (i->state.address & 0xfffffc) | (offset & 3), size);
}

static void ports_write(void *opaque, u64 offset, u64 value, unsigned size)
{
	struct i440fx *i = opaque;

	if (offset >= 4) {
		if (i->state.address & BIT(31))
			pci_config_write(i->device.machine->pci, (i->state.address & 0xfffffc) | (offset & 3), value, size);
	} else if (offset == 0 && size == 4) {
		i->state.address = value & 0x80fffffc;
	} else {
		TRACE(ev_partial, "port %x size %u", 0xcf8 + (unsigned)offset, size);
	}
}
static const struct region_ops ports_ops = {.read = ports_read, .write = ports_write, .max = 4};

/* ---- shadow RAM ---- */
static u64 nothing_read(void *opaque, u64 offset, unsigned size)
{
	(void)opaque, (void)offset;
	return mask_bytes(size);
}
static const struct region_ops nothing_ops = {.read = nothing_read, .max = 8};

/* Writes that go to RAM under ROM. */
static void under_write(void *opaque, u64 offset, u64 value, unsigned size)
{
	const struct segment *seg = opaque;
	struct machine *m = seg->host->device.machine;
	u64 at = seg->start + offset;
	u8 *hva = m->ram->hva + at, *watch = m->ram->watch + (at >> PAGE_SHIFT);

	(void)size;
	/* tell before and after, as the bus does: a reader of the old byte may put the page under watch in between */
	if (__atomic_load_n(watch, __ATOMIC_SEQ_CST))
		dirty_write(m->bus, hva, watch, 1);
	__atomic_store_n(hva, (u8)value, __ATOMIC_SEQ_CST);
	if (__atomic_load_n(watch, __ATOMIC_SEQ_CST))
		dirty_write(m->bus, hva, watch, 1);
}
static const struct region_ops under_ops = {.read = nothing_read, .write = under_write, .max = 1};

/* Of the regions below shadow RAM, the one to be seen at a segment, if it is ROM and covers it all. */
static const struct region *rom_below(const struct bus *bus, u64 start, u64 size)
{
	const struct region *best = NULL;

	for (const struct region *r = bus->mem.regions; r; r = r->next)
		if (r->priority < MAP_SHADOW && start >= r->start && start - r->start < r->size && (!best || r->priority > best->priority))
			best = r;
	return best && best->ram && best->size - (start - best->start) >= size ? best : NULL;
}

/* The low nibble of PAM0 is reserved; then each register has two segments, the lower one in the low nibble. */
static enum pam_mode segment_mode(const struct i440fx *i, unsigned n)
{
	const u8 *pam = i->state.pci.config + PAM0;

	return (n == 0 ? pam[0] >> 4 : pam[(n + 1) / 2] >> (n & 1 ? 0 : 4)) & 3;
}

static void set_segment(struct segment *seg, enum pam_mode mode)
{
	struct bus *bus = seg->host->device.machine->bus;

	if (seg->mode == mode)
		return;
	TRACE(ev_pam, "%llx mode %u", (unsigned long long)seg->start, mode);
	if (mode == PAM_WRITE) {
		struct region *r = &seg->region[PAM_WRITE];
		const struct region *rom = rom_below(bus, seg->start, r->size);

		r->ram = rom ? rom->ram : NULL;
		r->ram_offset = rom ? rom->ram_offset + (seg->start - rom->start) : 0;
	}
	bus_begin(bus);
	if (seg->mode != PAM_OFF)
		bus_unmap(bus, &seg->region[seg->mode]);
	if (mode != PAM_OFF)
		bus_map(bus, &seg->region[mode], seg->start, MAP_SHADOW);
	bus_end(bus);
	seg->mode = mode;
}

static void update_memory(struct i440fx *i)
{
	struct bus *bus = i->device.machine->bus;
	u8 smram = i->state.pci.config[SMRAM];
	bool open = smram & SMRAM_ENABLE && (i->state.smm || (smram & (SMRAM_OPEN | SMRAM_CLOSED)) == SMRAM_OPEN);

	if (!i->smram.size)
		return;
	bus_begin(bus);
	for (unsigned n = 0; n < SEGMENTS; n++)
		set_segment(&i->segment[n], segment_mode(i, n));
	if (open && !i->smram.mapped)
		bus_map(bus, &i->smram, SMRAM_START, MAP_SHADOW);
	else if (!open && i->smram.mapped)
		bus_unmap(bus, &i->smram);
	bus_end(bus);
}

static void config_written(struct pci_function *f, u8 offset, unsigned size)
{
	struct i440fx *i = container_of(f, struct i440fx, function);
	u8 *smram = &i->state.pci.config[SMRAM];

	(void)offset, (void)size;
	if (i->state.smram & SMRAM_LOCKED)
		*smram = i->state.smram;
	else if (*smram & SMRAM_LOCKED)
		*smram &= ~SMRAM_OPEN;
	i->state.smram = *smram;
	update_memory(i);
}

/* ---- the device ---- */
static void make_segments(struct i440fx *i)
{
	struct ram *ram = i->device.machine->ram;

	if (!ram || ram->size < HOLE_START + HOLE_SIZE)
		return;
	for (unsigned n = 0; n < SEGMENTS; n++) {
		struct segment *seg = &i->segment[n];
		struct region base = {.size = n ? 0x4000 : 0x10000, .opaque = seg};

		seg->host = i;
		seg->start = n ? HOLE_START + (n - 1) * 0x4000u : 0xf0000;
		for (unsigned m = PAM_READ; m < PAM_MODES; m++)
			seg->region[m] = base;
		seg->region[PAM_READ].name = "pam.read";
		seg->region[PAM_WRITE].name = "pam.write";
		seg->region[PAM_BOTH].name = "pam.ram";
		seg->region[PAM_READ].ram = seg->region[PAM_BOTH].ram = ram;
		seg->region[PAM_READ].ram_offset = seg->region[PAM_BOTH].ram_offset = seg->start;
		seg->region[PAM_READ].readonly = seg->region[PAM_WRITE].readonly = true;
		seg->region[PAM_WRITE].ops = &under_ops;
	}
	i->smram = (struct region){.name = "smram", .size = SMRAM_SIZE, .ram = ram, .ram_offset = SMRAM_START};
}

static bool i440fx_init(struct device *device, struct err *err)
{
	struct i440fx *i = (struct i440fx *)device;
	struct machine *m = device->machine;

	m->pci = pci_new(m);
	i->function = (struct pci_function){.device = device, .state = &i->state.pci, .config_written = config_written};
	pci_ids(&i->function, 0x8086, 0x1237, 0x06000002, 0x1af4, 0x1100, 0);
	memset(i->function.wmask + 0x40, 0xff, 0xc0);
	i->function.wmask[SMRAM] = 0x78;
	if (!pci_add(m->pci, &i->function, 0, err)) {
		pci_free(m->pci);
		m->pci = NULL;
		return false;
	}
	make_segments(i);
	i->hole = (struct region){.name = "pci.hole", .size = HOLE_SIZE, .ops = &nothing_ops, .opaque = i};
	bus_map(m->bus, &i->hole, HOLE_START, MAP_HOLE);
	i->ports = (struct region){.name = "pci.config", .size = 8, .ops = &ports_ops, .opaque = i};
	bus_map_io(m->bus, &i->ports, 0xcf8);
	return true;
}

static void i440fx_reset(struct device *device)
{
	struct i440fx *i = (struct i440fx *)device;
	u8 *config = i->state.pci.config;

	pci_reset(&i->function);
	i->state.address = 0;
	memset(config + 0x40, 0, 0xc0);
	store16(config + 0x04, 0x0006);
	store16(config + 0x06, 0x0280);
	config[SMRAM] = i->state.smram = 0x02;
	i->state.smm = false; /* the CPUs have left it by the same reset, without a word */
	update_memory(i);
}

static void i440fx_input(struct device *device, unsigned n, bool level)
{
	struct i440fx *i = (struct i440fx *)device;

	if (n || i->state.smm == level)
		return;
	i->state.smm = level;
	update_memory(i);
}

static void i440fx_loaded(struct device *device)
{
	struct i440fx *i = (struct i440fx *)device;

	i->state.address &= 0x80fffffc;
	i->state.pci.config[SMRAM] = (i->state.pci.config[SMRAM] & 0x78) | 0x02;
	i->state.smram = i->state.pci.config[SMRAM];
	i->state.smm = i->state.smm != 0;
	pci_loaded(&i->function);
	update_memory(i);
}

static void i440fx_destroy(struct device *device)
{
	struct i440fx *i = (struct i440fx *)device;
	struct bus *bus = device->machine->bus;

	for (unsigned n = 0; n < SEGMENTS && i->smram.size; n++)
		set_segment(&i->segment[n], PAM_OFF);
	bus_unmap(bus, &i->smram);
	bus_unmap(bus, &i->hole);
	bus_unmap(bus, &i->ports);
	pci_free(device->machine->pci);
	device->machine->pci = NULL;
}

static const struct field i440fx_fields[] = {
	FIELD_SUB(struct i440fx_state, pci, pci_fields, "PCI function"),
	FIELD(struct i440fx_state, address, "port cf8h"),
	FIELD(struct i440fx_state, smram, "SMRAM register, kept for its lock"),
	FIELD(struct i440fx_state, smm, "a CPU is in system management mode"),
	FIELD_ARRAY(struct i440fx_state, pad, ""),
	FIELD_END,
};

DEVICE(i440fx) = {
	.name = "i440fx",
	.desc = "82441FX host bridge and PCI bus",
	.size = sizeof(struct i440fx),
	.state_offset = offsetof(struct i440fx, state),
	.state_size = sizeof(struct i440fx_state),
	.fields = i440fx_fields,
	.init = i440fx_init,
	.reset = i440fx_reset,
	.input = i440fx_input,
	.loaded = i440fx_loaded,
	.destroy = i440fx_destroy,
};
