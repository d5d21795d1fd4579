// SPDX-License-Identifier: GPL-2.0
/*
 * Public bug reports, told again call by call: reports/NAME.steps says who called what,
 * and what the kernel is to answer. Output: KTAP, one result a file.
 *
 * Usage: public_reports [FILE...]; without one, every file of reports/ beside the program.
 *
 * A file is lines of words:
 *
 *	# text				a comment: whose report it is, and what is right
 *	param NAME VALUE		a parameter of the module, put back at the end
 *	WHO open FLAG...		a client with flags: private, strict, partial, forked,
 *					require_token. A client that is not opened so has none
 *	WHO A KEY SIZE WORD...		ALLOC: exclusive shared retain same persistent view
 *	WHO F KEY WORD...		FREE: last view
 *	WHO U KEY			UNDO of WHO's latest FREE of KEY
 *	WHO reset WORD...		RESET CLIENT: all, or of device dN; with a tag=N
 *	WHO RESET dN			RESET of the device, for all clients
 *	WHO close			the client closes
 *	PN fork PM			PM begins as a child of PN, with PN's clients
 *	PN X				the process exits
 *
 * WHO is a process and a client of it: P1 is P1.a. KEY is a name, with @N for device N
 * and /N for space N: p, h@1, slab/2; each file has devices of its own. Further words:
 * /gN, the token, as an earlier =gN named it; =gN, a name for the generation; tag=N;
 * size=N (FREE: the size to check).
 *
 * Behind "->" stands what is to come: a verdict or an errno (OK where nothing is said);
 * the info bits, all of them; one with ? before it may be there or not; refs=N; for reset,
 * X and close: leaks=N (on the file's devices), holds=N.
 */
/* Of a 32-bit program, in a directory whose inodes have 64. */
#define _FILE_OFFSET_BITS 64
#include <dirent.h>
#include <poll.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>

/* bt.h brings the harness: its main is not this program's. */
#pragma GCC diagnostic ignored "-Wunused-function"
#include "bt.h"

#define MAX_PROCESSES	4
#define MAX_CLIENTS	4
#define MAX_DEVICES	4
#define MAX_NAMES	16
#define MAX_WORDS	24

struct word {
	const char *word;
	__u32 value;
};

static const struct word client_words[] = {
	{ "private", BUFFTRACK_CLIENT_PRIVATE },
	{ "strict", BUFFTRACK_CLIENT_STRICT },
	{ "partial", BUFFTRACK_CLIENT_PARTIAL },
	{ "forked", BUFFTRACK_CLIENT_FORKED },
	{ "require_token", BUFFTRACK_CLIENT_REQUIRE_TOKEN },
	{ }
};

static const struct word flag_words[] = {
	{ "exclusive", BUFFTRACK_F_EXCLUSIVE },
	{ "shared", BUFFTRACK_F_SHARED },
	{ "view", BUFFTRACK_F_VIEW },
	{ "retain", BUFFTRACK_F_RETAIN },
	{ "same", BUFFTRACK_F_SAME },
	{ "persistent", BUFFTRACK_F_PERSISTENT },
	{ "last", BUFFTRACK_F_LAST },
	{ }
};

static const struct word verdict_words[] = {
	{ "OK", BUFFTRACK_OK },
	{ "DOUBLE_FREE", BUFFTRACK_DOUBLE_FREE },
	{ "STALE_FREE", BUFFTRACK_STALE_FREE },
	{ "FOREIGN_FREE", BUFFTRACK_FOREIGN_FREE },
	{ "FREE_AFTER_EXIT", BUFFTRACK_FREE_AFTER_EXIT },
	{ "FREE_AFTER_RESET", BUFFTRACK_FREE_AFTER_RESET },
	{ "UNKNOWN_FREE", BUFFTRACK_UNKNOWN_FREE },
	{ "MISSED_FREE", BUFFTRACK_MISSED_FREE },
	{ "SIZE_MISMATCH", BUFFTRACK_SIZE_MISMATCH },
	{ "DANGLING", BUFFTRACK_DANGLING },
	{ "HELD_FREE", BUFFTRACK_HELD_FREE },
	{ }
};

static const struct word errno_words[] = {
	{ "ENOSPC", ENOSPC }, { "EINVAL", EINVAL }, { "ENOENT", ENOENT },
	{ "ESTALE", ESTALE }, { }
};

static const struct word info_words[] = {
	{ "probable", BUFFTRACK_INFO_PROBABLE },
	{ "history_lost", BUFFTRACK_INFO_HISTORY_LOST },
	{ "not_recorded", BUFFTRACK_INFO_NOT_RECORDED },
	{ "forked", BUFFTRACK_INFO_FORKED },
	{ "consequence", BUFFTRACK_INFO_CONSEQUENCE },
	{ "undone", BUFFTRACK_INFO_UNDONE },
	{ "views_left", BUFFTRACK_INFO_VIEWS_LEFT },
	{ "closing", BUFFTRACK_INFO_CLOSING },
	{ }
};

static const struct word *find(const struct word *words, const char *word)
{
	for (; words->word; words++)
		if (!strcmp(words->word, word))
			return words;
	return NULL;
}

/* ---- the processes: each does what it is asked, on clients of its own ------ */

enum asked { ASK_OPEN, ASK_CALL, ASK_RESET, ASK_CLOSE, ASK_FORK, ASK_EXIT };

struct request {
	enum asked what;
	int client;
	int process;			/* FORK: which begins */
	__u32 flags;			/* OPEN */
	unsigned long cmd;
	struct bufftrack_op op;
	struct bufftrack_reset reset;
};

struct reply {
	int rc;
	pid_t pid;
	struct bufftrack_op op;
	struct bufftrack_reset reset;
};

/* [0] is the coordinator's end. Made before any process begins: all have all of them. */
static int ends[MAX_PROCESSES][2];

static int client_of(int clients[], int nr)
{
	if (clients[nr] < 0)
		clients[nr] = bt_open();
	return clients[nr];
}

static void serve(int process, int clients[])
{
	struct request ask;
	struct reply say;

	while (read(ends[process][1], &ask, sizeof(ask)) == sizeof(ask)) {
		memset(&say, 0, sizeof(say));
		switch (ask.what) {
		case ASK_OPEN:
			clients[ask.client] = bt_open_as(ask.flags);
			say.rc = clients[ask.client] < 0 ? clients[ask.client] : 0;
			break;
		case ASK_CALL:
			say.op = ask.op;
			say.rc = bt_ioctl(client_of(clients, ask.client), ask.cmd, &say.op);
			break;
		case ASK_RESET:
			say.reset = ask.reset;
			say.rc = bt_ioctl(client_of(clients, ask.client), BUFFTRACK_IOC_RESET,
					  &say.reset);
			break;
		case ASK_CLOSE:
			close(clients[ask.client]);
			clients[ask.client] = -1;
			break;
		case ASK_FORK:
			say.pid = fork();
			if (!say.pid) {
				process = ask.process;
				continue;
			}
			say.rc = say.pid < 0 ? -errno : 0;
			break;
		case ASK_EXIT:
			_exit(0);
		}
		if (write(ends[process][1], &say, sizeof(say)) != sizeof(say))
			break;
	}
	_exit(1);
}

/* ---- one file ------------------------------------------------------------- */

struct named {
	char name[16];
	__u64 value;
};

struct latest {			/* a FREE, for its UNDO */
	int process, client;
	struct bufftrack_op op;
};

struct story {
	const char *path;
	int line;
	pid_t pids[MAX_PROCESSES];
	__u64 devices[MAX_DEVICES];
	struct named generations[MAX_NAMES];
	struct named keys[MAX_NAMES];
	struct latest frees[MAX_NAMES];
	struct named parameters[MAX_NAMES];	/* as they were */
	int looker;				/* a client that only asks for counts */
	__u64 leaks;				/* told so far */
	char wrong[512];
};

static void __attribute__((format(printf, 2, 3)))
wrong(struct story *story, const char *format, ...)
{
	va_list args;
	int n;

	if (story->wrong[0])
		return;
	n = snprintf(story->wrong, sizeof(story->wrong), "line %d: ", story->line);
	va_start(args, format);
	vsnprintf(story->wrong + n, sizeof(story->wrong) - n, format, args);
	va_end(args);
}

static struct named *named(struct named *list, const char *name)
{
	int i;

	for (i = 0; i < MAX_NAMES; i++) {
		if (!strcmp(list[i].name, name))
			return &list[i];
		if (!list[i].name[0]) {
			snprintf(list[i].name, sizeof(list[i].name), "%s", name);
			return &list[i];
		}
	}
	ksft_exit_fail_msg("too many names\n");
	return NULL;
}

/* A pid that has ended has let go of its files: this waits for it, whoever its parent is. */
static void wait_for_end(pid_t pid)
{
	struct pollfd ended = { .fd = syscall(SYS_pidfd_open, pid, 0), .events = POLLIN };

	if (ended.fd >= 0) {
		poll(&ended, 1, 60000);
		close(ended.fd);
	}
	waitpid(pid, NULL, 0);
}

static struct reply ask(struct story *story, int process, struct request request)
{
	struct reply reply = { .rc = -EPIPE };
	int fd = ends[process][0];

	if (!story->pids[process]) {
		int clients[MAX_CLIENTS] = { -1, -1, -1, -1 };

		fflush(stdout);
		story->pids[process] = fork();
		if (!story->pids[process])
			serve(process, clients);
	}
	if (write(fd, &request, sizeof(request)) != sizeof(request))
		return reply;
	if (request.what == ASK_EXIT) {
		wait_for_end(story->pids[process]);
		story->pids[process] = 0;
		reply.rc = 0;
	} else if (read(fd, &reply, sizeof(reply)) != sizeof(reply)) {
		reply.rc = -EPIPE;
	}
	return reply;
}

/* "p", "p@1", "p/2", "p@1/2" */
static void key(struct story *story, const char *word, struct bufftrack_op *op)
{
	char name[16] = "";
	unsigned int device = 0;
	const char *at = strchr(word, '@'), *slash = strchr(word, '/');
	struct named *known;

	snprintf(name, sizeof(name), "%.*s", (int)strcspn(word, "@/"), word);
	if (at)
		device = strtoul(at + 1, NULL, 0) % MAX_DEVICES;
	op->device = story->devices[device];
	op->space = slash ? strtoul(slash + 1, NULL, 0) : BT_SPACE;
	known = named(story->keys, name);
	if (!known->value)
		known->value = strtoull(name, NULL, 0) ?: 0x10000ULL * (known - story->keys + 1);
	op->buffer = known->value;
}

static __u64 leaks(struct story *story)
{
	struct bufftrack_stat stat;
	__u64 sum = 0;
	int i;

	for (i = 0; i < MAX_DEVICES; i++)
		if (!bt_stat(story->looker, BUFFTRACK_STAT_DEVICE, story->devices[i], 0, &stat))
			sum += stat.verdicts[BUFFTRACK_LEAK];
	return sum;
}

/* ---- what is to come ------------------------------------------------------ */

static const char *verdict_word(__u32 verdict)
{
	const struct word *word;

	for (word = verdict_words; word->word; word++)
		if (word->value == verdict)
			return word->word;
	return "?";
}

static const char *info_text(__u32 info)
{
	static char text[128];
	const struct word *word;
	size_t n = 0;

	text[0] = '\0';
	for (word = info_words; word->word; word++)
		if (info & word->value)
			n += snprintf(text + n, sizeof(text) - n, " %s", word->word);
	return text;
}

static void expect(struct story *story, char **words, const struct reply *reply)
{
	__u32 verdict = BUFFTRACK_OK, info = 0, may = 0;
	const struct word *word;
	int error = 0;
	__u64 seen;

	for (; *words; words++) {
		if ((word = find(verdict_words, *words)))
			verdict = word->value;
		else if ((word = find(errno_words, *words)))
			error = -(int)word->value;
		else if ((word = find(info_words, *words)))
			info |= word->value;
		else if (**words == '?' && (word = find(info_words, *words + 1)))
			may |= word->value;
		else if (!strncmp(*words, "refs=", 5)) {
			if (reply->op.refs != strtoul(*words + 5, NULL, 0))
				wrong(story, "%u references, not %s", reply->op.refs, *words + 5);
		} else if (!strncmp(*words, "leaks=", 6)) {
			seen = leaks(story) - story->leaks;
			story->leaks += seen;
			if (seen != strtoull(*words + 6, NULL, 0))
				wrong(story, "%llu leaks, not %s", (unsigned long long)seen,
				      *words + 6);
		} else if (!strncmp(*words, "holds=", 6)) {
			if (reply->reset.holds != strtoull(*words + 6, NULL, 0))
				wrong(story, "%llu holds, not %s",
				      (unsigned long long)reply->reset.holds, *words + 6);
		} else {
			wrong(story, "no such word: %s", *words);
		}
	}
	if (reply->rc != error)
		wrong(story, "%s, not %s", reply->rc ? strerror(-reply->rc) : "no error",
		      error ? strerror(-error) : "none");
	else if (reply->rc)
		return;
	if (reply->op.verdict != verdict)
		wrong(story, "%s, not %s", verdict_word(reply->op.verdict), verdict_word(verdict));
	if ((reply->op.info & ~may) != info) {
		char have[128];

		snprintf(have, sizeof(have), "%s", info_text(reply->op.info));
		wrong(story, "info is%s, not%s", have[0] ? have : " none",
		      info ? info_text(info) : " none");
	}
}

/* ---- the steps ------------------------------------------------------------ */

/* The words of a call behind its key; false where there is one that is none. */
static bool call_words(struct story *story, char **words, struct bufftrack_op *op,
		       struct named **save)
{
	const struct word *word;

	for (; *words; words++) {
		if ((word = find(flag_words, *words)))
			op->flags |= word->value;
		else if (!strncmp(*words, "/g", 2))
			op->token = named(story->generations, *words + 1)->value;
		else if (!strncmp(*words, "=g", 2))
			*save = named(story->generations, *words + 1);
		else if (!strncmp(*words, "tag=", 4))
			op->tag = strtoull(*words + 4, NULL, 0);
		else if (!strncmp(*words, "size=", 5))
			op->size = strtoull(*words + 5, NULL, 0);
		else
			return false;
	}
	return true;
}

static struct latest *latest_free(struct story *story, int process, int client,
				  const struct bufftrack_op *op)
{
	struct latest *one;

	for (one = story->frees; one < story->frees + MAX_NAMES; one++)
		if (!one->op.buffer || (one->process == process && one->client == client &&
					one->op.buffer == op->buffer &&
					one->op.device == op->device &&
					one->op.space == op->space))
			return one;
	ksft_exit_fail_msg("too many frees\n");
	return NULL;
}

static void call(struct story *story, int process, int client, char **words, char **want)
{
	struct request request = { .what = ASK_CALL, .client = client };
	struct named *save = NULL;
	struct latest *freed;
	struct reply reply;
	char what = words[0][0];

	if (!words[1]) {
		wrong(story, "no key");
		return;
	}
	key(story, words[1], &request.op);
	freed = latest_free(story, process, client, &request.op);
	request.cmd = what == 'A' ? BUFFTRACK_IOC_ALLOC : BUFFTRACK_IOC_FREE;
	if (what == 'U') {
		request.cmd = BUFFTRACK_IOC_UNDO;
		if (freed->op.buffer)
			request.op = freed->op;
	} else if (what == 'A') {
		if (words[2])
			request.op.size = strtoull(words[2], NULL, 0);
		words += !!words[2];
	}
	if (!call_words(story, words + 2, &request.op, &save)) {
		wrong(story, "a word that is none");
		return;
	}
	reply = ask(story, process, request);
	if (save)
		save->value = reply.op.generation;
	if (what == 'F')
		*freed = (struct latest) {
			.process = process, .client = client, .op = reply.op,
		};
	expect(story, want, &reply);
}

static void reset(struct story *story, int process, int client, char **words, char **want)
{
	struct request request = { .what = ASK_RESET, .client = client };
	struct reply reply;

	if (!strcmp(*words, "reset"))
		request.reset.flags = BUFFTRACK_RESET_CLIENT;
	request.reset.device = story->devices[0];
	while (*++words) {
		if (!strcmp(*words, "all")) {
			request.reset.flags |= BUFFTRACK_RESET_ALL;
			request.reset.device = 0;
		} else if (!strncmp(*words, "tag=", 4)) {
			request.reset.flags |= BUFFTRACK_RESET_TAG;
			request.reset.tag = strtoull(*words + 4, NULL, 0);
		} else if (**words == 'd') {
			request.reset.device =
				story->devices[strtoul(*words + 1, NULL, 0) % MAX_DEVICES];
		} else {
			wrong(story, "no such word: %s", *words);
		}
	}
	reply = ask(story, process, request);
	reply.op.verdict = BUFFTRACK_OK;
	expect(story, want, &reply);
}

static void others(struct story *story, int process, int client, char **words, char **want)
{
	struct request request = { .client = client };
	const struct word *word;
	struct reply reply;

	if (!strcmp(words[0], "open")) {
		request.what = ASK_OPEN;
		while (*++words) {
			word = find(client_words, *words);
			if (word)
				request.flags |= word->value;
			else
				wrong(story, "no such word: %s", *words);
		}
	} else if (!strcmp(words[0], "fork") && words[1] && words[1][0] == 'P') {
		request.what = ASK_FORK;
		request.process = (words[1][1] - '1') % MAX_PROCESSES;
	} else if (!strcmp(words[0], "close")) {
		request.what = ASK_CLOSE;
	} else if (!strcmp(words[0], "X")) {
		request.what = ASK_EXIT;
	} else {
		wrong(story, "no such step: %s", words[0]);
		return;
	}
	reply = ask(story, process, request);
	if (request.what == ASK_FORK)
		story->pids[request.process] = reply.pid;
	expect(story, want, &reply);
}

static void parameter(struct story *story, const char *name, const char *value)
{
	struct named *one = named(story->parameters, name);
	unsigned long old;

	if (bt_parameter(name, strtoul(value, NULL, 0), &old))
		wrong(story, "cannot set the module's parameter %s", name);
	else
		one->value = old;
}

static void step(struct story *story, char *line)
{
	char *words[MAX_WORDS + 1] = { NULL }, **want = &words[MAX_WORDS], *save = NULL;
	int nr = 0, process, client;
	char *word;

	for (word = strtok_r(line, " \t\n", &save); word && nr < MAX_WORDS;
	     word = strtok_r(NULL, " \t\n", &save)) {
		if (strcmp(word, "->")) {
			words[nr++] = word;
			continue;
		}
		words[nr++] = NULL;
		want = &words[nr];
	}
	if (!nr || !words[0] || words[0][0] == '#')
		return;
	if (!strcmp(words[0], "param") && words[1] && words[2]) {
		parameter(story, words[1], words[2]);
		return;
	}
	process = words[0][1] - '1';
	client = words[0][1] && words[0][2] == '.' ? words[0][3] - 'a' : 0;
	if (words[0][0] != 'P' || process < 0 || process >= MAX_PROCESSES || client < 0 ||
	    client >= MAX_CLIENTS || !words[1])
		wrong(story, "no such step: %s", words[0]);
	else if (!strcasecmp(words[1], "reset"))
		reset(story, process, client, words + 1, want);
	else if (strchr("AFU", words[1][0]) && !words[1][1])
		call(story, process, client, words + 1, want);
	else
		others(story, process, client, words + 1, want);
}

static void end(struct story *story)
{
	int i;

	for (i = MAX_PROCESSES - 1; i >= 0; i--) {
		if (story->pids[i])
			ask(story, i, (struct request) { .what = ASK_EXIT });
		close(ends[i][0]);
		close(ends[i][1]);
	}
	for (i = 0; i < MAX_NAMES && story->parameters[i].name[0]; i++)
		bt_parameter(story->parameters[i].name, story->parameters[i].value, NULL);
	close(story->looker);
}

static bool tell(const char *path)
{
	struct story story = { .path = path, .looker = bt_open() };
	FILE *file = fopen(path, "r");
	char *line = NULL;
	size_t room = 0;
	int i;

	if (!file)
		wrong(&story, "cannot open %s", path);
	for (i = 0; i < MAX_PROCESSES; i++)
		if (socketpair(AF_UNIX, SOCK_SEQPACKET, 0, ends[i]))
			ksft_exit_fail_perror("socketpair");
	for (i = 0; i < MAX_DEVICES; i++)
		story.devices[i] = bt_device();
	while (file && !story.wrong[0] && getline(&line, &room, file) > 0) {
		story.line++;
		step(&story, line);
	}
	if (file && !story.line)
		wrong(&story, "nothing in it");
	end(&story);
	if (file)
		fclose(file);
	free(line);
	if (story.wrong[0])
		ksft_print_msg("%s: %s\n", path, story.wrong);
	return !story.wrong[0];
}

static int is_story(const struct dirent *entry)
{
	size_t length = strlen(entry->d_name);

	return length > 6 && !strcmp(entry->d_name + length - 6, ".steps");
}

int main(int argc, char *argv[])
{
	struct dirent **found = NULL;
	char path[4096];
	int i, nr = argc - 1;

	prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
	signal(SIGPIPE, SIG_IGN);
	ksft_print_header();
	if (argc < 2)
		nr = scandir("reports", &found, is_story, alphasort);
	if (nr <= 0)
		ksft_exit_fail_msg("no reports/*.steps here\n");
	ksft_set_plan(nr);
	for (i = 0; i < nr; i++) {
		if (found)
			snprintf(path, sizeof(path), "reports/%s", found[i]->d_name);
		else
			snprintf(path, sizeof(path), "%s", argv[i + 1]);
		ksft_test_result(tell(path), "%s\n", path);
	}
	ksft_finished();
}
