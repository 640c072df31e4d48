# make run          builds bin/sweep and runs the main job
# make test         runs every test that needs no GPU
#
# make test-race    the race detector over the engines and the driver (gcc)
# make test-emulated  processors without AVX-512 and without AVX, and arm64, emulated (qemu-user, on x86-64 Linux)
# make test-python  reads result folders with pandas and DuckDB (Python 3.11 or newer)
# make test-report  opens report.html in headless Chromium (node and npm)
# make test-ptxas   NVIDIA's assembler takes every GPU kernel (Python)
# make test-sass    what a GPU executes is at most 1.1 times the same written by hand (Python, g++)
# make test-cuda    the CUDA build, on a stand-in for the driver (gcc, g++)
# make bench        bench/RESULTS.md: Invar next to others; bench-quick: the same, small
# make build-cuda   bin/sweep-cuda, for machines with an NVIDIA GPU
# make bench-sass   bench/SASS.md: instructions of the GPU kernels and what limits follow; needs no GPU
# make bench-gpu    bench/GPU.md: samples a second on this machine's GPU, next to its processor and to JAX
# make docs         rewrites the parts of docs/ that tables in the code determine; also
#                   docs-images, docs-gpu, accuracy
GO    ?= go
TAGS  := nocuda
export CGO_ENABLED = 0

.PHONY: run build test test-race test-emulated test-python test-report fuzz bench bench-quick docs docs-images accuracy clean

run: build
	bin/sweep --alpha 0.01:100 --starts 10000

build:
	$(GO) build -tags $(TAGS) -o bin/sweep ./cmd/sweep

test:
	$(GO) vet -tags $(TAGS) ./...
	$(GO) test -tags $(TAGS) ./...

test-race:
	CGO_ENABLED=1 $(GO) test -race -tags $(TAGS) ./batch -run 'Threads|Interrupted|SamplesMatch|SamplesEnd|SpansOfShards|SpansSaved|SpareSaysOnce|MethodsOverlap'
	CGO_ENABLED=1 $(GO) test -race -tags $(TAGS) ./results -run 'Threads|Resume'
	CGO_ENABLED=1 $(GO) test -race -tags $(TAGS) ./cpu -run 'TestEngine|TestNativeUnderCollection|TestNativeSizes'

# The code for AVX2 on a processor that has nothing better, and the command on arm64, emulated by QEMU. Tests of how long
# calls last, and of signals in them, would test the emulator.
test-emulated: build
	tests/fused.sh
	GOARCH=arm64 $(GO) build -tags $(TAGS) -o bin/sweep-arm64 ./cmd/sweep
	tests/emulated.sh bin/sweep bin/sweep-arm64
	INVAR_TEST_SET=avx2 $(GO) test -tags $(TAGS) -exec 'qemu-x86_64 -cpu Haswell' ./cpu -run Native -skip NativeUnderCollection

# Reads result folders with pandas and DuckDB, from tests/requirements.txt; Python 3.11 or newer.
PYTHON ?= python3
bin/python/ready: tests/requirements.txt
	$(PYTHON) -m venv bin/python
	bin/python/bin/pip install --quiet --disable-pip-version-check -r tests/requirements.txt
	touch $@

test-python: build bin/python/ready
	bin/python/bin/python tests/read_results.py bin/sweep

# bench/RESULTS.md: Invar next to others on the same work. Installs Python packages into bin/bench-venv; a competitor
# that cannot be had makes it fail, unless ALLOW_MISSING=1.
bench:
	$(GO) run -tags $(TAGS) ./bench/compare $(BENCH_FLAGS)

# The same in about two minutes, with small samples: does everything work?
bench-quick:
	$(GO) run -tags $(TAGS) ./bench/compare --quick --out bin/RESULTS-quick.md $(BENCH_FLAGS)

# docs/accuracy.md: the measured errors of the elementary functions.
accuracy:
	$(GO) run -tags $(TAGS) ./internal/elementary/accuracy > docs/accuracy.md

# Looks for inputs that break the parsers and the program passes; FUZZTIME a target.
FUZZTIME ?= 60s
fuzz:
	@for p in $$($(GO) list -tags $(TAGS) ./...); do \
	  for f in $$($(GO) test -tags $(TAGS) -list '^Fuzz' $$p | grep '^Fuzz'); do \
	    echo "$$p $$f"; $(GO) test -tags $(TAGS) -run '^$$' -fuzz "^$$f$$" -fuzztime $(FUZZTIME) $$p || exit 1; \
	  done; \
	done

test-report: build
	tests/report/run.sh

docs-images: build
	docs/images/draw.sh

docs:
	$(GO) run -tags $(TAGS) ./internal/docs

clean:
	rm -rf bin

# ---- GPUs (docs/gpu.md). Needs a C compiler; neither a GPU, a driver nor a CUDA toolkit.
.PHONY: build-cuda test-cuda test-ptxas test-sass docs-gpu bench-gpu bench-sass
CUDA = CGO_ENABLED=1 CGO_CFLAGS="-O2 -I$(CURDIR)/kernels/driver/include" CGO_LDFLAGS="-L$(CURDIR)/kernels/driver/link"

build-cuda:
	$(CUDA) $(GO) build -o bin/sweep-cuda ./cmd/sweep

# bench/GPU.md: this machine's GPU next to its processor, to the card's own limit, and to JAX on it (GPU_PYTHON names an
# interpreter that has it). Fails where there is no GPU.
bench-gpu:
	GO='$(GO)' bench/gpu.sh $(BENCH_FLAGS)

test-cuda: build-cuda
	$(CUDA) $(GO) vet ./kernels/... ./cmd/sweep
	$(CUDA) $(GO) test ./kernels/... ./cmd/sweep
	$(MAKE) -s -C internal/cudastandin OUT=$(CURDIR)/bin/cudastandin
	kernels/command.sh bin/sweep-cuda bin/cudastandin
	LD_LIBRARY_PATH=bin/cudastandin ALLOW_MISSING=1 bench/gpu.sh --samples 100 --repeats 1 --only gd,lm --out bin/GPU-standin.md

test-ptxas:
	kernels/ptx/ptxas.sh

# What a GPU executes, next to the same programs by hand: bench/SASS.md, and whether it is as it says.
bench-sass:
	GO='$(GO)' bench/sass/run.sh

test-sass:
	GO='$(GO)' bench/sass/run.sh -check

# The table of docs/gpu.md: what each kernel takes.
docs-gpu:
	kernels/ptx/ptxas.sh docs/gpu.md
