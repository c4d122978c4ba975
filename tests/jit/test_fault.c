/* SPDX-License-Identifier: MIT */
/* Translated code that faults on the host, as none should, stops the process with a line that says whose it was. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "jit/jit.h"
#include "jit/private.h"
#include "tests/unit/cpu_unit.h"

#define AT 0x3000u

/* mov $0x11223344, %eax; jmp back */
static const u8 program[] = {0xb8, 0x44, 0x33, 0x22, 0x11, 0xeb, 0xf9};

static void ends_by(const u8 *host, unsigned len, const char *name)
{
	int ends[2], status;
	char text[500] = {0};

	assert_int_equal(pipe(ends), 0);
	pid_t child = fork();
	if (!child) {
		dup2(ends[1], 2);
		struct cpu_unit *u = cpu_unit_new("max");
		cpu_unit_long(u);
		memcpy(u->ram->hva + AT, program, sizeof program);
		u->cpu->rip = AT;
		u->cpu->activity = CPU_RUNNING;
		cpu_state_changed(u->cpu);
		jit_engine.run(u->cpu, 100);
		struct jit *jit = u->cpu->jit.state;
		u8 *p = jit->stubs.end;
		while (p < jit->emit.p && memcmp(p, program + 1, 4))
			p++;
		memcpy(p - 2, host, len); /* over the MOV's six bytes */
		jit_engine.run(u->cpu, 100);
		_exit(0);
	}
	close(ends[1]);
	assert_true(child > 0);
	for (size_t n = 0; n < sizeof text - 1;) {
		ssize_t got = read(ends[0], text + n, sizeof text - 1 - n);
		if (got <= 0)
			break;
		n += got;
	}
	close(ends[0]);
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), EXIT_BUG);
	assert_non_null(strstr(text, name));
	assert_non_null(strstr(text, "guest code at 0010:3000"));
	assert_ptr_equal(strchr(text, '\n'), text + strlen(text) - 1);
}

static void illegal_instruction(void **unused)
{
	(void)unused;
	ends_by((const u8[]){0x0f, 0x0b}, 2, "signal 4"); /* ud2 */
}

static void division(void **unused)
{
	(void)unused;
	ends_by((const u8[]){0x31, 0xc0, 0xf7, 0xf0}, 4, "signal 8"); /* xor %eax, %eax; div %eax */
}

static void bad_access(void **unused)
{
	(void)unused;
	ends_by((const u8[]){0x31, 0xc0, 0xc6, 0x00, 0x01}, 5, "signal 11"); /* xor %eax, %eax; movb $1, (%rax) */
}

/* Registers that come from outside, from a file or a debugger, hold what no instruction loads. */
static void state_from_outside(void **unused)
{
	struct cpu_unit *u = cpu_unit_new("max");

	(void)unused;
	cpu_unit_long(u);
	memcpy(u->ram->hva + AT, (const u8[]){0x0f, 0x58, 0xc1, 0xd9, 0xe8, 0xeb, 0xf9}, 7); /* addps %xmm1, %xmm0; fld1; jmp */
	u->cpu->rip = AT;
	u->cpu->activity = CPU_RUNNING;
	u->cpu->mxcsr = ~0u;
	u->cpu->x87.fcw = u->cpu->x87.fsw = 0xffff;
	cpu_state_changed(u->cpu);
	jit_engine.run(u->cpu, 1000);
	assert_int_equal(u->cpu->mxcsr >> 16, 0);
	cpu_unit_free(u);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(illegal_instruction), cmocka_unit_test(division), cmocka_unit_test(bad_access),
		cmocka_unit_test(state_from_outside),
	};

	jit_options.warm = 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
