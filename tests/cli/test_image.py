"""Tests of ``vsifrnet image`` and of reading and writing pictures."""

from fractions import Fraction

import av
import numpy as np
import pytest
import torch
from PIL import Image, ImageCms

from vsifrnet.cli import main
from vsifrnet.media import pictures
from vsifrnet.media.pictures import Picture
from vsifrnet.weights.load import load_weights

SIZE = (40, 56)


def smooth(seed, size=SIZE, low=0.2, high=0.8):
    """A smooth picture (3, H, W)."""
    coarse = torch.rand(1, 3, 4, 5, generator=torch.Generator().manual_seed(seed))
    fine = torch.nn.functional.interpolate(coarse, size, mode="bilinear")[0]
    return low + (high - low) * fine


def image(*arguments):
    return main(["image", *map(str, arguments), "--device", "cpu", "--precision", "fp32", "-q"])


def network(img0, img1, t):
    """The network itself; the size is a multiple of 8 only, so borders are replicated."""
    height, width = img0.shape[1:]
    pad = (0, -width % 16, 0, -height % 16)
    padded = [torch.nn.functional.pad(p[None], pad, mode="replicate") for p in (img0, img1)]
    mean = (img0.mean() + img1.mean()).view(1, 1, 1, 1) / 2
    model = load_weights().build()
    with torch.inference_mode():
        made = model.decode(model.encode(*padded, mean=mean), torch.tensor([float(t)])).image
    return made[0, :, :height, :width]


@pytest.mark.parametrize(("depth", "grey"), [(8, False), (8, True), (16, False), (16, True)])
@pytest.mark.parametrize("alpha", [False, True])
def test_png_keeps_every_bit(depth, grey, alpha, tmp_path):
    largest = 2**depth - 1
    rng = np.random.default_rng(0)
    planes = torch.from_numpy(rng.integers(0, largest + 1, (4, 9, 13)).astype(np.float32) / largest)
    rgb = planes[:1].expand(3, -1, -1) if grey else planes[:3]
    written = Picture(rgb=rgb, alpha=planes[3] if alpha else None, depth=depth, grey=grey)
    pictures.write(written, tmp_path / "a.png")
    read = pictures.read(tmp_path / "a.png")
    assert (read.depth, read.grey, read.alpha is None) == (depth, grey, not alpha)
    assert torch.equal((read.rgb * largest).round(), (rgb * largest).round())
    if alpha:
        assert torch.equal((read.alpha * largest).round(), (planes[3] * largest).round())
    # Another decoder sees the same samples.
    with av.open(str(tmp_path / "a.png")) as container:
        frame = next(container.decode(video=0)).to_ndarray(
            format="rgba64le" if depth == 16 else "rgba"
        )
    expected = (rgb * largest).round().permute(1, 2, 0).numpy()
    assert np.array_equal(frame[..., :3], expected)


@pytest.mark.parametrize("depth", [8, 16])
def test_png_keeps_the_colour_profile(depth, tmp_path):
    icc = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    pictures.write(Picture(rgb=smooth(1), depth=depth, icc=icc), tmp_path / "a.png")
    assert pictures.read(tmp_path / "a.png").icc == icc


@pytest.mark.parametrize("suffix", [".jpg", ".webp", ".avif"])
def test_lossy_formats(suffix, tmp_path):
    pictures.write(Picture(rgb=smooth(1), depth=16), tmp_path / f"a{suffix}")
    read = pictures.read(tmp_path / f"a{suffix}")
    assert read.depth == 8
    assert (read.rgb - smooth(1)).abs().max() < 0.05


def test_orientation_of_a_photo(tmp_path):
    upright = Image.fromarray((smooth(1).permute(1, 2, 0) * 255).byte().numpy())
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned clockwise
    upright.rotate(90, expand=True).save(tmp_path / "a.jpg", exif=exif, quality=100)
    assert pictures.header(tmp_path / "a.jpg")[:2] == SIZE[::-1]
    assert (pictures.read(tmp_path / "a.jpg").rgb - smooth(1)).abs().max() < 0.05


def test_natural_order(tmp_path):
    names = ["b1.png", "a10.png", "a9.png", "A2.png", "a010x.png"]
    ordered = sorted((tmp_path / name for name in names), key=pictures.natural)
    assert [path.name for path in ordered] == ["A2.png", "a9.png", "a10.png", "a010x.png", "b1.png"]


@pytest.fixture
def pair(tmp_path):
    """Paths and pictures of 16 bits."""
    paths = []
    for i in (0, 1):
        paths.append(tmp_path / f"{i}.png")
        pictures.write(Picture(rgb=smooth(i), depth=16), paths[i])
    return paths, [pictures.read(path).rgb for path in paths]


def test_one_between_keeps_16_bits(pair, tmp_path):
    paths, both = pair
    assert image(*paths, "-o", tmp_path / "m.png", "--scale", 1) == 0
    made = pictures.read(tmp_path / "m.png")
    assert made.depth == 16
    assert (made.rgb - network(*both, Fraction(1, 2))).abs().max() < 1e-4
    assert len({float(x) for x in made.rgb.flatten()}) > 256


def test_several_and_times(pair, tmp_path, capsys):
    paths, both = pair
    assert image(*paths, "-o", tmp_path / "m_%02d.png", "-n", 3, "--scale", 1) == 0
    assert image(*paths, "-o", tmp_path / "t.png", "-t", "1/4", "--scale", 1) == 0
    assert (tmp_path / "m_01.png").read_bytes() == (tmp_path / "t.png").read_bytes()
    for i in (1, 2, 3):
        made = pictures.read(tmp_path / f"m_{i:02d}.png").rgb
        assert (made - network(*both, Fraction(i, 4))).abs().max() < 1e-4
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize("suffix", [".gif", ".webp", ".apng"])
def test_animations(suffix, pair, tmp_path):
    assert image(*pair[0], "-o", tmp_path / f"m{suffix}", "-n", 3, "--fps", 5) == 0
    with Image.open(tmp_path / f"m{suffix}") as animation:
        assert animation.n_frames == 5
        assert animation.size == SIZE[::-1]
        for i, expected in ((0, smooth(0)), (4, smooth(1))):
            animation.seek(i)
            frame = torch.from_numpy(np.array(animation.convert("RGB"))).permute(2, 0, 1) / 255
            assert animation.info["duration"] == 200
            assert (frame - expected).abs().mean() < 0.03


def test_transparency_is_interpolated(tmp_path):
    """A disc that moves on transparent ground of another colour: no ground in the result."""
    y, x = np.mgrid[:64, :64]
    for i, centre in enumerate((24, 36)):
        disc = (x - centre) ** 2 + (y - 32) ** 2 < 15**2
        rgba = np.where(disc[..., None], (230, 120, 40, 255), (0, 255, 0, 0)).astype(np.uint8)
        Image.fromarray(rgba).save(tmp_path / f"{i}.png")
    assert image(tmp_path / "0.png", tmp_path / "1.png", "-o", tmp_path / "m.png") == 0
    made = pictures.read(tmp_path / "m.png")
    middle = (x - 30) ** 2 + (y - 32) ** 2
    assert made.alpha[torch.from_numpy(middle < 10**2)].min() > 0.9
    assert made.alpha[torch.from_numpy(middle > 24**2)].max() < 0.1
    solid = made.rgb[:, made.alpha > 0.5]
    assert (solid - torch.tensor([230, 120, 40])[:, None] / 255).abs().mean() < 0.05
    for name in ("m.jpg", "m.mp4"):
        assert image(tmp_path / "0.png", tmp_path / "1.png", "-o", tmp_path / name) == 1
        assert not (tmp_path / name).exists()


@pytest.mark.parametrize(("size", "stored"), [(SIZE, "yuv420p"), ((33, 47), "yuv444p")])
def test_mp4(size, stored, tmp_path):
    for i in (0, 1):
        pictures.write(Picture(rgb=smooth(i, size)), tmp_path / f"{i}.png")
    out = tmp_path / "m.mp4"
    assert image(tmp_path / "0.png", tmp_path / "1.png", "-o", out, "-n", 3, "--fps", 12) == 0
    with av.open(str(out)) as container:
        stream = container.streams.video[0]
        assert (stream.pix_fmt, stream.average_rate) == (stored, 12)
        decoded = list(container.decode(stream))
    assert len(decoded) == 5
    last = decoded[-1].reformat(format="rgb24", src_colorspace=1).to_ndarray()
    assert np.abs(last / 255 - smooth(1, size).permute(1, 2, 0).numpy()).mean() < 0.02


def test_weights_that_ignore_time(pair, tmp_path, capsys):
    from safetensors.torch import save_file

    state = load_weights().state
    state["decoder4.convblock.0.0.weight"][:, -1] = 0
    save_file(state, tmp_path / "blind.safetensors")
    model = ("--model", tmp_path / "blind.safetensors")
    assert image(*pair[0], "-o", tmp_path / "m_%d.png", "-n", 3, *model) == 0
    assert (tmp_path / "m_1.png").read_bytes() != (tmp_path / "m_2.png").read_bytes()
    assert image(*pair[0], "-o", tmp_path / "n_%d.png", "-n", 2, *model) == 1
    assert "only makes the middle" in capsys.readouterr().err
    assert not list(tmp_path.glob("n_*"))


def test_wrong_input(pair, tmp_path, capsys):
    paths, _ = pair
    pictures.write(Picture(rgb=smooth(0, (40, 40))), tmp_path / "other.png")
    (tmp_path / "broken.png").write_bytes(paths[0].read_bytes()[:100])
    (tmp_path / "text.png").write_text("no picture")
    out = ("-o", tmp_path / "m.png")
    for arguments, message in (
        ((paths[0], tmp_path / "other.png", *out), "differ in size: 56x40 and 40x40"),
        ((paths[0], tmp_path / "broken.png", *out), "broken.png: a damaged picture"),
        ((paths[0], tmp_path / "text.png", *out), "text.png: not a picture"),
        ((paths[0], tmp_path / "none.png", *out), "none.png: there is no such file"),
        ((*paths, *out, "-n", 0), "-n 0: must be at least 1"),
        ((*paths, *out, "-t", "1"), "-t 1: must be between 0 and 1"),
        ((*paths, *out, "-n", 2), "2 pictures need a name with %d"),
        ((*paths, "-o", tmp_path / "100%_%d.png"), "must have exactly one %d"),
        ((*paths, "-o", paths[0], "--overwrite"), "is the input"),
        ((*paths, "-o", tmp_path / "no" / "m.png"), "there is no folder"),
        ((*paths, "-o", tmp_path / "m.bmp"), "the suffix must be one of .png"),
        ((*paths, *out, "--quality", 0), "--quality 0: must be from 1 to 100"),
        ((paths[0].parent, paths[1], *out), "is a folder: give the file of a picture"),
        ((*paths, *out, "--device", "tpu"), "device='tpu': must be"),
    ):
        assert main(["image", *map(str, arguments), "-q"]) == 1
        captured = capsys.readouterr()
        assert message in captured.err
        assert captured.out == ""
        assert not (tmp_path / "m.png").exists()
    assert image(*paths, "-o", tmp_path / "n.png") == 0
    assert image(*paths, "-o", tmp_path / "n.png", "--overwrite") == 0
