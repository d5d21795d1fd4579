// SPDX-License-Identifier: GPL-2.0
/* Pointers of every sort, to the struct of a call and to the arrays it names. */
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "fuzz.h"

#define PAGE 4096U
#define RO_LEN (4 * PAGE)

static uint8_t *map(size_t size, int prot, int flags, int fd)
{
	uint8_t *at = mmap(NULL, size, prot, flags, fd, 0);

	if (at == MAP_FAILED)
		die("no memory");
	return at;
}

static struct room map_room(size_t len)
{
	struct room room = { .len = len };

	room.at = map(len + PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1);
	if (mprotect(room.at + len, PAGE, PROT_NONE))
		die("no guard page");
	return room;
}

void arena_init(struct arena *arena)
{
	int fd = memfd_create("fuzz", MFD_CLOEXEC);

	if (fd < 0 || ftruncate(fd, RO_LEN))
		die("no memfd");
	arena->ro = map(RO_LEN, PROT_READ, MAP_SHARED, fd);
	arena->ro_alias = map(RO_LEN, PROT_READ | PROT_WRITE, MAP_SHARED, fd);
	close(fd);

	/* The longest that a command can carry, and what guards it. */
	arena->single = map_room(5 * PAGE);
	arena->array = map_room(128 * PAGE);
	arena->stack = map_room(2 * PAGE);
	arena->scratch =
		map(arena->array.len, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1);
	/* Nothing that is mapped later is as small. */
	arena->hole = map(PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1);
	munmap(arena->hole, PAGE);
}

/* What an argument's byte stands for: mostly a place that can be used. */
enum place place_of(uint8_t byte)
{
	if (byte < 208)
		return PLACE_VALID;
	return PLACE_END + (byte - 208) % (NR_PLACES - PLACE_END);
}

/* Where an object of that size is to be that lies so; too large a one is cut. */
void *place_in(const struct arena *arena, const struct room *room, enum place where, size_t size)
{
	uint8_t *end = room->at + room->len;

	if (size > room->len)
		size = room->len;
	switch (where) {
	case PLACE_END:
		return end - size;
	case PLACE_ODD:
		return size < room->len ? end - size - 1 : room->at;
	case PLACE_NULL:
		return NULL;
	case PLACE_NONE:
		return end;
	case PLACE_HOLE:
		return arena->hole;
	case PLACE_RO:
		return arena->ro;
	case PLACE_STRADDLE:
		return end - size / 2;
	case PLACE_KERNEL:
		return (void *)0xffff888000001000ULL;
	case PLACE_WRAP:
		return (void *)-16L;
	default:
		return room->at;
	}
}

/* Writes an object there, as far as there is memory. Returns how much of it. */
size_t place_fill(const struct arena *arena, const struct room *room, enum place where,
		  const void *from, size_t size)
{
	uint8_t *to = place_in(arena, room, where, size);
	size_t len;

	switch (where) {
	case PLACE_VALID:
	case PLACE_END:
	case PLACE_ODD:
	case PLACE_STRADDLE:
		len = room->at + room->len - to;
		break;
	case PLACE_RO:
		to = arena->ro_alias;
		len = RO_LEN;
		break;
	default:
		return 0;
	}
	if (len > size)
		len = size;
	memcpy(to, from, len);
	return len;
}
