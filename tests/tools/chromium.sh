#!/bin/sh
# Makes sure that the report's tests find a Chromium, and says which: one on PATH, or Debian's
# package where this runs as root. Without one the tests are skipped; in CI that is a failure.
set -eu

found() {
  for name in chromium chromium-browser google-chrome; do
    command -v "$name" && return 0
  done
  return 1
}

found && exit 0
if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
  { apt-get update -qq && apt-get install -y -qq --no-install-recommends chromium; } >&2 || true
  found && exit 0
fi
echo "No Chromium on PATH: the report is not tested in a browser. Install the package chromium." >&2
[ "${CI:-}" != true ]
