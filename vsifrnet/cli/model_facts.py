"""What ``vsifrnet models info`` tells about a model, as pairs of a name and a value."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from vsifrnet.weights.load import Weights
    from vsifrnet.weights.registry import Model

__all__ = ["of_file", "of_registry", "table"]


def of_file(loaded: Weights) -> list[tuple[str, str]]:
    """List the facts that the file itself tells."""
    from vsifrnet.weights import cache

    files = [loaded.path]
    if loaded.path.suffix.lower() in (".param", ".bin"):
        files = [loaded.path.with_suffix(suffix) for suffix in (".param", ".bin")]
    parameters = sum(tensor.numel() for tensor in loaded.state.values())
    facts = [
        ("variant", f"{loaded.config.name}, {parameters / 1e6:.2f} million parameters"),
        ("times", _times(not loaded.t_blind)),
        ("sampling", f"{loaded.sampling}, of the pictures in the last blend"),
    ]
    for file in files:
        facts.append(("file", f"{file} ({file.stat().st_size} bytes)"))
        facts += [("", cache.digest(file, kind)) for kind in ("sha256", "git")]
    return facts


def _times(honours_t: bool) -> str:
    return "any" if honours_t else "the middle only: multi of 2, 4, 8 or 16, by repeated halving"


def of_registry(model: Model) -> list[tuple[str, str]]:
    """List the facts that the registry has."""
    facts = [
        ("known as", f"{model.name}, variant {model.variant}"),
        ("known times", _times(model.honours_t)),
        ("trained on", model.training_set),
        ("licence", model.licence),
    ]
    for source in model.sources:
        facts.append(("source", source.origin))
        for file in source.files:
            facts.append(("", f"{file.name}, {file.digest}"))
            facts += [("", address) for address in file.addresses]
    for metric in model.metrics:
        ie = f", IE {metric.ie}" if metric.ie is not None else ""
        facts.append(
            ("published", f"{metric.data}: PSNR {metric.psnr:.2f} dB, SSIM {metric.ssim}{ie}")
        )
    return facts


def table(facts: list[tuple[str, str]]) -> str:
    """Lay facts out in two columns; a name that repeats is printed once."""
    lines, last = [], ""
    for name, value in facts:
        lines.append(f"{'' if name == last else name:<13}{value}".rstrip() + "\n")
        last = name or last
    return "".join(lines)
