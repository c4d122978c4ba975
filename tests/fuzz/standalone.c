/* SPDX-License-Identifier: MIT */
/* A fuzz target that brings its own mutator, without libFuzzer: with any compiler, and in release builds, where timing is that of
 * real use. The files of the folders that are named are run first; then, if asked, inputs made from them and from nothing, all of
 * which follow from the seed. What ends the process is kept as crash-SEED-NUMBER.
 *
 *   TARGET [-max_total_time=SECONDS] [-runs=N] [-seed=N] [FOLDER or FILE...]       (0 and 0: the files only)  */
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/err.h"
#include "tests/fuzz/inputs.h"

#define SIZE_MAX_INPUT 4096
#define INPUTS_MAX 4096
#define HANG_SECONDS 120 /* for one input */

int LLVMFuzzerInitialize(int *argc, char ***argv);
size_t LLVMFuzzerCustomMutator(u8 *data, size_t size, size_t max, unsigned seed);

static struct input {
	u8 *data;
	size_t size;
} kept[INPUTS_MAX];
static unsigned count;
static u8 current[SIZE_MAX_INPUT];
static size_t current_size;
static u64 number, seed = 1;
static bool made; /* the current input is no file */

static void keep_current(void)
{
	char name[64];

	if (!made)
		return;
	snprintf(name, sizeof name, "crash-%" PRIu64 "-%" PRIu64, seed, number);
	FILE *to = fopen(name, "wb");
	if (to) {
		fwrite(current, 1, current_size, to);
		fclose(to);
		fprintf(stderr, "%s\n", name);
	}
}

static void on_signal(int sig)
{
	fprintf(stderr, "signal %d\n", sig);
	keep_current();
	signal(sig, SIG_DFL);
	raise(sig);
}

static void run(const u8 *data, size_t size)
{
	alarm(HANG_SECONDS);
	inputs_run_one(data, size);
}

static void run_file(const char *path, const u8 *data, size_t size)
{
	fprintf(stderr, "%s\n", path);
	run(data, size);
	if (count < INPUTS_MAX && size) {
		kept[count] = (struct input){err_alloc(size), size};
		memcpy(kept[count++].data, data, size);
	}
}

static u64 seconds(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec;
}

static void go_on(u64 time_limit, u64 runs)
{
	u64 begin = seconds(), state = seed;

	made = true;
	for (number = 0; (!runs || number < runs) && (!time_limit || number % 256 || seconds() - begin < time_limit); number++) {
		if (number % 256 == 0 && getenv("PAISANO_FUZZ_VERBOSE"))
			fprintf(stderr, "%" PRIu64 "\n", number);
		state = state * 6364136223846793005u + 1442695040888963407u;
		/* mostly the last one changed once more, sometimes a file */
		if (count && (state >> 40) % 8 == 0) {
			const struct input *from = &kept[(state >> 48) % count];
			memcpy(current, from->data, from->size);
			current_size = from->size;
		}
		current_size = LLVMFuzzerCustomMutator(current, current_size, sizeof current, state >> 32);
		run(current, current_size);
	}
	u64 took = seconds() - begin;
	printf("%" PRIu64 " inputs in %" PRIu64 " s, %" PRIu64 " a second\n", number, took, number / MAX(took, (u64)1));
}

int main(int argc, char **argv)
{
	static const int signals[] = {SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGABRT, SIGALRM, SIGTRAP};
	u64 time_limit = 0, runs = 0;

	for (unsigned i = 0; i < ARRAY_LEN(signals); i++)
		signal(signals[i], on_signal);
	LLVMFuzzerInitialize(&argc, &argv);
	for (int i = 1; i < argc; i++) {
		sscanf(argv[i], "-max_total_time=%" SCNu64, &time_limit);
		sscanf(argv[i], "-runs=%" SCNu64, &runs);
		sscanf(argv[i], "-seed=%" SCNu64, &seed);
	}
	inputs_run(argc, argv, sizeof current, run_file);
	if (time_limit || runs)
		go_on(time_limit, runs);
	else
		printf("%u inputs\n", count);
	return 0;
}
