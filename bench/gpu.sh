#!/usr/bin/env bash
# gpu.sh [FLAGS]: measures GPU 0 and writes bench/GPU.md; needs no network. Builds bin/bench-gpu where Go is; elsewhere takes the
# one that is there. FLAGS are those of bench/compare (--gpu 1 takes another GPU).
set -euo pipefail
cd "$(dirname "$0")/.."
if command -v "${GO:-go}" >/dev/null; then
  env CGO_ENABLED=1 CGO_CFLAGS="-O2 -I$PWD/kernels/driver/include" CGO_LDFLAGS="-L$PWD/kernels/driver/link" \
    "${GO:-go}" build -o bin/bench-gpu ./bench/compare
fi
[ -x bin/bench-gpu ] || { echo "gpu.sh: neither Go nor bin/bench-gpu is here" >&2; exit 1; }
bin/bench-gpu --gpu 0 "$@"
