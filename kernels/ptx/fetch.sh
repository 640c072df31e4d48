# NVIDIA's tools from pip, into bin/ptxas; sourced in the root of the repository.
tools=bin/ptxas
mkdir -p "$tools"

# name packages: a folder of its own for each name, because versions share their paths.
fetch() {
  [ -f "$tools/$1.ready" ] && return
  "${PYTHON:-python3}" -m venv "$tools/$1"
  "$tools/$1/bin/pip" install --quiet --disable-pip-version-check --no-deps "${@:2}"
  touch "$tools/$1.ready"
}

one() { # the one file of that name below the folder of that name
  local found
  found=$(find "$tools/$1" -path "*/$2" -type f | head -1)
  [ -n "$found" ] || { echo "fetch.sh: $2 is missing below $tools/$1" >&2; exit 1; }
  echo "$found"
}
