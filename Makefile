# make run    builds bin/sweep and runs the main job
# make test   runs every test that needs no GPU
GO    ?= go
TAGS  := nocuda
export CGO_ENABLED = 0

.PHONY: run build test fuzz bench accuracy clean

run: build
	bin/sweep --alpha 0.01:100 --starts 10000

build:
	$(GO) build -tags $(TAGS) -o bin/sweep ./cmd/sweep

test:
	$(GO) vet -tags $(TAGS) ./...
	$(GO) test -tags $(TAGS) ./...

bench:
	$(GO) test -tags $(TAGS) -run '^$$' -bench . ./...

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

clean:
	rm -rf bin
