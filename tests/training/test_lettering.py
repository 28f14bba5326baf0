"""Tests of lettering and patterns in the synthetic motion, with fonts made by the tests."""

from pathlib import Path

import cv2
import numpy as np
import pytest
from fontTools.fontBuilder import FontBuilder
from fontTools.pens.ttGlyphPen import TTGlyphPen
from training_data import make_assets

from vsifrnet.cli import main
from vsifrnet.errors import DataError
from vsifrnet.training.data import lettering, patterns, synthetic
from vsifrnet.training.data.assets import Assets
from vsifrnet.training.data.lettering import Fonts
from vsifrnet.training.data.synthetic import WIDE_PACES, LayeredMotion

LATIN = "".join(map(chr, range(33, 127)))
JAPANESE = "".join(sorted(set(lettering.CHARACTERS)))


def write_font(path: Path, letters: str, *, same: bool = False) -> None:
    """A font whose letters are bars of different heights, or all the same bar."""
    glyphs, cmap = {".notdef": box(500, 500), "space": box(0, 0)}, {32: "space"}
    for number, letter in enumerate(letters):
        name = f"g{number}"
        glyphs[name] = box(400, 300 if same else 300 + 5 * number)
        cmap[ord(letter)] = name
    builder = FontBuilder(1000, isTTF=True)
    builder.setupGlyphOrder(list(glyphs))
    builder.setupCharacterMap(cmap)
    builder.setupGlyf(glyphs)
    builder.setupHorizontalMetrics(dict.fromkeys(glyphs, (600, 50)))
    builder.setupHorizontalHeader(ascent=800, descent=-200)
    builder.setupNameTable({"familyName": path.stem, "styleName": "Regular"})
    builder.setupOS2()
    builder.setupPost()
    path.parent.mkdir(parents=True, exist_ok=True)
    builder.save(path)


def box(width: int, height: int):
    pen = TTGlyphPen(None)
    pen.moveTo((50, 0))
    for point in ((50, height), (50 + width, height), (50 + width, 0)):
        pen.lineTo(point)
    pen.closePath()
    return pen.glyph()


@pytest.fixture(scope="module")
def fonts_folder(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("fonts")
    write_font(folder / "latin.ttf", LATIN)
    write_font(folder / "sub" / "kana.TTF", JAPANESE)
    write_font(folder / "symbols.ttf", LATIN, same=True)
    return folder


@pytest.fixture(scope="module")
def assets(tmp_path_factory) -> Assets:
    return Assets(make_assets(tmp_path_factory.mktemp("assets")))


def test_fonts_are_used_for_the_letters_that_they_have(fonts_folder):
    fonts, rng = Fonts(fonts_folder), np.random.default_rng(0)
    drawn = {
        (Path(font.path).name, japanese)
        for font, japanese in (fonts.draw(20, rng) for _ in range(40))
    }
    assert drawn == {("latin.ttf", False), ("kana.TTF", True)}


def test_folders_without_fonts_and_broken_fonts_are_named(tmp_path, fonts_folder):
    with pytest.raises(DataError, match=r"no fonts in .*expected \.otf, \.ttc, \.ttf"):
        Fonts(tmp_path)
    (tmp_path / "broken.ttf").write_bytes((fonts_folder / "latin.ttf").read_bytes()[:100])
    with pytest.raises(DataError, match=r"cannot read the font .*broken\.ttf"):
        Fonts(tmp_path)


def test_a_page_has_lines_of_text(fonts_folder):
    fonts, rng = Fonts(fonts_folder), np.random.default_rng(1)
    covered = []
    for _ in range(20):
        mask = lettering.page(200, 150, fonts, rng)
        assert mask.shape == (150, 200)
        covered.append(mask.mean() / 255)
        rows = mask.max(axis=1) > 0
        assert rows.any()
    assert 0.02 < np.median(covered) < 0.5


@pytest.mark.parametrize("kind", patterns.KINDS)
def test_patterns_repeat(kind):
    for seed in range(5):
        mask = patterns.pattern(256, 240, np.random.default_rng(seed), kind).astype(np.float32)
        assert mask.min() < 60
        assert mask.max() > 195
        # Somewhere within 60 pixels the pattern is its own shift again.
        off = [np.abs(mask[:, shift:] - mask[:, :-shift]).mean() for shift in range(4, 100)]
        assert min(off) < 0.35 * max(off)


def test_ink_covers_the_ground_by_the_mask():
    mask = np.array([[0, 255, 128]], np.uint8)
    made = lettering.inked(mask, np.uint8([10, 20, 30]), np.uint8([210, 120, 30]))
    assert made[0].tolist() == [[10, 20, 30], [210, 120, 30], [110, 70, 30]]


def test_a_sample_depends_on_seed_and_index_alone(assets, fonts_folder):
    first, again = (
        LayeredMotion(assets, size=64, seed=3, clean=True, fonts=Fonts(fonts_folder))
        for _ in range(2)
    )
    again.sample(0)  # the order of asking must not matter
    for index in (17, 5, 11):
        a, b = first.sample(index), again.sample(index)
        assert a.t == b.t
        for name in ("img0", "imgt", "img1", "flow"):
            assert np.array_equal(getattr(a, name), getattr(b, name))


def test_pages_and_overlays_move_exactly(assets, fonts_folder, monkeypatch):
    """With structure in every scene, flow still carries the outer pictures to the middle."""
    monkeypatch.setattr(synthetic, "STRUCTURE", 1.0)
    fonts = Fonts(fonts_folder)
    moved, better = 0, []
    for index in range(16):
        data = LayeredMotion(assets, size=96, seed=2, t=0.5, clean=True, pace="slow", fonts=fonts)
        sample = data.sample(index)
        y, x = np.mgrid[0:96, 0:96].astype(np.float32)
        warped = cv2.remap(
            sample.img0, x + sample.flow[..., 0], y + sample.flow[..., 1], cv2.INTER_LINEAR
        )
        inner = np.s_[12:-12, 12:-12]
        target = sample.imgt[inner].astype(int)
        moved += np.abs(sample.flow[inner]).max() > 0.3
        still = np.abs(sample.img0[inner] - target).mean()
        better.append(np.abs(warped[inner] - target).mean() < 0.8 * still or still < 1)
    assert moved >= 14
    assert sum(better) >= 13


def test_still_scenes_do_not_move_and_cameras_go_further(assets, fonts_folder, monkeypatch):
    monkeypatch.setattr(synthetic, "STRUCTURE", 1.0)
    fonts, longest = Fonts(fonts_folder), {}
    for pace in ("still", "fast"):
        data = LayeredMotion(assets, size=64, seed=1, t=0.5, clean=True, pace=pace, fonts=fonts)
        longest[pace] = max(float(np.abs(data.sample(i).flow).max()) for i in range(12))
    assert longest["still"] < 1e-3
    assert longest["fast"] > 0.15 * 64
    assert WIDE_PACES["fast"][2] > 1 / 3


def test_the_command_line(tmp_path, fonts_folder, capsys):
    assets = make_assets(tmp_path / "assets")
    out = ["train", "--overwrite", "--out", str(tmp_path / "run")]
    out += ["--preview", str(tmp_path / "sheet.png")]
    given = [*out, "--assets", str(assets), "--crop", "32"]
    assert main([*given, "--fonts", str(fonts_folder)]) == 0
    assert (tmp_path / "sheet.png").stat().st_size > 1000
    assert main([*given, "--fonts", str(tmp_path / "none")]) == 1
    assert "no fonts in" in capsys.readouterr().err
    assert main([*out, "--sequences", str(assets), "--fonts", str(fonts_folder)]) == 1
    assert "give --assets as well" in capsys.readouterr().err
