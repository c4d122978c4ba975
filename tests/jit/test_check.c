/* SPDX-License-Identifier: MIT */
/* -jit check: a translation that does what it should is not reported; one with a patched byte is, and the guest goes on as the
 * interpreter says. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "jit/jit.h"
#include "jit/private.h"
#include "tests/unit/cpu_unit.h"

#define AT 0x3000u
#define DATA 0x8000u

static const u8 program[] = {
	0xb8, 0x44, 0x33, 0x22, 0x11,             /* 0: mov $0x11223344, %eax */
	0xc7, 0x03, 0x88, 0x77, 0x66, 0x55,       /* 5: movl $0x55667788, (%rbx) */
	0x83, 0x43, 0x08, 0x03,                   /* 11: addl $3, 8(%rbx) */
	0x48, 0xff, 0xc1,                         /* 15: inc %rcx */
	0xeb, 0xec,                               /* 18: jmp 0 */
};

static char *text;
static size_t text_size;

static struct cpu_unit *start(void)
{
	struct cpu_unit *u = cpu_unit_new("max");

	cpu_unit_long(u);
	memcpy(u->ram->hva + AT, program, sizeof program);
	u->cpu->rip = AT;
	u->cpu->gpr[RBX] = DATA;
	u->cpu->activity = CPU_RUNNING;
	cpu_state_changed(u->cpu);
	u->cpu->log.file = open_memstream(&text, &text_size);
	return u;
}

static void end(struct cpu_unit *u)
{
	fclose(u->cpu->log.file);
	free(text);
	text = NULL;
	cpu_unit_free(u);
}

static void run(struct cpu_unit *u, u64 instructions)
{
	assert_int_equal(jit_engine.run(u->cpu, instructions), ENGINE_BUDGET);
	fflush(u->cpu->log.file);
}

static u64 counted(struct cpu_unit *u, const char *name)
{
	char *lines = NULL, *at;
	size_t size;
	FILE *to = open_memstream(&lines, &size);

	jit_engine.print(u->cpu, to);
	fclose(to);
	at = strstr(lines, name);
	assert_non_null(at);
	u64 value = strtoull(at + strlen(name), NULL, 10);
	free(lines);
	return value;
}

/* Where translated code has these four bytes, as it is written. */
static u8 *find(struct cpu_unit *u, u32 bytes)
{
	struct jit *jit = u->cpu->jit.state;

	for (u8 *p = jit->stubs.end; p < jit->emit.p; p++)
		if (!memcmp(p, &bytes, 4))
			return p;
	fail_msg("no translation of the constant");
	return NULL;
}

static void is_silent(void **unused)
{
	struct cpu_unit *u = start();

	(void)unused;
	run(u, 500);
	assert_string_equal(text, "");
	assert_true(counted(u, "checked runs") > 50);
	assert_int_equal(counted(u, "differences"), 0);
	assert_int_equal(u->cpu->gpr[RCX], 100);
	assert_int_equal(load32(u->ram->hva + DATA + 8), 300); /* not added twice */
	end(u);
}

static void reports_register(void **unused)
{
	struct cpu_unit *u = start();

	(void)unused;
	run(u, 100);
	find(u, 0x11223344)[0] = 0x45;
	run(u, 50);
	assert_true(counted(u, "differences") > 0);
	assert_non_null(strstr(text, "gpr[0]: 0x11223344 != 0x11223345"));
	assert_non_null(strstr(text, "0000000000003000  b8 44 33 22 11"));
	assert_null(strstr(text, "memory"));
	assert_int_equal(u->cpu->gpr[RAX], 0x11223344);
	end(u);
}

static void reports_memory(void **unused)
{
	struct cpu_unit *u = start();

	(void)unused;
	run(u, 100);
	find(u, 0x55667788)[3] = 0x99;
	run(u, 50);
	assert_true(counted(u, "differences") > 0);
	assert_non_null(strstr(text, "memory ram+8003: 55 != 99"));
	assert_null(strstr(text, "gpr"));
	assert_int_equal(load32(u->ram->hva + DATA), 0x55667788);
	assert_int_equal(load32(u->ram->hva + DATA + 8), 90);
	end(u);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(is_silent), cmocka_unit_test(reports_register), cmocka_unit_test(reports_memory),
	};
	struct err err = {0};

	if (!jit_configure("warm=1,check", &err))
		return 2;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
