"""What a good file becomes: typed, over it its overlays, names filled in, paths absolute, a digest."""

import pytest

from agent.config.read import examine, read
from agent.config.write import recorded_toml
from agent.problems import Problem, Problems
from agent.sources import camera, serial_sensor
from agent.values import Secret


def test_tables_are_typed_by_their_rooms(write, tmp_path):
    loaded = read(write())
    lane = loaded.file.lane["yard"]
    assert lane.source.kind == "camera"
    assert isinstance(lane.source.config, camera.Config)
    assert isinstance(loaded.file.lane["pump"].source.config, serial_sensor.Config)
    assert list(loaded.file.lane) == ["yard", "pump"]
    assert lane.zone["dock"].polygon == ((0.1, 0.2), (0.5, 0.2), (0.5, 0.9))
    assert lane.summaries == ("m1", "h1")
    assert loaded.device == "north-farm/gate-07"
    assert loaded.where("lane", "pump", "window", "hop_s") == "yard.toml:18 lane.pump.window.hop_s"


def test_relative_paths_begin_at_the_file(write, tmp_path, monkeypatch):
    write(name="etc/yard.toml")
    write('[device]\ndata = "store"\n[lane.yard.source]\nurl = "../clips/a.avi"\n', "etc/conf.d/10-paths.toml")
    monkeypatch.chdir(tmp_path)
    file = read(tmp_path / "etc" / "yard.toml").file
    assert file.lane["yard"].model["faces"].path == str(tmp_path / "etc" / "faces.tflite")
    assert file.device.data == str(tmp_path / "etc" / "conf.d" / "store")
    assert file.lane["yard"].source.config.url == str(tmp_path / "etc" / "clips" / "a.avi")
    assert file.lane["pump"].source.config.port == "/dev/serial/by-id/usb-one"


def test_overlays_join_tables_in_order_of_name_and_problems_name_the_file_that_set_the_value(write):
    path = write()
    write('[device]\nname = "gate-08"\n[store]\nmax_loss_s = 1\n', "conf.d/20-second.toml")
    write('[device]\nname = "gate-09"\n[mqtt]\nuser = "one"\n', "conf.d/10-first.toml")
    loaded = read(path)
    assert loaded.file.device.name == "gate-08"
    assert loaded.file.device.site == "north-farm"
    assert loaded.file.mqtt.user == "one"
    assert loaded.file.mqtt.url == "mqtts://broker.example.com:8883"

    write("[store]\n\nmax_loss_s = 100\n[lane.yard.model.faces]\nscor = 1\n", "conf.d/30-wrong.toml")
    write("[lane.yard\n", "conf.d/40-broken.toml")
    _, found = examine(path, on_this_machine=False)
    assert [problem.where for problem in found] == ["conf.d/40-broken.toml:1"]
    write("", "conf.d/40-broken.toml")
    _, found = examine(path, on_this_machine=False)
    assert [problem.where for problem in found] == [
        "conf.d/30-wrong.toml:3 store.max_loss_s",
        "conf.d/30-wrong.toml:5 lane.yard.model.faces.scor",
    ]


def test_an_overlay_replaces_a_list_and_a_value_by_a_table(write):
    path = write()
    write("[lane.yard.zone.dock]\npolygon = [[0, 0], [1, 0], [1, 1], [0, 1]]\n", "conf.d/a.toml")
    assert len(read(path).file.lane["yard"].zone["dock"].polygon) == 4
    write("device = 3\n", "conf.d/b.toml")
    _, found = examine(path, on_this_machine=False)
    assert [problem.where for problem in found] == ["conf.d/b.toml:1 device"]


def _machine(root, **files):
    for place, text in files.items():
        path = root / place.replace("__", "/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text)
    return root


def test_names_are_filled_in_from_machine_and_environment(write, tmp_path):
    root = _machine(
        tmp_path / "root",
        **{
            "proc__device-tree__serial-number": b"100000003D1D1C2F\0",
            "etc__machine-id": b"0123456789abcdef0123456789abcdef\n",
        },
    )
    _machine(root, proc__sys__kernel__hostname=b"Gate-Pi.local\n")
    path = write(
        write().read_text(),
        "yard.toml",
        ('"north-farm"', '"${SITE}"'),
        ('"gate-07"', '"cam-@serial"'),
        (':8883"', ':8883"\nuser = "@machine-id"'),
    )
    file = read(path, environment={"SITE": "north"}, root=root).file
    assert (file.device.site, file.device.name) == ("north", "cam-100000003d1d1c2f")
    assert file.mqtt.user == "0123456789abcdef0123456789abcdef"
    path = write(path.read_text(), "yard.toml", ("cam-@serial", "@hostname"))
    assert read(path, environment={"SITE": "north"}, root=root).file.device.name == "gate-pi"


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("${NOT_SET}", "NOT_SET is not set"),
        ("@serial", "no serial that the agent can read"),
        ("@machineid", '"@machineid" is nothing that is filled in'),
        ("${UPPER}", "does not fit"),
    ],
)
def test_names_that_cannot_be_filled_in_are_one_problem(problems, name, words):
    (found,) = problems(('"gate-07"', f'"{name}"'), environment={"UPPER": "Gate 7"})
    assert found.startswith("yard.toml:4 device.name: ")
    assert words in found


def test_the_digest_follows_what_the_config_says_not_how_it_is_written(write):
    path = write()
    digest = read(path).digest
    assert digest.startswith("sha256:")
    assert len(digest) == 71
    write("# a comment\n" + path.read_text())
    assert read(path).digest == digest
    write('[device]\nname = "gate-08"\n', "conf.d/a.toml")
    changed = read(path).digest
    assert changed != digest
    write('[device]\nname = "${NAME}"\n', "conf.d/a.toml")
    assert read(path, environment={"NAME": "gate-08"}).digest == changed


def test_the_digest_does_not_depend_on_secrets(write):
    path = write(write().read_text(), "yard.toml", (':8883"', ':8883"\npassword_env = "PW"'))
    first, second = (read(path, environment={"PW": word}) for word in ("one", "two"))
    assert first.file.mqtt.password == Secret("one")
    assert first.digest == second.digest


def test_what_is_recorded_reads_as_the_same_lanes_and_holds_no_secret(write):
    path = write(
        write().read_text(),
        "yard.toml",
        ('stream1"', 'stream1"\nuser = "viewer"\npassword_env = "PW"'),
        ('label = "face"', 'label = "a \\"b\\" \\u007f"'),
    )
    loaded = read(path, environment={"PW": "hunter2"})
    text = recorded_toml(loaded.effective, {})
    for kept_out in ("PW", "hunter2", "viewer", "mqtt", "broker.example.com"):
        assert kept_out not in text
    again = read(write(text, "elsewhere/config.toml")).file
    assert again.lane["pump"] == loaded.file.lane["pump"]
    assert again.lane["yard"].model == loaded.file.lane["yard"].model
    assert again.rule == loaded.file.rule
    assert again.device == loaded.file.device


def test_files_of_windows_editors(write):
    path = write()
    digest = read(path).digest
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes().replace(b"\n", b"\r\n"))
    loaded = read(path)
    assert loaded.digest == digest
    assert loaded.where("lane", "pump", "window", "hop_s") == "yard.toml:18 lane.pump.window.hop_s"


def test_only_some_lanes(write):
    loaded = read(write()).only(["pump"])
    assert list(loaded.file.lane) == ["pump"]
    assert loaded.file.rule == {}
    assert list(loaded.effective["lane"]) == ["pump"]


def test_wrong_configs_are_never_given_out(write):
    with pytest.raises(Problems):
        read(write(write().read_text(), "yard.toml", ("version = 1", "version = 9")))


def test_a_problem_of_a_running_lane_gets_its_file_and_line(tmp_path):
    path = tmp_path / "yard.toml"
    path.write_text(
        'version = 1\n[device]\nsite = "a"\nname = "b"\ndata = "data"\n[lane.yard.source]\nkind = "images"\npath = "pictures"\n'
        '[lane.yard.model.view]\ncatalogue = "view"\n'
    )
    loaded = read(path)

    def placed(where: str) -> str:
        return loaded.placed(Problem(where=where, what="w", remedy="r")).where

    assert placed("lane.yard.source.path") == "yard.toml:8 lane.yard.source.path"
    assert placed("lane.yard.source.path (pictures/1.png)") == "yard.toml:8 lane.yard.source.path (pictures/1.png)"
    assert placed("lane.yard.model.view.sha256") == "yard.toml:9 lane.yard.model.view.sha256"
    assert placed("mqtt.url") == "mqtt.url"
