/* SPDX-License-Identifier: MIT */
/* Recorded tests run on ours, and compared with what the recording's host made of them. */
#include "tests/oracle/oracle.h"

#include <string.h>

bool recorded_compare(const char *path, bool (*wanted)(const struct instance *in, void *opaque), void *opaque, struct recorded *r)
{
	static struct test t;
	static struct outcome ref, got;
	static u8 memory[ARENA_WRITABLE];
	static struct report_text why, text;
	struct tolerance tol;
	unsigned at = 0;

	memset(r, 0, sizeof *r);
	struct vectors *v = vectors_read(path, &r->vendor, r->host);
	if (!v)
		return false;
	guest_family(r->vendor);
	for (; vectors_next(v, &t, &ref, memory); at++) {
		if (wanted && !wanted(&t.in, opaque))
			continue;
		r->tests++;
		guest_load(&t.in);
		oracle_prepare(&t, guest_arena());
		guest_run(&t, &got);
		undef_tolerance(&t, &ref, r->vendor, &tol);
		if (tol.skip) {
			r->skipped++;
			continue;
		}
		if (compare_outcomes(&t, &tol, &ref, memory, &got, guest_arena(), &why))
			continue;
		if (r->failures++ < 100) {
			compare_describe(&t, &text);
			printf("DIFFERS recorded%s != ours | %s | record %u\n", why.text, text.text, at);
		}
	}
	r->damaged = at != vectors_count(v);
	vectors_free(v);
	return true;
}
