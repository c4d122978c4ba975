/* SPDX-License-Identifier: MIT */
/* The MC146818 real-time clock with 128 bytes of CMOS memory. Motorola MC146818A datasheet (1984); the memory's layout is that
 * of the PC/AT, with the memory sizes where SeaBIOS looks for them.
 * Not implemented: daylight saving (DSE is storage), the square wave pin, update cycles of 2 ms (an update takes no time; UIP
 * goes high 244 us before it, as the datasheet asks).
 *
 * Nothing ticks: the time of day is the guest's calendar plus an offset, and the flags of register C are computed from how far
 * their events have been seen. The host timer is armed only for enabled interrupts.
 * While the clock is stopped (SET, or the divider in reset) the time registers hold what the guest wrote.
 *
 * Output pin "irq8", a level: the interrupt flag of register C. */
#include "hw/chipset/rtc.h"

#define UIP_NS 244141u /* eight periods of 32.768 kHz */
#define CRYSTAL_HZ 32768u
#define DAY 86400

enum cmos {
	SECONDS, SECONDS_ALARM, MINUTES, MINUTES_ALARM, HOURS, HOURS_ALARM, WEEKDAY, MONTHDAY, MONTH, YEAR,
	REG_A, REG_B, REG_C, REG_D, EQUIPMENT = 0x14, BASE_KB = 0x15, EXTENDED_KB = 0x17,
	SUM_FIRST = 0x10, SUM_LAST = 0x2d, SUM = 0x2e, EXTENDED_KB2 = 0x30, CENTURY = 0x32, ABOVE_16M = 0x34, ABOVE_4G = 0x5b,
	CPUS = 0x5f
};
enum {
	A_UIP = 1 << 7, A_DIVIDER = 0x70, A_DIVIDER_RUN = 0x20, A_RATE = 0x0f,
	B_SET = 1 << 7, B_PIE = 1 << 6, B_AIE = 1 << 5, B_UIE = 1 << 4, B_BINARY = 1 << 2, B_24H = 1 << 1,
	C_IRQF = 1 << 7, C_PF = 1 << 6, C_AF = 1 << 5, C_UF = 1 << 4, C_FLAGS = C_PF | C_AF | C_UF,
};

struct rtc_state {
	i64 offset;        /* time of day less the calendar: seconds, */
	u64 offset_ns;     /* and ns, less than a second */
	i64 seen_second;   /* updates up to this second (since 1970) are in register C */
	u64 seen_tick;     /* periodic ticks up to this one are, in periods of the crystal */
	u8 index;          /* port 70h, with the NMI mask in bit 7 */
	u8 cmos[128];
	u8 pad[7];
};

struct rtc {
	struct device device;
	struct rtc_state state;
	struct region region;
	struct timer timer;
};

TRACE_EVENT(ev_write, "rtc.write");
TRACE_EVENT(ev_set, "rtc.set");

static struct rtc *self(struct device *device)
{
	return (struct rtc *)device;
}

/* ---- time ---- */
/* Time since 1970 as the guest has set it; years reach from 0 to far beyond what 64 bits of ns hold. */
struct moment {
	i64 s;
	u64 ns;
};

static struct moment guest_time(struct rtc *rtc)
{
	u64 calendar = clock_calendar(rtc->timer.clock), ns = calendar % NS_PER_S + rtc->state.offset_ns;

	return (struct moment){(i64)(calendar / NS_PER_S) + rtc->state.offset + (i64)(ns / NS_PER_S), ns % NS_PER_S};
}

static void set_time(struct rtc *rtc, i64 s, u64 ns)
{
	u64 calendar = clock_calendar(rtc->timer.clock), calendar_ns = calendar % NS_PER_S;

	rtc->state.offset = s - (i64)(calendar / NS_PER_S) - (ns < calendar_ns);
	rtc->state.offset_ns = (ns + NS_PER_S - calendar_ns) % NS_PER_S;
	rtc->state.seen_second = s;
}

static i64 day_of(i64 s)
{
	return (s >= 0 ? s : s - (DAY - 1)) / DAY;
}

static bool runs(const struct rtc_state *s)
{
	return !(s->cmos[REG_B] & B_SET) && (s->cmos[REG_A] & A_DIVIDER) <= A_DIVIDER_RUN;
}

static u8 encode(const struct rtc_state *s, unsigned value)
{
	return s->cmos[REG_B] & B_BINARY ? value : value / 10 << 4 | value % 10;
}

static unsigned decode(const struct rtc_state *s, u8 value)
{
	return s->cmos[REG_B] & B_BINARY ? value : (value >> 4) * 10u + (value & 15);
}

static u8 encode_hour(const struct rtc_state *s, unsigned hour)
{
	if (s->cmos[REG_B] & B_24H)
		return encode(s, hour);
	return encode(s, hour % 12 ? hour % 12 : 12) | (hour >= 12 ? 0x80 : 0);
}

static unsigned decode_hour(const struct rtc_state *s, u8 value)
{
	if (s->cmos[REG_B] & B_24H)
		return decode(s, value);
	return decode(s, value & 0x7f) % 12 + (value & 0x80 ? 12 : 0);
}

/* Days since 1970 of a date of the Gregorian calendar, and back. Years are counted from March, in eras of 400. */
static i64 days_of(i64 year, unsigned month, unsigned day)
{
	i64 y = month <= 2 ? year - 1 : year, era = (y >= 0 ? y : y - 399) / 400;
	u64 in_era = y - era * 400, in_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;

	return era * 146097 + (i64)(in_era * 365 + in_era / 4 - in_era / 100 + in_year) - 719468;
}

static void date_of(i64 days, i64 *year, unsigned *month, unsigned *day)
{
	i64 z = days + 719468, era = (z >= 0 ? z : z - 146096) / 146097;
	u64 in_era = z - era * 146097;
	u64 y = (in_era - in_era / 1460 + in_era / 36524 - in_era / 146096) / 365;
	u64 in_year = in_era - (365 * y + y / 4 - y / 100), m = (5 * in_year + 2) / 153;

	*day = in_year - (153 * m + 2) / 5 + 1;
	*month = m < 10 ? m + 3 : m - 9;
	*year = era * 400 + (i64)y + (*month <= 2);
}

/* Bring the time registers up to date. */
static void show_time(struct rtc *rtc)
{
	struct rtc_state *s = &rtc->state;
	i64 seconds = guest_time(rtc).s, days = day_of(seconds), year;
	unsigned in_day = seconds - days * DAY, month, day;

	if (!runs(s))
		return;
	date_of(days, &year, &month, &day);
	s->cmos[SECONDS] = encode(s, in_day % 60);
	s->cmos[MINUTES] = encode(s, in_day / 60 % 60);
	s->cmos[HOURS] = encode_hour(s, in_day / 3600);
	s->cmos[WEEKDAY] = encode(s, ((days + 4) % 7 + 7) % 7 + 1); /* 1970 began on a Thursday */
	s->cmos[MONTHDAY] = encode(s, day);
	s->cmos[MONTH] = encode(s, month);
	s->cmos[YEAR] = encode(s, year % 100);
	s->cmos[CENTURY] = encode(s, year / 100);
}

/* The clock goes on from what the time registers hold. fraction: ns into the second. */
static void take_time(struct rtc *rtc, u64 fraction)
{
	struct rtc_state *s = &rtc->state;
	i64 year = decode(s, s->cmos[CENTURY]) * 100 + decode(s, s->cmos[YEAR]);
	unsigned month = decode(s, s->cmos[MONTH]);
	i64 days = days_of(year, month >= 1 && month <= 12 ? month : 1, decode(s, s->cmos[MONTHDAY]));
	i64 seconds = days * DAY + decode_hour(s, s->cmos[HOURS]) * 3600 + decode(s, s->cmos[MINUTES]) * 60 +
	              decode(s, s->cmos[SECONDS]);

	TRACE(ev_set, "%lld s since 1970", (long long)seconds);
	set_time(rtc, seconds, fraction);
}

/* ---- events ---- */
static bool alarm_byte_matches(u8 alarm, u8 now)
{
	return alarm >= 0xc0 || alarm == now;
}

/* Does the alarm name a time of day at all? */
static bool alarm_possible(const struct rtc_state *s)
{
	bool hour = false, minute = false, second = false;

	for (unsigned i = 0; i < 60; i++) {
		hour |= i < 24 && alarm_byte_matches(s->cmos[HOURS_ALARM], encode_hour(s, i));
		minute |= alarm_byte_matches(s->cmos[MINUTES_ALARM], encode(s, i));
		second |= alarm_byte_matches(s->cmos[SECONDS_ALARM], encode(s, i));
	}
	return hour && minute && second;
}

/* The first second after this one at which the alarm goes off. */
static i64 next_alarm(const struct rtc_state *s, i64 second)
{
	i64 t = second + 1, end = t + DAY;

	while (t < end) {
		unsigned in_day = t - day_of(t) * DAY;

		if (!alarm_byte_matches(s->cmos[HOURS_ALARM], encode_hour(s, in_day / 3600)))
			t += 3600 - in_day % 3600;
		else if (!alarm_byte_matches(s->cmos[MINUTES_ALARM], encode(s, in_day / 60 % 60)))
			t += 60 - in_day % 60;
		else if (!alarm_byte_matches(s->cmos[SECONDS_ALARM], encode(s, in_day % 60)))
			t++;
		else
			return t;
	}
	return end;
}

/* Of the periodic interrupt, in periods of the crystal; 0 = off. */
static u64 period(const struct rtc_state *s)
{
	unsigned rate = s->cmos[REG_A] & A_RATE;

	if (!rate || (s->cmos[REG_A] & A_DIVIDER) > A_DIVIDER_RUN)
		return 0;
	return 1ull << (rate <= 2 ? rate + 6 : rate - 1);
}

static u64 now_tick(struct rtc *rtc)
{
	return clock_ticks(clock_now(rtc->timer.clock), CRYSTAL_HZ);
}

/* Put into register C what has happened since it was looked at last. */
static void collect(struct rtc *rtc)
{
	struct rtc_state *s = &rtc->state;
	i64 second = guest_time(rtc).s;
	u64 tick = now_tick(rtc);

	if (period(s) && tick / period(s) != s->seen_tick / period(s))
		s->cmos[REG_C] |= C_PF;
	s->seen_tick = tick;
	if (runs(s) && second != s->seen_second) {
		s->cmos[REG_C] |= C_UF;
		if (alarm_possible(s) && next_alarm(s, s->seen_second) <= second)
			s->cmos[REG_C] |= C_AF;
	}
	s->seen_second = second;
}

/* Drive the pin and arm the timer for the next enabled event that is not flagged yet. */
static void update(struct rtc *rtc)
{
	struct rtc_state *s = &rtc->state;
	u8 *c = &s->cmos[REG_C], wanted;
	u64 deadline = CLOCK_NEVER, now = clock_now(rtc->timer.clock);
	struct moment guest = guest_time(rtc);

	*c &= C_FLAGS;
	if (*c & s->cmos[REG_B])
		*c |= C_IRQF;
	irq_set(&rtc->device.out[0], *c & C_IRQF);

	wanted = s->cmos[REG_B] & ~*c;
	if (wanted & B_PIE && period(s)) {
		u64 tick = s->seen_tick / period(s) * period(s) + period(s);

		deadline = MIN(deadline, ((u128)tick * NS_PER_S + CRYSTAL_HZ - 1) / CRYSTAL_HZ);
	}
	if (runs(s) && wanted & B_UIE)
		deadline = MIN(deadline, now + NS_PER_S - guest.ns);
	if (runs(s) && wanted & B_AIE && alarm_possible(s))
		deadline = MIN(deadline, now + (u64)(next_alarm(s, guest.s) - guest.s) * NS_PER_S - guest.ns);
	timer_arm(&rtc->timer, deadline);
}

static void event(void *opaque)
{
	collect(opaque);
	update(opaque);
}

/* ---- registers ---- */
static bool is_time(unsigned index)
{
	return index == CENTURY || (index <= YEAR && index != SECONDS_ALARM && index != MINUTES_ALARM && index != HOURS_ALARM);
}

static void write_a(struct rtc *rtc, u8 value)
{
	struct rtc_state *s = &rtc->state;
	bool was = runs(s);

	show_time(rtc);
	s->cmos[REG_A] = value & ~A_UIP;
	/* after the reset of the divider the first update comes half a second later */
	if (!was && runs(s))
		take_time(rtc, NS_PER_S / 2);
}

static void write_b(struct rtc *rtc, u8 value)
{
	struct rtc_state *s = &rtc->state;
	bool was = runs(s);

	show_time(rtc);
	if (value & B_SET)
		value &= ~B_UIE;
	s->cmos[REG_B] = value;
	if (!was && runs(s))
		take_time(rtc, guest_time(rtc).ns);
}

static void write_register(struct rtc *rtc, unsigned index, u8 value)
{
	struct rtc_state *s = &rtc->state;

	TRACE(ev_write, "index %02x value %02x", index, value);
	collect(rtc);
	if (index == REG_A) {
		write_a(rtc, value);
	} else if (index == REG_B) {
		write_b(rtc, value);
	} else if (index != REG_C && index != REG_D) {
		if (is_time(index))
			show_time(rtc);
		s->cmos[index] = value;
		if (is_time(index) && index != WEEKDAY && runs(s))
			take_time(rtc, guest_time(rtc).ns);
	}
	update(rtc);
}

static u8 read_register(struct rtc *rtc, unsigned index)
{
	struct rtc_state *s = &rtc->state;
	u8 value;

	if (is_time(index)) {
		show_time(rtc);
	} else if (index == REG_A) {
		bool soon = runs(s) && guest_time(rtc).ns >= NS_PER_S - UIP_NS;

		return s->cmos[REG_A] | (soon ? A_UIP : 0);
	} else if (index == REG_C) {
		collect(rtc);
		update(rtc);
		value = s->cmos[REG_C];
		s->cmos[REG_C] = 0;
		update(rtc);
		return value;
	}
	return s->cmos[index];
}

static u64 rtc_read(void *opaque, u64 offset, unsigned size)
{
	struct rtc *rtc = opaque;

	(void)size;
	return offset & 1 ? read_register(rtc, rtc->state.index & 0x7f) : 0xff;
}

static void rtc_write(void *opaque, u64 offset, u64 value, unsigned size)
{
	struct rtc *rtc = opaque;

	(void)size;
	if (offset & 1)
		write_register(rtc, rtc->state.index & 0x7f, value);
	else
		rtc->state.index = value;
}
static const struct region_ops rtc_ops = {.read = rtc_read, .write = rtc_write, .max = 1};

/* ---- what the board writes ---- */
u8 rtc_get_cmos(struct device *device, u8 index)
{
	return read_register(self(device), index & 0x7f);
}

void rtc_set_cmos(struct device *device, u8 index, u8 value)
{
	u8 *cmos = self(device)->state.cmos;
	u16 sum = 0;

	cmos[index & 0x7f] = value;
	for (unsigned i = SUM_FIRST; i <= SUM_LAST; i++)
		sum += cmos[i];
	cmos[SUM] = sum >> 8;
	cmos[SUM + 1] = sum;
}

bool rtc_nmi_masked(struct device *device)
{
	return self(device)->state.index & 0x80;
}

static void set_word(struct device *device, unsigned index, u64 value, unsigned bytes)
{
	for (unsigned i = 0; i < bytes; i++)
		rtc_set_cmos(device, index + i, value >> (8 * i));
}

static void describe_memory(struct device *device)
{
	const struct machine *m = device->machine;
	u64 below = m->ram_below_4g, above = m->ram_size - m->ram_below_4g, mib = 1 << 20;
	u64 extended = below > mib ? MIN((below - mib) >> 10, 0xffffu) : 0;

	set_word(device, BASE_KB, MIN(below >> 10, 640u), 2);
	set_word(device, EXTENDED_KB, extended, 2);
	set_word(device, EXTENDED_KB2, extended, 2);
	set_word(device, ABOVE_16M, below > 16 * mib ? MIN((below - 16 * mib) >> 16, 0xffffu) : 0, 2);
	set_word(device, ABOVE_4G, MIN(above >> 16, 0xffffffu), 3);
	rtc_set_cmos(device, CPUS, m->cpus ? m->cpus - 1 : 0);
	rtc_set_cmos(device, EQUIPMENT, 0x06); /* coprocessor, PS/2 mouse */
}

/* ---- the device ---- */
static bool rtc_init(struct device *device, struct err *err)
{
	struct rtc *rtc = self(device);

	(void)err;
	timer_init(&rtc->timer, device->machine->clock, event, rtc);
	rtc->state.cmos[REG_A] = A_DIVIDER_RUN | 6; /* 1024 Hz */
	rtc->state.cmos[REG_B] = B_24H;
	rtc->state.cmos[REG_D] = 0x80; /* the battery is good */
	describe_memory(device);
	rtc->state.seen_second = guest_time(rtc).s;
	rtc->state.seen_tick = now_tick(rtc);
	rtc->region = (struct region){.name = "rtc", .size = 2, .ops = &rtc_ops, .opaque = rtc};
	bus_map_io(device->machine->bus, &rtc->region, 0x70);
	return true;
}

/* The battery keeps time and memory; a reset only turns interrupts off. */
static void rtc_reset(struct device *device)
{
	struct rtc *rtc = self(device);
	u8 *cmos = rtc->state.cmos;

	collect(rtc);
	cmos[REG_B] &= ~(B_PIE | B_AIE | B_UIE | 1 << 3);
	cmos[REG_C] = 0;
	rtc->state.index = 0;
	update(rtc);
}

static void rtc_loaded(struct device *device)
{
	struct rtc *rtc = self(device);

	rtc->state.cmos[REG_A] &= ~A_UIP;
	rtc->state.cmos[REG_D] = 0x80;
	rtc->state.offset_ns %= NS_PER_S;
	/* sums of times must not overflow: a million years are enough */
	rtc->state.offset %= (i64)DAY * 366 * 1000000;
	rtc->state.seen_second %= (i64)DAY * 366 * 1000000;
	update(rtc);
}

static void rtc_destroy(struct device *device)
{
	struct rtc *rtc = self(device);

	timer_cancel(&rtc->timer);
	bus_unmap(device->machine->bus, &rtc->region);
}

static const struct field rtc_fields[] = {
	FIELD(struct rtc_state, offset, "time of day less the calendar (s)"),
	FIELD(struct rtc_state, offset_ns, "and ns"),
	FIELD(struct rtc_state, seen_second, "updates seen"),
	FIELD(struct rtc_state, seen_tick, "periodic ticks seen"),
	FIELD(struct rtc_state, index, "port 70h"),
	FIELD_ARRAY(struct rtc_state, cmos, "registers and memory"),
	FIELD_ARRAY(struct rtc_state, pad, ""),
	FIELD_END,
};
static const char *const rtc_pins[] = {"irq8", NULL};

DEVICE(rtc) = {
	.name = "rtc",
	.desc = "real-time clock and CMOS memory",
	.size = sizeof(struct rtc),
	.state_offset = offsetof(struct rtc, state),
	.state_size = sizeof(struct rtc_state),
	.fields = rtc_fields,
	.pins = rtc_pins,
	.init = rtc_init,
	.reset = rtc_reset,
	.loaded = rtc_loaded,
	.destroy = rtc_destroy,
};
