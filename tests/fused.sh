#!/usr/bin/env bash
# fused.sh: nothing that computes results depends on the machine. Go may fuse x*y + z into one operation with one rounding,
# and does so on arm64 and others, and package math has other code, with other roundings, on other processors. So this
# compiles those packages for arm64 and finds in their code fused operations that are no math.FMA (the remedy is
# float64(x*y) + z), and functions of package math that are not exact (internal/elementary has the same, as programs).
set -euo pipefail
cd "$(dirname "$0")/.."
packages="./batch ./cpu ./graph ./internal/elementary ./internal/linalg ./problem ./problem/formula ./program ./results ./sampling"

# Files that use package math, and why no result sees it. Everything else may use what is exact.
math="
graph/ops.go             what Gorgonia's tape machine computes with: a second opinion
problem/formula/eval.go  formulas as one reads them, for checks and pictures; programs have their own
sampling/sampling.go     a root as a first guess, corrected in integers
"
exact=" Abs Ceil Copysign FMA Float32bits Float32frombits Float64bits Float64frombits Floor Frexp frexp Ldexp ldexp Modf modf Nextafter Round RoundToEven Sqrt Trunc "

listing=$(mktemp); trap 'rm -f "$listing"' EXIT
GOARCH=arm64 "${GO:-go}" build -tags nocuda -gcflags=-S $packages 2>"$listing" || { cat "$listing" >&2; exit 1; }

# FILE LINE FUNCTION'S-FILE INSTRUCTION SYMBOL of all that may be wrong; the symbol is - for fused operations.
found=$(awk '
  BEGIN { of = "-" } # of code that the compiler adds no file is known
  /\tTEXT\t/ { texts++; of = "-" }
  { if (!match($0, /\([^()]*\.go:[0-9]+\)/)) next
    at = substr($0, RSTART+1, RLENGTH-2); line = at; sub(/.*:/, "", line); sub(/:[0-9]+$/, "", at) }
  /\tTEXT\t/ { of = at }
  /\tFN?M(ADD|SUB)[SD]\t/ { match($0, /FN?M(ADD|SUB)[SD]/); print at, line, of, substr($0, RSTART, RLENGTH), "-" }
  match($0, /[ \t$]math\.[A-Za-z0-9]+(·f)?\(SB\)/) {
    name = substr($0, RSTART+6, RLENGTH-6); sub(/(·f)?\(SB\).*/, "", name); print at, line, of, "math", name }
  END { print "functions", texts }' "$listing" | sort -u)

bad=0 seen=" "
while read -r file line of what name; do
  case "$what" in
  math)
    [[ "$exact" == *" $name "* ]] && continue
    for f in $(awk 'NF {print $1}' <<<"$math"); do
      [[ "$file" = "$PWD/$f" || "$of" = "$PWD/$f" ]] && { seen+="$f "; continue 2; }
    done
    echo "fused.sh: ${file#"$PWD"/}:$line: math.$name, in a function of ${of#"$PWD"/}" >&2 ;;
  *)
    sed -n "${line}p" "$file" | grep -q 'math\.FMA(' && { seen+="FMA "; continue; }
    echo "fused.sh: ${file#"$PWD"/}:$line: $what: $(sed -n "${line}p" "$file")" >&2 ;;
  esac
  bad=1
done < <(grep -v '^functions ' <<<"$found")
# What is known to be there must have been found, else this test sees nothing.
for f in FMA $(awk 'NF {print $1}' <<<"$math"); do
  [[ "$seen" == *" $f "* ]] || { echo "fused.sh: nothing found of $f: does it still use package math?" >&2; bad=1; }
done
[ $bad = 0 ] || exit 1
echo "fused.sh: $(sed -n 's/^functions //p' <<<"$found") functions on arm64: no product is fused with a sum, no function of package math is inexact"
