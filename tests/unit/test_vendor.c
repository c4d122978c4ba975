/* SPDX-License-Identifier: MIT */
/* What vendors encode or define differently follows the vendor of the CPU's model, in both engines; all in 64-bit code. And what
 * follows the flavour where it takes an engine to see it. Measured on a Zen 5. */
#include <stdio.h>
#include <stdlib.h>

#include "cpu/engine.h"
#ifdef ENGINE_JIT
#include "jit/jit.h"
#endif
#include "tests/unit/cpu_unit.h"

#define DATA 0x3000u
#define STACK 0x5000u
#define DATA_AT(u) ((u)->ram->hva + DATA)

static int setup(void **state)
{
	struct cpu_unit *u = cpu_unit_new("max");

	cpu_unit_long(u);
	*state = u;
	return 0;
}

static int teardown(void **state)
{
	cpu_unit_free(*state);
	return 0;
}

static struct cpu *as(struct cpu_unit *u, bool amd)
{
	snprintf(u->model.vendor, sizeof u->model.vendor, "%s", amd ? "AuthenticAMD" : "GenuineIntel");
	u->cpu->gpr[RSP] = STACK;
	u->cpu->gpr[RSI] = DATA;
	u->cpu->gpr[RCX] = 5;
	flags_set(u->cpu, FLAG_1);
	return u->cpu;
}

/* Branches need a block: an engine runs one from memory. */
static const struct engine *engine = &interp_engine;
static void steps(struct cpu_unit *u, const char *bytes, unsigned len, unsigned count)
{
	memcpy(u->ram->hva + CPU_UNIT_CODE, bytes, len);
	u->cpu->rip = CPU_UNIT_CODE;
	cpu_state_changed(u->cpu);
	if (engine->run(u->cpu, count) != ENGINE_BUDGET)
		fail_msg("%02x %02x %02x: stopped by exception %u", (u8)bytes[0], (u8)bytes[1], (u8)bytes[2], u->cpu->fault.vector);
}
static void step(struct cpu_unit *u, const char *bytes, unsigned len)
{
	steps(u, bytes, len, 1);
}
#define STEP(u, bytes) step(u, bytes, sizeof(bytes) - 1)

/* The length that decoding gives, or -1. */
static int length(struct cpu_unit *u, const char *bytes, unsigned len)
{
	struct insn in;
	bool ends;

	return decode_insn(u->cpu, &in, (const u8 *)bytes, len, 0, u->cpu->code_mode, &ends) == DECODE_OK ? in.len : -1;
}

/* 66 before a near branch in 64-bit code: ignored by Intel's CPUs; for AMD's it is one of 16 bits, but for REX.W. */
static void branches(void **state)
{
	struct cpu_unit *u = *state;
	struct cpu *cpu;
	static const char call[] = "\x66\xe8\x10\x20\x00\x00";
	static const char jz[] = "\x66\x0f\x84\x10\x20\x00\x00";

	as(u, false);
	assert_int_equal(length(u, call, 6), 6);
	assert_int_equal(length(u, jz, 7), 7);
	cpu = as(u, true);
	assert_int_equal(length(u, call, 6), 4);
	assert_int_equal(length(u, jz, 7), 5);
	assert_int_equal(length(u, "\x66\x48\xe8\x10\x20\x00\x00", 7), 7);
	step(u, call, 6);
	assert_int_equal(cpu->rip, CPU_UNIT_CODE + 4 + 0x2010);
	assert_int_equal(cpu->gpr[RSP], STACK - 2);
	assert_int_equal(load16(u->ram->hva + STACK - 2), CPU_UNIT_CODE + 4);
	as(u, true);
	store64(u->ram->hva + STACK, 0x1122334455667788);
	STEP(u, "\x66\xc2\x08\x00"); /* ret 8 */
	assert_int_equal(cpu->rip, 0x7788);
	assert_int_equal(cpu->gpr[RSP], STACK + 2 + 8);
	cpu->gpr[RAX] = 0xffff800000004321;
	STEP(u, "\x66\xff\xe0"); /* jmp ax */
	assert_int_equal(cpu->rip, 0x4321);
	store64(DATA_AT(u), 0xffff800000005432);
	STEP(u, "\x66\xff\x26");
	assert_int_equal(cpu->rip, 0x5432);
	/* a short one: the target is cut, the way past it is not */
	flags_set(cpu, FLAG_1 | FLAG_ZF);
	STEP(u, "\x66\xe2\xf0"); /* loop */
	assert_int_equal(cpu->rip, (CPU_UNIT_CODE + 3 - 16) & 0xffff);
	cpu->gpr[RCX] = 1;
	STEP(u, "\x66\xe2\xf0");
	assert_int_equal(cpu->rip, CPU_UNIT_CODE + 3);
	as(u, false);
	STEP(u, "\x66\xff\x26");
	assert_int_equal(cpu->rip, 0xffff800000005432);
}

/* F3 makes LOOPNE a LOOPE, F2 makes LOOPE a LOOPNE. */
static void loops(void **state)
{
	struct cpu_unit *u = *state;

	for (unsigned amd = 0; amd < 2; amd++)
		for (unsigned zf = 0; zf < 2; zf++) {
			struct cpu *cpu = as(u, amd);
			flags_set(cpu, FLAG_1 | (zf ? FLAG_ZF : 0));
			STEP(u, "\xf3\xe0\x10");
			assert_int_equal(cpu->rip == CPU_UNIT_CODE + 3 + 16, amd ? zf : !zf);
			STEP(u, "\xf2\xe1\x10");
			assert_int_equal(cpu->rip == CPU_UNIT_CODE + 3 + 16, amd ? !zf : zf);
			STEP(u, "\xf2\xe0\x10");
			assert_int_equal(cpu->rip == CPU_UNIT_CODE + 3 + 16, !zf);
			STEP(u, "\xf3\xe1\x10");
			assert_int_equal(cpu->rip == CPU_UNIT_CODE + 3 + 16, zf);
		}
}

/* Far pointers with REX.W: m16:64, or m16:32. */
static void far_pointers(void **state)
{
	struct cpu_unit *u = *state;

	for (unsigned amd = 0; amd < 2; amd++) {
		struct cpu *cpu = as(u, amd);
		store64(DATA_AT(u), 0x0000000087654321);
		store64(DATA_AT(u) + 8, 0);
		cpu->gpr[RAX] = ~0ull;
		RUN_OK(u, "\x48\x0f\xb5\x06"); /* lgs rax, [rsi]: a null selector in either place */
		assert_int_equal(cpu->gpr[RAX], 0x87654321);
		store64(DATA_AT(u), 0x0000123487654321);
		assert_int_equal(cpu_unit_run(u, "\x48\x0f\xb5\x06", 4), amd ? EXC_GP : -1); /* the selector is 1234, or 0 */
		if (!amd)
			assert_int_equal(cpu->gpr[RAX], 0x123487654321);
	}
}

static void encodings(void **state)
{
	struct cpu_unit *u = *state;
	struct insn in;
	bool ends;

	for (unsigned amd = 0; amd < 2; amd++) {
		struct cpu *cpu = as(u, amd);
		/* UD0, UD1: with a ModRM byte, or without */
		assert_int_equal(decode_insn(cpu, &in, (const u8 *)"\x0f\xff", 2, 0, CODE64, &ends), amd ? DECODE_BAD : DECODE_MORE);
		assert_int_equal(decode_insn(cpu, &in, (const u8 *)"\x66\x41\x0f\xb9", 4, 0, CODE64, &ends),
		                 amd ? DECODE_BAD : DECODE_MORE);
		RUN_FAULT(u, "\x0f\xb9\xc0", EXC_UD);
		/* prefetches of a register */
		assert_int_equal(cpu_unit_run(u, "\x0f\x0d\xc8", 3), amd ? EXC_UD : -1);
		RUN_OK(u, "\x0f\x0d\x0e");
		RUN_OK(u, "\x0f\x0d\x3e");
		/* LOCK MOV CR0 */
		cpu->gpr[RAX] = 0;
		assert_int_equal(cpu_unit_run(u, "\xf0\x0f\x20\xc0", 4), amd ? -1 : EXC_UD);
		RUN_FAULT(u, "\xf0\x0f\x20\xd0", EXC_UD); /* CR2 */
		RUN_FAULT(u, "\xf0\x44\x0f\x20\xc0", EXC_UD);
		if (amd)
			assert_int_equal(cpu->gpr[RAX], 0); /* and not what CR0 has */
		/* LOCK VERW of memory; not of a register, nor VERR */
		assert_int_equal(cpu_unit_run(u, "\xf0\x0f\x00\x2e", 4), amd ? -1 : EXC_UD);
		RUN_FAULT(u, "\xf0\x0f\x00\xe8", EXC_UD);
		RUN_FAULT(u, "\xf0\x0f\x00\x26", EXC_UD);
		/* SYSENTER and SYSEXIT in 64-bit code */
		cpu->sysenter_cs = 0;
		RUN_FAULT(u, "\x0f\x34", amd ? EXC_UD : EXC_GP);
		RUN_FAULT(u, "\x0f\x35", amd ? EXC_UD : EXC_GP);
	}
}

/* MOVSXD r16: 4 bytes are read, or 2. */
static void movsxd(void **state)
{
	struct cpu_unit *u = *state;

	for (unsigned amd = 0; amd < 2; amd++) {
		struct cpu *cpu = as(u, amd);
		cpu->gpr[RSI] = (1ull << 30) - 2; /* the end of what is mapped */
		cpu->gpr[RAX] = 0x1111;
		assert_int_equal(cpu_unit_run(u, "\x66\x63\x06", 3), amd ? EXC_PF : -1);
		cpu->gpr[RSI] = DATA;
		store32(DATA_AT(u), 0x87654321);
		RUN_OK(u, "\x66\x63\x06");
		assert_int_equal(cpu->gpr[RAX] & 0xffff, 0x4321);
		assert_int_equal(cpu->gpr[RAX] >> 16, 0);
	}
}

/* Misaligned operands of SHA instructions: not the vendor's but the flavour's. */
static void sha_alignment(void **state)
{
	struct cpu_unit *u = *state;

	as(u, false)->gpr[RSI] = DATA + 1;
	u->cpu->flavour = FLAVOUR_INTEL;
	RUN_FAULT(u, "\x0f\x38\xc9\x06", EXC_GP); /* sha1msg1 */
	u->cpu->flavour = FLAVOUR_AMD;
	RUN_OK(u, "\x0f\x38\xc9\x06");
	RUN_FAULT(u, "\x0f\x57\x06", EXC_GP); /* xorps */
}

/* LZCNT and TZCNT leave OF, or clear it: the flavour's. No model offers them yet. */
static void counts(void **state)
{
	struct cpu_unit *u = *state;
	static const char lzcnt[] = "\xf3\x0f\xbd\xc1\xeb\x00", tzcnt[] = "\xf3\x0f\xbc\xc1\xeb\x00"; /* eax, ecx; jmp */

	u->model.features[FEAT_LZCNT / 64] |= BIT(FEAT_LZCNT % 64);
	u->model.features[FEAT_BMI1 / 64] |= BIT(FEAT_BMI1 % 64);
	for (unsigned flavour = FLAVOUR_INTEL; flavour <= FLAVOUR_AMD; flavour++) {
		u32 kept = flavour == FLAVOUR_AMD ? FLAG_OF : 0;
		struct cpu *cpu = as(u, false);
		if (engine->native && flavour != flavour_host())
			continue;
		cpu->flavour = flavour;
		cpu->gpr[RCX] = 0x100;
		flags_set(cpu, FLAG_1 | FLAGS_ARITH);
		steps(u, lzcnt, 6, 2);
		assert_int_equal(cpu->gpr[RAX], 23);
		assert_int_equal(flags_get(cpu), FLAG_1 | kept);
		cpu->gpr[RCX] = 0;
		flags_set(cpu, FLAG_1 | FLAGS_ARITH);
		steps(u, tzcnt, 6, 2);
		assert_int_equal(cpu->gpr[RAX], 32);
		assert_int_equal(flags_get(cpu), FLAG_1 | FLAG_CF | kept);
	}
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(branches), TEST(loops), TEST(far_pointers), TEST(encodings), TEST(movsxd), TEST(sha_alignment), TEST(counts),
	};
	int failed = cmocka_run_group_tests_name("interpreter", tests, NULL, NULL);
#ifdef ENGINE_JIT
	engine = &jit_engine;
	jit_options.warm = 1;
	failed += cmocka_run_group_tests_name("translator", tests, NULL, NULL);
#endif
	return failed;
}
