#!/usr/bin/env bash
# check.sh FOLDER: holds our cuda.h against NVIDIA's in FOLDER: prototypes, values and layouts.
set -euo pipefail
real=$(realpath "${1:?folder of the cuda.h of NVIDIA}") here=$(cd "$(dirname "$0")" && pwd) cc=${CC:-gcc}
[ -f "$real/cuda.h" ] || { echo "check.sh: $real has no cuda.h" >&2; exit 1; }
tmp=$(mktemp -d); trap 'rm -rf "$tmp"' EXIT

# Prototypes and values: one file that reads both.
{
  echo "#include <stddef.h>"
  echo "#include \"$real/cuda.h\""
  echo "#include \"$here/cuda.h\""
  sed -nE 's/^  (CU[A-Z0-9_a-z]+) = (-?[0-9]+),$/_Static_assert(\1 == \2, "\1");/p' "$here/cuda.h"
  sed -nE 's/^#define (CU_[A-Z_]+) (0x[0-9]+)$/_Static_assert(\1 == \2, "\1");/p' "$here/cuda.h"
} >"$tmp/both.c"
"$cc" -Wno-deprecated-declarations -Werror -fsyntax-only "$tmp/both.c"

# Which function a name stands for, and the layout of structures: the same file read with each.
{
  echo "#include <stddef.h>"; echo "#include <stdio.h>"
  echo "#include <cuda.h>"
  echo "#define STRING(x) #x"
  echo "#define NAME(x) STRING(x)"
  echo "int main(void) {"
  sed -nE 's/^#define (cu[A-Za-z0-9_]+) .*/puts("\1 " NAME(\1));/p' "$here/cuda.h"
  awk '/^typedef struct .* \{$/ { n = 0; next }
       /^  / { f = $NF; sub(/\[.*/, "", f); sub(/;/, "", f); sub(/^\*+/, "", f); field[n++] = f; next }
       /^\} .*;$/ { t = $2; sub(/;/, "", t); if (t in seen) next; seen[t]
         if (enums[t]) next
         out = ""; ok = 1
         for (i = 0; i < n; i++) { if (field[i] ~ /,$/) { ok = 0; break }; out = out "printf(\"" t "." field[i] " %zu %zu\\n\", offsetof(" t ", " field[i] "), sizeof ((" t " *)0)->" field[i] ");\n" }
         if (ok && n > 0) print "printf(\"" t " %zu\\n\", sizeof(" t "));\n" out; n = 0 }' "$here/cuda.h"
  echo "return 0; }"
} >"$tmp/layout.c"
"$cc" -I"$here" -o "$tmp/ours" "$tmp/layout.c"
"$cc" -I"$real" -o "$tmp/theirs" "$tmp/layout.c"
"$tmp/ours" >"$tmp/ours.txt"; "$tmp/theirs" >"$tmp/theirs.txt"
diff "$tmp/ours.txt" "$tmp/theirs.txt" || { echo "check.sh: cuda.h differs (< ours, > NVIDIA's)" >&2; exit 1; }
echo "cuda.h: $(grep -c _Static_assert "$tmp/both.c") values, $(grep -c '^CUresult cu' "$here/cuda.h") prototypes, $(wc -l <"$tmp/ours.txt") names and layouts are NVIDIA's"
