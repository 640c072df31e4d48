# make run    builds bin/sweep and runs the main job
# make test   runs every test that needs no GPU
# make test-python  reads result folders with pandas and DuckDB
GO    ?= go
TAGS  := nocuda
export CGO_ENABLED = 0

# make test-report  opens report.html in headless Chromium (node and npm are needed)
# make docs-images  draws the pictures of the documentation
# make docs         rewrites the parts of docs/ that tables in the code determine
.PHONY: test-report docs-images docs
.PHONY: run build test test-python fuzz bench bench-quick accuracy clean

run: build
	bin/sweep --alpha 0.01:100 --starts 10000

build:
	$(GO) build -tags $(TAGS) -o bin/sweep ./cmd/sweep

test:
	$(GO) vet -tags $(TAGS) ./...
	$(GO) test -tags $(TAGS) ./...

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
