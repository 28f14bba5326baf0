#!/bin/sh
# Print a Python that VapourSynth's wheels run on (>= 3.12), wherever this machine keeps one.
for python in \
    python3 python3.14 python3.13 python3.12 python \
    "$HOME"/.pyenv/versions/*/bin/python3 \
    "${PYENV_ROOT:-/nonexistent}"/versions/*/bin/python3 \
    "$HOME"/.local/share/uv/python/*/bin/python3 \
    /opt/*/bin/python3 /usr/local/bin/python3*; do
    if "$python" -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 12))' 2>/dev/null; then
        command -v "$python"
        exit 0
    fi
done
echo "vsifrnet needs Python 3.12 or newer, and none was found" >&2
exit 1
