/* SPDX-License-Identifier: MIT */
/* The monitor's "info" words. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "cpu/access.h"
#include "cpu/flags.h"
#include "frontend/monitor_private.h"
#include "frontend/version.h"
#include "hw/board/intc.h"
#include "hw/chipset/pci.h"

/* Registers are read with the machine standing still. */
static void with_cpus(struct monitor *m, void (*fn)(struct monitor *m, struct cpu *cpu))
{
	board_pause(m->board);
	for (unsigned i = 0; i < board_cpus(m->board); i++) {
		if (board_cpus(m->board) > 1)
			monitor_say(m, "CPU#%u\n", i);
		fn(m, board_cpu(m->board, i));
	}
	board_continue(m->board);
}

static void registers(struct monitor *m, struct cpu *cpu)
{
	static const char *const gpr[] = {"RAX", "RCX", "RDX", "RBX", "RSP", "RBP", "RSI", "RDI",
	                                  "R8 ", "R9 ", "R10", "R11", "R12", "R13", "R14", "R15"};
	static const char *const seg[] = {"ES", "CS", "SS", "DS", "FS", "GS"};

	for (unsigned i = 0; i < 16; i++)
		monitor_say(m, "%s=%016" PRIx64 "%s", gpr[i], cpu->gpr[i], i % 4 == 3 ? "\n" : " ");
	monitor_say(m, "RIP=%016" PRIx64 " RFL=%08" PRIx64 " CPL=%u activity=%u\n", cpu->rip, flags_get(cpu), cpu->cpl, cpu->activity);
	for (unsigned i = 0; i < SEG_COUNT; i++)
		monitor_say(m, "%s =%04x %016" PRIx64 " %08x %05x\n", seg[i], cpu->seg[i].selector, cpu->seg[i].base, cpu->seg[i].limit,
		            cpu->seg[i].attr);
	monitor_say(m, "LDT=%04x %016" PRIx64 " %08x %05x\n", cpu->ldtr.selector, cpu->ldtr.base, cpu->ldtr.limit, cpu->ldtr.attr);
	monitor_say(m, "TR =%04x %016" PRIx64 " %08x %05x\n", cpu->tr.selector, cpu->tr.base, cpu->tr.limit, cpu->tr.attr);
	monitor_say(m, "GDT=     %016" PRIx64 " %08x\nIDT=     %016" PRIx64 " %08x\n", cpu->gdtr.base, cpu->gdtr.limit, cpu->idtr.base,
	    cpu->idtr.limit);
	monitor_say(m, "CR0=%08" PRIx64 " CR2=%016" PRIx64 " CR3=%016" PRIx64 " CR4=%08" PRIx64 " EFER=%016" PRIx64 "\n", cpu->cr0,
	            cpu->cr2, cpu->cr3, cpu->cr4, cpu->efer);
	for (unsigned i = 0; i < 8; i++)
		monitor_say(m, "XMM%02u=%016" PRIx64 "%016" PRIx64 " XMM%02u=%016" PRIx64 "%016" PRIx64 "\n", i * 2, cpu->v[i * 2].q[1],
		            cpu->v[i * 2].q[0], i * 2 + 1, cpu->v[i * 2 + 1].q[1], cpu->v[i * 2 + 1].q[0]);
	monitor_say(m, "FCW=%04x FSW=%04x valid=%02x MXCSR=%08x\n", cpu->x87.fcw, cpu->x87.fsw, cpu->x87.valid, cpu->mxcsr);
}

void monitor_info_registers(struct monitor *m, char *args) { (void)args; with_cpus(m, registers); }
void monitor_info_version(struct monitor *m, char *args) { (void)args; monitor_say(m, "%s\n", PAISANO_VERSION); }
void monitor_info_status(struct monitor *m, char *args)
{
	const char *paused = board_io_error(m->board) ? "paused (io-error)" : "paused";

	(void)args;
	monitor_say(m, "VM status: %s\n", board_paused(m->board) ? paused : "running");
}
void monitor_info_cpus(struct monitor *m, char *args)
{
	(void)args;
	for (unsigned i = 0; i < board_cpus(m->board); i++)
		monitor_say(m, "* CPU #%u: %s, %s\n", i, board_engine(m->board)->name,
		            board_cpu(m->board, i)->activity == CPU_RUNNING ? "running" : "idle");
}

static void engine_counters(struct monitor *m, struct cpu *cpu)
{
	const struct engine *engine = board_engine(m->board);
	char *text = NULL;
	size_t size = 0;
	FILE *to = open_memstream(&text, &size);

	if (to && engine->print)
		engine->print(cpu, to);
	if (to)
		fclose(to);
	monitor_say(m, "%s", text ? text : "");
	free(text);
}

static void perf(struct monitor *m, struct cpu *cpu)
{
	static const char *const names[] = {"blocks decoded", "instructions decoded", "TLB fills",      "TLB flushes",
	                                    "faults",         "interrupts",           "code rewritten", "device accesses"};
	u64 now = clock_now(board_machine(m->board)->clock);

	/* translated code does not count, unless time is counted in instructions */
	const char *what = board_engine(m->board)->print ? "instructions counted" : "instructions";
	monitor_say(m, "%-22s %" PRIu64 "\n", what, cpu->instructions);
	monitor_say(m, "%-22s %.1f s\n", "guest time", now / 1e9);
	for (unsigned i = 0; i < ARRAY_LEN(names); i++)
		monitor_say(m, "%-22s %" PRIu64 "\n", names[i], cpu->statistics[i]);
	engine_counters(m, cpu);
}
void monitor_info_jit(struct monitor *m, char *args) { (void)args; with_cpus(m, engine_counters); }
void monitor_info_perf(struct monitor *m, char *args) { (void)args; with_cpus(m, perf); }

void monitor_info_mtree(struct monitor *m, char *args)
{
	struct bus *bus = board_machine(m->board)->bus;

	(void)args;
	for (u32 i = 0; i < bus->mem.count; i++)
		monitor_say(m, "%016" PRIx64 "-%016" PRIx64 " %s\n", bus->mem.ranges[i].first, bus->mem.ranges[i].last,
		            bus->mem.ranges[i].region->name);
	monitor_say(m, "ports:\n");
	for (u32 i = 0; i < bus->io.count; i++)
		monitor_say(m, "%04" PRIx64 "-%04" PRIx64 " %s\n", bus->io.ranges[i].first, bus->io.ranges[i].last,
		            bus->io.ranges[i].region->name);
}

void monitor_info_qtree(struct monitor *m, char *args)
{
	(void)args;
	for (struct device *d = board_first_device(m->board); d; d = d->next)
		monitor_say(m, "%-12s %-16s %s\n", d->id, d->class->name, d->class->desc);
}

/* ---- PCI ---- */

static const struct {
	u16 class;
	const char *name;
} pci_classes[] = {
	{0x0000, "unclassified"}, {0x0100, "SCSI controller"}, {0x0101, "IDE controller"}, {0x0106, "SATA controller"},
	{0x0108, "NVMe controller"}, {0x0200, "Ethernet controller"}, {0x0300, "VGA controller"}, {0x0380, "display controller"},
	{0x0401, "audio controller"}, {0x0403, "HD audio controller"}, {0x0600, "host bridge"}, {0x0601, "ISA bridge"},
	{0x0604, "PCI bridge"}, {0x0680, "bridge"}, {0x0c03, "USB controller"}, {0x0c05, "SMBus controller"},
};

static const char *pci_class_name(u16 class)
{
	for (unsigned i = 0; i < ARRAY_LEN(pci_classes); i++)
		if (pci_classes[i].class == class)
			return pci_classes[i].name;
	return "device";
}

static void show_bar(struct monitor *m, const struct pci_function *f, unsigned n)
{
	const struct pci_bar *bar = &f->bar[n];
	unsigned offset = n == 6 ? 0x30 : 0x10 + n * 4;
	u64 base = load32(f->state->config + offset) & (bar->io ? ~3u : n == 6 ? ~0x7ffu : ~15u);

	if (bar->wide && n < 5)
		base |= (u64)load32(f->state->config + offset + 4) << 32;
	monitor_say(m, "      BAR%u: %s at 0x%08" PRIx64 " [0x%08" PRIx64 "]%s.\n", n,
	            bar->io ? "I/O" : bar->wide ? "64 bit memory" : "32 bit memory", base, base + bar->region.size - 1,
	            bar->prefetch ? " prefetchable" : "");
}

void monitor_info_pci(struct monitor *m, char *args)
{
	struct pci_bus *bus = board_machine(m->board)->pci;

	(void)args;
	for (const struct pci_function *f = bus ? pci_first(bus) : NULL; f; f = f->next) {
		const u8 *config = f->state->config;
		monitor_say(m, "  Bus  0, device %3u, function %u:\n    %s: PCI device %04x:%04x (%s)\n", f->devfn >> 3, f->devfn & 7,
		            pci_class_name(load16(config + 10)), load16(config), load16(config + 2), f->device->id);
		if (config[0x3d])
			monitor_say(m, "      IRQ %u, pin %c\n", config[0x3c], 'A' + (config[0x3d] - 1) % 4);
		for (unsigned n = 0; n < PCI_BARS; n++)
			if (f->bar[n].region.size)
				show_bar(m, f, n);
	}
}

/* ---- interrupts and input ---- */

void monitor_info_irq(struct monitor *m, char *args)
{
	(void)args;
	monitor_say(m, "line  raised       level\n");
	for (unsigned n = 0; n < INTC_LINES; n++) {
		struct intc_count count = intc_count(m->board, n);
		if (count.raised)
			monitor_say(m, "%4u  %-12" PRIu64 " %s\n", n, count.raised, count.level ? "high" : "low");
	}
}

void monitor_info_mice(struct monitor *m, char *args)
{
	const struct machine *machine = board_machine(m->board);
	bool absolute = input_wants_absolute(machine);

	(void)args;
	for (unsigned i = 0, n = 0; i < ARRAY_LEN(machine->input) && machine->input[i]; i++) {
		const struct input *input = machine->input[i];
		if (input->pointer)
			monitor_say(m, "%c Mouse #%u: relative\n", absolute ? ' ' : '*', n++);
		if (input->absolute)
			monitor_say(m, "%c Mouse #%u: absolute\n", absolute ? '*' : ' ', n++);
	}
}
