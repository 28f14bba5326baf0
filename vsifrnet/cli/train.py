"""``vsifrnet train``: train a model, or fine-tune one on one's own pictures or episodes."""

from __future__ import annotations

import argparse
import logging
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from vsifrnet.cli import options
from vsifrnet.cli.train_data import share, training_data, validation
from vsifrnet.errors import InputError

if TYPE_CHECKING:
    from vsifrnet.network import IFRNet
    from vsifrnet.training.data.sample import DataSet

log = logging.getLogger("vsifrnet")

EXAMPLE = """\
vsifrnet train --assets training-set --out run --model ifrnet_s
vsifrnet train --videos episode*.mkv --out mine --model ifrnet_s --lr 5e-4 --steps 3000"""


def add_parser(subparsers: options.Subparsers) -> None:
    """Declare the command."""
    parser = options.add_command(
        subparsers,
        "train",
        run,
        help="train or fine-tune a model",
        description=(
            "Train on layered synthetic motion (--assets), Vimeo90K triplets (--triplets), "
            "sequences of frames (--sequences), video files (--videos), or a mixture of them: "
            "each takes an equal share, or that of --share. A run goes on where it stopped when "
            "started again with the same --out. Under torchrun several processes share the work."
        ),
        example=EXAMPLE,
    )
    add = parser.add_argument
    add("--out", type=Path, required=True, help="folder of the checkpoint, weights and logs")
    options.add_overwrite(parser)
    data = parser.add_argument_group("data")
    data.add_argument("--assets", type=Path, help="folder with 'backgrounds' and 'sprites'")
    data.add_argument(
        "--fonts",
        type=Path,
        help="folder of fonts: --assets also shows lettering, patterns and larger camera moves",
    )
    data.add_argument("--triplets", type=Path, help="folder in the layout of vimeo_triplet")
    data.add_argument("--sequences", type=Path, help="folder of folders of frames, for 8x")
    data.add_argument("--videos", type=Path, nargs="+", default=[], help="video files")
    data.add_argument("--stride", type=int, default=1, help="frames between a triplet's [1]")
    data.add_argument(
        "--share",
        type=share,
        action="append",
        default=[],
        metavar="DATA=SHARE",
        help="share of the samples, as in --share assets=0.9 --share videos=0.1",
    )
    data.add_argument(
        "--crop", type=int, default=128, help="side of the samples, a multiple of 16 [128]"
    )
    data.add_argument("--seed", type=int, default=0)
    data.add_argument(
        "--validate",
        type=Path,
        nargs="+",
        default=[],
        metavar="VIDEO",
        help="videos to validate on, beside held-out pictures and test lists; not trained on",
    )
    data.add_argument(
        "--preview", type=Path, metavar="SHEET.PNG", help="write a sheet of samples and stop"
    )
    recipe = parser.add_argument_group("recipe")
    recipe.add_argument("--model", help="model or weights file to start from; default from nothing")
    recipe.add_argument("--size", choices=("S", "base", "L"), help="when from nothing [S]")
    recipe.add_argument(
        "--sampling",
        choices=("bilinear", "bicubic"),
        help=(
            "how the last blend samples the pictures, which the weights then say; default that of "
            "--model, bilinear when from nothing, and that of the run when it goes on"
        ),
    )
    recipe.add_argument("--steps", type=int, default=20_000)
    recipe.add_argument("--batch", type=int, default=8, help="over all processes [8]")
    recipe.add_argument(
        "--loss",
        choices=("synthetic", "official"),
        help="default: synthetic with --assets, else official",
    )
    recipe.add_argument(
        "--optimizer",
        choices=("muon", "adamw"),
        help="default: muon with the synthetic loss, else adamw, as the official recipe",
    )
    recipe.add_argument(
        "--lr", type=float, help="peak learning rate; default 2e-3 muon, 1e-4 adamw"
    )
    recipe.add_argument("--lr-last", type=float, help="at the end; default 2e-5 muon, 1e-5 adamw")
    recipe.add_argument("--warmup", type=int, default=100, help="steps [100]")
    recipe.add_argument("--ema", type=float, default=0.999, help="decay of the average weights")
    recipe.add_argument("--clip", type=float, default=1.0, help="norm of the gradient; 0: none")
    recipe.add_argument(
        "--new-schedule",
        action="store_true",
        help=(
            "when going on with another --lr, --lr-last, --warmup or --steps: warm up and decay "
            "anew from here"
        ),
    )
    machine = parser.add_argument_group("machine")
    machine.add_argument(
        "--device",
        type=options.device,
        metavar="DEVICE",
        help="cpu, cuda, cuda:1; default cuda where there is one",
    )
    machine.add_argument("--threads", type=int, help="CPU threads of the network")
    machine.add_argument("--workers", type=int, default=1, help="processes that make samples")
    machine.add_argument(
        "--bf16",
        action=argparse.BooleanOptionalAction,
        help="autocast to bfloat16; default where the hardware has it",
    )
    machine.add_argument("--log-every", type=int, default=50, metavar="STEPS")
    machine.add_argument("--save-every", type=int, default=500, metavar="STEPS")
    machine.add_argument(
        "--validate-every", type=int, default=1000, metavar="STEPS", help="0: never"
    )


def run(arguments: argparse.Namespace) -> int:
    """Handle the command."""
    # All optional packages are imported now, so that a missing one ends the command at its start.
    import av  # noqa: F401
    import cv2
    import matplotlib  # noqa: F401
    import torch
    from PIL import Image  # noqa: F401

    from vsifrnet import files
    from vsifrnet.engine.backend import resolve
    from vsifrnet.training.loop.checkpoint import claim_run
    from vsifrnet.training.loop.distributed import is_first, process_group

    _check(arguments)
    cv2.setNumThreads(1)  # the data's share of the cores is its worker processes
    if arguments.preview:
        _preview(arguments)
        return 0
    if arguments.threads:
        torch.set_num_threads(arguments.threads)
    with ExitStack() as stack:
        if is_first():
            arguments.out.parent.mkdir(parents=True, exist_ok=True)
            stack.enter_context(files.exclusive(arguments.out))
            claim_run(arguments.out, overwrite=arguments.overwrite)
        data = training_data(arguments)
        device = stack.enter_context(process_group(resolve(arguments.device).device))
        _train(arguments, data, device)
    return 0


def _preview(arguments: argparse.Namespace) -> None:
    from vsifrnet import files
    from vsifrnet.training.loop.preview import write_sheet

    files.check_new(
        arguments.preview, overwrite=arguments.overwrite, inputs=options.inputs(arguments)
    )
    write_sheet(training_data(arguments), arguments.preview)
    log.info("wrote %s", arguments.preview)


def _train(arguments: argparse.Namespace, data: DataSet, device: Any) -> None:
    from vsifrnet.training.loop.journal import draw_curve
    from vsifrnet.training.loop.settings import Settings
    from vsifrnet.training.loop.trainer import Trainer
    from vsifrnet.training.losses import OfficialLoss, SyntheticLoss

    synthetic = (arguments.loss or ("synthetic" if arguments.assets else "official")) == "synthetic"
    optimizer: Literal["muon", "adamw"] = arguments.optimizer or ("muon" if synthetic else "adamw")
    peak, last = {"muon": (2e-3, 2e-5), "adamw": (1e-4, 1e-5)}[optimizer]
    settings = Settings(
        out=arguments.out,
        steps=arguments.steps,
        batch=arguments.batch,
        lr=peak if arguments.lr is None else arguments.lr,
        lr_last=last if arguments.lr_last is None else arguments.lr_last,
        warmup=arguments.warmup,
        optimizer=optimizer,
        clip=arguments.clip,
        ema=arguments.ema,
        bf16=arguments.bf16,
        workers=arguments.workers,
        log_every=arguments.log_every,
        save_every=arguments.save_every,
        validate_every=arguments.validate_every,
        quiet=arguments.quiet,
    )
    trainer = Trainer(
        _network(arguments).to(device),
        SyntheticLoss() if synthetic else OfficialLoss(),
        data,
        settings,
        validate=validation(arguments),
    )
    if trainer.checkpoint.is_file():
        trainer.resume(new_schedule=arguments.new_schedule)
        kept = trainer.network.sampling
        if arguments.sampling not in (None, kept):
            raise InputError(
                f"--sampling {arguments.sampling}: the run in {arguments.out} is {kept} and stays "
                "so; leave --sampling out, or train into another --out"
            )
        log.info("going on from %s at step %d", trainer.checkpoint, trainer.step)
        if trainer.step >= settings.steps:
            log.warning("nothing is left to do: --steps %d is where it is already", settings.steps)
    trainer.run()
    if trainer.rank == 0:
        log.info("wrote %s and %s", trainer.weights, draw_curve(arguments.out))


def _check(arguments: argparse.Namespace) -> None:
    """Refuse numbers that training cannot use."""
    options.check_range(
        arguments, 1, "steps", "batch", "stride", "log_every", "save_every", "threads"
    )
    options.check_range(arguments, 0, "warmup", "workers", "validate_every", "clip", "lr_last")
    if arguments.crop < 16 or arguments.crop % 16:
        raise InputError(f"--crop {arguments.crop}: must be a multiple of 16, such as 128")
    if arguments.lr is not None and not 0 < arguments.lr < float("inf"):
        raise InputError(f"--lr {arguments.lr}: must be above 0")
    if not 0 <= arguments.ema < 1:
        raise InputError(f"--ema {arguments.ema}: must be at least 0 and below 1")


def _network(arguments: argparse.Namespace) -> IFRNet:
    from vsifrnet.training.loop.initialize import fresh_network
    from vsifrnet.weights.load import load_weights

    if arguments.model is None:
        network = fresh_network(arguments.size or "S", arguments.seed)
    else:
        loaded = load_weights(arguments.model)
        if arguments.size not in (None, loaded.config.name):
            raise InputError(
                f"--size {arguments.size}: {arguments.model} is of IFRNet {loaded.config.name}, "
                "whose size cannot be changed; leave --size out, or leave --model out to begin "
                "from nothing"
            )
        network = loaded.build().requires_grad_(True)
    network.sampling = arguments.sampling or network.sampling
    return network
