# SPDX-License-Identifier: Apache-2.0
#
# A front for meson: `make run` and `make test` do everything, from the packages of the distribution on.

BUILD = build
PORT = 8080
ARGS =
PREFIX = /usr/local
DESTDIR =
JOBS = $(shell nproc)
SOAK_SECONDS = 600
CYCLES = 10000

.NOTPARALLEL:
.PHONY: build help deps deps-build deps-test deps-vm deps-bench bin packages run test test-system soak soak-leak bench install uninstall clean

build: deps-build bin packages ## what `make` alone does: everything, runnable from $(BUILD)/bin

help: ## this list
	@sed -n 's/^\([a-zA-Z%-]*\):[^#]*## /\1\t/p' Makefile | expand -t 12
	@echo "Variables: BUILD=$(BUILD) PORT=$(PORT) ARGS=$(ARGS) PREFIX=$(PREFIX) DESTDIR=$(DESTDIR) JOBS=$(JOBS)"

run: build ## the demo on 127.0.0.1:$(PORT) until Ctrl-C; ARGS=--once ends when all is shown and checked
	@BUILD=$(BUILD) PORT=$(PORT) tools/demo.sh $(ARGS)

test: deps-test bin ## unit and integration tests
	@BUILD=$(BUILD) JOBS=$(JOBS) tools/test.sh

test-system: deps-test $(if $(VM:0=),deps-vm) bin packages ## the installed service under a real systemd, in namespaces or with VM=1 in qemu (as root)
	@BUILD=$(BUILD) VM=$(VM) ONLY="$(ONLY)" tests/system/run.sh

soak: deps-test bin packages ## two modules call each other while workers are killed, for SOAK_SECONDS=$(SOAK_SECONDS)
	@SOCLE_BUILD=$(BUILD) python3 tests/soak/soak.py $(SOAK_SECONDS)

soak-leak: deps-test bin packages ## a module that leaks all it can comes and goes CYCLES=$(CYCLES) times; nothing may grow, in the kernel neither (an idle machine, as root)
	@SOCLE_BUILD=$(BUILD) python3 tests/soak/leak.py $(CYCLES) --kernel

bench: deps-bench bin packages ## all benches; `make bench-NAME` runs one
	@for b in bench/bench-*.sh; do echo "== $$b"; BUILD=$(abspath $(BUILD)) $$b || exit 1; done

bench-%: deps-bench bin packages
	@[ -x bench/$@.sh ] || { echo "there is no bench/$@.sh; there is:" bench/bench-*.sh; exit 1; }
	@BUILD=$(abspath $(BUILD)) bench/$@.sh

deps: ## installs every package that building, testing and checking needs (as root or with sudo)
	@tools/deps.sh all

deps-build:
	@tools/deps.sh build

deps-test:
	@tools/deps.sh test

deps-vm:
	@tools/deps.sh vm

deps-bench:
	@tools/deps.sh bench

# On a terminal ninja has one line of progress, elsewhere it speaks of trouble only.
bin: $(BUILD)/build.ninja
	@if [ -t 1 ]; then ninja -C $(BUILD); else ninja -C $(BUILD) --quiet; fi
	@mkdir -p $(BUILD)/bin
	@ln -sf ../supervisor/base/socled ../supervisor/ctl/soclectl $(BUILD)/bin/

$(BUILD)/build.ninja:
	@echo "meson setup $(BUILD)"
	@out=$$(meson setup $(BUILD) . -Dprefix=$(PREFIX) 2>&1) || { echo "$$out"; exit 1; }

packages:
	@rm -f $(BUILD)/examples/*.smod
	@for ini in $(BUILD)/examples/*/module.ini; do \
	        $(BUILD)/bin/soclectl pack "$${ini%/module.ini}" -o $(BUILD)/examples/ >/dev/null || exit 1; \
	done

install: bin ## into $(DESTDIR)$(PREFIX); docs/install.md says how to start the service
	@meson configure $(BUILD) -Dprefix=$(PREFIX)
	@ninja -C $(BUILD) --quiet
	@DESTDIR=$(abspath $(DESTDIR)) meson install -C $(BUILD) --no-rebuild --quiet
	@echo "installed in $(abspath $(DESTDIR))$(PREFIX)"

uninstall: ## removes what the last `make install` from $(BUILD) has put anywhere
	@ninja -C $(BUILD) uninstall

clean: ## removes $(BUILD)
	rm -rf $(BUILD)
