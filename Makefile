# The commands of README.md. `make` alone lists them.
.DEFAULT_GOAL := help
.PHONY: help demo test test-unit test-helm test-images test-cluster lint simulate faults bench

# PYTEST_ARGS narrows a test run: make test PYTEST_ARGS="tests/unit -k coalescer"
PYTEST_ARGS ?=
# Most tests wait for other processes, so there may be more workers than cores.
PYTEST_WORKERS ?= 3
RUN := env PATH="$(CURDIR)/.venv/bin:$(PATH)"

help: ## list the targets
	@sed -nE 's/^([a-z-]+):.*## (.*)/  make \1	\2/p' $(MAKEFILE_LIST) | expand -t 24

demo: ## three sites on this machine: push, replicate, verify, prove; the report is build/demo/report.json
	@scripts/setup
	@$(RUN) farshore demo --report build/demo/report.json

test: ## set up, lint, then every test
	@scripts/setup --for-tests
	@$(MAKE) --no-print-directory lint
	@mkdir -p build
	$(RUN) pytest -n $(PYTEST_WORKERS) --dist loadfile --no-loadscope-reorder $(PYTEST_ARGS); \
		code=$$?; echo $$code >build/pytest.code; exit $$code

test-unit: ## the tests that need nothing but Python: seconds
	@scripts/setup
	$(RUN) pytest tests/unit $(PYTEST_ARGS)

test-helm: ## the Helm chart, against a real Kubernetes API server; builds that one first, which takes minutes
	@scripts/setup
	@scripts/setup-kubernetes
	$(RUN) pytest tests/helm $(PYTEST_ARGS)

test-images: ## every image built twice and run, both compose files started: root, buildah, podman, runc, netavark, debootstrap
	@scripts/setup --for-tests
	@scripts/setup-collector || [ $$? -eq 69 ]
	FARSHORE_TEST_IMAGES=1 $(RUN) pytest -v --log-cli-level=INFO tests/images $(PYTEST_ARGS)

test-cluster: ## the chart on a node whose pods run: root, containerd and more of Debian's; builds Kubernetes; figures in build/cluster
	@scripts/setup --for-tests
	@scripts/setup-kubernetes --with-node
	$(RUN) python tests/cluster/images.py build/cluster/images.tar
	$(RUN) tests/cluster/in-namespaces pytest -v tests/cluster $(PYTEST_ARGS)

lint: ## style, types and layers
	@scripts/setup
	$(RUN) ruff check .
	$(RUN) ruff format --check .
	$(RUN) mypy
	$(RUN) lint-imports

# SIMULATE_ARGS bounds each: make simulate SIMULATE_ARGS="--seconds 3600 --resume"
SIMULATE_ARGS ?=
simulate: ## a million schedules of the coalescer and of the verifier with seeded faults, on all cores
	@scripts/setup
	$(RUN) python tests/simulation/campaign.py $(SIMULATE_ARGS)
	$(RUN) python tests/simulation/verifier_campaign.py $(SIMULATE_ARGS)

faults: ## all tests of faults in their long form: FARSHORE_FAULT_ROUNDS rounds (10); report in build/faults
	@scripts/setup --for-tests
	FARSHORE_FAULT_ROUNDS=$${FARSHORE_FAULT_ROUNDS:-10} $(RUN) pytest -s -m faults $(PYTEST_ARGS)

bench: ## measure; the figures go to build/bench
	@scripts/setup --for-tests
	$(RUN) python -m bench
