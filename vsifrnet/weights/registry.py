"""The known models: their sizes, sources and licences, and the digests of their files.

This module is data only and imports nothing. A model has one or more sources, in order of
preference; a source is one file, or several files in one folder. A file is verified by the
``digest`` of its whole content:

* ``sha256:<hex>``: SHA-256 of the content;
* ``git:<hex>``: the git blob id, which is SHA-1 of ``blob <size>\\0`` and the content. The
  official checkpoints are published in git repositories, whose blob ids are known without a
  download; their SHA-256 is not known yet. SHA-1 detects every accidental change, and no second
  preimage is known, but the publisher could have made two files with the same id. Replace an id
  by the SHA-256 once that is known.
"""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["MODELS", "SUFFIXES", "File", "Metric", "Model", "Source", "find", "honouring_t"]

SUFFIXES = (".safetensors", ".pth", ".pt", ".pkl", ".param", ".bin")
"""Suffixes of weights files that can be read; .param and .bin are two files of one model."""


@dataclass(frozen=True, kw_only=True)
class File:
    """One file: its name in the cache, its digest and its download addresses."""

    name: str
    digest: str
    """``sha256:<hex>`` or ``git:<hex>``."""
    addresses: tuple[str, ...] = ()
    """Download addresses in order of preference; empty for a file of the package."""
    size: int | None = None
    """Size in bytes, if known."""


@dataclass(frozen=True, kw_only=True)
class Source:
    """One place from which a model's files come."""

    format: str
    """Format of the files: ``safetensors``, ``pth`` or ``ncnn``."""
    origin: str
    """Repository and commit, or who made it."""
    files: tuple[File, ...]
    """Files of one folder; the first one is the one to load."""


@dataclass(frozen=True, kw_only=True)
class Metric:
    """A published result: mean PSNR in dB, mean SSIM, and the interpolation error (IE)."""

    data: str
    psnr: float
    ssim: float
    ie: float | None = None


@dataclass(frozen=True, kw_only=True)
class Model:
    """One known model."""

    name: str
    variant: str
    """Key of :data:`vsifrnet.network.CONFIGS`: S, base or L."""
    training_set: str
    honours_t: bool
    """False if the model makes the middle frame (t = 0.5), whatever t is asked for."""
    licence: str
    sources: tuple[Source, ...]
    packaged: bool = False
    """True if the file is part of the package, in ``vsifrnet/models``."""
    metrics: tuple[Metric, ...] = ()


_PTH_REPOSITORY = "Ikaros-521/IFRNet"
_PTH_COMMIT = "ad6f477359f64c3607f62ea4ddd8815ee4339833"
_NCNN_REPOSITORY = "nihui/ifrnet-ncnn-vulkan"
_NCNN_COMMIT = "3592a70355ec011fe7cefb3a9ba08b63d82a2b6d"


def _addresses(repository: str, commit: str, path: str) -> tuple[str, ...]:
    return (
        f"https://raw.githubusercontent.com/{repository}/{commit}/{path}",
        f"https://github.com/{repository}/raw/{commit}/{path}",
    )


def _official(name: str, *, pth: str, ncnn_param: str, ncnn_bin: str) -> tuple[Source, ...]:
    """Return the sources of an official checkpoint; the arguments are git blob ids."""
    folder = {"S": "IFRNet_small", "L": "IFRNet_large"}.get(name.split("_")[1], "IFRNet")
    return (
        Source(
            format="pth",
            origin=f"github.com/{_PTH_REPOSITORY} at {_PTH_COMMIT[:12]}, the authors' files",
            files=(
                File(
                    name=f"{name}.pth",
                    digest=f"git:{pth}",
                    addresses=_addresses(
                        _PTH_REPOSITORY, _PTH_COMMIT, f"checkpoints/{folder}/{name}.pth"
                    ),
                ),
            ),
        ),
        Source(
            format="ncnn",
            origin=f"github.com/{_NCNN_REPOSITORY} at {_NCNN_COMMIT[:12]}, converted to ncnn",
            files=tuple(
                File(
                    name=f"ifrnet.{suffix}",
                    digest=f"git:{digest}",
                    addresses=_addresses(
                        _NCNN_REPOSITORY, _NCNN_COMMIT, f"models/{name}/ifrnet.{suffix}"
                    ),
                )
                for suffix, digest in (("param", ncnn_param), ("bin", ncnn_bin))
            ),
        ),
    )


MODELS: tuple[Model, ...] = (
    Model(
        name="ifrnet_s",
        variant="S",
        training_set="layered synthetic motion, video (vsifrnet)",
        honours_t=True,
        licence="MIT",
        packaged=True,
        sources=(
            Source(
                format="safetensors",
                origin="trained by the vsifrnet developers",
                files=(
                    File(
                        name="ifrnet_s.safetensors",
                        digest="sha256:15dfc167db5e03f5147f7428bd54f20d35af064cc61af1813690c5bcefdbb2b1",
                        size=11224800,
                    ),
                ),
            ),
        ),
    ),
    Model(
        name="IFRNet_Vimeo90K",
        variant="base",
        training_set="Vimeo90K",
        honours_t=False,
        licence="MIT",
        sources=_official(
            "IFRNet_Vimeo90K",
            pth="11a12e552530af070b695581537efccd679784b1",
            ncnn_param="78c225d914bbcc55817ea555b542788f9f9ffdd5",
            ncnn_bin="4a64474aca1fbdfea7271083c5a7a958710061f6",
        ),
        metrics=(
            Metric(data="Vimeo90K", psnr=35.80, ssim=0.9794),
            Metric(data="UCF101", psnr=35.29, ssim=0.9693),
            Metric(data="SNU-FILM easy", psnr=40.03, ssim=0.9905),
            Metric(data="SNU-FILM medium", psnr=35.94, ssim=0.9793),
            Metric(data="SNU-FILM hard", psnr=30.41, ssim=0.9358),
            Metric(data="SNU-FILM extreme", psnr=25.05, ssim=0.8587),
            Metric(data="Middlebury Other", psnr=37.50, ssim=0.9861, ie=1.946),
        ),
    ),
    Model(
        name="IFRNet_S_Vimeo90K",
        variant="S",
        training_set="Vimeo90K",
        honours_t=False,
        licence="MIT",
        sources=_official(
            "IFRNet_S_Vimeo90K",
            pth="8d784423aa4ae56a3d10f283bfcebcdfbaa97b5a",
            ncnn_param="6cd85f187e99faf11656dae10c8fd5c41342bd14",
            ncnn_bin="3031e4ff28b16897a39eb55a373ade46ce2695ab",
        ),
        metrics=(
            Metric(data="Vimeo90K", psnr=35.59, ssim=0.9786),
            Metric(data="UCF101", psnr=35.28, ssim=0.9691),
            Metric(data="Middlebury Other", psnr=37.24, ssim=0.9851, ie=1.995),
        ),
    ),
    Model(
        name="IFRNet_L_Vimeo90K",
        variant="L",
        training_set="Vimeo90K",
        honours_t=False,
        licence="MIT",
        sources=_official(
            "IFRNet_L_Vimeo90K",
            pth="5e9ea559652b25bbcf8843ba2f5d55b88120da98",
            ncnn_param="5dcad282b8029913e7836fd8774103768fdfcbf3",
            ncnn_bin="988c90ee4325d0038da43254ed2a52ef702e9859",
        ),
        metrics=(
            Metric(data="Vimeo90K", psnr=36.20, ssim=0.9808),
            Metric(data="UCF101", psnr=35.42, ssim=0.9698),
            Metric(data="Middlebury Other", psnr=38.18, ssim=0.9875, ie=1.846),
        ),
    ),
    Model(
        name="IFRNet_GoPro",
        variant="base",
        training_set="GoPro, 8x",
        honours_t=True,
        licence="MIT",
        sources=_official(
            "IFRNet_GoPro",
            pth="9ef68a444f3c633288bd7fbfcfc3ae3e9950c238",
            ncnn_param="78c225d914bbcc55817ea555b542788f9f9ffdd5",
            ncnn_bin="184f660b94ed1b488f6a0a4bd6d0a0ba136d8dbe",
        ),
        metrics=(
            Metric(data="GoPro 8x", psnr=29.84, ssim=0.920),
            Metric(data="Adobe240 8x", psnr=31.93, ssim=0.943),
        ),
    ),
    Model(
        name="IFRNet_S_GoPro",
        variant="S",
        training_set="GoPro, 8x",
        honours_t=True,
        licence="MIT",
        sources=_official(
            "IFRNet_S_GoPro",
            pth="f36fd177503f55c8d49f40c23aaaf5d8c3b8b9e3",
            ncnn_param="6cd85f187e99faf11656dae10c8fd5c41342bd14",
            ncnn_bin="cae4a9270b508eb0fc51c9570b3fa0c8d7d3c773",
        ),
    ),
    Model(
        name="IFRNet_L_GoPro",
        variant="L",
        training_set="GoPro, 8x",
        honours_t=True,
        licence="MIT",
        sources=_official(
            "IFRNet_L_GoPro",
            pth="c3950bbc16049310c3274dc672b90e30e38eee0f",
            ncnn_param="5dcad282b8029913e7836fd8774103768fdfcbf3",
            ncnn_bin="0ce665946e51d85391b4bf5c8186ef534dcd58e2",
        ),
    ),
)


def find(name: str) -> Model | None:
    """Return the model named ``name``, ignoring case, or None."""
    for model in MODELS:
        if model.name.casefold() == name.casefold():
            return model
    return None


def honouring_t() -> tuple[str, ...]:
    """Return the names of the models that make a frame at any time t."""
    return tuple(model.name for model in MODELS if model.honours_t)
