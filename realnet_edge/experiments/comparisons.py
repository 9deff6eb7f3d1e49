"""The paper's comparisons as data: sources of anomalies, and RealNet beside other methods.

Source: Zhang, Xu and Zhou, CVPR 2024, arXiv:2403.05897, section 4 and the supplementary material.
"""

from __future__ import annotations

from realnet_edge.experiments.experiment import ACCURACY, AUROCS, SIA, TEXTURES, Change, Experiment, Row
from realnet_edge.experiments.paper_figures import TABLE_1, TABLE_3, TABLE_S1, TABLE_S2, Published

_OTHERS = "another method, which this package does not implement"
_ONE_MODEL = (
    "One model is trained for all the categories named here together, and judged on each by itself; fewer of "
    "them are an easier task than the paper's 15."
)
_FOREGROUNDS = (
    "Ours places anomalies on each category's own foreground, so training knows which image is of which "
    "category; the paper's did not."
)
_MULTI_CLASS = (
    ("draem", "DRAEM", (88.1, 87.2)),
    ("padim", "PaDiM", (84.2, 89.5)),
    ("uniad", "UniAD", (96.5, 96.8)),
    ("omnial", "OmniAL", (97.2, 98.3)),
)


def _others(published: dict[str, Published], labels: dict[str, str]) -> tuple[Row, ...]:
    return tuple(Row.absent(name, label, published[name], _OTHERS) for name, label in labels.items())


def _own_source() -> Row:
    return Row("own", "RealNet, source of the preset", Change(), Published())


def _synthesis(published: dict[str, Published]) -> tuple[Row, ...]:
    """Rows of Tables 1 and 3, and ours: the preset's own source, which stands in where there is no SIA."""
    return (*_sources(published), _own_source())


def _sources(published: dict[str, Published]) -> tuple[Row, ...]:
    """A row for each way to make anomalies that the paper compares."""
    labels = {SIA: "SIA", "dtd": "DTD", "cutpaste": "CutPaste", "nsa": "NSA"}
    return tuple(
        Row(name, labels[name], Change(source=TEXTURES if name == "dtd" else name), figures)
        for name, figures in published.items()
    )


def _realnet(published: dict[str, Published]) -> tuple[Row, ...]:
    """The two RealNet columns of Tables S1 and S2, and ours."""
    return (
        Row("sia", "RealNet (SIA)", Change(source=SIA), published["sia"]),
        Row("dtd", "RealNet (DTD)", Change(source=TEXTURES), published["dtd"]),
        _own_source(),
    )


COMPARISONS = (
    Experiment(
        "table1",
        "Table 1",
        "anomaly synthesis on MVTec AD",
        "mvtec",
        ACCURACY,
        _synthesis(TABLE_1),
    ),
    Experiment(
        "table3",
        "Table 3",
        "anomaly synthesis on MPDD",
        "mpdd",
        ACCURACY,
        _synthesis(TABLE_3),
    ),
    Experiment(
        "tableS1",
        "Table S1",
        "methods on BTAD",
        "btad",
        AUROCS,
        (
            *_others(
                TABLE_S1,
                {
                    "vt-adl": "VT-ADL",
                    "p-svdd": "P-SVDD",
                    "fastflow": "FastFlow",
                    "spade": "SPADE",
                    "rd++": "RD++",
                },
            ),
            *_realnet(TABLE_S1),
        ),
    ),
    Experiment(
        "tableS2",
        "Table S2",
        "methods on VisA",
        "visa",
        AUROCS,
        (
            *_others(
                TABLE_S2,
                {"spade": "SPADE", "fastflow": "FastFlow", "draem": "DRAEM", "patchcore": "PatchCore"},
            ),
            *_realnet(TABLE_S2),
        ),
    ),
    Experiment(
        "tableS5",
        "Table S5",
        "one model for all categories of MVTec AD",
        "mvtec",
        AUROCS,
        (
            *(Row.absent(name, label, Published(cells), _OTHERS) for name, label, cells in _MULTI_CLASS),
            Row(
                "realnet",
                "RealNet (ResNet50, DTD)",
                Change(source=TEXTURES, backbone="resnet50", planes=(256, 512, 512, 256)),
                Published((97.3, 98.4)),
            ),
            _own_source(),
        ),
        (_ONE_MODEL, _FOREGROUNDS),
        joined=True,
    ),
    Experiment(
        "tableS6",
        "Table S6",
        "image quality of synthetic anomalies on MVTec AD",
        "mvtec",
        ("fid", "lpips"),
        _sources(
            {
                "dtd": Published((120.52, 0.16), deviation=(0.63, 0.00)),
                "cutpaste": Published((77.34, 0.11), deviation=(0.09, 0.00)),
                "nsa": Published((68.76, 0.09), deviation=(0.16, 0.01)),
                SIA: Published((60.39, 0.18), deviation=(1.26, 0.01)),
            }
        ),
        of_images=True,
    ),
)
