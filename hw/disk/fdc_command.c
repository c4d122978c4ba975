/* SPDX-License-Identifier: MIT */
/* The floppy controller's commands: collecting their bytes, those that move no data, seeks, results. 82077AA datasheet (290166),
 * 5.0 and 5.2. A command that does not exist, and SENSE INTERRUPT STATUS with nothing to tell, give the one byte 80h. */
#include "hw/disk/fdc_state.h"

struct command {
	u8 mask, code, bytes;
	void (*run)(struct fdc *f); /* NULL: a transfer of this kind */
	enum fdc_kind kind;
};

enum { UP = 0x40, RECALIBRATE_STEPS = 79 };

TRACE_EVENT(ev_command, "fdc.command");
TRACE_EVENT(ev_invalid, "fdc.invalid");
TRACE_EVENT(ev_seek, "fdc.seek");

static void go_idle(struct fdc *f)
{
	f->state.phase = FDC_IDLE;
	f->state.taken = 0;
	fdc_update(f);
}

void fdc_command_results(struct fdc *f, const u8 *bytes, unsigned count, bool interrupt)
{
	struct fdc_state *s = &f->state;

	memcpy(s->result, bytes, count);
	s->results = count;
	s->given = 0;
	s->taken = 0;
	s->phase = FDC_RESULTING;
	if (interrupt) {
		s->irq = 1;
		s->irq_reset = s->polled = 0; /* nobody wants to hear of the reset any more */
	}
	fdc_update(f);
}

static void result(struct fdc *f, u8 byte)
{
	fdc_command_results(f, &byte, 1, false);
}

static void invalid(struct fdc *f)
{
	TRACE(ev_invalid, "%02x", f->state.command[0]);
	result(f, ST0_INVALID);
}

/* ---- seeks ---- */
/* The step rate of SPECIFY: 1 to 16 units of 1 ms at 500 kbit/s, longer at lower rates. */
u64 fdc_command_step_ns(const struct fdc *f)
{
	static const u32 unit_us[4] = {1000, 1667, 2000, 500};

	return (16 - (f->state.specify[0] >> 4)) * unit_us[f->state.dsr & 3] * 1000ull / FDC_HURRY;
}

/* Steps the head; pulses that reach a drive with a medium put its change line out. */
static void move_head(struct fdc_drive *d, u8 track)
{
	if (!d->drive)
		return;
	if (track != d->s->track && d->format)
		d->s->changed = 0;
	d->s->track = track;
}

static u8 stepped(const struct fdc_drive *d, int steps)
{
	int track = d->s->track + steps;

	return track < 0 ? 0 : MIN(track, (int)FDC_TRACKS - 1);
}

unsigned fdc_command_seek(struct fdc *f, unsigned unit, u8 ncn)
{
	struct fdc_drive *d = &f->drive[unit];
	int steps = ncn - d->s->pcn;

	move_head(d, stepped(d, steps));
	d->s->pcn = ncn;
	return steps < 0 ? -steps : steps;
}

static void start_seek(struct fdc *f, unsigned unit, int steps, u8 pcn, u8 st0)
{
	struct fdc_drive *d = &f->drive[unit];
	u64 pulses = steps < 0 ? -steps : steps;

	TRACE(ev_seek, "unit %u from %u by %d", unit, d->s->track, steps);
	d->s->target = stepped(d, steps);
	d->s->target_pcn = pcn;
	d->s->result = ST0_SEEK_END | st0 | unit;
	d->s->seeking = 1;
	d->s->seek_done = 0;
	d->s->deadline = clock_now(f->device.machine->clock) + MAX(pulses, 1u) * fdc_command_step_ns(f);
	timer_arm(&d->timer, d->s->deadline);
	go_idle(f);
}

void fdc_command_arrived(struct fdc *f, unsigned unit)
{
	struct fdc_drive *d = &f->drive[unit];

	if (!d->s->seeking)
		return;
	move_head(d, d->s->target);
	d->s->pcn = d->s->target_pcn;
	d->s->seeking = 0;
	d->s->seek_done = 1;
	f->state.irq_reset = f->state.polled = 0;
	fdc_update(f);
}

static void recalibrate(struct fdc *f)
{
	unsigned unit = f->state.command[1] & 3;
	const struct fdc_drive *d = &f->drive[unit];

	if (!d->drive) /* no track 0 to be seen */
		start_seek(f, unit, -RECALIBRATE_STEPS, 0, ST0_ABNORMAL | ST0_CHECK);
	else if (d->s->track > RECALIBRATE_STEPS)
		start_seek(f, unit, -RECALIBRATE_STEPS, 0, ST0_ABNORMAL | ST0_CHECK);
	else
		start_seek(f, unit, -(int)d->s->track, 0, 0);
}

static void seek(struct fdc *f)
{
	const u8 *c = f->state.command;
	unsigned unit = c[1] & 3;

	start_seek(f, unit, c[2] - f->drive[unit].s->pcn, c[2], c[1] & ST0_HEAD);
}

static void relative_seek(struct fdc *f)
{
	const u8 *c = f->state.command;
	unsigned unit = c[1] & 3;
	int steps = c[0] & UP ? c[2] : -c[2];

	start_seek(f, unit, steps, f->drive[unit].s->pcn + steps, c[1] & ST0_HEAD);
}

/* ---- commands without data ---- */
static void specify(struct fdc *f)
{
	memcpy(f->state.specify, f->state.command + 1, 2);
	go_idle(f);
}

static void sense_drive(struct fdc *f)
{
	u8 select = f->state.command[1] & 7, st3 = 0x28 | select;
	const struct fdc_drive *d = &f->drive[select & 3];

	if (d->drive && !d->s->track)
		st3 |= 0x10;
	if (d->drive && d->format && d->drive->disk && disk_read_only(d->drive->disk))
		st3 |= 0x40;
	result(f, st3);
}

static void sense_interrupt(struct fdc *f)
{
	struct fdc_state *s = &f->state;
	unsigned unit = 0;
	u8 bytes[2];

	if (s->polled) {
		unit = FDC_DRIVES - s->polled--;
		bytes[0] = ST0_POLLED | unit;
		s->irq_reset = 0;
	} else {
		while (unit < FDC_DRIVES && !s->drive[unit].seek_done)
			unit++;
		if (unit == FDC_DRIVES) {
			invalid(f);
			return;
		}
		s->drive[unit].seek_done = 0;
		bytes[0] = s->drive[unit].result;
	}
	bytes[1] = s->drive[unit].pcn;
	fdc_command_results(f, bytes, sizeof bytes, false);
}

static void dump_registers(struct fdc *f)
{
	const struct fdc_state *s = &f->state;
	u8 bytes[10];

	for (unsigned i = 0; i < FDC_DRIVES; i++)
		bytes[i] = s->drive[i].pcn;
	memcpy(bytes + 4, s->specify, 2);
	bytes[6] = s->last_eot;
	bytes[7] = s->locked << 7 | s->perpendicular;
	memcpy(bytes + 8, s->config, 2);
	fdc_command_results(f, bytes, sizeof bytes, false);
}

static void perpendicular(struct fdc *f)
{
	u8 value = f->state.command[1], old = f->state.perpendicular;

	f->state.perpendicular = value & 0x80 ? value & 0x3f : (old & 0x3c) | (value & 3);
	go_idle(f);
}

static void configure(struct fdc *f)
{
	f->state.config[0] = f->state.command[2] & 0x7f;
	f->state.config[1] = f->state.command[3];
	go_idle(f);
}

static void lock(struct fdc *f)
{
	f->state.locked = f->state.command[0] >> 7;
	result(f, f->state.locked << 4);
}

static void version(struct fdc *f)
{
	result(f, 0x90);
}

static void part_id(struct fdc *f)
{
	result(f, 0x41);
}

/* ---- the table ---- */
static const struct command commands[] = {
	{0x1f, 0x06, 9, NULL, KIND_READ},
	{0x3f, 0x05, 9, NULL, KIND_WRITE},
	{0x1f, 0x0c, 9, NULL, KIND_READ_DELETED},
	{0x3f, 0x09, 9, NULL, KIND_WRITE},
	{0x9f, 0x02, 9, NULL, KIND_READ_TRACK},
	{0x1f, 0x16, 9, NULL, KIND_VERIFY},
	{0xbf, 0x0d, 6, NULL, KIND_FORMAT},
	{0x1f, 0x11, 9, NULL, KIND_SCAN_EQUAL},
	{0x1f, 0x19, 9, NULL, KIND_SCAN_LOW},
	{0x1f, 0x1d, 9, NULL, KIND_SCAN_HIGH},
	{0xbf, 0x0a, 2, NULL, KIND_READ_ID},
	{0xff, 0x07, 2, recalibrate, 0},
	{0xff, 0x08, 1, sense_interrupt, 0},
	{0xff, 0x03, 3, specify, 0},
	{0xff, 0x04, 2, sense_drive, 0},
	{0xff, 0x0f, 3, seek, 0},
	{0xbf, 0x8f, 3, relative_seek, 0},
	{0xff, 0x10, 1, version, 0},
	{0xff, 0x0e, 1, dump_registers, 0},
	{0xff, 0x12, 2, perpendicular, 0},
	{0xff, 0x13, 4, configure, 0},
	{0x7f, 0x14, 1, lock, 0},
	{0xff, 0x18, 1, part_id, 0},
};

static const struct command *find(u8 code)
{
	for (unsigned i = 0; i < ARRAY_LEN(commands); i++)
		if ((code & commands[i].mask) == commands[i].code)
			return &commands[i];
	return NULL;
}

void fdc_command_write(struct fdc *f, u8 value)
{
	struct fdc_state *s = &f->state;
	const struct command *c;

	if (s->phase == FDC_IDLE) {
		s->taken = 0;
		s->phase = FDC_TAKING;
	}
	s->command[s->taken++] = value;
	c = find(s->command[0]);
	if (!c) {
		invalid(f);
		return;
	}
	if (s->taken < c->bytes)
		return;
	TRACE(ev_command, "%02x %02x %02x %02x %02x %02x %02x %02x %02x", s->command[0], s->command[1], s->command[2], s->command[3],
	      s->command[4], s->command[5], s->command[6], s->command[7], s->command[8]);
	if (c->run)
		c->run(f);
	else
		fdc_transfer_start(f, c->kind);
	if (s->phase != FDC_TAKING)
		s->taken = 0;
}

void fdc_command_loaded(struct fdc *f)
{
	struct fdc_state *s = &f->state;
	const struct command *c = find(s->command[0]);

	s->phase %= FDC_PHASES;
	if (s->phase == FDC_TAKING && (!c || !s->taken || s->taken >= c->bytes))
		s->phase = FDC_IDLE;
	if (s->phase != FDC_TAKING)
		s->taken = 0;
	s->results = MIN(s->results, FDC_RESULT);
	s->given = MIN(s->given, s->results);
	if (s->phase == FDC_RESULTING && s->given == s->results)
		s->phase = FDC_IDLE;
	s->config[0] &= 0x7f;
	s->locked &= 1;
	s->perpendicular &= 0x3f;
}
