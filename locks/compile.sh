#!/usr/bin/env bash
# Makes the four locks again; needs uv on PATH. Options are passed on: locks/compile.sh --upgrade
set -euo pipefail
cd "$(dirname "$0")/.."
lock() {
    uv pip compile --quiet --universal --python-version 3.10 --no-python-downloads --generate-hashes \
        --no-emit-index-url --no-emit-find-links --annotation-style line --custom-compile-command "locks/compile.sh" "$@"
}
lock "$@" locks/container.in --output-file locks/container.txt
lock "$@" pyproject.toml locks/container.in --constraint locks/container.txt --output-file locks/host.txt
lock "$@" locks/torch.in --constraint locks/host.txt --output-file locks/torch.txt
lock "$@" pyproject.toml locks/container.in --extra dev --constraint locks/host.txt --output-file locks/dev.txt
