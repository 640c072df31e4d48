#!/usr/bin/env bash
# command.sh SWEEP STANDIN: the command, built with CUDA, where there is no driver, where there is a driver but no
# device, and on the stand-in for the driver in the folder STANDIN.
set -euo pipefail
sweep=$(realpath "$1") standin=$(realpath "$2")
tmp=$(mktemp -d); trap 'rm -rf "$tmp"' EXIT
fail() { echo "command.sh: $*" >&2; exit 1; }
unset CUDASTANDIN
export -n LD_LIBRARY_PATH
args=(--alpha 0.1:10:3 --starts 40 --seed 7 --quiet)

# run NAME WANTED-EXIT ENVIRONMENT... -- ARGUMENTS...: output in $tmp/NAME.out and .err
run() {
  local name=$1 want=$2 env=() got=0
  shift 2
  while [ "$1" != -- ]; do env+=("$1"); shift; done
  shift
  env "${env[@]}" "$sweep" "$@" >"$tmp/$name.out" 2>"$tmp/$name.err" || got=$?
  [ "$got" = "$want" ] || { cat "$tmp/$name.err" >&2; fail "$name: exit code $got, want $want"; }
}
says() { grep -qF -- "$2" "$tmp/$1.err" || { cat "$tmp/$1.err" >&2; fail "$1 does not say: $2"; }; }

! ldd "$sweep" | grep -q libcuda || fail "the program depends on the driver's library"

if ! ldconfig -p 2>/dev/null | grep -q libcuda.so.1; then
  run no-driver 0 A=1 -- --device auto "${args[@]}"
  run no-driver-cuda 2 A=1 -- --device cuda "${args[@]}"
  says no-driver-cuda "no NVIDIA driver"
  [ "$(wc -l <"$tmp/no-driver-cuda.err")" = 1 ] || fail "no driver: more than one line"
fi

with=(LD_LIBRARY_PATH="$standin")
run no-device 0 "${with[@]}" CUDASTANDIN=nodevice -- --device auto "${args[@]}"
run no-device-cuda 2 "${with[@]}" CUDASTANDIN=nodevice -- --engine cuda "${args[@]}"
says no-device-cuda CUDA_ERROR_NO_DEVICE
run old-driver 2 "${with[@]}" CUDASTANDIN=version=9020 -- --device cuda "${args[@]}"
says old-driver "CUDA 9.2"
run old-driver-auto 0 "${with[@]}" CUDASTANDIN=version=9020 -- --device auto --alpha 1 --starts 4
says old-driver-auto "on the CPU, because of the GPU: the NVIDIA driver is for CUDA 9.2"
run third 2 "${with[@]}" CUDASTANDIN=devices=2 -- --device cuda:2 "${args[@]}"
says third "0..1 are there"
run no-memory 2 "${with[@]}" CUDASTANDIN=memory=1000 -- --device cuda "${args[@]}"
says no-memory "cuda:0: cuMemAlloc: CUDA_ERROR_OUT_OF_MEMORY"
run lost 1 "${with[@]}" CUDASTANDIN=lost=200 -- --device cuda "${args[@]}"
says lost CUDA_ERROR_UNKNOWN
run version 0 "${with[@]}" -- version
grep -q "cuda .*Works" "$tmp/version.out" || fail "sweep version does not list the GPU"

run selftest 0 "${with[@]}" -- selftest --time-limit 2s
grep -q "^programs *the same bits: [1-9].* in float64 and float32," "$tmp/selftest.out" || fail "sweep selftest does not say what passed"
run selftest-no-device 2 "${with[@]}" CUDASTANDIN=nodevice -- selftest
says selftest-no-device CUDA_ERROR_NO_DEVICE

# The same samples, to the byte, on the CPU and in every order of the threads, in both types of numbers.
for dtype in float64 float32; do
  run "cpu-$dtype" 0 A=1 -- --device cpu --dtype "$dtype" "${args[@]}" --out "$tmp/cpu-$dtype"
  for order in forward backward shuffle; do
    name=$order-$dtype
    run "$name" 0 "${with[@]}" CUDASTANDIN=order=$order,report -- --device cuda --dtype "$dtype" "${args[@]}" --out "$tmp/$name"
    says "$name" "<<<"
    for f in samples.parquet paths.parquet; do
      cmp "$tmp/cpu-$dtype/$f" "$tmp/$name/$f" || fail "$name: $f differs from the CPU's"
    done
  done
done
! cmp -s "$tmp/cpu-float64/samples.parquet" "$tmp/cpu-float32/samples.parquet" || fail "float32 is float64"
# So they are on two GPUs, of which one goes away or has no memory, and on the second alone.
gpus() { # NAME SETTINGS DEVICE WORDS
  run "$1" 0 "${with[@]}" CUDASTANDIN="$2,report" -- --device "$3" "${args[@]}" --quiet=false --out "$tmp/$1"
  says "$1" "$4"
  cmp "$tmp/cpu-float64/samples.parquet" "$tmp/$1/samples.parquet" || fail "$1: samples.parquet differs from the CPU's"
}
gpus two devices=2,order=shuffle cuda "device 1: invar<<<"
gpus one-lost devices=2,lost=150@1 cuda "on the other GPUs from here: cuda:1: "
gpus one-small devices=2,memory=1000:0x10000000 cuda "on the other GPUs from here: cuda:0: cuMemAlloc: CUDA_ERROR_OUT_OF_MEMORY"
gpus second devices=2 cuda:1 "device 1: invar<<<"
! grep -q "device 0: invar<<<" "$tmp/second.err" || fail "--device cuda:1 runs on device 0 too"
run large 0 "${with[@]}" CUDASTANDIN=streams=late,pause=1000,report -- --device cuda --alpha 1 --starts 20000 --method newton --quiet
says large "a copy beside a launch"

# A GPU that goes away at any time, beginning with the first look at it, leaves the rest to the CPU, which is said once; if no
# other device is allowed, what was finished is kept.
for k in 1 20 60 100 150 200 250 300 350 400 500; do
  run "auto-$k" 0 "${with[@]}" CUDASTANDIN="lost=$k" -- --device auto "${args[@]}" --quiet=false --out "$tmp/auto-$k"
  [ "$(grep -c "on the CPU" "$tmp/auto-$k.err")" -le 1 ] || fail "lost at call $k: said more than once"
  cmp "$tmp/cpu-float64/samples.parquet" "$tmp/auto-$k/samples.parquet" || fail "lost at call $k: samples.parquet differs from the CPU's"
done
says auto-200 "on the CPU from here, because of the GPU: cuda:0: "
grep -q '"engine": "cuda:0, then ' "$tmp/auto-200/run.json" || fail "run.json does not name both engines"
run early 1 "${with[@]}" CUDASTANDIN=lost=400 -- --device cuda "${args[@]}" --out "$tmp/early"
says early "run it again with: sweep --resume" # nothing is saved in the first half second
run kept 1 "${with[@]}" CUDASTANDIN=lost=400,pause=100000 -- --device cuda "${args[@]}" --out "$tmp/kept"
says kept "what is finished is kept, go on with: sweep --resume"
[ "$(wc -l <"$tmp/kept.err")" = 1 ] || fail "a lost GPU: more than one line"
[ "$(stat -c %s "$tmp/kept/partial/chunks.bin")" -gt 48 ] || fail "a lost GPU: nothing is kept"
run resumed 0 A=1 -- --resume "$tmp/kept" --device cpu --quiet
cmp "$tmp/cpu-float64/samples.parquet" "$tmp/kept/samples.parquet" || fail "resumed on the CPU: samples.parquet differs"

run auto 0 "${with[@]}" CUDASTANDIN=report -- --device auto "${args[@]}"
says auto "<<<"
echo "command.sh: the command starts and runs with no driver, with no device and on the stand-in; the samples are the CPU's"
