/* SPDX-License-Identifier: MIT */
/* Events between instructions, the same for every engine. SDM vol. 3A table 6-2 gives the order, 10.4.7 INIT and SIPI,
 * vol. 3C 32.3 SMI. */
#include "cpu/engine.h"

#include "cpu/access.h"
#include "cpu/code.h"
#include "cpu/exception.h"
#include "cpu/mode.h"
#include "cpu/model.h"
#include "cpu/quiet.h"
#include "cpu/smm.h"

bool engine_wakes(const struct cpu *cpu)
{
	u32 request = atomic_load(&cpu->request);

	switch (cpu->activity) {
	case CPU_HALTED:
		return ((request & CPU_REQ_INTR) && (cpu->rflags & FLAG_IF)) || (request & (CPU_REQ_INIT | CPU_REQ_STOP)) ||
		       ((request & CPU_REQ_NMI) && !cpu->nmi_blocked) || ((request & CPU_REQ_SMI) && !cpu->in_smm);
	case CPU_WAIT_SIPI:
		return request & (CPU_REQ_SIPI | CPU_REQ_INIT | CPU_REQ_STOP);
	case CPU_SHUTDOWN:
		return request & (CPU_REQ_INIT | CPU_REQ_STOP) || ((request & CPU_REQ_NMI) && !cpu->nmi_blocked);
	default:
		return true;
	}
}

bool engine_suits(const struct engine *engine, const struct cpu *cpu, struct err *err)
{
	enum cpu_flavour host = flavour_host();

	return !engine->native || cpu->flavour == host ||
	       err_set(err, EXIT_ACCEL, "the guest's CPU is of flavour %s, and this host's gives undefined results of flavour %s",
	               flavour_names[cpu->flavour], flavour_names[host]);
}

enum engine_stop engine_run(const struct engine *engine, struct cpu *cpu, u64 budget)
{
	if (unlikely(engine->native && cpu->flavour != flavour_host())) {
		cpu->unable = "its state was loaded, and is of another flavour than this host's CPU";
		return ENGINE_UNABLE;
	}
	quiet_adopt(cpu);
	quiet_enter(cpu, true);
	enum engine_stop stop = engine->run(cpu, budget);
	quiet_leave(cpu);
	return stop;
}

/* ---- INIT and SIPI ---- */

void engine_sipi(struct cpu *cpu, u8 vector)
{
	u32 old = atomic_load(&cpu->request);

	while (!atomic_compare_exchange_weak(&cpu->request, &old, (old & ~(u32)CPU_REQ_SIPI_VECTOR) | CPU_REQ_SIPI | (u32)vector << 24))
		;
	cpu_request(cpu, 0); /* the kick */
}

void engine_init(struct cpu *cpu)
{
	u32 old = atomic_load(&cpu->request);

	/* what came before it is forgotten, what comes after it is not */
	while (!atomic_compare_exchange_weak(&cpu->request, &old, (old & ~(u32)(CPU_REQ_SIPI | CPU_REQ_SIPI_VECTOR)) | CPU_REQ_INIT))
		;
	cpu_request(cpu, 0);
}

static void start_up(struct cpu *cpu, u8 vector)
{
	cpu->sipi_vector = vector;
	cpu->activity = CPU_RUNNING;
	cpu->seg[SEG_CS].selector = cpu->sipi_vector << 8;
	cpu->seg[SEG_CS].base = (u64)cpu->sipi_vector << 12;
	cpu->rip = 0;
	cpu_state_changed(cpu);
}

static void external(struct cpu *cpu)
{
	/* The level may have fallen, and the controller may change its mind until it is asked. */
	bool inside = quiet_lock(cpu);
	int vector = cpu->intc.acknowledge ? cpu->intc.acknowledge(cpu->intc.opaque) : -1;
	quiet_unlock(cpu, inside);
	if (vector < 0)
		return;
	cpu->activity = CPU_RUNNING;
	cpu->statistics[STAT_INTERRUPTS]++;
	exception_interrupt(cpu, vector, EVENT_EXTERNAL);
}

bool engine_events(struct cpu *cpu)
{
	u32 request = atomic_load(&cpu->request);

	if (request & CPU_REQ_PASS) {
		cpu_unrequest(cpu, CPU_REQ_PASS);
		quiet_point(cpu);
	}
	if (request & CPU_REQ_CODE) {
		cpu_unrequest(cpu, CPU_REQ_CODE);
		code_take_writes(cpu);
	}
	if (request & CPU_REQ_FLUSH) {
		cpu_unrequest(cpu, CPU_REQ_FLUSH);
		tlb_flush_all(cpu);
	}
	if ((request & CPU_REQ_INIT) && !cpu->in_smm) {
		cpu_unrequest(cpu, CPU_REQ_INIT);
		cpu_reset(cpu, true);
		if (cpu->index != 0)
			cpu->activity = CPU_WAIT_SIPI;
		cpu_state_changed(cpu);
	}
	if (cpu->activity == CPU_WAIT_SIPI) {
		request = atomic_load(&cpu->request);
		if ((request & (CPU_REQ_SIPI | CPU_REQ_INIT)) != CPU_REQ_SIPI) /* both may have come since: INIT first */
			return false;
		cpu_unrequest(cpu, CPU_REQ_SIPI | CPU_REQ_SIPI_VECTOR);
		start_up(cpu, request >> 24);
	} else if (unlikely((request & (CPU_REQ_SIPI | CPU_REQ_INIT)) == CPU_REQ_SIPI)) { /* nobody waits, or an INIT came meanwhile */
		atomic_compare_exchange_strong(&cpu->request, &request, request & ~(u32)(CPU_REQ_SIPI | CPU_REQ_SIPI_VECTOR));
	}
	/* before what comes from outside, so that no handler but that of #DB is entered with them */
	if (exception_traps_due(cpu) && cpu->activity != CPU_SHUTDOWN)
		exception_traps(cpu);
	if (cpu->activity == CPU_RUNNING && cpu->shadow)
		return true; /* one instruction first */
	if ((request & CPU_REQ_SMI) && !cpu->in_smm && cpu->activity != CPU_SHUTDOWN) {
		cpu_unrequest(cpu, CPU_REQ_SMI);
		smm_enter(cpu);
	} else if ((request & CPU_REQ_NMI) && !cpu->nmi_blocked) {
		cpu_unrequest(cpu, CPU_REQ_NMI);
		cpu->nmi_blocked = true;
		cpu->activity = CPU_RUNNING;
		exception_interrupt(cpu, EXC_NMI, EVENT_EXTERNAL);
	} else if ((request & CPU_REQ_INTR) && (cpu->rflags & FLAG_IF) && cpu->activity != CPU_SHUTDOWN) {
		external(cpu);
	}
	return cpu->activity == CPU_RUNNING;
}
