"""The wheel and the sdist are complete, without the checkout beside them."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import venv
import zipfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from paths import ROOT
from PIL import Image
from training_data import make_assets, picture, write_triplets

from vsifrnet.cli import COMMANDS

NOT_COPIED = shutil.ignore_patterns(
    ".*", "__pycache__", "*.egg-info", "build", "dist", "demo-out", "work-files"
)
"""Files of a working folder that are no sources; stale ones in build/ would get into a wheel."""

SCRIPT = """
import vapoursynth as vs
from vsifrnet import ifrnet
clip = vs.core.std.BlankClip(width=48, height=32, format=vs.YUV420P8, length=3, fpsnum=24)
clip += clip.std.BlankClip(color=[180, 90, 160], keep=True)
ifrnet(clip.std.SetFrameProps(_Matrix=6), multi=2, sc=False).set_output()
"""


@dataclass(frozen=True)
class Installation:
    """A virtual environment into which only the wheel was installed."""

    folder: Path
    wheel: Path
    sdist: Path

    def run(self, command: str, *arguments: object, cwd: Path) -> str:
        """Run one of its commands, without the checkout on any path; return what it printed."""
        keep = {k: v for k, v in os.environ.items() if not k.startswith("PYTHON")}
        path = f"{self.folder / 'bin'}{os.pathsep}{keep['PATH']}"
        done = subprocess.run(
            [self.folder / "bin" / command, *map(str, arguments)],
            cwd=cwd,
            env=keep | {"PATH": path, "VIRTUAL_ENV": str(self.folder), "OMP_NUM_THREADS": "2"},
            capture_output=True,
            timeout=300,
        )
        assert done.returncode == 0, done.stderr.decode()
        return done.stdout.decode("latin-1")


def build(source: Path, target: Path, *kinds: str) -> None:
    """Build distributions of the sources in a folder."""
    command = [sys.executable, "-m", "build", "--no-isolation", *kinds, "--outdir", target, source]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Installation:
    folder = tmp_path_factory.mktemp("wheel")
    sources = shutil.copytree(ROOT, folder / "sources", ignore=NOT_COPIED)
    build(sources, folder, "--wheel", "--sdist")
    (wheel,), (sdist,) = folder.glob("*.whl"), folder.glob("*.tar.gz")
    environment = folder / "venv"
    venv.create(environment, symlinks=os.name != "nt")
    python = environment / "bin" / "python"
    pip = [sys.executable, "-m", "pip", "--python", python, "--disable-pip-version-check"]
    subprocess.run([*pip, "install", "--quiet", "--no-deps", wheel], check=True)
    # The dependencies are those of the tests' own environment. A path in a .pth file is only
    # searched: the .pth file there that leads to the checkout is not read.
    paths = sysconfig.get_paths(vars={"base": str(environment), "platbase": str(environment)})
    dependencies = {sysconfig.get_path("purelib"), sysconfig.get_path("platlib")}
    (Path(paths["purelib"]) / "dependencies.pth").write_text("\n".join(dependencies) + "\n")
    vspipe = environment / "bin" / "vspipe"
    vspipe.write_text(f"#!{python}\nimport sys, vapoursynth\nsys.exit(vapoursynth.vspipe())\n")
    vspipe.chmod(0o755)
    return Installation(environment, wheel, sdist)


def test_it_is_the_installed_package_that_runs(installed: Installation, tmp_path: Path) -> None:
    code = "import vsifrnet.filter; print(vsifrnet.filter.__file__)"
    file = Path(installed.run("python", "-c", code, cwd=tmp_path).strip())
    assert file.is_relative_to(installed.folder)
    assert file.is_file()


def test_the_wheel_has_every_file_of_the_package(installed: Installation) -> None:
    package = ROOT / "vsifrnet"
    files = {
        path.relative_to(ROOT).as_posix()
        for path in package.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    with zipfile.ZipFile(installed.wheel) as wheel:
        names = {name for name in wheel.namelist() if ".dist-info/" not in name}
    assert names == files


def test_the_sdist_builds_the_same_wheel(installed: Installation, tmp_path: Path) -> None:
    with tarfile.open(installed.sdist) as sdist:
        assert {(member.uname, member.gname) for member in sdist} == {("root", "root")}
        sdist.extractall(tmp_path, filter="data")
    (source,) = tmp_path.iterdir()
    assert (source / "tests" / "test_wheel.py").is_file()
    build(source, tmp_path / "out", "--wheel")
    (again,) = (tmp_path / "out").iterdir()
    assert again.name == installed.wheel.name
    with zipfile.ZipFile(installed.wheel) as first, zipfile.ZipFile(again) as second:
        assert sorted(first.namelist()) == sorted(second.namelist())
        assert all(first.read(name) == second.read(name) for name in first.namelist())


def test_the_filter_through_vspipe(installed: Installation, tmp_path: Path) -> None:
    script = tmp_path / "script.vpy"
    script.write_text(SCRIPT)
    y4m = installed.run("vspipe", "-c", "y4m", script, "-", cwd=tmp_path)
    assert y4m.startswith("YUV4MPEG2 ")
    assert y4m.count("FRAME\n") == 12


def test_help_of_every_command(installed: Installation, tmp_path: Path) -> None:
    nested = ["models list", "models import", "bench accuracy", "bench clips", "bench speed"]
    for command in (*COMMANDS, *nested):
        text = installed.run("vsifrnet", *command.split(), "--help", cwd=tmp_path)
        assert text.startswith(f"usage: vsifrnet {command}")


def test_image(installed: Installation, tmp_path: Path) -> None:
    for name, shift in (("a", 0), ("b", 4)):
        Image.fromarray(picture(shift, 0)).save(tmp_path / f"{name}.png")
    installed.run("vsifrnet", "image", "a.png", "b.png", "-o", "middle.png", cwd=tmp_path)
    with Image.open(tmp_path / "middle.png") as image:
        made = np.asarray(image.convert("RGB"), np.float64)
    error = np.abs(made - picture(2, 0))[8:-8, 8:-8].mean()
    blend = np.abs((picture(0, 0) / 2 + picture(4, 0) / 2) - picture(2, 0))[8:-8, 8:-8].mean()
    assert error < blend


def test_train_and_flow(installed: Installation, tmp_path: Path) -> None:
    make_assets(tmp_path / "assets")
    options = "--steps 2 --crop 32 --batch 2 --workers 0 --threads 1 --device cpu --no-bf16"
    options += " --validate-every 0 --assets assets --out run"
    installed.run("vsifrnet", "train", *options.split(), cwd=tmp_path)
    weights = list((tmp_path / "run").glob("*.safetensors"))
    assert weights
    text = installed.run("vsifrnet", "models", "info", weights[0], cwd=tmp_path)
    assert "variant      S" in text
    write_triplets(tmp_path / "vimeo", 1)
    installed.run("vsifrnet", "flow", "vimeo", cwd=tmp_path)
    assert (tmp_path / "vimeo" / "flow" / "00001" / "0000" / "flow_t1.flo").is_file()
