"""Tests of padding, several times of a pair, mirrored runs, halving and precision."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from conftest import picture, psnr

from vsifrnet.engine import backend
from vsifrnet.engine.interpolator import Fp32Fallback, Interpolator, prepare
from vsifrnet.engine.sources import SourceFrame
from vsifrnet.engine.workers import Workers
from vsifrnet.errors import InputError
from vsifrnet.network import IFRNet
from vsifrnet.weights.load import Weights, load_weights

HALF = Fraction(1, 2)


@pytest.fixture(scope="module")
def loaded() -> Weights:
    return load_weights()


@pytest.mark.parametrize("t", [Fraction(1, 1000), Fraction(1, 100), Fraction(1, 25)])
@pytest.mark.parametrize("seed", range(3))
def test_times_close_to_a_source_frame(network: IFRNet, t: Fraction, seed: int) -> None:
    """As 24 to 59.94 asks for: weights can make rubbish of times that they were not trained on."""
    for time, near in ((t, 0), (1 - t, 1)):
        made = Interpolator(network)(picture(0, seed=seed), picture(1, seed=seed), time)
        assert psnr(made.numpy(), picture(near, seed=seed).numpy()) > 38


def test_padding_changes_nothing_inside(network: IFRNet) -> None:
    """A picture of a fitting size that is itself replicated at its border, whole and cut."""
    whole = [F.pad(picture(n, 80, 48)[None], (0, 16, 0, 16), mode="replicate")[0] for n in (0, 1)]
    cut = [image[:, :48, :80] for image in whole]
    inside = Interpolator(network)(*cut, HALF)
    mean = (cut[0].mean() + cut[1].mean()) / 2
    with torch.inference_mode():
        pair = network.encode(whole[0][None], whole[1][None], mean=mean.view(1, 1, 1, 1))
        expected = network.decode(pair, torch.tensor([0.5])).image[0, :, :48, :80]
    # 48 and 80 fit without padding; 49 x 81 has the same content after it is padded.
    pixels = (inside - expected)[:, :40, :72].abs()
    assert pixels.max() < 0.02  # 0.0197 with the weights that ship: they see the border
    assert pixels.mean() < 1e-3
    larger = Interpolator(network)(*[image[:, :49, :81] for image in whole], HALF)
    pixels = (larger[:, :48, :80] - expected).abs()
    assert pixels.max() < 0.02
    assert pixels.mean() < 1e-3


def test_mean_is_that_of_the_picture_without_padding(network: IFRNet) -> None:
    seen = []
    original = network.encode

    def spy(*args: torch.Tensor, **kwargs: torch.Tensor) -> object:
        seen.append(kwargs["mean"].item())
        return original(*args, **kwargs)

    images = [picture(n, 50, 34) for n in (0, 1)]
    network.encode = spy  # type: ignore[method-assign]
    try:
        Interpolator(network)(*images, HALF)
    finally:
        del network.encode
    assert seen[0] == pytest.approx(float(torch.stack(images).mean()), abs=1e-6)


def test_times_of_one_pair_share_the_encoder_and_agree(
    network: IFRNet, monkeypatch: pytest.MonkeyPatch
) -> None:
    images = picture(0), picture(1)
    times = [Fraction(k, 8) for k in (5, 1, 7, 4)]
    alone = [Interpolator(network)(*images, t) for t in times]
    runs = []
    original = IFRNet.encode
    monkeypatch.setattr(IFRNet, "encode", lambda *a, **k: runs.append(1) or original(*a, **k))
    interpolator = Interpolator(network)
    for t, expected in zip(times, alone, strict=True):
        assert torch.equal(interpolator(*images, t, key="pair"), expected)
    assert len(runs) == 1
    other = interpolator(picture(2), picture(3), HALF, key="other")
    assert len(runs) == 2
    assert not torch.equal(other, alone[3])


def test_without_a_key_nothing_is_reused(network: IFRNet) -> None:
    interpolator = Interpolator(network)
    first = interpolator(picture(0), picture(1), HALF)
    assert not torch.equal(interpolator(picture(2), picture(3), HALF), first)


@pytest.mark.parametrize("scale", [0.25, 0.5, 1.0, 2.0, 4.0])
def test_scale_takes_any_size(network: IFRNet, scale: float) -> None:
    out = Interpolator(network, scale=scale)(picture(0, 50, 34), picture(1, 50, 34), HALF)
    assert out.shape == (3, 34, 50)
    assert psnr(out.numpy(), picture(0.5, 50, 34).numpy()) > 18


def test_ensemble_treats_mirrored_pictures_alike(network: IFRNet) -> None:
    images = picture(0), picture(1)
    plain, ensemble = Interpolator(network), Interpolator(network, ensemble=True)
    out = ensemble(*images, HALF)
    for flip in ([2], [1], [1, 2]):
        mirrored = [image.flip(flip) for image in images]
        assert (ensemble(*mirrored, HALF).flip(flip) - out).abs().max() < 1e-5
    runs = [plain(*[i.flip(d) for i in images], HALF).flip(d) for d in ([], [2], [1], [1, 2])]
    assert (torch.stack(runs).mean(0) - out).abs().max() < 1e-5


def test_swapping_pictures_and_time_agrees(network: IFRNet) -> None:
    images = picture(0), picture(2)
    forth = Interpolator(network)(*images, Fraction(1, 4))
    back = Interpolator(network)(*images[::-1], Fraction(3, 4))
    assert psnr(forth.numpy(), back.numpy()) > 30


@pytest.fixture(scope="module")
def blind(loaded: Weights) -> IFRNet:
    network = prepare(loaded.build(), backend.resolve("cpu", "fp32"))
    conv = network.decoder4.convblock[0][0]  # type: ignore[index]
    # What t = 1/2 adds goes into the bias: the network makes the middle, whatever t.
    conv.bias += 0.5 * conv.weight[:, -1].sum((1, 2))
    conv.weight[:, -1] = 0
    return network


def test_weights_that_ignore_t_halve(blind: IFRNet) -> None:
    images = picture(0), picture(4)
    plain = Interpolator(blind)
    middle = plain(*images, HALF)
    quarters = [plain(images[0], middle, HALF), middle, plain(middle, images[1], HALF)]
    halving = Interpolator(blind, t_blind=True)
    for order in ((1, 2, 3), (3, 1, 2)):
        for k in order:
            out = halving(*images, Fraction(k, 4), key=order)
            assert torch.equal(out, quarters[k - 1])
    eighth = halving(*images, Fraction(3, 8), key="eighth")
    assert torch.equal(eighth, plain(quarters[0], middle, HALF))
    errors = [
        [psnr(quarter.numpy(), picture(n).numpy()) for n in (1, 2, 3)] for quarter in quarters
    ]
    assert [int(np.argmax(row)) for row in errors] == [0, 1, 2]


def test_weights_that_ignore_t_refuse_other_times(blind: IFRNet) -> None:
    with pytest.raises(ValueError, match="t=1/3"):
        Interpolator(blind, t_blind=True)(picture(0), picture(1), Fraction(1, 3))


@pytest.mark.parametrize("precision", ["bf16", "fp16"])
def test_precision(loaded: Weights, network: IFRNet, precision: str) -> None:
    low = prepare(loaded.build(), backend.resolve("cpu", precision))
    images = picture(0, 160, 96), picture(3, 160, 96)
    exact, rough = (Interpolator(net)(*images, HALF).numpy() for net in (network, low))
    assert psnr(exact, rough) >= 50


@pytest.mark.parametrize("scale", [0.5, 1.0])
def test_bf16_against_plain_fp32(network: IFRNet, scale: float) -> None:
    images = [picture(n, 320, 192) for n in (0, 2)]
    low = prepare(load_weights().build(), backend.resolve("cpu", "bf16"))
    with torch.no_grad():
        exact = network(images[0][None], images[1][None], torch.tensor([0.5]), scale)[0]
    assert psnr(Interpolator(low, scale=scale)(*images, HALF).numpy(), exact.numpy()) >= 50


FP16 = backend.Backend(device=torch.device("cpu"), dtype=torch.float16, num_streams=2)


def broken(loaded: Weights) -> IFRNet:
    """As some GPUs compute in fp16: whatever the pictures, the result is NaN."""
    network = loaded.build()
    network.decoder1.convblock[2].bias[-1] = float("nan")  # type: ignore[index, operator]
    return prepare(network, FP16)


def test_a_precision_that_makes_nan_is_replaced(
    loaded: Weights, network: IFRNet, caplog: pytest.LogCaptureFixture
) -> None:
    """With "auto"; once for all interpolators, and from the first picture on."""
    builds: list[int] = []
    fallback = Fp32Fallback(lambda: builds.append(1) or loaded.build(), FP16)
    for _ in range(2):
        interpolator = Interpolator(broken(loaded), fallback=fallback)
        for n in range(2):
            made = interpolator(picture(n), picture(n + 1), HALF, key=n)
            assert torch.equal(made, Interpolator(network)(picture(n), picture(n + 1), HALF))
    assert len(builds) == 1
    assert caplog.text.count("fp32 is used: cpu, fp16, num_streams=2 makes NaN") == 1


def test_a_precision_that_makes_nan_is_refused_by_name(loaded: Weights) -> None:
    """Where it was asked for; also at the next request."""
    interpolator = Interpolator(broken(loaded))
    for _ in range(2):
        with pytest.raises(InputError, match=r"precision='fp16': must be 'fp32' on cpu"):
            interpolator(picture(0), picture(1), HALF)


def test_a_precision_that_works_is_kept(loaded: Weights) -> None:
    def fail() -> IFRNet:
        raise AssertionError

    low = prepare(loaded.build(), backend.resolve("cpu", "bf16"))
    made = [Interpolator(low, fallback=f)(picture(0), picture(1), HALF) for f in (fail, None)]
    assert torch.equal(*made)


def settings() -> tuple[object, ...]:
    return (
        torch.get_default_dtype(),
        torch.get_num_threads(),
        torch.get_float32_matmul_precision(),
        torch.is_grad_enabled(),
        torch.backends.cudnn.benchmark,
        torch.backends.cudnn.allow_tf32,
    )


def test_nothing_global_changes() -> None:
    before = settings()
    engine = backend.resolve("cpu", "auto")
    workers = Workers([Interpolator(prepare(load_weights().build(), engine))], engine.device)
    workers.make(0, SourceFrame(0, lambda: picture(0)), SourceFrame(1, lambda: picture(1)), HALF)
    assert settings() == before
