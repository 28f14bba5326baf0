"""Tests of ``vsifrnet frames``."""

import json
import shutil
from fractions import Fraction

import numpy as np
import pytest
import torch
import vapoursynth as vs
from paths import ROOT
from PIL import Image

from vsifrnet import files, ifrnet
from vsifrnet.cli import main
from vsifrnet.media import folder, pictures, results
from vsifrnet.media.pictures import Picture

SIZE = (32, 48)


def save(path, seed, size=SIZE, depth=8):
    """A smooth picture that moves with the seed."""
    y, x = torch.meshgrid(torch.arange(size[0]), torch.arange(size[1]), indexing="ij")
    waves = [((x + 2 * seed) / (9 + c) + y / 7).sin() * 0.2 + 0.5 for c in range(3)]
    pictures.write(Picture(rgb=torch.stack(waves), depth=depth), path)


@pytest.fixture
def source(tmp_path):
    """Five pictures whose natural order is not that of the alphabet."""
    root = tmp_path / "in"
    root.mkdir()
    for k, number in enumerate((8, 9, 10, 11, 100)):
        save(root / f"f{number}.png", seed=k)
    (root / "notes.txt").write_text("not a picture")
    return root


def frames(*arguments):
    return main(["frames", *map(str, arguments), "--device", "cpu", "--precision", "fp32", "-q"])


def expected(root, multi):
    """What the filter makes of the same pictures, given as a clip made in another way."""
    paths = sorted(root.glob("*.png"), key=pictures.natural)
    clips = []
    for path in paths:
        array = np.asarray(Image.open(path))
        blank = vs.core.std.BlankClip(
            width=SIZE[1], height=SIZE[0], format=vs.RGB24, length=1, keep=True
        )

        def fill(n, f, array=array):
            frame = f.copy()
            for p in range(3):
                np.copyto(np.asarray(frame[p]), array[..., p])
            return frame

        clips.append(blank.std.ModifyFrame(blank, fill))
    clip = ifrnet(vs.core.std.Splice(clips), multi=multi, device="cpu", precision="fp32")
    return [np.stack([np.asarray(frame[p]) for p in range(3)], axis=-1) for frame in clip.frames()]


@pytest.mark.parametrize("multi", ["2", "5/2", "3/4"])
def test_equals_the_filter(multi, source, tmp_path):
    out = tmp_path / "out"
    assert frames(source, out, "--multi", multi) == 0
    made = [np.asarray(Image.open(path)) for path in sorted(out.glob("*.png"))]
    wanted = expected(source, Fraction(multi))
    assert len(made) == len(wanted)
    assert all(np.array_equal(a, b) for a, b in zip(made, wanted, strict=True))


def test_count_and_pattern(source, tmp_path):
    out = tmp_path / "out"
    assert frames(source, out, "-n", 13, "--pattern", "x_%03d.webp", "--quality", 100) == 0
    names = sorted(path.name for path in out.iterdir() if not path.name.startswith("."))
    assert names == [f"x_{n:03d}.webp" for n in range(1, 14)]
    first = np.asarray(Image.open(out / "x_001.webp"))
    assert np.array_equal(first, np.asarray(Image.open(source / "f8.png")))
    # The last picture stays to the end, as in the filter.
    last = (np.asarray(Image.open(out / f"x_{n:03d}.webp")) for n in (12, 13))
    true = np.asarray(Image.open(source / "f100.png"))
    assert all(np.array_equal(picture, true) for picture in last)


def test_source_files_are_copied_where_the_format_stays(source, tmp_path):
    for path in source.glob("*.png"):
        Image.open(path).save(path.with_suffix(".jpg"), quality=60)
        path.unlink()
    out = tmp_path / "out"
    assert frames(source, out, "--pattern", "%d.jpg") == 0
    assert (out / "3.jpg").read_bytes() == (source / "f9.jpg").read_bytes()
    assert (out / "4.jpg").read_bytes() != (source / "f10.jpg").read_bytes()


def test_16_bits_stay(source, tmp_path):
    for k, path in enumerate(sorted(source.glob("*.png"), key=pictures.natural)):
        save(path, seed=k, depth=16)
    assert frames(source, tmp_path / "out") == 0
    made = pictures.read(tmp_path / "out" / "00000002.png")
    assert made.depth == 16
    assert len(made.rgb.unique()) > 256


def contents(out):
    """The pictures in a folder, by name."""
    return {path.name: path.read_bytes() for path in out.glob("[!.]*")}


def networked(monkeypatch):
    """A list that names each picture that is written, and not copied, from here on."""
    written = []
    save = folder.Job._save

    def noted(self, n, *others):
        written.append(self.name(n))
        save(self, n, *others)

    monkeypatch.setattr(folder.Job, "_save", noted)
    return written


def test_goes_on_where_it_stopped(source, tmp_path, monkeypatch, capsys):
    out = tmp_path / "out"
    assert frames(source, out) == 0
    complete = contents(out)
    (out / "00000004.png").unlink()
    (out / "00000007.png").unlink()
    written = networked(monkeypatch)
    assert frames(source, out) == 0
    assert written == ["00000004.png"]  # 7 is a source picture, and copied
    assert contents(out) == complete
    assert frames(source, out, "--scale", 2) == 1
    assert "has results made with scale='auto', not '2.0'" in capsys.readouterr().err
    assert contents(out) == complete


def test_the_same_run_by_another_path_or_device_goes_on(source, tmp_path, monkeypatch):
    out = tmp_path / "out"
    assert frames(source, out) == 0
    written = networked(monkeypatch)
    monkeypatch.chdir(tmp_path)
    shutil.copy(ROOT / "vsifrnet" / "models" / "ifrnet_s.safetensors", "copy.safetensors")
    assert main(["frames", "in", "../" + tmp_path.name + "/out", "--precision", "fp32", "-q"]) == 0
    assert frames("in", "out", "--num-streams", 1, "--model", "copy.safetensors") == 0
    assert written == []


def test_changed_sources_make_changed_results(source, tmp_path, monkeypatch):
    """After any change of the sources, the folder is as if it had been made in one run."""
    monkeypatch.setattr(results, "SURROUNDINGS", 0)
    out = tmp_path / "out"
    assert frames(source, out, "--no-sc") == 0
    written = networked(monkeypatch)

    save(source / "f9.png", seed=7)
    assert frames(source, out, "--no-sc") == 0
    assert written == ["00000002.png", "00000004.png"]

    save(source / "f12.png", seed=4)  # is before f100
    assert frames(source, out, "--no-sc") == 0
    (source / "f8.png").unlink()
    (source / "f10.png").unlink()
    assert frames(source, out, "--no-sc") == 0
    assert frames(source, tmp_path / "fresh", "--no-sc") == 0
    assert contents(out) == contents(tmp_path / "fresh")
    assert len(contents(out)) == 8  # No picture of the time of six sources has stayed.


def test_what_the_command_did_not_write_is_kept(source, tmp_path, capsys):
    out = tmp_path / "out"
    out.mkdir()
    (out / "00000002.png").write_bytes(b"precious")
    (out / "other.png").write_bytes(b"other")
    assert frames(source, out) == 1
    assert "00000002.png was not made by this command" in capsys.readouterr().err
    assert contents(out) == {"00000002.png": b"precious", "other.png": b"other"}
    (out / "00000002.png").unlink()
    assert frames(source, out) == 0
    complete = contents(out)
    (out / "00000003.png").write_bytes(b"retouched")
    assert frames(source, out) == 1
    assert "00000003.png was not made by this command, or was changed" in capsys.readouterr().err
    assert (out / "00000003.png").read_bytes() == b"retouched"
    assert frames(source, out, "--overwrite") == 0
    assert contents(out) == complete


def test_other_settings_leave_nothing_of_the_last_ones(source, tmp_path):
    out = tmp_path / "out"
    assert frames(source, out, "--multi", 3) == 0
    (out / "notes.txt").write_text("mine")
    assert frames(source, out, "--overwrite") == 0
    assert frames(source, tmp_path / "fresh") == 0
    assert contents(out) == contents(tmp_path / "fresh") | {"notes.txt": b"mine"}


def test_results_of_other_pictures_are_not_mixed_in(source, tmp_path, capsys):
    out, other = tmp_path / "out", tmp_path / "other"
    other.mkdir()
    for k in range(5):
        save(other / f"{k}.png", seed=9 + k)
    assert frames(source, out) == 0
    complete = contents(out)
    assert frames(other, out) == 1
    assert "has results made of other pictures" in capsys.readouterr().err
    assert contents(out) == complete


def test_a_result_that_is_a_source_is_never_replaced(source, tmp_path, capsys):
    out = tmp_path / "out"
    out.mkdir()
    (out / "00000004.png").hardlink_to(source / "f9.png")
    before = contents(source)
    assert frames(source, out, "--overwrite") == 1
    assert "is the input" in capsys.readouterr().err
    assert contents(source) == before


def test_records_cannot_name_files_elsewhere(source, tmp_path):
    out, victim = tmp_path / "out", tmp_path / "victim.png"
    assert frames(source, out) == 0
    victim.write_bytes(b"precious")
    stamp = [victim.stat().st_size, victim.stat().st_mtime_ns]
    record = {"name": "../victim.png", "sources": ["f8.png"], "key": "", "stamp": stamp}
    with (out / results.RECORDS).open("a") as file:
        file.write(json.dumps(record) + "\n" + '{"name": "cut off')
    assert frames(source, out, "--overwrite") == 0
    assert victim.read_bytes() == b"precious"


def test_a_second_run_into_the_folder_is_refused(source, tmp_path, capsys):
    with files.exclusive(tmp_path / "out"):
        assert frames(source, tmp_path / "out") == 1
    assert "another run of vsifrnet is writing it" in capsys.readouterr().err
    assert frames(source, tmp_path / "out") == 0


def test_stopped_in_the_middle_leaves_whole_pictures_only(source, tmp_path, monkeypatch):
    out = tmp_path / "out"
    save = folder.Job._save

    def stop(self, n, *others):
        if self.name(n) == "00000004.png":
            raise KeyboardInterrupt
        save(self, n, *others)

    monkeypatch.setattr(folder.Job, "_save", stop)
    assert frames(source, out) == 130
    monkeypatch.undo()
    left = [path for path in out.iterdir() if path.suffix == ".png"]
    assert 0 < len(left) < 10
    assert not any(path.name.startswith(".") for path in left)
    for path in left:
        pictures.read(path)
    assert frames(source, out) == 0
    assert len(list(out.glob("*.png"))) == 10


def test_names_the_picture_that_is_wrong(source, tmp_path, capsys):
    out = tmp_path / "out"
    good = (source / "f10.png").read_bytes()
    (source / "f10.png").write_bytes(good[:300])
    assert frames(source, out) == 1
    message = capsys.readouterr().err
    assert "f10.png: a damaged picture" in message
    assert len(message.splitlines()) == 1  # No traceback.
    (source / "f10.png").write_bytes(b"text")
    assert frames(source, out) == 1
    assert "f10.png: not a picture" in capsys.readouterr().err
    save(source / "f10.png", seed=0, size=(32, 40))
    assert frames(source, out) == 1
    assert "f10.png is 40x32, the pictures before it are 48x32" in capsys.readouterr().err


def test_transparency_is_interpolated(tmp_path, capsys):
    source, out = tmp_path / "in", tmp_path / "out"
    source.mkdir()
    for n in range(3):
        picture = np.zeros((48, 64, 4), np.uint8)
        picture[..., :3] = (0, 255, 0)  # which must not show
        picture[12:36, 8 + 4 * n : 32 + 4 * n] = (200, 60, 90, 255)
        Image.fromarray(picture).save(source / f"{n}.png")
    assert frames(source, out) == 0
    with Image.open(out / "00000002.png") as image:
        made = np.asarray(image).astype(int)
    alpha = made[24, :, 3] > 127
    assert (np.flatnonzero(alpha)[[0, -1]] == [10, 33]).all()
    assert np.abs(made[24, alpha, :3] - (200, 60, 90)).max() < 12
    assert frames(source, tmp_path / "jpg", "--pattern", "%d.jpg") == 1
    assert "JPEG cannot store transparency" in capsys.readouterr().err


def test_pictures_of_one_orientation_come_out(tmp_path):
    source, out = tmp_path / "in", tmp_path / "out"
    source.mkdir()
    exif = Image.Exif()
    exif[0x0112] = 6  # turn clockwise
    for n in range(3):
        picture = np.zeros((32, 48, 3), np.uint8)
        picture[:, 4 * n : 4 * n + 16] = 255
        Image.fromarray(picture).save(source / f"{n}.jpg", exif=exif, quality=95)
    assert frames(source, out, "--pattern", "%d.jpg") == 0
    for n in range(1, 7):
        with Image.open(out / f"{n}.jpg") as image:
            assert image.size == (32, 48)
            assert image.getexif().get(0x0112, 1) == 1
            lit = np.flatnonzero(np.asarray(image.convert("L"))[:, 16] > 127)
            # The first column becomes the first row.
            assert abs(lit[0] - 4 * min((n - 1) / 2, 2)) <= 1.5


@pytest.mark.parametrize("depth", [8, 16])
def test_a_damaged_picture_is_not_copied(depth, source, tmp_path, capsys):
    out, path = tmp_path / "out", source / "f10.png"
    save(path, seed=2, depth=depth)
    good = path.read_bytes()
    path.write_bytes(good[: len(good) // 2])
    assert frames(source, out, "--multi", 1) == 1  # where nothing but copies is made
    assert "f10.png: a damaged picture" in capsys.readouterr().err
    assert not (out / "00000003.png").exists()
    path.write_bytes(good)
    assert frames(source, out, "--multi", 1) == 0
    assert (out / "00000003.png").read_bytes() == good


def test_goes_on_with_the_same_names_and_quality_only(source, tmp_path, capsys):
    out = tmp_path / "out"
    jpeg = ("--pattern", "%d.jpg")
    assert frames(source, out, "--pattern", "wrong.jpg") == 1  # does not claim the folder
    assert frames(source, out, *jpeg) == 0
    capsys.readouterr()
    assert frames(source, out, *jpeg, "--quality", 20) == 1
    assert "has results made with quality='95', not '20'" in capsys.readouterr().err
    assert frames(source, out, "--pattern", "x%d.jpg") == 1
    assert "has results made with pattern='%d.jpg', not 'x%d.jpg'" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["-n", "0"], "-n 0: must be at least 1"),
        (["-n", "4", "--multi", "3"], "-n 4 and --multi 3: give one of the two"),
        (["--pattern", "same.png"], "must be a name with one %d"),
        (["--pattern", "%d.bmp"], "one of .png, .jpg"),
        (["--quality", "101"], "--quality 101: must be from 1 to 100"),
        (["--savers", "0"], "--savers 0: must be at least 1"),
        (["--sc-threshold", "2"], "sc_threshold=2.0: "),
    ],
)
def test_wrong_options(options, message, source, tmp_path, capsys):
    assert frames(source, tmp_path / "out", *options) == 1
    assert message in capsys.readouterr().err


def test_wrong_folders(source, tmp_path, capsys):
    assert frames(tmp_path / "nothing", tmp_path / "out") == 1
    assert "there is no such folder" in capsys.readouterr().err
    assert frames(source, source, "--overwrite") == 1
    assert "the pictures that are made need another folder" in capsys.readouterr().err
    for path in list(source.glob("*.png"))[1:]:
        path.unlink()
    assert frames(source, tmp_path / "out") == 1
    assert "1 pictures (.png, .jpg" in capsys.readouterr().err


def test_reads_ahead_but_not_more_than_asked(source):
    scanned = folder.scan(source)
    with folder.open_clip(scanned, loaders=1) as clip:
        for n in (4, 0, 2, 2):
            frame = clip.get_frame(n)
            array = np.asarray(Image.open(scanned.paths[n]))
            assert np.array_equal(np.asarray(frame[0]), array[..., 0])


@pytest.mark.parametrize(
    ("numbers", "said"),
    [
        ((1, 2, 5, 6), "between 2 and 5: they"),
        ((1, 2, 5, 6, 9), "between 2 and 5, and at 1 more places"),
        ((10, 20, 30, 50), "between 30 and 50: they"),
        ((0, 10, 20, 30), None),
        ((8, 9, 10, 11), None),
    ],
)
def test_says_where_numbers_are_missing(numbers, said, tmp_path, caplog):
    for number in numbers:
        save(tmp_path / f"f{number}.png", seed=0)
    folder.scan(tmp_path)
    assert ("no picture has a number" in caplog.text) == bool(said)
    assert said is None or said in caplog.text
