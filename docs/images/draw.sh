#!/usr/bin/env bash
# Draws the pictures of the documentation into this folder, with bin/sweep.
set -euo pipefail
cd "$(dirname "$0")/../.."
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
# The published example: x = (3, 3), ten iterations.
bin/sweep -q --start 3,3 --iterations 10 --alpha 0.1,1,10 --method gd:lr=0.01 --method newton:lr=0.333 --method pg:lr=0.3 \
  --plot "$tmp/book" >/dev/null
bin/sweep -q --problem rosenbrock --alpha 0.01:100 --starts 1000 --plot "$tmp/rosenbrock" >/dev/null
bin/sweep -q --problem himmelblau --alpha 1 --starts 1500 --method gd,bfgs,newton,newton-ls,lm,gn --plot "$tmp/himmelblau" >/dev/null
cp "$tmp/book/paths.png" docs/images/paths.png
cp "$tmp/book/landscapes.png" docs/images/landscapes.png
cp "$tmp/rosenbrock/iterations.png" docs/images/iterations.png
cp "$tmp/rosenbrock/waterfall.png" docs/images/waterfall.png
cp "$tmp/himmelblau/basins.png" docs/images/basins.png
