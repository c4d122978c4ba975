/* SPDX-License-Identifier: MIT */
/* See pieces.h. */
#include "hw/disk/pieces.h"

#include <string.h>

#include "base/types.h"

/* What is left of the present piece, at most len; the piece that is done is left behind. */
static u8 *next(struct pieces *p, size_t len, size_t *n)
{
	while (p->at == p->v->iov_len) {
		p->v++;
		p->at = 0;
	}
	*n = MIN(len, p->v->iov_len - p->at);
	p->at += *n;
	return (u8 *)p->v->iov_base + p->at - *n;
}

void pieces_zero(struct pieces *to, size_t len)
{
	for (size_t n; len; len -= n) {
		u8 *at = next(to, len, &n);

		memset(at, 0, n);
	}
}

void pieces_put(struct pieces *to, const void *from, size_t len)
{
	const u8 *data = from;

	for (size_t n; len; len -= n, data += n) {
		u8 *at = next(to, len, &n);

		memcpy(at, data, n);
	}
}

void pieces_get(struct pieces *from, void *to, size_t len)
{
	u8 *data = to;

	for (size_t n; len; len -= n, data += n) {
		const u8 *at = next(from, len, &n);

		memcpy(data, at, n);
	}
}

void pieces_skip(struct pieces *p, size_t len)
{
	for (size_t n; len; len -= n)
		next(p, len, &n);
}

unsigned pieces_list(const struct pieces *p, size_t len, struct iovec *v, unsigned max, size_t *bytes)
{
	struct pieces here = *p;
	unsigned count = 0;
	size_t n;

	for (*bytes = 0; *bytes < len && count < max; *bytes += n) {
		u8 *at = next(&here, len - *bytes, &n);

		v[count++] = (struct iovec){at, n};
	}
	return count;
}
