/* SPDX-License-Identifier: MIT */
/* Local APICs and the IOAPIC together, as an SMP kernel drives them. */
#include "hw/chipset/apicbus.h"
#include "hw/chipset/lapic.h"
#include "tests/dev/bench.h"

enum { ID = 0x20, TPR = 0x80, PPR = 0xa0, EOI = 0xb0, LDR = 0xd0, DFR = 0xe0, SVR = 0xf0, ISR = 0x100, TMR = 0x180, IRR = 0x200,
       ESR = 0x280, ICR = 0x300, ICR2 = 0x310, LVT_TIMER = 0x320, LVT_LINT0 = 0x350, LVT_LINT1 = 0x360, LVT_ERROR = 0x370,
       INITIAL = 0x380, CURRENT = 0x390, DIVIDE = 0x3e0 };

static struct bench *b;
static struct device *cpu[3], *ioapic;
static struct wire intr[3], nmi[3], init[3], sipi[3], smi[3];

static void start(void)
{
	b = bench_new();
	ioapic = bench_add(b, "ioapic", NULL);
	for (unsigned i = 0; i < 3; i++) {
		char options[64];

		snprintf(options, sizeof options, "cpu=%u,tsc-hz=2500000000", i);
		intr[i] = nmi[i] = init[i] = sipi[i] = smi[i] = (struct wire){0};
		cpu[i] = bench_create(b, "lapic", options);
		bench_tie(b, cpu[i], "intr", &intr[i]);
		bench_tie(b, cpu[i], "nmi", &nmi[i]);
		bench_tie(b, cpu[i], "init", &init[i]);
		bench_tie(b, cpu[i], "sipi", &sipi[i]);
		bench_tie(b, cpu[i], "smi", &smi[i]);
		bench_start(cpu[i]);
		lapic_write(cpu[i], SVR, 0x1ff);
	}
}

static u32 vector_reg(struct device *d, u32 reg, unsigned vector)
{
	return lapic_read(d, reg + (vector >> 5) * 0x10) >> (vector & 31) & 1;
}

static void rte(unsigned pin, u64 value)
{
	wr(b, 0xfec00000, 0x11 + pin * 2, 4);
	wr(b, 0xfec00010, value >> 32, 4);
	wr(b, 0xfec00000, 0x10 + pin * 2, 4);
	wr(b, 0xfec00010, value, 4);
}

static u64 read_rte(unsigned pin)
{
	u64 value;

	wr(b, 0xfec00000, 0x11 + pin * 2, 4);
	value = rd(b, 0xfec00010, 4) << 32;
	wr(b, 0xfec00000, 0x10 + pin * 2, 4);
	return value | rd(b, 0xfec00010, 4);
}

static void power_up_state(void **state)
{
	struct device *d;

	(void)state;
	b = bench_new();
	d = bench_add(b, "lapic", "cpu=5");
	assert_int_equal(lapic_read(d, ID), 5 << 24);
	assert_int_equal(lapic_read(d, 0x30), 0x00050014);
	assert_int_equal(lapic_read(d, SVR), 0xff);
	assert_int_equal(lapic_read(d, DFR), 0xffffffff);
	for (u32 lvt = LVT_TIMER; lvt <= LVT_ERROR; lvt += 0x10)
		assert_int_equal(lapic_read(d, lvt), 0x10000);
	lapic_write(d, LVT_TIMER, 0x30); /* cannot be unmasked while software-disabled */
	assert_int_equal(lapic_read(d, LVT_TIMER), 0x10030);
	assert_int_equal(lapic_get_base(d), 0xfee00800);
	assert_false(lapic_set_base(d, 0xfee00400)); /* x2APIC, but disabled */
	assert_false(lapic_set_base(d, 0xfee00801));
	assert_false(lapic_set_base(d, 1ull << 52));
	assert_true(lapic_set_base(d, 0xfee00000));
	assert_int_equal(lapic_get_base(d), 0xfee00000);
	bench_free(b);
}

static void accept_and_eoi(void **state)
{
	struct device *d;

	(void)state;
	start();
	d = cpu[0];
	assert_true(lapic_deliver(d, 0x31, APIC_FIXED, false));
	assert_true(lapic_deliver(d, 0x52, APIC_FIXED, false));
	assert_true(intr[0].level);
	assert_int_equal(lapic_pending(d), 0x52);
	assert_int_equal(lapic_acknowledge(d), 0x52);
	assert_int_equal(vector_reg(d, ISR, 0x52), 1);
	assert_int_equal(vector_reg(d, IRR, 0x52), 0);
	assert_int_equal(lapic_read(d, PPR), 0x50);
	assert_false(intr[0].level);
	lapic_deliver(d, 0x5f, APIC_FIXED, false); /* same class: waits */
	assert_int_equal(lapic_pending(d), -1);
	lapic_deliver(d, 0x60, APIC_FIXED, false);
	assert_int_equal(lapic_acknowledge(d), 0x60);
	lapic_write(d, EOI, 0);
	lapic_write(d, EOI, 0);
	assert_int_equal(lapic_acknowledge(d), 0x5f);
	lapic_write(d, EOI, 0);
	lapic_set_tpr(d, 3);
	assert_int_equal(lapic_read(d, TPR), 0x30);
	assert_int_equal(lapic_pending(d), -1);
	assert_false(intr[0].level);
	lapic_set_tpr(d, 2);
	assert_int_equal(lapic_acknowledge(d), 0x31);
	lapic_write(d, TPR, 0x75);
	assert_int_equal(lapic_get_tpr(d), 7);
	lapic_write(d, EOI, 0);
	assert_int_equal(lapic_acknowledge(d), -1);
	bench_free(b);
}

static void x2_mode(void **state)
{
	u64 v;

	(void)state;
	start();
	assert_false(lapic_msr_read(cpu[0], 2, &v)); /* not in xAPIC mode */
	assert_true(lapic_set_base(cpu[1], 0xfee00000));
	assert_false(lapic_set_base(cpu[1], 0xfee00c00)); /* only by way of xAPIC mode */
	assert_true(lapic_set_base(cpu[1], 0xfee00800));
	for (unsigned i = 0; i < 3; i++) {
		assert_true(lapic_set_base(cpu[i], 0xfee00c00));
		assert_false(lapic_set_base(cpu[i], 0xfee00800)); /* not back */
		assert_false(lapic_set_base(cpu[i], 0xfee00400));
		assert_true(lapic_msr_read(cpu[i], 0x02, &v));
		assert_int_equal(v, i);
		assert_true(lapic_msr_read(cpu[i], 0x0d, &v));
		assert_int_equal(v, 1 << i);
		assert_true(lapic_msr_write(cpu[i], 0x0f, 0x1ff));
	}
	assert_false(lapic_msr_write(cpu[0], 0x02, 1)); /* read only */
	assert_false(lapic_msr_write(cpu[0], 0x0d, 1));
	assert_false(lapic_msr_read(cpu[0], 0x0b, &v)); /* write only */
	assert_false(lapic_msr_read(cpu[0], 0x3f, &v));
	assert_false(lapic_msr_read(cpu[0], 0x0e, &v)); /* gone: DFR, the upper half of the ICR */
	assert_false(lapic_msr_write(cpu[0], 0x31, 0));
	assert_false(lapic_msr_write(cpu[0], 0x0b, 1)); /* reserved bits */
	assert_false(lapic_msr_write(cpu[0], 0x28, 1));
	assert_false(lapic_msr_write(cpu[0], 0x08, 0x100));
	assert_false(lapic_msr_write(cpu[0], 0x30, 1ull << 20));
	assert_true(lapic_msr_write(cpu[0], 0x30, 2ull << 32 | 0x4051));
	assert_int_equal(lapic_acknowledge(cpu[2]), 0x51);
	assert_true(lapic_msr_read(cpu[0], 0x30, &v));
	assert_int_equal(v, 2ull << 32 | 0x4051);
	assert_true(lapic_msr_write(cpu[0], 0x30, 6ull << 32 | 0x4852)); /* logical: CPUs 1 and 2 */
	assert_int_equal(lapic_pending(cpu[0]), -1);
	assert_int_equal(lapic_acknowledge(cpu[1]), 0x52);
	assert_int_equal(lapic_pending(cpu[2]), -1); /* the same class is in service */
	assert_true(lapic_msr_write(cpu[2], 0x0b, 0));
	assert_int_equal(lapic_acknowledge(cpu[2]), 0x52);
	assert_true(lapic_msr_write(cpu[0], 0x30, 0xffffffffull << 32 | 0x4063)); /* everyone */
	for (unsigned i = 0; i < 3; i++)
		assert_int_equal(lapic_acknowledge(cpu[i]), 0x63);
	assert_true(lapic_msr_write(cpu[1], 0x3f, 0x74)); /* oneself */
	assert_int_equal(lapic_acknowledge(cpu[1]), 0x74);
	lapic_deliver(cpu[1], 0, APIC_INIT, false); /* INIT leaves the mode */
	assert_int_equal(lapic_get_base(cpu[1]), 0xfee00c00);
	assert_true(lapic_set_base(cpu[1], 0xfee00000));
	assert_true(lapic_set_base(cpu[1], 0xfee00800));
	assert_int_equal(lapic_read(cpu[1], ID), 1 << 24);
	bench_free(b);
}

static void ipis(void **state)
{
	(void)state;
	start();
	/* physical */
	lapic_write(cpu[0], ICR2, 1 << 24);
	lapic_write(cpu[0], ICR, 0x4000 | 0x41);
	assert_int_equal(lapic_acknowledge(cpu[1]), 0x41);
	assert_int_equal(lapic_pending(cpu[0]), -1);
	assert_int_equal(lapic_read(cpu[0], ICR) & 0x1000, 0); /* never busy */
	/* logical, flat */
	for (unsigned i = 0; i < 3; i++)
		lapic_write(cpu[i], LDR, 1u << (24 + i));
	lapic_write(cpu[0], ICR2, 6u << 24);
	lapic_write(cpu[0], ICR, 0x4800 | 0x51);
	assert_int_equal(lapic_pending(cpu[0]), -1);
	assert_int_equal(lapic_acknowledge(cpu[1]), 0x51);
	assert_int_equal(lapic_acknowledge(cpu[2]), 0x51);
	/* logical, clusters */
	for (unsigned i = 0; i < 3; i++) {
		lapic_write(cpu[i], DFR, 0x0fffffff);
		lapic_write(cpu[i], LDR, (i < 2 ? 0x10u << 24 | 1u << (24 + i) : 0x21u << 24));
	}
	lapic_write(cpu[0], ICR2, 0x13u << 24);
	lapic_write(cpu[0], ICR, 0x4800 | 0x61);
	assert_int_equal(lapic_acknowledge(cpu[0]), 0x61);
	assert_int_equal(lapic_acknowledge(cpu[1]), 0x61);
	assert_int_equal(lapic_pending(cpu[2]), -1);
	/* shorthands */
	lapic_write(cpu[0], ICR, 0x44000 | 0x71); /* self */
	assert_int_equal(lapic_acknowledge(cpu[0]), 0x71);
	lapic_write(cpu[0], ICR, 0xc4000 | 0x81); /* all but self */
	assert_int_equal(lapic_pending(cpu[0]), -1);
	assert_int_equal(lapic_acknowledge(cpu[1]), 0x81);
	assert_int_equal(lapic_acknowledge(cpu[2]), 0x81);
	lapic_write(cpu[0], ICR, 0x84000 | 0x91); /* all */
	assert_int_equal(lapic_acknowledge(cpu[0]), 0x91);
	lapic_write(cpu[0], ICR, 0xc4400); /* NMI to the others */
	assert_int_equal(nmi[0].rises, 0);
	assert_int_equal(nmi[1].rises, 1);
	assert_int_equal(nmi[2].rises, 1);
	lapic_write(cpu[0], ICR, 0xc4200);
	assert_int_equal(smi[1].rises, 1);
	bench_free(b);
}

/* INIT, INIT de-assert, SIPI, SIPI: how an OS starts a processor. */
static void starting_a_processor(void **state)
{
	(void)state;
	start();
	lapic_write(cpu[1], TPR, 0x20);
	lapic_write(cpu[0], ICR2, 1 << 24);
	lapic_write(cpu[0], ICR, 0xc500);
	assert_int_equal(init[1].rises, 1);
	assert_int_equal(lapic_read(cpu[1], TPR), 0);
	assert_int_equal(lapic_read(cpu[1], SVR), 0xff);
	assert_int_equal(lapic_read(cpu[1], ID), 1 << 24);
	lapic_write(cpu[0], ICR, 0x8500);
	assert_int_equal(init[1].rises, 1);
	lapic_write(cpu[0], ICR, 0x4600 | 0x9a);
	assert_int_equal(sipi[1].rises, 1);
	assert_int_equal(lapic_sipi_vector(cpu[1]), 0x9a);
	assert_int_equal(init[0].rises + init[2].rises + sipi[0].rises + sipi[2].rises, 0);
	bench_free(b);
}

static void errors(void **state)
{
	(void)state;
	start();
	lapic_write(cpu[0], LVT_ERROR, 0xfe);
	lapic_write(cpu[0], ICR, 0x44000 | 0x05);
	assert_int_equal(lapic_acknowledge(cpu[0]), 0xfe);
	lapic_write(cpu[0], EOI, 0);
	assert_int_equal(lapic_read(cpu[0], ESR), 0);
	lapic_write(cpu[0], ESR, 0);
	assert_int_equal(lapic_read(cpu[0], ESR), 1 << 5);
	lapic_write(cpu[0], ESR, 0);
	assert_int_equal(lapic_read(cpu[0], ESR), 0);
	assert_false(lapic_deliver(cpu[0], 3, APIC_FIXED, false));
	lapic_write(cpu[0], 0x3f0, 1);
	lapic_write(cpu[0], ESR, 0);
	assert_int_equal(lapic_read(cpu[0], ESR), 1 << 6 | 1 << 7);
	/* an error interrupt with a bad vector of its own ends there */
	lapic_write(cpu[1], LVT_ERROR, 0x01);
	lapic_read(cpu[1], 0x3f0);
	lapic_write(cpu[1], ESR, 0);
	assert_int_equal(lapic_read(cpu[1], ESR), 1 << 6 | 1 << 7);
	bench_free(b);
}

static void timer_one_shot(void **state)
{
	struct device *d;
	u64 began;

	(void)state;
	start();
	d = cpu[0];
	lapic_write(d, DIVIDE, 0x3); /* by 16 */
	lapic_write(d, LVT_TIMER, 0x40);
	began = b->now;
	lapic_write(d, INITIAL, 1000);
	bench_advance(b, 8000);
	assert_int_equal(lapic_read(d, CURRENT), 500);
	bench_advance(b, 7999);
	assert_false(intr[0].level);
	bench_advance(b, 1);
	assert_true(intr[0].level);
	assert_int_equal(intr[0].rose_at, began + 16000);
	assert_int_equal(lapic_acknowledge(d), 0x40);
	assert_int_equal(lapic_read(d, CURRENT), 0);
	assert_int_equal(lapic_read(d, INITIAL), 1000);
	bench_advance(b, NS_PER_S);
	assert_int_equal(lapic_pending(d), -1);
	/* masked: it runs, nobody is told, and unmasking does not bring it back */
	lapic_write(d, EOI, 0);
	lapic_write(d, LVT_TIMER, 0x10040);
	lapic_write(d, INITIAL, 1000);
	bench_advance(b, 20000);
	lapic_write(d, LVT_TIMER, 0x40);
	bench_advance(b, NS_PER_S);
	assert_int_equal(lapic_pending(d), -1);
	/* by 1, and stopped by a count of 0 */
	lapic_write(d, DIVIDE, 0xb);
	lapic_write(d, INITIAL, 0xffffffff);
	bench_advance(b, 1000);
	assert_int_equal(lapic_read(d, CURRENT), 0xffffffff - 1000);
	lapic_write(d, INITIAL, 0);
	assert_int_equal(lapic_read(d, CURRENT), 0);
	bench_free(b);
}

static void timer_periodic(void **state)
{
	struct device *d;

	(void)state;
	start();
	d = cpu[0];
	lapic_write(d, DIVIDE, 0xb);
	lapic_write(d, LVT_TIMER, 0x20040);
	lapic_write(d, INITIAL, 10000000);
	for (unsigned i = 0; i < 50; i++) {
		bench_advance(b, 10 * MS);
		assert_int_equal(lapic_acknowledge(d), 0x40);
		lapic_write(d, EOI, 0);
	}
	bench_advance(b, 9 * MS);
	assert_int_equal(lapic_read(d, CURRENT), 1000000);
	assert_int_equal(lapic_pending(d), -1);
	bench_round_trip(b, d);
	bench_advance(b, 1 * MS);
	assert_int_equal(lapic_acknowledge(d), 0x40);
	lapic_write(d, EOI, 0);
	/* a count nobody could serve does not stop the world */
	lapic_write(d, INITIAL, 1);
	bench_advance(b, 1 * MS);
	assert_int_equal(lapic_acknowledge(d), 0x40);
	/* masked and unmasked, the phase stays */
	lapic_write(d, EOI, 0);
	lapic_write(d, LVT_TIMER, 0x30040);
	lapic_write(d, INITIAL, 1000000);
	bench_advance(b, 1500 * US);
	lapic_write(d, LVT_TIMER, 0x20040);
	bench_advance(b, 499 * US);
	assert_int_equal(lapic_pending(d), -1);
	bench_advance(b, 1 * US);
	assert_int_equal(lapic_pending(d), 0x40);
	bench_free(b);
}

static void timer_tsc_deadline(void **state)
{
	struct device *d;
	u64 tsc = 0;

	(void)state;
	start();
	d = cpu[0];
	lapic_set_tsc_deadline(d, 12345); /* not in this mode: ignored */
	assert_int_equal(lapic_get_tsc_deadline(d), 0);
	lapic_write(d, LVT_TIMER, 0x40040);
	lapic_write(d, INITIAL, 100); /* ignored as well */
	assert_int_equal(lapic_read(d, INITIAL), 0);
	lapic_set_tsc_offset(d, 1000000);
	bench_advance(b, 1 * MS);
	tsc = b->now * 5 / 2 + 1000000;
	lapic_set_tsc_deadline(d, tsc + 2500);
	assert_int_equal(lapic_get_tsc_deadline(d), tsc + 2500);
	bench_advance(b, 999);
	assert_false(intr[0].level);
	bench_advance(b, 1);
	assert_int_equal(lapic_acknowledge(d), 0x40);
	assert_int_equal(lapic_get_tsc_deadline(d), 0);
	lapic_write(d, EOI, 0);
	/* in the past: at once */
	lapic_set_tsc_deadline(d, 1);
	assert_int_equal(lapic_acknowledge(d), 0x40);
	lapic_write(d, EOI, 0);
	/* the TSC is set back: later */
	lapic_set_tsc_deadline(d, b->now * 5 / 2 + 1000000 + 2500);
	lapic_set_tsc_offset(d, 0);
	bench_advance(b, 1000);
	assert_int_equal(lapic_pending(d), -1);
	bench_advance(b, 400 * US);
	assert_int_equal(lapic_acknowledge(d), 0x40);
	lapic_write(d, EOI, 0);
	/* never */
	lapic_set_tsc_deadline(d, ~0ull);
	bench_advance(b, 1000 * NS_PER_S);
	assert_int_equal(lapic_pending(d), -1);
	/* leaving the mode disarms */
	lapic_set_tsc_deadline(d, b->now * 5 / 2 + 2500);
	lapic_write(d, LVT_TIMER, 0x00040);
	bench_advance(b, NS_PER_S);
	assert_int_equal(lapic_pending(d), -1);
	bench_free(b);
}

static void local_pins(void **state)
{
	struct device *d;

	(void)state;
	start();
	d = cpu[0];
	/* virtual wire: what the boot CPU begins with */
	lapic_write(d, LVT_LINT0, 0x700);
	lapic_write(d, LVT_LINT1, 0x400);
	bench_input(d, 0, true);
	assert_true(intr[0].level);
	assert_int_equal(lapic_pending(d), LAPIC_EXTINT);
	lapic_deliver(d, 0x44, APIC_FIXED, false);
	assert_int_equal(lapic_acknowledge(d), 0x44); /* its own come first */
	assert_int_equal(lapic_acknowledge(d), LAPIC_EXTINT);
	bench_input(d, 0, false);
	assert_false(intr[0].level);
	bench_input(d, 1, true);
	assert_int_equal(nmi[0].rises, 1);
	bench_input(d, 1, true);
	assert_int_equal(nmi[0].rises, 1);
	lapic_write(d, LVT_LINT0, 0x10700);
	bench_input(d, 0, true);
	assert_int_equal(lapic_pending(d), -1);
	bench_input(d, 0, false);
	/* a fixed, level-triggered pin comes back until it falls */
	lapic_write(d, EOI, 0);
	lapic_write(d, LVT_LINT0, 0x8055);
	bench_input(d, 0, true);
	assert_int_equal(lapic_acknowledge(d), 0x55);
	assert_int_equal(lapic_read(d, LVT_LINT0), 0xc055);
	lapic_write(d, EOI, 0);
	assert_int_equal(lapic_acknowledge(d), 0x55);
	bench_input(d, 0, false);
	lapic_write(d, EOI, 0);
	assert_int_equal(lapic_pending(d), -1);
	assert_int_equal(lapic_read(d, LVT_LINT0), 0x8055);
	/* globally disabled, the pins are INTR and NMI */
	lapic_set_base(d, 0xfee00000);
	bench_input(d, 0, true);
	assert_int_equal(lapic_acknowledge(d), LAPIC_EXTINT);
	bench_input(d, 1, false);
	bench_input(d, 1, true);
	assert_int_equal(nmi[0].rises, 2);
	assert_false(lapic_deliver(d, 0x44, APIC_FIXED, false));
	bench_free(b);
}

static void boot_cpu_virtual_wire(void **state)
{
	struct device *d;

	(void)state;
	b = bench_new();
	d = bench_add(b, "lapic", "cpu=0");
	bench_input(d, 0, true);
	assert_int_equal(lapic_pending(d), LAPIC_EXTINT);
	bench_free(b);
}

static void ioapic_edge(void **state)
{
	(void)state;
	start();
	assert_int_equal(read_rte(4), 0x10000);
	bench_input(ioapic, 4, true); /* masked: lost */
	rte(4, 0x01ull << 56 | 0x34);
	assert_int_equal(lapic_pending(cpu[1]), -1);
	bench_input(ioapic, 4, false);
	bench_input(ioapic, 4, true);
	assert_int_equal(lapic_acknowledge(cpu[1]), 0x34);
	assert_int_equal(vector_reg(cpu[1], TMR, 0x34), 0);
	lapic_write(cpu[1], EOI, 0);
	assert_int_equal(lapic_pending(cpu[1]), -1);
	wr(b, 0xfec00000, 1, 4);
	assert_int_equal(rd(b, 0xfec00010, 4), 0x00170020);
	wr(b, 0xfec00000, 0, 4);
	wr(b, 0xfec00010, 0xff000000, 4);
	assert_int_equal(rd(b, 0xfec00010, 4), 0x0f000000);
	wr(b, 0xfec00000, 0x40, 4); /* no such register */
	wr(b, 0xfec00010, ~0u, 4);
	assert_int_equal(rd(b, 0xfec00010, 4), 0);
	bench_free(b);
}

static void ticks(unsigned pin, unsigned count)
{
	while (count--) {
		bench_input(ioapic, pin, true);
		bench_input(ioapic, pin, false);
	}
}

static unsigned serve_all(int vector)
{
	unsigned served = 0;

	for (; lapic_pending(cpu[1]) >= 0 && served < 1000; served++) {
		assert_int_equal(lapic_acknowledge(cpu[1]), vector);
		lapic_write(cpu[1], EOI, 0);
	}
	return served;
}

/* The timer's edges, on pin 2, are not lost while the CPU gets no host time. */
static void ioapic_timer_counted(void **state)
{
	(void)state;
	start();
	rte(2, 0x01ull << 56 | 0x34);
	rte(4, 0x01ull << 56 | 0x35);
	ticks(2, 20);
	assert_int_equal(serve_all(0x34), 20);
	ticks(4, 20);
	assert_int_equal(serve_all(0x35), 1);
	ticks(2, 1);
	assert_int_equal(lapic_acknowledge(cpu[1]), 0x34);
	ticks(2, 3);
	bench_round_trip(b, ioapic);
	lapic_write(cpu[1], EOI, 0);
	assert_int_equal(serve_all(0x34), 3);
	ticks(2, 2000);
	assert_int_equal(serve_all(0x34), 33);
	/* forgotten by the mask */
	ticks(2, 5);
	rte(2, 0x01ull << 56 | 0x10034);
	rte(2, 0x01ull << 56 | 0x34);
	assert_int_equal(serve_all(0x34), 1);
	/* the entry changes while some are owed: they come by the new one, or not at all, and none is stuck */
	ticks(2, 5);
	rte(2, 0x01ull << 56 | 0x36);
	assert_int_equal(serve_all(0x34), 1);
	ticks(2, 1);
	assert_true(serve_all(0x36) >= 1);
	/* forgotten when the timer is programmed anew */
	ticks(2, 5);
	apicbus_forget_ticks(&b->machine);
	assert_int_equal(serve_all(0x36), 1);
	bench_free(b);
}

/* What is meant for several goes to each at once: one that does not listen is nobody else's loss. */
static void ioapic_timer_for_all(void **state)
{
	(void)state;
	for (unsigned logical = 0; logical < 2; logical++) {
		start();
		for (unsigned i = 0; i < 3; i++)
			lapic_write(cpu[i], LDR, 1u << (24 + i));
		rte(2, (logical ? 0x07ull << 56 | 0x800 : 0xffull << 56) | 0x34);
		for (unsigned i = 0; i < 20; i++) {
			ticks(2, 1);
			assert_int_equal(serve_all(0x34), 1); /* CPU 1; the others take none */
		}
		bench_free(b);
	}
}

static void ioapic_level(void **state)
{
	(void)state;
	start();
	rte(10, 0x00ull << 56 | 0x8000 | 0x3a);
	bench_input(ioapic, 10, true);
	assert_int_equal(read_rte(10) & 0x4000, 0x4000);
	assert_int_equal(lapic_acknowledge(cpu[0]), 0x3a);
	assert_int_equal(vector_reg(cpu[0], TMR, 0x3a), 1);
	assert_int_equal(lapic_pending(cpu[0]), -1);
	lapic_write(cpu[0], EOI, 0); /* still asserted */
	assert_int_equal(lapic_acknowledge(cpu[0]), 0x3a);
	bench_input(ioapic, 10, false);
	lapic_write(cpu[0], EOI, 0);
	assert_int_equal(lapic_pending(cpu[0]), -1);
	assert_int_equal(read_rte(10) & 0x4000, 0);
	/* directed end of interrupt, as kernels do with this version */
	bench_input(ioapic, 10, true);
	assert_int_equal(lapic_acknowledge(cpu[0]), 0x3a);
	bench_input(ioapic, 10, false);
	wr(b, 0xfec00040, 0x3a, 4);
	assert_int_equal(read_rte(10) & 0x4000, 0);
	/* masked while asserted: delivered on unmasking */
	lapic_write(cpu[0], EOI, 0);
	rte(10, 0x18000 | 0x3a);
	bench_input(ioapic, 10, true);
	assert_int_equal(lapic_pending(cpu[0]), -1);
	rte(10, 0x08000 | 0x3a);
	assert_int_equal(lapic_pending(cpu[0]), 0x3a);
	/* through edge mode and back, remote IRR is gone */
	rte(10, 0x10000 | 0x3a);
	rte(10, 0x18000 | 0x3a);
	assert_int_equal(read_rte(10) & 0x4000, 0);
	bench_free(b);
}

static void lowest_priority(void **state)
{
	unsigned taken[3] = {0};

	(void)state;
	start();
	for (unsigned i = 0; i < 3; i++)
		lapic_write(cpu[i], LDR, 1u << (24 + i));
	rte(5, 0x07ull << 56 | 0x0900 | 0x45);
	for (unsigned n = 0; n < 6; n++) {
		bench_input(ioapic, 5, true);
		bench_input(ioapic, 5, false);
		for (unsigned i = 0; i < 3; i++)
			if (lapic_pending(cpu[i]) >= 0) {
				taken[i]++;
				lapic_acknowledge(cpu[i]);
				lapic_write(cpu[i], EOI, 0);
			}
	}
	for (unsigned i = 0; i < 3; i++)
		assert_int_equal(taken[i], 2); /* by turns */
	lapic_write(cpu[0], TPR, 0x50);
	lapic_write(cpu[1], TPR, 0x50);
	for (unsigned n = 0; n < 3; n++) {
		bench_input(ioapic, 5, true);
		bench_input(ioapic, 5, false);
		assert_int_equal(lapic_acknowledge(cpu[2]), 0x45);
		lapic_write(cpu[2], EOI, 0);
	}
	bench_free(b);
}

static void messages(void **state)
{
	(void)state;
	start();
	assert_true(apicbus_msi(&b->machine, 0xfee01000, 0x0066));
	assert_int_equal(lapic_acknowledge(cpu[1]), 0x66);
	assert_true(apicbus_msi(&b->machine, 0xfeeff000, 0x4400)); /* NMI to everyone */
	assert_int_equal(nmi[0].rises + nmi[1].rises + nmi[2].rises, 3);
	assert_false(apicbus_msi(&b->machine, 0xfee77000, 0x0066));
	/* ExtINT through the IOAPIC */
	rte(0, 0x0700);
	bench_input(ioapic, 0, true);
	assert_int_equal(lapic_acknowledge(cpu[0]), LAPIC_EXTINT);
	assert_int_equal(lapic_pending(cpu[0]), -1);
	bench_free(b);
}

static void saved_and_loaded(void **state)
{
	(void)state;
	start();
	rte(9, 0x8000 | 0x39);
	bench_input(ioapic, 9, true);
	bench_round_trip(b, ioapic);
	bench_round_trip(b, cpu[0]);
	assert_int_equal(lapic_acknowledge(cpu[0]), 0x39);
	lapic_write(cpu[0], EOI, 0);
	assert_int_equal(lapic_acknowledge(cpu[0]), 0x39);
	bench_free(b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(power_up_state), cmocka_unit_test(accept_and_eoi), cmocka_unit_test(ipis), cmocka_unit_test(x2_mode),
		cmocka_unit_test(starting_a_processor), cmocka_unit_test(errors), cmocka_unit_test(timer_one_shot),
		cmocka_unit_test(timer_periodic), cmocka_unit_test(timer_tsc_deadline), cmocka_unit_test(local_pins),
		cmocka_unit_test(boot_cpu_virtual_wire), cmocka_unit_test(ioapic_edge), cmocka_unit_test(ioapic_timer_counted),
		cmocka_unit_test(ioapic_timer_for_all), cmocka_unit_test(ioapic_level),
		cmocka_unit_test(lowest_priority), cmocka_unit_test(messages), cmocka_unit_test(saved_and_loaded),
	};

	return cmocka_run_group_tests_name("dev.lapic", tests, NULL, NULL);
}
