/* SPDX-License-Identifier: MIT */
/* What the records of an input do to the machine (machine.h). */
#include <errno.h>

#include "hw/chipset/lapic.h"
#include "hw/input/input.h"
#include "hw/video/display.h"
#include "mem/dirty.h"
#include "tests/fuzz/machine.h"

#define HOUR (3600 * NS_PER_S)
#define DRAWS 2 /* of an input: each may be five million pixels */

static void note(struct fuzz_machine *m, u64 value)
{
	m->heard = (m->heard ^ value) * 0x100000001b3ull;
}

/* ---- ports and memory ---- */
/* NULL: not one of the target's. */
static const struct window *window_of(const struct fuzz_machine *m, const struct record *r, u64 *at)
{
	const struct window *w = &machine_windows[r->where % W_COUNT];

	*at = w->base + r->at % w->size;
	if (r->where % W_COUNT == W_ANY_MEMORY) /* near places where something begins or ends: 0, 1 MiB, RAM's end, 4 GiB, 2^52 */
		*at = (u64)r->at + ((const u64[]){0, 0xfff00000, MACHINE_RAM - 0x8000, 0xffff8000, 0x100000000, 0xffffffffff000,
		                                  0xf8000, 0xe0ff8000})[r->where / W_COUNT % 5 + r->at % 4];
	return w->groups & m->target->groups ? w : NULL;
}

static void access_memory(struct fuzz_machine *m, u64 at, unsigned size, const u32 *value)
{
	if (value)
		bus_write(m->bus, at, (u64)*value * 0x100000001ull, size);
	else
		note(m, bus_read(m->bus, at, size));
}

static void access_port(struct fuzz_machine *m, u16 at, unsigned size, const u32 *value)
{
	size = MIN(size, 4u);
	if (value)
		bus_out(m->bus, at, *value, size);
	else
		note(m, bus_in(m->bus, at, size));
}

static void do_access(struct fuzz_machine *m, const struct record *r, bool write)
{
	u64 at;
	const struct window *w = window_of(m, r, &at);

	if (w && w->memory)
		access_memory(m, at, 1u << (r->op >> 5 & 3), write ? &r->value : NULL);
	else if (w)
		access_port(m, at, 1u << (r->op >> 5 & 3), write ? &r->value : NULL);
}
static void do_out(struct fuzz_machine *m, const struct record *r) { do_access(m, r, true); }
static void do_in(struct fuzz_machine *m, const struct record *r) { do_access(m, r, false); }

/* How often; mostly a few times, at most two sectors. */
static u32 times(const struct record *r)
{
	u32 n = r->value & 0xfff;

	return n > 0x400 ? n & 0x3f : n;
}

static void do_outs(struct fuzz_machine *m, const struct record *r)
{
	struct record one = *r;

	one.value = r->value >> 12;
	for (u32 i = 0; i < times(r) && !m->board->reset_posted; i++) {
		do_access(m, &one, true);
		one.value += r->op >> 7;
	}
}
static void do_ins(struct fuzz_machine *m, const struct record *r)
{
	for (u32 i = 0; i < times(r) && !m->board->reset_posted; i++)
		do_access(m, r, false);
}

static void do_ram(struct fuzz_machine *m, const struct record *r)
{
	bus_dma_write(m->bus, r->at | (r->where & 7) << 16, &r->value, 4);
}
static void do_fill(struct fuzz_machine *m, const struct record *r)
{
	u32 words[16];

	for (unsigned i = 0; i < ARRAY_LEN(words); i++)
		words[i] = r->value;
	for (unsigned i = 0; i <= r->where; i++)
		bus_dma_write(m->bus, (u64)(r->at & 0x3ff) << PAGE_SHIFT | i * sizeof words, words, sizeof words);
}
static void do_prd(struct fuzz_machine *m, const struct record *r)
{
	u32 entry[2] = {r->value & ~0xfffu, ((u32)r->where * 32 + 2) | (r->op & 0x80 ? 0x80000000u : 0) | (r->value & 0xffe)};

	bus_dma_write(m->bus, 0x1000 + (r->at & 0xff) * 8, entry, sizeof entry);
}

static void select_function(struct fuzz_machine *m, const struct record *r)
{
	u32 devfn = machine_functions[r->where % MACHINE_FUNCTIONS].devfn;

	bus_out(m->bus, 0xcf8, 0x80000000u | devfn << 8 | (r->at & 0xfc), 4);
}
static bool may_configure(const struct fuzz_machine *m, const struct record *r)
{
	return machine_functions[r->where % MACHINE_FUNCTIONS].groups & m->target->groups;
}
static void do_config(struct fuzz_machine *m, const struct record *r)
{
	if (!may_configure(m, r))
		return;
	select_function(m, r);
	bus_out(m->bus, 0xcfc + (r->at & 3), r->value, MIN(1u << (r->op >> 5 & 3), 4u));
}
static void do_config_in(struct fuzz_machine *m, const struct record *r)
{
	if (!may_configure(m, r))
		return;
	select_function(m, r);
	note(m, bus_in(m->bus, 0xcfc + (r->at & 3), MIN(1u << (r->op >> 5 & 3), 4u)));
}

/* ---- what happens by itself ---- */
static void do_time(struct fuzz_machine *m, const struct record *r)
{
	machine_pass(m, MIN((u64)r->value << (r->where & 15), HOUR));
}
static void do_loop(struct fuzz_machine *m, const struct record *r)
{
	(void)r;
	machine_loop(m);
}

static void do_disk(struct fuzz_machine *m, const struct record *r)
{
	struct drive *drive = &m->drive[r->where % MACHINE_DISKS];
	static const int errors[] = {EIO, ENOSPC, EROFS, EINTR};
	struct err err = {0};

	switch (r->at % DISK_EVENTS) {
	case DISK_STEP:
		if (drive->disk)
			memdisk_step(drive->disk, 1);
		break;
	case DISK_RUN:
		if (drive->disk)
			memdisk_step(drive->disk, 64);
		break;
	case DISK_FAIL:
		if (drive->disk)
			memdisk_fail(drive->disk, errors[r->value % ARRAY_LEN(errors)]);
		break;
	case DISK_WORK:
		if (drive->disk)
			memdisk_fail(drive->disk, 0);
		break;
	case DISK_OUT:
		drive_eject(drive, r->value & 1, &err);
		break;
	case DISK_IN:
		if (!drive->disk)
			drive_insert(drive, machine_medium(r->where), &err);
		break;
	default:
		if (drive->eject_request)
			drive->eject_request(drive->device);
		break;
	}
}

static struct device *device_of(const struct fuzz_machine *m, const struct record *r)
{
	return m->reached[r->where % m->devices] ? m->device[r->where % m->devices] : NULL;
}
static void do_pin(struct fuzz_machine *m, const struct record *r)
{
	struct device *device = device_of(m, r);

	if (device && device->class->input)
		device->class->input(device, r->at % DEVICE_PINS, r->value & 1);
}
static void do_state(struct fuzz_machine *m, const struct record *r)
{
	struct device *device = device_of(m, r);

	if (!device || !device->class->state_size || !device->class->loaded)
		return;
	/* what is saved has nothing under way */
	for (unsigned i = 0; i < MACHINE_DISKS; i++)
		if (m->drive[i].disk)
			disk_drain(m->drive[i].disk);
	machine_loop(m);
	((u8 *)device_state(device))[r->at % device->class->state_size] = (u8)r->value;
	if (!(r->op & 0x80))
		device->class->loaded(device);
}
static void do_reset(struct fuzz_machine *m, const struct record *r)
{
	struct device *device = device_of(m, r);

	if (r->op & 0x80) {
		if (m->target->groups & G_RESET && !m->resets++)
			board_reset(m->board);
	} else if (device && device->class->reset) {
		device->class->reset(device);
	}
}

static void receive(struct chardev *c, const struct record *r)
{
	u8 bytes[64];
	size_t room = c->can_receive ? c->can_receive(c->device) : 0;

	for (unsigned i = 0; i < sizeof bytes; i++)
		bytes[i] = r->value >> (i & 3) * 8;
	if (room)
		c->receive(c->device, bytes, MIN(room, (size_t)(r->at % sizeof bytes) + 1));
}

static void draw(struct fuzz_machine *m, bool all)
{
	const struct display_source *source = m->board->machine.display;

	if (source && m->draws++ < DRAWS)
		source->update(source->device, &m->picture, 0, all);
}

static void do_host(struct fuzz_machine *m, const struct record *r)
{
	static struct text_screen screen;
	struct machine *machine = &m->board->machine;
	const struct display_source *source = machine->display;
	i32 v = (i32)r->value;
	static const u32 groups[HOST_EVENTS] = {
		[HOST_SERIAL] = G_UART, [HOST_SERIAL_2] = G_UART, [HOST_PARALLEL] = G_PARALLEL, [HOST_BREAK] = G_UART,
		[HOST_KEY] = G_I8042, [HOST_POINTER] = G_I8042, [HOST_ABSOLUTE] = G_I8042, [HOST_DRAW] = G_VGA, [HOST_DRAW_ALL] = G_VGA,
		[HOST_TEXT] = G_VGA, [HOST_SIZE] = G_VGA, [HOST_POWER] = G_PM, [HOST_WAKE] = G_PM,
	};

	if (!(groups[r->where % HOST_EVENTS] & m->target->groups))
		return;
	switch (r->where % HOST_EVENTS) {
	case HOST_SERIAL: receive(&m->serial[0], r); break;
	case HOST_SERIAL_2: receive(&m->serial[1], r); break;
	case HOST_PARALLEL: receive(&m->parallel, r); break;
	case HOST_BREAK:
		if (m->serial[r->at & 1].event_break)
			m->serial[r->at & 1].event_break(m->serial[r->at & 1].device);
		break;
	case HOST_KEY: input_key(machine, r->at, v & 1); break;
	case HOST_POINTER: input_pointer(machine, (i16)v, v >> 16, (i8)r->at, r->at >> 8); break;
	case HOST_ABSOLUTE: input_absolute(machine, v & 0xffff, (u32)v >> 16, (i8)r->at, r->at >> 8); break;
	case HOST_DRAW: draw(m, false); break;
	case HOST_DRAW_ALL: draw(m, true); break;
	case HOST_TEXT:
		if (source && source->text && m->draws++ < DRAWS)
			note(m, source->text(source->device, &screen) ? screen.columns : 0);
		break;
	case HOST_SIZE:
		if (source && source->resize_hint)
			source->resize_hint(source->device, r->value, r->at);
		break;
	case HOST_POWER: board_power_button(m->board); break;
	default: board_wake(m->board); break;
	}
}

/* ---- CPUs' side of their local APICs ---- */
static void do_apic(struct fuzz_machine *m, const struct record *r)
{
	struct board_cpu_pins *pins = &m->board->pins[r->where & 1];
	const struct cpu_intc *intc = &pins->vcpu->cpu->intc;
	u32 reg = r->at & 0xfff;
	u64 value = r->value | (u64)(r->where >> 1) << 32;

	if (!(m->target->groups & G_LAPIC))
		return;
	switch (r->at >> 12 & 7) {
	case APIC_READ: note(m, intc->mmio_read(intc->opaque, reg)); break;
	case APIC_WRITE: intc->mmio_write(intc->opaque, reg, r->value); break;
	case APIC_MSR_READ: note(m, intc->msr_read(intc->opaque, 0x800 + (reg & 0xff), &value) ? value : 1); break;
	case APIC_MSR_WRITE: note(m, intc->msr_write(intc->opaque, 0x800 + (reg & 0xff), value)); break;
	case APIC_BASE: note(m, intc->set_base(intc->opaque, value) ? intc->get_base(intc->opaque) : 2); break;
	case APIC_CR8: intc->set_cr8(intc->opaque, r->value & 15); note(m, intc->get_cr8(intc->opaque)); break;
	case APIC_DEADLINE: note(m, intc->msr_write(intc->opaque, 0x6e0, value << (reg & 15))); break;
	default: note(m, lapic_deliver(pins->lapic, (u8)r->value, reg & 7, reg >> 3 & 1)); break;
	}
}

static void do_ack(struct fuzz_machine *m, const struct record *r)
{
	for (unsigned i = 0; i < MACHINE_CPUS; i++) {
		struct cpu *cpu = m->board->vcpu[i].cpu;

		for (unsigned n = 0; n <= (r->where & 7) && cpu->request & CPU_REQ_INTR; n++) {
			note(m, (u64)cpu->intc.acknowledge(cpu->intc.opaque));
			if (r->op & 0x80)
				cpu->intc.mmio_write(cpu->intc.opaque, 0xb0, 0);
		}
		cpu_unrequest(cpu, CPU_REQ_NMI | CPU_REQ_SMI | CPU_REQ_INIT | CPU_REQ_SIPI);
	}
}

static void do_register(struct fuzz_machine *m, const struct record *r)
{
	m->board->vcpu[0].cpu->gpr[r->where & 15] = r->value;
}

static void do_counting(struct fuzz_machine *m, const struct record *r)
{
	if (m->target->groups & (G_IDE | G_FDC))
		machine_count(r->value & 1);
}

typedef void operation(struct fuzz_machine *m, const struct record *r);
static operation *const operations[OP_COUNT] = {
	[OP_OUT] = do_out, [OP_IN] = do_in, [OP_OUTS] = do_outs, [OP_INS] = do_ins, [OP_RAM] = do_ram, [OP_FILL] = do_fill,
	[OP_CONFIG] = do_config, [OP_CONFIG_IN] = do_config_in, [OP_TIME] = do_time, [OP_LOOP] = do_loop, [OP_DISK] = do_disk,
	[OP_PIN] = do_pin, [OP_HOST] = do_host, [OP_APIC] = do_apic, [OP_STATE] = do_state, [OP_RESET] = do_reset,
	[OP_REGISTER] = do_register, [OP_ACK] = do_ack, [OP_PRD] = do_prd, [OP_COUNTING] = do_counting,
};

void machine_run(struct fuzz_machine *m, const u8 *data, size_t size)
{
	struct record r;

	for (size_t i = 0; i < MACHINE_RECORDS && i < size / sizeof r; i++) {
		memcpy(&r, data + i * sizeof r, sizeof r);
		operations[(r.op & 31) % OP_COUNT](m, &r);
		m->trail[i] = m->heard;
		if (m->board->reset_posted && !machine_loop(m))
			break;
	}
}
