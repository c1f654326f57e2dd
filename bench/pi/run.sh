#!/usr/bin/env bash
# usage: run.sh FOLDER BOARD SITE ARGUMENT...        BOARD: pi2, pi3, pi4 or pi5
# Runs Python with the arguments on an emulated core of a Raspberry Pi: in 32 bits on pi2, in 64 on the others.
# FOLDER was filled by unpack.sh; SITE is a colon-separated list of folders of packages. If PLUGIN is set, it names a QEMU
# plugin to load, such as one built from count.c. With --version instead of BOARD, QEMU's version is printed.
set -euo pipefail

folder=$(cd "$1" && pwd)
board=$2

# The host's libraries may be too old for QEMU, so it uses those unpacked with it; Debian 13's QEMU is static.
qemu() {
  local command=("$folder/qemu/usr/bin/$1")
  shift
  local loader=("$folder"/qemu/lib*/ld-linux*.so.*)
  local libraries=("$folder"/qemu/lib/*-linux-gnu* "$folder"/qemu/usr/lib/*-linux-gnu*)
  if [ -e "${loader[0]}" ]; then
    command=("${loader[0]}" --library-path "$(IFS=: && echo "${libraries[*]}")" "${command[@]}")
  fi
  exec env -i PATH="$PATH" HOME=/tmp PYTHONHASHSEED=0 PYTHONDONTWRITEBYTECODE=1 "${environment[@]}" "${command[@]}" "$@"
}

environment=()
if [ "$board" = --version ]; then
  qemu qemu-aarch64 --version
fi

site=$3
shift 3
architecture=arm64 emulator=qemu-aarch64 generation=8 variant=0x0 revision=3
case $board in
  pi2) architecture=armhf emulator=qemu-arm core=cortex-a7 part=0xc07 generation=7 revision=5
    features="half thumb fastmult vfp edsp neon vfpv3 tls vfpv4 idiva idivt vfpd32 lpae evtstrm" ;;
  pi3) core=cortex-a53 part=0xd03 revision=4 features="fp asimd evtstrm crc32 cpuid" ;;
  pi4) core=cortex-a72 part=0xd08 features="fp asimd evtstrm crc32 cpuid" ;;
  pi5) core=cortex-a76 part=0xd0b variant=0x4 revision=1
    features="fp asimd evtstrm aes pmull sha1 sha2 crc32 atomics fphp asimdhp cpuid asimdrdm lrcpc dcpop asimddp" ;;
  *) echo "$board: not an emulated Raspberry Pi; give pi2, pi3, pi4 or pi5" >&2; exit 2 ;;
esac
root=$folder/$architecture

# Interpreters choose their kernels by this file, and the host's lists no ARM features. QEMU looks for a file in the
# root first. The file is written atomically, since several boards may run at once.
mkdir -p "$root/proc"
cpuinfo=$(mktemp "$root/proc/cpuinfo.XXXXXX")
for processor in 0 1 2 3; do
  printf '%s\t: %s\n' processor "$processor" BogoMIPS 108.00 Features "$features" 'CPU implementer' 0x41 \
    'CPU architecture' "$generation" 'CPU variant' "$variant" 'CPU part' "$part" 'CPU revision' "$revision"
  echo
done >"$cpuinfo"
mv "$cpuinfo" "$root/proc/cpuinfo"

environment=(PYTHONHOME="$root/usr" PYTHONPATH="$site")
plugin=()
[ -z "${PLUGIN:-}" ] || plugin=(-plugin "$PLUGIN")
qemu "$emulator" -cpu "$core" "${plugin[@]}" -L "$root" "$root/usr/bin/python3" "$@"
