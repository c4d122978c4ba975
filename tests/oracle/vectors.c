/* SPDX-License-Identifier: MIT */
/* Recorded tests: the state a test starts in and what the host made of it, so that the comparison can be repeated where the host
 * CPU is another one. A file is, compressed by gzip or not,
 *   "PORACLE1"  u8 vendor  char host[64]  u32 number of records  u32 bytes that follow
 * and per record
 *   u8 mode << 4 | length, the instruction
 *   runs: the starting state against gen_background()
 *   runs: memory against oracle_background()
 *   u8 vector, varint error code, varint CR2
 *   runs: the final state against the starting one
 *   runs: the final memory against the one it started with
 * where runs are (varint bytes skipped, varint bytes changed, the changed bytes)* ended by a pair of zeroes. */
#include "tests/oracle/oracle.h"

#include <stdlib.h>
#include <zlib.h>

#include "base/err.h"

#define MAGIC "PORACLE1"

struct vectors {
	u8 *data;
	size_t len, cap, at;
	unsigned count, taken;
	bool bad;
};

struct vectors *vectors_new(void)
{
	return err_alloc(sizeof(struct vectors));
}

void vectors_free(struct vectors *v)
{
	if (v)
		free(v->data);
	free(v);
}

unsigned vectors_count(const struct vectors *v)
{
	return v->count;
}

size_t vectors_bytes(const struct vectors *v)
{
	return v->len;
}

/* ---- writing ---- */

static void put_bytes(struct vectors *v, const void *p, size_t n)
{
	if (v->len + n > v->cap) {
		v->cap = (v->len + n) * 2 + 4096;
		v->data = err_realloc(v->data, v->cap);
	}
	memcpy(v->data + v->len, p, n);
	v->len += n;
}

static void put_varint(struct vectors *v, u64 n)
{
	u8 b;

	do {
		b = (n & 0x7f) | (n > 0x7f ? 0x80 : 0);
		put_bytes(v, &b, 1);
		n >>= 7;
	} while (n);
}

static void put_runs(struct vectors *v, const u8 *from, const u8 *to, u32 size)
{
	u32 at = 0, last = 0;

	for (;;) {
		while (at < size && from[at] == to[at])
			at++;
		if (at == size)
			break;
		u32 end = at + 1, same = 0;
		for (u32 i = end; i < size && same < 3; i++) {
			same = from[i] == to[i] ? same + 1 : 0;
			if (!same)
				end = i + 1;
		}
		put_varint(v, at - last);
		put_varint(v, end - at);
		put_bytes(v, to + at, end - at);
		last = at = end;
	}
	put_varint(v, 0);
	put_varint(v, 0);
}

static void start(const struct test *t, struct state *back, u8 *memory)
{
	gen_background(back, t->in.mode);
	oracle_prepare(t, memory);
}

void vectors_add(struct vectors *v, const struct test *t, const struct outcome *out, const u8 *mem)
{
	static u8 before[ARENA_WRITABLE];
	struct state back;
	u8 head = t->in.mode << 4 | t->in.len, vector = out->vector;

	start(t, &back, before);
	put_bytes(v, &head, 1);
	put_bytes(v, t->in.bytes, t->in.len);
	put_runs(v, (u8 *)&back, (const u8 *)&t->s, sizeof back);
	put_runs(v, oracle_background(), before, ARENA_WRITABLE);
	put_bytes(v, &vector, 1);
	put_varint(v, out->err);
	put_varint(v, out->cr2);
	put_runs(v, (const u8 *)&t->s, (const u8 *)&out->s, sizeof out->s);
	put_runs(v, before, mem, ARENA_WRITABLE);
	v->count++;
}

bool vectors_write(const struct vectors *v, const char *path, enum vendor vendor, const char *host)
{
	gzFile f = gzopen(path, "wb9");
	u8 head[8 + 1 + 64 + 8] = MAGIC;

	if (!f)
		return false;
	head[8] = vendor;
	snprintf((char *)head + 9, 64, "%s", host);
	store32(head + 73, v->count);
	store32(head + 77, v->len);
	bool ok = gzfwrite(head, sizeof head, 1, f) == 1 && gzfwrite(v->data, v->len, 1, f) == 1;
	return gzclose(f) == Z_OK && ok;
}

/* ---- reading: the file may be damaged ---- */

struct vectors *vectors_read(const char *path, enum vendor *vendor, char host[64])
{
	gzFile f = gzopen(path, "rb");
	struct vectors *v = vectors_new();
	u8 head[81];

	if (!f || gzfread(head, sizeof head, 1, f) != 1 || memcmp(head, MAGIC, 8) != 0)
		goto bad;
	*vendor = head[8];
	memcpy(host, head + 9, 64);
	host[63] = 0;
	v->count = load32(head + 73);
	v->len = load32(head + 77);
	v->data = err_alloc(v->len + 1);
	if (gzfread(v->data, 1, v->len, f) != v->len)
		goto bad;
	gzclose(f);
	return v;
bad:
	if (f)
		gzclose(f);
	vectors_free(v);
	return NULL;
}

static void get_bytes(struct vectors *v, void *to, size_t n)
{
	if (n > v->len - v->at) {
		v->bad = true;
		memset(to, 0, n);
		return;
	}
	memcpy(to, v->data + v->at, n);
	v->at += n;
}

static u64 get_varint(struct vectors *v)
{
	u64 n = 0;
	u8 b;

	for (unsigned shift = 0; shift < 70; shift += 7) {
		get_bytes(v, &b, 1);
		n |= shift < 64 ? (u64)(b & 0x7f) << shift : 0;
		if (!(b & 0x80))
			break;
	}
	return n;
}

/* note: called with each changed run, or NULL. */
static void get_runs(struct vectors *v, u8 *to, u32 size)
{
	u64 at = 0;

	while (!v->bad) {
		u64 skip = get_varint(v), len = get_varint(v);
		if (!skip && !len)
			return;
		if (skip > size - at || len > size - at - skip) {
			v->bad = true;
			return;
		}
		at += skip;
		get_bytes(v, to + at, len);
		at += len;
	}
}

bool vectors_next(struct vectors *v, struct test *t, struct outcome *out, u8 *mem)
{
	u8 head, vector;

	if (v->taken == v->count || v->bad)
		return false;
	v->taken++;
	memset(t, 0, sizeof *t);
	get_bytes(v, &head, 1);
	t->in.mode = head >> 4;
	t->in.len = head & 15;
	if (t->in.mode >= MODES) {
		v->bad = true;
		return false;
	}
	get_bytes(v, t->in.bytes, t->in.len);
	build_finish(&t->in);
	gen_background(&t->s, t->in.mode);
	get_runs(v, (u8 *)&t->s, sizeof t->s);
	memcpy(mem, oracle_background(), ARENA_WRITABLE);
	get_runs(v, mem, ARENA_WRITABLE);
	/* as patches, for recipe_get() and oracle_prepare() */
	for (u32 at = 0; at < ARENA_WRITABLE; at++)
		if (mem[at] != oracle_background()[at] && t->patches < PATCHES) {
			struct patch *p = &t->patch[t->patches++];
			p->at = at;
			p->len = MIN((u32)sizeof p->bytes, ARENA_WRITABLE - at);
			memcpy(p->bytes, mem + at, p->len);
			at += p->len - 1;
		}
	get_bytes(v, &vector, 1);
	out->vector = vector;
	out->err = get_varint(v);
	out->cr2 = get_varint(v);
	out->s = t->s;
	get_runs(v, (u8 *)&out->s, sizeof out->s);
	get_runs(v, mem, ARENA_WRITABLE);
	return !v->bad;
}
