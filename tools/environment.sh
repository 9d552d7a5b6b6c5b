#!/bin/sh
# Makes the virtual environment in $1: every package of requirements.lock, by hash, then this project as it stands.
set -eu
venv=$1
for python in "${PYTHON:-python3}" python3.13 python3.12 python3.11; do
  if "$python" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' 2>/dev/null; then break; fi
  python=
done
if [ -z "$python" ]; then
  echo "edge-agent needs Python 3.11, 3.12 or 3.13 and found none. On Debian: apt-get install python3 python3-venv" >&2
  exit 1
fi
echo "environment: $venv with $("$python" --version), about 30 s the first time" >&2
# One that was broken off, or whose Python is gone, is made anew.
"$venv/bin/python" -m pip --version >/dev/null 2>&1 || rm -rf "$venv"
if [ ! -x "$venv/bin/python" ] && ! "$python" -m venv "$venv" >/dev/null 2>&1; then
  rm -rf "$venv"
  if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
    echo "environment: python3-venv is missing, installing it" >&2
    apt-get update -qq >/dev/null && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends python3-venv >/dev/null
  fi
  if ! "$python" -m venv "$venv"; then
    echo "Python cannot make a virtual environment. On Debian: apt-get install python3-venv" >&2
    rm -rf "$venv"
    exit 1
  fi
fi
"$venv/bin/python" -m pip install --quiet --disable-pip-version-check --require-hashes --no-deps -r requirements.lock
# setuptools warns of editable installations as such, over ten lines.
PYTHONWARNINGS=ignore "$venv/bin/python" -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
touch "$venv/.ready"
