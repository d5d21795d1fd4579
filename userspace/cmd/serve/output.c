// SPDX-License-Identifier: GPL-2.0
/* A bounded queue of bytes between who says something and the thread that writes it. */
#include <errno.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cmd/serve/output.h"
#include "util/util.h"

#define ROOM (1U << 20)
#define LINE 512

struct output {
	pthread_t thread;
	pthread_mutex_t lock; /* all of what follows */
	pthread_cond_t more;
	char *queued;
	size_t used;
	uint64_t left_out; /* since the last line that went in */
	uint64_t left_out_all;
	bool ending;
	bool broken; /* nobody reads any more */
};

static bool write_all(const char *text, size_t len)
{
	ssize_t n;

	while (len) {
		n = write(STDOUT_FILENO, text, len);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return false;
		text += n;
		len -= (size_t)n;
	}
	return true;
}

static void *write_queued(void *data)
{
	struct output *output = data;
	char *text = xrealloc(NULL, ROOM, 1);
	size_t len;
	bool good;

	pthread_mutex_lock(&output->lock);
	for (;;) {
		while (!output->used && !output->ending)
			pthread_cond_wait(&output->more, &output->lock);
		if (!output->used)
			break;
		len = output->used;
		memcpy(text, output->queued, len);
		output->used = 0;
		pthread_mutex_unlock(&output->lock);
		good = write_all(text, len);
		pthread_mutex_lock(&output->lock);
		if (!good) {
			output->broken = true;
			break;
		}
	}
	pthread_mutex_unlock(&output->lock);
	free(text);
	return NULL;
}

struct output *output_start(void)
{
	struct output *output = xrealloc(NULL, 1, sizeof(*output));
	int error;

	memset(output, 0, sizeof(*output));
	pthread_mutex_init(&output->lock, NULL);
	pthread_cond_init(&output->more, NULL);
	output->queued = xrealloc(NULL, ROOM, 1);
	error = pthread_create(&output->thread, NULL, write_queued, output);
	if (error) {
		complain("cannot start a thread for the output: %s", strerror(error));
		free(output->queued);
		free(output);
		return NULL;
	}
	return output;
}

/* With the lock held. */
static bool put(struct output *output, const char *text, size_t len)
{
	if (output->broken || output->used + len > ROOM)
		return false;
	memcpy(output->queued + output->used, text, len);
	output->used += len;
	pthread_cond_signal(&output->more);
	return true;
}

/* One line, its end included; cut where it is longer than %LINE bytes. */
void output_line(struct output *output, const char *format, ...)
{
	char line[LINE], lost[LINE];
	va_list args;
	int n, m;

	va_start(args, format);
	n = vsnprintf(line, sizeof(line) - 1, format, args);
	va_end(args);
	if (n < 0)
		return;
	if (n > LINE - 2)
		n = LINE - 2;
	line[n++] = '\n';

	pthread_mutex_lock(&output->lock);
	if (output->left_out) {
		m = snprintf(lost, sizeof(lost), "%llu lines left out: the reader is too slow\n",
			     (unsigned long long)output->left_out);
		if (put(output, lost, (size_t)m))
			output->left_out = 0;
	}
	if (output->left_out || !put(output, line, (size_t)n)) {
		output->left_out++;
		output->left_out_all++;
	}
	pthread_mutex_unlock(&output->lock);
}

/* Waits until all is written. Returns how many lines were left out. */
uint64_t output_stop(struct output *output)
{
	uint64_t left_out;

	pthread_mutex_lock(&output->lock);
	output->ending = true;
	pthread_cond_signal(&output->more);
	pthread_mutex_unlock(&output->lock);
	pthread_join(output->thread, NULL);
	left_out = output->left_out_all;
	pthread_mutex_destroy(&output->lock);
	pthread_cond_destroy(&output->more);
	free(output->queued);
	free(output);
	return left_out;
}
