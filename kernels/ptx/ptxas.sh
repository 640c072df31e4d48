#!/usr/bin/env bash
# Has NVIDIA's own tools judge what is written here: ptxas assembles the kernels, and our cuda.h is held against
# NVIDIA's. They come from pip, into bin/ptxas. With a file, its table of registers is written anew.
set -euo pipefail
cd "$(dirname "$0")/../.."
file=${1:-}
. kernels/ptx/fetch.sh
fetch cuda12 nvidia-cuda-nvcc-cu12==12.9.86 nvidia-cuda-runtime-cu12==12.9.79
fetch cuda13 nvidia-cuda-nvcc==13.5.37

ptxas12=$(one cuda12 bin/ptxas) ptxas13=$(one cuda13 bin/ptxas) header=$(one cuda12 include/cuda.h)
chmod +x "$ptxas12" "$ptxas13"

kernels/driver/include/check.sh "$(dirname "$header")"
table=$(mktemp); trap 'rm -f "$table"' EXIT
CGO_ENABLED=0 "${GO:-go}" run -tags nocuda ./kernels/ptx/assemble -ptxas "$ptxas12" -newest "$ptxas13" -table "$table"
if [ -n "$file" ]; then
  awk -v table="$table" '
    /<!-- end of the table -->/ { inside = 0 }
    !inside { print }
    /<!-- table: make docs-gpu -->/ { inside = 1; while ((getline line < table) > 0) print line }' "$file" >"$file.new"
  mv "$file.new" "$file"
fi
