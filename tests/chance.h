/* SPDX-License-Identifier: MIT */
/* Random numbers of tests that make programs: the same from the same seed, on every host. splitmix64 (Steele, Lea, Flood 2014). */
#ifndef TESTS_CHANCE_H
#define TESTS_CHANCE_H

#include "base/types.h"

struct chance {
	u64 state;
};
static inline u64 chance_next(struct chance *c)
{
	u64 z = c->state += 0x9e3779b97f4a7c15;
	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
	z = (z ^ z >> 27) * 0x94d049bb133111eb;
	return z ^ z >> 31;
}
static inline u32 chance_below(struct chance *c, u32 n)
{
	return (chance_next(c) >> 32) * n >> 32;
}
static inline bool chance_percent(struct chance *c, unsigned p)
{
	return chance_below(c, 100) < p;
}

#endif
