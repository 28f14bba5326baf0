"""Lettering in the fonts of a folder: pages of text, credits rolls and titles."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from vsifrnet.errors import DataError

__all__ = ["Fonts", "colours", "inked", "page"]

SUFFIXES = (".otf", ".ttc", ".ttf")

WORDS = (
    "key animation colour in-between check background art director layout second unit sound "
    "editing production desk assistant photography finish composite storyboard episode planning "
    "music studio Chapter The of and a to in was it with 1987 24 § A-Z No. 3 from his her said"
)

CHARACTERS = (
    "原画動画仕上背景美術監督撮影音響制作進行脚本演出絵色彩設計編集助特殊効果主題歌作詞曲協力企画"
    "一人大中小時日本年見行会社田山川木水金土的国和有第話終次回予告東京都市村高橋鈴佐藤伊渡辺"
    "あいうえおかきくけこさしすせそたちつてとなにぬねのはひふへほまみむめもやゆよらりるれろわをん"
    "アイウエオカキクケコサシスセソタチツテトナニヌネノハヒフヘホマミムメモヤユヨラリルレロワヲン、。"
)

JAPANESE = 0.4
"""Share of Japanese pages if the folder has Latin fonts as well."""


@dataclass(frozen=True)
class _Font:
    path: Path
    latin: bool
    japanese: bool


class Fonts:
    """The fonts in a folder and below, sorted into those with Latin and with Japanese letters.

    Raises:
        DataError: the folder has no font with Latin or Japanese letters, or one cannot be read.
    """

    def __init__(self, folder: Path) -> None:
        paths = sorted(path for path in folder.rglob("*") if path.suffix.lower() in SUFFIXES)
        fonts = [_Font(path, latin=_has(path, "ag"), japanese=_has(path, "あ画")) for path in paths]
        self._latin = [font.path for font in fonts if font.latin]
        self._japanese = [font.path for font in fonts if font.japanese]
        if not self._latin and not self._japanese:
            raise DataError(
                f"no fonts in {folder}: expected {', '.join(SUFFIXES)} with Latin or Japanese "
                "letters"
            )

    def draw(self, size: int, rng: np.random.Generator) -> tuple[ImageFont.FreeTypeFont, bool]:
        """Return a random font of ``size`` pixels, and whether it is for Japanese text."""
        japanese = bool(self._japanese) and (not self._latin or rng.random() < JAPANESE)
        paths = self._japanese if japanese else self._latin
        return ImageFont.truetype(paths[rng.integers(len(paths))], size), japanese


def _has(path: Path, letters: str) -> bool:
    """Return whether a font has these letters: missing ones look like a code that no font has."""
    try:
        font = ImageFont.truetype(path, 20)
        missing = bytes(font.getmask("\uffff"))
        shapes = [bytes(font.getmask(letter)) for letter in letters]
    except OSError as error:
        raise DataError(f"cannot read the font {path}: {error}") from error
    # Symbol fonts show the same sign for all letters.
    return len({missing, b"", *shapes}) == len(letters) + len({missing, b""})


def page(width: int, height: int, fonts: Fonts, rng: np.random.Generator) -> NDArray[np.uint8]:
    """Return random lines of text in one font, as coverage (height, width)."""
    image = Image.new("L", (width, height))
    draw = ImageDraw.Draw(image)
    size = round(math.exp(rng.uniform(math.log(8), math.log(44))))
    font, japanese = fonts.draw(size, rng)
    centred, spacing = rng.random() < 0.5, float(rng.choice([1.1, 1.3, 1.5, 2.2]))
    y = rng.uniform(-size, size)
    while y < height:
        text = _line(max(1, width // size), japanese, rng)
        x = (width - draw.textlength(text, font)) / 2 if centred else rng.uniform(0, width / 6)
        if rng.random() < 0.93:  # Some lines are empty.
            draw.text((x, y), text, 255, font)
        gap = 1.0 if rng.random() < 0.85 else rng.uniform(1.3, 2.5)
        y += size * spacing * gap
    return np.asarray(image)


def _line(length: int, japanese: bool, rng: np.random.Generator) -> str:
    """Return a random line of up to ``length`` square characters."""
    if japanese:
        return "".join(rng.choice(list(CHARACTERS), int(rng.integers(2, max(4, length)))))
    text = " ".join(rng.choice(WORDS.split(), int(rng.integers(1, max(3, length // 2)))))
    return text.upper() if rng.random() < 0.15 else text


def colours(rng: np.random.Generator) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Return random colours of ground and ink, mostly one dark and one light, often grey."""
    if rng.random() >= 0.55:
        any_two = rng.integers(0, 256, (2, 3)).astype(np.uint8)
        return any_two[0], any_two[1]
    dark, light = rng.integers(0, 50, 3), rng.integers(205, 256, 3)
    if rng.random() < 0.6:
        dark, light = np.repeat(dark[0], 3), np.repeat(light[0], 3)
    pair = (dark, light) if rng.random() < 0.5 else (light, dark)
    return pair[0].astype(np.uint8), pair[1].astype(np.uint8)


def inked(
    mask: NDArray[np.uint8], ground: NDArray[np.uint8], ink: NDArray[np.uint8]
) -> NDArray[np.uint8]:
    """Return a picture (H, W, 3) of ``ink`` on ``ground`` with the coverage ``mask`` (H, W)."""
    share = cv2.merge((mask,) * 3).astype(np.float32) / 255
    return np.asarray(ground + share * (ink.astype(np.float32) - ground) + 0.5, dtype=np.uint8)
