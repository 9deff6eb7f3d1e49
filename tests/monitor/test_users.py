from __future__ import annotations

from pathlib import Path

import pytest

from realnet_edge.errors import ConfigError
from realnet_edge.monitor.users import OPERATOR, VIEWER, User, find, read_users, write_users


def test_a_file_gives_back_who_was_written_and_no_password(tmp_path: Path) -> None:
    path = tmp_path / "users"
    anna = User.new("anna", OPERATOR, "a good password")
    write_users(path, {"anna": anna, "bert": User("bert", VIEWER, bytes(16), bytes(32))})
    assert path.stat().st_mode & 0o777 == 0o600
    text = path.read_text()
    assert "password" not in text
    users = read_users(path)
    assert [(user.name, user.role) for user in users.values()] == [("anna", OPERATOR), ("bert", VIEWER)]
    assert find(users, "anna", "a good password") == anna
    assert find(users, "anna", "a good passwore") is None
    assert find(users, "bert", "a good password") is None
    assert find(users, "carla", "a good password") is None


def test_one_password_twice_is_two_hashes() -> None:
    first, second = (User.new("anna", VIEWER, "a good password") for _ in range(2))
    assert first.salt != second.salt
    assert first.key != second.key


def test_nobody_is_let_in_by_what_stands_for_nobody() -> None:
    assert find({}, "-", "") is None
    assert find({}, "", "") is None


@pytest.mark.parametrize(
    ("name", "role", "password", "message"),
    [
        ("an:na", VIEWER, "a good password", "names have up to 64 letters"),
        ("", VIEWER, "a good password", "names have up to 64 letters"),
        ("anna", "admin", "a good password", "valid are viewer and operator"),
        ("anna", VIEWER, "short", "has 5 characters: give 10 to 256"),
        ("anna", VIEWER, "x" * 257, "has 257 characters"),
    ],
)
def test_what_cannot_be_taken_is_refused(name: str, role: str, password: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        User.new(name, role, password)


@pytest.mark.parametrize(
    "line",
    ["", "anna", "anna:viewer:scrypt:00:00", f"anna:admin:scrypt:{'00' * 16}:{'00' * 32}", "a:b:c:d:e:f"],
)
def test_a_line_of_another_form_is_refused_and_not_shown(tmp_path: Path, line: str) -> None:
    path = tmp_path / "users"
    path.write_text(f"{line}\n")
    with pytest.raises(ConfigError, match="line 1: no user as") as caught:
        read_users(path)
    assert not line or f"{line}." not in str(caught.value)


def test_a_missing_file_says_what_makes_it(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="realnet-edge users add NAME --file"):
        read_users(tmp_path / "nothing")
