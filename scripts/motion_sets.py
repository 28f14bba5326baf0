"""The sets of clips of ``motion.py``: drawn moves at 640x360 with exact frames at any time.

A shot is a function of the time tau, counted in source frames. Frame 2 k of its clip is at tau = k
and is given to the methods. They have to make frame 2 k + 1, which is at tau = k + 1/2. All motion
is linear between two source frames.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import scenery
from cameras import HEIGHT, WIDTH, covering, matrix, middle, over, pan, view, window
from scenery import FINE, Array

__all__ = ["Shot", "shots"]

WHITE = np.array((0.94, 0.94, 0.92), np.float32)


@dataclass(frozen=True, kw_only=True)
class Shot:
    """A shot: its set, its name and the function that draws it."""

    set: str
    name: str
    draw: Callable[[float], Array]
    """Returns the frame at time tau, RGB (HEIGHT, WIDTH, 3) in [0, 1]."""


def shots(pictures: Path | None) -> Iterator[Shot]:
    """Yield all shots, set by set."""
    photographs = scenery.photographs(pictures, 4)
    photographs["board"] = scenery.board(1300, 760, 5)
    yield from _lettering(photographs)
    yield from _camera(photographs)
    yield from _repeated(photographs)
    yield from _handheld(photographs)
    yield from _parallax(photographs)
    yield from _subtitles(photographs)


def _lettering(photographs: dict[str, Array]) -> Iterator[Shot]:
    latin = scenery.lettering(WIDTH, 720, 1, size=18)
    small = scenery.lettering(WIDTH, 720, 2, size=12)
    kanji = scenery.strokes(WIDTH, 720, 3, size=22)
    black = np.zeros((HEIGHT, WIDTH, 3), np.float32)

    def roll(
        mask: Array, ground: Callable[[float], Array], speed: float
    ) -> Callable[[float], Array]:
        return lambda tau: over(ground(tau), window(mask, 0, 40 - speed * tau), WHITE)

    for speed in (3, 4, 6, 13):
        draw = roll(latin, lambda _: black, speed)
        yield Shot(set="lettering", name=f"roll of {speed} px", draw=draw)
    yield Shot(set="lettering", name="small roll of 5 px", draw=roll(small, lambda _: black, 5))
    for speed in (3, 8):
        draw = roll(kanji, lambda _: black, speed)
        yield Shot(set="lettering", name=f"strokes, roll of {speed} px", draw=draw)
    photo = view(covering(photographs["board"]), matrix((600, 380)))
    dark = photo * 0.5
    yield Shot(
        set="lettering", name="roll of 3 px over a picture", draw=roll(kanji, lambda _: dark, 3)
    )
    first = covering(next(iter(photographs.values()))) * 0.7
    draw = roll(latin, lambda _: view(first, matrix(middle(first))), 7)
    yield Shot(set="lettering", name="roll of 7 px over a picture", draw=draw)
    draw = roll(latin, pan(first, (6, 0)), 5)
    yield Shot(set="lettering", name="roll of 5 px over a pan of 6", draw=draw)

    page = 1 - 0.9 * np.repeat(window(small, 0, 0)[..., None], 3, 2)
    tall = np.concatenate([page, 1 - 0.9 * np.repeat(window(kanji, 0, 0)[..., None], 3, 2)], 0)
    wide = np.concatenate([tall, tall[:, ::-1]], 1).astype(np.float32)
    for x, y in ((8, 0), (0, 18), (11, 5)):
        yield Shot(set="lettering", name=f"page, pan of {x}, {y} px", draw=pan(wide, (x, y)))


def _camera(photographs: dict[str, Array]) -> Iterator[Shot]:
    for name, photograph in photographs.items():
        picture = covering(photograph)
        centre = middle(picture)

        def move(
            picture: Array = picture,
            centre: tuple[float, float] = centre,
            zoom: float = 1.0,
            degrees: float = 0.0,
            fade: float = 1.0,
            speed: tuple[float, float] = (0, 0),
        ) -> Callable[[float], Array]:
            def draw(tau: float) -> Array:
                k, part = int(tau), tau - int(tau)

                def at(time: float) -> Array:
                    x, y = (c + v * (time - 2) for c, v in zip(centre, speed, strict=True))
                    return matrix((x, y), 1.1 * zoom**time, degrees * time)

                # A point of the picture moves on a straight line from frame k to the next.
                ends = [np.linalg.inv(np.vstack((at(time), (0, 0, 1)))) for time in (k, k + 1)]
                between = np.linalg.inv((1 - part) * ends[0] + part * ends[1])[:2]
                seen: Array = view(picture, between) * fade**tau
                return seen

            return draw

        yield Shot(set="camera", name=f"{name}, pan of 6 px", draw=pan(picture, (6, 0)))
        yield Shot(set="camera", name=f"{name}, pan of 17 px", draw=pan(picture, (-17, 0)))
        yield Shot(set="camera", name=f"{name}, pan of 40 px", draw=pan(picture, (40, 0)))
        yield Shot(set="camera", name=f"{name}, tilt of 13 px", draw=pan(picture, (2.5, 13)))
        yield Shot(set="camera", name=f"{name}, zoom of 4%", draw=move(zoom=1.04))
        yield Shot(set="camera", name=f"{name}, zoom of -8%", draw=move(zoom=0.92))
        yield Shot(set="camera", name=f"{name}, turn of 2 degrees", draw=move(degrees=2))
        yield Shot(set="camera", name=f"{name}, fading pan", draw=move(fade=0.85, speed=(9, 3)))


def _repeated(photographs: dict[str, Array]) -> Iterator[Shot]:
    picture = covering(next(iter(photographs.values())))
    bars = scenery.fence(WIDTH, HEIGHT, 32)
    ground = view(picture, matrix(middle(picture)))
    brown = np.array((0.4, 0.28, 0.2), np.float32)
    yield Shot(
        set="repeated",
        name="fence passes a picture, 9 px",
        draw=lambda tau: over(ground, window(bars, 9 * tau, 0), brown),
    )
    move = pan(picture, (-12, 0))
    yield Shot(
        set="repeated",
        name="still fence before a pan",
        draw=lambda tau: over(move(tau), window(bars, 0, 0), brown),
    )
    fenced = over(
        picture[: 2 * HEIGHT],
        cv2.resize(
            scenery.fence(picture.shape[1], len(picture[: 2 * HEIGHT]), 26),
            (picture.shape[1], len(picture[: 2 * HEIGHT])),
            interpolation=cv2.INTER_AREA,
        ),
        brown,
    )
    yield Shot(set="repeated", name="fence and picture, pan of 11", draw=pan(fenced, (11, 0)))
    yield Shot(
        set="repeated", name="tiles, pan of 14", draw=pan(scenery.tiles(1000, 600, 40, 1), (14, 3))
    )
    yield Shot(
        set="repeated", name="bricks, tilt of 9", draw=pan(scenery.bricks(1000, 600, 48, 2), (3, 9))
    )
    yield Shot(
        set="repeated",
        name="screentone, pan of 5.5",
        draw=pan(scenery.screentone(1000, 600, 3), (5.5, 0)),
    )
    yield Shot(
        set="repeated",
        name="screentone, pan of 22",
        draw=pan(scenery.screentone(1000, 600, 4), (22, 4)),
    )


def _handheld(photographs: dict[str, Array]) -> Iterator[Shot]:
    for index, (name, photograph) in enumerate(photographs.items()):
        picture = covering(photograph)
        x, y = middle(picture)
        rng = np.random.default_rng(index)
        sway = np.cumsum(rng.normal(0, 1, (8, 4)), 0) * np.array((5, 4, 0.006, 0.4))

        def draw(
            tau: float, picture: Array = picture, x: float = x, y: float = y, sway: Array = sway
        ) -> Array:
            k, part = int(tau), tau - int(tau)
            ends = []
            for dx, dy, zoom, degrees in sway[k : k + 2]:
                to_picture = matrix((x + dx, y + dy), 1.1 + zoom, degrees)
                ends.append(np.linalg.inv(np.vstack((to_picture, (0, 0, 1)))))
            return view(picture, np.linalg.inv((1 - part) * ends[0] + part * ends[1])[:2])

        yield Shot(set="handheld", name=name, draw=draw)


def _parallax(photographs: dict[str, Array]) -> Iterator[Shot]:
    pictures = list(photographs.values())
    for index, (name, photograph) in enumerate(photographs.items()):
        picture = covering(photograph)
        rng = np.random.default_rng(100 + index)
        layers = []
        for layer, (size, speed) in enumerate(((110, 8), (150, 14), (230, 24))):
            for place in range(3 - layer // 2):
                part = scenery.cutout(
                    pictures[(index + layer + place) % 5], size, index + 7 * place
                )
                start = rng.uniform(0, WIDTH - size), rng.uniform(0, HEIGHT - size / 2)
                layers.append((*part, start, speed))
        ground = pan(picture, (3 + index, 0))

        def draw(
            tau: float,
            ground: Callable[[float], Array] = ground,
            layers: list[tuple[Array, Array, tuple[float, float], int]] = layers,
        ) -> Array:
            frame = ground(tau)
            for colours, mask, (x, y), speed in layers:
                place = np.array([[1, 0, x - speed * (tau - 1)], [0, 1, y]])
                size = WIDTH, HEIGHT
                alpha = cv2.warpAffine(mask, place, size, flags=cv2.INTER_LINEAR)
                painted = cv2.warpAffine(
                    colours, place, size, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT_101
                )
                frame = over(frame, alpha, painted)
            return frame

        yield Shot(set="parallax", name=name, draw=draw)


def _subtitles(photographs: dict[str, Array]) -> Iterator[Shot]:
    mask = np.zeros((FINE * HEIGHT, FINE * WIDTH), np.float32)
    line = scenery.lettering(WIDTH, 60, 11, size=24)
    mask[-len(line) - FINE * 16 : -FINE * 16] = line
    rim = cv2.dilate(mask, np.ones((2 * FINE + 1, 2 * FINE + 1), np.uint8))
    black = np.zeros(3, np.float32)

    def titled(draw: Callable[[float], Array]) -> Callable[[float], Array]:
        return lambda tau: over(
            over(draw(tau), window(rim, 0, 0), black), window(mask, 0, 0), WHITE
        )

    names = list(photographs)
    pictures = [covering(picture) for picture in photographs.values()]
    for name, picture, speed in zip(
        names, pictures, ((12, 0), (0, -9), (30, 0), (5, 0), (15, 2)), strict=False
    ):
        draw = titled(pan(picture, speed))
        yield Shot(set="subtitles", name=f"{name}, pan of {speed[0]}, {speed[1]}", draw=draw)

    def barred(tau: float) -> Array:
        frame = pan(pictures[1], (16, 0))(tau)
        frame[:45] = frame[-45:] = 0
        return frame

    yield Shot(set="subtitles", name="letterbox, pan of 16", draw=barred)
    yield Shot(set="subtitles", name="letterbox and subtitle", draw=titled(barred))
    still = view(pictures[-1], matrix(middle(pictures[-1])))
    banner = scenery.lettering(1600, 40, 14, size=26)
    strip = np.zeros((FINE * HEIGHT, FINE * 1600), np.float32)
    strip[FINE * 300 : FINE * 340] = banner
    yield Shot(
        set="subtitles",
        name="ticker of 15 px over a still",
        draw=lambda tau: over(still, window(strip, -15 * tau, 0), WHITE),
    )
    yield Shot(
        set="subtitles",
        name="ticker of 10 px against a pan",
        draw=lambda tau: over(pan(pictures[0], (-8, 0))(tau), window(strip, -10 * tau, 0), WHITE),
    )
