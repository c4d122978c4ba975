/* SPDX-License-Identifier: MIT */
/* Runs one assembled test program on the bare CPU and compares the end with what its source expects.
 * usage: run SOURCE.S PROGRAM.elf [int,in_asm]   (logs to the standard output)
 *        run --jit ...
 *        run --kvm WHY ...   WHY: skip it where KVM does without the CPU's virtualisation, for this reason; "": do not
 *        run --dump FILE ... the whole end state into FILE as text, before it is compared; goes before the others
 *
 * The program is a multiboot ELF file: it starts in flat 32-bit protected mode and ends with HLT. What follows "//!" in a line of
 * the source must hold then:
 *   //! #GP(CODE)                       the next entry of the log of exceptions (test.inc), in the order of the lines; (CODE) is
 *   //! #PF(CODE) CR2                   0 if left out. There must be as many entries as lines.
 *   //! = VALUE                         the next of the values that were saved by SAVE (test.inc)
 *   //! & MASK = VALUE
 *   //! reg NAME = VALUE                rax..r15, rip, rflags, cr0, cr2, cr3, cr4, efer, dr6, cs, ss, ds, es, fs, gs, cpl, mode
 *   //! reg NAME & MASK = VALUE
 *   //! mem8|mem16|mem32|mem64 SYMBOL[+OFFSET] = VALUE
 *   //! intel: ... or //! amd: ...       only on a CPU of this flavour, --flavour says which (default: the host's)
 *   //! end halt | triple               (default halt)
 * VALUE is a number or a SYMBOL[+-OFFSET].
 *
 * The machine around the CPU is RAM and the test device at ports 0xf0 to 0xfb (device_write). */
#include <ctype.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "bios/boot.h"
#include "bios/elf.h"
#include "cpu/access.h"
#include "cpu/engine.h"
#include "cpu/flags.h"
#include "cpu/model.h"
#ifdef ENGINE_JIT
#include "jit/jit.h"
#endif
#ifdef ENGINE_KVM
#include "cpu/kvm.h"
#endif

#define RAM_SIZE (16u << 20)
#define BUDGET 20000000
#define HANG_SECONDS 60
#define SKIP 77

struct program {
	u8 *data;
	size_t size;
};

static struct bus bus;
static struct cpu *cpu;
static unsigned failures;

static struct program read_file(const char *path)
{
	FILE *f = fopen(path, "rb");
	struct program p = {0};

	if (!f || fseek(f, 0, SEEK_END))
		goto bad;
	p.size = ftell(f);
	p.data = err_alloc(p.size + 1);
	rewind(f);
	if (fread(p.data, 1, p.size, f) != p.size)
		goto bad;
	fclose(f);
	return p;
bad:
	fprintf(stderr, "%s: cannot be read\n", path);
	exit(2);
}

/* The value of a symbol of an ELF-32 file. */
static bool symbol(const struct program *p, const char *name, size_t len, u64 *value)
{
	u32 sections = load32(p->data + 32);
	unsigned each = load16(p->data + 46), count = load16(p->data + 48);

	for (unsigned i = 0; i < count; i++) {
		const u8 *s = p->data + sections + i * each;
		if (load32(s + 4) != 2) /* SHT_SYMTAB */
			continue;
		const u8 *strings = p->data + load32(p->data + sections + load32(s + 24) * each + 16);
		for (u32 at = 0; at < load32(s + 20); at += 16) {
			const u8 *sym = p->data + load32(s + 16) + at;
			const char *text = (const char *)strings + load32(sym);
			if (strlen(text) == len && !strncmp(text, name, len)) {
				*value = load32(sym + 4);
				return true;
			}
		}
	}
	return false;
}

static u64 value(const struct program *p, const char *text, const char *line)
{
	char *end;
	u64 v = 0, offset = 0;

	while (*text == ' ')
		text++;
	if (isdigit((unsigned char)*text) || *text == '-') {
		v = *text == '-' ? (u64)strtoll(text, &end, 0) : strtoull(text, &end, 0);
	} else {
		size_t len = strcspn(text, "+- \n");
		if (!symbol(p, text, len, &v)) {
			fprintf(stderr, "no symbol in: %s\n", line);
			exit(2);
		}
		end = (char *)text + len;
		if (*end == '+' || *end == '-')
			offset = strtoll(end, &end, 0);
	}
	return v + offset;
}

/* ---- the test device ---- */

enum test_port {
	PORT_INTR, /* write n: interrupt n is requested, and stays so until it is taken */
	PORT_NMI,  /* write: NMI */
	PORT_SMI,  /* write: SMI */
	PORT_IGNNE, /* write: the coprocessor's interrupt is taken back, and FERR# ignored as long as it lasts: a PC's port F0h */
	PORT_SMALL = 4, /* writes are added up; reads count: 1, 2, 3, ... */
	PORT_SUM,  /* reads the sum */
	PORT_COPY = 8, /* write the address of struct copy: done by the time the OUT is */
	PORTS = 12,
};
struct copy {
	u32 to, from, len; /* physical; at most a page */
};
static u32 requested, count, sum;
static bool ferr_asserted, ignne;
#define FERR_VECTOR 0x2d

static u64 device_read(void *opaque, u64 offset, unsigned size)
{
	(void)opaque, (void)size;
	switch (offset) {
	case PORT_SMALL: return ++count;
	case PORT_SUM: return sum;
	default: return ~0ull;
	}
}

static void withdraw(u32 vector)
{
	if (requested == vector)
		cpu_unrequest(cpu, CPU_REQ_INTR);
}

/* An unmasked x87 exception and CR0.NE = 0: interrupt FERR_VECTOR. */
static bool ferr(void *opaque, struct cpu *from, bool asserted)
{
	(void)opaque;
	if (loop_locked(bus.loop)) {
		printf("FERR# is told while the machine is locked\n");
		exit(1);
	}
	loop_lock(bus.loop); /* as a board does */
	if (asserted && !ferr_asserted) {
		requested = FERR_VECTOR;
		cpu_request(from, CPU_REQ_INTR);
	} else if (!asserted) {
		ignne = false;
		withdraw(FERR_VECTOR);
	}
	ferr_asserted = asserted;
	loop_unlock(bus.loop);
	return ignne;
}

static void device_write(void *opaque, u64 offset, u64 v, unsigned size)
{
	(void)opaque, (void)size;
	switch (offset) {
	case PORT_INTR:
		requested = v & 0xff;
		cpu_request(cpu, CPU_REQ_INTR);
		break;
	case PORT_NMI:
		cpu_request(cpu, CPU_REQ_NMI);
		break;
	case PORT_SMI:
		cpu_request(cpu, CPU_REQ_SMI);
		break;
	case PORT_IGNNE:
		ignne = ferr_asserted;
		withdraw(FERR_VECTOR);
		break;
	case PORT_SMALL:
		sum += v;
		break;
	case PORT_COPY: {
		struct copy copy;
		u8 page[PAGE_SIZE];
		if (bus_dma_read(&bus, v, &copy, sizeof copy) && copy.len <= sizeof page &&
		    bus_dma_read(&bus, copy.from, page, copy.len))
			bus_dma_write(&bus, copy.to, page, copy.len);
		break;
	}
	}
}

static const struct region_ops device_ops = {.read = device_read, .write = device_write, .max = 4};

static int acknowledge(void *opaque)
{
	(void)opaque;
	cpu_unrequest(cpu, CPU_REQ_INTR);
	return requested;
}

/* ---- the state at the end ---- */

static u64 reg(const char *name, const char *line)
{
	static const char *const gpr[] = {
		"rax", "rcx", "rdx", "rbx", "rsp", "rbp", "rsi", "rdi", "r8", "r9", "r10", "r11", "r12", "r13", "r14", "r15",
	};
	static const char *const seg[] = {"es", "cs", "ss", "ds", "fs", "gs"};
	const struct {
		const char *name;
		u64 value;
	} others[] = {
		{"rip", cpu->rip}, {"rflags", flags_get(cpu)}, {"cr0", cpu->cr0}, {"cr2", cpu->cr2}, {"cr3", cpu->cr3}, {"cr4", cpu->cr4},
		{"efer", cpu->efer}, {"dr6", cpu->dr[6]}, {"dr7", cpu->dr[7]}, {"cpl", cpu->cpl}, {"mode", 16u << cpu->code_mode},
		{"tr", cpu->tr.selector}, {"ldtr", cpu->ldtr.selector},
	};

	for (unsigned i = 0; i < ARRAY_LEN(gpr); i++)
		if (!strcmp(name, gpr[i]))
			return cpu->gpr[i];
	for (unsigned i = 0; i < ARRAY_LEN(seg); i++)
		if (!strcmp(name, seg[i]))
			return cpu->seg[i].selector;
	for (unsigned i = 0; i < ARRAY_LEN(others); i++)
		if (!strcmp(name, others[i].name))
			return others[i].value;
	fprintf(stderr, "no register in: %s\n", line);
	exit(2);
}

static u64 memory(u64 at, unsigned bytes)
{
	u64 v = 0;

	bus_dma_read(&bus, at, &v, bytes);
	return v;
}

static void compare(const char *line, u64 got, u64 want, u64 mask)
{
	if (((got ^ want) & mask) == 0)
		return;
	printf("expected %s, got %#llx\n", line, (unsigned long long)(got & mask));
	failures++;
}

static u64 mask_in(char *line)
{
	char *amp = strchr(line, '&'), *equals = strchr(line, '=');

	return amp && amp < equals ? strtoull(amp + 1, NULL, 0) : ~0ull;
}

static unsigned log_lines, result_lines;

/* "#GP(4) CR2" */
static void expect_fault(const struct program *p, char *line)
{
	static const char *const names[] = {
		"DE", "DB", "NMI", "BP", "OF", "BR", "UD", "NM", "DF", "?", "TS", "NP", "SS", "GP", "PF", "?", "MF", "AC", "MC", "XM",
	};
	u64 at = value(p, "log", line) + log_lines++ * 16;
	size_t len = strcspn(line + 1, "( \n");
	char *code = line + 1 + len, *cr2 = strchr(line, ' ');
	unsigned vector = 0;

	while (vector < ARRAY_LEN(names) && (strlen(names[vector]) != len || strncmp(names[vector], line + 1, len)))
		vector++;
	if (*code == '(' && strchr(code, ')'))
		*strchr(code, ')') = '\0';
	u64 want_code = *code == '(' ? value(p, code + 1, line) : 0;
	if (memory(at, 4) != vector || memory(at + 4, 4) != want_code) {
		printf("exception %u: expected %s), got vector %llu, code %#llx\n", log_lines - 1, line, (unsigned long long)memory(at, 4),
		       (unsigned long long)memory(at + 4, 4));
		failures++;
	} else if (cr2) {
		compare(cr2, memory(at + 8, 4), value(p, cr2, line), 0xffffffff);
	}
}

static void expect_line(const struct program *p, char *line, bool *expect_triple)
{
	char name[64], *equals = strchr(line, '=');
	unsigned bits;

	line += strspn(line, " ");
	for (unsigned i = 0; flavour_names[i]; i++) {
		size_t len = strlen(flavour_names[i]);
		if (!strncmp(line, flavour_names[i], len) && line[len] == ':') {
			if (cpu->flavour != i)
				return;
			line += len + 1;
			line += strspn(line, " ");
		}
	}
	if (*line == '#') {
		expect_fault(p, line);
	} else if (sscanf(line, "end %63s", name) == 1) {
		*expect_triple = !strcmp(name, "triple");
	} else if (equals && (*line == '=' || *line == '&')) {
		u64 at = value(p, "result", line) + result_lines++ * 8;
		char text[160];
		snprintf(text, sizeof text, "result %u %s", result_lines - 1, line);
		compare(text, memory(at, 8), value(p, equals + 1, line), mask_in(line));
	} else if (equals && sscanf(line, "reg %63s", name) == 1) {
		compare(line, reg(name, line), value(p, equals + 1, line), mask_in(line));
	} else if (equals && sscanf(line, "mem%u %63s", &bits, name) == 2 && bits <= 64) {
		compare(line, memory(value(p, name, line), bits / 8), value(p, equals + 1, line), mask_bytes(bits / 8));
	} else {
		fprintf(stderr, "not understood: %s\n", line);
		exit(2);
	}
}

static void enter(const struct boot_entry *entry)
{
	cpu_reset(cpu, false);
	for (unsigned i = 0; i < SEG_COUNT; i++)
		cpu->seg[i] = (struct seg){.selector = i == SEG_CS ? 0x10 : 0x18, .limit = 0xffffffff,
		                           .attr = SEG_P | SEG_S | SEG_RW | SEG_ACCESSED | SEG_G | SEG_DB | (i == SEG_CS ? SEG_CODE : 0)};
	cpu->cr0 = CR0_PE | CR0_ET | CR0_NE;
	cpu->rip = entry->rip;
	cpu->gpr[RAX] = entry->rax;
	cpu->gpr[RBX] = entry->rbx;
	cpu->gpr[RSP] = entry->rsp;
	cpu->cpl = 0;
	cpu->activity = CPU_RUNNING;
	cpu_state_changed(cpu);
}

/* All registers, and a hash of each page that is not blank. */
static void dump(const char *path)
{
	FILE *to = fopen(path, "we");

	if (!to) {
		perror(path);
		exit(2);
	}
	cpu_state_sync(cpu);
	field_print(to, cpu_fields, cpu);
	for (u64 page = 0; page < RAM_SIZE; page += PAGE_SIZE) {
		u64 hash = 0xcbf29ce484222325, bits = 0;
		for (u64 at = page; at < page + PAGE_SIZE; at += 8) {
			u64 word = bus_read(&bus, at, 8);
			hash = (hash ^ word) * 0x100000001b3;
			bits |= word;
		}
		if (bits)
			fprintf(to, "page %llx %016llx\n", (unsigned long long)page, (unsigned long long)hash);
	}
	fclose(to);
}

#ifdef ENGINE_KVM
static void time_is_up(int sig)
{
	(void)sig;
	cpu_request(cpu, CPU_REQ_STOP);
}
#endif

int main(int argc, char **argv)
{
	static const struct e820_entry map[] = {{0, 0x9fc00, E820_RAM}, {0x100000, RAM_SIZE - 0x100000, E820_RAM}};
	struct err err = {0};
	struct cpu_model model;
	struct boot_entry entry;
	bool expect_triple = false;

	const struct engine *engine = &interp_engine;
	const char *dump_to = NULL;
	char model_text[40] = "max";

	if (argc > 2 && !strcmp(argv[1], "--dump")) {
		dump_to = argv[2];
		argc -= 2;
		argv += 2;
	}
	if (argc > 2 && !strcmp(argv[1], "--flavour")) {
		snprintf(model_text, sizeof model_text, "max,flavour=%s", argv[2]);
		argc -= 2;
		argv += 2;
	}
#ifdef ENGINE_JIT
	if (argc > 1 && !strcmp(argv[1], "--jit")) {
		engine = &jit_engine;
		jit_options.warm = 1;
		argc--;
		argv++;
		if (argc > 2 && !strcmp(argv[1], "--options")) {
			if (!jit_configure(argv[2], &err)) {
				fprintf(stderr, "%s\n", err.text);
				return 2;
			}
			argc -= 2;
			argv += 2;
		}
	}
#endif
#ifdef ENGINE_KVM
	bool kvm = argc > 1 && !strcmp(argv[1], "--kvm");
	struct kvm_report report = {0};
	if (kvm) {
		char text[300];
		kvm_probe(&report);
		kvm_explain(&report, text, sizeof text);
		if (report.found != KVM_THERE) {
			printf("%s\n", text);
			return SKIP;
		}
		if (argc > 4 && *argv[2] && !report.hardware) {
			printf("not compared with a KVM without hardware: %s\n", argv[2]);
			return SKIP;
		}
		engine = &kvm_engine;
		argc -= 2;
		argv += 2;
	}
#endif
	if (argc < 3) {
		fprintf(stderr, "usage: %s SOURCE.S PROGRAM.elf\n", argv[0]);
		return 2;
	}
	struct program source = read_file(argv[1]), elf = read_file(argv[2]);
	struct clock *virtual_clock = clock_new();
	struct loop *loop = loop_new(virtual_clock, &err);
	if (!loop) {
		fprintf(stderr, "%s\n", err.text);
		return 2;
	}
	bus_init(&bus, loop);
	struct ram *ram = ram_new("ram", RAM_SIZE, false, false, &err);
	struct region region = {.name = "ram", .size = RAM_SIZE, .ram = ram};
	bus_map(&bus, &region, 0, 0);
	struct region device = {.name = "test", .size = PORTS, .ops = &device_ops};
	bus_map_io(&bus, &device, 0xf0);
	if (!model_parse(&model, model_text, &err)) {
		fprintf(stderr, "%s\n", err.text);
		return 2;
	}
#ifdef ENGINE_KVM
	char without[512];
	if (kvm)
		kvm_limit_model(&model, true, without, sizeof without);
#endif
	cpu = cpu_new(&model, &bus, virtual_clock, 0, 1);
	cpu->intc.acknowledge = acknowledge;
	cpu->host.ferr = ferr;
	if (engine == &interp_engine || !engine->prepare)
		clock_count_instructions(virtual_clock, &cpu->instructions, 0);
	else
		clock_start(virtual_clock);
	struct boot_request request = {
		.write = boot_to_bus, .opaque = &bus,
		.kernel = {argv[2], elf.data, elf.size, NULL}, .cmdline = "", .e820 = map, .e820_count = ARRAY_LEN(map),
		.ram_below_4g = RAM_SIZE,
	};
	if (!boot_load(&request, &entry, &err)) {
		fprintf(stderr, "%s\n", err.text);
		return 2;
	}
	cpu->log.file = stdout;
	cpu->log.interrupts = argc > 3 && strstr(argv[3], "int");
	cpu->log.in_asm = argc > 3 && strstr(argv[3], "in_asm");
	enter(&entry);
#ifdef ENGINE_KVM
	if (kvm) {
		cpu->tsc_hz = report.tsc_hz ? report.tsc_hz : cpu->tsc_hz;
		signal(SIGALRM, time_is_up);
		alarm(HANG_SECONDS); /* KVM has no budget */
	}
#endif
	if (engine->prepare && !engine->prepare(cpu, &err)) {
		fprintf(stderr, "%s\n", err.text);
		return 1;
	}
	enum engine_stop stop = engine->run(cpu, engine->prepare ? 0 : BUDGET);
	/* what KVM cannot do, the interpreter does, and then it is KVM's turn again */
	while (stop == ENGINE_UNABLE) {
		if (cpu->log.interrupts)
			printf("at %04x:%llx %s\n", cpu->seg[SEG_CS].selector, (unsigned long long)cpu->rip, cpu->unable);
		engine->leave(cpu);
		stop = interp_engine.run(cpu, 1);
		if (stop == ENGINE_BUDGET && engine->prepare(cpu, &err))
			stop = engine->run(cpu, 0);
	}
	if (stop == ENGINE_BUDGET || stop == ENGINE_STOPPED) {
		printf("still running after %d instructions or %d seconds, at %04x:%llx\n", BUDGET, HANG_SECONDS, cpu->seg[SEG_CS].selector,
		       (unsigned long long)cpu->rip);
		failures++;
	}
	if (dump_to)
		dump(dump_to);
	unsigned expectations = 0;
	for (char *save = NULL, *line = strtok_r((char *)source.data, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
		char *mark = strstr(line, "//!");
		if (mark) {
			expect_line(&elf, mark + 3, &expect_triple);
			expectations++;
		}
	}
	if (log_lines)
		compare("as many exceptions as lines", memory(value(&elf, "logged", ""), 4), log_lines, 0xffffffff);
	if (!expectations) {
		printf("%s expects nothing\n", argv[1]);
		failures++;
	}
	if ((cpu->activity == CPU_SHUTDOWN) != expect_triple) {
		printf("ended by %s; the last exception was %u (%#x) at %llx\n", cpu->activity == CPU_SHUTDOWN ? "a triple fault" : "halt",
		       cpu->fault.vector, cpu->fault.code, (unsigned long long)cpu->fault.rip);
		failures++;
	}
	cpu_free(cpu);
	bus_free(&bus);
	ram_free(ram);
	loop_free(loop);
	clock_free(virtual_clock);
	free(source.data);
	free(elf.data);
	return failures != 0;
}
