"""Motion of whole layers: phase correlation, alignment, the choice by region, ``scale="auto"``."""

from __future__ import annotations

from fractions import Fraction
from itertools import pairwise

import cv2
import numpy as np
import pytest
import torch
from conftest import SetThreads, picture, psnr
from fake_cuda import replaying
from torch import Tensor

from vsifrnet.engine.agreement import differences, disagreement, preferences
from vsifrnet.engine.candidates import Pyramid, find_moves
from vsifrnet.engine.cuda_graphs import CudaGraphRunner
from vsifrnet.engine.interpolator import Interpolator
from vsifrnet.engine.motion import MotionRunner, shifted
from vsifrnet.engine.moves import align, flows_of, sample, solve
from vsifrnet.engine.phase_correlation import displacements
from vsifrnet.engine.runner import EagerRunner
from vsifrnet.network import IFRNet

HALF = Fraction(1, 2)


def texture(width: int, height: int, seed: int = 0, *, blur: float = 1.0) -> np.ndarray:
    """Blurred noise (H, W, 3) in [0, 1]: fine structure that never repeats."""
    rng = np.random.default_rng(seed)
    noise = cv2.GaussianBlur(rng.uniform(0, 1, (height, width, 3)), (0, 0), blur)
    low, high = noise.min(), noise.max()
    return ((noise - low) / (high - low)).astype(np.float32)


def window(large: np.ndarray, x: int, y: int, width: int = 192, height: int = 128) -> Tensor:
    """The part of a large picture whose corner is at (x, y), as a tensor (3, H, W)."""
    return torch.from_numpy(large[y : y + height, x : x + width].transpose(2, 0, 1).copy())


def pan(t: float, speed: tuple[int, int], **size: int) -> Tensor:
    """A frame at time ``t`` of a pan by ``speed``; ``t`` times ``speed`` is whole."""
    large = texture(420, 300)
    return window(large, 80 + round(t * speed[0]), 60 + round(t * speed[1]), **size)


def error(made: Tensor, true: Tensor) -> float:
    return psnr(made.numpy(), true.numpy())


@pytest.mark.parametrize("size", [(48, 64), (45, 61)])
def test_phase_correlation_finds_every_shift_of_noise(size: tuple[int, int]) -> None:
    noise = torch.from_numpy(texture(200, 200, blur=0.7)).mean(2)[None, None]
    height, width = size
    first = noise[:, :, 60 : 60 + height, 60 : 60 + width]
    for dx in range(-12, 13, 3):
        for dy in range(-12, 13, 4):
            moved = noise[:, :, 60 - dy : 60 - dy + height, 60 - dx : 60 - dx + width]
            found = displacements(first, moved, 1)[0, 0]
            assert (found - torch.tensor([dx, dy])).abs().max() < 0.3, (dx, dy)


def test_phase_correlation_finds_both_layers() -> None:
    large, other = texture(300, 300, 1).mean(2), texture(300, 300, 2).mean(2)
    frames = []
    for k in (0, 1):
        frame = large[50 : 50 + 96, 50 + 8 * k : 50 + 8 * k + 128].copy()
        frame[30:66, 20:110] = other[50 + 6 * k : 86 + 6 * k, 50:140]
        frames.append(torch.from_numpy(frame)[None, None])
    found = displacements(*frames, 2)[0]
    wanted = torch.tensor([[-8.0, 0.0], [0.0, -6.0]])
    assert torch.cdist(wanted, found).amin(1).max() < 0.5


def test_flows_of_a_move_are_straight_lines() -> None:
    """Brute force: points half-way, moved to times 0, t and 1."""
    move = torch.tensor([[3.0, -2.0, 0.02, 0.01, -0.03, 0.04]])
    t = torch.tensor([0.3])
    flows = flows_of(move, t, 33, 49)[0]
    points = torch.rand(20, 2, generator=torch.Generator().manual_seed(0)) * 20 - 10
    u = move[0, :2] + points @ move[0, 2:].view(2, 2).T
    at_t = points + (t - 0.5) * u
    place = (at_t / torch.tensor([24.0, 16.0])).view(1, 1, -1, 2)
    seen = torch.nn.functional.grid_sample(flows[None], place, align_corners=True)[0, :, 0].T
    torch.testing.assert_close(seen[:, :2], points - u / 2 - at_t, atol=1e-4, rtol=0)
    torch.testing.assert_close(seen[:, 2:], points + u / 2 - at_t, atol=1e-4, rtol=0)


def test_solve_is_the_solution() -> None:
    root = torch.randn(3, 8, 8, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    matrices = root @ root.transpose(1, 2) + torch.eye(8, dtype=torch.float64)
    right = torch.randn(3, 8, dtype=torch.float64)
    expected = torch.linalg.solve(matrices, right)
    torch.testing.assert_close(solve(matrices, right), expected)


def test_alignment_finds_a_zoom_and_turn_under_a_fade() -> None:
    large = torch.from_numpy(texture(192, 128, blur=2.0)).permute(2, 0, 1)[None].mean(1, True)
    move = torch.tensor([[1.5, -1.0, 0.02, 0.015, -0.015, 0.02]])
    flows = flows_of(move, torch.tensor([0.5]), 128, 192)
    # What lies half-way at x is seen at x - u / 2 and x + u / 2: nearly, for so small a move.
    pictures = [sample(large, -flows[:, k : k + 2], mode="bicubic") for k in (0, 2)]
    faded = 0.7 * pictures[1] + 0.1
    none, masks = torch.zeros(1, 6), torch.ones(1, 1, 128, 192)
    found = align(pictures[0], faded, none, masks, steps=12, affine=True)
    assert (found[:, :2] - move[:, :2]).abs().max() < 0.05
    assert (found[:, 2:] - move[:, 2:]).abs().max() < 0.002


def test_shifting_by_whole_pixels_is_exact_and_by_half_is_sharp() -> None:
    large = texture(200, 150)
    base = window(large, 20, 20, 100, 80)[None]
    moved = shifted(base, torch.tensor([7.0, -5.0]))
    assert torch.equal(moved[..., 5:, :-7], base[..., :-5, 7:])
    x = torch.arange(64.0)
    wave = torch.sin(x * 1.2).view(1, 1, 1, -1).expand(1, 1, 64, 64)
    half = shifted(wave, torch.tensor([0.5, 0.0]))[0, 0, 30, 8:-8]
    bilinear = ((wave[..., :-1] + wave[..., 1:]) / 2)[0, 0, 30, 8:-7]
    true = torch.sin((x + 0.5) * 1.2)[8:-8]
    assert (half - true).abs().max() < 0.35 * (bilinear - true).abs().max()


def test_the_true_motion_disagrees_least_whatever_the_brightness() -> None:
    frames = [pan(0, (6, 4))[None], pan(1, (6, 4))[None] * 0.6 + 0.2]
    moves = torch.tensor([[0.0] * 6, [-6, -4, 0, 0, 0, 0], [-5, -4, 0, 0, 0, 0]])
    flows = flows_of(moves, torch.tensor([0.5]), 128, 192)
    faded = disagreement(*differences(*frames, flows), cell=4, radius=2)
    plain = disagreement(*differences(frames[0], pan(1, (6, 4))[None], flows), cell=4, radius=2)
    assert faded.mean((1, 2, 3)).argmin() == 1
    assert plain[1].max() < 1e-3
    weights = preferences(plain[:1], plain[1:], torch.ones(2))
    assert weights[1].min() > 0.99
    none = preferences(plain[:1], plain[1:], torch.zeros(2))
    assert torch.equal(none[0], torch.ones_like(plain[0]))


def test_find_moves_knows_a_roll_over_a_pan() -> None:
    ground, letters = texture(500, 300, 3, blur=2.0), texture(500, 400, 4)
    frames = []
    for k in (0, 1):
        frame = ground[40:232, 60 + 10 * k : 316 + 10 * k].copy()
        frame[:, 60:160] = letters[50 + 14 * k : 242 + 14 * k, 60:160]
        frames.append(Pyramid.of(torch.from_numpy(frame.transpose(2, 0, 1).copy())[None]))
    moves, valid = find_moves(*frames)
    found = moves[valid > 0][:, :2]
    wanted = torch.tensor([[-10.0, 0.0], [0.0, -14.0]])
    assert torch.cdist(wanted, found).amin(1).max() < 0.1


@pytest.mark.parametrize("t", [Fraction(1, 2), Fraction(1, 4), Fraction(2, 3), Fraction(11, 12)])
def test_a_pan_is_exact_at_any_time(network: IFRNet, t: Fraction) -> None:
    """Beyond the border of one picture, too, where only the other shows anything."""
    pair = pan(0, (24, 0)), pan(1, (24, 0))
    made = Interpolator(network, scale="auto")(*pair, t)
    assert error(made, pan(float(t), (24, 0))) > 50
    assert error(Interpolator(network)(*pair, t), pan(float(t), (24, 0))) < 35


def test_a_zoom_and_a_turn_are_followed(network: IFRNet) -> None:
    large = texture(400, 300, blur=2.0)
    frames = []
    for t in (0.0, 0.5, 1.0):
        matrix = cv2.getRotationMatrix2D((200, 150), 4 * (t - 0.5), 1 + 0.08 * (t - 0.5))
        seen = cv2.warpAffine(large, matrix, (400, 300), flags=cv2.INTER_CUBIC)
        frames.append(window(seen, 104, 86))
    first, true, last = frames
    auto = Interpolator(network, scale="auto")(first, last, HALF)
    assert error(auto, true) > 38
    assert error(auto, true) > error(Interpolator(network)(first, last, HALF), true) + 2


def test_a_fade_over_a_pan_keeps_its_brightness_up_to_the_border(network: IFRNet) -> None:
    first, true, last = (pan(t, (20, 0)) * (1 - 0.4 * t) for t in (0.0, 0.5, 1.0))
    auto = Interpolator(network, scale="auto")(first, last, HALF)
    assert error(auto, true) > 38
    assert error(auto[:, :, -8:], true[:, :, -8:]) > 34


def test_subtitles_stand_while_the_picture_moves(network: IFRNet) -> None:
    sign = texture(80, 30, 9)
    frames = []
    for t in (0.0, 0.5, 1.0):
        frame = pan(t, (16, 0))
        frame[:, 90:120, 50:130] = torch.from_numpy(sign.transpose(2, 0, 1).copy())
        frames.append(frame)
    first, true, last = frames
    auto = Interpolator(network, scale="auto")(first, last, HALF)
    assert error(auto, true) > error(Interpolator(network)(first, last, HALF), true) + 1
    assert error(auto[:, 96:114, 60:120], true[:, 96:114, 60:120]) > 35


def test_alpha_moves_with_the_colours(network: IFRNet) -> None:
    alpha = torch.from_numpy(texture(420, 300, 5)[..., 0])

    def rgba(t: float) -> Tensor:
        x = 80 + round(24 * t)
        return torch.cat((pan(t, (24, 0)), alpha[None, 60:188, x : x + 192]))

    made = Interpolator(network, scale="auto")(rgba(0), rgba(1), HALF)
    assert error(made[3:], rgba(0.5)[3:]) > 45


def test_equal_frames_stay_equal(network: IFRNet) -> None:
    still = pan(0, (0, 0))
    assert error(Interpolator(network, scale="auto")(still, still, HALF), still) > 55


@pytest.mark.parametrize("size", [(1, 1), (5, 3), (17, 40), (50, 34), (97, 131)])
def test_any_size(network: IFRNet, size: tuple[int, int]) -> None:
    made = Interpolator(network, scale="auto")(picture(0, *size), picture(1, *size), HALF)
    assert made.shape == (3, size[1], size[0])
    assert made.isfinite().all()


@pytest.mark.parametrize("flat", [0.0, 0.5, 1.0])
def test_flat_pictures(network: IFRNet, flat: float) -> None:
    one = torch.full((3, 64, 96), flat)
    made = Interpolator(network, scale="auto")(one, one, HALF)
    assert (made - one).abs().max() < 0.02
    made = Interpolator(network, scale="auto")(one, torch.full((3, 64, 96), 0.25), HALF)
    assert made.isfinite().all()


def test_values_beyond_white_are_moved_too(network: IFRNet) -> None:
    first, true, last = (pan(t, (12, 0)) * 1.4 - 0.2 for t in (0.0, 0.5, 1.0))
    assert error(Interpolator(network, scale="auto")(first, last, HALF), true) > 45


@pytest.mark.parametrize("ensemble", [False, True])
def test_order_and_threads_change_no_bit(
    network: IFRNet, ensemble: bool, torch_threads: SetThreads
) -> None:
    """As frames of a clip are asked for in any order, on any worker."""
    pairs = [(pan(k, (8, 6)), pan(k + 1, (8, 6))) for k in range(2)]
    times = [Fraction(1, 4), HALF]
    one = Interpolator(network, scale="auto", ensemble=ensemble)
    forth = {(k, t): one(*pairs[k], t, key=k) for k in (0, 1) for t in times}
    torch_threads(2)
    for k in (1, 0):
        for t in reversed(times):
            made = Interpolator(network, scale="auto", ensemble=ensemble)(*pairs[k], t)
            assert torch.equal(made, forth[k, t])


def test_weights_that_ignore_t_are_halved(network: IFRNet) -> None:
    pair = pan(0, (16, 0)), pan(1, (16, 0))
    quarter = Interpolator(network, scale="auto", t_blind=True)(*pair, Fraction(1, 4))
    assert error(quarter, pan(0.25, (16, 0))) > 45


def test_a_recording_makes_the_same_pictures(network: IFRNet) -> None:
    eager = MotionRunner(EagerRunner(network, flows=True))
    graphed = CudaGraphRunner(MotionRunner(EagerRunner(network, flows=True)), lambda: replaying)
    with torch.inference_mode():
        for n in range(2):
            images = pan(n, (10, 4)), pan(n + 1, (10, 4))
            eager.encode(*images)
            graphed.encode(*images)
            for t in (0.5, 0.125):
                assert torch.equal(graphed.decode(t), eager.decode(t))


def test_the_choice_does_not_flicker_along_a_pan(network: IFRNet) -> None:
    """Frame by frame the error's change in time is no worse than the network's own."""
    changes: dict[str, list[float]] = {"auto": [], "plain": []}
    for name in changes:
        runner = Interpolator(network, scale="auto" if name == "auto" else 1.0)
        errors = []
        for k in range(4):
            frames = [pan(k + t, (14, 2)) for t in (0.0, 0.5, 1.0)]
            errors.append(runner(frames[0], frames[2], HALF) - frames[1])
        changes[name] = [float((b - a).square().mean()) for a, b in pairwise(errors)]
    assert max(changes["auto"]) <= min(changes["plain"])
