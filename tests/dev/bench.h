/* SPDX-License-Identifier: MIT */
/* A bare machine for device tests: a bus, a little RAM, no CPU, and time that moves only when the test says so. */
#ifndef TESTS_DEV_BENCH_H
#define TESTS_DEV_BENCH_H

#include "hw/device.h"
#include "mem/ram.h"
#include "tests/unit/unit.h"

#define US 1000ull
#define MS 1000000ull

/* An end of a wire: what an output pin did. */
struct wire {
	bool level;
	unsigned rises, falls;
	u64 rose_at; /* virtual time of the last rise */
	struct bench *bench;
};

struct bench {
	u64 now; /* virtual ns; bench_advance() moves it */
	struct clock *clock;
	struct loop *loop;
	struct bus bus;
	struct ram *ram;
	struct region ram_region;
	struct machine machine;
	struct device *devices[32];
	unsigned device_count;
	unsigned requests[4]; /* by enum machine_request */
	int request_value;
};

struct bench *bench_new(void);
void bench_free(struct bench *b);
/* Create without starting, so that pins can be tied; then start. */
struct device *bench_create(struct bench *b, const char *class_name, const char *options);
void bench_start(struct device *device);
struct device *bench_add(struct bench *b, const char *class_name, const char *options);
/* Tie an output pin, by name, to a wire or to an input pin of a device. */
void bench_tie(struct bench *b, struct device *device, const char *pin, struct wire *wire);
void bench_tie_to(struct device *device, const char *pin, struct device *to, unsigned n);
void bench_input(struct device *device, unsigned n, bool level);
/* Move time, firing timers at their very deadlines. */
void bench_advance(struct bench *b, u64 ns);
/* Replace the state of a device by that of a saved and loaded copy of itself, as a snapshot does. */
void bench_round_trip(struct bench *b, struct device *device);

u8 in8(struct bench *b, u16 port);
u16 in16(struct bench *b, u16 port);
u32 in32(struct bench *b, u16 port);
void out8(struct bench *b, u16 port, u8 value);
void out16(struct bench *b, u16 port, u16 value);
void out32(struct bench *b, u16 port, u32 value);
u64 rd(struct bench *b, u64 gpa, unsigned size);
void wr(struct bench *b, u64 gpa, u64 value, unsigned size);

/* Configuration mechanism 1. */
u32 cfg_read(struct bench *b, unsigned devfn, unsigned reg, unsigned size);
void cfg_write(struct bench *b, unsigned devfn, unsigned reg, u32 value, unsigned size);

#endif
