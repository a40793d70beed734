#!/bin/sh
# Installs the public HTTP cache tests beside this file, where that edition is missing.
set -eu
cd "$(dirname "$0")"

edition=$(sed -n 's/.*"http-cache-tests": *"\(.*\)".*/\1/p' package.json)
if grep -qs "\"version\": *\"$edition\"" node_modules/http-cache-tests/package.json; then
    exit 0
fi
if ! command -v npm >/dev/null 2>&1; then
    echo "Node 20.11 or later, with npm, is missing: the public HTTP cache tests need it" >&2
    exit 1
fi
echo "http-cache-tests $edition is missing: npm installs it"
npm install --no-audit --no-fund --no-package-lock --loglevel=error
