#!/usr/bin/env bash
# Fetches the JavaScript that report.html carries, at the versions below, from the npm registry:
# the minified builds, their licences, and the licences of what is bundled in them.
# Run it in any folder; it rewrites the files beside itself. With --check it writes nothing and
# fails if a file differs from what the registry has.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
versions=(vega@6.4.0 vega-lite@6.5.0 vega-embed@7.3.0)
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
out=$here
if [ "${1:-}" = --check ]; then
  out=$tmp/out
  mkdir "$out"
fi
cd "$tmp"
echo '{"private": true}' > package.json
npm install --no-audit --no-fund --ignore-scripts --loglevel=error "${versions[@]}" >/dev/null

for p in vega vega-lite vega-embed; do
  # The source map is not carried along, so the line that asks for it goes too.
  sed '/^\/\/# sourceMappingURL=/d' "node_modules/$p/build/$p.min.js" > "$out/$p.min.js"
  cp "node_modules/$p/LICENSE" "$out/LICENSE-$p.txt"
done

# The builds of vega and vega-embed bundle their dependencies: their notices go along.
node - <<'JS' > "$out/LICENSES-bundled.txt"
const fs = require('fs'), path = require('path');
const lock = JSON.parse(fs.readFileSync('package-lock.json')).packages;
const own = new Set(['vega', 'vega-lite', 'vega-embed']);
// What the published builds import, transitively from the packages whose builds are carried.
const want = new Set(), queue = ['vega', 'vega-embed'];
while (queue.length) {
  const name = queue.shift();
  for (const d of Object.keys((lock['node_modules/' + name] || {}).dependencies || {}))
    if (!want.has(d) && !own.has(d)) { want.add(d); queue.push(d); }
}
const groups = new Map();
for (const name of [...want].sort()) {
  const dir = path.join('node_modules', name);
  const file = fs.existsSync(dir) && fs.readdirSync(dir).find(f => /^(licen[sc]e|copying)/i.test(f));
  const meta = lock['node_modules/' + name];
  const text = file ? fs.readFileSync(path.join(dir, file), 'utf8').replace(/\r/g, '').trim() : 'Licence: ' + meta.license;
  if (!groups.has(text)) groups.set(text, []);
  groups.get(text).push(name);
}
for (const [text, names] of groups) console.log(names.join(', ') + '\n\n' + text + '\n\n' + '-'.repeat(72));
JS
(cd "$out" && sha256sum ./*.min.js | sed 's# \./# #' > SHA256SUMS)
if [ "$out" != "$here" ]; then
  for f in "$out"/*.js "$out"/LICENSE-*.txt "$out"/SHA256SUMS; do cmp "$f" "$here/$(basename "$f")"; done
  echo "the files are those of the registry"
fi
