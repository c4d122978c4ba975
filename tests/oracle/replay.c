/* SPDX-License-Identifier: MIT */
/* Recorded tests against the interpreter: what the host CPU made of them is in the file, so this runs on any host. */
#include "tests/oracle/oracle.h"

#include "base/err.h"

int main(int argc, char **argv)
{
	static struct test t;
	static struct outcome ref, got;
	static u8 memory[ARENA_WRITABLE];
	static struct report_text why, text;
	enum vendor vendor;
	struct tolerance tol;
	unsigned done = 0, skipped = 0, failures = 0;

	if (argc != 2) {
		fprintf(stderr, "usage: oracle_replay FILE (written by oracle --record)\n");
		return EXIT_USAGE;
	}
	struct vectors *v = vectors_read(argv[1], &vendor);
	if (!v) {
		fprintf(stderr, "oracle_replay: %s: not a file of vectors, or cut short\n", argv[1]);
		return EXIT_FILE;
	}
	if (!guest_init())
		return EXIT_HOST;
	while (vectors_next(v, &t, &ref, memory)) {
		done++;
		guest_load(&t.in);
		oracle_prepare(&t, guest_arena());
		guest_run(&t, &got);
		undef_tolerance(&t, &ref, vendor, &tol);
		if (tol.skip) {
			skipped++;
			continue;
		}
		if (compare_outcomes(&t, &tol, &ref, memory, &got, guest_arena(), &why))
			continue;
		if (failures++ < 100) {
			compare_describe(&t, &text);
			printf("DIFFERS recorded%s != ours | %s | record %u\n", why.text, text.text, done - 1);
		}
	}
	bool whole = done == vectors_count(v);
	printf("%u recorded tests, %u left out as undefined, %u differences%s\n", done, skipped, failures,
	       whole ? "" : "; the file is damaged");
	vectors_free(v);
	guest_free();
	return failures || !whole ? 1 : 0;
}
