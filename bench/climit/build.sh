#!/bin/sh
# Compiles the hand-written limit into the file given, and checks that its kernels are AVX-512 code: the
# disassembly must multiply-add whole 512-bit registers, and no kernel may do so with scalars.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
out=${1:?usage: build.sh FILE}
mkdir -p "$(dirname "$out")"
"${CC:-gcc}" -O3 -march=native -fschedule-insns -fsched-pressure -ffp-contract=off -Wall -Wextra -o "$out" "$here"/*.c -lm -lpthread
code=$(objdump -d --no-show-raw-insn "$out" | awk '/^[0-9a-f]+ <run_/ {on = 1} /^$/ {on = 0} on')
wide=$(printf '%s\n' "$code" | grep -cE 'vfn?m(add|sub)[0-9]*pd.*zmm' || true)
scalar=$(printf '%s\n' "$code" | grep -cE 'v(fn?m(add|sub)[0-9]*|mul|add|sub|div|sqrt)sd' || true)
if [ "$wide" -lt 20 ] || [ "$scalar" -gt 0 ]; then
  echo "climit: not vectorised: $wide multiply-adds of 512 bits, $scalar scalar operations" >&2
  exit 1
fi
echo "climit: $wide multiply-adds of 512 bits, no scalar arithmetic in the kernels" >&2
