"""The training loop: one process or several (torchrun), stopped and resumed at any step."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import asdict
from pathlib import Path

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel
from tqdm import tqdm

from vsifrnet.engine.backend import multiplies_bfloat16
from vsifrnet.errors import NotFiniteError, TrainingError
from vsifrnet.network import IFRNet
from vsifrnet.training.data.loader import Batches, load_batches
from vsifrnet.training.data.sample import Batch, DataSet
from vsifrnet.training.loop.average import moving_average
from vsifrnet.training.loop.checkpoint import (
    CHECKPOINT,
    WEIGHTS,
    check_variant,
    export_weights,
    load_checkpoint,
    save_checkpoint,
)
from vsifrnet.training.loop.journal import Journal, draw_curve
from vsifrnet.training.loop.optim import make_optimizers, schedule
from vsifrnet.training.loop.settings import Settings
from vsifrnet.weights.metadata import SAMPLING

__all__ = ["Trainer"]

log = logging.getLogger(__name__)


class _Objective(nn.Module):
    """Joins network and loss, because DDP synchronises the forward pass of a module."""

    def __init__(self, network: IFRNet, loss: nn.Module) -> None:
        super().__init__()
        self.network = network
        self.loss = loss

    def forward(self, batch: Batch) -> dict[str, Tensor]:
        terms: dict[str, Tensor] = self.loss(self.network, batch)
        return terms


class Trainer:
    """Trains a network in one run, which can be stopped and resumed at any step.

    Args:
        network: the network to train in place, on the device to train on.
        loss: a module that takes the network and a batch and returns terms to add up.
        data: the data set.
        settings: the settings of the run.
        validate: a function that the first process calls with the averaged network every
            ``validate_every`` steps. It returns PSNRs for the log; the weights with the highest
            ``mean`` are the best.

    Under ``torchrun`` every process creates a trainer after it has joined the process group.
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
        self.loss, self.validate = loss, validate
        shared = dist.is_initialized()
        self.rank, world = (dist.get_rank(), dist.get_world_size()) if shared else (0, 1)
        self.batches = Batches(data, settings.batch, rank=self.rank, world=world)
        self.bf16 = multiplies_bfloat16(self.device) if settings.bf16 is None else settings.bf16
        self.optimizers = make_optimizers(
            network,
            settings.optimizer,
            weight_decay=settings.weight_decay,
            dtype=torch.bfloat16 if self.bf16 else torch.float32,
        )
        self.average = moving_average(network, settings.ema)
        self.step = 0
        self.first_step = 0
        """Step at which the schedule began; above 0 after ``resume(new_schedule=True)``."""
        self.best = float("-inf")
        self.validated: tuple[str, ...] = ()
        """Names of the sets whose mean ``best`` is."""
        self._schedule()

    def _schedule(self) -> None:
        """Set the learning rates from the current step on."""
        settings = self.settings
        self.schedules = schedule(
            self.optimizers,
            peak=settings.lr,
            last=settings.lr_last,
            warmup=settings.warmup,
            steps=settings.steps - self.first_step,
            step=self.step - self.first_step,
        )

    @property
    def checkpoint(self) -> Path:
        """Path of the run's checkpoint."""
        return self.settings.out / CHECKPOINT

    @property
    def weights(self) -> Path:
        """Path of the averaged weights."""
        return self.settings.out / WEIGHTS

    def save(self) -> None:
        """Write the checkpoint and the averaged weights.

        Raises:
            NotFiniteError: the weights are not finite; the old files are kept.
            TrainingError: the disk is full or cannot be written; the old files are kept.
        """
        for name, value in self.network.state_dict().items():
            if not bool(torch.isfinite(value).all()):
                raise NotFiniteError(self._not_finite(f"weight '{name}'", "not finite"))
        state = {
            "step": self.step,
            "first_step": self.first_step,
            "samples": self.batches.first(self.step),
            "best": self.best,
            "validated": self.validated,
            "settings": {name: str(value) for name, value in asdict(self.settings).items()},
            SAMPLING: self.network.sampling,
            "network": self.network.state_dict(),
            "ema": self.average.module.state_dict(),
            "optimizers": [optimizer.state_dict() for optimizer in self.optimizers],
        }
        save_checkpoint(self.checkpoint, state)
        self._export(WEIGHTS)

    def _export(self, name: str) -> None:
        metadata = {"network": f"IFRNet {self.network.config.name}", "step": str(self.step)}
        metadata[SAMPLING] = self.network.sampling
        export_weights(self.settings.out / name, self.average.module.state_dict(), metadata)

    def resume(self, path: Path | None = None, *, new_schedule: bool = False) -> None:
        """Go on from a checkpoint, by default this run's own, as if the run had never stopped.

        With ``new_schedule`` warm-up and cosine start anew at the checkpoint's step, if the
        settings of the schedule differ from the checkpoint's.

        Raises:
            TrainingError: the checkpoint cannot be read, or is of another network or optimiser.
        """
        state = load_checkpoint(path or self.checkpoint)
        check_variant(path or self.checkpoint, state["network"], self.network.config.name)
        try:
            self.network.load_state_dict(state["network"])
            self.average.module.load_state_dict(state["ema"])
            for optimizer, saved in zip(self.optimizers, state["optimizers"], strict=True):
                optimizer.load_state_dict(saved)
        except (RuntimeError, ValueError) as error:
            where, first_line = path or self.checkpoint, str(error).partition("\n")[0]
            raise TrainingError(
                f"{where} is of another network or optimizer ({first_line}): go on with the "
                "options of its run, or begin in another folder"
            ) from error
        for network in (self.network, self.average.module):
            network.sampling = state.get(SAMPLING, "bilinear")
        self.step, self.first_step, self.best = state["step"], state["first_step"], state["best"]
        self.average.n_averaged.fill_(self.step + 1)
        self.validated = tuple(state.get("validated", ()))
        before = state["settings"]
        # Training goes on with samples that were not seen yet, also with another batch size.
        samples = state.get("samples", self.step * int(before["batch"]))
        self.batches.offset = samples - self.step * self.settings.batch
        schedule = ("steps", "lr", "lr_last", "warmup")
        if new_schedule and any(before[x] != str(getattr(self.settings, x)) for x in schedule):
            self.first_step, self.best = self.step, float("-inf")
        self._schedule()

    def run(self) -> None:
        """Train up to ``settings.steps``.

        Raises:
            NotFiniteError: the loss, the gradient or the weights became NaN or infinite; the last
                checkpoint is from before that.
            TrainingError: the data or the disk failed; the last checkpoint is from before that.
        """
        settings = self.settings
        settings.out.mkdir(parents=True, exist_ok=True)
        objective: nn.Module = _Objective(self.network, self.loss)
        if dist.is_initialized():
            objective = DistributedDataParallel(objective)
        journal = Journal(settings.out, self.step) if self.rank == 0 else None
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
                # Validate before saving, because the checkpoint holds the best weights' score.
                if self.rank == 0 and every and (self.step % every == 0 or last):
                    began = time.monotonic()
                    self._validate(journal)
                    since += time.monotonic() - began
                if self.rank == 0 and (self.step % settings.save_every == 0 or last):
                    self.save()

    @property
    def lr(self) -> float:
        """Learning rate of the current step."""
        return float(self.schedules[0].get_last_lr()[0])

    def _train_step(self, objective: nn.Module, batch: Batch) -> dict[str, Tensor]:
        for optimizer in self.optimizers:
            optimizer.zero_grad(set_to_none=True)
        autocast = torch.autocast(self.device.type, torch.bfloat16) if self.bf16 else nullcontext()
        with autocast:
            terms: dict[str, Tensor] = objective(batch)
        total = torch.stack(list(terms.values())).sum()
        # Check before the backward pass: on a CPU, grid_sample's gradient at a NaN crashes.
        if not bool(torch.isfinite(total)):
            self._check_finite({name: term.item() for name, term in terms.items()})
            raise NotFiniteError(self._not_finite("loss", str(float(total))))
        total.backward()  # type: ignore[no-untyped-call]
        limit = self.settings.clip if self.settings.clip > 0 else float("inf")
        norm = nn.utils.clip_grad_norm_(self.network.parameters(), limit)
        if not bool(torch.isfinite(norm)):
            raise NotFiniteError(self._not_finite("gradient", str(float(norm))))
        for optimizer in self.optimizers:
            optimizer.step()
        for rate in self.schedules:
            rate.step()
        self.average.update_parameters(self.network)
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
            f"{message}; {self.checkpoint} is from before it. If training fails again from there, "
            "begin in another folder"
        )

    def _validate(self, journal: Journal | None) -> None:
        if self.validate is None:
            return
        result = self.validate(self.average.module)  # type: ignore[arg-type]
        if journal is not None:
            journal.write_validation(self.step, result)
        log.info("step %d: %s", self.step, ", ".join(f"{k} {v:.2f}" for k, v in result.items()))
        if tuple(result) != self.validated:  # Means over other sets are not comparable.
            self.validated, self.best = tuple(result), float("-inf")
        if result["mean"] > self.best:
            self.best = result["mean"]
            self._export("best.safetensors")
        draw_curve(self.settings.out)
