"""Tests from outside: imports, stdout, vspipe, and memory over reloads."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from paths import ROOT

SCRIPT = """
import vapoursynth as vs
from vsifrnet import ifrnet
core = vs.core
clip = core.std.BlankClip(width=48, height=32, format=vs.YUV420P8, length=8, fpsnum=24)
def paint(n, f):
    import numpy as np
    frame = f.copy()
    np.asarray(frame[0])[:, 4 * n : 4 * n + 8] = 200
    return frame
clip = clip.std.ModifyFrame(clip, paint).std.SetFrameProps(_Matrix=6)
ifrnet(clip, multi=3).set_output()
"""


def run(*command: str, **variables: str) -> subprocess.CompletedProcess[bytes]:
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    environment = os.environ | {"PATH": path, "PYTHONPATH": str(ROOT)} | variables
    return subprocess.run(
        command, capture_output=True, check=True, env=environment, cwd=ROOT, timeout=300
    )


def test_import_is_silent_and_light() -> None:
    code = (
        "import sys, vsifrnet\n"
        "assert 'torch' not in sys.modules\n"
        "from vsifrnet import ifrnet\n"
        "assert ifrnet is vsifrnet.ifrnet is sys.modules['vsifrnet.filter'].ifrnet\n"
        "loaded = [m for m in sys.modules if m.startswith(('vsifrnet.training',"
        " 'vsifrnet.evaluation', 'vsifrnet.cli', 'av', 'PIL', 'cv2', 'matplotlib'))]\n"
        "assert not loaded, loaded\n"
        "everything = {}\n"
        "exec('from vsifrnet import *', everything)\n"
        "assert set(vsifrnet.__all__) <= set(everything)\n"
        "assert not hasattr(vsifrnet, 'nothing')\n"
    )
    done = run(sys.executable, "-W", "error", "-c", code)
    assert (done.stdout, done.stderr) == (b"", b"")


@pytest.fixture(scope="module")
def script(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("script") / "script.vpy"
    path.write_text(SCRIPT)
    return path


def y4m_frames(data: bytes) -> list[bytes]:
    """The frames of a y4m stream of 48x32 YUV420P8; fails on any byte that does not belong."""
    header, _, rest = data.partition(b"\n")
    assert header.startswith(b"YUV4MPEG2 ")
    assert b" F72:1" in header
    size = 48 * 32 * 3 // 2
    frames = []
    while rest:
        assert rest.startswith(b"FRAME\n")
        frames.append(rest[6 : 6 + size])
        rest = rest[6 + size :]
    assert all(len(frame) == size for frame in frames)
    return frames


def test_vspipe_segments_make_the_whole(script: Path) -> None:
    """Also: nothing but y4m reaches stdout."""
    whole = y4m_frames(run("vspipe", "-c", "y4m", str(script), "-").stdout)
    assert len(whole) == 24
    parts = []
    for start, end in ((0, 4), (5, 5), (6, 16), (17, 23)):
        done = run("vspipe", "-c", "y4m", "-s", str(start), "-e", str(end), str(script), "-")
        parts += y4m_frames(done.stdout)
    assert parts == whole


def test_reloading_a_script_gives_memory_back() -> None:
    """A previewer evaluates the script again and again in one process."""
    code = f"""
import gc, resource, sys
import vapoursynth as vs
script = {SCRIPT!r}
def resident():
    with open('/proc/self/statm') as statm:
        return int(statm.read().split()[1]) * resource.getpagesize() / 2**20
import threading
def reload():
    exec(script, {{}})
    out = vs.get_output(0).clip
    for n in (4, 1, 19):
        out.get_frame(n).close()
    vs.clear_outputs()
    del out
    gc.collect()
for _ in range(10):
    reload()
before, threads = resident(), threading.active_count()
for _ in range(40):
    reload()
sys.stderr.write(f'{{before:.0f}} MiB then {{resident():.0f}} MiB')
assert threading.active_count() <= threads, threading.enumerate()
assert resident() - before < 60, (before, resident())
"""
    if not Path("/proc/self/statm").exists():
        pytest.skip("needs Linux")
    assert run(sys.executable, "-c", code).stdout == b""


@pytest.mark.parametrize("utf8", ["0", "1"])
def test_names_that_are_not_ascii_in_a_c_locale(utf8: str, tmp_path: Path) -> None:
    """As in containers, where Python's encoding of file names is ASCII inside vspipe."""
    model, times = tmp_path / "mödel.safetensors", tmp_path / "zeiten ü.txt"
    shutil.copy(ROOT / "vsifrnet" / "models" / "ifrnet_s.safetensors", model)
    times.write_text("# timecode format v2\n0\n40\n100\n")
    script = tmp_path / "script.vpy"
    script.write_text(
        "import vapoursynth as vs\nfrom vsifrnet import ifrnet\n"
        "clip = vs.core.std.BlankClip(width=64, height=48, format=vs.RGBS, length=3)\n"
        f"ifrnet(clip, model={str(model)!r}, fps_num=25, fps_den=1, timecodes={str(times)!r},\n"
        "       device='cpu').set_output()\n",
        encoding="utf-8",
    )
    run("vspipe", str(script), ".", LC_ALL="C", PYTHONUTF8=utf8, PYTHONCOERCECLOCALE="0")
