/* SPDX-License-Identifier: MIT */
/* The small devices: debug console, debug exit, QEMU's test device, coprocessor errors, ISA DMA; and the catalogue itself. */
#include <stdlib.h>

#include "hw/chipset/dma.h"
#include "tests/dev/bench.h"

static struct bench *b;
static char sent[64];
static size_t sent_len;

static void host_write(void *opaque, const u8 *data, size_t len)
{
	(void)opaque;
	for (size_t i = 0; i < len && sent_len < sizeof sent; i++)
		sent[sent_len++] = data[i];
}

static void debug_console(void **state)
{
	struct chardev chardev = {.write = host_write};
	struct device *d;

	(void)state;
	b = bench_new();
	sent_len = 0;
	d = bench_create(b, "isa-debugcon", NULL);
	d->chardev = &chardev;
	bench_start(d);
	assert_int_equal(in8(b, 0xe9), 0xe9);
	for (const char *p = "hi\n"; *p; p++)
		out8(b, 0xe9, *p);
	assert_int_equal(sent_len, 3);
	assert_memory_equal(sent, "hi\n", 3);
	d = bench_create(b, "isa-debugcon", "iobase=0x402");
	d->chardev = &chardev;
	bench_start(d);
	assert_int_equal(in8(b, 0x402), 0xe9);
	d = bench_add(b, "isa-debugcon", "iobase=0x403,readback=0x12");
	assert_int_equal(in8(b, 0x403), 0x12);
	bench_free(b);
}

static void debug_exit(void **state)
{
	(void)state;
	b = bench_new();
	bench_add(b, "isa-debug-exit", NULL);
	assert_int_equal(in8(b, 0x501), 0);
	out8(b, 0x501, 0x10);
	assert_int_equal(b->requests[MACHINE_DEBUG_EXIT], 1);
	assert_int_equal(b->request_value, 0x21);
	bench_add(b, "isa-debug-exit", "iobase=0xf4,iosize=0x04");
	out32(b, 0xf4, 0x3);
	assert_int_equal(b->request_value, 7);
	out32(b, 0xf4, 0xffffffff); /* no overflow trouble */
	assert_int_equal(b->request_value, -1);
	bench_free(b);
}

static void test_device(void **state)
{
	struct device *d;
	struct wire irq5 = {0};

	(void)state;
	b = bench_new();
	d = bench_create(b, "pc-testdev", NULL);
	bench_tie(b, d, "irq5", &irq5);
	bench_start(d);
	out32(b, 0xe0, 0x12345678);
	assert_int_equal(in32(b, 0xe0), 0x12345678);
	assert_int_equal(in16(b, 0xe2), 0x1234);
	out8(b, 0xe1, 0xaa);
	assert_int_equal(in32(b, 0xe0), 0x1234aa78);
	assert_int_equal(in32(b, 0xe8), 0x1234aa78);
	out32(b, 0xe4, 0x1000);
	out8(b, 0x2005, 1);
	assert_true(irq5.level);
	assert_int_equal(in8(b, 0x2005), 1);
	out8(b, 0x2005, 0);
	assert_false(irq5.level);
	wr(b, 0xff000008, 0x1122334455667788, 8);
	assert_int_equal(rd(b, 0xff00000c, 4), 0x11223344);
	wr(b, 0xff00fffd, 0xffffffff, 4); /* over the end */
	assert_int_equal(rd(b, 0xff00ffff, 1), 0xff);
	bench_round_trip(b, d);
	assert_int_equal(rd(b, 0xff00000c, 4), 0x11223344);
	bench_free(b);
}

/* ---- DMA ---- */
static struct device *dma;

static void start_dma(void)
{
	b = bench_new();
	dma = bench_add(b, "dma", NULL);
	out8(b, 0xd6, 0xc0); /* cascade */
	out8(b, 0xd4, 0x00);
}

/* As a floppy driver sets channel 2 up. */
static void program(u8 mode, u32 address, u16 count)
{
	out8(b, 0x0a, 0x06);
	out8(b, 0x0c, 0);
	out8(b, 0x0b, mode);
	out8(b, 0x04, address);
	out8(b, 0x04, address >> 8);
	out8(b, 0x81, address >> 16);
	out8(b, 0x05, count);
	out8(b, 0x05, count >> 8);
	out8(b, 0x0a, 0x02);
}

static void dma_to_memory(void **state)
{
	u8 buf[600];
	bool terminal;

	(void)state;
	start_dma();
	for (unsigned i = 0; i < sizeof buf; i++)
		buf[i] = i;
	assert_false(dma_ready(dma, 2));
	program(0x46, 0x01f000, 511);
	assert_true(dma_ready(dma, 2));
	assert_int_equal(dma_transfer(dma, 2, buf, 200, DMA_TO_MEMORY, &terminal), 200);
	assert_false(terminal);
	out8(b, 0x0c, 0);
	assert_int_equal(in8(b, 0x05), 311 & 0xff);
	assert_int_equal(in8(b, 0x05), 311 >> 8);
	assert_int_equal(in8(b, 0x04), 0xc8);
	assert_int_equal(in8(b, 0x04), 0xf0);
	assert_int_equal(dma_transfer(dma, 2, buf + 200, 400, DMA_TO_MEMORY, &terminal), 312);
	assert_true(terminal);
	assert_memory_equal(b->ram->hva + 0x1f000, buf, 512);
	assert_int_equal(b->ram->hva[0x1f000 + 512], 0);
	assert_int_equal(in8(b, 0x08), 0x04);
	assert_int_equal(in8(b, 0x08), 0x00);
	assert_false(dma_ready(dma, 2)); /* masked at its end */
	assert_int_equal(dma_transfer(dma, 2, buf, 1, DMA_TO_MEMORY, &terminal), 0);
	bench_free(b);
}

static void dma_modes(void **state)
{
	u8 buf[64] = {0};
	bool terminal;

	(void)state;
	start_dma();
	/* within its page: wraps at 64 KiB; starts over by itself */
	for (unsigned i = 0; i < 0x20000; i++)
		b->ram->hva[i] = i ^ i >> 8;
	program(0x5a, 0x01fff8, 15);
	assert_int_equal(dma_transfer(dma, 2, buf, 64, DMA_FROM_MEMORY, &terminal), 16);
	assert_true(terminal);
	assert_memory_equal(buf, b->ram->hva + 0x1fff8, 8);
	assert_memory_equal(buf + 8, b->ram->hva + 0x10000, 8);
	assert_true(dma_ready(dma, 2));
	assert_int_equal(dma_transfer(dma, 2, buf, 1, DMA_FROM_MEMORY, &terminal), 1);
	assert_int_equal(buf[0], b->ram->hva[0x1fff8]);
	/* downwards */
	program(0x6a, 0x010003, 3);
	dma_transfer(dma, 2, buf, 4, DMA_FROM_MEMORY, &terminal);
	for (unsigned i = 0; i < 4; i++)
		assert_int_equal(buf[i], b->ram->hva[0x10003 - i]);
	/* verify, and the wrong direction: nothing is moved */
	program(0x42, 0x010000, 3);
	memset(buf, 0x77, sizeof buf);
	assert_int_equal(dma_transfer(dma, 2, buf, 4, DMA_TO_MEMORY, &terminal), 4);
	assert_true(terminal);
	assert_int_not_equal(b->ram->hva[0x10000], 0x77);
	program(0x4a, 0x010000, 3);
	dma_transfer(dma, 2, buf, 4, DMA_TO_MEMORY, &terminal);
	assert_int_not_equal(b->ram->hva[0x10000], 0x77);
	/* words */
	out8(b, 0xd6, 0x45);
	out8(b, 0xc4, 0x00);
	out8(b, 0xc4, 0x80);
	out8(b, 0x8b, 0x01);
	out8(b, 0xc6, 0x01);
	out8(b, 0xc6, 0x00);
	out8(b, 0xd4, 0x01);
	assert_int_equal(dma_transfer(dma, 5, buf, 5, DMA_TO_MEMORY, &terminal), 4);
	assert_true(terminal);
	assert_int_equal(b->ram->hva[0x10000], 0x77);
	assert_int_equal(b->ram->hva[0x10004], 0x04);
	/* beyond memory: swallowed */
	program(0x46, 0xff0000, 0xffff);
	assert_int_equal(dma_transfer(dma, 2, buf, 64, DMA_TO_MEMORY, &terminal), 64);
	/* no such channel */
	assert_int_equal(dma_transfer(dma, 4, buf, 4, DMA_TO_MEMORY, &terminal), 0);
	assert_int_equal(dma_transfer(dma, 77, buf, 4, DMA_TO_MEMORY, &terminal), 0);
	bench_free(b);
}

static void dma_registers(void **state)
{
	(void)state;
	start_dma();
	dma_request(dma, 1, true);
	assert_int_equal(in8(b, 0x08), 0x20);
	out8(b, 0x0f, 0x05);
	assert_int_equal(in8(b, 0x0f), 0x05);
	out8(b, 0x0e, 0);
	assert_int_equal(in8(b, 0x0f), 0x00);
	out8(b, 0x0d, 0);
	assert_int_equal(in8(b, 0x0f), 0x0f);
	out8(b, 0x80, 0x42); /* where POST codes go */
	assert_int_equal(in8(b, 0x80), 0x42);
	assert_false(dma_ready(dma, 2));
	out8(b, 0x0e, 0);
	assert_true(dma_ready(dma, 2));
	out8(b, 0xd4, 0x04); /* without the cascade, nothing */
	assert_false(dma_ready(dma, 2));
	bench_free(b);
}

/* ---- the catalogue ---- */
static void catalogue(void **state)
{
	const struct device_class *before = NULL;
	struct err err = {0};
	struct device *d;
	unsigned n = 0;

	(void)state;
	for (const struct device_class *c = device_first(); c; before = c, c = c->next, n++) {
		assert_non_null(c->desc);
		assert_ptr_equal(device_find(c->name), c);
		assert_true(!before || strcmp(before->name, c->name) < 0);
		assert_true(c->state_offset + c->state_size <= c->size);
	}
	assert_true(n >= 16);
	b = bench_new();
	assert_null(device_create("nonsense-device", "x", NULL, &b->machine, &err));
	assert_int_equal(err.code, EXIT_USAGE);
	assert_null(device_create("pc-testdev", "x", "iobase=5", &b->machine, &err));
	assert_int_equal(err.code, EXIT_USAGE);
	d = device_create("pc-testdev", "x", "", &b->machine, &err);
	assert_non_null(d);
	device_input(d, 3); /* takes none */
	assert_null(device_input(d, 3).fn);
	device_free(d); /* never started */
	device_free(NULL);
	d = device_create("piix3", "lonely", NULL, &b->machine, &err); /* no bus to be on */
	assert_false(device_start(d, &err));
	assert_non_null(strstr(err.text, "lonely"));
	device_free(d);
	bench_free(b);
}

/* FERR# raises IRQ13 once; port F0h ends it, and then FERR# is ignored until it has gone. */
static void coprocessor_errors(void **state)
{
	struct wire irq = {0};
	struct device *d;

	(void)state;
	b = bench_new();
	d = bench_create(b, "ferr", NULL);
	bench_tie(b, d, "irq13", &irq);
	bench_start(d);
	assert_false(irq.level);
	bench_input(d, 0, true);
	bench_input(d, 0, true);
	assert_int_equal(irq.rises, 1);
	bench_input(d, 0, false); /* it stays */
	bench_input(d, 0, true);
	assert_true(irq.level);
	out8(b, 0xf0, 0);
	assert_false(irq.level);
	bench_input(d, 0, true); /* IGNNE# */
	bench_round_trip(b, d);
	bench_input(d, 0, true);
	assert_int_equal(irq.rises, 1);
	bench_input(d, 0, false);
	bench_input(d, 0, true);
	assert_int_equal(irq.rises, 2);
	bench_round_trip(b, d);
	assert_true(irq.level);
	bench_input(d, 0, false);
	out8(b, 0xf0, 0);
	assert_false(irq.level);
	bench_input(d, 0, true); /* FERR# was gone at the write: no IGNNE# */
	assert_int_equal(irq.rises, 3);
	d->class->reset(d);
	assert_false(irq.level);
	assert_int_equal(in8(b, 0xf0), 0xff);
	bench_free(b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(debug_console), cmocka_unit_test(debug_exit), cmocka_unit_test(test_device),
		cmocka_unit_test(coprocessor_errors),
		cmocka_unit_test(dma_to_memory), cmocka_unit_test(dma_modes), cmocka_unit_test(dma_registers),
		cmocka_unit_test(catalogue),
	};

	return cmocka_run_group_tests_name("dev.misc", tests, NULL, NULL);
}
