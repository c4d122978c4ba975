/* SPDX-License-Identifier: MIT */
/* Images: the table of formats, opening with the backing chain, and the checks that every format would otherwise repeat.
 *
 * Invariants: a driver sees only transfers inside its disk, and writes only if it was opened for writing. Who is named twice in a
 * chain (by device and inode) is refused: a chain ends. */
#define _GNU_SOURCE /* asprintf */
#include "hw/disk/image.h"

#include "base/magic.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/hostfile.h"

static const struct image_driver *const drivers[] = {&image_qcow2, &image_raw};

/* One link of the chain being opened, from the overlay down. */
struct link {
	dev_t dev;
	ino_t ino;
	const struct link *up;
	unsigned depth;
};

const struct image_driver *image_driver(const char *format)
{
	for (size_t i = 0; i < ARRAY_LEN(drivers); i++)
		if (strcmp(drivers[i]->name, format) == 0)
			return drivers[i];
	return NULL;
}

/* The driver for what the file looks like; NULL: err has a line. */
static const struct image_driver *recognise(int fd, const char *file, struct err *err)
{
	struct magic_file *contents = err_alloc(sizeof *contents);
	int error = magic_read(fd, contents);
	const struct magic *magic = magic_of(contents);
	const struct image_driver *driver = magic->kind == MAGIC_IMAGE ? image_driver(magic->format) : &image_raw;

	free(contents);
	if (error) {
		err_set(err, EXIT_FILE, "cannot read %s: %s", file, strerror(error));
		return NULL;
	}
	if (!driver)
		err_set(err, EXIT_FILE, "%s: this is a %s; %s (or say that its format is raw, to have it as it is)", file, magic->name,
		        magic->instead);
	return driver;
}

static const struct image_driver *named(const char *format, const char *file, struct err *err)
{
	const struct image_driver *driver = image_driver(format);
	const struct magic *magic = magic_format(format);

	if (!driver && magic)
		err_set(err, EXIT_USAGE, "%s: images of the format '%s' are not supported; %s", file, format, magic->instead);
	else if (!driver)
		err_set(err, EXIT_USAGE, "%s: unknown image format '%s'", file, format);
	return driver;
}

int image_report(struct image *image, int error, const char *fmt, ...)
{
	unsigned kind = error != EIO;
	char text[512];
	va_list ap;

	if (__atomic_exchange_n(&image->reported[kind], true, __ATOMIC_RELAXED))
		return error;
	va_start(ap, fmt);
	vsnprintf(text, sizeof text, fmt, ap);
	va_end(ap);
	err_note("%s: %s", image->file, text);
	return error;
}

/* ---- opening ---- */
char *image_resolve(const char *overlay, const char *backing)
{
	const char *slash = strrchr(overlay, '/');
	char *result = NULL;

	if (strncmp(backing, "file:", 5) == 0)
		backing += 5;
	if (*backing == '/' || !slash)
		return err_strdup(backing);
	if (asprintf(&result, "%.*s/%s", (int)(slash - overlay), overlay, backing) < 0)
		bug("asprintf");
	return result;
}

char *image_backing_of(const char *file)
{
	/* docs/interop/qcow2: magic, version, offset and length of the name, all big-endian */
	struct __attribute__((packed)) {
		char magic[4];
		u32 version;
		u64 offset;
		u32 len;
	} head;
	char name[IMAGE_NAME], *result = NULL;
	int fd = hostfile_open(file, O_RDONLY | O_NONBLOCK, 0);

	if (fd >= 0 && pread(fd, &head, sizeof head, 0) == sizeof head && !memcmp(head.magic, "QFI\xfb", 4)) {
		const u64 offset = __builtin_bswap64(head.offset);
		const u32 len = __builtin_bswap32(head.len);
		if (offset && offset < INT64_MAX && len && len < sizeof name && pread(fd, name, len, (off_t)offset) == (ssize_t)len) {
			name[len] = 0;
			result = image_resolve(file, name);
		}
	}
	if (fd >= 0)
		close(fd);
	return result;
}

static struct image *image_new(const struct image_driver *driver, const char *file, int fd)
{
	struct image *image = err_alloc(driver->struct_size);

	image->driver = driver;
	image->file = err_strdup(file);
	image->fd = fd;
	pthread_mutex_init(&image->guard, NULL);
	return image;
}

static void image_free(struct image *image)
{
	if (image->fd >= 0)
		close(image->fd);
	pthread_mutex_destroy(&image->guard);
	free(image->backing_file);
	free(image->backing_format);
	free(image->file);
	free(image);
}

static bool look_at(const char *file, struct stat *st)
{
	int fd = hostfile_open(file, O_PATH, 0);
	bool ok = fd >= 0 && !hostfile_stat(fd, st);

	if (fd >= 0)
		close(fd);
	return ok;
}

static struct image *open_link(const char *file, const char *format, unsigned flags, const struct link *up, struct err *err);

/* Whose name leads out of the overlay's folder: up, or from the root to elsewhere. Links count as lying where their names are. */
static bool is_outside(const char *overlay, const char *backing)
{
	const char *slash = strrchr(overlay, '/');
	const size_t folder = slash ? (size_t)(slash - overlay) + 1 : 0;
	const char *below = backing;

	if (*backing == '/' || folder) {
		if (!folder || strncmp(backing, overlay, folder))
			return true;
		below += folder;
	}
	for (const char *name = below; *name; name += strspn(name, "/")) {
		size_t len = strcspn(name, "/");
		if (len == 2 && !memcmp(name, "..", 2))
			return true;
		name += len;
	}
	return false;
}

static bool open_backing(struct image *image, unsigned flags, const struct link *self, struct err *err)
{
	char *file;

	if (!image->backing_file || image->backing)
		return true;
	file = image_resolve(image->file, image->backing_file);
	image->backing = open_link(file, image->backing_format, IMAGE_READ_ONLY | (flags & IMAGE_NO_LOCK), self, err);
	/* a stranger's image may name any file of the user's, and its guest then reads that */
	if (image->backing && is_outside(image->file, file))
		err_note("NOTE: %s reads %s, its backing file", image->file, file);
	free(file);
	if (image->backing)
		return true;
	return !self->up && err_prefix(err, "backing file of %s", image->file); /* every link of the chain would say too much */
}

static bool new_in_chain(const char *file, const struct stat *st, const struct link *up, struct err *err)
{
	for (const struct link *l = up; l; l = l->up)
		if (l->dev == st->st_dev && l->ino == st->st_ino)
			return err_set(err, EXIT_FILE, "%s is its own backing file", file);
	return true;
}

static bool identify(struct image *image, const struct link *up, struct link *self, struct err *err)
{
	struct stat st;

	if (hostfile_stat(image->fd, &st) < 0)
		return err_set(err, EXIT_FILE, "cannot look at %s: %s", image->file, strerror(errno));
	*self = (struct link){.dev = st.st_dev, .ino = st.st_ino, .up = up, .depth = up ? up->depth + 1 : 0};
	if (!new_in_chain(image->file, &st, up, err))
		return false;
	if (self->depth >= IMAGE_DEPTH)
		return err_set(err, EXIT_FILE, "more than %d images on top of each other", IMAGE_DEPTH);
	return true;
}

static struct image *open_link(const char *file, const char *format, unsigned flags, const struct link *up, struct err *err)
{
	const struct image_driver *driver = NULL;
	struct image *image;
	struct link self;
	struct stat st;
	bool read_only;
	int fd;

	if (format && !(driver = named(format, file, err)))
		return NULL;
	/* before our own lock on it is in the way */
	if (up && look_at(file, &st) && !new_in_chain(file, &st, up, err))
		return NULL;
	fd = image_file_open(file, flags, &read_only, err);
	if (fd < 0)
		return NULL;
	if (!driver && !(driver = recognise(fd, file, err))) {
		close(fd);
		return NULL;
	}
	image = image_new(driver, file, fd);
	image->read_only = read_only;
	image->guessed = driver == &image_raw && (!format || flags & IMAGE_GUARD);
	if (!image_file_size(fd, &image->host_size, &image->device)) {
		err_set(err, EXIT_FILE, "cannot get the size of %s: %s", file, strerror(errno));
		image_free(image);
		return NULL;
	}
	if (!identify(image, up, &self, err) || !image->driver->open(image, flags, err)) {
		image_free(image);
		return NULL;
	}
	if (!(flags & IMAGE_NO_BACKING) && !open_backing(image, flags, &self, err)) {
		image_close(image);
		return NULL;
	}
	return image;
}

struct image *image_open(const char *file, const char *format, unsigned flags, struct err *err)
{
	return open_link(file, format, flags, NULL, err);
}

bool image_open_backing(struct image *image, unsigned flags, struct err *err)
{
	struct link self;

	return identify(image, NULL, &self, err) && open_backing(image, flags, &self, err);
}

struct image *image_open_snapshot(struct image *base, struct err *err)
{
	struct image_create options = {.file = "temporary overlay", .format = image_qcow2.name, .size = base->size};
	int fd = image_file_temporary(err);
	struct image *image;

	if (fd >= 0 && !image_qcow2.create(&options, fd, err)) {
		close(fd);
		fd = -1;
	}
	if (fd < 0) {
		image_close(base);
		return NULL;
	}
	image = image_new(&image_qcow2, base->file, fd);
	image->temporary = true;
	if (!image_file_size(fd, &image->host_size, &image->device) || !image_qcow2.open(image, 0, err)) {
		image_free(image);
		image_close(base);
		return NULL;
	}
	image->backing = base;
	return image;
}

void image_close(struct image *image)
{
	while (image) {
		struct image *below = image->backing;

		image->driver->close(image);
		image_free(image);
		image = below;
	}
}

bool image_create(const struct image_create *options, struct err *err)
{
	const struct image_driver *driver = image_driver(options->format);
	bool good;
	int fd;

	if (!driver || !driver->create)
		return err_set(err, EXIT_USAGE, "unknown image format '%s'", options->format);
	if (driver->creatable && !driver->creatable(options, err))
		return false;
	fd = image_file_create(options->file, err);
	if (fd < 0)
		return false;
	good = driver->create(options, fd, err);
	if (!good)
		image_file_remove(options->file, fd);
	if (close(fd) < 0 && good)
		good = err_set(err, EXIT_FILE, "cannot write %s: %s", options->file, strerror(errno));
	return good;
}

/* ---- transfers ---- */
static bool inside(const struct image *image, u64 offset, u64 len)
{
	return offset <= image->size && len <= image->size - offset;
}

static int outcome(struct image *image, int error, const char *what)
{
	if (error == EDQUOT || error == EFBIG) /* no room for this user, or in this file: the same to whoever has to make some */
		error = ENOSPC;
	if (error && error != ENOSPC && error != EROFS && error != ENOTSUP) /* who asked for it says what lack of room means to him */
		return image_report(image, EIO, "%s failed: %s", what, strerror(error));
	return error;
}

int image_read_pieces(struct image *image, u64 offset, struct pieces *to, size_t len)
{
	if (!inside(image, offset, len))
		return EIO;
	return outcome(image, image->driver->read(image, offset, to, len), "reading");
}

int image_read(struct image *image, u64 offset, void *buf, size_t len)
{
	const struct iovec v = {buf, len};

	return image_read_pieces(image, offset, &(struct pieces){&v, 0}, len);
}

/* ---- the guard ----
 * What a file is is guessed anew at each start. A guest that writes the header of another format, naming any file of the host as
 * its backing file, would find that file in its disk the next time; one that writes the header of a kernel would be started as
 * one; one that writes the footer of a VHD could not be started any more. So no change of the first or last bytes of a guessed
 * disk may make it an image of some format or a kernel. What is looked at is what is written: a copy, which the guest cannot
 * change any more; and nothing else changes those bytes meanwhile. */

/* Where the last bytes begin. They reach to the end of the disk, which a write may make the end of a file that was shorter. */
static u64 tail_start(const struct image *image)
{
	return image->device ? image->size : MAX(image->host_size, (u64)MAGIC_TAIL) - MAGIC_TAIL;
}

/* How many of these bytes, from the first one on, are all guarded or all not. */
static u64 stretch(const struct image *image, u64 offset, u64 len, bool *guarded)
{
	const u64 tail = tail_start(image);

	*guarded = image->guessed && (offset < MAGIC_HEAD || offset >= tail);
	if (!image->guessed || offset >= tail)
		return len;
	return MIN(len, (offset < MAGIC_HEAD ? MAGIC_HEAD : tail) - offset);
}

/* Lays data (NULL: zeros), which belongs at offset, over the bytes from start on. */
static void overlay(u8 *bytes, u64 start, u64 bytes_len, u64 offset, const u8 *data, u64 len)
{
	const u64 first = MAX(start, offset), end = MIN(start + bytes_len, offset + len);

	if (first >= end)
		return;
	if (data)
		memcpy(bytes + (first - start), data + (first - offset), (size_t)(end - first));
	else
		memset(bytes + (first - start), 0, (size_t)(end - first));
}

static bool becomes_another(struct image *image, const struct magic *before, const struct magic_file *contents)
{
	const struct magic *after = magic_of(contents);

	if (after == before || (after->kind != MAGIC_IMAGE && after->kind != MAGIC_KERNEL))
		return false;
	image_report(image, EPERM, "the guest may not make its disk look like a %s, for its format is guessed; name the format "
	             "(format=raw) to allow it", after->name);
	return true;
}

/* The first and the last bytes are judged by themselves: a mark in the ones may hide one in the others for only as long as the
 * guest leaves it there. */
static bool head_mistaken(struct image *image, struct magic_file *contents, u64 offset, const u8 *data, u64 len)
{
	const size_t tail_len = contents->tail_len;
	const struct magic *before;
	bool mistaken;

	contents->tail_len = 0;
	before = magic_of(contents);
	overlay(contents->head, 0, MAGIC_HEAD, offset, data, len);
	contents->head_len = MAX(contents->head_len, (size_t)MIN(offset + len, (u64)MAGIC_HEAD));
	mistaken = becomes_another(image, before, contents);
	contents->tail_len = tail_len;
	return mistaken;
}

static bool tail_mistaken(struct image *image, struct magic_file *contents, u64 offset, const u8 *data, u64 len)
{
	const struct magic *before;

	contents->head_len = 0;
	before = magic_of(contents);
	contents->size = MAX(contents->size, offset + len);
	if (contents->size < MAGIC_TAIL)
		return false;
	if (image_file_read(image->fd, contents->size - MAGIC_TAIL, contents->tail, MAGIC_TAIL))
		return true;
	contents->tail_len = MAGIC_TAIL;
	overlay(contents->tail, contents->size - MAGIC_TAIL, MAGIC_TAIL, offset, data, len);
	return becomes_another(image, before, contents);
}

/* Would it be something else with data (NULL: zeros) there? */
static bool would_be_mistaken(struct image *image, u64 offset, const u8 *data, u64 len)
{
	struct magic_file *contents = err_alloc(sizeof *contents);
	bool mistaken = magic_read(image->fd, contents) != 0 ||
	                (offset < MAGIC_HEAD && head_mistaken(image, contents, offset, data, len)) ||
	                (offset + len > tail_start(image) && tail_mistaken(image, contents, offset, data, len));

	free(contents);
	return mistaken;
}

/* What a write has of the guarded bytes. */
static int write_guarded(struct image *image, u64 offset, struct pieces *from, size_t len)
{
	const struct iovec v = {err_alloc(len), len};
	int error = EIO;

	pieces_get(from, v.iov_base, len);
	pthread_mutex_lock(&image->guard);
	if (!would_be_mistaken(image, offset, v.iov_base, len))
		error = outcome(image, image->driver->write(image, offset, &(struct pieces){&v, 0}, len), "writing");
	pthread_mutex_unlock(&image->guard);
	free(v.iov_base);
	return error;
}

int image_sync(const struct image *image)
{
	return image->temporary ? 0 : image_file_sync(image->fd);
}

int image_write_pieces(struct image *image, u64 offset, struct pieces *from, size_t len)
{
	int error;

	if (image->read_only)
		return EROFS;
	if (!inside(image, offset, len))
		return EIO;
	do {
		bool guarded;
		const size_t n = (size_t)stretch(image, offset, len, &guarded);

		error = guarded ? write_guarded(image, offset, from, n) :
		                  outcome(image, image->driver->write(image, offset, from, n), "writing");
		offset += n;
		len -= n;
	} while (len && !error);
	return error;
}

int image_write(struct image *image, u64 offset, const void *buf, size_t len)
{
	const struct iovec v = {(void *)buf, len};

	return image_write_pieces(image, offset, &(struct pieces){&v, 0}, len);
}

static int clear(struct image *image, u64 offset, u64 len, int (*fn)(struct image *image, u64 offset, u64 len), const char *what)
{
	int error = EIO;

	if (image->read_only)
		return EROFS;
	if (!inside(image, offset, len))
		return EIO;
	if (!image->guessed || (offset >= MAGIC_HEAD && offset + len <= tail_start(image)))
		return outcome(image, fn(image, offset, len), what);
	pthread_mutex_lock(&image->guard);
	if (!would_be_mistaken(image, offset, NULL, len))
		error = outcome(image, fn(image, offset, len), what);
	pthread_mutex_unlock(&image->guard);
	return error;
}

int image_zero(struct image *image, u64 offset, u64 len)
{
	return clear(image, offset, len, image->driver->zero, "writing zeros");
}

int image_discard(struct image *image, u64 offset, u64 len)
{
	return clear(image, offset, len, image->driver->discard, "discarding");
}

int image_flush(struct image *image)
{
	return image->read_only ? 0 : outcome(image, image->driver->flush(image), "flushing");
}

/* ---- the rest ---- */
int image_map(struct image *image, u64 offset, u64 len, struct image_extent *extent)
{
	if (!len || !inside(image, offset, len))
		return EIO;
	return outcome(image, image->driver->map(image, offset, len, extent), "reading");
}

int image_map_chain(struct image *image, u64 offset, u64 len, struct image_extent *extent, struct image **owner)
{
	for (; image; image = image->backing) {
		int error;

		if (offset >= image->size) /* a short backing file goes on with zeros */
			break;
		error = image_map(image, offset, MIN(len, image->size - offset), extent);
		if (error)
			return error;
		len = extent->len;
		*owner = image;
		if (extent->allocated || extent->zero)
			return 0;
	}
	*extent = (struct image_extent){.len = len, .zero = true};
	*owner = NULL;
	return 0;
}

bool image_resize(struct image *image, u64 size, struct err *err)
{
	if (image->read_only)
		return err_set(err, EXIT_FILE, "%s is read-only", image->file);
	return image->driver->resize(image, size, err);
}

void image_get_info(struct image *image, struct image_info *info)
{
	struct stat st;

	*info = (struct image_info){0};
	if (hostfile_stat(image->fd, &st) == 0)
		info->disk_bytes = (u64)st.st_blocks * 512;
	if (image->backing_file)
		snprintf(info->backing_name, sizeof info->backing_name, "%s", image->backing_file);
	if (image->backing_format)
		snprintf(info->backing_format, sizeof info->backing_format, "%s", image->backing_format);
	image->driver->info(image, info);
}
