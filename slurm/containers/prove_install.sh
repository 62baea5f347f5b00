#!/usr/bin/env bash
# Try install.sh as a container's build would run it, without a container runtime; as root.
#
#   prove_install.sh NEW_DIRECTORY [SHARED_DIRECTORY ...]
#
# mmdebstrap makes a plain Debian 12 root in NEW_DIRECTORY. install.sh runs in it, on the tracked
# files of this checkout. Then a user without rights, for whom everything but /tmp is read-only, as in
# Apptainer and Enroot, runs `sesame doctor`, which also trains a step. pip is configured as it is on
# this machine; SHARED_DIRECTORY, such as that of a local package index, is visible inside.
#
# Exit code 77 where it cannot be tried, with the reason.
set -euo pipefail

cannot() {
  echo "prove_install.sh: $*" >&2
  exit 77
}

(($# > 0)) || { echo "usage: $0 NEW_DIRECTORY [SHARED_DIRECTORY ...]" >&2; exit 2; }
directory=$(realpath -m "$1")
shift
((EUID == 0)) || cannot "only root can make a Debian root"
command -v mmdebstrap > /dev/null || cannot "mmdebstrap is missing: apt-get install mmdebstrap"
if [[ ${SESAME_PRIVATE_MOUNTS:-} != yes ]]; then
  # Mounts in a namespace of their own end with this script, however it ends.
  SESAME_PRIVATE_MOUNTS=yes exec unshare --mount --propagation private "$0" "$directory" "$@"
fi

mkdir "$directory"
root=$directory/root
mmdebstrap --quiet --variant=minbase --include=ca-certificates bookworm "$root"

checkout=$(realpath "$(dirname "$0")/../..")
mkdir "$root/source"
git -C "$checkout" ls-files -z | tar -C "$checkout" --null --files-from=- -cf - |
  tar -C "$root/source" -xf -

cp -L /etc/resolv.conf /etc/hosts "$root/etc/"
# show PATH [INSIDE]: the same file or directory inside, under another name if one is given.
show() {
  local inside=$root${2:-$1}
  [[ -e $1 ]] || return 0
  if [[ -d $1 ]]; then
    mkdir -p "$inside"
  else
    mkdir -p "$(dirname "$inside")"
    touch "$inside"
  fi
  mount --bind "$1" "$inside"
}
for shared in /etc/ssl/certs /etc/pip.conf /etc/xdg/pip ${PIP_CONFIG_FILE:+"$PIP_CONFIG_FILE"} "$@"; do
  show "$shared"
done
show "${XDG_CONFIG_HOME:-$HOME/.config}/pip" /root/.config/pip
mount -t proc proc "$root/proc"
inside=(env -u PYTHONPATH -u VIRTUAL_ENV -u XDG_CONFIG_HOME HOME=/root PATH=/usr/sbin:/usr/bin:/sbin:/bin)
"${inside[@]}" chroot "$root" bash /source/slurm/containers/install.sh /source
rm -r "$root/source"
echo "installed: $(du -sh "$root/opt/sesame" | cut -f1) in $(
  find "$root/opt/sesame" -type f | wc -l) files"

mount --bind "$root" "$root"
mount -o remount,bind,ro "$root"
mount -t proc proc "$root/proc"
mount -t tmpfs tmpfs "$root/dev/shm"
mount -t tmpfs tmpfs "$root/tmp"
chroot --userspec=65534:65534 "$root" env -i HOME=/tmp PATH=/opt/sesame/bin:/usr/bin:/bin \
  bash -c 'cd /tmp && sesame doctor' | tee "$directory/doctor"
grep -q "this installation can train" "$directory/doctor" ||
  { echo "prove_install.sh: the installation cannot train" >&2; exit 1; }
echo "proven: sesame-hpc installs into a plain Debian 12, and runs from it read-only"
