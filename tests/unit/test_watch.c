/* SPDX-License-Identifier: MIT */
/* What somebody waits for stops each engine where it should: before an address that the code has been through many times, behind
 * an access to a port or MSR, before the first instruction of a handler. Engines take turns at one CPU on the way. */
#include <stdlib.h>

#include "cpu/engine.h"
#include "cpu/watch.h"
#include "tests/unit/cpu_unit.h"
#ifdef ENGINE_JIT
#include "jit/jit.h"
#endif

#define IDT 0x4000u
#define GDT 0x5000u
#define AT 0x3000u
#define MIDDLE (AT + 3)   /* of the loop's block */
#define BEHIND (AT + 17)  /* the loop */
#define HANDLER 0x3800u
#define ROUNDS 100000u

static const u8 program[] = {
	0x48, 0xff, 0xc1,                         /* 0: inc %rcx */
	0x48, 0x01, 0xca,                         /* 3: add %rcx, %rdx */
	0x48, 0x81, 0xf9, 0xa0, 0x86, 0x01, 0x00, /* 6: cmp $100000, %rcx */
	0x75, 0xf1,                               /* 13: jne 0 */
	0x90, 0x90,
	0xe6, 0x80,                               /* 17: out %al, $0x80 */
	0x90,
	0xb9, 0x77, 0x02, 0x00, 0x00,             /* 20: mov $0x277, %ecx */
	0x0f, 0x32,                               /* 25: rdmsr */
	0x90,
	0x0f, 0x0b,                               /* 28: ud2 */
};

static struct { unsigned times, kind; u64 value; } seen;

static void watched(void *opaque, struct cpu *cpu, unsigned kind, u64 value)
{
	(void)opaque;
	seen.times++;
	seen.kind = kind;
	seen.value = value;
	cpu_request(cpu, CPU_REQ_STOP);
}

static void expect(struct cpu *cpu, const struct engine *engine, enum watch_kind kind, u64 value, u64 rip)
{
	struct cpu_watch watch = {0};

	watch_add(&watch, kind, value);
	watch_set(cpu, &watch);
	seen.times = 0;
	assert_int_equal(engine_run(engine, cpu, 0), ENGINE_STOPPED);
	watch_set(cpu, NULL);
	if (engine->leave)
		engine->leave(cpu);
	assert_int_equal(seen.times, 1);
	assert_int_equal(seen.kind, kind);
	assert_int_equal(seen.value, value);
	assert_int_equal(cpu->rip, rip);
}

static void stops(const struct engine *first, const struct engine *second)
{
	struct cpu_unit *u = cpu_unit_new("max");
	struct cpu *cpu = u->cpu;
	u64 count, sum;

	cpu_unit_long(u);
	clock_start(u->clock);
	memcpy(u->ram->hva + AT, program, sizeof program);
	store64(u->ram->hva + GDT + 8, 0x00af9b000000ffff);
	store64(u->ram->hva + IDT + EXC_UD * 16, (u64)8 << 16 | (u64)(SEG_P | 14) << 40 | HANDLER);
	cpu->gdtr = (struct table_reg){.base = GDT, .limit = 23};
	cpu->idtr = (struct table_reg){.base = IDT, .limit = 0xfff};
	cpu->host.watched = watched;
	cpu->gpr[RSP] = 0x8000;
	cpu->gpr[RCX] = cpu->gpr[RDX] = 0;
	cpu->rip = AT;

	/* warm, and in the middle of it by count */
	assert_int_equal(first->run(cpu, 4 * ROUNDS / 2), ENGINE_BUDGET);
	count = cpu->gpr[RCX];
	assert_in_range(count, ROUNDS / 2 - 1, ROUNDS / 2 + 1);
	expect(cpu, first, WATCH_ADDRESS, MIDDLE, MIDDLE);
	assert_in_range(cpu->gpr[RCX], count, count + 1);
	count = cpu->gpr[RCX];
	sum = cpu->gpr[RDX];
	assert_int_equal(sum, count * (count - 1) / 2);
	/* where the block begins */
	expect(cpu, second, WATCH_ADDRESS, AT, AT);
	assert_int_equal(cpu->gpr[RCX], count);
	assert_int_equal(cpu->gpr[RDX], sum + count);
	expect(cpu, first, WATCH_ADDRESS, BEHIND, BEHIND);
	assert_int_equal(cpu->gpr[RCX], ROUNDS);
	assert_int_equal(cpu->gpr[RDX], (u64)ROUNDS * (ROUNDS + 1) / 2);
	expect(cpu, second, WATCH_PORT, 0x80, BEHIND + 2);
	expect(cpu, first, WATCH_MSR, 0x277, AT + 27);
	expect(cpu, second, WATCH_VECTOR, EXC_UD, HANDLER);
	cpu_unit_free(u);
}

static void interpreter(void **state)
{
	(void)state;
	stops(&interp_engine, &interp_engine);
}

#ifdef ENGINE_JIT
static void translator(void **state)
{
	(void)state;
	stops(&jit_engine, &jit_engine);
}
static void in_turns(void **state)
{
	(void)state;
	stops(&jit_engine, &interp_engine);
	stops(&interp_engine, &jit_engine);
}
#endif

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(interpreter),
#ifdef ENGINE_JIT
		cmocka_unit_test(translator),
		cmocka_unit_test(in_turns),
#endif
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
