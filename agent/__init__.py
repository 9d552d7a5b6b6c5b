"""edge-agent: understands cameras and sensors where the data is made. `docs/life-of-a-frame.md` is the way in."""
