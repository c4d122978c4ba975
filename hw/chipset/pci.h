/* SPDX-License-Identifier: MIT */
/* The PCI bus that functions plug into. Source: PCI Local Bus Specification 3.0, ch. 6 (configuration space). */
#ifndef HW_CHIPSET_PCI_H
#define HW_CHIPSET_PCI_H

#include "hw/device.h"

#define PCI_BARS 7 /* 0..5 and 6 = expansion ROM */

struct pci_bar {
	struct region region; /* region.size a power of two, 0 = absent; filled in before pci_add */
	bool io;              /* port space */
	bool prefetch, wide;  /* memory: prefetchable, 64-bit */
};

/* Saved state of every function: part of the owner's state struct, FIELD_SUB(..., pci, pci_fields, ...). */
struct pci_state {
	u8 config[256];
};
extern const struct field pci_fields[];

/* A function; embedded in the device's object. */
struct pci_function {
	struct device *device;
	struct pci_state *state;   /* in the owner's state struct */
	u8 devfn;                  /* slot << 3 | function */
	u8 wmask[256];             /* which config bits the guest can write; pci_add sets the standard ones */
	u8 w1cmask[256];           /* write one to clear */
	struct pci_bar bar[PCI_BARS];
	/* Optional: sees every config write after it was applied to config[]. */
	void (*config_written)(struct pci_function *function, u8 offset, unsigned size);
	struct pci_bus *bus;
	struct pci_function *next;
	bool intx; /* level of our INTx pin */
};

struct pci_bus *pci_new(struct machine *machine);
void pci_free(struct pci_bus *bus);
/* INTx of slot s pin p (0..3) is routed by the chipset: set by the south bridge; n is (slot << 2 | pin). */
void pci_route(struct pci_bus *bus, void (*set)(void *opaque, unsigned n, bool level), void *opaque);
/* Plug in at devfn (-1: first free slot). ids: config header fields set into config[] before BARs are laid out. */
bool pci_add(struct pci_bus *bus, struct pci_function *function, int devfn, struct err *err);
/* Take out again: unmaps the BARs. From the owner's destroy hook. */
void pci_remove(struct pci_function *function);
void pci_ids(struct pci_function *function, u16 vendor, u16 device, u32 class_rev /* class << 8 | rev */, u16 subvendor,
             u16 subdevice, u8 interrupt_pin);
/* From the owner's reset and loaded hooks. reset clears command, BARs and interrupt line; loaded remaps from config[]. */
void pci_reset(struct pci_function *function);
void pci_loaded(struct pci_function *function);
void pci_irq(struct pci_function *function, bool level);
/* Is bus mastering on? DMA through these obeys it. */
bool pci_dma_read(struct pci_function *function, u64 gpa, void *buf, u64 len);
bool pci_dma_write(struct pci_function *function, u64 gpa, const void *buf, u64 len);
bool pci_dma_map(struct pci_function *function, u64 gpa, u64 len, bool write, struct bus_piece *piece); /* bus_dma_map() */
/* Configuration access by mechanism 1 (the host bridge's ports): addr is CONFIG_ADDRESS without the enable bit. */
u32 pci_config_read(struct pci_bus *bus, u32 addr, unsigned size);
void pci_config_write(struct pci_bus *bus, u32 addr, u32 value, unsigned size);
struct pci_function *pci_first(struct pci_bus *bus);

#endif
