/* SPDX-License-Identifier: MIT */
/* What the back end asks of the host's operating system. */
#ifndef JIT_X64_HOST_H
#define JIT_X64_HOST_H

/* The GS base of this thread, which user space has no other use for. */
void host_set_gs(void *base);

#endif
