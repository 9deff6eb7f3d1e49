"""Memory and streams of an NVIDIA GPU without torch, behind one small interface."""

from realnet_edge.runtime.cuda.device import CudaDevice, Graph, open_device
from realnet_edge.runtime.cuda.images import DeviceImages
from realnet_edge.runtime.cuda.packages import PACKAGES, find_package

__all__ = ["PACKAGES", "CudaDevice", "DeviceImages", "Graph", "find_package", "open_device"]
