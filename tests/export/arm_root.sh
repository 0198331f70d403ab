#!/usr/bin/env bash
# Makes a folder in which 64-bit Arm programs run on x86: Debian's Python for Arm, LiteRT for it in the versions that
# PYTHON has, and the emulator.
#
#     tests/export/arm_root.sh FOLDER PYTHON
#     FOLDER/usr/bin/qemu-aarch64 -L FOLDER FOLDER/usr/bin/python3 ...
#
# Packages are unpacked, not installed: no program of theirs runs meanwhile, so that the kernel need not know how to
# start those for Arm (binfmt_misc). Debian 13 has qemu 10; in that of Debian 12, 7.2, LiteRT 2.3 crashes.
set -euo pipefail
root=$1 python=$2
suite=trixie version=3.13 # of Debian, and of its Python

if ! command -v mmdebstrap >/dev/null; then
    echo "error: mmdebstrap is missing: apt-get install mmdebstrap" >&2
    exit 2
fi
rm -rf "$root" "$root.new"
mkdir -p "$root.new"
trap 'rm -rf "$root.new"' EXIT

# All but devices, documents and the emulators of other processors.
mmdebstrap --quiet --variant=extract --architectures=arm64,amd64 --format=tar \
    --include=base-files,python3,libstdc++6,qemu-user:amd64 "$suite" - |
    tar --extract --directory "$root.new" --no-same-owner --exclude='./dev/*' --exclude='./usr/share/doc/*' \
        --exclude='./usr/share/man/*'
find "$root.new/usr/bin" -name 'qemu-*' ! -name qemu-aarch64 -delete

packages=$("$python" -c '
from importlib.metadata import version
for name in ("ai-edge-litert", "ai-edge-quantizer", "numpy", "pillow"):
    print(f"{name}=={version(name)}")')
# shellcheck disable=SC2086  # one word a package
"$python" -m pip install --quiet --no-compile --only-binary=:all: --python-version "$version" \
    --platform manylinux_2_28_aarch64 --platform manylinux_2_27_aarch64 --platform manylinux2014_aarch64 \
    --target "$root.new/usr/lib/python3/dist-packages" $packages
touch "$root.new" # for make, which the time in the archive would mislead
mv "$root.new" "$root"
