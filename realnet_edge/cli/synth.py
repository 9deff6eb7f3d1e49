"""`realnet-edge synth`: look at synthetic anomalies, and measure them, before training on them."""

from __future__ import annotations

import click

from realnet_edge.cli import synth_classifier, synth_preview, synth_sample, synth_train
from realnet_edge.cli.synth_quality import command as quality


@click.group()
def command() -> None:
    """Synthetic anomalies, which training uses in place of real defects."""


for _command in (
    synth_preview.preview,
    synth_train.command,
    synth_classifier.command,
    synth_sample.sample,
    synth_sample.strengths,
    quality,
):
    command.add_command(_command)
