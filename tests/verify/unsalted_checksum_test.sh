#!/usr/bin/env bash
# Checksums without salt and offset: blocks in each other's place must pass the
# check and be read as what they are not, one of another domain go unnoticed
# where it lies, and misdirected_test say both.
set -uo pipefail
# Its failures are not this test's.
unset XML_OUTPUT_FILE GTEST_OUTPUT
out=$("$1" 2>&1)
status=$?
echo "$out"
[[ $status -eq 1 && $out == *"although it passed the check"* &&
  $out == *"[  FAILED  ] MisdirectedTest.BlocksInEachOthersPlaceAreFound"* &&
  $out == *"[  FAILED  ] MisdirectedTest.ABlockOfAnotherDomainIsFoundWhereItLies"* &&
  $out == *" 2 FAILED TESTS"* ]]
