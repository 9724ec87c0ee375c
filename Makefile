# make demo [ARGS="--for 60s"]   a simulated site, nothing else needed
# make check                     lint, format, types, layers
# make test [ARGS="-k words"]    every test, JOBS files at a time; installs the Debian packages they use
# make golden [ARGS=--accept]     writes golden files that are missing, shows those that differ; renews SUPPORTED.md
# make supported                 SUPPORTED.md, from the catalogue
# make feed                      docs/feed.md, from the types of the code; refuses what breaks version 1 of the feed
# make captures                  what is read in walks of real devices, field by capture
# make second-opinion            the same walks as Network UPS Tools reads them, into docs/
# make sbom                      what is installed with the agent, as CycloneDX JSON, into build/
# make audit                     known weaknesses of what is pinned, as the databases of PyPI know them
# make bench [ROWS=snmp,modbus] [QUICK=1]   what it costs and how soon it tells, beside its peers; docs/performance.md
# make soak [SEED=n] [LASTS=150]  a storm of faults over one agent, and what must have been heard of it
# make fuzz [SECONDS=60] [ARGS="--target snmp"]  each parser in turn, led by what it reaches; see docs/fuzzing.md
# make clean                     back to a bare checkout

PYTHON ?= $(shell command -v python3.11 || echo python3)
VENV := .venv
BIN := $(VENV)/bin
INPUTS := pyproject.toml constraints.txt
ARGS ?=
comma := ,
# Three files at a time: most tests wait for something. ARGS="-n 0 -s" shows what one of them prints.
JOBS ?= 3
# Debian keeps the daemons that tests start where a plain user's PATH does not look.
export PATH := $(PATH):/usr/sbin:/sbin:/lib/nut

# Programs that tests run against, each with its Debian package.
PROGRAMS := mosquitto:mosquitto mosquitto_sub:mosquitto-clients snmpd:snmpd snmpget:snmp socat:socat systemd-analyze:systemd \
	snmp-ups:nut-snmp nutdrv_qx:nut-server umockdev-run:umockdev tshark:tshark

# $(call install,packages): with apt-get as root or through sudo, else say what is missing.
define install
	if ! command -v apt-get >/dev/null; then echo "please install what Debian calls: $(1)" >&2; exit 1; fi; \
	if [ "$$(id -u)" = 0 ]; then sudo=; elif command -v sudo >/dev/null; then sudo=sudo; \
	else echo "please run as root: apt-get install $(1)" >&2; exit 1; fi; \
	$$sudo apt-get update -q && $$sudo env DEBIAN_FRONTEND=noninteractive apt-get install -qy --no-install-recommends $(1)
endef

.PHONY: demo check test golden supported feed captures second-opinion bench soak fuzz sbom audit programs clean

demo: $(VENV)/.demo
	$(BIN)/edgeagent demo $(ARGS)

check: $(VENV)/.dev
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports

test: $(VENV)/.dev programs
	$(BIN)/pytest -n $(JOBS) --dist loadfile $(ARGS)

golden: $(VENV)/.dev
	$(BIN)/python -m tests.golden $(ARGS)
	$(BIN)/python -m edgeagent.supported SUPPORTED.md

supported: $(VENV)/.dev
	$(BIN)/python -m edgeagent.supported SUPPORTED.md

feed: $(VENV)/.dev
	$(BIN)/python -m tests.compatible
	$(BIN)/python -m edgeagent.feedpage docs/feed.md tests/contract

captures: $(VENV)/.dev
	$(BIN)/python -m tests.truth

second-opinion: $(VENV)/.dev programs
	$(BIN)/python -m tests.second_opinion docs/second-opinion.md

bench: $(VENV)/.dev programs
	$(BIN)/python -m tests.benchmarks $(subst $(comma), ,$(ROWS)) $(if $(QUICK),--quick) $(ARGS)

sbom: $(VENV)/.dev
	$(BIN)/python -m tests.sbom build/edgeagent.cdx.json

# In an environment of its own: what it needs is no part of ours. Its data come from pypi.org; strict, because without
# them it would say that nothing is known.
audit: $(BIN)/python
	@[ -x $(VENV)/audit/bin/pip-audit ] || { $(PYTHON) -m venv $(VENV)/audit && \
		$(VENV)/audit/bin/pip install --quiet --disable-pip-version-check pip-audit; } || \
		{ echo "pip-audit cannot be installed from here: nothing was audited" >&2; exit 2; }
	@$(VENV)/audit/bin/pip-audit --strict --no-deps --disable-pip -r constraints.txt $(ARGS) || \
		{ echo "a weakness is known, or the data could not be had: the lines above say which" >&2; exit 1; }

soak: $(VENV)/.dev programs
	$(BIN)/python -m tests.soak.storm $(or $(LASTS),150) $(SEED)

fuzz: $(VENV)/.fuzz
	$(BIN)/python -m tests.fuzz --seconds $(or $(SECONDS),60) $(ARGS)

programs:
	@missing=; \
	for pair in $(PROGRAMS); do command -v "$${pair%%:*}" >/dev/null || missing="$${missing:+$$missing }$${pair#*:}"; done; \
	[ -z "$$missing" ] || { $(call install,$$missing); }

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "Python 3.11 or newer is needed: make PYTHON=/path/to/python3.11" >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip' 2>/dev/null || { $(call install,python3-venv); }
	$(PYTHON) -m venv $(VENV)

$(VENV)/.demo: $(INPUTS) | $(BIN)/python
	$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt -e ".[demo]"
	touch $@

$(VENV)/.dev: $(INPUTS) | $(BIN)/python
	$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt -e ".[demo,dev]"
	touch $(VENV)/.demo $@

# Where atheris has no wheel, the search goes without eyes; what counts lines is needed all the same.
$(VENV)/.fuzz: $(VENV)/.dev
	$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt -e ".[fuzz]" || \
		$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt coverage
	touch $@

clean:
	rm -rf $(VENV) build dist .hypothesis .import_linter_cache .mypy_cache .pytest_cache .ruff_cache
	find . -name __pycache__ -prune -exec rm -rf {} +
