#!/bin/sh
# Print the path of a Python that VapourSynth's wheels run on (3.12 or newer), wherever this machine
# keeps one. With an argument such as 3.13, print only a Python of that version.
for python in \
    python3 python3.14 python3.13 python3.12 python \
    "$HOME"/.pyenv/versions/*/bin/python3 \
    "${PYENV_ROOT:-/nonexistent}"/versions/*/bin/python3 \
    "$HOME"/.local/share/uv/python/*/bin/python3 \
    /opt/*/bin/python3 /usr/local/bin/python3*; do
    if "$python" -c '
import ensurepip, sys, venv
wanted, version = sys.argv[1], "%d.%d" % sys.version_info[:2]
sys.exit(sys.version_info < (3, 12) or wanted not in ("", version))' "${1:-}" 2>/dev/null; then
        command -v "$python"
        exit 0
    fi
done
echo "vsifrnet needs Python ${1:-3.12 or newer}, and this machine has none" >&2
exit 1
