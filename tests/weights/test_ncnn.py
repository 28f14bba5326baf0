"""The ncnn reader against ncnn itself: pnnx exports, the ncnn runtime runs, our reader imports.

ifrnet-ncnn-vulkan's files were made in the same way, with the warp as a layer of the program.
"""

import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from paths import ROOT
from torch import nn

from vsifrnet.cli import main
from vsifrnet.engine import ops
from vsifrnet.errors import WeightsError
from vsifrnet.network import CONFIGS, IFRNet
from vsifrnet.weights import cache, registry
from vsifrnet.weights.load import load_weights
from vsifrnet.weights.ncnn import read_ncnn

pytest.importorskip("ncnn")
pnnx = pytest.importorskip("pnnx")

# pnnx wants a TorchScript trace; the sizes of the warp's input are constants of it.
pytestmark = pytest.mark.filterwarnings(
    "ignore:`torch.jit:FutureWarning", "ignore:Converting a tensor:torch.jit.TracerWarning"
)


class Warp(nn.Module):
    """The warp as a module, which pnnx can leave as one layer."""

    def forward(self, flow, picture):
        return ops.warp(picture, flow)


class Graph(nn.Module):
    """What ifrnet-ncnn-vulkan runs: no mean, t as a plane, the residual added at the end."""

    def __init__(self, model):
        super().__init__()
        self.model = model
        self.warp = Warp()

    def forward(self, img0, img1, t):
        model, warp, resize = self.model, self.warp, ops.resize
        features0, features1 = model.encoder(img0), model.encoder(img1)
        out = model.decoder4(features0[3], features1[3], t)
        flow0, flow1, ft = out.split([2, 2, out.shape[1] - 4], dim=1)
        for level, decoder in ((2, model.decoder3), (1, model.decoder2), (0, model.decoder1)):
            warped = warp(flow0, features0[level]), warp(flow1, features1[level])
            out = decoder.convblock(torch.cat((ft, *warped, flow0, flow1), 1))
            sizes = [2, 2, out.shape[1] - 4] if level else [2, 2, 1, 3]
            more0, more1, ft, *residual = out.split(sizes, dim=1)
            flow0 = more0 + 2.0 * resize(flow0, 2.0)
            flow1 = more1 + 2.0 * resize(flow1, 2.0)
        mask = torch.sigmoid(ft)
        return mask * warp(flow0, img0) + (1 - mask) * warp(flow1, img1) + residual[0]


def lively(config) -> IFRNet:
    """A network with random weights whose flows are some pixels long."""
    model = IFRNet(config)
    random = torch.Generator().manual_seed(1)
    for parameter in model.parameters():
        noise = torch.randn(parameter.shape, generator=random)
        if parameter.ndim == 4:
            parameter.data = noise / parameter[0].numel() ** 0.5
        else:
            parameter.data = 0.1 + 0.05 * noise
    return model.eval()


@pytest.fixture(scope="session")
def export(tmp_path_factory):
    """Makes ifrnet.param and ifrnet.bin of a random network, as users have them."""
    made = {}

    def make(variant, fp16):
        if (variant, fp16) not in made:
            model = lively(CONFIGS[variant])
            folder = tmp_path_factory.mktemp(f"{variant}-fp16-{fp16}")
            inputs = torch.rand(1, 3, 32, 48), torch.rand(1, 3, 32, 48), torch.rand(1, 1, 2, 3)
            with torch.no_grad(), pytest.MonkeyPatch.context() as patch:
                patch.setenv("OMP_NUM_THREADS", "1")  # threads of pnnx only wait for each other
                pnnx.export(
                    Graph(model),
                    str(folder / "ifrnet.pt"),
                    inputs,
                    moduleop=f"{__name__}.Warp",
                    check_trace=False,
                    fp16=fp16,
                )
            for suffix in ("param", "bin"):
                (folder / f"ifrnet.ncnn.{suffix}").rename(folder / f"ifrnet.{suffix}")
            made[variant, fp16] = folder, model
        return made[variant, fp16]

    return make


def run_in_ncnn(folder, **inputs):
    np.savez(folder / "inputs.npz", **{name: tensor.numpy() for name, tensor in inputs.items()})
    runner = ROOT / "tests" / "run_ncnn.py"
    subprocess.run([sys.executable, runner, folder, f"{__name__}.Warp"], check=True)
    return torch.from_numpy(np.load(folder / "out0.npy"))


@pytest.mark.parametrize(("variant", "fp16"), [("S", True), ("base", False), ("L", True)])
def test_imported_weights_make_the_pictures_that_ncnn_makes(export, variant, fp16):
    folder, model = export(variant, fp16)
    random = torch.Generator().manual_seed(2)
    img0, img1 = torch.rand(2, 1, 3, 64, 96, generator=random)
    plane = torch.full((1, 4, 6), 0.3)
    from_ncnn = run_in_ncnn(folder, in0=img0[0] - 0.5, in1=img1[0] - 0.5, in2=plane)

    loaded = load_weights(folder)
    assert loaded.config is model.config
    for key, exported in model.state_dict().items():
        if fp16 and exported.ndim == 4:  # 11 bits; pnnx makes zeros of subnormal numbers
            assert torch.allclose(loaded.state[key], exported, rtol=2**-10, atol=2**-14), key
        else:
            assert torch.equal(loaded.state[key], exported), key

    imported, half = loaded.build(), torch.full((1, 1, 1, 1), 0.5)
    made = imported.decode(imported.encode(img0, img1, mean=half), torch.tensor([0.3]))
    assert made.flows0[0].abs().max() > 1  # the picture depends on the warps
    assert (from_ncnn + 0.5).clamp(0, 1).sub(made.image[0]).abs().max() < 1e-4


def test_either_file_of_the_two_names_the_model(export):
    folder, _ = export("S", True)
    states = [load_weights(folder / f"ifrnet.{suffix}").state for suffix in ("param", "bin")]
    assert all(torch.equal(states[0][key], states[1][key]) for key in states[0])


@pytest.fixture
def copy(export, tmp_path):
    """Copies of both files: change one, then expect a refusal."""
    folder, _ = export("S", True)
    for suffix in ("param", "bin"):
        (tmp_path / f"ifrnet.{suffix}").write_bytes((folder / f"ifrnet.{suffix}").read_bytes())
    return tmp_path


def with_sizes_as_rest(text):
    """How the pnnx of ifrnet-ncnn-vulkan's time wrote the last size of a slice."""
    return re.sub(r"(Slice .* -23300=[\d,]+,)\d+ ", r"\1-233 ", text)


def test_other_ways_to_write_the_same_graph(copy):
    expected = load_weights(copy).state
    path = copy / "ifrnet.param"
    text = with_sizes_as_rest(path.read_text())
    assert text.count("-233 ") == 12
    text = text.replace(f"{__name__}.Warp", "ifrnet.Warp").replace("=2.0", "=2.000000e+00")
    text = text.replace(" 11=3 12=1", " ")  # equal to the defaults
    path.write_text(text)
    loaded = load_weights(copy).state
    assert all(torch.equal(loaded[key], expected[key]) for key in expected)


def replaced(pattern, new):
    def change(text):
        changed, count = re.subn(pattern, new, text, count=1, flags=re.MULTILINE)
        assert count
        return changed

    return change


def swap_encoders(text):
    """Feed the second picture to the first encoder and the other way round."""
    return text.replace(" in0\n", " x\n").replace(" in1\n", " in0\n").replace(" x\n", " in1\n")


GRAPHS = {
    "empty": (lambda _: "\n", "does not begin with 7767517"),
    "other magic": (replaced("7767517", "7767518"), "does not begin with 7767517"),
    "a line lost": (replaced(r"^Sigmoid.*\n", ""), "has 159 layers and says that it has 160"),
    "no numbers": (replaced("=24 ", "=many "), "cannot be read"),
    "a line cut off": (replaced(r"^(Sigmoid +\S+ +1 1 ).*", r"\1"), "cannot be read"),
    "an array cut off": (replaced("=2,120,24", "=2,120"), "cannot be read"),
    "other variant": (replaced("0=24 1=3", "0=25 1=3"), "no variant has its first convolution"),
    "other stride": (replaced(" 13=2 ", " 13=1 "), "layer Convolution"),
    "other dilation": (replaced(" 2=1 3=1 ", " 2=2 3=1 "), "layer Convolution"),
    "fused activation": (replaced(" 6=5184$", " 6=5184 9=1"), "layer Convolution"),
    "unknown parameter": (replaced(" 6=5184$", " 6=5184 77=1"), "layer Convolution"),
    "no bias": (replaced(" 5=1 6=5184$", " 5=0 6=5184"), "layer Convolution"),
    "other slice": (replaced("=2,120,24", "=2,119,25"), "layer Slice"),
    "other factor": (replaced("2,1.0,2.0", "2,1.0,1.0"), "layer Eltwise"),
    "nearest": (replaced(r"(Interp .*) 0=2 ", r"\1 0=1 "), "layer Interp"),
    "subtraction": (replaced(r"(BinaryOp .*) 0=0$", r"\1 0=1"), "layer BinaryOp"),
    "unknown layer": (replaced("^Sigmoid", "Swish"), "layer Swish"),
    "pictures swapped": (
        replaced(r"(Concat +cat_0 +3 1 )(\S+) (\S+)", r"\1\3 \2"),
        "layer Concat cat_0",
    ),
    "unknown input": (replaced(" in2$", " timestep"), "layer Input"),
    "unknown blob": (replaced(r"^(Sigmoid +\S+ +1 1 )\S+", r"\1nothing"), "layer Sigmoid"),
    "a blob made twice": (replaced(r"^(Sigmoid .*) \S+$", r"\1 in0"), "layer Sigmoid"),
    "other output": (replaced("out0", "out"), "out0 is not the interpolated picture"),
}


@pytest.mark.parametrize("case", GRAPHS)
def test_graphs_that_are_not_ifrnets(copy, case):
    change, message = GRAPHS[case]
    path = copy / "ifrnet.param"
    path.write_text(change(path.read_text()))
    with pytest.raises(WeightsError, match=message):
        load_weights(copy)


def test_files_in_place_of_the_graph(copy):
    path = copy / "ifrnet.param"
    for content, message in (
        (b"\x7f\xff" * 100, "not text"),
        (b"7767517\n" * (1 << 18), "too long"),
        (b"", "is empty"),
        (b"<!DOCTYPE html>", "HTML"),
    ):
        path.write_bytes(content)
        with pytest.raises(WeightsError, match=message):
            load_weights(path)


def tag_at_start(tag):
    return lambda content: tag + content[4:]


def bias_of_one_encoder(content):
    """The first PReLU's slopes differ from its twin's in the second encoder."""
    at = 4 + 648 * 2 + 24 * 4
    return content[:at] + b"\0\0\0\x3f" + content[at + 4 :]


WEIGHTS = {
    "empty": (lambda _: b"", r"ifrnet\.bin is empty"),
    "truncated": (lambda content: content[:-1], "layer deconv_.*: the .bin ends here"),
    "half": (lambda content: content[: len(content) // 2], "layer conv_.*: the .bin ends here"),
    "more": (lambda content: content + b"\0", "1 bytes more"),
    "int8": (tag_at_start(b"\x38\x4b\x0d\x00"), "tag 0x000D4B38 .* quantised"),
    "fp32 tag on fp16": (tag_at_start(bytes(4)), "tag 0x"),
    "encoders differ": (bias_of_one_encoder, "differs between the two encoders"),
    "page": (lambda content: b"<!DOCTYPE html>" + content[15:], r"ifrnet\.bin is an HTML page"),
    "zeros": (lambda content: bytes(2 * len(content)), "bytes more|all weights are zero"),
    "NaN": (lambda content: content[:4] + b"\xff" * 8 + content[12:], "NaN|differs"),
}


@pytest.mark.parametrize("case", WEIGHTS)
def test_weights_that_do_not_fit(copy, case):
    change, message = WEIGHTS[case]
    path = copy / "ifrnet.bin"
    path.write_bytes(change(path.read_bytes()))
    with pytest.raises(WeightsError, match=message):
        load_weights(copy)


def test_weights_of_another_variant(copy, export):
    folder, _ = export("base", False)
    (copy / "ifrnet.bin").write_bytes((folder / "ifrnet.bin").read_bytes())
    with pytest.raises(WeightsError, match="tag 0x"):
        load_weights(copy)


@pytest.mark.parametrize("missing", ["param", "bin"])
def test_one_file_without_the_other(copy, missing):
    (copy / f"ifrnet.{missing}").unlink()
    other = Path(copy, "ifrnet.bin" if missing == "param" else "ifrnet.param")
    with pytest.raises(WeightsError, match=rf"ifrnet\.{missing}"):
        load_weights(other)


def test_read_ncnn_returns_the_official_layout(export):
    folder, model = export("S", True)
    state = read_ncnn(folder / "ifrnet.param", folder / "ifrnet.bin")
    assert set(state) == set(model.state_dict())


def test_import_of_both_official_files_is_that_model(copy, tmp_path, monkeypatch, capsys):
    files = tuple(
        registry.File(name=name, digest=cache.digest(copy / name, "git"))
        for name in ("ifrnet.param", "ifrnet.bin")
    )
    source = registry.Source(format="ncnn", origin="example.org", files=files)
    model = registry.Model(
        name="IFRNet_Test",
        variant="S",
        training_set="a test",
        honours_t=True,
        licence="MIT",
        sources=(source,),
    )
    monkeypatch.setattr(registry, "MODELS", (*registry.MODELS, model))
    monkeypatch.setenv("VSIFRNET_CACHE", str(tmp_path / "cache"))
    assert load_weights(copy).info is model
    assert main(["models", "import", str(copy)]) == 0
    stored = tmp_path / "cache" / "IFRNet_Test" / "ifrnet.param"
    assert capsys.readouterr().out == f"{stored}\n"
    assert load_weights("ifrnet_test").path == stored

    # With another graph beside the official weights it is somebody's own, and is converted.
    path = copy / "ifrnet.param"
    path.write_text(with_sizes_as_rest(path.read_text()))
    assert main(["models", "import", str(copy), "--name", "mine"]) == 0
    assert load_weights("mine").path == tmp_path / "cache" / "imported" / "mine.safetensors"
