#!/usr/bin/env bash
# emulated.sh SWEEP SWEEP-ARM64: the command on processors that this machine need not be, emulated by QEMU: one with AVX2
# and no AVX-512, one without AVX, and an arm64. Each takes the engine that it should and gives this machine's results,
# to the byte.
set -euo pipefail
sweep=$(realpath "$1") arm64=$(realpath "$2") problems=$(realpath "$(dirname "$0")/../problem/builtin")
tmp=$(mktemp -d); trap 'rm -rf "$tmp"' EXIT
fail() { echo "emulated.sh: $*" >&2; exit 1; }
for q in qemu-x86_64 qemu-aarch64; do command -v $q >/dev/null || fail "$q is needed (Debian's package qemu-user)"; done

# on PROCESSOR ARGUMENTS...: what the command writes to standard error, without QEMU's remarks on what it leaves out.
on() {
  local processor=$1 code=0
  shift
  qemu-x86_64 -cpu "$processor" "$sweep" "$@" 2>"$tmp/err" >/dev/null || code=$?
  grep -v '^qemu-x86_64: warning: ' "$tmp/err" || true
  return $code
}

# same A B: two result folders hold the same; run.json alone says where they were made.
same() { diff -rq --exclude run.json "$1" "$2" || fail "$(basename "$2"): not this machine's results"; }

args=(--alpha 0.1:10:3 --starts 40 --seed 7)
"$sweep" "${args[@]}" --quiet --engine portable --out "$tmp/here" >/dev/null

# takes PROCESSOR ENGINE NOTE
takes() {
  local note
  note=$(on "$1" "${args[@]}" --device cpu --out "$tmp/$1") || fail "$1: exit code $?: $note"
  [ "$note" = "$3" ] || fail "$1 says '$note', want '$3'"
  grep -q "\"engine\": \"$2\"" "$tmp/$1/run.json" || fail "$1 does not run the engine $2: $(grep engine "$tmp/$1/run.json")"
  same "$tmp/here" "$tmp/$1"
}
takes Haswell "native avx2" ""
none="no native code: the processor has no FMA, OSXSAVE, AVX, BMI1, AVX2"
takes Nehalem portable "sweep: $none; using the portable engine"

code=0
said=$(on Nehalem --starts 10 --engine native) || code=$?
[ "$code" = 2 ] || fail "--engine native without AVX: exit code $code, want 2"
[ "$said" = "sweep: --engine native does not work here: $none" ] || fail "--engine native without AVX says '$said'"

# Every problem with every method that can run on it, every sampler.
methods=$("$sweep" methods | awk '/^[a-z]/ && $1 != "sweep" {print $1}' | paste -sd,)
samplers=(uniform halton lhs grid) count=0
for file in "$problems"/*.toml; do
  problem=$(basename "$file" .toml) can=$methods
  grep -q '^inverse' "$file" || can=${can/,pg,/,}
  args=(--problem "$problem" --alpha 0.02:70:3 --starts 4 --seed 7 --method "$can" --quiet --sampler "${samplers[count % 4]}")
  "$sweep" "${args[@]}" --out "$tmp/$problem" >/dev/null
  qemu-aarch64 "$arm64" "${args[@]}" --out "$tmp/$problem-arm64" >/dev/null
  same "$tmp/$problem" "$tmp/$problem-arm64"
  count=$((count + 1))
done
[ $count -gt 1 ] || fail "no problems in $problems"
echo "emulated.sh: native code on a processor with AVX2, the portable engine on one without and on arm64 ($count problems);" \
  "the results are this machine's"
