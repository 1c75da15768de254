# The commands of the project; `make help` lists them. Everything is installed into .venv, nothing needs root.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
REQUIREMENTS := requirements.txt requirements-bot.txt requirements-dev.txt constraints.txt
# On Linux without an NVIDIA GPU the small CPU build of torch is enough. TORCH_INDEX= (empty) takes the default index.
TORCH_INDEX ?= $(if $(shell command -v nvidia-smi),,https://download.pytorch.org/whl/cpu)

.DEFAULT_GOAL := help
.PHONY: help setup weights faces startable demo test chaos run lint bench bench-quality train-smoke train texts clean

help: ## this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /  make \1|/' | column -t -s '|'

setup: $(VENV)/.ready ## install what is needed into .venv

# torch first and alone: where its own index does not answer, pip falls back on the default one after a moment.
$(VENV)/.ready: $(REQUIREMENTS)
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Restora needs Python 3.11 or newer; try: make PYTHON=python3.12 ...")'
	@echo "Setting up .venv: torch and some eighty packages, 1.5 GB on disk; that takes minutes, during which pip says nothing"
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --no-deps --retries 2 --timeout 10 $(addprefix --extra-index-url ,$(TORCH_INDEX)) \
		$$(grep '^torch==' requirements.txt) 2>/dev/null || true
	$(BIN)/pip install --quiet --requirement requirements-dev.txt
	@touch $@
	@echo "Restora is set up. Next: make demo (watch it work), make run (be the user in a browser), make help"

weights: setup ## fetch Real-ESRGAN's weights, once: better small photographs and drawings
	@$(BIN)/python -m tasks.weights --fetch pictures

faces: setup ## fetch what restores faces, once: 389 MB
	@$(BIN)/python -m models weights fetch faces

# The model that ships with the repository is enough; only where somebody deleted it is anything fetched.
startable: setup
	@$(BIN)/python -m tasks.weights

demo: startable ## a scripted user talks to the real bot; pictures under var/demo
	@$(BIN)/python -m dev.demo

# Three processes: more than a third of the time a test waits for a clock, a socket or another process.
test: weights ## run the tests
	$(BIN)/python -m pytest --numprocesses 3 --no-loadscope-reorder

chaos: startable ## break everything under load and account for every picture: make chaos SEED=1 JOBS=500
	@$(BIN)/python -m dev.chaos $(if $(SEED),--seed "$(SEED)") $(if $(JOBS),--jobs "$(JOBS)") $(OPTIONS)

run: startable ## Redis, worker and bot on this machine; without BOT_TOKEN against the emulator's chat page
	@$(BIN)/python -m dev.run

lint: setup ## ruff, mypy, and known vulnerabilities of the dependencies
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	@$(BIN)/python -m dev.audit

bench: weights ## what is fast, as a table with ratios; some ten minutes
	@$(BIN)/python -m benchmarks.engine

bench-quality: weights ## what is good: PSNR, SSIM and colours beside bicubic and Lanczos
	@$(BIN)/python -m benchmarks.quality $(if $(PICTURES),--pictures "$(PICTURES)")

train-smoke: setup ## train a small network for some minutes: it has to learn, and to resume bit for bit
	@$(BIN)/python -m training smoke $(if $(PICTURES),--pictures "$(PICTURES)")

train: setup ## train your own model and its detail end: make train PICTURES=folder; hours
	@test -n "$(PICTURES)" || { echo 'which pictures? make train PICTURES=folder'; exit 2; }
	@$(MAKE) --no-print-directory weights
	$(BIN)/python -m training train training/runs/compact.toml --set 'data.pictures="$(PICTURES)"'
	$(BIN)/python -m training export training/runs/compact.toml var/training/my-compact.safetensors
	$(BIN)/python -m training train training/runs/detail.toml --set 'data.pictures="$(PICTURES)"'
	$(BIN)/python -m training export training/runs/detail.toml var/training/my-compact-detail.safetensors

texts: setup ## bring the translations up to date with the code
	@mkdir -p var
	$(BIN)/pybabel -q extract -k _ -k _n:1,2 --no-location -o var/restora.pot bot tasks
	$(BIN)/pybabel -q update -D restora -d locales -i var/restora.pot --no-fuzzy-matching -w 120

clean: ## remove what was made; weights and .env stay
	rm -rf $(VENV) var .pytest_cache .mypy_cache .ruff_cache .hypothesis
