#!/usr/bin/env bash
# usage: unpack.sh FOLDER ARCHITECTURE        ARCHITECTURE: arm64 or armhf
# Unpacks Debian's Python for ARM into FOLDER/ARCHITECTURE, and QEMU into FOLDER/qemu, for run.sh.
# The packages come from this machine's apt sources, with a separate, empty package database, so nothing is installed, and
# neither root nor chroot nor binfmt is needed. See README.md.
set -euo pipefail

folder=$(mkdir -p "$1" && cd "$1" && pwd)
architecture=$2
case $architecture in
  arm64) numpy=() ;;
  armhf) numpy=(python3-numpy) ;; # NumPy has no wheels for 32-bit ARM.
  *) echo "$architecture: not an architecture of a Raspberry Pi; give arm64 or armhf" >&2; exit 2 ;;
esac

# unpack DIRECTORY ARCHITECTURE PACKAGE...: unpacks packages and all their dependencies.
unpack() {
  local directory=$1 of=$2 apt deb name
  shift 2
  rm -rf "$directory.part"
  apt=$directory.part/apt
  mkdir -p "$apt"/{state/lists,cache/archives}/partial "$directory.part/files"
  : >"$apt/state/status"
  local -a options=(
    -qq -o APT::Architecture="$of" -o APT::Architectures="$of" -o APT::Sandbox::User="$(id -un)"
    -o Dir::State="$apt/state" -o Dir::State::status="$apt/state/status" -o Dir::Cache="$apt/cache"
    -o Acquire::Languages=none -o Acquire::Retries=3
  )
  # A source that fails, or lacks this architecture, does not matter if the others have the packages.
  apt-get "${options[@]}" update || echo "$of: some sources were skipped" >&2
  apt-get "${options[@]}" install --yes --download-only --no-install-recommends "$@" >/dev/null
  for deb in "$apt"/cache/archives/*.deb; do
    dpkg-deb -x "$deb" "$directory.part/files"
  done
  # From Debian 13 on, all files are below usr; these links come from a package that is not needed otherwise.
  for name in lib lib64; do
    [ -e "$directory.part/files/$name" ] || [ ! -e "$directory.part/files/usr/$name" ] || ln -s "usr/$name" "$directory.part/files"
  done
  # Renamed last, so that an interrupted run is not mistaken for a complete one.
  mv "$directory.part/files" "$directory"
  rm -rf "$directory.part"
}

if [ ! -e "$folder/qemu" ]; then
  unpack "$folder/qemu" "$(dpkg --print-architecture)" qemu-user
fi
if [ ! -e "$folder/$architecture" ]; then
  unpack "$folder/$architecture" "$architecture" python3 libstdc++6 libatomic1 "${numpy[@]}"
  # Installation scripts, which do not run here, would make these links.
  for library in "$folder/$architecture"/usr/lib/*/{blas,lapack}/*.so.3; do
    [ ! -e "$library" ] || ln -s "$(basename "$(dirname "$library")")/$(basename "$library")" "$(dirname "$library")/.."
  done
fi
