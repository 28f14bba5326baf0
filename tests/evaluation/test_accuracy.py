"""The official protocols are tested on tiny data sets in the official layouts."""

import json
from fractions import Fraction

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from PIL import Image
from skimage.metrics import peak_signal_noise_ratio

from vsifrnet.cli import main
from vsifrnet.evaluation.protocols import BENCHMARKS, GOPRO, MIDDLEBURY
from vsifrnet.weights.load import load_weights


def save(path, seed, size=(32, 48)):
    """A smooth picture, of 8 bits as the data sets'."""
    path.parent.mkdir(parents=True, exist_ok=True)
    coarse = np.random.default_rng(seed).integers(0, 256, (5, 7, 3)).astype(np.uint8)
    Image.fromarray(coarse).resize(size[::-1], Image.Resampling.BICUBIC).save(path)


def vimeo90k(root):
    names = ["00001/0001", "00001/0002", "00002/0389"]
    for i, name in enumerate(names):
        for k in (1, 2, 3):
            save(root / "sequences" / name / f"im{k}.png", seed=i)
    save(root / "sequences" / names[0] / "im3.png", seed=100)
    (root / "tri_testlist.txt").write_text("\n".join(names) + "\n\n")


def ucf101(root):
    for i in (1, 11):
        for name in ("frame_00.png", "frame_01_gt.png", "frame_02.png"):
            save(root / str(i) / name, seed=i)


def snu_film(root, size=(44, 50)):
    lines = []
    for i in range(2):
        paths = [f"data/SNU-FILM/test/GOPRO_test/x{i}/{k:06d}.png" for k in (2, 1, 3)]
        for k, path in enumerate(paths):
            save(root / path, seed=10 * i + k, size=size)
        lines.append(" ".join(paths))
    (root / "test-hard.txt").write_text("\n".join(lines) + "\n")


def middlebury(root):
    for i, name in enumerate(MIDDLEBURY):
        size = (24 + i, 40 - i)
        save(root / "other-data" / name / "frame10.png", i, size)
        save(root / "other-data" / name / "frame11.png", i, size)
        save(root / "other-gt-interp" / name / "frame10i11.png", i, size)


def gopro(root):
    for video in GOPRO:
        for k in range(9):
            save(root / video / f"{k:06d}.png", seed=k)
    save(root / GOPRO[0] / "000099.png", seed=1)  # not enough for a second window


def run(capsys, *arguments):
    code = main(["bench", "accuracy", *map(str, arguments), "--device", "cpu", "--quiet"])
    output = capsys.readouterr()
    return code, output.out, output.err


def reference(img0, img1, t, scale=1.0, pad=(0, 0, 0, 0), mode="replicate"):
    """The network as the official benchmarks call it: they pad, and nothing else does."""
    pictures = [
        torch.from_numpy(np.asarray(Image.open(path)) / np.float32(255)).permute(2, 0, 1)[None]
        for path in (img0, img1)
    ]
    height, width = pictures[0].shape[2:]
    padded = [F.pad(picture, pad, mode=mode) for picture in pictures]
    with torch.inference_mode():
        made = load_weights().build()(*padded, torch.tensor([float(t)]), scale)
    return made[0, :, pad[2] : pad[2] + height, pad[0] : pad[0] + width]


def psnr(made, truth):
    true = np.asarray(Image.open(truth)).transpose(2, 0, 1) / np.float32(255)
    return peak_signal_noise_ratio(true, made.numpy(), data_range=1.0)


def test_vimeo90k(tmp_path, capsys):
    vimeo90k(tmp_path)
    code, out, _ = run(capsys, "vimeo90k", "--data", tmp_path)
    assert code == 0
    *paper, ours = out.splitlines()
    assert paper[0].split() == ["Vimeo90K", "PSNR", "SSIM"]
    assert paper[1].split()[-2:] == ["35.59", "0.9786"]
    expected = []
    for name in ("00001/0001", "00001/0002", "00002/0389"):
        im1, im2, im3 = (tmp_path / "sequences" / name / f"im{k}.png" for k in (1, 2, 3))
        expected.append(psnr(reference(im1, im3, 0.5), im2))
    assert float(ours.split()[-2]) == pytest.approx(np.mean(expected), abs=0.01)


def test_snu_film_pads_around_to_20_at_scale_08(tmp_path, capsys):
    snu_film(tmp_path)
    code, out, _ = run(capsys, "snu-film-hard", "--data", tmp_path, "--json")
    assert code == 0
    expected = []
    for i in range(2):
        folder = tmp_path / f"data/SNU-FILM/test/GOPRO_test/x{i}"
        img0, truth, img1 = (folder / f"{k:06d}.png" for k in (2, 1, 3))
        expected.append(psnr(reference(img0, img1, 0.5, 0.8, pad=(5, 5, 8, 8)), truth))
    assert json.loads(out)["psnr"] == pytest.approx(np.mean(expected), rel=1e-4)


def test_8x_is_the_mean_of_seven_times(tmp_path, capsys):
    video = tmp_path / "videos" / "720p_240fps_1"
    for k in range(19):  # two windows, and two pictures over
        save(video / f"{k:06d}.png", seed=k)
    code, out, _ = run(
        capsys,
        "adobe240",
        "--data",
        tmp_path / "videos",
        "--json",
        "--out",
        tmp_path / "out",
        "--worst",
        0,
    )
    assert code == 0
    expected = []
    for begin in (0, 8):
        paths = [video / f"{begin + k:06d}.png" for k in range(9)]
        made = (reference(paths[0], paths[8], Fraction(k, 8)) for k in range(1, 8))
        expected += [psnr(m, p) for m, p in zip(made, paths[1:8], strict=True)]
    assert json.loads(out)["psnr"] == pytest.approx(np.mean(expected), rel=1e-4)
    rows = (tmp_path / "out" / "samples.csv").read_text().splitlines()
    assert [row.split(",")[:2] for row in rows[1:9]] == [
        *(["720p_240fps_1/000000", f"{t}"] for t in (Fraction(k, 8) for k in range(1, 8))),
        ["720p_240fps_1/000008", "1/8"],
    ]


@pytest.mark.parametrize(("name", "make"), [("ucf101", ucf101), ("gopro", gopro)])
def test_layouts(name, make, tmp_path):
    make(tmp_path)
    entries = BENCHMARKS[name].entries(tmp_path)
    assert len(entries) == {"ucf101": 2, "gopro": 11}[name]
    assert all(path.is_file() for entry in entries for path in entry.paths())
    assert len({entry.name for entry in entries}) == len(entries)


def test_middlebury_pads_with_zeros_to_640x480():
    padding = BENCHMARKS["middlebury"].padding
    picture = torch.rand(3, 380, 420)
    padded = padding.apply(picture)
    assert padded.shape == (3, 480, 640)
    assert padded[:, 380:].abs().sum() == padded[:, :, 420:].abs().sum() == 0
    assert torch.equal(padding.remove(padded, 380, 420), picture)
    with pytest.raises(ValueError, match="must not be larger than the protocol's frame"):
        padding.apply(torch.rand(3, 481, 640))


def test_middlebury_has_the_interpolation_error(tmp_path):
    middlebury(tmp_path)
    benchmark = BENCHMARKS["middlebury"]
    assert [sample.name for sample in benchmark.entries(tmp_path)] == MIDDLEBURY
    assert benchmark.metrics == ("psnr", "ssim", "ie")
    assert all(len(values) == 3 for values in benchmark.published.values())


def test_goes_on_where_it_stopped(tmp_path, capsys):
    data, out = tmp_path / "data", tmp_path / "out"
    vimeo90k(data)
    assert run(capsys, "vimeo90k", "--data", data, "--out", out, "--worst", 1)[0] == 0
    complete = (out / "samples.csv").read_text()
    means = json.loads((out / "summary.json").read_text())
    assert len(list(out.glob("01_*.png"))) == 1
    # As a run leaves it that was killed in the middle of a row, the first value made recognisable.
    lines = complete.splitlines(keepends=True)
    kept = lines[1].replace(lines[1].split(",")[2], "12.5")
    (out / "samples.csv").write_text(lines[0] + kept + lines[2][:9])
    (out / "summary.json").unlink()
    assert run(capsys, "vimeo90k", "--data", data, "--out", out)[0] == 0
    rows = (out / "samples.csv").read_text().splitlines(keepends=True)
    assert rows == [lines[0], kept, *lines[2:]]
    assert json.loads((out / "summary.json").read_text())["psnr"] != means["psnr"]
    # Another protocol's results are not mixed in.
    code, _, err = run(capsys, "vimeo90k", "--data", data, "--out", out, "--ensemble")
    assert code == 1
    assert "ensemble='False', not 'True'" in err


@pytest.mark.parametrize(
    ("remove", "named"),
    [
        ("tri_testlist.txt", "tri_testlist.txt: this list is missing"),
        ("sequences/00001/0002/im2.png", "im2.png is missing; Vimeo90K needs tri_testlist.txt"),
    ],
)
def test_names_what_is_missing(remove, named, tmp_path, capsys):
    vimeo90k(tmp_path)
    (tmp_path / remove).unlink()
    code, out, err = run(capsys, "vimeo90k", "--data", tmp_path)
    assert (code, out) == (1, "")
    assert named in err


def test_names_what_is_broken(tmp_path, capsys):
    vimeo90k(tmp_path)
    broken = tmp_path / "sequences/00001/0002/im2.png"
    broken.write_bytes(broken.read_bytes()[:200])
    code, _, err = run(capsys, "vimeo90k", "--data", tmp_path)
    assert code == 1
    assert "0002/im2.png: a damaged picture" in err
    save(broken, seed=1, size=(16, 16))
    code, _, err = run(capsys, "vimeo90k", "--data", tmp_path)
    assert code == 1
    assert "0002/im2.png: must be of the same size as" in err


def test_other_wrong_input(tmp_path, capsys):
    code, _, err = run(capsys, "ucf101", "--data", tmp_path / "nothing")
    assert code == 1
    assert "there is no such folder; UCF101 needs <id>/{frame_00" in err
    code, _, err = run(capsys, "gopro", "--data", tmp_path)
    assert code == 1
    assert f"{GOPRO[0]}: this folder is missing" in err
    (tmp_path / "test-easy.txt").write_text("a.png b.png\n")
    code, _, err = run(capsys, "snu-film-easy", "--data", tmp_path)
    assert code == 1
    assert "test-easy.txt, line 1: 'a.png b.png' is not three paths" in err
