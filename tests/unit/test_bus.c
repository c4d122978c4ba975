/* SPDX-License-Identifier: MIT */
/* mem/bus: memory, ROM, devices with every access width, ports, DMA, map changes under way, the machine lock. */
#include "mem/bus.h"

#include <pthread.h>
#include <stdlib.h>

#include "mem/dirty.h"
#include "tests/unit/unit.h"

/* A device that records what it sees. */
struct call {
	bool write;
	u64 offset, value;
	unsigned size;
};
struct device {
	struct bus *bus;
	struct call calls[64];
	unsigned count;
	u64 answer;
	bool expect_locked;
	struct region *unmap; /* taken out of the map by any access */
};

static void record(struct device *d, struct call call)
{
	if (d->expect_locked)
		assert_true(loop_locked(d->bus->loop));
	if (d->unmap)
		bus_unmap(d->bus, d->unmap);
	if (d->count < ARRAY_LEN(d->calls))
		d->calls[d->count] = call;
	d->count++;
}

static u64 device_read(void *opaque, u64 offset, unsigned size)
{
	struct device *d = opaque;

	record(d, (struct call){false, offset, 0, size});
	return d->answer >> (offset % 8 * 8); /* garbage above `size` bytes on purpose */
}

static void device_write(void *opaque, u64 offset, u64 value, unsigned size)
{
	record(opaque, (struct call){true, offset, value, size});
}

static const struct region_ops ops_any = {device_read, device_write, 1, 8};
static const struct region_ops ops_default = {device_read, device_write, 0, 0};
static const struct region_ops ops_byte = {device_read, device_write, 1, 1};
static const struct region_ops ops_dword = {device_read, device_write, 4, 4};

struct fixture {
	struct bus bus;
	struct ram *ram, *rom;
	struct region ram_region, rom_region;
	struct device device;
};

static int setup(void **state)
{
	struct fixture *f = err_alloc(sizeof *f);
	struct err err;

	bus_init(&f->bus, NULL);
	f->ram = ram_new("ram", 1 << 20, false, false, &err);
	f->rom = ram_new("rom", 0x2000, true, false, &err);
	if (!f->ram || !f->rom)
		return -1;
	f->ram_region = (struct region){.name = "ram", .size = 1 << 20, .ram = f->ram};
	f->rom_region = (struct region){.name = "rom", .size = 0x2000, .ram = f->rom};
	bus_map(&f->bus, &f->ram_region, 0, 0);
	bus_map(&f->bus, &f->rom_region, 0xffffe000, 0);
	f->device.bus = &f->bus;
	f->device.answer = 0x8877665544332211;
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	bus_free(&f->bus);
	ram_free(f->ram);
	ram_free(f->rom);
	free(f);
	return 0;
}

static void expect_call(struct device *d, unsigned i, bool write, u64 offset, unsigned size, u64 value)
{
	assert_true(i < d->count);
	assert_int_equal(d->calls[i].write, write);
	assert_int_equal(d->calls[i].offset, offset);
	assert_int_equal(d->calls[i].size, size);
	if (write)
		assert_true(d->calls[i].value == value);
}

static void test_memory(void **state)
{
	struct fixture *f = *state;
	struct bus_page page;

	bus_write(&f->bus, 0x1ffd, 0x1122334455667788, 8); /* across pages */
	assert_true(bus_read(&f->bus, 0x1ffd, 8) == 0x1122334455667788);
	assert_true(bus_read(&f->bus, 0x1ffe, 1) == 0x77);
	assert_true(bus_read(&f->bus, 0x1fff, 2) == 0x5566);
	assert_true(bus_read(&f->bus, 0x2001, 4) == 0x11223344);
	assert_true(load64(f->ram->hva + 0x1ffd) == 0x1122334455667788);
	/* the end of RAM: ones beyond */
	bus_write(&f->bus, 0xffffe, 0xaabbccdd, 4);
	assert_true(bus_read(&f->bus, 0xffffe, 4) == 0xffffccdd);
	assert_true(bus_read(&f->bus, 0x200000, 8) == ~0ull);
	assert_true(bus_read(&f->bus, ~0ull - 2, 2) == 0xffff);
	assert_true(bus_page(&f->bus, 0x1234, &page));
	assert_ptr_equal(page.hva, f->ram->hva + 0x1000);
	assert_ptr_equal(page.watch, f->ram->watch + 1);
	assert_true(page.writable);
	assert_false(bus_page(&f->bus, 0x100000, &page));
	assert_false(bus_page(&f->bus, ~0ull, &page));
}

static void test_rom(void **state)
{
	struct fixture *f = *state;
	struct bus_page page;
	u32 v = 0x12345678;

	assert_true(bus_load(&f->bus, 0xfffffff0, &v, 4));
	bus_write(&f->bus, 0xfffffff0, 0, 4);
	assert_false(bus_dma_write(&f->bus, 0xfffffff0, "abcd", 4));
	assert_true(bus_read(&f->bus, 0xfffffff0, 4) == v);
	assert_true(bus_page(&f->bus, 0xfffff000, &page));
	assert_false(page.writable);
	/* flash: reads from memory, writes to the device */
	f->rom_region.ops = &ops_any;
	f->rom_region.opaque = &f->device;
	bus_map(&f->bus, &f->rom_region, 0xffffe000, 0);
	bus_write(&f->bus, 0xfffffff0, 0x90, 1);
	expect_call(&f->device, 0, true, 0x1ff0, 1, 0x90);
	assert_true(bus_read(&f->bus, 0xfffffff0, 4) == v);
	assert_int_equal(f->device.count, 1);
	/* RAM shadowed read-only (PAM): same block, no writes */
	f->ram_region.readonly = true;
	bus_map(&f->bus, &f->ram_region, 0, 0);
	bus_write(&f->bus, 0, 0x55, 1);
	assert_true(bus_read(&f->bus, 0, 1) == 0);
	assert_true(bus_page(&f->bus, 0, &page));
	assert_false(page.writable);
}

static void test_widths(void **state)
{
	struct fixture *f = *state;
	struct device *d = &f->device;
	struct region r = {.name = "dev", .size = 0x100, .ops = &ops_any, .opaque = d};
	const u64 at = 0xe0000000;

	bus_map(&f->bus, &r, at, 0);
	assert_true(bus_read(&f->bus, at, 8) == 0x8877665544332211);
	assert_true(bus_read(&f->bus, at + 2, 2) == 0x4433);
	expect_call(d, 0, false, 0, 8, 0);
	expect_call(d, 1, false, 2, 2, 0);

	r.ops = &ops_default;
	d->count = 0;
	assert_true(bus_read(&f->bus, at, 8) == 0x8877665544332211);
	expect_call(d, 0, false, 0, 4, 0);
	expect_call(d, 1, false, 4, 4, 0);
	bus_write(&f->bus, at + 8, 0x1122334455667788, 8);
	expect_call(d, 2, true, 8, 4, 0x55667788);
	expect_call(d, 3, true, 12, 4, 0x11223344);

	r.ops = &ops_byte;
	d->count = 0;
	assert_true(bus_read(&f->bus, at + 1, 4) == 0x55443322);
	assert_int_equal(d->count, 4);
	bus_write(&f->bus, at, 0xffbbaa, 2);
	expect_call(d, 4, true, 0, 1, 0xaa);
	expect_call(d, 5, true, 1, 1, 0xbb);
	assert_int_equal(d->count, 6);

	r.ops = &ops_dword;
	d->count = 0;
	assert_true(bus_read(&f->bus, at + 4, 1) == 0x55);
	expect_call(d, 0, false, 4, 4, 0);
	bus_write(&f->bus, at + 4, 0xffff1234, 2);
	expect_call(d, 1, true, 4, 4, 0x1234);
	/* widened beyond the end of the region: nothing there */
	assert_true(bus_read(&f->bus, at + 0xff, 1) == 0xff);
	bus_write(&f->bus, at + 0xff, 1, 1);
	assert_int_equal(d->count, 2);
	/* across the end: the rest is nothing */
	d->count = 0;
	r.ops = &ops_any;
	assert_true(bus_read(&f->bus, at + 0xf9, 8) == 0xff88776655443322);
	expect_call(d, 0, false, 0xf9, 4, 0);
	expect_call(d, 1, false, 0xfd, 2, 0);
	expect_call(d, 2, false, 0xff, 1, 0);
	assert_int_equal(d->count, 3);
	bus_unmap(&f->bus, &r);
}

static void test_no_callbacks(void **state)
{
	static const struct region_ops deaf = {NULL, NULL, 0, 0};
	struct fixture *f = *state;
	struct region r = {.name = "deaf", .size = 16, .ops = &deaf}, hole = {.name = "hole", .size = 16};

	bus_map(&f->bus, &r, 0x100, 1);
	bus_map(&f->bus, &hole, 0x200, 1);
	bus_write(&f->bus, 0x100, 1, 4);
	bus_write(&f->bus, 0x200, 1, 4);
	assert_true(bus_read(&f->bus, 0x100, 2) == 0xffff);
	assert_true(bus_read(&f->bus, 0x200, 8) == ~0ull);
	assert_int_equal(f->ram->hva[0x100], 0);
	bus_unmap(&f->bus, &r);
	bus_unmap(&f->bus, &hole);
}

static void test_memory_beside_device(void **state)
{
	struct fixture *f = *state;
	struct region r = {.name = "dev", .size = 2, .ops = &ops_any, .opaque = &f->device};
	struct bus_page page;

	memset(f->ram->hva, 0x5a, 0x3000);
	bus_map(&f->bus, &r, 0x1ffe, 1);
	assert_true(bus_read(&f->bus, 0x1ffc, 8) == 0x5a5a5a5a22115a5a);
	expect_call(&f->device, 0, false, 0, 2, 0);
	bus_write(&f->bus, 0x1ffd, 0xaabbccdd, 4);
	expect_call(&f->device, 1, true, 0, 2, 0xbbcc);
	assert_true(f->ram->hva[0x1ffd] == 0xdd && f->ram->hva[0x1ffe] == 0x5a && f->ram->hva[0x2000] == 0xaa);
	/* a page with a device on it is no plain page */
	assert_false(bus_page(&f->bus, 0x1000, &page));
	assert_true(bus_page(&f->bus, 0x2000, &page));
	bus_unmap(&f->bus, &r);
}

static void test_ports(void **state)
{
	struct fixture *f = *state;
	struct device reset = {.bus = &f->bus, .answer = 0xee};
	struct region config = {.name = "cf8", .size = 4, .ops = &ops_dword, .opaque = &f->device};
	struct region rcr = {.name = "cf9", .size = 1, .ops = &ops_byte, .opaque = &reset};
	struct region top = {.name = "top", .size = 1, .ops = &ops_byte, .opaque = &f->device};

	bus_map_io(&f->bus, &config, 0xcf8);
	bus_map_io(&f->bus, &rcr, 0xcf9);
	/* the dword is one access, although its second byte alone is another register */
	bus_out(&f->bus, 0xcf8, 0x80000810, 4);
	expect_call(&f->device, 0, true, 0, 4, 0x80000810);
	assert_int_equal(reset.count, 0);
	bus_out(&f->bus, 0xcf9, 6, 1);
	expect_call(&reset, 0, true, 0, 1, 6);
	assert_int_equal(f->device.count, 1);
	assert_true(bus_in(&f->bus, 0x80, 1) == 0xff);
	assert_true(bus_in(&f->bus, 0x80, 4) == 0xffffffff);
	bus_map_io(&f->bus, &top, 0xffff);
	assert_true(bus_in(&f->bus, 0xffff, 4) == 0xffffff11);
	bus_out(&f->bus, 0xffff, 0x12345678, 4);
	expect_call(&f->device, 2, true, 0, 1, 0x78);
	assert_int_equal(f->device.count, 3);
	/* a region that moves from one map to the other */
	bus_map(&f->bus, &top, 0x900000, 0);
	assert_true(bus_in(&f->bus, 0xffff, 1) == 0xff);
	assert_true(bus_read(&f->bus, 0x900000, 1) == 0x11);
	bus_unmap(&f->bus, &top);
	bus_unmap(&f->bus, &config);
	bus_unmap(&f->bus, &rcr);
}

static void test_dma(void **state)
{
	struct fixture *f = *state;
	struct region r = {.name = "dev", .size = 0x1000, .ops = &ops_any, .opaque = &f->device};
	u8 *buf = err_alloc(0x4000);

	for (unsigned i = 0; i < 0x4000; i++)
		buf[i] = (u8)(i * 7);
	assert_true(bus_dma_write(&f->bus, 0x1801, buf, 0x2fff));
	assert_memory_equal(f->ram->hva + 0x1801, buf, 0x2fff);
	memset(buf, 0, 0x4000);
	assert_true(bus_dma_read(&f->bus, 0x1801, buf, 0x2fff));
	assert_memory_equal(f->ram->hva + 0x1801, buf, 0x2fff);
	/* a device in the way is stepped over */
	bus_map(&f->bus, &r, 0x2000, 1);
	memset(f->ram->hva, 1, 0x4000);
	memset(buf, 2, 0x4000);
	assert_false(bus_dma_write(&f->bus, 0x1000, buf, 0x3000));
	assert_true(f->ram->hva[0x1fff] == 2 && f->ram->hva[0x2000] == 1 && f->ram->hva[0x3000] == 2);
	assert_false(bus_dma_read(&f->bus, 0x1000, buf, 0x3000));
	assert_true(buf[0xfff] == 2 && buf[0x1000] == 0xff && buf[0x1fff] == 0xff && buf[0x2000] == 2);
	assert_int_equal(f->device.count, 0);
	/* from RAM into nothing, and past the end of the space */
	assert_false(bus_dma_read(&f->bus, 0xff000, buf, 0x4000));
	assert_true(buf[0xfff] == 0 && buf[0x1000] == 0xff && buf[0x3fff] == 0xff);
	memset(buf, 0, 0x4000);
	assert_false(bus_dma_read(&f->bus, ~0ull - 0xff, buf, 0x4000));
	assert_true(buf[0] == 0xff && buf[0x3fff] == 0xff);
	assert_false(bus_dma_write(&f->bus, ~0ull - 0xff, buf, 0x4000));
	assert_int_equal(f->ram->hva[0], 1); /* not around to 0 */
	assert_true(bus_dma_read(&f->bus, 0xdeadbeef, buf, 0));
	bus_unmap(&f->bus, &r);
	free(buf);
}

/* ---- listeners ---- */
static unsigned remaps;
static void on_remapped(void *opaque)
{
	(void)opaque;
	remaps++;
}

static void test_listeners(void **state)
{
	struct fixture *f = *state;
	struct bus_listener a = {.remapped = on_remapped}, b = {.remapped = on_remapped};
	struct region r = {.name = "dev", .size = 0x1000, .ops = &ops_any, .opaque = &f->device};
	struct region port = {.name = "port", .size = 1, .ops = &ops_any, .opaque = &f->device};

	remaps = 0;
	bus_listen(&f->bus, &a);
	bus_map(&f->bus, &r, 0x2000, 1);
	assert_int_equal(remaps, 1);
	bus_listen(&f->bus, &b);
	bus_begin(&f->bus);
	bus_map(&f->bus, &r, 0x3000, 1);
	bus_begin(&f->bus);
	bus_unmap(&f->bus, &r);
	bus_end(&f->bus);
	bus_map(&f->bus, &r, 0x4000, 1);
	assert_int_equal(remaps, 1);
	bus_end(&f->bus);
	assert_int_equal(remaps, 3);
	bus_map_io(&f->bus, &port, 1); /* ports are in nobody's TLB */
	assert_int_equal(remaps, 3);
	bus_unlisten(&f->bus, &b);
	bus_set_a20(&f->bus, true);
	assert_int_equal(remaps, 3);
	bus_set_a20(&f->bus, false);
	assert_int_equal(remaps, 4);
	assert_true(f->bus.a20_mask == ~(1ull << 20));
	bus_unlisten(&f->bus, &a);
	bus_unmap(&f->bus, &r);
	assert_int_equal(remaps, 4);
	bus_unmap(&f->bus, &port);
}

static void test_device_unmaps_itself(void **state)
{
	struct fixture *f = *state;
	struct region r = {.name = "bar", .size = 0x1000, .ops = &ops_byte, .opaque = &f->device};

	bus_map(&f->bus, &r, 0x5000, 1);
	f->device.unmap = &r;
	memset(f->ram->hva + 0x5000, 0x33, 16);
	bus_write(&f->bus, 0x5000, 0xaaaaaaaa, 4); /* the access was the device's, to its end */
	assert_int_equal(f->device.count, 4);
	assert_true(bus_read(&f->bus, 0x5000, 4) == 0x33333333);
	bus_map(&f->bus, &r, 0x5000, 1);
	assert_true(bus_read(&f->bus, 0x5ffe, 4) == 0x8877);
}

/* ---- the machine lock ---- */
struct racer {
	struct fixture *f;
	bool stop;
	u64 bad;
};

static void *reader(void *opaque)
{
	struct racer *r = opaque;

	while (!__atomic_load_n(&r->stop, __ATOMIC_RELAXED)) {
		u64 v = bus_read(&r->f->bus, 0xe0000000, 4);

		if (v != 0x44332211 && v != 0xffffffff)
			__atomic_fetch_add(&r->bad, 1, __ATOMIC_RELAXED);
	}
	return NULL;
}

static void test_lock_and_races(void **state)
{
	struct fixture *f = *state;
	struct region r = {.name = "bar", .size = 0x1000, .ops = &ops_any, .opaque = &f->device};
	struct clock *clock = clock_new();
	struct err err;
	struct racer racer = {.f = f};
	pthread_t threads[3];

	f->bus.loop = loop_new(clock, &err);
	assert_non_null(f->bus.loop);
	f->device.expect_locked = true;
	bus_map(&f->bus, &r, 0xe0000000, 0);
	assert_true(bus_read(&f->bus, 0xe0000000, 4) == 0x44332211);
	assert_false(loop_locked(f->bus.loop));
	loop_lock(f->bus.loop);
	assert_true(bus_read(&f->bus, 0xe0000000, 4) == 0x44332211);
	assert_true(loop_locked(f->bus.loop));
	loop_unlock(f->bus.loop);
	for (unsigned i = 0; i < ARRAY_LEN(threads); i++)
		assert_int_equal(pthread_create(&threads[i], NULL, reader, &racer), 0);
	for (unsigned i = 0; i < 2000; i++) {
		loop_lock(f->bus.loop);
		if (i % 2)
			bus_map(&f->bus, &r, 0xe0000000, 0);
		else
			bus_unmap(&f->bus, &r);
		loop_unlock(f->bus.loop);
	}
	__atomic_store_n(&racer.stop, true, __ATOMIC_RELAXED);
	for (unsigned i = 0; i < ARRAY_LEN(threads); i++)
		pthread_join(threads[i], NULL);
	assert_int_equal(racer.bad, 0);
	bus_unmap(&f->bus, &r);
	loop_free(f->bus.loop);
	f->bus.loop = NULL;
	clock_free(clock);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_memory), TEST(test_rom),       TEST(test_widths),
		TEST(test_ports),  TEST(test_no_callbacks), TEST(test_memory_beside_device),
		TEST(test_dma),    TEST(test_listeners), TEST(test_device_unmaps_itself),
		TEST(test_lock_and_races),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
