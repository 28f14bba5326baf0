"""The results: ``results.json`` for programs, ``results.txt`` for people, both written at once."""

from __future__ import annotations

import json
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

__all__ = ["Report"]


class Report:
    """Collects the results of one step in a folder that other steps write to as well."""

    def __init__(self, out: Path, step: str) -> None:
        out.mkdir(parents=True, exist_ok=True)
        self.out = out
        self.step = step
        self._began = time.monotonic()

    def add(self, name: str, result: Any) -> None:
        """Write a result, in place of an earlier one of that name."""
        path = self.out / "results.json"
        everything = json.loads(path.read_text()) if path.exists() else {}
        everything.setdefault(self.step, {})[name] = result
        partly = path.with_suffix(".partly")
        partly.write_text(json.dumps(everything, indent=1, default=str))
        partly.replace(path)
        text = json.dumps(result, default=str) if isinstance(result, dict) else str(result)
        self.say(f"{name}: {text}")

    def say(self, text: str) -> None:
        """Write lines for people."""
        lines = f"[{self.step} {time.monotonic() - self._began:6.1f} s] {text}\n"
        with (self.out / "results.txt").open("a", encoding="utf-8") as file:
            file.write(lines)
        print(lines, end="", flush=True)

    def attempt(self, name: str, work: Callable[[], Any]) -> bool:
        """Write what ``work`` returns, or why it failed; return whether it succeeded."""
        began = time.monotonic()
        try:
            result = work()
        except Exception as error:
            frames = traceback.format_exception(error)[-3:]
            self.add(name, {"failed": str(error)[:2000], "where": "".join(frames)[-2000:]})
            return False
        if isinstance(result, dict):
            result = {**result, "seconds": round(time.monotonic() - began, 2)}
        self.add(name, result)
        return True
