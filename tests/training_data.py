"""Small training data that is made for the tests of training."""

from pathlib import Path

import numpy as np
from PIL import Image


def picture(shift_x: float, shift_y: float, height: int = 64, width: int = 96) -> np.ndarray:
    """Return a smooth picture, shifted."""
    y, x = np.mgrid[0:height, 0:width].astype(np.float64)
    x, y = x - shift_x, y - shift_y
    waves = (np.sin(x / 5) + np.cos(y / 7), np.cos(x / 9 + y / 6), np.sin(x / 8 - y / 5))
    return (np.stack(waves, axis=-1) * 55 + 128).astype(np.uint8)


def write_triplets(root: Path, count: int = 4) -> None:
    names = [f"00001/{i:04d}" for i in range(count)]
    for i, name in enumerate(names):
        folder = root / "sequences" / name
        folder.mkdir(parents=True)
        for number in (1, 2, 3):
            Image.fromarray(picture(number * 2.0 + i, -1.0 * number)).save(
                folder / f"im{number}.png"
            )
    (root / "tri_trainlist.txt").write_text("\n".join(names) + "\n\n")


def make_assets(folder: Path) -> Path:
    """Write a few smooth backgrounds and round cut-outs; return the folder."""
    rng = np.random.default_rng(0)
    for kind, count in (("backgrounds", 16), ("sprites", 16)):
        (folder / kind).mkdir(parents=True)
        for number in range(count):
            noise = rng.integers(0, 256, (8, 12, 3), dtype=np.uint8)
            image = Image.fromarray(noise).resize((150, 100), Image.Resampling.BICUBIC)
            if kind == "sprites":
                y, x = np.mgrid[0:100, 0:150]
                disc = np.hypot(x - 75, y - 50) < 45
                image.putalpha(Image.fromarray((disc * 255).astype(np.uint8)))
            image.save(folder / kind / f"{number}.png")
    return folder
