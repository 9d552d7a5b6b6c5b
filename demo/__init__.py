"""The demo: a camera clip, emulated firmware, a broker, a link that is cut, a kill, and a table that says whether anything is missing.

`clip` makes the camera's picture, `link` is the wire that is cut, `broker` the MQTT broker, `sheet` draws what was seen, `report` counts.
"""
