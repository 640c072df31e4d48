#!/usr/bin/env bash
# emulated.sh SWEEP: the command on processors that this machine need not be, emulated by QEMU: one with AVX2 and no
# AVX-512, and one without AVX. Each takes the engine that it should and gives this machine's samples, to the byte.
set -euo pipefail
sweep=$(realpath "$1")
tmp=$(mktemp -d); trap 'rm -rf "$tmp"' EXIT
fail() { echo "emulated.sh: $*" >&2; exit 1; }
command -v qemu-x86_64 >/dev/null || fail "qemu-x86_64 is needed (Debian's package qemu-user)"

# on PROCESSOR ARGUMENTS...: what the command writes to standard error, without QEMU's remarks on what it leaves out.
on() {
  local processor=$1 code=0
  shift
  qemu-x86_64 -cpu "$processor" "$sweep" "$@" 2>"$tmp/err" >/dev/null || code=$?
  grep -v '^qemu-x86_64: warning: ' "$tmp/err" || true
  return $code
}

args=(--alpha 0.1:10:3 --starts 40 --seed 7)
"$sweep" "${args[@]}" --quiet --engine portable --out "$tmp/here" >/dev/null

# takes PROCESSOR ENGINE NOTE
takes() {
  local note
  note=$(on "$1" "${args[@]}" --device cpu --out "$tmp/$1") || fail "$1: exit code $?: $note"
  [ "$note" = "$3" ] || fail "$1 says '$note', want '$3'"
  grep -q "\"engine\": \"$2\"" "$tmp/$1/run.json" || fail "$1 does not run the engine $2: $(grep engine "$tmp/$1/run.json")"
  for f in samples.parquet paths.parquet; do
    cmp "$tmp/here/$f" "$tmp/$1/$f" || fail "$1: $f differs from this machine's"
  done
}
takes Haswell "native avx2" ""
none="no native code: the processor has no FMA, OSXSAVE, AVX, BMI1, AVX2"
takes Nehalem portable "sweep: $none; using the portable engine"

code=0
said=$(on Nehalem --starts 10 --engine native) || code=$?
[ "$code" = 2 ] || fail "--engine native without AVX: exit code $code, want 2"
[ "$said" = "sweep: --engine native does not work here: $none" ] || fail "--engine native without AVX says '$said'"
echo "emulated.sh: native code on a processor with AVX2, the portable engine on one without; the samples are this machine's"
