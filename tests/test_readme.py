"""The README's table of arguments against the signature and the table that help is made from."""

from __future__ import annotations

import inspect
import re

from paths import ROOT

from vsifrnet import ifrnet
from vsifrnet.argument_table import ARGUMENTS


def test_argument_table_is_the_signature() -> None:
    readme = (ROOT / "README.md").read_text()
    rows = re.findall(r"^\| (`\w+`(?:, `\w+`)*) \| [^|]* \| ([^|]*) \|", readme, re.MULTILINE)
    told: dict[str, str] = {}
    for names, defaults in rows:
        split = defaults.strip().split(", ")
        arguments = re.findall(r"`(\w+)`", names)
        if len(split) != len(arguments):
            split = [defaults.strip()]
        told |= dict(zip(arguments, split, strict=True))
    parameters = inspect.signature(ifrnet).parameters
    assert set(parameters) - {"clip"} <= set(told)
    for name, parameter in parameters.items():
        if name == "clip":
            continue
        if name == "fps_den":  # None stands for 1 where there is a fps_num
            assert told[name] == "1"
            continue
        assert told[name].strip().strip('"') == str(parameter.default), name


def test_argument_table_has_the_words_of_help() -> None:
    readme = (ROOT / "README.md").read_text()
    rows = re.findall(r"^\| `(\w+)` \| ([^|]*) \| [^|]* \| ([^|]*) \|", readme, re.MULTILINE)
    told = {name: (kind, text.replace("`", "")) for name, kind, text in rows}
    for name, argument in ARGUMENTS.items():
        if name in told:
            assert told[name] == (argument.type, argument.text)


def test_links_lead_somewhere() -> None:
    for page in (ROOT / "README.md", *(ROOT / "docs").glob("*.md")):
        for link in re.findall(r"\]\(([^)#:]+)\)", page.read_text()):
            assert (page.parent / link).exists(), (page.name, link)
