/* SPDX-License-Identifier: MIT */
/* An engine that cannot go on, or cannot even begin: the next one that is allowed takes the CPUs over where they stand, and the
 * guest does not notice. Where none is left the run ends, with its own code. */
#include <stdlib.h>

#include "hw/board/board.h"
#include "tests/unit/unit.h"

/* A multiboot kernel in its header's own words: counts to 100000 and leaves through isa-debug-exit with the sum's last bits. */
#define LOAD 0x100000u
static const u32 header[] = {0x1badb002, 0x10003, -(0x1badb002u + 0x10003u), LOAD, LOAD, 0, 0, LOAD + 32};
static const u8 code[] = {
	0xb9, 0xa0, 0x86, 0x01, 0x00, /* mov $100000, %ecx */
	0x31, 0xc0,                   /* xor %eax, %eax */
	0x01, 0xc8,                   /* 1: add %ecx, %eax */
	0xe2, 0xfc,                   /* loop 1b */
	0x83, 0xe0, 0x3f,             /* and $63, %eax */
	0xba, 0x01, 0x05, 0x00, 0x00, /* mov $0x501, %edx */
	0xef,                         /* out %eax, (%dx) */
	0xf4, 0xeb, 0xfd,             /* 2: hlt; jmp 2b */
};
#define SUM ((100000ull * 100001 / 2) & 63)

static unsigned runs, lefts;

/* It does a little, then it is at a loss. */
static enum engine_stop at_a_loss(struct cpu *cpu, u64 budget)
{
	enum engine_stop stop = interp_engine.run(cpu, budget ? MIN(budget, 1000) : 1000);

	if (stop != ENGINE_BUDGET)
		return stop;
	runs++;
	cpu->unable = "the test says so";
	return ENGINE_UNABLE;
}
static bool no_beginning(struct cpu *cpu, struct err *err)
{
	return cpu->index == 0 || err_set(err, EXIT_HOST, "no second CPU");
}
static void leave(struct cpu *cpu)
{
	(void)cpu;
	lefts++;
}
static const struct engine weak = {.name = "weak", .desc = "", .run = at_a_loss, .leave = leave};
static const struct engine absent = {.name = "absent", .desc = "", .run = at_a_loss, .prepare = no_beginning, .leave = leave};

static const struct engine native = {.name = "native", .desc = "", .run = at_a_loss, .leave = leave, .native = true};
static const char *model = "max";

static int run(const struct engine *first, const struct engine *second, const struct engine *third)
{
	struct board_config config = {.ram_size = 16 << 20, .cpus = 2, .engine = first, .fallback = {second, third}, .calendar = 1};
	struct clock *clock = clock_new();
	struct err err = {0};
	struct loop *loop = loop_new(clock, &err);
	u8 kernel[4096] = {0};

	assert_non_null(loop);
	memcpy(kernel, header, sizeof header);
	memcpy(kernel + sizeof header, code, sizeof code);
	config.kernel = (struct board_file){.name = "kernel", .data = kernel, .size = sizeof kernel};
	config.extra[0] = (struct board_device){.class_name = "isa-debug-exit", .id = "exit"};
	config.extras = 1;
	assert_true(model_parse(&config.model, model, &err));
	struct board *board = board_new(&config, clock, loop, &err);
	int code_out = board ? board_run(board) : (int)err.code;
	board_free(board);
	loop_free(loop);
	clock_free(clock);
	return code_out;
}

static void hands_over(void **state)
{
	(void)state;
	runs = lefts = 0;
	assert_int_equal(run(&weak, &interp_engine, NULL), SUM << 1 | 1);
	assert_in_range(runs, 1, 2);
	assert_int_equal(lefts, 2); /* CPUs */
}

static void cannot_begin(void **state)
{
	(void)state;
	runs = lefts = 0;
	assert_int_equal(run(&absent, &weak, &interp_engine), SUM << 1 | 1);
	assert_in_range(runs, 1, 2);
	assert_int_equal(lefts, 3); /* the one CPU of `absent`, the two of `weak` */
}

static void passes_by(void **state)
{
	(void)state;
	runs = lefts = 0;
	assert_int_equal(run(&weak, &absent, &interp_engine), SUM << 1 | 1);
	assert_int_equal(lefts, 5);
}

static void nobody_left(void **state)
{
	(void)state;
	assert_int_equal(run(&weak, NULL, NULL), EXIT_ACCEL);
	assert_int_equal(run(&weak, &absent, NULL), EXIT_ACCEL);
	assert_int_equal(run(&absent, NULL, NULL), EXIT_ACCEL);
}

/* An engine that executes on the host's CPU does not get a guest of another flavour, not even once. */
static void other_flavour(void **state)
{
	(void)state;
	runs = lefts = 0;
	model = flavour_host() == FLAVOUR_AMD ? "max,flavour=intel" : "max,flavour=amd";
	assert_int_equal(run(&native, &interp_engine, NULL), SUM << 1 | 1);
	assert_int_equal(run(&native, NULL, NULL), EXIT_ACCEL);
	assert_int_equal(runs, 0);
	model = "max";
	assert_int_equal(run(&native, &interp_engine, NULL), SUM << 1 | 1);
	assert_in_range(runs, 1, 2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(hands_over), cmocka_unit_test(cannot_begin), cmocka_unit_test(passes_by),
	                                   cmocka_unit_test(nobody_left), cmocka_unit_test(other_flavour)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
