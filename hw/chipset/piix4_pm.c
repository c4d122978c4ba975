/* SPDX-License-Identifier: MIT */
/* Power management of the PIIX4 (8086:7113, function 3 of the south bridge): ACPI registers, SMI command port, SMBus host
 * controller. Intel 82371AB (PIIX4) datasheet (290562-001), ch. 7; ACPI specification 6.4, 4.8.3. The general-purpose event
 * block is that of QEMU's pc: four bytes at afe0h.
 * Not implemented: device activity monitors, clock throttling, GPI and GPO (read 0); system management interrupts other than
 * the command port's; nothing answers on the SMBus, so every transaction ends with a device error.
 * GLBCTL is storage; its SMI_EN is taken as set, because SeaBIOS, waking up, needs an SMI before it has mapped the register.
 *
 * SLP_TYP: 0 power off, 1 suspend to RAM, 2 suspend to disk (which is power off here).
 * Input pin 0: power button, pressed when high; every "high" is one press. Input pin 1: the machine wakes up from suspend, by that
 * button. Output pins "sci" (a level, IRQ 9) and "smi" (pulses).
 * Invariant: the timer is armed only while the overflow of the PM timer would be a new interrupt. */
#include "hw/chipset/pci.h"

#define PM_TIMER_HZ 3579545u
#define GPE_BASE 0xafe0
#define APM_BASE 0xb2
#define SMBUS_DEFAULT 0xb100

enum config { PM_BASE = 0x40, DEVACTB_HIGH = 0x5b, PM_ENABLE = 0x80, SMBUS_BASE = 0x90, SMBUS_CONFIG = 0xd2 };
enum { DEVACTB_APMC_SMI = 1 << 1 }; /* bit 25 */
enum pm1 {
	PM1_TMR = 1 << 0, PM1_GBL = 1 << 5, PM1_PWRBTN = 1 << 8, PM1_RTC = 1 << 10, PM1_WAKE = 1 << 15,
	PM1_STATUS = PM1_TMR | 1 << 4 | PM1_GBL | PM1_PWRBTN | PM1_RTC | PM1_WAKE,
	PM1_ENABLE = PM1_TMR | PM1_GBL | PM1_PWRBTN | PM1_RTC,
	CNT_SCI = 1 << 0, CNT_SLP_EN = 1 << 13, CNT_WRITABLE = 0x1c07,
};
enum { ACPI_ENABLE = 0xf1, ACPI_DISABLE = 0xf0 };
enum smbus {
	HST_STATUS, SLV_STATUS, HST_CONTROL, HST_COMMAND, HST_ADDRESS, HST_DATA0, HST_DATA1, HST_BLOCK, SLV_CONTROL, SMBUS_REGS = 16,
	HST_DEVICE_ERROR = 1 << 2, HST_FAILED = 1 << 4, CONTROL_KILL = 1 << 1, CONTROL_START = 1 << 6
};

struct pm_state {
	struct pci_state pci;
	u64 seen_half; /* half turns of the PM timer that are in PM1_STS */
	u16 status, enable, control;
	u16 gpe[2];    /* status, enable */
	u8 apm[2];     /* command, status */
	u8 smbus[SMBUS_REGS];
	u32 global;    /* GLBCTL */
};

struct pm {
	struct device device;
	bool wide, no_smm; /* options */
	struct pm_state state;
	struct pci_function function;
	struct region acpi, gpe, apm, smbus;
	struct timer timer;
};

TRACE_EVENT(ev_control, "pm.control");
TRACE_EVENT(ev_apm, "pm.apm");
TRACE_EVENT(ev_sci, "pm.sci");
TRACE_EVENT(ev_smbus, "pm.smbus");

/* ---- the PM timer ---- */
static u64 ticks(struct pm *pm)
{
	return clock_ticks(clock_now(pm->timer.clock), PM_TIMER_HZ);
}

static unsigned half_bits(const struct pm *pm)
{
	return pm->wide ? 31 : 23;
}

static void collect(struct pm *pm)
{
	u64 half = ticks(pm) >> half_bits(pm);

	if (half != pm->state.seen_half)
		pm->state.status |= PM1_TMR;
	pm->state.seen_half = half;
}

/* ---- the SCI ---- */
static void update(struct pm *pm)
{
	const struct pm_state *s = &pm->state;
	bool sci = s->control & CNT_SCI && (s->status & s->enable & PM1_ENABLE || s->gpe[0] & s->gpe[1]);
	u64 deadline = CLOCK_NEVER;

	TRACE(ev_sci, "%u status %04x enable %04x gpe %04x %04x", sci, s->status, s->enable, s->gpe[0], s->gpe[1]);
	irq_set(&pm->device.out[0], sci);
	if (s->control & CNT_SCI && s->enable & PM1_TMR && !(s->status & PM1_TMR))
		deadline = (((u128)(s->seen_half + 1) << half_bits(pm)) * NS_PER_S + PM_TIMER_HZ - 1) / PM_TIMER_HZ;
	timer_arm(&pm->timer, deadline);
}

static void overflowed(void *opaque)
{
	collect(opaque);
	update(opaque);
}

static void pm_input(struct device *device, unsigned n, bool level)
{
	struct pm *pm = (struct pm *)device;

	if (n > 1 || !level)
		return;
	pm->state.status |= PM1_PWRBTN | (n ? PM1_WAKE : 0);
	collect(pm);
	update(pm);
}

static void request(struct pm *pm, enum machine_request what)
{
	const struct machine_ops *ops = &pm->device.machine->ops;

	if (ops->request)
		ops->request(ops->opaque, what, 0);
}

static void sleep_now(struct pm *pm)
{
	switch (pm->state.control >> 10 & 7) {
	case 0:
	case 2:
		request(pm, MACHINE_POWER_OFF);
		break;
	case 1:
		request(pm, MACHINE_SUSPEND);
		break;
	}
}

/* ---- the ACPI register block; any part of it in any width ---- */
static u64 acpi_read(void *opaque, u64 offset, unsigned size)
{
	struct pm *pm = opaque;
	struct pm_state *s = &pm->state;
	u64 value;

	collect(pm);
	switch (offset & ~3ull) {
	case 0x00:
		value = s->status | (u32)s->enable << 16;
		break;
	case 0x04:
		value = s->control;
		break;
	case 0x28:
		value = s->global;
		break;
	case 0x08:
		value = ticks(pm) & (pm->wide ? 0xffffffff : 0xffffff);
		break;
	default:
		value = 0;
		break;
	}
	return value >> (offset & 3) * 8 & mask_bytes(size);
}

static void acpi_write(void *opaque, u64 offset, u64 v, unsigned size)
{
	struct pm *pm = opaque;
	struct pm_state *s = &pm->state;
	unsigned shift = (offset & 3) * 8;
	u32 value = v << shift, mask = mask_bytes(size) << shift;

	collect(pm);
	switch (offset & ~3ull) {
	case 0x00:
		s->status &= ~(value & mask & PM1_STATUS);
		if (mask >> 16)
			s->enable = ((s->enable & ~(mask >> 16)) | ((value & mask) >> 16)) & PM1_ENABLE;
		break;
	case 0x04:
		TRACE(ev_control, "%04x mask %04x", value, mask);
		s->control = ((s->control & ~mask) | (value & mask)) & CNT_WRITABLE;
		if (value & mask & CNT_SLP_EN)
			sleep_now(pm);
		break;
	case 0x28:
		s->global = (s->global & ~mask) | (value & mask);
		break;
	}
	update(pm);
}
static const struct region_ops acpi_ops = {.read = acpi_read, .write = acpi_write, .max = 4};

/* ---- general-purpose events: two bytes of status, two of enable ---- */
static u64 gpe_read(void *opaque, u64 offset, unsigned size)
{
	const struct pm_state *s = &((struct pm *)opaque)->state;

	(void)size;
	return s->gpe[offset >> 1 & 1] >> (offset & 1) * 8;
}

static void gpe_write(void *opaque, u64 offset, u64 value, unsigned size)
{
	struct pm *pm = opaque;
	u16 *gpe = pm->state.gpe;
	unsigned shift = (offset & 1) * 8;

	(void)size;
	if (offset < 2)
		gpe[0] &= ~(value << shift);
	else
		gpe[1] = (gpe[1] & ~(0xff << shift)) | value << shift;
	collect(pm);
	update(pm);
}
static const struct region_ops gpe_ops = {.read = gpe_read, .write = gpe_write, .max = 1};

/* ---- the SMI command port, by which an OS takes over from a BIOS that we do not need to ask ---- */
static u64 apm_read(void *opaque, u64 offset, unsigned size)
{
	(void)size;
	return ((struct pm *)opaque)->state.apm[offset & 1];
}

static void apm_write(void *opaque, u64 offset, u64 value, unsigned size)
{
	struct pm *pm = opaque;
	struct pm_state *s = &pm->state;

	(void)size;
	s->apm[offset & 1] = value;
	if (offset)
		return;
	TRACE(ev_apm, "%02x", (unsigned)value);
	if (value == ACPI_ENABLE)
		s->control |= CNT_SCI;
	else if (value == ACPI_DISABLE)
		s->control &= ~CNT_SCI;
	collect(pm);
	update(pm);
	if (s->pci.config[DEVACTB_HIGH] & DEVACTB_APMC_SMI && !pm->no_smm) {
		irq_set(&pm->device.out[1], true);
		irq_set(&pm->device.out[1], false);
	}
}
static const struct region_ops apm_ops = {.read = apm_read, .write = apm_write, .max = 1};

/* ---- SMBus: an idle host controller on an empty bus ---- */
static u64 smbus_read(void *opaque, u64 offset, unsigned size)
{
	(void)size;
	return ((struct pm *)opaque)->state.smbus[offset % SMBUS_REGS];
}

static void smbus_write(void *opaque, u64 offset, u64 value, unsigned size)
{
	struct pm *pm = opaque;
	u8 *regs = pm->state.smbus;

	(void)size;
	switch (offset) {
	case HST_STATUS:
	case SLV_STATUS:
		regs[offset] &= ~value;
		break;
	case HST_CONTROL:
		regs[offset] = value & ~(CONTROL_START | CONTROL_KILL);
		if (value & CONTROL_KILL)
			regs[HST_STATUS] |= HST_FAILED;
		else if (value & CONTROL_START)
			regs[HST_STATUS] |= HST_DEVICE_ERROR;
		if (value & CONTROL_START)
			TRACE(ev_smbus, "address %02x command %02x", regs[HST_ADDRESS], regs[HST_COMMAND]);
		break;
	default:
		if (offset < SMBUS_REGS)
			regs[offset] = value;
		break;
	}
}
static const struct region_ops smbus_ops = {.read = smbus_read, .write = smbus_write, .max = 1};

/* ---- where the blocks lie ---- */
static void place(struct pm *pm, struct region *region, bool enabled, u16 at)
{
	struct bus *bus = pm->device.machine->bus;

	if (!enabled || !at) {
		if (region->mapped)
			bus_unmap(bus, region);
	} else if (!region->mapped || region->start != at) {
		bus_map_io(bus, region, at);
	}
}

static void remap(struct pm *pm)
{
	const u8 *config = pm->state.pci.config;

	place(pm, &pm->acpi, config[PM_ENABLE] & 1, load16(config + PM_BASE) & 0xffc0);
	place(pm, &pm->smbus, config[SMBUS_CONFIG] & 1, load16(config + SMBUS_BASE) & 0xfff0);
}

static void config_written(struct pci_function *f, u8 offset, unsigned size)
{
	(void)offset, (void)size;
	remap(container_of(f, struct pm, function));
}

/* ---- the device ---- */
static void add_region(struct pm *pm, struct region *region, const char *name, u64 size, const struct region_ops *ops)
{
	*region = (struct region){.name = name, .size = size, .ops = ops, .opaque = pm};
}

static bool pm_init(struct device *device, struct err *err)
{
	struct pm *pm = (struct pm *)device;

	if (!device->machine->pci)
		return err_set(err, EXIT_BUG, "there is no PCI bus yet");
	pm->function = (struct pci_function){.device = device, .state = &pm->state.pci, .config_written = config_written};
	pci_ids(&pm->function, 0x8086, 0x7113, 0x06800003, 0x1af4, 0x1100, 1);
	memset(pm->function.wmask + 0x40, 0xff, 0xc0);
	store32(pm->function.wmask + PM_BASE, 0xffc0);
	store32(pm->function.wmask + SMBUS_BASE, 0xfff0);
	if (!pci_add(device->machine->pci, &pm->function, 1 << 3 | 3, err))
		return false;
	timer_init(&pm->timer, device->machine->clock, overflowed, pm);
	add_region(pm, &pm->acpi, "pm.acpi", 64, &acpi_ops);
	add_region(pm, &pm->gpe, "pm.gpe", 4, &gpe_ops);
	add_region(pm, &pm->apm, "pm.apm", 2, &apm_ops);
	add_region(pm, &pm->smbus, "pm.smbus", SMBUS_REGS, &smbus_ops);
	bus_map_io(device->machine->bus, &pm->gpe, GPE_BASE);
	bus_map_io(device->machine->bus, &pm->apm, APM_BASE);
	return true;
}

static void pm_reset(struct device *device)
{
	struct pm *pm = (struct pm *)device;
	struct pm_state *s = &pm->state;

	pci_reset(&pm->function);
	memset(s->pci.config + 0x40, 0, 0xc0);
	store16(s->pci.config + 0x06, 0x0280);
	s->pci.config[PM_BASE] = 1;
	/* firmware that finds this set believes that its handler is there already */
	s->pci.config[DEVACTB_HIGH] = pm->no_smm ? DEVACTB_APMC_SMI : 0;
	store16(s->pci.config + SMBUS_BASE, SMBUS_DEFAULT | 1);
	s->pci.config[SMBUS_CONFIG] = 9;
	s->status = s->enable = s->control = 0;
	s->global = 0;
	memset(s->gpe, 0, sizeof s->gpe);
	memset(s->apm, 0, sizeof s->apm);
	memset(s->smbus, 0, sizeof s->smbus);
	s->seen_half = ticks(pm) >> half_bits(pm);
	remap(pm);
	update(pm);
}

static void pm_loaded(struct device *device)
{
	struct pm *pm = (struct pm *)device;
	struct pm_state *s = &pm->state;

	s->status &= PM1_STATUS;
	s->enable &= PM1_ENABLE;
	s->control &= CNT_WRITABLE;
	pci_loaded(&pm->function);
	remap(pm);
	update(pm);
}

static void pm_destroy(struct device *device)
{
	struct pm *pm = (struct pm *)device;
	struct bus *bus = device->machine->bus;

	timer_cancel(&pm->timer);
	pci_remove(&pm->function);
	bus_unmap(bus, &pm->acpi);
	bus_unmap(bus, &pm->gpe);
	bus_unmap(bus, &pm->apm);
	bus_unmap(bus, &pm->smbus);
}

static const struct field pm_fields[] = {
	FIELD_SUB(struct pm_state, pci, pci_fields, "PCI function"),
	FIELD(struct pm_state, seen_half, "half turns of the PM timer seen"),
	FIELD(struct pm_state, status, "PM1_STS"),
	FIELD(struct pm_state, enable, "PM1_EN"),
	FIELD(struct pm_state, control, "PM1_CNT"),
	FIELD_ARRAY(struct pm_state, gpe, "GPE0 status and enable"),
	FIELD_ARRAY(struct pm_state, apm, "APM command and status"),
	FIELD_ARRAY(struct pm_state, smbus, "SMBus registers"),
	FIELD(struct pm_state, global, "GLBCTL"),
	FIELD_END,
};
static const struct option_key pm_options[] = {
	{"timer32", OPTION_BOOL, offsetof(struct pm, wide), 0, 0, "the PM timer has 32 bits instead of 24"},
	{"no-smm", OPTION_BOOL, offsetof(struct pm, no_smm), 0, 0, "tell the firmware to do without system management mode"},
	{.key = NULL},
};
static const char *const pm_pins[] = {"sci", "smi", NULL};

DEVICE(piix4_pm) = {
	.name = "piix4-pm",
	.desc = "82371AB power management",
	.size = sizeof(struct pm),
	.state_offset = offsetof(struct pm, state),
	.state_size = sizeof(struct pm_state),
	.fields = pm_fields,
	.options = pm_options,
	.pins = pm_pins,
	.init = pm_init,
	.reset = pm_reset,
	.input = pm_input,
	.loaded = pm_loaded,
	.destroy = pm_destroy,
};
