# SPDX-License-Identifier: GPL-2.0
# Thin: each target hands over to the directory whose work it is.

KVER ?= $(shell uname -r)
KDIR ?= /lib/modules/$(KVER)/build
BUILD := $(CURDIR)/build
# The headers know their kernel's release, whatever directory they lie in.
RELEASE = $(or $(shell sed -n 's/.*UTS_RELEASE "\(.*\)"/\1/p' \
		 $(KDIR)/include/generated/utsrelease.h 2>/dev/null),$(KVER))
OUT = $(BUILD)/$(if $(VARIANT),$(VARIANT)/)$(RELEASE)

export BUFFTRACK_UAPI := $(CURDIR)/uapi
export BUFFTRACK_KMOD := $(CURDIR)/kmod
export BUFFTRACK_VARIANT := $(VARIANT)

.DEFAULT_GOAL := all
# Every target of "make help"; its ## as two dots, since make takes a # for a comment.
.PHONY: $(shell sed -n 's/^.. \([a-z-]*\):.*/\1/p' $(firstword $(MAKEFILE_LIST)))

## all: the module for KVER= or KDIR= (default: the running kernel), tool, library
all: module tool lib

## module: build/<release>/bufftrack.ko, for KVER= or KDIR= (VARIANT=kunit, kcov, gcov: for tests)
# Kbuild writes beside its sources: it is given a tree of links to them.
module: | deps-build
	@test -e $(KDIR)/Makefile || { \
	  echo "bufftrack: no kernel headers in $(KDIR): install those of $(KVER)" >&2; \
	  echo "  (Debian: apt-get install linux-headers-$(KVER)), or give KDIR=" >&2; exit 1; }
	@mkdir -p $(OUT) && cp -rsf $(CURDIR)/Kbuild $(CURDIR)/kmod $(OUT)/
	$(MAKE) -C $(KDIR) M=$(OUT) modules

## tool: build/user/bufftrack
tool: | deps-build
	$(MAKE) -C userspace O=$(BUILD)/user

## lib: libbufftrack and its examples, in build/user/lib and build/user/examples
lib: | deps-build
	$(MAKE) -C userspace/lib O=$(BUILD)/user all examples

## layers: build/user/layers, by which runtimes that do not know of bufftrack are seen
layers: lib
	packaging/deps layers
	$(MAKE) -C userspace/layers O=../../build/user

## demo: the main job, on real input, in a VM; installs what it needs
demo:
	selftests/demo/run

## picture: userspace/man/top.svg anew: bufftrack top, in a VM, as README.md shows it
picture:
	selftests/demo/picture

## check: every test, in VMs; installs what it needs (MINUTES=N: begin none after that;
##   TESTS="abi verdicts deb": those only)
check:
	selftests/host/check $(if $(MINUTES),--minutes $(MINUTES)) $(TESTS)

## check-all: the same on every kernel there is: kcsan, 7.2 and arm64 too
check-all:
	selftests/host/check --all --table

## mutate: faults put into the module on purpose, each of which the tests must catch
mutate:
	selftests/mutate/run

## fuzz: programs of commands, guided by coverage, in a VM, for MINUTES=10; keeps the new ones
fuzz:
	selftests/fuzz/run $(if $(MINUTES),--minutes $(MINUTES))

## coverage: lines and branches of the module that the tests meet; build/coverage/index.html
coverage:
	selftests/host/coverage

## lint: every static check; installs what it needs
lint:
	selftests/host/lint

## findings: what surprised us in other people's software, shown once more; downloads it
findings:
	selftests/host/findings

## bench: instructions an ALLOC or a FREE takes, and its peers; build/bench.json
bench:
	selftests/bench/run

## bench-memory: bytes a buffer, a tombstone, a client and a stack take
bench-memory:
	selftests/bench/memory

## bench-scale: what a second CPU adds (on a host with two that are idle)
bench-scale:
	selftests/bench/scale

## bench-uml: nanoseconds a pair takes in the table, in a User Mode Linux
bench-uml:
	selftests/bench/uml

## bench-tool: what a report of 1,000,000 events takes, beside trace-cmd and perf (BASE=: a build)
bench-tool:
	selftests/bench/tool

# Where install puts what is not of userspace, and uninstall looks for it
installed_module = $(DESTDIR)/lib/modules/$(RELEASE)/updates/bufftrack.ko
installed_group = $(DESTDIR)/usr/lib/sysusers.d/bufftrack.conf
installed_rule = $(DESTDIR)/usr/lib/udev/rules.d/60-bufftrack.rules
installed_completion = $(DESTDIR)/usr/share/bash-completion/completions/bufftrack
installed_units = $(addprefix $(DESTDIR)$(UNITDIR)/,bufftrack-serve.socket bufftrack-serve.service)
PREFIX ?= /usr/local
UNITDIR ?= $(PREFIX)/lib/systemd/system

## install: the module (for KVER=), the tool, udev rule, group; DESTDIR= PREFIX=
# udevd looks a rule's group up when it reads the rule, and drops one that is not there: the
# group comes first. Where there is a DESTDIR it is left to that machine's systemd-sysusers.
install: all
	install -D -m 644 $(OUT)/bufftrack.ko $(installed_module)
	install -D -m 644 packaging/sysusers/bufftrack.conf $(installed_group)
	$(group)
	install -D -m 644 packaging/udev/60-bufftrack.rules $(installed_rule)
	$(udev)
	install -D -m 644 packaging/completions/bufftrack $(installed_completion)
	install -d $(DESTDIR)$(UNITDIR)
	for unit in $(installed_units); do \
	  sed 's,/usr/bin/,$(PREFIX)/bin/,' packaging/systemd/$${unit##*/} >$$unit && \
	  chmod 644 $$unit || exit; \
	done
	$(MAKE) -C userspace O=$(BUILD)/user install
	$(MAKE) -C userspace/lib O=$(BUILD)/user install
	test -n "$(DESTDIR)" || depmod $(RELEASE)

define group
	@test -n "$(DESTDIR)" || getent group bufftrack >/dev/null || \
	  systemd-sysusers bufftrack.conf 2>/dev/null || groupadd --system bufftrack || { \
	  echo "bufftrack: there is no group bufftrack: only root may report;"; \
	  echo "  make one, then 'make install' again"; } >&2
endef

# A rule that it read when there was no group is read again, the file being a new one; and a
# device that is there already stays as it is until udevd is told to look at it.
define udev
	@test -n "$(DESTDIR)" || test ! -S /run/udev/control || \
	  ! command -v udevadm >/dev/null || { udevadm control --reload && \
	  udevadm trigger --subsystem-match=bufftrack --sysname-match=bufftrack; } 2>/dev/null || \
	  echo "bufftrack: udev did not take its rule: until a reboot only root may report" >&2
endef

## uninstall: takes away what install brought, by the same KVER= DESTDIR= PREFIX=; not the group
# Somebody was made a member, and files may be the group's. That the rule is gone udevd sees
# by itself; the kernel may be gone, too.
uninstall:
	rm -f $(installed_module) $(installed_group) $(installed_rule) $(installed_completion) \
	  $(installed_units)
	$(MAKE) -C userspace uninstall
	$(MAKE) -C userspace/lib uninstall
	test -n "$(DESTDIR)" || test ! -d /lib/modules/$(RELEASE) || depmod $(RELEASE)

## dkms: register the source with DKMS, which builds it for each new kernel
# DKMS installs the newest, by this name: without a tag it goes by the commit's time.
VERSION = $(or $(shell git describe --tags --match 'v[0-9]*' 2>/dev/null), \
  $(shell git log -1 --date=format:%Y%m%d.%H%M%S --format=0.0.%cd.g%h 2>/dev/null),0)
dkms:
	@test -n "$(DESTDIR)" || command -v dkms >/dev/null || { \
	  echo "bufftrack: no dkms here: apt-get install dkms, or give DESTDIR=" >&2; exit 1; }
	install -d $(DESTDIR)/usr/src/bufftrack-$(VERSION)/packaging
	cp -r Kbuild Makefile kmod uapi $(DESTDIR)/usr/src/bufftrack-$(VERSION)/
	sed 's/@VERSION@/$(VERSION)/' packaging/dkms/dkms.conf \
	  >$(DESTDIR)/usr/src/bufftrack-$(VERSION)/dkms.conf
	test -n "$(DESTDIR)" || dkms install bufftrack/$(VERSION)

## deb: Debian's packages of the tool, the library and the module, in build/deb
deb:
	packaging/deb

## clean: what was built in this tree (not the cache of kernels)
clean:
	rm -rf $(BUILD)

## help: this
help:
	@sed -n 's/^## //p' $(MAKEFILE_LIST)

.PHONY: deps-build
deps-build:
	@test -n "$(BUFFTRACK_NODEPS)" || packaging/deps build
