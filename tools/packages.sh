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
# SwiftShader, a Vulkan driver that computes on the CPU: two files, 5 MB, of a package of 32 MB whose dependencies are a browser's.
# It is fetched and checked by apt, and not installed.
swiftshader=/var/cache/edge-agent-tests/swiftshader
driver=
if [ ! -e /usr/lib/chromium/libvk_swiftshader.so ] && [ ! -e $swiftshader/libvk_swiftshader.so ]; then
  driver=missing
  echo "packages: SwiftShader is missing (models on a GPU)" >&2
fi
[ -n "$missing$driver" ] || exit 0
if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then
  echo "packages: not root, or no apt-get: the tests named above are skipped. To have them:" >&2
  [ -z "$missing" ] || echo "  sudo apt-get install --no-install-recommends$missing" >&2
  [ -z "$driver" ] || echo "  sudo tools/packages.sh (SwiftShader)" >&2
  exit 0
fi
apt-get update -qq >/dev/null || [ -z "$missing" ]
if [ -n "$driver" ]; then
  echo "packages: unpacking SwiftShader of chromium-common into $swiftshader" >&2
  work=$(mktemp -d)
  if (cd "$work" && apt-get -o APT::Sandbox::User=root download -qq chromium-common >/dev/null \
    && dpkg-deb --fsys-tarfile chromium-common_*.deb | tar -x --strip-components=4 \
      ./usr/lib/chromium/libvk_swiftshader.so ./usr/lib/chromium/vk_swiftshader_icd.json); then
    mkdir -p $swiftshader
    mv "$work/vk_swiftshader_icd.json" "$work/libvk_swiftshader.so" $swiftshader/
  else
    echo "packages: SwiftShader is not to be had here: models on a GPU are not tested" >&2
  fi
  rm -rf "$work"
fi
[ -n "$missing" ] || exit 0
echo "packages: installing$missing" >&2
# A policy that forbids starting services, for this command only.
policy=/usr/sbin/policy-rc.d
kept=
[ ! -e "$policy" ] || { kept=$(mktemp); cp -p "$policy" "$kept"; }
restore() { if [ -n "$kept" ]; then cp -p "$kept" "$policy"; rm -f "$kept"; else rm -f "$policy"; fi; }
trap restore EXIT
printf '#!/bin/sh\nexit 101\n' >"$policy"
chmod 755 "$policy"
# shellcheck disable=SC2086
DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $missing >/dev/null
