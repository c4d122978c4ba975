/* SPDX-License-Identifier: MIT */
/* The host bridge, the PCI bus with a function on it, the ISA bridge and port 92h, as firmware and kernels probe and set them. */
#include "hw/chipset/pci.h"
#include "tests/dev/bench.h"

enum { HOST = 0, ISA = 1 << 3 };

/* ---- a function to plug in: an I/O BAR, a memory BAR, a 64-bit one, a ROM ---- */
struct card_state {
	struct pci_state pci;
	u8 irq, pad[3];
};
struct card {
	struct device device;
	struct card_state state;
	struct pci_function function;
};

static u64 card_read(void *opaque, u64 offset, unsigned size)
{
	(void)opaque;
	return (0x1000 + offset) & mask_bytes(size);
}
static const struct region_ops card_ops = {.read = card_read};

static bool card_init(struct device *device, struct err *err)
{
	struct card *c = (struct card *)device;

	c->function = (struct pci_function){.device = device, .state = &c->state.pci};
	pci_ids(&c->function, 0x1234, 0x5678, 0x02000001, 0x1af4, 0x0001, 1);
	c->function.bar[0] = (struct pci_bar){.region = {.size = 0x20, .ops = &card_ops}, .io = true};
	c->function.bar[1] = (struct pci_bar){.region = {.size = 0x1000, .ops = &card_ops}};
	c->function.bar[2] = (struct pci_bar){.region = {.size = 0x100000, .ops = &card_ops}, .wide = true, .prefetch = true};
	c->function.bar[6] = (struct pci_bar){.region = {.size = 0x800, .ops = &card_ops}};
	return pci_add(device->machine->pci, &c->function, -1, err);
}
static void card_reset(struct device *device)
{
	((struct card *)device)->state.irq = 0;
	pci_reset(&((struct card *)device)->function);
}
static void card_input(struct device *device, unsigned n, bool level)
{
	(void)n;
	((struct card *)device)->state.irq = level;
	pci_irq(&((struct card *)device)->function, level);
}
static void card_loaded(struct device *device)
{
	pci_loaded(&((struct card *)device)->function);
	pci_irq(&((struct card *)device)->function, ((struct card *)device)->state.irq & 1);
}
static void card_destroy(struct device *device)
{
	pci_remove(&((struct card *)device)->function);
}
static const struct field card_fields[] = {
	FIELD_SUB(struct card_state, pci, pci_fields, ""), FIELD(struct card_state, irq, ""), FIELD_ARRAY(struct card_state, pad, ""),
	FIELD_END,
};
DEVICE(card) = {
	.name = "test-card",
	.size = sizeof(struct card),
	.state_offset = offsetof(struct card, state),
	.state_size = sizeof(struct card_state),
	.fields = card_fields,
	.init = card_init,
	.reset = card_reset,
	.input = card_input,
	.loaded = card_loaded,
	.destroy = card_destroy,
};

static struct bench *b;
static struct device *host, *isa, *card;
static struct wire irq[16];

static void start(void)
{
	b = bench_new();
	host = bench_add(b, "i440fx", NULL);
	isa = bench_create(b, "piix3", NULL);
	for (unsigned i = 0; i < 16; i++) {
		char name[8];

		snprintf(name, sizeof name, "irq%u", i);
		irq[i] = (struct wire){0};
		bench_tie(b, isa, name, &irq[i]);
	}
	bench_start(isa);
	card = bench_add(b, "test-card", NULL);
}

#define CARD (2 << 3)

static void mechanism_1(void **state)
{
	(void)state;
	start();
	/* Linux's pci_check_type1: a byte at cfb is not the address register */
	out8(b, 0xcfb, 0x01);
	out32(b, 0xcf8, 0x80000000);
	assert_int_equal(in32(b, 0xcf8), 0x80000000);
	out8(b, 0xcf8, 0x55);
	assert_int_equal(in32(b, 0xcf8), 0x80000000);
	assert_int_equal(in32(b, 0xcfc), 0x12378086);
	assert_int_equal(in16(b, 0xcfe), 0x1237);
	assert_int_equal(in8(b, 0xcff), 0x12);
	out32(b, 0xcf8, 0); /* not enabled */
	assert_int_equal(in32(b, 0xcfc), 0xffffffff);
	assert_int_equal(cfg_read(b, HOST, 8, 4), 0x06000002);
	assert_int_equal(cfg_read(b, ISA, 0, 4), 0x70008086);
	assert_int_equal(cfg_read(b, ISA, 8, 4), 0x06010000);
	assert_int_equal(cfg_read(b, ISA, 0x0e, 1), 0x80);
	assert_int_equal(cfg_read(b, 5 << 3, 0, 4), 0xffffffff);
	assert_int_equal(cfg_read(b, 1 << 8, 0, 4), 0xffffffff); /* bus 1 */
	cfg_write(b, HOST, 0, 0, 4);
	assert_int_equal(cfg_read(b, HOST, 0, 4), 0x12378086);
	bench_free(b);
}

static void bars(void **state)
{
	(void)state;
	start();
	assert_int_equal(cfg_read(b, CARD, 0, 4), 0x56781234);
	assert_int_equal(cfg_read(b, CARD, 0x2c, 4), 0x00011af4);
	assert_int_equal(cfg_read(b, CARD, 0x3d, 1), 1);
	/* sizes, with decoding on as some systems leave it */
	cfg_write(b, CARD, 4, 3, 2);
	for (unsigned reg = 0x10; reg < 0x28; reg += 4)
		cfg_write(b, CARD, reg, 0xffffffff, 4);
	cfg_write(b, CARD, 0x30, 0xfffff800, 4);
	assert_int_equal(cfg_read(b, CARD, 0x10, 4), 0xffffffe1);
	assert_int_equal(cfg_read(b, CARD, 0x14, 4), 0xfffff000);
	assert_int_equal(cfg_read(b, CARD, 0x18, 4), 0xfff0000c);
	assert_int_equal(cfg_read(b, CARD, 0x1c, 4), 0xffffffff);
	assert_int_equal(cfg_read(b, CARD, 0x20, 4), 0);
	assert_int_equal(cfg_read(b, CARD, 0x30, 4), 0xfffff800);
	assert_int_equal(rd(b, 0xfffff000, 4), 0xffffffff);
	/* addresses */
	cfg_write(b, CARD, 0x10, 0xc000, 4);
	cfg_write(b, CARD, 0x14, 0xe0000000, 4);
	cfg_write(b, CARD, 0x18, 0x40000000, 4);
	cfg_write(b, CARD, 0x1c, 0x00000002, 4);
	cfg_write(b, CARD, 0x30, 0xe1000001, 4);
	assert_int_equal(in8(b, 0xc004), 0x04);
	assert_int_equal(rd(b, 0xe0000010, 4), 0x1010);
	assert_int_equal(rd(b, 0x240000020, 4), 0x1020);
	assert_int_equal(rd(b, 0xe1000000, 4), 0x1000);
	cfg_write(b, CARD, 0x30, 0xe1000000, 4);
	assert_int_equal(rd(b, 0xe1000000, 4), 0xffffffff);
	cfg_write(b, CARD, 4, 1, 2);
	assert_int_equal(rd(b, 0xe0000010, 4), 0xffffffff);
	assert_int_equal(in8(b, 0xc004), 0x04);
	/* RAM is not hidden by a BAR */
	cfg_write(b, CARD, 0x14, 0x00100000, 4);
	cfg_write(b, CARD, 4, 3, 2);
	wr(b, 0x100010, 0xabcdef01, 4);
	assert_int_equal(rd(b, 0x100010, 4), 0xabcdef01);
	/* saved, moved, loaded: back where it was */
	cfg_write(b, CARD, 0x14, 0xe0000000, 4);
	bench_round_trip(b, card);
	assert_int_equal(rd(b, 0xe0000010, 4), 0x1010);
	card->class->reset(card);
	assert_int_equal(rd(b, 0xe0000010, 4), 0xffffffff);
	assert_int_equal(cfg_read(b, CARD, 0x14, 4), 0);
	assert_int_equal(cfg_read(b, CARD, 0x10, 4), 1);
	bench_free(b);
}

static void bus_mastering(void **state)
{
	struct pci_function *f;
	u32 word = 0x11223344;

	(void)state;
	start();
	f = &((struct card *)card)->function;
	assert_false(pci_dma_write(f, 0x1000, &word, 4));
	assert_int_equal(rd(b, 0x1000, 4), 0);
	cfg_write(b, CARD, 4, 4, 2);
	assert_true(pci_dma_write(f, 0x1000, &word, 4));
	assert_int_equal(rd(b, 0x1000, 4), 0x11223344);
	word = 0;
	assert_true(pci_dma_read(f, 0x1000, &word, 4));
	assert_int_equal(word, 0x11223344);
	assert_false(pci_dma_read(f, ~0ull, &word, 4)); /* nonsense is survived */
	bench_free(b);
}

static void interrupt_routing(void **state)
{
	(void)state;
	start();
	/* slot 2, INTA: PIRQB, off at first */
	bench_input(card, 0, true);
	for (unsigned i = 0; i < 16; i++)
		assert_false(irq[i].level);
	assert_int_equal(cfg_read(b, CARD, 6, 2) & 8, 8);
	cfg_write(b, ISA, 0x61, 10, 1);
	assert_true(irq[10].level);
	cfg_write(b, ISA, 0x61, 11, 1);
	assert_false(irq[10].level);
	assert_true(irq[11].level);
	cfg_write(b, CARD, 4, 0x0400, 2); /* the function's own switch */
	assert_false(irq[11].level);
	cfg_write(b, CARD, 4, 0, 2);
	assert_true(irq[11].level);
	bench_round_trip(b, isa);
	bench_round_trip(b, card);
	assert_true(irq[11].level);
	bench_input(card, 0, false);
	assert_false(irq[11].level);
	assert_int_equal(irq[11].rises, 2);
	/* not to timers, keyboard and the like */
	bench_input(card, 0, true);
	for (unsigned i = 0; i < 256; i++)
		cfg_write(b, ISA, 0x61, i, 1);
	assert_int_equal(irq[0].rises + irq[1].rises + irq[2].rises + irq[8].rises + irq[13].rises, 0);
	assert_int_not_equal(irq[3].rises, 0);
	bench_free(b);
}

static void slots(void **state)
{
	struct device *more[30];
	struct err err = {0};

	(void)state;
	start();
	for (unsigned i = 0; i < 29; i++) {
		more[i] = device_create("test-card", "more", NULL, &b->machine, &err);
		assert_true(device_start(more[i], &err));
	}
	more[29] = device_create("test-card", "one-too-many", NULL, &b->machine, &err);
	assert_false(device_start(more[29], &err));
	assert_non_null(strstr(err.text, "slot"));
	assert_int_equal(cfg_read(b, 31 << 3, 0, 4), 0x56781234);
	for (unsigned i = 0; i < 30; i++)
		device_free(more[i]);
	assert_int_equal(cfg_read(b, 31 << 3, 0, 4), 0xffffffff);
	bench_free(b);
}

static void reset_control(void **state)
{
	(void)state;
	start();
	assert_int_equal(in8(b, 0xcf9), 0);
	out8(b, 0xcf9, 0x02);
	assert_int_equal(b->requests[MACHINE_RESET], 0);
	out8(b, 0xcf9, 0x06);
	assert_int_equal(b->requests[MACHINE_RESET], 1);
	/* a dword at cf8 is still the address register */
	out32(b, 0xcf8, 0x80000600);
	assert_int_equal(in32(b, 0xcf8), 0x80000600);
	assert_int_equal(b->requests[MACHINE_RESET], 1);
	bench_free(b);
}

/* ---- shadow RAM ---- */
static void shadow_ram(void **state)
{
	struct ram *rom;
	struct region region;
	struct err err = {0};

	(void)state;
	start();
	rom = ram_new("rom", 0x20000, true, false, &err);
	memset(rom->hva, 0x5a, 0x20000);
	region = (struct region){.name = "rom", .size = 0x20000, .ram = rom};
	bus_map(&b->bus, &region, 0xe0000, MAP_DEVICE);
	/* at reset: ROM where there is one, nothing elsewhere */
	assert_int_equal(rd(b, 0xf0000, 4), 0x5a5a5a5a);
	assert_int_equal(rd(b, 0xc0000, 4), 0xffffffff);
	wr(b, 0xc0000, 0, 4);
	assert_int_equal(rd(b, 0xc0000, 4), 0xffffffff);
	/* as old BIOSes shadow themselves: reads from ROM, writes to RAM, copy in place, then RAM only */
	cfg_write(b, HOST, 0x59, 0x20, 1);
	for (unsigned i = 0; i < 0x10000; i += 4)
		wr(b, 0xf0000 + i, rd(b, 0xf0000 + i, 4) + (i ? 0 : 1), 4);
	assert_int_equal(rd(b, 0xf0000, 4), 0x5a5a5a5a);
	cfg_write(b, HOST, 0x59, 0x10, 1);
	assert_int_equal(rd(b, 0xf0000, 4), 0x5a5a5a5b);
	assert_int_equal(rd(b, 0xfffff, 1), 0x5a);
	wr(b, 0xf0000, 7, 4);
	assert_int_equal(rd(b, 0xf0000, 4), 0x5a5a5a5b);
	cfg_write(b, HOST, 0x59, 0x30, 1);
	wr(b, 0xf0000, 7, 4);
	assert_int_equal(rd(b, 0xf0000, 4), 7);
	assert_int_equal(rd(b, 0xe0000, 4), 0x5a5a5a5a);
	/* the other segments, each on its own */
	for (unsigned n = 0; n < 12; n++) {
		cfg_write(b, HOST, 0x5a + n / 2, n & 1 ? 0x30 : 0x03, 1);
		wr(b, 0xc0000 + n * 0x4000, n + 100, 4);
		assert_int_equal(rd(b, 0xc0000 + n * 0x4000, 4), n + 100);
		if (n < 7)
			assert_int_equal(rd(b, 0xc0000 + (n + 1) * 0x4000, 4), 0xffffffff);
		cfg_write(b, HOST, 0x5a + n / 2, 0, 1);
		assert_int_equal(rd(b, 0xc0000 + n * 0x4000, 4), n < 8 ? 0xffffffff : 0x5a5a5a5a);
	}
	/* where no ROM lies below, "write only" reads as nothing */
	cfg_write(b, HOST, 0x5a, 0x02, 1);
	assert_int_equal(rd(b, 0xc0000, 4), 0xffffffff);
	wr(b, 0xc0000, 0x77, 1);
	cfg_write(b, HOST, 0x5a, 0x01, 1);
	assert_int_equal(rd(b, 0xc0000, 1), 0x77);
	bench_round_trip(b, host);
	assert_int_equal(rd(b, 0xc0000, 1), 0x77);
	assert_int_equal(rd(b, 0xf0000, 4), 7);
	host->class->reset(host);
	assert_int_equal(rd(b, 0xf0000, 4), 0x5a5a5a5a);
	bus_unmap(&b->bus, &region);
	bench_free(b);
	ram_free(rom);
}

static unsigned told;

static void code_written(void *opaque, u8 *hva, unsigned len)
{
	(void)opaque, (void)hva;
	told += len;
}

static void shadow_writes_are_seen(void **state)
{
	struct bus_listener listener = {.code_written = code_written};

	(void)state;
	start();
	told = 0;
	bus_listen(&b->bus, &listener);
	b->ram->watch[0xf0] = RAM_WATCH_CODE;
	cfg_write(b, HOST, 0x59, 0x20, 1);
	wr(b, 0xf0010, 0x12, 1);
	assert_int_not_equal(told, 0);
	bus_unlisten(&b->bus, &listener);
	bench_free(b);
}

static void smram(void **state)
{
	struct region vga = {.name = "vga", .size = 0x20000};

	(void)state;
	start();
	bus_map(&b->bus, &vga, 0xa0000, MAP_HOLE);
	assert_int_equal(cfg_read(b, HOST, 0x72, 1), 0x02);
	assert_int_equal(rd(b, 0xa0000, 4), 0xffffffff);
	cfg_write(b, HOST, 0x72, 0x48, 1); /* open */
	wr(b, 0xa0000, 0xcafe, 4);
	assert_int_equal(rd(b, 0xa0000, 4), 0xcafe);
	cfg_write(b, HOST, 0x72, 0x08, 1); /* enabled: in system management mode only */
	assert_int_equal(rd(b, 0xa0000, 4), 0xffffffff);
	bench_input(host, 0, true);
	assert_int_equal(rd(b, 0xa0000, 4), 0xcafe);
	bench_round_trip(b, host);
	assert_int_equal(rd(b, 0xa0000, 4), 0xcafe);
	bench_input(host, 0, false);
	assert_int_equal(rd(b, 0xa0000, 4), 0xffffffff);
	cfg_write(b, HOST, 0x72, 0x18, 1); /* locked */
	assert_int_equal(rd(b, 0xa0000, 4), 0xffffffff);
	cfg_write(b, HOST, 0x72, 0x48, 1);
	assert_int_equal(cfg_read(b, HOST, 0x72, 1), 0x1a);
	assert_int_equal(rd(b, 0xa0000, 4), 0xffffffff);
	host->class->reset(host);
	assert_int_equal(cfg_read(b, HOST, 0x72, 1), 0x02);
	bus_unmap(&b->bus, &vga);
	bench_free(b);
}

static void port_92(void **state)
{
	struct device *p92;

	(void)state;
	start();
	p92 = bench_add(b, "port92", NULL);
	assert_true(b->bus.a20_mask == ~0ull);
	out8(b, 0x92, 0x00);
	assert_true(b->bus.a20_mask == ~BIT(20));
	assert_int_equal(in8(b, 0x92), 0x00);
	bench_input(p92, 0, true); /* the keyboard controller opens it */
	assert_true(b->bus.a20_mask == ~0ull);
	assert_int_equal(in8(b, 0x92), 0x02);
	bench_round_trip(b, p92);
	assert_true(b->bus.a20_mask == ~0ull);
	bench_input(p92, 0, false);
	assert_true(b->bus.a20_mask == ~BIT(20));
	out8(b, 0x92, 0x02);
	assert_true(b->bus.a20_mask == ~0ull);
	assert_int_equal(b->requests[MACHINE_RESET], 0);
	out8(b, 0x92, 0x03);
	assert_int_equal(b->requests[MACHINE_RESET], 1);
	out8(b, 0x92, 0x03);
	assert_int_equal(b->requests[MACHINE_RESET], 1);
	bench_free(b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(mechanism_1), cmocka_unit_test(bars), cmocka_unit_test(bus_mastering),
		cmocka_unit_test(interrupt_routing), cmocka_unit_test(slots), cmocka_unit_test(reset_control),
		cmocka_unit_test(shadow_ram), cmocka_unit_test(shadow_writes_are_seen), cmocka_unit_test(smram),
		cmocka_unit_test(port_92),
	};

	return cmocka_run_group_tests_name("dev.pci", tests, NULL, NULL);
}
