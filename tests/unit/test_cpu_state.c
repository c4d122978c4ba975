/* SPDX-License-Identifier: MIT */
/* cpu/cpu: the table covers the state, a random state survives save and load, RESET and INIT leave what the manual says. */
#include <pthread.h>
#include <sched.h>
#include <stdlib.h>

#include "cpu/engine.h"
#include "cpu/msr.h"
#include "cpu/quiet.h"
#include "tests/unit/cpu_unit.h"

static void covers(void **state)
{
	struct err err = {0};

	(void)state;
	if (!field_cover(cpu_fields, CPU_STATE_SIZE, "cpu", &err))
		fail_msg("%s", err.text);
}

static void fill(struct cpu *cpu, u64 seed)
{
	u8 *bytes = (u8 *)cpu;

	for (size_t i = 0; i < CPU_STATE_SIZE; i++)
		bytes[i] = unit_random(&seed) >> 32;
}

static void round_trip(void **state)
{
	(void)state;
	for (u64 seed = 1; seed <= 50; seed++) {
		struct cpu_unit *a = cpu_unit_new("max"), *b = cpu_unit_new("max");
		struct field_buf buf = {0};
		struct err err;
		char text[200];

		fill(a->cpu, seed);
		field_save(&buf, "cpu", cpu_fields, a->cpu);
		assert_true(field_load(&buf, "cpu", cpu_fields, b->cpu, CPU_STATE_SIZE, &err));
		assert_memory_equal(a->cpu, b->cpu, CPU_STATE_SIZE);
		/* whatever the file said, the CPU can be looked at and run */
		cpu_state_changed(b->cpu);
		assert_true(b->cpu->activity <= CPU_SHUTDOWN && b->cpu->shadow <= SHADOW_MOV_SS && b->cpu->cpl <= 3);
		assert_int_equal(b->cpu->gpr[GPR_ZERO], 0);
		cpu_state_changed(a->cpu);
		assert_false(field_differ(cpu_fields, a->cpu, b->cpu, text, sizeof text));
		RUN(b, "\x90");
		field_buf_free(&buf);
		cpu_unit_free(a);
		cpu_unit_free(b);
	}
}

static void pending_events(void **state)
{
	struct cpu_unit *a = cpu_unit_new("max"), *b = cpu_unit_new("max");

	(void)state;
	cpu_request(a->cpu, CPU_REQ_NMI | CPU_REQ_INTR);
	flags_add(a->cpu, -1, 1, 0);
	cpu_state_sync(a->cpu);
	assert_int_equal(a->cpu->rflags & FLAGS_ARITH, FLAG_CF | FLAG_ZF | FLAG_AF | FLAG_PF);
	memcpy(b->cpu, a->cpu, CPU_STATE_SIZE);
	cpu_state_changed(b->cpu);
	assert_int_equal(atomic_load(&b->cpu->request) & (CPU_REQ_NMI | CPU_REQ_INTR), CPU_REQ_NMI); /* INTR is a level */
	cpu_reset(b->cpu, false);
	assert_int_equal(atomic_load(&b->cpu->request) & CPU_REQ_NMI, 0);
	cpu_unit_free(a);
	cpu_unit_free(b);
}

static void after_reset(const struct cpu *cpu)
{
	assert_int_equal(cpu->rip, 0xfff0);
	assert_int_equal(flags_get(cpu), 2);
	assert_int_equal(cpu->seg[SEG_CS].selector, 0xf000);
	assert_int_equal(cpu->seg[SEG_CS].base, 0xffff0000);
	for (unsigned i = 0; i < SEG_COUNT; i++) {
		assert_int_equal(cpu->seg[i].limit, 0xffff);
		assert_int_equal(cpu->seg[i].attr, i == SEG_CS ? 0x9b : 0x93);
	}
	assert_int_equal(cpu->gdtr.limit, 0xffff);
	assert_int_equal(cpu->idtr.limit, 0xffff);
	assert_int_equal(cpu->cr2 | cpu->cr3 | cpu->cr4 | cpu->efer, 0);
	assert_int_equal(cpu->dr[6], 0xffff0ff0);
	assert_int_equal(cpu->dr[7], 0x400);
	assert_int_equal(cpu->gpr[RDX], model_signature(cpu->model));
	assert_int_equal(cpu->gpr[RAX], 0);
	assert_int_equal(cpu->cpl, 0);
	assert_int_equal(cpu->code_mode, CODE16);
}

static void reset(void **state)
{
	struct cpu_unit *u = cpu_unit_new("max");
	struct cpu *cpu = u->cpu;

	(void)state;
	after_reset(cpu);
	assert_int_equal(cpu->cr0, 0x60000010);
	assert_int_equal(cpu->x87.fcw, 0x40);
	assert_int_equal(cpu->mxcsr, 0x1f80);
	assert_int_equal(cpu->pat, 0x0007040600070406);
	assert_int_equal(cpu->xcr0, 1);
	assert_int_equal(cpu->gpr[RDX], 0x00080667);

	cpu_unit_long(u);
	cpu->x87.fcw = 0x37f;
	cpu->mxcsr = 0x1fbf;
	cpu->v[3].q[1] = 5;
	cpu->gpr[RBX] = 7;
	cpu->star = 9;
	cpu->kernel_gs_base = 10;
	cpu->mtrr_def_type = 0xc06;
	cpu->tsc_offset = 1234;
	cpu->dr[7] = 0x401;
	assert_true(control_set_xcr0(cpu, 3));
	cpu_reset(cpu, true); /* INIT */
	after_reset(cpu);
	assert_int_equal(cpu->cr0, 0x10); /* CD and NW as they were */
	assert_int_equal(cpu->x87.fcw, 0x37f);
	assert_int_equal(cpu->mxcsr, 0x1fbf);
	assert_int_equal(cpu->v[3].q[1], 5);
	assert_int_equal(cpu->gpr[RBX], 0);
	assert_int_equal(cpu->star, 9);
	assert_int_equal(cpu->kernel_gs_base, 10);
	assert_int_equal(cpu->mtrr_def_type, 0xc06);
	assert_int_equal(cpu->tsc_offset, 1234);
	assert_int_equal(cpu->xcr0, 3);

	cpu_reset(cpu, false);
	after_reset(cpu);
	assert_int_equal(cpu->cr0, 0x60000010);
	assert_int_equal(cpu->v[3].q[1] | cpu->star | cpu->mtrr_def_type | cpu->kernel_gs_base, 0);
	cpu_unit_free(u);
}

static void secondary(void **state)
{
	struct cpu_unit *u = cpu_unit_new("max");
	struct cpu *second = cpu_new(&u->model, &u->bus, u->clock, 1, 2);

	(void)state;
	assert_int_equal(second->activity, CPU_WAIT_SIPI);
	assert_int_equal(u->cpu->activity, CPU_RUNNING);
	cpu_free(second);
	cpu_free(NULL);
	cpu_unit_free(u);
}

/* INIT and SIPI come while a CPU that waits for them is between its first look at what is requested and its second. */
struct start {
	struct cpu *first, *second;
	_Atomic int go, alone, end;
};

static void wait_for(const _Atomic int *flag)
{
	while (!atomic_load(flag))
		sched_yield();
}

static void *be_alone(void *opaque)
{
	struct start *s = opaque;
	bool inside = quiet_alone_begin(s->first);

	atomic_store(&s->alone, 1);
	wait_for(&s->end);
	quiet_alone_end(s->first, inside);
	return NULL;
}

static void *look_for_events(void *opaque)
{
	struct start *s = opaque;

	quiet_adopt(s->second);
	quiet_enter(s->second, true);
	atomic_store(&s->go, 1);
	while (!(atomic_load(&s->second->request) & CPU_REQ_PASS))
		sched_yield();
	for (unsigned i = 0; i < 3; i++)
		engine_events(s->second); /* the first waits for who is alone */
	quiet_leave(s->second);
	return NULL;
}

static void started(void **state)
{
	struct cpu_unit *u = cpu_unit_new("max");
	struct start s = {.first = u->cpu, .second = cpu_new(&u->model, &u->bus, u->clock, 1, 2)};
	pthread_t alone, looks;

	(void)state;
	assert_int_equal(pthread_create(&looks, NULL, look_for_events, &s), 0);
	wait_for(&s.go);
	assert_int_equal(pthread_create(&alone, NULL, be_alone, &s), 0);
	wait_for(&s.alone);
	engine_init(s.second);
	engine_sipi(s.second, 0x12);
	atomic_store(&s.end, 1);
	pthread_join(alone, NULL);
	pthread_join(looks, NULL);
	assert_int_equal(s.second->activity, CPU_RUNNING);
	assert_int_equal(s.second->seg[SEG_CS].base, 0x12000);
	assert_int_equal(atomic_load(&s.second->request), 0);
	cpu_free(s.second);
	cpu_unit_free(u);
}

static void tsc(void **state)
{
	struct cpu_unit *u = cpu_unit_new("max");
	struct cpu *cpu = u->cpu;
	u64 value;

	(void)state;
	clock_count_instructions(u->clock, &cpu->instructions, 0);
	assert_int_equal(cpu_tsc(cpu), 0);
	clock_start(u->clock);
	cpu->instructions = 1000;
	assert_int_equal(cpu_tsc(cpu), 2000);
	cpu->instructions = 20000000000000000; /* 231 days: more than 64 bits on the way */
	assert_int_equal(cpu_tsc(cpu), 40000000000000000);
	cpu->instructions = 1000;
	assert_true(msr_write(cpu, MSR_TSC, 500));
	assert_true(msr_read(cpu, MSR_TSC, &value));
	assert_int_equal(value, 500);
	assert_true(msr_read(cpu, 0x3b, &value));
	assert_int_equal((i64)value, -1500);
	assert_true(msr_write(cpu, 0x3b, 0));
	assert_int_equal(cpu_tsc(cpu), 2000);
	cpu_unit_free(u);
}

/* The machine tells the CPU of map changes. */
static void remap(void **state)
{
	struct cpu_unit *u = cpu_unit_new("max");

	(void)state;
	cpu_unrequest(u->cpu, CPU_REQ_FLUSH);
	bus_unmap(&u->bus, &u->region);
	assert_true(atomic_load(&u->cpu->request) & CPU_REQ_FLUSH);
	bus_map(&u->bus, &u->region, 0, 0);
	cpu_unit_free(u);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(covers), cmocka_unit_test(round_trip), cmocka_unit_test(pending_events),
		cmocka_unit_test(reset), cmocka_unit_test(secondary), cmocka_unit_test(started),
		cmocka_unit_test(tsc), cmocka_unit_test(remap),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
