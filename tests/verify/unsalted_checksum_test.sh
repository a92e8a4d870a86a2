#!/usr/bin/env bash
# Checksums without salt and offset: blocks in each other's place must pass the
# check and be read as what they are not, one of another domain go unnoticed
# where it lies, and misdirected_test say both.
set -uo pipefail
out=$("$1" 2>&1)
status=$?
echo "$out"
[[ $status -eq 1 && $out == *"although it passed the check"* &&
  $out == *"[  FAILED  ] MisdirectedTest.BlocksInEachOthersPlaceAreFound"* &&
  $out == *"[  FAILED  ] MisdirectedTest.ABlockOfAnotherDomainIsFoundWhereItLies"* &&
  $out == *" 2 FAILED TESTS"* ]]
