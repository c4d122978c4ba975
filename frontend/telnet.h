/* SPDX-License-Identifier: MIT */
/* The telnet protocol as far as a character stream needs it: RFC 854, 857 (we echo), 858 (no go-aheads). */
#ifndef FRONTEND_TELNET_H
#define FRONTEND_TELNET_H

#include "base/types.h"

enum { TELNET_IAC = 255 }; /* begins every command; doubled, it is data */

/* What we say first to whoever connects. */
extern const u8 telnet_greeting[9];
/* Take the protocol out of what came; returns how many bytes are left. state: the connection's, 0 at its beginning. What the other
 * end asks for is not answered. */
size_t telnet_read(u8 *state, u8 *data, size_t len);

#endif
