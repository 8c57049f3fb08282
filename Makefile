# The commands of a newcomer and of CI. Needs a JDK 25, Maven and Python 3.11 or later.
#   make demo    the paper's cases through real agents, then a two-stage JAX training
#   make test    Java and Python tests, and the wheel in a fresh virtual environment
#   make test-debian13  the wheel with Debian 13's Python, Java and UCX and the newest JAX, in a root of its own (needs root)
#   make test-lowest  the wheel with the oldest packages that it promises to work with; a part of make test
#   make soak    the simulated transfers of 100,000 seeds; or SEEDS=N, MINUTES=N, FROM=SEED; SEED=N runs one again
#   make fuzz    damaged inputs for all that reads bytes of strangers; INPUTS=N (1,000,000), SEED=N
#   make fuzz-guided  the same targets by Jazzer, guided by coverage; GUIDED_RUNS=N for each
#   make load    64 channels and 200 Flight clients at one agent for a minute, then more clients than it lets in
#   make soak-transfers  100,000 transfers over four agents, and what all processes hold meanwhile; TRANSFERS=N
#   make kills   300 agents killed or stopped in the middle of the paper's cases, or KILLS=N, MINUTES=N; LINKS=N links go down as well (needs root)
#   make lint    formatting, Error Prone, NullAway, ruff, mypy
#   make bench   the link and a step's latency beside UCX's own; start, memory, opening; planning and schedules (make bench-planner); copies of tiles (make bench-tiles);
#                as root also the paper's cases at line rate (make bench-lab); three quarters of an hour
#   make lab     the paper's cases over the line rate of a network of namespaces (needs root)
#   make bench-peers  crossmesh beside mpi4py, Gloo, JAX's transfers, Ray and NIXL, as far as they are there
#   make bench-e2e  training steps of pipelines over links of several rates, and what the simulator says of them (needs root; an hour)
#   make wheel   dist/crossmesh-*.whl with the agent's jar inside
.PHONY: demo test test-debian13 test-java test-lowest test-python lint format bench bench-costs bench-e2e bench-lab bench-link bench-peers bench-planner bench-small bench-steady bench-tiles fuzz fuzz-guided kills lab load soak soak-transfers wheel venv clean
.DELETE_ON_ERROR:

PYTHON ?= python3
MVN ?= mvn
VERSION := $(shell sed -n 's/^version = "\(.*\)"/\1/p' python-client/pyproject.toml)

JAVA_SOURCES := $(shell find pom.xml */pom.xml */src/main -name '*.java' -o -name 'pom.xml' -o -path '*/resources/*' -type f)
PYTHON_SOURCES := python-client/pyproject.toml $(shell find python-client/src -name '*.py' -o -name '*.csv' -o -name py.typed)

JAR := flight-server/target/crossmesh-agent-$(VERSION)-all.jar
WHEEL := dist/crossmesh-$(VERSION)-py3-none-any.whl
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed

# The UCX that the wheel's extra brings; Java's tests load it as the agents do.
UCX_LIBRARY_PATH = $(shell $(BIN)/python -c "import crossmesh._ucx as u; print(u.find_ucx().library_path or '')")

demo: venv
	$(BIN)/crossmesh demo
	$(BIN)/python examples/two_stage/train.py

test: test-java test-python test-lowest

# Files of tests that run at a time, each whole in one process: what its tests share is started once.
TEST_JOBS ?= 2

test-java: venv
	$(MVN) -q verify -Dtest.forks=$(TEST_JOBS) -Ducx.library.path="$(UCX_LIBRARY_PATH)"

test-python: venv
	cd python-client && CROSSMESH_WHEEL=$(abspath $(WHEEL)) ../$(BIN)/python -m pytest -n $(TEST_JOBS) --dist loadfile

# What depends on the packages that lowest.txt holds back: layouts and arrays of JAX, the command line, real agents.
LOWEST_PIPELINE = jax==0.10.0 jaxlib==0.10.0 optax==0.2.3
LOWEST = tests/test_sharding.py tests/test_spec.py tests/test_channel.py tests/test_reshard.py tests/test_cli.py tests/test_doctor.py

test-lowest: $(WHEEL)
	rm -rf .venv-lowest && $(PYTHON) -m venv .venv-lowest
	.venv-lowest/bin/python -m pip install --quiet -c python-client/lowest.txt "$(WHEEL)[jax,plot,ucx]" pytest pytest-timeout pytest-xdist
	cd python-client && ../.venv-lowest/bin/python -m pytest -n $(TEST_JOBS) --dist loadfile $(LOWEST)
	.venv-lowest/bin/python -m pip install --quiet "$(WHEEL)[train]" $(LOWEST_PIPELINE)
	cd python-client && ../.venv-lowest/bin/python -m pytest tests/test_pipeline_graph.py tests/test_pipeline_inputs.py tests/test_backward.py

# What is installed and run there is said in the script.
test-debian13: $(WHEEL)
	scripts/debian13 $(WHEEL)

lint: venv
	JAVA_HOME="$$(scripts/find-jdk)" $(MVN) -q spotless:check
	JAVA_HOME="$$(scripts/find-jdk)" $(MVN) -q -Plint test-compile
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	cd python-client && ../$(BIN)/mypy

format: venv
	JAVA_HOME="$$(scripts/find-jdk)" $(MVN) -q spotless:apply
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

# All of them, also when one misses a limit; what needs a network needs root.
BENCHMARKS = bench-planner bench-tiles bench-link bench-small bench-costs bench-steady

bench: venv
	$(MAKE) -k $(BENCHMARKS)$(if $(filter 0,$(shell id -u)), bench-lab)
	@[ "$$(id -u)" = 0 ] || echo "What needs a network was not measured: run sudo make bench-lab."

bench-link: venv
	$(BIN)/crossmesh bench link --transport tcp
	$(BIN)/crossmesh bench link --transport shm
	$(BIN)/python benchmarks/link.py --transport tcp --mib 1
	$(BIN)/python benchmarks/link.py --transport shm --mib 1

bench-small: venv
	$(BIN)/crossmesh bench many --transport tcp
	$(BIN)/crossmesh bench many --transport shm
	$(BIN)/crossmesh bench latency --transport tcp
	$(BIN)/crossmesh bench latency --transport shm
	JAVA_HOME="$$(scripts/find-jdk)" $(BIN)/python benchmarks/latency.py --transport tcp
	JAVA_HOME="$$(scripts/find-jdk)" $(BIN)/python benchmarks/latency.py --transport shm

bench-costs: venv
	$(BIN)/python benchmarks/costs.py

bench-steady: venv
	$(BIN)/python benchmarks/runner.py --jax
	$(BIN)/python benchmarks/steady.py

# The paper's cases at line rate: as large as the paper's by 8, of 8 MiB, beside two strategies, and over two NICs.
LAB = cd benchmarks && ../$(BIN)/python -m lab run
OVER_NICS = --rate 500Mbit/s --mib 64 --cases 1,2,3,4,5,6,7,9 --variants auto --repeats 3

LABS = bench-lab-500 bench-lab-200 bench-lab-500-small bench-lab-200-small bench-lab-ratios bench-lab-nic bench-lab-nics
.PHONY: $(LABS)

bench-lab: venv
	$(MAKE) -k $(LABS)

bench-lab-500: venv
	$(LAB) --rate 500Mbit/s --variants auto --repeats 5

bench-lab-200: venv
	$(LAB) --rate 200Mbit/s --variants auto --repeats 3

bench-lab-500-small: venv
	$(LAB) --rate 500Mbit/s --mib 8 --variants auto --repeats 5

bench-lab-200-small: venv
	$(LAB) --rate 200Mbit/s --mib 8 --variants auto --repeats 5

bench-lab-ratios: venv
	$(LAB) --rate 500Mbit/s --mib 64 --cases 7,m7,m8 --variants "send_recv size,local_all_gather size,auto" --repeats 3

bench-lab-nic: venv
	$(LAB) $(OVER_NICS) --nics 1

bench-lab-nics: venv
	$(LAB) $(OVER_NICS) --nics 2

# Each peer by itself: one that does not install is skipped, with a word, by the benchmark.
# PEERS_PYTHON names an interpreter that has them; by default a virtual environment is made for them.
PEERS_PYTHON ?= .venv-peers/bin/python

bench-peers: venv
	[ -x $(PEERS_PYTHON) ] || { $(PYTHON) -m venv .venv-peers && while read -r peer; do \
	  .venv-peers/bin/python -m pip install --quiet $$peer || true; done < benchmarks/peers/requirements.txt; }
	cd benchmarks && ../$(BIN)/python -m peers --peers-python "$(abspath $(PEERS_PYTHON))" --json peers/results.json

bench-planner: venv
	$(MVN) -q -pl benchmarks/jmh -am compile dependency:build-classpath -Dmdep.outputFile=target/classpath -DskipTests
	"$$(scripts/find-jdk)/bin/java" --sun-misc-unsafe-memory-access=allow -cp "benchmarks/jmh/target/classes:$$(cat benchmarks/jmh/target/classpath)" io.crossmesh.bench.PlanningTable
	$(BIN)/python benchmarks/planning.py
	$(BIN)/python benchmarks/schedules.py

bench-tiles: $(JAR)
	"$$(scripts/find-jdk)/bin/java" --enable-native-access=ALL-UNNAMED -cp $(JAR) benchmarks/tiles/TileCopies.java benchmarks/tiles/rows.c

# Options of the test tree's programs, as the tests have them.
TEST_JAVA = "$$(scripts/find-jdk)/bin/java" -ea --sun-misc-unsafe-memory-access=allow --enable-native-access=ALL-UNNAMED

soak:
	$(MVN) -q -pl java-runtime test-compile dependency:build-classpath -Dmdep.outputFile=target/classpath
	$(TEST_JAVA) -XX:+UseSerialGC -cp "java-runtime/target/test-classes:java-runtime/target/classes:$$(cat java-runtime/target/classpath)" \
	  io.crossmesh.transfer.soak.Seeds seeds=$(SEEDS) minutes=$(MINUTES) from=$(FROM) threads=$(THREADS) seed=$(SEED)

# The targets of both modules; the heap is small, so that what is kept shows.
FUZZ_BUILD = $(MVN) -q -pl flight-server -am test-compile dependency:build-classpath -Dmdep.outputFile=target/classpath
FUZZ_JAVA = $(TEST_JAVA) -Xmx512m -XX:+UseSerialGC --add-opens=java.base/java.nio=ALL-UNNAMED \
  -cp "flight-server/target/test-classes:flight-server/target/classes:java-runtime/target/test-classes:java-runtime/target/classes:$$(cat flight-server/target/classpath)"

fuzz:
	$(FUZZ_BUILD)
	$(FUZZ_JAVA) io.crossmesh.fuzz.Fuzz inputs=$(INPUTS) seed=$(SEED)

GUIDED_RUNS ?= 20000

fuzz-guided:
	$(FUZZ_BUILD) -Pguided
	rm -rf flight-server/target/fuzz && mkdir -p flight-server/target/fuzz
	set -e; for target in $$($(FUZZ_JAVA) io.crossmesh.fuzz.Guided flight-server/target/fuzz); do \
	  $(FUZZ_JAVA) com.code_intelligence.jazzer.Jazzer --target_class=io.crossmesh.fuzz.Guided --target_args=$$target \
	    --instrumentation_includes='io.crossmesh.**' --reproducer_path=flight-server/target -artifact_prefix=flight-server/target/ \
	    -runs=$(GUIDED_RUNS) -timeout=20 flight-server/target/fuzz/$$target >flight-server/target/fuzz.log 2>&1 \
	    || { tail -40 flight-server/target/fuzz.log; exit 1; }; grep GUIDED flight-server/target/fuzz.log; done

load: venv
	cd benchmarks && ../$(BIN)/python -m endurance.load

soak-transfers: venv
	cd benchmarks && ../$(BIN)/python -m endurance.transfers $(if $(TRANSFERS),--transfers $(TRANSFERS))

kills: venv
	cd benchmarks && ../$(BIN)/python -m kills $(if $(KILLS),--kills $(KILLS)) $(if $(LINKS),--links $(LINKS)) $(if $(MINUTES),--minutes $(MINUTES))

lab: venv
	cd benchmarks && ../$(BIN)/python -m lab run --json lab/results.json --plots lab/plots

# Each run keeps the cells that it has measured in one file, so that an hour need not be in one piece.
E2E = cd benchmarks && ../$(BIN)/python -m e2e

bench-e2e: venv
	$(E2E) timed e2e/results.json --model u_transformer
	$(E2E) timed e2e/results.json --model gpt
	$(E2E) timed e2e/results.json --model u_transformer --stages 4 --rho 0.6 --compute-ms 60
	$(E2E) timed e2e/results.json --model u_transformer --stages 8 --rho 0.6 --compute-ms 120
	$(E2E) timed e2e/results.json --model gpt --stages 4 --rho 0.15 --compute-ms 60
	$(E2E) timed e2e/results.json --model gpt --stages 8 --rho 0.15 --compute-ms 120
	$(E2E) jax e2e/results.json --model u_transformer
	$(E2E) jax e2e/results.json --model gpt
	$(E2E) report e2e/results.json --plots e2e/plots

wheel: $(WHEEL)

venv: $(INSTALLED)

$(JAR): $(JAVA_SOURCES)
	$(MVN) -q -pl flight-server -am package -DskipTests
	touch $@

$(WHEEL): $(JAR) $(PYTHON_SOURCES) $(VENV)/pyvenv.cfg
	mkdir -p python-client/src/crossmesh/_jars
	cp $(JAR) python-client/src/crossmesh/_jars/crossmesh-agent.jar
	$(BIN)/python -m pip wheel --quiet --no-deps --wheel-dir dist ./python-client
	touch $@

$(VENV)/pyvenv.cfg:
	$(PYTHON) -m venv $(VENV)

$(INSTALLED): $(WHEEL)
	$(BIN)/python -m pip install --quiet "$(WHEEL)[jax,ucx,dev,lab]"
	$(BIN)/python -m pip install --quiet --no-deps --force-reinstall "$(WHEEL)"
	touch $@

clean:
	$(MVN) -q clean
	rm -rf $(VENV) .venv-lowest .debian13 dist python-client/src/crossmesh/_jars
