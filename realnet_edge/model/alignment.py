"""Parts brought into one pose before the network sees them: a fixture, as machine vision calls it.

Parts that lie anywhere, at any angle, make a network learn every pose of every detail. Here each image's part
is found, its centre and its main axis are measured, and a strip of the image that lies along that axis is
resampled: the network sees the part always in the same place and direction, and as large as the strip allows.
The strip's anomaly map is turned back into the image. All of it is part of the exported graph, and none of it
of the published method.

How the part is found. Grey levels are added up over cells, at most 128 along each axis. The median of the
outermost cells is the background, and a cell belongs to the part the more the further its grey level is from
that: not at all up to half of `contrast` times the image's mean, wholly from one and a half. The part's
centre is the cells' centre of mass, its main axis the eigenvector of their covariance with the larger
eigenvalue (image moments: Hu, "Visual pattern recognition by moment invariants", 1962), directed to where the
longer tail is (third moment): the thin end. All of it but that direction changes steadily with the image, so
that an engine's rounding moves a part by less than a thousandth of a pixel.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from realnet_edge.config.architecture import cell_size

# Strip pixels over which a map fades out towards the strip's ends: without, rounding in an engine's
# coordinates would show where the map is cut off.
FADE = 4
# Squared halves of a cell: smaller moments are those of no part.
_LEAST_MOMENT = 1 / 3


class Pose(NamedTuple):
    """Where parts lie, in pixels of the image; the origin is its centre, x to the right and y down.

    Attributes:
        centre: float32 (N, 2), x and y.
        axis: float32 (N, 2), unit vector along the part, to its thin end.
        elongation: float32 (N,), deviation along the axis over the one across; 1 for a disc.
        skewness: float32 (N,), third standardised moment along the axis, 0 or more; 0 where both ends are
            alike.
    """

    centre: Tensor
    axis: Tensor
    elongation: Tensor
    skewness: Tensor


class PartAlignment(nn.Module):
    """Resamples images to strips along their part, and maps of strips back to images.

    `realnet_edge.training.fixture` sets it by training images.

    Args:
        size: height and width of the images in pixels, as `ModelConfig.align_from`.
        strip: height and width of the strips in pixels.

    Attributes:
        contrast: float32 scalar: a cell is half part where its grey level differs from the background's by
            so much of the image's mean.
        frame: float32 (3,), pixels of the image that one of the strip takes, and where the middle of the
            strip lies from the part's centre, along the axis and across, in pixels of the image.
        cell: height and width of a cell in pixels.
    """

    contrast: Tensor
    frame: Tensor

    def __init__(self, size: tuple[int, int], strip: tuple[int, int]) -> None:
        super().__init__()
        self.size = size
        self.strip = strip
        self.cell = cell_size(size)
        self.register_buffer("contrast", torch.tensor(0.2))
        self.register_buffer("frame", torch.tensor([1.0, 0.0, 0.0]))

    def differences(self, images: Tensor) -> Tensor:
        """How far cells are from the background, over the image's mean grey level.

        Args:
            images: (N, H, W, 3), grey levels 0..255.

        Returns:
            float32 (N, rows of cells, columns of cells), 0 or more.
        """
        height, width = self.size
        rows, columns = height // self.cell, width // self.cell
        # Along the lines first, where values lie next to each other.
        lines = images.float().reshape(-1, height, columns, self.cell * 3).sum(-1)
        sums = lines.reshape(-1, rows, self.cell, columns).sum(2)
        border = torch.cat([sums[:, 0], sums[:, -1], sums[:, 1:-1, 0], sums[:, 1:-1, -1]], dim=1)
        # Of an even number the lower one of the middle: a level that is there.
        background = border.topk(border.shape[1] // 2 + 1, dim=1).values[:, -1]
        level = sums.mean(dim=(1, 2)).clamp_min(1.0)
        return (sums - background[:, None, None]).abs() / level[:, None, None]

    def pose(self, images: Tensor) -> Pose:
        """Where the part of each image (N, H, W, 3) lies; upright in the middle where nothing stands out."""
        return self.pose_of(self.differences(images))

    def pose_of(self, differences: Tensor) -> Pose:
        """`pose` by what `differences` gave."""
        part = (differences / self.contrast - 0.5).clamp(0.0, 1.0)
        x_places, y_places = self.cell_places()
        rows, columns = part.sum(2), part.sum(1)
        mass = rows.sum(1).clamp_min(1.0)
        x, y = (columns * x_places).sum(1) / mass, (rows * y_places).sum(1) / mass
        xx = (columns * x_places.square()).sum(1) / mass - x.square()
        yy = (rows * y_places.square()).sum(1) / mass - y.square()
        xy = ((part * x_places).sum(2) * y_places).sum(1) / mass - x * y
        axis, major, minor = _principal(xx, yy, xy)
        along = _along(x_places - x[:, None], y_places - y[:, None], axis)
        third = (part * along.square() * along).sum((1, 2)) / mass / major**1.5
        axis = torch.where((third < 0)[:, None], -axis, axis)
        centre = torch.stack([x, y], dim=1) * (self.cell / 2)
        return Pose(centre, axis, (major / minor).sqrt(), third.abs())

    def cell_places(self) -> tuple[Tensor, Tensor]:
        """x of columns of cells and y of rows, from the middle, in halves of a cell."""
        height, width = (length // self.cell for length in self.size)
        device = self.frame.device
        x = torch.arange(1 - width, width, 2, device=device, dtype=torch.float32)
        return x, torch.arange(1 - height, height, 2, device=device, dtype=torch.float32)

    def forward(self, images: Tensor, pose: Pose, shrink: int | None = None) -> Tensor:
        """Strips (N, h, w, 3), float32 grey levels 0..255.

        Args:
            images: (N, H, W, 3), grey levels 0..255.
            pose: of their parts.
            shrink: `self.shrink`, for a tracer, which cannot read it from the weights.
        """
        scale, first, second = self.frame.unbind()
        height, width = self.strip
        along, across = self._places(width) * scale + first, self._places(height) * scale + second
        points = _turned(along, across, pose.axis, pose.centre)
        planes = images.float().permute(0, 3, 1, 2)
        shrink = self.shrink if shrink is None else shrink
        planes = F.avg_pool2d(planes, shrink) if shrink > 1 else planes
        grid = points * self._norm(self.size)
        return F.grid_sample(planes, grid, padding_mode="border", align_corners=False).permute(0, 2, 3, 1)

    def back(self, maps: Tensor, pose: Pose) -> Tensor:
        """Maps (N, h, w) of strips to maps (N, H, W) of images: faded at the strip's ends, 0 beyond."""
        scale, first, second = self.frame.unbind()
        height, width = self.size
        inverse = pose.axis * pose.axis.new_tensor([1.0, -1.0])
        # The image's middle as the strip has it.
        x, y = pose.centre.unbind(1)
        cosine, sine = pose.axis.unbind(1)
        middle = torch.stack([-x * cosine - y * sine - first, x * sine - y * cosine - second], dim=1)
        points = _turned(self._places(width), self._places(height), inverse, middle)
        fading = self._fading(self.strip[0])[:, None] * self._fading(self.strip[1])
        grid = points * (self._norm(self.strip) / scale)
        return F.grid_sample((maps * fading)[:, None], grid, padding_mode="zeros", align_corners=False)[:, 0]

    @property
    def shrink(self) -> int:
        """Pixels of the image, along each axis, that are averaged before they are sampled: no aliasing."""
        wanted = int(self.frame[0].item())
        return next((n for n in range(wanted, 1, -1) if not any(side % n for side in self.size)), 1)

    def _places(self, length: int) -> Tensor:
        """Centres of so many pixels in a row, from the row's middle."""
        return torch.arange(length, device=self.frame.device, dtype=torch.float32) - (length - 1) / 2

    def _norm(self, size: tuple[int, int]) -> Tensor:
        """What pixels of a plane of (height, width), x and y, are multiplied by for `grid_sample`."""
        return self.frame.new_tensor([2.0 / size[1], 2.0 / size[0]])

    def _fading(self, length: int) -> Tensor:
        """Weights along a strip, 1 but for its ends."""
        end = length / 2 - self._places(length).abs()
        return (end / FADE).clamp_max(1.0)


def _principal(xx: Tensor, yy: Tensor, xy: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Unit eigenvector (N, 2) of covariances with the larger eigenvalue, and both eigenvalues (N,)."""
    half = (xx - yy) / 2
    spread = (half.square() + xy.square()).sqrt()
    # Of the two forms of the eigenvector the one in which nothing cancels.
    wide = half >= 0
    longer = spread + half.abs()
    vector = torch.stack([torch.where(wide, longer, xy), torch.where(wide, xy, longer)], dim=1)
    # What has no axis lies as it lies.
    vector = torch.where((spread > 1e-3)[:, None], vector, vector.new_tensor([1.0, 0.0]))
    axis = vector / vector.square().sum(1, keepdim=True).sqrt()
    middle = (xx + yy) / 2
    return axis, (middle + spread).clamp_min(_LEAST_MOMENT), (middle - spread).clamp_min(_LEAST_MOMENT)


def _along(x: Tensor, y: Tensor, axis: Tensor) -> Tensor:
    """Coordinates (N, h, w) along an axis (N, 2) of a raster's points, x (N, w) by y (N, h)."""
    return (x * axis[:, :1])[:, None, :] + (y * axis[:, 1:])[:, :, None]


def _turned(x: Tensor, y: Tensor, axis: Tensor, centre: Tensor) -> Tensor:
    """Points of a raster, x (w,) by y (h,), turned by `axis` and moved by `centre`: (N, h, w, 2)."""
    across = torch.stack([-axis[:, 1], axis[:, 0]], dim=1)
    moved = x[None, None, :, None] * axis[:, None, None] + y[None, :, None, None] * across[:, None, None]
    return moved + centre[:, None, None]
