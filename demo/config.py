"""The config that the demo's agent runs: what an engineer would write, with this run's paths and port."""

TEXT = """version = 1
[device]
site = "demo"
name = "gate-07"
data = "{folder}/data"

[lane.yard]                       # a camera: two models look at what moves
summaries = ["s5", "m1"]
[lane.yard.source]
kind = "camera"
url = "{folder}/clip.avi"
loop = true
[lane.yard.gate]
kind = "motion"
rate_hz = 5.0
every_s = 2
[lane.yard.model.faces]
catalogue = "blazeface"
score = 0.6
[lane.yard.model.view]
path = "{models}/view-int8.tflite"
every_s = 0.5

[lane.pump]                       # an accelerometer on a serial port, its spectrum looked at twice a second
summaries = ["s5", "m1"]
[lane.pump.source]
kind = "serial_sensor"
port = "{folder}/accelerometer"
[lane.pump.window]
length_s = 1.024
hop_s = 0.512
features = "log-bands"
[lane.pump.model.bearing]
path = "{models}/vibration-int8.tflite"

[rule.face-at-gate]
lane = "yard"
label = "face"
for_s = 1
clear_s = 8
[rule.camera-covered]
lane = "yard"
model = "view"
label = "covered"
clear_s = 12
severity = "alarm"
[rule.bearing-worn]
lane = "pump"
label = "anomaly"
for_s = 3
severity = "warn"

[store]
max_loss_s = 0.5
keep_free = "20 MB"
[mqtt]
url = "mqtt://127.0.0.1:{port}"
keepalive_s = 10
reconnect_max_s = 3
"""
