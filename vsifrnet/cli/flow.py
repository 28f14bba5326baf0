"""``vsifrnet flow``: flow pseudo labels for triplets of real pictures."""

from __future__ import annotations

import argparse
import logging
from pathlib import Path

from vsifrnet.cli import options

log = logging.getLogger("vsifrnet")


def add_parser(subparsers: options.Subparsers) -> None:
    """Declare the command."""
    parser = options.add_command(
        subparsers,
        "flow",
        run,
        help="label triplets with optical flow, for training",
        description=(
            "Write flow/<a>/<b>/flow_t0.flo and flow_t1.flo, from the middle picture to the first "
            "and to the last, for all triplets in a folder in the layout of Vimeo90K: that of "
            "Vimeo90K itself, or 'triplets' in the --out folder of 'vsifrnet train --videos'. "
            "Triplets that have them are skipped."
        ),
        example="vsifrnet flow run/triplets",
    )
    parser.add_argument("root", type=Path, help="has 'sequences' and tri_trainlist.txt")
    parser.add_argument(
        "--teacher",
        choices=("dis", "raft"),
        default="dis",
        help="dis: OpenCV's, nothing to download (default); raft: torchvision's, if present",
    )
    parser.add_argument(
        "--device",
        type=options.device,
        metavar="DEVICE",
        help="of raft: cpu, cuda, cuda:1; default cuda where there is one",
    )


def run(arguments: argparse.Namespace) -> int:
    """Handle the command."""
    from vsifrnet.engine.backend import resolve
    from vsifrnet.training.teachers import TEACHERS, label_triplets

    teacher = TEACHERS[arguments.teacher](resolve(arguments.device).device)
    labelled = label_triplets(arguments.root, teacher, quiet=arguments.quiet)
    log.info("labelled %d triplets in %s", labelled, arguments.root / "flow")
    return 0
