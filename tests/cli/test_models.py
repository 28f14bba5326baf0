"""Tests of ``vsifrnet models``."""

import re

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from vsifrnet.cli import main
from vsifrnet.network import CONFIGS, IFRNet
from vsifrnet.weights import cache, registry
from vsifrnet.weights.find import MODELS_FOLDER
from vsifrnet.weights.load import load_weights


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    folder = tmp_path / "cache"
    monkeypatch.setenv("VSIFRNET_CACHE", str(folder))
    return folder


@pytest.fixture(scope="module")
def pth(tmp_path_factory):
    path = tmp_path_factory.mktemp("files") / "mine.pth"
    torch.save(IFRNet(CONFIGS["S"]).state_dict(), path)
    return path


def run(capsys, *arguments):
    code = main(["models", *map(str, arguments)])
    out, err = capsys.readouterr()
    return code, out, err


@pytest.fixture
def official(pth, monkeypatch):
    """A registry in which the file at ``pth`` is published as IFRNet_Test, middle only."""
    file = registry.File(name="IFRNet_Test.pth", digest=cache.digest(pth, "git"))
    model = registry.Model(
        name="IFRNet_Test",
        variant="S",
        training_set="a test",
        honours_t=False,
        licence="MIT",
        sources=(registry.Source(format="pth", origin="example.org", files=(file,)),),
    )
    monkeypatch.setattr(registry, "MODELS", (*registry.MODELS, model))
    return model


def test_list(capsys):
    code, out, err = run(capsys, "list")
    assert (code, err) == (0, "")
    lines = out.splitlines()
    assert len(lines) == 1 + len(registry.MODELS)
    assert re.fullmatch(r"ifrnet_s +S +any +bi(cubic|linear) +.* in the package", lines[1])
    official = r"IFRNet_S_Vimeo90K +S +middle +bilinear +.* not fetched"
    assert any(re.fullmatch(official, line) for line in lines)


def test_info_of_the_packaged_model_prints_the_card(capsys):
    code, out, _ = run(capsys, "info", "ifrnet_s")
    assert code == 0
    card = (MODELS_FOLDER / "ifrnet_s.md").read_text()
    assert out.endswith(card)
    assert cache.digest(MODELS_FOLDER / "ifrnet_s.safetensors", "sha256") in out
    assert "2.80 million parameters" in out


@pytest.mark.parametrize("path", sorted(MODELS_FOLDER.glob("*.safetensors")), ids=lambda p: p.stem)
def test_every_packaged_file_has_a_complete_card(path):
    card = path.with_suffix(".md").read_text()
    assert card.startswith(f"# {path.stem}\n")
    headings = re.findall(r"^## (.*)$", card, re.MULTILINE)
    assert headings == ["Data", "Recipe", "Licence", "Results", "Known weaknesses"]
    parts = re.split(r"^## .*$", card, flags=re.MULTILINE)
    assert all(part.strip() for part in parts)


def test_info_of_a_model_that_is_not_here(capsys):
    code, out, _ = run(capsys, "info", "ifrnet_l_gopro")
    assert code == 0
    assert "not fetched" in out
    assert "c3950bbc16049310c3274dc672b90e30e38eee0f" in out
    code, out, _ = run(capsys, "info", "IFRNet_Vimeo90K")
    assert "Vimeo90K: PSNR 35.80 dB, SSIM 0.9794" in out
    assert "the middle only" in out


def test_info_of_a_file(capsys, pth):
    code, out, _ = run(capsys, "info", pth)
    assert code == 0
    assert f"name         {pth}\n" in out
    assert "variant      S, 2.80 million parameters\n" in out
    assert f"{pth} ({pth.stat().st_size} bytes)" in out


def test_import_converts_and_names(capsys, pth, home):
    code, out, err = run(capsys, "import", pth)
    path = home / "imported" / "mine.safetensors"
    assert (code, out) == (0, f"{path}\n")
    assert "imported as mine, variant S" in err
    expected = torch.load(pth)
    assert all(torch.equal(value, expected[key]) for key, value in load_file(path).items())
    with safe_open(path, "pt") as file:
        assert file.metadata() == {"imported_from": "mine.pth", "sampling": "bilinear"}
    assert load_weights("MINE").path == path
    assert [p.name for p in path.parent.iterdir()] == ["mine.safetensors"]
    assert "mine" in run(capsys, "list")[1]


def test_how_weights_are_sampled_is_shown_and_kept_by_an_import(capsys, pth, home, tmp_path):
    path = tmp_path / "sharp.safetensors"
    save_file(torch.load(pth), path, {"sampling": "bicubic"})
    assert "sampling     bicubic" in run(capsys, "info", path)[1]
    assert "sampling     bilinear" in run(capsys, "info", pth)[1]
    assert run(capsys, "import", path)[0] == 0
    assert load_weights("sharp").sampling == "bicubic"
    (home / "imported" / "broken.safetensors").write_bytes(b"rubbish")
    listed = run(capsys, "list")[1]
    assert re.search(r"(?m)^sharp +bicubic +imported$", listed)
    assert re.search(r"(?m)^broken +damaged$", listed)


def test_import_replaces_only_when_told(capsys, pth, home):
    run(capsys, "import", pth)
    code, _, err = run(capsys, "import", pth, "--name", "Mine")
    assert code == 1
    assert "imported already" in err
    assert run(capsys, "import", pth, "--name", "Mine", "--force")[0] == 0
    assert [p.name for p in (home / "imported").iterdir()] == ["mine.safetensors"]


@pytest.mark.parametrize(
    ("name", "message"),
    [("IFRNET_GoPro", "belongs to a known model"), ("../x", "must consist of letters")],
)
def test_import_refuses_names(capsys, pth, home, name, message):
    code, out, err = run(capsys, "import", pth, "--name", name)
    assert (code, out) == (1, "")
    assert message in err
    assert not home.exists()


def test_import_of_what_is_damaged(capsys, tmp_path, home):
    path = tmp_path / "bad.pth"
    path.write_bytes(b"<html>")
    code, out, err = run(capsys, "import", path)
    assert (code, out) == (1, "")
    assert str(path) in err
    assert "HTML" in err
    assert not home.exists()


def test_import_into_a_folder_that_cannot_be_written(capsys, pth, home):
    home.write_text("a file")
    code, out, err = run(capsys, "import", pth)
    assert (code, out) == (1, "")
    assert "cannot write" in err
    assert "VSIFRNET_CACHE" in err


def test_import_of_an_official_file_is_that_model(capsys, pth, home, official):
    code, out, _ = run(capsys, "import", pth)
    stored = home / "IFRNet_Test" / "IFRNet_Test.pth"
    assert (code, out) == (0, f"{stored}\n")
    assert stored.read_bytes() == pth.read_bytes()
    loaded = load_weights("ifrnet_test")
    assert loaded.info is official
    assert loaded.t_blind
    row = "IFRNet_Test +S +middle +bilinear +a test +in the cache"
    assert re.search(row, run(capsys, "list")[1])


def test_fetch_prints_the_file_and_refuses_unknown_names(capsys):
    code, out, _ = run(capsys, "fetch", "ifrnet_s")
    assert (code, out) == (0, f"{MODELS_FOLDER / 'ifrnet_s.safetensors'}\n")
    code, out, err = run(capsys, "fetch", "ifrnet_xl")
    assert (code, out) == (1, "")
    assert "IFRNet_L_GoPro" in err


def test_fetch_that_fails_says_what_each_address_met(capsys, monkeypatch, official):
    code, out, err = run(capsys, "fetch", "IFRNet_Test")  # it has no address
    assert (code, out) == (1, "")
    assert "cannot fetch model IFRNet_Test" in err


def test_remove(capsys, pth, home, official):
    assert run(capsys, "import", pth, "--name", "Mine")[0] == 0
    assert run(capsys, "import", pth)[0] == 0
    code, out, _ = run(capsys, "remove", "mine", "ifrnet_test")
    assert code == 0
    assert out.split() == [
        str(home / "imported" / "Mine.safetensors"),
        str(home / "IFRNet_Test" / "IFRNet_Test.pth"),
    ]
    assert not any(path.is_file() for path in home.rglob("*"))
    for name, message in (
        ("mine", "there is no such model"),
        ("IFRNet_Test", "is not in the cache"),
        ("ifrnet_s", "is part of the package"),
    ):
        code, out, err = run(capsys, "remove", name)
        assert (code, out) == (1, "")
        assert message in err


def test_remove_deletes_nothing_if_one_name_is_wrong(capsys, pth, home):
    assert run(capsys, "import", pth, "--name", "mine")[0] == 0
    assert run(capsys, "remove", "mine", "unknown")[0] == 1
    assert (home / "imported" / "mine.safetensors").is_file()
