# Everything is set up in .venv, made by the first Python on the PATH that runs and is at least 3.11.
RECENT = import sys; sys.exit(sys.version_info < (3, 11))
PYTHON ?= $(shell for name in python3 python3.13 python3.12 python3.11 python3.14; do \
	$$name -c '$(RECENT)' 2>/dev/null && echo $$name && break; done)
VENV := .venv

.PHONY: demo test docs soak clean

demo: $(VENV)/installed  ## Start a server, upload the example launch both ways, show what comes back. KEEP=1: leave it running.
	$(VENV)/bin/python examples/demo.py $(if $(KEEP),--keep)

test: $(VENV)/tox  ## Run the tox matrix against the built wheel.
	$(VENV)/bin/tox run-parallel --parallel-no-spinner

docs: $(VENV)/tox  ## Build the documentation in build/docs, and check its links.
	$(VENV)/bin/tox run -e docs

soak: $(VENV)/tox  ## Run the tests of faults at their full figures, which takes hours.
	$(VENV)/bin/tox run -e soak,fuzz

$(VENV)/installed: pyproject.toml $(shell find core adapters entrypoints -type f ! -name '*.pyc')
	$(PYTHON) -m venv $(VENV)
	$(VENV)/bin/pip install --quiet .
	touch $@

$(VENV)/tox: pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(VENV)/bin/pip install --quiet 'tox>=4.22'
	touch $@

clean:  ## Remove what the other targets made.
	rm -rf $(VENV) .tox build dist
