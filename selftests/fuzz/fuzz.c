// SPDX-License-Identifier: GPL-2.0
/* The fuzzer's loop: choose, change, run, and keep what reached something new. */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "fuzz.h"

/* An emulated kernel with KASAN needs milliseconds for a program. */
#define HANG_SECONDS 120
#define STATUS_SECONDS 5

static struct corpus corpus;
static struct edges known;
static struct program current;
static atomic_ulong executions;
static unsigned int new_edges; /* since the corpus was read */
static unsigned int unstable; /* programs whose new edges did not come again */
static int journal = -1;
static bool guided;

static const char help[] =
	"Usage: fuzzer [OPTION...]\n"
	"       fuzzer --replay FILE...\n"
	"Runs programs of commands to /dev/bufftrack, alone with it and as root. With\n"
	"KCOV, and a module that is built for it (make module VARIANT=kcov), it keeps\n"
	"and changes those that reach something new; without, they are random.\n"
	"\n"
	"  --executions N   end after that many programs\n"
	"  --seconds N      end after that time\n"
	"  --seed N         the same random numbers again (default: of the clock)\n"
	"  --corpus DIR     begin with the programs there, write new ones there\n"
	"  --reduce         at the end, delete those that reach nothing of their own\n"
	"  --journal FILE   write each program there before it is run, for one that\n"
	"                   takes the kernel down\n"
	"  --replay         run these programs, each once, in this order\n"
	"  --verbose        say each call\n"
	"\n"
	"Every some seconds it prints executions, edges (a step in the module that\n"
	"some program took), how many of them are new since the corpus was read, and\n"
	"the corpus' size.\n"
	"\n"
	"Exit status: 0; 1 where a program's answers or what it left behind are wrong;\n"
	"2 where it could not run; 4 where a program did not end. Either time the\n"
	"program is on stderr. What the kernel's log says is for the caller to read.\n"
	"\n"
	"Examples:\n"
	"  fuzzer --seconds 600 --corpus selftests/fuzz/corpus\n"
	"  fuzzer --seed 7 --executions 1000\n"
	"  fuzzer --replay selftests/fuzz/corpus/*\n";

void die(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	fprintf(stderr, "fuzz: ");
	vfprintf(stderr, format, args);
	fputc('\n', stderr);
	va_end(args);
	_exit(2);
}

static double now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec + ts.tv_nsec / 1e9;
}

/* A program that hangs in the kernel can only be told from another thread. */
static void *watchdog(void *arg)
{
	unsigned long seen = 0, last;
	int seconds = 0;

	for (;;) {
		sleep(1);
		last = seen;
		seen = atomic_load(&executions);
		seconds = seen == last ? seconds + 1 : 0;
		if (seconds < HANG_SECONDS)
			continue;
		fprintf(stderr, "fuzz: FAILED: not done after %d s; the program was:\n",
			HANG_SECONDS);
		program_write(&current, stderr);
		_exit(4);
	}
	return arg;
}

static void write_journal(const struct program *program)
{
	char *text = NULL;
	size_t len = 0;
	FILE *memory;

	if (journal < 0)
		return;
	memory = open_memstream(&text, &len);
	if (!memory)
		die("no memory");
	program_write(program, memory);
	fclose(memory);
	if (pwrite(journal, text, len, 0) != (ssize_t)len || ftruncate(journal, len))
		die("the journal: %s", strerror(errno));
	free(text);
}

/* @program may be no part of the corpus, which can move. */
static void execute(const struct program *program, struct edges *edges)
{
	current = *program;
	write_journal(&current);
	run_program(&current, edges);
	atomic_fetch_add(&executions, 1);
}

/*
 * Drops commands for as long as what was new about it is reached, at least what
 * a second run reached, too: threads differ. False where that is nothing.
 */
static bool minimise(struct program *program, struct edges *fresh)
{
	struct edges edges;
	struct program less;
	unsigned int at;

	execute(program, &edges);
	edges_both(fresh, &edges);
	if (!edges_count(fresh))
		return false;
	for (at = program->nr; at-- && program->nr > 1;) {
		less = *program;
		program_drop(&less, at);
		execute(&less, &edges);
		if (edges_within(fresh, &edges))
			*program = less;
	}
	return true;
}

static void choose(struct program *program, struct rng *rng)
{
	const struct program *other;

	if (!corpus.nr || !rng_below(rng, 16)) {
		program_random(program, rng);
		return;
	}
	/* The latest were found by few changes as yet. */
	if (corpus.nr > 8 && !rng_below(rng, 3))
		*program = corpus.programs[corpus.nr - 1 - rng_below(rng, 8)];
	else
		*program = corpus.programs[rng_below(rng, corpus.nr)];
	other = &corpus.programs[rng_below(rng, corpus.nr)];
	program_mutate(program, other, rng);
}

static void one(struct rng *rng)
{
	struct program program;
	struct edges edges;

	choose(&program, rng);
	execute(&program, &edges);
	edges_without(&edges, &known);
	if (!edges_count(&edges))
		return;
	new_edges += edges_count(&edges);
	edges_add(&known, &edges);
	if (minimise(&program, &edges))
		corpus_add(&corpus, &program);
	else
		unstable++;
}

/* ---- corpus --------------------------------------------------------------- */

/* Runs all of it once, the short ones first; true in @keep for what is needed. */
static void read_corpus(bool *keep)
{
	struct edges edges;
	unsigned int i;

	memset(&known, 0, sizeof(known));
	for (i = 0; i < corpus.nr; i++) {
		execute(&corpus.programs[i], &edges);
		if (keep)
			keep[i] = edges_new(&edges, &known);
		edges_add(&known, &edges);
	}
}

static void reduce(void)
{
	unsigned int kept = 0, before, i;
	struct corpus again = { .directory = corpus.directory };
	bool *keep;

	free(corpus.programs);
	corpus = again;
	corpus_load(&corpus);
	before = corpus.nr;
	keep = calloc(before + 1, sizeof(*keep));
	if (!keep)
		die("no memory");
	read_corpus(keep);
	for (i = 0; i < before; i++) {
		kept += keep[i];
		if (!keep[i])
			corpus_delete(&corpus, &corpus.programs[i]);
	}
	free(keep);
	printf("fuzz: corpus reduced from %u to %u, edges %u\n", before, kept, edges_count(&known));
}

static int replay(char **files)
{
	struct program program;
	struct edges edges;
	unsigned int nr = 0;

	for (; *files; files++) {
		if (!program_read(&program, *files))
			die("%s: %s", *files, strerror(errno));
		if (command_verbose)
			fprintf(stderr, "%s\n", *files);
		execute(&program, &edges);
		edges_add(&known, &edges);
		nr++;
	}
	printf("fuzz: %u programs replayed", nr);
	if (edges_count(&known))
		printf(", edges %u", edges_count(&known));
	putchar('\n');
	return 0;
}

/* ---- main ------------------------------------------------------------------ */

static void status(double begun)
{
	double seconds = now() - begun;
	unsigned long n = atomic_load(&executions);

	printf("%6.0f s %9lu executions %7.1f/s", seconds, n, seconds > 0 ? n / seconds : 0);
	if (guided)
		printf("  edges %u  new %u  corpus %u  unstable %u", edges_count(&known), new_edges,
		       corpus.nr, unstable);
	putchar('\n');
	fflush(stdout);
}

static unsigned long number(const char *text)
{
	char *end;
	unsigned long value;

	errno = 0;
	value = strtoul(text, &end, 0);
	if (errno || !*text || *end)
		die("not a number: %s", text);
	return value;
}

enum { EXECUTIONS = 256, SECONDS, SEED, CORPUS, REDUCE, JOURNAL, REPLAY, VERBOSE, HELP };

static const struct option options[] = {
	{ "executions", required_argument, NULL, EXECUTIONS },
	{ "seconds", required_argument, NULL, SECONDS },
	{ "seed", required_argument, NULL, SEED },
	{ "corpus", required_argument, NULL, CORPUS },
	{ "reduce", no_argument, NULL, REDUCE },
	{ "journal", required_argument, NULL, JOURNAL },
	{ "replay", no_argument, NULL, REPLAY },
	{ "verbose", no_argument, NULL, VERBOSE },
	{ "help", no_argument, NULL, HELP },
	{},
};

struct wanted {
	unsigned long executions, seconds, seed;
	bool reduce, replay;
};

static struct wanted parse(int argc, char **argv)
{
	struct wanted wanted = { .executions = ~0UL, .seconds = ~0UL };
	int option;

	wanted.seed = time(NULL);
	while ((option = getopt_long(argc, argv, "h", options, NULL)) != -1) {
		switch (option) {
		case EXECUTIONS:
			wanted.executions = number(optarg);
			break;
		case SECONDS:
			wanted.seconds = number(optarg);
			break;
		case SEED:
			wanted.seed = number(optarg);
			break;
		case CORPUS:
			corpus.directory = optarg;
			break;
		case REDUCE:
			wanted.reduce = true;
			break;
		case JOURNAL:
			journal = open(optarg, O_RDWR | O_CREAT | O_SYNC | O_CLOEXEC, 0644);
			if (journal < 0)
				die("%s: %s", optarg, strerror(errno));
			break;
		case REPLAY:
			wanted.replay = true;
			break;
		case VERBOSE:
			command_verbose = true;
			break;
		case HELP:
		case 'h':
			fputs(help, stdout);
			exit(0);
		default:
			fputs(help, stderr);
			exit(2);
		}
	}
	if ((wanted.replay && optind == argc) || (!wanted.replay && optind < argc))
		die("--replay and its files come together (see --help)");
	if (wanted.reduce && !corpus.directory)
		die("--reduce needs a --corpus (see --help)");
	return wanted;
}

static void fuzz(const struct wanted *wanted)
{
	struct rng rng = { .state = wanted->seed };
	double begun = now(), shown = begun;

	printf("fuzz: seed %lu\n", wanted->seed);
	if (corpus.directory)
		corpus_load(&corpus);
	read_corpus(NULL);
	if (guided && corpus.nr && !edges_count(&known)) {
		printf("fuzz: the module was not built for KCOV: not guided by coverage\n");
		guided = false;
	}
	status(begun);
	while (atomic_load(&executions) < wanted->executions && now() - begun < wanted->seconds) {
		one(&rng);
		if (now() - shown >= STATUS_SECONDS) {
			shown = now();
			status(begun);
		}
	}
	status(begun);
	if (wanted->reduce)
		reduce();
}

int main(int argc, char **argv)
{
	struct wanted wanted = parse(argc, argv);
	pthread_t thread;

	guided = cover_init();
	if (!guided)
		printf("fuzz: this kernel has no KCOV: not guided by coverage\n");
	run_init();
	if (pthread_create(&thread, NULL, watchdog, NULL))
		die("no watchdog");
	if (wanted.replay)
		return replay(&argv[optind]);
	fuzz(&wanted);
	return 0;
}
