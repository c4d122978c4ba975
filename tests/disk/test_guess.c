/* SPDX-License-Identifier: MIT */
/* Disks whose format nobody has said: what is taken for what, and that a guest cannot change the answer for its own disk by any
 * kind of write, not even with a second CPU that changes the data while it is looked at. */
#include "tests/disk/images.h"

#include <pthread.h>
#include <sys/uio.h>

#define DISK (1u << 20)

/* ---- what a guest must not make of its disk ---- */
static const struct mark {
	const char *name;
	u32 offset, len;
	const char *bytes;
	bool is_image; /* or a kernel */
} marks[] = {
	{"qcow2", 0, 8, "QFI\373\0\0\0\3", true},
	{"qcow", 0, 8, "QFI\373\0\0\0\1", true},
	{"vmdk", 0, 4, "KDMV", true},
	{"vmdk, version 3", 0, 4, "COWD", true},
	{"vmdk descriptor", 0, 21, "# Disk DescriptorFile", true},
	{"vdi", 0x40, 4, "\x7f\x10\xda\xbe", true},
	{"vhdx", 0, 8, "vhdxfile", true},
	{"vhd", 0, 8, "conectix", true},
	{"qed", 0, 4, "QED\0", true},
	{"parallels", 0, 16, "WithoutFreeSpace", true},
	{"parallels, extended", 0, 16, "WithouFreSpacExt", true},
	{"luks", 0, 6, "LUKS\xba\xbe", true},
	{"bochs", 0, 22, "Bochs Virtual HD Image", true},
	{"cloop", 0, 37, "#!/bin/sh\n#V2.0 Format\nmodprobe cloop", true},
	{"elf", 0, 4, "\177ELF", false},
	{"multiboot", 0x800, 12, "\x02\xb0\xad\x1b\0\0\0\0\xfe\x4f\x52\xe4", false},
};

static void make(const char *file)
{
	unlink(file); /* a test that failed has left it open and locked */
	images_create((struct image_create){.file = file, .format = "raw", .size = DISK});
}

static struct image *open_as(const char *file, const char *format)
{
	struct err err = {0};
	struct image *image = image_open(file, format, 0, &err);

	if (!image)
		fail_msg("%s", err.text);
	return image;
}

static void poke(const char *file, u32 offset, const void *bytes, u32 len)
{
	int fd = open(file, O_WRONLY);

	assert_true(fd >= 0);
	assert_int_equal(pwrite(fd, bytes, len, offset), len);
	close(fd);
}

static void refused(void **state)
{
	(void)state;
	for (const struct mark *m = marks; m < marks + ARRAY_LEN(marks); m++) {
		struct image *image;
		u8 sector[512] = {0}, big[8192] = {0}, back[sizeof big];

		make("disk");
		image = open_as("disk", NULL);
		memcpy(big + m->offset, m->bytes, m->len);
		memcpy(sector, big + m->offset / 512 * 512, 512);
		if (image_write(image, m->offset / 512 * 512, sector, 512) != EIO || image_write(image, 0, big, sizeof big) != EIO)
			fail_msg("%s was written", m->name);
		/* all of it but the first byte is nothing; with that it would be */
		assert_int_equal(image_write(image, m->offset + 1, m->bytes + 1, m->len - 1), 0);
		if (image_write(image, m->offset, m->bytes, 1) != EIO)
			fail_msg("%s was written in two parts", m->name);
		assert_int_equal(image_read(image, m->offset, back, 1), 0);
		assert_int_equal(back[0], 0);
		/* elsewhere it may be */
		assert_int_equal(image_write(image, 65536 + m->offset, m->bytes, m->len), 0);
		image_close(image);
		/* who says that it is raw may */
		image = open_as("disk", "raw");
		assert_int_equal(image_write(image, 0, big, sizeof big), 0);
		image_close(image);
		image = open_as("disk", "raw");
		assert_int_equal(image_read(image, 0, back, sizeof back), 0);
		assert_memory_equal(big, back, sizeof big);
		image_close(image);
	}
}

/* A Linux kernel has its mark in the second sector and is one only with that at the end of the first. */
static void linux_kernel(void **state)
{
	struct image *image;

	(void)state;
	make("disk");
	image = open_as("disk", NULL);
	assert_int_equal(image_write(image, 0x202, "HdrS", 4), 0);
	assert_int_equal(image_write(image, 0x1fe, "\x55\xaa", 2), EIO);
	assert_int_equal(image_write(image, 0x202, "HdrT", 4), 0);
	assert_int_equal(image_write(image, 0x1fe, "\x55\xaa", 2), 0);
	assert_int_equal(image_write(image, 0x202, "HdrS", 4), EIO);
	image_close(image);
}

/* A mark that something else hides comes to light when that is cleared: by data, by zeros, by a discard. */
static void uncovered(void **state)
{
	const struct mark *multiboot = &marks[ARRAY_LEN(marks) - 1];
	u8 zeros[2] = {0};
	struct image *image;

	(void)state;
	make("disk");
	poke("disk", 0x1fe, "\x55\xaa", 2);
	poke("disk", multiboot->offset, multiboot->bytes, multiboot->len);
	image = open_as("disk", NULL);
	assert_int_equal(image_write(image, 0x1fe, zeros, 2), EIO);
	assert_int_equal(image_zero(image, 0, 512), EIO);
	assert_int_equal(image_discard(image, 0, 512), EIO);
	assert_int_equal(image_zero(image, 0, DISK), 0);
	image_close(image);
	/* so for one behind zeros that are written */
	make("disk");
	poke("disk", 0, "#! Disk", 7);
	image = open_as("disk", NULL);
	assert_int_equal(image_zero(image, 0, 1), 0);
	image_close(image);
}

/* What was a kernel before, and is used as a disk all the same, may be written as ever. */
static void already(void **state)
{
	struct image *image;
	u8 byte = 1;

	(void)state;
	make("disk");
	poke("disk", 0, "\177ELF", 4);
	image = open_as("disk", NULL);
	assert_int_equal(image_write(image, 600, &byte, 1), 0);
	assert_int_equal(image_write(image, 0, "QFI\373\0\0\0\3", 8), EIO);
	image_close(image);
}

/* ---- what is known but not supported ---- */
static void known(void **state)
{
	(void)state;
	for (const struct mark *m = marks; m < marks + ARRAY_LEN(marks); m++) {
		struct err err = {0};
		struct image *image;

		make("disk");
		poke("disk", m->offset, m->bytes, m->len);
		image = image_open("disk", NULL, IMAGE_READ_ONLY, &err);
		if (m->is_image ? image || err.code != EXIT_FILE : !image)
			fail_msg("%s: %s", m->name, image ? "taken as raw" : err.text);
		if (m->is_image && m > marks && !strstr(err.text, "qemu-img convert") && !strstr(err.text, "cryptsetup"))
			fail_msg("%s: '%s'", m->name, err.text);
		image_close(image);
		image_close(open_as("disk", "raw"));
	}
}

/* The sector that makes a raw disk of this size a VHD. */
static void vhd_footer(u8 footer[512], u64 disk)
{
	memset(footer, 0, 512);
	memcpy(footer, "conectix", 8);
	footer[63] = 2;
	for (unsigned i = 0; i < 8; i++)
		footer[48 + i] = (u8)((disk - 512) >> (56 - i * 8));
}

/* Formats whose mark is at the end, where the guest's own last sector may look alike. */
static void known_by_the_end(void **state)
{
	u8 footer[512];

	(void)state;
	vhd_footer(footer, DISK);
	make("disk");
	poke("disk", DISK - 512, footer, 512);
	images_refused("disk", 0, "VHD");
	footer[55] ^= 1;
	poke("disk", DISK - 512, footer, 512);
	image_close(open_as("disk", NULL));
	poke("disk", DISK - 512, "koly\0\0\0\4\0\0\2\0", 12);
	images_refused("disk", 0, "DMG");
	image_close(open_as("disk", "raw"));
}

/* Nor may the guest write such a mark: its disk could not be used the next time. */
static void refused_at_the_end(void **state)
{
	static const u8 dmg[512] = "koly\0\0\0\4\0\0\2";
	u8 footer[512], *whole = calloc(1, DISK), back[512], zeros[512] = {0};
	struct image *image;

	(void)state;
	assert_non_null(whole);
	make("disk");
	vhd_footer(footer, DISK);
	image = open_as("disk", NULL);
	assert_int_equal(image_write(image, DISK - 512, footer, 512), EIO);
	assert_int_equal(image_write(image, DISK - 512, dmg, 512), EIO);
	memcpy(whole + DISK - 512, footer, 512);
	assert_int_equal(image_write(image, 0, whole, DISK), EIO);
	assert_int_equal(image_write(image, DISK - 4096, whole + DISK - 4096, 4096), EIO);
	assert_int_equal(image_write(image, DISK - 511, footer + 1, 511), 0);
	assert_int_equal(image_write(image, DISK - 512, footer, 1), EIO);
	assert_int_equal(image_write(image, DISK - 1024, footer, 512), 0);
	assert_int_equal(image_zero(image, DISK - 512, 512), 0);
	assert_int_equal(image_write(image, DISK - 512, zeros, 512), 0);
	memset(whole, 0x5a, DISK);
	assert_int_equal(image_write(image, 0, whole, DISK), 0);
	for (u64 at = 0; at < DISK; at += 512) {
		assert_int_equal(image_read(image, at, back, 512), 0);
		assert_memory_equal(back, whole, 512);
	}
	image_close(image);
	image_close(open_as("disk", NULL));
	image = open_as("disk", "raw");
	assert_int_equal(image_write(image, DISK - 512, footer, 512), 0);
	image_close(image);
	free(whole);
}

/* A file that does not end with a sector gets longer when its last sector is written; and one may be all head and tail. */
static void small_and_crooked(void **state)
{
	static const u32 sizes[] = {1, 511, 512, 700, 1024, 65536, 65537, 66000};

	(void)state;
	for (unsigned i = 0; i < ARRAY_LEN(sizes); i++) {
		struct image *image;
		u8 footer[512];

		make("disk");
		assert_int_equal(truncate("disk", sizes[i]), 0);
		image = open_as("disk", NULL);
		vhd_footer(footer, image->size);
		if (image_write(image, image->size - 512, footer, 512) != EIO)
			fail_msg("a footer was written to a disk of %u bytes", sizes[i]);
		footer[8] = footer[0] = 1;
		assert_int_equal(image_write(image, image->size - 512, footer, 512), 0);
		image_close(image);
		image_close(open_as("disk", NULL));
	}
}

/* A backing file is looked at like any other. */
static void backing(void **state)
{
	(void)state;
	make("base");
	images_create((struct image_create){.file = "over", .size = DISK, .backing_file = "base"});
	image_close(open_as("over", NULL));
	poke("base", 0, "KDMV", 4);
	images_refused("over", 0, "VMDK");
}

/* What goes down into a backing file is the guest's too, whatever was said of that file's format. */
static void committed(void **state)
{
	struct err err = {0};
	struct image *image;

	(void)state;
	make("base");
	image = image_open("base", "raw", IMAGE_GUARD, &err);
	assert_non_null(image);
	assert_int_equal(image_write(image, 0, "QFI\373\0\0\0\3", 8), EIO);
	image_close(image);
}

/* ---- a second CPU ---- */
static struct {
	u64 data[64];
	bool armed, stop;
} shared;

ssize_t __real_pwritev(int fd, const struct iovec *v, int count, off_t offset);
ssize_t __wrap_pwritev(int fd, const struct iovec *v, int count, off_t offset);

/* The other CPU writes the header at the worst moment: all has been looked at, and the host's kernel is about to read it. */
ssize_t __wrap_pwritev(int fd, const struct iovec *v, int count, off_t offset)
{
	if (shared.armed)
		memcpy(shared.data, "QFI\373\0\0\0\3", 8);
	return __real_pwritev(fd, v, count, offset);
}

static void changed_meanwhile(void **state)
{
	struct image *image;
	u8 head[8];

	(void)state;
	make("disk");
	image = open_as("disk", NULL);
	memcpy(shared.data, "harmless", 8);
	shared.armed = true;
	assert_int_equal(image_write(image, 0, shared.data, sizeof shared.data), 0);
	shared.armed = false;
	assert_memory_equal(shared.data, "QFI", 3);
	assert_int_equal(image_read(image, 0, head, sizeof head), 0);
	assert_memory_equal(head, "harmless", 8);
	image_close(image);
}

/* Two writes, each harmless, of which the one that comes second is not. */
static void *write_second(void *opaque)
{
	struct image *image = opaque;

	for (unsigned i = 0; !__atomic_load_n(&shared.stop, __ATOMIC_RELAXED); i++)
		image_write(image, 0x202, i & 1 ? "HdrS" : "HdrT", 4);
	return NULL;
}

static void two_writers(void **state)
{
	struct image *image;
	pthread_t thread;
	u8 head[1024];

	(void)state;
	make("disk");
	image = open_as("disk", NULL);
	shared.stop = false;
	assert_int_equal(pthread_create(&thread, NULL, write_second, image), 0);
	for (unsigned i = 0; i < 20000; i++) {
		image_write(image, 0x1fe, i & 1 ? "\x55\xaa" : "\0\0", 2);
		/* only this thread takes the signature away: as long as it is there, no "HdrS" comes */
		assert_int_equal(image_read(image, 0, head, sizeof head), 0);
		if (head[0x1fe] == 0x55 && !memcmp(head + 0x202, "HdrS", 4)) {
			__atomic_store_n(&shared.stop, true, __ATOMIC_RELAXED);
			pthread_join(thread, NULL);
			fail_msg("a kernel's header is there after %u tries", i + 1);
		}
	}
	__atomic_store_n(&shared.stop, true, __ATOMIC_RELAXED);
	pthread_join(thread, NULL);
	image_close(image);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(refused),   cmocka_unit_test(linux_kernel),     cmocka_unit_test(uncovered),
		cmocka_unit_test(already),   cmocka_unit_test(known),            cmocka_unit_test(known_by_the_end),
		cmocka_unit_test(backing),   cmocka_unit_test(committed),        cmocka_unit_test(changed_meanwhile),
		cmocka_unit_test(two_writers), cmocka_unit_test(refused_at_the_end), cmocka_unit_test(small_and_crooked),
	};

	return cmocka_run_group_tests(tests, images_setup, images_teardown);
}
