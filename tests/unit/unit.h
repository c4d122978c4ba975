/* SPDX-License-Identifier: MIT */
/* What every cmocka file needs before cmocka.h, and a small random source whose runs repeat. */
#ifndef TESTS_UNIT_UNIT_H
#define TESTS_UNIT_UNIT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/types.h"

/* xorshift64* (Vigna 2016); the state must not be 0. */
static inline u64 unit_random(u64 *state)
{
	*state ^= *state >> 12;
	*state ^= *state << 25;
	*state ^= *state >> 27;
	return *state * 0x2545f4914f6cdd1dull;
}

#endif
