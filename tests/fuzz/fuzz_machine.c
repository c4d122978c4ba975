/* SPDX-License-Identifier: MIT */
/* Fuzzer: a whole machine's devices, as guest and host use them. `--target=NAME` (targets.c) says which of them; all by default.
 * With `race` another thread flips bits of guest memory while devices read it: nothing may be read twice and believed.
 * PAISANO_FUZZ_TWICE=1 runs each input twice and stops where the second run differs: something survived the snapshot. */
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "tests/fuzz/machine.h"

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const u8 *data, size_t size);
size_t LLVMFuzzerCustomMutator(u8 *data, size_t size, size_t max, unsigned seed);

static const struct fuzz_target *target;
static bool twice;

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	const char *name = "all";

	for (int i = 1; i < *argc; i++)
		if (!strncmp((*argv)[i], "--target=", 9))
			name = (*argv)[i] + 9;
	target = machine_target(name);
	twice = getenv("PAISANO_FUZZ_TWICE");
	if (target)
		return 0;
	fprintf(stderr, "there is no target \"%s\"; there are:", name);
	for (const struct fuzz_target *t = machine_targets; t->name; t++)
		fprintf(stderr, " %s", t->name);
	fprintf(stderr, "\n");
	exit(EXIT_USAGE);
}

/* ---- the other thread ---- */
static atomic_bool racing;

/* Where drivers of these inputs keep what devices read: the PRD table, the buffers, the fw_cfg command, and anywhere. */
static void *flip(void *opaque)
{
	struct fuzz_machine *m = opaque;
	u64 state = 88172645463325252ull;

	while (true) {
		if (!atomic_load_explicit(&racing, memory_order_relaxed))
			sched_yield();
		for (unsigned i = 0; i < 64 && atomic_load_explicit(&racing, memory_order_relaxed); i++) {
			static const u32 places[] = {0x1000, 0x1000, 0x10000, 0x10000, 0x12000, 0x20000, 0, 0x40000};

			state ^= state << 13;
			state ^= state >> 7;
			state ^= state << 17;
			u32 at = places[state & 7] + (state >> 8) % (state & 64 ? 16 : 4096);
			/* memory of the guest, which other CPUs write: the log has to know of the page */
			u8 byte = m->board->ram->hva[at] ^ (u8)BIT(state >> 32 & 7);
			bus_write(m->bus, at, byte, 1);
		}
	}
	return NULL;
}

static void start_race(struct fuzz_machine *m)
{
	static bool started;
	pthread_t thread;

	if (!started && pthread_create(&thread, NULL, flip, m))
		bug("no thread");
	started = true;
	atomic_store(&racing, true);
}

/* ---- an input ---- */
static u64 run(struct fuzz_machine *m, const u8 *data, size_t size)
{
	u64 heard;

	machine_restore(m);
	if (target->race)
		start_race(m);
	machine_run(m, data, size);
	atomic_store(&racing, false);
	heard = m->heard;
	return heard;
}

int LLVMFuzzerTestOneInput(const u8 *data, size_t size)
{
	struct fuzz_machine *m = machine_get(target ? target : machine_target("all"));
	u64 first = run(m, data, size);

	if (twice && !target->race) {
		static u64 trail[MACHINE_RECORDS];

		memcpy(trail, m->trail, sizeof trail);
		if (run(m, data, size) != first)
			for (unsigned i = 0; i < MACHINE_RECORDS; i++)
				if (trail[i] != m->trail[i])
					bug("the machine remembers an earlier input: record %u gives something else", i);
	}
	return 0;
}

#ifdef PAISANO_LIBFUZZER
size_t LLVMFuzzerCustomMutator(u8 *data, size_t size, size_t max, unsigned seed)
{
	return machine_mutate(target, data, size, max, seed);
}
#endif
