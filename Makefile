# SPDX-License-Identifier: Apache-2.0
# make          build/bittern                make check   unit tests, no root (SAN=1: sanitizers)
# make run      build and watch this host    make check-bpf   the hooks, as root, seconds
# make lint     format, includes, warnings   make check-kernels   on other kernels, minutes
# make bench    what bittern costs           make test    install what tests need, run everything
# V=1 shows the commands. All that is made is under build/.

SAN ?=
B := build$(if $(SAN),/san)
Q := $(if $(V),,@)
CC ?= gcc
CLANG ?= clang-16
CLANG_FORMAT ?= clang-format-16
BPFTOOL ?= $(firstword $(wildcard /usr/sbin/bpftool) bpftool)
ARCH := $(patsubst aarch64,arm64,$(patsubst x86_64,x86,$(shell uname -m)))
SUDO := $(if $(filter 0,$(shell id -u)),,sudo)
BPF_INCLUDES = -Ivmlinux -Ibpf -I/usr/include/$(shell $(CC) -print-multiarch)

CFLAGS += -std=gnu11 -O3 -g -D_GNU_SOURCE -Wall -Wextra -Werror -MMD -MP -I$(B) \
	$(if $(SAN),-fsanitize=address$(comma)undefined -fno-omit-frame-pointer \
	-fno-sanitize-recover=undefined)
comma := ,
BPF_CFLAGS = -g -O2 -target bpf -D__TARGET_ARCH_$(ARCH) -Wall -Wextra -Werror \
	-Wno-unused-parameter -MMD -MP $(BPF_INCLUDES)
LDLIBS = -Wl,-z,pack-relative-relocs -Wl,-Bstatic -lbpf -lelf -lmicrohttpd -ljansson -luuid \
	-lprotobuf-c -lcurl -lnghttp2 -lssl -lcrypto -lz -lyaml -Wl,-Bdynamic -lm -lpthread

SOURCES := $(wildcard agent/*.c exporters/*.c)
PROTOS := $(patsubst exporters/proto/%.proto,%.pb-c,$(wildcard exporters/proto/*.proto))
OBJECTS := $(SOURCES:%.c=$(B)/%.o) $(PROTOS:%=$(B)/%.o)
ROOMS := $(filter-out $(B)/agent/main.o,$(OBJECTS))
TESTS := $(patsubst tests/%.c,$(B)/tests/%,$(wildcard tests/test_*.c))
BPF_TESTS := $(patsubst tests/%.c,$(B)/tests/%,$(wildcard tests/bpf_*.c))
BPF_OBJECTS := $(patsubst bpf/%.c,$(B)/%.o,$(wildcard bpf/*.bpf.c))
FORMATTED := $(wildcard agent/*.[ch] exporters/*.[ch] tests/*.[ch] bpf/*.[ch])

BUILD_PACKAGES := gcc make pkg-config clang-16 llvm-16 libc6-dev libelf-dev zlib1g-dev \
	libmicrohttpd-dev libjansson-dev uuid-dev protobuf-c-compiler libprotobuf-c-dev \
	libcurl4-openssl-dev libnghttp2-dev libssl-dev libyaml-dev
BACKPORTS := libbpf-dev bpftool
TEST_PACKAGES := libcmocka-dev clang-format-16 shellcheck

all: $(B)/bittern

$(B)/bittern: $(OBJECTS)
	@echo "  LD      $@"
	$(Q)$(CC) $(CFLAGS) $(LDFLAGS) -o $@ $^ $(LDLIBS)

$(B)/%.o: %.c | packages-build
	@echo "  CC      $<"
	@mkdir -p $(@D)
	$(Q)$(CC) $(CFLAGS) -c -o $@ $<

$(B)/agent/capture.o: $(B)/bittern.skel.h
$(OBJECTS): | $(PROTOS:%=$(B)/%.h)

$(B)/%.pb-c.c $(B)/%.pb-c.h &: exporters/proto/%.proto | packages-build
	@echo "  PROTO   $<"
	@mkdir -p $(@D)
	$(Q)protoc-c --proto_path=$(<D) --c_out=$(B) $(<F)

$(B)/%.pb-c.o: $(B)/%.pb-c.c
	$(Q)$(CC) $(CFLAGS) -c -o $@ $<

$(B)/%.bpf.o: bpf/%.bpf.c | packages-build
	@echo "  BPF     $<"
	@mkdir -p $(@D)
	$(Q)$(CLANG) $(BPF_CFLAGS) -c -o $@ $<

$(B)/tests/%.bpf.o: tests/%.bpf.c
	@echo "  BPF     $<"
	@mkdir -p $(@D)
	$(Q)$(CLANG) $(BPF_CFLAGS) -c -o $@ $<

# Libraries that a test's processes load: named as the real ones, without sanitizers.
TLS_MADE := $(patsubst %.c,$(B)/%,$(wildcard tests/tls_made/*.c))
$(TLS_MADE): $(B)/tests/tls_made/%: tests/tls_made/%.c
	@mkdir -p $(@D)
	$(Q)$(CC) -O2 -shared -fPIC -Wl,-z,lazy -o $@ $<

$(B)/bittern.skel.h: $(BPF_OBJECTS)
	@echo "  SKEL    $@"
	$(Q)$(BPFTOOL) gen object $(B)/bittern.bpf.o $^
	$(Q)$(BPFTOOL) gen skeleton $(B)/bittern.bpf.o name bittern > $@.tmp && mv $@.tmp $@

$(filter $(B)/tests/test_console%,$(TESTS)): $(B)/tests/console_world.o $(B)/tests/screen.o
$(B)/tests/test_work $(filter $(B)/tests/test_exchange%,$(TESTS)): \
	$(B)/tests/exchange_bed.o $(B)/tests/wire.o
$(B)/tests/test_charges $(filter $(B)/tests/test_account%,$(TESTS)): \
	$(B)/tests/account_bed.o $(B)/tests/wire.o
$(B)/tests/test_pairing: $(B)/tests/exchange_bed.o $(B)/tests/play.o $(B)/tests/wire.o
$(B)/tests/test_pool_jobs_mixes: $(B)/tests/pool_jobs_sim.o $(B)/tests/pool_jobs_told.o
$(filter $(B)/tests/test_server%,$(TESTS)): $(B)/tests/server_client.o
$(BPF_TESTS): $(B)/tests/hooks_bed.o
$(filter $(B)/tests/test_otlp%,$(TESTS)): $(B)/tests/otlp_world.o
$(B)/tests/otlp_world.o: $(B)/otlp.pb-c.h
$(filter $(B)/tests/bpf_cpu%,$(BPF_TESTS)): $(B)/tests/cpu_bed.o
$(filter $(B)/tests/bpf_tls%,$(BPF_TESTS)): $(B)/tests/tls_bed.o | $(B)/tests/tls_hits.bpf.o
$(filter $(B)/tests/bpf_tls%,$(BPF_TESTS)) $(B)/tests/test_tls_places: | $(TLS_MADE)
# Which probes each process has, without any: what attaches them is the test's own.
$(B)/tests/test_tls: LDFLAGS += $(patsubst %,-Wl$(comma)--wrap=%,uprobes_know_processes \
	capture_program \
	$(addprefix tls_libraries_,open set_wanted set_groups cover run stats close))
# What the kernel is asked for.
$(B)/tests/test_uprobes: LDFLAGS += $(patsubst %,-Wl$(comma)--wrap=%, \
	bpf_program__attach_uprobe_multi bpf_link__destroy)
$(B)/tests/%: tests/%.c $(ROOMS) | packages-test
	@echo "  TEST    $@"
	@mkdir -p $(@D)
	$(Q)$(CC) $(CFLAGS) $(LDFLAGS) -o $@ $(filter %.c %.o,$^) -lcmocka $(LDLIBS) -lutil

check: $(TESTS)
	$(Q)for test in $(TESTS); do $$test || exit 1; done

check-bpf: $(BPF_TESTS)
	$(Q)for test in $(BPF_TESTS); do $(SUDO) $$test || exit 1; done

check-kernels: all $(BPF_TESTS)
	$(Q)tests/kernels/run.sh

run: all
	$(SUDO) $(B)/bittern --console

test: all | packages-test
	$(Q)tests/run.sh

bench: all
	$(Q)tests/bench/run.sh

lint: $(B)/bittern.skel.h $(PROTOS:%=$(B)/%.h) | packages-test
	$(Q)status=0; $(CLANG_FORMAT) --dry-run -Werror $(FORMATTED) || status=1; \
	CC=$(CC) CLANG=$(CLANG) BUILD=$(B) tests/lint.sh || status=1; exit $$status

# Missing packages are installed; with everything in place no network is used.
define install
	@missing=$$(for p in $(1) $(2); do dpkg-query -W -f '$${Status}' $$p 2>/dev/null | \
		grep -q 'ok installed' || echo $$p; done); \
	[ -z "$$missing" ] || deploy/install-packages.sh "$(2)" $$missing
endef

packages-build:
	$(call install,$(BUILD_PACKAGES),$(BACKPORTS))
packages-test: packages-build
	$(call install,$(TEST_PACKAGES),)

clean:
	rm -rf build

-include $(OBJECTS:.o=.d) $(wildcard $(B)/tests/*.d) $(BPF_OBJECTS:.o=.d)
.PHONY: all check check-bpf check-kernels run test bench lint clean packages-build packages-test
