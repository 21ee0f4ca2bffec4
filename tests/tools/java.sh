#!/bin/sh
# Makes sure that the tests of `--engine spark` find Java 17 or later, and says which: one of JAVA_HOME or
# on PATH, or Debian's package where this runs as root. Without one the tests are skipped; in CI that is a
# failure.
set -eu

found() {
  for java in "${JAVA_HOME:-/nowhere}/bin/java" java; do
    version=$("$java" -version 2>&1 | sed -n 's/.* version "\([0-9]*\).*/\1/p') || continue
    [ "${version:-0}" -ge 17 ] && command -v "$java" && return 0
  done
  return 1
}

found && exit 0
if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
  { apt-get update -qq && apt-get install -y -qq --no-install-recommends openjdk-17-jre-headless; } >&2 || true
  found && exit 0
fi
echo "No Java 17 found: --engine spark is not tested. Install the package openjdk-17-jre-headless." >&2
[ "${CI:-}" != true ]
