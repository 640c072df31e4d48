#!/bin/sh
# Makes the virtual environment of the Python peers in the folder given, or leaves it alone if it
# already has what bench/requirements.txt asks for. PYTHON chooses the interpreter (3.11 or later).
set -eu
here=$(cd "$(dirname "$0")" && pwd)
venv=${1:?usage: venv.sh FOLDER}
want=$here/requirements.txt
if [ -x "$venv/bin/python" ] && cmp -s "$want" "$venv/installed.txt"; then
  exit 0
fi
"${PYTHON:-python3}" -m venv "$venv"
"$venv/bin/python" -m pip install --quiet --requirement "$want"
cp "$want" "$venv/installed.txt"
