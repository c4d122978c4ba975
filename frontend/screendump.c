/* SPDX-License-Identifier: MIT */
/* Pictures of the guest's screen: PNG (W3C Portable Network Graphics, second edition: 8 bits, true colour, no filter) and PPM
 * (raw, maximum 255). A screen that is off makes a picture of one black pixel, since neither format knows an empty one. */
#include "frontend/screendump.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>
#include <zlib.h>

#include "frontend/file.h"

static const u32 black;

static void store_be32(u8 *to, u32 value)
{
	store32(to, __builtin_bswap32(value));
}

/* Rows of R, G, B bytes, each behind `gap` zero bytes. */
static u8 *make_rows(const struct picture *p, unsigned gap, size_t *size)
{
	size_t row = gap + (size_t)p->width * 3;
	u8 *data = err_alloc(row * p->height), *to = data;

	for (unsigned y = 0; y < p->height; y++) {
		const u32 *from = p->pixels + (size_t)y * p->width;
		to += gap;
		for (unsigned x = 0; x < p->width; x++) {
			*to++ = from[x] >> 16;
			*to++ = from[x] >> 8;
			*to++ = from[x];
		}
	}
	*size = row * p->height;
	return data;
}

static bool put_chunk(FILE *f, const char *type, const u8 *data, u32 size)
{
	u8 head[8], tail[4];
	uLong crc = crc32(0, (const u8 *)type, 4);

	store_be32(head, size);
	memcpy(head + 4, type, 4);
	if (size) /* a NULL buffer would start the sum anew */
		crc = crc32(crc, data, size);
	store_be32(tail, crc);
	return fwrite(head, 8, 1, f) == 1 && (!size || fwrite(data, size, 1, f) == 1) && fwrite(tail, 4, 1, f) == 1;
}

static bool put_png(FILE *f, const struct picture *p)
{
	static const u8 signature[] = {0x89, 'P', 'N', 'G', '\r', '\n', 0x1a, '\n'};
	u8 header[13] = {[8] = 8 /* bits */, 2 /* true colour */, 0, 0, 0};
	size_t size;
	u8 *rows = make_rows(p, 1, &size); /* each row begins with its filter: none */
	uLong packed_size = compressBound(size);
	u8 *packed = err_alloc(packed_size);

	store_be32(header, p->width);
	store_be32(header + 4, p->height);
	bool ok = compress2(packed, &packed_size, rows, size, Z_BEST_SPEED) == Z_OK && fwrite(signature, 8, 1, f) == 1 &&
	          put_chunk(f, "IHDR", header, sizeof header) && put_chunk(f, "IDAT", packed, packed_size) &&
	          put_chunk(f, "IEND", NULL, 0);
	free(packed);
	free(rows);
	return ok;
}

static bool put_ppm(FILE *f, const struct picture *p)
{
	size_t size;
	u8 *rows = make_rows(p, 0, &size);
	bool ok = fprintf(f, "P6\n%u %u\n255\n", p->width, p->height) > 0 && fwrite(rows, size, 1, f) == 1;

	free(rows);
	return ok;
}

bool screendump_write(const struct picture *picture, const char *file, struct err *err)
{
	const struct picture off = {.pixels = (u32 *)&black, .width = 1, .height = 1};
	const char *dot = strrchr(file, '.');
	FILE *f = file_output_stream(file, "", err);

	if (!f)
		return false;
	if (!picture->pixels || !picture->width || !picture->height)
		picture = &off;
	errno = EIO;
	bool ok = dot && !strcasecmp(dot, ".png") ? put_png(f, picture) : put_ppm(f, picture);
	ok = !fclose(f) && ok;
	return ok || err_set(err, EXIT_FILE, "%s: %s", file, strerror(errno));
}

bool screendump_take(const struct machine *machine, const char *file, struct err *err)
{
	struct display_source *display = machine->display;
	struct picture picture = {0};

	if (!display)
		return err_set(err, EXIT_USAGE, "there is no display adapter (-vga std)");
	display->update(display->device, &picture, 0, true);
	bool ok = screendump_write(&picture, file, err);
	picture_free(&picture);
	return ok;
}
