#!/bin/sh
# Checks and measures the CUDA path on the card of this machine: tools/gpu-check.sh OUT [options]
# docs/gpu.md says what it does; `tools/gpu-check.sh --help` lists the options.
set -eu
root=$(CDPATH= cd -- "$(dirname -- "$0")/.." && pwd)
python=${PYTHON:-$root/.venv/bin/python}
command -v "$python" >/dev/null || python=python3
# What `--pack` collected, installed outside of the repository.
if ls "$root"/.whl/*.whl >/dev/null 2>&1; then
    site=${TMPDIR:-/tmp}/gpu-check-site
    "$python" -m pip install -q --no-index --no-deps --no-compile --no-cache-dir --upgrade \
        --target "$site" "$root"/.whl/*.whl
    PYTHONPATH=$site:${PYTHONPATH:-}
    PATH=$site/bin:$PATH
fi
# vspipe looks for its Python on the PATH.
PATH=$(dirname -- "$(command -v "$python")"):$PATH
export PATH PYTHONPATH="$root:$root/tools:$root/tests:${PYTHONPATH:-}" PYTHONUNBUFFERED=1
exec "$python" -m gpu_check "$@"
