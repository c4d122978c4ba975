/* SPDX-License-Identifier: MIT */
/* ISA DMA as a device on the bus uses it: it holds its request line and moves bytes through its channel. */
#ifndef HW_CHIPSET_DMA_H
#define HW_CHIPSET_DMA_H

#include "hw/device.h"

enum dma_direction { DMA_TO_MEMORY, DMA_FROM_MEMORY };

/* The channel's request line, which the status register shows. */
void dma_request(struct device *dma, unsigned channel, bool level);
/* May the channel move anything now (not masked, controller enabled)? */
bool dma_ready(struct device *dma, unsigned channel);
/* Move up to len bytes between buf and where the guest pointed the channel. Returns how many; *terminal: the count ran out with
 * the last of them. A channel programmed for the other direction, or for verification, counts but moves nothing (reads give 0). */
size_t dma_transfer(struct device *dma, unsigned channel, void *buf, size_t len, enum dma_direction direction, bool *terminal);

#endif
