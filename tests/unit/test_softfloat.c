/* SPDX-License-Identifier: MIT */
/* cpu/softfloat*: bits and flags of every operation.
 *
 * On any host: recorded vectors (softfloat_vectors.inc: what an x86-64 CPU answered) and digests of many more random
 * cases. On x86-64 hosts also: random and edge operands, every rounding, precision and mask, against the CPU running
 * the tests.
 * Transcendental functions may differ from the CPU by one unit in the last place; their vectors are our own results.
 *
 * test-softfloat --record FILE writes a new softfloat_vectors.inc, after the comparison has passed. */
#include "tests/unit/unit.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cpu/model.h"
#include "cpu/softfloat_f80.h"

enum { C0 = 1 << 8, C1 = 1 << 9, C2 = 1 << 10, C3 = 1 << 14, CC = C0 | C1 | C2 | C3 };

/* One case. control: MXCSR, or FCW for x87. status: exception flags, for x87 also condition codes. */
struct softfloat_case {
	u32 control;
	struct x80 a, b, r;
	u32 status;
};

typedef void operation(struct softfloat_case *c);
enum kind { F32, F64, INT, F80, STORE /* F80 to memory */ };
struct operation {
	const char *name;
	enum kind kind;
	bool trans; /* within one ulp; C1 is not compared */
	operation *soft, *host;
};

/* ---- ours ---- */

#define SSE(name, value)                                                                                               \
	static void soft_##name(struct softfloat_case *c)                                                                  \
	{                                                                                                                  \
		struct softfloat_env e = {c->control};                                                                         \
		u64 a = c->a.mant, b = c->b.mant;                                                                              \
		(void)a, (void)b;                                                                                              \
		c->r = (struct x80){.mant = value};                                                                            \
		c->status = softfloat_sse_flags(&e);                                                                           \
	}
#define SSE_OPS(X)                                                                                                     \
	X(addss, F32, softfloat_add32(&e, a, b), "addss %%xmm1, %%xmm0")                                                   \
	X(addsd, F64, softfloat_add64(&e, a, b), "addsd %%xmm1, %%xmm0")                                                   \
	X(subss, F32, softfloat_sub32(&e, a, b), "subss %%xmm1, %%xmm0")                                                   \
	X(subsd, F64, softfloat_sub64(&e, a, b), "subsd %%xmm1, %%xmm0")                                                   \
	X(mulss, F32, softfloat_mul32(&e, a, b), "mulss %%xmm1, %%xmm0")                                                   \
	X(mulsd, F64, softfloat_mul64(&e, a, b), "mulsd %%xmm1, %%xmm0")                                                   \
	X(divss, F32, softfloat_div32(&e, a, b), "divss %%xmm1, %%xmm0")                                                   \
	X(divsd, F64, softfloat_div64(&e, a, b), "divsd %%xmm1, %%xmm0")                                                   \
	X(minss, F32, softfloat_min32(&e, a, b), "minss %%xmm1, %%xmm0")                                                   \
	X(minsd, F64, softfloat_min64(&e, a, b), "minsd %%xmm1, %%xmm0")                                                   \
	X(maxss, F32, softfloat_max32(&e, a, b), "maxss %%xmm1, %%xmm0")                                                   \
	X(maxsd, F64, softfloat_max64(&e, a, b), "maxsd %%xmm1, %%xmm0")                                                   \
	X(sqrtss, F32, softfloat_sqrt32(&e, b), "sqrtss %%xmm1, %%xmm0")                                                   \
	X(sqrtsd, F64, softfloat_sqrt64(&e, b), "sqrtsd %%xmm1, %%xmm0")                                                   \
	X(cvtss2sd, F32, softfloat_f32_to_f64(&e, b), "cvtss2sd %%xmm1, %%xmm0")                                           \
	X(cvtsd2ss, F64, softfloat_f64_to_f32(&e, b), "xorps %%xmm0, %%xmm0\n cvtsd2ss %%xmm1, %%xmm0")                    \
	X(cvtss2si, F32, softfloat_f32_to_i64(&e, b, softfloat_rc(&e)), "cvtss2si %%xmm1, %%rax\n movq %%rax, %%xmm0")     \
	X(cvtsd2si, F64, softfloat_f64_to_i64(&e, b, softfloat_rc(&e)), "cvtsd2si %%xmm1, %%rax\n movq %%rax, %%xmm0")     \
	X(cvtss2si_32, F32, softfloat_f32_to_i32(&e, b, softfloat_rc(&e)), "cvtss2si %%xmm1, %%eax\n movq %%rax, %%xmm0")  \
	X(cvtsd2si_32, F64, softfloat_f64_to_i32(&e, b, softfloat_rc(&e)), "cvtsd2si %%xmm1, %%eax\n movq %%rax, %%xmm0")  \
	X(cvttss2si, F32, softfloat_f32_to_i64(&e, b, SOFTFLOAT_ZERO), "cvttss2si %%xmm1, %%rax\n movq %%rax, %%xmm0")     \
	X(cvttsd2si, F64, softfloat_f64_to_i64(&e, b, SOFTFLOAT_ZERO), "cvttsd2si %%xmm1, %%rax\n movq %%rax, %%xmm0")     \
	X(cvttss2si_32, F32, softfloat_f32_to_i32(&e, b, SOFTFLOAT_ZERO), "cvttss2si %%xmm1, %%eax\n movq %%rax, %%xmm0")  \
	X(cvttsd2si_32, F64, softfloat_f64_to_i32(&e, b, SOFTFLOAT_ZERO), "cvttsd2si %%xmm1, %%eax\n movq %%rax, %%xmm0")  \
	X(cvtsi2ss, INT, softfloat_i64_to_f32(&e, b), "xorps %%xmm0, %%xmm0\n cvtsi2ss %2, %%xmm0")                        \
	X(cvtsi2sd, INT, softfloat_i64_to_f64(&e, b), "xorps %%xmm0, %%xmm0\n cvtsi2sd %2, %%xmm0")                        \
	X(cvtsi2ss_32, INT, softfloat_i32_to_f32(&e, b), "xorps %%xmm0, %%xmm0\n cvtsi2ss %k2, %%xmm0")                    \
	X(cvtsi2sd_32, INT, softfloat_i32_to_f64(b), "xorps %%xmm0, %%xmm0\n cvtsi2sd %k2, %%xmm0")                        \
	X(comiss, F32, order(softfloat_cmp32(&e, a, b, true)), "comiss %%xmm1, %%xmm0\n" FLAGS_TO_XMM0)                    \
	X(comisd, F64, order(softfloat_cmp64(&e, a, b, true)), "comisd %%xmm1, %%xmm0\n" FLAGS_TO_XMM0)                    \
	X(ucomiss, F32, order(softfloat_cmp32(&e, a, b, false)), "ucomiss %%xmm1, %%xmm0\n" FLAGS_TO_XMM0)                 \
	X(ucomisd, F64, order(softfloat_cmp64(&e, a, b, false)), "ucomisd %%xmm1, %%xmm0\n" FLAGS_TO_XMM0)
#define FLAGS_TO_XMM0 "lahf\n movzbl %%ah, %%eax\n and $0x45, %%eax\n movq %%rax, %%xmm0"

/* ZF, PF, CF as COMISD sets them; as C3, C2, C0 eight places up. */
static unsigned order(enum softfloat_order o)
{
	return o == SOFTFLOAT_UNORDERED ? 0x45 : o == SOFTFLOAT_EQUAL ? 0x40 : o == SOFTFLOAT_LESS ? 1 : 0;
}

#define SOFT_SSE(name, kind, value, text) SSE(name, value)
SSE_OPS(SOFT_SSE)

#define MAYBE_UNUSED __attribute__((unused))
static u32 flavour; /* 0 or SOFTFLOAT_AMD */
#define X87(name, value)                                                                                               \
	static void soft_##name(struct softfloat_case *c)                                                                  \
	{                                                                                                                  \
		struct softfloat_env e = {(c->control & 0x3f) << 7 | (c->control >> 10 & 3) << 13 | flavour};                          \
		unsigned pc MAYBE_UNUSED = c->control >> 8 & 3, cc = 0;                                                        \
		struct x80 a = c->a, b MAYBE_UNUSED = c->b;                                                                    \
		c->r = value;                                                                                                  \
		c->status = softfloat_sse_flags(&e) | (e.up && !(softfloat_traps(&e) & SOFTFLOAT_BEFORE) ? C1 : 0) | cc;       \
	}
#define X87_OPS(X)                                                                                                     \
	X(fadd, false, softfloat_f80_add(&e, a, b, pc), "fadd %%st(1), %%st")                                              \
	X(fsub, false, softfloat_f80_sub(&e, a, b, pc), "fsub %%st(1), %%st")                                              \
	X(fmul, false, softfloat_f80_mul(&e, a, b, pc), "fmul %%st(1), %%st")                                              \
	X(fdiv, false, softfloat_f80_div(&e, a, b, pc), "fdiv %%st(1), %%st")                                              \
	X(fsqrt, false, softfloat_f80_sqrt(&e, a, pc), "fsqrt")                                                            \
	X(frndint, false, softfloat_f80_round(&e, a), "frndint")                                                           \
	X(fscale, false, softfloat_f80_scale(&e, a, b), "fscale")                                                          \
	X(fprem, false, rest(&e, a, b, false, &cc), "fprem")                                                               \
	X(fprem1, false, rest(&e, a, b, true, &cc), "fprem1")                                                              \
	X(fxtract, false, softfloat_f80_extract(&e, a, &b), "fxtract")                                                     \
	X(fcom, false, cmp_cc(softfloat_f80_cmp(&e, a, b, true), a, &cc), "fcom %%st(1)")                                  \
	X(fucom, false, cmp_cc(softfloat_f80_cmp(&e, a, b, false), a, &cc), "fucom %%st(1)")                               \
	X(fsin, true, sine_cosine(&e, a, true, &cc), "fsin")                                                               \
	X(fcos, true, sine_cosine(&e, a, false, &cc), "fcos")                                                              \
	X(fptan, true, tangent(&e, a, &cc), "fptan\n" STATUS "\n test $4, %%ah\n jnz 1f\n fstp %%st\n 1:")                 \
	X(fpatan, true, softfloat_f80_atan2(&e, b, a), "fpatan")                                                           \
	X(f2xm1, true, softfloat_f80_exp2m1(&e, a), "f2xm1")                                                               \
	X(fyl2x, true, softfloat_f80_ylog2(&e, a, b), "fyl2x")                                                             \
	X(fyl2xp1, true, softfloat_f80_ylog2p1(&e, a, b), "fyl2xp1")
/* Those that store: what is in memory is the result. */
#define STORE_OPS(X)                                                                                                   \
	X(fstps, as_f80(softfloat_f80_to_f32(&e, a)), "fstps %0")                                                          \
	X(fstpl, as_f80(softfloat_f80_to_f64(&e, a)), "fstpl %0")                                                          \
	X(fistps, as_f80((u16)softfloat_f80_to_int(&e, a, softfloat_rc(&e), 16)), "fistps %0")                             \
	X(fistpl, as_f80((u32)softfloat_f80_to_int(&e, a, softfloat_rc(&e), 32)), "fistpl %0")                             \
	X(fistpll, as_f80(softfloat_f80_to_int(&e, a, softfloat_rc(&e), 64)), "fistpll %0")                                \
	X(fbstp, bcd(&e, a), "fbstp %0")

static struct x80 as_f80(u64 v) { return (struct x80){.mant = v}; }
static struct x80 bcd(struct softfloat_env *e, struct x80 a)
{
	u8 b[10];

	softfloat_f80_to_bcd(e, a, b);
	return (struct x80){.mant = load64(b), .se = load16(b + 8)};
}
static struct x80 cmp_cc(enum softfloat_order o, struct x80 a, unsigned *cc)
{
	*cc = order(o) << 8;
	return a;
}
static struct x80 rest(struct softfloat_env *e, struct x80 a, struct x80 b, bool nearest, unsigned *cc)
{
	int q;
	struct x80 r = softfloat_f80_rem(e, a, b, nearest, &q);

	if (softfloat_traps(e) & SOFTFLOAT_BEFORE)
		return r;
	if (q == SOFTFLOAT_INCOMPLETE)
		*cc = C2;
	else if (q >= 0)
		*cc = (q & 4 ? C0 : 0) | (q & 2 ? C3 : 0) | (q & 1 ? C1 : 0);
	return r;
}
static struct x80 sine_cosine(struct softfloat_env *e, struct x80 a, bool sine, unsigned *cc)
{
	struct x80 r = a;

	if (!softfloat_f80_sincos(e, a, sine ? &r : NULL, sine ? NULL : &r))
		*cc = C2;
	return r;
}
static struct x80 tangent(struct softfloat_env *e, struct x80 a, unsigned *cc)
{
	struct x80 r = a;

	if (!softfloat_f80_tan(e, a, &r))
		*cc = C2;
	return r;
}

#define SOFT_X87(name, trans, value, text) X87(name, value)
X87_OPS(SOFT_X87)
#define SOFT_STORE(name, value, text) X87(name, value)
STORE_OPS(SOFT_STORE)

/* ---- the CPU's ---- */

#if defined(__x86_64__)
#define HOST(f) host_##f

#define HOST_SSE(name, kind, value, text)                                                                              \
	static void host_##name(struct softfloat_case *c)                                                                  \
	{                                                                                                                  \
		u32 saved = 0, raised = 0;                                                                                     \
		u64 r;                                                                                                         \
		__asm__ volatile("stmxcsr %3\n ldmxcsr %5\n movq %1, %%xmm0\n movq %2, %%xmm1\n" text                          \
		                 "\n stmxcsr %4\n ldmxcsr %3\n movq %%xmm0, %0"                                                \
		                 : "=r"(r) : "r"(c->a.mant), "r"(c->b.mant), "m"(saved), "m"(raised), "m"(c->control)          \
		                 : "rax", "xmm0", "xmm1", "memory", "cc");                                                     \
		c->r = (struct x80){.mant = r};                                                                                \
		c->status = raised & SOFTFLOAT_FLAGS;                                                                          \
	}
SSE_OPS(HOST_SSE)

/* Exceptions become pending, but none is delivered: no waiting instruction comes before FNCLEX. STATUS adds to AX, as
 * an operation may have to look at it first. */
#define STATUS "mov %%eax, %%edx\n fnstsw %%ax\n fnclex\n or %%edx, %%eax"
#define HOST_X87(name, trans, value, text)                                                                             \
	static void host_##name(struct softfloat_case *c)                                                                  \
	{                                                                                                                  \
		u16 status = 0, fcw = c->control;                                                                              \
		struct x80 r = {0};                                                                                            \
		__asm__ volatile("fninit\n fldcw %2\n fldt %4\n fldt %3\n" text "\n" STATUS "\n fstpt %0\n fninit"             \
		                 : "+m"(r), "+a"(status) : "m"(fcw), "m"(c->a), "m"(c->b) : "rdx", "st", "st(1)", "cc");       \
		c->r = r;                                                                                                      \
		c->status = status & (SOFTFLOAT_FLAGS | CC);                                                                   \
	}
X87_OPS(HOST_X87)

#define HOST_STORE(name, value, text)                                                                                  \
	static void host_##name(struct softfloat_case *c)                                                                  \
	{                                                                                                                  \
		u16 status, fcw = c->control;                                                                                  \
		struct x80 r = {0};                                                                                            \
		__asm__ volatile("fninit\n fldcw %2\n fldt %3\n" text "\n fnstsw %1\n fninit"                                  \
		                 : "+m"(r), "=m"(status) : "m"(fcw), "m"(c->a) : "st", "memory");                              \
		c->r = r;                                                                                                      \
		c->status = status & (SOFTFLOAT_FLAGS | CC);                                                                   \
	}
STORE_OPS(HOST_STORE)
#else
#define HOST(f) NULL
#endif

#define ROW_SSE(name, kind, value, text) {#name, kind, false, soft_##name, HOST(name)},
#define ROW_X87(name, trans, value, text) {#name, F80, trans, soft_##name, HOST(name)},
#define ROW_STORE(name, value, text) {#name, STORE, false, soft_##name, HOST(name)},
static const struct operation operations[] = {SSE_OPS(ROW_SSE) X87_OPS(ROW_X87) STORE_OPS(ROW_STORE)};

/* ---- operands ---- */

static unsigned pick(u64 *seed, unsigned n) { return (unit_random(seed) >> 32) % n; }

/* Bits of a fraction: none, all, one, runs at either end, random. */
static u64 fraction(u64 *seed, unsigned width)
{
	u64 all = width == 64 ? ~0ull : BIT(width) - 1;

	switch (pick(seed, 8)) {
	case 0: return 0;
	case 1: return all;
	case 2: return BIT(pick(seed, width));
	case 3: return all & ~(BIT(pick(seed, width)) - 1);
	case 4: return BIT(pick(seed, width)) - 1;
	default: return unit_random(seed) & all;
	}
}

/* A biased exponent: special, at the ends, around 1, near that of another operand or its inverse, any. */
static unsigned exponent(u64 *seed, unsigned max, unsigned near, unsigned precision)
{
	switch (pick(seed, 12)) {
	case 0: return 0;
	case 1: return max;
	case 2: return 1 + pick(seed, 3);
	case 3: return max - 1 - pick(seed, 3);
	case 4: return (near + pick(seed, 5) - 2) & max;
	case 5: return (near - pick(seed, precision + 4)) & max;
	case 6: return (max - near + pick(seed, 5) - 2) & max;
	case 7:
	case 8: return max / 2 + pick(seed, 70) - 4;
	default: return pick(seed, max + 1);
	}
}

static struct x80 operand(u64 *seed, enum kind kind, struct x80 near)
{
	u64 sign = pick(seed, 2), v;

	switch (kind) {
	case F32:
		v = (u64)exponent(seed, 0xff, near.mant >> 23 & 0xff, 24) << 23;
		return as_f80(sign << 31 | v | fraction(seed, 23));
	case F64:
		v = (u64)exponent(seed, 0x7ff, near.mant >> 52 & 0x7ff, 53) << 52;
		return as_f80(sign << 63 | v | fraction(seed, 52));
	case INT:
		v = unit_random(seed);
		v >>= pick(seed, 64);
		return as_f80(sign ? 0 - v : v);
	default:
		break;
	}
	unsigned e = exponent(seed, 0x7fff, near.se & 0x7fff, 64);
	struct x80 x = {.mant = fraction(seed, 63) | BIT(63), .se = sign << 15 | e};
	if (pick(seed, 24) == 0 || (e == 0 && pick(seed, 4)))
		x.mant &= ~BIT(63); /* denormals, and what the 387 refuses */
	return x;
}

static struct softfloat_case random_case(u64 *seed, const struct operation *op)
{
	struct softfloat_case c = {0};

	unsigned rounding = pick(seed, 4), mode = pick(seed, 16), masks = pick(seed, 4) ? 0x3f : pick(seed, 0x40);
	if (op->kind < F80) {
		/* everything masked: the tests take no SIGFPE */
		c.control = 0x1f80 | rounding << 13 | (mode & 3 ? 0 : SOFTFLOAT_DAZ) | (mode & 12 ? 0 : SOFTFLOAT_FTZ);
	} else {
		static const u8 precisions[] = {0, 2, 3, 3};
		c.control = 0x40 | masks | (unsigned)precisions[mode & 3] << 8 | rounding << 10;
	}
	c.a = operand(seed, op->kind, c.a);
	c.b = operand(seed, op->kind, c.a);
	return c;
}

/* ---- comparison ---- */

/* Is the result of this case stored at all? */
static bool stores(const struct operation *op, const struct softfloat_case *c)
{
	u32 unmasked = c->status & ~c->control & SOFTFLOAT_FLAGS;

	if (op->kind < F80)
		return true;
	return !(unmasked & (op->kind == STORE ? SOFTFLOAT_FLAGS & ~SOFTFLOAT_PE : SOFTFLOAT_BEFORE));
}

/* The status that instructions leave when nothing is stored in memory is x87.c's doing. */
static u32 status_mask(const struct operation *op, const struct softfloat_case *c)
{
	if (op->kind == STORE && !stores(op, c))
		return (SOFTFLOAT_FLAGS & ~SOFTFLOAT_PE) | (CC & ~C1);
	return SOFTFLOAT_FLAGS | (op->trans ? CC & ~C1 : CC);
}

/* Numbers in the order of their absolute values, a last place apart by 1 or 2: also of results that an unmasked overflow or
 * underflow has wrapped. */
static i128 place(const struct softfloat_case *c)
{
	u32 unmasked = c->status & ~c->control;
	i32 wrapped = unmasked & SOFTFLOAT_UE ? -24576 : unmasked & SOFTFLOAT_OE ? 24576 : 0;
	unsigned lz = c->r.mant ? __builtin_clzll(c->r.mant) : 0;
	i128 exp = (i32)(c->r.se & 0x7fff ? c->r.se & 0x7fff : 1) + wrapped - (i32)lz;

	return exp * ((i128)1 << 64) + (i128)(c->r.mant << lz << 1);
}

/* A last place of an approximation decides whether it is beyond the largest or smallest number. */
static bool on_the_edge(const struct softfloat_case *soft, const struct softfloat_case *host)
{
	i128 distance = place(soft) - place(host);

	return ((soft->status ^ host->status) & (SOFTFLOAT_UE | SOFTFLOAT_OE)) && distance >= -4 && distance <= 4;
}

static bool equal(const struct operation *op, const struct softfloat_case *soft, const struct softfloat_case *host,
                  bool near)
{
	u32 mask = status_mask(op, host);

	if (near && op->trans && on_the_edge(soft, host))
		return !((soft->status ^ host->status) & mask & ~(u32)(SOFTFLOAT_UE | SOFTFLOAT_OE));

	if ((soft->status ^ host->status) & mask)
		return false;
	if (!stores(op, host))
		return true;
	if (soft->r.se == host->r.se && soft->r.mant == host->r.mant)
		return true;
	u128 x = (u128)soft->r.se << 63 | (soft->r.mant & ~BIT(63)), y = (u128)host->r.se << 63 | (host->r.mant & ~BIT(63));
	return near && op->trans && (x > y ? x - y : y - x) <= 1;
}

#define VALUE "%04" PRIx64 ":%016" PRIx64
static void complain(const struct operation *op, const struct softfloat_case *c, const struct softfloat_case *expected)
{
	fail_msg("%s control %#x a " VALUE " b " VALUE ": " VALUE " status %#x, expected " VALUE " status %#x", op->name,
	         c->control, c->a.se, c->a.mant, c->b.se, c->b.mant, c->r.se, c->r.mant, c->status, expected->r.se,
	         expected->r.mant, expected->status);
}

static void against_cpu(void **state)
{
	u64 seed = 20;

	(void)state;
	flavour = flavour_host() == FLAVOUR_AMD ? SOFTFLOAT_AMD : 0;
	for (unsigned i = 0; i < ARRAY_LEN(operations); i++) {
		const struct operation *op = &operations[i];
		if (!op->host)
			skip();
		for (unsigned n = 0; n < 30000; n++) {
			struct softfloat_case soft = random_case(&seed, op), host = soft;
			op->soft(&soft);
			op->host(&host);
			if (!equal(op, &soft, &host, true))
				complain(op, &soft, &host);
		}
	}
}

/* ---- what was recorded ---- */

#define VECTORS 40
#define DIGESTED 20000

struct recorded {
	const char *name;
	u64 digest;
	struct softfloat_case cases[VECTORS];
};
static const struct recorded recorded[] = {
#include "tests/unit/softfloat_vectors.inc"
};

static const struct operation *find(const char *name)
{
	for (unsigned i = 0; i < ARRAY_LEN(operations); i++)
		if (!strcmp(operations[i].name, name))
			return &operations[i];
	fail_msg("no operation %s", name);
	return NULL;
}

/* FNV-1a over results and status of many cases. */
static u64 digest(const struct operation *op)
{
	u64 hash = 0xcbf29ce484222325ull, seed = 5;

	for (unsigned n = 0; n < DIGESTED; n++) {
		struct softfloat_case c = random_case(&seed, op);
		op->soft(&c);
		const u64 words[3] = {stores(op, &c) ? c.r.mant : 0, stores(op, &c) ? c.r.se : 0, c.status & status_mask(op, &c)};
		for (unsigned i = 0; i < sizeof words; i++)
			hash = (hash ^ ((const u8 *)words)[i]) * 0x100000001b3ull;
	}
	return hash;
}

static void vectors(void **state)
{
	(void)state;
	flavour = 0;
	assert_int_equal(ARRAY_LEN(recorded), ARRAY_LEN(operations));
	for (unsigned i = 0; i < ARRAY_LEN(recorded); i++) {
		const struct operation *op = find(recorded[i].name);
		for (unsigned n = 0; n < VECTORS; n++) {
			struct softfloat_case c = recorded[i].cases[n];
			op->soft(&c);
			if (!equal(op, &c, &recorded[i].cases[n], false))
				complain(op, &c, &recorded[i].cases[n]);
		}
	}
}

static void digests(void **state)
{
	(void)state;
	flavour = 0;
	for (unsigned i = 0; i < ARRAY_LEN(recorded); i++)
		if (digest(find(recorded[i].name)) != recorded[i].digest)
			fail_msg("%s: another digest", recorded[i].name);
}

#define PAIR "%#" PRIx64 ", %#" PRIx64
static int record(const char *path)
{
	FILE *to = fopen(path, "w");
	u64 seed = 1;

	if (!to)
		return perror(path), 1;
	fprintf(to, "/* SPDX-License-Identifier: MIT */\n/* Written by test-softfloat --record on an x86-64 host. */\n");
	for (unsigned i = 0; i < ARRAY_LEN(operations); i++) {
		const struct operation *op = &operations[i];
		fprintf(to, "{\"%s\", %#" PRIx64 ", {\n", op->name, digest(op));
		for (unsigned n = 0; n < VECTORS; n++) {
			struct softfloat_case c = random_case(&seed, op);
			(op->trans || !op->host ? op->soft : op->host)(&c);
			fprintf(to, "\t{%#x, {" PAIR "}, {" PAIR "}, {" PAIR "}, %#x},\n", c.control, c.a.mant, c.a.se, c.b.mant, c.b.se,
			        c.r.mant, c.r.se, c.status);
		}
		fprintf(to, "}},\n");
	}
	return fclose(to) != 0;
}

int main(int argc, char **argv)
{
	const struct CMUnitTest cpu[] = {cmocka_unit_test(against_cpu)};
	const struct CMUnitTest tests[] = {cmocka_unit_test(vectors), cmocka_unit_test(digests)};

	int failed = cmocka_run_group_tests_name("softfloat against the CPU", cpu, NULL, NULL);
	if (argc > 2 && !strcmp(argv[1], "--record"))
		return failed ? 1 : record(argv[2]);
	return failed + cmocka_run_group_tests_name("softfloat recorded", tests, NULL, NULL);
}
