/* SPDX-License-Identifier: MIT */
/* What the CPU reads changes while it reads it: somebody else writes control words and code all the time, as a device or another
 * CPU may. Whatever comes of it, each instruction is one of those that were there, and the process goes on. */
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "cpu/quiet.h"
#include "jit/jit.h"
#include "tests/unit/cpu_unit.h"

#define AT 0x3000u
#define DATA 0x8000u
#define ROUNDS 150u
#define BUDGET 20000u

struct race {
	struct cpu_unit *u;
	u64 at;
	const u8 *one, *other; /* written there in turn */
	unsigned len;
	bool code;             /* written as a device does, so that the CPU hears of it */
	atomic_bool end;
};

static void *write_in_turn(void *opaque)
{
	struct race *r = opaque;

	for (unsigned i = 0; !atomic_load_explicit(&r->end, memory_order_relaxed); i++) {
		const u8 *from = i & 1 ? r->one : r->other;
		if (r->code)
			bus_dma_write(&r->u->bus, r->at, from, r->len);
		else
			__atomic_store_n((u16 *)(r->u->ram->hva + r->at), load16(from), __ATOMIC_RELAXED);
	}
	return NULL;
}

/* IDT entry: a handler that skips to the address in R15. */
static void handle(struct cpu_unit *u)
{
	static const u8 handler[] = {0x4c, 0x89, 0x3c, 0x24, /* mov %r15, (%rsp) */ 0x48, 0xcf /* iretq */};
	static const u8 handler_code[] = {0x48, 0x83, 0xc4, 0x08}; /* add $8, %rsp */
	u8 *ram = u->ram->hva;

	for (unsigned vector = 0; vector < 32; vector++) {
		bool code = vector == 8 || (vector >= 10 && vector <= 14) || vector == 17;
		store64(ram + 0x5000 + vector * 16, (code ? 0x6000 : 0x6004) | 8ull << 16 | 0x8e00ull << 32);
		store64(ram + 0x5000 + vector * 16 + 8, 0);
	}
	memcpy(ram + 0x6000, handler_code, sizeof handler_code);
	memcpy(ram + 0x6004, handler, sizeof handler);
	store64(ram + 0x7008, 0x00af9b000000ffff);
	store64(ram + 0x7010, 0x00cf93000000ffff);
	u->cpu->gdtr = (struct table_reg){.base = 0x7000, .limit = 0x17};
	u->cpu->idtr = (struct table_reg){.base = 0x5000, .limit = 32 * 16 - 1};
	u->cpu->gpr[RSP] = u->cpu->gpr[R14] = 0x20000;
	u->cpu->gpr[R15] = AT;
}

static void race(const struct engine *engine, const u8 *program, unsigned size, struct race *r)
{
	pthread_t thread;

	r->u = cpu_unit_new("max");
	struct cpu *cpu = r->u->cpu;
	cpu_unit_long(r->u);
	handle(r->u);
	quiet_adopt(cpu);
	atomic_store(&r->end, false);
	assert_int_equal(pthread_create(&thread, NULL, write_in_turn, r), 0);
	for (unsigned i = 0; i < ROUNDS; i++) {
		/* half an instruction of the one and half of the other may have led anywhere */
		bus_dma_write(&r->u->bus, AT, program, size);
		handle(r->u);
		cpu->rip = AT;
		cpu->gpr[RBX] = DATA;
		cpu->activity = CPU_RUNNING;
		cpu->rflags = FLAG_1;
		cpu_unit_segments(r->u, SEG_L, 0);
		cpu->seg[SEG_CS].selector = 8;
		cpu_state_changed(cpu);
		engine->run(cpu, BUDGET);
	}
	atomic_store(&r->end, true);
	pthread_join(thread, NULL);
	assert_true(cpu->instructions > ROUNDS);
}

/* A control word that masks everything, and one that masks nothing. */
static void control_word(void **unused)
{
	static const u8 program[] = {
		0xdb, 0xe3,             /* fninit */
		0xd9, 0x2b,             /* fldcw (%rbx) */
		0xd9, 0xee,             /* fldz */
		0xd9, 0xe8,             /* fld1 */
		0xde, 0xf1,             /* fdivp: 1 / 0 */
		0xd9, 0xe8,             /* fld1: where an unmasked exception would strike */
		0x9b,                   /* fwait */
		0xeb, 0xf1,             /* jmp */
	};
	static const u8 masked[2] = {0x7f, 0x03}, unmasked[2] = {0x40, 0x03};
	struct race r = {.at = DATA, .one = masked, .other = unmasked, .len = 2};

	(void)unused;
	race(&jit_engine, program, sizeof program, &r);
	cpu_unit_free(r.u);
}

/* Two instructions of different kinds and lengths at one place, with and without prefixes, ModRM, SIB, VEX, EVEX, XOP. */
static void code(const struct engine *engine)
{
	static const u8 program[] = {
		0xff, 0xc0, 0x90, 0x90, 0x90, 0x90, 0x90, 0x90, 0x90, 0x90, 0x90, 0x90,
		0x4c, 0x89, 0xf4, /* mov %r14, %rsp */
		0xeb, 0xef, /* jmp */
	};
	static const u8 pairs[][2][15] = {
		{{0x66, 0x0f, 0x1f, 0x84, 0x00, 0, 0, 0, 0}, {0xc5, 0xf8, 0x28, 0xc1, 0x90, 0x90, 0x90, 0x90, 0x90}},
		{{0x8d, 0x84, 0x9b, 1, 2, 3, 4, 0x90, 0x90}, {0x8d, 0x43, 0x01, 0x90, 0x90, 0x90, 0x90, 0x90, 0x90}},
		{{0x62, 0xf1, 0x7c, 0x48, 0x28, 0xc1, 0x90, 0x90, 0x90}, {0x48, 0xb8, 1, 2, 3, 4, 5, 6, 7}},
		{{0xc4, 0xe2, 0x79, 0x18, 0x03, 0x90, 0x90, 0x90, 0x90}, {0x0f, 0x38, 0xf0, 0x03, 0x90, 0x90, 0x90, 0x90, 0x90}},
		{{0x8f, 0xe8, 0x78, 0xc0, 0xc1, 0x01, 0x90, 0x90, 0x90}, {0x8f, 0xc0, 0x78, 0xc0, 0xc1, 0x01, 0x90, 0x90, 0x90}},
		{{0xf3, 0x0f, 0x1e, 0xfa, 0xf0, 0x0f, 0xc1, 0x03, 0x90}, {0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66}},
	};

	for (unsigned i = 0; i < ARRAY_LEN(pairs); i++) {
		struct race r = {.at = AT, .one = pairs[i][0], .other = pairs[i][1], .len = 9, .code = true};
		race(engine, program, sizeof program, &r);
		cpu_unit_free(r.u);
	}
}

static void code_interpreted(void **unused)
{
	(void)unused;
	code(&interp_engine);
}

static void code_translated(void **unused)
{
	(void)unused;
	code(&jit_engine);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(control_word), cmocka_unit_test(code_interpreted), cmocka_unit_test(code_translated),
	};

	jit_options.warm = 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
