// SPDX-License-Identifier: GPL-2.0
/*
 * The same fields, written as an event of user space's own: not measured, since
 * neither of the kernels that are tested has it, and says so.
 */
#include <sys/utsname.h>
#include <tracefs.h>

#include "bench.h"

bool measure_user_events(const struct row *row, struct sample *sample)
{
	struct utsname name;

	(void)row;
	uname(&name);
	if (tracefs_file_exists(NULL, "user_events_data"))
		return cannot(sample, "Linux %s has user_events, this benchmark does not",
			      name.release);
	return cannot(sample, "Linux %s is built without CONFIG_USER_EVENTS", name.release);
}
