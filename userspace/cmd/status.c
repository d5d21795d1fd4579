// SPDX-License-Identifier: GPL-2.0
/* status: whether the module is there, how it is set, and what it counted. */
#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <json-c/linkhash.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "cmd/command.h"
#include "cmd/metrics.h"
#include "abi/counters.h"
#include "abi/device.h"
#include "event/names.h"
#include "util/json.h"
#include "util/options.h"
#include "util/util.h"

#define LINE_COLUMNS 80

/* What is shown of the module, as it was read at once. */
struct status {
	struct json_object *parameters;
	struct counters counters;
};

/* A parameter's value: a number where it is one. */
static struct json_object *read_parameter(const char *name)
{
	char path[512], value[128];
	uint64_t number;
	FILE *file;

	snprintf(path, sizeof(path), MODULE_SYSFS "/parameters/%s", name);
	file = fopen(path, "re");
	if (!file)
		return NULL;
	if (!fgets(value, sizeof(value), file))
		value[0] = '\0';
	fclose(file);
	value[strcspn(value, "\n")] = '\0';
	if (parse_number(value, &number))
		return json_object_new_uint64(number);
	return json_object_new_string(value);
}

static struct json_object *read_parameters(void)
{
	struct json_object *parameters = json_object_new_object();
	struct dirent **entries = NULL;
	int nr, i;

	nr = scandir(MODULE_SYSFS "/parameters", &entries, NULL, alphasort);
	for (i = 0; i < nr; i++) {
		if (entries[i]->d_name[0] != '.')
			json_add(parameters, entries[i]->d_name,
				 read_parameter(entries[i]->d_name));
		free(entries[i]);
	}
	free(entries);
	return parameters;
}

static bool read_status(struct status *status, int fd)
{
	if (counters_read(&status->counters, fd))
		return true;
	complain("cannot read the counters: %s", strerror(errno));
	return false;
}

/* The names of bits that are set; NULL where a bit has none here. */
struct bit_name {
	uint64_t bit;
	const char *name;
};

static const struct bit_name features[] = {
	{ BUFFTRACK_FEATURE_CORE, "core" },	  { BUFFTRACK_FEATURE_BATCH, "batch" },
	{ BUFFTRACK_FEATURE_LABEL, "label" },	  { BUFFTRACK_FEATURE_RESET, "reset" },
	{ BUFFTRACK_FEATURE_STACK, "stack" },	  { BUFFTRACK_FEATURE_EXCLUSIVE, "exclusive" },
	{ BUFFTRACK_FEATURE_SHARED, "shared" },	  { BUFFTRACK_FEATURE_VIEW, "view" },
	{ BUFFTRACK_FEATURE_PRIVATE, "private" }, { BUFFTRACK_FEATURE_STRICT, "strict" },
	{ BUFFTRACK_FEATURE_TRAP, "trap" },
};

static const struct bit_name client_flags[] = {
	{ BUFFTRACK_CLIENT_PRIVATE, "private" },
	{ BUFFTRACK_CLIENT_STRICT, "strict" },
	{ BUFFTRACK_CLIENT_TRAP, "trap" },
};

static struct json_object *bits_json(const struct bit_name *names, size_t nr, uint64_t bits)
{
	struct json_object *array = json_object_new_array();
	size_t i;

	for (i = 0; i < nr; i++)
		if (bits & names[i].bit)
			json_object_array_add(array, json_object_new_string(names[i].name));
	return array;
}

static struct json_object *device_json(const struct counters *counters,
				       const struct bufftrack_stat *stat)
{
	struct json_object *object = counters_device_json(stat);
	struct json_object *spaces = json_object_new_array();
	size_t i;

	for (i = 0; i < counters->nr_spaces; i++)
		if (counters->spaces[i].device == stat->device)
			json_object_array_add(spaces, counters_space_json(&counters->spaces[i]));
	json_add(object, "spaces", spaces);
	return object;
}

static struct json_object *client_json(const struct bufftrack_stat *stat)
{
	struct json_object *object = json_object_new_object();
	char name[BUFFTRACK_NAME_LEN], comm[BUFFTRACK_COMM_LEN];

	counters_name(stat, name);
	copy_text(comm, sizeof(comm), stat->comm, sizeof(stat->comm));
	json_add_number(object, "client", stat->client);
	json_add_text(object, "name", name);
	json_add_number(object, "pid", stat->pid);
	json_add_text(object, "comm", comm);
	json_add_number(object, "uid", stat->uid);
	json_add(object, "flags",
		 bits_json(client_flags, ARRAY_SIZE(client_flags), stat->client_flags));
	counters_add_json(object, stat);
	return object;
}

static void add_status(struct json_object *object, const struct counters *counters)
{
	struct json_object *devices = json_object_new_array();
	struct json_object *clients = json_object_new_array();
	size_t i;

	json_add(object, "features",
		 bits_json(features, ARRAY_SIZE(features), counters->info.features));
	counters_add_json(object, &counters->all);
	json_add_number(object, "stacks_lost", counters->info.stacks_lost);
	json_add_number(object, "logs_suppressed", counters->info.logs_suppressed);
	json_add_number(object, "failed", counters->info.failed);
	for (i = 0; i < counters->nr_devices; i++)
		json_object_array_add(devices, device_json(counters, &counters->devices[i]));
	json_add(object, "devices", devices);
	for (i = 0; i < counters->nr_clients; i++)
		json_object_array_add(clients, client_json(&counters->clients[i]));
	json_add(object, "clients", clients);
}

static void print_json(const struct status *status, bool known)
{
	struct json_object *object = json_object_new_object();

	json_add_bool(object, "loaded", true);
	json_add(object, "parameters", json_object_get(status->parameters));
	if (known)
		add_status(object, &status->counters);
	json_print(object);
}

/* A line that begins with a heading and goes on, indented, where it is full. */
struct line {
	int indent;
	int at;
};

static struct line begin_line(const char *heading)
{
	printf("%-12s", heading);
	return (struct line){ .indent = 12, .at = 12 };
}

static void add_word(struct line *line, const char *word)
{
	int len = (int)strlen(word);

	if (line->at > line->indent && line->at + 1 + len > LINE_COLUMNS) {
		printf("\n%*s", line->indent, "");
		line->at = line->indent;
	}
	line->at += printf("%s%s", line->at > line->indent ? " " : "", word);
}

static void print_parameters(struct json_object *parameters)
{
	struct line line = begin_line("parameters:");
	char word[256];

	json_object_object_foreach(parameters, key, value)
	{
		snprintf(word, sizeof(word), "%s=%s", key,
			 value ? json_object_get_string(value) : "?");
		add_word(&line, word);
	}
	putchar('\n');
}

static void print_features(uint64_t bits)
{
	struct line line = begin_line("features:");
	size_t i;

	for (i = 0; i < ARRAY_SIZE(features); i++)
		if (bits & features[i].bit)
			add_word(&line, features[i].name);
	putchar('\n');
}

static void print_verdicts(const struct bufftrack_stat *stat)
{
	struct line line = begin_line("verdicts:");
	char word[64];
	unsigned int i;

	for (i = 0; i < BUFFTRACK_NR_VERDICTS; i++) {
		if (i != BUFFTRACK_OK && !stat->verdicts[i])
			continue;
		snprintf(word, sizeof(word), "%s=%" PRIu64, verdict_name(i),
			 (uint64_t)stat->verdicts[i]);
		add_word(&line, word);
	}
	putchar('\n');
}

static void print_losses(const struct counters *counters)
{
	printf("%-12s%" PRIu64 " freed-buffer records; lost: %" PRIu64 " records, %" PRIu64
	       " stacks, %" PRIu64 " log lines\n",
	       "history:", (uint64_t)counters->all.history, (uint64_t)counters->info.evicted,
	       (uint64_t)counters->info.stacks_lost, (uint64_t)counters->info.logs_suppressed);
	if (counters->info.failed)
		printf("%-12s%" PRIu64 " allocs, since a limit was reached:\n"
		       "            raise max_buffers, max_devices, max_clients or memory.max\n",
		       "refused:", (uint64_t)counters->info.failed);
}

static void print_counters(const char *name, const struct bufftrack_stat *stat)
{
	char bytes[SHORT_TEXT], peak[SHORT_TEXT];

	printf("%-22.22s %8" PRIu64 " %7s %7s %10" PRIu64 " %10" PRIu64 " %8" PRIu64 "\n", name,
	       (uint64_t)stat->live, format_size(bytes, stat->bytes),
	       format_size(peak, stat->peak_bytes), (uint64_t)stat->allocs, (uint64_t)stat->frees,
	       counters_bad(stat));
}

static void print_devices(const struct counters *counters)
{
	const struct bufftrack_stat *device, *space;
	char label[BUFFTRACK_NAME_LEN], id[SHORT_TEXT];
	char name[2 * BUFFTRACK_NAME_LEN];
	size_t i, j;

	printf("\n%-22s %8s %7s %7s %10s %10s %8s\n", "DEVICE, SPACE", "LIVE", "BYTES", "PEAK",
	       "ALLOCS", "FREES", "BAD");
	print_counters("all", &counters->all);
	for (i = 0; i < counters->nr_devices; i++) {
		device = &counters->devices[i];
		counters_name(device, label);
		snprintf(name, sizeof(name), "%s%s%s", format_id(id, device->device),
			 *label ? " " : "", label);
		print_counters(name, device);
		for (j = 0; j < counters->nr_spaces; j++) {
			space = &counters->spaces[j];
			if (space->device != device->device)
				continue;
			counters_name(space, label);
			snprintf(name, sizeof(name), "  %u%s%s", space->space, *label ? " " : "",
				 label);
			print_counters(name, space);
		}
	}
}

static void print_clients(const struct counters *counters)
{
	const struct bufftrack_stat *client;
	char name[BUFFTRACK_NAME_LEN], comm[BUFFTRACK_COMM_LEN];
	char bytes[SHORT_TEXT];
	size_t i, j;

	if (!counters->nr_clients)
		return;
	printf("\n%-7s %7s %-15s %-12s %8s %7s %7s FLAGS\n", "CLIENT", "PID", "COMM", "NAME",
	       "LIVE", "BYTES", "BAD");
	for (i = 0; i < counters->nr_clients; i++) {
		client = &counters->clients[i];
		counters_name(client, name);
		copy_text(comm, sizeof(comm), client->comm, sizeof(client->comm));
		printf("%-7" PRIu64 " %7u %-15s %-12.12s %8" PRIu64 " %7s %7" PRIu64 " ",
		       (uint64_t)client->client, client->pid, comm, *name ? name : "-",
		       (uint64_t)client->live, format_size(bytes, client->bytes),
		       counters_bad(client));
		for (j = 0; j < ARRAY_SIZE(client_flags); j++)
			putchar(client->client_flags & client_flags[j].bit ? client_flags[j].name[0]
									   : '-');
		putchar('\n');
	}
}

static void print_text(const struct status *status, bool known)
{
	puts("loaded: yes");
	print_parameters(status->parameters);
	if (!known)
		return;
	print_features(status->counters.info.features);
	print_verdicts(&status->counters.all);
	print_losses(&status->counters);
	print_devices(&status->counters);
	print_clients(&status->counters);
}

/* A reader of metrics wants all of them or none. */
static int run_prometheus(void)
{
	struct status status = { 0 };
	bool known;
	int fd;

	if (!module_loaded()) {
		metrics_print(NULL);
		return EXIT_OK;
	}
	fd = device_open();
	known = fd >= 0 && read_status(&status, fd);
	if (known)
		metrics_print(&status.counters);
	counters_free(&status.counters);
	if (fd >= 0)
		close(fd);
	return known ? EXIT_OK : EXIT_ERROR;
}

static int run_status(bool json)
{
	struct status status = { 0 };
	bool known;
	int fd;

	if (!module_loaded()) {
		puts(json ? "{\"loaded\":false}" : "loaded: no");
		return EXIT_OK;
	}
	/* Who may not open the device still sees how the module is set. */
	status.parameters = read_parameters();
	fd = device_open();
	known = fd >= 0 && read_status(&status, fd);
	if (json)
		print_json(&status, known);
	else
		print_text(&status, known);
	json_object_put(status.parameters);
	counters_free(&status.counters);
	if (fd >= 0)
		close(fd);
	return known ? EXIT_OK : EXIT_ERROR;
}

static int status_main(int argc, char **argv)
{
	bool json = false, prometheus = false;
	const struct option_spec options[] = {
		OPTION_FLAG('j', "json", &json),
		OPTION_FLAG(0, "prometheus", &prometheus),
	};
	int ret = command_options_only(&cmd_status, argc, argv, options, ARRAY_SIZE(options));

	if (ret != COMMAND_GO_ON)
		return ret;
	if (json && prometheus) {
		complain("--json and --prometheus are two formats: give one of them");
		return command_misused(&cmd_status);
	}
	return prometheus ? run_prometheus() : run_status(json);
}

const struct command cmd_status = {
	.name = "status",
	.help = "show whether it is loaded, and its counters",
	.usage = "Usage: bufftrack status [OPTION...]\n"
		 "Shows whether the module is loaded, its parameters, and its counters: all of\n"
		 "them, by device and space, and by client. Without root: of the caller's own\n"
		 "clients and of the devices that they used. That it is not loaded is an\n"
		 "answer, not an error.\n"
		 "\n"
		 "Options:\n"
		 "  -h, --help        this text\n"
		 "  -j, --json        one JSON object\n"
		 "      --prometheus  metrics, for the textfiles of node_exporter\n"
		 "\n"
		 "Examples:\n"
		 "  bufftrack status\n"
		 "  bufftrack status --json | jq .double_free\n",
	.run = status_main,
};
