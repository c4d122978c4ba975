/* SPDX-License-Identifier: MIT */
/* A lock that is fast when free, and that no thread can be kept from for long: the machine lock of base/loop.h. */
#ifndef BASE_FAIRLOCK_H
#define BASE_FAIRLOCK_H

#include "base/types.h"

struct fairlock {
	u32 state;         /* 0 free, 1 held, 2 held and somebody may sleep */
	u32 turn;          /* 0, or the next holder is chosen and newcomers wait: 1, 2 if any of them sleeps */
	const void *owner; /* the holding thread's mark */
};

/* All zeroes is a free lock. Not recursive. */
void fairlock_lock(struct fairlock *lock);
/* The same for a thread that must not wait behind others' repeated locking (it still lets one of them in between). */
void fairlock_lock_urgent(struct fairlock *lock);
void fairlock_unlock(struct fairlock *lock);
/* Does somebody wait for it who gave up spinning? For a holder that could go on later; may be true once too often. */
bool fairlock_wanted(const struct fairlock *lock);
/* Does the calling thread hold it? */
bool fairlock_held(const struct fairlock *lock);

#endif
