"""`realnet-edge synth quality`: how real and how varied synthetic images are."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from realnet_edge.backbones import BACKBONES
from realnet_edge.cli.options import category_option, data_option, json_option, quality_options, source_option
from realnet_edge.config import DEVICES, TrainConfig
from realnet_edge.errors import ConfigError, DataError

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from realnet_edge.data import CategoryData
    from realnet_edge.quality.measure import Quality

_AGAINST = ("defects", "normals")


@click.command("quality")
@data_option
@category_option
@click.option(
    "--samples",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Folder of synthetic images, searched with its subfolders.",
)
@source_option("Instead of a folder: make the images with these anomaly sources, as train would.")
@click.option(
    "--count", default=200, show_default=True, type=click.IntRange(2), help="Most synthetic images."
)
@click.option(
    "--against",
    type=click.Choice(_AGAINST),
    default=_AGAINST[0],
    show_default=True,
    help="Real images they are compared with: the category's defective test images, or its good training "
    "images.",
)
@quality_options
@click.option(
    "--backbone",
    type=click.Choice(list(BACKBONES)),
    default="tf_efficientnet_lite0",
    show_default=True,
    help="Network of the stand-ins, where official weights are not given.",
)
@click.option("--size", default=256, show_default=True, type=click.IntRange(32, 2048), help="Side in pixels.")
@click.option(
    "--foreground", default="auto", show_default=True, metavar="RULE", help="With --source: as for train."
)
@click.option("--seed", default=0, show_default=True, type=click.IntRange(min=0), help="With --source.")
@click.option("--device", type=click.Choice(DEVICES), default="auto", show_default=True)
@click.option(
    "--out",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Picture to write: the samples nearest to training images, beside them.",
)
@json_option
def command(
    data: Path,
    category: str,
    samples: Path | None,
    source: str | None,
    count: int,
    against: str,
    inception: Path | None,
    lpips: Path | None,
    lpips_network: Path | None,
    backbone: str,
    size: int,
    foreground: str,
    seed: int,
    device: str,
    out: Path | None,
    as_json: bool,
) -> None:
    """Measure synthetic images: Frechet distance, cluster LPIPS, precision, recall, and copies.

    The published measures need weights by file: FID those of InceptionV3, LPIPS its own and AlexNet's or
    VGG-16's. Without them stand-ins on an ImageNet backbone are computed, and named so: they rank sets of
    images, but do not compare with published figures. Distances shrink with the number of images: compare
    sets of the same number.
    """
    from realnet_edge.cli.output import print_json, say
    from realnet_edge.cli.pictures import refuse_other_suffixes, write_picture
    from realnet_edge.cli.training_packages import need_training_packages
    from realnet_edge.data import load_category
    from realnet_edge.imaging import load_batch

    if (samples is None) == (source is None):
        raise ConfigError("give either --samples FOLDER or --source SPEC: what is to be measured.")
    if out is not None:
        refuse_other_suffixes("--out", out)
    need_training_packages("synth quality")
    # Torch takes seconds to import: what is wrong with the folders is told before.
    loaded = load_category(data, category)
    shape = (size, size)
    reference = [sample.path for sample in loaded.defects] if against == "defects" else list(loaded.train)
    if len(reference) < 2:
        raise DataError(f"{loaded.root} has no defective images to compare with: give --against normals.")
    training = load_batch(loaded.train, shape)
    if samples:
        made = _of_folder(samples, count, shape)
    else:
        made = _made(loaded, source or "", foreground, training, count, seed)
    from realnet_edge.quality.figure import nearest_pairs
    from realnet_edge.quality.measure import load_networks, measure_quality
    from realnet_edge.training.compute import choose_compute

    where = choose_compute(TrainConfig(device=device)).device
    networks = load_networks(backbone, where, inception, lpips, lpips_network)
    quality = measure_quality(made, load_batch(reference, shape), training, networks)
    for line in describe(quality, against):
        say(line)
    if out is not None:
        write_picture(out, nearest_pairs(made, training, quality.copies))
        say(f"Wrote {out}: the samples nearest to training images.")
    if as_json:
        document = {"category": category, "against": against, "samples_from": str(samples or source)}
        print_json({**document, **quality.to_dict(), "out": str(out) if out else None})


def describe(quality: Quality, against: str) -> list[str]:
    """The figures, a line each, with what they say."""
    frechet = "FID" if quality.official_frechet else "Frechet distance"
    lpips = "cluster LPIPS" if quality.official_lpips else "cluster diversity"
    copies = quality.copies
    return [
        f"{quality.samples} samples against {quality.reference} {against}; {quality.training} training "
        "images.",
        f"{frechet:20} {quality.frechet:.4g}, of the training images {quality.frechet_training:.4g}; "
        f"{quality.features}",
        f"{lpips:20} {_figure(quality.cluster_lpips)}; {quality.perceptual}",
        f"{'precision, recall':20} {_figure(quality.precision)}, {_figure(quality.recall)}; 3rd neighbour, "
        f"{quality.features}",
        f"{'nearest training':20} median {copies.median:.4g}, of training images themselves "
        f"{copies.training_median:.4g}; {100 * copies.share:.1f}% of the samples are nearer than "
        f"{copies.limit:.4g}, as only 1% of these are",
    ]


def _figure(value: float | None) -> str:
    return "none (too few images)" if value is None else f"{value:.3f}"


def _of_folder(folder: Path, count: int, shape: tuple[int, int]) -> npt.NDArray[np.uint8]:
    """At most `count` of a folder's images, evenly spread over their names."""
    from realnet_edge.imaging import evenly_spread, load_batch
    from realnet_edge.synthesis.sia import MANIFEST, sia_files
    from realnet_edge.synthesis.textures import image_files

    files = sia_files(folder) if (folder / MANIFEST).is_file() else image_files(folder)
    return load_batch([files[place] for place in evenly_spread(len(files), count)], shape)


def _made(
    loaded: CategoryData,
    source: str,
    foreground: str,
    training: npt.NDArray[np.uint8],
    count: int,
    seed: int,
) -> npt.NDArray[np.uint8]:
    """Anomalies on the category's good images."""
    from realnet_edge.synthesis import foreground_of_files, make_source
    from realnet_edge.synthesis.generate import anomalous_images

    if loaded.parts:
        names = ", ".join(part.name for part in loaded.parts)
        raise DataError(f"--source makes images of one category: give --category with one of {names}.")
    shape = (training.shape[1], training.shape[2])
    rule, _ = foreground_of_files(loaded.train, shape, foreground, loaded.foreground)
    mixture = make_source(source, training, shape, rule)
    return anomalous_images(training, rule, mixture, count, seed)
