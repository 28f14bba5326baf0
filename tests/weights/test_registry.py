"""The registry is complete and consistent, and right about the packaged file."""

import re
from dataclasses import FrozenInstanceError

import pytest

from vsifrnet.network import CONFIGS
from vsifrnet.weights import cache, registry
from vsifrnet.weights.find import DEFAULT_MODEL, MODELS_FOLDER
from vsifrnet.weights.load import load_weights

OFFICIAL = {
    f"IFRNet{size}_{data}": (variant, data == "GoPro")
    for size, variant in (("", "base"), ("_S", "S"), ("_L", "L"))
    for data in ("Vimeo90K", "GoPro")
}


def test_has_ours_and_the_six_official_models():
    models = {model.name: model for model in registry.MODELS}
    assert set(models) == {"ifrnet_s", *OFFICIAL}
    for name, (variant, honours_t) in OFFICIAL.items():
        assert (models[name].variant, models[name].honours_t) == (variant, honours_t)
        assert [source.format for source in models[name].sources] == ["pth", "ncnn"]


@pytest.mark.parametrize("model", registry.MODELS, ids=lambda model: model.name)
def test_entries_are_complete(model):
    assert model.variant in CONFIGS
    assert model.licence
    assert model.training_set
    for source in model.sources:
        assert source.origin
        for file in source.files:
            kind, _, hexadecimal = file.digest.partition(":")
            assert len(hexadecimal) == {"sha256": 64, "git": 40}[kind]
            assert re.fullmatch("[0-9a-f]+", hexadecimal)
            assert model.packaged or len(file.addresses) >= 2
            for address in file.addresses:
                assert address.startswith("https://")
                assert address.rsplit("/", 1)[1] == file.name
                # Pinned to a commit, not to a branch that can move.
                assert re.search("/[0-9a-f]{40}/", address)


def test_weights_files_have_distinct_digests():
    digests = [
        file.digest
        for model in registry.MODELS
        for source in model.sources
        for file in source.files
        if not file.name.endswith(".param")  # a graph is one per variant
    ]
    assert len(digests) == len(set(digests)) == 13


def test_names_are_found_in_any_case():
    assert registry.find("ifrnet_S_VIMEO90k").name == "IFRNet_S_Vimeo90K"
    assert registry.find("IFRNet_S").name == "ifrnet_s"
    assert registry.find("IFRNet_XL") is None


def test_models_that_honour_t():
    assert registry.honouring_t() == (
        "ifrnet_s",
        "IFRNet_GoPro",
        "IFRNet_S_GoPro",
        "IFRNet_L_GoPro",
    )


def test_entries_cannot_be_changed():
    with pytest.raises(FrozenInstanceError):
        registry.MODELS[0].name = "other"


def test_packaged_files_are_what_the_registry_says():
    packaged = [model for model in registry.MODELS if model.packaged]
    assert [model.name for model in packaged] == [DEFAULT_MODEL]
    for model in packaged:
        (file,) = model.sources[0].files
        path = MODELS_FOLDER / file.name
        assert path.stat().st_size == file.size
        assert cache.digest(path, "sha256") == file.digest
        assert load_weights(model.name).config.name == model.variant
