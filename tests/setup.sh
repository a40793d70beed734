#!/bin/sh
# Installs what the tests need and the machine lacks, or says how to get it.
set -eu

if ! command -v redis-server >/dev/null 2>&1; then
    echo "redis-server is missing: the tests of the Redis store start one"
    if command -v apt-get >/dev/null 2>&1 && [ "$(id -u)" = 0 ]; then
        apt-get update -qq
        DEBIAN_FRONTEND=noninteractive apt-get install -y -qq redis-server >/dev/null
    elif command -v apt-get >/dev/null 2>&1 && command -v sudo >/dev/null 2>&1; then
        sudo apt-get update -qq
        sudo DEBIAN_FRONTEND=noninteractive apt-get install -y -qq redis-server >/dev/null
    else
        echo "install Redis 6 or later so that redis-server is on the PATH:" >&2
        echo "  Debian, Ubuntu: apt-get install redis-server" >&2
        echo "  Fedora: dnf install redis      macOS: brew install redis" >&2
        exit 1
    fi
fi

# `make test` can do without; `make conformance` says it again.
sh "$(dirname "$0")/conformance/install.sh" || echo "only \`make conformance\` needs it" >&2
