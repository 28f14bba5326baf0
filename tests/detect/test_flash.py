"""Flashes leave no ghost beside them, and changes of light are not held."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import vapoursynth as vs
from conftest import planes
from drawn import Array, clip_of, picture, shifted

from vsifrnet import ifrnet
from vsifrnet.detect import scenes

H, W = 96, 160
FLASHES: dict[str, Callable[[Array], Array]] = {
    "white": lambda frame: np.full_like(frame, 235),
    "black": lambda frame: np.full_like(frame, 16),
    "negative": lambda frame: 251 - frame,
    "impact frame": lambda frame: np.where(np.abs(np.gradient(frame)[1]) > 6, 235.0, 16.0),
    "another picture": lambda frame: picture(99, H, W),
}


def pan(length: int = 16, speed: float = 2) -> list[Array]:
    wide = picture(4, H, W + int(speed * length) + 2)
    return [shifted(wide, speed * n, H, W) for n in range(length)]


def edges(frames: list[Array]) -> list[int]:
    gaps = list(scenes.gap_scores(clip_of(frames)).frames())[:-1]
    return [k for k, gap in enumerate(gaps) if scenes.is_flash(gap.props)]


@pytest.mark.parametrize("length", [1, 2, 3])
@pytest.mark.parametrize("kind", FLASHES)
def test_no_ghost_beside_a_flash(kind: str, length: int) -> None:
    frames = pan()
    for n in range(7, 7 + length):
        frames[n] = FLASHES[kind](frames[n])
    assert edges(frames) == [6, 6 + length]
    clip = clip_of(frames)
    for mode, shown in (("hold", (6, 6 + length)), ("nearest", (7, 7 + length))):
        out = ifrnet(clip, sc_mode=mode)
        for made, k in zip((6, 6 + length), shown, strict=True):
            assert np.array_equal(
                planes(out.get_frame(2 * made + 1))[0], planes(clip.get_frame(k))[0]
            )


def fade(frames: list[Array], level: float, steps: int) -> list[Array]:
    mix = [min(1, max(0, (n - 3) / steps)) for n in range(len(frames))]
    return [frame * (1 - t) + level * t for frame, t in zip(frames, mix, strict=True)]


@pytest.mark.parametrize(
    "frames",
    [
        pan(),
        pan(speed=9),
        [frame * (0.8 if n % 2 else 1) for n, frame in enumerate(pan())],
        [frame * 0.4 + 140 * (n in (7, 8)) for n, frame in enumerate(pan())],  # lightning
        fade(pan(), 16, 5),
        fade(pan(), 235, 5),
        fade(pan(), 16, 10)[::-1],
        [shifted(picture(5, H, W + 40), 6 * (n % 2), H, W) for n in range(16)],  # shaking
    ],
    ids=["pan", "fast pan", "flicker", "lightning", "to black", "to white", "from black", "shake"],
)
def test_light_and_motion_are_no_flash(frames: list[Array]) -> None:
    assert edges(frames) == []


def test_a_flash_is_interpolated_where_scene_changes_are() -> None:
    frames = pan()
    frames[7] = FLASHES["white"](frames[7])
    clip = clip_of(frames, vs.GRAY8)
    made = planes(ifrnet(clip, sc=False).get_frame(13))[0]
    assert not np.array_equal(made, planes(clip.get_frame(6))[0])


def test_flashes_are_found_beside_tags_which_stay_for_cuts() -> None:
    frames = pan()
    frames[7] = FLASHES["negative"](frames[7])
    clip = clip_of(frames).std.SetFrameProps(_SceneChangePrev=0, _SceneChangeNext=0)
    out = ifrnet(clip)
    assert np.array_equal(planes(out.get_frame(13))[0], planes(clip.get_frame(6))[0])
    for n in range(12, 17):
        props = out.get_frame(n).props
        assert (props["_SceneChangePrev"], props["_SceneChangeNext"]) == (0, 0)
