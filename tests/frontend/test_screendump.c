/* SPDX-License-Identifier: MIT */
/* A picture written as PNG is what libpng reads back; as PPM, what the format says. */
#include "frontend/screendump.h"

#include <png.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "tests/frontend/fake.h"

static char file[64];

static void name_file(const char *suffix)
{
	snprintf(file, sizeof file, "/tmp/paisano-screen-%ld%s", (long)getpid(), suffix);
}

static void compare_png(const struct fake *f)
{
	png_image image = {.version = PNG_IMAGE_VERSION};

	assert_true(png_image_begin_read_from_file(&image, file));
	assert_int_equal(image.width, f->width);
	assert_int_equal(image.height, f->height);
	assert_int_equal(image.format & PNG_FORMAT_FLAG_COLOR, PNG_FORMAT_FLAG_COLOR);
	image.format = PNG_FORMAT_RGB;
	u8 *pixels = malloc(PNG_IMAGE_SIZE(image));
	assert_true(png_image_finish_read(&image, NULL, pixels, 0, NULL));
	for (unsigned y = 0; y < f->height; y++)
		for (unsigned x = 0; x < f->width; x++) {
			const u8 *p = pixels + (y * f->width + x) * 3;
			assert_int_equal(p[0] << 16 | p[1] << 8 | p[2], fake_pixel(f, x, y));
		}
	free(pixels);
	unlink(file);
}

static void png(void **state)
{
	static const unsigned sizes[][2] = {{1, 1}, {720, 400}, {640, 480}, {3, 1000}, {2560, 5}};

	(void)state;
	name_file(".PNG");
	for (unsigned i = 0; i < ARRAY_LEN(sizes); i++) {
		struct fake *f = fake_new(sizes[i][0], sizes[i][1]);
		struct err err;
		assert_true(screendump_take(&f->machine, file, &err));
		compare_png(f);
		fake_free(f);
	}
}

static void ppm(void **state)
{
	struct fake *f = fake_new(31, 17);
	struct err err;
	unsigned width, height;

	(void)state;
	name_file(".ppm");
	assert_true(screendump_take(&f->machine, file, &err));
	FILE *in = fopen(file, "rb");
	assert_int_equal(fscanf(in, "P6\n%u %u\n255", &width, &height), 2);
	assert_int_equal(fgetc(in), '\n');
	assert_int_equal(width, 31);
	assert_int_equal(height, 17);
	for (unsigned y = 0; y < height; y++)
		for (unsigned x = 0; x < width; x++) {
			int r = fgetc(in), g = fgetc(in), b = fgetc(in);
			assert_int_equal(r << 16 | g << 8 | b, fake_pixel(f, x, y));
		}
	assert_int_equal(fgetc(in), EOF);
	fclose(in);
	unlink(file);
	fake_free(f);
}

static void bad(void **state)
{
	struct fake *f = fake_new(0, 0);
	struct err err = {0};

	(void)state;
	assert_false(screendump_take(&f->machine, "/nonexistent/x.png", &err));
	assert_int_equal(err.code, EXIT_FILE);
	assert_false(screendump_take(&f->machine, "/dev/full", &err));
	name_file(".ppm"); /* a screen that is off still makes a file */
	assert_true(screendump_take(&f->machine, file, &err));
	unlink(file);
	f->machine.display = NULL;
	assert_false(screendump_take(&f->machine, file, &err));
	assert_int_equal(access(file, F_OK), -1);
	fake_free(f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(png), cmocka_unit_test(ppm), cmocka_unit_test(bad)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
