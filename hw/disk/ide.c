/* SPDX-License-Identifier: MIT */
/* The IDE controller of the PIIX3 (8086:7010, function 1 of the south bridge): two channels at their legacy ports, two units
 * each. Intel 82371SB datasheet (290550-002), 2.3 (configuration) and 2.7 (bus master); ATA/ATAPI-7 vol. 2 (signals, registers
 * and resets of the parallel interface). Ports and state machine are here; see ide.h for the other files.
 * Not implemented: timing (IDETIM, SIDETIM and drive timing are kept for the guest to read; the legacy ports are decoded
 * whatever IDETIM says, as on QEMU's pc), native mode (the PIIX3 has none), overlapped and queued commands, 8-bit transfers.
 *
 * Both units of a channel hear what is written to the command block; the selected one answers. A place without a drive shows
 * 0 everywhere and keeps nothing, so that drivers which try its registers and those which trust its status find nobody alike.
 * Output pins "irq14", "irq15": INTRQ of the selected unit of channel 0, 1, a level, unless nIEN. */
#include "hw/disk/ide.h"

#include <stdlib.h>

enum config { IDETIM = 0x40, SIDETIM = 0x44 };
static const u16 command_port[IDE_CHANNELS] = {0x1f0, 0x170}, control_port[IDE_CHANNELS] = {0x3f6, 0x376};

TRACE_EVENT(ev_command, "ide.command");
TRACE_EVENT(ev_register, "ide.register");
TRACE_EVENT(ev_busy, "ide.busy");
TRACE_EVENT(ev_irq, "ide.irq");
TRACE_EVENT(ev_reset, "ide.reset");
TRACE_EVENT(ev_diagnose, "ide.diagnose");

/* ---- interrupts ---- */
static struct ide_unit *selected(struct ide_channel *c)
{
	return &c->unit[c->s->select & 1];
}

static bool wanted_line(struct ide_channel *c)
{
	const struct ide_unit *u = selected(c);

	return u->drive && u->s->irq && !(c->s->control & CTL_NO_IRQ);
}

static void update(struct ide_channel *c)
{
	bool level = wanted_line(c);

	if (level == c->s->line)
		return;
	TRACE(ev_irq, "channel %u %u", c->index, level);
	c->s->line = level;
	if (level)
		c->s->bm_status |= 4;
	irq_set(&c->ide->device.out[c->index], level);
}

void ide_interrupt(struct ide_unit *u)
{
	u->s->irq = 1;
	update(u->channel);
}

/* ---- resets ---- */
void ide_signature(struct ide_unit *u)
{
	struct ide_unit_state *s = u->s;
	bool cd = ide_is_cd(u);

	s->phase = IDE_IDLE;
	s->irq = 0;
	s->error = 1; /* diagnostics passed */
	s->now[IDE_COUNT] = s->now[IDE_LOW] = 1;
	s->now[IDE_MID] = cd ? 0x14 : 0;
	s->now[IDE_HIGH] = cd ? 0xeb : 0;
	s->now[IDE_DEVICE] = DEV_OBSOLETE | (u->index & 1 ? s->now[IDE_DEVICE] & DEV_UNIT : 0);
	s->status = cd ? 0 : ST_READY | ST_SEEK;
	u->resetting = false;
}

/* The unit is busy until ide_come_out() finds that it need not be. */
static void reset_unit(struct ide_unit *u)
{
	ide_forget(u);
	u->s->status = ST_BUSY;
	u->s->irq = 0;
	u->resetting = true;
}

void ide_come_out(struct ide_channel *c)
{
	struct ide_unit *first = &c->unit[c->unit[0].drive ? 0 : 1];

	if (c->s->control & CTL_RESET || (c->diagnosing && (c->unit[0].in_flight || c->unit[1].in_flight)))
		return;
	for (unsigned i = 0; i < 2; i++)
		if (c->unit[i].resetting && !c->unit[i].in_flight)
			ide_signature(&c->unit[i]);
	if (c->diagnosing)
		first->s->irq = 1;
	c->diagnosing = false;
	update(c);
}

void ide_device_reset(struct ide_unit *u)
{
	u->channel->diagnosing = false;
	reset_unit(u);
	ide_come_out(u->channel);
	update(u->channel);
}

static void reset_both(struct ide_channel *c)
{
	c->s->select = 0;
	for (unsigned i = 0; i < 2; i++) {
		c->unit[i].s->now[IDE_DEVICE] = DEV_OBSOLETE;
		reset_unit(&c->unit[i]);
	}
}

static void write_control(void *opaque, u64 offset, u64 value, unsigned size)
{
	struct ide_channel *c = opaque;
	u8 old = c->s->control;

	(void)offset, (void)size;
	c->s->control = value & (CTL_NO_IRQ | CTL_RESET | CTL_PREVIOUS);
	if ((old ^ value) & CTL_RESET) {
		TRACE(ev_reset, "channel %u %u", c->index, !!(value & CTL_RESET));
		c->diagnosing = false;
		reset_both(c);
		ide_come_out(c);
	}
	update(c);
}

/* EXECUTE DEVICE DIAGNOSTIC: both units test themselves, whatever the other one was at, and are busy until both have done so;
 * then unit 0, or the only one, tells of it (ATA/ATAPI-7 vol. 1, 6.13). */
static void diagnose(struct ide_channel *c)
{
	TRACE(ev_diagnose, "channel %u%s", c->index, c->unit[0].in_flight || c->unit[1].in_flight ? ", waits for a request" : "");
	reset_both(c);
	c->diagnosing = true;
	ide_come_out(c);
	update(c);
}

/* ---- the command block ---- */
static void write_command(struct ide_channel *c, u8 code)
{
	struct ide_unit *u = selected(c);
	struct ide_unit_state *s = u->s;

	c->s->control &= ~CTL_PREVIOUS;
	if (code == CMD_DIAGNOSTIC && (c->unit[0].drive || c->unit[1].drive) && !(s->status & (ST_BUSY | ST_DRQ))) {
		diagnose(c);
		return;
	}
	if (!u->drive || c->s->control & CTL_RESET)
		return;
	if (code == CMD_DEVICE_RESET && ide_is_cd(u)) {
		ide_device_reset(u);
		return;
	}
	if (s->status & (ST_BUSY | ST_DRQ)) {
		TRACE(ev_busy, "unit %u command %02x, status %02x", u->index, code, s->status);
		return;
	}
	TRACE(ev_command, "unit %u %02x feature %02x count %02x lba %02x %02x %02x device %02x", u->index, code, s->now[IDE_FEATURE],
	      s->now[IDE_COUNT], s->now[IDE_LOW], s->now[IDE_MID], s->now[IDE_HIGH], s->now[IDE_DEVICE]);
	s->irq = 0;
	update(c);
	s->command = code;
	s->error = 0;
	s->status = ST_READY | ST_SEEK;
	ata_command(u);
}

static void write_register(struct ide_channel *c, unsigned reg, u8 value)
{
	if (reg == IDE_COMMAND) {
		write_command(c, value);
		return;
	}
	TRACE(ev_register, "channel %u register %u value %02x", c->index, reg, value);
	c->s->control &= ~CTL_PREVIOUS;
	if (selected(c)->s->status & (ST_BUSY | ST_DRQ) || c->s->control & CTL_RESET)
		return;
	if (reg == IDE_DEVICE)
		value |= DEV_OBSOLETE;
	for (unsigned i = 0; i < 2; i++) {
		struct ide_unit_state *s = c->unit[i].s;

		s->before[reg] = s->now[reg];
		s->now[reg] = value;
	}
	if (reg == IDE_DEVICE) {
		c->s->select = !!(value & DEV_UNIT);
		update(c);
	}
}

static u8 status(struct ide_channel *c)
{
	const struct ide_unit *u = selected(c);

	return u->drive ? u->s->status : 0;
}

static u8 read_register(struct ide_channel *c, unsigned reg)
{
	struct ide_unit *u = selected(c);

	if (!u->drive)
		return 0;
	switch (reg) {
	case IDE_FEATURE:
		return u->s->error;
	case IDE_COMMAND:
		u->s->irq = 0;
		update(c);
		return status(c);
	case IDE_DEVICE:
		return u->s->now[IDE_DEVICE];
	default:
		return c->s->control & CTL_PREVIOUS ? u->s->before[reg] : u->s->now[reg];
	}
}

static u64 command_read(void *opaque, u64 offset, unsigned size)
{
	struct ide_channel *c = opaque;
	u64 value = 0;

	if (offset == IDE_PORT)
		return ide_port_read(selected(c), size);
	for (unsigned i = 0; i < size && offset + i < 8; i++)
		value |= (u64)read_register(c, offset + i) << (i * 8);
	return value;
}

static void command_write(void *opaque, u64 offset, u64 value, unsigned size)
{
	struct ide_channel *c = opaque;

	if (offset == IDE_PORT) {
		ide_port_write(selected(c), value, size);
		return;
	}
	for (unsigned i = 0; i < size && offset + i < 8; i++)
		write_register(c, offset + i, value >> (i * 8));
}
static const struct region_ops command_ops = {.read = command_read, .write = command_write, .max = 4};

static u64 control_read(void *opaque, u64 offset, unsigned size)
{
	(void)offset, (void)size;
	return status(opaque);
}
static const struct region_ops control_ops = {.read = control_read, .write = write_control, .max = 1};
static const struct region_ops bm_ops = {.read = ide_dma_read, .write = ide_dma_write, .max = 4};

/* ---- the device ---- */
static void attach(struct ide *ide, unsigned i)
{
	struct ide_unit *u = &ide->unit[i];
	struct drive *drive = ide->device.drive[i];

	u->ide = ide;
	u->index = i;
	u->channel = &ide->channel[i / 2];
	u->s = &ide->state.unit[i];
	if (!drive || drive->media == DRIVE_FLOPPY)
		return;
	u->drive = drive;
	u->bulk = err_alloc(IDE_BULK);
	drive->device = u;
	if (ide_is_cd(u)) {
		drive->changed = atapi_changed;
		drive->eject_request = atapi_eject_request;
	}
}

static bool ide_init(struct device *device, struct err *err)
{
	struct ide *ide = (struct ide *)device;
	static const char *const names[IDE_CHANNELS][2] = {{"ide0.command", "ide0.control"}, {"ide1.command", "ide1.control"}};

	if (!device->machine->pci)
		return err_set(err, EXIT_BUG, "there is no PCI bus yet");
	ide->function = (struct pci_function){.device = device, .state = &ide->state.pci};
	pci_ids(&ide->function, 0x8086, 0x7010, 0x01018000, 0x1af4, 0x1100, 0);
	memset(ide->function.wmask + IDETIM, 0xff, 5);
	ide->function.bar[4] = (struct pci_bar){
		.region = {.name = "ide.bm", .size = 16, .ops = &bm_ops, .opaque = ide}, .io = true};
	if (!pci_add(device->machine->pci, &ide->function, 1 << 3 | 1, err))
		return false;
	for (unsigned i = 0; i < IDE_UNITS; i++)
		attach(ide, i);
	for (unsigned i = 0; i < IDE_CHANNELS; i++) {
		struct ide_channel *c = &ide->channel[i];

		c->ide = ide;
		c->index = i;
		c->s = &ide->state.channel[i];
		c->unit = &ide->unit[i * 2];
		c->command = (struct region){.name = names[i][0], .size = 8, .ops = &command_ops, .opaque = c};
		c->control = (struct region){.name = names[i][1], .size = 1, .ops = &control_ops, .opaque = c};
		bus_map_io(device->machine->bus, &c->command, command_port[i]);
		bus_map_io(device->machine->bus, &c->control, control_port[i]);
	}
	return true;
}

/* Nothing on its way, and nothing that would send more. */
static void quiet(struct ide *ide)
{
	for (unsigned i = 0; i < IDE_UNITS; i++) {
		struct ide_unit *u = &ide->unit[i];

		u->channel->diagnosing = u->resetting = false;
		u->ahead_len = 0;
		if (u->in_flight) {
			u->forget = true;
			disk_drain(u->drive->disk);
		}
	}
}

static void ide_reset(struct device *device)
{
	struct ide *ide = (struct ide *)device;

	quiet(ide);
	pci_reset(&ide->function);
	memset(ide->state.pci.config + IDETIM, 0, 5);
	store16(ide->state.pci.config + 0x06, 0x0280);
	memset(ide->state.channel, 0, sizeof ide->state.channel);
	memset(ide->state.unit, 0, sizeof ide->state.unit);
	for (unsigned i = 0; i < IDE_UNITS; i++) {
		ata_power_on(&ide->unit[i]);
		atapi_power_on(&ide->unit[i]);
		ide_signature(&ide->unit[i]);
	}
	for (unsigned i = 0; i < IDE_CHANNELS; i++) {
		ide->channel[i].epoch++;
		irq_set(&device->out[i], false);
	}
}

/* A unit's state as it may stand between two accesses with nothing on its way. What a command was waiting for is gone, so one
 * that is neither at its data nor at the bus master's ends here. */
static void unit_loaded(struct ide_unit *u)
{
	struct ide_unit_state *s = u->s;
	bool reset = u->channel->s->control & CTL_RESET, cd = ide_is_cd(u);

	s->irq &= 1;
	s->end = MIN(s->end, IDE_DATA);
	s->stop = MIN(s->stop, s->end);
	s->at = MIN(s->at, s->stop);
	s->block = cd ? CD_SECTOR : MIN(s->block, IDE_DATA);
	s->pos = MIN(s->pos, BIT(60));
	if (!s->block)
		s->left = 0;
	if (!u->drive || s->phase >= IDE_WORK || (s->phase == IDE_PACKET && (!cd || s->stop > sizeof s->packet)))
		s->phase = IDE_IDLE;
	if (cd && (s->phase == IDE_PIO_OUT || s->phase == IDE_DMA_OUT))
		s->phase = IDE_IDLE;
	ata_loaded(u);
	atapi_loaded(u);
	if (s->phase == IDE_DMA_IN || s->phase == IDE_DMA_OUT)
		s->status = ST_READY | ST_BUSY;
	else if (s->phase != IDE_IDLE && (s->at == s->stop || !(s->status & ST_DRQ)))
		s->phase = IDE_IDLE;
	if (s->phase == IDE_IDLE && !reset)
		s->status &= ~(ST_DRQ | ST_BUSY);
	else if (s->phase == IDE_PACKET || s->phase == IDE_PIO_IN || s->phase == IDE_PIO_OUT)
		s->status &= ~ST_BUSY;
}

static void ide_loaded(struct device *device)
{
	struct ide *ide = (struct ide *)device;

	quiet(ide);
	pci_loaded(&ide->function);
	for (unsigned i = 0; i < IDE_UNITS; i++)
		unit_loaded(&ide->unit[i]);
	for (unsigned i = 0; i < IDE_CHANNELS; i++) {
		struct ide_channel *c = &ide->channel[i];

		c->s->select &= 1;
		c->s->control &= CTL_NO_IRQ | CTL_RESET | CTL_PREVIOUS;
		c->s->line = wanted_line(c);
		irq_set(&device->out[i], c->s->line);
		ide_dma_loaded(c);
	}
}

static void ide_destroy(struct device *device)
{
	struct ide *ide = (struct ide *)device;

	quiet(ide);
	pci_remove(&ide->function);
	for (unsigned i = 0; i < IDE_CHANNELS; i++) {
		bus_unmap(device->machine->bus, &ide->channel[i].command);
		bus_unmap(device->machine->bus, &ide->channel[i].control);
	}
	for (unsigned i = 0; i < IDE_UNITS; i++) {
		struct drive *drive = ide->unit[i].drive;

		if (drive) {
			drive->changed = drive->eject_request = NULL;
			drive->device = NULL;
		}
		free(ide->unit[i].bulk);
	}
}

static const struct field cursor_fields[] = {
	FIELD(struct ide_cursor, next, "address of the next PRD"),
	FIELD(struct ide_cursor, at, "address in the present region"),
	FIELD(struct ide_cursor, left, "bytes left of it"),
	FIELD(struct ide_cursor, entries, "PRDs read"),
	FIELD(struct ide_cursor, last, "end of table seen"),
	FIELD(struct ide_cursor, pad, ""),
	FIELD_END,
};
static const struct field channel_fields[] = {
	FIELD_SUB(struct ide_channel_state, cursor, cursor_fields, "place in the PRD table"),
	FIELD(struct ide_channel_state, prdt, "BMIDTP"),
	FIELD(struct ide_channel_state, bm_command, "BMIC"),
	FIELD(struct ide_channel_state, bm_status, "BMIS"),
	FIELD(struct ide_channel_state, select, "selected unit"),
	FIELD(struct ide_channel_state, control, "device control"),
	FIELD(struct ide_channel_state, line, "interrupt line"),
	FIELD_ARRAY(struct ide_channel_state, pad, ""),
	FIELD_END,
};
static const struct field unit_fields[] = {
	FIELD(struct ide_unit_state, pos, "byte of the medium"),
	FIELD(struct ide_unit_state, left, "bytes of the medium left"),
	FIELD(struct ide_unit_state, at, "place in data[]"),
	FIELD(struct ide_unit_state, stop, "end of the DRQ block"),
	FIELD(struct ide_unit_state, end, "end of data[]"),
	FIELD(struct ide_unit_state, block, "bytes a DRQ block"),
	FIELD(struct ide_unit_state, limit, "byte count limit"),
	FIELD(struct ide_unit_state, disc_size, "sectors of the disc"),
	FIELD_ARRAY(struct ide_unit_state, now, "command block"),
	FIELD_ARRAY(struct ide_unit_state, before, "command block, previous content"),
	FIELD(struct ide_unit_state, status, "status"),
	FIELD(struct ide_unit_state, error, "error"),
	FIELD(struct ide_unit_state, command, "command in progress"),
	FIELD(struct ide_unit_state, phase, "phase"),
	FIELD(struct ide_unit_state, irq, "INTRQ"),
	FIELD(struct ide_unit_state, multiple, "sectors a MULTIPLE block"),
	FIELD(struct ide_unit_state, heads, "heads"),
	FIELD(struct ide_unit_state, sectors, "sectors a track"),
	FIELD(struct ide_unit_state, mode, "transfer mode"),
	FIELD(struct ide_unit_state, write_through, "write cache off"),
	FIELD(struct ide_unit_state, no_read_ahead, "read look-ahead off"),
	FIELD(struct ide_unit_state, smart_off, "SMART off"),
	FIELD(struct ide_unit_state, power, "power mode"),
	FIELD(struct ide_unit_state, raw, "raw CD sectors"),
	FIELD(struct ide_unit_state, entry_high, "range in progress, high"),
	FIELD(struct ide_unit_state, entry, "range in progress"),
	FIELD_ARRAY(struct ide_unit_state, packet, "packet"),
	FIELD(struct ide_unit_state, sense, "sense key"),
	FIELD(struct ide_unit_state, asc, "additional sense code"),
	FIELD(struct ide_unit_state, ascq, "its qualifier"),
	FIELD(struct ide_unit_state, attention, "unit attention"),
	FIELD(struct ide_unit_state, locked, "tray locked"),
	FIELD(struct ide_unit_state, tray, "tray open"),
	FIELD(struct ide_unit_state, event, "media event"),
	FIELD_ARRAY(struct ide_unit_state, pad, ""),
	FIELD(struct ide_unit_state, data, "data buffer"),
	FIELD_END,
};
static const struct field ide_fields[] = {
	FIELD_SUB(struct ide_state, pci, pci_fields, "PCI function"),
	FIELD_SUBS(struct ide_state, channel, channel_fields, "channels"),
	FIELD_SUBS(struct ide_state, unit, unit_fields, "units"),
	FIELD_END,
};
static const char *const ide_pins[] = {"irq14", "irq15", NULL};

DEVICE(ide) = {
	.name = "piix3-ide",
	.desc = "82371SB IDE controller",
	.size = sizeof(struct ide),
	.state_offset = offsetof(struct ide, state),
	.state_size = sizeof(struct ide_state),
	.fields = ide_fields,
	.pins = ide_pins,
	.init = ide_init,
	.reset = ide_reset,
	.loaded = ide_loaded,
	.destroy = ide_destroy,
};
