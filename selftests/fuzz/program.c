// SPDX-License-Identifier: GPL-2.0
/*
 * Programs: how they come into being, how they change, how they are written.
 * A file has one command a line, its name, the client and its bytes:
 *
 *	alloc 0 0102
 *
 * Bytes that are not there are 0; what follows a '#' is a comment.
 */
#include <string.h>

#include "fuzz.h"

#define X(name, weight) [KIND_##name] = #name,
const char *const kind_names[NR_KINDS] = { KINDS(X) };
#undef X

#define X(name, weight) [KIND_##name] = (weight),
static const uint8_t weights[NR_KINDS] = { KINDS(X) };
#undef X

/* splitmix64 */
uint64_t rng_next(struct rng *rng)
{
	uint64_t z = rng->state += 0x9e3779b97f4a7c15ULL;

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ULL;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebULL;
	return z ^ (z >> 31);
}

uint32_t rng_below(struct rng *rng, uint32_t n)
{
	return (uint32_t)((rng_next(rng) >> 32) * n >> 32);
}

static enum kind random_kind(struct rng *rng)
{
	uint32_t total = 0, at;
	int kind;

	for (kind = 0; kind < NR_KINDS; kind++)
		total += weights[kind];
	at = rng_below(rng, total);
	for (kind = 0; at >= weights[kind]; kind++)
		at -= weights[kind];
	return kind;
}

/* Mostly few and small, so that commands meet on the same keys. */
static uint8_t random_arg(struct rng *rng)
{
	switch (rng_below(rng, 8)) {
	case 0:
		return rng_below(rng, 256);
	case 1:
	case 2:
	case 3:
		return rng_below(rng, 8);
	default:
		return 0;
	}
}

static void random_command(struct command *c, struct rng *rng)
{
	int i;

	c->kind = random_kind(rng);
	c->fd = rng_below(rng, 4) ? rng_below(rng, 2) : rng_below(rng, PROGRAM_FDS);
	for (i = 0; i < PROGRAM_ARGS; i++)
		c->p[i] = random_arg(rng);
}

void program_random(struct program *program, struct rng *rng)
{
	unsigned int i;

	memset(program, 0, sizeof(*program));
	program->nr = 3 + rng_below(rng, PROGRAM_MAX - 2);
	for (i = 0; i < program->nr; i++)
		random_command(&program->commands[i], rng);
	/* Without a client there is nothing to see. */
	memset(&program->commands[0], 0, sizeof(program->commands[0]));
	program->commands[0].kind = KIND_open;
}

void program_drop(struct program *program, unsigned int at)
{
	program->nr--;
	memmove(&program->commands[at], &program->commands[at + 1],
		(program->nr - at) * sizeof(program->commands[0]));
	memset(&program->commands[program->nr], 0, sizeof(program->commands[0]));
}

static void insert(struct program *program, unsigned int at, const struct command *c)
{
	if (program->nr == PROGRAM_MAX)
		program_drop(program, PROGRAM_MAX - 1);
	if (at > program->nr)
		at = program->nr;
	memmove(&program->commands[at + 1], &program->commands[at],
		(program->nr - at) * sizeof(*c));
	program->commands[at] = *c;
	program->nr++;
}

/* The head of the one, the tail of the other. */
static void splice(struct program *program, const struct program *other, struct rng *rng)
{
	unsigned int at = rng_below(rng, program->nr + 1), from;

	if (!other->nr)
		return;
	for (from = rng_below(rng, other->nr); from < other->nr && at < PROGRAM_MAX; from++)
		program->commands[at++] = other->commands[from];
	if (at > program->nr)
		program->nr = at;
}

static void mutate_bytes(struct command *c, struct rng *rng)
{
	uint8_t *p = &c->p[rng_below(rng, PROGRAM_ARGS)];

	switch (rng_below(rng, 5)) {
	case 0:
		*p ^= 1U << rng_below(rng, 8);
		break;
	case 1:
		*p = rng_below(rng, 256);
		break;
	case 2:
		*p = random_arg(rng);
		break;
	case 3:
		*p += rng_below(rng, 2) ? 1 : -1;
		break;
	case 4:
		c->fd = rng_below(rng, PROGRAM_FDS);
		break;
	}
}

void program_mutate(struct program *program, const struct program *other, struct rng *rng)
{
	unsigned int n = 1 + rng_below(rng, 4);
	struct command c, *at;

	while (n--) {
		at = &program->commands[rng_below(rng, program->nr ? program->nr : 1)];
		switch (rng_below(rng, 12)) {
		case 0:
		case 1:
			random_command(&c, rng);
			insert(program, rng_below(rng, program->nr + 1), &c);
			break;
		case 2:
			if (program->nr > 1)
				program_drop(program, at - program->commands);
			break;
		case 3:
			c = *at;
			insert(program, rng_below(rng, program->nr + 1), &c);
			break;
		case 4:
			splice(program, other, rng);
			break;
		case 5:
			at->kind = random_kind(rng);
			break;
		default:
			mutate_bytes(at, rng);
			break;
		}
	}
	if (!program->nr)
		program_random(program, rng);
}

/* FNV-1a, of what program_write() shows. */
uint64_t program_hash(const struct program *program)
{
	const uint8_t *at = (const uint8_t *)program->commands;
	size_t len = program->nr * sizeof(program->commands[0]);
	uint64_t hash = 0xcbf29ce484222325ULL;

	while (len--)
		hash = (hash ^ *at++) * 0x100000001b3ULL;
	return hash;
}

void program_write(const struct program *program, FILE *to)
{
	const struct command *c = program->commands;
	unsigned int i;
	int k, len;

	for (i = 0; i < program->nr; i++, c++) {
		len = PROGRAM_ARGS;
		while (len && !c->p[len - 1])
			len--;
		fprintf(to, "%s %u%s", kind_names[c->kind], c->fd, len ? " " : "");
		for (k = 0; k < len; k++)
			fprintf(to, "%02x", c->p[k]);
		fputc('\n', to);
	}
}

static bool read_command(struct command *c, const char *line)
{
	char name[16], hex[2 * PROGRAM_ARGS + 1] = "";
	unsigned int fd, byte;
	int kind, i;

	memset(c, 0, sizeof(*c));
	if (sscanf(line, "%15s %u %20[0-9a-f]", name, &fd, hex) < 2 || fd >= PROGRAM_FDS)
		return false;
	for (kind = 0; kind < NR_KINDS && strcmp(name, kind_names[kind]); kind++)
		;
	if (kind == NR_KINDS || strlen(hex) % 2)
		return false;
	c->kind = kind;
	c->fd = fd;
	for (i = 0; hex[2 * i]; i++) {
		if (sscanf(&hex[2 * i], "%2x", &byte) != 1)
			return false;
		c->p[i] = byte;
	}
	return true;
}

/* False where the file cannot be opened; dies of one that is no program. */
bool program_read(struct program *program, const char *path)
{
	FILE *from = fopen(path, "re");
	unsigned int line = 0;
	char text[256];

	if (!from)
		return false;
	memset(program, 0, sizeof(*program));
	while (fgets(text, sizeof(text), from)) {
		line++;
		text[strcspn(text, "#\n")] = '\0';
		if (!text[strspn(text, " \t")])
			continue;
		if (program->nr == PROGRAM_MAX)
			die("%s: more than %u commands", path, PROGRAM_MAX);
		if (!read_command(&program->commands[program->nr++], text))
			die("%s: line %u is no command: %s", path, line, text);
	}
	fclose(from);
	return true;
}
