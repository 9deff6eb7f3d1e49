"""Industrial cameras: the simulator that comes with GenICam's own bindings, behind a real GenTL producer."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from waiting_peers import Watched

from realnet_edge.camera.genicam import PRODUCERS, GenICamCamera, waits_for_trigger
from realnet_edge.camera.streams import StreamLostError
from realnet_edge.errors import ConfigError

genicam = pytest.importorskip("genicam", reason="no GenICam: pip install 'realnet-edge[genicam]'")
PRODUCER = Path(str(genicam.__file__)).parent / "viky.cti"
pytestmark = pytest.mark.skipif(not PRODUCER.exists(), reason="this version of genicam has no simulator")


@pytest.fixture
def watched(monkeypatch: pytest.MonkeyPatch) -> Iterator[Watched]:
    monkeypatch.setenv(PRODUCERS, str(PRODUCER.parent))
    reading = Watched("genicam:VikyTL_DEV_green", 10.0)
    yield reading
    reading.stop()


def test_pictures_of_a_camera_come_as_rgb(watched: Watched) -> None:
    watched.wait(lambda: len(watched.frames) >= 5)
    assert watched.phases() == ["connecting", "live"]
    assert watched.source.name == "genicam:VikyTL_DEV_green"
    image = watched.frames[2].image
    assert image is not None
    # A green ball of 20x20 on white; the simulator sends RGBa8.
    assert (image.shape, image.dtype) == ((400, 400, 3), np.uint8)
    colours, counts = np.unique(image.reshape(-1, 3), axis=0, return_counts=True)
    found = {tuple(int(v) for v in colour): int(count) for colour, count in zip(colours, counts, strict=True)}
    assert found == {(0, 255, 0): 400, (255, 255, 255): 400 * 400 - 400}
    # Each is memory of its own, not the producer's buffer.
    assert len({frame.image.tobytes() for frame in watched.frames[:5] if frame.image is not None}) > 1


def test_one_camera_after_the_other_and_one_that_is_taken() -> None:
    by_place = GenICamCamera("0", 10.0, PRODUCER)
    pictures = by_place.pictures()
    assert next(pictures).image is not None
    # Somebody else has it: it is waited for, like one that is away.
    with pytest.raises(StreamLostError):
        next(GenICamCamera("VikyTL_DEV_red", 10.0, PRODUCER).pictures())
    pictures.close()
    assert next(by_place.pictures()).image is not None


def test_a_camera_that_stops_sending_is_lost_and_found_again() -> None:
    camera = GenICamCamera("2", 0.5, PRODUCER)
    pictures = camera.pictures()
    next(pictures)
    # What it is taken from stops, and nobody says so.
    pictures.gi_frame.f_locals["acquirer"].stop()  # type: ignore[attr-defined]
    with pytest.raises(StreamLostError, match=r"no picture for 0\.5 s"):
        list(pictures)
    assert next(camera.pictures()).image is not None


def test_a_camera_that_is_not_there_is_waited_for_with_what_is_there() -> None:
    with pytest.raises(StreamLostError, match=r"no camera 4711; found: .*VikyTL_DEV_red.*VikyTL_DEV_blue"):
        next(GenICamCamera("4711", 1.0, PRODUCER).pictures())


_FEATURES = """<?xml version="1.0"?><RegisterDescription
 xmlns="http://www.genicam.org/GenApi/Version_1_1" ModelName="x" VendorName="y" StandardNameSpace="GEV"
 SchemaMajorVersion="1" SchemaMinorVersion="1" SchemaSubMinorVersion="0" MajorVersion="1" MinorVersion="0"
 SubMinorVersion="0" ProductGuid="1F3C6A72-7842-4edd-9130-E2E90A2058BA"
 VersionGuid="7645D2A1-A41E-4ac6-B486-1531FB7BECE6">
<Category Name="Root"><pFeature>TriggerMode</pFeature><pFeature>TriggerSelector</pFeature></Category>
<Enumeration Name="TriggerSelector">
 <EnumEntry Name="AcquisitionStart"><Value>0</Value></EnumEntry>
 <EnumEntry Name="FrameStart"><Value>1</Value></EnumEntry><Value>0</Value></Enumeration>
<Enumeration Name="TriggerMode"><EnumEntry Name="Off"><Value>0</Value></EnumEntry>
 <EnumEntry Name="On"><Value>1</Value></EnumEntry><Value>1</Value></Enumeration>
<Port Name="Device"/></RegisterDescription>"""


def test_a_camera_with_a_trigger_of_its_own_is_told_by_its_features() -> None:
    from genicam.genapi import NodeMap

    nodes = NodeMap()
    nodes.load_xml_from_string(_FEATURES)
    assert waits_for_trigger(nodes)
    assert nodes.TriggerSelector.value == "FrameStart"
    nodes.TriggerMode.value = "Off"
    assert not waits_for_trigger(nodes)


def test_a_camera_that_waits_for_its_trigger_is_not_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("realnet_edge.camera.genicam.waits_for_trigger", lambda nodes: True)
    camera = GenICamCamera("2", 0.3, PRODUCER)
    pictures = camera.pictures()
    next(pictures)
    acquirer = pictures.gi_frame.f_locals["acquirer"]  # type: ignore[attr-defined]
    acquirer.stop()
    threading.Timer(1.0, camera.interrupt).start()
    assert list(pictures) == []


def test_producers_that_cannot_be_had_are_said_at_the_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(PRODUCERS, raising=False)
    with pytest.raises(ConfigError, match=r"which is not set.*--genicam-producer"):
        GenICamCamera("0", 1.0)
    monkeypatch.setenv(PRODUCERS, str(tmp_path))
    with pytest.raises(ConfigError, match="no GenTL producer"):
        GenICamCamera("0", 1.0)
    with pytest.raises(ConfigError, match="no such GenTL producer"):
        GenICamCamera("0", 1.0, tmp_path / "none.cti")
    broken = tmp_path / "broken.cti"
    broken.write_bytes(b"no library")
    with pytest.raises(StreamLostError, match=r"broken\.cti"):
        next(GenICamCamera("0", 1.0, broken).pictures())
