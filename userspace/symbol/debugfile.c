// SPDX-License-Identifier: GPL-2.0
/*
 * The files that hold the debug information of others. They are looked for by build id
 * and by .gnu_debuglink, beside the file, in .debug and in the directories of debug files.
 * Where that has found none the resolver is asked for one.
 */
#include <elfutils/libdwelf.h>
#include <errno.h>
#include <fcntl.h>
#include <gelf.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "symbol/debugfile.h"
#include "symbol/module.h"
#include "util/util.h"

/* As in the ELF specification; elf.h of glibc 2.36 does not have it. */
#ifndef ELFCOMPRESS_ZSTD
#define ELFCOMPRESS_ZSTD 2
#endif

/**
 * open_file - opens a regular file to read it
 * @path: its name
 *
 * A FIFO of that name would keep us waiting, and a device is not even opened, as that
 * can do things. Returns -1 where it is none, or cannot be read.
 */
int open_file(const char *path)
{
	int found = open(path, O_PATH | O_CLOEXEC), fd = -1, error;
	char same[32];
	struct stat stat;

	if (found < 0)
		return -1;
	errno = EINVAL;
	if (fstat(found, &stat) == 0 && S_ISREG(stat.st_mode)) {
		snprintf(same, sizeof(same), "/proc/self/fd/%d", found);
		fd = open(same, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	}
	error = errno;
	close(found);
	errno = error;
	return fd;
}

/*
 * CRC-32 of the whole file, as .gnu_debuglink has it. A file without a build id has
 * nothing else to tell its debug file from another's.
 */
static bool has_crc(int fd, GElf_Word wanted)
{
	unsigned char buffer[1 << 14];
	uint32_t crc = ~0U;
	off_t at = 0;
	ssize_t got, i;
	int bit;

	while ((got = pread(fd, buffer, sizeof(buffer), at)) > 0) {
		for (i = 0; i < got; i++) {
			crc ^= buffer[i];
			for (bit = 0; bit < 8; bit++)
				crc = crc >> 1 ^ (crc & 1 ? 0xedb88320 : 0);
		}
		at += got;
	}
	return got == 0 && ~crc == wanted;
}

static bool has_build_id(int fd, const unsigned char *wanted, int len)
{
	Elf *elf = elf_begin(fd, ELF_C_READ, NULL);
	const void *id;
	bool same;

	same = elf && dwelf_elf_gnu_build_id(elf, &id) == len &&
	       memcmp(id, wanted, (size_t)len) == 0;
	elf_end(elf);
	return same;
}

/**
 * is_compressed_unknown - whether libelf cannot read the DWARF for how it is compressed
 * @elf: a file of which libdw has found none
 */
bool is_compressed_unknown(Elf *elf)
{
	Elf_Scn *section = NULL;
	GElf_Shdr header;
	GElf_Chdr chdr;
	const char *name;
	size_t names;

	if (elf_getshdrstrndx(elf, &names))
		return false;
	while ((section = elf_nextscn(elf, section))) {
		if (!gelf_getshdr(section, &header) || !(header.sh_flags & SHF_COMPRESSED))
			continue;
		name = elf_strptr(elf, names, header.sh_name);
		if (name && strcmp(name, ".debug_info") == 0 && gelf_getchdr(section, &chdr) &&
		    chdr.ch_type != ELFCOMPRESS_ZLIB)
			return elf_compress(section, 0, 0) < 0;
	}
	return false;
}

/* What .gnu_debuglink names, in the directory of @path or below it. */
static int open_debuglink(Dwfl_Module *file, const char *path, const char *link, GElf_Word crc,
			  char **found)
{
	static const char *const below[] = { "", ".debug/" };
	int directory = (int)(strrchr(path, '/') + 1 - path), len, fd;
	const unsigned char *id;
	GElf_Addr address;
	size_t i;

	len = dwfl_module_build_id(file, &id, &address);
	for (i = 0; i < ARRAY_SIZE(below); i++) {
		if (asprintf(found, "%.*s%s%s", directory, path, below[i], link) < 0)
			break;
		fd = open_file(*found);
		if (fd >= 0 && (len > 0 ? has_build_id(fd, id, len) : has_crc(fd, crc)))
			return fd;
		if (fd >= 0)
			close(fd);
		free(*found);
	}
	*found = NULL;
	return -1;
}

static void note_compression(struct module *module, int fd)
{
	Elf *elf = elf_begin(fd, ELF_C_READ, NULL);

	if (elf && is_compressed_unknown(elf))
		module->unknown_compression = true;
	elf_end(elf);
}

static bool has_same_build_id(Dwfl_Module *file, int fd)
{
	const unsigned char *id;
	GElf_Addr address;
	int len = dwfl_module_build_id(file, &id, &address);

	return len > 0 && has_build_id(fd, id, len);
}

/* find_debug_file - libdwfl's callback of that kind; its data is a struct module */
int find_debug_file(Dwfl_Module *file, void **data, const char *name, Dwarf_Addr base,
		    const char *path, const char *link, GElf_Word crc, char **found)
{
	struct module *module = *data;
	int fd = -1;

	/* Once: what the file shares with others is looked for too, by the same callback. */
	if (module && module->debug_fd >= 0) {
		fd = module->debug_fd;
		module->debug_fd = -1;
		*found = strdup(path ? path : name);
		if (has_same_build_id(file, fd))
			return fd;
		close(fd);
		free(*found);
		*found = NULL;
		fd = -1;
	}
	if (link && path && strchr(path, '/') && !strchr(link, '/'))
		fd = open_debuglink(file, path, link, crc, found);
	if (fd < 0)
		fd = dwfl_standard_find_debuginfo(file, data, name, base, path,
						  link && strchr(link, '/') ? NULL : link, crc,
						  found);
	if (fd >= 0 && module)
		note_compression(module, fd);
	return fd;
}
