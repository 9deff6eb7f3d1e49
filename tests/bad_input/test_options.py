"""Options of `run` that make no sense, alone or together: each refused before a frame is read."""

from __future__ import annotations

import shlex
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner

from realnet_edge.bundle import Bundle
from realnet_edge.cli.main import cli

# Options beside --bundle BUNDLE --source PARTS, and what is said; exit status 2 unless another one follows.
BESIDE: list[tuple[str, str]] = [
    ("--threshold nan", "--threshold nan is no image score: give a number in [0, 1]"),
    ("--threshold 1.5", "--threshold 1.5 is no image score"),
    ("--threshold -0.1", "--threshold -0.1 is no image score"),
    ("--threshold much", "'much' is not a valid float"),
    ("--threads 0", "0 is not in the range x>=1"),
    ("--limit -3", "-3 is not in the range x>=1"),
    ("--timeout 0", "--timeout 0.0: give a number of seconds above 0"),
    ("--timeout nan", "--timeout nan: give a number of seconds above 0"),
    ("--timeout inf", "--timeout inf: give a number of seconds above 0"),
    ("--batch 0", "0 is not in the range x>=1"),
    ("--batch 9", "takes 1 to 4 images at a time"),
    ("--batch-wait nan", "nan is no number: give one in the range 0<=x<=1000"),
    ("--batch-wait -1", "-1.0 is not in the range 0<=x<=1000"),
    ("--region 1,2,3", "'1,2,3' is not X,Y,WIDTH,HEIGHT in pixels"),
    ("--region 0,0,0,0", "width and height at least 1"),
    ("--region -1,0,5,5", "x and y must be at least 0"),
    ("--region 0,0,1e3,5", "is not X,Y,WIDTH,HEIGHT in pixels"),
    ("--region left=0,0,5,5", "--region left=...: no such camera"),
    ("--region 0,0,5,5 --region 0,0,6,6", "--region is given twice for the same camera"),
    ("--rotate 45", "'45' is not one of 0, 90, 180, 270"),
    ("--rotate 90 --rotate 180", "--rotate is given twice for the same camera"),
    ("--backend onnxruntime", "--bundle names one engine"),
    ("--save-all", "--save-all is for pictures in a folder: add --save FOLDER"),
    ("--around 3", "--around is for pictures in a folder: add --save FOLDER"),
    ("--around-format png", "add --around FRAMES"),
    ("--save x.mp4 --save-limit 1", "--save-limit is for pictures in a folder: x.mp4 is a video"),
    ("--keep-days 3", "add --sqlite FILE"),
    ("--sqlite {parts}/part0.png", "part0.png: cannot be used for results"),
    ("--opcua http://127.0.0.1:4840", "valid is opc.tcp://HOST:PORT"),
    ("--opcua opc.tcp://0.0.0.0:4840", "others reach this address, so give user and password"),
    ("--opcua-cert x.pem", "--opcua-cert and --opcua-key are for a server: add --opcua"),
    ("--modbus http://gate/1/0", "http://gate/1/0 is no coil: valid is modbus://HOST:PORT/UNIT/COIL"),
    ("--modbus modbus://gate/300/0", "UNIT 0 to 255"),
    ("--reject defects", "add --modbus ADDRESS"),
    ("--mqtt-discovery", "add --mqtt"),
    ("--save x.mkv", "videos are written as .mp4 or .avi"),
    ("--save /dev/null/x", "/dev/null/x: cannot be a folder of pictures (Not a directory)"),
    ("--out /", "File '/' is a directory"),
    ("--out /proc/x/y", "/proc/x/y: cannot be written"),
    ("--outbox x.db", "add --mqtt or --webhook"),
    ("--mqtt-ca x.pem", "--mqtt-ca is for a broker: add --mqtt"),
    ("--mqtt http://broker", "http://broker is no broker: valid is mqtt://HOST"),
    ("--mqtt mqtt://", "is no broker: valid is mqtt://HOST"),
    ("--mqtt mqtt://broker:99999", "mqtt://broker:99999 is no broker"),
    ("--mqtt 'mqtt://u:${NOT_SET}@broker'", "asks for ${NOT_SET}, and no such environment variable"),
    ("--mqtt mqtt://broker/a+b", "is no broker: valid is mqtt://HOST"),
    ("--mqtt mqtts://broker --mqtt-ca nope.pem", "nope.pem: no such file of certificates"),
    ("--webhook ftp://receiver", "valid is an address with http:// or https://"),
    ("--webhook http://", "--webhook: this address has no host, or no port from 1 to 65535"),
    ("--webhook http://u@receiver:x/", "--webhook: this address has no host, or no port"),
    (
        "--webhook http://u:secret@receiver/",
        "--webhook: a password on the command line can be read by everyone",
    ),
    ("--mqtt mqtts://u:secret@broker/plant", "--mqtt: a password on the command line"),
    ("--opcua opc.tcp://u:secret@0.0.0.0:4840", "--opcua: a password on the command line"),
    ("--webhook http://receiver/ --outbox {parts}/part0.png", "cannot be used as the outbox"),
    ("--web nonsense", "nonsense is no HOST:PORT with a port up to 65535"),
    ("--web :8080", ":8080 is no HOST:PORT"),
    ("--web 127.0.0.1:99999", "127.0.0.1:99999 is no HOST:PORT"),
    ("--web 0.0.0.0:0", "can be reached by other machines"),
    ("--web 127.0.0.1:0 --web-token nope", "--web-token nope: cannot be read"),
    ("--web 127.0.0.1:0 --web-token {parts}/notes.txt", "has 12 characters: give at least 16"),
    ("--web-token {parts}/notes.txt", "--web-token: for a page that is served. Add --web HOST:PORT"),
    ("--require-signature nope.pub", "nope.pub: no key can be read there"),
    ("--require-signature {parts}/notes.txt", "holds 0 PEM blocks, expected one public key"),
    ("--source {parts}", "with several each needs a name"),
    ("--colour red", "No such option '--colour'"),
    ("and more", "Got unexpected extra arguments (and more)"),
]
BESIDE_1: list[tuple[str, str]] = [
    ("--category screw", "is for 'toy', not for 'screw'"),
    ("--fallback nope", "nope: no such bundle folder"),
    ("--fallback {parts}", "holds no manifest.json"),
    ("--region 0,0,9999,9999", "11 of 11 frames were not inspected"),
]
# In place of --source PARTS.
SOURCES: list[tuple[str, int, str]] = [
    ("", 2, "Missing option '--source'"),
    ("--source ''", 2, "--source '': names nothing"),
    ("--source watch:", 2, "--source 'watch:': names nothing"),
    ("--source a=", 2, "nothing follows the name"),
    ("--source a={parts} --source a={parts}", 2, "two have the same name"),
    ("--source a=watch:{parts} --source b=watch:{parts}", 2, "given twice, and only one camera can have"),
    ("--source nope", 1, "nope: no such file or folder"),
    ("--source '*.nope'", 1, "'*.nope' matches no image"),
    ("--source {parts}/notes.txt", 1, "neither an image"),
    ("--source watch:nope", 1, "nope: no such folder to watch"),
    ("--source csi:-1", 1, "csi:-1: no such file or folder"),
    ("--source /dev/null", 1, "/dev/null: no such file or folder"),
    ("--source ftp://camera/1", 2, "ftp:// is not read as a stream"),
    ("--source rtsp://", 2, "--source: this address has no host, or no port from 1 to 65535"),
    ("--source rtsp://u@camera:999999/", 2, "--source: this address has no host, or no port"),
    ("--source rtsp://u:secret@camera/1", 2, "environment variable, and ${NAME} in its place"),
    ("--source c=rtsp://u:secret@camera/1", 2, "--source: a password on the command line"),
    ("--source rtsp://camera/ --trigger mqtt://u:secret@broker/parts", 2, "--trigger: a password on"),
    ("--source 'rtsp://u:${NOT_SET}@camera/'", 2, "asks for ${NOT_SET}, and no such environment variable"),
]
# In place of --bundle BUNDLE.
BUNDLES: list[tuple[str, int, str]] = [
    ("", 2, "give --category NAME or --bundle FOLDER"),
    ("--category ../toy", 2, "category '../toy' is not a plain name"),
    ("--category toy --backend coreml", 1, "backend 'coreml' is unknown: use tensorrt"),
    ("--category toy --precision int4", 1, "precision 'int4' is unknown: use fp32, fp16, int8"),
    ("--category toy", 1, "category 'toy' has no bundle"),
]
ROWS = [
    *((f"--bundle {{bundle}} --source {{parts}} {given}", 2, says) for given, says in BESIDE),
    *((f"--bundle {{bundle}} --source {{parts}} {given}", 1, says) for given, says in BESIDE_1),
    *((f"--bundle {{bundle}} {given}", code, says) for given, code, says in SOURCES),
    *((f"--source {{parts}} {given}", code, says) for given, code, says in BUNDLES),
]


@pytest.fixture(scope="module")
def bundle(toy_bundle: Callable[..., Bundle], tmp_path_factory: pytest.TempPathFactory) -> Path:
    return toy_bundle(tmp_path_factory.mktemp("bundle") / "b").path


@pytest.mark.parametrize(("given", "code", "says"), ROWS)
def test_options_that_make_no_sense_are_refused(
    given: str,
    code: int,
    says: str,
    bundle: Path,
    parts: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    words = [
        word.format(bundle=bundle, parts=parts)
        for word in shlex.split(given.replace("${", "${{").replace("SET}", "SET}}"))
    ]

    done = CliRunner().invoke(cli, ["run", *words])

    assert done.exit_code == code, done.output
    assert says in " ".join(done.stderr.split())
    # A password in what was given is in no message.
    assert "secret" not in done.output
