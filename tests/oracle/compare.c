/* SPDX-License-Identifier: MIT */
/* Two outcomes of one test, side by side. */
#include "tests/oracle/oracle.h"

#include <inttypes.h>
#include <math.h>
#include <stdarg.h>

static const char *const gpr_name[16] = {
	"rax", "rcx", "rdx", "rbx", "rsp", "rbp", "rsi", "rdi", "r8", "r9", "r10", "r11", "r12", "r13", "r14", "r15",
};
static const char *const seg_name[6] = {"es", "cs", "ss", "ds", "fs", "gs"};

static void say(struct report_text *r, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
static void say(struct report_text *r, const char *fmt, ...)
{
	size_t n = strlen(r->text);
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(r->text + n, sizeof r->text - n, fmt, ap);
	va_end(ap);
}

/* ---- approximations ---- */

static bool st_close(const struct st80 *a, const struct st80 *b, unsigned ulps)
{
	if (a->se == b->se && a->mant == b->mant)
		return true;
	if (!ulps)
		return false;
	/* as integers in order of magnitude: neighbours differ by one, across exponents too */
	i128 x = (i128)(a->se & 0x7fff) << 63 | (a->mant & ~(1ull << 63));
	i128 y = (i128)(b->se & 0x7fff) << 63 | (b->mant & ~(1ull << 63));
	if ((a->se ^ b->se) & 0x8000)
		return false;
	i128 d = x > y ? x - y : y - x;
	return d <= (i128)ulps;
}

static float as_float(u32 v)
{
	float f;

	memcpy(&f, &v, 4);
	return f;
}

/* got must lie within the manual's bound of the exact result; where the exact result is special, both sides must agree. */
static bool rcp_close(u32 source, u32 ref, u32 got, unsigned which)
{
	double x = as_float(source);

	if (ref == got)
		return true;
	double r = as_float(ref), g = as_float(got), exact = which == 1 ? 1 / x : 1 / sqrt(x);
	if (!isfinite(r) || !isfinite(g) || r == 0 || g == 0) {
		/* a tiny result may be flushed to zero */
		return fabs(exact) < 0x1.8p-126 && fabs(r) < 0x1.8p-126 && fabs(g) < 0x1.8p-126 && signbit(r) == signbit(g);
	}
	return fabs(g - exact) <= fabs(exact) * 1.5 / 4096;
}

static bool rcp_lanes(const struct test *t, const struct outcome *ref, const struct outcome *got, unsigned reg, unsigned which)
{
	u32 source[4] = {0};
	unsigned lanes = t->in.z.mnemonic == ZYDIS_MNEMONIC_RCPSS || t->in.z.mnemonic == ZYDIS_MNEMONIC_RSQRTSS ? 1 : 4;

	if (t->in.op[1].type == ZYDIS_OPERAND_TYPE_MEMORY)
		recipe_get(t, recipe_address(t, 1), source, lanes * 4);
	else
		memcpy(source, t->s.fp.xmm[reg_id(t->in.op[1].reg.value) & 15], 16);
	for (unsigned i = 0; i < 4; i++) {
		u32 r, g;
		memcpy(&r, (const u8 *)ref->s.fp.xmm[reg] + i * 4, 4);
		memcpy(&g, (const u8 *)got->s.fp.xmm[reg] + i * 4, 4);
		if (i < lanes ? !rcp_close(source[i], r, g, which) : r != g)
			return false;
	}
	return true;
}

/* ---- the parts ---- */

static void floating(const struct test *t, const struct tolerance *tol, const struct outcome *ref, const struct outcome *got,
                     struct report_text *why)
{
	const struct fx *a = &ref->s.fp, *b = &got->s.fp;
	unsigned turn = 0; /* ST(i) of the one is ST(i + turn) of the other */

	if (tol->mmx_entered && ((a->fsw & 0x3800) == 0 || (b->fsw & 0x3800) == 0))
		turn = ((a->fsw >> 11) - (b->fsw >> 11)) & 7;
	if (a->fcw != b->fcw)
		say(why, " fcw %04x != %04x", a->fcw, b->fcw);
	if ((a->fsw ^ b->fsw) & ~tol->fsw & (turn ? 0xc7ff : 0xffff))
		say(why, " fsw %04x != %04x", a->fsw, b->fsw);
	if (a->ftw != b->ftw && !tol->mmx_entered)
		say(why, " ftw %02x != %02x", a->ftw, b->ftw);
	if (tol->pointer_bits && a->fop != b->fop)
		say(why, " fop %04x != %04x", a->fop, b->fop);
	if ((a->fip ^ b->fip) & tol->pointer_bits)
		say(why, " fip %" PRIx64 " != %" PRIx64, a->fip, b->fip);
	if ((a->fdp ^ b->fdp) & tol->pointer_bits)
		say(why, " fdp %" PRIx64 " != %" PRIx64, a->fdp, b->fdp);
	if ((a->mxcsr ^ b->mxcsr) & ~tol->mxcsr)
		say(why, " mxcsr %04x != %04x", a->mxcsr, b->mxcsr);
	for (unsigned i = 0; i < 8; i++)
		if (!st_close(&a->st[i], &b->st[(i + turn) & 7], i < 2 ? tol->st_ulps : 0))
			say(why, " st%u %04x.%016" PRIx64 " != %04x.%016" PRIx64, i, a->st[i].se, a->st[i].mant, b->st[(i + turn) & 7].se,
			    b->st[(i + turn) & 7].mant);
	for (unsigned i = 0; i < (t->in.mode == M64 ? 16u : 8u); i++) {
		if (a->xmm[i][0] == b->xmm[i][0] && a->xmm[i][1] == b->xmm[i][1])
			continue;
		if (i == (reg_id(t->in.op[0].reg.value) & 15) &&
		    tol->rcp && rcp_lanes(t, ref, got, i, tol->rcp))
			continue;
		say(why, " xmm%u %016" PRIx64 "_%016" PRIx64 " != %016" PRIx64 "_%016" PRIx64, i, a->xmm[i][1], a->xmm[i][0],
		    b->xmm[i][1], b->xmm[i][0]);
	}
}

static bool in_hole(const struct tolerance *tol, u32 at)
{
	for (unsigned i = 0; i < tol->holes; i++)
		if (at - tol->hole[i].at < tol->hole[i].len)
			return true;
	return false;
}

static void memory(const struct tolerance *tol, const u8 *a, const u8 *b, struct report_text *why)
{
	unsigned shown = 0;

	if (tol->memory || memcmp(a, b, ARENA_WRITABLE) == 0)
		return;
	for (u32 i = 0; i < ARENA_WRITABLE && shown < 16; i++)
		if (a[i] != b[i] && !in_hole(tol, i)) {
			u32 address = i < ARENA_STACK ? DATA_PAGE + i : STACK_PAGE + (i - ARENA_STACK);
			if (!shown++)
				say(why, " memory");
			say(why, " %08x: %02x != %02x", address, a[i], b[i]);
		}
}

static void fault_text(struct report_text *r, const struct outcome *o)
{
	if (o->vector == NO_FAULT)
		say(r, "no fault");
	else
		say(r, "#%u(%x)", o->vector, o->err);
}

static bool alike(const struct tolerance *tol, u8 vector)
{
	return vector < 32 && (tol->alike >> vector & 1);
}

static bool among(const struct tolerance *tol, u64 cr2)
{
	return cr2 - tol->cr2_at[0] < tol->cr2_len[0] || cr2 - tol->cr2_at[1] < tol->cr2_len[1];
}

bool compare_outcomes(const struct test *t, const struct tolerance *tol, const struct outcome *ref, const u8 *mem_ref,
                      const struct outcome *got, const u8 *mem_got, struct report_text *why)
{
	/* Compatibility mode says nothing about the upper halves of registers (SDM vol. 1 3.4.1.1). */
	u64 width = t->in.mode == M64 && ref->s.sel[S_CS] == SEL_CODE64 ? ~0ull : 0xffffffff;

	why->text[0] = 0;
	if (ref->vector != got->vector || (ref->vector != NO_FAULT && !tol->err && ref->err != got->err)) {
		if (tol->fault_either || (alike(tol, ref->vector) && alike(tol, got->vector)))
			return true;
		say(why, " ");
		fault_text(why, ref);
		say(why, " != ");
		fault_text(why, got);
		if (ref->vector != got->vector)
			return false;
	}
	if (ref->vector == 14 && ref->cr2 != got->cr2 && !(among(tol, ref->cr2) && among(tol, got->cr2)))
		say(why, " cr2 %" PRIx64 " != %" PRIx64, ref->cr2, got->cr2);
	if (ref->s.rip != got->s.rip)
		say(why, " rip %" PRIx64 " != %" PRIx64, ref->s.rip, got->s.rip);
	for (unsigned i = 0; i < (t->in.mode == M64 ? 16u : 8u); i++)
		if ((ref->s.gpr[i] ^ got->s.gpr[i]) & ~tol->gpr[i] & width)
			say(why, " %s %" PRIx64 " != %" PRIx64, gpr_name[i], ref->s.gpr[i], got->s.gpr[i]);
	u64 flags = (ref->s.rflags ^ got->s.rflags) & ~tol->flags;
	if (flags)
		say(why, " rflags %" PRIx64 " != %" PRIx64 " (%" PRIx64 ")", ref->s.rflags & ~tol->flags, got->s.rflags & ~tol->flags,
		    flags);
	for (unsigned i = 0; i < 6; i++)
		/* a context switch of the host turns every null selector in GS into 0 */
		if (i != S_FS && ref->s.sel[i] != got->s.sel[i] && !(i == S_GS && (ref->s.sel[i] | got->s.sel[i]) < 4))
			say(why, " %s %04x != %04x", seg_name[i], ref->s.sel[i], got->s.sel[i]);
	if (t->in.mode == M64 && ref->s.sel[S_GS] == t->s.sel[S_GS] && ref->s.gs_base != got->s.gs_base)
		say(why, " gs_base %" PRIx64 " != %" PRIx64, ref->s.gs_base, got->s.gs_base);
	floating(t, tol, ref, got, why);
	memory(tol, mem_ref, mem_got, why);
	return why->text[0] == 0;
}

/* The state that the test starts in, as far as it differs from the background or is named by the instruction. */
void compare_describe(const struct test *t, struct report_text *r)
{
	char text[128];
	struct state back;
	bool x87 = false, sse = false;

	r->text[0] = 0;
	gen_background(&back, t->in.mode);
	for (unsigned i = 0; i < t->in.len; i++)
		say(r, "%02x", t->in.bytes[i]);
	forms_text(t->in.mode, t->in.bytes, t->in.len, text, sizeof text);
	say(r, " [%s] %s |", t->in.mode == M64 ? "64" : t->in.mode == M32 ? "32" : "16", text);
	for (unsigned i = 0; i < t->in.z.operand_count; i++) {
		const ZydisDecodedOperand *op = &t->in.op[i];
		u8 bytes[16];
		if (op->type == ZYDIS_OPERAND_TYPE_REGISTER) {
			ZydisRegisterClass class = ZydisRegisterGetClass(op->reg.value);
			unsigned id = reg_id(op->reg.value);
			x87 |= class == ZYDIS_REGCLASS_X87 || class == ZYDIS_REGCLASS_MMX;
			sse |= class == ZYDIS_REGCLASS_XMM;
			if (class == ZYDIS_REGCLASS_XMM)
				say(r, " xmm%u=%016" PRIx64 "_%016" PRIx64, id, t->s.fp.xmm[id & 15][1], t->s.fp.xmm[id & 15][0]);
			if (class == ZYDIS_REGCLASS_X87 || class == ZYDIS_REGCLASS_MMX) {
				if (class == ZYDIS_REGCLASS_MMX)
					id = (id - (t->s.fp.fsw >> 11)) & 7;
				say(r, " st%u=%04x.%016" PRIx64, id, t->s.fp.st[id & 7].se, t->s.fp.st[id & 7].mant);
			}
		} else if (op->type == ZYDIS_OPERAND_TYPE_MEMORY && op->mem.type == ZYDIS_MEMOP_TYPE_MEM) {
			u64 at = recipe_address(t, i);
			unsigned n = MIN(op->size / 8u, 16u);
			say(r, " [%" PRIx64 "]", at);
			if (recipe_get(t, at, bytes, n)) {
				say(r, "=");
				for (unsigned k = n; k-- > 0;)
					say(r, "%02x", bytes[k]);
			}
		}
	}
	if (x87 || t->in.z.meta.isa_ext == ZYDIS_ISA_EXT_X87)
		say(r, " fcw=%04x fsw=%04x ftw=%02x", t->s.fp.fcw, t->s.fp.fsw, t->s.fp.ftw);
	if (sse || t->s.fp.mxcsr != 0x1f80)
		say(r, " mxcsr=%04x", t->s.fp.mxcsr);
	for (unsigned i = 0; i < 16; i++)
		if (t->s.gpr[i] != back.gpr[i])
			say(r, " %s=%" PRIx64, gpr_name[i], t->s.gpr[i]);
	say(r, " rflags=%" PRIx64, t->s.rflags);
	for (unsigned i = 0; i < 6; i++)
		if (t->s.sel[i] != back.sel[i])
			say(r, " %s=%x", seg_name[i], t->s.sel[i]);
}
