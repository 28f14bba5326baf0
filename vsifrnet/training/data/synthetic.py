"""Layered synthetic motion: random scenes with exact in-between frames and exact flow.

A scene has a background, cut-outs, shapes and lines in front of it, sometimes a subtitle, and a
camera. The pace of motion (``PACES``) is chosen first, because networks are weak at its ends:
no motion, motion of less than a pixel, and motion of a quarter of the picture.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from vsifrnet.training.data import degrade, moves, structure, textures
from vsifrnet.training.data.assets import Assets
from vsifrnet.training.data.augment import (
    changed_by_chance,
    flip_horizontally,
    flip_vertically,
    reverse_channels,
)
from vsifrnet.training.data.layers import Layer, Motion, render
from vsifrnet.training.data.lettering import Fonts
from vsifrnet.training.data.sample import Field, Pixels, Sample, generator

Distance = Callable[[], float]
Maker = Callable[[Assets, int, np.random.Generator], tuple[NDArray[np.uint8], float]]

__all__ = ["DAMAGES", "PACES", "WIDE_PACES", "LayeredMotion", "Scene", "draw_scene"]

PACES: dict[str, tuple[float, float, float]] = {
    # A pace is its share of the scenes, and the least and largest displacement between the two
    # pictures: in pixels, or as a fraction of the picture's side for "fast".
    "still": (0.10, 0.0, 0.0),
    "subpixel": (0.17, 0.03, 1.0),
    "slow": (0.22, 0.5, 6.0),
    "medium": (0.27, 3.0, 20.0),
    "fast": (0.24, 0.10, 0.27),
}
"""The paces of motion by name."""

WIDE_PACES = PACES | {
    "still": (0.08, 0.0, 0.0),
    "subpixel": (0.15, 0.03, 1.0),
    "slow": (0.23, 0.5, 6.0),
    "medium": (0.30, 3.0, 20.0),
    "fast": (0.24, 0.07, 0.34),
}
"""The paces of motion with fonts; cameras then move by up to a third of the picture."""

STRUCTURE = 0.14
"""Share of the scenes whose background is a page or pattern, if there are fonts.

It is also the share of the scenes with one in front of all other layers.
"""

DAMAGES = {"none": 0.25, "noise": 0.22, "jpeg": 0.05, "codec": 0.48}
"""Each kind of degradation with its share of the samples."""


@dataclass(frozen=True, kw_only=True)
class Scene:
    """A scene: its layers, the lowest first, and its fade."""

    pace: str
    layers: list[Layer]
    fade: tuple[float, float] = (1.0, 1.0)
    """Weight of the picture at t = 0 and t = 1 in the mix with the brightness ``fade_to``."""
    fade_to: float = 0.0


class LayeredMotion:
    """An endless data set of layered synthetic motion.

    Args:
        assets: the pictures of the scenes.
        size: the side of the square samples, an even number.
        seed: the seed of all random choices.
        t: the time of every sample; None chooses a random one, in a third of the samples 1/2.
        clean: leave out noise and compression.
        pace: the pace of every sample, a key of ``PACES``; None chooses a random one.
        fonts: the fonts of lettering. With them some scenes have pages, credits rolls and repeated
            patterns, and cameras move further (``WIDE_PACES``). All scenes differ from those
            without fonts.
    """

    def __init__(
        self,
        assets: Assets,
        *,
        size: int,
        seed: int,
        t: float | None = None,
        clean: bool = False,
        pace: str | None = None,
        fonts: Fonts | None = None,
    ) -> None:
        self.assets = assets
        self.fonts = fonts
        self.size = size
        self.seed = seed
        self.t = t
        self.clean = clean
        self.pace = pace

    def sample(self, index: int) -> Sample:
        """Return sample ``index``."""
        rng = generator(self.seed, index)
        # These numbers are always drawn, so that the scene of an index is the same at any t.
        halfway, time = rng.random() < 1 / 3, rng.uniform(-0.05, 1.05)
        # Times near 0 and 1 are frequent, because weights fail at times that they never saw.
        t = self.t if self.t is not None else (0.5 if halfway else min(max(time, 0.001), 0.999))
        scene = draw_scene(self.assets, self.size, rng, pace=self.pace, fonts=self.fonts)
        damage = "none" if self.clean else str(rng.choice(list(DAMAGES), p=list(DAMAGES.values())))
        # A codec also gets frames before the sample, as in the middle of a video. At negative
        # times the motion is extrapolated.
        lead = int(rng.integers(0, 4)) if damage == "codec" else 0
        before = [-0.5 * step for step in range(lead, 0, -1)]
        rendered, flow = render(scene.layers, self.size, self.size, t, before)
        pictures = []
        for picture, moment in zip(rendered, (*before, 0.0, t, 1.0), strict=True):
            share = (1 - moment) * scene.fade[0] + moment * scene.fade[1]
            faded = cv2.convertScaleAbs(
                picture, alpha=255 * share, beta=255 * (1 - share) * scene.fade_to
            )
            pictures.append(faded.astype(np.uint8, copy=False))
        return _flip(_damaged(pictures, damage, rng), flow, t, rng)


def draw_scene(
    assets: Assets,
    size: int,
    rng: np.random.Generator,
    *,
    pace: str | None = None,
    fonts: Fonts | None = None,
) -> Scene:
    """Return a random scene for pictures of ``size`` x ``size``."""
    paces = PACES if fonts is None else WIDE_PACES
    if pace is None:
        shares = np.array([share for share, _, _ in paces.values()])
        pace = str(rng.choice(list(paces), p=shares / shares.sum()))
    _, least, most = paces[pace]
    if pace == "fast":
        least, most = least * size, most * size

    def distance() -> float:
        """Return a random displacement, log-uniform within the pace."""
        return 0.0 if most == 0.0 else math.exp(rng.uniform(math.log(least), math.log(most)))

    # The camera moves in a third of the scenes, and everything but subtitles moves with it.
    still = moves.placed(size / 2, size / 2)
    camera = moves.moved(still, distance(), size, rng) if rng.random() < 0.35 else still
    if fonts is not None and rng.random() < STRUCTURE:
        layers = [structure.background(fonts, size, rng, distance, camera)]
    else:
        layers = [_background(assets, size, rng, distance, camera)]
    makers: tuple[Maker, ...] = (
        *(textures.sprite,) * 3,
        textures.shape,
        textures.strokes,
    )
    if assets.sprites:
        count = int(rng.choice([0, 1, 2, 3, 4, 5], p=[0.12, 0.2, 0.23, 0.2, 0.15, 0.1]))
    else:
        makers, count = (textures.shape, textures.strokes), int(rng.integers(1, 4))
    for _ in range(count):
        maker = makers[rng.integers(len(makers))]
        texture, density = maker(assets, size, rng)
        place = moves.placed(rng.uniform(0, size), rng.uniform(0, size))
        place[:, :2] = moves.linear(rng.normal(0, 0.3), rng.uniform(0.8, 1.2), rng.normal(0, 0.1))
        # A quarter of the layers are held, whatever the pace of the scene.
        length = distance() if rng.random() < 0.75 else 0.0
        bend = None
        if length and rng.random() < 0.5:
            share = rng.uniform(0.3, 1.0)
            bend, length = moves.bend(share * length, size, rng), (1 - share) * length
        motion = Motion(
            start=moves.seen_through(still, place, still),
            end=moves.seen_through(camera, moves.moved(place, length, size, rng), still),
            bend=bend,
        )
        light = moves.light(rng) if rng.random() < 0.06 else (1.0, 1.0)
        layers.append(Layer(texture=texture, density=density, motion=motion, light=light))
    if fonts is not None and rng.random() < STRUCTURE:
        layers.append(structure.overlay(fonts, size, rng, distance, camera))
    if rng.random() < 0.12:
        held = Motion(start=still, end=still)
        layers.append(Layer(texture=textures.subtitle(size, rng), density=1.0, motion=held))
    if rng.random() < 0.08:
        return Scene(
            pace=pace, layers=layers, fade=moves.light(rng), fade_to=float(rng.random() < 0.25)
        )
    return Scene(pace=pace, layers=layers)


def _background(
    assets: Assets,
    size: int,
    rng: np.random.Generator,
    distance: Distance,
    camera: NDArray[np.float64],
) -> Layer:
    place = moves.placed(size / 2, size / 2)
    bend = None
    if not assets.backgrounds or rng.random() < 0.07:
        texture, density = textures.gradient(size, rng), 1.0
    else:
        picture, density = textures.window(assets, size, rng)
        texture, density = textures.fitted(picture, density)
    place[:, :2] = moves.linear(rng.normal(0, 0.15), 1.0, 0.0)
    # The background itself moves in a third of the scenes; some of these bend, as water does.
    length = distance() if rng.random() < 0.35 else 0.0
    if length and rng.random() < 0.3:
        bend = moves.bend(length, size, rng)
    motion = Motion(
        start=place,
        end=moves.seen_through(camera, moves.moved(place, length, size, rng), place),
        bend=bend,
    )
    light = moves.light(rng) if rng.random() < 0.04 else (1.0, 1.0)
    return Layer(texture=texture, density=density, motion=motion, endless=True, light=light)


def _damaged(pictures: list[Pixels], damage: str, rng: np.random.Generator) -> list[Pixels]:
    """Return the last three pictures, degraded by a kind of ``DAMAGES``.

    The target stays clean for noise and JPEG, which are different in every frame. A real codec
    copies what does not move from frame to frame, noise included, so its target is mostly the
    decoded picture, as a real clip's dropped frame is.
    """
    clean = pictures[-2]
    if damage == "none":
        return pictures
    if damage != "codec" or rng.random() < 0.25:
        sigma = math.exp(rng.uniform(math.log(0.4), math.log(8.0)))
        pictures = [degrade.add_noise(picture, sigma, rng) for picture in pictures]
    if damage == "codec":
        codec = str(rng.choice(list(degrade.CODECS)))
        ((low, high),) = degrade.CODECS[codec].values()
        quality = int(rng.integers(low, high + 1))
        img0, imgt, img1 = degrade.through_codec(pictures, codec, quality, last=3)
        return [img0, imgt if rng.random() < 0.8 else clean, img1]
    img0, _, img1 = pictures
    if damage == "jpeg":
        quality = int(rng.integers(40, 96))
        img0, img1 = degrade.jpeg(img0, quality), degrade.jpeg(img1, quality)
    return [img0, clean, img1]


def _flip(pictures: list[Pixels], flow: Field, t: float, rng: np.random.Generator) -> Sample:
    """Return a sample that is randomly mirrored left to right and top to bottom, and in BGR."""
    img0, imgt, img1 = pictures
    sample = Sample(img0=img0, imgt=imgt, img1=img1, t=t, flow=flow)
    return changed_by_chance(
        sample, ((0.5, flip_horizontally), (0.25, flip_vertically), (0.3, reverse_channels)), rng
    )
