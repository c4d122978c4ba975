/* SPDX-License-Identifier: MIT */
/* Images whose metadata lies. What opens is read, written, checked and repaired: an errno is fine, a crash or an endless loop is
 * not, and what repair calls sound must be so. */
#include "tests/disk/images.h"

#include <signal.h>
#include <sys/wait.h>

#define SIZE (4u << 20)
#define CLUSTER 4096u

static u8 good[1u << 22];
static size_t good_size;

static u64 be(const u8 *p, unsigned n)
{
	u64 v = 0;

	while (n--)
		v = v << 8 | *p++;
	return v;
}

static void put_be(u8 *p, u64 v, unsigned n)
{
	while (n--) {
		p[n] = (u8)v;
		v >>= 8;
	}
}

/* An image with some of everything: data, zeros, compressed clusters, a backing file. */
static void make_good(void)
{
	struct image *image;
	static u8 buf[65536];
	u64 random = 5;
	FILE *f;

	images_create((struct image_create){.file = "base", .format = "raw", .size = SIZE / 2});
	images_create((struct image_create){.file = "good", .size = SIZE, .cluster_size = CLUSTER, .backing_file = "base",
	                                    .backing_format = "raw"});
	image = images_open("good", 0);
	for (u64 at = 0; at < SIZE; at += SIZE / 16) {
		images_fill(buf, sizeof buf, &random);
		assert_int_equal(image_write(image, at, buf, 20000), 0);
		assert_int_equal(image_zero(image, at + 40960, 8192), 0);
		assert_int_equal(image->driver->write_compressed(image, at + 65536, buf, CLUSTER), 0);
	}
	image_close(image);
	f = fopen("good", "r");
	good_size = fread(good, 1, sizeof good, f);
	fclose(f);
	assert_in_range(good_size, CLUSTER * 4, sizeof good - 1);
}

static void write_bad(const u8 *data, size_t size)
{
	FILE *f = fopen("bad", "w");

	assert_int_equal(fwrite(data, 1, size, f), size);
	fclose(f);
}

/* A corrupt image is one line to the user each time: not here. */
static void quiet(bool on)
{
	static int output = -1;
	int null;

	fflush(stderr);
	if (on) {
		output = dup(2);
		null = open("/dev/null", O_WRONLY);
		dup2(null, 2);
		close(null);
	} else {
		dup2(output, 2);
		close(output);
	}
}

/* Everything that can be done to it. */
static void use(unsigned flags)
{
	static u8 buf[SIZE];
	struct image *image = image_open("bad", "qcow2", flags, NULL);
	struct image_extent e;
	u64 random = 17;

	if (!image)
		return;
	if (image->size > 64u << 20) { /* a size that is possible: some of it */
		image_read(image, image->size - 5000, buf, 5000);
		image_write(image, image->size / 2, buf, 5000);
	}
	for (u64 at = 0; at < MIN(image->size, (u64)SIZE); at += 65536) {
		u64 n = MIN(image->size - at, (u64)65536);
		image_read(image, at, buf, n);
		image_map(image, at, n, &e);
	}
	for (unsigned i = 0; i < 40; i++) {
		u64 at = unit_random(&random) % MAX(image->size, (u64)1) % SIZE, n = unit_random(&random) % 9000;
		n = MIN(image->size - at, n);
		if (i % 4 == 0)
			image_discard(image, at, n);
		else if (i % 4 == 1)
			image_zero(image, at, n);
		else
			image_write(image, at, buf, n);
		if (i % 16 == 0)
			image_flush(image);
	}
	image_flush(image);
	image_close(image);
}

static void check(bool fix)
{
	struct image *image = image_open("bad", "qcow2", IMAGE_INSPECT | IMAGE_NO_BACKING | (fix ? 0 : IMAGE_READ_ONLY), NULL);
	struct image_check first = {.fix_all = fix, .fix_leaks = fix}, second = {0};

	if (!image)
		return;
	/* a repair that says it was complete must be so */
	if (image->driver->check(image, &first, NULL) && fix && !first.errors && first.corruptions == first.corruptions_fixed) {
		assert_true(image->driver->check(image, &second, NULL));
		assert_int_equal(second.corruptions, 0);
		assert_int_equal(second.leaks, 0);
	}
	image_close(image);
}

static void use_all(const u8 *data, size_t size)
{
	write_bad(data, size);
	quiet(true);
	use(IMAGE_READ_ONLY);
	check(false);
	use(0);
	write_bad(data, size);
	check(true);
	use(0);
	quiet(false);
}

/* ---- one wrong field each ---- */
enum where { HEADER, L1, L2, REFTABLE, BLOCK };
static const struct mutation {
	enum where where;
	unsigned offset, width;
	u64 value;
	const char *refused; /* what opening for writing says; NULL: it opens */
	bool readable;       /* and read-only? */
} mutations[] = {
	{HEADER, 0, 4, 0x51464900, "no qcow2", false},
	{HEADER, 4, 4, 1, "unknown qcow version 1", false},
	{HEADER, 4, 4, 4, "unknown qcow version 4", false},
	{HEADER, 8, 8, 0xfff0, "impossible backing file name", false},
	{HEADER, 8, 8, ~0ull, "impossible backing file name", false},
	{HEADER, 16, 4, 1024, "impossible backing file name", false},
	{HEADER, 16, 4, ~0u, "impossible backing file name", false},
	{HEADER, 20, 4, 8, "impossible cluster size", false},
	{HEADER, 20, 4, 22, "impossible cluster size", false},
	{HEADER, 20, 4, 0xffffffff, "impossible cluster size", false},
	{HEADER, 24, 8, ~0ull, "impossible disk size", false},
	{HEADER, 24, 8, BIT(62), "impossible disk size", false},
	{HEADER, 24, 8, BIT(33), "impossible L1 table size", false},
	{HEADER, 24, 8, 0, NULL, true},
	{HEADER, 24, 8, 1, NULL, true},
	{HEADER, 32, 4, 1, "encryption", false},
	{HEADER, 32, 4, 2, "encryption", false},
	{HEADER, 36, 4, 0, "impossible L1 table size", false},
	{HEADER, 36, 4, 0x7fffffff, "impossible L1 table size", false},
	{HEADER, 36, 4, 4u << 20, "impossible L1 table offset", false},
	{HEADER, 40, 8, 0, "impossible L1 table offset", false},
	{HEADER, 40, 8, 12345, "impossible L1 table offset", false},
	{HEADER, 40, 8, BIT(62), "impossible L1 table offset", false},
	{HEADER, 40, 8, CLUSTER, "tables overlap", true},
	{HEADER, 48, 8, 0, "impossible refcount table offset", true},
	{HEADER, 48, 8, 777, "impossible refcount table offset", true},
	{HEADER, 48, 8, ~0xfffull, "impossible refcount table offset", true},
	{HEADER, 56, 4, 0, "impossible refcount table size", true},
	{HEADER, 56, 4, 0xffffffff, "impossible refcount table size", true},
	{HEADER, 60, 4, 0xffffffff, "impossible snapshot table", false},
	{HEADER, 60, 4, 3, "impossible snapshot table", false},
	{HEADER, 72, 8, 1, NULL, true}, /* dirty: put right */
	{HEADER, 72, 8, 2, "marked as corrupt", true},
	{HEADER, 72, 8, 4, "an external data file", false},
	{HEADER, 72, 8, 8, "compression type contradicts", false},
	{HEADER, 72, 8, 16, "extended L2 entries", false},
	{HEADER, 72, 8, BIT(63), "unknown feature 63", false},
	{HEADER, 80, 8, ~0ull, NULL, true},
	{HEADER, 88, 8, ~0ull, NULL, true},
	{HEADER, 96, 4, 7, "impossible refcount width", false},
	{HEADER, 100, 4, 8, "impossible header length", false},
	{HEADER, 100, 4, 1u << 20, "impossible header length", false},
	{HEADER, 104, 1, 1, "compression type contradicts", false},
	{HEADER, 116, 4, 0xffffffff, NULL, true}, /* an extension without end is none */
	{L1, 0, 8, 0, NULL, true},
	{L1, 0, 8, BIT(63), NULL, true},
	{L1, 0, 8, BIT(63) | 0x200, "tables overlap", true},
	{L1, 0, 8, BIT(63) | CLUSTER, "tables overlap", true},
	{L1, 0, 8, BIT(63), NULL, true},
	{L1, 0, 8, ~0ull, "tables overlap", true},
	{L1, 0, 8, BIT(63) | BIT(50), NULL, true},
	{L2, 0, 8, BIT(63), NULL, true},
	{L2, 0, 8, BIT(63) | CLUSTER, NULL, true},     /* the refcount table as data */
	{L2, 0, 8, BIT(63) | 0x600, NULL, true},
	{L2, 0, 8, BIT(63) | BIT(55), NULL, true},
	{L2, 0, 8, BIT(62) | 5, NULL, true},
	{L2, 0, 8, BIT(62) | (BIT(58) - 1), NULL, true},
	{L2, 0, 8, ~0ull, NULL, true},
	{L2, 0, 8, 1, NULL, true},
	{REFTABLE, 0, 8, 0, NULL, true},
	{REFTABLE, 0, 8, 0x800, "tables overlap", true},
	{REFTABLE, 0, 8, CLUSTER, "tables overlap", true},
	{REFTABLE, 0, 8, ~0xfffull, "tables overlap", true},
	{REFTABLE, 8, 8, BIT(40), NULL, true},
	{BLOCK, 0, 8, 0, NULL, true},
	{BLOCK, 0, 8, ~0ull, NULL, true},
};

static u64 place(const struct mutation *m)
{
	u64 l1 = be(good + 40, 8), table = be(good + 48, 8);

	switch (m->where) {
	case HEADER:
		return m->offset;
	case L1:
		return l1 + m->offset;
	case L2:
		return (be(good + l1, 8) & 0x00fffffffffffe00ull) + m->offset;
	case REFTABLE:
		return table + m->offset;
	case BLOCK:
		return be(good + table, 8) + m->offset;
	}
	return 0;
}

static void test_table(void **state)
{
	u8 *data = malloc(good_size);

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(mutations); i++) {
		const struct mutation *m = &mutations[i];
		struct err err = {0};
		struct image *image;

		memcpy(data, good, good_size);
		assert_in_range(place(m), 0, good_size - 8);
		put_be(data + place(m), m->value, m->width);
		write_bad(data, good_size);
		image = image_open("bad", "qcow2", IMAGE_READ_ONLY, &err);
		if (m->readable != !!image)
			fail_msg("case %zu, read-only: %s", i, image ? "opens" : err.text);
		image_close(image);
		err.text[0] = '\0';
		image = image_open("bad", "qcow2", 0, &err);
		if (m->refused ? image || !strstr(err.text, m->refused) : !image)
			fail_msg("case %zu: '%s', not '%s'", i, err.text, m->refused ? m->refused : "");
		if (image && image->size > 0) {
			u8 buf[600];
			quiet(true);
			image_read(image, 0, buf, 1);
			quiet(false);
		}
		image_close(image);
		use_all(data, good_size);
	}
	free(data);
}

/* Corruption met at run time: EIO for what is hit, the image is marked, and everything else can still be read. */
static void test_marked(void **state)
{
	u8 *data = malloc(good_size), buf[512];
	struct mutation m = {L2, 0, 8, 0, NULL, true};
	struct image *image;
	struct err err = {0};

	(void)state;
	memcpy(data, good, good_size);
	put_be(data + place(&m), BIT(63) | 0x600, 8);
	write_bad(data, good_size);
	image = images_open("bad", 0);
	quiet(true);
	assert_int_equal(image_read(image, 0, buf, 512), EIO);
	quiet(false);
	assert_int_equal(image_read(image, CLUSTER, buf, 512), 0);
	assert_int_equal(image_write(image, CLUSTER * 100, buf, 512), EIO);
	image_close(image);
	assert_null(image_open("bad", NULL, 0, &err));
	assert_non_null(strstr(err.text, "marked as corrupt"));
	memcpy(data, good, good_size);
	put_be(data + place(&m), BIT(63) | CLUSTER, 8); /* data that is the refcount table */
	write_bad(data, good_size);
	image = images_open("bad", 0);
	quiet(true);
	assert_int_equal(image_write(image, 0, buf, 512), EIO);
	quiet(false);
	image_close(image);
	{
		FILE *f = fopen("bad", "r");
		fseek(f, CLUSTER, SEEK_SET);
		assert_int_equal(fread(buf, 1, 512, f), 512);
		assert_memory_equal(buf, good + CLUSTER, 512);
		fclose(f);
	}
	free(data);
}

/* ---- images that are made to keep their reader busy: what is not refused at once lasts for hours ---- */
static int busy_file(u64 size, u32 snapshots, u32 l1_bytes)
{
	u8 head[144] = {0}, entry[8];
	int fd = open("busy", O_RDWR | O_CREAT | O_TRUNC, 0600);

	/* version 3, clusters of 64 KiB; L1 table in cluster 3, refcount table in 1; dirty; refcounts of 16 bits */
	put_be(head, 0x514649fb00000003, 8);
	put_be(head + 20, 16, 4);
	put_be(head + 24, 1u << 20, 8);
	put_be(head + 36, 1, 4);
	put_be(head + 40, 3 << 16, 8);
	put_be(head + 48, 1 << 16, 8);
	put_be(head + 56, 1, 4);
	put_be(head + 60, snapshots, 4);
	put_be(head + 64, snapshots ? 8 << 16 : 0, 8);
	put_be(head + 72, 1, 8);
	put_be(head + 88, snapshots ? 0 : 1, 8);
	put_be(head + 96, 4, 4);
	put_be(head + 100, 104, 4);
	if (!snapshots) { /* the extension of bitmaps: one directory in cluster 40 */
		put_be(head + 104, 0x2385287500000018, 8);
		put_be(head + 112, 1, 4);
		put_be(head + 120, 100000 * 24, 8);
		put_be(head + 128, 40 << 16, 8);
	}
	assert_true(fd >= 0);
	assert_int_equal(ftruncate(fd, (off_t)size), 0);
	assert_int_equal(pwrite(fd, head, sizeof head, 0), sizeof head);
	put_be(entry, 2 << 16, 8);
	assert_int_equal(pwrite(fd, entry, 8, 1 << 16), 8);
	for (u32 i = 0; i < snapshots; i++) { /* each one cluster below the one before */
		u8 snapshot[56] = {0};
		put_be(snapshot, size - l1_bytes - i * 65536ull, 8);
		put_be(snapshot + 8, l1_bytes / 8, 4);
		put_be(snapshot + 36, 16, 4);
		assert_int_equal(pwrite(fd, snapshot, sizeof snapshot, (8 << 16) + i * 56), sizeof snapshot);
	}
	return fd;
}

static void test_busy_bitmaps(void **state)
{
	static u8 directory[100000 * 24];
	int fd = busy_file(5u << 20, 0, 0);

	(void)state;
	for (u32 i = 0; i < 100000; i++) { /* all of them name the same table of 1 MiB */
		put_be(directory + i * 24, 8 << 16, 8);
		put_be(directory + i * 24 + 8, 131072, 4);
		put_be(directory + i * 24 + 16, 0x0110, 2);
	}
	assert_int_equal(pwrite(fd, directory, sizeof directory, 40 << 16), sizeof directory);
	close(fd);
	images_refused("busy", 0, "its tables overlap");
}

static void test_busy_snapshots(void **state)
{
	(void)state;
	close(busy_file(2ull << 30, 20000, 32u << 20));
	images_refused("busy", 0, "its tables overlap");
}

/* A machine that runs does not stand still for a repair. */
static void test_no_repair(void **state)
{
	u8 *data = malloc(good_size);

	(void)state;
	memcpy(data, good, good_size);
	put_be(data + 72, 1, 8);
	write_bad(data, good_size);
	free(data);
	images_refused("bad", IMAGE_NO_REPAIR, "paisano-img check -r all");
	image_close(images_open("bad", IMAGE_NO_REPAIR | IMAGE_READ_ONLY));
	image_close(images_open("bad", 0));
	image_close(images_open("bad", IMAGE_NO_REPAIR));
}

static void nothing(void)
{
}

/* A signal that asks for our end stops a repair, and the image stays one to be repaired. */
static void test_stopped(void **state)
{
	u8 *data = malloc(good_size);
	int status;
	pid_t child;

	(void)state;
	memcpy(data, good, good_size);
	put_be(data + 72, 1, 8);
	write_bad(data, good_size);
	free(data);
	child = fork();
	assert_true(child >= 0);
	if (!child) {
		struct err err = {0};
		err_on_end_signal(nothing);
		raise(SIGTERM);
		_exit(image_open("bad", NULL, 0, &err) ? 1 : !strstr(err.text, strerror(ECANCELED)));
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(status, 0);
	images_refused("bad", IMAGE_NO_REPAIR, "was not closed properly");
	image_close(images_open("bad", 0));
}

static void test_lengths(void **state)
{
	(void)state;
	for (size_t size = 0; size < 300; size += 7)
		use_all(good, size);
	for (size_t size = 512; size < good_size; size += good_size / 60)
		use_all(good, size);
}

static void test_random(void **state)
{
	u8 *data = malloc(good_size);
	u64 random = 23;

	(void)state;
	for (unsigned i = 0; i < 400; i++) {
		memcpy(data, good, good_size);
		for (u64 n = unit_random(&random) % 4 + 1; n; n--) {
			struct mutation m = {.where = (enum where)(unit_random(&random) % 5)};
			m.offset = (unsigned)(unit_random(&random) % 16) * 8;
			u64 at, value = unit_random(&random);
			if (m.where == HEADER)
				m.offset = (unsigned)(unit_random(&random) % 112);
			at = MIN(place(&m), good_size - 8);
			switch (unit_random(&random) % 4) {
			case 0:
				data[at + unit_random(&random) % 8] ^= (u8)BIT(value % 8);
				break;
			case 1: /* something in the file */
				put_be(data + at, BIT(63) | (value % (good_size / CLUSTER + 4)) * CLUSTER, 8);
				break;
			case 2:
				put_be(data + at, value, 8);
				break;
			default: /* the value of another place */
				memcpy(data + at, good + place(&(struct mutation){.where = (enum where)(value % 4 + 1)}), 8);
			}
		}
		use_all(data, good_size);
	}
	free(data);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_table), cmocka_unit_test(test_marked), cmocka_unit_test(test_busy_bitmaps),
		cmocka_unit_test(test_busy_snapshots), cmocka_unit_test(test_no_repair), cmocka_unit_test(test_stopped),
		cmocka_unit_test(test_lengths), cmocka_unit_test(test_random),
	};
	int result;

	if (images_setup(NULL))
		return 1;
	make_good();
	result = cmocka_run_group_tests(tests, NULL, NULL);
	return images_teardown(NULL) || result;
}
