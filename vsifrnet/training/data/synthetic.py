"""Layered synthetic motion: scenes drawn by chance, with exact in-between frames and exact flow.

A scene is a background, cut-outs, shapes and lines over it, perhaps a subtitle, and a camera. How
much moves is drawn first (``PACES``), because what a network is weak at is the ends of that range:
nothing at all, less than a pixel, and a quarter of the picture.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from vsifrnet.training.data import degrade
from vsifrnet.training.data.assets import Assets
from vsifrnet.training.data.layers import Bend, Layer, Motion, render
from vsifrnet.training.data.sample import Field, Pixels, Sample, generator

Distance = Callable[[], float]
Maker = Callable[[Assets, int, np.random.Generator], tuple[NDArray[np.uint8], float]]

__all__ = ["DAMAGES", "PACES", "LayeredMotion", "Scene", "draw_scene"]

PACES: dict[str, tuple[float, float, float]] = {
    # Name: share of the scenes, least and largest displacement between the two pictures; pixels
    # where above 1, a fraction of the picture's side for "fast".
    "still": (0.10, 0.0, 0.0),
    "subpixel": (0.17, 0.03, 1.0),
    "slow": (0.22, 0.5, 6.0),
    "medium": (0.27, 3.0, 20.0),
    "fast": (0.24, 0.10, 0.27),
}


DAMAGES = {"none": 0.25, "noise": 0.22, "jpeg": 0.05, "codec": 0.48}
"""What is done to the pictures, with its share of the samples."""


@dataclass(frozen=True, kw_only=True)
class Scene:
    """What is drawn, bottom layer first, and how it fades."""

    pace: str
    layers: list[Layer]
    fade: tuple[float, float] = (1.0, 1.0)
    """Share of the picture in the fade at t = 0 and t = 1; the rest is ``fade_to``."""
    fade_to: float = 0.0


class LayeredMotion:
    """A data set of layered synthetic motion, endless.

    Args:
        assets: the pictures to draw with.
        size: side of the square samples, even.
        seed: of everything drawn by chance.
        t: the only time of the samples; None draws one, a third of the time 1/2.
        clean: leave out noise and compression.
        pace: the only pace of the samples, one of ``PACES``.
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
    ) -> None:
        self.assets = assets
        self.size = size
        self.seed = seed
        self.t = t
        self.clean = clean
        self.pace = pace

    def sample(self, index: int) -> Sample:
        """Sample ``index``."""
        rng = generator(self.seed, index)
        # Drawn first, and always, so that the scene of an index is the same at any t.
        halfway, time = rng.random() < 1 / 3, rng.uniform(-0.05, 1.05)
        # Enough of them at the ends: weights that never saw these make rubbish of t = 0.01.
        t = self.t if self.t is not None else (0.5 if halfway else min(max(time, 0.001), 0.999))
        scene = draw_scene(self.assets, self.size, rng, pace=self.pace)
        damage = "none" if self.clean else str(rng.choice(list(DAMAGES), p=list(DAMAGES.values())))
        # A codec is given the frames before, as in the middle of a video. At negative times the
        # motion goes on backwards.
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
    assets: Assets, size: int, rng: np.random.Generator, *, pace: str | None = None
) -> Scene:
    """A scene for pictures of ``size`` x ``size``."""
    if pace is None:
        shares = np.array([share for share, _, _ in PACES.values()])
        pace = str(rng.choice(list(PACES), p=shares / shares.sum()))
    _, least, most = PACES[pace]
    if pace == "fast":
        least, most = least * size, most * size

    def distance() -> float:
        """How far something moves: log-uniform within the pace."""
        return 0.0 if most == 0.0 else math.exp(rng.uniform(math.log(least), math.log(most)))

    # The camera moves in a third of the scenes, and then everything with it but subtitles.
    still = np.array([[1.0, 0.0, size / 2], [0.0, 1.0, size / 2]])
    camera = _moved(still, distance(), size, rng) if rng.random() < 0.35 else still
    layers = [_background(assets, size, rng, distance, camera)]
    makers: tuple[Maker, ...] = (_sprite, _sprite, _sprite, _shape, _strokes)
    if assets.sprites:
        count = int(rng.choice([0, 1, 2, 3, 4, 5], p=[0.12, 0.2, 0.23, 0.2, 0.15, 0.1]))
    else:
        makers, count = (_shape, _strokes), int(rng.integers(1, 4))
    for _ in range(count):
        maker = makers[rng.integers(len(makers))]
        texture, density = maker(assets, size, rng)
        place = np.array([[1.0, 0.0, rng.uniform(0, size)], [0.0, 1.0, rng.uniform(0, size)]])
        place[:, :2] = _linear(rng.normal(0, 0.3), rng.uniform(0.8, 1.2), rng.normal(0, 0.1))
        # A layer is held in a quarter of the cases, however fast the rest is.
        moves = distance() if rng.random() < 0.75 else 0.0
        bend = None
        if moves and rng.random() < 0.5:
            share = rng.uniform(0.3, 1.0)
            bend, moves = _bend(share * moves, size, rng), (1 - share) * moves
        motion = Motion(
            start=_through(still, place, still),
            end=_through(camera, _moved(place, moves, size, rng), still),
            bend=bend,
        )
        light = _light(rng) if rng.random() < 0.06 else (1.0, 1.0)
        layers.append(Layer(texture=texture, density=density, motion=motion, light=light))
    if rng.random() < 0.12:
        held = Motion(start=still, end=still)
        layers.append(Layer(texture=_subtitle(size, rng), density=1.0, motion=held))
    if rng.random() < 0.08:
        return Scene(pace=pace, layers=layers, fade=_light(rng), fade_to=float(rng.random() < 0.25))
    return Scene(pace=pace, layers=layers)


def _linear(angle: float, zoom: float, shear: float) -> NDArray[np.float64]:
    c, s = math.cos(angle), math.sin(angle)
    turn, slant = np.array([[c, -s], [s, c]]), np.array([[1.0, shear], [0.0, 1.0]])
    return np.asarray(zoom * turn @ slant)


def _moved(
    place: NDArray[np.float64], distance: float, size: int, rng: np.random.Generator
) -> NDArray[np.float64]:
    """``place`` (2, 3) after a move of about ``distance``: shift, and often turn, zoom, shear."""
    out = place.copy()
    direction = rng.uniform(0, 2 * math.pi)
    # What is half the picture away from the centre of a turn moves by the arc's length.
    reach = 1 / (0.4 * size)
    amounts = rng.dirichlet((2.0, 0.7, 0.6, 0.3)) if rng.random() < 0.7 else np.eye(4)[0]
    shift, turn, zoom, shear = amounts * distance
    signs = rng.choice([-1.0, 1.0], size=3)
    angle, growth, slant = signs * (turn, zoom, shear) * reach
    out[:, :2] = _linear(angle, math.exp(growth), slant) @ out[:, :2]
    out[:, 2] += shift * np.array([math.cos(direction), math.sin(direction)])
    return out


def _through(
    camera: NDArray[np.float64], place: NDArray[np.float64], origin: NDArray[np.float64]
) -> NDArray[np.float64]:
    """``place``, given about the origin at the picture's centre, seen through the camera."""
    out = np.empty((2, 3))
    out[:, :2] = camera[:, :2] @ place[:, :2]
    out[:, 2] = camera[:, :2] @ (place[:, 2] - origin[:, 2]) + camera[:, 2]
    return out


def _bend(distance: float, size: int, rng: np.random.Generator) -> Bend:
    """A bend whose points move by up to about ``distance``."""
    frequency, phase, start, end = [], [], [], []
    weights = rng.dirichlet((1.0, 1.0))
    for axis in range(2):
        count = int(rng.integers(1, 3))
        wavelength = size * np.exp(rng.uniform(math.log(0.25), math.log(2.0), count))
        frequencies = 2 * math.pi / wavelength
        change = distance * weights[axis] * rng.choice([-1.0, 1.0], count) / count
        # Steeper than this and the layer looks torn rather than bent.
        change = np.clip(change, -0.9 / frequencies, 0.9 / frequencies)
        rest = rng.normal(0, 0.15, count) / frequencies
        frequency.append(frequencies.astype(np.float32))
        phase.append(rng.uniform(0, 2 * math.pi, count).astype(np.float32))
        start.append((rest - change / 2).astype(np.float32))
        end.append((rest + change / 2).astype(np.float32))
    return Bend(
        angle=rng.uniform(0, math.pi),
        frequency=(frequency[0], frequency[1]),
        phase=(phase[0], phase[1]),
        start=(start[0], start[1]),
        end=(end[0], end[1]),
    )


def _light(rng: np.random.Generator) -> tuple[float, float]:
    """Brightness at the start and the end."""
    start, change = rng.uniform(0.5, 1.0), rng.uniform(-0.4, 0.4)
    return start, float(np.clip(start + change, 0.1, 1.0))


def _fitted(texture: NDArray[np.uint8], density: float) -> tuple[NDArray[np.uint8], float]:
    """A texture reduced to at most about 1.3 pixels per screen pixel, and its density then."""
    if density <= 1.3:
        return texture, density
    factor = 1.3 / density
    height, width = texture.shape[:2]
    new = (max(2, round(width * factor)), max(2, round(height * factor)))
    return cv2.resize(texture, new, interpolation=cv2.INTER_AREA).astype(np.uint8, copy=False), 1.3


def _window(assets: Assets, size: int, rng: np.random.Generator) -> tuple[Pixels, float]:
    """A part of a background for some ``1.6 * size`` screen pixels, and its density."""
    picture = assets.background(int(rng.integers(1 << 30)))
    height, width = picture.shape[:2]
    density = math.exp(rng.uniform(math.log(0.8), math.log(2.6)))
    side = round(1.6 * size * density)
    top = int(rng.integers(0, max(1, height - side + 1)))
    left = int(rng.integers(0, max(1, width - side + 1)))
    return picture[top : top + side, left : left + side], density


def _background(
    assets: Assets,
    size: int,
    rng: np.random.Generator,
    distance: Distance,
    camera: NDArray[np.float64],
) -> Layer:
    place = np.array([[1.0, 0.0, size / 2], [0.0, 1.0, size / 2]])
    bend = None
    if not assets.backgrounds or rng.random() < 0.07:
        texture, density = _gradient(size, rng), 1.0
    else:
        picture, density = _window(assets, size, rng)
        texture, density = _fitted(picture, density)
    place[:, :2] = _linear(rng.normal(0, 0.15), 1.0, 0.0)
    # Of its own the background moves in a third of the scenes; water and curtains also bend.
    moves = distance() if rng.random() < 0.35 else 0.0
    if moves and rng.random() < 0.3:
        bend = _bend(moves, size, rng)
    motion = Motion(
        start=place, end=_through(camera, _moved(place, moves, size, rng), place), bend=bend
    )
    light = _light(rng) if rng.random() < 0.04 else (1.0, 1.0)
    return Layer(texture=texture, density=density, motion=motion, endless=True, light=light)


def _gradient(size: int, rng: np.random.Generator) -> Pixels:
    """Two colours, one into the other, as painted skies and walls are."""
    ends = rng.integers(0, 256, (2, 3))
    ramp = np.linspace(0, 1, 2 * size)[:, None, None] * np.ones((1, 2 * size, 1))
    picture = (1 - ramp) * ends[0] + ramp * (ends[1] if rng.random() < 0.6 else ends[0])
    return np.asarray(picture, dtype=np.uint8)


def _sprite(assets: Assets, size: int, rng: np.random.Generator) -> tuple[NDArray[np.uint8], float]:
    texture = assets.sprite(int(rng.integers(1 << 30)))
    mirrored, longest = rng.random() < 0.5, size * rng.uniform(0.2, 1.1)
    texture, density = _fitted(texture, max(texture.shape[:2]) / longest)
    return (np.ascontiguousarray(texture[:, ::-1]) if mirrored else texture), density


def _shape(assets: Assets, size: int, rng: np.random.Generator) -> tuple[NDArray[np.uint8], float]:
    """A blob or polygon of flat colour or of a piece of a picture, often with a dark outline."""
    side = int(size * rng.uniform(0.2, 0.9))
    corners = int(rng.integers(3, 12))
    angles = np.sort(rng.uniform(0, 2 * math.pi, corners))
    radii = side / 2 * rng.uniform(0.45, 0.95, corners)
    points = np.stack((np.cos(angles) * radii, np.sin(angles) * radii), axis=-1) + side / 2
    outline = np.rint(points * 16).astype(np.int32)
    mask = np.zeros((side, side), dtype=np.uint8)
    cv2.fillPoly(mask, [outline], 255, cv2.LINE_AA, shift=4)
    if assets.backgrounds and rng.random() < 0.5:
        piece = _fitted(*_window(assets, side, rng))[0]
        colour = cv2.resize(piece[:side, :side], (side, side)).astype(np.uint8)
    else:
        colour = np.full((side, side, 3), rng.integers(0, 256, 3), dtype=np.uint8)
        # One cel shadow.
        shadow = np.zeros_like(mask)
        centre = tuple(int(v) for v in rng.integers(0, side, 2))
        cv2.circle(shadow, centre, side // 2, 255, -1, cv2.LINE_AA)
        colour = np.where(shadow[..., None] > 127, colour, (colour * 0.75).astype(np.uint8))
    if rng.random() < 0.6:
        dark = tuple(int(v) for v in rng.integers(0, 60, 3))
        colour = np.ascontiguousarray(colour)
        cv2.polylines(colour, [outline], True, dark, int(rng.integers(1, 4)), cv2.LINE_AA, shift=4)
    return _premultiplied(colour, mask), 1.0


def _strokes(
    assets: Assets, size: int, rng: np.random.Generator
) -> tuple[NDArray[np.uint8], float]:
    """Thin curved lines, mostly dark, as hair and drawn folds are; or specks, as snow is."""
    side = int(size * rng.uniform(0.3, 1.1))
    mask = np.zeros((side, side), dtype=np.uint8)
    if rng.random() < 0.25:
        for _ in range(int(rng.integers(5, 60))):
            centre = tuple(int(v) for v in rng.integers(0, side * 16, 2))
            cv2.circle(mask, centre, int(rng.uniform(8, 30)), 255, -1, cv2.LINE_AA, shift=4)
        shade = int(rng.integers(150, 256))
    else:
        s = np.linspace(0, 1, 24)[:, None]
        for _ in range(int(rng.integers(2, 12))):
            a, b, c = rng.uniform(0, side, (3, 2))
            curve = (1 - s) ** 2 * a + 2 * s * (1 - s) * b + s**2 * c
            cv2.polylines(
                mask,
                [np.rint(curve * 16).astype(np.int32)],
                False,
                255,
                int(rng.integers(1, 4)),
                cv2.LINE_AA,
                shift=4,
            )
        shade = int(rng.choice([rng.integers(0, 60), rng.integers(0, 256)], p=[0.7, 0.3]))
    colour = np.clip(shade + rng.integers(-25, 26, 3), 0, 255)
    return _premultiplied(np.full((side, side, 3), colour, dtype=np.uint8), mask), 1.0


def _subtitle(size: int, rng: np.random.Generator) -> NDArray[np.uint8]:
    """White or yellow letters with a dark rim, near the lower border."""
    letters = "abcdefghiklmnoprstuvwyABDEGHMNRST ,.?!'"
    text = "".join(rng.choice(list(letters), int(rng.integers(5, 18))))
    scale, font = size / 256 * rng.uniform(0.7, 1.6), cv2.FONT_HERSHEY_SIMPLEX
    (width, _), _ = cv2.getTextSize(text, font, scale, 1)
    origin = ((size - width) // 2, int(size * rng.uniform(0.75, 0.95)))
    weight = max(1, round(2 * scale))
    rim, fill = np.zeros((size, size), np.uint8), np.zeros((size, size), np.uint8)
    cv2.putText(rim, text, origin, font, scale, 255, weight + 2, cv2.LINE_AA)
    cv2.putText(fill, text, origin, font, scale, 255, weight, cv2.LINE_AA)
    ink = np.array([255, 255, 255 if rng.random() < 0.7 else 80], dtype=np.uint8)
    colour = (fill[..., None].astype(np.uint16) * ink // 255).astype(np.uint8)
    return _premultiplied(colour, rim)


def _premultiplied(colour: Pixels, alpha: NDArray[np.uint8]) -> NDArray[np.uint8]:
    wide = alpha[..., None].astype(np.uint16)
    return np.concatenate(((colour * wide + 127) // 255, wide), axis=-1).astype(np.uint8)


def _damaged(pictures: list[Pixels], damage: str, rng: np.random.Generator) -> list[Pixels]:
    """The last three pictures after one of ``DAMAGES``.

    Noise is of no frame but its own, so there the target stays clean. A real codec copies what
    does not move from frame to frame, noise included, so there the target is mostly the decoded
    picture: that is what a real clip's dropped frame looks like.
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
    """Mirror left to right, top to bottom, and reverse the channels, each by chance."""
    if rng.random() < 0.5:
        pictures = [picture[:, ::-1] for picture in pictures]
        flow = flow[:, ::-1] * np.array([-1, 1, -1, 1], dtype=np.float32)
    if rng.random() < 0.25:
        pictures = [picture[::-1] for picture in pictures]
        flow = flow[::-1] * np.array([1, -1, 1, -1], dtype=np.float32)
    if rng.random() < 0.3:
        pictures = [picture[..., ::-1] for picture in pictures]
    img0, imgt, img1 = pictures
    return Sample(img0=img0, imgt=imgt, img1=img1, t=t, flow=flow)
