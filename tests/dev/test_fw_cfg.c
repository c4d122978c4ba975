/* SPDX-License-Identifier: MIT */
/* fw_cfg as firmware reads it: ports, directory, DMA; and as a hostile guest does. */
#include "hw/chipset/fw_cfg.h"
#include "tests/dev/bench.h"

enum { SELECT = 0x510, DATA = 0x511, DMA = 0x514, COMMAND = 0x1000, BUFFER = 0x2000 };
enum { ERROR = 1, READ = 2, SKIP = 4, CHOOSE = 8, WRITE = 16 };

static struct bench *b;
static struct device *fw;

static void start(void)
{
	struct err err = {0};

	b = bench_new();
	fw = bench_add(b, "fw_cfg", NULL);
	fw_cfg_item(fw, FW_CFG_CPUS, "\2\0", 2);
	assert_true(fw_cfg_file(fw, "opt/b", "bbbb", 4, &err));
	assert_true(fw_cfg_file(fw, "opt/a", "first", 5, &err));
	assert_true(fw_cfg_file(fw, "etc/z", NULL, 0, &err));
}

static u32 big(u32 v) { return __builtin_bswap32(v); }

static u32 dma(u32 control, u32 len, u64 address)
{
	wr(b, COMMAND, big(control), 4);
	wr(b, COMMAND + 4, big(len), 4);
	wr(b, COMMAND + 8, __builtin_bswap64(address), 8);
	out32(b, DMA, 0);
	out32(b, DMA + 4, big(COMMAND));
	return big(rd(b, COMMAND, 4));
}

static void read_bytes(u8 *to, unsigned n)
{
	while (n--)
		*to++ = in8(b, DATA);
}

static void ports(void **state)
{
	u8 got[8];

	(void)state;
	start();
	out16(b, SELECT, 0);
	read_bytes(got, 6);
	assert_memory_equal(got, "QEMU\0\0", 6);
	out16(b, SELECT, 1);
	assert_int_equal(in8(b, DATA), 3); /* ports and DMA */
	out16(b, SELECT, FW_CFG_CPUS);
	assert_int_equal(in8(b, DATA), 2);
	assert_int_equal(in8(b, DATA), 0);
	assert_int_equal(in8(b, DATA), 0);
	out16(b, SELECT, 0x7777); /* nothing */
	assert_int_equal(in8(b, DATA), 0);
	assert_int_equal(in32(b, DMA), big(0x51454d55));
	assert_int_equal(in32(b, DMA + 4), big(0x20434647));
	bench_free(b);
}

/* Where a file is, by the directory; its length in *len. */
static u16 find(const char *name, u32 *len)
{
	u8 head[4], entry[64];

	out16(b, SELECT, FW_CFG_DIRECTORY);
	read_bytes(head, 4);
	for (u32 n = big(load32(head)); n; n--) {
		read_bytes(entry, sizeof entry);
		if (strcmp((char *)entry + 8, name))
			continue;
		*len = big(load32(entry));
		return __builtin_bswap16(load16(entry + 4));
	}
	return 0;
}

static void files(void **state)
{
	struct err err = {0};
	u8 got[8];
	u32 len;

	(void)state;
	start();
	u16 key = find("opt/a", &len);
	assert_true(key >= 0x20);
	assert_int_equal(len, 5);
	out16(b, SELECT, key);
	read_bytes(got, 6);
	assert_memory_equal(got, "first\0", 6);
	assert_int_equal(find("opt/b", &len), key + 1); /* sorted */
	assert_int_equal(find("etc/z", &len), key - 1);
	assert_int_equal(len, 0);
	assert_true(fw_cfg_file(fw, "opt/a", "other words", 11, &err));
	assert_int_equal(find("opt/a", &len), key);
	assert_int_equal(len, 11);
	assert_false(fw_cfg_file(fw, "", "x", 1, &err));
	assert_false(fw_cfg_file(fw, "opt/a-name-that-is-longer-than-the-directory-has-room-for", "x", 1, &err));
	bench_free(b);
}

static void by_dma(void **state)
{
	u8 got[12];
	u32 len;

	(void)state;
	start();
	u16 key = find("opt/a", &len);
	assert_int_equal(dma((u32)key << 16 | CHOOSE | READ, 4, BUFFER), 0);
	assert_int_equal(rd(b, BUFFER, 4), load32("firs"));
	assert_int_equal(dma(READ, 4, BUFFER), 0); /* goes on, then zeros */
	assert_int_equal(rd(b, BUFFER, 4), 't');
	assert_int_equal(dma((u32)key << 16 | CHOOSE | SKIP, 2, 0), 0);
	bench_round_trip(b, fw);
	read_bytes(got, 3);
	assert_memory_equal(got, "rst", 3);
	assert_int_equal(dma((u32)key << 16 | CHOOSE | SKIP, 0xffffffff, 0), 0);
	assert_int_equal(dma(SKIP, 0xffffffff, 0), 0);
	assert_int_equal(in8(b, DATA), 0);
	/* what cannot be done */
	assert_int_equal(dma((u32)key << 16 | CHOOSE | WRITE, 4, BUFFER), ERROR);
	assert_int_equal(dma((u32)key << 16 | CHOOSE | READ, 4, 0xf0000000), ERROR);
	assert_int_equal(dma((u32)key << 16 | CHOOSE | READ, 0x1ff000, BUFFER), CHOOSE | READ | (u32)key << 16);
	bench_advance(b, 10 * MS);
	assert_int_equal(big(rd(b, COMMAND, 4)), ERROR); /* past the end of RAM */
	assert_int_equal(dma((u32)key << 16 | CHOOSE | READ, 16, ~0ull - 3), ERROR);
	out32(b, DMA, 0xffffffff); /* no command there */
	out32(b, DMA + 4, 0xffffffff);
	out8(b, DMA, 1);
	out16(b, DMA + 4, 1);
	bench_free(b);
}

/* A long transfer does not keep the machine: its command is busy until it is done, and no other one is taken meanwhile. */
static void long_dma(void **state)
{
	enum { LONG = 0x1f0000, SECOND = 0x1800 };
	u32 chosen = 0x7777u << 16 | CHOOSE | READ;

	(void)state;
	start();
	wr(b, BUFFER + LONG - 8, ~0ull, 8);
	wr(b, BUFFER + LONG, ~0ull, 8);
	assert_int_equal(dma(chosen, LONG, BUFFER), chosen);
	assert_int_equal(rd(b, BUFFER + LONG - 8, 8), ~0ull);
	/* a second one, as hostile guests have it */
	wr(b, SECOND, big(chosen), 4);
	wr(b, SECOND + 4, big(LONG), 4);
	wr(b, SECOND + 8, __builtin_bswap64(BUFFER), 8);
	out32(b, DMA + 4, big(SECOND));
	assert_int_equal(big(rd(b, SECOND, 4)), ERROR);
	assert_int_equal(big(rd(b, COMMAND, 4)), chosen);
	bench_round_trip(b, fw);
	bench_advance(b, 10 * MS);
	assert_int_equal(rd(b, COMMAND, 4), 0);
	assert_int_equal(rd(b, BUFFER + LONG - 8, 8), 0);
	assert_int_equal(rd(b, BUFFER + LONG, 8), ~0ull);
	assert_int_equal(dma(chosen, 8, BUFFER + LONG), 0); /* short ones at once again */
	/* a reset forgets it */
	assert_int_equal(dma(chosen, LONG, BUFFER), chosen);
	fw->class->reset(fw);
	bench_advance(b, 10 * MS);
	assert_int_equal(big(rd(b, COMMAND, 4)), chosen);
	bench_free(b);
}

static unsigned selected;
static void replace(void *opaque, const char *name)
{
	struct err err = {0};

	if (strcmp(name, "opt/b"))
		return;
	selected++;
	assert_true(fw_cfg_file(opaque, name, "late", 4, &err));
}

static void late_contents(void **state)
{
	u8 got[4];
	u32 len;

	(void)state;
	start();
	selected = 0;
	fw_cfg_before_select(fw, replace, fw);
	u16 key = find("opt/b", &len);
	assert_int_equal(selected, 0);
	out16(b, SELECT, key);
	read_bytes(got, 4);
	assert_memory_equal(got, "late", 4);
	assert_int_equal(selected, 1);
	bench_free(b);
}

static unsigned made;
static u8 *make(void *opaque, u32 key, size_t *len)
{
	made++;
	if (key != 0x8080)
		return NULL;
	*len = 6;
	return (u8 *)strdup(opaque);
}

/* Made when it is read and not before, once as long as it stays selected, again after another one; also across a saved state. */
static void on_demand(void **state)
{
	static char words[] = "demand";
	u8 got[7];

	(void)state;
	start();
	made = 0;
	fw_cfg_item_on_demand(fw, 0x8080, make, words);
	fw_cfg_item_on_demand(fw, 0x8081, make, words);
	out16(b, SELECT, 0x8080);
	assert_int_equal(made, 0);
	read_bytes(got, 3);
	assert_int_equal(dma(READ, 4, BUFFER), 0);
	assert_memory_equal(got, "dem", 3);
	assert_int_equal(rd(b, BUFFER, 4), load32("and"));
	out16(b, SELECT, 0x8080);
	read_bytes(got, 7);
	assert_memory_equal(got, "demand", 7);
	assert_int_equal(made, 1);
	out16(b, SELECT, 0);
	assert_int_equal(dma(0x8080u << 16 | CHOOSE | SKIP, 4, 0), 0);
	assert_int_equal(made, 2);
	bench_round_trip(b, fw);
	assert_int_equal(in8(b, DATA), 'n');
	out16(b, SELECT, 0x8081); /* cannot be made: empty, and asked for once */
	assert_int_equal(in8(b, DATA), 0);
	assert_int_equal(in8(b, DATA), 0);
	assert_int_equal(made, 3);
	words[0] = 'D';
	fw_cfg_item(fw, 0x8080, words, 6); /* fixed contents from now on */
	out16(b, SELECT, 0x8080);
	assert_int_equal(in8(b, DATA), 'D');
	assert_int_equal(made, 3);
	bench_free(b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(ports),
		cmocka_unit_test(files),
		cmocka_unit_test(by_dma),
		cmocka_unit_test(long_dma),
		cmocka_unit_test(late_contents),
		cmocka_unit_test(on_demand),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
