/* SPDX-License-Identifier: MIT */
/* Recorded tests against ours: what the host CPU made of them is in the file, so this runs on any host. */
#include "tests/oracle/oracle.h"

#include <string.h>

#include "base/err.h"

int main(int argc, char **argv)
{
	struct recorded r;
	bool jit = argc > 1 && !strcmp(argv[1], "--jit");

	if (argc != 2 + jit) {
		fprintf(stderr, "usage: oracle_replay [--jit] FILE (written by oracle --record)\n");
		return EXIT_USAGE;
	}
	if (jit && !guest_use_jit()) {
		fprintf(stderr, "oracle_replay: no translator for this host\n");
		return EXIT_ACCEL;
	}
	if (!guest_init())
		return EXIT_HOST;
	if (!recorded_compare(argv[1 + jit], NULL, NULL, &r)) {
		fprintf(stderr, "oracle_replay: %s: not a file of vectors, or cut short\n", argv[1 + jit]);
		return EXIT_FILE;
	}
	printf("%s: %u recorded tests, %u left out as undefined, %u differences%s\n", r.host, r.tests, r.skipped, r.failures,
	       r.damaged ? "; the file is damaged" : "");
	guest_free();
	return r.failures || r.damaged ? 1 : 0;
}
