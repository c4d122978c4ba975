/* SPDX-License-Identifier: MIT */
/* How an x87 exception becomes an interrupt where CR0.NE = 0, as in DOS: FERR# of the first CPU raises IRQ13, which stays until
 * port F0h is written; that also asserts IGNNE#, for as long as FERR# lasts, so that the handler may use the coprocessor.
 * 82371SB datasheet, coprocessor error register (I/O F0h); IBM PC AT Technical Reference, "Math Coprocessor Control".
 * The enable bit in the PIIX3's XBCS register is not looked at: firmware for virtual machines leaves it clear and expects IRQ13.
 * Input pin 0: FERR#. Output: irq13. */
#include "hw/chipset/ferr.h"

struct ferr_state {
	u8 ferr;  /* level of the input */
	u8 ignne; /* the CPU goes on in spite of FERR# */
	u8 irq;
	u8 pad;
};

struct ferr {
	struct device device;
	struct ferr_state state;
	struct region region;
};

TRACE_EVENT(ev_irq, "ferr.irq");

static void set_irq(struct ferr *f, bool level)
{
	TRACE(ev_irq, "%d", level);
	f->state.irq = level;
	irq_set(&f->device.out[0], level);
}

static void ferr_input(struct device *device, unsigned n, bool level)
{
	struct ferr *f = (struct ferr *)device;

	if (n)
		return;
	f->state.ferr = level;
	if (!level)
		f->state.ignne = false;
	else if (!f->state.ignne && !f->state.irq)
		set_irq(f, true);
}

bool ferr_ignored(const struct device *device)
{
	return ((const struct ferr *)device)->state.ignne;
}

static u64 ferr_read(void *opaque, u64 offset, unsigned size)
{
	(void)opaque, (void)offset;
	return mask_bytes(size); /* write only */
}

static void ferr_write(void *opaque, u64 offset, u64 value, unsigned size)
{
	struct ferr *f = opaque;

	(void)offset, (void)value, (void)size;
	f->state.ignne = f->state.ferr;
	set_irq(f, false);
}
static const struct region_ops ferr_ops = {.read = ferr_read, .write = ferr_write, .max = 1};

static bool ferr_init(struct device *device, struct err *err)
{
	struct ferr *f = (struct ferr *)device;

	(void)err;
	f->region = (struct region){.name = "ferr", .size = 1, .ops = &ferr_ops, .opaque = f};
	bus_map_io(device->machine->bus, &f->region, 0xf0);
	return true;
}

/* The CPUs are reset, too, so that nothing is pending. */
static void ferr_reset(struct device *device)
{
	struct ferr *f = (struct ferr *)device;

	f->state = (struct ferr_state){0};
	set_irq(f, false);
}

static void ferr_loaded(struct device *device)
{
	struct ferr *f = (struct ferr *)device;

	f->state.ferr &= 1;
	f->state.ignne &= f->state.ferr;
	set_irq(f, f->state.irq & 1);
}

static void ferr_destroy(struct device *device)
{
	bus_unmap(device->machine->bus, &((struct ferr *)device)->region);
}

static const char *const ferr_pins[] = {"irq13", NULL};
static const struct field ferr_fields[] = {
	FIELD(struct ferr_state, ferr, "FERR#"),
	FIELD(struct ferr_state, ignne, "IGNNE#"),
	FIELD(struct ferr_state, irq, "IRQ13"),
	FIELD(struct ferr_state, pad, ""),
	FIELD_END,
};

DEVICE(ferr) = {
	.name = "ferr",
	.desc = "coprocessor errors as IRQ13",
	.size = sizeof(struct ferr),
	.state_offset = offsetof(struct ferr, state),
	.state_size = sizeof(struct ferr_state),
	.fields = ferr_fields,
	.pins = ferr_pins,
	.init = ferr_init,
	.reset = ferr_reset,
	.input = ferr_input,
	.loaded = ferr_loaded,
	.destroy = ferr_destroy,
};
