"""tools/gpu-check.sh on the CPU: it runs every step dry, and survives a step that is cut off."""

from __future__ import annotations

import importlib
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from paths import ROOT

SCRIPT = ROOT / "tools" / "gpu-check.sh"


def run(out: Path, *options: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["sh", str(SCRIPT), str(out), *options],
        env={**os.environ, "PYTHON": sys.executable},
        capture_output=True,
        text=True,
        timeout=900,
        check=False,
    )


def results(out: Path) -> dict[str, dict[str, dict[str, object]]]:
    return json.loads((out / "results.json").read_text())


def test_dry_run(tmp_path: Path) -> None:
    done = run(tmp_path, "--dry-run")
    assert done.returncode == 0, done.stdout + done.stderr
    made = results(tmp_path)
    assert list(made) == ["correctness", "speed", "profile", "training"]
    for step in made.values():
        assert step["step"]["ended"] == "finished"
        assert not [name for name, result in step.items() if "failed" in result]
    assert made["speed"]["ours S 1080p"]["frames"] == 4
    assert made["profile"]["eager"]
    assert made["training"]["with the data side"]["samples/s"] > 0
    names = {path.name for path in tmp_path.iterdir()}
    assert names == {"results.json", "results.txt", "profile.tsv", "weights.safetensors", "log.csv"}


def test_a_step_that_is_cut_off_keeps_what_it_had(tmp_path: Path) -> None:
    check = ["--step", "correctness", "--check", "sleep", "--check", "parity"]
    done = run(tmp_path, "--dry-run", *check, "--seconds", "60")
    assert done.returncode == 1
    assert "no check 'sleep'" in done.stderr
    (tmp_path / "results.json").write_text(json.dumps({"speed": {"kept": 1}}))
    done = run(tmp_path, "--dry-run", "--step", "training", "--seconds", "0.2")
    made = results(tmp_path)
    assert done.returncode == 1
    assert made["training"]["step"]["ended"] == "cut off"
    assert made["speed"] == {"kept": 1}


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("_bias_prelu", "our kernels"),
        ("_synthesize", "our kernels"),
        ("sm90_xmma_fprop_implicit_gemm_f16f16_f16f32_f32_nhwckrsc_nhwc", "convolution"),
        ("void cudnn::ops::nchwToNhwcKernel<__half, __half, float>", "convolution"),
        ("void at::native::grid_sampler_2d_kernel<float, int>", "grid_sample"),
        ("Memcpy HtoD (Pinned -> Device)", "copy between host and card"),
        ("Memcpy DtoD (Device -> Device)", "copy or cast"),
        ("void at::native::unrolled_elementwise_kernel<direct_copy_kernel_cuda", "copy or cast"),
        ("void at::native::prelu_kernel<c10::Half>", "prelu"),
        ("void at::native::upsample_bilinear2d_out_frame<float, float>", "resize"),
        ("void at::native::vectorized_elementwise_kernel<4, CUDAFunctor_add<float>", "elementwise"),
        ("Memset (Device)", "fill"),
    ],
)
def test_kinds(name: str, kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(ROOT / "tools"))
    assert importlib.import_module("gpu_check.profile").kind_of(name) == kind
