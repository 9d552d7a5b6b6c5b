"""Secrets: read from where the file says, never shown."""

import os

import pytest

from agent.config.read import examine, read

SECRET = "hunter2-correct-horse"


def _with_secret(write, line):
    return write(write().read_text(), "yard.toml", (':8883"', f':8883"\nuser = "gate"\n{line}'))


def _put(path, content=SECRET + "\n", mode=0o600):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    path.chmod(mode)


def test_a_secret_is_read_from_its_file_without_the_line_end(write, tmp_path):
    _put(tmp_path / "secrets" / "mqtt", SECRET + "\r\n")
    loaded = read(_with_secret(write, 'password_file = "secrets/mqtt"'))
    assert loaded.file.mqtt.password.reveal() == SECRET
    assert SECRET not in repr(loaded)
    assert SECRET not in str(loaded.file)


def test_spaces_belong_to_a_secret(write, tmp_path):
    _put(tmp_path / "mqtt", f" {SECRET} \n")
    assert read(_with_secret(write, 'password_file = "mqtt"')).file.mqtt.password.reveal() == f" {SECRET} "


def test_a_secret_is_read_from_the_environment(write):
    loaded = read(_with_secret(write, 'password_env = "PW"'), environment={"PW": SECRET})
    assert loaded.file.mqtt.password.reveal() == SECRET


@pytest.mark.parametrize(
    ("content", "mode", "words"),
    [
        (None, 0o600, "there is no file"),
        ("\n", 0o600, "is empty"),
        ("", 0o600, "is empty"),
        (b"\xff\xfe\x00", 0o600, "is not text"),
        (SECRET, 0o644, "everybody on this machine can read"),
    ],
)
def test_a_secret_file_that_is_not_right_names_the_file(write, tmp_path, content, mode, words):
    file = tmp_path / "secrets" / "mqtt"
    if content is not None:
        _put(file, content, mode)
    _, (found,) = examine(_with_secret(write, 'password_file = "secrets/mqtt"'), on_this_machine=False)
    assert found.where == "yard.toml:27 mqtt.password_file"
    assert words in found.what
    assert str(file) in found.what


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads every file")
def test_a_secret_file_of_somebody_else(write, tmp_path):
    _put(tmp_path / "mqtt", SECRET, 0o000)
    _, (found,) = examine(_with_secret(write, 'password_file = "mqtt"'), on_this_machine=False)
    assert "cannot be read" in found.what


def test_a_folder_is_no_secret(write, tmp_path):
    (tmp_path / "mqtt").mkdir()
    _, (found,) = examine(_with_secret(write, 'password_file = "mqtt"'), on_this_machine=False)
    assert "there is no file" in found.what


@pytest.mark.parametrize(
    "line",
    [
        f'password = "{SECRET}"',
        f'pasword = "{SECRET}"',
        f'password_env = "{SECRET}"',
        f'token = {{ value = "{SECRET}" }}',
        f'keepalive_s = 3\npassword = "{SECRET}"',
    ],
)
def test_a_secret_in_the_file_is_a_problem_that_does_not_show_it(write, line):
    loaded, found = examine(_with_secret(write, line), environment={}, on_this_machine=True)
    assert found
    for problem in found:
        assert SECRET not in str(problem)
        assert SECRET not in repr(problem)
    assert any(problem.where.startswith(("yard.toml:27", "yard.toml:28")) for problem in found)
    assert SECRET not in repr(loaded.file)


@pytest.mark.parametrize(
    ("old", "url"),
    [
        ("rtsp://10.0.0.7/stream1", f"rtsp://viewer:{SECRET}@10.0.0.7/stream1"),
        ("rtsp://10.0.0.7/stream1", f"rtsp://viewer:{SECRET}@x@10.0.0.7/stream1"),
        ("rtsp://10.0.0.7/stream1", f"http://:{SECRET}@10.0.0.7/"),
        ("mqtts://broker.example.com:8883", f"mqtts://gate:{SECRET}@broker.example.com"),
        ("mqtts://broker.example.com:8883", f"mqtt:/gate:{SECRET}@broker.example.com"),
        ("mqtts://broker.example.com:8883", f"mqtts://gate:{SECRET}@[broken"),
    ],
)
def test_a_password_in_an_address_is_a_problem_that_does_not_show_it(problems, old, url):
    (found,) = problems((old, url), on_this_machine=False)
    assert SECRET not in found


def test_both_file_and_variable(write, tmp_path):
    _put(tmp_path / "mqtt")
    _, (found,) = examine(
        _with_secret(write, 'password_file = "mqtt"\npassword_env = "PW"'),
        environment={"PW": SECRET},
        on_this_machine=False,
    )
    assert found.where == "yard.toml:28 mqtt.password_env"
