"""The training loop: one process or several (torchrun), stopped and resumed at any step."""

from __future__ import annotations

import csv
import logging
import time
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel
from tqdm import tqdm

from vsifrnet.errors import NotFiniteError, TrainingError
from vsifrnet.files import replacing
from vsifrnet.network import IFRNet
from vsifrnet.training.data.loader import Batches, load_batches
from vsifrnet.training.data.sample import Batch, DataSet
from vsifrnet.training.loop.checkpoint import (
    CHECKPOINT,
    WEIGHTS,
    check_variant,
    export_weights,
    load_checkpoint,
    save_checkpoint,
)
from vsifrnet.training.loop.curve import draw_curve
from vsifrnet.training.loop.optim import learning_rate, make_optimizers, set_learning_rate
from vsifrnet.training.loop.precision import has_bfloat16

__all__ = ["Settings", "Trainer"]

log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Settings:
    """How a run goes. What it learns from and by which loss is given to :class:`Trainer`."""

    out: Path
    """Folder of the checkpoint, the weights, the logs and the curve."""
    steps: int
    batch: int = 8
    """Samples of a step, over all processes."""
    lr: float = 2e-3
    lr_last: float = 2e-5
    warmup: int = 100
    """Steps over which the learning rate rises."""
    optimizer: Literal["muon", "adamw"] = "muon"
    weight_decay: float = 0.0
    clip: float = 1.0
    """Largest norm of the gradient; 0 does not clip."""
    ema: float = 0.999
    """Decay of the moving average of the weights, which is what is validated and exported."""
    bf16: bool | None = None
    """Autocast to bfloat16; None where the hardware has it."""
    workers: int = 1
    log_every: int = 50
    """Steps between rows of the log."""
    save_every: int = 500
    validate_every: int = 1000
    """Steps between validations; 0 never validates."""
    quiet: bool = False
    """Shows no progress."""


class _Objective(nn.Module):
    """Network and loss as one module, so that DDP sees a forward pass."""

    def __init__(self, network: IFRNet, loss: nn.Module) -> None:
        super().__init__()
        self.network = network
        self.loss = loss

    def forward(self, batch: Batch) -> dict[str, Tensor]:
        terms: dict[str, Tensor] = self.loss(self.network, batch)
        return terms


class Trainer:
    """One run.

    Args:
        network: trained in place; on the device to train on.
        loss: called with the network and a batch, returns terms to add up.
        data: what to learn from.
        settings: how.
        validate: called with the averaged network every so often, by the first process alone;
            its numbers go to the log, ``mean`` decides which weights are the best.

    Under ``torchrun`` every process makes one; the process group must be up.
    """

    def __init__(
        self,
        network: IFRNet,
        loss: nn.Module,
        data: DataSet,
        settings: Settings,
        *,
        validate: Callable[[IFRNet], dict[str, float]] | None = None,
    ) -> None:
        self.settings = settings
        self.device = next(network.parameters()).device
        self.network = network.to(memory_format=torch.channels_last).train()
        self.loss = loss
        self.validate = validate
        self.rank = dist.get_rank() if dist.is_initialized() else 0
        world = dist.get_world_size() if dist.is_initialized() else 1
        self.batches = Batches(data, settings.batch, rank=self.rank, world=world)
        self.bf16 = has_bfloat16(self.device) if settings.bf16 is None else settings.bf16
        self.optimizers = make_optimizers(
            network,
            settings.optimizer,
            weight_decay=settings.weight_decay,
            dtype=torch.bfloat16 if self.bf16 else torch.float32,
        )
        self.average = {name: value.detach().clone() for name, value in self._state().items()}
        self.step = 0
        self.first_step = 0
        """Where the schedule began: not 0 where a run goes on with new settings."""
        self.best = float("-inf")
        self.validated: tuple[str, ...] = ()
        """The sets that ``best`` is the mean over."""

    def _state(self) -> dict[str, Tensor]:
        return self.network.state_dict()

    # -- checkpoints ---------------------------------------------------------------------------

    @property
    def checkpoint(self) -> Path:
        """Where the run's checkpoint lies."""
        return self.settings.out / CHECKPOINT

    @property
    def weights(self) -> Path:
        """Where the averaged weights lie."""
        return self.settings.out / WEIGHTS

    def save(self) -> None:
        """Write the checkpoint and the averaged weights.

        Raises:
            NotFiniteError: the weights are ruined; what was written before stays.
            TrainingError: the disk is full or cannot be written; likewise.
        """
        for name, value in self._state().items():
            if not bool(torch.isfinite(value).all()):
                raise NotFiniteError(self._not_finite(f"weight '{name}'", "not finite"))
        settings = {name: str(value) for name, value in asdict(self.settings).items()}
        state = {
            "step": self.step,
            "first_step": self.first_step,
            "samples": self.batches.first(self.step),
            "best": self.best,
            "validated": self.validated,
            "settings": settings,
            "network": self._state(),
            "ema": self.average,
            "optimizers": [optimizer.state_dict() for optimizer in self.optimizers],
        }
        save_checkpoint(self.checkpoint, state)
        self._export(WEIGHTS)

    def _export(self, name: str) -> None:
        metadata = {"network": f"IFRNet {self.network.config.name}", "step": str(self.step)}
        export_weights(self.settings.out / name, self.average, metadata)

    def resume(self, path: Path | None = None, *, new_schedule: bool = False) -> None:
        """Go on from a checkpoint (this run's own by default).

        ``new_schedule`` starts warm-up and cosine anew at the checkpoint's step, for a run that
        goes on with other settings; without it a run goes on as if it had never stopped. A
        checkpoint of the new schedule is gone on with as it is.
        """
        state = load_checkpoint(path or self.checkpoint)
        check_variant(path or self.checkpoint, state["network"], self.network.config.name)
        try:
            self.network.load_state_dict(state["network"])
            for optimizer, saved in zip(self.optimizers, state["optimizers"], strict=True):
                optimizer.load_state_dict(saved)
        except (RuntimeError, ValueError) as error:
            where, first_line = path or self.checkpoint, str(error).partition("\n")[0]
            raise TrainingError(
                f"{where} is of another network or optimizer ({first_line}): go on with the "
                "options of its run, or begin in another folder"
            ) from error
        for name, value in self.average.items():
            value.copy_(state["ema"][name])
        self.step = state["step"]
        self.first_step, self.best = state["first_step"], state["best"]
        self.validated = tuple(state.get("validated", ()))
        before = state["settings"]
        # With another batch too, the next samples are those that were not seen yet.
        samples = state.get("samples", self.step * int(before["batch"]))
        self.batches.offset = samples - self.step * self.settings.batch
        schedule = ("steps", "lr", "lr_last", "warmup")
        if new_schedule and any(before[x] != str(getattr(self.settings, x)) for x in schedule):
            self.first_step, self.best = self.step, float("-inf")

    # -- the loop ------------------------------------------------------------------------------

    def run(self) -> None:
        """Train up to ``settings.steps``.

        Raises:
            NotFiniteError: the loss, the gradient or the weights became NaN or infinite; the last
                checkpoint is from before.
            TrainingError: data or disk failed; likewise.
        """
        settings = self.settings
        settings.out.mkdir(parents=True, exist_ok=True)
        objective: nn.Module = _Objective(self.network, self.loss)
        if dist.is_initialized():
            objective = DistributedDataParallel(objective)
        journal = _Journal(settings.out / "log.csv", self.step) if self.rank == 0 else None
        progress = tqdm(
            total=settings.steps,
            initial=self.step,
            unit="step",
            disable=settings.quiet or self.rank != 0,
            dynamic_ncols=True,
        )
        steps = range(self.step, settings.steps)
        totals: dict[str, Tensor] = {}
        counted, since = 0, time.monotonic()
        with progress:
            for batch in load_batches(
                self.batches, steps, workers=settings.workers, pinned=self.device.type == "cuda"
            ):
                terms = self._train_step(objective, batch.to(self.device))
                for name, term in terms.items():
                    totals[name] = totals.get(name, 0.0) + term.detach()
                self.step += 1
                counted += 1
                progress.update()
                if self.step % settings.log_every == 0 or self.step == settings.steps:
                    means = {name: float(total) / counted for name, total in totals.items()}
                    speed = counted * settings.batch / (time.monotonic() - since)
                    progress.set_postfix_str(
                        f"loss {sum(means.values()):.4f}, {speed:.1f} samples/s"
                    )
                    if journal is not None:
                        journal.write(self.step, {"lr": self.lr, "speed": speed, **means})
                    totals, counted, since = {}, 0, time.monotonic()
                last = self.step == settings.steps
                every = settings.validate_every
                # Validated first: the checkpoint says which weights were the best.
                if self.rank == 0 and every and (self.step % every == 0 or last):
                    began = time.monotonic()
                    self._validate(journal)
                    since += time.monotonic() - began
                if self.rank == 0 and (self.step % settings.save_every == 0 or last):
                    self.save()

    @property
    def lr(self) -> float:
        """The learning rate of the current step."""
        settings = self.settings
        return learning_rate(
            self.step - self.first_step,
            settings.steps - self.first_step,
            peak=settings.lr,
            last=settings.lr_last,
            warmup=settings.warmup,
        )

    def _train_step(self, objective: nn.Module, batch: Batch) -> dict[str, Tensor]:
        set_learning_rate(self.optimizers, self.lr)
        for optimizer in self.optimizers:
            optimizer.zero_grad(set_to_none=True)
        autocast = torch.autocast(self.device.type, torch.bfloat16) if self.bf16 else nullcontext()
        with autocast:
            terms: dict[str, Tensor] = objective(batch)
        total = torch.stack(list(terms.values())).sum()
        # Before the gradient: that of grid_sample at a NaN ends the process on the CPU.
        if not bool(torch.isfinite(total)):
            self._check_finite({name: term.item() for name, term in terms.items()})
            raise NotFiniteError(self._not_finite("loss", str(float(total))))
        total.backward()  # type: ignore[no-untyped-call]
        most = self.settings.clip if self.settings.clip > 0 else float("inf")
        norm = nn.utils.clip_grad_norm_(self.network.parameters(), most)
        if not bool(torch.isfinite(norm)):
            raise NotFiniteError(self._not_finite("gradient", str(float(norm))))
        for optimizer in self.optimizers:
            optimizer.step()
        # Early on the average follows closely, or it would drag the first weights along.
        decay = min(self.settings.ema, (1 + self.step) / (10 + self.step))
        averages, values = list(self.average.values()), list(self._state().values())
        torch._foreach_lerp_(averages, values, 1 - decay)
        return terms

    def _check_finite(self, terms: dict[str, float]) -> None:
        for name, value in terms.items():
            if value != value or abs(value) == float("inf"):
                raise NotFiniteError(self._not_finite(f"loss '{name}'", str(value)))

    def _not_finite(self, what: str, value: str) -> str:
        message = (
            f"the {what} is {value} at step {self.step}: a lower learning rate (now {self.lr:.2e}) "
            "may help"
        )
        if not self.checkpoint.exists():
            return message
        return (
            f"{message}; {self.checkpoint} is from before it. If going on from there ends "
            "likewise, it was too late already: begin in another folder"
        )

    def _validate(self, journal: _Journal | None) -> None:
        if self.validate is None:
            return
        averaged = IFRNet(self.network.config).to(self.device)
        averaged.load_state_dict(self.average)
        result = self.validate(averaged.eval())
        if journal is not None:
            journal.write_validation(self.step, result)
        log.info("step %d: %s", self.step, ", ".join(f"{k} {v:.2f}" for k, v in result.items()))
        if tuple(result) != self.validated:  # a mean over other sets does not compare
            self.validated, self.best = tuple(result), float("-inf")
        if result["mean"] > self.best:
            self.best = result["mean"]
            self._export("best.safetensors")
        draw_curve(self.settings.out)


class _Journal:
    """Two CSV files: the log of training and that of validation."""

    def __init__(self, path: Path, step: int) -> None:
        self.path = path
        self.validation = path.with_name("validation.csv")
        # What a killed run wrote after its last checkpoint will be written again.
        for file in (self.path, self.validation):
            _drop_after(file, step)

    def write(self, step: int, values: dict[str, float]) -> None:
        _append(self.path, {"step": step, **values})

    def write_validation(self, step: int, values: dict[str, float]) -> None:
        _append(self.validation, {"step": step, **values})


def _append(path: Path, row: Mapping[str, float]) -> None:
    header = ""
    if path.exists():
        with path.open() as file:
            header = file.readline().rstrip("\n")
    if header not in ("", ",".join(row)):
        # Of another loss or other sets: kept, and another file begun.
        path.replace(path.with_name(f"{path.stem}-before-step-{row['step']}{path.suffix}"))
        header = ""
    with path.open("a", newline="") as file:
        writer = csv.DictWriter(file, list(row), lineterminator="\n")
        if not header:
            writer.writeheader()
        writer.writerow({k: v if k == "step" else f"{v:.6g}" for k, v in row.items()})


def _drop_after(path: Path, step: int) -> None:
    if not path.exists():
        return
    header, *rows = path.read_text().splitlines(keepends=True) or [""]
    kept = [row for row in rows if row.endswith("\n") and int(row.split(",")[0]) <= step]
    with replacing(path) as partial:
        partial.write_text("".join([header, *kept]))
