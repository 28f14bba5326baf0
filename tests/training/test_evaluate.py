"""What models are reported with: the cartoon's motion, and frames that are comparable."""

from pathlib import Path

import numpy as np
import pytest
import torch

from vsifrnet.training.data import cartoon
from vsifrnet.training.evaluate import interpolate, triplets
from vsifrnet.training.loop.validation import psnr
from vsifrnet.weights.load import load_weights

av = pytest.importorskip("av")


def write_clip(path: Path, pictures: list[np.ndarray]) -> None:
    height, width, _ = pictures[0].shape
    with av.open(str(path), "w") as container:
        stream = container.add_stream("ffv1", rate=25)
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        for picture in pictures:
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(picture), format="rgb24")
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))


def test_cuts_and_equal_neighbours_are_left_out_and_numbers_are_those_of_the_clip(tmp_path):
    dark, bright = (np.full((64, 96, 3), v, np.uint8) for v in (20, 220))
    ramp = [np.full((64, 96, 3), 100 + 4 * i, np.uint8) for i in range(5)]
    # Frames: 0-2 dark (equal neighbours), 3-4 bright (2 and 4 are of two scenes), 5-9 a ramp.
    path = tmp_path / "a.mkv"
    write_clip(path, [dark, dark, dark, bright, bright, *ramp])
    found = list(triplets(path, 99))
    assert [triplet.number for triplet in found] == [7]
    (triplet,) = found
    assert 255 * float(triplet.imgt.mean()) == pytest.approx(108, abs=2)
    assert 255 * float(triplet.others["blend"].mean()) == pytest.approx(108, abs=2)


def test_the_cartoon_moves_smoothly_and_rests_where_it_should():
    a, b, c = (cartoon.draw(time).astype(int) for time in (40.0, 40.5, 41.0))
    assert a.shape == (cartoon.HEIGHT, cartoon.WIDTH, 3)
    assert np.abs(a - c).mean() > np.abs(a - b).mean() > 0.1
    subtitle = np.s_[300:322, 104:480]
    moving = np.abs(a - c)[subtitle].max(axis=-1)
    letters = (a[subtitle] > 250).all(axis=-1) & (c[subtitle] > 250).all(axis=-1)
    assert letters.mean() > 0.05
    assert moving[letters].max() <= 5


def test_the_packaged_model_makes_equal_frames_and_beats_blending_on_the_cartoon():
    network = load_weights().build()
    window = np.s_[100:292, 100:356]

    def picture(time: float) -> torch.Tensor:
        array = np.ascontiguousarray(cartoon.draw(time)[window])
        return torch.from_numpy(array).permute(2, 0, 1).float()[None] / 255

    img0, imgt, img1 = (picture(time) for time in (10.0, 11.0, 12.0))
    made = float(psnr(interpolate(network, img0, img1), imgt))
    assert made > float(psnr((img0 + img1) / 2, imgt)) + 2.5
    assert float(psnr(interpolate(network, img0, img0), img0)) > 45
