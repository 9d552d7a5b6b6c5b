"""Every mistake at once, each with its line and what to do."""

import pytest

from agent.config.read import examine, read
from agent.problems import Exit, Problems

TWELVE = """\
version = 1
[device]
site = "North Farm"
data = "data"
[lane.yard]
summaries = ["m1", "d7"]
[lane.yard.source]
kind = "camera"
url = "rtsp://10.0.0.7/stream1"
loop = "yes"
[lane.yard.model.faces]
paht = "faces.tflite"
score = -0.5
delegates = ["xnpack"]
[lane.yard.model.view]
path = "view.tflite"
catalogue = "view"
[lane.pump.source]
kind = "serial_sensr"
[lane.pump.model.bearing]
path = "bearing.tflite"
[rule.somebody]
lane = "yrad"
label = "face"
for_s = nan
[mqtt]
url = "mqtt://broker.example.com"
"""
EXPECTED = [
    ("yard.toml:2 device.name", "is missing"),
    ("yard.toml:3 device.site", "does not fit"),
    ("yard.toml:6 lane.yard.summaries[1]", "does not fit"),
    ("yard.toml:10 lane.yard.source.loop", "must be true or false"),
    ("yard.toml:11 lane.yard.model.faces.path", "is missing"),
    ("yard.toml:12 lane.yard.model.faces.paht", 'Did you mean "path"?'),
    ("yard.toml:13 lane.yard.model.faces.score", "at least 0"),
    ("yard.toml:14 lane.yard.model.faces.delegates[0]", 'Did you mean "xnnpack"?'),
    ("yard.toml:17 lane.yard.model.view.catalogue", "Keep one of the two"),
    ("yard.toml:19 lane.pump.source.kind", 'Did you mean "serial_sensor"?'),
    ("yard.toml:23 rule.somebody.lane", 'Did you mean "yard"?'),
    ("yard.toml:25 rule.somebody.for_s", "out of range"),
    ("yard.toml:27 mqtt.url", "unencrypted"),
]


def test_a_file_with_many_mistakes_names_them_all_in_order(write):
    with pytest.raises(Problems) as caught:
        read(write(TWELVE))
    assert caught.value.code == Exit.CONFIG
    assert [problem.where for problem in caught.value.problems] == [where for where, _ in EXPECTED]
    for problem, (_, words) in zip(caught.value.problems, EXPECTED, strict=True):
        assert words in str(problem)
        assert problem.remedy.endswith((".", "?"))
        assert problem.code == Exit.CONFIG


def test_the_good_config_has_no_problem(problems):
    assert problems() == []


@pytest.mark.parametrize(
    ("old", "new", "where", "words"),
    [
        ("version = 1", "version = 2", "1 version", "It must be 1."),
        ("version = 1", "", "1 version", "is missing"),
        ("version = 1", "version = true", "1 version", "cannot be true"),
        ('data = "data"', "data = 3", "5 device.data", "not a path"),
        ('data = "data"', 'data = ""', "5 device.data", "not a path"),
        ('data = "data"', 'data = "data"\nruntime = "litrt"', "6 device.runtime", 'Did you mean "litert"?'),
        ("[mqtt]", "[mqqt]", "24 mqqt", 'Did you mean "mqtt"?'),
        ("[mqtt]", '[store]\nkeep_free = "200 Mb"\n[mqtt]', "25 store.keep_free", "MB"),
        ("[mqtt]", "[store]\nkeep_free = 5\n[mqtt]", "25 store.keep_free", "is not a size"),
        ("[mqtt]", "[store]\nmax_loss_s = 100\n[mqtt]", "25 store.max_loss_s", "at most 60"),
        ("[mqtt]", "[store]\nmax_loss_s = 0.1\n[mqtt]", "25 store.max_loss_s", "at least 0.2"),
        ("[mqtt]", "[store]\nmax_loss_s = true\n[mqtt]", "25 store.max_loss_s", "a number"),
        ("[mqtt]", "[store]\nmax_loss_s = 2026-01-01\n[mqtt]", "25 store.max_loss_s", "a date"),
        (
            "rtsp://10.0.0.7/stream1",
            'rtsp://10.0.0.7/stream1"\nloop = true\nuser = "viewer',
            "9 lane.yard.source.loop",
            "is a stream",
        ),
        (
            "rtsp://10.0.0.7/stream1",
            'rtsp://10.0.0.7/stream1"\nwidth = 640\nuser = "viewer',
            "9 lane.yard.source.width",
            "no use",
        ),
        ("rtsp://10.0.0.7/stream1", '/dev/video0"\npace = "all', "9 lane.yard.source.pace", "is a device"),
        ("rtsp://10.0.0.7/stream1", 'clip.avi"\nuser = "viewer', "9 lane.yard.source.user", "is a file"),
        ("lane.yard.zone.dock", "lane.yard.zone.Dock", "11 lane.yard.zone.Dock", "a-z"),
        ("[0.5, 0.9]", "[0.5, 1.9]", "12 lane.yard.zone.dock.polygon[2][1]", "at most 1"),
        (", [0.5, 0.9]", "", "12 lane.yard.zone.dock.polygon", "at least 3"),
        ("[0.5, 0.9]", "[0.5]", "12 lane.yard.zone.dock.polygon[2]", "It takes 2"),
        (
            "[lane.yard.zone.dock]\npolygon",
            "[lane.yard.line.door]\nto = [0.5, 0.5]\nfrom",
            "13 lane.yard.line.door.from",
            "It takes 2",
        ),
        ('kind = "camera"\n', "", "6 lane.yard.source.kind", "camera"),
        ('kind = "camera"', 'kind = "recording"', "7 lane.yard.source.kind", "no kind"),
        ('kind = "camera"', "kind = 3", "7 lane.yard.source.kind", "no kind"),
        (
            'path = "faces.tflite"',
            'path = "faces.tflite"\ndecoder = "nonsense"',
            "11 lane.yard.model.faces.decoder",
            "no decoder",
        ),
        (
            'path = "faces.tflite"',
            'path = "faces.tflite"\nsha256 = "ABC"',
            "11 lane.yard.model.faces.sha256",
            "64 digits",
        ),
        (
            'path = "faces.tflite"',
            'path = "faces.tflite"\nthreads = 1.5',
            "11 lane.yard.model.faces.threads",
            "whole number",
        ),
        ('path = "faces.tflite"', "", "9 lane.yard.model.faces.path", "is missing"),
        (
            'path = "faces.tflite"',
            'path = "faces.tflite"\nmean = "no"',
            "11 lane.yard.model.faces.mean",
            "a number. Or: It must be a list",
        ),
        ('path = "faces.tflite"', 'path = "faces.tflite"\nstd = [1, "x"]', "11 lane.yard.model.faces.std", "a number"),
        ('path = "faces.tflite"', 'path = "faces.tflite"\nstd = 0', "11 lane.yard.model.faces.std", "greater than 0"),
        (
            "[lane.yard.model.faces]",
            "[lane.yard.window]\nlength_s = 1\nhop_s = 1\n[lane.yard.model.faces]",
            "9 lane.yard.window",
            "pictures",
        ),
        ("[lane.pump.window]\nlength_s = 1.024\nhop_s = 0.512\n", "", "13 lane.pump.window", "length_s"),
        ("hop_s = 0.512", "hop_s = 2", "18 lane.pump.window.hop_s", "length_s"),
        ("[lane.pump.model.bearing]\n", "[lane.pump.model]\n", "20 lane.pump.model.path", "a table"),
        ('label = "face"', 'label = ""', "23 rule.somebody.label", "is empty"),
        ('label = "face"', 'label = "face"\nzone = "dok"', "24 rule.somebody.zone", 'Did you mean "dock"?'),
        ('label = "face"', 'label = "face"\nmodel = "facs"', "24 rule.somebody.model", 'Did you mean "faces"?'),
        ('lane = "yard"', 'lane = "pump"\nzone = "dock"', "23 rule.somebody.zone", "Its zones: none"),
        (
            "[lane.yard.source]",
            '[lane.yard]\nsummaries = ["s60"]\n[lane.yard.source]',
            "7 lane.yard.summaries[0]",
            '"m1"',
        ),
        (
            "[lane.yard.source]",
            '[lane.yard]\nsummaries = ["h2"]\n[lane.yard.source]',
            "7 lane.yard.summaries[0]",
            "s10",
        ),
        (
            "[lane.yard.source]",
            '[lane.yard]\nsummaries = ["m1", "m1"]\n[lane.yard.source]',
            "7 lane.yard.summaries[1]",
            "twice",
        ),
        (
            "[lane.yard.source]",
            "[lane.yard]\nsummaries = []\n[lane.yard.source]",
            "7 lane.yard.summaries",
            "at least 1",
        ),
        (
            'path = "faces.tflite"',
            'path = "faces.tflite"\ndelegates = ["gpu", "npu"]',
            "11 lane.yard.model.faces.delegates[1]",
            "no delegate",
        ),
        (
            'path = "faces.tflite"',
            'path = "faces.tflite"\ndelegates = []',
            "11 lane.yard.model.faces.delegates",
            "at least 1",
        ),
        (
            "[mqtt]",
            '[delegate.gpu]\nlibrary = "libvx_delegate.so"\n[mqtt]',
            "24 delegate.gpu",
            "another name",
        ),
        ('path = "faces.tflite"', 'path = "faces.tflite"\non = "view"', "11 lane.yard.model.faces.on", "no model"),
        (
            'path = "faces.tflite"',
            'path = "faces.tflite"\non = "view"\n[lane.yard.model.view]\npath = "view.tflite"',
            "11 lane.yard.model.faces.on",
            "Put it before",
        ),
        ('path = "faces.tflite"', 'path = "faces.tflite"\nmargin = 0.1', "11 lane.yard.model.faces.margin", "no use"),
        (
            'path = "bearing.tflite"',
            'path = "bearing.tflite"\n[lane.pump.model.more]\npath = "more.tflite"\non = "bearing"',
            "23 lane.pump.model.more.on",
            "no crops",
        ),
        ('path = "faces.tflite"', 'path = "faces.tflite"\non = "motion"', "11 lane.yard.model.faces.on", "no gate"),
        ('path = "faces.tflite"', 'path = "faces.tflite"\nregions = 2', "11 lane.yard.model.faces.regions", "no use"),
        ('path = "faces.tflite"', 'path = "faces.tflite"\nwhole_s = 2.0', "11 lane.yard.model.faces.whole_s", "no use"),
        (
            'path = "bearing.tflite"',
            'path = "bearing.tflite"\non = "motion"',
            "21 lane.pump.model.bearing.on",
            "nothing moves",
        ),
        (
            'path = "faces.tflite"',
            'path = "faces.tflite"\n[lane.yard.model.motion]\npath = "m.tflite"\n[lane.yard.model.age]\npath = "age.tflite"\non = "motion"',
            "15 lane.yard.model.age.on",
            "a word of the agent",
        ),
        (
            'kind = "camera"',
            'kind = "rtsp"\nidle_decode = "keyframes"',
            "8 lane.yard.source.idle_decode",
            "without a gate",
        ),
        (
            'kind = "camera"',
            'kind = "rtsp"\noptions = { protocol_whitelist = "file" }',
            "8 lane.yard.source.options.protocol_whitelist",
            "cannot be",
        ),
        (
            'kind = "camera"\nurl = "rtsp:',
            'kind = "rtsp"\nurl = "http:',
            "8 lane.yard.source.url",
            "begins with rtsp://",
        ),
        ('name = "gate-07"', 'name = "gate-07"\ntimezone = "Europe/Atlantis"', "5 device.timezone", "no time zone"),
        (
            'label = "face"',
            'label = "face"\nbetween = ["22:00", "24:00"]',
            "24 rule.somebody.between[1]",
            "a time of the day",
        ),
        ("[rule.somebody]", "[rule.picture-moved]", "21 rule.picture-moved", "Give it another name"),
        (
            "[lane.pump.window]",
            "[lane.pump.picture]\nwatch = []\n[lane.pump.window]",
            "16 lane.pump.picture",
            "no pictures",
        ),
        (
            "[lane.yard.model.faces]",
            '[lane.yard.picture]\nwatch = ["blurred"]\n[lane.yard.model.faces]',
            "10 lane.yard.picture.watch[0]",
            "cannot be",
        ),
        ('kind = "camera"', 'kind = "rtsp"\nca_file = "ca.pem"', "8 lane.yard.source.ca_file", "not encrypted"),
        ('stream1"', 'stream1"\nevery_s = 2', "9 lane.yard.source.every_s", "no use"),
        ("rtsp://10.0.0.7/stream1", 'http://10.0.0.7/a.jpg"\nevery_s = "2', "9 lane.yard.source.every_s", "a number"),
        (
            'rtsp://10.0.0.7/stream1"',
            'http://10.0.0.7/a.jpg"\nevery_s = 5',
            "9 lane.yard.source.every_s",
            "blind between",
        ),
        (
            'rtsp://10.0.0.7/stream1"',
            'http://10.0.0.7/a.jpg"\nevery_s = 2\nwidth = 640',
            "10 lane.yard.source.width",
            "is a snapshot",
        ),
        ('rtsp://10.0.0.7/stream1"', 'jetson-csi:0"\nuser = "viewer"', "9 lane.yard.source.user", "is a pipeline"),
        (
            'rtsp://10.0.0.7/stream1"',
            'gstreamer:videotestsrc"\nwidth = 640',
            "9 lane.yard.source.width",
            "is a pipeline",
        ),
        ("rtsp://10.0.0.7/stream1", "gstreamer:rtspsrc user-pw=geheim", "8 lane.yard.source.url", "{password}"),
        (
            "rtsp://10.0.0.7/stream1",
            "gstreamer:rtspsrc location=rtsp://u:geheim@h/",
            "8 lane.yard.source.url",
            "password",
        ),
        ("mqtts://broker.example.com:8883", "http://broker", "25 mqtt.url", "mqtts://"),
        ("mqtts://broker.example.com:8883", "mqtts://", "25 mqtt.url", "not an address"),
        ("mqtts://broker.example.com:8883", "mqtts://host:port", "25 mqtt.url", "not an address"),
        ("mqtts://broker.example.com:8883", "mqtts://host/topic", "25 mqtt.url", "more than a host"),
        ("mqtts://broker.example.com:8883", "mqtt://10.0.0.1", "25 mqtt.url", "unencrypted"),
        (":8883", ':8883"\ncert_file = "a.pem', "24 mqtt.key_file", "missing"),
        (":8883", ':8883"\nkey_file = "a.pem', "24 mqtt.cert_file", "missing"),
        ("mqtts://broker.example.com:8883", 'mqtt://localhost"\nca_file = "ca.pem', "25 mqtt.url", "no use"),
    ],
)
def test_each_mistake_is_named_where_it_is(problems, old, new, where, words):
    found = problems((old, new))
    assert any(line.startswith(f"yard.toml:{where}: ") and words in line for line in found), found
    if "mqqt" not in new and "recording" not in new:
        assert len(found) == 1, found


@pytest.mark.parametrize(
    "source",
    [
        'url = "http://10.0.0.7/a.jpg"\nevery_s = 2',
        'url = "jetson-csi:0"\nwidth = 640\nheight = 480\nrate_hz = 30',
        'url = "jetson-rtsp://10.0.0.7/stream1"\nuser = "viewer"',
        'url = "gstreamer:rtspsrc location=rtsp://10.0.0.7/ user-id={user} user-pw={password} ! decodebin"\nuser = "viewer"',
    ],
)
def test_sources_that_are_good(problems, source):
    assert problems(('url = "rtsp://10.0.0.7/stream1"', source)) == []


def test_a_delegate_of_the_file_s_own_and_a_second_stage_are_good(problems):
    own = '[delegate.npu]\nlibrary = "libvx_delegate.so"\noptions = { cache = true }\n[mqtt]'
    second = 'path = "faces.tflite"\n[lane.yard.model.age]\npath = "age.tflite"\non = "faces"\nmargin = 0.2\ndelegates = ["npu", "cpu"]'
    assert problems(("[mqtt]", own), ('path = "faces.tflite"', second)) == []


def test_a_model_on_what_moves_is_good(problems):
    gated = '[lane.yard.gate]\nkind = "motion"\n[lane.yard.model.faces]'
    model = 'path = "faces.tflite"\non = "motion"\nregions = 2\nwhole_s = 5\nmargin = 0.2'
    assert problems(("[lane.yard.model.faces]", gated), ('path = "faces.tflite"', model)) == []


@pytest.mark.parametrize("url", ["mqtt://localhost", "mqtt://127.0.0.1:1883", "mqtt://[::1]", "mqtts://10.0.0.1"])
def test_addresses_that_are_good(problems, url):
    assert problems(("mqtts://broker.example.com:8883", url)) == []


def test_plaintext_to_another_host_is_allowed_when_the_file_says_so(problems):
    assert problems(("mqtts://broker.example.com:8883", 'mqtt://10.0.0.1"\nallow_plaintext = true\nuser = "x')) == []


def test_a_lane_needs_a_model_and_the_file_a_lane(problems, write):
    assert problems(('[lane.pump.model.bearing]\npath = "bearing.tflite"\n', "[lane.pump.model]\n")) == [
        "yard.toml:19 lane.pump.model: is empty. At least one is needed."
    ]
    _, found = examine(
        write('version = 1\n[lane]\n[device]\nsite = "a"\nname = "b"\ndata = "c"\n'), on_this_machine=False
    )
    assert [str(problem) for problem in found] == ["yard.toml:2 lane: is empty. At least one is needed."]


def test_what_is_not_toml_is_one_problem_with_its_line(problems):
    (found,) = problems(("hop_s = 0.512", "hop_s = 0,512"))
    assert found.startswith("yard.toml:18: is not TOML: ")
    assert "there may be more problems" in found


def test_text_that_ends_too_early_has_a_line_too(write):
    _, found = examine(write('version = 1\nname = """a\n'), on_this_machine=False)
    assert found[0].where == "yard.toml:2"


def test_a_file_that_is_absent_or_no_text(tmp_path):
    _, found = examine(tmp_path / "none.toml", on_this_machine=False)
    assert "No such file" in str(found[0])
    (tmp_path / "latin.toml").write_bytes(b"version = 1 # \xe4")
    _, found = examine(tmp_path / "latin.toml", on_this_machine=False)
    assert "UTF-8" in str(found[0])
    _, found = examine(tmp_path, on_this_machine=False)
    assert found[0].code == Exit.CONFIG
