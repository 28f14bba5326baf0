"""The commands' options: one vocabulary with the filter's arguments."""

import inspect
from fractions import Fraction

import pytest
from conftest import moving
from paths import ROOT

from vsifrnet import argument_table, ifrnet
from vsifrnet.argument_table import ARGUMENTS
from vsifrnet.cli import COMMANDS, build_parser, main, options
from vsifrnet.engine import backend

PATHS = {
    "image": ["a.png", "b.png", "-o", "c.png"],
    "frames": ["in", "out"],
    "video": ["in.mkv", "out.mkv"],
}


def test_the_table_is_the_filters_signature():
    parameters = dict(inspect.signature(ifrnet).parameters)
    del parameters["clip"]
    assert list(ARGUMENTS) == list(parameters)
    for name, argument in ARGUMENTS.items():
        assert argument.default == parameters[name].default, name
        assert type(argument.default) is type(parameters[name].default), name


def test_the_tables_choices_are_all_that_the_filter_takes():
    assert ("auto", *backend.DTYPES) == argument_table.PRECISIONS
    for name, argument in ARGUMENTS.items():
        for choice in argument.choices or ():
            if choice != "bf16":  # no hardware has to support it
                assert ifrnet(moving(3), **{name: choice}).num_frames == 6


def test_the_readmes_table_says_the_same():
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    rows = {}
    for line in readme.splitlines():
        names, *cells = (cell.strip() for cell in line.strip("|").split(" | "))
        if names.startswith("`") and len(cells) == 3:
            rows |= dict.fromkeys(names.replace("`", "").split(", "), cells)
    for name, parameter in inspect.signature(ifrnet).parameters.items():
        if name == "clip":
            continue
        type, default, text = rows[name]
        argument = ARGUMENTS[name]
        assert (type, text.replace("`", "")) == (argument.type, argument.text), name
        if name not in ("fps_num", "fps_den"):  # share a row
            assert default.replace('"', "'") == repr(parameter.default), name


@pytest.mark.parametrize("command", PATHS)
def test_defaults_are_the_filters(command):
    parsed = vars(build_parser().parse_args([command, *PATHS[command]]))
    parameters = inspect.signature(ifrnet).parameters
    shared = set(parsed) & set(parameters)
    assert shared >= set(options.ENGINE)
    assert all(parsed[name] == parameters[name].default for name in shared)


def test_options_are_read_as_the_filters_types():
    text = "video in out --multi 5/2 --scale 0.5 --no-sc --sc-mode blend --device 1 --matrix 709"
    parsed = build_parser().parse_args([*text.split(), "--ensemble", "--num-streams", "3"])
    assert (parsed.multi, parsed.scale, parsed.sc) == (Fraction(5, 2), 0.5, False)
    assert (parsed.sc_mode, parsed.device, parsed.matrix) == ("blend", 1, "709")
    assert (parsed.ensemble, parsed.num_streams) == (True, 3)
    assert build_parser().parse_args([*text.split(), "--matrix", "10"]).matrix == 10


@pytest.mark.parametrize(
    ("text", "rate"),
    [
        ("60", Fraction(60)),
        ("60000/1001", Fraction(60000, 1001)),
        ("59.94", Fraction(60000, 1001)),
        ("23.98", Fraction(24000, 1001)),
        ("24.00", Fraction(24)),
        ("23.976", Fraction(24000, 1001)),
        ("23.97", Fraction(2397, 100)),
        ("119.88", Fraction(120000, 1001)),
        ("12.5", Fraction(25, 2)),
        ("60.0", Fraction(60)),
    ],
)
def test_rates(text, rate):
    assert options.rate(text) == rate


@pytest.mark.parametrize("command", COMMANDS)
def test_help(command, capsys):
    with pytest.raises(SystemExit, match="0"):
        main([command, "--help"])
    assert f"usage: vsifrnet {command}" in capsys.readouterr().out


@pytest.mark.parametrize("command", [*PATHS, "bench accuracy", "bench clips"])
def test_help_has_an_example(command, capsys):
    with pytest.raises(SystemExit, match="0"):
        main([*command.split(), "--help"])
    assert f"example:\n  vsifrnet {command} " in capsys.readouterr().out


@pytest.mark.parametrize(
    "wrong",
    [["--multi", "0"], ["--multi", "x"], ["--scale", "3"], ["--sc-mode", "cut"], ["--unknown"]],
)
def test_wrong_usage(wrong, capsys):
    with pytest.raises(SystemExit, match="2"):
        main(["video", "in.mkv", "out.mkv", *wrong])
    captured = capsys.readouterr()
    assert "error: " in captured.err
    assert captured.out == ""


@pytest.mark.parametrize("option", ["--frames", "--runs"])
def test_bench_speed_measures_at_least_one(option, capsys):
    assert main(["bench", "speed", "--device", "cpu", "--against", "", "-q", option, "0"]) == 1
    assert capsys.readouterr().err == f"vsifrnet bench: {option} 0: must be at least 1\n"


@pytest.mark.parametrize("shell", ["bash", "zsh"])
def test_completion(shell, capsys):
    with pytest.raises(SystemExit, match="0"):
        main(["--print-completion", shell])
    script = capsys.readouterr().out
    assert "--sc-threshold" in script
    assert "snu-film-extreme" in script
