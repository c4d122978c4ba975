/* SPDX-License-Identifier: MIT */
/* The version, in one place. */
#ifndef FRONTEND_VERSION_H
#define FRONTEND_VERSION_H

#define PAISANO_VERSION "0.1"

#endif
