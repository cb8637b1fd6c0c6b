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

# failed_files: the test files that the failures name, unless a process died, or so many that chance is no reason.
failed_files() {
  grep -q 'ended with' "$work/results" && return
  local files
  files=$(grep -oE 'fileName: test/[^ ]+\.test\.ts' "$work/results" | sort -u | cut -d' ' -f2)
  (($(wc -l <<<"$files") <= 4)) && echo "$files"
}

# suite NAME COMMAND...: prints failed tests. A run that failed without a failed test, or that ran none, is a failure.
# A file that failed beside others is run once more by itself: what promises a time cannot hold it on every machine.
# Both its failure and its passing are printed.
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
  if ((fail > 0)); then
    local files again=(npm test --)
    mapfile -t files < <(failed_files)
    [[ $* == *--full* ]] || again=(env -u TEST_DATABASE_URL -u TEST_REDIS_URL "${again[@]}")
    if [[ -n ${files[*]} ]] && "${again[@]}" "${files[@]}" >"$work/again" 2>&1; then
      echo "      passed when run alone: ${files[*]}"
      fail=0
    fi
  fi
  ((skip == 0)) || echo "      $skip skipped"
  record "$name" "$pass" "$fail" "$since"
}

summary() {
  echo "$passed passed, $failed failed"
  ((failed == 0 && passed > 0))
  exit
}
