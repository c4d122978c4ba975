/* SPDX-License-Identifier: MIT */
/* The floppy disk controller of the PC: an 82077AA in AT mode with up to two drives. Intel 82077AA datasheet (290166-007).
 * Here: its registers, its interrupt, reset, and drives that come with their media; commands are in fdc_command.c.
 * Not implemented: FM recording (nothing is legible in it); deleted data marks (WRITE DELETED writes plain sectors); sectors of
 * other sizes than 512 bytes; data errors other than the image's own; overruns in non-DMA mode (the medium waits for the host);
 * spindle motors (every medium turns, the motor bits are storage); the drive select of DOR for commands (they carry their own);
 * FIFO threshold, precompensation, power-down and tape select (storage); SAVE, RESTORE and other commands of the 82078.
 * Registers SRA and SRB are those of PS/2 mode, as drivers find them in other emulators.
 *
 * Time is the drive's, FDC_HURRY times as fast: steps, and a turn of the medium shared by its sectors.
 * Output pin "irq6", a level: a command's result waits, the FIFO wants the host in non-DMA mode, a seek or a reset has ended.
 * DMA goes over channel 2 of machine->isa_dma. */
#include "hw/disk/fdc_state.h"

#define RESET_NS 50000

enum reg { REG_SRA, REG_SRB, REG_DOR, REG_TDR, REG_MSR, REG_FIFO, REG_NONE, REG_DIR };

TRACE_EVENT(ev_write, "fdc.write");
TRACE_EVENT(ev_reset, "fdc.reset");
TRACE_EVENT(ev_medium, "fdc.medium");

static struct fdc *self(struct device *device)
{
	return (struct fdc *)device;
}

static bool held_in_reset(const struct fdc_state *s)
{
	return !(s->dor & DOR_NO_RESET) || s->step == STEP_RESET;
}

static bool interrupts(const struct fdc_state *s)
{
	bool level = s->irq || s->irq_reset;

	for (unsigned i = 0; i < FDC_DRIVES; i++)
		level |= s->drive[i].seek_done;
	return level;
}

void fdc_update(struct fdc *f)
{
	const struct fdc_state *s = &f->state;

	irq_set(&f->device.out[0], interrupts(s) && s->dor & DOR_GATE && !held_in_reset(s));
}

void fdc_wait(struct fdc *f, enum fdc_step step, u64 ns)
{
	f->state.step = step;
	f->state.deadline = clock_now(f->device.machine->clock) + ns;
	timer_arm(&f->timer, f->state.deadline);
}

void fdc_dma_line(struct fdc *f, bool level)
{
	struct device *dma = f->device.machine->isa_dma;

	if (dma)
		dma_request(dma, FDC_DMA_CHANNEL, level && f->state.dor & DOR_GATE);
}

/* ---- reset ---- */
/* What both kinds of reset do. Where the heads are, and where they are thought to be, stays. */
static void stop_all(struct fdc *f)
{
	struct fdc_state *s = &f->state;

	fdc_transfer_stop(f);
	timer_cancel(&f->timer);
	for (unsigned i = 0; i < FDC_DRIVES; i++) {
		timer_cancel(&f->drive[i].timer);
		s->drive[i].seeking = s->drive[i].seek_done = 0;
	}
	s->phase = FDC_IDLE;
	s->taken = s->results = s->given = 0;
	s->irq = s->irq_reset = s->polled = 0;
	s->perpendicular &= ~3;
	s->config[0] &= ~(CFG_NO_POLL | CFG_IMPLIED_SEEK);
	if (!s->locked) {
		s->config[0] = CFG_NO_FIFO;
		s->config[1] = 0;
	}
	TRACE(ev_reset, "dor %02x", s->dor);
}

static void leave_reset(struct fdc *f)
{
	struct fdc_state *s = &f->state;

	s->step = STEP_NONE;
	s->irq_reset = 1;
	s->polled = FDC_DRIVES;
	fdc_update(f);
}

static void step_over(void *opaque)
{
	struct fdc *f = opaque;

	if (f->state.step == STEP_RESET)
		leave_reset(f);
	else if (f->state.step == STEP_SEARCH)
		fdc_transfer_search(f);
}

static void write_dor(struct fdc *f, u8 value)
{
	struct fdc_state *s = &f->state;
	u8 old = s->dor;

	s->dor = value;
	if (old & ~value & DOR_NO_RESET)
		stop_all(f);
	else if (~old & value & DOR_NO_RESET)
		fdc_wait(f, STEP_RESET, RESET_NS);
	fdc_update(f);
}

static void write_dsr(struct fdc *f, u8 value)
{
	f->state.dsr = value & 0x7f;
	f->state.ccr = value & 3;
	if (!(value & 0x80) || !(f->state.dor & DOR_NO_RESET))
		return;
	stop_all(f);
	fdc_wait(f, STEP_RESET, RESET_NS);
	fdc_update(f);
}

/* ---- registers ---- */
static const struct fdc_drive *selected(const struct fdc *f)
{
	return &f->drive[f->state.dor & DOR_SELECT];
}

static u8 read_sra(const struct fdc *f)
{
	const struct fdc_drive *d = selected(f);
	u8 value = 0x06; /* the low-active index and write protect */

	if (interrupts(&f->state))
		value |= 0x80;
	if (!f->drive[1].drive)
		value |= 0x40;
	if (!d->drive || d->s->track)
		value |= 0x10;
	if (f->state.head)
		value |= 0x08;
	if (d->drive && d->drive->disk && disk_read_only(d->drive->disk))
		value &= ~0x02;
	return value;
}

static u8 read_srb(const struct fdc_state *s)
{
	return 0xc0 | (s->dor & 1) << 5 | (s->dor >> 4 & 3);
}

static u8 read_msr(const struct fdc *f)
{
	const struct fdc_state *s = &f->state;
	u8 value = 0;

	if (held_in_reset(s))
		return 0;
	for (unsigned i = 0; i < FDC_DRIVES; i++)
		if (s->drive[i].seeking || s->drive[i].seek_done)
			value |= BIT(i);
	switch ((enum fdc_phase)s->phase) {
	case FDC_TAKING:
		return value | MSR_READY | MSR_BUSY;
	case FDC_RESULTING:
		return value | MSR_READY | MSR_TO_HOST | MSR_BUSY;
	case FDC_EXECUTING:
		value |= MSR_BUSY;
		if (s->specify[1] & 1)
			value |= MSR_NO_DMA;
		if (s->step == STEP_HOST)
			value |= MSR_READY | (fdc_transfer_to_host(f) ? MSR_TO_HOST : 0);
		return value;
	default:
		return value | MSR_READY;
	}
}

static u8 read_fifo(struct fdc *f)
{
	struct fdc_state *s = &f->state;
	u8 value;

	if (s->phase == FDC_EXECUTING && s->step == STEP_HOST)
		return fdc_transfer_read(f);
	if (s->phase != FDC_RESULTING)
		return 0;
	value = s->result[s->given++];
	s->irq = 0;
	if (s->given == s->results)
		s->phase = FDC_IDLE;
	fdc_update(f);
	return value;
}

static void write_fifo(struct fdc *f, u8 value)
{
	struct fdc_state *s = &f->state;

	if (held_in_reset(s))
		return;
	if (s->phase == FDC_EXECUTING && s->step == STEP_HOST)
		fdc_transfer_write(f, value);
	else if (s->phase == FDC_IDLE || s->phase == FDC_TAKING)
		fdc_command_write(f, value);
}

static u64 fdc_read(void *opaque, u64 offset, unsigned size)
{
	struct fdc *f = opaque;
	const struct fdc_drive *d = selected(f);

	(void)size;
	switch (offset) {
	case REG_SRA:
		return read_sra(f);
	case REG_SRB:
		return read_srb(&f->state);
	case REG_DOR:
		return f->state.dor;
	case REG_TDR:
		return f->state.tdr;
	case REG_MSR:
		return read_msr(f);
	case REG_FIFO:
		return read_fifo(f);
	case REG_DIR:
		return d->drive && d->s->changed ? 0x80 : 0;
	default:
		return 0xff;
	}
}

static void fdc_write(void *opaque, u64 offset, u64 value, unsigned size)
{
	struct fdc *f = opaque;

	(void)size;
	TRACE(ev_write, "reg %u value %02x", (unsigned)offset, (u8)value);
	switch (offset) {
	case REG_DOR:
		write_dor(f, value);
		break;
	case REG_TDR:
		f->state.tdr = value & 3;
		break;
	case REG_MSR:
		write_dsr(f, value);
		break;
	case REG_FIFO:
		write_fifo(f, value);
		break;
	case REG_DIR:
		f->state.ccr = value & 3;
		f->state.dsr = (f->state.dsr & ~3) | (value & 3);
		break;
	}
}
static u64 fdc_read_high(void *opaque, u64 offset, unsigned size) { return fdc_read(opaque, REG_DIR + offset, size); }
static void fdc_write_high(void *opaque, u64 offset, u64 value, unsigned size)
{
	fdc_write(opaque, REG_DIR + offset, value, size);
}
static const struct region_ops low_ops = {.read = fdc_read, .write = fdc_write, .max = 1};
static const struct region_ops high_ops = {.read = fdc_read_high, .write = fdc_write_high, .max = 1};

/* ---- media ---- */
static void look_at_medium(struct fdc_drive *d)
{
	struct disk *disk = d->drive ? d->drive->disk : NULL;

	d->format = disk && disk_size(disk) ? fdc_media_format(disk_size(disk)) : NULL;
}

static u64 medium_size(const struct fdc_drive *d)
{
	return d->format ? disk_size(d->drive->disk) : 0;
}

static void changed(void *opaque)
{
	struct fdc_drive *d = opaque;

	look_at_medium(d);
	d->s->medium_size = medium_size(d);
	d->s->changed = 1;
	TRACE(ev_medium, "unit %u size %llu", d->index, (unsigned long long)d->s->medium_size);
}

u8 fdc_drive_type(struct device *device, unsigned unit)
{
	return unit < FDC_PRESENT ? self(device)->drive[unit].type : 0;
}

static void seek_over(void *opaque)
{
	struct fdc_drive *d = opaque;

	fdc_command_arrived(d->fdc, d->index);
}

/* ---- the device ---- */
/* Nothing on its way any more, and nothing that waits for it has moved on. */
static void quiet(struct fdc *f)
{
	u8 step = f->state.step;

	f->state.step = STEP_NONE;
	if (f->busy) {
		f->forget = true;
		disk_drain(f->busy);
	}
	f->state.step = step;
}

static bool fdc_init(struct device *device, struct err *err)
{
	struct fdc *f = self(device);
	struct bus *bus = device->machine->bus;

	(void)err;
	timer_init(&f->timer, device->machine->clock, step_over, f);
	for (unsigned i = 0; i < FDC_DRIVES; i++) {
		struct fdc_drive *d = &f->drive[i];

		d->fdc = f;
		d->s = &f->state.drive[i];
		d->index = i;
		timer_init(&d->timer, device->machine->clock, seek_over, d);
		d->drive = i < FDC_PRESENT ? device->drive[i] : NULL;
		if (!d->drive)
			continue;
		d->drive->changed = changed;
		d->drive->device = d;
		look_at_medium(d);
		d->type = d->format ? d->format->drive_type : fdc_media_format(1440 << 10)->drive_type;
	}
	f->low = (struct region){.name = "fdc", .size = 6, .ops = &low_ops, .opaque = f};
	bus_map_io(bus, &f->low, 0x3f0);
	f->high = (struct region){.name = "fdc.dir", .size = 1, .ops = &high_ops, .opaque = f};
	bus_map_io(bus, &f->high, 0x3f7);
	return true;
}

static void fdc_reset(struct device *device)
{
	struct fdc *f = self(device);

	quiet(f);
	stop_all(f);
	memset(&f->state, 0, sizeof f->state);
	f->state.dsr = f->state.ccr = 2;
	f->state.config[0] = CFG_NO_FIFO;
	for (unsigned i = 0; i < FDC_PRESENT; i++) {
		f->state.drive[i].changed = 1;
		f->state.drive[i].medium_size = medium_size(&f->drive[i]);
	}
	fdc_update(f);
}

static void drive_loaded(struct fdc_drive *d, u64 latest)
{
	struct fdc_drive_state *s = d->s;

	s->track = MIN(s->track, FDC_TRACKS - 1);
	s->target = MIN(s->target, FDC_TRACKS - 1);
	s->seeking &= 1;
	s->seek_done &= 1;
	s->changed &= 1;
	s->deadline = MIN(s->deadline, latest);
	if (s->medium_size != medium_size(d)) {
		s->changed = 1;
		s->medium_size = medium_size(d);
	}
	if (s->seeking)
		timer_arm(&d->timer, s->deadline);
}

static void fdc_loaded(struct device *device)
{
	struct fdc *f = self(device);
	struct fdc_state *s = &f->state;
	u64 latest = clock_now(device->machine->clock) + NS_PER_S;

	quiet(f);
	timer_cancel(&f->timer);
	for (unsigned i = 0; i < FDC_DRIVES; i++)
		timer_cancel(&f->drive[i].timer);
	s->step %= STEPS;
	if (!(s->dor & DOR_NO_RESET) && s->step == STEP_RESET)
		s->step = STEP_NONE;
	s->irq &= 1;
	s->irq_reset &= 1;
	s->polled = MIN(s->polled, FDC_DRIVES);
	s->tdr &= 3;
	s->deadline = MIN(s->deadline, latest);
	for (unsigned i = 0; i < FDC_DRIVES; i++)
		drive_loaded(&f->drive[i], latest);
	fdc_command_loaded(f);
	fdc_transfer_loaded(f);
	if (s->step == STEP_RESET || s->step == STEP_SEARCH)
		timer_arm(&f->timer, s->deadline);
	fdc_update(f);
}

static void fdc_destroy(struct device *device)
{
	struct fdc *f = self(device);

	quiet(f);
	timer_cancel(&f->timer);
	for (unsigned i = 0; i < FDC_DRIVES; i++) {
		timer_cancel(&f->drive[i].timer);
		if (f->drive[i].drive) {
			f->drive[i].drive->changed = NULL;
			f->drive[i].drive->device = NULL;
		}
	}
	bus_unmap(device->machine->bus, &f->low);
	bus_unmap(device->machine->bus, &f->high);
}

static const struct field drive_fields[] = {
	FIELD(struct fdc_drive_state, deadline, "end of the seek"),
	FIELD(struct fdc_drive_state, medium_size, "bytes of the medium"),
	FIELD(struct fdc_drive_state, track, "track under the head"),
	FIELD(struct fdc_drive_state, pcn, "present cylinder number"),
	FIELD(struct fdc_drive_state, seeking, "seeking"),
	FIELD(struct fdc_drive_state, target, "track after the seek"),
	FIELD(struct fdc_drive_state, target_pcn, "cylinder number after it"),
	FIELD(struct fdc_drive_state, result, "ST0 of the seek"),
	FIELD(struct fdc_drive_state, seek_done, "its interrupt waits"),
	FIELD(struct fdc_drive_state, changed, "disk change line"),
	FIELD_END,
};
static const struct field fdc_fields[] = {
	FIELD(struct fdc_state, deadline, "end of the step"),
	FIELD_SUBS(struct fdc_state, drive, drive_fields, "drives"),
	FIELD(struct fdc_state, at, "place in buf[]"),
	FIELD(struct fdc_state, len, "bytes in buf[]"),
	FIELD(struct fdc_state, dor, "DOR"),
	FIELD(struct fdc_state, tdr, "TDR"),
	FIELD(struct fdc_state, dsr, "DSR"),
	FIELD(struct fdc_state, ccr, "CCR"),
	FIELD(struct fdc_state, phase, "phase"),
	FIELD(struct fdc_state, step, "what is waited for"),
	FIELD_ARRAY(struct fdc_state, command, "command"),
	FIELD(struct fdc_state, taken, "bytes of it"),
	FIELD_ARRAY(struct fdc_state, result, "result"),
	FIELD(struct fdc_state, results, "bytes of it"),
	FIELD(struct fdc_state, given, "bytes given to the host"),
	FIELD_ARRAY(struct fdc_state, specify, "SPECIFY"),
	FIELD_ARRAY(struct fdc_state, config, "CONFIGURE"),
	FIELD(struct fdc_state, locked, "LOCK"),
	FIELD(struct fdc_state, perpendicular, "PERPENDICULAR MODE"),
	FIELD(struct fdc_state, last_eot, "last EOT"),
	FIELD(struct fdc_state, irq, "command interrupt"),
	FIELD(struct fdc_state, irq_reset, "reset interrupt"),
	FIELD(struct fdc_state, polled, "drives to tell of after reset"),
	FIELD(struct fdc_state, kind, "kind of transfer"),
	FIELD(struct fdc_state, unit, "its drive"),
	FIELD(struct fdc_state, head, "its head"),
	FIELD_ARRAY(struct fdc_state, id, "C H R N"),
	FIELD(struct fdc_state, eot, "EOT"),
	FIELD(struct fdc_state, left, "sectors left"),
	FIELD(struct fdc_state, multi, "multi-track"),
	FIELD(struct fdc_state, counted, "sectors are counted"),
	FIELD(struct fdc_state, terminal, "the host has ended it"),
	FIELD(struct fdc_state, st0, "ST0"),
	FIELD(struct fdc_state, st1, "ST1"),
	FIELD(struct fdc_state, st2, "ST2"),
	FIELD(struct fdc_state, scan, "comparison"),
	FIELD_ARRAY(struct fdc_state, pad, ""),
	FIELD(struct fdc_state, buf, "sector buffer"),
	FIELD_END,
};
static const char *const fdc_pins[] = {"irq6", NULL};

DEVICE(fdc) = {
	.name = "isa-fdc",
	.desc = "82077AA floppy disk controller",
	.size = sizeof(struct fdc),
	.state_offset = offsetof(struct fdc, state),
	.state_size = sizeof(struct fdc_state),
	.fields = fdc_fields,
	.pins = fdc_pins,
	.init = fdc_init,
	.reset = fdc_reset,
	.loaded = fdc_loaded,
	.destroy = fdc_destroy,
};
