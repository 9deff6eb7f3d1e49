"""Parts that machines announce or send over HTTP."""

from realnet_edge.intake.http_trigger import HttpTrigger
from realnet_edge.intake.posted import PostedSource

__all__ = ["HttpTrigger", "PostedSource"]
