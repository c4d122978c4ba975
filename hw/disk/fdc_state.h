/* SPDX-License-Identifier: MIT */
/* The inside of the floppy disk controller, shared by its files only: fdc.c (registers, interrupt, life), fdc_command.c (the
 * commands and their results), fdc_transfer.c (sectors between medium and host), fdc_media.c (formats).
 *
 * The controller collects a command, carries it out, gives its result. What it waits for while it carries one out is its step:
 * the clock, the disk, or the host, which moves buf[at..len) through the FIFO. Seeks go on beside that, one a drive.
 * Invariants: at <= len <= FDC_SECTOR; taken <= FDC_COMMAND; given <= results <= FDC_RESULT; one request on its way at most;
 * what is saved needs none. */
#ifndef HW_DISK_FDC_STATE_H
#define HW_DISK_FDC_STATE_H

#include "hw/chipset/dma.h"
#include "hw/disk/disk.h"
#include "hw/disk/fdc.h"

#define FDC_DRIVES 4  /* that the controller can select; */
#define FDC_PRESENT 2 /* that may be there */
#define FDC_SECTOR 512u
#define FDC_COMMAND 9
#define FDC_RESULT 10
#define FDC_DMA_CHANNEL 2
#define FDC_TRACKS 85    /* that the head reaches */
/* Mechanics are this many times as fast as those of the drive: guests time out by hundreds of ms, users by less. */
#define FDC_HURRY 64
#define FDC_TURN_NS (200000000ull / FDC_HURRY)

enum fdc_dor { DOR_SELECT = 0x03, DOR_NO_RESET = 0x04, DOR_GATE = 0x08, DOR_MOTOR = 0x10 };
enum fdc_msr { MSR_BUSY = 0x10, MSR_NO_DMA = 0x20, MSR_TO_HOST = 0x40, MSR_READY = 0x80 };
enum fdc_st0 { ST0_HEAD = 0x04, ST0_CHECK = 0x10, ST0_SEEK_END = 0x20, ST0_ABNORMAL = 0x40, ST0_INVALID = 0x80,
	       ST0_POLLED = 0xc0 };
enum fdc_st1 { ST1_NO_MARK = 0x01, ST1_PROTECTED = 0x02, ST1_NO_DATA = 0x04, ST1_OVERRUN = 0x10, ST1_DATA_ERROR = 0x20,
	       ST1_END = 0x80 };
enum fdc_st2 { ST2_SCAN_MISS = 0x04, ST2_SCAN_HIT = 0x08, ST2_WRONG_TRACK = 0x10, ST2_DATA_ERROR = 0x20, ST2_MARK = 0x40 };
enum fdc_config { CFG_THRESHOLD = 0x0f, CFG_NO_POLL = 0x10, CFG_NO_FIFO = 0x20, CFG_IMPLIED_SEEK = 0x40 };
enum fdc_phase { FDC_IDLE, FDC_TAKING, FDC_EXECUTING, FDC_RESULTING, FDC_PHASES };
/* What is being waited for. */
enum fdc_step { STEP_NONE, STEP_RESET, STEP_SEARCH, STEP_READ, STEP_WRITE, STEP_HOST, STEPS };
enum fdc_kind { KIND_READ, KIND_READ_DELETED, KIND_READ_TRACK, KIND_READ_ID, KIND_VERIFY, KIND_WRITE, KIND_FORMAT,
		KIND_SCAN_EQUAL, KIND_SCAN_LOW, KIND_SCAN_HIGH, KINDS };

struct fdc_drive_state {
	u64 deadline;    /* end of the seek */
	u64 medium_size; /* of the disk in the drive, to know another one by when a state is loaded */
	u8 track;        /* where the head is */
	u8 pcn;          /* where the controller believes it to be */
	u8 seeking;
	u8 target;       /* of the seek: the track then, */
	u8 target_pcn;
	u8 result;       /* its ST0 */
	u8 seek_done;    /* and the host has not been told */
	u8 changed;      /* the disk change line */
};

struct fdc_state {
	u64 deadline; /* of STEP_RESET and STEP_SEARCH */
	struct fdc_drive_state drive[FDC_DRIVES];
	u16 at, len;  /* of buf[], for the host */
	u8 dor, tdr, dsr, ccr;
	u8 phase, step;
	u8 command[FDC_COMMAND], taken;
	u8 result[FDC_RESULT], results, given;
	u8 specify[2];
	u8 config[2];  /* second and third byte of CONFIGURE */
	u8 locked, perpendicular, last_eot;
	u8 irq;        /* a command has ended, or the FIFO wants the host */
	u8 irq_reset;
	u8 polled;     /* drives that SENSE INTERRUPT has yet to tell of after a reset */
	/* the command being carried out */
	u8 kind, unit, head;
	u8 id[4];      /* C, H, R, N of the present sector */
	u8 eot, left;  /* last sector of the track; sectors that FORMAT, VERIFY and READ TRACK have yet to do */
	u8 multi, counted, terminal;
	u8 st0, st1, st2;
	u8 scan;       /* so far in this sector: bit 0 a byte of the disk was less, bit 1 more */
	u8 pad[6];
	u8 buf[FDC_SECTOR];
};

struct fdc_format {
	u64 size;      /* bytes of the image */
	u8 tracks, heads, sectors;
	u8 rates;      /* a bit for each data rate (DSR bits 1-0) that it can be read at */
	u8 drive_type;
};

struct fdc;
struct fdc_drive {
	struct fdc *fdc;
	struct fdc_drive_state *s;
	struct drive *drive;             /* NULL: nobody there */
	const struct fdc_format *format; /* of the medium; NULL: none */
	struct timer timer;
	u8 index, type;
};
struct fdc {
	struct device device;
	struct fdc_state state;
	struct region low, high;
	struct fdc_drive drive[FDC_DRIVES];
	struct timer timer;
	struct disk_request request;
	struct disk *busy; /* the disk that it is on its way to; NULL: none is */
	bool forget;  /* its result is of no interest any more; if the step wants the disk, it is asked again */
	u8 disk_buf[FDC_SECTOR];
};

/* fdc.c */
void fdc_update(struct fdc *f);                       /* the interrupt line */
void fdc_wait(struct fdc *f, enum fdc_step step, u64 ns); /* STEP_RESET or STEP_SEARCH ends then */
void fdc_dma_line(struct fdc *f, bool level);
/* fdc_command.c */
void fdc_command_write(struct fdc *f, u8 value);
void fdc_command_results(struct fdc *f, const u8 *bytes, unsigned count, bool interrupt);
void fdc_command_loaded(struct fdc *f);
unsigned fdc_command_seek(struct fdc *f, unsigned unit, u8 ncn); /* the head moves at once; steps it took */
u64 fdc_command_step_ns(const struct fdc *f);
void fdc_command_arrived(struct fdc *f, unsigned unit); /* a seek has ended */
/* fdc_transfer.c */
void fdc_transfer_start(struct fdc *f, enum fdc_kind kind);
void fdc_transfer_search(struct fdc *f);              /* the sector comes under the head */
u8 fdc_transfer_read(struct fdc *f);                  /* the FIFO in STEP_HOST */
void fdc_transfer_write(struct fdc *f, u8 value);
bool fdc_transfer_to_host(const struct fdc *f);       /* the direction of the data */
void fdc_transfer_stop(struct fdc *f);                /* forget it all */
void fdc_transfer_loaded(struct fdc *f);
/* fdc_media.c */
const struct fdc_format *fdc_media_format(u64 size);

#endif
