/* SPDX-License-Identifier: MIT */
/* The VGA as a PCI function: registers, the palette's DAC, Bochs' dispi registers for linear modes up to 2560x1600. IBM PS/2
 * Hardware Interface Technical Reference, video subsystem; FreeVGA for what programs expect of reads; QEMU's standard-vga.txt for
 * PCI ids and the layout of BAR 2. Not implemented: the retrace interrupt, the light pen, QEMU's own registers at 600h of BAR 2
 * (byte order), the ROM BAR (firmware gets the VGA BIOS from fw_cfg).
 *
 * Invariants: vbe[] width and height never exceed what a picture can be, and the picture lies in the memory wherever x and y put
 * it; every change of a register that shows counts registers_version up. */
#include "hw/video/vga.h"

#include <stdlib.h>

#include "mem/dirty.h"

#define FRAME_NS 14285714ull /* 70 Hz */
#define FRAME_LINES 449u
#define VBE_PORT 0x1ce
#define VBE_ID_FIRST 0xb0c0
#define VBE_ID_LAST 0xb0c5
#define PORTS 0x3b0 /* the block of ports that is mapped; BAR 2 shows those from 3c0h on */

TRACE_EVENT(ev_write, "vga.write");
TRACE_EVENT(ev_mode, "vga.linear-mode");

static void changed(struct vga *v)
{
	v->registers_version = ++v->version;
}

/* ---- linear modes ---- */
static bool bits_known(unsigned bits)
{
	return bits == 4 || bits == 8 || bits == 15 || bits == 16 || bits == 24 || bits == 32;
}

/* Bytes of a line of so many pixels. */
static u32 line_bytes(const u16 *vbe, unsigned pixels)
{
	return vbe[VBE_BITS] == 4 ? pixels / 2 : pixels * ((vbe[VBE_BITS] + 7u) / 8);
}

/* Does the memory hold the last pixel of the picture? */
static bool fits(const u16 *vbe)
{
	u64 lines = (u64)vbe[VBE_Y] + vbe[VBE_HEIGHT] - 1;

	return lines * line_bytes(vbe, vbe[VBE_VIRTUAL_WIDTH]) + line_bytes(vbe, vbe[VBE_X]) + line_bytes(vbe, vbe[VBE_WIDTH]) <=
	       VGA_MEMORY;
}

/* Cut the registers down to what can be shown. */
static void make_legal(u16 *vbe)
{
	if (!bits_known(vbe[VBE_BITS]))
		vbe[VBE_BITS] = 8;
	vbe[VBE_WIDTH] = MIN(MAX(vbe[VBE_WIDTH] & ~7u, 8u), (unsigned)DISPLAY_WIDTH);
	vbe[VBE_VIRTUAL_WIDTH] = MAX(vbe[VBE_VIRTUAL_WIDTH] & ~7u, (unsigned)vbe[VBE_WIDTH]);
	u32 lines = VGA_MEMORY / line_bytes(vbe, vbe[VBE_VIRTUAL_WIDTH]);
	vbe[VBE_VIRTUAL_HEIGHT] = (u16)MIN(lines, 0xffffu);
	vbe[VBE_HEIGHT] = (u16)MIN(MIN(MAX(vbe[VBE_HEIGHT], 1u), (unsigned)DISPLAY_LINES), lines);
	vbe[VBE_BANK] &= (VGA_MEMORY >> 16) - 1;
	/* a picture that would run past the memory begins at its start instead */
	if (!fits(vbe))
		vbe[VBE_Y] = 0;
	if (!fits(vbe))
		vbe[VBE_X] = 0;
}

static u16 vbe_read(const struct vga *v, unsigned index)
{
	const u16 *vbe = v->state.vbe;

	if (index == VBE_MEMORY)
		return VGA_MEMORY >> 16;
	if (vbe[VBE_ENABLE] & VBE_CAPABILITIES) {
		if (index == VBE_WIDTH)
			return DISPLAY_WIDTH;
		if (index == VBE_HEIGHT)
			return 1600;
		if (index == VBE_BITS)
			return 32;
	}
	return index < VBE_COUNT ? vbe[index] : 0;
}

static void enable(struct vga *v, u16 value)
{
	u16 *vbe = v->state.vbe;
	bool was = vga_linear(v);

	vbe[VBE_ENABLE] = value;
	if (!(value & VBE_ENABLED) || was)
		return;
	vbe[VBE_VIRTUAL_WIDTH] = vbe[VBE_WIDTH];
	vbe[VBE_X] = vbe[VBE_Y] = vbe[VBE_BANK] = 0;
	make_legal(vbe);
	TRACE(ev_mode, "%ux%u, %u bits", vbe[VBE_WIDTH], vbe[VBE_HEIGHT], vbe[VBE_BITS]);
	if (value & VBE_KEEP)
		return;
	u32 len = line_bytes(vbe, vbe[VBE_WIDTH]) * vbe[VBE_HEIGHT];
	memset(v->memory, 0, MIN(len, VGA_MEMORY));
}

static void vbe_write(struct vga *v, unsigned index, u16 value)
{
	u16 *vbe = v->state.vbe;

	TRACE(ev_write, "vbe %u = %04x", index, value);
	switch (index) {
	case VBE_ID:
		if (value >= VBE_ID_FIRST && value <= VBE_ID_LAST)
			vbe[VBE_ID] = value;
		return;
	case VBE_WIDTH:
	case VBE_HEIGHT:
	case VBE_BITS:
		if (!vga_linear(v)) {
			vbe[index] = value;
			vbe[VBE_VIRTUAL_WIDTH] = 0; /* the last mode's says nothing of the next */
			make_legal(vbe);
		}
		return;
	case VBE_ENABLE:
		enable(v, value);
		break;
	case VBE_BANK:
	case VBE_VIRTUAL_WIDTH:
	case VBE_X:
	case VBE_Y:
		vbe[index] = value;
		make_legal(vbe);
		break;
	default:
		return;
	}
	changed(v);
}

/* ---- the DAC ---- */
static void dac_data_write(struct vga *v, u8 value)
{
	struct vga_state *s = &v->state;

	s->dac[s->dac_write * 3 + s->dac_sub] = s->vbe[VBE_ENABLE] & VBE_8BIT_DAC ? value : value & 0x3f;
	if (++s->dac_sub == 3) {
		s->dac_sub = 0;
		s->dac_write++;
	}
	changed(v);
}

static u8 dac_data_read(struct vga_state *s)
{
	u8 value = s->dac[s->dac_read * 3 + s->dac_sub];

	if (++s->dac_sub == 3) {
		s->dac_sub = 0;
		s->dac_read++;
	}
	return value;
}

/* ---- the classic registers ---- */
/* Where the beam is: bit 0 outside the picture, bit 3 in the vertical retrace. Reading makes the next attribute write an index. */
static u8 status(struct vga *v)
{
	u64 eighths = clock_now(v->device.machine->clock) % FRAME_NS * FRAME_LINES * 8 / FRAME_NS;
	bool vertical = eighths / 8 >= FRAME_LINES - 49;

	v->state.ar_data = 0;
	return (vertical || eighths % 8 >= 6 ? 1 : 0) | (vertical ? 8 : 0);
}

static bool crtc_port(const struct vga *v, u64 port)
{
	return (port & 0xff0) == (v->state.misc & 1 ? 0x3d0 : 0x3b0);
}

static void attribute_write(struct vga *v, u8 value)
{
	static const u8 masks[AR_COUNT] = {[0 ... 15] = 0x3f, [AR_MODE] = 0xef, [AR_OVERSCAN] = 0xff, [AR_PLANES] = 0x3f,
	                                   [AR_PANNING] = 0x0f, [AR_COLOUR_SELECT] = 0x0f};
	struct vga_state *s = &v->state;
	unsigned index = s->ar_index & 0x1f;

	s->ar_data ^= 1;
	if (s->ar_data) {
		s->ar_index = value & 0x3f;
	} else if (index < AR_COUNT && (index > 15 || !(s->ar_index & 0x20))) {
		s->ar[index] = value & masks[index];
	}
	changed(v);
}

static void crtc_write(struct vga *v, u8 value)
{
	struct vga_state *s = &v->state;
	unsigned index = s->cr_index;

	if (index >= CR_COUNT)
		return;
	if (index <= CR_OVERFLOW && s->cr[CR_V_SYNC_END] & 0x80) { /* protected, but for a bit of the line compare */
		if (index != CR_OVERFLOW)
			return;
		value = (s->cr[CR_OVERFLOW] & ~0x10) | (value & 0x10);
	}
	if (s->cr[index] == value)
		return;
	s->cr[index] = value;
	changed(v);
}

static u64 port_read(void *opaque, u64 offset, unsigned size)
{
	struct vga *v = opaque;
	struct vga_state *s = &v->state;

	(void)size;
	switch (PORTS + offset) {
	case 0x3c0:
		return s->ar_index;
	case 0x3c1:
		return (s->ar_index & 0x1f) < AR_COUNT ? s->ar[s->ar_index & 0x1f] : 0;
	case 0x3c2:
		return 0x10; /* a colour monitor is there */
	case 0x3c4:
		return s->sr_index;
	case 0x3c5:
		return s->sr_index < SR_COUNT ? s->sr[s->sr_index] : 0xff;
	case 0x3c6:
		return s->pel_mask;
	case 0x3c7:
		return s->dac_mode;
	case 0x3c8:
		return s->dac_write;
	case 0x3c9:
		return dac_data_read(s);
	case 0x3ca:
		return s->feature;
	case 0x3cc:
		return s->misc;
	case 0x3ce:
		return s->gr_index;
	case 0x3cf:
		return s->gr_index < GR_COUNT ? s->gr[s->gr_index] : 0xff;
	case 0x3b4:
	case 0x3d4:
		return crtc_port(v, PORTS + offset) ? s->cr_index : 0xff;
	case 0x3b5:
	case 0x3d5:
		return crtc_port(v, PORTS + offset) && s->cr_index < CR_COUNT ? s->cr[s->cr_index] : 0xff;
	case 0x3ba:
	case 0x3da:
		return crtc_port(v, PORTS + offset) ? status(v) : 0xff;
	default:
		return 0xff;
	}
}

static void port_write(void *opaque, u64 offset, u64 wide, unsigned size)
{
	static const u8 seq_masks[SR_COUNT] = {0x03, 0x3d, 0x0f, 0x3f, 0x0e};
	static const u8 gfx_masks[GR_COUNT] = {0x0f, 0x0f, 0x0f, 0x1f, 0x03, 0x7b, 0x0f, 0x0f, 0xff};
	struct vga *v = opaque;
	struct vga_state *s = &v->state;
	u8 value = (u8)wide;

	(void)size;
	TRACE(ev_write, "%03x = %02x", (unsigned)(PORTS + offset), value);
	switch (PORTS + offset) {
	case 0x3c0:
		attribute_write(v, value);
		break;
	case 0x3c2:
		s->misc = value & ~0x10;
		changed(v);
		break;
	case 0x3c4:
		s->sr_index = value & 7;
		break;
	case 0x3c5:
		s->sr[s->sr_index % SR_COUNT] = value & seq_masks[s->sr_index % SR_COUNT];
		changed(v);
		break;
	case 0x3c6:
		s->pel_mask = value;
		changed(v);
		break;
	case 0x3c7:
		s->dac_read = value;
		s->dac_sub = 0;
		s->dac_mode = 3;
		break;
	case 0x3c8:
		s->dac_write = value;
		s->dac_sub = 0;
		s->dac_mode = 0;
		break;
	case 0x3c9:
		dac_data_write(v, value);
		break;
	case 0x3ce:
		s->gr_index = value & 15;
		break;
	case 0x3cf:
		s->gr[s->gr_index % GR_COUNT] = value & gfx_masks[s->gr_index % GR_COUNT];
		if (s->gr_index == GR_MODE || s->gr_index == GR_MISC)
			changed(v);
		break;
	case 0x3b4:
	case 0x3d4:
		if (crtc_port(v, PORTS + offset))
			s->cr_index = value & 0x3f;
		break;
	case 0x3b5:
	case 0x3d5:
		if (crtc_port(v, PORTS + offset))
			crtc_write(v, value);
		break;
	case 0x3ba:
	case 0x3da:
		if (crtc_port(v, PORTS + offset))
			s->feature = value & 0x10;
		break;
	default:
		break;
	}
}
static const struct region_ops port_ops = {.read = port_read, .write = port_write, .max = 1};

/* Index at 1ceh; data at 1cfh, as PCs have it, and at 1d0h. */
static u64 vbe_port_read(void *opaque, u64 offset, unsigned size)
{
	struct vga *v = opaque;

	(void)size;
	return offset ? vbe_read(v, v->state.vbe_index) : v->state.vbe_index;
}

static void vbe_port_write(void *opaque, u64 offset, u64 value, unsigned size)
{
	struct vga *v = opaque;

	(void)size;
	if (offset)
		vbe_write(v, v->state.vbe_index, (u16)value);
	else
		v->state.vbe_index = (u16)value;
}
static const struct region_ops vbe_port_ops = {.read = vbe_port_read, .write = vbe_port_write, .min = 2, .max = 2};

/* BAR 2: EDID at 0, ports 3c0h-3dfh at 400h, dispi registers at 500h. */
static u64 mmio_read(void *opaque, u64 offset, unsigned size)
{
	struct vga *v = opaque;

	if (offset < 0x400) {
		u64 value = 0;
		for (unsigned i = 0; i < size && offset + i < VGA_EDID; i++)
			value |= (u64)v->edid[offset + i] << i * 8;
		return value;
	}
	if (offset < 0x420)
		return size == 1 ? port_read(v, offset - 0x400 + 0x3c0 - PORTS, 1)
		                 : port_read(v, offset - 0x400 + 0x3c0 - PORTS, 1) | port_read(v, offset - 0x3ff + 0x3c0 - PORTS, 1) << 8;
	if (offset >= 0x500 && offset < 0x500 + 2 * VBE_COUNT)
		return vbe_read(v, (unsigned)(offset - 0x500) / 2) >> (offset & 1) * 8;
	return ~0ull;
}

static void mmio_write(void *opaque, u64 offset, u64 value, unsigned size)
{
	struct vga *v = opaque;

	if (offset >= 0x400 && offset < 0x420)
		for (unsigned i = 0; i < size && offset + i < 0x420; i++)
			port_write(v, offset + i - 0x400 + 0x3c0 - PORTS, value >> i * 8, 1);
	else if (offset >= 0x500 && offset < 0x500 + 2 * VBE_COUNT && size == 2)
		vbe_write(v, (unsigned)(offset - 0x500) / 2, (u16)value);
}
static const struct region_ops mmio_ops = {.read = mmio_read, .write = mmio_write, .max = 2};

/* ---- the device ---- */
static void resize_hint(void *opaque, unsigned width, unsigned height)
{
	vga_prefer(opaque, width, height);
}

static bool vga_init(struct device *device, struct err *err)
{
	struct vga *v = (struct vga *)device;
	struct machine *m = device->machine;

	if (!m->pci || m->display)
		return err_set(err, EXIT_USAGE, "%s: %s", device->id,
		               m->pci ? "there is a display adapter already" : "there is no PCI bus");
	v->ram = ram_new("vga.ram", VGA_MEMORY, false, false, err);
	if (!v->ram)
		return false;
	v->memory = v->ram->hva;
	v->function = (struct pci_function){.device = device, .state = &v->state.pci};
	v->function.bar[0] = (struct pci_bar){.region = {.name = "vga.linear", .size = VGA_MEMORY, .ram = v->ram}, .prefetch = true};
	v->function.bar[2] = (struct pci_bar){.region = {.name = "vga.mmio", .size = 4096, .ops = &mmio_ops, .opaque = v}};
	if (device->rom)
		v->function.bar[6] = (struct pci_bar){
			.region = {.name = "vga.rom", .size = device->rom->size, .ram = device->rom, .readonly = true}};
	pci_ids(&v->function, 0x1234, 0x1111, 0x03000002, 0x1af4, 0x1100, 0);
	if (!pci_add(m->pci, &v->function, -1, err)) {
		ram_free(v->ram);
		return false;
	}
	dirty_log_start(m->bus, v->ram, 0, VGA_MEMORY);
	v->window = (struct region){.name = "vga.window", .size = 0x20000, .ops = &vga_window_ops, .opaque = v};
	v->ports = (struct region){.name = "vga.ports", .size = 0x30, .ops = &port_ops, .opaque = v};
	v->vbe_ports = (struct region){.name = "vga.dispi", .size = 4, .ops = &vbe_port_ops, .opaque = v};
	bus_map(m->bus, &v->window, VGA_WINDOW, MAP_DEVICE);
	bus_map_io(m->bus, &v->ports, PORTS);
	bus_map_io(m->bus, &v->vbe_ports, VBE_PORT);
	vga_prefer(v, 1280, 800);
	v->source = (struct display_source){.update = vga_update, .text = vga_text, .resize_hint = resize_hint, .device = v};
	m->display = &v->source;
	return true;
}

static void vga_reset(struct device *device)
{
	struct vga *v = (struct vga *)device;
	const struct vga_state *old = &v->state;

	v->state = (struct vga_state){.pci = old->pci, .misc = 0x01, .pel_mask = 0xff, .edid_width = old->edid_width,
	                              .edid_height = old->edid_height};
	v->state.vbe[VBE_ID] = VBE_ID_LAST;
	make_legal(v->state.vbe);
	pci_reset(&v->function);
	memset(v->memory, 0, VGA_PLANAR);
	changed(v);
}

static void vga_loaded(struct device *device)
{
	struct vga *v = (struct vga *)device;
	struct vga_state *s = &v->state;

	make_legal(s->vbe);
	vga_prefer(v, s->edid_width, s->edid_height);
	s->dac_sub %= 3;
	s->ar_data &= 1;
	pci_loaded(&v->function);
	changed(v);
}

static void vga_destroy(struct device *device)
{
	struct vga *v = (struct vga *)device;
	struct bus *bus = device->machine->bus;

	device->machine->display = NULL;
	dirty_log_stop(bus, v->ram, 0, VGA_MEMORY);
	bus_unmap(bus, &v->window);
	bus_unmap(bus, &v->ports);
	bus_unmap(bus, &v->vbe_ports);
	pci_remove(&v->function);
	ram_free(v->ram);
}

static const struct field vga_fields[] = {
	FIELD_SUB(struct vga_state, pci, pci_fields, "configuration space"),
	FIELD_ARRAY(struct vga_state, sr, "sequencer"),
	FIELD_ARRAY(struct vga_state, gr, "graphics controller"),
	FIELD_ARRAY(struct vga_state, ar, "attribute controller"),
	FIELD_ARRAY(struct vga_state, cr, "CRT controller"),
	FIELD(struct vga_state, sr_index, "its index"),
	FIELD(struct vga_state, gr_index, "its index"),
	FIELD(struct vga_state, ar_index, "its index and the screen's bit"),
	FIELD(struct vga_state, cr_index, "its index"),
	FIELD(struct vga_state, ar_data, "the next attribute write is data"),
	FIELD(struct vga_state, misc, "miscellaneous output"),
	FIELD(struct vga_state, feature, "feature control"),
	FIELD(struct vga_state, pel_mask, "mask of pixels"),
	FIELD_ARRAY(struct vga_state, dac, "palette"),
	FIELD(struct vga_state, dac_read, "palette read index"),
	FIELD(struct vga_state, dac_write, "palette write index"),
	FIELD(struct vga_state, dac_sub, "which of red, green and blue is next"),
	FIELD(struct vga_state, dac_mode, "reading or writing"),
	FIELD_ARRAY(struct vga_state, pad, "unused"),
	FIELD(struct vga_state, latch, "latches, a byte of each plane"),
	FIELD(struct vga_state, vbe_index, "dispi index"),
	FIELD_ARRAY(struct vga_state, vbe, "dispi registers"),
	FIELD(struct vga_state, edid_width, "width that the monitor prefers"),
	FIELD(struct vga_state, edid_height, "height that it prefers"),
	FIELD_END,
};

DEVICE(vga) = {
	.name = "VGA",
	.desc = "VGA with linear modes to 2560x1600",
	.size = sizeof(struct vga),
	.state_offset = offsetof(struct vga, state),
	.state_size = sizeof(struct vga_state),
	.fields = vga_fields,
	.init = vga_init,
	.reset = vga_reset,
	.loaded = vga_loaded,
	.destroy = vga_destroy,
};
