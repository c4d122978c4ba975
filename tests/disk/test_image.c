/* SPDX-License-Identifier: MIT */
/* Images: random operations against a plain buffer, backing chains, compression, a full host, several threads, and being killed. */
#include "tests/disk/images.h"

#include <pthread.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>

#define SIZE (3u << 20)

/* ---- random operations ---- */
static const struct config {
	const char *name;
	struct image_create create;
	enum { BELOW_NONE, BELOW_RAW, BELOW_QCOW2, BELOW_PACKED } below;
} configs[] = {
	{"raw", {.format = "raw"}, 0},
	{"v3", {.cluster_size = 65536}, 0},
	{"small clusters", {.cluster_size = 512}, 0},
	{"small clusters, wide counts", {.cluster_size = 512, .refcount_bits = 64}, 0},
	{"one-bit counts", {.cluster_size = 4096, .refcount_bits = 1}, 0},
	{"two-bit counts", {.cluster_size = 1024, .refcount_bits = 2}, 0},
	{"v2", {.cluster_size = 4096, .version = 2}, 0},
	{"large clusters", {.cluster_size = 1u << 20}, 0},
	{"reserved", {.cluster_size = 8192, .preallocation = IMAGE_PREALLOC_METADATA}, 0},
	{"lazy", {.cluster_size = 2048, .lazy_refcounts = true}, 0},
	{"on raw", {.cluster_size = 4096}, BELOW_RAW},
	{"on qcow2", {.cluster_size = 65536}, BELOW_QCOW2},
	{"v2 on qcow2", {.cluster_size = 1024, .version = 2}, BELOW_QCOW2},
	{"on compressed", {.cluster_size = 512, .refcount_bits = 8}, BELOW_PACKED},
};

static void fill_below(const char *file, u8 *model, size_t size, bool packed)
{
	struct image *image = images_open(file, 0);
	u64 random = 7;

	for (size_t at = 0; at < size; at += 65536) {
		size_t n = MIN(size - at, (size_t)65536);
		images_fill(model + at, n, &random);
		if (packed)
			assert_int_equal(image->driver->write_compressed(image, at, model + at, n), 0);
		else
			assert_int_equal(image_write(image, at, model + at, n), 0);
	}
	image_close(image);
}

/* The backing file is shorter than the disk above it. */
static void make_below(const struct config *c, u8 *model)
{
	size_t size = SIZE - 100 * 512;

	if (c->below == BELOW_NONE)
		return;
	images_create((struct image_create){.file = "below", .format = c->below == BELOW_RAW ? "raw" : "qcow2", .size = size,
	                                    .zstd = c->below == BELOW_PACKED});
	fill_below("below", model, size, c->below == BELOW_PACKED);
}

/* A file that was cut off: what is left reads as it was, what is gone is an error and no zeros. */
static void test_cut(void **state)
{
	enum { CLUSTERS = 20, CLUSTER_ = 65536 };
	struct err err = {0};
	struct image *image;
	struct stat st;
	u8 *buf = malloc(CLUSTER_);

	(void)state;
	images_create((struct image_create){.file = "cut", .size = 64 * CLUSTER_});
	image = image_open("cut", "qcow2", 0, &err);
	for (unsigned i = 0; i < CLUSTERS; i++) {
		memset(buf, 'a' + i, CLUSTER_);
		assert_int_equal(image_write(image, i * CLUSTER_, buf, CLUSTER_), 0);
	}
	image_close(image);
	assert_int_equal(stat("cut", &st), 0);
	assert_int_equal(truncate("cut", st.st_size - 3 * CLUSTER_ - 1000), 0);
	image = image_open("cut", "qcow2", 0, &err);
	assert_non_null(image);
	for (unsigned i = 0; i < CLUSTERS; i++) {
		int error = image_read(image, i * CLUSTER_ + 100, buf, 1000);
		assert_int_equal(error, i < CLUSTERS - 3 ? 0 : EIO);
		assert_true(error || buf[0] == 'a' + i);
	}
	assert_int_equal(image_read(image, (CLUSTERS - 5) * CLUSTER_ + 65000, buf, CLUSTER_), 0);
	assert_int_equal(image_read(image, (CLUSTERS - 4) * CLUSTER_ + 65000, buf, 1000), EIO);
	/* it can be written again */
	assert_int_equal(image_write(image, (CLUSTERS - 1) * CLUSTER_, buf, CLUSTER_), 0);
	assert_int_equal(image_read(image, (CLUSTERS - 1) * CLUSTER_, buf, CLUSTER_), 0);
	image_close(image);
	free(buf);
}

static void one_operation(struct image *image, u8 *model, size_t size, u8 *buf, u64 *random)
{
	u64 kind = unit_random(random) % 16, offset = unit_random(random) % size, most = MIN(size - offset, (u64)200000), len;
	int error;

	len = unit_random(random) % 3 ? unit_random(random) % MIN(most, (u64)5000) : unit_random(random) % most;
	if (unit_random(random) % 2) {
		offset &= ~511ull;
		len &= ~511ull;
	}
	switch (kind) {
	case 0:
		assert_int_equal(image_flush(image), 0);
		break;
	case 1:
	case 2:
		error = image_zero(image, offset, len);
		assert_int_equal(error, 0);
		memset(model + offset, 0, len);
		break;
	case 3:
	case 4:
		assert_int_equal(image_discard(image, offset, len), 0);
		assert_int_equal(image_read(image, offset, buf, len), 0);
		for (u64 i = 0; i < len; i++) {
			if (buf[i] && buf[i] != model[offset + i])
				fail_msg("discarded byte %llx is neither 0 nor as before", (unsigned long long)(offset + i));
			model[offset + i] = buf[i];
		}
		break;
	case 5:
	case 6:
	case 7:
	case 8:
		assert_int_equal(image_read(image, offset, buf, len), 0);
		assert_memory_equal(buf, model + offset, len);
		break;
	default:
		images_fill(model + offset, len, random);
		assert_int_equal(image_write(image, offset, model + offset, len), 0);
	}
}

static void run_config(const struct config *c, u64 seed)
{
	u8 *model = calloc(1, 2 * SIZE), *buf = malloc(2 * SIZE);
	struct image_create create = c->create;
	u64 random = seed * 0x9e3779b97f4a7c15ull + 1;
	struct image *image;
	size_t size = SIZE;
	char command[128];

	make_below(c, model);
	create.file = "image";
	create.size = size;
	create.backing_file = c->below ? "below" : NULL;
	create.backing_format = c->below == BELOW_RAW ? "raw" : c->below ? "qcow2" : NULL;
	images_create(create);
	image = images_open("image", 0);
	for (unsigned i = 0; i < 600; i++) {
		one_operation(image, model, size, buf, &random);
		if (unit_random(&random) % 64 == 0) {
			image_close(image);
			image = images_open("image", 0);
		}
		if (i == 300) {
			struct err err = {0};
			size = SIZE + SIZE / 2 + 512;
			if (!image_resize(image, size, &err))
				fail_msg("%s", err.text);
		}
	}
	assert_int_equal(image->size, size);
	assert_int_equal(image_read(image, 0, buf, size), 0);
	assert_memory_equal(buf, model, size);
	image_close(image);
	image = images_open("image", IMAGE_READ_ONLY);
	assert_int_equal(image_read(image, 0, buf, size), 0);
	assert_memory_equal(buf, model, size);
	if (strcmp(image->driver->name, "qcow2") == 0) {
		FILE *f = fopen("plain", "w");
		images_check("image", false);
		assert_int_equal(fwrite(model, 1, size, f), size);
		fclose(f);
		assert_int_equal(images_qemu("check -f qcow2 image", 0), 0);
		snprintf(command, sizeof command, "compare -f qcow2 -F raw image plain");
		assert_int_equal(images_qemu(command, 0), 0);
	}
	image_close(image);
	free(model);
	free(buf);
}

static void test_random(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(configs); i++)
		for (u64 seed = 1; seed <= 2; seed++) {
			print_message("%s\n", configs[i].name);
			run_config(&configs[i], seed + i * 100);
		}
}

/* ---- chains ---- */
static void test_chains(void **state)
{
	char name[16], below[16];
	struct image *image;
	struct err err;
	u8 buf[512];

	(void)state;
	mkdir("sub", 0700);
	images_create((struct image_create){.file = "sub/base", .format = "raw", .size = 65536});
	images_create((struct image_create){.file = "sub/mid", .size = 65536, .backing_file = "base", .backing_format = "raw"});
	images_create((struct image_create){.file = "top", .size = 65536, .backing_file = "sub/mid", .backing_format = "qcow2"});
	image = images_open("sub/base", 0);
	memset(buf, 0x5a, sizeof buf);
	assert_int_equal(image_write(image, 1024, buf, 512), 0);
	image_close(image);
	image = images_open("top", 0);
	memset(buf, 0, sizeof buf);
	assert_int_equal(image_read(image, 1024, buf, 512), 0);
	assert_int_equal(buf[511], 0x5a);
	/* what is below is being read: nobody writes it */
	images_refused("sub/base", 0, "in use by another program");
	images_refused("top", 0, "by another program");
	/* QEMU sees the same locks */
	assert_int_equal(images_qemu("info -f qcow2 top", 1), 1);
	assert_int_equal(images_qemu("info -f raw sub/base", 0), 0);
	assert_int_equal(images_qemu("resize -f raw sub/base 1M", 1), 1);
	image_close(image);
	/* a ring */
	images_create((struct image_create){.file = "a", .size = 65536, .backing_file = "b", .backing_format = "qcow2"});
	images_create((struct image_create){.file = "b", .size = 65536, .backing_file = "a", .backing_format = "qcow2"});
	images_refused("a", IMAGE_READ_ONLY, "its own backing file");
	images_refused("b", IMAGE_NO_LOCK, "its own backing file");
	images_refused("a", 0, "its own backing file");
	images_create((struct image_create){.file = "c", .size = 65536, .backing_file = "gone", .backing_format = "raw"});
	images_refused("c", 0, "cannot open gone");
	image_close(images_open("c", IMAGE_NO_BACKING));
	images_create((struct image_create){.file = "d", .size = 65536, .backing_file = "top", .backing_format = "vdi"});
	images_refused("d", 0, "are not supported");
	images_create((struct image_create){.file = "n0", .format = "raw", .size = 65536});
	for (unsigned i = 1; i <= IMAGE_DEPTH; i++) {
		snprintf(name, sizeof name, "n%u", i);
		snprintf(below, sizeof below, "n%u", i - 1);
		images_create((struct image_create){.file = name, .size = 65536, .cluster_size = 512, .backing_file = below,
		                                    .backing_format = i > 1 ? "qcow2" : "raw"});
	}
	images_refused(name, 0, "on top of each other");
	image_close(images_open(below, 0));
	assert_false(image_create(&(struct image_create){.file = "x", .format = "qcow2", .cluster_size = 1000}, &err));
	assert_false(image_create(&(struct image_create){.file = "x", .format = "qcow2", .size = ~0ull - 511}, &err));
	assert_false(image_create(&(struct image_create){.file = "x", .format = "qcow2", .cluster_size = 512, .size = BIT(50)}, &err));
}

static void test_snapshot(void **state)
{
	struct image *image;
	struct err err = {0};
	u8 buf[4096], base[4096];

	(void)state;
	images_create((struct image_create){.file = "s", .format = "raw", .size = SIZE});
	setenv("TMPDIR", images_dir, 1);
	image = image_open_snapshot(images_open("s", IMAGE_READ_ONLY), &err);
	assert_non_null(image);
	memset(buf, 9, sizeof buf);
	assert_int_equal(image_write(image, 12345, buf, sizeof buf), 0);
	assert_int_equal(image_read(image, 12345, base, sizeof base), 0);
	assert_memory_equal(buf, base, sizeof buf);
	image_close(image);
	image = images_open("s", 0);
	assert_int_equal(image_read(image, 12345, base, sizeof base), 0);
	assert_int_equal(base[0] | base[4095], 0);
	image_close(image);
	setenv("TMPDIR", "/nowhere", 1);
	assert_null(image_open_snapshot(images_open("s", IMAGE_READ_ONLY), &err));
	assert_non_null(strstr(err.text, "/nowhere"));
	unsetenv("TMPDIR");
}

/* A guest must not turn its raw disk into something that names the host's files. */
static void test_guessed(void **state)
{
	static const u8 magic[] = {'Q', 'F', 'I', 0xfb, 0, 0, 0, 3};
	struct image *image;
	struct err err;
	u8 byte = 1;

	(void)state;
	images_create((struct image_create){.file = "guess", .format = "raw", .size = 65536});
	image = images_open("guess", 0);
	assert_int_equal(image_write(image, 0, magic, sizeof magic), EIO);
	assert_int_equal(image_write(image, 0, magic, 3), 0);
	assert_int_equal(image_write(image, 3, magic + 3, 1), EIO);
	assert_int_equal(image_write(image, 3, &byte, 1), 0);
	assert_int_equal(image_write(image, 512, magic, sizeof magic), 0);
	image_close(image);
	image = image_open("guess", "raw", 0, &err);
	assert_int_equal(image_write(image, 0, magic, sizeof magic), 0);
	image_close(image);
	images_refused("guess", 0, "guess is damaged");
}

/* More L2 tables than fit in memory. */
static void test_many_tables(void **state)
{
	u64 random = 31, where[80], word, size = 20ull << 40;
	struct image *image;

	(void)state;
	images_create((struct image_create){.file = "huge", .size = size, .cluster_size = 2u << 20});
	image = images_open("huge", 0);
	for (u64 i = 0; i < ARRAY_LEN(where); i++) {
		where[i] = (i % 40) * (512ull << 30) + unit_random(&random) % (500ull << 30) / 8 * 8;
		assert_int_equal(image_write(image, where[i], &i, 8), 0);
	}
	for (unsigned again = 0; again < 2; again++) {
		for (u64 i = 0; i < ARRAY_LEN(where); i++) {
			assert_int_equal(image_read(image, where[i], &word, 8), 0);
			assert_int_equal(word, i);
		}
		image_close(image);
		image = images_open("huge", 0);
	}
	for (u64 i = 0; i < ARRAY_LEN(where); i++)
		assert_int_equal(image_discard(image, where[i] & ~(BIT(21) - 1), BIT(21)), 0);
	assert_int_equal(image_read(image, where[3], &word, 8), 0);
	assert_int_equal(word, 0);
	image_close(image);
	images_check("huge", false);
	assert_int_equal(images_qemu("check -f qcow2 huge", 0), 0);
	unlink("huge");
}

/* ---- compression ---- */
static void test_compressed(void **state)
{
	static u8 model[1 << 20], buf[1 << 20];
	u64 random = 3;

	(void)state;
	for (unsigned zstd = 0; zstd < 2; zstd++)
		for (u32 cluster = 512; cluster <= 65536; cluster *= 2) {
			struct image *image;
			images_create((struct image_create){.file = "packed", .size = sizeof model, .cluster_size = cluster, .zstd = zstd,
			                                    .refcount_bits = cluster == 4096 ? 1 : 0});
			image = images_open("packed", 0);
			for (u32 at = 0; at < sizeof model; at += cluster) {
				images_fill(model + at, cluster, &random);
				assert_int_equal(image->driver->write_compressed(image, at, model + at, cluster), 0);
			}
			for (unsigned i = 0; i < 100; i++) {
				u64 at = unit_random(&random) % (sizeof model - 3000), n = unit_random(&random) % 3000;
				images_fill(model + at, n, &random);
				assert_int_equal(image_write(image, at, model + at, n), 0);
			}
			assert_int_equal(image_read(image, 0, buf, sizeof buf), 0);
			assert_memory_equal(buf, model, sizeof buf);
			image_close(image);
			images_check("packed", false);
			assert_int_equal(images_qemu("check -f qcow2 packed", 0), 0);
		}
}

/* ---- the host is full ---- */
static void test_full(void **state)
{
	struct rlimit old, tight;
	struct image *image;
	u8 *buf = malloc(65536), *back = malloc(65536);
	unsigned written = 0;
	int error = 0;

	(void)state;
	images_create((struct image_create){.file = "full", .size = 64u << 20, .cluster_size = 4096});
	image = images_open("full", 0);
	signal(SIGXFSZ, SIG_IGN);
	getrlimit(RLIMIT_FSIZE, &old);
	tight = old;
	tight.rlim_cur = 1000000;
	setrlimit(RLIMIT_FSIZE, &tight);
	for (; !error && written < 1000; written++) {
		memset(buf, (int)written + 1, 65536);
		error = image_write(image, written * 65536ull, buf, 65536);
	}
	assert_int_equal(error, ENOSPC);
	assert_in_range(written, 10, 20);
	setrlimit(RLIMIT_FSIZE, &old);
	for (unsigned i = 0; i < written - 1; i++) {
		assert_int_equal(image_read(image, i * 65536ull, back, 65536), 0);
		assert_int_equal(back[0], i + 1);
		assert_int_equal(back[65535], i + 1);
	}
	assert_int_equal(image_write(image, written * 65536ull, buf, 65536), 0);
	assert_int_equal(image_flush(image), 0);
	image_close(image);
	images_check("full", false);
	free(buf);
	free(back);
}

/* ---- threads ---- */
struct worker {
	struct image *image;
	u64 from, size, random;
	bool failed;
	pthread_t thread;
};

static void *work(void *opaque)
{
	struct worker *w = opaque;
	u8 *model = calloc(1, w->size), *buf = malloc(w->size);

	for (unsigned i = 0; i < 400 && !w->failed; i++) {
		u64 at = unit_random(&w->random) % w->size, n = unit_random(&w->random) % MIN(w->size - at, (u64)20000);
		switch (unit_random(&w->random) % 8) {
		case 0:
			w->failed |= image_flush(w->image) != 0;
			break;
		case 1:
			w->failed |= image_zero(w->image, w->from + at, n) != 0;
			memset(model + at, 0, n);
			break;
		case 2:
			w->failed |= image_discard(w->image, w->from + at, n) != 0 || image_read(w->image, w->from + at, model + at, n) != 0;
			break;
		case 3:
		case 4:
			w->failed |= image_read(w->image, w->from + at, buf, n) != 0 || memcmp(buf, model + at, n) != 0;
			break;
		default:
			images_fill(model + at, n, &w->random);
			w->failed |= image_write(w->image, w->from + at, model + at, n) != 0;
		}
	}
	w->failed |= image_read(w->image, w->from, buf, w->size) != 0 || memcmp(buf, model, w->size) != 0;
	free(model);
	free(buf);
	return NULL;
}

static void test_threads(void **state)
{
	struct worker workers[4];
	struct image *image;

	(void)state;
	/* the borders lie within clusters */
	images_create((struct image_create){.file = "threads", .size = SIZE, .cluster_size = 4096});
	image = images_open("threads", 0);
	for (unsigned i = 0; i < 4; i++) {
		workers[i] = (struct worker){.image = image, .from = i * 700001ull, .size = 700001, .random = i + 1};
		assert_int_equal(pthread_create(&workers[i].thread, NULL, work, &workers[i]), 0);
	}
	for (unsigned i = 0; i < 4; i++) {
		pthread_join(workers[i].thread, NULL);
		assert_false(workers[i].failed);
	}
	image_close(image);
	images_check("threads", false);
	assert_int_equal(images_qemu("check -f qcow2 threads", 0), 0);
}

/* ---- kill -9 ---- */
#define SLOTS 2048u
#define SLOT 1024u

/* The writes are those of a random sequence; write n fills slots with n. After each flush its number goes into the pipe. */
static void step(u64 *random, u64 *slot, u64 *count, bool *discard, bool *flush)
{
	*slot = unit_random(random) % SLOTS;
	*count = unit_random(random) % 8 ? unit_random(random) % 16 + 1 : unit_random(random) % 200 + 1;
	*count = MIN(*count, SLOTS - *slot);
	*discard = unit_random(random) % 8 == 0;
	*flush = unit_random(random) % 16 == 0;
}

static _Noreturn void victim(int pipe_fd, u64 random)
{
	struct image *image = image_open("victim", NULL, 0, NULL);
	u8 *buf = malloc(SLOT * SLOTS);
	u64 slot, count;
	bool discard, flush;

	for (u64 n = 1; image; n++) {
		step(&random, &slot, &count, &discard, &flush);
		for (u64 i = 0; i < count * SLOT; i += 8)
			store64(buf + i, n);
		if (discard ? image_zero(image, slot * SLOT, count * SLOT) : image_write(image, slot * SLOT, buf, count * SLOT))
			break;
		if (flush && (image_flush(image) || write(pipe_fd, &n, 8) != 8))
			break;
	}
	_exit(1);
}

/* What a slot may hold: its last value up to the flush, or any later one. */
static void check_slots(u64 random, u64 flushed)
{
	struct image *image = images_open("victim", IMAGE_READ_ONLY);
	static u64 last[SLOTS], word[SLOT / 8];
	u64 slot, count;
	bool discard, flush;

	memset(last, 0, sizeof last);
	for (u64 n = 1; n <= flushed; n++) {
		step(&random, &slot, &count, &discard, &flush);
		for (u64 i = 0; i < count; i++)
			last[slot + i] = discard ? 0 : n;
	}
	for (slot = 0; slot < SLOTS; slot++) {
		assert_int_equal(image_read(image, slot * SLOT, word, SLOT), 0);
		if (word[0] != last[slot] && word[0] <= flushed && word[0])
			fail_msg("slot %u holds %u, not %u; flushed %u", (unsigned)slot, (unsigned)word[0], (unsigned)last[slot],
			         (unsigned)flushed);
		if (word[0] == 0 && last[slot]) { /* zeroed after the flush? */
			u64 r = random, n = flushed, s, c;
			bool zeroed = false;
			for (; n < flushed + 2000 && !zeroed; n++) {
				step(&r, &s, &c, &discard, &flush);
				zeroed = discard && slot >= s && slot < s + c;
			}
			assert_true(zeroed);
		}
	}
	image_close(image);
}

static void test_killed(void **state)
{
	u64 random = 99;

	(void)state;
	for (unsigned round = 0; round < 24; round++) {
		u64 seed = unit_random(&random), flushed = 0, n;
		unsigned wanted = (unsigned)(unit_random(&random) % 12), extra = (unsigned)(unit_random(&random) % 3000);
		int fds[2], status;
		pid_t child;

		images_create((struct image_create){.file = "victim", .size = SLOT * SLOTS, .cluster_size = 512u << round % 6});
		assert_int_equal(pipe(fds), 0);
		child = fork();
		if (!child)
			victim(fds[1], seed);
		close(fds[1]);
		while (wanted-- && read(fds[0], &n, 8) == 8)
			flushed = n;
		usleep(extra);
		kill(child, SIGKILL);
		waitpid(child, &status, 0);
		assert_true(WIFSIGNALED(status));
		while (read(fds[0], &n, 8) == 8)
			flushed = n;
		close(fds[0]);
		images_check("victim", true);
		assert_in_set(images_qemu("check -f qcow2 victim", 0), ((const unsigned long[]){0, 3}), 2);
		check_slots(seed, flushed);
		assert_int_equal(images_qemu("check -f qcow2 -r all victim", 0), 0);
		check_slots(seed, flushed);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_cut),
		cmocka_unit_test(test_random),     cmocka_unit_test(test_chains), cmocka_unit_test(test_snapshot),
		cmocka_unit_test(test_compressed), cmocka_unit_test(test_full),   cmocka_unit_test(test_threads),
		cmocka_unit_test(test_killed),     cmocka_unit_test(test_guessed), cmocka_unit_test(test_many_tables),
	};

	return cmocka_run_group_tests(tests, images_setup, images_teardown);
}
