#!/usr/bin/env bash
# Install sesame-hpc from the checkout SOURCE into /opt/sesame; as root, on Debian 12.
#
#   install.sh SOURCE
#
# What Dockerfile and sesame.def run, and what prove_install.sh tries in a bare root directory. The
# GPU driver is the host's; CUDA's libraries come with the packages.
set -euo pipefail
source_directory=$(realpath "$1")

export DEBIAN_FRONTEND=noninteractive
apt-get update -qq
# Triton compiles its launchers with the C compiler and Python's headers.
apt-get install --yes -qq --no-install-recommends ca-certificates g++ python3-dev python3-venv
rm -rf /var/lib/apt/lists/*

python3 -m venv /opt/sesame
# pip also compiles all modules: the image is read-only for its users.
/opt/sesame/bin/python -m pip install --disable-pip-version-check --no-cache-dir --quiet \
  -c "$source_directory/constraints.txt" "$source_directory/kernels" "$source_directory[train,export]"
/opt/sesame/bin/sesame --version
