/* SPDX-License-Identifier: MIT */
/* cpu/io: IN, OUT, INS, OUTS against a recording port; privilege and the I/O bitmap; faults and interrupts in mid-string. */
#include <pthread.h>
#include <semaphore.h>
#include <stdlib.h>
#include <unistd.h>

#include "tests/unit/cpu_unit.h"

struct port {
	struct cpu_unit *u;
	struct region region;
	unsigned reads, writes, interrupt_after;
	u64 log[2048];
	u64 last_offset;
	unsigned last_size;
	struct rival *rival;
};

/* A thread that wants the machine lock from the second write to the port on. */
struct rival {
	pthread_t thread;
	struct port *port;
	sem_t asks;
	unsigned got_after; /* writes */
};

static void *rival_run(void *opaque)
{
	struct rival *r = opaque;
	struct loop *loop = r->port->u->loop;

	sem_post(&r->asks);
	loop_lock(loop);
	r->got_after = r->port->writes;
	loop_unlock(loop);
	return NULL;
}

/* Every write takes long, and the second one until the rival runs. */
static void rival_meet(struct port *p)
{
	struct rival *r = p->rival;

	if (p->writes == 1) { /* the first alone fills the TLB */
		assert_int_equal(pthread_create(&r->thread, NULL, rival_run, r), 0);
		while (sem_wait(&r->asks))
			;
	}
	usleep(5000);
}

static u64 port_read(void *opaque, u64 offset, unsigned size)
{
	struct port *p = opaque;

	p->last_offset = offset;
	p->last_size = size;
	if (++p->reads == p->interrupt_after)
		cpu_request(p->u->cpu, CPU_REQ_INTR);
	return p->reads * 0x01010101ull & mask_bytes(size);
}

static void port_write(void *opaque, u64 offset, u64 value, unsigned size)
{
	struct port *p = opaque;

	if (p->rival)
		rival_meet(p);
	p->last_offset = offset;
	p->last_size = size;
	if (p->writes < ARRAY_LEN(p->log))
		p->log[p->writes] = value;
	if (++p->writes == p->interrupt_after)
		cpu_request(p->u->cpu, CPU_REQ_INTR);
}

static const struct region_ops port_ops = {port_read, port_write, 1, 4};

static int setup(void **state)
{
	struct port *p = err_alloc(sizeof *p);

	p->u = cpu_unit_new("max");
	p->region = (struct region){.name = "port", .size = 0x100, .ops = &port_ops, .opaque = p};
	bus_map_io(&p->u->bus, &p->region, 0x300);
	atomic_store(&p->u->cpu->request, 0);
	atomic_store(&p->u->cpu->kick, 0);
	*state = p;
	return 0;
}

static int teardown(void **state)
{
	struct port *p = *state;

	cpu_unit_free(p->u);
	free(p);
	return 0;
}

static void quiet(struct cpu *cpu)
{
	atomic_store(&cpu->request, 0);
	atomic_store(&cpu->kick, 0);
}

static void simple(void **state)
{
	struct port *p = *state;
	struct cpu_unit *u = p->u;
	struct cpu *cpu = u->cpu;

	cpu_unit_long(u);
	cpu->gpr[RDX] = 0xffff0310;
	cpu->gpr[RAX] = 0x1122334455667788;
	RUN_OK(u, "\xee");
	assert_int_equal(p->log[0], 0x88);
	RUN_OK(u, "\x66\xef");
	assert_int_equal(p->log[1], 0x7788);
	RUN_OK(u, "\xef");
	assert_int_equal(p->log[2], 0x55667788);
	assert_int_equal(p->last_offset, 0x10);
	RUN_OK(u, "\xec");
	assert_int_equal(cpu->gpr[RAX], 0x1122334455667701);
	RUN_OK(u, "\x66\xed");
	assert_int_equal(cpu->gpr[RAX], 0x1122334455660202);
	RUN_OK(u, "\xed");
	assert_int_equal(cpu->gpr[RAX], 0x03030303);
	RUN_OK(u, "\xe4\xff"); /* in al, 0xff: nobody there */
	assert_int_equal(cpu->gpr[RAX], 0x030303ff);
	RUN_OK(u, "\xe5\x80");
	assert_int_equal(cpu->gpr[RAX], 0xffffffff);
	RUN_OK(u, "\xe6\x80");
	cpu->gpr[RDX] = 0xfffe; /* past the end of the port space */
	RUN_OK(u, "\xed");
	assert_int_equal(cpu->gpr[RAX], 0xffffffff);
}

static void strings(void **state)
{
	struct port *p = *state;
	struct cpu_unit *u = p->u;
	struct cpu *cpu = u->cpu;

	cpu_unit_long(u);
	cpu->gpr[RDX] = 0x300;
	cpu->gpr[RDI] = 0x8ffe;
	cpu->gpr[RCX] = 600;
	RUN_OK(u, "\xf3\x66\x6d"); /* rep insw over a page end */
	assert_int_equal(cpu->gpr[RCX], 0);
	assert_int_equal(cpu->gpr[RDI], 0x8ffe + 1200);
	assert_int_equal(p->reads, 600);
	for (unsigned i = 0; i < 600; i++)
		assert_int_equal(load16(u->ram->hva + 0x8ffe + i * 2), (i + 1) * 0x101 & 0xffff);
	cpu->gpr[RSI] = 0x8ffe;
	cpu->gpr[RCX] = 600;
	RUN_OK(u, "\xf2\x66\x6f"); /* repne is a rep here */
	assert_int_equal(p->writes, 600);
	for (unsigned i = 0; i < 600; i++)
		assert_int_equal(p->log[i], (i + 1) * 0x101 & 0xffff);
	assert_int_equal(cpu->gpr[RSI], 0x8ffe + 1200);
	/* once, and none */
	RUN_OK(u, "\x6c");
	assert_int_equal(cpu->gpr[RDI], 0x8ffe + 1201);
	RUN_OK(u, "\xf3\x6c");
	assert_int_equal(p->reads, 601);
	/* downwards */
	flags_set(cpu, 2 | FLAG_DF);
	cpu->gpr[RDI] = 0x9004;
	cpu->gpr[RCX] = 4;
	p->reads = 0;
	RUN_OK(u, "\xf3\x6d");
	assert_int_equal(cpu->gpr[RDI], 0x8ff4);
	assert_int_equal(load32(u->ram->hva + 0x8ff8), 0x04040404);
	assert_int_equal(load32(u->ram->hva + 0x9004), 0x01010101);
	/* an address size of 32 bits wraps and clears the upper halves */
	flags_set(cpu, 2);
	cpu->gpr[RDI] = 0x500009000;
	cpu->gpr[RCX] = 0x700000002;
	RUN_OK(u, "\xf3\x67\x6d");
	assert_int_equal(cpu->gpr[RDI], 0x9008);
	assert_int_equal(cpu->gpr[RCX], 0);
}

/* Real mode: 16-bit offsets wrap at 64 KiB, and the segment's end faults before the port is touched. */
static void wrap(void **state)
{
	struct port *p = *state;
	struct cpu_unit *u = p->u;
	struct cpu *cpu = u->cpu;

	cpu->seg[SEG_ES].base = 0x20000;
	cpu->gpr[RDX] = 0x300;
	cpu->gpr[RDI] = 0x1234fffe;
	cpu->gpr[RCX] = 0x56780004;
	RUN_OK(u, "\xf3\x6c");
	assert_int_equal(cpu->gpr[RDI], 0x12340002);
	assert_int_equal(cpu->gpr[RCX], 0x56780000);
	assert_int_equal(load16(u->ram->hva + 0x2fffe), 0x0201);
	assert_int_equal(load16(u->ram->hva + 0x20000), 0x0403);
	cpu->gpr[RDI] = 0xffff;
	cpu->gpr[RCX] = 4;
	p->reads = 0;
	RUN_FAULT(u, "\xf3\x6d", EXC_GP); /* a word of which a byte lies outside */
	assert_int_equal(p->reads, 0);
	assert_int_equal(cpu->gpr[RCX], 4);
	cpu->seg[SEG_ES].limit = 0x10f;
	cpu->gpr[RDI] = 0x100;
	cpu->gpr[RCX] = 100;
	RUN_FAULT(u, "\xf3\x6c", EXC_GP);
	assert_int_equal(p->reads, 16);
	assert_int_equal(cpu->gpr[RCX], 84);
	assert_int_equal(cpu->gpr[RDI], 0x110);
}

/* A page that is missing in mid-string: what was done is done, nothing more. */
static void fault_between(void **state)
{
	struct port *p = *state;
	struct cpu_unit *u = p->u;
	struct cpu *cpu = u->cpu;
	const u64 a = 0x8000000000;

	cpu_unit_long(u);
	store64(u->ram->hva + CPU_UNIT_PML4 + 8, 0x210007);
	store64(u->ram->hva + 0x210000, 0x211007);
	store64(u->ram->hva + 0x211000, 0x212007);
	store64(u->ram->hva + 0x212000, 0x9007);
	store64(u->ram->hva + 0x212008, 0);
	cpu->gpr[RDX] = 0x300;
	cpu->gpr[RDI] = a + 0xff8;
	cpu->gpr[RCX] = 10;
	RUN_FAULT(u, "\xf3\x6d", EXC_PF);
	assert_int_equal(cpu->fault.cr2, a + 0x1000);
	assert_int_equal(cpu->fault.code, PF_W);
	assert_int_equal(cpu->fault.rip, CPU_UNIT_CODE);
	assert_int_equal(p->reads, 2);
	assert_int_equal(cpu->gpr[RCX], 8);
	assert_int_equal(cpu->gpr[RDI], a + 0x1000);
	/* across the page end: not even the port is read */
	cpu->gpr[RDI] = a + 0xffe;
	RUN_FAULT(u, "\xf3\x6d", EXC_PF);
	assert_int_equal(p->reads, 2);
	store64(u->ram->hva + 0x212008, 0xa005); /* read-only */
	RUN_FAULT(u, "\xf3\x6d", EXC_PF);
	assert_int_equal(cpu->fault.code, PF_W | PF_P);
	store64(u->ram->hva + 0x212008, 0xa007);
	RUN_OK(u, "\xf3\x6d");
	assert_int_equal(p->reads, 10);
	cpu->gpr[RSI] = a + 0x1ff0;
	cpu->gpr[RCX] = 10;
	RUN_FAULT(u, "\xf3\x6f", EXC_PF);
	assert_int_equal(p->writes, 4);
	assert_int_equal(cpu->gpr[RCX], 6);
}

static void interrupts(void **state)
{
	struct port *p = *state;
	struct cpu_unit *u = p->u;
	struct cpu *cpu = u->cpu;

	cpu_unit_long(u);
	quiet(cpu);
	cpu->gpr[RDX] = 0x300;
	cpu->gpr[RDI] = 0x9000;
	cpu->gpr[RCX] = 100;
	p->interrupt_after = 7;
	assert_int_equal(RUN(u, "\xf3\x6d"), -1);
	assert_int_equal(cpu->rip, CPU_UNIT_CODE); /* goes on from here later */
	assert_int_equal(cpu->gpr[RCX], 93);
	assert_int_equal(cpu->gpr[RDI], 0x9000 + 28);
	assert_true(cpu->rflags & FLAG_RF);
	quiet(cpu);
	RUN_OK(u, "\xf3\x6d");
	assert_int_equal(p->reads, 100);
	/* single steps are of one element */
	flags_set(cpu, 2 | FLAG_TF);
	cpu->gpr[RCX] = 3;
	assert_int_equal(RUN(u, "\xf3\x6d"), -1);
	assert_int_equal(cpu->gpr[RCX], 2);
	assert_int_equal(cpu->rip, CPU_UNIT_CODE);
	assert_int_equal(RUN(u, "\xf3\x6d"), -1);
	RUN_OK(u, "\xf3\x6d");
	/* an I/O breakpoint after the element that hit it */
	flags_set(cpu, 2);
	assert_true(control_set_cr4(cpu, cpu->cr4 | CR4_DE));
	cpu->dr[0] = 0x302;
	cpu->dr[7] = 0x400 | 1 | 2 << 16;
	mode_update(cpu);
	cpu->gpr[RCX] = 3;
	cpu->dr6_hits = 0;
	quiet(cpu);
	assert_int_equal(RUN(u, "\xf3\x6d"), -1);
	assert_int_equal(cpu->gpr[RCX], 2);
	assert_int_equal(cpu->dr6_hits, 1);
	cpu->dr6_hits = 0;
	RUN_OK(u, "\xee"); /* one byte at 0x300 is no hit */
	assert_int_equal(cpu->dr6_hits, 0);
}

static void permission(void **state)
{
	struct port *p = *state;
	struct cpu_unit *u = p->u;
	struct cpu *cpu = u->cpu;
	u8 *tss = u->ram->hva + 0xc000;

	cpu_unit_long(u);
	cpu_unit_segments(u, SEG_L, 3);
	cpu->gpr[RDX] = 0x303;
	cpu->gpr[RCX] = 1;
	cpu->gpr[RDI] = cpu->gpr[RSI] = 0x9000;
	flags_set(cpu, 2 | 3 << 12);
	RUN_OK(u, "\xee"); /* IOPL 3 */
	flags_set(cpu, 2 | 2 << 12);
	cpu->tr = (struct seg){.base = 0xc000, .limit = 0x67, .attr = SEG_P | 11};
	store16(tss + 102, 0x68);
	RUN_FAULT(u, "\xee", EXC_GP); /* no bitmap */
	assert_int_equal(cpu->fault.code, 0);
	cpu->tr.limit = 0x68 + 0x60 + 1;
	memset(tss + 0x68, 0xff, 0x70);
	tss[0x68 + 0x60] = 0xf7; /* port 0x303 */
	RUN_OK(u, "\xee");
	RUN_OK(u, "\xec");
	RUN_OK(u, "\x6c");
	RUN_FAULT(u, "\x66\xef", EXC_GP); /* 0x304 is not allowed */
	RUN_FAULT(u, "\xf3\x66\x6d", EXC_GP);
	tss[0x68 + 0x60] = 0x87;
	RUN_OK(u, "\xef");
	cpu->gpr[RDX] = 0x306;
	RUN_FAULT(u, "\xef", EXC_GP); /* runs into the next byte, which forbids */
	tss[0x68 + 0x61] = 0xfc;
	tss[0x68 + 0x60] = 0x3f;
	RUN_OK(u, "\xef");
	cpu->tr.limit--; /* the second byte of the pair must be inside */
	RUN_FAULT(u, "\xef", EXC_GP);
	cpu->tr.limit++;
	cpu->tr.attr = SEG_P | 3; /* a 16-bit TSS has no bitmap */
	RUN_FAULT(u, "\xef", EXC_GP);
	/* virtual-8086 mode asks the bitmap whatever IOPL is */
	cpu_unit_free(u);
	p->u = u = cpu_unit_new("max");
	cpu = u->cpu;
	bus_map_io(&u->bus, &p->region, 0x300);
	cpu_unit_protected(u);
	cpu_unit_segments(u, 0, 3);
	flags_set(cpu, 2 | FLAG_VM | 3 << 12);
	mode_update(cpu);
	cpu->tr = (struct seg){.base = 0xc000, .limit = 0x67, .attr = SEG_P | 11};
	store16(u->ram->hva + 0xc000 + 102, 0x68);
	cpu->gpr[RDX] = 0x303;
	RUN_FAULT(u, "\xee", EXC_GP);
}

/* Writing where a device lies: the port is read once and the device written once. */
static void to_device(void **state)
{
	struct port *p = *state, memory = {.u = p->u};
	struct cpu_unit *u = p->u;
	struct cpu *cpu = u->cpu;

	memory.region = (struct region){.name = "memory", .size = 0x1000, .ops = &port_ops, .opaque = &memory};
	bus_map(&u->bus, &memory.region, 0x10000000, 0);
	cpu_unit_long(u);
	tlb_flush_all(cpu);
	quiet(cpu);
	cpu->gpr[RDX] = 0x300;
	cpu->gpr[RDI] = cpu->gpr[RSI] = 0x10000000;
	cpu->gpr[RCX] = 5;
	RUN_OK(u, "\xf3\x6d");
	assert_int_equal(p->reads, 5);
	assert_int_equal(memory.writes, 5);
	assert_int_equal(memory.reads, 0);
	assert_int_equal(memory.log[4], 0x05050505);
	cpu->gpr[RCX] = 5;
	RUN_OK(u, "\xf3\x6f");
	assert_int_equal(p->writes, 5);
	assert_int_equal(memory.reads, 5);
	bus_unmap(&u->bus, &memory.region);
}

/* A batch is not held against a thread that waits for the machine lock, however long a device takes over each element. */
static void lock_wanted(void **state)
{
	struct port *p = *state;
	struct cpu *cpu = p->u->cpu;
	struct rival rival = {.port = p};

	cpu_unit_long(p->u);
	quiet(cpu);
	sem_init(&rival.asks, 0, 0);
	p->rival = &rival;
	cpu->gpr[RDX] = 0x300;
	cpu->gpr[RSI] = 0x9000;
	cpu->gpr[RCX] = 512;
	RUN_OK(p->u, "\xf3\x6e");
	pthread_join(rival.thread, NULL);
	sem_destroy(&rival.asks);
	assert_int_equal(p->writes, 512);
	assert_int_equal(cpu->gpr[RCX], 0);
	assert_in_range(rival.got_after, 1, 511);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(simple), TEST(strings), TEST(wrap), TEST(fault_between), TEST(interrupts), TEST(permission), TEST(to_device),
		TEST(lock_wanted),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
