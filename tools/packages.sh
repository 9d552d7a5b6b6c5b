#!/bin/sh
# What the tests use beside Python: installed through apt when run by root on Debian, without recommends and without starting
# services; otherwise it says what is missing and which tests are skipped for it.
set -eu
missing=
need() { # program package what-is-skipped
  if ! command -v "$1" >/dev/null 2>&1 && [ ! -x "/usr/sbin/$1" ]; then
    missing="$missing $2"
    echo "packages: $2 is missing ($3)" >&2
  fi
}
need mosquitto mosquitto "the tests against a real MQTT broker"
need qemu-system-arm qemu-system-arm "the firmware in its emulated board"
need arm-none-eabi-gcc gcc-arm-none-eabi "the firmware in its emulated board"
need cc gcc "the firmware built for this machine"
need openssl openssl "the tests with real certificates"
need mount mount "a disk that is full"
need mkfs.ext4 e2fsprogs "power cuts, and what wears the disk"
if command -v cc >/dev/null 2>&1 || [ -n "$missing" ]; then
  [ -e /usr/include/stdio.h ] || { missing="$missing libc6-dev"; echo "packages: libc6-dev is missing (the firmware built for this machine)" >&2; }
fi
# A camera with H.264: GStreamer's RTSP server, driven by the system's own Python.
for part in python3-gi:/usr/lib/python3/dist-packages/gi gir1.2-gst-rtsp-server-1.0:'/usr/lib/*/girepository-1.0/GstRtspServer-1.0.typelib' \
  gstreamer1.0-plugins-base:'/usr/lib/*/gstreamer-1.0/libgstapp.so' gstreamer1.0-plugins-good:'/usr/lib/*/gstreamer-1.0/libgstrtp.so' \
  gstreamer1.0-plugins-bad:'/usr/lib/*/gstreamer-1.0/libgstvideoparsersbad.so' gstreamer1.0-plugins-ugly:'/usr/lib/*/gstreamer-1.0/libgstx264.so'; do
  # shellcheck disable=SC2086
  set -- ${part#*:}
  [ -e "$1" ] || { missing="$missing ${part%%:*}"; echo "packages: ${part%%:*} is missing (RTSP cameras with H.264)" >&2; }
done
set -- /usr/lib/*/libvulkan.so.1
[ -e "$1" ] || { missing="$missing libvulkan1"; echo "packages: libvulkan1 is missing (models on a GPU)" >&2; }
# A browser for the local page; SwiftShader, a Vulkan driver that computes on the CPU, comes with it.
browser=
if ! command -v chromium >/dev/null 2>&1 || ! command -v chromedriver >/dev/null 2>&1; then
  browser="chromium chromium-driver"
  echo "packages: $browser is missing (the local page in a browser, models on a GPU)" >&2
fi
[ -n "$missing$browser" ] || exit 0
if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then
  echo "packages: not root, or no apt-get: the tests named above are skipped. To have them:" >&2
  echo "  sudo apt-get install --no-install-recommends$missing $browser" >&2
  exit 0
fi
apt-get update -qq >/dev/null || [ -z "$missing" ]
echo "packages: installing$missing $browser" >&2
# A policy that forbids starting services, for this command only.
policy=/usr/sbin/policy-rc.d
kept=
[ ! -e "$policy" ] || { kept=$(mktemp); cp -p "$policy" "$kept"; }
restore() { if [ -n "$kept" ]; then cp -p "$kept" "$policy"; rm -f "$kept"; else rm -f "$policy"; fi; }
trap restore EXIT
printf '#!/bin/sh\nexit 101\n' >"$policy"
chmod 755 "$policy"
install() { DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$@" >/dev/null; }
# shellcheck disable=SC2086
[ -z "$missing" ] || install $missing
# shellcheck disable=SC2086
[ -z "$browser" ] || install $browser || echo "packages: $browser is not to be had here: the tests named above are skipped" >&2
