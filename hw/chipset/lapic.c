/* SPDX-License-Identifier: MIT */
/* The local APIC of one CPU, in xAPIC and x2APIC mode. Intel SDM 3A, ch. 11 (local APIC); 11.5.4 the timer, which runs at 1 GHz
 * before the divider; 11.12 x2APIC. Registers are reached by index (offset / 16), as x2APIC numbers them.
 * Not implemented: CMCI, thermal and performance interrupts (their LVT entries are
 * plain storage), focus processors, suppressed EOI broadcasts (the version register says so).
 *
 * The boot CPU starts with LINT0 as an unmasked ExtINT, as firmware would leave it (virtual wire mode), so that a guest without
 * firmware gets the PIC's interrupts.
 *
 * Invariants: while the timer runs its host timer is armed unless the interrupt is masked; `intr` is the level of the pin. */
#include "hw/chipset/lapic.h"

#include "hw/chipset/apicbus.h"

#define BASE_DEFAULT 0xfee00000ull
#define BASE_BSP BIT(8)
#define BASE_X2 BIT(10)
#define BASE_ENABLE BIT(11)
#define BASE_ADDRESS (BIT(52) - BIT(12))
#define VERSION 0x00050014 /* integrated, 6 LVT entries */
#define MIN_PERIOD_NS 2000u

enum reg {
	REG_ID = 0x02, REG_VERSION, REG_TPR = 0x08, REG_APR, REG_PPR, REG_EOI, REG_REMOTE, REG_LDR, REG_DFR, REG_SVR,
	REG_ISR = 0x10, REG_TMR = 0x18, REG_IRR = 0x20, REG_ESR = 0x28, REG_ICR = 0x30, REG_ICR_HIGH, REG_LVT = 0x32,
	REG_INITIAL = 0x38, REG_CURRENT, REG_DIVIDE = 0x3e, REG_SELF_IPI
};
enum lvt_index { LVT_TIMER, LVT_THERMAL, LVT_PERF, LVT_LINT0, LVT_LINT1, LVT_ERROR, LVTS };
enum {
	LVT_REMOTE_IRR = 1 << 14,
	LVT_LEVEL = 1 << 15,
	LVT_MASKED = 1 << 16,
	SVR_ENABLE = 1 << 8,
	ESR_SEND_VECTOR = 1 << 5,
	ESR_RECEIVE_VECTOR = 1 << 6,
	ESR_REGISTER = 1 << 7,
};
enum timer_mode { ONE_SHOT, PERIODIC, TSC_DEADLINE, TIMER_RESERVED };
enum pin { PIN_INTR, PIN_NMI, PIN_INIT, PIN_SIPI, PIN_SMI };

static const u32 lvt_writable[LVTS] = {0x700ff, 0x107ff, 0x107ff, 0x1a7ff, 0x1a7ff, 0x100ff};

struct lapic_state {
	u64 base;
	u64 tsc_deadline, tsc_offset;
	u64 timer_start; /* virtual time at which the count was the initial one */
	u32 id, tpr, ldr, dfr, svr;
	u32 esr, esr_pending;
	u32 icr, icr_high;
	u32 lvt[LVTS];
	u32 initial, divide;
	u32 isr[8], tmr[8], irr[8];
	u32 turns;       /* lowest-priority messages taken */
	u8 timer_runs;
	u8 lint[2];      /* levels of the input pins */
	u8 extint;       /* an ExtINT message waits */
	u8 sipi_vector;
	u8 intr;
	u8 pad[2];
};

struct lapic {
	struct device device;
	u64 cpu, tsc_hz; /* options */
	struct lapic_state state;
	u64 base_seen; /* state.base for readers without the lock */
	struct apic_member member;
	struct timer timer;
};

TRACE_EVENT(ev_read, "lapic.read");
TRACE_EVENT(ev_write, "lapic.write");
TRACE_EVENT(ev_error, "lapic.error");
TRACE_EVENT(ev_ipi, "lapic.ipi");

static struct lapic *self(struct device *device)
{
	return (struct lapic *)device;
}

/* ---- 256-bit vectors ---- */
static int highest(const u32 *bits)
{
	for (int i = 7; i >= 0; i--)
		if (bits[i])
			return i * 32 + 31 - __builtin_clz(bits[i]);
	return -1;
}

static bool test_bit(const u32 *bits, u8 n)
{
	return bits[n >> 5] >> (n & 31) & 1;
}

static void assign_bit(u32 *bits, u8 n, bool value)
{
	u32 bit = 1u << (n & 31);

	bits[n >> 5] = value ? bits[n >> 5] | bit : bits[n >> 5] & ~bit;
}

/* ---- priorities and the interrupt to the CPU ---- */
static bool hw_enabled(const struct lapic_state *s)
{
	return s->base & BASE_ENABLE;
}

static bool x2(const struct lapic_state *s)
{
	return (s->base & (BASE_ENABLE | BASE_X2)) == (BASE_ENABLE | BASE_X2);
}

/* x2APIC: 16 CPUs to a cluster, a bit each. */
static u32 x2_ldr(const struct lapic_state *s)
{
	return s->id >> 4 << 16 | 1u << (s->id & 15);
}

static u8 ppr(const struct lapic_state *s)
{
	int in_service = highest(s->isr);
	u8 served = in_service < 0 ? 0 : in_service & 0xf0;

	return (s->tpr & 0xf0) >= served ? s->tpr : served;
}

static bool lint_is_extint(const struct lapic_state *s, unsigned n)
{
	u32 lvt = s->lvt[LVT_LINT0 + n];

	return s->lint[n] && !(lvt & LVT_MASKED) && (lvt >> 8 & 7) == APIC_EXTINT;
}

static bool extint(const struct lapic_state *s)
{
	if (!hw_enabled(s))
		return s->lint[0]; /* the pin is INTR */
	return s->extint || lint_is_extint(s, 0) || lint_is_extint(s, 1);
}

static int pending(const struct lapic_state *s)
{
	int vector = hw_enabled(s) ? highest(s->irr) : -1;

	if (vector >= 0 && vector >> 4 > ppr(s) >> 4)
		return vector;
	return extint(s) ? LAPIC_EXTINT : -1;
}

static void update(struct lapic *l)
{
	bool intr = pending(&l->state) >= 0;

	if (intr == l->state.intr)
		return;
	l->state.intr = intr;
	irq_set(&l->device.out[PIN_INTR], intr);
}

static void pulse(struct lapic *l, enum pin pin)
{
	irq_set(&l->device.out[pin], true);
	irq_set(&l->device.out[pin], false);
}

int lapic_pending(struct device *device)
{
	return pending(&self(device)->state);
}

int lapic_acknowledge(struct device *device)
{
	struct lapic *l = self(device);
	int vector = pending(&l->state);

	if (vector == LAPIC_EXTINT) {
		l->state.extint = 0;
	} else if (vector >= 0) {
		assign_bit(l->state.irr, vector, false);
		assign_bit(l->state.isr, vector, true);
	}
	update(l);
	if (vector >= 0 && vector != LAPIC_EXTINT)
		apicbus_taken(l->device.machine, vector);
	return vector;
}

/* ---- errors ---- */
static void accept_vector(struct lapic *l, u8 vector, bool level)
{
	assign_bit(l->state.irr, vector, true);
	assign_bit(l->state.tmr, vector, level);
	update(l);
}

static void error(struct lapic *l, u32 bit)
{
	struct lapic_state *s = &l->state;
	u32 lvt = s->lvt[LVT_ERROR];
	bool known = s->esr_pending & bit;

	TRACE(ev_error, "cpu %u esr %02x", (unsigned)l->cpu, bit);
	s->esr_pending |= bit;
	if (known || lvt & LVT_MASKED)
		return;
	if ((lvt & 0xff) < 16)
		s->esr_pending |= ESR_RECEIVE_VECTOR;
	else
		accept_vector(l, lvt, false);
}

/* ---- taking messages ---- */
static void power_up(struct lapic *l, bool init);

bool lapic_requested(struct device *device, u8 vector)
{
	return self(device)->state.irr[vector / 32] & BIT(vector % 32);
}

bool lapic_enabled(struct device *device)
{
	const struct lapic_state *s = &self(device)->state;

	return hw_enabled(s) && s->svr & SVR_ENABLE;
}

bool lapic_matches(struct device *device, u32 dest, bool logical)
{
	const struct lapic_state *s = &self(device)->state;

	if (!hw_enabled(s))
		return false;
	if (dest == APIC_EVERYONE || (!logical && dest == 0xff)) /* 255 is nobody's id */
		return true;
	if (!logical)
		return dest == s->id;
	if (x2(s))
		return dest >> 16 == x2_ldr(s) >> 16 && dest & x2_ldr(s) & 0xffff;
	if (s->dfr >> 28 == 0xf)
		return s->ldr & dest & 0xff;
	if (s->dfr >> 28 != 0)
		return false;
	return (dest >> 4 == 0xf || dest >> 4 == s->ldr >> 4) && s->ldr & dest & 0xf;
}

bool lapic_busier(struct device *da, struct device *db)
{
	const struct lapic_state *a = &self(da)->state, *b = &self(db)->state;

	return ppr(a) >> 4 != ppr(b) >> 4 ? ppr(a) >> 4 > ppr(b) >> 4 : a->turns > b->turns;
}

bool lapic_deliver(struct device *device, u8 vector, unsigned mode, bool level)
{
	struct lapic *l = self(device);

	if (!hw_enabled(&l->state))
		return false;
	switch (mode) {
	case APIC_FIXED:
	case APIC_LOWEST:
		if (!(l->state.svr & SVR_ENABLE))
			return false;
		if (vector < 16) {
			error(l, ESR_RECEIVE_VECTOR);
			return false;
		}
		l->state.turns += mode == APIC_LOWEST;
		accept_vector(l, vector, level);
		return true;
	case APIC_SMI:
		pulse(l, PIN_SMI);
		return true;
	case APIC_NMI:
		pulse(l, PIN_NMI);
		return true;
	case APIC_INIT:
		power_up(l, true);
		pulse(l, PIN_INIT);
		return true;
	case APIC_SIPI:
		l->state.sipi_vector = vector;
		pulse(l, PIN_SIPI);
		return true;
	case APIC_EXTINT:
		l->state.extint = 1;
		update(l);
		return true;
	}
	return false;
}

u8 lapic_sipi_vector(struct device *device)
{
	return self(device)->state.sipi_vector;
}

/* A local source through its LVT entry. */
static void deliver_lvt(struct lapic *l, enum lvt_index n, bool level)
{
	u32 lvt = l->state.lvt[n];

	if (!(lvt & LVT_MASKED))
		lapic_deliver(&l->device, lvt, n == LVT_TIMER || n == LVT_ERROR ? APIC_FIXED : lvt >> 8 & 7, level);
}

static void deliver_lint(struct lapic *l, unsigned n)
{
	u32 *lvt = &l->state.lvt[LVT_LINT0 + n];
	bool level = (*lvt >> 8 & 7) == APIC_FIXED && *lvt & LVT_LEVEL;

	/* a level-triggered request waits for the end of the one before it */
	if (*lvt & LVT_MASKED || (level && *lvt & LVT_REMOTE_IRR))
		return;
	if (level)
		*lvt |= LVT_REMOTE_IRR;
	deliver_lvt(l, LVT_LINT0 + n, level);
}

static void lapic_input(struct device *device, unsigned n, bool level)
{
	struct lapic *l = self(device);
	bool rises;

	if (n > 1)
		return;
	rises = level && !l->state.lint[n];
	l->state.lint[n] = level;
	if (rises && !hw_enabled(&l->state)) {
		if (n == 1)
			pulse(l, PIN_NMI);
	} else if (rises && (l->state.lvt[LVT_LINT0 + n] >> 8 & 7) != APIC_EXTINT) {
		deliver_lint(l, n);
	}
	update(l);
}

static void end_of_interrupt(struct lapic *l)
{
	struct lapic_state *s = &l->state;
	int vector = highest(s->isr);

	if (vector < 0)
		return;
	assign_bit(s->isr, vector, false);
	if (test_bit(s->tmr, vector)) {
		apicbus_eoi(l->device.machine, vector);
		for (unsigned n = 0; n < 2; n++) {
			u32 *lvt = &s->lvt[LVT_LINT0 + n];

			if ((*lvt & 0xff) != (u32)vector || !(*lvt & LVT_REMOTE_IRR))
				continue;
			*lvt &= ~LVT_REMOTE_IRR;
			if (s->lint[n])
				deliver_lint(l, n);
		}
	}
	update(l);
}

/* ---- the timer ---- */
static unsigned timer_mode(const struct lapic_state *s)
{
	return s->lvt[LVT_TIMER] >> 17 & 3;
}

static u64 divider(const struct lapic_state *s)
{
	return 1ull << (((s->divide & 3) + (s->divide >> 1 & 4) + 1) & 7);
}

static u32 current_count(struct lapic *l)
{
	const struct lapic_state *s = &l->state;
	u64 gone;

	if (!s->timer_runs || !s->initial)
		return 0;
	gone = (clock_now(l->timer.clock) - s->timer_start) / divider(s);
	if (timer_mode(s) == PERIODIC)
		return s->initial - gone % s->initial;
	return gone < s->initial ? s->initial - gone : 0;
}

static u64 tsc(struct lapic *l)
{
	return clock_ticks(clock_now(l->timer.clock), l->tsc_hz);
}

static void schedule_deadline(struct lapic *l)
{
	struct lapic_state *s = &l->state;
	u64 now = tsc(l), guest = now + s->tsc_offset;
	u128 at;

	if (!s->tsc_deadline) {
		timer_cancel(&l->timer);
		return;
	}
	if (s->tsc_deadline <= guest) {
		timer_arm(&l->timer, 0);
		return;
	}
	at = (((u128)now + (s->tsc_deadline - guest)) * NS_PER_S + l->tsc_hz - 1) / l->tsc_hz;
	timer_arm(&l->timer, at < CLOCK_NEVER ? (u64)at : CLOCK_NEVER);
}

static void schedule(struct lapic *l)
{
	struct lapic_state *s = &l->state;
	u64 period = s->initial * divider(s), now = clock_now(l->timer.clock), at;

	if (timer_mode(s) == TSC_DEADLINE) {
		schedule_deadline(l);
		return;
	}
	if (!s->timer_runs || !s->initial || s->lvt[LVT_TIMER] & LVT_MASKED) {
		timer_cancel(&l->timer);
		return;
	}
	at = s->timer_start + period;
	if (timer_mode(s) == PERIODIC && now >= at) {
		at += (now - at) / period * period + period;
		at = MAX(at, now + MIN_PERIOD_NS);
	}
	timer_arm(&l->timer, at);
}

static void expired(void *opaque)
{
	struct lapic *l = opaque;
	struct lapic_state *s = &l->state;

	if (timer_mode(s) == TSC_DEADLINE) {
		/* rounding may bring us here early after the offset changed */
		if (s->tsc_deadline > tsc(l) + s->tsc_offset) {
			schedule(l);
			return;
		}
		s->tsc_deadline = 0;
	} else if (timer_mode(s) != PERIODIC) {
		s->timer_runs = 0;
	}
	deliver_lvt(l, LVT_TIMER, false);
	schedule(l);
}

/* What is due comes before what the guest does now. */
static void catch_up(struct lapic *l)
{
	if (l->timer.deadline > clock_now(l->timer.clock))
		return;
	timer_cancel(&l->timer);
	expired(l);
}

static void write_initial(struct lapic *l, u32 value)
{
	struct lapic_state *s = &l->state;

	if (timer_mode(s) == TSC_DEADLINE)
		return;
	s->initial = value;
	s->timer_start = clock_now(l->timer.clock);
	s->timer_runs = value != 0;
	schedule(l);
}

static void write_divide(struct lapic *l, u32 value)
{
	struct lapic_state *s = &l->state;
	u32 left = current_count(l);

	s->divide = value & 0xb;
	s->timer_runs = left != 0;
	s->timer_start = clock_now(l->timer.clock) - (s->initial - left) * divider(s);
	schedule(l);
}

static void write_timer_lvt(struct lapic *l, u32 value)
{
	struct lapic_state *s = &l->state;
	u32 left = current_count(l);
	unsigned was = timer_mode(s);

	s->lvt[LVT_TIMER] = value;
	if (was != timer_mode(s) && (was == TSC_DEADLINE || timer_mode(s) == TSC_DEADLINE)) {
		s->timer_runs = 0;
		s->tsc_deadline = 0;
	} else {
		/* a one-shot that has run out while it was masked does not come back as a periodic one */
		s->timer_runs = left != 0;
		s->timer_start = clock_now(l->timer.clock) - (s->initial - left) * divider(s);
	}
	schedule(l);
}

void lapic_set_tsc_offset(struct device *device, u64 offset)
{
	struct lapic *l = self(device);

	if (l->state.tsc_offset == offset)
		return;
	catch_up(l);
	l->state.tsc_offset = offset;
	schedule(l);
}

u64 lapic_get_tsc_deadline(struct device *device)
{
	struct lapic *l = self(device);

	catch_up(l);
	return timer_mode(&l->state) == TSC_DEADLINE ? l->state.tsc_deadline : 0;
}

void lapic_set_tsc_deadline(struct device *device, u64 value)
{
	struct lapic *l = self(device);

	catch_up(l);
	if (timer_mode(&l->state) != TSC_DEADLINE)
		return;
	l->state.tsc_deadline = value;
	schedule(l);
	catch_up(l); /* a deadline in the past interrupts at once */
}

/* ---- interprocessor interrupts ---- */
static void send_ipi(struct lapic *l)
{
	const struct lapic_state *s = &l->state;
	struct machine *machine = l->device.machine;
	struct apic_message m = {
		.dest = x2(s) ? s->icr_high : s->icr_high >> 24,
		.logical = s->icr & BIT(11),
		.mode = s->icr >> 8 & 7,
		.vector = s->icr,
	};

	TRACE(ev_ipi, "cpu %u icr %08x %08x", (unsigned)l->cpu, s->icr_high, s->icr);
	/* INIT level de-assert only synchronised arbitration ids, long ago */
	if (m.mode == APIC_INIT && !(s->icr & BIT(14)) && s->icr & BIT(15))
		return;
	if (m.mode == APIC_RESERVED || m.mode == APIC_EXTINT)
		return;
	if ((m.mode == APIC_FIXED || m.mode == APIC_LOWEST) && m.vector < 16) {
		error(l, ESR_SEND_VECTOR);
		return;
	}
	switch (s->icr >> 18 & 3) {
	case 0:
		apicbus_send(machine, &m);
		break;
	case 1:
		if (m.mode != APIC_INIT && m.mode != APIC_SIPI)
			lapic_deliver(&l->device, m.vector, m.mode, false);
		break;
	case 2:
		apicbus_broadcast(machine, &m, NULL);
		break;
	case 3:
		apicbus_broadcast(machine, &m, &l->device);
		break;
	}
}

/* ---- registers ---- */
static bool reg_read(struct lapic *l, unsigned reg, u32 *value)
{
	const struct lapic_state *s = &l->state;

	switch (reg) {
	case REG_ID:
		*value = x2(s) ? s->id : s->id << 24;
		break;
	case REG_VERSION:
		*value = VERSION;
		break;
	case REG_TPR:
		*value = s->tpr;
		break;
	case REG_PPR:
		*value = ppr(s);
		break;
	case REG_APR:
	case REG_EOI:
	case REG_REMOTE:
		*value = 0;
		break;
	case REG_LDR:
		*value = x2(s) ? x2_ldr(s) : s->ldr << 24;
		break;
	case REG_DFR:
		*value = s->dfr;
		break;
	case REG_SVR:
		*value = s->svr;
		break;
	case REG_ISR ... REG_ISR + 7:
		*value = s->isr[reg - REG_ISR];
		break;
	case REG_TMR ... REG_TMR + 7:
		*value = s->tmr[reg - REG_TMR];
		break;
	case REG_IRR ... REG_IRR + 7:
		*value = s->irr[reg - REG_IRR];
		break;
	case REG_ESR:
		*value = s->esr;
		break;
	case REG_ICR:
		*value = s->icr;
		break;
	case REG_ICR_HIGH:
		*value = s->icr_high;
		break;
	case REG_LVT ... REG_LVT + LVTS - 1:
		*value = s->lvt[reg - REG_LVT];
		break;
	case REG_INITIAL:
		*value = timer_mode(s) == TSC_DEADLINE ? 0 : s->initial;
		break;
	case REG_CURRENT:
		*value = current_count(l);
		break;
	case REG_DIVIDE:
		*value = s->divide;
		break;
	default:
		*value = 0;
		return false;
	}
	return true;
}

static void write_lvt(struct lapic *l, unsigned n, u32 value)
{
	struct lapic_state *s = &l->state;

	value &= lvt_writable[n];
	if (!(s->svr & SVR_ENABLE))
		value |= LVT_MASKED;
	if (n == LVT_TIMER) {
		write_timer_lvt(l, value);
		return;
	}
	if (value & LVT_LEVEL)
		value |= s->lvt[n] & LVT_REMOTE_IRR;
	s->lvt[n] = value;
	if (value & LVT_LEVEL && (n == LVT_LINT0 || n == LVT_LINT1) && s->lint[n - LVT_LINT0])
		deliver_lint(l, n - LVT_LINT0);
	update(l);
}

static void mask_all(struct lapic *l)
{
	for (unsigned n = 0; n < LVTS; n++)
		l->state.lvt[n] |= LVT_MASKED;
	schedule(l);
	update(l);
}

static bool reg_write(struct lapic *l, unsigned reg, u32 value)
{
	struct lapic_state *s = &l->state;

	switch (reg) {
	case REG_ID:
		s->id = value >> 24;
		break;
	case REG_TPR:
		s->tpr = value & 0xff;
		update(l);
		break;
	case REG_EOI:
		end_of_interrupt(l);
		break;
	case REG_LDR:
		s->ldr = value >> 24;
		break;
	case REG_DFR:
		s->dfr = value | 0x0fffffff;
		break;
	case REG_SVR:
		s->svr = value & 0x1ff;
		if (!(s->svr & SVR_ENABLE))
			mask_all(l);
		break;
	case REG_ESR:
		s->esr = s->esr_pending;
		s->esr_pending = 0;
		break;
	case REG_ICR:
		s->icr = value & 0x000ccfff;
		send_ipi(l);
		break;
	case REG_ICR_HIGH:
		s->icr_high = value & 0xff000000;
		break;
	case REG_LVT ... REG_LVT + LVTS - 1:
		write_lvt(l, reg - REG_LVT, value);
		break;
	case REG_INITIAL:
		write_initial(l, value);
		break;
	case REG_DIVIDE:
		write_divide(l, value);
		break;
	case REG_VERSION:
	case REG_APR:
	case REG_PPR:
	case REG_REMOTE:
	case REG_ISR ... REG_IRR + 7:
	case REG_CURRENT:
		break; /* read only */
	default:
		return false;
	}
	return true;
}

u32 lapic_read(struct device *device, u32 offset)
{
	struct lapic *l = self(device);
	u32 value;

	catch_up(l);
	if (!reg_read(l, offset >> 4 & 0xff, &value))
		error(l, ESR_REGISTER);
	TRACE(ev_read, "cpu %u offset %03x value %08x", (unsigned)l->cpu, offset, value);
	return value;
}

void lapic_write(struct device *device, u32 offset, u32 value)
{
	struct lapic *l = self(device);

	TRACE(ev_write, "cpu %u offset %03x value %08x", (unsigned)l->cpu, offset, value);
	catch_up(l);
	if (!reg_write(l, offset >> 4 & 0xff, value))
		error(l, ESR_REGISTER);
}

u64 lapic_get_tpr(struct device *device)
{
	return self(device)->state.tpr >> 4;
}

void lapic_set_tpr(struct device *device, u64 cr8)
{
	self(device)->state.tpr = (cr8 & 0xf) << 4;
	update(self(device));
}

/* ---- x2APIC ---- */
/* What is there as MSRs, and which bits may be written. */
static bool x2_readable(unsigned reg)
{
	switch (reg) {
	case REG_ID: case REG_VERSION: case REG_TPR: case REG_PPR: case REG_LDR: case REG_SVR: case REG_ESR: case REG_ICR:
	case REG_INITIAL: case REG_CURRENT: case REG_DIVIDE:
	case REG_ISR ... REG_IRR + 7:
	case REG_LVT ... REG_LVT + LVTS - 1:
		return true;
	}
	return false;
}

static bool x2_writable(unsigned reg, u64 value)
{
	switch (reg) {
	case REG_TPR: return value <= 0xff;
	case REG_EOI: case REG_ESR: return !value;
	case REG_SVR: return !(value & ~0x1ffull);
	case REG_ICR: return !(value & 0xfff33000);
	case REG_LVT ... REG_LVT + LVTS - 1: return !(value & ~(u64)(lvt_writable[reg - REG_LVT] | 0x1000 | LVT_REMOTE_IRR));
	case REG_INITIAL: return value <= ~0u;
	case REG_DIVIDE: return !(value & ~0xbull);
	case REG_SELF_IPI: return value <= 0xff;
	}
	return false;
}

bool lapic_msr_read(struct device *device, u32 reg, u64 *value)
{
	struct lapic *l = self(device);
	u32 low = 0;

	if (!x2(&l->state) || !x2_readable(reg))
		return false;
	catch_up(l);
	reg_read(l, reg, &low);
	*value = reg == REG_ICR ? (u64)l->state.icr_high << 32 | low : low;
	TRACE(ev_read, "cpu %u msr %03x value %llx", (unsigned)l->cpu, reg, (unsigned long long)*value);
	return true;
}

bool lapic_msr_write(struct device *device, u32 reg, u64 value)
{
	struct lapic *l = self(device);

	TRACE(ev_write, "cpu %u msr %03x value %llx", (unsigned)l->cpu, reg, (unsigned long long)value);
	if (!x2(&l->state) || !x2_writable(reg, value))
		return false;
	catch_up(l);
	if (reg == REG_ICR)
		l->state.icr_high = value >> 32;
	if (reg != REG_SELF_IPI)
		reg_write(l, reg, value);
	else if (value < 16)
		error(l, ESR_SEND_VECTOR);
	else
		lapic_deliver(device, value, APIC_FIXED, false);
	return true;
}

/* ---- the mode ---- */
u64 lapic_get_base(struct device *device)
{
	return __atomic_load_n(&self(device)->base_seen, __ATOMIC_RELAXED);
}

static void base_changed(struct lapic *l)
{
	__atomic_store_n(&l->base_seen, l->state.base, __ATOMIC_RELAXED);
}

bool lapic_set_base(struct device *device, u64 value)
{
	struct lapic *l = self(device);
	struct lapic_state *s = &l->state;

	if (value & ~(BASE_ADDRESS | BASE_ENABLE | BASE_X2 | BASE_BSP))
		return false;
	/* SDM figure 11-27: in by way of xAPIC mode, out by way of the disabled state */
	u64 was = s->base & (BASE_ENABLE | BASE_X2), want = value & (BASE_ENABLE | BASE_X2);
	if (want == BASE_X2 || (want == (BASE_ENABLE | BASE_X2) && !was) || (want == BASE_ENABLE && x2(s)))
		return false;
	catch_up(l);
	s->base = (value & ~BASE_BSP) | (s->base & BASE_BSP);
	base_changed(l);
	if (want != was) {
		s->id = l->cpu;
		if (x2(s))
			s->icr_high = s->ldr = 0;
	}
	if (!hw_enabled(s)) {
		s->svr &= ~SVR_ENABLE;
		mask_all(l);
	}
	update(l);
	return true;
}

/* ---- the device ---- */
/* SDM 3A 11.4.7: power-up, or INIT, which keeps the id, the base, the pins and what counts time. */
static void power_up(struct lapic *l, bool init)
{
	struct lapic_state *s = &l->state, old = *s;

	*s = (struct lapic_state){.dfr = ~0u, .svr = 0xff, .id = l->cpu, .base = BASE_DEFAULT | BASE_ENABLE};
	if (!l->cpu)
		s->base |= BASE_BSP;
	for (unsigned n = 0; n < LVTS; n++)
		s->lvt[n] = LVT_MASKED;
	if (!l->cpu && !init)
		s->lvt[LVT_LINT0] = APIC_EXTINT << 8;
	memcpy(s->lint, old.lint, sizeof s->lint);
	s->tsc_offset = old.tsc_offset;
	s->intr = old.intr;
	if (init) {
		s->id = old.id;
		s->base = old.base;
		s->turns = old.turns;
	} else {
		s->tsc_offset = 0;
	}
	base_changed(l);
	timer_cancel(&l->timer);
	update(l);
}

static bool lapic_init(struct device *device, struct err *err)
{
	struct lapic *l = self(device);

	(void)err;
	if (!l->tsc_hz)
		l->tsc_hz = NS_PER_S;
	timer_init(&l->timer, device->machine->clock, expired, l);
	l->member.lapic = device;
	apicbus_join(device->machine, &l->member);
	return true;
}

static void lapic_reset(struct device *device)
{
	power_up(self(device), false);
	irq_set(&device->out[PIN_INTR], self(device)->state.intr);
}

static void lapic_loaded(struct device *device)
{
	struct lapic *l = self(device);
	struct lapic_state *s = &l->state;

	s->base &= BASE_ADDRESS | BASE_ENABLE | BASE_X2 | BASE_BSP;
	if (!(s->base & BASE_ENABLE))
		s->base &= ~BASE_X2;
	base_changed(l);
	s->svr &= 0x1ff;
	s->divide &= 0xb;
	s->tpr &= 0xff;
	s->ldr &= 0xff;
	s->id &= 0xff;
	for (unsigned n = 0; n < LVTS; n++)
		s->lvt[n] &= lvt_writable[n] | LVT_REMOTE_IRR;
	s->intr = pending(s) >= 0;
	irq_set(&device->out[PIN_INTR], s->intr);
	schedule(l);
}

static void lapic_destroy(struct device *device)
{
	struct lapic *l = self(device);

	timer_cancel(&l->timer);
	apicbus_leave(device->machine, &l->member);
}

static const struct field lapic_fields[] = {
	FIELD(struct lapic_state, base, "IA32_APIC_BASE"),
	FIELD(struct lapic_state, tsc_deadline, "IA32_TSC_DEADLINE"),
	FIELD(struct lapic_state, tsc_offset, "guest TSC less virtual time"),
	FIELD(struct lapic_state, timer_start, "when the timer was started (virtual ns)"),
	FIELD(struct lapic_state, id, "APIC id"),
	FIELD(struct lapic_state, tpr, "task priority"),
	FIELD(struct lapic_state, ldr, "logical destination"),
	FIELD(struct lapic_state, dfr, "destination format"),
	FIELD(struct lapic_state, svr, "spurious vector"),
	FIELD(struct lapic_state, esr, "error status"),
	FIELD(struct lapic_state, esr_pending, "errors since it was written"),
	FIELD(struct lapic_state, icr, "interrupt command, low"),
	FIELD(struct lapic_state, icr_high, "interrupt command, high"),
	FIELD_ARRAY(struct lapic_state, lvt, "timer, thermal, perf, LINT0, LINT1, error"),
	FIELD(struct lapic_state, initial, "initial count"),
	FIELD(struct lapic_state, divide, "divide configuration"),
	FIELD_ARRAY(struct lapic_state, isr, "in service"),
	FIELD_ARRAY(struct lapic_state, tmr, "trigger modes"),
	FIELD_ARRAY(struct lapic_state, irr, "requests"),
	FIELD(struct lapic_state, turns, "lowest-priority messages taken"),
	FIELD(struct lapic_state, timer_runs, "the timer counts"),
	FIELD_ARRAY(struct lapic_state, lint, "levels of LINT0 and LINT1"),
	FIELD(struct lapic_state, extint, "an ExtINT message waits"),
	FIELD(struct lapic_state, sipi_vector, "vector of the last SIPI"),
	FIELD(struct lapic_state, intr, "output pin"),
	FIELD_ARRAY(struct lapic_state, pad, ""),
	FIELD_END,
};
static const struct option_key lapic_options[] = {
	{"cpu", OPTION_NUMBER, offsetof(struct lapic, cpu), 0, 254, "number of its CPU, and APIC id"},
	{"tsc-hz", OPTION_NUMBER, offsetof(struct lapic, tsc_hz), 1000000, 100000000000ull, "frequency of the TSC"},
	{.key = NULL},
};
static const char *const lapic_pins[] = {"intr", "nmi", "init", "sipi", "smi", NULL};

DEVICE(lapic) = {
	.name = "lapic",
	.desc = "local APIC of a CPU",
	.size = sizeof(struct lapic),
	.state_offset = offsetof(struct lapic, state),
	.state_size = sizeof(struct lapic_state),
	.fields = lapic_fields,
	.options = lapic_options,
	.pins = lapic_pins,
	.init = lapic_init,
	.reset = lapic_reset,
	.input = lapic_input,
	.loaded = lapic_loaded,
	.destroy = lapic_destroy,
};
