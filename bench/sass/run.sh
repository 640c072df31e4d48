#!/usr/bin/env bash
# Counts the instructions of GPU kernels (main.go says what is compared) with NVIDIA's tools from pip; needs g++. Its
# arguments go to the command.
set -euo pipefail
cd "$(dirname "$0")/../.."
. kernels/ptx/fetch.sh
v=13.5.37
fetch toolkit13 nvidia-cuda-nvcc==$v nvidia-cuda-crt==$v nvidia-cuda-runtime==$v nvidia-nvvm==$v nvidia-cuda-nvdisasm==$v
nvcc=$(one toolkit13 bin/nvcc) ptxas=$(one toolkit13 bin/ptxas) nvdisasm=$(one toolkit13 bin/nvdisasm)
chmod +x "$(dirname "$nvcc")"/* "$(one toolkit13 nvvm/bin/cicc)"
CGO_ENABLED=0 "${GO:-go}" run -tags nocuda ./bench/sass -nvcc "$nvcc" -ptxas "$ptxas" -nvdisasm "$nvdisasm" "$@"
