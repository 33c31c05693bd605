# `make demo` and `make test` do all the setting up that they need.
PYTHON ?= python3
BIN := .venv/bin

.PHONY: demo test lint wheel clean

demo: .venv/installed
	$(BIN)/python examples/demo.py

# In as many processes as there are cores, up to four: each takes up to 4 GB.
test: lint .venv/peers
	$(BIN)/python -m pytest --numprocesses auto --maxprocesses 4 --dist worksteal

lint: .venv/installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

wheel: .venv/installed
	$(BIN)/python -m build --outdir dist .

clean:
	rm -rf .venv build dist *.egg-info

# Installed anew when what it installs has changed.
.venv/installed: pyproject.toml setup.py
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet --editable '.[dev]'
	touch $@

# Not for the demo. PyTorch's own index has the build for CPUs; where that is out of reach, pip's
# usual places serve.
.venv/peers: .venv/installed
	-$(BIN)/python -m pip install --quiet --retries 1 --timeout 20 --no-deps \
		--index-url https://download.pytorch.org/whl/cpu torch==2.13.0
	$(BIN)/python -m pip install --quiet --editable '.[peers]'
	touch $@
