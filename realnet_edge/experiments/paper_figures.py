"""The figures of the paper's tables by category, as printed, in percent.

Source: Zhang, Xu and Zhou, "RealNet: A Feature Selection Network with Realistic Synthetic Anomaly for Anomaly
Detection", CVPR 2024, arXiv:2403.05897, and its supplementary material. A cell holds the figures of a method
in the order of the table's metrics; "-" where the paper has none. Categories bear the names of their folders.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

Figures = tuple[float | None, ...]
AVERAGE = "average"


@dataclass(frozen=True)
class Published:
    """What the paper prints of one setting.

    Attributes:
        average: over all categories of the data set, one figure a metric; empty where the paper states none.
        by_category: the same of single categories, where the table has them.
        deviation: beside the average, where the paper gives it.
    """

    average: Figures = ()
    by_category: Mapping[str, Figures] = field(default_factory=dict)
    deviation: Figures = ()


def _columns(text: str) -> dict[str, Published]:
    """A first line of column names, then a category a line, the last of them being the average."""
    head, *lines = (line.split() for line in text.strip().splitlines())
    cells = {name: [_figures(cell) for cell in rest] for name, *rest in lines}
    return {
        column: Published(
            average=cells[AVERAGE][place],
            by_category={name: row[place] for name, row in cells.items() if name != AVERAGE},
        )
        for place, column in enumerate(head)
    }


def _figures(cell: str) -> Figures:
    return tuple(None if part == "-" else float(part) for part in cell.split("/"))


# MVTec AD: image AUROC / pixel AUROC / PRO.
TABLE_1 = _columns(
    """
    sia dtd nsa cutpaste
    bottle      100.0/99.30/95.62  100.0/99.35/95.57  100.0/99.37/93.49  100.0/99.14/91.41
    cable       99.19/98.10/93.38  98.95/97.84/90.36  99.33/97.62/93.26  96.35/96.23/86.05
    capsule     99.56/99.32/84.48  99.32/99.19/82.28  99.04/99.27/85.77  98.48/99.10/79.55
    carpet      99.84/99.19/96.41  100.0/99.27/96.96  99.80/98.60/88.77  99.24/98.42/93.85
    grid        100.0/99.51/97.28  100.0/99.57/97.14  100.0/99.32/91.31  100.0/99.18/92.53
    hazelnut    100.0/99.68/93.14  100.0/99.46/93.46  100.0/99.25/94.41  100.0/99.03/91.51
    leather     100.0/99.76/96.22  100.0/99.77/96.41  100.0/99.24/96.85  100.0/99.41/92.12
    metal_nut   99.76/98.58/94.39  99.90/98.58/96.49  100.0/99.11/93.27  99.90/98.03/89.69
    pill        99.13/99.02/91.04  98.36/98.88/84.44  97.19/98.28/95.15  97.22/98.96/86.48
    screw       98.83/99.45/87.90  97.72/99.36/85.22  98.79/99.62/93.74  92.74/98.53/79.63
    tile        99.96/99.44/97.70  100.0/99.35/95.27  100.0/97.40/86.45  99.86/97.63/84.39
    toothbrush  99.44/98.71/91.57  99.44/98.69/90.87  100.0/99.18/89.20  99.17/98.85/78.48
    transistor  100.0/98.00/92.92  99.71/97.15/86.56  98.54/95.67/79.09  99.38/96.32/76.52
    wood        99.21/98.22/90.54  99.65/98.28/91.23  97.63/93.30/87.20  98.95/95.29/81.47
    zipper      99.82/99.17/93.43  99.68/99.02/88.77  99.90/98.91/93.05  99.61/98.03/92.26
    average     99.65/99.03/93.07  99.52/98.92/91.40  99.35/98.28/90.73  98.73/98.14/86.40
    """
)

# MPDD: image AUROC / pixel AUROC / PRO.
TABLE_3 = _columns(
    """
    sia dtd cutpaste
    bracket_black  94.95/99.27/87.10  89.49/98.90/88.57  66.42/96.67/56.53
    bracket_brown  96.83/97.81/94.36  92.99/97.35/92.64  95.48/97.54/55.17
    bracket_white  88.78/97.44/84.00  86.67/98.59/77.08  88.44/96.51/64.32
    connector      100.0/97.46/84.79  99.05/97.76/65.91  99.05/98.47/74.05
    metal_plate    100.0/99.28/94.44  100.0/99.35/93.78  99.95/98.83/92.69
    tubes          97.51/97.94/93.29  92.62/99.01/96.49  91.49/98.09/92.99
    average        96.35/98.20/89.66  93.47/98.49/85.75  90.14/97.69/72.63
    """
)

# BTAD: image AUROC / pixel AUROC. The two last columns are RealNet's.
TABLE_S1 = _columns(
    """
    vt-adl p-svdd fastflow spade rd++ sia dtd
    01       -/99    95.7/91.6  -/95    91.4/97.3  96.8/96.2   100.0/98.2  100.0/98.1
    02       -/94    72.1/93.6  -/96    71.4/94.4  90.1/96.4   88.6/96.3   87.5/96.3
    03       -/77    82.1/91.0  -/99    99.9/99.1  100.0/99.7  99.6/99.4   99.4/99.6
    average  -/90.0  83.3/92.1  -/96.7  87.6/96.9  95.6/97.4   96.1/97.9   95.7/98.0
    """
)

# VisA: image AUROC / pixel AUROC. The two last columns are RealNet's.
TABLE_S2 = _columns(
    """
    spade fastflow draem patchcore sia dtd
    candle      91.0/97.9  92.8/94.9  91.8/96.6   98.6/99.5  96.1/99.1  95.0/99.0
    capsules    61.4/60.7  71.2/75.3  74.7/98.5   81.6/99.5  93.2/98.7  88.1/97.6
    cashew      97.8/86.4  91.0/91.4  95.1/83.5   97.3/98.9  97.8/98.3  95.9/97.6
    chewinggum  85.8/98.6  91.4/98.6  94.8/96.8   99.1/99.1  99.9/99.8  100.0/99.8
    fryum       88.6/96.7  88.6/97.3  97.4/87.2   96.2/93.8  97.1/96.2  95.3/95.2
    macaroni1   95.2/96.2  98.3/97.3  97.2/99.9   97.5/99.8  99.8/99.9  98.2/99.7
    macaroni2   87.9/87.5  86.3/89.2  85.0/99.2   78.1/99.1  95.2/99.6  91.8/99.3
    pcb1        72.1/66.9  77.4/75.2  47.6/88.7   98.5/99.9  98.5/99.7  97.1/99.4
    pcb2        50.7/71.1  61.9/67.3  89.8/91.3   97.3/99.0  97.6/98.0  97.5/97.8
    pcb3        90.5/95.1  74.3/94.8  92.0/98.0   97.9/99.2  99.1/98.8  97.6/98.4
    pcb4        83.1/89.0  80.9/89.9  98.6/96.8   99.6/98.6  99.7/98.6  99.2/98.6
    pipe_fryum  81.1/81.8  72.0/87.3  100.0/85.8  99.8/99.1  99.9/99.2  99.9/98.6
    average     82.1/85.6  82.2/88.2  88.7/93.5   95.1/98.8  97.8/98.8  96.3/98.4
    """
)

# MVTec AD: image AUROC / pixel AUROC / PRO. The fourth column of the printed table is `TABLE_1["sia"]`.
TABLE_S3 = _columns(
    """
    efficientnet-b4 resnet34 half
    bottle      100.0/98.83/95.96  100.0/98.56/95.91  100.0/99.41/94.37
    cable       96.36/96.33/88.61  96.31/96.32/88.68  98.35/98.01/92.99
    capsule     97.97/99.16/91.46  96.81/98.78/87.87  99.44/99.39/79.76
    carpet      100.0/98.27/96.35  99.76/98.37/94.45  99.80/98.91/96.32
    grid        99.92/99.31/97.35  100.0/99.26/97.39  100.0/99.55/96.38
    hazelnut    99.89/98.45/94.98  99.93/99.35/94.36  100.0/99.67/93.06
    leather     100.0/99.34/97.75  99.97/99.40/98.28  100.0/99.81/96.99
    metal_nut   99.07/96.90/92.65  99.17/96.68/93.34  99.90/98.75/95.10
    pill        96.10/94.86/86.60  97.55/98.23/93.17  97.85/99.19/80.73
    screw       92.95/99.05/92.68  96.99/99.09/89.57  97.99/99.28/88.60
    tile        99.49/95.69/92.10  99.93/97.40/91.65  100.0/99.27/97.20
    toothbrush  99.44/98.90/92.39  100.0/98.26/91.74  100.0/99.26/91.22
    transistor  99.58/98.57/93.63  99.33/97.70/88.53  99.79/98.26/83.34
    wood        98.77/94.47/92.67  98.16/96.35/91.46  99.56/98.22/90.76
    zipper      99.71/98.01/91.68  99.90/98.55/93.91  99.74/99.20/90.73
    average     98.62/97.74/93.12  98.92/98.15/92.69  99.49/99.07/91.17
    """
)
