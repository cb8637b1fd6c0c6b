# shellcheck shell=bash
# Counting for .ci/run: each step is one passed or one failed, a suite as many as its tests.

passed=0 failed=0

# record NAME PASSED FAILED SINCE
record() {
  ((passed += $2, failed += $3))
  local verdict=ok
  (($3 == 0)) || verdict=FAIL
  echo "$verdict  $1: $2 passed, $3 failed ($((SECONDS - $4)) s)"
}

# step NAME COMMAND...: prints the output of a failure.
step() {
  local name=$1 since=$SECONDS
  shift
  echo "..    $name: $*"
  if "$@" >"$work/out" 2>&1; then
    record "$name" 1 0 "$since"
  else
    cat "$work/out"
    record "$name" 0 1 "$since"
    return 1
  fi
}

# suite NAME COMMAND...: prints failed tests. A run that failed without a failed test, or that ran none, is a failure.
suite() {
  local name=$1 since=$SECONDS status pass fail skip
  shift
  echo "..    $name: $*"
  "$@" >"$work/out" 2>"$work/err"
  status=$?
  node .ci/tap-results.js <"$work/out" >"$work/results"
  read -r pass fail skip <"$work/results"
  ((fail > 0 || (status == 0 && pass > 0))) || fail=1
  if ((fail > 0)); then
    tail -n +2 "$work/results"
    tail -n 200 "$work/err"
  fi
  ((skip == 0)) || echo "      $skip skipped"
  record "$name" "$pass" "$fail" "$since"
}

summary() {
  echo "$passed passed, $failed failed"
  ((failed == 0 && passed > 0))
  exit
}
