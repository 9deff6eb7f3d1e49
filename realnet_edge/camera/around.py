"""What a camera saw before and after a defect."""

from __future__ import annotations

from collections import deque

from realnet_edge.camera.pictures import Kind, PictureFolder, encode
from realnet_edge.camera.results import DEFECT, Inspection

# Where part after part is a defect, a folder ends here and the next one begins.
_MOST = 1_000


class AroundDefects:
    """Writes the frames around each defect as they came, in a folder for each: a sink.

    A folder holds up to `count` frames before the defect, itself, and `count` after it; it is named by the
    time of its first defect and that one's index. Defects whose frames would overlap share a folder. Of each
    camera `count` frames are held in memory, at the size that they have.

    Args:
        pictures: where folders are made.
        count: frames on each side, at least 1.
        kind: of file.
    """

    def __init__(self, pictures: PictureFolder, count: int, kind: Kind) -> None:
        self._pictures = pictures
        self._count = count
        self._kind = kind
        self._cameras: dict[str | None, _Camera] = {}

    def __call__(self, inspection: Inspection) -> None:
        if inspection.frame.image is None:
            return
        camera = self._cameras.setdefault(inspection.frame.camera, _Camera(self._count))
        for folder, one in camera.seen(inspection):
            if one.frame.image is not None:
                name = f"{folder}/{self._pictures.name(one, self._kind)}"
                self._pictures.save(name, encode(one.frame.image, self._kind))


class _Camera:
    """The frames of one camera that may still be wanted."""

    def __init__(self, count: int) -> None:
        self._before: deque[Inspection] = deque(maxlen=count)
        self._count = count
        self._folder = ""
        self._inside = 0
        self._to_come = 0

    def seen(self, inspection: Inspection) -> list[tuple[str, Inspection]]:
        """The frames to be written now, oldest first, with their folder."""
        if inspection.verdict == DEFECT:
            # As many frames since the last folder's end as it would take: the two do not overlap.
            if not self._folder or len(self._before) == self._count or self._inside >= _MOST:
                self._folder, self._inside = _folder_name(inspection), 0
            self._to_come = self._count + 1
        if not self._to_come:
            self._before.append(inspection)
            return []
        self._to_come -= 1
        wanted = [*self._before, inspection]
        self._before.clear()
        self._inside += len(wanted)
        return [(self._folder, one) for one in wanted]


def _folder_name(inspection: Inspection) -> str:
    # UTC to the millisecond, without what file systems do not like.
    time = inspection.frame.timestamp.partition("+")[0].replace(":", "").replace("-", "").replace(".", "")
    camera = f"_{inspection.frame.camera}" if inspection.frame.camera else ""
    return f"{time}Z_{inspection.index:06d}{camera}"
