/* SPDX-License-Identifier: MIT */
/* Telnet, taken out of a stream: see telnet.h. */
#include "frontend/telnet.h"

enum { IAC = TELNET_IAC, DONT = 254, DO = 253, WONT = 252, WILL = 251, SB = 250, SE = 240, ECHO = 1, NO_GO_AHEAD = 3 };
enum { DATA, COMMAND, OPTION, SUB, SUB_COMMAND, CR };

const u8 telnet_greeting[9] = {IAC, WILL, ECHO, IAC, WILL, NO_GO_AHEAD, IAC, DO, NO_GO_AHEAD};

size_t telnet_read(u8 *state, u8 *data, size_t len)
{
	size_t kept = 0;

	for (size_t i = 0; i < len; i++) {
		u8 c = data[i];
		switch (*state) {
		case CR: /* a return is CR NUL or CR LF on the wire */
			*state = DATA;
			if (c == 0 || c == '\n')
				break;
			/* fall through */
		case DATA:
			if (c == IAC)
				*state = COMMAND;
			else
				data[kept++] = c;
			if (c == '\r')
				*state = CR;
			break;
		case COMMAND:
			*state = c == SB ? SUB : c >= WILL && c <= DONT ? OPTION : DATA;
			if (c == IAC)
				data[kept++] = c;
			break;
		case SUB:
			if (c == IAC)
				*state = SUB_COMMAND;
			break;
		case SUB_COMMAND:
			*state = c == SE ? DATA : SUB;
			break;
		default:
			*state = DATA;
			break;
		}
	}
	return kept;
}
