"""What the figures mean: a sentence each, for a reader who meets them for the first time."""

from __future__ import annotations

MEANINGS: tuple[tuple[str, str], ...] = (
    (
        "Image AUROC",
        "How often a defect image, drawn at random, scores higher than a random good one: 100% is perfect, "
        "50% is a coin; no threshold enters.",
    ),
    (
        "By the maximum, by 16x16 means",
        "The image AUROC if an image's score were the largest value of its anomaly map, or the largest mean "
        "over 16 x 16 pixels as in the published RealNet code: what the choice of the rule is worth.",
    ),
    (
        "Pixel AUROC",
        "The same for single pixels of all images, defect against normal; it is high even when small defects "
        "are missed, since most pixels are easy.",
    ),
    (
        "AU-PRO",
        "The share of each marked defect region that the anomaly map covers, averaged over regions and "
        "over false-positive rates up to 30%, as the authors of MVTec AD define it: small defects "
        "count as much as large ones.",
    ),
    (
        "PRO reference",
        "The same idea computed the way the published RealNet code does (1,000 thresholds, the "
        "false-positive axis rescaled without interpolation): compare it "
        "with the RealNet paper's figures only.",
    ),
    (
        "AP (average precision)",
        "How much of what is called a defect is one, averaged over all thresholds from the highest down; "
        "unlike AUROC it falls with how rare defects are, so pixels score lower than images.",
    ),
    (
        "F1-max",
        "The best balance of defects found and false alarms that any threshold could reach, chosen with the "
        "answers at hand: a threshold set on good parts alone reaches less.",
    ),
    (
        "Image score",
        "One number from 0 to 1 an image, made from the highest part of its anomaly map; higher is worse.",
    ),
    (
        "Threshold",
        "The image score above which an image is called a defect, set on good images that were kept out of "
        "training so that few good parts are rejected.",
    ),
    (
        "Engine latency",
        "Time of one call of the engine on an image that is already decoded; p50, p90 and p99 are the times "
        "that half, nine in ten and 99 in 100 of the calls stay within.",
    ),
    (
        "End to end (e2e)",
        "Time from the encoded frame to the decision: decoding, resizing, the engine and the comparison with "
        "the threshold. This is what a production line sees.",
    ),
    ("FPS", "Images a second that the same measurement gives, batches included."),
    (
        "Drift",
        "What changed against FP32 PyTorch on the same images through conversion, lower precision or another "
        "runtime; points are percentage points of the metric, minus is a loss.",
    ),
    (
        "95% interval",
        "Where the figure would lie in 95 of 100 test sets of as many images, from drawing these images anew "
        "2,000 times, whole images at once; for a drift, both engines are drawn on the same images. A drift "
        "whose interval holds 0 cannot be told from chance with so few images.",
    ),
    ("Decisions flipped", "Images that the engine calls good and FP32 PyTorch a defect, or the reverse."),
    (
        "RRS rank swaps",
        "Residual channels that the engine ranks differently than FP32 PyTorch does; many swaps explain a "
        "large drift of the maps, few swaps are harmless. They mean nothing where RRS hands channels on in "
        "plane order, as in the presets `edge` and `demo`.",
    ),
    (
        "RRS planes exchanged",
        "Residual channels that the engine chose and FP32 PyTorch did not, whatever their ranks.",
    ),
    (
        "Verdict and budget",
        "Pass means that the engine keeps at least the budgeted share of FP32 PyTorch's accuracy, such as "
        "99%; fail means that it does not, however fast it is.",
    ),
)
