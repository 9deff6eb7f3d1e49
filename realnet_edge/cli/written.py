"""Results of `run` that go to the disk: lines, a table, pictures, a video."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import click

from realnet_edge.cli.output import say
from realnet_edge.errors import ConfigError, DataError

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from realnet_edge.camera import Camera, Inspection, PictureFolder
    from realnet_edge.camera.alarms import Alarm

Sink = Callable[["Inspection"], None]
_GB = 1e9

OPTIONS = (
    click.option(
        "--out",
        type=click.Path(dir_okay=False, path_type=Path),
        help="Append a JSON line a frame to this file; without it they go to standard output.",
    ),
    click.option(
        "--sqlite",
        type=click.Path(dir_okay=False, path_type=Path),
        help="Append a row a frame to the table `results` of this SQLite file; others may read it meanwhile.",
    ),
    click.option(
        "--keep-days",
        type=click.FloatRange(0, min_open=True),
        metavar="DAYS",
        help="With --sqlite: delete rows that are older.  [default: keep all]",
    ),
    click.option(
        "--save",
        type=click.Path(path_type=Path),
        help="Write overlays of the defects into this folder, or all frames into this .mp4 or .avi.",
    ),
    click.option("--save-all", is_flag=True, help="With --save FOLDER: overlays of good frames, too."),
    click.option(
        "--around",
        type=click.IntRange(1),
        metavar="FRAMES",
        help="With --save FOLDER: also write so many frames before and after each defect as they came, in a "
        "folder for each.",
    ),
    click.option(
        "--around-format",
        type=click.Choice(["jpeg", "png"]),
        help="Kind of those files.  [default: jpeg]",
    ),
    click.option(
        "--save-limit",
        type=click.FloatRange(0, min_open=True),
        metavar="GB",
        help="With --save FOLDER: delete the oldest pictures written so once they take more.",
    ),
)


@dataclass(frozen=True)
class WrittenOptions:
    """What the options ask for; the fields are theirs."""

    out: Path | None
    sqlite: Path | None
    keep_days: float | None
    save: Path | None
    save_all: bool
    around: int | None
    around_format: Literal["jpeg", "png"] | None
    save_limit: float | None

    def __post_init__(self) -> None:
        """Refuse what contradicts itself.

        Raises:
            ConfigError: an option that needs another one.
        """
        from realnet_edge.camera import VIDEO_SUFFIXES

        if self.keep_days is not None and self.sqlite is None:
            raise ConfigError("--keep-days is for a table of results: add --sqlite FILE.")
        if self.around_format is not None and self.around is None:
            raise ConfigError("--around-format is for frames around defects: add --around FRAMES.")
        of_folder = {
            "--save-all": self.save_all or None,
            "--around": self.around,
            "--save-limit": self.save_limit,
        }
        asked = [name for name, value in of_folder.items() if value is not None]
        is_video = self.save is not None and self.save.suffix.lower() in VIDEO_SUFFIXES
        if asked and (self.save is None or (is_video and asked != ["--save-all"])):
            advice = f"{self.save} is a video; give a folder" if is_video else "add --save FOLDER"
            raise ConfigError(f"{' and '.join(asked)} is for pictures in a folder: {advice}.")


def open_written(
    stack: ExitStack,
    options: WrittenOptions,
    cameras: Sequence[Camera],
    lines: list[dict[str, Any]] | None,
    on_alarm: Alarm | None,
    ending: list[Callable[[], None]],
) -> list[Sink]:
    """Sinks that write; closed with the stack.

    Args:
        cameras: the only one gives a video its frames a second.
        lines: takes the lines where neither a file nor standard output does.
        on_alarm: hears of a failing disk; None makes it an error.
        ending: gets what is to be called before the stack closes.

    Raises:
        ConfigError: something that cannot be written.
    """
    return [
        _lines(stack, options.out, lines, on_alarm),
        *_table(stack, options, on_alarm),
        *_pictures(stack, options, cameras, on_alarm, ending),
    ]


def say_made(option: str, folder: Path) -> None:
    """Say of a folder that is about to be made: a mistyped path would go unseen."""
    if not folder.exists():
        say(f"{option}: makes the folder {folder}")


def _lines(
    stack: ExitStack, out: Path | None, lines: list[dict[str, Any]] | None, on_alarm: Alarm | None
) -> Sink:
    from realnet_edge.camera import ResultLog

    if out is not None:
        say_made("--out", out.parent)
        log = stack.enter_context(ResultLog(out, on_alarm))
        if log.appends:
            say(f"{out} has lines of an earlier run; new ones are appended.")
        return log
    if lines is not None:
        return lambda inspection: lines.append(inspection.to_dict())
    return _print_line


def _table(stack: ExitStack, options: WrittenOptions, on_alarm: Alarm | None) -> Iterator[Sink]:
    from realnet_edge.camera import ResultTable

    if options.sqlite is not None:
        say_made("--sqlite", options.sqlite.parent)
        yield stack.enter_context(ResultTable(options.sqlite, options.keep_days, on_alarm))


def _pictures(
    stack: ExitStack,
    options: WrittenOptions,
    cameras: Sequence[Camera],
    on_alarm: Alarm | None,
    ending: list[Callable[[], None]],
) -> Iterator[Sink]:
    from realnet_edge.camera import VIDEO_SUFFIXES, AroundDefects, OverlayFolder, OverlayVideo, PictureFolder

    save = options.save
    if save is None:
        return
    if save.suffix.lower() in VIDEO_SUFFIXES:
        if len(cameras) > 1:
            raise ConfigError(f"--save {save}: a video is of one camera; give a folder for several.")
        say_made("--save", save.parent)
        video = OverlayVideo(save, _annotate, cameras[0].source.fps, on_alarm)
        # Left after the video is ended, which may find that frames are not in it.
        stack.callback(_say_missed, video)
        yield stack.enter_context(video)
        return
    say_made("--save", save)
    limit = None if options.save_limit is None else int(options.save_limit * _GB)
    pictures = PictureFolder(save, limit, on_alarm)
    stack.callback(_say_missed, pictures)
    stack.callback(pictures.close)
    ending.append(pictures.leave)
    yield OverlayFolder(pictures, _annotate, options.save_all)
    if options.around is not None:
        yield AroundDefects(pictures, options.around, options.around_format or "jpeg")


def _say_missed(pictures: PictureFolder | Any) -> None:
    if pictures.missed:
        say(f"Warning: {pictures.missed} pictures could not be written.")


def _annotate(inspection: Inspection) -> npt.NDArray[np.uint8]:
    from realnet_edge.report.overlay import overlay

    image, anomaly_map = inspection.frame.image, inspection.anomaly_map
    if image is None or anomaly_map is None:
        raise DataError(f"frame {inspection.frame.id} was not inspected, so there is nothing to draw.")
    return overlay(
        image, anomaly_map, label=inspection.frame.id, threshold=inspection.threshold, score=inspection.score
    )


def _print_line(inspection: Inspection) -> None:
    from realnet_edge.camera import json_line

    sys.stdout.write(json_line(inspection))
    sys.stdout.flush()
