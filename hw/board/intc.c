/* SPDX-License-Identifier: MIT */
/* Interrupts of the PC: see intc.h. An ISA interrupt reaches the PIC's pin of its number and the IOAPIC's, but for IRQ 0, which
 * is on the IOAPIC's pin 2 (the tables say so). The CPU's INTR is its local APIC's; the PIC comes in through LINT0. */
#include "hw/board/intc.h"

#include "hw/board/private.h"
#include "hw/chipset/ferr.h"
#include "hw/chipset/lapic.h"
#include "hw/chipset/pic.h"

/* ---- pins to controllers ---- */

/* Several pins may share an interrupt line: it is high while any of them is. n: line | source << 8. */
static void gsi(void *opaque, unsigned n, bool level)
{
	struct board *board = opaque;
	u64 source = BIT(n >> 8), *sources;

	n &= 0xff;
	sources = &board->gsi[n];
	if (level && !*sources)
		board->gsi_raised[n]++;
	*sources = level ? *sources | source : *sources & ~source;
	level = *sources != 0;
	if (n < 16 && n != 2)
		board->pic->class->input(board->pic, n, level);
	if (n == 0 || n == 2) {
		n = 2;
		level = board->gsi[0] || board->gsi[2];
	}
	board->ioapic->class->input(board->ioapic, n, level);
}

struct intc_count intc_count(const struct board *board, unsigned line)
{
	if (line >= INTC_LINES)
		return (struct intc_count){0};
	return (struct intc_count){board->gsi_raised[line], board->gsi[line]};
}

static void cpu_pin(void *opaque, unsigned n, bool level)
{
	struct board *board = opaque;

	if (n == INTC_SMI) {
		if (level)
			vcpu_request(&board->vcpu[0], CPU_REQ_SMI);
		return;
	}
	for (unsigned i = 0; i < board->cpus; i++)
		board->pins[i].lapic->class->input(board->pins[i].lapic, n, level);
}

void intc_smm(void *opaque, struct cpu *cpu)
{
	struct board *board = opaque;
	struct device *bridge = board_device(board, "i440fx");
	bool any = false;

	(void)cpu;
	loop_lock(board->loop);
	for (unsigned i = 0; i < board->cpus; i++)
		any |= __atomic_load_n(&board->vcpu[i].cpu->in_smm, __ATOMIC_RELAXED) != 0;
	bridge->class->input(bridge, 0, any);
	loop_unlock(board->loop);
}

bool intc_ferr(void *opaque, struct cpu *cpu, bool asserted)
{
	struct board *board = opaque;
	struct device *ferr = board_device(board, "ferr");
	bool locked = loop_locked(board->loop); /* by a translator that compares itself with the interpreter */

	if (cpu != board->vcpu[0].cpu) /* nothing is at the pin of the others, and so they never wait for it */
		return true;
	if (!locked)
		loop_lock(board->loop);
	ferr->class->input(ferr, 0, asserted);
	bool ignne = ferr_ignored(ferr);
	if (!locked)
		loop_unlock(board->loop);
	return ignne;
}

struct irq_line intc_line(struct board *board, const char *to, unsigned n)
{
	if (!strcmp(to, "gsi")) {
		if (board->gsi_sources == INTC_SOURCES || n >= ARRAY_LEN(board->gsi))
			bug("too many interrupt sources");
		return (struct irq_line){gsi, board, n | board->gsi_sources++ << 8};
	}
	if (!strcmp(to, "cpu"))
		return (struct irq_line){cpu_pin, board, n};
	return (struct irq_line){0};
}

/* ---- local APIC to CPU ---- */

static void to_cpu(void *opaque, unsigned bit, bool level)
{
	struct board_cpu_pins *pins = opaque;

	if (level) {
		if (bit == CPU_REQ_SIPI)
			engine_sipi(pins->vcpu->cpu, lapic_sipi_vector(pins->lapic));
		else if (bit == CPU_REQ_INIT)
			engine_init(pins->vcpu->cpu);
		else
			cpu_request(pins->vcpu->cpu, bit);
		vcpu_request(pins->vcpu, 0); /* wakes it */
	} else if (bit == CPU_REQ_INTR) {
		cpu_unrequest(pins->vcpu->cpu, bit); /* the others are pulses: the CPU takes them */
	}
}

static int acknowledge(void *opaque)
{
	struct board_cpu_pins *pins = opaque;
	int vector = lapic_acknowledge(pins->lapic);

	return vector == LAPIC_EXTINT ? pic_acknowledge(pins->board->pic) : vector;
}

static u64 get_cr8(void *opaque) { return lapic_get_tpr(((struct board_cpu_pins *)opaque)->lapic); }
static void set_cr8(void *opaque, u64 value) { lapic_set_tpr(((struct board_cpu_pins *)opaque)->lapic, value); }
static u64 get_base(void *opaque) { return lapic_get_base(((struct board_cpu_pins *)opaque)->lapic); }
static bool set_base(void *opaque, u64 value) { return lapic_set_base(((struct board_cpu_pins *)opaque)->lapic, value); }
static u32 mmio_read(void *opaque, u32 offset) { return lapic_read(((struct board_cpu_pins *)opaque)->lapic, offset); }
static void mmio_write(void *opaque, u32 offset, u32 value)
{
	lapic_write(((struct board_cpu_pins *)opaque)->lapic, offset, value);
}

enum { MSR_TSC_DEADLINE = 0x6e0, MSR_X2APIC = 0x800 };

static bool msr_read(void *opaque, u32 index, u64 *value)
{
	struct board_cpu_pins *pins = opaque;

	if (index >= MSR_X2APIC)
		return lapic_msr_read(pins->lapic, index - MSR_X2APIC, value);
	if (index != MSR_TSC_DEADLINE)
		return false;
	*value = lapic_get_tsc_deadline(pins->lapic);
	return true;
}

static bool msr_write(void *opaque, u32 index, u64 value)
{
	struct board_cpu_pins *pins = opaque;

	if (index >= MSR_X2APIC)
		return lapic_msr_write(pins->lapic, index - MSR_X2APIC, value);
	if (index != MSR_TSC_DEADLINE)
		return false;
	lapic_set_tsc_offset(pins->lapic, pins->vcpu->cpu->tsc_offset);
	lapic_set_tsc_deadline(pins->lapic, value);
	return true;
}

bool intc_make_lapics(struct board *board, struct err *err)
{
	/* in the order of the class's pins: intr, nmi, init, sipi, smi */
	static const u32 ties[] = {CPU_REQ_INTR, CPU_REQ_NMI, CPU_REQ_INIT, CPU_REQ_SIPI, CPU_REQ_SMI};

	board->pic = board_device(board, "pic");
	board->ioapic = board_device(board, "ioapic");
	board->pins = err_alloc(board->cpus * sizeof *board->pins);
	for (unsigned i = 0; i < board->cpus; i++) {
		struct board_cpu_pins *pins = &board->pins[i];
		char id[16], options[64];
		snprintf(id, sizeof id, "lapic%u", i);
		snprintf(options, sizeof options, "cpu=%u,tsc-hz=%llu", i, (unsigned long long)board->vcpu[i].cpu->tsc_hz);
		pins->board = board;
		pins->vcpu = &board->vcpu[i];
		pins->lapic = board_add(board, "lapic", id, options, err);
		if (!pins->lapic)
			return false;
		for (unsigned t = 0; t < ARRAY_LEN(ties); t++)
			pins->lapic->out[t] = (struct irq_line){to_cpu, pins, ties[t]};
		pins->vcpu->cpu->intc = (struct cpu_intc){.opaque = pins,
		                                          .acknowledge = acknowledge,
		                                          .get_cr8 = get_cr8,
		                                          .set_cr8 = set_cr8,
		                                          .get_base = get_base,
		                                          .set_base = set_base,
		                                          .mmio_read = mmio_read,
		                                          .mmio_write = mmio_write,
		                                          .msr_read = msr_read,
		                                          .msr_write = msr_write};
	}
	return true;
}
