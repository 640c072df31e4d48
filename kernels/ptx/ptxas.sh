#!/usr/bin/env bash
# Has NVIDIA's own tools judge what is written here: ptxas assembles the kernels, and our cuda.h is held against
# NVIDIA's. They come from pip, into bin/ptxas. With a file, its table of registers is written anew.
set -euo pipefail
cd "$(dirname "$0")/../.."
file=${1:-}
dir=bin/ptxas
python=${PYTHON:-python3}

# name: a folder of its own for each, because the two versions share their paths.
fetch() {
  [ -f "$dir/$1.ready" ] && return
  "$python" -m venv "$dir/$1"
  "$dir/$1/bin/pip" install --quiet --disable-pip-version-check --no-deps "${@:2}"
  touch "$dir/$1.ready"
}
mkdir -p "$dir"
fetch cuda12 nvidia-cuda-nvcc-cu12==12.9.86 nvidia-cuda-runtime-cu12==12.9.79
fetch cuda13 nvidia-cuda-nvcc==13.5.37

one() { # the one file of that name below a folder
  local found
  found=$(find "$1" -path "*/$2" -type f | head -1)
  [ -n "$found" ] || { echo "ptxas.sh: $2 is missing below $1" >&2; exit 1; }
  echo "$found"
}
ptxas12=$(one "$dir/cuda12" bin/ptxas) ptxas13=$(one "$dir/cuda13" bin/ptxas) header=$(one "$dir/cuda12" include/cuda.h)
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
