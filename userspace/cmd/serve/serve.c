// SPDX-License-Identifier: GPL-2.0
/* serve: the allocation server's place, with the module behind it. */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "abi/device.h"
#include "cmd/command.h"
#include "cmd/serve/index.h"
#include "cmd/serve/listener.h"
#include "cmd/serve/output.h"
#include "cmd/serve/serve.h"
#include "ledger/balance.h"
#include "util/json.h"
#include "util/options.h"
#include "util/signals.h"
#include "util/util.h"

#define EVENTS 64

/* A connection takes two descriptors, and one more for each process that it speaks for. */
static void raise_open_files(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit))
		return;
	limit.rlim_cur = limit.rlim_max;
	setrlimit(RLIMIT_NOFILE, &limit);
}

static bool watch_listener(const struct serve *serve, const struct listener *listener, bool watch)
{
	struct epoll_event event = { .events = EPOLLIN, .data.ptr = NULL };

	return !epoll_ctl(serve->epoll, watch ? EPOLL_CTL_ADD : EPOLL_CTL_DEL, listener->fd,
			  &event);
}

/*
 * Everybody who waits to be let in. Returns false where there is no descriptor for the next
 * one: he goes on waiting.
 */
static bool let_in(struct serve *serve, const struct listener *listener)
{
	static bool said;
	int fd;

	for (;;) {
		fd = accept4(listener->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
		if (fd >= 0) {
			connection_open(serve, fd);
			continue;
		}
		if (errno == EINTR || errno == ECONNABORTED)
			continue;
		if (errno == EAGAIN)
			return true;
		if (!said)
			complain("no further connection can be had: %s%s", strerror(errno),
				 errno == EMFILE ? "\n  (raise the limit of open files: ulimit -n)"
						 : "");
		said = true;
		return false;
	}
}

/* What peers had sent when the signal came is taken, too: no message is lost. */
static void take_the_rest(struct serve *serve, const struct listener *listener)
{
	struct connection *connection, *next;

	let_in(serve, listener);
	for (connection = serve->connections; connection; connection = next) {
		next = connection->next;
		connection_read(serve, connection, true);
	}
}

static bool go_on(struct serve *serve, const struct listener *listener, const sigset_t *waiting)
{
	struct epoll_event events[EVENTS];
	uint64_t open_before = 0;
	bool full = false;
	int i, nr;

	while (!signals_stopped()) {
		nr = epoll_pwait(serve->epoll, events, EVENTS, -1, waiting);
		if (nr < 0 && errno != EINTR) {
			complain("cannot wait for messages: %s", strerror(errno));
			return false;
		}
		for (i = 0; i < nr; i++) {
			struct connection *connection = events[i].data.ptr;

			if (!connection) {
				full = !let_in(serve, listener);
				open_before = serve->nr_connections;
				if (full)
					watch_listener(serve, listener, false);
				continue;
			}
			if (events[i].events & EPOLLOUT)
				connection_write(serve, connection);
			if (events[i].events & ~(uint32_t)EPOLLOUT)
				connection_read(serve, connection, false);
		}
		/* Somebody may have gone, and left his descriptors. */
		if (full && nr > 0 && open_before == serve->nr_connections)
			full = !let_in(serve, listener) || !watch_listener(serve, listener, true);
	}
	return true;
}

static void print_summary(const struct serve *serve)
{
	struct json_object *object;

	balance_sum_up(serve->balance);
	if (serve->json) {
		object = json_object_new_object();
		balance_json(serve->balance, object, true);
		json_add_number(object, "clients", serve->nr_clients);
		json_add_number(object, "ignored", serve->garbage);
		json_add_number(object, "failed", serve->failed);
		json_print(object);
		return;
	}
	balance_print(serve->balance, "messages");
	balance_print_count("clients", serve->nr_clients, "");
	balance_print_count("ignored", serve->garbage, "messages of no known type");
	balance_print_worst(serve->balance);
}

/* What went wrong on the way, in numbers. */
static void say_losses(const struct serve *serve, uint64_t left_out)
{
	if (serve->failed)
		complain("%" PRIu64 " calls were not recorded: %s", serve->failed,
			 strerror(serve->error));
	if (serve->garbage)
		complain("%" PRIu64 " messages were of no known type", serve->garbage);
	if (serve->unanswered)
		complain("%" PRIu64 " questions were not answered: the peer read no answers",
			 serve->unanswered);
	if (left_out)
		complain("%" PRIu64 " lines were left out: the reader was too slow", left_out);
}

static bool open_serve(struct serve *serve, const char *devices, bool summary)
{
	serve->fd = device_open();
	if (serve->fd < 0)
		return false;
	serve->devices = devices_read(devices);
	if (!serve->devices)
		return false;
	serve->epoll = epoll_create1(EPOLL_CLOEXEC);
	if (serve->epoll < 0) {
		complain("cannot wait for messages: %s", strerror(errno));
		return false;
	}
	serve->index = index_new();
	serve->balance = summary ? balance_new() : NULL;
	return true;
}

static void close_serve(struct serve *serve)
{
	if (serve->balance)
		balance_free(serve->balance);
	free(serve->named);
	if (serve->index)
		index_free(serve->index);
	if (serve->devices)
		devices_free(serve->devices);
	if (serve->epoll >= 0)
		close(serve->epoll);
	if (serve->fd >= 0)
		close(serve->fd);
}

static int serve_there(struct serve *serve, struct listener *listener)
{
	sigset_t waiting;
	uint64_t left_out;
	int ret = EXIT_OK;

	signals_catch(&waiting);
	/* Behind the signals' mask, so that none comes to it. */
	serve->output = output_start();
	if (!serve->output)
		return EXIT_ERROR;
	if (watch_listener(serve, listener, true))
		output_line(serve->output, "listening on %s",
			    listener->path ? listener->path : "systemd's socket");
	if (!go_on(serve, listener, &waiting))
		ret = EXIT_ERROR;
	take_the_rest(serve, listener);
	/* The summary is of what there is before the clients close. */
	left_out = output_stop(serve->output);
	if (serve->balance)
		print_summary(serve);
	serve->output = NULL;
	while (serve->connections)
		connection_close(serve, serve->connections);
	say_losses(serve, left_out);
	return serve->failed ? EXIT_ERROR : ret;
}

static bool parse_mode(const char *text, mode_t *mode)
{
	char *end;
	unsigned long value = strtoul(text, &end, 8);

	*mode = (mode_t)value;
	if (*text >= '0' && *text <= '7' && !*end && value <= 0777)
		return true;
	complain("--mode wants an octal number up to 777, such as 660: %s", text);
	return false;
}

static int serve_main(int argc, char **argv)
{
	const char *path = SERVE_SOCKET, *mode_text = "660", *devices = NULL;
	struct serve *serve = xrealloc(NULL, 1, sizeof(*serve));
	struct listener listener;
	bool summary = false;
	mode_t mode;
	int ret;

	memset(serve, 0, sizeof(*serve));
	serve->fd = serve->epoll = -1;
	{
		const struct option_spec options[] = {
			OPTION_TEXT('s', "socket", &path),
			OPTION_TEXT('m', "mode", &mode_text),
			OPTION_TEXT('d', "devices", &devices),
			OPTION_FLAG('l', "log", &serve->log),
			OPTION_FLAG('j', "json", &serve->json),
			OPTION_FLAG('S', "summary", &summary),
		};

		ret = command_options_only(&cmd_serve, argc, argv, options, ARRAY_SIZE(options));
	}
	if (ret == COMMAND_GO_ON && !parse_mode(mode_text, &mode))
		ret = command_misused(&cmd_serve);
	if (ret == COMMAND_GO_ON) {
		ret = EXIT_ERROR;
		raise_open_files();
		if (open_serve(serve, devices, summary) && listener_open(&listener, path, mode)) {
			ret = serve_there(serve, &listener);
			listener_close(&listener);
		}
	}
	close_serve(serve);
	free(serve);
	return ret;
}

const struct command cmd_serve = {
	.name = "serve",
	.help = "stand in for the allocation server",
	.usage = "Usage: bufftrack serve [OPTION...]\n"
		 "Listens where the allocation server did, and reports what its clients send to\n"
		 "the module: they stay as they are. Each connection is a client of the module,\n"
		 "and so is each further process that its messages name. Monitors get their\n"
		 "answers from the module's counters. Bad frees are printed, a line each, and go\n"
		 "to the tracepoints. Ends at Ctrl-C or SIGTERM, when all that was sent is done.\n"
		 "\n"
		 "A free does not say which memory it means: it is matched over all memory types\n"
		 "of its device, and is 'probable' where the address is allocated in several.\n"
		 "\n"
		 "Options:\n"
		 "  -h, --help          this text\n"
		 "  -s, --socket PATH   listen there (" SERVE_SOCKET ");\n"
		 "                      a socket that systemd passes goes before it\n"
		 "  -m, --mode MODE     who may connect, as of a file (660)\n"
		 "  -d, --devices FILE  what monitors ask of the devices: a line each, such as\n"
		 "                      '0 arch=2 dram=12G l1=1440M'\n"
		 "  -l, --log           print a line a message, as the allocation server does\n"
		 "  -j, --json          bad frees and the summary as JSON, one object a line\n"
		 "  -S, --summary       at the end the balance of all buffers, as of 'replay'\n"
		 "\n"
		 "Examples:\n"
		 "  bufftrack serve\n"
		 "  bufftrack serve --log --summary >server.log\n"
		 "  bufftrack serve --socket /run/bufftrack.sock --mode 666 --json\n",
	.run = serve_main,
};
