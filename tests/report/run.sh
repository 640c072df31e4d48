#!/usr/bin/env bash
# Makes reports with bin/sweep and opens them in headless Chromium: test.mjs. Chromium is $CHROMIUM, or
# found on the path, or installed where this is root on Debian; node and npm must be there.
# SHOTS=FOLDER keeps screenshots.
set -euo pipefail
cd "$(dirname "$0")"
command -v npm >/dev/null || { echo "test-report: node and npm are needed" >&2; exit 1; }
for name in "${CHROMIUM:-}" chromium chromium-browser google-chrome; do
  found=$(command -v "${name:-none}" || true)
  [ -n "$found" ] && break
done
if [ -z "$found" ] && [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
  apt-get update -qq && apt-get install -y -qq --no-install-recommends chromium >/dev/null
  found=$(command -v chromium)
fi
[ -n "$found" ] || { echo "test-report: Chromium is needed; set CHROMIUM to its path" >&2; exit 1; }
export CHROMIUM=$found
npm ci --ignore-scripts --no-audit --no-fund --loglevel=error >/dev/null

tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
sweep=../../bin/sweep
[ -x "$sweep" ] || sweep=$sweep.exe
"$sweep" -q --problem himmelblau --alpha 0.1:10 --starts 200 --plot "$tmp/himmelblau" >/dev/null
"$sweep" -q --problem linear1d --alpha 0.1:10:5 --starts 20 --plot "$tmp/linear1d" >/dev/null
"$sweep" -q --problem powell --alpha 0.1:10:5 --starts 50 --out "$tmp/powell" >/dev/null
"$sweep" plot "$tmp/powell" >/dev/null
"$sweep" -q --problem square --alpha 1 --start 3,3 --plot "$tmp/one" >/dev/null
node test.mjs "$tmp/himmelblau/report.html" ${SHOTS:+"$SHOTS"}
for r in linear1d powell/plots one; do
  node test.mjs --open "$tmp/$r/report.html"
done
