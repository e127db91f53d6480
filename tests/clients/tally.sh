# Counting for the suites written in bash: `check NAME FUNCTION` runs one test in a subshell, `tally` prints the counts.
# A test fails when a command in it fails; inside, `equal GOT WANT`, `contains TEXT PART` and `until_true SECONDS COMMAND...` say why.

passed=0 failed=0 skipped=0

check() {
  local name=$1 output status
  shift
  # Not `if output=$(...)`: bash drops `set -e` inside a condition.
  set +e
  output=$(set -eo pipefail; "$@" 2>&1)
  status=$?
  if [ "$status" -eq 0 ]; then
    passed=$((passed + 1))
    echo "ok      $name"
  else
    failed=$((failed + 1))
    echo "FAILED  $name"
    printf '%s\n' "$output" | tail -n 25 | sed 's/^/        /'
  fi
}

skip() {
  skipped=$((skipped + 1))
  echo "skipped $1: $2"
}

equal() {
  [ "$1" = "$2" ] || { printf 'got:\n%s\nwanted:\n%s\n' "$1" "$2"; return 1; }
}

contains() {
  case $1 in *"$2"*) ;; *) printf 'no "%s" in:\n%s\n' "$2" "$1"; return 1 ;; esac
}

until_true() {
  local end=$((SECONDS + $1))
  shift
  until "$@" >/dev/null 2>&1; do
    [ "$SECONDS" -lt "$end" ] || { echo "not in time: $*"; return 1; }
    sleep 0.1
  done
}

unique() { printf '%s-%s' "${1:-t}" "$(od -An -N6 -tx1 /dev/urandom | tr -d ' \n')"; }

tally() {
  echo "$passed passed, $failed failed, $skipped skipped"
  [ "$failed" -eq 0 ]
}
