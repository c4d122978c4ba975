/* SPDX-License-Identifier: MIT */
/* The few words that every file uses: fixed-width integers and the macros that C lacks. */
#ifndef BASE_TYPES_H
#define BASE_TYPES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

typedef uint8_t u8;
typedef uint16_t u16;
typedef uint32_t u32;
typedef uint64_t u64;
typedef int8_t i8;
typedef int16_t i16;
typedef int32_t i32;
typedef int64_t i64;
typedef unsigned __int128 u128;
typedef __int128 i128;

/* Guest and host are both little-endian; guest values are read and written as they stand. */
_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "big-endian hosts are not supported");

#define ARRAY_LEN(a) (sizeof(a) / sizeof((a)[0]))
#define BIT(n) (1ull << (n))
#define likely(x) __builtin_expect(!!(x), 1)
#define unlikely(x) __builtin_expect(!!(x), 0)
#define MIN(a, b) ((a) < (b) ? (a) : (b))
#define MAX(a, b) ((a) > (b) ? (a) : (b))
#define container_of(ptr, type, member) ((type *)((char *)(ptr) - offsetof(type, member)))
#define always_inline inline __attribute__((always_inline))
#define noinline __attribute__((noinline))

/* Unaligned access to guest memory; n is 1, 2, 4 or 8 bytes. */
#define LOAD_STORE(bits)                                                                                               \
	static inline u##bits load##bits(const void *p)                                                                   \
	{                                                                                                                  \
		u##bits v;                                                                                                     \
		memcpy(&v, p, sizeof v);                                                                                       \
		return v;                                                                                                      \
	}                                                                                                                  \
	static inline void store##bits(void *p, u##bits v)                                                                \
	{                                                                                                                  \
		memcpy(p, &v, sizeof v);                                                                                       \
	}
LOAD_STORE(8)
LOAD_STORE(16)
LOAD_STORE(32)
LOAD_STORE(64)
#undef LOAD_STORE

/* The low `size` bytes (1..8) as a mask. */
static inline u64 mask_bytes(unsigned size)
{
	return size >= 8 ? ~0ull : (1ull << (size * 8)) - 1;
}

#endif
