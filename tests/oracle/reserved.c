/* SPDX-License-Identifier: MIT */
/* What is no instruction: encodings that nobody defines must raise #UD on both sides, and those outside the supported set on ours.
 * The walk is that of forms.c, over what did not decode there. */
#include "tests/oracle/oracle.h"

#include <strings.h>

/* Opcodes under which every ModRM byte may be an operation of its own. */
static bool rm_matters(unsigned map, unsigned opcode)
{
	return map == 0 ? (opcode & 0xf8) == 0xd8 : map == 1 && (opcode == 0x00 || opcode == 0x01 || opcode == 0xae || opcode == 0xc7);
}

/* Prefixes, other maps, and what starts a VEX, EVEX or XOP encoding. */
static bool another_map(enum mode mode, unsigned map, unsigned opcode, unsigned modrm)
{
	if (map == 1) /* with them VMCALL and VMMCALL under prefixes, which would call the host's own hypervisor */
		return opcode == 0x38 || opcode == 0x3a || opcode == 0x0f || (opcode == 0x01 && (modrm == 0xc1 || modrm == 0xd9));
	if (map)
		return false;
	switch (opcode) {
	case 0x0f: case 0x26: case 0x2e: case 0x36: case 0x3e: case 0x64: case 0x65: case 0x66: case 0x67: case 0xf0: case 0xf2:
	case 0xf3:
		return true;
	case 0x62: case 0xc4: case 0xc5:
		return mode == M64 || modrm >= 0xc0;
	case 0x8f:
		return (modrm & 0x38) != 0;
	default:
		return mode == M64 && (opcode & 0xf0) == 0x40;
	}
}

static unsigned encode(u8 *bytes, unsigned map, unsigned opcode, unsigned prefix, bool rexw, unsigned modrm)
{
	static const u8 code[] = {0, 0x66, 0xf2, 0xf3, 0xf0};
	unsigned n = 0;

	if (prefix)
		bytes[n++] = code[prefix];
	if (rexw)
		bytes[n++] = 0x48;
	if (map)
		bytes[n++] = 0x0f;
	if (map > 1)
		bytes[n++] = map == 2 ? 0x38 : 0x3a;
	bytes[n++] = opcode;
	bytes[n++] = modrm;
	return n;
}

static void start(struct test *t, enum mode mode)
{
	gen_background(&t->s, mode);
	/* should a later CPU know the encoding, it finds memory wherever it looks */
	for (unsigned i = 0; i < (mode == M64 ? 16u : 8u); i++)
		if (i != R_SP)
			t->s.gpr[i] = DATA_PAGE + 0x800 - gen_seg_base(t->s.sel[S_DS]);
	t->patches = 0;
}

struct reserved reserved_check(const struct host_abilities *host, unsigned modes)
{
	static struct test t;
	static struct outcome ref, got;
	static struct report_text why;
	ZydisDecodedInstruction z;
	ZydisDecodedOperand op[ZYDIS_MAX_OPERAND_COUNT];
	struct tolerance tol = {.flags = F_RF};
	struct reserved r = {0};

	for (unsigned mode = 0; mode < M16; mode++)
		for (u32 i = 0; (modes >> mode & 1) && (mode == M64 || host->compat) && i < 4u << 20; i++) {
			unsigned modrm = i & 0xff, opcode = i >> 8 & 0xff, prefix = (i >> 16 & 15) % 5, map = i >> 20;
			bool rexw = (i >> 16 & 15) / 5;
			if ((i >> 16 & 15) >= (mode == M64 ? 10u : 5u) || another_map(mode, map, opcode, modrm))
				continue;
			if (modrm < 0xc0 ? (modrm & 0xc7) != 3 : !rm_matters(map, opcode) && (modrm & 7) != 0 && (modrm & 7) != 5)
				continue;
			memset(&t.in, 0, sizeof t.in);
			t.in.mode = mode;
			t.in.len = encode(t.in.bytes, map, opcode, prefix, rexw, modrm);
			t.in.segs = mode != M64;
			t.in.int3_end = true;
			if (forms_decode_any(mode, t.in.bytes, 15, &z, op))
				continue;
			t.in.len = 15; /* zeroes behind it serve as displacement and immediate */
			start(&t, mode);
			host_load(&t.in);
			guest_load(&t.in);
			oracle_prepare(&t, host_arena());
			oracle_prepare(&t, guest_arena());
			host_run(&t, &ref);
			guest_run(&t, &got);
			r.encodings++;
			if (ref.vector != 6 && got.vector == 6) { /* newer than the decoder, or privileged in a way of its own */
				if (r.host_only++ < 40) {
					printf("note: the host defines this reserved encoding [%s, vector %u]:", mode == M64 ? "64" : "32", ref.vector);
					for (unsigned k = 0; k < 6; k++)
						printf(" %02x", t.in.bytes[k]);
					printf("\n");
				}
				continue;
			}
			/* Both execute it, as AMD's LOCK VERW: the host went on through the zeroes. tests/unit/test_vendor.c compares these. */
			if (ref.vector != 6 && got.vector != 6)
				continue;
			if (!compare_outcomes(&t, &tol, &ref, host_arena(), &got, guest_arena(), &why) && r.failures++ < 40) {
				printf("DIFFERS reserved encoding [%s]: host%s != ours |", mode == M64 ? "64" : "32", why.text);
				for (unsigned k = 0; k < 6; k++)
					printf(" %02x", t.in.bytes[k]);
				printf("\n");
			}
		}
	return r;
}

/* ---- outside the supported set: #UD here ---- */

/* Not offered, and yet no #UD on a CPU without them: the encodings mean something older there. */
static const u16 older_meaning[] = {
	ZYDIS_MNEMONIC_LZCNT, ZYDIS_MNEMONIC_TZCNT, /* BSR, BSF with an idle prefix */
	ZYDIS_MNEMONIC_PREFETCHWT1, ZYDIS_MNEMONIC_CLDEMOTE, /* hints */
};

unsigned reserved_outside(struct forms *forms, unsigned *failures)
{
	static struct test t;
	static struct outcome got;
	unsigned n = 0;

	for (unsigned i = 0; i < forms->count; i++) {
		struct iform *f = &forms->form[i];
		struct rng rng = rng_from(1, f->key, 0);
		bool older = false;
		for (unsigned k = 0; k < ARRAY_LEN(older_meaning); k++)
			older |= older_meaning[k] == f->z.mnemonic;
		if (f->class != CLASS_OUTSIDE || older || guest_offers(f->z.meta.isa_set) || !build_instance(&rng, f, &t.in))
			continue;
		start(&t, f->mode);
		guest_load(&t.in);
		oracle_prepare(&t, guest_arena());
		guest_run(&t, &got);
		n++;
		if (got.vector == 6)
			continue;
		char text[96];
		forms_text(f->mode, t.in.bytes, t.in.len, text, sizeof text);
		printf("DIFFERS %s: not offered, but ours does not raise #UD (%s %u) | %s\n", f->name,
		       got.vector == NO_FAULT ? "no fault" : "#", got.vector == NO_FAULT ? 0 : got.vector, text);
		++*failures;
	}
	return n;
}
