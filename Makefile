# What a newcomer needs: make run, make test, make lint. Everything else serves these.
PYTHON ?= python3
BIN := .venv/bin
STATE ?= state
VENDOR := local_ui/static/vendor
AXE := node_modules/axe-core/axe.min.js
PIP := $(BIN)/python -m pip install --disable-pip-version-check --progress-bar on --require-hashes
UV_COMPILE := uv pip compile --generate-hashes --universal --python-version 3.11 --no-emit-index-url --no-header --quiet

.PHONY: help run test lint bench clean distclean lock servers
.DEFAULT_GOAL := help

help:
	@echo "make run    a whole demonstration site: simulated devices, gateway, hub (Ctrl-C stops it)"
	@echo "make test   the whole test suite; installs what it needs; HOLDFAST_LONG=1 adds what takes minutes"
	@echo "make lint   ruff and mypy"
	@echo "make bench  speed and size, beside floors measured in the same run"
	@echo "make clean  removes the demonstration's state and what was built"

run: .venv/demo.stamp $(VENDOR)/uPlot.esm.js
	@exec $(BIN)/holdfast demo --state $(STATE)

test: .venv/dev.stamp $(AXE) servers
	@$(BIN)/python -m pytest

lint: .venv/dev.stamp
	@$(BIN)/ruff check . && $(BIN)/ruff format --check . && $(BIN)/mypy

bench: .venv/dev.stamp $(VENDOR)/uPlot.esm.js
	@$(BIN)/python -m bench

clean:
	@rm -rf $(STATE) build *.egg-info

distclean: clean
	@rm -rf .venv node_modules $(VENDOR)

# The virtual environment. Debian splits venv off into a package of its own.
.venv/venv.stamp:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "Holdfast needs Python 3.11 or newer; this is $$($(PYTHON) --version)."; exit 1; }
	@$(PYTHON) -c 'import ensurepip' 2>/dev/null || \
	  if [ "$$(id -u)" = 0 ]; then apt-get update -qq && apt-get install -y --no-install-recommends python3-venv; \
	  else echo "Python's venv is missing. Run: sudo apt install python3-venv"; exit 1; fi
	@echo "Making .venv ..."
	@$(PYTHON) -m venv .venv
	@touch $@

.venv/demo.stamp: .venv/venv.stamp lock/demo.txt setup.cfg pyproject.toml
	@echo "Installing Holdfast and what it stands on (once, a minute or so) ..."
	@$(PIP) -r lock/demo.txt
	@$(BIN)/python -m pip install --disable-pip-version-check --no-deps --no-build-isolation -q -e .
	@touch $@

.venv/dev.stamp: .venv/demo.stamp lock/dev.txt
	@echo "Installing what tests and lint need (once) ..."
	@$(PIP) -r lock/dev.txt
	@touch $@

# Third-party browser code comes from npm; where there is none, a Python wheel brings one.
$(VENDOR)/uPlot.esm.js: package.json package-lock.json | .venv/demo.stamp
	@echo "Fetching the pages' chart library ..."
	@command -v npm >/dev/null || [ -x $(BIN)/npm ] || $(PIP) -r lock/node.txt
	@PATH="$$PATH:$(CURDIR)/$(BIN)" npm ci --omit=dev --ignore-scripts --no-audit --no-fund --silent
	@mkdir -p $(VENDOR)
	@cp node_modules/uplot/dist/uPlot.min.css node_modules/uplot/dist/uPlot.esm.js $(VENDOR)/
	@touch $@

# And what checks the pages in the tests.
$(AXE): $(VENDOR)/uPlot.esm.js
	@PATH="$$PATH:$(CURDIR)/$(BIN)" npm ci --ignore-scripts --no-audit --no-fund --silent
	@touch $@

# Servers and a browser for the tests: as root they are installed, else their tests say what is missing.
# A server that comes with its package is not left running: the tests start their own.
servers:
	@missing=""; \
	command -v chromium >/dev/null || missing="$$missing chromium"; \
	command -v gcc >/dev/null || missing="$$missing gcc libc6-dev"; \
	pkg-config --exists libmodbus 2>/dev/null || missing="$$missing pkg-config libmodbus-dev"; \
	command -v mosquitto >/dev/null || [ -x /usr/sbin/mosquitto ] || missing="$$missing mosquitto"; \
	ls /usr/lib/postgresql/*/bin/postgres >/dev/null 2>&1 || missing="$$missing postgresql"; \
	[ -x /usr/lib/rabbitmq/bin/rabbitmq-server ] || missing="$$missing rabbitmq-server"; \
	command -v socat >/dev/null || missing="$$missing socat"; \
	ls /usr/lib/*/faketime/libfaketime.so.1 >/dev/null 2>&1 || missing="$$missing faketime"; \
	command -v ip >/dev/null || [ -x /usr/sbin/ip ] || missing="$$missing iproute2"; \
	command -v strace >/dev/null || missing="$$missing strace"; \
	command -v promtool >/dev/null || missing="$$missing prometheus"; \
	command -v mke2fs >/dev/null || [ -x /sbin/mke2fs ] || missing="$$missing e2fsprogs"; \
	if [ -n "$$missing" ] && [ "$$(id -u)" = 0 ]; then \
	  echo "Installing$$missing for the tests ..."; \
	  apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $$missing >/dev/null; \
	  for service in mosquitto postgresql prometheus rabbitmq-server; do \
	    case "$$missing" in *$$service*) systemctl disable --now $$service >/dev/null 2>&1 || true;; esac; \
	  done; \
	fi

# Only for who changes dependencies; needs uv.
lock:
	$(UV_COMPILE) setup.cfg lock/build.in -o lock/appliance.txt
	$(UV_COMPILE) setup.cfg lock/build.in --extra sim -o lock/demo.txt
	$(UV_COMPILE) setup.cfg lock/build.in --extra sim --extra test --extra lint -o lock/dev.txt
	$(UV_COMPILE) lock/node.in -o lock/node.txt
