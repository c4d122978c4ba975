/* SPDX-License-Identifier: MIT */
/* The inside of the VGA, shared by its registers (vga.c), its memory window (vga_window.c) and its drawing (vga_draw.c). */
#ifndef HW_VIDEO_VGA_H
#define HW_VIDEO_VGA_H

#include "hw/chipset/pci.h"
#include "hw/device.h"
#include "hw/video/display.h"

#define VGA_MEMORY (16u << 20)
#define VGA_PAGES (VGA_MEMORY >> PAGE_SHIFT)
#define VGA_PLANAR (256u << 10) /* what the planar modes reach */
#define VGA_WINDOW 0xa0000
#define VGA_EDID 128u

enum vga_seq { SR_RESET, SR_CLOCK, SR_MAP_MASK, SR_FONT, SR_MEMORY, SR_COUNT = 8 };
enum vga_crtc {
	CR_H_END = 0x01, CR_OVERFLOW = 0x07, CR_PRESET = 0x08, CR_MAX_SCAN = 0x09, CR_CURSOR_START = 0x0a, CR_CURSOR_END = 0x0b,
	CR_START_HIGH = 0x0c, CR_START_LOW, CR_CURSOR_HIGH, CR_CURSOR_LOW, CR_V_SYNC_END = 0x11, CR_V_END = 0x12, CR_OFFSET = 0x13,
	CR_UNDERLINE = 0x14, CR_MODE = 0x17, CR_COMPARE = 0x18, CR_COUNT = 0x19
};
enum vga_gfx {
	GR_SET_RESET,
	GR_ENABLE_SET_RESET,
	GR_COMPARE,
	GR_ROTATE,
	GR_READ_MAP,
	GR_MODE,
	GR_MISC,
	GR_DONT_CARE,
	GR_BIT_MASK,
	GR_COUNT = 16
};
enum vga_attr { AR_MODE = 0x10, AR_OVERSCAN, AR_PLANES, AR_PANNING, AR_COLOUR_SELECT, AR_COUNT };
enum vbe_register {
	VBE_ID, VBE_WIDTH, VBE_HEIGHT, VBE_BITS, VBE_ENABLE, VBE_BANK, VBE_VIRTUAL_WIDTH, VBE_VIRTUAL_HEIGHT, VBE_X, VBE_Y,
	VBE_MEMORY, VBE_COUNT
};
enum vbe_enable { VBE_ENABLED = 0x01, VBE_CAPABILITIES = 0x02, VBE_8BIT_DAC = 0x20, VBE_LINEAR = 0x40, VBE_KEEP = 0x80 };

struct vga_state {
	struct pci_state pci;
	u8 sr[SR_COUNT], gr[GR_COUNT], ar[AR_COUNT], cr[CR_COUNT];
	u8 sr_index, gr_index, ar_index, cr_index;
	u8 ar_data;      /* the attribute flip-flop: the next write is data */
	u8 misc, feature;
	u8 pel_mask;
	u8 dac[768];     /* 6 bits each, 8 with VBE_8BIT_DAC */
	u8 dac_read, dac_write, dac_sub; /* indices; dac_sub: which of R, G, B is next */
	u8 dac_mode;     /* what port 3c7h reads: 3 after a read index, 0 after a write index */
	u8 pad[2];
	u32 latch;       /* the byte of each plane that the last read of the window left */
	u16 vbe_index;
	u16 vbe[VBE_COUNT];
	u16 edid_width, edid_height; /* the mode that the monitor prefers */
};

struct vga {
	struct device device;
	struct vga_state state;
	struct pci_function function;
	struct region window, ports, vbe_ports, colour, mono;
	struct display_source source;
	struct ram *ram;
	u8 edid[VGA_EDID];
	u8 *memory; /* VGA_MEMORY bytes; dword d holds byte d of planes 0 to 3 */
	/* What viewers have seen, in counts of `version`. */
	u64 version, registers_version;
	u64 page_version[VGA_PAGES];
	u64 seen[DISPLAY_VIEWERS];
	u8 seen_blink[DISPLAY_VIEWERS];
};

/* vga_window.c */
extern const struct region_ops vga_window_ops;
/* vga_edid.c: the mode that the monitor prefers; its EDID anew */
void vga_prefer(struct vga *v, unsigned width, unsigned height);
/* vga_draw.c */
void vga_update(void *device, struct picture *picture, unsigned viewer, bool all);
bool vga_text(void *device, struct text_screen *screen);

/* A byte of the memory changed other than through the linear window, which has a dirty log. */
static inline void vga_touch(struct vga *v, u32 offset)
{
	v->page_version[offset >> PAGE_SHIFT] = ++v->version;
}
static inline bool vga_linear(const struct vga *v)
{
	return v->state.vbe[VBE_ENABLE] & VBE_ENABLED;
}

#endif
