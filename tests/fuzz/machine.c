/* SPDX-License-Identifier: MIT */
/* The machine of the fuzzers: made once, and put back to its snapshot before each input.
 *
 * The snapshot is what a saved machine would be: the state of every device, loaded as any saved state is. What lies beside it goes
 * back too: guest memory (the pages that a dirty log has seen written, all others are still zero), screen memory, flash contents,
 * disks, the interrupt wiring, the clock. So a member of a device that matters and is not in its state shows as an input that
 * does not repeat. No CPU runs; one lock holder, this thread. */
#include "tests/fuzz/machine.h"

#include <stdlib.h>
#include <sys/mman.h>

#include "mem/dirty.h"

#define BORN (1000 * NS_PER_S) /* the clock in the snapshot; before it is room for what an input's past would be */
#define FIRES 200              /* timers in one step of time */
#define RESETS 3

static struct fuzz_machine machine;
static struct board_config config;
static u8 *saved[MACHINE_DEVICES]; /* state of each device */
static u8 flash[2][MACHINE_FLASH];
static bool flash_changed[2];
static struct disk *media[MACHINE_DISKS];
static struct ram *screen;
static bool counting; /* what devices are told of the clock: it counts instructions, memory changes at exact instants only */

/* ---- what must not happen to a machine that lives on ---- */
void __wrap_loop_quit(struct loop *loop, int code);
void __wrap_loop_quit(struct loop *loop, int code)
{
	(void)loop, (void)code;
}
/* No CPU runs, so none has anything to forget, which would take longer than all else that a reset does. */
void __wrap_cpu_reset(struct cpu *cpu, bool init);
void __wrap_cpu_state_changed(struct cpu *cpu);
void __wrap_cpu_reset(struct cpu *cpu, bool init) { (void)cpu, (void)init; }
void __wrap_cpu_state_changed(struct cpu *cpu) { (void)cpu; }
/* A port is always read by the first CPU. */
struct cpu *__wrap_vcpu_running(void);
struct cpu *__wrap_vcpu_running(void) { return machine.board ? machine.board->vcpu[0].cpu : NULL; }
bool __wrap_clock_counts(const struct clock *clock);
bool __wrap_clock_counts(const struct clock *clock)
{
	(void)clock;
	return counting;
}

/* ---- making it ---- */
static void heard(void *opaque, const u8 *data, size_t len)
{
	(void)opaque;
	for (size_t i = 0; i < len; i++)
		machine.heard = machine.heard * 31 + data[i];
}

static void programmed(void *opaque, const u8 *data, u64 offset, u64 len)
{
	(void)data, (void)offset, (void)len;
	*(bool *)opaque = true;
}

static void configure(struct fuzz_machine *m)
{
	/* what BIOSes call these: sizes of media are those at which something changes */
	static const struct { const char *id; enum drive_media media; u64 size; bool read_only; } drives[MACHINE_DISKS] = {
		{"disk0", DRIVE_DISK, 8 << 20, false}, {"disk1", DRIVE_DISK, 200ull << 30, true},
		{"cd0", DRIVE_CDROM, 700 << 20, true}, {"cd1", DRIVE_CDROM, 4 << 20, true},
		{"floppy0", DRIVE_FLOPPY, 1440 << 10, false}, {"floppy1", DRIVE_FLOPPY, 2880 << 10, true},
	};
	struct err err = {0};

	for (unsigned i = 0; i < MACHINE_DISKS; i++) {
		media[i] = memdisk_new(drives[i].size, drives[i].read_only);
		m->drive[i] = (struct drive){.id = drives[i].id, .media = drives[i].media, .disk = media[i]};
		*(i < 4 ? &config.ide[i] : &config.floppy[i - 4]) = &m->drive[i];
	}
	m->serial[0] = m->serial[1] = m->parallel = m->debugcon = (struct chardev){.write = heard};
	config.ram_size = MACHINE_RAM;
	config.cpus = MACHINE_CPUS;
	config.engine = &interp_engine;
	config.serial[0] = &m->serial[0];
	config.serial[1] = &m->serial[1];
	config.parallel = &m->parallel;
	config.vga = "VGA";
	config.calendar = 1000000000 * NS_PER_S;
	for (unsigned i = 0; i < 2; i++) {
		memset(flash[i], 0xff, MACHINE_FLASH);
		config.flash[i] = (struct board_flash){.file = {.name = "flash", .data = flash[i], .size = MACHINE_FLASH},
		                                       .changed = programmed, .opaque = &flash_changed[i]};
	}
	config.extra[config.extras++] = (struct board_device){"isa-debugcon", "iobase=0x402", "debugcon", &m->debugcon};
	config.extra[config.extras++] = (struct board_device){"isa-debug-exit", NULL, "exit", NULL};
	config.extra[config.extras++] = (struct board_device){"pc-testdev", NULL, "testdev", NULL};
	if (!model_parse(&config.model, "max", &err))
		bug("%s", err.text);
}

static void poke_config(struct fuzz_machine *m, u8 devfn, u8 reg, u32 value)
{
	bus_out(m->bus, 0xcf8, 0x80000000u | devfn << 8 | reg, 4);
	bus_out(m->bus, 0xcfc, value, 4);
}

/* What firmware does first: base addresses, and decoding switched on. */
static void power_on(struct fuzz_machine *m)
{
	enum { IDE = 1 << 3 | 1, PM = 1 << 3 | 3, VGA = 2 << 3 };
	static const struct { u8 devfn, reg; u32 value; } writes[] = {
		{IDE, 0x20, 0xc000}, {IDE, 0x40, 0x80008000}, {IDE, 0x04, 5},
		{PM, 0x40, 0x600}, {PM, 0x80, 1}, {PM, 0x90, 0x700}, {PM, 0xd0, 9 << 16}, {PM, 0x58, 1 << 25}, {PM, 0x04, 1},
		{VGA, 0x10, 0xe0000000}, {VGA, 0x18, 0xe1000000}, {VGA, 0x04, 3},
	};

	for (unsigned i = 0; i < ARRAY_LEN(writes); i++)
		poke_config(m, writes[i].devfn, writes[i].reg, writes[i].value);
	if (!map_find(&m->bus->io, 0xc000) || !map_find(&m->bus->io, 0x600) || !map_find(&m->bus->mem, 0xe0000000))
		bug("the base addresses are not where the windows are");
	screen = map_find(&m->bus->mem, 0xe0000000)->region->ram;
}

struct fuzz_machine *machine_get(const struct fuzz_target *target)
{
	struct fuzz_machine *m = &machine;
	struct err err = {0};

	if (m->board)
		return m;
	m->target = target;
	configure(m);
	m->clock = clock_new();
	m->loop = loop_new(m->clock, &err);
	clock_set(m->clock, BORN);
	loop_entropy_seed(m->loop, 1);
	m->board = m->loop ? board_new(&config, m->clock, m->loop, &err) : NULL;
	if (!m->board)
		bug("%s", err.text);
	m->bus = &m->board->bus;
	loop_lock(m->loop);
	for (unsigned i = 0; i < MACHINE_CPUS; i++) /* they never run: they need not hear of every page */
		bus_unlisten(m->bus, &m->board->vcpu[i].cpu->listener);
	power_on(m);
	for (struct device *d = m->board->devices; d; d = d->next) {
		char name[40];

		if (m->devices == MACHINE_DEVICES)
			bug("more devices than MACHINE_DEVICES");
		snprintf(name, sizeof name, " %s ", d->id);
		m->reached[m->devices] = !target->devices || strstr(target->devices, name);
		saved[m->devices] = err_alloc(d->class->state_size + 1);
		memcpy(saved[m->devices], device_state(d), d->class->state_size);
		m->device[m->devices++] = d;
	}
	dirty_log_start(m->bus, m->board->ram, 0, MACHINE_RAM);
	return m;
}

/* ---- back to the snapshot ---- */
static void restore_memory(struct fuzz_machine *m)
{
	static u64 written[MACHINE_RAM / PAGE_SIZE / 64];
	struct ram *ram = m->board->ram;

	dirty_log_take(m->bus, ram, 0, MACHINE_RAM, written);
	for (u64 i = 0; i < ARRAY_LEN(written); i++)
		for (u64 bits = written[i]; bits; bits &= bits - 1)
			memset(ram->hva + ((i * 64 + (unsigned)__builtin_ctzll(bits)) << PAGE_SHIFT), 0, PAGE_SIZE);
	/* the screen's has a log already, which is the adapter's; most inputs leave it alone, and then this costs nothing */
	madvise(screen->hva, screen->size, MADV_DONTNEED);
	for (unsigned i = 0; i < 2; i++)
		if (flash_changed[i]) {
			memcpy(m->board->rom[i]->hva, flash[i], MACHINE_FLASH);
			flash_changed[i] = false;
		}
}

static void restore_disks(struct fuzz_machine *m)
{
	/* twice: what completes may ask for more */
	for (unsigned i = 0; i < 2 * MACHINE_DISKS; i++) {
		struct drive *drive = &m->drive[i % MACHINE_DISKS];

		memdisk_restore(media[i % MACHINE_DISKS]);
		drive->disk = media[i % MACHINE_DISKS];
		drive->locked = drive->tray_open = false;
	}
}

static void restore_cpus(struct board *board)
{
	for (unsigned i = 0; i < board->cpus; i++) {
		struct cpu *cpu = board->vcpu[i].cpu;

		cpu_unrequest(cpu, ~0u);
		memset(cpu->gpr, 0, sizeof cpu->gpr);
		cpu->activity = i ? CPU_WAIT_SIPI : CPU_RUNNING;
	}
}

void machine_restore(struct fuzz_machine *m)
{
	struct board *board = m->board;

	m->resets = m->draws = 0;
	restore_disks(m);
	machine_loop(m);
	clock_set(m->clock, BORN);
	bus_begin(m->bus);
	bus_set_a20(m->bus, true);
	/* loading drives all pins anew; until then no line is high */
	restore_cpus(board);
	memset(board->gsi, 0, sizeof board->gsi);
	for (unsigned i = 0; i < m->devices; i++)
		memcpy(device_state(m->device[i]), saved[i], m->device[i]->class->state_size);
	for (unsigned i = 0; i < m->devices; i++)
		if (m->device[i]->class->loaded)
			m->device[i]->class->loaded(m->device[i]);
	bus_end(m->bus);
	restore_disks(m);
	restore_memory(m);
	board->suspended = false;
	m->resets = 0;
	m->heard = 0;
	counting = false;
}

void machine_count(bool on)
{
	counting = on;
}

bool machine_loop(struct fuzz_machine *m)
{
	if (m->board->reset_posted && m->resets++ >= RESETS)
		return false;
	loop_unlock(m->loop);
	loop_drain(m->loop);
	loop_lock(m->loop);
	return true;
}

void machine_pass(struct fuzz_machine *m, u64 ns)
{
	u64 end = clock_now(m->clock) + ns;

	for (unsigned i = 0; i < FIRES && clock_deadline(m->clock) <= end; i++) {
		clock_set(m->clock, MAX(clock_now(m->clock), clock_deadline(m->clock)));
		clock_run(m->clock);
	}
	clock_set(m->clock, end);
}

struct disk *machine_medium(unsigned drive)
{
	return media[drive % MACHINE_DISKS];
}
