/* SPDX-License-Identifier: MIT */
/* The inside of the IDE controller, shared by its files only: ide.c (PCI function, ports, life), ide_dma.c (bus master),
 * ide_xfer.c (moving data between host, buffers and medium), ata.c (disks), atapi.c (CD-ROM drives).
 *
 * A command runs in one of the phases below. In PIO_IN and PIO_OUT the host moves data[at..stop) through the data port, in
 * PACKET the twelve bytes of a packet; in DMA_IN and DMA_OUT the bus master does. `left` counts the bytes of the medium that
 * the command has not yet moved beyond what is in data[]. While a request of the unit is on its way to the disk, BSY is set.
 * Invariants: at <= stop <= end <= IDE_DATA; at most one request of a unit is on its way; what is saved needs none. */
#ifndef HW_DISK_IDE_H
#define HW_DISK_IDE_H

#include <sys/uio.h>

#include "hw/chipset/pci.h"
#include "hw/disk/disk.h"

#define IDE_CHANNELS 2
#define IDE_UNITS 4
#define IDE_DATA 8192u            /* 16 sectors: the largest DRQ block of READ MULTIPLE */
#define IDE_MULTIPLE (IDE_DATA / 512)
#define IDE_BULK (2u << 20)       /* bytes of the medium that move at once */
#define IDE_PIECES 512u           /* of memory, in one request */
#define IDE_SECTOR 512u
#define CD_SECTOR 2048u
#define CD_RAW 2352u

/* Registers of the command block, by port. */
enum ide_reg { IDE_PORT, IDE_FEATURE, IDE_COUNT, IDE_LOW, IDE_MID, IDE_HIGH, IDE_DEVICE, IDE_COMMAND };
enum ide_status { ST_ERR = 0x01, ST_DRQ = 0x08, ST_SEEK = 0x10, ST_FAULT = 0x20, ST_READY = 0x40, ST_BUSY = 0x80 };
enum ide_error { ER_ABORT = 0x04, ER_NOT_FOUND = 0x10, ER_DATA = 0x40 };
enum ide_device { DEV_UNIT = 0x10, DEV_LBA = 0x40, DEV_OBSOLETE = 0xa0 };
enum ide_control { CTL_NO_IRQ = 0x02, CTL_RESET = 0x04, CTL_PREVIOUS = 0x80 };
enum ide_reason { REASON_COMMAND = 1, REASON_TO_HOST = 2 }; /* the count register of packet devices */
enum ide_command { CMD_TRIM = 0x06, CMD_DEVICE_RESET = 0x08, CMD_DIAGNOSTIC = 0x90, CMD_PACKET = 0xa0 };
enum ide_phase { IDE_IDLE, IDE_PACKET, IDE_PIO_IN, IDE_PIO_OUT, IDE_DMA_IN, IDE_DMA_OUT, IDE_WORK /* a request, no data */ };

struct ide_unit_state {
	u64 pos;        /* byte of the medium where the transfer goes on */
	u64 left;
	u32 at, stop;   /* of data[], for the host: now, end of the DRQ block */
	u32 end;        /* of what is in data[], or is to come into it */
	u32 block;      /* bytes of the medium that data[] holds at a time; 0: data[] is the command's own */
	u32 limit;      /* largest DRQ block of a packet command */
	u32 disc_size;  /* sectors of the disc that is in, to know another one by when a state is loaded */
	u8 now[8], before[8]; /* command block as written; for LBA48 what it held before */
	u8 status, error, command, phase;
	u8 irq;         /* INTRQ */
	u8 multiple;    /* sectors a block of the MULTIPLE commands; 0: not set */
	u8 heads, sectors; /* the translation for CHS */
	u8 mode;        /* transfer mode set last, as SET FEATURES codes it */
	u8 write_through, no_read_ahead;
	u8 smart_off;
	u8 power;       /* what CHECK POWER MODE says */
	u8 raw;         /* CD sectors go out with header and error correction; bits as READ CD has them */
	u8 entry_high, entry; /* of a list of ranges in data[], the next one */
	/* packet devices */
	u8 packet[12];
	u8 sense, asc, ascq;
	u8 attention;   /* the medium may have changed, and the host has not been told */
	u8 locked, tray;
	u8 event;       /* media event for GET EVENT STATUS NOTIFICATION */
	u8 pad[5];
	u8 data[IDE_DATA];
};

/* Where a bus master is in its PRD table. */
struct ide_cursor {
	u32 next;       /* address of the next entry */
	u32 at, left;   /* the region of the present one */
	u16 entries;    /* read so far */
	u8 last, pad;   /* the present one is */
};

struct ide_channel_state {
	struct ide_cursor cursor;
	u32 prdt;
	u8 bm_command, bm_status;
	u8 select;      /* 0, 1 */
	u8 control;
	u8 line;        /* the interrupt line */
	u8 pad[3];
};

struct ide_state {
	struct pci_state pci;
	struct ide_channel_state channel[IDE_CHANNELS];
	struct ide_unit_state unit[IDE_UNITS];
};

struct ide;
struct ide_unit {
	struct ide *ide;
	struct ide_channel *channel;
	struct ide_unit_state *s;
	struct drive *drive;       /* NULL: nobody there */
	u8 index;
	u8 *bulk;                  /* IDE_BULK bytes */
	u64 ahead, ahead_len;      /* bytes of the medium that bulk holds for PIO; never needed, only fast */
	struct bus_piece memory[IDE_PIECES]; /* of the guest, that the request on its way is for; if pieces is not 0 */
	struct iovec vector[IDE_PIECES];     /* the same, as the disk wants it */
	unsigned pieces;
	struct ide_cursor behind;  /* where the bus master is when it is back */
	struct disk_request request;
	bool in_flight;
	bool forget;               /* its result is of no interest any more */
	bool resetting;            /* busy until it comes out of reset: see ide_come_out() */
	u32 epoch;                 /* of the bus master when the request left */
	void (*then)(struct ide_unit *u, int error);
};
struct ide_channel {
	struct ide *ide;
	struct ide_channel_state *s;
	struct ide_unit *unit;     /* two */
	struct region command, control;
	u32 epoch;                 /* counts starts and stops of the bus master */
	u8 index;
	bool diagnosing;           /* both units test themselves: they come out of it together */
};
struct ide {
	struct device device;
	struct ide_state state;
	struct pci_function function;
	struct ide_channel channel[IDE_CHANNELS];
	struct ide_unit unit[IDE_UNITS];
};

static inline bool ide_is_cd(const struct ide_unit *u)
{
	return u->drive && u->drive->media == DRIVE_CDROM;
}

/* ide.c */
void ide_interrupt(struct ide_unit *u);         /* INTRQ rises */
void ide_signature(struct ide_unit *u);         /* what a unit shows after reset */
void ide_device_reset(struct ide_unit *u);      /* the command of that name; a request on its way is forgotten */
/* Units come out of reset when nothing of theirs is on its way any more and the reset line is released. */
void ide_come_out(struct ide_channel *c);
/* ide_dma.c */
void ide_dma_run(struct ide_channel *c);        /* go on with whatever can go on */
u64 ide_dma_read(void *opaque, u64 offset, unsigned size);
void ide_dma_write(void *opaque, u64 offset, u64 value, unsigned size);
void ide_dma_loaded(struct ide_channel *c);
/* ide_xfer.c */
void ide_submit(struct ide_unit *u, enum disk_op op, u64 offset, u64 len, u8 *buf, void (*then)(struct ide_unit *, int error));
/* The same to or from the guest's memory as it is in memory[] and vector[]. */
void ide_submit_pieces(struct ide_unit *u, enum disk_op op, u64 offset, u64 len, unsigned pieces,
                       void (*then)(struct ide_unit *, int error));
/* Waits for a request that the disk carries out in the guest's memory, so that none comes later. */
void ide_let_go(struct ide_unit *u);
void ide_data_in(struct ide_unit *u, bool dma);  /* from data[0..end), then from the medium */
void ide_data_out(struct ide_unit *u, bool dma); /* to data[0..end) when block is 0, else to the medium */
void ide_next_block(struct ide_unit *u);         /* fill data[] from the medium, then go on */
void ide_arrived(struct ide_unit *u);            /* data[0..end) is complete: into the medium with it, or to the command */
void ide_disk_error(struct ide_unit *u, int error);
void ide_moved(struct ide_unit *u);              /* the last byte has: end the command */
u32 ide_port_read(struct ide_unit *u, unsigned size);
void ide_port_write(struct ide_unit *u, u32 value, unsigned size);
void ide_forget(struct ide_unit *u);             /* a request on its way, and the transfer */
/* ata.c */
void ata_command(struct ide_unit *u);
void ata_done(struct ide_unit *u);               /* all data of the command has moved */
void ata_received(struct ide_unit *u);           /* data[0..end) came from the host */
void ata_fail(struct ide_unit *u, u8 error);
void ata_disk_error(struct ide_unit *u, int error);
void ata_finish(struct ide_unit *u);             /* success: status and interrupt */
void ata_power_on(struct ide_unit *u);
void ata_loaded(struct ide_unit *u);
void ata_string(u8 *to, unsigned len, const char *text); /* as IDENTIFY has them */
u64 ata_sectors(const struct ide_unit *u);
/* atapi.c */
void atapi_start(struct ide_unit *u);            /* the command PACKET */
void atapi_packet(struct ide_unit *u);           /* packet[] has come */
void atapi_identify(struct ide_unit *u);
void atapi_done(struct ide_unit *u);
void atapi_disk_error(struct ide_unit *u, int error);
void atapi_power_on(struct ide_unit *u);
void atapi_loaded(struct ide_unit *u);
void atapi_changed(void *unit);
void atapi_eject_request(void *unit);
/* The parts of a sector that READ CD asked for (s->raw); how many bytes, up to CD_RAW. */
u32 atapi_raw_sector(const struct ide_unit *u, u8 *to, const u8 *user, u32 lba);

#endif
