/* SPDX-License-Identifier: MIT */
/* Locked instructions of two CPUs on the same memory: nothing is lost, whatever the flags do meanwhile. */
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "tests/unit/cpu_unit.h"

#define ROUNDS 500000
#define AT 0x10000u

struct worker {
	struct cpu_unit *u; /* shared */
	struct cpu *cpu;
	const char *bytes;
	unsigned len;
	void (*prepare)(struct cpu *cpu);
	bool retry; /* until ZF: the compare and exchange */
	u64 sum;
};

static void rounds(struct worker *w, const struct insn *in)
{
	struct cpu *cpu = w->cpu;

	for (unsigned i = 0; i < ROUNDS; i++) {
		do {
			w->prepare(cpu);
			for (const struct insn *next = in; next;)
				next = next->exec(cpu, next);
		} while (w->retry && !flags_zf(cpu));
		w->sum += cpu->gpr[RBX];
	}
}

static void *work(void *opaque)
{
	struct worker *w = opaque;
	struct cpu *cpu = w->cpu;
	struct insn in[2] = {0};
	bool ends;
	jmp_buf env;

	cpu->gpr[GPR_PAGE] = CPU_UNIT_CODE;
	decode_insn(cpu, &in[0], (const u8 *)w->bytes, w->len, 0, cpu->code_mode, &ends);
	in[0].left = 1;
	in[1].exec = cpu_unit_end;
	cpu->fault_env = &env;
	if (setjmp(env))
		return "a fault";
	rounds(w, in);
	return NULL;
}

static void race(struct worker w[2], const char *bytes, unsigned len, void (*prepare)(struct cpu *), bool retry)
{
	pthread_t thread[2];

	for (unsigned i = 0; i < 2; i++) {
		w[i].bytes = bytes;
		w[i].len = len;
		w[i].prepare = prepare;
		w[i].retry = retry;
		w[i].sum = 0;
		memset(w[i].cpu->gpr, 0, 16 * sizeof(u64));
		w[i].cpu->gpr[RDI] = AT;
		assert_int_equal(pthread_create(&thread[i], NULL, work, &w[i]), 0);
	}
	for (unsigned i = 0; i < 2; i++) {
		void *result;
		pthread_join(thread[i], &result);
		assert_null(result); /* no fault */
	}
}
#define RACE(w, bytes, prepare, retry) race(w, bytes, sizeof(bytes) - 1, prepare, retry)

static void nothing(struct cpu *cpu)
{
	(void)cpu;
}
static void carry(struct cpu *cpu)
{
	flags_set(cpu, FLAG_1 | FLAG_CF);
}
static void add_one(struct cpu *cpu)
{
	cpu->gpr[RBX] = 1;
}
/* What was read last, and one more: the guess for the next try. */
static void increment(struct cpu *cpu)
{
	cpu->gpr[RBX] = cpu->gpr[RAX] + 1;
	cpu->gpr[RCX] = cpu->gpr[RDX] + 2;
}

static int setup(void **state)
{
	struct worker *w = err_alloc(2 * sizeof *w);
	struct cpu_unit *u = cpu_unit_new("max");

	w[0].cpu = u->cpu;
	u->cpu = w[1].cpu = cpu_new(&u->model, &u->bus, u->clock, 1, 2);
	cpu_unit_long(u);
	u->cpu = w[0].cpu;
	cpu_unit_long(u);
	w[0].u = w[1].u = u;
	*state = w;
	return 0;
}

static int teardown(void **state)
{
	struct worker *w = *state;

	cpu_free(w[1].cpu);
	cpu_unit_free(w[0].u);
	free(w);
	return 0;
}

static void counts(void **state)
{
	struct worker *w = *state;
	u8 *at = w[0].u->ram->hva + AT;

	RACE(w, "\xf0\x48\xff\x07", nothing, false); /* inc qword [rdi] */
	assert_int_equal(load64(at), 2 * ROUNDS);
	RACE(w, "\xf0\xff\x0f", nothing, false); /* dec dword [rdi] */
	assert_int_equal(load64(at), 0);
	RACE(w, "\xf0\x83\x17\x02", carry, false); /* adc dword [rdi], 2: the carry of each attempt is that of before */
	assert_int_equal(load32(at), 2 * 3 * ROUNDS);
	RACE(w, "\xf0\x66\x83\x2f\x05", nothing, false); /* sub word [rdi], 5 */
	assert_int_equal(load16(at), (u16)(2 * -2 * ROUNDS));
	assert_int_equal(load16(at + 2), (2 * 3 * ROUNDS) >> 16);
	store64(at, 0);
	RACE(w, "\xf0\x48\x0f\xc1\x1f", add_one, false); /* xadd [rdi], rbx: every value is seen once */
	assert_int_equal(load64(at), 2 * ROUNDS);
	assert_int_equal(w[0].sum + w[1].sum, (u64)ROUNDS * (2 * ROUNDS - 1));
	store64(at, 0);
	/* across a cache line, and unaligned: the slow path */
	for (unsigned i = 0; i < 2; i++)
		w[i].cpu->gpr[RDI] = AT;
	RACE(w, "\xf0\xff\x47\x3e", nothing, false);
	assert_int_equal(load32(at + 0x3e), 2 * ROUNDS);
}

static void compares(void **state)
{
	struct worker *w = *state;
	u8 *at = w[0].u->ram->hva + AT;

	RACE(w, "\xf0\x48\x0f\xb1\x1f", increment, true); /* cmpxchg [rdi], rbx */
	assert_int_equal(load64(at), 2 * ROUNDS);
	store64(at, 0);
	RACE(w, "\xf0\x0f\xc7\x0f", increment, true); /* cmpxchg8b */
	assert_int_equal(load32(at), 2 * ROUNDS);
	assert_int_equal(load32(at + 4), 4 * ROUNDS);
	store64(at, 0);
	RACE(w, "\xf0\x48\x0f\xc7\x0f", increment, true); /* cmpxchg16b */
	assert_int_equal(load64(at), 2 * ROUNDS);
	assert_int_equal(load64(at + 8), 4 * ROUNDS);
}

/* XCHG is locked without a prefix: a token is never doubled, never lost. */
static void exchange(void **state)
{
	struct worker *w = *state;
	u8 *at = w[0].u->ram->hva + AT;

	store64(at, 1000);
	RACE(w, "\x48\x87\x1f", nothing, false); /* xchg [rdi], rbx */
	assert_int_equal(load64(at) + w[0].cpu->gpr[RBX] + w[1].cpu->gpr[RBX], 1000);
}

static void bit_strings(void **state)
{
	struct worker *w = *state;
	u8 *at = w[0].u->ram->hva + AT;

	store64(at, 0);
	RACE(w, "\xf0\x0f\xba\x3f\x07", nothing, false); /* btc dword [rdi], 7: an even number of times */
	assert_int_equal(load64(at), 0);
}

/* ---- bytes of descriptors, which CPUs change by themselves ---- */

#define GDT 0x18000u
#define DATA_TYPE (GDT + 0x10 + 5)
#define TSS_TYPE (GDT + 0x20 + 5)

static void tables(struct worker *w)
{
	u8 *gdt = w[0].u->ram->hva + GDT;

	store64(gdt + 0x10, 0x00cf12000000ffff); /* data, not accessed, not present */
	store64(gdt + 0x20, 0x0000890000000067 | (u64)AT << 16); /* an available TSS */
	store64(gdt + 0x28, 0);
	for (unsigned i = 0; i < 2; i++)
		w[i].cpu->gdtr = (struct table_reg){.base = GDT, .limit = 0x2f};
}

/* True if it raised nothing. */
static bool execute(struct cpu *cpu, const char *bytes, unsigned len)
{
	struct insn in[2] = {0};
	jmp_buf env;
	bool ends;

	cpu->gpr[GPR_PAGE] = CPU_UNIT_CODE;
	decode_insn(cpu, &in[0], (const u8 *)bytes, len, 0, cpu->code_mode, &ends);
	in[0].left = 1;
	in[1].exec = cpu_unit_end;
	cpu->fault_env = &env;
	if (setjmp(env))
		return false;
	for (const struct insn *next = in; next;)
		next = next->exec(cpu, next);
	return true;
}

static atomic_bool enough;

static void *load_segment(void *opaque)
{
	struct worker *w = opaque;

	while (!atomic_load(&enough))
		execute(w->cpu, "\x8e\xdf", 2); /* mov %edi, %ds */
	return NULL;
}

/* The accessed bit is set in what was looked at, or not at all: a descriptor that is not present stays so. */
static void accessed_bit(void **state)
{
	struct worker *w = *state;
	u8 *type = w[0].u->ram->hva + DATA_TYPE;
	pthread_t thread;
	unsigned loaded = 0;

	tables(w);
	w[0].cpu->gpr[RDI] = 0x10;
	atomic_store(&enough, false);
	assert_int_equal(pthread_create(&thread, NULL, load_segment, &w[0]), 0);
	for (unsigned i = 0; i < ROUNDS / 5 || !loaded; i++) { /* until the other thread had its turn */
		__atomic_store_n(type, 0x92, __ATOMIC_SEQ_CST);
		for (unsigned k = 0; k < i % 64; k++)
			__atomic_load_n(type, __ATOMIC_SEQ_CST);
		if (i >= ROUNDS / 5)
			sched_yield();
		loaded += __atomic_exchange_n(type, 0x12, __ATOMIC_SEQ_CST) == 0x93;
		for (unsigned k = 0; k < 100; k++)
			assert_int_equal(__atomic_load_n(type, __ATOMIC_SEQ_CST), 0x12);
	}
	atomic_store(&enough, true);
	pthread_join(thread, NULL);
	assert_true(loaded > 0);
}

/* Two threads meet without sleeping, so that what comes next is at the same time. */
static atomic_uint arrived;

static void meet(unsigned n)
{
	atomic_fetch_add(&arrived, 1);
	for (unsigned i = 1; atomic_load(&arrived) < n * 2; i++)
		if (i % 4096 == 0)
			sched_yield();
}

#define TASKS (ROUNDS / 20)

static void *load_task(void *opaque)
{
	struct worker *w = opaque;
	u8 *type = w->u->ram->hva + TSS_TYPE;

	for (unsigned i = 0; i < TASKS; i++) {
		meet(i * 2 + 1);
		bool loaded = execute(w->cpu, "\x0f\x00\xdf", 3); /* ltr %edi */
		meet(i * 2 + 2);
		w->sum += loaded;
		if (w->cpu->index == 0)
			*type = 0x89;
	}
	return NULL;
}

/* Of two CPUs that load the same task only one may have it. */
static void busy_bit(void **state)
{
	struct worker *w = *state;
	pthread_t thread[2];

	tables(w);
	atomic_store(&arrived, 0);
	for (unsigned i = 0; i < 2; i++) {
		w[i].cpu->gpr[RDI] = 0x20;
		w[i].sum = 0;
		assert_int_equal(pthread_create(&thread[i], NULL, load_task, &w[i]), 0);
	}
	for (unsigned i = 0; i < 2; i++)
		pthread_join(thread[i], NULL);
	assert_int_equal(w[0].sum + w[1].sum, TASKS);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(counts, setup, teardown),
		cmocka_unit_test_setup_teardown(compares, setup, teardown),
		cmocka_unit_test_setup_teardown(exchange, setup, teardown),
		cmocka_unit_test_setup_teardown(bit_strings, setup, teardown),
		cmocka_unit_test_setup_teardown(accessed_bit, setup, teardown),
		cmocka_unit_test_setup_teardown(busy_bit, setup, teardown),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
