/* SPDX-License-Identifier: MIT */
/* The high precision event timer at fed00000: a 64-bit counter of 100 MHz and three timers, all of them periodic if asked.
 * IA-PC HPET specification 1.0a, 2.3. Not implemented: FSB (MSI) delivery, which the capabilities do not offer.
 *
 * A timer fires when the counter reaches its comparator. One value gets more than the letter of the specification: a comparator
 * that the counter has passed by the time it is written fires at once, because a guest that was held up by its host in between
 * would else wait for the counter to come round. For the same reason a periodic timer that fired between the writes of its start
 * and of its period goes on by the period, not by the start, which stood for it. Edges of periods for which the host had no time
 * come at the next one (ticks.h).
 *
 * Input pins: 0 the PIT's output, 1 the RTC's. Output pins "irq0".."irq23" by INT_ROUTE, for IOAPIC pins; "legacy0" and "legacy8"
 * are ISA interrupts 0 and 8: timers 0 and 1 in legacy replacement mode, the input pins passed through otherwise.
 * Invariants: target is in terms of the whole 64-bit counter, in 32-bit mode too; a host timer is armed while its timer is and
 * the counter runs. */
#include "hw/chipset/apicbus.h"
#include "hw/chipset/ticks.h"
#include "hw/device.h"

#define HPET_BASE 0xfed00000u
#define TICK_NS 10u
#define MIN_PERIOD_NS 2000u
#define TIMERS 3
#define ROUTES 24
#define CAPABILITIES (((u64)TICK_NS * 1000000 << 32) | 0x8086a001 | (TIMERS - 1) << 8)
#define DEFAULT_ROUTES 0x4u /* IOAPIC pin 2, as on QEMU's pc */

enum { REG_CAP = 0x00, REG_CONFIG = 0x10, REG_ISR = 0x20, REG_COUNTER = 0xf0, REG_TIMERS = 0x100 };
enum { CONFIG_ENABLE = 1 << 0, CONFIG_LEGACY = 1 << 1 };
enum {
	TN_LEVEL = 1 << 1, TN_ENABLE = 1 << 2, TN_PERIODIC = 1 << 3, TN_PERIODIC_CAP = 1 << 4, TN_SIZE_CAP = 1 << 5, TN_SET = 1 << 6,
	TN_32BIT = 1 << 8, TN_WRITABLE = 0x3f4e,
};
enum { BEGUN = 1, BEGUN_FIRED };
enum { PIN_LEGACY0 = ROUTES, PIN_LEGACY8 };

struct hpet_timer {
	u64 comparator, period;
	u64 target; /* counter value at which it fires */
	u32 config; /* its writable bits */
	u8 armed;
	u8 begun;   /* what was written under TN_SET stands for the period too, for want of one: BEGUN, BEGUN_FIRED */
	u8 pad[2];
};

struct hpet_state {
	u64 config, isr;
	u64 count, since; /* the counter was `count` at virtual time `since`, and stands there while disabled */
	struct hpet_timer timer[TIMERS];
	u8 in[2];
	u8 pad[6];
};

struct hpet {
	struct device device;
	u64 routes; /* option intcap */
	struct hpet_state state;
	struct region region;
	struct timer timer[TIMERS];
};

TRACE_EVENT(ev_write, "hpet.write");
TRACE_EVENT(ev_fire, "hpet.fire");

static bool enabled(const struct hpet_state *s)
{
	return s->config & CONFIG_ENABLE;
}

static u64 counter(struct hpet *h)
{
	return h->state.count + (enabled(&h->state) ? (clock_now(h->timer[0].clock) - h->state.since) / TICK_NS : 0);
}

static u64 width(const struct hpet_timer *t, u64 value)
{
	return t->config & TN_32BIT ? value & 0xffffffff : value;
}

static bool periodic(const struct hpet_timer *t)
{
	return t->config & TN_PERIODIC && width(t, t->period);
}

/* ---- output pins ---- */
/* Which pin a timer drives; -1: none. */
static int pin_of(struct hpet *h, unsigned n)
{
	unsigned route = h->state.timer[n].config >> 9 & 31;

	if (h->state.config & CONFIG_LEGACY && n < 2)
		return n ? PIN_LEGACY8 : PIN_LEGACY0;
	return route < ROUTES && h->routes & BIT(route) ? (int)route : -1;
}

static bool pin_level(struct hpet *h, int pin)
{
	const struct hpet_state *s = &h->state;

	if (!(s->config & CONFIG_LEGACY) && pin >= PIN_LEGACY0)
		return s->in[pin - PIN_LEGACY0];
	for (unsigned n = 0; n < TIMERS; n++)
		if (enabled(s) && s->isr & BIT(n) && s->timer[n].config & TN_ENABLE && pin_of(h, n) == pin)
			return true;
	return false;
}

static void drive_all(struct hpet *h)
{
	for (int pin = 0; pin <= PIN_LEGACY8; pin++)
		if (pin >= PIN_LEGACY0 || h->routes & BIT(pin))
			irq_set(&h->device.out[pin], pin_level(h, pin));
}

static void hpet_input(struct device *device, unsigned n, bool level)
{
	struct hpet *h = (struct hpet *)device;

	if (n > 1)
		return;
	h->state.in[n] = level;
	if (!(h->state.config & CONFIG_LEGACY))
		irq_set(&device->out[PIN_LEGACY0 + n], level);
}

/* ---- timers ---- */
static void schedule(struct hpet *h, unsigned n)
{
	const struct hpet_state *s = &h->state;
	const struct hpet_timer *t = &s->timer[n];
	u64 gone = counter(h) - s->count;
	u128 at;

	if (!t->armed || !enabled(s)) {
		timer_cancel(&h->timer[n]);
		return;
	}
	/* a target behind the counter is due now */
	at = (i64)(t->target - s->count - gone) <= 0 ? 0 : s->since + (u128)(t->target - s->count) * TICK_NS;
	timer_arm(&h->timer[n], at < CLOCK_NEVER ? (u64)at : CLOCK_NEVER);
}

/* Aim at the next time the counter equals the comparator. passed_counts: one that lies behind is due at once. */
static void aim(struct hpet *h, unsigned n, bool passed_counts)
{
	struct hpet_timer *t = &h->state.timer[n];
	u64 now = counter(h), ahead = width(t, t->comparator - now);
	bool behind = t->config & TN_32BIT ? (i32)ahead <= 0 : (i64)ahead <= 0;

	t->armed = 1;
	if (behind && passed_counts)
		t->target = now;
	else if (behind && !(t->config & TN_32BIT))
		t->armed = 0; /* it would take thousands of years */
	else
		t->target = now + ahead;
	schedule(h, n);
}

static void fire(struct hpet *h, unsigned n)
{
	struct hpet_timer *t = &h->state.timer[n];
	int pin = pin_of(h, n);

	TRACE(ev_fire, "timer %u pin %d config %04x", n, pin, t->config);
	if (t->config & TN_LEVEL)
		h->state.isr |= BIT(n);
	if (pin < 0 || !(t->config & TN_ENABLE))
		return;
	if (!(t->config & TN_LEVEL)) {
		irq_set(&h->device.out[pin], false);
		irq_set(&h->device.out[pin], true);
	}
	irq_set(&h->device.out[pin], pin_level(h, pin));
}

static void expired(struct hpet *h, unsigned n)
{
	struct hpet_timer *t = &h->state.timer[n];
	u64 soonest = clock_now(h->timer[n].clock) + MIN_PERIOD_NS, period = width(t, t->period), times = 1;

	if (t->begun)
		t->begun = BEGUN_FIRED;
	if (periodic(t)) {
		u64 late = counter(h) - t->target, steps = late / period + 1;

		t->comparator = width(t, t->comparator + steps * period);
		t->target += steps * period;
		if (!t->begun && !(t->config & TN_LEVEL) && period * TICK_NS >= MIN_PERIOD_NS)
			times = MIN(steps, TICKS_OWED_MAX);
	} else {
		u64 now = counter(h), ahead = width(t, t->comparator - now);

		/* a 32-bit counter comes round */
		t->armed = t->config & TN_32BIT ? 1 : 0;
		t->target = now + (ahead ? ahead : BIT(32));
	}
	while (times--)
		fire(h, n);
	schedule(h, n);
	if (h->timer[n].deadline < soonest)
		timer_arm(&h->timer[n], soonest);
}

static void expired0(void *opaque) { expired(opaque, 0); }
static void expired1(void *opaque) { expired(opaque, 1); }
static void expired2(void *opaque) { expired(opaque, 2); }

/* What is due comes before what the guest does now. */
static void catch_up(struct hpet *h)
{
	for (unsigned n = 0; n < TIMERS; n++)
		if (h->timer[n].deadline <= clock_now(h->timer[n].clock)) {
			timer_cancel(&h->timer[n]);
			expired(h, n);
		}
}

/* ---- registers: 64 bits each, written whole; a 32-bit access is half of one ---- */
static u64 read_register(struct hpet *h, unsigned reg)
{
	const struct hpet_state *s = &h->state;
	const struct hpet_timer *t;

	switch (reg) {
	case REG_CAP:
		return CAPABILITIES;
	case REG_CONFIG:
		return s->config;
	case REG_ISR:
		return s->isr;
	case REG_COUNTER:
		return counter(h);
	}
	if (reg < REG_TIMERS || reg >= REG_TIMERS + 0x20 * TIMERS)
		return 0;
	t = &s->timer[(reg - REG_TIMERS) / 0x20];
	switch (reg & 0x18) {
	case 0x00:
		return h->routes << 32 | TN_PERIODIC_CAP | TN_SIZE_CAP | t->config;
	case 0x08:
		return width(t, t->comparator);
	}
	return 0;
}

static void set_counter(struct hpet *h, u64 value)
{
	h->state.count = value;
	h->state.since = clock_now(h->timer[0].clock);
}

static void write_config(struct hpet *h, u64 value)
{
	set_counter(h, counter(h));
	h->state.config = value & (CONFIG_ENABLE | CONFIG_LEGACY);
	for (unsigned n = 0; n < TIMERS; n++)
		schedule(h, n);
	drive_all(h);
}

static void write_counter(struct hpet *h, u64 value)
{
	set_counter(h, value);
	for (unsigned n = 0; n < TIMERS; n++)
		aim(h, n, false);
}

static void write_timer_config(struct hpet *h, unsigned n, u32 value)
{
	struct hpet_timer *t = &h->state.timer[n];
	u32 old = t->config;

	apicbus_forget_ticks(h->device.machine);
	t->config = value & TN_WRITABLE;
	if (!(t->config & TN_PERIODIC))
		t->config &= ~TN_SET;
	if (!(t->config & TN_LEVEL))
		h->state.isr &= ~BIT(n);
	if ((old ^ t->config) & (TN_32BIT | TN_PERIODIC)) {
		t->comparator = width(t, t->comparator);
		aim(h, n, false);
	}
	drive_all(h);
}

/* mask: the half that is written. */
static void write_comparator(struct hpet *h, unsigned n, u64 value, u64 mask)
{
	struct hpet_timer *t = &h->state.timer[n];

	mask = width(t, mask);
	if (!mask)
		return;
	if (!(t->config & TN_PERIODIC) || t->config & TN_SET)
		t->comparator = (t->comparator & ~mask) | (value & mask);
	if (t->config & TN_PERIODIC)
		t->period = (t->period & ~mask) | (value & mask);
	/* the first value written under TN_SET is where the timer starts, the next ones are its period only */
	if (!(t->config & TN_PERIODIC) || t->config & TN_SET)
		aim(h, n, true);
	if (t->config & TN_SET) {
		t->begun = BEGUN;
	} else {
		if (t->config & TN_PERIODIC && t->begun == BEGUN_FIRED) {
			t->comparator = width(t, counter(h) + t->period);
			aim(h, n, true);
		}
		t->begun = 0;
	}
	t->config &= ~TN_SET;
}

static void write_register(struct hpet *h, unsigned reg, u64 value, u64 mask)
{
	struct hpet_state *s = &h->state;
	u64 merged = (read_register(h, reg) & ~mask) | (value & mask);
	unsigned n = (reg - REG_TIMERS) / 0x20;

	switch (reg) {
	case REG_CAP:
		return;
	case REG_CONFIG:
		write_config(h, merged);
		return;
	case REG_ISR:
		s->isr &= ~(value & mask);
		drive_all(h);
		return;
	case REG_COUNTER:
		write_counter(h, merged);
		return;
	}
	if (reg < REG_TIMERS || n >= TIMERS)
		return;
	if ((reg & 0x18) == 0x00)
		write_timer_config(h, n, merged);
	else if ((reg & 0x18) == 0x08)
		write_comparator(h, n, value, mask);
}

static u64 hpet_read(void *opaque, u64 offset, unsigned size)
{
	catch_up(opaque);
	return read_register(opaque, offset & ~7ull) >> (offset & 7) * 8 & mask_bytes(size);
}

static void hpet_write(void *opaque, u64 offset, u64 value, unsigned size)
{
	unsigned shift = (offset & 7) * 8;

	TRACE(ev_write, "offset %03x size %u value %llx", (unsigned)offset, size, (unsigned long long)value);
	catch_up(opaque);
	write_register(opaque, offset & ~7ull, value << shift, mask_bytes(size) << shift);
}
static const struct region_ops hpet_ops = {.read = hpet_read, .write = hpet_write, .min = 4, .max = 8};

/* ---- the device ---- */
static bool hpet_init(struct device *device, struct err *err)
{
	struct hpet *h = (struct hpet *)device;
	static timer_fn *const fns[TIMERS] = {expired0, expired1, expired2};

	(void)err;
	if (!h->routes)
		h->routes = DEFAULT_ROUTES;
	for (unsigned n = 0; n < TIMERS; n++)
		timer_init(&h->timer[n], device->machine->clock, fns[n], h);
	h->region = (struct region){.name = "hpet", .size = 0x400, .ops = &hpet_ops, .opaque = h};
	bus_map(device->machine->bus, &h->region, HPET_BASE, MAP_DEVICE);
	return true;
}

static void hpet_reset(struct device *device)
{
	struct hpet *h = (struct hpet *)device;

	h->state = (struct hpet_state){.since = clock_now(device->machine->clock), .in = {h->state.in[0], h->state.in[1]}};
	for (unsigned n = 0; n < TIMERS; n++) {
		h->state.timer[n].comparator = ~0ull;
		timer_cancel(&h->timer[n]);
	}
	drive_all(h);
}

static void hpet_loaded(struct device *device)
{
	struct hpet *h = (struct hpet *)device;
	struct hpet_state *s = &h->state;

	s->config &= CONFIG_ENABLE | CONFIG_LEGACY;
	s->isr &= BIT(TIMERS) - 1;
	for (unsigned n = 0; n < 2; n++)
		s->in[n] &= 1;
	for (unsigned n = 0; n < TIMERS; n++) {
		s->timer[n].config &= TN_WRITABLE;
		s->timer[n].begun = MIN(s->timer[n].begun, BEGUN_FIRED);
		schedule(h, n);
	}
	drive_all(h);
}

static void hpet_destroy(struct device *device)
{
	struct hpet *h = (struct hpet *)device;

	for (unsigned n = 0; n < TIMERS; n++)
		timer_cancel(&h->timer[n]);
	bus_unmap(device->machine->bus, &h->region);
}

static const struct field timer_fields[] = {
	FIELD(struct hpet_timer, comparator, "comparator"),
	FIELD(struct hpet_timer, period, "period"),
	FIELD(struct hpet_timer, target, "counter value at which it fires"),
	FIELD(struct hpet_timer, config, "configuration"),
	FIELD(struct hpet_timer, armed, "it will fire"),
	FIELD(struct hpet_timer, begun, "its start stands for its period"),
	FIELD_ARRAY(struct hpet_timer, pad, ""),
	FIELD_END,
};
static const struct field hpet_fields[] = {
	FIELD(struct hpet_state, config, "general configuration"),
	FIELD(struct hpet_state, isr, "interrupt status"),
	FIELD(struct hpet_state, count, "main counter, then"),
	FIELD(struct hpet_state, since, "and when (virtual ns)"),
	FIELD_SUBS(struct hpet_state, timer, timer_fields, "timers"),
	FIELD_ARRAY(struct hpet_state, in, "the PIT's and the RTC's output"),
	FIELD_ARRAY(struct hpet_state, pad, ""),
	FIELD_END,
};
static const struct option_key hpet_options[] = {
	{"intcap", OPTION_NUMBER, offsetof(struct hpet, routes), 1, 0xffffff, "IOAPIC pins that the timers may be routed to (4)"},
	{.key = NULL},
};
static const char *const hpet_pins[] = {"irq0", "irq1", "irq2", "irq3", "irq4", "irq5", "irq6", "irq7", "irq8",
                                        "irq9", "irq10", "irq11", "irq12", "irq13", "irq14", "irq15", "irq16", "irq17",
                                        "irq18", "irq19", "irq20", "irq21", "irq22", "irq23", "legacy0", "legacy8", NULL};

DEVICE(hpet) = {
	.name = "hpet",
	.desc = "high precision event timer",
	.size = sizeof(struct hpet),
	.state_offset = offsetof(struct hpet, state),
	.state_size = sizeof(struct hpet_state),
	.fields = hpet_fields,
	.options = hpet_options,
	.pins = hpet_pins,
	.init = hpet_init,
	.reset = hpet_reset,
	.input = hpet_input,
	.loaded = hpet_loaded,
	.destroy = hpet_destroy,
};
