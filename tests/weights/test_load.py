"""Right weights load exactly; damaged or hostile files are refused by name."""

import io
import os
import pickle
import zipfile
from collections import OrderedDict
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from vsifrnet.errors import WeightsError
from vsifrnet.network import CONFIGS, IFRNet
from vsifrnet.weights import cache, registry
from vsifrnet.weights.find import DEFAULT_MODEL, MODELS_FOLDER, model_names
from vsifrnet.weights.load import load_weights


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    folder = tmp_path / "cache"
    monkeypatch.setenv("VSIFRNET_CACHE", str(folder))
    return folder


@pytest.fixture(scope="session")
def state():
    """A good state dict of the smallest variant."""
    torch.manual_seed(0)
    return IFRNet(CONFIGS["S"]).state_dict()


def save(state, path: Path) -> Path:
    torch.save(state, path)
    return path


def assert_equal(loaded, state):
    assert list(loaded) == list(state)
    for key, tensor in state.items():
        assert torch.equal(loaded[key], tensor), key


# What loads


@pytest.mark.parametrize("variant", ["S", "base", "L"])
def test_variant_is_recognised_from_the_weights(tmp_path, variant):
    state = IFRNet(CONFIGS[variant]).state_dict()
    loaded = load_weights(save(state, tmp_path / "any.pth"))
    assert loaded.config is CONFIGS[variant]
    assert not loaded.t_blind
    assert loaded.info is None
    assert_equal(loaded.state, state)
    assert_equal(loaded.build().state_dict(), state)


def test_formats_load_equally(tmp_path, state):
    save_file(state, tmp_path / "a.safetensors")
    torch.save(OrderedDict(state), tmp_path / "a.pth")
    torch.save(state, tmp_path / "a.pt", _use_new_zipfile_serialization=False)
    parameters = {key: torch.nn.Parameter(value) for key, value in state.items()}
    torch.save(parameters, tmp_path / "a.pkl")
    for suffix in ("safetensors", "pth", "pt", "pkl"):
        loaded = load_weights(str(tmp_path / f"a.{suffix}"))
        assert_equal(loaded.state, state)
        assert loaded.name == str(tmp_path / f"a.{suffix}")


def test_ddp_prefix_is_taken_off(tmp_path, state):
    prefixed = {f"module.{key}": value for key, value in state.items()}
    assert_equal(load_weights(save(prefixed, tmp_path / "ddp.pth")).state, state)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_other_floats_become_float32(tmp_path, state, dtype):
    other = {key: value.to(dtype) for key, value in state.items()}
    loaded = load_weights(save(other, tmp_path / "a.pth")).state
    assert_equal(loaded, {key: value.float() for key, value in other.items()})
    assert {value.dtype for value in loaded.values()} == {torch.float32}


def test_the_default_model_is_packaged():
    loaded = load_weights()
    assert loaded.name == DEFAULT_MODEL
    assert loaded.info is registry.find(DEFAULT_MODEL)
    assert loaded.path.parent == MODELS_FOLDER
    assert not loaded.t_blind


def test_built_network_shares_nothing_and_draws_no_random_numbers(tmp_path, state):
    loaded = load_weights(save(state, tmp_path / "a.pth"))
    before = torch.get_rng_state()
    network = loaded.build()
    assert torch.equal(before, torch.get_rng_state())
    assert not network.training
    assert not any(p.requires_grad for p in network.parameters())
    next(network.parameters()).zero_()
    assert_equal(loaded.build().state_dict(), state)


# t


def test_zero_t_channel_is_t_blind(tmp_path, state):
    blind = {key: value.clone() for key, value in state.items()}
    blind["decoder4.convblock.0.0.weight"][:, -1] = 0
    loaded = load_weights(save(blind, tmp_path / "blind.pth"))
    assert loaded.t_blind
    for name in ("ifrnet_s", "IFRNet_GoPro", "IFRNet_S_GoPro", "IFRNet_L_GoPro"):
        assert name in loaded.t_blind_reason
    assert "2, 4, 8 or 16" in loaded.t_blind_reason
    network, pair = loaded.build(), torch.rand(2, 3, 32, 32)
    made = [network(pair[:1], pair[1:], torch.tensor([t])) for t in (0.25, 0.5)]
    assert torch.equal(*made)


def test_t_channel_that_has_decayed_to_next_to_nothing_is_t_blind(tmp_path, state):
    blind = {key: value.clone() for key, value in state.items()}
    blind["decoder4.convblock.0.0.weight"][:, -1] *= 1e-6
    assert load_weights(save(blind, tmp_path / "blind.pth")).t_blind


def test_registry_overrules_weights_that_seem_to_honour_t(tmp_path, state, monkeypatch):
    path = save(state, tmp_path / "renamed.pth")
    info = registry.find("IFRNet_S_Vimeo90K")
    monkeypatch.setattr(cache, "identify", lambda _: info)
    loaded = load_weights(path)
    assert loaded.t_blind
    assert loaded.name == "IFRNet_S_Vimeo90K"


# Names and paths


def test_unknown_names_are_answered_with_the_known_ones():
    with pytest.raises(WeightsError, match=r"did you mean IFRNet_S_Vimeo90K\?") as caught:
        load_weights("IFRNet_S_Vimeo90")
    for model in registry.MODELS:
        assert model.name in str(caught.value)


def test_missing_model_names_the_command():
    with pytest.raises(WeightsError, match=r"vsifrnet models fetch IFRNet_S_GoPro"):
        load_weights("ifrnet_s_gopro")


def test_damaged_file_in_the_cache_is_named_and_not_loaded(home, state):
    folder = home / "IFRNet_S_GoPro"
    folder.mkdir(parents=True)
    path = save(state, folder / "IFRNet_S_GoPro.pth")
    with pytest.raises(WeightsError, match=r"damaged.*vsifrnet models fetch") as caught:
        load_weights("IFRNet_S_GoPro")
    assert str(path) in str(caught.value)


def test_imported_models_have_names(home, state):
    (home / "imported").mkdir(parents=True)
    save_file(state, home / "imported" / "Mine.safetensors")
    assert "Mine" in model_names()
    assert load_weights("mine").name == "Mine"


def test_a_name_is_a_name_even_where_a_folder_has_it(tmp_path, monkeypatch):
    (tmp_path / "ifrnet_s").mkdir()
    monkeypatch.chdir(tmp_path)
    assert load_weights("ifrnet_s").info is not None
    with pytest.raises(WeightsError, match=r"folder without ifrnet\.param"):
        load_weights("./ifrnet_s")


# What is refused


class Bomb:
    """Writes a file when it is unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.system, (f"touch {self.path}",)


class Builtin:
    def __reduce__(self):
        return eval, ("1",)


def pickled(value):
    return pickle.dumps(value, protocol=2)


def without(state, *keys):
    return {key: value for key, value in state.items() if key not in keys}


def zip_with(name: str, content: bytes, compression=zipfile.ZIP_STORED) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", compression) as archive:
        archive.writestr(f"archive/{name}", content)
        archive.writestr("archive/version", "3")
        archive.writestr("archive/byteorder", "little")
    return out.getvalue()


BAD_FILES = {
    "empty": (b"", "is empty"),
    "page": (b"\n<!DOCTYPE html><html><head>", "an HTML page"),
    "lfs": (b"version https://git-lfs.github.com/spec/v1\noid sha256:0", "Git LFS pointer"),
    "text": (b"hello world\n" * 100, "not an intact"),
    "noise": (bytes(range(7, 256)) * 100, "not an intact"),
}


@pytest.mark.parametrize("suffix", ["pth", "pt", "pkl", "safetensors"])
@pytest.mark.parametrize("kind", BAD_FILES)
def test_files_that_are_no_weights(tmp_path, kind, suffix):
    content, message = BAD_FILES[kind]
    path = tmp_path / f"a.{suffix}"
    path.write_bytes(content)
    with pytest.raises(WeightsError, match=message) as caught:
        load_weights(path)
    assert str(path) in str(caught.value)


@pytest.mark.parametrize("legacy", [False, True])
def test_pickle_that_runs_code_is_refused_and_does_not_run(tmp_path, state, legacy):
    mark, path = tmp_path / "ran", tmp_path / "a.pth"
    hostile = dict(state) | {"encoder.pyramid1.0.0.bias": Bomb(mark)}
    torch.save(hostile, path, _use_new_zipfile_serialization=not legacy)
    with pytest.raises(WeightsError, match=r"calls \w+\.system.*can run code"):
        load_weights(path)
    assert not mark.exists()
    torch.load(path, weights_only=False)  # the file does what the test says it does
    assert mark.exists()


def test_bare_pickle_that_runs_code_is_refused_and_does_not_run(tmp_path):
    mark, path = tmp_path / "ran", tmp_path / "a.pkl"
    path.write_bytes(pickled(Bomb(mark)))
    with pytest.raises(WeightsError):
        load_weights(path)
    assert not mark.exists()


@pytest.mark.parametrize("kind", ["call", "builtin", "class", "noise"])
def test_messages_do_not_recommend_unsafe_loading(tmp_path, kind):
    path = tmp_path / "a.pth"
    values = {"call": Bomb("/nonexistent"), "builtin": Builtin(), "class": torch.nn.Linear(1, 1)}
    if kind == "noise":
        path.write_bytes(b"\x89PNG" + bytes(100))
    else:
        torch.save({"a": values[kind]}, path)
    with pytest.raises(WeightsError) as caught:
        load_weights(path)
    for advice in ("weights_only", "allowlist", "safe_globals", "trust"):
        assert advice not in str(caught.value)
    assert kind == "noise" or "can run code" in str(caught.value)


@pytest.mark.parametrize("suffix", ["pth", "pt", "safetensors"])
@pytest.mark.parametrize("kept", [0.01, 0.5, 0.999])
def test_truncated_files(tmp_path, state, suffix, kept):
    path = tmp_path / f"a.{suffix}"
    if suffix == "safetensors":
        save_file(state, path)
    else:
        torch.save(state, path, _use_new_zipfile_serialization=suffix == "pth")
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * kept)])
    with pytest.raises(WeightsError, match="not an intact"):
        load_weights(path)


def test_flipped_bit_in_an_archive(tmp_path, state):
    path = save(state, tmp_path / "a.pth")
    content = bytearray(path.read_bytes())
    at = content.index(state["decoder1.convblock.2.weight"].numpy().tobytes())
    content[at + 100] ^= 1
    path.write_bytes(content)
    torch.load(path)  # does not see it
    with pytest.raises(WeightsError, match=r"the checksum of .* is wrong"):
        load_weights(path)


def test_damaged_directory_of_an_archive(tmp_path, state):
    path = save(state, tmp_path / "a.pth")
    content = path.read_bytes()
    path.write_bytes(content[:-1000] + bytes(10) + content[-990:])
    with pytest.raises(WeightsError, match="not an intact PyTorch file"):
        load_weights(path)


@pytest.mark.parametrize("legacy", [False, True])
def test_storage_that_claims_to_be_huge(tmp_path, legacy):
    """A pickle that says that 300 numbers are 2**40."""
    out = io.BytesIO()
    value = {"encoder.pyramid1.0.0.bias": torch.zeros(300)}
    torch.save(value, out, _use_new_zipfile_serialization=not legacy)
    small, large = b"M" + (300).to_bytes(2, "little"), b"\x8a\x06" + (1 << 40).to_bytes(6, "little")
    path = tmp_path / "a.pth"
    if legacy:
        content = out.getvalue()
        assert small in content
        path.write_bytes(content.replace(small, large))
    else:
        with zipfile.ZipFile(out) as old, zipfile.ZipFile(path, "w") as new:
            for member in old.infolist():
                new.writestr(member.filename, old.read(member).replace(small, large))
    with pytest.raises(WeightsError, match="not an intact PyTorch file"):
        load_weights(path)


def test_zip_bomb(tmp_path):
    path = tmp_path / "a.pth"
    path.write_bytes(zip_with("data.pkl", bytes(64 << 20), zipfile.ZIP_DEFLATED))
    assert path.stat().st_size < 1 << 20
    with pytest.raises(WeightsError, match="compressed archive"):
        load_weights(path)


def test_huge_file(tmp_path):
    for suffix in ("pth", "safetensors"):
        path = tmp_path / f"a.{suffix}"
        with path.open("wb") as stream:
            stream.truncate(10 << 30)  # sparse
        with pytest.raises(WeightsError, match="bytes long"):
            load_weights(path)


def test_tensor_that_claims_to_be_huge(tmp_path, state):
    key = "encoder.pyramid1.0.0.bias"
    huge = dict(state) | {key: torch.zeros(1).expand(1 << 40)}
    with pytest.raises(WeightsError, match=r"has shape \(1099511627776,\)"):
        load_weights(save(huge, tmp_path / "a.pth"))


def test_folder(tmp_path):
    with pytest.raises(WeightsError, match=r"folder without ifrnet\.param"):
        load_weights(tmp_path)


@pytest.mark.parametrize("model", [5, b"ifrnet_s", ["ifrnet_s"]])
def test_values_that_are_no_name_or_path(model):
    with pytest.raises(WeightsError, match="must be None, a name or a path"):
        load_weights(model)


@pytest.mark.parametrize(
    "model", ["a" * 5000, Path("a" * 5000), "a\0.pth", "~nobody-here/a.pth", ""]
)
def test_texts_that_no_file_can_have(model):
    with pytest.raises(WeightsError):
        load_weights(model)


def test_special_files_do_not_hang(tmp_path):
    os.mkfifo(tmp_path / "fifo.pth")
    (tmp_path / "zero.pth").symlink_to("/dev/zero")
    (tmp_path / "loop.pth").symlink_to(tmp_path / "loop.pth")
    for name in ("fifo.pth", "zero.pth", "loop.pth"):
        with pytest.raises(WeightsError):
            load_weights(tmp_path / name)


def test_missing_file(tmp_path):
    with pytest.raises(WeightsError, match="there is no such file"):
        load_weights(tmp_path / "nothing.pth")


def test_unknown_suffix(tmp_path):
    path = tmp_path / "a.onnx"
    path.write_bytes(b"onnx")
    with pytest.raises(WeightsError, match=r"unknown suffix; it must be one of \.safetensors"):
        load_weights(path)


@pytest.mark.parametrize("value", [[1, 2], torch.zeros(3), "text"], ids=["list", "tensor", "text"])
def test_files_without_a_state_dict(tmp_path, value):
    with pytest.raises(WeightsError, match="not a state dict"):
        load_weights(save(value, tmp_path / "a.pth"))


KEY = "decoder1.convblock.0.0.weight"


def altered(state, alter):
    value = state[KEY].clone()
    return dict(state) | {KEY: alter(value)}


def put(value, number):
    value[0, 0, 0, 0] = number
    return value


STATE_CASES = {
    "missing": (lambda s: without(s, KEY), f"missing keys {KEY}"),
    "extra": (lambda s: dict(s) | {"decoder5.weight": torch.ones(1)}, "unknown keys decoder5"),
    "empty": (lambda _: {}, "missing keys encoder"),
    "training checkpoint": (lambda s: {"model": dict(s), "step": 3}, "unknown keys model, step"),
    "half prefixed": (
        lambda s: {("module." + k if i % 2 else k): v for i, (k, v) in enumerate(s.items())},
        "unknown keys module.",
    ),
    "number as key": (lambda s: dict(s) | {1: torch.ones(1)}, "unknown keys 1"),
    "shape": (lambda s: altered(s, lambda w: w[:, :-1]), f"{KEY} has shape"),
    "swapped axes": (lambda s: altered(s, lambda w: w.transpose(2, 3)[..., :2]), "has shape"),
    "first convolution": (
        lambda s: dict(s) | {"encoder.pyramid1.0.0.weight": torch.ones(24, 3, 7, 7)},
        "known variants are S",
    ),
    "other variant's tensor": (
        lambda s: altered(s, lambda _: IFRNet(CONFIGS["base"]).state_dict()[KEY]),
        "variant S has",
    ),
    "NaN": (lambda s: altered(s, lambda w: put(w, float("nan"))), f"NaN or infinite.*{KEY}"),
    "infinity": (lambda s: altered(s, lambda w: put(w, float("inf"))), f"NaN or infinite.*{KEY}"),
    "overflow": (
        lambda s: altered(s, lambda w: put(w.double(), 1e300)),
        f"NaN or infinite.*{KEY}",
    ),
    "zeros": (lambda s: altered(s, torch.zeros_like), f"all weights are zero in {KEY}"),
    "integers": (lambda s: altered(s, lambda w: w.int()), f"{KEY} is torch.int32"),
    "complex": (lambda s: altered(s, lambda w: w.to(torch.complex64)), f"{KEY} is torch.complex64"),
    "float8": (lambda s: altered(s, lambda w: w.to(torch.float8_e5m2)), "float8"),
    "sparse": (lambda s: altered(s, lambda w: w.to_sparse()), "sparse"),
    "meta": (lambda s: altered(s, lambda w: w.to("meta")), "expected plain floats"),
    "no tensor": (lambda s: altered(s, lambda w: w.tolist()), f"{KEY} is a list"),
}


@pytest.mark.filterwarnings("ignore:Validating sparse tensor invariants")
@pytest.mark.parametrize("case", STATE_CASES)
def test_state_dicts_that_are_not_ifrnet(tmp_path, state, case):
    make, message = STATE_CASES[case]
    with pytest.raises(WeightsError, match=message):
        load_weights(save(make(state), tmp_path / "a.pth"))
