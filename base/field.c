/* SPDX-License-Identifier: MIT */
/* Field tables: coverage check, save and load, comparison, printing.
 *
 * The saved form, all little-endian, nothing aligned. A buffer is a run of sections, a section is
 *	u32 length of the name, the name, u64 length of the body, the body
 * and a body is a run of records, one for each field in any order:
 *	u16 length of the name, u8 kind (0 bytes, 1 records), u8 zero, u32 size, u32 count, u64 length of the payload,
 *	the name, the payload
 * The payload of kind 0 is size * count bytes as they lie in memory; that of kind 1 is, for each element, a u64 length
 * and that many bytes of records. Everything a reader meets is checked: a saved state may come from anyone.
 *
 * Invariants: one section of a name in a buffer; the loader takes a section only if its records and the table match one
 * to one; nesting is that of the table, never of the data. */
#include "base/field.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdlib.h>

#define RECORD_HEAD 20
#define KIND_BYTES 0
#define KIND_RECORDS 1
#define PRINT_MAX 256 /* elements of an array that field_print shows */

/* ---- coverage ---- */
static bool cover_fields(const struct field *table, u8 *seen, size_t size, const char *what, struct err *err)
{
	for (const struct field *f = table; f->name; f++) {
		u64 bytes = (u64)f->size * f->count;

		if (!bytes || f->offset + bytes > size)
			return err_set(err, EXIT_BUG, "%s: field %s lies outside the %zu bytes of the struct", what, f->name, size);
		for (const struct field *g = table; g != f; g++)
			if (!strcmp(g->name, f->name))
				return err_set(err, EXIT_BUG, "%s: two fields are named %s", what, f->name);
		if (f->sub && !field_cover(f->sub, f->size, f->name, err))
			return err_prefix(err, "%s", what);
		for (u64 i = 0; i < bytes; i++)
			if (seen[f->offset + i]++)
				return err_set(err, EXIT_BUG, "%s: field %s overlaps another at byte %" PRIu64, what, f->name,
				               f->offset + i);
	}
	return true;
}

bool field_cover(const struct field *table, size_t size, const char *what, struct err *err)
{
	u8 *seen = err_alloc(size);
	bool ok = cover_fields(table, seen, size, what, err);

	for (size_t i = 0; ok && i < size; i++)
		if (!seen[i])
			ok = err_set(err, EXIT_BUG, "%s: byte %zu of %zu is in no field", what, i, size);
	free(seen);
	return ok;
}

/* ---- save ---- */
static u8 *put(struct field_buf *buf, const void *data, size_t len)
{
	u8 *at;

	if (buf->cap - buf->len < len) {
		buf->cap = MAX(buf->cap * 2, buf->len + len + 4096);
		buf->data = err_realloc(buf->data, buf->cap);
	}
	at = buf->data + buf->len;
	if (data)
		memcpy(at, data, len);
	else
		memset(at, 0, len);
	buf->len += len;
	return at;
}

static void put16(struct field_buf *buf, u16 v) { put(buf, &v, sizeof v); }
static void put32(struct field_buf *buf, u32 v) { put(buf, &v, sizeof v); }
static void put64(struct field_buf *buf, u64 v) { put(buf, &v, sizeof v); }
/* Fill in the length word at `at` with what was written after it. */
static void close_length(struct field_buf *buf, size_t at)
{
	store64(buf->data + at, buf->len - at - 8);
}

static void save_records(struct field_buf *buf, const struct field *table, const u8 *object)
{
	for (const struct field *f = table; f->name; f++) {
		size_t length, name_len = strlen(f->name);

		put16(buf, (u16)name_len);
		put16(buf, f->sub ? KIND_RECORDS : KIND_BYTES);
		put32(buf, f->size);
		put32(buf, f->count);
		length = buf->len;
		put64(buf, 0);
		put(buf, f->name, name_len);
		for (u32 i = 0; f->sub && i < f->count; i++) {
			size_t at = buf->len;

			put64(buf, 0);
			save_records(buf, f->sub, object + f->offset + (size_t)i * f->size);
			close_length(buf, at);
		}
		if (!f->sub)
			put(buf, object + f->offset, (size_t)f->size * f->count);
		close_length(buf, length);
		store64(buf->data + length, load64(buf->data + length) - name_len);
	}
}

/* ---- reading back, with bounds ---- */
struct reader {
	const u8 *p;
	size_t left;
};

static const u8 *take(struct reader *r, u64 len)
{
	const u8 *p = r->p;

	if (len > r->left)
		return NULL;
	r->p += len;
	r->left -= len;
	return p;
}

/* The next section; false at the end or where the buffer is damaged. */
static bool next_section(struct reader *r, const char **name, u32 *name_len, struct reader *body)
{
	const u8 *p = take(r, 4);
	u64 len;

	if (!p)
		return false;
	*name_len = load32(p);
	*name = (const char *)take(r, *name_len);
	p = *name ? take(r, 8) : NULL;
	if (!p)
		return false;
	len = load64(p);
	body->p = take(r, len);
	body->left = len;
	return body->p != NULL;
}

static bool find_section(const struct field_buf *buf, const char *section, struct reader *body)
{
	struct reader r = {buf->data, buf->len};
	const char *name;
	u32 len;

	while (next_section(&r, &name, &len, body))
		if (len == strlen(section) && !memcmp(name, section, len))
			return true;
	return false;
}

struct record {
	const char *name;
	u16 name_len;
	u16 kind;
	u32 size, count;
	struct reader payload;
};

static bool next_record(struct reader *r, struct record *rec)
{
	const u8 *p = take(r, RECORD_HEAD);
	u64 len;

	if (!p)
		return false;
	*rec = (struct record){.name_len = load16(p), .kind = load16(p + 2), .size = load32(p + 4), .count = load32(p + 8)};
	len = load64(p + 12);
	rec->name = (const char *)take(r, rec->name_len);
	rec->payload.p = rec->name ? take(r, len) : NULL;
	rec->payload.left = len;
	return rec->payload.p != NULL;
}

static const struct field *find_field(const struct field *table, const struct record *rec)
{
	for (const struct field *f = table; f->name; f++)
		if (strlen(f->name) == rec->name_len && !memcmp(f->name, rec->name, rec->name_len))
			return f;
	return NULL;
}

static bool load_records(struct reader r, const struct field *table, u8 *object, struct err *err);

static bool load_field(const struct field *f, struct record *rec, u8 *object, struct err *err)
{
	u64 bytes = (u64)f->size * f->count;

	if (rec->size != f->size || rec->count != f->count || rec->kind != (f->sub ? KIND_RECORDS : KIND_BYTES))
		return err_set(err, EXIT_FILE, "%s: is %u x %u bytes in the saved state and %u x %u here", f->name, rec->count,
		               rec->size, f->count, f->size);
	for (u32 i = 0; f->sub && i < f->count; i++) {
		const u8 *p = take(&rec->payload, 8);
		struct reader element = {.left = p ? load64(p) : 0};

		element.p = p ? take(&rec->payload, element.left) : NULL;
		if (!element.p)
			return err_set(err, EXIT_FILE, "%s[%u]: cut short", f->name, i);
		if (!load_records(element, f->sub, object + f->offset + (size_t)i * f->size, err))
			return err_prefix(err, "%s[%u]", f->name, i);
	}
	if (rec->payload.left != (f->sub ? 0 : bytes))
		return err_set(err, EXIT_FILE, "%s: has the wrong length", f->name);
	if (!f->sub)
		memcpy(object + f->offset, rec->payload.p, bytes);
	return true;
}

static bool load_records(struct reader r, const struct field *table, u8 *object, struct err *err)
{
	u32 fields = 0;
	struct record rec;
	bool ok = true;
	u8 *done;

	while (table[fields].name)
		fields++;
	done = err_alloc(fields);
	while (ok && r.left) {
		const struct field *f;

		if (!next_record(&r, &rec)) {
			ok = err_set(err, EXIT_FILE, "damaged: a record runs past the end");
			break;
		}
		f = find_field(table, &rec);
		if (!f)
			ok = err_set(err, EXIT_FILE, "%.*s: is unknown here", (int)MIN(rec.name_len, 64), rec.name);
		else if (done[f - table]++)
			ok = err_set(err, EXIT_FILE, "%s: comes twice", f->name);
		else
			ok = load_field(f, &rec, object, err);
	}
	for (u32 i = 0; ok && i < fields; i++)
		if (!done[i])
			ok = err_set(err, EXIT_FILE, "%s: is missing", table[i].name);
	free(done);
	return ok;
}

void field_save(struct field_buf *buf, const char *section, const struct field *table, const void *object)
{
	struct reader body;
	size_t at;

	if (find_section(buf, section, &body))
		bug("two saved sections are named %s", section);
	put32(buf, (u32)strlen(section));
	put(buf, section, strlen(section));
	at = buf->len;
	put64(buf, 0);
	save_records(buf, table, object);
	close_length(buf, at);
}

bool field_load(const struct field_buf *buf, const char *section, const struct field *table, void *object,
                size_t object_size, struct err *err)
{
	struct reader body;
	u8 *copy;
	bool ok;

	for (const struct field *f = table; f->name; f++)
		if (f->offset + (u64)f->size * f->count > object_size)
			bug("%s: field %s lies outside the object", section, f->name);
	if (!find_section(buf, section, &body))
		return err_set(err, EXIT_FILE, "the saved state has no section %s", section);
	copy = err_alloc(object_size);
	memcpy(copy, object, object_size);
	ok = load_records(body, table, copy, err);
	if (ok)
		memcpy(object, copy, object_size);
	else
		err_prefix(err, "saved state of %s", section);
	free(copy);
	return ok;
}

void field_buf_free(struct field_buf *buf)
{
	free(buf->data);
	*buf = (struct field_buf){0};
}

/* ---- comparison ---- */
/* A path under construction; snprintf's convention for what does not fit. */
struct text {
	char *s;
	size_t size, len;
};

static void text_add(struct text *t, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
static void text_add(struct text *t, const char *fmt, ...)
{
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = t->len < t->size ? vsnprintf(t->s + t->len, t->size - t->len, fmt, ap) : 0;
	va_end(ap);
	if (n > 0)
		t->len = MIN(t->len + (size_t)n, t->size);
}

static u64 scalar(const u8 *p, u32 size)
{
	u64 v = 0;

	memcpy(&v, p, MIN(size, 8u));
	return v;
}

static void leaf_difference(struct text *t, const u8 *a, const u8 *b, u32 size)
{
	u32 i = 0;

	if (size > 8) { /* a run of bytes: name the first that differs */
		while (a[i] == b[i])
			i++;
		text_add(t, "+%u", i);
		size = 1;
	}
	text_add(t, ": 0x%" PRIx64 " != 0x%" PRIx64, scalar(a + i, size), scalar(b + i, size));
}

static bool differ(const struct field *table, const u8 *a, const u8 *b, struct text *t)
{
	size_t start = t->len;

	for (const struct field *f = table; f->name; f++)
		for (u32 i = 0; i < f->count; i++) {
			const u8 *x = a + f->offset + (size_t)i * f->size, *y = b + f->offset + (size_t)i * f->size;

			if (!f->sub && !memcmp(x, y, f->size))
				continue;
			text_add(t, "%s%s", start ? "." : "", f->name);
			if (f->count > 1)
				text_add(t, "[%u]", i);
			if (!f->sub) {
				leaf_difference(t, x, y, f->size);
				return true;
			}
			if (differ(f->sub, x, y, t))
				return true;
			t->len = start;
			if (start < t->size)
				t->s[start] = '\0';
		}
	return false;
}

bool field_differ(const struct field *table, const void *a, const void *b, char *text, size_t text_size)
{
	struct text t = {text, text_size, 0};

	if (text_size)
		*text = '\0';
	return differ(table, a, b, &t);
}

/* ---- printing ---- */
static void print_leaf(FILE *to, const struct field *f, const u8 *p)
{
	u32 n = MIN(f->count, (u32)PRINT_MAX);

	for (u32 i = 0; i < n; i++, p += f->size) {
		if (i)
			fputc(' ', to);
		if (f->size <= 8)
			fprintf(to, "%0*" PRIx64, (int)f->size * 2, scalar(p, f->size));
		else
			for (u32 k = 0; k < f->size; k++)
				fprintf(to, "%02x", p[k]);
	}
	if (n < f->count)
		fprintf(to, " and %u more", f->count - n);
}

static void print_fields(FILE *to, const struct field *table, const u8 *object, const char *prefix)
{
	for (const struct field *f = table; f->name; f++) {
		char name[256];

		for (u32 i = 0; f->sub && i < f->count; i++) {
			if (f->count > 1)
				snprintf(name, sizeof name, "%s%s[%u].", prefix, f->name, i);
			else
				snprintf(name, sizeof name, "%s%s.", prefix, f->name);
			print_fields(to, f->sub, object + f->offset + (size_t)i * f->size, name);
		}
		if (f->sub)
			continue;
		snprintf(name, sizeof name, "%s%s", prefix, f->name);
		fprintf(to, "%-24s ", name);
		print_leaf(to, f, object + f->offset);
		fprintf(to, "%s%s\n", f->help && *f->help ? "  " : "", f->help ? f->help : "");
	}
}

void field_print(FILE *to, const struct field *table, const void *object)
{
	print_fields(to, table, object, "");
}
