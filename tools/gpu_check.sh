#!/usr/bin/env bash
# Equivalence and speed of zoo's networks on this machine's GPU, with JAX and PyTorch alone.
#
#   tools/gpu_check.sh BUNDLE OUT [--cpu] [--seconds 440] [--only equivalence|throughput]
#
# BUNDLE is what tools/make_gpu_bundle.py made: the archive, or a folder that it was unpacked to.
# Nothing is fetched. OUT gets CSV, JSON and a log. PYTHON names another Python than python3.
# Where TensorFlow sees a GPU too, `zoo validate` and `zoo bench` run on it afterwards.
set -euo pipefail

if [ $# -lt 2 ]; then
  sed -n '2,8s/^# \{0,1\}//p' "$0" >&2
  exit 2
fi
python=$(command -v "${PYTHON:-python3}") || {
  echo "There is no Python '${PYTHON:-python3}' here: PYTHON names another." >&2
  exit 2
}
[[ $python != */* ]] || python=$(cd "$(dirname "$python")" && pwd)/$(basename "$python")
mkdir -p "$2"
bundle=$1 out=$(cd "$2" && pwd)
shift 2

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
if [ -f "$bundle" ]; then
  mkdir "$work/bundle"
  tar -xzf "$bundle" -C "$work/bundle"
  bundle=$work/bundle
fi
bundle=$(cd "$bundle" && pwd)

# Keras as the bundle was made with, and of what it needs only what this Python lacks: nothing that
# JAX or PyTorch came with is shadowed.
if [ -d "$bundle/wheels" ]; then
  wanted=$("$python" "$bundle/gpu_check/wanted.py" "$bundle/wheels")
  # shellcheck disable=SC2086  # Names, one a word.
  "$python" -m pip install --quiet --disable-pip-version-check --no-index --no-deps --no-compile \
    --find-links "$bundle/wheels" --target "$work/site" $wanted
fi
export PYTHONPATH="$bundle:$work/site${PYTHONPATH:+:$PYTHONPATH}"
cd "$bundle" # or `python -m` would take the zoo of a checkout that this is called in

status=0
"$python" -m gpu_check "$bundle" "$out" "$@" || status=$?
"$python" -m gpu_check.tensorflow_gpu "$bundle" "$out" "$@" || status=$?
exit $status
