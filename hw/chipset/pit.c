/* SPDX-License-Identifier: MIT */
/* The 8254 interval timer and port 61h. Intel 8254 datasheet (231164-005); PC/AT port B.
 * No counter ticks: what a counter holds and what its OUT pin shows are computed from the time at which it was loaded. Time is
 * counted in periods of the 1.193182 MHz input since power-on.
 * Not implemented: parity and channel check bits of port 61h (they read back what was written).
 *
 * Output pin "irq0": OUT of channel 0. Only its rising edges are placed in time, because nothing in a PC sees more: a low phase
 * may be as short as the pulse that announces the edge. Of the edges for which the host had no time, each is made up for at the
 * next one (lost_rises()); the IOAPIC keeps count of those that the CPU did not take in time either.
 * Invariants: count and next are 1..65536; load_at means something while null_count is set and the counter runs in mode 2 or 3. */
#include "hw/chipset/apicbus.h"
#include "hw/chipset/ticks.h"
#include "hw/device.h"
#include "hw/sound/speaker.h"

#define PIT_HZ 1193182u
#define REFRESH_NS 15085u   /* toggle period of the refresh bit */
#define MIN_PULSE_NS 2000u  /* a guest that asks for more interrupts than this gets one in this time */

enum phase { IDLE, WAITING, RUNNING }; /* no count since the control word; waiting for a trigger; counting */
enum access { ACCESS_LOW = 1, ACCESS_HIGH = 2, ACCESS_WORD = 3 };

struct channel {
	u64 start;   /* input period at which the counting element was loaded; may lie one ahead, or wrap below 0 in mode 3 */
	u64 hold;    /* elapsed periods while the gate stops the counter; the frozen value when IDLE */
	u64 load_at; /* when `next` gets into the counting element */
	u32 count;   /* what the counting element was loaded with */
	u32 next;    /* the count register */
	u16 latch;
	u8 mode, bcd, access, phase, gate;
	u8 null_count;     /* the count register was not loaded yet */
	u8 load_low;       /* mode 3: that load begins a low half */
	u8 write_low;      /* first byte of a word */
	u8 write_second, read_second; /* which byte of a word is next */
	u8 latched;        /* bytes of the latch that are still to be read */
	u8 status_latched, status;
	u8 pad;
};

struct pit_state {
	struct channel channel[3];
	u8 port61; /* bits 0-3 */
	u8 out;    /* level of the output pin */
	u8 pad[6];
};

struct pit {
	struct device device;
	struct pit_state state;
	struct region counters, port61;
	struct timer timer;
	u64 due; /* input period at which the timer fires, or CLOCK_NEVER */
};

TRACE_EVENT(ev_mode, "pit.mode");
TRACE_EVENT(ev_count, "pit.count");

/* ---- time ---- */
static u64 now_ticks(struct pit *pit)
{
	return clock_ticks(clock_now(pit->timer.clock), PIT_HZ);
}

/* The first ns of an input period. */
static u64 tick_ns(u64 tick)
{
	return ((u128)tick * NS_PER_S + PIT_HZ - 1) / PIT_HZ;
}

/* ---- a channel ---- */
static bool stopped(const struct channel *c)
{
	return !c->gate && c->mode != 1 && c->mode != 5;
}

static u64 elapsed(const struct channel *c, u64 t)
{
	if (stopped(c))
		return c->hold;
	return (i64)(t - c->start) < 0 ? 0 : t - c->start;
}

static u32 high_half(u32 count)
{
	return (count + 1) / 2;
}

/* Take the new count of modes 2 and 3 over if its time has come. */
static void settle(struct channel *c, u64 t)
{
	if (!c->null_count || c->phase != RUNNING || stopped(c) || (c->mode != 2 && c->mode != 3) || (i64)(t - c->load_at) < 0)
		return;
	c->count = c->next;
	c->start = c->load_low ? c->load_at - high_half(c->count) : c->load_at;
	c->null_count = 0;
}

static bool output(const struct channel *c, u64 t)
{
	u64 d = elapsed(c, t);

	if (c->phase != RUNNING)
		return c->mode != 0;
	switch (c->mode) {
	case 0:
		return d >= c->count;
	case 1:
		return d >= c->count || (i64)(t - c->start) < 0;
	case 2:
		return !c->gate || d % c->count != c->count - 1;
	case 3:
		return !c->gate || d % c->count < high_half(c->count);
	default:
		return d != c->count;
	}
}

static u16 to_bcd(u32 value)
{
	value %= 10000;
	return value / 1000 << 12 | value / 100 % 10 << 8 | value / 10 % 10 << 4 | value % 10;
}

/* The counting element as the guest reads it. */
static u16 value(const struct channel *c, u64 t)
{
	u64 d = elapsed(c, t), modulus = c->bcd ? 10000 : 0x10000, v;

	if (c->phase == IDLE)
		return c->hold;
	if (c->phase == WAITING) {
		v = c->next;
	} else if (c->mode == 2) {
		v = c->count - d % c->count;
	} else if (c->mode == 3) {
		d %= c->count;
		if (d >= high_half(c->count))
			d -= high_half(c->count);
		v = (c->count & ~1u) - 2 * d;
	} else {
		v = modulus + c->count - d % modulus;
	}
	return c->bcd ? to_bcd(v % modulus) : v;
}

static void load(struct channel *c, u64 t)
{
	c->count = c->next;
	c->start = t + 1;
	c->hold = 0;
	c->null_count = 0;
	c->phase = RUNNING;
}

/* A complete count was written. */
static void set_count(struct channel *c, u32 raw, u64 t)
{
	u64 d;

	if (c->bcd)
		raw = (raw >> 12) * 1000 + (raw >> 8 & 15) * 100 + (raw >> 4 & 15) * 10 + (raw & 15);
	c->next = raw ? raw : c->bcd ? 10000 : 0x10000;
	c->null_count = 1;
	TRACE(ev_count, "mode %u count %u", c->mode, c->next);
	if (c->mode == 1 || c->mode == 5) {
		if (c->phase == IDLE)
			c->phase = WAITING;
	} else if (c->mode == 0 || c->mode == 4 || c->phase != RUNNING) {
		load(c, t);
	} else if (!stopped(c)) {
		/* periodic: at the end of the period, in mode 3 of the half */
		d = elapsed(c, t) % c->count;
		c->load_low = c->mode == 3 && d < high_half(c->count);
		c->load_at = t - d + (c->load_low ? high_half(c->count) : c->count);
		if ((i64)(t - c->start) < 0)
			c->load_at++;
	}
}

static void set_gate(struct channel *c, bool level, u64 t)
{
	if (level == c->gate)
		return;
	if (!level) {
		settle(c, t);
		if (c->phase == RUNNING)
			c->hold = elapsed(c, t);
		c->gate = 0;
		return;
	}
	c->gate = 1;
	if (c->phase == IDLE)
		return;
	if (c->mode == 0 || c->mode == 4)
		c->start = t - c->hold;
	else
		load(c, t); /* a trigger */
}

/* When OUT rises next, or CLOCK_NEVER. */
static u64 next_rise(const struct channel *c, u64 t)
{
	u64 d = elapsed(c, t), period;

	if (c->phase != RUNNING || stopped(c))
		return CLOCK_NEVER;
	period = c->start + d - d % c->count + c->count;
	switch (c->mode) {
	case 0:
	case 1:
		return d < c->count ? c->start + c->count : CLOCK_NEVER;
	case 2:
	case 3:
		if (c->count == 1) /* OUT never moves */
			return CLOCK_NEVER;
		/* a load that begins a low half shifts the end of the period */
		return c->null_count && c->load_low ? c->load_at + c->next / 2 : period;
	default:
		return d <= c->count ? c->start + c->count + 1 : CLOCK_NEVER;
	}
}

/* ---- channel 0 and its interrupt ---- */
static void drive(struct pit *pit, bool level)
{
	pit->state.out = level;
	irq_set(&pit->device.out[0], level);
}

static void schedule(struct pit *pit, u64 t)
{
	u64 rise = next_rise(&pit->state.channel[0], t);

	pit->due = rise;
	timer_arm(&pit->timer, rise == CLOCK_NEVER ? CLOCK_NEVER : tick_ns(rise));
}

/* After a change to channel 0. */
static void update(struct pit *pit, u64 t)
{
	bool level = output(&pit->state.channel[0], t);

	if (level != pit->state.out)
		drive(pit, level);
	schedule(pit, t);
}

/* How many edges of a periodic mode came after the one that is due, and before now: the host ran something else for longer
 * than a period. Guests count them as time. */
static u64 lost_rises(const struct pit *pit, u64 t)
{
	const struct channel *c = &pit->state.channel[0];

	if (c->phase != RUNNING || (c->mode != 2 && c->mode != 3) || c->null_count || (i64)(t - pit->due) < 0 ||
	    tick_ns(c->count) < MIN_PULSE_NS)
		return 0;
	return MIN((t - pit->due) / c->count, TICKS_OWED_MAX);
}

static void rose(void *opaque)
{
	struct pit *pit = opaque;
	u64 t = now_ticks(pit), soonest = clock_now(pit->timer.clock) + MIN_PULSE_NS, edges = 1 + lost_rises(pit, t);

	settle(&pit->state.channel[0], t);
	while (edges--) {
		if (pit->state.out)
			drive(pit, false);
		drive(pit, true);
	}
	schedule(pit, t);
	if (pit->timer.deadline < soonest)
		timer_arm(&pit->timer, soonest);
}

/* ---- the speaker ---- */
/* What channel 2 does to the cone from now on. A count that waits for the end of a half period is heard at once. */
static struct speaker_wave make_wave(const struct channel *c, u64 now, u64 t)
{
	struct speaker_wave w = {.start = now, .level = output(c, t)};
	u64 d = elapsed(c, t);
	u32 count = c->null_count && c->mode == 3 ? c->next : c->count, half = high_half(count);

	if (c->phase != RUNNING || stopped(c))
		return w;
	if (c->mode == 3) {
		u32 at = d % count;
		w.level = at < half;
		w.first = tick_ns(w.level ? half - at : count - at);
		w.high = tick_ns(half);
		w.low = count > half ? tick_ns(count - half) : 0;
	} else if (c->mode < 2 && !w.level && d < c->count) {
		w.first = tick_ns(c->count - d); /* one pulse */
	}
	return w;
}

static void speak(struct pit *pit)
{
	const struct speaker *speaker = pit->device.machine->speaker;
	const struct pit_state *s = &pit->state;
	u64 now = clock_now(pit->timer.clock);

	if (!speaker)
		return;
	struct speaker_wave wave = {.start = now};
	if (s->port61 & 2)
		wave = make_wave(&s->channel[2], now, now_ticks(pit));
	speaker->wave(speaker->opaque, &wave);
}

/* ---- registers ---- */
static void latch_count(struct channel *c, u64 t)
{
	if (c->latched)
		return;
	c->latch = value(c, t);
	c->latched = c->access == ACCESS_WORD ? 2 : 1;
	if (c->access == ACCESS_HIGH)
		c->latch >>= 8;
}

static void latch_status(struct channel *c, u64 t)
{
	bool null = c->null_count || (c->phase == RUNNING && !stopped(c) && (i64)(t - c->start) < 0);

	if (c->status_latched)
		return;
	c->status = (u8)output(c, t) << 7 | (u8)null << 6 | c->access << 4 | c->mode << 1 | c->bcd;
	c->status_latched = 1;
}

static void write_control(struct pit *pit, u8 control, u64 t)
{
	unsigned n = control >> 6, mode = control >> 1 & 7;
	struct channel *c;

	if (n == 3) { /* read-back */
		for (unsigned i = 0; i < 3; i++) {
			if (!(control & 2 << i))
				continue;
			if (!(control & 0x20))
				latch_count(&pit->state.channel[i], t);
			if (!(control & 0x10))
				latch_status(&pit->state.channel[i], t);
		}
		return;
	}
	c = &pit->state.channel[n];
	if (!(control & 0x30)) {
		latch_count(c, t);
		return;
	}
	TRACE(ev_mode, "channel %u control %02x", n, control);
	c->hold = value(c, t);
	c->phase = IDLE;
	c->mode = mode > 5 ? mode & 3 : mode;
	c->bcd = control & 1;
	c->access = control >> 4 & 3;
	c->null_count = 1;
	c->write_second = c->read_second = c->latched = c->status_latched = 0;
	if (n == 0) {
		apicbus_forget_ticks(pit->device.machine);
		update(pit, t);
	}
}

static void write_counter(struct pit *pit, unsigned n, u8 byte, u64 t)
{
	struct channel *c = &pit->state.channel[n];

	if (c->access == ACCESS_WORD && !c->write_second) {
		c->write_low = byte;
		c->write_second = 1;
		if (c->mode == 0) { /* the first byte stops the counter */
			c->hold = value(c, t);
			c->phase = IDLE;
		}
	} else {
		c->write_second = 0;
		set_count(c, c->access == ACCESS_WORD ? c->write_low | byte << 8 : c->access == ACCESS_HIGH ? byte << 8 : byte, t);
	}
	if (n == 0)
		update(pit, t);
}

static u8 read_counter(struct channel *c, u64 t)
{
	u8 byte;

	if (c->status_latched) {
		c->status_latched = 0;
		return c->status;
	}
	if (c->latched) {
		c->latched--;
		byte = c->latch;
		c->latch >>= 8;
		return byte;
	}
	if (c->access == ACCESS_WORD)
		c->read_second ^= 1;
	return c->access == ACCESS_HIGH || (c->access == ACCESS_WORD && !c->read_second) ? value(c, t) >> 8 : value(c, t);
}

static void settle_all(struct pit *pit, u64 t)
{
	for (unsigned i = 0; i < 3; i++)
		settle(&pit->state.channel[i], t);
}

static u64 counters_read(void *opaque, u64 offset, unsigned size)
{
	struct pit *pit = opaque;
	u64 t = now_ticks(pit);

	(void)size;
	if (offset > 2)
		return 0; /* the control word cannot be read */
	settle_all(pit, t);
	return read_counter(&pit->state.channel[offset], t);
}

static void counters_write(void *opaque, u64 offset, u64 v, unsigned size)
{
	struct pit *pit = opaque;
	u64 t = now_ticks(pit);

	(void)size;
	settle_all(pit, t);
	if (offset > 2)
		write_control(pit, v, t);
	else
		write_counter(pit, offset, v, t);
	if (pit->state.port61 & 2 && (offset == 2 || (offset == 3 && v >> 6 == 2)))
		speak(pit);
}
static const struct region_ops counters_ops = {.read = counters_read, .write = counters_write, .max = 1};

static u64 port61_read(void *opaque, u64 offset, unsigned size)
{
	struct pit *pit = opaque;
	u64 now = clock_now(pit->timer.clock), t = now_ticks(pit);

	(void)offset, (void)size;
	settle_all(pit, t);
	return pit->state.port61 | (now / REFRESH_NS & 1) << 4 | (u64)output(&pit->state.channel[2], t) << 5;
}

static void port61_write(void *opaque, u64 offset, u64 v, unsigned size)
{
	struct pit *pit = opaque;

	(void)offset, (void)size;
	u8 changed = pit->state.port61 ^ v;

	pit->state.port61 = v & 0x0f;
	set_gate(&pit->state.channel[2], v & 1, now_ticks(pit));
	if (changed & 3)
		speak(pit);
}
static const struct region_ops port61_ops = {.read = port61_read, .write = port61_write, .max = 1};

/* ---- the device ---- */
static bool pit_init(struct device *device, struct err *err)
{
	struct pit *pit = (struct pit *)device;

	(void)err;
	timer_init(&pit->timer, device->machine->clock, rose, pit);
	pit->counters = (struct region){.name = "pit", .size = 4, .ops = &counters_ops, .opaque = pit};
	bus_map_io(device->machine->bus, &pit->counters, 0x40);
	pit->port61 = (struct region){.name = "port61", .size = 1, .ops = &port61_ops, .opaque = pit};
	bus_map_io(device->machine->bus, &pit->port61, 0x61);
	return true;
}

static void pit_reset(struct device *device)
{
	struct pit *pit = (struct pit *)device;

	memset(&pit->state, 0, sizeof pit->state);
	/* the datasheet leaves it open what they are before the first control word */
	for (unsigned i = 0; i < 3; i++)
		pit->state.channel[i] = (struct channel){.mode = 0, .access = ACCESS_WORD, .count = 0x10000, .next = 0x10000,
		                                         .gate = i != 2, .null_count = 1};
	drive(pit, false);
	timer_cancel(&pit->timer);
}

static void pit_loaded(struct device *device)
{
	struct pit *pit = (struct pit *)device;

	for (unsigned i = 0; i < 3; i++) {
		struct channel *c = &pit->state.channel[i];

		c->count = MIN(MAX(c->count, 1u), 0x10000u);
		c->next = MIN(MAX(c->next, 1u), 0x10000u);
		c->mode = MIN(c->mode, 5);
		c->access = MAX(c->access & 3, 1);
		c->phase = MIN(c->phase, RUNNING);
		c->bcd &= 1;
		c->gate = i == 2 ? c->gate & 1 : 1;
		c->latched = MIN(c->latched, 2);
		c->write_second &= 1;
		c->read_second &= 1;
	}
	pit->state.port61 &= 0x0f;
	pit->state.out &= 1;
	drive(pit, pit->state.out);
	schedule(pit, now_ticks(pit));
}

static void pit_destroy(struct device *device)
{
	struct pit *pit = (struct pit *)device;

	timer_cancel(&pit->timer);
	bus_unmap(device->machine->bus, &pit->counters);
	bus_unmap(device->machine->bus, &pit->port61);
}

static const struct field channel_fields[] = {
	FIELD(struct channel, start, "input period at which it was loaded"),
	FIELD(struct channel, hold, "elapsed periods while stopped"),
	FIELD(struct channel, load_at, "input period of the next load"),
	FIELD(struct channel, count, "count being worked off"),
	FIELD(struct channel, next, "count register"),
	FIELD(struct channel, latch, "latched count"),
	FIELD(struct channel, mode, "mode"),
	FIELD(struct channel, bcd, "counts in BCD"),
	FIELD(struct channel, access, "1 low byte, 2 high byte, 3 both"),
	FIELD(struct channel, phase, "0 idle, 1 waits for a trigger, 2 runs"),
	FIELD(struct channel, gate, "gate pin"),
	FIELD(struct channel, null_count, "count register not loaded yet"),
	FIELD(struct channel, load_low, "that load begins a low half"),
	FIELD(struct channel, write_low, "first byte written"),
	FIELD(struct channel, write_second, "second byte is written next"),
	FIELD(struct channel, read_second, "second byte is read next"),
	FIELD(struct channel, latched, "bytes latched"),
	FIELD(struct channel, status_latched, "status is latched"),
	FIELD(struct channel, status, "latched status"),
	FIELD(struct channel, pad, ""),
	FIELD_END,
};
static const struct field pit_fields[] = {
	FIELD_SUBS(struct pit_state, channel, channel_fields, "channels"),
	FIELD(struct pit_state, port61, "port 61h, bits 0-3"),
	FIELD(struct pit_state, out, "output pin"),
	FIELD_ARRAY(struct pit_state, pad, ""),
	FIELD_END,
};
static const char *const pit_pins[] = {"irq0", NULL};

DEVICE(pit) = {
	.name = "pit",
	.desc = "8254 interval timer",
	.size = sizeof(struct pit),
	.state_offset = offsetof(struct pit, state),
	.state_size = sizeof(struct pit_state),
	.fields = pit_fields,
	.pins = pit_pins,
	.init = pit_init,
	.reset = pit_reset,
	.loaded = pit_loaded,
	.destroy = pit_destroy,
};
