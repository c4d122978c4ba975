/* SPDX-License-Identifier: MIT */
/* Translations as text: what is known of each guest instruction before it is translated (-d op), the host code that came of it
 * (-d out_asm), and where it lies, for Linux's perf (-jit perfmap: tools/perf/Documentation/jit-interface.txt in its source). */
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <unistd.h>

#include <capstone/capstone.h>

#include "base/err.h"
#include "base/field.h"
#include "base/path.h"
#include "jit/x64/x64.h"

static void guest_text(const struct context *c, unsigned i, char *text, size_t size)
{
	const struct insn *in = &c->t->single[i].insn;

	insn_text(text, size, translation_code(c->t, i), in->len, c->cpu->code_mode, insn_rip(c->cpu, in));
}

/* ---- -d op ---- */

static const char *flags_place(const struct planned *p)
{
	return p->in_eflags ? p->in_rax ? "both" : "eflags" : "rax";
}

static void print_accesses(const struct context *c, unsigned i, FILE *to)
{
	for (unsigned k = 0; k < 2; k++) {
		const struct access *a = &c->access[i][k];
		if (a->size)
			fprintf(to, "  %s %u at v%u%+d", a->write ? "write" : "read", a->size, a->id, a->off);
	}
}

static void print_plan(const struct context *c, FILE *to)
{
	const struct translation *t = c->t;
	unsigned part = 0, first = 0;

	fprintf(to, "OP %016" PRIx64 ": %u instructions in %u blocks, %u exits, %u windows%s\n", insn_rip(c->cpu, &t->single[0].insn),
	        t->singles, t->segments, t->exits, c->opens, t->loop ? ", a loop" : "");
	for (unsigned i = 0; i < t->singles; i++) {
		char text[96];
		if (i == first) {
			if (part)
				fprintf(to, "  --\n");
			first += t->segment[part++].block->count;
		}
		guest_text(c, i, text, sizeof text);
		fprintf(to, "  %016" PRIx64 "  %-40s flags %-7s%s", insn_rip(c->cpu, &t->single[i].insn), text,
		        flags_place(&c->planned[i]), t->single[i].rewritten ? "" : " interpreted");
		print_accesses(c, i, to);
		fputc('\n', to);
	}
}

/* ---- -d out_asm ---- */

/* What host code names by numbers. */
static const char *stub_name(const struct jit *jit, u64 address)
{
	const struct stubs *s = &jit->stubs;
	const struct {
		const u8 *at;
		const char *name;
	} names[] = {
		{s->leave, "leave"}, {s->leave_off, "leave_off"}, {s->leave_link, "leave_link"}, {s->dispatch, "dispatch"},
		{s->dispatch_legacy, "dispatch_legacy"}, {s->look_up_legacy, "look_up_legacy"}, {s->look_up, "look_up"},
		{s->window, "window"}, {s->one, "one"}, {s->refill, "refill"}, {s->load_x87, "load_x87"},
		{s->load_vectors, "load_vectors"},
	};

	for (unsigned i = 0; i < ARRAY_LEN(names); i++)
		if ((u64)(uintptr_t)emit_runs(&jit->emit, names[i].at) == address)
			return names[i].name;
	return NULL;
}

static void print_field(FILE *to, i64 offset)
{
	static const struct {
		u32 offset, size;
		const char *name;
	} others[] = {
#define OTHER(member) {offsetof(struct cpu, member), FIELD_SIZEOF(struct cpu, member), #member}
		OTHER(cpl), OTHER(sse_fault), OTHER(x87_fault), OTHER(seg_odd), OTHER(code_last), OTHER(seg_span), OTHER(tlb),
		OTHER(fetch_tlb), OTHER(code), OTHER(stop_at), OTHER(request), OTHER(kick), OTHER(jit.self), OTHER(jit.targets),
		OTHER(jit.executed), OTHER(jit.window), OTHER(jit.space), OTHER(jit.tmp), OTHER(jit.flags), OTHER(jit.vectors),
		OTHER(jit.vectors_kept), OTHER(jit.x87), OTHER(jit.host_mxcsr),
#undef OTHER
	};

	for (const struct field *f = cpu_fields; f->name; f++)
		if (offset >= f->offset && offset < f->offset + (i64)f->size * f->count) {
			fprintf(to, f->count > 1 ? "  ; %s[%u]" : "  ; %s", f->name, (unsigned)(offset - f->offset) / f->size);
			if ((offset - f->offset) % f->size)
				fprintf(to, "+%u", (unsigned)(offset - f->offset) % f->size);
			return;
		}
	for (unsigned i = 0; i < ARRAY_LEN(others); i++)
		if (offset >= others[i].offset && offset < others[i].offset + (i64)others[i].size) {
			fprintf(to, "  ; %s", others[i].name);
			if (offset > others[i].offset)
				fprintf(to, "+%u", (unsigned)(offset - others[i].offset));
			return;
		}
}

static void print_names(const struct context *c, const cs_insn *in, FILE *to)
{
	const cs_x86 *x = &in->detail->x86;

	for (unsigned i = 0; i < x->op_count; i++) {
		const cs_x86_op *op = &x->operands[i];
		const char *name = op->type == X86_OP_IMM ? stub_name(c->jit, op->imm) : NULL;
		if (name)
			fprintf(to, "  ; %s", name);
		if (op->type == X86_OP_MEM && op->mem.segment == X86_REG_GS)
			print_field(to, op->mem.disp);
	}
}

static void print_host(const struct context *c, csh handle, cs_insn *in, const u8 *from, const u8 *to, FILE *file)
{
	const u8 *p = from;
	size_t left = to - from;
	u64 address = (u64)(uintptr_t)emit_runs(c->e, from);

	while (left && cs_disasm_iter(handle, &p, &left, &address, in)) {
		fprintf(file, "    %012" PRIx64 "  %-8s %s", in->address, in->mnemonic, in->op_str);
		print_names(c, in, file);
		fputc('\n', file);
	}
	if (left)
		fprintf(file, "    (%zu bytes that cannot be disassembled)\n", left);
}

static void print_code(const struct context *c, const u8 *cold, FILE *to)
{
	const struct translation *t = c->t;
	csh handle;

	if (cs_open(CS_ARCH_X86, CS_MODE_64, &handle) != CS_ERR_OK) {
		fprintf(to, "OUT: no disassembler\n");
		return;
	}
	cs_option(handle, CS_OPT_DETAIL, CS_OPT_ON);
	cs_insn *in = cs_malloc(handle);
	fprintf(to, "OUT %016" PRIx64 ": %u bytes, %zu in slow paths\n", insn_rip(c->cpu, &t->single[0].insn), t->bytes,
	        (size_t)(c->jit->cold.p - cold));
	print_host(c, handle, in, t->entry_eflags, c->planned[0].host, to);
	for (unsigned i = 0; i < t->singles; i++) {
		char text[96];
		guest_text(c, i, text, sizeof text);
		fprintf(to, "  %016" PRIx64 "  %s\n", insn_rip(c->cpu, &t->single[i].insn), text);
		const u8 *end = i + 1 < t->singles ? c->planned[i + 1].host : t->entry_eflags + t->bytes;
		print_host(c, handle, in, c->planned[i].host, end, to);
	}
	fprintf(to, "  slow paths\n");
	print_host(c, handle, in, cold, c->jit->cold.p, to);
	cs_free(in, 1);
	cs_close(&handle);
}

/* ---- -jit perfmap ---- */

void dump_open(const struct cpu *cpu, struct jit *jit)
{
	char name[40];

	if (!jit_options.perfmap)
		return;
	/* Everybody can foretell this name: the file is a new one, made by the first CPU, or there is none. Lines of several CPUs
	 * come whole: each is one write at the end. */
	snprintf(name, sizeof name, "/tmp/perf-%ld.map", (long)getpid());
	if (!cpu->index)
		unlink(name); /* of a process of before */
	int fd = path_open(name, O_WRONLY | O_APPEND | O_NOFOLLOW | (cpu->index ? 0 : O_CREAT | O_EXCL), 0600);
	jit->perfmap = fd >= 0 ? fdopen(fd, "a") : NULL;
	if (!jit->perfmap) {
		err_note("%s cannot be written, there will be no map for perf: %s", name, path_error(errno));
		if (fd >= 0)
			close(fd);
		return;
	}
	setvbuf(jit->perfmap, NULL, _IOLBF, 0);
	fprintf(jit->perfmap, "%" PRIxPTR " %zx jit stubs\n", (uintptr_t)emit_runs(&jit->emit, jit->code),
	        (size_t)(jit->stubs.end - jit->code));
}

static void map_code(const struct context *c, const u8 *cold)
{
	const struct translation *t = c->t;
	const struct {
		const u8 *at;
		size_t size;
		const char *what;
	} parts[] = {{t->entry_eflags, t->bytes, ""}, {cold, c->jit->cold.p - cold, " slow"}};

	for (unsigned i = 0; i < ARRAY_LEN(parts); i++)
		fprintf(c->jit->perfmap, "%" PRIxPTR " %zx %s %" PRIx64 "%s\n", (uintptr_t)emit_runs(c->e, parts[i].at), parts[i].size,
		        c->cpu->cpl == 3 ? "user" : "kernel", insn_rip(c->cpu, &t->single[0].insn), parts[i].what);
}

void dump_translation(const struct context *c, const u8 *cold)
{
	if (c->jit->perfmap)
		map_code(c, cold);
	FILE *to = c->cpu->log.file;
	if (c->cpu->log.op)
		print_plan(c, to);
	if (c->cpu->log.out_asm)
		print_code(c, cold, to);
}
